/* table.h: the virtual tables of a record: one module, each table one description.
 * Owns: cursors, batches of rows, pushed constraints, transactions' hooks into the log.  Never: cryptography; a rule.
 * A table describes its columns once and gives a function that makes rows; the rest follows. */
#ifndef TABLE_H
#define TABLE_H
#include "holder.h"
#include "access.h"
#include "connection.h"
#include "section_data.h"

enum { COL_HIDDEN = 1, COL_PUSH = 2 /* constraints reach the rows' making */, COL_LATE = 4 /* made only when read */ };
struct column { const char *name, *decl; int flags; };

/* Memory for the values of a batch: blocks, so that pointers stay good while it grows. Wiped when freed. */
struct arena { struct arena_block *head; };
void *arena_get(struct arena *a, size_t n);           /* NULL: out of memory */
void  arena_free(struct arena *a);

/* A batch: rows × columns values. */
struct rows { struct value *v; int64_t *rowid; size_t n, cap; int columns; struct arena arena; int64_t asked; /* value of asked_col */
              size_t hidden, withheld; /* of the rows made so far, those about what representatives, or the patient, must not know of */ };
struct value *rows_add(struct rows *r, int64_t rowid); /* all NULL; NULL: out of memory */
struct value  rows_text(struct rows *r, const char *s);
struct value  rows_bytes(struct rows *r, uint8_t type, const void *p, size_t n);
struct value  rows_time(struct rows *r, int64_t unix_ms);   /* ISO text; NULL for 0 */

struct table {
  const char *name;
  const struct column *col;
  int columns;
  int patient_col;                                    /* rows are made patient by patient; -1: all at once */
  int id_col;                                         /* a column that names one item (its rowid); -1 */
  int several;                                        /* 1: an item has several rows, so id_col is not the rowid */
  int asked_col;                                      /* a hidden column without which no row is made: f(x), or WHERE column=x; 0: none */
  int listing;                                        /* releasing rows is a `list` access */
  int needs_login;                                    /* 0: empty, not refused, without a session */
  int self;                                           /* after the patients, make is called once with p NULL: rows about nobody */
  /* Rows of one patient (p NULL when patient_col is -1). */
  int (*make)(struct session *s, struct patient *p, struct rows *out);
  /* The row of one item of the patient, where that is less work than making them all; NULL: make. */
  int (*make_one)(struct session *s, struct patient *p, int64_t id, struct rows *out);
  int (*insert)(struct session *s, sqlite3_value **v, int64_t *rowid);         /* v: one per column */
  int (*update)(struct session *s, int64_t rowid, sqlite3_value **v);
  int (*erase)(struct session *s, int64_t rowid);
  /* A column marked COL_LATE, too large or too dear for a batch: sets the result. */
  int (*late)(struct session *s, int64_t rowid, int column, sqlite3_context *ctx);
};
/* Every virtual table of a record, as OF_RECORD(each). */
#define OF_RECORD(TABLE) \
  SECTIONS(TABLE) TABLE(SUGGESTION) TABLE(FEED) TABLE(VIEW) TABLE(DMP) TABLE(SESSION) TABLE(PRINCIPAL) TABLE(PATIENT) TABLE(IDENTITY) TABLE(REPRESENTATIVE) \
  TABLE(CONSENT) TABLE(BLOCKED) TABLE(CERTIFICATE_LOG) TABLE(MEMBERSHIP) TABLE(DOCUMENT) TABLE(MASK) TABLE(ACCESS_LOG) TABLE(ACCESS_RIGHT) \
  TABLE(DOCUMENT_AS) TABLE(NOTIFICATION) TABLE(HOSTING) TABLE(PROTECTED) TABLE(READER)
#define TABLE_EXTERN(name) extern const struct table TABLE_##name;
OF_RECORD(TABLE_EXTERN)

void table_result(sqlite3_context *ctx, const struct value *x);   /* copies: SQLite may keep the pointer */
/* Registers the module on the connection, for c->tables. ended: called with c when the connection closes, or registering fails. */
int table_register(struct connection *c, void (*ended)(void *));

/* Reading the values given to INSERT: each checks type and form. */
int take_text(sqlite3_value *v, const char **out);    /* NULL allowed; UTF-8 without NUL, at most DMP_TITLE_MAX */
int take_int(sqlite3_value *v, int64_t *out, int *given);
int take_flag(sqlite3_value *v, int *out);            /* 0 or 1; NULL = 0 */
int take_until(sqlite3_value *v, int64_t *unix_ms);   /* a date or time to come; NULL = 0. DMP_E_DATE, DMP_E_EXPIRED */

/* "MARIE Marie 02/01/1970", as it is read on paper. */
int people_text(struct session *s, struct patient *p, struct buf *out);
/* The birth date that the patient's certificate vouches for; empty: none. */
int people_birth_date(struct session *s, struct patient *p, char out[16]);
#endif
