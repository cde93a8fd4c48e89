/* test_syntax.c: dates and identifiers, each refusal beside its success. Keys are recomputed here by another rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "syntax.h"

static void assert_time(const char *in, const char *expected) {
  char out[32] = "untouched";
  if (!syntax_time(in, out)) fail_msg("%s was refused", in);
  assert_string_equal(out, expected);
}

static void assert_hl7(const char *in, const char *expected) {
  char out[32] = "untouched";
  if (!syntax_hl7_time(in, out)) fail_msg("%s was refused", in);
  assert_string_equal(out, expected);
}

static void assert_all(int (*check)(const char *), int expected, const char *const *list, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (check(list[i]) != expected) fail_msg("\"%s\" gave %d instead of %d", list[i], check(list[i]), expected);
}
#define ASSERT_ALL(check, expected, ...) do { \
    static const char *const list_[] = { __VA_ARGS__ }; \
    assert_all(check, expected, list_, sizeof list_ / sizeof list_[0]); \
  } while (0)

static int time_ok(const char *s) { char out[32]; return syntax_time(s, out); }
static int hl7_ok(const char *s) { char out[32]; return syntax_hl7_time(s, out); }

static void majority_is_the_18th_birthday_of_the_latest_possible_birth(void **state) {
  (void)state;
  static const struct { const char *birth, *of_age; } EXPECTED[] = {
    { "2008-06-15", "2026-06-15T00:00:00Z" }, { "2008-02-29", "2026-03-01T00:00:00Z" }, { "2008-02", "2026-03-01T00:00:00Z" },
    { "2009-02", "2027-02-28T00:00:00Z" },    { "2008", "2026-12-31T00:00:00Z" },       { "2008-12", "2026-12-31T00:00:00Z" },
    { "2006-02-28", "2024-02-28T00:00:00Z" }, { "1982-01-01", "2000-01-01T00:00:00Z" },
  };
  char text[32];
  int64_t ms;
  for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++) {
    assert_int_equal(syntax_majority(EXPECTED[i].birth, &ms), 1);
    syntax_time_ms(ms, text);
    assert_string_equal(text, EXPECTED[i].of_age);
  }
  assert_int_equal(syntax_majority("2008-02-30", &ms), 0);
  assert_int_equal(ms, 0);
  assert_int_equal(syntax_majority("", &ms), 0);
  assert_int_equal(syntax_majority(NULL, &ms), 0);
}

static void a_month_later_is_the_same_day_or_the_months_last(void **state) {
  (void)state;
  static const struct { int64_t from; const char *to; } EXPECTED[] = {
    { 1767261600000, "2026-02-01T10:00:00Z" },        /* 1 January 2026, 10:00 */
    { 1769853600000, "2026-02-28T10:00:00Z" },        /* 31 January */
    { 1706695200000, "2024-02-29T10:00:00Z" },        /* 31 January of a leap year */
    { 1798761599000, "2027-01-31T23:59:59Z" },        /* 31 December, the last second */
  };
  char text[32];
  for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++) {
    syntax_time_ms(syntax_month_later(EXPECTED[i].from), text);
    assert_string_equal(text, EXPECTED[i].to);
  }
}

static void a_birth_date_may_be_partial_but_must_exist(void **state) {
  (void)state;
  ASSERT_ALL(syntax_birth_date, 1, "1970", "1970-03", "1970-03-31", "1850", "2200-12-31", "2000-02-29", "2024-02-29");
  ASSERT_ALL(syntax_birth_date, 0, "", "70", "1849", "2201", "1970-", "1970-13", "1970-00", "1970-3", "1970-03-",
             "1970-03-32", "1970-04-31", "2026-02-30", "2023-02-29", "1900-02-29", "1970-03-00", "1970/03/01",
             "1970-03-01T00:00Z", "1970-03-01 ", "+970", "-970", "inconnu");
}

static void a_bare_day_stays_a_bare_day(void **state) {
  (void)state;
  assert_time("2026-03-12", "2026-03-12");
  assert_time("2024-02-29", "2024-02-29");
  ASSERT_ALL(time_ok, 0, "2026", "2026-03", "2026-02-30", "2023-02-29", "2100-02-29", "2026-00-01", "2026-01-00",
             "0000-01-01", "20260312", "2026-03-12 ", "2026-3-12");
}

