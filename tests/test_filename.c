/* test_filename.c: what dmp_filename() promises: MOUNT.md "Names". */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "filename.h"
#include "syntax.h"

static void expect_n(const char *text, size_t n, const char *name) {
  char out[DMP_NAME_MAX + 1];
  assert_int_equal(filename_safe(text, n, out), 0);
  assert_string_equal(out, name);
}
static void expect(const char *text, const char *name) { expect_n(text, strlen(text), name); }

static void an_ordinary_french_name_is_unchanged(void **state) {
  (void)state;
  expect("2026-03-12 Compte rendu – Dr Hélène Lœuillet.pdf", "2026-03-12 Compte rendu – Dr Hélène Lœuillet.pdf");
  expect("DUPONT Marie 1970-01-02", "DUPONT Marie 1970-01-02");
  expect("l'été à 37,2 °C (n° 3) [a] {b} ~ # % & + = @ ! ; $ ^.txt",
         "l'été à 37,2 °C (n° 3) [a] {b} ~ # % & + = @ ! ; $ ^.txt");
  expect("日本語 Ελλάδα 🩺.pdf", "日本語 Ελλάδα 🩺.pdf");
}

static void characters_forbidden_on_windows_become_underscores(void **state) {
  (void)state;
  expect("a<b>c:d\"e/f\\g|h?i*j", "a_b_c_d_e_f_g_h_i_j");
  expect("../../etc/passwd", "_._.._etc_passwd");
}

static void control_characters_become_one_space(void **state) {
  (void)state;
  expect("a\nb\r\n\tc\x7f" "d\x1b[31m", "a b c d [31m");
  expect_n("a\0b", 3, "a b");
  expect("a\xc2\x85" "b\xe2\x80\xa8" "c\xc2\xa0" "d", "a b c d");
}

static void bidirectional_and_invisible_characters_are_dropped(void **state) {
  (void)state;
  expect("facture\xe2\x80\xae" "fdp.exe", "facturefdp.exe");
  expect("\xe2\x81\xa6" "a\xe2\x81\xa9\xe2\x80\x8b" "b\xef\xbb\xbf" "c\xc2\xad" "d\xd8\x9c" "e\xf3\xa0\x81\x81",
         "abcde");
  expect("pdf.\xe2\x80\x8d", "pdf");
}

static void dots_and_spaces_at_the_ends_go_and_a_hidden_file_is_never_made(void **state) {
  (void)state;
  expect("rapport. . .", "rapport");
  expect("  rapport  ", "rapport");
  expect(".hidden", "_hidden");
  expect(" .Trash-1000", "_Trash-1000");
  expect("v1.2", "v1.2");
}

static void a_name_is_never_empty_nor_a_dot(void **state) {
  (void)state;
  expect_n(NULL, 0, "_");
  expect("", "_");
  expect(".", "_");
  expect("..", "_");
  expect(" \n\t ", "_");
  expect("\xe2\x80\x8b", "_");
}

static void reserved_words_of_windows_get_a_prefix(void **state) {
  static const char *const RESERVED[] = { "CON", "con", "Prn", "AUX.txt", "nul.tar.gz", "COM1", "com9.pdf", "LPT0",
    "lpt3.x", "CONIN$", "conout$.txt", "CLOCK$", "Con .txt", "COM¹", "LPT².pdf" };
  static const char *const FREE[] = { "CONS", "ICON", "COM", "COM10", "LPTA", "nulle.txt", "con-1", "auxiliaire" };
  (void)state;
  for (size_t i = 0; i < sizeof RESERVED / sizeof *RESERVED; i++) {
    char name[64] = "_";
    expect(RESERVED[i], strcat(name, RESERVED[i]));
  }
  for (size_t i = 0; i < sizeof FREE / sizeof *FREE; i++) expect(FREE[i], FREE[i]);
}

