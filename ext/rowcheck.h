/* rowcheck.h: the CHECKs of a protected table, tried on a row before its shadow gets the row sealed.
 * Owns: a database in memory with the table as it was declared: a row goes in and is rolled back, so that what is refused, and in
 * which words, is SQLite's own.  Never: the application's database, keys. */
#ifndef ROWCHECK_H
#define ROWCHECK_H
#include "protect.h"

struct rowcheck;
enum { ROWCHECK_INSERT /* an absent value is its column's default */, ROWCHECK_UPDATE, ROWCHECK_REPLACE, ROWCHECK_KINDS };
/* Texts have the encoding of the application's database. An SQLite code; *why says what the table needs that only the application's connection has, sqlite3_malloc'ed. */
int  rowcheck_new(sqlite3 *like, const struct protect *p, struct rowcheck **out, char **why);
void rowcheck_free(struct rowcheck *k);               /* NULL is harmless */
/* Which plain columns a CHECK of a sealed one depends on: 1 in named. Returns how many such CHECKs there are, -1: no memory. */
int  rowcheck_columns(const struct protect *p, uint8_t *named);

/* A statement that wants ?1 the rowid, ?i+3 the value of column i, neither for the rowid itself nor for generated ones; then its run: SQLITE_OK
 * for a row that breaks no CHECK, whatever else it breaks. *message: of a refusal, sqlite3_malloc'ed. */
sqlite3_stmt *rowcheck_row(struct rowcheck *k, int kind);
int  rowcheck_try(struct rowcheck *k, sqlite3_stmt *st, char **message);
#endif
