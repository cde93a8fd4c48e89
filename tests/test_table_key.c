/* test_table_key.c: yesterday's keys of a protected table, and rows that people with real keys plant beside it: what they open.
 * The forgers use the extension's own code on their own sessions. */
#include "protect_reader.h"
#include "protect_row.h"
#include "watch.h"

enum { AUTHORITY, DOCTOR, TWO, THREE, PEOPLE };
enum { ROWS = 9000, BATCH = 4096 };
static const char *const NAME[PEOPLE] = { "authority", "doctor", "two", "three" };

#include "people.h"

/* What is prepared here stays, as if a table were connected. */
static void login_kept(int who) {
  person_login(who);
  w.who[who].c->r[0]->users++;
}

/* A table of the doctor's, of which two is the other reader. */
static int world_make(void **state) {
  (void)state;
  world_begin();
  w.who[AUTHORITY].c->r[0]->users++;
  for (int i = DOCTOR; i < PEOPLE; i++) {
    person_register(i, "10", 0, person_request(i));
    login_kept(i);
  }
  DONE(DOCTOR, "CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT)");
  DONE(DOCTOR, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) INSERT INTO note SELECT i,'note '||i FROM n", ROWS);
  DONE(DOCTOR, "SELECT dmp_protect('note','body','readers=%lld')", w.who[TWO].id);
  return 0;
}

static int world_end(void **state) {
  for (int i = 0; i < PEOPLE; i++) {
    w.who[i].c->r[0]->users--;
    record_finalize(w.who[i].c->r[0]);                /* what was prepared here, beside the tables */
  }
  return world_drop(state);
}

static void description(int who, struct protect *p) { assert_int_equal(protect_get(session_of(who)->r, "note", p), DMP_OK); }

/* The keys that somebody holds now, as he may keep them. */
static struct protect_keys keys_of(int who) {
  struct protect_keys k = { 0 };
  struct protect p;
  description(who, &p);
  assert_int_equal(protect_key(session_of(who), &p, &k), DMP_OK);
  protect_free(&p);
  return k;
}

static int held(int who) {
  struct protect_keys k;
  struct protect p;
  description(who, &p);
  int e = protect_key(session_of(who), &p, &k);
  protect_free(&p);
  return e;
}

/* How many boxes of the table's rows one key opens, of those that a condition names. */
static int opens(const uint8_t key[32], const char *where) {
  struct session *s = session_of(THREE);
  struct protect_keys k = { 0 };
  struct protect p;
  struct buf scratch = { 0 };
  sqlite3_stmt *st;
  const uint8_t *row;
  size_t n;
  int found = 0;
  description(THREE, &p);
  memset(p.old_kid, 0, 16);
  memcpy(k.live, key, 32);
  char *sql = sqlite3_mprintf("SELECT id,_dmp FROM note_dmp WHERE %s", where);
  assert_int_equal(sqlite3_prepare_v2(w.who[THREE].db, sql, -1, &st, NULL), SQLITE_OK);
  while (sqlite3_step(st) == SQLITE_ROW)
    found += protect_open(s, &p, &k, sqlite3_column_int64(st, 0), sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), &scratch, &row, &n) == DMP_OK;
  sqlite3_finalize(st);
  sqlite3_free(sql);
  buf_free(&scratch);
  protect_free(&p);
  return found;
}

/* How many readers' rows one key proves. */
static int proves(const uint8_t key[32]) {
  struct session *s = session_of(THREE);
  struct protect_keys k = { 0 };
  struct protect_reader *list;
  struct protect p;
  size_t n;
  description(THREE, &p);
  memcpy(k.live, key, 32);
  assert_int_equal(protect_readers(s, &p, &k, &list, &n), DMP_OK);
  free(list);
  protect_free(&p);
  return (int)n;
}

static int stop_after(void *left) { return (*(int *)left)-- <= 0; }

/* A rotation that ends, with an error, after its first batch. */
static void turn_half(void) {
  int left = 1;
  sqlite3_commit_hook(w.who[DOCTOR].db, stop_after, &left);
  assert_string_not_equal(ask(DOCTOR, "SELECT dmp_rotate('note')"), "");
  sqlite3_commit_hook(w.who[DOCTOR].db, NULL, NULL);
  assert_int_equal(NUMBER(DOCTOR, "SELECT rows_done FROM dmp_protected"), BATCH);
}

