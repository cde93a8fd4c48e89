/* credential.c: see credential.h. The file is public to whoever holds it; the PIN and Argon2id are all its protection.
 * Order of a write: a new name of 0600 in the same folder, fsync, then one rename, then fsync of the folder. */
#include "credential.h"
#include "box.h"
#include "dmp.h"
#include "random.h"
#include "suite.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[] = "DMPKEY1\n";
enum { AT_SLOTS = 8, AT_PAYLOAD_LENGTH = 10, HEAD = 12 };
enum { AT_TYPE = 0, AT_OPS = 2, AT_MEM = 6, AT_SALT = 10, AT_BOX = 26, SLOT = 136 };
enum { SLOT_BOX = SUITE_KEY + BOX_OVERHEAD_XCHACHA };
enum { PAYLOAD = 32 + 16 + 16 + 64 + 32 + 4, PAYLOAD_BOX = PAYLOAD + BOX_OVERHEAD_XCHACHA, PAYLOAD_ID = 255 };
enum { PAYLOAD_BOX_MAX = PAYLOAD_BOX + FORMER_MAX * 32 };
enum { SLOT_PIN = 1, SLOTS_MAX = 8, FILE_MAX = HEAD + SLOTS_MAX * SLOT + PAYLOAD_BOX_MAX };
enum { OPS_MIN = 1, OPS_MAX = 10, MEM_MIN = 8, MEM_MAX = 1024 };
enum { TEMP_NAME = 32, TEMP_TRIES = 8 };
_Static_assert(sizeof MAGIC - 1 == AT_SLOTS, "credential layout");
_Static_assert(AT_SALT + SUITE_SALT == AT_BOX && AT_BOX + SLOT_BOX == SLOT, "credential slot layout");
_Static_assert(PAYLOAD == 164 && PAYLOAD_BOX == 242, "credential payload layout");

/* A file as read or to be written: nothing in it is secret. */
struct key_file { uint8_t p[FILE_MAX]; size_t n; };

static void put16(uint8_t *p, unsigned v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static unsigned get16(const uint8_t *p) { return p[0] | (unsigned)p[1] << 8; }
static unsigned slot_count(const struct key_file *f) { return get16(f->p + AT_SLOTS); }
static uint8_t *slot_at(struct key_file *f, unsigned i) { return f->p + HEAD + (size_t)i * SLOT; }
static uint8_t *payload_at(struct key_file *f) { return slot_at(f, slot_count(f)); }
static unsigned payload_size(const struct key_file *f) { return get16(f->p + AT_PAYLOAD_LENGTH); }
static int payload_allowed(unsigned n) { return n >= PAYLOAD_BOX && n <= PAYLOAD_BOX_MAX && (n - PAYLOAD_BOX) % 32 == 0; }
static struct box_ad box_about(int64_t id) {
  return (struct box_ad){ .kind = BOX_CREDENTIAL, .table = IN_FILE, .id = id };
}

static int cost_allowed(struct kdf_cost c) {
  return c.ops >= OPS_MIN && c.ops <= OPS_MAX && c.mem >= MEM_MIN && c.mem <= MEM_MAX;
}

static struct kdf_cost slot_cost(const uint8_t *slot) {
  return (struct kdf_cost){ le_get32(slot + AT_OPS), le_get32(slot + AT_MEM) };
}

/* A PIN is judged when it is chosen, never when it is tried. */
static int pin_allowed(const void *pin, size_t n) {
  const uint8_t *p = pin;
  size_t characters = 0;
  if (p == NULL || n > DMP_PIN_MAX) return 0;
  for (size_t i = 0; i < n; i++) characters += (p[i] & 0xC0) != 0x80;   /* UTF-8: every byte but a continuation */
  return characters >= DMP_PIN_MIN;
}

/* The layout of what was read: all that can be known without the PIN. */
static int file_check(struct key_file *f) {
  unsigned pins = 0;
  if (f->n < HEAD || memcmp(f->p, MAGIC, AT_SLOTS) != 0) return DMP_E_KEY_FORMAT;
  unsigned slots = slot_count(f);
  if (slots < 1 || slots > SLOTS_MAX || !payload_allowed(payload_size(f))) return DMP_E_KEY_FORMAT;
  if (f->n != HEAD + (size_t)slots * SLOT + payload_size(f)) return DMP_E_KEY_FORMAT;
  if (box_suite(payload_at(f), payload_size(f)) != SUITE_XCHACHA) return DMP_E_KEY_FORMAT;
  for (unsigned i = 0; i < slots; i++) {
    const uint8_t *slot = slot_at(f, i);
    if (get16(slot + AT_TYPE) != SLOT_PIN) continue;
    if (!cost_allowed(slot_cost(slot))) return DMP_E_KEY_COST;
    if (box_suite(slot + AT_BOX, SLOT_BOX) != SUITE_XCHACHA) return DMP_E_KEY_FORMAT;
    pins++;
  }
  return pins > 0 ? 0 : DMP_E_KEY_FORMAT;
}

static int file_read(int fd, struct key_file *f) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return DMP_E_KEY_OPEN;
  if (st.st_size > FILE_MAX) return DMP_E_KEY_FORMAT;
  f->n = 0;
  while (f->n < FILE_MAX) {
    ssize_t got = read(fd, f->p + f->n, FILE_MAX - f->n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return DMP_E_KEY_OPEN;
    if (got == 0) break;
    f->n += (size_t)got;
  }
  return file_check(f);
}

static int key_open(const char *path) {
  return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);    /* a FIFO must not hang us */
}

