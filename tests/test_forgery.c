/* test_forgery.c: what people with real keys, or keys that were real yesterday, can forge, and that nothing of it is believed.
 * The forgers use the extension's own code on their own sessions, without its rules and without its log. */
#include "access.h"
#include "body.h"
#include "change.h"
#include "document.h"
#include "login.h"
#include "mark.h"
#include <sys/wait.h>

enum { AUTHORITY, TREATING, FORMER, PHARMACIST, NURSE, NEWCOMER, PATIENT, MOTHER, PEOPLE };
static const char *const NAME[PEOPLE] = { "authority", "treating", "former", "pharmacist", "nurse", "newcomer", "patient", "mother" };
static const char *const PROFESSION[PEOPLE] = { NULL, "10", "10", "21", "60", "10", NULL, NULL };

#include "people.h"
#include "ring.h"

/* By profession; the treating doctor may register patients. */
static void person_enrol(int who, const char *request) { person_register(who, PROFESSION[who], who == TREATING, request); }

static int64_t faults_of(int who, const char *place) {
  return NUMBER(who, "SELECT count(*) FROM dmp_verify WHERE kind='fault' AND place=%Q", place);
}
/* Whether this login's dmp_verify names the item as a fault. */
static int names(int who, int64_t item) {
  return NUMBER(who, "SELECT count(*) FROM dmp_verify WHERE kind='fault' AND place='dmp_object' AND \"row\"=%lld", item) > 0;
}
static void consent_to(int who) { DONE(PATIENT, "INSERT INTO consent(patient,grantee) VALUES(%lld,%lld)", w.patient, w.who[who].id); }

/* A forger writes past the tables: no rule, no line in the log. */
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

/* The same with a block of the log in the forger's name, as for any write. */
static void forge_end_in_the_log(int who) {
  struct session *s = session_of(who);
  assert_int_equal(access_intent(s), DMP_OK);
  DONE(who, "COMMIT");
  access_outcome(s, 1);
  session_stale(s);
}

/* Treating doctor, a former one, a consented pharmacist; nurse and newcomer without consent; one document by the treating doctor. */
static int world_make(void **state) {
  (void)state;
  world_begin();
  for (int i = TREATING; i < NEWCOMER; i++) {
    person_enrol(i, person_request(i));
    person_login(i);
  }
  DONE(TREATING, "INSERT INTO patient(birth_name,treating_doctor,credential,pin) VALUES('DUPONT',%lld,'%s/patient.dmpkey','" PIN "')",
       w.who[FORMER].id, w.folder);
  w.patient = NUMBER(TREATING, "SELECT last_insert_rowid()");
  person_login(PATIENT);
  person_login(FORMER);
  assert_int_equal(documents_of(FORMER), 0);
  DONE(PATIENT, "UPDATE patient SET treating_doctor=%lld WHERE id=%lld", w.who[TREATING].id, w.patient);
  consent_to(PHARMACIST);
  w.document = deposit_by(TREATING, "rapport", "11488-4", 0);
  person_login(PHARMACIST);
  assert_int_equal(documents_of(PHARMACIST), 1);
  return 0;
}

/* ---- grants ---- */

/* Who reads in a circle passes its key on, in her own name and in that of the granter: by the mail, and as a first grant. */
static void a_circle_s_key_that_somebody_passes_to_who_is_left_out_is_not_believed(void **state) {
  (void)state;
  uint8_t pharmacist[16];
  consent_to(NURSE);
  deposit_by(TREATING, "ouvert", "11488-4", 0);
  assert_int_equal(documents_of(PHARMACIST), 2);
  DONE(PATIENT, "INSERT INTO mask(document,grantee) VALUES(%lld,%lld)", w.document, w.who[PHARMACIST].id);
  assert_int_equal(documents_of(NURSE), 2);
  assert_int_equal(documents_of(PHARMACIST), 1);
  id_field(pharmacist, w.who[PHARMACIST].id);
  for (int first = 0; first < 2; first++)
    for (int named = 0; named < 2; named++) {
      struct session *s = forge_begin(NURSE);
      struct grant g = patient_of(NURSE)->g;
      int circles = 0;
      for (size_t i = 0; i < g.count; i++) circles += g.entry[i].which == WHICH_C;
      assert_int_equal(circles, 1);
      memcpy(g.mail, patient_of(PHARMACIST)->g.mail, 16);
      g.seq += (uint64_t)(named && !first);
      assert_int_equal(grant_send(s, &g, first, session_who(s, pharmacist), s->cred->sign_sk, named ? patient_of(NURSE)->g.patient_cert : s->me.hash), DMP_OK);
      forge_end(NURSE);
      assert_int_equal(documents_of(PHARMACIST), 1);
    }
  deposit_by(PHARMACIST, "suite", "11488-4", 0);         /* her own write takes nothing of it in */
  assert_int_equal(documents_of(PHARMACIST), 2);
  for (size_t i = 0; i < patient_of(PHARMACIST)->g.count; i++) assert_int_not_equal(patient_of(PHARMACIST)->g.entry[i].which, WHICH_C);
  REFUSED("E041", PHARMACIST, "SELECT dmp_read(%lld,0,1)", w.document);
}

/* A first grant for the nurse as `who` would make it, naming `granter` and signed with the session's key. */
static void grant_forge(int who, const uint8_t *granter) {
  struct session *s = forge_begin(who);
  struct patient *p = patient_of(who);
  uint8_t nurse[16];
  id_field(nurse, w.who[NURSE].id);
  struct grant g = p->g;
  assert_int_equal(grant_send(s, &g, 1, session_who(s, nurse), s->cred->sign_sk, granter ? granter : s->me.hash), DMP_OK);
  forge_end(who);
}

static void nurse_has_nothing(void) {
  assert_int_equal(documents_of(NURSE), 0);
  assert_int_equal(NUMBER(NURSE, "SELECT count(*) FROM patient"), 0);
  REFUSED("E041", NURSE, "SELECT dmp_read(%lld,0,1)", w.document);
  REFUSED("E043", NURSE, "INSERT INTO document(patient,content,type_code) VALUES(%lld,x'00','11488-4')", w.patient);
}

static void a_grant_by_a_professional_who_may_not_give_opens_nothing(void **state) {
  (void)state;
  grant_forge(PHARMACIST, NULL);
  nurse_has_nothing();
  person_login(NURSE);                                /* adoption drops what does not prove, and says so */
  nurse_has_nothing();
  assert_true(faults_of(NURSE, "dmp_grant") > 0);
  consent_to(NURSE);
  assert_int_equal(documents_of(NURSE), 1);           /* the true one, beside */
}

static void a_grant_that_names_the_patient_but_is_signed_by_another_opens_nothing(void **state) {
  (void)state;
  uint8_t patient[32];
  memcpy(patient, patient_of(PHARMACIST)->g.patient_cert, 32);
  grant_forge(PHARMACIST, patient);
  nurse_has_nothing();
  person_login(NURSE);
  nurse_has_nothing();
}

static void a_grant_by_a_former_treating_doctor_opens_nothing(void **state) {
  (void)state;
  grant_forge(FORMER, NULL);
  person_login(NURSE);
  nurse_has_nothing();
}

static void a_forged_grant_beside_the_true_one_does_not_hide_it(void **state) {
  (void)state;
  grant_forge(PHARMACIST, NULL);
  consent_to(NURSE);
  grant_forge(PHARMACIST, NULL);
  assert_int_equal(documents_of(NURSE), 1);
  person_login(NURSE);
  assert_int_equal(documents_of(NURSE), 1);
  grant_forge(PHARMACIST, NULL);                      /* nor take its place once it is adopted */
  person_login(NURSE);
  assert_int_equal(documents_of(NURSE), 1);
}

static void a_forged_packet_is_not_merged_and_without_the_true_one_the_answer_is_an_error(void **state) {
  (void)state;
  uint8_t mail[16], treating[16];
  memcpy(mail, patient_of(TREATING)->g.mail, 16);
  consent_to(NURSE);                                  /* a new keyset, and a packet for everybody */
  int64_t packet = NUMBER(TREATING, "SELECT id FROM dmp_grant WHERE loc=x'%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x'", mail[0],
                          mail[1], mail[2], mail[3], mail[4], mail[5], mail[6], mail[7], mail[8], mail[9], mail[10], mail[11], mail[12], mail[13],
                          mail[14], mail[15]);
  assert_true(packet > 0);
  struct session *s = forge_begin(PHARMACIST);
  struct grant g = patient_of(PHARMACIST)->g;
  id_field(treating, w.who[TREATING].id);
  memcpy(g.mail, mail, 16);
  for (size_t i = 0; i < g.count; i++) memset(g.entry[i].key, 7, 32);   /* keys that the forger knows */
  assert_int_equal(grant_send(s, &g, 0, session_who(s, treating), s->cred->sign_sk, s->me.hash), DMP_OK);
  forge_end(PHARMACIST);
  assert_int_equal(documents_of(TREATING), 1);
  DONE(PATIENT, "CREATE TEMP TABLE kept AS SELECT * FROM dmp_grant WHERE id=%lld", packet);
  DONE(PATIENT, "DELETE FROM dmp_grant WHERE id=%lld", packet);
  REFUSED("E037", TREATING, "SELECT * FROM document");
  REFUSED("E037", TREATING, "INSERT INTO document(patient,content,type_code) VALUES(%lld,x'00','11488-4')", w.patient);
  DONE(PATIENT, "INSERT INTO dmp_grant SELECT * FROM temp.kept");
  deposit_by(TREATING, "suite", "11488-4", 0);
  assert_int_equal(documents_of(NURSE), 2);
}

/* ---- keysets and deposit keys ---- */

/* The next keyset as a forger writes it: his own deposit keys in a class. */
static void keyset_forge(int who, const uint8_t *signer, uint16_t cls, void (*change)(struct keyset *k)) {
  struct session *s = forge_begin(who);
  struct patient *p = patient_of(who);
  struct keyset *k, next;
  uint8_t me[32], yk[32];
  assert_int_equal(patient_keyset(s, p, &k), DMP_OK);
  next = *k;
  next.seq++;
  memcpy(next.previous, k->hash, 32);
  struct keyset_class *c = keyset_class(&next, cls);
  if (c)
    for (int l = 0; l < LEAVES; l++) memcpy(c->deposit[l], s->cred->box_pk, 32);
  if (change) change(&next);
  memcpy(me, signer ? signer : s->me.hash, 32);
  memcpy(yk, p->yk, 32);
  assert_int_equal(keyset_put(s, w.patient, yk, &next, s->cred->sign_sk, me), DMP_OK);
  forge_end(who);
}

