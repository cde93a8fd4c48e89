/* connection.c: records of a connection; errors as SQLite says them (see connection.h). */
#include "connection.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

#define ERROR_ROW(number, name, rc, text) { number, SQLITE_##rc, text },
static const struct { int number, rc; const char *text; } ERRORS[] = { DMP_ERRORS(ERROR_ROW) };

int connection_new(sqlite3 *db, struct connection **out) {
  *out = calloc(1, sizeof **out);
  if (*out == NULL) return DMP_E_NOMEM;
  (*out)->db = db;
  return DMP_OK;
}

void connection_free(struct connection *c) {
  if (c == NULL) return;
  for (size_t i = 0; i < c->n; i++) record_free(c->r[i]);
  free(c->r);
  free(c);
}

int connection_record(struct connection *c, const char *schema, struct record **out) {
  for (size_t i = 0; i < c->n; i++)
    if (sqlite3_stricmp(c->r[i]->schema, schema) == 0) {
      *out = c->r[i];
      return DMP_OK;
    }
  struct record **r = realloc(c->r, (c->n + 1) * sizeof *r);
  if (r == NULL) return DMP_E_NOMEM;
  c->r = r;
  int e = record_new(c->db, schema, out);
  if (e == DMP_OK) {
    (*out)->connection = c;
    c->r[c->n++] = *out;
  }
  return e;
}

/* Which codes a column takes, or where their list stands. */
static const struct { const char *column, *codes; } CODES[] = {
  { "profession", "schema/profession.tsv" }, { "type_code", "schema/type_code.tsv, or code^system" }, { "class_code", "schema/class_code.tsv" },
  { "ground", "schema/grounds.tsv" }, { "recipient", "schema/recipients.tsv" }, { "confidentiality", "N, R or V" }, { "sex", "M, F or U" },
  { "status", "active or revoked" }, { "code", "CIP13, CIS or ATC, or code^system" }, { "act_code", "CCAM, NGAP, LPP or CIP13, or code^system" },
};

static void say_codes(char *detail, size_t room) {
  static const char COLUMN[] = "column ";
  for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++)
    if (strncmp(detail, COLUMN, sizeof COLUMN - 1) == 0 && strcmp(detail + sizeof COLUMN - 1, CODES[i].column) == 0) {
      sqlite3_snprintf((int)room, detail, "column %s; %s", CODES[i].column, CODES[i].codes);
      return;
    }
}

char *connection_error(struct record *r, sqlite3 *db, int e, int *rc) {
  if (e == DMP_E_SQL && r) {
    *rc = r->fault.sql_rc;
    char *m = sqlite3_mprintf("%s", *r->detail ? r->detail : sqlite3_errmsg(db));
    *r->detail = 0;
    return m;
  }
  for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) {
    if (ERRORS[i].number != e) continue;
    *rc = ERRORS[i].rc;
    if (r && r->fault.table && (*rc == SQLITE_CORRUPT))
      return sqlite3_mprintf("dmp-E%03d: %s (%s row %lld)", e, ERRORS[i].text, r->fault.table, r->fault.row);
    if (e == DMP_E_CODE && r && *r->detail) say_codes(r->detail, sizeof r->detail);
    char *m = sqlite3_mprintf(r && *r->detail ? "dmp-E%03d: %s (%s)" : "dmp-E%03d: %s", e, ERRORS[i].text, r ? r->detail : "");
    if (r) *r->detail = 0;
    return m;
  }
  *rc = SQLITE_ERROR;
  return sqlite3_mprintf("dmp-E000: unexpected error");
}