/* The file, locked against another program of ours that changes it. A rename gives its name to another file: then look
 * again. */
static int key_open_locked(const char *path) {
  for (;;) {
    struct stat mine, now;
    int fd = key_open(path);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX) == 0 && fstat(fd, &mine) == 0 && stat(path, &now) == 0) {
      if (mine.st_dev == now.st_dev && mine.st_ino == now.st_ino) return fd;
      close(fd);
      continue;
    }
    int interrupted = errno == EINTR;
    close(fd);
    if (!interrupted) return -1;
  }
}

/* Seals the file key under the PIN with a new salt. */
static int slot_seal(uint8_t *slot, unsigned i, const void *pin, size_t pin_len, struct kdf_cost cost,
                     const uint8_t file_key[SUITE_KEY]) {
  uint8_t kek[SUITE_KEY];
  struct buf box = {0};
  struct box_ad ad = box_about(i);
  put16(slot + AT_TYPE, SLOT_PIN);
  le_put32(slot + AT_OPS, cost.ops);
  le_put32(slot + AT_MEM, cost.mem);
  int rc = random_bytes("credential-salt", slot + AT_SALT, SUITE_SALT);
  if (rc == 0) rc = suite_argon2id(pin, pin_len, slot + AT_SALT, cost.ops, cost.mem, kek);
  if (rc == 0) rc = box_seal(SUITE_XCHACHA, kek, &ad, file_key, SUITE_KEY, PAD_NONE, NULL, &box);
  if (rc == 0 && (box.bad || box.n != SLOT_BOX)) rc = DMP_E_NOMEM;
  if (rc == 0) memcpy(slot + AT_BOX, box.p, SLOT_BOX);
  buf_free(&box);
  bytes_wipe(kek, sizeof kek);
  return rc;
}

static int slot_open(const uint8_t *slot, unsigned i, const void *pin, size_t pin_len, uint8_t file_key[SUITE_KEY]) {
  uint8_t kek[SUITE_KEY];
  struct buf scratch = {0};
  struct box_ad ad = box_about(i);
  const uint8_t *plain;
  size_t n;
  struct kdf_cost cost = slot_cost(slot);
  int rc = suite_argon2id(pin, pin_len, slot + AT_SALT, cost.ops, cost.mem, kek);
  if (rc == 0) {
    rc = box_open(kek, &ad, slot + AT_BOX, SLOT_BOX, &scratch, &plain, &n);
    if (rc == 0 && n == SUITE_KEY) memcpy(file_key, plain, SUITE_KEY);
    else if (rc == DMP_E_TAMPERED) rc = DMP_E_KEY_PIN;    /* a wrong PIN and an altered slot look the same */
    else if (rc != DMP_E_NOMEM) rc = DMP_E_KEY_FORMAT;
  }
  buf_free(&scratch);
  bytes_wipe(kek, sizeof kek);
  return rc;
}

