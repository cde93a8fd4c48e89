/* holder.c: giving, withdrawing and rotating keys (see holder.h). */
#include "holder.h"
#include "access.h"
#include "anchor.h"
#include "memory.h"
#include "random.h"
#include "syntax.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- the list of grantees: one blob of fixed entries ---- */
enum { GRANTEE_BYTES = 16 + 32 + 16 + 8 + 8 + 8 + 1 };

void grantees_free(struct grantees *g) {
  free(g->g);
  *g = (struct grantees){ 0 };
}

static void take(uint8_t *to, struct rd *r, size_t n) {
  const uint8_t *p = rd_bytes(r, n);
  if (p) memcpy(to, p, n);
}

static int grantees_parse(const struct item *it, struct grantees *out) {
  struct value v;
  size_t count, used;
  int e = row_get(it->c.row, it->c.row_len, &v, 1, &count, &used);
  if (e != DMP_OK || v.type != VALUE_BLOB || v.n % GRANTEE_BYTES) return DMP_E_ROW_FORMAT;
  struct rd r = { v.u.p, v.n, 0 };
  out->n = 0;
  out->g = calloc(v.n / GRANTEE_BYTES + 1, sizeof *out->g);   /* room for one more */
  if (out->g == NULL) return DMP_E_NOMEM;
  while (r.n > 0) {
    struct grantee *g = &out->g[out->n++];
    take(g->principal, &r, 16);
    take(g->cert, &r, 32);
    take(g->mail, &r, 16);
    g->grant_id = (int64_t)rd_u64(&r);
    g->since = (int64_t)rd_u64(&r);
    g->until = (int64_t)rd_u64(&r);
    g->as = rd_u8(&r);
  }
  return DMP_OK;
}

static void grantees_row(const struct grantees *gs, struct buf *row) {
  struct buf b = { 0 };
  for (size_t i = 0; i < gs->n; i++) {
    const struct grantee *g = &gs->g[i];
    buf_put(&b, g->principal, 16);
    buf_put(&b, g->cert, 32);
    buf_put(&b, g->mail, 16);
    buf_u64(&b, (uint64_t)g->grant_id);
    buf_u64(&b, (uint64_t)g->since);
    buf_u64(&b, (uint64_t)g->until);
    buf_u8(&b, g->as);
  }
  struct value v = value_bytes(VALUE_BLOB, b.p, b.n);
  row_put(row, &v, 1);
  if (b.bad) row->bad = 1;
  buf_free(&b);
}

static const struct scan CHOICES = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };

