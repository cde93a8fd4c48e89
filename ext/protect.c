/* protect.c: descriptions, keys and boxes of protected tables (see protect.h). */
#include "protect.h"
#include "access.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-protect-1", READER_LABEL[] = "dmp-reader-1";

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

/* ---- descriptions ---- */

static void put_text(struct buf *b, const char *s) {
  buf_u16(b, (uint16_t)strlen(s));
  buf_put(b, s, strlen(s));
}

static void take_text_field(struct rd *r, char *to, size_t room) {
  size_t n = rd_u16(r);
  const uint8_t *p = rd_bytes(r, n);
  if (p == NULL || n >= room) {
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
  }
  size_t ddl_len = rd_u32(&r);
  const uint8_t *ddl = rd_bytes(&r, ddl_len), *watched = rd_bytes(&r, 32), *signer = rd_bytes(&r, 32);
  rd_bytes(&r, SUITE_SIG);
  if (!rd_done(&r)) return DMP_E_PROTECT_BAD;
  memcpy(p->watched, watched, 32);
  memcpy(p->signer, signer, 32);
  p->ddl = malloc(ddl_len + 1);
  if (p->ddl == NULL) return DMP_E_NOMEM;
  memcpy(p->ddl, ddl, ddl_len);
  p->ddl[ddl_len] = 0;
  return DMP_OK;
}

/* Label ‖ record ‖ content: what the protector signs. */
static int protect_signed(const struct record *r, const uint8_t *p, size_t n, struct buf *over) {
  buf_put(over, LABEL, sizeof LABEL - 1);
  buf_put(over, r->id, 16);
  buf_put(over, p, n);
  return over->bad ? DMP_E_NOMEM : DMP_OK;
}

