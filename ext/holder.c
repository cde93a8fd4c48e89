/* holder.c: consents, withdrawals, treating doctors, what is owed (see holder.h). */
#include "holder.h"
#include "access.h"
#include "blocked.h"
#include "compartment.h"
#include "episode.h"
#include "memory.h"
#include "random.h"
#include "syntax.h"
#include "team.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const struct scan CHOICES = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };

/* ---- beginning a write ---- */

/* What was deposited masked by somebody who can't know what is masked goes where it belongs. */
static int adopted_masked(struct session *s, struct patient *p) {
  int full, e = holder_is_full(s, p, &full);
  return e == DMP_OK && full ? episode_settle(s, p, NULL) : e;
}

int writer_begin(struct session *s, int64_t patient, struct patient **out) {
  struct keyset *k;
  unsigned masked;
  int e = patient_get(s, patient, out);
  if (e == DMP_OK) e = grant_adopt_packets(s, *out);
  if (e == DMP_OK) e = patient_keyset(s, *out, &k);
  if (e == DMP_OK) e = object_adopt(s, *out, &masked);
  if (e == DMP_OK && masked) e = adopted_masked(s, *out);
  /* adoption stands by itself: INSERT OR IGNORE may skip what follows and the transaction still commits */
  if (e == DMP_OK) s->pending.whole = sqlite3_total_changes64(s->r->db);
  return e;
}

int holder_is_full(struct session *s, struct patient *p, int *full) {
  struct keyset *k;
  int e = patient_keyset(s, p, &k);
  *full = e == DMP_OK && (p->id == s->principal || (memcmp(k->treating, s->cred->principal, 16) == 0 && session_mine(s, k->treating_cert))) &&
          patient_key(p, CLASS_CHOICES, WHICH_P) && patient_key(p, CLASS_CHOICES, WHICH_M);
  return e;
}

/* ---- what was announced moves to where representatives see it ---- */

static int take_announced(void *ctx, struct item *it) {
  int late = it->c.flags & ITEM_INVISIBLE && !(it->c.flags & ITEM_HIDDEN) && it->announced && it->via == VIA_LEAF;
  return late ? items_take(ctx, it) : DMP_OK;
}

/* move 0: only counted. */
static int announced_move(struct session *s, struct patient *p, int move, unsigned *n) {
  const struct scan hidden = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1, .hidden = 1 };
  struct items a = { 0 };
  int e = object_scan(s, p, &hidden, take_announced, &a);
  for (size_t i = 0; e == DMP_OK && move && i < a.n; i++) {
    struct item *it = &a.it[i];
    if (object_leaf(p, item_beside(it, it->leaf - 1))->held) e = object_move(s, p, it, item_beside(it, it->leaf - 1));
  }
  *n += a.n > 0;
  items_free(&a);
  return e;
}

/* Somebody left a team: its keys turn before anything else is written, also what is not deposited (a name) and so never masked. */
static int departed_settle(struct session *s, struct patient *p) {
  struct keyset *k;
  size_t some = 0;
  int e = patient_keyset(s, p, &k);
  if (e == DMP_OK) e = teams_owed(s, p, k, &some);
  return e == DMP_OK && some ? holder_due(s, p) : e;
}

int holder_begin(struct session *s, int64_t patient, struct patient **p) {
  int full = 0;
  unsigned moved = 0;
  int e = writer_begin(s, patient, p);
  if (e == DMP_OK) e = holder_is_full(s, *p, &full);
  if (e == DMP_OK && full) e = departed_settle(s, *p);
  if (e == DMP_OK && full) e = announced_move(s, *p, 1, &moved);
  if (e == DMP_OK) s->pending.whole = sqlite3_total_changes64(s->r->db);
  return e == DMP_OK && !full ? DMP_E_FULL_HOLDER : e;
}

/* ---- the end of a change ---- */

static int representatives_drop(struct session *s, struct patient *p, int64_t principal);
static int consents_drop(struct session *s, struct patient *p);

/* What a change begins with: the newest keyset, the list, and what is owed because somebody's time is over. */
static int begin(struct session *s, struct patient *p, struct change *c, uint8_t want[CLASSES_MAX]) {
  int e = change_begin(s, p, c);
  if (e == DMP_OK) e = change_owed(c, want);
  if (e == DMP_OK) e = change_departed(c, want);
  return e == DMP_OK && c->circles.n ? change_members(c) : e;
}

