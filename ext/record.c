/* record.c: the shadow tables and statements of one record (see record.h). */
#include "record.h"
#include "section_data.h"
#include "log.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT3

const char *const record_tables[] = { "dmp", "session", "principal", "patient", "identity", "representative", "consent", "blocked", "certificate_log", "membership", "document", "mask",
                                      SECTION_NAMES "episode_suggestion", "feed", "minimal_view", "access_log", "access_right", "document_as", "notification", "hosting",
                                      "dmp_protected", "protected_reader", NULL };

/* The schema entries that this version creates, in order. %w: the record's schema where CREATE needs it; the text stored in
 * sqlite_schema is the same without it. */
static const struct { const char *type, *name, *table, *sql; } SHADOW[] = {
  { "table", "dmp_record", "dmp_record", "CREATE TABLE dmp_record(id INTEGER PRIMARY KEY,body BLOB NOT NULL)" },
  { "table", "dmp_certificate", "dmp_certificate",
    "CREATE TABLE dmp_certificate(id INTEGER PRIMARY KEY,loc BLOB NOT NULL,box BLOB NOT NULL)" },
  { "table", "dmp_keyset", "dmp_keyset", "CREATE TABLE dmp_keyset(id INTEGER PRIMARY KEY,loc BLOB NOT NULL,box BLOB NOT NULL)" },
  { "table", "dmp_grant", "dmp_grant", "CREATE TABLE dmp_grant(id INTEGER PRIMARY KEY,loc BLOB NOT NULL,box BLOB NOT NULL)" },
  { "table", "dmp_object", "dmp_object",
    "CREATE TABLE dmp_object(id INTEGER PRIMARY KEY,loc BLOB NOT NULL,mark INTEGER NOT NULL,wrap BLOB NOT NULL,version INTEGER NOT NULL,"
    "header BLOB NOT NULL,amend BLOB)" },
  { "table", "dmp_wrap", "dmp_wrap", "CREATE TABLE dmp_wrap(id INTEGER PRIMARY KEY,loc BLOB NOT NULL,wrap BLOB NOT NULL)" },
  { "table", "dmp_chunk", "dmp_chunk",
    "CREATE TABLE dmp_chunk(id INTEGER PRIMARY KEY,object INTEGER NOT NULL,number INTEGER NOT NULL,box BLOB NOT NULL)" },
  { "table", "dmp_state", "dmp_state", "CREATE TABLE dmp_state(id INTEGER PRIMARY KEY,loc BLOB NOT NULL,box BLOB NOT NULL)" },
  { "table", "dmp_sealed", "dmp_sealed", "CREATE TABLE dmp_sealed(id INTEGER PRIMARY KEY,body BLOB NOT NULL)" },
  { "table", "dmp_reader", "dmp_reader", "CREATE TABLE dmp_reader(id INTEGER PRIMARY KEY,loc BLOB NOT NULL,box BLOB NOT NULL)" },
  { "index", "dmp_certificate_loc", "dmp_certificate", "CREATE INDEX dmp_certificate_loc ON dmp_certificate(loc)" },
  { "index", "dmp_keyset_loc", "dmp_keyset", "CREATE INDEX dmp_keyset_loc ON dmp_keyset(loc)" },
  { "index", "dmp_grant_loc", "dmp_grant", "CREATE INDEX dmp_grant_loc ON dmp_grant(loc)" },
  { "index", "dmp_object_loc", "dmp_object", "CREATE INDEX dmp_object_loc ON dmp_object(loc,id,mark)" },
  { "index", "dmp_wrap_loc", "dmp_wrap", "CREATE INDEX dmp_wrap_loc ON dmp_wrap(loc)" },
  { "index", "dmp_chunk_object", "dmp_chunk", "CREATE INDEX dmp_chunk_object ON dmp_chunk(object,number,substr(box,-16))" },
  { "index", "dmp_reader_loc", "dmp_reader", "CREATE INDEX dmp_reader_loc ON dmp_reader(loc)" },
  { "index", "dmp_state_loc", "dmp_state", "CREATE INDEX dmp_state_loc ON dmp_state(loc)" },
};
enum { SHADOWS = sizeof SHADOW / sizeof *SHADOW };

