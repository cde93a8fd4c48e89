/* steps.c: the steps that turn a table into a protected one, and back (see conversion.h). */
#include "conversion.h"
#include "protect_reader.h"
#include "protect_ddl.h"
#include "protected.h"
#include "watch.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

#define PATIENT_INDEX "_dmpp_%llx"                    /* by the description's id: its name stays when the table is renamed */

static char *sealed_list(const struct conversion *c) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_SEALED) sqlite3_str_appendf(s, ",\"%w\"", c->d.c[i].name);
  return sqlite3_str_finish(s);
}

/* One value of the schema row of the shadow or of a query with the same parameter; sqlite3_malloc'ed, NULL when there is none. */
static char *shadow_sql(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *found = NULL, *sql = sqlite3_mprintf("SELECT sql FROM %s.sqlite_schema WHERE type='table' AND name='%q" PROTECT_SUFFIX "'", c->r->quoted, c->d.table);
  if (sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
    found = sqlite3_mprintf("%s", sqlite3_column_text(st, 0));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return found;
}

/* Dropping a column takes its own REFERENCES along without a word: seen by counting. */
static int drop_column(struct conversion *c, const char *column) {
  char *before = shadow_sql(c), *after = NULL;
  int e = before ? conversion_run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" DROP COLUMN \"%w\"", c->r->quoted, c->d.table, column)) : DMP_E_NOMEM;
  if (e == DMP_E_SQL && (c->r->fault.sql_rc & 0xff) == SQLITE_ERROR)
    e = conversion_used(c, "column %s: %s", column, sqlite3_errmsg(c->r->db));
  else if (e == DMP_OK && (after = shadow_sql(c)) == NULL)
    e = DMP_E_NOMEM;
  if (e == DMP_OK && after && ddl_count(before, "REFERENCES") != ddl_count(after, "REFERENCES")) e = conversion_used(c, "column %s: REFERENCES", column);
  sqlite3_free(before);
  sqlite3_free(after);
  return e;
}

static int drop_columns(struct conversion *c) {
  int e = DMP_OK;
  for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_SEALED) e = drop_column(c, c->d.c[i].name);
  return e;
}

/* One statement that fires triggers of the shadow, compiled; what keeps it from that, sqlite3_malloc'ed, or NULL. */
static char *compile_probe(struct conversion *c, const char *probe) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf(probe, c->r->quoted, c->d.table);
  char *why = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? NULL : sqlite3_mprintf("%s", sqlite3_errmsg(c->r->db));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return why;
}

/* The oldest trigger of the shadow, sqlite3_malloc'ed; NULL: none. */
static char *a_trigger(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *found = NULL, *sql = sqlite3_mprintf("SELECT name FROM %s.sqlite_schema WHERE type='trigger' AND tbl_name='%q" PROTECT_SUFFIX "' ORDER BY rowid", c->r->quoted, c->d.table);
  if (sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
    found = sqlite3_mprintf("%s", sqlite3_column_text(st, 0));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return found;
}

/* Which trigger: the one without which the statement compiles, or fails by something else. They are dropped one after the other: the
 * conversion is taken back as a whole. why is freed. */
static int name_triggers(struct conversion *c, const char *probe, char *why) {
  char *name = NULL;
  int before = c->used, e = DMP_OK;
  while (e == DMP_OK && why && (name = a_trigger(c)) != NULL) {
    e = conversion_run(c, sqlite3_mprintf("DROP TRIGGER %s.\"%w\"", c->r->quoted, name));
    char *next = e == DMP_OK ? compile_probe(c, probe) : NULL;
    if (e == DMP_OK && (next == NULL || strcmp(next, why) != 0)) e = conversion_used(c, "trigger %s: %s", name, why);
    sqlite3_free(name);
    sqlite3_free(why);
    why = next;
  }
  if (e == DMP_OK && c->used == before) e = conversion_used(c, "a trigger: %s", why ? why : "");
  sqlite3_free(why);
  return e;
}

/* The triggers of the table compile against the shadow: one that reads a sealed column does not. */
static int check_triggers(struct conversion *c) {
  static const char *const PROBES[] = { "INSERT INTO %s.\"%w" PROTECT_SUFFIX "\" DEFAULT VALUES", "DELETE FROM %s.\"%w" PROTECT_SUFFIX "\"",
                                        "UPDATE %s.\"%w" PROTECT_SUFFIX "\" SET \"" PROTECT_BOX "\"=NULL" };
  int e = DMP_OK;
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
  for (size_t i = 0; e == DMP_OK && i < sizeof PROBES / sizeof *PROBES; i++) {
    char *why = compile_probe(c, PROBES[i]);
    if (why) e = name_triggers(c, PROBES[i], why);
  }
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  return e == DMP_OK && c->used ? DMP_E_COLUMN_USED : e;
}

/* What stands on a table and goes with it when it is made anew: the text of its indexes and triggers. */
static int read_dependents(struct conversion *c, const char *table, char **out) {
  sqlite3_stmt *st = NULL;
  sqlite3_str *s = sqlite3_str_new(NULL);
  char *sql = sqlite3_mprintf("SELECT sql FROM %s.sqlite_schema WHERE tbl_name=%Q AND type IN('index','trigger') AND sql IS NOT NULL", c->r->quoted, table);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) sqlite3_str_appendf(s, "%s;", (const char *)sqlite3_column_text(st, 0));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  *out = sqlite3_str_finish(s);
  return e;
}

