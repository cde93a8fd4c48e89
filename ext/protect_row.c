/* protect_row.c: rows of protected tables as boxes, values as keyed indexes (see protect_row.h). */
#include "protect_row.h"
#include "random.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

/* The subkey serves one block of 65,536 rows: a key seals at most 2^31 boxes, however often rows are rewritten. */
static void sub_ready(const struct protect *p, const uint8_t key[32], struct protect_sub *sub, int64_t rowid) {
  uint8_t x[8 + 8], k[32];
  int64_t block = rowid >> 16;
  if (sub->ready && sub->block == block) return;
  le_put64(x, (uint64_t)p->id);
  le_put64(x + 8, (uint64_t)block);
  suite_kdf(key, x, sizeof x, k);
  suite_prf(k, "row", 3, sub->loc);
  suite_key_set(&sub->key, k);
  bytes_wipe(k, sizeof k);
  sub->block = block;
  sub->ready = 1;
}

static struct box_ad row_ad(const struct session *s, const struct protect_sub *sub, int64_t rowid) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_PROTECTED, .table = IN_PRACTICE, .id = rowid, .loc = sub->loc };
}

void protect_nonces_drop(struct protect_keys *k) { k->live_sub.drawn = k->live_sub.left = 0; }

/* Asking the system costs as much as sealing a short row, so each time twice as many are asked for; a lone row asks for its own. */
static int nonce_next(struct protect_sub *sub, size_t bytes, const uint8_t **nonce) {
  if (sub->left == 0) {
    sub->drawn = sub->drawn == 0 ? 1 : sub->drawn < PROTECT_NONCES ? 2 * sub->drawn : PROTECT_NONCES;
    int e = random_bytes("nonce", sub->nonce, sub->drawn * bytes);
    if (e != DMP_OK) return e;
    sub->left = sub->drawn;
  }
  *nonce = sub->nonce + --sub->left * bytes;
  return DMP_OK;
}

int protect_seal(struct session *s, const struct protect *p, struct protect_keys *k, int64_t rowid, const struct buf *row, struct buf *box) {
  const uint8_t *nonce;
  sub_ready(p, k->live, &k->live_sub, rowid);
  struct box_ad ad = row_ad(s, &k->live_sub, rowid);
  buf_reset(box);
  int e = row->bad ? DMP_E_NOMEM : nonce_next(&k->live_sub, suite_nonce_bytes(s->r->suite), &nonce);
  return e == DMP_OK ? box_seal_with(s->r->suite, &k->live_sub.key, &ad, row->p, row->n, PAD_PADME, nonce, box) : e;
}

static int open_under(struct session *s, const struct protect *p, const uint8_t key[32], struct protect_sub *sub, int64_t rowid,
                      const void *box, size_t n, struct buf *scratch, const uint8_t **row, size_t *len) {
  sub_ready(p, key, sub, rowid);
  struct box_ad ad = row_ad(s, sub, rowid);
  return box_open_with(&sub->key, &ad, box, n, scratch, row, len);
}

int protect_open(struct session *s, const struct protect *p, struct protect_keys *k, int64_t rowid, const void *box, size_t n,
                 struct buf *scratch, const uint8_t **row, size_t *len) {
  int e = open_under(s, p, k->live, &k->live_sub, rowid, box, n, scratch, row, len);
  if (e != DMP_E_TAMPERED || suite_is_zero(p->old_kid, 16) || rowid <= p->turned) return e;
  return open_under(s, p, k->old, &k->old_sub, rowid, box, n, scratch, row, len);
}

/* ---- keyed indexes ---- */

/* A text as its collation compares it: RTRIM leaves blanks at the end out; NOCASE takes A to Z for a to z, and of what stands
 * behind a NUL only the length counts. */
static void index_text(const struct pcol *c, const uint8_t *p, size_t n, struct buf *b) {
  size_t stop = n;
  if (sqlite3_stricmp(c->coll, "RTRIM") == 0)
    while (n > 0 && p[n - 1] == ' ') n--;
  if (sqlite3_stricmp(c->coll, "NOCASE") != 0) {
    buf_put(b, p, n);
    return;
  }
  buf_u32(b, (uint32_t)n);
  const uint8_t *nul = n ? memchr(p, 0, n) : NULL;
  if (nul) stop = (size_t)(nul - p);
  for (size_t i = 0; i < stop; i++) buf_u8(b, p[i] >= 'A' && p[i] <= 'Z' ? (uint8_t)(p[i] | 0x20) : p[i]);
}

/* Equal values give equal bytes: 1 and 1.0 are one number, and so are 0 and -0.0. */
static void index_value(const struct pcol *c, const struct value *x, struct buf *b) {
  struct value v = *x;
  if (v.type == VALUE_REAL && v.u.r >= -0x1p63 && v.u.r < 0x1p63 && (double)(int64_t)v.u.r == v.u.r) v = value_int((int64_t)v.u.r);
  buf_u8(b, v.type);
  switch (v.type) {
    case VALUE_INT: buf_u64(b, (uint64_t)v.u.i); break;
    case VALUE_REAL: buf_put(b, &v.u.r, sizeof v.u.r); break;
    case VALUE_TEXT: index_text(c, v.u.p, v.n, b); break;
    default: buf_put(b, v.u.p, v.n);
  }
}

static void ix_ready(const struct protect *p, const uint8_t key[32], uint32_t column, struct protect_ix *ix) {
  uint8_t label[8 + 5 + 4], sub[32];
  if (ix->ready) return;
  le_put64(label, (uint64_t)p->id);
  memcpy(label + 8, "index", 5);
  le_put32(label + 13, column);
  suite_kdf(key, label, sizeof label, sub);
  suite_prf_key(sub, ix->key);
  bytes_wipe(sub, sizeof sub);
  ix->ready = 1;
}

int protect_index(const struct protect *p, const uint8_t key[32], struct protect_ix *ix, uint32_t column, const struct value *x, uint8_t out[SUITE_PRF]) {
  struct protect_ix own = { 0 };
  struct buf b = { 0 };
  if (ix == NULL) ix = &own;
  ix_ready(p, key, column, ix);
  index_value(&p->c[column], x, &b);
  if (!b.bad) suite_prf_with(ix->key, b.p, b.n, out);
  int e = b.bad ? DMP_E_NOMEM : DMP_OK;
  bytes_wipe(&own, sizeof own);
  buf_free(&b);
  return e;
}
