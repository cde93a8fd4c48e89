/* verify.c: checks (see verify.h). */
#include "verify.h"
#include "access.h"
#include "body.h"
#include "document.h"
#include "holder.h"
#include "table.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { V_PLACE, V_ROW, V_PATIENT, V_KIND, V_WHAT, V_SCHEMA, V_COLUMNS };
static const char DECLARATION[] = "CREATE TABLE x(place TEXT, \"row\" INTEGER, patient INTEGER, kind TEXT, what TEXT, schema TEXT HIDDEN)";

/* What the log says a state or keyset row is: its last committed hash, and one whose outcome nobody wrote. */
struct logged { uint16_t table; int64_t id; size_t order; uint8_t hash[16], doubt[16]; int sure, doubtful, met; };

struct check {
  struct session *s;
  struct rows out;
  struct logged *log; size_t n, cap;
  int64_t patient;                                    /* being checked; 0 */
  int oom;
};

static void finding(struct check *c, const char *place, int64_t row, const char *kind, const char *what) {
  struct value *v = rows_add(&c->out, (int64_t)c->out.n + 1);
  if (v == NULL) {
    c->oom = 1;
    return;
  }
  v[V_PLACE] = value_text(place);
  if (row) v[V_ROW] = value_int(row);
  if (c->patient) v[V_PATIENT] = value_int(c->patient);
  v[V_KIND] = value_text(kind);
  v[V_WHAT] = rows_text(&c->out, what);
}

/* The fault that a call has just left in the record. */
static void fault(struct check *c, int e, const char *place) {
  int rc;
  struct fault f = c->s->r->fault;
  c->s->r->fault.table = NULL;
  char *text = connection_error(c->s->r, c->s->r->db, e, &rc);
  finding(c, f.table ? f.table : place, f.row, "fault", text ? text : "out of memory");
  sqlite3_free(text);
}

/* ---- the log ---- */

static const uint8_t *writer_key(void *ctx, const uint8_t tag[16]) {
  struct check *c = ctx;
  struct session *s = c->s;
  uint8_t k[32], t[16];
  const uint8_t *pk = NULL;
  suite_kdf_text(s->cred->directory, "writer", k);
  for (size_t i = 0; pk == NULL && i < s->dir.n; i++) {
    suite_prf(k, s->dir.all[i].principal, 16, t);
    const struct certificate *w = memcmp(t, tag, 16) == 0 ? directory_by_hash(&s->dir, s->dir.all[i].hash) : NULL;
    if (w) pk = w->sign_pk;
  }
  for (size_t i = 0; pk == NULL && i < s->owns; i++) {
    uint8_t id[16];
    struct patient *p;
    const struct certificate *w;
    id_field(id, s->own[i].patient);
    suite_prf(k, id, 16, t);
    if (memcmp(t, tag, 16) == 0 && patient_get(s, s->own[i].patient, &p) == DMP_OK && patient_certificate(s, p, &w) == DMP_OK) pk = w->sign_pk;
  }
  bytes_wipe(k, sizeof k);
  return pk;
}

static void log_fault(void *ctx, int64_t block, const char *what) { finding(ctx, "access log block", block, "fault", what); }

static int by_row(const void *a, const void *b) {
  const struct logged *x = a, *y = b;
  if (x->table != y->table) return x->table - y->table;
  return (x->id > y->id) - (x->id < y->id);
}

static int by_row_and_order(const void *a, const void *b) {
  const struct logged *x = a, *y = b;
  int d = by_row(a, b);
  return d ? d : (x->order > y->order) - (x->order < y->order);
}

static void log_row(void *ctx, const struct log_row *row, enum log_kind outcome) {
  struct check *c = ctx;
  if (outcome == LOG_UNDONE) return;
  if (c->n == c->cap) {
    size_t cap = c->cap ? 2 * c->cap : 256;
    struct logged *p = realloc(c->log, cap * sizeof *p);
    if (p == NULL) {
      c->oom = 1;
      return;
    }
    c->log = p;
    c->cap = cap;
  }
  struct logged *l = &c->log[c->n];
  memset(l, 0, sizeof *l);
  l->table = row->table;
  l->id = row->id;
  l->order = c->n++;
  l->sure = outcome != LOG_INTENT;
  l->doubtful = !l->sure;
  memcpy(l->sure ? l->hash : l->doubt, row->hash, 16);
}

