/* change.c: changes of keys (see change.h). */
#include "change.h"
#include "compartment.h"
#include "memory.h"
#include "blocked.h"
#include "team.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- the list of grantees: one blob of fixed entries ---- */
enum { GRANTEE_BYTES = 16 + 32 + 16 + 8 + 8 + 8 + 8 + 1 };

void grantees_free(struct grantees *g) {
  free(g->g);
  *g = (struct grantees){ 0 };
}

static int grantees_parse(const struct item *it, struct grantees *out) {
  struct value v;
  size_t count, used;
  int e = row_get(it->c.row, it->c.row_len, &v, 1, &count, &used);
  if (e != DMP_OK || v.type != VALUE_BLOB || v.n % GRANTEE_BYTES) return DMP_E_ROW_FORMAT;
  struct rd r = { v.u.p, v.n, 0 };
  out->n = 0;
  out->g = calloc(v.n / GRANTEE_BYTES + 1, sizeof *out->g);   /* room for one more */
  if (out->g == NULL) return DMP_E_NOMEM;
  while (r.n > 0) {
    struct grantee *g = &out->g[out->n++];
    rd_copy(&r, g->principal, 16);
    rd_copy(&r, g->cert, 32);
    rd_copy(&r, g->mail, 16);
    g->grant_id = (int64_t)rd_u64(&r);
    g->since = (int64_t)rd_u64(&r);
    g->until = (int64_t)rd_u64(&r);
    g->seq = rd_u64(&r);
    g->as = rd_u8(&r);
  }
  return DMP_OK;
}

void grantees_row(const struct grantees *gs, struct buf *row) {
  struct buf b = { 0 };
  for (size_t i = 0; i < gs->n; i++) {
    const struct grantee *g = &gs->g[i];
    buf_put(&b, g->principal, 16);
    buf_put(&b, g->cert, 32);
    buf_put(&b, g->mail, 16);
    buf_u64(&b, (uint64_t)g->grant_id);
    buf_u64(&b, (uint64_t)g->since);
    buf_u64(&b, (uint64_t)g->until);
    buf_u64(&b, g->seq);
    buf_u8(&b, g->as);
  }
  struct value v = value_bytes(VALUE_BLOB, b.p, b.n);
  row_put(row, &v, 1);
  if (b.bad) row->bad = 1;
  buf_free(&b);
}

static const struct scan CHOICES = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };

struct list_search { struct item *out; int lists; struct circles *circles; /* NULL: not asked for */ };

