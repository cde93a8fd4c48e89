/* gather.c: the items of an episode (see gather.h). */
#include "gather.h"
#include "mark.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

struct met { int64_t id; const struct leaf *l; };
struct marked { struct met *m; size_t n, cap; };      /* owned */

static int marked_add(struct marked *a, int64_t id, const struct leaf *l) {
  if (a->n == a->cap) {
    size_t cap = a->cap ? 2 * a->cap : 32;
    struct met *m = realloc(a->m, cap * sizeof *m);
    if (m == NULL) return DMP_E_NOMEM;
    a->m = m;
    a->cap = cap;
  }
  a->m[a->n++] = (struct met){ id, l };
  return DMP_OK;
}

/* The marks of one leaf stand in its index, so no row is read. One that was altered, dropped or put back does not fit the state. */
static int marked_in(struct session *s, struct patient *p, struct leaf *l, const uint8_t name[16], struct marked *a) {
  struct mark_key k = { 0 };
  struct state now = { 0 }, stored;
  sqlite3_stmt *st = record_stmt(s->r, STMT_OBJECT_MARKS);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, l->object_loc, 16, SQLITE_STATIC);
  int rc = SQLITE_DONE, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    int64_t id = sqlite3_column_int64(st, 0), mark = sqlite3_column_int64(st, 1);
    state_mark(&now, l, id, mark);
    now.count++;
    if (mark == mark_make(&k, l, id, name)) e = marked_add(a, id, l);
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  bytes_wipe(&k, sizeof k);
  if (e == DMP_OK) e = state_get(s, p->id, l, &stored);
  if (e == DMP_OK && !state_marks_equal(&now, &stored)) e = record_fault(s->r, DMP_E_STATE_BAD, "dmp_state", stored.row);
  return e;
}

static int marked_leaves(struct session *s, struct patient *p, const uint8_t name[16], struct marked *a) {
  const struct entry *en;
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && (en = patient_entry(p, i)) != NULL; i++) {
    struct way w[2];
    if (en->cls < CLASS_FIRST_DOCUMENT) continue;
    for (size_t k = 0, ways = entry_ways(p, en, w); e == DMP_OK && k < ways; k++) e = marked_in(s, p, w[k].l, name, a);
  }
  return e;
}

static int of_episode(const struct item *it, const char *episode) {
  struct value v, name = value_text(episode);
  return mark_episode(it, &v) && value_compare(&v, &name) == 0;
}

/* What the index says lies in a leaf does: else the file's index is not its table's. */
static int marked_open(struct session *s, struct patient *p, const struct met *m, int all, struct item *it) {
  int e = object_open_all(s, p, m->id, all, it);
  if (e != DMP_OK || (it->via == VIA_LEAF && object_leaf(p, (struct place){ it->cls, it->leaf, 0, it->circle }) == m->l)) return e;
  item_close(it);
  return record_fault(s->r, DMP_E_STATE_BAD, "dmp_object", m->id);
}

struct pool { const char *episode; int (*each)(void *ctx, struct item *it); void *ctx; };

static int take_pooled(void *ctx, struct item *it) {
  struct pool *q = ctx;
  return of_episode(it, q->episode) ? q->each(q->ctx, it) : DMP_OK;
}

int gather_episode(struct session *s, struct patient *p, const char *episode, int all, int (*each)(void *ctx, struct item *it), void *ctx) {
  const struct scan pool = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = all, .pool = 1 };
  struct value v = value_text(episode);
  struct marked a = { 0 };
  uint8_t name[16];
  mark_name(&v, name);
  int e = marked_leaves(s, p, name, &a);
  for (size_t i = 0; e == DMP_OK && i < a.n; i++) {
    struct item it;
    e = marked_open(s, p, &a.m[i], all, &it);
    if (e == DMP_E_NOT_FOUND) e = DMP_OK;             /* withheld */
    else if (e == DMP_OK) {
      if (of_episode(&it, episode)) e = each(ctx, &it);
      item_close(&it);
    }
  }
  free(a.m);
  return e == DMP_OK ? object_scan(s, p, &pool, take_pooled, &(struct pool){ episode, each, ctx }) : e;
}
