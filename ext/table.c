/* table.c: the module behind every virtual table of a record (see table.h). */
#include "table.h"
#include "transaction.h"
#include "syntax.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT3

/* Rows that a scan reads ahead: their patients are logged in one block before the first is released. The first batch is small,
 * each next one twice as large: who wants one row does not wait for 256. */
enum { READ_FIRST = 16, READ_AHEAD = 256, CONSTRAINTS_MAX = 16 };

/* ---- batches ---- */

struct arena_block { struct arena_block *next; size_t n, cap; uint8_t p[]; };

void *arena_get(struct arena *a, size_t n) {
  n = (n + 15) & ~(size_t)15;
  struct arena_block *b = a->head;
  if (b == NULL || b->cap - b->n < n) {
    size_t cap = n > 16384 ? n : 16384;
    b = malloc(sizeof *b + cap);
    if (b == NULL) return NULL;
    *b = (struct arena_block){ .next = a->head, .cap = cap };
    a->head = b;
  }
  void *p = b->p + b->n;
  b->n += n;
  return p;
}

void arena_free(struct arena *a) {
  while (a->head) {
    struct arena_block *b = a->head;
    a->head = b->next;
    bytes_wipe(b->p, b->n);
    free(b);
  }
}

struct value *rows_add(struct rows *r, int64_t rowid) {
  if (r->n == r->cap) {
    size_t cap = r->cap ? 2 * r->cap : 64;
    struct value *v = realloc(r->v, cap * (size_t)r->columns * sizeof *v);
    if (v) r->v = v;
    int64_t *id = realloc(r->rowid, cap * sizeof *id);
    if (id) r->rowid = id;
    if (v == NULL || id == NULL) return NULL;
    r->cap = cap;
  }
  struct value *row = r->v + r->n * (size_t)r->columns;
  memset(row, 0, (size_t)r->columns * sizeof *row);
  r->rowid[r->n++] = rowid;
  return row;
}

struct value rows_bytes(struct rows *r, uint8_t type, const void *p, size_t n) {
  void *copy = arena_get(&r->arena, n ? n : 1);
  if (copy == NULL) return (struct value){ 0 };
  if (n) memcpy(copy, p, n);
  return value_bytes(type, copy, n);
}

struct value rows_text(struct rows *r, const char *s) {
  return s && *s ? rows_bytes(r, VALUE_TEXT, s, strlen(s)) : (struct value){ 0 };
}

struct value rows_time(struct rows *r, int64_t unix_ms) {
  char t[32];
  if (unix_ms == 0) return (struct value){ 0 };
  syntax_time_ms(unix_ms, t);
  return rows_text(r, t);
}

static void rows_clear(struct rows *r) {
  r->n = 0;
  arena_free(&r->arena);
}

/* ---- tables and cursors ---- */

struct vtab {
  sqlite3_vtab base;                                  /* base class, first */
  struct connection *c;                               /* borrowed */
  struct record *r;                                   /* borrowed */
  const struct table *t;
};
struct constraint { int column, op; struct value v; };
struct cursor {
  sqlite3_vtab_cursor base;                           /* base class, first */
  struct rows rows;
  size_t at, ahead;                                   /* row in the batch; rows that this batch is to have */
  int64_t *patients; size_t n, next;                  /* owned: those still to be made */
  int done;
  int one;                                            /* the statement named a patient or an item */
  int64_t item;                                       /* the item it named; 0: none */
  uint8_t login[16];                                  /* of the session that began: another one ends the cursor */
  struct constraint con[CONSTRAINTS_MAX]; int cons;
  struct arena values;                                /* of the constraints */
};

static int vtab_error(struct vtab *t, int e) {
  if (e == DMP_OK) return SQLITE_OK;
  int rc;
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = connection_error(t->r, t->c->db, e, &rc);
  return rc;
}

static char *declaration(const struct table *t) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (int i = 0; i < t->columns; i++)
    sqlite3_str_appendf(s, "%s\"%w\" %s%s", i ? ", " : "CREATE TABLE x(", t->col[i].name, t->col[i].decl,
                        t->col[i].flags & COL_HIDDEN ? " HIDDEN" : "");
  sqlite3_str_appendall(s, ")");
  return sqlite3_str_finish(s);
}