/* Tries the PIN on every PIN slot. */
static int file_unlock(struct key_file *f, const void *pin, size_t pin_len, uint8_t file_key[SUITE_KEY],
                       unsigned *which) {
  int rc = DMP_E_KEY_FORMAT;
  for (unsigned i = 0; i < slot_count(f); i++) {
    if (get16(slot_at(f, i) + AT_TYPE) != SLOT_PIN) continue;
    *which = i;
    rc = slot_open(slot_at(f, i), i, pin, pin_len, file_key);
    if (rc != DMP_E_KEY_PIN) break;
  }
  return rc;
}

static int payload_seal(struct key_file *f, const uint8_t file_key[SUITE_KEY], const struct credential *c) {
  struct buf plain = {0}, box = {0};
  struct box_ad ad = box_about(PAYLOAD_ID);
  int rc = buf_reserve(&plain, PAYLOAD + FORMER_MAX * 32);
  buf_put(&plain, c->seed, sizeof c->seed);
  buf_put(&plain, c->principal, sizeof c->principal);
  buf_put(&plain, c->record, sizeof c->record);
  buf_put(&plain, c->authority, sizeof c->authority);
  buf_put(&plain, c->directory, sizeof c->directory);
  buf_u32(&plain, c->serial);
  buf_put(&plain, c->former, c->formers * sizeof c->former[0]);
  if (rc == 0 && plain.bad) rc = DMP_E_NOMEM;
  if (rc == 0) rc = box_seal(SUITE_XCHACHA, file_key, &ad, plain.p, plain.n, PAD_NONE, NULL, &box);
  if (rc == 0 && (box.bad || box.n != payload_size(f))) rc = DMP_E_NOMEM;
  if (rc == 0) memcpy(payload_at(f), box.p, box.n);
  buf_free(&plain);
  buf_free(&box);
  return rc;
}

static int payload_get(const uint8_t *p, size_t n, struct credential *c) {
  if (n < PAYLOAD || !payload_allowed((unsigned)n - PAYLOAD + PAYLOAD_BOX)) return DMP_E_KEY_FORMAT;
  memcpy(c->seed, p, 32);
  memcpy(c->principal, p + 32, 16);
  memcpy(c->record, p + 48, 16);
  memcpy(c->authority, p + 64, 64);
  memcpy(c->directory, p + 128, 32);
  c->serial = le_get32(p + 160);
  c->formers = (unsigned)(n - PAYLOAD) / 32;
  memcpy(c->former, p + PAYLOAD, n - PAYLOAD);
  return 0;
}

static int payload_open(struct key_file *f, const uint8_t file_key[SUITE_KEY], struct credential *c) {
  struct buf scratch = {0};
  struct box_ad ad = box_about(PAYLOAD_ID);
  const uint8_t *plain;
  size_t n;
  int rc = box_open(file_key, &ad, payload_at(f), payload_size(f), &scratch, &plain, &n);
  if (rc == 0) rc = payload_get(plain, n, c);
  else if (rc != DMP_E_NOMEM) rc = DMP_E_KEY_FORMAT;
  buf_free(&scratch);
  return rc;
}

/* Whether a file key is this file's: sealing under another one would close the file for ever. */
static int payload_fits(struct key_file *f, const uint8_t file_key[SUITE_KEY]) {
  struct buf scratch = {0};
  struct box_ad ad = box_about(PAYLOAD_ID);
  const uint8_t *plain;
  size_t n;
  int rc = box_open(file_key, &ad, payload_at(f), payload_size(f), &scratch, &plain, &n);
  buf_free(&scratch);
  return rc == 0 || rc == DMP_E_NOMEM ? rc : DMP_E_KEY_PIN;
}

/* The folder of a path and the name in it. */
static int folder_open(const char *path, const char **name) {
  const char *slash = strrchr(path, '/');
  *name = slash == NULL ? path : slash + 1;
  if (**name == 0) return -1;
  if (slash == NULL) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  char *folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
  if (folder == NULL) return -1;
  int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(folder);
  return dir;
}

