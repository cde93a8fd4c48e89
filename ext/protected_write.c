/* protected_write.c: INSERT, UPDATE and DELETE of a protected table (see ptab.h). */
#include "holder.h"
#include "ptab.h"
#include "table.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* What an UPDATE does beside the columns that it sets. */
enum { CHANGE_SEAL = 1, CHANGE_REPLACE = 2, CHANGE_ROWID = 4 };

static const struct pcol INTEGER_COLUMN = { .decl = "INTEGER" };

/* A statement that has run is reset. sql is not looked at when the statement is there; freed. */
static int ptab_prepare(struct ptab *t, sqlite3_stmt **st, char *sql) {
  if (sql == NULL && *st == NULL) return SQLITE_NOMEM;
  int rc = *st ? SQLITE_OK : sqlite3_prepare_v3(t->c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
  sqlite3_free(sql);
  return rc == SQLITE_OK ? SQLITE_OK : ptab_shadow_error(t);
}

/* A trigger of the table may write to the table itself: while a statement runs it is nobody else's, and of two one is kept. */
static int ptab_run(struct ptab *t, sqlite3_stmt **slot) {
  sqlite3_stmt *st = *slot;
  *slot = NULL;
  int rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : ptab_shadow_error(t);
  sqlite3_reset(st);
  sqlite3_clear_bindings(st);
  if (*slot) sqlite3_finalize(st);
  else *slot = st;
  return rc;
}

static char *old_sql(const struct ptab *t) {
  if (t->who < 0) return sqlite3_mprintf("SELECT \"" PROTECT_BOX "\" FROM %s WHERE \"%w\"=?1", t->shadow, t->key);
  return sqlite3_mprintf("SELECT \"" PROTECT_BOX "\",\"%w\" FROM %s WHERE \"%w\"=?1", t->d.c[t->who].name, t->shadow, t->key);
}

static char *insert_sql(const struct ptab *t, int replace) {
  sqlite3_str *s = sqlite3_str_new(NULL), *v = sqlite3_str_new(NULL);
  sqlite3_str_appendf(s, "INSERT%s INTO %s(\"%w\",\"" PROTECT_BOX "\"", replace ? " OR REPLACE" : "", t->shadow, t->key);
  for (uint32_t i = 0; i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    if (c->flags & (PCOL_ROWID | PCOL_GENERATED) || (c->flags & (PCOL_SEALED | PCOL_INDEXED)) == PCOL_SEALED) continue;
    sqlite3_str_appendf(s, ",\"%s%w\"", c->flags & PCOL_INDEXED ? PROTECT_INDEX : "", c->name);
    /* an omitted column and NULL come alike: the default is applied to both */
    if (*c->dflt && !(c->flags & PCOL_SEALED)) sqlite3_str_appendf(v, ",coalesce(?%d,%s)", (int)i + 3, c->dflt);
    else sqlite3_str_appendf(v, ",?%d", (int)i + 3);
  }
  char *values = sqlite3_str_finish(v);
  sqlite3_str_appendf(s, ") VALUES(?1,?2%s)", values ? values : "");
  sqlite3_free(values);
  return sqlite3_str_finish(s);
}

/* Above the largest rowid there is none: SQLite then tries numbers at random, of the lower half. */
static int random_rowid(struct ptab *t, int64_t *rowid) {
  for (int tries = 0; tries < 100; tries++) {
    sqlite3_randomness(sizeof *rowid, rowid);
    *rowid = (*rowid & (INT64_MAX >> 1)) + 1;
    int rc = ptab_prepare(t, &t->old, t->old ? NULL : old_sql(t));
    if (rc != SQLITE_OK) return rc;
    sqlite3_bind_int64(t->old, 1, *rowid);
    rc = sqlite3_step(t->old);
    sqlite3_reset(t->old);
    if (rc == SQLITE_DONE) return SQLITE_OK;
  }
  return SQLITE_FULL;
}

/* SQLite's own choice of the next rowid. */
static int next_rowid(struct ptab *t, int64_t *rowid) {
  char *sql = t->next ? NULL : t->d.autoincrement
    ? sqlite3_mprintf("SELECT max(coalesce((SELECT max(\"%w\") FROM %s),0),coalesce((SELECT seq FROM %s.sqlite_sequence WHERE name='%q" PROTECT_SUFFIX "'),0))",
                      t->key, t->shadow, t->schema, t->d.table)
    : sqlite3_mprintf("SELECT coalesce(max(\"%w\"),0) FROM %s", t->key, t->shadow);   /* -1 is followed by 0 */
  int rc = ptab_prepare(t, &t->next, sql);
  if (rc != SQLITE_OK) return rc;
  if (sqlite3_step(t->next) != SQLITE_ROW) rc = ptab_shadow_error(t);
  int64_t max = rc == SQLITE_OK ? sqlite3_column_int64(t->next, 0) : 0;
  sqlite3_reset(t->next);
  if (rc != SQLITE_OK) return rc;
  if (max == INT64_MAX) rc = t->d.autoincrement ? SQLITE_FULL : random_rowid(t, rowid);
  if (rc == SQLITE_FULL) return ptab_fail(t, rc, "database or disk is full");
  if (max == INT64_MAX) return rc;
  *rowid = max + 1;
  return SQLITE_OK;
}

static int insert_rowid(struct ptab *t, sqlite3_value **argv, int64_t *rowid) {
  sqlite3_value *given = argv[1];
  for (uint32_t i = 0; i < t->d.columns; i++)
    if (t->d.c[i].flags & PCOL_ROWID && sqlite3_value_type(argv[2 + i]) != SQLITE_NULL) given = argv[2 + i];
  if (sqlite3_value_type(given) == SQLITE_NULL) return next_rowid(t, rowid);
  struct value v = affinity_stored(given, &INTEGER_COLUMN);
  if (v.type != VALUE_INT) return ptab_fail(t, SQLITE_MISMATCH, "datatype mismatch");
  *rowid = v.u.i;
  return SQLITE_OK;
}

/* Evaluates a DEFAULT; *keep holds the statement whose value is borrowed. */
static int default_value(struct ptab *t, const struct pcol *c, sqlite3_stmt **keep, sqlite3_value **v) {
  char *sql = sqlite3_mprintf("SELECT %s", c->dflt);
  int rc = sql ? sqlite3_prepare_v2(t->c->db, sql, -1, keep, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc != SQLITE_OK || sqlite3_step(*keep) != SQLITE_ROW) return ptab_shadow_error(t);
  *v = sqlite3_column_value(*keep, 0);
  return SQLITE_OK;
}

/* A sealed value of a STRICT table, after affinity. */
static int strict_error(struct ptab *t, const struct pcol *c, const struct value *x) {
  static const char *const NAME[] = { [VALUE_INT] = "INT", [VALUE_REAL] = "REAL", [VALUE_TEXT] = "TEXT", [VALUE_BLOB] = "BLOB" };
  static const uint8_t WANTS[] = { [AFF_BLOB] = VALUE_BLOB, [AFF_TEXT] = VALUE_TEXT, [AFF_INTEGER] = VALUE_INT, [AFF_REAL] = VALUE_REAL };
  if (!(c->flags & PCOL_STRICT) || affinity_any(c) || x->type == VALUE_NULL || x->type == WANTS[affinity_of(c->decl)]) return SQLITE_OK;
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf("cannot store %s value in %s column %s.%s", NAME[x->type], c->decl, t->d.table, c->name);
  return SQLITE_CONSTRAINT_DATATYPE;
}

static int generated_error(struct ptab *t, const char *verb, const struct pcol *c) {
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf("cannot %s%s generated column \"%s\"", verb, *verb == 'I' ? " into" : "", c->name);
  return SQLITE_ERROR;
}

static int filled(const struct pcol *c) { return (c->flags & (PCOL_NOTNULL | PCOL_ROWID | PCOL_GENERATED)) == PCOL_NOTNULL; }

/* What the keyed index of a column gets for a value. */
static int keyed_put(struct ptab *t, uint32_t i, const struct value *x) {
  if (!(t->d.c[i].flags & PCOL_INDEXED)) return SQLITE_OK;
  t->keyed[i].null = x->type == VALUE_NULL;
  return t->keyed[i].null ? SQLITE_OK : ptab_error(t, protect_index(&t->d, t->u->keys.live, &t->u->ix[i].live, i, x, t->keyed[i].v));
}

/* The columns of the shadow but key and box, those of the mask where there is one. Copied: a trigger may write another row meanwhile. */
static void bind_columns(struct ptab *t, sqlite3_stmt *st, sqlite3_value **argv, const uint8_t *mask) {
  for (uint32_t i = 0; i < t->d.columns; i++) {
    uint8_t flags = t->d.c[i].flags;
    if ((mask && !mask[i]) || flags & (PCOL_ROWID | PCOL_GENERATED)) continue;
    if (!(flags & PCOL_SEALED)) sqlite3_bind_value(st, (int)i + 3, argv[2 + i]);
    else if (flags & PCOL_INDEXED) sqlite3_bind_blob(st, (int)i + 3, t->keyed[i].null ? NULL : t->keyed[i].v, SUITE_PRF, SQLITE_TRANSIENT);
  }
}

static void keep_none(struct ptab *t) {
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (t->keep[i] == NULL) continue;
    sqlite3_finalize(t->keep[i]);
    t->keep[i] = NULL;
  }
}

