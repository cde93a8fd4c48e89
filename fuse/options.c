/* options.c: see options.h. */
#define FUSE_USE_VERSION 35
#include "options.h"
#include <errno.h>
#include <fcntl.h>
#include <fuse_opt.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "say.h"

#define OPTION(template, field, value) { template, offsetof(struct options, field), value }
enum { KEY_IGNORED = 1 };
static const struct fuse_opt OPTIONS[] = {
  OPTION("key=%s", key, 0), OPTION("ext=%s", extension, 0), OPTION("layout=%s", layout, 0), OPTION("pinfd=%i", pinfd, 0), OPTION("pincred=%s", credential, 0),
  OPTION("allow_other", allow_other, 1), OPTION("nonempty", nonempty, 1), OPTION("uid=%i", uid, 0),
  OPTION("gid=%i", gid, 0), OPTION("umask=%o", umask, 0), OPTION("setuid=%s", user, 0), OPTION("lang=%s", language, 0),
  OPTION("idle=%i", idle, 0), OPTION("-f", foreground, 1),
  OPTION("--status", status, 1), OPTION("--prometheus", prometheus, 1),
  OPTION("-h", help, 1), OPTION("--help", help, 1), OPTION("-V", version, 1), OPTION("--version", version, 1),
  /* What mount(8) and fstab add: already so, or theirs alone. */
  FUSE_OPT_KEY("defaults", KEY_IGNORED), FUSE_OPT_KEY("ro", KEY_IGNORED), FUSE_OPT_KEY("rw", KEY_IGNORED),
  FUSE_OPT_KEY("nosuid", KEY_IGNORED), FUSE_OPT_KEY("nodev", KEY_IGNORED), FUSE_OPT_KEY("noexec", KEY_IGNORED),
  FUSE_OPT_KEY("noatime", KEY_IGNORED), FUSE_OPT_KEY("relatime", KEY_IGNORED), FUSE_OPT_KEY("default_permissions", KEY_IGNORED),
  FUSE_OPT_KEY("auto", KEY_IGNORED), FUSE_OPT_KEY("noauto", KEY_IGNORED), FUSE_OPT_KEY("user", KEY_IGNORED),
  FUSE_OPT_KEY("user=", KEY_IGNORED), FUSE_OPT_KEY("nouser", KEY_IGNORED), FUSE_OPT_KEY("users", KEY_IGNORED),
  FUSE_OPT_KEY("nofail", KEY_IGNORED), FUSE_OPT_KEY("_netdev", KEY_IGNORED), FUSE_OPT_KEY("comment=", KEY_IGNORED), FUSE_OPT_END
};
const char options_usage[] =
  "usage: dmpfs RECORD MOUNTPOINT -o key=FILE[,option...] [-f]\n"
  "       dmpfs --status [--prometheus] MOUNTPOINT\n"
  "       mount -t dmpfs RECORD MOUNTPOINT -o key=FILE[,option...]\n"
  "  key=FILE      the credential that mounts; one mount shows what one identity may see\n"
  "  pinfd=N       read the PIN from descriptor N (one line)\n"
  "  pincred=NAME  read the PIN from that systemd credential ($CREDENTIALS_DIRECTORY/NAME)\n"
  "                without either: the kernel's keyring (dmp_unlock), then $DMP_ASKPASS\n"
  "  ext=PATH      the extension dmp.so (default: beside dmpfs)\n"
  "  layout=FILE   changes to the names and pages of the tree (schema/layout.sql); schema/layouts has some\n"
  "  setuid=USER   started by root: become this user, who needs the record's folder and the credential\n"
  "  allow_other   other users may enter, as owner and mode allow\n"
  "  nonempty      mount also over another mount, or over a directory that holds something\n"
  "  uid=N gid=N umask=OCTAL   owner and mode of all entries (default: whoever mounts, 077)\n"
  "  idle=SECONDS  unmount and forget the keys when nobody has asked for anything for so long\n"
  "  lang=fr|en    language of what is said at the start (default: the environment's)\n"
  "  -f            stay in the foreground\n"
  "exit codes: 2 usage, 3 record can't be opened, 4 not a record or another version, 5 credential, 6 PIN,\n"
  "  7 mount point, 8 fuse, 9 extension, 10 record damaged or altered, 11 system, 12 layout\n";

