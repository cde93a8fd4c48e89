/* team.c: teams and the chains of their lines (see team.h). */
#include "team.h"
#include "access.h"
#include "box.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-team-1";
enum { CLOCKS_DIFFER = 10 * 60 * 1000 };
enum { LINE_SIGNED = 1 + 1 + 1 + 1 + 4 + 4 + 16 + 32 + 16 + 32 + 8 + 8 + 32 + 32, LINE_BYTES = LINE_SIGNED + SUITE_SIG };

/* ---- the bytes of a line ---- */

static void line_write(const struct team_line *l, struct buf *b) {
  buf_u8(b, 1);
  buf_u8(b, l->kind);
  buf_u8(b, l->manager);
  buf_u8(b, 0);
  buf_u32(b, l->seq);
  buf_u32(b, l->serial);
  buf_put(b, l->team, 16);
  buf_put(b, l->previous, 32);
  buf_put(b, l->member, 16);
  buf_put(b, l->member_cert, 32);
  buf_u64(b, (uint64_t)l->at);
  buf_u64(b, (uint64_t)l->until);
  buf_put(b, l->box_pk, 32);
  buf_put(b, l->signer, 32);
}

static int line_parse(const uint8_t *p, size_t n, struct team_line *l) {
  struct rd r = { p, n, 0 };
  memset(l, 0, sizeof *l);
  if (rd_u8(&r) != 1) return DMP_E_LATER;
  l->kind = rd_u8(&r);
  l->manager = rd_u8(&r);
  if (rd_u8(&r) != 0) return DMP_E_LATER;
  l->seq = rd_u32(&r);
  l->serial = rd_u32(&r);
  rd_copy(&r, l->team, 16);
  rd_copy(&r, l->previous, 32);
  rd_copy(&r, l->member, 16);
  rd_copy(&r, l->member_cert, 32);
  l->at = (int64_t)rd_u64(&r);
  l->until = (int64_t)rd_u64(&r);
  rd_copy(&r, l->box_pk, 32);
  rd_copy(&r, l->signer, 32);
  rd_copy(&r, l->signature, SUITE_SIG);
  if (!rd_done(&r)) return DMP_E_TEAM_BAD;
  suite_hash(p, n, l->hash, 32);
  return l->kind < TEAM_JOIN || l->kind > TEAM_KEY || l->manager > 1 ? DMP_E_LATER : DMP_OK;
}

static int line_over(const struct session *s, const struct team_line *l, struct buf *over) {
  buf_put(over, LABEL, sizeof LABEL - 1);
  buf_put(over, s->r->id, 16);
  line_write(l, over);
  return over->bad ? DMP_E_NOMEM : DMP_OK;
}

static int line_signed(const struct session *s, const struct team_line *l, const uint8_t pk[32]) {
  struct buf over = { 0 };
  int good = line_over(s, l, &over) == DMP_OK && suite_verify(pk, over.p, over.n, l->signature) == DMP_OK;
  buf_free(&over);
  return good;
}

/* ---- the file's lines ---- */

static void teams_loc(const struct session *s, uint8_t loc[16]) { suite_prf(s->cred->directory, "teams", 5, loc); }

static struct box_ad line_ad(const struct session *s, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_TEAM, .table = IN_CERTIFICATE, .id = row, .loc = loc };
}

void teams_free(struct teams *t) {
  for (size_t i = 0; i < t->n; i++) {
    free(t->t[i]->line);
    free(t->t[i]->chain);
    free(t->t[i]->member);
    free(t->t[i]);
  }
  free(t->t);
  free(t->row);
  *t = (struct teams){ 0 };
}

/* Doubles at powers of two: no capacity to keep. */
static void *grown(void *old, size_t n, size_t size) {
  return n == 0 || (n & (n - 1)) == 0 ? realloc(old, (n ? 2 * n : 1) * size) : old;
}

static struct team *team_room(struct teams *all, const uint8_t id[16]) {
  for (size_t i = 0; i < all->n; i++)
    if (memcmp(all->t[i]->id, id, 16) == 0) return all->t[i];
  struct team **room = grown(all->t, all->n, sizeof *room), *t;
  if (room == NULL) return NULL;
  all->t = room;
  if ((t = calloc(1, sizeof *t)) == NULL) return NULL;
  memcpy(t->id, id, 16);
  return all->t[all->n++] = t;
}

static int line_keep(struct teams *all, const struct team_line *l) {
  struct team *t = team_room(all, l->team);
  struct team_line *line = t ? grown(t->line, t->lines, sizeof *line) : NULL;
  if (line == NULL) return DMP_E_NOMEM;
  t->line = line;
  t->line[t->lines++] = *l;
  return DMP_OK;
}

