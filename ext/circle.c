/* circle.c: circles and who is left out of them (see circle.h). */
#include "circle.h"
#include "change.h"
#include "team.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- sets of those left out ---- */

static int exclusion_compare(const struct exclusion *a, const struct exclusion *b) {
  return a->kind != b->kind ? a->kind - b->kind : (a->who > b->who) - (a->who < b->who);
}

int excluded_add(struct excluded *x, struct exclusion e) {
  size_t i = 0;
  while (i < x->n && exclusion_compare(&x->e[i], &e) < 0) i++;
  if (i < x->n && exclusion_compare(&x->e[i], &e) == 0) return DMP_OK;
  if (x->n == EXCLUDED_MAX) return DMP_E_CIRCLES;
  memmove(&x->e[i + 1], &x->e[i], (x->n - i) * sizeof *x->e);
  x->e[i] = e;
  x->n++;
  return DMP_OK;
}

int excluded_equal(const struct excluded *a, const struct excluded *b) {
  if (a->n != b->n) return 0;
  for (size_t i = 0; i < a->n; i++)
    if (exclusion_compare(&a->e[i], &b->e[i]) != 0) return 0;
  return 1;
}

/* Who is or was treating doctor is told by the chain of keysets. */
static int was_treating(struct session *s, struct patient *p, const uint8_t principal[16]) {
  const struct certificate *who = patient_who(s, p, principal);
  return who && id_from_field(principal) != p->id && patient_trusts(s, p, who->hash);
}

/* Of a team that does not verify everybody is a member. */
static int is_member(struct session *s, int64_t team, const uint8_t principal[16]) {
  const struct team *t;
  uint8_t field[16];
  id_field(field, team);
  if (team_get(s, field, &t) != DMP_OK) return 1;
  const struct team_member *m = team_member_of(t, principal);
  return m && team_active(m);
}

/* A mask to a person holds for whom the authority registers anew under his number. */
static int same_person(struct session *s, int64_t who, const uint8_t principal[16]) {
  uint8_t field[16];
  id_field(field, who);
  return memcmp(field, principal, 16) == 0 || directory_same_number(&s->dir, field, principal);
}

static int leaves_out(struct session *s, struct patient *p, const struct excluded *x, const struct grantee *g) {
  const struct certificate *who = patient_who(s, p, g->principal);
  for (size_t i = 0; i < x->n; i++) {
    const struct exclusion *e = &x->e[i];
    if (e->kind == OUT_PERSON && same_person(s, e->who, g->principal)) return 1;
    if (e->kind == OUT_TEAM && is_member(s, e->who, g->principal)) return 1;
    if (e->kind == OUT_PROFESSION && who && who->profession == e->who) return 1;
    if (e->kind == OUT_TREATING && (g->as == READER_TREATING || was_treating(s, p, g->principal))) return 1;
  }
  return 0;
}

int circle_hides(struct session *s, struct patient *p, const struct excluded *x) {
  struct grantee doctor = { .as = READER_TREATING };
  struct keyset *k;
  if (patient_keyset(s, p, &k) != DMP_OK) return 1;
  if (suite_is_zero(k->treating, 16)) return 0;
  memcpy(doctor.principal, k->treating, 16);
  memcpy(doctor.cert, k->treating_cert, 32);
  return leaves_out(s, p, x, &doctor);
}

/* ---- rows ---- */

enum { EXCLUSION_BYTES = 1 + 8 };

void circles_free(struct circles *all) {
  for (size_t i = 0; i < all->n; i++) free(all->c[i].holder);
  free(all->c);
  *all = (struct circles){ 0 };
}

static struct circle *circles_add(struct circles *all) {
  struct circle *c = realloc(all->c, (all->n + 1) * sizeof *c);
  if (c == NULL) return NULL;
  all->c = c;
  c[all->n] = (struct circle){ 0 };
  return &c[all->n++];
}

