/* convert.c: protecting and unprotecting a table (see convert.h). */
#include "convert.h"
#include "memory.h"
#include "protect_ddl.h"
#include "protected.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* What runs inside one conversion; found by the row functions through the connection. */
struct conversion {
  struct session *s;
  struct record *r;
  struct protect d;
  uint8_t *key;                                       /* locked, 2 × 32: the key, and on rotation the one before */
  struct protect_sub sub, old_sub;
  int e;                                              /* what a row function failed with */
  int strict, rebuild;                                /* STRICT; the shadow gets a primary key of its own */
  int64_t seq;                                        /* AUTOINCREMENT: the highest rowid ever; -1: no row in sqlite_sequence */
  sqlite3_int64 last;                                 /* last_insert_rowid() before: the practice's, not ours */
};

static int run(struct conversion *c, char *sql) {
  if (sql == NULL) return DMP_E_NOMEM;
  int rc = sqlite3_exec(c->r->db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  if (c->e != DMP_OK) return c->e;
  return rc == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
}

/* Names what stands in the way: the sentence of e is followed by it. */
__attribute__((format(printf, 3, 4))) static int named(struct conversion *c, int e, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  sqlite3_vsnprintf(sizeof c->r->detail, c->r->detail, format, ap);
  va_end(ap);
  return e;
}

/* ---- row functions: they work only while a conversion of this connection runs ---- */

static void row_seal(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct connection *cn = sqlite3_user_data(ctx);
  struct conversion *c = cn->conversion;
  struct buf row = { 0 }, box = { 0 };
  if (c == NULL || argc < 2) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  int e = protected_pack(&c->d, argv + 1, &row);
  if (e == DMP_OK) e = protect_seal(c->s, &c->d, c->key, &c->sub, sqlite3_value_int64(argv[0]), &row, &box);
  if (e == DMP_OK) sqlite3_result_blob64(ctx, box.p, box.n, SQLITE_TRANSIENT);
  else {
    c->e = e;
    sqlite3_result_error_code(ctx, SQLITE_ABORT);
  }
  buf_free(&row);
  buf_free(&box);
}

/* dmp_row_turn(rowid, box): the box under the new key. dmp_row_turn(rowid, box, n): the n-th sealed value. */
static void row_turn(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct connection *cn = sqlite3_user_data(ctx);
  struct conversion *c = cn->conversion;
  struct buf scratch = { 0 }, plain = { 0 }, box = { 0 };
  struct value v[PROTECT_COLUMNS];
  const uint8_t *row;
  size_t n, count, used;
  if (c == NULL) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  int64_t rowid = sqlite3_value_int64(argv[0]);
  int e = protect_open(c->s, &c->d, c->key + 32, &c->old_sub, rowid, sqlite3_value_blob(argv[1]), (size_t)sqlite3_value_bytes(argv[1]), &scratch,
                       &row, &n);
  if (e == DMP_OK && argc == 2) {
    buf_put(&plain, row, n);
    e = protect_seal(c->s, &c->d, c->key, &c->sub, rowid, &plain, &box);
    if (e == DMP_OK) sqlite3_result_blob64(ctx, box.p, box.n, SQLITE_TRANSIENT);
  } else if (e == DMP_OK) {
    int want = sqlite3_value_int(argv[2]);
    e = row_get(row, n, v, PROTECT_COLUMNS, &count, &used);
    if (e == DMP_OK && (size_t)want < count) protected_result(ctx, &v[want]);
  }
  if (e != DMP_OK) {
    c->e = record_fault(c->r, e, c->d.table, rowid);
    sqlite3_result_error_code(ctx, SQLITE_ABORT);
  }
  buf_free(&scratch);
  buf_free(&plain);
  buf_free(&box);
}

int convert_register(struct connection *c) {
  const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  int rc = sqlite3_create_function_v2(c->db, "dmp_row_seal", -1, flags, c, row_seal, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(c->db, "dmp_row_turn", 2, flags, c, row_turn, NULL, NULL, NULL);
  return rc == SQLITE_OK ? sqlite3_create_function_v2(c->db, "dmp_row_turn", 3, flags, c, row_turn, NULL, NULL, NULL) : rc;
}

/* ---- the table as it is ---- */

static int copy_name(char *to, size_t room, const char *from) {
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

/* An ordinary table, with its CREATE TABLE and its own spelling. */
static int read_table(struct conversion *c, const char *table) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT name,sql FROM %s.sqlite_schema WHERE type='table' AND name=%Q COLLATE NOCASE", c->r->quoted, table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_E_NOT_TABLE : record_sql_fault(c->r);
  if (e == DMP_E_NOT_TABLE && sqlite3_step(st) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(st, 0), *ddl = (const char *)sqlite3_column_text(st, 1);
    if (ddl && sqlite3_strnicmp(ddl, "CREATE TABLE", 12) == 0 && sqlite3_strnicmp(name, "dmp", 3) != 0 && sqlite3_strnicmp(name, "sqlite_", 7) != 0) {
      e = copy_name(c->d.table, sizeof c->d.table - 8, name);
      c->d.ddl = strdup(ddl);
      if (e == DMP_OK && c->d.ddl == NULL) e = DMP_E_NOMEM;
    }
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  if (e == DMP_OK && is_shadow(c)) return DMP_E_NOT_TABLE;
  if (e == DMP_OK && strpbrk(c->d.table, "\"'`")) return named(c, DMP_E_TABLE_RULE, "a quotation mark in the name of the table");
  if (e == DMP_OK && ddl_count(c->d.ddl, "CONFLICT")) return named(c, DMP_E_TABLE_RULE, "ON CONFLICT in table %s", c->d.table);
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
  int e = copy_name(p->name, sizeof p->name, (const char *)sqlite3_column_text(st, 1));
  if (e == DMP_OK) e = copy_name(p->decl, sizeof p->decl, (const char *)sqlite3_column_text(st, 2));
  if (e == DMP_OK) e = copy_name(p->dflt, sizeof p->dflt, (const char *)sqlite3_column_text(st, 4));
  if (sqlite3_stricmp(p->dflt, "NULL") == 0) *p->dflt = 0;
  int pk = sqlite3_column_int(st, 5), hidden = sqlite3_column_int(st, 6);
  if (sqlite3_column_int(st, 3)) p->flags |= PCOL_NOTNULL;
  if (hidden) p->flags |= PCOL_GENERATED;
  if (pk) p->flags |= PCOL_PK;
  if (c->strict) p->flags |= PCOL_STRICT;
  if (is_named(columns, p->name)) p->flags |= PCOL_SEALED;
  if (e == DMP_OK && p->flags & PCOL_SEALED && (pk || hidden))
    e = named(c, DMP_E_COLUMN_USED, "column %s: %s", p->name, pk ? "PRIMARY KEY" : "generated");
  if (e == DMP_OK && sqlite3_table_column_metadata(c->r->db, c->r->schema, c->d.table, p->name, NULL, &coll, NULL, NULL, &autoinc) == SQLITE_OK)
    e = copy_name(p->coll, sizeof p->coll, coll);
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

static int read_columns(struct conversion *c, const char *columns) {
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
static int check_indexes(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT x.name,l.name FROM pragma_index_list(%Q,%Q) l, pragma_index_xinfo(l.name,%Q) x WHERE x.name IS NOT NULL AND x.key", c->d.table,
                              c->r->schema, c->r->schema);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    for (uint32_t i = 0; i < c->d.columns; i++)
      if (c->d.c[i].flags & PCOL_SEALED && sqlite3_stricmp(c->d.c[i].name, (const char *)sqlite3_column_text(st, 0)) == 0)
        e = named(c, DMP_E_COLUMN_USED, "column %s: index %s", c->d.c[i].name, (const char *)sqlite3_column_text(st, 1));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* ---- views and triggers that name a protected table ---- */

static int names_table(const char *sql, const char *table) {
  size_t n = strlen(table);
  for (const char *p = sql; p && *p; p++)
    if (sqlite3_strnicmp(p, table, (int)n) == 0 && (p == sql || (!isalnum((unsigned char)p[-1]) && p[-1] != '_')) && !isalnum((unsigned char)p[n]) && p[n] != '_')
      return 1;
  return 0;
}

/* A view or trigger of the file. */
struct text { char *name, *sql; int view, names; };
struct texts { struct text *all; size_t n; };

static void texts_free(struct texts *x) {
  for (size_t i = 0; i < x->n; i++) {
    sqlite3_free(x->all[i].name);
    sqlite3_free(x->all[i].sql);
  }
  free(x->all);
}

static int texts_read(struct record *r, struct texts *x) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT name,sql,type='view' FROM %s.sqlite_schema WHERE type IN('view','trigger') ORDER BY name", r->quoted);
  int rc = sql ? sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) : SQLITE_NOMEM, e = DMP_OK;
  sqlite3_free(sql);
  while (rc == SQLITE_OK && e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    struct text *more = realloc(x->all, (x->n + 1) * sizeof *more);
    if (more == NULL) e = DMP_E_NOMEM;
    else x->all = more;
    if (e != DMP_OK) break;
    x->all[x->n++] = (struct text){ sqlite3_mprintf("%s", sqlite3_column_text(st, 0)), sqlite3_mprintf("%s", sqlite3_column_text(st, 1)),
                                    sqlite3_column_int(st, 2), 0 };
    rc = SQLITE_OK;
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(r);
  sqlite3_finalize(st);
  return e;
}

/* Marks what names the table, and what names a view that does, until nothing is added. */
static void texts_mark(struct texts *x, const char *table) {
  for (size_t i = 0; i < x->n; i++) x->all[i].names = names_table(x->all[i].sql, table);
  for (int more = 1; more;) {
    more = 0;
    for (size_t i = 0; i < x->n; i++)
      for (size_t k = 0; !x->all[i].names && k < x->n; k++)
        if (x->all[k].names && x->all[k].view && names_table(x->all[i].sql, x->all[k].name)) more = x->all[i].names = 1;
  }
}

static int watched_hash(struct record *r, const char *table, uint8_t out[32]) {
  struct suite_hash h;
  struct texts x = { 0 };
  int e = texts_read(r, &x);
  if (e == DMP_OK) texts_mark(&x, table);
  suite_hash_start(&h);
  for (size_t i = 0; e == DMP_OK && i < x.n; i++) {
    if (!x.all[i].names) continue;
    suite_hash_add(&h, x.all[i].name, strlen(x.all[i].name) + 1);
    suite_hash_add(&h, x.all[i].sql, strlen(x.all[i].sql) + 1);
  }
  suite_hash_end(&h, out);
  texts_free(&x);
  return e;
}

static int check_one(void *ctx, const struct protect *p) {
  struct session *s = ctx;
  uint8_t now[32];
  int e = watched_hash(s->r, p->table, now);
  return e == DMP_OK && memcmp(now, p->watched, 32) != 0 ? DMP_E_SCHEMA : e;
}

int convert_check(struct session *s) {
  int e = protect_verify(s, "");
  if (e == DMP_E_NOT_FOUND) e = DMP_OK;
  return e == DMP_OK ? protect_each(s->r, check_one, s) : e;
}

/* ---- the steps ---- */

struct switches { int legacy, fkey, triggers; };

static void switch_set(sqlite3 *db, int which, int to, int *was) {
  sqlite3_db_config(db, which, -1, was);
  sqlite3_db_config(db, which, to, NULL);
}

/* Renames take indexes, triggers and foreign keys along; views go on naming the virtual table; no trigger fires on a fill. */
static void switches_on(sqlite3 *db, struct switches *w) {
  switch_set(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, &w->legacy);
  switch_set(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, &w->fkey);
  switch_set(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &w->triggers);
}

static void switches_back(sqlite3 *db, const struct switches *w) {
  sqlite3_db_config(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, w->legacy, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, w->fkey, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, w->triggers, NULL);
}

static char *sealed_list(const struct conversion *c) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_SEALED) sqlite3_str_appendf(s, ",\"%w\"", c->d.c[i].name);
  return sqlite3_str_finish(s);
}

/* One value of the schema row of the shadow or of a query with the same parameter; sqlite3_malloc'ed, NULL when there is none. */
static char *shadow_sql(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *found = NULL, *sql = sqlite3_mprintf("SELECT sql FROM %s.sqlite_schema WHERE type='table' AND name='%q" PROTECT_SUFFIX "'", c->r->quoted, c->d.table);
  if (sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
    found = sqlite3_mprintf("%s", sqlite3_column_text(st, 0));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return found;
}

/* Dropping a column takes its own CHECK and REFERENCES along without a word: seen by counting. */
static int drop_column(struct conversion *c, const char *column) {
  char *before = shadow_sql(c), *after = NULL;
  int e = before ? run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" DROP COLUMN \"%w\"", c->r->quoted, c->d.table, column)) : DMP_E_NOMEM;
  if (e == DMP_E_SQL && (c->r->fault.sql_rc & 0xff) == SQLITE_ERROR)
    e = named(c, DMP_E_COLUMN_USED, "column %s: %s", column, sqlite3_errmsg(c->r->db));
  if (e == DMP_OK && (after = shadow_sql(c)) == NULL) e = DMP_E_NOMEM;
  if (e == DMP_OK && ddl_count(before, "CHECK") != ddl_count(after, "CHECK")) e = named(c, DMP_E_COLUMN_USED, "column %s: CHECK", column);
  if (e == DMP_OK && ddl_count(before, "REFERENCES") != ddl_count(after, "REFERENCES")) e = named(c, DMP_E_COLUMN_USED, "column %s: REFERENCES", column);
  sqlite3_free(before);
  sqlite3_free(after);
  return e;
}

static int drop_columns(struct conversion *c) {
  int e = DMP_OK;
  for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_SEALED) e = drop_column(c, c->d.c[i].name);
  return e;
}

