/* protected.h: the virtual table that stands in the place of a protected table.
 * Owns: the statements on the shadow, pushed constraints, affinity, NOT NULL and DEFAULT of sealed columns.
 * Never: makes or unmakes a protected table (convert.c). */
#ifndef PROTECTED_H
#define PROTECTED_H
#include "connection.h"
#include "protect.h"
#define PROTECTED_MODULE "dmp_table"
int protected_register(struct connection *c);
/* Packs sealed values as SQLite would store them in columns of these declarations: affinity applied. */
void protected_result(sqlite3_context *ctx, const struct value *x);   /* copies */
int protected_pack(const struct protect *d, sqlite3_value **v, struct buf *row);
#endif
