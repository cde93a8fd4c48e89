/* conversion.c: a table of the practice as it is before it is protected: what must be known of it, and what stands in the way. */
#include "conversion.h"
#include "protect_ddl.h"
#include "watch.h"
#include "protected.h"
#include "rowcheck.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { JUDGE_VALUES = 20, JUDGE_ROWS = 10 };          /* a keyed index: different values at least; a value that is rarer than that is no frequent one */

int conversion_run(struct conversion *c, char *sql) {
  if (sql == NULL) return DMP_E_NOMEM;
  int rc = sqlite3_exec(c->r->db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  if (c->e != DMP_OK) return c->e;
  return rc == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
}

/* Names what stands in the way: the sentence of e is followed by it. */
int conversion_named(struct conversion *c, int e, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  sqlite3_vsnprintf(sizeof c->r->detail, c->r->detail, format, ap);
  va_end(ap);
  return e;
}

int conversion_used(struct conversion *c, const char *format, ...) {
  char *d = c->r->detail;
  size_t n = c->used ? strlen(d) : 0, room = sizeof c->r->detail;
  va_list ap;
  if (c->used++ && n + 2 < room) {
    memcpy(d + n, "; ", 3);
    n += 2;
  }
  va_start(ap, format);
  sqlite3_vsnprintf((int)(room - n), d + n, format, ap);
  va_end(ap);
  return DMP_OK;
}

int conversion_copy(char *to, size_t room, const char *from) {
  size_t n = from ? strlen(from) : 0;
  if (n >= room) return DMP_E_TOO_BIG;
  if (n) memcpy(to, from, n);
  to[n] = 0;
  return DMP_OK;
}

/* The shadow of a protected table is none to protect. */
static int is_shadow(struct conversion *c) {
  char base[PROTECT_NAME];
  struct protect d;
  size_t n = strlen(c->d.table), k = strlen(PROTECT_SUFFIX);
  if (n <= k || sqlite3_stricmp(c->d.table + n - k, PROTECT_SUFFIX) != 0) return 0;
  sqlite3_snprintf((int)(n - k + 1), base, "%s", c->d.table);
  int e = protect_get(c->r, base, &d);
  protect_free(&d);
  return e == DMP_OK;
}

/* Why a name is none of an ordinary table. */
static int no_table(struct conversion *c, const char *table, const char *type, const char *ddl) {
  const char *why = type == NULL ? "there is no table" : strcmp(type, "view") == 0 ? "this is a view:" : strcmp(type, "table") != 0 ? "this is no table:" :
                    ddl && strncmp(ddl, "CREATE VIRTUAL TABLE ", 21) == 0 ? "this is a virtual table:" : "this is a table of the record or of SQLite:";
  return conversion_named(c, DMP_E_NOT_TABLE, "%s %s", why, table);
}

/* An ordinary table, with its CREATE TABLE and its own spelling. */
int conversion_table(struct conversion *c, const char *table) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT name,sql,type FROM %s.sqlite_schema WHERE type<>'trigger' AND name=%Q COLLATE NOCASE", c->r->quoted, table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK) {
    int there = sqlite3_step(st) == SQLITE_ROW;
    const char *name = (const char *)sqlite3_column_text(st, 0), *ddl = (const char *)sqlite3_column_text(st, 1), *type = (const char *)sqlite3_column_text(st, 2);
    if (!there || !name || !type || !ddl || strcmp(type, "table") != 0 || sqlite3_strnicmp(ddl, "CREATE TABLE", 12) != 0 || sqlite3_strnicmp(name, "dmp", 3) == 0 ||
        sqlite3_strnicmp(name, "sqlite_", 7) == 0) {
      e = no_table(c, table, type, ddl);
    } else {
      e = conversion_copy(c->d.table, sizeof c->d.table - 8, name);
      c->d.ddl = strdup(ddl);
      if (e == DMP_OK && c->d.ddl == NULL) e = DMP_E_NOMEM;
    }
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  if (e == DMP_OK && is_shadow(c)) return conversion_named(c, DMP_E_NOT_TABLE, "this holds the rows of a protected table: %s", table);
  if (e == DMP_OK && strpbrk(c->d.table, "\"'`")) return conversion_named(c, DMP_E_TABLE_RULE, "a quotation mark in the name of the table");
  if (e == DMP_OK && ddl_count(c->d.ddl, "CONFLICT")) return conversion_named(c, DMP_E_TABLE_RULE, "ON CONFLICT in table %s", c->d.table);
  return e;
}

