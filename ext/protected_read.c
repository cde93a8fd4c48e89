/* protected_read.c: cursors of a protected table (see ptab.h). */
#include "ptab.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { OPENED = 1, CLOSED = 2 /* not for this login */ };   /* of a cursor's row */

int cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
  struct ptab *t = (struct ptab *)base;
  struct pcursor *c = calloc(1, sizeof *c + (size_t)t->sealed * sizeof *c->v);
  if (c == NULL) return SQLITE_NOMEM;
  *out = &c->base;
  return SQLITE_OK;
}

void reading_free(struct reading *q) {
  if (q == NULL) return;
  sqlite3_finalize(q->st);
  scan_free(q->scan);
  sqlite3_free(q->tail);
  free(q);
}

/* A closed cursor's statement waits for the next one that reads the same columns with the same WHERE and ORDER BY. */
static void pool_give(struct ptab *t, struct pcursor *c) {
  if (c->q == NULL) return;
  sqlite3_reset(c->st);
  int i = 0;
  while (i < POOL && t->pool[i]) i++;
  if (i == POOL) reading_free(t->pool[i = 0]);
  t->pool[i] = c->q;
  c->q = NULL;
}

/* Rows that are read ahead in an order must come in it: sorting would be too late. */
static int ordered(const char *tail) { return strncmp(tail, " ORDER BY", 9) == 0; }

/* The shadow reads no column that the query does not: another index may cover it, and long rows stay on their pages. */
static char *select_sql(const struct ptab *t, struct reading *q) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  int ahead = q->num & WHOLE_TABLE;
  short n = ahead && !(q->num & NEEDS_BOX) ? 1 : 2;
  if (ahead) sqlite3_str_appendf(s, "SELECT 1 FROM %s%s WHERE dmp_row_scan(\"%w\"", t->shadow, ordered(q->tail) ? " NOT INDEXED" : "", t->key);
  else sqlite3_str_appendf(s, "SELECT \"%w\"", t->key);
  sqlite3_str_appendall(s, q->num & NEEDS_BOX ? ",\"" PROTECT_BOX "\"" : ahead ? "" : ",NULL");
  for (uint32_t i = 0; i < t->d.columns; i++) {
    q->at[i] = t->d.c[i].flags & PCOL_ROWID ? 0 : -1;
    if (t->d.c[i].flags & (PCOL_SEALED | PCOL_ROWID)) continue;
    if (!(q->num & 1 << (USED + (t->place[i] < LAST_USED ? t->place[i] : LAST_USED)))) continue;
    q->at[i] = n++;
    sqlite3_str_appendf(s, ",\"%w\"", t->d.c[i].name);
  }
  if (ahead) sqlite3_str_appendf(s, ")%s", q->tail);
  else sqlite3_str_appendf(s, " FROM %s%s", t->shadow, q->tail);
  q->columns = n - 1;
  return sqlite3_str_finish(s);
}

static int reading_new(struct ptab *t, const char *tail, int num, struct reading **out) {
  struct reading *q = calloc(1, sizeof *q);
  if (q == NULL) return SQLITE_NOMEM;
  q->num = num;
  q->tail = sqlite3_mprintf("%s", tail);
  char *sql = q->tail ? select_sql(t, q) : NULL;
  int rc = sql ? sqlite3_prepare_v3(t->c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->st, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc == SQLITE_OK && num & WHOLE_TABLE) rc = scan_new(q->columns, &q->scan);
  if (rc == SQLITE_OK) *out = q;
  else reading_free(q);
  return rc == SQLITE_OK || rc == SQLITE_NOMEM ? rc : ptab_shadow_error(t);
}

static int reads(const struct reading *q, const char *tail, int num) { return q && q->num == num && strcmp(q->tail, tail) == 0; }

static int pool_take(struct ptab *t, struct pcursor *c, const char *tail, int num) {
  int rc = SQLITE_OK;
  if (reads(c->q, tail, num)) {
    sqlite3_reset(c->st);
    return SQLITE_OK;
  }
  pool_give(t, c);
  for (int i = 0; c->q == NULL && i < POOL; i++) {
    if (!reads(t->pool[i], tail, num)) continue;
    c->q = t->pool[i];
    t->pool[i] = NULL;
  }
  if (c->q == NULL) rc = reading_new(t, tail, num, &c->q);
  if (c->q) c->st = c->q->st;
  return rc;
}

int cursor_close(sqlite3_vtab_cursor *base) {
  struct pcursor *c = (struct pcursor *)base;
  pool_give((struct ptab *)base->pVtab, c);
  buf_free(&c->plain);
  free(c);
  return SQLITE_OK;
}

