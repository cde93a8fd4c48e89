/* ops.h: the FUSE operations: one question to the tree, one reply to the kernel. The only file beside main.c that
 * sees libfuse.
 * Owns: modes, owners, how long the kernel may believe a reply, which names are never there.  Never: SQL, names,
 * rights. */
#ifndef OPS_H
#define OPS_H
#include <sys/types.h>
#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

struct tree;
struct ops_waiting;
struct ops {                                /* the session's user data */
  struct tree *tree;                        /* borrowed */
  uid_t uid;
  gid_t gid;
  mode_t umask;
  struct ops_waiting *waiting;              /* owned: readers of pages that are being drawn */
};
extern const struct fuse_lowlevel_ops ops_table;
void ops_again(struct ops *o);              /* answers who waited for a page that is drawn, or that is there no more */
#endif