/* The triggers of the table compile against the shadow: one that reads a sealed column does not. */
static int check_triggers(struct conversion *c) {
  static const char *const PROBES[] = { "INSERT INTO %s.\"%w" PROTECT_SUFFIX "\" DEFAULT VALUES", "DELETE FROM %s.\"%w" PROTECT_SUFFIX "\"",
                                        "UPDATE %s.\"%w" PROTECT_SUFFIX "\" SET \"" PROTECT_BOX "\"=NULL" };
  int e = DMP_OK;
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
  for (size_t i = 0; e == DMP_OK && i < sizeof PROBES / sizeof *PROBES; i++) {
    sqlite3_stmt *st = NULL;
    char *sql = sqlite3_mprintf(PROBES[i], c->r->quoted, c->d.table);
    if (sql == NULL || sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) != SQLITE_OK)
      e = named(c, DMP_E_COLUMN_USED, "a trigger: %s", sqlite3_errmsg(c->r->db));
    sqlite3_finalize(st);
    sqlite3_free(sql);
  }
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  return e;
}

/* What stands on a table and goes with it when it is made anew: the text of its indexes and triggers. */
static int read_dependents(struct conversion *c, const char *table, char **out) {
  sqlite3_stmt *st = NULL;
  sqlite3_str *s = sqlite3_str_new(NULL);
  char *sql = sqlite3_mprintf("SELECT sql FROM %s.sqlite_schema WHERE tbl_name=%Q AND type IN('index','trigger') AND sql IS NOT NULL", c->r->quoted, table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) sqlite3_str_appendf(s, "%s;", (const char *)sqlite3_column_text(st, 0));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  *out = sqlite3_str_finish(s);
  return e;
}