static int on_option(void *data, const char *arg, int key, struct fuse_args *out) {
  struct options *o = data;
  (void)out;
  if (key == KEY_IGNORED) return 0;
  if (key == FUSE_OPT_KEY_OPT && strncmp(arg, "x-", 2) == 0) return 0;
  if (key == FUSE_OPT_KEY_OPT) {
    say(VERDICT_USAGE, IN("unknown option %s; dmpfs -h lists the options", "option inconnue : %s ; dmpfs -h les donne toutes"), arg);
    return -1;
  }
  char **place = o->record == NULL ? &o->record : o->mountpoint == NULL ? &o->mountpoint : NULL;
  if (place == NULL) {
    say(VERDICT_USAGE, IN("one record and one mount point, please: what is %s?", "un dossier partagé et un point de montage : que veut dire %s ?"), arg);
    return -1;
  }
  return (*place = strdup(arg)) == NULL ? -1 : 0;
}

void options_free(struct options *o) {
  free(o->record);
  free(o->mountpoint);
  free(o->key);
  free(o->extension);
  free(o->layout);
  free(o->credential);
  free(o->user);
  free(o->language);
}

/* dmp.so beside the executable. */
static char *default_extension(void) {
  char self[PATH_MAX], *path = NULL;
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return strdup("dmp.so");
  self[n] = '\0';
  return asprintf(&path, "%s/dmp.so", dirname(self)) < 0 ? NULL : path;
}

/* mount(8) calls its helper as  mount.dmpfs RECORD MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]: what has
 * another meaning here is taken out. Returns the number of arguments that stay. */
static int from_mount(struct options *o, int argc, char **argv) {
  int n = 1;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "-N") == 0 || strcmp(argv[i], "-t") == 0) i++;
    else if (argv[i][0] == '-' && argv[i][1] != '\0' && argv[i][strspn(argv[i] + 1, "sfnvrw") + 1] == '\0')
      o->fake |= strchr(argv[i], 'f') != NULL;
    else argv[n++] = argv[i];
  }
  argv[n] = NULL;
  return n;
}

static enum verdict find_user(struct options *o) {
  char *end;
  o->user_uid = getuid();
  o->user_gid = getgid();
  if (o->user == NULL) return VERDICT_MOUNTED;
  unsigned long number = strtoul(o->user, &end, 10);
  const struct passwd *pw = *end == '\0' ? getpwuid((uid_t)number) : getpwnam(o->user);
  if (pw == NULL) return say(VERDICT_USAGE, IN("there is no user %s", "il n’y a pas d’utilisateur %s"), o->user);
  if (geteuid() != 0 && pw->pw_uid != geteuid()) return say(VERDICT_USAGE, IN("setuid= is for root", "setuid= est réservé à root"));
  o->user_uid = pw->pw_uid;
  o->user_gid = pw->pw_gid;
  free(o->user);
  return (o->user = strdup(pw->pw_name)) == NULL ? say(VERDICT_SYSTEM, IN("out of memory", "plus de mémoire")) : VERDICT_MOUNTED;
}

