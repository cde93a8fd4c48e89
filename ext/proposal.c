/* proposal.c: which items without an episode stand near one: same professional within days, or the same day (see episode.h).
 * Owns: that judgement.  Never: moves or changes anything. */
#include "episode.h"
#include "document.h"
#include "section.h"
#include <stdlib.h>
#include <string.h>

enum { DATES = 4, PERSONS = 3, NEAR_DAYS = 3 };
/* What of an item is compared; texts are owned. */
struct trait { int64_t item; char *episode, *person[PERSONS]; int64_t day[DATES]; int days, persons; };
struct traits { const struct choices *c; struct trait *t; size_t n, cap; };

static void trait_text(struct trait *t, const struct value *v) {
  if (v->type != VALUE_TEXT || t->persons == PERSONS) return;
  char *s = malloc(v->n + 1u);
  if (s == NULL) return;
  memcpy(s, v->u.p, v->n);
  s[v->n] = 0;
  t->person[t->persons++] = s;
}

/* The day of an ISO time, counted from 1 March of year 0. */
static void trait_day(struct trait *t, const struct value *v) {
  int n[3] = { 0 }, k = 0;
  if (v->type != VALUE_TEXT || v->n < 10 || t->days == DATES) return;
  for (size_t i = 0; i < 10; i++) {
    if (v->u.p[i] == '-') k++;
    else if (v->u.p[i] < '0' || v->u.p[i] > '9' || k > 2) return;
    else n[k] = 10 * n[k] + v->u.p[i] - '0';
    if (k > 2) return;
  }
  int64_t y = n[0] - (n[1] <= 2), m = (n[1] + 9) % 12;
  t->day[t->days++] = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + n[2];
}

static void trait_section(struct trait *t, const struct section *x, const struct item *it) {
  struct value v[LINE_MAX];
  if (!section_values(x, it, v)) return;
  for (int i = 0; i < x->columns; i++) {
    if (x->col[i].role == ROLE_DATE) trait_day(t, &v[LINE_OWN + i]);
    else if (x->col[i].role == ROLE_PERSON) trait_text(t, &v[LINE_OWN + i]);
  }
}

static void trait_document(struct trait *t, const struct item *it) {
  struct value v[STORED];
  if (!document_sound_values(it, v)) return;
  trait_day(t, v[S_SERVICE_START].type == VALUE_TEXT ? &v[S_SERVICE_START] : &v[S_CREATION_TIME]);
  trait_text(t, &v[S_AUTHOR]);
}

static int take_trait(void *ctx, struct item *it) {
  struct traits *q = ctx;
  const struct section *x = section_of(it->c.table);
  if (it->deleted || (x == NULL && it->c.table != ITEM_DOCUMENT)) return DMP_OK;
  if (q->n == q->cap) {
    size_t cap = q->cap ? 2 * q->cap : 32;
    struct trait *t = realloc(q->t, cap * sizeof *t);
    if (t == NULL) return DMP_E_NOMEM;
    q->t = t;
    q->cap = cap;
  }
  struct trait *t = &q->t[q->n++];
  struct value v = episode_of(q->c, it);
  *t = (struct trait){ .item = it->id };
  if (x) trait_section(t, x, it);
  else trait_document(t, it);
  if (v.type != VALUE_TEXT) return DMP_OK;
  if ((t->episode = malloc(v.n + 1u)) == NULL) return DMP_E_NOMEM;
  memcpy(t->episode, v.u.p, v.n);
  t->episode[v.n] = 0;
  return DMP_OK;
}

static void traits_free(struct traits *q) {
  for (size_t i = 0; i < q->n; i++) {
    free(q->t[i].episode);
    for (int k = 0; k < q->t[i].persons; k++) free(q->t[i].person[k]);
  }
  free(q->t);
}

/* ---- comparing ---- */

static int letter(unsigned char c) { return (c | 32) >= 'a' ? (c | 32) <= 'z' || c >= 128 : 0; }
static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

static int same_word(const char *a, const char *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (lower((unsigned char)a[i]) != lower((unsigned char)b[i])) return 0;
  return !letter((unsigned char)b[n]);
}

/* Two names share a word that is no title: "Dr Martin" and "MARTIN Paul". */
static int same_person(const char *a, const char *b) {
  static const char *const TITLES[] = { "docteur", "pharmacie", "cabinet", "clinique", "madame", "monsieur" };
  for (size_t i = 0; a[i];) {
    size_t n = 0;
    while (letter((unsigned char)a[i + n])) n++;
    int title = n < 3;
    for (size_t k = 0; k < sizeof TITLES / sizeof *TITLES; k++) title |= n == strlen(TITLES[k]) && same_word(a + i, TITLES[k], n);
    for (size_t j = 0; !title && b[j]; j++)
      if ((j == 0 || !letter((unsigned char)b[j - 1])) && strlen(b + j) >= n && same_word(a + i, b + j, n)) return 1;
    i += n ? n : 1;
  }
  return 0;
}

/* The reasons for a proposal, the best one last. */
enum { APART, SAME_DAY, SAME_PERSON, SAME_BOTH };
static const char *const WHY[] = { NULL, "même jour", "même professionnel, à moins de quatre jours", "même jour, même professionnel" };
const char *proposal_text(const struct proposal *p) { return WHY[p->why]; }

static int near(const struct trait *a, const struct trait *b) {
  int64_t apart = NEAR_DAYS + 1;
  int person = 0;
  for (int i = 0; i < a->days; i++)
    for (int k = 0; k < b->days; k++)
      if (llabs(a->day[i] - b->day[k]) < apart) apart = llabs(a->day[i] - b->day[k]);
  if (apart > NEAR_DAYS) return APART;
  for (int i = 0; i < a->persons; i++)
    for (int k = 0; k < b->persons; k++) person |= same_person(a->person[i], b->person[k]);
  if (person) return apart ? SAME_PERSON : SAME_BOTH;
  return apart || (a->persons && b->persons) ? APART : SAME_DAY;
}

/* One proposal for each item and episode, with its best reason. */
static int propose(struct proposals *out, size_t first, const struct trait *t, const char *episode, int why) {
  for (size_t i = first; i < out->n; i++)
    if (strcmp(out->p[i].episode, episode) == 0) {
      if (why > out->p[i].why) out->p[i].why = why;
      return DMP_OK;
    }
  struct proposal *p = realloc(out->p, (out->n + 1) * sizeof *p);
  if (p == NULL) return DMP_E_NOMEM;
  out->p = p;
  p[out->n] = (struct proposal){ t->item, strdup(episode), why };
  return p[out->n++].episode ? DMP_OK : DMP_E_NOMEM;
}

int proposals_read(struct session *s, struct patient *p, const struct choices *c, struct proposals *out) {
  const struct scan w = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX };
  struct traits q = { .c = c };
  int why;
  *out = (struct proposals){ 0 };
  int e = object_scan(s, p, &w, take_trait, &q);
  for (size_t i = 0; e == DMP_OK && i < q.n; i++) {
    size_t first = out->n;
    for (size_t k = 0; e == DMP_OK && q.t[i].episode == NULL && k < q.n; k++)
      if (q.t[k].episode && !choices_assigned(c, q.t[i].item, q.t[k].episode) && (why = near(&q.t[i], &q.t[k])) != APART)
        e = propose(out, first, &q.t[i], q.t[k].episode, why);
  }
  traits_free(&q);
  return e;
}

void proposals_free(struct proposals *q) {
  for (size_t i = 0; i < q->n; i++) free(q->p[i].episode);
  free(q->p);
  *q = (struct proposals){ 0 };
}
