/* protect.c: descriptions, keys and boxes of protected tables (see protect.h). */
#include "protect.h"
#include "access.h"
#include "protect_ddl.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-protect-1", READER_LABEL[] = "dmp-reader-1";
enum { PROTECT_MAC = 32 };

void protect_free(struct protect *p) {
  free(p->c);
  free(p->ddl);
  p->c = NULL;
  p->ddl = NULL;
}

const char *protect_rowid(const struct protect *p) {
  for (uint32_t i = 0; i < p->columns; i++)
    if (p->c[i].flags & PCOL_ROWID) return p->c[i].name;
  return PROTECT_ID;
}

const char *protect_alias(const struct protect *p) {
  static const char *const ALIAS[] = { "rowid", "_rowid_", "oid" };
  if (ddl_without_rowid(p->ddl)) return NULL;
  for (size_t k = 0; k < sizeof ALIAS / sizeof *ALIAS; k++) {
    uint32_t i = 0;
    while (i < p->columns && sqlite3_stricmp(p->c[i].name, ALIAS[k]) != 0) i++;
    if (i == p->columns) return ALIAS[k];
  }
  return NULL;
}

const char **protect_sealed(const struct protect *p) {
  const char **names = calloc(p->columns + 1, sizeof *names);
  for (uint32_t i = 0, n = 0; names && i < p->columns; i++)
    if (p->c[i].flags & PCOL_SEALED) names[n++] = p->c[i].name;
  return names;
}

const char *protect_patient(const struct protect *p) {
  for (uint32_t i = 0; i < p->columns; i++)
    if (p->c[i].flags & PCOL_PATIENT) return p->c[i].name;
  return NULL;
}

/* ---- descriptions ---- */

static void put_text(struct buf *b, const char *s) {
  buf_u16(b, (uint16_t)strlen(s));
  buf_put(b, s, strlen(s));
}

static void take_text_field(struct rd *r, char *to, size_t room) {
  size_t n = rd_u16(r);
  const uint8_t *p = rd_bytes(r, n);
  if (p == NULL || n >= room || memchr(p, 0, n)) {
    r->bad = 1;
    return;
  }
  memcpy(to, p, n);
  to[n] = 0;
}

static void protect_write(const struct protect *p, struct buf *b) {
  put_text(b, p->table);
  buf_u8(b, p->without_key);
  buf_u8(b, p->autoincrement);
  buf_u8(b, p->scrub_due);
  buf_u8(b, p->checked);
  buf_put(b, p->kid, 16);
  buf_put(b, p->old_kid, 16);
  buf_u64(b, (uint64_t)p->turned);
  buf_u16(b, p->class_id);
  put_text(b, p->type);
  put_text(b, p->system);
  buf_u16(b, (uint16_t)p->columns);
  for (uint32_t i = 0; i < p->columns; i++) {
    put_text(b, p->c[i].name);
    put_text(b, p->c[i].decl);
    put_text(b, p->c[i].coll);
    put_text(b, p->c[i].dflt);
    buf_u8(b, p->c[i].flags);
  }
  buf_u32(b, (uint32_t)strlen(p->ddl));
  buf_put(b, p->ddl, strlen(p->ddl));
  buf_put(b, p->watched, 32);
  buf_put(b, p->signer, 32);
}

/* What a column is said to be goes together: where a value is looked for follows from it. */
static int flags_agree(const struct protect *p) {
  int rowids = 0, patients = 0, sealed = 0;
  for (uint32_t i = 0; i < p->columns; i++) {
    const int f = p->c[i].flags, is_sealed = (f & PCOL_SEALED) != 0;
    if (is_sealed && f & (PCOL_ROWID | PCOL_GENERATED | PCOL_PK | PCOL_PATIENT)) return 0;
    if ((f & PCOL_INDEXED && !is_sealed) || (f & PCOL_ROWID && f & PCOL_GENERATED)) return 0;
    rowids += (f & PCOL_ROWID) != 0;
    patients += (f & PCOL_PATIENT) != 0;
    sealed += is_sealed;
  }
  return rowids <= 1 && patients <= 1 && sealed > 0;
}

