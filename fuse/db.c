/* db.c: see db.h. */
#include "db.h"
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "dmp.h"
#include "layout.h"
#include "status.h"

enum { BUSY_MS = 2000 };
#define CACHE_KIB "12288"                   /* pages of the record: what listing patient after patient comes back to */
enum statement { PATIENTS, DEPOSITS, PATIENT, DEPOSIT, DOCUMENTS, READ, VERSION, STATEMENTS };
static const char *const SQL[STATEMENTS] = {
  [PATIENTS] = "SELECT id, name, grp FROM temp.patients",
  [DEPOSITS] = "SELECT id, name FROM temp.deposits",
  [PATIENT] = "SELECT id, name, grp FROM temp.patients WHERE id = ?1",
  [DEPOSIT] = "SELECT id, name FROM temp.deposits WHERE id = ?1",
  [DOCUMENTS] = "SELECT id, name, folder, size, offset, modified, also, page, notice FROM temp.documents WHERE patient = ?1",
  [READ] = "SELECT dmp_read(?1, ?2, ?3)",
  [VERSION] = "PRAGMA main.data_version",
};

struct db {
  sqlite3 *sql;                             /* owned */
  sqlite3_stmt *st[STATEMENTS];             /* owned */
  struct layout *layout;                    /* owned: names, and what stands on pages */
  int64_t self;
  char error[DB_WHY_MAX];
};

/* How a start ends and what a request answers, by the extension's own error number. What is in no line is altered or
 * damaged data for a start that got past the file's header, and EIO for a request. */
static const struct { enum dmp_error e; enum verdict verdict; int err; } MEANING[] = {
  { DMP_E_NOMEM, VERDICT_SYSTEM, ENOMEM },            { DMP_E_RANDOM, VERDICT_SYSTEM, EIO },
  { DMP_E_LOCK, VERDICT_SYSTEM, ENOMEM },             { DMP_E_CPU, VERDICT_SYSTEM, EIO },
  { DMP_E_KEY_OPEN, VERDICT_CREDENTIAL, EIO },        { DMP_E_KEY_FORMAT, VERDICT_CREDENTIAL, EIO },
  { DMP_E_KEY_PIN, VERDICT_PIN, EIO },                { DMP_E_PIN_SHORT, VERDICT_PIN, EIO },
  { DMP_E_ASKPASS, VERDICT_PIN, EIO }, { DMP_E_LOCKED, VERDICT_PIN, EIO },                 { DMP_E_KEYRING, VERDICT_PIN, EIO },
  { DMP_E_KEY_COST, VERDICT_CREDENTIAL, EIO },        { DMP_E_NOT_RECORD, VERDICT_RECORD, EIO },
  { DMP_E_NEWER, VERDICT_RECORD, EIO },               { DMP_E_LATER, VERDICT_RECORD, EIO },
  { DMP_E_NO_SESSION, VERDICT_SYSTEM, ESTALE },       { DMP_E_FORK, VERDICT_SYSTEM, ESTALE },
  { DMP_E_OTHER_RECORD, VERDICT_CREDENTIAL, ESTALE }, { DMP_E_FINGERPRINT, VERDICT_CREDENTIAL, EIO },
  { DMP_E_NOT_CERTIFIED, VERDICT_CREDENTIAL, ESTALE },{ DMP_E_NOT_FOUND, VERDICT_DAMAGED, ESTALE },
  { DMP_E_NOT_ALLOWED, VERDICT_CREDENTIAL, ESTALE },  { DMP_E_NO_PATIENT, VERDICT_DAMAGED, ESTALE },
  { DMP_E_NO_CONSENT, VERDICT_CREDENTIAL, ESTALE },   { DMP_E_EXPIRED, VERDICT_CREDENTIAL, ESTALE },
  { DMP_E_REVOKED, VERDICT_CREDENTIAL, ESTALE },
  { DMP_E_BUSY, VERDICT_OPEN, EAGAIN },               { DMP_E_ARGUMENT, VERDICT_EXTENSION, EIO },
  { DMP_E_SQLITE_OLD, VERDICT_EXTENSION, EIO },       { DMP_E_VFS, VERDICT_OPEN, EIO },
};

