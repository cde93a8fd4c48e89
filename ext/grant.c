/* grant.c: grants, packets, adoption and the keys of a patient (see grant.h). */
#include "grant.h"
#include "anchor.h"
#include "memory.h"
#include "seat.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char PROOF_LABEL[] = "dmp-grant-1";
_Static_assert(328 + 2 * CLASSES_MAX * 36 + CIRCLES_MAX * 44 <= GRANT_BYTES, "a grant with all its entries fits");
enum { PROOF_BYTES = 32 + 32 + 4 + SUITE_SIG };

/* ---- derivations ---- */

void patient_yk(const uint8_t y[32], const uint8_t anchor[32], uint8_t yk[32]) {
  suite_kdf2(y, 32, anchor, 32, "public", 6, yk);
}

void half_derive(const uint8_t key[32], int l, uint8_t half[32]) { suite_kdf_text(key, l & 1 ? "hidden" : "visible", half); }

static void leaf_from_half(const uint8_t half[32], const uint8_t anchor[32], struct leaf *out) {
  uint8_t prf[16];
  suite_kdf2(half, 32, anchor, 32, "leaf", 4, out->key);
  suite_prf_key(out->key, prf);
  suite_prf_with(prf, "object", 6, out->object_loc);
  suite_prf_with(prf, "state", 5, out->state_loc);
  out->held = 1;
  out->state_ready = out->deposit_ready = 0;
  bytes_wipe(prf, sizeof prf);
}

void leaf_derive(const uint8_t key[32], const uint8_t anchor[32], int l, struct leaf *out) {
  uint8_t half[32];
  half_derive(key, l, half);
  leaf_from_half(half, anchor, out);
  bytes_wipe(half, sizeof half);
}

void leaf_state_key(struct leaf *l) {
  uint8_t k[32];
  if (l->state_ready) return;
  suite_kdf_text(l->key, "state", k);
  suite_prf_key(k, l->state_prf);
  l->state_ready = 1;
  bytes_wipe(k, sizeof k);
}

void leaf_deposit_pair(struct leaf *l) {
  if (l->deposit_ready) return;
  suite_kdf_text(l->key, "deposit", l->deposit_sk);
  suite_box_pair(l->deposit_sk, l->deposit_pk);
  l->deposit_ready = 1;
}

int patient_pairwise(struct session *s, const uint8_t anchor[32], const uint8_t log_pk[32], uint8_t out[32]) {
  uint8_t shared[32];
  int e = suite_x25519(s->cred->box_sk, log_pk, shared);
  if (e == DMP_OK) suite_kdf2(shared, 32, anchor, 32, "log", 3, out);
  bytes_wipe(shared, sizeof shared);
  return e;
}

int patient_pair(struct session *s, struct patient *p, int hidden, const uint8_t **key) {
  struct keyset *k;
  hidden &= !s->view;                                 /* a minimal view has one pair, which the patient alone reads */
  *key = hidden ? p->hidden_pair : p->g.pair;
  if (hidden ? p->hidden_pair_made : p->seat == 0 || p->pair_made) return DMP_OK;   /* a team's row has none: it is each member's own */
  int e = patient_keyset(s, p, &k);
  if (e == DMP_OK) e = patient_pairwise(s, p->anchor, k->log_pk[hidden], hidden ? p->hidden_pair : p->g.pair);
  if (e == DMP_OK) *(hidden ? &p->hidden_pair_made : &p->pair_made) = 1;
  return e;
}

const struct entry *patient_entry(const struct patient *p, size_t i) {
  if (patient_expired(p)) return NULL;
  if (!p->lapsed && i < p->g.count) return &p->g.entry[i];
  i -= p->lapsed ? 0 : p->g.count;
  return i < p->extras ? &p->extra[i] : NULL;
}

const uint8_t *patient_key(const struct patient *p, uint16_t cls, int which) {
  const struct entry *en;
  for (size_t i = 0; (en = patient_entry(p, i)) != NULL; i++)
    if (en->cls == cls && en->which == which) return en->key;
  return NULL;
}

static int entry_leaf(const struct entry *en) { return en->which == WHICH_P || en->which == WHICH_P0 ? 0 : 2; }

static int is_circle(const struct entry *en) { return en->which == WHICH_C || en->which == WHICH_C0; }

int patient_room(struct patient *p) {
  if (p->circle == NULL) p->circle = memory_new(CIRCLES_MAX * sizeof *p->circle);
  return p->circle ? DMP_OK : DMP_E_LOCK;
}

void patient_forget(struct patient *p) {
  memory_free(p->circle);
  bytes_wipe(p, sizeof *p);
}

static struct circle_leaf *circle_derived(struct patient *p, const struct entry *en) {
  struct circle_leaf *c;
  for (size_t i = 0; i < p->circles; i++)
    if (p->circle[i].circle == en->circle) return &p->circle[i];
  if (p->circle == NULL || p->circles == CIRCLES_MAX) return NULL;
  c = &p->circle[p->circles++];
  memset(c, 0, sizeof *c);
  c->circle = en->circle;
  for (int l = 0; l < (en->which == WHICH_C ? 2 : 1); l++) {
    if (en->which == WHICH_C) leaf_derive(en->key, p->anchor, l, &c->leaf[l]);
    else leaf_from_half(en->key, p->anchor, &c->leaf[l]);
  }
  return c;
}

/* What a member holds by name opens as long as the key of the class does, which only a team's grant brings him: by any other team than the one
 * whose consent is over he may read less. */
static int circle_opens(const struct patient *p, const struct entry *en) {
  return p->g.basis != BASIS_MEMBER || patient_key(p, en->cls, WHICH_P) != NULL;
}

struct leaf *circle_leaf(struct patient *p, int64_t circle, int l) {
  const struct entry *en;
  for (size_t i = 0; (en = patient_entry(p, i)) != NULL; i++) {
    struct circle_leaf *c = is_circle(en) && en->circle == circle && circle_opens(p, en) ? circle_derived(p, en) : NULL;
    if (c) return &c->leaf[l & 1];
  }
  return &p->none;
}

size_t entry_ways(struct patient *p, const struct entry *en, struct way out[2]) {
  size_t n = 0;
  int first = is_circle(en) ? (en->flags & ENTRY_MASKED ? 2 : 0) : entry_leaf(en);
  for (int l = first; l < first + 2; l++) {
    struct leaf *leaf = is_circle(en) ? circle_leaf(p, en->circle, l) : patient_leaf(p, en->cls, l);
    if (leaf->held) out[n++] = (struct way){ en->cls, (uint8_t)l, en->circle, leaf };
  }
  return n;
}

static int patient_over(const struct patient *p) { return p->expires != 0 && record_now() > p->expires; }

int patient_expired(const struct patient *p) { return patient_over(p) || (p->lapsed && p->extras == 0); }

