/* certificate.c: certificates, requests and the directory (see certificate.h). */
#include "certificate.h"
#include "box.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const uint8_t MAGIC[4] = { 'd', 'm', 'p', 'c' };
static const char LABEL[] = "dmp-certificate-1", REQUEST_LABEL[] = "dmp-request-1", REQUEST_TEXT[] = "dmp-request-1.";
static const char *const KINDS[] = { [KIND_AUTHORITY] = "authority", [KIND_PROFESSIONAL] = "professional", [KIND_STAFF] = "staff",
                                     [KIND_TEAM] = "team", [KIND_PATIENT] = "patient", [KIND_REPRESENTATIVE] = "representative",
                                     [KIND_SOURCE] = "source", [KIND_EMERGENCY] = "emergency", [KIND_GUARDIAN] = "guardian" };
enum { SIGNATURES = 3 * SUITE_SIG };

const char *certificate_kind_text(unsigned kind) {
  return kind < sizeof KINDS / sizeof *KINDS && KINDS[kind] ? KINDS[kind] : "unknown";
}

int certificate_kind_of(const char *text) {
  for (unsigned k = 1; k < sizeof KINDS / sizeof *KINDS; k++)
    if (strcmp(KINDS[k], text) == 0) return (int)k;
  return 0;
}

/* What is signed: the label and everything before the authority's signature. */
static int signed_bytes(struct buf *b, const uint8_t *p, size_t n) {
  buf_put(b, LABEL, sizeof LABEL - 1);
  buf_put(b, p, n);
  return b->bad ? DMP_E_NOMEM : DMP_OK;
}

static void put_tlv(struct buf *b, uint8_t tag, const char *text) {
  size_t n = strlen(text);
  if (n == 0) return;
  buf_u8(b, tag);
  buf_u16(b, (uint16_t)n);
  buf_put(b, text, n);
}

int certificate_write(struct certificate *c, const uint8_t issuer_sk[64], struct buf *out) {
  struct buf tlv = { 0 }, sig_over = { 0 };
  put_tlv(&tlv, TLV_IDENTIFIER, c->identifier);
  put_tlv(&tlv, TLV_NAME, c->name);
  put_tlv(&tlv, TLV_SPECIALTY, c->specialty);
  put_tlv(&tlv, TLV_FACILITY, c->facility);
  if (!suite_is_zero(c->identity, 32)) {
    buf_u8(&tlv, TLV_IDENTITY);
    buf_u16(&tlv, 32);
    buf_put(&tlv, c->identity, 32);
  }
  int e = tlv.bad ? DMP_E_NOMEM : tlv.n > CERT_TLV_MAX ? DMP_E_TOO_BIG : DMP_OK;
  if (e != DMP_OK) goto out;
  buf_reset(out);
  buf_put(out, MAGIC, 4);
  buf_u8(out, 1);
  buf_u8(out, c->kind);
  buf_u8(out, c->status);
  buf_u8(out, c->rights);
  buf_u32(out, c->serial);
  buf_u32(out, c->log_index);
  buf_put(out, c->principal, 16);
  buf_put(out, c->sign_pk, 32);
  buf_put(out, c->box_pk, 32);
  buf_u64(out, (uint64_t)c->not_before);
  buf_u64(out, (uint64_t)c->not_after);
  buf_put(out, c->record, 16);
  buf_u16(out, c->profession);
  buf_u16(out, c->flags);
  buf_put(out, c->issuer, 32);
  buf_put(out, c->previous, 32);
  buf_put(out, c->log_previous, 32);
  buf_u16(out, (uint16_t)tlv.n);
  buf_put(out, tlv.p, tlv.n);
  buf_zero(out, SUITE_SIG);                           /* continuity: serial 0 has no predecessor */
  if (out->bad) e = DMP_E_NOMEM;
  else e = signed_bytes(&sig_over, out->p, out->n);
  if (e != DMP_OK) goto out;
  uint8_t sig[SUITE_SIG];
  suite_sign(issuer_sk, sig_over.p, sig_over.n, sig);
  buf_put(out, sig, SUITE_SIG);
  buf_zero(out, SUITE_SIG);
  e = out->bad ? DMP_E_NOMEM : DMP_OK;
  if (e == DMP_OK) suite_hash(out->p, out->n, c->hash, 32);
out:
  buf_free(&tlv);
  buf_free(&sig_over);
  return e;
}

