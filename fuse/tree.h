/* tree.h: the directories and files of a mount, as nodes with inode numbers; the names that tell equal names apart;
 * how long a listing is believed.
 * Owns: nodes the kernel knows, listings.  Never: libfuse, SQL, bytes of documents other than passing them through.
 *
 * Levels: root (a directory for each patient, or for each group that has one), group (patients), patient (a directory for each
 * folder that has a document, and pages), folder (documents, and beside a structured one the page that is drawn from it).
 *
 * Masked equals absent. Everything is made from the rows that this session can open, and from each row alone, with
 * one exception: equal names. When two visible names of one directory are equal (case aside), each of them gets
 * " (<id>)" before its extension, <id> being its own id on 19 digits; so does a name that already ends like this, so
 * that no name of the one kind equals one of the other. The name of a visible item therefore depends on visible items
 * only, never on an order or a count: it is what it would be in a record where the hidden ones never were. Inode
 * numbers come from ids; a document that stands in two folders has one. Directories have constant sizes and link counts, pages
 * constant sizes until they are opened (page.h), and the date of a folder or page is that of its newest visible document.
 *
 * Freshness. A listing is believed until another connection has committed to the record, and TREE_LISTING_MS at most. Rights also end by
 * date: each TREE_RIGHT_MS (with TREE_KERNEL_MS less than two seconds) the one patient concerned is asked for, which costs the same
 * however long a listing is; the patients themselves are listed again where a directory's reading begins. The kernel may believe
 * an answer for TREE_KERNEL_MS. Documents never change, so their pages may stay in the kernel while they are open: tree_gone()
 * names those that have to be dropped. */
#ifndef TREE_H
#define TREE_H
#include <stddef.h>
#include <stdint.h>

struct db;
struct draw;
struct tree;
struct tree_dir;                            /* an open directory */

enum { TREE_KERNEL_MS = 1000, TREE_RIGHT_MS = 750, TREE_LISTING_MS = 10000 };
enum { TREE_ROOT = 1 };                     /* the root's inode number, as FUSE has it */
enum tree_kind { TREE_PATIENTS, TREE_GROUP, TREE_PATIENT, TREE_FOLDER, TREE_DOCUMENT, TREE_PAGE };
enum { TREE_DRAWN = 256 };                  /* the page of a document; a patient's have their numbers (page.h) */

struct tree_node {
  uint64_t ino;
  enum tree_kind kind;
  int folder;                               /* of a folder or a document; the group of a group or patient */
  int page;                                 /* of a page */
  int bare;                                 /* of a patient: only own deposits open */
  int64_t patient;                          /* 0 for the root and groups */
  int64_t document;                         /* of a document and its page */
  int64_t size, offset, modified;           /* of a document or page; a folder has modified */
};
static inline int tree_is_file(const struct tree_node *n) { return n->kind == TREE_DOCUMENT || n->kind == TREE_PAGE; }

int  tree_new(struct tree **out, struct db *db, struct draw *draw);    /* borrows both; without draw no page is drawn; 0 or ENOMEM */
void tree_free(struct tree *t);             /* wipes; NULL is harmless */

/* These answer 0 or an errno: ENOENT for whatever is not there for this session, ESTALE when the session has ended,
 * ENOTDIR, ENOMEM, EOVERFLOW for a listing above a million rows, EIO. */
int  tree_lookup(struct tree *t, uint64_t parent, const char *name, struct tree_node *out);   /* holds it once */
int  tree_get(struct tree *t, uint64_t ino, struct tree_node *out);          /* asks whether it is still there */
int  tree_hold(struct tree *t, const struct tree_node *n);                   /* one more reference by the kernel */
void tree_forget(struct tree *t, uint64_t ino, uint64_t references);

int  tree_opendir(struct tree *t, uint64_t ino, struct tree_dir **out);
void tree_closedir(struct tree *t, struct tree_dir *d);
/* The entry at position *at, which moves behind it; position 0 takes a new listing, which then stays the same until the
 * end, less what has gone since. name is borrowed until the next call. ENOENT after the last one. */
int  tree_readdir(struct tree *t, struct tree_dir *d, uint64_t *at, struct tree_node *out, const char **name);

/* Opening. TREE_CACHED: the kernel may still have pages of an earlier reading; then the record was asked for no byte, so that an
 * access which the kernel answers by itself is logged, or refused, too. TREE_DIRECT: the kernel must not keep what it reads. */
enum { TREE_CACHED = 1, TREE_DIRECT = 2 };
int  tree_open(struct tree *t, uint64_t ino, int *how);
void tree_close(struct tree *t, uint64_t ino);
/* Calls gone for each open document that is no longer there: once, or again the next time when it answers 0. */
void tree_gone(struct tree *t, int (*gone)(void *arg, uint64_t ino), void *arg);
int  tree_has_open(const struct tree *t);
void tree_count(const struct tree *t, size_t *nodes, size_t *opens);
/* The session ends: from now on every answer is ESTALE, and the record is not touched any more. */
void tree_end(struct tree *t);
/* Calls gone for each document that is still open, until it answers 1 for it; how many are left. */
int  tree_open_left(struct tree *t, int (*gone)(void *arg, uint64_t ino), void *arg);

/* Bytes of a document, at most size, borrowed until tree_read_end(), which follows in every case. Each call asks the
 * record. EINPROGRESS: the page is being drawn; ask again after tree_drawn(), which takes in what has been drawn since. */
int  tree_read(struct tree *t, uint64_t ino, int64_t offset, size_t size, const void **bytes, size_t *n);
void tree_read_end(struct tree *t);
void tree_drawn(struct tree *t);
const char *tree_error(const struct tree *t);         /* the record's own sentence for the last EIO or ESTALE */
#endif
