/* state.c: state boxes (see state.h). */
#include "state.h"
#include "access.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

static struct box_ad state_ad(const struct session *s, int64_t patient, const struct leaf *l) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_STATE, .table = IN_STATE, .id = patient, .loc = l->state_loc };
}

int state_get(struct session *s, int64_t patient, const struct leaf *l, struct state *out) {
  const uint8_t *p;
  size_t n;
  memset(out, 0, sizeof *out);
  sqlite3_stmt *st = record_stmt(s->r, STMT_STATE_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, l->state_loc, 16, SQLITE_STATIC);
  int rc = sqlite3_step(st), e = DMP_E_STATE_BAD;
  if (rc == SQLITE_ROW) {
    struct box_ad ad = state_ad(s, patient, l);
    out->row = sqlite3_column_int64(st, 0);
    e = session_open_box(s, l->key, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &p, &n);
    struct rd r = { p, n, 0 };
    if (e == DMP_OK) {
      out->seq = rd_u64(&r);
      out->count = rd_u64(&r);
      rd_copy(&r, out->sum, 16);
      rd_copy(&r, out->marks, 16);
      if (!rd_done(&r)) e = DMP_E_STATE_BAD;
    }
    if (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) e = DMP_E_STATE_BAD;
  } else if (rc != SQLITE_DONE) {
    e = record_sql_fault(s->r);
  }
  sqlite3_reset(st);
  return e == DMP_OK ? e : record_fault(s->r, e, "dmp_state", out->row);
}

int state_put(struct session *s, int64_t patient, const struct leaf *l, struct state *st) {
  struct buf plain = { 0 }, box = { 0 };
  struct box_ad ad = state_ad(s, patient, l);
  int fresh = st->row == 0;
  int e = fresh ? record_random_id(&st->row) : DMP_OK;
  st->seq++;
  buf_u64(&plain, st->seq);
  buf_u64(&plain, st->count);
  buf_put(&plain, st->sum, 16);
  buf_put(&plain, st->marks, 16);
  if (e == DMP_OK) e = plain.bad ? DMP_E_NOMEM : box_seal(s->r->suite, l->key, &ad, plain.p, plain.n, PAD_NONE, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, fresh ? STMT_STATE_PUT : STMT_STATE_SET, l->state_loc, &box, st->row);
  if (e == DMP_OK) e = access_note_row(s, IN_STATE, st->row, box.p, box.n);
  buf_free(&plain);
  buf_free(&box);
  return e;
}

int state_drop(struct session *s, const struct state *st) {
  sqlite3_stmt *q = record_stmt(s->r, STMT_STATE_DROP);
  if (q) sqlite3_bind_int64(q, 1, st->row);
  int e = record_run(s->r, q);
  return e == DMP_OK ? access_note_gone(s, IN_STATE, st->row) : e;
}

void state_term(struct state *st, struct leaf *l, int64_t object, uint64_t version, const uint8_t tag[16]) {
  uint8_t x[8 + 8 + 16] = { 0 }, t[16];
  le_put64(x, (uint64_t)object);
  le_put64(x + 8, version);
  if (tag) memcpy(x + 16, tag, 16);
  leaf_state_key(l);
  suite_prf_with(l->state_prf, x, sizeof x, t);
  for (int i = 0; i < 16; i++) st->sum[i] ^= t[i];
}

/* Shorter than what state_term hashes: no term of one sum is one of the other. */
void state_mark(struct state *st, struct leaf *l, int64_t object, int64_t mark) {
  uint8_t x[8 + 8], t[16];
  le_put64(x, (uint64_t)object);
  le_put64(x + 8, (uint64_t)mark);
  leaf_state_key(l);
  suite_prf_with(l->state_prf, x, sizeof x, t);
  for (int i = 0; i < 16; i++) st->marks[i] ^= t[i];
}

int state_marks_equal(const struct state *a, const struct state *b) { return a->count == b->count && suite_equal(a->marks, b->marks, 16); }

int state_equal(const struct state *a, const struct state *b) { return state_marks_equal(a, b) && suite_equal(a->sum, b->sum, 16); }
