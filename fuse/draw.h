/* draw.h: the helper that turns a clinical document into a page (dmp-draw): started before anything is mounted, while this
 * process may still start programs, and asked over a socket.
 * Once it runs, this side only sends, reads, polls, closes and waits: a filter of system calls need allow no more.
 * Owns: the socket, the helper.  Never: parses a document; hands the helper anything but one document's bytes. */
#ifndef DRAW_H
#define DRAW_H
#include <stddef.h>
#include "page.h"

struct draw;
int  draw_new(struct draw **out);           /* dmp-draw beside this program; 0 or an errno */
void draw_free(struct draw *d);             /* NULL is harmless */
int  draw_pid(const struct draw *d);        /* of the helper, which this process may end; 0: none */
/* The page of a document. 0; EINVAL: it can't be drawn; EIO: the helper has gone, and no page is drawn any more. */
int  draw_page(struct draw *d, const void *xml, size_t n, struct text *out);
#endif
