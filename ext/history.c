/* history.c: finding lines (see history.h). */
#include "history.h"
#include "access.h"
#include "follow.h"
#include "holder.h"
#include "view.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const int64_t WEEK = 7LL * 24 * 3600 * 1000;
static const struct scan SECRETS = { .first = CLASS_LOG, .last = CLASS_LOG };

struct keeping { struct history *to; const uint8_t *person; int e; };

static int keep_line(void *ctx, const struct log_line *line, int64_t block) {
  struct keeping *k = ctx;
  struct history *a = k->to;
  if (memcmp(line->person, k->person, 16) != 0) {     /* sealed by one person in the name of another */
    a->foreign++;
    return 0;
  }
  if (a->n == a->cap) {
    size_t cap = a->cap ? 2 * a->cap : 64;
    struct history_line *p = realloc(a->h, cap * sizeof *p);
    if (p == NULL) {
      k->e = DMP_E_NOMEM;
      return 1;
    }
    a->h = p;
    a->cap = cap;
  }
  a->h[a->n] = (struct history_line){ *line, block };
  bytes_wipe(a->h[a->n++].l.key, 32);
  return 0;
}

/* tag: NULL, or where it does not follow from who writes. */
static int read_pair(struct session *s, const uint8_t key[32], const struct certificate *who, const uint8_t *tag, int64_t patient, struct history *out) {
  struct keeping k = { out, who->principal, DMP_OK };
  struct log_author by = { .pk = who->sign_pk };
  int64_t from = id_time(patient ? patient : s->principal) - WEEK;
  if (tag) memcpy(by.tag, tag, 16);
  else access_writer_tag(s->cred->directory, who, by.tag);
  int e = log_read(s->r->log, key, &by, patient, from, record_now() + WEEK, keep_line, &k);
  out->foreign += by.foreign;
  return e == DMP_OK ? k.e : e;
}

static int is_about_item(const struct log_line *l) {
  return l->action == LOG_READ || l->action == LOG_DEPOSIT || l->action == LOG_DELETE || l->action == LOG_MASK || l->action == LOG_UNMASK ||
         l->action == LOG_ANNOUNCE || l->action == LOG_REVEAL;
}

/* A line about an item that is not there any more does not show. */
static int own_line_shows(struct session *s, struct patient *p, const struct log_line *l) {
  struct item it;
  int64_t object = id_from_field(l->object);
  if (object == 0 || !is_about_item(l)) return 1;
  if (object_open(s, p, object, &it) != DMP_OK) return 0;
  item_close(&it);
  return 1;
}

/* ---- what a minimal view was given of the log: the lines about what it shows, as one value beside its log secret ---- */

void history_line_put(const struct log_line *l, struct buf *b) {
  buf_u64(b, (uint64_t)l->at);
  buf_u8(b, l->action);
  buf_u8(b, l->mode);
  buf_u16(b, l->count);
  buf_put(b, l->person, 16);
  buf_put(b, l->patient, 16);
  buf_put(b, l->object, 16);
  buf_put(b, l->login, 16);
  buf_put(b, l->reason, sizeof l->reason);
}

static void line_get(struct rd *r, struct log_line *l) {
  *l = (struct log_line){ .at = (int64_t)rd_u64(r) };
  l->action = rd_u8(r);
  l->mode = rd_u8(r);
  l->count = rd_u16(r);
  rd_copy(r, l->person, 16);
  rd_copy(r, l->patient, 16);
  rd_copy(r, l->object, 16);
  rd_copy(r, l->login, 16);
  rd_copy(r, (uint8_t *)l->reason, sizeof l->reason);
}

struct kept { struct session *s; struct patient *p; int about; struct history *out; };

static int take_kept(void *ctx, struct item *it) {
  struct kept *q = ctx;
  struct value v[2] = { 0 };
  size_t count, used;
  struct log_line l;
  if (it->c.table != ITEM_LOG_SECRETS || row_get(it->c.row, it->c.row_len, v, 2, &count, &used) != DMP_OK || v[1].type != VALUE_BLOB) return DMP_OK;
  struct rd r = { v[1].u.p, v[1].n, 0 };
  for (int64_t n = 0; r.n > 0 && !r.bad; n++) {
    line_get(&r, &l);
    if (r.bad || suite_is_zero(l.patient, 16) == q->about || !own_line_shows(q->s, q->p, &l)) continue;
    struct keeping k = { q->out, l.person, DMP_OK };
    keep_line(&k, &l, n);
    if (k.e != DMP_OK) return k.e;
  }
  return DMP_OK;
}

