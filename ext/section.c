/* section.c: the sections of the record (see section.h). */
#include "section.h"
#include "syntax.h"
#include <ctype.h>
#include <string.h>
#define SECTION_DATA
#include "section_data.h"                             /* again: now the descriptions themselves */

_Static_assert(sizeof SECTION / sizeof *SECTION == SECTION_COUNT, "one description for each section");

const struct section *section_at(enum section_number n) { return &SECTION[n]; }

const struct section *section_of(uint16_t table) {
  for (int i = 0; i < SECTION_COUNT; i++)
    if (SECTION[i].table == table) return &SECTION[i];
  return NULL;
}

static int sound(const struct section_column *c, const struct value *v) {
  if (v->type == VALUE_NULL) return !c->required;
  return v->type == (c->check == CHECK_COUNT ? VALUE_INT : c->check == CHECK_AMOUNT ? VALUE_REAL : VALUE_TEXT);
}

int section_values(const struct section *x, const struct item *it, struct value v[LINE_MAX]) {
  size_t count, used;
  memset(v, 0, LINE_MAX * sizeof *v);
  if (it->c.body_size || row_get(it->c.row, it->c.row_len, v, (size_t)(LINE_OWN + x->columns), &count, &used) != DMP_OK) return 0;
  for (int i = 0; i < LINE_OWN; i++)
    if (v[i].type != VALUE_NULL && v[i].type != VALUE_TEXT) return 0;
  for (int i = 0; i < x->columns; i++)
    if (!sound(&x->col[i], &v[LINE_OWN + i])) return 0;
  return 1;
}

/* ---- codes: bare where the system is plain from the form, else code^system ---- */

static size_t digits(const char *s) { return strspn(s, "0123456789"); }

/* 13 digits of a French medicine or device, with the key of EAN-13. */
static int is_cip13(const char *s) {
  int sum = 0;
  if (strlen(s) != 13 || digits(s) != 13 || strncmp(s, "34", 2) != 0) return 0;
  for (int i = 0; i < 13; i++) sum += (s[i] - '0') * (i & 1 ? 3 : 1);
  return sum % 10 == 0;
}

/* A letter stands for itself: 'A' a capital, '0' a digit, anything else itself. */
static int has_form(const char *s, const char *form) {
  for (; *form && *s; s++, form++)
    if (*form == 'A' ? !(*s >= 'A' && *s <= 'Z') : *form == '0' ? !isdigit((unsigned char)*s) : *s != *form) return 0;
  return *form == 0 && *s == 0;
}

/* A letter key of the NGAP and its coefficient: "G", "AMI 4", "TLS 1,5". */
static int is_ngap(const char *s) {
  size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  if (n == 0 || n > 5) return 0;
  if (s[n] == 0) return 1;
  s += n + (s[n] == ' ');
  n = digits(s);
  if (n == 0 || n > 4 || (s[n] && s[n] != ',' && s[n] != '.')) return 0;
  return s[n] == 0 || (digits(s + n + 1) > 0 && s[n + 1 + digits(s + n + 1)] == 0);
}

static int code_known(enum section_check check, const char *s) {
  const char *hat = strchr(s, '^');
  if (hat) return hat > s && hat[1] != 0;
  if (is_cip13(s)) return 1;
  if (check == CHECK_PRODUCT) return has_form(s, "00000000") || has_form(s, "A00AA00");          /* CIS, ATC */
  return has_form(s, "AAAA000") || has_form(s, "0000000") || is_ngap(s);                         /* CCAM, LPP, NGAP */
}

int section_check_text(const struct section_column *c, const char **text, char out[32]) {
  if (c->check == CHECK_TIME) {
    if (!syntax_time(*text, out)) return DMP_E_DATE;
    *text = out;
  }
  if ((c->check == CHECK_PRODUCT || c->check == CHECK_ACT) && !code_known((enum section_check)c->check, *text)) return DMP_E_CODE;
  return DMP_OK;
}
