/* notice.c: what somebody is told about a record (see notice.h). */
#include "notice.h"
#include "blocked.h"
#include "directory.h"
#include "document.h"
#include "episode.h"
#include "history.h"
#include "holder.h"
#include "hosting.h"
#include "syntax.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* Who reads: the patient, a representative, or the treating doctor, who is told what he has to do with. */
enum teller { TOLD_NOTHING, TOLD_PATIENT, TOLD_REPRESENTATIVE, TOLD_DOCTOR };
struct telling { struct session *s; struct patient *p; enum teller to; struct notices *out; };

void notice_free(struct notices *v) {
  for (size_t i = 0; i < v->count; i++) sqlite3_free(v->n[i].text);
  free(v->n);
  *v = (struct notices){ 0 };
}

/* about, more: what tells two events of one kind at one time apart. */
static int64_t notice_id(const char *kind, int64_t at, int64_t about, int64_t more) {
  uint8_t b[24 + 32] = { 0 }, h[16];
  size_t n = strlen(kind);
  le_put64(b, (uint64_t)at);
  le_put64(b + 8, (uint64_t)about);
  le_put64(b + 16, (uint64_t)more);
  memcpy(b + 24, kind, n < 32 ? n : 32);
  suite_hash(b, sizeof b, h, 16);
  return (int64_t)(le_get64(h) >> 1);
}

static int tell(struct telling *t, const char *kind, int64_t id, int64_t at, const char *format, ...) {
  struct notices *v = t->out;
  for (size_t i = 0; i < v->count; i++)
    if (v->n[i].id == id) return DMP_OK;
  if (v->count == v->cap) {
    size_t cap = v->cap ? 2 * v->cap : 16;
    struct notice *n = realloc(v->n, cap * sizeof *n);
    if (n == NULL) return DMP_E_NOMEM;
    v->n = n;
    v->cap = cap;
  }
  va_list args;
  va_start(args, format);
  char *text = sqlite3_vmprintf(format, args);
  va_end(args);
  if (text == NULL) return DMP_E_NOMEM;
  v->n[v->count++] = (struct notice){ .id = id, .at = at, .kind = kind, .text = text };
  return DMP_OK;
}

static const char *name_of(struct telling *t, const uint8_t principal[16]) {
  const struct certificate *c = patient_who(t->s, t->p, principal);
  return c ? c->name : "Une personne inconnue";
}

/* ---- from the log ---- */

static int told_before(const struct history *h, size_t i) {
  for (size_t k = 0; k < i; k++)
    if ((h->h[k].l.action == LOG_LIST || h->h[k].l.action == LOG_READ) && memcmp(h->h[k].l.person, h->h[i].l.person, 16) == 0) return 1;
  return 0;
}

static int first_access(struct telling *t, const struct history *h, size_t i) {
  const struct log_line *l = &h->h[i].l;
  int64_t who = id_from_field(l->person);
  if (t->to == TOLD_DOCTOR || who == t->p->id || who == t->s->principal || told_before(h, i)) return DMP_OK;
  const struct certificate *c = patient_who(t->s, t->p, l->person);
  const char *profession = c && c->profession ? profession_display(c->profession) : NULL;
  return tell(t, "first_access", notice_id("first_access", 0, who, 0), l->at, "%s%s%s%s a consulté le dossier pour la première fois",
              name_of(t, l->person), profession ? " (" : "", profession ? profession : "", profession ? ")" : "");
}

static int given_or_taken(struct telling *t, const struct log_line *l) {
  int given = l->action == LOG_CONSENT;
  int64_t whom = id_from_field(l->object), id = notice_id(given ? "given" : "taken", l->at, whom, id_from_field(l->person));
  if (memcmp(l->reason, "representative", 14) == 0)
    return tell(t, "representative", id, l->at, given ? "%s est désormais représentant" : "%s n’est plus représentant", name_of(t, l->object));
  if (id_from_field(l->person) == t->s->principal) return DMP_OK;   /* who did it knows */
  return tell(t, "consent", id, l->at, given ? "%s a donné un accord à %s" : "%s a retiré l’accord donné à %s", name_of(t, l->person), name_of(t, l->object));
}

static int title_of(struct telling *t, int64_t document, char **title) {
  struct item it;
  struct value v[STORED];
  int e = object_open(t->s, t->p, document, &it);
  *title = NULL;
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  if (it.c.table == ITEM_DOCUMENT && !it.deleted && document_sound_values(&it, v) && v[S_TITLE].type == VALUE_TEXT)
    *title = sqlite3_mprintf("%.*s", (int)v[S_TITLE].n, (const char *)v[S_TITLE].u.p);
  item_close(&it);
  return DMP_OK;
}

