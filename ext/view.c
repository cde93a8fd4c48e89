/* view.c: the list of minimal views, and their keys (see view.h). */
#include "view.h"
#include "access.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- ids ---- */

int ids_has(const struct ids *in, int64_t id) {
  for (size_t i = 0; i < in->n; i++)
    if (in->id[i] == id) return 1;
  return 0;
}

int ids_add(struct ids *to, int64_t id) {
  if (ids_has(to, id)) return DMP_OK;
  int64_t *p = realloc(to->id, (to->n + 1) * sizeof *p);
  if (p == NULL) return DMP_E_NOMEM;
  to->id = p;
  p[to->n++] = id;
  return DMP_OK;
}

void ids_free(struct ids *x) {
  free(x->id);
  *x = (struct ids){ 0 };
}

static int ids_parse(const struct value *v, struct ids *out) {
  struct rd r = { v->u.p, v->n, 0 };
  int e = v->type == VALUE_BLOB && v->n % 8 == 0 ? DMP_OK : DMP_E_ROW_FORMAT;
  while (e == DMP_OK && r.n > 0) e = ids_add(out, (int64_t)rd_u64(&r));
  return e;
}

static void ids_put(const struct ids *x, struct buf *b) {
  for (size_t i = 0; i < x->n; i++) buf_u64(b, (uint64_t)x->id[i]);
}

/* ---- the list ---- */

static void view_close(struct view *v) {
  ids_free(&v->items);
  ids_free(&v->others);
  bytes_wipe(v, sizeof *v);
}

void views_free(struct views *v) {
  for (size_t i = 0; i < v->n; i++) view_close(&v->v[i]);
  free(v->v);
  *v = (struct views){ 0 };
}

struct view *views_find(const struct views *v, int64_t id) {
  for (size_t i = 0; i < v->n; i++)
    if (v->v[i].id == id) return &v->v[i];
  return NULL;
}

int view_over(const struct view *v) { return v->ended == 0 && record_now() > v->until; }

void view_row(const struct view *v, struct buf *row) {
  struct buf items = { 0 }, others = { 0 };
  uint8_t log[96];
  ids_put(&v->items, &items);
  ids_put(&v->others, &others);
  memcpy(log, v->log_sk, 32);
  memcpy(log + 32, v->sign_pk, 32);
  memcpy(log + 64, v->box_pk, 32);
  const struct value value[VIEW_VALUES] = { value_int(v->since), value_int(v->until), value_int(v->ended),
    value_bytes(VALUE_BLOB, items.p, items.n), value_bytes(VALUE_BLOB, others.p, others.n), value_bytes(VALUE_BLOB, log, sizeof log),
    value_bytes(VALUE_BLOB, v->root, v->ended ? 0 : 32) };
  row_put(row, value, VIEW_VALUES);
  if (items.bad || others.bad) row->bad = 1;
  bytes_wipe(log, sizeof log);
  buf_free(&items);
  buf_free(&others);
}

static int view_parse(const struct item *it, struct view *out) {
  struct value v[VIEW_VALUES];
  size_t count, used;
  memset(v, 0, sizeof v);
  *out = (struct view){ .id = it->id };
  int e = row_get(it->c.row, it->c.row_len, v, VIEW_VALUES, &count, &used);
  for (int i = VIEW_SINCE; e == DMP_OK && i <= VIEW_ENDED; i++)
    if (v[i].type != VALUE_INT) e = DMP_E_ROW_FORMAT;
  if (e == DMP_OK && (v[VIEW_LOG].type != VALUE_BLOB || v[VIEW_LOG].n != 96)) e = DMP_E_ROW_FORMAT;
  if (e == DMP_OK && (v[VIEW_ROOT].type != VALUE_BLOB || v[VIEW_ROOT].n != (v[VIEW_ENDED].u.i ? 0 : 32))) e = DMP_E_ROW_FORMAT;
  if (e == DMP_OK) e = ids_parse(&v[VIEW_ITEMS], &out->items);
  if (e == DMP_OK) e = ids_parse(&v[VIEW_OTHERS], &out->others);
  if (e != DMP_OK) return e;
  out->since = v[VIEW_SINCE].u.i;
  out->until = v[VIEW_UNTIL].u.i;
  out->ended = v[VIEW_ENDED].u.i;
  memcpy(out->log_sk, v[VIEW_LOG].u.p, 32);
  memcpy(out->sign_pk, v[VIEW_LOG].u.p + 32, 32);
  memcpy(out->box_pk, v[VIEW_LOG].u.p + 64, 32);
  if (v[VIEW_ROOT].n) memcpy(out->root, v[VIEW_ROOT].u.p, 32);
  return DMP_OK;
}

