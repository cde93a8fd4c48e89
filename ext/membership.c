/* membership.c: joining, leaving, and what follows (see membership.h). */
#include "membership.h"
#include "access.h"
#include "change.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { MOVE_AT_ONCE = 256, MARK_BYTES = 8 };

static int is_manager(const struct session *s, const struct team *t) {
  const struct team_member *m = team_member_of(t, s->cred->principal);
  return m && team_active(m) && m->manager;
}

static int has_manager(const struct team *t, const uint8_t but[16]) {
  for (size_t i = 0; i < t->members; i++)
    if (t->member[i].manager && team_active(&t->member[i]) && memcmp(t->member[i].principal, but, 16) != 0) return 1;
  return 0;
}

static int secret_ready(struct session *s, const uint8_t team[16]) {
  const struct team *t;
  int e = team_get(s, team, &t);
  if (e == DMP_OK && t->serial == 0) e = seat_turn(s, team);
  return e == DMP_OK ? seats_refresh(s) : e;
}

/* Who may write the line, or the sentence that says why not. */
static int may_join(struct session *s, const struct team *t, const uint8_t member[16], int manager) {
  static const uint8_t nobody[16];
  const struct certificate *who = session_who(s, member);
  const struct team_member *m = team_member_of(t, member);
  if (who == NULL || (who->kind != KIND_PROFESSIONAL && who->kind != KIND_STAFF)) return session_wrong_kind(s, id_from_field(member), "professional, staff");
  if (who->status == STATUS_REVOKED) return DMP_E_REVOKED;
  if (!is_manager(s, t) && (s->me.kind != KIND_AUTHORITY || !manager || has_manager(t, nobody))) return DMP_E_MANAGER;
  if (!team_covers(t->now.profession, who)) return DMP_E_TEAM_ROLE;
  if (m && team_active(m) && m->manager && !manager && !has_manager(t, member)) return DMP_E_LAST_MANAGER;
  return DMP_OK;
}

int membership_join(struct session *s, const uint8_t team[16], const uint8_t member[16], int manager, int64_t until, int64_t *row) {
  const struct team *t;
  struct team_line l = { .kind = TEAM_JOIN, .manager = manager != 0, .until = until };
  int e = team_get(s, team, &t);
  if (e == DMP_OK) e = may_join(s, t, member, manager);
  if (e == DMP_OK && is_manager(s, t)) e = secret_ready(s, team);
  if (e == DMP_OK) e = team_get(s, team, &t);
  if (e != DMP_OK) return e;
  memcpy(l.member, member, 16);
  memcpy(l.member_cert, session_who(s, member)->hash, 32);
  e = team_line_put(s, t, &l);
  *row = l.row;
  if (e == DMP_OK) e = team_get(s, team, &t);
  return e == DMP_OK && is_manager(s, t) ? seat_give(s, t, member, l.member_cert) : e;
}

static int leave(struct session *s, const uint8_t team[16], const uint8_t member[16]) {
  const struct team *t;
  struct team_line l = { .kind = TEAM_LEAVE };
  int e = team_get(s, team, &t);
  if (e != DMP_OK) return e;
  memcpy(l.member, member, 16);
  e = team_line_put(s, t, &l);
  for (size_t i = 1; e == DMP_OK && i < s->seats; i++)
    if (memcmp(s->seat[i].team, team, 16) == 0) e = seat_take_back(s, t, member, s->seat[i].serial);
  return e;
}

int membership_leave(struct session *s, const uint8_t team[16], const uint8_t member[16]) {
  const struct team *t;
  int e = team_get(s, team, &t);
  if (e != DMP_OK) return e;
  const struct team_member *m = team_member_of(t, member);
  if (!is_manager(s, t)) return DMP_E_MANAGER;
  if (m == NULL || m->left) return DMP_E_NOT_FOUND;
  if (memcmp(member, s->cred->principal, 16) == 0) return DMP_E_LAST_MANAGER;
  e = secret_ready(s, team);
  if (e == DMP_OK) e = leave(s, team, member);
  return e == DMP_OK ? seat_turn(s, team) : e;
}

int membership_find(struct session *s, int64_t row, const struct team **t, const struct team_member **m) {
  int e = teams_refresh(s, NULL);
  for (size_t i = 0; e == DMP_OK && i < s->teams.n; i++) {
    if (team_get(s, s->teams.t[i]->id, t) != DMP_OK) continue;
    for (size_t j = 0; j < (*t)->members; j++) {
      *m = &(*t)->member[j];
      if ((*m)->row == row) return DMP_OK;
    }
  }
  return e == DMP_OK ? DMP_E_NOT_FOUND : e;
}

