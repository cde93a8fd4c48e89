/* login.c: records, credentials and sessions come to be (see login.h). */
#include "login.h"
#include "access.h"
#include "anchor.h"
#include "episode.h"
#include "follow.h"
#include "membership.h"
#include "memory.h"
#include "reader.h"
#include "random.h"
#include "renewal.h"
#include "seen.h"
#include "show.h"
#include "watch.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT3

static const char WELCOME_LABEL[] = "dmp-welcome-1";

/* ---- creation ---- */

static int create_certificate(struct record *r, struct credential *c) {
  struct directory dir = { 0 };
  struct certificate cert = { .kind = KIND_AUTHORITY, .rights = RIGHT_REGISTER_PATIENTS, .flags = FLAG_OWN_KEY, .not_before = record_now(),
                              .name = "Autorité d'enregistrement" };
  memcpy(cert.principal, c->principal, 16);
  memcpy(cert.sign_pk, c->sign_pk, 32);
  memcpy(cert.box_pk, c->box_pk, 32);
  int e = directory_add(r, c->directory, &dir, &cert, c->sign_sk);
  directory_free(&dir);
  return e;
}

static int fresh_credential(struct credential *c) {
  uint32_t bits = 0;
  int e = random_bytes("seed", c->seed, 32);
  if (e == DMP_OK) e = random_bytes("principal", &bits, sizeof bits);
  id_field(c->principal, id_make(record_now(), bits & 0x1FFFFF));
  credential_derive(c);
  return e;
}

/* What a creation that failed leaves beside the database would stop the next one. */
static void create_undo(struct record *r, const char *key_path) {
  char *path = sqlite3_mprintf("%s" DMP_ANCHOR_SUFFIX, r->path);
  unlink(key_path);
  if (r->anchor_fd >= 0) {
    close(r->anchor_fd);
    r->anchor_fd = -1;
    if (path) unlink(path);
  }
  sqlite3_free(path);
}

/* The credential comes first of the files: a short PIN or a bad path is the likeliest error. The log is last: it is kept. */
static int create_all(struct record *r, const char *key_path, struct pin pin, struct kdf_cost cost, struct credential *c) {
  int e = random_bytes("record", r->id, 16);
  if (e == DMP_OK) e = fresh_credential(c);
  if (e == DMP_OK) e = random_bytes("directory", c->directory, 32);
  memcpy(c->record, r->id, 16);
  memcpy(c->authority, c->sign_pk, 32);
  memcpy(r->authority, c->sign_pk, 32);
  if (e == DMP_OK) e = record_make(r);
  if (e == DMP_OK) e = create_certificate(r, c);
  if (e == DMP_OK) e = credential_create(key_path, pin.p, pin.n, cost, c);
  if (e != DMP_OK) return e;
  e = anchor_create(r);
  if (e == DMP_OK) e = log_open(r->path, NULL, r->id, 1, &r->log);
  if (e != DMP_OK) create_undo(r, key_path);
  return e;
}

static int savepoint(struct record *r, const char *verb) {
  char sql[64];
  sqlite3_snprintf(sizeof sql, sql, "%s dmp_login", verb);
  return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(r);
}

