/* protected_plan.c: how a query on a protected table asks its shadow (see ptab.h). */
#include "protect_ddl.h"
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

/* The column that a column of the shadow holds, or holds the keyed values of. */
static int column_named(const struct ptab *t, const char *name) {
  const size_t k = strlen(PROTECT_INDEX);
  int keyed = name && strncmp(name, PROTECT_INDEX, k) == 0;
  for (uint32_t i = 0; name && i < t->d.columns; i++)
    if (keyed ? t->d.c[i].flags & PCOL_INDEXED && strcmp(t->d.c[i].name, name + k) == 0 : sqlite3_stricmp(t->d.c[i].name, name) == 0) return (int)i;
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
 * sees the value (see term_safe); such terms are checked again by SQLite.
 * A term on a keyed column always carries a mark, with the number of the column: its value becomes what the index holds. Equal
 * values have one such, so the shadow finds the rows that SQLite may then compare; without the key the column is NULL. */
enum mark { MARK_ALIKE = 'a' /* both sides compare as they are */, MARK_TEXT = 't', MARK_NONE = 'n', MARK_NULL = 'z' /* is it NULL? */ };

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
  int null = c->op == SQLITE_INDEX_CONSTRAINT_ISNULL || c->op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL;
  if (col->flags & PCOL_SEALED && !(col->flags & PCOL_INDEXED && (null || c->op == SQLITE_INDEX_CONSTRAINT_EQ || c->op == SQLITE_INDEX_CONSTRAINT_IS))) return 0;
  if (null || c->op == SQLITE_INDEX_CONSTRAINT_LIKE || c->op == SQLITE_INDEX_CONSTRAINT_GLOB) return 1;
  const char *coll = sqlite3_vtab_collation(info, i);
  if (col->flags & PCOL_INDEXED && sqlite3_stricmp(coll, "BINARY") == 0) return 1;   /* what is the same is equal under any */
  return coll == NULL || sqlite3_stricmp(coll, *col->coll ? col->coll : "BINARY") == 0;
}

static void append_column(sqlite3_str *s, const struct ptab *t, int col) {
  if (ptab_is_rowid(t, col)) sqlite3_str_appendf(s, "\"%w\"", t->key);
  else if (t->d.c[col].flags & PCOL_INDEXED) sqlite3_str_appendf(s, "\"" PROTECT_INDEX "%w\"", t->d.c[col].name);
  else sqlite3_str_appendf(s, "\"%w\"", t->d.c[col].name);
}

/* How a term must be looked at again in xFilter: 0 when the shadow compares exactly as the table would. */
static int term_mark(const struct ptab *t, sqlite3_index_info *info, int i) {
  int col = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
  sqlite3_value *literal;
  if (ptab_is_rowid(t, col) || op == SQLITE_INDEX_CONSTRAINT_LIKE || op == SQLITE_INDEX_CONSTRAINT_GLOB) return 0;
  enum affinity a = affinity_column(&t->d.c[col]);
  int alike = t->d.c[col].flags & PCOL_INDEXED ? MARK_ALIKE : 0;
  if (op == SQLITE_INDEX_CONSTRAINT_ISNULL || op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) return alike ? MARK_NULL : 0;
  if (a != AFF_TEXT && a != AFF_BLOB) return alike;
  /* a literal has no affinity, a CAST has one; a text is compared alike by a TEXT column in both cases */
  if (a == AFF_TEXT && !sqlite3_vtab_in(info, i, -1) && sqlite3_vtab_rhs_value(info, i, &literal) == SQLITE_OK &&
      sqlite3_value_type(literal) == SQLITE_TEXT)
    return alike;
  return a == AFF_TEXT ? MARK_TEXT : MARK_NONE;
}

/* "day">=?3; with a mark: ("day">=?3 + mark), the mark with the number of a keyed column, from 1. An IN of marked terms comes whole.
 * IS NULL takes no argument. */