/* Why the shadow is to refuse a row: the first column that is NULL and may not be, or the message of a CHECK that it breaks. */
struct refusal { const struct pcol *missing; char *broken; };

/* The sealed values of an INSERT: defaults, affinity. */
static int insert_row(struct ptab *t, int64_t id, sqlite3_value **argv, struct buf *row, struct refusal *no) {
  struct value *x = t->x;
  int rc = SQLITE_OK, n = 0;
  for (uint32_t i = 0; rc == SQLITE_OK && i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    sqlite3_value *v = argv[2 + i];
    int null = sqlite3_value_type(v) == SQLITE_NULL, sealed = (c->flags & PCOL_SEALED) != 0;
    if (null && *c->dflt && sealed) rc = default_value(t, c, &t->keep[i], &v);
    if (rc == SQLITE_OK && sealed) {
      x[n] = affinity_stored(v, c);
      null = x[n].type == VALUE_NULL;
      rc = strict_error(t, c, &x[n]);
      if (rc == SQLITE_OK) rc = keyed_put(t, i, &x[n]);
      n++;
    }
    if (rc == SQLITE_OK && !null && c->flags & PCOL_GENERATED) rc = generated_error(t, "INSERT", c);
    if (no->missing == NULL && null && (sealed || !*c->dflt) && filled(c)) no->missing = c;
  }
  if (rc == SQLITE_OK && t->d.checked && !no->missing) rc = check_insert(t, argv, x, id, &no->broken);
  if (rc == SQLITE_OK) row_put(row, x, (size_t)t->sealed);
  keep_none(t);
  return rc;
}

