/* test_team_keys.c: what who left a team kept opens nothing that is written afterwards, and what members, strangers and the host forge about
 * teams is believed by nobody. The forgers use the extension's own code on their own sessions, without its rules and without its log. */
#include "access.h"
#include "login.h"
#include "membership.h"

enum { AUTHORITY, TREATING, BOSS, LEAVER, MEMBER, STRANGER, PHARMACIST, PATIENT, PEOPLE };
static const char *const NAME[PEOPLE] = { "authority", "treating", "boss", "leaver", "member", "stranger", "pharmacist", "patient" };
static const char *const PROFESSION[PEOPLE] = { NULL, "10", "60", "60", "60", "60", "21", NULL };
#include "people.h"
#include "ring.h"

static int64_t faults_of(int who) { return NUMBER(who, "SELECT count(*) FROM dmp_verify WHERE kind='fault' AND place LIKE 'dmp_certificate%%'"); }
static void join(int by, int who, int manager) {
  DONE(by, "INSERT INTO membership(team,member,manager) VALUES(%lld,%lld,%d)", w.team, w.who[who].id, manager);
}
static void leave(int by, int who) { DONE(by, "DELETE FROM membership WHERE team=%lld AND member=%lld", w.team, w.who[who].id); }

static const struct team *team_of(int who) {
  const struct team *t;
  uint8_t id[16];
  id_field(id, w.team);
  assert_int_equal(team_get(session_of(who), id, &t), DMP_OK);
  return t;
}

/* A patient whose treating doctor is TREATING, a team of BOSS (manager), LEAVER and MEMBER with consent, one document; STRANGER and PHARMACIST are nobody. */
static int world_make(void **state) {
  (void)state;
  world_begin();
  for (int i = TREATING; i < PATIENT; i++) {
    person_register(i, PROFESSION[i], i == TREATING, person_request(i));
    person_login(i);
  }
  DONE(TREATING, "INSERT INTO patient(birth_name,treating_doctor,credential,pin) VALUES('DUPONT',%lld,'%s/patient.dmpkey','" PIN "')", w.who[TREATING].id,
       w.folder);
  w.patient = NUMBER(TREATING, "SELECT last_insert_rowid()");
  person_login(PATIENT);
  DONE(AUTHORITY, "INSERT INTO principal(kind,name,profession) VALUES('team','Soins','60')");
  w.team = NUMBER(AUTHORITY, "SELECT last_insert_rowid()");
  join(AUTHORITY, BOSS, 1);
  join(BOSS, LEAVER, 0);
  join(BOSS, MEMBER, 0);
  DONE(PATIENT, "INSERT INTO consent(patient,grantee) VALUES(%lld,%lld)", w.patient, w.team);
  w.document = deposit_by(TREATING, "rapport", "11488-4", 0);
  for (int i = BOSS; i <= MEMBER; i++) person_login(i);
  for (int i = BOSS; i <= MEMBER; i++) assert_int_equal(documents_of(i), 1);
  return 0;
}

/* ---- what the leaver kept ---- */