static void nobody_follows_the_keyset(void) {
  int64_t objects = NUMBER(AUTHORITY, "SELECT count(*) FROM dmp_object");
  for (int i = TREATING; i <= PATIENT; i++) {
    if (i == NURSE || i == NEWCOMER || i == FORMER) continue;
    const char *said = ask(i, "SELECT count(*) FROM document");
    if (strncmp(said, "dmp-E034", 8) != 0 && strncmp(said, "dmp-E037", 8) != 0) fail_msg("%s got: %s", NAME[i], said);
    said = ask(i, "INSERT INTO document(patient,content,type_code,masked) VALUES(%lld,x'00','11488-4',1)", w.patient);
    if (strncmp(said, "dmp-E034", 8) != 0 && strncmp(said, "dmp-E037", 8) != 0) fail_msg("%s deposited: %s", NAME[i], said);
  }
  assert_int_equal(NUMBER(AUTHORITY, "SELECT count(*) FROM dmp_object"), objects);
  assert_true(faults_of(PATIENT, "dmp_keyset") > 0);
}

static void a_keyset_with_a_forged_deposit_key_by_a_consented_professional_is_followed_by_nobody(void **state) {
  (void)state;
  keyset_forge(PHARMACIST, NULL, 17, NULL);
  nobody_follows_the_keyset();
}

static void a_keyset_that_names_the_patient_but_is_signed_by_another_is_followed_by_nobody(void **state) {
  (void)state;
  uint8_t patient[32];
  memcpy(patient, patient_of(PHARMACIST)->g.patient_cert, 32);
  keyset_forge(PHARMACIST, patient, 17, NULL);
  nobody_follows_the_keyset();
}

static void a_keyset_by_a_former_treating_doctor_is_followed_by_nobody(void **state) {
  (void)state;
  keyset_forge(FORMER, NULL, 17, NULL);
  nobody_follows_the_keyset();
}

static void a_keyset_by_the_treating_doctor_beyond_his_classes_is_followed_by_nobody(void **state) {
  (void)state;
  keyset_forge(TREATING, NULL, 21, NULL);             /* a class that the matrix denies to doctors */
  nobody_follows_the_keyset();
}

static void other_doctor(struct keyset *k) { id_field(k->treating, w.who[FORMER].id); }
static void a_keyset_by_the_treating_doctor_that_names_another_treating_doctor_is_followed_by_nobody(void **state) {
  (void)state;
  keyset_forge(TREATING, NULL, 0, other_doctor);
  nobody_follows_the_keyset();
}

static void skip_one(struct keyset *k) { k->previous[0] ^= 1; }
static void a_keyset_that_does_not_follow_its_predecessor_is_followed_by_nobody(void **state) {
  (void)state;
  keyset_forge(PATIENT, NULL, 0, skip_one);           /* even by the patient's own key */
  REFUSED("E034", TREATING, "SELECT * FROM document");
}

static void a_keyset_by_the_treating_doctor_within_his_classes_is_followed_by_all(void **state) {
  (void)state;
  DONE(TREATING, "INSERT INTO consent(patient,grantee) VALUES(%lld,%lld)", w.patient, w.who[NURSE].id);
  for (int i = TREATING; i <= NURSE; i++)
    if (i != FORMER) assert_int_equal(documents_of(i), 1);
  assert_int_equal(documents_of(PATIENT), 1);
  assert_int_equal(faults_of(PATIENT, "dmp_keyset"), 0);
}

/* ---- amendments, items ---- */

static void a_deletion_signed_by_another_than_the_depositor_is_ignored_and_named(void **state) {
  (void)state;
  struct item it;
  struct session *s = forge_begin(PHARMACIST);
  struct patient *p = patient_of(PHARMACIST);
  assert_int_equal(object_open(s, p, w.document, &it), DMP_OK);
  assert_int_equal(object_amend(s, p, &it, AMEND_DELETE), DMP_OK);
  item_close(&it);
  forge_end(PHARMACIST);
  for (int i = TREATING; i <= PATIENT; i++)
    if (i == TREATING || i == PHARMACIST || i == PATIENT) assert_int_equal(documents_of(i), 1);
  assert_true(faults_of(PATIENT, "dmp_object") > 0);
  DONE(PATIENT, "INSERT INTO mask(document) VALUES(%lld)", w.document);   /* the fold leaves it out */
  assert_int_equal(faults_of(PATIENT, "dmp_object"), 0);
  assert_int_equal(documents_of(PATIENT), 1);
  DONE(TREATING, "DELETE FROM document WHERE id=%lld", w.document);       /* the depositor's own is obeyed */
  assert_int_equal(documents_of(PATIENT), 0);
  assert_int_equal(faults_of(PATIENT, "dmp_object"), 0);
}

static void an_item_that_names_another_depositor_is_refused_when_it_is_read_and_named(void **state) {
  (void)state;
  struct session *s = session_of(PHARMACIST);
  uint8_t me[16], hash[32];
  memcpy(me, s->cred->principal, 16);
  memcpy(hash, s->me.hash, 32);
  id_field(s->cred->principal, w.who[TREATING].id);   /* he claims to be the treating doctor, and signs as he can */
  memcpy(s->me.hash, session_of(TREATING)->me.hash, 32);
  int64_t id = deposit_by(PHARMACIST, "faux", "11488-4", 0);
  memcpy(s->cred->principal, me, 16);
  memcpy(s->me.hash, hash, 32);
  for (int i = TREATING; i <= PATIENT; i++) {
    if (i != TREATING && i != PATIENT) continue;
    REFUSED("E039", i, "SELECT dmp_read(%lld,0,1)", id);
    REFUSED("E039", i, "SELECT content FROM document WHERE id=%lld", id);
    REFUSED("E039", i, "INSERT INTO mask(document) VALUES(%lld)", id);
    assert_true(NUMBER(i, "SELECT count(*) FROM dmp_verify WHERE place='dmp_object' AND \"row\"=%lld", id) > 0);
    assert_string_equal(ask(i, "SELECT hex(dmp_read(%lld,0,9))", w.document), "010203");
  }
}

static void a_sealed_deposit_that_names_another_depositor_is_not_adopted_and_stops_no_rotation(void **state) {
  (void)state;
  struct session *s = session_of(PHARMACIST);
  uint8_t me[16], hash[32];
  memcpy(me, s->cred->principal, 16);
  memcpy(hash, s->me.hash, 32);
  id_field(s->cred->principal, w.who[TREATING].id);
  memcpy(s->me.hash, session_of(TREATING)->me.hash, 32);
  int64_t id = deposit_by(PHARMACIST, "faux", "11488-4", 1);
  memcpy(s->cred->principal, me, 16);
  memcpy(s->me.hash, hash, 32);
  REFUSED("E039", PATIENT, "SELECT dmp_read(%lld,0,1)", id);
  consent_to(NURSE);
  assert_int_equal(documents_of(NURSE), 1);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[NURSE].id);
  assert_true(NUMBER(PATIENT, "SELECT count(*) FROM dmp_verify WHERE place='dmp_object' AND \"row\"=%lld", id) > 0);
}

/* ---- items of a system class ---- */

static int64_t plant(int who, struct place where, uint16_t table, const struct buf *row) {
  struct session *s = forge_begin(who);
  struct signer me = { s->cred, s->me.hash };
  struct content c = { .table = table, .row = row->p, .row_len = row->n };
  int64_t id = 0;
  assert_int_equal(object_insert(s, patient_of(who), &me, where, &c, NULL, &id), DMP_OK);
  forge_end(who);
  return id;
}

static int64_t plant_values(int who, struct place where, uint16_t table, const struct value *v, size_t n) {
  struct buf row = { 0 };
  row_put(&row, v, n);
  int64_t id = plant(who, where, table, &row);
  buf_free(&row);
  return id;
}

/* Everybody works on, and the forger is where he was: he deposits, and sees nothing else. */
static void forger_gains_nothing(int who, int64_t secret) {
  const char *said;
  assert_int_equal(documents_of(who), 0);
  REFUSED("E041", who, "SELECT dmp_read(%lld,0,9)", w.document);
  REFUSED("E041", who, "SELECT dmp_read(%lld,0,9)", secret);
  said = ask(who, "INSERT INTO consent(patient,grantee) VALUES(%lld,%lld)", w.patient, w.who[NURSE].id);
  if (strncmp(said, "dmp-E", 5) != 0) fail_msg("%s gave his consent: %s", NAME[who], said);
  assert_int_equal(documents_of(TREATING), 1);
  assert_int_equal(documents_of(PATIENT), 2);
}

/* The list as somebody knew it, with himself as the patient's equal, then all changes of keys that there are. */
static void planted_list_is_not_followed(int who, struct grantees *gs) {
  uint8_t id[16];
  struct buf row = { 0 };
  DONE(PATIENT, "INSERT INTO mask(document) VALUES(%lld)", w.document);
  int64_t secret = deposit_by(PATIENT, "secret", "99999-9^1.2.3", 0);
  forger_gains_nothing(who, secret);
  id_field(id, w.who[who].id);
  struct grantee *g = grantees_find(gs, id);
  assert_non_null(g);
  g->as = READER_PATIENT;
  g->until = 0;
  grantees_row(gs, &row);
  int64_t planted = plant(who, (struct place){ CLASS_CHOICES, 0, 1, 0 }, ITEM_GRANTEES, &row);
  buf_free(&row);
  assert_true(names(PATIENT, planted));
  consent_to(NURSE);
  forger_gains_nothing(who, secret);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[NURSE].id);
  DONE(PATIENT, "UPDATE patient SET treating_doctor=NULL WHERE id=%lld", w.patient);
  DONE(PATIENT, "UPDATE patient SET treating_doctor=%lld WHERE id=%lld", w.who[TREATING].id, w.patient);
  forger_gains_nothing(who, secret);
  person_login(PATIENT);
  person_login(who);
  forger_gains_nothing(who, secret);
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM consent WHERE grantee=%lld", w.who[who].id), 0);
  assert_true(names(PATIENT, planted));
}

static void a_list_of_grantees_planted_by_a_former_treating_doctor_gives_him_no_key(void **state) {
  (void)state;
  struct grantees gs;
  DONE(PATIENT, "UPDATE patient SET treating_doctor=%lld WHERE id=%lld", w.who[FORMER].id, w.patient);
  assert_int_equal(grantees_read(session_of(FORMER), patient_of(FORMER), &gs), DMP_OK);   /* while he may */
  DONE(PATIENT, "UPDATE patient SET treating_doctor=%lld WHERE id=%lld", w.who[TREATING].id, w.patient);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[PHARMACIST].id);
  planted_list_is_not_followed(FORMER, &gs);
  grantees_free(&gs);
}

static void a_list_of_grantees_planted_by_a_withdrawn_pharmacist_gives_him_no_key(void **state) {
  (void)state;
  struct session *s = session_of(PHARMACIST);
  struct patient *p = patient_of(PHARMACIST);
  struct grantee me = { .grant_id = p->g.id, .since = p->g.since };
  struct grantees gs = { &me, 1 };
  memcpy(me.principal, s->cred->principal, 16);
  memcpy(me.cert, s->me.hash, 32);
  memcpy(me.mail, p->g.mail, 16);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[PHARMACIST].id);
  planted_list_is_not_followed(PHARMACIST, &gs);
}

