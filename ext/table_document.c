/* table_document.c: the tables `document` and `mask`: what a document's row is, how one is deposited, masked, deleted.
 * Owns: the columns and the order of a document's stored values.  Never: keys (object.h), rights (rights.h). */
#include "table.h"
#include "body.h"
#include "document.h"
#include "reader.h"
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
static const char WARN_MASKED[] = "Attention, ce document est masqué aux professionnels de santé";
static const char WARN_PATIENT[] = "Attention, ce document n'est pas visible du patient";
static const char WARN_REPRESENTATIVES[] = "Attention, ce document n'est pas visible des représentants légaux";
static const char WARN_BOTH[] = "Attention, ce document n'est pas visible des représentants légaux et est masqué aux professionnels de santé";
static const struct scan DOCUMENTS = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .own = 1 };

/* ---- reading ---- */

/* Masked is where the item lies. A depositor who can't open it there knows it when he holds the class's P and it is not in it. */
static int item_masked(struct patient *p, const struct item *it, uint16_t cls) {
  if (it->via != VIA_OWN) return it->leaf >= 2;
  if (it->c.flags & ITEM_MASKED) return 1;
  return !(it->c.flags & ITEM_DIVERTED) && patient_leaf(p, cls, it->c.flags & (ITEM_HIDDEN | ITEM_INVISIBLE) ? 1 : 0)->held;
}

static int item_hidden_meant(const struct item *it) {
  return it->c.flags & ITEM_HIDDEN || (it->c.flags & ITEM_INVISIBLE && !it->announced);
}

/* Hidden from representatives is where the item lies; a depositor who can't open it there knows what he meant. */
static int item_hidden(const struct item *it) {
  return it->via != VIA_OWN ? it->leaf & 1 : item_hidden_meant(it);
}

static const char *item_warning(int masked, int hidden, int invisible) {
  if (invisible) return WARN_PATIENT;
  return masked && hidden ? WARN_BOTH : masked ? WARN_MASKED : hidden ? WARN_REPRESENTATIVES : NULL;
}

struct making { struct session *s; struct patient *p; struct rows *out; size_t first; };

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
  int masked = item_masked(m->p, it, document_class_of(&v[S_TYPE_CODE]));
  row[D_ID] = value_int(it->id);
  row[D_PATIENT] = value_int(m->p->id);
  row[D_DEPOSITOR] = value_int(id_from_field(it->c.depositor));
  row[D_MASKED] = value_int(masked);
  row[D_HIDDEN] = value_int(item_hidden(it));
  row[D_INVISIBLE] = value_int(object_unannounced(it));
  row[D_WARNING] = value_text(item_warning(masked, item_hidden(it), object_unannounced(it)));
  row[D_AVAILABILITY] = value_text("Approved");
  object_seen(m->s, it->id, m->p->id);
  return DMP_OK;
}

static int same_text(const struct value *a, const struct value *b) {
  return a->type == VALUE_TEXT && b->type == VALUE_TEXT && a->n == b->n && memcmp(a->u.p, b->u.p, a->n) == 0;
}

/* A replaced document shows as Deprecated to who can open its replacement: derived here, never stored. */
static void mark_replaced(struct rows *out, size_t first) {
  for (size_t i = first; i < out->n; i++) {
    struct value *r = out->v + i * D_COLUMNS + D_REPLACES;
    if (r->type != VALUE_TEXT) continue;
    for (size_t j = first; j < out->n; j++)
      if (j != i && same_text(r, out->v + j * D_COLUMNS + D_UNIQUE_ID)) out->v[j * D_COLUMNS + D_AVAILABILITY] = value_text("Deprecated");
  }
}

