/* db.h: the driver's one connection to the record: opening, login, listing, reading. All SQL is in db.c and
 * schema/layout.sql.
 * Owns: the connection and its session until db_close().  Never: names files, keeps rows, knows libfuse, decides a
 * right. No statement is alive between two calls, db_read() to db_read_end() excepted. */
#ifndef DB_H
#define DB_H
#include <stddef.h>
#include <stdint.h>
#include "verdict.h"

struct db;
enum { DB_WHY_MAX = 512, DB_FOLDER_MAX = 256 };

struct db_options {
  const char *record, *key, *extension;   /* borrowed paths */
  const char *pin;                        /* borrowed; NULL: the extension asks */
  const char *layout;                     /* borrowed path of an administrator's layout; NULL: schema/layout.sql alone */
};
/* Opens the record, loads the extension, logs in and lays out the views. On failure *out is NULL and why is one
 * sentence. */
enum verdict db_open(struct db **out, const struct db_options *o, char why[DB_WHY_MAX]);
void db_close(struct db *db);             /* ends the session first; NULL is harmless */

/* One row of schema/layout.sql's views; texts are borrowed during the call. Of a patient, folder is the group (0: none), and
 * bare says that only own deposits open; size, offset and modified are documents'. */
struct db_row {
  int64_t id;
  int folder, also, bare, kind;             /* also: a second folder that shows it, 0: none; kind: listing.h's */
  const char *name, *page, *notice;         /* page, notice: NULL when there is none */
  int64_t size, offset, modified;
};
/* Called for each row; a value other than 0 stops the listing and is its answer. */
typedef int (*db_each)(void *arg, const struct db_row *row);

/* All of these answer 0 or an errno: EAGAIN (another connection was writing: ask again), ESTALE (the right or the
 * session ended), ENOMEM, else EIO. */
int db_patients(struct db *db, db_each each, void *arg);
int db_patient(struct db *db, int64_t patient, db_each each, void *arg);       /* one row, or none */
int db_documents(struct db *db, int64_t patient, db_each each, void *arg);
/* size bytes of a document's body, borrowed until db_read_end(), which follows in every case. *n may be smaller. */
int db_read(struct db *db, int64_t document, int64_t offset, size_t size, const void **bytes, size_t *n);
void db_read_end(struct db *db);

/* What stands on a page of a patient, in order. Text is borrowed during the call, NULL where a cell is empty. */
enum db_part { DB_TITLE, DB_HEADING, DB_ROW, DB_CELL };
typedef int (*db_put)(void *arg, enum db_part part, const char *text);
int db_page(struct db *db, int page, int64_t patient, db_put put, void *arg);

/* A number that changes when another connection has committed to the record; -1 when that can't be told. */
int64_t db_version(struct db *db);

/* After root's rights are gone: what of the record can't be used any more, borrowed until the next call; NULL: nothing. */
const char *db_reachable(const char *record);

/* Names of the layout; NULL: there is none of that number. */
const char *db_folder(const struct db *db, int folder);
const char *db_group(const struct db *db, int group);
const char *db_page_name(const struct db *db, int page);
int64_t db_self(const struct db *db);       /* the patient whose own session this is; 0: another kind of principal */
const char *db_error(const struct db *db);  /* the sentence of the last failure, without clinical values */
#endif
