/* object.c: items in their rows (see object.h). */
#include "object.h"
#include "access.h"
#include "episode.h"
#include "follow.h"
#include "mark.h"
#include "random.h"
#include "syntax.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* A row as read, before any box of it is opened. Bytes lie in the arena of the list. */
struct raw { int64_t id, circle, mark; uint64_t version; uint16_t cls; uint8_t leaf; enum via via; size_t wrap, wrap_n, header, header_n, amend, amend_n; };
struct raws { struct raw *r; size_t n, cap; struct buf arena; };

struct leaf *object_leaf(struct patient *p, struct place w) { return w.circle ? circle_leaf(p, w.circle, w.leaf) : patient_leaf(p, w.cls, w.leaf); }

static struct place item_place(const struct item *it) { return item_beside(it, it->leaf); }

static void raws_free(struct raws *a) {
  free(a->r);
  buf_free(&a->arena);
}

static size_t arena_put(struct raws *a, sqlite3_stmt *st, int col, size_t *n) {
  size_t at = a->arena.n;
  *n = (size_t)sqlite3_column_bytes(st, col);
  buf_put(&a->arena, sqlite3_column_blob(st, col), *n);
  return at;
}

static int raws_add(struct raws *a, sqlite3_stmt *st, int64_t id, int first, struct raw like) {
  if (a->n == a->cap) {
    size_t cap = a->cap ? 2 * a->cap : 32;
    struct raw *p = realloc(a->r, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    a->r = p;
    a->cap = cap;
  }
  like.id = id;
  like.mark = sqlite3_column_int64(st, first);
  like.wrap = arena_put(a, st, first + 1, &like.wrap_n);
  like.version = (uint64_t)sqlite3_column_int64(st, first + 2);
  like.header = arena_put(a, st, first + 3, &like.header_n);
  like.amend = arena_put(a, st, first + 4, &like.amend_n);
  a->r[a->n++] = like;
  return a->arena.bad ? DMP_E_NOMEM : DMP_OK;
}

/* All rows at a locator. */
static int raws_at(struct session *s, struct raws *a, const uint8_t loc[16], struct raw like) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_OBJECT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) e = raws_add(a, st, sqlite3_column_int64(st, 0), 1, like);
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  return e;
}

/* What the rows from `first` on say the state should be, against the state box. */
static int raws_state(struct session *s, int64_t patient, const struct raws *a, size_t first, struct leaf *l, struct state *stored) {
  struct state now = { 0 };
  int e = state_get(s, patient, l, stored);
  for (size_t i = first; e == DMP_OK && i < a->n; i++) {
    const uint8_t *tag = box_tag(a->arena.p + a->r[i].header, a->r[i].header_n);
    if (tag == NULL) return record_fault(s->r, DMP_E_TRUNCATED, "dmp_object", a->r[i].id);
    state_term(&now, l, a->r[i].id, a->r[i].version, tag);
    state_mark(&now, l, a->r[i].id, a->r[i].mark);
    now.count++;
  }
  if (e == DMP_OK && !state_equal(&now, stored)) e = record_fault(s->r, DMP_E_STATE_BAD, "dmp_state", stored->row);
  return e;
}

/* ---- opening ---- */

static struct box_ad wrap_ad(const struct session *s, uint16_t table, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_WRAP, .table = table, .id = row, .loc = loc };
}

static struct box_ad header_ad(const struct session *s, int64_t id, uint64_t version) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_HEADER, .table = IN_OBJECT, .id = id, .version = version };
}

static struct box_ad amend_ad(const struct session *s, int64_t id) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_AMEND, .table = IN_OBJECT, .id = id };
}

/* An amendment counts only with the signature of the depositor whom the signed header names; any other is ignored. */
static int amend_counts(struct session *s, struct patient *p, const struct item *it, uint8_t action, int64_t at, const uint8_t *sig) {
  const struct certificate *d = patient_who_hash(s, p, it->c.depositor_cert);
  if (d == NULL || memcmp(d->principal, it->c.depositor, 16) != 0) return 0;
  for (d = patient_who(s, p, d->principal); d; d = d->serial ? patient_who_hash(s, p, d->previous) : NULL)   /* his key may be another one since */
    if (item_amend_lawful(s->r->id, it, action, at, sig, d->sign_pk)) return 1;
  return 0;
}

/* Opens the amend box: action, at and signature, when lawful. 1: there is one. */
static int amend_read(struct session *s, struct patient *p, const struct item *it, uint8_t *action, int64_t *at, uint8_t sig[SUITE_SIG]) {
  uint8_t key[32];
  const uint8_t *b;
  size_t n;
  if (it->amend.n == 0) return 0;
  suite_kdf_text(it->header_key, "amend", key);
  struct box_ad ad = amend_ad(s, it->id);
  int e = session_open_box(s, key, &ad, it->amend.p, it->amend.n, &b, &n);
  bytes_wipe(key, sizeof key);
  if (e != DMP_OK || n != AMEND_BYTES || le_get32(b + 9) != it->c.version) return 0;
  *action = b[0];
  *at = (int64_t)le_get64(b + 1);
  memcpy(sig, b + 13, SUITE_SIG);
  return amend_counts(s, p, it, *action, *at, sig);
}

static void amendment(struct item *it, uint8_t action) {
  if (action == AMEND_DELETE) it->deleted = 1;
  if (action == AMEND_ANNOUNCE) it->announced = 1;
}

static void item_amendments(struct session *s, struct patient *p, struct item *it) {
  uint8_t action, sig[SUITE_SIG];
  int64_t at;
  struct rd r = { it->folds, it->fold_len, 0 };
  for (unsigned n = rd_u16(&r); n > 0; n--) {
    uint8_t a = rd_u8(&r);
    int64_t when = (int64_t)rd_u64(&r);
    const uint8_t *fold_sig = rd_bytes(&r, SUITE_SIG);
    if (fold_sig && amend_counts(s, p, it, a, when, fold_sig)) amendment(it, a);
  }
  it->amended = amend_read(s, p, it, &action, &at, sig);
  if (it->amended) amendment(it, action);
}

enum { CLOCKS_DIFFER = 10 * 60 * 1000 };              /* ids carry the depositor's time: one from the future hides nothing */

int object_unannounced(const struct item *it) {
  if (it->c.table != ITEM_DOCUMENT || !(it->c.flags & ITEM_INVISIBLE) || it->announced) return 0;
  if (it->via != VIA_OWN && (!(it->leaf & 1) || (it->leaf == 3 && !(it->c.flags & (ITEM_DIVERTED | ITEM_LATE))))) return 0;
  int64_t now = record_now(), since = id_time(it->id);
  return since <= now + CLOCKS_DIFFER && now < syntax_month_later(since);
}

/* What is not shown is not counted as opened either. */
static int item_withheld(struct session *s, struct patient *p, const struct item *it) {
  if (s->principal == p->id ? !follow_withheld(s, p, it) : !episode_shades(s, p, it)) return 0;
  s->headers_opened--;
  s->boxes_opened -= 2;
  return 1;
}

/* Which items may lie where. System classes take nothing by their public deposit keys, which everybody who was ever granted
 * knows: only who holds such a class writes in it. */
