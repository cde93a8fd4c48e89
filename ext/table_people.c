/* table_people.c: the tables `dmp`, `session`, `principal`, `patient`, `identity`, `consent`: who is who, and who may.
 * Owns: their columns and the rows of patients and identities.  Never: keys (holder.h), certificates' bytes (certificate.h). */
#include "table.h"
#include "enrol.h"
#include "login.h"
#include "membership.h"
#include "renewal.h"
#include "syntax.h"
#include "view.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

/* ---- dmp: the owner of the shadow tables ---- */
enum { O_VERSION, O_SUITE, O_COLUMNS };
static const struct column OWNER[] = { [O_VERSION] = { "version", "TEXT", 0 }, [O_SUITE] = { "suite", "TEXT", 0 } };

static int owner_make(struct session *s, struct patient *p, struct rows *out) {
  struct value *row = rows_add(out, 1);
  (void)p;
  if (row == NULL) return DMP_E_NOMEM;
  row[O_VERSION] = value_text(DMP_VERSION);
  row[O_SUITE] = value_text(s->r->suite == SUITE_AES ? "aes-256-gcm" : "xchacha20-poly1305");
  return DMP_OK;
}
const struct table TABLE_DMP = { .name = "dmp", .col = OWNER, .columns = O_COLUMNS, .patient_col = -1, .id_col = -1, .make = owner_make };

/* ---- session ---- */
enum { S_PRINCIPAL, S_KIND, S_NAME, S_IDENTIFIER, S_PROFESSION, S_FACILITY, S_ON_BEHALF, S_MODE, S_UNTIL, S_OWED, S_OWN_KEY, S_AUTHORITY,
       S_HEADERS, S_BOXES, S_COLUMNS };
static const struct column SESSION[] = {
  [S_PRINCIPAL] = { "principal", "INTEGER", 0 }, [S_KIND] = { "kind", "TEXT", 0 }, [S_NAME] = { "name", "TEXT", 0 },
  [S_IDENTIFIER] = { "identifier", "TEXT", 0 }, [S_PROFESSION] = { "profession", "TEXT", 0 }, [S_FACILITY] = { "facility", "TEXT", 0 },
  [S_ON_BEHALF] = { "on_behalf", "TEXT", 0 }, [S_MODE] = { "mode", "TEXT", 0 }, [S_UNTIL] = { "until", "TEXT", 0 },
  [S_OWED] = { "owed", "INTEGER", 0 },            /* classes whose keys this login should turn and could not yet */
  [S_OWN_KEY] = { "own_key", "INTEGER", 0 },      /* 0: the credential was made at a desk */
  [S_AUTHORITY] = { "authority", "TEXT", 0 },     /* the authority's fingerprint, as invitations carry it */
  [S_HEADERS] = { "headers_opened", "INTEGER", 0 }, [S_BOXES] = { "boxes_opened", "INTEGER", 0 },
};

/* "10", or NULL: the certificate's number as the tables show it. */
static struct value profession_value(struct rows *out, uint16_t profession) {
  char t[8];
  sqlite3_snprintf(sizeof t, t, "%u", profession);
  return profession ? rows_text(out, t) : (struct value){ 0 };
}

/* Secrets and grants that a manager has to move, and patients of a treating doctor whose keys somebody who left may hold. */
static int team_owed(struct session *s, unsigned *owed) {
  int64_t *patients = NULL;
  size_t n = 0;
  int some, e = membership_owed(s, &some);
  if (e == DMP_OK) e = membership_patients(s, &patients, &n);
  *owed += (unsigned)some + (unsigned)n;
  free(patients);
  return e;
}

