/* hosting.c: who stores the file (see hosting.h). */
#include "hosting.h"
#include "access.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const uint8_t MAGIC[4] = { 'd', 'm', 'p', 'h' };
static const char LABEL[] = "dmp-hosting-1";

/* ---- layout ---- */

static void put_text(struct buf *b, const char *text) {
  size_t n = strlen(text);
  buf_u16(b, (uint16_t)n);
  buf_put(b, text, n);
}

static int take(struct rd *r, char *to, size_t room) {
  size_t n = rd_u16(r);
  const uint8_t *text = rd_bytes(r, n);
  if (text == NULL || n >= room || memchr(text, 0, n)) return 0;
  memcpy(to, text, n);
  to[n] = 0;
  return 1;
}

static void signed_bytes(const uint8_t record[16], const uint8_t *p, size_t n, struct buf *over) {
  buf_put(over, LABEL, sizeof LABEL - 1);
  buf_put(over, record, 16);
  buf_put(over, p, n);
}

void hosting_write(const uint8_t record[16], struct hosting *h, const uint8_t sk[64], struct buf *out) {
  struct buf over = { 0 };
  uint8_t sig[SUITE_SIG];
  buf_reset(out);
  buf_put(out, MAGIC, 4);
  buf_u8(out, 1);
  buf_u32(out, h->seq);
  buf_u64(out, (uint64_t)h->recorded);
  buf_put(out, h->previous, 32);
  put_text(out, h->name);
  put_text(out, h->operator);
  put_text(out, h->place);
  put_text(out, h->since);
  signed_bytes(record, out->p, out->n, &over);
  if (over.bad || out->bad) {
    out->bad = 1;
  } else {
    suite_sign(sk, over.p, over.n, sig);
    buf_put(out, sig, SUITE_SIG);
  }
  if (!out->bad) suite_hash(out->p, out->n, h->hash, 32);
  buf_free(&over);
}

int hosting_parse(const uint8_t *p, size_t n, struct hosting *h) {
  struct rd r = { p, n, 0 };
  memset(h, 0, sizeof *h);
  const uint8_t *magic = rd_bytes(&r, 4);
  if (magic == NULL || memcmp(magic, MAGIC, 4) != 0) return DMP_E_ROW_FORMAT;
  if (rd_u8(&r) != 1) return DMP_E_ROW_FORMAT;
  h->seq = rd_u32(&r);
  h->recorded = (int64_t)rd_u64(&r);
  rd_copy(&r, h->previous, 32);
  if (!take(&r, h->name, sizeof h->name) || !take(&r, h->operator, sizeof h->operator) || !take(&r, h->place, sizeof h->place) ||
      !take(&r, h->since, sizeof h->since))
    return DMP_E_ROW_FORMAT;
  rd_bytes(&r, SUITE_SIG);
  if (!rd_done(&r)) return DMP_E_ROW_FORMAT;
  suite_hash(p, n, h->hash, 32);
  return DMP_OK;
}

int hosting_signed(const uint8_t record[16], const uint8_t *p, size_t n, const uint8_t pk[32]) {
  struct buf over = { 0 };
  if (n < SUITE_SIG) return DMP_E_SIGNATURE;
  signed_bytes(record, p, n - SUITE_SIG, &over);
  int e = over.bad ? DMP_E_NOMEM : suite_verify(pk, over.p, over.n, p + n - SUITE_SIG) == DMP_OK ? DMP_OK : DMP_E_SIGNATURE;
  buf_free(&over);
  return e;
}

/* ---- where they lie ---- */

static void hosting_loc(const struct session *s, uint8_t loc[16]) { suite_prf(s->cred->directory, "hosting", 7, loc); }

static struct box_ad hosting_ad(const struct session *s, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = row, .loc = loc };
}

void hosting_free(struct hostings *h) {
  free(h->h);
  *h = (struct hostings){ 0 };
}

/* Everybody registered can write such a box: one that the authority did not sign is passed over. */
static int take_row(struct session *s, sqlite3_stmt *st, const uint8_t loc[16], struct hostings *out) {
  const uint8_t *p;
  size_t n;
  struct box_ad ad = hosting_ad(s, sqlite3_column_int64(st, 0), loc);
  struct hosting *h = realloc(out->h, (out->n + 1) * sizeof *h);
  if (h == NULL) return DMP_E_NOMEM;
  out->h = h;
  int e = session_open_box(s, s->cred->directory, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &p, &n);
  if (e == DMP_OK) e = hosting_parse(p, n, &h[out->n]);
  if (e == DMP_OK) e = hosting_signed(s->r->id, p, n, s->cred->authority);
  if (e == DMP_OK) out->n++;
  else if (e != DMP_E_NOMEM) out->broken = 1;
  return e == DMP_E_NOMEM ? e : DMP_OK;
}

static int by_seq(const void *a, const void *b) {
  const struct hosting *x = a, *y = b;
  return (x->seq > y->seq) - (x->seq < y->seq);
}

int hosting_read(struct session *s, struct hostings *out) {
  static const uint8_t none[32];
  uint8_t loc[16];
  *out = (struct hostings){ 0 };
  hosting_loc(s, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc = SQLITE_DONE, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) e = take_row(s, st, loc, out);
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  if (out->n > 1) qsort(out->h, out->n, sizeof *out->h, by_seq);
  for (size_t i = 0; i < out->n; i++)
    if (out->h[i].seq != i || memcmp(out->h[i].previous, i ? out->h[i - 1].hash : none, 32) != 0) out->broken = 1;
  return e;
}

int hosting_add(struct session *s, struct hosting *h) {
  struct hostings all;
  struct buf plain = { 0 }, box = { 0 };
  uint8_t loc[16];
  int64_t row = 0;
  if (s->me.kind != KIND_AUTHORITY) return DMP_E_NOT_ALLOWED;
  int e = hosting_read(s, &all);
  const struct hosting *last = e == DMP_OK && all.n ? &all.h[all.n - 1] : NULL;
  if (last && strcmp(last->name, h->name) == 0 && strcmp(last->operator, h->operator) == 0 && strcmp(last->place, h->place) == 0) e = DMP_E_DUPLICATE;
  h->seq = last ? last->seq + 1 : 0;
  h->recorded = record_now();
  if (last) memcpy(h->previous, last->hash, 32);
  hosting_free(&all);
  if (e == DMP_OK) hosting_write(s->r->id, h, s->cred->sign_sk, &plain);
  if (e == DMP_OK) e = plain.bad ? DMP_E_NOMEM : record_random_id(&row);
  hosting_loc(s, loc);
  struct box_ad ad = hosting_ad(s, row, loc);
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, s->cred->directory, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_CERT_PUT, loc, &box, row);
  if (e == DMP_OK) e = access_pend(s, NULL, LOG_HOSTING, 0, 0, NULL);
  buf_free(&plain);
  buf_free(&box);
  return e;
}
