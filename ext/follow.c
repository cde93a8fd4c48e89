/* follow.c: see follow.h. */
#include "follow.h"
#include "document.h"
#include "episode.h"
#include "gather.h"
#include "section.h"
#include <stdlib.h>
#include <string.h>

static const struct scan HIDDEN = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1, .hidden = 1 };
static const struct scan EVERY = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .own = 1 };

int follow_texts(const struct item *it, struct follow_texts *out) {
  const struct section *x = section_of(it->c.table);
  struct value v[LINE_MAX], d[STORED];
  *out = (struct follow_texts){ 0 };
  if (x ? !section_values(x, it, v) : it->c.table != ITEM_DOCUMENT || !document_sound_values(it, d)) return 0;
  *out = x ? (struct follow_texts){ .episode = v[LINE_EPISODE] } : (struct follow_texts){ d[S_EPISODE], d[S_UNIQUE_ID], d[S_REPLACES] };
  return 1;
}

/* ---- what is not announced, and what waits with it ---- */

struct awaited { int64_t patient, second; unsigned generation; int busy; struct buf names; /* one after the other: kind, text, 0 */ };
enum { BY_EPISODE = 'e', BY_ID = 'i' };

void follow_free(struct awaited *a) {
  if (a == NULL) return;
  if (a->names.n) bytes_wipe(a->names.p, a->names.n);
  buf_free(&a->names);
  free(a);
}

static int named(const struct awaited *a, char kind, const struct value *v) {
  for (size_t at = 0; v->type == VALUE_TEXT && at < a->names.n; at += strlen((const char *)a->names.p + at) + 1)
    if (a->names.p[at] == (uint8_t)kind && episode_is(v, (const char *)a->names.p + at + 1)) return 1;
  return 0;
}

static void name_add(struct awaited *a, char kind, const struct value *v) {
  if (v->type != VALUE_TEXT || named(a, kind, v)) return;
  buf_u8(&a->names, (uint8_t)kind);
  buf_put(&a->names, v->u.p, v->n);
  buf_u8(&a->names, 0);
}

static int may_wait(const struct patient *p, const struct item *it) {
  return it->c.flags & ITEM_LATE && it->leaf & 1 && it->via != VIA_OWN && id_from_field(it->c.depositor) != p->id;
}

struct naming { struct awaited *a; struct patient *p; };

/* Oldest first: what follows something that waits is waited for too. */
static int take_awaited(void *ctx, struct item *it) {
  struct naming *q = ctx;
  struct follow_texts t;
  if (!item_deposited(it->c.table) || !follow_texts(it, &t)) return DMP_OK;
  int waits = may_wait(q->p, it) && (named(q->a, BY_EPISODE, &t.episode) || named(q->a, BY_ID, &t.replaces));
  if (!waits && !object_unannounced(it)) return DMP_OK;
  name_add(q->a, BY_EPISODE, &t.episode);
  name_add(q->a, BY_ID, &t.unique_id);
  return q->a->names.bad ? DMP_E_NOMEM : DMP_OK;
}

/* Made once for a listing; its dates pass in the middle of a session. What is opened for it is no work of the reader's. */
static int awaited_now(struct session *s, struct patient *p) {
  if (s->awaited == NULL && (s->awaited = calloc(1, sizeof *s->awaited)) == NULL) return DMP_E_NOMEM;
  struct awaited *a = s->awaited;
  struct naming q = { a, p };
  if (a->patient == p->id && a->generation == s->generation && a->second == record_now() / 1000) return DMP_OK;
  uint64_t headers = s->headers_opened, boxes = s->boxes_opened;
  buf_reset(&a->names);
  a->patient = p->id;
  a->busy = 1;
  int e = object_scan(s, p, &HIDDEN, take_awaited, &q);
  a->busy = 0;
  a->generation = s->generation;
  a->second = record_now() / 1000;
  if (e != DMP_OK) a->patient = 0;
  s->headers_opened = headers;
  s->boxes_opened = boxes;
  return e;
}

int follow_waits(struct session *s, struct patient *p, const struct item *it) {
  struct follow_texts t;
  if (!may_wait(p, it) || s->view || (s->awaited && s->awaited->busy)) return 0;
  if (awaited_now(s, p) != DMP_OK) return 1;
  return follow_texts(it, &t) && (named(s->awaited, BY_EPISODE, &t.episode) || named(s->awaited, BY_ID, &t.replaces));
}

int follow_withheld(struct session *s, struct patient *p, const struct item *it) { return object_unannounced(it) || follow_waits(s, p, it); }

/* ---- what a depositor sees ---- */

static int take_followed(void *ctx, struct item *it) {
  struct followed *f = ctx;
  struct follow_texts t;
  if (!item_deposited(it->c.table) || !follow_texts(it, &t)) return DMP_OK;
  int same = f->episode && episode_is(&t.episode, f->episode), replaced = f->replaces && episode_is(&t.unique_id, f->replaces);
  if (!same && !replaced) return DMP_OK;
  int shows = it->via != VIA_OWN && it->leaf < 2 && !it->circle;   /* of one's own that no leaf opens: it is masked from oneself */
  f->visible |= same && shows && !it->deleted;
  f->found |= replaced && shows && !it->deleted;
  f->masked |= replaced && !shows;
  if (it->leaf & 1) *(it->c.flags & ITEM_HIDDEN ? &f->hidden : &f->waits) = 1;
  return DMP_OK;
}

int follow_look(struct session *s, struct patient *p, struct followed *f) {
  int e = f->episode ? gather_episode(s, p, f->episode, 0, take_followed, f) : DMP_OK;
  return e == DMP_OK && f->replaces ? object_scan(s, p, &EVERY, take_followed, f) : e;
}

struct hiding { struct session *s; struct patient *p; struct items found; };

static int take_earlier(void *ctx, struct item *it) {
  struct hiding *h = ctx;
  struct follow_texts t;
  if (!item_deposited(it->c.table) || it->via != VIA_LEAF || it->leaf & 1 || it->deleted || !follow_texts(it, &t)) return DMP_OK;
  const struct certificate *who = patient_who(h->s, h->p, it->c.depositor);
  if (who && who->kind == KIND_REPRESENTATIVE) return DMP_OK;
  return object_leaf(h->p, item_beside(it, it->leaf + 1))->held ? items_take(&h->found, it) : DMP_OK;
}

int follow_hide(struct session *s, struct patient *p, const char *episode) {
  struct hiding h = { .s = s, .p = p };
  int e = gather_episode(s, p, episode, 0, take_earlier, &h);
  for (size_t i = 0; e == DMP_OK && i < h.found.n; i++) {
    struct item *it = &h.found.it[i];
    e = object_move(s, p, it, item_beside(it, it->leaf + 1));
    if (e == DMP_E_SIGNATURE) e = DMP_OK;             /* forged: named by dmp_verify, and stops nobody's deposit */
  }
  items_free(&h.found);
  return e;
}