static int session_make(struct session *s, struct patient *p, struct rows *out) {
  struct value *row = rows_add(out, 1);
  unsigned owed = 0;
  char fingerprint[FINGERPRINT_TEXT];
  int e = row ? DMP_OK : DMP_E_NOMEM;
  (void)p;
  if (e == DMP_OK && s->me.kind == KIND_PATIENT) {
    struct patient *me;
    size_t views = 0;
    e = patient_get(s, s->principal, &me);
    if (e == DMP_OK && !patient_expired(me)) e = holder_owed(s, me, &owed);
    if (e == DMP_OK) e = views_owed(s, me, &views);
    if (e == DMP_E_NO_PATIENT) e = DMP_OK;            /* a minimal view that is over */
    owed += (unsigned)views;
  }
  if (e == DMP_OK) e = team_owed(s, &owed);
  if (e != DMP_OK) return e;
  certificate_fingerprint(s->cred->authority, fingerprint);
  row[S_PRINCIPAL] = value_int(s->principal);
  row[S_KIND] = value_text(certificate_kind_text(s->me.kind));
  row[S_NAME] = rows_text(out, s->me.name);
  row[S_IDENTIFIER] = rows_text(out, s->me.identifier);
  row[S_PROFESSION] = profession_value(out, s->me.profession);
  row[S_FACILITY] = rows_text(out, s->me.facility);
  row[S_ON_BEHALF] = rows_text(out, s->on_behalf);
  row[S_MODE] = value_text("normal");
  row[S_OWED] = value_int(owed);
  row[S_OWN_KEY] = value_int((s->me.flags & FLAG_OWN_KEY) != 0);
  row[S_AUTHORITY] = rows_text(out, fingerprint);
  row[S_HEADERS] = value_int((int64_t)s->headers_opened);
  row[S_BOXES] = value_int((int64_t)s->boxes_opened);
  return DMP_OK;
}
const struct table TABLE_SESSION = { .name = "session", .col = SESSION, .columns = S_COLUMNS, .patient_col = -1, .id_col = -1,
                                     .make = session_make };

/* ---- principal ---- */
enum { P_ID, P_KIND, P_IDENTIFIER, P_NAME, P_PROFESSION, P_SPECIALTY, P_FACILITY, P_REGISTRAR, P_CERTIFICATE, P_STATUS, P_COLUMNS };
static const struct column PRINCIPAL[] = {
  [P_ID] = { "id", "INTEGER", 0 }, [P_KIND] = { "kind", "TEXT", 0 }, [P_IDENTIFIER] = { "identifier", "TEXT", 0 },
  [P_NAME] = { "name", "TEXT", 0 }, [P_PROFESSION] = { "profession", "TEXT", 0 }, [P_SPECIALTY] = { "specialty", "TEXT", 0 },
  [P_FACILITY] = { "facility", "TEXT", 0 }, [P_REGISTRAR] = { "registrar", "INTEGER", 0 },
  [P_CERTIFICATE] = { "certificate", "TEXT", 0 },     /* INSERT: the request; SELECT: the certificate's fingerprint */
  [P_STATUS] = { "status", "TEXT", 0 },
};

static int principal_make(struct session *s, struct patient *p, struct rows *out) {
  (void)p;
  for (size_t i = 0; i < s->dir.n; i++) {
    const struct certificate *c = session_who(s, s->dir.all[i].principal);
    if (c != &s->dir.all[i]) continue;                /* nobody, which dmp_verify reports, or followed by another one */
    struct value *row = rows_add(out, id_from_field(c->principal));
    char hex[33];
    if (row == NULL) return DMP_E_NOMEM;
    bytes_to_hex(c->hash, 16, hex);
    row[P_ID] = value_int(id_from_field(c->principal));
    row[P_KIND] = value_text(certificate_kind_text(c->kind));
    row[P_IDENTIFIER] = rows_text(out, c->identifier);
    row[P_NAME] = rows_text(out, c->name);
    row[P_PROFESSION] = profession_value(out, c->profession);
    row[P_SPECIALTY] = rows_text(out, c->specialty);
    row[P_FACILITY] = rows_text(out, c->facility);
    row[P_REGISTRAR] = value_int((c->rights & RIGHT_REGISTER_PATIENTS) != 0);
    row[P_CERTIFICATE] = rows_text(out, hex);
    row[P_STATUS] = value_text(c->status == STATUS_REVOKED ? "revoked" : "active");
  }
  return DMP_OK;
}

/* A team has no credential and no request: its managers make its key. Its profession is the role that its members read in; without one, names only. */
static int team_insert(struct session *s, const char *const t[P_COLUMNS], int registrar, int64_t *rowid) {
  struct certificate c = { 0 };
  struct { const char *from; char *to; } texts[] = { { t[P_IDENTIFIER], c.identifier }, { t[P_NAME], c.name }, { t[P_FACILITY], c.facility } };
  char *end = NULL;
  long profession = t[P_PROFESSION] ? strtol(t[P_PROFESSION], &end, 10) : 0;
  if (t[P_CERTIFICATE] || t[P_SPECIALTY] || registrar) return DMP_E_READ_ONLY;
  if (t[P_PROFESSION] && (*end || profession <= 0 || profession > 99 || profession_display((uint16_t)profession) == NULL)) return session_column(s, "profession", DMP_E_CODE);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (texts[i].from && strlen(texts[i].from) >= CERT_TEXT) return DMP_E_TOO_BIG;
    if (texts[i].from) memcpy(texts[i].to, texts[i].from, strlen(texts[i].from) + 1);
  }
  c.profession = (uint16_t)profession;
  int e = team_register(s, &c);
  *rowid = id_from_field(c.principal);
  return e;
}

