/* table_log.c: the table `access_log`: the lines that this login's keys find.
 * Owns: its columns; which pairwise keys a login can make.  Never: the log's layout (log.h). */
#include "table.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { L_AT, L_PRINCIPAL, L_NAME, L_PROFESSION, L_PATIENT, L_ACTION, L_OBJECT, L_MODE, L_REASON, L_COUNT, L_COLUMNS };
static const struct column LOG[] = {
  [L_AT] = { "at", "TEXT", COL_PUSH }, [L_PRINCIPAL] = { "principal", "INTEGER", COL_PUSH }, [L_NAME] = { "name", "TEXT", 0 },
  [L_PROFESSION] = { "profession", "TEXT", 0 }, [L_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [L_ACTION] = { "action", "TEXT", COL_PUSH },
  [L_OBJECT] = { "object", "INTEGER", COL_PUSH }, [L_MODE] = { "mode", "TEXT", 0 }, [L_REASON] = { "reason", "TEXT", 0 },
  [L_COUNT] = { "count", "INTEGER", 0 },
};
static const int64_t WEEK = 7LL * 24 * 3600 * 1000;

struct lines { struct log_line *l; size_t n, cap; };

static int keep_line(void *ctx, const struct log_line *line, int64_t block) {
  struct lines *a = ctx;
  (void)block;
  if (a->n == a->cap) {
    size_t cap = a->cap ? 2 * a->cap : 64;
    struct log_line *p = realloc(a->l, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    a->l = p;
    a->cap = cap;
  }
  a->l[a->n] = *line;
  bytes_wipe(a->l[a->n++].key, 32);
  return DMP_OK;
}

static int read_pair(struct session *s, const uint8_t key[32], int64_t patient, int64_t from, struct lines *out) {
  return log_read(s->r->log, key, patient, from, record_now() + WEEK, keep_line, out);
}

/* ---- a full holder: each log secret against everyone who ever held a grant, and who registered the patient ---- */

struct secrets { uint8_t (*k)[32]; size_t n; };

static int take_secret(void *ctx, struct item *it) {
  struct secrets *q = ctx;
  struct value v;
  size_t count, used;
  if (it->c.table != ITEM_LOG_SECRETS || row_get(it->c.row, it->c.row_len, &v, 1, &count, &used) != DMP_OK || v.n != 32) return DMP_OK;
  uint8_t(*k)[32] = malloc((q->n + 1) * 32);          /* not realloc: the old copy is wiped */
  if (k == NULL) return DMP_E_NOMEM;
  if (q->n) memcpy(k, q->k, q->n * 32);
  if (q->n) bytes_wipe(q->k, q->n * 32);
  memcpy(k[q->n++], v.u.p, 32);
  free(q->k);
  q->k = k;
  return DMP_OK;
}

static int read_person(struct session *s, struct patient *p, const struct certificate *who, const struct secrets *q, struct lines *out) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && who && i < q->n; i++) {
    uint8_t shared[32], key[32];
    e = suite_x25519(q->k[i], who->box_pk, shared);
    if (e == DMP_OK) suite_kdf2(shared, 32, p->anchor, 32, "log", 3, key);
    if (e == DMP_OK) e = read_pair(s, key, p->id, id_time(p->id) - WEEK, out);
    bytes_wipe(shared, sizeof shared);
    bytes_wipe(key, sizeof key);
  }
  return e;
}

static int read_as_holder(struct session *s, struct patient *p, struct lines *out) {
  const struct scan w = { .first = CLASS_LOG, .last = CLASS_LOG };
  struct secrets q = { 0 };
  struct grantees gs = { 0 };
  const struct certificate *pc, *issuer;
  int e = object_scan(s, p, &w, take_secret, &q), listed = 0;
  if (e == DMP_OK) e = grantees_read(s, p, &gs);
  if (e == DMP_OK) e = patient_certificate(s, p, &pc);
  issuer = e == DMP_OK ? directory_by_hash(&s->dir, pc->issuer) : NULL;
  for (size_t i = 0; e == DMP_OK && i < gs.n; i++) {
    e = read_person(s, p, patient_who_hash(s, p, gs.g[i].cert), &q, out);
    if (issuer && memcmp(gs.g[i].cert, issuer->hash, 32) == 0) listed = 1;
  }
  if (e == DMP_OK && !listed) e = read_person(s, p, issuer, &q, out);
  if (q.n) bytes_wipe(q.k, q.n * 32);
  free(q.k);
  grantees_free(&gs);
  return e;
}