static int notnull_error(struct ptab *t, const struct pcol *c) {
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf("NOT NULL constraint failed: %s.%s", t->d.table, c->name);
  return SQLITE_CONSTRAINT_NOTNULL;
}

/* Is the refusal of the shadow about the box that was left out, not about another column that may not be NULL? Under OR REPLACE such
 * a column would have got its default first. */
static int box_missed(struct ptab *t) {
  const char *m = t->base.zErrMsg ? t->base.zErrMsg : "";
  size_t n = strlen(m), k = strlen("." PROTECT_BOX);
  return (n > k && strcmp(m + n - k, "." PROTECT_BOX) == 0) || sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE;
}

/* Runs the shadow's statement. A row that must be refused goes without its box, which the shadow refuses where a plain table
 * would refuse the row: after the triggers that come first. */
static int write_row(struct ptab *t, sqlite3_stmt **st, const struct refusal *no) {
  struct buf box = t->box;                            /* a trigger may write another row meanwhile, which then has a box of its own */
  int rc = SQLITE_OK;
  t->box = (struct buf){ 0 };
  if (no->missing || no->broken) sqlite3_bind_null(*st, 2);
  else if (box.n && sqlite3_bind_blob64(*st, 2, box.p, box.n, SQLITE_STATIC) != SQLITE_OK) rc = ptab_fail(t, SQLITE_TOOBIG, "string or blob too big");
  if (rc == SQLITE_OK) rc = ptab_run(t, st);
  if (t->box.p) buf_free(&box);
  else t->box = box;
  if (rc == SQLITE_CONSTRAINT_NOTNULL && no->missing) return notnull_error(t, no->missing);
  return rc == SQLITE_CONSTRAINT_NOTNULL && no->broken && box_missed(t) ? ptab_fail(t, SQLITE_CONSTRAINT_CHECK, no->broken) : rc;
}

/* Seals a row for who its patient's column names. */
static int seal_row(struct ptab *t, struct session *s, const struct value *who, int64_t id, int leaf, const struct buf *row, struct buf *box) {
  return ptab_error(t, compartment_row_seal(s, &t->d, t->u->state == 1 ? &t->u->keys : NULL, t->rowkeys, who, id, leaf, row, box));
}

/* The new row's patient, after the column's default, and whether it is written masked. */
static int insert_seal(struct ptab *t, struct session *s, sqlite3_value **argv, int64_t id, const struct buf *row, struct buf *box) {
  struct value who = { 0 };
  sqlite3_stmt *keep = NULL;
  int masked = 0, rc = SQLITE_OK;
  if (t->who >= 0) {
    const struct pcol *c = &t->d.c[t->who];
    sqlite3_value *v = argv[2 + t->who];
    if (sqlite3_value_type(v) == SQLITE_NULL && *c->dflt) rc = default_value(t, c, &keep, &v);
    if (rc == SQLITE_OK) rc = ptab_error(t, take_flag(argv[2 + t->d.columns], &masked));
    if (rc == SQLITE_OK && c->flags & PCOL_ROWID) who = (struct value){ .type = VALUE_INT, .u.i = id };
    else if (rc == SQLITE_OK) who = affinity_stored(v, c);
  }
  if (rc == SQLITE_OK) rc = seal_row(t, s, &who, id, masked ? 2 : 0, row, box);
  sqlite3_finalize(keep);
  return rc;
}

