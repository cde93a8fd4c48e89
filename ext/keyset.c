/* keyset.c: keysets and their chain (see keyset.h). */
#include "keyset.h"
#include "access.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-keyset-1";

struct keyset_class *keyset_class(struct keyset *k, uint16_t cls) {
  for (size_t i = 0; i < k->n; i++)
    if (k->c[i].cls == cls) return &k->c[i];
  return NULL;
}

void keyset_kid(const uint8_t key[32], uint8_t kid[16]) {
  uint8_t k[32];
  suite_kdf_text(key, "kid", k);
  suite_hash(k, 32, kid, 16);
  bytes_wipe(k, sizeof k);
}

struct keyset_team *keyset_team(struct keyset *k, const uint8_t team[16]) {
  for (size_t i = 0; i < k->teams; i++)
    if (memcmp(k->team[i].team, team, 16) == 0) return &k->team[i];
  return NULL;
}

static void keyset_loc(const uint8_t yk[32], uint64_t seq, uint8_t loc[16]) {
  uint8_t x[6 + 8];
  memcpy(x, "keyset", 6);
  le_put64(x + 6, seq);
  suite_prf(yk, x, sizeof x, loc);
}

static void keyset_write(const struct keyset *k, struct buf *b) {
  buf_u64(b, k->seq);
  buf_put(b, k->previous, 32);
  buf_u32(b, k->map);
  buf_put(b, k->treating, 16);
  buf_put(b, k->treating_cert, 32);
  buf_u64(b, (uint64_t)k->treating_since);
  buf_u16(b, (uint16_t)k->n);
  for (size_t i = 0; i < k->n; i++) {
    const struct keyset_class *c = &k->c[i];
    buf_u16(b, c->cls);
    buf_u8(b, c->due);
    buf_put(b, c->kid_p, 16);
    buf_put(b, c->kid_m, 16);
    for (int l = 0; l < LEAVES; l++) buf_put(b, c->deposit[l], 32);
  }
  buf_put(b, k->log_pk[0], 32);
  buf_put(b, k->log_pk[1], 32);
  buf_u16(b, (uint16_t)k->teams);
  for (size_t i = 0; i < k->teams; i++) {
    buf_put(b, k->team[i].team, 16);
    buf_put(b, k->team[i].cert, 32);
    buf_u32(b, k->team[i].seq);
    buf_put(b, k->team[i].head, 32);
  }
  buf_put(b, k->signer, 32);
}

static int keyset_parse(const uint8_t *p, size_t n, struct keyset *k) {
  struct rd r = { p, n, 0 };
  const uint16_t *map;
  memset(k, 0, sizeof *k);
  k->seq = rd_u64(&r);
  rd_copy(&r, k->previous, 32);
  k->map = rd_u32(&r);
  rd_copy(&r, k->treating, 16);
  rd_copy(&r, k->treating_cert, 32);
  k->treating_since = (int64_t)rd_u64(&r);
  k->n = rd_u16(&r);
  if (r.bad) return DMP_E_KEYSET_BAD;
  if (k->map != RIGHTS_MAP_VERSION) return DMP_E_LATER;
  if (k->n != rights_classes(&map) || k->n > CLASSES_MAX) return DMP_E_KEYSET_BAD;
  for (size_t i = 0; i < k->n; i++) {
    struct keyset_class *c = &k->c[i];
    c->cls = rd_u16(&r);
    c->due = rd_u8(&r);
    rd_copy(&r, c->kid_p, 16);
    rd_copy(&r, c->kid_m, 16);
    for (int l = 0; l < LEAVES; l++) rd_copy(&r, c->deposit[l], 32);
    if (c->cls != map[i]) return DMP_E_KEYSET_BAD;
  }
  rd_copy(&r, k->log_pk[0], 32);
  rd_copy(&r, k->log_pk[1], 32);
  k->teams = rd_u16(&r);
  if (k->teams > TEAMS_MAX) return DMP_E_KEYSET_BAD;
  for (size_t i = 0; i < k->teams; i++) {
    rd_copy(&r, k->team[i].team, 16);
    rd_copy(&r, k->team[i].cert, 32);
    k->team[i].seq = rd_u32(&r);
    rd_copy(&r, k->team[i].head, 32);
  }
  rd_copy(&r, k->signer, 32);
  rd_bytes(&r, SUITE_SIG);
  if (!rd_done(&r)) return DMP_E_KEYSET_BAD;
  suite_hash(p, n, k->hash, 32);
  return DMP_OK;
}

