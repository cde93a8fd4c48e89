/* table_mask.c: the tables `mask` and `episode_suggestion`: what is masked, by item or by episode, and what may belong to an episode.
 * Owns: their columns, and the order of steps of a mask.  Never: what an episode covers (episode.h), keys (object.h), rights (rights.h). */
#include "table.h"
#include "deposit.h"
#include "episode.h"
#include "mark.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const struct scan DEPOSITED = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX };

/* ---- mask: a row for each masked episode, for each item in a masked leaf that no episode explains, and for each of those from whom
 * an item or an episode is masked. ---- */

enum { M_PATIENT, M_DOCUMENT, M_EPISODE, M_GRANTEE, M_SINCE, M_COLUMNS };
static const struct column MASK[] = {
  [M_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [M_DOCUMENT] = { "document", "INTEGER", COL_PUSH }, [M_EPISODE] = { "episode", "TEXT", 0 },
  [M_GRANTEE] = { "grantee", "INTEGER", 0 },        [M_SINCE] = { "since", "TEXT", 0 },
};
struct making { struct patient *p; struct rows *out; struct choices c; };

/* How SQL names somebody from whom a thing is masked. */
static void grantee_text(const struct exclusion *x, char out[32]) {
  if (x->kind == OUT_TREATING) strcpy(out, "treating");
  else sqlite3_snprintf(32, out, x->kind == OUT_PROFESSION ? "profession:%lld" : "%lld", x->who);
}

static int take_grantee(struct session *s, sqlite3_value *v, struct exclusion *x) {
  static const char PROFESSION[] = "profession:";
  const char *text;
  uint8_t field[16];
  int64_t id;
  int given;
  *x = (struct exclusion){ 0 };
  if (sqlite3_value_type(v) == SQLITE_TEXT) {
    int e = take_text(v, &text);
    if (e != DMP_OK) return e;
    if (strcmp(text, "treating") == 0) x->kind = OUT_TREATING;
    if (strncmp(text, PROFESSION, sizeof PROFESSION - 1) != 0) return x->kind ? DMP_OK : DMP_E_GRANTEE;
    char *end;
    long number = strtol(text + sizeof PROFESSION - 1, &end, 10);
    if (*end || number <= 0 || number > UINT16_MAX || profession_display((uint16_t)number) == NULL) return DMP_E_GRANTEE;
    *x = (struct exclusion){ OUT_PROFESSION, number };
    return DMP_OK;
  }
  int e = take_int(v, &id, &given);
  if (e != DMP_OK) return e;
  id_field(field, id);
  const struct certificate *c = session_who(s, field);
  *x = (struct exclusion){ OUT_PERSON, id };
  if (c && c->kind == KIND_TEAM) x->kind = OUT_TEAM;
  return c == NULL ? DMP_E_NO_PRINCIPAL : c->kind == KIND_PROFESSIONAL || c->kind == KIND_TEAM ? DMP_OK : DMP_E_GRANTEE;
}

static int make_from(struct making *m, const struct masked_from *f) {
  char text[32];
  struct value *row = rows_add(m->out, f->id);
  if (row == NULL) return DMP_E_NOMEM;
  grantee_text(&f->x, text);
  row[M_PATIENT] = value_int(m->p->id);
  if (f->episode) row[M_EPISODE] = rows_text(m->out, f->episode);
  else row[M_DOCUMENT] = value_int(f->item);
  row[M_GRANTEE] = f->x.kind == OUT_PERSON || f->x.kind == OUT_TEAM ? value_int(f->x.who) : rows_text(m->out, text);
  row[M_SINCE] = rows_text(m->out, f->since);
  return DMP_OK;
}

static int make_mask(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value episode;
  int e = DMP_OK;
  if (!item_deposited(it->c.table) || it->deleted || it->via == VIA_OWN || !mark_episode(it, &episode)) return DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < m->c.froms; i++)
    if (m->c.from[i].item == it->id) e = make_from(m, &m->c.from[i]);
  if (e != DMP_OK || it->leaf < 2) return e;
  if (!episode_item_masked(&m->c, it) && episode_covers(&m->c, it)) return DMP_OK;
  const struct masked_item *own = choices_item(&m->c, it->id);
  struct value *row = rows_add(m->out, it->id);
  if (row == NULL) return DMP_E_NOMEM;
  row[M_PATIENT] = value_int(m->p->id);
  row[M_DOCUMENT] = value_int(it->id);
  episode = episode_of(&m->c, it);
  if (episode.type == VALUE_TEXT) row[M_EPISODE] = rows_bytes(m->out, VALUE_TEXT, episode.u.p, episode.n);
  m->out->hidden += (size_t)deposit_hidden(it);
  row[M_SINCE] = own ? rows_text(m->out, own->since) : rows_time(m->out, id_time(it->id));   /* deposited masked, unless a mask says later */
  return DMP_OK;
}

