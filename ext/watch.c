/* watch.c: views and triggers that name a protected table (see watch.h). */
#include "watch.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* Whatever the locale says: SQLite takes a byte order mark for a space. */
static int in_word(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

int watch_names(const char *sql, const char *table) {
  size_t n = strlen(table);
  for (const char *p = sql; p && *p; p++)
    if (sqlite3_strnicmp(p, table, (int)n) == 0 && (p == sql || !in_word(p[-1])) && !in_word(p[n])) return 1;
  return 0;
}

/* A view, trigger or virtual table of the file. named: other texts may read through it. */
struct text { char *name, *sql; int named, names; };
struct texts { struct text *all; size_t n; };

static void texts_free(struct texts *x) {
  for (size_t i = 0; i < x->n; i++) {
    sqlite3_free(x->all[i].name);
    sqlite3_free(x->all[i].sql);
  }
  free(x->all);
}

/* What can read the table on its own: views, triggers, and virtual tables of other modules, which an FTS table is that takes its
 * content from elsewhere. SQLite makes what the text says, and takes 'VIEW' for a type as well: only what surely is a table, an
 * index or a virtual table of ours is left out. */
static int is_text(const char *type, const char *name, const char *sql) {
  static const char *const HARMLESS[] = { "CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX " };
  char ours[2 * 512];
  if (sql == NULL) return 0;
  if (type == NULL || name == NULL || (strcmp(type, "table") != 0 && strcmp(type, "index") != 0)) return 1;
  for (size_t i = 0; i < sizeof HARMLESS / sizeof *HARMLESS; i++)
    if (strncmp(sql, HARMLESS[i], strlen(HARMLESS[i])) == 0) return 0;
  sqlite3_snprintf(sizeof ours, ours, "CREATE VIRTUAL TABLE \"%w\" USING dmp_table", name);
  if (strcmp(sql, ours) == 0) return 0;
  sqlite3_snprintf(sizeof ours, ours, "CREATE VIRTUAL TABLE \"%w\" USING dmp(%w)", name, name);
  return strcmp(sql, ours) != 0;
}

static int texts_read(struct record *r, struct texts *x) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT name,sql,type IS NOT 'trigger',type FROM %s.sqlite_schema ORDER BY name", r->quoted);
  int rc = sql ? sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) : SQLITE_NOMEM, e = DMP_OK;
  sqlite3_free(sql);
  while (rc == SQLITE_OK && e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    rc = SQLITE_OK;
    if (!is_text((const char *)sqlite3_column_text(st, 3), (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 1))) continue;
    struct text *more = realloc(x->all, (x->n + 1) * sizeof *more);
    if (more == NULL) e = DMP_E_NOMEM;
    else x->all = more;
    if (e != DMP_OK) break;
    x->all[x->n++] = (struct text){ sqlite3_mprintf("%s", sqlite3_column_text(st, 0)), sqlite3_mprintf("%s", sqlite3_column_text(st, 1)),
                                    sqlite3_column_int(st, 2), 0 };
    if (x->all[x->n - 1].name == NULL || x->all[x->n - 1].sql == NULL) e = DMP_E_NOMEM;
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(r);
  sqlite3_finalize(st);
  return e;
}

/* A quotation mark in a name may be written doubled: then every text may mean it. The name of a protected table has none. */
static int may_name(const char *sql, const char *view) { return strpbrk(view, "\"'`") != NULL || watch_names(sql, view); }

/* Marks what names the table, and what names a view that does, until nothing is added. */
static void texts_mark(struct texts *x, const char *table) {
  for (size_t i = 0; i < x->n; i++) x->all[i].names = watch_names(x->all[i].sql, table);
  for (int more = 1; more;) {
    more = 0;
    for (size_t i = 0; i < x->n; i++)
      for (size_t k = 0; !x->all[i].names && k < x->n; k++)
        if (x->all[k].names && x->all[k].named && may_name(x->all[i].sql, x->all[k].name)) more = x->all[i].names = 1;
  }
}