/* The change is written; what waited for keys that turned in it moves back. */
static int finish(struct change *c) {
  int e = change_write(c);
  for (size_t i = 0; e == DMP_OK && i < c->next.n; i++)
    if (c->settled[i] && c->next.c[i].cls >= CLASS_FIRST_DOCUMENT) {
      const struct settle w = { .first = c->next.c[i].cls, .last = c->next.c[i].cls };
      e = episode_settle(c->s, c->p, &w);
      if (e == DMP_OK) e = compartment_settle(c->s, c->p, c->next.c[i].cls);
    }
  if (e == DMP_OK && c->ended) e = representatives_drop(c->s, c->p, 0);
  return e == DMP_OK && c->ended ? consents_drop(c->s, c->p) : e;
}

/* ---- consents ---- */

int holder_consent_row(struct session *s, struct patient *p, const struct signer *who, int64_t grantee, const char *basis, int64_t until, int64_t by) {
  char now[32], end[32];
  struct buf row = { 0 };
  struct content c = { .table = ITEM_CONSENT };
  int64_t id = 0;
  syntax_time_ms(record_now(), now);
  if (until) syntax_time_ms(until, end);
  struct value v[CONSENT_VALUES] = { value_int(grantee), value_text(basis), value_text(now), value_text(until ? end : NULL), value_int(by) };
  row_put(&row, v, CONSENT_VALUES);
  c.row = row.p;
  c.row_len = row.n;
  int e = row.bad ? DMP_E_NOMEM : object_insert(s, p, who, (struct place){ CLASS_CHOICES, 0, 0, 0 }, &c, NULL, &id);
  buf_free(&row);
  return e;
}

const struct certificate *holder_professional(struct session *s, int64_t id) {
  uint8_t field[16];
  id_field(field, id);
  const struct certificate *c = session_who(s, field);
  return c && c->kind == KIND_PROFESSIONAL ? c : NULL;
}

struct consent_search { int64_t grantee; struct item found; };