struct leaf *patient_leaf(struct patient *p, uint16_t cls, int l) {
  size_t i = 0;
  while (i < p->helds && p->held[i].cls != cls) i++;
  if (i == p->helds) {
    if (p->helds == CLASSES_MAX) return &p->none;     /* no map has as many */
    p->held[p->helds++] = (struct held){ .cls = cls };
  }
  struct held *h = &p->held[i];
  if (!h->derived) {
    for (int k = 0; k < LEAVES; k++) {
      const uint8_t *key = patient_key(p, cls, k < 2 ? WHICH_P : WHICH_M);
      const uint8_t *half = k & 1 ? NULL : patient_key(p, cls, k < 2 ? WHICH_P0 : WHICH_M0);
      if (key) leaf_derive(key, p->anchor, k, &h->leaf[k]);
      else if (half) leaf_from_half(half, p->anchor, &h->leaf[k]);
      else h->leaf[k].held = 0;
    }
    h->derived = 1;
  }
  if (patient_expired(p)) h->leaf[l].held = 0;
  return &h->leaf[l];
}

/* ---- layout ---- */

/* Everything up to the proof's signature: what the granter signs, and what is sealed. */
static void grant_write(const struct grant *g, struct buf *b) {
  buf_u64(b, (uint64_t)g->patient);
  buf_u64(b, (uint64_t)g->id);
  buf_u64(b, (uint64_t)g->slot);
  buf_put(b, g->y, 32);
  buf_put(b, g->mail, 16);
  buf_put(b, g->pair, 32);
  buf_put(b, g->patient_cert, 32);
  buf_u64(b, g->seq);
  buf_put(b, g->keyset_hash, 32);
  buf_u64(b, (uint64_t)g->since);
  buf_u64(b, (uint64_t)g->until);
  buf_u8(b, g->kind);
  buf_u8(b, g->basis);
  buf_u16(b, g->count);
  for (size_t i = 0; i < g->count; i++) {
    buf_u16(b, g->entry[i].cls);
    buf_u8(b, g->entry[i].which);
    buf_u8(b, g->entry[i].flags);
    if (is_circle(&g->entry[i])) buf_u64(b, (uint64_t)g->entry[i].circle);
    buf_put(b, g->entry[i].key, 32);
  }
  buf_put(b, g->grantee_cert, 32);
  buf_put(b, g->granter_cert, 32);
  buf_u32(b, RIGHTS_MAP_VERSION);
}

static int entry_parse(struct rd *r, struct entry *en) {
  *en = (struct entry){ 0 };
  en->cls = rd_u16(r);
  en->which = rd_u8(r);
  en->flags = rd_u8(r);
  int circle = is_circle(en);
  if (!circle && (en->which < WHICH_P || en->which > WHICH_M0)) return DMP_E_LATER;
  if (en->flags & ~(circle ? ENTRY_MASKED : 0)) return DMP_E_LATER;
  if (circle && (en->circle = (int64_t)rd_u64(r)) <= 0) return DMP_E_GRANT_BAD;
  rd_copy(r, en->key, 32);
  return DMP_OK;
}

/* *sig points at the signature inside p. */
static int grant_parse(const uint8_t *p, size_t n, struct grant *g, const uint8_t **sig) {
  struct rd r = { p, n, 0 };
  g->patient = (int64_t)rd_u64(&r);
  g->id = (int64_t)rd_u64(&r);
  g->slot = (int64_t)rd_u64(&r);
  rd_copy(&r, g->y, 32);
  rd_copy(&r, g->mail, 16);
  rd_copy(&r, g->pair, 32);
  rd_copy(&r, g->patient_cert, 32);
  g->seq = rd_u64(&r);
  rd_copy(&r, g->keyset_hash, 32);
  g->since = (int64_t)rd_u64(&r);
  g->until = (int64_t)rd_u64(&r);
  g->kind = rd_u8(&r);
  g->basis = rd_u8(&r);
  g->count = rd_u16(&r);
  if (r.bad || g->count > ENTRIES_MAX) return DMP_E_GRANT_BAD;
  for (size_t i = 0; i < g->count; i++) {
    int e = entry_parse(&r, &g->entry[i]);
    if (e != DMP_OK) return e;
  }
  rd_copy(&r, g->grantee_cert, 32);
  rd_copy(&r, g->granter_cert, 32);
  uint32_t map = rd_u32(&r);
  *sig = rd_bytes(&r, SUITE_SIG);
  if (!rd_done(&r) || g->kind < GRANT_ACTIVE || g->kind > GRANT_NOTE) return DMP_E_GRANT_BAD;
  if (g->kind != GRANT_ACTIVE && g->count) return DMP_E_GRANT_BAD;
  return map == RIGHTS_MAP_VERSION ? DMP_OK : DMP_E_LATER;
}

/* Label ‖ record ‖ grantee ‖ granter ‖ payload as sent (grantee and granter stand in it by certificate hash). */
static int grant_signed_bytes(const struct session *s, const struct grant *g, struct buf *b) {
  buf_put(b, PROOF_LABEL, sizeof PROOF_LABEL - 1);
  buf_put(b, s->r->id, 16);
  buf_put(b, g->grantee_cert, 32);
  buf_put(b, g->granter_cert, 32);
  grant_write(g, b);
  return b->bad ? DMP_E_NOMEM : DMP_OK;
}

static struct box_ad grant_ad(const struct session *s, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_GRANT, .table = IN_GRANT, .id = row, .loc = loc };
}

/* ---- the list of own grants ---- */

/* Oneself comes before teams; of one holder the adopted row before what lies in the inbox, a note last. */
static int by_patient(const void *a, const void *b) {
  const struct own_grant *x = a, *y = b;
  if (x->patient != y->patient) return (x->patient > y->patient) - (x->patient < y->patient);
  if (x->group != y->group) return x->group - y->group;
  if (x->note != y->note) return x->note - y->note;
  return x->inbox != y->inbox ? x->inbox - y->inbox : x->seat - y->seat;
}