/* Puts `fresh` in the place of `table`: rows, then indexes and triggers. Foreign keys are off: nothing is deleted for anybody. */
static int replace_table(struct conversion *c, const char *table, const char *fresh, const char *body, const char *names, const char *values) {
  const char *q = c->r->quoted;
  char *dependents = NULL;
  int e = read_dependents(c, table, &dependents);
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("CREATE TABLE %s.\"%w\"%s", q, fresh, body));
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("INSERT INTO %s.\"%w\"(%s) SELECT %s FROM %s.\"%w\"", q, fresh, names, values, q, table));
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("DROP TABLE %s.\"%w\"", q, table));
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w\" RENAME TO \"%w\"", q, fresh, table));
  if (e == DMP_OK && dependents) e = conversion_run(c, sqlite3_mprintf("%s", dependents));
  sqlite3_db_config(c->r->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
  sqlite3_free(dependents);
  return e;
}

/* Columns by name, their values: those that a table stores. */
static char *stored_list(const struct conversion *c, const char *first) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  sqlite3_str_appendall(s, first);
  for (uint32_t i = 0; i < c->d.columns; i++)
    if (!(c->d.c[i].flags & PCOL_GENERATED)) sqlite3_str_appendf(s, "%s\"%w\"", sqlite3_str_length(s) ? "," : "", c->d.c[i].name);
  return sqlite3_str_finish(s);
}

/* A table made anew has a sequence of its own: the old one's goes with it. */
static int sequence_get(struct conversion *c, const char *table) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT seq FROM %s.sqlite_sequence WHERE name=%Q", c->r->quoted, table);
  c->seq = -1;
  int e = c->d.autoincrement ? (sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r)) : DMP_OK;
  if (st && sqlite3_step(st) == SQLITE_ROW) c->seq = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

static int sequence_put(struct conversion *c, const char *table) {
  if (!c->d.autoincrement) return DMP_OK;
  int e = conversion_run(c, sqlite3_mprintf("DELETE FROM %s.sqlite_sequence WHERE name=%Q", c->r->quoted, table));
  if (e != DMP_OK || c->seq < 0) return e;
  return conversion_run(c, sqlite3_mprintf("INSERT INTO %s.sqlite_sequence(name,seq) VALUES(%Q,%lld)", c->r->quoted, table, (long long)c->seq));
}

