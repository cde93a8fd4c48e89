/* ptab.h: what the files of the protected table's module share.
 * protected.c connects, follows transactions; ptab.c finds the key and gives the table's errors; protected_plan.c turns constraints into the shadow's WHERE;
 * protected_read.c owns cursors, protected_scan.c the rows that a cursor reads ahead; protected_write.c owns xUpdate;
 * protected_trigger.c follows triggers that write to the table itself; protected_check.c tries CHECKs of sealed columns.
 * Never: makes or unmakes a protected table (convert.h). */
#ifndef PTAB_H
#define PTAB_H
#include "affinity.h"
#include "compartment.h"
#include "connection.h"
#include "protect_reader.h"
#include "protect_row.h"
#include "rowcheck.h"

enum { POOL = 8, INDEXES = 16, INDEX_COLUMNS = 8 };
/* idxNum, set by xBestIndex and read by xFilter: the box is read; a rowid is given, so that there is one row at most; idxStr has marks
 * (see plan_text); all rows are read, in no order or that of their rowids; and above USED which plain columns are read, in their
 * order, all from LAST_USED on by one bit. */
enum { NEEDS_BOX = 1, ONE_ROW = 2, MARKED = 4, WHOLE_TABLE = 8, USED = 4, LAST_USED = 26 };

/* What a session's key of the table costs once: in locked memory. */
struct unlocked {
  uint8_t login[16];
  unsigned generation;
  int state;                                          /* 0 not asked, 1 held, 2 not held, 3 nobody holds it */
  struct protect_keys keys;
  struct { struct protect_ix live, old; } ix[];       /* of the keyed indexes, by column */
};

/* An index of the shadow; rows[k]: how many rows agree in its first k columns, by the statistics. */
struct pindex { int n, col[INDEX_COLUMNS]; double rows[INDEX_COLUMNS + 1]; };

/* What the keyed index of a column gets from the row that is being written. */
struct keyed { int null; uint8_t v[SUITE_PRF]; };

/* A statement that reads the shadow: its rowid, its box or NULL, and the plain columns that are used. */
struct reading {
  sqlite3_stmt *st;                                   /* owned */
  struct scan *scan;                                  /* owned; NULL when each row is a step */
  char *tail;                                         /* owned: WHERE and ORDER BY */
  int num, columns;                                   /* idxNum; columns after the rowid */
  short at[PROTECT_COLUMNS];                          /* where a plain column stands in the SELECT; -1: not there */
};

/* A trigger of the shadow; of: the columns of UPDATE OF, owned; NULL: every one. */
enum { TRIGGER_INSERT, TRIGGER_UPDATE, TRIGGER_DELETE };
struct ptrigger { int event; uint8_t *of; };

struct ptab {
  sqlite3_vtab base;                                  /* base class, first */
  struct connection *c;                               /* borrowed */
  struct record *r;                                   /* borrowed */
  struct protect d;                                   /* owned */
  char *schema, *shadow;                              /* owned: quoted "schema"."table_dmp" */
  const char *key;                                    /* borrowed from d: the shadow's rowid column */
  int without_rowid;                                  /* the table as it was declared */
  int *place;                                         /* owned: where a column stands: in the box for sealed ones, among the plain ones */
  int sealed;                                         /* how many are */
  struct keyed *keyed;                                /* owned: by column */
  struct unlocked *u;                                 /* owned, locked */
  struct rowkeys *rowkeys;                            /* owned; NULL: all rows lie under the table's key */
  int who;                                            /* the column that names the patient; -1 */
  struct buf row, box, scratch;                       /* of the row that is written: as it is sealed, its box, as it was */
  struct value *x; sqlite3_stmt **keep;               /* owned: its sealed values; whose values are borrowed, by column */
  struct value was; struct buf was_text; struct rowplace lies;   /* of the row looked up: its patient's column, where it lies */
  struct reading *pool[POOL];                         /* owned: idle statements of closed cursors */
  int temp_held;                                      /* temp_store was checked and can't have changed (see record_hold_temp) */
  int64_t watched_check; uint8_t watched[32];         /* views and triggers were compared: with which check of the schema, which description */
  int begun, checked;                                 /* in a transaction that wrote: SQLite tells what is rolled back; ptab_key passed in it */
  sqlite3_stmt *insert, *replace, *erase, *old, *next, *update, *whole;
  struct rowcheck *check;                             /* owned; NULL until a row is to be tried */
  uint8_t *named;                                     /* owned: plain columns that a CHECK of a sealed one names */
  uint8_t *update_mask;                               /* which columns the prepared UPDATE sets */
  struct ptrigger *trigger; int triggers;             /* owned */
  uint64_t under_way;                                 /* which of them may be running at this moment */
  double rows;                                        /* as the statistics say */
  struct pindex index[INDEXES]; int indexes;
};
struct pcursor {
  sqlite3_vtab_cursor base;                           /* base class, first */
  struct reading *q;                                  /* owned while open */
  sqlite3_stmt *st;                                   /* borrowed from q */
  int eof, opened, numbered;
  int64_t rowid;                                      /* of the row, once numbered */
  int may;                                            /* some row may open for this login */
  unsigned generation;                                /* of the session when the reading began */
  int asked, keyed;                                   /* ptab_key was asked in this run of the statement; the login holds the key */
  struct buf plain;                                   /* the opened row */
  struct rowplace place;                              /* where it lies */
  const uint8_t *row; size_t row_len;
  struct value v[];                                   /* sealed values of the row, in box order */
};

