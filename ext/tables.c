/* tables.c: the list of a record's virtual tables (see tables.h). */
#include "tables.h"
#include "login.h"
#include "table.h"

#define TABLE_ADDRESS(name) &TABLE_##name,
static const struct table *const TABLES[] = { OF_RECORD(TABLE_ADDRESS) NULL };

/* A login that is still open ends with its connection, and an open transaction is rolled back with it. */
static void ended(void *aux) {
  struct connection *c = aux;
  for (size_t i = 0; i < c->n; i++) login_abandon(c->r[i]);
  connection_free(c);
}

int tables_register(struct connection *c) {
  c->tables = TABLES;
  return table_register(c, ended);
}
