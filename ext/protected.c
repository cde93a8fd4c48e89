/* protected.c: the virtual table of a protected table (see protected.h). */
#include "protected.h"
#include "convert.h"
#include "memory.h"
#include "protect_ddl.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT3

enum { POOL = 8, CONSTRAINTS = 32, INDEXES = 16, INDEX_COLUMNS = 8, WHOLE = 500 /* values of an IN that the shadow gets at once */ };
enum { NEEDS_BOX = 1 };                               /* idxNum */

/* What a session's key of the table costs once: in locked memory. */
struct unlocked { uint8_t login[16]; unsigned generation; int state; /* 0 not asked, 1 held, 2 not held */ uint8_t key[32]; struct protect_sub sub; };

/* An index of the shadow; rows[k]: how many rows agree in its first k columns, by the statistics. */
struct pindex { int n, col[INDEX_COLUMNS]; double rows[INDEX_COLUMNS + 1]; };

struct pooled { sqlite3_stmt *st; char *tail; int box; };   /* owned: reads the shadow, with the box or without, WHERE and ORDER BY tail */

struct ptab {
  sqlite3_vtab base;                                  /* base class, first */
  struct connection *c;                               /* borrowed */
  struct record *r;                                   /* borrowed */
  struct protect d;                                   /* owned */
  char *schema, *shadow;                              /* owned: quoted "schema"."table_dmp" */
  const char *key;                                    /* borrowed from d: the shadow's rowid column */
  int without_rowid;                                  /* the table as it was declared */
  int *place;                                         /* owned: where a column stands: in SELECT for plain ones, in the box for sealed ones */
  int sealed;                                         /* how many are */
  struct unlocked *u;                                 /* owned, locked */
  struct buf scratch;                                 /* of point look-ups by writes */
  struct pooled pool[POOL];                           /* idle statements of closed cursors */
  int begun, checked;                                 /* in a transaction that wrote: SQLite tells what is rolled back; ptab_key passed in it */
  sqlite3_stmt *insert, *replace, *erase, *old, *next, *update;
  uint8_t *update_mask;                               /* which columns the prepared UPDATE sets */
  double rows;                                        /* as the statistics say */
  struct pindex index[INDEXES]; int indexes;
};
struct pcursor {
  sqlite3_vtab_cursor base;                           /* base class, first */
  sqlite3_stmt *st; char *tail; int box;              /* owned while open: see pooled */
  int eof, opened;
  int keyed;                                          /* the login holds the key */
  struct buf plain;                                   /* the opened row */
  const uint8_t *row; size_t row_len;
  struct value *v;                                    /* sealed values of the row, in box order */
};

/* ---- errors ---- */

static int ptab_error(struct ptab *t, int e) {
  int rc;
  if (e == DMP_OK) return SQLITE_OK;
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = connection_error(t->r, t->c->db, e, &rc);
  return rc;
}

static int ptab_fail(struct ptab *t, int rc, const char *message) {
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf("%s", message);
  return rc;
}

/* Is this the message about the primary key that the shadow holds as UNIQUE? Each of its columns is named, and no other. */
static int names_key(const struct ptab *t, const char *m) {
  int columns = 0, commas = 0;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (!(t->d.c[i].flags & PCOL_PK)) continue;
    char *name = sqlite3_mprintf("%s.%s", t->d.table, t->d.c[i].name);
    const char *at = name ? strstr(m, name) : NULL;
    int named = at && (at[strlen(name)] == 0 || at[strlen(name)] == ',');
    sqlite3_free(name);
    if (!named) return 0;
    columns++;
  }
  for (; *m; m++) commas += *m == ',';
  return columns > 0 && commas == columns - 1;
}

/* An error of the shadow in the table's own name. */
static int shadow_error(struct ptab *t) {
  int rc = sqlite3_extended_errcode(t->c->db);
  const size_t n = strlen(t->d.table), k = strlen(PROTECT_SUFFIX);
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (const char *m = sqlite3_errmsg(t->c->db); *m; m++) {
    int ours = sqlite3_strnicmp(m, t->d.table, (int)n) == 0 && sqlite3_strnicmp(m + n, PROTECT_SUFFIX, (int)k) == 0 && !isalnum((unsigned char)m[n + k]) &&
               m[n + k] != '_';
    sqlite3_str_append(s, m, ours ? (int)n : 1);
    if (ours) m += n + k - 1;
  }
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_str_finish(s);
  if (rc == SQLITE_CONSTRAINT_UNIQUE && t->base.zErrMsg && names_key(t, t->base.zErrMsg)) return SQLITE_CONSTRAINT_PRIMARYKEY;
  if (rc == SQLITE_CONSTRAINT_PRIMARYKEY && strcmp(t->key, PROTECT_ID) == 0) {
    sqlite3_free(t->base.zErrMsg);
    t->base.zErrMsg = sqlite3_mprintf("UNIQUE constraint failed: %s.rowid", t->d.table);
    return SQLITE_CONSTRAINT_ROWID;
  }
  return rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_ERROR : rc;
}

static int notnull_error(struct ptab *t, const struct pcol *c) {
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf("NOT NULL constraint failed: %s.%s", t->d.table, c->name);
  return SQLITE_CONSTRAINT_NOTNULL;
}

/* ---- connecting ---- */

static char *declaration(const struct protect *d) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  sqlite3_str_appendall(s, "CREATE TABLE x(");
  for (uint32_t i = 0; i < d->columns; i++) {
    const struct pcol *c = &d->c[i];
    sqlite3_str_appendf(s, "%s\"%w\" %s", i ? ", " : "", c->name, c->flags & PCOL_STRICT && sqlite3_stricmp(c->decl, "ANY") == 0 ? "" : c->decl);
    if (*c->coll && sqlite3_stricmp(c->coll, "BINARY") != 0) sqlite3_str_appendf(s, " COLLATE \"%w\"", c->coll);
    if (c->flags & PCOL_ROWID) sqlite3_str_appendall(s, " PRIMARY KEY");
    else if (c->flags & PCOL_NOTNULL) sqlite3_str_appendall(s, " NOT NULL");
  }
  sqlite3_str_appendall(s, ")");
  return sqlite3_str_finish(s);
}

static void ptab_finalize(struct ptab *t) {
  sqlite3_stmt **all[] = { &t->insert, &t->replace, &t->erase, &t->old, &t->next, &t->update };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    sqlite3_finalize(*all[i]);
    *all[i] = NULL;
  }
  for (int i = 0; i < POOL; i++) {
    sqlite3_finalize(t->pool[i].st);
    sqlite3_free(t->pool[i].tail);
    t->pool[i] = (struct pooled){ 0 };
  }
}

static void ptab_free(struct ptab *t) {
  if (t == NULL) return;
  ptab_finalize(t);
  protect_free(&t->d);
  memory_free(t->u);
  buf_free(&t->scratch);
  sqlite3_free(t->schema);
  sqlite3_free(t->shadow);
  free(t->place);
  free(t->update_mask);
  free(t);
}

static void ptab_places(struct ptab *t) {
  int plain = 2;                                      /* SELECT rowid, box, plain… */
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (t->d.c[i].flags & PCOL_SEALED) t->place[i] = t->sealed++;
    else t->place[i] = plain++;
  }
}

/* What the statistics say of one index; SQLite's own guesses where there are none. stat: "2085 7 1" or NULL. */
static void index_rows(struct pindex *x, const char *stat, int unique, double rows) {
  static const double GUESS[] = { 10, 9, 8, 7, 6, 5, 5, 5 };
  x->rows[0] = rows;
  for (int k = 0; k < x->n; k++) x->rows[k + 1] = unique && k == x->n - 1 ? 1 : GUESS[k];
  for (int k = 0; stat && *stat >= '0' && *stat <= '9' && k <= x->n; k++) {
    x->rows[k] = (double)strtoll(stat, (char **)&stat, 10);
    stat += *stat == ' ';
  }
}

static int column_named(const struct ptab *t, const char *name) {
  for (uint32_t i = 0; name && i < t->d.columns; i++)
    if (sqlite3_stricmp(t->d.c[i].name, name) == 0) return (int)i;
  return -1;
}

