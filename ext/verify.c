/* verify.c: checks (see verify.h). */
#include "verify.h"
#include "access.h"
#include "audit.h"
#include "body.h"
#include "deposit.h"
#include "follow.h"
#include "history.h"
#include "holder.h"
#include "hosting.h"
#include "team.h"
#include "table.h"
#include "verify_protect.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { V_PLACE, V_ROW, V_PATIENT, V_KIND, V_WHAT, V_SCHEMA, V_COLUMNS };
static const char DECLARATION[] = "CREATE TABLE x(place TEXT, \"row\" INTEGER, patient INTEGER, kind TEXT, what TEXT, schema TEXT HIDDEN)";

/* A row of the file that belongs to a patient of this login: only certain writers are believed about it. */
struct mine { uint16_t table; int64_t id, patient; int met; };
/* Whose blocks count for a patient: those who hold a grant, or held one, as a full holder's list says. */
struct writer { int64_t patient; uint8_t tag[16]; };
/* The keys under which a patient signed blocks. */
struct writer_key { uint8_t tag[16], pk[32]; };

struct check {
  struct session *s;
  struct rows out;
  struct audit audit;
  struct mine *mine; size_t mines, mine_cap;
  struct writer *writer; size_t writers, writer_cap;
  struct writer_key *key; size_t keys, key_cap;
  struct history history; uint8_t *history_met;       /* of the patient being checked, for a full holder */
  int full;
  int64_t patient;                                    /* being checked; 0 */
  int oom;
};

static void finding(void *ctx, const char *place, int64_t row, const char *kind, const char *what) {
  struct check *c = ctx;
  struct value *v = rows_add(&c->out, (int64_t)c->out.n + 1);
  if (v == NULL) {
    c->oom = 1;
    return;
  }
  v[V_PLACE] = rows_text(&c->out, place);
  if (row) v[V_ROW] = value_int(row);
  if (c->patient) v[V_PATIENT] = value_int(c->patient);
  v[V_KIND] = value_text(kind);
  v[V_WHAT] = rows_text(&c->out, what);
}

/* The fault that a call has just left in the record. */
static void fault(void *ctx, int e, const char *place) {
  struct check *c = ctx;
  int rc;
  struct fault f = c->s->r->fault;
  c->s->r->fault.table = NULL;
  char *text = connection_error(c->s->r, c->s->r->db, e, &rc);
  finding(c, f.table ? f.table : place, f.row, "fault", text ? text : "out of memory");
  sqlite3_free(text);
}

/* ---- the log ---- */

static const uint8_t *writer_key(void *ctx, const uint8_t tag[16]) {
  struct check *c = ctx;
  struct session *s = c->s;
  uint8_t t[16];
  for (size_t i = 0; i < s->dir.n; i++) {
    access_writer_tag(s->cred->directory, &s->dir.all[i], t);
    const struct certificate *w = memcmp(t, tag, 16) == 0 ? directory_by_hash(&s->dir, s->dir.all[i].hash) : NULL;
    if (w) return w->sign_pk;
  }
  for (size_t i = 0; i < c->keys; i++)
    if (memcmp(c->key[i].tag, tag, 16) == 0) return c->key[i].pk;
  return NULL;
}

static void log_fault(void *ctx, int64_t block, const char *what) { finding(ctx, "access log block", block, "fault", what); }

static void log_row(void *ctx, const struct log_row *row, enum log_kind outcome, const uint8_t *tag) {
  struct check *c = ctx;
  audit_add(&c->audit, row, outcome, tag);
}

static int by_mine(const void *a, const void *b) {
  const struct mine *x = a, *y = b;
  if (x->table != y->table) return x->table - y->table;
  return (x->id > y->id) - (x->id < y->id);
}

/* About a patient's rows a block counts whose writer this login knows and, where it knows the list, who is on it: anybody else
 * could sign what he likes about rows that he never held. */
struct believing { const struct check *c; int64_t patient; };

