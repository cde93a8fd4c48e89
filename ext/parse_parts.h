/* parse_parts.h: the parts of dmp-parse, the child that reads one hostile file and has nothing to lose.
 * Owns: nothing here.  Never: a key, a database, a path, the network. */
#ifndef PARSE_PARTS_H
#define PARSE_PARTS_H
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "parse.h"

/* Limits and the system call filter. Both give 0 or -1; what fails them must not read a byte. */
int parse_jail_limits(uint64_t file_size);            /* memory and time follow the file's size */
int parse_jail_lock(void);                            /* from here on: read, write, memory, exit */

/* Bytes of any encoding that documents use, turned to UTF-8 in whole characters. */
struct parse_text { int encoding; uint8_t held[4]; size_t held_n; };
enum { PARSE_TEXT_HEAD = 1024 };                      /* bytes that tell the encoding */
/* Gives a refusal, or PARSE_OK; *skip is the length of the byte order mark. */
int parse_text_start(struct parse_text *t, const uint8_t *head, size_t n, size_t *skip);
int parse_text_add(struct parse_text *t, const uint8_t *p, size_t n, struct buf *out);
int parse_text_end(const struct parse_text *t);       /* PARSE_E_ENCODING when half a character is left */

/* Base64 that arrives in pieces, white space between. */
struct parse_base64 { uint32_t bits; unsigned n, pad; int bad; };
void parse_base64_add(struct parse_base64 *b, const uint8_t *p, size_t n, struct buf *out);
int  parse_base64_good(const struct parse_base64 *b); /* 1: complete */

/* Which bytes of a document's body a person can read as they are. A body that is one file is its own view. Of a
 * structured body only a PDF is one, and only where the document says that it is its copy, or where nothing stands
 * beside it: an attachment shown in place of the report would hide the report. */
struct parse_body {
  struct buf view, media;                             /* owned: the view chosen, the file being read */
  char view_mime[80], mime[80];
  struct parse_base64 base64;
  unsigned sections, warnings;                        /* warnings: bit n is enum parse_warning n */
  int whole, plain, skip, elsewhere;                  /* of the file being read */
  int in_copy, view_is_copy, found;
};
void parse_body_section(struct parse_body *b);        /* a section begins */
void parse_body_copy(struct parse_body *b);           /* it says that it holds the document's copy */
/* A file begins; whole: it is the body. Attributes are NULL when absent. */
void parse_body_media(struct parse_body *b, int whole, const char *type, const char *representation,
                      const char *compression);
void parse_body_text(struct parse_body *b, const uint8_t *p, size_t n);
void parse_body_reference(struct parse_body *b);      /* the file lies elsewhere */
int  parse_body_media_end(struct parse_body *b);      /* a refusal, or PARSE_OK */
void parse_body_free(struct parse_body *b);

/* A clinical document read as a stream: no tree is built, memory is the metadata and one view. */
struct parse_cda;
int  parse_cda_new(struct parse_cda **out);
int  parse_cda_add(struct parse_cda *c, const uint8_t *utf8, size_t n);   /* a refusal, or PARSE_OK */
int  parse_cda_end(struct parse_cda *c);
const struct buf *parse_cda_fields(const struct parse_cda *c);            /* encoded, without VIEW and END */
const struct buf *parse_cda_view(const struct parse_cda *c);              /* empty: none */
void parse_cda_free(struct parse_cda *c);
void parse_field(struct buf *out, enum parse_tag tag, const void *p, size_t n);   /* one encoded field */
#endif
