/* recent.c: places of four entries, found by a hash of the key (see recent.h). */
#include "recent.h"
#include "memory.h"
#include <string.h>

enum { WAYS = 4, FIRST = 64, GROWTH = 4 };        /* 64, 256, 1024, RECENT_MOST */

static struct recent_head *head(const struct recent *r, size_t i) { return (struct recent_head *)(void *)((uint8_t *)r->entry + i * r->unit); }
static size_t place_of(const struct recent *r, uint64_t key) { return (size_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (r->n / WAYS - 1); }

void *recent_find(struct recent *r, uint64_t key) {
  for (size_t i = 0, at = r->n ? WAYS * place_of(r, key) : 0; r->n && i < WAYS; i++) {
    struct recent_head *h = head(r, at + i);
    if (h->used == 0 || h->key != key) continue;
    h->used = ++r->used;
    return h;
  }
  return NULL;
}

/* A free entry of the key's place, or the one that was not used for longest. */
static struct recent_head *oldest(const struct recent *r, uint64_t key) {
  size_t at = WAYS * place_of(r, key);
  struct recent_head *best = head(r, at);
  for (size_t i = 1; i < WAYS; i++)
    if (head(r, at + i)->used < best->used) best = head(r, at + i);
  return best;
}

/* A larger table has each place's entries in places of their own: none is pushed out. */
static int grow(struct recent *r) {
  struct recent more = { .unit = r->unit, .n = r->n ? GROWTH * r->n : FIRST, .used = r->used };
  if (more.n > RECENT_MOST || (more.entry = memory_new(more.n * more.unit)) == NULL) return 0;
  for (size_t i = 0; i < r->n; i++)
    if (head(r, i)->used) memcpy(oldest(&more, head(r, i)->key), head(r, i), r->unit);
  memory_free(r->entry);
  *r = more;
  return 1;
}

void *recent_room(struct recent *r, uint64_t key) {
  void *found = recent_find(r, key);
  if (found) return found;
  if (r->n == 0 && !grow(r)) return NULL;
  struct recent_head *h = oldest(r, key);
  if (h->used && grow(r)) h = oldest(r, key);
  return h;
}

void recent_take(struct recent *r, void *entry, uint64_t key) {
  *(struct recent_head *)entry = (struct recent_head){ key, ++r->used };
}

void *recent_at(const struct recent *r, size_t i) { return head(r, i); }

void recent_free(struct recent *r) {
  memory_free(r->entry);
  *r = (struct recent){ .unit = r->unit };
}
