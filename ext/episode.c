/* episode.c: masks and episodes (see episode.h). */
#include "episode.h"
#include "document.h"
#include "follow.h"
#include "gather.h"
#include "mark.h"
#include "random.h"
#include "section.h"
#include "syntax.h"
#include <stdlib.h>
#include <string.h>

static const struct scan CHOICES = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };

/* ---- reading the choices ---- */

static void *grow(void *list, size_t n, size_t size) { return n & (n - 1) ? list : realloc(list, (n ? 2 * n : 1) * size); }

static char *text_copy(const struct value *v) {
  char *s = v->type == VALUE_TEXT ? malloc(v->n + 1u) : NULL;
  if (s) memcpy(s, v->u.p, v->n);
  if (s) s[v->n] = 0;
  return s;
}

static void text_short(const struct value *v, char out[32]) {
  size_t n = v->type == VALUE_TEXT && v->n < 32 ? v->n : 0;
  if (n) memcpy(out, v->u.p, n);
  out[n] = 0;
}

static int add_item(struct choices *c, const struct item *it, const struct value *v) {
  struct masked_item *m = grow(c->item, c->items, sizeof *m);
  if (m == NULL) return DMP_E_NOMEM;
  c->item = m;
  m[c->items] = (struct masked_item){ .item = v[MASK_DOCUMENT].u.i, .id = it->id, .home = it->circle };
  text_short(&v[MASK_SINCE], m[c->items++].since);
  return DMP_OK;
}

static int add_episode(struct choices *c, const struct item *it, const struct value *v) {
  struct masked_episode *m = grow(c->episode, c->episodes, sizeof *m);
  if (m == NULL) return DMP_E_NOMEM;
  c->episode = m;
  m[c->episodes] = (struct masked_episode){ .name = text_copy(&v[EPISODE_NAME]), .id = it->id, .home = it->circle };
  text_short(&v[EPISODE_SINCE], m[c->episodes].since);
  return m[c->episodes++].name ? DMP_OK : DMP_E_NOMEM;
}

static int add_assignment(struct choices *c, const struct item *it, const struct value *v) {
  struct assignment *m = grow(c->assign, c->assigns, sizeof *m);
  if (m == NULL) return DMP_E_NOMEM;
  c->assign = m;
  m[c->assigns] = (struct assignment){ .item = v[ASSIGN_ITEM].u.i, .id = it->id, .episode = text_copy(&v[ASSIGN_EPISODE]),
                                       .accepted = v[ASSIGN_ACCEPTED].type == VALUE_INT && v[ASSIGN_ACCEPTED].u.i == 1 };
  return m[c->assigns++].episode ? DMP_OK : DMP_E_NOMEM;
}

static int add_from(struct choices *c, const struct item *it, const struct value *v) {
  struct masked_from *m = grow(c->from, c->froms, sizeof *m);
  int item = v[EXCLUSION_ITEM].type == VALUE_INT;
  if (m == NULL) return DMP_E_NOMEM;
  c->from = m;
  if ((!item && v[EXCLUSION_EPISODE].type != VALUE_TEXT) || v[EXCLUSION_KIND].type != VALUE_INT || v[EXCLUSION_WHO].type != VALUE_INT) return DMP_E_ROW_FORMAT;
  m[c->froms] = (struct masked_from){ .item = item ? v[EXCLUSION_ITEM].u.i : 0, .id = it->id, .home = it->circle,
                                      .episode = item ? NULL : text_copy(&v[EXCLUSION_EPISODE]),
                                      .x = { (uint8_t)v[EXCLUSION_KIND].u.i, v[EXCLUSION_WHO].u.i } };
  text_short(&v[EXCLUSION_SINCE], m[c->froms].since);
  c->froms++;
  return item || m[c->froms - 1].episode ? DMP_OK : DMP_E_NOMEM;
}

static int add_circle(struct choices *c, const struct item *it) {
  int64_t *h = grow(c->homes, c->circles.n, sizeof *h);
  if (h == NULL) return DMP_E_NOMEM;
  c->homes = h;
  h[c->circles.n] = it->circle;
  return circle_take(&c->circles, it);
}

static int add_shade(struct choices *c, const struct item *it, const struct value *v) {
  struct shade *m = grow(c->shade, c->shades, sizeof *m);
  if (m == NULL) return DMP_E_NOMEM;
  c->shade = m;
  if (v[SHADE_SALT].type != VALUE_BLOB || v[SHADE_SALT].n != 16 || v[SHADE_HASH].type != VALUE_BLOB || v[SHADE_HASH].n != 16) return DMP_E_ROW_FORMAT;
  m += c->shades++;
  m->id = it->id;
  memcpy(m->salt, v[SHADE_SALT].u.p, 16);
  memcpy(m->hash, v[SHADE_HASH].u.p, 16);
  return DMP_OK;
}

