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

/* A reader over borrowed bytes. Reading past the end sets `bad` and gives zeros or NULL. */
struct rd { const uint8_t *p; size_t n; int bad; };
const uint8_t *rd_bytes(struct rd *r, size_t n);      /* NULL when fewer than n bytes are left */
void     rd_copy(struct rd *r, uint8_t *to, size_t n);   /* n bytes to `to`; untouched when fewer are left */
uint8_t  rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
int      rd_done(const struct rd *r);                 /* 1: all read, nothing bad */

void     le_put64(uint8_t p[8], uint64_t v);
uint64_t le_get64(const uint8_t p[8]);
void     le_put32(uint8_t p[4], uint32_t v);
uint32_t le_get32(const uint8_t p[4]);

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