static void a_time_is_rewritten_in_utc(void **state) {
  (void)state;
  assert_time("2026-03-12T10:00:00Z", "2026-03-12T10:00:00Z");
  assert_time("2026-03-12T10:00Z", "2026-03-12T10:00:00Z");
  assert_time("2026-03-12T10:00:59.987Z", "2026-03-12T10:00:59Z");
  assert_time("2026-03-12T10:00:00+01:00", "2026-03-12T09:00:00Z");
  assert_time("2026-03-12T10:00-04:00", "2026-03-12T14:00:00Z");
  assert_time("2026-03-12T10:00+05:30", "2026-03-12T04:30:00Z");
  assert_time("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z");
  assert_time("2024-02-28T23:30:00-01:00", "2024-02-29T00:30:00Z");
  assert_time("2023-02-28T23:30:00-01:00", "2023-03-01T00:30:00Z");
  assert_time("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z");
}

static void an_impossible_time_is_refused(void **state) {
  (void)state;
  ASSERT_ALL(time_ok, 0, "2026-03-12T10:00:00", "2026-03-12T24:00:00Z", "2026-03-12T10:60:00Z",
             "2026-03-12T10:00:60Z", "2026-03-12T10Z", "2026-03-12T10:00:00.Z", "2026-03-12T10:00:00+0100",
             "2026-03-12T10:00:00+15:00", "2026-03-12T10:00:00+01:60", "2026-03-12T10:00:00+01",
             "2026-03-12T10:00:00ZZ", "2026-03-12 10:00:00Z", "2026-02-30T10:00:00Z", "2026-03-12T",
             "2026-03-12T1:00Z", "2026-03-12t10:00:00z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00",
             "");
}

static void milliseconds_become_the_same_day_as_the_system_calendar(void **state) {
  (void)state;
  char out[32];
  syntax_time_ms(0, out);
  assert_string_equal(out, "1970-01-01T00:00:00Z");
  syntax_time_ms(-1, out);
  assert_string_equal(out, "1969-12-31T23:59:59Z");
  syntax_time_ms(1773309600999, out);
  assert_string_equal(out, "2026-03-12T10:00:00Z");
  syntax_time_ms(INT64_MAX, out);
  assert_string_equal(out, "9999-12-31T23:59:59Z");
  syntax_time_ms(INT64_MIN, out);
  assert_string_equal(out, "0001-01-01T00:00:00Z");
}

static void every_day_of_four_centuries_follows_the_one_before(void **state) {
  (void)state;
  static const int DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  int year = 1850, month = 1, day = 1;
  for (int64_t n = -43829; year < 2251; n++) {            /* 1850-01-01 is 43,829 days before 1970 */
    char expected[64], out[32], in[64];
    snprintf(expected, sizeof expected, "%04d-%02d-%02dT12:34:56Z", year, month, day);
    syntax_time_ms((n * 86400 + 45296) * 1000, out);
    assert_string_equal(out, expected);
    snprintf(in, sizeof in, "%04d-%02d-%02dT23:34:56+11:00", year, month, day);
    assert_time(in, expected);
    int leap = year % 400 == 0 || (year % 100 != 0 && year % 4 == 0);
    if (++day > DAYS[month - 1] + (month == 2 && leap)) day = 1, month++;
    if (month > 12) month = 1, year++;
  }
}

static void hl7_times_keep_the_precision_they_were_given(void **state) {
  (void)state;
  assert_hl7("2026", "2026");
  assert_hl7("202603", "2026-03");
  assert_hl7("20260312", "2026-03-12");
  assert_hl7("2026031210+0100", "2026-03-12T09:00:00Z");
  assert_hl7("202603121000+0100", "2026-03-12T09:00:00Z");
  assert_hl7("20260312100059+0100", "2026-03-12T09:00:59Z");
  assert_hl7("20260312100059.123+0100", "2026-03-12T09:00:59Z");
  assert_hl7("20260101003000+0100", "2025-12-31T23:30:00Z");
  assert_hl7("20261231233000-0400", "2027-01-01T03:30:00Z");
  assert_hl7("20260312100000+0000", "2026-03-12T10:00:00Z");
  assert_hl7("20240229", "2024-02-29");
}

