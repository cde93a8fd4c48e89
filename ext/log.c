/* log.c: see log.h. The blocks are the truth; the tables line and head are derived from them, and log_verify compares.
 * The host can write this file too: the schema must be exactly ours, and triggers and views do not run. */
#include "log.h"
#include "box.h"
#include "dmp.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-log-1";
enum { LABEL_LEN = sizeof LABEL - 1, LINE = 192, LINE_LOC = 16, LINE_PLAIN = 98, LINE_BOX = LINE - LINE_LOC, ROW = 26 };
enum { BLOCK_FIXED = 4 + 4 + 16 + 16 + 8 + 32 + 4 + 32 + 4 + SUITE_SIG };
enum { APPLICATION = 0x444D504C, BUSY_MS = 5000 };    /* "DMPL" */
_Static_assert(LINE_PLAIN + BOX_OVERHEAD_XCHACHA == LINE_BOX, "log line layout");
_Static_assert(BLOCK_FIXED == 184, "log block layout");
_Static_assert(APPLICATION == 1145917516, "the number in tables_make");
#define AT_MAX (1577836800000LL + (1LL << 42) - 1)    /* where ids end, in 2159 */

static const char *const TABLES[] = {
  "CREATE TABLE meta(record BLOB NOT NULL)",
  "CREATE TABLE block(id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
  "CREATE TABLE line(loc BLOB, block INTEGER, n INTEGER, PRIMARY KEY(loc, block, n)) WITHOUT ROWID",
  "CREATE TABLE head(tag BLOB PRIMARY KEY, block INTEGER NOT NULL) WITHOUT ROWID",
};
enum { TABLE_COUNT = sizeof TABLES / sizeof *TABLES };

/* Every statement, prepared once when the log is opened. */
#define STATEMENTS(X) \
  X(BEGIN_WRITE, "BEGIN IMMEDIATE") \
  X(BEGIN_READ,  "BEGIN") \
  X(COMMIT,      "COMMIT") \
  X(LAST,        "SELECT max(id) FROM block") \
  X(HEAD,        "SELECT block FROM head WHERE tag=?1") \
  X(BODY,        "SELECT body FROM block WHERE id=?1") \
  X(ADD_BLOCK,   "INSERT INTO block(id, body) VALUES(?1, ?2)") \
  X(ADD_LINE,    "INSERT INTO line(loc, block, n) VALUES(?1, ?2, ?3)") \
  X(SET_HEAD,    "INSERT OR REPLACE INTO head(tag, block) VALUES(?1, ?2)") \
  X(FIND,        "SELECT l.block, l.n, b.body FROM line l LEFT JOIN block b ON b.id=l.block WHERE l.loc=?1 " \
                 "ORDER BY l.block, l.n") \
  X(HAS_LINE,    "SELECT 1 FROM line WHERE loc=?1 AND block=?2 AND n=?3") \
  X(BLOCKS,      "SELECT id, body FROM block ORDER BY id") \
  X(FROM,        "SELECT body FROM block WHERE id>=?1 ORDER BY id") \
  X(LINE_TOTAL,  "SELECT count(*) FROM line") \
  X(LINES,       "SELECT l.loc, l.block, l.n, b.body FROM line l LEFT JOIN block b ON b.id=l.block") \
  X(HEADS,       "SELECT tag, block FROM head")
#define AS_ENUM(name, sql) Q_##name,
#define AS_SQL(name, sql) [Q_##name] = sql,
enum query { STATEMENTS(AS_ENUM) Q_COUNT };
static const char *const SQL[] = { STATEMENTS(AS_SQL) };

/* A block whose hash is known. */
struct known { int64_t id; uint64_t seq; uint8_t tag[16], hash[SUITE_HASH]; };

struct log {
  sqlite3 *db;                                        /* owned */
  sqlite3_stmt *q[Q_COUNT];                           /* owned */
  uint8_t record[16];
  struct known own, last;                             /* what this connection committed last; saves hashing it again */
  int64_t proven; uint8_t proven_tag[16];             /* the block whose signature was checked last, while reading */
  struct buf lines, work, scratch;                    /* owned: sealed lines; label and block; one opened line */
};

/* A block as read: pointers into its bytes. */
struct block {
  enum log_kind kind;
  const uint8_t *record, *tag, *prev, *rows, *before, *lines, *sig;
  uint64_t seq;
  uint32_t m, n;
};

static int sql_error(int rc) {
  switch (rc & 0xFF) {
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return DMP_E_LOG_FORMAT;
    case SQLITE_NOMEM: return DMP_E_NOMEM;
    default: return DMP_E_LOG_OPEN;
  }
}

/* ---- weeks ---- */

/* The ISO week of a day counted from 1970-01-01, a Thursday: a week belongs to the year that its Thursday lies in, so
 * the day is moved to its Thursday, and the Thursdays of that year are counted. Days are UTC and not before 1970. */
static int64_t thursday_of(int64_t day) { return day - (day + 3) % 7 + 3; }

static int64_t days_before_year(int64_t y) {          /* from 1970-01-01 to y-01-01, Gregorian */
  return 365 * (y - 1970) + (y - 1969) / 4 - (y - 1901) / 100 + (y - 1601) / 400;
}

static uint32_t week_of_thursday(int64_t thursday) {
  int64_t year = 1970 + thursday / 366;               /* never too late, at most a year or so too early */
  while (days_before_year(year + 1) <= thursday) year++;
  return (uint32_t)(year * 100 + (thursday - days_before_year(year)) / 7 + 1);
}