static int by_seq(const void *a, const void *b) {
  const struct team_line *x = a, *y = b;
  if (x->seq != y->seq) return (x->seq > y->seq) - (x->seq < y->seq);
  return (x->row > y->row) - (x->row < y->row);
}

static int by_int64(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int lines_load(struct session *s, struct teams *all) {
  uint8_t loc[16];
  struct buf scratch = { 0 };
  teams_loc(s, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_OK;
  while (e == DMP_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    int64_t row = sqlite3_column_int64(st, 0), *rows = grown(all->row, all->rows, sizeof *rows);
    const uint8_t *p;
    size_t n;
    struct team_line l;
    struct box_ad ad = line_ad(s, row, loc);
    if (rows == NULL) e = DMP_E_NOMEM;
    else {
      all->row = rows;
      all->row[all->rows++] = row;
      e = box_open(s->cred->directory, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &scratch, &p, &n);
      if (e == DMP_OK) e = line_parse(p, n, &l);
      l.row = row;
      if (e == DMP_OK) e = line_keep(all, &l);
      else record_fault(s->r, e, "dmp_certificate", row);
    }
  }
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(s->r);
  sqlite3_reset(st);
  buf_free(&scratch);
  if (all->rows > 1) qsort(all->row, all->rows, sizeof *all->row, by_int64);
  for (size_t i = 0; i < all->n; i++) qsort(all->t[i]->line, all->t[i]->lines, sizeof *all->t[i]->line, by_seq);
  return e;
}

/* Are the file's rows those that were read? */
static int lines_same(struct session *s, const struct teams *all, int *same) {
  uint8_t loc[16];
  size_t n = 0;
  teams_loc(s, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_CERT_IDS);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc;
  *same = 1;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (n >= all->rows || all->row[n] != sqlite3_column_int64(st, 0)) *same = 0;
    n++;
  }
  sqlite3_reset(st);
  *same &= n == all->rows && all->certificates == s->dir.n;
  return rc == SQLITE_DONE ? DMP_OK : record_sql_fault(s->r);
}

int teams_refresh(struct session *s, unsigned *version) {
  struct teams *all = &s->teams;
  int same = 0, e = DMP_OK;
  if (all->generation != s->generation) {
    e = lines_same(s, all, &same);
    if (e == DMP_OK && !same) {
      teams_free(all);
      s->teams_version++;
      e = lines_load(s, all);
      all->certificates = s->dir.n;
      if (e != DMP_OK) teams_free(all);
    }
    if (e == DMP_OK) all->generation = s->generation;
  }
  if (version) *version = s->teams_version;
  return e;
}

/* ---- the proof of a chain ---- */

int team_names(const struct team *t, const uint8_t principal[16]) {
  for (size_t i = 0; i < t->lines; i++)
    if (memcmp(t->line[i].member, principal, 16) == 0) return 1;
  return 0;
}

int team_active(const struct team_member *m) { return !m->left && !m->revoked && (m->until == 0 || record_now() <= m->until); }

const struct team_member *team_member_of(const struct team *t, const uint8_t principal[16]) {
  for (size_t i = t->members; i-- > 0;)
    if (memcmp(t->member[i].principal, principal, 16) == 0) return &t->member[i];
  return NULL;
}

int team_covers(uint16_t role, const struct certificate *who) {
  const uint16_t *cls;
  size_t n = rights_classes(&cls);
  if (who->kind != KIND_PROFESSIONAL && who->kind != KIND_STAFF) return 0;
  const enum reader as = who->kind == KIND_STAFF ? READER_STAFF : READER_CONSENT;
  for (size_t i = 0; i < n; i++)
    if (rights_keys(READER_TEAM, role, cls[i]) & ~rights_keys(as, who->profession, cls[i])) return 0;
  return 1;
}

/* At the time that the line says, which no line puts back. */
static int manages(struct session *s, const struct team *t, const uint8_t principal[16], int64_t at) {
  const struct team_member *m = team_member_of(t, principal);
  const struct certificate *now = m && !m->left && m->manager ? session_who(s, principal) : NULL;
  return now && (m->until == 0 || at <= m->until) && (now->status != STATUS_REVOKED || at < now->not_before);
}

static int managed(struct session *s, const struct team *t, int64_t at) {
  for (size_t i = 0; i < t->members; i++)
    if (manages(s, t, t->member[i].principal, at)) return 1;
  return 0;
}

static int line_lawful(struct session *s, const struct team *t, const struct team_line *l, const uint8_t previous[32]) {
  const struct certificate *by = directory_by_hash(&s->dir, l->signer);
  const struct team_member *m = team_member_of(t, l->member);
  if (by == NULL || memcmp(l->previous, previous, 32) != 0) return 0;
  if (t->n && l->at + CLOCKS_DIFFER < t->chain[t->n - 1].at) return 0;
  if (!manages(s, t, by->principal, l->at) && !(l->kind == TEAM_JOIN && l->manager && by->kind == KIND_AUTHORITY && !managed(s, t, l->at))) return 0;
  if (l->kind == TEAM_JOIN) {
    const struct certificate *who = directory_by_hash(&s->dir, l->member_cert);
    if (who == NULL || memcmp(who->principal, l->member, 16) != 0 || !team_covers(t->now.profession, who)) return 0;
  } else if (l->kind == TEAM_LEAVE) {
    if (m == NULL || m->left || memcmp(by->principal, l->member, 16) == 0) return 0;
  } else if (l->serial != t->serial + 1 || suite_is_zero(l->box_pk, 32)) {
    return 0;
  }
  return line_signed(s, l, by->sign_pk);
}

static int line_apply(struct team *t, const struct team_line *l) {
  struct team_line *chain = grown(t->chain, t->n, sizeof *chain);
  if (chain == NULL) return DMP_E_NOMEM;
  t->chain = chain;
  t->chain[t->n++] = *l;
  struct team_member *m = (struct team_member *)team_member_of(t, l->member);
  if (l->kind == TEAM_KEY) {
    t->serial = l->serial;
    memcpy(t->now.box_pk, l->box_pk, 32);
    memcpy(t->now.hash, l->hash, 32);
  } else if (l->kind == TEAM_LEAVE) {
    m->left = l->seq;
    m->left_at = l->at;
  } else {
    if (m == NULL || m->left) {
      struct team_member *more = grown(t->member, t->members, sizeof *more);
      if (more == NULL) return DMP_E_NOMEM;
      t->member = more;
      m = &t->member[t->members++];
      *m = (struct team_member){ .joined = l->seq, .since = l->at };
    }
    memcpy(m->principal, l->member, 16);
    memcpy(m->cert, l->member_cert, 32);
    m->manager = l->manager;
    m->until = l->until;
    m->row = l->row;
  }
  return DMP_OK;
}

/* A line that somebody signed who was a manager, and that nothing leads to: one before it is gone. */
static int line_lost(struct session *s, const struct team *t, const struct team_line *l) {
  const struct certificate *by = directory_by_hash(&s->dir, l->signer);
  if (l->seq <= t->n || by == NULL) return 0;
  for (size_t i = 0; i < t->members; i++)
    if (t->member[i].manager && memcmp(t->member[i].principal, by->principal, 16) == 0) return line_signed(s, l, by->sign_pk);
  return 0;
}

static int team_prove(struct session *s, struct team *t) {
  const struct certificate *c = directory_by_principal(&s->dir, t->id), *first = c;
  uint8_t previous[32];
  while (first && first->serial) first = directory_by_hash(&s->dir, first->previous);
  int e = first && c->kind == KIND_TEAM && first->kind == KIND_TEAM ? DMP_OK : DMP_E_NO_PRINCIPAL;
  if (e != DMP_OK) return e;
  t->now = *c;
  t->now.raw = (struct buf){ 0 };                     /* the directory's */
  t->now.profession = first->profession;              /* another role is another team: people joined this one */
  memcpy(t->root, first->hash, 32);
  memcpy(previous, t->root, 32);
  for (size_t i = 0; e == DMP_OK && i < t->lines;) {
    const struct team_line *good = NULL;
    size_t next = i;
    for (; next < t->lines && t->line[next].seq == t->line[i].seq; next++) {
      struct team_line *l = &t->line[next];
      if (l->seq != t->n || !line_lawful(s, t, l, previous)) t->foreign++;
      else if (good == NULL) good = l;
      else if (memcmp(good->hash, l->hash, 32) == 0) t->foreign++;   /* the same once more */
      else e = record_fault(s->r, DMP_E_TEAM_BAD, "dmp_certificate", l->row);
    }
    if (e == DMP_OK && good) {
      memcpy(previous, good->hash, 32);
      e = line_apply(t, good);
    }
    i = next;
  }
  for (size_t i = 0; e == DMP_OK && i < t->members; i++) {
    const struct certificate *now = session_who(s, t->member[i].principal);
    t->member[i].revoked = now == NULL || now->status == STATUS_REVOKED;
  }
  for (size_t i = 0; e == DMP_OK && i < t->lines; i++)
    if (line_lost(s, t, &t->line[i])) e = record_fault(s->r, DMP_E_TEAM_BAD, "dmp_certificate", t->line[i].row);
  return e;
}

int team_get(struct session *s, const uint8_t id[16], const struct team **out) {
  int e = teams_refresh(s, NULL);
  struct team *t = e == DMP_OK ? team_room(&s->teams, id) : NULL;   /* it may have no line yet */
  *out = NULL;
  if (t == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  if (!t->proven) {
    t->e = team_prove(s, t);
    t->proven = t->e != DMP_E_NOMEM;
  }
  *out = t;
  return t->e;
}

int team_members(struct session *s, const uint8_t id[16], struct team_member **out, size_t *n) {
  const struct team *t;
  *out = NULL;
  *n = 0;
  int e = team_get(s, id, &t);
  if (e == DMP_OK && (*out = calloc(t->members + 1, sizeof **out)) == NULL) e = DMP_E_NOMEM;
  for (size_t i = 0; e == DMP_OK && i < t->members; i++)
    if (team_active(&t->member[i])) (*out)[(*n)++] = t->member[i];
  return e;
}

const struct team_line *team_key_line(const struct team *t, uint32_t serial) {
  for (size_t i = t->n; i-- > 0;)
    if (t->chain[i].kind == TEAM_KEY && t->chain[i].serial == serial) return &t->chain[i];
  return NULL;
}

int team_departed(const struct team *t, uint32_t seq) {
  for (size_t i = 0; i < t->members; i++) {
    const struct team_member *m = &t->member[i];
    if (m->left ? m->left >= seq : !team_active(m)) return 1;
  }
  return 0;
}

int team_ready(const struct team *t) {
  const struct team_line *key = team_key_line(t, t->serial);
  return key && !team_departed(t, key->seq);
}

void team_head(const struct team *t, uint8_t head[32]) {
  if (t->n) memcpy(head, t->chain[t->n - 1].hash, 32);
  else memset(head, 0, 32);
}

int team_pinned(const struct team *t, uint32_t seq, const uint8_t head[32]) {
  return seq == 0 || (seq <= t->n && memcmp(t->chain[seq - 1].hash, head, 32) == 0) ? DMP_OK : DMP_E_TEAM_OLD;
}

/* ---- writing ---- */

int team_register(struct session *s, struct certificate *c) {
  uint32_t bits = 0;
  if (s->me.kind != KIND_AUTHORITY) return DMP_E_NOT_ALLOWED;
  int e = random_bytes("principal", &bits, sizeof bits);
  c->kind = KIND_TEAM;
  c->not_before = record_now();
  id_field(c->principal, id_make(record_now(), bits & 0x1FFFFF));
  memcpy(c->issuer, s->me.hash, 32);
  if (e == DMP_OK && session_who(s, c->principal)) e = DMP_E_DUPLICATE;
  if (e == DMP_OK) e = directory_add(s->r, s->cred->directory, &s->dir, c, s->cred->sign_sk);
  if (e == DMP_OK) e = access_pend(s, NULL, LOG_REGISTER, 0, id_from_field(c->principal), NULL);
  return e == DMP_OK ? directory_refresh(s->r, s->cred->directory, &s->dir) : e;
}

int team_line_put(struct session *s, const struct team *t, struct team_line *l) {
  static const enum log_action WHAT[] = { [TEAM_JOIN] = LOG_JOIN, [TEAM_LEAVE] = LOG_LEAVE, [TEAM_KEY] = LOG_TEAM_KEY };
  struct buf over = { 0 }, plain = { 0 }, box = { 0 };
  uint8_t loc[16];
  memcpy(l->team, t->id, 16);
  l->seq = (uint32_t)t->n;
  l->at = record_now();
  if (t->n) team_head(t, l->previous);
  else memcpy(l->previous, t->root, 32);
  memcpy(l->signer, s->me.hash, 32);
  teams_loc(s, loc);
  int e = line_over(s, l, &over);
  if (e == DMP_OK) suite_sign(s->cred->sign_sk, over.p, over.n, l->signature);
  line_write(l, &plain);
  buf_put(&plain, l->signature, SUITE_SIG);
  if (e == DMP_OK) e = plain.bad ? DMP_E_NOMEM : record_random_id(&l->row);
  struct box_ad ad = line_ad(s, l->row, loc);
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, s->cred->directory, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_CERT_PUT, loc, &box, l->row);
  if (e == DMP_OK) e = access_note_row(s, IN_TEAM, l->row, box.p, box.n);
  if (e == DMP_OK) e = access_pend(s, NULL, WHAT[l->kind], 0, id_from_field(l->kind == TEAM_KEY ? t->id : l->member), NULL);
  if (e == DMP_OK) access_through(s, t->id);
  s->grants_written = 1;                              /* the seats are to be looked at */
  session_stale(s);
  buf_free(&over);
  buf_free(&plain);
  buf_free(&box);
  return e;
}

int team_each_line(struct session *s, void (*each)(void *ctx, int64_t row, const uint8_t *box, size_t n), void *ctx) {
  uint8_t loc[16];
  teams_loc(s, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW)
    each(ctx, sqlite3_column_int64(st, 0), sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? DMP_OK : record_sql_fault(s->r);
}
