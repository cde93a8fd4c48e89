/* compartment.c: rows of a practice's tables in their patients' compartments (see compartment.h). */
#include "compartment.h"
#include "protect_row.h"
#include "access.h"
#include "memory.h"
#include "object.h"
#include "random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* Flags: lies where it does only because its class was due; then in the next two bits the leaf where it was meant to lie. */
enum { ROW_DIVERTED = 1, ROW_MEANT = 1 /* shift */ };
enum { LEAF_NONE = 255 };
enum { SLOTS_FIRST = 256, SLOTS_MOST = 1 << 14 /* 4 MiB of locked memory */ };

/* One patient's row keys; a patient of whom the login holds nothing has a slot too. */
struct rowkey {
  int64_t patient, until;                             /* 0: the slot is free; until: a date rule, 0 none */
  uint8_t held, due;                                  /* bits by leaf; bits KEY_P, KEY_M */
  uint8_t key[LEAVES][32], loc[LEAVES][16];
};
struct rowkeys {
  struct rowkey *slot;                                /* owned, locked */
  size_t cap, n;                                      /* cap: a power of two */
  uint8_t login[16];
  unsigned generation;
  struct finder names;                                /* digests of local identifiers to patients */
  uint8_t names_key[32];
  unsigned names_generation;
};

static uint8_t row_meant(uint8_t flags) { return flags >> ROW_MEANT & (LEAVES - 1); }

struct rowkeys *rowkeys_new(void) {
  struct rowkeys *k = calloc(1, sizeof *k);
  if (k == NULL) return NULL;
  k->slot = memory_new(SLOTS_FIRST * sizeof *k->slot);
  k->cap = SLOTS_FIRST;
  if (k->slot && random_bytes("identifiers", k->names_key, 32) == DMP_OK) return k;
  rowkeys_free(k);
  return NULL;
}

void rowkeys_free(struct rowkeys *k) {
  if (k == NULL) return;
  memory_free(k->slot);
  finder_free(&k->names);
  free(k);
}

static struct rowkey *slot_of(struct rowkeys *k, int64_t patient) {
  size_t i = ((uint64_t)patient * 0x9E3779B97F4A7C15u >> 32) & (k->cap - 1);
  while (k->slot[i].patient && k->slot[i].patient != patient) i = (i + 1) & (k->cap - 1);
  return &k->slot[i];
}

/* Room for one more. A table of more patients than may be kept, or than memory can be locked for, begins anew. */
static void slots_grow(struct rowkeys *k) {
  struct rowkeys wider = *k;
  if (4 * k->n < 3 * k->cap) return;
  wider.cap = 2 * k->cap;
  wider.slot = wider.cap <= SLOTS_MOST ? memory_new(wider.cap * sizeof *wider.slot) : NULL;
  if (wider.slot == NULL) {
    bytes_wipe(k->slot, k->cap * sizeof *k->slot);
    k->n = 0;
    return;
  }
  for (size_t i = 0; i < k->cap; i++)
    if (k->slot[i].patient) *slot_of(&wider, k->slot[i].patient) = k->slot[i];
  memory_free(k->slot);
  *k = wider;
}

static void row_key(const struct protect *p, const struct leaf *l, uint8_t key[32], uint8_t loc[16]) {
  uint8_t label[3 + 8] = { 'r', 'o', 'w' };
  le_put64(label + 3, (uint64_t)p->id);
  suite_kdf(l->key, label, sizeof label, key);
  suite_prf(key, "loc", 3, loc);
}

