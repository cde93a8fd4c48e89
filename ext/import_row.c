/* import_row.c: one line of the import's result.
 * Owns: its texts.  Never: SQL. */
#include "import_parts.h"

#include <string.h>
SQLITE_EXTENSION_INIT3

static const char *const REFUSAL_TEXT[] = {
#define REFUSAL(name, text) [IMPORT_E_##name] = text,
  IMPORT_REFUSALS(REFUSAL)
};

int import_row_refuse_text(struct import_row *r, const char *text) {
  r->state = "refused";
  sqlite3_free(r->reason);
  r->reason = sqlite3_mprintf("%s", text);
  return 1;
}

int import_row_refuse(struct import_row *r, enum import_refusal why) {
  return import_row_refuse_text(r, REFUSAL_TEXT[why]);
}

void import_row_warn(struct import_row *r, const char *text) {
  char *w = sqlite3_mprintf("%s%s%s", r->warning ? r->warning : "", r->warning ? "; " : "", text);
  sqlite3_free(r->warning);
  r->warning = w;
}

void import_row_free(struct import_row *r) {
  if (r->pin != NULL) bytes_wipe(r->pin, strlen(r->pin));
  char *text[] = { r->file, r->reason, r->warning, r->unique_id, r->title, r->credential, r->pin };
  for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) sqlite3_free(text[i]);
  *r = (struct import_row){ 0 };
}