static int take_grantees(void *ctx, struct item *it) {
  struct list_search *q = ctx;
  if (q->circles && it->c.table == ITEM_CIRCLE) return circle_take(q->circles, it);
  if (it->c.table != ITEM_GRANTEES || q->lists++) return DMP_OK;
  *q->out = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

static int grantees_open(struct session *s, struct patient *p, struct item *it, struct grantees *out, struct circles *circles) {
  memset(it, 0, sizeof *it);
  struct list_search q = { it, 0, circles };
  int e = object_scan(s, p, &CHOICES, take_grantees, &q);
  if (e == DMP_OK && q.lists != 1) e = record_fault(s->r, DMP_E_STATE_BAD, "dmp_object", it->id);
  if (e == DMP_OK) e = object_trusted(s, p, it);
  return e == DMP_OK ? grantees_parse(it, out) : e;
}

int grantees_circles(struct session *s, struct patient *p, struct grantees *out, struct circles *circles) {
  struct item it;
  int e = grantees_open(s, p, &it, out, circles);
  item_close(&it);
  return e;
}

int grantees_read(struct session *s, struct patient *p, struct grantees *out) { return grantees_circles(s, p, out, NULL); }

struct grantee *grantees_find(struct grantees *gs, const uint8_t principal[16]) {
  for (size_t i = 0; i < gs->n; i++)
    if (memcmp(gs->g[i].principal, principal, 16) == 0) return &gs->g[i];
  return NULL;
}

const struct certificate *grantee_who(struct session *s, struct patient *p, const struct grantee *g, const struct team **team) {
  const struct certificate *c = session_who(s, g->principal);
  const struct team *t;
  if (team) *team = NULL;
  if (c == NULL || c->kind != KIND_TEAM) return patient_who_hash(s, p, g->cert);
  if (team_get(s, g->principal, &t) != DMP_OK) return NULL;
  if (team) *team = t;
  return &t->now;
}

static int people_add(const struct certificate ***who, size_t *n, const struct certificate *c) {
  if (c == NULL) return DMP_OK;
  for (size_t i = 0; i < *n; i++)
    if (memcmp((*who)[i]->principal, c->principal, 16) == 0) return DMP_OK;
  const struct certificate **more = realloc(*who, (*n + 1) * sizeof *more);
  if (more == NULL) return DMP_E_NOMEM;
  more[(*n)++] = c;
  *who = more;
  return DMP_OK;
}

int grantees_people(struct session *s, struct patient *p, const struct grantees *gs, const struct certificate ***who, size_t *n) {
  const struct certificate *pc;
  *who = NULL;
  *n = 0;
  int e = patient_certificate(s, p, &pc);
  if (e == DMP_OK) e = people_add(who, n, directory_by_hash(&s->dir, pc->issuer));
  for (size_t i = 0; e == DMP_OK && i < gs->n; i++) {
    const struct team *t;
    const struct certificate *c = grantee_who(s, p, &gs->g[i], &t);
    if (t == NULL) e = people_add(who, n, c);
    for (size_t j = 0; e == DMP_OK && t && j < t->members; j++) e = people_add(who, n, directory_by_hash(&s->dir, t->member[j].cert));
  }
  if (e != DMP_OK) {
    free(*who);
    *who = NULL;
  }
  return e;
}

/* ---- a change of keys ---- */

int change_begin(struct session *s, struct patient *p, struct change *c) {
  struct keyset *k;
  memset(c, 0, sizeof *c);
  c->s = s;
  c->p = p;
  c->by = (struct signer){ s->cred, s->me.hash };
  int e = patient_keyset(s, p, &k);
  if (e == DMP_OK) e = grantees_open(s, p, &c->list_item, &c->list, &c->circles);
  if (e == DMP_OK) {
    c->next = *k;
    c->next.seq = k->seq + 1;
    memcpy(c->next.previous, k->hash, 32);
  }
  return e == DMP_OK && c->circles.n ? change_members(c) : e;
}

void change_end(struct change *c) {
  item_close(&c->list_item);
  grantees_free(&c->list);
  circles_free(&c->circles);
}

static unsigned grantee_keys(struct session *s, struct patient *p, const struct grantee *g, uint16_t cls) {
  const struct certificate *who = grantee_who(s, p, g, NULL);
  return rights_keys((enum reader)g->as, who ? who->profession : 0, cls);
}

/* The keyset since which keys of a class have been due, without a break up to the newest. */
static int due_since(struct session *s, struct patient *p, uint16_t cls, uint8_t bit, uint64_t *since) {
  struct keyset *k = malloc(sizeof *k);
  int e = k ? DMP_OK : DMP_E_NOMEM;
  *since = p->g.seq;
  for (uint64_t seq = p->g.seq; e == DMP_OK && seq > 0; seq--) {
    e = keyset_get(s, p->id, p->yk, seq - 1, k, NULL);
    const struct keyset_class *c = e == DMP_OK ? keyset_class(k, cls) : NULL;
    if (c == NULL || !(c->due & bit)) break;
    *since = seq - 1;
  }
  free(k);
  return e;
}

int grantee_holds(struct session *s, struct patient *p, const struct grantee *g, uint16_t cls, unsigned *keys) {
  static const struct { uint8_t whole; unsigned keys; } PARTS[] = { { KEY_P, KEY_P | KEY_P0 }, { KEY_M, KEY_M | KEY_M0 } };
  struct keyset *k;
  uint64_t since;
  int e = patient_keyset(s, p, &k);
  const struct keyset_class *kc = e == DMP_OK ? keyset_class(k, cls) : NULL;
  *keys = kc && (g->until == 0 || record_now() <= g->until) ? grantee_keys(s, p, g, cls) : 0;
  for (size_t i = 0; e == DMP_OK && *keys && i < sizeof PARTS / sizeof *PARTS; i++) {
    if (!(kc->due & PARTS[i].whole) || !(*keys & PARTS[i].keys)) continue;
    e = due_since(s, p, cls, PARTS[i].whole, &since);
    if (e == DMP_OK && g->seq >= since) *keys &= ~PARTS[i].keys;
  }
  return e;
}

static void deposit_keys(struct keyset_class *kc, struct leaf leaf[2], int first) {
  for (int i = 0; i < 2; i++) {
    leaf_deposit_pair(&leaf[i]);
    memcpy(kc->deposit[first + i], leaf[i].deposit_pk, 32);
  }
}

void change_entry(struct grant *g, uint16_t cls, uint8_t which, const uint8_t key[32]) {
  struct entry en = { .cls = cls, .which = which };
  memcpy(en.key, key, 32);
  entry_set(g, &en);
  bytes_wipe(&en, sizeof en);
}

/* Turns P or M of one class: new key, items of both leaves wrapped again, states, keyset entry, own entry. */
static int turn_key(struct change *c, struct keyset_class *kc, uint8_t which) {
  struct patient *p = c->p;
  struct leaf from[2], to[2] = { 0 };
  uint8_t key[32];
  int first = which == WHICH_P ? 0 : 2;
  int e = random_bytes("compartment", key, 32);
  for (int i = 0; e == DMP_OK && i < 2; i++) {
    from[i] = *patient_leaf(p, kc->cls, first + i);
    leaf_derive(key, p->anchor, first + i, &to[i]);
    e = object_rewrap(c->s, p, &from[i], &to[i]);
    if (e == DMP_OK) e = compartment_turn(c->s, p, kc->cls, &from[i], &to[i]);
  }
  if (e == DMP_OK) {
    keyset_kid(key, which == WHICH_P ? kc->kid_p : kc->kid_m);
    deposit_keys(kc, to, first);
    change_entry(&p->g, kc->cls, which, key);
    for (size_t i = 0; i < p->helds; i++)
      if (p->held[i].cls == kc->cls) p->held[i].derived = 0;
    kc->due &= (uint8_t)~(which == WHICH_P ? KEY_P : KEY_M);
    if (which == WHICH_P) kc->left = 0;
  }
  bytes_wipe(key, sizeof key);
  bytes_wipe(from, sizeof from);
  bytes_wipe(to, sizeof to);
  return e;
}

static int by_patient(const struct change *c) { return memcmp(c->by.cert_hash, c->p->g.patient_cert, 32) == 0; }

/* Who left knows the log's secrets: what is written from now on is for new ones, which only the patient makes, so the key waits too. */
static int waits_for_patient(const struct change *c, uint16_t cls, uint8_t bit) {
  return cls == CLASS_LOG && bit == KEY_M && c->log_left && !by_patient(c);
}

/* Turns every key (bits by class) that this login holds; those it lacks are marked due. */
int change_turn(struct change *c, const uint8_t want[CLASSES_MAX]) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->next.n; i++) {
    struct keyset_class *kc = &c->next.c[i];
    int was_due = kc->due | kc->left;
    for (uint8_t which = WHICH_P; e == DMP_OK && which <= WHICH_M; which++) {
      uint8_t bit = which == WHICH_P ? KEY_P : KEY_M;
      if (!(want[i] & bit)) continue;
      if (patient_key(c->p, kc->cls, which) && !waits_for_patient(c, kc->cls, bit)) {
        e = turn_key(c, kc, which);
        c->turned[i] |= bit;
      } else {
        kc->due |= bit;
      }
    }
    c->settled[i] = was_due && !kc->due && !kc->left;
  }
  return e == DMP_OK && c->log_left && by_patient(c) ? change_log_pairs(c->s, c->p, &c->by, &c->next) : e;
}