static int64_t day_of(int64_t ms) { return ms / 86400000; }

static void loc_of(const uint8_t prf[SUITE_PRF], int64_t thursday, uint8_t loc[LINE_LOC]) {
  uint8_t week[4];
  le_put32(week, week_of_thursday(thursday));
  suite_prf_with(prf, week, sizeof week, loc);
}

/* The two keys that a pairwise key gives. */
struct line_keys { uint8_t prf[SUITE_PRF], seal[SUITE_KEY]; };

static void line_keys(const uint8_t key[SUITE_KEY], struct line_keys *k) {
  uint8_t loc[SUITE_KEY];
  suite_kdf_text(key, "loc", loc);
  suite_prf_key(loc, k->prf);
  suite_kdf_text(key, "line", k->seal);
  bytes_wipe(loc, sizeof loc);
}

/* ---- lines and blocks ---- */

static struct box_ad line_about(const struct log *l, int64_t patient, const uint8_t *loc) {
  return (struct box_ad){ .record = l->record, .kind = BOX_LOG, .table = IN_LOG, .id = patient, .loc = loc };
}

static int line_seal(struct log *l, const struct log_line *line, struct buf *out) {
  struct line_keys k;
  uint8_t loc[LINE_LOC];
  int64_t patient = id_from_field(line->patient);
  if (line->at < 0 || line->at > AT_MAX || patient < 0) return DMP_E_LOG_WRITE;
  buf_reset(&l->scratch);
  buf_u64(&l->scratch, (uint64_t)line->at);
  buf_u8(&l->scratch, line->action);
  buf_u8(&l->scratch, line->mode);
  buf_u16(&l->scratch, line->count);
  buf_put(&l->scratch, line->person, 16);
  buf_put(&l->scratch, line->patient, 16);
  buf_put(&l->scratch, line->object, 16);
  buf_put(&l->scratch, line->login, 16);
  buf_put(&l->scratch, line->reason, sizeof line->reason);
  if (l->scratch.bad || l->scratch.n != LINE_PLAIN) return DMP_E_LOG_WRITE;
  line_keys(line->key, &k);
  loc_of(k.prf, thursday_of(day_of(line->at)), loc);
  buf_put(out, loc, sizeof loc);
  struct box_ad ad = line_about(l, patient, loc);
  int rc = box_seal(SUITE_XCHACHA, k.seal, &ad, l->scratch.p, l->scratch.n, PAD_NONE, NULL, out);
  bytes_wipe(&k, sizeof k);
  return rc;
}

static int line_open(struct log *l, const struct line_keys *k, const uint8_t key[SUITE_KEY], int64_t patient,
                     const uint8_t *p, struct log_line *line) {
  struct box_ad ad = line_about(l, patient, p);
  const uint8_t *plain;
  size_t n;
  int rc = box_open(k->seal, &ad, p + LINE_LOC, LINE_BOX, &l->scratch, &plain, &n);
  if (rc != 0 || n != LINE_PLAIN) return rc == DMP_E_NOMEM ? rc : DMP_E_LOG_FORMAT;
  struct rd r = { plain, n, 0 };
  memcpy(line->key, key, sizeof line->key);
  line->at = (int64_t)rd_u64(&r);
  line->action = rd_u8(&r);
  line->mode = rd_u8(&r);
  line->count = rd_u16(&r);
  memcpy(line->person, rd_bytes(&r, 16), 16);
  memcpy(line->patient, rd_bytes(&r, 16), 16);
  memcpy(line->object, rd_bytes(&r, 16), 16);
  memcpy(line->login, rd_bytes(&r, 16), 16);
  memcpy(line->reason, rd_bytes(&r, sizeof line->reason), sizeof line->reason);
  return rd_done(&r) && id_from_field(line->patient) == patient ? 0 : DMP_E_LOG_FORMAT;
}

static int kind_known(int kind) {
  return kind == LOG_ACCESS || kind == LOG_INTENT || kind == LOG_DONE || kind == LOG_UNDONE;
}

static int block_parse(const uint8_t *p, size_t len, struct block *b) {
  struct rd r = { p, len, 0 };
  const uint8_t *magic = rd_bytes(&r, 4);
  if (magic == NULL || memcmp(magic, "DLG", 3) != 0 || !kind_known(magic[3])) return DMP_E_LOG_FORMAT;
  if (rd_u32(&r) != len) return DMP_E_LOG_FORMAT;
  b->kind = (enum log_kind)magic[3];
  b->record = rd_bytes(&r, 16);
  b->tag = rd_bytes(&r, 16);
  b->seq = rd_u64(&r);
  b->prev = rd_bytes(&r, SUITE_HASH);
  b->m = rd_u32(&r);
  b->rows = rd_bytes(&r, (size_t)b->m * ROW);
  b->before = rd_bytes(&r, SUITE_HASH);
  b->n = rd_u32(&r);
  b->lines = rd_bytes(&r, (size_t)b->n * LINE);
  b->sig = rd_bytes(&r, SUITE_SIG);
  return rd_done(&r) ? 0 : DMP_E_LOG_FORMAT;
}

