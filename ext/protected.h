/* protected.h: the virtual table that stands in the place of a protected table.
 * Owns: the statements on the shadow, pushed constraints, affinity, NOT NULL and DEFAULT of sealed columns.
 * Never: makes or unmakes a protected table (convert.c). */
#ifndef PROTECTED_H
#define PROTECTED_H
#include "connection.h"
#define PROTECTED_MODULE "dmp_table"
int protected_register(struct connection *c);
#endif
