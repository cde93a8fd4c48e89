/* test_log.c: what log.h promises, on a real SQLite file. The attacks edit that file behind the log's back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "box.h"
#include "dmp.h"
#include "log.h"

enum { LINE = 192, FIXED = 184, NOBODY = 65534, FAULTS = 64 };
enum { LINE_FIELDS = offsetof(struct log_line, reason) + 22 };        /* without the padding of the struct */
#define AT 1773309600000LL                            /* 2026-03-12T10:00:00Z, a Thursday */
#define WEEK (7 * 86400000LL)

static const uint8_t RECORD[16] = { 1, 2, 3 }, OTHER_RECORD[16] = { 9 };
static char folder[64], record_path[96], log_folder[112], log_file[128];
static uint8_t sign_pk[3][32], sign_sk[3][64];
static struct log_writer writer[3];                   /* the third one's key is unknown to the verifier */
static struct log *l;

static void plain_exec(const char *sql) {
  sqlite3 *db;
  char *message = NULL;
  assert_int_equal(sqlite3_open(log_file, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  sqlite3_exec(db, sql, NULL, NULL, &message);
  assert_null(message);
  sqlite3_close(db);
}

static int64_t plain_int(const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_open(log_file, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  int64_t v = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  sqlite3_close(db);
  return v;
}

/* A block as it lies in the file; returns its length. */
static size_t body_get(int64_t id, uint8_t *p, size_t max) {
  sqlite3 *db;
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_open(log_file, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, "SELECT body FROM block WHERE id=?1", -1, &st, NULL), SQLITE_OK);
  sqlite3_bind_int64(st, 1, id);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  size_t n = (size_t)sqlite3_column_bytes(st, 0);
  assert_true(n <= max);
  memcpy(p, sqlite3_column_blob(st, 0), n);
  sqlite3_finalize(st);
  sqlite3_close(db);
  return n;
}

static void body_set(int64_t id, const uint8_t *p, size_t n) {
  sqlite3 *db;
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_open(log_file, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, "UPDATE block SET body=?2 WHERE id=?1", -1, &st, NULL), SQLITE_OK);
  sqlite3_bind_int64(st, 1, id);
  sqlite3_bind_blob(st, 2, p, (int)n, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(st), SQLITE_DONE);
  assert_int_equal(sqlite3_changes(db), 1);
  sqlite3_finalize(st);
  sqlite3_close(db);
}

static int setup(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "%s/dmp-log-XXXXXX", P_tmpdir);
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(record_path, sizeof record_path, "%s/record.db", folder);
  snprintf(log_folder, sizeof log_folder, "%s-log", record_path);
  snprintf(log_file, sizeof log_file, "%s/access.db", log_folder);
  for (uint8_t i = 0; i < 3; i++) {
    uint8_t seed[32] = { i };
    suite_sign_pair(seed, sign_pk[i], sign_sk[i]);
    writer[i] = (struct log_writer){ .tag = { (uint8_t)(0xF0 - i) }, .sign_sk = sign_sk[i] };
  }
  return log_open(record_path, NULL, RECORD, 1, &l);
}

static int teardown(void **state) {
  (void)state;
  char path[160];
  log_close(l);
  l = NULL;
  chmod(log_folder, 0700);
  static const char *const SUFFIX[] = { "", "-wal", "-shm", "-journal" };
  for (int i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s%s", log_file, SUFFIX[i]);
    unlink(path);
  }
  rmdir(log_folder);
  return rmdir(folder);
}

static void reopen(void) {
  log_close(l);
  assert_int_equal(log_open(record_path, NULL, RECORD, 0, &l), 0);
}

/* A line whose pairwise key is made from the patient. */
static struct log_line line_of(int64_t patient, int64_t at) {
  struct log_line line = { .at = at, .action = LOG_READ, .mode = LOG_NORMAL, .count = 1, .reason = "contr\xC3\xB4le" };
  memset(line.key, (int)(patient & 0xFF), sizeof line.key);
  id_field(line.person, 77);
  id_field(line.patient, patient);
  id_field(line.object, 88);
  id_field(line.login, 99);
  return line;
}

static int put(int who, enum log_kind kind, int64_t patient) {
  struct log_line line = line_of(patient, AT);
  return log_append(l, &writer[who], kind, NULL, 0, &line, 1);
}

/* ---- verifying, collected ---- */

static struct { int64_t block; const char *what; } faults[FAULTS];
static struct { struct log_row row; enum log_kind outcome; } rows[FAULTS];
static size_t fault_count, row_count;

static const uint8_t *key_of(void *ctx, const uint8_t tag[16]) {
  for (int i = 0; i < 2 && ctx == NULL; i++) if (memcmp(tag, writer[i].tag, 16) == 0) return sign_pk[i];
  return NULL;
}
static void on_fault(void *ctx, int64_t block, const char *what) {
  (void)ctx;
  if (fault_count < FAULTS) { faults[fault_count].block = block; faults[fault_count].what = what; }
  fault_count++;
}
static void on_row(void *ctx, const struct log_row *row, enum log_kind outcome, const uint8_t *tag) {
  (void)ctx;
  (void)tag;
  assert_true(row_count < FAULTS);
  rows[row_count].row = *row;
  rows[row_count++].outcome = outcome;
}

/* How many faults there are. stranger: no writer's key is known. */
static size_t verify_as(int stranger) {
  struct log_check c = { key_of, on_fault, on_row, stranger ? &stranger : NULL };
  fault_count = row_count = 0;
  assert_int_equal(log_verify(l, &c), 0);
  return fault_count;
}
static size_t verify(void) { return verify_as(0); }

