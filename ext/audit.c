/* audit.c: rows against the log (see audit.h). */
#include "audit.h"
#include <stdlib.h>
#include <string.h>

void audit_add(struct audit *a, const struct log_row *row, enum log_kind outcome, const uint8_t *tag) {
  if (outcome == LOG_UNDONE) return;
  if (a->n == a->cap) {
    size_t cap = a->cap ? 2 * a->cap : 256;
    struct audit_entry *p = realloc(a->e, cap * sizeof *p);
    if (p == NULL) {
      a->bad = 1;
      return;
    }
    a->e = p;
    a->cap = cap;
  }
  struct audit_entry *e = &a->e[a->n];
  *e = (struct audit_entry){ .table = row->table, .id = row->id, .order = a->n, .known = tag != NULL, .outcome = outcome };
  memcpy(e->hash, row->hash, 16);
  if (tag) memcpy(e->tag, tag, 16);
  a->n++;
}

static int by_row(const struct audit_entry *x, const struct audit_entry *y) {
  if (x->table != y->table) return x->table - y->table;
  return (x->id > y->id) - (x->id < y->id);
}

static int by_row_and_order(const void *a, const void *b) {
  const struct audit_entry *x = a, *y = b;
  int d = by_row(x, y);
  return d ? d : (x->order > y->order) - (x->order < y->order);
}

void audit_sort(struct audit *a) {
  if (a->n > 1) qsort(a->e, a->n, sizeof *a->e, by_row_and_order);
}

static size_t first_of(const struct audit *a, const struct audit_entry *key) {
  size_t lo = 0, hi = a->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (by_row(&a->e[mid], key) < 0) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

static int is_gone(const struct audit_entry *e) {
  static const uint8_t GONE[16];
  return memcmp(e->hash, GONE, 16) == 0;
}

enum audit_verdict audit_judge(const struct audit *a, uint16_t table, int64_t id, const uint8_t *hash,
                               int (*believed)(void *ctx, const struct audit_entry *e), void *ctx) {
  const struct audit_entry key = { .table = table, .id = id }, *sure = NULL, *doubt = NULL;
  size_t first = first_of(a, &key);
  for (size_t i = first; i < a->n && by_row(&a->e[i], &key) == 0; i++) {
    const struct audit_entry *e = &a->e[i];
    if (believed && !believed(ctx, e)) continue;
    for (size_t j = first; j < i; j++)
      if (memcmp(a->e[j].hash, e->hash, 16) == 0 && (believed == NULL || believed(ctx, &a->e[j]))) return AUDIT_PUT_BACK;
    if (e->outcome == LOG_INTENT) {
      doubt = e;
    } else {
      sure = e;
      doubt = NULL;
    }
  }
  if (sure == NULL && doubt == NULL) return AUDIT_UNLOGGED;
  /* written for certain, or perhaps never; a hash of zeros says that it was taken away */
  if (hash == NULL) return sure == NULL || is_gone(sure) || (doubt && is_gone(doubt)) ? AUDIT_SAME : AUDIT_DIFFERENT;
  if (sure && memcmp(sure->hash, hash, 16) == 0) return AUDIT_SAME;
  return doubt && memcmp(doubt->hash, hash, 16) == 0 ? AUDIT_SAME : AUDIT_DIFFERENT;
}

void audit_each(const struct audit *a, void (*each)(void *ctx, const struct audit_entry *e), void *ctx) {
  for (size_t i = 0; i < a->n; i++)
    if (i == 0 || by_row(&a->e[i - 1], &a->e[i]) != 0) each(ctx, &a->e[i]);
}

void audit_free(struct audit *a) {
  free(a->e);
  *a = (struct audit){ 0 };
}