static int table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **err) {
  struct vtab *v = NULL;
  const struct table *t = NULL;
  for (const struct table *const *one = ((struct connection *)aux)->tables; argc > 3 && *one; one++)
    if (strcmp(argv[3], (*one)->name) == 0) t = *one;
  if (t == NULL || sqlite3_stricmp(argv[2], t->name) != 0) {
    *err = sqlite3_mprintf("%s: dmp_create() makes the tables of a record, each under its own name", argv[0]);
    return SQLITE_ERROR;
  }
  char *sql = declaration(t);
  int rc = sql ? sqlite3_declare_vtab(db, sql) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc == SQLITE_OK && (v = calloc(1, sizeof *v)) == NULL) rc = SQLITE_NOMEM;
  if (rc != SQLITE_OK) return rc;
  v->c = aux;
  v->t = t;
  if (connection_record(aux, argv[1], &v->r) != DMP_OK) {
    free(v);
    return SQLITE_NOMEM;
  }
  v->r->users++;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  *out = &v->base;
  return SQLITE_OK;
}

/* Apart from xConnect, else the tables would answer in any database without being created. */
static int table_create(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **err) {
  return table_connect(db, aux, argc, argv, out, err);
}

static int table_disconnect(sqlite3_vtab *base) {
  struct vtab *v = (struct vtab *)base;
  if (--v->r->users == 0) record_finalize(v->r);      /* a connection with open statements can't be closed */
  free(v);
  return SQLITE_OK;
}

static int table_destroy(sqlite3_vtab *base) {
  return vtab_error((struct vtab *)base, DMP_E_READ_ONLY);
}

static int table_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
  struct cursor *c = calloc(1, sizeof *c);
  if (c == NULL) return SQLITE_NOMEM;
  c->rows.columns = ((struct vtab *)base)->t->columns;
  *out = &c->base;
  return SQLITE_OK;
}

static int table_close(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  rows_clear(&c->rows);
  free(c->rows.v);
  free(c->rows.rowid);
  free(c->patients);
  arena_free(&c->values);
  free(c);
  return SQLITE_OK;
}

/* ---- planning ---- */

/* idxStr, read again by table_filter: a sentence for EXPLAIN QUERY PLAN, ':' and "column,op;" for each argument. */
static int pushable(const struct table *t, sqlite3_index_info *info, int i) {
  const struct sqlite3_index_constraint *c = &info->aConstraint[i];
  if (!c->usable || c->iColumn >= t->columns) return 0;
  if (c->iColumn < 0) return c->op == SQLITE_INDEX_CONSTRAINT_EQ && t->id_col >= 0 && !t->several;
  if (!(t->col[c->iColumn].flags & COL_PUSH)) return 0;
  if (c->op != SQLITE_INDEX_CONSTRAINT_EQ && c->op != SQLITE_INDEX_CONSTRAINT_GT && c->op != SQLITE_INDEX_CONSTRAINT_GE &&
      c->op != SQLITE_INDEX_CONSTRAINT_LT && c->op != SQLITE_INDEX_CONSTRAINT_LE)
    return 0;
  const char *coll = sqlite3_vtab_collation(info, i);
  return coll == NULL || sqlite3_stricmp(coll, "BINARY") == 0;
}

static int table_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
  const struct table *t = ((struct vtab *)base)->t;
  int one_patient = 0, one_item = 0, args = 0, others = 0, asked = t->asked_col == 0, unusable = 0;
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (int i = 0; i < info->nConstraint && args < CONSTRAINTS_MAX; i++) {
    if (info->aConstraint[i].iColumn == t->asked_col && !info->aConstraint[i].usable) unusable = 1;
    if (!pushable(t, info, i)) continue;
    int col = info->aConstraint[i].iColumn < 0 ? t->id_col : info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
    info->aConstraintUsage[i].argvIndex = ++args;
    if (op == SQLITE_INDEX_CONSTRAINT_EQ && col == t->patient_col) one_patient = 1;
    else if (op == SQLITE_INDEX_CONSTRAINT_EQ && col == t->id_col) one_item = 1;
    else if (op == SQLITE_INDEX_CONSTRAINT_EQ && col == t->asked_col) asked = 1;
    else others++;
    sqlite3_str_appendf(s, "%d,%d;", col, op);
  }
  char *list = sqlite3_str_finish(s);
  if (!asked && unusable) {                           /* another order of the join gives the value */
    sqlite3_free(list);
    return SQLITE_CONSTRAINT;
  }
  const char *how = t->patient_col < 0 ? "all rows" : one_item ? "one item" : one_patient ? "one patient, opened item by item"
                  : "every patient of this login, opened item by item";
  info->idxStr = sqlite3_mprintf("%s:%s", how, list ? list : "");
  sqlite3_free(list);
  info->needToFreeIdxStr = 1;
  info->idxNum = t->patient_col >= 0 ? one_patient | one_item << 1 : 0;
  info->estimatedRows = one_item ? 1 : one_patient ? 50 : t->patient_col < 0 ? 200 : 100000;
  if (others) info->estimatedRows = info->estimatedRows / 4 + 1;
  info->estimatedCost = one_item ? 10 : one_patient ? 200 : t->patient_col < 0 ? 400 : 1e6;
  if (one_item && !t->several) info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
  return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- reading ---- */

