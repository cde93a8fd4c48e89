/* cache.c: see cache.h. */
#define FUSE_USE_VERSION 35
#include "cache.h"
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "status.h"
#include "tree.h"

struct cache {
  struct tree *tree;                        /* borrowed */
  struct fuse_session *se;                  /* borrowed */
  pthread_t thread;
  int to_thread, from_owner;                /* a pipe of inode numbers; its end ends the thread */
  int ended;                                /* the thread is joined */
  int64_t looked;
};

/* Sends a notice for each inode number. ENOENT means that the kernel no longer knows it, which is as good. */
static void *send_notices(void *arg) {
  const struct cache *c = arg;
  uint64_t ino;
  ssize_t n;
  while ((n = read(c->from_owner, &ino, sizeof ino)) == (ssize_t)sizeof ino || (n < 0 && errno == EINTR))
    if (n > 0) {
      fuse_lowlevel_notify_inval_inode(c->se, ino, 0, 0);
      status_notices(1);
    }
  return NULL;
}

int cache_new(struct cache **out, struct tree *tree, struct fuse_session *se) {
  int ends[2];
  *out = NULL;
  struct cache *c = calloc(1, sizeof *c);
  if (c == NULL) return ENOMEM;
  if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0) {
    int err = errno;
    free(c);
    return err;
  }
  c->tree = tree;
  c->se = se;
  c->from_owner = ends[0];
  c->to_thread = ends[1];
  int err = pthread_create(&c->thread, NULL, send_notices, c);
  if (err != 0) {
    close(ends[0]);
    close(ends[1]);
    free(c);
    return err;
  }
  *out = c;
  return 0;
}

/* A pipe takes thousands of numbers. When it is full the thread may be waiting for a page that this one has to
 * deliver: it is not waited for, the next look asks again. */
static int queue(void *arg, uint64_t ino) {
  const struct cache *c = arg;
  return write(c->to_thread, &ino, sizeof ino) == (ssize_t)sizeof ino;
}

void cache_look(struct cache *c) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  int64_t now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
  if (!tree_has_open(c->tree) || now - c->looked < CACHE_LOOK_MS) return;
  c->looked = now;
  tree_gone(c->tree, queue, c);
}

int cache_end(struct cache *c) {
  if (c->to_thread >= 0 && tree_open_left(c->tree, queue, c) == 0) {
    close(c->to_thread);
    c->to_thread = -1;
  }
  if (c->to_thread < 0 && !c->ended) c->ended = pthread_tryjoin_np(c->thread, NULL) == 0;
  return c->ended;
}

int cache_free(struct cache *c) {
  struct timespec until;
  if (c == NULL) return 0;
  if (c->to_thread >= 0) close(c->to_thread);
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec++;
  if (!c->ended && pthread_timedjoin_np(c->thread, NULL, &until) != 0) return EBUSY;
  close(c->from_owner);
  free(c);
  return 0;
}
