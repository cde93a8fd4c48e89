/* conversion.h: what the files of a conversion share: convert.c the verbs, conversion.c the table as it is, steps.c the steps,
 * rotate.c those about its key.
 * Owns: the state of one conversion.  Never: outlives the call that began it. */
#ifndef CONVERSION_H
#define CONVERSION_H
#include "compartment.h"
#include "connection.h"
#include "protect.h"

/* What is told on stderr of a long conversion, when the application asked for it. */
struct progress { int on; int64_t done, total, told; /* ms of the last line */ };

/* What runs inside one conversion; found by the row functions through the connection. */
struct conversion {
  struct session *s;
  struct record *r;
  const char *table;                                  /* borrowed: the protected table that it is about; NULL: one to be protected */
  struct protect d;
  struct rowkeys *rowkeys;                            /* owned; NULL: all rows lie under the table's key */
  uint32_t who;                                       /* that column */
  const char *patient; size_t patient_len;            /* borrowed from the options: the column that names the patient */
  struct protect_keys *keys;                          /* locked, two: those that open, those that seal */
  int batch, finished;                                /* of a rotation: rows in one transaction, 0 all; whether no row is left */
  const uint8_t *without;                             /* who loses the key in it; NULL */
  int64_t *readers; size_t readers_n;                 /* owned: who gets the key at once */
  struct progress progress;
  int e;                                              /* what a row function failed with */
  int used;                                           /* obstacles named so far: all of one look are told together */
  int strict, rebuild;                                /* STRICT; the shadow gets a primary key of its own */
  const char *index; size_t index_len;                /* option index=: names of columns, '|' between; borrowed */
  uint8_t unique[PROTECT_COLUMNS];                    /* sealed columns whose keyed index is UNIQUE */
  int strip;                                          /* the shadow is made again: constraints of sealed columns leave its text */
  char *drop;                                         /* owned by SQLite: DROP INDEX of those that keyed ones stand for; NULL */
  int64_t seq;                                        /* AUTOINCREMENT: the highest rowid ever; -1: no row in sqlite_sequence */
  sqlite3_int64 last;                                 /* last_insert_rowid() before: the practice's, not ours */
};

int  conversion_run(struct conversion *c, char *sql);                    /* frees sql */
/* Names what stands in the way: the sentence of e is followed by it. */
__attribute__((format(printf, 3, 4))) int conversion_named(struct conversion *c, int e, const char *format, ...);
/* The same for a column to be sealed, behind the obstacles that were named before it: the look for more goes on. Gives DMP_OK. */
__attribute__((format(printf, 2, 3))) int conversion_used(struct conversion *c, const char *format, ...);
int  conversion_copy(char *to, size_t room, const char *from);
int  conversion_table(struct conversion *c, const char *table);         /* an ordinary table, its CREATE TABLE, its own spelling */
int  conversion_columns(struct conversion *c, const char *columns);
int  conversion_patient(struct conversion *c);                          /* the options patient, type and system */
int  conversion_rowkeys(struct conversion *c);                          /* where rows lie in compartments: room for their keys */
int  conversion_fts(struct conversion *c);                              /* a virtual table that keeps words of a sealed column */
int  conversion_indexes(struct conversion *c);                          /* a sealed column in an index would stand there in clear */
int  conversion_triggers(struct conversion *c);
int  conversion_judge(struct conversion *c);                            /* a keyed index on few values would give them away */
int  conversion_children(struct conversion *c);
int  conversion_checks(struct conversion *c);                           /* CHECKs that name sealed columns: tried row by row (rowcheck.h) */

int  steps_protect(struct conversion *c);
int  steps_unprotect(struct conversion *c);
/* Rows sealed again under the key that is to be live: all of them under a new one, or the next batch of a rotation. */
int  steps_rotate(struct conversion *c);
char *steps_index_sets(const struct conversion *c, int from_box);       /* what an UPDATE of the shadow sets for its keyed indexes */
int  steps_rewrap(struct conversion *c);                                /* the keys, to each reader's certificate of today */
int  steps_sign(struct conversion *c);                                  /* the views and triggers as they are now */
int  steps_progress_begin(struct conversion *c);                        /* counts, where the application wants to be told */
void steps_progress(struct conversion *c, int rows);                    /* so many rows more are done */
int  steps_statistics(struct conversion *c, const char *from, const char *to);   /* they follow a table that was renamed */
#endif
