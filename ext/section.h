/* section.h: the sections of the record (prescriptions, reimbursements): what their lines are, as schema/sections.tsv describes them.
 * Owns: the descriptions, the order of a line's stored values, the checks of its values.  Never: SQL tables (table_section.c), keys.
 * Stored row: episode, confidentiality, then the section's own columns in the order of the description. */
#ifndef SECTION_H
#define SECTION_H
#include "item.h"
#include "section_data.h"

enum section_check { CHECK_TEXT = 1, CHECK_TIME, CHECK_COUNT, CHECK_AMOUNT, CHECK_PRODUCT, CHECK_ACT };
enum section_role { ROLE_NONE, ROLE_DATE, ROLE_PERSON };
struct section_column { const char *name; uint8_t check, required, role; const char *label; };
struct section { const char *name; uint16_t table; const char *type_code, *label; const struct section_column *col; int columns; };

#define SECTION_ENUM(name) SECTION_##name,
enum section_number { SECTIONS(SECTION_ENUM) SECTION_COUNT };
enum { LINE_EPISODE, LINE_CONFIDENTIALITY, LINE_OWN, LINE_MAX = LINE_OWN + 32 };

const struct section *section_at(enum section_number n);
const struct section *section_of(uint16_t table);     /* NULL: not a section */
/* The stored values; those that are not there are NULL. A depositor can sign nonsense: 0, and the line shows to nobody. */
int section_values(const struct section *x, const struct item *it, struct value v[LINE_MAX]);
/* The form of a text value; a time is rewritten into out. DMP_E_DATE, DMP_E_CODE. */
int section_check_text(const struct section_column *c, const char **text, char out[32]);
#endif