/* WAL by default. Only another connection can change the mode while a function runs; where it can't, the journal stays. */
static void create_wal(const struct record *r) {
  sqlite3 *db = NULL;
  if (sqlite3_open_v2(r->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
  sqlite3_close(db);
}

int login_create(struct record *r, const char *key_path, struct pin pin, int suite, struct kdf_cost cost, char fingerprint[FINGERPRINT_TEXT]) {
  struct credential *c = memory_new(sizeof *c);
  if (c == NULL) return DMP_E_LOCK;
  r->suite = suite;
  int e = access(key_path, F_OK) == 0 ? DMP_E_KEY_EXISTS : savepoint(r, "SAVEPOINT");
  if (e == DMP_OK) {
    e = create_all(r, key_path, pin, cost, c);
    if (e != DMP_OK) {
      int rc = r->fault.sql_rc;
      savepoint(r, "ROLLBACK TO");
      savepoint(r, "RELEASE");
      r->fault.sql_rc = rc;
    } else if ((e = savepoint(r, "RELEASE")) != DMP_OK) {
      create_undo(r, key_path);
    }
  }
  if (e == DMP_OK) create_wal(r);
  if (e == DMP_OK) certificate_fingerprint(c->sign_pk, fingerprint);
  memory_free(c);
  return e;
}

int login_keygen(const char *key_path, struct pin pin, struct kdf_cost cost, char **request) {
  struct credential *c = memory_new(sizeof *c);
  *request = NULL;
  if (c == NULL) return DMP_E_LOCK;
  int e = fresh_credential(c);
  if (e == DMP_OK) e = credential_create(key_path, pin.p, pin.n, cost, c);
  if (e == DMP_OK) e = certificate_request(c->principal, c->sign_pk, c->sign_sk, c->box_pk, request);
  memory_free(c);
  return e;
}

/* ---- the first login: a box sealed to the newcomer brings the record, the authority and D ---- */

static void welcome_loc(const uint8_t box_pk[32], uint8_t loc[16]) {
  uint8_t k[32];
  suite_kdf_text(box_pk, "welcome", k);
  suite_prf(k, "welcome", 7, loc);
}

/* Plaintext: record 16 · authority 32 · D 32 · signature 64 over label ‖ record ‖ principal ‖ D. */
enum { WELCOME_BYTES = 16 + 32 + 32 + SUITE_SIG, WELCOME_OVER = sizeof WELCOME_LABEL - 1 + 16 + 16 + 32 };
static void welcome_over(const uint8_t record[16], const uint8_t principal[16], const uint8_t d[32], uint8_t out[WELCOME_OVER]) {
  memcpy(out, WELCOME_LABEL, sizeof WELCOME_LABEL - 1);
  memcpy(out + sizeof WELCOME_LABEL - 1, record, 16);
  memcpy(out + sizeof WELCOME_LABEL - 1 + 16, principal, 16);
  memcpy(out + sizeof WELCOME_LABEL - 1 + 32, d, 32);
}

static struct box_ad welcome_ad(const struct record *r, int64_t row, const uint8_t *loc) {
  return (struct box_ad){ .record = r->id, .kind = BOX_WELCOME, .table = IN_CERTIFICATE, .id = row, .loc = loc };
}

static int welcome_write(struct session *s, const uint8_t principal[16], const uint8_t box_pk[32]) {
  uint8_t loc[16], over[WELCOME_OVER], sig[SUITE_SIG];
  struct buf plain = { 0 }, box = { 0 };
  int64_t row = 0;
  welcome_loc(box_pk, loc);
  welcome_over(s->r->id, principal, s->cred->directory, over);
  suite_sign(s->cred->sign_sk, over, sizeof over, sig);
  buf_put(&plain, s->r->id, 16);
  buf_put(&plain, s->cred->authority, 32);
  buf_put(&plain, s->cred->directory, 32);
  buf_put(&plain, sig, SUITE_SIG);
  int e = plain.bad ? DMP_E_NOMEM : record_random_id(&row);
  struct box_ad ad = welcome_ad(s->r, row, loc);
  if (e == DMP_OK) e = box_seal_to(box_pk, NULL, &ad, plain.p, plain.n, PAD_NONE, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_CERT_PUT, loc, &box, row);
  buf_free(&plain);
  buf_free(&box);
  return e;
}

static int welcome_take(struct record *r, struct credential *c, const uint8_t *p, size_t n) {
  uint8_t over[WELCOME_OVER];
  if (n != WELCOME_BYTES || memcmp(p, r->id, 16) != 0 || memcmp(p + 16, r->authority, 32) != 0) return DMP_E_NOT_CERTIFIED;
  welcome_over(r->id, c->principal, p + 48, over);
  if (suite_verify(r->authority, over, sizeof over, p + 80) != DMP_OK) return DMP_E_NOT_CERTIFIED;
  memcpy(c->record, p, 16);
  memcpy(c->authority, p + 16, 32);
  memcpy(c->directory, p + 48, 32);
  return DMP_OK;
}

static int first_login(struct record *r, struct credential *c, const char *fingerprint) {
  struct buf scratch = { 0 };
  const uint8_t *p;
  uint8_t loc[16];
  size_t n;
  if (fingerprint == NULL || !certificate_fingerprint_matches(r->authority, fingerprint)) return DMP_E_FINGERPRINT;
  welcome_loc(c->box_pk, loc);
  sqlite3_stmt *st = record_stmt(r, STMT_CERT_BY_LOC);
  if (st == NULL) return record_sql_fault(r);
  sqlite3_bind_blob(st, 1, loc, 16, SQLITE_STATIC);
  int rc, e = DMP_E_NOT_CERTIFIED;
  while (e == DMP_E_NOT_CERTIFIED && (rc = sqlite3_step(st)) == SQLITE_ROW) {   /* anyone may plant one: the signed one counts */
    struct box_ad ad = welcome_ad(r, sqlite3_column_int64(st, 0), loc);
    if (box_open_from(c->box_sk, c->box_pk, NULL, &ad, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &scratch, &p, &n) == DMP_OK)
      e = welcome_take(r, c, p, n);
  }
  sqlite3_reset(st);
  buf_free(&scratch);
  return e;
}

/* ---- sessions ---- */

/* Wipes; NULL is harmless. */
static void login_free(struct session *s) {
  if (s == NULL) return;
  for (int i = 0; s->cache && i <= PATIENT_CACHE; i++) patient_forget(&s->cache[i]);
  memory_free(s->cache);
  reader_forget(&s->opened);
  memory_free(s->cred);
  memory_free(s->former);
  memory_free(s->next);
  memory_free(s->seat);
  teams_free(&s->teams);
  directory_free(&s->dir);
  buf_free(&s->scratch);
  recent_free(&s->repeated);
  if (s->pending.line) bytes_wipe(s->pending.line, s->pending.line_cap * sizeof *s->pending.line);
  free(s->pending.line);
  free(s->pending.row);
  for (size_t i = 0; i < s->pending.files; i++) free(s->pending.file[i]);
  free(s->pending.file);
  free(s->own);
  free(s->seen);
  follow_free(s->awaited);
  finder_free(&s->finder);
  free(s->listed);
  free(s->on_behalf);
  free(s);
}

static int session_alloc(struct record *r, struct session **out) {
  struct session *s = calloc(1, sizeof *s);
  *out = s;
  if (s == NULL) return DMP_E_NOMEM;
  s->r = r;
  s->pid = getpid();
  s->generation = 1;
  s->cred = memory_new(sizeof *s->cred);
  s->cache = memory_new((PATIENT_CACHE + 1) * sizeof *s->cache);
  return s->cred && s->cache ? DMP_OK : DMP_E_LOCK;
}

/* A minimal view has no certificate: it is the patient's word, which opened its grant, that makes it hers. */
static int identify_view(struct session *s, const struct patient *p, const struct certificate *patient) {
  s->me = *patient;
  s->me.raw = (struct buf){ 0 };
  memcpy(s->me.sign_pk, s->cred->sign_pk, 32);
  memcpy(s->me.box_pk, s->cred->box_pk, 32);
  s->view = 1;
  return patient_expired(p) ? DMP_E_EXPIRED : DMP_OK;
}

/* Who am I? A professional stands in the directory; a patient's certificate comes with the own grant. */
static int session_identify(struct session *s) {
  s->principal = id_from_field(s->cred->principal);
  const struct certificate *me = session_who(s, s->cred->principal);
  if (me == NULL) {
    struct patient *p;
    int e = patient_get(s, s->principal, &p);
    /* a credential that knows its record was somebody's here: a showing that is over, a key that another has replaced */
    if (e == DMP_E_NO_PATIENT) return suite_is_zero(s->cred->directory, 32) ? DMP_E_NOT_CERTIFIED : DMP_E_OVER;
    if (e == DMP_OK) e = patient_certificate(s, p, &me);
    if (e == DMP_OK && p->g.basis == BASIS_VIEW) return identify_view(s, p, me);
    if (e != DMP_OK) return e;
  }
  if (memcmp(me->sign_pk, s->cred->sign_pk, 32) != 0 || memcmp(me->box_pk, s->cred->box_pk, 32) != 0)
    return session_by_key(s, s->cred->sign_pk) ? DMP_E_REVOKED : DMP_E_NOT_CERTIFIED;   /* another key has taken its place */
  if (me->status == STATUS_REVOKED) return DMP_E_REVOKED;
  s->me = *me;
  s->me.raw = (struct buf){ 0 };                      /* the directory's */
  return DMP_OK;
}

static int session_tags(struct session *s) {
  uint32_t bits = 0;
  if (s->view) view_writer_tag(s->cred->directory, s->cred->sign_pk, s->writer_tag);
  else access_writer_tag(s->cred->directory, &s->me, s->writer_tag);
  int e = random_bytes("login", &bits, sizeof bits);
  id_field(s->login_id, id_make(record_now(), bits & 0x1FFFFF));
  return e;
}

static int duty_begin(struct session *s) {
  int e = sqlite3_exec(s->r->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK ? DMP_OK : record_sql_fault(s->r);
  if (e == DMP_OK && record_changed(s->r)) session_stale(s);
  return e;
}

static int duty_end(struct session *s, int e) {
  if (e == DMP_OK) e = access_intent(s);
  if (e == DMP_OK && sqlite3_exec(s->r->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) e = record_sql_fault(s->r);
  if (e != DMP_OK) {
    struct fault f = s->r->fault;
    sqlite3_exec(s->r->db, "ROLLBACK", NULL, NULL, NULL);
    s->r->fault = f;
  }
  access_outcome(s, e == DMP_OK);
  if (e == DMP_OK && record_committed(s->r)) session_wrote(s);
  else session_stale(s);
  return e;
}

static int is_busy(const struct session *s, int e) { return e == DMP_E_SQL && (s->r->fault.sql_rc & 0xff) == SQLITE_BUSY; }

/* The duties of a login, in a transaction of their own: first grants adopted; a patient's classes that are due rotated, what waits
 * for the patient to say whether its episode is masked moved, minimal views that are over ended. Inside
 * an application's transaction nothing is written: reading merges in memory, the next login or write does the rest. */
static int login_duties(struct session *s) {
  unsigned due = 0;
  size_t moves = 0, over = 0;
  struct patient *p = NULL;
  int e = patient_own(s), inbox = s->inbox_refused > 0, told = 0;
  for (size_t i = 0; i < s->owns; i++) inbox |= s->own[i].inbox;
  uint64_t headers = s->headers_opened, boxes = s->boxes_opened;
  if (e == DMP_OK && s->me.kind == KIND_PATIENT) {    /* what is opened for it is no work of the reader's */
    e = patient_get(s, s->principal, &p);
    if (e == DMP_OK) e = holder_owed(s, p, &due);
    if (e == DMP_OK) e = holder_unsettled(s, p, 0, &moves);
    if (e == DMP_OK) e = views_owed(s, p, &over);
    s->headers_opened = headers;
    s->boxes_opened = boxes;
  }
  if (e != DMP_OK || s->view || (!inbox && !due && !moves && !over) || !sqlite3_get_autocommit(s->r->db)) return e;
  if (sqlite3_db_readonly(s->r->db, s->r->schema) == 1) return e;
  if ((e = duty_begin(s)) != DMP_OK) return is_busy(s, e) ? DMP_OK : e;   /* another login does it */
  if (inbox) e = grant_adopt_inbox(s, &told);
  if (e == DMP_OK && told) e = access_pend(s, NULL, LOG_ADOPT, 0, 0, NULL);
  if (e == DMP_OK && (due || moves || over)) e = holder_begin(s, s->principal, &p);
  if (e == DMP_OK && due) e = holder_due(s, p);
  if (e == DMP_OK && moves) e = episode_settle(s, p, NULL);
  if (e == DMP_OK && over) e = view_settle(s, p);
  return duty_end(s, e);
}

/* A manager's: new secrets first, then the grants under older ones, some in each transaction; killed anywhere, the next login goes on. */
static int manager_duties(struct session *s) {
  size_t left = 0, before;
  int owed, e = membership_owed(s, &owed);
  if (e != DMP_OK || !owed) return e;
  if ((e = duty_begin(s)) != DMP_OK) return e;
  e = duty_end(s, membership_secrets(s));
  do {
    before = left;
    if (e == DMP_OK && (e = duty_begin(s)) == DMP_OK) e = duty_end(s, membership_move(s, &left));
  } while (e == DMP_OK && left && left != before);
  return e;
}

/* A treating doctor's: the keys of each patient turn in a transaction of their own. What is damaged in one does not keep the others waiting. */
static int doctor_duties(struct session *s) {
  int64_t *id = NULL;
  size_t n = 0;
  int failed = 0, e = membership_patients(s, &id, &n);
  int look = id != NULL;
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    struct patient *p;
    if ((e = duty_begin(s)) != DMP_OK) break;
    e = holder_begin(s, id[i], &p);
    if (e == DMP_OK) e = holder_due(s, p);
    e = duty_end(s, e);
    if (e != DMP_OK && e != DMP_E_NOMEM && e != DMP_E_SQL) {
      failed = 1;
      e = DMP_OK;
    }
  }
  free(id);
  if (e == DMP_OK && look && !failed && (e = duty_begin(s)) == DMP_OK) e = duty_end(s, membership_settled(s));
  return e;
}

/* Inside an application's transaction nothing of it is done. */
static int team_duties(struct session *s) {
  if (!sqlite3_get_autocommit(s->r->db) || sqlite3_db_readonly(s->r->db, s->r->schema) == 1) return DMP_OK;
  int e = manager_duties(s);
  if (e == DMP_OK) e = doctor_duties(s);
  return is_busy(s, e) ? DMP_OK : e;
}

static int login_line(struct session *s) {
  struct access a = { 0 };
  struct log_line l = { .action = LOG_LOGIN, .mode = LOG_NORMAL, .count = 1, .at = record_now() };
  access_own_key(s->cred, l.key);
  id_field(l.person, s->principal);
  memcpy(l.login, s->login_id, 16);
  a.line = &l;
  a.n = 1;
  int e = access_flush(s, &a);
  bytes_wipe(&l, sizeof l);
  return e;
}

static int pin_open(const char *path, struct pin pin, struct session *s) {
  return pin.file_key ? credential_open_with(path, pin.file_key, s->cred, &s->cost) : credential_open(path, pin.p, pin.n, s->cred, &s->cost);
}

static int pin_update(const char *path, struct pin pin, const struct credential *c) {
  return pin.file_key ? credential_update_with(path, pin.file_key, c) : credential_update(path, pin.p, pin.n, c);
}

/* The keys that this credential had before. */
static int login_formers(struct session *s) {
  if (s->cred->formers == 0) return DMP_OK;
  s->former = memory_new(s->cred->formers * sizeof *s->former);
  if (s->former == NULL) return DMP_E_LOCK;
  for (unsigned i = 0; i < s->cred->formers; i++) {
    s->former[i] = *s->cred;
    memcpy(s->former[i].seed, s->cred->former[i], 32);
    s->former[i].formers = 0;
    credential_derive(&s->former[i]);
  }
  return DMP_OK;
}

/* The log of certificates, and that it is the one which this credential has seen. */
static int login_directory(struct session *s, const char *path, int *grown) {
  struct credential *c = s->cred;
  struct seen seen;
  int e = seen_read(path, c, &seen);
  s->dir.seen = seen.entries;
  memcpy(s->dir.last, seen.last, 32);
  if (e == DMP_OK) e = directory_load(s->r, c->directory, c->authority, &s->dir);
  if (e == DMP_OK) e = directory_held(&s->dir);
  *grown = e == DMP_OK && directory_note(&s->dir);
  return e;
}

/* The new credential of a patient, whose certificate comes with this login: the former one logs in and hands over (login_renew). */
static int login_as_former(struct session *s) {
  struct credential *c = s->cred;
  s->next = memory_new(sizeof *s->next);
  if (s->next == NULL) return DMP_E_LOCK;
  *s->next = *c;
  memcpy(c->seed, c->former[0], 32);
  c->formers--;
  memmove(c->former[0], c->former[1], c->formers * sizeof c->former[0]);
  credential_derive(c);
  memory_free(s->former);
  s->former = NULL;
  s->owns = 0;
  s->seats_version--;
  session_stale(s);
  int e = login_formers(s);
  return e == DMP_OK ? session_identify(s) : e;
}

static int login_renew(struct session *s, const char *certified) {
  struct credential *former = memory_new((1 + FORMER_MAX) * sizeof *former);
  if (former == NULL) return DMP_E_LOCK;
  int e = sqlite3_get_autocommit(s->r->db) ? duty_begin(s) : DMP_E_IN_FROM;
  if (e == DMP_OK) e = duty_end(s, renewal_complete(s, certified, s->next, former));
  if (s->former != former) memory_free(former);
  session_stale(s);
  return e;
}

/* Outside a transaction, so that nothing written by the former key is left behind. */
static int renewal_duties(struct session *s) {
  int e = patient_own(s);
  if (e != DMP_OK || !renewal_owed(s) || s->view || !sqlite3_get_autocommit(s->r->db) || sqlite3_db_readonly(s->r->db, s->r->schema) == 1) return e;
  if ((e = duty_begin(s)) != DMP_OK) return is_busy(s, e) ? DMP_OK : e;
  e = duty_end(s, renewal_move(s));
  session_stale(s);
  return e;
}

static int login_credential(struct session *s, const char *path, struct pin pin, const char *fingerprint) {
  struct record *r = s->r;
  struct credential *c = s->cred;
  int e = pin_open(path, pin, s), first = 0, grown = 0;
  if (e == DMP_OK && suite_is_zero(c->record, 16)) {
    first = 1;
    e = first_login(r, c, fingerprint);
  }
  if (e == DMP_OK && (memcmp(c->record, r->id, 16) != 0 || memcmp(c->authority, r->authority, 32) != 0)) e = DMP_E_OTHER_RECORD;
  if (e == DMP_OK) e = login_formers(s);
  if (e == DMP_OK) e = login_directory(s, path, &grown);
  if (e == DMP_OK) e = session_identify(s);
  if (e == DMP_E_NOT_CERTIFIED && c->formers && renewal_certified(fingerprint)) e = login_as_former(s);
  if (e == DMP_OK && grown) {
    struct seen seen = { .entries = s->dir.seen };
    memcpy(seen.last, s->dir.last, 32);
    seen_write(path, s->next ? s->next : c, &seen);
  }
  return e == DMP_OK && first ? pin_update(path, pin, c) : e;
}

static int login_run(struct record *r, struct session *s, const char *path, struct pin pin, const char *on_behalf, const char *fingerprint) {
  int e = record_check_temp(r);
  r->schema_version = r->watched_bad = -1;
  if (e == DMP_OK) e = record_reparse(r);
  if (e == DMP_OK) e = record_check_schema(r);
  if (e == DMP_OK) e = login_credential(s, path, pin, fingerprint);
  if (e == DMP_OK) e = watch_login(s);
  if (e == DMP_OK && r->log == NULL) e = log_open(r->path, NULL, r->id, 0, &r->log);
  if (e == DMP_OK && on_behalf && (s->on_behalf = strdup(on_behalf)) == NULL) e = DMP_E_NOMEM;
  if (e == DMP_OK) e = session_tags(s);
  if (e == DMP_OK) e = login_line(s);
  return e;
}

int login_open(struct record *r, const char *key_path, struct pin pin, const char *on_behalf, const char *fingerprint) {
  struct session *s = NULL;
  int e = login_close(r);
  if (e == DMP_OK) e = record_open(r);
  if (e == DMP_OK) e = session_alloc(r, &s);
  if (e == DMP_OK) {
    e = record_hold(r);
    if (e == DMP_OK) record_changed(r);
    if (e == DMP_OK) e = login_run(r, s, key_path, pin, on_behalf, fingerprint);
    record_release(r);
  }
  if (e == DMP_OK) e = renewal_duties(s);
  if (e == DMP_OK) e = login_duties(s);
  if (e == DMP_OK && s->next) e = login_renew(s, fingerprint);
  if (e == DMP_OK) e = team_duties(s);
  if (e == DMP_OK) r->session = s;
  else login_free(s);
  return e;
}

int login_close(struct record *r) {
  if (r->session && access_waiting(r->session)) return DMP_E_IN_FROM;
  login_abandon(r);
  return DMP_OK;
}

void login_abandon(struct record *r) {
  struct session *s = r->session;
  if (s == NULL) return;
  if (s->pid == getpid()) {
    access_counts(s);                                 /* the lines themselves are written already; only their counts wait */
    access_outcome(s, 0);
  }
  r->session = NULL;
  login_free(s);
}

/* ---- people ---- */

static int text_fits(char to[CERT_TEXT], const char *from) {
  if (from == NULL) return DMP_OK;
  if (strlen(from) >= CERT_TEXT) return DMP_E_TOO_BIG;
  memcpy(to, from, strlen(from) + 1);
  return DMP_OK;
}

/* The applicant chose the id: it must not be that of a patient, whose place he would take. */
static int id_is_free(struct session *s, int64_t id) {
  sqlite3_stmt *st = record_stmt(s->r, STMT_OBJECT_VERSION);
  if (st == NULL) return record_sql_fault(s->r);
  sqlite3_bind_int64(st, 1, id);
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? DMP_OK : rc == SQLITE_ROW ? DMP_E_REQUEST : record_sql_fault(s->r);
}

int login_register(struct session *s, struct registration *reg) {
  struct certificate c = { .kind = (uint8_t)reg->kind, .profession = reg->profession, .flags = FLAG_OWN_KEY, .not_before = record_now() };
  if (s->me.kind != KIND_AUTHORITY) return DMP_E_NOT_ALLOWED;
  if (reg->kind != KIND_PROFESSIONAL && reg->kind != KIND_STAFF && reg->kind != KIND_SOURCE && reg->kind != KIND_REPRESENTATIVE) return DMP_E_KIND;
  int e = certificate_read_request(reg->request, c.principal, c.sign_pk, c.box_pk);
  if (e == DMP_OK) e = text_fits(c.identifier, reg->identifier);
  if (e == DMP_OK) e = text_fits(c.name, reg->name);
  if (e == DMP_OK) e = text_fits(c.specialty, reg->specialty);
  if (e == DMP_OK) e = text_fits(c.facility, reg->facility);
  if (e == DMP_OK && session_who(s, c.principal)) e = DMP_E_DUPLICATE;
  if (e == DMP_OK) e = id_is_free(s, id_from_field(c.principal));
  if (e != DMP_OK) return e;
  if (reg->kind == KIND_SOURCE && reg->registrar) return DMP_E_NOT_ALLOWED;
  c.rights = reg->registrar ? RIGHT_REGISTER_PATIENTS : 0;
  memcpy(c.issuer, s->me.hash, 32);
  reg->id = id_from_field(c.principal);
  e = directory_add(s->r, s->cred->directory, &s->dir, &c, s->cred->sign_sk);
  if (e == DMP_OK) e = welcome_write(s, c.principal, c.box_pk);
  if (e == DMP_OK) e = access_pend(s, NULL, LOG_REGISTER, 0, reg->id, NULL);
  if (e == DMP_OK) e = directory_refresh(s->r, s->cred->directory, &s->dir);
  return e;
}