/* All that a member's session holds, and all that follows from it: the team's secrets, the patient's keys, the credential. */
static void ring_fill(int who) {
  struct session *s = session_of(who);
  struct patient *p = patient_of(who);
  const struct scan all = { .first = 0, .last = UINT16_MAX, .own = 1 };
  const struct entry *en;
  const uint8_t *pair;
  uint8_t line[32];
  ring.n = 0;
  assert_int_equal(object_scan(s, p, &all, ring_item, NULL), DMP_OK);
  assert_non_null(patient_entry(p, 0));
  for (size_t i = 0; (en = patient_entry(p, i)) != NULL; i++) {
    ring_add(en->key);
    for (int l = 0; l < LEAVES; l++) {
      struct leaf leaf = { 0 };
      uint8_t half[32];
      leaf_derive(en->key, p->anchor, l, &leaf);
      leaf_deposit_pair(&leaf);
      ring_add(leaf.key);
      ring_add(leaf.deposit_sk);
      half_derive(en->key, l, half);
      ring_add(half);
    }
  }
  assert_true(s->seats > 1);
  for (size_t i = 1; i < s->seats; i++) {
    ring_add(s->seat[i].secret);
    ring_add(s->seat[i].box_sk);
    ring_add(s->seat[i].wrap);
  }
  assert_int_equal(patient_pair(s, p, 0, &pair), DMP_OK);
  suite_kdf_text(pair, "line", line);
  ring_add(pair);
  ring_add(line);
  ring_add(p->g.y);
  ring_add(p->anchor);
  for (size_t i = 0; i < sizeof p->own_leaf / sizeof *p->own_leaf; i++) ring_add(p->own_leaf[i]);
  ring_add(s->cred->seed);
  ring_add(s->cred->loc);
  ring_add(s->cred->wrap);
  ring_add(s->cred->box_sk);
  ring_add(s->cred->directory);
}

/* What was the same before the departure is joined away by its bytes. */
#define SINCE(t, column) "b.id IS NULL OR b." column "<>a." column " FROM dmp_" t " a LEFT JOIN old.dmp_" t " b ON b.id=a.id"
static const struct { const char *what, *sql; struct box_ad ad; int patients_id; } COLUMNS[] = {
  { "object wrap", "SELECT a.id,a.loc,0,0,0,a.wrap," SINCE("object", "wrap"), { .kind = BOX_WRAP, .table = IN_OBJECT }, 0 },
  { "header", "SELECT a.id,NULL,a.version,0,0,a.header," SINCE("object", "header"), { .kind = BOX_HEADER, .table = IN_OBJECT }, 0 },
  { "chunk", "SELECT a.object,NULL,1,a.number,1,a.box," SINCE("chunk", "box"), { .kind = BOX_CHUNK, .table = IN_CHUNK }, 0 },
  { "state", "SELECT 0,a.loc,0,0,0,a.box," SINCE("state", "box"), { .kind = BOX_STATE, .table = IN_STATE }, 1 },
  { "wrap", "SELECT a.id,a.loc,0,0,0,a.wrap," SINCE("wrap", "wrap"), { .kind = BOX_WRAP, .table = IN_WRAP }, 0 },
  { "grant", "SELECT a.id,a.loc,0,0,0,a.box," SINCE("grant", "box"), { .kind = BOX_GRANT, .table = IN_GRANT }, 0 },
  { "secret", "SELECT a.id,a.loc,0,0,0,a.box," SINCE("grant", "box"), { .kind = BOX_TEAM, .table = IN_GRANT }, 0 },
};
enum { COLUMN_COUNT = sizeof COLUMNS / sizeof *COLUMNS };

/* Everybody goes on: before the keys turn, then after. */
static void life_after_the_departure(void) {
  deposit_by(MEMBER, "avant le tour", "11488-4", 0);
  deposit_by(BOSS, "avant le tour", "34842-5", 0);
  DONE(PATIENT, "INSERT INTO document(patient,content,type_code) VALUES(%lld,x'04','ATTEST-RESID')", w.patient);
  DONE(TREATING, "INSERT INTO identity(patient,system,value) VALUES(%lld,'urn:cabinet','42')", w.patient);   /* never masked: its keys turn first */
  deposit_by(TREATING, "entre", "11488-4", 0);
  deposit_by(MEMBER, "residence, encore due", "ATTEST-RESID", 0);
  person_login(PATIENT);
  person_login(BOSS);
  join(BOSS, STRANGER, 0);
  person_login(STRANGER);
  assert_true(documents_of(STRANGER) >= 6);
  deposit_by(STRANGER, "nouveau membre", "11488-4", 0);
  deposit_by(PATIENT, "apres", "34842-5", 0);
  deposit_by(MEMBER, "masque", "11488-4", 1);
  DONE(PATIENT, "INSERT INTO consent(patient,grantee) VALUES(%lld,%lld)", w.patient, w.who[PHARMACIST].id);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.team);
  DONE(PATIENT, "INSERT INTO consent(patient,grantee) VALUES(%lld,%lld)", w.patient, w.team);
  person_login(BOSS);
  assert_true(documents_of(BOSS) >= 8);
}