/* The label and the block into l->work: what is signed lies in one piece, and the block begins at LABEL_LEN. */
static int block_make(struct log *l, const struct log_writer *w, enum log_kind kind, const struct log_row *rows,
                      size_t m, size_t n, const struct known *own, const struct known *last) {
  uint8_t magic[4] = { 'D', 'L', 'G', (uint8_t)kind }, sig[SUITE_SIG];
  struct buf *b = &l->work;
  buf_reset(b);
  buf_put(b, LABEL, LABEL_LEN);
  buf_put(b, magic, sizeof magic);
  buf_u32(b, (uint32_t)(BLOCK_FIXED + m * ROW + n * LINE));
  buf_put(b, l->record, sizeof l->record);
  buf_put(b, w->tag, sizeof w->tag);
  buf_u64(b, own->id == 0 ? 0 : own->seq + 1);
  buf_put(b, own->hash, SUITE_HASH);
  buf_u32(b, (uint32_t)m);
  for (size_t i = 0; i < m; i++) {
    buf_u16(b, rows[i].table);
    buf_u64(b, (uint64_t)rows[i].id);
    buf_put(b, rows[i].hash, 16);
  }
  buf_put(b, last->hash, SUITE_HASH);
  buf_u32(b, (uint32_t)n);
  if (n > 0) buf_put(b, l->lines.p, l->lines.n);
  if (b->bad) return DMP_E_NOMEM;
  suite_sign(w->sign_sk, b->p, b->n, sig);
  buf_put(b, sig, sizeof sig);
  return b->bad ? DMP_E_NOMEM : 0;
}

/* ---- opening ---- */

static char *log_path(const char *record_path, const char *file) {
  size_t n = strlen(record_path) + sizeof DMP_LOG_SUFFIX + 1 + strlen(file);
  char *path = malloc(n);
  if (path != NULL) sqlite3_snprintf((int)n, path, "%s%s%s%s", record_path, DMP_LOG_SUFFIX, *file ? "/" : "", file);
  return path;
}

static int pragma_is(sqlite3 *db, const char *sql, const char *expected) {
  sqlite3_stmt *st = NULL;
  int same = 0;
  if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
    const char *got = (const char *)sqlite3_column_text(st, 0);
    same = got != NULL && strcmp(got, expected) == 0;
  }
  sqlite3_finalize(st);
  return same;
}

static int settings(sqlite3 *db) {
  sqlite3_busy_timeout(db, BUSY_MS);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)0);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, (int *)0);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)0);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)0);
  const char *sql = "PRAGMA temp_store=MEMORY; PRAGMA synchronous=NORMAL; PRAGMA cell_size_check=ON; PRAGMA wal_autocheckpoint=4000";
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? 0 : sql_error(rc);
}

/* One number out of one statement with at most one text or blob bound. */
static int ask(sqlite3 *db, const char *sql, const void *bound, int n, int text, int64_t *out) {
  sqlite3_stmt *st = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
  if (rc != SQLITE_OK) goto out;
  if (bound != NULL && text) sqlite3_bind_text(st, 1, bound, n, SQLITE_STATIC);
  else if (bound != NULL) sqlite3_bind_blob(st, 1, bound, n, SQLITE_STATIC);
  rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) { *out = sqlite3_column_int64(st, 0); rc = SQLITE_OK; }
  else if (rc == SQLITE_DONE) { *out = 0; rc = SQLITE_OK; }
out:
  sqlite3_finalize(st);
  return rc == SQLITE_OK ? 0 : sql_error(rc);
}

/* Makes the tables of a new file. A log without a block, left by a creation that was undone, is taken over. */
static int tables_make(sqlite3 *db, const uint8_t record[16]) {
  int64_t found = 0;
  int rc = ask(db, "SELECT count(*) FROM sqlite_schema", NULL, 0, 0, &found);
  if (rc == 0 && found == 0) {
    for (size_t i = 0; i < TABLE_COUNT && rc == 0; i++) rc = sqlite3_exec(db, TABLES[i], NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db, "PRAGMA application_id=1145917516", NULL, NULL, NULL);
    if (rc != SQLITE_OK) return sql_error(rc);
  }
  if (rc == 0) rc = ask(db, "SELECT count(*) FROM block", NULL, 0, 0, &found);
  if (rc != 0 || found > 0) return rc;
  rc = sqlite3_exec(db, "DELETE FROM meta", NULL, NULL, NULL);
  if (rc != SQLITE_OK) return sql_error(rc);
  return ask(db, "INSERT INTO meta(record) VALUES(?1)", record, 16, 0, &found);
}

/* The schema is ours to the letter, and the log is this record's. */
static int tables_check(sqlite3 *db, const uint8_t record[16]) {
  int64_t got = 0;
  int rc = ask(db, "SELECT count(*) FROM sqlite_schema", NULL, 0, 0, &got);
  if (rc == 0 && got != TABLE_COUNT) return DMP_E_LOG_FORMAT;
  for (size_t i = 0; i < TABLE_COUNT && rc == 0; i++) {
    rc = ask(db, "SELECT count(*) FROM sqlite_schema WHERE sql=?1", TABLES[i], -1, 1, &got);
    if (rc == 0 && got != 1) return DMP_E_LOG_FORMAT;
  }
  if (rc == 0) rc = ask(db, "PRAGMA application_id", NULL, 0, 0, &got);
  if (rc == 0 && got != APPLICATION) return DMP_E_LOG_FORMAT;
  if (rc == 0) rc = ask(db, "SELECT count(*)=1 AND min(record)=?1 FROM meta", record, 16, 0, &got);
  return rc == 0 && got != 1 ? DMP_E_LOG_FORMAT : rc;
}