/* The next name of a list; its length, 0 at the end. *list moves behind it. */
static size_t next_name(const char **list, const char *end, char between, const char **name) {
  const char *p = *list;
  while (p < end && (*p == ' ' || *p == between)) p++;
  const char *stop = p < end ? memchr(p, between, (size_t)(end - p)) : NULL;
  *name = p;
  *list = stop ? stop : end;
  size_t n = (size_t)(*list - p);
  while (n > 0 && p[n - 1] == ' ') n--;
  return n;
}

static int is_named(const char *list, const char *end, char between, const char *name) {
  const char *p;
  for (size_t n; (n = next_name(&list, end, between, &p)) > 0;)
    if (n == strlen(name) && sqlite3_strnicmp(p, name, (int)n) == 0) return 1;
  return 0;
}

static size_t count_names(const char *list, const char *end, char between) {
  const char *p;
  size_t n = 0;
  while (next_name(&list, end, between, &p) > 0) n++;
  return n;
}

/* Names those of the list that no column has; else the one that it has twice. */
static int no_column(struct conversion *c, const char *list, const char *end, char between) {
  const char *p, *again, *rest = list;
  int twice = 0;
  c->used = 0;                                        /* what else stands in the way is told when the names are right */
  for (size_t n, m; (n = next_name(&rest, end, between, &p)) > 0;) {
    uint32_t i = 0;
    const char *others = rest;
    while (i < c->d.columns && (strlen(c->d.c[i].name) != n || sqlite3_strnicmp(p, c->d.c[i].name, (int)n) != 0)) i++;
    if (i == c->d.columns) conversion_used(c, "%.*s", (int)n, p);
    while (!twice && (m = next_name(&others, end, between, &again)) > 0) twice = m == n && sqlite3_strnicmp(p, again, (int)n) == 0;
    if (twice == 1 && c->used == 0) twice = conversion_named(c, 2, "%.*s twice", (int)n, p);
  }
  return c->used == 0 && twice == 0 ? conversion_named(c, DMP_E_NO_COLUMN, "none is named") : DMP_E_NO_COLUMN;
}

/* A sealed column that is named by index=. */
static int read_indexed(struct conversion *c, struct pcol *p) {
  static const char *const KNOWN[] = { "", "BINARY", "NOCASE", "RTRIM" };
  size_t k = 0;
  if (c->index && sqlite3_strnicmp(p->name, PROTECT_INDEX, (int)strlen(PROTECT_INDEX)) == 0)
    return conversion_named(c, DMP_E_TABLE_RULE, "column %s has a name that an index needs", p->name);
  if (c->index == NULL || !is_named(c->index, c->index + c->index_len, '|', p->name)) return DMP_OK;
  if (!(p->flags & PCOL_SEALED)) return conversion_named(c, DMP_E_OPTION, "index=%s: that column is not to be sealed", p->name);
  while (k < sizeof KNOWN / sizeof *KNOWN && sqlite3_stricmp(p->coll, KNOWN[k]) != 0) k++;
  if (k == sizeof KNOWN / sizeof *KNOWN) return conversion_named(c, DMP_E_TABLE_RULE, "column %s: index=, COLLATE %s", p->name, p->coll);
  p->flags |= PCOL_INDEXED;
  return DMP_OK;
}