static int take_grantees(void *ctx, struct item *it) {
  struct item *out = ctx;
  if (it->c.table != ITEM_GRANTEES) return DMP_OK;
  *out = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

static int grantees_open(struct session *s, struct patient *p, struct item *it, struct grantees *out) {
  memset(it, 0, sizeof *it);
  int e = object_scan(s, p, &CHOICES, take_grantees, it);
  if (e == DMP_OK && it->id == 0) e = DMP_E_NOT_FOUND;
  return e == DMP_OK ? grantees_parse(it, out) : e;
}

int grantees_read(struct session *s, struct patient *p, struct grantees *out) {
  struct item it;
  int e = grantees_open(s, p, &it, out);
  item_close(&it);
  return e;
}

static struct grantee *grantee_find(struct grantees *gs, const uint8_t principal[16]) {
  for (size_t i = 0; i < gs->n; i++)
    if (memcmp(gs->g[i].principal, principal, 16) == 0) return &gs->g[i];
  return NULL;
}

/* ---- beginning a write ---- */

int writer_begin(struct session *s, int64_t patient, struct patient **out) {
  struct keyset *k;
  int e = patient_get(s, patient, out);
  if (e == DMP_OK) e = grant_adopt_packets(s, *out);
  if (e == DMP_OK) e = patient_keyset(s, *out, &k);
  if (e == DMP_OK) e = object_adopt(s, *out);
  return e;
}

int holder_is_full(struct session *s, struct patient *p, int *full) {
  struct keyset *k;
  int e = patient_keyset(s, p, &k);
  *full = e == DMP_OK && (p->id == s->principal || (memcmp(k->treating, s->cred->principal, 16) == 0 && memcmp(k->treating_cert, s->me.hash, 32) == 0)) &&
          patient_key(p, CLASS_CHOICES, WHICH_P) && patient_key(p, CLASS_CHOICES, WHICH_M);
  return e;
}

int holder_begin(struct session *s, int64_t patient, struct patient **p) {
  int full = 0;
  int e = writer_begin(s, patient, p);
  if (e == DMP_OK) e = holder_is_full(s, *p, &full);
  return e == DMP_OK && !full ? DMP_E_FULL_HOLDER : e;
}

/* ---- a change of keys ---- */

/* One change: which keys turn, who gets what afterwards. */
struct change {
  struct session *s;
  struct patient *p;
  struct signer by;                                   /* who gives: the session, or the patient being enrolled */
  struct item list_item;
  struct grantees list;
  struct keyset next;                                 /* the keyset that will be written */
  uint8_t turned[CLASSES_MAX];                        /* bits KEY_P, KEY_M by index in next.c */
  const struct grantee *first;                        /* gets a first grant at the inbox instead of a packet; NULL */
};

static int change_begin(struct session *s, struct patient *p, struct change *c) {
  struct keyset *k;
  memset(c, 0, sizeof *c);
  c->s = s;
  c->p = p;
  c->by = (struct signer){ s->cred, s->me.hash };
  int e = patient_keyset(s, p, &k);
  if (e == DMP_OK) e = grantees_open(s, p, &c->list_item, &c->list);
  if (e == DMP_OK) {
    c->next = *k;
    c->next.seq = k->seq + 1;
    memcpy(c->next.previous, k->hash, 32);
  }
  return e;
}

static void change_end(struct change *c) {
  item_close(&c->list_item);
  grantees_free(&c->list);
}

static uint16_t profession_of(struct change *c, const struct grantee *g) {
  const struct certificate *who = patient_who_hash(c->s, c->p, g->cert);
  return who ? who->profession : 0;
}

static unsigned grantee_keys(struct change *c, const struct grantee *g, uint16_t cls) {
  return rights_keys((enum reader)g->as, profession_of(c, g), cls);
}

static void deposit_keys(struct keyset_class *kc, struct leaf leaf[2], int first) {
  for (int i = 0; i < 2; i++) {
    leaf_deposit_pair(&leaf[i]);
    memcpy(kc->deposit[first + i], leaf[i].deposit_pk, 32);
  }
}

static void entry_put(struct grant *g, uint16_t cls, uint8_t which, const uint8_t key[32]) {
  for (size_t i = 0; i < g->count; i++)
    if (g->entry[i].cls == cls && g->entry[i].which == which) {
      memcpy(g->entry[i].key, key, 32);
      return;
    }
  if (g->count == ENTRIES_MAX) abort();               /* bounded by CLASSES_MAX */
  struct entry *n = &g->entry[g->count++];
  n->cls = cls;
  n->which = which;
  memcpy(n->key, key, 32);
}

/* Turns P or M of one class: new key, items of both leaves wrapped again, states, keyset entry, own entry. */
static int turn_key(struct change *c, struct keyset_class *kc, uint8_t which) {
  struct patient *p = c->p;
  struct leaf from[2], to[2] = { 0 };
  uint8_t key[32];
  int first = which == WHICH_P ? 0 : 2;
  int e = random_bytes("compartment", key, 32);
  for (int i = 0; e == DMP_OK && i < 2; i++) {
    from[i] = *patient_leaf(p, kc->cls, first + i);
    leaf_derive(key, p->anchor, first + i, &to[i]);
    e = object_rewrap(c->s, p, &from[i], &to[i]);
  }
  if (e == DMP_OK) {
    keyset_kid(key, which == WHICH_P ? kc->kid_p : kc->kid_m);
    deposit_keys(kc, to, first);
    entry_put(&p->g, kc->cls, which, key);
    for (size_t i = 0; i < p->helds; i++)
      if (p->held[i].cls == kc->cls) p->held[i].derived = 0;
    if (which == WHICH_P) kc->due = 0;
  }
  bytes_wipe(key, sizeof key);
  bytes_wipe(from, sizeof from);
  bytes_wipe(to, sizeof to);
  return e;
}

/* Turns every key (bits by class) that this login holds; P of a class it lacks is marked due. */
static int turn_keys(struct change *c, const uint8_t want[CLASSES_MAX]) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->next.n; i++) {
    struct keyset_class *kc = &c->next.c[i];
    for (uint8_t which = WHICH_P; e == DMP_OK && which <= WHICH_M; which++) {
      uint8_t bit = which == WHICH_P ? KEY_P : KEY_M;
      if (!(want[i] & bit)) continue;
      if (patient_key(c->p, kc->cls, which)) {
        e = turn_key(c, kc, which);
        c->turned[i] |= bit;
      } else if (bit == KEY_P) {
        kc->due = 1;
      }
    }
  }
  return e;
}

