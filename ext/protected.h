/* protected.h: the virtual table that stands in the place of a protected table.
 * Owns: the statements on the shadow, pushed constraints, affinity, NOT NULL and DEFAULT of sealed columns.
 * Never: makes or unmakes a protected table (convert.c). */
#ifndef PROTECTED_H
#define PROTECTED_H
#include "connection.h"
#define PROTECTED_MODULE "dmp_table"
int protected_register(struct connection *c);
/* Does a trigger, by its CREATE TRIGGER, wait for an UPDATE OF that column? -1: of every one, or not for UPDATE. */
int trigger_of(const char *sql, const char *column);
/* Does a trigger of this table do to the table again what runs it? Is that allowed on this connection? */
int trigger_repeats(const char *sql, const char *table);
int trigger_recursive(sqlite3 *db);
#endif
