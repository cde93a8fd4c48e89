/* needs.h: what mounting needs of the machine, asked before a PIN is: the kernel's device, and fusermount3 for who may not mount.
 * Owns: the sentences that say what to do.  Never: mounts, opens a record. */
#ifndef NEEDS_H
#define NEEDS_H
#include "verdict.h"

/* alone: this process may mount by itself. */
enum verdict needs_check(int alone);
#endif
