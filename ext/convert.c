/* convert.c: protecting and unprotecting a table: the verbs (see convert.h). */
#include "affinity.h"
#include "protect_reader.h"
#include "protect_row.h"
#include "conversion.h"
#include "convert.h"
#include "memory.h"
#include "protect_ddl.h"
#include "watch.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- row functions: they work only while a conversion of this connection runs ---- */

/* The patient's column of a row; NULL where there is none. */
static struct value row_who(const struct conversion *c, sqlite3_value *v) {
  return c->rowkeys ? affinity_stored(v, &c->d.c[c->who]) : (struct value){ 0 };
}

/* dmp_row_seal(rowid, patient, sealed values…) */
static void row_seal(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct connection *cn = sqlite3_user_data(ctx);
  struct conversion *c = cn->conversion;
  struct buf row = { 0 }, box = { 0 };
  if (c == NULL || argc < 3) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  const struct value who = row_who(c, argv[1]);
  int64_t rowid = sqlite3_value_int64(argv[0]);
  int e = affinity_pack(&c->d, argv + 2, &row);
  if (e == DMP_OK) e = compartment_row_seal(c->s, &c->d, &c->keys[1], c->rowkeys, &who, rowid, 0, &row, &box);
  if (e == DMP_OK) sqlite3_result_blob64(ctx, box.p, box.n, SQLITE_TRANSIENT);
  if (e == DMP_OK) steps_progress(c, 1);
  else {
    c->e = e == DMP_E_NO_PATIENT ? conversion_named(c, e, "%s row %lld", c->d.table, (long long)rowid) : e;
    sqlite3_result_error_code(ctx, SQLITE_ABORT);
  }
  buf_free(&row);
  buf_free(&box);
}

/* The n-th sealed value of a row, given as rowid, box, n; it borrows from scratch. patient: NULL where rows lie under the table's key. */
static int row_value(struct conversion *c, sqlite3_value **argv, sqlite3_value *patient, struct buf *scratch, struct value *out) {
  struct value v[PROTECT_COLUMNS];
  const uint8_t *row;
  size_t n, count, used, want = (size_t)sqlite3_value_int(argv[2]);
  const struct value who = patient ? row_who(c, patient) : (struct value){ 0 };
  struct rowplace place;
  int e = compartment_row_open(c->s, &c->d, &c->keys[0], c->rowkeys, &who, sqlite3_value_int64(argv[0]), sqlite3_value_blob(argv[1]),
                               (size_t)sqlite3_value_bytes(argv[1]), scratch, &row, &n, &place);
  if (e == DMP_OK) e = row_get(row, n, v, PROTECT_COLUMNS, &count, &used);
  *out = e == DMP_OK && want < count ? v[want] : (struct value){ .type = VALUE_NULL };
  return e;
}

/* rowid: NULL where it is not known. */
static void row_failed(sqlite3_context *ctx, struct conversion *c, int e, sqlite3_value *rowid) {
  c->e = e;
  if (rowid) conversion_named(c, e, "%s row %lld", c->d.table, (long long)sqlite3_value_int64(rowid));   /* copied: the conversion ends before it is said */
  sqlite3_result_error_code(ctx, SQLITE_ABORT);
}

/* dmp_row_turn(rowid, box): the box under the new key. dmp_row_turn(rowid, box, n, patient): the n-th sealed value. */
static void row_turn(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct connection *cn = sqlite3_user_data(ctx);
  struct conversion *c = cn->conversion;
  struct buf scratch = { 0 }, plain = { 0 }, box = { 0 };
  struct value v;
  const uint8_t *row;
  size_t n;
  int e;
  if (c == NULL) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  int64_t rowid = sqlite3_value_int64(argv[0]);
  if (argc == 4) {
    e = row_value(c, argv, argv[3], &scratch, &v);
    if (e == DMP_OK) affinity_result(ctx, &v);
  } else {
    e = protect_open(c->s, &c->d, &c->keys[0], rowid, sqlite3_value_blob(argv[1]), (size_t)sqlite3_value_bytes(argv[1]), &scratch, &row, &n);
    if (e == DMP_OK) buf_put(&plain, row, n);
    if (e == DMP_OK) e = protect_seal(c->s, &c->d, &c->keys[1], rowid, &plain, &box);
    if (e == DMP_OK) sqlite3_result_blob64(ctx, box.p, box.n, SQLITE_TRANSIENT);
  }
  if (argc == 2 || sqlite3_value_int(argv[2]) == 0) steps_progress(c, 1);
  if (e != DMP_OK) row_failed(ctx, c, e, argv[0]);
  buf_free(&scratch);
  buf_free(&plain);
  buf_free(&box);
}