static int take_tlv(struct certificate *c, const uint8_t *p, size_t n) {
  struct rd r = { p, n, 0 };
  while (r.n > 0) {
    uint8_t tag = rd_u8(&r);
    size_t len = rd_u16(&r);
    const uint8_t *text = rd_bytes(&r, len);
    if (tag == TLV_IDENTITY && text && len == 32) {
      memcpy(c->identity, text, 32);
      continue;
    }
    char *to = tag == TLV_IDENTIFIER ? c->identifier : tag == TLV_NAME ? c->name : tag == TLV_SPECIALTY ? c->specialty
             : tag == TLV_FACILITY ? c->facility : NULL;
    if (r.bad || to == NULL || len >= CERT_TEXT || *to) return DMP_E_CERT_BAD;
    memcpy(to, text, len);
    to[len] = 0;
  }
  return DMP_OK;
}

int certificate_parse(const uint8_t *p, size_t n, struct certificate *c) {
  struct rd r = { p, n, 0 };
  memset(c, 0, sizeof *c);
  const uint8_t *magic = rd_bytes(&r, 4);
  if (magic == NULL || memcmp(magic, MAGIC, 4) != 0) return DMP_E_CERT_BAD;
  if (rd_u8(&r) != 1) return DMP_E_LATER;
  c->kind = rd_u8(&r);
  c->status = rd_u8(&r);
  c->rights = rd_u8(&r);
  c->serial = rd_u32(&r);
  c->log_index = rd_u32(&r);
  rd_copy(&r, c->principal, 16);
  rd_copy(&r, c->sign_pk, 32);
  rd_copy(&r, c->box_pk, 32);
  c->not_before = (int64_t)rd_u64(&r);
  c->not_after = (int64_t)rd_u64(&r);
  rd_copy(&r, c->record, 16);
  c->profession = rd_u16(&r);
  c->flags = rd_u16(&r);
  rd_copy(&r, c->issuer, 32);
  rd_copy(&r, c->previous, 32);
  rd_copy(&r, c->log_previous, 32);
  size_t m = rd_u16(&r);
  const uint8_t *tlv = rd_bytes(&r, m);
  const uint8_t *continuity = rd_bytes(&r, SUITE_SIG);
  rd_bytes(&r, SUITE_SIG);
  const uint8_t *second = rd_bytes(&r, SUITE_SIG);
  if (!rd_done(&r) || m > CERT_TLV_MAX) return DMP_E_CERT_BAD;
  if (c->serial != 0 || !suite_is_zero(continuity, SUITE_SIG) || !suite_is_zero(second, SUITE_SIG) ||
      !suite_is_zero(c->previous, 32) || c->status != 0)
    return DMP_E_LATER;
  suite_hash(p, n, c->hash, 32);
  return take_tlv(c, tlv, m);
}

int certificate_signed(const uint8_t *p, size_t n, const uint8_t issuer_pk[32]) {
  struct buf b = { 0 };
  if (n < SIGNATURES) return DMP_E_CERT_BAD;
  int e = signed_bytes(&b, p, n - 2 * SUITE_SIG);
  if (e == DMP_OK && suite_verify(issuer_pk, b.p, b.n, p + n - 2 * SUITE_SIG) != DMP_OK) e = DMP_E_CERT_BAD;
  buf_free(&b);
  return e;
}

int certificate_request(const uint8_t principal[16], const uint8_t sign_pk[32], const uint8_t sign_sk[64], const uint8_t box_pk[32],
                        char **out) {
  uint8_t body[16 + 32 + 32 + SUITE_SIG], over[sizeof REQUEST_LABEL - 1 + 80];
  memcpy(body, principal, 16);
  memcpy(body + 16, sign_pk, 32);
  memcpy(body + 48, box_pk, 32);
  memcpy(over, REQUEST_LABEL, sizeof REQUEST_LABEL - 1);
  memcpy(over + sizeof REQUEST_LABEL - 1, body, 80);
  suite_sign(sign_sk, over, sizeof over, body + 80);
  *out = sqlite3_malloc64(sizeof REQUEST_TEXT + 2 * sizeof body);
  if (*out == NULL) return DMP_E_NOMEM;
  memcpy(*out, REQUEST_TEXT, sizeof REQUEST_TEXT - 1);
  bytes_to_hex(body, sizeof body, *out + sizeof REQUEST_TEXT - 1);
  return DMP_OK;
}

