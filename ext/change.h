/* change.h: one change of who holds which keys of a patient: keys turn, the keyset and the packets follow, the list is written.
 * Owns: the list of grantees (an item of class 2) and its layout; turning a key; what is sent to whom; the log's pairs.
 * Never: decides that somebody is to be given or refused (holder.h, enrol.h); what may be given is asked of rights.h per key. */
#ifndef CHANGE_H
#define CHANGE_H
#include "circle.h"

/* Somebody who holds a grant, or held one: a grant never disappears. */
struct grantee {
  uint8_t principal[16], cert[32], mail[16];
  int64_t grant_id, since, until;
  uint64_t seq;                                       /* of the keyset with which he came, or came back */
  uint8_t as;                                         /* enum reader; READER_NONE: withdrawn */
  int fresh;                                          /* not in the file yet: gets a first grant */
};
struct grantees { struct grantee *g; size_t n; };
/* Whose keys a grantee's grant is sealed to today: a person's, or a team's. NULL: unknown. *team: NULL for a person; may be NULL. */
struct team;
const struct certificate *grantee_who(struct session *s, struct patient *p, const struct grantee *g, const struct team **team);
/* Everybody who has read, or could have: who is on the list, and who ever was a member of a team that is; the patient's registrar. Each
 * certificate once; freed by the caller. Good until the directory or the file changes. */
int  grantees_people(struct session *s, struct patient *p, const struct grantees *gs, const struct certificate ***who, size_t *n);
int  grantees_read(struct session *s, struct patient *p, struct grantees *out);
int  grantees_circles(struct session *s, struct patient *p, struct grantees *out, struct circles *circles);   /* and the circles he may know of */
struct grantee *grantees_find(struct grantees *gs, const uint8_t principal[16]);
void grantees_row(const struct grantees *gs, struct buf *row);
void grantees_free(struct grantees *g);
/* The bits KEY_P… of a class that he holds today: what he may be given, by the answer that decides what is sent, less what waits for its
 * turn since before he came, less everything once his time is over. */
int  grantee_holds(struct session *s, struct patient *p, const struct grantee *g, uint16_t cls, unsigned *keys);

struct change {
  struct session *s;
  struct patient *p;
  struct signer by;                                   /* who gives: the session, or the patient being enrolled */
  struct item list_item;
  struct grantees list;
  struct circles circles;                             /* as far as this login may know of them */
  struct keyset next;                                 /* the keyset that will be written */
  uint8_t turned[CLASSES_MAX];                        /* bits KEY_P, KEY_M by index in next.c */
  uint8_t settled[CLASSES_MAX];                       /* by the same index: was due, and nothing of it is any more */
  unsigned ended, renewed;                            /* whose right was over when it began; whose key is another one */
  const char *why;                                    /* of the last of them, for the log; NULL: nobody */
  int log_left;                                       /* somebody left who read the log: its pairs turn with the keys of its class */
  unsigned departed;                                  /* teams that somebody had left */
  const struct grantee *first;                        /* of a patient being enrolled: gets a first grant at the inbox; NULL */
};
int  change_begin(struct session *s, struct patient *p, struct change *c);
void change_end(struct change *c);
/* Adds to want the keys that g may be given, or of which he may be given a half: what turns before he gets them, or after he had them. */
void change_want(struct change *c, const struct grantee *g, uint8_t want[CLASSES_MAX]);
/* Makes g nobody; what he may have held is added to want. */
void change_leave(struct change *c, struct grantee *g, uint8_t want[CLASSES_MAX]);
/* Turns every wanted key that this login holds; those it lacks are marked due. */
int  change_turn(struct change *c, const uint8_t want[CLASSES_MAX]);
/* Whose right is over holds nothing any more in the list; whose key was renewed is sent to the new one. What they held is added to want. */
int  change_owed(struct change *c, uint8_t want[CLASSES_MAX]);
/* Why the keys that somebody holds are to be turned. */
enum owed { OWED_NOTHING = 0, OWED_ENDED, OWED_REVOKED, OWED_RENEWED /* he has another key */ };
enum owed grantee_owed(struct session *s, struct patient *p, const struct grantee *g);
/* What is owed to a patient's teams: keys that somebody who left may hold, once the team's own secret has moved; and that a team of which the
 * patient has blocked a member holds no key, until that one has left or is blocked no more. A team that holds none has no certificate in the
 * keyset. *n: of how many teams something is owed. */
int  teams_owed(struct session *s, struct patient *p, const struct keyset *k, size_t *n);
int  team_blocked(struct session *s, struct patient *p, const struct team *t, int *yes);   /* for a full holder */
/* The same is done: the keys are added to want. */
int  change_departed(struct change *c, uint8_t want[CLASSES_MAX]);
/* Where a patient has masks to certain people, members of granted teams stand in the list by name; who is one no more, or is blocked, holds
 * nothing by name any more. */
int  change_members(struct change *c);
/* What a grantee may read of a class: by rights.h, or as a member of a team. */
unsigned change_may(struct change *c, const struct grantee *g, uint16_t cls);
/* The team holds keys from this keyset on, or no more. */
int  change_team(struct change *c, const uint8_t team[16], int granted);
/* Makes somebody an active grantee of the list (and the one who gets a first grant, when new). */
int  change_add(struct change *c, const struct certificate *who, struct grantee **out);
/* The keyset, the own row, the packets, the list: after the keys have turned. */
int  change_write(struct change *c);
/* Sends one grant or packet; g is locked room for it. */
int  change_send(struct change *c, const struct grantee *to, struct grant *g);
void change_entry(struct grant *g, uint16_t cls, uint8_t which, const uint8_t key[32]);
/* New log pairs into k; the secrets become items of class 3 (L2 visible, L3 hidden from representatives). */
int  change_log_pairs(struct session *s, struct patient *p, const struct signer *who, struct keyset *k);
void change_treating(struct keyset *k, const struct certificate *doctor);   /* NULL: none */
#endif
