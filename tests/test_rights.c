/* test_rights.c: every cell of the matrix and of the holders, against the published denials written again here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "rights.h"

enum { PHYSICIAN = 10, PHARMACIST = 21, DISPENSER = 39, DENTIST = 40, NURSE = 60 };

/* The document types of JDV_J07, one word each. */
static const char TYPES[] =
  "ATTEST-ASS-COMPL ATTEST-RESID ATTEST-HEBGT ATTEST-DROITS-AM AUTORIS-SOINS BIL_AUTO CERT_DECL DISP_AUT EXPPAT_1 "
  "EXPPAT_2 EXPPAT_3 IMG-KOS PROT_ALD REMB SYNTH DOCPAT01 DOCPAT02 DOCPAT03 DOCPAT04 DOCPAT05 DOCPAT06 DOCPAT07 "
  "DOCPAT08 DOCPAT09 PIECE-IDENTITE PRESC-AAT PRESC-BIO PRESC-KINE PRESC-INF PRESC-PEDI PRESC-ORTHOPHO "
  "PRESC-ORTHOPTIE FEUILLE-DE-STYLE FICHE-CONTACTS EXPORT_DUI 11369-6 11488-4 11490-0 34112-3 11502-2 11505-5 "
  "11506-3 15507-7 15508-5 18776-5 18748-4 18761-7 28617-9 28653-4 29274-8 34120-6 34133-9 34749-2 34794-8 34842-5 "
  "34874-8 34875-5 47420-5 51851-4 51969-4 52040-3 55115-0 56445-0 56446-8 57828-6 57832-8 57833-6 59283-2 59284-0 "
  "60280-5 60568-3 60591-5 60593-1 61357-0 67851-6 68599-0 68817-6 70004-7 78341-5 74207-2 74465-6 75468-9 75482-0 "
  "75492-9 75496-0 77436-4 77604-7 78513-9 78601-2 80565-5 80771-9 80788-3 80820-4 83836-7 83869-8 83901-9 83981-1 "
  "85208-7 86531-1 87273-9 88348-8 89601-9 93024-8 96349-6 96874-3 96173-0 57055-6 57057-2 57075-4 89235-6 78489-2 "
  "89233-1 101881-1 E1762";

static const char *const PHYSICIAN_DENIED[] = { "ATTEST-RESID", NULL };
static const char *const PHARMACY_DENIED[] = { "75496-0", "34842-5", "68599-0", "83901-9", "68817-6", "89601-9",
                                               "EXPPAT_3", "ATTEST-RESID", "ATTEST-HEBGT", "86531-1", NULL };
static const char *const NURSE_DENIED[] = { "75496-0", "68599-0", "83901-9", "68817-6", "89601-9", NULL };
static const char *const DENTIST_DENIED[] = { "80788-3", "75496-0", "83981-1", "83901-9", "68599-0", NULL };

static int expected_read(uint16_t profession, const char *type) {
  const char *const *denied = profession == PHYSICIAN ? PHYSICIAN_DENIED
                            : profession == PHARMACIST || profession == DISPENSER ? PHARMACY_DENIED
                            : profession == NURSE ? NURSE_DENIED
                            : profession == DENTIST ? DENTIST_DENIED : NULL;
  if (!denied) return 0;
  for (; *denied; denied++)
    if (!strcmp(*denied, type)) return 0;
  return 1;
}

static size_t each_type(void (*visit)(const char *type)) {
  char copy[sizeof TYPES];
  size_t n = 0;
  memcpy(copy, TYPES, sizeof TYPES);
  for (char *save = NULL, *type = strtok_r(copy, " ", &save); type; type = strtok_r(NULL, " ", &save), n++) visit(type);
  return n;
}

static void check_type(const char *type) {
  uint16_t cls = rights_class_of(type);
  for (uint16_t p = 0; p < 100; p++) {
    int read = expected_read(p, type);
    if (rights_keys(READER_CONSENT, p, cls) != (read ? KEY_P : 0u))
      fail_msg("consent: profession %d, type %s", p, type);
    if (rights_keys(READER_TEAM, p, cls) != (read ? KEY_P : 0u)) fail_msg("team: profession %d, type %s", p, type);
    if (rights_keys(READER_TREATING, p, cls) != (read ? KEY_P | KEY_M : 0u))
      fail_msg("treating: profession %d, type %s", p, type);
    if (rights_keys(READER_REPRESENTATIVE, p, cls) != (KEY_P0 | KEY_M0)) fail_msg("representative: type %s", type);
    if (rights_keys(READER_PATIENT, p, cls) != (KEY_P | KEY_M)) fail_msg("patient: type %s", type);
    if (rights_keys(READER_NONE, p, cls) != 0) fail_msg("nobody: profession %d, type %s", p, type);
  }
}