static int has_statistics(struct ptab *t) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT 1 FROM %s.sqlite_schema WHERE name='sqlite_stat1'", t->schema);
  int yes = sql && sqlite3_prepare_v2(t->c->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return yes;
}

/* The shadow's indexes and how many rows they lead to: xBestIndex's costs follow. Partial ones are left to SQLite. */
static void ptab_statistics(struct ptab *t) {
  sqlite3_stmt *st = NULL;
  int stats = has_statistics(t);
  char *plain = sqlite3_mprintf("%s" PROTECT_SUFFIX, t->d.table);
  char *sql = sqlite3_mprintf("SELECT l.seq,l.\"unique\",i.seqno,i.name,%s FROM pragma_index_list(%Q,%Q) l JOIN pragma_index_info(l.name,%Q) i "
                              "WHERE NOT l.partial ORDER BY l.seq,i.seqno",
                              stats ? "(SELECT stat FROM sqlite_stat1 s WHERE s.idx=l.name)" : "NULL", plain, t->r->schema, t->r->schema);
  char *count = stats ? sqlite3_mprintf("SELECT max(CAST(stat AS INTEGER)) FROM %s.sqlite_stat1 WHERE tbl=%Q", t->schema, plain) : NULL;
  t->rows = 200000;
  if (count && sqlite3_prepare_v2(t->c->db, count, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int64(st, 0) > 0)
    t->rows = sqlite3_column_double(st, 0);
  sqlite3_finalize(st);
  st = NULL;
  struct pindex *x = NULL;
  if (sql == NULL || sqlite3_prepare_v2(t->c->db, sql, -1, &st, NULL) != SQLITE_OK) st = NULL;
  while (st && sqlite3_step(st) == SQLITE_ROW) {
    int seqno = sqlite3_column_int(st, 2), col = column_named(t, (const char *)sqlite3_column_text(st, 3));
    if (seqno == 0) x = t->indexes < INDEXES ? &t->index[t->indexes++] : NULL;
    if (x == NULL || x->n != seqno || seqno >= INDEX_COLUMNS || col < 0) continue;
    x->col[x->n++] = col;
    index_rows(x, (const char *)sqlite3_column_text(st, 4), sqlite3_column_int(st, 1), t->rows);
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  sqlite3_free(count);
  sqlite3_free(plain);
}

static int ptab_load(struct ptab *t, const char *schema, const char *table) {
  int e = connection_record(t->c, schema, &t->r);
  if (e == DMP_OK) e = protect_get(t->r, table, &t->d);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_E_NOT_PROTECTED : e;
  t->schema = sqlite3_mprintf("\"%w\"", schema);
  t->shadow = sqlite3_mprintf("\"%w\".\"%w" PROTECT_SUFFIX "\"", schema, t->d.table);
  t->place = calloc(t->d.columns, sizeof *t->place);
  t->update_mask = calloc(t->d.columns + 1, 1);
  t->u = memory_new(sizeof *t->u);
  if (t->u == NULL) return DMP_E_LOCK;
  if (!t->schema || !t->shadow || !t->place || !t->update_mask) return DMP_E_NOMEM;
  t->key = protect_rowid(&t->d);
  t->without_rowid = ddl_without_rowid(t->d.ddl);
  ptab_places(t);
  ptab_statistics(t);
  return DMP_OK;
}

static int ptab_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **err) {
  struct ptab *t = calloc(1, sizeof *t);
  if (t == NULL) return SQLITE_NOMEM;
  t->c = aux;
  int e = argc == 3 ? ptab_load(t, argv[1], argv[2]) : DMP_E_PROTECT_BAD, rc = SQLITE_OK;
  if (e != DMP_OK) {
    *err = connection_error(t->r, db, e, &rc);
  } else {
    char *sql = declaration(&t->d);
    rc = sql ? sqlite3_declare_vtab(db, sql) : SQLITE_NOMEM;
    sqlite3_free(sql);
  }
  if (rc != SQLITE_OK) {
    ptab_free(t);
    return rc;
  }
  t->r->users++;
  sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  *out = &t->base;
  return SQLITE_OK;
}

static int ptab_create(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **err) {
  return ptab_connect(db, aux, argc, argv, out, err);
}

static int ptab_disconnect(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  if (--t->r->users == 0) record_finalize(t->r);
  ptab_free(t);
  return SQLITE_OK;
}

/* ---- the key ---- */

/* 1 held, 0 not. An error of the file is an error, not an absence. */
static int ptab_key(struct ptab *t, struct session **s, int *held) {
  struct unlocked *u = t->u;
  *held = 0;
  int e = session_use(t->r, s);
  if (e == DMP_E_NO_SESSION) return DMP_OK;
  if (e == DMP_OK && t->r->watched_check != t->r->schema_checks) {
    e = convert_check(*s);                            /* a view or trigger planted since the table was protected */
    if (e == DMP_OK) t->r->watched_check = t->r->schema_checks;
  }
  if (e != DMP_OK) return e;
  if (t->c->unsettled && !t->begun) {                 /* a key was drawn in a transaction that may be rolled back */
    t->c->unsettled = !sqlite3_get_autocommit(t->c->db);
    session_stale(*s);
  }
  if (u->state == 0 || u->generation != (*s)->generation || memcmp(u->login, (*s)->login_id, 16) != 0) {
    struct protect now;
    e = protect_get(t->r, t->d.table, &now);          /* the key may have turned */
    int same = e == DMP_OK && u->state == 1 && memcmp(u->login, (*s)->login_id, 16) == 0 && memcmp(t->d.kid, now.kid, 16) == 0;
    if (e == DMP_OK) memcpy(t->d.kid, now.kid, 16);
    protect_free(&now);
    if (!same) u->sub.ready = 0;
    if (e == DMP_OK && !same) e = protect_key(*s, &t->d, u->key);
    u->state = e == DMP_OK ? 1 : 2;
    u->generation = (*s)->generation;
    memcpy(u->login, (*s)->login_id, 16);
    if (e == DMP_E_NO_TABLE_KEY) e = DMP_OK;
    if (e != DMP_OK) u->state = 0;
  }
  *held = u->state == 1;
  return e;
}

/* ---- affinity of declared types ---- */

enum affinity { AFF_BLOB, AFF_TEXT, AFF_NUMERIC, AFF_INTEGER, AFF_REAL };

static int has(const char *decl, const char *word) {
  size_t n = strlen(word);
  for (; *decl; decl++)
    if (sqlite3_strnicmp(decl, word, (int)n) == 0) return 1;
  return 0;
}

/* SQLite's rules for a declared type, in their order (Datatypes In SQLite, 3.1). */
static enum affinity affinity_of(const char *decl) {
  if (has(decl, "INT")) return AFF_INTEGER;
  if (has(decl, "CHAR") || has(decl, "CLOB") || has(decl, "TEXT")) return AFF_TEXT;
  if (*decl == 0 || has(decl, "BLOB")) return AFF_BLOB;
  if (has(decl, "REAL") || has(decl, "FLOA") || has(decl, "DOUB")) return AFF_REAL;
  return AFF_NUMERIC;
}

/* ANY of a STRICT table keeps what it is given; elsewhere it is a word like any other. */
static int keeps_any(const struct pcol *c) { return c->flags & PCOL_STRICT && sqlite3_stricmp(c->decl, "ANY") == 0; }
static enum affinity column_affinity(const struct pcol *c) { return keeps_any(c) ? AFF_BLOB : affinity_of(c->decl); }
static const struct pcol INTEGER_COLUMN = { .decl = "INTEGER" };

/* ---- planning: idxStr is the WHERE and ORDER BY that the shadow gets ----
 * A comparison converts by the affinity of both sides, and xFilter gets a value without its side's affinity. On a numeric
 * column that changes nothing. On others, a term whose right side is no literal carries a mark, and xFilter decides when it
 * sees the value (see term_safe); such terms are checked again by SQLite. */
#define MARK_TEXT "/*t*/"
#define MARK_NONE "/*n*/"
#define MARK_LEN 5

static const char *operator_of(int op) {
  switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ: return "=?";
    case SQLITE_INDEX_CONSTRAINT_GT: return ">?";
    case SQLITE_INDEX_CONSTRAINT_LE: return "<=?";
    case SQLITE_INDEX_CONSTRAINT_LT: return "<?";
    case SQLITE_INDEX_CONSTRAINT_GE: return ">=?";
    case SQLITE_INDEX_CONSTRAINT_IS: return " IS ?";
    case SQLITE_INDEX_CONSTRAINT_LIKE: return " LIKE ?";
    case SQLITE_INDEX_CONSTRAINT_GLOB: return " GLOB ?";
    case SQLITE_INDEX_CONSTRAINT_ISNULL: return " IS NULL";
    case SQLITE_INDEX_CONSTRAINT_ISNOTNULL: return " IS NOT NULL";
    default: return NULL;
  }
}

