/* watch.h: the views and triggers of the file that name a protected table.
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
#endif