static int protect_parse(const uint8_t *bytes, size_t n, struct protect *p) {
  struct rd r = { bytes, n, 0 };
  take_text_field(&r, p->table, sizeof p->table);
  p->without_key = rd_u8(&r);
  p->autoincrement = rd_u8(&r);
  p->scrub_due = rd_u8(&r);
  p->checked = rd_u8(&r);
  const uint8_t *kid = rd_bytes(&r, 16), *old_kid = rd_bytes(&r, 16);
  p->turned = (int64_t)rd_u64(&r);
  p->class_id = rd_u16(&r);
  take_text_field(&r, p->type, sizeof p->type);
  take_text_field(&r, p->system, sizeof p->system);
  p->columns = rd_u16(&r);
  if (r.bad || p->columns == 0 || p->columns > PROTECT_COLUMNS) return DMP_E_PROTECT_BAD;
  memcpy(p->kid, kid, 16);
  memcpy(p->old_kid, old_kid, 16);
  p->c = calloc(p->columns, sizeof *p->c);
  if (p->c == NULL) return DMP_E_NOMEM;
  for (uint32_t i = 0; i < p->columns; i++) {
    take_text_field(&r, p->c[i].name, sizeof p->c[i].name);
    take_text_field(&r, p->c[i].decl, sizeof p->c[i].decl);
    take_text_field(&r, p->c[i].coll, sizeof p->c[i].coll);
    take_text_field(&r, p->c[i].dflt, sizeof p->c[i].dflt);
    p->c[i].flags = rd_u8(&r);
    if (!ddl_is_type(p->c[i].decl)) r.bad = 1;          /* it becomes part of a declaration, where one column must stay one */
  }
  size_t ddl_len = rd_u32(&r);
  const uint8_t *ddl = rd_bytes(&r, ddl_len), *watched = rd_bytes(&r, 32), *signer = rd_bytes(&r, 32);
  rd_bytes(&r, SUITE_SIG);
  const uint8_t *mac = rd_bytes(&r, PROTECT_MAC);
  if (!rd_done(&r) || memchr(ddl, 0, ddl_len) || !flags_agree(p)) return DMP_E_PROTECT_BAD;
  memcpy(p->watched, watched, 32);
  memcpy(p->signer, signer, 32);
  p->ddl = malloc(ddl_len + 1);
  if (p->ddl == NULL) return DMP_E_NOMEM;
  memcpy(p->ddl, ddl, ddl_len);
  p->ddl[ddl_len] = 0;
  suite_hash(bytes, n, p->digest, 32);
  suite_hash(bytes, n - PROTECT_MAC, p->content, 32);
  memcpy(p->mac, mac, PROTECT_MAC);
  return DMP_OK;
}

/* Label ‖ record ‖ content: what the protector signs. */
static int protect_signed(const struct record *r, const uint8_t *p, size_t n, struct buf *over) {
  buf_put(over, LABEL, sizeof LABEL - 1);
  buf_put(over, r->id, 16);
  buf_put(over, p, n);
  return over->bad ? DMP_E_NOMEM : DMP_OK;
}

/* The signature of a description that was read from these bytes. */
static int signature_check(struct session *s, struct protect *p, const uint8_t *bytes, size_t n) {
  struct buf over = { 0 };
  const struct certificate *by = directory_by_hash(&s->dir, p->signer);
  int e = by ? protect_signed(s->r, bytes, n - SUITE_SIG - PROTECT_MAC, &over) : DMP_E_PROTECT_BAD;
  if (e == DMP_OK && suite_verify(by->sign_pk, over.p, over.n, bytes + n - SUITE_SIG - PROTECT_MAC) != DMP_OK) e = DMP_E_PROTECT_BAD;
  p->proven = e == DMP_OK;
  buf_free(&over);
  return e;
}

/* Record ‖ table ‖ hash of what is signed and of its signature, under a key that only holders have: whoever is in the directory can sign. */
static void protect_mac(const struct session *s, const struct protect *p, const struct protect_keys *k, uint8_t mac[PROTECT_MAC]) {
  uint8_t key[32], over[16 + 8 + 32];
  memcpy(over, s->r->id, 16);
  le_put64(over + 16, (uint64_t)p->id);
  memcpy(over + 24, p->content, 32);
  suite_kdf_text(k->live, "description", key);
  suite_kdf(key, over, sizeof over, mac);
  bytes_wipe(key, sizeof key);
}

int protect_by_holder(struct session *s, const struct protect *p, const struct protect_keys *k) {
  uint8_t mac[PROTECT_MAC];
  protect_mac(s, p, k, mac);
  return suite_equal(mac, p->mac, PROTECT_MAC) ? DMP_OK : record_fault(s->r, DMP_E_PROTECT_BAD, "dmp_sealed", p->id);
}