static int pushable(struct ptab *t, sqlite3_index_info *info, int i) {
  const struct sqlite3_index_constraint *c = &info->aConstraint[i];
  if (!c->usable || operator_of(c->op) == NULL || c->iColumn >= (int)t->d.columns) return 0;
  if (c->iColumn < 0) return 1;
  const struct pcol *col = &t->d.c[c->iColumn];
  if (col->flags & PCOL_SEALED) return 0;
  if (c->op == SQLITE_INDEX_CONSTRAINT_ISNULL || c->op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL || c->op == SQLITE_INDEX_CONSTRAINT_LIKE ||
      c->op == SQLITE_INDEX_CONSTRAINT_GLOB)
    return 1;
  const char *coll = sqlite3_vtab_collation(info, i);
  return coll == NULL || sqlite3_stricmp(coll, *col->coll ? col->coll : "BINARY") == 0;
}

static int is_rowid(const struct ptab *t, int col) { return col < 0 || t->d.c[col].flags & PCOL_ROWID; }

static void append_column(sqlite3_str *s, const struct ptab *t, int col) {
  if (is_rowid(t, col)) sqlite3_str_appendf(s, "\"%w\"", t->key);
  else sqlite3_str_appendf(s, "\"%w\"", t->d.c[col].name);
}

/* How a term must be looked at again in xFilter: NULL when the shadow compares exactly as the table would. */
static const char *term_mark(const struct ptab *t, sqlite3_index_info *info, int i) {
  int col = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
  sqlite3_value *literal;
  if (is_rowid(t, col) || op == SQLITE_INDEX_CONSTRAINT_LIKE || op == SQLITE_INDEX_CONSTRAINT_GLOB) return NULL;
  enum affinity a = column_affinity(&t->d.c[col]);
  if (a != AFF_TEXT && a != AFF_BLOB) return NULL;
  /* a literal has no affinity, a CAST has one; a text is compared alike by a TEXT column in both cases */
  if (a == AFF_TEXT && !sqlite3_vtab_in(info, i, -1) && sqlite3_vtab_rhs_value(info, i, &literal) == SQLITE_OK &&
      sqlite3_value_type(literal) == SQLITE_TEXT)
    return NULL;
  return a == AFF_TEXT ? MARK_TEXT : MARK_NONE;
}

/* "day">=?3; with a mark: ("day">=?3 + mark). An IN of marked terms comes whole. */
static void append_term(sqlite3_str *s, const struct ptab *t, sqlite3_index_info *info, int i, int arg) {
  int col = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
  const char *mark = term_mark(t, info, i);
  int valued = op != SQLITE_INDEX_CONSTRAINT_ISNULL && op != SQLITE_INDEX_CONSTRAINT_ISNOTNULL;
  int whole = mark && sqlite3_vtab_in(info, i, -1);
  if (whole) sqlite3_vtab_in(info, i, 1);
  if (mark) sqlite3_str_appendall(s, "(");
  append_column(s, t, col);
  sqlite3_str_appendall(s, whole ? " IN (?" : operator_of(op));
  if (valued) sqlite3_str_appendf(s, "%d", arg);
  if (mark && valued) sqlite3_str_appendf(s, "%s)%s", mark, whole ? ")" : "");
  else if (mark) sqlite3_str_appendall(s, ")");
  info->aConstraintUsage[i].argvIndex = arg;
  info->aConstraintUsage[i].omit = valued && !mark && op != SQLITE_INDEX_CONSTRAINT_LIKE && op != SQLITE_INDEX_CONSTRAINT_GLOB;
}

static int order_pushable(const struct ptab *t, const sqlite3_index_info *info) {
  for (int i = 0; i < info->nOrderBy; i++) {
    int col = info->aOrderBy[i].iColumn;
    if (col >= (int)t->d.columns || (col >= 0 && t->d.c[col].flags & PCOL_SEALED)) return 0;
  }
  return info->nOrderBy > 0;
}

/* What the pushed terms are, for the costs. */
struct terms { int one, equal[CONSTRAINTS], equals, range[CONSTRAINTS], ranges, filters; };

static int named(const int *list, int n, int col) {
  int found = 0;
  for (int i = 0; i < n; i++) found += list[i] == col;
  return found;
}

static void terms_add(struct terms *q, const struct ptab *t, int col, int op) {
  if (op == SQLITE_INDEX_CONSTRAINT_EQ && is_rowid(t, col)) q->one = 1;
  else if (op == SQLITE_INDEX_CONSTRAINT_EQ || op == SQLITE_INDEX_CONSTRAINT_IS || op == SQLITE_INDEX_CONSTRAINT_ISNULL) q->equal[q->equals++] = col;
  else if (op == SQLITE_INDEX_CONSTRAINT_LT || op == SQLITE_INDEX_CONSTRAINT_LE || op == SQLITE_INDEX_CONSTRAINT_GT ||
           op == SQLITE_INDEX_CONSTRAINT_GE) q->range[q->ranges++] = col;
  else q->filters++;
}

/* Rows that the best index reads for these terms; t->rows when none helps. */
static double rows_read(const struct ptab *t, const struct terms *q, int *used) {
  double best = t->rows;
  *used = 0;
  for (int i = 0; i < t->indexes; i++) {
    const struct pindex *x = &t->index[i];
    int k = 0, n;
    while (k < x->n && named(q->equal, q->equals, x->col[k])) k++;
    double rows = x->rows[k];
    n = k < x->n ? named(q->range, q->ranges, x->col[k]) : 0;
    for (int j = 0; j < n; j++) rows /= 4;
    if (rows >= best) continue;
    best = rows;
    *used = k + n;
  }
  return best < 1 ? 1 : best;
}

static void cost(const struct ptab *t, sqlite3_index_info *info, const struct terms *q, int box) {
  int used = 0;
  double read = q->one ? 1 : rows_read(t, q, &used), out = read;
  for (int i = used; i < q->equals + q->ranges + q->filters && out > 2 && !q->one; i++) out /= 2;
  info->estimatedRows = (sqlite3_int64)out;
  info->estimatedCost = read * (used ? 2 : 1) + (box ? out * 3 : 0) + 5;   /* opening is dearer than reading: joins put it outermost */
}

static int ptab_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
  struct ptab *t = (struct ptab *)base;
  int args = 0, terms = 0, box = 0;
  struct terms q = { 0 };
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (int i = 0; i < info->nConstraint && terms < CONSTRAINTS; i++) {
    if (!pushable(t, info, i)) continue;
    sqlite3_str_appendall(s, terms++ ? " AND " : " WHERE ");
    append_term(s, t, info, i, ++args);
    terms_add(&q, t, info->aConstraint[i].iColumn, info->aConstraint[i].op);
  }
  if (order_pushable(t, info)) {
    for (int i = 0; i < info->nOrderBy; i++) {
      sqlite3_str_appendall(s, i ? ", " : " ORDER BY ");
      append_column(s, t, info->aOrderBy[i].iColumn);
      if (info->aOrderBy[i].desc) sqlite3_str_appendall(s, " DESC");
    }
    info->orderByConsumed = 1;
  }
  for (uint32_t i = 0; i < t->d.columns; i++)
    if (t->d.c[i].flags & PCOL_SEALED && info->colUsed & (1ULL << (i < 63 ? i : 63))) box = 1;
  if (t->d.without_key == PROTECT_HIDE) box = 1;
  sqlite3_str_appendall(s, box ? " /* sealed columns opened row by row */" : " /* plain columns only */");
  info->idxStr = sqlite3_str_finish(s);
  info->needToFreeIdxStr = 1;
  info->idxNum = box ? NEEDS_BOX : 0;
  if (q.one) info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
  cost(t, info, &q, box);
  return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- reading ---- */

