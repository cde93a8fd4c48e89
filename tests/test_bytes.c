/* test_bytes.c: proves what bytes.h promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "dmp.h"

static int all_zero(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return 0;
  return 1;
}

static void a_buffer_keeps_what_was_put_while_it_grows(void **state) {
  (void)state;
  struct buf b = {0};
  for (unsigned i = 0; i < 10000; i++) buf_u8(&b, (uint8_t)(i * 7));
  assert_int_equal(b.bad, 0);
  assert_int_equal(b.n, 10000);
  for (unsigned i = 0; i < 10000; i++) assert_int_equal(b.p[i], (uint8_t)(i * 7));
  buf_free(&b);
  assert_null(b.p);
  assert_int_equal(b.n + b.cap, 0);
  buf_free(&b);
}

static void fields_are_little_endian_and_have_their_width(void **state) {
  (void)state;
  struct buf b = {0};
  buf_u8(&b, 0x01);
  buf_u16(&b, 0x0302);
  buf_u32(&b, 0x07060504);
  buf_u64(&b, 0x0f0e0d0c0b0a0908);
  buf_zero(&b, 2);
  buf_put(&b, "\x10\x11", 2);
  buf_put(&b, NULL, 0);
  static const uint8_t WANT[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 16, 17 };
  assert_int_equal(b.n, sizeof WANT);
  assert_memory_equal(b.p, WANT, sizeof WANT);
  buf_free(&b);
}

static void numbers_read_back_as_they_were_put(void **state) {
  (void)state;
  static const uint64_t NUMBER[] = { 0, 1, 0x80, 0xff, 0x8000, 0xffffffff, 0x80000000, 0x8000000000000000, UINT64_MAX };
  for (size_t i = 0; i < sizeof NUMBER / sizeof *NUMBER; i++) {
    uint64_t v = NUMBER[i];
    struct buf b = {0};
    buf_u8(&b, (uint8_t)v);
    buf_u16(&b, (uint16_t)v);
    buf_u32(&b, (uint32_t)v);
    buf_u64(&b, v);
    struct rd r = { b.p, b.n, 0 };
    assert_int_equal(rd_u8(&r), (uint8_t)v);
    assert_int_equal(rd_u16(&r), (uint16_t)v);
    assert_false(rd_done(&r));
    assert_int_equal(rd_u32(&r), (uint32_t)v);
    assert_true(rd_u64(&r) == v);
    assert_true(rd_done(&r));
    buf_free(&b);
  }
}

static void a_failed_allocation_sticks_until_the_buffer_is_reset(void **state) {
  (void)state;
  struct buf b = {0};
  buf_u32(&b, 1);
  assert_int_equal(buf_reserve(&b, SIZE_MAX), DMP_E_NOMEM);
  assert_int_equal(b.bad, 1);
  buf_u32(&b, 2);
  buf_zero(&b, 1);
  assert_int_equal(b.n, 4);
  assert_int_equal(buf_reserve(&b, 1), DMP_E_NOMEM);
  buf_reset(&b);
  assert_int_equal(buf_reserve(&b, 1), 0);
  buf_u32(&b, 3);
  assert_int_equal(b.bad, 0);
  assert_int_equal(b.n, 4);
  buf_zero(&b, SIZE_MAX / 2);
  assert_int_equal(b.bad, 1);
  buf_free(&b);
}

static void a_reset_wipes_and_keeps_the_memory(void **state) {
  (void)state;
  struct buf b = {0};
  buf_put(&b, "secret", 6);
  uint8_t *p = b.p;
  size_t cap = b.cap;
  buf_reset(&b);
  assert_ptr_equal(b.p, p);
  assert_int_equal(b.cap, cap);
  assert_int_equal(b.n, 0);
  assert_true(all_zero(p, 6));
  buf_free(&b);
}

static void reserved_room_is_not_moved_by_what_fits_in_it(void **state) {
  (void)state;
  struct buf b = {0};
  assert_int_equal(buf_reserve(&b, 5000), 0);
  uint8_t *p = b.p;
  buf_zero(&b, 5000);
  assert_ptr_equal(b.p, p);
  buf_free(&b);
}

static void a_reader_never_passes_the_end(void **state) {
  (void)state;
  static const uint8_t THREE[3] = { 1, 2, 3 };
  struct rd r = { THREE, 3, 0 };
  assert_int_equal(rd_u32(&r), 0);
  assert_int_equal(r.bad, 1);
  assert_int_equal(rd_u8(&r), 0);                     /* bad stays bad, also where a byte is left */
  assert_null(rd_bytes(&r, 1));
  assert_false(rd_done(&r));

  r = (struct rd){ THREE, 3, 0 };
  assert_ptr_equal(rd_bytes(&r, 3), THREE);
  assert_true(rd_done(&r));
  assert_null(rd_bytes(&r, SIZE_MAX));
  assert_false(rd_done(&r));

  r = (struct rd){ THREE, 1, 0 };
  assert_int_equal(rd_u16(&r), 0);
  assert_int_equal(r.bad, 1);
  r = (struct rd){ THREE, 3, 0 };
  assert_true(rd_u64(&r) == 0);
  assert_int_equal(r.bad, 1);
}

static void nothing_can_be_read_from_nothing(void **state) {
  (void)state;
  struct rd r = { NULL, 0, 0 };
  assert_null(rd_bytes(&r, 0));
  assert_true(rd_done(&r));
  assert_int_equal(rd_u8(&r), 0);
  assert_false(rd_done(&r));
}