int watch_hash(struct record *r, const char *table, uint8_t out[32]) {
  struct suite_hash h;
  struct texts x = { 0 };
  int e = texts_read(r, &x);
  if (e == DMP_OK) texts_mark(&x, table);
  suite_hash_start(&h);
  for (size_t i = 0; e == DMP_OK && i < x.n; i++) {
    if (!x.all[i].names) continue;
    suite_hash_add(&h, x.all[i].name, strlen(x.all[i].name) + 1);
    suite_hash_add(&h, x.all[i].sql, strlen(x.all[i].sql) + 1);
  }
  suite_hash_end(&h, out);
  texts_free(&x);
  return e;
}

/* The table's own entry, and its shadow's, as the conversion makes them: a plain table or a view in its place takes what is written in clear. */
struct entry { const char *table; int own, shadow, others; };

static void entry_meet(struct entry *x, const char *type, const char *name, const char *sql) {
  char want[512], shadow[PROTECT_NAME + 8];
  sqlite3_snprintf(sizeof shadow, shadow, "%s" PROTECT_SUFFIX, x->table);
  sqlite3_snprintf(sizeof want, want, "CREATE VIRTUAL TABLE \"%w\" USING dmp_table", name);
  int table = type && sql && strcmp(type, "table") == 0;
  if (sqlite3_stricmp(name, x->table) == 0) *(table && strcmp(sql, want) == 0 ? &x->own : &x->others) += 1;
  if (sqlite3_stricmp(name, shadow) == 0) *(table && strncmp(sql, "CREATE TABLE ", 13) == 0 ? &x->shadow : &x->others) += 1;
}

static int check_entry(void *ctx, const struct protect *p) {
  struct record *r = ((struct session *)ctx)->r;
  struct entry x = { .table = p->table };
  sqlite3_stmt *st = record_stmt(r, STMT_SCHEMA_ROWS);
  int rc = SQLITE_DONE;
  while (st && (rc = sqlite3_step(st)) == SQLITE_ROW)
    if (sqlite3_column_text(st, 1))
      entry_meet(&x, (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 1), (const char *)sqlite3_column_text(st, 3));
  if (st == NULL || rc != SQLITE_DONE) return record_sql_fault(r);
  sqlite3_reset(st);
  return x.own == 1 && x.shadow == 1 && x.others == 0 ? DMP_OK : DMP_E_SCHEMA;
}

int watch_entries(struct session *s) {
  struct record *r = s->r;
  if (r->entries_check == r->schema_checks || r->converting) return DMP_OK;
  int64_t checks = r->schema_checks;
  int e = protect_each_proven(s, check_entry, s);
  if (e == DMP_OK) r->entries_check = checks;
  return e == DMP_E_SCHEMA || e == DMP_E_NOMEM || e == DMP_E_SQL ? e : DMP_OK;   /* a description that does not verify is met where it is used */
}

/* What was met under a version of the schema stands for it: SQLite may have parsed it, whoever puts text and number back. */
int watch_table(struct session *s, const struct protect *p) {
  struct record *r = s->r;
  uint8_t now[32];
  int e = DMP_OK;
  if (r->watched_bad == r->schema_version && r->watched_id == p->id) memcpy(now, r->watched_seen, 32);
  else e = watch_hash(r, p->table, now);
  if (e != DMP_OK || memcmp(now, p->watched, 32) == 0) return e;
  if (sqlite3_get_autocommit(r->db)) {                /* a rollback gives the number to another schema */
    r->watched_bad = r->schema_version;
    r->watched_id = p->id;
    memcpy(r->watched_seen, now, 32);
  }
  return DMP_E_SCHEMA;
}

static int check_one(void *ctx, const struct protect *p) { return watch_table(ctx, p); }

int watch_check(struct session *s) {
  if (s->r->watched_check == s->r->schema_checks) return DMP_OK;
  int e = protect_each_proven(s, check_one, s);
  if (e == DMP_OK) s->r->watched_check = s->r->schema_checks;
  return e;
}

int watch_login(struct session *s) {
  int e = watch_entries(s);
  if (e != DMP_OK) return e;
  e = watch_check(s);
  return e == DMP_E_NOMEM || e == DMP_E_SQL ? e : DMP_OK;
}