int certificate_read_request(const char *text, uint8_t principal[16], uint8_t sign_pk[32], uint8_t box_pk[32]) {
  uint8_t body[16 + 32 + 32 + SUITE_SIG], over[sizeof REQUEST_LABEL - 1 + 80];
  const size_t head = sizeof REQUEST_TEXT - 1;
  if (strlen(text) != head + 2 * sizeof body || memcmp(text, REQUEST_TEXT, head) != 0) return DMP_E_REQUEST;
  if (bytes_hex(text + head, sizeof body, body) != 0) return DMP_E_REQUEST;
  memcpy(over, REQUEST_LABEL, sizeof REQUEST_LABEL - 1);
  memcpy(over + sizeof REQUEST_LABEL - 1, body, 80);
  if (suite_verify(body + 16, over, sizeof over, body + 80) != DMP_OK) return DMP_E_REQUEST;
  memcpy(principal, body, 16);
  memcpy(sign_pk, body + 16, 32);
  memcpy(box_pk, body + 48, 32);
  return id_from_field(principal) > 0 ? DMP_OK : DMP_E_REQUEST;
}

void certificate_fingerprint(const uint8_t sign_pk[32], char out[FINGERPRINT_TEXT]) {
  uint8_t h[16];
  char hex[33];
  suite_hash(sign_pk, 32, h, 16);
  bytes_to_hex(h, 16, hex);
  for (int i = 0, o = 0; i < 32; i++) {
    if (i && i % 4 == 0) out[o++] = '-';
    out[o++] = hex[i];
    out[o] = 0;
  }
}

int certificate_fingerprint_matches(const uint8_t sign_pk[32], const char *text) {
  char want[FINGERPRINT_TEXT];
  certificate_fingerprint(sign_pk, want);
  const char *w = want;
  for (; *text; text++) {
    if (*text == '-' || isspace((unsigned char)*text)) continue;
    if (*w == '-') w++;
    if (*w == 0 || tolower((unsigned char)*text) != *w++) return 0;
  }
  return *w == 0;
}

/* ---- the directory ---- */

static void directory_loc(const uint8_t d[32], uint8_t loc[16]) { suite_prf(d, "directory", 9, loc); }

static struct box_ad directory_ad(const struct record *r, int64_t id, const uint8_t *loc) {
  return (struct box_ad){ .record = r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = id, .loc = loc };
}

void directory_free(struct directory *dir) {
  for (size_t i = 0; i < dir->n; i++) buf_free(&dir->all[i].raw);
  free(dir->all);
  dir->all = NULL;
  dir->n = 0;
}

static int directory_grow(struct directory *dir) {
  struct certificate *all = realloc(dir->all, (dir->n + 1) * sizeof *all);
  if (all == NULL) return DMP_E_NOMEM;
  dir->all = all;
  return DMP_OK;
}

static int by_log_index(const void *a, const void *b) {
  const struct certificate *x = a, *y = b;
  return (x->log_index > y->log_index) - (x->log_index < y->log_index);
}

/* The log of certificates: indices without gaps, each naming the hash of the one before. */
static int directory_chain(struct record *r, struct directory *dir) {
  for (size_t i = 0; i < dir->n; i++) {
    const struct certificate *c = &dir->all[i];
    int good = c->log_index == i && memcmp(c->record, r->id, 16) == 0 &&
               (i == 0 ? suite_is_zero(c->log_previous, 32) : memcmp(c->log_previous, dir->all[i - 1].hash, 32) == 0);
    if (!good) return DMP_E_CERT_BAD;
  }
  return DMP_OK;
}

static int directory_row(struct record *r, const uint8_t d[32], const uint8_t loc[16], sqlite3_stmt *st, struct directory *dir) {
  struct buf scratch = { 0 };
  const uint8_t *p;
  size_t n;
  struct box_ad ad = directory_ad(r, sqlite3_column_int64(st, 0), loc);
  int e = box_open(d, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &scratch, &p, &n);
  if (e == DMP_OK) e = directory_grow(dir);
  if (e == DMP_OK) e = certificate_parse(p, n, &dir->all[dir->n]);
  if (e == DMP_OK) {
    buf_put(&dir->all[dir->n].raw, p, n);
    dir->n++;
  } else {
    record_fault(r, e, "dmp_certificate", ad.id);
  }
  buf_free(&scratch);
  return e;
}