static void shade_hash(const uint8_t salt[16], const void *name, size_t n, uint8_t out[16]) {
  struct buf b = { 0 };
  buf_put(&b, salt, 16);
  buf_put(&b, name, n);
  suite_hash(b.p, b.n, out, 16);
  buf_free(&b);
}

/* The shade of an episode, or NULL. */
const struct shade *choices_shade(const struct choices *c, const struct value *name) {
  uint8_t hash[16];
  for (size_t i = 0; name->type == VALUE_TEXT && i < c->shades; i++) {
    shade_hash(c->shade[i].salt, name->u.p, name->n, hash);
    if (memcmp(hash, c->shade[i].hash, 16) == 0) return &c->shade[i];
  }
  return NULL;
}

static int take_choice(void *ctx, struct item *it) {
  struct choices *c = ctx;
  struct value v[EXCLUSION_VALUES] = { 0 };             /* the longest of them */
  size_t count, used;
  if (it->c.table == ITEM_CIRCLE) return add_circle(c, it);
  if (it->c.table != ITEM_MASK && it->c.table != ITEM_EPISODE && it->c.table != ITEM_ASSIGNMENT && it->c.table != ITEM_EXCLUSION &&
      it->c.table != ITEM_SHADE)
    return DMP_OK;
  if (row_get(it->c.row, it->c.row_len, v, EXCLUSION_VALUES, &count, &used) != DMP_OK) return DMP_OK;
  if (it->c.table == ITEM_EXCLUSION) return add_from(c, it, v);
  if (it->c.table == ITEM_SHADE) return add_shade(c, it, v);
  if (it->c.table == ITEM_EPISODE) return v[EPISODE_NAME].type == VALUE_TEXT ? add_episode(c, it, v) : DMP_OK;
  if (v[0].type != VALUE_INT) return DMP_OK;          /* both others begin with an item's id */
  if (it->c.table == ITEM_MASK) return add_item(c, it, v);
  return v[ASSIGN_EPISODE].type == VALUE_TEXT ? add_assignment(c, it, v) : DMP_OK;
}

static int by_masked(const void *a, const void *b) {
  const struct masked_item *x = a, *y = b;
  return (x->item > y->item) - (x->item < y->item);
}

static int by_assigned(const void *a, const void *b) {
  const struct assignment *x = a, *y = b;
  return (x->item > y->item) - (x->item < y->item);
}

int choices_read(struct session *s, struct patient *p, struct choices *out) {
  *out = (struct choices){ 0 };
  int e = object_scan(s, p, &CHOICES, take_choice, out);
  if (out->items > 1) qsort(out->item, out->items, sizeof *out->item, by_masked);
  if (out->assigns > 1) qsort(out->assign, out->assigns, sizeof *out->assign, by_assigned);
  return e;
}

void choices_free(struct choices *c) {
  for (size_t i = 0; i < c->episodes; i++) free(c->episode[i].name);
  for (size_t i = 0; i < c->assigns; i++) free(c->assign[i].episode);
  for (size_t i = 0; i < c->froms; i++) free(c->from[i].episode);
  circles_free(&c->circles);
  free(c->from);
  free(c->shade);
  free(c->homes);
  free(c->item);
  free(c->episode);
  free(c->assign);
  *c = (struct choices){ 0 };
}

int episode_is(const struct value *v, const char *name) {
  return v->type == VALUE_TEXT && v->n == strlen(name) && memcmp(v->u.p, name, v->n) == 0;
}

const struct masked_episode *choices_episode(const struct choices *c, const struct value *name) {
  for (size_t i = 0; i < c->episodes; i++)
    if (episode_is(name, c->episode[i].name)) return &c->episode[i];
  return NULL;
}

const struct masked_item *choices_item(const struct choices *c, int64_t item) {
  const struct masked_item key = { .item = item };
  return c->items ? bsearch(&key, c->item, c->items, sizeof key, by_masked) : NULL;
}

const struct assignment *choices_assigned(const struct choices *c, int64_t item, const char *episode) {
  const struct assignment key = { .item = item }, *a = c->assigns ? bsearch(&key, c->assign, c->assigns, sizeof key, by_assigned) : NULL;
  while (a && a > c->assign && a[-1].item == item) a--;
  for (; a && a < c->assign + c->assigns && a->item == item; a++)
    if (episode ? strcmp(a->episode, episode) == 0 : a->accepted) return a;
  return NULL;
}

