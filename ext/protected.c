/* protected.c: the virtual table of a protected table: connecting, its key, its transactions (see ptab.h). */
#include "convert.h"
#include "memory.h"
#include "protect_ddl.h"
#include "protected.h"
#include "ptab.h"
#include "transaction.h"
#include "watch.h"
#include <ctype.h>
#include <stdlib.h>
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
  if (protect_patient(d)) sqlite3_str_appendall(s, ",\"" PROTECT_MASKED "\" INTEGER HIDDEN");
  sqlite3_str_appendall(s, ")");
  return sqlite3_str_finish(s);
}

static void ptab_finalize(struct ptab *t) {
  sqlite3_stmt **all[] = { &t->insert, &t->replace, &t->erase, &t->old, &t->next, &t->update, &t->whole };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    sqlite3_finalize(*all[i]);
    *all[i] = NULL;
  }
  for (int i = 0; i < POOL; i++) {
    reading_free(t->pool[i]);
    t->pool[i] = NULL;
  }
}

static void ptab_free(struct ptab *t) {
  if (t == NULL) return;
  ptab_finalize(t);
  rowcheck_free(t->check);
  protect_free(&t->d);
  memory_free(t->u);
  rowkeys_free(t->rowkeys);
  buf_free(&t->row);
  buf_free(&t->box);
  buf_free(&t->scratch);
  buf_free(&t->was_text);
  sqlite3_free(t->schema);
  sqlite3_free(t->shadow);
  trigger_free(t);
  free(t->place);
  free(t->keyed);
  free(t->named);
  free(t->update_mask);
  free(t->x);
  free(t->keep);
  free(t);
}

static void ptab_places(struct ptab *t) {
  int plain = 0;
  t->who = -1;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (t->d.c[i].flags & PCOL_PATIENT) t->who = (int)i;
    if (t->d.c[i].flags & PCOL_SEALED) t->place[i] = t->sealed++;
    else t->place[i] = plain++;
  }
}

