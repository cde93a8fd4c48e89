/* table_protect.c: the tables `dmp_protected` and `protected_reader`: what of a practice is sealed, and who holds the keys.
 * Owns: their columns.  Never: keys (protect.h), the conversion (convert.h). */
#include "table.h"
#include "protect_reader.h"
#include "convert.h"
#include "memory.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { T_TABLE, T_COLUMN, T_KEY, T_LEAKS, T_SCRUB_DUE, T_ROWS, T_ROWS_DONE, T_COLUMNS };
static const struct column PROTECTED[] = {
  [T_TABLE] = { "table", "TEXT", 0 }, [T_COLUMN] = { "column", "TEXT", 0 }, [T_KEY] = { "key", "TEXT", 0 },
  [T_LEAKS] = { "leaks", "TEXT", 0 }, [T_SCRUB_DUE] = { "scrub_due", "INTEGER", 0 },
  [T_ROWS] = { "rows", "INTEGER", COL_LATE }, [T_ROWS_DONE] = { "rows_done", "INTEGER", COL_LATE },   /* counted only when asked for */
};

static struct value whose(struct rows *out, const struct protect *p) {
  char text[64];
  if (protect_patient(p) == NULL) return value_text("shared");
  sqlite3_snprintf(sizeof text, text, "patient (%s)", p->type);
  return rows_text(out, text);
}

static int put_protected(void *ctx, const struct protect *p) {
  struct rows *out = ctx;
  for (uint32_t i = 0; i < p->columns; i++) {
    if (!(p->c[i].flags & PCOL_SEALED)) continue;
    struct value *row = rows_add(out, (int64_t)out->n + 1);
    if (row == NULL) return DMP_E_NOMEM;
    row[T_TABLE] = rows_text(out, p->table);
    row[T_COLUMN] = rows_text(out, p->c[i].name);
    row[T_KEY] = whose(out, p);
    row[T_LEAKS] = value_text(p->c[i].flags & PCOL_INDEXED ? "the padded size of the row's sealed columns together; when it changed; which rows have the same value, which have none"
                                                           : "the padded size of the row's sealed columns together; when it changed");
    row[T_SCRUB_DUE] = value_int(p->scrub_due);
  }
  return DMP_OK;
}

static int protected_make(struct session *s, struct patient *p, struct rows *out) {
  (void)p;
  return protect_each_proven(s, put_protected, out);
}

/* The statement that counts the rows of the table whose row this is; done: those under the live key. */
struct counting { struct session *s; int64_t rowid; int done; char *sql; };

static int count_sql(void *ctx, const struct protect *p) {
  struct counting *q = ctx;
  for (uint32_t i = 0; q->sql == NULL && i < p->columns; i++) {
    if (!(p->c[i].flags & PCOL_SEALED) || --q->rowid > 0) continue;
    q->sql = sqlite3_mprintf("SELECT count(*) FROM %s.\"%w" PROTECT_SUFFIX "\"", q->s->r->quoted, p->table);
    if (q->sql && q->done && !suite_is_zero(p->old_kid, 16))
      q->sql = sqlite3_mprintf("%z WHERE \"%w\"<=%lld", q->sql, protect_rowid(p), (long long)p->turned);
    if (q->sql == NULL) return DMP_E_NOMEM;
  }
  return DMP_OK;
}