/* Puts `fresh` in the place of `table`: rows, then indexes and triggers. Foreign keys are off: nothing is deleted for anybody. */
static int replace_table(struct conversion *c, const char *table, const char *fresh, const char *body, const char *names, const char *values) {
  const char *q = c->r->quoted;
  char *dependents = NULL;
  int e = read_dependents(c, table, &dependents);
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("CREATE TABLE %s.\"%w\"%s", q, fresh, body));
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("INSERT INTO %s.\"%w\"(%s) SELECT %s FROM %s.\"%w\"", q, fresh, names, values, q, table));
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("DROP TABLE %s.\"%w\"", q, table));
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w\" RENAME TO \"%w\"", q, fresh, table));
  if (e == DMP_OK && dependents) e = run(c, sqlite3_mprintf("%s", dependents));
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
  sqlite3_free(dependents);
  return e;
}

/* REFERENCES t without a column means its primary key, which is another one in a shadow that is made anew. */
static int check_children(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT m.name FROM %s.sqlite_schema m, pragma_foreign_key_list(m.name,%Q) f WHERE m.type='table' AND f.\"to\" IS NULL AND "
                              "f.\"table\"=%Q COLLATE NOCASE", c->r->quoted, c->r->schema, c->d.table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    e = named(c, DMP_E_TABLE_RULE, "REFERENCES %s without a column in table %s", c->d.table, (const char *)sqlite3_column_text(st, 0));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* Columns by name, their values: those that a table stores. */
static char *stored_list(const struct conversion *c, const char *first) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  sqlite3_str_appendall(s, first);
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (!(c->d.c[i].flags & PCOL_GENERATED)) sqlite3_str_appendf(s, "%s\"%w\"", sqlite3_str_length(s) ? "," : "", c->d.c[i].name);
  return sqlite3_str_finish(s);
}

