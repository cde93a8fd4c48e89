/* protect_ddl.h: the text of a CREATE TABLE, as far as protecting a table must read and change it.
 * Owns: nothing.  Never: runs SQL. */
#ifndef PROTECT_DDL_H
#define PROTECT_DDL_H
#include <stddef.h>

/* The token at p or after it that is neither space nor comment; n: its length, 0 at the end. */
const char *ddl_next(const char *p, size_t *n);
/* How often a word stands in SQL text, outside strings, quoted names and comments. */
int ddl_count(const char *sql, const char *word);
/* From the parenthesis that opens the columns; NULL: there is none. */
const char *ddl_body(const char *sql);
int ddl_without_rowid(const char *sql);
/* The columns of a shadow with a number of its own, `key`, as primary key: the one that stood there becomes UNIQUE, WITHOUT
 * ROWID goes. "(…) STRICT", sqlite3_malloc'ed. */
char *ddl_shadow_body(const char *sql, const char *key);
#endif
