/* protect_ddl.h: the text of a CREATE TABLE, as far as protecting a table must read and change it.
 * Owns: nothing.  Never: runs SQL. */
#ifndef PROTECT_DDL_H
#define PROTECT_DDL_H
#include <stddef.h>

/* The token at p or after it that is neither space nor comment; n: its length, 0 at the end. */
const char *ddl_next(const char *p, size_t *n);
int ddl_is_name(const char *p, size_t n, const char *name);   /* is the token at p this name, quoted or not? */
/* How often a word stands in SQL text, outside strings, quoted names and comments. */
int ddl_count(const char *sql, const char *word);
/* From the parenthesis that opens the columns; NULL: there is none. */
const char *ddl_body(const char *sql);
/* A column's type and nothing behind it: words, and numbers in parentheses. */
int ddl_is_type(const char *p);
/* Behind the next semicolon that ends a statement; NULL: there is none. */
const char *ddl_more(const char *sql);
int ddl_without_rowid(const char *sql);               /* of the first statement */
char *ddl_table(const char *sql);                     /* the first statement from there to its end; sqlite3_malloc'ed, NULL: no memory or no columns */
/* Calls each with the expression, in its parentheses, of every CHECK that names one of these columns or stands in the definition of one;
 * returns how many there are. sealed: names up to NULL. */
int ddl_checks(const char *sql, const char *const *sealed, void (*each)(void *ctx, const char *expr, size_t n), void *ctx);
const char *ddl_definition(const char *sql, const char *column, size_t *n);   /* of a column, from its name on; NULL: none */
int ddl_names(const char *expr, size_t n, const char *column);          /* may the expression mean that column? */
/* The columns of a shadow. key: a number of its own becomes the primary key, the one that stood there UNIQUE, WITHOUT ROWID goes;
 * NULL: the key stays as it is. sealed: names up to NULL; UNIQUE of one of them alone goes, and so do their CHECKs. "(…) STRICT", sqlite3_malloc'ed. */
char *ddl_shadow_body(const char *sql, const char *key, const char *const *sealed);
#endif