/* Label ‖ record ‖ patient ‖ content: what the signer signs. */
static int keyset_signed_bytes(const struct session *s, int64_t patient, const uint8_t *p, size_t n, struct buf *b) {
  buf_put(b, LABEL, sizeof LABEL - 1);
  buf_put(b, s->r->id, 16);
  buf_u64(b, (uint64_t)patient);
  buf_put(b, p, n);
  return b->bad ? DMP_E_NOMEM : DMP_OK;
}

static struct box_ad keyset_ad(const struct session *s, int64_t patient, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_KEYSET, .table = IN_KEYSET, .id = patient, .loc = loc };
}

int keyset_put(struct session *s, int64_t patient, const uint8_t yk[32], struct keyset *k, const uint8_t signer_sk[64],
               const uint8_t signer_hash[32]) {
  struct buf plain = { 0 }, over = { 0 }, box = { 0 };
  uint8_t sig[SUITE_SIG], loc[16];
  int64_t id;
  k->map = RIGHTS_MAP_VERSION;
  memcpy(k->signer, signer_hash, 32);
  keyset_write(k, &plain);
  int e = plain.bad ? DMP_E_NOMEM : keyset_signed_bytes(s, patient, plain.p, plain.n, &over);
  if (e != DMP_OK) goto out;
  suite_sign(signer_sk, over.p, over.n, sig);
  buf_put(&plain, sig, SUITE_SIG);
  if (plain.bad) e = DMP_E_NOMEM;
  else suite_hash(plain.p, plain.n, k->hash, 32);
  keyset_loc(yk, k->seq, loc);
  struct box_ad ad = keyset_ad(s, patient, loc);
  if (e == DMP_OK) e = record_random_id(&id);
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, yk, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_KEYSET_PUT, loc, &box, id);
  if (e == DMP_OK) e = access_note_row(s, IN_KEYSET, id, box.p, box.n);
out:
  buf_free(&plain);
  buf_free(&over);
  buf_free(&box);
  return e;
}

int keyset_drop(struct session *s, const struct keyset *k) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_KEYSET_DROP);
  if (st) sqlite3_bind_int64(st, 1, k->row);
  int e = record_run(s->r, st);
  return e == DMP_OK ? access_note_gone(s, IN_KEYSET, k->row) : e;
}

