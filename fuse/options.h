/* options.h: the command line of dmpfs and of mount.dmpfs, and where the PIN comes from.
 * Owns: the options until options_free().  Never: opens the record, mounts. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include <sys/types.h>
#include "dmp.h"
#include "verdict.h"

struct options {
  char *record, *mountpoint, *key, *extension, *layout;      /* owned */
  char *credential;                         /* owned: name of the systemd credential that holds the PIN */
  char *user, *language;                    /* owned: who the driver becomes; fr or en */
  int pinfd, foreground, allow_other, nonempty, uid, gid, umask, help, version;
  int idle;                                 /* seconds without a request after which it ends; 0: never */
  int status, prometheus;                   /* tell about a mount instead of mounting */
  int fake;                                 /* mount -f: only look whether the line is right */
  uid_t user_uid;                           /* of user */
  gid_t user_gid;
};

/* VERDICT_MOUNTED, also when only help, version or status are asked for; else the sentence was said. */
enum verdict options_read(struct options *o, int argc, char **argv);
void options_free(struct options *o);
extern const char options_usage[];

/* The PIN from the descriptor, or from the systemd credential. Without either *given is 0: the extension looks for it. */
enum verdict options_pin(const struct options *o, char pin[DMP_PIN_MAX + 1], int *given);
#endif
