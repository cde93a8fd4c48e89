/* enrol.h: a patient's record comes to be: credential, anchor, certificate, keys of every class, first keyset and grants, all
 * signed by the patient's own key, which this process then forgets.
 * Owns: that one operation.  Never: decides who may enrol (table_people.c); gives later keys (holder.h). */
#ifndef ENROL_H
#define ENROL_H
#include "holder.h"

struct newcomer {
  int64_t id;                                         /* out: the patient */
  const char *credential_path; const void *pin; size_t pin_len;
  const char *identifier, *name;                      /* for the certificate */
  const struct buf *row, *local;                      /* rows of the patient's item, and of a local identity (NULL: none) */
  int64_t treating;                                   /* 0: none */
};
int enrol_patient(struct session *s, struct newcomer *n);
#endif