/* The patient's column of the row looked up, kept for the new box. */
static int old_who(struct ptab *t) {
  t->was = (struct value){ 0 };
  if (t->who < 0) return SQLITE_OK;
  t->was = affinity_stored(sqlite3_column_value(t->old, 1), &t->d.c[t->who]);
  if (t->was.type != VALUE_TEXT && t->was.type != VALUE_BLOB) return SQLITE_OK;
  buf_reset(&t->was_text);
  buf_put(&t->was_text, t->was.u.p, t->was.n);
  t->was.u.p = t->was_text.p;
  return t->was_text.bad ? SQLITE_NOMEM : SQLITE_OK;
}

/* ---- whose rows go ---- */

/* A row goes by the hand of whom it opens for; one that is damaged is no secret, and goes as well. */
static int row_goes(struct ptab *t, struct session *s, int64_t rowid) {
  struct rowplace place;
  const uint8_t *row;
  size_t len;
  if (!t->rowkeys) return t->u->state == 1 ? SQLITE_OK : ptab_keyless(t);
  int rc = ptab_prepare(t, &t->old, t->old ? NULL : old_sql(t)), e = DMP_OK;
  if (rc != SQLITE_OK) return rc;
  sqlite3_bind_int64(t->old, 1, rowid);
  rc = sqlite3_step(t->old);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) rc = ptab_shadow_error(t);
  else if (rc == SQLITE_DONE) rc = SQLITE_OK;         /* it has gone already */
  else if ((rc = old_who(t)) == SQLITE_OK)
    e = compartment_row_open(s, &t->d, t->u->state == 1 ? &t->u->keys : NULL, t->rowkeys, &t->was, rowid, sqlite3_column_blob(t->old, 0),
                             (size_t)sqlite3_column_bytes(t->old, 0), &t->scratch, &row, &len, &place);
  sqlite3_reset(t->old);
  buf_reset(&t->scratch);
  if (e == DMP_E_TAMPERED || e == DMP_E_TRUNCATED || e == DMP_E_BOX_FORMAT || e == DMP_E_ROW_FORMAT) e = DMP_OK;
  return rc == SQLITE_OK ? ptab_error(t, e) : rc;
}

/* What one column of a UNIQUE index is to be; NULL where a statement doesn't tell: an expression, a generated or a keyed column. mask: NULL for an INSERT. */
static char *rival_term(const struct ptab *t, const char *name, const char *coll, const uint8_t *mask) {
  for (uint32_t i = 0; name && i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    if (sqlite3_stricmp(c->name, name) != 0 || c->flags & (PCOL_GENERATED | PCOL_SEALED | PCOL_ROWID)) continue;
    if (mask && !mask[i]) return sqlite3_mprintf("\"%w\"=(SELECT \"%w\" FROM %s WHERE \"%w\"=?2) COLLATE \"%w\"", name, name, t->shadow, t->key, coll);
    if (*c->dflt && !mask) return sqlite3_mprintf("\"%w\"=coalesce(?%d,%s) COLLATE \"%w\"", name, (int)i + 3, c->dflt, coll);
    return sqlite3_mprintf("\"%w\"=?%d COLLATE \"%w\"", name, (int)i + 3, coll);
  }
  return NULL;
}

/* The rows that a row would replace, from the UNIQUE indexes of the shadow, whatever their WHERE. *known: 0 when one can't be told. */
static int rival_sql(struct ptab *t, const uint8_t *mask, char **sql, int *known) {
  sqlite3_stmt *st = NULL;
  sqlite3_str *s = sqlite3_str_new(t->c->db);
  int index = -1, rc;
  char *list = sqlite3_mprintf("SELECT l.seq,x.name,x.coll FROM pragma_index_list('%q" PROTECT_SUFFIX "',%Q) l, pragma_index_xinfo(l.name,%Q) x WHERE "
                               "l.\"unique\" AND x.key ORDER BY l.seq,x.seqno", t->d.table, t->r->schema, t->r->schema);
  *known = 1;
  sqlite3_str_appendf(s, "SELECT \"%w\" FROM %s WHERE \"%w\" IS NOT ?2 AND (\"%w\"=?1", t->key, t->shadow, t->key, t->key);
  rc = ptab_prepare(t, &st, list);
  while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    char *term = rival_term(t, (const char *)sqlite3_column_text(st, 1), (const char *)sqlite3_column_text(st, 2), mask);
    *known = *known && term;
    sqlite3_str_appendf(s, "%s%s", sqlite3_column_int(st, 0) == index ? " AND " : index < 0 ? " OR (" : ") OR (", term ? term : "0");
    index = sqlite3_column_int(st, 0);
    sqlite3_free(term);
    rc = SQLITE_OK;
  }
  sqlite3_str_appendall(s, index < 0 ? ")" : "))");
  sqlite3_finalize(st);
  *sql = sqlite3_str_finish(s);
  if (rc == SQLITE_DONE) return *sql ? SQLITE_OK : SQLITE_NOMEM;
  sqlite3_free(*sql);
  return ptab_shadow_error(t);
}