/* The shadow is made again: with a primary key of its own where c->rebuild says so, without what its sealed columns may not keep. */
static int rebuild_shadow(struct conversion *c) {
  char shadow[PROTECT_NAME], fresh[PROTECT_NAME];
  const char **sealed = protect_sealed(&c->d), *alias = protect_alias(&c->d);
  char *now = shadow_sql(c), *body = now && sealed ? ddl_shadow_body(now, c->rebuild ? PROTECT_ID : NULL, sealed) : NULL;
  sqlite3_snprintf(sizeof shadow, shadow, "%s" PROTECT_SUFFIX, c->d.table);
  sqlite3_snprintf(sizeof fresh, fresh, "%s" PROTECT_SUFFIX "2", c->d.table);
  char *names = stored_list(c, c->rebuild ? "\"" PROTECT_ID "\"" : ""), *values = stored_list(c, !c->rebuild ? "" : alias ? alias : "NULL");
  int e = body && names && values ? sequence_get(c, shadow) : DMP_E_NOMEM;
  if (e == DMP_OK) e = replace_table(c, shadow, fresh, body, names, values);
  if (e == DMP_OK) e = sequence_put(c, shadow);
  free(sealed);
  sqlite3_free(now);
  sqlite3_free(body);
  sqlite3_free(names);
  sqlite3_free(values);
  return e;
}

/* ALTER TABLE leaves the statistics under the old name: without them the shadow's indexes are chosen blindly. */
int steps_statistics(struct conversion *c, const char *from, const char *to) {
  sqlite3_stmt *st = NULL;
  const char *q = c->r->quoted;
  char *sql = sqlite3_mprintf("SELECT 1 FROM %s.sqlite_schema WHERE name='sqlite_stat1'", q);
  int there = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
  sqlite3_finalize(st);
  sqlite3_free(sql);
  if (!there) return DMP_OK;
  int e = conversion_run(c, sqlite3_mprintf("UPDATE %s.sqlite_stat1 SET tbl=%Q, idx=replace(idx,'sqlite_autoindex_%q_','sqlite_autoindex_%q_') WHERE tbl=%Q", q, to,
                                 from, to, from));
  return e == DMP_OK ? conversion_run(c, sqlite3_mprintf("ANALYZE %s.sqlite_schema", q)) : e;   /* reads them again */
}

/* The key for who protects, and for those whom the option `readers` names. */
static int give_first(struct conversion *c) {
  uint8_t field[16];
  int64_t now = record_now();
  int e = protect_give(c->s, &c->d, &c->keys[1], &c->s->me, now);
  for (size_t i = 0; e == DMP_OK && i < c->readers_n; i++) {
    id_field(field, c->readers[i]);
    const struct certificate *who = session_who(c->s, field);
    e = who ? protect_give(c->s, &c->d, &c->keys[1], who, now) : conversion_named(c, DMP_E_NO_PRINCIPAL, "readers=%lld", (long long)c->readers[i]);
  }
  return e;
}

static char *who_sql(const struct conversion *c) {
  const char *column = protect_patient(&c->d);
  return column ? sqlite3_mprintf("\"%w\"", column) : sqlite3_mprintf("NULL");
}

/* A key that turns asks for all rows of one patient. */
static int patient_index(struct conversion *c, int make) {
  const char *column = protect_patient(&c->d);
  if (column == NULL) return DMP_OK;
  if (!make) return conversion_run(c, sqlite3_mprintf("DROP INDEX IF EXISTS %s.\"" PATIENT_INDEX "\"", c->r->quoted, (long long)c->d.id));
  return conversion_run(c, sqlite3_mprintf("CREATE INDEX %s.\"" PATIENT_INDEX "\" ON \"%w" PROTECT_SUFFIX "\"(\"%w\")", c->r->quoted, (long long)c->d.id,
                                           c->d.table, column));
}

/* ---- keyed indexes ---- */

/* Their names follow no rename of the table: they hold its id. */
static char *index_name(const struct conversion *c, uint32_t i) { return sqlite3_mprintf(PROTECT_INDEX "%llx_%s", (long long)c->d.id, c->d.c[i].name); }

static int index_columns(struct conversion *c) {
  int e = DMP_OK;
  for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++)
    if (c->d.c[i].flags & PCOL_INDEXED)
      e = conversion_run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" ADD COLUMN \"" PROTECT_INDEX "%w\" BLOB", c->r->quoted, c->d.table, c->d.c[i].name));
  return e;
}