/* The whole keys behind what may be given: a half turns with its key. */
static uint8_t whole(unsigned keys) { return (uint8_t)((keys & (KEY_P | KEY_P0) ? KEY_P : 0) | (keys & (KEY_M | KEY_M0) ? KEY_M : 0)); }

/* The keys that somebody in this capacity may be given: what turns before he gets them, or after he had them. */
void change_want(struct change *c, const struct grantee *g, uint8_t want[CLASSES_MAX]) {
  for (size_t i = 0; i < c->next.n; i++) want[i] |= whole(grantee_keys(c->s, c->p, g, c->next.c[i].cls));
}

void change_leave(struct change *c, struct grantee *g, uint8_t want[CLASSES_MAX]) {
  change_want(c, g, want);
  c->log_left |= (grantee_keys(c->s, c->p, g, CLASS_LOG) & (KEY_M | KEY_M0)) != 0;
  g->as = READER_NONE;
}

/* The treating doctor's right has no date, the patient's no end. */
static int is_over(const struct grantee *g) {
  return g->as != READER_TREATING && g->as != READER_PATIENT && g->until != 0 && record_now() > g->until;
}

enum owed grantee_owed(struct session *s, struct patient *p, const struct grantee *g) {
  if (g->as == READER_NONE) return OWED_NOTHING;
  if (is_over(g)) return OWED_ENDED;
  const struct certificate *now = patient_who(s, p, g->principal), *then = now ? patient_who_hash(s, p, g->cert) : NULL;
  if (now && now->status == STATUS_REVOKED) return OWED_REVOKED;
  if (then == NULL) return OWED_NOTHING;              /* a team's key is no certificate: change_departed */
  return certificate_same_keys(then, now) && then->profession == now->profession ? OWED_NOTHING : OWED_RENEWED;
}