static int read_column(struct conversion *c, sqlite3_stmt *st, const char *columns) {
  struct pcol *p = &c->d.c[c->d.columns++];
  const char *coll = NULL;
  int autoinc = 0;
  int e = conversion_copy(p->name, sizeof p->name, (const char *)sqlite3_column_text(st, 1));
  if (e == DMP_OK) e = conversion_copy(p->decl, sizeof p->decl, (const char *)sqlite3_column_text(st, 2));
  if (e == DMP_OK) e = conversion_copy(p->dflt, sizeof p->dflt, (const char *)sqlite3_column_text(st, 4));
  if (e == DMP_OK && !ddl_is_type(p->decl)) e = conversion_named(c, DMP_E_TABLE_RULE, "the type of column %s", p->name);
  if (sqlite3_stricmp(p->dflt, "NULL") == 0) *p->dflt = 0;
  int pk = sqlite3_column_int(st, 5), hidden = sqlite3_column_int(st, 6);
  if (sqlite3_column_int(st, 3)) p->flags |= PCOL_NOTNULL;
  if (hidden) p->flags |= PCOL_GENERATED;
  if (pk) p->flags |= PCOL_PK;
  if (c->strict) p->flags |= PCOL_STRICT;
  if (is_named(columns, columns + strlen(columns), ',', p->name)) p->flags |= PCOL_SEALED;
  if (e == DMP_OK && p->flags & PCOL_SEALED && (pk || hidden))
    e = conversion_used(c, "column %s: %s", p->name, pk ? "PRIMARY KEY" : "generated");
  if (e == DMP_OK && sqlite3_table_column_metadata(c->r->db, c->r->schema, c->d.table, p->name, NULL, &coll, NULL, NULL, &autoinc) == SQLITE_OK)
    e = conversion_copy(p->coll, sizeof p->coll, coll);
  if (autoinc) c->d.autoincrement = 1;
  return e == DMP_OK ? read_indexed(c, p) : e;
}

/* One INTEGER column as primary key, without an index for it: the rowid itself. Else the shadow gets a number of its own,
 * because VACUUM renumbers such rows, and a box is bound to its row. */
static int read_key(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  struct pcol *key = NULL;
  int pks = 0;
  char *sql = sqlite3_mprintf("SELECT 1 FROM pragma_index_list(%Q,%Q) WHERE origin='pk' UNION ALL SELECT 1 FROM pragma_table_list WHERE schema=%Q "
                              "AND name=%Q AND wr", c->d.table, c->r->schema, c->r->schema, c->d.table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  int indexed = st && sqlite3_step(st) == SQLITE_ROW;
  sqlite3_finalize(st);
  sqlite3_free(sql);
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_PK) {
      key = &c->d.c[i];
      pks++;
    }
  c->rebuild = indexed || pks != 1;
  if (!c->rebuild) key->flags = (uint8_t)((key->flags & ~PCOL_PK) | PCOL_ROWID);
  return e;
}

int conversion_columns(struct conversion *c, const char *columns) {
  sqlite3_stmt *st = NULL;
  size_t sealed = 0, indexed = 0;
  const char *body = ddl_body(c->d.ddl);
  c->strict = body && ddl_count(body, "STRICT") > 0;
  char *sql = sqlite3_mprintf("SELECT * FROM pragma_table_xinfo(%Q,%Q)", c->d.table, c->r->schema);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  c->d.c = calloc(PROTECT_COLUMNS, sizeof *c->d.c);
  if (c->d.c == NULL) e = DMP_E_NOMEM;
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
    if (c->d.columns == PROTECT_COLUMNS) e = DMP_E_TOO_BIG;
    else e = read_column(c, st, columns);
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  for (uint32_t i = 0; i < c->d.columns; i++) {
    sealed += (c->d.c[i].flags & PCOL_SEALED) != 0;
    indexed += (c->d.c[i].flags & PCOL_INDEXED) != 0;
  }
  if (e == DMP_OK && (sealed == 0 || sealed != count_names(columns, columns + strlen(columns), ','))) e = no_column(c, columns, columns + strlen(columns), ',');
  if (e == DMP_OK && c->index && (indexed == 0 || indexed != count_names(c->index, c->index + c->index_len, '|'))) e = no_column(c, c->index, c->index + c->index_len, '|');
  return e == DMP_OK ? read_key(c) : e;
}

