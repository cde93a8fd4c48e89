/* test_listing.c: how the file door names and finds the rows of one directory (fuse/listing.c: no SQL, no FUSE). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "../fuse/listing.c"

#define ROW(i, f, n, s, o, m) (struct db_row){ .id = (i), .folder = (f), .name = (n), .size = (s), .offset = (o), .modified = (m) }

static struct listing *make(const struct db_row *rows, size_t n) {
  struct listing *l = listing_new(7);
  for (size_t i = 0; i < n; i++) assert_int_equal(listing_add(l, &rows[i]), 0);
  assert_int_equal(listing_finish(l), 0);
  return l;
}
static const char *name_of(const struct listing *l, int64_t id) { return listing_name(l, listing_find_id(l, id, LISTING_ITEM)); }

static void a_name_that_stands_alone_is_unchanged(void **state) {
  (void)state;
  const struct db_row rows[] = { ROW(11, 1, "b.pdf", 1, 0, 0), ROW(12, 1, "a.pdf", 1, 0, 0), ROW(13, 2, "a.pdf", 1, 0, 0) };
  struct listing *l = make(rows, 3);
  assert_string_equal(name_of(l, 11), "b.pdf");
  assert_string_equal(name_of(l, 12), "a.pdf");
  assert_string_equal(name_of(l, 13), "a.pdf");        /* another folder */
  listing_release(l);
}

static void equal_names_get_their_own_ids_whatever_their_order(void **state) {
  (void)state;
  const struct db_row rows[] = { ROW(11, 1, "A.pdf", 1, 0, 0), ROW(12, 1, "a.pdf", 1, 0, 0), ROW(13, 1, "É", 1, 0, 0),
                                 ROW(14, 1, "é", 1, 0, 0) };
  const struct db_row turned[] = { rows[3], rows[2], rows[1], rows[0] };
  struct listing *l = make(rows, 4), *m = make(turned, 4);
  assert_string_equal(name_of(l, 11), "A (0000000000000000011).pdf");
  assert_string_equal(name_of(l, 12), "a (0000000000000000012).pdf");
  assert_string_equal(name_of(l, 13), "É (0000000000000000013)");
  for (int64_t id = 11; id <= 14; id++) assert_string_equal(name_of(l, id), name_of(m, id));
  listing_release(l);
  listing_release(m);
}

/* What a reader sees does not change with what he does not see: the same rows without the hidden one give the same names. */
static void a_name_depends_on_visible_rows_only(void **state) {
  (void)state;
  const struct db_row both[] = { ROW(11, 1, "a.pdf", 1, 0, 0), ROW(12, 1, "a.pdf", 1, 0, 0), ROW(13, 1, "b.pdf", 1, 0, 0) };
  const struct db_row one[] = { both[0], both[2] };
  struct listing *l = make(both, 3), *m = make(one, 2);
  assert_string_equal(name_of(l, 11), "a (0000000000000000011).pdf");
  assert_string_equal(name_of(m, 11), "a.pdf");
  assert_string_equal(name_of(l, 13), name_of(m, 13));
  listing_release(l);
  listing_release(m);
}

static void a_name_that_imitates_a_told_apart_one_gets_its_own_id_too(void **state) {
  (void)state;
  const struct db_row rows[] = { ROW(11, 1, "a.pdf", 1, 0, 0), ROW(12, 1, "a.pdf", 1, 0, 0),
                                 ROW(13, 1, "a (0000000000000000011).pdf", 1, 0, 0), ROW(14, 1, "a (2).pdf", 1, 0, 0) };
  struct listing *l = make(rows, 4);
  assert_string_equal(name_of(l, 11), "a (0000000000000000011).pdf");
  assert_string_equal(name_of(l, 13), "a (0000000000000000011) (0000000000000000013).pdf");
  assert_string_equal(name_of(l, 14), "a (2).pdf");
  listing_release(l);
}

