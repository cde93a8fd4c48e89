/* test_box.c: proves that a sealed value opens where it was sealed, and nowhere else.
 * The golden boxes were computed by another implementation from key 00 01 …, nonce 40 41 … and the fields of AD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"
#include "dmp.h"

/* The associated data of AD under suite 1, as FORMAT gives it: format 1 at bytes 18 and 19. */
#define AD_HEX "101112131415161718191a1b1c1d1e1f" "01" "01" "0100" "0400" "0100" \
               "efcdab89674523010000000000000000" "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf" \
               "0700000000000000" "0900000000000000"
#define GOLDEN_AES \
  "0101404142434445464748494a4be2b9ae23263c8703cdc417369b64135b79c6525cb7350f2377474ee59713eddb9f08" \
  "f3acbcd6b13e4e81796f8d511c566e811fb3b38d0a4a799cd788"
#define GOLDEN_XCHACHA \
  "0102404142434445464748494a4b4c4d4e4f5051525354555657d4390570d0e079168ff487beaf9c659292baadc41359" \
  "539a6a31fd450904239011f9026e37fdea7a90c7864c325c6db480b353c91803661869a37ff1"
#define GOLDEN_SEALED \
  "0112493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d707cdaec223bb5fbae0b79f468e2" \
  "73411500455664acf7e5111554629502c2faeeb00b7f0b6f55228a70f158d4dd09cc7f624afce7587fdb4ebafec5"
#define GOLDEN_UNMIXED \
  "0112493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531dea5b7b43515ccc801979dbcdd100" \
  "06189e920afcbf449f1157f904cf09e4b46461b0fcf313588d8071ecd7904cd1a9d0278906eb00b02ee168805ecd"
/* Made to verify under two AES-GCM keys, 00 01 … and 20 21 …; proper text under the first only. */
#define TWO_KEYS \
  "0101404142434445464748494a4be2b9ae23263c8703cdc417369b64135b79c6525cb7350f2377474ee59713eddbb408" \
  "f3acbadcaa2c0197670ae221ffafc5c17c8d06849c6ac8e61ca129dbeb81897ab0d861fe58cf22ad06a5fa1188466949" \
  "180853bf8a7e1be9b0c3568c0f08"
static uint8_t record[16], loc[16], key[32], nonce[24], mix[32], sk[32], pk[32];
static const struct box_ad AD = { record, BOX_HEADER, IN_OBJECT, BOX_LAST_CHUNK, 0x0123456789abcdef, loc, 7, 9 };
static struct buf scratch;
static int suite_of[3], n_suites;                     /* the suites that this machine can run */

static void count_up(uint8_t *p, size_t n, uint8_t first) {
  for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(first + i);
}

static int all_zero(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return 0;
  return 1;
}

static int seal(int suite, const struct box_ad *ad, const void *plain, size_t n, size_t pad, struct buf *out) {
  if (suite == SUITE_SEALED) return box_seal_to(pk, mix, ad, plain, n, pad, out);
  return box_seal(suite, key, ad, plain, n, pad, NULL, out);
}

/* Opens an exact copy on the heap, so that the sanitizer sees a read past its end. */
static int open_as(int suite, const struct box_ad *ad, const void *box, size_t n, const uint8_t **plain,
                   size_t *plain_n) {
  uint8_t *copy = malloc(n ? n : 1);
  assert_non_null(copy);
  if (n) memcpy(copy, box, n);
  int rc = suite == SUITE_SEALED ? box_open_from(sk, pk, mix, ad, copy, n, &scratch, plain, plain_n)
                                 : box_open(key, ad, copy, n, &scratch, plain, plain_n);
  free(copy);
  return rc;
}

static void assert_opens(int suite, const struct box_ad *ad, const struct buf *box, const void *want, size_t n) {
  const uint8_t *plain = NULL;
  size_t got = 0;
  assert_int_equal(open_as(suite, ad, box->p, box->n, &plain, &got), 0);
  assert_int_equal(got, n);
  if (n) assert_memory_equal(plain, want, n);
}

static void assert_refused(int suite, const struct box_ad *ad, const void *box, size_t n, int error) {
  const uint8_t *plain = (const uint8_t *)"";
  size_t got = 1;
  assert_int_equal(open_as(suite, ad, box, n, &plain, &got), error);
  assert_null(plain);
  assert_int_equal(got, 0);
  assert_int_equal(scratch.n, 0);
  assert_true(all_zero(scratch.p, scratch.cap));
}

