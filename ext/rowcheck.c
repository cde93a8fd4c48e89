/* rowcheck.c: CHECKs that name sealed columns (see rowcheck.h). */
#include "rowcheck.h"
#include "protect_ddl.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

struct rowcheck {
  sqlite3 *db;                                        /* owned: nothing of it outlives a statement */
  sqlite3_stmt *row[ROWCHECK_KINDS], *back;
};

void rowcheck_free(struct rowcheck *k) {
  if (k == NULL) return;
  for (int i = 0; i < ROWCHECK_KINDS; i++) sqlite3_finalize(k->row[i]);
  sqlite3_finalize(k->back);
  sqlite3_close(k->db);
  free(k);
}

static char *row_sql(const struct protect *p, int kind) {
  sqlite3_str *s = sqlite3_str_new(NULL), *v = sqlite3_str_new(NULL);
  const char *key = protect_rowid(p), *alias = strcmp(key, PROTECT_ID) == 0 ? protect_alias(p) : key;
  int n = 0;
  sqlite3_str_appendf(s, "INSERT%s INTO \"%w\"(", kind == ROWCHECK_REPLACE ? " OR REPLACE" : "", p->table);
  if (alias) sqlite3_str_appendf(s, "\"%w\"", alias);
  if (alias) sqlite3_str_appendf(v, "?%d", ++n);
  for (uint32_t i = 0; i < p->columns; i++) {
    const struct pcol *c = &p->c[i];
    if (c->flags & (PCOL_ROWID | PCOL_GENERATED)) continue;
    sqlite3_str_appendf(s, "%s\"%w\"", n ? "," : "", c->name);
    sqlite3_str_appendf(v, kind == ROWCHECK_INSERT && *c->dflt && !(c->flags & PCOL_SEALED) ? "%scoalesce(?%d,%s)" : "%s?%d", n++ ? "," : "", (int)i + 3, c->dflt);
  }
  char *values = sqlite3_str_finish(v);
  sqlite3_str_appendf(s, ") VALUES(%s)", values ? values : "");
  sqlite3_free(values);
  return sqlite3_str_finish(s);
}

static int prepare(struct rowcheck *k, char *sql, sqlite3_stmt **st) {
  int rc = sql ? sqlite3_prepare_v3(k->db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  return rc;
}

/* What lets a check see what the application's would; sqlite3_malloc'ed. */
static char *make_sql(sqlite3 *like, const struct protect *p) {
  sqlite3_stmt *st = NULL;
  char *table = ddl_table(p->ddl), *make = NULL;
  if (table && sqlite3_prepare_v2(like, "PRAGMA encoding", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
    make = sqlite3_mprintf("PRAGMA temp_store=MEMORY; PRAGMA encoding=%Q; CREATE TABLE \"%w\"%s; BEGIN; SAVEPOINT row", sqlite3_column_text(st, 0), p->table, table);
  sqlite3_finalize(st);
  sqlite3_free(table);
  return make;
}

int rowcheck_new(sqlite3 *like, const struct protect *p, struct rowcheck **out, char **why) {
  struct rowcheck *k = calloc(1, sizeof *k);
  char *make = make_sql(like, p);
  int rc = k && make ? sqlite3_open_v2(":memory:", &k->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) : SQLITE_NOMEM;
  if (rc == SQLITE_OK) {
    sqlite3_db_config(k->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    sqlite3_db_config(k->db, SQLITE_DBCONFIG_DQS_DDL, 1, NULL);
    rc = sqlite3_exec(k->db, make, NULL, NULL, NULL);
  }
  for (int i = 0; rc == SQLITE_OK && i < ROWCHECK_KINDS; i++) rc = prepare(k, row_sql(p, i), &k->row[i]);
  if (rc == SQLITE_OK) rc = prepare(k, sqlite3_mprintf("ROLLBACK TO row"), &k->back);
  if (rc != SQLITE_OK && k && k->db) *why = sqlite3_mprintf("%s", sqlite3_errmsg(k->db));
  sqlite3_free(make);
  if (rc != SQLITE_OK) {
    rowcheck_free(k);
    k = NULL;
  }
  *out = k;
  return rc;
}

struct naming { const struct protect *p; uint8_t *named; };

/* A generated column depends on those that its definition names. */
static void name_columns(void *ctx, const char *expr, size_t n) {
  struct naming *q = ctx;
  for (uint32_t i = 0; i < q->p->columns; i++) {
    const struct pcol *c = &q->p->c[i];
    size_t k = 0;
    if (q->named[i] || !ddl_names(expr, n, c->name)) continue;
    q->named[i] = 1;
    const char *of = c->flags & PCOL_GENERATED ? ddl_definition(q->p->ddl, c->name, &k) : NULL;
    if (of) name_columns(ctx, of, k);
  }
}

int rowcheck_columns(const struct protect *p, uint8_t *named) {
  struct naming q = { p, named };
  const char **sealed = protect_sealed(p);
  int found = sealed ? ddl_checks(p->ddl, sealed, name_columns, &q) : -1;
  free(sealed);
  return found;
}

sqlite3_stmt *rowcheck_row(struct rowcheck *k, int kind) { return k->row[kind]; }

int rowcheck_try(struct rowcheck *k, sqlite3_stmt *st, char **message) {
  int rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : sqlite3_extended_errcode(k->db);
  if (rc != SQLITE_OK) *message = sqlite3_mprintf("%s", sqlite3_errmsg(k->db));
  sqlite3_reset(st);
  sqlite3_clear_bindings(st);
  if (rc == SQLITE_OK) {
    rc = sqlite3_step(k->back) == SQLITE_DONE ? SQLITE_OK : sqlite3_extended_errcode(k->db);
    sqlite3_reset(k->back);
  } else if ((rc & 0xff) == SQLITE_CONSTRAINT && rc != SQLITE_CONSTRAINT_CHECK) {
    sqlite3_free(*message);                           /* the shadow refuses that itself, in its turn */
    *message = NULL;
    rc = SQLITE_OK;
  }
  return rc;
}
