/* table_notice.c: the tables `notification`: what somebody is told about a record; `hosting`: who stores the file, and where.
 * Owns: their columns.  Never: which events are told (notice.h), an entry's signature (hosting.h). */
#include "table.h"
#include "hosting.h"
#include "notice.h"
#include "syntax.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- notification ---- */

enum { N_PATIENT, N_AT, N_KIND, N_TEXT, N_SEEN, N_COLUMNS };
static const struct column NOTIFICATION[] = {
  [N_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [N_AT] = { "at", "TEXT", COL_PUSH }, [N_KIND] = { "kind", "TEXT", COL_PUSH },
  [N_TEXT] = { "text", "TEXT", 0 }, [N_SEEN] = { "seen", "INTEGER", 0 },
};

static int notification_make(struct session *s, struct patient *p, struct rows *out) {
  struct notices v;
  int e = notice_read(s, p, &v);
  for (size_t i = 0; e == DMP_OK && i < v.count; i++) {
    struct value *row = rows_add(out, v.n[i].id);
    if (row == NULL) {
      e = DMP_E_NOMEM;
      break;
    }
    object_seen(s, v.n[i].id, p->id);
    row[N_PATIENT] = value_int(p->id);
    row[N_AT] = rows_time(out, v.n[i].at);
    row[N_KIND] = value_text(v.n[i].kind);
    row[N_TEXT] = rows_text(out, v.n[i].text);
    row[N_SEEN] = value_int(v.n[i].seen);
  }
  notice_free(&v);
  return e;
}

/* Whose notice it is: the one that a hint names, else whoever has it. */
static int notice_patient(struct session *s, int64_t id, int64_t *patient) {
  int64_t hint = object_met(s, id);
  int e = patient_own(s), found = 0;
  for (size_t i = 0; e == DMP_OK && !found && i <= s->owns; i++) {
    struct patient *p;
    struct notices v = { 0 };
    int64_t who = i == 0 ? hint : s->own[i - 1].patient;
    e = who ? patient_get(s, who, &p) : DMP_E_NO_PATIENT;
    if (e == DMP_OK) e = notice_read(s, p, &v);
    else if (e == DMP_E_NO_PATIENT) e = DMP_OK;
    for (size_t k = 0; k < v.count; k++) found |= v.n[k].id == id;
    if (found) *patient = who;
    notice_free(&v);
  }
  return e == DMP_OK && !found ? DMP_E_NOT_FOUND : e;
}

static int notification_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  struct patient *p;
  int64_t patient;
  int seen, e = take_flag(v[N_SEEN], &seen);
  for (int i = 0; e == DMP_OK && i < N_SEEN; i++)
    if (!sqlite3_value_nochange(v[i])) e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = notice_patient(s, rowid, &patient);
  if (e == DMP_OK) e = writer_begin(s, patient, &p);
  return e == DMP_OK ? notice_see(s, p, rowid, seen) : e;
}

const struct table TABLE_NOTIFICATION = { .name = "notification", .col = NOTIFICATION, .columns = N_COLUMNS, .patient_col = N_PATIENT, .id_col = -1,
                                          .needs_login = 1, .make = notification_make, .update = notification_update };

/* ---- hosting ---- */

enum { H_NAME, H_OPERATOR, H_PLACE, H_SINCE, H_COLUMNS };
static const struct column HOSTING[] = {
  [H_NAME] = { "name", "TEXT", 0 }, [H_OPERATOR] = { "operator", "TEXT", 0 }, [H_PLACE] = { "place", "TEXT", 0 }, [H_SINCE] = { "since", "TEXT", 0 },
};

static int hosting_make(struct session *s, struct patient *p, struct rows *out) {
  struct hostings all;
  int e = hosting_read(s, &all);
  (void)p;
  for (size_t i = 0; e == DMP_OK && i < all.n; i++) {
    const struct hosting *h = &all.h[i];
    struct value *row = rows_add(out, (int64_t)h->seq + 1);
    if (row == NULL) {
      e = DMP_E_NOMEM;
      break;
    }
    row[H_NAME] = rows_text(out, h->name);
    row[H_OPERATOR] = rows_text(out, h->operator);
    row[H_PLACE] = rows_text(out, h->place);
    row[H_SINCE] = *h->since ? rows_text(out, h->since) : rows_time(out, h->recorded);
  }
  hosting_free(&all);
  return e;
}

static int hosting_text(sqlite3_value *v, char *to, size_t room) {
  const char *text;
  int e = take_text(v, &text);
  if (e == DMP_OK && text == NULL) e = DMP_E_MISSING;
  if (e == DMP_OK && strlen(text) >= room) e = DMP_E_TOO_BIG;
  if (e == DMP_OK) memcpy(to, text, strlen(text) + 1);
  return e;
}

static int hosting_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  struct hosting h = { 0 };
  const char *since;
  int e = hosting_text(v[H_NAME], h.name, sizeof h.name);
  if (e == DMP_OK) e = hosting_text(v[H_OPERATOR], h.operator, sizeof h.operator);
  if (e == DMP_OK) e = hosting_text(v[H_PLACE], h.place, sizeof h.place);
  if (e == DMP_OK) e = take_text(v[H_SINCE], &since);
  if (e == DMP_OK && since && !syntax_time(since, h.since)) e = DMP_E_DATE;
  if (e == DMP_OK) e = hosting_add(s, &h);
  *rowid = (int64_t)h.seq + 1;
  return e;
}

const struct table TABLE_HOSTING = { .name = "hosting", .col = HOSTING, .columns = H_COLUMNS, .patient_col = -1, .id_col = -1, .needs_login = 1,
                                     .make = hosting_make, .insert = hosting_insert };
