/* tables.h: which virtual tables a record has.
 * Owns: the list.  Never: what one of them shows (table_*.c, history.c, notice.c, sight.c). */
#ifndef TABLES_H
#define TABLES_H
#include "connection.h"

/* Registers their module on the connection; it frees c when the connection closes, also when registering fails. */
int tables_register(struct connection *c);
#endif
