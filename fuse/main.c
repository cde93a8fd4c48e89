/* main.c: dmpfs, the file door: start-up, one loop, the end. Options are in options.c, exit codes in verdict.h.
 *
 * The driver logs in after its fork, because a session does not survive one; the parent waits for the verdict and
 * ends with its exit code, so that whoever mounts reads every start-up error. One connection, used by one thread:
 * requests are answered one after the other, so no reply mixes two states of the record. The only other thread is
 * cache.c's, which sees neither. Always read-only, nosuid, nodev, noexec, with the kernel checking permissions by owner and
 * mode. Once it is mounted the driver gives up what it does not need (sandbox.h); a child that was made before unmounts
 * (keeper.h). */
#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include "cache.h"
#include "db.h"
#include "draw.h"
#include "keeper.h"
#include "needs.h"
#include "ops.h"
#include "options.h"
#include "sandbox.h"
#include "say.h"
#include "status.h"
#include "tree.h"

enum { REQUESTS_AT_ONCE = 64, END_MS = 1000 };

/* ---- start ---- */

/* What a mount would hide: a sentence's end, or NULL for an empty directory. Only its owner may look into another user's
 * mount; the kernel knows it is one all the same. */
static const char *would_hide(const char *directory) {
  struct statx stx;
  if (statx(AT_FDCWD, directory, 0, 0, &stx) == 0 && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
    return IN("holds a mount already", "est déjà un montage");
  DIR *d = opendir(directory);
  if (d == NULL) return strerror(errno);
  struct dirent *entry;
  do entry = readdir(d);
  while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
  closedir(d);
  return entry != NULL ? IN("is not empty", "n’est pas vide") : NULL;
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
    return say(VERDICT_MOUNTPOINT, IN("%s holds a mount whose driver has died: run fusermount3 -u on it first",
                                      "%s est un montage dont le pilote est mort : fusermount3 -u d’abord"), o->mountpoint);
  if (err != 0)
    return say(VERDICT_MOUNTPOINT, IN("the mount point %s can't be used: %s", "le point de montage %s ne convient pas : %s"), o->mountpoint, strerror(err));
  const char *hidden = o->nonempty ? NULL : would_hide(o->mountpoint);
  return hidden == NULL ? VERDICT_MOUNTED
                        : say(VERDICT_MOUNTPOINT, IN("the mount point %s %s; -o nonempty mounts all the same",
                                                     "le point de montage %s %s ; -o nonempty monte quand même"), o->mountpoint, hidden);
}

static enum verdict open_record(const struct options *o, struct db **db) {
  char pin[DMP_PIN_MAX + 1] = "", why[DB_WHY_MAX] = "";
  int given;
  enum verdict v = options_pin(o, pin, &given);
  struct db_options d = { o->record, o->key, o->extension, given ? pin : NULL, o->layout };
  if (v == VERDICT_MOUNTED && (v = db_open(db, &d, why)) != VERDICT_MOUNTED) say_record(v, why);
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
  if (se == NULL) return say(VERDICT_SYSTEM, IN("out of memory", "plus de mémoire"));
  int refused = sandbox_may_mount(1) != 0 || fuse_session_mount(se, o->mountpoint) != 0;
  if (sandbox_may_mount(0) != 0 || refused) {
    fuse_session_destroy(se);
    return say(VERDICT_FUSE, IN("%s can't be mounted: check that it is yours and writable%s",
                                "%s ne se monte pas : vérifiez que ce répertoire est à vous, et vos droits d’y écrire%s"), o->mountpoint,
               !o->allow_other ? "" : IN(" and user_allow_other in /etc/fuse.conf", " et user_allow_other dans /etc/fuse.conf"));
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
    status_request(((const struct fuse_in_header *)request->mem)->opcode);
    fuse_session_process_buf(se, request);
  }
  return 0;
}

/* How long nothing need be done when nobody asks: documents that are open are looked at, and an idle time-out has its end. */
static int patience_ms(const struct options *o, const struct tree *tree) {
  if (tree_has_open(tree)) return CACHE_LOOK_MS;
  if (o->idle == 0) return -1;
  uint64_t idle = status_idle_s();
  return idle >= (uint64_t)o->idle ? 0 : (int)(((uint64_t)o->idle - idle < 60 ? (uint64_t)o->idle - idle : 60) * 1000);
}

/* Answers requests until the file system is unmounted, a signal asks for the end, or nobody has asked for anything for too
 * long. Every CACHE_LOOK_MS, while documents are open, drops what may no longer be seen. Who waits for a page that is being
 * drawn is answered when it is. */
static void serve(const struct options *o, struct fuse_session *se, int signals, struct ops *ops, const struct draw *draw, struct cache *cache) {
  struct pollfd p[2 + DRAW_HELPERS] = { { .fd = fuse_session_fd(se), .events = POLLIN }, { .fd = signals, .events = POLLIN } };
  struct fuse_buf request = { .mem = NULL };
  /* a request may be withdrawn between poll and read */
  fcntl(p[0].fd, F_SETFL, fcntl(p[0].fd, F_GETFL) | O_NONBLOCK);
  while (!fuse_session_exited(se)) {
    int patience = patience_ms(o, ops->tree);
    nfds_t n = 2 + draw_poll(draw, p + 2, &patience);
    int ready = poll(p, n, patience);
    if (ready < 0 && errno != EINTR) break;
    cache_look(cache);
    if (ready > 0 && p[1].revents != 0) break;
    if (ready > 0 && p[0].revents != 0 && answer(se, &request) != 0) break;
    if (ops->waiting != NULL || n > 2) ops_again(ops);
    if (o->idle > 0 && ready == 0 && status_idle_s() >= (uint64_t)o->idle && !tree_has_open(ops->tree)) {
      syslog(LOG_NOTICE, "idle for %d seconds: unmounted", o->idle);
      break;
    }
  }
  free(request.mem);
}

/* The keys are gone. What is open now is refused from here on, also to who would find it in the kernel's memory: its pages
 * are taken back, and who waits for one meanwhile is answered. */
static void take_back(struct fuse_session *se, struct cache *cache) {
  struct pollfd p = { .fd = fuse_session_fd(se), .events = POLLIN };
  struct fuse_buf request = { .mem = NULL };
  for (int i = 0; i < END_MS / CACHE_END_MS && !fuse_session_exited(se) && !cache_end(cache); i++)
    if (poll(&p, 1, CACHE_END_MS) > 0 && ((p.revents & POLLERR) != 0 || answer(se, &request) != 0)) break;
  free(request.mem);
}

/* Everything up to the mount. */
static enum verdict begin(struct options *o, struct keeper *keeper, struct db **db, struct draw **draw, struct tree **tree) {
  sandbox_begin();
  if (keeper_start(keeper) != 0) return say(VERDICT_SYSTEM, IN("no process: %s", "pas de processus : %s"), strerror(errno));
  enum verdict v = check_mountpoint(o);
  if (v == VERDICT_MOUNTED) v = needs_check(sandbox_can_mount());
  int err = v == VERDICT_MOUNTED ? sandbox_become(o->user, o->user_uid, o->user_gid) : 0;
  if (err != 0) return say(VERDICT_SYSTEM, IN("can't become %s: %s", "impossible de devenir %s : %s"), o->user, strerror(err));
  if (v == VERDICT_MOUNTED) v = open_record(o, db);
  if (v == VERDICT_MOUNTED && (errno = draw_new(draw)) != 0) syslog(LOG_WARNING, "dmp-draw can't be started: XML has no page: %m");
  if (v == VERDICT_MOUNTED && tree_new(tree, *db, *draw) != 0) v = say(VERDICT_SYSTEM, IN("out of memory", "plus de mémoire"));
  return v;
}

static int block_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);       /* only now: whoever asks for the PIN can still be interrupted */
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_CLOEXEC);
}

