/* draw.c: see draw.h. The answer comes from a process that has read hostile bytes: its length is bounded, its time measured
 * here, its text is a page in a browser's eyes and nothing in ours. */
#include "draw.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The helper ends its own child after DRAW_SECONDS (ext/draw_main.c); this is for a helper that hangs. */
enum { WAIT_MS = 10000, PAGE_MAX = 32 << 20 };

/* What one helper is doing. In this order; STEP_IDLE: nothing. */
enum step { STEP_IDLE, STEP_SEND_SIZE, STEP_SEND, STEP_READ_SIZE, STEP_READ };
struct helper {
  pid_t pid;
  int fd;                                   /* -1 when it has gone */
  enum step step;
  uint64_t of, size;                        /* of what is sent, then of what is read */
  size_t at;                                /* of the step: bytes done */
  struct text text;                         /* owned: the document, then its page */
  int64_t until;
};
struct draw { struct helper helper[DRAW_HELPERS]; };

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

static int helper_new(struct helper *h, const char *program) {
  int pair[2], err;
  h->fd = -1;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return errno;
  err = fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 ? start(program, pair[1], &h->pid) : errno;
  close(pair[1]);
  if (err == 0) h->fd = pair[0];
  else close(pair[0]);
  return err;
}

/* It ends at the end of its input, when its own child's time is up at the latest. */
static void helper_end(struct helper *h) {
  if (h->fd < 0) return;
  close(h->fd);
  h->fd = -1;
  h->step = STEP_IDLE;
  text_free(&h->text);
  waitpid(h->pid, NULL, WNOHANG);
}

int draw_new(struct draw **out) {
  char self[PATH_MAX], *program = NULL;
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  struct draw *d = calloc(1, sizeof *d);
  *out = NULL;
  if (d == NULL || n <= 0 || (self[n] = '\0', asprintf(&program, "%s/dmp-draw", dirname(self))) < 0) {
    free(d);
    return ENOMEM;
  }
  int err = 0;
  for (int i = 0; i < DRAW_HELPERS; i++) {
    if (err == 0) err = helper_new(&d->helper[i], program);
    else d->helper[i].fd = -1;
  }
  free(program);
  if (err == 0) *out = d;
  else draw_free(d);
  return err;
}

void draw_free(struct draw *d) {
  for (int i = 0; d != NULL && i < DRAW_HELPERS; i++) helper_end(&d->helper[i]);
  free(d);
}

int draw_ready(const struct draw *d) {
  int alive = 0;
  for (int i = 0; d != NULL && i < DRAW_HELPERS; i++) {
    if (d->helper[i].fd >= 0 && d->helper[i].step == STEP_IDLE) return 0;
    alive += d->helper[i].fd >= 0;
  }
  return alive > 0 ? EBUSY : EIO;
}

int draw_begin(struct draw *d, uint64_t of, const void *xml, size_t n) {
  struct helper *h = d->helper;
  while (h->fd < 0 || h->step != STEP_IDLE) h++;
  h->text = (struct text){ malloc(n + 1), n, n + 1 };
  if (h->text.p == NULL) {
    h->text = (struct text){ 0 };
    return ENOMEM;
  }
  memcpy(h->text.p, xml, n);
  h->of = of;
  h->size = n;
  h->at = 0;
  h->until = now_ms() + WAIT_MS;
  h->step = STEP_SEND_SIZE;
  return 0;
}

/* The bytes of the step that is done, one way or the other. 0 when all are; EAGAIN; EIO. */
static int move(struct helper *h) {
  int writing = h->step == STEP_SEND_SIZE || h->step == STEP_SEND;
  char *p = h->step == STEP_SEND || h->step == STEP_READ ? h->text.p : (char *)&h->size;
  size_t n = h->step == STEP_SEND || h->step == STEP_READ ? h->text.n : sizeof h->size;
  while (h->at < n) {
    ssize_t done = writing ? send(h->fd, p + h->at, n - h->at, MSG_NOSIGNAL) : read(h->fd, p + h->at, n - h->at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EAGAIN) return EAGAIN;
    if (done <= 0) return EIO;
    h->at += (size_t)done;
  }
  h->at = 0;
  return 0;
}

/* As far as it goes without waiting. 0: the page is there; EINVAL; EIO; EAGAIN. */
static int advance(struct helper *h) {
  int err = 0;
  while (err == 0 && (err = move(h)) == 0) {
    if (h->step == STEP_READ) return 0;
    if (h->step == STEP_SEND) text_free(&h->text);
    if (h->step == STEP_READ_SIZE) {
      if (h->size == 0) return EINVAL;
      if (h->size > PAGE_MAX || (h->text.p = malloc(h->size)) == NULL) return EIO;
      h->text.n = h->text.cap = h->size;
    }
    h->step++;
  }
  return err == EAGAIN && now_ms() >= h->until ? EIO : err;
}

int draw_next(struct draw *d, uint64_t *of, struct text *out) {
  *out = (struct text){ 0 };
  for (int i = 0; d != NULL && i < DRAW_HELPERS; i++) {
    struct helper *h = &d->helper[i];
    int err = h->step == STEP_IDLE ? EAGAIN : advance(h);
    if (err == EAGAIN) continue;
    *of = h->of;
    if (err == EIO) helper_end(h);          /* what comes next from it could be anything */
    *out = h->text;
    h->text = (struct text){ 0 };
    h->step = STEP_IDLE;
    if (err != 0) text_free(out);
    return err;
  }
  return EAGAIN;
}

nfds_t draw_poll(const struct draw *d, struct pollfd p[DRAW_HELPERS], int *ms) {
  nfds_t n = 0;
  for (int i = 0; d != NULL && i < DRAW_HELPERS; i++) {
    const struct helper *h = &d->helper[i];
    if (h->step == STEP_IDLE) continue;
    int64_t left = h->until - now_ms();
    if (left < 0) left = 0;
    if (*ms < 0 || left < *ms) *ms = (int)left;
    p[n++] = (struct pollfd){ .fd = h->fd, .events = h->step <= STEP_SEND ? POLLOUT : POLLIN };
  }
  return n;
}
