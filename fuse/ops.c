/* ops.c: see ops.h.
 *
 * The mount is read-only, so the kernel refuses nearly every writing call itself; the handlers below say EROFS too,
 * should an administrator remount it writable. There are no xattr handlers and no access handler: the kernel asks
 * once, then no more.
 *
 * Pages of documents stay in the kernel's cache, for speed and for programs that map files; cache.c drops them when a
 * right ends. Each open() is an access that the record sees: by the first read, or by one of no bytes when pages are already
 * there. */
#include "ops.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "preview.h"
#include "status.h"
#include "tree.h"

#define FRESH_SECONDS (TREE_KERNEL_MS / 1000.0)
#define NEVER_SECONDS 86400.0

/* Asked for by file managers in every directory. No name of a layout begins with a dot, and these others are
 * Windows'. */
static const char *const NEVER[] = { ".*", "desktop.ini", "Desktop.ini", "autorun.inf", "Autorun.inf", "AUTORUN.INF",
                                     "Thumbs.db" };

/* A request is freed by its reply: what is needed afterwards is taken out before. */
static struct ops *ops_of(fuse_req_t req) { return fuse_req_userdata(req); }
static struct tree *tree_of(fuse_req_t req) { return ops_of(req)->tree; }

/* One error reply. What the administrator must see goes to the system log, with the record's own sentence. */
static void fail(fuse_req_t req, int err) {
  if (err == EIO || err == ENOMEM || err == EOVERFLOW) status_log(err, tree_error(tree_of(req)));
  status_refused(err, 0);
  fuse_reply_err(req, err);
}

/* What the kernel holds by inode and is not there any more. For a path the kernel then looks the name up again, which
 * answers ENOENT; who has it open gets ESTALE. */
static int stale(int err) { return err == ENOENT ? ESTALE : err; }

/* Everything constant but what a document or a folder's visible documents give. */
static struct stat stat_of(const struct ops *o, const struct tree_node *n) {
  int is_file = tree_is_file(n);
  struct stat st = { .st_ino = n->ino, .st_nlink = 1, .st_uid = o->uid, .st_gid = o->gid, .st_blksize = 65536 };
  st.st_mode = (is_file ? S_IFREG | 0444 : S_IFDIR | 0555) & ~(o->umask & 0777);
  st.st_size = n->size;
  st.st_blocks = (n->size + 511) / 512;
  st.st_mtim.tv_sec = st.st_ctim.tv_sec = st.st_atim.tv_sec = (time_t)n->modified;
  return st;
}
static struct fuse_entry_param entry_of(const struct ops *o, const struct tree_node *n) {
  return (struct fuse_entry_param){ .ino = n->ino, .attr = stat_of(o, n), .attr_timeout = FRESH_SECONDS,
                                    .entry_timeout = FRESH_SECONDS };
}

static void op_init(void *userdata, struct fuse_conn_info *conn) {
  (void)userdata;
  conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;        /* always: attributes come with the names */
  if (conn->capable & FUSE_CAP_READDIRPLUS) conn->want |= FUSE_CAP_READDIRPLUS;
}

static int is_never(const char *name) {
  for (size_t i = 0; i < sizeof NEVER / sizeof *NEVER; i++)
    if (fnmatch(NEVER[i], name, 0) == 0) return 1;
  return 0;
}