static void append_term(sqlite3_str *s, const struct ptab *t, sqlite3_index_info *info, int i, int *args) {
  int col = info->aConstraint[i].iColumn, op = info->aConstraint[i].op, mark = term_mark(t, info, i);
  int valued = op != SQLITE_INDEX_CONSTRAINT_ISNULL && op != SQLITE_INDEX_CONSTRAINT_ISNOTNULL, arg = valued ? ++*args : 0;
  int whole = mark && mark != MARK_ALIKE && sqlite3_vtab_in(info, i, -1);
  if (whole) sqlite3_vtab_in(info, i, 1);
  if (mark) sqlite3_str_appendall(s, "(");
  append_column(s, t, col);
  sqlite3_str_appendall(s, whole ? " IN (?" : operator_of(op));
  if (valued) sqlite3_str_appendf(s, "%d", arg);
  if (mark) sqlite3_str_appendf(s, "/*%c", mark);
  if (mark && col >= 0 && t->d.c[col].flags & PCOL_INDEXED) sqlite3_str_appendf(s, "%d", col + 1);
  if (mark) sqlite3_str_appendall(s, whole ? "*/))" : "*/)");
  if (mark) info->idxNum |= MARKED;
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

/* The bit of a plain column; the rowid comes anyway. */
static int used_bit(const struct ptab *t, int i) { return 1 << (USED + (t->place[i] < LAST_USED ? t->place[i] : LAST_USED)); }

/* What the rows are read for. A column that is a constraint only is not: the shadow compares it. */
static int columns_used(const struct ptab *t, sqlite3_uint64 used) {
  int num = t->d.without_key == PROTECT_HIDE ? NEEDS_BOX : 0;
  if (t->rowkeys && used & (1ULL << (t->d.columns < 63 ? t->d.columns : 63))) num |= NEEDS_BOX;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (!(used & (1ULL << (i < 63 ? i : 63)))) continue;
    if (t->d.c[i].flags & PCOL_SEALED) num |= NEEDS_BOX;
    else num |= used_bit(t, (int)i);
  }
  if (num & NEEDS_BOX && t->who >= 0) num |= used_bit(t, t->who);
  return num;
}

/* A name that can stand in the sentence without being taken for SQL. */
static const char *said(const struct pcol *c) {
  for (const char *p = c->name; *p; p++)
    if (strchr("\"'*/?", *p)) return "one";
  return c->name;
}

/* What EXPLAIN QUERY PLAN says beside the WHERE: whether boxes are opened, and which comparison of a sealed column an index serves
 * or does not. */
static void append_sentence(sqlite3_str *s, struct ptab *t, sqlite3_index_info *info, int box) {
  const char *found = NULL, *open = NULL, *why = NULL;
  for (int i = 0; i < info->nConstraint; i++) {
    const struct sqlite3_index_constraint *c = &info->aConstraint[i];
    if (!c->usable || c->op == SQLITE_INDEX_CONSTRAINT_LIMIT || c->op == SQLITE_INDEX_CONSTRAINT_OFFSET) continue;
    if (c->iColumn < 0 || c->iColumn >= (int)t->d.columns || !(t->d.c[c->iColumn].flags & PCOL_SEALED)) continue;
    if (pushable(t, info, i)) found = said(&t->d.c[c->iColumn]);
    else {
      open = said(&t->d.c[c->iColumn]);
      why = t->d.c[c->iColumn].flags & PCOL_INDEXED ? "its index serves no such comparison" : "it has no index";
    }
  }
  sqlite3_str_appendall(s, box ? " /* sealed columns opened row by row" : " /* plain columns only");
  if (found) sqlite3_str_appendf(s, ", of the rows that the index of %s finds", found);
  if (open) sqlite3_str_appendf(s, "; compared in each: %s, %s", open, why);
  sqlite3_str_appendall(s, " */");
}

enum { SCAN_COLUMNS = 100 };                          /* a function takes 127 arguments */