/* The keys that somebody in this capacity may be given: what turns before he gets them, or after he had them. */
static void want_keys(struct change *c, const struct grantee *g, uint8_t want[CLASSES_MAX]) {
  for (size_t i = 0; i < c->next.n; i++) want[i] |= (uint8_t)grantee_keys(c, g, c->next.c[i].cls);
}

/* One grantee's packet: the keys that turned and that he may have; a first grant: all that he may have. */
static int send_one(struct change *c, const struct grantee *to, struct grant *g) {
  struct patient *p = c->p;
  const struct certificate *who = patient_who_hash(c->s, p, to->cert);
  if (who == NULL) return DMP_E_CERT_BAD;
  memset(g, 0, sizeof *g);
  g->patient = p->id;
  g->id = to->grant_id;
  g->slot = p->g.slot;
  memcpy(g->y, p->g.y, 32);
  memcpy(g->mail, to->mail, 16);
  memcpy(g->patient_cert, p->g.patient_cert, 32);
  g->seq = c->next.seq;
  memcpy(g->keyset_hash, c->next.hash, 32);
  g->since = to->since;
  g->until = to->until;
  g->kind = to->as == READER_NONE ? GRANT_WITHDRAWN : GRANT_ACTIVE;
  g->basis = to->as == READER_PATIENT ? BASIS_SELF : to->as == READER_TREATING ? BASIS_TREATING : BASIS_CONSENT;
  for (size_t i = 0; i < c->next.n; i++) {
    uint16_t cls = c->next.c[i].cls;
    unsigned may = grantee_keys(c, to, cls);
    if (to != c->first) may &= c->turned[i];
    for (uint8_t which = WHICH_P; which <= WHICH_M; which++) {
      const uint8_t *key = patient_key(p, cls, which);
      /* a due class waits for who holds it: whoever is given it now would read what came before the turn */
      if (key && (may & (which == WHICH_P ? KEY_P : KEY_M)) && !(which == WHICH_P && c->next.c[i].due)) entry_put(g, cls, which, key);
    }
  }
  return grant_send(c->s, g, to == c->first, who, c->by.cred->sign_sk, c->by.cert_hash);
}

static int send_all(struct change *c) {
  struct grant *g = memory_new(sizeof *g);
  if (g == NULL) return DMP_E_LOCK;
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->list.n; i++)
    if (memcmp(c->list.g[i].principal, c->s->cred->principal, 16) != 0) e = send_one(c, &c->list.g[i], g);
  memory_free(g);
  return e;
}

/* The keyset, the own row, the packets, the list: after the keys have turned. */
static int change_write(struct change *c) {
  struct patient *p = c->p;
  struct buf row = { 0 };
  int e = keyset_put(c->s, p->id, p->yk, &c->next, c->by.cred->sign_sk, c->by.cert_hash);
  if (e != DMP_OK) return e;
  p->keyset = c->next;
  p->g.seq = c->next.seq;
  memcpy(p->g.keyset_hash, c->next.hash, 32);
  e = patient_pairwise(c->s, p->anchor, c->next.log_pk[0], p->g.pair);
  if (e == DMP_OK) e = grant_put_own(c->s, c->s->cred, &p->g, p->row, NULL);
  if (e == DMP_OK) e = send_all(c);
  grantees_row(&c->list, &row);
  /* the choices class may have turned: the item is opened again where it lies now */
  item_close(&c->list_item);
  grantees_free(&c->list);
  if (e == DMP_OK) e = grantees_open(c->s, p, &c->list_item, &c->list);
  if (e == DMP_OK) e = object_rewrite(c->s, p, &c->list_item, &row);
  buf_free(&row);
  return e;
}

