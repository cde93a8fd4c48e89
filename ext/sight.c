/* sight.c: who can open an item, and why (see sight.h). */
#include "sight.h"
#include "deposit.h"
#include "follow.h"
#include "syntax.h"
#include "team.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { UNASKED = 0xFF };

int sight_begin(struct session *s, struct patient *p, struct sight *out) {
  *out = (struct sight){ .s = s, .p = p };
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !full) return e;
  e = grantees_circles(s, p, &out->list, &out->circles);
  out->keys = malloc((out->list.n + 1) * sizeof *out->keys);
  if (e == DMP_OK && out->keys == NULL) e = DMP_E_NOMEM;
  if (out->keys) memset(out->keys, UNASKED, (out->list.n + 1) * sizeof *out->keys);
  out->full = e == DMP_OK;
  return e;
}

void sight_end(struct sight *v) {
  grantees_free(&v->list);
  circles_free(&v->circles);
  free(v->keys);
  *v = (struct sight){ 0 };
}

/* The bits KEY_P… that one of the list holds of a class. */
static int keys_of(struct sight *v, size_t i, uint16_t cls, unsigned *keys) {
  struct keyset *k;
  size_t at = 0;
  unsigned held = 0;
  int e = patient_keyset(v->s, v->p, &k);
  while (e == DMP_OK && at < k->n && k->c[at].cls != cls) at++;
  *keys = 0;
  if (e != DMP_OK || at == k->n) return e;
  if (v->keys[i][at] == UNASKED) {
    e = grantee_holds(v->s, v->p, &v->list.g[i], cls, &held);
    if (e == DMP_OK) v->keys[i][at] = (uint8_t)held;
  }
  *keys = e == DMP_OK ? v->keys[i][at] : 0;
  return e;
}

/* The same of where the item lies: a circle has a key of its own, whole or the half that is not hidden from representatives. */
static int keys_where(struct sight *v, size_t i, const struct item *it, unsigned *keys) {
  const struct circle *k = it->circle ? circle_find(&v->circles, it->circle) : NULL;
  if (it->circle == 0) return keys_of(v, i, it->cls, keys);
  uint8_t which = k ? circle_holds(v->s, v->p, k, &v->list.g[i]) : 0;
  *keys = which == WHICH_C ? KEY_P | KEY_M : which == WHICH_C0 ? KEY_P0 | KEY_M0 : 0;
  return DMP_OK;
}

static int opens(unsigned keys, int leaf) {
  static const uint8_t OPENED_BY[LEAVES] = { KEY_P | KEY_P0, KEY_P, KEY_M | KEY_M0, KEY_M };
  return (keys & OPENED_BY[leaf]) != 0;
}

/* " du 12/03/2026" */
static void say_day(char *why, const char *word, int64_t ms) {
  char t[32];
  if (ms == 0) return;
  syntax_time_ms(ms, t);
  sqlite3_snprintf(WHY_TEXT - (int)strlen(why), why + strlen(why), " %s %.2s/%.2s/%.4s", word, t + 8, t + 5, t);
}

static void say_capacity(const struct grantee *g, char *why) {
  static const char *const WORDS[] = { [READER_PATIENT] = "patient", [READER_TREATING] = "médecin traitant", [READER_CONSENT] = "consentement",
                                       [READER_REPRESENTATIVE] = "représentant", [READER_TEAM] = "consentement" };
  const char *word = g->as < sizeof WORDS / sizeof *WORDS ? WORDS[g->as] : NULL;
  sqlite3_snprintf(WHY_TEXT, why, "%s", word ? word : "accord");
  if (g->as == READER_CONSENT || g->as == READER_TEAM || g->as == READER_REPRESENTATIVE) {
    say_day(why, g->as == READER_REPRESENTATIVE ? "depuis le" : "du", g->since);
    say_day(why, "jusqu’au", g->until);
  }
}

/* Who is revoked opens no session, whatever his keys open. */
static int is_revoked(struct sight *v, int64_t principal) {
  uint8_t field[16];
  id_field(field, principal);
  const struct certificate *c = patient_who(v->s, v->p, field);
  return c && c->status == STATUS_REVOKED;
}