#define RECORD_TEXT(name, sql) [STMT_##name] = sql,
static const char *const STATEMENT[] = { RECORD_STATEMENTS(RECORD_TEXT) };

/* dmp_record.body: magic 8 · format 2 · suite 1 · zero 1 · record id 16 · authority's Ed25519 32. */
static const uint8_t MAGIC[8] = { 'd', 'm', 'p', ' ', 'r', 'e', 'c', '1' };
enum { BODY_BYTES = 8 + 2 + 1 + 1 + 16 + 32 };

int record_new(sqlite3 *db, const char *schema, struct record **out) {
  struct record *r = calloc(1, sizeof *r);
  *out = NULL;
  if (r == NULL) return DMP_E_NOMEM;
  r->db = db;
  r->anchor_fd = -1;
  r->schema_version = r->watched_check = r->watched_bad = r->entries_check = -1;
  r->schema = strdup(schema);
  char *q = sqlite3_mprintf("\"%w\"", schema);
  if (q != NULL) r->quoted = strdup(q);
  sqlite3_free(q);
  if (r->schema == NULL || r->quoted == NULL) {
    record_free(r);
    return DMP_E_NOMEM;
  }
  *out = r;
  return DMP_OK;
}

void record_finalize(struct record *r) {
  for (int i = 0; i < STMT_COUNT; i++) {
    sqlite3_finalize(r->st[i]);
    r->st[i] = NULL;
  }
  r->texts_seen = 0;                                  /* its counter went with the statement */
}

void record_free(struct record *r) {
  if (r == NULL) return;
  record_finalize(r);
  log_close(r->log);
  if (r->anchor_fd >= 0) close(r->anchor_fd);
  free(r->schema);
  free(r->quoted);
  free(r->path);
  free(r);
}

int record_sql_fault(struct record *r) {
  r->fault.sql_rc = sqlite3_extended_errcode(r->db);
  if (r->fault.sql_rc == SQLITE_OK || r->fault.sql_rc == SQLITE_ROW || r->fault.sql_rc == SQLITE_DONE) r->fault.sql_rc = SQLITE_ERROR;
  return DMP_E_SQL;
}

int record_fault(struct record *r, int e, const char *table, int64_t row) {
  sqlite3_snprintf(sizeof r->faulty, r->faulty, "%s", table);   /* a practice's table: its name does not outlive the call that met it */
  r->fault.table = r->faulty;
  r->fault.row = row;
  return e;
}

sqlite3_stmt *record_stmt(struct record *r, enum record_stmt which) {
  if (r->st[which] == NULL) {
    char *sql = sqlite3_mprintf(STATEMENT[which], r->quoted);
    if (sql == NULL) return NULL;
    int rc = sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &r->st[which], NULL);
    sqlite3_free(sql);
    if (rc != SQLITE_OK) return NULL;
  } else {
    sqlite3_reset(r->st[which]);
    sqlite3_clear_bindings(r->st[which]);
  }
  return r->st[which];
}

int record_run(struct record *r, sqlite3_stmt *st) {
  if (st == NULL) return record_sql_fault(r);
  int rc = sqlite3_step(st);
  int e = rc == SQLITE_DONE ? DMP_OK : record_sql_fault(r);
  sqlite3_reset(st);
  sqlite3_clear_bindings(st);
  return e;
}

int record_clear(struct record *r, enum record_stmt which, const uint8_t loc[16]) {
  sqlite3_stmt *st = record_stmt(r, which);
  if (st) sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  return record_run(r, st);
}