int  ptab_error(struct ptab *t, int e);                                 /* the sentence of e becomes the table's message */
int  ptab_fail(struct ptab *t, int rc, const char *message);
int  ptab_shadow_error(struct ptab *t);                                 /* an error of the shadow in the table's own name */
int  ptab_key(struct ptab *t, struct session **s, int *held);           /* *held: 1 the login has the key, 0 not */
int  ptab_key_kept(const struct ptab *t, const struct session *s);       /* 1: the key that ptab_key found is still this login's */
void ptab_key_turned(struct ptab *t);                                   /* what was derived from the keys before for the keyed indexes; protect_key sees to the rest */
int  ptab_may(const struct ptab *t, int held);                          /* 1: some row may open: those of patients do so one by one */
int  ptab_keyless(struct ptab *t);                                      /* the sentence for a login without the key */
int  ptab_is_rowid(const struct ptab *t, int col);

void plan_statistics(struct ptab *t);
int  plan_best_index(sqlite3_vtab *base, sqlite3_index_info *info);
int  plan_stands(const struct ptab *t, const char *str, int keyed, sqlite3_value **argv);   /* 1: a MARKED idxStr is what the shadow gets */
char *plan_text(const struct ptab *t, const char *str, int keyed, int argc, sqlite3_value **argv);   /* of a MARKED idxStr; sqlite3_malloc'ed */
int  plan_bind(struct ptab *t, sqlite3_stmt *st, int num, const char *str, int keyed, int argc, sqlite3_value **argv);
void reading_free(struct reading *q);                                   /* NULL is harmless */

/* Rows read ahead. */
int  scan_register(struct connection *c);
int  scan_new(int columns, struct scan **out);
void scan_free(struct scan *s);                                         /* NULL is harmless */
void scan_start(struct scan *s);                                        /* before the first scan_next of each run */
int  scan_next(struct connection *c, struct scan *s, sqlite3_stmt *st);
sqlite3_int64 scan_rowid(const struct scan *s);
const void *scan_blob(const struct scan *s, int column, int *n);        /* columns: as they stand after the rowid */
struct value scan_value(const struct scan *s, int column);
void scan_result(const struct scan *s, int column, sqlite3_context *ctx);

int  cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int  cursor_close(sqlite3_vtab_cursor *base);
int  cursor_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv);
int  cursor_next(sqlite3_vtab_cursor *base);
int  cursor_eof(sqlite3_vtab_cursor *base);
int  cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out);
int  cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i);
/* The sealed values of one box; they borrow from scratch. who: the patient's column (see compartment_row_open). A row that was never
 * sealed is a fault: every row has a box. DMP_E_NO_TABLE_KEY: not for this login. */
int  row_values(struct ptab *t, struct session *s, int64_t rowid, const struct value *who, const void *box, size_t n, struct buf *scratch,
                struct value *v, struct rowplace *place);

/* Around each statement that writes to the shadow. mask: the columns that an UPDATE sets. Leaving is harmless where entering failed. */
struct level { int entered; uint64_t under_way; };
int  trigger_load(struct ptab *t);
void trigger_free(struct ptab *t);
int  trigger_enter(struct ptab *t, int event, const uint8_t *mask, struct level *l);
void trigger_leave(struct ptab *t, const struct level *l);

/* The row that a statement would leave, x its sealed values, against the CHECKs. SQLITE_OK: *broken is NULL, or the message of the
 * first that it breaks, sqlite3_malloc'ed. mask: the columns that an UPDATE of row `from` sets. */
int  check_insert(struct ptab *t, sqlite3_value **argv, const struct value *x, int64_t id, char **broken);
int  check_update(struct ptab *t, sqlite3_value **argv, const uint8_t *mask, const struct value *x, int64_t to, char **broken);
int  check_needed(const struct ptab *t, const uint8_t *mask);           /* 1: plain columns are set that a CHECK of a sealed one names */

int  write_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);
#endif
