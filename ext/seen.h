/* seen.h: what a credential remembers of a record, in a file of its own beside it (its path with -seen behind it).
 * Owns: that file's layout. Never: SQL, the record; a decision on what differs.
 * Layout: magic 8 "DMPSEEN\n" · an unpadded XChaCha box under KDF(seed, "seen") of: record 16 · entries of the log of certificates u32 · hash
 * of the last 32; associated data kind BOX_CREDENTIAL, id 254. Where the file can't be written (a credential on a medium that is read-only)
 * nothing is remembered. */
#ifndef SEEN_H
#define SEEN_H
#include "credential.h"

#define SEEN_SUFFIX "-seen"
struct seen { uint32_t entries; uint8_t last[32]; };
/* Nothing remembered: zeros. DMP_E_CERT_LOG: the file is not what this credential wrote about this record. */
int  seen_read(const char *key_path, const struct credential *c, struct seen *out);
void seen_write(const char *key_path, const struct credential *c, const struct seen *s);
#endif