/* ---- consents ---- */

static int consent_row(struct session *s, struct patient *p, const struct signer *who, int64_t grantee, const char *basis, int64_t until, int64_t by) {
  char now[32], end[32];
  struct buf row = { 0 };
  struct content c = { .table = ITEM_CONSENT };
  int64_t id = 0;
  syntax_time_ms(record_now(), now);
  if (until) syntax_time_ms(until, end);
  struct value v[CONSENT_VALUES] = { value_int(grantee), value_text(basis), value_text(now), value_text(until ? end : NULL), value_int(by) };
  row_put(&row, v, CONSENT_VALUES);
  c.row = row.p;
  c.row_len = row.n;
  int e = row.bad ? DMP_E_NOMEM : object_insert(s, p, who, (struct place){ CLASS_CHOICES, 0, 0 }, &c, NULL, &id);
  buf_free(&row);
  return e;
}

struct consent_search { int64_t grantee; struct item found; };

static int take_consent(void *ctx, struct item *it) {
  struct consent_search *q = ctx;
  struct value v;
  size_t count, used;
  if (it->c.table != ITEM_CONSENT || row_get(it->c.row, it->c.row_len, &v, 1, &count, &used) != DMP_OK) return DMP_OK;
  if (v.type != VALUE_INT || v.u.i != q->grantee || q->found.id) return DMP_OK;
  q->found = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

static int consent_drop(struct session *s, struct patient *p, int64_t grantee) {
  struct consent_search q = { .grantee = grantee };
  int e = object_scan(s, p, &CHOICES, take_consent, &q);
  if (e == DMP_OK && q.found.id) e = object_drop(s, p, &q.found);
  item_close(&q.found);
  return e;
}

static int list_add(struct change *c, const struct certificate *who, struct grantee **out) {
  struct grantee *g = grantee_find(&c->list, who->principal);
  int e = DMP_OK;
  if (g == NULL) {
    g = &c->list.g[c->list.n++];
    memcpy(g->principal, who->principal, 16);
    e = random_bytes("mail", g->mail, 16);
    if (e == DMP_OK) e = record_random_id(&g->grant_id);
    c->first = g;
  }
  memcpy(g->cert, who->hash, 32);
  g->since = record_now();
  *out = g;
  return e;
}

static const struct certificate *professional(struct session *s, int64_t id) {
  uint8_t field[16];
  id_field(field, id);
  const struct certificate *c = session_who(s, field);
  return c && c->kind == KIND_PROFESSIONAL ? c : NULL;
}

int holder_consent(struct session *s, struct patient *p, int64_t grantee, int64_t until) {
  struct change c;
  struct grantee *g = NULL;
  uint8_t want[CLASSES_MAX] = { 0 };
  const struct signer me = { s->cred, s->me.hash };
  const struct certificate *who = professional(s, grantee);
  if (who == NULL) return DMP_E_NO_PRINCIPAL;
  int e = change_begin(s, p, &c);
  if (e == DMP_OK && (g = grantee_find(&c.list, who->principal)) != NULL && g->as != READER_NONE) e = DMP_E_DUPLICATE;
  if (e == DMP_OK) e = list_add(&c, who, &g);
  if (e == DMP_OK) {
    g->as = READER_CONSENT;
    g->until = until;
    want_keys(&c, g, want);
    e = turn_keys(&c, want);
  }
  if (e == DMP_OK) e = change_write(&c);
  if (e == DMP_OK) e = consent_row(s, p, &me, grantee, "consent", until, s->principal);
  if (e == DMP_OK) e = access_pend(s, p, LOG_CONSENT, p->id, grantee, NULL);
  change_end(&c);
  return e;
}

int holder_withdraw(struct session *s, struct patient *p, int64_t grantee) {
  struct change c;
  struct grantee *g = NULL;
  uint8_t want[CLASSES_MAX] = { 0 }, field[16];
  id_field(field, grantee);
  int e = change_begin(s, p, &c);
  if (e == DMP_OK && ((g = grantee_find(&c.list, field)) == NULL || g->as == READER_NONE || g->as == READER_PATIENT)) e = DMP_E_NOT_FOUND;
  if (e == DMP_OK && g->as == READER_TREATING) e = DMP_E_TREATING;
  if (e == DMP_OK) {
    want_keys(&c, g, want);
    g->as = READER_NONE;
    e = turn_keys(&c, want);
  }
  if (e == DMP_OK) e = change_write(&c);
  if (e == DMP_OK) e = consent_drop(s, p, grantee);
  if (e == DMP_OK) e = access_pend(s, p, LOG_WITHDRAW, p->id, grantee, NULL);
  change_end(&c);
  return e;
}

/* ---- the log's secrets: class 3, L2 for the visible pair, L3 for the hidden one ---- */

static int log_pair(struct session *s, struct patient *p, const struct signer *who, struct keyset *k) {
  int e = DMP_OK;
  for (int i = 0; e == DMP_OK && i < 2; i++) {
    uint8_t secret[32];
    struct buf row = { 0 };
    struct content c = { .table = ITEM_LOG_SECRETS };
    int64_t id = 0;
    e = random_bytes("log pair", secret, 32);
    struct value v = value_bytes(VALUE_BLOB, secret, 32);
    suite_box_pair(secret, k->log_pk[i]);
    row_put(&row, &v, 1);
    c.row = row.p;
    c.row_len = row.n;
    if (e == DMP_OK) e = row.bad ? DMP_E_NOMEM : object_insert(s, p, who, (struct place){ CLASS_LOG, 2 + i, 0 }, &c, NULL, &id);
    bytes_wipe(secret, sizeof secret);
    buf_free(&row);
  }
  return e;
}

/* ---- the treating doctor ---- */

static void treating_set(struct keyset *k, const struct certificate *doctor) {
  memset(k->treating, 0, 16);
  memset(k->treating_cert, 0, 32);
  k->treating_since = doctor ? record_now() : 0;
  if (doctor == NULL) return;
  memcpy(k->treating, doctor->principal, 16);
  memcpy(k->treating_cert, doctor->hash, 32);
}

int holder_treating(struct session *s, struct patient *p, int64_t doctor) {
  struct change c;
  uint8_t want[CLASSES_MAX] = { 0 };
  struct grantee *g;
  const struct signer me = { s->cred, s->me.hash };
  const struct certificate *who = doctor ? professional(s, doctor) : NULL;
  if (doctor && (who == NULL || who->profession != 10)) return DMP_E_PROFESSION;
  int e = change_begin(s, p, &c);
  int64_t former = e == DMP_OK ? id_from_field(c.next.treating) : 0;
  if (e == DMP_OK && former == doctor) {
    change_end(&c);
    return DMP_OK;
  }
  if (e == DMP_OK && former > 0 && (g = grantee_find(&c.list, c.next.treating)) != NULL) {
    want_keys(&c, g, want);
    g->as = READER_NONE;
  }
  if (e == DMP_OK && who) {
    e = list_add(&c, who, &g);
    g->as = READER_TREATING;
    g->until = 0;
    want_keys(&c, g, want);
  }
  if (e == DMP_OK) e = turn_keys(&c, want);
  if (e == DMP_OK) e = log_pair(s, p, &me, &c.next);
  if (e == DMP_OK) {
    treating_set(&c.next, who);
    e = change_write(&c);
  }
  if (e == DMP_OK && former > 0) e = consent_drop(s, p, former);
  if (e == DMP_OK) e = access_pend(s, p, LOG_TREATING, p->id, doctor, NULL);
  change_end(&c);
  return e;
}

/* ---- what is owed ---- */

int holder_owed(struct session *s, struct patient *p, unsigned *classes) {
  struct keyset *k;
  int e = patient_keyset(s, p, &k);
  for (size_t i = 0; e == DMP_OK && i < k->n; i++) *classes += k->c[i].due;
  return e;
}

struct diverted { int64_t *masked; size_t maskeds; struct item *it; size_t n, cap; };

static int take_masked(void *ctx, struct item *it) {
  struct diverted *d = ctx;
  struct value v;
  size_t count, used;
  if (it->c.table != ITEM_MASK || row_get(it->c.row, it->c.row_len, &v, 1, &count, &used) != DMP_OK || v.type != VALUE_INT) return DMP_OK;
  int64_t *m = realloc(d->masked, (d->maskeds + 1) * sizeof *m);
  if (m == NULL) return DMP_E_NOMEM;
  d->masked = m;
  m[d->maskeds++] = v.u.i;
  return DMP_OK;
}

static int take_diverted(void *ctx, struct item *it) {
  struct diverted *d = ctx;
  if (!(it->c.flags & ITEM_DIVERTED) || it->leaf < 2 || it->via != VIA_LEAF) return DMP_OK;
  for (size_t i = 0; i < d->maskeds; i++)
    if (d->masked[i] == it->id) return DMP_OK;
  struct item *m = realloc(d->it, (d->n + 1) * sizeof *m);
  if (m == NULL) return DMP_E_NOMEM;
  d->it = m;
  m[d->n++] = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

/* What lies masked only because its class was due goes where its depositor meant it. */
static int diverted_back(struct session *s, struct patient *p, uint16_t cls) {
  struct diverted d = { 0 };
  const struct scan w = { .first = cls, .last = cls };
  int e = object_scan(s, p, &CHOICES, take_masked, &d);
  if (e == DMP_OK) e = object_scan(s, p, &w, take_diverted, &d);
  for (size_t i = 0; i < d.n; i++) {
    if (e == DMP_OK) e = object_move(s, p, &d.it[i], (struct place){ cls, d.it[i].leaf - 2, 0 });
    item_close(&d.it[i]);
  }
  free(d.it);
  free(d.masked);
  return e;
}

int holder_due(struct session *s, struct patient *p) {
  struct change c;
  uint8_t want[CLASSES_MAX] = { 0 };
  int some = 0;
  int e = change_begin(s, p, &c);
  for (size_t i = 0; e == DMP_OK && i < c.next.n; i++)
    if (c.next.c[i].due && patient_key(p, c.next.c[i].cls, WHICH_P)) {
      want[i] = KEY_P;
      some = 1;
    }
  if (e == DMP_OK && some) {
    e = turn_keys(&c, want);
    if (e == DMP_OK) e = change_write(&c);
    for (size_t i = 0; e == DMP_OK && i < c.next.n; i++)
      if (want[i]) e = diverted_back(s, p, c.next.c[i].cls);
    if (e == DMP_OK) e = access_pend(s, p, LOG_ROTATE, p->id, 0, NULL);
  }
  change_end(&c);
  return e;
}

/* ---- enrolment of a patient ---- */

struct enrolment {
  struct session *s;
  struct newcomer *n;
  struct credential *cred;                            /* the patient's, locked, wiped at the end */
  struct patient *p;                                  /* the patient's own view, locked */
  struct certificate cert;
  struct keyset k;
  struct grantees list;
};

static int enrol_credential(struct enrolment *en) {
  struct session *s = en->s;
  struct credential *c = en->cred;
  int e = object_new_id(s, &en->n->id);
  if (e == DMP_OK) e = random_bytes("seed", c->seed, 32);
  if (e != DMP_OK) return e;
  id_field(c->principal, en->n->id);
  memcpy(c->record, s->r->id, 16);
  memcpy(c->authority, s->cred->authority, 64);
  memcpy(c->directory, s->cred->directory, 32);
  credential_derive(c);
  e = credential_create(en->n->credential_path, en->n->pin, en->n->pin_len, s->cost, c);
  return e == DMP_OK ? access_note_file(s, en->n->credential_path) : e;
}

static void copy_text(char *to, const char *from) {
  size_t n = from ? strlen(from) : 0;
  if (n >= CERT_TEXT) n = CERT_TEXT - 1;              /* an identity is whole in the identity item; here it is a label */
  while (n > 0 && from && ((unsigned char)from[n] & 0xC0) == 0x80) n--;
  if (n) memcpy(to, from, n);
  to[n] = 0;
}

static int enrol_certificate(struct enrolment *en) {
  struct session *s = en->s;
  struct certificate *c = &en->cert;
  struct buf plain = { 0 }, box = { 0 };
  uint8_t loc[16];
  int64_t row;
  c->kind = KIND_PATIENT;
  memcpy(c->principal, en->cred->principal, 16);
  memcpy(c->sign_pk, en->cred->sign_pk, 32);
  memcpy(c->box_pk, en->cred->box_pk, 32);
  memcpy(c->record, s->r->id, 16);
  memcpy(c->issuer, s->me.hash, 32);
  c->not_before = record_now();
  copy_text(c->identifier, en->n->identifier);
  copy_text(c->name, en->n->name);
  int e = certificate_write(c, s->cred->sign_sk, &plain);
  if (e == DMP_OK) e = record_random_id(&row);
  suite_prf(en->p->yk, "certificate", 11, loc);
  struct box_ad ad = { .record = s->r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = en->n->id, .loc = loc };
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, en->p->yk, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_CERT_PUT, loc, &box, row);
  c->verified = 1;
  memcpy(en->p->g.patient_cert, c->hash, 32);
  en->p->certificate = *c;
  en->p->certificate_read = 1;
  buf_free(&plain);
  buf_free(&box);
  return e;
}

/* P and M of every class, and an empty state in each leaf. */
static int enrol_keys(struct enrolment *en) {
  const uint16_t *ids;
  size_t n = rights_classes(&ids);
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    struct keyset_class *kc = &en->k.c[en->k.n++];
    kc->cls = ids[i];
    for (uint8_t which = WHICH_P; e == DMP_OK && which <= WHICH_M; which++) {
      uint8_t key[32];
      e = random_bytes("compartment", key, 32);
      keyset_kid(key, which == WHICH_P ? kc->kid_p : kc->kid_m);
      entry_put(&en->p->g, ids[i], which, key);
      bytes_wipe(key, sizeof key);
    }
    for (int l = 0; e == DMP_OK && l < LEAVES; l++) {
      struct leaf *leaf = patient_leaf(en->p, ids[i], l);
      struct state st = { 0 };
      leaf_deposit_pair(leaf);
      memcpy(kc->deposit[l], leaf->deposit_pk, 32);
      e = state_put(en->s, en->n->id, leaf, &st);
    }
  }
  return e;
}

