/* protect_ddl.c: see protect_ddl.h. */
#include "protect_ddl.h"
#include "sqlite3ext.h"
#include <ctype.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static int in_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$' || c & 0x80; }

static size_t quoted_len(const char *p, char end) {
  size_t n = 1;
  while (p[n] && (p[n] != end || (end != ']' && p[n + 1] == end))) n += 1 + (p[n] == end);
  return n + (p[n] != 0);
}

/* Length of the token at p, at least 1. */
static size_t token(const char *p) {
  size_t n = 0;
  if (*p == '\'' || *p == '"' || *p == '`') return quoted_len(p, *p);
  if (*p == '[') return quoted_len(p, ']');
  if (p[0] == '-' && p[1] == '-') return strcspn(p, "\n");
  if (p[0] == '/' && p[1] == '*') {
    const char *end = strstr(p + 2, "*/");
    return end ? (size_t)(end + 2 - p) : strlen(p);
  }
  while (in_word(p[n])) n++;
  return n ? n : 1;
}

static int is_word(const char *p, size_t n, const char *word) { return n == strlen(word) && sqlite3_strnicmp(p, word, (int)n) == 0; }

int ddl_count(const char *sql, const char *word) {
  int found = 0;
  for (size_t n; *sql; sql += n) found += is_word(sql, n = token(sql), word);
  return found;
}

const char *ddl_body(const char *sql) {
  for (; *sql; sql += token(sql))
    if (*sql == '(') return sql;
  return NULL;
}

/* Past the parenthesis that closes the one at p. */
static const char *body_end(const char *p) {
  int depth = 0;
  for (; *p; p += token(p)) {
    depth += (*p == '(') - (*p == ')');
    if (depth == 0) return p + 1;
  }
  return p;
}

const char *ddl_more(const char *sql) {
  for (; *sql; sql += token(sql))
    if (*sql == ';') return sql + 1;
  return NULL;
}

/* How often a word stands behind the columns: among the options of the table. */
static int option(const char *body, const char *word) {
  int found = 0;
  for (size_t n; *body && *body != ';'; body += n) found += is_word(body, n = token(body), word);
  return found;
}

int ddl_without_rowid(const char *sql) {
  const char *body = ddl_body(sql);
  return body != NULL && option(body_end(body), "WITHOUT") > 0;
}

