/* keeper.c: see keeper.h. */
#include "keeper.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What the driver says once: which mount is its own. Another one may lie at the path by the time it ends. */
struct mounted { uint32_t major, minor; char path[PATH_MAX]; };

/* The kernel tells it without asking the driver, which may be dead. */
static int device_of(const char *path, uint32_t *major, uint32_t *minor) {
  struct statx stx;
  if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) != 0) return errno;
  *major = stx.stx_dev_major;
  *minor = stx.stx_dev_minor;
  return 0;
}
static int is_there(const struct mounted *m) {
  uint32_t major, minor;
  return device_of(m->path, &major, &minor) == 0 && major == m->major && minor == m->minor;
}

static void run_fusermount(const char *option, char *path) {
  char how[8], program[] = "fusermount3", quiet[] = "-q", end[] = "--";
  char *argv[] = { program, how, quiet, end, path, NULL };
  pid_t pid;
  strncpy(how, option, sizeof how - 1)[sizeof how - 1] = '\0';
  if (posix_spawnp(&pid, program, NULL, NULL, argv, environ) == 0) waitpid(pid, NULL, 0);
}

static void unmount(struct mounted *m) {
  if (!is_there(m)) return;
  if (umount2(m->path, UMOUNT_NOFOLLOW) != 0 && errno == EPERM) run_fusermount("-u", m->path);
  if (!is_there(m)) return;
  if (umount2(m->path, UMOUNT_NOFOLLOW | MNT_DETACH) != 0 && errno == EPERM) run_fusermount("-uz", m->path);
}

/* Signals to the whole group are the driver's to answer. */
static void keep(int fd) {
  struct mounted m;
  char end;
  setsid();
  if (chdir("/") != 0) _exit(1);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; null >= 0 && i <= 2; i++) dup2(null, i);
  if (fd > 3) close_range(3, (unsigned)fd - 1, 0);      /* the descriptor of a PIN among them */
  close_range((unsigned)fd + 1, ~0U, 0);
  prctl(PR_SET_NAME, "dmpfs-keeper", 0, 0, 0);
  for (int s = 1; s < NSIG; s++)
    if (s != SIGCHLD) signal(s, SIG_IGN);
  if (read(fd, &m, sizeof m) != (ssize_t)sizeof m) _exit(0);
  while (read(fd, &end, 1) < 0 && errno == EINTR) {}
  unmount(&m);
  _exit(0);
}

int keeper_start(struct keeper *k) {
  int ends[2];
  *k = (struct keeper){ -1, -1 };
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno;
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    keep(ends[1]);
  }
  int err = pid < 0 ? errno : 0;
  close(ends[1]);
  if (err == 0) *k = (struct keeper){ ends[0], (int)pid };
  else close(ends[0]);
  return err;
}

int keeper_mounted(const struct keeper *k, const char *mountpoint) {
  struct mounted m = { 0 };
  if (strlen(mountpoint) >= sizeof m.path) return ENAMETOOLONG;
  strcpy(m.path, mountpoint);
  int err = device_of(m.path, &m.major, &m.minor);
  if (err != 0) return err;
  return send(k->fd, &m, sizeof m, MSG_NOSIGNAL) == (ssize_t)sizeof m ? 0 : errno;
}

void keeper_end(struct keeper *k) {
  if (k->pid < 0) return;
  close(k->fd);
  while (waitpid((pid_t)k->pid, NULL, 0) < 0 && errno == EINTR) {}
  k->pid = -1;
}
