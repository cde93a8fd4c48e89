/* bytes.c: growing buffers, bounded readers, little-endian fields, sizes and ids.
 * Owns: the memory of a struct buf.  Never: cryptography, SQL. */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#include "dmp.h"

enum { BUF_FIRST = 128 };                             /* a small box fits without growing */
#define ID_EPOCH_MS 1577836800000LL                   /* 2020-01-01T00:00:00Z in unix milliseconds */
#define ID_MS_MAX ((INT64_C(1) << 42) - 1)            /* what fits above the random bits of a positive id */
enum { ID_RANDOM_BITS = 21 };

void bytes_wipe(void *p, size_t n) {
  if (n == 0) return;
  memset(p, 0, n);
  __asm__ __volatile__("" : : "r"(p) : "memory");     /* the compiler must assume that the zeros are read */
}

/* Never realloc: it would leave a copy of the contents in freed memory. */
int buf_reserve(struct buf *b, size_t n) {
  if (b->bad) return DMP_E_NOMEM;
  if (n <= b->cap - b->n) return 0;
  size_t need = b->n + n, cap = b->cap ? b->cap : BUF_FIRST;
  uint8_t *p = NULL;
  if (need >= n && need <= SIZE_MAX / 2) {
    while (cap < need) cap *= 2;
    p = malloc(cap);
  }
  if (p == NULL) {
    b->bad = 1;
    return DMP_E_NOMEM;
  }
  if (b->n) memcpy(p, b->p, b->n);
  bytes_wipe(b->p, b->cap);
  free(b->p);
  b->p = p;
  b->cap = cap;
  return 0;
}

void buf_put(struct buf *b, const void *p, size_t n) {
  if (n == 0 || buf_reserve(b, n) != 0) return;
  memcpy(b->p + b->n, p, n);
  b->n += n;
}

void buf_zero(struct buf *b, size_t n) {
  if (n == 0 || buf_reserve(b, n) != 0) return;
  memset(b->p + b->n, 0, n);
  b->n += n;
}

void buf_u8(struct buf *b, uint8_t v) { buf_put(b, &v, 1); }

void buf_u16(struct buf *b, uint16_t v) {
  uint8_t p[2] = { (uint8_t)v, (uint8_t)(v >> 8) };
  buf_put(b, p, sizeof p);
}

void buf_u32(struct buf *b, uint32_t v) {
  uint8_t p[4];
  le_put32(p, v);
  buf_put(b, p, sizeof p);
}

void buf_u64(struct buf *b, uint64_t v) {
  uint8_t p[8];
  le_put64(p, v);
  buf_put(b, p, sizeof p);
}

void buf_reset(struct buf *b) {
  bytes_wipe(b->p, b->n);
  b->n = 0;
  b->bad = 0;                                         /* the sequence that failed is dropped with its bytes */
}

void buf_free(struct buf *b) {
  bytes_wipe(b->p, b->cap);
  free(b->p);
  *b = (struct buf){0};
}

void rd_copy(struct rd *r, uint8_t *to, size_t n) {
  const uint8_t *p = rd_bytes(r, n);
  if (p) memcpy(to, p, n);
}

int rd_done(const struct rd *r) { return !r->bad && r->n == 0; }

static unsigned log2_floor(size_t n) {
  unsigned e = 0;
  while (n >>= 1) e++;
  return e;
}

/* Only the upper floor(log2(floor(log2 n))) + 1 bits below the first one stay; the rest is rounded up. */
size_t padme(size_t n) {
  if (n < 2) return n;
  unsigned e = log2_floor(n), s = log2_floor(e) + 1;
  if (e <= s) return n;
  size_t mask = ((size_t)1 << (e - s)) - 1;
  if (n > SIZE_MAX - mask) return n;
  return (n + mask) & ~mask;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int bytes_hex(const char *hex, size_t n, uint8_t *out) {
  for (size_t i = 0; i < n; i++) {
    int hi = hex_digit(hex[2 * i]);
    int lo = hi < 0 ? -1 : hex_digit(hex[2 * i + 1]); /* a NUL ends the string: nothing after it is read */
    if (lo < 0) return -1;
    out[i] = (uint8_t)(hi << 4 | lo);
  }
  return 0;
}

void bytes_to_hex(const uint8_t *p, size_t n, char *out) {
  static const char DIGIT[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = DIGIT[p[i] >> 4];
    out[2 * i + 1] = DIGIT[p[i] & 15];
  }
  out[2 * n] = '\0';
}

/* A clock outside 2020…2159 gives the nearest time that fits: an id is never negative. */
int64_t id_make(int64_t unix_ms, uint32_t random) {
  int64_t ms = unix_ms <= ID_EPOCH_MS ? 0 : unix_ms - ID_EPOCH_MS;
  if (ms > ID_MS_MAX) ms = ID_MS_MAX;
  return ms << ID_RANDOM_BITS | (int64_t)(random & ((1u << ID_RANDOM_BITS) - 1));
}

int64_t id_time(int64_t id) { return (id >> ID_RANDOM_BITS) + ID_EPOCH_MS; }

void id_field(uint8_t out[16], int64_t id) {
  le_put64(out, (uint64_t)id);
  memset(out + 8, 0, 8);
}

int64_t id_from_field(const uint8_t in[16]) {
  return le_get64(in + 8) == 0 ? (int64_t)le_get64(in) : -1;
}
