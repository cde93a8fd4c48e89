/* recent.h: the entries of one size that were used last, each under a 64-bit key, in locked memory.
 * Owns: that memory, which begins small and grows as long as it can be locked.  Never: knows what is in an entry but its head. */
#ifndef RECENT_H
#define RECENT_H
#include <stddef.h>
#include <stdint.h>

/* An entry begins with this. used 0: the entry is free; its bytes are zero then. */
struct recent_head { uint64_t key, used; };
enum { RECENT_MOST = 4096 };                          /* entries, four to a key's place */
struct recent { void *entry; size_t unit, n; uint64_t used; };      /* entry: owned; unit: bytes of an entry, set by its user */

void *recent_find(struct recent *r, uint64_t key);    /* NULL: there is none */
/* The entry under the key, or a free one, or that of its place which was not used for longest, as it is: the head tells. The caller
 * takes care of what stood there and calls recent_take(). NULL: no memory that can be locked. */
void *recent_room(struct recent *r, uint64_t key);
void recent_take(struct recent *r, void *entry, uint64_t key);
void *recent_at(const struct recent *r, size_t i);    /* each of r->n */
void recent_free(struct recent *r);                   /* wipes; what entries own is their user's, and goes before */
#endif