/* The walls, and the other thread between them: capabilities are each thread's own. */
static enum verdict shut(const struct options *o, const struct keeper *keeper, struct fuse_session *se, struct tree *tree, struct cache **cache) {
  int err = keeper_mounted(keeper, o->mountpoint);
  if (err == 0) err = sandbox_drop(o->record);
  const char *closed = db_reachable(o->record);
  if (closed != NULL)
    return say(VERDICT_OPEN, IN("without root's rights %s can't be used: mount with -o setuid=USER, its owner",
                                "sans les droits de root, %s ne s’utilise pas : montez avec -o setuid=UTILISATEUR, son propriétaire"), closed);
  if (err != 0) return say(VERDICT_SYSTEM, IN("the sandbox can't be set up: %s", "le bac à sable ne se met pas en place : %s"), strerror(err));
  return cache_new(cache, tree, se) == 0 ? VERDICT_MOUNTED : say(VERDICT_SYSTEM, IN("no thread", "pas de fil d’exécution"));
}

static enum verdict run(struct options *o, int verdict_fd) {
  struct db *db = NULL;
  struct draw *draw = NULL;
  struct tree *tree = NULL;
  struct fuse_session *se = NULL;
  struct cache *cache = NULL;
  struct keeper keeper;
  int signals = -1, err;
  enum verdict v = begin(o, &keeper, &db, &draw, &tree);
  struct ops ops = { tree, (uid_t)o->uid, (gid_t)o->gid, (mode_t)o->umask, NULL };
  if (v != VERDICT_MOUNTED) goto out;
  if ((signals = block_signals()) < 0) v = say(VERDICT_SYSTEM, "no signalfd: %s", strerror(errno));
  if (v == VERDICT_MOUNTED) v = mount_tree(o, &ops, &se);
  if (v == VERDICT_MOUNTED) v = shut(o, &keeper, se, tree, &cache);
  if (v != VERDICT_MOUNTED) goto out;
  status_start();
  if (verdict_fd >= 0) detach(verdict_fd);
  if ((err = sandbox_close()) == 0) serve(o, se, signals, &ops, draw, cache);
  else syslog(LOG_CRIT, "unmounted: the system calls can't be closed: %s", strerror(err));
out:
  if (tree != NULL) tree_end(tree);
  db_close(db);                             /* keys go first, whatever unmounting takes */
  if (tree != NULL) ops_again(&ops);
  if (cache != NULL) take_back(se, cache);
  keeper_end(&keeper);
  if (cache_free(cache) == 0 && se != NULL) {
    fuse_session_destroy(se);
    tree_free(tree);
  }
  draw_free(draw);
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

/* What a reading takes is kept for the next one, what a listing took goes back. */
enum { KEPT_BYTES = 1 << 20 };

int main(int argc, char **argv) {
  struct options o;
  mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
  mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES);
  enum verdict v = options_read(&o, argc, argv);
  if (v == VERDICT_MOUNTED && (o.help || o.version)) {
    fputs(o.help ? options_usage : "dmpfs " DMP_VERSION "\n", stdout);
  } else if (v == VERDICT_MOUNTED && o.status) {
    v = (enum verdict)status_main(o.record, o.prometheus);
  } else if (v == VERDICT_MOUNTED && !o.fake) {
    openlog("dmpfs", LOG_PID | (o.foreground ? LOG_PERROR : 0), LOG_DAEMON);
    v = o.foreground ? run(&o, -1) : run_behind(&o);
  }
  options_free(&o);
  return v;
}