/* ---- keys of yesterday ---- */

static void the_key_before_a_rotation_opens_no_box_and_proves_no_reader_once_it_is_done(void **state) {
  (void)state;
  struct protect_keys before = keys_of(TWO);
  assert_int_equal(opens(before.live, "1"), ROWS);
  assert_int_equal(proves(before.live), 2);
  DONE(DOCTOR, "SELECT dmp_rotate('note')");
  assert_int_equal(opens(before.live, "1"), 0);
  assert_int_equal(proves(before.live), 0);
  struct protect_keys now = keys_of(TWO);
  assert_int_equal(opens(now.live, "1"), ROWS);
  assert_int_equal(proves(now.live), 2);
  assert_true(suite_is_zero(now.old, 32));            /* the one before is gone from the file */
  assert_int_equal(NUMBER(TWO, "SELECT sum(body='note '||id) FROM note"), ROWS);
}

static void while_a_key_turns_the_one_before_opens_nothing_that_was_written_since(void **state) {
  (void)state;
  struct protect_keys before = keys_of(TWO);
  turn_half();
  struct protect_keys both = keys_of(TWO);
  assert_memory_equal(both.old, before.live, 32);
  assert_int_equal(opens(before.live, "1"), ROWS - BATCH);
  assert_int_equal(opens(both.live, "1"), BATCH);
  DONE(TWO, "UPDATE note SET body='après' WHERE id%%100=0");
  DONE(DOCTOR, "INSERT INTO note SELECT id+20000,body FROM note WHERE id<=50");
  DONE(DOCTOR, "UPDATE note SET id=id+30000 WHERE id BETWEEN 8001 AND 8050");
  assert_int_equal(opens(before.live, "id%100=0 AND id<=9000"), 0);
  assert_int_equal(opens(before.live, "id>9000"), 0);
  assert_int_equal(opens(both.live, "id%100=0 OR id>9000"), 90 + 100);
  DONE(TWO, "SELECT dmp_rotate('note')");
  assert_int_equal(opens(before.live, "1"), 0);
  assert_int_equal(opens(both.live, "1"), ROWS + 50);  /* the same rotation, finished */
}

static void a_withdrawn_reader_opens_no_box_by_the_keys_that_he_kept(void **state) {
  (void)state;
  struct protect_keys first = keys_of(TWO);
  turn_half();
  struct protect_keys both = keys_of(TWO);
  DONE(DOCTOR, "DELETE FROM protected_reader WHERE principal=%lld", w.who[TWO].id);
  DONE(DOCTOR, "INSERT INTO note VALUES(10001,'plus tard')");
  const uint8_t *const kept[] = { first.live, both.live, both.old };
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    assert_int_equal(opens(kept[i], "1"), 0);
    assert_int_equal(proves(kept[i]), 0);
  }
  assert_int_equal(held(TWO), DMP_E_NO_TABLE_KEY);
  assert_int_equal(opens(keys_of(DOCTOR).live, "1"), ROWS + 1);
}

static void a_rotation_inside_a_transaction_leaves_neither_of_two_keys_alive(void **state) {
  (void)state;
  turn_half();
  struct protect_keys both = keys_of(TWO);
  DONE(DOCTOR, "BEGIN");
  DONE(DOCTOR, "SELECT dmp_rotate('note')");
  DONE(DOCTOR, "COMMIT");
  assert_int_equal(opens(both.live, "1") + opens(both.old, "1"), 0);
  assert_int_equal(opens(keys_of(TWO).live, "1"), ROWS);
}

/* ---- planted rows ---- */

/* Three, who has no key, plants a row for himself: sealed to his certificate, signed by him, under the keys k. */
static void plant(int by, const struct protect_keys *k) {
  struct session *s = session_of(by);
  struct protect p;
  description(by, &p);
  DONE(by, "BEGIN IMMEDIATE");
  assert_int_equal(protect_give(s, &p, k, &s->me, record_now()), DMP_OK);
  DONE(by, "COMMIT");
  session_stale(s);
  protect_free(&p);
}