/* Nothing but the whole table, as it lies? A local identifier is looked for in UTF-8, and what is read ahead is as it is stored. */
static int whole_table(const struct ptab *t, const sqlite3_index_info *info, int terms) {
  if (t->who >= 0 && *t->d.system) return 0;
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
  append_sentence(s, t, info, box);
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

struct term { const char *op, *at, *end; int mark, keyed /* column, -1: a plain one */, arg, whole; };   /* at, end: of the mark */

/* Does a statement under way say CAST? CAST(? AS INTEGER) has an affinity, and its value is still told to come from a parameter. */
static int casting(const struct ptab *t) {
  for (sqlite3_stmt *st = sqlite3_next_stmt(t->c->db, NULL); st; st = sqlite3_next_stmt(t->c->db, st))
    if (sqlite3_stmt_busy(st) && ddl_count(sqlite3_sql(st), "CAST")) return 1;
  return 0;
}

/* May the shadow decide this term? The right side is an expression or a column of unknown affinity, v its value.
 * A text equals the same texts under every affinity, and is above fewer numbers-as-text than it is above texts; anything
 * else may convert the column, and then only SQLite compares. */
static int term_safe(const struct ptab *t, const struct term *x, sqlite3_value *v) {
  int type = sqlite3_value_type(v);
  if (x->mark == MARK_ALIKE || type == SQLITE_NULL || type == SQLITE_BLOB) return 1;
  if (sqlite3_value_frombind(v)) return type == SQLITE_TEXT || !casting(t);
  return x->mark == MARK_TEXT && type == SQLITE_TEXT && *x->op != '<';
}

/* Every text that looks like a number is below ':', so that "day" < V keeps those that a numeric V would be above. */
static int term_raised(const struct term *x, sqlite3_value *v) {
  return x->mark == MARK_TEXT && *x->op == '<' && sqlite3_value_type(v) == SQLITE_TEXT && !sqlite3_value_frombind(v);
}

/* Is this a mark? Its column, or -1, and its end. */
static int term_marked(const char *q, struct term *x) {
  if (q[0] != '/' || q[1] != '*') return 0;
  x->mark = q[2];
  x->at = q;
  x->keyed = (int)strtol(q + 3, (char **)&x->end, 10) - 1;
  x->end += 2;
  return 1;
}

/* The next marked term of idxStr at or after *p. Quoted names are skipped. */
static int term_next(const char **p, struct term *x) {
  int quoted = 0;
  const char *op = NULL;
  for (const char *q = *p; *q; q++) {
    if (*q == '"') quoted = !quoted;
    if (quoted) continue;
    if (*q == '"' || *q == ' ') op = q + 1;
    if (*q == '?') x->arg = atoi(q + 1);
    if (q[0] == '/' && q[1] == '*' && q[2] == ' ') return 0;   /* the sentence, which is the end */
    if (!term_marked(q, x)) continue;
    x->op = op;
    x->whole = *op == '(';
    *p = x->end;
    return 1;
  }
  return 0;
}

/* How many values an IN has that came whole; -1: not all may be decided by the shadow. */
static int whole_count(const struct ptab *t, const struct term *x, sqlite3_value *list) {
  sqlite3_value *v;
  int rc, n = 0;
  for (rc = sqlite3_vtab_in_first(list, &v); rc == SQLITE_OK && v; rc = sqlite3_vtab_in_next(list, &v))
    if (n++ >= WHOLE || !term_safe(t, x, v)) return -1;
  return rc == SQLITE_DONE || rc == SQLITE_OK ? n : -1;
}

/* A term that the shadow may not decide is true for it. A sealed column is NULL without the key: nothing equals it, and what asks
 * for NULL is left to SQLite. */
static int term_open(const struct ptab *t, const struct term *x, int keyed, sqlite3_value **argv) {
  if (x->keyed >= 0 && !keyed) return *x->op != '=';
  return x->mark != MARK_NULL && !term_safe(t, x, argv[x->arg - 1]) && !term_raised(x, argv[x->arg - 1]);
}

/* While the key turns, a row's keyed values stand under the key of its box or the other one: each value is looked for under both. */
static int term_twice(const struct ptab *t, const struct term *x, int keyed) {
  return x->keyed >= 0 && keyed && x->mark != MARK_NULL && !suite_is_zero(t->d.old_kid, 16);
}

/* Most values leave the text as it is: its marks are comments. */
int plan_stands(const struct ptab *t, const char *str, int keyed, sqlite3_value **argv) {
  struct term x;
  while (term_next(&str, &x))
    if (x.whole || term_open(t, &x, keyed, argv) || term_twice(t, &x, keyed)) return 0;
  return 1;
}

/* The text that the shadow gets, now that the values are known: a term that it may not decide becomes true. Parameters that are added
 * are numbered from argc + 1, in the order in which plan_bind meets them. */
char *plan_text(const struct ptab *t, const char *str, int keyed, int argc, sqlite3_value **argv) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  struct term x;
  const char *from = str, *p = str;
  int next = argc + 1;
  while (term_next(&p, &x)) {
    sqlite3_str_append(s, from, (int)(x.at - from));
    from = x.end;
    if (x.whole) {
      int n = whole_count(t, &x, argv[x.arg - 1]) * (term_twice(t, &x, keyed) ? 2 : 1);
      for (int i = 1; i < n; i++) sqlite3_str_appendf(s, ",?%d", next++);
      if (n >= 0) continue;
      sqlite3_str_appendall(s, ") OR 1");
      from++;                                         /* its own ')' */
    } else if (term_open(t, &x, keyed, argv)) {
      sqlite3_str_appendall(s, " OR 1");
    } else if (term_twice(t, &x, keyed)) {
      sqlite3_str_appendf(s, " OR \"" PROTECT_INDEX "%w\"%s?%d", t->d.c[x.keyed].name, *x.op == '=' ? "=" : " IS ", next++);
    }
  }
  sqlite3_str_appendall(s, from);
  return sqlite3_str_finish(s);
}