/* Under OR REPLACE: whether this login may make go what the row would replace; *replace is 0 afterwards where that can't be told, and a
 * conflict then ends the statement. to: the row's id. mask: NULL for an INSERT. */
static int rivals_go(struct ptab *t, struct session *s, sqlite3_value **argv, const uint8_t *mask, int64_t to, int *replace) {
  sqlite3_stmt *st = NULL;
  char *sql = NULL;
  int known, rc = SQLITE_OK;
  if (!*replace) return SQLITE_OK;
  if (!t->rowkeys) {
    *replace = t->u->state == 1;
    return SQLITE_OK;
  }
  rc = rival_sql(t, mask, &sql, &known);
  if (rc == SQLITE_OK) rc = ptab_prepare(t, &st, sql);
  if (rc == SQLITE_OK) {
    sqlite3_bind_int64(st, 1, to);
    if (mask) sqlite3_bind_value(st, 2, argv[0]);
    for (uint32_t i = 0; i < t->d.columns; i++)
      if ((!mask || mask[i]) && !(t->d.c[i].flags & (PCOL_SEALED | PCOL_ROWID | PCOL_GENERATED))) sqlite3_bind_value(st, (int)i + 3, argv[2 + i]);
  }
  int step = SQLITE_DONE;
  while (rc == SQLITE_OK && (step = sqlite3_step(st)) == SQLITE_ROW) rc = row_goes(t, s, sqlite3_column_int64(st, 0));
  if (rc == SQLITE_OK && step != SQLITE_DONE) rc = ptab_shadow_error(t);
  sqlite3_finalize(st);
  *replace = known;
  return rc;
}

static int write_insert(struct ptab *t, struct session *s, sqlite3_value **argv, sqlite3_int64 *rowid) {
  int replace = sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE;
  int64_t id = 0;
  struct refusal no = { 0 };
  int rc = insert_rowid(t, argv, &id);
  if (rc == SQLITE_OK) rc = rivals_go(t, s, argv, NULL, id, &replace);
  if (rc == SQLITE_OK) rc = insert_row(t, id, argv, &t->row, &no);
  if (rc == SQLITE_OK) rc = insert_seal(t, s, argv, id, &t->row, &t->box);
  buf_reset(&t->row);
  replace = replace && !no.missing && !no.broken;     /* which would put the box's own default */
  sqlite3_stmt **st = replace ? &t->replace : &t->insert;
  if (rc == SQLITE_OK) rc = ptab_prepare(t, st, *st ? NULL : insert_sql(t, replace));
  if (rc == SQLITE_OK) {
    sqlite3_bind_int64(*st, 1, id);
    struct level l;
    bind_columns(t, *st, argv, NULL);
    rc = trigger_enter(t, TRIGGER_INSERT, NULL, &l);
    if (rc == SQLITE_OK) rc = write_row(t, st, &no);
    trigger_leave(t, &l);
  }
  *rowid = id;
  sqlite3_free(no.broken);
  return rc;
}

/* The values of a row as it is now; they borrow from t->scratch. SQLITE_DONE: an earlier row of the same UPDATE replaced it. */
static int old_values(struct ptab *t, struct session *s, int64_t rowid, struct value *v) {
  int rc = ptab_prepare(t, &t->old, t->old ? NULL : old_sql(t));
  if (rc != SQLITE_OK) return rc;
  sqlite3_bind_int64(t->old, 1, rowid);
  rc = sqlite3_step(t->old);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) rc = ptab_shadow_error(t);
  if (rc == SQLITE_ROW) rc = old_who(t);
  if (rc == SQLITE_OK)
    rc = ptab_error(t, row_values(t, s, rowid, &t->was, sqlite3_column_blob(t->old, 0), (size_t)sqlite3_column_bytes(t->old, 0), &t->scratch, v,
                                  &t->lies));
  sqlite3_reset(t->old);
  return rc;
}

/* What UPDATE OR REPLACE makes of a NULL where none may be: the default. */
static int replaced_null(struct ptab *t, const struct pcol *c, sqlite3_stmt **keep, sqlite3_value **v) {
  if (sqlite3_value_type(*v) != SQLITE_NULL || !(c->flags & PCOL_NOTNULL) || !*c->dflt) return SQLITE_OK;
  return sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE ? default_value(t, c, keep, v) : SQLITE_OK;
}

