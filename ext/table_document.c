/* table_document.c: the table `document`: what a document's row is and how one is deposited.
 * Owns: the columns and the order of a document's stored values.  Never: keys (object.h), rights (rights.h), masks (table_mask.c). */
#include "table.h"
#include "body.h"
#include "announce.h"
#include "document.h"
#include "follow.h"
#include "reader.h"
#include "sight.h"
#include "syntax.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* One description: each column, its declaration, and which stored value it shows. */
enum { D_ID, D_PATIENT, D_UNIQUE_ID, D_TITLE, D_TYPE_CODE, D_CLASS_CODE, D_FORMAT_CODE, D_MIME, D_LANGUAGE, D_CREATION_TIME,
       D_SERVICE_START, D_SERVICE_STOP, D_EPISODE, D_AUTHOR, D_AUTHOR_PROFESSION, D_DEPOSITOR, D_FACILITY, D_PRACTICE_SETTING,
       D_AVAILABILITY, D_REPLACES, D_CONFIDENTIALITY, D_MASKED, D_HIDDEN, D_INVISIBLE, D_WARNING, D_SIZE, D_HASH, D_VIEW_MIME, D_VIEW_OFFSET,
       D_VIEW_SIZE, D_CONTENT, D_VIEW, D_COLUMNS };
static const struct column DOCUMENT[] = {
  [D_ID] = { "id", "INTEGER", COL_PUSH },
  [D_PATIENT] = { "patient", "INTEGER", COL_PUSH },
  [D_UNIQUE_ID] = { "unique_id", "TEXT", COL_PUSH },
  [D_TITLE] = { "title", "TEXT", 0 },
  [D_TYPE_CODE] = { "type_code", "TEXT", COL_PUSH },
  [D_CLASS_CODE] = { "class_code", "TEXT", COL_PUSH },
  [D_FORMAT_CODE] = { "format_code", "TEXT", 0 },
  [D_MIME] = { "mime", "TEXT", 0 },
  [D_LANGUAGE] = { "language", "TEXT", 0 },
  [D_CREATION_TIME] = { "creation_time", "TEXT", COL_PUSH },
  [D_SERVICE_START] = { "service_start", "TEXT", COL_PUSH },
  [D_SERVICE_STOP] = { "service_stop", "TEXT", COL_PUSH },
  [D_EPISODE] = { "episode", "TEXT", COL_PUSH },
  [D_AUTHOR] = { "author", "TEXT", COL_PUSH },
  [D_AUTHOR_PROFESSION] = { "author_profession", "TEXT", COL_PUSH },
  [D_DEPOSITOR] = { "depositor", "INTEGER", COL_PUSH },
  [D_FACILITY] = { "facility", "TEXT", 0 },
  [D_PRACTICE_SETTING] = { "practice_setting", "TEXT", 0 },
  [D_AVAILABILITY] = { "availability", "TEXT", 0 },
  [D_REPLACES] = { "replaces", "TEXT", COL_PUSH },
  [D_CONFIDENTIALITY] = { "confidentiality", "TEXT", 0 },
  [D_MASKED] = { "masked", "INTEGER", 0 },
  [D_HIDDEN] = { "hidden_from_representatives", "INTEGER", 0 },
  [D_INVISIBLE] = { "invisible_patient", "INTEGER", 0 },   /* 1 until announced or a month old */
  [D_WARNING] = { "warning", "TEXT", 0 },
  [D_SIZE] = { "size", "INTEGER", 0 },
  [D_HASH] = { "hash", "TEXT", 0 },
  [D_VIEW_MIME] = { "view_mime", "TEXT", 0 },
  [D_VIEW_OFFSET] = { "view_offset", "INTEGER", 0 },
  [D_VIEW_SIZE] = { "view_size", "INTEGER", 0 },
  [D_CONTENT] = { "content", "BLOB", COL_LATE },
  [D_VIEW] = { "view", "BLOB", COL_HIDDEN },          /* INSERT only: a readable view that is no part of the original */
};
static const uint8_t COLUMN_OF[STORED] = {
  [S_UNIQUE_ID] = D_UNIQUE_ID, [S_TITLE] = D_TITLE, [S_TYPE_CODE] = D_TYPE_CODE, [S_CLASS_CODE] = D_CLASS_CODE,
  [S_FORMAT_CODE] = D_FORMAT_CODE, [S_MIME] = D_MIME, [S_LANGUAGE] = D_LANGUAGE, [S_CREATION_TIME] = D_CREATION_TIME,
  [S_SERVICE_START] = D_SERVICE_START, [S_SERVICE_STOP] = D_SERVICE_STOP, [S_EPISODE] = D_EPISODE, [S_AUTHOR] = D_AUTHOR,
  [S_AUTHOR_PROFESSION] = D_AUTHOR_PROFESSION, [S_FACILITY] = D_FACILITY, [S_PRACTICE_SETTING] = D_PRACTICE_SETTING,
  [S_REPLACES] = D_REPLACES, [S_CONFIDENTIALITY] = D_CONFIDENTIALITY, [S_SIZE] = D_SIZE, [S_HASH] = D_HASH,
  [S_VIEW_MIME] = D_VIEW_MIME, [S_VIEW_OFFSET] = D_VIEW_OFFSET, [S_VIEW_SIZE] = D_VIEW_SIZE,
};
static const struct scan DOCUMENTS = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .own = 1 };