/* The number in "dmp-E017: …", 0 when the sentence is not the extension's. */
static int error_number(const char *text) {
  int number = 0;
  return text != NULL && sscanf(text, "dmp-E%3d:", &number) == 1 ? number : 0;
}

static enum verdict start_verdict(sqlite3 *sql, const char *text) {
  int number = error_number(text);
  for (size_t i = 0; i < sizeof MEANING / sizeof *MEANING; i++)
    if ((int)MEANING[i].e == number) return MEANING[i].verdict;
  if (number != 0) return VERDICT_DAMAGED;
  switch (sqlite3_errcode(sql) & 0xFF) {
    case SQLITE_NOTADB: return VERDICT_RECORD;
    case SQLITE_CORRUPT: return VERDICT_DAMAGED;
    case SQLITE_NOMEM: return VERDICT_SYSTEM;
    case SQLITE_ERROR: return VERDICT_EXTENSION;   /* no such function or table: another extension answers as dmp.so */
    default: return VERDICT_OPEN;
  }
}

/* Keeps the sentence of a request's failure and turns it into an errno. */
static int request_error(struct db *db) {
  const char *text = sqlite3_errmsg(db->sql);
  int number = error_number(text), code = sqlite3_errcode(db->sql) & 0xFF;
  snprintf(db->error, sizeof db->error, "%s", text);
  for (size_t i = 0; i < sizeof MEANING / sizeof *MEANING; i++)
    if ((int)MEANING[i].e == number) return MEANING[i].err;
  if (number == 0 && (code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_SCHEMA)) return EAGAIN;
  return code == SQLITE_NOMEM ? ENOMEM : EIO;
}

/* Whether another file, or none, lies where the record was opened: what this connection would go on reading is not the record
 * any more, and a copy that was put back may show what has been masked since. It asks the folder, not the record. */
static int is_replaced(struct db *db) {
  int moved = 0;
  if (sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved) return 0;
  snprintf(db->error, sizeof db->error, "the record was taken away or replaced: put the file back that was mounted, or unmount and mount again");
  return 1;
}

