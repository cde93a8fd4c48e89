/* table_representative.c: the table `representative`: who reads in a patient's place, on what ground, until when.
 * Owns: its columns; the date on which a ground ends.  Never: keys (holder.h). */
#include "table.h"
#include "syntax.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { R_PATIENT, R_PRINCIPAL, R_GROUND, R_SINCE, R_UNTIL, R_COLUMNS };
static const struct column REPRESENTATIVE[] = {
  [R_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [R_PRINCIPAL] = { "principal", "INTEGER", COL_PUSH }, [R_GROUND] = { "ground", "TEXT", 0 },
  [R_SINCE] = { "since", "TEXT", 0 }, [R_UNTIL] = { "until", "TEXT", 0 },
};
struct making { struct session *s; struct patient *p; struct rows *out; };

static int row_values(const struct item *it, struct value v[REP_VALUES]) {
  size_t count, used;
  memset(v, 0, REP_VALUES * sizeof *v);
  int e = row_get(it->c.row, it->c.row_len, v, REP_VALUES, &count, &used);
  if (e == DMP_OK && (v[REP_PRINCIPAL].type != VALUE_INT || v[REP_GROUND].type != VALUE_TEXT || v[REP_SINCE].type != VALUE_INT ||
                      v[REP_UNTIL].type != VALUE_INT))
    e = DMP_E_ROW_FORMAT;
  return e;
}

static int make_representative(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[REP_VALUES];
  if (it->c.table != ITEM_REPRESENTATIVE) return DMP_OK;
  int e = object_trusted(m->s, m->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;   /* forged: shown to nobody, named by dmp_verify */
  e = row_values(it, v);
  struct value *row = e == DMP_OK ? rows_add(m->out, it->id) : NULL;
  if (row == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  row[R_PATIENT] = value_int(m->p->id);
  row[R_PRINCIPAL] = v[REP_PRINCIPAL];
  row[R_GROUND] = rows_bytes(m->out, VALUE_TEXT, v[REP_GROUND].u.p, v[REP_GROUND].n);
  row[R_SINCE] = rows_time(m->out, v[REP_SINCE].u.i);
  row[R_UNTIL] = rows_time(m->out, v[REP_UNTIL].u.i);
  return DMP_OK;
}

static int representative_make(struct session *s, struct patient *p, struct rows *out) {
  const struct scan w = { .first = CLASS_IDENTITY, .last = CLASS_IDENTITY };
  struct making m = { s, p, out };
  return object_scan(s, p, &w, make_representative, &m);
}

/* When the patient is of age; 0: no birth date tells. */
static int majority_of(struct session *s, struct patient *p, int64_t *ms) {
  char birth[16];
  int e = people_birth_date(s, p, birth);
  *ms = 0;
  if (e == DMP_OK) syntax_majority(birth, ms);
  return e;
}

/* The patient; for a minor the treating doctor too. */
static int naming_begin(struct session *s, int64_t patient, struct patient **p, int64_t *majority) {
  int e = holder_begin(s, patient, p);
  if (e == DMP_E_FULL_HOLDER) return DMP_E_NAMING;
  if (e == DMP_OK) e = majority_of(s, *p, majority);
  return e == DMP_OK && patient != s->principal && *majority <= record_now() ? DMP_E_NAMING : e;
}

static int representative_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t patient, principal, until, majority;
  const char *word;
  int given, named, e = take_int(v[R_PATIENT], &patient, &given);
  struct patient *p;
  if (e == DMP_OK) e = take_int(v[R_PRINCIPAL], &principal, &named);
  if (e == DMP_OK) e = take_text(v[R_GROUND], &word);
  if (e == DMP_OK && (!given || !named || !word)) e = DMP_E_MISSING;
  if (e == DMP_OK && sqlite3_value_type(v[R_SINCE]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  const struct ground *ground = e == DMP_OK ? ground_find(word) : NULL;
  if (e == DMP_OK && ground == NULL) e = session_column(s, "ground", DMP_E_CODE);
  if (e == DMP_OK) e = take_until(v[R_UNTIL], &until);
  if (e == DMP_OK) e = naming_begin(s, patient, &p, &majority);
  if (e == DMP_OK && ground->majority) {
    if (majority <= record_now()) e = DMP_E_MAJORITY;
    else if (until == 0 || until > majority) until = majority;
  }
  return e == DMP_OK ? holder_represent(s, p, principal, ground->code, until, rowid) : e;
}

static int representative_erase(struct session *s, int64_t rowid) {
  struct patient *p;
  struct item it;
  struct value v[REP_VALUES];
  int64_t majority;
  int e = object_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  if (it.c.table != ITEM_REPRESENTATIVE || row_values(&it, v) != DMP_OK) e = DMP_E_NOT_FOUND;
  int64_t patient = p->id, principal = e == DMP_OK ? v[REP_PRINCIPAL].u.i : 0;
  item_close(&it);
  if (e == DMP_OK) e = naming_begin(s, patient, &p, &majority);
  return e == DMP_OK ? holder_unrepresent(s, p, principal) : e;
}

const struct table TABLE_REPRESENTATIVE = { .name = "representative", .col = REPRESENTATIVE, .columns = R_COLUMNS, .patient_col = R_PATIENT,
                                            .id_col = -1, .needs_login = 1, .make = representative_make, .insert = representative_insert,
                                            .erase = representative_erase };
