/* test_random.c: proves that the shipped random bytes never repeat, and that the test build's do, thing by thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dmp.h"
#include "random.h"

/* The replacement's three functions, under other names beside the shipped ones. */
int replay_bytes(const char *label, void *out, size_t n);
void replay_about(const void *name, size_t n);
unsigned replay_format(void);
#define random_bytes replay_bytes
#define random_about replay_about
#define random_format replay_format
#include "random_test.c"
#undef random_bytes
#undef random_about
#undef random_format

static void start_over(const char *seed) {
  free(counts);
  counts = NULL;
  slots = used = 0;
  seeded = 0;
  memset(about, 0, sizeof about);
  if (seed) setenv("DMP_TEST_SEED", seed, 1);
  else unsetenv("DMP_TEST_SEED");
}

static void shipped_bytes_never_repeat(void **state) {
  (void)state;
  uint8_t a[32], b[32];
  random_about("même nom", 9);
  assert_int_equal(random_bytes("nonce", a, sizeof a), 0);
  random_about("même nom", 9);
  assert_int_equal(random_bytes("nonce", b, sizeof b), 0);
  assert_memory_not_equal(a, b, 32);
}

static void shipped_records_carry_the_product_format_and_test_records_another(void **state) {
  (void)state;
  assert_int_equal(random_format(), DMP_FORMAT);
  assert_int_equal(replay_format(), 0xFFFF);
}

static void a_rerun_repeats_every_byte(void **state) {
  (void)state;
  uint8_t first[20][45], again[45];
  for (int run = 0; run < 2; run++) {
    start_over("graine");
    for (int i = 0; i < 20; i++) {
      uint8_t *to = run ? again : first[i];
      replay_about("nom", (size_t)(i % 4));
      assert_int_equal(replay_bytes(i % 3 ? "nonce" : "key", to, 45), 0);
      if (run) assert_memory_equal(again, first[i], 45);
    }
  }
}

static void seed_label_name_and_call_each_give_other_bytes(void **state) {
  (void)state;
  uint8_t of[6][32];
  start_over("graine");
  replay_bytes("nonce", of[0], 32);
  replay_bytes("nonce", of[1], 32);
  replay_bytes("key", of[2], 32);
  replay_about("nom", 3);
  replay_bytes("nonce", of[3], 32);
  start_over("autre");
  replay_bytes("nonce", of[4], 32);
  start_over(NULL);
  replay_bytes("nonce", of[5], 32);
  for (int i = 0; i < 6; i++) {
    assert_memory_not_equal(of[i], of[i] + 16, 16);
    for (int j = 0; j < i; j++) assert_memory_not_equal(of[i], of[j], 32);
  }
}

static void one_more_thing_does_not_shift_the_others(void **state) {
  (void)state;
  uint8_t with[32], without[32];
  for (int run = 0; run < 2; run++) {
    start_over("graine");
    for (uint32_t i = 0; i < 5000; i++) {
      uint8_t any[12];
      if (run == 0 && i % 2) continue;
      replay_about(&i, sizeof i);
      assert_int_equal(replay_bytes("nonce", any, sizeof any), 0);
    }
    replay_about("nom", 3);
    assert_int_equal(replay_bytes("key", run ? with : without, 32), 0);
  }
  assert_memory_equal(with, without, 32);
}

static void the_count_of_a_name_goes_on_when_the_name_comes_back(void **state) {
  (void)state;
  uint8_t first[32], second[32], other[32];
  start_over("graine");
  replay_about("a", 1);
  replay_bytes("key", first, 32);
  replay_about("b", 1);
  replay_bytes("key", other, 32);
  replay_about("a", 1);
  replay_bytes("key", second, 32);
  assert_memory_not_equal(first, second, 32);
  start_over("graine");
  replay_about("a", 1);
  replay_bytes("key", other, 32);
  replay_bytes("key", other, 32);
  assert_memory_equal(other, second, 32);
}

static void the_seed_is_read_once(void **state) {
  (void)state;
  uint8_t a[16], b[16];
  start_over("graine");
  replay_bytes("key", a, 16);
  replay_bytes("key", a, 16);
  start_over("graine");
  replay_bytes("key", b, 16);
  setenv("DMP_TEST_SEED", "changée", 1);
  replay_bytes("key", b, 16);
  assert_memory_equal(a, b, 16);
}

static int tear_down(void **state) {
  (void)state;
  start_over(NULL);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(shipped_bytes_never_repeat),
    cmocka_unit_test(shipped_records_carry_the_product_format_and_test_records_another),
    cmocka_unit_test(a_rerun_repeats_every_byte),
    cmocka_unit_test(seed_label_name_and_call_each_give_other_bytes),
    cmocka_unit_test(one_more_thing_does_not_shift_the_others),
    cmocka_unit_test(the_count_of_a_name_goes_on_when_the_name_comes_back),
    cmocka_unit_test(the_seed_is_read_once),
  };
  return cmocka_run_group_tests(tests, NULL, tear_down);
}