static const char *owed_text(enum owed why, uint8_t as) {
  if (why == OWED_ENDED) return as == READER_REPRESENTATIVE ? "representative ended" : "consent ended";
  return why == OWED_REVOKED ? "certificate revoked" : "key renewed";
}

/* A treating doctor's certificate that was revoked waits for the patient: only he changes that field (holder.c). */
int change_owed(struct change *c, uint8_t want[CLASSES_MAX]) {
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->list.n; i++) {
    struct grantee *g = &c->list.g[i];
    enum owed why = grantee_owed(c->s, c->p, g);
    int team = g->as == READER_TEAM;
    if (why == OWED_REVOKED && g->as == READER_TREATING) continue;
    if (why != OWED_NOTHING) {
      c->why = owed_text(why, g->as);
      change_want(c, g, want);
    }
    const struct certificate *now = team ? NULL : patient_who(c->s, c->p, g->principal);
    if (now) memcpy(g->cert, now->hash, 32);
    if (why == OWED_RENEWED) {
      c->renewed++;
      change_want(c, g, want);                        /* what another profession may read, too */
    } else if (why != OWED_NOTHING) {
      change_leave(c, g, want);
      if (team) e = change_team(c, g->principal, 0);
      c->ended++;
    }
  }
  return e;
}

static int has_blocked(const struct team *t, const int64_t *who, size_t n) {
  for (size_t i = 0; i < t->members; i++)
    for (size_t j = 0; j < n && team_active(&t->member[i]); j++)
      if (id_from_field(t->member[i].principal) == who[j]) return 1;
  return 0;
}

int team_blocked(struct session *s, struct patient *p, const struct team *t, int *yes) {
  int64_t *who;
  size_t n;
  int e = blocked_all(s, p, &who, &n);
  *yes = e == DMP_OK && has_blocked(t, who, n);
  free(who);
  return e;
}

static int team_owes(const struct team *t, const struct keyset_team *kt, int blocked) {
  return team_ready(t) && (team_departed(t, kt->seq) || blocked != suite_is_zero(kt->cert, 32));
}

int teams_owed(struct session *s, struct patient *p, const struct keyset *k, size_t *n) {
  int64_t *who = NULL;
  size_t blocks = 0;
  int e = k->teams ? blocked_all(s, p, &who, &blocks) : DMP_OK;
  *n = 0;
  for (size_t i = 0; e == DMP_OK && i < k->teams; i++) {
    const struct team *t;
    e = team_get(s, k->team[i].team, &t);
    *n += e == DMP_OK && team_owes(t, &k->team[i], has_blocked(t, who, blocks));
  }
  free(who);
  return e;
}