/* The next token that is neither space nor comment. */
static const char *skip(const char *p) {
  while (isspace((unsigned char)*p) || (p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*')) p += token(p);
  return p;
}

const char *ddl_next(const char *p, size_t *n) {
  p = skip(p);
  *n = *p ? token(p) : 0;
  return p;
}

/* One token of a type's name: a word, or something quoted that ends. */
static int is_type_word(const char *p, size_t n) {
  if (in_word(*p)) return 1;
  char end = *p == '[' ? ']' : *p;
  return n > 1 && p[n - 1] == end && (end == '"' || end == '\'' || end == '`' || end == ']');
}

int ddl_is_type(const char *p) {
  size_t n;
  if (strstr(p, "--") || strstr(p, "/*")) return 0;
  for (p = ddl_next(p, &n); *p && *p != '('; p = ddl_next(p + n, &n))
    if (!is_type_word(p, n)) return 0;
  if (*p == 0) return 1;
  p += 1 + strspn(p + 1, "0123456789+-.eE, ");
  return *p == ')' && *ddl_next(p + 1, &n) == 0;
}

int ddl_is_name(const char *p, size_t n, const char *name) {
  char quote = *p == '[' ? ']' : *p;
  if (quote != '"' && quote != '\'' && quote != '`' && quote != ']') return is_word(p, n, name);
  size_t i = 1, k = 0;
  for (; i + 1 < n; i++, k++) {
    if (p[i] == quote && p[i + 1] == quote) i++;
    if (sqlite3_strnicmp(&p[i], &name[k], 1) != 0 || name[k] == 0) return 0;
  }
  return name[k] == 0;
}

static int is_one_of(const char *p, size_t n, const char *const *names) {
  while (*names && !ddl_is_name(p, n, *names)) names++;
  return *names != NULL;
}

/* ---- the columns and constraints between the outer parentheses ---- */

enum { ITEM_OTHER, ITEM_PRIMARY, ITEM_UNIQUE, ITEM_CHECK };
struct item { const char *p; size_t n; int kind; const char *column; size_t column_n; };   /* column: whose definition it is in; NULL: the table's */
struct walk { const char *p, *end; int start, constraints; const char *column; size_t column_n; };

/* A constraint as one item: PRIMARY KEY with its order, UNIQUE of the table with its columns, CHECK with its expression. */
static void item_constraint(const struct walk *w, struct item *x) {
  const char *next = skip(x->p + x->n);
  if (is_word(x->p, x->n, "PRIMARY") && is_word(next, token(next), "KEY")) {
    const char *order = skip(next + 3);
    size_t m = token(order);
    x->kind = ITEM_PRIMARY;
    x->n = (size_t)((is_word(order, m, "DESC") || is_word(order, m, "ASC") ? order + m : next + 3) - x->p);
  } else if (is_word(x->p, x->n, "UNIQUE")) {
    x->kind = ITEM_UNIQUE;
    if (w->constraints && *next == '(') x->n = (size_t)(body_end(next) - x->p);
  } else if (is_word(x->p, x->n, "CHECK") && *next == '(') {
    x->kind = ITEM_CHECK;
    x->n = (size_t)(body_end(next) - x->p);
  }
}

/* The next item; blanks, commas, words and groups in parentheses are items too. */
static int walk_next(struct walk *w, struct item *x) {
  static const char *const FIRST[] = { "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", NULL };
  if (w->p >= w->end) return 0;
  *x = (struct item){ w->p, *w->p == '(' ? (size_t)(body_end(w->p) - w->p) : token(w->p), ITEM_OTHER, NULL, 0 };
  if (*w->p == ',') w->start = 1;
  else if (skip(w->p) == w->p) {
    int reserved = in_word(*w->p) && is_one_of(w->p, x->n, FIRST);
    if (w->start && reserved) w->constraints = 1;
    if (w->start) {
      w->column = w->constraints ? NULL : w->p;
      w->column_n = x->n;
    }
    w->start = 0;
    if (reserved) item_constraint(w, x);
  }
  x->column = w->column;
  x->column_n = w->column_n;
  w->p += x->n;
  return 1;
}

static struct walk walk_body(const char *body) { return (struct walk){ body + 1, body_end(body) - 1, 1, 0, NULL, 0 }; }

/* UNIQUE of one sealed column alone. */
static int unique_sealed(const struct item *x, const char *const *sealed) {
  if (x->column) return is_one_of(x->column, x->column_n, sealed);
  const char *p = skip(x->p + 6), *end = x->p + x->n;
  if (*p != '(') return 0;
  const char *name = skip(p + 1);
  for (p = name; p < end; p += token(p))
    if (*p == ',') return 0;
  return is_one_of(name, token(name), sealed);
}

int ddl_names(const char *expr, size_t n, const char *column) {
  for (size_t i = 0, k; i < n; i += k)
    if (k = token(expr + i), expr[i] != '\'' && ddl_is_name(expr + i, k, column)) return 1;
  return 0;
}

/* A CHECK that only who holds the key can try. */
static int check_sealed(const struct item *x, const char *const *sealed) {
  if (x->column && is_one_of(x->column, x->column_n, sealed)) return 1;
  for (; *sealed; sealed++)
    if (ddl_names(x->p + 5, x->n - 5, *sealed)) return 1;
  return 0;
}

int ddl_checks(const char *sql, const char *const *sealed, void (*each)(void *ctx, const char *expr, size_t n), void *ctx) {
  const char *body = ddl_body(sql);
  struct item x;
  int found = 0;
  if (body == NULL) return 0;
  for (struct walk w = walk_body(body); walk_next(&w, &x);) {
    if (x.kind != ITEM_CHECK || !check_sealed(&x, sealed)) continue;
    found++;
    if (each) each(ctx, x.p + 5, x.n - 5);
  }
  return found;
}

const char *ddl_definition(const char *sql, const char *column, size_t *n) {
  const char *body = ddl_body(sql), *found = NULL;
  struct item x;
  if (body == NULL) return NULL;
  for (struct walk w = walk_body(body); walk_next(&w, &x);) {
    if (x.column == NULL || !ddl_is_name(x.column, x.column_n, column)) continue;
    found = x.column;
    *n = (size_t)(x.p + x.n - found);
  }
  return found;
}

char *ddl_table(const char *sql) {
  const char *body = ddl_body(sql), *more = ddl_more(sql);
  if (body == NULL) return NULL;
  return sqlite3_mprintf("%.*s", (int)(more ? (size_t)(more - body) - 1 : strlen(body)), body);
}

char *ddl_shadow_body(const char *sql, const char *key, const char *const *sealed) {
  const char *body = ddl_body(sql);
  sqlite3_str *s = sqlite3_str_new(NULL);
  struct item x;
  if (body == NULL) return sqlite3_str_finish(s);
  struct walk w = walk_body(body);
  sqlite3_str_appendall(s, "(");
  if (key) sqlite3_str_appendf(s, "\"%w\" INTEGER PRIMARY KEY,", key);
  while (walk_next(&w, &x)) {
    if (x.kind == ITEM_PRIMARY && key) sqlite3_str_appendall(s, "UNIQUE");
    else if ((x.kind == ITEM_UNIQUE && unique_sealed(&x, sealed)) || (x.kind == ITEM_CHECK && check_sealed(&x, sealed)))
      sqlite3_str_appendall(s, "CONSTRAINT none");    /* a name alone: stands anywhere, means nothing */
    else sqlite3_str_append(s, x.p, (int)x.n);
  }
  sqlite3_str_appendall(s, option(w.end, "STRICT") ? ") STRICT" : ")");
  return sqlite3_str_finish(s);
}