static void every_cell_of_the_matrix_is_the_published_one(void **state) {
  (void)state;
  assert_int_equal(each_type(check_type), 114);
}

/* Reads a table of schema/: calls each line's columns; returns the number of lines. */
static size_t each_line(const char *path, int columns, void (*visit)(char **column, void *ctx), void *ctx) {
  char line[512];
  size_t n = 0;
  FILE *f = fopen(path, "r");
  if (!f) fail_msg("%s can't be opened: run the tests from the top of the project", path);
  for (int header = 1; fgets(line, sizeof line, f);) {
    if (line[0] == '#') continue;
    if (header) { header = 0; continue; }
    char *column[4] = { 0 }, *save = NULL, *word = strtok_r(line, "\t\n", &save);
    int i = 0;
    for (; word && i < 4; word = strtok_r(NULL, "\t\n", &save)) column[i++] = word;
    assert_int_equal(i, columns);
    visit(column, ctx);
    n++;
  }
  fclose(f);
  return n;
}

/* Per type the professions that rights.tsv gives it, as bits; the line that names the type wins over "*". */
struct matrix { char type[128][32]; size_t n; unsigned char all[100], named[128][100]; };
enum { UNSAID = 0, ALLOWED, DENIED };

static size_t type_index(struct matrix *m, const char *type) {
  for (size_t i = 0; i < m->n; i++)
    if (!strcmp(m->type[i], type)) return i;
  fail_msg("%s is not in type_code.tsv", type);
  return 0;
}
static void add_type(char **column, void *ctx) {
  struct matrix *m = ctx;
  snprintf(m->type[m->n++], sizeof m->type[0], "%s", column[0]);
}
static void add_right(char **column, void *ctx) {
  struct matrix *m = ctx;
  unsigned char *cell = !strcmp(column[1], "*") ? m->all : m->named[type_index(m, column[1])];
  assert_true(!strcmp(column[2], "allowed") || !strcmp(column[2], "denied"));
  assert_true(strlen(column[3]) > 0);                    /* each line has its source */
  cell[atoi(column[0])] = !strcmp(column[2], "allowed") ? ALLOWED : DENIED;
}

struct classes { int id[64]; char set[64][64]; int n; };
static void add_class(char **column, void *ctx) {
  struct classes *c = ctx;
  c->id[c->n] = atoi(column[0]);
  snprintf(c->set[c->n++], sizeof c->set[0], "%s", column[2]);
}

static void classes_are_exactly_the_sets_of_professions_in_the_matrix(void **state) {
  (void)state;
  static struct matrix m;
  static struct classes c;
  each_line("schema/type_code.tsv", 4, add_type, &m);
  each_line("schema/rights.tsv", 4, add_right, &m);
  each_line("schema/classes.tsv", 3, add_class, &c);
  assert_int_equal(m.n, 114);
  for (size_t t = 0; t < m.n; t++) {
    char set[64] = "";
    for (int p = 0; p < 100; p++)
      if (m.named[t][p] == ALLOWED || (m.named[t][p] == UNSAID && m.all[p] == ALLOWED))
        snprintf(set + strlen(set), sizeof set - strlen(set), "%s%d", *set ? "," : "", p);
    int found = -1;
    for (int i = 0; i < c.n; i++)
      if (!strcmp(c.set[i], *set ? set : "-")) {
        assert_int_equal(found, -1);
        found = c.id[i];
      }
    assert_int_equal(rights_class_of(m.type[t]), found);
  }
}

/* Runs scripts/embed on a copy of schema/ whose matrix went through one sed command: its exit code and its words. */
static int embed_mutated(const char *edit, char words[256]) {
  char command[512];
  snprintf(command, sizeof command,
           "d=$(mktemp -d) && cp schema/*.tsv $d && sed \"%s\" schema/rights.tsv > $d/rights.tsv; "
           "scripts/embed rights $d/rights.tsv 2>&1 >/dev/null; rc=$?; rm -r $d; exit $rc", edit);
  FILE *f = popen(command, "r");
  assert_non_null(f);
  words[fread(words, 1, 255, f)] = '\0';
  return pclose(f);
}

static void a_matrix_that_needs_a_new_class_is_refused_at_build(void **state) {
  (void)state;
  char words[256];
  assert_int_equal(embed_mutated("s/^#.*//", words), 0);
  assert_string_equal(words, "");
  assert_int_not_equal(embed_mutated("/^21.34842-5/d", words), 0);
  assert_non_null(strstr(words, "no class for exactly the professions 10,21,40,60 of type 34842-5"));
  assert_int_not_equal(embed_mutated("s/34842-5/34842-6/", words), 0);
  assert_non_null(strstr(words, "unknown type code 34842-6"));
  assert_int_not_equal(embed_mutated("s/denied/perhaps/", words), 0);
  assert_non_null(strstr(words, "a right is allowed or denied: perhaps"));
  assert_int_not_equal(embed_mutated("s/^10.ATTEST-RESID/11\\tATTEST-RESID/", words), 0);
  assert_non_null(strstr(words, "unknown profession 11"));
}

