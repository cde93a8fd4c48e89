/* item.c: the layouts of a sealed item (see item.h). */
#include "item.h"
#include <stdlib.h>
#include <string.h>

static const char OBJECT_LABEL[] = "dmp-object-1", AMEND_LABEL[] = "dmp-amend-1";

static void content_write(const struct content *c, struct buf *b) {
  buf_u16(b, c->table);
  buf_u8(b, c->flags);
  buf_u32(b, c->version);
  buf_u64(b, (uint64_t)c->patient);
  buf_put(b, c->depositor, 16);
  buf_put(b, c->depositor_cert, 32);
  buf_u64(b, (uint64_t)c->wrap_row);
  buf_put(b, c->wrap_loc, 16);
  buf_u64(b, c->body_size);
  buf_put(b, c->body_root, 32);
  buf_u32(b, (uint32_t)c->row_len);
  buf_put(b, c->row, c->row_len);
}

/* H(label, record, object id, content): what the depositor signs. */
static void content_digest(const uint8_t record[16], int64_t object, const uint8_t *content, size_t n, uint8_t out[SUITE_HASH]) {
  struct suite_hash h;
  uint8_t id[8];
  le_put64(id, (uint64_t)object);
  suite_hash_start(&h);
  suite_hash_add(&h, OBJECT_LABEL, sizeof OBJECT_LABEL - 1);
  suite_hash_add(&h, record, 16);
  suite_hash_add(&h, id, 8);
  suite_hash_add(&h, content, n);
  suite_hash_end(&h, out);
}

int item_write(const uint8_t record[16], int64_t object, const struct content *c, const uint8_t signer_sk[64], struct buf *out) {
  uint8_t digest[SUITE_HASH], sig[SUITE_SIG];
  size_t at = out->n;
  buf_u32(out, 0);
  content_write(c, out);
  if (out->bad) return DMP_E_NOMEM;
  size_t n = out->n - at - 4;
  le_put32(out->p + at, (uint32_t)n);
  content_digest(record, object, out->p + at + 4, n, digest);
  suite_sign(signer_sk, digest, sizeof digest, sig);
  buf_put(out, sig, SUITE_SIG);
  buf_u16(out, 0);
  return out->bad ? DMP_E_NOMEM : DMP_OK;
}

int item_parse(struct item *it) {
  struct rd all = { it->plain.p, it->plain.n, 0 };
  size_t n = rd_u32(&all);
  const uint8_t *content = rd_bytes(&all, n);
  it->signature = rd_bytes(&all, SUITE_SIG);
  if (all.bad) return DMP_E_ROW_FORMAT;
  it->folds = all.p;
  it->fold_len = all.n;
  size_t folds = rd_u16(&all);
  if (all.bad || all.n != folds * FOLD_BYTES) return DMP_E_ROW_FORMAT;
  struct rd r = { content, n, 0 };
  struct content *c = &it->c;
  c->table = rd_u16(&r);
  c->flags = rd_u8(&r);
  c->version = rd_u32(&r);
  c->patient = (int64_t)rd_u64(&r);
  rd_copy(&r, c->depositor, 16);
  rd_copy(&r, c->depositor_cert, 32);
  c->wrap_row = (int64_t)rd_u64(&r);
  rd_copy(&r, c->wrap_loc, 16);
  c->body_size = rd_u64(&r);
  rd_copy(&r, c->body_root, 32);
  c->row_len = rd_u32(&r);
  c->row = rd_bytes(&r, c->row_len);
  return rd_done(&r) ? DMP_OK : DMP_E_ROW_FORMAT;
}

int item_signed(const uint8_t record[16], const struct item *it, const uint8_t signer_pk[32]) {
  uint8_t digest[SUITE_HASH];
  content_digest(record, it->id, it->plain.p + 4, le_get32(it->plain.p), digest);
  return suite_verify(signer_pk, digest, sizeof digest, it->signature) == DMP_OK ? DMP_OK : DMP_E_SIGNATURE;
}

