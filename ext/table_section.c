/* table_section.c: one table for each section of the record (prescription, reimbursement): all from the descriptions of section.h.
 * Owns: the columns that every section shares.  Never: what a section is (schema/sections.tsv), keys (object.h), rights (rights.h). */
#include "table.h"
#include "announce.h"
#include "follow.h"
#include "section.h"
#include <math.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { L_ID, L_PATIENT, L_EPISODE, L_DEPOSITOR, L_CONFIDENTIALITY, L_MASKED, L_HIDDEN, L_WARNING, L_OWN };
#define SHARED \
  { "id", "INTEGER", COL_PUSH }, { "patient", "INTEGER", COL_PUSH }, { "episode", "TEXT", COL_PUSH }, { "depositor", "INTEGER", COL_PUSH }, \
  { "confidentiality", "TEXT", 0 }, { "masked", "INTEGER", 0 }, { "hidden_from_representatives", "INTEGER", 0 }, { "warning", "TEXT", 0 },
#define OWN(name, decl) { name, decl, COL_PUSH },

/* ---- reading ---- */

struct making { struct session *s; struct patient *p; struct rows *out; const struct section *x; };

static int make_line(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[LINE_MAX];
  if (it->c.table != m->x->table || it->deleted || !section_values(m->x, it, v)) return DMP_OK;
  struct value *row = rows_add(m->out, it->id);
  if (row == NULL) return DMP_E_NOMEM;
  for (int i = 0; i < LINE_OWN + m->x->columns; i++) {
    struct value *to = i == LINE_EPISODE ? &row[L_EPISODE] : i == LINE_CONFIDENTIALITY ? &row[L_CONFIDENTIALITY] : &row[L_OWN + i - LINE_OWN];
    *to = v[i].type == VALUE_TEXT ? rows_bytes(m->out, VALUE_TEXT, v[i].u.p, v[i].n) : v[i];
    if (to->type != v[i].type) return DMP_E_NOMEM;
  }
  int masked = deposit_masked(m->p, it, rights_class_of(m->x->type_code));
  row[L_ID] = value_int(it->id);
  row[L_PATIENT] = value_int(m->p->id);
  row[L_DEPOSITOR] = value_int(id_from_field(it->c.depositor));
  row[L_MASKED] = value_int(masked);
  row[L_HIDDEN] = value_int(deposit_hidden(it));
  int withheld = follow_waits(m->s, m->p, it);
  row[L_WARNING] = value_text(deposit_warning(it, masked, withheld));
  object_seen(m->s, it->id, m->p->id);
  m->out->hidden += (size_t)deposit_hidden(it);
  m->out->withheld += (size_t)withheld;
  return DMP_OK;
}

static int lines_make(const struct section *x, struct session *s, struct patient *p, struct rows *out) {
  const uint16_t cls = rights_class_of(x->type_code);
  const struct scan w = { .first = cls, .last = cls, .own = 1 };
  struct making m = { s, p, out, x };
  return object_scan(s, p, &w, make_line, &m);
}

static int line_make(const struct section *x, struct session *s, struct patient *p, int64_t id, struct rows *out) {
  struct making m = { s, p, out, x };
  struct item it;
  int e = object_open(s, p, id, &it);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  e = make_line(&m, &it);
  item_close(&it);
  return e;
}

/* ---- depositing ---- */

struct line { int64_t patient; int masked, hidden; struct value v[LINE_MAX]; char times[LINE_MAX][32]; const char *bad; };

static int take_amount(sqlite3_value *v, struct value *out) {
  int type = sqlite3_value_numeric_type(v);
  if (type == SQLITE_NULL) return DMP_OK;
  if (type != SQLITE_INTEGER && type != SQLITE_FLOAT) return DMP_E_TYPE;
  *out = (struct value){ .type = VALUE_REAL, .u.r = sqlite3_value_double(v) };
  return isfinite(out->u.r) ? DMP_OK : DMP_E_TYPE;
}

static int take_own(const struct section_column *c, sqlite3_value *v, struct value *out, char time[32]) {
  const char *text = NULL;
  int64_t i = 0;
  int given = 0, e;
  *out = (struct value){ 0 };
  if (c->check == CHECK_AMOUNT) e = take_amount(v, out);
  else if (c->check == CHECK_COUNT) {
    e = take_int(v, &i, &given);
    if (e == DMP_OK && given) *out = value_int(i);
    if (i < 0) e = DMP_E_TYPE;
  } else {
    e = take_text(v, &text);
    if (e == DMP_OK && text) e = section_check_text(c, &text, time);
    *out = value_text(text);
  }
  return e == DMP_OK && c->required && out->type == VALUE_NULL ? DMP_E_MISSING : e;
}