/* A name of the rowid that no column has taken; NULL: none, or the table has no rowid. */
static const char *rowid_alias(const struct protect *d) {
  static const char *const ALIAS[] = { "rowid", "_rowid_", "oid" };
  if (ddl_without_rowid(d->ddl)) return NULL;
  for (size_t k = 0; k < sizeof ALIAS / sizeof *ALIAS; k++) {
    uint32_t i = 0;
    while (i < d->columns && sqlite3_stricmp(d->c[i].name, ALIAS[k]) != 0) i++;
    if (i == d->columns) return ALIAS[k];
  }
  return NULL;
}

static int rebuild_shadow(struct conversion *c) {
  char shadow[PROTECT_NAME], fresh[PROTECT_NAME], first[16];
  char *now = shadow_sql(c), *body = now ? ddl_shadow_body(now, PROTECT_ID) : NULL;
  const char *alias = rowid_alias(&c->d);
  sqlite3_snprintf(sizeof shadow, shadow, "%s" PROTECT_SUFFIX, c->d.table);
  sqlite3_snprintf(sizeof fresh, fresh, "%s" PROTECT_SUFFIX "2", c->d.table);
  sqlite3_snprintf(sizeof first, first, "%s", alias ? alias : "NULL");
  char *names = stored_list(c, "\"" PROTECT_ID "\""), *values = stored_list(c, first);
  int e = body && names && values ? replace_table(c, shadow, fresh, body, names, values) : DMP_E_NOMEM;
  sqlite3_free(now);
  sqlite3_free(body);
  sqlite3_free(names);
  sqlite3_free(values);
  return e;
}

