/* show.c: minimal views begin and end (see show.h). */
#include "show.h"
#include "access.h"
#include "change.h"
#include "episode.h"
#include "history.h"
#include "memory.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

struct making {
  struct session *s;
  struct patient *p, *v;                              /* the record's, and as the view holds him: locked */
  struct credential *cred;                            /* the view's: locked */
  struct view made;
  struct keyset k;
  struct ids people, logins;                          /* principals who are seen; logins (ids) of which a line is kept */
  int own;                                            /* an item that the patient deposited is ticked */
};

static int64_t person_of(const uint8_t principal[16]) { return id_from_field(principal); }

/* ---- what is shown ---- */

static int tick_items(struct making *m, const struct ids *want) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < want->n; i++) {
    struct item it;
    e = object_open(m->s, m->p, want->id[i], &it);
    if (e != DMP_OK) return e;
    if (!item_deposited(it.c.table) || it.deleted) e = DMP_E_NOT_FOUND;
    if (e == DMP_OK) e = object_tick(m->s, m->v, &it, 0);
    if (e == DMP_OK) e = ids_add(&m->made.items, it.id);
    if (e == DMP_OK) e = ids_add(&m->people, person_of(it.c.depositor));
    m->own |= person_of(it.c.depositor) == m->p->id;
    item_close(&it);
  }
  return e;
}

static int tick_identity(struct making *m) {
  struct item it;
  int e = object_open(m->s, m->p, m->p->id, &it);
  if (e == DMP_OK) e = object_tick(m->s, m->v, &it, 0);
  if (e == DMP_OK) e = ids_add(&m->made.others, it.id);
  item_close(&it);
  return e;
}

/* Consents and feeds of those who are seen; which episode a ticked item was said to belong to. */
static int tick_choice(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[ASSIGN_VALUES] = { 0 };
  size_t count, used;
  int about_person = it->c.table == ITEM_CONSENT || it->c.table == ITEM_FEED, about_item = it->c.table == ITEM_ASSIGNMENT;
  if (!about_person && !about_item) return DMP_OK;
  int e = row_get(it->c.row, it->c.row_len, v, ASSIGN_VALUES, &count, &used);
  if (e != DMP_OK || v[0].type != VALUE_INT || !ids_has(about_person ? &m->people : &m->made.items, v[0].u.i)) return e;
  e = object_tick(m->s, m->v, it, 0);
  return e == DMP_OK ? ids_add(&m->made.others, it->id) : e;
}

static int tick_all(struct making *m, const struct ids *want) {
  const struct scan choices = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };
  const struct certificate *pc, *issuer;
  int e = patient_certificate(m->s, m->p, &pc);
  issuer = e == DMP_OK ? directory_by_hash(&m->s->dir, pc->issuer) : NULL;
  if (e == DMP_OK) e = ids_add(&m->people, m->p->id);
  if (e == DMP_OK && issuer) e = ids_add(&m->people, person_of(issuer->principal));
  if (e == DMP_OK) e = tick_items(m, want);
  if (e == DMP_OK) e = tick_identity(m);
  return e == DMP_OK ? object_scan(m->s, m->p, &choices, tick_choice, m) : e;
}

/* ---- the log, as far as it is about what is shown ---- */

static int line_kept(struct making *m, const struct log_line *l) {
  int64_t object = id_from_field(l->object);
  switch (l->action) {
    case LOG_LOGIN: case LOG_ADOPT: return ids_has(&m->logins, id_from_field(l->login));
    case LOG_LIST: case LOG_CREATE: case LOG_READ: case LOG_REFUSED: case LOG_DEPOSIT: case LOG_DELETE: case LOG_CONSENT: case LOG_WITHDRAW:
    case LOG_TREATING: case LOG_ANNOUNCE: break;
    default: return 0;                                /* what is masked, shown, turned: nothing of it */
  }
  return ids_has(&m->people, id_from_field(l->person)) && l->mode == LOG_NORMAL &&
         (object <= 0 || ids_has(&m->people, object) || ids_has(&m->made.items, object));
}

