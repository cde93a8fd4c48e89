/* object.h: sealed items in their rows: a header (the row SQL shows), its key wrapped for the leaf it lies in and for its depositor.
 * Owns: finding, inserting, moving and dropping items, and the states that go with that.
 * Never: decides who may (rights.h, holder.h); knows a table's columns (table.h); reads a body (body.h). */
#ifndef OBJECT_H
#define OBJECT_H
#include "state.h"
#include "item.h"

/* Which items of a patient. */
struct scan {
  uint16_t first, last;                               /* classes from…to */
  int own;                                            /* also what this login deposited and can't open by leaf */
  int all;                                            /* also what is not announced to the patient who asks */
  int hidden, masked;                                 /* of the leaves only those hidden from representatives; only masked ones */
  int pool;                                           /* no leaf: only sealed deposits */
  void (*bad)(void *ctx, int e);                      /* NULL: a fault ends the scan; else it is told (r->fault names it) and passed over */
};
/* Opens them all, oldest first. Before the first call of each, every leaf's state is compared with what lies there. A nonzero
 * return of each stops and is returned. The item may be taken (each empties *it); else it is closed. */
int  object_scan(struct session *s, struct patient *p, const struct scan *w, int (*each)(void *ctx, struct item *it), void *ctx);
/* INVISIBLE_PATIENT and neither announced nor a month old: the date rule. A document that lies where professionals can't see it
 * is never invisible to the patient too, unless it lies there only because its class was due or nobody knew its episode. */
int  object_unannounced(const struct item *it);
/* Opens one by id, wherever this login can. DMP_E_NOT_FOUND otherwise, also for what does not exist. */
int  object_open(struct session *s, struct patient *p, int64_t id, struct item *it);
int  object_open_all(struct session *s, struct patient *p, int64_t id, int all /* 1: as in struct scan */, struct item *it);
/* The patient of an object, by hint or by trying; DMP_E_NOT_FOUND. */
int  object_find(struct session *s, int64_t id, struct patient **p, struct item *it);
int  object_exists(struct session *s, int64_t id, int *yes);   /* for whomsoever */
void object_seen(struct session *s, int64_t object, int64_t patient);
int64_t object_met(const struct session *s, int64_t object);   /* with whom it was last met, a hint; 0: not met */
/* The depositor's signature; 50 µs. DMP_E_SIGNATURE. */
int  object_verify(struct session *s, struct patient *p, const struct item *it);
/* The patient's identity row is the one that the certificate names: every consented professional holds the key of its class. */
int  object_certified(struct session *s, struct patient *p, const struct item *it);
/* object_verify for a system item, which only the patient or somebody once named treating doctor may sign; an identity also a registrar. */
int  object_trusted(struct session *s, struct patient *p, const struct item *it);

/* Where an item lies or goes; circle 0: in a leaf of the class. */
struct place { uint16_t cls; int leaf; int sealed; /* 1: to the deposit key even where the leaf is held (a due class) */ int64_t circle; };
static inline struct place item_beside(const struct item *it, int leaf) { return (struct place){ it->cls, leaf, 0, it->circle }; }
struct leaf *object_leaf(struct patient *p, struct place where);   /* ->held is 0 when this login has no key for it */
/* Inserts an item. c->depositor… are filled from `who` (the session, or a patient's key at creation); own: with a dmp_wrap row.
 * it->id may be given (0: made). The leaf is used when held, else the keyset's deposit key. Body fields are the caller's. */
struct signer { const struct credential *cred; const uint8_t *cert_hash; };
int  object_insert(struct session *s, struct patient *p, const struct signer *who, struct place where, struct content *c,
                   const uint8_t body_key[32], int64_t *id);
/* Draws the id of an item about to be inserted (its body is written first). */
int  object_new_id(struct session *s, int64_t *id);
/* New header key, place and version; amendments folded; the depositor's wrap sealed again. Both leaves must be held. */
int  object_move(struct session *s, struct patient *p, struct item *it, struct place to);
/* Replaces the row of a system item (signed anew by the session). */
int  object_rewrite(struct session *s, struct patient *p, struct item *it, const struct buf *row);
/* One more wrapped key of an item that is open, in a leaf of a minimal view (view.h); again: in place of the one that is there. It opens
 * this version of the item only. What it shows is not masked, whatever the item is. */
int  object_tick(struct session *s, struct patient *view, const struct item *it, int again);
/* The state of own deposits as one that holds none; gone: taken away again. */
int  object_own_state(struct session *s, struct patient *p, int gone);
int  object_drop(struct session *s, struct patient *p, struct item *it);    /* system items only */
int  object_amend(struct session *s, struct patient *p, struct item *it, uint8_t action);
/* Re-wraps all items of two leaves from old to new keys (rotation); states are checked, then written under the new ones. */
int  object_rewrap(struct session *s, struct patient *p, struct leaf *from, struct leaf *to);
/* Moves sealed deposits whose leaf is held into it; those that don't open stay. *masked: how many of them lie masked. */
int  object_adopt(struct session *s, struct patient *p, unsigned *masked);
int  object_waiting(struct session *s, struct patient *p, uint8_t flag, int tell, int *some);   /* 1: some with this flag lie there; tell: that the asker may know of */
#endif