/* Each member reads by the team's key; a departure shows at once. */
static int by_member(struct sight *v, const struct grantee *g, struct reason *r, int64_t only, int (*each)(void *ctx, const struct reason *r), void *ctx) {
  struct team_member *m;
  const struct team *t;
  size_t n;
  char capacity[WHY_TEXT];
  int e = team_get(v->s, g->principal, &t);
  if (e == DMP_OK) e = team_members(v->s, g->principal, &m, &n);
  if (e != DMP_OK) return e;
  say_capacity(g, capacity);
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    r->principal = id_from_field(m[i].principal);
    sqlite3_snprintf(sizeof r->why, r->why, "membre de l’équipe %s (%s)", t->now.name, capacity);
    if ((only == 0 || r->principal == only) && !is_revoked(v, r->principal)) e = each(ctx, r);
  }
  free(m);
  return e;
}

static int is_member(struct sight *v, const struct grantee *g, const uint8_t principal[16]) {
  const struct team *t;
  const struct team_member *m = g->as == READER_TEAM && team_get(v->s, g->principal, &t) == DMP_OK ? team_member_of(t, principal) : NULL;
  return m && team_active(m);
}

/* The key of a circle, which no team holds, a member holds by name. */
static int by_name(struct sight *v, const struct grantee *g, const struct item *it, struct reason *r, int (*each)(void *ctx, const struct reason *r), void *ctx) {
  const struct circle *k = it->circle ? circle_find(&v->circles, it->circle) : NULL;
  for (size_t i = 0; k && circle_gave(k, r->principal) && i < v->list.n; i++) {
    const struct grantee *of = &v->list.g[i];
    unsigned keys = 0;
    if (!is_member(v, of, g->principal)) continue;
    int e = grantee_holds(v->s, v->p, of, it->cls, &keys);
    if (e != DMP_OK) return e;
    if (!(keys & KEY_P)) continue;
    char capacity[WHY_TEXT];
    const struct certificate *team = session_who(v->s, of->principal);
    say_capacity(of, capacity);
    sqlite3_snprintf(sizeof r->why, r->why, "membre de l’équipe %s (%s)", team ? team->name : "", capacity);
    return each(ctx, r);
  }
  return DMP_OK;
}

/* By a key that one of the list holds. */
static int by_key(struct sight *v, size_t i, const struct item *it, int64_t only, int (*each)(void *ctx, const struct reason *r), void *ctx) {
  const struct grantee *g = &v->list.g[i];
  struct reason r = { .principal = id_from_field(g->principal), .by_key = 1 };
  unsigned keys;
  if (only && r.principal != only && g->as != READER_TEAM) return DMP_OK;
  if ((r.principal == v->p->id && follow_withheld(v->s, v->p, it)) || is_revoked(v, r.principal)) return DMP_OK;
  if (g->as == READER_MEMBER) return by_name(v, g, it, &r, each, ctx);
  int e = keys_where(v, i, it, &keys);
  if (e != DMP_OK || !opens(keys, it->leaf)) return e;
  if (g->as == READER_TEAM) return by_member(v, g, &r, only, each, ctx);
  say_capacity(g, r.why);
  return each(ctx, &r);
}

/* The depositor keeps what he put in by a wrapped key of his own. */
static int by_deposit(struct sight *v, const struct item *it, int64_t only, int (*each)(void *ctx, const struct reason *r), void *ctx) {
  struct reason r = { .principal = id_from_field(it->c.depositor) };
  int e = DMP_OK;
  if (it->c.wrap_row == 0 || (only && r.principal != only) || is_revoked(v, r.principal)) return DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < v->list.n; i++) {
    unsigned keys = 0;
    if (memcmp(v->list.g[i].principal, it->c.depositor, 16) == 0 || is_member(v, &v->list.g[i], it->c.depositor)) e = keys_of(v, i, it->cls, &keys);
    r.held |= opens(keys, deposit_meant_leaf(it));
    r.whole |= opens(keys, 3);
  }
  if (e != DMP_OK || (r.principal == v->p->id && follow_withheld(v->s, v->p, it))) return e;
  sqlite3_snprintf(sizeof r.why, r.why, "déposant");
  return each(ctx, &r);
}

int sight_each(struct sight *v, const struct item *it, int64_t only, int (*each)(void *ctx, const struct reason *r), void *ctx) {
  int e = DMP_OK;
  if (!v->full || it->via == VIA_OWN) return e;       /* where a depositor's own key opens it, nobody tells where it lies */
  for (size_t i = 0; e == DMP_OK && i < v->list.n; i++) e = by_key(v, i, it, only, each, ctx);
  return e == DMP_OK ? by_deposit(v, it, only, each, ctx) : e;
}