static int document_make(struct session *s, struct patient *p, struct rows *out) {
  struct making m = { s, p, out, out->n };
  int e = object_scan(s, p, &DOCUMENTS, make_document, &m);
  if (e == DMP_OK) mark_replaced(out, m.first);
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

struct deposit {
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

static int about(struct deposit *d, int column, int e) {
  if (e != DMP_OK) d->bad = DOCUMENT[column].name;
  return e;
}

static int take_texts(struct deposit *d, sqlite3_value **v) {
  for (int i = 0; i < STORED; i++) {
    if (i == S_SIZE || i == S_HASH || i == S_VIEW_OFFSET || i == S_VIEW_SIZE) continue;
    int e = about(d, COLUMN_OF[i], take_text(v[COLUMN_OF[i]], &d->text[i]));
    if (e != DMP_OK) return e;
  }
  return DMP_OK;
}

/* What the record derives is not given: silently ignoring it would let an application believe in it. */
static int refuse_derived(struct deposit *d, sqlite3_value **v) {
  static const uint8_t DERIVED[] = { D_ID, D_DEPOSITOR, D_AVAILABILITY, D_WARNING, D_SIZE, D_HASH, D_VIEW_OFFSET, D_VIEW_SIZE };
  for (size_t i = 0; i < sizeof DERIVED; i++)
    if (sqlite3_value_type(v[DERIVED[i]]) != SQLITE_NULL) return about(d, DERIVED[i], DMP_E_READ_ONLY);
  return DMP_OK;
}

static int check_times(struct deposit *d) {
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

static int check_codes(struct deposit *d) {
  const struct type_code *type = type_code_find(d->text[S_TYPE_CODE]);
  /* a code of another nomenclature names its system (code^system): a mistyped one would hide the document from everybody */
  if (type == NULL && strchr(d->text[S_TYPE_CODE], '^') == NULL) return about(d, D_TYPE_CODE, DMP_E_CODE);
  if (d->text[S_CLASS_CODE] == NULL) d->text[S_CLASS_CODE] = type ? type->class_code : "90";
  else if (class_code_display(d->text[S_CLASS_CODE]) == NULL) return about(d, D_CLASS_CODE, DMP_E_CODE);
  const char *c = d->text[S_CONFIDENTIALITY];
  if (c == NULL) d->text[S_CONFIDENTIALITY] = "N";
  else if (strcmp(c, "N") != 0 && strcmp(c, "R") != 0 && strcmp(c, "V") != 0) return about(d, D_CONFIDENTIALITY, DMP_E_CODE);
  if (d->text[S_MIME] == NULL) d->text[S_MIME] = "application/octet-stream";
  if (d->text[S_LANGUAGE] == NULL) d->text[S_LANGUAGE] = "fr-FR";
  /* without a view of its own the original is the view */
  if (d->body.b == NULL) d->text[S_VIEW_MIME] = d->text[S_MIME];
  else if (d->text[S_VIEW_MIME] == NULL) return about(d, D_VIEW_MIME, DMP_E_MISSING);
  return DMP_OK;
}

static int deposit_take(struct deposit *d, sqlite3_value **v) {
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

static void deposit_row(const struct deposit *d, struct buf *row) {
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

/* Where it goes: masked or not, hidden from representatives or not; in a class that is due, where nobody who has left can open it,
 * until the keys have turned. */
static int deposit_place(struct session *s, struct patient *p, const struct deposit *d, struct place *where, uint8_t *flags) {
  struct keyset *k;
  int e = patient_keyset(s, p, &k);
  int hidden = d->hidden || d->invisible;
  *where = (struct place){ rights_class_of(d->text[S_TYPE_CODE]), (d->masked ? 2 : 0) | hidden, 0 };
  *flags = (uint8_t)((d->masked ? ITEM_MASKED : 0) | (d->hidden ? ITEM_HIDDEN : 0) | (d->invisible ? ITEM_INVISIBLE : 0));
  const struct keyset_class *c = e == DMP_OK ? keyset_class(k, where->cls) : NULL;
  if (e == DMP_OK && c == NULL) e = DMP_E_KEYSET_BAD;
  /* P due: somebody left who held it; M due: a representative left, who held its half */
  int to = e != DMP_OK ? 0 : c->due & KEY_M ? 3 : c->due & KEY_P ? where->leaf | 2 : where->leaf;
  if (e == DMP_OK && to != where->leaf) {
    where->leaf = to;
    where->sealed = 1;
    *flags |= ITEM_DIVERTED;
  }
  return e;
}

static int deposit_write(struct session *s, struct patient *p, struct deposit *d, int64_t *id) {
  const struct signer me = { s->cred, s->me.hash };
  struct content c = { .table = ITEM_DOCUMENT };
  struct place where;
  struct buf row = { 0 };
  uint8_t body_key[32], sha[32];
  int e = deposit_place(s, p, d, &where, &c.flags);
  if (e == DMP_OK) e = object_new_id(s, id);
  if (e == DMP_OK && d->text[S_UNIQUE_ID] == NULL) {
    sqlite3_snprintf(sizeof d->unique, d->unique, "2.25.%lld", *id);
    d->text[S_UNIQUE_ID] = d->unique;
  }
  suite_sha256(d->body.a ? d->body.a : (const uint8_t *)"", d->body.a_len, sha);
  bytes_to_hex(sha, 32, d->hash);
  deposit_row(d, &row);
  if (e == DMP_OK && row.bad) e = DMP_E_NOMEM;
  c.row = row.p;
  c.row_len = row.n;
  if (e == DMP_OK) e = body_write(s, *id, &d->body, body_key, &c);
  if (e == DMP_OK) e = object_insert(s, p, &me, where, &c, body_key, id);
  if (e == DMP_OK) e = access_pend(s, p, LOG_DEPOSIT, p->id, *id, NULL);
  bytes_wipe(body_key, sizeof body_key);
  buf_free(&row);
  return e;
}

static int document_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  struct deposit d = { 0 };
  struct patient *p;
  int e = deposit_take(&d, v);
  if (e != DMP_OK && d.bad) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "column %s", d.bad);
  if (e == DMP_OK && ((d.invisible && d.patient == s->principal) || ((d.invisible || d.hidden) && s->me.kind == KIND_REPRESENTATIVE)))
    e = DMP_E_HIDE_SELF;
  if (e == DMP_OK) e = writer_begin(s, d.patient, &p);
  if (e == DMP_OK && d.text[S_UNIQUE_ID]) e = object_scan(s, p, &DOCUMENTS, find_unique, (void *)d.text[S_UNIQUE_ID]);
  return e == DMP_OK ? deposit_write(s, p, &d, rowid) : e;
}

/* Opens a document for a change: unknown, hidden and deleted look the same. */
static int document_find(struct session *s, int64_t id, struct patient **p, struct item *it) {
  int e = object_find(s, id, p, it);
  if (e == DMP_OK && (it->c.table != ITEM_DOCUMENT || it->deleted)) {
    item_close(it);
    e = DMP_E_NOT_FOUND;
  }
  return e;
}

static int document_erase(struct session *s, int64_t rowid) {
  struct patient *p;
  struct item it;
  int e = document_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  if (memcmp(it.c.depositor, s->cred->principal, 16) != 0) e = DMP_E_DEPOSITOR;
  if (e == DMP_OK) e = object_amend(s, p, &it, AMEND_DELETE);
  if (e == DMP_OK) e = access_pend(s, p, LOG_DELETE, p->id, rowid, NULL);
  item_close(&it);
  return e;
}

/* The depositor tells the patient; where he holds the class the document goes where representatives see it, unless it is hidden
 * from them for itself. */
static int document_announce(struct session *s, struct patient *p, struct item *it) {
  int64_t id = it->id;
  if (!object_unannounced(it)) return DMP_OK;
  if (memcmp(it->c.depositor, s->cred->principal, 16) != 0) return DMP_E_ANNOUNCER;
  int e = object_amend(s, p, it, AMEND_ANNOUNCE);
  item_close(it);
  if (e == DMP_OK) e = object_open(s, p, id, it);
  if (e == DMP_OK && !(it->c.flags & ITEM_HIDDEN) && it->via == VIA_LEAF && it->leaf & 1 && patient_leaf(p, it->cls, it->leaf - 1)->held)
    e = object_move(s, p, it, (struct place){ it->cls, it->leaf - 1, 0 });
  return e == DMP_OK ? access_pend(s, p, LOG_ANNOUNCE, p->id, id, NULL) : e;
}

/* Shown to representatives, for good: by the patient, the treating doctor or the depositor, each where he holds the class. */
static int document_reveal(struct session *s, struct patient *p, struct item *it) {
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !item_hidden(it)) return e;
  if (object_unannounced(it)) return DMP_E_UNANNOUNCED;
  if (!full && memcmp(it->c.depositor, s->cred->principal, 16) != 0) return DMP_E_NOT_ALLOWED;
  if (it->via != VIA_LEAF || !patient_leaf(p, it->cls, it->leaf - 1)->held) return DMP_E_NOT_ALLOWED;
  e = object_move(s, p, it, (struct place){ it->cls, it->leaf - 1, 0 });
  return e == DMP_OK ? access_pend(s, p, LOG_REVEAL, p->id, it->id, NULL) : e;
}

static int document_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  struct patient *p;
  struct item it;
  int hidden = 0, invisible = 0, e = DMP_OK;
  int asks_hidden = !sqlite3_value_nochange(v[D_HIDDEN]), asks_invisible = !sqlite3_value_nochange(v[D_INVISIBLE]);
  for (int i = 0; i < D_COLUMNS; i++)
    if (i != D_HIDDEN && i != D_INVISIBLE && !sqlite3_value_nochange(v[i])) return DMP_E_READ_ONLY;
  if (asks_hidden) e = take_flag(v[D_HIDDEN], &hidden);
  if (e == DMP_OK && asks_invisible) e = take_flag(v[D_INVISIBLE], &invisible);
  if (e == DMP_OK) e = document_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  int64_t patient = p->id;
  int taken_back = (hidden && !item_hidden(&it)) || (invisible && !object_unannounced(&it));
  item_close(&it);
  if (taken_back) return DMP_E_NO_HIDING;
  e = writer_begin(s, patient, &p);                   /* adopts: the document is opened again where it lies now */
  if (e == DMP_OK) e = object_open(s, p, rowid, &it);
  if (e != DMP_OK) return e;
  if (asks_invisible && !invisible) e = document_announce(s, p, &it);
  if (e == DMP_OK && asks_hidden && !hidden) e = document_reveal(s, p, &it);
  item_close(&it);
  return e;
}

const struct table TABLE_DOCUMENT = { .name = "document", .col = DOCUMENT, .columns = D_COLUMNS, .patient_col = D_PATIENT, .id_col = D_ID,
                                      .listing = 1, .needs_login = 1, .make = document_make, .insert = document_insert,
                                      .update = document_update, .erase = document_erase, .late = document_late };

/* ---- mask: every document in a masked leaf is a row; the mask's own item says since when ---- */

enum { M_PATIENT, M_DOCUMENT, M_EPISODE, M_GRANTEE, M_SINCE, M_COLUMNS };
static const struct column MASK[] = {
  [M_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [M_DOCUMENT] = { "document", "INTEGER", COL_PUSH }, [M_EPISODE] = { "episode", "TEXT", 0 },
  [M_GRANTEE] = { "grantee", "INTEGER", 0 },        [M_SINCE] = { "since", "TEXT", 0 },
};
enum { MASK_DOCUMENT, MASK_SINCE, MASK_VALUES };      /* row of an ITEM_MASK */
static const struct scan CHOICES = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };

static int make_mask(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[STORED];
  if (it->c.table != ITEM_DOCUMENT || it->deleted || it->via == VIA_OWN || it->leaf < 2 || document_values(it, v) != DMP_OK) return DMP_OK;
  struct value *row = rows_add(m->out, it->id);
  if (row == NULL) return DMP_E_NOMEM;
  row[M_PATIENT] = value_int(m->p->id);
  row[M_DOCUMENT] = value_int(it->id);
  if (v[S_EPISODE].type == VALUE_TEXT) row[M_EPISODE] = rows_bytes(m->out, VALUE_TEXT, v[S_EPISODE].u.p, v[S_EPISODE].n);
  row[M_SINCE] = rows_time(m->out, id_time(it->id));  /* deposited masked, unless a mask says later */
  return DMP_OK;
}

static int make_mask_since(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[MASK_VALUES];
  size_t count, used;
  if (it->c.table != ITEM_MASK || row_get(it->c.row, it->c.row_len, v, MASK_VALUES, &count, &used) != DMP_OK) return DMP_OK;
  for (size_t i = m->first; i < m->out->n; i++)
    if (v[MASK_DOCUMENT].type == VALUE_INT && m->out->rowid[i] == v[MASK_DOCUMENT].u.i)
      m->out->v[i * M_COLUMNS + M_SINCE] = rows_bytes(m->out, VALUE_TEXT, v[MASK_SINCE].u.p, v[MASK_SINCE].n);
  return DMP_OK;
}

/* Masks are shown to who may set them: a depositor keeps his document, not the list of what is masked. */
static int mask_make(struct session *s, struct patient *p, struct rows *out) {
  struct making m = { s, p, out, out->n };
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !full) return e;
  e = object_scan(s, p, &DOCUMENTS, make_mask, &m);
  return e == DMP_OK ? object_scan(s, p, &CHOICES, make_mask_since, &m) : e;
}