static void put_hex(struct buf *b, const char *hex) {
  uint8_t p[256];
  size_t n = strlen(hex) / 2;
  assert_true(n <= sizeof p);
  assert_int_equal(bytes_hex(hex, n, p), 0);
  buf_put(b, p, n);
}

/* The associated data of AD under any suite and format. */
static void ad_of(int suite, unsigned format, uint8_t ad[72]) {
  assert_int_equal(bytes_hex(AD_HEX, 72, ad), 0);
  ad[17] = (uint8_t)suite;
  ad[18] = (uint8_t)format;
  ad[19] = (uint8_t)(format >> 8);
}

static struct suite_key *keyed(const uint8_t *bytes) {
  static struct suite_key k;
  suite_key_set(&k, bytes);
  return &k;
}

/* A box with any body, sealed as a holder of the key with other software could. */
static void craft(int suite, const uint8_t *body, size_t n, unsigned format, struct buf *out) {
  uint8_t ad[72], sealed[256], tag[16];
  ad_of(suite, format, ad);
  assert_int_equal(suite_seal(suite, keyed(key), nonce, ad, sizeof ad, body, n, sealed, tag), 0);
  buf_u8(out, 1);
  buf_u8(out, (uint8_t)suite);
  buf_put(out, nonce, suite_nonce_bytes(suite));
  buf_put(out, sealed, n);
  buf_put(out, tag, sizeof tag);
}

static void a_box_gives_back_what_was_sealed(void **state) {
  (void)state;
  uint8_t *text = malloc(70000);
  assert_non_null(text);
  count_up(text, 70000, 1);
  for (int s = 0; s < n_suites; s++)
    for (size_t n = 0; n < 70000; n = n < 200 ? n + 1 : n + 65336)
      for (size_t pad = 0; pad < 3; pad++) {
        struct buf box = {0};
        assert_int_equal(seal(suite_of[s], &AD, text, n, pad == 2 ? 70000 : pad, &box), 0);
        assert_opens(suite_of[s], &AD, &box, text, n);
        buf_free(&box);
      }
  free(text);
}

static void golden_boxes_keep_opening(void **state) {
  (void)state;
  static const struct { int suite; const char *hex; } GOLDEN[] = {
    { SUITE_AES, GOLDEN_AES }, { SUITE_XCHACHA, GOLDEN_XCHACHA }, { SUITE_SEALED, GOLDEN_SEALED },
  };
  for (int s = 0; s < n_suites; s++)
    for (int i = 0; i < 3; i++) {
      if (GOLDEN[i].suite != suite_of[s]) continue;
      struct buf box = {0};
      put_hex(&box, GOLDEN[i].hex);
      assert_opens(GOLDEN[i].suite, &AD, &box, "bonjour", 7);
      buf_free(&box);
    }
}

static void a_golden_box_sealed_without_the_anchor_keeps_opening(void **state) {
  (void)state;
  struct buf box = {0};
  const uint8_t *plain;
  size_t n;
  put_hex(&box, GOLDEN_UNMIXED);
  assert_int_equal(box_open_from(sk, pk, NULL, &AD, box.p, box.n, &scratch, &plain, &n), 0);
  assert_int_equal(n, 7);
  assert_memory_equal(plain, "bonjour", 7);
  assert_refused(SUITE_SEALED, &AD, box.p, box.n, DMP_E_TAMPERED);
  buf_free(&box);
}

static void sealing_again_gives_the_golden_bytes(void **state) {
  (void)state;
  struct buf box = {0}, want = {0};
  put_hex(&want, GOLDEN_XCHACHA);
  assert_int_equal(box_seal(SUITE_XCHACHA, key, &AD, "bonjour", 7, PAD_PADME, nonce, &box), 0);
  assert_int_equal(box.n, want.n);
  assert_memory_equal(box.p, want.p, want.n);
  if (suite_has_aes()) {
    buf_reset(&box);
    buf_reset(&want);
    put_hex(&want, GOLDEN_AES);
    assert_int_equal(box_seal(SUITE_AES, key, &AD, "bonjour", 7, PAD_PADME, nonce, &box), 0);
    assert_int_equal(box.n, want.n);
    assert_memory_equal(box.p, want.p, want.n);
  }
  buf_free(&box);
  buf_free(&want);
}

