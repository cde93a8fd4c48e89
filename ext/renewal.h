/* renewal.h: how one certificate follows another: what the authority changes or revokes, and who gets a key in the place of his former one.
 * Owns: the request for a new key (signed by the former one), the certificate that answers it.
 * Never: which certificate counts (directory.h); opens an item. */
#ifndef RENEWAL_H
#define RENEWAL_H
#include "holder.h"

/* What the authority changes. Texts: NULL leaves them, "" empties them; registrar, status: -1 leaves them. */
struct reissue { int64_t id; const char *identifier, *name, *specialty, *facility, *request /* for a new key */; uint16_t profession; int registrar, status; };
int renewal_reissue(struct session *s, const struct reissue *r);
/* DMP_E_BARRED, with the reason, for who gets no certificate that could read. */
int renewal_barred(struct session *s, const char *kind, const char *specialty, const char *facility);
#endif
