/* table_feed.c: the table `feed`: the automatic sources that a patient lets in. A source holds no key: it deposits by the public keys.
 * Owns: its columns and the row of a feed (class 2).  Never: turns a key (change.h); what a source's line may show (episode.h). */
#include "table.h"
#include "object.h"
#include "syntax.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { F_PATIENT, F_SOURCE, F_STATE, F_SINCE, F_COLUMNS };
static const struct column FEED[] = {
  [F_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [F_SOURCE] = { "source", "INTEGER", COL_PUSH },
  [F_STATE] = { "state", "TEXT", 0 },                 /* on, off */
  [F_SINCE] = { "since", "TEXT", 0 },
};
enum { FEED_SOURCE, FEED_ON, FEED_SINCE, FEED_VALUES };
static const struct scan CHOICES = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };

static int put_feed(struct rows *out, int64_t rowid, int64_t patient, int64_t source, int on, struct value since) {
  struct value *row = rows_add(out, rowid);
  if (row == NULL) return DMP_E_NOMEM;
  row[F_PATIENT] = value_int(patient);
  row[F_SOURCE] = value_int(source);
  row[F_STATE] = value_text(on ? "on" : "off");
  row[F_SINCE] = since;
  return DMP_OK;
}

struct making { struct session *s; struct patient *p; struct rows *out; };

static int feed_values(const struct item *it, struct value v[FEED_VALUES]) {
  size_t count, used;
  memset(v, 0, FEED_VALUES * sizeof *v);
  return it->c.table == ITEM_FEED && row_get(it->c.row, it->c.row_len, v, FEED_VALUES, &count, &used) == DMP_OK &&
         v[FEED_SOURCE].type == VALUE_INT && v[FEED_ON].type == VALUE_INT && v[FEED_SINCE].type == VALUE_TEXT;
}

static int make_feed(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[FEED_VALUES];
  if (!feed_values(it, v)) return DMP_OK;
  int e = object_trusted(m->s, m->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;
  return put_feed(m->out, it->id, m->p->id, v[FEED_SOURCE].u.i, v[FEED_ON].u.i == 1,
                  rows_bytes(m->out, VALUE_TEXT, v[FEED_SINCE].u.p, v[FEED_SINCE].n));
}

/* A source learns for which patients it may deposit, and nothing else of them. */
static int feed_make(struct session *s, struct patient *p, struct rows *out) {
  struct making m = { s, p, out };
  if (s->me.kind == KIND_SOURCE) return put_feed(out, p->id, p->id, s->principal, p->g.kind == GRANT_ACTIVE, rows_time(out, p->g.since));
  return object_scan(s, p, &CHOICES, make_feed, &m);
}

struct feed_search { int64_t source; struct item found; };

static int take_feed(void *ctx, struct item *it) {
  struct feed_search *q = ctx;
  struct value v[FEED_VALUES];
  if (q->found.id || !feed_values(it, v) || v[FEED_SOURCE].u.i != q->source) return DMP_OK;
  q->found = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

static int feed_row(struct session *s, struct patient *p, int64_t source, int on, struct item *old, int64_t *rowid) {
  const struct signer me = { s->cred, s->me.hash };
  struct content c = { .table = ITEM_FEED };
  struct buf row = { 0 };
  char now[32];
  syntax_time_ms(record_now(), now);
  const struct value v[FEED_VALUES] = { value_int(source), value_int(on), value_text(now) };
  row_put(&row, v, FEED_VALUES);
  c.row = row.p;
  c.row_len = row.n;
  *rowid = old->id;
  int e = row.bad ? DMP_E_NOMEM : old->id ? object_rewrite(s, p, old, &row)
        : object_insert(s, p, &me, (struct place){ CLASS_CHOICES, 0, 0, 0 }, &c, NULL, rowid);
  buf_free(&row);
  return e;
}

/* The source is on the list of grantees, without a key: every new keyset reaches it. Turned off it keeps what a withdrawn one keeps. */
static int feed_grant(struct session *s, struct patient *p, const struct certificate *source, int on) {
  struct change c;
  struct grantee *g = NULL;
  int e = change_begin(s, p, &c);
  if (e == DMP_OK) e = change_add(&c, source, &g);
  if (e == DMP_OK) {
    g->as = on ? READER_SOURCE : READER_NONE;
    e = change_write(&c);
  }
  change_end(&c);
  return e;
}

static int feed_set(struct session *s, int64_t patient, int64_t source, int on, int64_t *rowid) {
  struct feed_search q = { .source = source };
  struct value v[FEED_VALUES];
  struct patient *p;
  uint8_t field[16];
  id_field(field, source);
  const struct certificate *who = session_who(s, field);
  if (who == NULL || who->kind != KIND_SOURCE) return DMP_E_NOT_SOURCE;
  if (patient != s->principal) return DMP_E_PATIENT_ONLY;
  int e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = object_scan(s, p, &CHOICES, take_feed, &q);
  if (e == DMP_OK && q.found.id && feed_values(&q.found, v) && v[FEED_ON].u.i == on) e = DMP_E_DUPLICATE;
  if (e == DMP_OK) e = feed_grant(s, p, who, on);
  if (e == DMP_OK) e = feed_row(s, p, source, on, &q.found, rowid);
  if (e == DMP_OK) e = access_pend_item(s, p, on ? LOG_CONSENT : LOG_WITHDRAW, source, 1, "feed");
  item_close(&q.found);
  return e;
}

static int feed_state(sqlite3_value *v, int *on) {
  const char *state;
  int e = take_text(v, &state);
  *on = state == NULL || strcmp(state, "on") == 0;    /* left out: turned on */
  return e != DMP_OK ? e : *on || strcmp(state, "off") == 0 ? DMP_OK : DMP_E_NOT_SOURCE;
}

static int feed_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t patient, source;
  int given, named, on, e = take_int(v[F_PATIENT], &patient, &given);
  if (e == DMP_OK) e = take_int(v[F_SOURCE], &source, &named);
  if (e == DMP_OK) e = feed_state(v[F_STATE], &on);
  if (e == DMP_OK && sqlite3_value_type(v[F_SINCE]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK && (!given || !named)) e = DMP_E_MISSING;
  return e == DMP_OK ? feed_set(s, patient, source, on, rowid) : e;
}

static int feed_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  struct patient *p;
  struct item it;
  struct value old[FEED_VALUES];
  int on, e = feed_state(v[F_STATE], &on);
  for (int i = 0; e == DMP_OK && i < F_COLUMNS; i++)
    if (i != F_STATE && !sqlite3_value_nochange(v[i])) e = DMP_E_READ_ONLY;
  if (e == DMP_OK && s->me.kind == KIND_SOURCE) e = DMP_E_PATIENT_ONLY;
  if (e == DMP_OK) e = object_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  int64_t patient = p->id, source = feed_values(&it, old) ? old[FEED_SOURCE].u.i : 0;
  item_close(&it);
  return feed_set(s, patient, source, on, &rowid);
}

const struct table TABLE_FEED = { .name = "feed", .col = FEED, .columns = F_COLUMNS, .patient_col = F_PATIENT, .id_col = -1, .needs_login = 1,
                                  .make = feed_make, .insert = feed_insert, .update = feed_update };
