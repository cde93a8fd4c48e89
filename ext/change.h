/* change.h: one change of who holds which keys of a patient: keys turn, the keyset and the packets follow, the list is written.
 * Owns: the list of grantees (an item of class 2) and its layout; turning a key; what is sent to whom; the log's pairs.
 * Never: decides that somebody is to be given or refused (holder.h, enrol.h); what may be given is asked of rights.h per key. */
#ifndef CHANGE_H
#define CHANGE_H
#include "object.h"

/* Somebody who holds a grant, or held one: a grant never disappears. */
struct grantee {
  uint8_t principal[16], cert[32], mail[16];
  int64_t grant_id, since, until;
  uint8_t as;                                         /* enum reader; READER_NONE: withdrawn */
};
struct grantees { struct grantee *g; size_t n; };
int  grantees_read(struct session *s, struct patient *p, struct grantees *out);
struct grantee *grantees_find(struct grantees *gs, const uint8_t principal[16]);
void grantees_row(const struct grantees *gs, struct buf *row);
void grantees_free(struct grantees *g);

struct change {
  struct session *s;
  struct patient *p;
  struct signer by;                                   /* who gives: the session, or the patient being enrolled */
  struct item list_item;
  struct grantees list;
  struct keyset next;                                 /* the keyset that will be written */
  uint8_t turned[CLASSES_MAX];                        /* bits KEY_P, KEY_M by index in next.c */
  uint8_t settled[CLASSES_MAX];                       /* by the same index: was due, and nothing of it is any more */
  unsigned ended, renewed;                            /* whose right was over when it began; whose key is another one */
  const char *why;                                    /* of the last of them, for the log; NULL: nobody */
  const struct grantee *first;                        /* gets a first grant at the inbox instead of a packet; NULL */
};
int  change_begin(struct session *s, struct patient *p, struct change *c);
void change_end(struct change *c);
/* Adds to want the keys that g may be given, or of which he may be given a half: what turns before he gets them, or after he had them. */
void change_want(struct change *c, const struct grantee *g, uint8_t want[CLASSES_MAX]);
/* Turns every wanted key that this login holds; those it lacks are marked due. */
int  change_turn(struct change *c, const uint8_t want[CLASSES_MAX]);
/* Whose right is over holds nothing any more in the list; whose key was renewed is sent to the new one. What they held is added to want. */
void change_owed(struct change *c, uint8_t want[CLASSES_MAX]);
/* Why the keys that somebody holds are to be turned. */
enum owed { OWED_NOTHING = 0, OWED_ENDED, OWED_REVOKED, OWED_RENEWED /* he has another key */ };
enum owed grantee_owed(struct session *s, struct patient *p, const struct grantee *g);
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
