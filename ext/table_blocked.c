/* table_blocked.c: the table `blocked`: whom the patient has blocked.
 * Owns: its columns.  Never: keys (holder.h), the rows (blocked.h). */
#include "table.h"
#include "blocked.h"
SQLITE_EXTENSION_INIT3

enum { B_PATIENT, B_PROFESSIONAL, B_SINCE, B_COLUMNS };
static const struct column BLOCKED[] = {
  [B_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [B_PROFESSIONAL] = { "professional", "INTEGER", COL_PUSH }, [B_SINCE] = { "since", "TEXT", 0 },
};
struct making { struct session *s; struct patient *p; struct rows *out; };

static int make_blocked(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[BLOCKED_VALUES];
  if (!blocked_row(it, v)) return DMP_OK;
  int e = object_trusted(m->s, m->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;   /* forged: shown to nobody, named by dmp_verify */
  struct value *row = rows_add(m->out, it->id);
  if (row == NULL) return DMP_E_NOMEM;
  row[B_PATIENT] = value_int(m->p->id);
  row[B_PROFESSIONAL] = v[BLOCKED_WHO];
  row[B_SINCE] = rows_time(m->out, v[BLOCKED_SINCE].u.i);
  return DMP_OK;
}

static int blocked_make(struct session *s, struct patient *p, struct rows *out) {
  const struct scan w = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };
  struct making m = { s, p, out };
  return object_scan(s, p, &w, make_blocked, &m);
}

static int blocked_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t patient, who;
  int given, named, e = take_int(v[B_PATIENT], &patient, &given);
  struct patient *p;
  if (e == DMP_OK) e = take_int(v[B_PROFESSIONAL], &who, &named);
  if (e == DMP_OK && (!given || !named)) e = DMP_E_MISSING;
  if (e == DMP_OK && sqlite3_value_type(v[B_SINCE]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = holder_begin(s, patient, &p);
  return e == DMP_OK ? holder_block(s, p, who, rowid) : e;
}

/* Only the patient: who gives keys in his place must not undo what he refused. */
static int blocked_erase(struct session *s, int64_t rowid) {
  struct patient *p;
  struct item it;
  struct value v[BLOCKED_VALUES];
  int e = object_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  if (!blocked_row(&it, v)) e = DMP_E_NOT_FOUND;
  int64_t patient = p->id;
  item_close(&it);
  if (e == DMP_OK && patient != s->principal) e = DMP_E_PATIENT_ONLY;
  if (e == DMP_OK) e = holder_begin(s, patient, &p);
  return e == DMP_OK ? holder_unblock(s, p, rowid, v[BLOCKED_WHO].u.i) : e;
}

const struct table TABLE_BLOCKED = { .name = "blocked", .col = BLOCKED, .columns = B_COLUMNS, .patient_col = B_PATIENT, .id_col = -1,
                                     .needs_login = 1, .make = blocked_make, .insert = blocked_insert, .erase = blocked_erase };