static void what_a_member_kept_opens_no_box_written_after_he_left(void **state) {
  (void)state;
  int grants = 0;
  ring_fill(LEAVER);
  DONE(PATIENT, "VACUUM INTO '%s/old.db'", w.folder);
  leave(BOSS, LEAVER);
  life_after_the_departure();
  DONE(PATIENT, "ATTACH '%s/old.db' AS old", w.folder);
  for (size_t i = 0; i < COLUMN_COUNT; i++) {
    struct tried t = { 0 };
    struct box_ad ad = COLUMNS[i].ad;
    if (COLUMNS[i].patients_id) ad.id = w.patient;
    ring_try(&t, COLUMNS[i].sql, ad);
    if (t.new_opened) fail_msg("%s: %d boxes written after he left open with what he kept", COLUMNS[i].what, t.new_opened);
    assert_true(t.new_seen > 2);
    grants += t.old_opened;
  }
  assert_true(grants > 0);                            /* what nobody wrote again opens: the keys are real */
  DONE(PATIENT, "DETACH old");
}

static void what_he_kept_opened_all_of_it_before(void **state) {
  (void)state;
  static const int READABLE[] = { 0, 1, 2, 5 };       /* wraps, headers, chunks, grants */
  ring_fill(LEAVER);
  DONE(PATIENT, "VACUUM INTO '%s/old.db'", w.folder);
  DONE(PATIENT, "ATTACH '%s/old.db' AS old", w.folder);
  DONE(PATIENT, "DELETE FROM old.dmp_object");        /* so that all is new */
  DONE(PATIENT, "DELETE FROM old.dmp_chunk");
  DONE(PATIENT, "DELETE FROM old.dmp_grant");
  for (size_t i = 0; i < 4; i++) {
    struct tried t = { 0 };
    ring_try(&t, COLUMNS[READABLE[i]].sql, COLUMNS[READABLE[i]].ad);
    assert_true(t.new_opened > 0);
  }
  DONE(PATIENT, "DETACH old");
  assert_int_equal(documents_of(PATIENT), 1);
}

/* ---- forged members ---- */

static struct session *forge_begin(int who) {
  DONE(who, "BEGIN IMMEDIATE");
  return session_of(who);
}

static void forge_end(int who) {
  struct session *s = session_of(who);
  s->pending.lines = s->pending.rows = 0;
  DONE(who, "COMMIT");
  session_stale(s);
}

/* The next line of the chain as `who` would write it; and, where he has them, the team's secrets sealed to the member. */
static void line_forge(int who, uint8_t kind, int member, int manager) {
  struct session *s = forge_begin(who);
  const struct team *t = team_of(who);
  struct team_line l = { .kind = kind, .manager = (uint8_t)manager };
  assert_int_equal(patient_own(s), DMP_OK);
  id_field(l.member, w.who[member].id);
  memcpy(l.member_cert, session_who(s, l.member)->hash, 32);
  if (kind == TEAM_KEY) {
    l.serial = t->serial + 1;
    memcpy(l.box_pk, s->cred->box_pk, 32);
  }
  assert_int_equal(team_line_put(s, t, &l), DMP_OK);
  if (kind == TEAM_JOIN) assert_int_equal(seat_give(s, team_of(who), l.member, l.member_cert), DMP_OK);
  forge_end(who);
}

static void nothing_changed(void) {
  for (int again = 0; again < 2; again++) {
    for (int i = BOSS; i <= MEMBER; i++) assert_int_equal(documents_of(i), 1);
    assert_int_equal(documents_of(STRANGER), 0);
    assert_int_equal(documents_of(PHARMACIST), 0);
    assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM membership"), 3);
    assert_int_equal(NUMBER(PATIENT, "SELECT owed FROM session"), 0);
    assert_true(faults_of(PATIENT) > 0);
    assert_true(faults_of(BOSS) > 0);
    for (int i = TREATING; i <= PATIENT; i++) person_login(i);
  }
}