struct listing { struct session *s; struct patient *p; struct views *out; };

static int take_view(void *ctx, struct item *it) {
  struct listing *q = ctx;
  if (it->c.table != ITEM_VIEW) return DMP_OK;
  int e = object_trusted(q->s, q->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;   /* forged: believed by nobody, named by dmp_verify */
  struct view *v = malloc((q->out->n + 1) * sizeof *v);        /* not realloc: the old copy holds keys */
  if (v == NULL) return DMP_E_NOMEM;
  if (q->out->n) memcpy(v, q->out->v, q->out->n * sizeof *v);
  if (q->out->n) bytes_wipe(q->out->v, q->out->n * sizeof *v);
  free(q->out->v);
  q->out->v = v;
  e = view_parse(it, &v[q->out->n]);
  if (e == DMP_OK) q->out->n++;
  else view_close(&v[q->out->n]);
  return e;
}

int views_read(struct session *s, struct patient *p, struct views *out) {
  const struct scan w = { .first = CLASS_IDENTITY, .last = CLASS_IDENTITY };
  struct listing q = { s, p, out };
  *out = (struct views){ 0 };
  int e = p->id == s->principal ? object_scan(s, p, &w, take_view, &q) : DMP_OK;
  if (e != DMP_OK) views_free(out);
  return e;
}

int views_owed(struct session *s, struct patient *p, size_t *n) {
  struct views v;
  int e = views_read(s, p, &v);
  *n = 0;
  for (size_t i = 0; i < v.n; i++) *n += (size_t)view_over(&v.v[i]);
  views_free(&v);
  return e;
}

/* ---- keys ---- */

void view_credential(const uint8_t root[32], const struct credential *like, int64_t patient, struct credential *out) {
  memset(out, 0, sizeof *out);
  suite_kdf_text(root, "view seed", out->seed);
  id_field(out->principal, patient);
  memcpy(out->record, like->record, 16);
  memcpy(out->authority, like->authority, 64);
  memcpy(out->directory, like->directory, 32);
  credential_derive(out);
}

/* P and M of every class, one after the other, as the map orders them. */
static void view_entries(const uint8_t root[32], struct grant *g) {
  const uint16_t *ids;
  size_t n = rights_classes(&ids);
  uint8_t x[8 + 2 + 1];
  memcpy(x, "view key", 8);
  for (size_t i = 0; i < n; i++)
    for (uint8_t which = WHICH_P; which <= WHICH_M; which++) {
      struct entry *en = &g->entry[g->count++];
      x[8] = (uint8_t)ids[i];
      x[9] = (uint8_t)(ids[i] >> 8);
      x[10] = which;
      en->cls = ids[i];
      en->which = which;
      suite_kdf(root, x, sizeof x, en->key);
    }
}

void view_patient(const struct patient *p, const uint8_t root[32], struct patient *out) {
  memset(out, 0, sizeof *out);
  out->id = out->g.patient = p->id;
  out->g.slot = p->g.slot;
  out->g.kind = GRANT_ACTIVE;
  out->g.basis = BASIS_VIEW;
  suite_kdf_text(root, "view y", out->g.y);
  memcpy(out->g.patient_cert, p->g.patient_cert, 32);
  memcpy(out->anchor, p->anchor, 32);
  patient_yk(out->g.y, out->anchor, out->yk);
  suite_prf(out->yk, "deposit", 7, out->deposit_loc);
  view_entries(root, &out->g);
}

void view_writer_tag(const uint8_t directory_key[32], const uint8_t sign_pk[32], uint8_t tag[16]) {
  struct certificate who = { .flags = 0 };            /* its principal: the first half of the key */
  memcpy(who.principal, sign_pk, 16);
  access_writer_tag(directory_key, &who, tag);
}