static int is_believed(void *ctx, const struct audit_entry *e) {
  const struct believing *b = ctx;
  int listed = 0, found = 0;
  if (!e->known) return 0;
  for (size_t i = 0; i < b->c->writers; i++) {
    if (b->c->writer[i].patient != b->patient) continue;
    listed = 1;
    found |= memcmp(b->c->writer[i].tag, e->tag, 16) == 0;
  }
  return !listed || found;
}

static void row_verdict(struct check *c, const char *place, int64_t row, enum audit_verdict v) {
  static const char *const WHAT[] = {
    [AUDIT_UNLOGGED] = "the row was written without a line in the access log, or by somebody who may not",
    [AUDIT_DIFFERENT] = "the row is not the one that the access log says was written last: altered, dropped or put back",
    [AUDIT_PUT_BACK] = "the access log says that an older row was put back",
  };
  if (v != AUDIT_SAME) finding(c, place, row, "fault", WHAT[v]);
}

static enum audit_verdict judge(struct check *c, uint16_t table, int64_t id, const uint8_t *hash) {
  struct mine key = { .table = table, .id = id };
  struct mine *m = c->mines ? bsearch(&key, c->mine, c->mines, sizeof *c->mine, by_mine) : NULL;
  struct believing b = { c, m ? m->patient : 0 };
  enum audit_verdict v = audit_judge(&c->audit, table, id, hash, NULL, NULL);
  if (m) m->met = 1;
  return v == AUDIT_SAME && m ? audit_judge(&c->audit, table, id, hash, is_believed, &b) : v;
}

struct rows_walk { struct check *c; sqlite3_stmt *st; uint16_t table; const char *place; int64_t *ids; size_t n, cap; };

