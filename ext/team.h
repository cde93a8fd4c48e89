/* team.h: teams: a structure × a role. Who is a member, who manages, and which public key is the team's today.
 * Owns: each team's chain of signed lines, sealed under D, and its proof.  Never: a secret (seat.h), a patient's key (grant.h).
 * A line: version 1 · kind 1 · manager 1 · zero 1 · seq 4 · serial 4 · team 16 · hash of the line before 32 (of the team's certificate for the
 * first) · member 16 · member's certificate 32 · at 8 · until 8 · X25519 32 · hash of the signer's certificate 32 · signature 64 over
 * "dmp-team-1" ‖ record ‖ all before. JOIN by a manager, or by the authority while there is none; LEAVE and KEY by a manager. A line that nobody
 * may write counts for nothing, wherever it lies; dmp_verify names it. */
#ifndef TEAM_H
#define TEAM_H
#include "session.h"
#include "rights.h"

enum { TEAM_JOIN = 1, TEAM_LEAVE, TEAM_KEY };
struct team_line {
  uint8_t kind, manager;
  uint32_t seq, serial;                               /* serial: of a KEY, counted from 1 */
  uint8_t team[16], previous[32], member[16], member_cert[32], box_pk[32], signer[32], signature[SUITE_SIG];
  int64_t at, until;                                  /* unix ms; until 0: no end */
  uint8_t hash[32];
  int64_t row;                                        /* of dmp_certificate */
};

/* One stay of one person: who leaves and joins again has two. */
struct team_member {
  uint8_t principal[16], cert[32];
  int manager;
  uint32_t joined, left;                              /* seq of the lines; left 0: not yet */
  int64_t since, until, left_at, row;                 /* row: of the line that says so today */
  int revoked;                                        /* his certificate was: obeyed as a departure */
};

struct team {
  uint8_t id[16], root[32];                           /* root: hash of its first certificate, from which the chain begins and the role is */
  struct certificate now;                             /* the authority's, with the key of today; its hash is that of the KEY line */
  uint32_t serial;                                    /* of that key; 0: none yet */
  struct team_line *line; size_t lines;               /* as the file has them, by seq */
  struct team_line *chain; size_t n;                  /* the proven ones */
  struct team_member *member; size_t members;         /* all stays, in the order of joining */
  unsigned foreign;                                   /* lines that count for nothing */
  int proven, e;
};

/* Makes what is known of teams true for this generation; *version changes when anything did. */
int teams_refresh(struct session *s, unsigned *version);
void teams_free(struct teams *t);
/* The proven chain. DMP_E_NO_PRINCIPAL: no such team; DMP_E_TEAM_BAD. Good until the file or the own session changes it. */
int team_get(struct session *s, const uint8_t id[16], const struct team **out);
const struct team_member *team_member_of(const struct team *t, const uint8_t principal[16]);   /* the latest stay; NULL */
int team_names(const struct team *t, const uint8_t principal[16]);   /* a line, true or not, is about him: proving all chains would cost each login */
int team_active(const struct team_member *m);         /* has not left, the date has not come, and the certificate is good */
/* Those who read through the team today: *n stays, each active; freed by the caller. */
int team_members(struct session *s, const uint8_t id[16], struct team_member **out, size_t *n);
const struct team_line *team_key_line(const struct team *t, uint32_t serial);   /* NULL */
int team_ready(const struct team *t);                 /* has a key that no one who left, or whose time is over, ever held */
int team_departed(const struct team *t, uint32_t seq);  /* somebody left, or his time was over, after that many lines */
/* The chain is at least as long as said, and says the same there; DMP_E_TEAM_OLD. */
int team_pinned(const struct team *t, uint32_t seq, const uint8_t head[32]);
void team_head(const struct team *t, uint8_t head[32]);   /* hash of the last line */
int team_covers(uint16_t role, const struct certificate *who);   /* whoever reads as the role reads no more than he may himself */
/* A certificate without keys: the first manager's session makes the secret. The authority's session only. */
int team_register(struct session *s, struct certificate *c);
/* Signs the line as the next one and writes it; l's kind, member… are given. Pointers into the team are stale afterwards. */
int team_line_put(struct session *s, const struct team *t, struct team_line *l);
/* Every line of the file, for dmp_verify. */
int team_each_line(struct session *s, void (*each)(void *ctx, int64_t row, const uint8_t *box, size_t n), void *ctx);
#endif