static enum verdict check(struct options *o) {
  if (o->record == NULL || o->mountpoint == NULL || o->key == NULL) {
    fputs(options_usage, stderr);
    return VERDICT_USAGE;
  }
  if (o->umask < 0 || o->umask > 0777) return say(VERDICT_USAGE, IN("umask is an octal number up to 777", "umask est un nombre octal, 777 au plus"));
  if (o->pinfd >= 0 && o->credential != NULL)
    return say(VERDICT_USAGE, IN("pinfd= or pincred=, not both", "pinfd= ou pincred=, pas les deux"));
  if (o->credential != NULL && (*o->credential == '\0' || strchr(o->credential, '/') != NULL))
    return say(VERDICT_USAGE, IN("pincred= is a credential's name, not a path", "pincred= est le nom d’un credential, pas un chemin"));
  if (o->idle < 0) return say(VERDICT_USAGE, IN("idle is a number of seconds", "idle est un nombre de secondes"));
  enum verdict v = find_user(o);
  if (v != VERDICT_MOUNTED) return v;
  if (o->uid == -1) o->uid = (int)o->user_uid;
  if (o->gid == -1) o->gid = (int)o->user_gid;
  if (o->uid < 0 || o->gid < 0) return say(VERDICT_USAGE, IN("uid and gid are numbers", "uid et gid sont des nombres"));
  if (o->extension == NULL) o->extension = default_extension();
  return o->extension == NULL ? say(VERDICT_SYSTEM, IN("out of memory", "plus de mémoire")) : VERDICT_MOUNTED;
}

enum verdict options_read(struct options *o, int argc, char **argv) {
  *o = (struct options){ .pinfd = -1, .uid = -1, .gid = -1, .umask = 077 };
  const char *name = strrchr(argv[0], '/');
  if (strcmp(name == NULL ? argv[0] : name + 1, "mount.dmpfs") == 0) argc = from_mount(o, argc, argv);
  struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
  say_language(NULL);
  int rc = fuse_opt_parse(&args, o, OPTIONS, on_option);
  fuse_opt_free_args(&args);
  if (rc != 0) return VERDICT_USAGE;
  if (!say_language(o->language)) return say(VERDICT_USAGE, "lang=fr, lang=en");
  if (o->help || o->version) return VERDICT_MOUNTED;
  if (!o->status) return check(o);
  if (o->record != NULL && o->mountpoint == NULL) return VERDICT_MOUNTED;    /* the one argument is the mount point */
  return say(VERDICT_USAGE, IN("--status takes one mount point", "--status veut un point de montage"));
}

/* ---- the PIN ---- */

/* One line without its end; the descriptor is closed: it is the PIN's, and read once. */
static enum verdict read_line(int fd, const char *where, char pin[DMP_PIN_MAX + 1]) {
  size_t n = 0;
  ssize_t got = 1;
  while (n <= DMP_PIN_MAX && (got = read(fd, pin + n, 1)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || pin[n] == '\n') break;
    n++;
  }
  int failed = got < 0 ? errno : 0;
  close(fd);
  if (failed) return say(VERDICT_PIN, IN("the PIN can't be read from %s: %s", "le code ne se lit pas, %s : %s"), where, strerror(failed));
  if (n > DMP_PIN_MAX)
    return say(VERDICT_PIN, IN("the PIN in %s is longer than %d bytes", "le code, %s, dépasse %d octets"), where, DMP_PIN_MAX);
  pin[n] = '\0';
  if (n == 0) return say(VERDICT_PIN, IN("there is no PIN on %s", "il n’y a pas de code, %s"), where);
  return VERDICT_MOUNTED;
}

enum verdict options_pin(const struct options *o, char pin[DMP_PIN_MAX + 1], int *given) {
  char where[PATH_MAX];
  *given = o->pinfd >= 0 || o->credential != NULL;
  if (!*given) return VERDICT_MOUNTED;
  if (o->pinfd >= 0) {
    snprintf(where, sizeof where, IN("descriptor %d", "descripteur %d"), o->pinfd);
    return read_line(o->pinfd, where, pin);
  }
  const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
  if (folder == NULL)
    return say(VERDICT_PIN, IN("pincred=%s: $CREDENTIALS_DIRECTORY is not set; the unit needs LoadCredential=%s",
                               "pincred=%s : $CREDENTIALS_DIRECTORY manque ; l’unité demande LoadCredential=%s"), o->credential, o->credential);
  snprintf(where, sizeof where, "%s/%s", folder, o->credential);
  int fd = open(where, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return say(VERDICT_PIN, IN("the PIN can't be read from %s: %s", "le code ne se lit pas, %s : %s"), where, strerror(errno));
  return read_line(fd, where, pin);
}
