/* table_view.c: the table `minimal_view`: what a patient shows of her record, to whom she hands the credential, until when.
 * Owns: its columns and their checks.  Never: keys (view.h), what a view shows and how it ends (show.h). */
#include "table.h"
#include "show.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { W_ID, W_PATIENT, W_ITEMS, W_SINCE, W_UNTIL, W_ENDED, W_CREDENTIAL, W_PIN, W_COLUMNS };
static const struct column VIEW[] = {
  [W_ID] = { "id", "INTEGER", 0 }, [W_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [W_ITEMS] = { "items", "TEXT", 0 },
  [W_SINCE] = { "since", "TEXT", 0 }, [W_UNTIL] = { "until", "TEXT", 0 },
  [W_ENDED] = { "ended", "TEXT", 0 },                 /* when its keys turned; NULL: not yet */
  [W_CREDENTIAL] = { "credential", "TEXT", COL_HIDDEN }, [W_PIN] = { "pin", "TEXT", COL_HIDDEN },
};
static const int64_t DAY = 24LL * 3600 * 1000, LONGEST = 31;

static int put_view(struct rows *out, const struct patient *p, const struct view *v) {
  struct value *row = rows_add(out, v->id);
  sqlite3_str *list = sqlite3_str_new(NULL);
  for (size_t i = 0; i < v->items.n; i++) sqlite3_str_appendf(list, "%s%lld", i ? "," : "", v->items.id[i]);
  char *items = sqlite3_str_finish(list);
  if (row && items) {
    row[W_ID] = value_int(v->id);
    row[W_PATIENT] = value_int(p->id);
    row[W_ITEMS] = rows_text(out, items);
    row[W_SINCE] = rows_time(out, v->since);
    row[W_UNTIL] = rows_time(out, v->until);
    row[W_ENDED] = rows_time(out, v->ended);
  }
  sqlite3_free(items);
  return row && items ? DMP_OK : DMP_E_NOMEM;
}

static int view_rows(struct session *s, struct patient *p, struct rows *out) {
  struct views v;
  int e = views_read(s, p, &v);
  for (size_t i = 0; e == DMP_OK && i < v.n; i++) e = put_view(out, p, &v.v[i]);
  views_free(&v);
  return e;
}

/* "12,13,14", as group_concat() writes it, or "[12,13,14]", as json_group_array() does. */
static int take_items(const char *text, struct ids *out) {
  const char *p = text + strspn(text, " ");
  int array = *p == '[', e = DMP_OK;
  p += array;
  do {
    char *end;
    errno = 0;
    long long id = strtoll(p, &end, 10);
    if (end == p || errno || id <= 0) return DMP_E_VIEW_ITEMS;
    e = ids_add(out, id);
    p = end + strspn(end, " ");
  } while (e == DMP_OK && *p == ',' && p++);
  if (e == DMP_OK && array && *p++ != ']') e = DMP_E_VIEW_ITEMS;
  return e == DMP_OK && p[strspn(p, " ")] ? DMP_E_VIEW_ITEMS : e;
}

static int view_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  static const uint8_t NEEDED[] = { W_ITEMS, W_CREDENTIAL, W_PIN };
  const char *t[W_COLUMNS] = { NULL };
  struct showing w = { 0 };
  struct ids items = { 0 };
  struct patient *p;
  int64_t patient;
  int given, e = take_int(v[W_PATIENT], &patient, &given);
  if (e == DMP_OK && !given) e = DMP_E_MISSING;
  for (size_t i = 0; e == DMP_OK && i < sizeof NEEDED; i++) {
    e = take_text(v[NEEDED[i]], &t[NEEDED[i]]);
    if (e == DMP_OK && t[NEEDED[i]] == NULL) e = DMP_E_MISSING;
    if (e != DMP_OK) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "column %s", VIEW[NEEDED[i]].name);
  }
  if (e == DMP_OK && (sqlite3_value_type(v[W_ID]) != SQLITE_NULL || sqlite3_value_type(v[W_SINCE]) != SQLITE_NULL || sqlite3_value_type(v[W_ENDED]) != SQLITE_NULL))
    e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = take_until(v[W_UNTIL], &w.until);
  if (e == DMP_OK && w.until == 0) w.until = record_now() + DAY;
  if (e == DMP_OK && w.until > record_now() + LONGEST * DAY) e = DMP_E_VIEW_UNTIL;
  if (e == DMP_OK && patient != s->principal) e = DMP_E_PATIENT_ONLY;
  if (e == DMP_OK) e = take_items(t[W_ITEMS], &items);
  if (e == DMP_OK) e = holder_begin(s, patient, &p);
  w.items = &items;
  w.credential = t[W_CREDENTIAL];
  w.pin = t[W_PIN];
  w.pin_len = t[W_PIN] ? strlen(t[W_PIN]) : 0;
  if (e == DMP_OK) e = view_make(s, p, &w, rowid);
  ids_free(&items);
  return e;
}

static int view_erase(struct session *s, int64_t rowid) {
  struct patient *p;
  int e = holder_begin(s, s->principal, &p);
  return e == DMP_OK ? view_end(s, p, rowid) : e == DMP_E_NO_PATIENT ? DMP_E_NOT_FOUND : e;
}

const struct table TABLE_VIEW = { .name = "minimal_view", .col = VIEW, .columns = W_COLUMNS, .patient_col = W_PATIENT, .id_col = -1,
                                  .needs_login = 1, .make = view_rows, .insert = view_insert, .erase = view_erase };