/* ---- reading ---- */

struct making { struct session *s; struct patient *p; struct rows *out; size_t first; const struct reason *as; /* who sees it; NULL: this login */ };

static int make_document(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[STORED];
  if (it->c.table != ITEM_DOCUMENT || it->deleted || !document_sound_values(it, v)) return DMP_OK;
  struct value *row = rows_add(m->out, it->id);
  uint8_t *copy = arena_get(&m->out->arena, it->c.row_len + 1);
  if (row == NULL || copy == NULL) return DMP_E_NOMEM;
  memcpy(copy, it->c.row, it->c.row_len);
  for (int i = 0; i < STORED; i++) {
    row[COLUMN_OF[i]] = v[i];
    if (v[i].type == VALUE_TEXT || v[i].type == VALUE_BLOB) row[COLUMN_OF[i]].u.p = copy + (v[i].u.p - it->c.row);
  }
  int masked = m->as ? deposit_masked_for(it, m->as->held, m->as->whole) : deposit_masked(m->p, it, document_class_of(&v[S_TYPE_CODE]));
  row[D_ID] = value_int(it->id);
  row[D_PATIENT] = value_int(m->p->id);
  row[D_DEPOSITOR] = value_int(id_from_field(it->c.depositor));
  row[D_MASKED] = value_int(masked);
  row[D_HIDDEN] = value_int(deposit_hidden(it));
  int withheld = follow_withheld(m->s, m->p, it);
  row[D_INVISIBLE] = value_int(withheld);
  row[D_WARNING] = value_text(deposit_warning(it, masked, withheld));
  row[D_AVAILABILITY] = value_text("Approved");
  object_seen(m->s, it->id, m->p->id);
  m->out->hidden += (size_t)deposit_hidden(it);
  m->out->withheld += (size_t)withheld;
  return DMP_OK;
}

static int same_text(const struct value *a, const struct value *b) {
  return a->type == VALUE_TEXT && b->type == VALUE_TEXT && a->n == b->n && memcmp(a->u.p, b->u.p, a->n) == 0;
}

/* A replaced document shows as Deprecated to who can open its replacement: derived here, never stored. What it replaces is told to who sees
 * that, and to its depositor, who said so: the number of something masked is nobody else's. */
static void mark_replaced(struct rows *out, size_t first, int64_t reader) {
  for (size_t i = first; i < out->n; i++) {
    struct value *row = out->v + i * D_COLUMNS, *r = &row[D_REPLACES];
    int seen = row[D_DEPOSITOR].u.i == reader;
    if (r->type != VALUE_TEXT) continue;
    for (size_t j = first; j < out->n; j++) {
      if (j == i || !same_text(r, out->v + j * D_COLUMNS + D_UNIQUE_ID)) continue;
      out->v[j * D_COLUMNS + D_AVAILABILITY] = value_text("Deprecated");
      seen = 1;
    }
    if (!seen) *r = (struct value){ 0 };
  }
}

