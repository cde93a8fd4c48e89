/* keyring.c: see keyring.h. The kernel is asked directly: libkeyutils would be one more library to trust.
 * An entry is made in the thread's own keyring, given its time-out and rights, and only then linked into the user's: no
 * moment at which a key without a time-out could be left behind. */
#include "keyring.h"
#include "bytes.h"
#include "dmp.h"
#include "memory.h"
#include "suite.h"
#include <errno.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights of an entry, as <keyutils.h> numbers them: possessor all, user view, read, write, search, link, set attributes.
 * Reading by the user, not only by the possessor: a daemon's session keyring often does not lead to the user's keyring. */
enum { RIGHTS = 0x3f3f0000 };
enum { PAYLOAD_MAX = KEYRING_KEY + PATH_MAX };

static long ctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  return syscall(SYS_keyctl, (long)what, a, b, c, d);
}
#define RING(which) ((unsigned long)(long)(which))

/* No entry, or one whose time is over or that was revoked; everything else means that there is no keyring for us. */
static int fault(void) {
  return errno == ENOKEY || errno == EKEYEXPIRED || errno == EKEYREVOKED || errno == EKEYREJECTED ? DMP_E_LOCKED : DMP_E_KEYRING;
}

static int handle_valid(const char *name) {
  uint8_t id[16];
  return strlen(name) == KEYRING_HANDLE - 1 && bytes_hex(name + sizeof KEYRING_PREFIX - 1, sizeof id, id) == 0;
}

/* The handle of a credential: its own when a handle was given. *real: malloc'ed, NULL for a handle. */
static int handle_of(const char *name, char handle[KEYRING_HANDLE], char **real) {
  uint8_t id[16];
  *real = NULL;
  if (strncmp(name, KEYRING_PREFIX, sizeof KEYRING_PREFIX - 1) == 0 && handle_valid(name)) {
    memcpy(handle, name, KEYRING_HANDLE);
    return DMP_OK;
  }
  if ((*real = realpath(name, NULL)) == NULL) return DMP_E_KEY_OPEN;
  suite_hash(*real, strlen(*real), id, sizeof id);
  memcpy(handle, KEYRING_PREFIX, sizeof KEYRING_PREFIX - 1);
  bytes_to_hex(id, sizeof id, handle + sizeof KEYRING_PREFIX - 1);
  return DMP_OK;
}

static int entry_find(const char *handle, long *id) {
  *id = ctl(KEYCTL_SEARCH, RING(KEY_SPEC_USER_KEYRING), (unsigned long)"user", (unsigned long)handle, 0);
  return *id >= 0 ? DMP_OK : fault();
}

static int entry_link(const char *handle, const void *payload, size_t n, unsigned seconds) {
  long id = syscall(SYS_add_key, "user", handle, payload, n, KEY_SPEC_THREAD_KEYRING);
  if (id < 0) return DMP_E_KEYRING;
  int good = ctl(KEYCTL_SET_TIMEOUT, (unsigned long)id, seconds, 0, 0) == 0 && ctl(KEYCTL_SETPERM, (unsigned long)id, RIGHTS, 0, 0) == 0 &&
             ctl(KEYCTL_LINK, (unsigned long)id, RING(KEY_SPEC_USER_KEYRING), 0, 0) == 0;
  ctl(KEYCTL_UNLINK, (unsigned long)id, RING(KEY_SPEC_THREAD_KEYRING), 0, 0);
  return good ? DMP_OK : DMP_E_KEYRING;
}

int keyring_put(const char *path, const uint8_t key[KEYRING_KEY], unsigned seconds, char handle[KEYRING_HANDLE]) {
  char *real;
  if (seconds < 1 || seconds > KEYRING_SECONDS_MAX) return DMP_E_ARGUMENT;
  int e = handle_of(path, handle, &real);
  if (e != DMP_OK) return e;
  if (real == NULL) return DMP_E_KEY_OPEN;            /* a handle has no path of its own */
  size_t n = strlen(real);
  uint8_t *payload = n < PATH_MAX ? memory_new(PAYLOAD_MAX) : NULL;
  if (payload == NULL) e = n < PATH_MAX ? DMP_E_LOCK : DMP_E_KEY_OPEN;
  else {
    memcpy(payload, key, KEYRING_KEY);
    memcpy(payload + KEYRING_KEY, real, n);
    e = entry_link(handle, payload, KEYRING_KEY + n, seconds);
  }
  memory_free(payload);
  free(real);
  return e;
}

int keyring_get(const char *name, uint8_t key[KEYRING_KEY], char **path) {
  char handle[KEYRING_HANDLE], *real;
  long id, n = 0;
  *path = NULL;
  int e = handle_of(name, handle, &real);
  free(real);
  if (e == DMP_OK) e = entry_find(handle, &id);
  if (e != DMP_OK) return e;
  uint8_t *payload = memory_new(PAYLOAD_MAX);
  if (payload == NULL) return DMP_E_LOCK;
  n = ctl(KEYCTL_READ, (unsigned long)id, (unsigned long)payload, PAYLOAD_MAX, 0);
  if (n < 0) e = fault();
  else if (n <= KEYRING_KEY || n > PAYLOAD_MAX) e = DMP_E_LOCKED;    /* not ours */
  else if ((*path = strndup((char *)payload + KEYRING_KEY, (size_t)n - KEYRING_KEY)) == NULL) e = DMP_E_NOMEM;
  if (e == DMP_OK) memcpy(key, payload, KEYRING_KEY);
  memory_free(payload);
  return e;
}

int keyring_drop(const char *name) {
  char handle[KEYRING_HANDLE], *real;
  long id;
  int e = handle_of(name, handle, &real);
  free(real);
  if (e == DMP_OK) e = entry_find(handle, &id);
  if (e != DMP_OK) return e;
  ctl(KEYCTL_INVALIDATE, (unsigned long)id, 0, 0, 0);  /* at once, in every keyring that links it */
  if (ctl(KEYCTL_UNLINK, (unsigned long)id, RING(KEY_SPEC_USER_KEYRING), 0, 0) == 0) return DMP_OK;
  return entry_find(handle, &id) == DMP_E_LOCKED ? DMP_OK : DMP_E_KEYRING;
}
