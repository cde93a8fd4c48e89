/* suite.c: all cryptography; the only file that includes libsodium.
 * Owns: nothing between calls.  Never: knows what a box, a key or a patient means; touches a file. */
#include "suite.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

#include "bytes.h"
#include "dmp.h"

_Static_assert(SUITE_KEY == crypto_aead_aes256gcm_KEYBYTES, "key of suite 1");
_Static_assert(SUITE_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key of suite 2");
_Static_assert(SUITE_TAG == crypto_aead_aes256gcm_ABYTES, "tag of suite 1");
_Static_assert(SUITE_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag of suite 2");
_Static_assert(SUITE_NONCE_AES == crypto_aead_aes256gcm_NPUBBYTES, "nonce of suite 1");
_Static_assert(SUITE_NONCE_XCHACHA == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce of suite 2");
_Static_assert(SUITE_EPHEMERAL == crypto_scalarmult_BYTES, "ephemeral key of suite 0x12");
_Static_assert(SUITE_PRF == crypto_shorthash_siphashx24_BYTES, "PRF output");
_Static_assert(SUITE_PRF == crypto_shorthash_siphashx24_KEYBYTES, "PRF key");
_Static_assert(SUITE_SIG == crypto_sign_BYTES, "signature");
_Static_assert(SUITE_SALT == crypto_pwhash_SALTBYTES, "Argon2id salt");
_Static_assert(sizeof(crypto_aead_aes256gcm_state) <= 512, "room for a key schedule");
_Static_assert(_Alignof(crypto_aead_aes256gcm_state) <= 16, "alignment of a key schedule");
_Static_assert(sizeof(struct suite_hash) >= sizeof(crypto_generichash_state), "room for an incremental hash");

static const char KDF_LABEL[] = "dmp-kdf-1";          /* its NUL is part of the input */
enum { KDF_KEY_MAX = crypto_generichash_KEYBYTES_MAX };

int suite_start(void) {
  return sodium_init() < 0 ? DMP_E_RANDOM : 0;        /* locks inside; later calls do nothing */
}

int suite_has_aes(void) { return crypto_aead_aes256gcm_is_available(); }

void suite_key_set(struct suite_key *k, const uint8_t key[SUITE_KEY]) {
  memcpy(k->key, key, SUITE_KEY);
  k->scheduled = 0;
}

static crypto_aead_aes256gcm_state *schedule(struct suite_key *k) {
  crypto_aead_aes256gcm_state *st = (crypto_aead_aes256gcm_state *)(void *)k->schedule;
  if (!k->scheduled) crypto_aead_aes256gcm_beforenm(st, k->key);
  k->scheduled = 1;
  return st;
}

enum { AES_STACK = 512 };                             /* more than libsodium's AES-GCM takes; it leaves round keys there, and the first two are the key */

/* sodium_stackzero() in a third of its time: each row opened passes here. */
__attribute__((noinline)) static void stack_clear(void) {
  uint8_t below[AES_STACK];
  bytes_wipe(below, sizeof below);
}

int suite_seal(int suite, struct suite_key *k, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
               const uint8_t *in, size_t n, uint8_t *out, uint8_t tag[SUITE_TAG]) {
  if (suite == SUITE_AES) {
    if (!k->scheduled && !suite_has_aes()) return DMP_E_CPU;
    crypto_aead_aes256gcm_encrypt_detached_afternm(out, tag, NULL, in, n, ad, ad_len, NULL, nonce, schedule(k));
    stack_clear();
    return 0;
  }
  if (suite != SUITE_XCHACHA) return DMP_E_BOX_FORMAT;
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(out, tag, NULL, in, n, ad, ad_len, NULL, nonce, k->key);
  return 0;
}

int suite_open(int suite, struct suite_key *k, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
               const uint8_t *in, size_t n, const uint8_t tag[SUITE_TAG], uint8_t *out) {
  int rc;
  if (suite == SUITE_AES && !k->scheduled && !suite_has_aes()) {
    rc = DMP_E_CPU;
  } else if (suite == SUITE_AES) {
    rc = crypto_aead_aes256gcm_decrypt_detached_afternm(out, NULL, in, n, tag, ad, ad_len, nonce, schedule(k));
    stack_clear();
    if (rc != 0) rc = DMP_E_TAMPERED;
  } else if (suite == SUITE_XCHACHA) {
    rc = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(out, NULL, in, n, tag, ad, ad_len, nonce, k->key);
    if (rc != 0) rc = DMP_E_TAMPERED;
  } else {
    rc = DMP_E_BOX_FORMAT;
  }
  if (rc != 0) bytes_wipe(out, n);
  return rc;
}

/* KDF under a key of any length that BLAKE2b takes. */
static void kdf(const uint8_t *key, size_t key_len, const void *label, size_t label_len, uint8_t out[SUITE_KEY]) {
  crypto_generichash_state st;
  crypto_generichash_init(&st, key, key_len, SUITE_KEY);
  crypto_generichash_update(&st, (const uint8_t *)KDF_LABEL, sizeof KDF_LABEL);
  crypto_generichash_update(&st, label, label_len);
  crypto_generichash_final(&st, out, SUITE_KEY);
  bytes_wipe(&st, sizeof st);
}

void suite_kdf(const uint8_t *key, const void *label, size_t label_len, uint8_t out[SUITE_KEY]) {
  kdf(key, SUITE_KEY, label, label_len, out);
}

void suite_kdf_text(const uint8_t *key, const char *label, uint8_t out[SUITE_KEY]) {
  kdf(key, SUITE_KEY, label, strlen(label), out);
}

void suite_kdf2(const uint8_t *k1, size_t n1, const uint8_t *k2, size_t n2, const void *label, size_t label_len,
                uint8_t out[SUITE_KEY]) {
  uint8_t key[KDF_KEY_MAX], len1[4], len2[4];
  size_t n = 4 + n1 + 4 + n2;
  le_put32(len1, (uint32_t)n1);
  le_put32(len2, (uint32_t)n2);
  if (n <= sizeof key) {
    memcpy(key, len1, 4);
    if (n1) memcpy(key + 4, k1, n1);
    memcpy(key + 4 + n1, len2, 4);
    if (n2) memcpy(key + 8 + n1, k2, n2);
  } else {
    struct suite_hash h;
    suite_hash_start(&h);
    suite_hash_add(&h, len1, 4);
    suite_hash_add(&h, k1, n1);
    suite_hash_add(&h, len2, 4);
    suite_hash_add(&h, k2, n2);
    suite_hash_end(&h, key);
    n = SUITE_HASH;
  }
  kdf(key, n, label, label_len, out);
  bytes_wipe(key, sizeof key);
}

void suite_prf_key(const uint8_t *key, uint8_t prepared[SUITE_PRF]) {
  uint8_t k[SUITE_KEY];
  suite_kdf_text(key, "prf", k);
  memcpy(prepared, k, SUITE_PRF);
  bytes_wipe(k, sizeof k);
}

void suite_prf_with(const uint8_t prepared[SUITE_PRF], const void *x, size_t n, uint8_t out[SUITE_PRF]) {
  crypto_shorthash_siphashx24(out, x, n, prepared);
}

void suite_prf(const uint8_t *key, const void *x, size_t n, uint8_t out[SUITE_PRF]) {
  uint8_t k[SUITE_PRF];
  suite_prf_key(key, k);
  suite_prf_with(k, x, n, out);
  bytes_wipe(k, sizeof k);
}

void suite_hash(const void *p, size_t n, uint8_t *out, size_t out_len) {
  crypto_generichash(out, out_len, p, n, NULL, 0);
}

void suite_hash_start(struct suite_hash *h) {
  crypto_generichash_init((crypto_generichash_state *)(void *)h->opaque, NULL, 0, SUITE_HASH);
}

void suite_hash_add(struct suite_hash *h, const void *p, size_t n) {
  if (n) crypto_generichash_update((crypto_generichash_state *)(void *)h->opaque, p, n);
}

void suite_hash_end(struct suite_hash *h, uint8_t out[SUITE_HASH]) {
  crypto_generichash_final((crypto_generichash_state *)(void *)h->opaque, out, SUITE_HASH);
  bytes_wipe(h, sizeof *h);
}

void suite_sha256(const void *p, size_t n, uint8_t out[32]) { crypto_hash_sha256(out, p, n); }

void suite_sign_pair(const uint8_t seed[32], uint8_t pk[32], uint8_t sk[64]) { crypto_sign_seed_keypair(pk, sk, seed); }

void suite_sign(const uint8_t sk[64], const void *p, size_t n, uint8_t sig[SUITE_SIG]) {
  crypto_sign_detached(sig, NULL, p, n, sk);
}

int suite_verify(const uint8_t pk[32], const void *p, size_t n, const uint8_t sig[SUITE_SIG]) {
  return crypto_sign_verify_detached(sig, p, n, pk) == 0 ? 0 : DMP_E_SIGNATURE;
}

void suite_box_pair(const uint8_t seed[32], uint8_t pk[32]) { crypto_scalarmult_base(pk, seed); }

int suite_x25519(const uint8_t sk[32], const uint8_t pk[32], uint8_t shared[32]) {
  if (crypto_scalarmult(shared, sk, pk) == 0) return 0;
  bytes_wipe(shared, 32);
  return DMP_E_TAMPERED;
}

int suite_argon2id(const void *pin, size_t n, const uint8_t salt[SUITE_SALT], uint32_t ops, uint32_t mem,
                   uint8_t out[SUITE_KEY]) {
  if (crypto_pwhash(out, SUITE_KEY, pin, n, salt, ops, (size_t)mem << 20, crypto_pwhash_ALG_ARGON2ID13) == 0) return 0;
  bytes_wipe(out, SUITE_KEY);
  return DMP_E_NOMEM;
}

/* Eight bytes at a time, all of them whatever they are: a box opened is looked at in four steps. */
int suite_is_zero(const void *p, size_t n) {
  const uint8_t *q = p;
  uint64_t any = 0, word;
  for (; n >= sizeof word; n -= sizeof word, q += sizeof word) {
    memcpy(&word, q, sizeof word);
    any |= word;
  }
  while (n > 0) any |= q[--n];
  return any == 0;
}

int suite_equal(const void *a, const void *b, size_t n) { return sodium_memcmp(a, b, n) == 0; }

/* The system call itself: libsodium's randombytes ends the process when it fails, this returns an error. */
int suite_os_random(void *out, size_t n) {
  uint8_t *p = out;
  while (n > 0) {
    ssize_t got = getrandom(p, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      bytes_wipe(out, (size_t)(p - (uint8_t *)out));
      return DMP_E_RANDOM;
    }
    p += got;
    n -= (size_t)got;
  }
  return 0;
}
