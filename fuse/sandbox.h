/* sandbox.h: what the driver takes away from itself, so that a fault in it reaches nothing but the record it shows.
 * Owns: the list of system calls, the limits, the capabilities.  Never: a right of a person; mounts.
 *
 * In this order: begin, before anything secret; become, before the record is opened; may_mount around the mount; drop,
 * before the first other thread; close, before the first request.
 * What is left: reading and writing files below the record's folder, where the kernel has Landlock (elsewhere whatever the
 * user may), reading /proc and the time zone, /dev/null, sending to the system log. */
#ifndef SANDBOX_H
#define SANDBOX_H
#include <sys/types.h>

void sandbox_begin(void);                   /* no core dump; no other process of this user reads the memory */
/* From root to this user, its groups included, keeping what mounts. 0 or an errno. */
int  sandbox_become(const char *user, uid_t uid, gid_t gid);
int  sandbox_can_mount(void);               /* 1: without fusermount3 */
int  sandbox_may_mount(int may);            /* 0 or an errno; nothing to do for who never was root */
/* Capabilities, new privileges, limits, files: for good. record: its path. 0 or an errno. */
int  sandbox_drop(const char *record);
/* System calls: for good, in every thread. What an intruder would start with ends the process, what else is not on the list
 * is refused. 0 or an errno. */
int  sandbox_close(void);
#endif
