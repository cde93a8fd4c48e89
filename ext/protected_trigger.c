/* protected_trigger.c: triggers of a protected table that write to the table itself.
 * A write that comes from a trigger is another statement on the shadow, and SQLite keeps a trigger from running inside itself only within
 * one statement. So the levels of writes are followed here: what a plain table would not run again (PRAGMA recursive_triggers is off)
 * is kept from running; where it can't be told, or where more would be kept from running, the write is refused.
 * Owns: the list of the shadow's triggers, which of them may be or are under way.  Never: writes. */
#include "ptab.h"
#include "protect_ddl.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { DEEP = 500 };                                  /* levels; each takes some kilobytes of the stack */

void trigger_free(struct ptab *t) {
  for (int i = 0; i < t->triggers; i++) free(t->trigger[i].of);
  free(t->trigger);
}

/* Is the token at p the name of this column? */
static int is_column(const char *p, size_t n, const char *name) {
  char quote = *p == '[' ? ']' : *p;
  if (quote != '"' && quote != '\'' && quote != '`' && quote != ']') return n == strlen(name) && sqlite3_strnicmp(p, name, (int)n) == 0;
  size_t i = 1, k = 0;
  for (; i + 1 < n && name[k] && sqlite3_strnicmp(&p[i], &name[k], 1) == 0; i++, k++)
    if (p[i] == quote) i++;
  return i + 1 >= n && name[k] == 0;
}

/* CREATE TRIGGER name [BEFORE | AFTER] DELETE | INSERT | UPDATE [OF column, …] ON … */
static int read_trigger(const struct ptab *t, const char *sql, struct ptrigger *x) {
  static const char *const WORD[] = { "INSERT", "UPDATE", "DELETE" };
  size_t n;
  const char *p = ddl_next(sql, &n);
  for (int i = 0; i < 3; i++) p = ddl_next(p + n, &n);
  for (x->op = -1; *p && x->op < 0; p = ddl_next(p + n, &n))
    for (int i = 0; i < 3; i++)
      if (n == 6 && sqlite3_strnicmp(p, WORD[i], 6) == 0) x->op = i;
  if (x->op != TRIGGER_UPDATE || n != 2 || sqlite3_strnicmp(p, "OF", 2) != 0) return DMP_OK;
  x->of = calloc(t->d.columns, 1);
  if (x->of == NULL) return DMP_E_NOMEM;
  for (p = ddl_next(p + n, &n); *p && !(n == 2 && sqlite3_strnicmp(p, "ON", 2) == 0); p = ddl_next(p + n, &n))
    for (uint32_t i = 0; i < t->d.columns; i++)
      if (is_column(p, n, t->d.c[i].name)) x->of[i] = 1;
  return DMP_OK;
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

/* The triggers that such a write runs, one bit each; how many they are. mask: the columns that an UPDATE sets. */
static uint64_t fired(const struct ptab *t, int op, const uint8_t *mask, int *count) {
  uint64_t set = 0;
  *count = 0;
  for (int i = 0; i < t->triggers; i++) {
    const struct ptrigger *x = &t->trigger[i];
    int hit = x->op == op && x->of == NULL;
    for (uint32_t k = 0; x->op == op && x->of && k < t->d.columns; k++) hit |= x->of[k] && mask[k];
    *count += hit;
    if (hit) set |= (uint64_t)1 << (i < 63 ? i : 63);
  }
  return set;
}

static int recursive(sqlite3 *db) {
  sqlite3_stmt *st = NULL;
  int on = sqlite3_prepare_v2(db, "PRAGMA recursive_triggers", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0);
  sqlite3_finalize(st);
  return on;
}

/* May the write do more to other tables, where triggers must run: through foreign keys that refer to what it changes? */
static int reaches_children(struct ptab *t, int op, const uint8_t *mask, int replaces) {
  sqlite3_stmt *st = NULL;
  int yes = 0;
  if (op == TRIGGER_INSERT && !replaces) return 0;
  char *sql = sqlite3_mprintf("SELECT f.\"to\" FROM %s.sqlite_schema m, pragma_foreign_key_list(m.name,%Q) f WHERE m.type='table' AND f.\"table\"='%q" PROTECT_SUFFIX
                              "' COLLATE NOCASE", t->schema, t->r->schema, t->d.table);
  int rc = sql ? sqlite3_prepare_v2(t->c->db, sql, -1, &st, NULL) : SQLITE_NOMEM;
  while (rc == SQLITE_OK && !yes && sqlite3_step(st) == SQLITE_ROW) {
    const char *to = (const char *)sqlite3_column_text(st, 0);
    yes = op != TRIGGER_UPDATE || replaces || to == NULL;
    for (uint32_t i = 0; to && i < t->d.columns; i++) yes |= mask[i] && sqlite3_stricmp(t->d.c[i].name, to) == 0;
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return yes || rc != SQLITE_OK;
}

int trigger_enter(struct ptab *t, int op, const uint8_t *mask, int replaces, struct level *l) {
  int count;
  uint64_t now = fired(t, op, mask, &count);
  *l = (struct level){ .under_way = t->under_way, .surely = t->surely };
  if (t->c->levels >= DEEP) return ptab_fail(t, SQLITE_ERROR, "too many levels of trigger recursion");
  if (now & t->under_way && !recursive(t->c->db)) {
    if (now & ~t->surely || t->triggers > 63 || reaches_children(t, op, mask, replaces)) return ptab_error(t, DMP_E_TRIGGER_AGAIN);
    sqlite3_db_config(t->c->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, -1, &l->quiet);
    sqlite3_db_config(t->c->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  }
  t->c->levels++;
  l->entered = 1;
  t->under_way |= now;
  if (count == 1) t->surely |= now;
  return SQLITE_OK;
}

void trigger_leave(struct ptab *t, const struct level *l) {
  if (!l->entered) return;
  if (l->quiet) sqlite3_db_config(t->c->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
  t->under_way = l->under_way;
  t->surely = l->surely;
  t->c->levels--;
}
