/* layout.h: the layout of a mount: schema/layout.sql, then an administrator's file, checked before anything is mounted.
 * Owns: the names of groups, folders and pages, and the queries of pages.  Never: decides a right; lets a layout's text write
 * the record, attach a file, set a PRAGMA, or call a function that could: it judges each statement when it is prepared. */
#ifndef LAYOUT_H
#define LAYOUT_H
#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>
#include "db.h"

struct layout;
enum layout_names { LAYOUT_GROUPS, LAYOUT_FOLDERS, LAYOUT_PAGES, LAYOUT_NAMES };

/* Runs both texts and checks that the driver's queries (borrowed; NULL entries are skipped) can be prepared on what they made.
 * Gives an SQLite code. SQLITE_OK with *at_fault: the layout is, and why says where. */
int layout_new(struct layout **out, sqlite3 *sql, const char *file, const char *const *queries, int n, int *at_fault,
               char *why, size_t why_size);
void layout_free(struct layout *l);         /* before the connection is closed; NULL is harmless */

const char *layout_name(const struct layout *l, enum layout_names what, int number);    /* NULL: none */
/* The blocks of a page, for db_page(). An SQLite code; *err is what put answered. */
int layout_put(struct layout *l, int page, int64_t patient, db_put put, void *arg, int *err);
#endif
