/* protect_reader.c: who holds the key of a protected table (see protect_reader.h). */
#include "protect_reader.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char READER_LABEL[] = "dmp-reader-1";

static void reader_loc(const struct session *s, const struct protect *p, const uint8_t principal[16], uint8_t loc[16]) {
  uint8_t k[32], x[8 + 16];
  suite_kdf_text(s->cred->directory, "reader", k);
  le_put64(x, (uint64_t)p->id);
  memcpy(x + 8, principal, 16);
  suite_prf(k, x, sizeof x, loc);
  bytes_wipe(k, sizeof k);
}

/* A reader's row: a box sealed to the reader (live key 32 · old key 32), and behind it a note under KDF(live key, "reader note"), which
 * every holder opens: since 8 · giver's certificate hash 32 · signature 64 over label ‖ record ‖ table ‖ grantee ‖ kid ‖ old kid ‖ since.
 * Who does not hold the key can't write a note: a row that he plants for himself gets no key when the key turns. */
enum { READER_KEYS = 64, READER_BOX = BOX_OVERHEAD_SEALED + READER_KEYS, READER_NOTE = 8 + 32 + SUITE_SIG, NOTE_FLAG = 2,
       READER_OVER = sizeof READER_LABEL - 1 + 16 + 8 + 32 + 16 + 16 + 8 };

static void reader_over(const struct record *r, const struct protect *p, const uint8_t grantee[32], int64_t since, uint8_t out[READER_OVER]) {
  uint8_t *q = out;
  memcpy(q, READER_LABEL, sizeof READER_LABEL - 1);
  q += sizeof READER_LABEL - 1;
  memcpy(q, r->id, 16);
  le_put64(q + 16, (uint64_t)p->id);
  memcpy(q + 24, grantee, 32);
  memcpy(q + 56, p->kid, 16);
  memcpy(q + 72, p->old_kid, 16);
  le_put64(q + 88, (uint64_t)since);
}

/* Zero for no key. */
static void key_kid(const uint8_t key[32], uint8_t kid[16]) {
  uint8_t k[32];
  memset(kid, 0, 16);
  if (suite_is_zero(key, 32)) return;
  suite_kdf_text(key, "kid", k);
  suite_hash(k, 32, kid, 16);
  bytes_wipe(k, sizeof k);
}

int protect_new_key(struct protect *p, struct protect_keys *k) {
  int e = random_bytes("table key", k->live, 32);
  k->live_sub.ready = 0;
  if (e == DMP_OK) key_kid(k->live, p->kid);
  return e;
}

static struct box_ad reader_ad(const struct record *r, int64_t row, const uint8_t *loc, uint16_t flags) {
  return (struct box_ad){ .record = r->id, .kind = BOX_READER, .table = IN_READER, .flags = flags, .id = row, .loc = loc };
}

static void note_key(const struct protect_keys *k, uint8_t key[32]) { suite_kdf_text(k->live, "reader note", key); }

static int note_put(struct session *s, const struct protect *p, const struct protect_keys *k, const struct certificate *to, int64_t since,
                    const struct box_ad *ad, struct buf *out) {
  uint8_t over[READER_OVER], sig[SUITE_SIG], key[32];
  struct buf plain = { 0 };
  reader_over(s->r, p, to->hash, since, over);
  suite_sign(s->cred->sign_sk, over, sizeof over, sig);
  buf_u64(&plain, (uint64_t)since);
  buf_put(&plain, s->me.hash, 32);
  buf_put(&plain, sig, SUITE_SIG);
  note_key(k, key);
  int e = plain.bad ? DMP_E_NOMEM : box_seal(SUITE_XCHACHA, key, ad, plain.p, plain.n, PAD_NONE, NULL, out);
  bytes_wipe(key, sizeof key);
  buf_free(&plain);
  return e;
}

int protect_give(struct session *s, const struct protect *p, const struct protect_keys *k, const struct certificate *to, int64_t since) {
  uint8_t loc[16];
  struct buf plain = { 0 }, box = { 0 };
  int64_t row = 0;
  if (to->kind == KIND_TEAM) return session_wrong_kind(s, id_from_field(to->principal), "professional, staff");   /* its certificate names no key */
  reader_loc(s, p, to->principal, loc);
  buf_put(&plain, k->live, 32);
  buf_put(&plain, k->old, 32);
  int e = plain.bad ? DMP_E_NOMEM : protect_withdraw(s, p, to->principal);
  if (e == DMP_OK) e = record_random_id(&row);
  const struct box_ad keys = reader_ad(s->r, row, loc, 0), note = reader_ad(s->r, row, loc, NOTE_FLAG);
  if (e == DMP_OK) e = box_seal_to(to->box_pk, NULL, &keys, plain.p, plain.n, PAD_NONE, &box);
  if (e == DMP_OK) e = note_put(s, p, k, to, since, &note, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_READER_PUT, loc, &box, row);
  buf_free(&plain);
  buf_free(&box);
  return e;
}

