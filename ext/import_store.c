/* import_store.c: from a parsed document to a row of the record, by the record's own tables and the rights of the
 * session.
 * Owns: the statements while they run.  Never: opens a transaction, decides who may read. */
#include "import_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "rights.h"
#include "suite.h"
#include "syntax.h"
SQLITE_EXTENSION_INIT3

enum { PIN_DIGITS = 12, DAY_CHARS = 10 };               /* 2026-03-12 */

/* The columns of a document that are bound as text, as far as known. */
struct metadata {
  const char *title, *type_code, *unique_id, *format_code, *language, *author_profession, *facility, *practice_setting;
  const char *replaces, *confidentiality, *view_mime, *service_start, *service_stop;
  char time[32], start[32], stop[32];
  char *type_with_system, *authors;                   /* owned, by sqlite3_malloc */
  const struct import_field *view;
  int masked, invisible, hidden;                      /* from professionals, to the patient, from representatives */
};

/* What SQL said becomes the reason. */
static int refuse_sql(sqlite3 *db, struct import_row *row) { return import_row_refuse_text(row, sqlite3_errmsg(db)); }

/* Prepares a statement on the schema's tables; NULL: the row is refused. */
static sqlite3_stmt *prepare(sqlite3 *db, struct import_row *row, const char *format, const char *schema) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf(format, schema);
  if (sql == NULL || sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) refuse_sql(db, row);
  sqlite3_free(sql);
  return st;
}

static void bind_text(sqlite3_stmt *st, int at, const char *s) { sqlite3_bind_text(st, at, s, -1, SQLITE_STATIC); }

static const char *column_text(sqlite3_stmt *st, int at) { return (const char *)sqlite3_column_text(st, at); }

/* ---- the patient ---- */

/* Compares one row of patient: *found, or a refusal that names the trait, never its value. */
static int compare(sqlite3_stmt *st, const struct import_identity *id, struct import_row *row) {
  const char *place = column_text(st, 5);
  const char *differs = import_identity_differs(id, column_text(st, 1), column_text(st, 2), column_text(st, 3),
                                                column_text(st, 4), place);
  if (differs != NULL) {
    char *text = sqlite3_mprintf("the INS is known but a trait differs (%s): settle the identity first", differs);
    import_row_refuse_text(row, text ? text : "out of memory");
    sqlite3_free(text);
    return 1;
  }
  if (row->patient) return import_row_refuse(row, IMPORT_E_AMBIGUOUS);
  if (place == NULL || id->birth_place == NULL) import_row_warn(row, "the birth place could not be compared");
  row->patient = sqlite3_column_int64(st, 0);
  return 0;
}

/* 1: the row's INS is of one of the document's domains (real, test): the same number elsewhere is somebody else. */
static int same_domain(const struct import_identity *id, const char *oid) {
  for (size_t i = 0; oid != NULL && i < id->oids; i++)
    if (strcmp(id->ins_oid[i], oid) == 0) return 1;
  return 0;
}

static int find_patient(sqlite3 *db, const char *schema, const struct import_identity *id, struct import_row *row) {
  int rc, refused = 0, elsewhere = 0;
  sqlite3_stmt *st = prepare(db, row, "SELECT id,birth_name,given_names,birth_date,sex,birth_place,ins_oid"
                                      " FROM \"%w\".patient WHERE ins=?1", schema);
  if (st == NULL) return 1;
  bind_text(st, 1, id->ins);
  while (!refused && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (same_domain(id, column_text(st, 6))) refused = compare(st, id, row);
    else elsewhere = 1;
  }
  if (!refused && rc != SQLITE_DONE) refused = refuse_sql(db, row);
  if (!refused && !row->patient && elsewhere) refused = import_row_refuse(row, IMPORT_E_DOMAIN);
  sqlite3_finalize(st);
  return refused;
}

static int random_bytes(uint8_t *p, size_t n) {
  ssize_t got;
  do got = getrandom(p, n, 0);
  while (got < 0 && errno == EINTR);
  return got == (ssize_t)n ? 0 : -1;
}