/* ALTER TABLE leaves the statistics under the old name: without them the shadow's indexes are chosen blindly. */
static int move_statistics(struct conversion *c, const char *from, const char *to) {
  sqlite3_stmt *st = NULL;
  const char *q = c->r->quoted;
  char *sql = sqlite3_mprintf("SELECT 1 FROM %s.sqlite_schema WHERE name='sqlite_stat1'", q);
  int there = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
  sqlite3_finalize(st);
  sqlite3_free(sql);
  if (!there) return DMP_OK;
  int e = run(c, sqlite3_mprintf("UPDATE %s.sqlite_stat1 SET tbl=%Q, idx=replace(idx,'sqlite_autoindex_%q_','sqlite_autoindex_%q_') WHERE tbl=%Q", q, to,
                                 from, to, from));
  return e == DMP_OK ? run(c, sqlite3_mprintf("ANALYZE %s.sqlite_schema", q)) : e;   /* reads them again */
}

static int protect_steps(struct conversion *c) {
  const char *q = c->r->quoted, *t = c->d.table;
  char *list = sealed_list(c), *shadow = sqlite3_mprintf("%s" PROTECT_SUFFIX, t);
  int e = list && shadow ? DMP_OK : DMP_E_NOMEM;
  c->d.scrub_due = 1;
  if (e == DMP_OK) e = protect_new_key(&c->d, c->key);
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w\" RENAME TO \"%w" PROTECT_SUFFIX "\"", q, t, t));
  if (e == DMP_OK) e = protect_put(c->s, &c->d);
  if (e == DMP_OK) e = protect_give(c->s, &c->d, c->key, &c->s->me);
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("CREATE VIRTUAL TABLE %s.\"%w\" USING " PROTECTED_MODULE, q, t));
  if (e == DMP_OK && c->rebuild) e = rebuild_shadow(c);
  if (e == DMP_OK) e = move_statistics(c, t, shadow);  /* after the table that had them under its name is gone */
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" ADD COLUMN \"" PROTECT_BOX "\" BLOB NOT NULL DEFAULT x''", q, t));
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("UPDATE %s.\"%w" PROTECT_SUFFIX "\" SET \"" PROTECT_BOX "\"=dmp_row_seal(\"%w\"%s)", q, t, protect_rowid(&c->d), list));
  if (e == DMP_OK) e = drop_columns(c);
  if (e == DMP_OK) e = check_triggers(c);
  if (e == DMP_OK) e = watched_hash(c->r, t, c->d.watched);
  if (e == DMP_OK) e = protect_put(c->s, &c->d);
  sqlite3_free(shadow);
  sqlite3_free(list);
  return e;
}

/* A table made anew has a sequence of its own: the old one's goes with it. */
static int sequence_get(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT seq FROM %s.sqlite_sequence WHERE name=%Q", c->r->quoted, c->d.table);
  c->seq = -1;
  int e = c->d.autoincrement ? (sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r)) : DMP_OK;
  if (st && sqlite3_step(st) == SQLITE_ROW) c->seq = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