static int item_belongs(const struct item *it) {
  if (it->via == VIA_OWN) return item_deposited(it->c.table);
  if (item_deposited(it->c.table) || it->via == VIA_DEPOSIT) return item_deposited(it->c.table) && it->cls >= CLASS_FIRST_DOCUMENT;
  switch (it->c.table) {
    case ITEM_PATIENT:
    case ITEM_IDENTITY:
    case ITEM_REPRESENTATIVE: return it->cls == CLASS_IDENTITY && it->leaf < 2;
    case ITEM_CONSENT:
    case ITEM_FEED:
    case ITEM_BLOCKED:
    case ITEM_GRANTEES: return it->cls == CLASS_CHOICES && it->leaf < 2;
    case ITEM_EPISODE:
    case ITEM_ASSIGNMENT:
    case ITEM_EXCLUSION:
    case ITEM_CIRCLE:
    case ITEM_SHADE:
    case ITEM_MASK: return it->cls == CLASS_CHOICES && it->leaf >= 2;
    case ITEM_SEEN: return it->cls == CLASS_NOTICES && it->leaf < 2;
    case ITEM_LOG_SECRETS: return it->cls == CLASS_LOG && it->leaf >= 2;
    case ITEM_VIEW: return it->cls == CLASS_IDENTITY && it->leaf == 3;   /* the only key that nobody but the patient holds */
    default: return 0;
  }
}

/* The header, once the wrap has given its keys. */
static int item_open_header(struct session *s, struct patient *p, const struct raws *a, const struct raw *r, struct item *it) {
  const uint8_t *plain;
  size_t n;
  if (it->id != r->id) return DMP_E_TAMPERED;
  it->version = r->version;
  it->mark = r->mark;
  if (it->version < it->minimum) return DMP_E_TAMPERED;   /* an older row put back beside a newer key */
  struct box_ad ad = header_ad(s, r->id, r->version);
  s->headers_opened++;
  s->boxes_opened++;
  buf_reset(&it->plain);
  int e = box_open(it->header_key, &ad, a->arena.p + r->header, r->header_n, &it->plain, &plain, &n);
  if (e != DMP_OK) return e;
  /* box_open leaves the plaintext inside its scratch: keep only it */
  memmove(it->plain.p, plain, n);
  it->plain.n = n;
  memcpy(it->tag, box_tag(a->arena.p + r->header, r->header_n), 16);
  if ((e = item_parse(it)) != DMP_OK) return e;
  if (it->c.patient != p->id) return DMP_E_TAMPERED;
  /* anybody ever granted can throw such a deposit in: it stops nobody, and the patient's dmp_verify names it */
  if (!item_belongs(it)) return it->via == VIA_DEPOSIT ? DMP_E_NOT_FOUND : DMP_E_TAMPERED;
  if (r->amend_n) buf_put(&it->amend, a->arena.p + r->amend, r->amend_n);
  item_amendments(s, p, it);
  return it->amend.bad ? DMP_E_NOMEM : DMP_OK;
}

static int item_open_leaf(struct session *s, struct patient *p, const struct raws *a, const struct raw *r, struct item *it) {
  const uint8_t *b;
  size_t n;
  struct leaf *l = object_leaf(p, (struct place){ r->cls, r->leaf, 0, r->circle });
  struct box_ad ad = wrap_ad(s, IN_OBJECT, r->id, l->object_loc);
  int e = session_open_box(s, l->key, &ad, a->arena.p + r->wrap, r->wrap_n, &b, &n);
  if (e == DMP_OK) e = item_wrap_parse(b, n, it);
  it->cls = r->cls;
  it->leaf = r->leaf;
  it->circle = r->circle;
  it->via = VIA_LEAF;
  return e == DMP_OK ? item_open_header(s, p, a, r, it) : e;
}

/* A source's item that does not lie masked could betray a mask, whatever software put it there. */
static int is_source(struct session *s, const struct item *it) {
  const struct certificate *c = directory_by_hash(&s->dir, it->c.depositor_cert);
  return c && c->kind == KIND_SOURCE;
}

/* A sealed deposit: the deposit secret of each leaf held is tried. DMP_E_NOT_FOUND: none opens it, no fault. */
static int item_open_deposit(struct session *s, struct patient *p, const struct raws *a, const struct raw *r, uint16_t first,
                             uint16_t last, struct item *it) {
  struct box_ad ad = wrap_ad(s, IN_OBJECT, r->id, p->deposit_loc);
  const struct entry *en;
  for (size_t i = 0; (en = patient_entry(p, i)) != NULL; i++) {
    struct way w[2];
    if (en->cls < first || en->cls > last || en->cls < CLASS_FIRST_DOCUMENT || en->circle) continue;   /* those take no sealed deposits */
    for (size_t k = 0, ways = entry_ways(p, en, w); k < ways; k++) {
      struct leaf *leaf = w[k].l;
      const uint8_t *b;
      size_t n;
      leaf_deposit_pair(leaf);
      if (box_open_from(leaf->deposit_sk, leaf->deposit_pk, p->anchor, &ad, a->arena.p + r->wrap, r->wrap_n, &s->scratch, &b, &n) != DMP_OK)
        continue;
      s->boxes_opened++;
      it->cls = en->cls;
      it->leaf = w[k].leaf;
      it->via = VIA_DEPOSIT;
      int e = item_wrap_parse(b, n, it);
      if (e == DMP_OK) e = item_open_header(s, p, a, r, it);
      return e == DMP_OK && it->leaf < 2 && is_source(s, it) ? DMP_E_NOT_FOUND : e;
    }
  }
  return DMP_E_NOT_FOUND;
}

/* Which of this login's own keys, present and former, a locator belongs to; -1: none. */
static int own_which(const struct patient *p, const uint8_t *loc) {
  for (int i = 0; i < p->owns; i++)
    if (memcmp(p->own_loc[i], loc, 16) == 0) return i;
  return -1;
}

/* A row of dmp_wrap at this locator (NULL: one of the own): symmetric under the key, or sealed to the certificate by who moved the item. */
static int wrap_open(struct session *s, struct patient *p, int64_t row, const uint8_t loc[16], const uint8_t key[32], struct item *it) {
  const uint8_t *b;
  size_t n;
  sqlite3_stmt *st = record_stmt(s->r, STMT_WRAP_BY_ID);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, row);
  int rc = sqlite3_step(st), e = rc == SQLITE_ROW ? DMP_OK : rc == SQLITE_DONE ? DMP_E_NOT_FOUND : record_sql_fault(s->r);
  if (e == DMP_OK) {
    int own = sqlite3_column_bytes(st, 0) == 16 ? own_which(p, sqlite3_column_blob(st, 0)) : -1;
    if (own < 0) own = 0;                             /* moved elsewhere: it does not open */
    struct box_ad ad = wrap_ad(s, IN_WRAP, row, loc ? loc : p->own_loc[own]);
    const void *box = sqlite3_column_blob(st, 1);
    size_t len = (size_t)sqlite3_column_bytes(st, 1);
    e = box_suite(box, len) == SUITE_SEALED ? session_open_sealed(s, p->anchor, &ad, box, len, &b, &n) : session_open_box(s, loc ? key : p->own_leaf[own], &ad, box, len, &b, &n);
    if (e == DMP_OK) e = item_wrap_parse(b, n, it);
    if (e != DMP_OK) record_fault(s->r, e, "dmp_wrap", row);
  }
  sqlite3_reset(st);
  return e;
}

static int own_wrap_open(struct session *s, struct patient *p, int64_t row, struct item *it) {
  return wrap_open(s, p, row, NULL, NULL, it);
}

static int raws_by_id(struct session *s, struct raws *a, int64_t id, uint8_t loc[16]) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_OBJECT_BY_ID);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, id);
  int rc = sqlite3_step(st), e = rc == SQLITE_DONE ? DMP_E_NOT_FOUND : DMP_OK;
  if (rc == SQLITE_ROW && sqlite3_column_bytes(st, 0) == 16) {
    memcpy(loc, sqlite3_column_blob(st, 0), 16);
    e = raws_add(a, st, id, 1, (struct raw){ 0 });
  } else if (rc == SQLITE_ROW) {
    e = DMP_E_TAMPERED;
  } else if (rc != SQLITE_DONE) {
    e = record_sql_fault(s->r);
  }
  sqlite3_reset(st);
  return e;
}