static void assert_fault(size_t i, int64_t block, const char *part) {
  assert_true(i < fault_count);
  assert_int_equal(faults[i].block, block);
  if (strstr(faults[i].what, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", faults[i].what, part);
}

static void assert_only_fault(int64_t block, const char *part) {
  assert_int_equal(verify(), 1);
  assert_fault(0, block, part);
}

/* Six blocks by two writers in turn, for patients 1 to 6. */
static void six(void) {
  for (int i = 0; i < 6; i++) assert_int_equal(put(i % 2, LOG_ACCESS, i + 1), 0);
  assert_int_equal(verify(), 0);
}

/* ---- lines ---- */

static struct log_line seen[FAULTS];
static int64_t seen_block[FAULTS];
static size_t seen_count, seen_max, passed_over;      /* the last: lines that none of the writers signed */
static int on_line(void *ctx, const struct log_line *line, int64_t block) {
  (void)ctx;
  assert_true(seen_count < FAULTS);
  seen[seen_count] = *line;
  seen_block[seen_count++] = block;
  return seen_max > 0 && seen_count == seen_max;
}
static int read_lines(int64_t key, int64_t patient, int64_t from, int64_t to) {
  struct log_line k = line_of(key, AT);
  int rc = 0;
  seen_count = passed_over = 0;
  for (int i = 0; i < 3 && rc == 0; i++) {            /* each writer's lines: those of the others are passed over */
    struct log_author by = { .pk = sign_pk[i] };
    memcpy(by.tag, writer[i].tag, 16);
    rc = log_read(l, k.key, &by, patient, from, to, on_line, NULL);
    passed_over = i == 0 || by.foreign < passed_over ? by.foreign : passed_over;
  }
  return rc;
}

static void a_line_comes_back_whole_to_its_key(void **state) {
  (void)state;
  struct log_line two[] = { line_of(5, AT), line_of(6, AT + 1) };
  memset(two[1].reason, 'r', sizeof two[1].reason);   /* full, without a NUL */
  two[1].count = 65535;
  assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, two, 2), 0);
  assert_int_equal(read_lines(6, 6, AT, AT), 0);
  assert_int_equal(seen_count, 1);
  assert_memory_equal(&seen[0], &two[1], LINE_FIELDS);
  assert_int_equal(seen_block[0], 1);
  assert_int_equal(read_lines(5, 5, AT, AT), 0);
  assert_int_equal(seen_count, 1);
  assert_memory_equal(&seen[0], &two[0], LINE_FIELDS);
}

static void another_key_finds_nothing_and_another_patient_opens_nothing(void **state) {
  (void)state;
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(read_lines(6, 5, 0, INT64_MAX), 0);
  assert_int_equal(seen_count, 0);
  assert_int_equal(read_lines(5, 6, 0, INT64_MAX), DMP_E_LOG_FORMAT);
  assert_int_equal(seen_count, 0);
  assert_int_equal(read_lines(5, 5, 0, INT64_MAX), 0);
  assert_int_equal(seen_count, 1);
}

static void lines_come_oldest_first_and_stop_when_told(void **state) {
  (void)state;
  static const int64_t WHEN[] = { AT + WEEK, AT, AT + 1, AT - 60 * WEEK };
  for (int i = 0; i < 4; i++) {
    struct log_line line = line_of(5, WHEN[i]);
    assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, &line, 1), 0);
  }
  assert_int_equal(read_lines(5, 5, INT64_MIN, INT64_MAX), 0);
  assert_int_equal(seen_count, 4);
  for (int i = 0; i < 3; i++) assert_true(seen[i].at < seen[i + 1].at);
  assert_int_equal(read_lines(5, 5, AT, AT), 0);      /* the week of AT, no other */
  assert_int_equal(seen_count, 2);
  assert_int_equal(read_lines(5, 5, AT, AT - 1), 0);
  assert_int_equal(seen_count, 0);
  seen_max = 2;
  assert_int_equal(read_lines(5, 5, INT64_MIN, INT64_MAX), 0);
  seen_max = 0;
  assert_int_equal(seen_count, 2);
}

/* The locator that a line of patient 5 must have in this ISO week. */
static void expected_loc(unsigned year_week, uint8_t loc[16]) {
  struct log_line line = line_of(5, AT);
  uint8_t key[32], week[4];
  suite_kdf_text(line.key, "loc", key);
  le_put32(week, year_week);
  suite_prf(key, week, sizeof week, loc);
}

static void assert_week(int64_t block, int line, unsigned year_week) {
  static uint8_t body[FIXED + 256 * LINE];
  uint8_t loc[16];
  body_get(block, body, sizeof body);
  expected_loc(year_week, loc);
  assert_memory_equal(body + FIXED - 64 + line * LINE, loc, 16);
}

static void weeks_are_iso_weeks_around_each_new_year(void **state) {
  (void)state;
  static const struct { int64_t at; unsigned year_week; } KNOWN[] = {
    { 1609631999999, 202053 }, { 1609718400000, 202101 },   /* 2021-01-02T23:59:59.999Z; Monday 2021-01-04 */
    { 1672531200000, 202252 }, { 1735516800000, 202501 },   /* Sunday 2023-01-01; Monday 2024-12-30 */
    { 1798675200000, 202653 }, { 1799020799999, 202653 },   /* Thursday 2026-12-31; the last ms of Sunday 2027-01-03 */
    { 1799020800000, 202701 }, { 0, 197001 },               /* Monday 2027-01-04; a clock that was never set */
  };
  for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
    struct log_line line = line_of(5, KNOWN[i].at);
    assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, &line, 1), 0);
    assert_week((int64_t)i + 1, 0, KNOWN[i].year_week);
  }
}