static int own_add(struct session *s, const struct grant *g, int64_t row, int seat, int inbox) {
  if (s->owns == s->own_cap) {
    size_t cap = s->own_cap ? 2 * s->own_cap : 64;
    struct own_grant *p = realloc(s->own, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    s->own = p;
    s->own_cap = cap;
  }
  s->own[s->owns++] = (struct own_grant){ g->patient, row, inbox, seat, s->seat[seat].newest, g->kind == GRANT_NOTE };
  return DMP_OK;
}

static int by_int64(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Row ids at a locator, ascending, in memory: the statement is free again while their boxes are opened. */
static int grant_ids(struct session *s, const uint8_t loc[16], int64_t limit, int64_t **ids, size_t *n) {
  size_t cap = 0;
  *ids = NULL;
  *n = 0;
  sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_IDS);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  sqlite3_bind_int64(st, 2, limit);
  int rc, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (*n == cap) {
      cap = cap ? 2 * cap : 64;
      int64_t *p = realloc(*ids, cap * sizeof *p);
      if (p == NULL) e = DMP_E_NOMEM;
      else *ids = p;
    }
    if (e == DMP_OK) (*ids)[(*n)++] = sqlite3_column_int64(st, 0);
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  return e;
}

/* Opens a grant's box, own (under the wrap key) or as sent (to the X25519 key). *sig: see grant_parse; NULL allowed. */
static int grant_unseal(struct session *s, int seat, int64_t row, const uint8_t *loc, const void *box, size_t len, int sent, struct grant *g,
                        const uint8_t **sig) {
  const uint8_t *p, *ignored;
  size_t n;
  const struct seat *x = &s->seat[seat];
  struct box_ad ad = grant_ad(s, row, loc);
  int e = sent ? DMP_E_TAMPERED : session_open_key(s, x->wrap, &ad, box, len, &p, &n);
  for (size_t i = (size_t)x->newest; sent && e != DMP_OK && i < s->seats && s->seat[i].newest == x->newest; i++)   /* any secret of the team */
    e = box_open_from(s->seat[i].box_sk, s->seat[i].box_pk, NULL, &ad, box, len, &s->scratch, &p, &n);
  return e == DMP_OK ? grant_parse(p, n, g, sig ? sig : &ignored) : e;
}

static int grant_open(struct session *s, int seat, int64_t row, int sent, struct grant *g, const uint8_t **sig) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_BY_ID);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, row);
  int rc = sqlite3_step(st), e = DMP_E_NOT_FOUND;
  if (rc == SQLITE_ROW && sqlite3_column_bytes(st, 0) == 16)
    e = grant_unseal(s, seat, row, sqlite3_column_blob(st, 0), sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), sent, g, sig);
  else if (rc != SQLITE_DONE)
    e = record_sql_fault(s->r);
  sqlite3_reset(st);
  return e == DMP_OK ? e : record_fault(s->r, e, "dmp_grant", row);
}

/* Drops from the list what is no longer among the file's rows; marks in `known` the rows that are listed. */
static void own_keep(struct session *s, int seat, int inbox, const int64_t *ids, size_t n, uint8_t *known) {
  size_t kept = 0;
  for (size_t i = 0; i < s->owns; i++) {
    if (s->own[i].inbox == inbox && s->own[i].seat == seat) {
      const int64_t *at = n ? bsearch(&s->own[i].row, ids, n, sizeof *ids, by_int64) : NULL;
      if (at == NULL) continue;
      known[at - ids] = 1;
    }
    s->own[kept++] = s->own[i];
  }
  s->owns = kept;
}

/* The first reading: all grants of a seat in one pass. */
static int own_load(struct session *s, int seat, struct grant *g) {
  const uint8_t *loc = s->seat[seat].own;
  size_t before = s->owns;
  sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    int64_t row = sqlite3_column_int64(st, 0);
    e = grant_unseal(s, seat, row, loc, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), 0, g, NULL);
    e = e == DMP_OK ? own_add(s, g, row, seat, 0) : record_fault(s->r, e, "dmp_grant", row);
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  if (e != DMP_OK) s->owns = before;
  return e;
}

/* The file's rows at a locator against the list: new ones are opened, vanished ones dropped. */
static int own_sync(struct session *s, int seat, int inbox, struct grant *g) {
  int64_t *ids;
  size_t n;
  const uint8_t *loc = inbox ? s->seat[seat].inbox : s->seat[seat].own;
  int e = grant_ids(s, loc, inbox ? INBOX_TRIES : INT64_MAX, &ids, &n);
  uint8_t *known = e == DMP_OK ? calloc(n + 1, 1) : NULL;
  if (e == DMP_OK && known == NULL) e = DMP_E_NOMEM;
  if (e == DMP_OK) own_keep(s, seat, inbox, ids, n, known);
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    if (known[i]) continue;
    e = grant_open(s, seat, ids[i], inbox, g, NULL);
    if (e != DMP_OK && inbox) {                       /* anyone may throw paper into an inbox */
      s->inbox_refused++;
      e = DMP_OK;
      continue;
    }
    if (e == DMP_OK) e = own_add(s, g, ids[i], seat, inbox);
  }
  free(known);
  free(ids);
  return e;
}

/* A team has one inbox, whatever secret something in it was sealed to. */
static int own_of_seat(struct session *s, int seat, struct grant *g) {
  struct seat *x = &s->seat[seat];
  int e = x->listed ? own_sync(s, seat, 0, g) : own_load(s, seat, g);
  x->listed = e == DMP_OK;
  return e == DMP_OK && x->newest == seat ? own_sync(s, seat, 1, g) : e;
}

static void own_order(struct session *s) {
  size_t i = 1;
  while (i < s->owns && by_patient(&s->own[i - 1], &s->own[i]) <= 0) i++;
  if (i < s->owns) qsort(s->own, s->owns, sizeof *s->own, by_patient);
}

int patient_own(struct session *s) {
  if (s->owns_generation == s->generation) return DMP_OK;
  int e = seats_refresh(s);
  if (e != DMP_OK) return e;
  struct grant *g = &s->cache[0].g;                   /* locked room that nobody uses while the generation changes */
  s->cache[0].generation = 0;
  for (int i = 0; e == DMP_OK && i < (int)s->seats; i++) e = own_of_seat(s, i, g);
  bytes_wipe(g, sizeof *g);
  if (e != DMP_OK) return e;
  own_order(s);
  s->owns_generation = s->generation;
  s->grants_written = 0;
  return e;
}

/* ---- certificates and keysets of a patient ---- */

static struct box_ad cert_ad(const struct session *s, int64_t patient, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = patient, .loc = loc };
}

/* One row at the patient's locator, where every grantee can write. An adopted grant pins a hash: the issuer's signature was checked
 * then. Any other certificate counts by its signatures. */
static int certificate_row(struct session *s, struct patient *p, sqlite3_stmt *st, const uint8_t loc[16], struct certificate *c) {
  const uint8_t *plain;
  size_t n;
  struct box_ad ad = cert_ad(s, p->id, loc);
  int e = session_open_key(s, p->yk, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &plain, &n);
  if (e == DMP_OK) e = certificate_parse(plain, n, c);
  if (e == DMP_OK && (c->kind != KIND_PATIENT || id_from_field(c->principal) != p->id)) e = DMP_E_CERT_BAD;
  if (e == DMP_OK && (p->inbox || memcmp(c->hash, p->g.patient_cert, 32) != 0)) {
    int signed_by = directory_verify_patient(&s->dir, plain, n, c);
    if (memcmp(c->hash, p->g.patient_cert, 32) == 0) e = signed_by;
    c->verified = signed_by == DMP_OK;
  } else if (e == DMP_OK) {
    c->verified = 1;
  }
  return e;
}

