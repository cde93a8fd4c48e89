/* verify_protect.c: protected tables, checked (see verify_protect.h). */
#include "verify_protect.h"
#include "affinity.h"
#include "compartment.h"
#include "memory.h"
#include "protect_reader.h"
#include "protect_row.h"
#include "watch.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

struct names { char (*all)[PROTECT_NAME]; size_t n; };

static int names_add(void *ctx, const struct protect *p) {
  struct names *x = ctx;
  void *more = realloc(x->all, (x->n + 1) * sizeof *x->all);
  if (more == NULL) return DMP_E_NOMEM;
  x->all = more;
  memcpy(x->all[x->n++], p->table, PROTECT_NAME);
  return DMP_OK;
}

/* k NULL: this login does not hold the table's key. rows: where rows lie under their patients' keys; who: the column that names them. */
struct one { struct session *s; const struct verify_tell *t; struct protect d; struct protect_keys *k; struct rowkeys *rows; int who; };

/* Told, unless nothing more can be done. */
static int told(struct one *o, int e, const char *place) {
  if (e == DMP_OK || e == DMP_E_NOMEM || e == DMP_E_SQL) return e;
  o->t->fault(o->t->ctx, e, place);
  return DMP_OK;
}

static void owed(struct one *o, const char *what) { o->t->finding(o->t->ctx, o->d.table, 0, "owed", what); }

static int check_watched(struct one *o) {
  uint8_t now[32];
  int e = watch_hash(o->s->r, o->d.table, now);
  if (e == DMP_OK && memcmp(now, o->d.watched, 32) != 0)
    o->t->finding(o->t->ctx, "dmp_sealed", o->d.id, "fault",
                  "a view or trigger that reaches the table is not among those that were signed: remove it, or sign them with dmp_protect(table)");
  return e;
}

static void reader_bad(void *ctx, int64_t row, int e) {
  struct one *o = ctx;
  record_fault(o->s->r, e, "dmp_reader", row);
  o->t->fault(o->t->ctx, e, "dmp_reader");
}

static int check_readers(struct one *o) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < o->s->dir.n; i++) {
    const struct certificate *who = session_who(o->s, o->s->dir.all[i].principal);
    if (who && memcmp(who->hash, o->s->dir.all[i].hash, 32) == 0) e = protect_reader_check(o->s, &o->d, o->k, who->principal, reader_bad, o);
  }
  return e;
}

/* A box that is for this login opens and holds as many values as columns are sealed. */
static int check_row(struct one *o, int64_t rowid, const struct value *who, const void *box, size_t n, size_t sealed, struct buf *scratch) {
  struct value v[PROTECT_COLUMNS];
  const uint8_t *row;
  size_t len, count, used;
  struct rowplace place;
  int e = compartment_row_open(o->s, &o->d, o->k, o->who < 0 ? NULL : o->rows, who, rowid, box, n, scratch, &row, &len, &place);
  if (e == DMP_E_NO_TABLE_KEY) return DMP_OK;
  if (e == DMP_OK) e = row_get(row, len, v, PROTECT_COLUMNS, &count, &used);
  if (e == DMP_OK && (count != sealed || used != len)) e = DMP_E_ROW_FORMAT;
  o->s->boxes_opened++;
  return e == DMP_OK ? e : record_fault(o->s->r, e, o->d.table, rowid);
}

static int check_rows(struct one *o) {
  sqlite3_stmt *st = NULL;
  struct buf scratch = { 0 };
  size_t sealed = 0;
  int rc = SQLITE_DONE, e = DMP_OK;
  for (uint32_t i = 0; i < o->d.columns; i++) sealed += (o->d.c[i].flags & PCOL_SEALED) != 0;
  const char *column = protect_patient(&o->d);
  char *sql = sqlite3_mprintf("SELECT \"%w\",\"" PROTECT_BOX "\"%s%w%s FROM %s.\"%w" PROTECT_SUFFIX "\"", protect_rowid(&o->d), column ? ",\"" : "",
                              column ? column : "", column ? "\"" : "", o->s->r->quoted, o->d.table);
  if (sql == NULL) return DMP_E_NOMEM;
  if (sqlite3_prepare_v2(o->s->r->db, sql, -1, &st, NULL) != SQLITE_OK)
    o->t->finding(o->t->ctx, o->d.table, 0, "fault", "the table that holds the rows is missing or was altered");
  while (st && e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    const struct value who = column ? affinity_stored(sqlite3_column_value(st, 2), &o->d.c[o->who]) : (struct value){ 0 };
    e = told(o, check_row(o, sqlite3_column_int64(st, 0), &who, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), sealed, &scratch), o->d.table);
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(o->s->r);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  buf_free(&scratch);
  return e;
}

static int check_held(struct one *o) {
  int e = check_readers(o);
  return e == DMP_OK ? check_rows(o) : e;
}

static int check_table(struct one *o, const char *table) {
  int e = protect_get(o->s->r, table, &o->d);
  if (e == DMP_OK) e = protect_again(o->s, &o->d);
  if (e != DMP_OK) return told(o, e, "dmp_sealed");
  e = check_watched(o);
  if (!suite_is_zero(o->d.old_kid, 16)) owed(o, "the table's key is being turned: dmp_rotate(table) goes on with it");
  if (o->d.scrub_due) owed(o, "what was written before may still lie in pages that are free: dmp_scrub() removes it");
  if (e != DMP_OK) return e;
  for (o->who = (int)o->d.columns - 1; o->who >= 0 && !(o->d.c[o->who].flags & PCOL_PATIENT);) o->who--;
  e = protect_key(o->s, &o->d, o->k);
  if (e == DMP_E_NO_TABLE_KEY && o->who < 0) return DMP_OK;
  if (e != DMP_OK && e != DMP_E_NO_TABLE_KEY) return told(o, e, e == DMP_E_PROTECT_BAD ? "dmp_sealed" : o->d.table);
  if (e == DMP_OK) return check_held(o);
  struct protect_keys *k = o->k;
  o->k = NULL;
  e = check_rows(o);
  o->k = k;
  return e;
}

int verify_protect(struct session *s, const struct verify_tell *t) {
  struct names x = { 0 };
  struct one o = { .s = s, .t = t, .k = memory_new(sizeof *o.k) };
  int e = o.k ? told(&o, protect_each(s->r, names_add, &x), "dmp_sealed") : DMP_E_NOMEM;
  for (size_t i = 0; e == DMP_OK && i < x.n; i++) {
    e = (o.rows = rowkeys_new()) ? check_table(&o, x.all[i]) : DMP_E_LOCK;
    rowkeys_free(o.rows);
    protect_free(&o.d);
  }
  memory_free(o.k);
  free(x.all);
  return e;
}