/* Masking one document must not cost more in a long record. */
static int mask_make_one(struct session *s, struct patient *p, int64_t document, struct rows *out) {
  struct making m = { s, p, out, out->n };
  struct item it;
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !full) return e;
  e = object_open(s, p, document, &it);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  e = make_mask(&m, &it);
  item_close(&it);
  return e == DMP_OK ? object_scan(s, p, &CHOICES, make_mask_since, &m) : e;
}

static int mask_row(struct session *s, struct patient *p, int64_t document) {
  const struct signer me = { s->cred, s->me.hash };
  struct content c = { .table = ITEM_MASK };
  struct buf row = { 0 };
  char now[32];
  int64_t id = 0;
  syntax_time_ms(record_now(), now);
  struct value v[MASK_VALUES] = { value_int(document), value_text(now) };
  row_put(&row, v, MASK_VALUES);
  c.row = row.p;
  c.row_len = row.n;
  int e = row.bad ? DMP_E_NOMEM : object_insert(s, p, &me, (struct place){ CLASS_CHOICES, 2, 0 }, &c, NULL, &id);
  buf_free(&row);
  return e;
}

/* The document, ready to be moved by a full holder who holds both P and M of its class. */
static int mask_begin(struct session *s, int64_t document, struct patient **p, struct item *it) {
  int e = document_find(s, document, p, it);
  if (e != DMP_OK) return e;
  int64_t patient = (*p)->id;
  item_close(it);
  e = holder_begin(s, patient, p);                    /* adopts: the document is opened again where it lies now */
  if (e == DMP_OK) e = object_open(s, *p, document, it);
  if (e == DMP_OK && (it->via != VIA_LEAF || !patient_leaf(*p, it->cls, 0)->held || !patient_leaf(*p, it->cls, 2)->held)) {
    item_close(it);
    e = DMP_E_NOT_ALLOWED;
  }
  return e;
}