static int line_take(const struct section *x, const struct column *col, struct line *l, sqlite3_value **v) {
  static const uint8_t DERIVED[] = { L_ID, L_DEPOSITOR, L_WARNING };
  const char *episode, *confidentiality;
  int given, at = L_PATIENT, e = take_int(v[L_PATIENT], &l->patient, &given);
  if (e == DMP_OK && !given) e = DMP_E_MISSING;
  for (size_t i = 0; e == DMP_OK && i < sizeof DERIVED; i++)
    if (sqlite3_value_type(v[at = DERIVED[i]]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = take_text(v[at = L_EPISODE], &episode);
  if (e == DMP_OK) e = take_text(v[at = L_CONFIDENTIALITY], &confidentiality);
  if (e == DMP_OK) e = deposit_confidentiality(&confidentiality);
  if (e == DMP_OK) e = take_flag(v[at = L_MASKED], &l->masked);
  if (e == DMP_OK) e = take_flag(v[at = L_HIDDEN], &l->hidden);
  for (int i = 0; e == DMP_OK && i < x->columns; i++) e = take_own(&x->col[i], v[at = L_OWN + i], &l->v[LINE_OWN + i], l->times[i]);
  if (e != DMP_OK) l->bad = col[at].name;
  if (e != DMP_OK) return e;
  l->v[LINE_EPISODE] = value_text(episode);
  l->v[LINE_CONFIDENTIALITY] = value_text(confidentiality);
  return DMP_OK;
}

static int line_insert(const struct section *x, const struct column *col, struct session *s, sqlite3_value **v, int64_t *rowid) {
  struct line l = { 0 };
  struct content c = { .table = x->table };
  struct patient *p;
  struct place where;
  struct buf row = { 0 };
  int e = line_take(x, col, &l, v);
  if (e != DMP_OK && l.bad) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "column %s", l.bad);
  if (e == DMP_OK) e = writer_begin(s, l.patient, &p);
  const struct deposit to = { .type_code = x->type_code, .episode = (const char *)l.v[LINE_EPISODE].u.p, .masked = l.masked, .hidden = l.hidden };
  if (e == DMP_OK) e = deposit_place(s, p, &to, &where, &c.flags);
  row_put(&row, l.v, (size_t)(LINE_OWN + x->columns));
  c.row = row.p;
  c.row_len = row.n;
  if (e == DMP_OK) e = row.bad ? DMP_E_NOMEM : deposit_put(s, p, &to, where, &c, NULL, rowid);
  buf_free(&row);
  bytes_wipe(&l, sizeof l);
  return e;
}

/* Shows a line to representatives: nothing else of it changes. */
static int line_update(int columns, struct session *s, int64_t rowid, sqlite3_value **v) {
  int hidden = -1;
  for (int i = 0; i < columns; i++)
    if (i != L_HIDDEN && !sqlite3_value_nochange(v[i])) return DMP_E_READ_ONLY;
  int e = sqlite3_value_nochange(v[L_HIDDEN]) ? DMP_OK : take_flag(v[L_HIDDEN], &hidden);
  return e == DMP_OK ? announce_update(s, rowid, hidden, -1) : e;
}

/* ---- one table for each section ---- */

#define SECTION_TABLE(x) \
  static const struct column COLUMNS_##x[] = { SHARED SECTION_COLUMNS_##x(OWN) }; \
  static int make_##x(struct session *s, struct patient *p, struct rows *out) { return lines_make(section_at(SECTION_##x), s, p, out); } \
  static int one_##x(struct session *s, struct patient *p, int64_t id, struct rows *out) { \
    return line_make(section_at(SECTION_##x), s, p, id, out); \
  } \
  static int insert_##x(struct session *s, sqlite3_value **v, int64_t *rowid) { \
    return line_insert(section_at(SECTION_##x), COLUMNS_##x, s, v, rowid); \
  } \
  static int update_##x(struct session *s, int64_t rowid, sqlite3_value **v) { \
    return line_update(sizeof COLUMNS_##x / sizeof *COLUMNS_##x, s, rowid, v); \
  } \
  const struct table TABLE_##x = { .name = #x, .col = COLUMNS_##x, .columns = sizeof COLUMNS_##x / sizeof *COLUMNS_##x, \
                                      .patient_col = L_PATIENT, .id_col = L_ID, .listing = 1, .needs_login = 1, .make = make_##x, \
                                      .make_one = one_##x, .insert = insert_##x, .update = update_##x, .erase = deposit_erase };
SECTIONS(SECTION_TABLE)
