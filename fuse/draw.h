/* draw.h: the helpers that turn a clinical document into a page (dmp-draw): started before anything is mounted, while this
 * process may still start programs, and asked over a socket each.
 * Once they run, this side only sends, reads, polls, closes and waits for the dead: a filter of system calls need allow no more.
 * It never waits for a page: a document that takes its seconds keeps one helper, and whoever wants its page, nobody else.
 * Owns: the sockets, the helpers, what is on its way.  Never: parses a document; hands a helper anything but one document's bytes. */
#ifndef DRAW_H
#define DRAW_H
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include "page.h"

enum { DRAW_HELPERS = 3 };
struct draw;
int  draw_new(struct draw **out);           /* dmp-draw beside this program; 0 or an errno */
void draw_free(struct draw *d);             /* NULL is harmless */

int  draw_ready(const struct draw *d);      /* 0; EBUSY: all draw, ask again; EIO: none is left, or d is NULL */
/* Hands a document over, copied, when draw_ready(); of is the caller's name for it. 0 or ENOMEM. */
int  draw_begin(struct draw *d, uint64_t of, const void *xml, size_t n);
/* The next page that is there. 0; EINVAL: its document can't be drawn; EIO: its helper has gone; EAGAIN: there is none yet. */
int  draw_next(struct draw *d, uint64_t *of, struct text *out);
/* What to wait for until draw_next() is worth asking, and, made shorter, how long (-1: for ever). How many in p. */
nfds_t draw_poll(const struct draw *d, struct pollfd p[DRAW_HELPERS], int *ms);
#endif
