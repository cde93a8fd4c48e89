/* state.h: the state box of a compartment: how many items lie in it and a keyed XOR over them, so that a row dropped, doubled
 * or put back is seen; and another XOR over their marks (mark.h).
 * Owns: the box's layout (seq u64 · count u64 · XOR 16 · XOR of the marks 16).  Never: reads an item. */
#ifndef STATE_H
#define STATE_H
#include "grant.h"

struct state { int64_t row; uint64_t seq, count; uint8_t sum[16], marks[16]; };
/* The state at the leaf; DMP_E_STATE_BAD when it is missing or there are two. */
int  state_get(struct session *s, int64_t patient, const struct leaf *l, struct state *out);
/* Writes it under the leaf (seq + 1): in its row, or a new one when row is 0. Notes the row for the log. */
int  state_put(struct session *s, int64_t patient, const struct leaf *l, struct state *st);
int  state_drop(struct session *s, const struct state *st);   /* takes the row away, and notes that */
/* Adds (or takes away: XOR is its own inverse; the caller keeps count) one item's term. tag: of the header box; NULL = ids only. */
void state_term(struct state *st, struct leaf *l, int64_t object, uint64_t version, const uint8_t tag[16]);
void state_mark(struct state *st, struct leaf *l, int64_t object, int64_t mark);   /* the same of its mark */
int  state_equal(const struct state *a, const struct state *b);       /* count and both sums */
int  state_marks_equal(const struct state *a, const struct state *b); /* count and marks */
#endif
