/* filename.c: see filename.h. One pass decodes, maps and composes code points; a second encodes and cuts. */
#include "filename.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "bytes.h"

enum { EXTENSION_MAX = 16, REPLACEMENT = 0xFFFD };

struct range { uint32_t first, last; };

/* Invisible: bidirectional controls, zero-width characters, fillers, variation selectors, tags, annotations. */
static const struct range DROPPED[] = {
  { 0x00AD, 0x00AD }, { 0x034F, 0x034F }, { 0x061C, 0x061C }, { 0x115F, 0x1160 }, { 0x17B4, 0x17B5 },
  { 0x180B, 0x180F }, { 0x200B, 0x200F }, { 0x202A, 0x202E }, { 0x2060, 0x206F }, { 0x3164, 0x3164 },
  { 0xFE00, 0xFE0F }, { 0xFEFF, 0xFEFF }, { 0xFFA0, 0xFFA0 }, { 0xFFF0, 0xFFFB }, { 0x1BCA0, 0x1BCA3 },
  { 0x1D173, 0x1D17A }, { 0xE0000, 0xE0FFF },
};
/* Shown as a gap, and easily taken for an ordinary space. */
static const struct range SPACES[] = {
  { 0x0000, 0x0020 }, { 0x007F, 0x00A0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A }, { 0x2028, 0x2029 },
  { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x2800, 0x2800 }, { 0x3000, 0x3000 },
};
/* For each mark, the letters it joins and what they become, in the same order. */
static const struct { uint32_t mark; const char *base; uint32_t composed[13]; } MARKS[] = {
  { 0x0300, "AEIOUaeiou",    { 0xC0, 0xC8, 0xCC, 0xD2, 0xD9, 0xE0, 0xE8, 0xEC, 0xF2, 0xF9 } },
  { 0x0301, "AEIOUYaeiouy",  { 0xC1, 0xC9, 0xCD, 0xD3, 0xDA, 0xDD, 0xE1, 0xE9, 0xED, 0xF3, 0xFA, 0xFD } },
  { 0x0302, "AEIOUaeiou",    { 0xC2, 0xCA, 0xCE, 0xD4, 0xDB, 0xE2, 0xEA, 0xEE, 0xF4, 0xFB } },
  { 0x0303, "ANOano",        { 0xC3, 0xD1, 0xD5, 0xE3, 0xF1, 0xF5 } },
  { 0x0308, "AEIOUYaeiouy",  { 0xC4, 0xCB, 0xCF, 0xD6, 0xDC, 0x178, 0xE4, 0xEB, 0xEF, 0xF6, 0xFC, 0xFF } },
  { 0x030A, "Aa",            { 0xC5, 0xE5 } },
  { 0x0327, "Cc",            { 0xC7, 0xE7 } },
};
static const char *const RESERVED[] = { "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$" };

static int in_ranges(const struct range *r, size_t n, uint32_t c) {
  for (size_t i = 0; i < n; i++)
    if (c >= r[i].first && c <= r[i].last) return 1;
  return 0;
}

/* One code point of strict UTF-8; a byte that starts none is REPLACEMENT, alone. Returns the bytes consumed. */
static size_t decode(const uint8_t *p, size_t n, uint32_t *c) {
  static const uint32_t LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };
  size_t len = p[0] < 0x80 ? 1 : (p[0] & 0xE0) == 0xC0 ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : (p[0] & 0xF8) == 0xF0 ? 4 : 0;
  *c = REPLACEMENT;
  if (len == 0 || len > n) return 1;
  uint32_t v = len == 1 ? p[0] : p[0] & (0xFFu >> (len + 1));
  for (size_t i = 1; i < len; i++) {
    if ((p[i] & 0xC0) != 0x80) return 1;
    v = v << 6 | (p[i] & 0x3Fu);
  }
  if (v < LEAST[len] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) return 1;
  *c = v;
  return len;
}

static size_t encode(uint32_t c, uint8_t out[4]) {
  if (c < 0x80) { out[0] = (uint8_t)c; return 1; }
  size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = len - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3F));
  out[0] = (uint8_t)((0xF00u >> len) | c);
  return len;
}

/* The code point that may stand in a name in place of c; 0: none. */
static uint32_t replace(uint32_t c) {
  if (in_ranges(SPACES, sizeof SPACES / sizeof *SPACES, c)) return ' ';
  if (in_ranges(DROPPED, sizeof DROPPED / sizeof *DROPPED, c)) return 0;
  if (c < 0x80 && strchr("<>:\"/\\|?*", (int)c) != NULL) return '_';
  if ((c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF)) return REPLACEMENT;   /* not characters */
  return c;
}