static void weeks_agree_with_the_c_library_for_two_centuries(void **state) {
  (void)state;
  static struct log_line lines[24];
  int64_t block = 0;
  for (int year = 1970; year < 2159; year++) {
    struct tm first = { .tm_year = year - 1900, .tm_mon = 11, .tm_mday = 20 };
    time_t start = timegm(&first);
    for (int i = 0; i < 24; i++) lines[i] = line_of(5, (start + i * 86400LL) * 1000 + i * 3600000LL);
    assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, lines, 24), 0);
    block++;
    for (int i = 0; i < 24; i++) {
      char text[16];
      time_t t = (time_t)(lines[i].at / 1000);
      strftime(text, sizeof text, "%G%V", gmtime(&t));
      assert_week(block, i, (unsigned)atoi(text));
    }
  }
}

static void what_a_line_cannot_say_is_not_written(void **state) {
  (void)state;
  const int64_t too_late = 1577836800000LL + (1LL << 42);
  struct log_line lines[] = { line_of(5, AT), line_of(6, -1), line_of(6, too_late), line_of(6, AT) };
  lines[3].patient[15] = 1;
  for (int i = 1; i < 4; i++) {
    struct log_line two[] = { lines[0], lines[i] };
    assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, two, 2), DMP_E_LOG_WRITE);
  }
  assert_int_equal(log_append(l, &writer[0], (enum log_kind)'Z', NULL, 0, lines, 1), DMP_E_LOG_WRITE);
  assert_int_equal(plain_int("SELECT count(*) FROM (SELECT id FROM block UNION ALL SELECT n FROM line UNION ALL "
                             "SELECT block FROM head)"), 0);
  assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, lines, 1), 0);
}

/* ---- blocks ---- */

static void a_block_has_the_layout_of_the_format(void **state) {
  (void)state;
  uint8_t a[1024], b[1024], c[1024], hash[32], signed_bytes[1024];
  struct log_row row[2] = { { IN_STATE, 0x0102030405060708, { 0xAA } }, { IN_KEYSET, 7, { 0xBB } } };
  struct log_line line = line_of(5, AT);
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(put(1, LOG_ACCESS, 5), 0);
  assert_int_equal(log_append(l, &writer[0], LOG_INTENT, row, 2, &line, 1), 0);
  size_t n = body_get(1, a, sizeof a);
  body_get(2, b, sizeof b);
  assert_int_equal(n, FIXED + LINE);
  assert_memory_equal(a, "DLGA", 4);
  assert_true(suite_is_zero(a + 40, 8 + 32 + 4 + 32));                 /* seq, previous, m, before */
  n = body_get(3, c, sizeof c);
  assert_int_equal(n, FIXED + 2 * 26 + LINE);
  assert_memory_equal(c, "DLGI", 4);
  assert_int_equal(le_get32(c + 4), n);
  assert_memory_equal(c + 8, RECORD, 16);
  assert_memory_equal(c + 24, writer[0].tag, 16);
  assert_int_equal(le_get64(c + 40), 1);
  suite_hash(a, FIXED + LINE, hash, 32);
  assert_memory_equal(c + 48, hash, 32);
  assert_int_equal(le_get32(c + 80), 2);
  assert_int_equal(c[84] | c[85] << 8, IN_STATE);
  assert_int_equal(le_get64(c + 86), 0x0102030405060708);
  assert_memory_equal(c + 94, row[0].hash, 16);
  suite_hash(b, FIXED + LINE, hash, 32);
  assert_memory_equal(c + 136, hash, 32);
  assert_int_equal(le_get32(c + 168), 1);
  memcpy(signed_bytes, "dmp-log-1", 9);
  memcpy(signed_bytes + 9, c, n - 64);
  assert_int_equal(suite_verify(sign_pk[0], signed_bytes, 9 + n - 64, c + n - 64), 0);
  assert_int_equal(suite_verify(sign_pk[1], signed_bytes, 9 + n - 64, c + n - 64), DMP_E_SIGNATURE);
}

static void nothing_of_a_line_is_readable_in_the_file(void **state) {
  (void)state;
  uint8_t body[1024];
  struct log_line line = line_of(5, AT);
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  size_t n = body_get(1, body, sizeof body);
  assert_null(memmem(body, n, line.reason, 8));
  assert_null(memmem(body, n, line.person, 8));
  assert_null(memmem(body, n, line.patient, 8));
  assert_null(memmem(body, n, line.key, 16));
}

static void a_large_batch_is_one_block(void **state) {
  (void)state;
  static struct log_line lines[256];
  static struct log_row many[60];
  for (int i = 0; i < 256; i++) lines[i] = line_of(i % 50, AT + i);
  for (int i = 0; i < 60; i++) many[i] = (struct log_row){ IN_STATE, i, { (uint8_t)i } };
  assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, many, 60, lines, 256), 0);
  assert_int_equal(log_append(l, &writer[0], LOG_DONE, NULL, 0, NULL, 0), 0);
  reopen();                                           /* nothing is remembered: the chain goes on from the file */
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(verify(), 0);
  assert_int_equal(row_count, 60);
  assert_int_equal(read_lines(7, 7, AT, AT), 0);
  assert_int_equal(seen_count, 5);
}

