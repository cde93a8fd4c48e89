/* follow.h: what an item follows: the other items of its episode, and the document that it replaces.
 * Owns: what a depositor sees of those, and what waits with a document for its announcement.
 * Never: decides where a late item goes (episode.h) or who may deposit (deposit.h). */
#ifndef FOLLOW_H
#define FOLLOW_H
#include "object.h"

/* The texts by which items follow one another, as their depositors signed them; VALUE_NULL: none. 0: the row makes no sense. Borrows from it. */
struct follow_texts { struct value episode, unique_id, replaces; };
int  follow_texts(const struct item *it, struct follow_texts *out);

/* What this login sees of an episode and of a document that is replaced. What was deleted counts for what it hid. */
struct followed {
  const char *episode, *replaces;                     /* in; NULL: none */
  int visible;                                        /* something of the episode shows to professionals */
  int found, masked;                                  /* the replaced document does; it is masked, or lies in a circle */
  int hidden;                                         /* some of that was hidden from representatives by its depositor */
  int waits;                                          /* some of that lies hidden for another reason: not announced, late */
};
int  follow_look(struct session *s, struct patient *p, struct followed *f);
/* An item hidden from representatives was deposited: what of its episode came before it, and lies where this login can move it, is hidden
 * too; but what they deposited themselves stays as they know it. What waits for its announcement takes nothing back from the patient. */
int  follow_hide(struct session *s, struct patient *p, const char *episode);

/* 1: late, and of an episode, or in the place of a document, of which something is not announced: the patient is not shown it before. */
int  follow_waits(struct session *s, struct patient *p, const struct item *it);
int  follow_withheld(struct session *s, struct patient *p, const struct item *it);   /* the same, or not announced itself */
struct awaited;                                       /* what a session remembers of that */
void follow_free(struct awaited *a);                  /* NULL is harmless */
#endif