static int principal_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  const char *t[P_COLUMNS] = { 0 };
  struct registration r = { 0 };
  static const uint8_t TEXTS[] = { P_KIND, P_IDENTIFIER, P_NAME, P_PROFESSION, P_SPECIALTY, P_FACILITY, P_CERTIFICATE };
  int e = sqlite3_value_type(v[P_ID]) != SQLITE_NULL || sqlite3_value_type(v[P_STATUS]) != SQLITE_NULL ? DMP_E_READ_ONLY : DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < sizeof TEXTS; i++) e = take_text(v[TEXTS[i]], &t[TEXTS[i]]);
  if (e == DMP_OK) e = take_flag(v[P_REGISTRAR], &r.registrar);
  if (e == DMP_OK && (!t[P_KIND] || !t[P_NAME])) e = DMP_E_MISSING;
  if (e == DMP_OK && certificate_kind_of(t[P_KIND]) == KIND_TEAM) return team_insert(s, t, r.registrar, rowid);
  if (e == DMP_OK && !t[P_CERTIFICATE]) e = DMP_E_MISSING;
  if (e != DMP_OK) return e;
  r.kind = certificate_kind_of(t[P_KIND]);
  if (r.kind == 0 && rights_barred(t[P_KIND], NULL, NULL)) e = renewal_barred(s, t[P_KIND], NULL, NULL);
  if (e == DMP_OK && (r.kind == KIND_PROFESSIONAL || r.kind == KIND_STAFF)) e = renewal_barred(s, t[P_KIND], t[P_SPECIALTY], t[P_FACILITY]);
  if (e != DMP_OK) return e;
  /* a representative or a source has no profession and registers nobody; staff have a specialty: a secretary, an interpreter */
  int represents = r.kind == KIND_REPRESENTATIVE, works = !represents && r.kind != KIND_SOURCE && r.kind != KIND_STAFF;
  if (r.kind == KIND_STAFF && t[P_PROFESSION]) return DMP_E_READ_ONLY;
  if (represents && (t[P_PROFESSION] || t[P_SPECIALTY] || r.registrar)) return DMP_E_READ_ONLY;
  if (works && !t[P_PROFESSION]) return DMP_E_MISSING;
  char *end = NULL;
  long profession = t[P_PROFESSION] ? strtol(t[P_PROFESSION], &end, 10) : 0;
  if (t[P_PROFESSION] && (*end || profession <= 0 || profession > 99 || profession_display((uint16_t)profession) == NULL)) return session_column(s, "profession", DMP_E_CODE);
  if (r.kind == 0) return DMP_E_KIND;
  r.identifier = t[P_IDENTIFIER];
  r.name = t[P_NAME];
  r.specialty = t[P_SPECIALTY];
  r.facility = t[P_FACILITY];
  r.request = t[P_CERTIFICATE];
  r.profession = (uint16_t)profession;
  e = login_register(s, &r);
  *rowid = r.id;
  return e;
}
/* What an UPDATE gives a column: *out stays NULL where it leaves it alone. "": it is emptied. */
static int given_text(sqlite3_value *v, const char **out) {
  if (sqlite3_value_nochange(v)) return DMP_OK;
  int e = take_text(v, out);
  if (e == DMP_OK && *out == NULL) *out = "";
  return e;
}

static int given_profession(struct session *s, int64_t id, const char *text, struct reissue *r) {
  uint8_t field[16];
  char *end;
  id_field(field, id);
  const struct certificate *who = session_who(s, field);
  r->profession = who ? who->profession : 0;
  if (text == NULL) return DMP_OK;
  long n = strtol(text, &end, 10);
  if (who == NULL || who->kind != KIND_PROFESSIONAL) return DMP_E_READ_ONLY;
  if (*text == 0 || *end || n <= 0 || n > 99 || profession_display((uint16_t)n) == NULL) return session_column(s, "profession", DMP_E_CODE);
  r->profession = (uint16_t)n;
  return DMP_OK;
}