/* ---- what is owed ---- */

/* A team of this patient that somebody left, at `left` or later where that is given, after the keys last turned for it. */
static int patient_waits(struct keyset *k, const struct team *t, uint32_t left) {
  const struct keyset_team *kt = keyset_team(k, t->id);
  return kt && (left ? left >= kt->seq : team_departed(t, kt->seq));
}

int membership_pending(struct session *s, const struct team *t, const struct team_member *m, int64_t *n) {
  int e = patient_own(s), newest = -1;
  *n = 0;
  for (size_t i = 1; i < s->seats; i++)
    if (memcmp(s->seat[i].team, t->id, 16) == 0 && newest < 0) newest = (int)i;
  if (newest < 0 || team_active(m)) return e;
  for (size_t i = 0; e == DMP_OK && i < s->owns; i++) {
    const struct own_grant own = s->own[i];
    struct patient *p;
    struct keyset *k;
    if (own.group != newest) continue;
    if ((e = patient_get(s, own.patient, &p)) == DMP_E_NO_PATIENT) e = DMP_OK;
    else if (e == DMP_OK && (e = patient_keyset(s, p, &k)) == DMP_OK) *n += own.seat != newest || patient_waits(k, t, m->left);
  }
  if (e == DMP_OK && *n == 0 && !team_ready(t)) *n = 1;   /* the secret itself */
  return e;
}

static const struct team_member *stay_over(const struct team *t) {
  for (size_t i = 0; i < t->members; i++)
    if (!t->member[i].left && !team_active(&t->member[i])) return &t->member[i];
  return NULL;
}

/* The next team of which this login is a manager, from *i on; NULL: no further one. */
static const struct team *managed(struct session *s, size_t *i) {
  const struct team *t;
  while (*i < s->teams.n) {
    const uint8_t *id = s->teams.t[(*i)++]->id;
    if (team_names(s->teams.t[*i - 1], s->cred->principal) && team_get(s, id, &t) == DMP_OK && is_manager(s, t)) return t;
  }
  return NULL;
}

int membership_owed(struct session *s, int *owed) {
  const struct team *t;
  int e = patient_own(s);
  *owed = 0;
  for (size_t i = 0; e == DMP_OK && (t = managed(s, &i)) != NULL;) *owed |= t->serial == 0 || stay_over(t) != NULL;
  for (size_t i = 1; e == DMP_OK && i < s->seats; i++) *owed |= s->seat[i].manager && s->seat[i].newest != (int)i;
  for (size_t i = 0; e == DMP_OK && i < s->owns; i++) *owed |= s->own[i].group > 0 && !s->own[i].inbox && s->own[i].seat != s->own[i].group;
  return e;
}

/* Whose date has come leaves; then the secret moves. */
static int secret_settle(struct session *s, const uint8_t team[16]) {
  const struct team *t;
  const struct team_member *m;
  int e = team_get(s, team, &t);
  while (e == DMP_OK && (m = stay_over(t)) != NULL) {
    uint8_t member[16];
    memcpy(member, m->principal, 16);
    e = leave(s, team, member);
    if (e == DMP_OK) e = team_get(s, team, &t);
  }
  return e == DMP_OK ? seat_turn(s, team) : e;
}

int membership_secrets(struct session *s) {
  const struct team *t;
  int e = patient_own(s);
  for (size_t i = 0; e == DMP_OK && (t = managed(s, &i)) != NULL;) {
    uint8_t id[16];
    if (t->serial != 0 && stay_over(t) == NULL) continue;
    memcpy(id, t->id, 16);
    e = secret_settle(s, id);
    i = 0;                                            /* the file was read again */
  }
  return e;
}

/* Older secrets open nothing of the file any more. */
static int secrets_drop(struct session *s) {
  int e = DMP_OK;
  for (size_t i = 1; e == DMP_OK && i < s->seats; i++) {
    const struct seat *x = &s->seat[i];
    const struct team *t;
    if (!x->manager || x->newest == (int)i) continue;
    e = team_get(s, x->team, &t);
    for (size_t j = 0; e == DMP_OK && j < t->members; j++) e = seat_take_back(s, t, t->member[j].principal, x->serial);
  }
  if (e == DMP_OK) {
    s->grants_written = 1;
    s->seats_version = 0;                             /* taken anew */
  }
  return e;
}

int membership_move(struct session *s, size_t *left) {
  int e = grant_move_teams(s, MOVE_AT_ONCE, left);
  return e == DMP_OK && *left == 0 ? secrets_drop(s) : e;
}

