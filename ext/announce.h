/* announce.h: showing what was hidden when it was deposited: to the patient (an announcement), to representatives.
 * Owns: who may, and where the item goes then.  Never: hides anything; columns of a table; what unannounced means (object.h). */
#ifndef ANNOUNCE_H
#define ANNOUNCE_H
#include "deposit.h"

/* What an UPDATE asks: -1 where the column is left alone, else 0 or 1. Hiding what shows: DMP_E_NO_HIDING. invisible 0: the depositor
 * announces (DMP_E_ANNOUNCER); hidden 0: patient, treating doctor or depositor show it to representatives, for good. */
int announce_update(struct session *s, int64_t id, int hidden, int invisible);
#endif
