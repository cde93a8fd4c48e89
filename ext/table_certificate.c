/* table_certificate.c: the table `certificate_log`: every certificate that the authority issued, in its order, and what each of them changed.
 * Owns: its columns.  Never: which certificate counts (directory.h). */
#include "table.h"
SQLITE_EXTENSION_INIT3

enum { L_ID, L_AT, L_PRINCIPAL, L_SERIAL, L_CHANGE, L_NAME, L_CERTIFICATE, L_COLUMNS };
static const struct column LOG[] = {
  [L_ID] = { "id", "INTEGER", 0 }, [L_AT] = { "at", "TEXT", 0 }, [L_PRINCIPAL] = { "principal", "INTEGER", 0 }, [L_SERIAL] = { "serial", "INTEGER", 0 },
  [L_CHANGE] = { "change", "TEXT", 0 },               /* registered, changed, renewed (another key), revoked, restored, refused */
  [L_NAME] = { "name", "TEXT", 0 }, [L_CERTIFICATE] = { "certificate", "TEXT", 0 },
};
static const char *const CHANGE[] = { [ENTRY_FIRST] = "registered", [ENTRY_CHANGED] = "changed", [ENTRY_RENEWED] = "renewed", [ENTRY_REVOKED] = "revoked",
                                      [ENTRY_RESTORED] = "restored", [ENTRY_DISCONTINUOUS] = "refused" };

static int log_make(struct session *s, struct patient *p, struct rows *out) {
  (void)p;
  for (size_t i = 0; i < s->dir.n; i++) {
    const struct certificate *c = &s->dir.all[i];
    enum entry_state state = directory_entry(&s->dir, i);
    if (state == ENTRY_UNSIGNED) continue;            /* anybody's word: dmp_verify names it */
    struct value *row = rows_add(out, (int64_t)i + 1);
    char hex[33];
    if (row == NULL) return DMP_E_NOMEM;
    bytes_to_hex(c->hash, 16, hex);
    row[L_ID] = value_int((int64_t)i + 1);
    row[L_AT] = rows_time(out, c->not_before);
    row[L_PRINCIPAL] = value_int(id_from_field(c->principal));
    row[L_SERIAL] = value_int(c->serial);
    row[L_CHANGE] = value_text(CHANGE[state]);
    row[L_NAME] = rows_text(out, c->name);
    row[L_CERTIFICATE] = rows_text(out, hex);
  }
  return DMP_OK;
}
const struct table TABLE_CERTIFICATE_LOG = { .name = "certificate_log", .col = LOG, .columns = L_COLUMNS, .patient_col = -1, .id_col = -1, .needs_login = 1,
                                             .make = log_make };
