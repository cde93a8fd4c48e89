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
enum { DB_WHY_MAX = 512, DB_FOLDER_MAX = 64 };

struct db_options {
  const char *record, *key, *extension;   /* borrowed paths */
  const char *pin;                        /* borrowed; NULL: the extension asks */
};
/* Opens the record, loads the extension, logs in and lays out the views. On failure *out is NULL and why is one
 * sentence. */
enum verdict db_open(struct db **out, const struct db_options *o, char why[DB_WHY_MAX]);
void db_close(struct db *db);             /* ends the session first; NULL is harmless */

/* One row of schema/layout.sql's views; name is borrowed during the call. Patients have no folder, size, offset,
 * modified. */
struct db_row { int64_t id; int folder; const char *name; int64_t size, offset, modified; };
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

/* A number that changes when another connection has committed to the record; -1 when that can't be told. */
int64_t db_version(struct db *db);

/* After root's rights are gone: what of the record can't be used any more, borrowed until the next call; NULL: nothing. */
const char *db_reachable(const char *record);

const char *db_folder(const struct db *db, int folder);                        /* its name; NULL: no such folder */
const char *db_error(const struct db *db);  /* the sentence of the last failure, without clinical values */
#endif