int record_random_id(int64_t *id) {
  uint64_t v = 0;
  do {
    int e = random_bytes("row", &v, sizeof v);
    if (e != DMP_OK) return e;
    v &= INT64_MAX;
  } while (v == 0);
  *id = (int64_t)v;
  return DMP_OK;
}

int record_put(struct record *r, enum record_stmt put, const uint8_t loc[16], const struct buf *box, int64_t id) {
  if (box->bad) return DMP_E_NOMEM;
  sqlite3_stmt *st = record_stmt(r, put);
  if (st == NULL) return record_sql_fault(r);
  sqlite3_bind_int64(st, 1, id);
  sqlite3_bind_blob(st, 2, loc, 16, SQLITE_STATIC);
  sqlite3_bind_blob64(st, 3, box->p, box->n, SQLITE_STATIC);
  return record_run(r, st);
}

int64_t record_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A record needs a name on disk: the log and the anchor stand beside it. The memdb VFS gives a false name. */
static int record_find_path(struct record *r) {
  const char *path = sqlite3_db_filename(r->db, r->schema);
  if (path == NULL || *path == 0) return DMP_E_VFS;
  char *name = NULL;
  int e = DMP_OK;
  if (sqlite3_file_control(r->db, r->schema, SQLITE_FCNTL_VFSNAME, &name) == SQLITE_OK && name != NULL &&
      strncmp(name, "unix", 4) != 0)
    e = DMP_E_VFS;
  sqlite3_free(name);
  if (e != DMP_OK) return e;
  if (r->path && strcmp(r->path, path) != 0) {        /* what is open stands beside the file that had this name before */
    log_close(r->log);
    if (r->anchor_fd >= 0) close(r->anchor_fd);
    r->log = NULL;
    r->anchor_fd = -1;
  }
  free(r->path);
  r->path = strdup(path);
  return r->path ? DMP_OK : DMP_E_NOMEM;
}

static int record_parse(struct record *r, const uint8_t *p, size_t n) {
  struct rd rd = { p, n, 0 };
  const uint8_t *magic = rd_bytes(&rd, 8);
  if (magic == NULL || memcmp(magic, MAGIC, 8) != 0) return DMP_E_NOT_RECORD;
  if (rd_u16(&rd) != random_format()) return DMP_E_NEWER;
  r->suite = rd_u8(&rd);
  rd_u8(&rd);
  const uint8_t *id = rd_bytes(&rd, 16), *authority = rd_bytes(&rd, 32);
  if (!rd_done(&rd)) return DMP_E_NOT_RECORD;
  memcpy(r->id, id, 16);
  memcpy(r->authority, authority, 32);
  if (r->suite != SUITE_AES && r->suite != SUITE_XCHACHA) return DMP_E_NEWER;
  return r->suite == SUITE_AES && !suite_has_aes() ? DMP_E_CPU : DMP_OK;
}

int record_open(struct record *r) {
  int e = record_find_path(r);
  if (e != DMP_OK) return e;
  sqlite3_stmt *st = record_stmt(r, STMT_RECORD_GET);
  if (st == NULL) {
    e = record_sql_fault(r);
    return r->fault.sql_rc == SQLITE_ERROR ? DMP_E_NOT_RECORD : e;   /* no such table */
  }
  int rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) e = record_parse(r, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
  else e = rc == SQLITE_DONE ? DMP_E_NOT_RECORD : record_sql_fault(r);
  sqlite3_reset(st);
  return e;
}