static void a_long_name_is_cut_between_characters_to_make_room(void **state) {
  (void)state;
  char name[LISTING_NAME_MAX + 1], out[LISTING_NAME_MAX + 1];
  memset(name, 'x', sizeof name);
  for (size_t i = 1; i + 1 < 251; i += 2) memcpy(name + i, "é", 2);
  memcpy(name + 251, ".pdf", 5);
  listing_suffixed(name, INT64_MAX, out);
  assert_int_equal(strlen(out), LISTING_NAME_MAX);
  assert_string_equal(out + LISTING_NAME_MAX - 26, " (9223372036854775807).pdf");
  assert_memory_equal(out + LISTING_NAME_MAX - 28, "é", 2);
  name[0] = 'y';
  memcpy(name + 250, "x.pdf", 6);                       /* one byte shorter stem: the cut falls inside a character */
  memmove(name + 2, name + 1, 248);
  listing_suffixed(name, INT64_MAX, out);
  assert_true(strlen(out) < LISTING_NAME_MAX);
  assert_int_equal((unsigned char)out[strlen(out) - 27] & 0xC0, 0x80);      /* the end of a whole é */
}

static void rows_are_found_by_name_and_by_id_and_others_are_not(void **state) {
  (void)state;
  struct db_row rows[200];
  char names[200][16];
  for (int i = 0; i < 200; i++) {
    snprintf(names[i], sizeof names[i], "%03d.pdf", i * 7 % 200);
    rows[i] = ROW(1000 - i, i % 3, names[i], i, 0, 0);
  }
  struct listing *l = make(rows, 200);
  for (int i = 0; i < 200; i++) {
    size_t at = listing_find(l, i % 3, names[i]);
    assert_true(at < l->rows);
    assert_int_equal(l->row[at].id, 1000 - i);
    assert_int_equal(listing_find_id(l, 1000 - i, LISTING_ITEM), at);
    assert_int_equal(listing_find(l, i % 3 + 3, names[i]), l->rows);
  }
  assert_int_equal(listing_find_id(l, 1, LISTING_ITEM), l->rows);
  assert_int_equal(listing_first(l, 0), 0);
  assert_int_equal(l->row[listing_first(l, 2)].folder, 2);
  assert_int_equal(listing_first(l, 9), l->rows);
  listing_release(l);
}

static void what_can_not_be_a_file_is_refused(void **state) {
  (void)state;
  char name[LISTING_NAME_MAX + 2];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  const struct db_row bad[] = { ROW(11, 1, "", 1, 0, 0), ROW(11, 1, "a/b", 1, 0, 0), ROW(11, 1, ".hidden", 1, 0, 0),
                                ROW(11, 1, "..", 1, 0, 0), ROW(11, 1, name, 1, 0, 0), ROW(0, 1, "a", 1, 0, 0),
                                ROW(-5, 1, "a", 1, 0, 0), ROW(1, 1, "a", 1, 0, 0), ROW(11, 1, "a", -1, 0, 0),
                                ROW(11, 1, "a", 1, -1, 0), ROW(11, 1, "a", 2, INT64_MAX - 1, 0) };
  const struct db_row good = ROW(11, 1, name + 1, 2, INT64_MAX - 2, 0);
  struct listing *l = listing_new(7);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(listing_add(l, &bad[i]), EIO);
  assert_int_equal(listing_add(l, &good), 0);
  assert_int_equal(l->rows, 1);
  listing_release(l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_name_that_stands_alone_is_unchanged),
    cmocka_unit_test(equal_names_get_their_own_ids_whatever_their_order),
    cmocka_unit_test(a_name_depends_on_visible_rows_only),
    cmocka_unit_test(a_name_that_imitates_a_told_apart_one_gets_its_own_id_too),
    cmocka_unit_test(a_long_name_is_cut_between_characters_to_make_room),
    cmocka_unit_test(rows_are_found_by_name_and_by_id_and_others_are_not),
    cmocka_unit_test(what_can_not_be_a_file_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