/* ---- the treating doctor's patients ---- */

/* How many departures all teams have seen, and how many joined, who may be left out of a circle since: what a login that left nothing owed
 * remembers, under its own wrap key. */
static int departures(struct session *s, uint64_t *n) {
  int e = teams_refresh(s, NULL);
  *n = 0;
  for (size_t i = 0; e == DMP_OK && i < s->teams.n; i++)
    for (size_t j = 0; j < s->teams.t[i]->lines; j++) *n += s->teams.t[i]->line[j].kind != TEAM_KEY;
  return e;
}

static void mark_loc(const struct session *s, uint8_t loc[16]) { suite_prf(s->cred->loc, "departures", 10, loc); }

static struct box_ad mark_ad(const struct session *s, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = s->r->id, .kind = BOX_TEAM, .table = IN_GRANT, .id = row, .loc = loc };
}

static int mark_read(struct session *s, uint64_t *n) {
  uint8_t loc[16];
  const uint8_t *p;
  size_t len;
  *n = 0;
  mark_loc(s, loc);
  sqlite3_stmt *st = record_stmt(s->r, STMT_GRANT_BY_LOC);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    struct box_ad ad = mark_ad(s, sqlite3_column_int64(st, 0), loc);
    size_t size = (size_t)sqlite3_column_bytes(st, 1);
    if (session_open_box(s, s->cred->wrap, &ad, sqlite3_column_blob(st, 1), size, &p, &len) == DMP_OK && len == MARK_BYTES) *n = le_get64(p);
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? DMP_OK : record_sql_fault(s->r);
}

int membership_settled(struct session *s) {
  uint8_t loc[16], plain[MARK_BYTES];
  struct buf box = { 0 };
  uint64_t n;
  int64_t row = 0;
  int e = departures(s, &n);
  mark_loc(s, loc);
  le_put64(plain, n);
  sqlite3_stmt *st = e == DMP_OK ? record_stmt(s->r, STMT_GRANT_CLEAR) : NULL;
  if (st) sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  if (e == DMP_OK) e = record_run(s->r, st);
  if (e == DMP_OK) e = record_random_id(&row);
  struct box_ad ad = mark_ad(s, row, loc);
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, s->cred->wrap, &ad, plain, sizeof plain, GRANT_BYTES, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_GRANT_PUT, loc, &box, row);
  buf_free(&box);
  return e;
}

/* Somebody who holds a circle's key joined a team that it leaves out, or a member who should hold it did: where this login holds one. */
static int circles_wait(struct session *s, struct patient *p, int *yes) {
  struct change c;
  int held = 0, e = DMP_OK;
  for (size_t i = 0; i < p->g.count; i++) held |= p->g.entry[i].circle != 0;
  if (!held) return DMP_OK;
  e = change_begin(s, p, &c);
  if (e == DMP_OK) *yes |= circle_due(&c) > 0;
  change_end(&c);
  return e;
}

static int patient_departed(struct session *s, int64_t id, int *yes) {
  struct patient *p;
  struct keyset *k;
  int full, e = patient_get(s, id, &p);
  *yes = 0;
  if (e == DMP_OK) e = patient_keyset(s, p, &k);
  if (e != DMP_OK) return e == DMP_E_NO_PATIENT ? DMP_OK : e;
  e = holder_is_full(s, p, &full);
  if (e == DMP_OK && full) e = circles_wait(s, p, yes);
  for (size_t i = 0; e == DMP_OK && full && i < k->teams; i++) {
    const struct team *t;
    e = team_get(s, k->team[i].team, &t);
    if (e == DMP_OK) *yes |= team_ready(t) && team_departed(t, k->team[i].seq);
  }
  return e;
}

int membership_patients(struct session *s, int64_t **patient, size_t *n) {
  uint64_t marked, now;
  *patient = NULL;
  *n = 0;
  if (s->me.kind != KIND_PROFESSIONAL || s->me.profession != 10) return DMP_OK;   /* nobody else treats */
  int e = departures(s, &now);
  if (e != DMP_OK || now == 0) return e;
  e = mark_read(s, &marked);
  if (e != DMP_OK || marked == now) return e;
  e = patient_own(s);
  if (e == DMP_OK && (*patient = malloc((s->owns + 1) * sizeof **patient)) == NULL) e = DMP_E_NOMEM;
  for (size_t i = 0; e == DMP_OK && i < s->owns; i++) {
    int yes = 0;
    if (s->own[i].group == 0) e = patient_departed(s, s->own[i].patient, &yes);
    if (yes) (*patient)[(*n)++] = s->own[i].patient;
  }
  return e;
}