/* ---- the episode of an item ---- */

struct value episode_of(const struct choices *c, const struct item *it) {
  struct value v;
  if (!mark_episode(it, &v) || v.type != VALUE_NULL) return v;
  const struct assignment *a = choices_assigned(c, it->id, NULL);
  return a ? value_text(a->episode) : v;
}

int episode_item_masked(const struct choices *c, const struct item *it) { return (it->c.flags & ITEM_MASKED) || choices_item(c, it->id) != NULL; }

int episode_covers(const struct choices *c, const struct item *it) {
  struct value v = episode_of(c, it);
  return v.type == VALUE_TEXT && choices_episode(c, &v) != NULL;
}

int episode_from(const struct choices *c, const struct item *it, struct excluded *out) {
  struct value v = episode_of(c, it);
  int e = DMP_OK;
  *out = (struct excluded){ 0 };
  for (size_t i = 0; e == DMP_OK && i < c->froms; i++)
    if (c->from[i].episode ? episode_is(&v, c->from[i].episode) : c->from[i].item == it->id) e = excluded_add(out, c->from[i].x);
  return e;
}

int episode_is_from(const struct choices *c, const struct value *name) {
  for (size_t i = 0; i < c->froms; i++)
    if (c->from[i].episode && episode_is(name, c->from[i].episode)) return 1;
  return 0;
}

/* ---- moving ---- */

struct move { struct item it; int leaf, stays, asks /* late, and it follows nothing: what is proposed for it counts */; struct excluded from; };
/* A document that others may replace: where it goes. */
struct former { char *unique_id; int masked, hidden; struct excluded from; };
struct settling {
  struct session *s;
  struct patient *p;
  struct choices c;
  const struct settle *w;
  struct move *m; size_t n, cap;                      /* owned: items with keys, wiped when closed */
  size_t proposed;                                    /* of them late without an episode: a proposal may keep them masked */
  size_t late;                                        /* of them late and hidden: an episode that is hidden keeps them so */
  char **hidden; size_t hiddens; int hidden_known;    /* owned: the names of episodes of which something is hidden from representatives */
  struct former *former; size_t formers; int formers_known;   /* owned: read when a late item replaces something */
  struct former strictest;                            /* of those that have one id: former_of */
};

static int release(const struct settling *q, const struct item *it, const struct value *episode) {
  if (it->c.flags & (ITEM_LATE | ITEM_DIVERTED) || (q->w->item && q->w->item == it->id)) return 1;
  return q->w->episode && episode_is(episode, q->w->episode);
}

/* 1: the circle that keeps these people out, and nobody else; no circle where nobody is kept out. */
static int lies_in(const struct choices *c, const struct item *it, int masked, const struct excluded *from) {
  const struct circle *k = it->circle ? circle_find(&c->circles, it->circle) : NULL;
  if (from->n == 0 || k == NULL) return from->n == 0 && it->circle == 0;
  return k->masked == masked && excluded_equal(&k->out, from);
}

/* Anybody may deposit another document under an id that he does not see taken: the strictest of them counts. NULL: none. */
static const struct former *former_of(struct settling *q, const struct value *replaces) {
  struct former *all = &q->strictest;
  size_t n = 0;
  *all = (struct former){ 0 };
  for (size_t i = 0; i < q->formers; i++) {
    const struct former *f = &q->former[i];
    if (!episode_is(replaces, f->unique_id)) continue;
    all->masked |= f->masked;
    all->hidden |= f->hidden;
    for (size_t k = 0; k < f->from.n; k++)            /* too many to be kept out one by one: masked from all */
      if (excluded_add(&all->from, f->from.e[k]) != DMP_OK) all->masked = 1;
    n++;
  }
  return n ? all : NULL;
}

