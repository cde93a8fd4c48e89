/* affinity.c: a value as a column would store it (see affinity.h). */
#include "affinity.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

#define WORD(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* SQLite's rules for a declared type, in their order (Datatypes In SQLite, 3.1). The last four letters pass through a word. */
enum affinity affinity_of(const char *decl) {
  enum affinity a = *decl ? AFF_NUMERIC : AFF_BLOB;
  int text = 0, blob = 0, real = 0;
  for (uint32_t last = 0; *decl; decl++) {
    last = last << 8 | (uint8_t)(*decl >= 'A' && *decl <= 'Z' ? *decl | 0x20 : *decl);
    if ((last & 0xffffff) == WORD(0, 'i', 'n', 't')) return AFF_INTEGER;
    text |= last == WORD('c', 'h', 'a', 'r') || last == WORD('c', 'l', 'o', 'b') || last == WORD('t', 'e', 'x', 't');
    blob |= last == WORD('b', 'l', 'o', 'b');
    real |= last == WORD('r', 'e', 'a', 'l') || last == WORD('f', 'l', 'o', 'a') || last == WORD('d', 'o', 'u', 'b');
  }
  return text ? AFF_TEXT : blob ? AFF_BLOB : real ? AFF_REAL : a;
}

int affinity_any(const struct pcol *c) { return c->flags & PCOL_STRICT && sqlite3_stricmp(c->decl, "ANY") == 0; }
enum affinity affinity_column(const struct pcol *c) { return affinity_any(c) ? AFF_BLOB : affinity_of(c->decl); }

static struct value plain_value(sqlite3_value *v, int type) {
  switch (type) {
    case SQLITE_INTEGER: return value_int(sqlite3_value_int64(v));
    case SQLITE_FLOAT: return (struct value){ .type = VALUE_REAL, .u.r = sqlite3_value_double(v) };
    case SQLITE_TEXT: {                               /* of text in UTF-8 the bytes as they lie, without a NUL that would be a copy */
      const void *p = sqlite3_value_encoding(v) == SQLITE_UTF8 ? sqlite3_value_blob(v) : sqlite3_value_text(v);
      return value_bytes(VALUE_TEXT, p ? p : "", (size_t)sqlite3_value_bytes(v));
    }
    case SQLITE_BLOB: {
      const void *p = sqlite3_value_blob(v);
      return value_bytes(VALUE_BLOB, p ? p : "", (size_t)sqlite3_value_bytes(v));
    }
    default: return (struct value){ 0 };
  }
}

struct value affinity_stored(sqlite3_value *v, const struct pcol *c) {
  enum affinity a = affinity_column(c);
  int type = sqlite3_value_type(v);
  if (a == AFF_TEXT && (type == SQLITE_INTEGER || type == SQLITE_FLOAT)) return plain_value(v, SQLITE_TEXT);
  if (a == AFF_INTEGER || a == AFF_NUMERIC || a == AFF_REAL) type = sqlite3_value_numeric_type(v);
  struct value out = plain_value(v, type);
  if (a == AFF_REAL && out.type == VALUE_REAL && out.u.r == 0) out.u.r = 0.0;   /* a file holds no -0.0 there */
  if (a == AFF_REAL && out.type == VALUE_INT) return (struct value){ .type = VALUE_REAL, .u.r = (double)out.u.i };
  /* 3.0 becomes 3 where that loses nothing */
  if ((a == AFF_INTEGER || a == AFF_NUMERIC) && out.type == VALUE_REAL && out.u.r > -0x1p63 && out.u.r < 0x1p63 && (double)(int64_t)out.u.r == out.u.r)
    return value_int((int64_t)out.u.r);
  return out;
}

int affinity_pack(const struct protect *d, sqlite3_value **v, struct buf *row) {
  struct value *x = calloc(d->columns + 1, sizeof *x);
  size_t n = 0;
  if (x == NULL) return DMP_E_NOMEM;
  for (uint32_t i = 0; i < d->columns; i++)
    if (d->c[i].flags & PCOL_SEALED) x[n++] = affinity_stored(*v++, &d->c[i]);
  buf_reset(row);
  row_put(row, x, n);
  free(x);
  return row->bad ? DMP_E_NOMEM : DMP_OK;
}

void affinity_result(sqlite3_context *ctx, const struct value *x) {
  switch (x->type) {
    case VALUE_INT: sqlite3_result_int64(ctx, x->u.i); break;
    case VALUE_REAL: sqlite3_result_double(ctx, x->u.r); break;
    case VALUE_TEXT: sqlite3_result_text64(ctx, (const char *)x->u.p, x->n, SQLITE_TRANSIENT, SQLITE_UTF8); break;
    case VALUE_BLOB: sqlite3_result_blob64(ctx, x->n ? (const void *)x->u.p : "", x->n, SQLITE_TRANSIENT); break;
    default: sqlite3_result_null(ctx);
  }
}

int affinity_bind(sqlite3_stmt *st, int at, const struct value *x) {
  switch (x->type) {
    case VALUE_INT: return sqlite3_bind_int64(st, at, x->u.i);
    case VALUE_REAL: return sqlite3_bind_double(st, at, x->u.r);
    case VALUE_TEXT: return sqlite3_bind_text64(st, at, x->n ? (const char *)x->u.p : "", x->n, SQLITE_STATIC, SQLITE_UTF8);
    case VALUE_BLOB: return sqlite3_bind_blob64(st, at, x->n ? (const void *)x->u.p : "", x->n, SQLITE_STATIC);
    default: return sqlite3_bind_null(st, at);
  }
}
