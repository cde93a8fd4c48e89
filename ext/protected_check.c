/* protected_check.c: the CHECKs of sealed columns when a row is written (see ptab.h, rowcheck.h). */
#include "ptab.h"
SQLITE_EXTENSION_INIT3

int check_needed(const struct ptab *t, const uint8_t *mask) {
  int yes = 0;
  for (uint32_t i = 0; t->d.checked && i < t->d.columns; i++) yes = yes || (mask[i] && t->named[i]);
  return yes;
}

static int check_ready(struct ptab *t) {
  char *why = NULL;
  int rc = t->check ? SQLITE_OK : rowcheck_new(t->c->db, &t->d, &t->check, &why);
  if (rc != SQLITE_OK && why) ptab_fail(t, rc, why);
  sqlite3_free(why);
  return rc;
}

static int check_run(struct ptab *t, sqlite3_stmt *st, char **broken) {
  char *message = NULL;
  int rc = rowcheck_try(t->check, st, &message);
  if (rc == SQLITE_CONSTRAINT_CHECK) {
    *broken = message;
    return message ? SQLITE_OK : SQLITE_NOMEM;
  }
  if (rc != SQLITE_OK && message) ptab_fail(t, rc, message);
  sqlite3_free(message);
  return rc;
}

int check_insert(struct ptab *t, sqlite3_value **argv, const struct value *x, int64_t id, char **broken) {
  int rc = check_ready(t);
  if (rc != SQLITE_OK) return rc;
  sqlite3_stmt *st = rowcheck_row(t->check, ROWCHECK_INSERT);
  sqlite3_bind_int64(st, 1, id);
  for (uint32_t i = 0; i < t->d.columns; i++) {
    uint8_t flags = t->d.c[i].flags;
    if (flags & PCOL_SEALED) affinity_bind(st, (int)i + 3, &x[t->place[i]]);
    else if (!(flags & (PCOL_ROWID | PCOL_GENERATED))) sqlite3_bind_value(st, (int)i + 3, argv[2 + i]);
  }
  return check_run(t, st, broken);
}

static char *whole_sql(const struct ptab *t) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  sqlite3_str_appendall(s, "SELECT 0");
  for (uint32_t i = 0; i < t->d.columns; i++)
    if (!(t->d.c[i].flags & PCOL_SEALED)) sqlite3_str_appendf(s, ",\"%w\"", t->d.c[i].name);
  sqlite3_str_appendf(s, " FROM %s WHERE \"%w\"=?1", t->shadow, t->key);
  return sqlite3_str_finish(s);
}

/* Plain columns that are not set are read from the shadow. */
int check_update(struct ptab *t, sqlite3_value **argv, const uint8_t *mask, const struct value *x, int64_t to, char **broken) {
  int rc = check_ready(t);
  char *sql = rc == SQLITE_OK && !t->whole ? whole_sql(t) : NULL;
  if (rc == SQLITE_OK && !t->whole && (rc = sql ? sqlite3_prepare_v3(t->c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &t->whole, NULL) : SQLITE_NOMEM) != SQLITE_OK)
    rc = ptab_shadow_error(t);
  sqlite3_free(sql);
  if (rc != SQLITE_OK) return rc;
  sqlite3_stmt *st = rowcheck_row(t->check, sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE ? ROWCHECK_REPLACE : ROWCHECK_UPDATE);
  sqlite3_bind_value(t->whole, 1, argv[0]);
  if (sqlite3_step(t->whole) != SQLITE_ROW) rc = ptab_shadow_error(t);
  sqlite3_bind_int64(st, 1, to);
  for (uint32_t i = 0; rc == SQLITE_OK && i < t->d.columns; i++) {
    uint8_t flags = t->d.c[i].flags;
    if (flags & PCOL_SEALED) affinity_bind(st, (int)i + 3, &x[t->place[i]]);
    else if (!(flags & (PCOL_ROWID | PCOL_GENERATED)))
      sqlite3_bind_value(st, (int)i + 3, mask[i] ? argv[2 + i] : sqlite3_column_value(t->whole, t->place[i] + 1));
  }
  sqlite3_reset(t->whole);
  return rc == SQLITE_OK ? check_run(t, st, broken) : rc;
}