static void every_bit_of_a_box_counts(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_PADME, &box), 0);
    for (size_t bit = 0; bit < box.n * 8; bit++) {
      box.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
      int suite = box_suite(box.p, box.n), error = DMP_E_TAMPERED;
      if (suite == 0 || (suite == SUITE_SEALED) != (suite_of[s] == SUITE_SEALED)) error = DMP_E_BOX_FORMAT;
      /* The top bit of an X25519 key means nothing to X25519, but the key derivation hashes it. */
      assert_refused(suite_of[s], &AD, box.p, box.n, error);
      box.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_opens(suite_of[s], &AD, &box, "bonjour", 7);
    buf_free(&box);
  }
}

static void a_box_of_another_length_is_refused(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    size_t overhead = 2 + suite_nonce_bytes(suite_of[s]) + 32 + 4 + 16;
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_NONE, &box), 0);
    assert_int_equal(box.n, overhead + 7);
    for (size_t n = 0; n < box.n; n++)
      assert_refused(suite_of[s], &AD, box.p, n, n < overhead ? DMP_E_TRUNCATED : DMP_E_TAMPERED);
    assert_opens(suite_of[s], &AD, &box, "bonjour", 7);
    buf_u8(&box, 0);
    assert_refused(suite_of[s], &AD, box.p, box.n, DMP_E_TAMPERED);
    assert_refused(suite_of[s], &AD, NULL, 0, DMP_E_TRUNCATED);
    buf_free(&box);
  }
}

static void the_overheads_are_those_of_an_empty_box(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    assert_int_equal(seal(suite_of[s], &AD, NULL, 0, PAD_NONE, &box), 0);
    assert_int_equal(box.n, suite_of[s] == SUITE_AES ? BOX_OVERHEAD_AES
                     : suite_of[s] == SUITE_XCHACHA ? BOX_OVERHEAD_XCHACHA : BOX_OVERHEAD_SEALED);
    assert_opens(suite_of[s], &AD, &box, NULL, 0);
    buf_free(&box);
  }
}

static void every_field_of_the_associated_data_counts(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_PADME, &box), 0);
    for (int bit = 0; bit < 128; bit++) {
      uint8_t other[16];
      struct box_ad ad = AD;
      memcpy(other, record, 16);
      other[bit / 8] ^= (uint8_t)(1 << bit % 8);
      ad.record = other;
      assert_refused(suite_of[s], &ad, box.p, box.n, DMP_E_TAMPERED);
      ad = AD;
      memcpy(other, loc, 16);
      other[bit / 8] ^= (uint8_t)(1 << bit % 8);
      ad.loc = other;
      assert_refused(suite_of[s], &ad, box.p, box.n, DMP_E_TAMPERED);
    }
    for (int bit = 0; bit < 64; bit++) {
      struct box_ad ad = AD;
      ad.id = (int64_t)((uint64_t)ad.id ^ UINT64_C(1) << bit);
      assert_refused(suite_of[s], &ad, box.p, box.n, DMP_E_TAMPERED);
      ad = AD;
      ad.version ^= UINT64_C(1) << bit;
      assert_refused(suite_of[s], &ad, box.p, box.n, DMP_E_TAMPERED);
      ad = AD;
      ad.chunk ^= UINT64_C(1) << bit;
      assert_refused(suite_of[s], &ad, box.p, box.n, DMP_E_TAMPERED);
    }
    for (int bit = 0; bit < 16; bit++) {
      struct box_ad ad = AD;
      ad.table = (uint16_t)(ad.table ^ 1 << bit);
      assert_refused(suite_of[s], &ad, box.p, box.n, DMP_E_TAMPERED);
      ad = AD;
      ad.flags = (uint16_t)(ad.flags ^ 1 << bit);
      assert_refused(suite_of[s], &ad, box.p, box.n, DMP_E_TAMPERED);
    }
    assert_opens(suite_of[s], &AD, &box, "bonjour", 7);
    buf_free(&box);
  }
}

static void a_box_of_one_kind_never_opens_as_another(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++)
    for (uint8_t kind = BOX_HEADER; kind <= BOX_WELCOME; kind++) {
      struct buf box = {0};
      struct box_ad ad = AD;
      ad.kind = kind;
      assert_int_equal(seal(suite_of[s], &ad, "bonjour", 7, PAD_PADME, &box), 0);
      for (uint8_t other = BOX_HEADER; other <= BOX_WELCOME; other++) {
        struct box_ad as = AD;
        as.kind = other;
        if (other == kind) assert_opens(suite_of[s], &as, &box, "bonjour", 7);
        else assert_refused(suite_of[s], &as, box.p, box.n, DMP_E_TAMPERED);
      }
      buf_free(&box);
    }
}

