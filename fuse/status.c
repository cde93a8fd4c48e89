/* status.c: see status.h. */
#include "status.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "say.h"

enum { LOG_AGAIN_S = 60, SENTENCE_MAX = 512 };
enum { LOOKUP, GETATTR, OPENDIR, READDIR, OPEN, READ, RELEASE, FORGET, OTHER };
const char *const STATUS_KIND[STATUS_KINDS] = { [LOOKUP] = "lookup", [GETATTR] = "getattr", [OPENDIR] = "opendir", [READDIR] = "readdir",
                                                [OPEN] = "open", [READ] = "read", [RELEASE] = "release", [FORGET] = "forget", [OTHER] = "other" };

/* One mount a process; all but the notices are counted by the thread that answers. */
static struct status now;
static atomic_uint_fast64_t notices;
static int64_t started, last_request, logged_at;
static uint64_t logged_more;
static char logged[SENTENCE_MAX];

static int64_t seconds(void) {
  struct timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return (int64_t)ts.tv_sec;
}

void status_start(void) { started = last_request = seconds(); }

static int kind_of(uint32_t opcode) {
  switch (opcode) {
    case FUSE_LOOKUP: return LOOKUP;
    case FUSE_GETATTR: return GETATTR;
    case FUSE_OPENDIR: return OPENDIR;
    case FUSE_READDIR: case FUSE_READDIRPLUS: return READDIR;
    case FUSE_OPEN: return OPEN;
    case FUSE_READ: return READ;
    case FUSE_RELEASE: case FUSE_RELEASEDIR: return RELEASE;
    case FUSE_FORGET: case FUSE_BATCH_FORGET: return FORGET;
    default: return OTHER;
  }
}

/* The kernel forgets by itself, and an administrator's look at the status keeps nothing awake. */
void status_request(uint32_t opcode) {
  int kind = kind_of(opcode);
  now.requests[kind]++;
  if (kind != FORGET && opcode != FUSE_IOCTL) last_request = seconds();
}
void status_bytes(size_t n) { now.bytes += n; }
void status_notices(size_t n) { atomic_fetch_add(&notices, n); }
uint64_t status_idle_s(void) { return (uint64_t)(seconds() - last_request); }

void status_refused(int err, int preview) {
  if (preview) now.previews++;
  else if (err == EIO) now.io++;
  else if (err == ESTALE) now.stale++;
  else if (err != ENOENT) now.other++;
}

void status_get(struct status *out, size_t nodes, size_t opens) {
  *out = now;
  out->version = STATUS_VERSION;
  out->up_s = (uint64_t)(seconds() - started);
  out->idle_s = status_idle_s();
  out->notices = atomic_load(&notices);
  out->nodes = nodes;
  out->opens = opens;
}

void status_log(int err, const char *sentence) {
  int64_t at = seconds();
  if (strncmp(sentence, logged, sizeof logged - 1) == 0 && at - logged_at < LOG_AGAIN_S && logged_at != 0) {
    logged_more++;
  } else {
    if (logged_more > 0) syslog(LOG_ERR, "the last line %" PRIu64 " times more", logged_more);
    syslog(LOG_ERR, "%s: %s", strerror(err), sentence);
    snprintf(logged, sizeof logged, "%s", sentence);
    logged_at = at;
    logged_more = 0;
  }
  now.failing = 1;
}

void status_answered(void) {
  if (!now.failing) return;
  now.failing = 0;
  logged_at = 0;
  syslog(LOG_NOTICE, "the record answers again, after %" PRIu64 " requests more that failed", logged_more);
  logged_more = 0;
}

/* ---- dmpfs --status ---- */

static void print_text(const struct status *s) {
  printf("%s: %s\n", IN("record", "dossier partagé"), s->failing ? IN("does not answer, see the system log", "ne répond pas, voir le journal du système") : IN("answers", "répond"));
  printf(IN("up: %" PRIu64 " s, last request %" PRIu64 " s ago\n", "en service depuis %" PRIu64 " s, dernière demande il y a %" PRIu64 " s\n"), s->up_s, s->idle_s);
  printf(IN("documents open: %" PRIu64 ", entries known to the kernel: %" PRIu64 "\n", "documents ouverts : %" PRIu64 ", entrées connues du noyau : %" PRIu64 "\n"), s->opens, s->nodes);
  printf(IN("bytes given: %" PRIu64 "\n", "octets donnés : %" PRIu64 "\n"), s->bytes);
  printf(IN("requests:", "demandes :"));
  for (int i = 0; i < STATUS_KINDS; i++) printf(" %s %" PRIu64, STATUS_KIND[i], s->requests[i]);
  printf(IN("\nrefused: input/output error %" PRIu64 ", right ended %" PRIu64 ", thumbnailer or indexer %" PRIu64 ", other %" PRIu64 "\n",
            "\nrefus : erreur d’entrée-sortie %" PRIu64 ", droit échu %" PRIu64 ", vignettes ou indexation %" PRIu64 ", autres %" PRIu64 "\n"),
         s->io, s->stale, s->previews, s->other);
  printf(IN("taken back from the kernel: %" PRIu64 "\n", "repris au noyau : %" PRIu64 "\n"), s->notices);
}

