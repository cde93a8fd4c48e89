/* episode.h: what is masked, and what follows from an episode of care.
 * Owns: the rows of masks and assignments (class 2), which items a masked episode covers, moving items to where that says they lie.
 * Never: decides who may mask (holder.h); knows a table's columns.
 * A late item (ITEM_LATE) was deposited masked and hidden by somebody who can't know what is: it becomes visible when a full holder finds
 * its episode unmasked, and to representatives when the patient finds that nothing of it is hidden from them. One without an episode waits while it is proposed for a masked one. */
#ifndef EPISODE_H
#define EPISODE_H
#include "circle.h"

/* Row of an ITEM_EXCLUSION: an item, or an episode, is masked from somebody. */
enum { EXCLUSION_ITEM, EXCLUSION_EPISODE, EXCLUSION_KIND, EXCLUSION_WHO, EXCLUSION_SINCE, EXCLUSION_VALUES };
enum { MASK_DOCUMENT, MASK_SINCE, MASK_VALUES };      /* row of an ITEM_MASK */
enum { EPISODE_NAME, EPISODE_SINCE, EPISODE_VALUES }; /* row of an ITEM_EPISODE: the episode is masked */
enum { ASSIGN_ITEM, ASSIGN_EPISODE, ASSIGN_ACCEPTED, ASSIGN_AT, ASSIGN_VALUES };   /* row of an ITEM_ASSIGNMENT */

/* home: the circle in which the row lies, 0 for where the treating doctor reads it too. */
struct masked_item { int64_t item, id, home; char since[32]; };
struct masked_episode { char *name; int64_t id, home; char since[32]; };
/* Row of an ITEM_SHADE: of an episode, or a document (its unique_id), that is masked from the treating doctor, for his software: salt, and a hash of salt and name. By a rule only
 * he does not see what comes late for it, and lies where he opens it until the patient's next login. */
enum { SHADE_SALT, SHADE_HASH, SHADE_VALUES };
struct shade { int64_t id; uint8_t salt[16], hash[16]; };
struct masked_from { int64_t item, id, home; char *episode; /* owned; NULL: the item */ struct exclusion x; char since[32]; };
struct assignment { int64_t item, id; char *episode; int accepted; };
/* What a full holder has chosen for one patient. */
struct choices {
  struct masked_item *item; size_t items;             /* sorted by item */
  struct masked_episode *episode; size_t episodes;
  struct assignment *assign; size_t assigns;          /* sorted by item */
  struct masked_from *from; size_t froms;
  struct shade *shade; size_t shades;
  struct circles circles; int64_t *homes;             /* of the rows that describe circles, as many */
};
const struct shade *choices_shade(const struct choices *c, const struct value *name);             /* NULL: none */
int  choices_read(struct session *s, struct patient *p, struct choices *out);
void choices_free(struct choices *c);
const struct masked_episode *choices_episode(const struct choices *c, const struct value *name);   /* NULL: not masked */
const struct masked_item *choices_item(const struct choices *c, int64_t item);                      /* NULL: no mask of its own */
const struct assignment *choices_assigned(const struct choices *c, int64_t item, const char *episode /* NULL: the accepted one */);

/* The episode of an item: as its depositor signed it (mark.h) or, where he named none, the one that a full holder assigned. Borrows from it or c. */
struct value episode_of(const struct choices *c, const struct item *it);
int  episode_is(const struct value *v, const char *name);
/* 1: masked for itself, by its depositor or by a mask. 1: because its episode is. */
int  episode_item_masked(const struct choices *c, const struct item *it);
int  episode_covers(const struct choices *c, const struct item *it);
/* Moves the items of classes first…last (w NULL: all), as far as their keys are held: those that a masked episode covers become masked; what lies
 * masked or hidden for a reason that has ended (late, a due class, and what is released) becomes visible. */
struct settle { uint16_t first, last; const char *episode; int64_t item; /* released: an episode, an item */ const char *only; /* of this episode, classes aside */ };
int  episode_settle(struct session *s, struct patient *p, const struct settle *w);
/* How many it would move, released ones aside. tell: of those that the asker may know of. */
int  episode_owed(struct session *s, struct patient *p, int tell, size_t *items);
/* The same of one item. follow: only where it is masked from somebody, with its episode. */
int  episode_resettle(struct session *s, struct patient *p, int64_t item, int follow);
/* Moves an item to this leaf: into the circle, made where it is missing, that keeps out whom the choices say, or out of it. */
int  episode_move(struct session *s, struct patient *p, const struct choices *c, struct item *it, int leaf);
/* Of an item, and of its episode: from whom it is masked. */
int  episode_from(const struct choices *c, const struct item *it, struct excluded *out);
int  episode_is_from(const struct choices *c, const struct value *name);   /* 1: the episode is masked from somebody */
/* The patient's rows about what the treating doctor may not know lie where he does not read them, and the others where he does. */
int  episode_hide_choices(struct session *s, struct patient *p);
/* 1: the treating doctor, who asks, is not shown this late item. */
int  episode_shades(struct session *s, struct patient *p, const struct item *it);
/* Items of the choices class; *id: of the new one. */
int  episode_note_from(struct session *s, struct patient *p, const struct masked_from *m, int64_t *id);
int  episode_note_mask(struct session *s, struct patient *p, int64_t item);
int  episode_note_episode(struct session *s, struct patient *p, const char *name, int64_t *id);
int  episode_note_assignment(struct session *s, struct patient *p, int64_t item, const char *episode, int accepted);
int  episode_drop_choice(struct session *s, struct patient *p, int64_t id);

/* What is proposed: items without an episode that stand near one by date, author and prescriber. */
struct proposal { int64_t item; char *episode; int why; };
struct proposals { struct proposal *p; size_t n; };
int  proposals_read(struct session *s, struct patient *p, const struct choices *c, struct proposals *out);   /* undecided ones */
const char *proposal_text(const struct proposal *p);   /* why, in French */
void proposals_free(struct proposals *q);
#endif