/* Readable, writable, ours. The write lock taken and given back proves that the folder lets us write. */
static int file_prepare(sqlite3 *db, const uint8_t record[16], int create) {
  int rc = settings(db);
  if (rc != 0) return rc;
  rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (rc != SQLITE_OK) return sql_error(rc);
  rc = create ? tables_make(db, record) : 0;
  if (rc == 0) rc = tables_check(db, record);
  if (rc == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) rc = DMP_E_LOG_OPEN;
  if (rc != 0) { sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); return rc; }
  return pragma_is(db, "PRAGMA journal_mode=WAL", "wal") ? 0 : DMP_E_LOG_OPEN;
}

int log_open(const char *record_path, const char *vfs, const uint8_t record[16], int create, struct log **out) {
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  struct log *l = calloc(1, sizeof *l);
  char *folder = log_path(record_path, ""), *path = log_path(record_path, DMP_LOG_FILE);
  int rc = l == NULL || folder == NULL || path == NULL ? DMP_E_NOMEM : 0;
  *out = NULL;
  if (create) flags |= SQLITE_OPEN_CREATE;
  if (rc == 0 && create && mkdir(folder, 0700) != 0 && errno != EEXIST) rc = DMP_E_LOG_OPEN;
  if (rc == 0) {
    int sql = sqlite3_open_v2(path, &l->db, flags, vfs);
    if (sql != SQLITE_OK) rc = sql_error(sql);
    else if (sqlite3_db_readonly(l->db, "main") != 0) rc = DMP_E_LOG_OPEN;
  }
  if (rc == 0) rc = file_prepare(l->db, record, create);
  for (int i = 0; i < Q_COUNT && rc == 0; i++) {
    int sql = sqlite3_prepare_v3(l->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &l->q[i], NULL);
    if (sql != SQLITE_OK) rc = sql_error(sql);
  }
  free(folder);
  free(path);
  if (rc != 0) { log_close(l); return rc; }
  memcpy(l->record, record, sizeof l->record);
  *out = l;
  return 0;
}

void log_close(struct log *l) {
  if (l == NULL) return;
  for (int i = 0; i < Q_COUNT; i++) sqlite3_finalize(l->q[i]);
  sqlite3_close(l->db);
  buf_free(&l->lines);
  buf_free(&l->work);
  buf_free(&l->scratch);
  free(l);
}

/* ---- appending ---- */

/* Runs a statement that gives no row. */
static int run(sqlite3_stmt *st) {
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : DMP_E_LOG_WRITE;
}

/* The one integer of a statement; *found = 0 when there is no row or it is NULL. */
static int get_int(sqlite3_stmt *st, int64_t *out, int *found) {
  int rc = sqlite3_step(st);
  *found = rc == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL;
  *out = *found ? sqlite3_column_int64(st, 0) : 0;
  sqlite3_reset(st);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : DMP_E_LOG_WRITE;
}

/* Reads a stored block and hashes it. */
static int block_know(struct log *l, int64_t id, struct known *k) {
  sqlite3_stmt *st = l->q[Q_BODY];
  struct block b;
  int rc = DMP_E_LOG_WRITE;
  sqlite3_bind_int64(st, 1, id);
  if (sqlite3_step(st) == SQLITE_ROW) {
    const uint8_t *p = sqlite3_column_blob(st, 0);
    size_t n = (size_t)sqlite3_column_bytes(st, 0);
    if (p != NULL && block_parse(p, n, &b) == 0 && memcmp(b.record, l->record, 16) == 0) {
      k->id = id;
      k->seq = b.seq;
      memcpy(k->tag, b.tag, sizeof k->tag);
      suite_hash(p, n, k->hash, sizeof k->hash);
      rc = 0;
    }
  }
  sqlite3_reset(st);
  return rc;
}

/* This writer's last block and the file's last block; id 0 and a zero hash where there is none. */
static int chain_find(struct log *l, const uint8_t tag[16], struct known *own, struct known *last) {
  int64_t id = 0;
  int found = 0;
  memset(own, 0, sizeof *own);
  memset(last, 0, sizeof *last);
  int rc = get_int(l->q[Q_LAST], &id, &found);
  if (rc != 0) return rc;
  if (found && id == l->last.id) *last = l->last;
  else if (found && (rc = block_know(l, id, last)) != 0) return rc;
  if (last->id < 0 || last->id == INT64_MAX) return DMP_E_LOG_WRITE;
  sqlite3_bind_blob(l->q[Q_HEAD], 1, tag, 16, SQLITE_STATIC);
  rc = get_int(l->q[Q_HEAD], &id, &found);
  if (rc != 0 || !found) return rc;
  if (id == l->own.id && memcmp(tag, l->own.tag, 16) == 0) *own = l->own;
  else if ((rc = block_know(l, id, own)) != 0) return rc;
  /* A head that names another writer's block, or one past the end, was put there by someone else. */
  return memcmp(own->tag, tag, 16) == 0 && own->id <= last->id ? 0 : DMP_E_LOG_WRITE;
}

