/* renewal.c: see renewal.h. */
#include "renewal.h"
#include "access.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

int renewal_barred(struct session *s, const char *kind, const char *specialty, const char *facility) {
  const char *why = rights_barred(kind, specialty, facility);
  if (why) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "%s", why);
  return why ? DMP_E_BARRED : DMP_OK;
}

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
