/* main.c: dmpfs, the file door: options, start-up, one loop, the end. Exit codes are in verdict.h.
 *
 *   dmpfs RECORD MOUNTPOINT -o key=FILE[,pinfd=N][,ext=PATH][,layout=FILE][,allow_other][,nonempty][,uid=N][,gid=N][,umask=OCTAL] [-f]
 *
 * The PIN is the first line read from descriptor N; without pinfd the extension looks in the kernel's keyring
 * (dmp_unlock), then asks $DMP_ASKPASS. Always
 * read-only, nosuid, nodev, noexec, with the kernel checking permissions by owner and mode (umask 077 unless given).
 *
 * The driver logs in after its fork, because a session does not survive one; the parent waits for the verdict and
 * ends with its exit code, so that whoever mounts reads every start-up error. One connection, used by one thread:
 * requests are answered one after the other, so no reply mixes two states of the record. The only other thread is
 * cache.c's, which sees neither. */
#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include "cache.h"
#include "db.h"
#include "draw.h"
#include "dmp.h"
#include "ops.h"
#include "tree.h"

extern char **environ;

struct options {
  char *record, *mountpoint, *key, *extension, *layout;      /* owned */
  int pinfd, foreground, allow_other, nonempty, uid, gid, umask, help, version;
};
#define OPTION(template, field, value) { template, offsetof(struct options, field), value }
enum { KEY_IGNORED = 1, REQUESTS_AT_ONCE = 64 };
static const struct fuse_opt OPTIONS[] = {
  OPTION("key=%s", key, 0), OPTION("ext=%s", extension, 0), OPTION("layout=%s", layout, 0), OPTION("pinfd=%i", pinfd, 0),
  OPTION("allow_other", allow_other, 1), OPTION("nonempty", nonempty, 1), OPTION("uid=%i", uid, 0),
  OPTION("gid=%i", gid, 0), OPTION("umask=%o", umask, 0), OPTION("-f", foreground, 1),
  OPTION("-h", help, 1), OPTION("--help", help, 1), OPTION("-V", version, 1), OPTION("--version", version, 1),
  /* What mount(8) and fstab add: already so, or theirs alone. */
  FUSE_OPT_KEY("ro", KEY_IGNORED), FUSE_OPT_KEY("rw", KEY_IGNORED), FUSE_OPT_KEY("nosuid", KEY_IGNORED),
  FUSE_OPT_KEY("nodev", KEY_IGNORED), FUSE_OPT_KEY("noexec", KEY_IGNORED),
  FUSE_OPT_KEY("default_permissions", KEY_IGNORED),
  FUSE_OPT_KEY("auto", KEY_IGNORED), FUSE_OPT_KEY("noauto", KEY_IGNORED), FUSE_OPT_KEY("user", KEY_IGNORED),
  FUSE_OPT_KEY("nouser", KEY_IGNORED), FUSE_OPT_KEY("users", KEY_IGNORED), FUSE_OPT_KEY("nofail", KEY_IGNORED),
  FUSE_OPT_KEY("_netdev", KEY_IGNORED), FUSE_OPT_END
};
static const char USAGE[] =
  "usage: dmpfs RECORD MOUNTPOINT -o key=FILE[,option...] [-f]\n"
  "  key=FILE      the credential that mounts; one mount shows what one identity may see\n"
  "  pinfd=N       read the PIN from descriptor N (one line); else dmp_unlock()'s keyring, then $DMP_ASKPASS\n"
  "  ext=PATH      the extension dmp.so (default: beside dmpfs)\n"
  "  layout=FILE   changes to the names and pages of the tree (schema/layout.sql); schema/layouts has some\n"
  "  allow_other   other users may enter, as owner and mode allow\n"
  "  nonempty      mount also over another mount, or over a directory that holds something\n"
  "  uid=N gid=N umask=OCTAL   owner and mode of all entries (default: whoever mounts, 077)\n"
  "  -f            stay in the foreground\n"
  "exit codes: 2 usage, 3 record can't be opened, 4 not a record or another version, 5 credential, 6 PIN,\n"
  "  7 mount point, 8 fuse, 9 extension, 10 record damaged or altered, 11 system, 12 layout\n";