/* Where an item goes. A correction that waits follows what it replaces; what shows is never taken back. */
struct aim { int masked, hidden; struct excluded from; };
static int aim_at(struct settling *q, const struct item *it, const struct follow_texts *t, struct aim *to) {
  const struct keyset_class *kc = keyset_class(&q->p->keyset, it->cls);
  const struct former *f = it->c.flags & ITEM_LATE ? former_of(q, &t->replaces) : NULL;
  struct value episode = episode_of(&q->c, it);
  int covered = episode.type == VALUE_TEXT && choices_episode(&q->c, &episode) != NULL, due = kc == NULL || kc->due || kc->left;
  *to = (struct aim){ .masked = it->leaf >= 2, .hidden = it->leaf & 1 };
  if (covered && !to->masked) to->masked = !object_unannounced(it);   /* it would be nobody's to announce */
  else if (to->masked && !covered && !due && !(f && f->masked) && !episode_item_masked(&q->c, it) && release(q, it, &episode)) to->masked = 0;
  /* what was shown meanwhile stays so; of what is late only the patient, who sees all, can say that nothing of its episode is hidden */
  int waits = it->c.flags & ITEM_LATE ? q->s->principal == q->p->id : (it->c.flags & ITEM_DIVERTED) != 0;
  if (to->hidden && !due && waits) to->hidden = item_hidden_meant(it) || (f && f->hidden);
  int e = episode_from(&q->c, it, &to->from);
  for (size_t i = 0; e == DMP_OK && f && it->leaf == 3 && !it->circle && i < f->from.n; i++) e = excluded_add(&to->from, f->from.e[i]);
  return e;
}

static int hidden_episode(const struct settling *q, const struct value *name) {
  for (size_t i = 0; i < q->hiddens; i++)
    if (episode_is(name, q->hidden[i])) return 1;
  return 0;
}

/* Also what was deleted: its episode stays what it was. */
static int take_hidden(void *ctx, struct item *it) {
  struct settling *q = ctx;
  if (!item_deposited(it->c.table) || !item_hidden_meant(it)) return DMP_OK;
  struct value episode = episode_of(&q->c, it);
  if (episode.type != VALUE_TEXT || hidden_episode(q, &episode)) return DMP_OK;
  char **more = grow(q->hidden, q->hiddens, sizeof *more);
  if (more == NULL) return DMP_E_NOMEM;
  q->hidden = more;
  q->hidden[q->hiddens] = text_copy(&episode);
  return q->hidden[q->hiddens++] ? DMP_OK : DMP_E_NOMEM;
}

static int read_hidden(struct settling *q) {
  const struct scan w = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1, .hidden = 1 };
  return q->hidden_known++ ? DMP_OK : object_scan(q->s, q->p, &w, take_hidden, q);
}

/* Oldest first: a correction comes after what it replaces. */
static int take_former(void *ctx, struct item *it) {
  struct settling *q = ctx;
  struct follow_texts t;
  struct aim to;
  if (it->c.table != ITEM_DOCUMENT || it->via == VIA_OWN || !follow_texts(it, &t) || t.unique_id.type != VALUE_TEXT) return DMP_OK;
  struct former *f = grow(q->former, q->formers, sizeof *f);
  if (f == NULL) return DMP_E_NOMEM;
  q->former = f;
  int e = aim_at(q, it, &t, &to);
  struct value episode = episode_of(&q->c, it);
  to.hidden |= it->leaf & 1 && it->c.flags & ITEM_LATE && hidden_episode(q, &episode);
  f[q->formers] = (struct former){ text_copy(&t.unique_id), to.masked, to.hidden, to.from };
  return e == DMP_OK && f[q->formers++].unique_id == NULL ? DMP_E_NOMEM : e;
}

static int read_formers(struct settling *q) {
  const struct scan w = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1 };
  if (q->formers_known++) return DMP_OK;
  int e = read_hidden(q);
  return e == DMP_OK ? object_scan(q->s, q->p, &w, take_former, q) : e;
}