static int document_make(struct session *s, struct patient *p, struct rows *out) {
  struct making m = { s, p, out, out->n, NULL };
  int e = object_scan(s, p, &DOCUMENTS, make_document, &m);
  if (e == DMP_OK) mark_replaced(out, m.first, s->view ? 0 : s->principal);   /* a view does not tell what is not in it */
  return e;
}

static int document_late(struct session *s, int64_t rowid, int column, sqlite3_context *ctx) {
  struct buf b = { 0 };
  (void)column;
  int e = reader_read(s, rowid, 0, DMP_BODY_MAX, 1, &b);
  if (e == DMP_OK) sqlite3_result_blob64(ctx, b.n ? (const void *)b.p : "", b.n, SQLITE_TRANSIENT);
  buf_free(&b);
  return e;
}

/* ---- depositing ---- */

struct depositing {
  const char *text[STORED];                           /* given or defaulted; integers apart */
  int64_t patient;
  int masked, hidden, invisible;
  struct body_parts body;
  const char *bad;                                    /* the column that an error is about */
  char times[4][32], hash[65], unique[48];
};

static int take_blob(sqlite3_value *v, const uint8_t **p, size_t *n) {
  int type = sqlite3_value_type(v);
  *p = NULL;
  *n = 0;
  if (type == SQLITE_NULL) return DMP_OK;
  if (type != SQLITE_BLOB && type != SQLITE_TEXT) return DMP_E_TYPE;
  *p = sqlite3_value_blob(v);
  *n = (size_t)sqlite3_value_bytes(v);
  return DMP_OK;
}

static int about(struct depositing *d, int column, int e) {
  if (e != DMP_OK) d->bad = DOCUMENT[column].name;
  return e;
}

static int take_texts(struct depositing *d, sqlite3_value **v) {
  for (int i = 0; i < STORED; i++) {
    if (i == S_SIZE || i == S_HASH || i == S_VIEW_OFFSET || i == S_VIEW_SIZE) continue;
    int e = about(d, COLUMN_OF[i], take_text(v[COLUMN_OF[i]], &d->text[i]));
    if (e != DMP_OK) return e;
  }
  return DMP_OK;
}

/* What the record derives is not given: silently ignoring it would let an application believe in it. */
static int refuse_derived(struct depositing *d, sqlite3_value **v) {
  static const uint8_t DERIVED[] = { D_ID, D_DEPOSITOR, D_AVAILABILITY, D_WARNING, D_SIZE, D_HASH, D_VIEW_OFFSET, D_VIEW_SIZE };
  for (size_t i = 0; i < sizeof DERIVED; i++)
    if (sqlite3_value_type(v[DERIVED[i]]) != SQLITE_NULL) return about(d, DERIVED[i], DMP_E_READ_ONLY);
  return DMP_OK;
}

static int check_times(struct depositing *d) {
  static const uint8_t TIMES[] = { S_CREATION_TIME, S_SERVICE_START, S_SERVICE_STOP };
  for (size_t i = 0; i < sizeof TIMES; i++) {
    if (d->text[TIMES[i]] == NULL) continue;
    if (!syntax_time(d->text[TIMES[i]], d->times[i])) return about(d, COLUMN_OF[TIMES[i]], DMP_E_DATE);
    d->text[TIMES[i]] = d->times[i];
  }
  if (d->text[S_CREATION_TIME] == NULL) {
    syntax_time_ms(record_now(), d->times[3]);
    d->text[S_CREATION_TIME] = d->times[3];
  }
  return DMP_OK;
}

static int check_codes(struct depositing *d) {
  const struct type_code *type = type_code_find(d->text[S_TYPE_CODE]);
  /* a code of another nomenclature names its system (code^system): a mistyped one would hide the document from everybody */
  if (type == NULL && strchr(d->text[S_TYPE_CODE], '^') == NULL) return about(d, D_TYPE_CODE, DMP_E_CODE);
  if (d->text[S_CLASS_CODE] == NULL) d->text[S_CLASS_CODE] = type ? type->class_code : "90";
  else if (class_code_display(d->text[S_CLASS_CODE]) == NULL) return about(d, D_CLASS_CODE, DMP_E_CODE);
  if (deposit_confidentiality(&d->text[S_CONFIDENTIALITY]) != DMP_OK) return about(d, D_CONFIDENTIALITY, DMP_E_CODE);
  if (d->text[S_MIME] == NULL) d->text[S_MIME] = "application/octet-stream";
  if (d->text[S_LANGUAGE] == NULL) d->text[S_LANGUAGE] = "fr-FR";
  /* without a view of its own the original is the view */
  if (d->body.b == NULL) d->text[S_VIEW_MIME] = d->text[S_MIME];
  else if (d->text[S_VIEW_MIME] == NULL) return about(d, D_VIEW_MIME, DMP_E_MISSING);
  return DMP_OK;
}