static int announced(struct telling *t, int64_t document, int64_t at) {
  char *title;
  int e = t->to == TOLD_DOCTOR ? DMP_E_NOT_FOUND : title_of(t, document, &title);
  if (e != DMP_OK) return e == DMP_E_NOT_FOUND ? DMP_OK : e;
  e = tell(t, "announcement", notice_id("announcement", 0, document, 0), at, "Un document est annoncé%s%s", title ? " : " : "", title ? title : "");
  sqlite3_free(title);
  return e;
}

static int from_line(struct telling *t, const struct history *h, size_t i) {
  const struct log_line *l = &h->h[i].l;
  switch (l->action) {
    case LOG_LIST:
    case LOG_READ: return first_access(t, h, i);
    case LOG_CONSENT:
    case LOG_WITHDRAW: return given_or_taken(t, l);
    case LOG_ANNOUNCE: return announced(t, id_from_field(l->object), l->at);
    case LOG_ROTATE: return tell(t, "rotation", notice_id("rotation", l->at, 0, 0), l->at, "Des clés qui devaient l’être ont été changées");
    default: return DMP_OK;
  }
}

static int is_change(unsigned action) { return action == LOG_CONSENT || action == LOG_WITHDRAW || action == LOG_TREATING || action == LOG_ROTATE; }

/* ---- from the keyset, the list, the certificates, the hosting ---- */

static int owed(struct telling *t, const struct history *h) {
  struct keyset *k;
  unsigned due = 0;
  int64_t at = 0;
  int e = patient_keyset(t->s, t->p, &k);
  for (size_t i = 0; e == DMP_OK && i < k->n; i++) due += k->c[i].due != 0;
  if (e != DMP_OK || due == 0) return e;
  for (size_t i = 0; i < h->n; i++)
    if (is_change(h->h[i].l.action)) at = h->h[i].l.at;
  return tell(t, "owed", notice_id("owed", at, (int64_t)k->seq, 0), at,
              "Les clés de %u classe%s de documents seront changées à la prochaine connexion du patient ; jusque-là, ce qui s’y dépose est masqué",
              due, due > 1 ? "s" : "");
}

/* What was kept from the patient for a month shows by the date alone: no line says so. */
static int take_shown(void *ctx, struct item *it) {
  struct telling *t = ctx;
  if (!(it->c.flags & ITEM_INVISIBLE) || it->announced || it->deleted || object_unannounced(it)) return DMP_OK;
  return announced(t, it->id, syntax_month_later(id_time(it->id)));
}

static int by_date(struct telling *t) {
  const struct scan hidden = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .hidden = 1 };
  return t->to == TOLD_PATIENT ? object_scan(t->s, t->p, &hidden, take_shown, t) : DMP_OK;
}

static int ended(struct telling *t) {
  struct grantees gs = { 0 };
  int e = t->to == TOLD_REPRESENTATIVE ? DMP_OK : grantees_read(t->s, t->p, &gs);
  for (size_t i = 0; e == DMP_OK && i < gs.n; i++) {
    const struct grantee *g = &gs.g[i];
    if (grantee_owed(t->s, t->p, g) != OWED_ENDED) continue;
    if (g->as == READER_REPRESENTATIVE)
      e = tell(t, "representative", notice_id("over", g->until, id_from_field(g->principal), 0), g->until, "%s n’est plus représentant : son terme est passé",
               name_of(t, g->principal));
    else
      e = tell(t, "consent", notice_id("over", g->until, id_from_field(g->principal), 0), g->until, "L’accord donné à %s est arrivé à son terme",
               name_of(t, g->principal));
  }
  grantees_free(&gs);
  return e;
}

