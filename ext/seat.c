/* seat.c: seats, and the secrets behind them (see seat.h). */
#include "seat.h"
#include "grant.h"
#include "memory.h"
#include "random.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-team-secret-1";
enum { SECRET_SIGNED = 16 + 4 + 32 + 4 + 32 + 32, SECRET_BYTES = SECRET_SIGNED + SUITE_SIG };

void seat_inbox(const uint8_t directory[32], const uint8_t principal[16], uint8_t loc[16]) {
  uint8_t k[32];
  suite_kdf_text(directory, "inbox", k);
  suite_prf(k, principal, 16, loc);
  bytes_wipe(k, sizeof k);
}

static void secret_loc(const struct session *s, const uint8_t team[16], uint32_t serial, const uint8_t member[16], uint8_t loc[16]) {
  uint8_t k[32], x[16 + 4 + 16];
  memcpy(x, team, 16);
  le_put32(x + 16, serial);
  memcpy(x + 20, member, 16);
  suite_kdf_text(s->cred->directory, "team secret", k);
  suite_prf(k, x, sizeof x, loc);
  bytes_wipe(k, sizeof k);
}

static struct box_ad secret_ad(const struct session *s, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_TEAM, .table = IN_GRANT, .id = row, .loc = loc };
}

static void seat_keys(struct seat *x) {
  uint8_t k[32];
  suite_kdf_text(x->secret, "x25519", x->box_sk);
  suite_box_pair(x->box_sk, x->box_pk);
  suite_kdf_text(x->secret, "wrap", x->wrap);
  suite_kdf_text(x->secret, "loc", k);
  suite_prf(k, "grant", 5, x->own);
  bytes_wipe(k, sizeof k);
}

/* c: this login's credential, or what it was before its key was renewed. */
static void seat_self(const struct session *s, const struct credential *c, struct seat *x) {
  memset(x, 0, sizeof *x);
  memcpy(x->box_sk, c->box_sk, 32);
  memcpy(x->box_pk, c->box_pk, 32);
  memcpy(x->wrap, c->wrap, 32);
  suite_prf(c->loc, "grant", 5, x->own);
  seat_inbox(s->cred->directory, s->cred->principal, x->inbox);
}

/* ---- the secret as sealed to this login ---- */

static int secret_over(const struct session *s, const uint8_t member[16], const uint8_t *p, struct buf *over) {
  buf_put(over, LABEL, sizeof LABEL - 1);
  buf_put(over, s->r->id, 16);
  buf_put(over, member, 16);
  buf_put(over, p, SECRET_SIGNED);
  return over->bad ? DMP_E_NOMEM : DMP_OK;
}

/* Did somebody who was a manager seal it to this login? */
static int secret_given(struct session *s, const struct team *t, const uint8_t *p) {
  const struct certificate *by = directory_by_hash(&s->dir, p + SECRET_SIGNED - 32);
  const struct team_member *m = by ? team_member_of(t, by->principal) : NULL;
  struct buf over = { 0 };
  int good = m && m->manager && secret_over(s, s->cred->principal, p, &over) == DMP_OK &&
             suite_verify(by->sign_pk, over.p, over.n, p + SECRET_SIGNED) == DMP_OK;
  bytes_wipe(over.p, over.n);
  buf_free(&over);
  return good;
}

/* One row at the locator: the secret counts when its public key is the one that the chain names. One of a key that the chain does not name
 * yet was given, or the chain was cut. */
static int secret_open(struct session *s, const struct team *t, uint32_t serial, int64_t row, const uint8_t *loc, const void *box, size_t n,
                       struct seat *x) {
  const struct team_line *key = team_key_line(t, serial);
  const uint8_t *p;
  size_t len;
  struct box_ad ad = secret_ad(s, row, loc);
  if (session_open_sealed(s, NULL, &ad, box, n, &p, &len) != DMP_OK) return DMP_E_NOT_FOUND;
  if (len != SECRET_BYTES || memcmp(p, t->id, 16) != 0 || le_get32(p + 16) != serial) return DMP_E_NOT_FOUND;
  memcpy(x->secret, p + 20, 32);
  if (key == NULL) return secret_given(s, t, p) ? DMP_E_TEAM_OLD : DMP_E_NOT_FOUND;
  seat_keys(x);
  if (memcmp(x->box_pk, key->box_pk, 32) != 0) return DMP_E_NOT_FOUND;
  memcpy(x->cert, key->hash, 32);
  return team_pinned(t, le_get32(p + 52), p + 56);
}