static void an_intent_gets_the_outcome_that_its_writer_logged_next(void **state) {
  (void)state;
  static const struct { int who; enum log_kind kind; } BLOCKS[] = {
    { 0, LOG_INTENT }, { 1, LOG_INTENT }, { 1, LOG_ACCESS }, { 1, LOG_UNDONE }, { 0, LOG_DONE },
    { 0, LOG_INTENT },                                /* died here, came back */
    { 0, LOG_INTENT }, { 0, LOG_DONE }, { 0, LOG_DONE }, { 1, LOG_INTENT }, { 0, LOG_DONE },
    { 1, LOG_INTENT }, { 1, LOG_DONE },               /* an intent without rows, not the one before it */
  };
  static const enum log_kind OUTCOME[] = { LOG_DONE, LOG_UNDONE, LOG_INTENT, LOG_DONE, LOG_INTENT };
  for (size_t i = 0; i < sizeof BLOCKS / sizeof *BLOCKS; i++) {
    struct log_row row = { IN_STATE, (int64_t)i, { (uint8_t)i } };
    size_t m = BLOCKS[i].kind == LOG_INTENT && i < 11;
    assert_int_equal(log_append(l, &writer[BLOCKS[i].who], BLOCKS[i].kind, &row, m, NULL, 0), 0);
  }
  assert_int_equal(verify(), 0);
  assert_int_equal(row_count, 5);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(rows[i].outcome, OUTCOME[i]);
    assert_int_equal(rows[i].row.hash[0], rows[i].row.id);
    assert_int_equal(rows[i].row.table, IN_STATE);
  }
  assert_int_equal(rows[2].row.id, 5);
}

/* ---- several processes ---- */

static void append_child(int who, int blocks) {
  struct log *mine;
  if (log_open(record_path, NULL, RECORD, 0, &mine) != 0) _exit(1);
  for (int i = 0; i < blocks; i++) {
    struct log_line line = line_of(who + 1, AT + i);
    if (log_append(mine, &writer[who], LOG_ACCESS, NULL, 0, &line, 1) != 0) _exit(2);
  }
  log_close(mine);
  _exit(0);
}

