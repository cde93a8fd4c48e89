/* table_log.c: the table `access_log`: the lines that this login's keys find.
 * Owns: its columns.  Never: which lines those are (history.h). */
#include "table.h"
#include "history.h"
#include "motive.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { L_AT, L_PRINCIPAL, L_NAME, L_PROFESSION, L_PATIENT, L_ACTION, L_OBJECT, L_MODE, L_REASON, L_COUNT, L_TEAM, L_ACTION_TEXT, L_REASON_TEXT, L_COLUMNS };
static const struct column LOG[] = {
  [L_AT] = { "at", "TEXT", COL_PUSH }, [L_PRINCIPAL] = { "principal", "INTEGER", COL_PUSH }, [L_NAME] = { "name", "TEXT", 0 },
  [L_PROFESSION] = { "profession", "TEXT", 0 }, [L_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [L_ACTION] = { "action", "TEXT", COL_PUSH },
  [L_OBJECT] = { "object", "INTEGER", COL_PUSH }, [L_MODE] = { "mode", "TEXT", 0 }, [L_REASON] = { "reason", "TEXT", 0 },
  [L_COUNT] = { "count", "INTEGER", 0 },
  [L_TEAM] = { "team", "INTEGER", 0 },                /* through which the person read */
  [L_ACTION_TEXT] = { "action_text", "TEXT", COL_HIDDEN }, [L_REASON_TEXT] = { "reason_text", "TEXT", COL_HIDDEN },
};
static int put_line(struct session *s, struct patient *p, const struct log_line *l, struct rows *out) {
  const struct certificate *who = p ? patient_who(s, p, l->person) : session_who(s, l->person);
  char reason[sizeof l->reason + 1] = { 0 }, profession[8];
  struct motive say;
  struct value *row = rows_add(out, (int64_t)out->n + 1);
  if (row == NULL) return DMP_E_NOMEM;
  memcpy(reason, l->reason, sizeof l->reason);
  row[L_AT] = rows_time(out, l->at);
  row[L_PRINCIPAL] = value_int(id_from_field(l->person));
  row[L_NAME] = rows_text(out, who ? who->name : s->me.name);
  sqlite3_snprintf(sizeof profession, profession, "%u", who ? who->profession : 0);
  if (who && who->profession) row[L_PROFESSION] = rows_text(out, profession);
  if (id_from_field(l->patient) > 0) row[L_PATIENT] = value_int(id_from_field(l->patient));
  row[L_ACTION] = value_text(log_action_text(l->action));
  if (id_from_field(l->object) > 0) row[L_OBJECT] = value_int(id_from_field(l->object));
  row[L_MODE] = value_text(log_mode_text(l->mode));
  row[L_REASON] = rows_text(out, reason);
  row[L_COUNT] = value_int(l->count);
  motive_of(s, p, l, &say);
  row[L_ACTION_TEXT] = value_text(say.action);
  if (*say.reason) row[L_REASON_TEXT] = rows_text(out, say.reason);
  if (le_get64(l->login + 8)) row[L_TEAM] = value_int((int64_t)le_get64(l->login + 8));
  return DMP_OK;
}

static int log_make(struct session *s, struct patient *p, struct rows *out) {
  struct history h;
  int e = history_read(s, p, 0, &h);
  for (size_t i = 0; e == DMP_OK && i < h.n; i++) e = put_line(s, p, &h.h[i].l, out);
  history_free(&h);
  return e;
}

const struct table TABLE_ACCESS_LOG = { .name = "access_log", .col = LOG, .columns = L_COLUMNS, .patient_col = L_PATIENT, .id_col = -1,
                                        .needs_login = 1, .self = 1, .make = log_make };