static int ptab_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
  struct ptab *t = (struct ptab *)base;
  struct pcursor *c = calloc(1, sizeof *c);
  if (c == NULL) return SQLITE_NOMEM;
  c->v = calloc((size_t)t->sealed + 1, sizeof *c->v);
  if (c->v == NULL) {
    free(c);
    return SQLITE_NOMEM;
  }
  *out = &c->base;
  return SQLITE_OK;
}

/* A closed cursor's statement waits for the next one with the same WHERE and ORDER BY. */
static void pool_give(struct ptab *t, struct pcursor *c) {
  if (c->st == NULL) return;
  sqlite3_reset(c->st);
  sqlite3_clear_bindings(c->st);
  int i = 0;
  while (i < POOL && t->pool[i].st) i++;
  if (i == POOL) {
    i = 0;
    sqlite3_finalize(t->pool[0].st);
    sqlite3_free(t->pool[0].tail);
  }
  t->pool[i] = (struct pooled){ c->st, c->tail, c->box };
  c->st = NULL;
  c->tail = NULL;
}

static char *select_sql(const struct ptab *t, const char *tail, int box) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  sqlite3_str_appendf(s, box ? "SELECT \"%w\",\"" PROTECT_BOX "\"" : "SELECT \"%w\",NULL", t->key);
  for (uint32_t i = 0; i < t->d.columns; i++)
    if (!(t->d.c[i].flags & PCOL_SEALED)) sqlite3_str_appendf(s, ",\"%w\"", t->d.c[i].name);
  sqlite3_str_appendf(s, " FROM %s%s", t->shadow, tail);
  return sqlite3_str_finish(s);
}

static int pool_take(struct ptab *t, struct pcursor *c, const char *tail, int box) {
  c->box = box;
  for (int i = 0; i < POOL; i++) {
    struct pooled *p = &t->pool[i];
    if (p->st == NULL || p->box != box || strcmp(p->tail, tail) != 0) continue;
    c->st = p->st;
    c->tail = p->tail;
    *p = (struct pooled){ 0 };
    return SQLITE_OK;
  }
  char *sql = select_sql(t, tail, box);
  c->tail = sqlite3_mprintf("%s", tail);
  int rc = sql && c->tail ? sqlite3_prepare_v3(t->c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->st, NULL) : SQLITE_NOMEM;
  if (rc != SQLITE_OK) {
    sqlite3_free(c->tail);
    c->tail = NULL;
  }
  sqlite3_free(sql);
  return rc == SQLITE_OK || rc == SQLITE_NOMEM ? rc : shadow_error(t);
}

static int ptab_close(sqlite3_vtab_cursor *base) {
  struct pcursor *c = (struct pcursor *)base;
  pool_give((struct ptab *)base->pVtab, c);
  buf_free(&c->plain);
  free(c->v);
  free(c);
  return SQLITE_OK;
}

static int pcursor_step(struct pcursor *c) {
  struct ptab *t = (struct ptab *)c->base.pVtab;
  int rc = sqlite3_step(c->st);
  c->opened = 0;
  c->eof = rc != SQLITE_ROW;
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : shadow_error(t);
}

/* May the shadow decide this term? The right side is an expression or a column of unknown affinity, v its value.
 * A text equals the same texts under every affinity, and is above fewer numbers-as-text than it is above texts; anything
 * else may convert the column, and then only SQLite compares. */
static int term_safe(const char *mark, const char *op, sqlite3_value *v) {
  int type = sqlite3_value_type(v);
  if (type == SQLITE_NULL || type == SQLITE_BLOB || sqlite3_value_frombind(v)) return 1;
  return mark[2] == MARK_TEXT[2] && type == SQLITE_TEXT && *op != '<';
}

/* Every text that looks like a number is below ':', so that "day" < V keeps those that a numeric V would be above. */
static int term_raised(const char *mark, const char *op, sqlite3_value *v) {
  return mark[2] == MARK_TEXT[2] && *op == '<' && sqlite3_value_type(v) == SQLITE_TEXT && !sqlite3_value_frombind(v);
}

struct term { const char *op, *mark; int arg, whole; };

/* The next marked term of idxStr at or after *p. Quoted names are skipped. */
static int term_next(const char **p, struct term *x) {
  int quoted = 0;
  const char *op = NULL;
  for (const char *q = *p; *q; q++) {
    if (*q == '"') quoted = !quoted;
    if (quoted) continue;
    if (*q == '"' || *q == ' ') op = q + 1;
    if (*q == '?') x->arg = atoi(q + 1);
    if (q[0] == '/' && q[1] == '*' && q[3] == '*') {
      x->op = op;
      x->mark = q;
      x->whole = *op == '(';
      *p = q + MARK_LEN;
      return 1;
    }
  }
  return 0;
}

/* Values of an IN that came whole: ",?n" for each after the first. 0: not all may be decided by the shadow. */
static int whole_terms(sqlite3_str *s, const struct term *x, sqlite3_value *list, int *next) {
  sqlite3_value *v;
  int rc, n = 0;
  for (rc = sqlite3_vtab_in_first(list, &v); rc == SQLITE_OK && v; rc = sqlite3_vtab_in_next(list, &v)) {
    if (n >= WHOLE || !term_safe(x->mark, "=", v)) return 0;
    if (n++ > 0) sqlite3_str_appendf(s, ",?%d", (*next)++);
  }
  return rc == SQLITE_DONE || rc == SQLITE_OK;
}

/* The text that the shadow gets, now that the values are known: a term that it may not decide becomes true. */
static char *filter_text(const char *str, int argc, sqlite3_value **argv) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  struct term x;
  const char *from = str, *p = str;
  int next = argc + 1;
  while (term_next(&p, &x)) {
    int was = next, before = sqlite3_str_length(s) + (int)(x.mark - from);
    sqlite3_str_append(s, from, (int)(x.mark - from));
    from = x.mark + MARK_LEN;
    if (x.whole) {
      if (whole_terms(s, &x, argv[x.arg - 1], &next)) continue;
      next = was;
      char *kept = sqlite3_mprintf("%.*s", before, sqlite3_str_value(s));
      sqlite3_str_reset(s);
      sqlite3_str_appendf(s, "%s) OR 1", kept ? kept : "");
      sqlite3_free(kept);
      from++;                                         /* its own ')' */
    } else if (!term_safe(x.mark, x.op, argv[x.arg - 1]) && !term_raised(x.mark, x.op, argv[x.arg - 1])) {
      sqlite3_str_appendall(s, " OR 1");
    }
  }
  sqlite3_str_appendall(s, from);
  return sqlite3_str_finish(s);
}

