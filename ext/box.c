/* box.c: every sealed value is
 * format 1 · suite 1 · nonce · ciphertext of (32 zeros ‖ length ‖ plaintext ‖ padding) · tag 16.
 * Owns: the associated data, built here and nowhere else.  Never: knows where a key comes from. */
#include "box.h"

#include <string.h>

#include "dmp.h"
#include "random.h"

enum { BOX_FORMAT = 1, BOX_HEAD = 2, BOX_FIXED = 32, BOX_LENGTH = 4, AD_BYTES = 72, X25519_BYTES = 32 };
enum { BOX_FRAME = BOX_HEAD + BOX_FIXED + BOX_LENGTH + SUITE_TAG };   /* all of an empty box but its nonce */
_Static_assert(16 + 1 + 1 + 2 + 2 + 2 + 16 + 16 + 8 + 8 == AD_BYTES, "associated data");
_Static_assert(BOX_OVERHEAD_AES == BOX_FRAME + SUITE_NONCE_AES, "box of suite 1");
_Static_assert(BOX_OVERHEAD_XCHACHA == BOX_FRAME + SUITE_NONCE_XCHACHA, "box of suite 2");
_Static_assert(BOX_OVERHEAD_SEALED == BOX_FRAME + X25519_BYTES, "box of suite 0x12");

static void put16(uint8_t *p, unsigned v) {
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
}

static void ad_build(const struct box_ad *ad, int suite, uint8_t out[AD_BYTES]) {
  memset(out, 0, AD_BYTES);
  if (ad->record) memcpy(out, ad->record, 16);
  out[16] = ad->kind;
  out[17] = (uint8_t)suite;
  put16(out + 18, random_format());
  put16(out + 20, ad->table);
  put16(out + 22, ad->flags);
  id_field(out + 24, ad->id);
  if (ad->loc) memcpy(out + 40, ad->loc, 16);
  le_put64(out + 56, ad->version);
  le_put64(out + 64, ad->chunk);
}

/* A sealed box is XChaCha20-Poly1305 under a key that serves once, so its nonce is zero; the other suites are their
 * own AEAD under the nonce that stands at the front. */
static int aead_of(int suite) { return suite == SUITE_SEALED ? SUITE_XCHACHA : suite; }

static const uint8_t *nonce_of(int suite, const uint8_t *front) {
  static const uint8_t ZERO[SUITE_NONCE_XCHACHA] = {0};
  return suite == SUITE_SEALED ? ZERO : front;
}

/* Length and padding of n bytes of plaintext; 0 when they are too many. */
static size_t padded_bytes(size_t n, size_t pad) {
  if (n > UINT32_MAX - BOX_LENGTH) return 0;
  if (pad == PAD_PADME) return padme(BOX_LENGTH + n);
  if (pad == PAD_NONE) return BOX_LENGTH + n;
  return n > pad || pad > UINT32_MAX - BOX_LENGTH ? 0 : BOX_LENGTH + pad;
}

/* Appends a whole box; front is what stands in the nonce's place. */
static int box_write(int suite, struct suite_key *key, const uint8_t *front, const struct box_ad *ad, const void *plain,
                     size_t n, size_t pad, struct buf *out) {
  size_t front_len = suite_nonce_bytes(suite), body = padded_bytes(n, pad);
  if (body == 0) return DMP_E_TOO_BIG;
  body += BOX_FIXED;
  size_t len = BOX_HEAD + front_len + body + SUITE_TAG;
  int rc = buf_reserve(out, len);
  if (rc != 0) return rc;

  uint8_t bound[AD_BYTES], *p = out->p + out->n, *text = p + BOX_HEAD + front_len;
  ad_build(ad, suite, bound);
  p[0] = BOX_FORMAT;
  p[1] = (uint8_t)suite;
  memcpy(p + BOX_HEAD, front, front_len);
  memset(text, 0, BOX_FIXED);
  le_put32(text + BOX_FIXED, (uint32_t)n);
  if (n) memcpy(text + BOX_FIXED + BOX_LENGTH, plain, n);
  memset(text + BOX_FIXED + BOX_LENGTH + n, 0, body - BOX_FIXED - BOX_LENGTH - n);
  rc = suite_seal(aead_of(suite), key, nonce_of(suite, front), bound, sizeof bound, text, body, text, text + body);
  if (rc != 0) bytes_wipe(p, len);                    /* the plaintext lies past out->n: nobody else would */
  else out->n += len;
  return rc;
}

