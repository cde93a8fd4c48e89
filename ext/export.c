/* export.c: the signed page of accesses (see export.h). */
#include "export.h"
#include "access.h"
#include "document.h"
#include "holder.h"
#include "motive.h"
#include "rights.h"
#include "syntax.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char LABEL[] = "dmp-export-1", OPENING[] = "<!-- dmp-export-1 ", CLOSING[] = " -->\n";
enum { HEX = 2 * (16 + 32 + SUITE_SIG), SEAL = sizeof OPENING - 1 + HEX + 2 + sizeof CLOSING - 1 };

/* ---- the signature ---- */

static int signed_bytes(const uint8_t record[16], const void *page, size_t n, struct buf *over) {
  buf_put(over, LABEL, sizeof LABEL - 1);
  buf_put(over, record, 16);
  buf_put(over, page, n);
  return over->bad ? DMP_E_NOMEM : DMP_OK;
}

static void put_hex(struct buf *b, const uint8_t *p, size_t n) {
  char hex[2 * SUITE_SIG + 1];
  bytes_to_hex(p, n, hex);
  buf_put(b, hex, 2 * n);
}

static int sign_page(struct session *s, struct buf *page) {
  struct buf over = { 0 };
  uint8_t sig[SUITE_SIG];
  int e = page->bad ? DMP_E_NOMEM : signed_bytes(s->r->id, page->p, page->n, &over);
  if (e == DMP_OK) {
    suite_sign(s->cred->sign_sk, over.p, over.n, sig);
    buf_put(page, OPENING, sizeof OPENING - 1);
    put_hex(page, s->r->id, 16);
    buf_put(page, " ", 1);
    put_hex(page, s->cred->sign_pk, 32);
    buf_put(page, " ", 1);
    put_hex(page, sig, SUITE_SIG);
    buf_put(page, CLOSING, sizeof CLOSING - 1);
  }
  buf_free(&over);
  return e == DMP_OK && page->bad ? DMP_E_NOMEM : e;
}

int export_check(const void *page, size_t n, uint8_t record[16], uint8_t key[32]) {
  const char *end = page;
  uint8_t sig[SUITE_SIG];
  struct buf over = { 0 };
  if (n < SEAL) return DMP_E_PAGE;
  end += n - SEAL;
  const char *hex = end + sizeof OPENING - 1;
  if (memcmp(end, OPENING, sizeof OPENING - 1) != 0 || memcmp(end + SEAL - (sizeof CLOSING - 1), CLOSING, sizeof CLOSING - 1) != 0 ||
      hex[32] != ' ' || hex[97] != ' ' || bytes_hex(hex, 16, record) != 0 || bytes_hex(hex + 33, 32, key) != 0 || bytes_hex(hex + 98, SUITE_SIG, sig) != 0)
    return DMP_E_PAGE;
  int e = signed_bytes(record, page, n - SEAL, &over);
  if (e == DMP_OK && suite_verify(key, over.p, over.n, sig) != DMP_OK) e = DMP_E_PAGE;
  buf_free(&over);
  return e;
}

/* ---- the page ---- */

static void put(struct buf *b, const char *text) { buf_put(b, text, strlen(text)); }

/* Text that others wrote is text, whatever it looks like. */
static void put_text(struct buf *b, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const char *as = text[i] == '<' ? "&lt;" : text[i] == '>' ? "&gt;" : text[i] == '&' ? "&amp;" : text[i] == '"' ? "&quot;" : NULL;
    if (as) put(b, as);
    else buf_put(b, text + i, 1);
  }
}

static void put_cell(struct buf *b, const char *text) {
  put(b, "<td>");
  put_text(b, text, strlen(text));
  put(b, "</td>");
}

/* 12/03/2026 10:00:00 (UTC) */
static void put_time(struct buf *b, int64_t ms) {
  char t[32], say[64];
  syntax_time_ms(ms, t);
  sqlite3_snprintf(sizeof say, say, "%.2s/%.2s/%.4s %.8s", t + 8, t + 5, t, t + 11);
  put(b, say);
}

/* Titles of what the lines name, as far as this login opens it. */
struct titles { struct titled { int64_t id; char *title; } *t; size_t n; };

static int take_title(void *ctx, struct item *it) {
  struct titles *a = ctx;
  struct value v[STORED];
  if (it->c.table != ITEM_DOCUMENT || !document_sound_values(it, v) || v[S_TITLE].type != VALUE_TEXT) return DMP_OK;
  struct titled *t = realloc(a->t, (a->n + 1) * sizeof *t);
  if (t == NULL) return DMP_E_NOMEM;
  a->t = t;
  t[a->n] = (struct titled){ it->id, sqlite3_mprintf("%.*s", (int)v[S_TITLE].n, (const char *)v[S_TITLE].u.p) };
  return t[a->n++].title ? DMP_OK : DMP_E_NOMEM;
}

