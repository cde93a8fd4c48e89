/* protect_ddl.c: see protect_ddl.h. */
#include "protect_ddl.h"
#include "sqlite3ext.h"
#include <ctype.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static int in_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$' || c & 0x80; }

static size_t quoted_len(const char *p, char end) {
  size_t n = 1;
  while (p[n] && p[n] != end) n++;
  return n + (p[n] != 0);
}

/* Length of the token at p (at least 1; a quote that is doubled inside comes as two tokens). */
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

int ddl_without_rowid(const char *sql) {
  const char *body = ddl_body(sql);
  return body != NULL && ddl_count(body_end(body), "WITHOUT") > 0;
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

char *ddl_shadow_body(const char *sql, const char *key) {
  const char *p = ddl_body(sql), *end = p ? body_end(p) : NULL;
  sqlite3_str *s = sqlite3_str_new(NULL);
  if (p) sqlite3_str_appendf(s, "(\"%w\" INTEGER PRIMARY KEY,", key);
  for (size_t n = 1; p && (p += n) < end;) {
    n = token(p);
    const char *next = skip(p + n);
    if (!is_word(p, n, "PRIMARY") || !is_word(next, token(next), "KEY")) {
      sqlite3_str_append(s, p, (int)n);
      continue;
    }
    sqlite3_str_appendall(s, "UNIQUE");
    next += 3;
    const char *order = skip(next);
    size_t m = token(order);
    n = (size_t)(is_word(order, m, "DESC") || is_word(order, m, "ASC") ? order + m - p : next - p);
  }
  if (end && ddl_count(end, "STRICT")) sqlite3_str_appendall(s, " STRICT");
  return sqlite3_str_finish(s);
}
