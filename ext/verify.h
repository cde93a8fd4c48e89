/* verify.h: dmp_verify(): everything that this login can check, one row per fault or thing owed.
 * Owns: the order of the checks and their wording.  Never: writes; shows a clinical value. */
#ifndef VERIFY_H
#define VERIFY_H
#include "connection.h"
int verify_register(struct connection *c);            /* the table-valued function dmp_verify([schema]) */
#endif
