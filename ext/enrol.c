/* enrol.c: a patient's record comes to be (see enrol.h). */
#include "enrol.h"
#include "access.h"
#include "anchor.h"
#include "memory.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

struct enrolment {
  struct session *s;
  struct newcomer *n;
  struct credential *cred;                            /* the patient's, locked, wiped at the end */
  struct patient *p;                                  /* the patient's own view, locked */
  struct certificate cert;
  struct keyset k;
  struct grantees list;
};

static int enrol_credential(struct enrolment *en) {
  struct session *s = en->s;
  struct credential *c = en->cred;
  int e = object_new_id(s, &en->n->id);
  if (e == DMP_OK) e = random_bytes("seed", c->seed, 32);
  if (e != DMP_OK) return e;
  id_field(c->principal, en->n->id);
  memcpy(c->record, s->r->id, 16);
  memcpy(c->authority, s->cred->authority, 64);
  memcpy(c->directory, s->cred->directory, 32);
  credential_derive(c);
  e = credential_create(en->n->credential_path, en->n->pin, en->n->pin_len, s->cost, c);
  return e == DMP_OK ? access_note_file(s, en->n->credential_path) : e;
}

static void copy_text(char *to, const char *from) {
  size_t n = from ? strlen(from) : 0;
  if (n >= CERT_TEXT) n = CERT_TEXT - 1;              /* an identity is whole in the identity item; here it is a label */
  while (n > 0 && from && ((unsigned char)from[n] & 0xC0) == 0x80) n--;
  if (n) memcpy(to, from, n);
  to[n] = 0;
}

static int enrol_certificate(struct enrolment *en) {
  struct session *s = en->s;
  struct certificate *c = &en->cert;
  struct buf plain = { 0 }, box = { 0 };
  uint8_t loc[16];
  int64_t row;
  c->kind = KIND_PATIENT;
  memcpy(c->principal, en->cred->principal, 16);
  memcpy(c->sign_pk, en->cred->sign_pk, 32);
  memcpy(c->box_pk, en->cred->box_pk, 32);
  memcpy(c->record, s->r->id, 16);
  memcpy(c->issuer, s->me.hash, 32);
  c->not_before = record_now();
  copy_text(c->identifier, en->n->identifier);
  copy_text(c->name, en->n->name);
  suite_hash(en->n->row->p, en->n->row->n, c->identity, 32);
  int e = certificate_write(c, s->cred->sign_sk, &plain);
  if (e == DMP_OK) e = record_random_id(&row);
  suite_prf(en->p->yk, "certificate", 11, loc);
  struct box_ad ad = { .record = s->r->id, .kind = BOX_CERTIFICATE, .table = IN_CERTIFICATE, .id = en->n->id, .loc = loc };
  if (e == DMP_OK) e = box_seal(SUITE_XCHACHA, en->p->yk, &ad, plain.p, plain.n, PAD_PADME, NULL, &box);
  if (e == DMP_OK) e = record_put(s->r, STMT_CERT_PUT, loc, &box, row);
  c->verified = 1;
  memcpy(en->p->g.patient_cert, c->hash, 32);
  en->p->certificate = *c;
  en->p->certificate_read = 1;
  buf_free(&plain);
  buf_free(&box);
  return e;
}

/* P and M of every class, and an empty state in each leaf. */
static int enrol_keys(struct enrolment *en) {
  const uint16_t *ids;
  size_t n = rights_classes(&ids);
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < n; i++) {
    struct keyset_class *kc = &en->k.c[en->k.n++];
    kc->cls = ids[i];
    for (uint8_t which = WHICH_P; e == DMP_OK && which <= WHICH_M; which++) {
      uint8_t key[32];
      e = random_bytes("compartment", key, 32);
      keyset_kid(key, which == WHICH_P ? kc->kid_p : kc->kid_m);
      change_entry(&en->p->g, ids[i], which, key);
      bytes_wipe(key, sizeof key);
    }
    for (int l = 0; e == DMP_OK && l < LEAVES; l++) {
      struct leaf *leaf = patient_leaf(en->p, ids[i], l);
      struct state st = { 0 };
      leaf_deposit_pair(leaf);
      memcpy(kc->deposit[l], leaf->deposit_pk, 32);
      e = state_put(en->s, en->n->id, leaf, &st);
    }
  }
  return e;
}

static int enrol_grantee(struct enrolment *en, const struct certificate *who, enum reader as) {
  struct grantee *g = grantees_find(&en->list, who->principal);
  if (g) {
    if (as == READER_TREATING) g->as = (uint8_t)as;   /* the creator is the treating doctor */
    return DMP_OK;
  }
  g = &en->list.g[en->list.n++];
  memcpy(g->principal, who->principal, 16);
  memcpy(g->cert, who->hash, 32);
  g->as = (uint8_t)as;
  g->since = record_now();
  int e = random_bytes("mail", g->mail, 16);
  return e == DMP_OK ? record_random_id(&g->grant_id) : e;
}

/* In which capacity the creator goes on: an authority in none. */
static enum reader creator_as(const struct session *s) {
  return s->me.kind == KIND_PROFESSIONAL ? READER_CONSENT : s->me.kind == KIND_STAFF ? READER_STAFF : READER_NONE;
}