static int enrol_grantee(struct enrolment *en, const struct certificate *who, enum reader as) {
  struct grantee *g = grantee_find(&en->list, who->principal);
  if (g) {
    if (as == READER_TREATING) g->as = (uint8_t)as;   /* the creator is the treating doctor */
    return DMP_OK;
  }
  g = &en->list.g[en->list.n++];
  memcpy(g->principal, who->principal, 16);
  memcpy(g->cert, who->hash, 32);
  g->as = (uint8_t)as;
  g->since = record_now();
  int e = random_bytes("mail", g->mail, 16);
  return e == DMP_OK ? record_random_id(&g->grant_id) : e;
}

/* Items that the patient's own key signs: identity, log pairs, the list, the creator's consent. */
static int enrol_items(struct enrolment *en) {
  struct session *s = en->s;
  const struct signer me = { en->cred, en->cert.hash };
  struct content c = { .table = ITEM_PATIENT, .row = en->n->row->p, .row_len = en->n->row->n };
  struct buf row = { 0 };
  int64_t id = en->n->id;
  int e = object_insert(s, en->p, &me, (struct place){ CLASS_IDENTITY, 0, 0 }, &c, NULL, &id);
  if (e == DMP_OK && en->n->local) {
    struct content local = { .table = ITEM_IDENTITY, .row = en->n->local->p, .row_len = en->n->local->n };
    int64_t local_id = 0;
    e = object_insert(s, en->p, &me, (struct place){ CLASS_IDENTITY, 0, 0 }, &local, NULL, &local_id);
  }
  if (e == DMP_OK) e = log_pair(s, en->p, &me, &en->k);
  grantees_row(&en->list, &row);
  struct content list = { .table = ITEM_GRANTEES, .row = row.p, .row_len = row.n };
  id = 0;
  if (e == DMP_OK) e = row.bad ? DMP_E_NOMEM : object_insert(s, en->p, &me, (struct place){ CLASS_CHOICES, 0, 0 }, &list, NULL, &id);
  if (e == DMP_OK && s->me.kind == KIND_PROFESSIONAL)
    e = consent_row(s, en->p, &me, s->principal, "opening", 0, s->principal);
  buf_free(&row);
  return e;
}