/* ---- anybody else: the own lines, about what he can still open ---- */

static int own_line_shows(struct session *s, struct patient *p, const struct log_line *l) {
  struct item it;
  int64_t object = id_from_field(l->object);
  if (object == 0 || (l->action != LOG_READ && l->action != LOG_DEPOSIT && l->action != LOG_DELETE && l->action != LOG_MASK && l->action != LOG_UNMASK))
    return 1;
  if (object_open(s, p, object, &it) != DMP_OK) return 0;
  item_close(&it);
  return 1;
}

/* One pairwise key for each log pair that the keysets have named. */
static int read_as_reader(struct session *s, struct patient *p, struct lines *out) {
  uint8_t key[32], last[32] = { 0 };
  struct keyset *k = malloc(sizeof *k);
  size_t kept = 0;
  int e = k ? DMP_OK : DMP_E_NOMEM;
  for (uint64_t seq = 0; e == DMP_OK && seq <= p->g.seq; seq++) {
    e = keyset_get(s, p->id, p->yk, seq, k, NULL);
    if (e != DMP_OK || memcmp(last, k->log_pk[0], 32) == 0) continue;
    memcpy(last, k->log_pk[0], 32);
    e = patient_pairwise(s, p->anchor, last, key);
    if (e == DMP_OK) e = read_pair(s, key, p->id, id_time(p->id) - WEEK, out);
  }
  for (size_t i = 0; e == DMP_OK && i < out->n; i++)
    if (own_line_shows(s, p, &out->l[i])) out->l[kept++] = out->l[i];
  if (e == DMP_OK) out->n = kept;
  bytes_wipe(key, sizeof key);
  free(k);
  return e;
}

static int by_time(const void *a, const void *b) {
  const struct log_line *x = a, *y = b;
  return (x->at > y->at) - (x->at < y->at);
}

static int put_line(struct session *s, struct patient *p, const struct log_line *l, struct rows *out) {
  const struct certificate *who = p ? patient_who(s, p, l->person) : session_who(s, l->person);
  char reason[sizeof l->reason + 1] = { 0 }, profession[8];
  struct value *row = rows_add(out, (int64_t)out->n + 1);
  if (row == NULL) return DMP_E_NOMEM;
  memcpy(reason, l->reason, sizeof l->reason);
  row[L_AT] = rows_time(out, l->at);
  row[L_PRINCIPAL] = value_int(id_from_field(l->person));
  row[L_NAME] = rows_text(out, who ? who->name : s->me.name);
  sqlite3_snprintf(sizeof profession, profession, "%u", who ? who->profession : 0);
  if (who && who->profession) row[L_PROFESSION] = rows_text(out, profession);
  if (id_from_field(l->patient) > 0) row[L_PATIENT] = value_int(id_from_field(l->patient));
  row[L_ACTION] = value_text(log_action_text(l->action));
  if (id_from_field(l->object) > 0) row[L_OBJECT] = value_int(id_from_field(l->object));
  row[L_MODE] = value_text(log_mode_text(l->mode));
  row[L_REASON] = rows_text(out, reason);
  row[L_COUNT] = value_int(l->count);
  return DMP_OK;
}

static int log_make(struct session *s, struct patient *p, struct rows *out) {
  struct lines a = { 0 };
  uint8_t key[32];
  int full = 0, e = s->r->log ? access_counts(s) : DMP_E_LOG_OPEN;
  if (e == DMP_OK && p) e = holder_is_full(s, p, &full);
  if (e == DMP_OK && p) e = full ? read_as_holder(s, p, &a) : read_as_reader(s, p, &a);
  if (e == DMP_OK && p == NULL) {
    access_own_key(s, key);
    e = read_pair(s, key, 0, id_time(s->principal) - WEEK, &a);
    bytes_wipe(key, sizeof key);
  }
  if (a.n > 1) qsort(a.l, a.n, sizeof *a.l, by_time);
  for (size_t i = 0; e == DMP_OK && i < a.n; i++) e = put_line(s, p, &a.l[i], out);
  free(a.l);
  return e;
}

const struct table TABLE_ACCESS_LOG = { .name = "access_log", .col = LOG, .columns = L_COLUMNS, .patient_col = L_PATIENT, .id_col = -1,
                                        .needs_login = 1, .self = 1, .make = log_make };
