/* protected_scan.c: rows of a whole table, several for each step of the statement that reads the shadow (see ptab.h).
 * The shadow is asked for the rows for which dmp_row_scan() is true. It keeps every row and is true for the last of a batch only: so one
 * step of SQLite's machine, which costs more than a short row, serves them all. A batch is 1 row, then 2, 4 to 64. */
#include "ptab.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { BATCH = 64, BATCH_BYTES = 1 << 16 };

/* A column's value; text and blobs lie in the batch's bytes. */
struct cell { uint8_t type, encoding; int n; union { sqlite3_int64 i; double r; size_t at; } u; };

struct scan {
  int n, at, most;                                    /* rows of this batch; the one that is read; how many it may have */
  int done;                                           /* the shadow has no more */
  int columns;
  sqlite3_int64 rowid[BATCH];
  struct cell *cell;                                  /* owned: `columns` for each row */
  struct buf bytes;                                   /* boxes and plain columns: no secret */
};

int scan_new(int columns, struct scan **out) {
  struct scan *s = calloc(1, sizeof *s);
  if (s) s->cell = calloc((size_t)(columns + 1) * BATCH, sizeof *s->cell);
  if (s == NULL || s->cell == NULL) {
    scan_free(s);
    return SQLITE_NOMEM;
  }
  s->columns = columns;
  *out = s;
  return SQLITE_OK;
}

void scan_free(struct scan *s) {
  if (s == NULL) return;
  free(s->cell);
  buf_free(&s->bytes);
  free(s);
}

void scan_start(struct scan *s) { s->n = s->at = s->most = s->done = 0; }

static void cell_take(struct scan *s, struct cell *x, sqlite3_value *v) {
  *x = (struct cell){ .type = (uint8_t)sqlite3_value_type(v) };
  if (x->type == SQLITE_INTEGER) x->u.i = sqlite3_value_int64(v);
  else if (x->type == SQLITE_FLOAT) x->u.r = sqlite3_value_double(v);
  if (x->type != SQLITE_TEXT && x->type != SQLITE_BLOB) return;
  const void *p = sqlite3_value_blob(v);
  x->encoding = x->type == SQLITE_TEXT ? (uint8_t)sqlite3_value_encoding(v) : SQLITE_UTF8;
  x->n = x->encoding == SQLITE_UTF8 ? sqlite3_value_bytes(v) : sqlite3_value_bytes16(v);
  x->u.at = s->bytes.n;
  buf_put(&s->bytes, p, (size_t)x->n);
}

/* dmp_row_scan(rowid, box or plain column, …): works only inside scan_next. */
static void row_scan(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct scan *s = ((struct connection *)sqlite3_user_data(ctx))->scan;
  if (s == NULL || s->n == BATCH || argc - 1 != s->columns) {
    sqlite3_result_error_code(ctx, SQLITE_AUTH);
    return;
  }
  s->rowid[s->n] = sqlite3_value_int64(argv[0]);
  for (int i = 1; i < argc; i++) cell_take(s, &s->cell[s->n * s->columns + i - 1], argv[i]);
  if (s->bytes.bad) sqlite3_result_error_nomem(ctx);
  else sqlite3_result_int(ctx, ++s->n == s->most || s->bytes.n >= BATCH_BYTES);
}

/* The next row; SQLITE_ROW, SQLITE_DONE or an error of the shadow. */
int scan_next(struct connection *c, struct scan *s, sqlite3_stmt *st) {
  if (s->at + 1 < s->n) {
    s->at++;
    return SQLITE_ROW;
  }
  if (s->done) return SQLITE_DONE;
  s->n = s->at = 0;
  s->bytes.n = 0;
  s->most = s->most == 0 ? 1 : s->most < BATCH ? 2 * s->most : BATCH;
  c->scan = s;
  int rc = sqlite3_step(st);
  c->scan = NULL;
  s->done = rc != SQLITE_ROW;
  return rc == SQLITE_DONE && s->n > 0 ? SQLITE_ROW : rc;
}

sqlite3_int64 scan_rowid(const struct scan *s) { return s->rowid[s->at]; }

const void *scan_blob(const struct scan *s, int column, int *n) {
  const struct cell *x = &s->cell[s->at * s->columns + column];
  *n = x->type == SQLITE_BLOB ? x->n : 0;
  return *n ? s->bytes.p + x->u.at : NULL;
}

/* A plain column's value, as it is stored: a text in the file's encoding. */
struct value scan_value(const struct scan *s, int column) {
  const struct cell *x = &s->cell[s->at * s->columns + column];
  const void *p = x->n > 0 ? (const void *)(s->bytes.p + x->u.at) : "";
  switch (x->type) {
    case SQLITE_INTEGER: return value_int(x->u.i);
    case SQLITE_FLOAT: return (struct value){ .type = VALUE_REAL, .u.r = x->u.r };
    case SQLITE_TEXT: return value_bytes(VALUE_TEXT, p, (size_t)x->n);
    case SQLITE_BLOB: return value_bytes(VALUE_BLOB, p, (size_t)x->n);
    default: return (struct value){ 0 };
  }
}

void scan_result(const struct scan *s, int column, sqlite3_context *ctx) {
  const struct cell *x = &s->cell[s->at * s->columns + column];
  const char *p = x->n > 0 ? (const char *)s->bytes.p + x->u.at : "";
  switch (x->type) {
    case SQLITE_INTEGER: sqlite3_result_int64(ctx, x->u.i); break;
    case SQLITE_FLOAT: sqlite3_result_double(ctx, x->u.r); break;
    case SQLITE_TEXT: sqlite3_result_text64(ctx, p, (sqlite3_uint64)x->n, SQLITE_TRANSIENT, x->encoding); break;
    case SQLITE_BLOB: sqlite3_result_blob64(ctx, p, (sqlite3_uint64)x->n, SQLITE_TRANSIENT); break;
    default: sqlite3_result_null(ctx);
  }
}

int scan_register(struct connection *c) {
  return sqlite3_create_function_v2(c->db, "dmp_row_scan", -1, SQLITE_UTF8 | SQLITE_DIRECTONLY, c, row_scan, NULL, NULL, NULL);
}