int protect_withdraw(struct session *s, const struct protect *p, const uint8_t principal[16]) {
  uint8_t loc[16];
  reader_loc(s, p, principal, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_READER_DROP);
  if (st) sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  return record_run(s->r, st);
}

/* One row of dmp_reader, borrowed from its statement. */
struct reader_row { int64_t id; const uint8_t *loc, *p; size_t n; };

/* The note of a row proves that a holder gave the keys to a certificate of this principal. */
static int note_take(struct session *s, const struct protect *p, const struct protect_keys *k, const struct reader_row *row,
                     const uint8_t principal[16], int64_t *since) {
  uint8_t key[32], over[READER_OVER];
  const uint8_t *b;
  size_t n;
  struct box_ad ad = reader_ad(s->r, row->id, row->loc, NOTE_FLAG);
  if (row->n < READER_BOX) return DMP_E_READER_BAD;
  note_key(k, key);
  int e = session_open_box(s, key, &ad, row->p + READER_BOX, row->n - READER_BOX, &b, &n);
  bytes_wipe(key, sizeof key);
  if (e == DMP_E_NOMEM) return e;
  const struct certificate *by = e == DMP_OK && n == READER_NOTE ? directory_by_hash(&s->dir, b + 8) : NULL;
  if (by == NULL) return DMP_E_READER_BAD;
  *since = (int64_t)le_get64(b);
  for (size_t i = 0; i < s->dir.n; i++) {
    const struct certificate *to = memcmp(s->dir.all[i].principal, principal, 16) == 0 ? directory_by_hash(&s->dir, s->dir.all[i].hash) : NULL;
    if (to == NULL) continue;
    reader_over(s->r, p, to->hash, *since, over);
    if (suite_verify(by->sign_pk, over, sizeof over, b + 40) == DMP_OK) return DMP_OK;
  }
  return DMP_E_READER_BAD;
}

/* This login's own row. */
static int reader_take(struct session *s, const struct protect *p, const struct reader_row *row, struct protect_keys *k) {
  uint8_t kid[16], old_kid[16];
  const uint8_t *b;
  size_t n;
  int64_t since;
  struct box_ad ad = reader_ad(s->r, row->id, row->loc, 0);
  if (row->n < READER_BOX) return DMP_E_READER_BAD;
  int e = session_open_sealed(s, NULL, &ad, row->p, READER_BOX, &b, &n);
  if (e != DMP_OK) return e;
  if (n != READER_KEYS) return DMP_E_READER_BAD;
  memcpy(k->live, b, 32);
  memcpy(k->old, b + 32, 32);
  k->live_sub.ready = k->old_sub.ready = 0;
  key_kid(k->live, kid);
  key_kid(k->old, old_kid);
  if (memcmp(kid, p->kid, 16) != 0 || memcmp(old_kid, p->old_kid, 16) != 0) return DMP_E_READER_STALE;
  return note_take(s, p, k, row, s->cred->principal, &since);
}

/* Calls try with each row of one principal until one is good: whoever writes the file may put others beside it. */
struct reader_try { int (*go)(void *ctx, const struct reader_row *row); void *ctx; };

static int reader_each(struct session *s, const struct protect *p, const uint8_t principal[16], const struct reader_try *t) {
  uint8_t loc[16];
  reader_loc(s, p, principal, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_READER_BY_LOC);
  int rc = SQLITE_DONE, e = DMP_E_NOT_FOUND, first = DMP_E_NOT_FOUND;
  int64_t bad = 0;
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  while (e != DMP_OK && e != DMP_E_NOMEM && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    const struct reader_row row = { sqlite3_column_int64(st, 0), loc, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1) };
    e = t->go(t->ctx, &row);
    if (e == DMP_OK || first != DMP_E_NOT_FOUND) continue;
    first = e;
    bad = row.id;
  }
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) e = first = record_sql_fault(s->r);
  sqlite3_reset(st);
  if (e == DMP_OK || e == DMP_E_NOMEM || first == DMP_E_NOT_FOUND || first == DMP_E_SQL) return e == DMP_OK || e == DMP_E_NOMEM ? e : first;
  return record_fault(s->r, first, "dmp_reader", bad);
}