static int make_episodes(struct making *m) {
  for (size_t i = 0; i < m->c.episodes; i++) {
    struct value *row = rows_add(m->out, m->c.episode[i].id);
    if (row == NULL) return DMP_E_NOMEM;
    row[M_PATIENT] = value_int(m->p->id);
    row[M_EPISODE] = rows_text(m->out, m->c.episode[i].name);
    row[M_SINCE] = rows_text(m->out, m->c.episode[i].since);
  }
  for (size_t i = 0; i < m->c.froms; i++)
    if (m->c.from[i].episode && make_from(m, &m->c.from[i]) != DMP_OK) return DMP_E_NOMEM;
  return DMP_OK;
}

/* Masks are shown to who may set them: a depositor keeps his document, not the list of what is masked. */
static int mask_make(struct session *s, struct patient *p, struct rows *out) {
  struct making m = { .p = p, .out = out };
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !full) return e;
  e = choices_read(s, p, &m.c);
  if (e == DMP_OK) e = make_episodes(&m);
  if (e == DMP_OK) e = object_scan(s, p, &DEPOSITED, make_mask, &m);
  choices_free(&m.c);
  return e;
}

/* Masking one document must not cost more in a long record. */
static int mask_make_one(struct session *s, struct patient *p, int64_t document, struct rows *out) {
  struct making m = { .p = p, .out = out };
  struct item it;
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !full) return e;
  e = object_open(s, p, document, &it);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  e = choices_read(s, p, &m.c);
  if (e == DMP_OK) e = make_mask(&m, &it);
  choices_free(&m.c);
  item_close(&it);
  return e;
}

static int mask_open(struct session *s, int64_t document, struct patient **p, struct item *it) {
  int e = deposit_find(s, document, p, it);
  if (e != DMP_OK) return e;
  int64_t patient = (*p)->id;
  item_close(it);
  e = holder_begin(s, patient, p);                    /* adopts: the item is opened again where it lies now */
  return e == DMP_OK ? object_open(s, *p, document, it) : e;
}

static int may_move(struct patient *p, const struct item *it) {
  return it->via == VIA_LEAF && patient_leaf(p, it->cls, 0)->held && patient_leaf(p, it->cls, 2)->held ? DMP_OK : DMP_E_NOT_ALLOWED;
}

/* The item, ready to be moved by a full holder who holds both P and M of its class. */
static int mask_begin(struct session *s, int64_t document, struct patient **p, struct item *it) {
  int e = mask_open(s, document, p, it);
  if (e != DMP_OK) return e;
  e = may_move(*p, it);
  if (e != DMP_OK) item_close(it);
  return e;
}

static int mask_item(struct session *s, int64_t document, const int64_t *patient /* NULL: any */) {
  struct patient *p;
  struct item it;
  struct choices c = { 0 };
  int e = mask_begin(s, document, &p, &it);
  if (e != DMP_OK) return e;
  if (patient && *patient != p->id) e = DMP_E_NOT_FOUND;
  else if (it.leaf >= 2) e = DMP_E_MASKED;
  else if (object_unannounced(&it)) e = DMP_E_INVISIBLE_MASKED;
  if (e == DMP_OK) e = choices_read(s, p, &c);
  if (e == DMP_OK) e = episode_move(s, p, &c, &it, it.leaf + 2);
  choices_free(&c);
  if (e == DMP_OK) e = episode_note_mask(s, p, document);
  if (e == DMP_OK) e = access_pend_item(s, p, LOG_MASK, document, deposit_hidden(&it), NULL);
  item_close(&it);
  return e;
}

