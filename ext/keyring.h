/* keyring.h: a credential's file key in the user's kernel keyring, for a time: who unlocked once logs in without PIN and KDF.
 * Owns: the entries "dmp:…" of the user keyring.  Never: opens a credential, writes to a disk, asks for a PIN.
 * An entry holds the file key and the credential's real path; its name, the handle, is made of a hash of that path. The
 * kernel forgets it when its time is over. Every process of the same user may read it. */
#ifndef KEYRING_H
#define KEYRING_H
#include <stdint.h>

#define KEYRING_PREFIX "dmp:"
enum { KEYRING_KEY = 32, KEYRING_HANDLE = 4 + 32 + 1, KEYRING_SECONDS_MAX = 86400 };

/* All take a credential's path or a handle where they say `name`. DMP_E_KEYRING: this process may not use the keyring. */
int keyring_put(const char *path, const uint8_t key[KEYRING_KEY], unsigned seconds, char handle[KEYRING_HANDLE]);
/* DMP_E_LOCKED: not there, or its time is over. *path is malloc'ed; on error NULL. */
int keyring_get(const char *name, uint8_t key[KEYRING_KEY], char **path);
int keyring_drop(const char *name);                   /* DMP_E_LOCKED when nothing was there */
#endif