/* The block in l->work, its index rows and the writer's head. */
static int block_insert(struct log *l, const uint8_t tag[16], int64_t id, size_t n) {
  sqlite3_bind_int64(l->q[Q_ADD_BLOCK], 1, id);
  sqlite3_bind_blob64(l->q[Q_ADD_BLOCK], 2, l->work.p + LABEL_LEN, l->work.n - LABEL_LEN, SQLITE_STATIC);
  int rc = run(l->q[Q_ADD_BLOCK]);
  for (size_t i = 0; i < n && rc == 0; i++) {
    sqlite3_bind_blob(l->q[Q_ADD_LINE], 1, l->lines.p + i * LINE, LINE_LOC, SQLITE_STATIC);
    sqlite3_bind_int64(l->q[Q_ADD_LINE], 2, id);
    sqlite3_bind_int64(l->q[Q_ADD_LINE], 3, (int64_t)i);
    rc = run(l->q[Q_ADD_LINE]);
  }
  if (rc != 0) return rc;
  sqlite3_bind_blob(l->q[Q_SET_HEAD], 1, tag, 16, SQLITE_STATIC);
  sqlite3_bind_int64(l->q[Q_SET_HEAD], 2, id);
  return run(l->q[Q_SET_HEAD]);
}

int log_append(struct log *l, const struct log_writer *w, enum log_kind kind, const struct log_row *rows, size_t m,
               const struct log_line *lines, size_t n) {
  struct known own, last, made = {0};
  int rc = !kind_known(kind) ? DMP_E_LOG_WRITE : 0;
  if (m > LOG_ROWS_MAX || n > LOG_LINES_MAX) return DMP_E_TRANSACTION;
  buf_reset(&l->lines);
  for (size_t i = 0; i < n && rc == 0; i++) rc = line_seal(l, &lines[i], &l->lines);   /* before the lock is taken */
  if (rc != 0 || l->lines.bad || l->lines.n != n * LINE) return DMP_E_LOG_WRITE;
  if (run(l->q[Q_BEGIN_WRITE]) != 0) return DMP_E_LOG_WRITE;
  rc = chain_find(l, w->tag, &own, &last);
  if (rc == 0) rc = block_make(l, w, kind, rows, m, n, &own, &last);
  if (rc == 0) {
    made.id = last.id + 1;
    made.seq = own.id == 0 ? 0 : own.seq + 1;
    memcpy(made.tag, w->tag, sizeof made.tag);
    suite_hash(l->work.p + LABEL_LEN, l->work.n - LABEL_LEN, made.hash, sizeof made.hash);
    rc = block_insert(l, w->tag, made.id, n);
  }
  if (rc == 0) rc = run(l->q[Q_COMMIT]);
  if (rc != 0) { sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL); return DMP_E_LOG_WRITE; }
  l->own = l->last = made;
  return 0;
}

/* ---- reading ---- */

/* Every line of one week. *stop is what each() said. */
/* Is the block by this author? Signed once per block: its lines come one after the other. */
static int block_by(struct log *l, struct log_author *by, int64_t id, const uint8_t *p, size_t n, const struct block *b) {
  if (memcmp(b->tag, by->tag, 16) != 0) return 0;
  if (l->proven == id && memcmp(l->proven_tag, by->tag, 16) == 0) return 1;
  buf_reset(&l->work);
  buf_put(&l->work, LABEL, LABEL_LEN);
  buf_put(&l->work, p, n - SUITE_SIG);
  if (l->work.bad || suite_verify(by->pk, l->work.p, l->work.n, b->sig) != 0) return 0;
  l->proven = id;
  memcpy(l->proven_tag, by->tag, 16);
  return 1;
}

static int week_read(struct log *l, const struct line_keys *k, const uint8_t key[SUITE_KEY], struct log_author *by, int64_t patient,
                     int64_t thursday, int (*each)(void *, const struct log_line *, int64_t), void *ctx, int *stop) {
  sqlite3_stmt *st = l->q[Q_FIND];
  uint8_t loc[LINE_LOC];
  struct log_line line;
  int rc = 0, sql = SQLITE_DONE;
  loc_of(k->prf, thursday, loc);
  sqlite3_bind_blob(st, 1, loc, sizeof loc, SQLITE_TRANSIENT);
  while (rc == 0 && !*stop && (sql = sqlite3_step(st)) == SQLITE_ROW) {
    struct block b;
    int64_t id = sqlite3_column_int64(st, 0), n = sqlite3_column_int64(st, 1);
    const uint8_t *p = sqlite3_column_blob(st, 2);
    rc = p == NULL ? DMP_E_LOG_FORMAT : block_parse(p, (size_t)sqlite3_column_bytes(st, 2), &b);
    if (rc == 0 && (n < 0 || n >= b.n || memcmp(b.lines + n * LINE, loc, LINE_LOC) != 0)) rc = DMP_E_LOG_FORMAT;
    int own = rc == 0 && block_by(l, by, id, p, (size_t)sqlite3_column_bytes(st, 2), &b);
    if (rc == 0 && !own) by->foreign++;
    if (own) rc = line_open(l, k, key, patient, b.lines + n * LINE, &line);
    if (own && rc == 0) *stop = each(ctx, &line, id);
  }
  sqlite3_reset(st);
  bytes_wipe(&line, sizeof line);
  return rc == 0 && sql != SQLITE_ROW && sql != SQLITE_DONE ? sql_error(sql) : rc;
}