/* The patient's grant is written as own row; the creator's too, with what the matrix gives; a treating doctor's is sent. */
static int enrol_grants(struct enrolment *en) {
  struct session *s = en->s;
  struct change c = { .s = s, .p = en->p, .by = { en->cred, en->cert.hash }, .next = en->k };
  struct grant *g = memory_new(sizeof *g);
  if (g == NULL) return DMP_E_LOCK;
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < en->list.n; i++) {
    c.first = &en->list.g[i];
    const struct certificate *who = patient_who_hash(s, en->p, c.first->cert);
    if (who == NULL) e = DMP_E_CERT_BAD;
    else if (memcmp(who->principal, en->cred->principal, 16) == 0) {
      memcpy(en->p->g.mail, c.first->mail, 16);
      en->p->g.id = c.first->grant_id;
      e = grant_put_own(s, en->cred, &en->p->g, 0, NULL);
    } else {
      e = send_one(&c, c.first, g);
    }
  }
  memory_free(g);
  return e;
}

/* The grant as the patient holds it: everything, pinned to keyset 0. */
static int enrol_own_grant(struct enrolment *en) {
  struct grant *g = &en->p->g;
  uint8_t shared[32];
  g->patient = en->n->id;
  g->seq = 0;
  memcpy(g->keyset_hash, en->k.hash, 32);
  g->since = record_now();
  g->kind = GRANT_ACTIVE;
  g->basis = BASIS_SELF;
  int e = suite_x25519(en->cred->box_sk, en->k.log_pk[0], shared);
  if (e == DMP_OK) suite_kdf2(shared, 32, en->p->anchor, 32, "log", 3, g->pair);
  bytes_wipe(shared, sizeof shared);
  return e;
}

