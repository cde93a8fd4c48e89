/* ptab.c: what every part of the protected table's module asks: errors in the table's own name, and its key (see ptab.h). */
#include "ptab.h"
#include "watch.h"
#include <ctype.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- errors ---- */

int ptab_error(struct ptab *t, int e) {
  int rc;
  if (e == DMP_OK) return SQLITE_OK;
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = connection_error(t->r, t->c->db, e, &rc);
  return rc;
}

int ptab_fail(struct ptab *t, int rc, const char *message) {
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

/* An error of the shadow in the table's own name, and a keyed column's in that of the column it stands for. */
int ptab_shadow_error(struct ptab *t) {
  int rc = sqlite3_extended_errcode(t->c->db);
  const size_t n = strlen(t->d.table), k = strlen(PROTECT_SUFFIX), x = strlen("." PROTECT_INDEX);
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (const char *m = sqlite3_errmsg(t->c->db); *m; m++) {
    int ours = sqlite3_strnicmp(m, t->d.table, (int)n) == 0 && sqlite3_strnicmp(m + n, PROTECT_SUFFIX, (int)k) == 0 && !isalnum((unsigned char)m[n + k]) &&
               m[n + k] != '_';
    sqlite3_str_append(s, m, ours ? (int)n : 1);
    if (ours) m += n + k - 1;
    if (ours && strncmp(m + 1, "." PROTECT_INDEX, x) == 0) {
      sqlite3_str_append(s, ".", 1);
      m += x;
    }
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

/* ---- the key ---- */

void ptab_key_turned(struct ptab *t) {
  for (uint32_t i = 0; i < t->d.columns; i++) t->u->ix[i].live.ready = t->u->ix[i].old.ready = 0;
}

/* The list of views and triggers, of the very description that a holder wrote: watch_check takes whatever is signed at its moment. */
static int ptab_watched(struct ptab *t, struct session *s) {
  if (t->watched_check == t->r->schema_checks && memcmp(t->watched, t->d.digest, 32) == 0) return DMP_OK;
  int e = watch_table(s, &t->d);
  if (e != DMP_OK) return e;
  t->watched_check = t->r->schema_checks;
  memcpy(t->watched, t->d.digest, 32);
  return DMP_OK;
}

/* 1 held, 0 not. An error of the file is an error, not an absence. */
int ptab_key(struct ptab *t, struct session **s, int *held) {
  struct unlocked *u = t->u;
  *held = 0;
  t->r->temp_held = t->temp_held;
  int e = session_use(t->r, s);
  t->r->temp_held = 0;
  if (e == DMP_OK && !t->temp_held) t->temp_held = record_hold_temp(t->r);
  if (e == DMP_E_NO_SESSION) {
    u->state = 0;
    return DMP_OK;
  }
  if (e == DMP_OK) e = watch_check(*s);               /* a view or trigger planted since the table was protected */
  if (e != DMP_OK) return e;
  if (t->c->unsettled && !t->begun) {                 /* a key was drawn in a transaction that may be rolled back */
    t->c->unsettled = !sqlite3_get_autocommit(t->c->db);
    session_stale(*s);
  }
  if (u->state == 0 || u->generation != (*s)->generation || memcmp(u->login, (*s)->login_id, 16) != 0) {
    uint8_t kid[16], old_kid[16];
    memcpy(kid, t->d.kid, 16);
    memcpy(old_kid, t->d.old_kid, 16);
    e = protect_again(*s, &t->d);                     /* was it signed; the key may have turned, or be turning */
    int same = e == DMP_OK && u->state == 1 && memcmp(u->login, (*s)->login_id, 16) == 0 && memcmp(t->d.kid, kid, 16) == 0 &&
               memcmp(t->d.old_kid, old_kid, 16) == 0;
    if (!same) ptab_key_turned(t);
    if (e == DMP_OK) e = same ? protect_by_holder(*s, &t->d, &u->keys) : protect_key(*s, &t->d, &u->keys);
    u->state = e == DMP_OK ? 1 : e == DMP_E_KEY_LOST ? 3 : 2;
    u->generation = (*s)->generation;
    memcpy(u->login, (*s)->login_id, 16);
    if (e == DMP_E_NO_TABLE_KEY || e == DMP_E_KEY_LOST) e = DMP_OK;
    if (e != DMP_OK) u->state = 0;
  }
  *held = u->state == 1;
  if (e == DMP_OK && *held && (e = ptab_watched(t, *s)) != DMP_OK) *held = 0;
  return e;
}

int ptab_key_kept(const struct ptab *t, const struct session *s) {
  const struct unlocked *u = t->u;                    /* in a forked child its memory reads as zeros, and nothing is kept */
  return s && u->state == 1 && !t->c->unsettled && u->generation == s->generation && memcmp(u->login, s->login_id, 16) == 0;
}
int ptab_may(const struct ptab *t, int held) { return held || (t->rowkeys && t->u->state != 0); }

int ptab_keyless(struct ptab *t) { return ptab_error(t, t->u->state == 3 ? DMP_E_KEY_LOST : DMP_E_NO_TABLE_KEY); }

int ptab_is_rowid(const struct ptab *t, int col) { return col < 0 || t->d.c[col].flags & PCOL_ROWID; }
