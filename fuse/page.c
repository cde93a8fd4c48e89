/* page.c: see page.h. */
#include "page.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "db.h"

enum { COLUMNS_MAX = 64, CELLS_MAX = 1 << 20 };

static const char HEAD[] =
  "<!DOCTYPE html>\n<html lang=\"fr\"><head><meta charset=\"utf-8\">\n"
  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
  "<meta name=\"referrer\" content=\"no-referrer\"><meta name=\"robots\" content=\"noindex\">\n";
static const char STYLE[] =
  "<style>body{font:16px/1.45 sans-serif;color:#16202a;max-width:64em;margin:1.5em auto;padding:0 1em}"
  "h1{font-size:1.6em;margin:0 0 .6em}h2{font-size:1.15em;margin:1.6em 0 .4em;color:#0b4f6c}"
  "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25em .6em;border:1px solid #c8d2da}"
  "th{background:#eef3f6;font-weight:600}td{white-space:pre-wrap;overflow-wrap:anywhere}</style>\n<title>";

/* ---- text ---- */

void text_free(struct text *t) {
  if (t->p != NULL) explicit_bzero(t->p, t->cap);
  free(t->p);
  *t = (struct text){ 0 };
}

/* Memory that held clinical text is wiped before it is given back, so realloc() won't do. */
static int reserve(struct text *t, size_t more) {
  if (more > PAGE_BYTES_MAX || t->n + more > PAGE_BYTES_MAX) return EFBIG;
  if (t->n + more <= t->cap) return 0;
  size_t cap = t->cap < 4096 ? 4096 : t->cap;
  while (cap < t->n + more) cap *= 2;
  char *p = malloc(cap);
  if (p == NULL) return ENOMEM;
  if (t->p != NULL) {
    memcpy(p, t->p, t->n);
    explicit_bzero(t->p, t->cap);
    free(t->p);
  }
  t->p = p;
  t->cap = cap;
  return 0;
}
static int put(struct text *t, const char *s, size_t n) {
  int err = reserve(t, n);
  if (err) return err;
  memcpy(t->p + t->n, s, n);
  t->n += n;
  return 0;
}
static int put_raw(struct text *t, const char *s) { return put(t, s, strlen(s)); }

/* Text as text: nothing in it can become markup. Control characters, which HTML forbids, become spaces. */
static int put_escaped(struct text *t, const char *s) {
  int err = 0;
  for (; err == 0 && *s != '\0'; s++) {
    unsigned char c = (unsigned char)*s;
    switch (c) {
      case '&': err = put_raw(t, "&amp;"); break;
      case '<': err = put_raw(t, "&lt;"); break;
      case '>': err = put_raw(t, "&gt;"); break;
      case '"': err = put_raw(t, "&quot;"); break;
      default: err = put(t, (c < 32 && c != '\n' && c != '\t') || c == 127 ? " " : s, 1);
    }
  }
  return err;
}

/* ---- tables ---- */

/* One block, kept until it is whole: which columns are empty is known only then. */
struct block {
  struct text title, cells;                 /* owned; cells: texts with their NUL; an empty one is an empty cell */
  size_t columns, rows, count;              /* count: of cells, headings apart */
  char used[COLUMNS_MAX];
};
struct making { struct text *out; struct block b; };

static const char *next_cell(const char *p) { return p + strlen(p) + 1; }

static int put_row(struct text *t, const struct block *b, const char **cell, const char *open, const char *close) {
  int err = put_raw(t, "<tr>");
  for (size_t i = 0; err == 0 && i < b->columns; i++, *cell = next_cell(*cell)) {
    if (!b->used[i]) continue;
    err = put_raw(t, open);
    if (err == 0) err = put_escaped(t, *cell);
    if (err == 0) err = put_raw(t, close);
  }
  return err ? err : put_raw(t, "</tr>\n");
}

/* Writes what was kept, if it has rows, and begins anew. */
static int end_block(struct making *m) {
  struct block *b = &m->b;
  const char *cell = b->cells.p;
  int err = 0;
  if (b->rows > 0) {
    err = put_raw(m->out, "<h2>");
    if (err == 0) err = put_escaped(m->out, b->title.p);
    if (err == 0) err = put_raw(m->out, "</h2>\n<table>\n");
    if (err == 0) err = put_row(m->out, b, &cell, "<th>", "</th>");
    for (size_t i = 0; err == 0 && i < b->rows; i++) err = put_row(m->out, b, &cell, "<td>", "</td>");
    if (err == 0) err = put_raw(m->out, "</table>\n");
  }
  text_free(&b->title);
  text_free(&b->cells);
  *b = (struct block){ 0 };
  return err;
}

