/* keyset.h: a patient's chained, signed list of compartments: which keys are live, where to deposit, who the treating doctor is.
 * Owns: the layout and the rule of who may sign what in the next one.  Never: holds a compartment key, chooses one.
 * Kept, all versions, each at loc = PRF(Yk, "keyset" ‖ seq): the newest is found by one seek from a pin. */
#ifndef KEYSET_H
#define KEYSET_H
#include "session.h"
#include "rights.h"

enum { CLASSES_MAX = 16, LEAVES = 4, TEAMS_MAX = 32 };    /* classes of the map in force; L0…L3 of each */
struct keyset_class { uint16_t cls; uint8_t due /* bits KEY_P, KEY_M: to be turned */, left /* the same because somebody left a team; in memory only (grant.h) */; uint8_t kid_p[16], kid_m[16]; uint8_t deposit[LEAVES][32]; };
/* A team that holds keys of the patient: its key when they last turned for it, and how far its list of members reached then. */
struct keyset_team { uint8_t team[16], cert[32]; uint32_t seq; uint8_t head[32]; };
struct keyset {
  uint64_t seq;
  uint8_t previous[32];
  uint32_t map;
  uint8_t treating[16], treating_cert[32];            /* zeros: none */
  int64_t treating_since;
  struct keyset_class c[CLASSES_MAX];
  size_t n;
  uint8_t log_pk[2][32];                              /* visible, hidden from representatives */
  struct keyset_team team[TEAMS_MAX];
  size_t teams;
  uint8_t signer[32];                                 /* hash of the signer's certificate */
  uint8_t hash[32];
  int64_t row;                                        /* of dmp_keyset, when read */
};
struct keyset_team *keyset_team(struct keyset *k, const uint8_t team[16]);   /* NULL: not granted */
struct keyset_class *keyset_class(struct keyset *k, uint16_t cls);
/* Seals and inserts k (signed here; fills k->hash). yk: the patient's public key-encrypting key. */
int keyset_put(struct session *s, int64_t patient, const uint8_t yk[32], struct keyset *k, const uint8_t signer_sk[64],
               const uint8_t signer_hash[32]);
/* Reads the one of this seq, form only. DMP_E_NOT_FOUND when there is none. */
int keyset_get(struct session *s, int64_t patient, const uint8_t yk[32], uint64_t seq, struct keyset *k, struct buf *raw);
int keyset_drop(struct session *s, const struct keyset *k);   /* one that was read; notes that it is gone */
int keyset_exists(struct session *s, const uint8_t yk[32], uint64_t seq, int *yes);
/* Is `next` (raw as read) a lawful successor of `k`, or a lawful first one when k is NULL? patient_cert: the patient's. */
int keyset_follows(struct session *s, int64_t patient, const struct certificate *patient_cert, const struct keyset *k,
                   const struct keyset *next, const struct buf *raw);
void keyset_kid(const uint8_t key[32], uint8_t kid[16]);   /* BLAKE2b-128 of KDF(key, "kid") */
#endif
