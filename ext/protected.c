/* protected.c: the virtual table of a protected table: connecting, its key, its transactions (see ptab.h). */
#include "convert.h"
#include "memory.h"
#include "protect_ddl.h"
#include "protected.h"
#include "ptab.h"
#include "transaction.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

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

/* ---- DROP TABLE, ALTER TABLE ---- */

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