static int bind_whole(sqlite3_stmt *st, const struct term *x, sqlite3_value *list, int *next) {
  sqlite3_value *v;
  int rc, n = 0;
  for (rc = sqlite3_vtab_in_first(list, &v); rc == SQLITE_OK && v; rc = sqlite3_vtab_in_next(list, &v)) {
    int at = n++ == 0 ? x->arg : (*next)++;
    if (at <= sqlite3_bind_parameter_count(st)) sqlite3_bind_value(st, at, v);
  }
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int filter_bind(sqlite3_stmt *st, const char *str, int argc, sqlite3_value **argv) {
  struct term x;
  const char *p = str;
  int rc = SQLITE_OK, next = argc + 1;
  for (int i = 0; rc == SQLITE_OK && i < argc && i < sqlite3_bind_parameter_count(st); i++) rc = sqlite3_bind_value(st, i + 1, argv[i]);
  while (rc == SQLITE_OK && term_next(&p, &x)) {
    if (x.whole) rc = bind_whole(st, &x, argv[x.arg - 1], &next);
    else if (term_raised(x.mark, x.op, argv[x.arg - 1]) && strcmp((const char *)sqlite3_value_text(argv[x.arg - 1]), ":") < 0)
      rc = sqlite3_bind_text(st, x.arg, ":", 1, SQLITE_STATIC);
  }
  return rc;
}

static int ptab_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv) {
  struct pcursor *c = (struct pcursor *)base;
  struct ptab *t = (struct ptab *)base->pVtab;
  struct session *s;
  pool_give(t, c);
  c->eof = 1;
  int e = ptab_key(t, &s, &c->keyed);
  if (e != DMP_OK) return ptab_error(t, e);
  if (t->d.without_key == PROTECT_HIDE && !c->keyed) return SQLITE_OK;
  const char *p = str;
  struct term marked;
  char *text = term_next(&p, &marked) ? filter_text(str, argc, argv) : NULL;
  int rc = text || p == str ? pool_take(t, c, text ? text : str, num & NEEDS_BOX) : SQLITE_NOMEM;
  if (rc == SQLITE_OK) rc = filter_bind(c->st, str, argc, argv);
  sqlite3_free(text);
  return rc == SQLITE_OK ? pcursor_step(c) : rc;
}

static int ptab_next(sqlite3_vtab_cursor *base) { return pcursor_step((struct pcursor *)base); }
static int ptab_eof(sqlite3_vtab_cursor *base) { return ((struct pcursor *)base)->eof; }

static int ptab_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  *out = sqlite3_column_int64(((struct pcursor *)base)->st, 0);
  return SQLITE_OK;
}

/* Values of one box; NULL for a row that was never sealed is a fault: every row has one. */
static int row_values(struct ptab *t, struct session *s, int64_t rowid, const void *box, size_t n, struct buf *scratch, struct value *v) {
  const uint8_t *row;
  size_t len, count, used;
  int e = protect_open(s, &t->d, t->u->key, &t->u->sub, rowid, box, n, scratch, &row, &len);
  if (e == DMP_OK) e = row_get(row, len, v, (size_t)t->sealed, &count, &used);
  if (e == DMP_OK && (count != (size_t)t->sealed || used != len)) e = DMP_E_ROW_FORMAT;
  s->boxes_opened++;
  return e == DMP_OK ? e : record_fault(t->r, e, t->d.table, rowid);
}

static int pcursor_open_row(struct pcursor *c) {
  struct ptab *t = (struct ptab *)c->base.pVtab;
  struct session *s = t->r->session;
  if (c->opened) return DMP_OK;
  if (s == NULL || memcmp(t->u->login, s->login_id, 16) != 0 || t->u->state != 1) return DMP_E_NO_SESSION;   /* ended between two rows */
  int e = row_values(t, s, sqlite3_column_int64(c->st, 0), sqlite3_column_blob(c->st, 1), (size_t)sqlite3_column_bytes(c->st, 1), &c->plain, c->v);
  c->opened = e == DMP_OK;
  return e;
}

void protected_result(sqlite3_context *ctx, const struct value *x) {
  switch (x->type) {
    case VALUE_INT: sqlite3_result_int64(ctx, x->u.i); break;
    case VALUE_REAL: sqlite3_result_double(ctx, x->u.r); break;
    case VALUE_TEXT: sqlite3_result_text64(ctx, (const char *)x->u.p, x->n, SQLITE_TRANSIENT, SQLITE_UTF8); break;
    case VALUE_BLOB: sqlite3_result_blob64(ctx, x->n ? (const void *)x->u.p : "", x->n, SQLITE_TRANSIENT); break;
    default: sqlite3_result_null(ctx);
  }
}

static int ptab_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  struct pcursor *c = (struct pcursor *)base;
  struct ptab *t = (struct ptab *)base->pVtab;
  if (sqlite3_vtab_nochange(ctx)) return SQLITE_OK;
  if (!(t->d.c[i].flags & PCOL_SEALED)) {
    sqlite3_result_value(ctx, sqlite3_column_value(c->st, t->place[i]));
    return SQLITE_OK;
  }
  if (!c->keyed) return SQLITE_OK;                    /* without the key: NULL */
  int e = pcursor_open_row(c);
  if (e != DMP_OK) return ptab_error(t, e);
  protected_result(ctx, &c->v[t->place[i]]);
  return SQLITE_OK;
}

/* ---- values as the column would store them ---- */

static struct value plain_value(sqlite3_value *v, int type) {
  switch (type) {
    case SQLITE_INTEGER: return value_int(sqlite3_value_int64(v));
    case SQLITE_FLOAT: return (struct value){ .type = VALUE_REAL, .u.r = sqlite3_value_double(v) };
    case SQLITE_TEXT: {
      const void *p = sqlite3_value_text(v);
      return value_bytes(VALUE_TEXT, p, (size_t)sqlite3_value_bytes(v));
    }
    case SQLITE_BLOB: {
      const void *p = sqlite3_value_blob(v);
      return value_bytes(VALUE_BLOB, p ? p : "", (size_t)sqlite3_value_bytes(v));
    }
    default: return (struct value){ 0 };
  }
}

static struct value stored_value(sqlite3_value *v, const struct pcol *c) {
  enum affinity a = column_affinity(c);
  int type = sqlite3_value_type(v);
  if (a == AFF_TEXT && (type == SQLITE_INTEGER || type == SQLITE_FLOAT)) return plain_value(v, SQLITE_TEXT);
  if (a == AFF_INTEGER || a == AFF_NUMERIC || a == AFF_REAL) type = sqlite3_value_numeric_type(v);
  struct value out = plain_value(v, type);
  if (a == AFF_REAL && out.type == VALUE_REAL && out.u.r == 0) out.u.r = 0.0;   /* a file holds no -0.0 there */
  if (a == AFF_REAL && out.type == VALUE_INT) return (struct value){ .type = VALUE_REAL, .u.r = (double)out.u.i };
  /* 3.0 becomes 3 where that loses nothing */
  if ((a == AFF_INTEGER || a == AFF_NUMERIC) && out.type == VALUE_REAL && out.u.r > -0x1p63 && out.u.r < 0x1p63 && (double)(int64_t)out.u.r == out.u.r)
    return value_int((int64_t)out.u.r);
  return out;
}

int protected_pack(const struct protect *d, sqlite3_value **v, struct buf *row) {
  struct value *x = calloc(d->columns + 1, sizeof *x);
  size_t n = 0;
  if (x == NULL) return DMP_E_NOMEM;
  for (uint32_t i = 0; i < d->columns; i++)
    if (d->c[i].flags & PCOL_SEALED) x[n++] = stored_value(*v++, &d->c[i]);
  buf_reset(row);
  row_put(row, x, n);
  free(x);
  return row->bad ? DMP_E_NOMEM : DMP_OK;
}

/* ---- writing ---- */

