/* protected_plan.c: how a query on a protected table asks its shadow (see ptab.h). */
#include "ptab.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { CONSTRAINTS = 32, WHOLE = 500 /* values of an IN that the shadow gets at once */ };

/* ---- statistics ---- */

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
void plan_statistics(struct ptab *t) {
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

static void append_column(sqlite3_str *s, const struct ptab *t, int col) {
  if (ptab_is_rowid(t, col)) sqlite3_str_appendf(s, "\"%w\"", t->key);
  else sqlite3_str_appendf(s, "\"%w\"", t->d.c[col].name);
}

/* How a term must be looked at again in xFilter: NULL when the shadow compares exactly as the table would. */
static const char *term_mark(const struct ptab *t, sqlite3_index_info *info, int i) {
  int col = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
  sqlite3_value *literal;
  if (ptab_is_rowid(t, col) || op == SQLITE_INDEX_CONSTRAINT_LIKE || op == SQLITE_INDEX_CONSTRAINT_GLOB) return NULL;
  enum affinity a = affinity_column(&t->d.c[col]);
  if (a != AFF_TEXT && a != AFF_BLOB) return NULL;
  /* a literal has no affinity, a CAST has one; a text is compared alike by a TEXT column in both cases */
  if (a == AFF_TEXT && !sqlite3_vtab_in(info, i, -1) && sqlite3_vtab_rhs_value(info, i, &literal) == SQLITE_OK &&
      sqlite3_value_type(literal) == SQLITE_TEXT)
    return NULL;
  return a == AFF_TEXT ? MARK_TEXT : MARK_NONE;
}

/* "day">=?3; with a mark: ("day">=?3 + mark). An IN of marked terms comes whole. IS NULL takes no argument. */
static void append_term(sqlite3_str *s, const struct ptab *t, sqlite3_index_info *info, int i, int *args) {
  int col = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
  const char *mark = term_mark(t, info, i);
  int valued = op != SQLITE_INDEX_CONSTRAINT_ISNULL && op != SQLITE_INDEX_CONSTRAINT_ISNOTNULL, arg = valued ? ++*args : 0;
  int whole = mark && sqlite3_vtab_in(info, i, -1);
  if (whole) sqlite3_vtab_in(info, i, 1);
  if (mark) sqlite3_str_appendall(s, "(");
  append_column(s, t, col);
  sqlite3_str_appendall(s, whole ? " IN (?" : operator_of(op));
  if (valued) sqlite3_str_appendf(s, "%d", arg);
  if (mark && valued) sqlite3_str_appendf(s, "%s)%s", mark, whole ? ")" : "");
  else if (mark) sqlite3_str_appendall(s, ")");
  if (mark && valued) info->idxNum |= MARKED;
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
  if (op == SQLITE_INDEX_CONSTRAINT_EQ && ptab_is_rowid(t, col)) q->one = 1;
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

/* What the rows are read for. A column that is a constraint only is not: the shadow compares it. */
static int columns_used(const struct ptab *t, sqlite3_uint64 used) {
  int num = t->d.without_key == PROTECT_HIDE ? NEEDS_BOX : 0;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (!(used & (1ULL << (i < 63 ? i : 63)))) continue;
    if (t->d.c[i].flags & PCOL_SEALED) num |= NEEDS_BOX;
    else num |= 1 << (USED + (t->place[i] < LAST_USED ? t->place[i] : LAST_USED));
  }
  return num;
}

enum { SCAN_COLUMNS = 100 };                          /* a function takes 127 arguments */

/* Nothing but the whole table, as it lies? */
static int whole_table(const struct ptab *t, const sqlite3_index_info *info, int terms) {
  return terms == 0 && t->d.columns <= SCAN_COLUMNS && (!info->orderByConsumed || (info->nOrderBy == 1 && ptab_is_rowid(t, info->aOrderBy[0].iColumn)));
}

int plan_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
  struct ptab *t = (struct ptab *)base;
  int args = 0, terms = 0;
  struct terms q = { 0 };
  sqlite3_str *s = sqlite3_str_new(NULL);
  info->idxNum = columns_used(t, info->colUsed);
  int box = info->idxNum & NEEDS_BOX;
  for (int i = 0; i < info->nConstraint && terms < CONSTRAINTS; i++) {
    if (!pushable(t, info, i)) continue;
    sqlite3_str_appendall(s, terms++ ? " AND " : " WHERE ");
    append_term(s, t, info, i, &args);
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
  sqlite3_str_appendall(s, box ? " /* sealed columns opened row by row */" : " /* plain columns only */");
  info->idxStr = sqlite3_str_finish(s);
  info->needToFreeIdxStr = 1;
  if (whole_table(t, info, terms)) info->idxNum |= WHOLE_TABLE;
  if (q.one) {
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    info->idxNum |= ONE_ROW;
  }
  cost(t, info, &q, box);
  return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- the text and the values, now that they are known ---- */

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
char *plan_text(const char *str, int argc, sqlite3_value **argv) {
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

int plan_bind(sqlite3_stmt *st, int num, const char *str, int argc, sqlite3_value **argv) {
  struct term x;
  const char *p = str;
  int rc = SQLITE_OK, next = argc + 1, n = num & MARKED ? sqlite3_bind_parameter_count(st) : argc;
  for (int i = 0; rc == SQLITE_OK && i < argc && i < n; i++) rc = sqlite3_bind_value(st, i + 1, argv[i]);
  if (!(num & MARKED)) return rc;
  while (rc == SQLITE_OK && term_next(&p, &x)) {
    if (x.whole) rc = bind_whole(st, &x, argv[x.arg - 1], &next);
    else if (term_raised(x.mark, x.op, argv[x.arg - 1]) && strcmp((const char *)sqlite3_value_text(argv[x.arg - 1]), ":") < 0)
      rc = sqlite3_bind_text(st, x.arg, ":", 1, SQLITE_STATIC);
  }
  return rc;
}