/* "dmp-amend-1" ‖ record ‖ patient ‖ object ‖ content version ‖ action ‖ at */
enum { AMEND_OVER = sizeof AMEND_LABEL - 1 + 16 + 8 + 8 + 4 + 1 + 8 };
static void amend_over(const uint8_t record[16], const struct item *it, uint8_t action, int64_t at, uint8_t out[AMEND_OVER]) {
  uint8_t *p = out;
  memcpy(p, AMEND_LABEL, sizeof AMEND_LABEL - 1);
  p += sizeof AMEND_LABEL - 1;
  memcpy(p, record, 16);
  le_put64(p + 16, (uint64_t)it->c.patient);
  le_put64(p + 24, (uint64_t)it->id);
  le_put32(p + 32, it->c.version);
  p[36] = action;
  le_put64(p + 37, (uint64_t)at);
}

void item_amend_write(const uint8_t record[16], const struct item *it, uint8_t action, int64_t at, const uint8_t signer_sk[64], struct buf *out) {
  uint8_t over[AMEND_OVER], sig[SUITE_SIG];
  amend_over(record, it, action, at, over);
  suite_sign(signer_sk, over, sizeof over, sig);
  buf_u8(out, action);
  buf_u64(out, (uint64_t)at);
  buf_u32(out, it->c.version);
  buf_put(out, sig, SUITE_SIG);
}

int item_amend_lawful(const uint8_t record[16], const struct item *it, uint8_t action, int64_t at, const uint8_t *sig,
                      const uint8_t signer_pk[32]) {
  uint8_t over[AMEND_OVER];
  amend_over(record, it, action, at, over);
  return suite_verify(signer_pk, over, sizeof over, sig) == DMP_OK;
}

void item_fold(const struct item *it, uint8_t action, int64_t at, const uint8_t sig[SUITE_SIG], struct buf *out) {
  struct rd r = { it->folds, it->fold_len, 0 };
  uint16_t n = rd_u16(&r);
  buf_put(out, it->plain.p, it->plain.n - it->fold_len);
  buf_u16(out, (uint16_t)(n + (sig != NULL)));
  buf_put(out, r.p, r.n);
  if (sig == NULL) return;
  buf_u8(out, action);
  buf_u64(out, (uint64_t)at);
  buf_put(out, sig, SUITE_SIG);
}

void item_wrap_write(const struct item *it, uint8_t out[WRAP_BYTES]) {
  memcpy(out, it->header_key, 32);
  memcpy(out + 32, it->body_key, 32);
  le_put64(out + 64, (uint64_t)it->id);
  le_put64(out + 72, it->minimum);
}

int item_wrap_parse(const uint8_t *p, size_t n, struct item *it) {
  if (n != WRAP_BYTES) return DMP_E_TAMPERED;
  memcpy(it->header_key, p, 32);
  memcpy(it->body_key, p + 32, 32);
  it->id = (int64_t)le_get64(p + 64);
  it->minimum = le_get64(p + 72);
  return DMP_OK;
}

void item_close(struct item *it) {
  bytes_wipe(it->header_key, 32);
  bytes_wipe(it->body_key, 32);
  buf_free(&it->plain);
  buf_free(&it->amend);
}

int items_take(struct items *to, struct item *it) {
  if ((to->n & (to->n - 1)) == 0) {                   /* full at each power of two */
    struct item *more = malloc((to->n ? 2 * to->n : 1) * sizeof *more);   /* not realloc: the old copy holds keys */
    if (more == NULL) return DMP_E_NOMEM;
    if (to->n) memcpy(more, to->it, to->n * sizeof *more);
    if (to->n) bytes_wipe(to->it, to->n * sizeof *more);
    free(to->it);
    to->it = more;
  }
  to->it[to->n++] = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

void items_free(struct items *x) {
  for (size_t i = 0; i < x->n; i++) item_close(&x->it[i]);
  free(x->it);
  *x = (struct items){ 0 };
}

int item_hidden_meant(const struct item *it) {
  return (it->c.flags & ITEM_HIDDEN) || ((it->c.flags & ITEM_INVISIBLE) && !it->announced);
}