static int keep_lines(struct making *m, struct patient *p, struct buf *out) {
  struct history h;
  int e = history_read(m->s, p, 0, &h);
  for (size_t i = 0; e == DMP_OK && i < h.n; i++) {
    if (!line_kept(m, &h.h[i].l)) continue;
    history_line_put(&h.h[i].l, out);
    e = ids_add(&m->logins, id_from_field(h.h[i].l.login));
  }
  history_free(&h);
  return e == DMP_OK && out->bad ? DMP_E_NOMEM : e;
}

/* ---- the view's own record ---- */

static int make_credential(struct making *m, const struct showing *w) {
  struct session *s = m->s;
  int e = random_bytes("view", m->made.root, 32);
  if (e != DMP_OK) return e;
  view_credential(m->made.root, s->cred, m->p->id, m->cred);
  memcpy(m->made.sign_pk, m->cred->sign_pk, 32);
  memcpy(m->made.box_pk, m->cred->box_pk, 32);
  view_patient(m->p, m->made.root, m->v);
  patient_own_leaf(m->cred, m->v);
  e = credential_create(w->credential, w->pin, w->pin_len, s->cost, m->cred);
  return e == DMP_OK ? access_note_file(s, w->credential) : e;
}

/* An empty state in each leaf, and the public side of the keys. */
static int make_leaves(struct making *m) {
  const uint16_t *ids;
  size_t n = rights_classes(&ids);
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    struct keyset_class *kc = &m->k.c[m->k.n++];
    kc->cls = ids[i];
    keyset_kid(patient_key(m->v, ids[i], WHICH_P), kc->kid_p);
    keyset_kid(patient_key(m->v, ids[i], WHICH_M), kc->kid_m);
    for (int l = 0; e == DMP_OK && l < LEAVES; l++) {
      struct leaf *leaf = patient_leaf(m->v, ids[i], l);
      struct state st = { 0 };
      leaf_deposit_pair(leaf);
      memcpy(kc->deposit[l], leaf->deposit_pk, 32);
      e = state_put(m->s, m->p->id, leaf, &st);
    }
  }
  return e;
}

/* The patient's certificate, as it is, once more under the view's Yk. */
static int make_certificate(struct making *m) {
  struct session *s = m->s;
  struct buf plain = { 0 }, box = { 0 };
  uint8_t from[16], to[16];
  const uint8_t *b;
  size_t n;
  int64_t row = 0;
  suite_prf(m->p->yk, "certificate", 11, from);
  suite_prf(m->v->yk, "certificate", 11, to);
  struct box_ad ad = { .record = s->r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = m->p->id, .loc = from };
  sqlite3_stmt *st = record_stmt(s->r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, from, 16, SQLITE_STATIC);
  int e = sqlite3_step(st) == SQLITE_ROW ? DMP_OK : DMP_E_CERT_BAD;
  if (e == DMP_OK) e = session_open_key(s, m->p->yk, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &b, &n);
  if (e == DMP_OK) buf_put(&plain, b, n);
  sqlite3_reset(st);
  ad.loc = to;
  if (e == DMP_OK) e = plain.bad ? DMP_E_NOMEM : record_random_id(&row);
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, m->v->yk, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_CERT_PUT, to, &box, row);
  buf_free(&plain);
  buf_free(&box);
  return e;
}

static int make_item(struct making *m, uint16_t table, struct place where, const struct buf *row) {
  const struct signer me = { m->s->cred, m->s->me.hash };
  struct content c = { .table = table, .row = row->p, .row_len = row->n };
  int64_t id = 0;
  return row->bad ? DMP_E_NOMEM : object_insert(m->s, m->v, &me, where, &c, NULL, &id);
}

