/* affinity.h: a value as a column of a protected table would store it.
 * Owns: SQLite's rules of type affinity, for columns that SQLite does not store itself.  Never: keys, boxes, statements. */
#ifndef AFFINITY_H
#define AFFINITY_H
#include "connection.h"
#include "protect.h"

enum affinity { AFF_BLOB, AFF_TEXT, AFF_NUMERIC, AFF_INTEGER, AFF_REAL };
enum affinity affinity_of(const char *decl);          /* of a declared type */
enum affinity affinity_column(const struct pcol *c);
int affinity_any(const struct pcol *c);               /* ANY of a STRICT table keeps what it is given; elsewhere it is a word like any other */
struct value affinity_stored(sqlite3_value *v, const struct pcol *c);   /* borrows v's bytes */
/* The sealed values v, in the order of the columns, as one row. */
int affinity_pack(const struct protect *d, sqlite3_value **v, struct buf *row);
int affinity_bind(sqlite3_stmt *st, int at, const struct value *x);     /* does not copy */
void affinity_result(sqlite3_context *ctx, const struct value *x);      /* gives a stored value; copies */
#endif
