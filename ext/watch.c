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

int watch_table(struct session *s, const struct protect *p) {
  uint8_t now[32];
  int e = watch_hash(s->r, p->table, now);
  return e == DMP_OK && memcmp(now, p->watched, 32) != 0 ? DMP_E_SCHEMA : e;
}

static int check_one(void *ctx, const struct protect *p) { return watch_table(ctx, p); }

int watch_check(struct session *s) { return protect_each_proven(s, check_one, s); }
