/* notice.h: what a patient, a representative or the treating doctor is told: derived at reading from the log that this login reads, the
 * keyset, the list of grantees, the certificates and the hosting. Nothing of it is stored but which notices somebody has seen.
 * Owns: which events are notices, their words, and the item (class 4) that says what its owner has seen.
 * Never: reads more than this login's keys open: what is hidden from a representative, or not announced to the patient, is told to neither. */
#ifndef NOTICE_H
#define NOTICE_H
#include "change.h"

struct notice { int64_t id /* the same at each reading */, at /* unix ms */; const char *kind; char *text; int seen; };
struct notices { struct notice *n; size_t count, cap; };
int  notice_read(struct session *s, struct patient *p, struct notices *out);      /* oldest first; none for who is told nothing */
void notice_free(struct notices *v);
/* Inside a write that has begun (writer_begin). */
int  notice_see(struct session *s, struct patient *p, int64_t id, int seen);
#endif
