/* gather.h: the items of an episode found among a patient's, without opening the others.
 * Owns: the search by marks (mark.h), and that every leaf's state is compared with the marks that lie there before the first item is given.
 * Never: moves an item; knows what an episode hides (episode.h). */
#ifndef GATHER_H
#define GATHER_H
#include "object.h"

/* Calls each with the items of the episode in all leaves that this login holds, and with those among the sealed deposits that it opens. all: also what is
 * withheld from who asks (object.h). Items to which a full holder assigned the episode are not among them. An item may be taken (each empties *it); else it
 * is closed. */
int  gather_episode(struct session *s, struct patient *p, const char *episode, int all, int (*each)(void *ctx, struct item *it), void *ctx);
#endif