static int circle_parse(const struct value v[CIRCLE_VALUES], struct circle *k) {
  struct rd out = { v[CIRCLE_OUT].u.p, v[CIRCLE_OUT].n, 0 }, holders = { v[CIRCLE_HOLDERS].u.p, v[CIRCLE_HOLDERS].n, 0 };
  if (out.n % EXCLUSION_BYTES || out.n / EXCLUSION_BYTES > EXCLUDED_MAX || holders.n % 16) return DMP_E_ROW_FORMAT;
  k->id = v[CIRCLE_ID].u.i;
  k->cls = (uint16_t)v[CIRCLE_CLASS].u.i;
  k->masked = v[CIRCLE_MASKED].u.i != 0;
  while (out.n > 0) {
    k->out.e[k->out.n].kind = rd_u8(&out);
    k->out.e[k->out.n++].who = (int64_t)rd_u64(&out);
  }
  k->holder = malloc(holders.n + sizeof *k->holder);
  if (k->holder == NULL) return DMP_E_NOMEM;
  while (holders.n > 0) {
    struct circle_holder *h = &k->holder[k->holders++];
    h->id = (int64_t)rd_u64(&holders);
    h->mark = rd_u64(&holders);
  }
  return DMP_OK;
}

int circle_take(struct circles *all, const struct item *it) {
  struct value v[CIRCLE_VALUES] = { 0 };
  size_t count, used;
  if (it->c.table != ITEM_CIRCLE) return DMP_OK;
  int e = row_get(it->c.row, it->c.row_len, v, CIRCLE_VALUES, &count, &used);
  for (int i = 0; e == DMP_OK && i < CIRCLE_VALUES; i++)
    if (v[i].type != (i < CIRCLE_OUT ? VALUE_INT : VALUE_BLOB)) e = DMP_E_ROW_FORMAT;
  struct circle *k = e == DMP_OK ? circles_add(all) : NULL;
  if (k == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  k->item = it->id;
  return circle_parse(v, k);
}

static void circle_row(const struct circle *k, struct buf *row) {
  struct buf out = { 0 }, holders = { 0 };
  for (size_t i = 0; i < k->out.n; i++) {
    buf_u8(&out, k->out.e[i].kind);
    buf_u64(&out, (uint64_t)k->out.e[i].who);
  }
  for (size_t i = 0; i < k->holders; i++) {
    buf_u64(&holders, (uint64_t)k->holder[i].id);
    buf_u64(&holders, k->holder[i].mark);
  }
  const struct value v[CIRCLE_VALUES] = { value_int(k->id), value_int(k->cls), value_int(k->masked), value_bytes(VALUE_BLOB, out.p, out.n),
                                          value_bytes(VALUE_BLOB, holders.p, holders.n) };
  row_put(row, v, CIRCLE_VALUES);
  if (out.bad || holders.bad) row->bad = 1;
  buf_free(&out);
  buf_free(&holders);
}

const struct circle *circle_find(const struct circles *all, int64_t id) {
  for (size_t i = 0; i < all->n; i++)
    if (all->c[i].id == id) return &all->c[i];
  return NULL;
}

/* ---- who is entitled ---- */

static const struct entry *own_entry(const struct patient *p, int64_t circle) {
  for (size_t i = 0; i < p->g.count; i++)
    if (p->g.entry[i].circle == circle) return &p->g.entry[i];
  return NULL;
}

int circle_held(struct patient *p, const struct circle *k) {
  const struct entry *en = own_entry(p, k->id);
  return en && en->which == WHICH_C && circle_leaf(p, k->id, 0)->held;
}

int64_t circle_private(const struct patient *p) {
  for (size_t i = 0; i < p->g.count; i++)
    if (p->g.entry[i].circle && p->g.entry[i].cls == CLASS_CHOICES) return p->g.entry[i].circle;
  return 0;
}

/* 0, WHICH_C or WHICH_C0. A mask leaves out professionals: representatives read what the patient reads. A team gets none, its members do by name:
 * whom its manager takes in later may be one who is left out. */
static uint8_t entitled(struct change *c, const struct circle *k, const struct grantee *g) {
  const struct team *team;
  grantee_who(c->s, c->p, g, &team);
  if (team) return 0;
  unsigned may = change_may(c, g, k->cls);
  if (k->cls == CLASS_CHOICES) return g->as == READER_PATIENT ? WHICH_C : 0;
  if (g->as == READER_NONE) return 0;
  if (g->as != READER_PATIENT && g->as != READER_REPRESENTATIVE && leaves_out(c->s, c->p, &k->out, g)) return 0;
  return may & (k->masked ? KEY_M : KEY_P) ? WHICH_C : may & (k->masked ? KEY_M0 : KEY_P0) ? WHICH_C0 : 0;
}

int circle_lets(struct change *c, const struct grantee *g) {
  for (size_t i = 0; i < c->circles.n; i++)
    if (c->circles.c[i].news != CIRCLE_GONE && entitled(c, &c->circles.c[i], g)) return 1;
  return 0;
}

/* Another one with a new key, and for who left and came back: he has no key of before. */
static uint64_t holder_mark(const struct certificate *who, const struct grantee *g) {
  return who ? le_get64(who->hash) ^ (uint64_t)g->since : 0;
}

static int by_id(const void *a, const void *b) {
  const struct circle_holder *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

static int holders_now(struct change *c, const struct circle *k, struct circle_holder **out, size_t *n) {
  struct circle_holder *h = malloc((c->list.n + 1) * sizeof *h);
  *n = 0;
  *out = h;
  if (h == NULL) return DMP_E_NOMEM;
  for (size_t i = 0; i < c->list.n; i++) {
    if (!entitled(c, k, &c->list.g[i])) continue;
    const struct certificate *who = patient_who(c->s, c->p, c->list.g[i].principal);
    h[(*n)++] = (struct circle_holder){ id_from_field(c->list.g[i].principal), holder_mark(who, &c->list.g[i]) };
  }
  qsort(h, *n, sizeof *h, by_id);
  return DMP_OK;
}

/* Who is left out since he was given the key turns nothing: he would keep the new one. */
static int may_turn(struct change *c, const struct circle *k) {
  const struct grantee *me = grantees_find(&c->list, c->s->cred->principal);
  return me && circle_held(c->p, k) && entitled(c, k, me);
}

int circle_is_due(struct change *c, const struct circle *k) {
  struct circle_holder *now;
  size_t n;
  if (k->news == CIRCLE_GONE) return 0;
  if (holders_now(c, k, &now, &n) != DMP_OK) return 1;
  int due = n != k->holders;
  for (size_t i = 0; !due && i < n; i++) due = now[i].id != k->holder[i].id || now[i].mark != k->holder[i].mark;
  free(now);
  return due;
}

unsigned circle_due(struct change *c) {
  unsigned n = 0;
  for (size_t i = 0; i < c->circles.n; i++) n += may_turn(c, &c->circles.c[i]) && circle_is_due(c, &c->circles.c[i]);
  return n;
}

/* ---- keys ---- */

static void own_put(struct patient *p, const struct circle *k, const uint8_t key[32]) {
  struct entry en = { .circle = k->id, .cls = k->cls, .which = WHICH_C, .flags = k->masked ? ENTRY_MASKED : 0 };
  memcpy(en.key, key, 32);
  entry_set(&p->g, &en);
  bytes_wipe(&en, sizeof en);
  p->circles = 0;                                     /* leaves are derived anew */
}

static int turn(struct change *c, struct circle *k) {
  struct leaf from[2], to[2] = { 0 };
  uint8_t key[32];
  int e = random_bytes("circle", key, 32);
  for (int l = 0; e == DMP_OK && l < 2; l++) {
    from[l] = *circle_leaf(c->p, k->id, l);
    leaf_derive(key, c->p->anchor, l, &to[l]);
    e = object_rewrap(c->s, c->p, &from[l], &to[l]);
  }
  if (e == DMP_OK) own_put(c->p, k, key);
  if (k->news == CIRCLE_SAME) k->news = CIRCLE_TURNED;
  bytes_wipe(key, sizeof key);
  bytes_wipe(from, sizeof from);
  bytes_wipe(to, sizeof to);
  return e;
}

int circle_turn(struct change *c) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->circles.n; i++) {
    struct circle *k = &c->circles.c[i];
    if (k->news == CIRCLE_SAME && may_turn(c, k) && circle_is_due(c, k)) e = turn(c, k);
  }
  return e;
}

