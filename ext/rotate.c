/* rotate.c: the steps about a table's key: turning it, sealing it again, signing; and the progress that is told (see conversion.h). */
#include "conversion.h"
#include "protect_reader.h"
#include "watch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* Who holds the keys now, without the one who is to lose them. */
static int readers_left(struct conversion *c, struct protect_reader **list, size_t *n) {
  size_t left = 0;
  int e = protect_readers(c->s, &c->d, c->keys, list, n);
  for (size_t i = 0; e == DMP_OK && i < *n; i++)
    if (c->without == NULL || memcmp((*list)[i].principal, c->without, 16) != 0) (*list)[left++] = (*list)[i];
  *n = left;
  return e == DMP_OK && left == 0 ? DMP_E_LAST_READER : e;
}

/* The rows that this step is about: from `from` to `*to`; *n: how many. Without a limit: all. */
static int rows_ahead(struct conversion *c, int64_t from, int64_t *to, int64_t *n) {
  sqlite3_stmt *st = NULL;
  const char *key = protect_rowid(&c->d);
  char *sql = sqlite3_mprintf("SELECT max(k),count(*) FROM (SELECT \"%w\" k FROM %s.\"%w" PROTECT_SUFFIX "\" WHERE \"%w\">=?1 ORDER BY 1 LIMIT ?2)", key,
                              c->r->quoted, c->d.table, key);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK) {
    sqlite3_bind_int64(st, 1, from);
    sqlite3_bind_int64(st, 2, c->batch ? c->batch : -1);
    if (sqlite3_step(st) != SQLITE_ROW) e = record_sql_fault(c->r);
  }
  if (e == DMP_OK) {
    *to = sqlite3_column_int64(st, 0);
    *n = sqlite3_column_int64(st, 1);
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

static int rows_turn(struct conversion *c, int64_t from, int64_t to) {
  const char *key = protect_rowid(&c->d), *column = protect_patient(&c->d);
  char *sets = steps_index_sets(c, 1);
  char *own = column ? sqlite3_mprintf(" AND \"%w\" IS NULL", column) : sqlite3_mprintf("");   /* other rows lie under their patients' keys */
  int e = !sets || !own ? DMP_E_NOMEM : conversion_run(c, sqlite3_mprintf("UPDATE %s.\"%w" PROTECT_SUFFIX "\" SET \"" PROTECT_BOX "\"=dmp_row_turn(\"%w\",\"" PROTECT_BOX
                                                                          "\")%s WHERE \"%w\" BETWEEN %lld AND %lld%s", c->r->quoted, c->d.table, key, sets, key,
                                                                          (long long)from, (long long)to, own));
  sqlite3_free(own);
  sqlite3_free(sets);
  return e;
}

/* A keyed index that is UNIQUE keeps a value from coming twice only while all of them stand under one key: such a table turns whole. */
static int whole_for_unique(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT 1 FROM pragma_index_list('%q" PROTECT_SUFFIX "',%Q) l, pragma_index_info(l.name,%Q) x WHERE l.\"unique\" AND "
                              "substr(x.name,1,%d)='" PROTECT_INDEX "'", c->d.table, c->r->schema, c->r->schema, (int)strlen(PROTECT_INDEX));
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) c->batch = 0;
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* The keys that seal, and the description that says so. A rotation that is under way goes on in batches; done at once it takes
 * a newer key, so that who is withdrawn keeps none that lives. */
static int turn_keys(struct conversion *c, struct protect *next, int *fresh) {
  struct protect_keys *old = &c->keys[0], *now = &c->keys[1];
  *next = c->d;                                       /* borrows its columns and text */
  *now = *old;
  *fresh = !c->batch || suite_is_zero(c->d.old_kid, 16);
  if (!*fresh) return DMP_OK;
  memcpy(next->old_kid, c->d.kid, 16);
  memcpy(now->old, old->live, 32);
  now->old_sub.ready = 0;
  return protect_new_key(next, now);
}

int steps_rotate(struct conversion *c) {
  struct protect next;
  struct protect_reader *list = NULL;
  size_t readers = 0;
  int fresh = 0;
  int64_t from = INT64_MIN, to = 0, n = 0;
  int e = readers_left(c, &list, &readers);
  if (e == DMP_OK) e = whole_for_unique(c);
  if (e == DMP_OK) e = turn_keys(c, &next, &fresh);
  if (e == DMP_OK && !fresh) from = c->d.turned == INT64_MAX ? INT64_MAX : c->d.turned + 1;
  if (e == DMP_OK) e = rows_ahead(c, from, &to, &n);
  if (e == DMP_OK && n > 0) e = rows_turn(c, from, to);
  c->finished = !c->batch || n < c->batch;
  if (e == DMP_OK && n > 0) next.turned = to;
  if (e == DMP_OK && c->finished) {                   /* the key before is gone from the file; its boxes, from pages that are in use */
    memset(next.old_kid, 0, 16);
    bytes_wipe(c->keys[1].old, 32);
    next.turned = 0;
    next.scrub_due = 1;
  }
  if (e == DMP_OK && (fresh || c->finished)) e = protect_regive(c->s, &next, &c->keys[1], list, readers);
  if (e == DMP_OK) e = protect_put(c->s, &next, &c->keys[1]);
  free(list);
  return e;
}

int steps_rewrap(struct conversion *c) {
  struct protect_reader *list = NULL;
  size_t n = 0;
  int e = protect_readers(c->s, &c->d, c->keys, &list, &n);
  if (e == DMP_OK) e = protect_regive(c->s, &c->d, c->keys, list, n);
  free(list);
  return e;
}

int steps_sign(struct conversion *c) {
  int e = watch_hash(c->r, c->d.table, c->d.watched);
  return e == DMP_OK ? protect_put(c->s, &c->d, c->keys) : e;
}

/* ---- progress ---- */

enum { TELL_ROWS = 512, TELL_MS = 300 };              /* how often the clock is looked at; between two lines */

/* How many rows there are, for who asked to be told; those that an earlier call has turned are done. */
int steps_progress_begin(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  const char *table = c->table ? c->d.table : NULL;
  if (!c->progress.on || c->progress.total) return DMP_OK;
  int turning = c->batch && !suite_is_zero(c->d.old_kid, 16);
  char *sql = sqlite3_mprintf("SELECT count(*) FROM %s.\"%w%s\"", c->r->quoted, c->d.table, table ? PROTECT_SUFFIX : "");
  if (sql && turning) {
    char *done = sqlite3_mprintf("%s UNION ALL %s WHERE \"%w\"<=%lld", sql, sql, protect_rowid(&c->d), (long long)c->d.turned);
    sqlite3_free(sql);
    sql = done;
  }
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) c->progress.total = sqlite3_column_int64(st, 0);
  if (e == DMP_OK && turning && sqlite3_step(st) == SQLITE_ROW) c->progress.done = sqlite3_column_int64(st, 0);
  c->progress.told = record_now();
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

void steps_progress(struct conversion *c, int rows) {
  struct progress *p = &c->progress;
  p->done += rows;
  if (!p->on || (p->done % TELL_ROWS && p->done != p->total)) return;
  int64_t now = record_now();
  if (now - p->told < TELL_MS && p->done != p->total) return;
  p->told = now;
  fprintf(stderr, "%s: %lld of %lld\n", c->d.table, (long long)p->done, (long long)p->total);
}