/* What the index of a keyed column holds, under the live key or the old one, for a value that is compared with the column; NULL: no row. */
static int bind_keyed(struct ptab *t, sqlite3_stmt *st, int at, int column, int old, sqlite3_value *v) {
  uint8_t x[SUITE_PRF];
  if (sqlite3_value_type(v) == SQLITE_NULL) return sqlite3_bind_null(st, at);
  struct value stored = affinity_stored(v, &t->d.c[column]);
  int e = protect_index(&t->d, old ? t->u->keys.old : t->u->keys.live, old ? &t->u->ix[column].old : &t->u->ix[column].live, (uint32_t)column, &stored, x);
  return e == DMP_OK ? sqlite3_bind_blob(st, at, x, sizeof x, SQLITE_TRANSIENT) : ptab_error(t, e);
}

/* One value of a term, at a parameter of its own and, where it is looked for twice, at the next one that was added. */
static int bind_value(struct ptab *t, sqlite3_stmt *st, const struct term *x, int keyed, int at, int *next, sqlite3_value *v) {
  if (x->keyed < 0) return sqlite3_bind_value(st, at, v);
  int rc = keyed ? bind_keyed(t, st, at, x->keyed, 0, v) : sqlite3_bind_null(st, at);
  return rc == SQLITE_OK && term_twice(t, x, keyed) ? bind_keyed(t, st, (*next)++, x->keyed, 1, v) : rc;
}

static int bind_whole(struct ptab *t, sqlite3_stmt *st, const struct term *x, int keyed, sqlite3_value *list, int *next) {
  sqlite3_value *v;
  int rc, bound = SQLITE_OK, n = 0;
  if (whole_count(t, x, list) < 0) return SQLITE_OK;
  for (rc = sqlite3_vtab_in_first(list, &v); bound == SQLITE_OK && rc == SQLITE_OK && v; rc = sqlite3_vtab_in_next(list, &v))
    bound = bind_value(t, st, x, keyed, n++ == 0 ? x->arg : (*next)++, next, v);
  return bound != SQLITE_OK ? bound : rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int plan_bind(struct ptab *t, sqlite3_stmt *st, int num, const char *str, int keyed, int argc, sqlite3_value **argv) {
  struct term x;
  const char *p = str;
  int rc = SQLITE_OK, next = argc + 1;
  for (int i = 0; rc == SQLITE_OK && i < argc; i++) rc = sqlite3_bind_value(st, i + 1, argv[i]);
  if (!(num & MARKED)) return rc;
  while (rc == SQLITE_OK && term_next(&p, &x)) {
    if (x.mark == MARK_NULL) continue;
    sqlite3_value *v = argv[x.arg - 1];
    if (x.whole) rc = bind_whole(t, st, &x, keyed, v, &next);
    else if (term_open(t, &x, keyed, argv)) continue;
    else if (x.keyed >= 0) rc = bind_value(t, st, &x, keyed, x.arg, &next, v);
    else if (term_raised(&x, v) && strcmp((const char *)sqlite3_value_text(v), ":") < 0) rc = sqlite3_bind_text(st, x.arg, ":", 1, SQLITE_STATIC);
  }
  return rc;
}