/* The patient's keys; none held where the login has no grant. */
static int keys_of(struct session *s, const struct protect *p, struct rowkeys *k, int64_t patient, struct rowkey **out) {
  struct patient *pt;
  struct keyset *ks;
  if (k->generation != s->generation || memcmp(k->login, s->login_id, 16) != 0) {
    bytes_wipe(k->slot, k->cap * sizeof *k->slot);
    k->n = 0;
    k->generation = s->generation;
    memcpy(k->login, s->login_id, 16);
  }
  struct rowkey *x = slot_of(k, patient);
  if (x->patient) {
    *out = x;
    return DMP_OK;
  }
  int e = patient_get(s, patient, &pt);
  if (e != DMP_OK && e != DMP_E_NO_PATIENT) return e;
  int known = e == DMP_OK;
  if (known && (e = patient_keyset(s, pt, &ks)) != DMP_OK) return e;
  slots_grow(k);
  x = slot_of(k, patient);
  if (known) {
    const struct keyset_class *kc = keyset_class(ks, p->class_id);
    x->due = kc ? kc->due | kc->left : 0;
    x->until = pt->expires;
    for (int l = 0; l < LEAVES; l++) {
      const struct leaf *leaf = patient_leaf(pt, p->class_id, l);
      if (!leaf->held) continue;
      x->held |= (uint8_t)(1 << l);
      row_key(p, leaf, x->key[l], x->loc[l]);
    }
  }
  x->patient = patient;
  k->n++;
  *out = x;
  return DMP_OK;
}

/* ---- who a value names ---- */

struct naming { struct session *s; struct patient *pt; const struct protect *p; struct rowkeys *k; int (*each)(void *ctx, const struct value *v); void *ctx; };

/* The local identifiers of one patient in the table's system. A forged one names nobody, nor does one that the patient wrote: he could
 * claim somebody else's number, and rows of that person would be sealed for him. */
static int name_take(void *ctx, struct item *it) {
  struct naming *q = ctx;
  struct value v[2] = { 0 };
  size_t count, used;
  if (it->c.table != ITEM_IDENTITY || row_get(it->c.row, it->c.row_len, v, 2, &count, &used) != DMP_OK) return DMP_OK;
  if (v[0].type != VALUE_TEXT || v[1].type != VALUE_TEXT || v[0].n != strlen(q->p->system) || memcmp(v[0].u.p, q->p->system, v[0].n) != 0) return DMP_OK;
  if (id_from_field(it->c.depositor) == q->pt->id) return DMP_OK;
  int e = object_trusted(q->s, q->pt, it);
  return e == DMP_OK ? q->each(q->ctx, &v[1]) : e == DMP_E_SIGNATURE ? DMP_OK : e;
}

static int names_each(struct naming *q) {
  const struct scan w = { .first = CLASS_IDENTITY, .last = CLASS_IDENTITY };
  return object_scan(q->s, q->pt, &w, name_take, q);
}

static uint64_t name_digest(const struct rowkeys *k, const void *text, size_t n) {
  uint8_t x[SUITE_PRF];
  suite_prf(k->names_key, text, n, x);
  return le_get64(x);
}

static int name_add(void *ctx, const struct value *v) {
  struct naming *q = ctx;
  return finder_add(&q->k->names, name_digest(q->k, v->u.p, v->n), q->pt->id);
}

static int names_read(struct session *s, const struct protect *p, struct rowkeys *k) {
  struct naming q = { .s = s, .p = p, .k = k, .each = name_add };
  q.ctx = &q;
  int e = patient_own(s);
  finder_begin(&k->names, s->generation);
  for (size_t i = 0; e == DMP_OK && i < s->owns; i++) {
    if (i && s->own[i].patient == s->own[i - 1].patient) continue;
    e = patient_get(s, s->own[i].patient, &q.pt);
    if (e == DMP_E_NO_PATIENT) e = DMP_OK;            /* an inbox row that does not prove */
    else if (e == DMP_OK) e = names_each(&q);
  }
  k->names_generation = e == DMP_OK ? s->generation : 0;
  return e;
}

/* One patient, or none where two have the same identifier. */
static int64_t name_find(const struct rowkeys *k, uint64_t digest) {
  size_t probe = 0;
  int64_t first = finder_next(&k->names, digest, &probe), other = first;
  while (other == first && other) other = finder_next(&k->names, digest, &probe);
  return other ? 0 : first;
}