unsigned change_may(struct change *c, const struct grantee *g, uint16_t cls) {
  unsigned may = grantee_keys(c->s, c->p, g, cls);
  for (size_t i = 0; g->as == READER_MEMBER && i < c->next.teams; i++) {
    const struct team *t;
    const struct team_member *m = team_get(c->s, c->next.team[i].team, &t) == DMP_OK ? team_member_of(t, g->principal) : NULL;
    const struct grantee *of = grantees_find(&c->list, c->next.team[i].team);
    if (of && is_over(of)) continue;
    if (m && team_active(m) && !suite_is_zero(c->next.team[i].cert, 32)) may |= rights_keys(READER_TEAM, t->now.profession, cls);
  }
  return may;
}

static int is_blocked(const int64_t *who, size_t n, const uint8_t principal[16]) {
  for (size_t i = 0; i < n; i++)
    if (who[i] == id_from_field(principal)) return 1;
  return 0;
}

/* Only who gets a key by it: a grant in his own name would tell one who is left out everywhere that there is something. */
static int member_add(struct change *c, const struct team_member *m) {
  struct grantee *g = grantees_find(&c->list, m->principal), would = { .as = READER_MEMBER };
  const struct certificate *who = session_who(c->s, m->principal);
  if (who == NULL || (g && g->as != READER_NONE)) return DMP_OK;
  memcpy(would.principal, m->principal, 16);
  memcpy(would.cert, who->hash, 32);
  if (!circle_lets(c, &would)) return DMP_OK;
  if (g == NULL) {
    struct grantee *room = realloc(c->list.g, (c->list.n + 2) * sizeof *room);   /* and for one more */
    if (room == NULL) return DMP_E_NOMEM;
    c->list.g = room;
    g = &room[c->list.n++];
    memset(g, 0, 2 * sizeof *g);
    g->fresh = 1;
    memcpy(g->principal, m->principal, 16);
    int e = random_bytes("mail", g->mail, 16);
    if (e == DMP_OK) e = record_random_id(&g->grant_id);
    if (e != DMP_OK) return e;
  }
  g->as = READER_MEMBER;
  g->until = 0;
  memcpy(g->cert, who->hash, 32);
  g->since = record_now();
  g->seq = c->next.seq;
  return DMP_OK;
}

int change_members(struct change *c) {
  int64_t *who = NULL;
  size_t n = 0;
  int e = c->next.teams || c->circles.n ? blocked_all(c->s, c->p, &who, &n) : DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->list.n; i++) {
    struct grantee *g = &c->list.g[i];
    if (g->as == READER_MEMBER && (is_blocked(who, n, g->principal) || !change_may(c, g, CLASS_IDENTITY))) g->as = READER_NONE;
  }
  for (size_t i = 0; e == DMP_OK && i < c->next.teams; i++) {
    const struct team *t;
    if (suite_is_zero(c->next.team[i].cert, 32)) continue;
    e = team_get(c->s, c->next.team[i].team, &t);
    for (size_t j = 0; e == DMP_OK && j < t->members; j++)
      if (team_active(&t->member[j]) && !is_blocked(who, n, t->member[j].principal)) e = member_add(c, &t->member[j]);
  }
  free(who);
  return e;
}

static void team_pin(struct keyset_team *kt, const struct team *t) {
  memcpy(kt->team, t->id, 16);
  memcpy(kt->cert, t->now.hash, 32);
  kt->seq = (uint32_t)t->n;
  team_head(t, kt->head);
}

int change_departed(struct change *c, uint8_t want[CLASSES_MAX]) {
  int64_t *who = NULL;
  size_t n = 0;
  int e = c->next.teams ? blocked_all(c->s, c->p, &who, &n) : DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->next.teams; i++) {
    struct keyset_team *kt = &c->next.team[i];
    const struct team *t;
    e = team_get(c->s, kt->team, &t);
    int blocked = e == DMP_OK && has_blocked(t, who, n);
    if (e != DMP_OK || !team_owes(t, kt, blocked)) continue;
    for (size_t j = 0; j < c->next.n; j++) want[j] |= rights_keys(READER_TEAM, t->now.profession, c->next.c[j].cls) & KEY_P;
    team_pin(kt, t);
    if (blocked) memset(kt->cert, 0, 32);
    c->departed++;
  }
  free(who);
  return e;
}

