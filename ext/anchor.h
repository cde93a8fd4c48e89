/* anchor.h: the file RECORD-anchor: 32 random bytes per patient, without which no key of the patient can be derived.
 * Owns: the file's layout: magic 8 · record id 16 · zeros to 64 · slots of 32, append-only.  Never: erases (a later operation).
 * Destroying a slot closes a patient's record in the live file and in every copy whose anchor backup is gone. */
#ifndef ANCHOR_H
#define ANCHOR_H
#include "record.h"
enum { ANCHOR_BYTES = 32 };
int anchor_create(struct record *r);                  /* with the record; DMP_E_ANCHOR_OPEN when it exists or can't be made */
int anchor_get(struct record *r, int64_t slot, uint8_t out[ANCHOR_BYTES]);   /* _OPEN, _OTHER, _SHORT */
/* Appends a slot of random bytes, durable before it returns: a newer anchor file fits an older record, never the reverse. */
int anchor_add(struct record *r, int64_t *slot, uint8_t out[ANCHOR_BYTES]);
#endif
