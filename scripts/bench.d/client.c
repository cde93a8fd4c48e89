/* client.c: one SQLite connection that a program drives over a pipe, so that only SQLite's own work is timed.
 * Owns: the connection and the clock.  Never: knows what it measures (scripts/bench does).
 * Commands, one a line:  open PATH EXTENSION|- CACHE_KIB    exec SQL    time SQL
 * Answers, one a line:   ok NANOSECONDS ROWS VALUE    (time: of stepping, every column of every row read; VALUE: the first column of
 * the first row, an integer)    or    error NANOSECONDS TEXT */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sqlite3 *db;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
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

static void run(const char *sql) {
  static volatile unsigned long long sink;
  sqlite3_stmt *st = NULL;
  char value[32] = "";
  long long rows = 0, began = 0;
  int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
  if (rc == SQLITE_OK) {
    int columns = sqlite3_column_count(st);
    began = now();
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
      for (int i = 0; i < columns; i++) sink += column_sum(st, i);
      if (rows++ == 0 && sqlite3_column_type(st, 0) == SQLITE_INTEGER) snprintf(value, sizeof value, "%lld", sqlite3_column_int64(st, 0));
    }
    sqlite3_reset(st);
    began = now() - began;
  }
  answer(rc == SQLITE_DONE, began, rows, value);
  sqlite3_finalize(st);
}

static void open_database(char *line) {
  char *path = strtok(line, " "), *extension = strtok(NULL, " "), *cache = strtok(NULL, " ");
  char sql[128];
  sqlite3_close(db);
  int rc = path && extension && cache ? sqlite3_open(path, &db) : SQLITE_MISUSE;
  sqlite3_busy_timeout(db, 5000);
  if (rc == SQLITE_OK) rc = sqlite3_enable_load_extension(db, 1);
  if (rc == SQLITE_OK && strcmp(extension, "-") != 0) rc = sqlite3_load_extension(db, extension, NULL, NULL);
  snprintf(sql, sizeof sql, "PRAGMA temp_store=MEMORY; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-%s", cache ? cache : "2000");
  if (rc == SQLITE_OK) rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  answer(rc == SQLITE_OK, 0, 0, "");
}

int main(void) {
  static char line[65536];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *rest = strchr(line, ' ');
    if (rest == NULL) return 2;
    *rest++ = 0;
    if (strcmp(line, "open") == 0) open_database(rest);
    else if (strcmp(line, "exec") == 0) answer(sqlite3_exec(db, rest, NULL, NULL, NULL) == SQLITE_OK, 0, 0, "");
    else if (strcmp(line, "time") == 0) run(rest);
    else return 2;
  }
  sqlite3_close(db);
  return 0;
}