static int take(void *arg, enum db_part part, const char *s) {
  struct making *m = arg;
  struct block *b = &m->b;
  int err = 0;
  switch (part) {
    case DB_TITLE:
      err = end_block(m);
      return err ? err : put(&b->title, s, strlen(s) + 1);
    case DB_HEADING:
      if (b->columns == COLUMNS_MAX) return EFBIG;
      b->columns++;
      return put(&b->cells, s, strlen(s) + 1);
    case DB_ROW:
      b->rows++;
      return b->rows * b->columns > CELLS_MAX ? EFBIG : 0;
    default:
      if (s != NULL && *s != '\0') b->used[b->count % b->columns] = 1;
      b->count++;
      return put(&b->cells, s != NULL ? s : "", s != NULL ? strlen(s) + 1 : 1);
  }
}

const char *page_sniffed(void) {
  static char same[PAGE_SNIFFED];
  if (same[0] == '\0') {
    memset(same, '\n', sizeof same);
    memcpy(same, HEAD, sizeof HEAD - 1);
  }
  return same;
}

static int put_top(struct text *out, const char *title) {
  int err = put(out, page_sniffed(), PAGE_SNIFFED);
  if (err == 0) err = put_raw(out, STYLE);
  if (err == 0) err = put_escaped(out, title);
  if (err == 0) err = put_raw(out, "</title></head><body>\n<h1>");
  if (err == 0) err = put_escaped(out, title);
  return err ? err : put_raw(out, "</h1>\n");
}

int page_make(struct db *db, int page, int64_t patient, const char *name, struct text *out) {
  struct making m = { .out = out };
  char title[256];
  const char *dot = strrchr(name, '.');
  size_t n = dot != NULL ? (size_t)(dot - name) : strlen(name);
  if (n >= sizeof title) n = sizeof title - 1;
  memcpy(title, name, n);
  title[n] = '\0';
  *out = (struct text){ 0 };
  int err = put_top(out, title);
  if (err == 0) err = db_page(db, page, patient, take, &m);
  if (err == 0) err = end_block(&m);
  if (err == 0) err = put_raw(out, "</body></html>\n");
  text_free(&m.b.title);
  text_free(&m.b.cells);
  if (err) text_free(out);
  return err;
}

int page_notice(const char *lines, size_t n, struct text *out) {
  *out = (struct text){ 0 };
  int err = put_raw(out, "À LIRE AVANT D’OUVRIR CE DOSSIER\n\n");
  if (err == 0) err = put(out, lines, n);
  if (err) text_free(out);
  return err;
}

int page_drawn(const struct text *drawn, struct text *out) {
  static const char TO[] = "<head>";
  const char *head = memmem(drawn->p, drawn->n, TO, sizeof TO - 1);
  *out = (struct text){ 0 };
  if (head == NULL) return EINVAL;
  size_t after = (size_t)(head - drawn->p) + sizeof TO - 1;
  int err = put(out, page_sniffed(), PAGE_SNIFFED);
  if (err == 0) err = put(out, drawn->p + after, drawn->n - after);
  if (err) text_free(out);
  return err;
}

int page_refusal(struct text *out) {
  *out = (struct text){ 0 };
  int err = put_top(out, "Ce document ne se laisse pas présenter");
  if (err == 0)
    err = put_raw(out, "<p>Ce n’est pas un document clinique structuré, il est abîmé, ou il est trop grand pour être présenté ici. "
                       "Le fichier XML qui est à côté le donne tel qu’il a été déposé.</p>\n</body></html>\n");
  if (err) text_free(out);
  return err;
}

int64_t page_size(int64_t of) { return (of / PAGE_ROOM + 1) * PAGE_ROOM; }

int page_pad(struct text *t, int64_t size) {
  size_t wanted = (size_t)size;
  while (wanted < t->n) wanted += PAGE_ROOM;
  int err = reserve(t, wanted - t->n);
  if (err) return err;
  memset(t->p + t->n, '\n', wanted - t->n);
  t->n = wanted;
  return 0;
}