static void an_hl7_hour_without_a_zone_is_kept_as_its_day(void **state) {
  (void)state;
  assert_hl7("20260312100059", "2026-03-12");
  assert_hl7("202603121000", "2026-03-12");
  assert_hl7("2026031210", "2026-03-12");
  assert_hl7("20260312100059.5", "2026-03-12");
}

static void an_hl7_zone_says_nothing_about_a_bare_day(void **state) {
  (void)state;
  assert_hl7("20260312+0100", "2026-03-12");
  assert_hl7("2026-0500", "2026");
}

static void an_impossible_hl7_time_is_refused(void **state) {
  (void)state;
  ASSERT_ALL(hl7_ok, 0, "", "202", "20261", "202613", "20260230", "20230229", "2026031", "2026031224+0100",
             "202603121060+0100", "20260312100060+0100", "20260312100059.+0100", "2026031210.5+0100", "20260312.5",
             "20260312100059+01", "20260312100059+01:00", "20260312100059Z", "20260312100059+1500", "20260312100059 ",
             "00000101", "2026-03-12", "nullFlavor");
}

/* The key by the other road: the number modulo 97, digit by digit, with 2A and 2B replaced in the text. */
static void write_ins(char out[16], const char *thirteen) {
  char digits[14];
  memcpy(digits, thirteen, 14);
  if (digits[6] == 'A') memcpy(digits + 5, "19", 2);
  if (digits[6] == 'B') memcpy(digits + 5, "18", 2);
  int rest = 0;
  for (int i = 0; i < 13; i++) rest = (rest * 10 + digits[i] - '0') % 97;
  snprintf(out, 16, "%s%02d", thirteen, 97 - rest);
}

static void an_ins_has_a_key_also_in_corsica(void **state) {
  (void)state;
  static const char *const NUMBERS[] = { "1850375116001", "2691299341007", "180042A004042", "297062B120333",
                                         "8550775987654", "1000000000000", "9999999999999" };
  for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
    char ins[16], wrong[16];
    write_ins(ins, NUMBERS[i]);
    assert_int_equal(syntax_ins(ins), 1);
    for (int digit = 0; digit < 10; digit++) {
      memcpy(wrong, ins, 16);
      wrong[14] = (char)('0' + digit);
      assert_int_equal(syntax_ins(wrong), wrong[14] == ins[14] ? 1 : -1);
    }
    memcpy(wrong, ins, 16);
    wrong[3] = wrong[3] == '9' ? '0' : (char)(wrong[3] + 1);
    assert_int_equal(syntax_ins(wrong), -1);
  }
}

static void known_ins_keys_are_good(void **state) {
  (void)state;
  ASSERT_ALL(syntax_ins, 1, "255081416802538", "180042A00404275", "180042B00404205");
  ASSERT_ALL(syntax_ins, -1, "255081416802539", "180042A00404205", "180042B00404275");
}

static void a_malformed_ins_is_refused(void **state) {
  (void)state;
  ASSERT_ALL(syntax_ins, 0, "", "2550814168025", "25508141680253", "2550814168025388", "25508141680253X",
             "25508141680A538", "180043A00404254", "180042a00404254", "180042C00404254", "1800A2A00404254",
             "055081416802538", "2550814 16802538", "+55081416802538");
}

static void an_ins_oid_says_whether_the_identity_is_real(void **state) {
  (void)state;
  ASSERT_ALL(syntax_ins_oid, 1, "1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9");
  ASSERT_ALL(syntax_ins_oid, 2, "1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11", "1.2.250.1.213.1.4.13");
  ASSERT_ALL(syntax_ins_oid, 0, "", "1.2.250.1.213.1.4", "1.2.250.1.213.1.4.", "1.2.250.1.213.1.4.12",
             "1.2.250.1.213.1.4.80", "1.2.250.1.213.1.4.1", "1.2.250.1.71.4.2.1");
}