/* The right-hand side as the column's affinity would make it; VALUE_NULL kept. 0: out of memory. */
static int constraint_value(struct cursor *c, const struct column *col, sqlite3_value *v, struct value *out) {
  int numeric = col->decl[0] == 'I', type = numeric ? sqlite3_value_numeric_type(v) : sqlite3_value_type(v);
  if (type == SQLITE_NULL) *out = (struct value){ 0 };
  else if (type == SQLITE_INTEGER && numeric) *out = value_int(sqlite3_value_int64(v));
  else if (type == SQLITE_FLOAT && numeric) *out = (struct value){ .type = VALUE_REAL, .u.r = sqlite3_value_double(v) };
  else {
    int blob = type == SQLITE_BLOB;
    const void *p = blob ? sqlite3_value_blob(v) : (const void *)sqlite3_value_text(v);
    size_t n = (size_t)sqlite3_value_bytes(v);
    void *copy = arena_get(&c->values, n ? n : 1);
    if (copy == NULL) return 0;
    if (n) memcpy(copy, p, n);
    *out = value_bytes(blob ? VALUE_BLOB : VALUE_TEXT, copy, n);
  }
  return 1;
}

static int filter_constraints(struct cursor *c, const struct table *t, const char *str, int argc, sqlite3_value **argv) {
  const char *p = strchr(str, ':');
  c->cons = 0;
  for (int i = 0; i < argc && i < CONSTRAINTS_MAX && p; i++) {
    struct constraint *k = &c->con[c->cons++];
    char *end;
    k->column = (int)strtol(p + 1, &end, 10);
    k->op = (int)strtol(end + 1, &end, 10);
    p = end;
    if (!constraint_value(c, &t->col[k->column], argv[i], &k->v)) return DMP_E_NOMEM;
  }
  return DMP_OK;
}

static int row_passes(const struct cursor *c, const struct value *row) {
  for (int i = 0; i < c->cons; i++) {
    const struct constraint *k = &c->con[i];
    const struct value *v = &row[k->column];
    if (v->type == VALUE_NULL || k->v.type == VALUE_NULL) return 0;
    int d = value_compare(v, &k->v);
    int good = k->op == SQLITE_INDEX_CONSTRAINT_EQ ? d == 0 : k->op == SQLITE_INDEX_CONSTRAINT_GT ? d > 0
             : k->op == SQLITE_INDEX_CONSTRAINT_GE ? d >= 0 : k->op == SQLITE_INDEX_CONSTRAINT_LT ? d < 0 : d <= 0;
    if (!good) return 0;
  }
  return 1;
}

static int add_patient(struct cursor *c, int64_t id) {
  int64_t *p = realloc(c->patients, (c->n + 1) * sizeof *p);
  if (p == NULL) return DMP_E_NOMEM;
  c->patients = p;
  p[c->n++] = id;
  return DMP_OK;
}

static int all_patients(struct cursor *c, struct session *s) {
  int e = patient_own(s);
  if (e != DMP_OK || s->owns == 0) return e;
  c->patients = malloc(s->owns * sizeof *c->patients);
  if (c->patients == NULL) return DMP_E_NOMEM;
  for (size_t i = 0; i < s->owns; i++)
    if (i == 0 || s->own[i].patient != s->own[i - 1].patient) c->patients[c->n++] = s->own[i].patient;
  return DMP_OK;
}

