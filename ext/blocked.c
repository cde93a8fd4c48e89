/* blocked.c: see blocked.h. */
#include "blocked.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const struct scan CHOICES = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };

int blocked_row(const struct item *it, struct value v[BLOCKED_VALUES]) {
  size_t count, used;
  memset(v, 0, BLOCKED_VALUES * sizeof *v);
  return it->c.table == ITEM_BLOCKED && row_get(it->c.row, it->c.row_len, v, BLOCKED_VALUES, &count, &used) == DMP_OK &&
         v[BLOCKED_WHO].type == VALUE_INT && v[BLOCKED_SINCE].type == VALUE_INT;
}

/* A block holds for whom the authority registers anew under the number of who was blocked. */
static int is_he(struct session *s, int64_t blocked, const uint8_t principal[16]) {
  uint8_t field[16];
  id_field(field, blocked);
  return memcmp(field, principal, 16) == 0 || directory_same_number(&s->dir, field, principal);
}

struct search { struct session *s; struct patient *p; int64_t principal, id; };

static int take(void *ctx, struct item *it) {
  struct search *q = ctx;
  struct value v[BLOCKED_VALUES];
  uint8_t field[16];
  id_field(field, q->principal);
  if (q->id == 0 && blocked_row(it, v) && is_he(q->s, v[BLOCKED_WHO].u.i, field) && object_trusted(q->s, q->p, it) == DMP_OK) q->id = it->id;
  return DMP_OK;
}

int blocked_find(struct session *s, struct patient *p, int64_t principal, int64_t *id) {
  struct search q = { s, p, principal, 0 };
  int e = object_scan(s, p, &CHOICES, take, &q);
  *id = q.id;
  return e;
}

struct everybody { struct session *s; struct patient *p; int64_t *who; size_t n; };

static int everybody_add(struct everybody *q, int64_t id) {
  int64_t *who = realloc(q->who, (q->n + 1) * sizeof *who);
  if (who == NULL) return DMP_E_NOMEM;
  q->who = who;
  who[q->n++] = id;
  return DMP_OK;
}

static int take_all(void *ctx, struct item *it) {
  struct everybody *q = ctx;
  struct value v[BLOCKED_VALUES];
  if (!blocked_row(it, v) || object_trusted(q->s, q->p, it) != DMP_OK) return DMP_OK;
  int e = everybody_add(q, v[BLOCKED_WHO].u.i);
  for (size_t i = 0; e == DMP_OK && i < q->s->dir.n; i++) {
    const struct certificate *c = &q->s->dir.all[i];
    if (c->serial == 0 && id_from_field(c->principal) != v[BLOCKED_WHO].u.i && is_he(q->s, v[BLOCKED_WHO].u.i, c->principal)) e = everybody_add(q, id_from_field(c->principal));
  }
  return e;
}

int blocked_all(struct session *s, struct patient *p, int64_t **who, size_t *n) {
  struct everybody q = { .s = s, .p = p };
  int e = object_scan(s, p, &CHOICES, take_all, &q);
  *who = q.who;
  *n = q.n;
  return e;
}

int blocked_add(struct session *s, struct patient *p, int64_t principal, int64_t *id) {
  const struct signer me = { s->cred, s->me.hash };
  const struct value v[BLOCKED_VALUES] = { value_int(principal), value_int(record_now()) };
  struct content c = { .table = ITEM_BLOCKED };
  struct buf row = { 0 };
  row_put(&row, v, BLOCKED_VALUES);
  c.row = row.p;
  c.row_len = row.n;
  *id = 0;
  int e = row.bad ? DMP_E_NOMEM : object_insert(s, p, &me, (struct place){ CLASS_CHOICES, 0, 0, 0 }, &c, NULL, id);
  buf_free(&row);
  return e;
}

int blocked_drop(struct session *s, struct patient *p, int64_t id) {
  struct item it;
  struct value v[BLOCKED_VALUES];
  int e = object_open(s, p, id, &it);
  if (e == DMP_OK) e = blocked_row(&it, v) ? object_drop(s, p, &it) : DMP_E_NOT_FOUND;
  item_close(&it);
  return e;
}
