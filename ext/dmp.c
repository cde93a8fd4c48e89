/* dmp.c: the entry point of the loadable extension.
 * Owns: the check of the SQLite that loads it, and what is registered on a connection.  Never: anything else. */
#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT1
#include "connection.h"
#include "convert.h"
#include "functions.h"
#include "protected.h"
#include "tables.h"
#include "verify.h"

enum { SQLITE_TESTED = 3040000 };                     /* xShadowName, vtab_in, DIRECTONLY, total_changes64 as tested */

__attribute__((visibility("default"))) int sqlite3_dmp_init(sqlite3 *db, char **err, const sqlite3_api_routines *api);

#ifdef SQLITE_CORE                                    /* linked with its SQLite, as the unit tests are */
static int another_library(sqlite3 *db, char **err, const sqlite3_api_routines *api) {
  (void)db; (void)err; (void)api;
  return SQLITE_OK;
}
#else
/* The routines of the library that came first stay in use: connections live by them. Each library frees what it made itself. */
static int another_library(sqlite3 *db, char **err, const sqlite3_api_routines *api) {
  int rc;
  if (sqlite3_api == NULL || sqlite3_api == api) return SQLITE_OK;
  char *m = connection_error(NULL, db, DMP_E_TWO_SQLITES, &rc);
  *err = api->mprintf("%s", m ? m : "");
  sqlite3_free(m);
  return rc;
}
#endif

int sqlite3_dmp_init(sqlite3 *db, char **err, const sqlite3_api_routines *api) {
  struct connection *c;
  int rc = another_library(db, err, api);
  if (rc != SQLITE_OK) return rc;
  SQLITE_EXTENSION_INIT2(api)
  if (sqlite3_libversion_number() < SQLITE_TESTED) {
    *err = connection_error(NULL, db, DMP_E_SQLITE_OLD, &rc);
    return rc;
  }
  int e = suite_start();
  if (e == DMP_OK) e = connection_new(db, &c);
  if (e != DMP_OK) {
    *err = connection_error(NULL, db, e, &rc);
    return rc;
  }
  rc = tables_register(c);                            /* the module owns c from here, also when registering fails */
  if (rc == SQLITE_OK) rc = protected_register(c);
  if (rc == SQLITE_OK) rc = convert_register(c);
  if (rc == SQLITE_OK) rc = verify_register(c);
  return rc == SQLITE_OK ? functions_register(c) : rc;
}
