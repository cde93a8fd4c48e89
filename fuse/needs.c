/* needs.c: see needs.h. */
#include "needs.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "say.h"

enum { FUSE_MAJOR = 10, FUSE_MINOR = 229 };

/* 0, or why the device can't be used; ENODEV for something else at its path. */
static int device(void) {
  struct stat st;
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno;
  int err = fstat(fd, &st) != 0 ? errno : !S_ISCHR(st.st_mode) || st.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR) ? ENODEV : 0;
  close(fd);
  return err;
}

static int can_start(const char *folder, size_t n) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%.*s/fusermount3", (int)n, folder);
  return n > 0 && length < (int)sizeof path && access(path, X_OK) == 0;
}
/* Where libfuse looks for it. */
static int has_fusermount(void) {
  const char *at = getenv("PATH");
  if (can_start("/usr/bin", strlen("/usr/bin")) || can_start("/bin", strlen("/bin"))) return 1;
  while (at != NULL && *at != '\0') {
    size_t n = strcspn(at, ":");
    if (can_start(at, n)) return 1;
    at += n + (at[n] == ':');
  }
  return 0;
}

enum verdict needs_check(int alone) {
  int err = device();
  if (err == EACCES || err == EPERM)
    return say(VERDICT_FUSE, IN("/dev/fuse can't be opened: as root, chmod 666 /dev/fuse; in a container, allow it (--device /dev/fuse)",
                                "/dev/fuse ne s’ouvre pas : en root, chmod 666 /dev/fuse ; dans un conteneur, l’autoriser (--device /dev/fuse)"));
  if (err != 0)
    return say(VERDICT_FUSE, IN("/dev/fuse is missing: as root, modprobe fuse; in a container, give it the device (--device /dev/fuse)",
                                "/dev/fuse manque : en root, modprobe fuse ; dans un conteneur, lui donner ce périphérique (--device /dev/fuse)"));
  if (!alone && !has_fusermount())
    return say(VERDICT_FUSE, IN("fusermount3 is missing, and only root mounts without it: install the package fuse3",
                                "fusermount3 manque, et sans lui seul root peut monter : installez le paquet fuse3"));
  return VERDICT_MOUNTED;
}
