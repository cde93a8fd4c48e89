/* ring.h: every 32 bytes that somebody had, tried on every box of the file.
 * Owns: the ring, and trying it.  Never: what somebody had (the program fills it); which boxes there are. Includes people.h's world. */
#ifndef RING_H
#define RING_H
#include "object.h"

enum { KEYS = 4096 };
static struct { uint8_t key[KEYS][32]; int n; } ring;

static inline void ring_add(const uint8_t key[32]) {
  if (suite_is_zero(key, 32)) return;
  assert_true(ring.n < KEYS);
  memcpy(ring.key[ring.n++], key, 32);
}

static inline int ring_item(void *ctx, struct item *it) {
  uint8_t amend[32];
  (void)ctx;
  ring_add(it->header_key);
  ring_add(it->body_key);
  suite_kdf_text(it->header_key, "amend", amend);
  ring_add(amend);
  return DMP_OK;
}

/* Does any of the keys open the box, as the box of any table, with whatever ids and versions the file shows beside it? */
static inline int ring_opens(const struct box_ad *ad, const void *box, size_t n) {
  static struct buf scratch;
  const uint8_t *plain;
  size_t len;
  int opened = 0;
  for (int i = 0; i < ring.n; i++) {
    uint8_t pk[32];
    opened += box_open(ring.key[i], ad, box, n, &scratch, &plain, &len) == DMP_OK;
    if (box_suite(box, n) != SUITE_SEALED) continue;
    suite_box_pair(ring.key[i], pk);
    opened += box_open_from(ring.key[i], pk, NULL, ad, box, n, &scratch, &plain, &len) == DMP_OK;
    opened += box_open_from(ring.key[i], pk, patient_of(PATIENT)->anchor, ad, box, n, &scratch, &plain, &len) == DMP_OK;
  }
  buf_free(&scratch);
  scratch = (struct buf){ 0 };
  return opened;
}

struct tried { int new_opened, old_opened, new_seen, old_seen; };

/* Every box of one column: those that stood before with the same bytes, and those written since. */
static inline void ring_try(struct tried *t, const char *sql, struct box_ad like) {
  sqlite3_stmt *st;
  uint8_t loc[16];
  like.record = w.who[PATIENT].c->r[0]->id;
  assert_int_equal(sqlite3_prepare_v2(w.who[PATIENT].db, sql, -1, &st, NULL), SQLITE_OK);
  while (sqlite3_step(st) == SQLITE_ROW) {            /* id, loc or NULL, version, chunk, flags, box, is new */
    struct box_ad ad = like;
    if (ad.id == 0) ad.id = sqlite3_column_int64(st, 0);
    if (sqlite3_column_bytes(st, 1) == 16) {
      memcpy(loc, sqlite3_column_blob(st, 1), 16);
      ad.loc = loc;
    }
    ad.version = (uint64_t)sqlite3_column_int64(st, 2);
    ad.chunk = (uint64_t)sqlite3_column_int64(st, 3);
    ad.flags = (uint16_t)sqlite3_column_int(st, 4);
    int fresh = sqlite3_column_int(st, 6), opened = ring_opens(&ad, sqlite3_column_blob(st, 5), (size_t)sqlite3_column_bytes(st, 5));
    t->new_seen += fresh;
    t->old_seen += !fresh;
    if (fresh) t->new_opened += opened;
    else t->old_opened += opened;
  }
  sqlite3_finalize(st);
}
#endif