static int mask_episode(struct session *s, int64_t patient, const char *name, int64_t *rowid) {
  struct patient *p;
  struct choices c = { 0 };
  struct value v = value_text(name);
  int e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = choices_read(s, p, &c);
  if (e == DMP_OK && choices_episode(&c, &v)) e = DMP_E_MASKED;
  choices_free(&c);
  if (e == DMP_OK) e = episode_note_episode(s, p, name, rowid);
  if (e == DMP_OK) e = episode_settle(s, p, &(struct settle){ .only = name });
  return e == DMP_OK ? access_pend_item(s, p, LOG_MASK, *rowid, 1, NULL) : e;
}

/* ---- masks to somebody ---- */

/* Who may: the patient; the treating doctor, but not to leave himself out. */
static int from_allowed(struct session *s, struct patient *p, const struct choices *c, const struct masked_from *m) {
  const struct excluded x = { { m->x }, 1 };
  if (p->id != s->principal && circle_hides(s, p, &x)) return DMP_E_FROM_DOCTOR;
  for (size_t i = 0; i < c->froms; i++) {
    const struct masked_from *f = &c->from[i];
    int same = m->episode ? f->episode && strcmp(f->episode, m->episode) == 0 : f->item == m->item;
    if (same && f->x.kind == m->x.kind && f->x.who == m->x.who) return DMP_E_MASKED_FROM;
  }
  return DMP_OK;
}

static int from_pend(struct session *s, struct patient *p, enum log_action what, const struct masked_from *m, int64_t id) {
  const struct excluded x = { { m->x }, 1 };
  int hidden = circle_hides(s, p, &x);                /* then the line goes into the patient's own chain: nobody else has its key */
  char text[32];
  grantee_text(&m->x, text);
  if (hidden) return access_pend(s, NULL, what, 0, m->item ? m->item : id, text);
  return access_pend_item(s, p, what, m->item ? m->item : id, 1, text);
}

static int mask_item_from(struct session *s, int64_t document, const int64_t *patient, const struct exclusion *x, int64_t *rowid) {
  const struct masked_from m = { .item = document, .x = *x };
  struct patient *p;
  struct item it;
  struct choices c = { 0 };
  int e = mask_open(s, document, &p, &it);
  if (e != DMP_OK) return e;
  if (patient && *patient != p->id) e = DMP_E_NOT_FOUND;
  else if (x->kind == OUT_PERSON && id_from_field(it.c.depositor) == x->who) e = DMP_E_OWN_DEPOSIT;
  if (e == DMP_OK) e = choices_read(s, p, &c);
  if (e == DMP_OK) e = from_allowed(s, p, &c, &m);
  choices_free(&c);
  if (e == DMP_OK) e = may_move(p, &it);              /* after what is refused whether or not he is left out: that would tell it */
  if (e == DMP_OK) e = episode_note_from(s, p, &m, rowid);
  if (e == DMP_OK) e = choices_read(s, p, &c);
  if (e == DMP_OK) e = episode_move(s, p, &c, &it, it.leaf);
  if (e == DMP_OK) e = episode_hide_choices(s, p);
  if (e == DMP_OK) e = from_pend(s, p, LOG_MASK, &m, *rowid);
  choices_free(&c);
  item_close(&it);
  return e;
}