static int sequence_put(struct conversion *c) {
  if (!c->d.autoincrement) return DMP_OK;
  int e = run(c, sqlite3_mprintf("DELETE FROM %s.sqlite_sequence WHERE name=%Q", c->r->quoted, c->d.table));
  if (e != DMP_OK || c->seq < 0) return e;
  return run(c, sqlite3_mprintf("INSERT INTO %s.sqlite_sequence(name,seq) VALUES(%Q,%lld)", c->r->quoted, c->d.table, (long long)c->seq));
}

static int unprotect_steps(struct conversion *c) {
  const char *q = c->r->quoted, *t = c->d.table, *body = ddl_body(c->d.ddl), *alias = c->rebuild ? rowid_alias(&c->d) : NULL;
  sqlite3_str *values = sqlite3_str_new(NULL);
  char fresh[PROTECT_NAME];
  int k = 0, e = body ? DMP_OK : DMP_E_PROTECT_BAD;
  sqlite3_snprintf(sizeof fresh, fresh, "%s" PROTECT_SUFFIX, t);
  if (alias) sqlite3_str_appendall(values, "\"" PROTECT_ID "\"");
  for (uint32_t i = 0; i < c->d.columns; i++) {
    const struct pcol *p = &c->d.c[i];
    if (p->flags & PCOL_GENERATED) continue;
    if (sqlite3_str_length(values)) sqlite3_str_appendall(values, ",");
    if (p->flags & PCOL_SEALED) sqlite3_str_appendf(values, "dmp_row_turn(\"%w\",\"" PROTECT_BOX "\",%d)", protect_rowid(&c->d), k++);
    else sqlite3_str_appendf(values, "\"%w\"", p->name);
  }
  char *names = stored_list(c, alias ? alias : ""), *list = sqlite3_str_finish(values);
  /* the virtual table's entry goes, its shadow takes its name back: children's foreign keys follow */
  c->r->converting = 1;
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("DROP TABLE %s.\"%w\"", q, t));
  c->r->converting = 0;
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" RENAME TO \"%w\"", q, t, t));
  if (e == DMP_OK) e = sequence_get(c);
  if (e == DMP_OK) e = replace_table(c, t, fresh, body, names, list);
  if (e == DMP_OK) e = sequence_put(c);
  char *shadow = sqlite3_mprintf("%s" PROTECT_SUFFIX, t);
  if (e == DMP_OK) e = shadow ? move_statistics(c, shadow, t) : DMP_E_NOMEM;
  if (e == DMP_OK) e = protect_drop(c->s, &c->d);
  sqlite3_free(shadow);
  sqlite3_free(names);
  sqlite3_free(list);
  return e;
}

static int rotate_steps(struct conversion *c) {
  memcpy(c->key + 32, c->key, 32);
  int e = protect_new_key(&c->d, c->key);
  if (e == DMP_OK) e = run(c, sqlite3_mprintf("UPDATE %s.\"%w" PROTECT_SUFFIX "\" SET \"" PROTECT_BOX "\"=dmp_row_turn(\"%w\",\"" PROTECT_BOX "\")",
                                              c->r->quoted, c->d.table, protect_rowid(&c->d)));
  for (size_t i = 0; e == DMP_OK && i < c->s->dir.n; i++) {
    const struct certificate *who = directory_by_hash(&c->s->dir, c->s->dir.all[i].hash);
    if (who && protect_reads(c->s, &c->d, who->principal)) e = protect_give(c->s, &c->d, c->key, who);
  }
  return e == DMP_OK ? protect_put(c->s, &c->d) : e;
}

/* The steps drop and rename: no statement may be under way but the one that calls, and that one may read nothing itself. */
static int check_alone(sqlite3 *db) {
  int busy = 0;
  for (sqlite3_stmt *st = sqlite3_next_stmt(db, NULL); st; st = sqlite3_next_stmt(db, st)) {
    if (!sqlite3_stmt_busy(st)) continue;
    if (busy++ || !sqlite3_stmt_readonly(st) || ddl_count(sqlite3_sql(st), "FROM")) return DMP_E_TABLE_BUSY;
  }
  return DMP_OK;
}

