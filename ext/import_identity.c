/* import_identity.c: who a document is about, and whether that is somebody known: the INS, then the five traits.
 * Owns: nothing.  Never: SQL, a guess. */
#include "import_parts.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "syntax.h"
SQLITE_EXTENSION_INIT3

/* Letters of Latin-1 and Latin Extended-A without their accents, from U+00C0; '*': two letters. */
static const char LATIN[] =
  "AAAAAA*CEEEEIIIIDNOOOOO OUUUUYTSAAAAAA*CEEEEIIIIDNOOOOO OUUUUYTY"
  "AAAAAACCCCCCCCDDDDEEEEEEEEEEGGGGGGGGHHHHIIIIIIIIIIIIJJKKKLLLLLLLLLLNNNNNNNNNOOOOOO**RRRRRRSSSSSSSSTTTTTT"
  "UUUUUUUUUUUUWWYYYZZZZZZS";
_Static_assert(sizeof LATIN - 1 == 0x180 - 0xc0, "one letter for each character from U+00C0 to U+017F");

/* The next character of valid UTF-8. */
static uint32_t next(const unsigned char **p) {
  uint32_t c = *(*p)++;
  if (c < 0x80) return c;
  for (c &= c < 0xe0 ? 0x1f : c < 0xf0 ? 0x0f : 0x07; (**p & 0xc0) == 0x80; (*p)++) c = c << 6 | (**p & 0x3f);
  return c;
}

/* A name as identities are compared: capitals without accents, one space for whatever separates words. */
static void fold(struct buf *out, const char *s) {
  const unsigned char *p = (const unsigned char *)s;
  while (*p) {
    const unsigned char *from = p;
    uint32_t c = next(&p);
    if (c >= 0x300 && c < 0x370) continue;            /* an accent on its own, behind its letter */
    char letter = ' ';
    if (c < 0x80 && isalnum((int)c)) letter = (char)toupper((int)c);
    else if (c >= 0xc0 && c < 0x180) letter = LATIN[c - 0xc0];
    if (letter == '*') buf_u8(out, c < 0x100 ? 'A' : 'O'), letter = 'E';
    if (c >= 0x180 && (c < 0x2000 || c >= 0x2070)) buf_put(out, from, (size_t)(p - from));
    else if (letter != ' ') buf_u8(out, (uint8_t)letter);
    else if (out->n > 0 && out->p[out->n - 1] != ' ') buf_u8(out, ' ');
  }
  if (out->n > 0 && out->p[out->n - 1] == ' ') out->n--;
}

/* 1: the same words; prefix: one may have more words behind. What can't be compared differs. */
static int names_agree(const char *a, const char *b, int prefix) {
  struct buf x = { 0 }, y = { 0 };
  fold(&x, a);
  fold(&y, b);
  const struct buf *s = x.n < y.n ? &x : &y, *l = x.n < y.n ? &y : &x;
  int good = !x.bad && !y.bad && s->n > 0 && memcmp(s->p, l->p, s->n) == 0 &&
             (s->n == l->n || (prefix && l->p[s->n] == ' '));
  buf_free(&x);
  buf_free(&y);
  return good;
}

/* A partial date agrees with each day in it. */
static int dates_agree(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), s = n < m ? n : m;
  return s >= 4 && strncmp(a, b, s) == 0 && (n == m || (n < m ? b : a)[s] == '-');
}

const char *import_identity_differs(const struct import_identity *id, const char *birth_name, const char *given_names,
                                    const char *birth_date, const char *sex, const char *birth_place) {
  if (birth_name == NULL || !names_agree(id->birth_name, birth_name, 0)) return "birth name";
  if (given_names == NULL || !names_agree(id->given_names, given_names, 1)) return "given names";
  if (birth_date == NULL || !dates_agree(id->birth_date, birth_date)) return "birth date";
  if (sex == NULL || strcmp(id->sex, sex) != 0) return "sex";
  if (id->birth_place && birth_place && strcasecmp(id->birth_place, birth_place) != 0) return "birth place";
  return NULL;
}

/* YYYY[MM[DD…]] to YYYY[-MM[-DD]]. The civil day counts, whatever hour and zone follow; 00 is unknown. */
static int take_birth_date(const char *s, char out[16]) {
  size_t n = strspn(s, "0123456789"), m = 4;
  if (n < 4) return 0;
  memcpy(out, s, 4);
  for (size_t at = 4; at <= 6 && n >= at + 2 && strncmp(s + at, "00", 2) != 0; at += 2) {
    out[m++] = '-';
    out[m++] = s[at];
    out[m++] = s[at + 1];
  }
  out[m] = '\0';
  return syntax_birth_date(out);
}

/* The INS under each of its domains; two numbers are two people. */
static int take_ins(const struct import_result *r, struct import_identity *id, struct import_row *row) {
  for (size_t i = 0; i < r->n; i++) {
    char *caret = r->field[i].tag == PARSE_PATIENT_ID ? strchr((char *)r->field[i].p, '^') : NULL;
    if (caret == NULL) continue;
    *caret = '\0';                                    /* root and extension become two texts */
    if (syntax_ins_oid((const char *)r->field[i].p) == 0 || id->oids == IMPORT_INS_MAX) continue;
    if (id->oids > 0 && strcmp(id->ins, caret + 1) != 0) return import_row_refuse(row, IMPORT_E_TWO_INS);
    id->ins = caret + 1;
    id->ins_oid[id->oids++] = (const char *)r->field[i].p;
  }
  if (id->oids == 0) return import_row_refuse(row, IMPORT_E_NO_INS);
  int key = syntax_ins(id->ins), production = 0;
  for (size_t i = 0; i < id->oids; i++) production |= syntax_ins_oid(id->ins_oid[i]) == 1;
  if (key == 0) return import_row_refuse(row, IMPORT_E_INS_FORM);
  if (key < 0 && production) return import_row_refuse(row, IMPORT_E_INS_KEY);
  if (key < 0) import_row_warn(row, "the key of this test INS is wrong");
  return 0;
}

int import_identity_take(const struct import_result *r, struct import_identity *id, struct import_row *row) {
  *id = (struct import_identity){ 0 };
  if (take_ins(r, id, row)) return 1;
  const char *sex = import_child_text(r, PARSE_SEX), *born = import_child_text(r, PARSE_BIRTH_TIME);
  id->birth_name = import_child_text(r, PARSE_BIRTH_NAME);
  id->used_name = import_child_text(r, PARSE_USED_NAME);
  id->given_names = import_child_text(r, PARSE_GIVEN_NAMES);
  id->birth_place = import_child_text(r, PARSE_BIRTH_PLACE);
  if (!id->birth_name || !id->given_names || !sex || !strchr("MFU", sex[0]) || !born ||
      !take_birth_date(born, id->birth_date))
    return import_row_refuse(row, IMPORT_E_TRAITS);
  id->sex[0] = sex[0];                                /* UN and UNK are U */
  return 0;
}