/* p NULL: of the own chain. What is opened for it is no work of the reader's. */
static int read_kept(struct session *s, struct patient *p, struct history *out) {
  struct kept q = { s, p, p != NULL, out };
  uint64_t headers = s->headers_opened, boxes = s->boxes_opened;
  int e = p ? DMP_OK : patient_get(s, s->principal, &q.p);
  if (e == DMP_OK) e = object_scan(s, q.p, &SECRETS, take_kept, &q);
  s->headers_opened = headers;
  s->boxes_opened = boxes;
  return e == DMP_E_NO_PATIENT ? DMP_OK : e;
}

/* ---- a full holder: each log secret against everyone who ever held a grant, and who registered the patient ---- */

struct secrets { struct session *s; struct patient *p; uint8_t (*k)[32]; size_t n; };

static int take_secret(void *ctx, struct item *it) {
  struct secrets *q = ctx;
  struct value v;
  size_t count, used;
  if (it->c.table != ITEM_LOG_SECRETS) return DMP_OK;
  int e = object_trusted(q->s, q->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;
  if (row_get(it->c.row, it->c.row_len, &v, 1, &count, &used) != DMP_OK || v.n != 32) return DMP_OK;
  uint8_t(*k)[32] = malloc((q->n + 1) * 32);          /* not realloc: the old copy is wiped */
  if (k == NULL) return DMP_E_NOMEM;
  if (q->n) memcpy(k, q->k, q->n * 32);
  if (q->n) bytes_wipe(q->k, q->n * 32);
  memcpy(k[q->n++], v.u.p, 32);
  free(q->k);
  q->k = k;
  return DMP_OK;
}

static int read_key(struct session *s, struct patient *p, const struct certificate *who, const uint8_t *tag, const struct secrets *q, struct history *out) {
  int e = DMP_OK;
  if (who && who->kind == KIND_TEAM) return DMP_OK;    /* writes no line, and its certificate names no key */
  for (size_t i = 0; e == DMP_OK && who && i < q->n; i++) {
    uint8_t shared[32], key[32];
    e = suite_x25519(q->k[i], who->box_pk, shared);
    if (e == DMP_OK) suite_kdf2(shared, 32, p->anchor, 32, "log", 3, key);
    if (e == DMP_OK) e = read_pair(s, key, who, tag, p->id, out);
    bytes_wipe(shared, sizeof shared);
    bytes_wipe(key, sizeof key);
  }
  return e;
}

/* Under each key that the person has, or had. */
static int read_person(struct session *s, struct patient *p, const struct certificate *who, const struct secrets *q, struct history *out) {
  const struct certificate *c = who ? patient_who(s, p, who->principal) : NULL;
  int e = DMP_OK;
  while (e == DMP_OK && c) {
    const struct certificate *before = c->serial ? patient_who_hash(s, p, c->previous) : NULL;
    if (before == NULL || !certificate_same_keys(before, c)) e = read_key(s, p, c, NULL, q, out);
    c = before;
  }
  return e;
}

static void secrets_free(struct secrets *q) {
  if (q->n) bytes_wipe(q->k, q->n * 32);
  free(q->k);
}

/* What was looked at through minimal views: lines in the patient's name, under keys that each view had for itself. */
static int read_views(struct session *s, struct patient *p, struct history *out) {
  struct views v;
  int e = views_read(s, p, &v);
  for (size_t i = 0; e == DMP_OK && i < v.n; i++) {
    struct secrets q = { .k = &v.v[i].log_sk, .n = 1 };
    struct certificate who = { .kind = KIND_PATIENT };
    uint8_t tag[16];
    size_t first = out->n;
    id_field(who.principal, p->id);
    memcpy(who.sign_pk, v.v[i].sign_pk, 32);
    memcpy(who.box_pk, v.v[i].box_pk, 32);
    view_writer_tag(s->cred->directory, who.sign_pk, tag);
    e = read_key(s, p, &who, tag, &q, out);
    for (size_t k = first; k < out->n; k++) out->h[k].l.mode = LOG_SHOWN;
  }
  views_free(&v);
  return e;
}

static int read_as_holder(struct session *s, struct patient *p, struct history *out) {
  struct secrets q = { .s = s, .p = p };
  struct grantees gs = { 0 };
  const struct certificate **who = NULL;
  size_t n = 0;
  int e = object_scan(s, p, &SECRETS, take_secret, &q);
  if (e == DMP_OK) e = grantees_read(s, p, &gs);
  if (e == DMP_OK) e = grantees_people(s, p, &gs, &who, &n);
  for (size_t i = 0; e == DMP_OK && i < n; i++) e = read_person(s, p, who[i], &q, out);
  free(who);
  if (e == DMP_OK && s->view) e = read_key(s, p, &s->me, s->writer_tag, &q, out);
  secrets_free(&q);
  grantees_free(&gs);
  if (e == DMP_OK) e = read_views(s, p, out);         /* in a view there are none, and it looks as long for them */
  if (e == DMP_OK && s->view) e = read_kept(s, p, out);
  return e;
}

/* A line about a document does not show to the patient before the document does. */
struct withheld { struct session *s; struct patient *p; int64_t *id; size_t n; };

static int take_withheld(void *ctx, struct item *it) {
  struct withheld *w = ctx;
  if (!follow_withheld(w->s, w->p, it)) return DMP_OK;
  int64_t *id = realloc(w->id, (w->n + 1) * sizeof *id);
  if (id == NULL) return DMP_E_NOMEM;
  w->id = id;
  id[w->n++] = it->id;
  return DMP_OK;
}

static int drop_withheld(struct session *s, struct patient *p, struct history *out) {
  const struct scan hidden = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1, .hidden = 1 };
  struct withheld w = { .s = s, .p = p };
  size_t kept = 0;
  int e = object_scan(s, p, &hidden, take_withheld, &w);
  for (size_t i = 0; e == DMP_OK && i < out->n; i++) {
    int drop = 0;
    for (size_t j = 0; j < w.n; j++) drop |= id_from_field(out->h[i].l.object) == w.id[j];
    if (!drop) out->h[kept++] = out->h[i];
  }
  if (e == DMP_OK) out->n = kept;
  free(w.id);
  return e;
}