/* The authority issues the certificate again: another name, facility or profession, another key, revoked or active again. */
static int principal_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  struct reissue r = { .id = rowid, .registrar = -1, .status = -1 };
  const char *profession = NULL, *status = NULL;
  int e = s->me.kind != KIND_AUTHORITY ? DMP_E_NOT_ALLOWED : sqlite3_value_nochange(v[P_ID]) && sqlite3_value_nochange(v[P_KIND]) ? DMP_OK : DMP_E_READ_ONLY;
  if (e == DMP_OK) e = given_text(v[P_IDENTIFIER], &r.identifier);
  if (e == DMP_OK) e = given_text(v[P_NAME], &r.name);
  if (e == DMP_OK && r.name && *r.name == 0) e = DMP_E_MISSING;
  if (e == DMP_OK) e = given_text(v[P_SPECIALTY], &r.specialty);
  if (e == DMP_OK) e = given_text(v[P_FACILITY], &r.facility);
  if (e == DMP_OK) e = given_text(v[P_CERTIFICATE], &r.request);
  if (e == DMP_OK) e = given_text(v[P_PROFESSION], &profession);
  if (e == DMP_OK) e = given_text(v[P_STATUS], &status);
  if (e == DMP_OK && !sqlite3_value_nochange(v[P_REGISTRAR])) e = take_flag(v[P_REGISTRAR], &r.registrar);
  if (e == DMP_OK && status) r.status = strcmp(status, "revoked") == 0 ? STATUS_REVOKED : strcmp(status, "active") == 0 ? STATUS_ACTIVE : -2;
  if (e == DMP_OK && r.status == -2) e = session_column(s, "status", DMP_E_CODE);
  if (e == DMP_OK) e = given_profession(s, rowid, profession, &r);
  return e == DMP_OK ? renewal_reissue(s, &r) : e;
}
const struct table TABLE_PRINCIPAL = { .name = "principal", .col = PRINCIPAL, .columns = P_COLUMNS, .patient_col = -1, .id_col = -1,
                                       .needs_login = 1, .make = principal_make, .insert = principal_insert, .update = principal_update };

/* ---- patient ---- */
enum { A_ID, A_INS, A_INS_OID, A_BIRTH_NAME, A_USED_NAME, A_GIVEN_NAMES, A_BIRTH_DATE, A_SEX, A_BIRTH_PLACE, A_LANGUAGE,
       A_TREATING, A_STATUS, A_CREDENTIAL, A_PIN, A_LOCAL_SYSTEM, A_LOCAL_VALUE, A_COLUMNS };
static const struct column PATIENT[] = {
  [A_ID] = { "id", "INTEGER", COL_PUSH }, [A_INS] = { "ins", "TEXT", COL_PUSH }, [A_INS_OID] = { "ins_oid", "TEXT", 0 },
  [A_BIRTH_NAME] = { "birth_name", "TEXT", COL_PUSH }, [A_USED_NAME] = { "used_name", "TEXT", COL_PUSH },
  [A_GIVEN_NAMES] = { "given_names", "TEXT", 0 }, [A_BIRTH_DATE] = { "birth_date", "TEXT", COL_PUSH }, [A_SEX] = { "sex", "TEXT", 0 },
  [A_BIRTH_PLACE] = { "birth_place", "TEXT", 0 }, [A_LANGUAGE] = { "language", "TEXT", 0 },
  [A_TREATING] = { "treating_doctor", "INTEGER", COL_LATE },   /* read from the keyset */
  [A_STATUS] = { "status", "TEXT", COL_LATE },        /* own_key, or desk_key: the credential was made at a desk */
  [A_CREDENTIAL] = { "credential", "TEXT", COL_HIDDEN }, [A_PIN] = { "pin", "TEXT", COL_HIDDEN },
  [A_LOCAL_SYSTEM] = { "local_system", "TEXT", COL_HIDDEN }, [A_LOCAL_VALUE] = { "local_value", "TEXT", COL_HIDDEN },
};
enum { TRAIT_FIRST = A_INS, TRAITS = A_LANGUAGE - A_INS + 1 };   /* stored values: the columns ins…language, append only */

