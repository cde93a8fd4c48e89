/* history.h: the lines of the access log that this login's keys find.
 * Owns: which pairwise keys a login can make, and that a line counts only in a block signed by the person it names.
 * Never: the log's layout (log.h), what a table shows (table_log.c). */
#ifndef HISTORY_H
#define HISTORY_H
#include "change.h"

struct history_line { struct log_line l; int64_t block; };
struct history { struct history_line *h; size_t n, cap; unsigned foreign; /* lines that somebody else wrote for the person they name */ };
/* All lines about a patient for a full holder (for the patient without those about what is not announced, unless all is 1); else the own ones about what this login can still open; p NULL: the lines of the own
 * chain, which are about nobody's record. Oldest first. */
int  history_read(struct session *s, struct patient *p, int all, struct history *out);
void history_line_put(const struct log_line *l, struct buf *b);   /* appends it as a minimal view keeps it */
void history_free(struct history *h);
#endif