/* ,"_dmpx_name"=dmp_row_index(…) for each: of the column itself, or of what its row's box held under the key before. */
char *steps_index_sets(const struct conversion *c, int from_box) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  for (uint32_t i = 0, k = 0; i < c->d.columns; i++) {
    const struct pcol *p = &c->d.c[i];
    if (p->flags & PCOL_INDEXED) {
      sqlite3_str_appendf(s, ",\"" PROTECT_INDEX "%w\"=dmp_row_index(%d,", p->name, (int)i);
      if (from_box) sqlite3_str_appendf(s, "\"%w\",\"" PROTECT_BOX "\",%d)", protect_rowid(&c->d), (int)k);
      else sqlite3_str_appendf(s, "\"%w\")", p->name);
    }
    k += (p->flags & PCOL_SEALED) != 0;
  }
  char *sets = sqlite3_str_finish(s);
  return sets ? sets : sqlite3_mprintf("");
}

static int indexes_make(struct conversion *c) {
  int e = DMP_OK;
  for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++) {
    if (!(c->d.c[i].flags & PCOL_INDEXED)) continue;
    char *name = index_name(c, i);
    e = name ? conversion_run(c, sqlite3_mprintf("CREATE%s INDEX %s.\"%w\" ON \"%w" PROTECT_SUFFIX "\"(\"" PROTECT_INDEX "%w\")", c->unique[i] ? " UNIQUE" : "",
                                                 c->r->quoted, name, c->d.table, c->d.c[i].name)) : DMP_E_NOMEM;
    sqlite3_free(name);
  }
  return e;
}

static int indexes_drop(struct conversion *c) {
  int e = DMP_OK;
  for (uint32_t i = 0; e == DMP_OK && i < c->d.columns; i++) {
    if (!(c->d.c[i].flags & PCOL_INDEXED)) continue;
    char *name = index_name(c, i);
    e = name ? conversion_run(c, sqlite3_mprintf("DROP INDEX IF EXISTS %s.\"%w\"", c->r->quoted, name)) : DMP_E_NOMEM;
    sqlite3_free(name);
  }
  return e;
}

/* Those that gave way to keyed ones come back: ;U"name"(…) behind the table's text. */
static int indexes_restore(struct conversion *c) {
  int e = DMP_OK;
  for (const char *p = ddl_more(c->d.ddl); e == DMP_OK && p; p = ddl_more(p)) {
    const char *body = ddl_body(p), *more = ddl_more(p);
    if (body == NULL) return DMP_E_PROTECT_BAD;
    e = conversion_run(c, sqlite3_mprintf("CREATE%s INDEX %s.%.*s ON \"%w\"%.*s", *p == 'U' ? " UNIQUE" : "", c->r->quoted, (int)(body - p - 1), p + 1, c->d.table,
                                          (int)(more ? more - body - 1 : (ptrdiff_t)strlen(body)), body));
  }
  return e;
}

int steps_protect(struct conversion *c) {
  const char *q = c->r->quoted, *t = c->d.table;
  char *list = sealed_list(c), *sets = steps_index_sets(c, 0), *shadow = sqlite3_mprintf("%s" PROTECT_SUFFIX, t), *who = who_sql(c);
  int e = list && sets && shadow && who ? DMP_OK : DMP_E_NOMEM;
  c->d.scrub_due = 1;
  if (e == DMP_OK) e = protect_new_key(&c->d, &c->keys[1]);
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w\" RENAME TO \"%w" PROTECT_SUFFIX "\"", q, t, t));
  if (e == DMP_OK) e = protect_put(c->s, &c->d, &c->keys[1]);
  if (e == DMP_OK) e = give_first(c);
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("CREATE VIRTUAL TABLE %s.\"%w\" USING " PROTECTED_MODULE, q, t));
  if (e == DMP_OK && c->drop) e = conversion_run(c, sqlite3_mprintf("%s", c->drop));
  if (e == DMP_OK && (c->rebuild || c->strip)) e = rebuild_shadow(c);
  if (e == DMP_OK) e = steps_statistics(c, t, shadow);  /* after the table that had them under its name is gone */
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" ADD COLUMN \"" PROTECT_BOX "\" BLOB NOT NULL DEFAULT x''", q, t));
  if (e == DMP_OK) e = index_columns(c);
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("UPDATE %s.\"%w" PROTECT_SUFFIX "\" SET \"" PROTECT_BOX "\"=dmp_row_seal(\"%w\",%s%s)%s", q, t, protect_rowid(&c->d),
                                                         who, list, sets));
  if (e == DMP_OK) e = patient_index(c, 1);
  if (e == DMP_OK) e = drop_columns(c);
  if (e == DMP_OK && !c->used) e = indexes_make(c);
  if (e == DMP_OK) e = check_triggers(c);
  if (e == DMP_OK) e = watch_hash(c->r, t, c->d.watched);
  if (e == DMP_OK) e = protect_put(c->s, &c->d, &c->keys[1]);
  sqlite3_free(shadow);
  sqlite3_free(sets);
  sqlite3_free(list);
  sqlite3_free(who);
  return e;
}