/* Which patients the statement reaches. */
static int filter_patients(struct cursor *c, const struct table *t, struct session *s) {
  struct patient *p;
  struct item it;
  for (int i = 0; i < c->cons; i++) {
    const struct constraint *k = &c->con[i];
    if (k->op != SQLITE_INDEX_CONSTRAINT_EQ || (k->column != t->patient_col && k->column != t->id_col)) continue;
    c->one = 1;
    if (k->v.type != VALUE_INT) return DMP_OK;        /* names nothing */
    if (k->column == t->patient_col) return add_patient(c, k->v.u.i);
    int e = object_find(s, k->v.u.i, &p, &it);
    if (e == DMP_E_NOT_FOUND) return DMP_OK;
    if (e != DMP_OK) return e;
    item_close(&it);
    c->item = k->v.u.i;
    return add_patient(c, p->id);
  }
  return all_patients(c, s);
}

/* The value that a table needs before it can make a row. */
static int filter_asked(struct cursor *c, const struct table *t, struct session *s) {
  for (int i = 0; i < c->cons; i++) {
    const struct constraint *k = &c->con[i];
    if (k->column != t->asked_col || k->op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    c->rows.asked = k->v.type == VALUE_INT ? k->v.u.i : 0;
    return DMP_OK;
  }
  sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "column %s", t->col[t->asked_col].name);
  return DMP_E_MISSING;
}

/* Rows of one patient, filtered; kept ones stay in the batch. */
static int make_patient(struct cursor *c, const struct table *t, struct session *s, struct patient *p, struct access *a) {
  size_t first = c->rows.n, kept = first, hidden = c->rows.hidden, withheld = c->rows.withheld;
  int e = c->item && t->make_one ? t->make_one(s, p, c->item, &c->rows) : t->make(s, p, &c->rows);
  size_t made = c->rows.n - first;                    /* opened is consulted, also when no row passes the filter */
  int all = made && (!c->one || c->item);             /* who names a patient lists him, whatever there is */
  int64_t about = all && c->rows.withheld - withheld == made ? c->rows.rowid[first] : 0;
  size_t w = (size_t)c->rows.columns;
  for (size_t i = first; e == DMP_OK && i < c->rows.n; i++) {
    if (!row_passes(c, c->rows.v + i * w)) continue;
    if (kept != i) {
      memcpy(c->rows.v + kept * w, c->rows.v + i * w, w * sizeof *c->rows.v);
      c->rows.rowid[kept] = c->rows.rowid[i];
    }
    kept++;
  }
  c->rows.n = kept;
  if (e == DMP_OK && t->listing && p && (made || c->one)) e = access_list(s, a, p, all && c->rows.hidden - hidden == made, about);
  return e;
}

/* The next batch: made, logged, then released. */
static int next_batch(struct cursor *c, const struct table *t, struct session *s) {
  struct access a = { 0 };
  int e = DMP_OK;
  rows_clear(&c->rows);
  c->at = 0;
  while (e == DMP_OK && t->patient_col >= 0 && c->rows.n < c->ahead && c->next < c->n) {
    struct patient *p;
    e = patient_get(s, c->patients[c->next++], &p);
    if (e == DMP_OK) e = make_patient(c, t, s, p, &a);
    else if (e == DMP_E_NO_PATIENT) e = DMP_OK;       /* absent, unknown and withdrawn look the same */
  }
  /* rows that are about no patient: all of them, or those that stand behind the patients' */
  if (e == DMP_OK && !c->done && c->next >= c->n) {
    if (t->patient_col < 0 || (t->self && !c->one)) e = make_patient(c, t, s, NULL, &a);
    c->done = 1;
  }
  if (c->ahead < READ_AHEAD) c->ahead *= 2;
  if (e == DMP_OK) e = access_flush(s, &a);
  if (e != DMP_OK) rows_clear(&c->rows);              /* no log, no data */
  access_free(&a);
  return e;
}

static int table_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv) {
  struct cursor *c = (struct cursor *)base;
  struct vtab *v = (struct vtab *)base->pVtab;
  struct session *s;
  (void)num;
  rows_clear(&c->rows);
  arena_free(&c->values);
  free(c->patients);
  c->patients = NULL;
  c->n = c->next = c->at = 0;
  c->done = c->one = 0;
  c->item = 0;
  c->ahead = READ_FIRST;
  int e = session_use(v->r, &s);
  if (e == DMP_E_NO_SESSION && !v->t->needs_login) {
    c->done = 1;
    return SQLITE_OK;
  }
  if (e == DMP_OK) memcpy(c->login, s->login_id, 16);
  if (e == DMP_OK) e = filter_constraints(c, v->t, str, argc, argv);
  if (e == DMP_OK && v->t->asked_col) e = filter_asked(c, v->t, s);
  if (e == DMP_OK && v->t->patient_col >= 0) e = filter_patients(c, v->t, s);
  if (e == DMP_OK) e = next_batch(c, v->t, s);
  return vtab_error(v, e);
}