/* Who a value of the patient's column names: a record's patient id, or a local identifier of the description's system. */
static int row_patient(struct session *s, const struct protect *p, struct rowkeys *k, const struct value *v, int64_t *patient) {
  char number[24];
  const void *text = v->u.p;
  size_t n = v->n;
  *patient = 0;
  if (v->type == VALUE_NULL) return DMP_OK;
  if (v->type == VALUE_INT && v->u.i > DMP_LOCAL_MAX) {
    *patient = v->u.i;
    return DMP_OK;
  }
  if (*p->system == 0 || (v->type != VALUE_INT && v->type != VALUE_TEXT)) return DMP_E_NO_PATIENT;
  if (v->type == VALUE_INT) {
    n = (size_t)snprintf(number, sizeof number, "%lld", (long long)v->u.i);
    text = number;
  }
  uint64_t digest = name_digest(k, text, n);
  *patient = k->names_generation ? name_find(k, digest) : 0;
  if (*patient == 0 && k->names_generation != s->generation) {
    int e = names_read(s, p, k);
    if (e != DMP_OK) return e;
    *patient = name_find(k, digest);
  }
  return *patient ? DMP_OK : DMP_E_NO_PATIENT;
}

/* ---- one row ---- */

static struct box_ad row_ad(const struct session *s, const struct protect *p, const uint8_t *loc, int64_t rowid) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_PROTECTED, .table = IN_PRACTICE, .id = rowid, .loc = loc, .version = (uint64_t)p->id };
}

/* A box that was sealed to a deposit key: the secret of each leaf held is tried. */
static int open_deposit(struct session *s, const struct protect *p, const struct rowkey *x, int64_t rowid, const void *box, size_t n,
                        struct buf *scratch, const uint8_t **row, size_t *len, uint8_t *leaf) {
  struct patient *pt;
  struct box_ad ad = row_ad(s, p, NULL, rowid);
  int e = patient_get(s, x->patient, &pt);
  for (int l = 0; e == DMP_OK && l < LEAVES; l++) {
    struct leaf *own = patient_leaf(pt, p->class_id, l);
    if (!own->held) continue;
    leaf_deposit_pair(own);
    int o = box_open_from(own->deposit_sk, own->deposit_pk, pt->anchor, &ad, box, n, scratch, row, len);
    if (o == DMP_E_TAMPERED) continue;
    *leaf = (uint8_t)l;
    return o;
  }
  return e;
}

static int open_leaves(struct session *s, const struct protect *p, const struct rowkey *x, int64_t rowid, const void *box, size_t n,
                       struct buf *scratch, const uint8_t **row, size_t *len, uint8_t *leaf) {
  if (box_suite(box, n) == SUITE_SEALED) return open_deposit(s, p, x, rowid, box, n, scratch, row, len, leaf);
  for (int l = 0; l < LEAVES; l++) {
    if (!(x->held & 1 << l)) continue;
    struct box_ad ad = row_ad(s, p, x->loc[l], rowid);
    int e = box_open(x->key[l], &ad, box, n, scratch, row, len);
    if (e == DMP_E_TAMPERED) continue;
    *leaf = (uint8_t)l;
    return e;
  }
  return DMP_OK;
}

/* Before the first row of a patient is released, each day. */
static int log_listing(struct session *s, const struct rowkey *x) {
  struct access a = { 0 };
  struct patient *pt;
  if (access_listed(s, x->patient)) return DMP_OK;
  int e = patient_get(s, x->patient, &pt);
  if (e == DMP_OK) e = access_list(s, &a, pt, 0, 0);
  if (e == DMP_OK) e = access_flush(s, &a);
  access_free(&a);
  return e;
}

/* *leaf is LEAF_NONE when the row is not for this login, which is a fault only where it holds all leaves. */
static int patient_open(struct session *s, const struct protect *p, struct rowkeys *k, int64_t patient, int64_t rowid, const void *box, size_t n,
                        struct buf *scratch, const uint8_t **row, size_t *len, uint8_t *leaf) {
  struct rowkey *x;
  *leaf = LEAF_NONE;
  int e = keys_of(s, p, k, patient, &x);
  if (e != DMP_OK || x->held == 0 || (x->until && record_now() > x->until)) return e;
  s->boxes_opened++;
  e = open_leaves(s, p, x, rowid, box, n, scratch, row, len, leaf);
  if (e == DMP_OK && *leaf == LEAF_NONE && x->held == (1 << LEAVES) - 1) e = DMP_E_TAMPERED;
  if (e == DMP_OK && *leaf != LEAF_NONE && *len == 0) e = DMP_E_ROW_FORMAT;
  return e == DMP_OK && *leaf != LEAF_NONE ? log_listing(s, x) : e;
}

