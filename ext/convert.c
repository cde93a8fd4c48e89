/* convert.c: protecting and unprotecting a table: the verbs (see convert.h). */
#include "affinity.h"
#include "conversion.h"
#include "convert.h"
#include "memory.h"
#include "protect_ddl.h"
#include "watch.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- row functions: they work only while a conversion of this connection runs ---- */

static void row_seal(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct connection *cn = sqlite3_user_data(ctx);
  struct conversion *c = cn->conversion;
  struct buf row = { 0 }, box = { 0 };
  if (c == NULL || argc < 2) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  int e = affinity_pack(&c->d, argv + 1, &row);
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
    if (e == DMP_OK && (size_t)want < count) affinity_result(ctx, &v[want]);
  }
  if (e != DMP_OK) {
    c->e = record_fault(c->r, e, c->d.table, rowid);
    sqlite3_result_error_code(ctx, SQLITE_ABORT);
  }
  buf_free(&scratch);
  buf_free(&plain);
  buf_free(&box);
}

/* dmp_row_index(column, value): what the keyed index of that column holds for it. */
static void row_index(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct connection *cn = sqlite3_user_data(ctx);
  struct conversion *c = cn->conversion;
  uint8_t x[SUITE_PRF];
  uint32_t i = (uint32_t)sqlite3_value_int(argv[0]);
  (void)argc;
  if (c == NULL || i >= c->d.columns) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  struct value v = affinity_stored(argv[1], &c->d.c[i]);
  if (v.type == VALUE_NULL) return;
  int e = protect_index(&c->d, c->key, NULL, i, &v, x);
  if (e == DMP_OK) sqlite3_result_blob(ctx, x, sizeof x, SQLITE_TRANSIENT);
  else {
    c->e = e;
    sqlite3_result_error_code(ctx, SQLITE_ABORT);
  }
}

