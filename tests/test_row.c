/* test_row.c: what row.h promises about bytes and about SQLite's order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include "dmp.h"
#include "row.h"

enum { MAX = 8 };

/* A row with one value of each type, and its bytes as they must stay. */
static const struct value EACH[] = {
  { .type = VALUE_NULL },
  { .type = VALUE_INT, .u.i = -2 },
  { .type = VALUE_REAL, .u.r = 1.5 },
  { .type = VALUE_TEXT, .n = 3, .u.p = (const uint8_t *)"\xC3\xA9t" },
  { .type = VALUE_BLOB, .n = 2, .u.p = (const uint8_t *)"\x00\xFF" },
};
static const char EACH_HEX[] =
  "0500" "00" "01" "feffffffffffffff" "02" "000000000000f83f" "03" "03000000" "c3a974" "04" "02000000" "00ff";
enum { EACH_COUNT = sizeof EACH / sizeof *EACH, EACH_BYTES = (sizeof EACH_HEX - 1) / 2 };

static void same(const struct value *a, const struct value *b) {
  assert_int_equal(a->type, b->type);
  if (a->type == VALUE_INT) assert_true(a->u.i == b->u.i);
  if (a->type == VALUE_REAL) assert_memory_equal(&a->u.r, &b->u.r, sizeof a->u.r);
  if (a->type != VALUE_TEXT && a->type != VALUE_BLOB) return;
  assert_int_equal(a->n, b->n);
  if (a->n > 0) assert_memory_equal(a->u.p, b->u.p, a->n);
}

static void a_row_has_the_bytes_of_the_format(void **state) {
  (void)state;
  struct buf b = {0};
  uint8_t golden[EACH_BYTES];
  assert_int_equal(bytes_hex(EACH_HEX, sizeof golden, golden), 0);
  row_put(&b, EACH, EACH_COUNT);
  assert_false(b.bad);
  assert_int_equal(b.n, sizeof golden);
  assert_memory_equal(b.p, golden, sizeof golden);
  buf_free(&b);
}

static void the_bytes_of_a_row_give_its_values_back_and_say_their_length(void **state) {
  (void)state;
  struct value v[MAX];
  uint8_t golden[EACH_BYTES + 3];
  size_t count, used;
  memset(golden, 0xAA, sizeof golden);
  bytes_hex(EACH_HEX, EACH_BYTES, golden);
  assert_int_equal(row_get(golden, sizeof golden, v, MAX, &count, &used), 0);
  assert_int_equal(count, EACH_COUNT);
  assert_int_equal(used, EACH_BYTES);
  for (size_t i = 0; i < EACH_COUNT; i++) same(&v[i], &EACH[i]);
  for (size_t i = EACH_COUNT; i < MAX; i++) assert_int_equal(v[i].type, VALUE_NULL);
  assert_true(v[3].u.p > golden && v[3].u.p < golden + EACH_BYTES);   /* borrowed, not copied */
}

static void a_row_with_more_values_than_asked_for_is_still_measured_whole(void **state) {
  (void)state;
  struct value v[2];
  uint8_t golden[EACH_BYTES];
  size_t count, used;
  bytes_hex(EACH_HEX, sizeof golden, golden);
  assert_int_equal(row_get(golden, sizeof golden, v, 2, &count, &used), 0);
  assert_int_equal(count, EACH_COUNT);
  assert_int_equal(used, EACH_BYTES);
  same(&v[1], &EACH[1]);
  assert_int_equal(row_get(golden, sizeof golden, NULL, 0, &count, &used), 0);
  assert_int_equal(used, EACH_BYTES);
}