/* To the public deposit key of a leaf. */
static int seal_deposit(struct session *s, const struct protect *p, int64_t patient, int64_t rowid, int leaf, const struct buf *plain, struct buf *box) {
  struct patient *pt;
  struct keyset *ks;
  struct box_ad ad = row_ad(s, p, NULL, rowid);
  int e = patient_get(s, patient, &pt);
  if (e == DMP_OK) e = patient_keyset(s, pt, &ks);
  const struct keyset_class *kc = e == DMP_OK ? keyset_class(ks, p->class_id) : NULL;
  if (e == DMP_OK && kc == NULL) e = DMP_E_KEYSET_BAD;
  return e == DMP_OK ? box_seal_to(kc->deposit[leaf], pt->anchor, &ad, plain->p, plain->n, PAD_PADME, box) : e;
}

/* In a class that is due a row goes where nobody who has left can open it, until the keys have turned. */
static int patient_seal(struct session *s, const struct protect *p, struct rowkeys *k, int64_t patient, int64_t rowid, int leaf,
                        const struct buf *row, struct buf *box) {
  struct buf plain = { 0 };
  struct rowkey *x;
  int e = keys_of(s, p, k, patient, &x);
  if (e != DMP_OK) return e;
  int to = x->due & KEY_M ? 3 : x->due & KEY_P ? leaf | 2 : leaf, held = !(x->until && record_now() > x->until);
  const uint8_t flags = to == leaf ? 0 : (uint8_t)(ROW_DIVERTED | leaf << ROW_MEANT);
  leaf = to;
  buf_reset(box);
  buf_u8(&plain, flags);
  buf_put(&plain, row->p, row->n);
  struct box_ad ad = row_ad(s, p, x->loc[leaf], rowid);
  if (row->bad || plain.bad) e = DMP_E_NOMEM;
  else if (held && x->held & 1 << leaf) e = box_seal(s->r->suite, x->key[leaf], &ad, plain.p, plain.n, PAD_PADME, NULL, box);
  else e = seal_deposit(s, p, patient, rowid, leaf, &plain, box);
  buf_free(&plain);
  return e;
}

int compartment_row_open(struct session *s, const struct protect *p, struct protect_keys *k, struct rowkeys *rows, const struct value *who,
                         int64_t rowid, const void *box, size_t n, struct buf *scratch, const uint8_t **row, size_t *len, struct rowplace *out) {
  *out = (struct rowplace){ 0 };
  if (rows == NULL || who->type == VALUE_NULL) return k ? protect_open(s, p, k, rowid, box, n, scratch, row, len) : DMP_E_NO_TABLE_KEY;
  int e = row_patient(s, p, rows, who, &out->patient);
  if (e == DMP_OK) e = patient_open(s, p, rows, out->patient, rowid, box, n, scratch, row, len, &out->leaf);
  if (e == DMP_E_NO_PATIENT || (e == DMP_OK && out->leaf == LEAF_NONE)) return DMP_E_NO_TABLE_KEY;
  if (e != DMP_OK) return e;
  if (**row & ROW_DIVERTED) out->leaf = row_meant(**row);
  ++*row;
  --*len;
  return DMP_OK;
}

int compartment_row_seal(struct session *s, const struct protect *p, struct protect_keys *k, struct rowkeys *rows, const struct value *who,
                         int64_t rowid, int leaf, const struct buf *row, struct buf *box) {
  int64_t patient;
  if (rows == NULL || who->type == VALUE_NULL)
    return leaf ? DMP_E_NO_PATIENT : k ? protect_seal(s, p, k, rowid, row, box) : DMP_E_NO_TABLE_KEY;
  int e = row_patient(s, p, rows, who, &patient);
  return e == DMP_OK ? patient_seal(s, p, rows, patient, rowid, leaf, row, box) : e;
}

/* ---- a key turns: the patient's rows in every table of the class ---- */

