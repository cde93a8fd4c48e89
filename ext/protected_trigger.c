/* protected_trigger.c: triggers of a protected table that write to the table itself.
 * A write that comes from a trigger is another statement on the shadow, and SQLite keeps a trigger from running inside itself only within
 * one statement (PRAGMA recursive_triggers is off by itself). So the levels of writes are followed here: one that would run again what is
 * under way, or may be, is refused.
 * Owns: the list of the shadow's triggers, and which of them may be under way.  Never: writes. */
#include "ptab.h"
#include "protected.h"
#include "protect_ddl.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { DEEP = 500 };                                  /* levels; each takes some kilobytes of the stack */

void trigger_free(struct ptab *t) {
  for (int i = 0; i < t->triggers; i++) free(t->trigger[i].of);
  free(t->trigger);
}

static int is_word(const char *p, size_t n, const char *word) { return n == strlen(word) && sqlite3_strnicmp(p, word, (int)n) == 0; }

/* CREATE TRIGGER name [BEFORE | AFTER] DELETE | INSERT | UPDATE [OF column, …] ON …: which of them, -1: none; behind it. */
static int read_event(const char **sql, size_t *n) {
  static const char *const WORD[] = { "INSERT", "UPDATE", "DELETE" };
  const char *p = ddl_next(*sql, n);
  int event = -1;
  for (int i = 0; i < 3 && *p; i++) p = ddl_next(p + *n, n);
  for (; *p && event < 0; p = ddl_next(p + *n, n))
    for (int i = 0; i < 3; i++)
      if (is_word(p, *n, WORD[i])) event = i;
  *sql = p;
  return event;
}

int trigger_of(const char *sql, const char *column) {
  size_t n;
  int found = 0;
  if (read_event(&sql, &n) != TRIGGER_UPDATE || !is_word(sql, n, "OF")) return -1;
  for (sql = ddl_next(sql + n, &n); *sql && !is_word(sql, n, "ON"); sql = ddl_next(sql + n, &n)) found |= ddl_is_name(sql, n, column);
  return found;
}

static int read_trigger(const struct ptab *t, const char *sql, struct ptrigger *x) {
  const char *p = sql;
  size_t n;
  x->event = read_event(&p, &n);
  if (trigger_of(sql, "") < 0) return DMP_OK;
  x->of = calloc(t->d.columns, 1);
  if (x->of == NULL) return DMP_E_NOMEM;
  for (uint32_t i = 0; i < t->d.columns; i++) x->of[i] = (uint8_t)trigger_of(sql, t->d.c[i].name);
  return DMP_OK;
}

/* What follows in the body of a trigger: INSERT, UPDATE or DELETE, -1: none of them; *p: the table that it names. */
static int read_write(const char **p, size_t *n) {
  int event = is_word(*p, *n, "INTO") ? TRIGGER_INSERT : is_word(*p, *n, "UPDATE") ? TRIGGER_UPDATE : is_word(*p, *n, "DELETE") ? TRIGGER_DELETE : -1;
  if (event < 0) return -1;
  *p = ddl_next(*p + *n, n);
  if (event == TRIGGER_DELETE && is_word(*p, *n, "FROM")) *p = ddl_next(*p + *n, n);
  if (event == TRIGGER_UPDATE && is_word(*p, *n, "OR")) {
    *p = ddl_next(*p + *n, n);
    *p = ddl_next(*p + *n, n);
  }
  return event;
}

int trigger_repeats(const char *sql, const char *table) {
  size_t n;
  int event = read_event(&sql, &n), write;
  if (is_word(sql, n, "OF")) return 0;                /* which columns the body sets is seen when it does */
  while (*sql && !is_word(sql, n, "BEGIN")) sql = ddl_next(sql + n, &n);
  for (; *sql; sql = ddl_next(sql + n, &n)) {
    while ((write = read_write(&sql, &n)) >= 0)
      if (write == event && ddl_is_name(sql, n, table)) return 1;
    if (*sql == 0) break;
  }
  return 0;
}

int trigger_load(struct ptab *t) {
  sqlite3_stmt *st = NULL;
  int e = DMP_OK;
  char *sql = sqlite3_mprintf("SELECT sql FROM %s.sqlite_schema WHERE type='trigger' AND tbl_name='%q" PROTECT_SUFFIX "' COLLATE NOCASE", t->schema, t->d.table);
  int rc = sql ? sqlite3_prepare_v2(t->c->db, sql, -1, &st, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  while (rc == SQLITE_OK && e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
    struct ptrigger *more = realloc(t->trigger, ((size_t)t->triggers + 1) * sizeof *more);
    if (more == NULL) e = DMP_E_NOMEM;
    else t->trigger = more;
    const char *text = e == DMP_OK ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (text == NULL) continue;
    t->trigger[t->triggers] = (struct ptrigger){ 0 };
    e = read_trigger(t, text, &t->trigger[t->triggers++]);
  }
  sqlite3_finalize(st);
  return rc == SQLITE_OK ? e : record_sql_fault(t->r);
}

/* The triggers that such a write runs, one bit each. mask: the columns that an UPDATE sets. */
static uint64_t fired(const struct ptab *t, int event, const uint8_t *mask) {
  uint64_t set = 0;
  for (int i = 0; i < t->triggers; i++) {
    const struct ptrigger *x = &t->trigger[i];
    int hit = x->event == event && x->of == NULL;
    for (uint32_t k = 0; x->event == event && x->of && k < t->d.columns; k++) hit |= x->of[k] && mask[k];
    if (hit) set |= (uint64_t)1 << (i < 63 ? i : 63);
  }
  return set;
}

int trigger_recursive(sqlite3 *db) {
  sqlite3_stmt *st = NULL;
  int on = sqlite3_prepare_v2(db, "PRAGMA recursive_triggers", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0);
  sqlite3_finalize(st);
  return on;
}

int trigger_enter(struct ptab *t, int event, const uint8_t *mask, struct level *l) {
  uint64_t now = fired(t, event, mask);
  *l = (struct level){ 0, t->under_way };
  if (t->c->levels >= DEEP) return ptab_fail(t, SQLITE_ERROR, "too many levels of trigger recursion");
  if (now & t->under_way && !trigger_recursive(t->c->db)) return ptab_error(t, DMP_E_TRIGGER_AGAIN);
  t->c->levels++;
  t->under_way |= now;
  l->entered = 1;
  return SQLITE_OK;
}

void trigger_leave(struct ptab *t, const struct level *l) {
  if (!l->entered) return;
  t->under_way = l->under_way;
  t->c->levels--;
}