static int take_move(void *ctx, struct item *it) {
  struct settling *q = ctx;
  struct follow_texts t;
  struct aim aim;
  if (!item_deposited(it->c.table) || it->via != VIA_LEAF || keyset_class(&q->p->keyset, it->cls) == NULL) return DMP_OK;
  if (!patient_leaf(q->p, it->cls, 0)->held || !patient_leaf(q->p, it->cls, 2)->held) return DMP_OK;
  follow_texts(it, &t);
  struct value episode = episode_of(&q->c, it);
  int late = it->c.flags & ITEM_LATE;
  if (late && q->s->principal != q->p->id && (choices_shade(&q->c, &episode) || choices_shade(&q->c, &t.replaces))) return DMP_OK;   /* the patient says where it lies */
  int e = late && t.replaces.type == VALUE_TEXT ? read_formers(q) : DMP_OK;
  if (e == DMP_OK) e = aim_at(q, it, &t, &aim);
  int hidden = aim.hidden, to = (aim.masked ? 2 : 0) | hidden;
  if (e != DMP_OK || (to == it->leaf && lies_in(&q->c, it, aim.masked, &aim.from))) return e;
  q->late += it->leaf & 1 && !hidden && it->c.flags & ITEM_LATE;
  if (q->n == q->cap) {
    size_t cap = q->cap ? 2 * q->cap : 16;
    struct move *m = malloc(cap * sizeof *m);         /* not realloc: the old copy holds keys */
    if (m == NULL) return DMP_E_NOMEM;
    if (q->n) memcpy(m, q->m, q->n * sizeof *m);
    if (q->n) bytes_wipe(q->m, q->n * sizeof *m);
    free(q->m);
    q->m = m;
    q->cap = cap;
  }
  int asks = late && episode.type == VALUE_NULL && t.replaces.type == VALUE_NULL;
  q->proposed += to < 2 && asks;
  q->m[q->n++] = (struct move){ *it, to, 0, asks, aim.from };
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

/* A late item of an episode of which something is hidden from representatives stays hidden too. */
static int keep_hidden(struct settling *q) {
  int e = read_hidden(q);
  for (size_t i = 0; e == DMP_OK && q->hiddens && i < q->n; i++) {
    struct value episode = episode_of(&q->c, &q->m[i].it);
    if (q->m[i].it.c.flags & ITEM_LATE && hidden_episode(q, &episode)) q->m[i].leaf |= q->m[i].it.leaf & 1;
  }
  return e;
}

/* A late item that is proposed for an episode that is masked or hidden waits for the patient's word. */
static int keep_proposed(struct settling *q) {
  struct proposals all = { 0 };
  int e = proposals_read(q->s, q->p, &q->c, &all);
  for (size_t i = 0; e == DMP_OK && i < q->n; i++)
    for (size_t k = 0; q->m[i].leaf != q->m[i].it.leaf && q->m[i].asks && k < all.n; k++) {
      struct value v = value_text(all.p[k].episode);
      if (all.p[k].item == q->m[i].it.id && (choices_episode(&q->c, &v) || episode_is_from(&q->c, &v) || hidden_episode(q, &v))) q->m[i].stays = 1;
    }
  proposals_free(&all);
  return e;
}

static int take_other_late(void *ctx, struct item *it) {
  struct settling *q = ctx;
  struct value v = episode_of(&q->c, it);
  return it->c.flags & ITEM_LATE && !episode_is(&v, q->w->only) ? take_move(q, it) : DMP_OK;
}

/* The items of one episode: those whose depositors named it, and those to which it was assigned. Beside them what came late, all of which lies hidden from
 * representatives. */
static int collect_only(struct settling *q) {
  const struct scan hidden = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1, .hidden = 1 };
  int e = gather_episode(q->s, q->p, q->w->only, 1, take_move, q);
  if (e == DMP_OK) e = object_scan(q->s, q->p, &hidden, take_other_late, q);
  for (size_t i = 0; e == DMP_OK && i < q->c.assigns; i++) {
    const struct assignment *a = &q->c.assign[i];
    struct item it;
    struct value v;
    if (!a->accepted || strcmp(a->episode, q->w->only) != 0) continue;
    e = object_open_all(q->s, q->p, a->item, 1, &it);
    if (e == DMP_OK && mark_episode(&it, &v) && v.type == VALUE_NULL) e = take_move(q, &it);
    item_close(&it);
    if (e == DMP_E_NOT_FOUND) e = DMP_OK;
  }
  return e;
}

static int settle_collect(struct settling *q) {
  const struct scan w = { .first = q->w->first, .last = q->w->last, .all = 1 };
  struct keyset *k;
  int e = patient_keyset(q->s, q->p, &k);
  if (e == DMP_OK) e = choices_read(q->s, q->p, &q->c);
  if (e == DMP_OK) e = q->w->only ? collect_only(q) : object_scan(q->s, q->p, &w, take_move, q);
  if (e == DMP_OK && q->late) e = keep_hidden(q);
  if (e == DMP_OK && q->proposed && (q->c.episodes || q->c.froms || q->hiddens)) e = keep_proposed(q);
  for (size_t i = 0; i < q->n; i++) q->m[i].stays |= q->m[i].leaf == q->m[i].it.leaf && lies_in(&q->c, &q->m[i].it, q->m[i].leaf >= 2, &q->m[i].from);
  return e;
}

static void settle_end(struct settling *q) {
  for (size_t i = 0; i < q->n; i++) item_close(&q->m[i].it);
  for (size_t i = 0; i < q->hiddens; i++) free(q->hidden[i]);
  free(q->hidden);
  for (size_t i = 0; i < q->formers; i++) free(q->former[i].unique_id);
  free(q->former);
  free(q->m);
  choices_free(&q->c);
}

static const struct settle ALL = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX };

/* From whom a correction is masked because what it replaces is: rows of its own, that the patient changes as any other. */
static int note_inherited(struct settling *q, const struct move *m, int *noted) {
  struct excluded own;
  int64_t id;
  int e = episode_from(&q->c, &m->it, &own);
  for (size_t i = 0; e == DMP_OK && i < m->from.n; i++) {
    struct excluded more = own;
    struct masked_from row = { .item = m->it.id, .x = m->from.e[i] };
    e = excluded_add(&more, row.x);
    if (e != DMP_OK || more.n == own.n) continue;
    e = episode_note_from(q->s, q->p, &row, &id);
    *noted = 1;
  }
  return e;
}

/* Circles first, all in one change of keys: then what is to lie in them moves. */
static int settle_move(struct settling *q) {
  struct circle_want *w = calloc(q->n + 1, sizeof *w);
  size_t n = 0;
  int noted = 0, e = w ? DMP_OK : DMP_E_NOMEM;
  for (size_t i = 0; e == DMP_OK && i < q->n; i++)
    if (!q->m[i].stays && q->m[i].from.n) e = note_inherited(q, &q->m[i], &noted);
  for (size_t i = 0; e == DMP_OK && i < q->n; i++)
    if (!q->m[i].stays && q->m[i].from.n) w[n++] = (struct circle_want){ .cls = q->m[i].it.cls, .masked = q->m[i].leaf >= 2, .out = q->m[i].from };
  if (e == DMP_OK && n) e = circle_ensure(q->s, q->p, w, n);
  n = 0;
  for (size_t i = 0; e == DMP_OK && i < q->n; i++) {
    struct move *m = &q->m[i];
    if (!m->stays) e = object_move(q->s, q->p, &m->it, (struct place){ m->it.cls, m->leaf, 0, m->from.n ? w[n++].circle : 0 });
  }
  free(w);
  return e == DMP_OK && noted ? episode_hide_choices(q->s, q->p) : e;
}

int episode_settle(struct session *s, struct patient *p, const struct settle *w) {
  struct settling q = { .s = s, .p = p, .w = w ? w : &ALL };
  int e = settle_collect(&q);
  if (e == DMP_OK) e = settle_move(&q);
  settle_end(&q);
  return e;
}

int episode_resettle(struct session *s, struct patient *p, int64_t item, int follow) {
  struct settling q = { .s = s, .p = p, .w = &ALL };
  struct item it;
  int e = object_open(s, p, item, &it);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  struct follow_texts t;
  struct aim to = { 0 };
  e = choices_read(s, p, &q.c);
  if (e == DMP_OK && follow_texts(&it, &t) && follow && t.replaces.type == VALUE_TEXT) e = read_formers(&q);
  if (e == DMP_OK && follow) e = aim_at(&q, &it, &t, &to);
  if (e == DMP_OK && (!follow || to.from.n)) e = take_move(&q, &it);
  if (e == DMP_OK) e = settle_move(&q);
  item_close(&it);
  settle_end(&q);
  return e;
}

int episode_move(struct session *s, struct patient *p, const struct choices *c, struct item *it, int leaf) {
  struct circle_want w = { .cls = it->cls, .masked = leaf >= 2 };
  int e = episode_from(c, it, &w.out);
  if (e == DMP_OK && w.out.n) e = circle_ensure(s, p, &w, 1);
  return e == DMP_OK ? object_move(s, p, it, (struct place){ it->cls, leaf, 0, w.circle }) : e;
}

int episode_owed(struct session *s, struct patient *p, int tell, size_t *items) {
  struct settling q = { .s = s, .p = p, .w = &ALL };
  int e = settle_collect(&q);
  *items = 0;
  for (size_t i = 0; i < q.n; i++) *items += !q.m[i].stays && !(tell && s->principal == p->id && follow_withheld(s, p, &q.m[i].it));
  settle_end(&q);
  return e;
}

/* ---- writing the choices ---- */

static int note(struct session *s, struct patient *p, int64_t home, enum item_table table, const struct value *v, size_t n, int64_t *id) {
  const struct signer me = { s->cred, s->me.hash };
  struct content c = { .table = (uint16_t)table };
  struct buf row = { 0 };
  row_put(&row, v, n);
  c.row = row.p;
  c.row_len = row.n;
  int e = row.bad ? DMP_E_NOMEM : object_insert(s, p, &me, (struct place){ CLASS_CHOICES, 2, 0, home }, &c, NULL, id);
  buf_free(&row);
  return e;
}

