/* verify_protect.h: the part of dmp_verify that is about protected tables.
 * Owns: nothing.  Never: writes; keeps a key longer than one table takes. */
#ifndef VERIFY_PROTECT_H
#define VERIFY_PROTECT_H
#include "session.h"

/* How a finding is told: one call, one row. fault: the sentence of an error that has just been met. */
struct verify_tell {
  void (*finding)(void *ctx, const char *place, int64_t row, const char *kind, const char *what);
  void (*fault)(void *ctx, int e, const char *place);
  void *ctx;
};
/* Each description, each reader's row and each box that this login can open. DMP_E_NOMEM and DMP_E_SQL only. */
int verify_protect(struct session *s, const struct verify_tell *t);
#endif
