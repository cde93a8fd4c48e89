/* watch.h: the views and triggers of the file that name a protected table, and what stands in the table's place.
 * Owns: which they are, and the digest of their text that a table's description signs.
 * Never: changes one. A view or a trigger that the host plants would copy what the practice reads in clear. */
#ifndef WATCH_H
#define WATCH_H
#include "protect.h"

int watch_names(const char *sql, const char *table);                    /* 1: the text names the table, as a word */
int watch_hash(struct record *r, const char *table, uint8_t out[32]);
/* Every protected table's description verifies, and the views and triggers that name it are those that were signed. */
int watch_check(struct session *s);
int watch_table(struct session *s, const struct protect *p);            /* the latter, of one description; DMP_E_SCHEMA */
/* Under the name of every protected table stands its virtual table, and its shadow is a table; asked by each use of the record, cheap
 * while the schema is unchanged. DMP_E_SCHEMA. */
int watch_entries(struct session *s);
/* Both at login, in the snapshot in which SQLite parses the schema. A foreign view lets him in who shall sign it or remove it, and no
 * protected table is read until then. */
int watch_login(struct session *s);
#endif