/* The new box of an UPDATE: unchanged sealed values come from the old one. While the key turns, the row's keyed values are put anew with
 * its box: moved to a rowid that has turned, it is not met again. */
static int update_row(struct ptab *t, struct session *s, int64_t to, sqlite3_value **argv, uint8_t *mask, struct buf *row, struct refusal *no) {
  struct value *x = t->x;
  int rc = old_values(t, s, sqlite3_value_int64(argv[0]), x), turning = mask[t->d.columns] & CHANGE_SEAL && !suite_is_zero(t->d.old_kid, 16);
  for (uint32_t i = 0; rc == SQLITE_OK && i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    sqlite3_value *v = argv[2 + i];
    if (sqlite3_value_nochange(v)) continue;
    rc = replaced_null(t, c, &t->keep[i], &v);
    if (rc == SQLITE_OK && no->missing == NULL && sqlite3_value_type(v) == SQLITE_NULL && filled(c)) no->missing = c;
    if (rc != SQLITE_OK || !(c->flags & PCOL_SEALED)) continue;
    x[t->place[i]] = affinity_stored(v, c);
    rc = strict_error(t, c, &x[t->place[i]]);
    if (rc == SQLITE_OK) rc = keyed_put(t, i, &x[t->place[i]]);
  }
  for (uint32_t i = 0; rc == SQLITE_OK && turning && i < t->d.columns; i++) {
    if (mask[i] || !(t->d.c[i].flags & PCOL_INDEXED)) continue;
    rc = keyed_put(t, i, &x[t->place[i]]);
    mask[i] = 1;
  }
  if (rc == SQLITE_OK && t->d.checked && !no->missing) rc = check_update(t, argv, mask, x, to, &no->broken);
  if (rc == SQLITE_OK) row_put(row, x, (size_t)t->sealed);
  keep_none(t);
  buf_reset(&t->scratch);
  return rc;
}

/* UPDATE sets only the columns that change, so that UPDATE OF triggers and foreign keys see what a plain table shows them. */
static int update_prepare(struct ptab *t, const uint8_t *mask) {
  if (t->update && memcmp(mask, t->update_mask, t->d.columns + 1) == 0) return SQLITE_OK;
  sqlite3_finalize(t->update);
  t->update = NULL;
  sqlite3_str *s = sqlite3_str_new(NULL);
  int n = 0;
  sqlite3_str_appendf(s, "UPDATE%s %s SET ", mask[t->d.columns] & CHANGE_REPLACE ? " OR REPLACE" : "", t->shadow);
  for (uint32_t i = 0; i < t->d.columns; i++) {
    const struct pcol *c = &t->d.c[i];
    if (!mask[i] || c->flags & PCOL_ROWID || (c->flags & (PCOL_SEALED | PCOL_INDEXED)) == PCOL_SEALED) continue;
    sqlite3_str_appendf(s, "%s\"%s%w\"=?%d", n++ ? "," : "", c->flags & PCOL_INDEXED ? PROTECT_INDEX : "", c->name, (int)i + 3);
  }
  if (mask[t->d.columns] & CHANGE_SEAL) sqlite3_str_appendf(s, "%s\"" PROTECT_BOX "\"=?2", n++ ? "," : "");
  if (mask[t->d.columns] & CHANGE_ROWID) sqlite3_str_appendf(s, "%s\"%w\"=?%d", n++ ? "," : "", t->key, (int)t->d.columns + 3);
  if (n == 0) sqlite3_str_appendf(s, "\"%w\"=\"%w\"", t->key, t->key);
  sqlite3_str_appendf(s, " WHERE \"%w\"=?1", t->key);
  int rc = ptab_prepare(t, &t->update, sqlite3_str_finish(s));
  if (rc == SQLITE_OK) memcpy(t->update_mask, mask, t->d.columns + 1);
  return rc;
}

/* UPDATE … FROM gives every column as if it were set: those that stay as they are leave the mask. */
static int unchanged_leave(struct ptab *t, sqlite3_value **argv, uint8_t *mask) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  int n = 0, rc = SQLITE_OK;
  sqlite3_stmt *st = NULL;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (!mask[i] || t->d.c[i].flags & PCOL_SEALED) continue;
    sqlite3_str_appendf(s, "%stypeof(\"%w\")=typeof(?%d) AND \"%w\" IS ?%d COLLATE BINARY", n++ ? "," : "SELECT ", t->d.c[i].name, (int)i + 3,
                        t->d.c[i].name, (int)i + 3);
  }
  sqlite3_str_appendf(s, " FROM %s WHERE \"%w\"=?1", t->shadow, t->key);
  rc = ptab_prepare(t, &st, sqlite3_str_finish(s));
  if (rc == SQLITE_OK) {
    sqlite3_bind_value(st, 1, argv[0]);
    for (uint32_t i = 0; i < t->d.columns; i++)
      if (mask[i] && !(t->d.c[i].flags & PCOL_SEALED)) sqlite3_bind_value(st, (int)i + 3, argv[2 + i]);
    rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) rc = ptab_shadow_error(t);
    if (rc == SQLITE_ROW) rc = SQLITE_OK;
    n = 0;
    for (uint32_t i = 0; rc == SQLITE_OK && i < t->d.columns; i++)
      if (mask[i] && !(t->d.c[i].flags & PCOL_SEALED)) mask[i] = !sqlite3_column_int(st, n++);
  }
  sqlite3_finalize(st);
  return rc;
}