static int enrol_run(struct enrolment *en, const struct certificate *doctor) {
  struct session *s = en->s;
  struct patient *p = en->p;
  int e = enrol_credential(en);
  p->id = en->n->id;
  if (e == DMP_OK) e = random_bytes("Y", p->g.y, 32);
  if (e == DMP_OK) e = anchor_add(s->r, &p->g.slot, p->anchor);
  if (e != DMP_OK) return e;
  patient_yk(p->g.y, p->anchor, p->yk);
  suite_prf(p->yk, "deposit", 7, p->deposit_loc);
  e = enrol_certificate(en);
  if (e == DMP_OK) e = enrol_keys(en);
  if (e == DMP_OK) e = enrol_grantee(en, &en->cert, READER_PATIENT);
  if (e == DMP_OK && s->me.kind == KIND_PROFESSIONAL) e = enrol_grantee(en, &s->me, READER_CONSENT);
  if (e == DMP_OK && doctor) e = enrol_grantee(en, doctor, READER_TREATING);
  if (e == DMP_OK) e = enrol_items(en);
  if (e != DMP_OK) return e;
  treating_set(&en->k, doctor);
  e = keyset_put(s, p->id, p->yk, &en->k, en->cred->sign_sk, en->cert.hash);
  if (e == DMP_OK) e = enrol_own_grant(en);
  if (e == DMP_OK) e = enrol_grants(en);
  /* the creator's line lies in the patient's log, also when the creator (an authority) gets no grant */
  if (e == DMP_OK) e = patient_pairwise(s, p->anchor, en->k.log_pk[0], p->g.pair);
  return e == DMP_OK ? access_pend(s, p, LOG_CREATE, p->id, 0, NULL) : e;
}

int holder_enrol(struct session *s, struct newcomer *n) {
  struct enrolment en = { .s = s, .n = n };
  const struct certificate *doctor = n->treating ? professional(s, n->treating) : NULL;
  if (n->treating && (doctor == NULL || doctor->profession != 10)) return DMP_E_PROFESSION;
  en.cred = memory_new(sizeof *en.cred);
  en.p = memory_new(sizeof *en.p);
  en.list.g = calloc(4, sizeof *en.list.g);
  int e = en.cred == NULL || en.p == NULL ? DMP_E_LOCK : en.list.g == NULL ? DMP_E_NOMEM : enrol_run(&en, doctor);
  memory_free(en.cred);
  memory_free(en.p);
  grantees_free(&en.list);
  if (e == DMP_OK) {
    session_stale(s);
    e = grant_adopt_inbox(s);                         /* the creator's own, if any */
  }
  return e;
}