static void an_older_version_put_back_is_refused(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf old = {0}, new = {0};
    struct box_ad first = AD, second = AD;
    first.version = 1;
    second.version = 2;
    assert_int_equal(seal(suite_of[s], &first, "ancien", 6, PAD_PADME, &old), 0);
    assert_int_equal(seal(suite_of[s], &second, "nouveau", 7, PAD_PADME, &new), 0);
    assert_opens(suite_of[s], &second, &new, "nouveau", 7);
    assert_refused(suite_of[s], &second, old.p, old.n, DMP_E_TAMPERED);
    assert_refused(suite_of[s], &first, new.p, new.n, DMP_E_TAMPERED);
    buf_free(&old);
    buf_free(&new);
  }
}

static void a_box_of_another_record_is_refused(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    struct box_ad none = AD;
    none.record = none.loc = NULL;
    assert_int_equal(seal(suite_of[s], &none, "bonjour", 7, PAD_PADME, &box), 0);
    uint8_t zero[16] = {0};
    struct box_ad zeros = AD;
    zeros.record = zeros.loc = zero;
    assert_opens(suite_of[s], &zeros, &box, "bonjour", 7);
    assert_refused(suite_of[s], &AD, box.p, box.n, DMP_E_TAMPERED);
    buf_free(&box);
  }
}

static void a_record_of_another_format_number_is_refused(void **state) {
  (void)state;
  uint8_t body[36] = {0};
  struct buf box = {0};
  craft(SUITE_XCHACHA, body, sizeof body, DMP_FORMAT, &box);
  assert_opens(SUITE_XCHACHA, &AD, &box, NULL, 0);
  buf_reset(&box);
  craft(SUITE_XCHACHA, body, sizeof body, 0xFFFF, &box);
  assert_refused(SUITE_XCHACHA, &AD, box.p, box.n, DMP_E_TAMPERED);
  buf_free(&box);
}

static void another_key_opens_nothing(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_PADME, &box), 0);
    uint8_t *secret = suite_of[s] == SUITE_SEALED ? sk : key;
    secret[8] ^= 1;                                   /* X25519 ignores some bits of the first and last byte */
    assert_refused(suite_of[s], &AD, box.p, box.n, DMP_E_TAMPERED);
    secret[8] ^= 1;
    assert_opens(suite_of[s], &AD, &box, "bonjour", 7);
    buf_free(&box);
  }
}

static void a_box_made_for_two_keys_opens_under_one_only(void **state) {
  (void)state;
  if (!suite_has_aes()) skip();
  struct buf box = {0};
  uint8_t ad[72], second[32], out[80];
  const uint8_t *plain;
  size_t n;
  put_hex(&box, TWO_KEYS);
  count_up(second, sizeof second, 0x20);
  assert_int_equal(bytes_hex(AD_HEX, sizeof ad, ad), 0);
  /* AES-GCM itself accepts both keys. */
  assert_int_equal(suite_open(SUITE_AES, keyed(key), box.p + 2, ad, 72, box.p + 14, 80, box_tag(box.p, box.n), out), 0);
  assert_int_equal(suite_open(SUITE_AES, keyed(second), box.p + 2, ad, 72, box.p + 14, 80, box_tag(box.p, box.n), out), 0);

  assert_int_equal(box_open(key, &AD, box.p, box.n, &scratch, &plain, &n), 0);
  assert_int_equal(n, 44);
  assert_memory_equal(plain, "deux cles, u", 12);
  assert_int_equal(box_open(second, &AD, box.p, box.n, &scratch, &plain, &n), DMP_E_TAMPERED);
  assert_null(plain);
  assert_true(all_zero(scratch.p, scratch.cap));
  buf_free(&box);
}

