/* fuzz_protect.c: libFuzzer target: a protected table whose description, reader's row or sealed row holds arbitrary bytes: as the host
 * writes them, and as a colleague can who has keys and signs and seals them properly. Whatever is asked then is answered or refused.
 * Aborts when what was not signed is signed again, when something else than what was signed is, or when a box that was not sealed opens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sqlite3.h>

#include "box.h"
#include "credential.h"
#include "dmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int sqlite3_dmp_init(sqlite3 *db, char **err, const sqlite3_api_routines *api);

enum { MOST = 4096, KEYS = BOX_OVERHEAD_SEALED + 64 /* the box in a reader's row; a note follows */, TAIL = 32 + 32 + SUITE_SIG /* watched, signer, signature */ };
static const char LABEL[] = "dmp-protect-1", PIN[] = "code-des-tests-1";
static char folder[] = "/tmp/dmp-fuzz-XXXXXX", path[64], key_file[64];
static sqlite3 *host, *db;                            /* without the extension; logged in */
static struct credential cred;
static uint8_t record[16], table_key[32], reader_loc[16], row_key[32], row_loc[16];
static int64_t table_id, reader_id;
static struct buf own, reader, row;                   /* description, reader's box and row's box as they were made */

static void must(int holds) {
  if (!holds) abort();
}

static void clean(void) {
  sqlite3_close(db);
  sqlite3_close(host);
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  must(system(command) == 0);
}

/* Runs it to its end, whatever comes. */
static int run(sqlite3 *on, const char *sql) { return sqlite3_exec(on, sql, NULL, NULL, NULL); }

static void must_run(sqlite3 *on, const char *sql) {
  if (run(on, sql) == SQLITE_OK) return;
  fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(on));
  abort();
}

