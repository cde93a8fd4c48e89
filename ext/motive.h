/* motive.h: a line of the access log as a person reads it, in French: what was done, and why or to whom.
 * Owns: those words (the page of dmp_export, the mount's pages and scripts/dmp read them from here).  Never: which lines somebody reads (history.h). */
#ifndef MOTIVE_H
#define MOTIVE_H
#include "grant.h"
#include "log.h"

enum { MOTIVE_TEXT = 160 };
struct motive {
  const char *action;                     /* "a lu", "a donné un accord à": stands behind a name and before what it is about */
  char reason[MOTIVE_TEXT];               /* "au médecin traitant", "Un avocat"; empty: none */
};
/* p NULL: a line of the own chain. Names are those that this login knows. */
void motive_of(struct session *s, struct patient *p, const struct log_line *l, struct motive *out);
#endif