int log_read(struct log *l, const uint8_t key[32], struct log_author *by, int64_t patient, int64_t from_ms, int64_t to_ms,
             int (*each)(void *ctx, const struct log_line *line, int64_t block), void *ctx) {
  struct line_keys k;
  int rc = 0, stop = 0;
  if (from_ms < 0) from_ms = 0;
  if (to_ms > AT_MAX) to_ms = AT_MAX;
  if (from_ms > to_ms) return 0;
  l->proven = 0;                                      /* the file may have changed since the last call */
  line_keys(key, &k);
  int64_t end = thursday_of(day_of(to_ms));
  for (int64_t t = thursday_of(day_of(from_ms)); t <= end && rc == 0 && !stop; t += 7)
    rc = week_read(l, &k, key, by, patient, t, each, ctx, &stop);
  bytes_wipe(&k, sizeof k);
  buf_reset(&l->scratch);
  return rc;
}

/* ---- verifying ---- */

static const char MISSING[] = "one or more blocks are missing here";
static const char CUT[] = "the block is cut or malformed";
static const char OTHER[] = "the block belongs to another record";
static const char ALTERED[] = "the block was altered: its writer's signature does not verify";
static const char ORDER[] =
  "the block does not follow the one before it: one of them was altered or moved, or a block was removed";
static const char SEQUENCE[] = "the block is out of its writer's order: one was removed, doubled or moved";
static const char UNINDEXED[] = "a line of the block is missing from the index";
static const char EXTRA[] = "the index has a line that this block does not have";
static const char HEAD_BAD[] = "the head of a writer is missing, or names a block that is not the writer's last";
static const char DAMAGED[] = "the log's file is damaged after this block";

struct writer {
  uint8_t tag[16], hash[SUITE_HASH];
  uint64_t seq;
  int64_t block;
  unsigned faults;                                    /* how many faults there were when its last block was met */
  size_t intent;                                      /* 1 + index of the carrier that waits for an outcome; 0: none */
  int head_met;
};
struct carrier { int64_t block; enum log_kind outcome; };  /* a sound block with rows */

struct walk {
  struct log *l;
  const struct log_check *check;
  struct writer *writers;                             /* owned, ascending by tag */
  struct carrier *carriers;                           /* owned, ascending by block */
  int64_t *unsound;                                   /* owned, ascending: blocks whose content can't be believed */
  size_t writer_count, writer_room, carrier_count, carrier_room, unsound_count, unsound_room;
  int64_t next, lines_met;
  uint8_t before[SUITE_HASH];
  int before_sound;                                   /* the block before was believed, and none is missing since */
  unsigned faults;
  int rc;
};

static void say(struct walk *w, int64_t block, const char *what) { w->check->fault(w->check->ctx, block, what); }

/* A fault of the chain. Afterwards no writer's order can be judged until its next block: one fault, one sentence. */
static void broken(struct walk *w, int64_t block, const char *what) { w->faults++; say(w, block, what); }

/* Room for one more element of an array. */
static int room(struct walk *w, void *array, size_t size, size_t count, size_t *have) {
  void **a = array;
  if (count < *have) return 1;
  size_t want = *have == 0 ? 64 : *have * 2;
  void *p = reallocarray(*a, want, size);
  if (p == NULL) { w->rc = DMP_E_NOMEM; return 0; }
  *a = p;
  *have = want;
  return 1;
}

/* Where the writer is, or would be inserted. */
static size_t writer_at(const struct walk *w, const uint8_t *tag) {
  size_t lo = 0, hi = w->writer_count;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (memcmp(w->writers[mid].tag, tag, 16) < 0) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

static struct writer *writer_find(const struct walk *w, const uint8_t *tag) {
  size_t at = writer_at(w, tag);
  return at < w->writer_count && memcmp(w->writers[at].tag, tag, 16) == 0 ? &w->writers[at] : NULL;
}

static struct writer *writer_add(struct walk *w, const uint8_t *tag) {
  size_t at = writer_at(w, tag);
  if (!room(w, &w->writers, sizeof *w->writers, w->writer_count, &w->writer_room)) return NULL;
  memmove(&w->writers[at + 1], &w->writers[at], (w->writer_count - at) * sizeof *w->writers);
  w->writer_count++;
  w->writers[at] = (struct writer){ .faults = w->faults };
  memcpy(w->writers[at].tag, tag, 16);
  return &w->writers[at];
}

static int is_unsound(const struct walk *w, int64_t block) {
  size_t lo = 0, hi = w->unsound_count;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (w->unsound[mid] < block) lo = mid + 1;
    else hi = mid;
  }
  return lo < w->unsound_count && w->unsound[lo] == block;
}

/* What is wrong with the block itself, or NULL. */
static const char *block_fault(struct walk *w, const uint8_t *p, size_t n, struct block *b) {
  if (p == NULL || block_parse(p, n, b) != 0) return CUT;
  if (memcmp(b->record, w->l->record, 16) != 0) return OTHER;
  const uint8_t *key = w->check->key_of(w->check->ctx, b->tag);
  if (key == NULL) return NULL;
  struct buf *work = &w->l->work;
  buf_reset(work);
  buf_put(work, LABEL, LABEL_LEN);
  buf_put(work, p, n - SUITE_SIG);
  if (work->bad) { w->rc = DMP_E_NOMEM; return NULL; }
  return suite_verify(key, work->p, work->n, b->sig) == 0 ? NULL : ALTERED;
}