/* Items that the patient's own key signs: identity, log pairs, the list, the creator's consent; and the practice's number. */
static int enrol_items(struct enrolment *en) {
  struct session *s = en->s;
  const struct signer me = { en->cred, en->cert.hash };
  struct content c = { .table = ITEM_PATIENT, .row = en->n->row->p, .row_len = en->n->row->n };
  struct buf row = { 0 };
  int64_t id = en->n->id;
  int e = object_insert(s, en->p, &me, (struct place){ CLASS_IDENTITY, 0, 0, 0 }, &c, NULL, &id);
  if (e == DMP_OK && en->n->local) {
    struct content local = { .table = ITEM_IDENTITY, .row = en->n->local->p, .row_len = en->n->local->n };
    int64_t local_id = 0;
    const struct signer registrar = { s->cred, s->me.hash };   /* a number of the practice is the practice's word, not the patient's */
    e = object_insert(s, en->p, &registrar, (struct place){ CLASS_IDENTITY, 0, 0, 0 }, &local, NULL, &local_id);
  }
  if (e == DMP_OK) e = change_log_pairs(s, en->p, &me, &en->k);
  grantees_row(&en->list, &row);
  struct content list = { .table = ITEM_GRANTEES, .row = row.p, .row_len = row.n };
  id = 0;
  if (e == DMP_OK) e = row.bad ? DMP_E_NOMEM : object_insert(s, en->p, &me, (struct place){ CLASS_CHOICES, 0, 0, 0 }, &list, NULL, &id);
  if (e == DMP_OK && creator_as(s) != READER_NONE)
    e = holder_consent_row(s, en->p, &me, s->principal, "opening", 0, s->principal);
  buf_free(&row);
  return e;
}

/* The patient's grant is written as own row; the creator's too, with what the matrix gives; a treating doctor's is sent. */
static int enrol_grants(struct enrolment *en) {
  struct session *s = en->s;
  struct change c = { .s = s, .p = en->p, .by = { en->cred, en->cert.hash }, .next = en->k };
  struct grant *g = memory_new(sizeof *g);
  if (g == NULL) return DMP_E_LOCK;
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < en->list.n; i++) {
    c.first = &en->list.g[i];
    const struct certificate *who = patient_who_hash(s, en->p, c.first->cert);
    if (who == NULL) e = DMP_E_CERT_BAD;
    else if (memcmp(who->principal, en->cred->principal, 16) == 0) {
      memcpy(en->p->g.mail, c.first->mail, 16);
      en->p->g.id = c.first->grant_id;
      e = grant_put_own(s, en->cred, &en->p->g, 0, NULL);
    } else {
      e = change_send(&c, c.first, g);
    }
  }
  memory_free(g);
  return e;
}

/* The grant as the patient holds it: everything, pinned to keyset 0. */
static int enrol_own_grant(struct enrolment *en) {
  struct grant *g = &en->p->g;
  uint8_t shared[32];
  g->patient = en->n->id;
  g->seq = 0;
  memcpy(g->keyset_hash, en->k.hash, 32);
  g->since = record_now();
  g->kind = GRANT_ACTIVE;
  g->basis = BASIS_SELF;
  int e = suite_x25519(en->cred->box_sk, en->k.log_pk[0], shared);
  if (e == DMP_OK) suite_kdf2(shared, 32, en->p->anchor, 32, "log", 3, g->pair);
  bytes_wipe(shared, sizeof shared);
  return e;
}

static int enrol_run(struct enrolment *en, const struct certificate *doctor) {
  struct session *s = en->s;
  struct patient *p = en->p;
  int e = enrol_credential(en);
  p->id = en->n->id;
  if (e == DMP_OK) e = random_bytes("Y", p->g.y, 32);
  if (e == DMP_OK) e = anchor_add(s->r, &p->g.slot, p->anchor);
  if (e != DMP_OK) return e;
  patient_yk(p->g.y, p->anchor, p->yk);
  suite_prf(p->yk, "deposit", 7, p->deposit_loc);
  e = enrol_certificate(en);
  if (e == DMP_OK) e = enrol_keys(en);
  if (e == DMP_OK) e = enrol_grantee(en, &en->cert, READER_PATIENT);
  if (e == DMP_OK && creator_as(s) != READER_NONE) e = enrol_grantee(en, &s->me, creator_as(s));
  if (e == DMP_OK && doctor) e = enrol_grantee(en, doctor, READER_TREATING);
  if (e == DMP_OK) e = enrol_items(en);
  if (e != DMP_OK) return e;
  change_treating(&en->k, doctor);
  e = keyset_put(s, p->id, p->yk, &en->k, en->cred->sign_sk, en->cert.hash);
  if (e == DMP_OK) e = enrol_own_grant(en);
  if (e == DMP_OK) e = enrol_grants(en);
  /* the creator's line lies in the patient's log, also when the creator (an authority) gets no grant */
  if (e == DMP_OK) e = patient_pairwise(s, p->anchor, en->k.log_pk[0], p->g.pair);
  return e == DMP_OK ? access_pend(s, p, LOG_CREATE, p->id, 0, NULL) : e;
}

int enrol_patient(struct session *s, struct newcomer *n) {
  struct enrolment en = { .s = s, .n = n };
  const struct certificate *doctor = n->treating ? holder_professional(s, n->treating) : NULL;
  if (n->treating && (doctor == NULL || doctor->profession != 10)) return DMP_E_PROFESSION;
  if (doctor && doctor->status == STATUS_REVOKED) return DMP_E_REVOKED;
  en.cred = memory_new(sizeof *en.cred);
  en.p = memory_new(sizeof *en.p);
  en.list.g = calloc(4, sizeof *en.list.g);
  int told, e = en.cred == NULL || en.p == NULL ? DMP_E_LOCK : en.list.g == NULL ? DMP_E_NOMEM : enrol_run(&en, doctor);
  memory_free(en.cred);
  memory_free(en.p);
  grantees_free(&en.list);
  if (e == DMP_OK) {
    session_stale(s);
    e = grant_adopt_inbox(s, &told);                  /* the creator's own, if any */
  }
  return e;
}