static int mask_episode_from(struct session *s, int64_t patient, const char *name, const struct exclusion *x, int64_t *rowid) {
  const struct masked_from m = { .episode = (char *)name, .x = *x };
  struct patient *p;
  struct choices c = { 0 };
  int e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = choices_read(s, p, &c);
  if (e == DMP_OK) e = from_allowed(s, p, &c, &m);
  choices_free(&c);
  if (e == DMP_OK) e = episode_note_from(s, p, &m, rowid);
  if (e == DMP_OK) e = episode_settle(s, p, &(struct settle){ .only = name });
  if (e == DMP_OK) e = episode_hide_choices(s, p);
  return e == DMP_OK ? from_pend(s, p, LOG_MASK, &m, *rowid) : e;
}

static int unmask_from(struct session *s, int64_t patient, int64_t rowid) {
  struct patient *p;
  struct choices c = { 0 };
  const struct masked_from *m = NULL;
  int e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = choices_read(s, p, &c);
  for (size_t i = 0; e == DMP_OK && i < c.froms; i++)
    if (c.from[i].id == rowid) m = &c.from[i];
  if (e == DMP_OK && m == NULL) e = DMP_E_NOT_FOUND;
  if (e == DMP_OK) e = episode_drop_choice(s, p, rowid);
  if (e == DMP_OK) e = m->episode ? episode_settle(s, p, NULL) : episode_resettle(s, p, m->item, 0);
  if (e == DMP_OK) e = episode_hide_choices(s, p);
  if (e == DMP_OK) e = from_pend(s, p, LOG_UNMASK, m, rowid);
  choices_free(&c);
  return e;
}

static int mask_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t document, patient;
  const char *episode;
  struct exclusion x = { 0 };
  int given, named, e = take_int(v[M_DOCUMENT], &document, &given);
  if (e == DMP_OK) e = take_int(v[M_PATIENT], &patient, &named);
  if (e == DMP_OK) e = take_text(v[M_EPISODE], &episode);
  if (e == DMP_OK && sqlite3_value_type(v[M_SINCE]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK && sqlite3_value_type(v[M_GRANTEE]) != SQLITE_NULL) e = take_grantee(s, v[M_GRANTEE], &x);
  if (e == DMP_OK && given && episode) e = DMP_E_READ_ONLY;   /* one or the other: an item's episode is what its depositor said */
  if (e == DMP_OK && !given && (!episode || !named)) e = DMP_E_MISSING;
  if (e != DMP_OK) return e;
  *rowid = document;
  if (x.kind) return given ? mask_item_from(s, document, named ? &patient : NULL, &x, rowid) : mask_episode_from(s, patient, episode, &x, rowid);
  return given ? mask_item(s, document, named ? &patient : NULL) : mask_episode(s, patient, episode, rowid);
}

static int unmask_item(struct session *s, int64_t document) {
  struct patient *p;
  struct item it;
  struct choices c = { 0 };
  int e = mask_begin(s, document, &p, &it);
  if (e != DMP_OK) return e;
  e = choices_read(s, p, &c);
  if (e == DMP_OK && episode_covers(&c, &it)) e = DMP_E_EPISODE;
  /* what lies in the last leaf only because its class was due was not meant to be hidden from representatives */
  int to = it.leaf == 3 && it.c.flags & ITEM_DIVERTED && !item_hidden_meant(&it) ? 0 : it.leaf - 2;
  if (e == DMP_OK && it.leaf >= 2)                    /* a late item became visible as this write began */
    e = episode_move(s, p, &c, &it, to);
  const struct masked_item *own = e == DMP_OK ? choices_item(&c, document) : NULL;
  if (own) e = episode_drop_choice(s, p, own->id);
  if (e == DMP_OK) e = access_pend_item(s, p, LOG_UNMASK, document, deposit_hidden(&it), NULL);
  choices_free(&c);
  item_close(&it);
  return e;
}

static int unmask_episode(struct session *s, int64_t patient, int64_t rowid) {
  struct patient *p;
  struct choices c = { 0 };
  const char *name = NULL;
  int e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = choices_read(s, p, &c);
  for (size_t i = 0; i < c.episodes; i++)
    if (c.episode[i].id == rowid) name = c.episode[i].name;
  const struct settle w = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .episode = name };
  if (e == DMP_OK && name == NULL) e = DMP_E_NOT_FOUND;
  if (e == DMP_OK) e = episode_drop_choice(s, p, rowid);
  if (e == DMP_OK) e = episode_settle(s, p, &w);
  if (e == DMP_OK) e = access_pend_item(s, p, LOG_UNMASK, rowid, 1, NULL);
  choices_free(&c);
  return e;
}

