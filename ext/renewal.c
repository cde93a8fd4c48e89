/* renewal.c: see renewal.h. */
#include "renewal.h"
#include "access.h"
#include "memory.h"
#include "random.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

int renewal_barred(struct session *s, const char *kind, const char *specialty, const char *facility) {
  const char *why = rights_barred(kind, specialty, facility);
  if (why) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "%s", why);
  return why ? DMP_E_BARRED : DMP_OK;
}

/* ---- texts ---- */

static const char RENEWAL_TEXT[] = "dmp-renewal-1.", CERTIFIED_TEXT[] = "dmp-certified-1.", LABEL[] = "dmp-renewal-1";
enum { FIXED = 16 + 4 + 32 + 32 + 32 + SUITE_SIG, TEXT_MAX = FIXED + CERT_MAX + SUITE_SIG };

static int text_write(const char *prefix, const struct buf *b, char **out) {
  size_t n = strlen(prefix);
  *out = b->bad ? NULL : sqlite3_malloc64(n + 2 * b->n + 1);
  if (*out == NULL) return DMP_E_NOMEM;
  memcpy(*out, prefix, n);
  bytes_to_hex(b->p, b->n, *out + n);
  return DMP_OK;
}

static int text_read(const char *prefix, const char *text, struct buf *b) {
  size_t n = strlen(prefix), len = text ? strlen(text) : 0;
  if (len < n || memcmp(text, prefix, n) != 0 || (len - n) % 2 || (len - n) / 2 > TEXT_MAX) return DMP_E_REQUEST;
  buf_zero(b, (len - n) / 2);
  if (b->bad) return DMP_E_NOMEM;
  return bytes_hex(text + n, b->n, b->p) == 0 ? DMP_OK : DMP_E_REQUEST;
}

int renewal_certified(const char *text) { return text && strncmp(text, CERTIFIED_TEXT, sizeof CERTIFIED_TEXT - 1) == 0; }

/* Label ‖ all before it, by the new key: who asks holds it. */
static int request_over(const struct buf *b, size_t n, struct buf *over) {
  buf_put(over, LABEL, sizeof LABEL - 1);
  buf_put(over, b->p, n);
  return over->bad ? DMP_E_NOMEM : DMP_OK;
}

struct request { uint8_t principal[16], previous[32], sign_pk[32], box_pk[32], continuity[SUITE_SIG]; uint32_t serial; const uint8_t *before; size_t before_n; };

/* b: the bytes, which r borrows from. */
static int request_read(const char *text, struct buf *b, struct request *r) {
  struct buf over = { 0 };
  int e = text_read(RENEWAL_TEXT, text, b);
  if (e == DMP_OK && b->n < FIXED + SUITE_SIG) e = DMP_E_REQUEST;
  if (e != DMP_OK) return e;
  struct rd in = { b->p, b->n - SUITE_SIG, 0 };
  rd_copy(&in, r->principal, 16);
  r->serial = rd_u32(&in);
  rd_copy(&in, r->previous, 32);
  rd_copy(&in, r->sign_pk, 32);
  rd_copy(&in, r->box_pk, 32);
  rd_copy(&in, r->continuity, SUITE_SIG);
  r->before_n = in.n;
  r->before = in.p;
  e = request_over(b, b->n - SUITE_SIG, &over);
  if (e == DMP_OK && suite_verify(r->sign_pk, over.p, over.n, b->p + b->n - SUITE_SIG) != DMP_OK) e = DMP_E_REQUEST;
  buf_free(&over);
  return e;
}

/* The keys of the request in the certificate that follows. */
static void request_fill(const struct request *r, struct certificate *c) {
  memcpy(c->sign_pk, r->sign_pk, 32);
  memcpy(c->box_pk, r->box_pk, 32);
  memcpy(c->continuity, r->continuity, SUITE_SIG);
  c->flags |= FLAG_RENEWED;
}

/* ---- asking ---- */

/* The new credential: of the same principal and record, with the seeds before it, the latest first. */
static int credential_next(const struct credential *c, struct credential *next) {
  if (c->formers == FORMER_MAX) return DMP_E_TOO_BIG;
  *next = *c;
  memcpy(next->former[0], c->seed, 32);
  memcpy(next->former[1], c->former[0], c->formers * sizeof c->former[0]);
  next->formers = c->formers + 1;
  int e = random_bytes("seed", next->seed, 32);
  credential_derive(next);
  return e;
}

