/* random.h: where every random byte of the product comes from.
 * Owns: nothing.  Never: a pool, a counter or a seed: each call asks the system.
 * A test build links another object with the same two functions (tests/random_test.c). */
#ifndef RANDOM_H
#define RANDOM_H
#include <stddef.h>

/* Fills out with n random bytes; label says what for (it matters only to the test build). 0, or DMP_E_RANDOM. */
int  random_bytes(const char *label, void *out, size_t n);
/* Says which thing the next bytes are for, by a name that a rerun repeats (a unique_id, traits). */
void random_about(const void *name, size_t n);
/* The format number that records made with this source carry: DMP_FORMAT, or 0xFFFF in the test build. */
unsigned random_format(void);
#endif