static void processes_that_append_at_once_keep_one_chain(void **state) {
  (void)state;
  log_close(l);
  l = NULL;                                           /* no connection crosses the fork */
  for (int i = 0; i < 3; i++) if (fork() == 0) append_child(i % 2, 60);   /* two of them under one tag */
  for (int i = 0; i < 3; i++) {
    int status;
    assert_true(wait(&status) > 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
  assert_int_equal(log_open(record_path, NULL, RECORD, 0, &l), 0);
  assert_int_equal(verify(), 0);
  assert_int_equal(plain_int("SELECT max(id) FROM block"), 180);
  assert_int_equal(plain_int("SELECT count(*) FROM line"), 180);
}

/* Appends for ever and tells each success through the pipe. */
static void endless_child(int out) {
  struct log *mine;
  if (log_open(record_path, NULL, RECORD, 0, &mine) != 0) _exit(1);
  for (uint32_t i = 0;; i++) {
    struct log_line line = line_of(5, AT + i);
    if (log_append(mine, &writer[0], LOG_ACCESS, NULL, 0, &line, 1) != 0) _exit(2);
    if (write(out, &i, sizeof i) != sizeof i) _exit(3);
  }
}

static void what_was_said_to_be_written_survives_a_kill(void **state) {
  (void)state;
  int64_t told = 0;
  log_close(l);
  l = NULL;
  for (int round = 0; round < 25; round++) {
    int ends[2], status;
    uint32_t i;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) { close(ends[0]); endless_child(ends[1]); }
    close(ends[1]);
    for (int n = 0; n <= round; n++) if (read(ends[0], &i, sizeof i) == sizeof i) told++;
    usleep((useconds_t)(round * 137 % 1000));         /* so that the kill meets each part of an append */
    kill(pid, SIGKILL);
    while (read(ends[0], &i, sizeof i) == sizeof i) told++;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    int64_t there = plain_int("SELECT count(*) FROM block");
    assert_true(there >= told && there <= told + 1);  /* one may be written and not yet told */
    told = there;
  }
  assert_int_equal(log_open(record_path, NULL, RECORD, 0, &l), 0);
  assert_int_equal(verify(), 0);
  assert_int_equal(plain_int("SELECT count(*) FROM line"), told);
}

static void a_full_disk_is_an_error_that_writes_nothing(void **state) {
  (void)state;
  int status;
  log_close(l);
  l = NULL;
  pid_t pid = fork();
  if (pid == 0) {
    struct rlimit full = { 60000, RLIM_INFINITY }, room = { RLIM_INFINITY, RLIM_INFINITY };
    int rc = 0, good = 0;
    signal(SIGXFSZ, SIG_IGN);
    if (log_open(record_path, NULL, RECORD, 0, &l) != 0) _exit(100);
    setrlimit(RLIMIT_FSIZE, &full);
    while (good < 50 && (rc = put(0, LOG_ACCESS, 5)) == 0) good++;
    if (rc != DMP_E_LOG_WRITE || put(0, LOG_ACCESS, 5) != DMP_E_LOG_WRITE) _exit(101);
    setrlimit(RLIMIT_FSIZE, &room);
    if (put(0, LOG_ACCESS, 5) != 0) _exit(102);
    _exit(good);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  int good = WEXITSTATUS(status);
  assert_true(good > 0 && good < 50);
  assert_int_equal(log_open(record_path, NULL, RECORD, 0, &l), 0);
  assert_int_equal(plain_int("SELECT count(*) FROM block"), good + 1);
  assert_int_equal(verify(), 0);
}

/* ---- opening ---- */

static void a_new_log_is_private_and_in_wal_mode(void **state) {
  (void)state;
  struct stat st;
  assert_int_equal(stat(log_folder, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0700);
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(plain_int("SELECT journal_mode='wal' FROM pragma_journal_mode"), 1);
  reopen();
  assert_int_equal(log_open(record_path, "no such vfs", RECORD, 0, &(struct log *){ NULL }), DMP_E_LOG_OPEN);
}

static int open_again(const uint8_t record[16], int create) {
  struct log *other = l;
  int rc = log_open(record_path, NULL, record, create, &other);
  if (rc != 0) assert_null(other);
  log_close(other);
  return rc;
}

static void a_missing_log_is_not_made_unless_asked(void **state) {
  (void)state;
  log_close(l);
  l = NULL;
  assert_int_equal(unlink(log_file), 0);
  assert_int_equal(open_again(RECORD, 0), DMP_E_LOG_OPEN);
  assert_int_equal(rmdir(log_folder), 0);
  assert_int_equal(open_again(RECORD, 0), DMP_E_LOG_OPEN);
  assert_int_equal(access(log_folder, F_OK), -1);
  assert_int_equal(open_again(RECORD, 1), 0);
  assert_int_equal(open_again(RECORD, 0), 0);
}

static void the_log_of_another_record_is_refused(void **state) {
  (void)state;
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(open_again(OTHER_RECORD, 0), DMP_E_LOG_FORMAT);
  assert_int_equal(open_again(OTHER_RECORD, 1), DMP_E_LOG_FORMAT);
  assert_int_equal(open_again(RECORD, 0), 0);
  assert_int_equal(open_again(RECORD, 1), 0);
  assert_int_equal(verify(), 0);
}

static void an_empty_log_left_by_an_undone_creation_is_taken_over(void **state) {
  (void)state;
  assert_int_equal(open_again(OTHER_RECORD, 0), DMP_E_LOG_FORMAT);
  assert_int_equal(open_again(OTHER_RECORD, 1), 0);
  assert_int_equal(open_again(OTHER_RECORD, 0), 0);
  assert_int_equal(open_again(RECORD, 0), DMP_E_LOG_FORMAT);
}

static void a_file_that_is_no_log_is_refused(void **state) {
  (void)state;
  char text[4096];
  log_close(l);
  l = NULL;
  memset(text, 'x', sizeof text);
  int fd = open(log_file, O_WRONLY | O_TRUNC);
  assert_int_equal(write(fd, text, sizeof text), sizeof text);
  close(fd);
  assert_int_equal(open_again(RECORD, 0), DMP_E_LOG_FORMAT);
  fd = open(log_file, O_WRONLY | O_TRUNC);
  close(fd);
  assert_int_equal(open_again(RECORD, 0), DMP_E_LOG_FORMAT);
  assert_int_equal(open_again(RECORD, 1), 0);
}

static void a_foreign_schema_is_refused(void **state) {
  (void)state;
  static const char *const CHANGE[] = {
    "CREATE TRIGGER t AFTER INSERT ON block BEGIN DELETE FROM block; END", "DROP TRIGGER t",
    "CREATE TABLE extra(x)", "DROP TABLE extra", "CREATE INDEX i ON block(body)", "DROP INDEX i",
    "CREATE VIEW v AS SELECT 1", "DROP VIEW v", "PRAGMA application_id=1", "PRAGMA application_id=1145917516",
    "INSERT INTO meta VALUES(x'00')", "DELETE FROM meta WHERE record=x'00'",
    "ALTER TABLE head RENAME TO h", "ALTER TABLE h RENAME TO head",
  };
  for (size_t i = 0; i + 2 < sizeof CHANGE / sizeof *CHANGE; i++) {
    plain_exec(CHANGE[i]);
    assert_int_equal(open_again(RECORD, 0), i % 2 == 0 ? DMP_E_LOG_FORMAT : 0);
  }
  plain_exec("ALTER TABLE head RENAME TO h");
  assert_int_equal(open_again(RECORD, 0), DMP_E_LOG_FORMAT);
}

static void a_trigger_planted_while_the_log_is_open_does_not_run(void **state) {
  (void)state;
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  plain_exec("CREATE TRIGGER t AFTER INSERT ON block BEGIN DELETE FROM block; END");
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(plain_int("SELECT count(*) FROM block"), 2);
}

static int open_as_nobody(void) {
  if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) return 255;
  return log_open(record_path, NULL, RECORD, 0, &l);
}

static void a_log_that_cannot_be_written_is_not_opened(void **state) {
  (void)state;
  static const mode_t MODES[][2] = { { 0700, 0600 }, { 0555, 0600 }, { 0700, 0400 }, { 0000, 0600 } };
  log_close(l);
  l = NULL;
  assert_int_equal(chmod(folder, 0755), 0);
  if (geteuid() == 0) assert_int_equal(chown(log_folder, NOBODY, NOBODY) | chown(log_file, NOBODY, NOBODY), 0);
  for (int i = 0; i < 4; i++) {
    int status;
    assert_int_equal(chmod(log_file, MODES[i][1]), 0);
    assert_int_equal(chmod(log_folder, MODES[i][0]), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(open_as_nobody());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), i == 0 ? 0 : DMP_E_LOG_OPEN);
    if (i > 0) continue;
    char side[160];                                   /* what the killed-off child of the good case left */
    snprintf(side, sizeof side, "%s-wal", log_file);
    unlink(side);
    snprintf(side, sizeof side, "%s-shm", log_file);
    unlink(side);
    assert_int_equal(chmod(log_folder, 0700), 0);
  }
}

static void a_log_whose_wal_cannot_be_written_is_not_opened(void **state) {
  (void)state;
  char side[160];
  int status;
  if (geteuid() != 0) skip();                         /* the files must belong to one user, the reader be another */
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(chmod(folder, 0755) | chmod(log_folder, 0755) | chmod(log_file, 0666), 0);
  for (int i = 0; i < 2; i++) {
    snprintf(side, sizeof side, "%s%s", log_file, i == 0 ? "-wal" : "-shm");
    assert_int_equal(chmod(side, 0644), 0);
  }
  pid_t pid = fork();
  if (pid == 0) _exit(open_as_nobody());
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), DMP_E_LOG_OPEN);
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
}

