/* mark.h: the episode of an item as its depositor named it, and the mark of the item's row that says it to who holds the leaf.
 * Owns: the mark: a number made under the leaf from the item's id and its episode. To anybody else it is random, also where two items are of one episode
 * or of none; a sealed deposit has none (0) until it is adopted.  Never: reads the file; knows what an episode hides (episode.h). */
#ifndef MARK_H
#define MARK_H
#include "item.h"

int  mark_episode(const struct item *it, struct value *episode);   /* as its depositor signed it; 0: the row makes no sense */
struct mark_key { int ready; uint8_t prf[SUITE_PRF]; };     /* of one leaf, made when first needed; its owner wipes it */
void mark_name(const struct value *episode, uint8_t name[16]);   /* zeros for none */
int64_t mark_make(struct mark_key *k, const struct leaf *l, int64_t id, const uint8_t name[16]);
int64_t mark_of(const struct leaf *l, const struct item *it);
#endif