/* What the keyed index of a column holds under the key that seals: dmp_row_index(column, value) for a value of the table,
 * dmp_row_index(column, rowid, box, n) for the n-th sealed one of a row. */
static void row_index(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct connection *cn = sqlite3_user_data(ctx);
  struct conversion *c = cn->conversion;
  struct buf scratch = { 0 };
  struct value v;
  uint8_t x[SUITE_PRF];
  uint32_t i = (uint32_t)sqlite3_value_int(argv[0]);
  int e = DMP_OK;
  if (c == NULL || i >= c->d.columns) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  if (argc == 2) v = affinity_stored(argv[1], &c->d.c[i]);
  else e = row_value(c, &argv[1], NULL, &scratch, &v);
  if (e == DMP_OK && v.type != VALUE_NULL) {
    e = protect_index(&c->d, c->keys[1].live, NULL, i, &v, x);
    if (e == DMP_OK) sqlite3_result_blob(ctx, x, sizeof x, SQLITE_TRANSIENT);
  }
  if (e != DMP_OK) row_failed(ctx, c, e, argc == 2 ? NULL : argv[1]);
  buf_free(&scratch);
}

int convert_register(struct connection *c) {
  const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  int rc = sqlite3_create_function_v2(c->db, "dmp_row_seal", -1, flags, c, row_seal, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(c->db, "dmp_row_index", 2, flags, c, row_index, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(c->db, "dmp_row_index", 4, flags, c, row_index, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(c->db, "dmp_row_turn", 2, flags, c, row_turn, NULL, NULL, NULL);
  return rc == SQLITE_OK ? sqlite3_create_function_v2(c->db, "dmp_row_turn", 4, flags, c, row_turn, NULL, NULL, NULL) : rc;
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

/* A transaction of its own holds the write lock from the start: what is read in it stays true. Inside the application's: a savepoint. */
static int transaction_open(struct conversion *c, int own) {
  int rc = sqlite3_exec(c->r->db, own ? "BEGIN IMMEDIATE" : "SAVEPOINT dmp_convert", NULL, NULL, NULL);
  if (rc == SQLITE_OK) return DMP_OK;
  int e = record_sql_fault(c->r);
  return conversion_named(c, e, "%s", sqlite3_errmsg(c->r->db));
}

static int transaction_close(struct conversion *c, int own, int e) {
  sqlite3 *db = c->r->db;
  if (e == DMP_OK && sqlite3_exec(db, own ? "COMMIT" : "RELEASE dmp_convert", NULL, NULL, NULL) != SQLITE_OK) {
    e = record_sql_fault(c->r);
    conversion_named(c, e, "%s", sqlite3_errmsg(db));
  }
  struct fault f = c->r->fault;
  /* what has to be taken back is no transaction that would have to be committed: another one may be in its way */
  if (e != DMP_OK) sqlite3_exec(db, own ? "ROLLBACK" : "ROLLBACK TO dmp_convert; RELEASE dmp_convert", NULL, NULL, NULL);
  c->r->fault = f;
  return e;
}

/* The description and the keys of the protected table, as they are under the lock. */
static int load(struct conversion *c) {
  int e = session_use(c->r, &c->s);
  protect_free(&c->d);
  if (e == DMP_OK && (e = protect_proven(c->s, c->table, &c->d)) == DMP_E_NOT_FOUND) e = DMP_E_NOT_PROTECTED;   /* what is signed again was signed */
  if (e == DMP_OK) e = protect_key(c->s, &c->d, c->keys);
  return e == DMP_OK ? conversion_rowkeys(c) : e;
}

/* Whole or not at all, under the switches. */
static int whole(struct conversion *c, int (*steps)(struct conversion *c)) {
  sqlite3 *db = c->r->db;
  struct switches w;
  int own = sqlite3_get_autocommit(db), e = check_alone(db);
  if (e == DMP_OK) e = transaction_open(c, own);
  if (e != DMP_OK) return e;
  struct connection *cn = c->r->connection;
  switches_on(db, &w);
  cn->conversion = c;
  e = c->table ? load(c) : DMP_OK;
  if (e == DMP_OK) e = steps_progress_begin(c);
  if (e == DMP_OK) e = steps(c);
  if (e == DMP_E_SQL) conversion_named(c, e, "%s", sqlite3_errmsg(db));   /* before rolling back says something else */
  cn->conversion = NULL;
  switches_back(db, &w);
  return transaction_close(c, own, e);
}

static int begin(struct conversion *c, struct session *s, const char *table) {
  memset(c, 0, sizeof *c);
  c->s = s;
  c->r = s->r;
  c->table = table;
  *c->r->detail = 0;
  c->last = sqlite3_last_insert_rowid(s->r->db);
  c->keys = memory_new(2 * sizeof *c->keys);
  return c->keys ? DMP_OK : DMP_E_LOCK;
}

static void end(struct conversion *c) {
  c->r->connection->unsettled = c->r->connection->unsettled || !sqlite3_get_autocommit(c->r->db);
  session_stale(c->s);
  sqlite3_set_last_insert_rowid(c->r->db, c->last);
  protect_free(&c->d);
  sqlite3_free(c->drop);
  memory_free(c->keys);
  rowkeys_free(c->rowkeys);
  free(c->readers);
}

/* ---- options: name=value, with commas between ---- */

static int take_without_key(struct conversion *c, const char *v, size_t n) {
  if (n == 4 && memcmp(v, "null", n) == 0) c->d.without_key = PROTECT_NULL;
  else if (n == 4 && memcmp(v, "hide", n) == 0) c->d.without_key = PROTECT_HIDE;
  else return DMP_E_OPTION;
  return DMP_OK;
}

static int take_progress(struct conversion *c, const char *v, size_t n) {
  if (n != 1 || (*v != '0' && *v != '1')) return DMP_E_OPTION;
  c->progress.on = *v == '1';
  return DMP_OK;
}

/* Ids of principals, '|' between them. */
static int take_readers(struct conversion *c, const char *v, size_t n) {
  const char *end = v + n;
  while (v < end) {
    char *after;
    errno = 0;
    long long id = strtoll(v, &after, 10);
    if (after == v || after > end || errno || id <= 0 || (after < end && (*after != '|' || after + 1 == end))) return DMP_E_OPTION;
    int64_t *more = realloc(c->readers, (c->readers_n + 1) * sizeof *more);
    if (more == NULL) return DMP_E_NOMEM;
    c->readers = more;
    c->readers[c->readers_n++] = id;
    v = after + (after < end);
  }
  return n ? DMP_OK : DMP_E_OPTION;
}

static int take_patient(struct conversion *c, const char *v, size_t n) {
  c->patient = v;
  c->patient_len = n;
  return n ? DMP_OK : DMP_E_OPTION;
}

static int take_word(char *to, size_t room, const char *v, size_t n) {
  if (n == 0 || n >= room) return DMP_E_OPTION;
  memcpy(to, v, n);
  to[n] = 0;
  return DMP_OK;
}

static int take_type(struct conversion *c, const char *v, size_t n) { return take_word(c->d.type, sizeof c->d.type, v, n); }
static int take_system(struct conversion *c, const char *v, size_t n) { return take_word(c->d.system, sizeof c->d.system, v, n); }

static int take_index(struct conversion *c, const char *v, size_t n) {
  c->index = v;
  c->index_len = n;
  return n ? DMP_OK : DMP_E_OPTION;
}

typedef int take_option(struct conversion *c, const char *v, size_t n);
enum { AT_PROTECT = 1, LATER = 2 };                   /* when an option may be given: to dmp_protect, to the other verbs */
static const struct { const char *name; int when; take_option *take; } OPTIONS[] = {
  { "patient", AT_PROTECT, take_patient }, { "type", AT_PROTECT, take_type }, { "system", AT_PROTECT, take_system },
  { "without_key", AT_PROTECT, take_without_key }, { "readers", AT_PROTECT, take_readers }, { "index", AT_PROTECT, take_index },
  { "progress", AT_PROTECT | LATER, take_progress },
};

static int take_options(struct conversion *c, const char *o, int when) {
  while (o && *o) {
    size_t n = strcspn(o, ","), k = strcspn(o, "="), i = 0;
    while (i < sizeof OPTIONS / sizeof *OPTIONS && (strlen(OPTIONS[i].name) != k || strncmp(OPTIONS[i].name, o, k) != 0)) i++;
    int e = k < n && i < sizeof OPTIONS / sizeof *OPTIONS && OPTIONS[i].when & when ? OPTIONS[i].take(c, o + k + 1, n - k - 1) : DMP_E_OPTION;
    if (e == DMP_E_OPTION) return conversion_named(c, e, "%.*s", (int)n, o);
    if (e != DMP_OK) return e;
    o += n + (o[n] == ',');
  }
  return DMP_OK;
}

/* ---- the verbs ---- */

static int on_protected(struct session *s, const char *table, const char *options, int (*steps)(struct conversion *c)) {
  struct conversion c;
  int e = begin(&c, s, table);
  if (e == DMP_OK) e = take_options(&c, options, LATER);
  if (e == DMP_OK) e = whole(&c, steps);
  end(&c);
  return e;
}

int convert_protect(struct session *s, const char *table, const char *columns, const char *options) {
  struct conversion c;
  struct protect known;
  if (columns == NULL) return on_protected(s, table, NULL, steps_sign);
  if (s->me.kind != KIND_PROFESSIONAL && s->me.kind != KIND_AUTHORITY) return DMP_E_NOT_ALLOWED;
  int e = protect_get(s->r, table, &known);
  protect_free(&known);
  if (e == DMP_OK) return DMP_E_PROTECTED;
  if (e != DMP_E_NOT_FOUND) return e;
  e = begin(&c, s, NULL);
  if (e == DMP_OK) e = take_options(&c, options, AT_PROTECT);
  if (e == DMP_OK) e = conversion_table(&c, table);
  if (e == DMP_OK) e = conversion_columns(&c, columns);
  if (e == DMP_OK) e = conversion_patient(&c);
  if (e == DMP_OK) e = conversion_fts(&c);
  if (e == DMP_OK) e = conversion_indexes(&c);
  if (e == DMP_OK && !c.used) e = conversion_judge(&c);
  if (e == DMP_OK) e = conversion_triggers(&c);
  if (e == DMP_OK) e = conversion_children(&c);
  if (e == DMP_OK && c.used) e = DMP_E_COLUMN_USED;
  if (e == DMP_OK) e = conversion_checks(&c);
  if (e == DMP_OK) e = whole(&c, steps_protect);
  end(&c);
  return e;
}

int convert_unprotect(struct session *s, const char *table, const char *options) { return on_protected(s, table, options, steps_unprotect); }

int convert_rewrap(struct session *s, const char *table) { return on_protected(s, table, NULL, steps_rewrap); }

enum { BATCH = 4096, REST_MIN = 2, REST_MAX = 200 };  /* milliseconds */

/* In batches, each a transaction: killed or refused at any of them, the next call goes on. Between two the lock is free for half as
 * long as it was held: others, who look every few milliseconds, find it so. */
static int rotate_batches(struct conversion *c) {
  int64_t start = record_now();
  int e;
  c->batch = BATCH;
  while ((e = whole(c, steps_rotate)) == DMP_OK && !c->finished) {
    int64_t rest = (record_now() - start) / 2;
    sqlite3_sleep(rest < REST_MIN ? REST_MIN : rest > REST_MAX ? REST_MAX : (int)rest);
    start = record_now();
  }
  return e;
}

int convert_rotate(struct session *s, const char *table, const char *options) {
  struct conversion c;
  int e = begin(&c, s, table);
  if (e == DMP_OK) e = take_options(&c, options, LATER);
  if (e == DMP_OK) e = sqlite3_get_autocommit(s->r->db) ? rotate_batches(&c) : whole(&c, steps_rotate);
  end(&c);
  return e;
}

/* Inside the statement that takes a reader away, which is itself whole or not at all: a savepoint could not be opened there. */
int convert_withdraw(struct session *s, const char *table, const uint8_t principal[16]) {
  struct conversion c;
  int was, e = begin(&c, s, table);
  c.without = principal;
  if (e == DMP_OK) e = load(&c);
  if (e == DMP_OK) {
    switch_set(c.r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &was);   /* no row changes for the practice */
    c.r->connection->conversion = &c;
    e = steps_rotate(&c);
    c.r->connection->conversion = NULL;
    sqlite3_db_config(c.r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, was, NULL);
  }
  end(&c);
  return e;
}

/* ---- remnants ---- */

/* Which tables were due before the remnants went: what became due since stays so. */
struct due { struct session *s; struct { int64_t id; uint8_t digest[32]; } *all; size_t n; struct protect_keys *keys; /* owned, locked: of the table at hand */ };

static int due_note(void *ctx, const struct protect *p) {
  struct due *d = ctx;
  void *more = realloc(d->all, (d->n + 1) * sizeof *d->all);
  if (more == NULL) return DMP_E_NOMEM;
  d->all = more;
  d->all[d->n].id = p->id;
  memcpy(d->all[d->n++].digest, p->digest, 32);
  return DMP_OK;
}

static int due_done(void *ctx, const struct protect *p) {
  const struct due *d = ctx;
  struct protect copy = *p;
  size_t i = 0;
  copy.scrub_due = 0;
  while (i < d->n && (d->all[i].id != p->id || memcmp(d->all[i].digest, p->digest, 32) != 0)) i++;
  if (!p->scrub_due || i == d->n) return DMP_OK;
  int e = protect_key(d->s, p, d->keys);
  if (e == DMP_E_NO_TABLE_KEY || e == DMP_E_KEY_LOST) return DMP_OK;   /* only a holder says so: it stays due until one scrubs */
  return e == DMP_OK ? protect_put(d->s, &copy, d->keys) : e;
}

static int scrub_file(struct record *r) {
  sqlite3 *db = NULL;
  int rc = sqlite3_open_v2(r->path, &db, SQLITE_OPEN_READWRITE, NULL);
  if (rc == SQLITE_OK) sqlite3_busy_timeout(db, 5000);
  if (rc == SQLITE_OK) rc = sqlite3_exec(db, "PRAGMA temp_store=MEMORY; VACUUM", NULL, NULL, NULL);
  /* not the PRAGMA, which tells in a row that a reader kept the old pages */
  if (rc == SQLITE_OK) rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  int busy = rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
  if (rc != SQLITE_OK) r->fault.sql_rc = rc;
  if (rc != SQLITE_OK && !busy) sqlite3_snprintf(sizeof r->detail, r->detail, "%s", sqlite3_errmsg(db));
  sqlite3_close(db);
  return rc == SQLITE_OK ? DMP_OK : busy ? DMP_E_TABLE_BUSY : DMP_E_SQL;
}

int convert_scrub(struct session *s) {
  struct due d = { .s = s };
  if (!sqlite3_get_autocommit(s->r->db)) return DMP_E_TABLE_BUSY;
  if ((d.keys = memory_new(sizeof *d.keys)) == NULL) return DMP_E_LOCK;
  int e = protect_each_proven(s, due_note, &d);
  if (e == DMP_OK) e = scrub_file(s->r);
  if (e == DMP_OK && sqlite3_exec(s->r->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) e = DMP_E_TABLE_BUSY;
  else if (e == DMP_OK) {
    e = protect_each_proven(s, due_done, &d);
    if (sqlite3_exec(s->r->db, e == DMP_OK ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK && e == DMP_OK) {
      e = DMP_E_TABLE_BUSY;
      sqlite3_exec(s->r->db, "ROLLBACK", NULL, NULL, NULL);
    }
  }
  memory_free(d.keys);
  free(d.all);
  return e;
}

int convert_rename(struct session *s, struct protect *d, const struct protect_keys *k, const char *name) {
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
  if (e == DMP_OK) e = protect_put(s, d, k);
  if (e != DMP_OK) conversion_copy(d->table, sizeof d->table, was);
  return e;
}