static int keep_id(struct rows_walk *w, int64_t id) {
  if (w->n == w->cap) {
    size_t cap = w->cap ? 2 * w->cap : 1024;
    int64_t *p = realloc(w->ids, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    w->ids = p;
    w->cap = cap;
  }
  w->ids[w->n++] = id;
  return DMP_OK;
}

static int by_id(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void row_gone(void *ctx, const struct audit_entry *e) {
  struct rows_walk *w = ctx;
  if (e->table != w->table || (w->n && bsearch(&e->id, w->ids, w->n, sizeof *w->ids, by_id))) return;
  row_verdict(w->c, w->place, e->id, judge(w->c, e->table, e->id, NULL));
}

static int rows_against_log(struct check *c, enum record_stmt which, uint16_t table, const char *place) {
  struct rows_walk w = { c, record_stmt(c->s->r, which), table, place, NULL, 0, 0 };
  int rc = SQLITE_DONE, e = DMP_OK;
  if (w.st == NULL) return record_sql_fault(c->s->r);
  while (e == DMP_OK && (rc = sqlite3_step(w.st)) == SQLITE_ROW) {
    uint8_t h[16];
    int64_t id = sqlite3_column_int64(w.st, 0);
    suite_hash(sqlite3_column_blob(w.st, 1), (size_t)sqlite3_column_bytes(w.st, 1), h, 16);
    row_verdict(c, place, id, judge(c, table, id, h));
    e = keep_id(&w, id);
  }
  sqlite3_reset(w.st);
  if (e == DMP_OK && rc != SQLITE_DONE) e = record_sql_fault(c->s->r);
  if (w.n > 1) qsort(w.ids, w.n, sizeof *w.ids, by_id);
  if (e == DMP_OK) audit_each(&c->audit, row_gone, &w);
  free(w.ids);
  return e;
}

static int check_teams(struct check *c);

static int check_log(struct check *c) {
  const struct log_check lc = { writer_key, log_fault, log_row, c };
  int e = access_counts(c->s);
  if (e == DMP_OK && (e = log_verify(c->s->r->log, &lc)) == DMP_E_LOG_FORMAT) {
    fault(c, e, "access log");
    return DMP_OK;
  }
  if (e != DMP_OK) return e;
  audit_sort(&c->audit);
  if (c->mines > 1) qsort(c->mine, c->mines, sizeof *c->mine, by_mine);
  e = rows_against_log(c, STMT_STATE_ALL, IN_STATE, "dmp_state");
  if (e == DMP_OK) e = rows_against_log(c, STMT_KEYSET_ALL, IN_KEYSET, "dmp_keyset");
  return e == DMP_OK ? check_teams(c) : e;
}

/* ---- people ---- */

/* ---- teams ---- */

static void team_line(void *ctx, int64_t row, const uint8_t *box, size_t n) {
  struct rows_walk *w = ctx;
  uint8_t h[16];
  suite_hash(box, n, h, 16);
  row_verdict(w->c, w->place, row, judge(w->c, IN_TEAM, row, h));
  if (keep_id(w, row) != DMP_OK) w->c->oom = 1;
}

/* Each team's chain proves, and its lines are those that the log says were written: also the last ones, which no later line leads to. */
static int check_teams(struct check *c) {
  struct rows_walk w = { c, NULL, IN_TEAM, "dmp_certificate", NULL, 0, 0 };
  struct session *s = c->s;
  int e = teams_refresh(s, NULL);
  for (size_t i = 0; e == DMP_OK && i < s->teams.n; i++) {
    const struct team *t;
    int bad = team_get(s, s->teams.t[i]->id, &t);
    if (bad == DMP_E_TEAM_BAD) fault(c, bad, "dmp_certificate");
    else if (bad != DMP_OK && bad != DMP_E_NO_PRINCIPAL) e = bad;
    else if (t->foreign || (bad != DMP_OK && t->lines)) finding(c, "dmp_certificate", 0, "fault", "lines about a team's members that nobody may write, or twice: they are ignored");
  }
  if (e == DMP_OK) e = team_each_line(s, team_line, &w);
  if (w.n > 1) qsort(w.ids, w.n, sizeof *w.ids, by_id);
  if (e == DMP_OK) audit_each(&c->audit, row_gone, &w);
  free(w.ids);
  return e;
}

static int check_hosting(struct check *c) {
  struct hostings all;
  int e = hosting_read(c->s, &all);
  if (e == DMP_OK && all.broken) finding(c, "dmp_certificate", 0, "fault", "an entry of the hosting is missing, or was not signed by the authority");
  hosting_free(&all);
  return e;
}

/* Read again from the file: what the session keeps is as old as its login. */
static int check_directory(struct check *c) {
  struct session *s = c->s;
  struct directory dir = { 0 };
  dir.seen = s->dir.seen;
  memcpy(dir.last, s->dir.last, 32);
  int e = directory_load(s->r, s->cred->directory, s->cred->authority, &dir);
  if (e == DMP_OK) e = directory_held(&dir);
  for (size_t i = 0; e == DMP_OK && i < dir.n; i++)
    switch (directory_entry(&dir, i)) {
      case ENTRY_UNSIGNED: finding(c, "dmp_certificate", 0, "fault", "a certificate of the directory does not verify"); break;
      case ENTRY_DISCONTINUOUS:
        finding(c, "dmp_certificate", 0, "fault", "a certificate was issued in somebody's place without a signature of the key before it: nothing is sealed to it");
        break;
      default: break;
    }
  directory_free(&dir);
  if (e != DMP_OK && e != DMP_E_NOMEM && e != DMP_E_SQL) {
    fault(c, e, "dmp_certificate");
    e = DMP_OK;
  }
  if (e == DMP_OK) e = check_hosting(c);
  if (s->inbox_refused) finding(c, "dmp_grant", 0, "fault", "first grants that did not prove were found in the inbox and dropped");
  return e;
}

/* ---- one patient ---- */

static int mine_add(struct check *c, uint16_t table, int64_t row) {
  if (c->mines == c->mine_cap) {
    size_t cap = c->mine_cap ? 2 * c->mine_cap : 64;
    struct mine *p = realloc(c->mine, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    c->mine = p;
    c->mine_cap = cap;
  }
  c->mine[c->mines++] = (struct mine){ table, row, c->patient, 0 };
  return DMP_OK;
}

static int writer_add(struct check *c, const struct certificate *who) {
  if (c->writers == c->writer_cap) {
    size_t cap = c->writer_cap ? 2 * c->writer_cap : 64;
    struct writer *p = realloc(c->writer, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    c->writer = p;
    c->writer_cap = cap;
  }
  struct writer *w = &c->writer[c->writers++];
  w->patient = c->patient;
  access_writer_tag(c->s->cred->directory, who, w->tag);
  return DMP_OK;
}

static int key_add(struct check *c, const struct certificate *who) {
  if (c->keys == c->key_cap) {
    size_t cap = c->key_cap ? 2 * c->key_cap : 64;
    struct writer_key *p = realloc(c->key, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    c->key = p;
    c->key_cap = cap;
  }
  struct writer_key *k = &c->key[c->keys++];
  access_writer_tag(c->s->cred->directory, who, k->tag);
  memcpy(k->pk, who->sign_pk, 32);
  return DMP_OK;
}

/* Calls add with each certificate of somebody, back to the first. */
static int certificates_add(struct check *c, struct patient *p, const uint8_t principal[16], int (*add)(struct check *c, const struct certificate *who)) {
  int e = DMP_OK;
  for (const struct certificate *w = patient_who(c->s, p, principal); e == DMP_OK && w; w = w->serial ? patient_who_hash(c->s, p, w->previous) : NULL)
    e = add(c, w);
  return e;
}

/* Whose keys are to be turned, and why. */
static void check_owed(struct check *c, struct patient *p, const struct grantee *g) {
  static const char *const WHAT[] = {
    [OWED_ENDED] = "a consent is over: the keys it gave are to be turned at the patient's next login",
    [OWED_REVOKED] = "the certificate of somebody who holds keys was revoked: they are to be turned at the patient's next login",
    [OWED_RENEWED] = "somebody who holds keys has another key of his own, or another profession: they are to be turned at the patient's next login",
  };
  enum owed why = grantee_owed(c->s, p, g);
  if (why == OWED_ENDED && g->as == READER_REPRESENTATIVE)
    finding(c, "dmp_grant", 0, "owed", "a representative's time is over: the keys he held are to be turned at the patient's next login");
  else if (why != OWED_NOTHING)
    finding(c, "dmp_grant", 0, "owed", WHAT[why]);
}

/* The states of the leaves that this login holds, and, for a full holder, who may have written them. */
static int check_attribution(struct check *c, struct patient *p) {
  struct grantees gs = { 0 };
  struct state st;
  const struct certificate **who = NULL;
  size_t people = 0;
  struct way w[2];
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < p->g.count; i++)
    for (size_t k = 0, n = entry_ways(p, &p->g.entry[i], w); e == DMP_OK && k < n; k++)
      if (state_get(c->s, p->id, w[k].l, &st) == DMP_OK) e = mine_add(c, IN_STATE, st.row);   /* else the scan reports it */
  if (e != DMP_OK || !c->full) return e;
  e = grantees_read(c->s, p, &gs);
  if (e == DMP_OK) e = grantees_people(c->s, p, &gs, &who, &people);
  for (size_t i = 0; e == DMP_OK && i < people; i++) e = certificates_add(c, p, who[i]->principal, writer_add);
  free(who);
  for (size_t i = 0; e == DMP_OK && i < gs.n; i++) {
    check_owed(c, p, &gs.g[i]);
  }
  grantees_free(&gs);
  return e;
}

static int check_keysets(struct check *c, struct patient *p) {
  struct keyset *k = malloc(2 * sizeof *k);
  const struct certificate *by = patient_first_certificate(c->s, p);
  struct buf raw = { 0 };
  int e = k == NULL ? DMP_E_NOMEM : by == NULL ? DMP_E_CERT_BAD : certificates_add(c, p, by->principal, key_add);
  for (uint64_t seq = 0; e == DMP_OK && seq <= p->g.seq; seq++) {
    e = keyset_get(c->s, p->id, p->yk, seq, &k[1], &raw);
    if (e == DMP_E_NOT_FOUND) e = DMP_E_KEYSET_OLD;
    if (e == DMP_OK) e = patient_keyset_step(c->s, p, &by, seq ? &k[0] : NULL, &k[1], &raw);
    if (e == DMP_OK) k[0] = k[1];
    if (e == DMP_OK) e = mine_add(c, IN_KEYSET, k[1].row);
  }
  buf_free(&raw);
  free(k);
  return e;
}

static void scan_bad(void *ctx, int e) { fault(ctx, e, "dmp_object"); }

/* Every chunk is opened, in pieces: nothing of it is kept. */
static int check_body(struct check *c, struct patient *p, const struct item *it) {
  struct buf b = { 0 };
  struct body body;
  uint64_t boxes = c->s->boxes_opened;
  int e = body_check(c->s, p, it, &body);
  for (uint64_t at = 0; e == DMP_OK && at < it->c.body_size; at += DMP_CHUNK) {
    buf_reset(&b);
    e = body_read(c->s, &body, at, DMP_CHUNK, &b);
  }
  buf_free(&b);
  body_close(&body);
  if (c->s->principal == p->id && follow_withheld(c->s, p, it)) c->s->boxes_opened = boxes;   /* the patient's counts don't tell */
  return e;
}

/* A full holder's log says who deposited each document: one in the place of another is seen, whoever signed it, also when who
 * replaced it logged a deposit of his own. */
static void check_deposit_line(struct check *c, const struct item *it) {
  int found = 0, other = 0;
  for (size_t i = 0; i < c->history.n; i++) {
    const struct log_line *l = &c->history.h[i].l;
    if (l->action != LOG_DEPOSIT || id_from_field(l->object) != it->id) continue;
    found = 1;
    other |= memcmp(l->person, it->c.depositor, 16) != 0;
    c->history_met[i] = 1;
  }
  if (!found) finding(c, "dmp_object", it->id, "fault", "no line of the access log says that this document was deposited");
  else if (other) finding(c, "dmp_object", it->id, "fault", "the access log says that somebody else deposited this document: it was replaced");
}

static int check_item(struct check *c, struct patient *p, struct item *it) {
  int document = it->c.table == ITEM_DOCUMENT, deposited = item_deposited(it->c.table);
  int e = document ? check_body(c, p, it) : deposited || it->c.table == ITEM_SEEN ? object_verify(c->s, p, it) : it->c.table == ITEM_PATIENT ? object_certified(c->s, p, it) : object_trusted(c->s, p, it);
  if (e == DMP_E_NOMEM) return e;
  if (e != DMP_OK) fault(c, e, "dmp_object");
  if (deposited && !deposit_sound(it)) finding(c, "dmp_object", it->id, "fault", "the document's row makes no sense: it is shown to nobody");
  if (deposited && it->via != VIA_OWN && deposit_class(it) != it->cls)
    finding(c, "dmp_object", it->id, "fault", "the item lies in another rights class than its type asks for");
  if (it->amend.n && !it->amended) finding(c, "dmp_object", it->id, "fault", "an amendment is not signed by the depositor: it is ignored");
  if (deposited && c->full) check_deposit_line(c, it);
  return DMP_OK;
}

static int each_item(void *ctx, struct item *it) {
  struct check *c = ctx;
  struct patient *p;
  int e = patient_get(c->s, c->patient, &p);
  return e == DMP_OK ? check_item(c, p, it) : e;
}

/* The keyset's public deposit keys are those that the keys held derive. */
static void check_deposit_keys(struct check *c, struct patient *p, const struct keyset *k) {
  for (size_t i = 0; i < k->n; i++)
    for (int l = 0; l < LEAVES; l++) {
      struct leaf *leaf = patient_leaf(p, k->c[i].cls, l);
      if (!leaf->held) continue;
      leaf_deposit_pair(leaf);
      if (memcmp(leaf->deposit_pk, k->c[i].deposit[l], 32) != 0)
        finding(c, "dmp_keyset", 0, "fault", "a deposit key of the keyset is not the one that its compartment's key derives");
    }
}

static int check_history(struct check *c, struct patient *p) {
  int e = history_read(c->s, p, 1, &c->history);
  if (e == DMP_OK && c->history.foreign) finding(c, "access log", 0, "fault", "lines of the access log were written by somebody else than they name");
  c->history_met = calloc(c->history.n + 1, 1);
  return c->history_met == NULL ? DMP_E_NOMEM : e;
}

/* What was deposited must be there, deleted or not; the patient holds every class. A transaction undone deposited nothing. */
static int check_history_met(struct check *c) {
  int e = DMP_OK;
  if (c->s->principal != c->patient) return e;
  for (size_t i = 0; e == DMP_OK && i < c->history.n; i++) {
    enum log_kind outcome;
    if (c->history.h[i].l.action != LOG_DEPOSIT || c->history_met[i]) continue;
    e = log_outcome(c->s->r->log, c->history.h[i].block, &outcome);
    if (e == DMP_OK && outcome == LOG_DONE)
      finding(c, "dmp_object", id_from_field(c->history.h[i].l.object), "fault", "a document was deposited and is not there any more");
  }
  return e;
}

/* For who may know of them: circles whose key is not with those, and only those, who should have it. */
static int check_circles(struct check *c, struct patient *p) {
  struct change change;
  int e = change_begin(c->s, p, &change);
  for (size_t i = 0; e == DMP_OK && i < change.circles.n; i++)
    if (circle_is_due(&change, &change.circles.c[i]))
      finding(c, "dmp_object", 0, "owed", "the key of a circle, made by a mask to certain people, is to be turned at the patient's next login");
    else if (c->s->principal == c->patient && !circle_held(p, &change.circles.c[i]))
      finding(c, "dmp_grant", 0, "fault", "the key of a circle, made by a mask to certain people, is missing");
  change_end(&change);
  return e;
}

/* For who can settle it: what a write, or the patient's next login, will move. */
static int check_unsettled(struct check *c, struct patient *p) {
  size_t items = 0;
  int e = c->full ? holder_unsettled(c->s, p, 1, &items) : DMP_OK;
  if (e == DMP_OK && items) finding(c, "dmp_object", 0, "owed", "items wait for the patient's next login, or a write of a full holder, to lie where the masks of episodes want them");
  return e;
}

static int told(struct check *c, int e) {
  if (e == DMP_OK || e == DMP_E_NOMEM || e == DMP_E_SQL) return e;
  fault(c, e, "dmp_grant");
  return DMP_OK;
}

static int check_patient(struct check *c, int64_t id) {
  const struct scan all = { .first = 0, .last = UINT16_MAX, .own = 1, .all = 1, .bad = scan_bad };
  struct patient *p;
  struct keyset *k;
  c->patient = id;
  int e = patient_get(c->s, id, &p);
  if (e == DMP_OK) e = check_keysets(c, p);
  if (e == DMP_OK) e = patient_keyset(c->s, p, &k);
  for (size_t i = 0; e == DMP_OK && i < k->n; i++)
    if (k->c[i].due | k->c[i].left) finding(c, "dmp_keyset", 0, "owed", "the keys of a rights class are to be turned at the patient's next login");
  if (e == DMP_OK) check_deposit_keys(c, p, k);
  if (e == DMP_OK) e = holder_is_full(c->s, p, &c->full);
  /* a fault met on the way is told, and the scan, which names every row, goes on */
  if (e == DMP_OK) e = told(c, check_attribution(c, p));
  if (e == DMP_OK) {
    int lines = check_history(c, p);
    if (lines != DMP_OK) c->full = 0;                 /* half a history proves nothing about deposits */
    e = told(c, lines);
  }
  if (e == DMP_OK) e = object_scan(c->s, p, &all, each_item, c);
  if (e == DMP_OK) e = check_history_met(c);
  if (e == DMP_OK) e = check_unsettled(c, p);
  if (e == DMP_OK && c->full) e = check_circles(c, p);
  e = told(c, e);
  c->patient = 0;
  history_free(&c->history);
  free(c->history_met);
  c->history_met = NULL;
  return e;
}

static int check_all(struct check *c) {
  int e = patient_own(c->s);
  if (e == DMP_OK) e = check_directory(c);
  for (size_t i = 0; e == DMP_OK && i < c->s->owns; i++)
    if (i == 0 || c->s->own[i].patient != c->s->own[i - 1].patient) e = check_patient(c, c->s->own[i].patient);
  const struct verify_tell t = { finding, fault, c };
  if (e == DMP_OK) e = verify_protect(c->s, &t);
  if (e == DMP_OK) e = check_log(c);                  /* last: it wants to know which rows are whose */
  return e == DMP_OK && (c->oom || c->audit.bad) ? DMP_E_NOMEM : e;
}

/* ---- the table-valued function ---- */

struct vtab { sqlite3_vtab base; struct connection *c; };
struct cursor { sqlite3_vtab_cursor base; struct check check; size_t at; };

static int verify_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **err) {
  (void)argc;
  (void)argv;
  (void)err;
  struct vtab *v = calloc(1, sizeof *v);
  if (v == NULL) return SQLITE_NOMEM;
  v->c = aux;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *out = &v->base;
  return sqlite3_declare_vtab(db, DECLARATION);
}

static int verify_disconnect(sqlite3_vtab *v) {
  free(v);
  return SQLITE_OK;
}

static int verify_best_index(sqlite3_vtab *v, sqlite3_index_info *info) {
  (void)v;
  info->estimatedCost = 1e7;
  for (int i = 0; i < info->nConstraint; i++)
    if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == V_SCHEMA && info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ) {
      info->aConstraintUsage[i].argvIndex = 1;
      info->aConstraintUsage[i].omit = 1;
    }
  return SQLITE_OK;
}

static int verify_open(sqlite3_vtab *v, sqlite3_vtab_cursor **out) {
  struct cursor *c = calloc(1, sizeof *c);
  (void)v;
  if (c == NULL) return SQLITE_NOMEM;
  c->check.out.columns = V_COLUMNS;
  *out = &c->base;
  return SQLITE_OK;
}

static void check_clear(struct check *k) {
  arena_free(&k->out.arena);
  free(k->out.v);
  free(k->out.rowid);
  audit_free(&k->audit);
  history_free(&k->history);
  free(k->history_met);
  free(k->mine);
  free(k->writer);
  free(k->key);
  *k = (struct check){ .out.columns = V_COLUMNS };
}

static int verify_close(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  check_clear(&c->check);
  free(c);
  return SQLITE_OK;
}

static int verify_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv) {
  struct cursor *c = (struct cursor *)base;
  struct vtab *v = (struct vtab *)base->pVtab;
  struct record *r = NULL;
  const char *schema = argc ? (const char *)sqlite3_value_text(argv[0]) : "main";
  (void)num;
  (void)str;
  check_clear(&c->check);
  c->at = 0;
  int e = connection_record(v->c, schema ? schema : "main", &r);
  if (e == DMP_OK && r->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(r);                /* one snapshot for all that is compared */
  if (e == DMP_OK) e = session_use(r, &c->check.s);
  if (e == DMP_OK) e = check_all(&c->check);
  if (r) record_release(r);
  if (r && r->users == 0) record_finalize(r);
  if (e == DMP_OK) return SQLITE_OK;
  int rc;
  sqlite3_free(v->base.zErrMsg);
  v->base.zErrMsg = connection_error(r, v->c->db, e, &rc);
  return rc;
}

static int verify_next(sqlite3_vtab_cursor *base) {
  ((struct cursor *)base)->at++;
  return SQLITE_OK;
}

static int verify_eof(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  return c->at >= c->check.out.n;
}

static int verify_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  struct cursor *c = (struct cursor *)base;
  table_result(ctx, c->check.out.v + c->at * V_COLUMNS + i);
  return SQLITE_OK;
}

static int verify_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  *out = (sqlite3_int64)((struct cursor *)base)->at + 1;
  return SQLITE_OK;
}

static sqlite3_module MODULE = {
  .iVersion = 1, .xConnect = verify_connect, .xBestIndex = verify_best_index, .xDisconnect = verify_disconnect, .xOpen = verify_open,
  .xClose = verify_close, .xFilter = verify_filter, .xNext = verify_next, .xEof = verify_eof, .xColumn = verify_column, .xRowid = verify_rowid,
};

int verify_register(struct connection *c) { return sqlite3_create_module(c->db, "dmp_verify", &MODULE, c); }