/* Whole or not at all, under the switches. */
static int whole(struct conversion *c, int (*steps)(struct conversion *c)) {
  sqlite3 *db = c->r->db;
  struct switches w;
  int e = check_alone(db);
  if (e == DMP_OK && sqlite3_exec(db, "SAVEPOINT dmp_convert", NULL, NULL, NULL) != SQLITE_OK) e = DMP_E_TABLE_BUSY;
  if (e != DMP_OK) return e;
  struct connection *cn = c->r->connection;
  switches_on(db, &w);
  cn->conversion = c;
  e = steps(c);
  if (e == DMP_E_SQL) named(c, e, "%s", sqlite3_errmsg(db));   /* before rolling back says something else */
  cn->conversion = NULL;
  switches_back(db, &w);
  struct fault f = c->r->fault;
  if (e != DMP_OK) sqlite3_exec(db, "ROLLBACK TO dmp_convert", NULL, NULL, NULL);
  if (sqlite3_exec(db, "RELEASE dmp_convert", NULL, NULL, NULL) != SQLITE_OK && e == DMP_OK) {   /* which was the commit */
    e = record_sql_fault(c->r);
    f = c->r->fault;
    named(c, e, "%s", sqlite3_errmsg(db));
    sqlite3_exec(db, "ROLLBACK TO dmp_convert; RELEASE dmp_convert", NULL, NULL, NULL);
  }
  c->r->fault = f;
  return e;
}

static int begin(struct conversion *c, struct session *s) {
  memset(c, 0, sizeof *c);
  c->s = s;
  c->r = s->r;
  *c->r->detail = 0;
  c->last = sqlite3_last_insert_rowid(s->r->db);
  c->key = memory_new(64);
  return c->key ? DMP_OK : DMP_E_LOCK;
}

static void end(struct conversion *c) {
  c->r->connection->unsettled = c->r->connection->unsettled || !sqlite3_get_autocommit(c->r->db);
  session_stale(c->s);
  sqlite3_set_last_insert_rowid(c->r->db, c->last);
  protect_free(&c->d);
  memory_free(c->key);
  bytes_wipe(&c->sub, sizeof c->sub);
  bytes_wipe(&c->old_sub, sizeof c->old_sub);
}

static int take_options(struct conversion *c, const char *o) {
  while (o && *o) {
    size_t n = strcspn(o, ",");
    if (n == 16 && strncmp(o, "without_key=null", n) == 0) c->d.without_key = PROTECT_NULL;
    else if (n == 16 && strncmp(o, "without_key=hide", n) == 0) c->d.without_key = PROTECT_HIDE;
    else return DMP_E_OPTION;
    o += n + (o[n] == ',');
  }
  return DMP_OK;
}

static int sign_again(struct session *s, const char *table) {
  struct protect d;
  uint8_t key[32];
  int e = protect_get(s->r, table, &d);
  if (e == DMP_E_NOT_FOUND) return DMP_E_NOT_PROTECTED;
  if (e == DMP_OK) e = protect_key(s, &d, key);
  if (e == DMP_OK) e = watched_hash(s->r, d.table, d.watched);
  if (e == DMP_OK) e = protect_put(s, &d);
  bytes_wipe(key, sizeof key);
  protect_free(&d);
  return e;
}

int convert_protect(struct session *s, const char *table, const char *columns, const char *options) {
  struct conversion c;
  struct protect known;
  if (columns == NULL) return sign_again(s, table);
  if (s->me.kind != KIND_PROFESSIONAL && s->me.kind != KIND_AUTHORITY) return DMP_E_NOT_ALLOWED;
  int e = protect_get(s->r, table, &known);
  protect_free(&known);
  if (e == DMP_OK) return DMP_E_PROTECTED;
  if (e != DMP_E_NOT_FOUND) return e;
  e = begin(&c, s);
  if (e == DMP_OK) e = take_options(&c, options);
  if (e == DMP_OK) e = read_table(&c, table);
  if (e == DMP_OK) e = read_columns(&c, columns);
  if (e == DMP_OK) e = check_indexes(&c);
  if (e == DMP_OK && c.rebuild) e = check_children(&c);
  if (e == DMP_OK) e = whole(&c, protect_steps);
  end(&c);
  return e;
}

static int with_key(struct session *s, const char *table, struct conversion *c) {
  int e = begin(c, s);
  if (e == DMP_OK && (e = protect_get(s->r, table, &c->d)) == DMP_E_NOT_FOUND) e = DMP_E_NOT_PROTECTED;
  return e == DMP_OK ? protect_key(s, &c->d, c->key) : e;
}