int protect_put(struct session *s, struct protect *p) {
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

/* Calls each with every description; bytes and length ride along for the signature. */
struct walk { int (*each)(void *ctx, const struct protect *p); void *ctx; struct session *verify; };

static int walk_row(struct record *r, const struct walk *w, int64_t id, const uint8_t *bytes, size_t n) {
  struct protect p = { 0 };
  struct buf over = { 0 };
  int e = protect_parse(bytes, n, &p);
  p.id = id;
  if (e == DMP_OK && w->verify) {
    const struct certificate *by = directory_by_hash(&w->verify->dir, p.signer);
    e = by ? protect_signed(r, bytes, n - SUITE_SIG, &over) : DMP_E_PROTECT_BAD;
    if (e == DMP_OK && suite_verify(by->sign_pk, over.p, over.n, bytes + n - SUITE_SIG) != DMP_OK) e = DMP_E_PROTECT_BAD;
  }
  if (e != DMP_OK) record_fault(r, e, "dmp_sealed", id);
  if (e == DMP_OK) e = w->each(w->ctx, &p);
  protect_free(&p);
  buf_free(&over);
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
  const struct walk w = { each, ctx, NULL };
  return protect_walk(r, &w);
}

struct named { const char *table; struct protect *out; int found; };

static int take_named(void *ctx, const struct protect *p) {
  struct named *q = ctx;
  if (sqlite3_stricmp(p->table, q->table) != 0) return DMP_OK;
  q->found = 1;
  if (q->out == NULL) return DMP_OK;
  *q->out = *p;
  q->out->c = malloc(p->columns * sizeof *p->c);
  q->out->ddl = strdup(p->ddl);
  if (q->out->c == NULL || q->out->ddl == NULL) return DMP_E_NOMEM;
  memcpy(q->out->c, p->c, p->columns * sizeof *p->c);
  return DMP_OK;
}

int protect_get(struct record *r, const char *table, struct protect *out) {
  struct named q = { table, out, 0 };
  memset(out, 0, sizeof *out);
  int e = protect_each(r, take_named, &q);
  return e == DMP_OK && !q.found ? DMP_E_NOT_FOUND : e;
}

int protect_verify(struct session *s, const char *table) {
  struct named q = { table, NULL, 0 };
  const struct walk w = { take_named, &q, s };
  int e = protect_walk(s->r, &w);
  return e == DMP_OK && !q.found ? DMP_E_NOT_FOUND : e;
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

/* Payload: key 32 · since 8 · giver's certificate hash 32 · signature 64 over label ‖ record ‖ table ‖ grantee ‖ kid ‖ since. */
enum { READER_BYTES = 32 + 8 + 32 + SUITE_SIG, READER_OVER = sizeof READER_LABEL - 1 + 16 + 8 + 32 + 16 + 8 };

static void reader_over(const struct record *r, const struct protect *p, const uint8_t grantee[32], const uint8_t kid[16], int64_t since,
                        uint8_t out[READER_OVER]) {
  uint8_t *q = out;
  memcpy(q, READER_LABEL, sizeof READER_LABEL - 1);
  q += sizeof READER_LABEL - 1;
  memcpy(q, r->id, 16);
  le_put64(q + 16, (uint64_t)p->id);
  memcpy(q + 24, grantee, 32);
  memcpy(q + 56, kid, 16);
  le_put64(q + 72, (uint64_t)since);
}

static void key_kid(const uint8_t key[32], uint8_t kid[16]) {
  uint8_t k[32];
  suite_kdf_text(key, "kid", k);
  suite_hash(k, 32, kid, 16);
  bytes_wipe(k, sizeof k);
}

int protect_new_key(struct protect *p, uint8_t key[32]) {
  int e = random_bytes("table key", key, 32);
  if (e == DMP_OK) key_kid(key, p->kid);
  return e;
}

static struct box_ad reader_ad(const struct record *r, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = r->id, .kind = BOX_READER, .table = IN_READER, .id = row, .loc = loc };
}

int protect_give(struct session *s, const struct protect *p, const uint8_t key[32], const struct certificate *to) {
  uint8_t loc[16], over[READER_OVER], sig[SUITE_SIG];
  struct buf plain = { 0 }, box = { 0 };
  int64_t row = 0, now = record_now();
  reader_loc(s, p, to->principal, loc);
  reader_over(s->r, p, to->hash, p->kid, now, over);
  suite_sign(s->cred->sign_sk, over, sizeof over, sig);
  buf_put(&plain, key, 32);
  buf_u64(&plain, (uint64_t)now);
  buf_put(&plain, s->me.hash, 32);
  buf_put(&plain, sig, SUITE_SIG);
  int e = plain.bad ? DMP_E_NOMEM : protect_withdraw(s, p, to->principal);
  if (e == DMP_OK) e = record_random_id(&row);
  struct box_ad ad = reader_ad(s->r, row, loc);
  if (e == DMP_OK) e = box_seal_to(to->box_pk, NULL, &ad, plain.p, plain.n, PAD_NONE, &box);
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

static int reader_take(struct session *s, const struct protect *p, const uint8_t *b, size_t n, uint8_t key[32]) {
  uint8_t over[READER_OVER], kid[16];
  if (n != READER_BYTES) return DMP_E_TAMPERED;
  const struct certificate *by = directory_by_hash(&s->dir, b + 40);
  key_kid(b, kid);
  reader_over(s->r, p, s->me.hash, kid, (int64_t)le_get64(b + 32), over);
  if (by == NULL || suite_verify(by->sign_pk, over, sizeof over, b + 72) != DMP_OK) return DMP_E_GRANT_BAD;
  if (memcmp(kid, p->kid, 16) != 0) return DMP_E_GRANT_STALE;
  memcpy(key, b, 32);
  return DMP_OK;
}

int protect_key(struct session *s, const struct protect *p, uint8_t key[32]) {
  uint8_t loc[16];
  const uint8_t *b;
  size_t n;
  reader_loc(s, p, s->cred->principal, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_READER_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc = sqlite3_step(st), e = DMP_E_NO_TABLE_KEY;
  int64_t row = 0;
  if (rc == SQLITE_ROW) {
    row = sqlite3_column_int64(st, 0);
    struct box_ad ad = reader_ad(s->r, row, loc);
    s->boxes_opened++;
    e = box_open_from(s->cred->box_sk, s->cred->box_pk, NULL, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &s->scratch,
                      &b, &n);
    if (e == DMP_OK) e = reader_take(s, p, b, n, key);
  } else if (rc != SQLITE_DONE) {
    e = record_sql_fault(s->r);
  }
  sqlite3_reset(st);
  return e == DMP_OK || e == DMP_E_NO_TABLE_KEY || e == DMP_E_SQL ? e : record_fault(s->r, e, "dmp_reader", row);
}

int protect_reads(struct session *s, const struct protect *p, const uint8_t principal[16]) {
  uint8_t loc[16];
  reader_loc(s, p, principal, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_READER_BY_LOC);
  if (st == NULL) return 0;
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int yes = sqlite3_step(st) == SQLITE_ROW;
  sqlite3_reset(st);
  return yes;
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

void protect_nonces_drop(struct protect_sub *sub) { sub->drawn = sub->left = 0; }

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

int protect_seal(struct session *s, const struct protect *p, const uint8_t key[32], struct protect_sub *sub, int64_t rowid,
                 const struct buf *row, struct buf *box) {
  const uint8_t *nonce;
  sub_ready(p, key, sub, rowid);
  struct box_ad ad = row_ad(s, sub, rowid);
  buf_reset(box);
  int e = row->bad ? DMP_E_NOMEM : nonce_next(sub, suite_nonce_bytes(s->r->suite), &nonce);
  return e == DMP_OK ? box_seal_with(s->r->suite, &sub->key, &ad, row->p, row->n, PAD_PADME, nonce, box) : e;
}

int protect_open(struct session *s, const struct protect *p, const uint8_t key[32], struct protect_sub *sub, int64_t rowid,
                 const void *box, size_t n, struct buf *scratch, const uint8_t **row, size_t *len) {
  sub_ready(p, key, sub, rowid);
  struct box_ad ad = row_ad(s, sub, rowid);
  return box_open_with(&sub->key, &ad, box, n, scratch, row, len);
}
