/* certificate.c: certificates, requests and the directory (see certificate.h). */
#include "certificate.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const uint8_t MAGIC[4] = { 'd', 'm', 'p', 'c' };
static const char LABEL[] = "dmp-certificate-1", CONTINUITY_LABEL[] = "dmp-continuity-1", REQUEST_LABEL[] = "dmp-request-1", REQUEST_TEXT[] = "dmp-request-1.";
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
  buf_put(out, c->continuity, SUITE_SIG);
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
  rd_copy(&r, c->continuity, SUITE_SIG);
  rd_bytes(&r, SUITE_SIG);
  const uint8_t *second = rd_bytes(&r, SUITE_SIG);
  if (!rd_done(&r) || m > CERT_TLV_MAX) return DMP_E_CERT_BAD;
  c->countersigned = !suite_is_zero(second, SUITE_SIG);
  if (c->serial == 0 && (!suite_is_zero(c->continuity, SUITE_SIG) || !suite_is_zero(c->previous, 32) || c->flags & FLAG_RENEWED)) return DMP_E_CERT_BAD;
  if (c->status > STATUS_REVOKED || (c->countersigned && c->kind != KIND_PATIENT)) return DMP_E_LATER;
  suite_hash(p, n, c->hash, 32);
  return take_tlv(c, tlv, m);
}

/* Under the key of another authority than the first: the label and everything before. */
int certificate_countersign(struct buf *cert, const uint8_t sk[64]) {
  struct buf b = { 0 };
  if (cert->n < SIGNATURES) return DMP_E_CERT_BAD;
  int e = signed_bytes(&b, cert->p, cert->n - SUITE_SIG);
  if (e == DMP_OK) suite_sign(sk, b.p, b.n, cert->p + cert->n - SUITE_SIG);
  buf_free(&b);
  return e;
}

int certificate_countersigned(const uint8_t *p, size_t n, const uint8_t pk[32]) {
  struct buf b = { 0 };
  if (n < SIGNATURES) return DMP_E_CERT_BAD;
  int e = signed_bytes(&b, p, n - SUITE_SIG);
  if (e == DMP_OK && suite_verify(pk, b.p, b.n, p + n - SUITE_SIG) != DMP_OK) e = DMP_E_CERT_BAD;
  buf_free(&b);
  return e;
}

/* ---- one after the other ---- */

/* What a key says of the one that follows it: label, record, principal, serial, hash of the certificate before, the new keys. */
enum { CONTINUITY_OVER = sizeof CONTINUITY_LABEL - 1 + 16 + 16 + 4 + 32 + 32 + 32 };
static void continuity_over(const struct certificate *c, uint8_t out[CONTINUITY_OVER]) {
  memcpy(out, CONTINUITY_LABEL, sizeof CONTINUITY_LABEL - 1);
  out += sizeof CONTINUITY_LABEL - 1;
  memcpy(out, c->record, 16);
  memcpy(out + 16, c->principal, 16);
  le_put32(out + 32, c->serial);
  memcpy(out + 36, c->previous, 32);
  memcpy(out + 68, c->sign_pk, 32);
  memcpy(out + 100, c->box_pk, 32);
}

void certificate_follow(const struct certificate *old, struct certificate *c) {
  *c = *old;
  c->raw = (struct buf){ 0 };
  c->serial = old->serial + 1;
  c->verified = 0;
  memcpy(c->previous, old->hash, 32);
  memset(c->continuity, 0, SUITE_SIG);
}

void certificate_continuity(struct certificate *c, const uint8_t former_sk[64]) {
  uint8_t over[CONTINUITY_OVER];
  c->flags |= FLAG_RENEWED;
  continuity_over(c, over);
  suite_sign(former_sk, over, sizeof over, c->continuity);
}

int certificate_same_keys(const struct certificate *a, const struct certificate *b) {
  return memcmp(a->sign_pk, b->sign_pk, 32) == 0 && memcmp(a->box_pk, b->box_pk, 32) == 0;
}

/* The same keys need no signature of theirs: what is sealed to them opens for nobody else. */
int certificate_continues(const struct certificate *old, const struct certificate *c) {
  uint8_t over[CONTINUITY_OVER];
  if (old->serial == UINT32_MAX || c->serial != old->serial + 1 || memcmp(c->previous, old->hash, 32) != 0 || c->kind != old->kind ||
      memcmp(c->principal, old->principal, 16) != 0 || memcmp(c->record, old->record, 16) != 0)
    return 0;
  if (certificate_same_keys(old, c)) return suite_is_zero(c->continuity, SUITE_SIG) && ((c->flags ^ old->flags) & FLAG_RENEWED) == 0;
  continuity_over(c, over);
  return c->flags & FLAG_RENEWED && suite_verify(old->sign_pk, over, sizeof over, c->continuity) == DMP_OK;
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