static int item_open_own(struct session *s, struct patient *p, int64_t row, struct item *it) {
  struct raws a = { 0 };
  uint8_t loc[16];
  int e = own_wrap_open(s, p, row, it);
  if (e == DMP_OK && (e = raws_by_id(s, &a, it->id, loc)) == DMP_E_NOT_FOUND)
    e = record_fault(s->r, DMP_E_STATE_BAD, "dmp_wrap", row);   /* no item is ever removed while its depositor's wrap stands */
  if (e == DMP_OK) {
    it->cls = 0;
    it->leaf = 0;
    it->circle = 0;
    it->via = VIA_OWN;
    it->own_row = row;
    e = item_open_header(s, p, &a, &a.r[0], it);
    if (e != DMP_OK) record_fault(s->r, e, "dmp_object", a.r[0].id);
  }
  raws_free(&a);
  return e;
}

/* ---- items of a minimal view (view.h): a row of dmp_wrap in the view's leaf, whose id follows from the leaf and the item ---- */

static int64_t tick_row(const struct leaf *l, int64_t id) {
  uint8_t x[4 + 8], out[16];
  memcpy(x, "tick", 4);
  le_put64(x + 4, (uint64_t)id);
  suite_prf(l->key, x, sizeof x, out);
  return (int64_t)(le_get64(out) >> 1) | 1;
}

/* DMP_E_NOT_FOUND: the item is none of the view, or is it no more: it was sealed again or dropped after it was ticked. */
static int tick_open(struct session *s, struct patient *p, uint16_t cls, int l, int64_t row, struct item *it) {
  struct raws a = { 0 };
  uint8_t loc[16];
  struct leaf *leaf = patient_leaf(p, cls, l);
  int e = wrap_open(s, p, row, leaf->object_loc, leaf->key, it);
  if (e == DMP_OK) e = raws_by_id(s, &a, it->id, loc);
  if (e == DMP_OK && a.r[0].version != it->minimum) e = DMP_E_NOT_FOUND;
  if (e == DMP_OK) {
    it->cls = cls;
    it->leaf = (uint8_t)l;
    it->via = VIA_LEAF;
    e = item_open_header(s, p, &a, &a.r[0], it);
    if (e != DMP_OK) record_fault(s->r, e, "dmp_object", a.r[0].id);
  }
  raws_free(&a);
  return e;
}

/* By id, in whichever leaf. */
static int tick_find(struct session *s, struct patient *p, int64_t id, struct item *it) {
  int e = DMP_E_NOT_FOUND;
  const struct entry *en;
  for (size_t i = 0; e == DMP_E_NOT_FOUND && (en = patient_entry(p, i)) != NULL; i++) {
    struct way w[2];
    for (size_t k = 0, ways = entry_ways(p, en, w); e == DMP_E_NOT_FOUND && k < ways; k++)
      e = tick_open(s, p, w[k].cls, w[k].leaf, tick_row(w[k].l, id), it);
  }
  return e;
}

/* ---- scanning one patient ---- */

struct found { struct item *it; size_t n, cap; int64_t *own; size_t owns; };

static struct item *found_room(struct found *f) {
  if (f->n == f->cap) {
    size_t cap = f->cap ? 2 * f->cap : 32;
    struct item *p = malloc(cap * sizeof *p);         /* not realloc: the old copy holds keys */
    if (p == NULL) return NULL;
    if (f->n) memcpy(p, f->it, f->n * sizeof *p);
    if (f->n) bytes_wipe(f->it, f->n * sizeof *p);
    free(f->it);
    f->it = p;
    f->cap = cap;
  }
  memset(&f->it[f->n], 0, sizeof *f->it);
  return &f->it[f->n++];
}

static void found_free(struct found *f) {
  for (size_t i = 0; i < f->n; i++) item_close(&f->it[i]);
  free(f->it);
  free(f->own);
}

static int by_item_id(const void *a, const void *b) {
  const struct item *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

/* A fault while checking everything is one finding; while reading it is the end. */
static int scan_fault(const struct scan *w, void *ctx, int e) {
  if (e == DMP_OK || e == DMP_E_NOMEM || e == DMP_E_SQL || w->bad == NULL) return e;
  w->bad(ctx, e);
  return DMP_OK;
}

static int scan_leaves(struct session *s, struct patient *p, const struct scan *w, void *ctx, struct raws *a) {
  struct state stored;
  int e = DMP_OK;
  const struct entry *en;
  for (size_t i = 0; e == DMP_OK && (en = patient_entry(p, i)) != NULL; i++) {
    struct way way[2];
    if (en->cls < w->first || en->cls > w->last) continue;
    for (size_t k = 0, ways = entry_ways(p, en, way); e == DMP_OK && k < ways; k++) {
      size_t first = a->n;
      if ((w->hidden && !(way[k].leaf & 1)) || (w->masked && way[k].leaf < 2)) continue;
      e = raws_at(s, a, way[k].l->object_loc, (struct raw){ .cls = en->cls, .leaf = way[k].leaf, .circle = en->circle, .via = VIA_LEAF });
      if (e == DMP_OK) e = scan_fault(w, ctx, raws_state(s, p->id, a, first, way[k].l, &stored));
    }
  }
  return e;
}

static int wrap_ids(struct session *s, const uint8_t loc[16], int64_t **ids, size_t *n) {
  size_t cap = 0;
  *n = 0;
  *ids = NULL;
  sqlite3_stmt *st = record_stmt(s->r, STMT_WRAP_IDS);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (*n == cap) {
      cap = cap ? 2 * cap : 32;
      int64_t *q = realloc(*ids, cap * sizeof *q);
      if (q == NULL) e = DMP_E_NOMEM;
      else *ids = q;
    }
    if (e == DMP_OK) (*ids)[(*n)++] = sqlite3_column_int64(st, 0);
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  return e;
}

static void own_leaf_state(const struct patient *p, int own, struct leaf *l) {
  memset(l, 0, sizeof *l);
  memcpy(l->key, p->own_leaf[own], 32);
  suite_prf(p->own_leaf[own], "state", 5, l->state_loc);
}

/* The depositor's own state counts ids and what was signed: a deposit dropped with its wrap, or another content in its place,
 * is seen. Moving and sealing again change neither. */
static void own_tag(const uint8_t signature[SUITE_SIG], uint8_t tag[16]) { suite_hash(signature, SUITE_SIG, tag, 16); }

static int own_state_check(struct session *s, struct patient *p, int which, const struct found *f, size_t counted) {
  struct leaf own;
  uint8_t tag[16];
  struct state now = { 0 }, stored;
  own_leaf_state(p, which, &own);
  int e = state_get(s, p->id, &own, &stored);
  if (e == DMP_E_STATE_BAD && stored.row == 0 && counted == 0) e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < f->n; i++)
    if (f->it[i].own_row && memcmp(f->it[i].c.wrap_loc, p->own_loc[which], 16) == 0) {
      own_tag(f->it[i].signature, tag);
      state_term(&now, &own, f->it[i].id, 0, tag);
      now.count++;
    }
  if (e == DMP_OK && !state_equal(&now, &stored)) e = record_fault(s->r, DMP_E_STATE_BAD, "dmp_state", stored.row);
  bytes_wipe(&own, sizeof own);
  return e;
}

