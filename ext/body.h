/* body.h: a document's body: chunks of 64 KiB under the body key, nonce = chunk number ‖ last flag, and their root.
 * Owns: the chunk rows of dmp_chunk, the padding of a body's length (Padmé over the whole).  Never: who may read it.
 * The body is the original, then its readable view when that is not a part of the original. */
#ifndef BODY_H
#define BODY_H
#include "object.h"

/* Two parts make a body; the second may be empty. Borrowed. */
struct body_parts { const uint8_t *a, *b; size_t a_len, b_len; };
/* Draws a body key, writes the chunks of object id, and fills c->body_size and c->body_root. */
int body_write(struct session *s, int64_t id, const struct body_parts *parts, uint8_t body_key[32], struct content *c);
/* What is needed to read a body that was checked: 16 bytes a chunk, which the depositor signed. Owns them. */
struct body { int64_t object; uint64_t size; uint8_t key[32]; struct buf tags; };
void body_close(struct body *b);                      /* wipes; harmless when zero */
/* The depositor's signature and the root over the chunks' tags: once per open document and login. */
int body_check(struct session *s, struct patient *p, const struct item *it, struct body *b);
/* Bytes [offset, offset + size) cut at the end, appended to out. */
int body_read(struct session *s, const struct body *b, uint64_t offset, uint64_t size, struct buf *out);
#endif