static int cursor_open_row(struct pcursor *c);

/* A row of a patient that is not for this login is no row where the table hides them. */
static int cursor_step(struct pcursor *c) {
  struct ptab *t = (struct ptab *)c->base.pVtab;
  int rc, e = DMP_OK;
  do {
    rc = c->q->scan ? scan_next(t->c, c->q->scan, c->st) : sqlite3_step(c->st);
    c->opened = c->numbered = 0;
    c->eof = rc != SQLITE_ROW;
  } while (rc == SQLITE_ROW && t->rowkeys && t->d.without_key == PROTECT_HIDE && (e = cursor_open_row(c)) == DMP_OK && c->opened == CLOSED);
  if (e != DMP_OK) return ptab_error(t, e);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : ptab_shadow_error(t);
}

/* The key is asked for once in a run of the statement; what a join looks up again and again only needs it to be the same. */
static int cursor_key(struct ptab *t, struct pcursor *c) {
  struct session *s = t->r->session;
  if (c->asked && c->keyed && ptab_key_kept(t, s)) return DMP_OK;
  c->asked = 1;
  int e = ptab_key(t, &s, &c->keyed);
  c->may = e == DMP_OK && ptab_may(t, c->keyed);
  c->generation = c->may ? t->u->generation : 0;
  return e;
}

/* Not while this connection writes: what is read ahead may be rolled back. A table that somebody writes after the reading began is
 * read as it was or as it is, as SQLite says of its own. */
static int reads_ahead(const struct ptab *t, int num) {
  return num & WHOLE_TABLE && sqlite3_txn_state(t->c->db, t->r->schema) != SQLITE_TXN_WRITE;
}

int cursor_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv) {
  struct pcursor *c = (struct pcursor *)base;
  struct ptab *t = (struct ptab *)base->pVtab;
  c->eof = 1;
  int e = cursor_key(t, c);
  if (e != DMP_OK) return ptab_error(t, e);
  if (t->d.without_key == PROTECT_HIDE && !c->may) return t->u->state == 3 ? ptab_keyless(t) : SQLITE_OK;
  if (!reads_ahead(t, num)) num &= ~WHOLE_TABLE;
  int stands = !(num & MARKED) || plan_stands(t, str, c->keyed, argv);
  char *text = stands ? NULL : plan_text(t, str, c->keyed, argc, argv);
  int rc = text || stands ? pool_take(t, c, text ? text : str, num) : SQLITE_NOMEM;
  if (rc == SQLITE_OK && c->q->scan) scan_start(c->q->scan);
  if (rc == SQLITE_OK) rc = plan_bind(t, c->st, num, str, c->keyed, argc, argv);
  sqlite3_free(text);
  return rc == SQLITE_OK ? cursor_step(c) : rc;
}

int cursor_next(sqlite3_vtab_cursor *base) {
  struct pcursor *c = (struct pcursor *)base;
  if (!(c->q->num & ONE_ROW)) return cursor_step(c);
  c->eof = 1;
  sqlite3_reset(c->st);
  return SQLITE_OK;
}

int cursor_eof(sqlite3_vtab_cursor *base) { return ((struct pcursor *)base)->eof; }

static int64_t row_number(struct pcursor *c) {
  if (!c->numbered) c->rowid = c->q->scan ? scan_rowid(c->q->scan) : sqlite3_column_int64(c->st, 0);
  c->numbered = 1;
  return c->rowid;
}

int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  *out = row_number((struct pcursor *)base);
  return SQLITE_OK;
}

int row_values(struct ptab *t, struct session *s, int64_t rowid, const struct value *who, const void *box, size_t n, struct buf *scratch,
               struct value *v, struct rowplace *place) {
  const uint8_t *row;
  size_t len, count, used;
  struct protect_keys *k = t->u->state == 1 ? &t->u->keys : NULL;
  int e = compartment_row_open(s, &t->d, k, t->rowkeys, who, rowid, box, n, scratch, &row, &len, place);
  s->boxes_opened++;
  if (e == DMP_E_NO_TABLE_KEY) return e;
  if (e == DMP_OK) e = row_get(row, len, v, (size_t)t->sealed, &count, &used);
  if (e == DMP_OK && (count != (size_t)t->sealed || used != len)) e = DMP_E_ROW_FORMAT;
  return e == DMP_OK ? e : record_fault(t->r, e, t->d.table, rowid);
}