static void a_stranger_makes_himself_no_member(void **state) {
  (void)state;
  line_forge(STRANGER, TEAM_JOIN, STRANGER, 1);
  nothing_changed();
  join(BOSS, STRANGER, 0);                            /* the true line takes its place in the chain */
  assert_int_equal(documents_of(STRANGER), 1);
}

static void a_member_who_is_no_manager_adds_nobody_though_he_gives_the_secret(void **state) {
  (void)state;
  line_forge(LEAVER, TEAM_JOIN, STRANGER, 0);
  nothing_changed();
  line_forge(LEAVER, TEAM_JOIN, LEAVER, 1);
  nothing_changed();
  DONE(BOSS, "UPDATE membership SET manager=1 WHERE member=%lld", w.who[LEAVER].id);
  join(LEAVER, STRANGER, 0);
  assert_int_equal(documents_of(STRANGER), 1);
}

static void a_manager_adds_nobody_who_may_read_less_than_the_role(void **state) {
  (void)state;
  line_forge(BOSS, TEAM_JOIN, PHARMACIST, 0);
  nothing_changed();
}

static void a_member_takes_nobody_out_and_turns_no_key(void **state) {
  (void)state;
  line_forge(LEAVER, TEAM_LEAVE, MEMBER, 0);
  nothing_changed();
  line_forge(LEAVER, TEAM_KEY, LEAVER, 0);
  nothing_changed();
  line_forge(AUTHORITY, TEAM_LEAVE, MEMBER, 0);
  nothing_changed();
  line_forge(AUTHORITY, TEAM_JOIN, STRANGER, 1);      /* not while there is a manager */
  nothing_changed();
}

static void who_left_writes_no_line_and_his_old_one_put_back_is_none(void **state) {
  (void)state;
  struct session *s;
  leave(BOSS, LEAVER);
  person_login(PATIENT);
  person_login(BOSS);
  line_forge(LEAVER, TEAM_JOIN, LEAVER, 0);
  s = forge_begin(LEAVER);                            /* the line that once made him a member, sealed again */
  struct team_line old = { 0 };
  for (size_t i = 0; i < team_of(LEAVER)->n; i++)
    if (team_of(LEAVER)->chain[i].kind == TEAM_JOIN && id_from_field(team_of(LEAVER)->chain[i].member) == w.who[LEAVER].id) old = team_of(LEAVER)->chain[i];
  assert_int_equal(old.kind, TEAM_JOIN);
  assert_int_equal(team_line_put(s, team_of(LEAVER), &old), DMP_OK);
  forge_end(LEAVER);
  for (int again = 0; again < 2; again++) {
    assert_int_equal(documents_of(LEAVER), 0);
    assert_int_equal(documents_of(MEMBER), 1);
    assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM membership"), 2);
    assert_true(faults_of(PATIENT) > 0);
    for (int i = TREATING; i <= PATIENT; i++) person_login(i);
  }
}

/* ---- the secret ---- */

static void rows_keep(const char *name, const char *table) { DONE(PATIENT, "CREATE TEMP TABLE %s AS SELECT * FROM dmp_%s", name, table); }

/* The host puts back every row of the table that was changed or is gone. */
static void rows_put_back(const char *name, const char *table) {
  DONE(PATIENT, "INSERT OR REPLACE INTO dmp_%s SELECT * FROM temp.%s", table, name);
}

static void a_secret_put_back_seats_nobody_who_left(void **state) {
  (void)state;
  rows_keep("grants", "grant");
  leave(BOSS, LEAVER);
  rows_put_back("grants", "grant");                   /* his sealed secret, and the team's grants of before */
  for (int again = 0; again < 2; again++) {
    assert_int_equal(documents_of(LEAVER), 0);
    assert_int_equal(NUMBER(LEAVER, "SELECT count(*) FROM patient"), 0);
    assert_int_equal(documents_of(MEMBER), 1);
    person_login(LEAVER);
  }
}

