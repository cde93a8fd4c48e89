/* reader.h: opening a document: found, checked, logged, then its bytes.
 * Owns: the documents that a login read last (keys in locked memory), and that each is logged before a byte leaves.
 * Never: how a body is stored (body.h). */
#ifndef READER_H
#define READER_H
#include "body.h"

/* Appends bytes [offset, offset+size) of the document's body. original: cut at the original's size (the column `content`).
 * DMP_E_NOT_FOUND: no such document for this login. */
int  reader_read(struct session *s, int64_t document, uint64_t offset, uint64_t size, int original, struct buf *out);
void reader_forget(struct recent *all);               /* the documents that a session has open: wipes */
#endif
