/* cache.h: takes the pages of a document away from the kernel when the right to see it ends, from descriptors and
 * mappings that are still open: read() then gives ESTALE, a mapping SIGBUS.
 * Owns: one thread, which only sends notices.  Never: SQL, replies. Refusing in the handlers alone would not be
 * revocation: an open descriptor and a mapping go on reading the page cache. The notice waits for pages that are
 * being read, so the thread that answers reads must never send it. */
#ifndef CACHE_H
#define CACHE_H

struct cache;
struct tree;
struct fuse_session;

enum { CACHE_LOOK_MS = 50, CACHE_END_MS = 5 };

int  cache_new(struct cache **out, struct tree *tree, struct fuse_session *se);    /* borrows both; 0 or an errno */
/* From the thread that owns the tree, at any time: looks no more often than every CACHE_LOOK_MS. */
void cache_look(struct cache *c);
/* At the end of the session, every CACHE_END_MS until it answers 1: takes back the pages of all that is open. */
int  cache_end(struct cache *c);
/* After the file system is unmounted. 0, or EBUSY when the thread still waits in the kernel for a page that nobody
 * will deliver any more: then it lives, with what it borrows, until the process ends. NULL is harmless. */
int  cache_free(struct cache *c);
#endif