static int by_titled(const void *a, const void *b) {
  const struct titled *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

static void titles_free(struct titles *a) {
  for (size_t i = 0; i < a->n; i++) sqlite3_free(a->t[i].title);
  free(a->t);
}

static void put_object(struct session *s, struct patient *p, const struct titles *a, const uint8_t object[16], struct buf *b) {
  const struct titled key = { .id = id_from_field(object) };
  const struct titled *t = a->n ? bsearch(&key, a->t, a->n, sizeof key, by_titled) : NULL;
  const struct certificate *c = t || key.id <= 0 ? NULL : patient_who(s, p, object);
  char number[32] = "";
  if (key.id > 0) sqlite3_snprintf(sizeof number, number, "n° %lld", key.id);
  put_cell(b, t ? t->title : c ? c->name : number);
}

static void put_line(struct session *s, struct patient *p, const struct titles *a, const struct log_line *l, struct buf *b) {
  const struct certificate *who = patient_who(s, p, l->person);
  const char *profession = who && who->profession ? profession_display(who->profession) : NULL;
  struct motive say;
  char count[8];
  motive_of(s, p, l, &say);
  sqlite3_snprintf(sizeof count, count, "%u", l->count);
  put(b, "<tr><td>");
  put_time(b, l->at);
  put(b, "</td>");
  put_cell(b, who ? who->name : "inconnu");
  put_cell(b, profession ? profession : "");
  put_cell(b, say.action);
  put_object(s, p, a, l->object, b);
  put_cell(b, say.reason);
  put_cell(b, count);
  put(b, "</tr>\n");
}

static void put_head(struct session *s, struct patient *p, const struct buf *who, const struct recipient *to, struct buf *b) {
  char fingerprint[FINGERPRINT_TEXT];
  certificate_fingerprint(s->cred->sign_pk, fingerprint);
  put(b, "<!DOCTYPE html>\n<html lang=\"fr\">\n<head><meta charset=\"utf-8\"><title>Journal des accès</title>\n<style>body{font-family:sans-serif;margin:2em}"
         "table{border-collapse:collapse}td,th{border:1px solid #999;padding:.3em .6em;text-align:left;vertical-align:top}</style></head>\n<body>\n"
         "<h1>Journal des accès au dossier</h1>\n<p>Patient : ");
  put_text(b, (const char *)who->p, who->n);
  put(b, "<br>Établi le ");
  put_time(b, record_now());
  put(b, " (UTC) par ");
  if (s->principal == p->id) put_text(b, (const char *)who->p, who->n);
  else put_text(b, s->me.name, strlen(s->me.name));
  put(b, ", pour : ");
  put(b, to->display);
  put(b, "<br>Signé par la clé dont l’empreinte est ");
  put(b, fingerprint);
  put(b, ". La dernière ligne du fichier porte la signature : « dmp check-page » la vérifie ; une page modifiée n’est plus signée.</p>\n"
         "<table>\n<tr><th>Date (UTC)</th><th>Qui</th><th>Profession</th><th>A fait</th><th>Quoi</th><th>Motif</th><th>Fois</th></tr>\n");
}

static int may_export(struct session *s, struct patient *p) {
  int full, e = holder_is_full(s, p, &full);
  if (e == DMP_OK && !full && !patient_leaf(p, CLASS_NOTICES, 0)->held) e = DMP_E_FULL_HOLDER;
  return e;
}

int export_page(struct session *s, struct patient *p, const struct buf *who, const char *recipient, struct buf *out) {
  const struct scan documents = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX, .own = 1 };
  const struct recipient *to = recipient_find(recipient ? recipient : "patient");
  struct titles titles = { 0 };
  struct history h = { 0 };
  if (to == NULL) return session_column(s, "recipient", DMP_E_CODE);
  int e = may_export(s, p);
  if (e == DMP_OK) e = access_export(s, p, to->allowed ? LOG_EXPORT : LOG_REFUSED, to->code);   /* the line comes first */
  if (e == DMP_OK && !to->allowed) e = DMP_E_RECIPIENT;
  if (e == DMP_OK) e = history_read(s, p, 0, &h);
  if (e == DMP_OK) e = object_scan(s, p, &documents, take_title, &titles);
  if (titles.n > 1) qsort(titles.t, titles.n, sizeof *titles.t, by_titled);
  if (e == DMP_OK) put_head(s, p, who, to, out);
  for (size_t i = 0; e == DMP_OK && i < h.n; i++) put_line(s, p, &titles, &h.h[i].l, out);
  if (e == DMP_OK) {
    put(out, "</table>\n</body>\n</html>\n");
    e = sign_page(s, out);
  }
  titles_free(&titles);
  history_free(&h);
  return e;
}