int conversion_fts(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT name,sql FROM %s.sqlite_schema WHERE type='table' AND sql LIKE 'CREATE VIRTUAL TABLE%%'", c->r->quoted);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
    const char *text = (const char *)sqlite3_column_text(st, 1);
    for (uint32_t i = 0; e == DMP_OK && text && watch_names(text, c->d.table) && i < c->d.columns; i++)
      if (c->d.c[i].flags & PCOL_SEALED && watch_names(text, c->d.c[i].name))
        e = conversion_used(c, "column %s: virtual table %s", c->d.c[i].name, (const char *)sqlite3_column_text(st, 0));
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

int conversion_rowkeys(struct conversion *c) {
  if (protect_patient(&c->d) == NULL || c->rowkeys) return DMP_OK;
  for (c->who = 0; !(c->d.c[c->who].flags & PCOL_PATIENT);) c->who++;
  c->rowkeys = rowkeys_new();
  return c->rowkeys ? DMP_OK : DMP_E_LOCK;
}

/* What a foreign key would do to the patient's column, behind the box that is bound to it. */
static int check_actions(struct conversion *c, const char *column) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT 1 FROM pragma_foreign_key_list(%Q,%Q) WHERE \"from\"=%Q COLLATE NOCASE AND (on_update IN('CASCADE','SET NULL',"
                              "'SET DEFAULT') OR on_delete IN('SET NULL','SET DEFAULT'))", c->d.table, c->r->schema, column);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  if (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    e = conversion_named(c, DMP_E_TABLE_RULE, "a foreign key that changes column %s, which names the patient", column);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* The type of document whose readers are those of the rows, where the option is not given: JDV_J07, compte rendu de consultation. */
#define USUAL_TYPE "11488-4"

int conversion_patient(struct conversion *c) {
  struct pcol *p = NULL;
  if (c->patient == NULL) return *c->d.type || *c->d.system ? conversion_named(c, DMP_E_OPTION, "type and system go with patient") : DMP_OK;
  for (uint32_t i = 0; i < c->d.columns; i++) {
    if (sqlite3_stricmp(c->d.c[i].name, PROTECT_MASKED) == 0) return conversion_named(c, DMP_E_TABLE_RULE, "a column named " PROTECT_MASKED);
    if (strlen(c->d.c[i].name) == c->patient_len && sqlite3_strnicmp(c->d.c[i].name, c->patient, (int)c->patient_len) == 0) p = &c->d.c[i];
  }
  if (c->index) return conversion_named(c, DMP_E_OPTION, "index and patient: an index would stand under one key for all patients");
  if (p == NULL) return conversion_named(c, DMP_E_NO_COLUMN, "patient=%.*s", (int)c->patient_len, c->patient);
  if (p->flags & (PCOL_SEALED | PCOL_GENERATED)) return conversion_named(c, DMP_E_COLUMN_USED, "column %s names the patient", p->name);
  if (*c->d.type == 0) sqlite3_snprintf(sizeof c->d.type, c->d.type, "%s", USUAL_TYPE);
  c->d.class_id = rights_class_of(c->d.type);
  if (c->d.class_id == CLASS_UNLISTED) return conversion_named(c, DMP_E_CODE, "type=%s; schema/type_code.tsv", c->d.type);
  p->flags |= PCOL_PATIENT;
  int e = check_actions(c, p->name);
  return e == DMP_OK ? conversion_rowkeys(c) : e;
}

/* An index that the keyed one of column i stands for. Made by UNIQUE of the table, it leaves the shadow's text; made by CREATE
 * INDEX, it is dropped, and its text kept behind the table's: ;U"name"(…) where it is UNIQUE, else ;I"name"(…). */
static int index_replaced(struct conversion *c, uint32_t i, const char *name, int unique, const char *sql) {
  const char *body = sql ? ddl_body(sql) : NULL;
  c->unique[i] |= (uint8_t)unique;
  if (body == NULL) {
    c->strip = 1;
    return DMP_OK;
  }
  char *drop = sqlite3_mprintf("%sDROP INDEX %s.\"%w\";", c->drop ? c->drop : "", c->r->quoted, name);
  char *more = sqlite3_mprintf("%s;%c\"%w\"%s", c->d.ddl, unique ? 'U' : 'I', name, body), *ddl = more ? strdup(more) : NULL;
  sqlite3_free(more);
  sqlite3_free(c->drop);
  c->drop = drop;
  if (ddl) {
    free(c->d.ddl);
    c->d.ddl = ddl;
  }
  return drop && ddl ? DMP_OK : DMP_E_NOMEM;
}

/* A sealed column in an index (UNIQUE included): the index would hold it in clear. One of the column alone gives way to a keyed
 * one, where index= asks for that. */
int conversion_indexes(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT x.name,l.name,l.\"unique\",l.partial,x.coll,(SELECT count(*) FROM pragma_index_xinfo(l.name,%Q) k WHERE k.key),"
                              "(SELECT m.sql FROM %s.sqlite_schema m WHERE m.type='index' AND m.name=l.name) FROM pragma_index_list(%Q,%Q) l, "
                              "pragma_index_xinfo(l.name,%Q) x WHERE x.name IS NOT NULL AND x.key ORDER BY l.seq DESC",
                              c->r->schema, c->r->quoted, c->d.table, c->r->schema, c->r->schema);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++) {
      const struct pcol *p = &c->d.c[i];
      const char *name = (const char *)sqlite3_column_text(st, 1);
      if (!(p->flags & PCOL_SEALED) || sqlite3_stricmp(p->name, (const char *)sqlite3_column_text(st, 0)) != 0) continue;
      int same = sqlite3_stricmp((const char *)sqlite3_column_text(st, 4), *p->coll ? p->coll : "BINARY") == 0;
      if (p->flags & PCOL_INDEXED && same && !sqlite3_column_int(st, 3) && sqlite3_column_int(st, 5) == 1)
        e = index_replaced(c, i, name, sqlite3_column_int(st, 2), (const char *)sqlite3_column_text(st, 6));
      else
        e = conversion_used(c, "column %s: index %s, unless index= names the column", p->name, name);
    }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* The shadow has no sealed column that a trigger could wait for. What it would do to the table again: see protected_trigger.c. */