int circle_turn_private(struct change *c) {
  int64_t id = circle_private(c->p);
  const struct entry *own = id ? own_entry(c->p, id) : NULL;
  if (own == NULL || circle_find(&c->circles, id)) return DMP_OK;
  struct circle k = { .id = id, .cls = CLASS_CHOICES, .masked = (own->flags & ENTRY_MASKED) != 0 };
  return turn(c, &k);
}

int circle_gave(const struct circle *k, int64_t principal) {
  const struct circle_holder h = { principal, 0 };
  return k->holders && bsearch(&h, k->holder, k->holders, sizeof h, by_id) != NULL;
}

uint8_t circle_holds(struct session *s, struct patient *p, const struct circle *k, const struct grantee *g) {
  struct change now = { .s = s, .p = p };
  const struct certificate *who = patient_who(s, p, g->principal);
  const struct circle_holder key = { id_from_field(g->principal), 0 };
  const struct circle_holder *h = k->holders ? bsearch(&key, k->holder, k->holders, sizeof key, by_id) : NULL;
  int given = h && who && h->mark == holder_mark(who, g) && (g->until == 0 || record_now() <= g->until);
  return given ? entitled(&now, k, g) : 0;
}

int circle_entries(struct change *c, const struct grantee *to, struct grant *g) {
  for (size_t i = 0; i < c->circles.n; i++) {
    const struct circle *k = &c->circles.c[i];
    const struct entry *own = own_entry(c->p, k->id);
    struct entry en = { .circle = k->id, .cls = k->cls, .flags = k->masked ? ENTRY_MASKED : 0 };
    uint8_t which = k->news == CIRCLE_GONE ? 0 : entitled(c, k, to);
    if (which && circle_held(c->p, k) && (k->news != CIRCLE_SAME || ((to == c->first || to->fresh) && may_turn(c, k)))) {
      en.which = which;
      if (which == WHICH_C) memcpy(en.key, own->key, 32);
      else half_derive(own->key, 0, en.key);
      entry_set(g, &en);
      bytes_wipe(&en, sizeof en);
      if (g->entry[g->count - 1].circle != k->id) return DMP_E_CIRCLES;
    } else if (!which && k->news != CIRCLE_SAME && to->as != READER_NONE && circle_gave(k, id_from_field(to->principal))) {
      if (g->count == ENTRIES_MAX) return DMP_E_CIRCLES;
      en.which = WHICH_C;                             /* a key of zeros takes it away */
      g->entry[g->count++] = en;
    }
  }
  return DMP_OK;
}