/* One row of the file: its id, its bytes, and 16 more. */
static int64_t take(const char *sql, struct buf *out, uint8_t more[16]) {
  sqlite3_stmt *st = NULL;
  must(sqlite3_prepare_v2(host, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW);
  int64_t id = sqlite3_column_int64(st, 0);
  buf_reset(out);
  buf_put(out, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
  if (more) memcpy(more, sqlite3_column_blob(st, 2), 16);
  must(!out->bad);
  sqlite3_finalize(st);
  return id;
}

static void put(const char *sql, const void *p, size_t n) {
  sqlite3_stmt *st = NULL;
  must(sqlite3_prepare_v2(host, sql, -1, &st, NULL) == SQLITE_OK);
  sqlite3_bind_blob64(st, 1, n ? p : "", n, SQLITE_STATIC);
  must(sqlite3_step(st) == SQLITE_DONE);
  sqlite3_finalize(st);
}

static struct box_ad reader_ad(void) {
  return (struct box_ad){ .record = record, .kind = BOX_READER, .table = IN_READER, .id = reader_id, .loc = reader_loc };
}

static struct box_ad row_ad(void) { return (struct box_ad){ .record = record, .kind = BOX_PROTECTED, .table = IN_PRACTICE, .id = 1, .loc = row_loc }; }

/* The keys that lead to the row, as a reader finds them. */
static void find_keys(void) {
  struct buf scratch = { 0 };
  const uint8_t *b;
  size_t n;
  uint8_t x[16] = { 0 };
  struct kdf_cost cost;
  must(credential_open(key_file, PIN, sizeof PIN - 1, &cred, &cost) == DMP_OK);
  struct box_ad ad = reader_ad();
  must(reader.n > KEYS && box_open_from(cred.box_sk, cred.box_pk, NULL, &ad, reader.p, KEYS, &scratch, &b, &n) == DMP_OK && n == 64);
  memcpy(table_key, b, 32);
  le_put64(x, (uint64_t)table_id);
  suite_kdf(table_key, x, sizeof x, row_key);
  suite_prf(row_key, "row", 3, row_loc);
  ad = row_ad();
  must(box_open(row_key, &ad, row.p, row.n, &scratch, &b, &n) == DMP_OK);
  buf_free(&scratch);
}

static void open_db(sqlite3 **out) {
  must(sqlite3_open(path, out) == SQLITE_OK);
  must_run(*out, "PRAGMA temp_store=MEMORY; PRAGMA synchronous=OFF");
}

static void start(void) {
  char sql[256];
  struct buf body = { 0 };
  must(suite_start() == 0 && mkdtemp(folder) != NULL);
  atexit(clean);
  snprintf(path, sizeof path, "%s/record.db", folder);
  snprintf(key_file, sizeof key_file, "%s/a.dmpkey", folder);
  open_db(&host);
  must(sqlite3_auto_extension((void (*)(void))sqlite3_dmp_init) == SQLITE_OK);
  open_db(&db);
  snprintf(sql, sizeof sql, "SELECT dmp_create('%s','%s','main','kdf=1x8')", key_file, PIN);
  must_run(db, sql);
  snprintf(sql, sizeof sql, "SELECT dmp_login('%s','%s')", key_file, PIN);
  must_run(db, sql);
  must_run(db, "CREATE TABLE side(x); CREATE TABLE note(id INTEGER PRIMARY KEY, plain TEXT COLLATE NOCASE, a TEXT, b INTEGER NOT NULL DEFAULT 5, c); CREATE INDEX note_plain ON note(plain);"
               "INSERT INTO note VALUES(1,'p','un',7,x'00'); SELECT dmp_protect('note','a,b,c'); SELECT a FROM note");
  table_id = take("SELECT id,body FROM dmp_sealed", &own, NULL);
  reader_id = take("SELECT id,box,loc FROM dmp_reader", &reader, reader_loc);
  take("SELECT id,_dmp FROM note_dmp", &row, NULL);
  take("SELECT id,body FROM dmp_record", &body, NULL);
  memcpy(record, body.p + 12, 16);
  buf_free(&body);
  find_keys();
}

/* What is asked of the table, and of what is signed of it. */
static void ask(sqlite3 *on) {
  static const char *const SQL[] = {
    "SELECT * FROM note", "SELECT plain FROM note WHERE plain='P' ORDER BY 1", "SELECT * FROM note WHERE a='un' OR b IN (7,'8') OR id=1", "SELECT rowid FROM note WHERE c IS NULL",
    "SAVEPOINT s; INSERT INTO note(id) VALUES(NULL); UPDATE note SET a=b, plain='q'; UPDATE note SET id=id+1; DELETE FROM note WHERE a='un'", "ROLLBACK TO s; RELEASE s",
    "SELECT * FROM dmp_protected", "SELECT * FROM protected_reader", "SAVEPOINT s; SELECT dmp_rotate('note')", "ROLLBACK TO s; RELEASE s",
    "SAVEPOINT s; SELECT dmp_unprotect('note')", "ROLLBACK TO s; RELEASE s",
  };
  for (size_t i = 0; i < sizeof SQL / sizeof *SQL; i++) run(on, SQL[i]);
  if (!sqlite3_get_autocommit(on)) must_run(on, "ROLLBACK");   /* SQLite commits nothing after an error that says CORRUPT */
}

/* Own bytes with some of them changed: three bytes of data a change. */
static void patched(struct buf *out, const struct buf *of, size_t n, const uint8_t *data, size_t size) {
  buf_put(out, of->p, n);
  must(!out->bad);
  for (size_t i = 0; n && i + 3 <= size; i += 3) out->p[(data[i] | data[i + 1] << 8) % n] ^= data[i + 2];
}

static void sign(struct buf *body) {
  struct buf over = { 0 };
  uint8_t sig[SUITE_SIG];
  buf_put(body, own.p + own.n - TAIL, TAIL - SUITE_SIG);
  buf_put(&over, LABEL, sizeof LABEL - 1);
  buf_put(&over, record, 16);
  buf_put(&over, body->p, body->n);
  must(!over.bad && !body->bad);
  suite_sign(cred.sign_sk, over.p, over.n, sig);
  buf_put(body, sig, sizeof sig);
  buf_free(&over);
}

/* Every connection reads the schema again, connects its tables anew and asks for its keys. */
static void turn(void) { must_run(host, "CREATE TABLE turn(x); DROP TABLE turn"); }

/* is_signed: proves that the same bytes, and no others, are signed again. */
static void describe(const struct buf *body, int is_signed) {
  struct buf after = { 0 };
  sqlite3 *fresh = NULL;
  put("UPDATE dmp_sealed SET body=?1", body->p, body->n);
  turn();
  open_db(&fresh);
  ask(fresh);                                         /* nobody is logged in */
  sqlite3_close(fresh);
  int same = body->n == own.n && memcmp(body->p, own.p, own.n) == 0;
  must(run(db, "SELECT dmp_protect('note')") != SQLITE_OK || same || is_signed);
  take("SELECT id,body FROM dmp_sealed", &after, NULL);
  must(after.n == body->n && memcmp(after.p, body->p, body->n - (body->n < TAIL ? body->n : TAIL)) == 0);
  buf_free(&after);
  put("UPDATE dmp_sealed SET body=?1", body->p, body->n);
  ask(db);
  put("UPDATE dmp_sealed SET body=?1", own.p, own.n);
  turn();
}

static void read_with(const char *sql, const struct buf *box, const struct buf *was, int may_open) {
  put(sql, box->p, box->n);
  turn();
  int same = box->n == was->n && memcmp(box->p, was->p, was->n) == 0;
  must(run(db, "SELECT a FROM note") != SQLITE_OK || same || may_open);
  ask(db);
  put(sql, was->p, was->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int started;
  struct buf x = { 0 }, box = { 0 };
  if (!started++) start();
  if (size < 2 || size > MOST) return 0;
  const int what = data[0] % 8;
  struct box_ad ad = what < 6 ? reader_ad() : row_ad();
  data++;
  size--;
  if (what == 0 || what == 2) patched(&x, &own, what == 0 ? own.n : own.n - TAIL, data, size);
  else buf_put(&x, data, size);
  must(!x.bad);
  if (what == 2 || what == 3) sign(&x);
  if (what < 4) describe(&x, what >= 2);
  else if (what == 4) read_with("UPDATE dmp_reader SET box=?1", &x, &reader, 0);
  else if (what == 5 && box_seal_to(cred.box_pk, NULL, &ad, x.p, x.n, PAD_NONE, &box) == DMP_OK) {
    buf_put(&box, reader.p + KEYS, reader.n - KEYS);
    read_with("UPDATE dmp_reader SET box=?1", &box, &reader, 0);
  }
  else if (what == 6) read_with("UPDATE note_dmp SET _dmp=?1 WHERE id=1", &x, &row, 0);
  else if (what == 7 && box_seal(SUITE_XCHACHA, row_key, &ad, x.p, x.n, PAD_NONE, NULL, &box) == DMP_OK) read_with("UPDATE note_dmp SET _dmp=?1 WHERE id=1", &box, &row, 1);
  must_run(db, "SELECT x FROM side");                 /* SQLite itself notices a schema that changed only where a table connects */
  must_run(db, "SELECT a FROM note");                 /* as it was: nothing of it stays */
  buf_free(&x);
  buf_free(&box);
  return 0;
}
