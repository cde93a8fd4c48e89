/* anchor.c: the anchor file (see anchor.h). */
#include "anchor.h"
#include "random.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t MAGIC[8] = { 'd', 'm', 'p', ' ', 'a', 'n', 'c', '1' };
enum { HEAD = 64 };

static int anchor_path(const struct record *r, char **out) {
  size_t n = strlen(r->path) + sizeof DMP_ANCHOR_SUFFIX;
  *out = malloc(n);
  if (*out == NULL) return DMP_E_NOMEM;
  snprintf(*out, n, "%s%s", r->path, DMP_ANCHOR_SUFFIX);
  return DMP_OK;
}

int anchor_create(struct record *r) {
  char *path = NULL;
  uint8_t head[HEAD] = { 0 };
  int e = anchor_path(r, &path);
  if (e != DMP_OK) return e;
  memcpy(head, MAGIC, 8);
  memcpy(head + 8, r->id, 16);
  r->anchor_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (r->anchor_fd < 0 || write(r->anchor_fd, head, HEAD) != HEAD || fsync(r->anchor_fd) != 0) e = DMP_E_ANCHOR_OPEN;
  free(path);
  return e;
}

/* Writing needs a descriptor that may write; reading makes do with one that may not. */
static int anchor_open(struct record *r, int writing) {
  if (r->anchor_fd >= 0) {
    int mode = fcntl(r->anchor_fd, F_GETFL) & O_ACCMODE;
    if (!writing || mode == O_RDWR) return DMP_OK;
    close(r->anchor_fd);
    r->anchor_fd = -1;
  }
  char *path = NULL;
  uint8_t head[HEAD];
  int e = anchor_path(r, &path);
  if (e != DMP_OK) return e;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0 && !writing) fd = open(path, O_RDONLY | O_CLOEXEC);
  free(path);
  if (fd < 0) return DMP_E_ANCHOR_OPEN;
  if (pread(fd, head, HEAD, 0) != HEAD) e = DMP_E_ANCHOR_SHORT;
  else if (memcmp(head, MAGIC, 8) != 0 || memcmp(head + 8, r->id, 16) != 0) e = DMP_E_ANCHOR_OTHER;
  if (e != DMP_OK) close(fd);
  else r->anchor_fd = fd;
  return e;
}

int anchor_get(struct record *r, int64_t slot, uint8_t out[ANCHOR_BYTES]) {
  int e = anchor_open(r, 0);
  if (e != DMP_OK) return e;
  if (slot < 0 || slot > INT64_MAX / ANCHOR_BYTES - 2) return DMP_E_GRANT_BAD;
  if (pread(r->anchor_fd, out, ANCHOR_BYTES, HEAD + slot * ANCHOR_BYTES) != ANCHOR_BYTES) return DMP_E_ANCHOR_SHORT;
  return DMP_OK;
}

int anchor_add(struct record *r, int64_t *slot, uint8_t out[ANCHOR_BYTES]) {
  int e = anchor_open(r, 1);
  if (e != DMP_OK) return e;
  if ((e = random_bytes("anchor", out, ANCHOR_BYTES)) != DMP_OK) return e;
  if (flock(r->anchor_fd, LOCK_EX) != 0) return DMP_E_ANCHOR_OPEN;
  struct stat st;
  e = DMP_E_ANCHOR_OPEN;
  if (fstat(r->anchor_fd, &st) == 0 && st.st_size >= HEAD) {
    *slot = (st.st_size - HEAD + ANCHOR_BYTES - 1) / ANCHOR_BYTES;   /* a torn last slot is left behind */
    if (pwrite(r->anchor_fd, out, ANCHOR_BYTES, HEAD + *slot * ANCHOR_BYTES) == ANCHOR_BYTES && fdatasync(r->anchor_fd) == 0) e = DMP_OK;
  }
  flock(r->anchor_fd, LOCK_UN);
  return e;
}
