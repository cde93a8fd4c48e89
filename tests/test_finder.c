/* test_finder.c: proves that the finder gives back every patient met under a key, and none under another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "finder.h"

enum { MANY = 20000 };
static uint64_t key_of(int64_t i) { return (uint64_t)i << 21 | 5; }   /* like ids: only the upper bits differ */

static void every_key_gives_its_patient_and_no_other(void **state) {
  struct finder f = { 0 };
  (void)state;
  for (int64_t i = 1; i <= MANY; i++) assert_int_equal(finder_add(&f, key_of(i), i), 0);
  for (int64_t i = 1; i <= MANY; i++) {
    size_t probe = 0;
    assert_int_equal(finder_next(&f, key_of(i), &probe), i);
    assert_int_equal(finder_next(&f, key_of(i), &probe), 0);
  }
  size_t probe = 0;
  assert_int_equal(finder_next(&f, key_of(MANY + 1), &probe), 0);
  finder_free(&f);
}

static void two_patients_under_one_key_are_both_given(void **state) {
  struct finder f = { 0 };
  size_t probe = 0;
  (void)state;
  assert_int_equal(finder_add(&f, 7, 1), 0);
  assert_int_equal(finder_add(&f, 7, 2), 0);
  assert_int_equal(finder_add(&f, 7, 1), 0);
  int64_t a = finder_next(&f, 7, &probe), b = finder_next(&f, 7, &probe);
  assert_int_equal(a + b, 3);
  assert_int_equal(finder_next(&f, 7, &probe), 0);
  finder_free(&f);
}

static void an_empty_finder_gives_nobody(void **state) {
  struct finder f = { 0 };
  size_t probe = 0;
  (void)state;
  assert_int_equal(finder_next(&f, 0, &probe), 0);
  finder_begin(&f, 3);
  assert_int_equal(f.generation, 3);
  finder_free(&f);
}

static void beginning_again_forgets_everything(void **state) {
  struct finder f = { 0 };
  size_t probe = 0;
  (void)state;
  assert_int_equal(finder_add(&f, 9, 4), 0);
  finder_begin(&f, 1);
  assert_int_equal(finder_next(&f, 9, &probe), 0);
  assert_int_equal(f.n, 0);
  finder_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_key_gives_its_patient_and_no_other),
    cmocka_unit_test(two_patients_under_one_key_are_both_given),
    cmocka_unit_test(an_empty_finder_gives_nobody),
    cmocka_unit_test(beginning_again_forgets_everything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