static int depositing_take(struct depositing *d, sqlite3_value **v) {
  int given, e = about(d, D_PATIENT, take_int(v[D_PATIENT], &d->patient, &given));
  if (e == DMP_OK && !given) e = about(d, D_PATIENT, DMP_E_MISSING);
  if (e == DMP_OK) e = refuse_derived(d, v);
  if (e == DMP_OK) e = take_texts(d, v);
  if (e == DMP_OK) e = about(d, D_MASKED, take_flag(v[D_MASKED], &d->masked));
  if (e == DMP_OK) e = about(d, D_HIDDEN, take_flag(v[D_HIDDEN], &d->hidden));
  if (e == DMP_OK) e = about(d, D_INVISIBLE, take_flag(v[D_INVISIBLE], &d->invisible));
  if (e == DMP_OK && d->masked && d->invisible) e = DMP_E_INVISIBLE_MASKED;
  if (e == DMP_OK) e = about(d, D_CONTENT, take_blob(v[D_CONTENT], &d->body.a, &d->body.a_len));
  if (e == DMP_OK) e = about(d, D_VIEW, take_blob(v[D_VIEW], &d->body.b, &d->body.b_len));
  if (e == DMP_OK && sqlite3_value_type(v[D_CONTENT]) == SQLITE_NULL) e = about(d, D_CONTENT, DMP_E_MISSING);
  if (e == DMP_OK && d->text[S_TYPE_CODE] == NULL) e = about(d, D_TYPE_CODE, DMP_E_MISSING);
  if (e == DMP_OK && (uint64_t)d->body.a_len + d->body.b_len > (uint64_t)DMP_BODY_MAX) e = about(d, D_CONTENT, DMP_E_TOO_BIG);
  if (e == DMP_OK) e = check_times(d);
  return e == DMP_OK ? check_codes(d) : e;
}

static void depositing_row(const struct depositing *d, struct buf *row) {
  struct value v[STORED];
  for (int i = 0; i < STORED; i++) v[i] = value_text(d->text[i]);
  v[S_SIZE] = value_int((int64_t)d->body.a_len);
  v[S_HASH] = value_text(d->hash);
  v[S_VIEW_OFFSET] = value_int(d->body.b ? (int64_t)d->body.a_len : 0);
  v[S_VIEW_SIZE] = value_int((int64_t)(d->body.b ? d->body.b_len : d->body.a_len));
  row_put(row, v, STORED);
}

static int find_unique(void *ctx, struct item *it) {
  const char *want = ctx;
  struct value v[STORED], w = value_text(want);
  if (it->c.table != ITEM_DOCUMENT || it->deleted || document_values(it, v) != DMP_OK) return DMP_OK;
  return same_text(&v[S_UNIQUE_ID], &w) ? DMP_E_DUPLICATE : DMP_OK;
}

static int depositing_write(struct session *s, struct patient *p, struct depositing *d, int64_t *id) {
  const struct deposit to = { .type_code = d->text[S_TYPE_CODE], .episode = d->text[S_EPISODE], .replaces = d->text[S_REPLACES], .masked = d->masked, .hidden = d->hidden,
                              .invisible = d->invisible };
  struct content c = { .table = ITEM_DOCUMENT };
  struct place where;
  struct buf row = { 0 };
  uint8_t body_key[32], sha[32];
  int e = deposit_place(s, p, &to, &where, &c.flags);
  if (e == DMP_OK) e = object_new_id(s, id);
  if (e == DMP_OK && d->text[S_UNIQUE_ID] == NULL) {
    sqlite3_snprintf(sizeof d->unique, d->unique, "2.25.%lld", *id);
    d->text[S_UNIQUE_ID] = d->unique;
  }
  suite_sha256(d->body.a ? d->body.a : (const uint8_t *)"", d->body.a_len, sha);
  bytes_to_hex(sha, 32, d->hash);
  depositing_row(d, &row);
  if (e == DMP_OK && row.bad) e = DMP_E_NOMEM;
  c.row = row.p;
  c.row_len = row.n;
  if (e == DMP_OK) e = body_write(s, *id, &d->body, body_key, &c);
  if (e == DMP_OK) e = deposit_put(s, p, &to, where, &c, body_key, id);
  bytes_wipe(body_key, sizeof body_key);
  buf_free(&row);
  return e;
}

