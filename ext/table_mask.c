/* table_mask.c: the table `mask`: what is masked, masking and unmasking.
 * Owns: its columns.  Never: keys (object.h), rights (rights.h). */
#include "table.h"
#include "deposit.h"
#include "document.h"
#include "syntax.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

struct making { struct session *s; struct patient *p; struct rows *out; size_t first; };
static const struct scan DOCUMENTS = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .own = 1 };

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
  int e = deposit_find(s, document, p, it);
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
  if (e == DMP_OK) e = object_move(s, p, &it, (struct place){ it.cls, it.leaf - 2, 0 });
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