int box_suite(const void *box, size_t box_len) {
  const uint8_t *p = box;
  if (box_len < BOX_HEAD || p[0] != BOX_FORMAT || suite_nonce_bytes(p[1]) == 0) return 0;
  return p[1];
}

const uint8_t *box_tag(const void *box, size_t box_len) {
  return box_len < SUITE_TAG ? NULL : (const uint8_t *)box + box_len - SUITE_TAG;
}

/* What is known before any key: length, format, and a suite of the wanted sort (sealed to a public key or not). */
static int box_check(const void *box, size_t box_len, int sealed) {
  if (box_len < BOX_HEAD) return DMP_E_TRUNCATED;
  int suite = box_suite(box, box_len);
  if (suite == 0 || (suite == SUITE_SEALED) != sealed) return DMP_E_BOX_FORMAT;
  if (box_len < BOX_HEAD + suite_nonce_bytes(suite) + BOX_FIXED + BOX_LENGTH + SUITE_TAG) return DMP_E_TRUNCATED;
  return 0;
}

/* Not secret any more once the tag is verified, so the fast comparison serves. */
static int padding_is_zero(const uint8_t *p, size_t n) {
  return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Like buf_reset() and buf_reserve(), without wiping what suite_open() overwrites in any case. */
static int scratch_take(struct buf *scratch, size_t n) {
  if (n > scratch->cap) buf_reset(scratch);
  else if (scratch->n > n) bytes_wipe(scratch->p + n, scratch->n - n);
  scratch->n = 0;
  scratch->bad = 0;
  return buf_reserve(scratch, n);
}

/* Opens a box that box_check() accepted. */
static int box_read(struct suite_key *key, const struct box_ad *ad, const uint8_t *box, size_t box_len,
                    struct buf *scratch, const uint8_t **plain, size_t *n) {
  int suite = box[1];
  const uint8_t *front = box + BOX_HEAD, *text = front + suite_nonce_bytes(suite);
  size_t body = box_len - (size_t)(text - box) - SUITE_TAG, room = body - BOX_FIXED - BOX_LENGTH, len;
  int rc = scratch_take(scratch, body);
  if (rc != 0) return rc;

  uint8_t bound[AD_BYTES], *p = scratch->p;
  ad_build(ad, suite, bound);
  scratch->n = body;
  rc = suite_open(aead_of(suite), key, nonce_of(suite, front), bound, sizeof bound, text, body, text + body, p);
  if (rc != 0) goto out;
  rc = DMP_E_TAMPERED;
  if (!suite_is_zero(p, BOX_FIXED)) goto out;         /* an AEAD tag can fit two keys; with these zeros, one */
  len = le_get32(p + BOX_FIXED);
  p += BOX_FIXED + BOX_LENGTH;
  if (len > room || !padding_is_zero(p + len, room - len)) goto out;
  *plain = p;
  *n = len;
  return 0;
out:
  buf_reset(scratch);
  return rc;
}

int box_seal_with(int suite, struct suite_key *k, const struct box_ad *ad, const void *plain, size_t n, size_t pad,
                  const uint8_t *nonce, struct buf *out) {
  if (suite != SUITE_AES && suite != SUITE_XCHACHA) return DMP_E_BOX_FORMAT;
  uint8_t fresh[SUITE_NONCE_XCHACHA];
  if (nonce == NULL) {
    int rc = random_bytes("nonce", fresh, suite_nonce_bytes(suite));
    if (rc != 0) return rc;
    nonce = fresh;
  }
  return box_write(suite, k, nonce, ad, plain, n, pad, out);
}

int box_seal(int suite, const uint8_t *key, const struct box_ad *ad, const void *plain, size_t n, size_t pad,
             const uint8_t *nonce, struct buf *out) {
  struct suite_key once;
  suite_key_set(&once, key);
  int rc = box_seal_with(suite, &once, ad, plain, n, pad, nonce, out);
  bytes_wipe(&once, sizeof once);
  return rc;
}

int box_open_with(struct suite_key *k, const struct box_ad *ad, const void *box, size_t box_len, struct buf *scratch,
                  const uint8_t **plain, size_t *n) {
  *plain = NULL;
  *n = 0;
  int rc = box_check(box, box_len, 0);
  if (rc == 0) return box_read(k, ad, box, box_len, scratch, plain, n);
  buf_reset(scratch);
  return rc;
}

int box_open(const uint8_t *key, const struct box_ad *ad, const void *box, size_t box_len, struct buf *scratch,
             const uint8_t **plain, size_t *n) {
  struct suite_key once;
  suite_key_set(&once, key);
  int rc = box_open_with(&once, ad, box, box_len, scratch, plain, n);
  bytes_wipe(&once, sizeof once);
  return rc;
}

static void sealed_key(const uint8_t shared[SUITE_KEY], const uint8_t *mix, const uint8_t ephemeral[X25519_BYTES],
                       const uint8_t recipient[X25519_BYTES], struct suite_key *out) {
  uint8_t key[SUITE_KEY];
  uint8_t label[6 + 2 * X25519_BYTES] = "sealed";
  memcpy(label + 6, ephemeral, X25519_BYTES);
  memcpy(label + 6 + X25519_BYTES, recipient, X25519_BYTES);
  suite_kdf2(shared, SUITE_KEY, mix, mix ? SUITE_KEY : 0, label, sizeof label, key);
  suite_key_set(out, key);
  bytes_wipe(key, sizeof key);
}

int box_seal_to(const uint8_t pk[32], const uint8_t *mix, const struct box_ad *ad, const void *plain, size_t n,
                size_t pad, struct buf *out) {
  uint8_t seed[X25519_BYTES], ephemeral[X25519_BYTES], shared[SUITE_KEY];
  struct suite_key key;
  int rc = random_bytes("ephemeral", seed, sizeof seed);
  if (rc != 0) return rc;
  suite_box_pair(seed, ephemeral);
  rc = suite_x25519(seed, pk, shared);
  if (rc == 0) {
    sealed_key(shared, mix, ephemeral, pk, &key);
    rc = box_write(SUITE_SEALED, &key, ephemeral, ad, plain, n, pad, out);
  }
  bytes_wipe(seed, sizeof seed);
  bytes_wipe(shared, sizeof shared);
  bytes_wipe(&key, sizeof key);
  return rc;
}

int box_open_from(const uint8_t sk[32], const uint8_t pk[32], const uint8_t *mix, const struct box_ad *ad,
                  const void *box, size_t box_len, struct buf *scratch, const uint8_t **plain, size_t *n) {
  uint8_t shared[SUITE_KEY];
  struct suite_key key;
  *plain = NULL;
  *n = 0;
  int rc = box_check(box, box_len, 1);
  const uint8_t *ephemeral = rc == 0 ? (const uint8_t *)box + BOX_HEAD : NULL;
  if (rc == 0) rc = suite_x25519(sk, ephemeral, shared);
  if (rc != 0) {
    buf_reset(scratch);
    return rc;
  }
  sealed_key(shared, mix, ephemeral, pk, &key);
  rc = box_read(&key, ad, box, box_len, scratch, plain, n);
  bytes_wipe(shared, sizeof shared);
  bytes_wipe(&key, sizeof key);
  return rc;
}
