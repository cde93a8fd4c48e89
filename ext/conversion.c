/* conversion.c: a table of the practice as it is before it is protected: what must be known of it, and what stands in the way. */
#include "conversion.h"
#include "protect_ddl.h"
#include "protected.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

int conversion_run(struct conversion *c, char *sql) {
  if (sql == NULL) return DMP_E_NOMEM;
  int rc = sqlite3_exec(c->r->db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  if (c->e != DMP_OK) return c->e;
  return rc == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
}

/* Names what stands in the way: the sentence of e is followed by it. */
int conversion_named(struct conversion *c, int e, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  sqlite3_vsnprintf(sizeof c->r->detail, c->r->detail, format, ap);
  va_end(ap);
  return e;
}

int conversion_copy(char *to, size_t room, const char *from) {
  size_t n = from ? strlen(from) : 0;
  if (n >= room) return DMP_E_TOO_BIG;
  if (n) memcpy(to, from, n);
  to[n] = 0;
  return DMP_OK;
}

/* The shadow of a protected table is none to protect. */
static int is_shadow(struct conversion *c) {
  char base[PROTECT_NAME];
  struct protect d;
  size_t n = strlen(c->d.table), k = strlen(PROTECT_SUFFIX);
  if (n <= k || sqlite3_stricmp(c->d.table + n - k, PROTECT_SUFFIX) != 0) return 0;
  sqlite3_snprintf((int)(n - k + 1), base, "%s", c->d.table);
  int e = protect_get(c->r, base, &d);
  protect_free(&d);
  return e == DMP_OK;
}

/* Why a name is none of an ordinary table. */
static int no_table(struct conversion *c, const char *table, const char *type, const char *ddl) {
  const char *why = type == NULL ? "there is no table" : strcmp(type, "view") == 0 ? "this is a view:" : strcmp(type, "table") != 0 ? "this is no table:" :
                    ddl && strncmp(ddl, "CREATE VIRTUAL TABLE ", 21) == 0 ? "this is a virtual table:" : "this is a table of the record or of SQLite:";
  return conversion_named(c, DMP_E_NOT_TABLE, "%s %s", why, table);
}

/* An ordinary table, with its CREATE TABLE and its own spelling. */
int conversion_table(struct conversion *c, const char *table) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT name,sql,type FROM %s.sqlite_schema WHERE type<>'trigger' AND name=%Q COLLATE NOCASE", c->r->quoted, table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK) {
    int there = sqlite3_step(st) == SQLITE_ROW;
    const char *name = (const char *)sqlite3_column_text(st, 0), *ddl = (const char *)sqlite3_column_text(st, 1), *type = (const char *)sqlite3_column_text(st, 2);
    if (!there || !name || !type || !ddl || strcmp(type, "table") != 0 || sqlite3_strnicmp(ddl, "CREATE TABLE", 12) != 0 || sqlite3_strnicmp(name, "dmp", 3) == 0 ||
        sqlite3_strnicmp(name, "sqlite_", 7) == 0) {
      e = no_table(c, table, type, ddl);
    } else {
      e = conversion_copy(c->d.table, sizeof c->d.table - 8, name);
      c->d.ddl = strdup(ddl);
      if (e == DMP_OK && c->d.ddl == NULL) e = DMP_E_NOMEM;
    }
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  if (e == DMP_OK && is_shadow(c)) return conversion_named(c, DMP_E_NOT_TABLE, "this holds the rows of a protected table: %s", table);
  if (e == DMP_OK && strpbrk(c->d.table, "\"'`")) return conversion_named(c, DMP_E_TABLE_RULE, "a quotation mark in the name of the table");
  if (e == DMP_OK && ddl_count(c->d.ddl, "CONFLICT")) return conversion_named(c, DMP_E_TABLE_RULE, "ON CONFLICT in table %s", c->d.table);
  return e;
}

static int is_named(const char *list, const char *name) {
  size_t n = strlen(name);
  while (list && *list) {
    while (*list == ' ' || *list == ',') list++;
    size_t k = strcspn(list, ",");
    size_t m = k;
    while (m > 0 && list[m - 1] == ' ') m--;
    if (m == n && sqlite3_strnicmp(list, name, (int)n) == 0) return 1;
    list += k;
  }
  return 0;
}

static size_t count_names(const char *list) {
  size_t n = 0;
  while (list && *list) {
    while (*list == ' ' || *list == ',') list++;
    if (*list) n++;
    list += strcspn(list, ",");
  }
  return n;
}

