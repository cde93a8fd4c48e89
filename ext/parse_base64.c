/* parse_base64.c: base64 that arrives in pieces (RFC 4648, the standard alphabet, padding required, white space
 * skipped).
 * Owns: nothing.  Never: XML. */
#include "parse_parts.h"

static int digit(uint8_t c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters are read: three bytes, less those that padding took. */
static void flush(struct parse_base64 *b, struct buf *out) {
  uint8_t byte[3] = { (uint8_t)(b->bits >> 16), (uint8_t)(b->bits >> 8), (uint8_t)b->bits };
  buf_put(out, byte, 3 - b->pad);
  b->bits = 0;
  b->n = 0;
}

void parse_base64_add(struct parse_base64 *b, const uint8_t *p, size_t n, struct buf *out) {
  for (size_t i = 0; i < n && !b->bad; i++) {
    if (p[i] == ' ' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t') continue;
    int d = digit(p[i]);
    if (p[i] == '=' && (b->n == 2 || b->n == 3)) b->pad++, d = 0;
    else if (b->pad || d < 0) b->bad = 1;             /* nothing but white space follows the padding */
    if (b->bad) return;
    b->bits = b->bits << 6 | (uint32_t)d;
    if (++b->n == 4) flush(b, out);
  }
}

int parse_base64_good(const struct parse_base64 *b) { return !b->bad && b->n == 0; }
