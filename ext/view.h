/* view.h: minimal views: read-only credentials that a patient makes, each for one showing, and that open what she ticked and nothing else.
 * Owns: the patient's list of them, and the keys that follow from a view's root.
 * Never: makes or ends one (show.h); holds a key of the record's compartments.
 * A view is a small record of its own under the patient's id: a credential, Y, P and M of every class, keyset, list and log pairs, all its
 * own, and under its leaves a row of dmp_wrap for each ticked item (object.h). So every table reads it as it reads any record, and nothing
 * in it says that there is more. Only the patient's anchor, her certificate and the header keys of the ticked items are the record's. */
#ifndef VIEW_H
#define VIEW_H
#include "object.h"

/* Row of an ITEM_VIEW, in the one leaf that only the patient holds (identity, L3). root is empty once its keys have turned. */
enum { VIEW_SINCE, VIEW_UNTIL, VIEW_ENDED, VIEW_ITEMS, VIEW_OTHERS, VIEW_LOG, VIEW_ROOT, VIEW_VALUES };
struct ids { int64_t *id; size_t n; };
int  ids_add(struct ids *to, int64_t id);             /* unless it is there */
int  ids_has(const struct ids *in, int64_t id);
void ids_free(struct ids *x);

struct view {
  int64_t id, since, until, ended;                    /* ended 0: its keys have not turned */
  struct ids items, others;                           /* ticked; what else it needs: identity, consents of the depositors */
  uint8_t root[32], log_sk[32], sign_pk[32], box_pk[32];
};
struct views { struct view *v; size_t n; };
/* The views of the patient whose session this is, oldest first; none for anybody else. */
int  views_read(struct session *s, struct patient *p, struct views *out);
void views_free(struct views *v);                     /* wipes */
struct view *views_find(const struct views *v, int64_t id);
void view_row(const struct view *v, struct buf *row);
int  view_over(const struct view *v);                 /* 1: its time is over, and its keys have not turned */
/* How many are over; for session.owed and the patient's next login. */
int  views_owed(struct session *s, struct patient *p, size_t *n);

/* From the root: the credential (seed and what it derives), and the patient as the view holds him. Locked memory of the caller. */
void view_credential(const uint8_t root[32], const struct credential *like, int64_t patient, struct credential *out);
void view_patient(const struct patient *p, const uint8_t root[32], struct patient *out);
/* Under which tag a view's own blocks stand in the log: they are not the patient's. */
void view_writer_tag(const uint8_t directory_key[32], const uint8_t sign_pk[32], uint8_t tag[16]);
#endif