static void the_fixed_block_counts_at_every_byte(void **state) {
  (void)state;
  uint8_t body[40] = {0};
  body[32] = 4;
  for (int s = 0; s < n_suites; s++) {
    if (suite_of[s] == SUITE_SEALED) continue;
    struct buf box = {0};
    for (int i = 0; i < 32; i++) {
      body[i] = 0x10;
      craft(suite_of[s], body, sizeof body, DMP_FORMAT, &box);
      assert_refused(suite_of[s], &AD, box.p, box.n, DMP_E_TAMPERED);
      body[i] = 0;
      buf_reset(&box);
    }
    craft(suite_of[s], body, sizeof body, DMP_FORMAT, &box);
    assert_opens(suite_of[s], &AD, &box, "\0\0\0\0", 4);
    buf_free(&box);
  }
}

static void a_length_past_the_room_is_refused(void **state) {
  (void)state;
  static const uint32_t LENGTH[] = { 9, 10, 0x100, 0x10000, 0x7fffffff, 0x80000000, 0xffffffdc, 0xffffffff };
  uint8_t body[44] = {0};
  struct buf box = {0};
  for (size_t i = 0; i < sizeof LENGTH / sizeof *LENGTH; i++) {
    le_put32(body + 32, LENGTH[i]);
    craft(SUITE_XCHACHA, body, sizeof body, DMP_FORMAT, &box);
    assert_refused(SUITE_XCHACHA, &AD, box.p, box.n, DMP_E_TAMPERED);
    buf_reset(&box);
  }
  le_put32(body + 32, 8);
  craft(SUITE_XCHACHA, body, sizeof body, DMP_FORMAT, &box);
  assert_opens(SUITE_XCHACHA, &AD, &box, "\0\0\0\0\0\0\0\0", 8);
  buf_free(&box);
}

static void padding_hides_nothing(void **state) {
  (void)state;
  uint8_t body[56] = {0};
  struct buf box = {0};
  body[32] = 5;
  for (size_t i = 36; i < sizeof body; i++) {
    body[i] = 0x80;
    craft(SUITE_XCHACHA, body, sizeof body, DMP_FORMAT, &box);
    if (i < 36 + 5) assert_opens(SUITE_XCHACHA, &AD, &box, body + 36, 5);
    else assert_refused(SUITE_XCHACHA, &AD, box.p, box.n, DMP_E_TAMPERED);
    body[i] = 0;
    buf_reset(&box);
  }
  buf_free(&box);
}

static void unknown_formats_and_suites_have_their_own_error(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    assert_int_equal(seal(suite_of[s], &AD, "un texte assez long pour chaque suite", 37, PAD_PADME, &box), 0);
    for (unsigned v = 0; v < 256; v++) {
      uint8_t was = box.p[0];
      if (v != was) {
        box.p[0] = (uint8_t)v;
        assert_refused(suite_of[s], &AD, box.p, box.n, DMP_E_BOX_FORMAT);
        assert_int_equal(box_suite(box.p, box.n), 0);
        box.p[0] = was;
      }
      was = box.p[1];
      int known = v == SUITE_AES || v == SUITE_XCHACHA || v == SUITE_SEALED;
      box.p[1] = (uint8_t)v;
      assert_int_equal(box_suite(box.p, box.n), known ? v : 0);
      if (!known) assert_refused(suite_of[s], &AD, box.p, box.n, DMP_E_BOX_FORMAT);
      box.p[1] = was;
    }
    buf_free(&box);
  }
}

static void a_suite_exchanged_for_another_is_refused(void **state) {
  (void)state;
  for (int a = 0; a < n_suites; a++)
    for (int b = 0; b < n_suites; b++) {
      struct buf box = {0};
      assert_int_equal(seal(suite_of[a], &AD, "un texte assez long pour chaque suite", 37, PAD_PADME, &box), 0);
      box.p[1] = (uint8_t)suite_of[b];
      if (a != b) assert_refused(suite_of[b], &AD, box.p, box.n, DMP_E_TAMPERED);
      buf_free(&box);
    }
}

static void sealed_and_symmetric_boxes_are_told_apart(void **state) {
  (void)state;
  struct buf sealed = {0}, symmetric = {0}, none = {0};
  assert_int_equal(seal(SUITE_SEALED, &AD, "bonjour", 7, PAD_PADME, &sealed), 0);
  assert_int_equal(seal(SUITE_XCHACHA, &AD, "bonjour", 7, PAD_PADME, &symmetric), 0);
  assert_refused(SUITE_XCHACHA, &AD, sealed.p, sealed.n, DMP_E_BOX_FORMAT);
  assert_refused(SUITE_SEALED, &AD, symmetric.p, symmetric.n, DMP_E_BOX_FORMAT);
  assert_int_equal(box_seal(SUITE_SEALED, key, &AD, "bonjour", 7, PAD_PADME, NULL, &none), DMP_E_BOX_FORMAT);
  assert_int_equal(box_seal(3, key, &AD, "bonjour", 7, PAD_PADME, NULL, &none), DMP_E_BOX_FORMAT);
  assert_int_equal(none.n, 0);
  buf_free(&sealed);
  buf_free(&symmetric);
}