/* The patient's column of the row at hand. */
static struct value cursor_who(struct ptab *t, struct pcursor *c) {
  if (t->who < 0) return (struct value){ 0 };
  if (c->q->at[t->who] == 0) return value_int(row_number(c));
  if (c->q->scan) return scan_value(c->q->scan, c->q->at[t->who] - 1);
  return affinity_stored(sqlite3_column_value(c->st, c->q->at[t->who]), &t->d.c[t->who]);
}

/* A box that was read ahead lies under the key of before when this connection has turned it since: the row is asked for once more. When
 * it has gone meanwhile, what opens that box has gone too. */
static int read_again(struct ptab *t, struct session *s, struct pcursor *c, const struct value *who) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT \"" PROTECT_BOX "\" FROM %s WHERE \"%w\"=?1", t->shadow, t->key);
  int e = sql && sqlite3_prepare_v2(t->c->db, sql, -1, &st, NULL) == SQLITE_OK ? DMP_E_TABLE_BUSY : record_sql_fault(t->r);
  if (st) sqlite3_bind_int64(st, 1, row_number(c));
  if (st && sqlite3_step(st) == SQLITE_ROW)
    e = row_values(t, s, row_number(c), who, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), &c->plain, c->v, &c->place);
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return e;
}

__attribute__((noinline)) static int cursor_open_row(struct pcursor *c) {
  struct ptab *t = (struct ptab *)c->base.pVtab;
  struct session *s = t->r->session;
  if (c->opened) return DMP_OK;
  if (s == NULL || memcmp(t->u->login, s->login_id, 16) != 0 || (t->u->state != 1 && !t->rowkeys)) return DMP_E_NO_SESSION;   /* ended between two rows */
  int held = 1, e = t->u->generation == s->generation ? DMP_OK : ptab_key(t, &s, &held);   /* the key may have turned since */
  if (e == DMP_OK && !held && !t->rowkeys) e = DMP_E_NO_TABLE_KEY;
  if (e != DMP_OK) return e;
  const struct value who = cursor_who(t, c);
  int n;
  const void *box;
  if (c->q->scan) {
    box = scan_blob(c->q->scan, 0, &n);
  } else {
    sqlite3_value *v = sqlite3_column_value(c->st, 1);
    box = sqlite3_value_blob(v);
    n = sqlite3_value_bytes(v);
  }
  e = row_values(t, s, row_number(c), &who, box, (size_t)n, &c->plain, c->v, &c->place);
  if (c->q->scan && (e == DMP_E_TAMPERED || (e == DMP_E_NO_TABLE_KEY && c->generation != s->generation))) e = read_again(t, s, c, &who);
  c->opened = e == DMP_OK ? OPENED : e == DMP_E_NO_TABLE_KEY && t->rowkeys ? CLOSED : 0;
  return c->opened ? DMP_OK : e;
}

static int plain_result(struct ptab *t, struct pcursor *c, sqlite3_context *ctx, int i) {
  int at = c->q->at[i];
  if (at == 0) {
    sqlite3_result_int64(ctx, row_number(c));
    return SQLITE_OK;
  }
  if (at < 0) return ptab_fail(t, SQLITE_INTERNAL, "a column is read that the plan left out");
  if (c->q->scan) {
    scan_result(c->q->scan, at - 1, ctx);
    return SQLITE_OK;
  }
  sqlite3_value *v = sqlite3_column_value(c->st, at);
  if (sqlite3_value_type(v) == SQLITE_INTEGER) sqlite3_result_int64(ctx, sqlite3_value_int64(v));
  else sqlite3_result_value(ctx, v);
  return SQLITE_OK;
}

int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  struct pcursor *c = (struct pcursor *)base;
  struct ptab *t = (struct ptab *)base->pVtab;
  if (sqlite3_vtab_nochange(ctx)) return SQLITE_OK;
  int hidden = i == (int)t->d.columns;                /* PROTECT_MASKED */
  if (!hidden && !(t->d.c[i].flags & PCOL_SEALED)) return plain_result(t, c, ctx, i);
  if (!c->may) return t->u->state == 3 ? ptab_keyless(t) : SQLITE_OK;   /* without the key: NULL, unless nobody has it */
  int e = cursor_open_row(c);
  if (e != DMP_OK) return ptab_error(t, e);
  if (c->opened == CLOSED) return SQLITE_OK;
  if (hidden && c->place.patient) sqlite3_result_int(ctx, c->place.leaf >= 2);
  if (!hidden) affinity_result(ctx, &c->v[t->place[i]]);
  return SQLITE_OK;
}