/* ---- attacks ---- */

static void a_deleted_first_or_middle_block_is_missed(void **state) {
  (void)state;
  six();
  plain_exec("DELETE FROM line WHERE block=1; DELETE FROM block WHERE id=1");
  assert_only_fault(1, "missing");
  plain_exec("DELETE FROM line WHERE block IN (3, 4); DELETE FROM block WHERE id IN (3, 4)");
  assert_int_equal(verify(), 2);
  assert_fault(0, 1, "missing");
  assert_fault(1, 3, "missing");
}

static void a_deleted_block_is_missed_when_the_others_are_renumbered(void **state) {
  (void)state;
  six();
  plain_exec("DELETE FROM line WHERE block=3; DELETE FROM block WHERE id=3;"
             "UPDATE block SET id=id-1 WHERE id>3; UPDATE line SET block=block-1 WHERE block>3;"
             "UPDATE head SET block=block-1");
  assert_int_equal(verify(), 1);
  assert_fault(0, 3, "does not follow");
  assert_int_equal(verify_as(1), 1);                  /* hashes alone tell it too */
  plain_exec("DELETE FROM line WHERE block=1; DELETE FROM block WHERE id=1;"
             "UPDATE block SET id=id-1; UPDATE line SET block=block-1; UPDATE head SET block=block-1");
  assert_int_equal(verify(), 2);
  assert_fault(0, 1, "does not follow");
}

static void a_deleted_last_block_is_missed_by_its_index_and_head(void **state) {
  (void)state;
  six();
  plain_exec("DELETE FROM block WHERE id=6");
  assert_int_equal(verify(), 2);
  assert_fault(0, 6, "index");
  assert_fault(1, 6, "head");
}

static void swapped_blocks_are_named(void **state) {
  (void)state;
  uint8_t a[1024], b[1024];
  six();
  size_t n = body_get(2, a, sizeof a), m = body_get(4, b, sizeof b);
  body_set(2, b, m);
  body_set(4, a, n);
  verify();
  assert_fault(0, 2, "does not follow");
  int again = 0;
  for (size_t i = 1; i < fault_count; i++)
    again += faults[i].block == 4 && strstr(faults[i].what, "does not follow") != NULL;
  assert_int_equal(again, 1);
  for (size_t i = 0; i < fault_count; i++) assert_true(faults[i].block >= 2 && faults[i].block <= 5);
  body_set(2, a, n);
  body_set(4, b, m);
  assert_int_equal(verify(), 0);
}

static void a_doubled_block_is_named(void **state) {
  (void)state;
  six();
  plain_exec("INSERT INTO block SELECT 7, body FROM block WHERE id=6;"
             "INSERT INTO line SELECT loc, 7, n FROM line WHERE block=6; UPDATE head SET block=7 WHERE block=6");
  assert_only_fault(7, "does not follow");
}

static void any_changed_bit_of_a_block_is_named(void **state) {
  (void)state;
  uint8_t p[1024];
  six();
  size_t n = body_get(3, p, sizeof p);
  for (size_t i = 0; i < n; i++) {
    uint8_t was = p[i];
    p[i] = (uint8_t)(was ^ 1u << i % 8);
    body_set(3, p, n);
    verify();
    assert_true(fault_count >= 1);
    assert_int_equal(faults[0].block, i >= 24 && i < 40 ? faults[0].block : 3);
    if (i < 24 || i >= 40) assert_int_equal(fault_count, 1);
    assert_true(verify_as(1) >= 1);                   /* without keys the next block's hash tells */
    assert_in_range(faults[0].block, 3, 4);
    p[i] = was;
  }
  body_set(3, p, n);
  assert_int_equal(verify(), 0);
}

static void a_cut_or_lengthened_block_is_named(void **state) {
  (void)state;
  uint8_t p[1024] = {0};
  six();
  size_t n = body_get(3, p, sizeof p);
  for (size_t cut = 0; cut <= n + 1; cut++) {
    body_set(3, p, cut);
    if (cut == n) assert_int_equal(verify(), 0);
    else assert_only_fault(3, "cut or malformed");
  }
}

static void two_lines_that_change_places_are_named(void **state) {
  (void)state;
  uint8_t p[1024], was[LINE];
  struct log_line two[] = { line_of(5, AT), line_of(5, AT) };
  assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, two, 2), 0);
  assert_int_equal(put(1, LOG_ACCESS, 5), 0);
  size_t n = body_get(1, p, sizeof p);
  uint8_t *first = p + FIXED - 64;
  memcpy(was, first, LINE);
  memcpy(first, first + LINE, LINE);
  memcpy(first + LINE, was, LINE);
  body_set(1, p, n);
  assert_only_fault(1, "altered");
}