static int temp_create(int dir, char name[TEMP_NAME]) {
  for (int i = 0; i < TEMP_TRIES; i++) {
    uint8_t tag[8];
    char hex[2 * sizeof tag + 1];
    if (random_bytes("credential-temporary", tag, sizeof tag) != 0) return -1;
    bytes_to_hex(tag, sizeof tag, hex);
    snprintf(name, TEMP_NAME, ".dmpkey-%s", hex);
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

static int write_all(int fd, const uint8_t *p, size_t n) {
  while (n > 0) {
    ssize_t put = write(fd, p, n);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return -1;
    p += put;
    n -= (size_t)put;
  }
  return fsync(fd);
}

/* Gives the finished file its name. Without replace, whatever stands there stays: of two programs at once one wins. */
static int take_name(int dir, const char *temp, const char *name, int replace) {
  if (replace) return renameat(dir, temp, dir, name) == 0 ? 0 : DMP_E_KEY_WRITE;
  if (renameat2(dir, temp, dir, name, RENAME_NOREPLACE) == 0) return 0;
  if (errno == EINVAL || errno == ENOSYS) {           /* a file system that can't: a hard link never replaces either */
    if (linkat(dir, temp, dir, name, 0) == 0) return unlinkat(dir, temp, 0) == 0 ? 0 : DMP_E_KEY_WRITE;
  }
  return errno == EEXIST ? DMP_E_KEY_EXISTS : DMP_E_KEY_WRITE;
}

static int folder_sync(int dir) { return fsync(dir) == 0 || errno == EINVAL ? 0 : DMP_E_KEY_WRITE; }

static int file_write(const char *path, const struct key_file *f, int replace) {
  char temp[TEMP_NAME];
  const char *name;
  int dir = folder_open(path, &name);
  if (dir < 0) return DMP_E_KEY_WRITE;
  int rc = DMP_E_KEY_WRITE;
  int fd = temp_create(dir, temp);
  if (fd < 0) goto out;
  int written = write_all(fd, f->p, f->n);
  if (close(fd) == 0 && written == 0) rc = take_name(dir, temp, name, replace);
  if (rc != 0) { unlinkat(dir, temp, 0); goto out; }
  rc = folder_sync(dir);
  if (rc != 0 && !replace) unlinkat(dir, name, 0);    /* ours, made a moment ago */
out:
  close(dir);
  return rc;
}

void credential_derive(struct credential *c) {
  uint8_t seed[SUITE_KEY];
  suite_kdf_text(c->seed, "ed25519", seed);
  suite_sign_pair(seed, c->sign_pk, c->sign_sk);
  bytes_wipe(seed, sizeof seed);
  suite_kdf_text(c->seed, "x25519", c->box_sk);
  suite_box_pair(c->box_sk, c->box_pk);
  suite_kdf_text(c->seed, "wrap", c->wrap);
  suite_kdf_text(c->seed, "loc", c->loc);
}

int credential_create(const char *path, const void *pin, size_t pin_len, struct kdf_cost cost,
                      const struct credential *c) {
  uint8_t file_key[SUITE_KEY];
  const size_t payload = PAYLOAD_BOX + c->formers * sizeof c->former[0];
  struct key_file f = { .n = HEAD + SLOT + payload };
  struct stat st;
  if (!pin_allowed(pin, pin_len)) return DMP_E_PIN_SHORT;
  if (!cost_allowed(cost)) return DMP_E_KEY_COST;
  if (lstat(path, &st) == 0) return DMP_E_KEY_EXISTS;     /* said before the slow Argon2id; take_name decides */
  memcpy(f.p, MAGIC, AT_SLOTS);
  put16(f.p + AT_SLOTS, 1);
  put16(f.p + AT_PAYLOAD_LENGTH, (unsigned)payload);
  int rc = random_bytes("credential-file-key", file_key, sizeof file_key);
  if (rc == 0) rc = slot_seal(slot_at(&f, 0), 0, pin, pin_len, cost, file_key);
  if (rc == 0) rc = payload_seal(&f, file_key, c);
  if (rc == 0) rc = file_write(path, &f, 0);
  bytes_wipe(file_key, sizeof file_key);
  return rc;
}

static int path_read(const char *path, struct key_file *f) {
  int fd = key_open(path);
  if (fd < 0) return DMP_E_KEY_OPEN;
  int rc = file_read(fd, f);
  close(fd);
  return rc;
}

static int payload_take(struct key_file *f, const uint8_t file_key[SUITE_KEY], struct credential *c) {
  int rc = payload_open(f, file_key, c);
  if (rc == 0) credential_derive(c);
  else bytes_wipe(c, sizeof *c);
  return rc;
}

int credential_open(const char *path, const void *pin, size_t pin_len, struct credential *c, struct kdf_cost *cost) {
  uint8_t file_key[SUITE_KEY];
  struct key_file f;
  unsigned slot = 0;
  bytes_wipe(c, sizeof *c);
  int rc = path_read(path, &f);
  if (rc == 0) rc = file_unlock(&f, pin, pin_len, file_key, &slot);
  if (rc == 0) rc = payload_take(&f, file_key, c);
  if (rc == 0) *cost = slot_cost(slot_at(&f, slot));
  bytes_wipe(file_key, sizeof file_key);
  return rc;
}

int credential_file_key(const char *path, const void *pin, size_t pin_len, uint8_t file_key[SUITE_KEY]) {
  struct key_file f;
  unsigned slot;
  int rc = path_read(path, &f);
  if (rc == 0) rc = file_unlock(&f, pin, pin_len, file_key, &slot);
  if (rc != 0) bytes_wipe(file_key, SUITE_KEY);
  return rc;
}

/* The cost of the first PIN slot: file_check saw that there is one. */
static struct kdf_cost file_cost(struct key_file *f) {
  unsigned i = 0;
  while (get16(slot_at(f, i) + AT_TYPE) != SLOT_PIN) i++;
  return slot_cost(slot_at(f, i));
}

int credential_open_with(const char *path, const uint8_t file_key[SUITE_KEY], struct credential *c, struct kdf_cost *cost) {
  struct key_file f;
  bytes_wipe(c, sizeof *c);
  int rc = path_read(path, &f);
  if (rc != 0) return rc;
  rc = payload_take(&f, file_key, c);
  if (rc == 0) *cost = file_cost(&f);
  return rc == DMP_E_KEY_FORMAT ? DMP_E_KEY_PIN : rc;
}

/* What update and change_pin share: the file behind the path (a link stays a link) is read under a lock, opened,
 * changed and replaced. */
struct change { const struct credential *payload; const void *pin; size_t pin_len; const uint8_t *file_key; /* instead of a PIN */ };

static int file_change(struct key_file *f, const void *pin, size_t pin_len, const struct change *to) {
  uint8_t file_key[SUITE_KEY];
  unsigned i = 0;
  int rc = 0;
  if (to->file_key == NULL) rc = file_unlock(f, pin, pin_len, file_key, &i);
  else if ((rc = payload_fits(f, to->file_key)) == 0) memcpy(file_key, to->file_key, sizeof file_key);
  if (rc == 0 && to->payload != NULL) rc = payload_seal(f, file_key, to->payload);
  if (rc == 0 && to->pin != NULL) {
    uint8_t *slot = slot_at(f, i);
    rc = slot_seal(slot, i, to->pin, to->pin_len, slot_cost(slot), file_key);
  }
  bytes_wipe(file_key, sizeof file_key);
  return rc;
}

static int change(const char *path, const void *pin, size_t pin_len, const struct change *to) {
  struct key_file f;
  char *real = realpath(path, NULL);
  if (real == NULL) return DMP_E_KEY_OPEN;
  int fd = key_open_locked(real);
  int rc = fd < 0 ? DMP_E_KEY_OPEN : file_read(fd, &f);
  if (rc == 0) rc = file_change(&f, pin, pin_len, to);
  if (rc == 0) rc = file_write(real, &f, 1);
  if (fd >= 0) close(fd);
  free(real);
  return rc;
}

int credential_update(const char *path, const void *pin, size_t pin_len, const struct credential *c) {
  return change(path, pin, pin_len, &(struct change){ .payload = c });
}

int credential_update_with(const char *path, const uint8_t file_key[SUITE_KEY], const struct credential *c) {
  return change(path, NULL, 0, &(struct change){ .payload = c, .file_key = file_key });
}

int credential_change_pin(const char *path, const void *old_pin, size_t old_len, const void *new_pin, size_t new_len) {
  if (!pin_allowed(new_pin, new_len)) return DMP_E_PIN_SHORT;
  return change(path, old_pin, old_len, &(struct change){ .pin = new_pin, .pin_len = new_len });
}