static void padme_gives_the_published_sizes(void **state) {
  (void)state;
  static const size_t SIZE[][2] = {
    { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 3 }, { 7, 7 }, { 8, 8 }, { 9, 10 }, { 11, 12 }, { 15, 16 }, { 16, 16 },
    { 17, 18 }, { 33, 36 }, { 65, 72 }, { 100, 104 }, { 129, 144 }, { 1000, 1024 }, { 1001, 1024 }, { 4097, 4352 },
    { 65540, 67584 }, { 1048577, 1081344 },
  };
  for (size_t i = 0; i < sizeof SIZE / sizeof *SIZE; i++) assert_int_equal(padme(SIZE[i][0]), SIZE[i][1]);
}

static void padme_never_shrinks_and_costs_at_most_an_eighth(void **state) {
  (void)state;
  size_t last = 0;
  for (size_t n = 0; n < 200000; n++) {
    size_t p = padme(n);
    assert_true(p >= n && p >= last);
    assert_true(p - n <= n / 8 + 1);
    assert_int_equal(padme(p), p);
    last = p;
  }
  assert_true(padme(SIZE_MAX) == SIZE_MAX);
}

static void hex_goes_both_ways(void **state) {
  (void)state;
  uint8_t byte[256], back[256];
  char hex[513];
  for (unsigned i = 0; i < 256; i++) byte[i] = (uint8_t)i;
  bytes_to_hex(byte, sizeof byte, hex);
  assert_int_equal(strlen(hex), 512);
  assert_memory_equal(hex + 2 * 0xa5, "a5", 2);
  assert_int_equal(bytes_hex(hex, sizeof back, back), 0);
  assert_memory_equal(back, byte, sizeof byte);
  assert_int_equal(bytes_hex("FfAb", 2, back), 0);
  assert_memory_equal(back, "\xff\xab", 2);
}

static void what_is_not_hex_is_refused(void **state) {
  (void)state;
  static const char *const BAD[] = { "g0", "0g", "/0", ":0", "@0", "`0", " 0", "-1", "0", "" };
  uint8_t out[1];
  for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) assert_int_equal(bytes_hex(BAD[i], 1, out), -1);
  assert_int_equal(bytes_hex("", 0, out), 0);
}

static void a_wipe_leaves_zeros_and_touches_nothing_else(void **state) {
  (void)state;
  uint8_t p[64];
  memset(p, 0xee, sizeof p);
  bytes_wipe(p + 1, 62);
  assert_int_equal(p[0], 0xee);
  assert_int_equal(p[63], 0xee);
  assert_true(all_zero(p + 1, 62));
  bytes_wipe(NULL, 0);
}

static const int64_t JULY_2026 = 1783000000123;

static void an_id_holds_its_time_and_21_random_bits(void **state) {
  (void)state;
  assert_true(id_make(1577836800000, 5) == 5);
  assert_true(id_make(1577836800001, 0) == INT64_C(1) << 21);
  assert_true(id_time(id_make(JULY_2026, 0x1fffff)) == JULY_2026);
  assert_true(id_make(JULY_2026, UINT32_MAX) == id_make(JULY_2026, 0x1fffff));
  assert_true(id_make(JULY_2026, 0x1fffff) < id_make(JULY_2026 + 1, 0));
}

static void an_id_is_never_negative_whatever_the_clock_says(void **state) {
  (void)state;
  assert_true(id_make(0, 7) == 7);
  assert_true(id_make(INT64_MIN, 7) == 7);
  assert_true(id_make(INT64_MAX, 7) > 0);
}

static void an_id_field_is_the_id_and_eight_zero_bytes(void **state) {
  (void)state;
  uint8_t field[16];
  memset(field, 0xff, sizeof field);
  id_field(field, 0x0102030405060708);
  assert_memory_equal(field, "\x08\x07\x06\x05\x04\x03\x02\x01\0\0\0\0\0\0\0\0", 16);
  assert_true(id_from_field(field) == 0x0102030405060708);
  for (int i = 8; i < 16; i++) {
    field[i] = 1;
    assert_true(id_from_field(field) == -1);
    field[i] = 0;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_buffer_keeps_what_was_put_while_it_grows),
    cmocka_unit_test(fields_are_little_endian_and_have_their_width),
    cmocka_unit_test(numbers_read_back_as_they_were_put),
    cmocka_unit_test(a_failed_allocation_sticks_until_the_buffer_is_reset),
    cmocka_unit_test(a_reset_wipes_and_keeps_the_memory),
    cmocka_unit_test(reserved_room_is_not_moved_by_what_fits_in_it),
    cmocka_unit_test(a_reader_never_passes_the_end),
    cmocka_unit_test(nothing_can_be_read_from_nothing),
    cmocka_unit_test(padme_gives_the_published_sizes),
    cmocka_unit_test(padme_never_shrinks_and_costs_at_most_an_eighth),
    cmocka_unit_test(hex_goes_both_ways),
    cmocka_unit_test(what_is_not_hex_is_refused),
    cmocka_unit_test(a_wipe_leaves_zeros_and_touches_nothing_else),
    cmocka_unit_test(an_id_holds_its_time_and_21_random_bits),
    cmocka_unit_test(an_id_is_never_negative_whatever_the_clock_says),
    cmocka_unit_test(an_id_field_is_the_id_and_eight_zero_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