static int check_trigger(struct conversion *c, const char *name, const char *sql, int recursive) {
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_SEALED && trigger_of(sql, c->d.c[i].name) > 0)
      conversion_used(c, "column %s: UPDATE OF of trigger %s", c->d.c[i].name, name);
  if (recursive || !trigger_repeats(sql, c->d.table)) return DMP_OK;
  return conversion_named(c, DMP_E_TABLE_RULE, "trigger %s changes the table again; UPDATE OF the columns that it leaves alone is no such change", name);
}

int conversion_triggers(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  int recursive = trigger_recursive(c->r->db);
  char *sql = sqlite3_mprintf("SELECT name,sql FROM %s.sqlite_schema WHERE type='trigger' AND tbl_name=%Q COLLATE NOCASE", c->r->quoted, c->d.table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    e = check_trigger(c, (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 1), recursive);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

/* What stands in the way of a keyed index on a column: who holds the file sees which rows are equal, and counts them. n rows with a
 * value, d different ones, the most frequent m times. NULL: nothing. */
static const char *too_few(sqlite3_int64 n, sqlite3_int64 d, sqlite3_int64 m) {
  if (d < JUDGE_VALUES) return "fewer than 20 different values";
  if (m > JUDGE_ROWS && m > n / 20) return "one value in more than 5 % of the rows";
  return n / 100 > d ? "more than 100 rows a value" : NULL;
}

int conversion_judge(struct conversion *c) {
  int e = DMP_OK;
  for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++) {
    const char *name = c->d.c[i].name, *why = NULL;
    sqlite3_stmt *st = NULL;
    if (!(c->d.c[i].flags & PCOL_INDEXED) || c->unique[i]) continue;   /* where no two rows are equal nothing is counted */
    char *sql = sqlite3_mprintf("SELECT total(n),count(*),max(n) FROM (SELECT count(*) n FROM %s.\"%w\" WHERE \"%w\" IS NOT NULL GROUP BY \"%w\")",
                                c->r->quoted, c->d.table, name, name);
    if (sql == NULL || sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW) e = record_sql_fault(c->r);
    else why = too_few(sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2));
    if (why) e = conversion_named(c, DMP_E_FEW_VALUES, "column %s: %s", name, why);
    sqlite3_finalize(st);
    sqlite3_free(sql);
  }
  return e;
}