int change_team(struct change *c, const uint8_t team[16], int granted) {
  struct keyset_team *kt = keyset_team(&c->next, team);
  const struct team *t;
  if (!granted) {
    if (kt) *kt = c->next.team[--c->next.teams];
    return DMP_OK;
  }
  int e = team_get(c->s, team, &t);
  if (e == DMP_OK && kt == NULL && c->next.teams == TEAMS_MAX) e = DMP_E_TOO_BIG;
  if (e == DMP_OK) team_pin(kt ? kt : &c->next.team[c->next.teams++], t);
  return e;
}

/* What a grantee is sent of one class: whole keys, or halves. A due key waits for who holds it: whoever is given it now would read
 * what came before the turn. */
static void send_class(const struct patient *p, const struct keyset_class *kc, unsigned may, struct grant *g) {
  static const struct { uint8_t bit, which, whole, whole_bit, leaf; } KEYS[] = {
    { KEY_P, WHICH_P, WHICH_P, KEY_P, 0 },   { KEY_M, WHICH_M, WHICH_M, KEY_M, 2 },
    { KEY_P0, WHICH_P0, WHICH_P, KEY_P, 0 }, { KEY_M0, WHICH_M0, WHICH_M, KEY_M, 2 },
  };
  for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
    const uint8_t *key = patient_key(p, kc->cls, KEYS[i].whole);
    uint8_t half[32];
    if (key == NULL || !(may & KEYS[i].bit) || kc->due & KEYS[i].whole_bit) continue;
    if (KEYS[i].which != KEYS[i].whole) half_derive(key, KEYS[i].leaf, half);
    change_entry(g, kc->cls, KEYS[i].which, KEYS[i].which == KEYS[i].whole ? key : half);
    bytes_wipe(half, sizeof half);
  }
}

/* One grantee's packet: the keys that turned and that he may have; a first grant: all that he may have. */
int change_send(struct change *c, const struct grantee *to, struct grant *g) {
  struct patient *p = c->p;
  const struct team *team;
  const struct certificate *who = grantee_who(c->s, p, to, &team);
  if (who && team == NULL) who = patient_who(c->s, p, to->principal);   /* the key that he has now */
  if (who == NULL) return DMP_E_CERT_BAD;
  memset(g, 0, sizeof *g);
  g->patient = p->id;
  g->id = to->grant_id;
  g->slot = p->g.slot;
  memcpy(g->y, p->g.y, 32);
  memcpy(g->mail, to->mail, 16);
  memcpy(g->patient_cert, p->g.patient_cert, 32);
  g->seq = c->next.seq;
  memcpy(g->keyset_hash, c->next.hash, 32);
  g->since = to->since;
  g->until = to->until;
  g->kind = to->as == READER_NONE ? GRANT_WITHDRAWN : GRANT_ACTIVE;
  g->basis = to->as == READER_PATIENT ? BASIS_SELF : to->as == READER_TREATING ? BASIS_TREATING
           : to->as == READER_REPRESENTATIVE ? BASIS_REPRESENTATIVE : to->as == READER_MEMBER ? BASIS_MEMBER : BASIS_CONSENT;
  /* a team whose secret somebody who left still knows gets none: its classes stay due, and turn once the secret has moved; nor one with a
   * member who is blocked */
  const struct keyset_team *kt = team ? keyset_team(&c->next, team->id) : NULL;
  for (size_t i = 0; i < c->next.n && (team == NULL || (team_ready(team) && kt && !suite_is_zero(kt->cert, 32))); i++) {
    unsigned may = grantee_keys(c->s, p, to, c->next.c[i].cls), turned = c->turned[i];
    if (to != c->first && !to->fresh) may &= turned | (turned & KEY_P ? KEY_P0 : 0) | (turned & KEY_M ? KEY_M0 : 0);
    send_class(p, &c->next.c[i], may, g);
  }
  int e = circle_entries(c, to, g);
  if (e != DMP_OK) return e;
  return grant_send(c->s, g, to == c->first || to->fresh, who, c->by.cred->sign_sk, c->by.cert_hash);
}