static void a_row_that_somebody_without_the_key_planted_gets_none_when_it_turns(void **state) {
  (void)state;
  struct protect_keys own = { .live = { 1, 2, 3 } };
  plant(THREE, &own);
  assert_int_equal(held(THREE), DMP_E_READER_STALE);
  assert_int_equal(NUMBER(DOCTOR, "SELECT count(*) FROM dmp_verify WHERE place='dmp_reader' AND kind='fault'"), 1);
  assert_int_equal(NUMBER(DOCTOR, "SELECT count(*) FROM protected_reader WHERE since IS NOT NULL"), 2);
  DONE(DOCTOR, "SELECT dmp_rotate('note')");
  assert_int_equal(held(THREE), DMP_E_NO_TABLE_KEY);
  plant(THREE, &own);
  DONE(DOCTOR, "SELECT dmp_rewrap('note')");
  assert_int_equal(held(THREE), DMP_E_NO_TABLE_KEY);
  assert_int_equal(NUMBER(TWO, "SELECT sum(body='note '||id) FROM note"), ROWS);
}

static void a_row_that_a_withdrawn_reader_planted_under_the_key_he_kept_gets_none(void **state) {
  (void)state;
  struct protect_keys kept = keys_of(TWO);
  DONE(DOCTOR, "DELETE FROM protected_reader WHERE principal=%lld", w.who[TWO].id);
  plant(TWO, &kept);
  assert_int_equal(held(TWO), DMP_E_READER_STALE);
  DONE(DOCTOR, "SELECT dmp_rotate('note')");
  assert_int_equal(held(TWO), DMP_E_NO_TABLE_KEY);
  DONE(DOCTOR, "INSERT INTO protected_reader VALUES('note',%lld)", w.who[TWO].id);   /* what a holder gives counts */
  assert_int_equal(held(TWO), DMP_OK);
}

/* An authority that gives somebody's name to another key, without the signature of the certificate before. */
static void a_second_certificate_for_a_reader_gets_no_key_by_rewrap_or_rotation(void **state) {
  (void)state;
  struct session *s = session_of(AUTHORITY), *three = session_of(THREE);
  struct certificate c = { .kind = KIND_PROFESSIONAL, .profession = 10, .flags = FLAG_OWN_KEY, .not_before = record_now(), .name = "two" };
  id_field(c.principal, w.who[TWO].id);
  memcpy(c.sign_pk, three->cred->sign_pk, 32);
  memcpy(c.box_pk, three->cred->box_pk, 32);
  memcpy(c.issuer, s->me.hash, 32);
  DONE(AUTHORITY, "BEGIN IMMEDIATE");
  assert_int_equal(directory_add(s->r, s->cred->directory, &s->dir, &c, s->cred->sign_sk), DMP_OK);
  DONE(AUTHORITY, "COMMIT");
  static const char *const VERBS[] = { "SELECT dmp_rewrap('note')", "SELECT dmp_rotate('note')" };
  for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++) {
    DONE(DOCTOR, "%s", VERBS[i]);
    assert_int_equal(NUMBER(DOCTOR, "SELECT count(*) FROM protected_reader"), 2);
    assert_int_equal(held(TWO), DMP_OK);              /* sealed to the certificate that he has always had */
    memcpy(three->cred->principal, c.principal, 16);  /* three looks where two's row lies */
    assert_int_equal(held(THREE), DMP_E_TAMPERED);
    id_field(three->cred->principal, w.who[THREE].id);
  }
}

/* ---- descriptions that somebody without the key signs ---- */

/* Three signs what he likes of a table: his certificate is in the directory, his signature verifies. */
static void sign_without_key(const char *table) {
  struct protect_keys guessed = { .live = { 7 } };
  struct protect p;
  assert_int_equal(protect_get(session_of(THREE)->r, table, &p), DMP_OK);
  assert_int_equal(watch_hash(session_of(THREE)->r, table, p.watched), DMP_OK);
  assert_int_equal(protect_put(session_of(THREE), &p, &guessed), DMP_OK);
  protect_free(&p);
  assert_int_equal(protect_proven(session_of(THREE), table, &p), DMP_OK);
  protect_free(&p);
}