/* A file name that says nothing of the patient, and a PIN of digits of which each is as likely as the others. */
static int make_credential(const char *keys, struct import_row *row) {
  uint8_t name[8], draw;
  char hex[2 * sizeof name + 1], pin[PIN_DIGITS + 1] = "";
  if (random_bytes(name, sizeof name) != 0) return -1;
  for (int i = 0; i < PIN_DIGITS;) {
    if (random_bytes(&draw, 1) != 0) return -1;
    if (draw < 250) pin[i++] = (char)('0' + draw % 10);
  }
  bytes_to_hex(name, sizeof name, hex);
  row->credential = sqlite3_mprintf("%s/patient-%s.dmpkey", keys, hex);
  row->pin = sqlite3_mprintf("%s", pin);
  bytes_wipe(pin, sizeof pin);
  return row->credential && row->pin ? 0 : -1;
}

/* A doctor who brings in a patient is the treating doctor: id, or 0. */
static int treating_doctor(sqlite3 *db, const char *schema, int64_t *doctor, struct import_row *row) {
  *doctor = 0;
  sqlite3_stmt *st = prepare(db, row, "SELECT principal FROM \"%w\".session WHERE kind='professional'"
                                      " AND CAST(profession AS TEXT)='10'", schema);
  if (st == NULL) return 1;
  int rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) *doctor = sqlite3_column_int64(st, 0);
  int refused = rc != SQLITE_ROW && rc != SQLITE_DONE ? refuse_sql(db, row) : 0;
  sqlite3_finalize(st);
  return refused;
}

static int create_patient(sqlite3 *db, const struct import_options *o, const struct import_identity *id,
                          struct import_row *row) {
  int64_t doctor;
  if (treating_doctor(db, o->schema, &doctor, row)) return 1;
  if (make_credential(o->keys, row) != 0) return import_row_refuse_text(row, "no random numbers, or out of memory");
  sqlite3_stmt *st = prepare(db, row,
    "INSERT INTO \"%w\".patient(ins,ins_oid,birth_name,used_name,given_names,birth_date,"
    "sex,birth_place,treating_doctor,credential,pin) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)", o->schema);
  if (st == NULL) return 1;
  const char *text[] = { id->ins, id->ins_oid[0], id->birth_name, id->used_name, id->given_names, id->birth_date,
                         id->sex, id->birth_place };
  for (int i = 0; i < (int)(sizeof text / sizeof text[0]); i++) bind_text(st, i + 1, text[i]);
  if (doctor) sqlite3_bind_int64(st, 9, doctor);
  bind_text(st, 10, row->credential);
  bind_text(st, 11, row->pin);
  int refused = sqlite3_step(st) != SQLITE_DONE ? refuse_sql(db, row) : 0;
  if (!refused) row->patient = sqlite3_last_insert_rowid(db);
  sqlite3_finalize(st);
  return refused;
}

/* ---- the document ---- */

/* N, R or V, the strictest one; masked; hidden from the patient or from representatives under every spelling
 * seen (INVISIBLE_REP_LEGAUX, INVISIBLE_REPRENSANTS_LEGAUX, …); what is unknown is refused. */
static int take_confidentiality(const struct import_result *r, struct metadata *m, struct import_row *row) {
  int unknown = 0;
  for (size_t i = 0; i < r->n; i++) {
    const char *code = (const char *)r->field[i].p, *best = m->confidentiality;
    if (r->field[i].tag != PARSE_CONFIDENTIALITY) continue;
    if (!strcmp(code, "N") || !strcmp(code, "R") || !strcmp(code, "V"))
      m->confidentiality = best && best[0] > code[0] ? best : code;   /* N < R < V */
    else if (strcmp(code, "MASQUE_PS") == 0) m->masked = 1;
    else if (strcmp(code, "INVISIBLE_PATIENT") == 0) m->invisible = 1;
    else if (strncmp(code, "INVISIBLE_REP", 13) == 0) m->hidden = 1;
    else unknown = 1;
  }
  if (m->masked && m->invisible) return import_row_refuse(row, IMPORT_E_FORBIDDEN);
  if (unknown) return import_row_refuse(row, IMPORT_E_CONF);
  if (!m->masked && !m->invisible && !m->hidden && m->confidentiality == NULL) return import_row_refuse(row, IMPORT_E_NO_CONF);
  return 0;
}