/* Keeps what leads to the pinned certificate, and what is signed to follow. */
static void certificates_keep(struct patient *p) {
  int kept = 0, more = 1;
  uint8_t before[32];
  memcpy(before, p->certificate.previous, 32);
  for (int i = 0; i < p->certs; i++)
    if (p->other[i].serial <= p->certificate.serial) p->other[i].verified = 0;
  while (more) {
    more = 0;
    for (int i = 0; i < p->certs; i++)
      if (!p->other[i].verified && memcmp(p->other[i].hash, before, 32) == 0) {
        p->other[i].verified = more = 1;
        memcpy(before, p->other[i].previous, 32);
      }
  }
  for (int i = 0; i < p->certs; i++)
    if (p->other[i].verified) p->other[kept++] = p->other[i];
  p->certs = kept;
}

int patient_certificate(struct session *s, struct patient *p, const struct certificate **out) {
  uint8_t loc[16];
  int64_t row = 0;
  int rc = SQLITE_DONE, e = DMP_E_CERT_BAD, found = 0;
  *out = &p->certificate;
  if (p->certificate_read) return DMP_OK;
  p->certs = 0;
  suite_prf(p->yk, "certificate", 11, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    struct certificate c = { 0 };
    int this = certificate_row(s, p, st, loc, &c), pinned = this == DMP_OK && memcmp(c.hash, p->g.patient_cert, 32) == 0;
    if (pinned) {
      p->certificate = c;
      found = 1;
    } else if (this == DMP_OK && c.verified && p->certs < PATIENT_CERTS) {
      p->other[p->certs++] = c;
    } else if (this != DMP_OK) {
      e = this;
    }
    row = sqlite3_column_int64(st, 0);
  }
  sqlite3_reset(st);
  if (rc != SQLITE_DONE) return record_sql_fault(s->r);
  if (!found) return record_fault(s->r, e, "dmp_certificate", row);
  certificates_keep(p);
  p->certificate_read = 1;
  return DMP_OK;
}

const struct certificate *patient_first_certificate(struct session *s, struct patient *p) {
  const struct certificate *c;
  if (patient_certificate(s, p, &c) != DMP_OK) return NULL;
  for (int i = 0; i < p->certs && c->serial > 0; i++)
    if (memcmp(p->other[i].hash, c->previous, 32) == 0) {
      c = &p->other[i];
      i = -1;
    }
  return c;
}

/* The certificate of this hash, when it is `from` or continues it. Several may continue one: only who signs a keyset decides. */
static const struct certificate *certificate_onward(const struct patient *p, const struct certificate *from, const uint8_t hash[32]) {
  const struct certificate *all[1 + PATIENT_CERTS] = { &p->certificate }, *found = NULL;
  if (memcmp(from->hash, hash, 32) == 0) return from;
  for (int i = 0; i < p->certs; i++) all[1 + i] = &p->other[i];
  for (int i = 0; found == NULL && i <= p->certs; i++)
    if (all[i]->serial == from->serial + 1 && certificate_continues(from, all[i])) found = certificate_onward(p, all[i], hash);
  return found;
}

void patient_moves_on(struct patient *p, const struct certificate *c) {
  if (p->certs < PATIENT_CERTS) p->other[p->certs++] = p->certificate;
  p->certificate = *c;
  memcpy(p->g.patient_cert, c->hash, 32);
}

int patient_keyset_step(struct session *s, struct patient *p, const struct certificate **by, const struct keyset *k, const struct keyset *next, const struct buf *raw) {
  const struct certificate *on = certificate_onward(p, *by, next->signer);
  if (on) *by = on;
  return keyset_follows(s, p->id, *by, k, next, raw);
}

int patient_certificate_bytes(struct session *s, struct patient *p, struct buf *out) {
  const uint8_t *plain;
  size_t n;
  uint8_t loc[16];
  struct certificate c;
  int rc = SQLITE_DONE, found = 0;
  suite_prf(p->yk, "certificate", 11, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  struct box_ad ad = cert_ad(s, p->id, loc);
  while (!found && (rc = sqlite3_step(st)) == SQLITE_ROW)
    if (session_open_key(s, p->yk, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &plain, &n) == DMP_OK &&
        certificate_parse(plain, n, &c) == DMP_OK && memcmp(c.hash, p->g.patient_cert, 32) == 0) {
      buf_put(out, plain, n);
      found = 1;
    }
  sqlite3_reset(st);
  return found ? DMP_OK : rc == SQLITE_DONE ? DMP_E_CERT_BAD : record_sql_fault(s->r);
}

int patient_certify(struct session *s, struct patient *p, const struct buf *cert) {
  struct buf box = { 0 };
  uint8_t loc[16];
  int64_t row;
  suite_prf(p->yk, "certificate", 11, loc);
  struct box_ad ad = cert_ad(s, p->id, loc);
  int e = record_random_id(&row);
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, p->yk, &ad, cert->p, cert->n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_CERT_PUT, loc, &box, row);
  buf_free(&box);
  return e;
}

const struct certificate *patient_who(struct session *s, struct patient *p, const uint8_t principal[16]) {
  const struct certificate *c;
  if (id_from_field(principal) == p->id) return patient_certificate(s, p, &c) == DMP_OK ? c : NULL;
  return session_who(s, principal);
}

const struct certificate *patient_who_hash(struct session *s, struct patient *p, const uint8_t hash[32]) {
  const struct certificate *c;
  if (memcmp(hash, p->g.patient_cert, 32) == 0) return patient_certificate(s, p, &c) == DMP_OK ? c : NULL;
  if ((c = directory_by_hash(&s->dir, hash)) != NULL) return c;
  if (patient_certificate(s, p, &c) != DMP_OK) return NULL;
  for (int i = 0; i < p->certs; i++)
    if (memcmp(p->other[i].hash, hash, 32) == 0) return &p->other[i];
  return NULL;
}

/* Who left a team since the keys last turned for it may hold them: what the team reads is due, whether or not a keyset says so. A list of
 * members that is shorter than the one that the keyset names was put back. */
static int departures(struct session *s, struct keyset *k) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < k->teams; i++) {
    const struct team *t;
    e = team_get(s, k->team[i].team, &t);
    if (e == DMP_E_NO_PRINCIPAL) e = DMP_E_TEAM_OLD;
    if (e == DMP_OK) e = team_pinned(t, k->team[i].seq, k->team[i].head);
    for (size_t j = 0; e == DMP_OK && j < k->n && team_departed(t, k->team[i].seq); j++)
      k->c[j].left |= rights_keys(READER_TEAM, t->now.profession, k->c[j].cls) & KEY_P;
  }
  return e;
}