/* Of those who hold something of the patient, or may still deposit: what the authority did with their certificates since they came. */
static int certified(struct telling *t) {
  static const char *const WHAT[] = { [ENTRY_CHANGED] = "L’autorité a changé ce que dit le certificat de %s", [ENTRY_RENEWED] = "%s a une nouvelle clé, signée par l’autorité",
                                      [ENTRY_REVOKED] = "Le certificat de %s est révoqué", [ENTRY_RESTORED] = "Le certificat de %s vaut de nouveau",
                                      [ENTRY_DISCONTINUOUS] = "Un certificat a été fait au nom de %s sans suivre le sien : il ne vaut rien" };
  struct directory *dir = &t->s->dir;
  struct grantees gs = { 0 };
  int e = t->to == TOLD_REPRESENTATIVE ? DMP_OK : grantees_read(t->s, t->p, &gs);
  for (size_t i = 0; e == DMP_OK && gs.n && i < dir->n; i++) {
    const struct certificate *c = &dir->all[i];
    enum entry_state state = directory_entry(dir, i);
    const struct grantee *g = grantees_find(&gs, c->principal);
    if (g == NULL || c->not_before < g->since || state >= sizeof WHAT / sizeof *WHAT || WHAT[state] == NULL) continue;
    e = tell(t, "certificate", notice_id("certificate", c->not_before, id_from_field(c->principal), (int64_t)c->log_index), c->not_before, WHAT[state],
             name_of(t, c->principal));
  }
  grantees_free(&gs);
  return e;
}

/* Whoever was registered anew under the number of somebody who holds something of the patient, or, for the patient, is blocked or left out by a mask. */
static int told_anew(struct telling *t, const struct certificate *c, const uint8_t before[16]) {
  if (!directory_same_number(&t->s->dir, c->principal, before) || session_who(t->s, before)->not_before > c->not_before) return DMP_OK;
  return tell(t, "certificate", notice_id("anew", c->not_before, id_from_field(c->principal), id_from_field(before)), c->not_before,
              "Quelqu’un est de nouveau enregistré sous le numéro de %s : ce qui est masqué à l’un l’est à l’autre, un accord donné à l’un ne vaut pas pour l’autre",
              name_of(t, before));
}

static int registered_anew(struct telling *t) {
  struct directory *dir = &t->s->dir;
  struct grantees gs = { 0 };
  struct choices c = { 0 };
  int64_t *blocked = NULL;
  size_t blocks = 0;
  uint8_t field[16];
  int e = t->to == TOLD_REPRESENTATIVE ? DMP_OK : grantees_read(t->s, t->p, &gs);
  if (e == DMP_OK && t->to == TOLD_PATIENT) e = choices_read(t->s, t->p, &c);
  if (e == DMP_OK && t->to == TOLD_PATIENT) e = blocked_all(t->s, t->p, &blocked, &blocks);
  for (size_t i = 0; e == DMP_OK && t->to != TOLD_REPRESENTATIVE && i < dir->n; i++) {
    const struct certificate *who = &dir->all[i];
    if (who->serial || directory_entry(dir, i) != ENTRY_FIRST || who->not_before < id_time(t->p->id)) continue;
    for (size_t k = 0; e == DMP_OK && k < gs.n; k++) e = told_anew(t, who, gs.g[k].principal);
    for (size_t k = 0; e == DMP_OK && k < c.froms + blocks; k++) {
      if (k < c.froms && c.from[k].x.kind != OUT_PERSON) continue;
      id_field(field, k < c.froms ? c.from[k].x.who : blocked[k - c.froms]);
      e = told_anew(t, who, field);
    }
  }
  free(blocked);
  choices_free(&c);
  grantees_free(&gs);
  return e;
}

static int hosted(struct telling *t) {
  struct hostings all = { 0 };
  int e = t->to == TOLD_DOCTOR ? DMP_OK : hosting_read(t->s, &all);
  for (size_t i = 0; e == DMP_OK && i < all.n; i++) {
    const struct hosting *h = &all.h[i];
    if (h->recorded < id_time(t->p->id)) continue;    /* it was so when the record was opened */
    e = tell(t, "hosting", notice_id("hosting", h->recorded, (int64_t)h->seq, 0), h->recorded, "Le dossier est conservé par %s (%s), à %s%s%s", h->name,
             h->operator, h->place, *h->since ? ", depuis le " : "", h->since);
  }
  hosting_free(&all);
  return e;
}

/* ---- what somebody has seen: one item of his own, a blob of the notices' numbers ---- */

static int told_what(struct session *s, struct patient *p, enum teller *to) {
  int full, e = holder_is_full(s, p, &full);
  *to = TOLD_NOTHING;
  if (e != DMP_OK || !patient_leaf(p, CLASS_NOTICES, 0)->held) return e;
  *to = p->id == s->principal ? TOLD_PATIENT : full ? TOLD_DOCTOR : TOLD_REPRESENTATIVE;
  return DMP_OK;
}

static const struct scan NOTICES = { .first = CLASS_NOTICES, .last = CLASS_NOTICES };
struct seen_search { struct session *s; struct patient *p; struct item found; };