/* A label's value: backslash, quotation mark and line end are escaped. */
static void print_label(const char *text) {
  for (; *text != '\0'; text++) {
    if (*text == '\\' || *text == '"') putchar('\\');
    if (*text == '\n') fputs("\\n", stdout);
    else putchar(*text);
  }
}
static void metric(const char *name, const char *type, const char *help) { printf("# HELP dmpfs_%s %s\n# TYPE dmpfs_%s %s\n", name, help, name, type); }
static void sample(const char *name, const char *mount, const char *label, const char *value, uint64_t n) {
  printf("dmpfs_%s{mount=\"", name);
  print_label(mount);
  if (label != NULL) printf("\",%s=\"%s", label, value);
  printf("\"} %" PRIu64 "\n", n);
}
static void one(const char *name, const char *type, const char *help, const char *mount, uint64_t n) {
  metric(name, type, help);
  sample(name, mount, NULL, NULL, n);
}

static void print_prometheus(const struct status *s, const char *mount) {
  one("up", "gauge", "1: the record answers.", mount, !s->failing);
  one("uptime_seconds", "gauge", "Seconds since the mount.", mount, s->up_s);
  one("idle_seconds", "gauge", "Seconds since the last request.", mount, s->idle_s);
  one("open_documents", "gauge", "Documents that are open.", mount, s->opens);
  one("known_entries", "gauge", "Entries that the kernel knows.", mount, s->nodes);
  one("read_bytes_total", "counter", "Bytes of documents given.", mount, s->bytes);
  metric("requests_total", "counter", "Requests of the kernel.");
  for (int i = 0; i < STATUS_KINDS; i++) sample("requests_total", mount, "kind", STATUS_KIND[i], s->requests[i]);
  metric("refused_total", "counter", "Requests refused.");
  sample("refused_total", mount, "why", "io", s->io);
  sample("refused_total", mount, "why", "stale", s->stale);
  sample("refused_total", mount, "why", "preview", s->previews);
  sample("refused_total", mount, "why", "other", s->other);
  one("notices_total", "counter", "Entries that the kernel was told to forget because a right ended.", mount, s->notices);
}

int status_main(const char *mountpoint, int prometheus) {
  struct status s;
  int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int err = fd < 0 || ioctl(fd, STATUS_GET, &s) != 0 ? errno : 0;
  if (fd >= 0) close(fd);
  if (err == ENOTTY || err == ENOSYS || err == EINVAL)
    return say(VERDICT_MOUNTPOINT, IN("%s is not a mount of dmpfs", "%s n’est pas un montage de dmpfs"), mountpoint);
  if (err == ENOTCONN) return say(VERDICT_MOUNTPOINT, IN("the driver of %s has died: fusermount3 -u %s", "le pilote de %s est mort : fusermount3 -u %s"), mountpoint, mountpoint);
  if (err == EACCES || err == EPERM)
    return say(VERDICT_MOUNTPOINT, IN("%s belongs to another user: ask as who mounted it", "%s appartient à quelqu’un d’autre : demandez en tant que qui l’a monté"), mountpoint);
  if (err != 0) return say(VERDICT_MOUNTPOINT, "%s: %s", mountpoint, strerror(err));
  if (s.version != STATUS_VERSION) return say(VERDICT_SYSTEM, IN("this mount is of another version of dmpfs", "ce montage est d’une autre version de dmpfs"));
  if (prometheus) print_prometheus(&s, mountpoint);
  else print_text(&s);
  return ferror(stdout) || fflush(stdout) != 0 ? say(VERDICT_SYSTEM, "%s", strerror(errno)) : VERDICT_MOUNTED;
}
