/* deposit.h: what every deposited item shares, a document or a line of a section: where it goes, how it shows, who deletes it.
 * Owns: that.  Never: the columns of a table (table_*.c), the keys of a place (object.h), what an episode hides (episode.h). */
#ifndef DEPOSIT_H
#define DEPOSIT_H
#include "holder.h"

/* The place of a new item of this type: masked or not, hidden from representatives or not; in a class that is due, where nobody who has
 * left can open it, until the keys have turned. DMP_E_HIDE_SELF: nobody hides an item from himself. An item that may
 * belong to a masked episode is masked, and hidden from representatives: for a full holder, who knows, when it is; for a source always; for
 * anybody else unless he sees an item of that episode. A correction follows what it replaces: who does not see that where professionals do
 * leaves it to who knows. What follows a hidden item is hidden; what follows one that is not announced waits with it. DMP_E_FEED_OFF: a source whom the patient did not turn on. */
struct deposit { const char *type_code, *episode, *replaces; int masked, hidden /* from representatives */, invisible /* to the patient */; };
int deposit_place(struct session *s, struct patient *p, const struct deposit *d, struct place *where, uint8_t *flags);
int deposit_confidentiality(const char **code);        /* N where none is given; DMP_E_CODE */
/* Inserts it (c: table, flags, row and body are given) and its log line; what it hides from representatives follows. */
int deposit_put(struct session *s, struct patient *p, const struct deposit *d, struct place where, struct content *c, const uint8_t body_key[32], int64_t *id);

int deposit_sound(const struct item *it);              /* its row makes sense */
uint16_t deposit_class(const struct item *it);        /* the rights class that its type asks for */
/* Masked is where the item lies. A depositor who can't open it there knows it when he holds the class's P and it is not in it. */
int deposit_masked(struct patient *p, const struct item *it, uint16_t cls);
int deposit_meant_leaf(const struct item *it);        /* where it would lie if it were not masked */
int deposit_masked_for(const struct item *it, int held, int whole);   /* the same for somebody who holds that leaf, or every leaf, or does not */
/* Hidden from representatives is where the item lies; a depositor who can't open it there knows what he meant. */
int deposit_hidden(const struct item *it);
const char *deposit_warning(const struct item *it, int masked, int withheld /* from the patient */);   /* NULL: none */

/* Opens a deposited item for a change: unknown, hidden and deleted look the same. */
int deposit_find(struct session *s, int64_t id, struct patient **p, struct item *it);
int deposit_erase(struct session *s, int64_t id);     /* by its depositor */
#endif