static int row_put_new(struct change *c, struct circle *k, const struct buf *row) {
  const struct place where = { CLASS_CHOICES, 2, 0, circle_hides(c->s, c->p, &k->out) ? circle_private(c->p) : 0 };
  struct content content = { .table = ITEM_CIRCLE, .row = row->p, .row_len = row->n };
  k->item = 0;
  return row->bad ? DMP_E_NOMEM : object_insert(c->s, c->p, &c->by, where, &content, NULL, &k->item);
}

static int write_one(struct change *c, struct circle *k) {
  struct buf row = { 0 };
  struct item it;
  free(k->holder);
  k->holder = NULL;
  int e = holders_now(c, k, &k->holder, &k->holders);
  if (e == DMP_OK) circle_row(k, &row);
  if (e == DMP_OK && k->news == CIRCLE_FRESH) e = row_put_new(c, k, &row);
  else if (e == DMP_OK && (e = object_open(c->s, c->p, k->item, &it)) == DMP_OK) {
    e = k->news == CIRCLE_GONE ? object_drop(c->s, c->p, &it) : object_rewrite(c->s, c->p, &it, &row);
    item_close(&it);
  }
  buf_free(&row);
  return e;
}

int circle_write(struct change *c) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->circles.n; i++) {
    struct circle *k = &c->circles.c[i];
    if (k->news != CIRCLE_SAME && k->cls != CLASS_CHOICES) e = write_one(c, k);
  }
  return e;
}

/* ---- making circles ---- */