int convert_unprotect(struct session *s, const char *table) {
  struct conversion c;
  int e = with_key(s, table, &c);
  if (e == DMP_OK) memcpy(c.key + 32, c.key, 32);
  c.rebuild = e == DMP_OK && strcmp(protect_rowid(&c.d), PROTECT_ID) == 0;
  if (e == DMP_OK) e = whole(&c, unprotect_steps);
  end(&c);
  return e;
}

/* Inside the statement that takes a reader away, which is itself whole or not at all: a savepoint could not be opened there. */
static int rotate_within(struct conversion *c) {
  int was;
  switch_set(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &was);   /* no row changes for the practice */
  c->r->connection->conversion = c;
  int e = rotate_steps(c);
  c->r->connection->conversion = NULL;
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, was, NULL);
  return e;
}

int convert_rotate(struct session *s, const char *table, const uint8_t *without) {
  struct conversion c;
  int e = with_key(s, table, &c);
  if (e == DMP_OK && without) e = protect_withdraw(s, &c.d, without);
  if (e == DMP_OK) e = without ? rotate_within(&c) : whole(&c, rotate_steps);
  end(&c);
  return e;
}

static int scrubbed(void *ctx, const struct protect *p) {
  struct session *s = ctx;
  struct protect copy = *p;
  copy.scrub_due = 0;
  return p->scrub_due ? protect_put(s, &copy) : DMP_OK;
}

int convert_scrub(struct session *s) {
  sqlite3 *db = NULL;
  if (!sqlite3_get_autocommit(s->r->db)) return DMP_E_TABLE_BUSY;
  int rc = sqlite3_open_v2(s->r->path, &db, SQLITE_OPEN_READWRITE, NULL);
  if (rc == SQLITE_OK) sqlite3_busy_timeout(db, 5000);
  if (rc == SQLITE_OK) rc = sqlite3_exec(db, "PRAGMA temp_store=MEMORY; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
  int busy = rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
  if (rc != SQLITE_OK) s->r->fault.sql_rc = rc;
  sqlite3_close(db);
  return rc == SQLITE_OK ? protect_each(s->r, scrubbed, s) : busy ? DMP_E_TABLE_BUSY : DMP_E_SQL;
}

int convert_rename(struct session *s, struct protect *d, const char *name) {
  struct conversion c = { .s = s, .r = s->r };
  struct switches w;
  struct protect taken;
  char was[PROTECT_NAME];
  const char *body = ddl_body(d->ddl);
  sqlite3_snprintf(sizeof was, was, "%s", d->table);
  if (body == NULL) return DMP_E_PROTECT_BAD;
  /* the list of views is signed anew: they must have been compared under the schema that is being changed */
  if (c.r->watched_check != c.r->schema_checks) return named(&c, DMP_E_TABLE_BUSY, "read table %s once, then rename it", was);
  if (strpbrk(name, "\"'`")) return named(&c, DMP_E_TABLE_RULE, "a quotation mark in the name of the table");
  if (sqlite3_strnicmp(name, "dmp", 3) == 0) return DMP_E_NAME_TAKEN;
  if (names_table(body, was) && ddl_count(body, "REFERENCES"))   /* what unprotecting restores would name a table that is gone */
    return named(&c, DMP_E_TABLE_RULE, "table %s refers to itself: dmp_unprotect, rename, dmp_protect", was);
  int e = protect_get(s->r, name, &taken);
  protect_free(&taken);
  if (e != DMP_E_NOT_FOUND) return e == DMP_OK ? DMP_E_PROTECTED : e;
  e = copy_name(d->table, sizeof d->table - 8, name);
  switches_on(s->r->db, &w);
  if (e == DMP_OK) e = run(&c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" RENAME TO \"%w" PROTECT_SUFFIX "\"", s->r->quoted, was, name));
  switches_back(s->r->db, &w);
  char *from = sqlite3_mprintf("%s" PROTECT_SUFFIX, was), *to = sqlite3_mprintf("%s" PROTECT_SUFFIX, name);
  if (e == DMP_OK) e = from && to ? move_statistics(&c, from, to) : DMP_E_NOMEM;
  sqlite3_free(from);
  sqlite3_free(to);
  if (e == DMP_OK) e = watched_hash(s->r, name, d->watched);
  if (e == DMP_OK) e = protect_put(s, d);
  if (e != DMP_OK) copy_name(d->table, sizeof d->table, was);
  return e;
}