/* One entry a row: its last committed hash, and one written after it by a process that died before it could tell. */
static void log_fold(struct check *c) {
  size_t kept = 0;
  if (c->n > 1) qsort(c->log, c->n, sizeof *c->log, by_row_and_order);
  for (size_t i = 0; i < c->n; i++) {
    struct logged *into = kept && by_row(&c->log[kept - 1], &c->log[i]) == 0 ? &c->log[kept - 1] : NULL;
    if (into == NULL) {
      c->log[kept++] = c->log[i];
    } else if (c->log[i].sure) {
      memcpy(into->hash, c->log[i].hash, 16);
      into->sure = 1;
      into->doubtful = 0;
    } else {
      memcpy(into->doubt, c->log[i].doubt, 16);
      into->doubtful = 1;
    }
  }
  c->n = kept;
}

static int rows_against_log(struct check *c, enum record_stmt which, uint16_t table, const char *place) {
  sqlite3_stmt *st = record_stmt(c->s->r, which);
  int rc;
  if (st == NULL) return record_sql_fault(c->s->r);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    struct logged key = { .table = table, .id = sqlite3_column_int64(st, 0) };
    struct logged *l = c->n ? bsearch(&key, c->log, c->n, sizeof *c->log, by_row) : NULL;
    uint8_t h[16];
    suite_hash(sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), h, 16);
    if (l == NULL) finding(c, place, key.id, "fault", "the row was written without a line in the access log");
    else if (!(l->sure && memcmp(l->hash, h, 16) == 0) && !(l->doubtful && memcmp(l->doubt, h, 16) == 0))
      finding(c, place, key.id, "fault", "the row is not the one that the access log says was written last: altered or put back");
    if (l) l->met = 1;
  }
  sqlite3_reset(st);
  if (rc != SQLITE_DONE) return record_sql_fault(c->s->r);
  for (size_t i = 0; i < c->n; i++)
    if (c->log[i].table == table && c->log[i].sure && !c->log[i].met) finding(c, place, c->log[i].id, "fault", "the row is missing: the access log says it was written");
  return DMP_OK;
}

static int check_log(struct check *c) {
  const struct log_check lc = { writer_key, log_fault, log_row, c };
  int e = access_counts(c->s);
  if (e == DMP_OK && (e = log_verify(c->s->r->log, &lc)) == DMP_E_LOG_FORMAT) {
    fault(c, e, "access log");
    return DMP_OK;
  }
  if (e != DMP_OK) return e;
  log_fold(c);
  e = rows_against_log(c, STMT_STATE_ALL, IN_STATE, "dmp_state");
  return e == DMP_OK ? rows_against_log(c, STMT_KEYSET_ALL, IN_KEYSET, "dmp_keyset") : e;
}

/* ---- people ---- */

/* Read again from the file: what the session keeps is as old as its login. */
static int check_directory(struct check *c) {
  struct session *s = c->s;
  struct directory dir = { 0 };
  int e = directory_load(s->r, s->cred->directory, s->cred->authority, &dir);
  for (size_t i = 0; e == DMP_OK && i < dir.n; i++)
    if (directory_by_hash(&dir, dir.all[i].hash) == NULL)
      finding(c, "dmp_certificate", 0, "fault", "a certificate of the directory does not verify");
  directory_free(&dir);
  if (e != DMP_OK && e != DMP_E_NOMEM && e != DMP_E_SQL) {
    fault(c, e, "dmp_certificate");
    e = DMP_OK;
  }
  if (s->inbox_refused) finding(c, "dmp_grant", 0, "fault", "first grants that did not prove were found in the inbox and dropped");
  return e;
}

/* ---- one patient ---- */