static int request_write(struct session *s, const struct credential *next, struct buf *b) {
  struct certificate c;
  struct patient *p;
  struct buf over = { 0 };
  uint8_t sig[SUITE_SIG];
  certificate_follow(&s->me, &c);
  memcpy(c.sign_pk, next->sign_pk, 32);
  memcpy(c.box_pk, next->box_pk, 32);
  certificate_continuity(&c, s->cred->sign_sk);
  buf_put(b, c.principal, 16);
  buf_u32(b, c.serial);
  buf_put(b, c.previous, 32);
  buf_put(b, c.sign_pk, 32);
  buf_put(b, c.box_pk, 32);
  buf_put(b, c.continuity, SUITE_SIG);
  int e = s->me.kind == KIND_PATIENT ? patient_get(s, s->principal, &p) : DMP_OK;
  if (e == DMP_OK && s->me.kind == KIND_PATIENT) e = patient_certificate_bytes(s, p, b);
  if (e == DMP_OK) e = b->bad ? DMP_E_NOMEM : request_over(b, b->n, &over);
  if (e == DMP_OK) suite_sign(next->sign_sk, over.p, over.n, sig);
  buf_put(b, sig, SUITE_SIG);
  buf_free(&over);
  return e;
}

int renewal_request(struct session *s, const char *path, const void *pin, size_t pin_len, struct kdf_cost cost, char **text) {
  struct credential *next = memory_new(sizeof *next);
  struct buf b = { 0 };
  *text = NULL;
  if (next == NULL) return DMP_E_LOCK;
  int e = s->me.kind == KIND_AUTHORITY || s->view ? DMP_E_NOT_ALLOWED : credential_next(s->cred, next);
  if (e == DMP_OK) e = request_write(s, next, &b);
  if (e == DMP_OK) e = credential_create(path, pin, pin_len, cost, next);
  if (e == DMP_OK) e = text_write(RENEWAL_TEXT, &b, text);
  memory_free(next);
  buf_free(&b);
  return e;
}

/* ---- a patient's: two signatures ---- */

static int certify_first(struct session *s, const char *text, struct buf *cert) {
  struct buf b = { 0 };
  struct request r;
  struct certificate old, c;
  if (s->me.kind == KIND_AUTHORITY) return DMP_E_SECOND;
  if (!(s->me.rights & RIGHT_REGISTER_PATIENTS)) return DMP_E_NOT_ALLOWED;
  int e = request_read(text, &b, &r);
  if (e == DMP_OK) e = directory_verify_patient(&s->dir, r.before, r.before_n, &old);
  if (e == DMP_OK) {
    certificate_follow(&old, &c);
    request_fill(&r, &c);
    c.flags |= FLAG_OWN_KEY;
    c.not_before = record_now();
    memcpy(c.issuer, s->me.hash, 32);
    if (memcmp(old.hash, r.previous, 32) != 0 || memcmp(old.principal, r.principal, 16) != 0 || c.serial != r.serial || !certificate_continues(&old, &c))
      e = DMP_E_CONTINUITY;
  }
  if (e == DMP_OK) e = certificate_write(&c, s->cred->sign_sk, cert);
  buf_free(&b);
  return e;
}

/* Whose card was revoked since, or who registers nobody any more, has not looked at who asks: a thief of his key dates as he likes. */
static int still_registers(struct session *s, const uint8_t cert_hash[32]) {
  const struct certificate *then = directory_by_hash(&s->dir, cert_hash), *now = then ? session_who(s, then->principal) : NULL;
  return now && now->status == STATUS_ACTIVE && now->rights & RIGHT_REGISTER_PATIENTS;
}

/* The authority signs what a registrar has signed: two people have looked at who asks. */
static int certify_second(struct session *s, const char *text, struct buf *cert) {
  struct certificate c;
  if (s->me.kind != KIND_AUTHORITY) return DMP_E_NOT_ALLOWED;
  int e = text_read(CERTIFIED_TEXT, text, cert);
  if (e == DMP_OK) e = certificate_parse(cert->p, cert->n, &c);
  if (e == DMP_OK && (c.kind != KIND_PATIENT || c.serial == 0 || memcmp(c.record, s->r->id, 16) != 0)) e = DMP_E_REQUEST;
  if (e == DMP_OK && !still_registers(s, c.issuer)) e = DMP_E_SECOND;
  if (e == DMP_OK) e = certificate_countersign(cert, s->cred->sign_sk);
  return e == DMP_OK ? directory_verify_patient(&s->dir, cert->p, cert->n, &c) : e;
}

int renewal_certify(struct session *s, const char *text, char **out) {
  struct buf cert = { 0 };
  *out = NULL;
  int e = renewal_certified(text) ? certify_second(s, text, &cert) : certify_first(s, text, &cert);
  if (e == DMP_OK) e = text_write(CERTIFIED_TEXT, &cert, out);
  buf_free(&cert);
  return e;
}

/* ---- the change ---- */