static int by_int64(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* The depositor's wrap must open what the leaf's opens: only a check of everything looks. */
static int own_wrap_check(struct session *s, struct patient *p, int64_t row, const struct item *it) {
  struct item own = { 0 };
  int e = own_wrap_open(s, p, row, &own);
  if (e == DMP_OK && (own.id != it->id || own.minimum != it->minimum || !suite_equal(own.header_key, it->header_key, 32) ||
                      !suite_equal(own.body_key, it->body_key, 32)))
    e = record_fault(s->r, DMP_E_TAMPERED, "dmp_wrap", row);
  item_close(&own);
  return e;
}

/* Own deposits that no leaf opened: the wraps that no opened header names. */
static int scan_own(struct session *s, struct patient *p, int which, const struct scan *w, void *ctx, struct found *f) {
  free(f->own);
  int e = wrap_ids(s, p->own_loc[which], &f->own, &f->owns);
  size_t held = f->n;
  uint8_t *known = e == DMP_OK ? calloc(f->owns + 1, 1) : NULL;   /* by an opened header; the rows are in order */
  if (e == DMP_OK && known == NULL) e = DMP_E_NOMEM;
  for (size_t i = 0; e == DMP_OK && i < held; i++) {
    int64_t row = f->it[i].c.wrap_row;
    if (memcmp(f->it[i].c.wrap_loc, p->own_loc[which], 16) != 0) continue;
    int64_t *at = f->owns ? bsearch(&row, f->own, f->owns, sizeof *f->own, by_int64) : NULL;
    if (at == NULL) continue;
    if (memcmp(f->it[i].c.depositor, s->cred->principal, 16) != 0) {   /* somebody put his own in the place of mine */
      e = scan_fault(w, ctx, record_fault(s->r, DMP_E_SIGNATURE, "dmp_object", f->it[i].id));
      continue;
    }
    f->it[i].own_row = row;
    known[at - f->own] = 1;
    if (w->bad) e = scan_fault(w, ctx, own_wrap_check(s, p, row, &f->it[i]));
  }
  for (size_t i = 0; e == DMP_OK && i < f->owns; i++) {
    if (known[i]) continue;
    struct item *it = found_room(f);
    e = it ? item_open_own(s, p, f->own[i], it) : DMP_E_NOMEM;
    if (e != DMP_OK && it) {
      item_close(&f->it[--f->n]);
      e = scan_fault(w, ctx, e);
    }
  }
  free(known);
  return e == DMP_OK ? scan_fault(w, ctx, own_state_check(s, p, which, f, f->owns)) : e;
}

/* A sealed deposit that no leaf opens is no fault for who holds some of them; the patient, who holds all, is told when checking. */
static int scan_deposit(struct session *s, struct patient *p, const struct scan *w, const struct raws *a, const struct raw *r, struct item *it) {
  int e = item_open_deposit(s, p, a, r, w->first, w->last, it);
  if (e != DMP_E_NOT_FOUND || w->bad == NULL) return e;
  for (size_t i = 0; i < p->keyset.n; i++)
    if (!patient_key(p, p->keyset.c[i].cls, WHICH_P) || !patient_key(p, p->keyset.c[i].cls, WHICH_M)) return e;
  return DMP_E_TAMPERED;
}

static int scan_ticked(struct session *s, struct patient *p, const struct scan *w, void *ctx, uint16_t cls, int l, struct found *f) {
  int64_t *rows = NULL;
  size_t n = 0;
  int e = wrap_ids(s, patient_leaf(p, cls, l)->object_loc, &rows, &n);
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    struct item *it = found_room(f);
    e = it ? tick_open(s, p, cls, l, rows[i], it) : DMP_E_NOMEM;
    if (e == DMP_OK || it == NULL) continue;
    item_close(&f->it[--f->n]);
    e = e == DMP_E_NOT_FOUND ? DMP_OK : scan_fault(w, ctx, e);
  }
  free(rows);
  return e;
}

static int scan_ticks(struct session *s, struct patient *p, const struct scan *w, void *ctx, struct found *f) {
  int e = DMP_OK;
  const struct entry *en;
  for (size_t i = 0; e == DMP_OK && (en = patient_entry(p, i)) != NULL; i++) {
    if (en->cls < w->first || en->cls > w->last) continue;
    struct way way[2];
    for (size_t k = 0, ways = entry_ways(p, en, way); e == DMP_OK && k < ways; k++)
      if ((!w->hidden || way[k].leaf & 1) && (!w->masked || way[k].leaf >= 2)) e = scan_ticked(s, p, w, ctx, en->cls, way[k].leaf, f);
  }
  return e;
}

static int scan_collect(struct session *s, struct patient *p, const struct scan *w, void *ctx, struct found *f) {
  struct raws a = { 0 };
  int e = w->pool ? DMP_OK : scan_leaves(s, p, w, ctx, &a);
  if (e == DMP_OK) e = raws_at(s, &a, p->deposit_loc, (struct raw){ .via = VIA_DEPOSIT });
  for (size_t i = 0; e == DMP_OK && i < a.n; i++) {
    struct item *it = found_room(f);
    if (it == NULL) e = DMP_E_NOMEM;
    else if (a.r[i].via == VIA_LEAF) {
      e = item_open_leaf(s, p, &a, &a.r[i], it);
      /* who holds the leaf could hide an item from a mask of its episode: only a check of everything looks */
      if (e == DMP_OK && w->bad && mark_of(object_leaf(p, item_place(it)), it) != a.r[i].mark)
        e = scan_fault(w, ctx, record_fault(s->r, DMP_E_STATE_BAD, "dmp_object", it->id));
    }
    else if ((e = scan_deposit(s, p, w, &a, &a.r[i], it)) == DMP_E_NOT_FOUND) {
      item_close(&f->it[--f->n]);
      e = DMP_OK;
    }
    if (e != DMP_OK && it) {
      record_fault(s->r, e, "dmp_object", a.r[i].id);
      item_close(&f->it[--f->n]);
      e = scan_fault(w, ctx, e);
    }
  }
  raws_free(&a);
  if (e == DMP_OK && p->g.basis == BASIS_VIEW) e = scan_ticks(s, p, w, ctx, f);
  for (int own = 0; e == DMP_OK && w->own && own < p->owns; own++) e = scan_own(s, p, own, w, ctx, f);
  return e;
}

int object_scan(struct session *s, struct patient *p, const struct scan *w, int (*each)(void *ctx, struct item *it), void *ctx) {
  struct found f = { 0 };
  int e = scan_collect(s, p, w, ctx, &f);
  if (e == DMP_OK && f.n > 1) qsort(f.it, f.n, sizeof *f.it, by_item_id);
  for (size_t i = 0; e == DMP_OK && i < f.n; i++)
    if (!item_withheld(s, p, &f.it[i]) || w->all) e = each(ctx, &f.it[i]);
  found_free(&f);
  return e;
}

/* ---- one item ---- */

static int object_open_raw(struct session *s, struct patient *p, const struct raws *a, struct raw *r, const uint8_t loc[16], struct item *it) {
  const struct entry *en;
  for (size_t i = 0; (en = patient_entry(p, i)) != NULL; i++) {
    struct way w[2];
    for (size_t k = 0, ways = entry_ways(p, en, w); k < ways; k++) {
      if (memcmp(w[k].l->object_loc, loc, 16) != 0) continue;
      r->cls = en->cls;
      r->leaf = w[k].leaf;
      r->circle = en->circle;
      int e = item_open_leaf(s, p, a, r, it);
      return e == DMP_OK ? e : record_fault(s->r, e, "dmp_object", r->id);
    }
  }
  if (memcmp(p->deposit_loc, loc, 16) == 0) return item_open_deposit(s, p, a, r, 0, UINT16_MAX, it);
  return DMP_E_NOT_FOUND;
}