static int mask_erase(struct session *s, int64_t rowid) {
  struct patient *p;
  struct item it;
  int e = object_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  int64_t patient = p->id;
  int episode = it.c.table == ITEM_EPISODE, from = it.c.table == ITEM_EXCLUSION;
  item_close(&it);
  if (from) return unmask_from(s, patient, rowid);
  return episode ? unmask_episode(s, patient, rowid) : unmask_item(s, rowid);
}

const struct table TABLE_MASK = { .name = "mask", .col = MASK, .columns = M_COLUMNS, .patient_col = M_PATIENT, .id_col = M_DOCUMENT,
                                  .several = 1, .listing = 1, .needs_login = 1, .make = mask_make, .make_one = mask_make_one,
                                  .insert = mask_insert, .erase = mask_erase };

/* ---- episode_suggestion: a row for each item that may belong to an episode, or of which a full holder said so ---- */

enum { G_PATIENT, G_ITEM, G_EPISODE, G_WHY, G_STATE, G_COLUMNS };
static const struct column SUGGESTION[] = {
  [G_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [G_ITEM] = { "item", "INTEGER", COL_PUSH }, [G_EPISODE] = { "episode", "TEXT", 0 },
  [G_WHY] = { "why", "TEXT", 0 }, [G_STATE] = { "state", "TEXT", 0 },   /* proposed, accepted, refused */
};

static int put_pair(struct patient *p, struct rows *out, int64_t item, const char *episode, const char *why, const char *state) {
  struct value *row = rows_add(out, item);
  if (row == NULL) return DMP_E_NOMEM;
  row[G_PATIENT] = value_int(p->id);
  row[G_ITEM] = value_int(item);
  row[G_EPISODE] = rows_text(out, episode);
  row[G_WHY] = rows_text(out, why);
  row[G_STATE] = value_text(state);
  return DMP_OK;
}

/* What was said of an item shows to whom the item does. */
static int put_decided(struct session *s, struct patient *p, struct rows *out, const struct assignment *a) {
  struct item it;
  int e = object_open(s, p, a->item, &it);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  if (!it.deleted) e = put_pair(p, out, a->item, a->episode, NULL, a->accepted ? "accepted" : "refused");
  item_close(&it);
  return e;
}

/* Proposals come item by item: the best one of each that has no episode yet. A refused one shows when there is no other. */
static int put_proposals(struct session *s, struct patient *p, struct rows *out, const struct choices *c, const struct proposals *q) {
  size_t first = out->n;
  int e = DMP_OK;
  for (size_t i = 0, best; e == DMP_OK && i < q->n; i++) {
    for (best = i; i + 1 < q->n && q->p[i + 1].item == q->p[best].item; i++)
      if (q->p[i + 1].why > q->p[best].why) best = i + 1;
    if (choices_assigned(c, q->p[best].item, NULL) == NULL)
      e = put_pair(p, out, q->p[best].item, q->p[best].episode, proposal_text(&q->p[best]), "proposed");
  }
  for (size_t i = 0; e == DMP_OK && i < c->assigns; i++) {
    const struct assignment *a = &c->assign[i];
    int shown = !a->accepted && choices_assigned(c, a->item, NULL) != NULL;
    for (size_t k = first; !shown && k < out->n; k++) shown = out->rowid[k] == a->item;
    if (!shown) e = put_decided(s, p, out, a);
  }
  return e;
}

static int suggestion_make(struct session *s, struct patient *p, struct rows *out) {
  struct choices c = { 0 };
  struct proposals q = { 0 };
  int full, e = holder_is_full(s, p, &full);
  if (e != DMP_OK || !full) return e;
  e = choices_read(s, p, &c);
  if (e == DMP_OK) e = proposals_read(s, p, &c, &q);
  if (e == DMP_OK) e = put_proposals(s, p, out, &c, &q);
  proposals_free(&q);
  choices_free(&c);
  return e;
}

/* What was said about a pair is replaced; the item goes where that leads. */
static int decide(struct session *s, struct patient *p, int64_t item, const char *episode, int accepted) {
  struct choices c;
  struct item it;
  struct value v;
  int e = object_open(s, p, item, &it);
  if (e != DMP_OK) return e;
  if (!item_deposited(it.c.table) || it.deleted || !mark_episode(&it, &v)) e = DMP_E_NOT_FOUND;
  else if (v.type == VALUE_TEXT) e = DMP_E_ASSIGNED;
  item_close(&it);
  if (e != DMP_OK) return e;
  e = choices_read(s, p, &c);
  const struct assignment *now = choices_assigned(&c, item, NULL), *old = choices_assigned(&c, item, episode);
  if (e == DMP_OK && accepted && now && now != old) e = DMP_E_ASSIGNED;
  if (e == DMP_OK && old) e = episode_drop_choice(s, p, old->id);
  if (e == DMP_OK) e = episode_note_assignment(s, p, item, episode, accepted);
  const struct settle w = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .item = old && old->accepted && !accepted ? item : 0 };
  choices_free(&c);
  if (e == DMP_OK) e = episode_settle(s, p, &w);
  return e == DMP_OK ? access_pend_item(s, p, LOG_MASK, item, 1, accepted ? "episode" : "no episode") : e;
}