/* Keeps the rows of a block for the end, and settles what the writer's earlier intent became. */
static void rows_keep(struct walk *w, struct writer *wr, const struct block *b, int64_t id) {
  int outcome = b->kind == LOG_DONE || b->kind == LOG_UNDONE;
  if (outcome && wr->intent > 0) w->carriers[wr->intent - 1].outcome = b->kind;
  if (b->kind != LOG_ACCESS) wr->intent = 0;
  if (b->m == 0 || !room(w, &w->carriers, sizeof *w->carriers, w->carrier_count, &w->carrier_room)) return;
  enum log_kind own = b->kind == LOG_ACCESS ? LOG_DONE : b->kind;
  w->carriers[w->carrier_count++] = (struct carrier){ id, own };
  if (b->kind == LOG_INTENT) wr->intent = w->carrier_count;
}

/* The writer's own chain: judged only where no fault since its last block explains a break. */
static void writer_step(struct walk *w, const struct block *b, int64_t id, const uint8_t hash[SUITE_HASH]) {
  struct writer *wr = writer_find(w, b->tag);
  int first = wr == NULL, in_order;
  if (first && (wr = writer_add(w, b->tag)) == NULL) return;
  if (first) in_order = w->faults > 0 || (b->seq == 0 && suite_is_zero(b->prev, SUITE_HASH));
  else in_order = wr->faults != w->faults || (b->seq == wr->seq + 1 && memcmp(b->prev, wr->hash, SUITE_HASH) == 0);
  if (!in_order) broken(w, id, SEQUENCE);
  wr->seq = b->seq;
  wr->block = id;
  wr->faults = w->faults;
  memcpy(wr->hash, hash, SUITE_HASH);
  rows_keep(w, wr, b, id);
}

static void index_step(struct walk *w, const struct block *b, int64_t id) {
  sqlite3_stmt *st = w->l->q[Q_HAS_LINE];
  int missing = 0;
  for (uint32_t i = 0; i < b->n && w->rc == 0; i++) {
    sqlite3_bind_blob(st, 1, b->lines + (size_t)i * LINE, LINE_LOC, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, id);
    sqlite3_bind_int64(st, 3, i);
    int sql = sqlite3_step(st);
    sqlite3_reset(st);
    if (sql == SQLITE_ROW) w->lines_met++;
    else if (sql == SQLITE_DONE) missing = 1;
    else w->rc = sql_error(sql);
  }
  if (missing) say(w, id, UNINDEXED);
}

static void block_step(struct walk *w, int64_t id, const uint8_t *p, size_t n) {
  struct block b;
  uint8_t hash[SUITE_HASH];
  if (id != w->next) {
    broken(w, w->next, MISSING);
    w->before_sound = 0;
  }
  suite_hash(p, n, hash, sizeof hash);
  const char *what = block_fault(w, p, n, &b);
  if (what != NULL) {
    broken(w, id, what);
    if (!room(w, &w->unsound, sizeof *w->unsound, w->unsound_count, &w->unsound_room)) return;
    w->unsound[w->unsound_count++] = id;
  } else {
    if (w->before_sound && memcmp(b.before, w->before, SUITE_HASH) != 0) broken(w, id, ORDER);
    writer_step(w, &b, id, hash);
    index_step(w, &b, id);
  }
  w->before_sound = what == NULL;
  memcpy(w->before, hash, sizeof hash);
  w->next = id + 1;
}

static void walk_blocks(struct walk *w) {
  sqlite3_stmt *st = w->l->q[Q_BLOCKS];
  int sql = SQLITE_DONE;
  w->next = 1;
  w->before_sound = 1;
  while (w->rc == 0 && (sql = sqlite3_step(st)) == SQLITE_ROW) {
    const uint8_t *p = sqlite3_column_blob(st, 1);
    block_step(w, sqlite3_column_int64(st, 0), p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(st, 1));
  }
  sqlite3_reset(st);
  if (w->rc == 0 && sql != SQLITE_DONE) w->rc = sql_error(sql);
}

/* Index rows that no block explains: looked for one by one only when the count says that there are some. */
static void walk_index(struct walk *w) {
  int64_t total = 0;
  int found, sql = SQLITE_DONE;
  if (w->rc != 0) return;
  if (get_int(w->l->q[Q_LINE_TOTAL], &total, &found) != 0) { w->rc = DMP_E_LOG_FORMAT; return; }
  if (total == w->lines_met) return;
  sqlite3_stmt *st = w->l->q[Q_LINES];
  while ((sql = sqlite3_step(st)) == SQLITE_ROW) {
    struct block b;
    const uint8_t *loc = sqlite3_column_blob(st, 0), *p = sqlite3_column_blob(st, 3);
    int64_t id = sqlite3_column_int64(st, 1), n = sqlite3_column_int64(st, 2);
    if (is_unsound(w, id)) continue;
    int explained = p != NULL && block_parse(p, (size_t)sqlite3_column_bytes(st, 3), &b) == 0 && n >= 0 && n < b.n &&
                    loc != NULL && sqlite3_column_bytes(st, 0) == LINE_LOC &&
                    memcmp(loc, b.lines + n * LINE, LINE_LOC) == 0;
    if (!explained) say(w, id, EXTRA);
  }
  sqlite3_reset(st);
  if (sql != SQLITE_DONE) w->rc = sql_error(sql);
}

