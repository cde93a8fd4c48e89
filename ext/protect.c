/* protect.c: descriptions of protected tables (see protect.h). */
#include "protect.h"
#include "access.h"
#include "protect_ddl.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-protect-1";
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