static void bytes_that_are_not_utf8_are_replaced(void **state) {
  (void)state;
  expect("a\xff" "b", "a\xef\xbf\xbd" "b");
  expect("a\xc3", "a\xef\xbf\xbd");
  expect("\xc0\xaf" "a", "\xef\xbf\xbd\xef\xbf\xbd" "a");                 /* an overlong slash */
  expect("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");          /* a surrogate */
  expect("\xef\xbf\xbf" "a", "\xef\xbf\xbd" "a");                          /* U+FFFF */
}

static void decomposed_latin_letters_are_composed(void **state) {
  (void)state;
  expect("He\xcc\x81le\xcc\x80ne Noe\xcc\x88l Franc\xcc\xa7ois", "Hélène Noël François");
  expect("a\xcc\x82i\xcc\x88o\xcc\x82u\xcc\x80Y\xcc\x88n\xcc\x83" "A\xcc\x8a", "âïôùŸñÅ");
  expect("e\xe2\x80\x8d\xcc\x81", "é");             /* an invisible joiner does not separate them */
  expect("z\xcc\x81", "z\xcc\x81");
}

static void a_long_name_is_cut_between_characters_and_keeps_its_extension(void **state) {
  (void)state;
  static char text[10016];
  char out[DMP_NAME_MAX + 1];
  for (size_t i = 0; i < 10000; i += 2) memcpy(text + i, "é", 2);
  assert_int_equal(filename_safe(text, 10000, out), 0);
  assert_int_equal(strlen(out), 254);
  memcpy(text + 10000, ".pdf", 5);
  assert_int_equal(filename_safe(text, 10004, out), 0);
  assert_int_equal(strlen(out), 254);
  assert_string_equal(out + 248, "é.pdf");
  memcpy(text, "CON.", 4);
  assert_int_equal(filename_safe(text, 10004, out), 0);
  assert_int_equal(strncmp(out, "_CON.", 5), 0);
  assert_string_equal(out + strlen(out) - 4, ".pdf");
}

/* Whatever the bytes, the promises hold, and a safe name is its own safe name. */
static void any_bytes_give_a_safe_name_that_is_its_own_safe_name(void **state) {
  (void)state;
  static const char *const PIECES[] = { ".", " ", "a", "é", "e\xcc\x81", "\xe2\x80\xae", "CON", "\xff", "/", "\n", ".pdf",
                                        "🩺" };
  uint32_t seed = 1;
  for (int round = 0; round < 20000; round++) {
    char text[2048] = "", out[DMP_NAME_MAX + 1], again[DMP_NAME_MAX + 1];
    size_t pieces = (seed = seed * 1103515245u + 12345u) >> 16 & 127;
    for (size_t i = 0; i < pieces; i++) strcat(text, PIECES[((seed = seed * 1103515245u + 12345u) >> 16) % 12]);
    assert_int_equal(filename_safe(text, strlen(text), out), 0);
    size_t n = strlen(out);
    assert_in_range(n, 1, DMP_NAME_MAX);
    assert_true(syntax_utf8(out, n));
    assert_null(strpbrk(out, "<>:\"/\\|?*\n"));
    assert_true(out[0] != '.' && out[0] != ' ' && out[n - 1] != '.' && out[n - 1] != ' ');
    assert_int_equal(filename_safe(out, n, again), 0);
    assert_string_equal(again, out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_ordinary_french_name_is_unchanged),
    cmocka_unit_test(characters_forbidden_on_windows_become_underscores),
    cmocka_unit_test(control_characters_become_one_space),
    cmocka_unit_test(bidirectional_and_invisible_characters_are_dropped),
    cmocka_unit_test(dots_and_spaces_at_the_ends_go_and_a_hidden_file_is_never_made),
    cmocka_unit_test(a_name_is_never_empty_nor_a_dot),
    cmocka_unit_test(reserved_words_of_windows_get_a_prefix),
    cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
    cmocka_unit_test(decomposed_latin_letters_are_composed),
    cmocka_unit_test(a_long_name_is_cut_between_characters_and_keeps_its_extension),
    cmocka_unit_test(any_bytes_give_a_safe_name_that_is_its_own_safe_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