int protect_put(struct session *s, struct protect *p, const struct protect_keys *k) {
  struct buf b = { 0 }, over = { 0 };
  uint8_t sig[SUITE_SIG];
  int fresh = p->id == 0;
  int e = fresh ? record_random_id(&p->id) : DMP_OK;
  memcpy(p->signer, s->me.hash, 32);
  protect_write(p, &b);
  if (e == DMP_OK) e = b.bad ? DMP_E_NOMEM : protect_signed(s->r, b.p, b.n, &over);
  if (e == DMP_OK) {
    suite_sign(s->cred->sign_sk, over.p, over.n, sig);
    buf_put(&b, sig, SUITE_SIG);
    if (!b.bad) suite_hash(b.p, b.n, p->content, 32);
    protect_mac(s, p, k, p->mac);
    buf_put(&b, p->mac, PROTECT_MAC);
    sqlite3_stmt *st = b.bad ? NULL : record_stmt(s->r, fresh ? STMT_SEALED_PUT : STMT_SEALED_SET);
    if (st) {
      sqlite3_bind_int64(st, 1, p->id);
      sqlite3_bind_blob64(st, 2, b.p, b.n, SQLITE_STATIC);
    }
    e = b.bad ? DMP_E_NOMEM : record_run(s->r, st);
  }
  buf_free(&b);
  buf_free(&over);
  return e;
}

/* Calls each with every description, or with that of one table. verify: whose directory knows the signers; NULL: not verified. */
struct walk { int (*each)(void *ctx, const struct protect *p); void *ctx; struct session *verify; const char *only; };

static int walk_row(struct record *r, const struct walk *w, int64_t id, const uint8_t *bytes, size_t n) {
  struct protect p = { 0 };
  int e = protect_parse(bytes, n, &p), wanted = e == DMP_OK && (w->only == NULL || sqlite3_stricmp(p.table, w->only) == 0);
  p.id = id;
  if (wanted && w->verify) e = signature_check(w->verify, &p, bytes, n);
  if (e != DMP_OK) record_fault(r, e, "dmp_sealed", id);
  if (e == DMP_OK && wanted) e = w->each(w->ctx, &p);
  protect_free(&p);
  return e;
}

