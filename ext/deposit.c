/* deposit.c: deposited items (see deposit.h). */
#include "deposit.h"
#include "access.h"
#include "document.h"
#include "episode.h"
#include "section.h"
#include <string.h>

/* A late item looks to its depositor the same whether its episode is masked or nobody has looked yet. */
const char *deposit_warning(const struct item *it, int masked) {
  int hidden = deposit_hidden(it);
  if (object_unannounced(it)) return "Attention, ce document n'est pas visible du patient";
  if (masked && it->via == VIA_OWN && (it->c.flags & ITEM_LATE))
    return "Attention, ce document n'est visible des autres professionnels que si le patient ou son médecin traitant le laisse paraître";
  if (masked && hidden) return "Attention, ce document n'est pas visible des représentants légaux et est masqué aux professionnels de santé";
  if (masked) return "Attention, ce document est masqué aux professionnels de santé";
  return hidden ? "Attention, ce document n'est pas visible des représentants légaux" : NULL;
}

/* Whether an item of this episode must wait, masked and hidden, for somebody who knows; and whether what it follows is hidden from
 * representatives. */
static int follow_episode(struct session *s, struct patient *p, const struct deposit *d, int *late, int *hidden) {
  struct episode_seen seen = { .name = d->episode };
  struct choices c;
  struct value v = value_text(d->episode);
  int full, e = holder_is_full(s, p, &full);
  *late = s->me.kind == KIND_SOURCE && !d->masked;
  if (e != DMP_OK || *late || d->episode == NULL) return e;
  e = episode_look(s, p, &seen);
  *hidden |= seen.hidden;
  *late = !d->masked && !seen.visible;
  if (e != DMP_OK || d->masked || !full) return e;
  e = choices_read(s, p, &c);
  *late = e == DMP_OK && (choices_episode(&c, &v) || episode_is_from(&c, &v));
  choices_free(&c);
  return e;
}

int deposit_place(struct session *s, struct patient *p, const struct deposit *d, struct place *where, uint8_t *flags) {
  struct keyset *k;
  int e = patient_keyset(s, p, &k);
  int late = 0, hidden = d->hidden;
  if ((d->invisible && p->id == s->principal) || ((d->invisible || d->hidden) && s->me.kind == KIND_REPRESENTATIVE)) e = DMP_E_HIDE_SELF;
  if (e == DMP_OK && s->me.kind == KIND_SOURCE && p->g.kind != GRANT_ACTIVE) e = DMP_E_FEED_OFF;
  if (e == DMP_OK) e = follow_episode(s, p, d, &late, &hidden);
  *where = (struct place){ rights_class_of(d->type_code), late ? 3 : (d->masked ? 2 : 0) | (hidden || d->invisible), 0, 0 };
  *flags = (uint8_t)((d->masked ? ITEM_MASKED : late ? ITEM_LATE : 0) | (hidden ? ITEM_HIDDEN : 0) | (d->invisible ? ITEM_INVISIBLE : 0));
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

int deposit_put(struct session *s, struct patient *p, struct place where, struct content *c, const uint8_t body_key[32], int64_t *id) {
  const struct signer me = { s->cred, s->me.hash };
  int full, e = holder_is_full(s, p, &full);
  if (e == DMP_OK) e = object_insert(s, p, &me, where, c, body_key, id);
  /* who knows of masks to some puts it into their circle */
  if (e == DMP_OK && full && c->flags & ITEM_LATE && !where.sealed) e = episode_resettle(s, p, *id, 1);
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