/* sql is not looked at when the statement is there; freed. */
static int ptab_prepare(struct ptab *t, sqlite3_stmt **st, char *sql) {
  if (sql == NULL && *st == NULL) return SQLITE_NOMEM;
  int rc = *st ? SQLITE_OK : sqlite3_prepare_v3(t->c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
  sqlite3_free(sql);
  if (rc != SQLITE_OK) return shadow_error(t);
  sqlite3_reset(*st);
  sqlite3_clear_bindings(*st);
  return SQLITE_OK;
}

static int ptab_run(struct ptab *t, sqlite3_stmt *st) {
  int rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : shadow_error(t);
  sqlite3_reset(st);
  sqlite3_clear_bindings(st);
  return rc;
}

static char *old_sql(const struct ptab *t) { return sqlite3_mprintf("SELECT \"" PROTECT_BOX "\" FROM %s WHERE \"%w\"=?1", t->shadow, t->key); }

static char *insert_sql(const struct ptab *t, int replace) {
  sqlite3_str *s = sqlite3_str_new(NULL), *v = sqlite3_str_new(NULL);
  sqlite3_str_appendf(s, "INSERT%s INTO %s(\"%w\",\"" PROTECT_BOX "\"", replace ? " OR REPLACE" : "", t->shadow, t->key);
  for (uint32_t i = 0; i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    if (c->flags & (PCOL_SEALED | PCOL_ROWID | PCOL_GENERATED)) continue;
    sqlite3_str_appendf(s, ",\"%w\"", c->name);
    /* an omitted column and NULL come alike: the default is applied to both */
    if (*c->dflt) sqlite3_str_appendf(v, ",coalesce(?%d,%s)", (int)i + 3, c->dflt);
    else sqlite3_str_appendf(v, ",?%d", (int)i + 3);
  }
  char *values = sqlite3_str_finish(v);
  sqlite3_str_appendf(s, ") VALUES(?1,?2%s)", values ? values : "");
  sqlite3_free(values);
  return sqlite3_str_finish(s);
}

/* Above the largest rowid there is none: SQLite then tries numbers at random, of the lower half. */
static int random_rowid(struct ptab *t, int64_t *rowid) {
  for (int tries = 0; tries < 100; tries++) {
    sqlite3_randomness(sizeof *rowid, rowid);
    *rowid = (*rowid & (INT64_MAX >> 1)) + 1;
    int rc = ptab_prepare(t, &t->old, t->old ? NULL : old_sql(t));
    if (rc != SQLITE_OK) return rc;
    sqlite3_bind_int64(t->old, 1, *rowid);
    rc = sqlite3_step(t->old);
    sqlite3_reset(t->old);
    if (rc == SQLITE_DONE) return SQLITE_OK;
  }
  return SQLITE_FULL;
}

/* SQLite's own choice of the next rowid. */
static int next_rowid(struct ptab *t, int64_t *rowid) {
  char *sql = t->next ? NULL : t->d.autoincrement
    ? sqlite3_mprintf("SELECT max(coalesce((SELECT max(\"%w\") FROM %s),0),coalesce((SELECT seq FROM %s.sqlite_sequence WHERE name='%q" PROTECT_SUFFIX "'),0))",
                      t->key, t->shadow, t->schema, t->d.table)
    : sqlite3_mprintf("SELECT coalesce(max(\"%w\"),0) FROM %s", t->key, t->shadow);   /* -1 is followed by 0 */
  int rc = ptab_prepare(t, &t->next, sql);
  if (rc != SQLITE_OK) return rc;
  if (sqlite3_step(t->next) != SQLITE_ROW) return shadow_error(t);
  int64_t max = sqlite3_column_int64(t->next, 0);
  sqlite3_reset(t->next);
  if (max == INT64_MAX) rc = t->d.autoincrement ? SQLITE_FULL : random_rowid(t, rowid);
  if (rc == SQLITE_FULL) return ptab_fail(t, rc, "database or disk is full");
  if (max == INT64_MAX) return rc;
  *rowid = max + 1;
  return SQLITE_OK;
}

static int insert_rowid(struct ptab *t, sqlite3_value **argv, int64_t *rowid) {
  sqlite3_value *given = argv[1];
  for (uint32_t i = 0; i < t->d.columns; i++)
    if (t->d.c[i].flags & PCOL_ROWID && sqlite3_value_type(argv[2 + i]) != SQLITE_NULL) given = argv[2 + i];
  if (sqlite3_value_type(given) == SQLITE_NULL) return next_rowid(t, rowid);
  struct value v = stored_value(given, &INTEGER_COLUMN);
  if (v.type != VALUE_INT) return ptab_fail(t, SQLITE_MISMATCH, "datatype mismatch");
  *rowid = v.u.i;
  return SQLITE_OK;
}

/* Evaluates a DEFAULT; *keep holds the statement whose value is borrowed. */
static int default_value(struct ptab *t, const struct pcol *c, sqlite3_stmt **keep, sqlite3_value **v) {
  char *sql = sqlite3_mprintf("SELECT %s", c->dflt);
  int rc = sql ? sqlite3_prepare_v2(t->c->db, sql, -1, keep, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc != SQLITE_OK || sqlite3_step(*keep) != SQLITE_ROW) return shadow_error(t);
  *v = sqlite3_column_value(*keep, 0);
  return SQLITE_OK;
}

/* A sealed value of a STRICT table, after affinity. */
static int strict_error(struct ptab *t, const struct pcol *c, const struct value *x) {
  static const char *const NAME[] = { [VALUE_INT] = "INT", [VALUE_REAL] = "REAL", [VALUE_TEXT] = "TEXT", [VALUE_BLOB] = "BLOB" };
  static const uint8_t WANTS[] = { [AFF_BLOB] = VALUE_BLOB, [AFF_TEXT] = VALUE_TEXT, [AFF_INTEGER] = VALUE_INT, [AFF_REAL] = VALUE_REAL };
  if (!(c->flags & PCOL_STRICT) || keeps_any(c) || x->type == VALUE_NULL || x->type == WANTS[affinity_of(c->decl)]) return SQLITE_OK;
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf("cannot store %s value in %s column %s.%s", NAME[x->type], c->decl, t->d.table, c->name);
  return SQLITE_CONSTRAINT_DATATYPE;
}

static int generated_error(struct ptab *t, const char *verb, const struct pcol *c) {
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf("cannot %s%s generated column \"%s\"", verb, *verb == 'I' ? " into" : "", c->name);
  return SQLITE_ERROR;
}

static int filled(const struct pcol *c) { return (c->flags & (PCOL_NOTNULL | PCOL_ROWID | PCOL_GENERATED)) == PCOL_NOTNULL; }

/* The sealed values of an INSERT: defaults, affinity. *missing: the first column that is NULL and may not be. */
static int insert_row(struct ptab *t, sqlite3_value **argv, struct buf *row, const struct pcol **missing) {
  struct value *x = calloc((size_t)t->sealed + 1, sizeof *x);
  sqlite3_stmt **keep = calloc((size_t)t->sealed + 1, sizeof *keep);
  int rc = x && keep ? SQLITE_OK : SQLITE_NOMEM, n = 0;
  for (uint32_t i = 0; rc == SQLITE_OK && i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    sqlite3_value *v = argv[2 + i];
    int null = sqlite3_value_type(v) == SQLITE_NULL, sealed = (c->flags & PCOL_SEALED) != 0;
    if (null && *c->dflt && sealed) rc = default_value(t, c, &keep[n], &v);
    if (rc == SQLITE_OK && sealed) {
      x[n] = stored_value(v, c);
      null = x[n].type == VALUE_NULL;
      rc = strict_error(t, c, &x[n++]);
    }
    if (rc == SQLITE_OK && !null && c->flags & PCOL_GENERATED) rc = generated_error(t, "INSERT", c);
    if (*missing == NULL && null && (sealed || !*c->dflt) && filled(c)) *missing = c;
  }
  if (rc == SQLITE_OK) row_put(row, x, (size_t)t->sealed);
  for (int i = 0; keep && i < t->sealed; i++) sqlite3_finalize(keep[i]);
  free(keep);
  free(x);
  return rc;
}

/* Runs the shadow's statement. A row with a missing value goes without its box, which the shadow refuses where a plain table
 * would refuse the value: after the triggers that come first. */
static int write_row(struct ptab *t, sqlite3_stmt *st, const struct buf *box, const struct pcol *missing) {
  if (missing) sqlite3_bind_null(st, 2);
  else if (box->n) sqlite3_bind_blob64(st, 2, box->p, box->n, SQLITE_STATIC);
  int rc = ptab_run(t, st);
  return missing && rc == SQLITE_CONSTRAINT_NOTNULL ? notnull_error(t, missing) : rc;
}

static int ptab_insert(struct ptab *t, struct session *s, sqlite3_value **argv, sqlite3_int64 *rowid) {
  struct buf row = { 0 }, box = { 0 };
  int replace = sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE;
  int64_t id = 0;
  const struct pcol *missing = NULL;
  int rc = insert_rowid(t, argv, &id);
  if (rc == SQLITE_OK) rc = insert_row(t, argv, &row, &missing);
  if (rc == SQLITE_OK) rc = ptab_error(t, protect_seal(s, &t->d, t->u->key, &t->u->sub, id, &row, &box));
  replace = replace && !missing;                      /* which would put the box's own default */
  sqlite3_stmt **st = replace ? &t->replace : &t->insert;
  if (rc == SQLITE_OK) rc = ptab_prepare(t, st, *st ? NULL : insert_sql(t, replace));
  if (rc == SQLITE_OK) {
    sqlite3_bind_int64(*st, 1, id);
    for (uint32_t i = 0; i < t->d.columns; i++)
      if (!(t->d.c[i].flags & (PCOL_SEALED | PCOL_ROWID | PCOL_GENERATED))) sqlite3_bind_value(*st, (int)i + 3, argv[2 + i]);
    rc = write_row(t, *st, &box, missing);
  }
  *rowid = id;
  buf_free(&row);
  buf_free(&box);
  return rc;
}

/* The values of a row as it is now; they borrow from t->scratch. SQLITE_DONE: an earlier row of the same UPDATE replaced it. */
static int old_values(struct ptab *t, struct session *s, int64_t rowid, struct value *v) {
  int rc = ptab_prepare(t, &t->old, t->old ? NULL : old_sql(t));
  if (rc != SQLITE_OK) return rc;
  sqlite3_bind_int64(t->old, 1, rowid);
  rc = sqlite3_step(t->old);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) rc = shadow_error(t);
  if (rc == SQLITE_ROW) rc = ptab_error(t, row_values(t, s, rowid, sqlite3_column_blob(t->old, 0), (size_t)sqlite3_column_bytes(t->old, 0), &t->scratch, v));
  sqlite3_reset(t->old);
  return rc;
}