static void a_sealed_box_is_bound_to_its_recipient_and_anchor(void **state) {
  (void)state;
  struct buf box = {0};
  const uint8_t *plain;
  size_t n;
  uint8_t sk2[32], pk2[32], mix2[32];
  count_up(sk2, 32, 0x11);
  suite_box_pair(sk2, pk2);
  memcpy(mix2, mix, 32);
  mix2[31] ^= 1;
  assert_int_equal(box_seal_to(pk, mix, &AD, "bonjour", 7, PAD_PADME, &box), 0);
  assert_int_equal(box_open_from(sk, pk, mix, &AD, box.p, box.n, &scratch, &plain, &n), 0);
  assert_int_equal(box_open_from(sk2, pk2, mix, &AD, box.p, box.n, &scratch, &plain, &n), DMP_E_TAMPERED);
  assert_int_equal(box_open_from(sk, pk2, mix, &AD, box.p, box.n, &scratch, &plain, &n), DMP_E_TAMPERED);
  assert_int_equal(box_open_from(sk, pk, mix2, &AD, box.p, box.n, &scratch, &plain, &n), DMP_E_TAMPERED);
  assert_int_equal(box_open_from(sk, pk, NULL, &AD, box.p, box.n, &scratch, &plain, &n), DMP_E_TAMPERED);
  assert_null(plain);
  buf_free(&box);
}

static void low_order_keys_neither_seal_nor_open(void **state) {
  (void)state;
  struct buf box = {0};
  uint8_t zero[32] = {0}, body[36] = {0}, label[70] = "sealed", ad[72], k[32];
  assert_int_equal(box_seal_to(zero, mix, &AD, "bonjour", 7, PAD_PADME, &box), DMP_E_TAMPERED);
  assert_int_equal(box.n, 0);

  /* With such an ephemeral key the shared secret would be zero, and this box would verify. */
  memcpy(label + 38, pk, 32);
  suite_kdf2(zero, 32, mix, 32, label, sizeof label, k);
  ad_of(SUITE_SEALED, DMP_FORMAT, ad);
  put_hex(&box, "0112");
  buf_zero(&box, 32 + sizeof body + 16);
  uint8_t *text = box.p + 34;
  assert_int_equal(suite_seal(SUITE_XCHACHA, keyed(k), zero, ad, sizeof ad, body, sizeof body, text, text + sizeof body), 0);
  assert_refused(SUITE_SEALED, &AD, box.p, box.n, DMP_E_TAMPERED);
  buf_free(&box);
}

static void two_seals_of_the_same_text_share_no_nonce_and_no_byte_run(void **state) {
  (void)state;
  for (int s = 0; s < n_suites; s++) {
    struct buf a = {0}, b = {0};
    size_t front = suite_nonce_bytes(suite_of[s]);
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_PADME, &a), 0);
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_PADME, &b), 0);
    assert_memory_not_equal(a.p + 2, b.p + 2, front);
    for (size_t i = 2 + front; i + 8 <= a.n; i += 8) assert_memory_not_equal(a.p + i, b.p + i, 8);
    buf_free(&a);
    buf_free(&b);
  }
}

static void padding_gives_every_text_up_to_it_one_size(void **state) {
  (void)state;
  uint8_t text[301] = {1};
  for (int s = 0; s < n_suites; s++) {
    size_t overhead = 2 + suite_nonce_bytes(suite_of[s]) + 32 + 4 + 16;
    for (size_t n = 0; n <= 300; n++) {
      struct buf box = {0};
      assert_int_equal(seal(suite_of[s], &AD, text, n, 300, &box), 0);
      assert_int_equal(box.n, overhead + 300);
      buf_reset(&box);
      assert_int_equal(seal(suite_of[s], &AD, text, n, PAD_PADME, &box), 0);
      assert_int_equal(box.n, overhead - 4 + padme(4 + n));
      buf_reset(&box);
      assert_int_equal(seal(suite_of[s], &AD, text, n, PAD_NONE, &box), 0);
      assert_int_equal(box.n, overhead + n);
      buf_free(&box);
    }
  }
}

