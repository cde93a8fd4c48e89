/* functions.c: the SQL functions (see functions.h). */
#include "functions.h"
#include "convert.h"
#include "export.h"
#include "filename.h"
#include "keyring.h"
#include "login.h"
#include "reader.h"
#include "renewal.h"
#include "table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static void function_error(sqlite3_context *ctx, struct record *r, int e) {
  int rc;
  char *text = connection_error(r, sqlite3_context_db_handle(ctx), e, &rc);
  sqlite3_result_error(ctx, text ? text : "out of memory", -1);
  sqlite3_result_error_code(ctx, rc);                 /* after the text: the other order loses the code */
  sqlite3_free(text);
}

static const char *text_arg(int argc, sqlite3_value **argv, int i) {
  return i < argc && sqlite3_value_type(argv[i]) == SQLITE_TEXT ? (const char *)sqlite3_value_text(argv[i]) : NULL;
}

/* A PIN is text; bytes with NUL would be cut by programs that type it. */
static int pin_arg(int argc, sqlite3_value **argv, int i, struct pin *out) {
  out->p = text_arg(argc, argv, i);
  out->n = out->p ? (size_t)sqlite3_value_bytes(argv[i]) : 0;
  out->file_key = NULL;
  return out->p && strlen(out->p) == out->n ? DMP_OK : DMP_E_ARGUMENT;
}

/* Until done_with(), the function is a user of the record: a schema that somebody else changed disconnects every table, and the last
 * one would take the statements along, the one that is being stepped among them. */
static int record_arg(sqlite3_context *ctx, int argc, sqlite3_value **argv, int i, struct record **r) {
  const char *schema = text_arg(argc, argv, i);
  int e = connection_record(sqlite3_user_data(ctx), schema ? schema : "main", r);
  if (e != DMP_OK) return e;
  (*r)->users++;
  return record_check_texts(*r);                      /* the caller may be a CHECK that somebody planted in a file */
}

/* Statements of a record stay prepared only while a table of it is connected: else the connection could not be closed. */
static void done_with(struct record *r) {
  if (r && --r->users == 0) record_finalize(r);
}

/* ---- options: "suite=xchacha20,kdf=1x8" ---- */

struct options { int suite; struct kdf_cost cost; };

static int option_take(struct options *o, const char *p, size_t n) {
  unsigned ops, mem;
  char text[32];
  if (n >= sizeof text) return DMP_E_OPTION;
  memcpy(text, p, n);
  text[n] = 0;
  if (strcmp(text, "suite=xchacha20") == 0) o->suite = SUITE_XCHACHA;
  else if (strcmp(text, "suite=aes256gcm") == 0) o->suite = SUITE_AES;
  else if (sscanf(text, "kdf=%ux%u", &ops, &mem) == 2 && ops >= 1 && ops <= 10 && mem >= 8 && mem <= 1024) o->cost = (struct kdf_cost){ ops, mem };
  else return DMP_E_OPTION;
  return o->suite == SUITE_AES && !suite_has_aes() ? DMP_E_CPU : DMP_OK;
}

static int options_take(struct options *o, const char *p) {
  int e = DMP_OK;
  while (e == DMP_OK && p && *p) {
    size_t n = strcspn(p, ",");
    e = option_take(o, p, n);
    p += n + (p[n] == ',');
  }
  return e;
}

static struct options options_default(void) {
  return (struct options){ suite_has_aes() ? SUITE_AES : SUITE_XCHACHA, KDF_COST_DEFAULT };
}

/* ---- functions ---- */

static void fn_create(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct options o = options_default();
  struct record *r = NULL;
  struct pin pin;
  char fingerprint[FINGERPRINT_TEXT];
  const char *path = text_arg(argc, argv, 0);
  int e = argc < 2 || argc > 4 || path == NULL ? DMP_E_ARGUMENT : pin_arg(argc, argv, 1, &pin);
  if (e == DMP_OK) e = options_take(&o, text_arg(argc, argv, 3));
  if (e == DMP_OK && !sqlite3_get_autocommit(sqlite3_context_db_handle(ctx))) e = DMP_E_IN_FROM;
  if (e == DMP_OK) e = record_arg(ctx, argc, argv, 2, &r);
  if (e == DMP_OK) e = login_create(r, path, pin, o.suite, o.cost, fingerprint);
  if (e == DMP_OK) sqlite3_result_text(ctx, fingerprint, -1, SQLITE_TRANSIENT);
  else function_error(ctx, r, e);
  done_with(r);
}

