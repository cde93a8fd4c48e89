/* keeper.h: the small process that unmounts. The driver itself can't any more once its sandbox is closed.
 * Owns: one child, made before there is anything secret, which lives until the driver ends, in whatever way.  Never: keys,
 * the record, a name below the mount point. A driver that is killed leaves no dead mount behind. */
#ifndef KEEPER_H
#define KEEPER_H
struct keeper { int fd, pid; };

int  keeper_start(struct keeper *k);                  /* 0 or an errno */
/* The mount is there: its path, full. 0 or an errno. */
int  keeper_mounted(const struct keeper *k, const char *mountpoint);
/* Cleanly where nobody is inside, else lazily: the name is free at once, and whoever is still inside gets ENOTCONN when this
 * process ends. Waits for it. Nothing when nothing was mounted or somebody else has unmounted it. */
void keeper_end(struct keeper *k);
#endif