/* By the wrap that its depositor keeps. */
static int object_open_own(struct session *s, struct patient *p, int64_t id, struct item *it) {
  int e = DMP_E_NOT_FOUND;
  for (int which = 0; e == DMP_E_NOT_FOUND && which < p->owns; which++) {
    int64_t *own = NULL;
    size_t n = 0;
    int own_e = wrap_ids(s, p->own_loc[which], &own, &n);
    for (size_t i = 0; own_e == DMP_OK && e == DMP_E_NOT_FOUND && i < n; i++) {
      own_e = own_wrap_open(s, p, own[i], it);
      if (own_e == DMP_OK && it->id == id) e = item_open_own(s, p, own[i], it);
    }
    if (own_e != DMP_OK) e = own_e;
    free(own);
  }
  return e;
}

int object_open_all(struct session *s, struct patient *p, int64_t id, int all, struct item *it) {
  struct raws a = { 0 };
  uint8_t loc[16];
  memset(it, 0, sizeof *it);
  int e = raws_by_id(s, &a, id, loc);
  if (e == DMP_OK) e = object_open_raw(s, p, &a, &a.r[0], loc, it);
  if (e == DMP_E_NOT_FOUND && p->g.basis == BASIS_VIEW) {
    item_close(it);
    e = tick_find(s, p, id, it);
  } else if (e == DMP_E_NOT_FOUND) {
    e = object_open_own(s, p, id, it);
  }
  if (e == DMP_OK && item_withheld(s, p, it) && !all) e = DMP_E_NOT_FOUND;
  if (e == DMP_OK && it->c.wrap_row && own_which(p, it->c.wrap_loc) >= 0) it->own_row = it->c.wrap_row;
  raws_free(&a);
  if (e != DMP_OK) item_close(it);
  return e;
}

int object_open(struct session *s, struct patient *p, int64_t id, struct item *it) { return object_open_all(s, p, id, 0, it); }

static size_t seen_slot(int64_t object) { return ((uint64_t)object * 0x9E3779B97F4A7C15u) >> 48; }

void object_seen(struct session *s, int64_t object, int64_t patient) {
  _Static_assert(SEEN == 65536, "seen_slot gives 16 bits");
  if (s->seen == NULL) s->seen = calloc(SEEN, sizeof *s->seen);
  if (s->seen == NULL) return;                        /* only a hint */
  s->seen[seen_slot(object)].object = object;
  s->seen[seen_slot(object)].patient = patient;
}

int64_t object_met(const struct session *s, int64_t object) {
  return s->seen && s->seen[seen_slot(object)].object == object ? s->seen[seen_slot(object)].patient : 0;
}

/* Opens the object with whom the finder knows under the key. */
static int find_met(struct session *s, uint64_t key, int64_t id, struct patient **p, struct item *it) {
  int64_t patient;
  for (size_t probe = 0; (patient = finder_next(&s->finder, key, &probe)) != 0;) {
    int e = patient_get(s, patient, p);
    if (e == DMP_OK) e = object_open(s, *p, id, it);
    if (e == DMP_OK) object_seen(s, id, patient);
    if (e != DMP_E_NOT_FOUND && e != DMP_E_NO_PATIENT) return e;
  }
  return DMP_E_NOT_FOUND;
}

static int find_leaves(struct session *s, struct patient *p) {
  int e = finder_add(&s->finder, le_get64(p->deposit_loc), p->id);
  const struct entry *en;
  for (size_t i = 0; (en = patient_entry(p, i)) != NULL; i++) {
    struct way w[2];
    for (size_t k = 0, ways = entry_ways(p, en, w); e == DMP_OK && k < ways; k++) e = finder_add(&s->finder, le_get64(w[k].l->object_loc), p->id);
  }
  return e;
}

static int find_deposits(struct session *s, struct patient *p) {
  int e = DMP_OK;
  for (int own = 0; e == DMP_OK && own < p->owns; own++) {
    int64_t *rows = NULL;
    size_t n = 0;
    e = wrap_ids(s, p->own_loc[own], &rows, &n);
    for (size_t i = 0; e == DMP_OK && i < n; i++) {
      struct item it = { 0 };
      e = own_wrap_open(s, p, rows[i], &it);
      if (e == DMP_OK) e = finder_add(&s->finder, (uint64_t)it.id, p->id);
      item_close(&it);
    }
    free(rows);
  }
  return e;
}

/* Patient after patient is added to the finder, by his locators or by what was deposited with him, until it knows the key. */
static int find_on(struct session *s, size_t *done, int (*add)(struct session *s, struct patient *p), uint64_t key, int64_t id,
                   struct patient **p, struct item *it) {
  int e = DMP_E_NOT_FOUND;
  while (e == DMP_E_NOT_FOUND && *done < s->owns) {
    size_t i = *done;
    if (i == 0 || s->own[i].patient != s->own[i - 1].patient) {
      e = patient_get(s, s->own[i].patient, p);
      if (e == DMP_OK) e = add(s, *p);
      if (e == DMP_OK) e = find_met(s, key, id, p, it);
      else if (e == DMP_E_NO_PATIENT) e = DMP_E_NOT_FOUND;
    }
    if (e == DMP_OK || e == DMP_E_NOT_FOUND) *done = i + 1;
  }
  return e;
}

/* The locator of a row. Where there is none the row before it is read instead, and its locator turned into one that nobody's leaf
 * has: whether an id that opens to nobody here exists is no question of time either. So the row is sought as the last one below the
 * next id, which is never there. */
static int object_loc(struct session *s, int64_t id, uint8_t loc[16]) {
  memset(loc, 0, 16);
  sqlite3_stmt *st = record_stmt(s->r, STMT_OBJECT_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, id < INT64_MAX ? id + 1 : id);
  int rc = sqlite3_step(st);
  if (rc == SQLITE_ROW && sqlite3_column_bytes(st, 1) == 16) {
    const uint8_t *got = sqlite3_column_blob(st, 1), turn = sqlite3_column_int64(st, 0) == id ? 0 : 0xA5;
    for (int i = 0; i < 16; i++) loc[i] = got[i] ^ turn;
  }
  sqlite3_reset(st);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? DMP_OK : record_sql_fault(s->r);
}

/* An id that exists for others and one that doesn't exist take the same way. */
int object_find(struct session *s, int64_t id, struct patient **p, struct item *it) {
  struct finder *f = &s->finder;
  uint8_t loc[16];
  int e = patient_own(s);
  if (e == DMP_OK && s->view) {                       /* of one patient, by locators that no other login has */
    e = patient_get(s, s->principal, p);
    return e == DMP_OK ? object_open(s, *p, id, it) : e == DMP_E_NO_PATIENT ? DMP_E_NOT_FOUND : e;
  }
  if (e == DMP_OK && s->seen && s->seen[seen_slot(id)].object == id) {
    e = patient_get(s, s->seen[seen_slot(id)].patient, p);
    if (e == DMP_OK) e = object_open(s, *p, id, it);
    if (e != DMP_E_NOT_FOUND && e != DMP_E_NO_PATIENT) return e;
    e = DMP_OK;
  }
  if (e == DMP_OK) e = object_loc(s, id, loc);
  if (e != DMP_OK) return e;
  e = find_met(s, le_get64(loc), id, p, it);
  if (e == DMP_E_NOT_FOUND && f->generation != s->generation) finder_begin(f, s->generation);
  if (e == DMP_E_NOT_FOUND) e = find_on(s, &f->leaves, find_leaves, le_get64(loc), id, p, it);
  if (e == DMP_E_NOT_FOUND) e = find_met(s, (uint64_t)id, id, p, it);
  if (e == DMP_E_NOT_FOUND) e = find_on(s, &f->deposits, find_deposits, (uint64_t)id, id, p, it);
  return e;
}

