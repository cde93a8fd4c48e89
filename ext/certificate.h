/* certificate.h: who is who: public keys and identity of a principal, signed by the authority or, for patients, a registrar.
 * Owns: the certificate's layout and the request's, and when one certificate continues another.
 * Never: holds a private key; seals anything to a certificate that it has not verified.
 * Layout (FORMAT "Certificate"): magic 4 · version 1 · kind 1 · status 1 · rights 1 · serial 4 · log index 4 · principal 16 ·
 * Ed25519 32 · X25519 32 · not before 8 · not after 8 · record 16 · profession 2 · flags 2 · hash of the signing certificate 32 ·
 * hash of the previous one of this principal 32 · hash of the previous in the log 32 · TLV length 2 · TLV · continuity 64 ·
 * signature 64 · second signature 64. */
#ifndef CERTIFICATE_H
#define CERTIFICATE_H
#include "record.h"

enum kind { KIND_AUTHORITY = 1, KIND_PROFESSIONAL, KIND_STAFF, KIND_TEAM, KIND_PATIENT, KIND_REPRESENTATIVE, KIND_SOURCE,
            KIND_EMERGENCY, KIND_GUARDIAN };
enum { RIGHT_REGISTER_PATIENTS = 1 };                 /* bit of rights */
enum { FLAG_OWN_KEY = 1,                              /* the owner made the key: not set for one made at a desk */
       FLAG_RENEWED = 2 };                            /* the keys are not this principal's first */
enum { STATUS_ACTIVE = 0, STATUS_REVOKED = 1 };
enum { CERT_TEXT = 256, CERT_TLV_MAX = 1024, CERT_MAX = 4 + 4 + 8 + 16 + 64 + 16 + 16 + 4 + 96 + 2 + CERT_TLV_MAX + 192 };
enum { TLV_IDENTIFIER = 1, TLV_NAME, TLV_SPECIALTY, TLV_FACILITY, TLV_IDENTITY /* BLAKE2b-256 of a patient's identity row */ };

struct certificate {
  uint8_t kind, status, rights;
  uint32_t serial, log_index;
  uint8_t principal[16], sign_pk[32], box_pk[32], record[16];
  int64_t not_before, not_after;                      /* unix ms; 0 = no end */
  uint16_t profession, flags;
  uint8_t issuer[32], previous[32], log_previous[32]; /* hashes of certificates; zeros = none (issuer zeros: self-signed authority) */
  char identifier[CERT_TEXT], name[CERT_TEXT], specialty[CERT_TEXT], facility[CERT_TEXT];
  uint8_t identity[32];                               /* patients: digest of the identity row; zeros: none */
  uint8_t hash[32];                                   /* of the whole: how others name this certificate */
  uint8_t continuity[64];                             /* by the keys before, where these are other ones; else zeros */
  int countersigned;                                  /* it carries a second signature, which verifies or not */
  int verified;                                       /* 1: it counts; -1: it does not; 0: nobody has looked yet */
  struct buf raw;                                     /* owned by the directory: the bytes that were signed; else empty */
};

/* Serialises c, signed with the issuer's key; fills c->hash. */
int  certificate_write(struct certificate *c, const uint8_t issuer_sk[64], struct buf *out);
/* Parses; checks form only. DMP_E_CERT_BAD, or DMP_E_LATER for fields that only a later version uses. */
int  certificate_parse(const uint8_t *p, size_t n, struct certificate *c);
/* The signature of the serialised certificate under the issuer's key. */
int  certificate_signed(const uint8_t *p, size_t n, const uint8_t issuer_pk[32]);
/* The second signature, which a patient's re-issued certificate needs; and whether it verifies. */
int  certificate_countersign(struct buf *cert, const uint8_t sk[64]);
int  certificate_countersigned(const uint8_t *p, size_t n, const uint8_t pk[32]);

/* c: what follows old, with its keys and its identity, to be changed before it is written. */
void certificate_follow(const struct certificate *old, struct certificate *c);
/* c has other keys now: the former ones say that these follow. */
void certificate_continuity(struct certificate *c, const uint8_t former_sk[64]);
/* 1: c follows old lawfully: same principal, next serial, and the same keys or a signature of the old ones. */
int  certificate_continues(const struct certificate *old, const struct certificate *c);
int  certificate_same_keys(const struct certificate *a, const struct certificate *b);

/* A request: "dmp-request-1." and hex of principal 16 · Ed25519 32 · X25519 32 · signature 64. */
int  certificate_request(const uint8_t principal[16], const uint8_t sign_pk[32], const uint8_t sign_sk[64], const uint8_t box_pk[32],
                         char **out);                 /* sqlite3_malloc'ed */
int  certificate_read_request(const char *text, uint8_t principal[16], uint8_t sign_pk[32], uint8_t box_pk[32]);
/* The authority's fingerprint: 8 groups of 4 hex digits of BLAKE2b-128 of its Ed25519 key. */
enum { FINGERPRINT_TEXT = 40 };
void certificate_fingerprint(const uint8_t sign_pk[32], char out[FINGERPRINT_TEXT]);
int  certificate_fingerprint_matches(const uint8_t sign_pk[32], const char *text);   /* spaces, dashes and case don't matter */

const char *certificate_kind_text(unsigned kind);
int  certificate_kind_of(const char *text);           /* 0: unknown */
#endif