/* A name that is not there is an entry without inode, which the kernel remembers for as long as it is told. */
static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param e = { .entry_timeout = FRESH_SECONDS };
  struct tree *tree = tree_of(req);
  struct tree_node n;
  int never = is_never(name), err = never ? ENOENT : tree_lookup(tree, parent, name, &n);
  if (err == ENOENT) {
    if (never) e.entry_timeout = NEVER_SECONDS;
    fuse_reply_entry(req, &e);
  } else if (err != 0) {
    fail(req, err);
  } else {
    e = entry_of(ops_of(req), &n);
    if (fuse_reply_entry(req, &e) == -ENOENT) tree_forget(tree, n.ino, 1);   /* interrupted: not known after all */
  }
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t references) {
  tree_forget(tree_of(req), ino, references);
  fuse_reply_none(req);
}
static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
  for (size_t i = 0; i < count; i++) tree_forget(tree_of(req), forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)fi;
  struct tree_node n;
  int err = stale(tree_get(tree_of(req), ino, &n));
  if (err != 0) {
    fail(req, err);
    return;
  }
  struct stat st = stat_of(ops_of(req), &n);
  fuse_reply_attr(req, &st, FRESH_SECONDS);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  struct tree *tree = tree_of(req);
  struct tree_node n;
  int how = 0, writes = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0;
  int err = writes ? EROFS : stale(tree_get(tree, ino, &n));
  if (err == 0 && preview_is(fuse_req_ctx(req)->pid)) {
    status_refused(EACCES, 1);
    fuse_reply_err(req, EACCES);
    return;
  }
  if (err == 0) err = stale(tree_open(tree, ino, &how));
  if (err != 0) {
    fail(req, err);
    return;
  }
  fi->keep_cache = (how & TREE_CACHED) != 0;
  fi->direct_io = (how & TREE_DIRECT) != 0;
  if (fuse_reply_open(req, fi) == -ENOENT) tree_close(tree, ino);
}
static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)fi;
  tree_close(tree_of(req), ino);
  fuse_reply_err(req, 0);
}

/* One who waits for a page that is being drawn. */
struct ops_waiting {
  fuse_req_t req;
  fuse_ino_t ino;
  size_t size;
  off_t offset;
  struct ops_waiting *next;
};

/* 1: answered. 0: the page is being drawn. */
static int read_now(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset) {
  struct tree *tree = tree_of(req);
  const void *bytes;
  size_t n = 0;
  int err = fuse_req_interrupted(req) ? EINTR : tree_read(tree, ino, offset, size, &bytes, &n);
  int waits = err == EINPROGRESS;
  if (err == 0) fuse_reply_buf(req, bytes, n);
  else if (!waits) fail(req, err);
  status_bytes(n);
  tree_read_end(tree);
  return !waits;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
  (void)fi;
  struct ops_waiting **last = &ops_of(req)->waiting;
  if (read_now(req, ino, size, offset)) return;
  struct ops_waiting *w = malloc(sizeof *w);
  if (w == NULL) {
    fail(req, ENOMEM);
    return;
  }
  *w = (struct ops_waiting){ req, ino, size, offset, NULL };
  while (*last != NULL) last = &(*last)->next;
  *last = w;
}

void ops_again(struct ops *o) {
  tree_drawn(o->tree);
  for (struct ops_waiting **at = &o->waiting, *w; (w = *at) != NULL;) {
    if (!read_now(w->req, w->ino, w->size, w->offset)) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    free(w);
  }
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  struct tree *tree = tree_of(req);
  struct tree_dir *d;
  int err = stale(tree_opendir(tree, ino, &d));
  if (err != 0) {
    fail(req, err);
    return;
  }
  fi->fh = (uint64_t)(uintptr_t)d;
  if (fuse_reply_open(req, fi) == -ENOENT) tree_closedir(tree, d);
}
static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)ino;
  tree_closedir(tree_of(req), (struct tree_dir *)(uintptr_t)fi->fh);
  fuse_reply_err(req, 0);
}

/* Adds one entry at p; 0 when it does not fit. The kernel counts a reference for each entry with attributes, "." and
 * ".." excepted. */
static size_t add_entry(fuse_req_t req, char *p, size_t room, const char *name, const struct tree_node *n,
                        uint64_t next, int plus) {
  struct fuse_entry_param e = entry_of(ops_of(req), n);
  if (!plus) {
    size_t used = fuse_add_direntry(req, p, room, name, &e.attr, (off_t)next);
    return used > room ? 0 : used;
  }
  int is_dot = name[0] == '.';
  if (is_dot) e.ino = 0;
  size_t used = fuse_add_direntry_plus(req, p, room, name, &e, (off_t)next);
  return used > room || (!is_dot && tree_hold(tree_of(req), n) != 0) ? 0 : used;
}

