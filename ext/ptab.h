/* ptab.h: what the files of the protected table's module share.
 * protected.c connects, finds the key, follows transactions; protected_plan.c turns constraints into the shadow's WHERE;
 * protected_read.c owns cursors; protected_write.c owns xUpdate.
 * Never: makes or unmakes a protected table (convert.h). */
#ifndef PTAB_H
#define PTAB_H
#include "affinity.h"
#include "connection.h"
#include "protect.h"

enum { POOL = 8, INDEXES = 16, INDEX_COLUMNS = 8 };
enum { NEEDS_BOX = 1 };                               /* idxNum */

/* What a session's key of the table costs once: in locked memory. */
struct unlocked { uint8_t login[16]; unsigned generation; int state; /* 0 not asked, 1 held, 2 not held */ uint8_t key[32]; struct protect_sub sub;
                  struct protect_ix ix[]; /* by column */ };

/* An index of the shadow; rows[k]: how many rows agree in its first k columns, by the statistics. */
struct pindex { int n, col[INDEX_COLUMNS]; double rows[INDEX_COLUMNS + 1]; };

/* What the keyed index of a column gets from the row that is being written. */
struct keyed { int null; uint8_t v[SUITE_PRF]; };

struct pooled { sqlite3_stmt *st; char *tail; int box; };   /* owned: reads the shadow, with the box or without, WHERE and ORDER BY tail */

struct ptab {
  sqlite3_vtab base;                                  /* base class, first */
  struct connection *c;                               /* borrowed */
  struct record *r;                                   /* borrowed */
  struct protect d;                                   /* owned */
  char *schema, *shadow;                              /* owned: quoted "schema"."table_dmp" */
  const char *key;                                    /* borrowed from d: the shadow's rowid column */
  int without_rowid;                                  /* the table as it was declared */
  int *place;                                         /* owned: where a column stands: in SELECT for plain ones, in the box for sealed ones */
  int sealed;                                         /* how many are */
  struct keyed *keyed;                                /* owned: by column */
  struct unlocked *u;                                 /* owned, locked */
  struct buf scratch;                                 /* of point look-ups by writes */
  struct pooled pool[POOL];                           /* idle statements of closed cursors */
  int begun, checked;                                 /* in a transaction that wrote: SQLite tells what is rolled back; ptab_key passed in it */
  sqlite3_stmt *insert, *replace, *erase, *old, *next, *update;
  uint8_t *update_mask;                               /* which columns the prepared UPDATE sets */
  double rows;                                        /* as the statistics say */
  struct pindex index[INDEXES]; int indexes;
};
struct pcursor {
  sqlite3_vtab_cursor base;                           /* base class, first */
  sqlite3_stmt *st; char *tail; int box;              /* owned while open: see pooled */
  int eof, opened;
  int keyed;                                          /* the login holds the key */
  struct buf plain;                                   /* the opened row */
  const uint8_t *row; size_t row_len;
  struct value *v;                                    /* sealed values of the row, in box order */
};

int  ptab_error(struct ptab *t, int e);                                 /* the sentence of e becomes the table's message */
int  ptab_fail(struct ptab *t, int rc, const char *message);
int  ptab_shadow_error(struct ptab *t);                                 /* an error of the shadow in the table's own name */
int  ptab_key(struct ptab *t, struct session **s, int *held);           /* *held: 1 the login has the key, 0 not */
int  ptab_is_rowid(const struct ptab *t, int col);

void plan_statistics(struct ptab *t);
int  plan_best_index(sqlite3_vtab *base, sqlite3_index_info *info);
char *plan_text(const struct ptab *t, const char *str, int keyed, int argc, sqlite3_value **argv);   /* sqlite3_malloc'ed */
int  plan_marked(const char *str);                                      /* 1: plan_text must be asked */
int  plan_bind(struct ptab *t, sqlite3_stmt *st, const char *str, int keyed, int argc, sqlite3_value **argv);

int  cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int  cursor_close(sqlite3_vtab_cursor *base);
int  cursor_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv);
int  cursor_next(sqlite3_vtab_cursor *base);
int  cursor_eof(sqlite3_vtab_cursor *base);
int  cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out);
int  cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i);
/* The sealed values of one box; they borrow from scratch. A row that was never sealed is a fault: every row has a box. */
int  row_values(struct ptab *t, struct session *s, int64_t rowid, const void *box, size_t n, struct buf *scratch, struct value *v);

int  write_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);
#endif