int patient_keyset(struct session *s, struct patient *p, struct keyset **out) {
  int e = DMP_OK;
  if (!p->keyset_read) {
    e = keyset_get(s, p->id, p->yk, p->g.seq, &p->keyset, NULL);
    if (e == DMP_E_NOT_FOUND) e = DMP_E_KEYSET_OLD;
    if (e == DMP_OK && memcmp(p->keyset.hash, p->g.keyset_hash, 32) != 0) e = DMP_E_KEYSET_OLD;
    p->keyset_read = e == DMP_OK;
  }
  *out = &p->keyset;
  return e == DMP_OK ? departures(s, &p->keyset) : e;
}

/* The chain's hashes lead back from the newest keyset, which is pinned: no signature needs checking again. */
static int doctors_read(struct session *s, struct patient *p) {
  struct keyset k;
  uint8_t next[32] = { 0 };
  int n = 0, e = DMP_OK;
  memcpy(next, p->g.keyset_hash, 32);
  for (uint64_t seq = p->g.seq + 1; e == DMP_OK && seq-- > 0;) {
    e = keyset_get(s, p->id, p->yk, seq, &k, NULL);
    if (e == DMP_OK && memcmp(k.hash, next, 32) != 0) e = DMP_E_KEYSET_BAD;
    memcpy(next, k.previous, 32);
    int known = suite_is_zero(k.treating, 16);
    for (int i = 0; i < n; i++) known |= memcmp(p->doctors[i], k.treating, 16) == 0;
    if (e == DMP_OK && !known && n < DOCTORS) memcpy(p->doctors[n++], k.treating, 16);   /* the latest ones */
  }
  p->doctors_read = e == DMP_OK;
  return e;
}

int patient_trusts(struct session *s, struct patient *p, const uint8_t cert_hash[32]) {
  if (memcmp(cert_hash, p->g.patient_cert, 32) == 0) return 1;
  const struct certificate *who = patient_who_hash(s, p, cert_hash);
  if (who == NULL) return 0;
  if (id_from_field(who->principal) == p->id) return 1;
  if (!p->doctors_read && doctors_read(s, p) != DMP_OK) return 0;
  for (int i = 0; i < DOCTORS; i++)
    if (memcmp(p->doctors[i], who->principal, 16) == 0) return 1;
  return 0;
}

/* Walks the chain from k (or from nothing) to seq `to`, each step verified. signer[i] of the last step is in k->signer. */
static int keyset_walk(struct session *s, struct patient *p, struct keyset *k, int from_nothing, uint64_t to,
                       int (*step)(void *ctx, const struct keyset *k), void *ctx) {
  struct buf raw = { 0 };
  const struct certificate *by;
  struct keyset next;
  int e = patient_certificate(s, p, &by);
  if (e == DMP_OK && from_nothing && (by = patient_first_certificate(s, p)) == NULL) e = DMP_E_CERT_BAD;
  uint64_t seq = from_nothing ? 0 : k->seq + 1;
  for (; e == DMP_OK && seq <= to; seq++) {
    e = keyset_get(s, p->id, p->yk, seq, &next, &raw);
    if (e == DMP_E_NOT_FOUND) e = to == UINT64_MAX ? -1 : DMP_E_KEYSET_OLD;   /* -1: the chain's end, asked for */
    if (e == DMP_OK) e = patient_keyset_step(s, p, &by, seq == 0 ? NULL : k, &next, &raw);
    if (e == DMP_OK) *k = next;
    if (e == DMP_OK && step) e = step(ctx, k);
  }
  buf_free(&raw);
  return e == -1 ? DMP_OK : e;
}

/* ---- packets ---- */

struct packets { struct session *s; struct patient *p; int64_t *ids; size_t n; struct grant *g; };

/* By which certificate it may be addressed: the own one, or any key of the team that holds the seat. */
static int grant_mine(struct session *s, struct patient *p, const uint8_t cert[32]) {
  const struct seat *x = &s->seat[p->seat];
  if (x->newest == 0) {                               /* as it was when that was sent */
    const struct certificate *mine = patient_who_hash(s, p, cert);
    return mine != NULL && memcmp(mine->principal, s->cred->principal, 16) == 0;
  }
  for (size_t i = (size_t)x->newest; i < s->seats && s->seat[i].newest == x->newest; i++)
    if (memcmp(s->seat[i].cert, cert, 32) == 0) return 1;
  return 0;
}

/* The proof of a grant or packet: addressed to this login, signed by the signer of the keyset that it pins. */
static int grant_proven(struct session *s, struct patient *p, const struct grant *g, const struct keyset *k, const uint8_t sig[SUITE_SIG]) {
  struct buf over = { 0 };
  int e = DMP_E_GRANT_BAD;
  const struct certificate *granter = patient_who_hash(s, p, g->granter_cert);
  if (granter != NULL && memcmp(g->granter_cert, k->signer, 32) == 0 && g->seq == k->seq && memcmp(g->keyset_hash, k->hash, 32) == 0 &&
      grant_mine(s, p, g->grantee_cert)) {
    e = grant_signed_bytes(s, g, &over);
    if (e == DMP_OK && suite_verify(granter->sign_pk, over.p, over.n, sig) != DMP_OK) e = DMP_E_GRANT_BAD;
  }
  bytes_wipe(over.p, over.n);
  buf_free(&over);
  return e;
}

void entry_set(struct grant *g, const struct entry *n) {
  int gone = is_circle(n) && suite_is_zero(n->key, 32);
  size_t i = 0;
  while (i < g->count && (g->entry[i].circle != n->circle || (!n->circle && (g->entry[i].cls != n->cls || g->entry[i].which != n->which)))) i++;
  if (gone && i < g->count) g->entry[i] = g->entry[--g->count];
  else if (!gone && i < g->count) g->entry[i] = *n;
  else if (!gone && g->count < ENTRIES_MAX) g->entry[g->count++] = *n;
}

/* The patient's certificate is another one now: proven by the packet's signer, who may be the patient himself. */
static void patient_follows(struct patient *p, const uint8_t hash[32]) {
  for (int i = 0; i < p->certs; i++)
    if (memcmp(p->other[i].hash, hash, 32) == 0 && certificate_onward(p, &p->certificate, hash)) {
      const struct certificate c = p->other[i];
      p->other[i] = p->other[--p->certs];
      patient_moves_on(p, &c);
      return;
    }
}