static void a_bit_changed_in_the_file_itself_is_named(void **state) {
  (void)state;
  static uint8_t file[1 << 20];
  uint8_t p[1024];
  six();
  size_t n = body_get(3, p, sizeof p);
  log_close(l);                                       /* the last connection empties the WAL into the file */
  l = NULL;
  int fd = open(log_file, O_RDWR);
  ssize_t size = read(fd, file, sizeof file);
  assert_true(size > 0);
  uint8_t *at = memmem(file, (size_t)size, p, n);
  assert_non_null(at);
  at[150] ^= 4;
  assert_int_equal(pwrite(fd, at + 150, 1, at + 150 - file), 1);
  close(fd);
  assert_int_equal(log_open(record_path, NULL, RECORD, 0, &l), 0);
  assert_only_fault(3, "altered");
  assert_int_equal(read_lines(3, 3, AT, AT), 0);      /* nobody signed that block: its line is passed over */
  assert_int_equal(seen_count, 0);
  assert_int_equal(passed_over, 1);
  assert_int_equal(read_lines(4, 4, AT, AT), 0);
  assert_int_equal(seen_count, 1);
}

static void a_damaged_file_ends_the_walk_with_an_error(void **state) {
  (void)state;
  struct log_check c = { key_of, on_fault, on_row, NULL };
  uint8_t zero[4096] = {0};
  for (int i = 0; i < 40; i++) assert_int_equal(put(0, LOG_ACCESS, i + 1), 0);
  int64_t page = plain_int("SELECT pageno FROM dbstat WHERE name='block' AND pagetype='leaf' LIMIT 1 OFFSET 1");
  log_close(l);
  int fd = open(log_file, O_RDWR);
  assert_int_equal(pwrite(fd, zero, sizeof zero, (page - 1) * 4096), sizeof zero);
  close(fd);
  assert_int_equal(log_open(record_path, NULL, RECORD, 0, &l), 0);
  fault_count = 0;
  assert_int_equal(log_verify(l, &c), DMP_E_LOG_FORMAT);
  assert_true(fault_count >= 1);
  assert_non_null(strstr(faults[fault_count - 1].what, "damaged"));
}

static void a_block_of_another_record_is_named(void **state) {
  (void)state;
  uint8_t p[1024];
  six();
  size_t n = body_get(6, p, sizeof p);
  p[8] ^= 1;
  body_set(6, p, n);
  assert_only_fault(6, "another record");
}

static void a_writer_without_a_known_key_is_checked_by_hashes(void **state) {
  (void)state;
  assert_int_equal(put(2, LOG_ACCESS, 1), 0);
  assert_int_equal(put(2, LOG_ACCESS, 2), 0);
  assert_int_equal(put(0, LOG_ACCESS, 3), 0);
  assert_int_equal(verify(), 0);
  uint8_t p[1024];
  size_t n = body_get(2, p, sizeof p);
  p[n - 1] ^= 1;
  body_set(2, p, n);
  assert_only_fault(3, "does not follow");
}

static void missing_and_extra_index_rows_are_named(void **state) {
  (void)state;
  six();
  plain_exec("DELETE FROM line WHERE block=2");
  assert_only_fault(2, "missing from the index");
  plain_exec("INSERT INTO line SELECT loc, 2, 0 FROM line WHERE block=3");     /* another line's locator */
  assert_int_equal(verify(), 2);
  assert_fault(0, 2, "missing from the index");
  assert_fault(1, 2, "index has a line");
  plain_exec("DELETE FROM line WHERE block=2");
  reopen();
  uint8_t p[1024];
  char sql[128], loc[33];
  body_get(2, p, sizeof p);
  bytes_to_hex(p + FIXED - 64, 16, loc);
  snprintf(sql, sizeof sql, "INSERT INTO line VALUES(x'%s', 2, 0)", loc);
  plain_exec(sql);
  assert_int_equal(verify(), 0);
  plain_exec("INSERT INTO line VALUES(x'00', 99, 0)");
  assert_only_fault(99, "index has a line");
  plain_exec("UPDATE line SET block=2, n=1 WHERE block=99");
  assert_only_fault(2, "index has a line");
  assert_int_equal(verify_as(1), 1);
}

static void wrong_missing_and_extra_heads_are_named(void **state) {
  (void)state;
  six();
  plain_exec("UPDATE head SET block=3 WHERE block=5");
  assert_only_fault(3, "head");
  plain_exec("DELETE FROM head WHERE block=3");
  assert_only_fault(5, "head");
  plain_exec("INSERT INTO head VALUES(x'F0000000000000000000000000000000', 5)");
  assert_int_equal(verify(), 0);
  plain_exec("INSERT INTO head VALUES(x'00', 5)");
  assert_only_fault(5, "head");
}

static void a_writer_made_to_begin_again_is_named(void **state) {
  (void)state;
  six();
  plain_exec("DELETE FROM head WHERE block=5");
  reopen();
  assert_int_equal(put(0, LOG_ACCESS, 7), 0);         /* without its head the writer seems new, and counts from 0 */
  assert_only_fault(7, "writer's order");
  assert_int_equal(verify_as(1), 1);
}