/* What UPDATE OR REPLACE makes of a NULL where none may be: the default. */
static int replaced_null(struct ptab *t, const struct pcol *c, sqlite3_stmt **keep, sqlite3_value **v) {
  if (sqlite3_value_type(*v) != SQLITE_NULL || !(c->flags & PCOL_NOTNULL) || !*c->dflt) return SQLITE_OK;
  return sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE ? default_value(t, c, keep, v) : SQLITE_OK;
}

/* The new box of an UPDATE: unchanged sealed values come from the old one. */
static int update_row(struct ptab *t, struct session *s, int64_t from, sqlite3_value **argv, struct buf *row, const struct pcol **missing) {
  struct value *x = calloc((size_t)t->sealed + 1, sizeof *x);
  sqlite3_stmt **keep = calloc(t->d.columns, sizeof *keep);
  int rc = x && keep ? old_values(t, s, from, x) : SQLITE_NOMEM;
  for (uint32_t i = 0; rc == SQLITE_OK && i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    sqlite3_value *v = argv[2 + i];
    if (sqlite3_value_nochange(v)) continue;
    rc = replaced_null(t, c, &keep[i], &v);
    if (rc == SQLITE_OK && *missing == NULL && sqlite3_value_type(v) == SQLITE_NULL && filled(c)) *missing = c;
    if (rc != SQLITE_OK || !(c->flags & PCOL_SEALED)) continue;
    x[t->place[i]] = stored_value(v, c);
    rc = strict_error(t, c, &x[t->place[i]]);
  }
  if (rc == SQLITE_OK) row_put(row, x, (size_t)t->sealed);
  for (uint32_t i = 0; keep && i < t->d.columns; i++) sqlite3_finalize(keep[i]);
  free(keep);
  free(x);
  return rc;
}

enum { CHANGE_SEAL = 1, CHANGE_REPLACE = 2, CHANGE_ROWID = 4 };

/* UPDATE sets only the columns that change, so that UPDATE OF triggers and foreign keys see what a plain table shows them. */
static int update_prepare(struct ptab *t, const uint8_t *mask) {
  if (t->update && memcmp(mask, t->update_mask, t->d.columns + 1) == 0) {
    sqlite3_reset(t->update);
    return SQLITE_OK;
  }
  sqlite3_finalize(t->update);
  t->update = NULL;
  sqlite3_str *s = sqlite3_str_new(NULL);
  int n = 0;
  sqlite3_str_appendf(s, "UPDATE%s %s SET ", mask[t->d.columns] & CHANGE_REPLACE ? " OR REPLACE" : "", t->shadow);
  for (uint32_t i = 0; i < t->d.columns; i++)
    if (mask[i] && !(t->d.c[i].flags & (PCOL_SEALED | PCOL_ROWID))) sqlite3_str_appendf(s, "%s\"%w\"=?%d", n++ ? "," : "", t->d.c[i].name, (int)i + 3);
  if (mask[t->d.columns] & CHANGE_SEAL) sqlite3_str_appendf(s, "%s\"" PROTECT_BOX "\"=?2", n++ ? "," : "");
  if (mask[t->d.columns] & CHANGE_ROWID) sqlite3_str_appendf(s, "%s\"%w\"=?%d", n++ ? "," : "", t->key, (int)t->d.columns + 3);
  if (n == 0) sqlite3_str_appendf(s, "\"%w\"=\"%w\"", t->key, t->key);
  sqlite3_str_appendf(s, " WHERE \"%w\"=?1", t->key);
  memcpy(t->update_mask, mask, t->d.columns + 1);
  return ptab_prepare(t, &t->update, sqlite3_str_finish(s));
}

/* UPDATE … FROM gives every column as if it were set: those that stay as they are leave the mask. */
static int unchanged_leave(struct ptab *t, sqlite3_value **argv, uint8_t *mask) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  int n = 0, rc = SQLITE_OK;
  sqlite3_stmt *st = NULL;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (!mask[i] || t->d.c[i].flags & PCOL_SEALED) continue;
    sqlite3_str_appendf(s, "%stypeof(\"%w\")=typeof(?%d) AND \"%w\" IS ?%d COLLATE BINARY", n++ ? "," : "SELECT ", t->d.c[i].name, (int)i + 3,
                        t->d.c[i].name, (int)i + 3);
  }
  sqlite3_str_appendf(s, " FROM %s WHERE \"%w\"=?1", t->shadow, t->key);
  rc = ptab_prepare(t, &st, sqlite3_str_finish(s));
  if (rc == SQLITE_OK) {
    sqlite3_bind_value(st, 1, argv[0]);
    for (uint32_t i = 0; i < t->d.columns; i++)
      if (mask[i] && !(t->d.c[i].flags & PCOL_SEALED)) sqlite3_bind_value(st, (int)i + 3, argv[2 + i]);
    rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) rc = shadow_error(t);
    if (rc == SQLITE_ROW) rc = SQLITE_OK;
    n = 0;
    for (uint32_t i = 0; rc == SQLITE_OK && i < t->d.columns; i++)
      if (mask[i] && !(t->d.c[i].flags & PCOL_SEALED)) mask[i] = !sqlite3_column_int(st, n++);
  }
  sqlite3_finalize(st);
  return rc;
}

/* Which columns an UPDATE sets, what it does beside them (the byte after the columns), and the row's new id. */
static int change_mask(struct ptab *t, sqlite3_value **argv, uint8_t *mask, int64_t *to) {
  int rc, all = 1;
  uint8_t *does = &mask[t->d.columns];
  for (uint32_t i = 0; i < t->d.columns; i++) {
    mask[i] = !sqlite3_value_nochange(argv[2 + i]);
    all = all && mask[i];
  }
  if (all && (rc = unchanged_leave(t, argv, mask)) != SQLITE_OK) return rc;
  struct value id = stored_value(argv[1], &INTEGER_COLUMN);
  if (id.type != VALUE_INT) return ptab_fail(t, SQLITE_MISMATCH, "datatype mismatch");
  *to = id.u.i;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (!mask[i]) continue;
    if (t->d.c[i].flags & PCOL_SEALED) *does |= CHANGE_SEAL;
    if (t->d.c[i].flags & PCOL_GENERATED) return generated_error(t, "UPDATE", &t->d.c[i]);
    if (!(t->d.c[i].flags & PCOL_ROWID)) continue;
    struct value v = stored_value(argv[2 + i], &INTEGER_COLUMN);
    if (v.type != VALUE_INT) return ptab_fail(t, SQLITE_MISMATCH, "datatype mismatch");
    *to = v.u.i;
    *does |= CHANGE_ROWID;
  }
  if (*to != sqlite3_value_int64(argv[0])) *does |= CHANGE_ROWID | CHANGE_SEAL;   /* a box is bound to its rowid */
  return SQLITE_OK;
}

