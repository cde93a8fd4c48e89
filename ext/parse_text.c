/* parse_text.c: turns a document's bytes to UTF-8, by its byte order mark or its XML declaration. Only the encodings
 * that need no table outside of this file: a converter that opens files would be killed by the filter.
 * Owns: nothing.  Never: XML beyond the declaration's encoding. */
#include <string.h>
#include <strings.h>

#include "parse_parts.h"
#include "syntax.h"

enum { UTF8, UTF16LE, UTF16BE, LATIN1, LATIN9, CP1252 };

static const struct { const char *name; int encoding; } NAMES[] = {
  { "UTF-8", UTF8 }, { "UTF8", UTF8 }, { "US-ASCII", UTF8 }, { "ASCII", UTF8 },
  { "ISO-8859-1", LATIN1 }, { "ISO8859-1", LATIN1 }, { "ISO_8859-1", LATIN1 }, { "LATIN1", LATIN1 },
  { "ISO-8859-15", LATIN9 }, { "ISO8859-15", LATIN9 }, { "ISO_8859-15", LATIN9 }, { "LATIN9", LATIN9 },
  { "WINDOWS-1252", CP1252 }, { "CP1252", CP1252 },
};
/* Windows-1252 from 0x80 to 0x9f; 0: no character. */
static const uint16_t CP1252_HIGH[32] = {
  0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
  0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
};
/* Where ISO 8859-15 differs from Latin 1. */
static const struct { uint8_t byte; uint16_t c; } LATIN9_DIFF[] = {
  { 0xa4, 0x20ac }, { 0xa6, 0x0160 }, { 0xa8, 0x0161 }, { 0xb4, 0x017d },
  { 0xb8, 0x017e }, { 0xbc, 0x0152 }, { 0xbd, 0x0153 }, { 0xbe, 0x0178 },
};