static void a_text_longer_than_its_padding_is_refused(void **state) {
  (void)state;
  uint8_t text[301] = {1};
  for (int s = 0; s < n_suites; s++) {
    struct buf box = {0};
    buf_put(&box, "avant", 5);
    assert_int_equal(seal(suite_of[s], &AD, text, 301, 300, &box), DMP_E_TOO_BIG);
    assert_int_equal(seal(suite_of[s], &AD, text, SIZE_MAX, PAD_NONE, &box), DMP_E_TOO_BIG);
    assert_int_equal(seal(suite_of[s], &AD, text, UINT32_MAX, PAD_PADME, &box), DMP_E_TOO_BIG);
    assert_int_equal(seal(suite_of[s], &AD, text, 1, SIZE_MAX, &box), DMP_E_TOO_BIG);
    assert_int_equal(box.n, 5);
    assert_memory_equal(box.p, "avant", 5);
    buf_free(&box);
  }
}

static void a_box_is_appended_behind_what_the_buffer_holds(void **state) {
  (void)state;
  struct buf all = {0};
  for (int i = 0; i < 50; i++) assert_int_equal(seal(SUITE_XCHACHA, &AD, "bonjour", 7, 20, &all), 0);
  assert_int_equal(all.n, 50 * (BOX_OVERHEAD_XCHACHA + 20));
  for (size_t i = 0; i < 50; i++) {
    struct buf one = { all.p + i * (BOX_OVERHEAD_XCHACHA + 20), BOX_OVERHEAD_XCHACHA + 20, 0, 0 };
    assert_opens(SUITE_XCHACHA, &AD, &one, "bonjour", 7);
  }
  buf_free(&all);
}

static void a_buffer_that_failed_takes_no_box(void **state) {
  (void)state;
  struct buf box = {0};
  assert_int_equal(buf_reserve(&box, SIZE_MAX), DMP_E_NOMEM);
  for (int s = 0; s < n_suites; s++)
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_PADME, &box), DMP_E_NOMEM);
  assert_int_equal(box.n, 0);
  buf_free(&box);
}

static void scratch_with_room_is_neither_moved_nor_left_with_older_text(void **state) {
  (void)state;
  struct buf large = {0}, small = {0};
  uint8_t text[4000];
  memset(text, 'x', sizeof text);
  for (int s = 0; s < n_suites; s++) {
    buf_reset(&large);
    buf_reset(&small);
    assert_int_equal(seal(suite_of[s], &AD, text, sizeof text, PAD_PADME, &large), 0);
    assert_int_equal(seal(suite_of[s], &AD, "bonjour", 7, PAD_PADME, &small), 0);
    assert_opens(suite_of[s], &AD, &large, text, sizeof text);
    const uint8_t *p = scratch.p;
    size_t cap = scratch.cap;
    assert_opens(suite_of[s], &AD, &small, "bonjour", 7);
    assert_ptr_equal(scratch.p, p);
    assert_int_equal(scratch.cap, cap);
    assert_null(memchr(scratch.p, 'x', cap));
  }
  buf_free(&large);
  buf_free(&small);
}

static void scratch_grows_to_what_a_box_needs(void **state) {
  (void)state;
  struct buf box = {0}, small = {0};
  const uint8_t *plain;
  size_t n;
  uint8_t text[4000];
  count_up(text, sizeof text, 1);
  buf_put(&small, "avant", 5);
  assert_int_equal(box_seal(SUITE_XCHACHA, key, &AD, text, sizeof text, PAD_PADME, NULL, &box), 0);
  assert_int_equal(box_open(key, &AD, box.p, box.n, &small, &plain, &n), 0);
  assert_int_equal(n, sizeof text);
  assert_memory_equal(plain, text, sizeof text);
  buf_free(&box);
  buf_free(&small);
}

static void tag_and_suite_are_read_without_a_key(void **state) {
  (void)state;
  struct buf box = {0};
  put_hex(&box, GOLDEN_XCHACHA);
  assert_ptr_equal(box_tag(box.p, box.n), box.p + box.n - 16);
  assert_ptr_equal(box_tag(box.p, 16), box.p);
  assert_null(box_tag(box.p, 15));
  assert_null(box_tag(NULL, 0));
  assert_int_equal(box_suite(box.p, box.n), SUITE_XCHACHA);
  assert_int_equal(box_suite(box.p, 2), SUITE_XCHACHA);
  assert_int_equal(box_suite(box.p, 1), 0);
  assert_int_equal(box_suite(NULL, 0), 0);
  buf_free(&box);
}