static int read_column(struct conversion *c, sqlite3_stmt *st, const char *columns) {
  struct pcol *p = &c->d.c[c->d.columns++];
  const char *coll = NULL;
  int autoinc = 0;
  int e = conversion_copy(p->name, sizeof p->name, (const char *)sqlite3_column_text(st, 1));
  if (e == DMP_OK) e = conversion_copy(p->decl, sizeof p->decl, (const char *)sqlite3_column_text(st, 2));
  if (e == DMP_OK) e = conversion_copy(p->dflt, sizeof p->dflt, (const char *)sqlite3_column_text(st, 4));
  if (sqlite3_stricmp(p->dflt, "NULL") == 0) *p->dflt = 0;
  int pk = sqlite3_column_int(st, 5), hidden = sqlite3_column_int(st, 6);
  if (sqlite3_column_int(st, 3)) p->flags |= PCOL_NOTNULL;
  if (hidden) p->flags |= PCOL_GENERATED;
  if (pk) p->flags |= PCOL_PK;
  if (c->strict) p->flags |= PCOL_STRICT;
  if (is_named(columns, p->name)) p->flags |= PCOL_SEALED;
  if (e == DMP_OK && p->flags & PCOL_SEALED && (pk || hidden))
    e = conversion_named(c, DMP_E_COLUMN_USED, "column %s: %s", p->name, pk ? "PRIMARY KEY" : "generated");
  if (e == DMP_OK && sqlite3_table_column_metadata(c->r->db, c->r->schema, c->d.table, p->name, NULL, &coll, NULL, NULL, &autoinc) == SQLITE_OK)
    e = conversion_copy(p->coll, sizeof p->coll, coll);
  if (autoinc) c->d.autoincrement = 1;
  return e;
}

/* One INTEGER column as primary key, without an index for it: the rowid itself. Else the shadow gets a number of its own,
 * because VACUUM renumbers such rows, and a box is bound to its row. */
static int read_key(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  struct pcol *key = NULL;
  int pks = 0;
  char *sql = sqlite3_mprintf("SELECT 1 FROM pragma_index_list(%Q,%Q) WHERE origin='pk' UNION ALL SELECT 1 FROM pragma_table_list WHERE schema=%Q "
                              "AND name=%Q AND wr", c->d.table, c->r->schema, c->r->schema, c->d.table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  int indexed = st && sqlite3_step(st) == SQLITE_ROW;
  sqlite3_finalize(st);
  sqlite3_free(sql);
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_PK) {
      key = &c->d.c[i];
      pks++;
    }
  c->rebuild = indexed || pks != 1;
  if (!c->rebuild) key->flags = (uint8_t)((key->flags & ~PCOL_PK) | PCOL_ROWID);
  return e;
}

int conversion_columns(struct conversion *c, const char *columns) {
  sqlite3_stmt *st = NULL;
  size_t sealed = 0;
  const char *body = ddl_body(c->d.ddl);
  c->strict = body && ddl_count(body, "STRICT") > 0;
  char *sql = sqlite3_mprintf("SELECT * FROM pragma_table_xinfo(%Q,%Q)", c->d.table, c->r->schema);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  c->d.c = calloc(PROTECT_COLUMNS, sizeof *c->d.c);
  if (c->d.c == NULL) e = DMP_E_NOMEM;
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
    if (c->d.columns == PROTECT_COLUMNS) e = DMP_E_TOO_BIG;
    else e = read_column(c, st, columns);
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  for (uint32_t i = 0; i < c->d.columns; i++) sealed += (c->d.c[i].flags & PCOL_SEALED) != 0;
  if (e == DMP_OK && (sealed == 0 || sealed != count_names(columns))) e = DMP_E_NO_COLUMN;
  return e == DMP_OK ? read_key(c) : e;
}

/* A sealed column in an index (UNIQUE included): the index would hold it in clear. */
int conversion_indexes(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT x.name,l.name FROM pragma_index_list(%Q,%Q) l, pragma_index_xinfo(l.name,%Q) x WHERE x.name IS NOT NULL AND x.key", c->d.table,
                              c->r->schema, c->r->schema);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    for (uint32_t i = 0; i < c->d.columns; i++)
      if (c->d.c[i].flags & PCOL_SEALED && sqlite3_stricmp(c->d.c[i].name, (const char *)sqlite3_column_text(st, 0)) == 0)
        e = conversion_named(c, DMP_E_COLUMN_USED, "column %s: index %s", c->d.c[i].name, (const char *)sqlite3_column_text(st, 1));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* The shadow has no sealed column that a trigger could wait for. What it would do to the table again: see protected_trigger.c. */
static int check_trigger(struct conversion *c, const char *name, const char *sql, int recursive) {
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_SEALED && trigger_of(sql, c->d.c[i].name) > 0)
      return conversion_named(c, DMP_E_COLUMN_USED, "column %s: UPDATE OF of trigger %s", c->d.c[i].name, name);
  if (recursive || !trigger_repeats(sql, c->d.table)) return DMP_OK;
  return conversion_named(c, DMP_E_TABLE_RULE, "trigger %s changes the table again; UPDATE OF the columns that it leaves alone is no such change", name);
}

int conversion_triggers(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  int recursive = trigger_recursive(c->r->db);
  char *sql = sqlite3_mprintf("SELECT name,sql FROM %s.sqlite_schema WHERE type='trigger' AND tbl_name=%Q COLLATE NOCASE", c->r->quoted, c->d.table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    e = check_trigger(c, (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 1), recursive);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* REFERENCES t without a column means its primary key, which is another one in a shadow that is made anew. */
int conversion_children(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT m.name FROM %s.sqlite_schema m, pragma_foreign_key_list(m.name,%Q) f WHERE m.type='table' AND f.\"to\" IS NULL AND "
                              "f.\"table\"=%Q COLLATE NOCASE", c->r->quoted, c->r->schema, c->d.table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    e = conversion_named(c, DMP_E_TABLE_RULE, "REFERENCES %s without a column in table %s", c->d.table, (const char *)sqlite3_column_text(st, 0));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}