static int ptab_load(struct ptab *t, const char *schema, const char *table) {
  int e = connection_record(t->c, schema, &t->r);
  if (e == DMP_OK) e = protect_get(t->r, table, &t->d);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_E_NOT_PROTECTED : e;
  t->schema = sqlite3_mprintf("\"%w\"", schema);
  t->shadow = sqlite3_mprintf("\"%w\".\"%w" PROTECT_SUFFIX "\"", schema, t->d.table);
  t->place = calloc(t->d.columns, sizeof *t->place);
  t->named = calloc(t->d.columns, 1);
  t->keyed = calloc(t->d.columns, sizeof *t->keyed);
  t->update_mask = calloc(t->d.columns + 1, 1);
  t->u = memory_new(sizeof *t->u + t->d.columns * sizeof *t->u->ix);
  if (t->u == NULL) return DMP_E_LOCK;
  t->keep = calloc(t->d.columns, sizeof *t->keep);
  if (!t->schema || !t->shadow || !t->place || !t->keyed || !t->named || !t->update_mask || !t->keep) return DMP_E_NOMEM;
  if (t->d.checked && rowcheck_columns(&t->d, t->named) < 0) return DMP_E_NOMEM;
  t->key = protect_rowid(&t->d);
  t->without_rowid = ddl_without_rowid(t->d.ddl);
  ptab_places(t);
  t->x = calloc((size_t)t->sealed + 1, sizeof *t->x);
  if (t->x == NULL) return DMP_E_NOMEM;
  if (t->who >= 0 && (t->rowkeys = rowkeys_new()) == NULL) return DMP_E_LOCK;
  plan_statistics(t);
  return trigger_load(t);
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

int ptab_is_rowid(const struct ptab *t, int col) { return col < 0 || t->d.c[col].flags & PCOL_ROWID; }

/* ---- the key ---- */

/* What was derived from the keys before for the keyed indexes; protect_key sees to the rest. */
static void ptab_key_turned(struct ptab *t) {
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

/* DROP TABLE: by a reader; the shadow and the description go with it. */
static int ptab_destroy(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  struct session *s;
  if (t->r->converting) return ptab_disconnect(base);
  t->r->converting = 1;                               /* SQLite has dropped the entry by now */
  int keyed, e = ptab_key(t, &s, &keyed);
  t->r->converting = 0;
  if (e != DMP_OK) return ptab_error(t, e);
  if (!keyed) return ptab_keyless(t);
  ptab_finalize(t);
  char *sql = sqlite3_mprintf("DROP TABLE %s", t->shadow);
  int rc = sql ? sqlite3_exec(t->c->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc != SQLITE_OK) return ptab_shadow_error(t);
  if ((e = protect_drop(s, &t->d)) != DMP_OK) return ptab_error(t, e);
  return ptab_disconnect(base);
}

/* ALTER TABLE RENAME: SQLite has renamed the virtual table in the schema, in views and triggers; the shadow follows, with
 * indexes, triggers and foreign keys, and the description is signed for the new name. */
static int ptab_rename(sqlite3_vtab *base, const char *name) {
  struct ptab *t = (struct ptab *)base;
  struct session *s;
  t->r->converting = 1;
  int e = session_use(t->r, &s);                      /* not ptab_key: the views that were signed name the table as it was */
  t->r->converting = 0;
  if (e == DMP_OK) e = protect_again(s, &t->d);
  if (e == DMP_OK) e = protect_key(s, &t->d, &t->u->keys);
  ptab_key_turned(t);
  if (e == DMP_OK) ptab_finalize(t);
  if (e == DMP_OK) e = convert_rename(s, &t->d, &t->u->keys, name);
  return ptab_error(t, e);
}

/* ---- transactions: a key that was read may be rolled back ---- */

static int ptab_forget(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  if (t->c->unsettled) t->u->state = 0;
  return SQLITE_OK;
}

static int ptab_begin(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  int e = t->r->session ? session_writes(t->r->session) : DMP_OK;
  if (e != DMP_OK) return ptab_error(t, e);
  t->begun = 1;
  ((struct ptab *)base)->checked = 0;
  protect_nonces_drop(&((struct ptab *)base)->u->keys);
  return ptab_forget(base);
}

static int ptab_end(sqlite3_vtab *base) {
  ((struct ptab *)base)->begun = 0;
  return ptab_forget(base);
}

/* Rows of patients are masked with a line in the log: such a table takes part in it. */
static int ptab_sync(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  return t->rowkeys ? ptab_error(t, transaction_sync(t->r)) : SQLITE_OK;
}

static int ptab_commit(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  if (t->rowkeys) transaction_end(t->r, 1);
  return ptab_end(base);
}

static int ptab_rollback(sqlite3_vtab *base) {
  struct ptab *t = (struct ptab *)base;
  if (t->rowkeys) transaction_end(t->r, 0);
  return ptab_end(base);
}

static int ptab_savepoint(sqlite3_vtab *base, int n) {
  struct ptab *t = (struct ptab *)base;
  return t->rowkeys ? ptab_error(t, transaction_savepoint(t->r, n)) : SQLITE_OK;
}

static int ptab_release(sqlite3_vtab *base, int n) {
  struct ptab *t = (struct ptab *)base;
  if (t->rowkeys) transaction_release(t->r, n);
  return SQLITE_OK;
}

static int ptab_rollback_to(sqlite3_vtab *base, int n) {
  struct ptab *t = (struct ptab *)base;
  if (t->rowkeys) transaction_rollback_to(t->r, n);
  return ptab_forget(base);
}

static int ptab_shadow_name(const char *name) { return sqlite3_stricmp(name, &PROTECT_SUFFIX[1]) == 0; }

static sqlite3_module MODULE = {
  .iVersion = 3, .xCreate = ptab_create, .xConnect = ptab_connect, .xBestIndex = plan_best_index, .xDisconnect = ptab_disconnect,
  .xDestroy = ptab_destroy, .xOpen = cursor_open, .xClose = cursor_close, .xFilter = cursor_filter, .xNext = cursor_next, .xEof = cursor_eof,
  .xColumn = cursor_column, .xRowid = cursor_rowid, .xUpdate = write_update, .xRename = ptab_rename, .xBegin = ptab_begin, .xSync = ptab_sync,
  .xCommit = ptab_commit, .xRollback = ptab_rollback, .xSavepoint = ptab_savepoint, .xRelease = ptab_release, .xRollbackTo = ptab_rollback_to, .xShadowName = ptab_shadow_name,
};

int protected_register(struct connection *c) {
  int rc = scan_register(c);
  return rc == SQLITE_OK ? sqlite3_create_module(c->db, PROTECTED_MODULE, &MODULE, c) : rc;
}