static int document_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  struct depositing d = { 0 };
  struct patient *p;
  int e = depositing_take(&d, v);
  if (e != DMP_OK && d.bad) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "column %s", d.bad);
  if (e == DMP_OK) e = writer_begin(s, d.patient, &p);
  if (e == DMP_OK && d.text[S_UNIQUE_ID]) e = object_scan(s, p, &DOCUMENTS, find_unique, (void *)d.text[S_UNIQUE_ID]);
  return e == DMP_OK ? depositing_write(s, p, &d, rowid) : e;
}

/* Announces, or shows to representatives: nothing else of a document changes. */
static int document_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  int hidden = -1, invisible = -1, e = DMP_OK;
  for (int i = 0; i < D_COLUMNS; i++)
    if (i != D_HIDDEN && i != D_INVISIBLE && !sqlite3_value_nochange(v[i])) return DMP_E_READ_ONLY;
  if (!sqlite3_value_nochange(v[D_HIDDEN])) e = take_flag(v[D_HIDDEN], &hidden);
  if (e == DMP_OK && !sqlite3_value_nochange(v[D_INVISIBLE])) e = take_flag(v[D_INVISIBLE], &invisible);
  return e == DMP_OK ? announce_update(s, rowid, hidden, invisible) : e;
}

const struct table TABLE_DOCUMENT = { .name = "document", .col = DOCUMENT, .columns = D_COLUMNS, .patient_col = D_PATIENT, .id_col = D_ID,
                                      .listing = 1, .needs_login = 1, .make = document_make, .insert = document_insert,
                                      .update = document_update, .erase = deposit_erase, .late = document_late };

/* ---- document_as(principal): what somebody else sees ---- */

enum { AS_ID, AS_PATIENT, AS_UNIQUE_ID, AS_TITLE, AS_TYPE_CODE, AS_CLASS_CODE, AS_CREATION_TIME, AS_EPISODE, AS_AUTHOR, AS_DEPOSITOR, AS_AVAILABILITY,
       AS_MASKED, AS_HIDDEN, AS_INVISIBLE, AS_WARNING, AS_SIZE, AS_WHY, AS_PRINCIPAL, AS_COLUMNS };