int object_certified(struct session *s, struct patient *p, const struct item *it) {
  const struct certificate *c;
  uint8_t digest[32];
  int e = patient_certificate(s, p, &c);
  suite_hash(it->c.row, it->c.row_len, digest, 32);
  if (e == DMP_OK && memcmp(digest, c->identity, 32) != 0) e = record_fault(s->r, DMP_E_SIGNATURE, "dmp_object", it->id);
  return e;
}

/* Who registers patients also says under which number a practice knows them. */
static int names_patients(struct session *s, const struct item *it) {
  const struct certificate *c = it->c.table == ITEM_IDENTITY ? directory_by_hash(&s->dir, it->c.depositor_cert) : NULL;
  return c && (c->kind == KIND_AUTHORITY || c->rights & RIGHT_REGISTER_PATIENTS);
}

int object_trusted(struct session *s, struct patient *p, const struct item *it) {
  int e = object_verify(s, p, it);
  if (e == DMP_OK && !patient_trusts(s, p, it->c.depositor_cert) && !names_patients(s, it)) e = record_fault(s->r, DMP_E_SIGNATURE, "dmp_object", it->id);
  return e;
}

int object_verify(struct session *s, struct patient *p, const struct item *it) {
  const struct certificate *d = NULL;
  int e = DMP_OK;
  if (memcmp(it->c.depositor_cert, p->g.patient_cert, 32) == 0) e = patient_certificate(s, p, &d);
  else d = patient_who_hash(s, p, it->c.depositor_cert);
  if (e != DMP_OK) return e;                          /* not the item's fault */
  e = d != NULL && memcmp(d->principal, it->c.depositor, 16) == 0 ? item_signed(s->r->id, it, d->sign_pk) : DMP_E_SIGNATURE;
  return e == DMP_OK ? e : record_fault(s->r, e, "dmp_object", it->id);
}

/* ---- writing ---- */

static int header_seal(struct session *s, const struct item *it, const struct buf *plain, struct buf *box) {
  struct box_ad ad = header_ad(s, it->id, it->version);
  buf_reset(box);
  return plain->bad ? DMP_E_NOMEM : box_seal(s->r->suite, it->header_key, &ad, plain->p, plain->n, PAD_PADME, NULL, box);
}

static int wrap_seal(struct session *s, const struct item *it, uint16_t table, int64_t row, const uint8_t *loc, const uint8_t *key,
                     const uint8_t *to_pk, const uint8_t *anchor, struct buf *box) {
  uint8_t w[WRAP_BYTES];
  struct box_ad ad = wrap_ad(s, table, row, loc);
  item_wrap_write(it, w);
  buf_reset(box);
  int e = key ? box_seal(s->r->suite, key, &ad, w, sizeof w, PAD_NONE, NULL, box)
              : box_seal_to(to_pk, anchor, &ad, w, sizeof w, PAD_NONE, box);
  bytes_wipe(w, sizeof w);
  return e;
}

static int state_change(struct session *s, struct patient *p, struct leaf *l, int64_t id, uint64_t version, const uint8_t *tag,
                        const int64_t *mark /* NULL: none */, int by) {
  struct state st;
  int e = state_get(s, p->id, l, &st);
  if (e == DMP_E_STATE_BAD && st.row == 0 && version == 0) e = DMP_OK;   /* the first own deposit */
  if (e != DMP_OK) return e;
  state_term(&st, l, id, version, tag);
  if (mark) state_mark(&st, l, id, *mark);
  st.count += (uint64_t)(int64_t)by;
  return state_put(s, p->id, l, &st);
}

static int object_row(struct session *s, enum record_stmt which, const struct item *it, const uint8_t loc[16], int64_t mark, const struct buf *wrap,
                      const struct buf *header) {
  sqlite3_stmt *st = record_stmt(s->r, which);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, it->id);
  sqlite3_bind_blob(st, 2, loc, 16, SQLITE_STATIC);
  sqlite3_bind_blob64(st, 3, wrap->p, wrap->n, SQLITE_STATIC);
  sqlite3_bind_int64(st, 4, (int64_t)it->version);
  sqlite3_bind_blob64(st, 5, header->p, header->n, SQLITE_STATIC);
  sqlite3_bind_int64(st, 6, mark);
  return record_run(s->r, st);                        /* OBJECT_SET takes the amend box away: it was folded */
}

int object_exists(struct session *s, int64_t id, int *yes) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_OBJECT_VERSION);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, id);
  int rc = sqlite3_step(st);
  *yes = rc == SQLITE_ROW;
  sqlite3_reset(st);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? DMP_OK : record_sql_fault(s->r);
}

int object_new_id(struct session *s, int64_t *id) {
  int e = DMP_OK, taken = 1;
  while (e == DMP_OK && taken) {                      /* a collision, also with a row that nobody here sees, is drawn again */
    uint32_t bits = 0;
    if ((e = random_bytes("object", &bits, sizeof bits)) != DMP_OK) break;
    *id = id_make(record_now(), bits & 0x1FFFFF);
    e = object_exists(s, *id, &taken);
  }
  return e;
}

/* The depositor's own wrap and state, which nobody else can write. */
static int own_insert(struct session *s, struct patient *p, const struct item *it, int64_t row, const uint8_t signature[SUITE_SIG]) {
  struct buf box = { 0 };
  struct leaf own;
  uint8_t tag[16];
  own_tag(signature, tag);
  own_leaf_state(p, 0, &own);
  int e = wrap_seal(s, it, IN_WRAP, row, p->own_loc[0], p->own_leaf[0], NULL, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_WRAP_PUT, p->own_loc[0], &box, row);
  if (e == DMP_OK) e = state_change(s, p, &own, it->id, 0, tag, NULL, 1);   /* version 0: the own state's terms have none */
  buf_free(&box);
  bytes_wipe(&own, sizeof own);
  return e;
}

static int object_place(struct session *s, struct patient *p, const struct item *it, struct place where, const struct buf *header) {
  struct buf wrap = { 0 };
  struct leaf *l = object_leaf(p, where);
  int e;
  if (where.circle && !l->held) return DMP_E_FULL_HOLDER;
  if (l->held && !where.sealed) {
    int64_t mark = mark_of(l, it);
    e = wrap_seal(s, it, IN_OBJECT, it->id, l->object_loc, l->key, NULL, NULL, &wrap);
    if (e == DMP_OK) e = object_row(s, STMT_OBJECT_PUT, it, l->object_loc, mark, &wrap, header);
    if (e == DMP_OK) e = state_change(s, p, l, it->id, it->version, box_tag(header->p, header->n), &mark, 1);
  } else {
    struct keyset *k;
    e = patient_keyset(s, p, &k);
    struct keyset_class *c = e == DMP_OK ? keyset_class(k, where.cls) : NULL;
    if (e == DMP_OK && c == NULL) e = DMP_E_KEYSET_BAD;
    if (e == DMP_OK) e = wrap_seal(s, it, IN_OBJECT, it->id, p->deposit_loc, NULL, c->deposit[where.leaf], p->anchor, &wrap);
    if (e == DMP_OK) e = object_row(s, STMT_OBJECT_PUT, it, p->deposit_loc, 0, &wrap, header);
  }
  buf_free(&wrap);
  return e;
}

