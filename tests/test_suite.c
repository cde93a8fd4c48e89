/* test_suite.c: proves what suite.h promises. The known answers were computed by other implementations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "bytes.h"
#include "dmp.h"
#include "suite.h"

static uint8_t key[32], salt[16];                     /* 00 01 02 … */

static void assert_hex(const uint8_t *p, const char *hex) {
  size_t n = strlen(hex) / 2;
  uint8_t want[128];
  assert_true(n <= sizeof want);
  assert_int_equal(bytes_hex(hex, n, want), 0);
  assert_memory_equal(p, want, n);
}

static struct suite_key *keyed(const uint8_t *bytes) {
  static struct suite_key k;
  suite_key_set(&k, bytes);
  return &k;
}

static void count_up(uint8_t *p, size_t n, uint8_t first) {
  for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(first + i);
}

static void *start_again(void *rc) {
  *(int *)rc = suite_start();
  return NULL;
}

static void starting_many_times_and_from_many_threads_is_harmless(void **state) {
  (void)state;
  pthread_t thread[8];
  int rc[8];
  for (int i = 0; i < 8; i++) {
    rc[i] = -1;
    assert_int_equal(pthread_create(&thread[i], NULL, start_again, &rc[i]), 0);
  }
  for (int i = 0; i < 8; i++) {
    pthread_join(thread[i], NULL);
    assert_int_equal(rc[i], 0);
  }
  assert_int_equal(suite_start(), 0);
}

static void each_suite_has_its_nonce_and_others_have_none(void **state) {
  (void)state;
  for (int suite = -1; suite < 256; suite++) {
    size_t want = suite == 1 ? 12 : suite == 2 ? 24 : suite == 0x12 ? 32 : 0;
    assert_int_equal(suite_nonce_bytes(suite), want);
  }
}

static void kdf_gives_the_known_answers(void **state) {
  (void)state;
  uint8_t k2[32], out[32];
  count_up(k2, sizeof k2, 0x20);
  suite_kdf(key, "", 0, out);
  assert_hex(out, "01e999db2e8bd15dd00bcd49698bc6e9e95425c9b1bda573c616e419f832b3d4");
  suite_kdf_text(key, "visible", out);
  assert_hex(out, "6a42ff9bd7dfac334e164d2129df9a3908644d69509bd3a17f4b27950b41548b");
  suite_kdf2(key, 32, k2, 32, "leaf", 4, out);
  assert_hex(out, "076195b18d9fb8a3069f94aae11156d4d0bdf8e2b89a8018bb4ed73739c85f0d");
  suite_kdf2(key, 24, k2, 16, "leaf", 4, out);
  assert_hex(out, "7d50da7db05af0034bf3fb3f47eb48337d7f744cf7da08c2d880ace96b1038d8");
  suite_kdf2(key, 32, NULL, 0, "leaf", 4, out);
  assert_hex(out, "cec13a214b663db357279a1f18536aa8ef3a052b6bbe24376427ba626737d214");
}

static void two_keys_are_hashed_only_when_longer_than_64_bytes(void **state) {
  (void)state;
  uint8_t k2[32], out[32];
  count_up(k2, sizeof k2, 0x20);
  suite_kdf2(key, 28, k2, 28, "leaf", 4, out);
  assert_hex(out, "3a929d42f35c0beb67611a6fe6f4c4408676cd2ff96a26efe83db6a75894c348");
  suite_kdf2(key, 28, k2, 29, "leaf", 4, out);
  assert_hex(out, "f8aa3179f423a3c022e77eab4c560b65dcbf4b92adb39218dbaf3bff42085b06");
}

static void the_border_between_two_keys_counts(void **state) {
  (void)state;
  uint8_t a[32], b[32];
  suite_kdf2(key, 8, key + 8, 16, "x", 1, a);
  suite_kdf2(key, 16, key + 16, 8, "x", 1, b);
  assert_memory_not_equal(a, b, 32);
}

static void prf_gives_the_known_answers(void **state) {
  (void)state;
  uint8_t prepared[16], x[33], out[16];
  count_up(x, sizeof x, 0);
  suite_prf_key(key, prepared);
  assert_hex(prepared, "85bac333f9365965e06a25132107d7cc");
  suite_prf(key, "", 0, out);
  assert_hex(out, "15e5be05cbb11e45f833c086cfea29e1");
  suite_prf(key, "object", 6, out);
  assert_hex(out, "c694684928062a7d5b83a1fe93c7518b");
  suite_prf_with(prepared, x, sizeof x, out);
  assert_hex(out, "13164a88490e44d03058bc4e9ec7d8fd");
  uint8_t published[16];                              /* the first vector of SipHash's authors */
  suite_prf_with(key, "", 0, published);
  assert_hex(published, "a3817f04ba25a8e66df67214c7550293");
}

