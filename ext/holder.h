/* holder.h: what full holders do: give, withdraw and rotate keys, each within the classes they hold.
 * Owns: the list of grantees (an item of class 2), rotation, keysets after the first, packets; the patient's enrolment.
 * Never: opens an item for a reader; knows a table's columns.  Who gets what: rights.h, asked per key. */
#ifndef HOLDER_H
#define HOLDER_H
#include "object.h"

struct grantee {
  uint8_t principal[16], cert[32], mail[16];
  int64_t grant_id, since, until;
  uint8_t as;                                         /* enum reader; READER_NONE: withdrawn */
};
struct grantees { struct grantee *g; size_t n; };
int  grantees_read(struct session *s, struct patient *p, struct grantees *out);
void grantees_free(struct grantees *g);

/* Every write begins here: packets adopted, newest keyset verified, sealed deposits taken in. */
int writer_begin(struct session *s, int64_t patient, struct patient **p);
/* The same, for the patient or the treating doctor; DMP_E_FULL_HOLDER. */
int holder_begin(struct session *s, int64_t patient, struct patient **p);
int holder_is_full(struct session *s, struct patient *p, int *full);

int holder_consent(struct session *s, struct patient *p, int64_t grantee, int64_t until);
int holder_withdraw(struct session *s, struct patient *p, int64_t grantee);
int holder_treating(struct session *s, struct patient *p, int64_t doctor /* 0: none */);
/* What earlier holders could not do: classes that are due and that this login holds are rotated, and what was deposited masked
 * because of that moves back. */
int holder_due(struct session *s, struct patient *p);
int holder_owed(struct session *s, struct patient *p, unsigned *classes);

/* A consent row of the patient: row values grantee, basis, since, until, recorded_by. */
enum { CONSENT_GRANTEE, CONSENT_BASIS, CONSENT_SINCE, CONSENT_UNTIL, CONSENT_BY, CONSENT_VALUES };

/* ---- enrolment ---- */
struct newcomer {
  int64_t id;                                         /* out: the patient */
  const char *credential_path; const void *pin; size_t pin_len;
  const char *identifier, *name;                      /* for the certificate */
  const struct buf *row, *local;                      /* rows of the patient's item, and of a local identity (NULL: none) */
  int64_t treating;                                   /* 0: none */
};
int holder_enrol(struct session *s, struct newcomer *n);
#endif
