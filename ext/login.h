/* login.h: how a record, a credential and a session come to be.
 * Owns: creation of a record, credentials, first login, registration of people.  Never: reads an item. */
#ifndef LOGIN_H
#define LOGIN_H
#include "holder.h"

struct pin { const void *p; size_t n; const uint8_t *file_key; /* not NULL: instead of a PIN (keyring.h) */ };
/* Makes the record in r's (empty of records) schema, the authority's credential, the log and the anchor file.
 * fingerprint: what invitations carry. */
int login_create(struct record *r, const char *key_path, struct pin pin, int suite, struct kdf_cost cost, char fingerprint[FINGERPRINT_TEXT]);
/* Makes a credential without a record; *request is sqlite3_malloc'ed. */
int login_keygen(const char *key_path, struct pin pin, struct kdf_cost cost, char **request);
/* Opens a session on r. fingerprint: NULL except at the first login of a credential made by login_keygen. */
int login_open(struct record *r, const char *key_path, struct pin pin, const char *on_behalf, const char *fingerprint);
/* Writes the counts still in memory, wipes, forgets. Harmless without a session. DMP_E_IN_FROM while a transaction has lines that
 * only its commit will write: closing would leave it without them. */
int  login_close(struct record *r);
void login_abandon(struct record *r);                 /* the connection closes: an open transaction is rolled back with it */
/* Registers somebody by a certificate request: the authority's session only. */
struct registration { int kind; const char *identifier, *name, *specialty, *facility, *request; uint16_t profession; int registrar; int64_t id; };
int login_register(struct session *s, struct registration *reg);
#endif
