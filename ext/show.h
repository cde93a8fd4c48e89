/* show.h: a minimal view comes to be, and ends.
 * Owns: what of a record a view shows, and that nothing it was given opens anything written after its end.
 * Never: the list of views and their keys (view.h); the columns of a table (table_view.c).
 * It shows the ticked items, the identity, and of people the patient, who registered her and the depositors of the ticked items: their
 * consents or feeds, the treating doctor if he is one of them, and the lines of the log between these people about these items. */
#ifndef SHOW_H
#define SHOW_H
#include "view.h"

struct showing { const struct ids *items; const char *credential; const void *pin; size_t pin_len; int64_t until; };
/* Both in the patient's own session, after holder_begin. DMP_E_NOT_FOUND: an item, or a view, that is not there for her. */
int view_make(struct session *s, struct patient *p, const struct showing *w, int64_t *id);
int view_end(struct session *s, struct patient *p, int64_t id);
int view_settle(struct session *s, struct patient *p);   /* ends those whose time is over */
#endif
