/* watch.c: views and triggers that name a protected table (see watch.h). */
#include "watch.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

int watch_names(const char *sql, const char *table) {
  size_t n = strlen(table);
  for (const char *p = sql; p && *p; p++)
    if (sqlite3_strnicmp(p, table, (int)n) == 0 && (p == sql || (!isalnum((unsigned char)p[-1]) && p[-1] != '_')) && !isalnum((unsigned char)p[n]) && p[n] != '_')
      return 1;
  return 0;
}

/* A view or trigger of the file. */
struct text { char *name, *sql; int view, names; };
struct texts { struct text *all; size_t n; };

static void texts_free(struct texts *x) {
  for (size_t i = 0; i < x->n; i++) {
    sqlite3_free(x->all[i].name);
    sqlite3_free(x->all[i].sql);
  }
  free(x->all);
}

static int texts_read(struct record *r, struct texts *x) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT name,sql,type='view' FROM %s.sqlite_schema WHERE type IN('view','trigger') ORDER BY name", r->quoted);
  int rc = sql ? sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) : SQLITE_NOMEM, e = DMP_OK;
  sqlite3_free(sql);
  while (rc == SQLITE_OK && e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    struct text *more = realloc(x->all, (x->n + 1) * sizeof *more);
    if (more == NULL) e = DMP_E_NOMEM;
    else x->all = more;
    if (e != DMP_OK) break;
    x->all[x->n++] = (struct text){ sqlite3_mprintf("%s", sqlite3_column_text(st, 0)), sqlite3_mprintf("%s", sqlite3_column_text(st, 1)),
                                    sqlite3_column_int(st, 2), 0 };
    rc = SQLITE_OK;
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(r);
  sqlite3_finalize(st);
  return e;
}

/* Marks what names the table, and what names a view that does, until nothing is added. */
static void texts_mark(struct texts *x, const char *table) {
  for (size_t i = 0; i < x->n; i++) x->all[i].names = watch_names(x->all[i].sql, table);
  for (int more = 1; more;) {
    more = 0;
    for (size_t i = 0; i < x->n; i++)
      for (size_t k = 0; !x->all[i].names && k < x->n; k++)
        if (x->all[k].names && x->all[k].view && watch_names(x->all[i].sql, x->all[k].name)) more = x->all[i].names = 1;
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

static int check_one(void *ctx, const struct protect *p) {
  struct session *s = ctx;
  uint8_t now[32];
  int e = watch_hash(s->r, p->table, now);
  return e == DMP_OK && memcmp(now, p->watched, 32) != 0 ? DMP_E_SCHEMA : e;
}

int watch_check(struct session *s) {
  int e = protect_verify(s, "");
  if (e == DMP_E_NOT_FOUND) e = DMP_OK;
  return e == DMP_OK ? protect_each(s->r, check_one, s) : e;
}