static int take_consent(void *ctx, struct item *it) {
  struct consent_search *q = ctx;
  struct value v;
  size_t count, used;
  if (it->c.table != ITEM_CONSENT || row_get(it->c.row, it->c.row_len, &v, 1, &count, &used) != DMP_OK) return DMP_OK;
  if (v.type != VALUE_INT || v.u.i != q->grantee || q->found.id) return DMP_OK;
  q->found = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

/* The rows of those who are grantees no more: a consent that is over, or whose grantee's certificate was revoked. */
struct consents { const struct grantees *list; struct items ended; };

static int take_ended(void *ctx, struct item *it) {
  struct consents *q = ctx;
  struct value v;
  size_t count, used;
  if (it->c.table != ITEM_CONSENT || row_get(it->c.row, it->c.row_len, &v, 1, &count, &used) != DMP_OK || v.type != VALUE_INT) return DMP_OK;
  size_t i = 0;
  while (i < q->list->n && id_from_field(q->list->g[i].principal) != v.u.i) i++;
  /* who reads on through a team has no consent of his own */
  return i < q->list->n && (q->list->g[i].as == READER_NONE || q->list->g[i].as == READER_MEMBER) ? items_take(&q->ended, it) : DMP_OK;
}

/* Drops and closes them. */
static int items_drop(struct session *s, struct patient *p, struct items *x, int e) {
  for (size_t i = 0; e == DMP_OK && i < x->n; i++) e = object_drop(s, p, &x->it[i]);
  items_free(x);
  return e;
}

static int consents_drop(struct session *s, struct patient *p) {
  struct grantees gs = { 0 };
  struct consents q = { .list = &gs };
  int e = grantees_read(s, p, &gs);
  if (e == DMP_OK) e = object_scan(s, p, &CHOICES, take_ended, &q);
  e = items_drop(s, p, &q.ended, e);
  grantees_free(&gs);
  return e;
}

static int consent_drop(struct session *s, struct patient *p, int64_t grantee) {
  struct consent_search q = { .grantee = grantee };
  int e = object_scan(s, p, &CHOICES, take_consent, &q);
  if (e == DMP_OK && q.found.id) e = object_drop(s, p, &q.found);
  item_close(&q.found);
  return e;
}

/* Somebody becomes a grantee: the keys that he may have turn first. */
static int give(struct session *s, struct patient *p, const struct certificate *who, enum reader as, int64_t until) {
  struct change c;
  struct grantee *g = NULL;
  uint8_t want[CLASSES_MAX] = { 0 };
  int e = begin(s, p, &c, want);
  if (e == DMP_OK && (g = grantees_find(&c.list, who->principal)) != NULL && g->as != READER_NONE && g->as != READER_MEMBER) e = DMP_E_DUPLICATE;
  if (e == DMP_OK) e = change_add(&c, who, &g);
  if (e == DMP_OK) {
    g->as = (uint8_t)as;
    g->until = until;
    change_want(&c, g, want);
    if (as == READER_TEAM) e = change_team(&c, g->principal, 1);
    if (e == DMP_OK && c.circles.n) e = change_members(&c);
    if (e == DMP_OK) e = change_turn(&c, want);
  }
  if (e == DMP_OK) e = finish(&c);
  change_end(&c);
  return e;
}

/* Somebody is one no more: every key that he held, or of which he held a half, turns. */
static int take_back(struct session *s, struct patient *p, int64_t grantee, enum reader as) {
  struct change c;
  struct grantee *g = NULL;
  uint8_t want[CLASSES_MAX] = { 0 }, field[16];
  id_field(field, grantee);
  int e = begin(s, p, &c, want), over = 0;
  if (e == DMP_OK) g = grantees_find(&c.list, field);
  if (e == DMP_OK && g && g->as == READER_NONE) over = c.ended != 0;
  if (e == DMP_OK && g && g->as == READER_TREATING && as == READER_CONSENT) e = DMP_E_TREATING;
  if (e == DMP_OK && !over && (g == NULL || (g->as != as && !(as == READER_CONSENT && g->as == READER_STAFF)))) e = DMP_E_NOT_FOUND;
  if (e == DMP_OK) {
    change_leave(&c, g, want);
    if (as == READER_TEAM) e = change_team(&c, g->principal, 0);
    if (e == DMP_OK && c.circles.n) e = change_members(&c);
    if (e == DMP_OK) e = change_turn(&c, want);
  }
  if (e == DMP_OK) e = finish(&c);
  change_end(&c);
  return e;
}

/* Who works with patients, and may be consented to or blocked. */
static const struct certificate *consentable(struct session *s, int64_t id) {
  uint8_t field[16];
  id_field(field, id);
  const struct certificate *c = session_who(s, field);
  return c && (c->kind == KIND_PROFESSIONAL || c->kind == KIND_STAFF) ? c : NULL;
}

/* Nobody gets keys whom the patient has blocked, or whose certificate was revoked. */
static int may_receive(struct session *s, struct patient *p, const struct certificate *who, const struct team *team) {
  int64_t block;
  int blocked = 0;
  if (who->status == STATUS_REVOKED) return DMP_E_REVOKED;
  int e = blocked_find(s, p, id_from_field(who->principal), &block);
  if (e == DMP_OK && team) e = team_blocked(s, p, team, &blocked);
  return e == DMP_OK && (block || blocked) ? DMP_E_BLOCKED : e;
}

int holder_consent(struct session *s, struct patient *p, int64_t grantee, int64_t until) {
  const struct signer me = { s->cred, s->me.hash };
  const struct certificate *who = consentable(s, grantee);
  const struct team *team = NULL;
  uint8_t field[16];
  id_field(field, grantee);
  int e = who ? DMP_OK : team_get(s, field, &team);
  if (e == DMP_E_NO_PRINCIPAL) return session_wrong_kind(s, grantee, "professional, staff, team");
  if (e == DMP_OK && team && !team_ready(team)) e = DMP_E_TEAM_KEY;
  if (e == DMP_OK) e = may_receive(s, p, who ? who : &team->now, team);
  if (e == DMP_OK) e = give(s, p, who ? who : &team->now, team ? READER_TEAM : who->kind == KIND_STAFF ? READER_STAFF : READER_CONSENT, until);
  if (e == DMP_OK) e = consent_drop(s, p, grantee);   /* one that was over */
  if (e == DMP_OK) e = holder_consent_row(s, p, &me, grantee, "consent", until, s->principal);
  return e == DMP_OK ? access_pend_item(s, p, LOG_CONSENT, grantee, 1, NULL) : e;
}

int holder_withdraw(struct session *s, struct patient *p, int64_t grantee) {
  int e = take_back(s, p, grantee, consentable(s, grantee) ? READER_CONSENT : READER_TEAM);
  if (e == DMP_OK) e = consent_drop(s, p, grantee);
  return e == DMP_OK ? access_pend_item(s, p, LOG_WITHDRAW, grantee, 1, NULL) : e;
}

/* ---- blocks ---- */

int holder_block(struct session *s, struct patient *p, int64_t principal, int64_t *row) {
  const struct certificate *who = consentable(s, principal);
  int64_t block;
  if (who == NULL) return session_wrong_kind(s, principal, "professional, staff");
  int e = blocked_find(s, p, principal, &block);
  if (e == DMP_OK && block) e = DMP_E_DUPLICATE;
  if (e == DMP_OK) e = take_back(s, p, principal, READER_CONSENT);
  if (e == DMP_E_NOT_FOUND) e = DMP_OK;               /* holds nothing: the block stands in the way of what may come */
  if (e == DMP_OK) e = consent_drop(s, p, principal);
  if (e == DMP_OK) e = blocked_add(s, p, principal, row);
  if (e == DMP_OK) e = departed_settle(s, p);         /* a team of which he is a member holds no key any more */
  return e == DMP_OK ? access_pend_item(s, p, LOG_BLOCK, principal, 1, NULL) : e;
}

int holder_unblock(struct session *s, struct patient *p, int64_t row, int64_t principal) {
  int e = blocked_drop(s, p, row);
  if (e == DMP_OK) e = departed_settle(s, p);
  return e == DMP_OK ? access_pend_item(s, p, LOG_UNBLOCK, principal, 1, NULL) : e;
}

/* ---- representatives ---- */

static const struct scan IDENTITIES = { .first = CLASS_IDENTITY, .last = CLASS_IDENTITY };
static const char REPRESENTATIVE[] = "representative";

struct rep_search { int64_t principal; struct items found; };

static int take_representative(void *ctx, struct item *it) {
  struct rep_search *q = ctx;
  struct value v[REP_VALUES];
  size_t count, used;
  if (it->c.table != ITEM_REPRESENTATIVE || row_get(it->c.row, it->c.row_len, v, REP_VALUES, &count, &used) != DMP_OK) return DMP_OK;
  if (v[REP_PRINCIPAL].type != VALUE_INT || v[REP_UNTIL].type != VALUE_INT) return DMP_OK;
  int other = q->principal ? v[REP_PRINCIPAL].u.i != q->principal : v[REP_UNTIL].u.i == 0 || record_now() <= v[REP_UNTIL].u.i;
  return other ? DMP_OK : items_take(&q->found, it);
}

/* The rows of one representative; principal 0: of all whose time is over. */
static int representatives_drop(struct session *s, struct patient *p, int64_t principal) {
  struct rep_search q = { .principal = principal };
  struct value who;
  size_t count, used;
  int e = object_scan(s, p, &IDENTITIES, take_representative, &q);
  for (size_t i = 0; e == DMP_OK && principal == 0 && i < q.found.n; i++)
    if (row_get(q.found.it[i].c.row, q.found.it[i].c.row_len, &who, 1, &count, &used) == DMP_OK)
      e = access_pend(s, p, LOG_WITHDRAW, p->id, who.u.i, "representative ended");
  return items_drop(s, p, &q.found, e);
}

static const struct certificate *representative_of(struct session *s, int64_t id) {
  uint8_t field[16];
  id_field(field, id);
  const struct certificate *c = session_who(s, field);
  return c && c->kind == KIND_REPRESENTATIVE ? c : NULL;
}

int holder_represent(struct session *s, struct patient *p, int64_t principal, const char *ground, int64_t until, int64_t *id) {
  const struct signer me = { s->cred, s->me.hash };
  const struct certificate *who = representative_of(s, principal);
  struct content c = { .table = ITEM_REPRESENTATIVE };
  struct buf row = { 0 };
  if (who == NULL) return session_wrong_kind(s, principal, "representative");
  int e = who->status == STATUS_REVOKED ? DMP_E_REVOKED : give(s, p, who, READER_REPRESENTATIVE, until);
  struct value v[REP_VALUES] = { value_int(principal), value_text(ground), value_int(record_now()), value_int(until), value_int(s->principal) };
  row_put(&row, v, REP_VALUES);
  c.row = row.p;
  c.row_len = row.n;
  if (e == DMP_OK) e = row.bad ? DMP_E_NOMEM : object_insert(s, p, &me, (struct place){ CLASS_IDENTITY, 0, 0, 0 }, &c, NULL, id);
  buf_free(&row);
  return e == DMP_OK ? access_pend(s, p, LOG_CONSENT, p->id, principal, REPRESENTATIVE) : e;
}

int holder_unrepresent(struct session *s, struct patient *p, int64_t principal) {
  int e = take_back(s, p, principal, READER_REPRESENTATIVE);
  if (e == DMP_OK) e = representatives_drop(s, p, principal);
  return e == DMP_OK ? access_pend(s, p, LOG_WITHDRAW, p->id, principal, REPRESENTATIVE) : e;
}

/* ---- the treating doctor ---- */

int holder_treating(struct session *s, struct patient *p, int64_t doctor) {
  struct change c;
  uint8_t want[CLASSES_MAX] = { 0 };
  struct grantee *g;
  const struct certificate *who = doctor ? holder_professional(s, doctor) : NULL;
  if (doctor && (who == NULL || who->profession != 10)) return DMP_E_PROFESSION;
  int e = who ? may_receive(s, p, who, NULL) : DMP_OK;
  if (e != DMP_OK) return e;
  e = begin(s, p, &c, want);
  int64_t former = e == DMP_OK ? id_from_field(c.next.treating) : 0;
  if (e == DMP_OK && former == doctor) {
    change_end(&c);
    return DMP_OK;
  }
  if (e == DMP_OK && former > 0 && (g = grantees_find(&c.list, c.next.treating)) != NULL) change_leave(&c, g, want);
  if (e == DMP_OK && who) {
    e = change_add(&c, who, &g);
    g->as = READER_TREATING;
    g->until = 0;
    change_want(&c, g, want);
  }
  if (e == DMP_OK && c.circles.n) e = change_members(&c);
  c.log_left = 1;                                     /* new pairs at every change: the patient is here to make them */
  if (e == DMP_OK) e = change_turn(&c, want);
  if (e == DMP_OK) {
    change_treating(&c.next, who);
    e = finish(&c);
  }
  if (e == DMP_OK) e = episode_hide_choices(s, p);
  if (e == DMP_OK && former > 0) e = consent_drop(s, p, former);
  if (e == DMP_OK) e = access_pend(s, p, LOG_TREATING, p->id, doctor, NULL);
  change_end(&c);
  return e;
}

/* ---- the patient's own key ---- */

/* The session is the new credential's; what is written from here on is signed by it, and read by nobody else. */
static void session_renewed(struct session *s, struct patient *p, const struct certificate *c, const struct credential *next, struct credential *former) {
  former[0] = *s->cred;
  former[0].formers = 0;
  for (unsigned i = 0; i < s->cred->formers; i++) former[i + 1] = s->former[i];
  memory_free(s->former);
  s->former = former;
  *s->cred = *next;
  s->me = *c;
  s->seats_version--;                                 /* the seats are made anew */
  patient_moves_on(p, c);
  patient_own_keys(s, p);
  access_writer_tag(s->cred->directory, &s->me, s->writer_tag);
}

int holder_renew(struct session *s, struct patient *p, const struct certificate *c, const struct credential *next, struct credential *former) {
  struct change ch;
  struct grantee *g;
  uint8_t want[CLASSES_MAX] = { 0 };
  int e = begin(s, p, &ch, want);
  for (size_t i = 0; i < ch.next.n; i++) want[i] = KEY_P | KEY_M;
  if (e == DMP_OK) e = change_turn(&ch, want);
  if (e == DMP_OK) e = circle_turn_private(&ch);
  if (e == DMP_OK) {
    session_renewed(s, p, c, next, former);
    ch.by = (struct signer){ s->cred, s->me.hash };
    if ((g = grantees_find(&ch.list, s->cred->principal)) != NULL) memcpy(g->cert, c->hash, 32);
    e = change_log_pairs(s, p, &ch.by, &ch.next);
  }
  if (e == DMP_OK) e = finish(&ch);
  change_end(&ch);
  return e;
}

/* ---- what is owed ---- */

static int take_late(void *ctx, struct item *it) {
  *(int *)ctx |= it->c.flags & ITEM_LATE && (it->leaf >= 2 || !item_hidden_meant(it));
  return DMP_OK;
}

int holder_unsettled(struct session *s, struct patient *p, int tell, size_t *items) {
  const struct scan hidden = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1, .hidden = 1 };
  const struct scan masked = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .all = 1, .masked = 1 };
  struct choices c;
  int some, e = object_waiting(s, p, ITEM_LATE, tell, &some);
  *items = 0;
  if (e == DMP_OK && some) *items = 1;
  if (e != DMP_OK || some) return e;
  e = choices_read(s, p, &c);      /* without a masked episode, or a late item that others released, nothing can be out of place */
  some = c.episodes > 0 || c.froms > 0;
  choices_free(&c);
  if (e == DMP_OK && !some && s->principal == p->id) e = object_scan(s, p, &hidden, take_late, &some);
  if (e == DMP_OK && !some && s->principal == p->id) e = object_scan(s, p, &masked, take_late, &some);   /* a correction, whose document shows again */
  return e == DMP_OK && some ? episode_owed(s, p, tell, items) : e;
}