/* The patient's item and its values, which live in it. Closed by the caller, also after an error. */
static int traits_open(struct session *s, struct patient *p, struct item *it, struct value v[TRAITS]) {
  size_t count, used;
  memset(v, 0, TRAITS * sizeof *v);
  int e = object_open(s, p, p->id, it);
  if (e == DMP_E_NOT_FOUND) e = record_fault(s->r, DMP_E_STATE_BAD, "dmp_object", p->id);
  if (e == DMP_OK) e = it->c.table == ITEM_PATIENT ? object_certified(s, p, it) : DMP_E_TAMPERED;
  return e == DMP_OK ? row_get(it->c.row, it->c.row_len, v, TRAITS, &count, &used) : e;
}

/* 1970-01-02 as 02/01/1970, a part of a date as it is. */
static void put_day(const struct value *v, struct buf *out) {
  const uint8_t *d = v->u.p;
  if (v->n != 10) {
    buf_put(out, d, v->n);
    return;
  }
  const uint8_t day[10] = { d[8], d[9], '/', d[5], d[6], '/', d[0], d[1], d[2], d[3] };
  buf_put(out, day, sizeof day);
}

int people_text(struct session *s, struct patient *p, struct buf *out) {
  static const uint8_t PARTS[] = { A_BIRTH_NAME, A_GIVEN_NAMES, A_BIRTH_DATE };
  struct item it;
  struct value v[TRAITS];
  int e = traits_open(s, p, &it, v);
  for (size_t i = 0; e == DMP_OK && i < sizeof PARTS; i++) {
    const struct value *part = &v[PARTS[i] - TRAIT_FIRST];
    if (part->type != VALUE_TEXT) continue;
    if (out->n) buf_put(out, " ", 1);
    if (PARTS[i] == A_BIRTH_DATE) put_day(part, out);
    else buf_put(out, part->u.p, part->n);
  }
  item_close(&it);
  return e == DMP_OK && out->bad ? DMP_E_NOMEM : e;
}

int people_birth_date(struct session *s, struct patient *p, char out[16]) {
  struct item it;
  struct value v[TRAITS];
  int e = traits_open(s, p, &it, v);
  const struct value *date = &v[A_BIRTH_DATE - TRAIT_FIRST];
  *out = 0;
  if (e == DMP_OK && date->type == VALUE_TEXT && date->n < 16) {
    memcpy(out, date->u.p, date->n);
    out[date->n] = 0;
  }
  item_close(&it);
  return e;
}

static int patient_make(struct session *s, struct patient *p, struct rows *out) {
  struct item it;
  struct value v[TRAITS];
  if (!patient_leaf(p, CLASS_IDENTITY, 0)->held) return DMP_OK;   /* a grant without keys names nobody */
  int e = traits_open(s, p, &it, v);
  struct value *row = e == DMP_OK ? rows_add(out, p->id) : NULL;
  if (row) {
    row[A_ID] = value_int(p->id);
    for (int i = 0; i < TRAITS; i++)
      if (v[i].type == VALUE_TEXT) row[TRAIT_FIRST + i] = rows_bytes(out, VALUE_TEXT, v[i].u.p, v[i].n);
  }
  item_close(&it);
  return e == DMP_OK && row == NULL ? DMP_E_NOMEM : e;
}

static int patient_late(struct session *s, int64_t rowid, int column, sqlite3_context *ctx) {
  struct patient *p;
  struct keyset *k;
  const struct certificate *c;
  int e = patient_get(s, rowid, &p);
  if (e == DMP_OK && column == A_TREATING) {
    e = patient_keyset(s, p, &k);
    if (e == DMP_OK && !suite_is_zero(k->treating, 16)) sqlite3_result_int64(ctx, id_from_field(k->treating));
  } else if (e == DMP_OK) {
    e = patient_certificate(s, p, &c);
    if (e == DMP_OK) sqlite3_result_text(ctx, c->flags & FLAG_OWN_KEY ? "own_key" : "desk_key", -1, SQLITE_STATIC);
  }
  return e;
}

struct enrolling { const char *t[A_COLUMNS]; int64_t treating; const char *bad; };

static int about(struct enrolling *n, int column, int e) {
  if (e != DMP_OK) n->bad = PATIENT[column].name;
  return e;
}

static int check_ins(struct enrolling *n) {
  const char *ins = n->t[A_INS], *oid = n->t[A_INS_OID];
  if (ins == NULL) return oid ? about(n, A_INS, DMP_E_MISSING) : DMP_OK;
  if (syntax_ins(ins) == 0) return about(n, A_INS, DMP_E_INS);
  if (oid == NULL) return about(n, A_INS_OID, DMP_E_MISSING);
  int ground = syntax_ins_oid(oid);
  if (ground == 0) return about(n, A_INS_OID, DMP_E_INS);
  /* many published test identities fail their keys: on a test OID the key is not asked for */
  return syntax_ins(ins) < 0 && ground == 1 ? about(n, A_INS, DMP_E_INS) : DMP_OK;
}

