/* holder.h: what full holders do: give, withdraw and rotate keys, each within the classes they hold.
 * Owns: how a write begins; consents and their rows, changes of treating doctor, what is owed.
 * Never: opens an item for a reader; knows a table's columns; turns a key itself (change.h). */
#ifndef HOLDER_H
#define HOLDER_H
#include "change.h"

/* Every write begins here: packets adopted, newest keyset verified, sealed deposits taken in. */
int writer_begin(struct session *s, int64_t patient, struct patient **p);
/* The same, for the patient or the treating doctor; DMP_E_FULL_HOLDER. */
int holder_begin(struct session *s, int64_t patient, struct patient **p);
int holder_is_full(struct session *s, struct patient *p, int *full);

int holder_consent(struct session *s, struct patient *p, int64_t grantee, int64_t until);
int holder_withdraw(struct session *s, struct patient *p, int64_t grantee);
/* Takes back what somebody holds, if anything, and stands in the way of consents; taking the block away gives nothing back. */
int holder_block(struct session *s, struct patient *p, int64_t principal, int64_t *row);
int holder_unblock(struct session *s, struct patient *p, int64_t row, int64_t principal);
/* Names a representative, and withdraws one. until: 0, or when the right ends. */
int holder_represent(struct session *s, struct patient *p, int64_t principal, const char *ground, int64_t until, int64_t *row);
int holder_unrepresent(struct session *s, struct patient *p, int64_t principal);
/* The patient's key is another one from now on: every key turns, c is in force, s goes on as next (former: room for what it was before). */
int holder_renew(struct session *s, struct patient *p, const struct certificate *c, const struct credential *next, struct credential *former);
int holder_treating(struct session *s, struct patient *p, int64_t doctor /* 0: none */);
/* What earlier holders could not do: keys that are due and that this login holds are turned, and what was deposited masked
 * because of that moves back; what a representative held whose time is over turns. */
int holder_due(struct session *s, struct patient *p);
/* Late deposits that wait for a full holder, or items of a masked episode that still show. */
int holder_unsettled(struct session *s, struct patient *p, int tell /* 1: only what the asker may know of */, size_t *items);
int holder_owed(struct session *s, struct patient *p, unsigned *things);

/* A consent row of the patient: row values grantee, basis, since, until, recorded_by. */
enum { CONSENT_GRANTEE, CONSENT_BASIS, CONSENT_SINCE, CONSENT_UNTIL, CONSENT_BY, CONSENT_VALUES };
int holder_consent_row(struct session *s, struct patient *p, const struct signer *who, int64_t grantee, const char *basis, int64_t until,
                       int64_t by);
/* A representative's row: principal, ground, since and until (unix milliseconds, 0: none), recorded by. */
enum { REP_PRINCIPAL, REP_GROUND, REP_SINCE, REP_UNTIL, REP_BY, REP_VALUES };
const struct certificate *holder_professional(struct session *s, int64_t id);   /* verified, or NULL */
#endif
