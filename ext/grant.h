/* grant.h: what a grant opens: one patient's keys, as far as this login holds them.
 * Owns: the grant's layout, adoption and packets, the derivation of leaves, the session's cache of opened patients.
 * Never: decides who is given what (rights.h, holder.h); opens an item (object.h).
 * Payload (FORMAT "Grant row"): patient 8 · grant 8 · anchor slot 8 · Y 32 · mail 16 · pairwise log key 32 · hash of the patient's
 * certificate 32 · keyset seq 8 · keyset hash 32 · since 8 · until 8 · kind 1 · basis 1 · count 2 · entries of 36 (a circle's: 44) · hash of
 * the grantee's certificate 32 · of the granter's 32 · map version 4 · signature 64; padded to 3,072.
 * Entry: class 2 · which 1 · flags 1 · of a circle only: its number 8 · key 32 (zeros in a packet: the circle is given up). */
#ifndef GRANT_H
#define GRANT_H
#include "keyset.h"

/* P0 and M0: halves, they derive L0 and L2 only. C: a circle's key, C0 its visible half. Others are refused. */
enum { WHICH_P = 1, WHICH_M, WHICH_P0, WHICH_M0, WHICH_C, WHICH_C0 = 200 };
enum { ENTRY_MASKED = 1 };                            /* a circle's flag: what lies in it is masked from all professionals too */
enum { GRANT_ACTIVE = 1, GRANT_WITHDRAWN = 2,          /* kind: a withdrawn grant keeps Y and the mail, no key */
       GRANT_NOTE = 3 };                              /* written by a member of a team for himself, to find what he deposits: Y, no mail, no key */
enum { BASIS_NONE = 0, BASIS_SELF, BASIS_TREATING, BASIS_OPENING, BASIS_CONSENT, BASIS_REPRESENTATIVE = 8, BASIS_VIEW = 12 /* a minimal view: view.h */,
       BASIS_MEMBER = 20 /* of a team: opens only while a grant of one does */ };
enum { PATIENT_CERTS = 4 };                           /* a chain of five keys */
enum { GRANT_BYTES = 3072, DOCTORS = 16, CIRCLES_MAX = 32, ENTRIES_MAX = 2 * CLASSES_MAX + CIRCLES_MAX, INBOX_TRIES = 1000 };

struct entry { int64_t circle; /* 0: none */ uint16_t cls; uint8_t which, flags; uint8_t key[32]; };
struct grant {                                        /* secret: locked memory only */
  int64_t patient, id, slot;
  uint8_t y[32], mail[16], pair[32], patient_cert[32];
  uint64_t seq;
  uint8_t keyset_hash[32];
  int64_t since, until;
  uint8_t kind, basis;
  uint16_t count;
  struct entry entry[ENTRIES_MAX];
  uint8_t grantee_cert[32], granter_cert[32];
};

/* One leaf of one class: the key, and where its items and its state lie. */
struct leaf {
  int held;
  uint8_t key[32], object_loc[16], state_loc[16];
  int state_ready;                                    /* the terms of a state need a key of their own: only where rows lie */
  uint8_t state_prf[16];
  int deposit_ready;
  uint8_t deposit_sk[32], deposit_pk[32];
};
struct held { uint16_t cls; int derived; struct leaf leaf[LEAVES]; };
/* The two leaves of a circle: visible to representatives, hidden from them. */
struct circle_leaf { int64_t circle; struct leaf leaf[2]; };

/* A patient as this login holds him. Lives in the session's locked cache; a pointer is good until PATIENT_CACHE other patients
 * have been opened, or the session goes stale. */
struct patient {
  int64_t id, row;                                    /* row of the own grant */
  int inbox;                                          /* the own row is still as sent */
  int merged;                                         /* packets were merged that the file still has */
  int seat;                                           /* from which the row is read (seat.h) */
  int others;                                         /* further grants, of teams, that the file has as sent or that packets wait for */
  int lapsed;                                         /* the end of the row's grant has come: its entries open nothing */
  int64_t expires;                                    /* the first end of what is held; 0 */
  uint8_t team[16];                                   /* through which team the keys come; zeros: given to this login itself */
  int pair_made;
  unsigned generation, tick;
  struct grant g;
  struct entry extra[ENTRIES_MAX]; size_t extras;     /* what teams add to it */
  uint8_t anchor[32], yk[32], deposit_loc[16];
  uint8_t own_leaf[1 + FORMER_MAX][32], own_loc[1 + FORMER_MAX][16];   /* of the keys that this login has, then of those it had */
  int owns;
  struct held held[CLASSES_MAX];
  size_t helds;
  struct circle_leaf *circle;                         /* owned, locked, CIRCLES_MAX of them; NULL while the grant leads to none */
  size_t circles;
  struct leaf none;                                   /* what a class outside the map, or a circle not held, has: nothing */
  uint8_t doctors[DOCTORS][16]; int doctors_read;     /* whom the keysets named treating doctor, when asked */
  int keyset_read, certificate_read;
  int hidden_pair_made; uint8_t hidden_pair[32];      /* with the log's hidden pair; g.pair is with the visible one */
  struct keyset keyset;                               /* the newest, verified */
  struct certificate certificate;                     /* the patient's, verified */
  struct certificate other[PATIENT_CERTS];            /* of a patient whose key was renewed: those before it, and any that may follow */
  int certs;
};