/* base and mark as one letter; 0 when they don't join. */
static uint32_t compose(uint32_t base, uint32_t mark) {
  if (mark < 0x0300 || mark > 0x0327 || base >= 0x80) return 0;
  for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS; i++) {
    const char *at = MARKS[i].mark == mark ? strchr(MARKS[i].base, (int)base) : NULL;
    if (at != NULL && *at != '\0') return MARKS[i].composed[at - MARKS[i].base];
  }
  return 0;
}

/* Decodes text into at most n code points, without the forbidden, the invisible, and gaps at either end. */
static size_t clean(const char *text, size_t n, uint32_t *cp) {
  size_t used = 0;
  for (size_t at = 0; at < n;) {
    uint32_t c, joined;
    at += decode((const uint8_t *)text + at, n - at, &c);
    c = replace(c);
    if (c == 0) continue;
    if (c == ' ' && (used == 0 || cp[used - 1] == ' ')) continue;
    if (c == '.' && used == 0) c = '_';           /* a leading dot would hide the file */
    if (used > 0 && (joined = compose(cp[used - 1], c)) != 0) cp[used - 1] = joined;
    else cp[used++] = c;
  }
  while (used > 0 && (cp[used - 1] == ' ' || cp[used - 1] == '.')) used--;
  return used;
}

/* Windows reads "con", "Con.txt" and "CON .a.b" as the device. Superscript digits count as digits for COM and LPT. */
static int is_reserved(const uint32_t *cp, size_t n) {
  char word[8] = "";
  size_t len = 0, stem = 0;
  while (stem < n && cp[stem] != '.') stem++;
  while (stem > 0 && cp[stem - 1] == ' ') stem--;
  if (stem == 0 || stem >= sizeof word) return 0;
  for (; len < stem; len++) {
    uint32_t c = cp[len];
    if (c == 0xB9 || c == 0xB2 || c == 0xB3) c = '1';
    if (c >= 0x80) return 0;
    word[len] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
  }
  for (size_t i = 0; i < sizeof RESERVED / sizeof *RESERVED; i++)
    if (strcmp(word, RESERVED[i]) == 0) return 1;
  return len == 4 && (strncmp(word, "COM", 3) == 0 || strncmp(word, "LPT", 3) == 0) && word[3] >= '0' && word[3] <= '9';
}

/* Code points of the extension with its dot, at the end of cp; 0: none. */
static size_t extension(const uint32_t *cp, size_t n) {
  size_t len = 0;
  while (len < n && len <= EXTENSION_MAX) {
    uint32_t c = cp[n - 1 - len];
    len++;
    if (c == '.') return len > 1 && len < n ? len : 0;
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return 0;
  }
  return 0;
}

static size_t encoded_size(const uint32_t *cp, size_t n) {
  size_t bytes = 0;
  for (size_t i = 0; i < n; i++) bytes += cp[i] < 0x80 ? 1 : cp[i] < 0x800 ? 2 : cp[i] < 0x10000 ? 3 : 4;
  return bytes;
}

static void write_name(const uint32_t *cp, size_t n, char out[DMP_NAME_MAX + 1]) {
  size_t prefix = is_reserved(cp, n) ? 1 : 0, used = 0;
  /* the extension is set apart only to cut before it */
  size_t ext = prefix + encoded_size(cp, n) > DMP_NAME_MAX ? extension(cp, n) : 0;
  if (prefix) out[used++] = '_';
  for (size_t i = 0; i < n - ext; i++) {
    uint8_t c[4];
    size_t len = encode(cp[i], c);
    if (used + len > DMP_NAME_MAX - ext) break;   /* an extension is ASCII: a byte each */
    memcpy(out + used, c, len);
    used += len;
  }
  while (used > 0 && (out[used - 1] == ' ' || out[used - 1] == '.')) used--;
  for (size_t i = n - ext; i < n; i++) out[used++] = (char)cp[i];
  if (used == 0) out[used++] = '_';
  out[used] = '\0';
}

int filename_safe(const char *text, size_t n, char out[DMP_NAME_MAX + 1]) {
  if (n > SIZE_MAX / sizeof(uint32_t) - 1) return DMP_E_NOMEM;
  uint32_t *cp = malloc((n + 1) * sizeof *cp);
  if (cp == NULL) return DMP_E_NOMEM;
  write_name(cp, clean(text, n, cp), out);
  bytes_wipe(cp, (n + 1) * sizeof *cp);           /* titles and patients' names pass here */
  free(cp);
  return DMP_OK;
}