static void hashes_give_the_known_answers(void **state) {
  (void)state;
  uint8_t out[32];
  suite_hash("abc", 3, out, 32);
  assert_hex(out, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  suite_hash("abc", 3, out, 16);
  assert_hex(out, "cf4ab791c62b8d2b2109c90275287816");
  suite_hash(NULL, 0, out, 32);
  assert_hex(out, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  suite_sha256("abc", 3, out);
  assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void a_hash_in_pieces_is_the_hash_of_the_whole(void **state) {
  (void)state;
  uint8_t text[1000], whole[32], pieces[32];
  count_up(text, sizeof text, 3);
  suite_hash(text, sizeof text, whole, 32);
  for (size_t step = 1; step < 300; step += 37) {
    struct suite_hash h;
    suite_hash_start(&h);
    suite_hash_add(&h, NULL, 0);
    for (size_t at = 0; at < sizeof text; at += step)
      suite_hash_add(&h, text + at, at + step > sizeof text ? sizeof text - at : step);
    suite_hash_end(&h, pieces);
    assert_memory_equal(pieces, whole, 32);
  }
}

static void aead_gives_the_known_answers(void **state) {
  (void)state;
  const uint8_t *ad = (const uint8_t *)"ad", *text = (const uint8_t *)"abc";
  uint8_t nonce[24], out[3], tag[16];
  count_up(nonce, sizeof nonce, 0x40);
  assert_int_equal(suite_seal(SUITE_XCHACHA, keyed(key), nonce, ad, 2, text, 3, out, tag), 0);
  assert_hex(out, "b55b66");
  assert_hex(tag, "1c4e35500b1145876844a92c63fa05b1");
  if (!suite_has_aes()) skip();
  assert_int_equal(suite_seal(SUITE_AES, keyed(key), nonce, ad, 2, text, 3, out, tag), 0);
  assert_hex(out, "83dbcd");
  assert_hex(tag, "b36beedc959ab0007bd1b23d4cc9d021");
}

/* The suites that this machine can run. */
static int suites(int suite[2]) {
  suite[0] = SUITE_XCHACHA;
  suite[1] = SUITE_AES;
  return suite_has_aes() ? 2 : 1;
}

static void aead_works_in_place_at_every_size(void **state) {
  (void)state;
  enum { MOST = 70001 };
  uint8_t *text = malloc(MOST), *inout = malloc(MOST), tag[16], nonce[24] = {9};
  int suite[2], n_suites = suites(suite);
  assert_non_null(text);
  assert_non_null(inout);
  count_up(text, MOST, 0);
  for (int s = 0; s < n_suites; s++)
    for (size_t n = 0; n <= MOST; n = n < 300 ? n + 1 : n + 69701) {
      memcpy(inout, text, n);
      assert_int_equal(suite_seal(suite[s], keyed(key), nonce, salt, 16, inout, n, inout, tag), 0);
      if (n >= 16) assert_memory_not_equal(inout, text, n);
      assert_int_equal(suite_open(suite[s], keyed(key), nonce, salt, 16, inout, n, tag, inout), 0);
      assert_memory_equal(inout, text, n);
    }
  free(text);
  free(inout);
}

static void what_does_not_verify_gives_zeros(void **state) {
  (void)state;
  uint8_t sealed[40], out[40], tag[16], ad[5] = {1, 2, 3, 4, 5}, nonce[24] = {7}, k[32], zero[40] = {0};
  int suite[2], n_suites = suites(suite);
  memcpy(k, key, 32);
  struct { uint8_t *p; size_t n; } part[] = { { sealed, 40 }, { tag, 16 }, { ad, 5 }, { nonce, 24 }, { k, 32 } };
  for (int s = 0; s < n_suites; s++) {
    assert_int_equal(suite_seal(suite[s], keyed(k), nonce, ad, 5, key, 32, sealed, tag), 0);
    part[0].n = 32;
    part[3].n = suite_nonce_bytes(suite[s]);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
      for (size_t bit = 0; bit < part[i].n * 8; bit++) {
        part[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0xee, sizeof out);
        assert_int_equal(suite_open(suite[s], keyed(k), nonce, ad, 5, sealed, 32, tag, out), DMP_E_TAMPERED);
        assert_memory_equal(out, zero, 32);
        part[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
      }
    assert_int_equal(suite_open(suite[s], keyed(k), nonce, ad, 5, sealed, 32, tag, out), 0);
    assert_memory_equal(out, key, 32);
  }
}

static void a_key_that_served_seals_and_opens_as_on_its_first_day(void **state) {
  int suite[2], n = suites(suite);
  struct suite_key k;
  uint8_t other[32], nonce[24] = { 0 }, first[32], again[32], tag[16], second[16], out[32];
  (void)state;
  count_up(other, 32, 99);
  for (int s = 0; s < n; s++) {
    suite_key_set(&k, key);
    assert_int_equal(suite_seal(suite[s], &k, nonce, NULL, 0, key, 32, first, tag), 0);
    assert_int_equal(suite_seal(suite[s], &k, nonce, NULL, 0, key, 32, again, second), 0);
    assert_memory_equal(first, again, 32);
    assert_memory_equal(tag, second, 16);
    assert_int_equal(suite_open(suite[s], &k, nonce, NULL, 0, first, 32, tag, out), 0);
    assert_memory_equal(out, key, 32);
    suite_key_set(&k, other);                         /* nothing of the key before is left in it */
    assert_int_equal(suite_open(suite[s], &k, nonce, NULL, 0, first, 32, tag, out), DMP_E_TAMPERED);
    assert_int_equal(suite_seal(suite[s], &k, nonce, NULL, 0, key, 32, again, second), 0);
    assert_int_equal(suite_open(suite[s], keyed(other), nonce, NULL, 0, again, 32, second, out), 0);
    assert_memory_equal(out, key, 32);
  }
}

static void an_unknown_suite_seals_and_opens_nothing(void **state) {
  (void)state;
  uint8_t out[4] = {1, 1, 1, 1}, tag[16] = {0}, nonce[32] = {0};
  static const int OTHER[] = { -1, 0, 3, SUITE_SEALED, 255 };
  for (size_t i = 0; i < sizeof OTHER / sizeof *OTHER; i++) {
    memset(out, 1, sizeof out);
    assert_int_equal(suite_seal(OTHER[i], keyed(key), nonce, NULL, 0, key, 4, out, tag), DMP_E_BOX_FORMAT);
    assert_memory_equal(out, "\1\1\1\1", 4);
    assert_int_equal(suite_open(OTHER[i], keyed(key), nonce, NULL, 0, key, 4, tag, out), DMP_E_BOX_FORMAT);
    assert_memory_equal(out, "\0\0\0\0", 4);
  }
}

static void signatures_give_the_known_answer_and_verify(void **state) {
  (void)state;
  uint8_t pk[32], sk[64], sig[64];
  suite_sign_pair(key, pk, sk);
  assert_hex(pk, "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
  assert_memory_equal(sk, key, 32);
  assert_memory_equal(sk + 32, pk, 32);
  suite_sign(sk, "abc", 3, sig);
  assert_hex(sig, "cc46d62d3754f41754b27b6ea2cb2c272bafa7a5a1f6062bd060f414e50caaea"
                  "c2da66ad39cef4424a90236ea907b7d8057e3443dc5abfc9986967ee7213a407");
  assert_int_equal(suite_verify(pk, "abc", 3, sig), 0);
}

static void every_bit_of_a_signature_its_key_and_its_text_counts(void **state) {
  (void)state;
  uint8_t pk[32], sk[64], sig[64], text[8] = "ordonnan";
  suite_sign_pair(key, pk, sk);
  suite_sign(sk, text, sizeof text, sig);
  struct { uint8_t *p; size_t n; } part[] = { { sig, 64 }, { pk, 32 }, { text, 8 } };
  for (size_t i = 0; i < 3; i++)
    for (size_t bit = 0; bit < part[i].n * 8; bit++) {
      part[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
      assert_int_equal(suite_verify(pk, text, sizeof text, sig), DMP_E_SIGNATURE);
      part[i].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
  assert_int_equal(suite_verify(pk, text, sizeof text - 1, sig), DMP_E_SIGNATURE);
  assert_int_equal(suite_verify(pk, text, sizeof text, sig), 0);
}

static void both_sides_of_x25519_find_the_known_secret(void **state) {
  (void)state;
  uint8_t a[32], b[32], pa[32], pb[32], ab[32], ba[32];
  count_up(a, 32, 0x60);
  count_up(b, 32, 0x80);
  suite_box_pair(a, pa);
  suite_box_pair(b, pb);
  assert_hex(pa, "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f");
  assert_int_equal(suite_x25519(a, pb, ab), 0);
  assert_int_equal(suite_x25519(b, pa, ba), 0);
  assert_hex(ab, "fbfb11adeb1d6f71c0571bc1b5dd87519f9a6620b10a5ebc314cbd420c43ba43");
  assert_memory_equal(ab, ba, 32);
}

static void a_low_order_public_key_is_refused(void **state) {
  (void)state;
  static const char *const LOW[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  };
  uint8_t pk[32], shared[32];
  for (size_t i = 0; i < sizeof LOW / sizeof *LOW; i++) {
    assert_int_equal(bytes_hex(LOW[i], 32, pk), 0);
    memset(shared, 0xee, 32);
    assert_int_equal(suite_x25519(key, pk, shared), DMP_E_TAMPERED);
    assert_true(suite_is_zero(shared, 32));
  }
}

static void argon2id_gives_the_known_answers(void **state) {
  (void)state;
  uint8_t out[32];
  assert_int_equal(suite_argon2id("12345678", 8, salt, 1, 8, out), 0);
  assert_hex(out, "213b572e06a1f5ed714ba7e10b5133001ccd1dd8c8af3154acb758965e7cf278");
  assert_int_equal(suite_argon2id("12345678", 8, salt, 2, 8, out), 0);
  assert_hex(out, "7830e8b7430656cc6e89cc735de698d80d44ba4d3d0cd22e5d7d1e7d0f920a7d");
}

static void argon2id_without_its_memory_gives_no_key(void **state) {
  (void)state;
  uint8_t out[32];
  memset(out, 0xee, sizeof out);
  assert_int_equal(suite_argon2id("12345678", 8, salt, 1, UINT32_MAX, out), DMP_E_NOMEM);
  assert_true(suite_is_zero(out, sizeof out));
}

static void zeros_and_equals_are_told_at_every_byte(void **state) {
  (void)state;
  uint8_t a[33] = {0}, b[33] = {0};
  assert_true(suite_is_zero(a, 33));
  assert_true(suite_equal(a, b, 33));
  for (int i = 0; i < 33; i++) {
    a[i] = 0x80;
    assert_false(suite_is_zero(a, 33));
    assert_false(suite_equal(a, b, 33));
    a[i] = 0;
  }
}

static void the_system_fills_all_bytes_and_never_twice_the_same(void **state) {
  (void)state;
  uint8_t a[1000] = {0}, b[1000] = {0}, zero[16] = {0};
  assert_int_equal(suite_os_random(a, sizeof a), 0);
  assert_int_equal(suite_os_random(b, sizeof b), 0);
  for (size_t i = 0; i + 16 <= sizeof a; i += 8) {
    assert_memory_not_equal(a + i, zero, 16);
    assert_memory_not_equal(a + i, b + i, 16);
  }
  assert_int_equal(suite_os_random(NULL, 0), 0);
}

static int set_up(void **state) {
  (void)state;
  count_up(key, sizeof key, 0);
  count_up(salt, sizeof salt, 0);
  return suite_start();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(starting_many_times_and_from_many_threads_is_harmless),
    cmocka_unit_test(each_suite_has_its_nonce_and_others_have_none),
    cmocka_unit_test(kdf_gives_the_known_answers),
    cmocka_unit_test(two_keys_are_hashed_only_when_longer_than_64_bytes),
    cmocka_unit_test(the_border_between_two_keys_counts),
    cmocka_unit_test(prf_gives_the_known_answers),
    cmocka_unit_test(hashes_give_the_known_answers),
    cmocka_unit_test(a_hash_in_pieces_is_the_hash_of_the_whole),
    cmocka_unit_test(aead_gives_the_known_answers),
    cmocka_unit_test(aead_works_in_place_at_every_size),
    cmocka_unit_test(what_does_not_verify_gives_zeros),
    cmocka_unit_test(a_key_that_served_seals_and_opens_as_on_its_first_day),
    cmocka_unit_test(an_unknown_suite_seals_and_opens_nothing),
    cmocka_unit_test(signatures_give_the_known_answer_and_verify),
    cmocka_unit_test(every_bit_of_a_signature_its_key_and_its_text_counts),
    cmocka_unit_test(both_sides_of_x25519_find_the_known_secret),
    cmocka_unit_test(a_low_order_public_key_is_refused),
    cmocka_unit_test(argon2id_gives_the_known_answers),
    cmocka_unit_test(argon2id_without_its_memory_gives_no_key),
    cmocka_unit_test(zeros_and_equals_are_told_at_every_byte),
    cmocka_unit_test(the_system_fills_all_bytes_and_never_twice_the_same),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