/* A foreign key that changes its column does so in the shadow, where a CHECK of a sealed column is not. */
static int checks_foreign(struct conversion *c, const uint8_t *named) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT \"from\" FROM pragma_foreign_key_list(%Q,%Q) WHERE on_update IN('CASCADE','SET NULL','SET DEFAULT') OR "
                              "on_delete IN('SET NULL','SET DEFAULT')", c->d.table, c->r->schema);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW)
    for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++)
      if (named[i] && sqlite3_stricmp(c->d.c[i].name, (const char *)sqlite3_column_text(st, 0)) == 0)
        e = conversion_named(c, DMP_E_TABLE_RULE, "a CHECK of a sealed column names %s, which a foreign key changes", c->d.c[i].name);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

int conversion_checks(struct conversion *c) {
  struct rowcheck *k = NULL;
  char *why = NULL;
  uint8_t named[PROTECT_COLUMNS] = { 0 };
  int found = rowcheck_columns(&c->d, named);
  if (found < 0) return DMP_E_NOMEM;
  if (found == 0) return DMP_OK;
  int e = checks_foreign(c, named);
  if (e == DMP_OK && rowcheck_new(c->r->db, &c->d, &k, &why) != SQLITE_OK) e = conversion_named(c, DMP_E_TABLE_RULE, "a CHECK of a sealed column: %s", why ? why : "no memory");
  rowcheck_free(k);
  sqlite3_free(why);
  c->d.checked = 1;
  c->strip = 1;
  return e;
}

/* REFERENCES t without a column means its primary key, which is another one in a shadow that is made anew; REFERENCES t(sealed)
 * would find nothing. */
int conversion_children(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT m.name,f.\"to\" FROM %s.sqlite_schema m, pragma_foreign_key_list(m.name,%Q) f WHERE m.type='table' AND "
                              "f.\"table\"=%Q COLLATE NOCASE", c->r->quoted, c->r->schema, c->d.table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
    const char *child = (const char *)sqlite3_column_text(st, 0), *to = (const char *)sqlite3_column_text(st, 1);
    if (to == NULL && c->rebuild) e = conversion_named(c, DMP_E_TABLE_RULE, "REFERENCES %s without a column in table %s", c->d.table, child);
    for (uint32_t i = 0; e == DMP_OK && to && i < c->d.columns; i++)
      if (c->d.c[i].flags & PCOL_SEALED && sqlite3_stricmp(c->d.c[i].name, to) == 0)
        e = conversion_used(c, "column %s: REFERENCES in table %s", to, child);
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}