/* ---- reading ---- */
int patient_own(struct session *s);                   /* makes s->own true for this generation */
/* Opens the patient; DMP_E_NO_PATIENT when this login has no grant. Merges packets in memory. */
int patient_get(struct session *s, int64_t id, struct patient **out);
int patient_keyset(struct session *s, struct patient *p, struct keyset **out);
int patient_certificate(struct session *s, struct patient *p, const struct certificate **out);
int patient_certificate_bytes(struct session *s, struct patient *p, struct buf *out);   /* appended: the one in force */
/* The patient's certificate under Yk, beside those that are there. */
int patient_certify(struct session *s, struct patient *p, const struct buf *cert);
/* The keyset after k (NULL: the first), signed by who may: *by is the patient's certificate of the keyset before, and moves on. */
int patient_keyset_step(struct session *s, struct patient *p, const struct certificate **by, const struct keyset *k, const struct keyset *next, const struct buf *raw);
const struct certificate *patient_first_certificate(struct session *s, struct patient *p);   /* where the chain begins; NULL: a fault */
/* The certificate of a depositor or grantee: the patient's own or one of the directory. NULL: unknown. */
const struct certificate *patient_who(struct session *s, struct patient *p, const uint8_t principal[16]);
const struct certificate *patient_who_hash(struct session *s, struct patient *p, const uint8_t hash[32]);
/* The leaf, derived at its first use; ->held is 0 when this login has no key for it. */
struct leaf *patient_leaf(struct patient *p, uint16_t cls, int l);
const uint8_t *patient_key(const struct patient *p, uint16_t cls, int which);   /* WHICH_…; NULL: not held */
/* All entries held, of the own grant and of teams': the i-th, or NULL. */
const struct entry *patient_entry(const struct patient *p, size_t i);
/* A leaf that an entry of the grant leads to. cls, leaf: as of an item; leaf >= 2 in a circle: masked from all professionals too. */
struct way { uint16_t cls; uint8_t leaf; int64_t circle; struct leaf *l; };
size_t entry_ways(struct patient *p, const struct entry *en, struct way out[2]);   /* how many are held */
/* A leaf of a circle; l: of which only the lowest bit counts. */
struct leaf *circle_leaf(struct patient *p, int64_t circle, int l);
int  patient_room(struct patient *p);                 /* for the leaves of circles, before the grant leads to one; DMP_E_LOCK */
void patient_forget(struct patient *p);               /* wipes a patient of the cache */
void leaf_deposit_pair(struct leaf *l);               /* fills deposit_sk, deposit_pk */
void leaf_state_key(struct leaf *l);                  /* fills state_prf */
/* 1: the certificate is or was the patient's, or of somebody whom a keyset of the chain named treating doctor. */
int patient_trusts(struct session *s, struct patient *p, const uint8_t cert_hash[32]);
int patient_expired(const struct patient *p);         /* a date rule, not a key */
/* The half of P or M that leads to leaf l: 0, 2 visible to representatives; 1, 3 hidden from them. */
void half_derive(const uint8_t key[32], int l, uint8_t half[32]);
/* Derives a leaf from P or M. l: 0, 1 from P; 2, 3 from M. */
void leaf_derive(const uint8_t key[32], const uint8_t anchor[32], int l, struct leaf *out);
/* The pairwise key under which a line about p goes: hidden from representatives, or not. */
int  patient_pair(struct session *s, struct patient *p, int hidden, const uint8_t **key);
int  patient_pairwise(struct session *s, const uint8_t anchor[32], const uint8_t log_pk[32], uint8_t out[32]);
void patient_own_keys(const struct session *s, struct patient *p);   /* own_leaf, own_loc of the keys that this login has and had */
void patient_moves_on(struct patient *p, const struct certificate *c);   /* the patient's certificate is this one now */
int  grant_move_own(struct session *s);               /* own grants under a former key come under the present one */
void patient_own_leaf(const struct credential *who, struct patient *p);   /* own_leaf, own_loc */
void patient_yk(const uint8_t y[32], const uint8_t anchor[32], uint8_t yk[32]);

/* ---- writing: inside the application's transaction ---- */
/* Adopts first grants from the inbox: proof verified, moved under the own wrap key. *told: some that their owner's log tells of; what a member of a team gets in
 * his own name, so that masks to certain people need not go by teams, would tell him that there is one. */
int grant_adopt_inbox(struct session *s, int *told);
/* Makes the own row of p true: merged packets written and deleted. */
int grant_adopt_packets(struct session *s, struct patient *p);
/* A member of a team deposits: what he needs to find it again once he has left. Nothing where he has a grant of his own. */
int grant_note(struct session *s, struct patient *p);
/* Moves up to `limit` grants of this login's teams under their newest secret; *left: how many still lie under an older one. */
int grant_move_teams(struct session *s, size_t limit, size_t *left);
/* Writes a grant as own row under a credential's wrap key (the session's, or a patient's being made). */
int grant_put_own(struct session *s, const struct credential *who, const struct grant *g, int64_t row, int64_t *out_row);
/* Puts an entry in, in the place of an older one; a circle's key of zeros takes the circle out. */
void entry_set(struct grant *g, const struct entry *n);
int grant_drop_own(struct session *s, const struct credential *who);   /* all own rows of a credential that ends */
/* Signs g by the granter and seals it to the grantee at the inbox (first) or at its mail (packet). */
int grant_send(struct session *s, struct grant *g, int first, const struct certificate *grantee, const uint8_t granter_sk[64],
               const uint8_t granter_hash[32]);
#endif