int episode_note_mask(struct session *s, struct patient *p, int64_t item) {
  char now[32];
  int64_t id = 0;
  syntax_time_ms(record_now(), now);
  const struct value v[MASK_VALUES] = { value_int(item), value_text(now) };
  return note(s, p, 0, ITEM_MASK, v, MASK_VALUES, &id);
}

int episode_note_episode(struct session *s, struct patient *p, const char *name, int64_t *id) {
  char now[32];
  *id = 0;
  syntax_time_ms(record_now(), now);
  const struct value v[EPISODE_VALUES] = { value_text(name), value_text(now) };
  return note(s, p, 0, ITEM_EPISODE, v, EPISODE_VALUES, id);
}

int episode_note_assignment(struct session *s, struct patient *p, int64_t item, const char *episode, int accepted) {
  char now[32];
  int64_t id = 0;
  syntax_time_ms(record_now(), now);
  const struct value v[ASSIGN_VALUES] = { value_int(item), value_text(episode), value_int(accepted), value_text(now) };
  return note(s, p, 0, ITEM_ASSIGNMENT, v, ASSIGN_VALUES, &id);
}

/* The patient's own circle, made where it is missing. */
static int home_of_hidden(struct session *s, struct patient *p, int64_t *home) {
  struct circle_want w = { .cls = CLASS_CHOICES, .masked = 1 };
  int e = circle_ensure(s, p, &w, 1);
  *home = w.circle;
  return e;
}

int episode_note_from(struct session *s, struct patient *p, const struct masked_from *m, int64_t *id) {
  struct excluded x = { { m->x }, 1 };
  char now[32];
  int64_t home = 0;
  int e = circle_hides(s, p, &x) ? home_of_hidden(s, p, &home) : DMP_OK;
  *id = 0;
  syntax_time_ms(record_now(), now);
  const struct value v[EXCLUSION_VALUES] = { m->episode ? (struct value){ 0 } : value_int(m->item), value_text(m->episode), value_int(m->x.kind),
                                             value_int(m->x.who), value_text(now) };
  return e == DMP_OK ? note(s, p, home, ITEM_EXCLUSION, v, EXCLUSION_VALUES, id) : e;
}

/* ---- what the treating doctor may not know ---- */

int episode_shades(struct session *s, struct patient *p, const struct item *it) {
  struct choices c;
  struct follow_texts t;
  uint64_t headers = s->headers_opened, boxes = s->boxes_opened;
  if (s->principal == p->id || !(it->c.flags & ITEM_LATE) || it->leaf < 2 || it->circle || it->via == VIA_OWN) return 0;
  if (id_from_field(it->c.depositor) == s->principal) return 0;
  if (!patient_key(p, CLASS_CHOICES, WHICH_M)) return 0;
  int yes = choices_read(s, p, &c) != DMP_OK || (follow_texts(it, &t) && (choices_shade(&c, &t.episode) || choices_shade(&c, &t.replaces)));
  choices_free(&c);
  s->headers_opened = headers;
  s->boxes_opened = boxes;
  return yes;
}

static int shade_note(struct session *s, struct patient *p, const char *name) {
  uint8_t salt[16], hash[16];
  int64_t id = 0;
  int e = random_bytes("shade", salt, 16);
  shade_hash(salt, name, strlen(name), hash);
  const struct value v[SHADE_VALUES] = { value_bytes(VALUE_BLOB, salt, 16), value_bytes(VALUE_BLOB, hash, 16) };
  return e == DMP_OK ? note(s, p, 0, ITEM_SHADE, v, SHADE_VALUES, &id) : e;
}

struct hiding { struct session *s; struct patient *p; const struct choices *c; int64_t home; };

/* An item, or an episode, that some choice masks from the treating doctor of today. */
static int is_hidden(struct hiding *h, int64_t item, const char *episode) {
  for (size_t i = 0; i < h->c->froms; i++) {
    const struct masked_from *m = &h->c->from[i];
    struct excluded x = { { m->x }, 1 };
    if ((m->episode ? episode && strcmp(m->episode, episode) == 0 : m->item == item) && circle_hides(h->s, h->p, &x)) return 1;
  }
  return 0;
}

static int home_move(struct hiding *h, int64_t id, int64_t home, int hidden) {
  struct item it;
  if ((home != 0) == hidden) return DMP_OK;
  int e = hidden && h->home == 0 ? home_of_hidden(h->s, h->p, &h->home) : DMP_OK;
  if (e == DMP_OK) e = object_open(h->s, h->p, id, &it);
  if (e != DMP_OK) return e;
  e = object_move(h->s, h->p, &it, (struct place){ CLASS_CHOICES, 2, 0, hidden ? h->home : 0 });
  item_close(&it);
  return e;
}

