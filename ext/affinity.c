/* affinity.c: a value as a column would store it (see affinity.h). */
#include "affinity.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static int has(const char *decl, const char *word) {
  size_t n = strlen(word);
  for (; *decl; decl++)
    if (sqlite3_strnicmp(decl, word, (int)n) == 0) return 1;
  return 0;
}

/* SQLite's rules for a declared type, in their order (Datatypes In SQLite, 3.1). */
enum affinity affinity_of(const char *decl) {
  if (has(decl, "INT")) return AFF_INTEGER;
  if (has(decl, "CHAR") || has(decl, "CLOB") || has(decl, "TEXT")) return AFF_TEXT;
  if (*decl == 0 || has(decl, "BLOB")) return AFF_BLOB;
  if (has(decl, "REAL") || has(decl, "FLOA") || has(decl, "DOUB")) return AFF_REAL;
  return AFF_NUMERIC;
}

int affinity_any(const struct pcol *c) { return c->flags & PCOL_STRICT && sqlite3_stricmp(c->decl, "ANY") == 0; }
enum affinity affinity_column(const struct pcol *c) { return affinity_any(c) ? AFF_BLOB : affinity_of(c->decl); }

static struct value plain_value(sqlite3_value *v, int type) {
  switch (type) {
    case SQLITE_INTEGER: return value_int(sqlite3_value_int64(v));
    case SQLITE_FLOAT: return (struct value){ .type = VALUE_REAL, .u.r = sqlite3_value_double(v) };
    case SQLITE_TEXT: {
      const void *p = sqlite3_value_text(v);
      return value_bytes(VALUE_TEXT, p, (size_t)sqlite3_value_bytes(v));
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