static void put_utf8(struct buf *out, uint32_t c) {
  uint8_t u[4];
  size_t n = 0;
  if (c < 0x80) u[n++] = (uint8_t)c;
  else if (c < 0x800) u[n++] = (uint8_t)(0xc0 | c >> 6);
  else if (c < 0x10000) u[n++] = (uint8_t)(0xe0 | c >> 12);
  else u[n++] = (uint8_t)(0xf0 | c >> 18);
  if (c >= 0x10000) u[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
  if (c >= 0x800) u[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
  if (c >= 0x80) u[n++] = (uint8_t)(0x80 | (c & 0x3f));
  buf_put(out, u, n);
}

static uint32_t character_of(int encoding, uint8_t b) {
  if (encoding == CP1252 && b >= 0x80 && b < 0xa0) return CP1252_HIGH[b - 0x80];
  if (encoding == LATIN9)
    for (size_t i = 0; i < sizeof LATIN9_DIFF / sizeof LATIN9_DIFF[0]; i++)
      if (LATIN9_DIFF[i].byte == b) return LATIN9_DIFF[i].c;
  return b;
}

/* The value of encoding="…" in the XML declaration: 1 found, 0 none, -1 not to be read. */
static int declared(const uint8_t *head, size_t n, char *name, size_t size) {
  if (n < 5 || memcmp(head, "<?xml", 5) != 0) return 0;
  const uint8_t *end = memchr(head, '>', n);
  if (end == NULL) return -1;
  const uint8_t *p = memmem(head, (size_t)(end - head), "encoding", 8);
  if (p == NULL) return 0;
  for (p += 8; p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n' || *p == '='); p++) continue;
  if (p == end || (*p != '"' && *p != '\'')) return -1;
  const uint8_t *close = memchr(p + 1, *p, (size_t)(end - p - 1));
  if (close == NULL || (size_t)(close - p - 1) >= size) return -1;
  memcpy(name, p + 1, (size_t)(close - p - 1));
  name[close - p - 1] = '\0';
  return 1;
}

int parse_text_start(struct parse_text *t, const uint8_t *head, size_t n, size_t *skip) {
  char name[32];
  *t = (struct parse_text){ .encoding = UTF8 };
  *skip = 0;
  if (n >= 2 && head[0] == 0xff && head[1] == 0xfe) t->encoding = UTF16LE, *skip = 2;
  else if (n >= 2 && head[0] == 0xfe && head[1] == 0xff) t->encoding = UTF16BE, *skip = 2;
  else if (n >= 2 && head[0] == '<' && head[1] == 0) t->encoding = UTF16LE;
  else if (n >= 2 && head[0] == 0 && head[1] == '<') t->encoding = UTF16BE;
  if (t->encoding != UTF8) return PARSE_OK;
  if (n >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0) *skip = 3;
  size_t i = *skip;
  while (i < n && (head[i] == ' ' || head[i] == '\t' || head[i] == '\r' || head[i] == '\n')) i++;
  if (i == n || head[i] != '<') return PARSE_E_NOT_XML;
  if (*skip) return PARSE_OK;                         /* the mark is stronger than the declaration */
  int found = declared(head, n, name, sizeof name);
  if (found == 0) return PARSE_OK;
  for (size_t k = 0; found > 0 && k < sizeof NAMES / sizeof NAMES[0]; k++)
    if (strcasecmp(NAMES[k].name, name) == 0) {
      t->encoding = NAMES[k].encoding;
      return PARSE_OK;
    }
  return PARSE_E_ENCODING;
}

/* How many bytes at the end begin a character that is not complete. */
static size_t unfinished(int encoding, const uint8_t *p, size_t n) {
  if (encoding == UTF8) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
      uint8_t c = p[n - back];
      if ((c & 0xc0) == 0x80) continue;
      return c >= 0xc0 && (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) > back ? back : 0;
    }
    return 0;
  }
  if (encoding != UTF16LE && encoding != UTF16BE) return 0;
  size_t odd = n % 2;
  if (n < 2) return odd;
  uint8_t high = p[n - odd - (encoding == UTF16LE ? 1 : 2)];
  return (high & 0xfc) == 0xd8 ? odd + 2 : odd;       /* the first half of a pair waits for the second */
}

static int from_utf16(int big, const uint8_t *p, size_t n, struct buf *out) {
  for (size_t i = 0; i < n; i += 2) {
    uint32_t c = big ? (uint32_t)p[i] << 8 | p[i + 1] : (uint32_t)p[i + 1] << 8 | p[i];
    if ((c & 0xf800) == 0xd800) {
      if ((c & 0xfc00) != 0xd800 || i + 3 >= n) return PARSE_E_ENCODING;
      i += 2;
      uint32_t low = big ? (uint32_t)p[i] << 8 | p[i + 1] : (uint32_t)p[i + 1] << 8 | p[i];
      if ((low & 0xfc00) != 0xdc00) return PARSE_E_ENCODING;
      c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
    }
    if (c == 0) return PARSE_E_ENCODING;
    put_utf8(out, c);
  }
  return PARSE_OK;
}

static int convert(int encoding, const uint8_t *p, size_t n, struct buf *out) {
  if (encoding == UTF16LE || encoding == UTF16BE) return from_utf16(encoding == UTF16BE, p, n, out);
  if (encoding == UTF8) {
    if (!syntax_utf8((const char *)p, n)) return PARSE_E_ENCODING;
    buf_put(out, p, n);
    return PARSE_OK;
  }
  for (size_t i = 0; i < n; i++) {
    uint32_t c = character_of(encoding, p[i]);
    if (c == 0) return PARSE_E_ENCODING;
    put_utf8(out, c);
  }
  return PARSE_OK;
}

/* Bytes held back from the piece before are completed one by one, so that the rest is converted where it lies. */
int parse_text_add(struct parse_text *t, const uint8_t *p, size_t n, struct buf *out) {
  int refusal = PARSE_OK;
  while (refusal == PARSE_OK && t->held_n > 0 && n > 0) {
    t->held[t->held_n++] = *p++;
    n--;
    if (unfinished(t->encoding, t->held, t->held_n) == 0) {
      refusal = convert(t->encoding, t->held, t->held_n, out);
      t->held_n = 0;
    } else if (t->held_n == sizeof t->held) {
      refusal = PARSE_E_ENCODING;
    }
  }
  if (refusal != PARSE_OK || n == 0) return refusal;
  t->held_n = unfinished(t->encoding, p, n);
  memcpy(t->held, p + n - t->held_n, t->held_n);
  return convert(t->encoding, p, n - t->held_n, out);
}

int parse_text_end(const struct parse_text *t) { return t->held_n ? PARSE_E_ENCODING : PARSE_OK; }
