/* import_walk.c: the regular files below a path, in the order of their names. Every step is taken from an open folder
 * and follows no link, so that a folder changed meanwhile leads nowhere else.
 * Owns: the open folders.  Never: reads what is in a file but for import_walk_read(). */
#include "import_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT3

enum { FOLDERS_MAX = 64 };

struct folder { int fd; char *path; char **name; size_t n, at; };
struct import_walk { struct folder folder[FOLDERS_MAX]; int depth; char *single; };

static void folder_close(struct folder *f) {
  for (size_t i = 0; i < f->n; i++) free(f->name[i]);
  free(f->name);
  free(f->path);
  if (f->fd >= 0) close(f->fd);
  *f = (struct folder){ .fd = -1 };
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int add_name(struct folder *f, const char *name) {
  if ((f->n & (f->n - 1)) == 0) {                     /* a power of two: full */
    char **more = realloc(f->name, (f->n ? 2 * f->n : 1) * sizeof *more);
    if (more == NULL) return ENOMEM;
    f->name = more;
  }
  f->name[f->n] = strdup(name);
  return f->name[f->n] ? (f->n++, 0) : ENOMEM;
}

/* Takes over fd. 0, or errno with nothing open. */
static int folder_open(struct folder *f, int fd, const char *path) {
  *f = (struct folder){ .fd = fd, .path = strdup(path) };
  int copy = dup(fd), error = 0;
  DIR *d = copy < 0 ? NULL : fdopendir(copy);
  if (d == NULL || f->path == NULL) error = errno ? errno : ENOMEM;
  for (struct dirent *e; !error && (errno = 0, e = readdir(d)) != NULL;)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) error = add_name(f, e->d_name);
  if (!error) error = errno;
  if (d != NULL) closedir(d);
  else if (copy >= 0) close(copy);
  if (error) folder_close(f);
  else if (f->n) qsort(f->name, f->n, sizeof *f->name, by_name);
  return error;
}

int import_walk_open(const char *path, struct import_walk **out) {
  struct stat st;
  int error = 0, fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  *out = NULL;
  if (fd < 0) return errno;
  struct import_walk *w = calloc(1, sizeof *w);
  if (w == NULL) error = ENOMEM;
  else if (fstat(fd, &st) != 0) error = errno;
  else if (S_ISREG(st.st_mode)) {
    w->single = strdup(path);
    w->folder[0].fd = fd;
    if (w->single == NULL) error = ENOMEM;
  } else if (!S_ISDIR(st.st_mode)) error = EINVAL;
  else if ((error = folder_open(&w->folder[0], fd, path)) == 0) w->depth = 1;
  else fd = -1;                                       /* folder_open() closed it */
  if (error) {
    if (fd >= 0) close(fd);
    free(w);
    return error;
  }
  *out = w;
  return 0;
}

/* A name that is not UTF-8 still has its line: other bytes show as question marks. */
static char *display(const char *folder, const char *name) {
  char *s = sqlite3_mprintf("%s/%s", folder, name);
  for (unsigned char *p = (unsigned char *)s; p != NULL && *p; p++) {
    int more = *p < 0x80 ? 0 : *p < 0xc2 || *p > 0xf4 ? -1 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
    for (int i = 1; i <= more; i++)
      if ((p[i] & 0xc0) != 0x80) more = -1;
    if (more < 0) *p = '?';
    else p += more;
  }
  return s;
}

/* Goes into a folder: 0, or 1 when it can't be listed and wants a line of its own. */
static int enter(struct import_walk *w, int dir, const char *name) {
  struct folder *f = &w->folder[w->depth - 1];
  char *path = sqlite3_mprintf("%s/%s", f->path, name);
  int fd = -1;
  if (path != NULL && w->depth < FOLDERS_MAX) fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int bad = fd < 0 || folder_open(&w->folder[w->depth], fd, path) != 0;
  if (!bad) w->depth++;
  sqlite3_free(path);
  return bad;
}

int import_walk_next(struct import_walk *w, char **name, int *fd) {
  struct stat st;
  if (w->single != NULL) {
    *name = sqlite3_mprintf("%s", w->single);
    *fd = w->folder[0].fd;
    free(w->single);
    w->single = NULL;
    return *name ? 1 : (close(*fd), -1);
  }
  while (w->depth > 0) {
    struct folder *f = &w->folder[w->depth - 1];
    if (f->at == f->n) {
      folder_close(f);
      w->depth--;
      continue;
    }
    const char *entry = f->name[f->at++];
    *fd = -1;
    int known = fstatat(f->fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (known && S_ISDIR(st.st_mode) && enter(w, f->fd, entry) == 0) continue;
    if (known && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) continue;
    if (known && S_ISREG(st.st_mode))
      *fd = openat(f->fd, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    *name = display(f->path, entry);
    if (*name != NULL) return 1;
    if (*fd >= 0) close(*fd);
    return -1;
  }
  return 0;
}

void import_walk_free(struct import_walk *w) {
  if (w == NULL) return;
  while (w->depth > 0) folder_close(&w->folder[--w->depth]);
  if (w->single != NULL) close(w->folder[0].fd);
  free(w->single);
  free(w);
}

int import_walk_read(int fd, struct buf *out) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return -1;
  if (st.st_size > PARSE_FILE_MAX) return PARSE_E_HUGE;
  size_t room = (size_t)st.st_size + 1;               /* one more: a file that grows is seen */
  if (buf_reserve(out, room) != 0) return PARSE_E_MEMORY;
  while (out->n < room) {
    ssize_t n = read(fd, out->p + out->n, room - out->n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) return out->n == room - 1 ? 0 : -1;
    out->n += (size_t)n;
  }
  return -1;
}