static const char *choices_of(int who) {
  return ask(who, "SELECT (SELECT group_concat(grantee||basis||since) FROM consent)||(SELECT count(*) FROM mask)||"
                  "coalesce((SELECT group_concat(system||value||kind) FROM identity),'-')");
}

static void choices_planted_change_nothing(int who, int64_t planted[3]) {
  char before[2][512];
  const struct value alias[] = { value_text("1.2.250.1.213.1.4.10"), value_text("271058815400233"), value_text("ins"),
                                 value_text("2020-01-01T00:00:00Z") };
  const struct value consent[] = { value_int(w.who[who].id), value_text("consent"), value_text("2020-01-01T00:00:00Z"), value_text(NULL),
                                   value_int(w.patient) };
  const struct value mask[] = { value_int(w.document), value_text("2019-01-01T00:00:00Z") };
  DONE(PATIENT, "INSERT INTO identity(patient,system,value,kind) VALUES(%lld,'urn:cabinet','42','local')", w.patient);
  snprintf(before[0], 512, "%s", choices_of(PATIENT));
  snprintf(before[1], 512, "%s", choices_of(TREATING));
  assert_non_null(strstr(before[0], "urn:cabinet"));  /* the true ones are shown */
  planted[0] = plant_values(who, (struct place){ CLASS_IDENTITY, 0, 1, 0 }, ITEM_IDENTITY, alias, 4);
  planted[1] = plant_values(who, (struct place){ CLASS_CHOICES, 0, 1, 0 }, ITEM_CONSENT, consent, 5);
  planted[2] = plant_values(who, (struct place){ CLASS_CHOICES, 2, 1, 0 }, ITEM_MASK, mask, 2);
  for (int again = 0; again < 2; again++) {
    assert_string_equal(choices_of(PATIENT), before[0]);
    assert_string_equal(choices_of(TREATING), before[1]);
    for (int i = 0; i < 3; i++) assert_true(names(PATIENT, planted[i]));
    person_login(PATIENT);
    person_login(TREATING);
    assert_int_equal(documents_of(TREATING), 1);
    DONE(PATIENT, "INSERT INTO mask(document) VALUES(%lld)", w.document);
    DONE(PATIENT, "DELETE FROM mask WHERE document=%lld", w.document);
  }
  consent_to(NURSE);                                  /* keys turn, deposits are adopted: still nothing */
  assert_int_equal(documents_of(NURSE), 1);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[NURSE].id);
  assert_string_equal(choices_of(PATIENT), before[0]);
  for (int i = TREATING; i <= PATIENT; i++)
    if (i != NURSE && i != NEWCOMER) deposit_by(i, "suite", "11488-4", 0);
  assert_int_equal(documents_of(PATIENT), 5);
}

static void a_consent_a_mask_and_an_alias_planted_by_a_withdrawn_pharmacist_are_not_seen_and_named(void **state) {
  (void)state;
  int64_t planted[3];
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[PHARMACIST].id);
  choices_planted_change_nothing(PHARMACIST, planted);
}

static void a_consent_a_mask_and_an_alias_planted_by_a_former_treating_doctor_are_not_seen_and_named(void **state) {
  (void)state;
  int64_t planted[3];
  choices_planted_change_nothing(FORMER, planted);
}

static void an_alias_by_a_consented_pharmacist_who_holds_the_key_of_its_class_is_not_seen_and_named(void **state) {
  (void)state;
  const struct value alias[] = { value_text("1.2.250.1.213.1.4.10"), value_text("271058815400233"), value_text("ins"),
                                 value_text("2020-01-01T00:00:00Z") };
  int64_t planted = plant_values(PHARMACIST, (struct place){ CLASS_IDENTITY, 0, 0, 0 }, ITEM_IDENTITY, alias, 4);
  for (int i = TREATING; i <= PATIENT; i++)
    if (i == TREATING || i == PHARMACIST || i == PATIENT) assert_int_equal(NUMBER(i, "SELECT count(*) FROM identity"), 0);
  assert_true(names(PATIENT, planted));
  DONE(TREATING, "INSERT INTO identity(patient,system,value,kind) VALUES(%lld,'urn:cabinet','42','local')", w.patient);
  assert_int_equal(NUMBER(PHARMACIST, "SELECT count(*) FROM identity"), 1);
}

static void an_identity_rewritten_by_a_consented_pharmacist_is_an_error_for_all_and_named(void **state) {
  (void)state;
  enum { TRAITS = 9, BIRTH_NAME = 2 };
  struct value v[TRAITS];
  size_t count, used;
  struct buf row = { 0 };
  struct item it;
  for (int i = TREATING; i <= PATIENT; i++)
    if (i == TREATING || i == PHARMACIST || i == PATIENT) assert_string_equal(ask(i, "SELECT birth_name FROM patient"), "DUPONT");
  struct session *s = forge_begin(PHARMACIST);
  struct patient *p = patient_of(PHARMACIST);
  assert_int_equal(object_open(s, p, w.patient, &it), DMP_OK);
  assert_int_equal(row_get(it.c.row, it.c.row_len, v, TRAITS, &count, &used), DMP_OK);
  assert_int_equal(count, TRAITS);
  v[BIRTH_NAME] = value_text("CHASTEL");
  row_put(&row, v, TRAITS);
  assert_int_equal(object_rewrite(s, p, &it, &row), DMP_OK);
  item_close(&it);
  buf_free(&row);
  forge_end_in_the_log(PHARMACIST);
  for (int again = 0; again < 2; again++)
    for (int i = TREATING; i <= PATIENT; i++) {
      if (i != TREATING && i != PHARMACIST && i != PATIENT) continue;
      if (again) person_login(i);
      REFUSED("E039", i, "SELECT birth_name FROM patient");
      assert_true(names(i, w.patient));
      assert_int_equal(documents_of(i), 1);           /* what is not about names goes on */
    }
}

/* ---- a document in another's place ---- */

static void run_with(int who, const char *sql, int64_t id, const struct buf *a, const struct buf *b) {
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_prepare_v2(w.who[who].db, sql, -1, &st, NULL), SQLITE_OK);
  sqlite3_bind_int64(st, 1, id);
  if (a) sqlite3_bind_blob(st, 2, a->p, (int)a->n, SQLITE_STATIC);
  if (b) sqlite3_bind_blob(st, 3, b->p, (int)b->n, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(st), SQLITE_DONE);
  sqlite3_finalize(st);
}

/* His own content under the id and the header key of another's, so that the depositor's wrap and the states still fit. With a line
 * in his own name, or without any. */
static void document_replace(int who, int64_t id, int line) {
  static const uint8_t BYTES[] = { 9, 9, 9 };
  struct session *s = forge_begin(who);
  struct patient *p = patient_of(who);
  struct buf plain = { 0 }, header = { 0 }, wrap = { 0 };
  const struct body_parts body = { .a = BYTES, .a_len = sizeof BYTES };
  struct item it;
  struct state st;
  uint8_t keys[WRAP_BYTES];
  assert_int_equal(object_open(s, p, id, &it), DMP_OK);
  struct content c = it.c;
  struct leaf *l = patient_leaf(p, it.cls, it.leaf);
  run_with(who, "DELETE FROM dmp_chunk WHERE object=?1", id, NULL, NULL);
  assert_int_equal(body_write(s, id, &body, it.body_key, &c), DMP_OK);
  memcpy(c.depositor, s->cred->principal, 16);
  memcpy(c.depositor_cert, s->me.hash, 32);
  assert_int_equal(item_write(s->r->id, id, &c, s->cred->sign_sk, &plain), DMP_OK);
  const struct box_ad had = { .record = s->r->id, .kind = BOX_HEADER, .table = IN_OBJECT, .id = id, .version = it.version };
  assert_int_equal(box_seal(s->r->suite, it.header_key, &had, plain.p, plain.n, PAD_PADME, NULL, &header), DMP_OK);
  item_wrap_write(&it, keys);
  const struct box_ad wad = { .record = s->r->id, .kind = BOX_WRAP, .table = IN_OBJECT, .id = id, .loc = l->object_loc };
  assert_int_equal(box_seal(s->r->suite, l->key, &wad, keys, sizeof keys, PAD_NONE, NULL, &wrap), DMP_OK);
  run_with(who, "UPDATE dmp_object SET wrap=?2,header=?3 WHERE id=?1", id, &wrap, &header);
  assert_int_equal(state_get(s, p->id, l, &st), DMP_OK);
  state_term(&st, l, id, it.version, it.tag);
  state_term(&st, l, id, it.version, box_tag(header.p, header.n));
  assert_int_equal(state_put(s, p->id, l, &st), DMP_OK);
  item_close(&it);
  buf_free(&plain);
  buf_free(&header);
  buf_free(&wrap);
  s->pending.lines = 0;
  if (line) assert_int_equal(access_pend(s, p, LOG_DEPOSIT, p->id, id, NULL), DMP_OK);
  forge_end_in_the_log(who);
}

static void a_report_replaced_by_a_consented_pharmacist_is_an_error_for_its_depositor_and_named_by_the_patient(void **state) {
  (void)state;
  assert_false(names(PATIENT, w.document));
  document_replace(PHARMACIST, w.document, 0);
  for (int again = 0; again < 2; again++) {
    const char *said = ask(TREATING, "SELECT * FROM document");
    if (strncmp(said, "dmp-E039", 8) != 0 && strncmp(said, "dmp-E038", 8) != 0) fail_msg("its depositor lists: %s", said);
    assert_true(names(TREATING, w.document));
    assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM dmp_verify WHERE place='dmp_object' AND \"row\"=%lld AND "
                                     "what LIKE '%%somebody else deposited%%'", w.document), 1);
    person_login(TREATING);
    person_login(PATIENT);
  }
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM access_log WHERE action='deposit' AND object=%lld AND principal=%lld", w.document,
                          w.who[TREATING].id), 1);    /* the line of its true depositor stands */
}