static int secret_find(struct session *s, const struct team *t, uint32_t serial, struct seat *x) {
  uint8_t loc[16];
  secret_loc(s, t->id, serial, s->cred->principal, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_E_NOT_FOUND;
  while (e == DMP_E_NOT_FOUND && (rc = sqlite3_step(st)) == SQLITE_ROW)   /* anybody of the directory can plant one: the true one counts */
    e = secret_open(s, t, serial, sqlite3_column_int64(st, 0), loc, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), x);
  if (e == DMP_E_NOT_FOUND && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  return e;
}

/* ---- the seats ---- */

/* The seats of one team: the newest secret, and older ones as long as they lie there, for grants that have not moved yet. */
static int seats_of_team(struct session *s, const struct team *t, const struct team_member *m, struct seat *to, size_t *n) {
  int newest = (int)*n, e = DMP_OK;
  for (uint32_t serial = t->serial + 1; e == DMP_OK && serial > 0; serial--) {   /* above the newest: a chain that was cut */
    struct seat *x = &to[*n];
    if (*n == SEATS) return DMP_E_TOO_BIG;
    memset(x, 0, sizeof *x);
    e = secret_find(s, t, serial, x);
    if (e == DMP_E_NOT_FOUND && serial > t->serial) e = DMP_OK;
    else if (e == DMP_E_NOT_FOUND && serial == t->serial)   /* one that was sealed to a former certificate waits for a manager */
      return session_mine(s, m->cert) ? DMP_E_TEAM_SECRET : DMP_OK;
    else if (e == DMP_E_NOT_FOUND) return DMP_OK;
    else if (e == DMP_OK) {
      memcpy(x->team, t->id, 16);
      seat_inbox(s->cred->directory, t->id, x->inbox);
      x->serial = serial;
      x->newest = newest;
      x->manager = m->manager;
      x->until = m->until;
      ++*n;
    }
  }
  return e;
}

/* A secret that lies there for this login, of a team whose lines do not name it: the line that did is gone. */
static int seat_without_line(struct session *s, const struct team *raw) {
  const struct team *t;
  uint32_t serial = 0;
  uint8_t loc[16];
  int e = DMP_OK, some = 0;
  for (size_t i = 0; i < raw->lines; i++)
    if (raw->line[i].kind == TEAM_KEY && raw->line[i].serial > serial) serial = raw->line[i].serial;
  for (int i = 0; e == DMP_OK && i < 2; i++) {        /* the newest that is named, and one that was cut off */
    secret_loc(s, raw->id, serial + (uint32_t)i, s->cred->principal, loc);
    sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_IDS);
    if (st == NULL) return record_sql_fault(s->r);
    sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, 1);
    int rc = sqlite3_step(st);
    some = rc == SQLITE_ROW;
    sqlite3_reset(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return record_sql_fault(s->r);
    if (!some) continue;
    struct seat *x = &s->seat[2 * SEATS - 1];         /* room that nobody needs now */
    e = team_get(s, raw->id, &t);
    if (e == DMP_OK) e = secret_find(s, t, serial + (uint32_t)i, x);
    if (e == DMP_OK) e = DMP_E_TEAM_OLD;
    if (e == DMP_E_NOT_FOUND || e == DMP_E_NO_PRINCIPAL) e = DMP_OK;   /* somebody threw it there */
  }
  return e;
}

static int seats_same(const struct session *s, const struct seat *now, size_t n) {
  if (n != s->seats) return 0;
  for (size_t i = 0; i < n; i++) {
    const struct seat *a = &s->seat[i], *b = &now[i];
    if (memcmp(a->team, b->team, 16) != 0 || a->serial != b->serial || a->manager != b->manager || a->until != b->until ||
        !suite_equal(a->secret, b->secret, 32))
      return 0;
  }
  return 1;
}

static int seats_load(struct session *s, struct seat *now, size_t *n) {
  int e = DMP_OK;
  seat_self(s, s->cred, &now[0]);
  for (*n = 1; *n <= s->cred->formers; ++*n) seat_self(s, &s->former[*n - 1], &now[*n]);
  s->seats_until = 0;
  if (session_who(s, s->cred->principal) == NULL) return e;   /* patients are members of nothing */
  for (size_t i = 0; e == DMP_OK && i < s->teams.n; i++) {
    const struct team *t;
    if (!team_names(s->teams.t[i], s->cred->principal)) {
      e = seat_without_line(s, s->teams.t[i]);
      continue;
    }
    e = team_get(s, s->teams.t[i]->id, &t);
    if (e == DMP_E_NO_PRINCIPAL) e = DMP_OK;          /* lines of a team that the authority never made: dmp_verify names them */
    const struct team_member *m = e == DMP_OK && t->e == DMP_OK ? team_member_of(t, s->cred->principal) : NULL;
    if (m == NULL || !team_active(m)) continue;
    if (m->until && (s->seats_until == 0 || m->until < s->seats_until)) s->seats_until = m->until;
    e = seats_of_team(s, t, m, now, n);
  }
  return e;
}

