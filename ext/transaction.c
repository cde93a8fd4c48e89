/* transaction.c: ends of transactions (see transaction.h). */
#include "transaction.h"
#include "access.h"
SQLITE_EXTENSION_INIT3

int transaction_sync(struct record *r) { return r->session ? access_intent(r->session) : DMP_OK; }   /* without one: the tables are being made */

void transaction_end(struct record *r, int committed) {
  struct session *s = r->session;
  if (s == NULL) return;
  access_outcome(s, committed);
  s->levels = 0;
  if (!committed) s->dir.rows = -1;
  if (committed && record_committed(r)) session_wrote(s);
  else session_stale(s);
}

/* Every table of the transaction is told of a savepoint, some late: the first to be told marks the level. */
int transaction_savepoint(struct record *r, int n) {
  struct session *s = r->session;
  if (s == NULL || n < 0) return DMP_OK;
  if (n >= SAVEPOINTS) return DMP_E_TOO_BIG;
  for (int i = s->levels; i <= n; i++) s->mark[i] = access_mark(s);
  if (s->levels <= n) s->levels = n + 1;
  return DMP_OK;
}

void transaction_release(struct record *r, int n) {
  struct session *s = r->session;
  if (s && n < s->levels) s->levels = n < 0 ? 0 : n;
}

/* Below 0: the savepoint that began the transaction, before which nothing was pending. */
void transaction_rollback_to(struct record *r, int n) {
  struct session *s = r->session;
  if (s == NULL || n >= s->levels) return;
  access_back_to(s, n < 0 ? (struct access_mark){ 0 } : s->mark[n]);
  s->levels = n + 1;
  s->dir.rows = -1;
  session_stale(s);
}
