/* fuzz_box.c: a libFuzzer target: arbitrary bytes as a box, and as the body of a box that verifies.
 * clang -fsanitize=fuzzer,address tests/fuzz_box.c ext/{box,bytes,suite,random}.c -Iinclude -Iext -lsodium */
#include <stdlib.h>
#include <string.h>

#include "box.h"
#include "dmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const uint8_t KEY[32] = {1}, NONCE[24] = {2};
static const struct box_ad NOTHING = {0};
static struct buf scratch;

static void must(int holds) {
  if (!holds) abort();
}

static void check_answer(int rc, const uint8_t *plain, size_t n, size_t box_len) {
  if (rc == 0) {
    must(plain >= scratch.p && n < box_len && plain + n <= scratch.p + scratch.n);
    return;
  }
  must(rc == DMP_E_TAMPERED || rc == DMP_E_TRUNCATED || rc == DMP_E_BOX_FORMAT);
  must(plain == NULL && n == 0 && scratch.n == 0);
}

static void open_raw(const uint8_t *box, size_t box_len) {
  uint8_t pk[32];
  const uint8_t *plain;
  size_t n;
  int rc = box_open(KEY, &NOTHING, box, box_len, &scratch, &plain, &n);
  check_answer(rc, plain, n, box_len);
  must(rc != 0);                                      /* nobody who lacks the key finds a tag */
  suite_box_pair(KEY, pk);
  rc = box_open_from(KEY, pk, NULL, &NOTHING, box, box_len, &scratch, &plain, &n);
  check_answer(rc, plain, n, box_len);
  must(rc != 0);
  int suite = box_suite(box, box_len);
  must(suite == 0 || suite_nonce_bytes(suite) != 0);
  must((box_tag(box, box_len) == NULL) == (box_len < SUITE_TAG));
}

/* What a body must be, said a second time and slowly. */
static int body_is_proper(const uint8_t *body, size_t n) {
  if (n < 36) return 0;
  for (size_t i = 0; i < 32; i++)
    if (body[i]) return 0;
  size_t len = le_get32(body + 32);
  if (len > n - 36) return 0;
  for (size_t i = 36 + len; i < n; i++)
    if (body[i]) return 0;
  return 1;
}

static struct suite_key *keyed(const uint8_t *bytes) {
  static struct suite_key k;
  suite_key_set(&k, bytes);
  return &k;
}

static void open_sealed(const uint8_t *body, size_t body_len) {
  uint8_t ad[72] = {0}, tag[SUITE_TAG];
  struct buf box = {0};
  const uint8_t *plain;
  size_t n;
  ad[17] = SUITE_XCHACHA;
  ad[18] = DMP_FORMAT;
  buf_u8(&box, 1);
  buf_u8(&box, SUITE_XCHACHA);
  buf_put(&box, NONCE, sizeof NONCE);
  must(buf_reserve(&box, body_len + SUITE_TAG) == 0);
  must(suite_seal(SUITE_XCHACHA, keyed(KEY), NONCE, ad, sizeof ad, body, body_len, box.p + box.n, tag) == 0);
  box.n += body_len;
  buf_put(&box, tag, sizeof tag);
  int rc = box_open(KEY, &NOTHING, box.p, box.n, &scratch, &plain, &n);
  check_answer(rc, plain, n, box.n);
  must((rc == 0) == body_is_proper(body, body_len));
  if (rc == 0) must(n == le_get32(body + 32) && memcmp(plain, body + 36, n) == 0);
  buf_free(&box);
}

/* Without this start the zeros would first have to be guessed. */
static void open_after_zeros(const uint8_t *rest, size_t n) {
  struct buf body = {0};
  buf_zero(&body, 32);
  buf_put(&body, rest, n);
  must(!body.bad);
  open_sealed(body.p, body.n);
  buf_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  if (suite_start() != 0) abort();
  open_raw(data, n);
  open_sealed(data, n);
  open_after_zeros(data, n);
  return 0;
}