/* The session that began this cursor, or none: rows made for one login are not released to the next. */
static int cursor_alive(const struct vtab *v, const struct cursor *c) {
  return v->r->session && v->r->session->pid == getpid() && memcmp(v->r->session->login_id, c->login, 16) == 0;
}

static int cursor_session(struct vtab *v, struct cursor *c, struct session **s) {
  int e = session_use(v->r, s);
  return e == DMP_OK && !cursor_alive(v, c) ? DMP_E_NO_SESSION : e;
}

static int table_next(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  struct vtab *v = (struct vtab *)base->pVtab;
  if (!cursor_alive(v, c)) {
    rows_clear(&c->rows);
    return vtab_error(v, DMP_E_NO_SESSION);
  }
  int more = !c->done;
  if (++c->at < c->rows.n || !more) return SQLITE_OK;
  struct session *s;
  int e = cursor_session(v, c, &s);
  return vtab_error(v, e == DMP_OK ? next_batch(c, v->t, s) : e);
}

static int table_eof(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  return c->at >= c->rows.n;
}

void table_result(sqlite3_context *ctx, const struct value *x) {
  switch (x->type) {
    case VALUE_INT: sqlite3_result_int64(ctx, x->u.i); break;
    case VALUE_REAL: sqlite3_result_double(ctx, x->u.r); break;
    case VALUE_TEXT: sqlite3_result_text(ctx, (const char *)x->u.p, (int)x->n, SQLITE_TRANSIENT); break;
    case VALUE_BLOB: sqlite3_result_blob(ctx, x->u.p, (int)x->n, SQLITE_TRANSIENT); break;
    default: sqlite3_result_null(ctx);
  }
}

static int table_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  struct cursor *c = (struct cursor *)base;
  struct vtab *v = (struct vtab *)base->pVtab;
  if (sqlite3_vtab_nochange(ctx)) return SQLITE_OK;
  if (v->t->col[i].flags & COL_LATE) {
    struct session *s;
    int e = cursor_session(v, c, &s);
    return vtab_error(v, e == DMP_OK ? v->t->late(s, c->rows.rowid[c->at], i, ctx) : e);
  }
  table_result(ctx, c->rows.v + c->at * (size_t)c->rows.columns + i);
  return SQLITE_OK;
}

static int table_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  struct cursor *c = (struct cursor *)base;
  *out = c->rows.rowid[c->at];
  return SQLITE_OK;
}

/* ---- writing ---- */

static int update_call(struct vtab *v, struct session *s, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
  const struct table *t = v->t;
  if (argc == 1) return t->erase ? t->erase(s, sqlite3_value_int64(argv[0])) : DMP_E_READ_ONLY;
  if (sqlite3_value_type(argv[0]) == SQLITE_NULL) {
    int64_t id = 0;
    int e = t->insert ? t->insert(s, argv + 2, &id) : DMP_E_READ_ONLY;
    *rowid = id;
    return e;
  }
  return t->update ? t->update(s, sqlite3_value_int64(argv[0]), argv + 2) : DMP_E_READ_ONLY;
}

static int table_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
  struct vtab *v = (struct vtab *)base;
  struct session *s;
  sqlite3 *db = v->c->db;
  sqlite3_int64 last = sqlite3_last_insert_rowid(db);
  int e = session_use(v->r, &s);
  if (e == DMP_OK) {
    s->pending.whole = sqlite3_total_changes64(db);
    e = access_full(s) ? DMP_E_TRANSACTION : update_call(v, s, argc, argv, rowid);
    if (e != DMP_OK && sqlite3_total_changes64(db) != s->pending.whole) s->pending.halfway = 1;
    if (e == DMP_OK) session_wrote(s);
    else session_stale(s);
  }
  sqlite3_set_last_insert_rowid(db, last);            /* an INSERT sets its own after this */
  return vtab_error(v, e);
}