/* As the host, who writes the file past its index: the schema is without it for a moment. */
static void behind_the_index(const char *sql, const struct buf *box) {
  static const char *const PARTS[] = {
    "PRAGMA writable_schema=ON; CREATE TEMP TABLE aside AS SELECT * FROM main.sqlite_schema WHERE name='dmp_chunk_object';"
    "DELETE FROM main.sqlite_schema WHERE name='dmp_chunk_object'; PRAGMA writable_schema=RESET",
    "PRAGMA writable_schema=ON; INSERT INTO main.sqlite_schema SELECT * FROM aside; PRAGMA writable_schema=RESET" };
  sqlite3 *host;
  sqlite3_stmt *st;
  char path[128];
  snprintf(path, sizeof path, "%s/record.db", w.folder);
  assert_int_equal(sqlite3_open(path, &host), SQLITE_OK);
  assert_int_equal(sqlite3_exec(host, PARTS[0], NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(host, sql, -1, &st, NULL), SQLITE_OK);
  sqlite3_bind_int64(st, 1, w.document);
  sqlite3_bind_blob(st, 2, box->p, (int)box->n, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(st), SQLITE_DONE);
  assert_int_equal(sqlite3_changes(host), 1);
  sqlite3_finalize(st);
  assert_int_equal(sqlite3_exec(host, PARTS[1], NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(host);
}

static void a_chunk_put_behind_its_index_by_a_consented_pharmacist_is_an_error(void **state) {
  (void)state;
  static const uint8_t ZERO[SUITE_NONCE_XCHACHA] = { [8] = 1 };    /* number 0, the last one */
  struct session *s = forge_begin(PHARMACIST);
  struct buf box = { 0 }, plain = { 0 };
  struct item it;
  assert_int_equal(object_open(s, patient_of(PHARMACIST), w.document, &it), DMP_OK);
  const struct box_ad ad = { .record = s->r->id, .kind = BOX_CHUNK, .table = IN_CHUNK, .flags = BOX_LAST_CHUNK, .id = w.document, .version = 1 };
  buf_zero(&plain, padme((size_t)it.c.body_size));
  assert_int_equal(box_seal(s->r->suite, it.body_key, &ad, plain.p, plain.n, PAD_NONE, ZERO, &box), DMP_OK);
  item_close(&it);
  forge_end(PHARMACIST);
  assert_true(NUMBER(PATIENT, "SELECT length(dmp_read(%lld,0,10))", w.document) > 0);
  behind_the_index("UPDATE dmp_chunk SET box=?2 WHERE object=?1", &box);
  for (int again = 0; again < 2; again++)
    for (int i = TREATING; i <= PATIENT; i++) {
      if (i != TREATING && i != PHARMACIST && i != PATIENT) continue;
      if (again) person_login(i);
      REFUSED("E040", i, "SELECT dmp_read(%lld,0,10)", w.document);
      assert_int_equal(NUMBER(i, "SELECT count(*) FROM dmp_verify WHERE place='dmp_chunk of object' AND \"row\"=%lld", w.document), 1);
    }
  buf_free(&plain);
  buf_free(&box);
}

static void a_report_replaced_with_a_line_that_says_so_is_named_by_the_patient(void **state) {
  (void)state;
  document_replace(PHARMACIST, w.document, 1);
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM access_log WHERE action='deposit' AND object=%lld", w.document), 2);
  assert_true(names(TREATING, w.document));
  assert_true(names(PATIENT, w.document));
}

static void a_report_dropped_by_a_consented_pharmacist_is_named_by_the_patient_and_its_depositor(void **state) {
  (void)state;
  struct item it;
  struct state st;
  struct session *s = forge_begin(PHARMACIST);
  struct patient *p = patient_of(PHARMACIST);
  assert_int_equal(object_open(s, p, w.document, &it), DMP_OK);
  struct leaf *l = patient_leaf(p, it.cls, it.leaf);
  assert_int_equal(state_get(s, p->id, l, &st), DMP_OK);
  state_term(&st, l, it.id, it.version, it.tag);
  st.count--;
  assert_int_equal(state_put(s, p->id, l, &st), DMP_OK);
  run_with(PHARMACIST, "DELETE FROM dmp_object WHERE id=?1", w.document, NULL, NULL);
  run_with(PHARMACIST, "DELETE FROM dmp_chunk WHERE object=?1", w.document, NULL, NULL);
  item_close(&it);
  forge_end_in_the_log(PHARMACIST);
  REFUSED("E038", TREATING, "SELECT * FROM document");
  assert_true(NUMBER(TREATING, "SELECT count(*) FROM dmp_verify WHERE kind='fault'") > 0);
  assert_true(names(PATIENT, w.document));
}

/* Who holds the leaf makes a mark that says another episode: the mask passes the report over, dmp_verify names it, and the patient's next login, which opens all, masks it. */
static void a_report_that_a_consented_pharmacist_keeps_from_the_mask_of_its_episode_is_named_and_masked_at_the_next_login(void **state) {
  (void)state;
  struct item it;
  struct state st;
  struct mark_key k = { 0 };
  uint8_t name[16];
  struct value other = value_text("autre");
  DONE(TREATING, "INSERT INTO document(patient,content,title,type_code,episode) VALUES(%lld,x'01','acte','11488-4','acte')", w.patient);
  int64_t act = NUMBER(TREATING, "SELECT last_insert_rowid()");
  struct session *s = forge_begin(PHARMACIST);
  struct patient *p = patient_of(PHARMACIST);
  assert_int_equal(object_open(s, p, act, &it), DMP_OK);
  struct leaf *l = patient_leaf(p, it.cls, it.leaf);
  mark_name(&other, name);
  int64_t mark = mark_make(&k, l, act, name);
  assert_int_equal(state_get(s, p->id, l, &st), DMP_OK);
  state_mark(&st, l, act, mark_of(l, &it));
  state_mark(&st, l, act, mark);
  assert_int_equal(state_put(s, p->id, l, &st), DMP_OK);
  item_close(&it);
  DONE(PHARMACIST, "UPDATE dmp_object SET mark=%lld WHERE id=%lld", mark, act);
  forge_end_in_the_log(PHARMACIST);
  DONE(PATIENT, "INSERT INTO mask(patient,episode) VALUES(%lld,'acte')", w.patient);
  assert_int_equal(documents_of(PHARMACIST), 2);
  assert_true(names(PATIENT, act));
  assert_true(names(TREATING, act));
  person_login(PATIENT);
  assert_int_equal(documents_of(PHARMACIST), 1);
  assert_int_equal(NUMBER(PHARMACIST, "SELECT id FROM document"), w.document);
  assert_false(names(PATIENT, act));
}

/* Whatever a source's software does: what it puts where everybody with consent reads is nobody's, and named. */
static void a_line_that_a_source_puts_past_the_masked_leaf_is_shown_to_nobody(void **state) {
  (void)state;
  const struct value line[] = { { 0 }, value_text("N"), value_text("2026-03-02"), { 0 }, value_text("KANARI"), { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 } };
  const uint16_t cls = rights_class_of("REMB"), reimbursement = 65;
  DONE(AUTHORITY, "INSERT INTO principal(kind,name,certificate) VALUES('source','caisse',%Q)", person_request(NEWCOMER));
  person_login(NEWCOMER);
  DONE(PATIENT, "INSERT INTO feed(patient,source) VALUES(%lld,%lld)", w.patient, w.who[NEWCOMER].id);
  int64_t open = plant_values(NEWCOMER, (struct place){ cls, 0, 1, 0 }, reimbursement, line, 13);
  int64_t masked = plant_values(NEWCOMER, (struct place){ cls, 2, 1, 0 }, reimbursement, line, 13);
  for (int i = TREATING; i <= PHARMACIST; i += PHARMACIST - TREATING) {
    assert_int_equal(NUMBER(i, "SELECT count(*) FROM reimbursement"), i == TREATING);
    assert_int_equal(NUMBER(i, "SELECT count(*) FROM reimbursement WHERE id=%lld", open), 0);
  }
  assert_int_equal(NUMBER(PATIENT, "SELECT id FROM reimbursement"), masked);
  assert_true(names(PATIENT, open));
  assert_int_equal(documents_of(NEWCOMER), 0);
  DONE(PATIENT, "INSERT INTO mask(document) VALUES(%lld)", w.document);
  assert_int_equal(NUMBER(PHARMACIST, "SELECT count(*) FROM reimbursement"), 0);
}

static void a_deposit_undone_or_deleted_by_its_depositor_is_not_named(void **state) {
  (void)state;
  DONE(TREATING, "BEGIN");
  deposit_by(TREATING, "annule", "11488-4", 0);
  DONE(TREATING, "ROLLBACK");
  DONE(TREATING, "DELETE FROM document WHERE id=%lld", w.document);
  for (int i = TREATING; i <= PATIENT; i++)
    if (i == TREATING || i == PATIENT) assert_string_equal(ask(i, "SELECT place||what FROM dmp_verify"), "");
}

/* A row that its depositor signed and that no table can show; masked: sealed to the deposit key. */
static int64_t nonsense_by(int who, int sealed) {
  static const uint8_t ROW[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, KEY[32] = { 1 };
  struct session *s = forge_begin(who);
  struct signer me = { s->cred, s->me.hash };
  struct content c = { .table = ITEM_DOCUMENT, .row = ROW, .row_len = sizeof ROW };
  int64_t id = 0;
  assert_int_equal(object_insert(s, patient_of(who), &me, (struct place){ 17, 0, sealed, 0 }, &c, KEY, &id), DMP_OK);
  forge_end_in_the_log(who);
  return id;
}

static void a_malformed_row_that_its_depositor_signed_stops_nobodys_list_and_is_named(void **state) {
  (void)state;
  int64_t direct = nonsense_by(PHARMACIST, 0);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[PHARMACIST].id);
  int64_t sealed = nonsense_by(PHARMACIST, 1);
  for (int again = 0; again < 2; again++) {
    assert_int_equal(documents_of(TREATING), 1);
    assert_int_equal(documents_of(PATIENT), 1);
    assert_string_equal(ask(TREATING, "SELECT hex(dmp_read(%lld,0,3))", w.document), "010203");
    assert_true(names(PATIENT, direct));
    assert_true(names(PATIENT, sealed));
    consent_to(NURSE);
    assert_int_equal(documents_of(NURSE), 1);
    DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[NURSE].id);
    person_login(PATIENT);
    person_login(TREATING);
  }
}

/* ---- the log ---- */

static int64_t reads_of(int whose, int who) {
  return NUMBER(whose, "SELECT count(*) FROM access_log WHERE action='read' AND principal=%lld", w.who[who].id);
}

static void a_line_sealed_in_anothers_name_is_not_shown_and_reported(void **state) {
  (void)state;
  struct session *s = session_of(PHARMACIST);
  int64_t me = s->principal;
  assert_int_equal(faults_of(PATIENT, "access log"), 0);
  s->principal = w.who[TREATING].id;
  assert_string_equal(ask(PHARMACIST, "SELECT hex(dmp_read(%lld,0,9))", w.document), "010203");
  session_of(PHARMACIST)->principal = me;
  for (int i = TREATING; i <= PATIENT; i++) {
    if (i != TREATING && i != PATIENT) continue;
    assert_int_equal(reads_of(i, TREATING), 0);
    assert_true(faults_of(i, "access log") > 0);
  }
  assert_string_equal(ask(TREATING, "SELECT hex(dmp_read(%lld,0,9))", w.document), "010203");
  assert_int_equal(reads_of(PATIENT, TREATING), 1);   /* his own, beside */
}

static void a_line_in_anothers_name_and_under_his_tag_is_not_shown_and_its_block_is_named(void **state) {
  (void)state;
  struct session *s = session_of(PHARMACIST);
  int64_t me = s->principal;
  uint8_t tag[16];
  memcpy(tag, s->writer_tag, 16);
  memcpy(s->writer_tag, session_of(TREATING)->writer_tag, 16);   /* every login can compute it */
  s->principal = w.who[TREATING].id;
  ask(PHARMACIST, "SELECT hex(dmp_read(%lld,0,9))", w.document);
  s = session_of(PHARMACIST);
  s->principal = me;
  memcpy(s->writer_tag, tag, 16);
  assert_int_equal(reads_of(PATIENT, TREATING), 0);
  assert_true(faults_of(PATIENT, "access log block") > 0);
}

static void host_runs(sqlite3 *host, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  char *sql = sqlite3_vmprintf(format, ap);
  va_end(ap);
  assert_int_equal(sqlite3_exec(host, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_free(sql);
}

/* The host puts back all that a mask changed; a block by somebody says that the old states are right. */
static void put_back_and_cover(int who) {
  char path[128];
  sqlite3 *host;
  sqlite3_stmt *st;
  struct log_row rows[64];
  struct log_writer writer = { .sign_sk = session_of(who)->cred->sign_sk };
  size_t n = 0;
  snprintf(path, sizeof path, "%s/record.db", w.folder);
  assert_int_equal(sqlite3_open(path, &host), SQLITE_OK);
  sqlite3_busy_timeout(host, 5000);
  host_runs(host, "ATTACH '%s/old.db' AS old; BEGIN IMMEDIATE;"
                  "CREATE TEMP TABLE back AS SELECT s.id,o.box FROM dmp_state s JOIN old.dmp_state o USING(id) WHERE s.box<>o.box", w.folder);
  static const char *const TABLES[] = { "object", "state", "wrap" };
  for (int i = 0; i < 3; i++)
    host_runs(host, "DELETE FROM main.dmp_%s; INSERT INTO main.dmp_%s SELECT * FROM old.dmp_%s", TABLES[i], TABLES[i], TABLES[i]);
  host_runs(host, "COMMIT");
  assert_int_equal(sqlite3_prepare_v2(host, "SELECT id,box FROM back", -1, &st, NULL), SQLITE_OK);
  while (n < 64 && sqlite3_step(st) == SQLITE_ROW) {
    rows[n] = (struct log_row){ .table = IN_STATE, .id = sqlite3_column_int64(st, 0) };
    suite_hash(sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), rows[n++].hash, 16);
  }
  sqlite3_finalize(st);
  sqlite3_close(host);
  assert_true(n >= 2 && n < 64);
  memcpy(writer.tag, session_of(who)->writer_tag, 16);
  assert_int_equal(log_append(session_of(who)->r->log, &writer, LOG_ACCESS, rows, n, NULL, 0), DMP_OK);
}

static void rows_put_back_are_named_although(int who) {
  DONE(PATIENT, "VACUUM INTO '%s/old.db'", w.folder);
  DONE(PATIENT, "INSERT INTO mask(document) VALUES(%lld)", w.document);
  assert_int_equal(documents_of(PHARMACIST), 0);
  assert_int_equal(documents_of(NURSE), 0);
  assert_int_equal(faults_of(PATIENT, "dmp_state"), 0);
  put_back_and_cover(who);
  for (int again = 0; again < 2; again++) {
    assert_true(faults_of(PATIENT, "dmp_state") > 0);
    assert_true(faults_of(TREATING, "dmp_state") > 0);
    person_login(PATIENT);
    person_login(TREATING);
  }
}

static void rows_put_back_are_named_although_a_nurse_who_never_had_a_grant_signed_them(void **state) {
  (void)state;
  rows_put_back_are_named_although(NURSE);
}

static void rows_put_back_are_named_although_a_consented_pharmacist_signed_them(void **state) {
  (void)state;
  rows_put_back_are_named_although(PHARMACIST);
}

/* ---- a patient's id, a patient's classes ---- */

static void a_request_that_carries_a_patients_id_is_refused(void **state) {
  (void)state;
  struct credential *c = calloc(1, sizeof *c);
  char *request;
  assert_non_null(c);
  memset(c->seed, 5, sizeof c->seed);
  id_field(c->principal, w.patient);
  credential_derive(c);
  assert_int_equal(certificate_request(c->principal, c->sign_pk, c->sign_sk, c->box_pk, &request), DMP_OK);
  REFUSED("E058", AUTHORITY, "INSERT INTO principal(kind,name,profession,certificate) VALUES('professional','Dr Nouveau','10',%Q)", request);
  sqlite3_free(request);
  id_field(c->principal, 424242);                     /* the same under a free id */
  assert_int_equal(certificate_request(c->principal, c->sign_pk, c->sign_sk, c->box_pk, &request), DMP_OK);
  DONE(AUTHORITY, "INSERT INTO principal(kind,name,profession,certificate) VALUES('professional','Dr Nouveau','10',%Q)", request);
  sqlite3_free(request);
  bytes_wipe(c, sizeof *c);
  free(c);
  person_login(PATIENT);
  assert_int_equal(documents_of(PATIENT), 1);
}

/* The treating doctor in a process of its own, which may die of it; 0: every call was refused with its sentence. */
static int doctor_meets_unknown_classes(void) {
  static const char *const CALLS[] = {
    "SELECT dmp_read(123456,0,1)", "SELECT count(*) FROM document", "SELECT treating_doctor FROM patient",
    "INSERT INTO document(patient,content,type_code) SELECT id,x'00','11488-4' FROM (SELECT %lld AS id)", "SELECT count(*) FROM consent",
  };
  int bad = 0;
  person_open(NEWCOMER);
  bad |= NUMBER(NEWCOMER, "SELECT dmp_login('%s/treating.dmpkey','" PIN "')", w.folder) != w.who[TREATING].id;
  for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
    const char *said = ask(NEWCOMER, CALLS[i], w.patient);
    if (strncmp(said, "dmp-E0", 6) != 0) {
      print_error("%s: %s\n", CALLS[i], said);
      bad = 1;
    }
  }
  return bad | (NUMBER(NEWCOMER, "SELECT count(*) FROM dmp_verify WHERE kind='fault'") == 0);
}

static void a_keyset_of_unknown_classes_by_the_patient_is_refused_and_ends_no_process(void **state) {
  (void)state;
  uint8_t doctor[16];
  struct keyset *k, next;
  struct grantees gs;
  struct session *s = forge_begin(PATIENT);
  struct patient *p = patient_of(PATIENT);
  id_field(doctor, w.who[TREATING].id);
  assert_int_equal(patient_keyset(s, p, &k), DMP_OK);
  assert_int_equal(grantees_read(s, p, &gs), DMP_OK);
  const struct grantee *to = grantees_find(&gs, doctor);
  struct grant g = { .patient = p->id, .id = to->grant_id, .slot = p->g.slot, .kind = GRANT_WITHDRAWN, .since = 1, .count = CLASSES_MAX };
  next = *k;
  next.seq++;
  next.n = CLASSES_MAX;
  memcpy(next.previous, k->hash, 32);
  for (int i = 0; i < CLASSES_MAX; i++) {
    g.entry[i] = (struct entry){ .cls = (uint16_t)(1000 + i), .which = WHICH_P };
    memset(g.entry[i].key, i + 1, 32);
    next.c[i] = (struct keyset_class){ .cls = (uint16_t)(1000 + i) };
    keyset_kid(g.entry[i].key, next.c[i].kid_p);
  }
  assert_int_equal(keyset_put(s, w.patient, p->yk, &next, s->cred->sign_sk, s->me.hash), DMP_OK);
  g.seq = next.seq;
  memcpy(g.y, p->g.y, 32);
  memcpy(g.mail, to->mail, 16);
  memcpy(g.patient_cert, p->g.patient_cert, 32);
  memcpy(g.keyset_hash, next.hash, 32);
  assert_int_equal(grant_send(s, &g, 0, session_who(s, doctor), s->cred->sign_sk, s->me.hash), DMP_OK);
  grantees_free(&gs);
  forge_end(PATIENT);
  int status;
  pid_t child = fork();
  if (child == 0) _exit(doctor_meets_unknown_classes());
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- certificates ---- */

static void certificate_forge(int by, const uint8_t principal[16], const uint8_t sign_pk[32], const uint8_t box_pk[32]) {
  struct session *s = forge_begin(by);
  struct certificate c = { .kind = KIND_PROFESSIONAL, .profession = 10, .flags = FLAG_OWN_KEY, .rights = RIGHT_REGISTER_PATIENTS,
                           .not_before = record_now(), .name = "Faux docteur" };
  memcpy(c.principal, principal, 16);
  memcpy(c.sign_pk, sign_pk, 32);
  memcpy(c.box_pk, box_pk, 32);
  memcpy(c.issuer, s->dir.all[0].hash, 32);           /* it says: by the authority */
  assert_int_equal(directory_add(s->r, s->cred->directory, &s->dir, &c, s->cred->sign_sk), DMP_OK);
  forge_end(by);
}

static void a_certificate_by_a_professional_is_nobody_and_named(void **state) {
  (void)state;
  uint8_t id[16];
  id_field(id, 424242);
  struct session *s = session_of(PHARMACIST);
  int64_t people = NUMBER(PATIENT, "SELECT count(*) FROM principal");
  certificate_forge(PHARMACIST, id, s->cred->sign_pk, s->cred->box_pk);
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM principal"), people);
  REFUSED("E044", PATIENT, "INSERT INTO consent(patient,grantee) VALUES(%lld,424242)", w.patient);
  REFUSED("E074", PATIENT, "UPDATE patient SET treating_doctor=424242 WHERE id=%lld", w.patient);
  assert_true(faults_of(PATIENT, "dmp_certificate") > 0);
  person_enrol(NEWCOMER, person_request(NEWCOMER));                     /* the authority's next one is believed */
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM principal"), people + 1);
  person_login(NEWCOMER);
  consent_to(NEWCOMER);
  assert_int_equal(documents_of(NEWCOMER), 1);
}

static void a_certificate_forged_for_somebody_else_takes_nobodys_place(void **state) {
  (void)state;
  uint8_t id[16], sign_pk[32], box_pk[32];
  struct session *s = session_of(PHARMACIST);
  id_field(id, w.who[NURSE].id);
  certificate_forge(PHARMACIST, id, s->cred->sign_pk, s->cred->box_pk);
  char request[1024];
  snprintf(request, sizeof request, "%s", person_request(NEWCOMER));      /* and before the true one is made */
  assert_int_equal(certificate_read_request(request, id, sign_pk, box_pk), DMP_OK);
  certificate_forge(PHARMACIST, id, s->cred->sign_pk, s->cred->box_pk);
  consent_to(NURSE);
  assert_int_equal(documents_of(NURSE), 1);
  person_enrol(NEWCOMER, request);
  person_login(NEWCOMER);
  consent_to(NEWCOMER);
  assert_int_equal(documents_of(NEWCOMER), 1);
}

/* by: the authority, or a registrar who says that it was; the keys are the pharmacist's, without the signature of the nurse's. */
static void certificate_reissue(int by) {
  struct session *s = forge_begin(by), *thief = session_of(PHARMACIST);
  struct certificate c;
  uint8_t id[16];
  id_field(id, w.who[NURSE].id);
  const struct certificate *old = session_who(s, id);
  assert_non_null(old);
  certificate_follow(old, &c);
  memcpy(c.sign_pk, thief->cred->sign_pk, 32);
  memcpy(c.box_pk, thief->cred->box_pk, 32);
  c.flags |= FLAG_RENEWED;
  memcpy(c.continuity, old->hash, 32);                /* something stands where the former key would sign */
  assert_int_equal(directory_add(s->r, s->cred->directory, &s->dir, &c, s->cred->sign_sk), DMP_OK);
  forge_end(by);
}

static void a_reissued_certificate_without_continuity_is_nobodys_whoever_signs_it(void **state) {
  (void)state;
  certificate_reissue(TREATING);
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM certificate_log WHERE principal=%lld", w.who[NURSE].id), 1);   /* not by the authority: no entry */
  assert_true(faults_of(PATIENT, "dmp_certificate") > 0);
  certificate_reissue(AUTHORITY);
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM certificate_log WHERE principal=%lld AND change='refused'", w.who[NURSE].id), 1);
  assert_int_equal(faults_of(PATIENT, "dmp_certificate"), 2);
  consent_to(NURSE);                                  /* sealed to the key that she has always had */
  assert_int_equal(documents_of(NURSE), 1);
}

static void a_patients_certificate_exchanged_by_a_grantee_is_refused_by_all(void **state) {
  (void)state;
  struct session *s = forge_begin(PHARMACIST);
  struct patient *p = patient_of(PHARMACIST);
  const struct certificate *pc;
  assert_int_equal(patient_certificate(s, p, &pc), DMP_OK);
  struct certificate c = *pc;
  struct buf plain = { 0 }, box = { 0 };
  uint8_t loc[16];
  memcpy(c.sign_pk, s->cred->sign_pk, 32);            /* then he could sign keysets */
  memcpy(c.box_pk, s->cred->box_pk, 32);
  assert_int_equal(certificate_write(&c, s->cred->sign_sk, &plain), DMP_OK);
  suite_prf(p->yk, "certificate", 11, loc);
  struct box_ad ad = { .record = s->r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = p->id, .loc = loc };
  assert_int_equal(box_seal(SUITE_XCHACHA, p->yk, &ad, plain.p, plain.n, PAD_PADME, NULL, &box), DMP_OK);
  sqlite3_stmt *st;
  sqlite3_prepare_v2(w.who[PHARMACIST].db, "UPDATE dmp_certificate SET box=? WHERE loc=?", -1, &st, NULL);
  sqlite3_bind_blob(st, 1, box.p, (int)box.n, SQLITE_STATIC);
  sqlite3_bind_blob(st, 2, loc, 16, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(st), SQLITE_DONE);
  sqlite3_finalize(st);
  forge_end(PHARMACIST);
  buf_free(&plain);
  buf_free(&box);
  REFUSED("E030", TREATING, "SELECT * FROM access_log");
  REFUSED("E030", PHARMACIST, "SELECT status FROM patient");
  REFUSED("E030", PATIENT, "SELECT dmp_login('%s/patient.dmpkey','" PIN "')", w.folder);
  assert_true(faults_of(TREATING, "dmp_certificate") > 0);
}

/* ---- yesterday's keys ---- */

/* All that the pharmacist's session holds, and all that follows from it. */
static void ring_fill(int who) {
  struct session *s = session_of(who);
  struct patient *p = patient_of(who);
  const struct scan all = { .first = 0, .last = UINT16_MAX, .own = 1 };
  ring.n = 0;
  assert_int_equal(object_scan(s, p, &all, ring_item, NULL), DMP_OK);
  for (size_t i = 0; i < p->g.count; i++) {
    ring_add(p->g.entry[i].key);
    for (int l = 0; l < LEAVES; l++) {
      struct leaf leaf = { 0 }, *own = patient_leaf(p, p->g.entry[i].cls, l);
      uint8_t half[32];
      leaf_derive(p->g.entry[i].key, p->anchor, l, &leaf);   /* of a half: what it would give if it were a key */
      leaf_deposit_pair(&leaf);
      ring_add(leaf.key);
      ring_add(leaf.deposit_sk);
      half_derive(p->g.entry[i].key, l, half);
      ring_add(half);
      if (!own->held) continue;
      leaf_deposit_pair(own);
      ring_add(own->key);
      ring_add(own->deposit_sk);
    }
  }
  ring_add(p->g.y);
  ring_add(p->g.pair);
  uint8_t line[32];
  suite_kdf_text(p->g.pair, "line", line);            /* what seals the lines between this reader and the patient */
  ring_add(line);
  ring_add(p->anchor);
  ring_add(s->cred->seed);
  ring_add(s->cred->loc);
  ring_add(s->cred->directory);
}

static const struct { const char *what, *sql; struct box_ad ad; int patients_id; } COLUMNS[] = {
  { "object wrap", "SELECT o.id,o.loc,0,0,0,o.wrap,b.id IS NULL OR b.wrap<>o.wrap FROM dmp_object o LEFT JOIN old.dmp_object b ON b.id=o.id",
    { .kind = BOX_WRAP, .table = IN_OBJECT }, 0 },
  { "header", "SELECT o.id,NULL,o.version,0,0,o.header,b.id IS NULL OR b.header<>o.header FROM dmp_object o LEFT JOIN old.dmp_object b ON b.id=o.id",
    { .kind = BOX_HEADER, .table = IN_OBJECT }, 0 },
  { "chunk", "SELECT c.object,NULL,1,c.number,1,c.box,b.id IS NULL FROM dmp_chunk c LEFT JOIN old.dmp_chunk b ON b.id=c.id",
    { .kind = BOX_CHUNK, .table = IN_CHUNK }, 0 },
  { "state", "SELECT 0,s.loc,0,0,0,s.box,b.id IS NULL OR b.box<>s.box FROM dmp_state s LEFT JOIN old.dmp_state b ON b.id=s.id",
    { .kind = BOX_STATE, .table = IN_STATE }, 1 },
  { "wrap", "SELECT r.id,r.loc,0,0,0,r.wrap,b.id IS NULL OR b.wrap<>r.wrap FROM dmp_wrap r LEFT JOIN old.dmp_wrap b ON b.id=r.id",
    { .kind = BOX_WRAP, .table = IN_WRAP }, 0 },
  { "grant", "SELECT g.id,g.loc,0,0,0,g.box,b.id IS NULL OR b.box<>g.box FROM dmp_grant g LEFT JOIN old.dmp_grant b ON b.id=g.id",
    { .kind = BOX_GRANT, .table = IN_GRANT }, 0 },
};
enum { COLUMN_COUNT = sizeof COLUMNS / sizeof *COLUMNS };

static void life_after_the_withdrawal(void) {
  deposit_by(TREATING, "nouveau", "11488-4", 0);
  deposit_by(TREATING, "masque", "11488-4", 1);
  deposit_by(PATIENT, "pour tous", "80788-3", 0);
  deposit_by(PATIENT, "pour personne", "99999-9^1.2.3", 0);
  DONE(PATIENT, "INSERT INTO mask(document) VALUES(%lld)", w.document);
  consent_to(NURSE);
  assert_int_equal(documents_of(NURSE), 3);
  deposit_by(NURSE, "soins", "11488-4", 0);
  deposit_by(NURSE, "soins masques", "11488-4", 1);   /* sealed to a deposit key */
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[NURSE].id);
  DONE(PATIENT, "UPDATE patient SET treating_doctor=NULL WHERE id=%lld", w.patient);
}

/* The log's blocks: magic 4, length 4, record 16, writer 16, seq 8, hash 32, m u32, m × 26, hash 32, n u32, n × (loc 16, box). */
enum { LOG_ROWS_AT = 4 + 4 + 16 + 16 + 8 + 32, LOG_ROW = 26, LOG_LINE = 192 };

static int64_t log_last(sqlite3 *log) {
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_prepare_v2(log, "SELECT max(id) FROM block", -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  int64_t id = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  return id;
}

static void ring_try_log(sqlite3 *log, int64_t last_old, struct tried *t) {
  sqlite3_stmt *st;
  assert_int_equal(sqlite3_prepare_v2(log, "SELECT id,body FROM block", -1, &st, NULL), SQLITE_OK);
  while (sqlite3_step(st) == SQLITE_ROW) {
    const uint8_t *p = sqlite3_column_blob(st, 1);
    const uint8_t *lines = p + LOG_ROWS_AT + 4 + (size_t)le_get32(p + LOG_ROWS_AT) * LOG_ROW + 32 + 4;
    int fresh = sqlite3_column_int64(st, 0) > last_old;
    for (uint32_t i = 0; i < le_get32(lines - 4); i++) {
      const uint8_t *one = lines + (size_t)i * LOG_LINE;
      struct box_ad ad = { .record = w.who[PATIENT].c->r[0]->id, .kind = BOX_LOG, .table = IN_LOG, .id = w.patient, .loc = one };
      int opened = ring_opens(&ad, one + 16, LOG_LINE - 16);
      t->new_seen += fresh;
      if (fresh) t->new_opened += opened;
      else t->old_opened += opened;
    }
  }
  sqlite3_finalize(st);
}

static void the_keys_held_before_a_withdrawal_open_no_line_of_the_log_written_afterwards(void **state) {
  (void)state;
  char path[512];
  sqlite3 *log;
  struct tried t = { 0 };
  deposit_by(TREATING, "autre", "80788-3", 0);
  assert_true(documents_of(PHARMACIST) > 0);          /* a line of his own */
  ring_fill(PHARMACIST);
  snprintf(path, sizeof path, "%s-log/access.db", w.who[PATIENT].c->r[0]->path);
  assert_int_equal(sqlite3_open(path, &log), SQLITE_OK);
  int64_t last = log_last(log);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[PHARMACIST].id);
  life_after_the_withdrawal();
  ring_try_log(log, last, &t);
  assert_true(t.new_seen > 5);
  assert_int_equal(t.new_opened, 0);
  assert_true(t.old_opened > 0);                      /* his own lines of before: the keys are real */
  sqlite3_close(log);
}

static void the_keys_held_before_a_withdrawal_open_no_box_written_afterwards(void **state) {
  (void)state;
  deposit_by(TREATING, "autre", "80788-3", 0);
  ring_fill(PHARMACIST);
  assert_true(ring.n > 30);
  DONE(PATIENT, "DELETE FROM consent WHERE grantee=%lld", w.who[PHARMACIST].id);
  DONE(PATIENT, "VACUUM INTO '%s/old.db'", w.folder);
  DONE(PATIENT, "ATTACH '%s/old.db' AS old", w.folder);
  life_after_the_withdrawal();
  int old_opened = 0;
  for (int i = 0; i < COLUMN_COUNT; i++) {
    struct tried t = { 0 };
    struct box_ad ad = COLUMNS[i].ad;
    if (COLUMNS[i].patients_id) ad.id = w.patient;
    ring_try(&t, COLUMNS[i].sql, ad);
    if (t.new_opened) fail_msg("%s: %d of the boxes written since open", COLUMNS[i].what, t.new_opened);
    if (t.new_seen == 0) fail_msg("%s: nothing was written", COLUMNS[i].what);
    old_opened += t.old_opened;
  }
  assert_true(old_opened > 0);                        /* the headers and chunks that he could read then still open: the keys are real */
}

static void the_keys_still_open_everything_while_the_consent_stands(void **state) {
  (void)state;
  deposit_by(TREATING, "autre", "80788-3", 0);
  ring_fill(PHARMACIST);
  DONE(PATIENT, "ATTACH '%s/none.db' AS old", w.folder);
  DONE(PATIENT, "CREATE TABLE old.dmp_object(id INTEGER PRIMARY KEY,wrap,header)");
  DONE(PATIENT, "CREATE TABLE old.dmp_chunk(id INTEGER PRIMARY KEY)");
  DONE(PATIENT, "CREATE TABLE old.dmp_state(id INTEGER PRIMARY KEY,box)");
  for (int i = 0; i < 4; i++) {                       /* object wrap, header, chunk, state */
    struct tried t = { 0 };
    struct box_ad ad = COLUMNS[i].ad;
    if (COLUMNS[i].patients_id) ad.id = w.patient;
    ring_try(&t, COLUMNS[i].sql, ad);
    if (t.new_opened < 2) fail_msg("%s: %d open", COLUMNS[i].what, t.new_opened);
  }
  DONE(PATIENT, "DETACH old");
}

/* ---- a representative and what is hidden from her ---- */

static void mother_registered(void) {
  const char *request = person_request(MOTHER);
  DONE(AUTHORITY, "INSERT INTO principal(kind,name,certificate) VALUES('representative','MERE',%Q)", request);
  person_login(MOTHER);
}

static void mother_named(void) {
  mother_registered();
  DONE(PATIENT, "INSERT INTO representative(patient,principal,ground) VALUES(%lld,%lld,'tuteur')", w.patient, w.who[MOTHER].id);
  assert_int_equal(documents_of(MOTHER), 1);
}

static int64_t hide_by(int who, const char *columns) {
  DONE(who, "INSERT INTO document(patient,content,title,type_code,%s) VALUES(%lld,x'010203','cache','11488-4',1%s)", columns, w.patient,
       strchr(columns, ',') ? ",1" : "");
  return NUMBER(who, "SELECT last_insert_rowid()");
}

/* What stands in the file since `old` is only what is hidden: which of it do these keys open? */
static int hidden_opened(int *old_opened) {
  int opened = 0;
  for (int i = 0; i < COLUMN_COUNT - 1; i++) {        /* no grant was written */
    struct tried t = { 0 };
    struct box_ad ad = COLUMNS[i].ad;
    if (COLUMNS[i].patients_id) ad.id = w.patient;
    ring_try(&t, COLUMNS[i].sql, ad);
    if (t.new_seen == 0) fail_msg("%s: nothing was written", COLUMNS[i].what);
    opened += t.new_opened;
    *old_opened += t.old_opened;
  }
  return opened;
}

static void all_that_a_representative_holds_opens_no_box_of_what_is_hidden_from_her(void **state) {
  (void)state;
  int old_opened = 0;
  mother_named();
  deposit_by(TREATING, "masque", "11488-4", 1);
  assert_int_equal(documents_of(MOTHER), 2);
  DONE(PATIENT, "VACUUM INTO '%s/old.db'", w.folder);
  DONE(PATIENT, "ATTACH '%s/old.db' AS old", w.folder);
  hide_by(TREATING, "hidden_from_representatives");
  hide_by(TREATING, "invisible_patient");
  hide_by(TREATING, "masked,hidden_from_representatives");
  hide_by(PHARMACIST, "masked,hidden_from_representatives");   /* sealed to a deposit key */
  hide_by(PATIENT, "hidden_from_representatives");
  assert_int_equal(documents_of(TREATING), 7);
  assert_int_equal(documents_of(MOTHER), 2);
  ring_fill(MOTHER);
  assert_true(ring.n > 100);
  assert_int_equal(hidden_opened(&old_opened), 0);
  assert_true(old_opened > 6);                        /* the keys are real */
  ring_fill(PHARMACIST);
  assert_true(hidden_opened(&old_opened) > 0);        /* and others open it */
  DONE(PATIENT, "DETACH old");
}

/* ---- a minimal view and what it does not show ---- */

static int64_t view_made(int64_t item) {
  DONE(PATIENT, "INSERT INTO minimal_view(patient,items,credential,pin) VALUES(%lld,'%lld','%s/%s.dmpkey','" PIN "')", w.patient, item, w.folder, NAME[MOTHER]);
  assert_int_equal(NUMBER(MOTHER, "SELECT dmp_login('%s/%s.dmpkey','" PIN "')", w.folder, NAME[MOTHER]), w.patient);
  return NUMBER(PATIENT, "SELECT max(id) FROM minimal_view");
}

/* Everything that stands in the file beside the view's own rows was written by somebody else: its keys open of it only what it shows. */
static void all_that_a_minimal_view_holds_opens_no_box_of_what_it_does_not_show(void **state) {
  (void)state;
  int opened = 0, all = 0;
  DONE(PATIENT, "VACUUM INTO '%s/old.db'", w.folder);
  DONE(PATIENT, "ATTACH '%s/old.db' AS old", w.folder);
  deposit_by(TREATING, "autre", "11488-4", 0);
  deposit_by(TREATING, "masque", "11488-4", 1);
  deposit_by(PHARMACIST, "autre", "11488-4", 0);
  deposit_by(PATIENT, "mot", "11488-4", 0);
  consent_to(NURSE);
  DONE(PATIENT, "VACUUM INTO '%s/new.db'", w.folder);
  DONE(PATIENT, "DETACH old");
  view_made(w.document);
  assert_int_equal(documents_of(MOTHER), 1);
  ring_fill(MOTHER);
  assert_true(ring.n > 100);
  DONE(PATIENT, "ATTACH '%s/new.db' AS old", w.folder);       /* "old" is now all that stood there before the view */
  for (int i = 0; i < COLUMN_COUNT; i++) {
    struct tried t = { 0 };
    struct box_ad ad = COLUMNS[i].ad;
    if (COLUMNS[i].patients_id) ad.id = w.patient;
    ring_try(&t, COLUMNS[i].sql, ad);
    opened += t.old_opened;
    all += t.old_seen;
  }
  assert_int_equal(opened, 4);                        /* the headers of identity, document and its depositor's consent; the document's chunk */
  assert_true(all > 60);
  DONE(PATIENT, "DETACH old");
}

static void the_keys_of_a_minimal_view_open_no_box_written_after_its_end(void **state) {
  (void)state;
  int64_t row = view_made(w.document);
  int opened = 0, before = 0;
  ring_fill(MOTHER);
  DONE(PATIENT, "VACUUM INTO '%s/old.db'", w.folder);
  DONE(PATIENT, "DELETE FROM minimal_view WHERE id=%lld", row);
  DONE(PATIENT, "INSERT INTO mask(document) VALUES(%lld)", w.document);
  DONE(PATIENT, "DELETE FROM mask WHERE document=%lld", w.document);
  deposit_by(TREATING, "apres", "11488-4", 0);
  consent_to(NURSE);
  DONE(PATIENT, "ATTACH '%s/old.db' AS old", w.folder);
  for (int i = 0; i < COLUMN_COUNT; i++) {
    struct tried t = { 0 };
    struct box_ad ad = COLUMNS[i].ad;
    if (COLUMNS[i].patients_id) ad.id = w.patient;
    ring_try(&t, COLUMNS[i].sql, ad);
    if (t.new_seen == 0) fail_msg("%s: nothing was written", COLUMNS[i].what);
    opened += t.new_opened;
    before += t.old_opened;
  }
  assert_int_equal(opened, 0);
  assert_true(before > 0);                            /* the chunk that it could read: the keys were real */
  REFUSED("E155", MOTHER, "SELECT dmp_login('%s/%s.dmpkey','" PIN "')", w.folder, NAME[MOTHER]);
  DONE(PATIENT, "DETACH old");
}

static void a_representative_gives_nobody_anything(void **state) {
  (void)state;
  mother_named();
  grant_forge(MOTHER, NULL);
  nurse_has_nothing();
  person_login(NURSE);
  nurse_has_nothing();
}

static void a_keyset_by_a_representative_is_followed_by_nobody(void **state) {
  (void)state;
  mother_named();
  keyset_forge(MOTHER, NULL, 17, NULL);
  nobody_follows_the_keyset();
}

/* A first grant for the mother, with the halves of class 17 as `key` gives them. */
static void halves_forge(int who, const uint8_t *key) {
  struct session *s = forge_begin(who);
  struct patient *p = patient_of(who);
  uint8_t mother[16];
  struct grant g = p->g;
  id_field(mother, w.who[MOTHER].id);
  g.count = 1;
  g.entry[0] = (struct entry){ .cls = 17, .which = WHICH_P0 };
  if (key) memcpy(g.entry[0].key, key, 32);
  else half_derive(patient_key(p, 17, WHICH_P), 0, g.entry[0].key);
  assert_int_equal(grant_send(s, &g, 1, session_who(s, mother), s->cred->sign_sk, s->me.hash), DMP_OK);
  forge_end(who);
}

static void halves_by_a_consented_pharmacist_who_holds_their_key_open_nothing(void **state) {
  (void)state;
  mother_registered();
  halves_forge(PHARMACIST, NULL);
  assert_int_equal(documents_of(MOTHER), 0);
  person_login(MOTHER);
  assert_int_equal(documents_of(MOTHER), 0);
  assert_true(faults_of(MOTHER, "dmp_grant") > 0);
}

static void a_half_that_does_not_derive_the_keysets_deposit_key_is_not_kept(void **state) {
  (void)state;
  static const uint8_t KNOWN[32] = { 7 };
  mother_registered();
  halves_forge(PATIENT, KNOWN);
  assert_int_equal(documents_of(MOTHER), 0);
  assert_int_equal(patient_of(MOTHER)->g.count, 0);
  int64_t own = deposit_by(MOTHER, "mot", "11488-4", 0);   /* sealed to the keyset's key, not to the one that was sent */
  assert_int_equal(NUMBER(PATIENT, "SELECT count(*) FROM document WHERE id=%lld", own), 1);
}

static void the_same_half_derived_from_the_live_key_opens_its_leaf_and_nothing_else(void **state) {
  (void)state;
  mother_registered();
  int64_t masked = deposit_by(TREATING, "masque", "11488-4", 1);
  halves_forge(PATIENT, NULL);
  assert_int_equal(documents_of(MOTHER), 1);
  REFUSED("E041", MOTHER, "SELECT dmp_read(%lld,0,1)", masked);
}

/* ---- depositors who put a document where its flags say it is not ---- */

static int64_t plant_document(int who, struct place where, uint8_t flags, int64_t id) {
  struct session *s = forge_begin(who);
  struct signer me = { s->cred, s->me.hash };
  struct buf row = { 0 };
  struct value v[STORED] = { [S_UNIQUE_ID] = value_text("1.2.3.4"), [S_TITLE] = value_text("plante"), [S_TYPE_CODE] = value_text("11488-4"),
                             [S_SIZE] = value_int(0), [S_VIEW_OFFSET] = value_int(0), [S_VIEW_SIZE] = value_int(0) };
  row_put(&row, v, STORED);
  struct content c = { .table = ITEM_DOCUMENT, .flags = flags, .row = row.p, .row_len = row.n };
  uint8_t body[32] = { 1 };
  assert_int_equal(object_insert(s, patient_of(who), &me, where, &c, body, &id), DMP_OK);
  buf_free(&row);
  forge_end(who);
  return id;
}

static int shows(int who, int64_t id) { return (int)NUMBER(who, "SELECT count(*) FROM document WHERE id=%lld", id); }

static void no_flag_hides_from_the_patient_what_professionals_cannot_see(void **state) {
  (void)state;
  struct place last = { 17, 3, 0, 0 }, masked = { 17, 2, 0, 0 }, system = { CLASS_CHOICES, 1, 0, 0 };
  assert_true(shows(PATIENT, plant_document(PHARMACIST, last, ITEM_INVISIBLE, 0)));
  assert_true(shows(PATIENT, plant_document(PHARMACIST, last, ITEM_INVISIBLE | ITEM_MASKED | ITEM_HIDDEN, 0)));
  assert_true(shows(PATIENT, plant_document(PHARMACIST, masked, ITEM_INVISIBLE, 0)));
  assert_false(shows(PATIENT, plant_document(PHARMACIST, system, ITEM_INVISIBLE, 0)));   /* a system class takes no document */
  assert_true(documents_of(PATIENT) == 4);
}

static void an_id_from_the_future_hides_nothing_from_the_patient(void **state) {
  (void)state;
  struct place hidden = { 17, 1, 0, 0 };
  assert_false(shows(PATIENT, plant_document(PHARMACIST, hidden, ITEM_INVISIBLE, id_make(record_now(), 5))));
  assert_true(shows(PATIENT, plant_document(PHARMACIST, hidden, ITEM_INVISIBLE, id_make(record_now() + 3600000LL * 24 * 300, 5))));
  assert_true(shows(PATIENT, plant_document(PHARMACIST, hidden, ITEM_INVISIBLE, id_make(record_now() - 3600000LL * 24 * 32, 5))));
}

static void an_announcement_by_another_than_the_depositor_is_ignored_and_named(void **state) {
  (void)state;
  mother_named();
  int64_t id = hide_by(PHARMACIST, "invisible_patient");
  struct session *s = forge_begin(TREATING);
  struct item it;
  assert_int_equal(object_open(s, patient_of(TREATING), id, &it), DMP_OK);
  assert_int_equal(object_amend(s, patient_of(TREATING), &it, AMEND_ANNOUNCE), DMP_OK);
  item_close(&it);
  forge_end(TREATING);
  assert_false(shows(PATIENT, id));
  assert_true(names(TREATING, id));
  person_login(PATIENT);
  assert_false(shows(PATIENT, id));
  assert_false(shows(MOTHER, id));
  DONE(PHARMACIST, "UPDATE document SET invisible_patient=0 WHERE id=%lld", id);
  assert_true(shows(PATIENT, id));
  assert_true(shows(MOTHER, id));
}

/* ---- memory ---- */

static int file_holds(const char *path, const void *what, size_t n) {
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  fseek(f, 0, SEEK_END);
  size_t size = (size_t)ftell(f);
  uint8_t *all = malloc(size);
  assert_non_null(all);
  rewind(f);
  assert_int_equal(fread(all, 1, size, f), size);
  fclose(f);
  int found = memmem(all, size, what, n) != NULL;
  free(all);
  return found;
}

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

static void a_core_dump_holds_no_key_of_the_session(void **state) {
  static char marker[] = "this text may be found in the core dump";
  struct session *s = session_of(PHARMACIST);
  struct patient *p = patient_of(PHARMACIST);
  char command[256], core[128];
  (void)state;
  assert_int_equal(documents_of(PHARMACIST), 1);
  if (SANITIZED) skip();                              /* its shadow memory alone is terabytes wide */
  snprintf(core, sizeof core, "%s/core.%d", w.folder, (int)getpid());
  /* never more than 256 MB of disk: a test must not be what fills it */
  snprintf(command, sizeof command, "ulimit -f 524288; gcore -o %s/core %d >/dev/null 2>&1", w.folder, (int)getpid());
  if (system(command) != 0 || access(core, R_OK) != 0) {
    print_message("no gcore here, or it may not attach\n");
    skip();
  }
  assert_true(file_holds(core, marker, sizeof marker - 1));
  const uint8_t *secrets[] = { s->cred->seed, s->cred->wrap, s->cred->box_sk, s->cred->directory, p->g.y, p->g.pair, p->yk, p->g.entry[0].key,
                               p->g.entry[1].key, p->own_leaf[0], patient_leaf(p, 17, 0)->key };
  for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
    uint8_t copy[16];                                 /* half of it, so that looking for it does not put it there */
    memcpy(copy, secrets[i], 16);
    if (file_holds(core, copy, 16)) fail_msg("secret %zu is in the core", i);
    bytes_wipe(copy, sizeof copy);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_make, world_drop)
int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_grant_by_a_professional_who_may_not_give_opens_nothing),
    TEST(a_grant_that_names_the_patient_but_is_signed_by_another_opens_nothing),
    TEST(a_grant_by_a_former_treating_doctor_opens_nothing),
    TEST(a_forged_grant_beside_the_true_one_does_not_hide_it),
    TEST(a_forged_packet_is_not_merged_and_without_the_true_one_the_answer_is_an_error),
    TEST(a_circle_s_key_that_somebody_passes_to_who_is_left_out_is_not_believed),
    TEST(a_keyset_with_a_forged_deposit_key_by_a_consented_professional_is_followed_by_nobody),
    TEST(a_keyset_that_names_the_patient_but_is_signed_by_another_is_followed_by_nobody),
    TEST(a_keyset_by_a_former_treating_doctor_is_followed_by_nobody),
    TEST(a_keyset_by_the_treating_doctor_beyond_his_classes_is_followed_by_nobody),
    TEST(a_keyset_by_the_treating_doctor_that_names_another_treating_doctor_is_followed_by_nobody),
    TEST(a_keyset_that_does_not_follow_its_predecessor_is_followed_by_nobody),
    TEST(a_keyset_by_the_treating_doctor_within_his_classes_is_followed_by_all),
    TEST(a_deletion_signed_by_another_than_the_depositor_is_ignored_and_named),
    TEST(an_item_that_names_another_depositor_is_refused_when_it_is_read_and_named),
    TEST(a_sealed_deposit_that_names_another_depositor_is_not_adopted_and_stops_no_rotation),
    TEST(a_list_of_grantees_planted_by_a_former_treating_doctor_gives_him_no_key),
    TEST(a_list_of_grantees_planted_by_a_withdrawn_pharmacist_gives_him_no_key),
    TEST(a_consent_a_mask_and_an_alias_planted_by_a_withdrawn_pharmacist_are_not_seen_and_named),
    TEST(a_consent_a_mask_and_an_alias_planted_by_a_former_treating_doctor_are_not_seen_and_named),
    TEST(an_alias_by_a_consented_pharmacist_who_holds_the_key_of_its_class_is_not_seen_and_named),
    TEST(an_identity_rewritten_by_a_consented_pharmacist_is_an_error_for_all_and_named),
    TEST(a_report_replaced_by_a_consented_pharmacist_is_an_error_for_its_depositor_and_named_by_the_patient),
    TEST(a_chunk_put_behind_its_index_by_a_consented_pharmacist_is_an_error),
    TEST(a_report_replaced_with_a_line_that_says_so_is_named_by_the_patient),
    TEST(a_report_dropped_by_a_consented_pharmacist_is_named_by_the_patient_and_its_depositor),
    TEST(a_report_that_a_consented_pharmacist_keeps_from_the_mask_of_its_episode_is_named_and_masked_at_the_next_login),
    TEST(a_line_that_a_source_puts_past_the_masked_leaf_is_shown_to_nobody),
    TEST(a_deposit_undone_or_deleted_by_its_depositor_is_not_named),
    TEST(a_malformed_row_that_its_depositor_signed_stops_nobodys_list_and_is_named),
    TEST(a_line_sealed_in_anothers_name_is_not_shown_and_reported),
    TEST(a_line_in_anothers_name_and_under_his_tag_is_not_shown_and_its_block_is_named),
    TEST(rows_put_back_are_named_although_a_nurse_who_never_had_a_grant_signed_them),
    TEST(rows_put_back_are_named_although_a_consented_pharmacist_signed_them),
    TEST(a_request_that_carries_a_patients_id_is_refused),
    TEST(a_keyset_of_unknown_classes_by_the_patient_is_refused_and_ends_no_process),
    TEST(a_certificate_by_a_professional_is_nobody_and_named),
    TEST(a_certificate_forged_for_somebody_else_takes_nobodys_place),
    TEST(a_reissued_certificate_without_continuity_is_nobodys_whoever_signs_it),
    TEST(a_patients_certificate_exchanged_by_a_grantee_is_refused_by_all),
    TEST(the_keys_held_before_a_withdrawal_open_no_box_written_afterwards),
    TEST(the_keys_held_before_a_withdrawal_open_no_line_of_the_log_written_afterwards),
    TEST(the_keys_still_open_everything_while_the_consent_stands),
    TEST(all_that_a_representative_holds_opens_no_box_of_what_is_hidden_from_her),
    TEST(all_that_a_minimal_view_holds_opens_no_box_of_what_it_does_not_show),
    TEST(the_keys_of_a_minimal_view_open_no_box_written_after_its_end),
    TEST(a_representative_gives_nobody_anything),
    TEST(a_keyset_by_a_representative_is_followed_by_nobody),
    TEST(halves_by_a_consented_pharmacist_who_holds_their_key_open_nothing),
    TEST(a_half_that_does_not_derive_the_keysets_deposit_key_is_not_kept),
    TEST(the_same_half_derived_from_the_live_key_opens_its_leaf_and_nothing_else),
    TEST(no_flag_hides_from_the_patient_what_professionals_cannot_see),
    TEST(an_id_from_the_future_hides_nothing_from_the_patient),
    TEST(an_announcement_by_another_than_the_depositor_is_ignored_and_named),
    TEST(a_core_dump_holds_no_key_of_the_session),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