static int enrolling_take(struct enrolling *n, sqlite3_value **v) {
  int given, e = DMP_OK;
  if (sqlite3_value_type(v[A_ID]) != SQLITE_NULL) return about(n, A_ID, DMP_E_READ_ONLY);
  if (sqlite3_value_type(v[A_STATUS]) != SQLITE_NULL) return about(n, A_STATUS, DMP_E_READ_ONLY);
  for (int i = A_INS; e == DMP_OK && i < A_COLUMNS; i++)
    if (i != A_TREATING && i != A_STATUS) e = about(n, i, take_text(v[i], &n->t[i]));
  if (e == DMP_OK) e = about(n, A_TREATING, take_int(v[A_TREATING], &n->treating, &given));
  if (e == DMP_OK) e = check_ins(n);
  if (e == DMP_OK && n->t[A_BIRTH_DATE] && !syntax_birth_date(n->t[A_BIRTH_DATE])) e = about(n, A_BIRTH_DATE, DMP_E_DATE);
  const char *sex = n->t[A_SEX];
  if (e == DMP_OK && sex && strcmp(sex, "M") != 0 && strcmp(sex, "F") != 0 && strcmp(sex, "U") != 0) e = about(n, A_SEX, DMP_E_CODE);
  if (e == DMP_OK && !n->t[A_LOCAL_SYSTEM] != !n->t[A_LOCAL_VALUE]) e = about(n, n->t[A_LOCAL_SYSTEM] ? A_LOCAL_VALUE : A_LOCAL_SYSTEM, DMP_E_MISSING);
  if (e == DMP_OK && !n->t[A_INS] && !n->t[A_BIRTH_NAME] && !n->t[A_USED_NAME] && !n->t[A_LOCAL_VALUE]) e = DMP_E_IDENTITY;
  if (e == DMP_OK && (!n->t[A_CREDENTIAL] || !n->t[A_PIN])) e = DMP_E_CREDENTIAL;
  return e;
}

/* No two records for one INS among the patients whom this login opens; elsewhere a guess would be an index. */
static int ins_known(struct session *s, const char *ins) {
  struct rows rows = { .columns = A_COLUMNS };
  struct value want = value_text(ins);
  int e = ins ? patient_own(s) : DMP_OK;
  for (size_t i = 0; e == DMP_OK && ins && i < s->owns; i++) {
    struct patient *p;
    size_t at = rows.n;
    e = patient_get(s, s->own[i].patient, &p);
    if (e == DMP_OK) e = patient_make(s, p, &rows);
    if (e == DMP_OK && rows.n > at && value_compare(&rows.v[at * A_COLUMNS + A_INS], &want) == 0) e = DMP_E_DUPLICATE;
  }
  arena_free(&rows.arena);
  free(rows.v);
  free(rows.rowid);
  return e;
}

enum { I_PATIENT, I_SYSTEM, I_VALUE, I_KIND, I_SINCE, I_COLUMNS };
enum { IDENTITY_VALUES = I_COLUMNS - I_SYSTEM };      /* stored: system, value, kind, since */

static void identity_row(const char *system, const char *value, const char *kind, struct buf *row) {
  char now[32];
  syntax_time_ms(record_now(), now);
  struct value v[IDENTITY_VALUES] = { value_text(system), value_text(value), value_text(kind), value_text(now) };
  row_put(row, v, IDENTITY_VALUES);
}

static int patient_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  struct enrolling n = { 0 };
  struct buf row = { 0 }, local = { 0 };
  struct value traits[TRAITS];
  if (s->me.kind != KIND_AUTHORITY && !(s->me.rights & RIGHT_REGISTER_PATIENTS)) return DMP_E_NOT_ALLOWED;
  int e = enrolling_take(&n, v);
  if (e != DMP_OK && n.bad) sqlite3_snprintf(sizeof s->r->detail, s->r->detail, "column %s", n.bad);
  if (e == DMP_OK) e = ins_known(s, n.t[A_INS]);
  if (e != DMP_OK) return e;
  for (int i = 0; i < TRAITS; i++) traits[i] = value_text(n.t[TRAIT_FIRST + i]);
  row_put(&row, traits, TRAITS);
  if (n.t[A_LOCAL_VALUE]) identity_row(n.t[A_LOCAL_SYSTEM], n.t[A_LOCAL_VALUE], "local", &local);
  const char *name = n.t[A_USED_NAME] ? n.t[A_USED_NAME] : n.t[A_BIRTH_NAME];
  struct newcomer who = { .credential_path = n.t[A_CREDENTIAL], .pin = n.t[A_PIN], .pin_len = strlen(n.t[A_PIN]),
                          .identifier = n.t[A_INS], .name = name, .row = &row, .local = n.t[A_LOCAL_VALUE] ? &local : NULL,
                          .treating = n.treating };
  e = row.bad || local.bad ? DMP_E_NOMEM : enrol_patient(s, &who);
  *rowid = who.id;
  buf_free(&row);
  buf_free(&local);
  return e;
}