static void an_index_row_that_moves_a_line_to_another_week_is_met_on_reading(void **state) {
  (void)state;
  struct log_line old = line_of(5, AT - 3 * WEEK);
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(log_append(l, &writer[0], LOG_ACCESS, NULL, 0, &old, 1), 0);
  assert_int_equal(read_lines(5, 5, AT, AT), 0);
  plain_exec("UPDATE line SET block=2 WHERE block=1");
  assert_int_equal(read_lines(5, 5, AT, AT), DMP_E_LOG_FORMAT);
  assert_int_equal(seen_count, 0);
}

static void an_append_never_builds_on_a_false_head(void **state) {
  (void)state;
  six();
  reopen();
  plain_exec("UPDATE head SET block=6 WHERE block=5");                 /* the other writer's block */
  assert_int_equal(put(0, LOG_ACCESS, 5), DMP_E_LOG_WRITE);
  plain_exec("UPDATE head SET block=99 WHERE tag=x'F0000000000000000000000000000000'");
  assert_int_equal(put(0, LOG_ACCESS, 5), DMP_E_LOG_WRITE);
  plain_exec("UPDATE head SET block=5 WHERE block=99");
  assert_int_equal(put(0, LOG_ACCESS, 5), 0);
  assert_int_equal(verify(), 0);
}

static void a_log_put_back_under_an_open_session_is_named(void **state) {
  (void)state;
  six();
  plain_exec("DELETE FROM line WHERE block=6; DELETE FROM block WHERE id=6;"
             "UPDATE head SET block=4 WHERE block=6");                 /* a perfect copy of the log one block ago */
  assert_int_equal(verify(), 0);
  assert_int_equal(put(0, LOG_ACCESS, 7), 0);
  assert_int_equal(verify(), 0);                      /* nothing in the file can tell: the last block can't be missed */
  plain_exec("DELETE FROM line WHERE block=6; DELETE FROM block WHERE id=6; UPDATE head SET block=5 WHERE block=6;");
  struct log *other;
  assert_int_equal(log_open(record_path, NULL, RECORD, 0, &other), 0);
  struct log_line line = line_of(8, AT);
  assert_int_equal(log_append(other, &writer[1], LOG_ACCESS, NULL, 0, &line, 1), 0);
  log_close(other);
  assert_int_equal(put(0, LOG_ACCESS, 7), 0);         /* this session remembers another block 6 */
  assert_true(verify() >= 1);
  assert_fault(0, 7, "does not follow");
}

static void actions_and_modes_have_their_words(void **state) {
  (void)state;
  assert_string_equal(log_action_text(LOG_READ), "read");
  assert_string_equal(log_action_text(LOG_LIST), "list");
  assert_string_equal(log_action_text(LOG_REFUSED), "refused");
  assert_string_equal(log_action_text(LOG_IDENTITY), "identity");
  for (unsigned i = LOG_LOGIN; i <= LOG_IDENTITY; i++) assert_string_not_equal(log_action_text(i), "unknown");
  assert_string_equal(log_action_text(0), "unknown");
  assert_string_equal(log_action_text(LOG_IDENTITY + 1), "unknown");
  assert_string_equal(log_mode_text(LOG_NORMAL), "normal");
  assert_string_equal(log_mode_text(0), "unknown");
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
    T(a_line_comes_back_whole_to_its_key),
    T(another_key_finds_nothing_and_another_patient_opens_nothing),
    T(lines_come_oldest_first_and_stop_when_told),
    T(weeks_are_iso_weeks_around_each_new_year),
    T(weeks_agree_with_the_c_library_for_two_centuries),
    T(what_a_line_cannot_say_is_not_written),
    T(a_block_has_the_layout_of_the_format),
    T(nothing_of_a_line_is_readable_in_the_file),
    T(a_large_batch_is_one_block),
    T(an_intent_gets_the_outcome_that_its_writer_logged_next),
    T(processes_that_append_at_once_keep_one_chain),
    T(what_was_said_to_be_written_survives_a_kill),
    T(a_full_disk_is_an_error_that_writes_nothing),
    T(a_new_log_is_private_and_in_wal_mode),
    T(a_missing_log_is_not_made_unless_asked),
    T(the_log_of_another_record_is_refused),
    T(an_empty_log_left_by_an_undone_creation_is_taken_over),
    T(a_file_that_is_no_log_is_refused),
    T(a_foreign_schema_is_refused),
    T(a_trigger_planted_while_the_log_is_open_does_not_run),
    T(a_log_that_cannot_be_written_is_not_opened),
    T(a_log_whose_wal_cannot_be_written_is_not_opened),
    T(a_deleted_first_or_middle_block_is_missed),
    T(a_deleted_block_is_missed_when_the_others_are_renumbered),
    T(a_deleted_last_block_is_missed_by_its_index_and_head),
    T(swapped_blocks_are_named),
    T(a_doubled_block_is_named),
    T(any_changed_bit_of_a_block_is_named),
    T(a_cut_or_lengthened_block_is_named),
    T(two_lines_that_change_places_are_named),
    T(a_bit_changed_in_the_file_itself_is_named),
    T(a_damaged_file_ends_the_walk_with_an_error),
    T(a_block_of_another_record_is_named),
    T(a_writer_without_a_known_key_is_checked_by_hashes),
    T(missing_and_extra_index_rows_are_named),
    T(wrong_missing_and_extra_heads_are_named),
    T(a_writer_made_to_begin_again_is_named),
    T(an_index_row_that_moves_a_line_to_another_week_is_met_on_reading),
    T(an_append_never_builds_on_a_false_head),
    T(a_log_put_back_under_an_open_session_is_named),
    T(actions_and_modes_have_their_words),
  };
  if (suite_start() != 0) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
