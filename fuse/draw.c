/* draw.c: see draw.h. The answer comes from a process that has read hostile bytes: its length is bounded, its time measured
 * here, its text is a page in a browser's eyes and nothing in ours. */
#include "draw.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The helper ends its own child after DRAW_SECONDS (ext/draw_main.c); this is for a helper that hangs. */
enum { WAIT_MS = 10000, PAGE_MAX = 32 << 20 };

struct draw { pid_t pid; int fd; };         /* fd: -1 when the helper has gone */

static int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Starts the helper with nothing: one socket, no environment, no signal held. */
static int start(const char *program, int theirs, pid_t *pid) {
  char *argv[] = { (char *)"dmp-draw", NULL }, *env[] = { NULL };
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int err = posix_spawn_file_actions_init(&files);
  if (err) return err;
  if ((err = posix_spawnattr_init(&attr)) == 0) {
    if ((err = posix_spawn_file_actions_adddup2(&files, theirs, 0)) == 0 &&
        (err = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0)) == 0 &&
        (err = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0)) == 0 &&
        (err = posix_spawn_file_actions_addclosefrom_np(&files, 3)) == 0 &&
        (err = posix_spawnattr_setsigmask(&attr, &none)) == 0 && (err = posix_spawnattr_setsigdefault(&attr, &all)) == 0 &&
        (err = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0)
      err = posix_spawn(pid, program, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
  }
  posix_spawn_file_actions_destroy(&files);
  return err;
}

int draw_new(struct draw **out) {
  char self[PATH_MAX], *program = NULL;
  int pair[2], err;
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  struct draw *d = calloc(1, sizeof *d);
  *out = NULL;
  if (d == NULL || n <= 0 || (self[n] = '\0', asprintf(&program, "%s/dmp-draw", dirname(self))) < 0) {
    free(d);
    return ENOMEM;
  }
  err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 ? 0 : errno;
  if (err == 0) {
    err = fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 ? start(program, pair[1], &d->pid) : errno;
    close(pair[1]);
    if (err != 0) close(pair[0]);
  }
  free(program);
  d->fd = err == 0 ? pair[0] : -1;
  if (err == 0) *out = d;
  else free(d);
  return err;
}

static void end(struct draw *d) {
  if (d->fd < 0) return;
  close(d->fd);                             /* it ends at the end of its input, when its own child's time is up at the latest */
  d->fd = -1;
  waitpid(d->pid, NULL, WNOHANG);
}

int draw_pid(const struct draw *d) { return d != NULL ? (int)d->pid : 0; }

void draw_free(struct draw *d) {
  if (d == NULL) return;
  end(d);
  free(d);
}

/* Moves all n bytes, one way or the other, before the time is up. */
static int move(const struct draw *d, void *p, size_t n, int writing, int64_t until) {
  char *at = p;
  while (n > 0) {
    int64_t left = until - now_ms();
    struct pollfd f = { .fd = d->fd, .events = writing ? POLLOUT : POLLIN };
    int ready = left > 0 ? poll(&f, 1, (int)left) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return EIO;
    ssize_t done = writing ? send(d->fd, at, n, MSG_NOSIGNAL) : read(d->fd, at, n);
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (done <= 0) return EIO;
    at += done;
    n -= (size_t)done;
  }
  return 0;
}

int draw_page(struct draw *d, const void *xml, size_t n, struct text *out) {
  uint64_t size = n, until = (uint64_t)now_ms() + WAIT_MS;
  *out = (struct text){ 0 };
  if (d == NULL || d->fd < 0) return EIO;
  int err = move(d, &size, sizeof size, 1, (int64_t)until);
  if (err == 0) err = move(d, (void *)(uintptr_t)xml, n, 1, (int64_t)until);
  if (err == 0) err = move(d, &size, sizeof size, 0, (int64_t)until);
  if (err == 0 && size > PAGE_MAX) err = EIO;
  if (err == 0 && size == 0) return EINVAL;
  if (err == 0 && (out->p = malloc(size)) == NULL) err = EIO;
  out->cap = out->p != NULL ? size : 0;
  if (err == 0) err = move(d, out->p, size, 0, (int64_t)until);
  out->n = size;
  if (err == 0) return 0;
  text_free(out);
  end(d);                                   /* what comes next could be anything */
  return err;
}