/* For keyset k there must be one packet: merged in order. Without it the keys held would answer for rows they don't open. */
static int packet_for(void *ctx, const struct keyset *k) {
  struct packets *q = ctx;
  struct patient *p = q->p;
  for (size_t i = 0; i < q->n; i++) {
    const uint8_t *sig;
    int e = grant_open(q->s, p->seat, q->ids[i], 1, q->g, &sig);
    if (e != DMP_OK || q->g->seq != k->seq || q->g->patient != p->id) continue;
    uint8_t proof[SUITE_SIG];
    memcpy(proof, sig, SUITE_SIG);                    /* the scratch is reused while the proof is checked */
    if (grant_proven(q->s, p, q->g, k, proof) != DMP_OK) continue;
    if (q->g->kind == GRANT_WITHDRAWN) p->g.count = 0;
    for (size_t j = 0; j < q->g->count; j++) {
      if (is_circle(&q->g->entry[j]) && (e = patient_room(p)) != DMP_OK) return e;
      entry_set(&p->g, &q->g->entry[j]);
    }
    p->g.kind = q->g->kind;
    p->g.basis = q->g->basis;
    p->g.until = q->g->until;
    p->g.seq = k->seq;
    memcpy(p->g.keyset_hash, k->hash, 32);
    patient_follows(p, q->g->patient_cert);
    p->merged = 1;
    return DMP_OK;
  }
  return DMP_E_GRANT_STALE;
}

/* A note has no packets: only the keyset goes on. */
static int note_follows(void *ctx, const struct keyset *k) {
  struct packets *q = ctx;
  q->p->g.seq = k->seq;
  memcpy(q->p->g.keyset_hash, k->hash, 32);
  q->p->merged = 1;
  return DMP_OK;
}

/* P and M are told by their key id, halves by the public deposit key of the leaf that they derive. Keysets, which who is left out reads too,
 * list no circle: its entry stands by the packet of the newest keyset that brought it, or was not in one since. */
static int entry_live(const struct patient *p, const struct entry *en, const struct keyset_class *c) {
  uint8_t kid[16];
  struct leaf l;
  if (is_circle(en)) return 1;
  if (en->which == WHICH_P || en->which == WHICH_M) {
    keyset_kid(en->key, kid);
    return memcmp(kid, en->which == WHICH_P ? c->kid_p : c->kid_m, 16) == 0;
  }
  leaf_from_half(en->key, p->anchor, &l);
  leaf_deposit_pair(&l);
  int live = memcmp(l.deposit_pk, c->deposit[entry_leaf(en)], 32) == 0;
  bytes_wipe(&l, sizeof l);
  return live;
}

/* An entry is kept only while it is the live key of the newest keyset. */
static void entries_match(struct patient *p, struct keyset *k) {
  size_t kept = 0;
  for (size_t i = 0; i < p->g.count; i++) {
    struct keyset_class *c = keyset_class(k, p->g.entry[i].cls);
    if (c && entry_live(p, &p->g.entry[i], c)) p->g.entry[kept++] = p->g.entry[i];
  }
  p->g.count = (uint16_t)kept;
}

static int patient_merge(struct session *s, struct patient *p) {
  int more;
  int e = keyset_exists(s, p->yk, p->g.seq + 1, &more);
  if (e != DMP_OK || !more) return e;
  struct keyset *k;
  struct packets q = { .s = s, .p = p };
  if ((e = patient_keyset(s, p, &k)) != DMP_OK) return e;
  if ((e = grant_ids(s, p->g.mail, INBOX_TRIES, &q.ids, &q.n)) != DMP_OK) return e;
  q.g = calloc(1, sizeof *q.g);
  e = q.g ? keyset_walk(s, p, k, 0, UINT64_MAX, p->g.kind == GRANT_NOTE ? note_follows : packet_for, &q) : DMP_E_NOMEM;
  if (e == DMP_OK) {
    entries_match(p, k);
    e = patient_pairwise(s, p->anchor, k->log_pk[0], p->g.pair);
  }
  if (q.g) bytes_wipe(q.g, sizeof *q.g);
  free(q.g);
  free(q.ids);
  return e;
}

/* A grant as sent: the whole chain of keysets is walked once, from the one that the patient signed first. */
static int patient_prove(struct session *s, struct patient *p, const uint8_t sig[SUITE_SIG]) {
  int e = keyset_walk(s, p, &p->keyset, 1, p->g.seq, NULL, NULL);
  if (e != DMP_OK) return e;
  p->keyset_read = 1;
  e = grant_proven(s, p, &p->g, &p->keyset, sig);
  if (e == DMP_OK) entries_match(p, &p->keyset);
  if (e == DMP_OK) e = patient_pairwise(s, p->anchor, p->keyset.log_pk[0], p->g.pair);
  return e;
}

static void own_keys(const struct credential *who, struct patient *p) {
  uint8_t x[3 + 8];
  memcpy(x, "own", 3);
  le_put64(x + 3, (uint64_t)p->id);
  suite_kdf2(who->wrap, 32, p->anchor, 32, x, sizeof x, p->own_leaf[p->owns]);
  suite_prf(p->own_leaf[p->owns], "wrap", 4, p->own_loc[p->owns]);
  p->owns++;
}

void patient_own_leaf(const struct credential *who, struct patient *p) {
  p->owns = 0;
  own_keys(who, p);
}

static struct patient *cache_slot(struct session *s) {
  struct patient *p = &s->cache[0];
  for (int i = 0; i < PATIENT_CACHE; i++) {
    if (s->cache[i].generation != s->generation) return &s->cache[i];
    if (s->cache[i].tick < p->tick) p = &s->cache[i];
  }
  return p;
}

/* Where what this login deposited for the patient lies, and under which key. */
void patient_own_keys(const struct session *s, struct patient *p) {
  patient_own_leaf(s->cred, p);
  for (unsigned i = 0; i < s->cred->formers; i++) own_keys(&s->former[i], p);
}

static void patient_ends(struct session *s, struct patient *p) {
  int64_t until = p->g.until, leaves = s->seat[p->seat].until;
  if (leaves && (until == 0 || leaves < until)) until = leaves;
  p->lapsed = until != 0 && record_now() > until;
  p->expires = p->lapsed ? 0 : until;
  if (p->seat && !p->lapsed && p->g.count) memcpy(p->team, s->seat[p->seat].team, 16);
}

static int patient_open(struct session *s, const struct own_grant *own, struct patient *p) {
  const uint8_t *sig;
  uint8_t proof[SUITE_SIG], prf[16];
  patient_forget(p);
  p->id = own->patient;
  p->row = own->row;
  p->inbox = own->inbox;
  p->seat = own->seat;
  int e = grant_open(s, p->seat, own->row, own->inbox, &p->g, &sig);
  if (e == DMP_OK && p->g.patient != p->id) e = DMP_E_GRANT_BAD;
  if (e != DMP_OK) return e;
  memcpy(proof, sig, SUITE_SIG);
  for (size_t i = 0; e == DMP_OK && i < p->g.count; i++)
    if (is_circle(&p->g.entry[i])) e = patient_room(p);
  if (e != DMP_OK || (e = anchor_get(s->r, p->g.slot, p->anchor)) != DMP_OK) return e;
  if (p->seat) memset(p->g.pair, 0, 32);              /* under a former key, or a team's: made when it is asked for */
  patient_yk(p->g.y, p->anchor, p->yk);
  patient_own_keys(s, p);
  suite_prf_key(p->yk, prf);
  suite_prf_with(prf, "deposit", 7, p->deposit_loc);
  if (p->inbox) e = patient_prove(s, p, proof);
  if (e == DMP_OK) e = patient_merge(s, p);
  if (e == DMP_OK) patient_ends(s, p);
  return e;
}