/* The table comes back with the references that it had: one to a table that was protected since would find a virtual table. */
static int check_parents(struct conversion *c) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT \"table\" FROM pragma_foreign_key_list('%q" PROTECT_SUFFIX "',%Q)", c->d.table, c->r->schema);
  int e = sql && sqlite3_prepare_v2(c->r->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(c->r);
  while (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) {
    const char *parent = (const char *)sqlite3_column_text(st, 0);
    size_t n = parent ? strlen(parent) : 0, k = strlen(PROTECT_SUFFIX), own = strlen(c->d.table);
    if (n <= k || sqlite3_stricmp(parent + n - k, PROTECT_SUFFIX) != 0 || watch_names(c->d.ddl, parent)) continue;
    if (n - k == own && sqlite3_strnicmp(parent, c->d.table, (int)own) == 0) continue;   /* itself */
    e = conversion_named(c, DMP_E_TABLE_RULE, "it refers to table %.*s, which was protected later: dmp_unprotect that one first", (int)(n - k), parent);
  }
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

int steps_unprotect(struct conversion *c) {
  const char *q = c->r->quoted, *t = c->d.table, *alias = strcmp(protect_rowid(&c->d), PROTECT_ID) == 0 ? protect_alias(&c->d) : NULL;
  char *body = ddl_table(c->d.ddl);
  sqlite3_str *values = sqlite3_str_new(NULL);
  char fresh[PROTECT_NAME], *who = who_sql(c);
  int k = 0, e = !body ? DMP_E_PROTECT_BAD : who ? patient_index(c, 0) : DMP_E_NOMEM;
  sqlite3_snprintf(sizeof fresh, fresh, "%s" PROTECT_SUFFIX, t);
  if (alias) sqlite3_str_appendall(values, "\"" PROTECT_ID "\"");
  for (uint32_t i = 0; i < c->d.columns; i++) {
    const struct pcol *p = &c->d.c[i];
    if (p->flags & PCOL_GENERATED) continue;
    if (sqlite3_str_length(values)) sqlite3_str_appendall(values, ",");
    if (p->flags & PCOL_SEALED) sqlite3_str_appendf(values, "dmp_row_turn(\"%w\",\"" PROTECT_BOX "\",%d,%s)", protect_rowid(&c->d), k++, who ? who : "");
    else sqlite3_str_appendf(values, "\"%w\"", p->name);
  }
  char *names = stored_list(c, alias ? alias : ""), *list = sqlite3_str_finish(values);
  if (e == DMP_OK) e = check_parents(c);
  /* the virtual table's entry goes, its shadow takes its name back: children's foreign keys follow */
  c->r->converting = 1;
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("DROP TABLE %s.\"%w\"", q, t));
  c->r->converting = 0;
  if (e == DMP_OK) e = conversion_run(c, sqlite3_mprintf("ALTER TABLE %s.\"%w" PROTECT_SUFFIX "\" RENAME TO \"%w\"", q, t, t));
  if (e == DMP_OK) e = indexes_drop(c);
  if (e == DMP_OK) e = sequence_get(c, t);
  if (e == DMP_OK) e = replace_table(c, t, fresh, body, names, list);
  if (e == DMP_OK) e = sequence_put(c, t);
  if (e == DMP_OK) e = indexes_restore(c);
  char *shadow = sqlite3_mprintf("%s" PROTECT_SUFFIX, t);
  if (e == DMP_OK) e = shadow ? steps_statistics(c, shadow, t) : DMP_E_NOMEM;
  if (e == DMP_OK) e = protect_drop(c->s, &c->d);
  sqlite3_free(body);
  sqlite3_free(shadow);
  sqlite3_free(names);
  sqlite3_free(list);
  sqlite3_free(who);
  return e;
}