static int protect_walk(struct record *r, const struct walk *w) {
  sqlite3_stmt *st = record_stmt(r, STMT_SEALED_ALL);
  int rc = SQLITE_DONE, e = DMP_OK;
  if (st == NULL) return record_sql_fault(r);
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
    e = walk_row(r, w, sqlite3_column_int64(st, 0), sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(r);
  sqlite3_reset(st);
  return e;
}

int protect_each(struct record *r, int (*each)(void *ctx, const struct protect *p), void *ctx) {
  const struct walk w = { .each = each, .ctx = ctx };
  return protect_walk(r, &w);
}

int protect_each_proven(struct session *s, int (*each)(void *ctx, const struct protect *p), void *ctx) {
  const struct walk w = { .each = each, .ctx = ctx, .verify = s };
  return protect_walk(s->r, &w);
}

struct named { struct protect *out; int found; };

static int take_named(void *ctx, const struct protect *p) {
  struct named *q = ctx;
  if (q->found++) return DMP_E_PROTECT_BAD;           /* a second one for the same table */
  *q->out = *p;
  q->out->c = malloc(p->columns * sizeof *p->c);
  q->out->ddl = strdup(p->ddl);
  if (q->out->c == NULL || q->out->ddl == NULL) return DMP_E_NOMEM;
  memcpy(q->out->c, p->c, p->columns * sizeof *p->c);
  return DMP_OK;
}

static int get_named(struct record *r, struct session *verify, const char *table, struct protect *out) {
  struct named q = { out, 0 };
  const struct walk w = { take_named, &q, verify, table };
  memset(out, 0, sizeof *out);
  int e = protect_walk(r, &w);
  return e == DMP_OK && !q.found ? DMP_E_NOT_FOUND : e;
}

int protect_get(struct record *r, const char *table, struct protect *out) { return get_named(r, NULL, table, out); }

int protect_proven(struct session *s, const char *table, struct protect *out) { return get_named(s->r, s, table, out); }

/* Whether two descriptions mean the same table, columns and rules; keys, turns, scrubs and signatures may differ. */
static int same_table(const struct protect *a, const struct protect *b) {
  return a->without_key == b->without_key && a->autoincrement == b->autoincrement && a->checked == b->checked && a->class_id == b->class_id &&
         strcmp(a->system, b->system) == 0 && strcmp(a->type, b->type) == 0 && a->columns == b->columns && memcmp(a->c, b->c, a->columns * sizeof *a->c) == 0 &&
         strcmp(a->ddl, b->ddl) == 0 && sqlite3_stricmp(a->table, b->table) == 0;
}

/* What is new was signed by somebody of the directory, and describes the same table. */
static int again_take(struct session *s, struct protect *p, const uint8_t *bytes, size_t n) {
  struct protect now = { 0 };
  int e = protect_parse(bytes, n, &now);
  if (e == DMP_OK) e = signature_check(s, &now, bytes, n);
  if (e == DMP_OK && !same_table(&now, p)) e = DMP_E_PROTECT_BAD;
  if (e == DMP_OK) {
    memcpy(p->kid, now.kid, 16);
    memcpy(p->old_kid, now.old_kid, 16);
    p->turned = now.turned;
    p->scrub_due = now.scrub_due;
    memcpy(p->watched, now.watched, 32);
    memcpy(p->signer, now.signer, 32);
    memcpy(p->digest, now.digest, 32);
    memcpy(p->content, now.content, 32);
    memcpy(p->mac, now.mac, PROTECT_MAC);
    p->proven = 1;
  }
  protect_free(&now);
  return e == DMP_OK || e == DMP_E_NOMEM ? e : record_fault(s->r, e, "dmp_sealed", p->id);
}

int protect_again(struct session *s, struct protect *p) {
  uint8_t digest[32];
  sqlite3_stmt *st = record_stmt(s->r, STMT_SEALED_BY_ID);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, p->id);
  int rc = sqlite3_step(st), e = rc == SQLITE_ROW ? DMP_OK : rc == SQLITE_DONE ? DMP_E_NOT_PROTECTED : record_sql_fault(s->r);
  if (e == DMP_OK) {
    const uint8_t *bytes = sqlite3_column_blob(st, 0);
    size_t n = (size_t)sqlite3_column_bytes(st, 0);
    suite_hash(bytes, n, digest, 32);
    if (!p->proven || memcmp(digest, p->digest, 32) != 0) e = again_take(s, p, bytes, n);
  }
  sqlite3_reset(st);
  return e;
}

/* ---- readers ---- */

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

/* ---- rows ---- */

/* The subkey serves one block of 65,536 rows: a key seals at most 2^31 boxes, however often rows are rewritten. */
static void sub_ready(const struct protect *p, const uint8_t key[32], struct protect_sub *sub, int64_t rowid) {
  uint8_t x[8 + 8], k[32];
  int64_t block = rowid >> 16;
  if (sub->ready && sub->block == block) return;
  le_put64(x, (uint64_t)p->id);
  le_put64(x + 8, (uint64_t)block);
  suite_kdf(key, x, sizeof x, k);
  suite_prf(k, "row", 3, sub->loc);
  suite_key_set(&sub->key, k);
  bytes_wipe(k, sizeof k);
  sub->block = block;
  sub->ready = 1;
}

static struct box_ad row_ad(const struct session *s, const struct protect_sub *sub, int64_t rowid) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_PROTECTED, .table = IN_PRACTICE, .id = rowid, .loc = sub->loc };
}

void protect_nonces_drop(struct protect_keys *k) { k->live_sub.drawn = k->live_sub.left = 0; }

/* Asking the system costs as much as sealing a short row, so each time twice as many are asked for; a lone row asks for its own. */
static int nonce_next(struct protect_sub *sub, size_t bytes, const uint8_t **nonce) {
  if (sub->left == 0) {
    sub->drawn = sub->drawn == 0 ? 1 : sub->drawn < PROTECT_NONCES ? 2 * sub->drawn : PROTECT_NONCES;
    int e = random_bytes("nonce", sub->nonce, sub->drawn * bytes);
    if (e != DMP_OK) return e;
    sub->left = sub->drawn;
  }
  *nonce = sub->nonce + --sub->left * bytes;
  return DMP_OK;
}