static void an_old_secret_in_the_place_of_the_new_one_is_told(void **state) {
  (void)state;
  struct session *s = session_of(MEMBER);
  assert_int_equal(patient_own(s), DMP_OK);
  assert_int_equal(s->seats, 2);
  leave(BOSS, LEAVER);
  person_login(BOSS);                                 /* nothing lies under the old secret any more */
  assert_int_equal(documents_of(MEMBER), 1);
  s = forge_begin(LEAVER);
  const struct team *t = team_of(LEAVER);
  uint8_t member[16];
  id_field(member, w.who[MEMBER].id);
  assert_int_equal(seat_take_back(s, t, member, t->serial), DMP_OK);
  forge_end(LEAVER);
  assert_int_equal(documents_of(MEMBER), 1);          /* an open session has it */
  REFUSED("E115", MEMBER, "SELECT dmp_login('%s/member.dmpkey','" PIN "')", w.folder);
  join(BOSS, MEMBER, 0);
  person_login(MEMBER);
  assert_int_equal(documents_of(MEMBER), 1);
}

/* ---- the host puts a chain back ---- */

static void lines_cut(void) { DONE(PATIENT, "DELETE FROM dmp_certificate WHERE id NOT IN (SELECT id FROM temp.certificates)"); }

static void a_chain_that_was_cut_is_told_to_members_and_to_patients_whose_keys_turned(void **state) {
  (void)state;
  rows_keep("certificates", "certificate");
  leave(BOSS, LEAVER);
  rows_keep("departed", "certificate");
  person_login(PATIENT);
  assert_int_equal(documents_of(MEMBER), 1);
  lines_cut();
  REFUSED("E114", MEMBER, "SELECT * FROM document");
  REFUSED("E114", MEMBER, "SELECT dmp_login('%s/member.dmpkey','" PIN "')", w.folder);
  REFUSED("E114", PATIENT, "SELECT dmp_login('%s/patient.dmpkey','" PIN "')", w.folder);
  REFUSED("E114", TREATING, "INSERT INTO document(patient,content,type_code) VALUES(%lld,x'00','11488-4')", w.patient);
  assert_true(faults_of(STRANGER) > 0);               /* anybody's dmp_verify: the log names each line */
  rows_put_back("departed", "certificate");
  person_login(MEMBER);
  assert_int_equal(documents_of(MEMBER), 1);
  deposit_by(TREATING, "suite", "11488-4", 0);
}

static void a_chain_that_was_cut_before_any_key_turned_is_named_by_everybodys_verify(void **state) {
  (void)state;
  rows_keep("certificates", "certificate");
  leave(BOSS, LEAVER);
  assert_int_equal(faults_of(STRANGER), 0);
  lines_cut();
  REFUSED("E114", MEMBER, "SELECT dmp_login('%s/member.dmpkey','" PIN "')", w.folder);
  assert_true(faults_of(STRANGER) > 0);
  assert_true(faults_of(PATIENT) > 0);
}

static void a_line_taken_out_of_the_middle_is_told(void **state) {
  (void)state;
  const struct team *t = team_of(PATIENT);
  int64_t row = t->chain[2].row;
  assert_true(t->n >= 4);
  rows_keep("certificates", "certificate");
  DONE(PATIENT, "DELETE FROM dmp_certificate WHERE id=%lld", row);
  for (int i = BOSS; i <= MEMBER; i++) REFUSED("E113", i, "SELECT * FROM document");
  REFUSED("E113", PATIENT, "INSERT INTO document(patient,content,type_code) VALUES(%lld,x'00','11488-4')", w.patient);
  assert_int_equal(NUMBER(STRANGER, "SELECT count(*) FROM principal"), 8);   /* who has nothing to do with it goes on */
  rows_put_back("certificates", "certificate");
  for (int i = BOSS; i <= MEMBER; i++) assert_int_equal(documents_of(i), 1);
}

