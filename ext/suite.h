/* suite.h: all cryptography, and the only file that includes libsodium.
 * Owns: nothing between calls.  Never: knows what a box, a key or a patient means; touches a file.
 * Keys are 32 bytes unless said otherwise. Functions return 0 or an enum dmp_error. */
#ifndef SUITE_H
#define SUITE_H
#include <stddef.h>
#include <stdint.h>

enum suite { SUITE_AES = 1, SUITE_XCHACHA = 2, SUITE_SEALED = 0x12 };
enum { SUITE_KEY = 32, SUITE_TAG = 16, SUITE_NONCE_AES = 12, SUITE_NONCE_XCHACHA = 24, SUITE_EPHEMERAL = 32, SUITE_PRF = 16, SUITE_SIG = 64,
       SUITE_HASH = 32, SUITE_SALT = 16 };

int    suite_start(void);                             /* once per process; DMP_E_RANDOM when libsodium can't start */
int    suite_has_aes(void);                           /* 1: this machine has AES-NI and PCLMUL */
static inline size_t suite_nonce_bytes(int suite) {   /* SUITE_SEALED: its ephemeral public key; 0: unknown suite */
  return suite == SUITE_AES ? SUITE_NONCE_AES : suite == SUITE_XCHACHA ? SUITE_NONCE_XCHACHA : suite == SUITE_SEALED ? SUITE_EPHEMERAL : 0;
}

/* A key that seals or opens many boxes: the AES key schedule is made once. Secret: the holder wipes it. */
struct suite_key { uint8_t key[SUITE_KEY]; int scheduled; _Alignas(16) uint8_t schedule[512]; };
void suite_key_set(struct suite_key *k, const uint8_t key[SUITE_KEY]);

/* AEAD with detached pieces: out and in may be the same. Tag 16 bytes. Suites 1 and 2 only. */
int suite_seal(int suite, struct suite_key *k, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
               const uint8_t *in, size_t n, uint8_t *out, uint8_t tag[SUITE_TAG]);
int suite_open(int suite, struct suite_key *k, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
               const uint8_t *in, size_t n, const uint8_t tag[SUITE_TAG], uint8_t *out);  /* DMP_E_TAMPERED; out is then zero */

/* KDF(k, label) = BLAKE2b-256, key k, input "dmp-kdf-1" ‖ 0 ‖ label. kdf2: two keys, length-prefixed (u32) and
 * concatenated (hashed down to 32 first when longer than 64 bytes). */
void suite_kdf(const uint8_t *key, const void *label, size_t label_len, uint8_t out[SUITE_KEY]);
void suite_kdf_text(const uint8_t *key, const char *label, uint8_t out[SUITE_KEY]);
void suite_kdf2(const uint8_t *k1, size_t n1, const uint8_t *k2, size_t n2, const void *label, size_t label_len,
                uint8_t out[SUITE_KEY]);
/* PRF(k, x) = SipHash-2-4-128 under the first 16 bytes of KDF(k, "prf"). prf_key prepares that key once. */
void suite_prf_key(const uint8_t *key, uint8_t prepared[SUITE_PRF]);
void suite_prf_with(const uint8_t prepared[SUITE_PRF], const void *x, size_t n, uint8_t out[SUITE_PRF]);
void suite_prf(const uint8_t *key, const void *x, size_t n, uint8_t out[SUITE_PRF]);

void suite_hash(const void *p, size_t n, uint8_t *out, size_t out_len);       /* BLAKE2b, 16 or 32 bytes, no key */
struct suite_hash { _Alignas(64) uint8_t opaque[448]; };                      /* an incremental BLAKE2b-256 */
void suite_hash_start(struct suite_hash *h);
void suite_hash_add(struct suite_hash *h, const void *p, size_t n);
void suite_hash_end(struct suite_hash *h, uint8_t out[SUITE_HASH]);
void suite_sha256(const void *p, size_t n, uint8_t out[32]);                  /* for interchange: XDS-style content hashes */

/* Ed25519 and X25519 pairs from 32-byte seeds. A signing key is kept as its 32-byte seed ‖ public key (64 bytes). */
void suite_sign_pair(const uint8_t seed[32], uint8_t pk[32], uint8_t sk[64]);
void suite_sign(const uint8_t sk[64], const void *p, size_t n, uint8_t sig[SUITE_SIG]);
int  suite_verify(const uint8_t pk[32], const void *p, size_t n, const uint8_t sig[SUITE_SIG]);  /* 0, or DMP_E_SIGNATURE */
void suite_box_pair(const uint8_t seed[32], uint8_t pk[32]);                  /* the secret key is the seed itself */
int  suite_x25519(const uint8_t sk[32], const uint8_t pk[32], uint8_t shared[32]);  /* DMP_E_TAMPERED for a low-order key */

/* Argon2id. mem in MiB. DMP_E_NOMEM when the memory can't be had. */
int suite_argon2id(const void *pin, size_t n, const uint8_t salt[SUITE_SALT], uint32_t ops, uint32_t mem, uint8_t out[SUITE_KEY]);

int  suite_is_zero(const void *p, size_t n);          /* constant time */
int  suite_equal(const void *a, const void *b, size_t n);   /* constant time; 1: equal */
int  suite_os_random(void *out, size_t n);            /* for random.c only */
#endif
