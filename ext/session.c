/* session.c: what every use of a login begins with, and whom it knows (see session.h). */
#include "session.h"
#include "watch.h"
#include <string.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT3

void session_stale(struct session *s) { s->generation++; }

void session_wrote(struct session *s) {
  int listed = s->owns_generation == s->generation && !s->grants_written;
  s->generation++;
  if (listed) s->owns_generation = s->generation;
}

/* The certificate may have been issued again since the login. A patient's is not here: his keys tell (grant.h). */
static int session_again(struct session *s) {
  const struct certificate *now = session_who(s, s->me.principal);
  if (now == NULL) return DMP_OK;
  if (now->status == STATUS_REVOKED || !certificate_same_keys(now, &s->me)) return DMP_E_REVOKED;
  s->me = *now;
  s->me.raw = (struct buf){ 0 };
  return DMP_OK;
}

int session_use(struct record *r, struct session **out) {
  struct session *s = r->session;
  *out = s;
  r->fault = (struct fault){ 0 };
  if (s == NULL) return DMP_E_NO_SESSION;
  if (s->pid != getpid()) return DMP_E_FORK;
  const char *path = sqlite3_db_filename(r->db, r->schema);
  if (path == NULL || strcmp(path, r->path) != 0) return DMP_E_NO_SESSION;   /* another file is attached under this name */
  int e = record_check_temp(r);
  if (e == DMP_OK) e = record_check_schema(r);
  if (e == DMP_OK && (record_changed(r) || s->dir.rows < 0)) {
    session_stale(s);
    e = directory_refresh(r, s->cred->directory, &s->dir);
    if (e == DMP_OK && sqlite3_txn_state(r->db, r->schema) != SQLITE_TXN_WRITE) directory_note(&s->dir);
    if (e == DMP_OK) s->refused = session_again(s);
  }
  if (e == DMP_OK) e = s->refused;
  if (session_lapsed(s)) session_stale(s);
  return e == DMP_OK ? watch_entries(s) : e;
}

int session_lapsed(const struct session *s) { return s->seats_until != 0 && record_now() > s->seats_until; }

int session_writes(struct session *s) {
  if (!s->view) return DMP_OK;
  s->r->fault.sql_rc = SQLITE_READONLY;
  sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "attempt to write a readonly database");
  return DMP_E_SQL;
}

int session_column(struct session *s, const char *column, int e) {
  sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "column %s", column);
  return e;
}

int session_wrong_kind(struct session *s, int64_t principal, const char *needed) {
  uint8_t field[16];
  id_field(field, principal);
  const struct certificate *c = session_who(s, field);
  if (c) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "it is %s; needed: %s", certificate_kind_text(c->kind), needed);
  return DMP_E_NO_PRINCIPAL;
}

int session_open_key(struct session *s, const uint8_t key[32], const struct box_ad *ad, const void *box, size_t n,
                     const uint8_t **plain, size_t *len) {
  return box_open(key, ad, box, n, &s->scratch, plain, len);
}

int session_open_box(struct session *s, const uint8_t key[32], const struct box_ad *ad, const void *box, size_t n,
                     const uint8_t **plain, size_t *len) {
  s->boxes_opened++;
  return session_open_key(s, key, ad, box, n, plain, len);
}

int session_open_sealed(struct session *s, const uint8_t *mix, const struct box_ad *ad, const void *box, size_t n, const uint8_t **plain, size_t *len) {
  s->boxes_opened++;
  int e = box_open_from(s->cred->box_sk, s->cred->box_pk, mix, ad, box, n, &s->scratch, plain, len);
  for (unsigned i = 0; e == DMP_E_TAMPERED && i < s->cred->formers; i++)
    e = box_open_from(s->former[i].box_sk, s->former[i].box_pk, mix, ad, box, n, &s->scratch, plain, len);
  return e;
}

int session_mine(struct session *s, const uint8_t cert_hash[32]) {
  if (memcmp(cert_hash, s->me.hash, 32) == 0) return 1;
  const struct certificate *c = directory_by_hash(&s->dir, cert_hash);
  return c != NULL && memcmp(c->principal, s->cred->principal, 16) == 0;
}

const struct certificate *session_by_key(struct session *s, const uint8_t sign_pk[32]) {
  session_who(s, s->cred->principal);                 /* settles which of them count */
  for (size_t i = 0; i < s->dir.n; i++) {
    const struct certificate *c = &s->dir.all[i];
    if (c->verified > 0 && memcmp(c->principal, s->cred->principal, 16) == 0 && memcmp(c->sign_pk, sign_pk, 32) == 0) return c;
  }
  return NULL;
}

const struct certificate *session_who(struct session *s, const uint8_t principal[16]) {
  return directory_by_principal(&s->dir, principal);
}