static int protected_late(struct session *s, int64_t rowid, int column, sqlite3_context *ctx) {
  struct counting q = { .s = s, .rowid = rowid, .done = column == T_ROWS_DONE };
  sqlite3_stmt *st = NULL;
  int e = protect_each_proven(s, count_sql, &q);
  if (e == DMP_OK && q.sql) {
    if (sqlite3_prepare_v2(s->r->db, q.sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) sqlite3_result_int64(ctx, sqlite3_column_int64(st, 0));
    else e = record_sql_fault(s->r);
  }
  sqlite3_finalize(st);
  sqlite3_free(q.sql);
  return e;
}
const struct table TABLE_PROTECTED = { .name = "dmp_protected", .col = PROTECTED, .columns = T_COLUMNS, .patient_col = -1, .id_col = -1,
                                       .needs_login = 1, .make = protected_make, .late = protected_late };

/* `since` is hidden, so that INSERT INTO protected_reader VALUES(table, principal) needs no column list. */
enum { R_TABLE, R_PRINCIPAL, R_SINCE, R_COLUMNS };
static const struct column READER[] = { [R_TABLE] = { "table", "TEXT", 0 }, [R_PRINCIPAL] = { "principal", "INTEGER", 0 },
                                        [R_SINCE] = { "since", "TEXT", COL_HIDDEN } };
struct reading { struct session *s; struct rows *out; struct protect_keys *keys; int64_t rowid, principal; char table[PROTECT_NAME]; };

/* One row per holder; its rowid is its place in this order, which a DELETE in the same transaction finds again. */
static int put_readers(void *ctx, const struct protect *p) {
  struct reading *q = ctx;
  int held = q->out && protect_key(q->s, p, q->keys) == DMP_OK, e = DMP_OK;
  for (size_t i = 0; i < q->s->dir.n; i++) {
    const struct certificate *who = directory_by_hash(&q->s->dir, q->s->dir.all[i].hash);
    if (who == NULL || session_who(q->s, who->principal) != who || !protect_reads(q->s, p, who->principal)) continue;
    int64_t rowid = p->id ^ id_from_field(who->principal);
    if (q->out == NULL) {
      if (rowid != q->rowid) continue;
      memcpy(q->table, p->table, sizeof q->table);
      q->principal = id_from_field(who->principal);
      continue;
    }
    struct value *row = rows_add(q->out, rowid);
    struct protect_reader r;
    if (row == NULL) return DMP_E_NOMEM;
    row[R_TABLE] = rows_text(q->out, p->table);
    row[R_PRINCIPAL] = value_int(id_from_field(who->principal));
    if (held && (e = protect_reader(q->s, p, q->keys, who->principal, &r)) == DMP_OK) row[R_SINCE] = rows_time(q->out, r.since);
    if (e == DMP_E_NOMEM || e == DMP_E_SQL) return e;
  }
  return DMP_OK;
}

static int reader_make(struct session *s, struct patient *p, struct rows *out) {
  struct reading q = { .s = s, .out = out, .keys = memory_new(sizeof *q.keys) };
  (void)p;
  int e = q.keys ? protect_each(s->r, put_readers, &q) : DMP_E_LOCK;
  memory_free(q.keys);
  return e;
}

/* A row that somebody planted does not stand in the way: it is replaced. */
static int reader_add(struct session *s, const char *table, int64_t principal, struct protect_keys *k, int64_t *rowid) {
  struct protect d = { 0 };
  struct protect_reader r;
  uint8_t field[16];
  int e = protect_proven(s, table, &d);
  if (e == DMP_E_NOT_FOUND) e = DMP_E_NOT_PROTECTED;
  if (e == DMP_OK) e = protect_key(s, &d, k);
  if (e == DMP_OK) {
    id_field(field, principal);
    const struct certificate *who = session_who(s, field);
    e = who ? protect_reader(s, &d, k, field, &r) : DMP_E_NO_PRINCIPAL;
    if (e == DMP_OK) e = DMP_E_DUPLICATE;
    else if (e == DMP_E_NOT_FOUND || e == DMP_E_READER_BAD) e = protect_give(s, &d, k, who, record_now());
    *rowid = d.id ^ principal;
  }
  protect_free(&d);
  return e;
}

static int reader_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  const char *table;
  int64_t principal;
  int given, e = take_text(v[R_TABLE], &table);
  if (e == DMP_OK) e = take_int(v[R_PRINCIPAL], &principal, &given);
  if (e == DMP_OK && sqlite3_value_type(v[R_SINCE]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK && (!table || !given)) e = DMP_E_MISSING;
  if (e != DMP_OK) return e;
  struct protect_keys *k = memory_new(sizeof *k);
  e = k ? reader_add(s, table, principal, k, rowid) : DMP_E_LOCK;
  memory_free(k);
  return e;
}

static int reader_erase(struct session *s, int64_t rowid) {
  struct reading q = { .s = s, .rowid = rowid };
  uint8_t field[16];
  int e = protect_each(s->r, put_readers, &q);
  if (e == DMP_OK && q.principal == 0) e = DMP_E_NOT_FOUND;
  id_field(field, q.principal);
  return e == DMP_OK ? convert_withdraw(s, q.table, field) : e;
}
const struct table TABLE_READER = { .name = "protected_reader", .col = READER, .columns = R_COLUMNS, .patient_col = -1, .id_col = -1,
                                    .needs_login = 1, .make = reader_make, .insert = reader_insert, .erase = reader_erase };