static int check_keysets(struct check *c, struct patient *p) {
  struct keyset *k = malloc(2 * sizeof *k);
  const struct certificate *pc;
  struct buf raw = { 0 };
  int e = k ? patient_certificate(c->s, p, &pc) : DMP_E_NOMEM;
  for (uint64_t seq = 0; e == DMP_OK && seq <= p->g.seq; seq++) {
    e = keyset_get(c->s, p->id, p->yk, seq, &k[1], &raw);
    if (e == DMP_E_NOT_FOUND) e = DMP_E_KEYSET_OLD;
    if (e == DMP_OK) e = keyset_follows(c->s, p->id, pc, seq ? &k[0] : NULL, &k[1], &raw);
    if (e == DMP_OK) k[0] = k[1];
  }
  buf_free(&raw);
  free(k);
  return e;
}

static void scan_bad(void *ctx, int e) { fault(ctx, e, "dmp_object"); }

/* Every chunk is opened, in pieces: nothing of it is kept. */
static int check_body(struct check *c, struct patient *p, const struct item *it) {
  struct buf b = { 0 };
  int e = body_check(c->s, p, it);
  for (uint64_t at = 0; e == DMP_OK && at < it->c.body_size; at += DMP_CHUNK) {
    buf_reset(&b);
    e = body_read(c->s, it, at, DMP_CHUNK, &b);
  }
  buf_free(&b);
  return e;
}

static int check_item(struct check *c, struct patient *p, struct item *it) {
  int document = it->c.table == ITEM_DOCUMENT;
  int e = document ? check_body(c, p, it) : object_verify(c->s, p, it);
  if (e == DMP_E_NOMEM) return e;
  if (e != DMP_OK) fault(c, e, "dmp_object");
  if (document && it->via != VIA_OWN && document_class(it) != it->cls)
    finding(c, "dmp_object", it->id, "fault", "the item lies in another rights class than its type asks for");
  if (it->amend.n && !it->deleted) finding(c, "dmp_object", it->id, "fault", "an amendment is not signed by the depositor: it is ignored");
  return DMP_OK;
}

static int each_item(void *ctx, struct item *it) {
  struct check *c = ctx;
  struct patient *p;
  int e = patient_get(c->s, c->patient, &p);
  return e == DMP_OK ? check_item(c, p, it) : e;
}

/* The keyset's public deposit keys are those that the keys held derive. */
static void check_deposit_keys(struct check *c, struct patient *p, const struct keyset *k) {
  for (size_t i = 0; i < k->n; i++)
    for (int l = 0; l < LEAVES; l++) {
      struct leaf *leaf = patient_leaf(p, k->c[i].cls, l);
      if (!leaf->held) continue;
      leaf_deposit_pair(leaf);
      if (memcmp(leaf->deposit_pk, k->c[i].deposit[l], 32) != 0)
        finding(c, "dmp_keyset", 0, "fault", "a deposit key of the keyset is not the one that its compartment's key derives");
    }
}

static int check_patient(struct check *c, int64_t id) {
  const struct scan all = { .first = 0, .last = UINT16_MAX, .own = 1, .bad = scan_bad };
  struct patient *p;
  struct keyset *k;
  c->patient = id;
  int e = patient_get(c->s, id, &p);
  if (e == DMP_OK) e = check_keysets(c, p);
  if (e == DMP_OK) e = patient_keyset(c->s, p, &k);
  for (size_t i = 0; e == DMP_OK && i < k->n; i++)
    if (k->c[i].due) finding(c, "dmp_keyset", 0, "owed", "the keys of a rights class are to be turned at the patient's next login");
  if (e == DMP_OK) check_deposit_keys(c, p, k);
  if (e == DMP_OK) e = object_scan(c->s, p, &all, each_item, c);
  if (e != DMP_OK && e != DMP_E_NOMEM && e != DMP_E_SQL) {
    fault(c, e, "dmp_grant");
    e = DMP_OK;
  }
  c->patient = 0;
  return e;
}

