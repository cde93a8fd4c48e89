/* seen.c: see seen.h. Replaced as a whole: a new name in the same folder, fsync, one rename. */
#include "seen.h"
#include "box.h"
#include "dmp.h"
#include "random.h"
#include "suite.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char MAGIC[] = "DMPSEEN\n";
enum { HEAD = 8, PLAIN = 16 + 4 + 32, SEEN_FILE = HEAD + PLAIN + BOX_OVERHEAD_XCHACHA, SEEN_ID = 254 };
_Static_assert(sizeof MAGIC - 1 == HEAD, "seen layout");

static struct box_ad seen_ad(const struct credential *c) {
  struct box_ad ad = { .kind = BOX_CREDENTIAL, .table = IN_FILE, .id = SEEN_ID, .record = c->record };
  return ad;
}

static void seen_key(const struct credential *c, uint8_t key[SUITE_KEY]) { suite_kdf_text(c->seed, "seen", key); }

static char *seen_path(const char *key_path, const char *more) {
  char *path = NULL;
  return asprintf(&path, "%s" SEEN_SUFFIX "%s", key_path, more) < 0 ? NULL : path;
}

/* -1: there is none. */
static ssize_t file_get(const char *path, uint8_t *p, size_t n) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  ssize_t got = fd < 0 ? -1 : read(fd, p, n);
  if (fd >= 0) close(fd);
  return fd < 0 && errno == ENOENT ? -1 : got < 0 ? 0 : got;
}

int seen_read(const char *key_path, const struct credential *c, struct seen *out) {
  uint8_t file[SEEN_FILE + 1], key[SUITE_KEY];
  struct buf scratch = { 0 };
  const uint8_t *plain;
  size_t n;
  char *path = seen_path(key_path, "");
  *out = (struct seen){ 0 };
  if (path == NULL) return DMP_E_NOMEM;
  ssize_t got = file_get(path, file, sizeof file);
  free(path);
  if (got < 0) return DMP_OK;
  if (got != SEEN_FILE || memcmp(file, MAGIC, HEAD) != 0) return DMP_E_CERT_LOG;
  struct box_ad ad = seen_ad(c);
  seen_key(c, key);
  int e = box_open(key, &ad, file + HEAD, SEEN_FILE - HEAD, &scratch, &plain, &n);
  bytes_wipe(key, sizeof key);
  if (e == DMP_OK && (n != PLAIN || memcmp(plain, c->record, 16) != 0)) e = DMP_E_CERT_LOG;
  if (e == DMP_OK) {
    out->entries = le_get32(plain + 16);
    memcpy(out->last, plain + 20, 32);
  }
  buf_free(&scratch);
  return e == DMP_OK || e == DMP_E_NOMEM ? e : DMP_E_CERT_LOG;
}

static int file_put(const char *path, const uint8_t *p, size_t n) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  int whole = write(fd, p, n) == (ssize_t)n && fsync(fd) == 0;
  return close(fd) == 0 && whole ? 0 : -1;
}

void seen_write(const char *key_path, const struct credential *c, const struct seen *s) {
  uint8_t plain[PLAIN], key[SUITE_KEY], tag[8] = { 0 };
  char more[2 * sizeof tag + 2] = ".";
  struct buf file = { 0 }, box = { 0 };
  struct box_ad ad = seen_ad(c);
  memcpy(plain, c->record, 16);
  le_put32(plain + 16, s->entries);
  memcpy(plain + 20, s->last, 32);
  seen_key(c, key);
  int e = random_bytes("seen-temporary", tag, sizeof tag);
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, key, &ad, plain, sizeof plain, PAD_NONE, NULL, &box);
  bytes_wipe(key, sizeof key);
  bytes_to_hex(tag, sizeof tag, more + 1);
  buf_put(&file, MAGIC, HEAD);
  buf_put(&file, box.p, box.n);
  char *path = seen_path(key_path, ""), *temp = seen_path(key_path, more);
  if (e == DMP_OK && !file.bad && path && temp && (file_put(temp, file.p, file.n) != 0 || rename(temp, path) != 0)) unlink(temp);
  free(path);
  free(temp);
  buf_free(&file);
  buf_free(&box);
}