static void walk_heads(struct walk *w) {
  sqlite3_stmt *st = w->l->q[Q_HEADS];
  int sql = SQLITE_DONE;
  while (w->rc == 0 && (sql = sqlite3_step(st)) == SQLITE_ROW) {
    const uint8_t *tag = sqlite3_column_blob(st, 0);
    int64_t block = sqlite3_column_int64(st, 1);
    struct writer *wr = tag != NULL && sqlite3_column_bytes(st, 0) == 16 ? writer_find(w, tag) : NULL;
    if (wr != NULL) wr->head_met = 1;
    if (!is_unsound(w, block) && (wr == NULL || wr->block != block)) say(w, block, HEAD_BAD);
  }
  sqlite3_reset(st);
  if (w->rc == 0 && sql != SQLITE_DONE) w->rc = sql_error(sql);
  for (size_t i = 0; i < w->writer_count && w->rc == 0; i++)
    if (!w->writers[i].head_met) say(w, w->writers[i].block, HEAD_BAD);
}

static void walk_rows(struct walk *w) {
  sqlite3_stmt *st = w->l->q[Q_BODY];
  for (size_t i = 0; i < w->carrier_count && w->rc == 0; i++) {
    struct block b;
    sqlite3_bind_int64(st, 1, w->carriers[i].block);
    int sql = sqlite3_step(st);
    const uint8_t *p = sql == SQLITE_ROW ? sqlite3_column_blob(st, 0) : NULL;
    if (p == NULL || block_parse(p, (size_t)sqlite3_column_bytes(st, 0), &b) != 0) w->rc = DMP_E_LOG_FORMAT;
    else {
      struct rd r = { b.rows, (size_t)b.m * ROW, 0 };
      for (uint32_t k = 0; k < b.m; k++) {
        struct log_row row = { .table = rd_u16(&r), .id = (int64_t)rd_u64(&r) };
        memcpy(row.hash, rd_bytes(&r, sizeof row.hash), sizeof row.hash);
        w->check->row(w->check->ctx, &row, w->carriers[i].outcome, w->check->key_of(w->check->ctx, b.tag) ? b.tag : NULL);
      }
    }
    sqlite3_reset(st);
  }
}

int log_outcome(struct log *l, int64_t block, enum log_kind *outcome) {
  uint8_t tag[16];
  int rc = 0, first = 1, sql = SQLITE_DONE;
  sqlite3_stmt *st = l->q[Q_FROM];
  sqlite3_bind_int64(st, 1, block);
  *outcome = LOG_INTENT;
  while (rc == 0 && (sql = sqlite3_step(st)) == SQLITE_ROW) {
    struct block b;
    const uint8_t *p = sqlite3_column_blob(st, 0);
    if (p == NULL || block_parse(p, (size_t)sqlite3_column_bytes(st, 0), &b) != 0) rc = DMP_E_LOG_FORMAT;
    else if (first) {
      memcpy(tag, b.tag, 16);
      *outcome = b.kind == LOG_ACCESS ? LOG_DONE : b.kind;
      if (b.kind != LOG_INTENT) break;
    } else if (memcmp(b.tag, tag, 16) == 0 && b.kind != LOG_ACCESS) {
      if (b.kind != LOG_INTENT) *outcome = b.kind;
      break;
    }
    first = 0;
  }
  sqlite3_reset(st);
  return rc == 0 && sql != SQLITE_ROW && sql != SQLITE_DONE ? sql_error(sql) : rc;
}

int log_verify(struct log *l, const struct log_check *c) {
  struct walk w = { .l = l, .check = c };
  if (run(l->q[Q_BEGIN_READ]) != 0) return DMP_E_LOG_OPEN;   /* one snapshot for blocks, index and heads */
  walk_blocks(&w);
  walk_index(&w);
  walk_heads(&w);
  walk_rows(&w);
  run(l->q[Q_COMMIT]);
  if (w.rc == DMP_E_LOG_FORMAT) say(&w, w.next - 1, DAMAGED);
  free(w.writers);
  free(w.carriers);
  free(w.unsound);
  return w.rc;
}

/* Each action: its word in the table access_log (motive.c has what a person reads). */
static const char *const ACTIONS[] = {
  [LOG_LOGIN] = "login", [LOG_LIST] = "list", [LOG_READ] = "read", [LOG_REFUSED] = "refused", [LOG_DEPOSIT] = "deposit",
  [LOG_DELETE] = "delete", [LOG_MASK] = "mask", [LOG_UNMASK] = "unmask", [LOG_CONSENT] = "consent", [LOG_WITHDRAW] = "withdraw",
  [LOG_TREATING] = "treating", [LOG_CREATE] = "create", [LOG_REGISTER] = "register", [LOG_ADOPT] = "adopt", [LOG_ROTATE] = "rotate",
  [LOG_IDENTITY] = "identity", [LOG_ANNOUNCE] = "announce", [LOG_REVEAL] = "reveal", [LOG_BLOCK] = "block", [LOG_UNBLOCK] = "unblock",
  [LOG_REISSUE] = "reissue", [LOG_RENEW] = "renew", [LOG_JOIN] = "join", [LOG_LEAVE] = "leave", [LOG_TEAM_KEY] = "team_key",
  [LOG_HOSTING] = "hosting", [LOG_EXPORT] = "export", [LOG_VIEW] = "view", [LOG_VIEW_END] = "view end",
};

const char *log_action_text(unsigned action) {
  return action < sizeof ACTIONS / sizeof *ACTIONS && ACTIONS[action] ? ACTIONS[action] : "unknown";
}

const char *log_mode_text(unsigned mode) { return mode == LOG_NORMAL ? "normal" : mode == LOG_SHOWN ? "view" : "unknown"; }
