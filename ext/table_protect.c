/* table_protect.c: the tables `dmp_protected` and `protected_reader`: what of a practice is sealed, and who holds the keys.
 * Owns: their columns.  Never: keys (protect.h), the conversion (convert.h). */
#include "table.h"
#include "convert.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { T_TABLE, T_COLUMN, T_KEY, T_LEAKS, T_SCRUB_DUE, T_COLUMNS };
static const struct column PROTECTED[] = {
  [T_TABLE] = { "table", "TEXT", 0 }, [T_COLUMN] = { "column", "TEXT", 0 }, [T_KEY] = { "key", "TEXT", 0 },
  [T_LEAKS] = { "leaks", "TEXT", 0 }, [T_SCRUB_DUE] = { "scrub_due", "INTEGER", 0 },
};

static int put_protected(void *ctx, const struct protect *p) {
  struct rows *out = ctx;
  for (uint32_t i = 0; i < p->columns; i++) {
    if (!(p->c[i].flags & PCOL_SEALED)) continue;
    struct value *row = rows_add(out, (int64_t)out->n + 1);
    if (row == NULL) return DMP_E_NOMEM;
    row[T_TABLE] = rows_text(out, p->table);
    row[T_COLUMN] = rows_text(out, p->c[i].name);
    row[T_KEY] = value_text("shared");
    row[T_LEAKS] = value_text(p->c[i].flags & PCOL_INDEXED ? "the padded size of the row's sealed columns together; when it changed; which rows have the same value, which have none"
                                                           : "the padded size of the row's sealed columns together; when it changed");
    row[T_SCRUB_DUE] = value_int(p->scrub_due);
  }
  return DMP_OK;
}

static int protected_make(struct session *s, struct patient *p, struct rows *out) {
  (void)p;
  return protect_each(s->r, put_protected, out);
}
const struct table TABLE_PROTECTED = { .name = "dmp_protected", .col = PROTECTED, .columns = T_COLUMNS, .patient_col = -1, .id_col = -1,
                                       .needs_login = 1, .make = protected_make };

enum { R_TABLE, R_PRINCIPAL, R_COLUMNS };
static const struct column READER[] = { [R_TABLE] = { "table", "TEXT", 0 }, [R_PRINCIPAL] = { "principal", "INTEGER", 0 } };
struct reading { struct session *s; struct rows *out; int64_t rowid, principal; char table[PROTECT_NAME]; };

/* One row per holder; its rowid is its place in this order, which a DELETE in the same transaction finds again. */
static int put_readers(void *ctx, const struct protect *p) {
  struct reading *q = ctx;
  for (size_t i = 0; i < q->s->dir.n; i++) {
    const struct certificate *who = directory_by_hash(&q->s->dir, q->s->dir.all[i].hash);
    if (who == NULL || !protect_reads(q->s, p, who->principal)) continue;
    int64_t rowid = p->id ^ id_from_field(who->principal);
    if (q->out == NULL) {
      if (rowid != q->rowid) continue;
      memcpy(q->table, p->table, sizeof q->table);
      q->principal = id_from_field(who->principal);
      continue;
    }
    struct value *row = rows_add(q->out, rowid);
    if (row == NULL) return DMP_E_NOMEM;
    row[R_TABLE] = rows_text(q->out, p->table);
    row[R_PRINCIPAL] = value_int(id_from_field(who->principal));
  }
  return DMP_OK;
}

static int reader_make(struct session *s, struct patient *p, struct rows *out) {
  struct reading q = { .s = s, .out = out };
  (void)p;
  return protect_each(s->r, put_readers, &q);
}

static int reader_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  const char *table;
  int64_t principal;
  int given, e = take_text(v[R_TABLE], &table);
  uint8_t field[16], key[32];
  struct protect d = { 0 };
  if (e == DMP_OK) e = take_int(v[R_PRINCIPAL], &principal, &given);
  if (e == DMP_OK && (!table || !given)) e = DMP_E_MISSING;
  if (e == DMP_OK && (e = protect_get(s->r, table, &d)) == DMP_E_NOT_FOUND) e = DMP_E_NOT_PROTECTED;
  if (e == DMP_OK) e = protect_key(s, &d, key);
  if (e == DMP_OK) {
    id_field(field, principal);
    const struct certificate *who = session_who(s, field);
    e = who == NULL ? DMP_E_NO_PRINCIPAL : protect_reads(s, &d, field) ? DMP_E_DUPLICATE : protect_give(s, &d, key, who);
    *rowid = d.id ^ principal;
  }
  bytes_wipe(key, sizeof key);
  protect_free(&d);
  return e;
}

static int reader_erase(struct session *s, int64_t rowid) {
  struct reading q = { .s = s, .rowid = rowid };
  uint8_t field[16];
  int e = protect_each(s->r, put_readers, &q);
  if (e == DMP_OK && q.principal == 0) e = DMP_E_NOT_FOUND;
  id_field(field, q.principal);
  return e == DMP_OK ? convert_rotate(s, q.table, field) : e;
}
const struct table TABLE_READER = { .name = "protected_reader", .col = READER, .columns = R_COLUMNS, .patient_col = -1, .id_col = -1,
                                    .needs_login = 1, .make = reader_make, .insert = reader_insert, .erase = reader_erase };
