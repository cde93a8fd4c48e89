/* sight.h: who can open an item of a patient, and why, as a full holder can tell.
 * Owns: the words for it.  Never: a rule: what somebody holds is asked of change.h, which decides by the same answer what is sent to him;
 * who kept an own key is read from the item that its depositor signed. */
#ifndef SIGHT_H
#define SIGHT_H
#include "change.h"
#include "circle.h"

struct sight {
  struct session *s;
  struct patient *p;
  int full;                                           /* 0: this login can't tell; nothing else is filled */
  struct grantees list;
  struct circles circles;
  uint8_t (*keys)[CLASSES_MAX];                       /* by grantee and place in the keyset, as far as they were asked */
};
int  sight_begin(struct session *s, struct patient *p, struct sight *out);
void sight_end(struct sight *v);

enum { WHY_TEXT = 400 };
/* by_key: he holds the key of where the item lies. held: that of where it would lie if it were not masked; whole: every
 * key of the class. */
struct reason { int64_t principal; int by_key, held, whole; char why[WHY_TEXT]; };
/* One call for each reason for which somebody opens the item: whose leaf this login knows. only: nobody else's; 0: everybody's. */
int  sight_each(struct sight *v, const struct item *it, int64_t only, int (*each)(void *ctx, const struct reason *r), void *ctx);
#endif
