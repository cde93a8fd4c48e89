/* mark.h: the items of an episode found among a patient's, without opening the others.
 * Owns: the mark of an item's row: a number made under the leaf from the item's id and the episode that its depositor named. To who has no key of the
 * leaf it is random, also where two items are of one episode or of none; a sealed deposit has none (0) until it is adopted.
 * Never: moves an item; knows what is masked (episode.h). */
#ifndef MARK_H
#define MARK_H
#include "object.h"

struct mark_key { int ready; uint8_t prf[SUITE_PRF]; };     /* of one leaf, made when first needed; its owner wipes it */
void mark_name(const struct value *episode, uint8_t name[16]);   /* zeros for none */
int64_t mark_make(struct mark_key *k, const struct leaf *l, int64_t id, const uint8_t name[16]);
int64_t mark_of(const struct leaf *l, const struct item *it);
/* Calls each with the items of the episode in all leaves that this login holds, and with those among the sealed deposits that it opens. Before the
 * first call every leaf's state is compared with the marks that lie there. all: also what is withheld from who asks (object.h). Items to which a full
 * holder assigned the episode are not among them. An item may be taken (each empties *it); else it is closed. */
int  mark_each(struct session *s, struct patient *p, const char *episode, int all, int (*each)(void *ctx, struct item *it), void *ctx);
#endif
