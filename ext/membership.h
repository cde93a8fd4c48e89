/* membership.h: what managers do to a team: somebody joins, somebody leaves, the secret moves; and what of that a login still owes.
 * Owns: the order of those steps.  Never: the bytes of a line (team.h) or of a secret (seat.h); a patient's keys, which full holders turn. */
#ifndef MEMBERSHIP_H
#define MEMBERSHIP_H
#include "holder.h"
#include "seat.h"

/* A member, or what is said of one changes. By a manager, or by the authority where there is none. *row: of the line. */
int membership_join(struct session *s, const uint8_t team[16], const uint8_t member[16], int manager, int64_t until, int64_t *row);
/* A signed departure, obeyed at once by every writer, and a new secret for those who stay. */
int membership_leave(struct session *s, const uint8_t team[16], const uint8_t member[16]);
/* Which stay a row of the table is about; DMP_E_NOT_FOUND. */
int membership_find(struct session *s, int64_t row, const struct team **t, const struct team_member **m);
/* What a departure still waits for: grants of the team under an older secret, and patients whose keys have not turned since; for a member. */
int membership_pending(struct session *s, const struct team *t, const struct team_member *m, int64_t *n);
/* In a login, outside transactions: new secrets where a date has come, by a manager; what lies under older ones moves, by any member. */
int membership_owed(struct session *s, int *owed);
int membership_secrets(struct session *s);            /* new secrets where they are due */
/* Grants under older secrets move, some at a time: *left: how many wait. With none left the older secrets go. */
int membership_move(struct session *s, size_t *left);
/* Patients of whom this login is the treating doctor and whose keys somebody who left a team may hold. Freed by the caller. */
int membership_patients(struct session *s, int64_t **patient, size_t *n);
int membership_settled(struct session *s);            /* none is left: remembered, so that the next login need not look */
#endif
