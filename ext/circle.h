/* circle.h: masks to certain people: who is left out, and the circles that keep them out.
 * A circle is the compartment of one (patient, class, set of those left out): a random key that stands in the grants of everybody who may
 * read the class and is not left out. Keysets, which those left out read too, list none.
 * Owns: the rows that describe circles (class 2), who is entitled to a circle's key, making, turning and giving up circles.
 * Never: decides who may mask (table_mask.c), which mask covers an item (episode.h), opens an item for a reader.
 * What the treating doctor is left out of lies, description and all, in a circle of class 2 that the patient alone holds: what the
 * treating doctor can't do there for somebody he consents or withdraws is owed, and the patient's next login does it. */
#ifndef CIRCLE_H
#define CIRCLE_H
#include "object.h"

/* Whoever is, or ever was, the patient's treating doctor is one that OUT_TREATING leaves out. */
enum { OUT_PERSON = 1, OUT_TEAM, OUT_PROFESSION, OUT_TREATING };
enum { EXCLUDED_MAX = 16 };
struct exclusion { uint8_t kind; int64_t who; /* principal, or the profession's number; 0 for OUT_TREATING */ };
struct excluded { struct exclusion e[EXCLUDED_MAX]; size_t n; };   /* ascending, each once */
int excluded_add(struct excluded *x, struct exclusion e);          /* DMP_E_CIRCLES: too many */
int excluded_equal(const struct excluded *a, const struct excluded *b);

/* Row of an ITEM_CIRCLE. Holders: those who were given the key as it is; whoever is entitled and not among them, or the reverse,
 * makes it due. */
enum { CIRCLE_ID, CIRCLE_CLASS, CIRCLE_MASKED, CIRCLE_OUT, CIRCLE_HOLDERS, CIRCLE_VALUES };
struct circle_holder { int64_t id; uint64_t mark; };  /* mark: of his certificate and of when he was granted */
enum circle_news { CIRCLE_SAME, CIRCLE_TURNED, CIRCLE_FRESH, CIRCLE_GONE };
struct circle {
  int64_t id, item;                                   /* item: of its row; 0: none */
  uint16_t cls;
  uint8_t masked;                                     /* masked from all professionals too: who holds M is meant */
  enum circle_news news;                              /* of the running change */
  struct excluded out;
  struct circle_holder *holder; size_t holders;       /* owned, ascending */
};
struct circles { struct circle *c; size_t n; };
int  circle_take(struct circles *all, const struct item *it);      /* adds the one that the item describes; others are passed over */
const struct circle *circle_find(const struct circles *all, int64_t id);
void circles_free(struct circles *all);

struct change;
struct grantee;
/* 1: the treating doctor of today is left out, so that only the patient may know of it. */
int  circle_hides(struct session *s, struct patient *p, const struct excluded *x);
int64_t circle_private(const struct patient *p);      /* the patient's circle of class 2; 0: none, or somebody else's login */
/* Finds the circle of each want, making the missing ones and turning those that are due, in one change of keys. */
struct circle_want { uint16_t cls; uint8_t masked; struct excluded out; int64_t circle; /* out */ };
int  circle_ensure(struct session *s, struct patient *p, struct circle_want *w, size_t n);

int  circle_gave(const struct circle *k, int64_t principal);       /* 1: he was given the key as it is */
/* WHICH_C or WHICH_C0: what somebody of the list holds of the circle today; 0: nothing. */
uint8_t circle_holds(struct session *s, struct patient *p, const struct circle *k, const struct grantee *g);

/* ---- parts of a change (change.c) ---- */
int  circle_lets(struct change *c, const struct grantee *g);   /* 1: he is to hold the key of some circle */
int  circle_held(struct patient *p, const struct circle *k);   /* 1: this login holds the whole key */
int  circle_is_due(struct change *c, const struct circle *k);
unsigned circle_due(struct change *c);                /* how many of those whose key this login holds are due */
int  circle_turn(struct change *c);                   /* turns them */
int  circle_turn_private(struct change *c);           /* for the patient, whose key is another one: the circle that he alone holds */
int  circle_entries(struct change *c, const struct grantee *to, struct grant *g);   /* what one grantee is sent */
int  circle_write(struct change *c);                  /* the rows, once the packets are sent */
#endif