static void fn_keygen(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct options o = options_default();
  struct record *r = NULL;
  struct pin pin;
  char *request = NULL;
  const char *path = text_arg(argc, argv, 0);
  int e = argc < 2 || argc > 3 || path == NULL ? DMP_E_ARGUMENT : pin_arg(argc, argv, 1, &pin);
  if (e == DMP_OK) e = options_take(&o, text_arg(argc, argv, 2));
  if (e == DMP_OK) e = record_arg(ctx, 0, NULL, 0, &r);
  if (e == DMP_OK) e = login_keygen(path, pin, o.cost, &request);
  if (e == DMP_OK) sqlite3_result_text(ctx, request, -1, sqlite3_free);
  else function_error(ctx, r, e);
  done_with(r);
}

/* A new credential for whom this session is, and the request for its certificate. */
static void fn_renew(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  struct pin pin;
  char *request = NULL;
  const char *path = text_arg(argc, argv, 0);
  int e = argc < 2 || argc > 3 || path == NULL ? DMP_E_ARGUMENT : pin_arg(argc, argv, 1, &pin);
  if (e == DMP_OK) e = record_arg(ctx, argc, argv, 2, &r);
  if (e == DMP_OK && r->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(r);
  if (e == DMP_OK) e = session_use(r, &s);
  if (e == DMP_OK) e = renewal_request(s, path, pin.p, pin.n, s->cost, &request);
  if (r) record_release(r);
  if (e == DMP_OK) sqlite3_result_text(ctx, request, -1, sqlite3_free);
  else function_error(ctx, r, e);
  done_with(r);
}

static void fn_certify(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  char *cert = NULL;
  const char *text = text_arg(argc, argv, 0);
  int e = argc < 1 || argc > 2 || text == NULL ? DMP_E_ARGUMENT : record_arg(ctx, argc, argv, 1, &r);
  if (e == DMP_OK && r->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(r);
  if (e == DMP_OK) e = session_use(r, &s);
  if (e == DMP_OK) e = renewal_certify(s, text, &cert);
  if (r) record_release(r);
  if (e == DMP_OK) sqlite3_result_text(ctx, cert, -1, sqlite3_free);
  else function_error(ctx, r, e);
  done_with(r);
}

/* $DMP_ASKPASS prints the PIN on its first line. Without such a program: DMP_E_LOCKED; from one that prints none: DMP_E_ASKPASS. */
static int pin_ask(char out[DMP_PIN_MAX + 2], struct pin *pin) {
  const char *program = secure_getenv("DMP_ASKPASS");
  char stdio[DMP_PIN_MAX + 2];
  FILE *f = program && *program ? popen(program, "re") : NULL;
  if (f == NULL) return DMP_E_LOCKED;
  setvbuf(f, stdio, _IOFBF, sizeof stdio);            /* so that the PIN stays in memory that is wiped */
  int good = fgets(out, DMP_PIN_MAX + 2, f) != NULL;
  pclose(f);
  bytes_wipe(stdio, sizeof stdio);
  out[strcspn(out, "\r\n")] = 0;
  if (!good || *out == 0) return DMP_E_ASKPASS;
  *pin = (struct pin){ .p = out, .n = strlen(out) };
  return DMP_OK;
}

/* With the file key that dmp_unlock() left in the keyring. One that opens nothing (another file took the path) is forgotten. */
static int login_unlocked(struct record *r, const char *name, const char *on_behalf, const char *fingerprint) {
  uint8_t key[KEYRING_KEY];
  char *path;
  int e = keyring_get(name, key, &path);
  if (e == DMP_OK) {
    e = login_open(r, path, (struct pin){ .file_key = key }, on_behalf, fingerprint);
    if (e == DMP_E_KEY_PIN) {
      keyring_drop(name);
      e = DMP_E_LOCKED;
    }
  }
  free(path);
  bytes_wipe(key, sizeof key);
  return e;
}

/* No PIN was given: the keyring, then $DMP_ASKPASS. */
static int login_asked(struct record *r, const char *name, const char *on_behalf, const char *fingerprint) {
  char asked[DMP_PIN_MAX + 2] = { 0 };
  struct pin pin;
  int e = login_unlocked(r, name, on_behalf, fingerprint);
  if ((e != DMP_E_LOCKED && e != DMP_E_KEYRING) || strncmp(name, KEYRING_PREFIX, sizeof KEYRING_PREFIX - 1) == 0) return e;
  int a = pin_ask(asked, &pin);
  if (a == DMP_OK) e = login_open(r, name, pin, on_behalf, fingerprint);
  else if (a != DMP_E_LOCKED) e = a;
  bytes_wipe(asked, sizeof asked);
  return e;
}

static void fn_login(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct pin pin;
  const char *path = text_arg(argc, argv, 0), *on_behalf = text_arg(argc, argv, 3), *fingerprint = text_arg(argc, argv, 4);
  int given = argc > 1 && sqlite3_value_type(argv[1]) != SQLITE_NULL;
  int e = argc < 1 || argc > 5 || path == NULL ? DMP_E_ARGUMENT : given ? pin_arg(argc, argv, 1, &pin) : DMP_OK;
  if (e == DMP_OK) e = record_arg(ctx, argc, argv, 2, &r);
  if (e == DMP_OK) e = given ? login_open(r, path, pin, on_behalf, fingerprint) : login_asked(r, path, on_behalf, fingerprint);
  if (e == DMP_OK) sqlite3_result_int64(ctx, r->session->principal);
  else function_error(ctx, r, e);
  done_with(r);
}

static void fn_logout(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  int e = argc > 1 ? DMP_E_ARGUMENT : record_arg(ctx, argc, argv, 0, &r);
  if (e == DMP_OK) e = login_close(r);
  if (e != DMP_OK) function_error(ctx, r, e);
  done_with(r);
}

static void fn_change_pin(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct pin old, new;
  const char *path = text_arg(argc, argv, 0);
  int e = path == NULL ? DMP_E_ARGUMENT : pin_arg(argc, argv, 1, &old);
  if (e == DMP_OK) e = pin_arg(argc, argv, 2, &new);
  if (e == DMP_OK) e = record_arg(ctx, 0, NULL, 0, &r);
  if (e == DMP_OK) e = credential_change_pin(path, old.p, old.n, new.p, new.n);
  if (e != DMP_OK) function_error(ctx, r, e);
  done_with(r);
}

static int whole_arg(sqlite3_value *v, int64_t *out) {
  *out = sqlite3_value_int64(v);
  return sqlite3_value_numeric_type(v) == SQLITE_INTEGER ? DMP_OK : DMP_E_TYPE;
}

/* ---- the kernel's keyring ---- */

static void fn_unlock(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  char asked[DMP_PIN_MAX + 2] = { 0 }, handle[KEYRING_HANDLE];
  uint8_t key[KEYRING_KEY];
  struct pin pin;
  int64_t seconds;
  const char *path = text_arg(argc, argv, 0);
  int e = path == NULL ? DMP_E_ARGUMENT : whole_arg(argv[2], &seconds);
  if (e == DMP_OK && (seconds < 1 || seconds > KEYRING_SECONDS_MAX)) e = DMP_E_ARGUMENT;
  if (e == DMP_OK) e = sqlite3_value_type(argv[1]) == SQLITE_NULL ? pin_ask(asked, &pin) : pin_arg(argc, argv, 1, &pin);
  if (e == DMP_OK) e = credential_file_key(path, pin.p, pin.n, key);
  if (e == DMP_OK) e = keyring_put(path, key, (unsigned)seconds, handle);
  if (e == DMP_OK) sqlite3_result_text(ctx, handle, -1, SQLITE_TRANSIENT);
  else function_error(ctx, NULL, e);
  bytes_wipe(key, sizeof key);
  bytes_wipe(asked, sizeof asked);
}

/* 1: it was unlocked; 0: it was not. Sessions that are open go on. */
static void fn_lock(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  const char *name = text_arg(argc, argv, 0);
  int e = name == NULL ? DMP_E_ARGUMENT : keyring_drop(name);
  if (e == DMP_OK || e == DMP_E_LOCKED) sqlite3_result_int(ctx, e == DMP_OK);
  else function_error(ctx, NULL, e);
}

/* A body goes to SQLite as it was put together, with room before it for its size: wiped when SQLite is done with it. */
enum { ROOM = 16 };
static void bytes_done(void *p) {
  uint8_t *all = (uint8_t *)p - ROOM;
  bytes_wipe(all, (size_t)le_get64(all));
  free(all);
}

static void fn_read(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  struct buf b = { 0 };
  int64_t id, offset, size;
  int e = argc < 3 || argc > 4 ? DMP_E_ARGUMENT : whole_arg(argv[0], &id);
  if (e == DMP_OK) e = whole_arg(argv[1], &offset);
  if (e == DMP_OK) e = whole_arg(argv[2], &size);
  if (e == DMP_OK && (offset < 0 || size < 0)) e = DMP_E_ARGUMENT;
  if (e == DMP_OK) e = record_arg(ctx, argc, argv, 3, &r);
  if (e == DMP_OK && r->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(r);
  if (e == DMP_OK) e = session_use(r, &s);
  buf_zero(&b, ROOM);
  if (e == DMP_OK) e = reader_read(s, id, (uint64_t)offset, (uint64_t)size, 0, &b);
  if (e == DMP_OK && b.bad) e = DMP_E_NOMEM;
  if (r) record_release(r);
  if (e == DMP_OK) {
    le_put64(b.p, b.n);
    sqlite3_result_blob64(ctx, b.p + ROOM, b.n - ROOM, bytes_done);
  } else {
    function_error(ctx, r, e);
    buf_free(&b);
  }
  done_with(r);
}

static int is_deposit(void *ctx, struct item *it) {
  int *found = ctx;
  if (item_deposited(it->c.table) && !it->deleted) *found = 1;
  return DMP_OK;
}

/* Whether the login has documents of its own of a patient whose identity it does not open. */
static int deposited_for(struct session *s, int64_t patient, int *yes) {
  static const struct scan OWN = { .first = 1, .last = 0, .own = 1 };   /* no class: only what it deposited */
  struct patient *p;
  *yes = 0;
  int e = patient_get(s, patient, &p);
  if (e == DMP_E_NO_PATIENT) return DMP_OK;
  if (e != DMP_OK || patient_leaf(p, CLASS_IDENTITY, 0)->held) return e;
  return object_scan(s, p, &OWN, is_deposit, yes);
}

/* A JSON list of such patients' ids: the file door shows what a depositor keeps after a withdrawal, without listing anybody's items. */
static void fn_deposited_for(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  sqlite3_str *out = sqlite3_str_new(sqlite3_context_db_handle(ctx));
  int yes, e = argc > 1 ? DMP_E_ARGUMENT : record_arg(ctx, argc, argv, 0, &r);
  if (e == DMP_OK && r->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(r);
  if (e == DMP_OK) e = session_use(r, &s);
  if (e == DMP_OK) e = patient_own(s);
  for (size_t i = 0; e == DMP_OK && i < s->owns; i++) {
    int64_t patient = s->own[i].patient;
    if (i > 0 && patient == s->own[i - 1].patient) continue;
    e = deposited_for(s, patient, &yes);
    if (e == DMP_OK && yes) sqlite3_str_appendf(out, "%s%lld", sqlite3_str_length(out) ? "," : "", patient);
  }
  if (r) record_release(r);
  char *list = sqlite3_str_finish(out), *json = sqlite3_mprintf("[%s]", list ? list : "");
  if (e == DMP_OK && json == NULL) e = DMP_E_NOMEM;
  if (e == DMP_OK) sqlite3_result_text(ctx, json, -1, SQLITE_TRANSIENT);
  else function_error(ctx, r, e);
  sqlite3_free(json);
  sqlite3_free(list);
  done_with(r);
}

/* ---- protected tables ---- */

static int convert_begin(sqlite3_context *ctx, int argc, sqlite3_value **argv, struct record **r, struct session **s) {
  int e = argc > 0 && text_arg(argc, argv, 0) == NULL ? DMP_E_ARGUMENT : record_arg(ctx, 0, NULL, 0, r);
  if (e == DMP_OK && (*r)->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(*r);
  if (e == DMP_OK) e = session_use(*r, s);
  if (e == DMP_OK) e = session_writes(*s);
  if (*r) record_release(*r);
  return e;
}

static void convert_end(sqlite3_context *ctx, struct record *r, int e) {
  if (e != DMP_OK) function_error(ctx, r, e);
  done_with(r);
}

static void fn_protect(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  int e = argc < 1 || argc > 3 ? DMP_E_ARGUMENT : convert_begin(ctx, argc, argv, &r, &s);
  if (e == DMP_OK) e = convert_protect(s, text_arg(argc, argv, 0), text_arg(argc, argv, 1), text_arg(argc, argv, 2));
  convert_end(ctx, r, e);
}

static void fn_unprotect(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  int e = argc < 1 || argc > 2 ? DMP_E_ARGUMENT : convert_begin(ctx, argc, argv, &r, &s);
  if (e == DMP_OK) e = convert_unprotect(s, text_arg(argc, argv, 0), text_arg(argc, argv, 1));
  convert_end(ctx, r, e);
}

static void fn_rotate(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  int e = argc < 1 || argc > 2 ? DMP_E_ARGUMENT : convert_begin(ctx, argc, argv, &r, &s);
  if (e == DMP_OK) e = convert_rotate(s, text_arg(argc, argv, 0), text_arg(argc, argv, 1));
  convert_end(ctx, r, e);
}

static void fn_rewrap(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  int e = convert_begin(ctx, argc, argv, &r, &s);
  if (e == DMP_OK) e = convert_rewrap(s, text_arg(argc, argv, 0));
  convert_end(ctx, r, e);
}

static void fn_scrub(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  int e = convert_begin(ctx, argc, argv, &r, &s);
  if (e == DMP_OK) e = convert_scrub(s);
  convert_end(ctx, r, e);
}

/* ---- exports ---- */

static void fn_export(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  struct session *s;
  struct patient *p;
  struct buf page = { 0 }, who = { 0 };
  int64_t patient;
  int named = argc > 1 && sqlite3_value_type(argv[1]) != SQLITE_NULL;
  int e = argc < 1 || argc > 3 || (named && text_arg(argc, argv, 1) == NULL) ? DMP_E_ARGUMENT : whole_arg(argv[0], &patient);
  if (e == DMP_OK) e = record_arg(ctx, argc, argv, 2, &r);
  if (e == DMP_OK && r->session == NULL) e = DMP_E_NO_SESSION;
  if (e == DMP_OK) e = record_hold(r);
  if (e == DMP_OK) e = session_use(r, &s);
  if (e == DMP_OK) e = patient_get(s, patient, &p);
  if (e == DMP_OK && patient_leaf(p, CLASS_IDENTITY, 0)->held) e = people_text(s, p, &who);
  if (e == DMP_OK) e = export_page(s, p, &who, text_arg(argc, argv, 1), &page);
  if (r) record_release(r);
  if (e == DMP_OK) sqlite3_result_text64(ctx, (const char *)page.p, page.n, SQLITE_TRANSIENT, SQLITE_UTF8);
  else function_error(ctx, r, e);
  buf_free(&page);
  buf_free(&who);
  done_with(r);
}

/* Whose key it is, as far as an open session of that record knows. */
static const char *signer_name(const struct record *r, const uint8_t record[16], const uint8_t key[32]) {
  struct session *s = r->session;
  struct patient *p;
  const struct certificate *own;
  if (s == NULL || memcmp(r->id, record, 16) != 0) return NULL;
  if (memcmp(s->me.sign_pk, key, 32) == 0) return s->me.name;
  for (size_t i = 0; i < s->owns; i++)                /* a patient whose name this login opens */
    if (patient_get(s, s->own[i].patient, &p) == DMP_OK && patient_certificate(s, p, &own) == DMP_OK && memcmp(own->sign_pk, key, 32) == 0) return own->name;
  for (size_t i = 0; i < s->dir.n; i++) {
    const struct certificate *c = memcmp(s->dir.all[i].sign_pk, key, 32) == 0 ? directory_by_hash(&s->dir, s->dir.all[i].hash) : NULL;
    if (c) return c->name;
  }
  return NULL;
}

static void fn_export_check(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  struct record *r = NULL;
  uint8_t record[16], key[32];
  char fingerprint[FINGERPRINT_TEXT];
  const char *page = text_arg(argc, argv, 0);
  int e = argc < 1 || argc > 2 || page == NULL ? DMP_E_ARGUMENT : export_check(page, (size_t)sqlite3_value_bytes(argv[0]), record, key);
  if (e == DMP_OK) e = record_arg(ctx, argc, argv, 1, &r);
  if (e == DMP_OK) {
    const char *name = signer_name(r, record, key);
    certificate_fingerprint(key, fingerprint);
    char *said = sqlite3_mprintf("%s%s%s", fingerprint, name ? " " : "", name ? name : "");
    if (said) sqlite3_result_text(ctx, said, -1, sqlite3_free);
    else sqlite3_result_error_nomem(ctx);
  } else {
    function_error(ctx, r, e);
  }
  done_with(r);
}

static void fn_filename(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  char out[DMP_NAME_MAX + 1];
  (void)argc;
  if (sqlite3_value_type(argv[0]) == SQLITE_NULL) return;
  const char *text = (const char *)sqlite3_value_text(argv[0]);
  int e = text ? filename_safe(text, (size_t)sqlite3_value_bytes(argv[0]), out) : DMP_E_NOMEM;
  if (e == DMP_OK) sqlite3_result_text(ctx, out, -1, SQLITE_TRANSIENT);
  else function_error(ctx, NULL, e);
}

static const struct { const char *name; int args; void (*fn)(sqlite3_context *, int, sqlite3_value **); } FUNCTIONS[] = {
  { "dmp_create", -1, fn_create }, { "dmp_keygen", -1, fn_keygen }, { "dmp_renew", -1, fn_renew }, { "dmp_certify", -1, fn_certify }, { "dmp_login", -1, fn_login }, { "dmp_logout", -1, fn_logout },
  { "dmp_change_pin", 3, fn_change_pin }, { "dmp_unlock", 3, fn_unlock }, { "dmp_lock", 1, fn_lock }, { "dmp_read", -1, fn_read },
  { "dmp_filename", 1, fn_filename },
  { "dmp_deposited_for", -1, fn_deposited_for }, { "dmp_export", -1, fn_export }, { "dmp_export_check", -1, fn_export_check }, { "dmp_protect", -1, fn_protect }, { "dmp_unprotect", -1, fn_unprotect },
  { "dmp_rotate", -1, fn_rotate }, { "dmp_rewrap", 1, fn_rewrap }, { "dmp_scrub", 0, fn_scrub },
};

int functions_register(struct connection *c) {
  int rc = SQLITE_OK;
  for (size_t i = 0; rc == SQLITE_OK && i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++)
    rc = sqlite3_create_function_v2(c->db, FUNCTIONS[i].name, FUNCTIONS[i].args, SQLITE_UTF8 | SQLITE_DIRECTONLY, c, FUNCTIONS[i].fn, NULL,
                                    NULL, NULL);
  return rc;
}