int convert_register(struct connection *c) {
  const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  int rc = sqlite3_create_function_v2(c->db, "dmp_row_seal", -1, flags, c, row_seal, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(c->db, "dmp_row_index", 2, flags, c, row_index, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(c->db, "dmp_row_turn", 2, flags, c, row_turn, NULL, NULL, NULL);
  return rc == SQLITE_OK ? sqlite3_create_function_v2(c->db, "dmp_row_turn", 3, flags, c, row_turn, NULL, NULL, NULL) : rc;
}

/* ---- whole or not at all ---- */

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
  if (e == DMP_E_SQL) conversion_named(c, e, "%s", sqlite3_errmsg(db));   /* before rolling back says something else */
  cn->conversion = NULL;
  switches_back(db, &w);
  struct fault f = c->r->fault;
  if (e != DMP_OK) sqlite3_exec(db, "ROLLBACK TO dmp_convert", NULL, NULL, NULL);
  if (sqlite3_exec(db, "RELEASE dmp_convert", NULL, NULL, NULL) != SQLITE_OK && e == DMP_OK) {   /* which was the commit */
    e = record_sql_fault(c->r);
    f = c->r->fault;
    conversion_named(c, e, "%s", sqlite3_errmsg(db));
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
  sqlite3_free(c->drop);
  memory_free(c->key);
  bytes_wipe(&c->sub, sizeof c->sub);
  bytes_wipe(&c->old_sub, sizeof c->old_sub);
}

/* ---- options: name=value, with commas between ---- */

static int take_without_key(struct conversion *c, const char *v, size_t n) {
  if (n == 4 && memcmp(v, "null", n) == 0) c->d.without_key = PROTECT_NULL;
  else if (n == 4 && memcmp(v, "hide", n) == 0) c->d.without_key = PROTECT_HIDE;
  else return DMP_E_OPTION;
  return DMP_OK;
}

static int take_index(struct conversion *c, const char *v, size_t n) {
  c->index = v;
  c->index_len = n;
  return n ? DMP_OK : DMP_E_OPTION;
}

static const struct { const char *name; int (*take)(struct conversion *c, const char *v, size_t n); } OPTIONS[] = {
  { "without_key", take_without_key }, { "index", take_index },
};

static int take_options(struct conversion *c, const char *o) {
  while (o && *o) {
    size_t n = strcspn(o, ","), k = strcspn(o, "="), i = 0;
    while (i < sizeof OPTIONS / sizeof *OPTIONS && (strlen(OPTIONS[i].name) != k || strncmp(OPTIONS[i].name, o, k) != 0)) i++;
    int e = k < n && i < sizeof OPTIONS / sizeof *OPTIONS ? OPTIONS[i].take(c, o + k + 1, n - k - 1) : DMP_E_OPTION;
    if (e != DMP_OK) return e;
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
  if (e == DMP_OK) e = watch_hash(s->r, d.table, d.watched);
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
  if (e == DMP_OK) e = conversion_table(&c, table);
  if (e == DMP_OK) e = conversion_columns(&c, columns);
  if (e == DMP_OK) e = conversion_indexes(&c);
  if (e == DMP_OK) e = conversion_judge(&c);
  if (e == DMP_OK) e = conversion_children(&c);
  if (e == DMP_OK) e = whole(&c, steps_protect);
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
  if (e == DMP_OK) e = whole(&c, steps_unprotect);
  end(&c);
  return e;
}

/* Inside the statement that takes a reader away, which is itself whole or not at all: a savepoint could not be opened there. */
static int rotate_within(struct conversion *c) {
  int was;
  switch_set(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &was);   /* no row changes for the practice */
  c->r->connection->conversion = c;
  int e = steps_rotate(c);
  c->r->connection->conversion = NULL;
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, was, NULL);
  return e;
}

int convert_rotate(struct session *s, const char *table, const uint8_t *without) {
  struct conversion c;
  int e = with_key(s, table, &c);
  if (e == DMP_OK && without) e = protect_withdraw(s, &c.d, without);
  if (e == DMP_OK) e = without ? rotate_within(&c) : whole(&c, steps_rotate);
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
  if (c.r->watched_check != c.r->schema_checks) return conversion_named(&c, DMP_E_TABLE_BUSY, "read table %s once, then rename it", was);
  if (strpbrk(name, "\"'`")) return conversion_named(&c, DMP_E_TABLE_RULE, "a quotation mark in the name of the table");
  if (sqlite3_strnicmp(name, "dmp", 3) == 0) return DMP_E_NAME_TAKEN;
  if (watch_names(body, was) && ddl_count(body, "REFERENCES"))   /* what unprotecting restores would name a table that is gone */
    return conversion_named(&c, DMP_E_TABLE_RULE, "table %s refers to itself: dmp_unprotect, rename, dmp_protect", was);
  int e = protect_get(s->r, name, &taken);
  protect_free(&taken);
  if (e != DMP_E_NOT_FOUND) return e == DMP_OK ? DMP_E_PROTECTED : e;
  e = conversion_copy(d->table, sizeof d->table - 8, name);
  switches_on(s->r->db, &w);
  if (e == DMP_OK) e = conversion_run(&c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" RENAME TO \"%w" PROTECT_SUFFIX "\"", s->r->quoted, was, name));
  switches_back(s->r->db, &w);
  char *from = sqlite3_mprintf("%s" PROTECT_SUFFIX, was), *to = sqlite3_mprintf("%s" PROTECT_SUFFIX, name);
  if (e == DMP_OK) e = from && to ? steps_statistics(&c, from, to) : DMP_E_NOMEM;
  sqlite3_free(from);
  sqlite3_free(to);
  if (e == DMP_OK) e = watch_hash(s->r, name, d->watched);
  if (e == DMP_OK) e = protect_put(s, d);
  if (e != DMP_OK) conversion_copy(d->table, sizeof d->table, was);
  return e;
}
