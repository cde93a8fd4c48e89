/* mark.c: marks (see mark.h). */
#include "mark.h"
#include "document.h"
#include "section.h"
#include <string.h>

int mark_episode(const struct item *it, struct value *episode) {
  const struct section *x = section_of(it->c.table);
  struct value v[LINE_MAX], d[STORED];
  *episode = (struct value){ 0 };
  if (x ? !section_values(x, it, v) : it->c.table != ITEM_DOCUMENT || !document_sound_values(it, d)) return 0;
  *episode = x ? v[LINE_EPISODE] : d[S_EPISODE];
  return 1;
}

void mark_name(const struct value *episode, uint8_t name[16]) {
  memset(name, 0, 16);
  if (episode->type == VALUE_TEXT) suite_hash(episode->u.p, episode->n, name, 16);
}

int64_t mark_make(struct mark_key *k, const struct leaf *l, int64_t id, const uint8_t name[16]) {
  uint8_t key[32], x[8 + 16], out[SUITE_PRF];
  if (!k->ready) {
    suite_kdf_text(l->key, "mark", key);
    suite_prf_key(key, k->prf);
    bytes_wipe(key, sizeof key);
    k->ready = 1;
  }
  le_put64(x, (uint64_t)id);
  memcpy(x + 8, name, 16);
  suite_prf_with(k->prf, x, sizeof x, out);
  return (int64_t)le_get64(out);
}

int64_t mark_of(const struct leaf *l, const struct item *it) {
  struct mark_key k = { 0 };
  struct value episode;
  uint8_t name[16];
  mark_episode(it, &episode);                       /* of a row that makes no sense, and of other items: none */
  mark_name(&episode, name);
  int64_t mark = mark_make(&k, l, it->id, name);
  bytes_wipe(&k, sizeof k);
  return mark;
}