int renewal_complete(struct session *s, const char *text, const struct credential *next, struct credential *former) {
  struct buf cert = { 0 };
  struct certificate c;
  struct patient *p;
  int e = text_read(CERTIFIED_TEXT, text, &cert);
  if (e == DMP_OK) e = directory_verify_patient(&s->dir, cert.p, cert.n, &c);
  if (e == DMP_E_CERT_BAD) e = DMP_E_SECOND;
  if (e == DMP_OK && (!certificate_continues(&s->me, &c) || memcmp(c.sign_pk, next->sign_pk, 32) != 0 || memcmp(c.box_pk, next->box_pk, 32) != 0 ||
                      memcmp(c.identity, s->me.identity, 32) != 0))
    e = DMP_E_CONTINUITY;
  if (e == DMP_OK) e = holder_begin(s, s->principal, &p);
  if (e == DMP_OK) e = patient_certify(s, p, &cert);
  if (e == DMP_OK) e = holder_renew(s, p, &c, next, former);
  if (e == DMP_OK) e = access_pend(s, p, LOG_RENEW, p->id, 0, NULL);
  buf_free(&cert);
  return e;
}

int renewal_owed(const struct session *s) {
  for (size_t i = 0; i < s->owns; i++)
    if (s->own[i].group == 0 && s->own[i].seat != 0 && !s->own[i].inbox) return 1;
  return 0;
}

int renewal_move(struct session *s) {
  int e = grant_move_own(s);
  return e == DMP_OK ? access_pend(s, NULL, LOG_RENEW, 0, 0, NULL) : e;
}

/* ---- by the authority ---- */

static int text_change(char to[CERT_TEXT], const char *from) {
  if (from == NULL) return DMP_OK;
  if (strlen(from) >= CERT_TEXT) return DMP_E_TOO_BIG;
  memcpy(to, from, strlen(from) + 1);
  return DMP_OK;
}

/* The certificate that follows, but for a new key. */
static int reissue_fill(struct session *s, const struct reissue *r, const struct certificate *old, struct certificate *c) {
  certificate_follow(old, c);
  c->not_before = record_now();
  c->profession = r->profession;
  memcpy(c->issuer, s->me.hash, 32);
  if (r->registrar >= 0) c->rights = (uint8_t)((c->rights & ~RIGHT_REGISTER_PATIENTS) | (r->registrar ? RIGHT_REGISTER_PATIENTS : 0));
  if (r->status >= 0) c->status = (uint8_t)r->status;
  int e = text_change(c->identifier, r->identifier);
  if (e == DMP_OK) e = text_change(c->name, r->name);
  if (e == DMP_OK) e = text_change(c->specialty, r->specialty);
  if (e == DMP_OK) e = text_change(c->facility, r->facility);
  if (e == DMP_OK && (c->kind == KIND_PROFESSIONAL || c->kind == KIND_STAFF)) e = renewal_barred(s, NULL, c->specialty, c->facility);
  if (e != DMP_OK || r->request == NULL) return e;
  struct buf b = { 0 };
  struct request q;
  e = request_read(r->request, &b, &q);
  if (e == DMP_E_REQUEST) e = DMP_E_CONTINUITY;       /* one of dmp_keygen() among them: nobody's former key speaks for it */
  if (e == DMP_OK && (memcmp(q.principal, c->principal, 16) != 0 || q.serial != c->serial || memcmp(q.previous, c->previous, 32) != 0)) e = DMP_E_CONTINUITY;
  if (e == DMP_OK) request_fill(&q, c);
  buf_free(&b);
  return e;
}

int renewal_reissue(struct session *s, const struct reissue *r) {
  struct certificate c;
  uint8_t field[16];
  id_field(field, r->id);
  const struct certificate *old = session_who(s, field);
  if (old == NULL) return DMP_E_NO_PRINCIPAL;
  /* who certifies all others is pinned by his key in every credential; who reads nothing or in somebody's place registers nobody */
  if (old->kind == KIND_AUTHORITY && (r->request || r->status >= 0 || r->registrar >= 0)) return DMP_E_NOT_ALLOWED;
  if ((old->kind == KIND_SOURCE || old->kind == KIND_REPRESENTATIVE) && r->registrar > 0) return DMP_E_NOT_ALLOWED;
  int e = reissue_fill(s, r, old, &c);
  if (e == DMP_OK && !certificate_continues(old, &c)) e = DMP_E_CONTINUITY;
  if (e == DMP_OK) e = directory_add(s->r, s->cred->directory, &s->dir, &c, s->cred->sign_sk);
  if (e == DMP_OK) e = access_pend(s, NULL, LOG_REISSUE, 0, r->id, NULL);
  return e == DMP_OK ? directory_refresh(s->r, s->cred->directory, &s->dir) : e;
}