static void class_numbers_are_the_ones_of_the_first_map(void **state) {
  (void)state;
  static const struct { const char *type; uint16_t cls; } FIRST[] = {
    { "11488-4", 17 }, { "REMB", 17 }, { "SYNTH", 17 }, { "75496-0", 18 }, { "68599-0", 18 }, { "83901-9", 18 },
    { "68817-6", 19 }, { "89601-9", 19 }, { "34842-5", 20 }, { "EXPPAT_3", 20 }, { "ATTEST-HEBGT", 20 },
    { "86531-1", 20 }, { "ATTEST-RESID", 21 }, { "80788-3", 22 }, { "83981-1", 22 },
  };
  for (size_t i = 0; i < sizeof FIRST / sizeof *FIRST; i++)
    assert_int_equal(rights_class_of(FIRST[i].type), FIRST[i].cls);
  assert_int_equal(RIGHTS_MAP_VERSION, 1);
}

static void classes_are_listed_once_in_rising_order(void **state) {
  (void)state;
  static struct classes c;
  const uint16_t *ids;
  size_t n = rights_classes(&ids);
  each_line("schema/classes.tsv", 3, add_class, &c);
  assert_int_equal(n, c.n);
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(ids[i], c.id[i]);
    if (i) assert_true(ids[i] > ids[i - 1]);
  }
  assert_int_equal(ids[0], CLASS_IDENTITY);
  assert_int_equal(ids[4], CLASS_UNLISTED);
}

static void every_cell_of_the_holders_table_is_the_designed_one(void **state) {
  (void)state;
  /* The capacities across, the system classes down; 16 is nobody's but the patient's and who represents him. */
  static const struct { uint16_t cls; unsigned none, patient, treating, consent, representative, team; } EXPECTED[] = {
    { CLASS_IDENTITY, 0, KEY_P | KEY_M, KEY_P, KEY_P, KEY_P0, KEY_P },
    { CLASS_CHOICES, 0, KEY_P | KEY_M, KEY_P | KEY_M, 0, 0, 0 },
    { CLASS_LOG, 0, KEY_P | KEY_M, KEY_P | KEY_M, 0, KEY_M0, 0 },
    { CLASS_NOTICES, 0, KEY_P | KEY_M, KEY_P | KEY_M, 0, KEY_P0, 0 },
    { CLASS_UNLISTED, 0, KEY_P | KEY_M, 0, 0, KEY_P0 | KEY_M0, 0 },
  };
  for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++)
    for (uint16_t p = 0; p < 100; p++) {
      assert_int_equal(rights_keys(READER_NONE, p, EXPECTED[i].cls), EXPECTED[i].none);
      assert_int_equal(rights_keys(READER_PATIENT, p, EXPECTED[i].cls), EXPECTED[i].patient);
      assert_int_equal(rights_keys(READER_TREATING, p, EXPECTED[i].cls), EXPECTED[i].treating);
      assert_int_equal(rights_keys(READER_CONSENT, p, EXPECTED[i].cls), EXPECTED[i].consent);
      assert_int_equal(rights_keys(READER_REPRESENTATIVE, p, EXPECTED[i].cls), EXPECTED[i].representative);
      assert_int_equal(rights_keys(READER_TEAM, p, EXPECTED[i].cls), EXPECTED[i].team);
    }
}

static void grounds_are_known_words_and_those_of_a_minor_end_at_majority(void **state) {
  (void)state;
  static const struct { const char *code; int majority; } EXPECTED[] = { { "parent", 1 }, { "tuteur_mineur", 1 }, { "tuteur", 0 }, { "curateur", 0 },
                                                                         { "habilitation", 0 }, { "mandataire", 0 } };
  for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++) {
    const struct ground *g = ground_find(EXPECTED[i].code);
    assert_non_null(g);
    assert_int_equal(g->majority, EXPECTED[i].majority);
    assert_true(strlen(g->display) > 0);
  }
  assert_null(ground_find("voisin"));
  assert_null(ground_find(""));
  assert_null(ground_find(NULL));
}