/* A statement of the host's own SQLite. */
static void host_does(const char *sql) {
  char path[128];
  sqlite3 *db;
  snprintf(path, sizeof path, "%s/record.db", w.folder);
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_description_signed_by_somebody_without_the_key_is_refused_by_every_holder(void **state) {
  (void)state;
  DONE(DOCTOR, "CREATE TABLE leak(x)");
  DONE(DOCTOR, "CREATE TABLE agenda(a)");
  host_does("CREATE TABLE kept AS SELECT id, body FROM dmp_sealed; CREATE TRIGGER trap AFTER INSERT ON agenda BEGIN INSERT INTO leak SELECT body FROM note; END");
  sign_without_key("note");
  for (int who = DOCTOR; who <= TWO; who++) {
    REFUSED("E076", who, "SELECT body FROM note WHERE id=1");
    REFUSED("E076", who, "UPDATE note SET body='x' WHERE id=1");
    assert_string_not_equal(ask(who, "INSERT INTO agenda VALUES(1)"), "");
    REFUSED("E076", who, "SELECT dmp_protect('note')");
    assert_int_equal(NUMBER(who, "SELECT count(*) FROM dmp_verify WHERE place='dmp_sealed' AND kind='fault'"), 1);
  }
  assert_int_equal(NUMBER(DOCTOR, "SELECT count(*) FROM leak"), 0);
  host_does("UPDATE dmp_sealed SET body=(SELECT body FROM kept k WHERE k.id=dmp_sealed.id); DROP TRIGGER trap");
  assert_string_equal(ask(DOCTOR, "SELECT body FROM note WHERE id=1"), "note 1");
  DONE(TWO, "SELECT dmp_protect('note')");             /* any holder signs, and the others read on */
  assert_string_equal(ask(DOCTOR, "SELECT body FROM note WHERE id=1"), "note 1");
}

static void a_planted_trigger_is_not_let_in_by_a_description_that_stood_while_another_table_was_read(void **state) {
  (void)state;
  DONE(DOCTOR, "CREATE TABLE leak(x)");
  DONE(DOCTOR, "CREATE TABLE agenda(a)");
  DONE(DOCTOR, "CREATE TABLE other(id INTEGER PRIMARY KEY, body TEXT)");
  DONE(DOCTOR, "SELECT dmp_protect('other','body')");
  assert_string_equal(ask(DOCTOR, "SELECT body FROM note WHERE id=1"), "note 1");
  host_does("CREATE TABLE kept AS SELECT id, body FROM dmp_sealed; CREATE TRIGGER trap AFTER INSERT ON agenda BEGIN INSERT INTO leak SELECT body FROM note; END");
  sign_without_key("note");
  DONE(DOCTOR, "SELECT body FROM other");
  host_does("UPDATE dmp_sealed SET body=(SELECT body FROM kept k WHERE k.id=dmp_sealed.id)");
  REFUSED("E025", DOCTOR, "SELECT body FROM note WHERE id=1");
  assert_string_not_equal(ask(DOCTOR, "INSERT INTO agenda VALUES(1)"), "");
  assert_int_equal(NUMBER(DOCTOR, "SELECT count(*) FROM leak"), 0);
  host_does("DROP TRIGGER trap");
  assert_string_equal(ask(DOCTOR, "SELECT body FROM note WHERE id=1"), "note 1");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_make, world_end)
int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(the_key_before_a_rotation_opens_no_box_and_proves_no_reader_once_it_is_done),
    TEST(while_a_key_turns_the_one_before_opens_nothing_that_was_written_since),
    TEST(a_withdrawn_reader_opens_no_box_by_the_keys_that_he_kept),
    TEST(a_rotation_inside_a_transaction_leaves_neither_of_two_keys_alive),
    TEST(a_row_that_somebody_without_the_key_planted_gets_none_when_it_turns),
    TEST(a_row_that_a_withdrawn_reader_planted_under_the_key_he_kept_gets_none),
    TEST(a_second_certificate_for_a_reader_gets_no_key_by_rewrap_or_rotation),
    TEST(a_description_signed_by_somebody_without_the_key_is_refused_by_every_holder),
    TEST(a_planted_trigger_is_not_let_in_by_a_description_that_stood_while_another_table_was_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
