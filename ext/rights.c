/* rights.c: asks the embedded tables. "rights_data.h" is made by scripts/embed from schema/ at build. */
#include "rights.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The range of classes that a line of holders.tsv speaks of; any other value is the number of a system class. */
enum { SCOPE_EVERY = 0, SCOPE_DOCUMENTS = 0xfffe, SCOPE_MATRIX = 0xffff };

struct listed_type { struct type_code code; uint16_t cls; };
struct class_reader { uint16_t cls, profession; };
struct holder { enum reader as; uint16_t scope; unsigned keys; };
enum barred_column { BARRED_KIND, BARRED_SPECIALTY, BARRED_FACILITY };
struct barred { enum barred_column column; int anywhere; const char *value, *reason; };
struct named_code { const char *code, *display; };
struct named_profession { uint16_t profession; const char *display; };

#include "rights_data.h"

#define COUNT(array) (sizeof (array) / sizeof (array)[0])
/* The row of a sorted table for which compare(key, row) is 0, or NULL. */
#define FIND(key, table, compare) bsearch((key), (table), COUNT(table), sizeof (table)[0], (compare))

static int by_type(const void *key, const void *row) {
  return strcmp(key, ((const struct listed_type *)row)->code.code);
}
static int by_named_code(const void *key, const void *row) {
  return strcmp(key, ((const struct named_code *)row)->code);
}
static int by_code(const void *key, const void *row) { return strcmp(key, *(const char *const *)row); }
static int by_number(const void *key, const void *row) { return *(const uint16_t *)key - *(const uint16_t *)row; }
static int by_profession(const void *key, const void *row) {
  return *(const uint16_t *)key - ((const struct named_profession *)row)->profession;
}
static int by_class_reader(const void *key, const void *row) {
  const struct class_reader *k = key, *r = row;
  return k->cls != r->cls ? k->cls - r->cls : k->profession - r->profession;
}

size_t rights_classes(const uint16_t **ids) {
  *ids = CLASSES;
  return COUNT(CLASSES);
}

uint16_t rights_class_of(const char *type_code) {
  const struct listed_type *t = type_code ? FIND(type_code, TYPES, by_type) : NULL;
  return t ? t->cls : CLASS_UNLISTED;
}

static int scope_covers(uint16_t scope, uint16_t profession, uint16_t cls) {
  if (scope == SCOPE_EVERY) return 1;
  if (scope == SCOPE_DOCUMENTS) return cls >= CLASS_FIRST_DOCUMENT;
  if (scope != SCOPE_MATRIX) return scope == cls;
  struct class_reader wanted = { cls, profession };
  return FIND(&wanted, CLASS_READERS, by_class_reader) != NULL;
}

unsigned rights_keys(enum reader as, uint16_t profession, uint16_t cls) {
  unsigned keys = 0;                                  /* no line: no key */
  if (!FIND(&cls, CLASSES, by_number)) return 0;
  for (size_t i = 0; i < COUNT(HOLDERS); i++)
    if (HOLDERS[i].as == as && scope_covers(HOLDERS[i].scope, profession, cls)) keys |= HOLDERS[i].keys;
  return keys;
}

const struct type_code *type_code_find(const char *code) {
  const struct listed_type *t = code ? FIND(code, TYPES, by_type) : NULL;
  return t ? &t->code : NULL;
}

const char *class_code_display(const char *code) {
  const struct named_code *c = code ? FIND(code, CLASS_CODES, by_named_code) : NULL;
  return c ? c->display : NULL;
}

const char *profession_display(uint16_t profession) {
  const struct named_profession *p = FIND(&profession, PROFESSIONS, by_profession);
  return p ? p->display : NULL;
}

static int by_ground(const void *key, const void *row) { return strcmp(key, ((const struct ground *)row)->code); }

const struct ground *ground_find(const char *code) { return code ? FIND(code, GROUNDS, by_ground) : NULL; }

const char *rights_barred(const char *kind, const char *specialty, const char *facility) {
  const char *text[] = { [BARRED_KIND] = kind, [BARRED_SPECIALTY] = specialty, [BARRED_FACILITY] = facility };
  for (size_t i = 0; i < COUNT(BARRED); i++) {
    const char *t = text[BARRED[i].column];
    if (t && (BARRED[i].anywhere ? strcasestr(t, BARRED[i].value) != NULL : strcasecmp(t, BARRED[i].value) == 0)) return BARRED[i].reason;
  }
  return NULL;
}

static int by_recipient(const void *key, const void *row) { return strcmp(key, ((const struct recipient *)row)->code); }

const struct recipient *recipient_find(const char *code) { return code ? FIND(code, RECIPIENTS, by_recipient) : NULL; }

int facility_known(const char *code) { return code && FIND(code, FACILITIES, by_code) != NULL; }

int practice_setting_known(const char *code) { return code && FIND(code, PRACTICE_SETTINGS, by_code) != NULL; }
