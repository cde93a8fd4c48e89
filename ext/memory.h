/* memory.h: memory for secrets: locked, left out of core dumps, zero in a forked child, wiped when freed.
 * Owns: the pages it gives until memory_free().  Never: knows what is in them. */
#ifndef MEMORY_H
#define MEMORY_H
#include <stddef.h>
void *memory_new(size_t n);                           /* zeroed; NULL when it can't be locked */
void  memory_free(void *p);                           /* wipes; NULL is harmless */
#endif