static enum verdict open_file(struct db *db, const char *record, char why[DB_WHY_MAX]) {
  /* one thread alone asks; refused, and of no consequence, when SQLite has begun already */
  sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  int rc = sqlite3_open_v2(record, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (rc == SQLITE_OK) {
    sqlite3_extended_result_codes(db->sql, 1);
    sqlite3_busy_timeout(db->sql, BUSY_MS);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    rc = sqlite3_exec(db->sql, "PRAGMA temp_store=MEMORY; PRAGMA main.cache_size=-" CACHE_KIB "; SELECT count(*) FROM main.sqlite_schema", NULL, NULL, NULL);
  }
  if (rc == SQLITE_OK) return VERDICT_MOUNTED;
  if (db->sql == NULL || (rc & 0xFF) == SQLITE_NOMEM) {
    snprintf(why, DB_WHY_MAX, "out of memory");
    return VERDICT_SYSTEM;
  }
  if ((rc & 0xFF) == SQLITE_NOTADB) {
    snprintf(why, DB_WHY_MAX, "%s is not a record: name the file that dmp_create() made", record);
    return VERDICT_RECORD;
  }
  int damaged = (rc & 0xFF) == SQLITE_CORRUPT;
  snprintf(why, DB_WHY_MAX, "%s can't be opened: %s%s", record, sqlite3_errmsg(db->sql),
           damaged ? "" : "; check the path, its rights, and those of its folder");
  return damaged ? VERDICT_DAMAGED : VERDICT_OPEN;
}

static enum verdict load_extension(struct db *db, const char *path, char why[DB_WHY_MAX]) {
  char *text = NULL;
  sqlite3_db_config(db->sql, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
  int rc = sqlite3_load_extension(db->sql, path, NULL, &text);
  sqlite3_db_config(db->sql, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
  if (rc != SQLITE_OK)
    snprintf(why, DB_WHY_MAX, "the extension can't be loaded: %s; give its path with -o ext=PATH", text ? text : path);
  sqlite3_free(text);
  return rc == SQLITE_OK ? VERDICT_MOUNTED : VERDICT_EXTENSION;
}

static int64_t own_patient(sqlite3 *sql) {
  sqlite3_stmt *st = NULL;
  int64_t self = 0;
  if (sqlite3_prepare_v2(sql, "SELECT principal FROM session WHERE kind = 'patient'", -1, &st, NULL) == SQLITE_OK &&
      sqlite3_step(st) == SQLITE_ROW)
    self = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  return self;
}

static enum verdict login(struct db *db, const struct db_options *o, char why[DB_WHY_MAX]) {
  sqlite3_stmt *st = NULL;
  enum verdict verdict = VERDICT_MOUNTED;
  int rc = sqlite3_prepare_v2(db->sql, "SELECT dmp_login(?1, ?2)", -1, &st, NULL);
  if (rc == SQLITE_OK) {
    sqlite3_bind_text(st, 1, o->key, -1, SQLITE_STATIC);
    if (o->pin != NULL) sqlite3_bind_text(st, 2, o->pin, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
  }
  if (rc != SQLITE_ROW) {
    snprintf(why, DB_WHY_MAX, "%s", sqlite3_errmsg(db->sql));
    verdict = start_verdict(db->sql, why);
  }
  sqlite3_finalize(st);
  if (verdict == VERDICT_MOUNTED) db->self = own_patient(db->sql);
  return verdict;
}

/* Asking for one patient shows now what would make every later request fail, such as a missing anchor. */
static enum verdict lay_out(struct db *db, const char *file, char why[DB_WHY_MAX]) {
  int at_fault = 0, rc = layout_new(&db->layout, db->sql, file, SQL, STATEMENTS, &at_fault, why, DB_WHY_MAX);
  if (rc == SQLITE_OK && at_fault) return VERDICT_LAYOUT;
  if (rc == SQLITE_OK) rc = sqlite3_exec(db->sql, "SELECT id FROM temp.patients LIMIT 1", NULL, NULL, NULL);
  for (int i = 0; rc == SQLITE_OK && i < STATEMENTS; i++)
    rc = sqlite3_prepare_v3(db->sql, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &db->st[i], NULL);
  if (rc == SQLITE_OK) return VERDICT_MOUNTED;
  snprintf(why, DB_WHY_MAX, "%s", sqlite3_errmsg(db->sql));
  return start_verdict(db->sql, why);
}

enum verdict db_open(struct db **out, const struct db_options *o, char why[DB_WHY_MAX]) {
  *out = NULL;
  struct db *db = calloc(1, sizeof *db);
  if (db == NULL) {
    snprintf(why, DB_WHY_MAX, "out of memory");
    return VERDICT_SYSTEM;
  }
  enum verdict verdict = open_file(db, o->record, why);
  if (verdict == VERDICT_MOUNTED) verdict = load_extension(db, o->extension, why);
  if (verdict == VERDICT_MOUNTED) verdict = login(db, o, why);
  if (verdict == VERDICT_MOUNTED) verdict = lay_out(db, o->layout, why);
  if (verdict == VERDICT_MOUNTED) *out = db;
  else db_close(db);
  return verdict;
}

void db_close(struct db *db) {
  if (db == NULL) return;
  for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(db->st[i]);
  layout_free(db->layout);
  /* without a session or an extension there is nothing to end, and the error is of no interest */
  if (db->sql != NULL) sqlite3_exec(db->sql, "SELECT dmp_logout()", NULL, NULL, NULL);
  sqlite3_close_v2(db->sql);
  free(db);
}

/* Resets the statement whatever happened, gives each row that it yields to the caller and counts them. */
static int list(struct db *db, enum statement which, int64_t patient, db_each each, void *arg, size_t *rows) {
  sqlite3_stmt *st = db->st[which];
  if (is_replaced(db)) return EIO;
  int err = 0, rc = sqlite3_bind_parameter_count(st) == 0 ? SQLITE_OK : sqlite3_bind_int64(st, 1, patient);
  while (err == 0 && rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    struct db_row row = { .id = sqlite3_column_int64(st, 0), .name = (const char *)sqlite3_column_text(st, 1) };
    row.bare = which == DEPOSITS || which == DEPOSIT;
    if (!row.bare) row.folder = sqlite3_column_int(st, 2);
    if (which == DOCUMENTS) {
      row.also = sqlite3_column_int(st, 6);
      row.page = (const char *)sqlite3_column_text(st, 7);
      row.notice = (const char *)sqlite3_column_text(st, 8);
      row.size = sqlite3_column_int64(st, 3);
      row.offset = sqlite3_column_int64(st, 4);
      row.modified = sqlite3_column_int64(st, 5);
    }
    err = row.name == NULL ? ENOMEM : each(arg, &row);
    ++*rows;
    rc = SQLITE_OK;
  }
  if (err == 0 && rc != SQLITE_DONE) err = request_error(db);
  if (err == 0) status_answered();
  sqlite3_reset(st);
  return err;
}

int db_patients(struct db *db, db_each each, void *arg) {
  size_t rows = 0;
  int err = list(db, PATIENTS, 0, each, arg, &rows);
  return err ? err : list(db, DEPOSITS, 0, each, arg, &rows);
}
int db_patient(struct db *db, int64_t patient, db_each each, void *arg) {
  size_t rows = 0;
  int err = list(db, PATIENT, patient, each, arg, &rows);
  return err || rows > 0 ? err : list(db, DEPOSIT, patient, each, arg, &rows);
}
int db_documents(struct db *db, int64_t patient, db_each each, void *arg) {
  size_t rows = 0;
  return list(db, DOCUMENTS, patient, each, arg, &rows);
}

int db_read(struct db *db, int64_t document, int64_t offset, size_t size, const void **bytes, size_t *n) {
  sqlite3_stmt *st = db->st[READ];
  *bytes = NULL;
  *n = 0;
  if (is_replaced(db)) return EIO;
  sqlite3_bind_int64(st, 1, document);
  sqlite3_bind_int64(st, 2, offset);
  sqlite3_bind_int64(st, 3, (int64_t)size);
  if (sqlite3_step(st) != SQLITE_ROW) return request_error(db);
  if (sqlite3_column_type(st, 0) == SQLITE_NULL) return ESTALE;
  const void *p = sqlite3_column_blob(st, 0);
  size_t got = (size_t)sqlite3_column_bytes(st, 0);
  if (got > 0 && p == NULL) return ENOMEM;
  *bytes = p;
  *n = got < size ? got : size;
  status_answered();
  return 0;
}
void db_read_end(struct db *db) { sqlite3_reset(db->st[READ]); }

int db_page(struct db *db, int page, int64_t patient, db_put put, void *arg) {
  if (is_replaced(db)) return EIO;
  int err = 0, rc = layout_put(db->layout, page, patient, put, arg, &err);
  return err != 0 ? err : rc != SQLITE_OK ? request_error(db) : 0;
}

int64_t db_version(struct db *db) {
  sqlite3_stmt *st = db->st[VERSION];
  int64_t version = !is_replaced(db) && sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
  sqlite3_reset(st);
  return version;
}

const char *db_reachable(const char *record) {
  static const struct { const char *suffix; int how; } USED[] = { { "", R_OK }, { "-shm", R_OK | W_OK }, { DMP_LOG_SUFFIX, R_OK | W_OK | X_OK } };
  static char path[PATH_MAX];
  char *real = realpath(record, NULL);
  if (real == NULL) return record;
  int closed = 0;
  for (size_t i = 0; i < sizeof USED / sizeof *USED && !closed; i++) {
    snprintf(path, sizeof path, "%s%s", real, USED[i].suffix);
    closed = access(path, USED[i].how) != 0 && errno != ENOENT;
  }
  free(real);
  return closed ? path : NULL;
}

const char *db_folder(const struct db *db, int folder) { return layout_name(db->layout, LAYOUT_FOLDERS, folder); }
const char *db_group(const struct db *db, int group) { return layout_name(db->layout, LAYOUT_GROUPS, group); }
const char *db_page_name(const struct db *db, int page) { return layout_name(db->layout, LAYOUT_PAGES, page); }
int64_t db_self(const struct db *db) { return db->self; }
const char *db_error(const struct db *db) { return db->error; }
