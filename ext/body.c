/* body.c: bodies in chunks (see body.h). */
#include "body.h"
#include "random.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

/* Content version of every body: an item's content is never written twice, and a move seals no chunk again. */
enum { BODY_VERSION = 1 };

static uint64_t chunks_of(uint64_t body_size) { return (padme((size_t)body_size) + DMP_CHUNK - 1) / DMP_CHUNK; }

static struct box_ad chunk_ad(const struct session *s, int64_t id, uint64_t number, int last) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_CHUNK, .table = IN_CHUNK, .flags = last ? BOX_LAST_CHUNK : 0, .id = id,
                          .version = BODY_VERSION, .chunk = number };
}

/* Bytes [at, at + n) of the padded body. */
static void body_fill(const struct body_parts *b, uint64_t at, uint8_t *out, size_t n) {
  memset(out, 0, n);
  if (at < b->a_len) {
    size_t k = b->a_len - at < n ? b->a_len - (size_t)at : n;
    memcpy(out, b->a + at, k);
    out += k;
    n -= k;
    at += k;
  }
  if (n > 0 && at < b->a_len + b->b_len && b->b_len) {
    size_t from = (size_t)at - b->a_len, k = b->b_len - from < n ? b->b_len - from : n;
    memcpy(out, b->b + from, k);
  }
}

/* Rows in the order of their writing, which object and number tell anyway: so a body lies in one piece of the file. */
static int chunk_write(struct session *s, int64_t id, uint64_t number, const struct buf *box) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_CHUNK_PUT);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, id);
  sqlite3_bind_int64(st, 2, (int64_t)number);
  sqlite3_bind_blob64(st, 3, box->p, box->n, SQLITE_STATIC);
  return record_run(s->r, st);
}

int body_write(struct session *s, int64_t id, const struct body_parts *parts, uint8_t body_key[32], struct content *c) {
  uint64_t size = (uint64_t)parts->a_len + parts->b_len, padded = padme((size_t)size), n = chunks_of(size);
  struct suite_hash root;
  struct buf plain = { 0 }, box = { 0 };
  int e = random_bytes("body key", body_key, 32);
  if (e == DMP_OK) e = buf_reserve(&plain, DMP_CHUNK);
  suite_hash_start(&root);
  for (uint64_t i = 0; e == DMP_OK && i < n; i++) {
    uint64_t at = i * DMP_CHUNK;
    size_t len = padded - at < DMP_CHUNK ? (size_t)(padded - at) : DMP_CHUNK;
    uint8_t nonce[SUITE_NONCE_XCHACHA] = { 0 };
    struct box_ad ad = chunk_ad(s, id, i, i + 1 == n);
    le_put64(nonce, i);
    nonce[8] = i + 1 == n;
    body_fill(parts, at, plain.p, len);
    buf_reset(&box);
    e = box_seal(s->r->suite, body_key, &ad, plain.p, len, PAD_NONE, nonce, &box);
    if (e == DMP_OK) suite_hash_add(&root, box_tag(box.p, box.n), SUITE_TAG);
    if (e == DMP_OK) e = chunk_write(s, id, i, &box);
  }
  suite_hash_end(&root, c->body_root);
  c->body_size = size;
  plain.n = plain.cap;                                /* filled behind its back: all of it is wiped */
  buf_free(&plain);
  buf_free(&box);
  return e;
}

/* The tags lie in the chunks' index: whoever writes the file may put there what the chunks don't have, so each chunk is compared with them. */
static int tags_read(struct session *s, const struct item *it, struct buf *tags) {
  uint64_t n = 0;
  int rc;
  sqlite3_stmt *st = record_stmt(s->r, STMT_CHUNK_TAGS);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, it->id);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if ((uint64_t)sqlite3_column_int64(st, 0) != n || sqlite3_column_bytes(st, 1) != SUITE_TAG) break;
    buf_put(tags, sqlite3_column_blob(st, 1), SUITE_TAG);
    n++;
  }
  sqlite3_reset(st);
  if (rc != SQLITE_DONE && rc != SQLITE_ROW) return record_sql_fault(s->r);
  if (tags->bad) return DMP_E_NOMEM;
  return rc == SQLITE_DONE && n == chunks_of(it->c.body_size) ? DMP_OK : DMP_E_BODY_BAD;
}

void body_close(struct body *b) {
  buf_free(&b->tags);
  bytes_wipe(b, sizeof *b);
}

int body_check(struct session *s, struct patient *p, const struct item *it, struct body *b) {
  uint8_t root[SUITE_HASH];
  *b = (struct body){ .object = it->id, .size = it->c.body_size };
  memcpy(b->key, it->body_key, 32);
  int e = object_verify(s, p, it);
  if (e != DMP_OK) return e;
  e = tags_read(s, it, &b->tags);
  suite_hash(b->tags.p, b->tags.n, root, sizeof root);
  if (e == DMP_OK && !suite_equal(root, it->c.body_root, SUITE_HASH)) e = DMP_E_BODY_BAD;
  return e == DMP_E_BODY_BAD ? record_fault(s->r, e, "dmp_object", it->id) : e;
}

static int chunk_read(struct session *s, const struct body *b, uint64_t number, const uint8_t **plain, size_t *len) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_CHUNK_GET);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, b->object);
  sqlite3_bind_int64(st, 2, (int64_t)number);
  int rc = sqlite3_step(st), e = rc == SQLITE_DONE ? DMP_E_BODY_BAD : rc == SQLITE_ROW ? DMP_OK : record_sql_fault(s->r);
  if (e == DMP_OK) {
    struct box_ad ad = chunk_ad(s, b->object, number, (number + 1) * SUITE_TAG == b->tags.n);
    size_t n = (size_t)sqlite3_column_bytes(st, 0);
    const uint8_t *box = sqlite3_column_blob(st, 0), *tag = box_tag(box, n);
    e = tag && memcmp(tag, b->tags.p + number * SUITE_TAG, SUITE_TAG) == 0 ? session_open_box(s, b->key, &ad, box, n, plain, len) : DMP_E_BODY_BAD;
  }
  sqlite3_reset(st);
  return e == DMP_OK || e == DMP_E_SQL ? e : record_fault(s->r, e, "dmp_chunk of object", b->object);
}

int body_read(struct session *s, const struct body *b, uint64_t offset, uint64_t size, struct buf *out) {
  uint64_t end = b->size;
  if (offset >= end || size == 0) return DMP_OK;
  if (size < end - offset) end = offset + size;
  int e = buf_reserve(out, (size_t)(end - offset));
  for (uint64_t i = offset / DMP_CHUNK; e == DMP_OK && i * DMP_CHUNK < end; i++) {
    const uint8_t *plain;
    size_t len;
    uint64_t at = i * DMP_CHUNK, from = offset > at ? offset - at : 0, to = end - at < DMP_CHUNK ? end - at : DMP_CHUNK;
    e = chunk_read(s, b, i, &plain, &len);
    if (e == DMP_OK && len < to) e = record_fault(s->r, DMP_E_BODY_BAD, "dmp_chunk of object", b->object);
    if (e == DMP_OK) buf_put(out, plain + from, (size_t)(to - from));
  }
  return e == DMP_OK && out->bad ? DMP_E_NOMEM : e;
}
