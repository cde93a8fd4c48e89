/* finder.c: a hash with open addressing (see finder.h). */
#include "finder.h"
#include "dmp.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST = 1024 };

/* Keys are PRF outputs or ids: the multiplication spreads the ids, which share their upper bits. */
static size_t slot_of(uint64_t key) { return (size_t)((key * 0x9E3779B97F4A7C15u) >> 20); }

static void put(struct finder *f, uint64_t key, int64_t patient) {
  size_t i = slot_of(key) & (f->cap - 1);
  while (f->slot[i].patient != 0 && (f->slot[i].key != key || f->slot[i].patient != patient)) i = (i + 1) & (f->cap - 1);
  if (f->slot[i].patient == 0) f->n++;
  f->slot[i] = (struct finder_slot){ key, patient };
}

/* At most half full. */
static int grow(struct finder *f) {
  struct finder old = *f;
  size_t cap = old.cap ? 2 * old.cap : FIRST;
  f->slot = calloc(cap, sizeof *f->slot);
  if (f->slot == NULL) {
    f->slot = old.slot;
    return DMP_E_NOMEM;
  }
  f->cap = cap;
  f->n = 0;
  for (size_t i = 0; i < old.cap; i++)
    if (old.slot[i].patient != 0) put(f, old.slot[i].key, old.slot[i].patient);
  free(old.slot);
  return DMP_OK;
}

int finder_add(struct finder *f, uint64_t key, int64_t patient) {
  int e = 2 * f->n >= f->cap ? grow(f) : DMP_OK;
  if (e == DMP_OK) put(f, key, patient);
  return e;
}

int64_t finder_next(const struct finder *f, uint64_t key, size_t *probe) {
  while (*probe < f->cap) {
    const struct finder_slot *at = &f->slot[(slot_of(key) + (*probe)++) & (f->cap - 1)];
    if (at->patient == 0) break;
    if (at->key == key) return at->patient;
  }
  return 0;
}

void finder_begin(struct finder *f, unsigned generation) {
  if (f->n) memset(f->slot, 0, f->cap * sizeof *f->slot);
  f->n = f->leaves = f->deposits = 0;
  f->generation = generation;
}

void finder_free(struct finder *f) {
  free(f->slot);
  *f = (struct finder){ 0 };
}