struct key_try { struct session *s; const struct protect *p; struct protect_keys *k; };

static int key_row(void *ctx, const struct reader_row *row) {
  struct key_try *t = ctx;
  return reader_take(t->s, t->p, row, t->k);
}

int protect_key(struct session *s, const struct protect *p, struct protect_keys *k) {
  struct key_try t = { s, p, k };
  int e = reader_each(s, p, s->cred->principal, &(struct reader_try){ key_row, &t });
  if (e == DMP_OK) e = protect_by_holder(s, p, k);
  if (e != DMP_OK) bytes_wipe(k, sizeof *k);
  if (e != DMP_E_NOT_FOUND) return e;
  for (size_t i = 0; i < s->dir.n; i++)
    if (protect_reads(s, p, s->dir.all[i].principal)) return DMP_E_NO_TABLE_KEY;
  return DMP_E_KEY_LOST;
}

static int any_row(void *ctx, const struct reader_row *row) {
  (void)ctx;
  (void)row;
  return DMP_OK;
}

int protect_reads(struct session *s, const struct protect *p, const uint8_t principal[16]) {
  return reader_each(s, p, principal, &(struct reader_try){ any_row, NULL }) == DMP_OK;
}

struct note_try { struct session *s; const struct protect *p; const struct protect_keys *k; struct protect_reader *out; };

static int note_row(void *ctx, const struct reader_row *row) {
  struct note_try *t = ctx;
  return note_take(t->s, t->p, t->k, row, t->out->principal, &t->out->since);
}

int protect_reader(struct session *s, const struct protect *p, const struct protect_keys *k, const uint8_t principal[16],
                   struct protect_reader *out) {
  struct note_try t = { s, p, k, out };
  memcpy(out->principal, principal, 16);
  return reader_each(s, p, principal, &(struct reader_try){ note_row, &t });
}

struct check_try { struct note_try note; void (*bad)(void *ctx, int64_t row, int e); void *ctx; };

static int check_row(void *ctx, const struct reader_row *row) {
  struct check_try *t = ctx;
  int e = note_row(&t->note, row);
  if (e != DMP_OK && e != DMP_E_NOMEM) t->bad(t->ctx, row->id, e);
  return e == DMP_OK ? DMP_E_NOT_FOUND : e;           /* and the next one */
}

int protect_reader_check(struct session *s, const struct protect *p, const struct protect_keys *k, const uint8_t principal[16],
                         void (*bad)(void *ctx, int64_t row, int e), void *ctx) {
  struct protect_reader r;
  struct check_try t = { { s, p, k, &r }, bad, ctx };
  memcpy(r.principal, principal, 16);
  int e = reader_each(s, p, principal, &(struct reader_try){ check_row, &t });
  return e == DMP_E_NOMEM || e == DMP_E_SQL ? e : DMP_OK;
}

int protect_readers(struct session *s, const struct protect *p, const struct protect_keys *k, struct protect_reader **out, size_t *n) {
  int e = DMP_OK;
  *n = 0;
  *out = calloc(s->dir.n + 1, sizeof **out);
  if (*out == NULL) return DMP_E_NOMEM;
  for (size_t i = 0; i < s->dir.n; i++) {
    const uint8_t *principal = s->dir.all[i].principal;
    const struct certificate *who = session_who(s, principal);
    if (who == NULL || memcmp(who->hash, s->dir.all[i].hash, 32) != 0) continue;   /* each principal once, by the certificate that counts */
    e = protect_reader(s, p, k, principal, &(*out)[*n]);
    if (e == DMP_OK) ++*n;
    if (e == DMP_E_NOMEM || e == DMP_E_SQL) break;
  }
  return e == DMP_E_NOMEM || e == DMP_E_SQL ? e : DMP_OK;
}

int protect_regive(struct session *s, const struct protect *p, const struct protect_keys *k, const struct protect_reader *to, size_t n) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < s->dir.n; i++) e = protect_withdraw(s, p, s->dir.all[i].principal);
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    const struct certificate *who = session_who(s, to[i].principal);
    e = who ? protect_give(s, p, k, who, to[i].since) : DMP_E_NO_PRINCIPAL;
  }
  return e;
}

int protect_drop(struct session *s, const struct protect *p) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < s->dir.n; i++) e = protect_withdraw(s, p, s->dir.all[i].principal);
  sqlite3_stmt *st = e == DMP_OK ? record_stmt(s->r, STMT_SEALED_DROP) : NULL;
  if (st) sqlite3_bind_int64(st, 1, p->id);
  return e == DMP_OK ? record_run(s->r, st) : e;
}