/* From here on this process gets no random numbers. 0, or -1 where the system allows no such filter. */
static int random_off(void) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof code / sizeof *code, code };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void without_random_numbers_nothing_is_sealed(void **state) {
  (void)state;
  enum { CANNOT = 77, SEALED = 78 };
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct buf box = {0};
    if (random_off() != 0) _exit(CANNOT);
    int a = seal(SUITE_XCHACHA, &AD, "bonjour", 7, PAD_PADME, &box);
    int b = seal(SUITE_SEALED, &AD, "bonjour", 7, PAD_PADME, &box);
    if (box.n != 0 || a != b) _exit(SEALED);
    _exit(a);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == CANNOT) skip();
  assert_int_equal(WEXITSTATUS(status), DMP_E_RANDOM);
}

static int set_up(void **state) {
  (void)state;
  count_up(record, sizeof record, 0x10);
  count_up(loc, sizeof loc, 0xa0);
  count_up(key, sizeof key, 0);
  count_up(nonce, sizeof nonce, 0x40);
  count_up(mix, sizeof mix, 0xc0);
  count_up(sk, sizeof sk, 0x60);
  suite_box_pair(sk, pk);
  suite_of[n_suites++] = SUITE_XCHACHA;
  suite_of[n_suites++] = SUITE_SEALED;
  int rc = suite_start();
  if (suite_has_aes()) suite_of[n_suites++] = SUITE_AES;
  buf_zero(&scratch, 100000);                         /* more than any box here: a byte left behind stays to be seen */
  buf_zero(&scratch, scratch.cap - scratch.n);
  buf_reset(&scratch);
  return rc;
}

static int tear_down(void **state) {
  (void)state;
  buf_free(&scratch);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_box_gives_back_what_was_sealed),
    cmocka_unit_test(golden_boxes_keep_opening),
    cmocka_unit_test(a_golden_box_sealed_without_the_anchor_keeps_opening),
    cmocka_unit_test(sealing_again_gives_the_golden_bytes),
    cmocka_unit_test(every_bit_of_a_box_counts),
    cmocka_unit_test(a_box_of_another_length_is_refused),
    cmocka_unit_test(the_overheads_are_those_of_an_empty_box),
    cmocka_unit_test(every_field_of_the_associated_data_counts),
    cmocka_unit_test(a_box_of_one_kind_never_opens_as_another),
    cmocka_unit_test(an_older_version_put_back_is_refused),
    cmocka_unit_test(a_box_of_another_record_is_refused),
    cmocka_unit_test(a_record_of_another_format_number_is_refused),
    cmocka_unit_test(another_key_opens_nothing),
    cmocka_unit_test(a_box_made_for_two_keys_opens_under_one_only),
    cmocka_unit_test(the_fixed_block_counts_at_every_byte),
    cmocka_unit_test(a_length_past_the_room_is_refused),
    cmocka_unit_test(padding_hides_nothing),
    cmocka_unit_test(unknown_formats_and_suites_have_their_own_error),
    cmocka_unit_test(a_suite_exchanged_for_another_is_refused),
    cmocka_unit_test(sealed_and_symmetric_boxes_are_told_apart),
    cmocka_unit_test(a_sealed_box_is_bound_to_its_recipient_and_anchor),
    cmocka_unit_test(low_order_keys_neither_seal_nor_open),
    cmocka_unit_test(two_seals_of_the_same_text_share_no_nonce_and_no_byte_run),
    cmocka_unit_test(padding_gives_every_text_up_to_it_one_size),
    cmocka_unit_test(a_text_longer_than_its_padding_is_refused),
    cmocka_unit_test(a_box_is_appended_behind_what_the_buffer_holds),
    cmocka_unit_test(a_buffer_that_failed_takes_no_box),
    cmocka_unit_test(scratch_with_room_is_neither_moved_nor_left_with_older_text),
    cmocka_unit_test(scratch_grows_to_what_a_box_needs),
    cmocka_unit_test(tag_and_suite_are_read_without_a_key),
    cmocka_unit_test(without_random_numbers_nothing_is_sealed),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