int protect_seal(struct session *s, const struct protect *p, struct protect_keys *k, int64_t rowid, const struct buf *row, struct buf *box) {
  const uint8_t *nonce;
  sub_ready(p, k->live, &k->live_sub, rowid);
  struct box_ad ad = row_ad(s, &k->live_sub, rowid);
  buf_reset(box);
  int e = row->bad ? DMP_E_NOMEM : nonce_next(&k->live_sub, suite_nonce_bytes(s->r->suite), &nonce);
  return e == DMP_OK ? box_seal_with(s->r->suite, &k->live_sub.key, &ad, row->p, row->n, PAD_PADME, nonce, box) : e;
}

static int open_under(struct session *s, const struct protect *p, const uint8_t key[32], struct protect_sub *sub, int64_t rowid,
                      const void *box, size_t n, struct buf *scratch, const uint8_t **row, size_t *len) {
  sub_ready(p, key, sub, rowid);
  struct box_ad ad = row_ad(s, sub, rowid);
  return box_open_with(&sub->key, &ad, box, n, scratch, row, len);
}

int protect_open(struct session *s, const struct protect *p, struct protect_keys *k, int64_t rowid, const void *box, size_t n,
                 struct buf *scratch, const uint8_t **row, size_t *len) {
  int e = open_under(s, p, k->live, &k->live_sub, rowid, box, n, scratch, row, len);
  if (e != DMP_E_TAMPERED || suite_is_zero(p->old_kid, 16) || rowid <= p->turned) return e;
  return open_under(s, p, k->old, &k->old_sub, rowid, box, n, scratch, row, len);
}

/* ---- keyed indexes ---- */

/* A text as its collation compares it: RTRIM leaves blanks at the end out; NOCASE takes A to Z for a to z, and of what stands
 * behind a NUL only the length counts. */
static void index_text(const struct pcol *c, const uint8_t *p, size_t n, struct buf *b) {
  size_t stop = n;
  if (sqlite3_stricmp(c->coll, "RTRIM") == 0)
    while (n > 0 && p[n - 1] == ' ') n--;
  if (sqlite3_stricmp(c->coll, "NOCASE") != 0) {
    buf_put(b, p, n);
    return;
  }
  buf_u32(b, (uint32_t)n);
  const uint8_t *nul = n ? memchr(p, 0, n) : NULL;
  if (nul) stop = (size_t)(nul - p);
  for (size_t i = 0; i < stop; i++) buf_u8(b, p[i] >= 'A' && p[i] <= 'Z' ? (uint8_t)(p[i] | 0x20) : p[i]);
}

/* Equal values give equal bytes: 1 and 1.0 are one number, and so are 0 and -0.0. */
static void index_value(const struct pcol *c, const struct value *x, struct buf *b) {
  struct value v = *x;
  if (v.type == VALUE_REAL && v.u.r >= -0x1p63 && v.u.r < 0x1p63 && (double)(int64_t)v.u.r == v.u.r) v = value_int((int64_t)v.u.r);
  buf_u8(b, v.type);
  switch (v.type) {
    case VALUE_INT: buf_u64(b, (uint64_t)v.u.i); break;
    case VALUE_REAL: buf_put(b, &v.u.r, sizeof v.u.r); break;
    case VALUE_TEXT: index_text(c, v.u.p, v.n, b); break;
    default: buf_put(b, v.u.p, v.n);
  }
}

static void ix_ready(const struct protect *p, const uint8_t key[32], uint32_t column, struct protect_ix *ix) {
  uint8_t label[8 + 5 + 4], sub[32];
  if (ix->ready) return;
  le_put64(label, (uint64_t)p->id);
  memcpy(label + 8, "index", 5);
  le_put32(label + 13, column);
  suite_kdf(key, label, sizeof label, sub);
  suite_prf_key(sub, ix->key);
  bytes_wipe(sub, sizeof sub);
  ix->ready = 1;
}

int protect_index(const struct protect *p, const uint8_t key[32], struct protect_ix *ix, uint32_t column, const struct value *x, uint8_t out[SUITE_PRF]) {
  struct protect_ix own = { 0 };
  struct buf b = { 0 };
  if (ix == NULL) ix = &own;
  ix_ready(p, key, column, ix);
  index_value(&p->c[column], x, &b);
  if (!b.bad) suite_prf_with(ix->key, b.p, b.n, out);
  int e = b.bad ? DMP_E_NOMEM : DMP_OK;
  bytes_wipe(&own, sizeof own);
  buf_free(&b);
  return e;
}