static int suggestion_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t patient, item;
  const char *episode;
  struct patient *p;
  int given, named, e = take_int(v[G_PATIENT], &patient, &given);
  if (e == DMP_OK) e = take_int(v[G_ITEM], &item, &named);
  if (e == DMP_OK) e = take_text(v[G_EPISODE], &episode);
  if (e == DMP_OK && (!given || !named || !episode)) e = DMP_E_MISSING;
  for (int i = G_WHY; e == DMP_OK && i < G_COLUMNS; i++)
    if (sqlite3_value_type(v[i]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = decide(s, p, item, episode, 1);
  *rowid = item;
  return e;
}

/* The episode that the item's row shows. */
static int shown_episode(struct session *s, struct patient *p, int64_t item, char **episode) {
  struct rows rows = { .columns = G_COLUMNS };
  int e = suggestion_make(s, p, &rows);
  for (size_t i = 0; e == DMP_OK && i < rows.n; i++)
    if (rows.rowid[i] == item) {
      const struct value *v = rows.v + i * G_COLUMNS + G_EPISODE;
      *episode = sqlite3_mprintf("%.*s", (int)v->n, (const char *)v->u.p);
    }
  arena_free(&rows.arena);
  free(rows.v);
  free(rows.rowid);
  return e == DMP_OK && *episode == NULL ? DMP_E_NOT_FOUND : e;
}

static int suggestion_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  const char *state;
  char *episode = NULL;
  struct patient *p;
  struct item it;
  for (int i = 0; i < G_STATE; i++)
    if (!sqlite3_value_nochange(v[i])) return DMP_E_READ_ONLY;
  int e = take_text(v[G_STATE], &state);
  if (e == DMP_OK && (state == NULL || (strcmp(state, "accepted") != 0 && strcmp(state, "refused") != 0))) e = DMP_E_PROPOSAL;
  if (e == DMP_OK) e = deposit_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  int64_t patient = p->id;
  item_close(&it);
  e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = shown_episode(s, p, rowid, &episode);
  if (e == DMP_OK) e = decide(s, p, rowid, episode, strcmp(state, "accepted") == 0);
  sqlite3_free(episode);
  return e;
}

const struct table TABLE_SUGGESTION = { .name = "episode_suggestion", .col = SUGGESTION, .columns = G_COLUMNS, .patient_col = G_PATIENT,
                                        .id_col = G_ITEM, .listing = 1, .needs_login = 1, .make = suggestion_make,
                                        .insert = suggestion_insert, .update = suggestion_update };