static const struct column DOCUMENT_AS[] = {
  [AS_ID] = { "id", "INTEGER", COL_PUSH }, [AS_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [AS_UNIQUE_ID] = { "unique_id", "TEXT", COL_PUSH },
  [AS_TITLE] = { "title", "TEXT", 0 }, [AS_TYPE_CODE] = { "type_code", "TEXT", COL_PUSH }, [AS_CLASS_CODE] = { "class_code", "TEXT", COL_PUSH },
  [AS_CREATION_TIME] = { "creation_time", "TEXT", COL_PUSH }, [AS_EPISODE] = { "episode", "TEXT", COL_PUSH }, [AS_AUTHOR] = { "author", "TEXT", 0 },
  [AS_DEPOSITOR] = { "depositor", "INTEGER", COL_PUSH }, [AS_AVAILABILITY] = { "availability", "TEXT", 0 }, [AS_MASKED] = { "masked", "INTEGER", 0 },
  [AS_HIDDEN] = { "hidden_from_representatives", "INTEGER", 0 }, [AS_INVISIBLE] = { "invisible_patient", "INTEGER", 0 },
  [AS_WARNING] = { "warning", "TEXT", 0 }, [AS_SIZE] = { "size", "INTEGER", 0 }, [AS_WHY] = { "why", "TEXT", 0 },
  [AS_PRINCIPAL] = { "principal", "INTEGER", COL_HIDDEN | COL_PUSH },
};
static const uint8_t SHOWN_AS[AS_WHY] = {
  [AS_ID] = D_ID, [AS_PATIENT] = D_PATIENT, [AS_UNIQUE_ID] = D_UNIQUE_ID, [AS_TITLE] = D_TITLE, [AS_TYPE_CODE] = D_TYPE_CODE,
  [AS_CLASS_CODE] = D_CLASS_CODE, [AS_CREATION_TIME] = D_CREATION_TIME, [AS_EPISODE] = D_EPISODE, [AS_AUTHOR] = D_AUTHOR, [AS_DEPOSITOR] = D_DEPOSITOR,
  [AS_AVAILABILITY] = D_AVAILABILITY, [AS_MASKED] = D_MASKED, [AS_HIDDEN] = D_HIDDEN, [AS_INVISIBLE] = D_INVISIBLE, [AS_WARNING] = D_WARNING,
  [AS_SIZE] = D_SIZE,
};

/* seen: the documents as `document` shows them to him; why: his reasons, one for each. */
struct seeing { struct sight v; struct rows seen; int64_t principal; struct rows *out; struct value *why; };

/* A key before the own deposit: it shows where the document lies. */
static int best_reason(void *ctx, const struct reason *r) {
  struct reason *best = ctx;
  if (best->principal == 0 || (r->by_key && !best->by_key)) *best = *r;
  return DMP_OK;
}

static int make_seen(void *ctx, struct item *it) {
  struct seeing *a = ctx;
  struct reason r = { 0 };
  struct making m = { a->v.s, a->v.p, &a->seen, 0, &r };
  struct item own = *it;
  size_t before = a->seen.n;
  int e = it->c.table == ITEM_DOCUMENT && !it->deleted ? sight_each(&a->v, it, a->principal, best_reason, &r) : DMP_OK;
  if (e != DMP_OK || r.principal == 0) return e;
  own.via = VIA_OWN;                                  /* as it looks to who opens it by his own key alone */
  e = make_document(&m, r.by_key ? it : &own);
  if (e != DMP_OK || a->seen.n == before) return e;
  struct value *why = realloc(a->why, a->seen.n * sizeof *why);
  if (why == NULL) return DMP_E_NOMEM;
  a->why = why;
  why[before] = rows_text(&a->seen, r.why);
  return DMP_OK;
}

static int put_seen(struct seeing *a) {
  a->out->hidden += a->seen.hidden;
  for (size_t i = 0; i < a->seen.n; i++) {
    struct value *row = rows_add(a->out, a->seen.rowid[i]);
    if (row == NULL) return DMP_E_NOMEM;
    for (int c = 0; c < AS_WHY; c++) row[c] = a->seen.v[i * D_COLUMNS + SHOWN_AS[c]];
    row[AS_WHY] = a->why[i];
    row[AS_PRINCIPAL] = value_int(a->principal);
  }
  return DMP_OK;
}

/* Somebody of the directory, or a patient of this login's. */
static int is_known(struct session *s, int64_t principal) {
  struct patient *p;
  uint8_t field[16];
  id_field(field, principal);
  return session_who(s, field) != NULL || patient_get(s, principal, &p) == DMP_OK;
}

static int document_as_make(struct session *s, struct patient *p, struct rows *out) {
  const struct scan documents = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX };
  struct seeing a = { .seen = { .columns = D_COLUMNS, .arena = out->arena }, .principal = out->asked, .out = out };
  int e = sight_begin(s, p, &a.v);
  if (e == DMP_OK && a.v.full && a.principal && !is_known(s, a.principal)) e = DMP_E_NO_PRINCIPAL;
  if (e == DMP_OK && a.v.full && a.principal) e = object_scan(s, p, &documents, make_seen, &a);
  if (e == DMP_OK) mark_replaced(&a.seen, 0, a.principal);
  out->arena = a.seen.arena;                          /* the values lie there */
  if (e == DMP_OK) e = put_seen(&a);
  sight_end(&a.v);
  free(a.seen.v);
  free(a.seen.rowid);
  free(a.why);
  return e;
}

const struct table TABLE_DOCUMENT_AS = { .name = "document_as", .col = DOCUMENT_AS, .columns = AS_COLUMNS, .patient_col = AS_PATIENT, .id_col = AS_ID,
                                         .asked_col = AS_PRINCIPAL, .listing = 1, .needs_login = 1, .make = document_as_make };
