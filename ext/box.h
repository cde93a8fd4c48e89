/* box.h: every sealed value: format 1 · suite 1 · nonce · ciphertext of (32 zeros ‖ length ‖ plaintext ‖ padding) · tag 16.
 * Owns: the associated data, built here and nowhere else.  Never: knows where a key comes from. */
#ifndef BOX_H
#define BOX_H
#include "bytes.h"
#include "suite.h"

enum box_kind { BOX_HEADER = 1, BOX_CHUNK, BOX_AMEND, BOX_WRAP, BOX_GRANT, BOX_STATE, BOX_KEYSET, BOX_LOG, BOX_CREDENTIAL,
                BOX_CERTIFICATE, BOX_WELCOME, BOX_READER, BOX_PROTECTED, BOX_TEAM };
/* Which shadow table a box lies in. */
enum box_table { IN_FILE = 0, IN_CERTIFICATE = 1, IN_KEYSET, IN_GRANT, IN_OBJECT, IN_WRAP, IN_CHUNK, IN_STATE, IN_LOG, IN_READER, IN_PRACTICE /* a practice's own table */,
                 IN_TEAM /* lines of teams, among the certificates: in the log only */ };
enum { BOX_LAST_CHUNK = 1 };

/* What a box is bound to. Never stored: 72 bytes built from these fields at each seal and open. */
struct box_ad {
  const uint8_t *record;    /* 16 bytes, borrowed; NULL = zeros (credential) */
  uint8_t  kind;            /* enum box_kind */
  uint16_t table;           /* enum box_table */
  uint16_t flags;           /* BOX_LAST_CHUNK */
  int64_t  id;              /* FORMAT: object's id, row's id or patient's id, by kind */
  const uint8_t *loc;       /* 16 bytes, borrowed; NULL = zeros (header, chunk, amend) */
  uint64_t version;
  uint64_t chunk;
};

enum { BOX_OVERHEAD_AES = 2 + 12 + 32 + 4 + 16, BOX_OVERHEAD_XCHACHA = 2 + 24 + 32 + 4 + 16, BOX_OVERHEAD_SEALED = 2 + 32 + 32 + 4 + 16 };
/* How the plaintext is padded: to Padmé, not at all, or to at least this many bytes. */
enum { PAD_PADME = 0, PAD_NONE = 1 };                 /* a larger value pads to that many bytes (refused when n is more) */

/* Appends a box to out. A NULL nonce means a fresh random one (chunks give theirs). */
int box_seal(int suite, const uint8_t *key, const struct box_ad *ad, const void *plain, size_t n, size_t pad,
             const uint8_t *nonce, struct buf *out);
/* Opens into scratch (reset first); *plain points into it and *n is the true length. Any failure past the length and
 * format checks is DMP_E_TAMPERED, and scratch holds nothing. */
int box_open(const uint8_t *key, const struct box_ad *ad, const void *box, size_t box_len, struct buf *scratch,
             const uint8_t **plain, size_t *n);
/* The same under a key that serves many boxes. */
int box_seal_with(int suite, struct suite_key *k, const struct box_ad *ad, const void *plain, size_t n, size_t pad,
                  const uint8_t *nonce, struct buf *out);
int box_open_with(struct suite_key *k, const struct box_ad *ad, const void *box, size_t box_len, struct buf *scratch,
                  const uint8_t **plain, size_t *n);
/* Suite 0x12: to a public X25519 key: ephemeral key in the nonce's place, AEAD key =
 * KDF(shared ‖ mix, "sealed" ‖ ephemeral ‖ recipient), XChaCha20-Poly1305 under a zero nonce. mix: 32 bytes or NULL. */
int box_seal_to(const uint8_t pk[32], const uint8_t *mix, const struct box_ad *ad, const void *plain, size_t n, size_t pad,
                struct buf *out);
int box_open_from(const uint8_t sk[32], const uint8_t pk[32], const uint8_t *mix, const struct box_ad *ad, const void *box,
                  size_t box_len, struct buf *scratch, const uint8_t **plain, size_t *n);
const uint8_t *box_tag(const void *box, size_t box_len);   /* the last 16 bytes; NULL when shorter */
int box_suite(const void *box, size_t box_len);       /* the suite byte; 0 when unknown or too short */
#endif