struct turning {
  struct session *s;
  struct patient *pt;
  uint16_t cls;
  struct leaf *from, *to;
  int diverted, meant;                                /* 1: only rows that lie there because the class was due and were meant for that leaf */
  const struct protect *p;                            /* the table at hand; the rest is about it */
  int64_t *rowid; size_t rows, cap;                   /* owned */
  sqlite3_stmt *find, *get, *set;                     /* owned: rows of a patient, a row's box */
};

static int rowid_add(struct turning *q, int64_t rowid) {
  if (q->rows == q->cap) {
    size_t cap = q->cap ? 2 * q->cap : 64;
    int64_t *more = realloc(q->rowid, cap * sizeof *more);
    if (more == NULL) return DMP_E_NOMEM;
    q->rowid = more;
    q->cap = cap;
  }
  q->rowid[q->rows++] = rowid;
  return DMP_OK;
}

/* An identifier that is a number as it is written; a column without a type may hold it so. */
static int is_number(const struct value *v, struct value *out) {
  char text[24], again[24];
  if (v->type != VALUE_TEXT || v->n == 0 || v->n >= sizeof text) return 0;
  memcpy(text, v->u.p, v->n);
  text[v->n] = 0;
  *out = value_int(strtoll(text, NULL, 10));
  snprintf(again, sizeof again, "%lld", (long long)out->u.i);
  return strcmp(text, again) == 0;
}

/* Rows whose patient's column has this value: compared as the column stores it. A row met twice is turned once. */
static int rows_find(void *ctx, const struct value *v) {
  struct turning *q = ctx;
  struct value number;
  int rc = SQLITE_DONE, e = is_number(v, &number) ? rows_find(ctx, &number) : DMP_OK;
  sqlite3_reset(q->find);
  if (v->type == VALUE_INT) sqlite3_bind_int64(q->find, 1, v->u.i);
  else sqlite3_bind_text(q->find, 1, (const char *)v->u.p, (int)v->n, SQLITE_STATIC);
  while (e == DMP_OK && (rc = sqlite3_step(q->find)) == SQLITE_ROW) e = rowid_add(q, sqlite3_column_int64(q->find, 0));
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(q->s->r);
  sqlite3_reset(q->find);
  return e;
}

static int turn_open(struct turning *q, int64_t rowid, const void *box, size_t n, struct buf *scratch, const uint8_t **row, size_t *len) {
  uint8_t key[32], loc[16];
  if (box_suite(box, n) == SUITE_SEALED) {
    struct box_ad ad = row_ad(q->s, q->p, NULL, rowid);
    leaf_deposit_pair(q->from);
    return box_open_from(q->from->deposit_sk, q->from->deposit_pk, q->pt->anchor, &ad, box, n, scratch, row, len);
  }
  row_key(q->p, q->from, key, loc);
  struct box_ad ad = row_ad(q->s, q->p, loc, rowid);
  int e = box_open(key, &ad, box, n, scratch, row, len);
  bytes_wipe(key, sizeof key);
  return e;
}

static int turn_seal(struct turning *q, int64_t rowid, const uint8_t *row, size_t len) {
  uint8_t key[32], loc[16];
  struct buf plain = { 0 }, box = { 0 };
  row_key(q->p, q->to, key, loc);
  struct box_ad ad = row_ad(q->s, q->p, loc, rowid);
  buf_u8(&plain, q->diverted ? 0 : row[0]);
  buf_put(&plain, row + 1, len - 1);
  int e = plain.bad ? DMP_E_NOMEM : box_seal(q->s->r->suite, key, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) {
    sqlite3_bind_blob64(q->set, 1, box.p, box.n, SQLITE_STATIC);
    sqlite3_bind_int64(q->set, 2, rowid);
    e = record_run(q->s->r, q->set);
  }
  buf_free(&plain);
  buf_free(&box);
  bytes_wipe(key, sizeof key);
  return e;
}