/* Luhn by the table of doubled digits, from the right. */
static char luhn_digit(const char *s) {
  static const int DOUBLED[] = { 0, 2, 4, 6, 8, 1, 3, 5, 7, 9 };
  int sum = 0;
  for (size_t i = strlen(s), twice = 1; i-- > 0; twice = !twice) sum += twice ? DOUBLED[s[i] - '0'] : s[i] - '0';
  return (char)('0' + (10 - sum % 10) % 10);
}

static void assert_luhn(int (*check)(const char *), const char *body) {
  char id[16];
  size_t n = strlen(body);
  memcpy(id, body, n + 1);
  char good = luhn_digit(body);
  for (char c = '0'; c <= '9'; c++) {
    id[n] = c, id[n + 1] = '\0';
    assert_int_equal(check(id), c == good ? 1 : -1);
  }
}

static void an_rpps_has_eleven_digits_and_a_luhn_key(void **state) {
  (void)state;
  assert_luhn(syntax_rpps, "1010000000");
  assert_luhn(syntax_rpps, "1000123456");
  assert_luhn(syntax_rpps, "8999999999");
  ASSERT_ALL(syntax_rpps, 0, "", "1010000000", "101000000011", "1010000000A", "2A100000001", " 1010000000");
}

static void a_finess_has_nine_characters_and_a_luhn_key_also_in_corsica(void **state) {
  (void)state;
  assert_luhn(syntax_finess, "75000001");
  assert_luhn(syntax_finess, "99999999");
  ASSERT_ALL(syntax_finess, 1, "2A0000014", "2B0000020");
  ASSERT_ALL(syntax_finess, -1, "2A0000020", "2B0000014");
  ASSERT_ALL(syntax_finess, 0, "", "75000001", "7500000011", "7A0000014", "2C0000014", "2a0000014", "20A000014");
}

static void utf8_is_accepted_and_what_is_not_utf8_refused(void **state) {
  (void)state;
  static const char *const GOOD[] = { "", "compte rendu", "\xc3\xa9t\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\xa9\xba",
                                      "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "\xe0\xa0\x80",
                                      "\xf0\x90\x80\x80" };
  static const char *const BAD[] = { "\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                     "\xe2\x82", "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x8f\xbf\xbf",
                                     "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe9", "\xf0\x9f\xa9" };
  for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) assert_int_equal(syntax_utf8(GOOD[i], strlen(GOOD[i])), 1);
  for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) assert_int_equal(syntax_utf8(BAD[i], strlen(BAD[i])), 0);
  assert_int_equal(syntax_utf8("a\0b", 3), 0);
  assert_int_equal(syntax_utf8("a\0b", 1), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_birth_date_may_be_partial_but_must_exist),
    cmocka_unit_test(majority_is_the_18th_birthday_of_the_latest_possible_birth),
    cmocka_unit_test(a_month_later_is_the_same_day_or_the_months_last),
    cmocka_unit_test(a_bare_day_stays_a_bare_day),
    cmocka_unit_test(a_time_is_rewritten_in_utc),
    cmocka_unit_test(an_impossible_time_is_refused),
    cmocka_unit_test(milliseconds_become_the_same_day_as_the_system_calendar),
    cmocka_unit_test(every_day_of_four_centuries_follows_the_one_before),
    cmocka_unit_test(hl7_times_keep_the_precision_they_were_given),
    cmocka_unit_test(an_hl7_hour_without_a_zone_is_kept_as_its_day),
    cmocka_unit_test(an_hl7_zone_says_nothing_about_a_bare_day),
    cmocka_unit_test(an_impossible_hl7_time_is_refused),
    cmocka_unit_test(an_ins_has_a_key_also_in_corsica),
    cmocka_unit_test(known_ins_keys_are_good),
    cmocka_unit_test(a_malformed_ins_is_refused),
    cmocka_unit_test(an_ins_oid_says_whether_the_identity_is_real),
    cmocka_unit_test(an_rpps_has_eleven_digits_and_a_luhn_key),
    cmocka_unit_test(a_finess_has_nine_characters_and_a_luhn_key_also_in_corsica),
    cmocka_unit_test(utf8_is_accepted_and_what_is_not_utf8_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
