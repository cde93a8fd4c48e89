/* directory.h: the log of certificates: everybody but patients, in the order of registration, each entry naming the one before.
 * Owns: the rows of dmp_certificate under D, which certificate of a principal counts, and that the log only ever grows.
 * Never: holds a private key; knows what a certificate permits.
 * A certificate counts when the authority signed it and it is its principal's first, or continues the one that counted before it. What
 * the authority issued beside that (other keys without the former ones' signature, a second first) is nobody's: nothing is sealed to it. */
#ifndef DIRECTORY_H
#define DIRECTORY_H
#include "certificate.h"

/* Every certificate under D, in log order. */
struct directory {
  struct certificate *all;
  size_t n;
  uint8_t pinned[32];
  int64_t rows;
  uint32_t seen; uint8_t last[32];                    /* how many entries this credential has seen, committed, and the hash of the last */
};
int  directory_load(struct record *r, const uint8_t d[32], const uint8_t authority_pk[32], struct directory *out);
/* Reads again when rows were added or taken away. DMP_E_CERT_LOG: what was seen is not there any more. */
int  directory_refresh(struct record *r, const uint8_t d[32], struct directory *dir);
void directory_free(struct directory *dir);
/* The certificate that counts now, revoked or not; NULL: nobody. */
const struct certificate *directory_by_principal(struct directory *dir, const uint8_t principal[16]);
/* 1: two principals of one kind whose certificates name the same number (RPPS): the one was registered anew as the other. */
int  directory_same_number(struct directory *dir, const uint8_t a[16], const uint8_t b[16]);
/* One that counts or counted; NULL: unknown, or it never did. */
const struct certificate *directory_by_hash(struct directory *dir, const uint8_t hash[32]);
/* What was seen is still there; DMP_E_CERT_LOG otherwise. */
int  directory_held(struct directory *dir);
int  directory_note(struct directory *dir);           /* what was read is committed: 1 when it is more than was seen before */
/* What became of each entry, for who is to be told: dmp_verify, the table certificate_log, notifications. Settles them all. */
enum entry_state { ENTRY_FIRST = 1, ENTRY_CHANGED, ENTRY_RENEWED /* other keys */, ENTRY_REVOKED, ENTRY_RESTORED,
                   ENTRY_UNSIGNED /* not by the authority */, ENTRY_DISCONTINUOUS /* by the authority, in nobody's place */ };
enum entry_state directory_entry(struct directory *dir, size_t i);
/* Appends a certificate under D (log index and previous hash are filled here). */
int  directory_add(struct record *r, const uint8_t d[32], struct directory *dir, struct certificate *c, const uint8_t issuer_sk[64]);
/* A patient's certificate as read from bytes: signed by the authority or a registrar of the directory; a re-issued one by an authority
 * besides, so by two persons. Whether it continues the one before is the caller's to ask. */
int  directory_verify_patient(struct directory *dir, const uint8_t *p, size_t n, struct certificate *c);
#endif