static int record_exec(struct record *r, char *sql) {
  if (sql == NULL) return DMP_E_NOMEM;
  int rc = sqlite3_exec(r->db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  return rc == SQLITE_OK ? DMP_OK : record_sql_fault(r);
}

/* The names must be free: a practice's own tables may stand beside the record's. */
static int record_names_free(struct record *r) {
  sqlite3_stmt *st = record_stmt(r, STMT_SCHEMA_ROWS);
  int e = DMP_OK;
  if (st == NULL) return record_sql_fault(r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(st, 1);
    if (name == NULL) continue;
    if (sqlite3_stricmp(name, "dmp_record") == 0) e = DMP_E_EXISTS;
    for (int i = 0; e == DMP_OK && i < SHADOWS; i++)
      if (sqlite3_stricmp(name, SHADOW[i].name) == 0) e = DMP_E_NAME_TAKEN;
    for (int i = 0; e == DMP_OK && record_tables[i]; i++)
      if (sqlite3_stricmp(name, record_tables[i]) == 0) e = DMP_E_NAME_TAKEN;
  }
  sqlite3_reset(st);
  return e;
}

int record_make(struct record *r) {
  int e = record_find_path(r);
  if (e == DMP_OK) e = record_names_free(r);
  for (int i = 0; e == DMP_OK && i < SHADOWS; i++) {
    /* "CREATE TABLE name…" -> "CREATE TABLE schema.name…": the schema is not part of what SQLite stores. */
    const char *verb_end = strstr(SHADOW[i].sql, " dmp_");
    e = record_exec(r, sqlite3_mprintf("%.*s %s.%s", (int)(verb_end - SHADOW[i].sql), SHADOW[i].sql, r->quoted, verb_end + 1));
  }
  struct buf b = { 0 };
  buf_put(&b, MAGIC, 8);
  buf_u16(&b, (uint16_t)random_format());
  buf_u8(&b, (uint8_t)r->suite);
  buf_u8(&b, 0);
  buf_put(&b, r->id, 16);
  buf_put(&b, r->authority, 32);
  if (e == DMP_OK && b.bad) e = DMP_E_NOMEM;
  if (e == DMP_OK) {
    sqlite3_stmt *st = record_stmt(r, STMT_RECORD_PUT);
    if (st) sqlite3_bind_blob64(st, 1, b.p, b.n, SQLITE_STATIC);
    e = record_run(r, st);
  }
  for (int i = 0; e == DMP_OK && record_tables[i]; i++)
    e = record_exec(r, sqlite3_mprintf("CREATE VIRTUAL TABLE %s.\"%w\" USING dmp(%s)", r->quoted, record_tables[i], record_tables[i]));
  buf_free(&b);
  _Static_assert(BODY_BYTES == 60, "layout of dmp_record.body");
  return e;
}

/* Is this entry one that the record made? 1 yes, 0 it is none of ours, -1 it has one of our names or tables and is not ours. */
static int record_entry_ours(const char *type, const char *name, const char *table, const char *sql) {
  for (int i = 0; i < SHADOWS; i++) {
    if (sqlite3_stricmp(name, SHADOW[i].name) == 0)
      return strcmp(type, SHADOW[i].type) == 0 && sqlite3_stricmp(table, SHADOW[i].table) == 0 &&
                     sql != NULL && strcmp(sql, SHADOW[i].sql) == 0 ? 1 : -1;
  }
  for (int i = 0; i < SHADOWS; i++) {
    if (sqlite3_stricmp(table, SHADOW[i].table) == 0) return -1;   /* a foreign index or trigger on a shadow table */
  }
  for (int i = 0; record_tables[i]; i++) {
    if (sqlite3_stricmp(table, record_tables[i]) != 0) continue;
    char want[128];
    sqlite3_snprintf(sizeof want, want, "CREATE VIRTUAL TABLE \"%w\" USING dmp(%s)", record_tables[i], record_tables[i]);
    return strcmp(type, "table") == 0 && sql != NULL && strcmp(sql, want) == 0 ? 1 : -1;
  }
  return 0;
}

/* A CHECK, view, trigger or DEFAULT of a foreign table that names one of our functions or tables runs them with the reader's
 * keys: such text is refused whole. */
static int record_text_foreign(const char *sql) {
  for (const char *p = sql; p != NULL && *p; p++)
    if (sqlite3_strnicmp(p, "dmp_", 4) == 0) return 1;
  return 0;
}

/* The virtual table of a protected table: its own text, whatever its name. Its description is checked where it is used. */
static int record_text_protected(const char *type, const char *name, const char *sql) {
  char want[512];
  sqlite3_snprintf(sizeof want, want, "CREATE VIRTUAL TABLE \"%w\" USING dmp_table", name);
  return strcmp(type, "table") == 0 && sql != NULL && strcmp(sql, want) == 0;
}

static int record_schema_scan(struct record *r) {
  sqlite3_stmt *st = record_stmt(r, STMT_SCHEMA_ROWS);
  int e = DMP_OK, rc = SQLITE_DONE, found = 0, want = SHADOWS;
  if (st == NULL) return record_sql_fault(r);
  while (record_tables[want - SHADOWS]) want++;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    const char *type = (const char *)sqlite3_column_text(st, 0), *name = (const char *)sqlite3_column_text(st, 1);
    const char *table = (const char *)sqlite3_column_text(st, 2), *sql = (const char *)sqlite3_column_text(st, 3);
    if (type == NULL || name == NULL || table == NULL) {
      e = DMP_E_SCHEMA;
      break;
    }
    int ours = record_entry_ours(type, name, table, sql);
    if (ours < 0 || (ours == 0 && record_text_foreign(sql) && !record_text_protected(type, name, sql))) e = DMP_E_SCHEMA;
    found += ours > 0;
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(r);
  sqlite3_reset(st);
  if (e == DMP_OK && found != want) e = DMP_E_SCHEMA;
  return e;
}

static int64_t schema_version_of(struct record *r, const char *schema) {
  sqlite3_stmt *st = NULL;
  int64_t v = -1;
  char *sql = sqlite3_mprintf("PRAGMA \"%w\".schema_version", schema);
  if (sql && sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) v = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return v;
}

/* A schema that can't be read can't run anything either. */
static int schema_text_check(struct record *r, const char *schema) {
  sqlite3_stmt *st = NULL;
  int e = DMP_OK;
  char *sql = sqlite3_mprintf("SELECT type,name,tbl_name,sql FROM \"%w\".sqlite_schema WHERE sql IS NOT NULL", schema);
  if (sql && sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) == SQLITE_OK)
    while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
      const char *type = (const char *)sqlite3_column_text(st, 0), *name = (const char *)sqlite3_column_text(st, 1);
      const char *table = (const char *)sqlite3_column_text(st, 2), *text = (const char *)sqlite3_column_text(st, 3);
      if (type && name && table && text && record_text_foreign(text) && record_entry_ours(type, name, table, text) <= 0 &&
          !record_text_protected(type, name, text))
        e = DMP_E_SCHEMA;
    }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