/* A row that does not open lies in another leaf. */
static int turn_row(struct turning *q, int64_t rowid) {
  struct buf scratch = { 0 };
  const uint8_t *row;
  size_t len;
  sqlite3_bind_int64(q->get, 1, rowid);
  int e = sqlite3_step(q->get) == SQLITE_ROW ? DMP_OK : record_sql_fault(q->s->r);
  if (e == DMP_OK) e = turn_open(q, rowid, sqlite3_column_blob(q->get, 0), (size_t)sqlite3_column_bytes(q->get, 0), &scratch, &row, &len);
  sqlite3_reset(q->get);
  if (e == DMP_OK && len == 0) e = record_fault(q->s->r, DMP_E_ROW_FORMAT, "a protected table", rowid);
  if (e == DMP_OK && (!q->diverted || (row[0] & ROW_DIVERTED && row_meant(row[0]) == q->meant))) e = turn_seal(q, rowid, row, len);
  buf_free(&scratch);
  return e == DMP_E_TAMPERED ? DMP_OK : e;
}

static int turn_prepare(struct turning *q, sqlite3_stmt **st, char *sql) {
  int rc = sql ? sqlite3_prepare_v2(q->s->r->db, sql, -1, st, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  return rc == SQLITE_OK ? DMP_OK : rc == SQLITE_NOMEM ? DMP_E_NOMEM : record_sql_fault(q->s->r);
}

/* No row changes for the practice: its triggers stay silent. Only where there are rows, for the switch expires prepared statements. */
static int turn_rows(struct turning *q) {
  int was, e = DMP_OK;
  sqlite3_db_config(q->s->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, -1, &was);
  if (was) sqlite3_db_config(q->s->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  for (size_t i = 0; e == DMP_OK && i < q->rows; i++) e = turn_row(q, q->rowid[i]);
  if (was) sqlite3_db_config(q->s->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, was, NULL);
  return e;
}

static int turn_table(void *ctx, const struct protect *p) {
  struct turning *q = ctx;
  const char *schema = q->s->r->quoted, *key = protect_rowid(p), *column = protect_patient(p);
  const struct value id = { .type = VALUE_INT, .u.i = q->pt->id };
  struct naming names = { .s = q->s, .pt = q->pt, .p = p, .each = rows_find, .ctx = q };
  if (p->class_id != q->cls || column == NULL) return DMP_OK;
  q->p = p;
  q->rows = 0;
  int e = turn_prepare(q, &q->find, sqlite3_mprintf("SELECT \"%w\" FROM %s.\"%w" PROTECT_SUFFIX "\" WHERE \"%w\"=?1", key, schema, p->table, column));
  if (e == DMP_OK) e = turn_prepare(q, &q->get, sqlite3_mprintf("SELECT \"" PROTECT_BOX "\" FROM %s.\"%w" PROTECT_SUFFIX "\" WHERE \"%w\"=?1", schema, p->table, key));
  if (e == DMP_OK) e = turn_prepare(q, &q->set, sqlite3_mprintf("UPDATE %s.\"%w" PROTECT_SUFFIX "\" SET \"" PROTECT_BOX "\"=?1 WHERE \"%w\"=?2", schema, p->table, key));
  if (e == DMP_OK) e = rows_find(q, &id);
  if (e == DMP_OK && *p->system) e = names_each(&names);
  if (e == DMP_OK && q->rows) e = turn_rows(q);
  sqlite3_finalize(q->find);
  sqlite3_finalize(q->get);
  sqlite3_finalize(q->set);
  q->find = q->get = q->set = NULL;
  return e;
}

static int turn_tables(struct turning *q) {
  int e = protect_each_proven(q->s, turn_table, q);
  free(q->rowid);
  return e;
}

int compartment_turn(struct session *s, struct patient *pt, uint16_t cls, struct leaf *from, struct leaf *to) {
  return turn_tables(&(struct turning){ .s = s, .pt = pt, .cls = cls, .from = from, .to = to });
}

int compartment_settle(struct session *s, struct patient *pt, uint16_t cls) {
  static const uint8_t WAYS[][2] = { { 2, 0 }, { 3, 0 }, { 3, 1 }, { 3, 2 } };   /* where it waits, where it was meant to lie */
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < sizeof WAYS / sizeof *WAYS; i++) {
    struct leaf *from = patient_leaf(pt, cls, WAYS[i][0]), *to = patient_leaf(pt, cls, WAYS[i][1]);
    if (from->held && to->held)
      e = turn_tables(&(struct turning){ .s = s, .pt = pt, .cls = cls, .from = from, .to = to, .diverted = 1, .meant = WAYS[i][1] });
  }
  return e;
}
