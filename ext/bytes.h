/* bytes.h: growing buffers, bounded readers, little-endian fields, sizes and ids.
 * Owns: the memory of a struct buf until buf_free().  Never: cryptography, SQL. */
#ifndef BYTES_H
#define BYTES_H
#include <stddef.h>
#include <stdint.h>

/* A growing byte string. Zero-initialise it. An allocation failure sticks in `bad`, so that a
 * sequence of puts is checked once, at its end. Contents are wiped whenever memory is given back. */
struct buf { uint8_t *p; size_t n, cap; int bad; };
void buf_put(struct buf *b, const void *p, size_t n);
void buf_zero(struct buf *b, size_t n);               /* appends n zero bytes */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
int  buf_reserve(struct buf *b, size_t n);            /* room for n more bytes; 0, or DMP_E_NOMEM */
void buf_reset(struct buf *b);                        /* n = 0, keeps the memory, wipes it */
void buf_free(struct buf *b);                         /* wipes and frees; harmless when zero */

static inline void le_put64(uint8_t p[8], uint64_t v) {
  for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static inline void le_put32(uint8_t p[4], uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t le_get32(const uint8_t p[4]) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t le_get64(const uint8_t p[8]) {
  return (uint64_t)le_get32(p) | (uint64_t)le_get32(p + 4) << 32;
}

/* A reader over borrowed bytes. Reading past the end sets `bad` and gives zeros or NULL. Inline: each value of each row opened
 * passes here. */
struct rd { const uint8_t *p; size_t n; int bad; };
void     rd_copy(struct rd *r, uint8_t *to, size_t n);   /* n bytes to `to`; untouched when fewer are left */
int      rd_done(const struct rd *r);                 /* 1: all read, nothing bad */

static inline const uint8_t *rd_bytes(struct rd *r, size_t n) {   /* NULL when fewer than n bytes are left */
  if (r->bad || n > r->n) {
    r->bad = 1;
    return NULL;
  }
  const uint8_t *p = r->p;
  if (n) r->p += n;                                   /* an empty reader may hold NULL */
  r->n -= n;
  return p;
}

static inline uint8_t rd_u8(struct rd *r) {
  const uint8_t *p = rd_bytes(r, 1);
  return p ? *p : 0;
}

static inline uint16_t rd_u16(struct rd *r) {
  const uint8_t *p = rd_bytes(r, 2);
  return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

static inline uint32_t rd_u32(struct rd *r) {
  const uint8_t *p = rd_bytes(r, 4);
  return p ? le_get32(p) : 0;
}

static inline uint64_t rd_u64(struct rd *r) {
  const uint8_t *p = rd_bytes(r, 8);
  return p ? le_get64(p) : 0;
}

size_t padme(size_t n);                               /* n rounded up by Padmé (PURBs, 2019): leaks O(log log n) bits */
int    bytes_hex(const char *hex, size_t n, uint8_t *out);   /* 2n hex digits -> n bytes; 0, or -1 */
void   bytes_to_hex(const uint8_t *p, size_t n, char *out);  /* writes 2n digits and a NUL */
void   bytes_wipe(void *p, size_t n);                 /* a memset that the compiler keeps */

/* An id: (milliseconds since 2020-01-01) << 21 | 21 random bits: positive until 2159. */
int64_t id_make(int64_t unix_ms, uint32_t random);
int64_t id_time(int64_t id);                          /* -> unix milliseconds */
void    id_field(uint8_t out[16], int64_t id);        /* id ‖ 8 zero bytes: the form of a 16-byte id field */
int64_t id_from_field(const uint8_t in[16]);          /* -1 when the last 8 bytes are not zero */
#endif