/* Which columns an UPDATE sets, what it does beside them (the byte after the columns), and the row's new id. */
static int change_mask(struct ptab *t, sqlite3_value **argv, uint8_t *mask, int64_t *to) {
  int rc, all = 1;
  uint8_t *does = &mask[t->d.columns];
  for (uint32_t i = 0; i < t->d.columns; i++) {
    mask[i] = !sqlite3_value_nochange(argv[2 + i]);
    all = all && mask[i];
  }
  if (all && (rc = unchanged_leave(t, argv, mask)) != SQLITE_OK) return rc;
  struct value id = affinity_stored(argv[1], &INTEGER_COLUMN);
  if (id.type != VALUE_INT) return ptab_fail(t, SQLITE_MISMATCH, "datatype mismatch");
  *to = id.u.i;
  for (uint32_t i = 0; i < t->d.columns; i++) {
    if (!mask[i]) continue;
    if (t->d.c[i].flags & (PCOL_SEALED | PCOL_PATIENT)) *does |= CHANGE_SEAL;
    if (t->d.c[i].flags & PCOL_GENERATED) return generated_error(t, "UPDATE", &t->d.c[i]);
    if (!(t->d.c[i].flags & PCOL_ROWID)) continue;
    struct value v = affinity_stored(argv[2 + i], &INTEGER_COLUMN);
    if (v.type != VALUE_INT) return ptab_fail(t, SQLITE_MISMATCH, "datatype mismatch");
    *to = v.u.i;
    *does |= CHANGE_ROWID;
  }
  if (t->rowkeys && !sqlite3_value_nochange(argv[2 + t->d.columns]) && sqlite3_value_type(argv[2 + t->d.columns]) != SQLITE_NULL) *does |= CHANGE_SEAL;
  if (*to != sqlite3_value_int64(argv[0])) *does |= CHANGE_ROWID | CHANGE_SEAL;   /* a box is bound to its rowid */
  return SQLITE_OK;
}

/* Masks or unmasks the row at hand: by the patient or the treating doctor, who hold both keys of the class, with a line in the log. */
static int mask_row(struct ptab *t, struct session *s, int masked) {
  struct patient *p;
  char what[PROTECT_NAME + 8];
  s->pending.whole = sqlite3_total_changes64(t->c->db);
  int e = t->lies.patient ? holder_begin(s, t->lies.patient, &p) : DMP_E_NO_PATIENT;
  if (e == DMP_OK && (!patient_key(p, t->d.class_id, WHICH_P) || !patient_key(p, t->d.class_id, WHICH_M))) e = DMP_E_NOT_ALLOWED;
  sqlite3_snprintf(sizeof what, what, "table %s", t->d.table);
  if (e == DMP_OK) e = access_pend(s, p, masked ? LOG_MASK : LOG_UNMASK, p->id, 0, what);
  if (e != DMP_OK && sqlite3_total_changes64(t->c->db) != s->pending.whole) s->pending.halfway = 1;
  if (e == DMP_OK) t->lies.leaf ^= 2;
  return ptab_error(t, e);
}

/* Where the changed row lies, and its new box. */
static int change_seal(struct ptab *t, struct session *s, sqlite3_value **argv, const uint8_t *mask, int64_t to, const struct buf *row, struct buf *box) {
  struct value who = t->was;
  int masked, rc = SQLITE_OK;
  if (t->who >= 0 && t->d.c[t->who].flags & PCOL_ROWID) who = (struct value){ .type = VALUE_INT, .u.i = to };
  else if (t->who >= 0 && mask[t->who]) who = affinity_stored(argv[2 + t->who], &t->d.c[t->who]);
  if (t->rowkeys && !sqlite3_value_nochange(argv[2 + t->d.columns])) {
    rc = ptab_error(t, take_flag(argv[2 + t->d.columns], &masked));
    if (rc == SQLITE_OK && t->lies.patient && masked != (t->lies.leaf >= 2)) rc = mask_row(t, s, masked);
  }
  return rc == SQLITE_OK ? seal_row(t, s, &who, to, t->lies.leaf, row, box) : rc;
}