int object_insert(struct session *s, struct patient *p, const struct signer *who, struct place where, struct content *c,
                  const uint8_t body_key[32], int64_t *id) {
  struct item it = { .version = 1, .minimum = 1 };
  struct buf plain = { 0 }, header = { 0 };
  int e = *id ? DMP_OK : object_new_id(s, id);
  it.id = *id;
  c->patient = p->id;
  c->version = 1;
  memcpy(c->depositor, who->cred->principal, 16);
  memcpy(c->depositor_cert, who->cert_hash, 32);
  if (body_key) memcpy(it.body_key, body_key, 32);
  if (e == DMP_OK && item_deposited(c->table) && s->me.kind != KIND_SOURCE) {   /* a source keeps nothing that it could read */
    e = record_random_id(&c->wrap_row);
    memcpy(c->wrap_loc, p->own_loc[0], 16);
  }
  if (e == DMP_OK) e = random_bytes("header key", it.header_key, 32);
  if (e == DMP_OK) e = item_write(s->r->id, it.id, c, who->cred->sign_sk, &plain);
  if (e == DMP_OK) e = header_seal(s, &it, &plain, &header);
  it.c = *c;
  if (e == DMP_OK) e = object_place(s, p, &it, where, &header);
  if (e == DMP_OK && c->wrap_row) e = grant_note(s, p);
  if (e == DMP_OK && c->wrap_row) e = own_insert(s, p, &it, c->wrap_row, plain.p + plain.n - SUITE_SIG - 2);
  if (e == DMP_OK) object_seen(s, it.id, p->id);
  buf_free(&plain);
  buf_free(&header);
  item_close(&it);
  return e;
}

/* The depositor's wrap follows the new header key: under the own leaf for oneself, else sealed to the certificate, and never to one
 * whose key was renewed since. */
static int own_reseal(struct session *s, struct patient *p, const struct item *it) {
  struct buf box = { 0 };
  if (it->c.wrap_row == 0) return DMP_OK;
  const struct certificate *d = patient_who_hash(s, p, it->c.depositor_cert);
  if (d != NULL) d = patient_who(s, p, d->principal);
  if (d == NULL) return DMP_E_CERT_BAD;
  int mine = memcmp(it->c.depositor, s->cred->principal, 16) == 0 && memcmp(it->c.wrap_loc, p->own_loc[0], 16) == 0;
  int e = wrap_seal(s, it, IN_WRAP, it->c.wrap_row, it->c.wrap_loc, mine ? p->own_leaf[0] : NULL, d->box_pk, p->anchor, &box);
  sqlite3_stmt *st = e == DMP_OK ? record_stmt(s->r, STMT_WRAP_SET) : NULL;
  if (st) {
    sqlite3_bind_int64(st, 1, it->c.wrap_row);
    sqlite3_bind_blob64(st, 2, box.p, box.n, SQLITE_STATIC);
  }
  if (e == DMP_OK) e = record_run(s->r, st);
  buf_free(&box);
  return e;
}

/* The mark that the state counts is the row's. Where it is not the true one, the key turned since the item was opened, and the row has another; or the state
 * says who made it: somebody with the key, and then the item takes a true one where it goes; or the host, and then nothing is written. */
static int mark_check(struct session *s, struct patient *p, struct leaf *from, struct item *it) {
  struct raws a = { 0 };
  struct state stored;
  if (it->mark == mark_of(from, it)) return DMP_OK;
  int e = raws_at(s, &a, from->object_loc, (struct raw){ 0 });
  if (e == DMP_OK) e = raws_state(s, p->id, &a, 0, from, &stored);
  for (size_t i = 0; e == DMP_OK && i < a.n; i++)
    if (a.r[i].id == it->id) it->mark = a.r[i].mark;
  raws_free(&a);
  return e;
}

/* Seals a header again under a new key, at version + 1, in leaf `to`; states of both leaves follow. */
static int object_reseal(struct session *s, struct patient *p, struct item *it, struct leaf *from, struct leaf *to,
                         const struct buf *plain) {
  struct buf header = { 0 }, wrap = { 0 };
  uint64_t old_version = it->version;
  int e = mark_check(s, p, from, it);
  int64_t was = it->mark, mark = mark_of(to, it);
  if (e == DMP_OK) e = random_bytes("header key", it->header_key, 32);
  it->minimum = ++it->version;
  if (e == DMP_OK) e = header_seal(s, it, plain, &header);
  if (e == DMP_OK) e = wrap_seal(s, it, IN_OBJECT, it->id, to->object_loc, to->key, NULL, NULL, &wrap);
  if (e == DMP_OK) e = object_row(s, STMT_OBJECT_SET, it, to->object_loc, mark, &wrap, &header);
  if (e == DMP_OK) e = own_reseal(s, p, it);
  if (e == DMP_OK) e = state_change(s, p, from, it->id, old_version, it->tag, &was, -1);
  it->mark = mark;
  if (e == DMP_OK) memcpy(it->tag, box_tag(header.p, header.n), 16);
  if (e == DMP_OK) e = state_change(s, p, to, it->id, it->version, it->tag, &mark, 1);
  buf_free(&header);
  buf_free(&wrap);
  return e;
}

int object_move(struct session *s, struct patient *p, struct item *it, struct place to) {
  struct leaf *from = object_leaf(p, item_place(it)), *dest = object_leaf(p, to);
  struct buf plain = { 0 };
  uint8_t action = 0, sig[SUITE_SIG];
  int64_t at = 0;
  if (it->via != VIA_LEAF || !from->held || !dest->held) return DMP_E_FULL_HOLDER;
  int e = object_verify(s, p, it);
  int amended = e == DMP_OK && amend_read(s, p, it, &action, &at, sig);
  if (e == DMP_OK) item_fold(it, action, at, amended ? sig : NULL, &plain);
  if (e == DMP_OK) e = object_reseal(s, p, it, from, dest, &plain);
  if (e == DMP_OK) {
    it->cls = to.cls;
    it->leaf = (uint8_t)to.leaf;
    it->circle = to.circle;
  }
  bytes_wipe(plain.p, plain.n);
  buf_free(&plain);
  return e;
}

int object_tick(struct session *s, struct patient *v, const struct item *it, int again) {
  struct leaf *l = patient_leaf(v, it->cls, item_deposited(it->c.table) ? it->leaf & 1 : it->leaf);
  int64_t row = tick_row(l, it->id);
  struct item w = *it;
  struct buf box = { 0 };
  w.minimum = it->version;                            /* the version that is shown: a later one is another decision */
  int e = l->held ? wrap_seal(s, &w, IN_WRAP, row, l->object_loc, l->key, NULL, NULL, &box) : DMP_E_NOT_ALLOWED;
  bytes_wipe(&w, sizeof w);
  if (e == DMP_OK && !again) e = record_put(s->r, STMT_WRAP_PUT, l->object_loc, &box, row);
  sqlite3_stmt *st = e == DMP_OK && again ? record_stmt(s->r, STMT_WRAP_SET) : NULL;
  if (st) {
    sqlite3_bind_int64(st, 1, row);
    sqlite3_bind_blob64(st, 2, box.p, box.n, SQLITE_STATIC);
  }
  if (e == DMP_OK && again) e = record_run(s->r, st);
  buf_free(&box);
  return e;
}