int record_check_texts(struct record *r) {
  sqlite3_stmt *st = record_stmt(r, STMT_SCHEMA_VERSION);
  const char *name;
  int e = DMP_OK;
  if (st) sqlite3_step(st);
  if (st) sqlite3_reset(st);
  /* DETACH makes every statement be prepared again: then another file of the same version may stand under a name */
  uint64_t seen = 1 + (uint64_t)(st ? sqlite3_stmt_status(st, SQLITE_STMTSTATUS_REPREPARE, 0) : 0);
  for (int i = 0; (name = sqlite3_db_name(r->db, i)) != NULL; i++)
    if (i != 1) seen = (seen + (uint64_t)schema_version_of(r, name)) * 0x9E3779B97F4A7C15u + (uint64_t)i;
  if (st && seen == r->texts_seen) return DMP_OK;
  for (int i = 0; e == DMP_OK && (name = sqlite3_db_name(r->db, i)) != NULL; i++)
    if (i != 1) e = schema_text_check(r, name);       /* 1 is temp: the application's own */
  if (e == DMP_OK) r->texts_seen = seen;
  return e;
}

int record_reparse(struct record *r) {
  sqlite3_stmt *st = NULL;
  if (!sqlite3_get_autocommit(r->db)) return DMP_OK;
  while ((st = sqlite3_next_stmt(r->db, st)) != NULL)
    if (sqlite3_stmt_busy(st) && !sqlite3_stmt_readonly(st)) return DMP_OK;
  return sqlite3_exec(r->db, "PRAGMA writable_schema=RESET", NULL, NULL, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(r);
}

int record_check_schema(struct record *r) {
  sqlite3_stmt *st = record_stmt(r, STMT_SCHEMA_VERSION);
  if (st == NULL || sqlite3_step(st) != SQLITE_ROW) return record_sql_fault(r);
  int64_t v = sqlite3_column_int64(st, 0);
  sqlite3_reset(st);
  unsigned data = 0;
  int known = sqlite3_file_control(r->db, r->schema, SQLITE_FCNTL_DATA_VERSION, &data) == SQLITE_OK && data == r->schema_data;
  int e = sqlite3_db_name(r->db, 2) ? record_check_texts(r) : DMP_OK;   /* alone in its connection: the scan below reads all */
  if (e != DMP_OK || (v == r->schema_version && (r->schema_settled || known))) return e;
  e = record_schema_scan(r);
  if (e != DMP_OK) return e;
  r->schema_version = v;
  r->schema_data = data;
  r->schema_settled = sqlite3_get_autocommit(r->db);
  r->schema_checks++;
  return DMP_OK;
}

/* Opens the database of temporary tables. While it is open temp_store can't change without every schema being read again, and with
 * it every virtual table connected anew: so one that looked once need not ask again, which costs a third of a look-up. */
int record_hold_temp(struct record *r) {
  sqlite3_stmt *st = NULL;
  int rc = sqlite3_prepare_v2(r->db, "SELECT 1 FROM temp.sqlite_schema", -1, &st, NULL);
  sqlite3_finalize(st);
  return rc == SQLITE_OK;
}

int record_check_temp(struct record *r) {
  if (r->temp_held) return DMP_OK;
  sqlite3_stmt *st = record_stmt(r, STMT_TEMP_STORE);
  if (st == NULL || sqlite3_step(st) != SQLITE_ROW) return record_sql_fault(r);
  int memory = sqlite3_column_int(st, 0) == 2 ||
               sqlite3_compileoption_used("TEMP_STORE=3") || (sqlite3_compileoption_used("TEMP_STORE=2") && sqlite3_column_int(st, 0) != 1);
  sqlite3_reset(st);
  return memory ? DMP_OK : DMP_E_TEMP_STORE;
}

int record_hold(struct record *r) {
  sqlite3_stmt *st = record_stmt(r, STMT_SNAPSHOT);
  if (st == NULL || sqlite3_step(st) != SQLITE_ROW) return record_sql_fault(r);
  return DMP_OK;
}

void record_release(struct record *r) {
  if (r->st[STMT_SNAPSHOT]) sqlite3_reset(r->st[STMT_SNAPSHOT]);
}

/* While a transaction that writes is open nobody else's can commit, and each commit adds one to the data version. */
int record_committed(struct record *r) {
  unsigned v = 0;
  if (sqlite3_file_control(r->db, r->schema, SQLITE_FCNTL_DATA_VERSION, &v) != SQLITE_OK) return 0;
  int own = v == r->data_version || v == r->data_version + 1;   /* the same: another table of this transaction has asked */
  if (own) r->data_version = v;
  return own;
}

int record_changed(struct record *r) {
  unsigned v = 0;
  if (sqlite3_file_control(r->db, r->schema, SQLITE_FCNTL_DATA_VERSION, &v) != SQLITE_OK) return 1;
  if (v == r->data_version) return 0;
  r->data_version = v;
  return 1;
}
