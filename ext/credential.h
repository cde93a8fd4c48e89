/* credential.h: a principal's private key file (*.dmpkey) and the keys that its seed gives.
 * Owns: the file's layout and its PIN slots.  Never: SQL, the record.
 * Layout (FORMAT, "Credential file"): magic 8 "DMPKEY1\n" · slots u16 · payload length u16 · slots of 136 (type u16 = 1 PIN;
 * opslimit u32; memlimit MiB u32; salt 16; an unpadded XChaCha box of 110 of the file key, associated data kind
 * BOX_CREDENTIAL id = slot number) · unpadded payload box under the file key (XChaCha, kind BOX_CREDENTIAL, id 255): seed 32 · principal 16 ·
 * record 16 · authority 64 · D 32 · serial u32 · up to four former seeds of 32, the latest first, of a principal whose key was renewed.
 * Mode 0600; written to a temporary name in the same folder, fsync, linked or renamed, folder fsync. */
#ifndef CREDENTIAL_H
#define CREDENTIAL_H
#include "bytes.h"

struct kdf_cost { uint32_t ops, mem; };               /* passes; MiB. Bounds on reading: 1..10, 8..1024 */
#define KDF_COST_DEFAULT ((struct kdf_cost){ 3, 256 })

/* The payload, and the keys derived from the seed. Lives in memory_new() memory only. */
enum { FORMER_MAX = 4 };
struct credential {
  uint8_t seed[32], principal[16], record[16], authority[64], directory[32];
  uint32_t serial;
  unsigned formers;
  uint8_t former[FORMER_MAX][32];                     /* seeds before this one: what was sealed to them opens */
  uint8_t sign_pk[32], sign_sk[64], box_pk[32], box_sk[32], wrap[32], loc[32];   /* derived, not stored */
};
void credential_derive(struct credential *c);         /* fills the derived fields from the seed */
/* Creates the file; DMP_E_KEY_EXISTS when something stands there. Makes no seed: the caller filled c. */
int credential_create(const char *path, const void *pin, size_t pin_len, struct kdf_cost cost, const struct credential *c);
/* Reads, opens with the PIN, derives. *cost = the slot's. */
int credential_open(const char *path, const void *pin, size_t pin_len, struct credential *c, struct kdf_cost *cost);
/* The same in two steps, for whoever keeps the file key (keyring.h): it outlives a change of the PIN. A key that opens nothing is
 * DMP_E_KEY_PIN. */
int credential_file_key(const char *path, const void *pin, size_t pin_len, uint8_t file_key[32]);
int credential_open_with(const char *path, const uint8_t file_key[32], struct credential *c, struct kdf_cost *cost);
/* Replaces the payload (first login completes record, authority, directory, serial). The PIN opens the file key. */
int credential_update(const char *path, const void *pin, size_t pin_len, const struct credential *c);
int credential_update_with(const char *path, const uint8_t file_key[32], const struct credential *c);
int credential_change_pin(const char *path, const void *old_pin, size_t old_len, const void *new_pin, size_t new_len);
#endif
