/* deposit.c: deposited items (see deposit.h). */
#include "deposit.h"
#include "access.h"
#include "document.h"
#include "episode.h"
#include "follow.h"
#include "section.h"
#include <string.h>

/* A late item looks to its depositor the same whether its episode is masked or nobody has looked yet. */
const char *deposit_warning(const struct item *it, int masked, int withheld) {
  int hidden = deposit_hidden(it);
  if (withheld) return "Attention, ce document n'est pas visible du patient";
  if (masked && it->via == VIA_OWN && (it->c.flags & (ITEM_LATE | ITEM_MASKED)) == ITEM_LATE)
    return "Attention, ce document n'est visible des autres professionnels que si le patient ou son médecin traitant le laisse paraître";
  if (masked && hidden) return "Attention, ce document n'est pas visible des représentants légaux et est masqué aux professionnels de santé";
  if (masked) return "Attention, ce document est masqué aux professionnels de santé";
  return hidden ? "Attention, ce document n'est pas visible des représentants légaux" : NULL;
}

/* For who knows what is masked: an episode that is, or what he is left out of, as far as his software is told. */
static int known_late(struct session *s, struct patient *p, const struct deposit *d, const struct followed *f, int *late) {
  const struct value episode = value_text(d->episode), replaces = value_text(d->replaces);
  struct choices c = { 0 };
  int e = choices_read(s, p, &c);
  *late = f->masked || (d->replaces && !f->found && choices_shade(&c, &replaces));
  if (d->episode && !d->masked) *late |= choices_episode(&c, &episode) || episode_is_from(&c, &episode) || choices_shade(&c, &episode);
  choices_free(&c);
  return e;
}

/* Whether an item must wait, masked and hidden, for somebody who knows of its episode, or of what it replaces. */
static int follow(struct session *s, struct patient *p, const struct deposit *d, struct followed *f, int *late) {
  int full, e = holder_is_full(s, p, &full);
  *late = s->me.kind == KIND_SOURCE && (!d->masked || d->replaces);
  if (e != DMP_OK || *late || (d->episode == NULL && d->replaces == NULL)) return e;
  e = follow_look(s, p, f);
  if (e == DMP_OK && full) return known_late(s, p, d, f, late);
  *late = (d->episode && !d->masked && !f->visible) || (d->replaces && (f->masked || !f->found));
  return e;
}

int deposit_place(struct session *s, struct patient *p, const struct deposit *d, struct place *where, uint8_t *flags) {
  struct keyset *k;
  int e = patient_keyset(s, p, &k);
  struct followed f = { .episode = d->episode, .replaces = d->replaces };
  int late = 0;
  if ((d->invisible && p->id == s->principal) || ((d->invisible || d->hidden) && s->me.kind == KIND_REPRESENTATIVE)) e = DMP_E_HIDE_SELF;
  if (e == DMP_OK && s->me.kind == KIND_SOURCE && p->g.kind != GRANT_ACTIVE) e = DMP_E_FEED_OFF;
  if (e == DMP_OK) e = follow(s, p, d, &f, &late);
  int hidden = d->hidden || f.hidden, waits = late || (f.waits && !hidden);
  *where = (struct place){ rights_class_of(d->type_code), late ? 3 : (d->masked ? 2 : 0) | (hidden || d->invisible || waits), 0, 0 };
  *flags = (uint8_t)((d->masked ? ITEM_MASKED : 0) | (waits ? ITEM_LATE : 0) | (hidden ? ITEM_HIDDEN : 0) | (d->invisible ? ITEM_INVISIBLE : 0));
  const struct keyset_class *c = e == DMP_OK ? keyset_class(k, where->cls) : NULL;
  if (e == DMP_OK && c == NULL) e = DMP_E_KEYSET_BAD;
  /* P due: somebody left who held it; M due: a representative left, who held its half */
  int due = e == DMP_OK ? c->due | c->left : 0;
  int to = e != DMP_OK ? 0 : due & KEY_M ? 3 : due & KEY_P ? where->leaf | 2 : where->leaf;
  if (e == DMP_OK && to != where->leaf) {
    where->leaf = to;
    where->sealed = 1;
    *flags |= ITEM_DIVERTED;
  }
  return e;
}

int deposit_confidentiality(const char **code) {
  if (*code == NULL) *code = "N";
  return strcmp(*code, "N") == 0 || strcmp(*code, "R") == 0 || strcmp(*code, "V") == 0 ? DMP_OK : DMP_E_CODE;
}

int deposit_put(struct session *s, struct patient *p, const struct deposit *d, struct place where, struct content *c, const uint8_t body_key[32], int64_t *id) {
  const struct signer me = { s->cred, s->me.hash };
  int full, e = holder_is_full(s, p, &full);
  if (e == DMP_OK) e = object_insert(s, p, &me, where, c, body_key, id);
  /* who knows of masks to some puts it into their circle */
  if (e == DMP_OK && full && c->flags & ITEM_LATE && !where.sealed) e = episode_resettle(s, p, *id, 1);
  if (e == DMP_OK && d->episode && c->flags & ITEM_HIDDEN) e = follow_hide(s, p, d->episode);
  return e == DMP_OK ? access_pend_item(s, p, LOG_DEPOSIT, *id, where.leaf & 1, NULL) : e;
}

int deposit_sound(const struct item *it) {
  const struct section *x = section_of(it->c.table);
  struct value v[LINE_MAX];
  return x ? section_values(x, it, v) : it->c.table == ITEM_DOCUMENT && document_sound(it);
}

uint16_t deposit_class(const struct item *it) {
  const struct section *x = section_of(it->c.table);
  return x ? rights_class_of(x->type_code) : document_class(it);
}

int deposit_meant_leaf(const struct item *it) { return it->c.flags & (ITEM_HIDDEN | ITEM_INVISIBLE) ? 1 : 0; }

int deposit_masked_for(const struct item *it, int held, int whole) {
  if (it->via != VIA_OWN) return it->leaf >= 2;
  if (it->c.flags & ITEM_MASKED) return 1;
  /* in no leaf of a class that he holds whole: masked from him, and he does not see from whom else */
  return !whole && !(it->c.flags & ITEM_DIVERTED) && held;
}

int deposit_masked(struct patient *p, const struct item *it, uint16_t cls) {
  return deposit_masked_for(it, patient_leaf(p, cls, deposit_meant_leaf(it))->held, patient_leaf(p, cls, 3)->held);
}

int deposit_hidden(const struct item *it) { return it->via == VIA_OWN ? item_hidden_meant(it) : it->leaf & 1; }

int deposit_find(struct session *s, int64_t id, struct patient **p, struct item *it) {
  int e = object_find(s, id, p, it);
  if (e == DMP_OK && (!item_deposited(it->c.table) || it->deleted)) {
    item_close(it);
    e = DMP_E_NOT_FOUND;
  }
  return e;
}

int deposit_erase(struct session *s, int64_t id) {
  struct patient *p;
  struct item it;
  int e = deposit_find(s, id, &p, &it);
  if (e != DMP_OK) return e;
  if (memcmp(it.c.depositor, s->cred->principal, 16) != 0) e = DMP_E_DEPOSITOR;
  if (e == DMP_OK) e = object_amend(s, p, &it, AMEND_DELETE);
  if (e == DMP_OK) e = access_pend_item(s, p, LOG_DELETE, id, deposit_hidden(&it), NULL);
  item_close(&it);
  return e;
}