int keyset_exists(struct session *s, const uint8_t yk[32], uint64_t seq, int *yes) {
  uint8_t loc[16];
  keyset_loc(yk, seq, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_KEYSET_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc = sqlite3_step(st);
  *yes = rc == SQLITE_ROW;
  sqlite3_reset(st);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? DMP_OK : record_sql_fault(s->r);
}

int keyset_get(struct session *s, int64_t patient, const uint8_t yk[32], uint64_t seq, struct keyset *k, struct buf *raw) {
  uint8_t loc[16];
  const uint8_t *p;
  size_t n;
  keyset_loc(yk, seq, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_KEYSET_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc = sqlite3_step(st), e;
  int64_t id = 0;
  struct box_ad ad = keyset_ad(s, patient, loc);
  if (rc == SQLITE_ROW) {
    id = sqlite3_column_int64(st, 0);
    e = session_open_key(s, yk, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &p, &n);
    if (e == DMP_OK) e = keyset_parse(p, n, k);
    if (e == DMP_OK && k->seq != seq) e = DMP_E_KEYSET_BAD;
    if (e == DMP_OK) k->row = id;
    if (e == DMP_OK && raw) {
      buf_reset(raw);
      buf_put(raw, p, n);
      if (raw->bad) e = DMP_E_NOMEM;
    }
    if (e == DMP_OK && sqlite3_step(st) == SQLITE_ROW) e = DMP_E_KEYSET_BAD;   /* two of one number: a planted branch */
    if (e != DMP_OK) record_fault(s->r, e, "dmp_keyset", id);
  } else {
    e = rc == SQLITE_DONE ? DMP_E_NOT_FOUND : record_sql_fault(s->r);
  }
  sqlite3_reset(st);
  return e;
}

/* A team that is granted no more, or whose list was read anew: its classes turned, or are due for who holds them. */
static int doctor_owes(struct session *s, const struct keyset *k, const struct keyset *next, uint16_t cls) {
  for (size_t i = 0; i < k->teams; i++) {
    const struct keyset_team *a = &k->team[i], *b = keyset_team((struct keyset *)next, a->team);
    const struct certificate *team = directory_by_principal(&s->dir, a->team);
    while (team && team->serial) team = directory_by_hash(&s->dir, team->previous);   /* its role is that of the first */
    if (b && a->seq == b->seq && memcmp(a->cert, b->cert, 32) == 0) continue;
    if (team && rights_keys(READER_TEAM, team->profession, cls)) return 1;
  }
  return 0;
}

/* The treating doctor may change system classes and the classes of his profession, and mark others due; the rest is copied. */
static int doctor_stays_within(struct session *s, const struct keyset *k, const struct keyset *next, const struct certificate *doctor) {
  if (memcmp(k->treating, next->treating, 16) != 0 || memcmp(k->treating_cert, next->treating_cert, 32) != 0 ||
      k->treating_since != next->treating_since || memcmp(k->log_pk, next->log_pk, sizeof k->log_pk) != 0 || k->n != next->n)
    return 0;
  for (size_t i = 0; i < k->n; i++) {
    struct keyset_class a = k->c[i], b = next->c[i];
    if (a.cls != b.cls) return 0;
    if (a.cls < CLASS_FIRST_DOCUMENT || rights_keys(READER_TREATING, doctor->profession, a.cls)) continue;
    if (a.due & ~b.due || (doctor_owes(s, k, next, a.cls) && !(b.due & KEY_P))) return 0;
    a.due = b.due = 0;
    if (memcmp(a.kid_p, b.kid_p, 16) != 0 || memcmp(a.kid_m, b.kid_m, 16) != 0 || memcmp(a.deposit, b.deposit, sizeof a.deposit) != 0)
      return 0;
  }
  return 1;
}

/* The treating doctor of k by the certificate named there or one that continues it; never by an older one than has signed already. */
static const struct certificate *doctor_now(struct session *s, const struct keyset *k, const uint8_t signer[32]) {
  const struct certificate *doctor = directory_by_hash(&s->dir, signer), *named = directory_by_hash(&s->dir, k->treating_cert);
  const struct certificate *last = directory_by_hash(&s->dir, k->signer);
  if (doctor == NULL || named == NULL || memcmp(doctor->principal, k->treating, 16) != 0 || memcmp(named->principal, k->treating, 16) != 0) return NULL;
  if (last != NULL && memcmp(last->principal, k->treating, 16) == 0 && last->serial > doctor->serial) return NULL;
  return doctor->serial >= named->serial ? doctor : NULL;
}

int keyset_follows(struct session *s, int64_t patient, const struct certificate *patient_cert, const struct keyset *k,
                   const struct keyset *next, const struct buf *raw) {
  const uint8_t *signer_pk = NULL;
  if (k == NULL ? next->seq != 0 || !suite_is_zero(next->previous, 32)
                : next->seq != k->seq + 1 || memcmp(next->previous, k->hash, 32) != 0)
    return DMP_E_KEYSET_BAD;
  if (memcmp(next->signer, patient_cert->hash, 32) == 0) {
    signer_pk = patient_cert->sign_pk;
  } else if (k != NULL && !suite_is_zero(k->treating, 16)) {
    const struct certificate *doctor = doctor_now(s, k, next->signer);
    if (doctor != NULL && doctor_stays_within(s, k, next, doctor)) signer_pk = doctor->sign_pk;
  }
  if (signer_pk == NULL) return DMP_E_KEYSET_BAD;
  struct buf over = { 0 };
  int e = keyset_signed_bytes(s, patient, raw->p, raw->n - SUITE_SIG, &over);
  if (e == DMP_OK && suite_verify(signer_pk, over.p, over.n, raw->p + raw->n - SUITE_SIG) != DMP_OK) e = DMP_E_KEYSET_BAD;
  buf_free(&over);
  return e;
}