static int ptab_change(struct ptab *t, struct session *s, int keyed, sqlite3_value **argv) {
  struct buf row = { 0 }, box = { 0 };
  const struct pcol *missing = NULL;
  uint8_t mask[PROTECT_COLUMNS + 1] = { 0 }, *does = &mask[t->d.columns];
  int64_t from = sqlite3_value_int64(argv[0]), to = from;
  int rc = change_mask(t, argv, mask, &to);
  if (rc == SQLITE_OK && *does & CHANGE_SEAL && !keyed) rc = ptab_error(t, DMP_E_NO_TABLE_KEY);
  if (rc == SQLITE_OK && *does & CHANGE_SEAL) rc = update_row(t, s, from, argv, &row, &missing);
  if (rc == SQLITE_OK && *does & CHANGE_SEAL) rc = ptab_error(t, protect_seal(s, &t->d, t->u->key, &t->u->sub, to, &row, &box));
  if (sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE && !missing) *does |= CHANGE_REPLACE;
  if (rc == SQLITE_OK) rc = update_prepare(t, mask);
  if (rc == SQLITE_OK) {
    sqlite3_bind_int64(t->update, 1, from);
    if (*does & CHANGE_ROWID) sqlite3_bind_int64(t->update, (int)t->d.columns + 3, to);
    for (uint32_t i = 0; i < t->d.columns; i++)
      if (mask[i] && !(t->d.c[i].flags & (PCOL_SEALED | PCOL_ROWID))) sqlite3_bind_value(t->update, (int)i + 3, argv[2 + i]);
    rc = write_row(t, t->update, &box, missing);
  }
  buf_free(&row);
  buf_free(&box);
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int ptab_erase(struct ptab *t, int64_t rowid) {
  int rc = ptab_prepare(t, &t->erase, t->erase ? NULL : sqlite3_mprintf("DELETE FROM %s WHERE \"%w\"=?1", t->shadow, t->key));
  if (rc != SQLITE_OK) return rc;
  sqlite3_bind_int64(t->erase, 1, rowid);
  return ptab_run(t, t->erase);
}

/* A foreign key, a trigger's RAISE, a STRICT type ends the statement whatever its OR says: SQLite honours OR for codes of
 * constraints, and only for those. */
static int whatever_or(struct ptab *t, int rc) {
  int on = sqlite3_vtab_on_conflict(t->c->db), always = rc == SQLITE_CONSTRAINT_FOREIGNKEY || rc == SQLITE_CONSTRAINT_TRIGGER || rc == SQLITE_CONSTRAINT_DATATYPE;
  return always && on != SQLITE_ABORT && on != SQLITE_REPLACE ? SQLITE_ERROR : rc;
}

/* The checks of ptab_key, once a transaction: nobody else changes the file while this connection writes. */
static int write_key(struct ptab *t, struct session **s, int *held) {
  *s = t->r->session;
  *held = t->begun && t->checked && !t->c->unsettled && *s && (*s)->pid == getpid() && t->u->state == 1 && memcmp(t->u->login, (*s)->login_id, 16) == 0;
  if (*held) return DMP_OK;
  int e = ptab_key(t, s, held);
  t->checked = e == DMP_OK;
  return e;
}

static int ptab_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
  struct ptab *t = (struct ptab *)base;
  struct session *s;
  int keyed, rc;
  sqlite3_int64 last = sqlite3_last_insert_rowid(t->c->db);
  int e = write_key(t, &s, &keyed);
  if (e != DMP_OK) return ptab_error(t, e);
  if (t->d.without_key == PROTECT_HIDE && !keyed) return ptab_error(t, DMP_E_NO_TABLE_KEY);
  if (argc == 1) rc = ptab_erase(t, sqlite3_value_int64(argv[0]));
  else if (sqlite3_value_type(argv[0]) != SQLITE_NULL) rc = ptab_change(t, s, keyed, argv);
  else rc = keyed ? ptab_insert(t, s, argv, rowid) : ptab_error(t, DMP_E_NO_TABLE_KEY);
  sqlite3_set_last_insert_rowid(t->c->db, last);
  if (t->without_rowid) *rowid = last;                /* SQLite makes it last_insert_rowid(), which such a table leaves alone */
  return whatever_or(t, rc);
}

/* DROP TABLE: by a reader; the shadow and the description go with it. */
static int ptab_destroy(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  struct session *s;
  if (t->r->converting) return ptab_disconnect(base);
  int keyed, e = ptab_key(t, &s, &keyed);
  if (e == DMP_OK && !keyed) e = DMP_E_NO_TABLE_KEY;
  if (e != DMP_OK) return ptab_error(t, e);
  ptab_finalize(t);
  char *sql = sqlite3_mprintf("DROP TABLE %s", t->shadow);
  int rc = sql ? sqlite3_exec(t->c->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc != SQLITE_OK) return shadow_error(t);
  if ((e = protect_drop(s, &t->d)) != DMP_OK) return ptab_error(t, e);
  return ptab_disconnect(base);
}

/* ALTER TABLE RENAME: SQLite has renamed the virtual table in the schema, in views and triggers; the shadow follows, with
 * indexes, triggers and foreign keys, and the description is signed for the new name. */
static int ptab_rename(sqlite3_vtab *base, const char *name) {
  struct ptab *t = (struct ptab *)base;
  struct session *s;
  int e = session_use(t->r, &s);                      /* not ptab_key: the views that were signed name the table as it was */
  if (e == DMP_OK) e = protect_key(s, &t->d, t->u->key);
  if (e == DMP_OK) ptab_finalize(t);
  if (e == DMP_OK) e = convert_rename(s, &t->d, name);
  return ptab_error(t, e);
}

/* ---- transactions: a key that was read may be rolled back ---- */

static int ptab_forget(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  if (t->c->unsettled) t->u->state = 0;
  return SQLITE_OK;
}

static int ptab_begin(sqlite3_vtab *base) {
  ((struct ptab *)base)->begun = 1;
  ((struct ptab *)base)->checked = 0;
  return ptab_forget(base);
}

static int ptab_end(sqlite3_vtab *base) {
  ((struct ptab *)base)->begun = 0;
  return ptab_forget(base);
}

static int ptab_savepoint(sqlite3_vtab *base, int n) {
  (void)base;
  (void)n;
  return SQLITE_OK;
}

static int ptab_rollback_to(sqlite3_vtab *base, int n) {
  (void)n;
  return ptab_forget(base);
}

static int ptab_shadow_name(const char *name) { return sqlite3_stricmp(name, &PROTECT_SUFFIX[1]) == 0; }

static sqlite3_module MODULE = {
  .iVersion = 3, .xCreate = ptab_create, .xConnect = ptab_connect, .xBestIndex = ptab_best_index, .xDisconnect = ptab_disconnect,
  .xDestroy = ptab_destroy, .xOpen = ptab_open, .xClose = ptab_close, .xFilter = ptab_filter, .xNext = ptab_next, .xEof = ptab_eof,
  .xColumn = ptab_column, .xRowid = ptab_rowid, .xUpdate = ptab_update, .xRename = ptab_rename, .xBegin = ptab_begin, .xCommit = ptab_end, .xRollback = ptab_end,
  .xSavepoint = ptab_savepoint, .xRelease = ptab_savepoint, .xRollbackTo = ptab_rollback_to, .xShadowName = ptab_shadow_name,
};

int protected_register(struct connection *c) { return sqlite3_create_module(c->db, PROTECTED_MODULE, &MODULE, c); }
