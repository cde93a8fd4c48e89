/* convert.h: a table of the practice becomes a protected one, and back.
 * Owns: the order of steps, and that they happen whole or not at all.  Never: a row's box (protect.h), queries (protected.h). */
#ifndef CONVERT_H
#define CONVERT_H
#include "connection.h"
#include "protect.h"

/* columns: comma-separated names. options: without_key=null|hide, index=NAME|NAME, readers=ID|ID, progress=1. NULL columns: signs again
 * the list of views and triggers that name the table, after the application changed them. */
int convert_protect(struct session *s, const char *table, const char *columns, const char *options);
int convert_unprotect(struct session *s, const char *table, const char *options);   /* progress=1 */
/* Removes the remnants of plaintext: VACUUM and a truncated WAL, on a connection of its own. Outside a transaction. */
int convert_scrub(struct session *s);
/* New key for a table, all rows sealed again: whole inside the application's transaction; outside of one in batches that the next
 * call goes on with after a kill or an error. options: progress=1. */
int convert_rotate(struct session *s, const char *table, const char *options);
/* Takes the key from a reader: a new one, all rows sealed again, whole. DMP_E_LAST_READER. */
int convert_withdraw(struct session *s, const char *table, const uint8_t principal[16]);
int convert_rewrap(struct session *s, const char *table);   /* the same key, sealed to the readers' certificates of today */
/* The shadow and the description of d take another name; inside ALTER TABLE RENAME of the virtual table. */
int convert_rename(struct session *s, struct protect *d, const struct protect_keys *k, const char *name);
int convert_register(struct connection *c);           /* the function that the steps use inside */
#endif