/* All authors by name; people count before devices, and give the profession. */
static void take_authors(const struct import_result *r, struct metadata *m) {
  const char *best = NULL;
  char kind = 0;
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (size_t i = 0; i < r->n; i++) {
    const struct import_field *f = &r->field[i];
    const char *text = (const char *)f->p;
    if (f->tag == PARSE_AUTHOR) kind = text[0];
    else if (f->tag == PARSE_AUTHOR_NAME) sqlite3_str_appendf(s, "%s%s", sqlite3_str_length(s) ? "; " : "", text);
    else if (f->tag == PARSE_AUTHOR_CODE && kind == 'P' && m->author_profession == NULL) m->author_profession = text;
    else if (f->tag == PARSE_AUTHOR_CODE && best == NULL) best = text;
  }
  if (m->author_profession == NULL) m->author_profession = best;
  m->authors = sqlite3_str_finish(s);
}

/* A code of the nomenclature stands bare, another one with its system. */
static int take_type(const struct import_result *r, struct metadata *m, struct import_row *row) {
  const char *code = import_child_text(r, PARSE_TYPE_CODE), *system = import_child_text(r, PARSE_TYPE_SYSTEM);
  if (code == NULL) return import_row_refuse(row, IMPORT_E_NO_TYPE);
  m->type_code = code;
  const struct type_code *known = type_code_find(code);
  if (known == NULL || (system && strcmp(system, known->system) != 0))
    m->type_code = m->type_with_system = sqlite3_mprintf("%s^%s", code, system ? system : "inconnu");
  return m->type_code ? 0 : import_row_refuse_text(row, "out of memory");
}

static const char *take_time(const struct import_result *r, enum parse_tag tag, char out[32], struct import_row *row) {
  const char *s = import_child_text(r, tag);
  if (s == NULL) return NULL;
  if (syntax_hl7_time(s, out) && strlen(out) >= DAY_CHARS) return out;
  import_row_warn(row, "a date of the act is impossible or gives no day, and was left out");
  return NULL;
}

static int take_metadata(const struct import_result *r, struct metadata *m, struct import_row *row) {
  const char *time = import_child_text(r, PARSE_TIME), *version = import_child_text(r, PARSE_VERSION);
  m->unique_id = import_child_text(r, PARSE_UNIQUE_ID);
  m->title = import_child_text(r, PARSE_TITLE);
  m->format_code = import_child_text(r, PARSE_FORMAT_CODE);
  m->language = import_child_text(r, PARSE_LANGUAGE);
  m->facility = import_child_text(r, PARSE_FACILITY);
  m->practice_setting = import_child_text(r, PARSE_PRACTICE_SETTING);
  m->replaces = import_child_text(r, PARSE_REPLACES);
  m->view_mime = import_child_text(r, PARSE_VIEW_MIME);
  for (size_t i = 0; i < r->n; i++)
    if (r->field[i].tag == PARSE_VIEW) m->view = &r->field[i];
  if (m->title == NULL) m->title = import_child_text(r, PARSE_TYPE_CODE);
  row->unique_id = m->unique_id ? sqlite3_mprintf("%s", m->unique_id) : NULL;
  row->title = m->title ? sqlite3_mprintf("%s", m->title) : NULL;
  if (m->unique_id == NULL) return import_row_refuse(row, IMPORT_E_NO_ID);
  if (take_type(r, m, row) || take_confidentiality(r, m, row)) return 1;
  if (time == NULL || !syntax_hl7_time(time, m->time) || strlen(m->time) < DAY_CHARS)
    return import_row_refuse(row, IMPORT_E_NO_TIME);
  m->service_start = take_time(r, PARSE_SERVICE_START, m->start, row);
  m->service_stop = take_time(r, PARSE_SERVICE_STOP, m->stop, row);
  take_authors(r, m);
  if (m->replaces == NULL && version && strtol(version, NULL, 10) > 1 && import_child_text(r, PARSE_SET_ID))
    import_row_warn(row, "a later version that does not name the one it replaces: both stand");
  return 0;
}

/* Looks for a document of the patient by its identifier: 0 and *id (0: none, -1: another content), or the row is
 * refused. */
