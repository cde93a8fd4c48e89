/* blocked.h: whom a patient has blocked: they consult nothing, may still deposit where they ever could, and see what they deposited.
 * Owns: the rows of blocks (items of class 2).  Never: a table's columns; turns a key itself (holder.h).
 * A block takes every key back, as a withdrawal does, and stands in the way of any later gift until the patient takes it away. */
#ifndef BLOCKED_H
#define BLOCKED_H
#include "object.h"

enum { BLOCKED_WHO, BLOCKED_SINCE, BLOCKED_VALUES };  /* row of an ITEM_BLOCKED: principal, unix milliseconds */
int blocked_row(const struct item *it, struct value v[BLOCKED_VALUES]);   /* 1: it is one, and makes sense */
/* For a full holder: whether somebody is blocked, and by which item (0: not). */
int blocked_find(struct session *s, struct patient *p, int64_t principal, int64_t *id);
int blocked_all(struct session *s, struct patient *p, int64_t **who, size_t *n);   /* freed by the caller */
int blocked_add(struct session *s, struct patient *p, int64_t principal, int64_t *id);
int blocked_drop(struct session *s, struct patient *p, int64_t id);
#endif
