/* random.c: where every random byte of the product comes from.
 * Owns: nothing.  Never: a pool, a counter or a seed: each call asks the system. */
#include "random.h"

#include "dmp.h"
#include "suite.h"

int random_bytes(const char *label, void *out, size_t n) {
  (void)label;
  return suite_os_random(out, n);
}

/* The system's bytes depend on nothing. */
void random_about(const void *name, size_t n) {
  (void)name;
  (void)n;
}

unsigned random_format(void) { return DMP_FORMAT; }
