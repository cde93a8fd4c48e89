/* seat.h: from where this login reads: its own place, and one for each secret of each team it is a member of.
 * Owns: the seats, in locked memory; a team's secret as it lies sealed to each member.  Never: opens a grant (grant.h); decides who joins
 * (membership.h).
 * A secret lies in dmp_grant at PRF(KDF(D, "team secret"), team ‖ serial ‖ member), sealed to the member's certificate: team 16 · serial 4 ·
 * secret 32 · seq 4 and hash 32 of the chain's last line then · hash of the giver's certificate 32 · signature 64 over "dmp-team-secret-1" ‖ record ‖
 * member ‖ all before; padded as a grant. What proves it is the signed KEY line, which names its public key. */
#ifndef SEAT_H
#define SEAT_H
#include "team.h"

enum { SEATS = 64 };
struct seat {                                         /* secret: locked memory only */
  uint8_t team[16];                                   /* zeros: oneself, always the first seat, then by the keys that one had before */
  uint32_t serial;
  int newest;                                         /* index of the team's newest seat: where its grants are written */
  int manager, listed;
  int64_t until;
  uint8_t cert[32];                                   /* how grants name whom they are sealed to; of oneself: zeros, the certificate tells */
  uint8_t secret[32], box_sk[32], box_pk[32], wrap[32], inbox[16], own[16];
};

/* Makes the seats true for this generation; where they are others than before, the list of own grants is made anew. */
int  seats_refresh(struct session *s);
const struct seat *seat_of(const struct session *s, const uint8_t team[16]);   /* the newest; NULL: no member */
/* Every secret of the team that this login holds, sealed to one more member. */
int  seat_give(struct session *s, const struct team *t, const uint8_t member[16], const uint8_t member_cert[32]);
int  seat_take_back(struct session *s, const struct team *t, const uint8_t member[16], uint32_t serial);
/* A new secret: its KEY line, and the secret for each active member. */
int  seat_turn(struct session *s, const uint8_t team[16]);
void seat_inbox(const uint8_t directory[32], const uint8_t principal[16], uint8_t loc[16]);
#endif