int directory_load(struct record *r, const uint8_t d[32], const uint8_t authority_pk[32], struct directory *dir) {
  uint8_t loc[16];
  directory_free(dir);
  memcpy(dir->pinned, authority_pk, 32);
  directory_loc(d, loc);
  sqlite3_stmt *st = record_stmt(r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) e = directory_row(r, d, loc, st, dir);
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(r);
  sqlite3_reset(st);
  dir->rows = (int64_t)dir->n;
  if (e == DMP_OK && dir->n > 1) qsort(dir->all, dir->n, sizeof *dir->all, by_log_index);
  if (e == DMP_OK) e = directory_chain(r, dir);
  if (e != DMP_OK) {
    directory_free(dir);
    dir->rows = -1;                                   /* an empty directory answers nothing: the next use tries again */
  }
  return e;
}

int directory_refresh(struct record *r, const uint8_t d[32], struct directory *dir) {
  uint8_t loc[16], pinned[32];
  directory_loc(d, loc);
  sqlite3_stmt *st = record_stmt(r, STMT_CERT_COUNT);
  if (st == NULL) return record_sql_fault(r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc = sqlite3_step(st);
  int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
  sqlite3_reset(st);
  if (rc != SQLITE_ROW) return record_sql_fault(r);
  if (n == dir->rows && dir->all != NULL) return DMP_OK;
  memcpy(pinned, dir->pinned, 32);
  return directory_load(r, d, pinned, dir);
}

/* Lazily, once each: the authority's own certificate is self-signed under the pinned key, all others are signed by it. */
static const struct certificate *directory_verify(struct directory *dir, struct certificate *c) {
  if (c->verified) return c;
  if (certificate_signed(c->raw.p, c->raw.n, dir->pinned) != DMP_OK) return NULL;
  if (c->kind == KIND_PATIENT) return NULL;
  if (c->kind == KIND_AUTHORITY && memcmp(c->sign_pk, dir->pinned, 32) != 0) return NULL;
  c->verified = 1;
  return c;
}

const struct certificate *directory_by_principal(struct directory *dir, const uint8_t principal[16]) {
  const struct certificate *c = NULL;
  for (size_t i = 0; c == NULL && i < dir->n; i++)    /* a forged one of the same principal does not stand before the true one */
    if (memcmp(dir->all[i].principal, principal, 16) == 0) c = directory_verify(dir, &dir->all[i]);
  return c;
}

const struct certificate *directory_by_hash(struct directory *dir, const uint8_t hash[32]) {
  for (size_t i = 0; i < dir->n; i++)
    if (memcmp(dir->all[i].hash, hash, 32) == 0) return directory_verify(dir, &dir->all[i]);
  return NULL;
}

int directory_add(struct record *r, const uint8_t d[32], struct directory *dir, struct certificate *c, const uint8_t issuer_sk[64]) {
  struct buf plain = { 0 }, box = { 0 };
  uint8_t loc[16];
  int64_t id;
  directory_loc(d, loc);
  memcpy(c->record, r->id, 16);
  c->log_index = (uint32_t)dir->n;
  if (dir->n > 0) memcpy(c->log_previous, dir->all[dir->n - 1].hash, 32);
  int e = certificate_write(c, issuer_sk, &plain);
  if (e == DMP_OK) e = record_random_id(&id);
  if (e == DMP_OK) {
    struct box_ad ad = directory_ad(r, id, loc);
    e = box_seal(SUITE_XCHACHA, d, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  }
  if (e == DMP_OK) e = record_put(r, STMT_CERT_PUT, loc, &box, id);
  buf_free(&plain);
  buf_free(&box);
  dir->rows = -1;                                     /* read again at the next use */
  return e;
}

int certificate_verify_patient(struct directory *dir, const uint8_t *p, size_t n, struct certificate *c) {
  int e = certificate_parse(p, n, c);
  if (e != DMP_OK) return e;
  const struct certificate *issuer = directory_by_hash(dir, c->issuer);
  if (issuer == NULL || c->kind != KIND_PATIENT) return DMP_E_CERT_BAD;
  if (issuer->kind != KIND_AUTHORITY && !(issuer->rights & RIGHT_REGISTER_PATIENTS)) return DMP_E_CERT_BAD;
  e = certificate_signed(p, n, issuer->sign_pk);
  c->verified = e == DMP_OK;
  return e;
}
