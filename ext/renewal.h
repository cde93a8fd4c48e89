/* renewal.h: how one certificate follows another: what the authority changes or revokes, and who gets a key in the place of his former one.
 * Owns: the request for a new key (signed by the former one), the certificate that answers it, the change to the new key.
 * Never: which certificate counts (directory.h); opens an item.
 * A request: "dmp-renewal-1." and hex of principal 16 · serial 4 · hash of the certificate before 32 · Ed25519 32 · X25519 32 · signature of the former
 * key 64 (certificate.h) · a patient's certificate before (professionals' stand in the directory) · signature of the new key 64 over all before it.
 * A patient's certificate on its way to him: "dmp-certified-1." and hex of it. */
#ifndef RENEWAL_H
#define RENEWAL_H
#include "holder.h"

/* What the authority changes. Texts: NULL leaves them, "" empties them; registrar, status: -1 leaves them. */
struct reissue { int64_t id; const char *identifier, *name, *specialty, *facility, *request /* for a new key */; uint16_t profession; int registrar, status; };
int renewal_reissue(struct session *s, const struct reissue *r);
/* A new credential for this login's principal, which remembers the key it follows, and the request for its certificate (sqlite3_malloc'ed). The
 * authority answers a professional's by UPDATE principal; a patient's is signed by a registrar, then by the authority (renewal_certify). */
int renewal_request(struct session *s, const char *path, const void *pin, size_t pin_len, struct kdf_cost cost, char **text);
int renewal_certify(struct session *s, const char *text, char **out);
int renewal_certified(const char *text);              /* 1: such a certificate, to be brought to the first login of the new credential */
/* In a session of the patient's former credential, inside a transaction: the certificate is put in force, every key turns, the session goes
 * on with the new credential (and what it was before in former). */
int renewal_complete(struct session *s, const char *text, const struct credential *next, struct credential *former);
/* Grants that lie under a former key of this login come under the present one. */
int renewal_move(struct session *s);
int renewal_owed(const struct session *s);            /* 1: there are such */
/* DMP_E_BARRED, with the reason, for who gets no certificate that could read. */
int renewal_barred(struct session *s, const char *kind, const char *specialty, const char *facility);
#endif
