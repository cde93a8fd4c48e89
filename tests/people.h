/* people.h: several people with their connections to one record, in one process: what the C tests of keys share.
 * Owns: the world (a folder, the record in it, who is logged in), asking SQL in somebody's name.
 * Never: who these people are and what they have: the program that includes it defines PEOPLE (the first is AUTHORITY) and NAME before. */
#ifndef PEOPLE_H
#define PEOPLE_H
#include "convert.h"
#include "functions.h"
#include "grant.h"
#include "protected.h"
#include "tables.h"
#include "verify.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PIN "code-des-tests-1"
struct person { sqlite3 *db; struct connection *c; int64_t id; };
static struct { char folder[64], fingerprint[64]; struct person who[PEOPLE]; int64_t patient, document, team; } w;

/* The first column of the first row, or the error's text; "" for nothing. In a ring of buffers. */
static inline const char *ask(int who, const char *format, ...) {
  static char ring[8][512];
  static int at;
  char *out = ring[at++ % 8];
  sqlite3_stmt *st = NULL;
  va_list ap;
  va_start(ap, format);
  char *sql = sqlite3_vmprintf(format, ap);
  va_end(ap);
  sqlite3 *db = w.who[who].db;
  *out = 0;
  int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) {
    const char *t = (const char *)sqlite3_column_text(st, 0);
    snprintf(out, 512, "%s", t ? t : "");
    while (rc == SQLITE_ROW) rc = sqlite3_step(st);
  }
  if (rc != SQLITE_OK && rc != SQLITE_DONE) snprintf(out, 512, "%s", sqlite3_errmsg(db));
  sqlite3_finalize(st);
  sqlite3_free(sql);
  return out;
}
#define NUMBER(...) strtoll(ask(__VA_ARGS__), NULL, 10)
#define DONE(...) assert_string_equal(ask(__VA_ARGS__), "")
#define REFUSED(code, ...) do { \
    const char *said_ = ask(__VA_ARGS__); \
    if (strncmp(said_, "dmp-" code, 8) != 0) fail_msg("expected %s, got: %s", code, said_); \
  } while (0)

static inline void person_open(int who) {
  struct person *x = &w.who[who];
  char path[128];
  snprintf(path, sizeof path, "%s/record.db", w.folder);
  assert_int_equal(sqlite3_open(path, &x->db), SQLITE_OK);
  sqlite3_busy_timeout(x->db, 5000);
  assert_int_equal(connection_new(x->db, &x->c), DMP_OK);
  assert_int_equal(tables_register(x->c), SQLITE_OK);
  assert_int_equal(verify_register(x->c), SQLITE_OK);
  assert_int_equal(functions_register(x->c), SQLITE_OK);
  assert_int_equal(protected_register(x->c), SQLITE_OK);
  assert_int_equal(convert_register(x->c), SQLITE_OK);
  DONE(who, "PRAGMA temp_store=2");
}

static inline void person_login(int who) {
  w.who[who].id = NUMBER(who, "SELECT dmp_login('%s/%s.dmpkey','" PIN "',NULL,NULL,%Q)", w.folder, NAME[who], w.fingerprint);
  assert_true(w.who[who].id > 0);
}

/* Makes a credential; the certificate request. */
static inline const char *person_request(int who) {
  return ask(AUTHORITY, "SELECT dmp_keygen('%s/%s.dmpkey','" PIN "','kdf=1x8')", w.folder, NAME[who]);
}

static inline void person_register(int who, const char *profession, int registrar, const char *request) {
  DONE(AUTHORITY, "INSERT INTO principal(kind,name,profession,certificate,registrar) VALUES('professional',%Q,%Q,%Q,%d)", NAME[who], profession,
       request, registrar);
}

static inline struct session *session_of(int who) {
  struct session *s;
  assert_int_equal(session_use(w.who[who].c->r[0], &s), DMP_OK);
  return s;
}

static inline struct patient *patient_of(int who) {
  struct patient *p;
  assert_int_equal(patient_get(session_of(who), w.patient, &p), DMP_OK);
  return p;
}

static inline int64_t deposit_by(int who, const char *title, const char *type, int masked) {
  DONE(who, "INSERT INTO document(patient,content,title,type_code,masked) VALUES(%lld,x'010203',%Q,%Q,%d)", w.patient, title, type, masked);
  return NUMBER(who, "SELECT last_insert_rowid()");
}

static inline int64_t documents_of(int who) { return NUMBER(who, "SELECT count(*) FROM document"); }

/* A new record in a new folder, the authority logged in. */
static inline void world_begin(void) {
  memset(&w, 0, sizeof w);
  strcpy(w.folder, "/tmp/dmp-people-XXXXXX");
  assert_non_null(mkdtemp(w.folder));
  assert_int_equal(suite_start(), DMP_OK);
  for (int i = 0; i < PEOPLE; i++) person_open(i);
  snprintf(w.fingerprint, sizeof w.fingerprint, "%s", ask(AUTHORITY, "SELECT dmp_create('%s/authority.dmpkey','" PIN "','main','kdf=1x8')", w.folder));
  person_login(AUTHORITY);
}

static inline int world_drop(void **state) {
  char command[128];
  (void)state;
  for (int i = 0; i < PEOPLE; i++) assert_int_equal(sqlite3_close(w.who[i].db), SQLITE_OK);
  snprintf(command, sizeof command, "rm -rf %s", w.folder);
  return system(command) == 0 ? 0 : -1;
}
#endif