static void a_row_cut_anywhere_is_refused(void **state) {
  (void)state;
  uint8_t golden[EACH_BYTES];
  bytes_hex(EACH_HEX, sizeof golden, golden);
  for (size_t n = 0; n < sizeof golden; n++) {
    struct value v[MAX];
    size_t count = 9, used = 9;
    uint8_t *cut = malloc(n + 1);                     /* its own memory, so that a sanitizer sees a read past the end */
    memcpy(cut, golden, n);
    cut = realloc(cut, n > 0 ? n : 1);
    assert_int_equal(row_get(cut, n, v, MAX, &count, &used), DMP_E_ROW_FORMAT);
    assert_int_equal(count, 0);
    assert_int_equal(used, 0);
    for (size_t i = 0; i < MAX; i++) assert_int_equal(v[i].type, VALUE_NULL);
    free(cut);
  }
}

static void get_hex(const char *hex, int expected) {
  uint8_t p[64];
  struct value v[MAX];
  size_t count, used, n = strlen(hex) / 2;
  assert_int_equal(bytes_hex(hex, n, p), 0);
  assert_int_equal(row_get(p, n, v, MAX, &count, &used), expected);
}

static void unknown_types_lengths_past_the_end_and_nan_are_refused(void **state) {
  (void)state;
  get_hex("0000", 0);
  get_hex("01000400000000", 0);
  get_hex("010005", DMP_E_ROW_FORMAT);
  get_hex("0100ff", DMP_E_ROW_FORMAT);
  get_hex("010003ffffffff61", DMP_E_ROW_FORMAT);
  get_hex("ffff00", DMP_E_ROW_FORMAT);
  get_hex("010002000000000000f07f", 0);               /* infinity is a value in SQL */
  get_hex("010002000000000000f87f", DMP_E_ROW_FORMAT);
}

static void what_a_row_cannot_hold_makes_the_buffer_bad(void **state) {
  (void)state;
  struct buf b = {0};
  struct value strange = { .type = 9 }, big = value_bytes(VALUE_BLOB, "", (size_t)UINT32_MAX + 1);
  row_put(&b, &strange, 1);
  assert_true(b.bad);
  buf_free(&b);
  row_put(&b, &big, 1);
  assert_true(b.bad);
  buf_free(&b);
  struct value *many = calloc(65536, sizeof *many);
  row_put(&b, many, 65536);
  assert_true(b.bad);
  buf_free(&b);
  row_put(&b, many, 65535);
  assert_false(b.bad);
  assert_int_equal(b.n, 2 + 65535);
  free(many);
  buf_free(&b);
}

static void nan_is_written_as_null_as_sqlite_does(void **state) {
  (void)state;
  struct buf b = {0};
  struct value v = { .type = VALUE_REAL, .u.r = NAN };
  size_t count, used;
  row_put(&b, &v, 1);
  assert_int_equal(row_get(b.p, b.n, &v, 1, &count, &used), 0);
  assert_int_equal(v.type, VALUE_NULL);
  buf_free(&b);
}

static void the_makers_of_values_keep_null_and_empty_apart(void **state) {
  (void)state;
  assert_int_equal(value_text(NULL).type, VALUE_NULL);
  assert_int_equal(value_text("").type, VALUE_TEXT);
  assert_int_equal(value_text("abc").n, 3);
  assert_int_equal(value_bytes(VALUE_BLOB, NULL, 0).type, VALUE_BLOB);
  assert_true(value_int(INT64_MIN).u.i == INT64_MIN);
}

/* ---- the order, beside SQLite's own ---- */

