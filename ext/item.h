/* item.h: the bytes of a sealed item: its signed content, its header, its wrapped keys, its amendments.
 * Owns: those layouts and the depositor's signature over them.  Never: SQL; finds or stores a row (object.h).
 * Header plaintext: length of the content u32 · content · signature 64 · folded amendments (count u16, each action 1 · at 8 ·
 * signature 64). Wrap: header key 32 · body key 32 · target id 8 · minimum version 8, unpadded. */
#ifndef ITEM_H
#define ITEM_H
#include "grant.h"
#include "row.h"

/* What an item is: the table it is a row of. Part of the signed content; append only. */
enum item_table { ITEM_DOCUMENT = 1, ITEM_PATIENT, ITEM_IDENTITY, ITEM_CONSENT, ITEM_MASK, ITEM_GRANTEES, ITEM_LOG_SECRETS, ITEM_REPRESENTATIVE = 16,
                  ITEM_EPISODE = 20 /* a masked one */, ITEM_ASSIGNMENT, ITEM_FEED, ITEM_EXCLUSION = 44, ITEM_CIRCLE, ITEM_SHADE, ITEM_SEEN = 48 /* what somebody has seen of his notices */, ITEM_VIEW = 52, ITEM_BLOCKED = 54,
                  ITEM_SECTIONS = 64 /* from here on: lines of sections (section.h) */ };
/* A document or a line of a section: it has a depositor, who keeps it, and lies in a document class. */
static inline int item_deposited(uint16_t table) { return table == ITEM_DOCUMENT || table >= ITEM_SECTIONS; }
/* Flags: what the depositor meant. Diverted: masked only because due. Invisible: to the patient, until announced or a month old.
 * Late: masked until a full holder finds the episode unmasked. */
enum { ITEM_MASKED = 1, ITEM_HIDDEN = 2, ITEM_DIVERTED = 4, ITEM_INVISIBLE = 8, ITEM_LATE = 16 };
enum { AMEND_DELETE = 1, AMEND_ANNOUNCE };
enum via { VIA_LEAF = 1, VIA_DEPOSIT, VIA_OWN };

/* The signed content of an item. */
struct content {
  uint16_t table;
  uint8_t flags;
  uint32_t version;                                   /* content version: 1 */
  int64_t patient;
  uint8_t depositor[16], depositor_cert[32];
  int64_t wrap_row;                                   /* the depositor's row in dmp_wrap; 0: none (system items) */
  uint8_t wrap_loc[16];
  uint64_t body_size;                                 /* bytes before padding */
  uint8_t body_root[32];
  const uint8_t *row;                                 /* row.h bytes */
  size_t row_len;
};

/* An opened item. Its bytes live until item_close(). Keys: wiped there too. */
struct item {
  int64_t id;
  uint64_t version;                                   /* of the row: changes when the header is sealed again */
  uint16_t cls;                                       /* where it lies; VIA_OWN: 0 */
  uint8_t leaf;                                       /* 0…3; VIA_OWN: 0 */
  int64_t circle;                                     /* in which it lies, leaf telling which half, masked or not; 0: none */
  enum via via;
  int64_t own_row;                                    /* VIA_OWN: the dmp_wrap row */
  uint8_t header_key[32], body_key[32];
  uint64_t minimum;
  struct content c;
  const uint8_t *signature;
  const uint8_t *folds; size_t fold_len;              /* folded amendments as stored: count u16, then 1+8+64 each */
  struct buf amend;                                   /* the amend box as stored; empty: none */
  uint8_t tag[16];                                    /* of the header box */
  int64_t mark;                                       /* of the row (mark.h) */
  int deleted, announced;                             /* by a lawful amendment, folded or not */
  int amended;                                        /* the amend box holds one */
  struct buf plain;                                   /* owned: the header's plaintext */
};
void item_close(struct item *it);
/* Items that a scan met, taken over from it: what changes items never does so while it scans them. */
struct items { struct item *it; size_t n; };          /* owned */
int  items_take(struct items *to, struct item *it);   /* DMP_E_NOMEM */
void items_free(struct items *x);

/* Serialises and signs: appends the header's plaintext (no amendment). Label "dmp-object-1". */
int  item_write(const uint8_t record[16], int64_t object, const struct content *c, const uint8_t signer_sk[64], struct buf *out);
int  item_parse(struct item *it);                     /* it->plain -> it->c, signature, folds; DMP_E_ROW_FORMAT */
int  item_signed(const uint8_t record[16], const struct item *it, const uint8_t signer_pk[32]);   /* 0, or DMP_E_SIGNATURE */
/* An amendment's plaintext: action 1 · at 8 · content version 4 · signature 64. Label "dmp-amend-1". */
void item_amend_write(const uint8_t record[16], const struct item *it, uint8_t action, int64_t at, const uint8_t signer_sk[64], struct buf *out);
int  item_amend_lawful(const uint8_t record[16], const struct item *it, uint8_t action, int64_t at, const uint8_t *sig,
                       const uint8_t signer_pk[32]);
/* Appends one more folded amendment to header bytes. */
void item_fold(const struct item *it, uint8_t action, int64_t at, const uint8_t sig[SUITE_SIG], struct buf *out);
enum { WRAP_BYTES = 32 + 32 + 8 + 8, FOLD_BYTES = 1 + 8 + SUITE_SIG, AMEND_BYTES = 1 + 8 + 4 + SUITE_SIG };
void item_wrap_write(const struct item *it, uint8_t out[WRAP_BYTES]);
int  item_wrap_parse(const uint8_t *p, size_t n, struct item *it);      /* keys, id, minimum */
/* What its depositor asked for: hidden from representatives, for itself or because it is not announced to the patient. */
int item_hidden_meant(const struct item *it);
#endif