/* What the treating doctor's software is told of by shades: episodes, and documents that a correction may name. */
struct shading { struct hiding *h; char **name; size_t n; };

static int shading_add(struct shading *q, const struct value *v) {
  if (v->type != VALUE_TEXT) return DMP_OK;
  for (size_t i = 0; i < q->n; i++)
    if (episode_is(v, q->name[i])) return DMP_OK;
  char **more = grow(q->name, q->n, sizeof *more);
  if (more == NULL) return DMP_E_NOMEM;
  q->name = more;
  more[q->n] = text_copy(v);
  return more[q->n++] ? DMP_OK : DMP_E_NOMEM;
}

static int take_shaded(void *ctx, struct item *it) {
  struct follow_texts t;
  return follow_texts(it, &t) ? shading_add(ctx, &t.unique_id) : DMP_OK;
}

static int shading_item(struct shading *q, int64_t id) {
  struct follow_texts t;
  struct item it;
  int e = object_open(q->h->s, q->h->p, id, &it);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  if (follow_texts(&it, &t)) e = shading_add(q, &t.unique_id);
  item_close(&it);
  return e;
}

/* The documents of an episode, also those to which it was assigned. */
static int shading_episode(struct shading *q, const char *name) {
  const struct choices *c = q->h->c;
  struct value v = value_text(name);
  int e = shading_add(q, &v);
  if (e == DMP_OK) e = gather_episode(q->h->s, q->h->p, name, 1, take_shaded, q);
  for (size_t i = 0; e == DMP_OK && i < c->assigns; i++)
    if (c->assign[i].accepted && strcmp(c->assign[i].episode, name) == 0) e = shading_item(q, c->assign[i].item);
  return e;
}

static int shading_read(struct shading *q) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < q->h->c->froms; i++) {
    const struct masked_from *m = &q->h->c->from[i];
    struct excluded x = { { m->x }, 1 };
    if (circle_hides(q->h->s, q->h->p, &x)) e = m->episode ? shading_episode(q, m->episode) : shading_item(q, m->item);
  }
  return e;
}

/* A shade for each of them, and no other. */
static int shades_settle(struct hiding *h) {
  const struct choices *c = h->c;
  struct shading q = { .h = h };
  uint8_t *wanted = calloc(c->shades + 1, 1);
  int e = wanted ? shading_read(&q) : DMP_E_NOMEM;
  for (size_t i = 0; e == DMP_OK && i < q.n; i++) {
    struct value v = value_text(q.name[i]);
    const struct shade *of = choices_shade(c, &v);
    if (of) wanted[of - c->shade] = 1;
    else e = shade_note(h->s, h->p, q.name[i]);
  }
  for (size_t i = 0; e == DMP_OK && i < c->shades; i++)
    if (!wanted[i]) e = episode_drop_choice(h->s, h->p, c->shade[i].id);
  for (size_t i = 0; i < q.n; i++) free(q.name[i]);
  free(q.name);
  free(wanted);
  return e;
}

int episode_hide_choices(struct session *s, struct patient *p) {
  struct choices c = { 0 };
  struct hiding h = { s, p, &c, circle_private(p) };
  int e = s->principal == p->id ? choices_read(s, p, &c) : DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c.froms; i++)
    e = home_move(&h, c.from[i].id, c.from[i].home, is_hidden(&h, c.from[i].item, c.from[i].episode));
  for (size_t i = 0; e == DMP_OK && i < c.items; i++) e = home_move(&h, c.item[i].id, c.item[i].home, is_hidden(&h, c.item[i].item, NULL));
  for (size_t i = 0; e == DMP_OK && i < c.episodes; i++) e = home_move(&h, c.episode[i].id, c.episode[i].home, is_hidden(&h, 0, c.episode[i].name));
  for (size_t i = 0; e == DMP_OK && i < c.circles.n; i++)
    e = home_move(&h, c.circles.c[i].item, c.homes[i], circle_hides(s, p, &c.circles.c[i].out));
  if (e == DMP_OK && s->principal == p->id) e = shades_settle(&h);
  choices_free(&c);
  return e;
}

int episode_drop_choice(struct session *s, struct patient *p, int64_t id) {
  struct item it;
  int e = object_open(s, p, id, &it);
  if (e != DMP_OK) return e;
  e = it.via == VIA_LEAF && it.cls == CLASS_CHOICES ? object_drop(s, p, &it) : DMP_E_NOT_FOUND;
  item_close(&it);
  return e;
}
