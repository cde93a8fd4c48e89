/* client.c: one SQLite connection that a program drives over a pipe, so that only SQLite's own work is timed.
 * Owns: the connection and the clock.  Never: knows what it measures (scripts/bench does).
 * Commands, one a line:  clock wall|processor    open PATH EXTENSION|- CACHE_KIB [SQL]    exec SQL    time SQL    loop COUNT FROM TOP SQL
 * Answers, one a line:   ok NANOSECONDS ROWS VALUE    or    error NANOSECONDS TEXT
 * open: SQL is the first that the connection runs (a key). time: of stepping, every column of every row read; VALUE: the first
 * column of the first row. loop: a prepared statement COUNT times, its parameters filled by their names (see bind_all). */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sqlite3 *db;
static clockid_t of = CLOCK_MONOTONIC;

static long long now(void) {
  struct timespec t;
  clock_gettime(of, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void answer(int good, long long ns, long long rows, const char *value) {
  if (good) printf("ok %lld %lld %s\n", ns, rows, value);
  else printf("error %lld %s\n", ns, sqlite3_errmsg(db));
  fflush(stdout);
}

/* Reads the value as an application would: text and blob in place, each byte once. */
static unsigned long long column_sum(sqlite3_stmt *st, int i) {
  unsigned long long sum = 0;
  int type = sqlite3_column_type(st, i);
  if (type == SQLITE_INTEGER) return (unsigned long long)sqlite3_column_int64(st, i);
  if (type != SQLITE_TEXT && type != SQLITE_BLOB) return 0;
  const unsigned char *p = sqlite3_column_blob(st, i);
  for (int n = sqlite3_column_bytes(st, i); n > 0; n--) sum += *p++;
  return sum;
}

/* Steps to the end and reads all; the rows, or -1. value: of the first column of the first row, empty for a blob. */
static long long read_all(sqlite3_stmt *st, char *value, size_t room) {
  static volatile unsigned long long sink;
  int rc, columns = sqlite3_column_count(st);
  long long rows = 0;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    for (int i = 0; i < columns; i++) sink += column_sum(st, i);
    if (rows++ == 0 && value && columns && sqlite3_column_type(st, 0) != SQLITE_BLOB && sqlite3_column_type(st, 0) != SQLITE_NULL)
      snprintf(value, room, "%s", (const char *)sqlite3_column_text(st, 0));
  }
  return rc == SQLITE_DONE ? rows : -1;
}

static void run(const char *sql) {
  sqlite3_stmt *st = NULL;
  char value[128] = "";
  long long rows = -1, began = 0;
  if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
    began = now();
    rows = read_all(st, value, sizeof value);
    began = now() - began;
  }
  answer(rows >= 0, began, rows, value);
  sqlite3_finalize(st);
}

enum { NOTE = 200, LABEL = 40, NOTES = 61, DIGITS = 12 };

/* Another text for each of NOTES numbers that follow each other. */
static const char *note_of(long long n) {
  static char notes[NOTES][NOTE];
  unsigned long long x = 88172645463325252ULL;
  for (int i = 0; !notes[NOTES - 1][NOTE - 1] && i < NOTES * NOTE; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    notes[i / NOTE][i % NOTE] = (char)(x % 7 ? 'a' + x % 26 : ' ');
  }
  return notes[n % NOTES];
}

/* 40 bytes that end with n. */
static const char *label_of(long long n, char text[LABEL + 1]) {
  memcpy(text, "motif de consultation numero", LABEL - DIGITS);
  for (int i = LABEL; i-- > LABEL - DIGITS; n /= 10) text[i] = (char)('0' + n % 10);
  return text;
}

/* :next counts up from FROM, :random is one of 1 to TOP; :note is a text of 200 bytes, :label the 40 bytes of :next, :wanted those of
 * :random. */
static void bind_all(sqlite3_stmt *st, long long next, long long random) {
  static char label[LABEL + 1], wanted[LABEL + 1];
  for (int i = sqlite3_bind_parameter_count(st); i > 0; i--) {
    const char *name = sqlite3_bind_parameter_name(st, i);
    if (strcmp(name, ":next") == 0) sqlite3_bind_int64(st, i, next);
    else if (strcmp(name, ":random") == 0) sqlite3_bind_int64(st, i, random);
    else if (strcmp(name, ":note") == 0) sqlite3_bind_text(st, i, note_of(next), NOTE, SQLITE_STATIC);
    else if (strcmp(name, ":label") == 0) sqlite3_bind_text(st, i, label_of(next, label), LABEL, SQLITE_STATIC);
    else if (strcmp(name, ":wanted") == 0) sqlite3_bind_text(st, i, label_of(random, wanted), LABEL, SQLITE_STATIC);
  }
}

static void loop(char *line) {
  sqlite3_stmt *st = NULL;
  unsigned long long random = 0x9E3779B97F4A7C15ULL;
  long long count = strtoll(line, &line, 10), next = strtoll(line, &line, 10), top = strtoll(line, &line, 10), rows = -1, got = 0, began = 0;
  note_of(0);
  if (sqlite3_prepare_v2(db, line, -1, &st, NULL) == SQLITE_OK) {
    rows = 0;
    began = now();
    for (long long i = 0; got >= 0 && i < count; i++) {
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      bind_all(st, next + i, (long long)((random >> 33) % (unsigned long long)top) + 1);
      got = read_all(st, NULL, 0);
      if (got >= 0) sqlite3_reset(st);
      rows += got;
    }
    began = now() - began;
  }
  answer(rows >= 0 && got >= 0, began, rows, "");
  sqlite3_finalize(st);
}

static void open_database(char *line) {
  char *path = strtok(line, " "), *extension = strtok(NULL, " "), *cache = strtok(NULL, " "), *first = strtok(NULL, "");
  char sql[128];
  sqlite3_close(db);
  long long began = now();
  int rc = path && extension && cache ? sqlite3_open(path, &db) : SQLITE_MISUSE;
  sqlite3_busy_timeout(db, 5000);
  if (rc == SQLITE_OK && first) rc = sqlite3_exec(db, first, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_enable_load_extension(db, 1);
  if (rc == SQLITE_OK && strcmp(extension, "-") != 0) rc = sqlite3_load_extension(db, extension, NULL, NULL);
  snprintf(sql, sizeof sql, "PRAGMA temp_store=MEMORY; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-%s", cache ? cache : "2000");
  if (rc == SQLITE_OK) rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  answer(rc == SQLITE_OK, now() - began, 0, "");
}

int main(void) {
  static char line[65536];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *rest = strchr(line, ' ');
    if (rest == NULL) return 2;
    *rest++ = 0;
    if (strcmp(line, "clock") == 0) {
      of = strcmp(rest, "processor") == 0 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
      answer(1, 0, 0, "");
    } else if (strcmp(line, "open") == 0) open_database(rest);
    else if (strcmp(line, "exec") == 0) answer(sqlite3_exec(db, rest, NULL, NULL, NULL) == SQLITE_OK, 0, 0, "");
    else if (strcmp(line, "time") == 0) run(rest);
    else if (strcmp(line, "loop") == 0) loop(rest);
    else return 2;
  }
  sqlite3_close(db);
  return 0;
}