static int send_all(struct change *c) {
  struct grant *g = memory_new(sizeof *g);
  if (g == NULL) return DMP_E_LOCK;
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < c->list.n; i++)
    if (memcmp(c->list.g[i].principal, c->s->cred->principal, 16) != 0) e = change_send(c, &c->list.g[i], g);
  memory_free(g);
  return e;
}

/* The keyset, the own row, the packets, the list: after the keys have turned. */
int change_write(struct change *c) {
  struct patient *p = c->p;
  struct buf row = { 0 };
  struct grantees before = { 0 };
  int e = circle_turn(c);
  if (e == DMP_OK) e = keyset_put(c->s, p->id, p->yk, &c->next, c->by.cred->sign_sk, c->by.cert_hash);
  if (e != DMP_OK) return e;
  p->keyset = c->next;
  p->doctors_read = 0;                                /* the chain is longer by one */
  p->g.seq = c->next.seq;
  memcpy(p->g.keyset_hash, c->next.hash, 32);
  p->hidden_pair_made = 0;
  e = patient_pairwise(c->s, p->anchor, c->next.log_pk[0], p->g.pair);
  if (e == DMP_OK) e = grant_put_own(c->s, c->s->cred, &p->g, p->row, NULL);
  if (e == DMP_OK) e = send_all(c);
  grantees_row(&c->list, &row);
  /* the choices class may have turned: the item is opened again where it lies now */
  item_close(&c->list_item);
  if (e == DMP_OK) e = grantees_open(c->s, p, &c->list_item, &before, NULL);
  if (e == DMP_OK) e = object_rewrite(c->s, p, &c->list_item, &row);
  grantees_free(&before);
  buf_free(&row);
  return e == DMP_OK ? circle_write(c) : e;
}

int change_add(struct change *c, const struct certificate *who, struct grantee **out) {
  struct grantee *g = grantees_find(&c->list, who->principal);
  int e = DMP_OK;
  if (g == NULL) {
    g = &c->list.g[c->list.n++];
    memcpy(g->principal, who->principal, 16);
    e = random_bytes("mail", g->mail, 16);
    if (e == DMP_OK) e = record_random_id(&g->grant_id);
    g->fresh = 1;
  }
  memcpy(g->cert, who->hash, 32);
  g->since = record_now();
  g->seq = c->next.seq;
  *out = g;
  return e;
}

/* ---- the log's secrets: class 3, L2 for the visible pair, L3 for the hidden one ---- */

int change_log_pairs(struct session *s, struct patient *p, const struct signer *who, struct keyset *k) {
  int e = DMP_OK;
  for (int i = 0; e == DMP_OK && i < 2; i++) {
    uint8_t secret[32];
    struct buf row = { 0 };
    struct content c = { .table = ITEM_LOG_SECRETS };
    int64_t id = 0;
    e = random_bytes("log pair", secret, 32);
    struct value v = value_bytes(VALUE_BLOB, secret, 32);
    suite_box_pair(secret, k->log_pk[i]);
    row_put(&row, &v, 1);
    c.row = row.p;
    c.row_len = row.n;
    if (e == DMP_OK) e = row.bad ? DMP_E_NOMEM : object_insert(s, p, who, (struct place){ CLASS_LOG, 2 + i, 0, 0 }, &c, NULL, &id);
    bytes_wipe(secret, sizeof secret);
    buf_free(&row);
  }
  return e;
}

void change_treating(struct keyset *k, const struct certificate *doctor) {
  memset(k->treating, 0, 16);
  memset(k->treating_cert, 0, 32);
  k->treating_since = doctor ? record_now() : 0;
  if (doctor == NULL) return;
  memcpy(k->treating, doctor->principal, 16);
  memcpy(k->treating_cert, doctor->hash, 32);
}