static int mask_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t document, patient;
  int given, named;
  struct patient *p;
  struct item it;
  int e = take_int(v[M_DOCUMENT], &document, &given);
  if (e == DMP_OK) e = take_int(v[M_PATIENT], &patient, &named);
  if (e == DMP_OK && !given) e = DMP_E_MISSING;
  for (int i = M_EPISODE; e == DMP_OK && i < M_COLUMNS; i++)
    if (sqlite3_value_type(v[i]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = mask_begin(s, document, &p, &it);
  if (e != DMP_OK) return e;
  if (named && patient != p->id) e = DMP_E_NOT_FOUND;
  else if (it.leaf >= 2) e = DMP_E_MASKED;
  else if (object_unannounced(&it)) e = DMP_E_INVISIBLE_MASKED;
  if (e == DMP_OK) e = object_move(s, p, &it, (struct place){ it.cls, it.leaf + 2, 0 });
  if (e == DMP_OK) e = mask_row(s, p, document);
  if (e == DMP_OK) e = access_pend(s, p, LOG_MASK, p->id, document, NULL);
  *rowid = document;
  item_close(&it);
  return e;
}

struct mask_search { int64_t document; struct item found; };

static int take_mask(void *ctx, struct item *it) {
  struct mask_search *q = ctx;
  struct value v[MASK_VALUES];
  size_t count, used;
  if (it->c.table != ITEM_MASK || q->found.id || row_get(it->c.row, it->c.row_len, v, MASK_VALUES, &count, &used) != DMP_OK) return DMP_OK;
  if (v[MASK_DOCUMENT].type != VALUE_INT || v[MASK_DOCUMENT].u.i != q->document) return DMP_OK;
  q->found = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

static int mask_erase(struct session *s, int64_t rowid) {
  struct patient *p;
  struct item it;
  struct mask_search q = { .document = rowid };
  int e = mask_begin(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  if (it.leaf < 2) e = DMP_E_NOT_FOUND;
  /* what lies in the last leaf only because its class was due was not meant to be hidden from representatives */
  int to = it.leaf == 3 && it.c.flags & ITEM_DIVERTED && !item_hidden_meant(&it) ? 0 : it.leaf - 2;
  if (e == DMP_OK) e = object_move(s, p, &it, (struct place){ it.cls, to, 0 });
  if (e == DMP_OK) e = object_scan(s, p, &CHOICES, take_mask, &q);
  if (e == DMP_OK && q.found.id) e = object_drop(s, p, &q.found);
  if (e == DMP_OK) e = access_pend(s, p, LOG_UNMASK, p->id, rowid, NULL);
  item_close(&q.found);
  item_close(&it);
  return e;
}

const struct table TABLE_MASK = { .name = "mask", .col = MASK, .columns = M_COLUMNS, .patient_col = M_PATIENT, .id_col = M_DOCUMENT,
                                  .listing = 1, .needs_login = 1, .make = mask_make, .make_one = mask_make_one,
                                  .insert = mask_insert, .erase = mask_erase };