/* One whose leaves are both empty: its states serve the next. They are never dropped, the access log knows them. */
static int emptied(struct change *c, const struct circle_want *chosen, size_t n, struct circle **out, struct state st[2]) {
  int e = DMP_OK;
  *out = NULL;
  for (size_t i = 0; e == DMP_OK && *out == NULL && i < c->circles.n; i++) {
    struct circle *k = &c->circles.c[i];
    int taken = 0;                                    /* by an earlier want, which moves into it only when all are made */
    for (size_t j = 0; j < n; j++) taken |= chosen[j].circle == k->id;
    if (taken || k->news != CIRCLE_SAME || !circle_held(c->p, k)) continue;
    e = state_get(c->s, c->p->id, circle_leaf(c->p, k->id, 0), &st[0]);
    if (e == DMP_OK) e = state_get(c->s, c->p->id, circle_leaf(c->p, k->id, 1), &st[1]);
    if (e == DMP_OK && st[0].count == 0 && st[1].count == 0) *out = k;
  }
  if (*out == NULL) st[0] = st[1] = (struct state){ 0 };
  return e;
}

/* The treating doctor does not know how many the patient keeps from him: half of the room is his. */
static int room_left(struct change *c, int hides) {
  size_t hidden = 0, all = 0;
  int patient = c->s->principal == c->p->id;
  for (size_t i = 0; i < c->circles.n; i++) {
    all += c->circles.c[i].news != CIRCLE_GONE;
    hidden += c->circles.c[i].news != CIRCLE_GONE && circle_hides(c->s, c->p, &c->circles.c[i].out);
  }
  if (!patient) return all < CIRCLES_MAX / 2;
  return all < CIRCLES_MAX - 1 && (!hides || hidden < CIRCLES_MAX / 2 - 1);
}

static int make(struct change *c, const struct circle_want *w, const struct circle_want *chosen, size_t n, int64_t *id) {
  struct state st[2] = { { 0 } };
  struct circle *old = NULL, *k;
  uint8_t key[32];
  int e = w->cls == CLASS_CHOICES ? DMP_OK : emptied(c, chosen, n, &old, st);
  if (e == DMP_OK && old) {
    old->news = CIRCLE_GONE;
    entry_set(&c->p->g, &(struct entry){ .circle = old->id, .cls = old->cls, .which = WHICH_C });
  }
  if (e == DMP_OK && w->cls != CLASS_CHOICES && !room_left(c, circle_hides(c->s, c->p, &w->out))) e = DMP_E_CIRCLES;
  if (e == DMP_OK) e = patient_room(c->p);
  if (e == DMP_OK) e = random_bytes("circle", key, 32);
  if (e == DMP_OK) e = record_random_id(id);
  if (e != DMP_OK) return e;
  if ((k = circles_add(&c->circles)) == NULL) return DMP_E_NOMEM;
  k->id = *id;
  k->cls = w->cls;
  k->masked = w->masked;
  k->out = w->out;
  k->news = CIRCLE_FRESH;
  own_put(c->p, k, key);
  bytes_wipe(key, sizeof key);
  for (int l = 0; e == DMP_OK && l < 2; l++) e = state_put(c->s, c->p->id, circle_leaf(c->p, k->id, l), &st[l]);
  return e;
}

static const struct circle *same(struct change *c, const struct circle_want *w) {
  for (size_t i = 0; i < c->circles.n; i++) {
    const struct circle *k = &c->circles.c[i];
    if (k->news != CIRCLE_GONE && k->cls == w->cls && k->masked == w->masked && excluded_equal(&k->out, &w->out)) return k;
  }
  return NULL;
}

int circle_ensure(struct session *s, struct patient *p, struct circle_want *w, size_t n) {
  struct change c;
  int made = 0, e = change_begin(s, p, &c);
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    const struct circle_want own = { .cls = CLASS_CHOICES, .masked = 1 };
    const int64_t kept = w[i].cls == CLASS_CHOICES ? circle_private(p) : 0;
    int64_t id;
    if (w[i].out.n && !circle_private(p) && circle_hides(s, p, &w[i].out)) {
      e = make(&c, &own, w, i, &id);
      made = 1;
    }
    const struct circle *k = e == DMP_OK ? same(&c, &w[i]) : NULL;
    if (k || kept) w[i].circle = k ? k->id : kept;
    else if (e == DMP_OK) e = make(&c, &w[i], w, i, &w[i].circle);
    if (k == NULL && !kept) made = 1;
  }
  if (e == DMP_OK) e = change_members(&c);            /* the first circle has members of teams to be given to */
  if (e == DMP_OK && (made || circle_due(&c))) e = change_write(&c);
  change_end(&c);
  return e;
}