static int table_begin(sqlite3_vtab *base) {
  struct vtab *v = (struct vtab *)base;
  struct session *s;
  int e = session_use(v->r, &s);
  return vtab_error(v, e == DMP_OK ? session_writes(s) : e);
}

static int table_sync(sqlite3_vtab *base) {
  struct vtab *v = (struct vtab *)base;
  return vtab_error(v, transaction_sync(v->r));
}

static int table_commit(sqlite3_vtab *base) {
  transaction_end(((struct vtab *)base)->r, 1);
  return SQLITE_OK;
}

static int table_rollback(sqlite3_vtab *base) {
  transaction_end(((struct vtab *)base)->r, 0);
  return SQLITE_OK;
}

static int table_savepoint(sqlite3_vtab *base, int n) {
  struct vtab *v = (struct vtab *)base;
  return vtab_error(v, transaction_savepoint(v->r, n));
}

static int table_release(sqlite3_vtab *base, int n) {
  transaction_release(((struct vtab *)base)->r, n);
  return SQLITE_OK;
}

static int table_rollback_to(sqlite3_vtab *base, int n) {
  transaction_rollback_to(((struct vtab *)base)->r, n);
  return SQLITE_OK;
}

static int table_shadow_name(const char *name) {
  static const char *const NAMES[] = { "record", "certificate", "keyset", "grant", "object", "wrap", "chunk", "state", "sealed", "reader" };
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (sqlite3_stricmp(name, NAMES[i]) == 0) return 1;
  return 0;
}

static sqlite3_module MODULE = {
  .iVersion = 3, .xCreate = table_create, .xConnect = table_connect, .xBestIndex = table_best_index, .xDisconnect = table_disconnect,
  .xDestroy = table_destroy, .xOpen = table_open, .xClose = table_close, .xFilter = table_filter, .xNext = table_next, .xEof = table_eof,
  .xColumn = table_column, .xRowid = table_rowid, .xUpdate = table_update, .xBegin = table_begin, .xSync = table_sync,
  .xCommit = table_commit, .xRollback = table_rollback, .xSavepoint = table_savepoint, .xRelease = table_release,
  .xRollbackTo = table_rollback_to, .xShadowName = table_shadow_name,
};

int table_register(struct connection *c, void (*ended)(void *)) {
  return sqlite3_create_module_v2(c->db, DMP_MODULE, &MODULE, c, ended);
}

/* ---- values given to INSERT ---- */

int take_text(sqlite3_value *v, const char **out) {
  *out = NULL;
  if (sqlite3_value_type(v) == SQLITE_NULL) return DMP_OK;
  if (sqlite3_value_type(v) == SQLITE_BLOB) return DMP_E_TYPE;
  const char *s = (const char *)sqlite3_value_text(v);
  if (s == NULL) return DMP_E_NOMEM;
  size_t n = (size_t)sqlite3_value_bytes(v);
  if (n > DMP_TITLE_MAX) return DMP_E_TOO_BIG;
  if (!syntax_utf8(s, n)) return DMP_E_TEXT;
  *out = n ? s : NULL;                                /* an empty text says nothing: unknown */
  return DMP_OK;
}

int take_int(sqlite3_value *v, int64_t *out, int *given) {
  int type = sqlite3_value_numeric_type(v);
  *out = 0;
  *given = type != SQLITE_NULL;
  if (type == SQLITE_NULL) return DMP_OK;
  if (type != SQLITE_INTEGER) return DMP_E_TYPE;
  *out = sqlite3_value_int64(v);
  return DMP_OK;
}

int take_flag(sqlite3_value *v, int *out) {
  int64_t i;
  int given, e = take_int(v, &i, &given);
  *out = i == 1;
  return e != DMP_OK ? e : i == 0 || i == 1 ? DMP_OK : DMP_E_TYPE;
}

int take_until(sqlite3_value *v, int64_t *unix_ms) {
  const char *text;
  char norm[32];
  struct tm t = { 0 };
  int e = take_text(v, &text);
  *unix_ms = 0;
  if (e != DMP_OK || text == NULL) return e;
  if (!syntax_time(text, norm)) return DMP_E_DATE;
  const char *end = strptime(norm, strlen(norm) == 10 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &t);
  *unix_ms = (int64_t)timegm(&t) * 1000;
  if (end == NULL || *unix_ms <= 0) return DMP_E_DATE;
  return *unix_ms <= record_now() ? DMP_E_EXPIRED : DMP_OK;
}