static int write_change(struct ptab *t, struct session *s, int may, sqlite3_value **argv) {
  struct refusal no = { 0 };
  uint8_t mask[PROTECT_COLUMNS + 1] = { 0 }, *does = &mask[t->d.columns];
  int64_t from = sqlite3_value_int64(argv[0]), to = from;
  int replace = sqlite3_vtab_on_conflict(t->c->db) == SQLITE_REPLACE, rc = change_mask(t, argv, mask, &to);
  if (rc == SQLITE_OK) rc = rivals_go(t, s, argv, mask, to, &replace);
  int open = rc == SQLITE_OK && (*does & CHANGE_SEAL || check_needed(t, mask));
  if (open && !may) rc = ptab_keyless(t);
  else if (open) rc = update_row(t, s, to, argv, mask, &t->row, &no);
  if (no.broken) *does |= CHANGE_SEAL;
  if (rc == SQLITE_OK && *does & CHANGE_SEAL && !no.broken) rc = change_seal(t, s, argv, mask, to, &t->row, &t->box);
  else buf_reset(&t->box);
  buf_reset(&t->row);
  if (replace && !no.missing && !no.broken) *does |= CHANGE_REPLACE;
  if (rc == SQLITE_OK) rc = update_prepare(t, mask);
  if (rc == SQLITE_OK) {
    sqlite3_bind_int64(t->update, 1, from);
    if (*does & CHANGE_ROWID) sqlite3_bind_int64(t->update, (int)t->d.columns + 3, to);
    struct level l;
    bind_columns(t, t->update, argv, mask);
    rc = trigger_enter(t, TRIGGER_UPDATE, mask, &l);
    if (rc == SQLITE_OK) rc = write_row(t, &t->update, &no);
    trigger_leave(t, &l);
  }
  sqlite3_free(no.broken);
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int write_erase(struct ptab *t, struct session *s, int64_t rowid) {
  int rc = row_goes(t, s, rowid);
  if (rc == SQLITE_OK) rc = ptab_prepare(t, &t->erase, t->erase ? NULL : sqlite3_mprintf("DELETE FROM %s WHERE \"%w\"=?1", t->shadow, t->key));
  if (rc != SQLITE_OK) return rc;
  struct level l;
  sqlite3_bind_int64(t->erase, 1, rowid);
  rc = trigger_enter(t, TRIGGER_DELETE, NULL, &l);
  if (rc == SQLITE_OK) rc = ptab_run(t, &t->erase);
  trigger_leave(t, &l);
  return rc;
}

/* A foreign key, a trigger's RAISE, a STRICT type ends the statement whatever its OR says: SQLite honours OR for codes of
 * constraints, and only for those. */
static int whatever_or(struct ptab *t, int rc) {
  int on = sqlite3_vtab_on_conflict(t->c->db), always = rc == SQLITE_CONSTRAINT_FOREIGNKEY || rc == SQLITE_CONSTRAINT_TRIGGER || rc == SQLITE_CONSTRAINT_DATATYPE;
  return always && on != SQLITE_ABORT && on != SQLITE_REPLACE ? SQLITE_ERROR : rc;
}

/* The checks of ptab_key, once a transaction: nobody else changes the file while this connection writes. */
static int write_session(struct ptab *t, struct session **s, int *held) {
  *s = t->r->session;
  *held = t->begun && t->checked && ptab_key_kept(t, *s);
  if (*held) return DMP_OK;
  int e = ptab_key(t, s, held);
  t->checked = e == DMP_OK;
  return e;
}

int write_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
  struct ptab *t = (struct ptab *)base;
  struct session *s;
  int keyed, rc;
  sqlite3_int64 last = sqlite3_last_insert_rowid(t->c->db);
  int e = write_session(t, &s, &keyed);
  if (e != DMP_OK) return ptab_error(t, e);
  int may = ptab_may(t, keyed);
  if (t->d.without_key == PROTECT_HIDE && !may) return ptab_keyless(t);
  int inserts = argc > 1 && sqlite3_value_type(argv[0]) == SQLITE_NULL;
  if (t->u->state == 0 && !inserts) return ptab_error(t, DMP_E_NO_SESSION);
  if (argc == 1) rc = write_erase(t, s, sqlite3_value_int64(argv[0]));
  else if (!inserts) rc = write_change(t, s, may, argv);
  else rc = may ? write_insert(t, s, argv, rowid) : ptab_keyless(t);
  sqlite3_set_last_insert_rowid(t->c->db, last);
  if (t->without_rowid) *rowid = last;                /* SQLite makes it last_insert_rowid(), which such a table leaves alone */
  return whatever_or(t, rc);
}