int object_own_state(struct session *s, struct patient *p, int gone) {
  struct leaf own;
  struct state st = { 0 };
  own_leaf_state(p, 0, &own);
  int e = gone ? state_get(s, p->id, &own, &st) : DMP_OK;
  if (e == DMP_OK) e = gone ? state_drop(s, &st) : state_put(s, p->id, &own, &st);
  bytes_wipe(&own, sizeof own);
  return e;
}

int object_rewrite(struct session *s, struct patient *p, struct item *it, const struct buf *row) {
  struct leaf *l = object_leaf(p, item_place(it));
  struct content c = it->c;
  struct buf plain = { 0 };
  c.row = row->p;
  c.row_len = row->n;
  memcpy(c.depositor, s->cred->principal, 16);
  memcpy(c.depositor_cert, s->me.hash, 32);
  int e = row->bad ? DMP_E_NOMEM : item_write(s->r->id, it->id, &c, s->cred->sign_sk, &plain);
  if (e == DMP_OK) e = object_reseal(s, p, it, l, l, &plain);
  buf_free(&plain);
  return e;
}

int object_drop(struct session *s, struct patient *p, struct item *it) {
  struct leaf *l = object_leaf(p, item_place(it));
  int e = mark_check(s, p, l, it);
  sqlite3_stmt *st = e == DMP_OK ? record_stmt(s->r, STMT_OBJECT_DROP) : NULL;
  if (st) sqlite3_bind_int64(st, 1, it->id);
  if (e == DMP_OK) e = record_run(s->r, st);
  return e == DMP_OK ? state_change(s, p, l, it->id, it->version, it->tag, &it->mark, -1) : e;
}

int object_amend(struct session *s, struct patient *p, struct item *it, uint8_t action) {
  struct buf plain = { 0 }, box = { 0 };
  uint8_t key[32];
  (void)p;
  suite_kdf_text(it->header_key, "amend", key);
  item_amend_write(s->r->id, it, action, record_now(), s->cred->sign_sk, &plain);
  struct box_ad ad = amend_ad(s, it->id);
  int e = plain.bad ? DMP_E_NOMEM : box_seal(s->r->suite, key, &ad, plain.p, plain.n, PAD_NONE, NULL, &box);
  sqlite3_stmt *st = e == DMP_OK ? record_stmt(s->r, STMT_OBJECT_AMEND) : NULL;
  if (st) {
    sqlite3_bind_int64(st, 1, it->id);
    sqlite3_bind_blob64(st, 2, box.p, box.n, SQLITE_STATIC);
  }
  if (e == DMP_OK) e = record_run(s->r, st);
  bytes_wipe(key, sizeof key);
  buf_free(&plain);
  buf_free(&box);
  return e;
}

static int object_set_place(struct session *s, const struct item *it, const struct leaf *to, int64_t mark) {
  struct buf wrap = { 0 };
  int e = wrap_seal(s, it, IN_OBJECT, it->id, to->object_loc, to->key, NULL, NULL, &wrap);
  sqlite3_stmt *st = e == DMP_OK ? record_stmt(s->r, STMT_OBJECT_MOVE) : NULL;
  if (st) {
    sqlite3_bind_int64(st, 1, it->id);
    sqlite3_bind_blob(st, 2, to->object_loc, 16, SQLITE_STATIC);
    sqlite3_bind_blob64(st, 3, wrap.p, wrap.n, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, mark);
  }
  if (e == DMP_OK) e = record_run(s->r, st);
  buf_free(&wrap);
  return e;
}

/* An item as its wrap under a leaf opens it, with its content: its mark under another leaf follows from that. One whose header was altered is an error
 * here too: with a mark that says nothing, and its header put back later, it would stay where a mask of its episode does not find it. */
static int rewrap_open(struct session *s, const struct raws *a, const struct raw *r, const struct leaf *from, struct item *it) {
  const uint8_t *b;
  size_t n;
  struct box_ad ad = wrap_ad(s, IN_OBJECT, r->id, from->object_loc), had = header_ad(s, r->id, r->version);
  int e = session_open_box(s, from->key, &ad, a->arena.p + r->wrap, r->wrap_n, &b, &n);
  if (e == DMP_OK) e = item_wrap_parse(b, n, it);
  if (e == DMP_OK && (it->id != r->id || r->version < it->minimum)) e = DMP_E_TAMPERED;
  if (e == DMP_OK) e = box_open(it->header_key, &had, a->arena.p + r->header, r->header_n, &it->plain, &b, &n);
  if (e != DMP_OK) return e;
  memmove(it->plain.p, b, n);
  it->plain.n = n;
  return item_parse(it);
}

int object_rewrap(struct session *s, struct patient *p, struct leaf *from, struct leaf *to) {
  struct raws a = { 0 };
  struct state st;
  int e = raws_at(s, &a, from->object_loc, (struct raw){ 0 });
  if (e == DMP_OK) e = raws_state(s, p->id, &a, 0, from, &st);
  memset(st.sum, 0, 16);
  memset(st.marks, 0, 16);
  for (size_t i = 0; e == DMP_OK && i < a.n; i++) {
    struct item it = { 0 };
    int64_t mark = 0;
    e = rewrap_open(s, &a, &a.r[i], from, &it);
    if (e == DMP_OK) e = object_set_place(s, &it, to, mark = mark_of(to, &it));
    if (e == DMP_OK) state_term(&st, to, it.id, a.r[i].version, box_tag(a.arena.p + a.r[i].header, a.r[i].header_n));
    if (e == DMP_OK) state_mark(&st, to, it.id, mark);
    else if (e != DMP_E_SQL) record_fault(s->r, e, "dmp_object", a.r[i].id);
    item_close(&it);
  }
  if (e == DMP_OK) e = state_put(s, p->id, to, &st);
  raws_free(&a);
  return e;
}

int object_adopt(struct session *s, struct patient *p, unsigned *masked) {
  struct raws a = { 0 };
  *masked = 0;
  int e = raws_at(s, &a, p->deposit_loc, (struct raw){ 0 });
  for (size_t i = 0; e == DMP_OK && i < a.n; i++) {
    struct item it = { 0 };
    /* One that doesn't open or isn't signed is kept where it is and reported by dmp_verify: it must not stop a rotation. */
    if (item_open_deposit(s, p, &a, &a.r[i], 0, UINT16_MAX, &it) == DMP_OK && object_verify(s, p, &it) == DMP_OK) {
      struct leaf *l = patient_leaf(p, it.cls, it.leaf);
      /* what lies masked waits for who may say where it belongs: a representative, who holds half of M, leaves it */
      if (it.leaf >= 2 && !patient_leaf(p, it.cls, 3)->held) l = NULL;
      int64_t mark = l ? mark_of(l, &it) : 0;
      if (l) e = object_set_place(s, &it, l, mark);
      if (l && e == DMP_OK) e = state_change(s, p, l, it.id, it.version, it.tag, &mark, 1);
      *masked += l && it.leaf >= 2;
    }
    item_close(&it);
  }
  raws_free(&a);
  return e;
}

int object_waiting(struct session *s, struct patient *p, uint8_t flag, int tell, int *some) {
  struct raws a = { 0 };
  int e = raws_at(s, &a, p->deposit_loc, (struct raw){ 0 });
  *some = 0;
  for (size_t i = 0; e == DMP_OK && !*some && i < a.n; i++) {
    struct item it = { 0 };
    if (item_open_deposit(s, p, &a, &a.r[i], 0, UINT16_MAX, &it) == DMP_OK)
      *some = (it.c.flags & flag) != 0 && !episode_shades(s, p, &it) && !(tell && s->principal == p->id && follow_withheld(s, p, &it));
    item_close(&it);
  }
  raws_free(&a);
  return e;
}
