/* finder.h: where objects were met: a hash from the key of an object or of a locator to a patient.
 * Owns: its memory.  Never: holds a secret; is believed: who asks opens the object with that patient, or goes on asking. */
#ifndef FINDER_H
#define FINDER_H
#include <stddef.h>
#include <stdint.h>

struct finder_slot { uint64_t key; int64_t patient; /* 0: free */ };
struct finder {
  struct finder_slot *slot;                           /* owned */
  size_t n, cap;                                      /* cap: a power of two */
  size_t leaves, deposits;                            /* own grants whose locators, whose own deposits are in it */
  unsigned generation;                                /* of the session when it was begun; an older one gives only hints */
};

int  finder_add(struct finder *f, uint64_t key, int64_t patient);   /* 0, or DMP_E_NOMEM */
/* The patients met under the key, one a call: *probe is 0 at the first, and kept between. 0: no more. */
int64_t finder_next(const struct finder *f, uint64_t key, size_t *probe);
void finder_begin(struct finder *f, unsigned generation);           /* forgets everything */
void finder_free(struct finder *f);
#endif
