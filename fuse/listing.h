/* listing.h: one answer of the record, kept: all patients, or all documents of one patient, named, sorted, counted by
 * reference.
 * Owns: the rows and the text of their names, wiped with the last reference.  Never: asks the record, knows inodes or
 * time. */
#ifndef LISTING_H
#define LISTING_H
#include <stddef.h>
#include <stdint.h>
#include "db.h"

enum { LISTING_ROWS_MAX = 1000000, LISTING_NAME_MAX = 255 };
/* What a row is: a patient or document itself, or the page that is drawn from it. An id may stand in several rows. */
enum listing_kind { LISTING_ITEM, LISTING_DRAWN };

struct listing_row {
  int64_t id;
  int folder, kind, bare;
  size_t name;                              /* where its name lies in text */
  int64_t size, offset, modified;
};
struct listing {
  unsigned references;
  int64_t patient;                          /* 0: the patients themselves */
  int64_t at, sure, version;                /* for its user: when it was made, when last found to hold, of which state of the record */
  struct listing_row *row;                  /* owned; sorted by folder, then name */
  size_t *by_id;                            /* owned; positions in row, sorted by id, then kind */
  size_t rows, row_cap;
  char *text;                               /* owned: the names, each with its NUL */
  size_t text_used, text_cap;
  char *notice;                             /* owned: what is to be read before, a line for each; not NUL-terminated */
  size_t notice_used, notice_cap;
};

struct listing *listing_new(int64_t patient);         /* one reference; NULL when memory is short */
struct listing *listing_hold(struct listing *l);
void listing_release(struct listing *l);              /* NULL is harmless */

/* A db_each. 0, ENOMEM, EOVERFLOW, or EIO for a name that can't be shown. */
int  listing_add(void *listing, const struct db_row *row);
int  listing_add_notice(struct listing *l, const char *line);        /* 0 or ENOMEM */
/* Tells equal names apart and sorts; from then on it does not change. 0 or ENOMEM. */
int  listing_finish(struct listing *l);
void listing_reset(struct listing *l);                /* forgets its rows */

const char *listing_name(const struct listing *l, size_t i);
/* Positions; l->rows when there is none. */
size_t listing_find(const struct listing *l, int folder, const char *name);
size_t listing_find_id(const struct listing *l, int64_t id, int kind);
size_t listing_first(const struct listing *l, int folder);      /* of that folder or of the next that has rows */
/* The name of a row when it has to be told apart, into out. */
void listing_suffixed(const char *name, int64_t id, char out[LISTING_NAME_MAX + 1]);
#endif