static void reply_directory(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi, int plus) {
  struct tree_dir *d = (struct tree_dir *)(uintptr_t)fi->fh;
  struct tree_node n;
  const char *name;
  uint64_t at = (uint64_t)offset;
  size_t used = 0, one;
  int err = 0;
  char *p = malloc(size);
  if (p == NULL) {
    fail(req, ENOMEM);
    return;
  }
  while ((err = tree_readdir(tree_of(req), d, &at, &n, &name)) == 0) {
    one = add_entry(req, p + used, size - used, name, &n, at, plus);
    if (one == 0) break;
    used += one;
  }
  if (used == 0 && err != 0 && err != ENOENT) fail(req, err);
  else fuse_reply_buf(req, p, used);
  explicit_bzero(p, used);
  free(p);
}
static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
  (void)ino;
  reply_directory(req, size, offset, fi, 0);
}
static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
  (void)ino;
  reply_directory(req, size, offset, fi, 1);
}

/* The status, of the root, to root and to whose mount it is. */
static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *arg, struct fuse_file_info *fi, unsigned flags, const void *in,
                     size_t in_size, size_t out_size) {
  (void)arg; (void)fi; (void)in; (void)in_size;
  struct status s;
  size_t nodes, opens;
  uid_t uid = fuse_req_ctx(req)->uid;
  int err = command != STATUS_GET || ino != TREE_ROOT || (flags & FUSE_IOCTL_COMPAT) != 0 || out_size < sizeof s ? ENOTTY : 0;
  if (err == 0 && uid != 0 && uid != ops_of(req)->uid && uid != getuid()) err = EACCES;
  if (err != 0) {
    fuse_reply_err(req, err);
    return;
  }
  tree_count(tree_of(req), &nodes, &opens);
  status_get(&s, nodes, opens);
  fuse_reply_ioctl(req, 0, &s, sizeof s);
}

/* Constant: how full a record is, is nobody's business. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino) {
  (void)ino;
  struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255, .f_flag = ST_RDONLY | ST_NOSUID };
  fuse_reply_statfs(req, &st);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct fuse_file_info *fi) {
  (void)ino; (void)attr; (void)set; (void)fi;
  fuse_reply_err(req, EROFS);
}
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
  (void)parent; (void)name; (void)mode; (void)device;
  fuse_reply_err(req, EROFS);
}
static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
  (void)parent; (void)name; (void)mode;
  fuse_reply_err(req, EROFS);
}
static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
  (void)parent; (void)name;
  fuse_reply_err(req, EROFS);
}
static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name) {
  (void)target; (void)parent; (void)name;
  fuse_reply_err(req, EROFS);
}
static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *new_name,
                      unsigned int flags) {
  (void)parent; (void)name; (void)to; (void)new_name; (void)flags;
  fuse_reply_err(req, EROFS);
}
static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t to, const char *name) {
  (void)ino; (void)to; (void)name;
  fuse_reply_err(req, EROFS);
}
static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi) {
  (void)parent; (void)name; (void)mode; (void)fi;
  fuse_reply_err(req, EROFS);
}
static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *fi) {
  (void)ino; (void)bytes; (void)size; (void)offset; (void)fi;
  fuse_reply_err(req, EROFS);
}
static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi) {
  (void)ino; (void)mode; (void)offset; (void)length; (void)fi;
  fuse_reply_err(req, EROFS);
}

const struct fuse_lowlevel_ops ops_table = {
  .init = op_init, .lookup = op_lookup, .forget = op_forget, .forget_multi = op_forget_multi, .getattr = op_getattr,
  .open = op_open, .read = op_read, .release = op_release,
  .opendir = op_opendir, .readdir = op_readdir, .readdirplus = op_readdirplus, .releasedir = op_releasedir,
  .statfs = op_statfs, .ioctl = op_ioctl,
  .setattr = op_setattr, .mknod = op_mknod, .mkdir = op_mkdir, .unlink = op_unlink, .rmdir = op_unlink,
  .symlink = op_symlink, .rename = op_rename, .link = op_link, .create = op_create, .write = op_write,
  .fallocate = op_fallocate,
};
