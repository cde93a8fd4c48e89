/* protected_read.c: cursors of a protected table (see ptab.h). */
#include "ptab.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

int cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
  struct ptab *t = (struct ptab *)base;
  struct pcursor *c = calloc(1, sizeof *c);
  if (c == NULL) return SQLITE_NOMEM;
  c->v = calloc((size_t)t->sealed + 1, sizeof *c->v);
  if (c->v == NULL) {
    free(c);
    return SQLITE_NOMEM;
  }
  *out = &c->base;
  return SQLITE_OK;
}

/* A closed cursor's statement waits for the next one with the same WHERE and ORDER BY. */
static void pool_give(struct ptab *t, struct pcursor *c) {
  if (c->st == NULL) return;
  sqlite3_reset(c->st);
  sqlite3_clear_bindings(c->st);
  int i = 0;
  while (i < POOL && t->pool[i].st) i++;
  if (i == POOL) {
    i = 0;
    sqlite3_finalize(t->pool[0].st);
    sqlite3_free(t->pool[0].tail);
  }
  t->pool[i] = (struct pooled){ c->st, c->tail, c->box };
  c->st = NULL;
  c->tail = NULL;
}

static char *select_sql(const struct ptab *t, const char *tail, int box) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  sqlite3_str_appendf(s, box ? "SELECT \"%w\",\"" PROTECT_BOX "\"" : "SELECT \"%w\",NULL", t->key);
  for (uint32_t i = 0; i < t->d.columns; i++)
    if (!(t->d.c[i].flags & PCOL_SEALED)) sqlite3_str_appendf(s, ",\"%w\"", t->d.c[i].name);
  sqlite3_str_appendf(s, " FROM %s%s", t->shadow, tail);
  return sqlite3_str_finish(s);
}

static int pool_take(struct ptab *t, struct pcursor *c, const char *tail, int box) {
  c->box = box;
  for (int i = 0; i < POOL; i++) {
    struct pooled *p = &t->pool[i];
    if (p->st == NULL || p->box != box || strcmp(p->tail, tail) != 0) continue;
    c->st = p->st;
    c->tail = p->tail;
    *p = (struct pooled){ 0 };
    return SQLITE_OK;
  }
  char *sql = select_sql(t, tail, box);
  c->tail = sqlite3_mprintf("%s", tail);
  int rc = sql && c->tail ? sqlite3_prepare_v3(t->c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->st, NULL) : SQLITE_NOMEM;
  if (rc != SQLITE_OK) {
    sqlite3_free(c->tail);
    c->tail = NULL;
  }
  sqlite3_free(sql);
  return rc == SQLITE_OK || rc == SQLITE_NOMEM ? rc : ptab_shadow_error(t);
}

int cursor_close(sqlite3_vtab_cursor *base) {
  struct pcursor *c = (struct pcursor *)base;
  pool_give((struct ptab *)base->pVtab, c);
  buf_free(&c->plain);
  free(c->v);
  free(c);
  return SQLITE_OK;
}

static int cursor_step(struct pcursor *c) {
  struct ptab *t = (struct ptab *)c->base.pVtab;
  int rc = sqlite3_step(c->st);
  c->opened = 0;
  c->eof = rc != SQLITE_ROW;
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : ptab_shadow_error(t);
}
int cursor_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv) {
  struct pcursor *c = (struct pcursor *)base;
  struct ptab *t = (struct ptab *)base->pVtab;
  struct session *s;
  pool_give(t, c);
  c->eof = 1;
  int e = ptab_key(t, &s, &c->keyed);
  if (e != DMP_OK) return ptab_error(t, e);
  if (t->d.without_key == PROTECT_HIDE && !c->keyed) return SQLITE_OK;
  int marked = plan_marked(str);
  char *text = marked ? plan_text(t, str, c->keyed, argc, argv) : NULL;
  int rc = text || !marked ? pool_take(t, c, text ? text : str, num & NEEDS_BOX) : SQLITE_NOMEM;
  if (rc == SQLITE_OK) rc = plan_bind(t, c->st, str, c->keyed, argc, argv);
  sqlite3_free(text);
  return rc == SQLITE_OK ? cursor_step(c) : rc;
}

int cursor_next(sqlite3_vtab_cursor *base) { return cursor_step((struct pcursor *)base); }
int cursor_eof(sqlite3_vtab_cursor *base) { return ((struct pcursor *)base)->eof; }

int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  *out = sqlite3_column_int64(((struct pcursor *)base)->st, 0);
  return SQLITE_OK;
}

/* Values of one box; NULL for a row that was never sealed is a fault: every row has one. */
int row_values(struct ptab *t, struct session *s, int64_t rowid, const void *box, size_t n, struct buf *scratch, struct value *v) {
  const uint8_t *row;
  size_t len, count, used;
  int e = protect_open(s, &t->d, t->u->key, &t->u->sub, rowid, box, n, scratch, &row, &len);
  if (e == DMP_OK) e = row_get(row, len, v, (size_t)t->sealed, &count, &used);
  if (e == DMP_OK && (count != (size_t)t->sealed || used != len)) e = DMP_E_ROW_FORMAT;
  s->boxes_opened++;
  return e == DMP_OK ? e : record_fault(t->r, e, t->d.table, rowid);
}

static int cursor_open_row(struct pcursor *c) {
  struct ptab *t = (struct ptab *)c->base.pVtab;
  struct session *s = t->r->session;
  if (c->opened) return DMP_OK;
  if (s == NULL || memcmp(t->u->login, s->login_id, 16) != 0 || t->u->state != 1) return DMP_E_NO_SESSION;   /* ended between two rows */
  int e = row_values(t, s, sqlite3_column_int64(c->st, 0), sqlite3_column_blob(c->st, 1), (size_t)sqlite3_column_bytes(c->st, 1), &c->plain, c->v);
  c->opened = e == DMP_OK;
  return e;
}

int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  struct pcursor *c = (struct pcursor *)base;
  struct ptab *t = (struct ptab *)base->pVtab;
  if (sqlite3_vtab_nochange(ctx)) return SQLITE_OK;
  if (!(t->d.c[i].flags & PCOL_SEALED)) {
    sqlite3_result_value(ctx, sqlite3_column_value(c->st, t->place[i]));
    return SQLITE_OK;
  }
  if (!c->keyed) return SQLITE_OK;                    /* without the key: NULL */
  int e = cursor_open_row(c);
  if (e != DMP_OK) return ptab_error(t, e);
  affinity_result(ctx, &c->v[t->place[i]]);
  return SQLITE_OK;
}
