/* parse_body.c: chooses the readable view of a document among the files that its body holds.
 * Owns: the bytes of the view and of the file being read.  Never: XML. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "parse_parts.h"

enum { SNIFF_BYTES = 8 };

/* What the first bytes say; NULL: nothing known. */
static const char *sniff(const struct buf *b) {
  static const struct { const char *bytes, *mime; size_t n; } MAGIC[] = {
    { "%PDF-", "application/pdf", 5 }, { "\x89PNG\r\n\x1a\n", "image/png", 8 }, { "\xff\xd8\xff", "image/jpeg", 3 },
  };
  for (size_t i = 0; i < sizeof MAGIC / sizeof MAGIC[0]; i++)
    if (b->n >= MAGIC[i].n && memcmp(b->p, MAGIC[i].bytes, MAGIC[i].n) == 0) return MAGIC[i].mime;
  return NULL;
}

static int is_pdf(const struct buf *b) {
  const char *mime = sniff(b);
  return mime != NULL && strcmp(mime, "application/pdf") == 0;
}

/* type/subtype in the characters of RFC 6838, lower case; parameters are dropped. */
static void put_type(char *out, size_t size, const char *type) {
  size_t n = 0, slashes = 0;
  for (; type[n] != '\0' && type[n] != ';' && n + 1 < size; n++) {
    if (!isalnum((unsigned char)type[n]) && !strchr("!#$&-^_.+/", type[n])) break;
    slashes += type[n] == '/';
    out[n] = (char)tolower((unsigned char)type[n]);
  }
  out[n] = '\0';
  if (slashes != 1 || out[0] == '/' || out[n - 1] == '/' || (type[n] != '\0' && type[n] != ';'))
    snprintf(out, size, "application/octet-stream");
}

static void warn(struct parse_body *b, enum parse_warning w) { b->warnings |= 1u << w; }

void parse_body_section(struct parse_body *b) {
  b->in_copy = 0;
  if (++b->sections == 1 || b->view_is_copy || b->view.n == 0) return;
  /* A second section: the PDF of the first one was an attachment. */
  buf_free(&b->view);
  warn(b, PARSE_W_ATTACHMENT);
}

void parse_body_copy(struct parse_body *b) { b->in_copy = 1; }

void parse_body_media(struct parse_body *b, int whole, const char *type, const char *representation,
                      const char *compression) {
  put_type(b->mime, sizeof b->mime, type ? type : "text/plain");
  b->base64 = (struct parse_base64){ 0 };
  b->whole = whole;
  /* The default representation is text, but nobody writes a PDF that way. */
  b->plain = (representation == NULL || strcmp(representation, "B64") != 0) && strncmp(b->mime, "text/", 5) == 0;
  b->elsewhere = compression != NULL;
  b->skip = b->elsewhere || (!whole && b->plain);
}

void parse_body_text(struct parse_body *b, const uint8_t *p, size_t n) {
  if (b->skip) return;
  if (b->plain) buf_put(&b->media, p, n);
  else parse_base64_add(&b->base64, p, n, &b->media);
  if (b->whole || b->media.n < SNIFF_BYTES || is_pdf(&b->media)) return;
  b->skip = 1;                                        /* an image: nothing of it is needed */
  buf_reset(&b->media);
}

void parse_body_reference(struct parse_body *b) {
  b->elsewhere = 1;
  b->skip = 1;
}

/* The file just read becomes the view. */
static void choose(struct parse_body *b, int copy) {
  const char *known = sniff(&b->media);
  if (known != NULL ? strcmp(known, b->mime) != 0 : strcmp(b->mime, "application/pdf") == 0)
    warn(b, PARSE_W_MEDIA_TYPE);
  snprintf(b->view_mime, sizeof b->view_mime, "%s", known ? known : b->mime);
  buf_free(&b->view);
  b->view = b->media;
  b->media = (struct buf){ 0 };
  b->view_is_copy = copy;
}

static int attachment_end(struct parse_body *b) {
  if (b->elsewhere || !is_pdf(&b->media)) return PARSE_OK;
  if (!parse_base64_good(&b->base64)) warn(b, PARSE_W_BAD_MEDIA);
  else if (b->in_copy && !b->view_is_copy) choose(b, 1);
  else if (!b->in_copy && b->sections == 1 && b->view.n == 0) choose(b, 0);
  else warn(b, PARSE_W_ATTACHMENT);
  return PARSE_OK;
}

int parse_body_media_end(struct parse_body *b) {
  int refusal = PARSE_OK;
  if (!b->whole) refusal = attachment_end(b);
  else if (b->elsewhere) b->found = 1, warn(b, PARSE_W_ELSEWHERE);
  else if (!b->plain && !parse_base64_good(&b->base64)) refusal = PARSE_E_BASE64;
  else if (b->media.n > 0) b->found = 1, choose(b, 1);
  buf_reset(&b->media);
  return refusal;
}

void parse_body_free(struct parse_body *b) {
  buf_free(&b->view);
  buf_free(&b->media);
}