static int find_document(sqlite3 *db, const char *schema, const char *unique_id, const char *hash, int64_t *id,
                         struct import_row *row) {
  int rc;
  *id = 0;
  sqlite3_stmt *st = prepare(db, row, "SELECT id,hash FROM \"%w\".document WHERE patient=?1 AND unique_id=?2", schema);
  if (st == NULL) return 1;
  sqlite3_bind_int64(st, 1, row->patient);
  bind_text(st, 2, unique_id);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW && *id <= 0) {
    const char *other = column_text(st, 1);
    *id = hash == NULL || (other && strcmp(hash, other) == 0) ? sqlite3_column_int64(st, 0) : -1;
  }
  int refused = rc != SQLITE_DONE && rc != SQLITE_ROW ? refuse_sql(db, row) : 0;
  sqlite3_finalize(st);
  return refused;
}

static int insert_document(sqlite3 *db, const char *schema, const struct metadata *m, const struct buf *file,
                           struct import_row *row) {
  sqlite3_stmt *st = prepare(db, row,
    "INSERT INTO \"%w\".document(patient,content,view,masked,invisible_patient,hidden_from_representatives,title,type_code,unique_id,"
    "format_code,mime,language,creation_time,service_start,service_stop,author,author_profession,facility,"
    "practice_setting,replaces,confidentiality,view_mime)"
    " VALUES(?1,?2,?3,?4,?20,?21,?5,?6,?7,?8,'text/xml',?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)", schema);
  if (st == NULL) return 1;
  const char *text[] = { m->title, m->type_code, m->unique_id, m->format_code, m->language, m->time, m->service_start,
                         m->service_stop, m->authors, m->author_profession, m->facility, m->practice_setting,
                         m->replaces, m->confidentiality ? m->confidentiality : "N", m->view_mime };
  sqlite3_bind_int64(st, 1, row->patient);
  sqlite3_bind_blob64(st, 2, file->p, file->n, SQLITE_STATIC);
  if (m->view) sqlite3_bind_blob64(st, 3, m->view->p, m->view->n, SQLITE_STATIC);
  sqlite3_bind_int(st, 4, m->masked);
  sqlite3_bind_int(st, 20, m->invisible);
  sqlite3_bind_int(st, 21, m->hidden);
  for (int i = 0; i < (int)(sizeof text / sizeof text[0]); i++) bind_text(st, i + 5, text[i]);
  int refused = sqlite3_step(st) != SQLITE_DONE ? refuse_sql(db, row) : 0;
  if (!refused) row->document = sqlite3_last_insert_rowid(db);
  sqlite3_finalize(st);
  return refused;
}

static void hash_of(const struct buf *file, char hex[65]) {
  uint8_t digest[32];
  suite_sha256(file->p, file->n, digest);
  bytes_to_hex(digest, sizeof digest, hex);
}

static int deposit(sqlite3 *db, const struct import_options *o, const struct metadata *m, const struct buf *file,
                   struct import_row *row) {
  char hash[65];
  int64_t same, parent = 1;
  hash_of(file, hash);
  if (find_document(db, o->schema, m->unique_id, hash, &same, row)) return 1;
  if (same < 0) return import_row_refuse(row, IMPORT_E_DIFFERENT);
  row->state = same ? "present" : "deposited";
  row->document = same;
  if (same) return 0;
  if (m->replaces && find_document(db, o->schema, m->replaces, NULL, &parent, row)) return 1;
  if (!parent) import_row_warn(row, "it replaces a document that is not here for you");
  if (rights_class_of(m->type_code) == CLASS_UNLISTED)
    import_row_warn(row, "the type code is in no line of the rights matrix: only the patient and you can read it");
  return insert_document(db, o->schema, m, file, row);
}

int import_store_deposit(sqlite3 *db, const struct import_options *o, const struct import_result *r,
                         const struct buf *file, struct import_row *row) {
  struct import_identity id;
  struct metadata m = { 0 };
  int refused = take_metadata(r, &m, row) || import_identity_take(r, &id, row) || find_patient(db, o->schema, &id, row);
  if (!refused && !row->patient && !o->create_patients) refused = import_row_refuse(row, IMPORT_E_UNKNOWN);
  if (!refused && !row->patient) refused = create_patient(db, o, &id, row);
  if (!refused) refused = deposit(db, o, &m, file, row);
  sqlite3_free(m.type_with_system);
  sqlite3_free(m.authors);
  return refused;
}
