/* transaction.h: what a session does when the application's transaction ends, or goes back to a savepoint.
 * Owns: the order: intent in the log, commit, outcome; what was read is forgotten.  Never: begins or ends a transaction.
 * SQLite tells every virtual table of the transaction; each call but the first of a kind finds its work done. */
#ifndef TRANSACTION_H
#define TRANSACTION_H
#include "session.h"

int  transaction_sync(struct record *r);              /* its failure aborts the commit */
void transaction_end(struct record *r, int committed);
int  transaction_savepoint(struct record *r, int n);
void transaction_release(struct record *r, int n);
void transaction_rollback_to(struct record *r, int n);
#endif