/* What a team's grant adds. All end at the same keyset, so that one class has one live key. */
static int patient_add(struct session *s, struct patient *p, const struct patient *from) {
  const struct entry *en;
  int held = 0, added = 0;
  for (size_t i = 0; (en = patient_entry(p, i)) != NULL; i++) held |= !is_circle(en);
  if (p->g.seq != from->g.seq || memcmp(p->g.keyset_hash, from->g.keyset_hash, 32) != 0) return DMP_E_KEYSET_BAD;
  p->others |= from->inbox || from->merged || from->seat != s->seat[from->seat].newest;
  for (size_t i = 0; (en = patient_entry(from, i)) != NULL; i++) {
    if (is_circle(en) || patient_key(p, en->cls, en->which) || p->extras == ENTRIES_MAX) continue;   /* circles are given to persons only */
    p->extra[p->extras++] = *en;
    added = 1;
  }
  if (!added) return DMP_OK;
  if (!held) memcpy(p->team, from->team, 16);
  if (from->expires && (p->expires == 0 || from->expires < p->expires)) p->expires = from->expires;
  return DMP_OK;
}

/* Opens the first grant of one holder, oneself or a team, that proves; *i goes past all of his. An adopted row comes first and must open; after
 * it whatever lies in the inbox: a forged one must not hide the true one. */
static int patient_of_holder(struct session *s, size_t *i, struct patient *p) {
  const struct own_grant *first = &s->own[*i];
  int e = DMP_E_NO_PATIENT;
  for (; *i < s->owns && s->own[*i].patient == first->patient && s->own[*i].group == first->group; ++*i) {
    if (e != DMP_E_NO_PATIENT) continue;
    e = patient_open(s, &s->own[*i], p);
    if (e != DMP_OK && s->own[*i].inbox) e = DMP_E_NO_PATIENT;
  }
  return e;
}

static size_t own_first(const struct session *s, int64_t id) {
  size_t lo = 0, hi = s->owns;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (s->own[mid].patient < id) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

int patient_get(struct session *s, int64_t id, struct patient **out) {
  struct patient *p = NULL, *slot;
  *out = NULL;
  int e = patient_own(s), got, team = 0;
  if (e != DMP_OK) return e;
  for (int i = 0; i < PATIENT_CACHE; i++)
    if (s->cache[i].id == id && s->cache[i].generation == s->generation) {
      *out = &s->cache[i];
      s->cache[i].tick = ++s->cache_tick;
      if (!patient_over(*out)) return DMP_OK;         /* else opened again, for what has not ended */
      s->cache[i].generation = 0;
      *out = NULL;
    }
  slot = cache_slot(s);
  slot->generation = 0;
  for (size_t i = own_first(s, id); e == DMP_OK && i < s->owns && s->own[i].patient == id;) {
    struct patient *to = p ? &s->cache[PATIENT_CACHE] : slot;
    got = patient_of_holder(s, &i, to);
    if (got == DMP_OK && s->seat[to->seat].newest) team |= to->g.kind == GRANT_ACTIVE && !to->lapsed;
    if (got == DMP_OK && p) e = patient_add(s, p, to);
    else if (got == DMP_OK) p = to;
    else if (got != DMP_E_NO_PATIENT) e = got;
  }
  patient_forget(&s->cache[PATIENT_CACHE]);
  if (e == DMP_OK && p == NULL) e = DMP_E_NO_PATIENT;
  if (e != DMP_OK) return e;
  if (p->g.basis == BASIS_MEMBER && !team) p->lapsed = 1;
  p->generation = s->generation;
  p->tick = ++s->cache_tick;
  *out = p;
  return DMP_OK;
}

/* ---- writing ---- */

static int grant_seal(struct session *s, const struct grant *g, const uint8_t sig[SUITE_SIG], const uint8_t *wrap,
                      const uint8_t *to_pk, const uint8_t loc[16], int64_t row, struct buf *box) {
  struct buf plain = { 0 };
  struct box_ad ad = grant_ad(s, row, loc);
  grant_write(g, &plain);
  buf_put(&plain, sig, SUITE_SIG);
  int e = plain.bad ? DMP_E_NOMEM : DMP_OK;
  if (e == DMP_OK)
    e = wrap ? box_seal(SUITE_XCHACHA, wrap, &ad, plain.p, plain.n, GRANT_BYTES, NULL, box)
            : box_seal_to(to_pk, NULL, &ad, plain.p, plain.n, GRANT_BYTES, box);
  buf_free(&plain);
  return e;
}

static int grant_put(struct session *s, const uint8_t wrap[32], const uint8_t loc[16], const struct grant *g, int64_t row, int64_t *out_row) {
  static const uint8_t none[SUITE_SIG];               /* the wrap key proves it from now on */
  struct buf box = { 0 };
  int e = DMP_OK, fresh = row == 0;
  if (fresh) {
    s->grants_written = 1;
    e = record_random_id(&row);
  }
  if (e == DMP_OK) e = grant_seal(s, g, none, wrap, NULL, loc, row, &box);
  if (e == DMP_OK) e = record_put(s->r, fresh ? STMT_GRANT_PUT : STMT_GRANT_SET, loc, &box, row);
  if (out_row) *out_row = row;
  buf_free(&box);
  return e;
}

int grant_put_own(struct session *s, const struct credential *who, const struct grant *g, int64_t row, int64_t *out_row) {
  uint8_t loc[16];
  suite_prf(who->loc, "grant", 5, loc);
  return grant_put(s, who->wrap, loc, g, row, out_row);
}

int grant_send(struct session *s, struct grant *g, int first, const struct certificate *grantee, const uint8_t granter_sk[64],
               const uint8_t granter_hash[32]) {
  struct buf over = { 0 }, box = { 0 };
  uint8_t loc[16], sig[SUITE_SIG];
  int64_t row;
  memset(g->pair, 0, 32);
  memcpy(g->grantee_cert, grantee->hash, 32);
  memcpy(g->granter_cert, granter_hash, 32);
  if (first) seat_inbox(s->cred->directory, grantee->principal, loc);
  else memcpy(loc, g->mail, 16);
  for (size_t i = 0; first && i < s->seats; i++)      /* to this login itself, or to a team it is in */
    if (memcmp(loc, s->seat[i].inbox, 16) == 0) s->grants_written = 1;
  int e = grant_signed_bytes(s, g, &over);
  if (e == DMP_OK) suite_sign(granter_sk, over.p, over.n, sig);
  if (e == DMP_OK) e = record_random_id(&row);
  if (e == DMP_OK) e = grant_seal(s, g, sig, NULL, grantee->box_pk, loc, row, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_GRANT_PUT, loc, &box, row);
  buf_free(&over);
  buf_free(&box);
  return e;
}

int grant_drop_own(struct session *s, const struct credential *who) {
  uint8_t loc[16];
  suite_prf(who->loc, "grant", 5, loc);
  return record_clear(s->r, STMT_GRANT_CLEAR, loc);
}

static int grant_drop(struct session *s, int64_t row) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_DROP);
  if (st) sqlite3_bind_int64(st, 1, row);
  return record_run(s->r, st);
}