static enum verdict say(enum verdict v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static enum verdict say(enum verdict v, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("dmpfs: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  return v;
}

/* ---- options ---- */

static int on_option(void *data, const char *arg, int key, struct fuse_args *out) {
  struct options *o = data;
  (void)out;
  if (key == KEY_IGNORED) return 0;
  if (key == FUSE_OPT_KEY_OPT && strncmp(arg, "x-", 2) == 0) return 0;
  if (key == FUSE_OPT_KEY_OPT) {
    say(VERDICT_USAGE, "unknown option %s; dmpfs -h lists the options", arg);
    return -1;
  }
  char **place = o->record == NULL ? &o->record : o->mountpoint == NULL ? &o->mountpoint : NULL;
  if (place == NULL) {
    say(VERDICT_USAGE, "one record and one mount point, please: what is %s?", arg);
    return -1;
  }
  return (*place = strdup(arg)) == NULL ? -1 : 0;
}

static void free_options(struct options *o) {
  free(o->record);
  free(o->mountpoint);
  free(o->key);
  free(o->extension);
  free(o->layout);
}

/* dmp.so beside the executable. */
static char *default_extension(void) {
  char self[PATH_MAX], *path = NULL;
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return strdup("dmp.so");
  self[n] = '\0';
  return asprintf(&path, "%s/dmp.so", dirname(self)) < 0 ? NULL : path;
}

static enum verdict read_options(struct options *o, int argc, char **argv) {
  struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
  *o = (struct options){ .pinfd = -1, .uid = -1, .gid = -1, .umask = 077 };
  int rc = fuse_opt_parse(&args, o, OPTIONS, on_option);
  fuse_opt_free_args(&args);
  if (rc != 0) return VERDICT_USAGE;
  if (o->help || o->version) return VERDICT_MOUNTED;
  if (o->record == NULL || o->mountpoint == NULL || o->key == NULL) {
    fputs(USAGE, stderr);
    return VERDICT_USAGE;
  }
  if (o->umask < 0 || o->umask > 0777) return say(VERDICT_USAGE, "umask is an octal number up to 777");
  if (o->uid == -1) o->uid = (int)getuid();
  if (o->gid == -1) o->gid = (int)getgid();
  if (o->uid < 0 || o->gid < 0) return say(VERDICT_USAGE, "uid and gid are numbers");
  if (o->extension == NULL) o->extension = default_extension();
  return o->extension == NULL ? say(VERDICT_SYSTEM, "out of memory") : VERDICT_MOUNTED;
}

/* ---- start ---- */

/* Keys and names are in this process's memory: no core dump, no reading by other processes of the same user. */
static void harden(void) {
  struct rlimit none = { 0, 0 };
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* What a mount would hide: a sentence's end, or NULL for an empty directory. Only its owner may look into another user's
 * mount; the kernel knows it is one all the same. */
static const char *would_hide(const char *directory) {
  struct statx stx;
  if (statx(AT_FDCWD, directory, 0, 0, &stx) == 0 && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
    return "holds a mount already";
  DIR *d = opendir(directory);
  if (d == NULL) return strerror(errno);
  struct dirent *entry;
  do entry = readdir(d);
  while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
  closedir(d);
  return entry != NULL ? "is not empty" : NULL;
}

/* Replaces the mount point by its full path: the daemon leaves this directory. */
static enum verdict check_mountpoint(struct options *o) {
  struct stat st;
  struct statvfs vfs;                       /* asks the file system, where stat() may answer from the kernel's memory */
  char *full = realpath(o->mountpoint, NULL);
  int err = full == NULL || stat(full, &st) != 0 || statvfs(full, &vfs) != 0 ? errno : 0;
  if (err == 0 && !S_ISDIR(st.st_mode)) err = ENOTDIR;
  if (full != NULL) {
    free(o->mountpoint);
    o->mountpoint = full;
  }
  if (err == ENOTCONN)
    return say(VERDICT_MOUNTPOINT, "%s holds a mount whose driver has died: run fusermount3 -u on it first",
               o->mountpoint);
  if (err != 0) return say(VERDICT_MOUNTPOINT, "the mount point %s can't be used: %s", o->mountpoint, strerror(err));
  const char *hidden = o->nonempty ? NULL : would_hide(o->mountpoint);
  return hidden == NULL ? VERDICT_MOUNTED
                        : say(VERDICT_MOUNTPOINT, "the mount point %s %s; -o nonempty mounts all the same", o->mountpoint,
                              hidden);
}

/* One line from a descriptor, without its end; the descriptor is closed: it is the PIN's, and read once. */
static enum verdict read_pin(int fd, char pin[DMP_PIN_MAX + 1]) {
  size_t n = 0;
  ssize_t got = 1;
  while (n <= DMP_PIN_MAX && (got = read(fd, pin + n, 1)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || pin[n] == '\n') break;
    n++;
  }
  int failed = got < 0 ? errno : 0;
  close(fd);
  if (failed) return say(VERDICT_PIN, "the PIN can't be read from descriptor %d: %s", fd, strerror(failed));
  if (n > DMP_PIN_MAX) return say(VERDICT_PIN, "the PIN on descriptor %d is longer than %d bytes", fd, DMP_PIN_MAX);
  pin[n] = '\0';
  if (n == 0) return say(VERDICT_PIN, "there is no PIN on descriptor %d", fd);
  return VERDICT_MOUNTED;
}

static enum verdict open_record(const struct options *o, struct db **db) {
  char pin[DMP_PIN_MAX + 1] = "", why[DB_WHY_MAX] = "";
  struct db_options d = { o->record, o->key, o->extension, o->pinfd >= 0 ? pin : NULL, o->layout };
  enum verdict v = o->pinfd >= 0 ? read_pin(o->pinfd, pin) : VERDICT_MOUNTED;
  if (v == VERDICT_MOUNTED && (v = db_open(db, &d, why)) != VERDICT_MOUNTED) say(v, "%s", why);
  explicit_bzero(pin, sizeof pin);
  return v;
}

static enum verdict mount_tree(const struct options *o, struct ops *ops, struct fuse_session **out) {
  struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
  const char *how = o->allow_other ? "ro,nosuid,nodev,noexec,default_permissions,fsname=dmpfs,subtype=dmpfs,allow_other"
                                   : "ro,nosuid,nodev,noexec,default_permissions,fsname=dmpfs,subtype=dmpfs";
  struct fuse_session *se = NULL;
  if (fuse_opt_add_arg(&args, "dmpfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 && fuse_opt_add_arg(&args, how) == 0)
    se = fuse_session_new(&args, &ops_table, sizeof ops_table, ops);
  fuse_opt_free_args(&args);
  if (se == NULL) return say(VERDICT_SYSTEM, "out of memory");
  if (fuse_session_mount(se, o->mountpoint) != 0) {
    fuse_session_destroy(se);
    return say(VERDICT_FUSE, "%s can't be mounted: check /dev/fuse, fusermount3, your rights on it%s", o->mountpoint,
               o->allow_other ? " and user_allow_other in /etc/fuse.conf" : "");
  }
  *out = se;
  return VERDICT_MOUNTED;
}

/* Tells the waiting parent, and leaves the terminal. */
static void detach(int verdict_fd) {
  int null = open("/dev/null", O_RDWR);
  setsid();
  if (chdir("/") != 0) syslog(LOG_WARNING, "can't leave the directory of the start: %m");
  for (int fd = 0; null >= 0 && fd <= 2; fd++) dup2(null, fd);
  if (null > 2) close(null);
  char mounted = VERDICT_MOUNTED;
  if (write(verdict_fd, &mounted, 1) != 1) syslog(LOG_WARNING, "whoever mounted did not wait");
  close(verdict_fd);
}

/* ---- the loop and the end ---- */

/* Answers what is waiting, a limited number at once so that signals are seen. 1: the file system is unmounted. */
static int answer(struct fuse_session *se, struct fuse_buf *request) {
  for (int i = 0; i < REQUESTS_AT_ONCE && !fuse_session_exited(se); i++) {
    int n = fuse_session_receive_buf(se, request);
    if (n == -EAGAIN || n == -EINTR) return 0;
    if (n <= 0) return 1;
    fuse_session_process_buf(se, request);
  }
  return 0;
}

/* Answers requests until the file system is unmounted or a signal asks for the end. Every CACHE_LOOK_MS, while
 * documents are open, drops what may no longer be seen. */
static void serve(struct fuse_session *se, int signals, struct tree *tree, struct cache *cache) {
  struct pollfd p[2] = { { .fd = fuse_session_fd(se), .events = POLLIN }, { .fd = signals, .events = POLLIN } };
  struct fuse_buf request = { .mem = NULL };
  /* a request may be withdrawn between poll and read */
  fcntl(p[0].fd, F_SETFL, fcntl(p[0].fd, F_GETFL) | O_NONBLOCK);
  while (!fuse_session_exited(se)) {
    if (poll(p, 2, tree_has_open(tree) ? CACHE_LOOK_MS : -1) < 0 && errno != EINTR) break;
    cache_look(cache);
    if (p[1].revents != 0) break;
    if (p[0].revents != 0 && answer(se, &request) != 0) break;
  }
  free(request.mem);
}

static void run_fusermount(const char *mountpoint) {
  char *argv[] = { (char[]){ "fusermount3" }, (char[]){ "-u" }, (char[]){ "-q" }, (char[]){ "--" },
                   strdup(mountpoint), NULL };
  pid_t pid;
  if (argv[4] != NULL && posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) == 0) waitpid(pid, NULL, 0);
  free(argv[4]);
}

/* Cleanly where nobody is inside. Then libfuse does it lazily: the name is free at once, and whoever is still inside
 * gets ENOTCONN when this process ends. On an unmounted directory both do nothing. */
static void unmount(struct fuse_session *se, const char *mountpoint) {
  struct pollfd p = { .fd = fuse_session_fd(se), .events = POLLIN };
  /* already unmounted: the path may be another mount's by now */
  if (poll(&p, 1, 0) > 0 && (p.revents & POLLERR)) return;
  if (umount2(mountpoint, UMOUNT_NOFOLLOW) != 0 && errno == EPERM) run_fusermount(mountpoint);
  p.revents = 0;
  if (poll(&p, 1, 0) > 0 && (p.revents & POLLERR)) return;
  fuse_session_unmount(se);
}

static enum verdict run(struct options *o, int verdict_fd) {
  struct db *db = NULL;
  struct tree *tree = NULL;
  struct draw *draw = NULL;
  struct fuse_session *se = NULL;
  sigset_t set;
  struct cache *cache = NULL;
  int signals = -1;
  harden();
  enum verdict v = check_mountpoint(o);
  if (v == VERDICT_MOUNTED) v = open_record(o, &db);
  if (v == VERDICT_MOUNTED && (errno = draw_new(&draw)) != 0) syslog(LOG_WARNING, "dmp-draw can't be started: XML has no page: %m");
  if (v == VERDICT_MOUNTED && tree_new(&tree, db, draw) != 0) v = say(VERDICT_SYSTEM, "out of memory");
  struct ops ops = { tree, (uid_t)o->uid, (gid_t)o->gid, (mode_t)o->umask };
  if (v != VERDICT_MOUNTED) goto out;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);       /* only now: whoever asks for the PIN can still be interrupted */
  signal(SIGPIPE, SIG_IGN);
  if ((signals = signalfd(-1, &set, SFD_CLOEXEC)) < 0) v = say(VERDICT_SYSTEM, "no signalfd: %s", strerror(errno));
  if (v == VERDICT_MOUNTED) v = mount_tree(o, &ops, &se);
  if (v == VERDICT_MOUNTED && cache_new(&cache, tree, se) != 0) v = say(VERDICT_SYSTEM, "no thread");
  if (v != VERDICT_MOUNTED) goto out;
  if (verdict_fd >= 0) detach(verdict_fd);
  serve(se, signals, tree, cache);
out:
  tree_free(tree);
  db_close(db);                             /* keys go first, whatever unmounting takes */
  draw_free(draw);
  if (se != NULL) {
    unmount(se, o->mountpoint);
    if (cache_free(cache) == 0) fuse_session_destroy(se);
  }
  if (signals >= 0) close(signals);
  return v;
}

/* Runs the driver in a child and answers what the child says of its start. */
static enum verdict run_behind(struct options *o) {
  int ends[2];
  char said = 0;
  ssize_t n;
  if (pipe2(ends, O_CLOEXEC) != 0) return say(VERDICT_SYSTEM, "no pipe: %s", strerror(errno));
  pid_t pid = fork();
  if (pid < 0) return say(VERDICT_SYSTEM, "no process: %s", strerror(errno));
  if (pid == 0) {
    close(ends[0]);
    _exit(run(o, ends[1]));
  }
  close(ends[1]);
  if (o->pinfd >= 0) close(o->pinfd);       /* the child reads it */
  while ((n = read(ends[0], &said, 1)) < 0 && errno == EINTR) {}
  if (n == 1) return (enum verdict)said;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) return (enum verdict)WEXITSTATUS(status);
  return say(VERDICT_SYSTEM, "the driver died while starting");
}

int main(int argc, char **argv) {
  struct options o;
  enum verdict v = read_options(&o, argc, argv);
  if (v == VERDICT_MOUNTED && (o.help || o.version)) {
    fputs(o.help ? USAGE : "dmpfs " DMP_VERSION "\n", stdout);
  } else if (v == VERDICT_MOUNTED) {
    openlog("dmpfs", LOG_PID | (o.foreground ? LOG_PERROR : 0), LOG_DAEMON);
    v = o.foreground ? run(&o, -1) : run_behind(&o);
  }
  free_options(&o);
  return v;
}
