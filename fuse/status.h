/* status.h: how a mount is doing, in numbers, and what the system log is told.
 * Owns: the counters of this process; the text of `dmpfs --status`.  Never: names, ids, titles: no number is of one patient. */
#ifndef STATUS_H
#define STATUS_H
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

enum { STATUS_VERSION = 1, STATUS_KINDS = 9 };
/* What a mount's root answers to STATUS_GET, to root and to the mount's user. */
struct status {
  uint32_t version, failing;                /* failing: the record did not answer the last request */
  uint64_t up_s, idle_s;                    /* since the start; since the last request */
  uint64_t requests[STATUS_KINDS];          /* by STATUS_KIND */
  uint64_t bytes;                           /* of documents given */
  uint64_t io, stale, previews, other;      /* refusals: EIO, ESTALE, thumbnailers and indexers, the rest but ENOENT */
  uint64_t notices;                         /* inodes that the kernel was told to forget */
  uint64_t nodes, opens;                    /* that the kernel knows; open documents */
};
extern const char *const STATUS_KIND[STATUS_KINDS];
#define STATUS_GET _IOR('d', 1, struct status)

struct tree;
void status_start(void);
void status_request(uint32_t opcode);       /* FUSE's number of it */
void status_bytes(size_t n);
void status_refused(int err, int preview);
void status_notices(size_t n);
uint64_t status_idle_s(void);               /* seconds without a request by a program */
void status_get(struct status *out, size_t nodes, size_t opens);

/* One line for the system log, but not the same one more than once a minute. sentence carries no clinical value. */
void status_log(int err, const char *sentence);
void status_answered(void);                 /* the record answered: after failures, that too is a line */

int status_main(const char *mountpoint, int prometheus);    /* dmpfs --status: the exit code */
#endif
