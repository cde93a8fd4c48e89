/* announce.c: announcing and revealing (see announce.h). */
#include "announce.h"
#include "access.h"
#include "follow.h"
#include <string.h>

/* The depositor tells the patient; where he holds the class the document goes where representatives see it, unless it is hidden
 * from them for itself. */
static int announce(struct session *s, struct patient *p, struct item *it) {
  int64_t id = it->id;
  if (!object_unannounced(it)) return DMP_OK;
  if (memcmp(it->c.depositor, s->cred->principal, 16) != 0) return DMP_E_ANNOUNCER;
  int e = object_amend(s, p, it, AMEND_ANNOUNCE);
  item_close(it);
  if (e == DMP_OK) e = object_open(s, p, id, it);
  if (e == DMP_OK && !(it->c.flags & ITEM_HIDDEN) && it->via == VIA_LEAF && it->leaf & 1 && object_leaf(p, item_beside(it, it->leaf - 1))->held)
    e = object_move(s, p, it, item_beside(it, it->leaf - 1));
  return e == DMP_OK ? access_pend_item(s, p, LOG_ANNOUNCE, id, deposit_hidden(it), NULL) : e;
}

/* Shown to representatives, for good: by the patient, the treating doctor or the depositor, each where he holds the class. */
static int reveal(struct session *s, struct patient *p, struct item *it) {
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !deposit_hidden(it)) return e;
  if (follow_withheld(s, p, it)) return DMP_E_UNANNOUNCED;
  if (!full && memcmp(it->c.depositor, s->cred->principal, 16) != 0) return DMP_E_NOT_ALLOWED;
  if (it->via != VIA_LEAF || !object_leaf(p, item_beside(it, it->leaf - 1))->held) return DMP_E_NOT_ALLOWED;
  e = object_move(s, p, it, item_beside(it, it->leaf - 1));
  return e == DMP_OK ? access_pend_item(s, p, LOG_REVEAL, it->id, 0, NULL) : e;
}

int announce_update(struct session *s, int64_t id, int hidden, int invisible) {
  struct patient *p;
  struct item it;
  int e = deposit_find(s, id, &p, &it);
  if (e != DMP_OK) return e;
  int64_t patient = p->id;
  int taken_back = (hidden == 1 && !deposit_hidden(&it)) || (invisible == 1 && !object_unannounced(&it));
  item_close(&it);
  if (taken_back) return DMP_E_NO_HIDING;
  e = writer_begin(s, patient, &p);                   /* adopts: the item is opened again where it lies now */
  if (e == DMP_OK) e = object_open(s, p, id, &it);
  if (e != DMP_OK) return e;
  if (invisible == 0) e = announce(s, p, &it);
  if (e == DMP_OK && hidden == 0) e = reveal(s, p, &it);
  item_close(&it);
  return e;
}