/* Of the list those who are seen, without what leads to their grants. */
static int make_list(struct making *m) {
  struct grantees gs = { 0 };
  struct buf row = { 0 };
  size_t kept = 0;
  int e = grantees_read(m->s, m->p, &gs);
  for (size_t i = 0; e == DMP_OK && i < gs.n; i++) {
    if (!ids_has(&m->people, person_of(gs.g[i].principal))) continue;
    gs.g[kept] = gs.g[i];
    memset(gs.g[kept].mail, 0, 16);
    gs.g[kept++].grant_id = 0;
  }
  gs.n = kept;
  if (e == DMP_OK) grantees_row(&gs, &row);
  if (e == DMP_OK) e = make_item(m, ITEM_GRANTEES, (struct place){ CLASS_CHOICES, 0, 0, 0 }, &row);
  grantees_free(&gs);
  buf_free(&row);
  return e;
}

/* Log pairs of its own; the lines that it is given stand beside the secret of the visible one. */
static int make_log(struct making *m) {
  struct buf lines = { 0 };
  int e = keep_lines(m, m->p, &lines);
  if (e == DMP_OK) e = keep_lines(m, NULL, &lines);   /* the patient's own chain: the logins of those lines */
  for (int i = 0; e == DMP_OK && i < 2; i++) {
    uint8_t secret[32];
    struct buf row = { 0 };
    e = random_bytes("log pair", secret, 32);
    suite_box_pair(secret, m->k.log_pk[i]);
    const struct value v[2] = { value_bytes(VALUE_BLOB, secret, 32), value_bytes(VALUE_BLOB, lines.p, lines.n) };
    row_put(&row, v, i == 0 ? 2 : 1);
    if (e == DMP_OK) e = make_item(m, ITEM_LOG_SECRETS, (struct place){ CLASS_LOG, 2 + i, 0, 0 }, &row);
    if (i == 0) memcpy(m->made.log_sk, secret, 32);
    bytes_wipe(secret, sizeof secret);
    buf_free(&row);
  }
  buf_free(&lines);
  return e;
}

static int make_keyset(struct making *m) {
  struct keyset *now;
  int e = patient_keyset(m->s, m->p, &now);
  if (e == DMP_OK && ids_has(&m->people, person_of(now->treating))) {
    memcpy(m->k.treating, now->treating, 16);
    memcpy(m->k.treating_cert, now->treating_cert, 32);
    m->k.treating_since = now->treating_since;
  }
  return e == DMP_OK ? keyset_put(m->s, m->p->id, m->v->yk, &m->k, m->s->cred->sign_sk, m->s->me.hash) : e;
}

static int make_grant(struct making *m) {
  struct grant *g = &m->v->g;
  uint8_t shared[32];
  int e = random_bytes("mail", g->mail, 16);
  if (e == DMP_OK) e = record_random_id(&g->id);
  memcpy(g->keyset_hash, m->k.hash, 32);
  g->since = m->made.since;
  g->until = m->made.until;
  if (e == DMP_OK) e = suite_x25519(m->cred->box_sk, m->k.log_pk[0], shared);
  if (e == DMP_OK) suite_kdf2(shared, 32, m->v->anchor, 32, "log", 3, g->pair);
  bytes_wipe(shared, sizeof shared);
  return e == DMP_OK ? grant_put_own(m->s, m->cred, g, 0, NULL) : e;
}

/* The patient's note of it, which only she can open. */
static int make_note(struct making *m, int64_t *id) {
  const struct signer me = { m->s->cred, m->s->me.hash };
  struct content c = { .table = ITEM_VIEW };
  struct buf row = { 0 };
  view_row(&m->made, &row);
  c.row = row.p;
  c.row_len = row.n;
  *id = 0;
  int e = row.bad ? DMP_E_NOMEM : object_insert(m->s, m->p, &me, (struct place){ CLASS_IDENTITY, 3, 0, 0 }, &c, NULL, id);
  buf_free(&row);
  /* in her own chain: a treating doctor who knows that she showed a part could be asked what the rest is */
  return e == DMP_OK ? access_pend(m->s, NULL, LOG_VIEW, 0, *id, NULL) : e;
}

