/* test_recent.c: proves that what was used last is found again as it was left, and that what had to go was not used for longest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "recent.h"

struct thing { struct recent_head head; uint64_t of; };
static uint64_t key_of(int i) { return (uint64_t)i << 21 | 5; }        /* like ids: only the upper bits differ */

static void put(struct recent *r, int i) {
  struct thing *t = recent_room(r, key_of(i));
  assert_non_null(t);
  recent_take(r, t, key_of(i));
  t->of = (uint64_t)i;
}

static void what_was_used_last_is_found_again_and_nothing_else(void **state) {
  struct recent r = { .unit = sizeof(struct thing) };
  (void)state;
  assert_null(recent_find(&r, key_of(1)));
  for (int i = 1; i <= 1000; i++) put(&r, i);
  int found = 0;
  for (int i = 1; i <= 1000; i++) {
    struct thing *t = recent_find(&r, key_of(i));
    if (t == NULL) continue;
    assert_int_equal(t->of, i);
    assert_ptr_equal(t, recent_room(&r, key_of(i)));
    found++;
  }
  assert_true(found > 950);                           /* a fifth of the room: hardly a place has more than four of them */
  assert_null(recent_find(&r, key_of(1001)));
  recent_free(&r);
  assert_null(recent_find(&r, key_of(1000)));
}

static void it_grows_to_its_bound_and_no_further(void **state) {
  struct recent r = { .unit = sizeof(struct thing) };
  (void)state;
  put(&r, 1);
  assert_true(r.n < 100);
  for (int i = 2; i <= 100000; i++) put(&r, i);
  assert_true(r.n <= RECENT_MOST);
  for (size_t i = 0; i < r.n; i++) {
    struct thing *t = recent_at(&r, i);
    if (t->head.used) assert_int_equal(t->head.key, key_of((int)t->of));
  }
  recent_free(&r);
}

static void what_is_used_stays_when_others_have_to_go(void **state) {
  struct recent r = { .unit = sizeof(struct thing) };
  (void)state;
  put(&r, 1);
  for (int i = 2; i <= 100000; i++) {
    put(&r, i);
    assert_non_null(recent_find(&r, key_of(i)));
    assert_non_null(recent_find(&r, key_of(1)));
  }
  recent_free(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_used_last_is_found_again_and_nothing_else),
    cmocka_unit_test(it_grows_to_its_bound_and_no_further),
    cmocka_unit_test(what_is_used_stays_when_others_have_to_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
