/* directory.c: the log of certificates (see directory.h). */
#include "directory.h"
#include "box.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static void directory_loc(const uint8_t d[32], uint8_t loc[16]) { suite_prf(d, "directory", 9, loc); }

static struct box_ad directory_ad(const struct record *r, int64_t id, const uint8_t *loc) {
  return (struct box_ad){ .record = r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = id, .loc = loc };
}

void directory_free(struct directory *dir) {
  for (size_t i = 0; i < dir->n; i++) buf_free(&dir->all[i].raw);
  free(dir->all);
  dir->all = NULL;
  dir->n = 0;
}

static int directory_grow(struct directory *dir) {
  struct certificate *all = realloc(dir->all, (dir->n + 1) * sizeof *all);
  if (all == NULL) return DMP_E_NOMEM;
  dir->all = all;
  return DMP_OK;
}

static int by_log_index(const void *a, const void *b) {
  const struct certificate *x = a, *y = b;
  return (x->log_index > y->log_index) - (x->log_index < y->log_index);
}

/* The log of certificates: indices without gaps, each naming the hash of the one before. */
static int directory_chain(struct record *r, struct directory *dir) {
  for (size_t i = 0; i < dir->n; i++) {
    const struct certificate *c = &dir->all[i];
    int good = c->log_index == i && memcmp(c->record, r->id, 16) == 0 &&
               (i == 0 ? suite_is_zero(c->log_previous, 32) : memcmp(c->log_previous, dir->all[i - 1].hash, 32) == 0);
    if (!good) return DMP_E_CERT_BAD;
  }
  return DMP_OK;
}

static int directory_row(struct record *r, const uint8_t d[32], const uint8_t loc[16], sqlite3_stmt *st, struct directory *dir) {
  struct buf scratch = { 0 };
  const uint8_t *p;
  size_t n;
  struct box_ad ad = directory_ad(r, sqlite3_column_int64(st, 0), loc);
  int e = box_open(d, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &scratch, &p, &n);
  if (e == DMP_OK) e = directory_grow(dir);
  if (e == DMP_OK) e = certificate_parse(p, n, &dir->all[dir->n]);
  if (e == DMP_OK) {
    buf_put(&dir->all[dir->n].raw, p, n);
    dir->n++;
  } else {
    record_fault(r, e, "dmp_certificate", ad.id);
  }
  buf_free(&scratch);
  return e;
}

int directory_load(struct record *r, const uint8_t d[32], const uint8_t authority_pk[32], struct directory *dir) {
  uint8_t loc[16];
  directory_free(dir);
  memcpy(dir->pinned, authority_pk, 32);
  directory_loc(d, loc);
  sqlite3_stmt *st = record_stmt(r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) e = directory_row(r, d, loc, st, dir);
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(r);
  sqlite3_reset(st);
  dir->rows = (int64_t)dir->n;
  if (e == DMP_OK && dir->n > 1) qsort(dir->all, dir->n, sizeof *dir->all, by_log_index);
  if (e == DMP_OK) e = directory_chain(r, dir);
  if (e != DMP_OK) {
    directory_free(dir);
    dir->rows = -1;                                   /* an empty directory answers nothing: the next use tries again */
  }
  return e;
}

int directory_held(struct directory *dir) {
  if (dir->seen == 0 || (dir->seen <= dir->n && memcmp(dir->all[dir->seen - 1].hash, dir->last, 32) == 0)) return DMP_OK;
  directory_free(dir);
  dir->rows = -1;
  return DMP_E_CERT_LOG;
}

int directory_note(struct directory *dir) {
  if (dir->n <= dir->seen) return 0;
  dir->seen = (uint32_t)dir->n;
  memcpy(dir->last, dir->all[dir->n - 1].hash, 32);
  return 1;
}