int seats_refresh(struct session *s) {
  unsigned version;
  size_t n;
  int e = teams_refresh(s, &version);
  if (e != DMP_OK || (s->seat && version == s->seats_version && !session_lapsed(s))) return e;
  if (s->seat == NULL && (s->seat = memory_new(2 * SEATS * sizeof *s->seat)) == NULL) return DMP_E_LOCK;
  struct seat *now = s->seat + SEATS;
  e = seats_load(s, now, &n);
  if (e == DMP_OK && !seats_same(s, now, n)) {
    memcpy(s->seat, now, SEATS * sizeof *now);
    s->seats = n;
    s->owns = 0;
    s->owns_generation = s->generation - 1;
  }
  bytes_wipe(now, SEATS * sizeof *now);
  if (e == DMP_OK) s->seats_version = version;
  return e;
}

const struct seat *seat_of(const struct session *s, const uint8_t team[16]) {
  for (size_t i = 1; i < s->seats; i++)
    if (memcmp(s->seat[i].team, team, 16) == 0) return &s->seat[i];
  return NULL;
}

/* ---- giving ---- */

static int secret_put(struct session *s, const struct team *t, const struct seat *x, const uint8_t member[16], const struct certificate *who) {
  uint8_t loc[16], head[32];
  uint8_t sig[SUITE_SIG];
  struct buf plain = { 0 }, over = { 0 }, box = { 0 };
  int64_t row = 0;
  secret_loc(s, t->id, x->serial, member, loc);
  team_head(t, head);
  buf_put(&plain, t->id, 16);
  buf_u32(&plain, x->serial);
  buf_put(&plain, x->secret, 32);
  buf_u32(&plain, (uint32_t)t->n);
  buf_put(&plain, head, 32);
  buf_put(&plain, s->me.hash, 32);
  int e = plain.bad ? DMP_E_NOMEM : secret_over(s, member, plain.p, &over);
  if (e == DMP_OK) suite_sign(s->cred->sign_sk, over.p, over.n, sig);
  buf_put(&plain, sig, SUITE_SIG);
  if (e == DMP_OK) e = plain.bad ? DMP_E_NOMEM : seat_take_back(s, t, member, x->serial);   /* whatever lies there */
  if (e == DMP_OK) e = record_random_id(&row);
  struct box_ad ad = secret_ad(s, row, loc);
  if (e == DMP_OK) e = box_seal_to(who->box_pk, NULL, &ad, plain.p, plain.n, GRANT_BYTES, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_GRANT_PUT, loc, &box, row);
  buf_free(&plain);
  buf_free(&over);
  buf_free(&box);
  return e;
}

int seat_give(struct session *s, const struct team *t, const uint8_t member[16], const uint8_t member_cert[32]) {
  const struct certificate *who = directory_by_hash(&s->dir, member_cert);
  int e = who && memcmp(who->principal, member, 16) == 0 ? DMP_OK : DMP_E_NO_PRINCIPAL;
  for (size_t i = 1; e == DMP_OK && i < s->seats; i++)
    if (memcmp(s->seat[i].team, t->id, 16) == 0) e = secret_put(s, t, &s->seat[i], member, who);
  return e;
}

int seat_take_back(struct session *s, const struct team *t, const uint8_t member[16], uint32_t serial) {
  uint8_t loc[16];
  secret_loc(s, t->id, serial, member, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_CLEAR);
  if (st) sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  return record_run(s->r, st);
}

int seat_turn(struct session *s, const uint8_t team[16]) {
  const struct team *t;
  struct team_line l = { .kind = TEAM_KEY };
  int e = team_get(s, team, &t);
  struct seat *x = memory_new(sizeof *x);
  if (x == NULL) return DMP_E_LOCK;
  if (e == DMP_OK) e = random_bytes("team", x->secret, 32);
  if (e == DMP_OK) {
    seat_keys(x);
    x->serial = l.serial = t->serial + 1;
    memcpy(l.box_pk, x->box_pk, 32);
    e = team_line_put(s, t, &l);
  }
  if (e == DMP_OK) e = team_get(s, team, &t);
  for (size_t i = 0; e == DMP_OK && i < t->members; i++) {
    const struct team_member *m = &t->member[i];
    const struct certificate *who = team_active(m) ? directory_by_hash(&s->dir, m->cert) : NULL;
    if (who) e = secret_put(s, t, x, m->principal, who);
  }
  memory_free(x);
  return e;
}
