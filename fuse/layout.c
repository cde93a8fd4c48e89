/* layout.c: see layout.h. */
#include "layout.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "layout_sql.h"

enum { FILE_BYTES_MAX = 1 << 20, BLOCKS_MAX = 128, NAME_BYTES_MAX = 255 };

struct block { int page; char *title; sqlite3_stmt *st; };          /* owned */
struct layout {
  char *name[LAYOUT_NAMES][DB_FOLDER_MAX];  /* owned, by number */
  struct block block[BLOCKS_MAX];
  int blocks;
};

static const struct { const char *query, *what; } NAMES[LAYOUT_NAMES] = {
  [LAYOUT_GROUPS] = { "SELECT grp, name FROM temp.groups", "group" },
  [LAYOUT_FOLDERS] = { "SELECT folder, name FROM temp.folders", "folder" },
  [LAYOUT_PAGES] = { "SELECT page, name FROM temp.pages", "page" },
};

/* ---- what a layout may say ---- */

static int may_call(const char *function) {
  return strncasecmp(function, "dmp_", 4) != 0 || strcasecmp(function, "dmp_filename") == 0 ||
         strcasecmp(function, "dmp_deposited_for") == 0;
}

/* Reading is what its session may read anyway. */
static int judge(void *arg, int action, const char *a, const char *b, const char *database, const char *by) {
  (void)arg, (void)by, (void)a;
  switch (action) {
    case SQLITE_SELECT: case SQLITE_READ: case SQLITE_RECURSIVE:
    case SQLITE_CREATE_TEMP_TABLE: case SQLITE_CREATE_TEMP_VIEW: case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TABLE: case SQLITE_DROP_TEMP_VIEW: case SQLITE_DROP_TEMP_INDEX: return SQLITE_OK;
    case SQLITE_INSERT: case SQLITE_UPDATE: case SQLITE_DELETE: case SQLITE_REINDEX:
      return database != NULL && strcmp(database, "temp") == 0 ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION: return b != NULL && may_call(b) ? SQLITE_OK : SQLITE_DENY;
    default: return SQLITE_DENY;
  }
}

/* Only the text itself is judged: what the record's tables do inside when a statement runs is theirs. */
static int prepare(sqlite3 *sql, const char *text, sqlite3_stmt **st, const char **rest) {
  sqlite3_set_authorizer(sql, judge, NULL);
  int rc = sqlite3_prepare_v3(sql, text, -1, SQLITE_PREPARE_PERSISTENT, st, rest);
  sqlite3_set_authorizer(sql, NULL, NULL);
  return rc;
}

/* A table that is first met inside a judged statement would be judged for declaring itself: all are met before. What can't be
 * met (a module that is not loaded) is for the statement that names it. */