static int make_run(struct making *m, const struct showing *w, int64_t *id) {
  m->made.since = record_now();
  m->made.until = w->until;
  int e = make_credential(m, w);
  if (e == DMP_OK) e = make_leaves(m);
  if (e == DMP_OK) e = make_certificate(m);
  if (e == DMP_OK) e = tick_all(m, w->items);
  if (e == DMP_OK && m->own) e = object_own_state(m->s, m->v, 0);
  if (e == DMP_OK) e = make_list(m);
  if (e == DMP_OK) e = make_log(m);
  if (e == DMP_OK) e = make_keyset(m);
  if (e == DMP_OK) e = make_grant(m);
  return e == DMP_OK ? make_note(m, id) : e;
}

/* Everything that can be refused is refused before the first row is written. */
static int items_there(struct session *s, struct patient *p, const struct ids *items) {
  int e = items->n ? DMP_OK : DMP_E_VIEW_ITEMS;
  for (size_t i = 0; e == DMP_OK && i < items->n; i++) {
    struct item it;
    e = object_open(s, p, items->id[i], &it);
    if (e == DMP_OK && (!item_deposited(it.c.table) || it.deleted)) e = DMP_E_NOT_FOUND;
    if (e == DMP_OK || e == DMP_E_NOT_FOUND) item_close(&it);
  }
  return e;
}

int view_make(struct session *s, struct patient *p, const struct showing *w, int64_t *id) {
  struct making m = { .s = s, .p = p };
  int e = items_there(s, p, w->items);
  if (e != DMP_OK) return e;
  m.cred = memory_new(sizeof *m.cred);
  m.v = memory_new(sizeof *m.v);
  e = m.cred && m.v ? make_run(&m, w, id) : DMP_E_LOCK;
  memory_free(m.cred);
  memory_free(m.v);
  ids_free(&m.made.items);
  ids_free(&m.made.others);
  ids_free(&m.people);
  ids_free(&m.logins);
  bytes_wipe(&m, sizeof m);
  return e;
}

/* ---- the end ---- */

struct ending { struct session *s; struct patient *p; struct views *all; struct view *v; struct patient *live; /* locked: as the other views hold him */ };

/* A new header key; the other views that show the item as it was go on showing it. */
static int turn_item(struct ending *g, int64_t id) {
  struct session *s = g->s;
  struct item it, seen;
  int e = object_open(s, g->p, id, &it);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;   /* it went its own way */
  uint8_t *shows = calloc(g->all->n, 1);
  if (shows == NULL) e = DMP_E_NOMEM;
  for (size_t i = 0; e == DMP_OK && i < g->all->n; i++) {
    if (&g->all->v[i] == g->v || g->all->v[i].ended || (!ids_has(&g->all->v[i].items, id) && !ids_has(&g->all->v[i].others, id))) continue;
    shows[i] = object_open(s, &g->live[i], id, &seen) == DMP_OK;
    if (shows[i]) item_close(&seen);
  }
  if (e == DMP_OK) e = object_move(s, g->p, &it, item_beside(&it, it.leaf));
  for (size_t i = 0; e == DMP_OK && i < g->all->n; i++)
    if (shows[i]) e = object_tick(s, &g->live[i], &it, 1);
  free(shows);
  item_close(&it);
  /* one whose signature is false, or that waits where no key turns, stops no view from ending */
  return e == DMP_E_SIGNATURE || e == DMP_E_FULL_HOLDER ? DMP_OK : e;
}

/* What cannot be read is not there to be taken away: the host can't keep a view alive by spoiling a row. */
static int gone(int e) { return e == DMP_E_NOMEM || e == DMP_E_SQL ? e : DMP_OK; }