static int take_opened(void *ctx, struct item *it) {
  struct withheld *w = ctx;
  int64_t *id = w->n & (w->n - 1) ? w->id : realloc(w->id, (w->n ? 2 * w->n : 1) * sizeof *id);
  if (id == NULL) return DMP_E_NOMEM;
  w->id = id;
  id[w->n++] = it->id;
  return DMP_OK;
}

static int by_id(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* The treating doctor reads no line about what is there and masked from him. What is not there any more he was told of. */
static int drop_hidden(struct session *s, struct patient *p, struct history *out) {
  const struct scan every = { .first = 0, .last = UINT16_MAX, .own = 1 };
  struct withheld w = { 0 };
  size_t kept = 0;
  int e = object_scan(s, p, &every, take_opened, &w), there = 0;
  if (w.n > 1) qsort(w.id, w.n, sizeof *w.id, by_id);
  for (size_t i = 0; e == DMP_OK && i < out->n; i++) {
    int64_t object = id_from_field(out->h[i].l.object);
    int known = object == 0 || !is_about_item(&out->h[i].l) || (w.n && bsearch(&object, w.id, w.n, sizeof object, by_id));
    if (!known) e = object_exists(s, object, &there);
    if (known || !there) out->h[kept++] = out->h[i];
  }
  if (e == DMP_OK) out->n = kept;
  free(w.id);
  return e;
}

/* ---- anybody else: the own lines, about what he can still open ---- */

/* The own lines under one log pair, by each key that this login has or had. */
static int read_own_pair(struct session *s, struct patient *p, const uint8_t log_pk[32], struct history *out) {
  uint8_t key[32], shared[32];
  int e = patient_pairwise(s, p->anchor, log_pk, key);
  if (e == DMP_OK) e = read_pair(s, key, &s->me, s->writer_tag, p->id, out);
  for (unsigned i = 0; e == DMP_OK && i < s->cred->formers; i++) {
    const struct certificate *then = session_by_key(s, s->former[i].sign_pk);
    if (then == NULL) continue;
    e = suite_x25519(s->former[i].box_sk, log_pk, shared);
    if (e == DMP_OK) suite_kdf2(shared, 32, p->anchor, 32, "log", 3, key);
    if (e == DMP_OK) e = read_pair(s, key, then, NULL, p->id, out);
  }
  bytes_wipe(key, sizeof key);
  bytes_wipe(shared, sizeof shared);
  return e;
}

/* The own lines: one pairwise key for each log pair that the keysets have named, visible ones from pair 0 on. */
static int read_own(struct session *s, struct patient *p, int pair, struct history *out) {
  uint8_t last[2][32] = { { 0 } };
  struct keyset *k = malloc(sizeof *k);
  size_t kept = out->n, first = out->n;
  int e = k ? DMP_OK : DMP_E_NOMEM;
  for (uint64_t seq = 0; e == DMP_OK && seq <= p->g.seq; seq++) {
    e = keyset_get(s, p->id, p->yk, seq, k, NULL);
    for (int i = pair; e == DMP_OK && i < 2; i++) {
      if (memcmp(last[i], k->log_pk[i], 32) == 0) continue;
      memcpy(last[i], k->log_pk[i], 32);
      e = read_own_pair(s, p, last[i], out);
    }
  }
  for (size_t i = first; e == DMP_OK && i < out->n; i++)
    if (own_line_shows(s, p, &out->h[i].l)) out->h[kept++] = out->h[i];
  if (e == DMP_OK) out->n = kept;
  free(k);
  return e;
}

/* ---- a representative: the visible pair against everybody (who was granted what is not told him), and the own hidden lines ---- */

static int read_as_representative(struct session *s, struct patient *p, struct history *out) {
  struct secrets q = { .s = s, .p = p };
  const struct certificate *pc;
  int e = object_scan(s, p, &SECRETS, take_secret, &q);
  if (e == DMP_OK) e = patient_certificate(s, p, &pc);
  if (e == DMP_OK) e = read_person(s, p, pc, &q, out);
  for (size_t i = 0; e == DMP_OK && i < s->dir.n; i++)
    if (session_who(s, s->dir.all[i].principal) == &s->dir.all[i]) e = read_person(s, p, &s->dir.all[i], &q, out);   /* each once */
  secrets_free(&q);
  return e == DMP_OK ? read_own(s, p, 1, out) : e;
}

static int read_as_reader(struct session *s, struct patient *p, struct history *out) {
  return patient_leaf(p, CLASS_LOG, 2)->held ? read_as_representative(s, p, out) : read_own(s, p, 0, out);
}

static int by_time(const void *a, const void *b) {
  const struct history_line *x = a, *y = b;
  if (x->l.at != y->l.at) return (x->l.at > y->l.at) - (x->l.at < y->l.at);
  return (x->block > y->block) - (x->block < y->block);   /* what the clock does not tell apart, the file does */
}

static int is_showing(const struct log_line *l) { return l->action == LOG_VIEW || l->action == LOG_VIEW_END; }

/* What this login did that is about no patient, and, of a patient, apart from that: what she showed, which nobody else is to know of. */
static int read_own_chain(struct session *s, int showings, struct history *out) {
  size_t had = out->n, n = had;
  uint8_t key[32];
  access_own_key(s->cred, key);
  int e = read_pair(s, key, &s->me, s->writer_tag, 0, out);
  for (unsigned i = 0; e == DMP_OK && i < s->cred->formers; i++) {
    const struct certificate *then = session_by_key(s, s->former[i].sign_pk);
    access_own_key(&s->former[i], key);
    if (then) e = read_pair(s, key, then, NULL, 0, out);
  }
  bytes_wipe(key, sizeof key);
  for (size_t i = had; i < out->n; i++) {
    struct history_line *h = &out->h[i];
    if (is_showing(&h->l) != showings) continue;
    if (showings) id_field(h->l.patient, s->principal);
    out->h[n++] = *h;
  }
  out->n = n;
  return e;
}

int history_read(struct session *s, struct patient *p, int all, struct history *out) {
  int full = 0, e = s->r->log ? access_counts(s) : DMP_E_LOG_OPEN;
  *out = (struct history){ 0 };
  if (e == DMP_OK && p) e = holder_is_full(s, p, &full);
  if (e == DMP_OK && p) e = full ? read_as_holder(s, p, out) : read_as_reader(s, p, out);
  if (e == DMP_OK && p && !all && p->id == s->principal) e = drop_withheld(s, p, out);
  if (e == DMP_OK && full && !all && p->id != s->principal) e = drop_hidden(s, p, out);
  if (e == DMP_OK && p && !all && p->id == s->principal && !s->view) e = read_own_chain(s, 1, out);
  if (e == DMP_OK && p == NULL) e = read_own_chain(s, 0, out);
  if (e == DMP_OK && p == NULL && s->view) e = read_kept(s, NULL, out);
  if (out->n > 1) qsort(out->h, out->n, sizeof *out->h, by_time);
  return e;
}

void history_free(struct history *h) {
  free(h->h);
  *h = (struct history){ 0 };
}