static int check_all(struct check *c) {
  int e = patient_own(c->s);
  if (e == DMP_OK) e = check_log(c);
  if (e == DMP_OK) e = check_directory(c);
  for (size_t i = 0; e == DMP_OK && i < c->s->owns; i++)
    if (i == 0 || c->s->own[i].patient != c->s->own[i - 1].patient) e = check_patient(c, c->s->own[i].patient);
  return e == DMP_OK && c->oom ? DMP_E_NOMEM : e;
}

/* ---- the table-valued function ---- */

struct vtab { sqlite3_vtab base; struct connection *c; };
struct cursor { sqlite3_vtab_cursor base; struct check check; size_t at; };

static int verify_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **err) {
  (void)argc;
  (void)argv;
  (void)err;
  struct vtab *v = calloc(1, sizeof *v);
  if (v == NULL) return SQLITE_NOMEM;
  v->c = aux;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *out = &v->base;
  return sqlite3_declare_vtab(db, DECLARATION);
}

static int verify_disconnect(sqlite3_vtab *v) {
  free(v);
  return SQLITE_OK;
}

static int verify_best_index(sqlite3_vtab *v, sqlite3_index_info *info) {
  (void)v;
  info->estimatedCost = 1e7;
  for (int i = 0; i < info->nConstraint; i++)
    if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == V_SCHEMA && info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ) {
      info->aConstraintUsage[i].argvIndex = 1;
      info->aConstraintUsage[i].omit = 1;
    }
  return SQLITE_OK;
}

static int verify_open(sqlite3_vtab *v, sqlite3_vtab_cursor **out) {
  struct cursor *c = calloc(1, sizeof *c);
  (void)v;
  if (c == NULL) return SQLITE_NOMEM;
  c->check.out.columns = V_COLUMNS;
  *out = &c->base;
  return SQLITE_OK;
}

static void check_clear(struct check *k) {
  arena_free(&k->out.arena);
  free(k->out.v);
  free(k->out.rowid);
  free(k->log);
  *k = (struct check){ .out.columns = V_COLUMNS };
}

static int verify_close(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  check_clear(&c->check);
  free(c);
  return SQLITE_OK;
}

static int verify_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv) {
  struct cursor *c = (struct cursor *)base;
  struct vtab *v = (struct vtab *)base->pVtab;
  struct record *r = NULL;
  const char *schema = argc ? (const char *)sqlite3_value_text(argv[0]) : "main";
  (void)num;
  (void)str;
  check_clear(&c->check);
  c->at = 0;
  int e = connection_record(v->c, schema ? schema : "main", &r);
  if (e == DMP_OK && r->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(r);                /* one snapshot for all that is compared */
  if (e == DMP_OK) e = session_use(r, &c->check.s);
  if (e == DMP_OK) e = check_all(&c->check);
  if (r) record_release(r);
  if (r && r->users == 0) record_finalize(r);
  if (e == DMP_OK) return SQLITE_OK;
  int rc;
  sqlite3_free(v->base.zErrMsg);
  v->base.zErrMsg = connection_error(r, v->c->db, e, &rc);
  return rc;
}

static int verify_next(sqlite3_vtab_cursor *base) {
  ((struct cursor *)base)->at++;
  return SQLITE_OK;
}

static int verify_eof(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  return c->at >= c->check.out.n;
}

static int verify_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  struct cursor *c = (struct cursor *)base;
  table_result(ctx, c->check.out.v + c->at * V_COLUMNS + i);
  return SQLITE_OK;
}

static int verify_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  *out = (sqlite3_int64)((struct cursor *)base)->at + 1;
  return SQLITE_OK;
}

static sqlite3_module MODULE = {
  .iVersion = 1, .xConnect = verify_connect, .xBestIndex = verify_best_index, .xDisconnect = verify_disconnect, .xOpen = verify_open,
  .xClose = verify_close, .xFilter = verify_filter, .xNext = verify_next, .xEof = verify_eof, .xColumn = verify_column, .xRowid = verify_rowid,
};

int verify_register(struct connection *c) { return sqlite3_create_module(c->db, "dmp_verify", &MODULE, c); }