static int take_seen(void *ctx, struct item *it) {
  struct seen_search *q = ctx;
  if (it->c.table != ITEM_SEEN || q->found.id || memcmp(it->c.depositor, q->s->cred->principal, 16) != 0) return DMP_OK;
  int e = object_verify(q->s, q->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;
  q->found = *it;
  memset(it, 0, sizeof *it);
  return DMP_OK;
}

/* The numbers lie in the item. */
static int seen_ids(struct seen_search *q, const uint8_t **ids, size_t *n) {
  struct value v;
  size_t count, used;
  *n = 0;
  int e = object_scan(q->s, q->p, &NOTICES, take_seen, q);
  if (e != DMP_OK || q->found.id == 0) return e;
  e = row_get(q->found.c.row, q->found.c.row_len, &v, 1, &count, &used);
  if (e == DMP_OK && (v.type != VALUE_BLOB || v.n % 8)) e = DMP_E_ROW_FORMAT;
  if (e == DMP_OK) {
    *ids = v.u.p;
    *n = v.n / 8;
  }
  return e;
}

static int mark_seen(struct session *s, struct patient *p, struct notices *out) {
  struct seen_search q = { .s = s, .p = p };
  const uint8_t *ids = NULL;
  size_t n;
  int e = seen_ids(&q, &ids, &n);
  for (size_t i = 0; e == DMP_OK && i < out->count; i++)
    for (size_t k = 0; k < n; k++) out->n[i].seen |= (int64_t)le_get64(ids + 8 * k) == out->n[i].id;
  item_close(&q.found);
  return e;
}

int notice_see(struct session *s, struct patient *p, int64_t id, int seen) {
  const struct signer me = { s->cred, s->me.hash };
  struct seen_search q = { .s = s, .p = p };
  struct buf list = { 0 }, row = { 0 };
  struct content c = { .table = ITEM_SEEN };
  const uint8_t *ids = NULL;
  enum teller to;
  size_t n = 0;
  int64_t made = 0;
  int e = told_what(s, p, &to);
  if (e == DMP_OK && to == TOLD_NOTHING) e = DMP_E_NOT_FOUND;
  if (e == DMP_OK) e = seen_ids(&q, &ids, &n);
  for (size_t i = 0; i < n; i++)
    if ((int64_t)le_get64(ids + 8 * i) != id) buf_put(&list, ids + 8 * i, 8);
  if (seen) buf_u64(&list, (uint64_t)id);
  const struct value v = value_bytes(VALUE_BLOB, list.n ? list.p : (const uint8_t *)"", list.n);
  row_put(&row, &v, 1);
  c.row = row.p;
  c.row_len = row.n;
  if (e == DMP_OK && (row.bad || list.bad)) e = DMP_E_NOMEM;
  /* what the patient and the treating doctor have seen tells of what is hidden from representatives */
  const struct place where = { CLASS_NOTICES, to == TOLD_REPRESENTATIVE ? 0 : 1, 0, 0 };
  if (e == DMP_OK) e = q.found.id ? object_rewrite(s, p, &q.found, &row) : object_insert(s, p, &me, where, &c, NULL, &made);
  item_close(&q.found);
  buf_free(&list);
  buf_free(&row);
  return e;
}

static int by_time(const void *a, const void *b) {
  const struct notice *x = a, *y = b;
  if (x->at != y->at) return (x->at > y->at) - (x->at < y->at);
  return (x->id > y->id) - (x->id < y->id);
}

int notice_read(struct session *s, struct patient *p, struct notices *out) {
  struct telling t = { .s = s, .p = p, .out = out };
  struct history h = { 0 };
  *out = (struct notices){ 0 };
  int e = told_what(s, p, &t.to);
  if (e != DMP_OK || t.to == TOLD_NOTHING) return e;
  e = history_read(s, p, 0, &h);
  for (size_t i = 0; e == DMP_OK && i < h.n; i++) e = from_line(&t, &h, i);
  if (e == DMP_OK) e = owed(&t, &h);
  if (e == DMP_OK) e = by_date(&t);
  if (e == DMP_OK) e = ended(&t);
  if (e == DMP_OK) e = certified(&t);
  if (e == DMP_OK) e = registered_anew(&t);
  if (e == DMP_OK) e = hosted(&t);
  if (e == DMP_OK) e = mark_seen(s, p, out);
  history_free(&h);
  if (out->count > 1) qsort(out->n, out->count, sizeof *out->n, by_time);
  return e;
}