static int clear_leaf(struct session *s, struct patient *v, uint16_t cls, int l) {
  struct leaf *leaf = patient_leaf(v, cls, l);
  struct state st;
  int e = record_clear(s->r, STMT_OBJECT_CLEAR, leaf->object_loc);
  if (e == DMP_OK) e = record_clear(s->r, STMT_WRAP_CLEAR, leaf->object_loc);
  if (e != DMP_OK) return e;
  e = state_get(s, v->id, leaf, &st);
  return e == DMP_OK ? state_drop(s, &st) : gone(e);
}

static int clear_record(struct session *s, struct patient *v, const struct credential *cred) {
  struct keyset *k = malloc(sizeof *k);
  uint8_t loc[16];
  int e = k ? grant_drop_own(s, cred) : DMP_E_NOMEM;
  suite_prf(v->yk, "certificate", 11, loc);
  if (e == DMP_OK) e = record_clear(s->r, STMT_CERT_CLEAR, loc);
  if (e == DMP_OK) e = keyset_get(s, v->id, v->yk, 0, k, NULL) == DMP_OK ? keyset_drop(s, k) : DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < v->g.count; i += 2)
    for (int l = 0; e == DMP_OK && l < LEAVES; l++) e = clear_leaf(s, v, v->g.entry[i].cls, l);
  if (e == DMP_OK) e = gone(object_own_state(s, v, 1));
  free(k);
  return e;
}

static int end_note(struct ending *g) {
  struct buf row = { 0 };
  struct item it;
  int e = object_open(g->s, g->p, g->v->id, &it);
  if (e != DMP_OK) return e;
  g->v->ended = record_now();
  bytes_wipe(g->v->root, 32);
  view_row(g->v, &row);
  e = row.bad ? DMP_E_NOMEM : object_rewrite(g->s, g->p, &it, &row);
  item_close(&it);
  buf_free(&row);
  return e == DMP_OK ? access_pend(g->s, NULL, LOG_VIEW_END, 0, g->v->id, NULL) : e;
}

static int end_one(struct ending *g) {
  struct patient *v = memory_new(sizeof *v);
  struct credential *cred = memory_new(sizeof *cred);
  int e = v && cred ? DMP_OK : DMP_E_LOCK;
  for (size_t i = 0; e == DMP_OK && i < g->v->items.n; i++) e = turn_item(g, g->v->items.id[i]);
  for (size_t i = 0; e == DMP_OK && i < g->v->others.n; i++) e = turn_item(g, g->v->others.id[i]);
  if (e == DMP_OK) {
    view_credential(g->v->root, g->s->cred, g->p->id, cred);
    view_patient(g->p, g->v->root, v);
    patient_own_leaf(cred, v);
    e = clear_record(g->s, v, cred);
  }
  memory_free(v);
  memory_free(cred);
  return e == DMP_OK ? end_note(g) : e;
}

/* id 0: all whose time is over. */
static int end_some(struct session *s, struct patient *p, int64_t id) {
  struct views all;
  int e = views_read(s, p, &all), n = 0;
  struct ending g = { .s = s, .p = p, .all = &all };
  if (e == DMP_OK && all.n && (g.live = memory_new(all.n * sizeof *g.live)) == NULL) e = DMP_E_LOCK;
  for (size_t i = 0; e == DMP_OK && i < all.n; i++)
    if (all.v[i].ended == 0) view_patient(p, all.v[i].root, &g.live[i]);
  for (size_t i = 0; e == DMP_OK && i < all.n; i++) {
    g.v = &all.v[i];
    if (id ? g.v->id != id : !view_over(g.v)) continue;
    if (g.v->ended == 0) e = end_one(&g);
    n++;
  }
  memory_free(g.live);
  views_free(&all);
  return e == DMP_OK && id && n == 0 ? DMP_E_NOT_FOUND : e;
}

int view_end(struct session *s, struct patient *p, int64_t id) { return end_some(s, p, id); }
int view_settle(struct session *s, struct patient *p) { return end_some(s, p, 0); }