int holder_owed(struct session *s, struct patient *p, unsigned *things) {
  struct change c;
  size_t teams = 0;
  int e = change_begin(s, p, &c);
  for (size_t i = 0; e == DMP_OK && i < c.next.n; i++) *things += (c.next.c[i].due | c.next.c[i].left) != 0;
  for (size_t i = 0; e == DMP_OK && i < c.list.n; i++) *things += grantee_owed(s, p, &c.list.g[i]) != OWED_NOTHING;
  if (e == DMP_OK) *things += circle_due(&c);
  if (e == DMP_OK) e = teams_owed(s, p, &c.next, &teams);
  *things += (unsigned)teams;
  if (e == DMP_OK) e = announced_move(s, p, 0, things);
  change_end(&c);
  return e;
}

/* For the patient, who alone changes that field: the treating doctor's certificate was revoked. */
static int treating_revoked(struct session *s, struct patient *p, int *yes) {
  struct keyset *k;
  int e = patient_keyset(s, p, &k);
  const struct certificate *doctor = e == DMP_OK && p->id == s->principal && !suite_is_zero(k->treating, 16) ? session_who(s, k->treating) : NULL;
  *yes = doctor != NULL && doctor->status == STATUS_REVOKED;
  return e;
}

int holder_due(struct session *s, struct patient *p) {
  struct change c;
  uint8_t want[CLASSES_MAX] = { 0 };
  int some = 0, gone = 0, e = treating_revoked(s, p, &gone);
  if (e != DMP_OK || gone) return e == DMP_OK ? holder_treating(s, p, 0) : e;
  e = begin(s, p, &c, want);
  if (e == DMP_OK) some = c.ended || c.renewed;
  for (size_t i = 0; e == DMP_OK && i < c.next.n; i++) {
    const struct keyset_class *kc = &c.next.c[i];
    if (kc->due & KEY_P && patient_key(p, kc->cls, WHICH_P)) want[i] |= KEY_P;
    if (kc->due & KEY_M && patient_key(p, kc->cls, WHICH_M)) want[i] |= KEY_M;
    c.log_left |= kc->cls == CLASS_LOG && want[i] & KEY_M;
    some |= want[i];
  }
  if (e == DMP_OK) some |= circle_due(&c) > 0;
  if (e == DMP_OK && some) {
    e = change_turn(&c, want);
    if (e == DMP_OK) e = finish(&c);
    if (e == DMP_OK) e = access_pend(s, p, LOG_ROTATE, p->id, 0, c.why ? c.why : c.departed ? "somebody left a team" : NULL);
  }
  change_end(&c);
  return e;
}