static const struct value ORDERED[] = {
  { .type = VALUE_NULL },
  { .type = VALUE_REAL, .u.r = -INFINITY }, { .type = VALUE_REAL, .u.r = -1e300 },
  { .type = VALUE_REAL, .u.r = -9223372036854775808.0 }, { .type = VALUE_INT, .u.i = INT64_MIN },
  { .type = VALUE_INT, .u.i = INT64_MIN + 1 }, { .type = VALUE_INT, .u.i = -3 }, { .type = VALUE_REAL, .u.r = -2.5 },
  { .type = VALUE_INT, .u.i = -2 }, { .type = VALUE_REAL, .u.r = -0.0 }, { .type = VALUE_INT, .u.i = 0 },
  { .type = VALUE_REAL, .u.r = 0.5 }, { .type = VALUE_INT, .u.i = 1 }, { .type = VALUE_REAL, .u.r = 1.0 },
  { .type = VALUE_INT, .u.i = 9007199254740992 }, { .type = VALUE_REAL, .u.r = 9007199254740992.0 },
  { .type = VALUE_INT, .u.i = 9007199254740993 }, { .type = VALUE_INT, .u.i = INT64_MAX },
  { .type = VALUE_REAL, .u.r = 9223372036854775808.0 }, { .type = VALUE_REAL, .u.r = INFINITY },
  { .type = VALUE_TEXT, .n = 0, .u.p = (const uint8_t *)"" },
  { .type = VALUE_TEXT, .n = 1, .u.p = (const uint8_t *)"A" },
  { .type = VALUE_TEXT, .n = 2, .u.p = (const uint8_t *)"AB" },
  { .type = VALUE_TEXT, .n = 1, .u.p = (const uint8_t *)"a" },
  { .type = VALUE_TEXT, .n = 2, .u.p = (const uint8_t *)"\xC3\xA9" },
  { .type = VALUE_BLOB, .n = 0, .u.p = (const uint8_t *)"" },
  { .type = VALUE_BLOB, .n = 1, .u.p = (const uint8_t *)"A" },
  { .type = VALUE_BLOB, .n = 1, .u.p = (const uint8_t *)"\xFF" },
};
enum { ORDERED_COUNT = sizeof ORDERED / sizeof *ORDERED };

static void bind(sqlite3_stmt *st, int at, const struct value *v) {
  switch (v->type) {
    case VALUE_INT: sqlite3_bind_int64(st, at, v->u.i); break;
    case VALUE_REAL: sqlite3_bind_double(st, at, v->u.r); break;
    case VALUE_TEXT: sqlite3_bind_text(st, at, (const char *)v->u.p, (int)v->n, SQLITE_STATIC); break;
    case VALUE_BLOB: sqlite3_bind_blob(st, at, v->u.p, (int)v->n, SQLITE_STATIC); break;
    default: sqlite3_bind_null(st, at);
  }
}

static void any_two_values_compare_as_sqlite_sorts_them(void **state) {
  (void)state;
  sqlite3 *db;
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
  /* ORDER BY ranks NULL too, and gives equal values equal ranks. */
  const char *sql = "WITH v(k, x) AS (VALUES (1, ?1), (2, ?2)), r AS (SELECT k, rank() OVER (ORDER BY x) AS p FROM v) "
                    "SELECT (SELECT p FROM r WHERE k=1) - (SELECT p FROM r WHERE k=2)";
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
  for (size_t i = 0; i < ORDERED_COUNT; i++)
    for (size_t j = 0; j < ORDERED_COUNT; j++) {
      bind(st, 1, &ORDERED[i]);
      bind(st, 2, &ORDERED[j]);
      assert_int_equal(sqlite3_step(st), SQLITE_ROW);
      assert_int_equal(value_compare(&ORDERED[i], &ORDERED[j]), sqlite3_column_int(st, 0));
      sqlite3_reset(st);
    }
  sqlite3_finalize(st);
  sqlite3_close(db);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_row_has_the_bytes_of_the_format),
    cmocka_unit_test(the_bytes_of_a_row_give_its_values_back_and_say_their_length),
    cmocka_unit_test(a_row_with_more_values_than_asked_for_is_still_measured_whole),
    cmocka_unit_test(a_row_cut_anywhere_is_refused),
    cmocka_unit_test(unknown_types_lengths_past_the_end_and_nan_are_refused),
    cmocka_unit_test(what_a_row_cannot_hold_makes_the_buffer_bad),
    cmocka_unit_test(nan_is_written_as_null_as_sqlite_does),
    cmocka_unit_test(the_makers_of_values_keep_null_and_empty_apart),
    cmocka_unit_test(any_two_values_compare_as_sqlite_sorts_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