/* Makes one row true: merged packets written and deleted, a team's under its newest secret. */
static int adopt_row(struct session *s, struct patient *p) {
  const struct seat *x = &s->seat[s->seat[p->seat].newest];
  int64_t *ids = NULL;
  size_t n = 0;
  if (!p->inbox && !p->merged && p->seat == x->newest) return DMP_OK;
  struct keyset *k;
  int e = DMP_OK;
  if (p->seat && x->newest == 0) {                    /* from under a former key */
    e = patient_keyset(s, p, &k);
    if (e == DMP_OK) e = patient_pairwise(s, p->anchor, k->log_pk[0], p->g.pair);
  } else if (p->seat) {                               /* a key with the log is everybody's own */
    memset(p->g.pair, 0, 32);
    p->pair_made = 0;
  }
  if (e == DMP_OK) e = grant_put(s, x->wrap, x->own, &p->g, p->row, NULL);
  if (e == DMP_OK && p->g.kind != GRANT_NOTE) e = grant_ids(s, p->g.mail, INT64_MAX, &ids, &n);
  for (size_t i = 0; e == DMP_OK && i < n; i++) e = grant_drop(s, ids[i]);   /* merged, older, or never proven */
  if (e == DMP_OK) {
    p->inbox = p->merged = 0;
    p->seat = x->newest;
    for (size_t i = 0; i < s->owns; i++)
      if (s->own[i].row == p->row) {
        s->own[i].inbox = 0;
        s->own[i].seat = x->newest;
      }
  }
  free(ids);
  return e;
}

int grant_adopt_packets(struct session *s, struct patient *p) {
  struct patient *spare = &s->cache[PATIENT_CACHE];
  int e = adopt_row(s, p), group = s->seat[p->seat].newest;
  for (size_t i = own_first(s, p->id); e == DMP_OK && p->others && i < s->owns && s->own[i].patient == p->id;) {
    if (s->own[i].group == group) {
      i++;
      continue;
    }
    e = patient_of_holder(s, &i, spare);
    if (e == DMP_OK) e = adopt_row(s, spare);
    else if (e == DMP_E_NO_PATIENT) e = DMP_OK;
  }
  bytes_wipe(spare, sizeof *spare);
  if (e == DMP_OK) p->others = 0;
  return e;
}

int grant_move_teams(struct session *s, size_t limit, size_t *left) {
  struct patient *spare = &s->cache[PATIENT_CACHE];
  int e = patient_own(s);
  *left = 0;
  for (size_t i = 0; e == DMP_OK && i < s->owns; i++) {
    const struct own_grant *own = &s->own[i];
    if (own->inbox || own->seat == own->group) continue;
    if (limit == 0 || patient_open(s, own, spare) != DMP_OK) ++*left;   /* a damaged one stays: dmp_verify names it */
    else {
      e = adopt_row(s, spare);
      limit--;
    }
  }
  bytes_wipe(spare, sizeof *spare);
  return e;
}

int grant_move_own(struct session *s) {
  struct patient *spare = &s->cache[PATIENT_CACHE];
  int e = patient_own(s);
  for (size_t i = 0; e == DMP_OK && i < s->owns; i++)
    if (s->own[i].group == 0 && s->own[i].seat != 0 && !s->own[i].inbox && patient_open(s, &s->own[i], spare) == DMP_OK) e = adopt_row(s, spare);
  bytes_wipe(spare, sizeof *spare);
  return e;
}

int grant_note(struct session *s, struct patient *p) {
  for (size_t i = own_first(s, p->id); i < s->owns && s->own[i].patient == p->id; i++)
    if (s->own[i].group == 0) return DMP_OK;
  struct grant *note = memory_new(sizeof *note);
  if (note == NULL) return DMP_E_LOCK;
  const uint8_t *key;
  int e = patient_pair(s, p, 0, &key);
  *note = p->g;
  note->kind = GRANT_NOTE;
  note->basis = BASIS_NONE;
  note->count = 0;
  note->until = 0;
  memset(note->mail, 0, 16);
  if (e == DMP_OK) e = grant_put_own(s, s->cred, note, 0, NULL);
  memory_free(note);
  return e;
}

/* A grant of one's own takes the place of a note. */
static int notes_drop(struct session *s, int64_t patient) {
  int e = DMP_OK;
  for (size_t i = own_first(s, patient); e == DMP_OK && i < s->owns && s->own[i].patient == patient; i++)
    if (s->own[i].note && s->own[i].group == 0) {
      s->grants_written = 1;
      e = grant_drop(s, s->own[i].row);
    }
  return e;
}

static int adopt_inbox_row(struct session *s, int seat, int64_t row, int *told) {
  struct own_grant *own = NULL;
  struct patient *slot = cache_slot(s);
  for (size_t j = 0; j < s->owns; j++)
    if (s->own[j].row == row) own = &s->own[j];
  int good = own != NULL && patient_open(s, own, slot) == DMP_OK;
  slot->generation = 0;
  /* A second first grant for a patient already held would take the place of the pinned one. */
  for (size_t j = 0; good && j < s->owns; j++)
    if (s->own[j].patient == own->patient && s->own[j].group == s->seat[seat].newest && !s->own[j].inbox && !s->own[j].note) good = 0;
  *told |= !good || slot->g.basis != BASIS_MEMBER;
  if (good) {
    int e = adopt_row(s, slot);
    return e == DMP_OK && seat == 0 ? notes_drop(s, slot->id) : e;
  }
  s->inbox_refused++;
  return grant_drop(s, row);
}

int grant_adopt_inbox(struct session *s, int *told) {
  int64_t *ids = NULL;
  size_t n = 0;
  int e = patient_own(s);
  *told = 0;
  for (int seat = 0; e == DMP_OK && seat < (int)s->seats; seat++) {
    if (s->seat[seat].newest != seat) continue;
    e = grant_ids(s, s->seat[seat].inbox, INBOX_TRIES, &ids, &n);
    for (size_t i = 0; e == DMP_OK && i < n; i++) e = adopt_inbox_row(s, seat, ids[i], told);
    free(ids);
    ids = NULL;
  }
  session_stale(s);
  return e;
}
