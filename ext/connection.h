/* connection.h: what the extension keeps for one SQLite connection: its records, one per schema that holds one.
 * Owns: the records, until the connection closes.  Also turns an error into SQLite's code and sentence. */
#ifndef CONNECTION_H
#define CONNECTION_H
#include "session.h"

struct conversion;
struct scan;
struct table;
struct connection {
  sqlite3 *db;
  struct record **r; size_t n;
  const struct table *const *tables;                  /* borrowed: the virtual tables of a record, NULL behind the last */
  struct conversion *conversion;                      /* a table being protected or unprotected at this moment; NULL */
  struct scan *scan;                                  /* the rows of a protected table being read ahead at this moment; NULL */
  int unsettled;                                      /* a table's key was made in a transaction that may still be rolled back */
  int levels;                                         /* writes to protected tables inside one another, through triggers */
};
int  connection_new(sqlite3 *db, struct connection **out);
void connection_free(struct connection *c);           /* no login is open any more */
/* The record handle of a schema, made when new. */
int  connection_record(struct connection *c, const char *schema, struct record **out);
/* The sentence of an error ("dmp-E017: …", the row named where one is known), sqlite3_malloc'ed, and its SQLite code. */
char *connection_error(struct record *r, sqlite3 *db, int e, int *rc);
#endif
