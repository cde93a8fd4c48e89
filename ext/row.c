/* row.c: see row.h. The bytes may come from a faulty or a newer program, so nothing is believed but their lengths. */
#include "row.h"
#include "dmp.h"
#include <math.h>
#include <string.h>

enum { VALUE_INVALID = 0xFF };                        /* too long for a row: row_put refuses it */

static uint64_t real_bits(double r) {
  uint64_t u;
  _Static_assert(sizeof u == sizeof r, "a real is stored as its 64 bits");
  memcpy(&u, &r, sizeof u);
  return u;
}

static double real_of(uint64_t u) {
  double r;
  memcpy(&r, &u, sizeof r);
  return r;
}

static void put_value(struct buf *b, const struct value *v) {
  /* SQL has no NaN: SQLite itself turns one into NULL. */
  uint8_t type = v->type == VALUE_REAL && isnan(v->u.r) ? VALUE_NULL : v->type, head[1 + 8] = { type };
  switch (type) {
    case VALUE_NULL: buf_put(b, head, 1); break;
    case VALUE_INT:
    case VALUE_REAL:
      le_put64(head + 1, type == VALUE_INT ? (uint64_t)v->u.i : real_bits(v->u.r));
      buf_put(b, head, 1 + 8);
      break;
    case VALUE_TEXT:
    case VALUE_BLOB:
      le_put32(head + 1, v->n);
      buf_put(b, head, 1 + 4);
      buf_put(b, v->u.p, v->n);
      break;
    default: b->bad = 1;
  }
}

void row_put(struct buf *b, const struct value *v, size_t n) {
  if (n > UINT16_MAX) { b->bad = 1; return; }
  buf_u16(b, (uint16_t)n);
  for (size_t i = 0; i < n; i++) put_value(b, &v[i]);
}

static struct value get_value(struct rd *r) {
  struct value v = { .type = rd_u8(r) };
  switch (v.type) {
    case VALUE_NULL: break;
    case VALUE_INT:  v.u.i = (int64_t)rd_u64(r); break;
    case VALUE_REAL:
      v.u.r = real_of(rd_u64(r));
      if (isnan(v.u.r)) r->bad = 1;                   /* row_put never writes one */
      break;
    case VALUE_TEXT:
    case VALUE_BLOB:
      v.n = rd_u32(r);
      v.u.p = rd_bytes(r, v.n);
      break;
    default: r->bad = 1;
  }
  return v;
}

static void set_null(struct value *v, size_t n) {
  _Static_assert(VALUE_NULL == 0, "a cleared value is NULL");
  if (n > 0) memset(v, 0, n * sizeof *v);
}

int row_get(const uint8_t *p, size_t n, struct value *v, size_t max, size_t *count, size_t *used) {
  struct rd r = { p, n, 0 };
  size_t have = rd_u16(&r);
  *count = *used = 0;
  set_null(v, max);
  for (size_t i = 0; i < have && !r.bad; i++) {
    struct value got = get_value(&r);
    if (i < max && !r.bad) v[i] = got;
  }
  if (r.bad) { set_null(v, max); return DMP_E_ROW_FORMAT; }
  *count = have;
  *used = n - r.n;
  return 0;
}

struct value value_int(int64_t i) { return (struct value){ .type = VALUE_INT, .u.i = i }; }

struct value value_text(const char *s) {
  if (s == NULL) return (struct value){ .type = VALUE_NULL };
  return value_bytes(VALUE_TEXT, s, strlen(s));
}

struct value value_bytes(uint8_t type, const void *p, size_t n) {
  if (n > UINT32_MAX) return (struct value){ .type = VALUE_INVALID };
  return (struct value){ .type = type, .n = (uint32_t)n, .u.p = p };
}

static int int_real_compare(int64_t i, double r) {
  /* Past 2^53 a conversion to double would call different integers equal, so the real is cut to an integer instead. */
  if (r < -9223372036854775808.0) return 1;
  if (r >= 9223372036854775808.0) return -1;
  int64_t whole = (int64_t)r;
  if (i != whole) return i < whole ? -1 : 1;
  double rest = r - (double)whole;
  return rest > 0 ? -1 : rest < 0;
}

static int number_compare(const struct value *a, const struct value *b) {
  if (a->type == VALUE_INT && b->type == VALUE_INT) return a->u.i < b->u.i ? -1 : a->u.i > b->u.i;
  if (a->type == VALUE_INT) return int_real_compare(a->u.i, b->u.r);
  if (b->type == VALUE_INT) return -int_real_compare(b->u.i, a->u.r);
  return a->u.r < b->u.r ? -1 : a->u.r > b->u.r;
}

static int rank(uint8_t type) { return type == VALUE_NULL ? 0 : type <= VALUE_REAL ? 1 : type; }

int value_compare(const struct value *a, const struct value *b) {
  int ra = rank(a->type), rb = rank(b->type);
  if (ra != rb) return ra < rb ? -1 : 1;
  if (ra == 0) return 0;
  if (ra == 1) return number_compare(a, b);
  uint32_t n = a->n < b->n ? a->n : b->n;
  int c = n > 0 ? memcmp(a->u.p, b->u.p, n) : 0;
  if (c != 0) return c < 0 ? -1 : 1;
  return a->n < b->n ? -1 : a->n > b->n;
}