static int patient_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  int64_t doctor;
  int given, e = DMP_OK;
  struct patient *p;
  for (int i = 0; i < A_COLUMNS; i++)
    if (i != A_TREATING && !(PATIENT[i].flags & COL_HIDDEN) && !sqlite3_value_nochange(v[i])) return DMP_E_READ_ONLY;
  if (sqlite3_value_nochange(v[A_TREATING])) return DMP_OK;
  e = take_int(v[A_TREATING], &doctor, &given);
  if (e == DMP_OK && rowid != s->principal) e = DMP_E_PATIENT_ONLY;
  if (e == DMP_OK) e = holder_begin(s, rowid, &p);
  return e == DMP_OK ? holder_treating(s, p, doctor) : e;
}
const struct table TABLE_PATIENT = { .name = "patient", .col = PATIENT, .columns = A_COLUMNS, .patient_col = A_ID, .id_col = -1,
                                     .needs_login = 1, .make = patient_make, .insert = patient_insert, .update = patient_update,
                                     .late = patient_late };

/* ---- identity ---- */
static const struct column IDENTITY[] = {
  [I_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [I_SYSTEM] = { "system", "TEXT", COL_PUSH }, [I_VALUE] = { "value", "TEXT", COL_PUSH },
  [I_KIND] = { "kind", "TEXT", COL_PUSH }, [I_SINCE] = { "since", "TEXT", 0 },
};
struct making { struct session *s; struct patient *p; struct rows *out; };

static int make_identity(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[IDENTITY_VALUES] = { 0 };
  size_t count, used;
  if (it->c.table != ITEM_IDENTITY) return DMP_OK;
  int e = object_trusted(m->s, m->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;   /* forged: shown to nobody, named by dmp_verify */
  e = row_get(it->c.row, it->c.row_len, v, IDENTITY_VALUES, &count, &used);
  struct value *row = e == DMP_OK ? rows_add(m->out, it->id) : NULL;
  if (row == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  row[I_PATIENT] = value_int(m->p->id);
  for (int i = 0; i < IDENTITY_VALUES; i++)
    if (v[i].type == VALUE_TEXT) row[I_SYSTEM + i] = rows_bytes(m->out, VALUE_TEXT, v[i].u.p, v[i].n);
  return DMP_OK;
}

static int identity_make(struct session *s, struct patient *p, struct rows *out) {
  const struct scan w = { .first = CLASS_IDENTITY, .last = CLASS_IDENTITY };
  struct making m = { s, p, out };
  return object_scan(s, p, &w, make_identity, &m);
}

static int identity_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  const struct signer me = { s->cred, s->me.hash };
  struct content c = { .table = ITEM_IDENTITY };
  const char *system, *value, *kind;
  struct buf row = { 0 };
  struct patient *p;
  int64_t patient;
  int given, e = take_int(v[I_PATIENT], &patient, &given);
  if (e == DMP_OK) e = take_text(v[I_SYSTEM], &system);
  if (e == DMP_OK) e = take_text(v[I_VALUE], &value);
  if (e == DMP_OK) e = take_text(v[I_KIND], &kind);
  if (e == DMP_OK && sqlite3_value_type(v[I_SINCE]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK && (!given || !system || !value)) e = DMP_E_MISSING;
  if (e == DMP_OK) e = holder_begin(s, patient, &p);
  if (e != DMP_OK) return e;
  identity_row(system, value, kind ? kind : "alias", &row);
  c.row = row.p;
  c.row_len = row.n;
  e = row.bad ? DMP_E_NOMEM : object_insert(s, p, &me, (struct place){ CLASS_IDENTITY, 0, 0, 0 }, &c, NULL, rowid);
  if (e == DMP_OK) e = access_pend(s, p, LOG_IDENTITY, p->id, 0, NULL);
  buf_free(&row);
  return e;
}
const struct table TABLE_IDENTITY = { .name = "identity", .col = IDENTITY, .columns = I_COLUMNS, .patient_col = I_PATIENT, .id_col = -1,
                                      .needs_login = 1, .make = identity_make, .insert = identity_insert };

/* ---- consent ---- */
enum { C_PATIENT, C_GRANTEE, C_BASIS, C_SINCE, C_UNTIL, C_RECORDED_BY, C_COLUMNS };
static const struct column CONSENT[] = {
  [C_PATIENT] = { "patient", "INTEGER", COL_PUSH }, [C_GRANTEE] = { "grantee", "INTEGER", COL_PUSH }, [C_BASIS] = { "basis", "TEXT", 0 },
  [C_SINCE] = { "since", "TEXT", 0 }, [C_UNTIL] = { "until", "TEXT", 0 }, [C_RECORDED_BY] = { "recorded_by", "INTEGER", 0 },
};
static const uint8_t CONSENT_COLUMN[CONSENT_VALUES] = { [CONSENT_GRANTEE] = C_GRANTEE, [CONSENT_BASIS] = C_BASIS,
                                                        [CONSENT_SINCE] = C_SINCE, [CONSENT_UNTIL] = C_UNTIL, [CONSENT_BY] = C_RECORDED_BY };

static int make_consent(void *ctx, struct item *it) {
  struct making *m = ctx;
  struct value v[CONSENT_VALUES] = { 0 };
  size_t count, used;
  if (it->c.table != ITEM_CONSENT) return DMP_OK;
  int e = object_trusted(m->s, m->p, it);
  if (e != DMP_OK) return e == DMP_E_SIGNATURE ? DMP_OK : e;
  e = row_get(it->c.row, it->c.row_len, v, CONSENT_VALUES, &count, &used);
  struct value *row = e == DMP_OK ? rows_add(m->out, it->id) : NULL;
  if (row == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  row[C_PATIENT] = value_int(m->p->id);
  for (int i = 0; i < CONSENT_VALUES; i++)
    row[CONSENT_COLUMN[i]] = v[i].type == VALUE_TEXT ? rows_bytes(m->out, VALUE_TEXT, v[i].u.p, v[i].n) : v[i];
  return DMP_OK;
}

static int consent_make(struct session *s, struct patient *p, struct rows *out) {
  const struct scan w = { .first = CLASS_CHOICES, .last = CLASS_CHOICES };
  struct making m = { s, p, out };
  return object_scan(s, p, &w, make_consent, &m);
}

static int consent_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t patient, grantee, until;
  int given, named, e = take_int(v[C_PATIENT], &patient, &given);
  struct patient *p;
  if (e == DMP_OK) e = take_int(v[C_GRANTEE], &grantee, &named);
  if (e == DMP_OK && (!given || !named)) e = DMP_E_MISSING;
  for (int i = C_BASIS; e == DMP_OK && i < C_COLUMNS; i++)
    if (i != C_UNTIL && sqlite3_value_type(v[i]) != SQLITE_NULL) e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = take_until(v[C_UNTIL], &until);
  if (e == DMP_OK) e = holder_begin(s, patient, &p);
  if (e == DMP_OK) e = holder_consent(s, p, grantee, until);
  *rowid = grantee;
  return e;
}

static int consent_erase(struct session *s, int64_t rowid) {
  struct patient *p;
  struct item it;
  struct value v;
  size_t count, used;
  int e = object_find(s, rowid, &p, &it);
  if (e != DMP_OK) return e;
  if (it.c.table != ITEM_CONSENT || row_get(it.c.row, it.c.row_len, &v, 1, &count, &used) != DMP_OK || v.type != VALUE_INT) e = DMP_E_NOT_FOUND;
  int64_t patient = p->id, grantee = e == DMP_OK ? v.u.i : 0;
  item_close(&it);
  if (e == DMP_OK) e = holder_begin(s, patient, &p);
  return e == DMP_OK ? holder_withdraw(s, p, grantee) : e;
}
const struct table TABLE_CONSENT = { .name = "consent", .col = CONSENT, .columns = C_COLUMNS, .patient_col = C_PATIENT, .id_col = -1,
                                     .needs_login = 1, .make = consent_make, .insert = consent_insert, .erase = consent_erase };