static void what_no_line_gives_is_denied(void **state) {
  (void)state;
  static const uint16_t NO_CLASS[] = { 0, 5, 15, 23, 1000, 0xffff };
  static const enum reader READERS[] = { READER_NONE, READER_PATIENT, READER_TREATING, READER_CONSENT, (enum reader)200,
                                         (enum reader)99 };
  for (size_t i = 0; i < sizeof NO_CLASS / sizeof *NO_CLASS; i++)
    for (size_t r = 0; r < sizeof READERS / sizeof *READERS; r++)
      assert_int_equal(rights_keys(READERS[r], PHYSICIAN, NO_CLASS[i]), 0);
  const uint16_t *ids;
  size_t n = rights_classes(&ids);
  for (size_t i = 0; i < n; i++)
    for (size_t r = 4; r < sizeof READERS / sizeof *READERS; r++)
      assert_int_equal(rights_keys(READERS[r], PHYSICIAN, ids[i]), 0);
  assert_int_equal(rights_keys(READER_CONSENT, PHYSICIAN, rights_class_of("11488-4")), KEY_P);
  assert_int_equal(rights_keys(READER_CONSENT, 110, rights_class_of("11488-4")), 0);
  assert_int_equal(rights_keys(READER_CONSENT, 0xffff, rights_class_of("11488-4")), 0);
}

static void a_type_in_no_line_is_unlisted(void **state) {
  (void)state;
  static const char *const STRANGE[] = { "", "0", "11488", "11488-", "11488-5", "11488-4 ", " 11488-4", "remb",
                                         "REMB2", "DOCPAT10", "zzz", "*" };
  for (size_t i = 0; i < sizeof STRANGE / sizeof *STRANGE; i++) {
    assert_int_equal(rights_class_of(STRANGE[i]), CLASS_UNLISTED);
    assert_null(type_code_find(STRANGE[i]));
  }
  assert_int_equal(rights_class_of(NULL), CLASS_UNLISTED);
  assert_null(type_code_find(NULL));
}

static void check_nomenclature(const char *type) {
  const struct type_code *t = type_code_find(type);
  assert_non_null(t);
  assert_string_equal(t->code, type);
  assert_true(strlen(t->system) > 0 && strlen(t->display) > 0);
  if (t->class_code) assert_non_null(class_code_display(t->class_code));
}

static void each_type_has_a_system_a_name_and_a_known_class(void **state) {
  (void)state;
  each_type(check_nomenclature);
  assert_string_equal(type_code_find("11488-4")->class_code, "10");
  assert_string_equal(type_code_find("11488-4")->system, "2.16.840.1.113883.6.1");
  assert_string_equal(type_code_find("SYNTH")->class_code, "11");
  assert_string_equal(type_code_find("SYNTH")->display, "Synthèse");
  assert_string_equal(type_code_find("REMB")->class_code, "60");
  assert_string_equal(type_code_find("101881-1")->display, "Carte d'implant");
  assert_null(type_code_find("101881-1")->class_code);   /* the published mapping gives it none */
}

static void names_and_codes_are_found_and_others_are_not(void **state) {
  (void)state;
  assert_string_equal(class_code_display("10"), "Compte rendu");
  assert_string_equal(class_code_display("95"), "Document de gestion");
  assert_null(class_code_display("99"));
  assert_null(class_code_display(""));
  assert_null(class_code_display(NULL));
  assert_string_equal(profession_display(PHYSICIAN), "Médecin");
  assert_string_equal(profession_display(PHARMACIST), "Pharmacien");
  assert_string_equal(profession_display(98), "Manipulateur ERM");
  assert_null(profession_display(0));
  assert_null(profession_display(11));
  assert_int_equal(facility_known("SA01"), 1);
  assert_int_equal(facility_known("SA69"), 1);
  assert_int_equal(facility_known("EXP_PATIENT"), 1);
  assert_int_equal(facility_known("SA11"), 0);
  assert_int_equal(facility_known(""), 0);
  assert_int_equal(facility_known(NULL), 0);
  assert_int_equal(practice_setting_known("AMBULATOIRE"), 1);
  assert_int_equal(practice_setting_known("SAMU_SMUR"), 1);
  assert_int_equal(practice_setting_known("SA01"), 0);
  assert_int_equal(practice_setting_known(NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_cell_of_the_matrix_is_the_published_one),
    cmocka_unit_test(classes_are_exactly_the_sets_of_professions_in_the_matrix),
    cmocka_unit_test(a_matrix_that_needs_a_new_class_is_refused_at_build),
    cmocka_unit_test(class_numbers_are_the_ones_of_the_first_map),
    cmocka_unit_test(classes_are_listed_once_in_rising_order),
    cmocka_unit_test(every_cell_of_the_holders_table_is_the_designed_one),
    cmocka_unit_test(grounds_are_known_words_and_those_of_a_minor_end_at_majority),
    cmocka_unit_test(what_no_line_gives_is_denied),
    cmocka_unit_test(a_type_in_no_line_is_unlisted),
    cmocka_unit_test(each_type_has_a_system_a_name_and_a_known_class),
    cmocka_unit_test(names_and_codes_are_found_and_others_are_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