int directory_refresh(struct record *r, const uint8_t d[32], struct directory *dir) {
  uint8_t loc[16], pinned[32];
  directory_loc(d, loc);
  sqlite3_stmt *st = record_stmt(r, STMT_CERT_COUNT);
  if (st == NULL) return record_sql_fault(r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc = sqlite3_step(st);
  int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
  sqlite3_reset(st);
  if (rc != SQLITE_ROW) return record_sql_fault(r);
  if (n == dir->rows && dir->all != NULL) return DMP_OK;
  memcpy(pinned, dir->pinned, 32);
  int e = directory_load(r, d, pinned, dir);
  return e == DMP_OK ? directory_held(dir) : e;
}

/* Kinds of a later version need a second signature that this one can't check (emergency, guardian): they count for nobody. */
static int authority_signed(const struct directory *dir, const struct certificate *c) {
  return c->kind >= KIND_AUTHORITY && c->kind <= KIND_SOURCE && certificate_signed(c->raw.p, c->raw.n, dir->pinned) == DMP_OK && c->kind != KIND_PATIENT &&
         (c->kind != KIND_AUTHORITY || memcmp(c->sign_pk, dir->pinned, 32) == 0);
}

/* Lazily, once each, in log order: a forged one of the same principal does not stand in the way of the true one. */
static struct certificate *settle(struct directory *dir, const uint8_t principal[16]) {
  struct certificate *tip = NULL;
  for (size_t i = 0; i < dir->n; i++) {
    struct certificate *c = &dir->all[i];
    if (memcmp(c->principal, principal, 16) != 0) continue;
    if (c->verified == 0) {
      int follows = tip ? certificate_continues(tip, c) : c->serial == 0 && c->status == STATUS_ACTIVE;
      c->verified = follows && authority_signed(dir, c) ? 1 : -1;
    }
    if (c->verified > 0) tip = c;
  }
  return tip;
}

const struct certificate *directory_by_principal(struct directory *dir, const uint8_t principal[16]) { return settle(dir, principal); }

int directory_same_number(struct directory *dir, const uint8_t a[16], const uint8_t b[16]) {
  const struct certificate *x = settle(dir, a), *y = settle(dir, b);
  return x && y && memcmp(a, b, 16) != 0 && x->kind == y->kind && *x->identifier && strcmp(x->identifier, y->identifier) == 0;
}

const struct certificate *directory_by_hash(struct directory *dir, const uint8_t hash[32]) {
  for (size_t i = 0; i < dir->n; i++) {
    const struct certificate *c = &dir->all[i];
    if (memcmp(c->hash, hash, 32) != 0) continue;
    if (c->verified == 0) settle(dir, c->principal);
    return c->verified > 0 ? c : NULL;
  }
  return NULL;
}

enum entry_state directory_entry(struct directory *dir, size_t i) {
  const struct certificate *c = &dir->all[i];
  settle(dir, c->principal);
  if (c->verified < 0) return authority_signed(dir, c) ? ENTRY_DISCONTINUOUS : ENTRY_UNSIGNED;
  if (c->serial == 0) return ENTRY_FIRST;
  const struct certificate *before = directory_by_hash(dir, c->previous);
  if (before && c->status != before->status) return c->status == STATUS_REVOKED ? ENTRY_REVOKED : ENTRY_RESTORED;
  return before && !certificate_same_keys(before, c) ? ENTRY_RENEWED : ENTRY_CHANGED;
}

int directory_add(struct record *r, const uint8_t d[32], struct directory *dir, struct certificate *c, const uint8_t issuer_sk[64]) {
  struct buf plain = { 0 }, box = { 0 };
  uint8_t loc[16];
  int64_t id;
  directory_loc(d, loc);
  memcpy(c->record, r->id, 16);
  c->log_index = (uint32_t)dir->n;
  if (dir->n > 0) memcpy(c->log_previous, dir->all[dir->n - 1].hash, 32);
  int e = certificate_write(c, issuer_sk, &plain);
  if (e == DMP_OK) e = record_random_id(&id);
  if (e == DMP_OK) {
    struct box_ad ad = directory_ad(r, id, loc);
    e = box_seal(SUITE_XCHACHA, d, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  }
  if (e == DMP_OK) e = record_put(r, STMT_CERT_PUT, loc, &box, id);
  buf_free(&plain);
  buf_free(&box);
  dir->rows = -1;                                     /* read again at the next use */
  return e;
}

int directory_verify_patient(struct directory *dir, const uint8_t *p, size_t n, struct certificate *c) {
  int e = certificate_parse(p, n, c);
  if (e != DMP_OK) return e;
  const struct certificate *issuer = directory_by_hash(dir, c->issuer);
  if (issuer == NULL || c->kind != KIND_PATIENT) return DMP_E_CERT_BAD;
  if (issuer->kind != KIND_AUTHORITY && !(issuer->rights & RIGHT_REGISTER_PATIENTS)) return DMP_E_CERT_BAD;
  e = certificate_signed(p, n, issuer->sign_pk);
  if (e == DMP_OK && c->serial > 0) e = issuer->kind == KIND_AUTHORITY || !c->countersigned ? DMP_E_CERT_BAD : certificate_countersigned(p, n, dir->pinned);
  c->verified = e == DMP_OK;
  return e;
}