/* ---- granters ---- */

static void a_first_grant_to_a_team_by_one_of_its_members_opens_nothing(void **state) {
  (void)state;
  DONE(AUTHORITY, "INSERT INTO principal(kind,name,profession) VALUES('team','Nuit','60')");
  int64_t night = NUMBER(AUTHORITY, "SELECT last_insert_rowid()");
  DONE(AUTHORITY, "INSERT INTO membership(team,member,manager) VALUES(%lld,%lld,1)", night, w.who[STRANGER].id);
  person_login(STRANGER);
  struct session *s = forge_begin(LEAVER);
  struct grant g = patient_of(LEAVER)->g;
  const struct team *t;
  uint8_t id[16];
  id_field(id, night);
  assert_int_equal(team_get(s, id, &t), DMP_OK);
  assert_int_equal(grant_send(s, &g, 1, &t->now, s->cred->sign_sk, s->me.hash), DMP_OK);
  forge_end(LEAVER);
  assert_int_equal(documents_of(STRANGER), 0);
  person_login(STRANGER);
  assert_int_equal(documents_of(STRANGER), 0);
  DONE(PATIENT, "INSERT INTO consent(patient,grantee) VALUES(%lld,%lld)", w.patient, night);
  assert_int_equal(documents_of(STRANGER), 1);
}

/* The treating doctor forgets, in the keyset he signs, that somebody left who held a class that he himself can't turn. */
static void a_keyset_by_the_treating_doctor_that_hides_what_a_departure_owes_is_followed_by_nobody(void **state) {
  (void)state;
  leave(BOSS, LEAVER);
  struct session *s = forge_begin(TREATING);
  struct patient *p = patient_of(TREATING);
  struct keyset *k, next;
  uint8_t yk[32];
  assert_int_equal(patient_keyset(s, p, &k), DMP_OK);
  const struct team *t = team_of(TREATING);
  next = *k;
  next.seq++;
  memcpy(next.previous, k->hash, 32);
  assert_int_equal(next.teams, 1);
  next.team[0].seq = (uint32_t)t->n;
  team_head(t, next.team[0].head);
  memcpy(yk, p->yk, 32);
  assert_int_equal(keyset_put(s, w.patient, yk, &next, s->cred->sign_sk, s->me.hash), DMP_OK);
  forge_end(TREATING);
  for (int i = BOSS; i <= PATIENT; i++) {
    if (i == LEAVER || i == STRANGER || i == PHARMACIST) continue;
    REFUSED("E034", i, "SELECT * FROM document");
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_make, world_drop)
  const struct CMUnitTest tests[] = {
    TEST(what_a_member_kept_opens_no_box_written_after_he_left),
    TEST(what_he_kept_opened_all_of_it_before),
    TEST(a_stranger_makes_himself_no_member),
    TEST(a_member_who_is_no_manager_adds_nobody_though_he_gives_the_secret),
    TEST(a_manager_adds_nobody_who_may_read_less_than_the_role),
    TEST(a_member_takes_nobody_out_and_turns_no_key),
    TEST(who_left_writes_no_line_and_his_old_one_put_back_is_none),
    TEST(a_secret_put_back_seats_nobody_who_left),
    TEST(an_old_secret_in_the_place_of_the_new_one_is_told),
    TEST(a_chain_that_was_cut_is_told_to_members_and_to_patients_whose_keys_turned),
    TEST(a_chain_that_was_cut_before_any_key_turned_is_named_by_everybodys_verify),
    TEST(a_line_taken_out_of_the_middle_is_told),
    TEST(a_first_grant_to_a_team_by_one_of_its_members_opens_nothing),
    TEST(a_keyset_by_the_treating_doctor_that_hides_what_a_departure_owes_is_followed_by_nobody),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