static int meet_tables(sqlite3 *sql) {
  sqlite3_stmt *st = NULL, *one;
  int rc = sqlite3_prepare_v2(sql, "SELECT printf('SELECT * FROM main.\"%w\"', name) FROM pragma_table_list "
                                   "WHERE schema = 'main' AND type = 'virtual'", -1, &st, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    rc = SQLITE_OK;
    one = NULL;
    if (sqlite3_prepare_v2(sql, (const char *)sqlite3_column_text(st, 0), -1, &one, NULL) == SQLITE_NOMEM) rc = SQLITE_NOMEM;
    sqlite3_finalize(one);
  }
  sqlite3_finalize(st);
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* What a statement of SQLite's failed for: *at_fault when its text is to blame, not the record. */
static int blame(sqlite3 *sql, int rc, int *at_fault) {
  int code = rc & 0xFF;
  const char *text = sqlite3_errmsg(sql);
  *at_fault = (code == SQLITE_ERROR || code == SQLITE_AUTH || code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH ||
               code == SQLITE_READONLY) && strncmp(text, "dmp-E", 5) != 0;
  return *at_fault ? SQLITE_OK : rc;
}

static int line_of(const char *text, const char *at) {
  int line = 1;
  for (; text < at; text++) line += *text == '\n';
  return line;
}

static const char *skip_space(const char *p) { return p + strspn(p, " \t\r\n;"); }

/* Runs a text, statement by statement; name is the file's, for the sentence. */
static int run(sqlite3 *sql, const char *text, const char *name, int *at_fault, char *why, size_t why_size) {
  const char *rest = text;
  int rc = SQLITE_OK;
  while (rc == SQLITE_OK && !*at_fault && *(rest = skip_space(rest)) != '\0') {
    const char *from = rest;
    sqlite3_stmt *st = NULL;
    rc = prepare(sql, from, &st, &rest);
    while (rc == SQLITE_OK && st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW) rc = SQLITE_OK;
    if (rc == SQLITE_DONE) rc = SQLITE_OK;
    if (rc != SQLITE_OK) {
      rc = blame(sql, rc, at_fault);
      snprintf(why, why_size, "the layout %s: the statement at line %d: %s", name, line_of(text, from), sqlite3_errmsg(sql));
    }
    sqlite3_finalize(st);
  }
  return rc;
}

/* ---- reading it ---- */

static char *read_file(const char *path, char *why, size_t why_size) {
  FILE *f = fopen(path, "rbe");
  char *text = f != NULL ? malloc(FILE_BYTES_MAX + 1) : NULL;
  size_t n = text != NULL ? fread(text, 1, FILE_BYTES_MAX + 1, f) : 0;
  const char *fault = f == NULL ? strerror(errno) : text == NULL ? "out of memory" : ferror(f) ? "it is not a readable file"
                    : n > FILE_BYTES_MAX ? "it is larger than a mebibyte" : memchr(text, 0, n) ? "it holds a NUL character" : NULL;
  if (f != NULL) fclose(f);
  if (fault == NULL) {
    text[n] = '\0';
    return text;
  }
  free(text);
  snprintf(why, why_size, "the layout %s can't be used: %s", path, fault);
  return NULL;
}

static const char *name_fault(const struct layout *l, enum layout_names what, int number, const char *name) {
  if (number < 1 || number >= DB_FOLDER_MAX) return "its number is not 1 to 255";
  if (name == NULL || name[0] == '\0') return "it has no name";
  if (name[0] == '.' || strchr(name, '/') != NULL) return "its name begins with a dot or holds a slash";
  if (strlen(name) > NAME_BYTES_MAX) return "its name is longer than 255 bytes";
  if (l->name[what][number] != NULL) return "its number stands twice";
  for (int i = 0; i < DB_FOLDER_MAX; i++)
    if (l->name[what][i] != NULL && strcasecmp(l->name[what][i], name) == 0) return "its name stands twice";
  if (what == LAYOUT_FOLDERS || what == LAYOUT_GROUPS) return NULL;
  for (int i = 0; i < DB_FOLDER_MAX; i++)
    if (l->name[LAYOUT_FOLDERS][i] != NULL && strcmp(l->name[LAYOUT_FOLDERS][i], name) == 0) return "a folder has its name";
  return NULL;
}

static int read_names(struct layout *l, sqlite3 *sql, enum layout_names what, int *at_fault, char *why, size_t why_size) {
  sqlite3_stmt *st = NULL;
  int rc = prepare(sql, NAMES[what].query, &st, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    int number = sqlite3_column_int(st, 0);
    const char *name = (const char *)sqlite3_column_text(st, 1), *fault = name_fault(l, what, number, name);
    rc = SQLITE_OK;
    if (fault == NULL && (l->name[what][number] = strdup(name)) == NULL) rc = SQLITE_NOMEM;
    if (fault == NULL) continue;
    *at_fault = 1;
    snprintf(why, why_size, "the layout's %s %d: %s", NAMES[what].what, number, fault);
    break;
  }
  if (rc == SQLITE_DONE) rc = SQLITE_OK;
  if (rc != SQLITE_OK) {
    rc = blame(sql, rc, at_fault);
    snprintf(why, why_size, "the layout's %ss: %s", NAMES[what].what, sqlite3_errmsg(sql));
  }
  sqlite3_finalize(st);
  return rc;
}

static int read_block(struct layout *l, sqlite3 *sql, sqlite3_stmt *row, int *at_fault, char *why, size_t why_size) {
  const char *title = (const char *)sqlite3_column_text(row, 1), *query = (const char *)sqlite3_column_text(row, 2), *rest = "";
  struct block *b = &l->block[l->blocks];
  const char *fault = l->blocks == BLOCKS_MAX ? "there are more than 128" : title == NULL || query == NULL ? "it has no title or no query" : NULL;
  int rc = SQLITE_OK;
  if (fault == NULL) {
    l->blocks++;
    b->page = sqlite3_column_int(row, 0);
    if ((b->title = strdup(title)) == NULL) return SQLITE_NOMEM;
    rc = prepare(sql, query, &b->st, &rest);
    if (rc != SQLITE_OK && (rc = blame(sql, rc, at_fault)) == SQLITE_OK) fault = sqlite3_errmsg(sql);
    else if (rc == SQLITE_OK && (*skip_space(rest) != '\0' || sqlite3_column_count(b->st) == 0)) fault = "it is not one SELECT";
    else if (rc == SQLITE_OK && sqlite3_bind_parameter_count(b->st) > 1) fault = "it has other parameters than ?1";
  }
  if (fault == NULL) return rc;
  *at_fault = 1;
  snprintf(why, why_size, "the layout's block \"%s\" of page %d: %s", title != NULL ? title : "", sqlite3_column_int(row, 0), fault);
  return SQLITE_OK;
}

static int read_blocks(struct layout *l, sqlite3 *sql, int *at_fault, char *why, size_t why_size) {
  sqlite3_stmt *st = NULL;
  int rc = prepare(sql, "SELECT page, title, query FROM temp.blocks ORDER BY page, place", &st, NULL);
  while (rc == SQLITE_OK && !*at_fault && (rc = sqlite3_step(st)) == SQLITE_ROW) rc = read_block(l, sql, st, at_fault, why, why_size);
  if (rc == SQLITE_DONE) rc = SQLITE_OK;
  if (rc != SQLITE_OK) {
    rc = blame(sql, rc, at_fault);
    snprintf(why, why_size, "the layout's blocks: %s", sqlite3_errmsg(sql));
  }
  sqlite3_finalize(st);
  return rc;
}

/* The driver's own questions: a view that is gone or lacks a column is named by SQLite. */
static int try_queries(sqlite3 *sql, const char *const *queries, int n, int *at_fault, char *why, size_t why_size) {
  int rc = SQLITE_OK;
  for (int i = 0; rc == SQLITE_OK && !*at_fault && i < n; i++) {
    sqlite3_stmt *st = NULL;
    if (strstr(queries[i], " FROM temp.") == NULL) continue;          /* asks the record itself */
    rc = prepare(sql, queries[i], &st, NULL);
    sqlite3_finalize(st);
    if (rc == SQLITE_OK) continue;
    rc = blame(sql, rc, at_fault);
    snprintf(why, why_size, "the layout does not give what dmpfs asks for: %s (%s)", sqlite3_errmsg(sql), queries[i]);
  }
  return rc;
}

int layout_new(struct layout **out, sqlite3 *sql, const char *file, const char *const *queries, int n, int *at_fault,
               char *why, size_t why_size) {
  struct layout *l = calloc(1, sizeof *l);
  char *text = NULL;
  int rc = l == NULL ? SQLITE_NOMEM : SQLITE_OK;
  if (rc == SQLITE_OK) rc = sqlite3_exec(sql, layout_sql, NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = meet_tables(sql);
  if (rc == SQLITE_OK && file != NULL && (text = read_file(file, why, why_size)) == NULL) *at_fault = 1;
  if (rc == SQLITE_OK && text != NULL) rc = run(sql, text, file, at_fault, why, why_size);
  free(text);
  if (rc == SQLITE_OK && !*at_fault) rc = try_queries(sql, queries, n, at_fault, why, why_size);
  for (int what = 0; rc == SQLITE_OK && !*at_fault && what < LAYOUT_NAMES; what++)
    rc = read_names(l, sql, (enum layout_names)what, at_fault, why, why_size);
  if (rc == SQLITE_OK && !*at_fault) rc = read_blocks(l, sql, at_fault, why, why_size);
  *out = l;
  return rc;
}

void layout_free(struct layout *l) {
  if (l == NULL) return;
  for (int i = 0; i < l->blocks; i++) {
    sqlite3_finalize(l->block[i].st);
    free(l->block[i].title);
  }
  for (int what = 0; what < LAYOUT_NAMES; what++)
    for (int i = 0; i < DB_FOLDER_MAX; i++) free(l->name[what][i]);
  free(l);
}

const char *layout_name(const struct layout *l, enum layout_names what, int number) {
  return number >= 0 && number < DB_FOLDER_MAX ? l->name[what][number] : NULL;
}

/* ---- pages ---- */

static int put_block(const struct block *b, db_put put, void *arg, int *err) {
  int columns = sqlite3_column_count(b->st), rc;
  *err = put(arg, DB_TITLE, b->title);
  for (int i = 0; *err == 0 && i < columns; i++) *err = put(arg, DB_HEADING, sqlite3_column_name(b->st, i));
  while (*err == 0 && (rc = sqlite3_step(b->st)) != SQLITE_DONE) {
    if (rc != SQLITE_ROW) return rc;
    *err = put(arg, DB_ROW, NULL);
    for (int i = 0; *err == 0 && i < columns; i++) *err = put(arg, DB_CELL, (const char *)sqlite3_column_text(b->st, i));
  }
  return SQLITE_OK;
}

int layout_put(struct layout *l, int page, int64_t patient, db_put put, void *arg, int *err) {
  int rc = SQLITE_OK;
  for (int i = 0; rc == SQLITE_OK && *err == 0 && i < l->blocks; i++) {
    struct block *b = &l->block[i];
    if (b->page != page) continue;
    if (sqlite3_bind_parameter_count(b->st) > 0) sqlite3_bind_int64(b->st, 1, patient);
    rc = put_block(b, put, arg, err);
    sqlite3_reset(b->st);
  }
  return rc;
}
