/* parse_main.c: dmp-parse [SIZE]: one file on standard input, one result (parse.h) on standard output. SIZE is the
 * file's length, from which its limits follow. Run by the import module; harmless by hand.
 * Owns: the two descriptors.  Never: opens anything, keeps anything. */
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parse_parts.h"

enum { PIECE = 65536, EXIT_JAIL = 3, EXIT_OUTPUT = 4 };

struct reader {
  struct parse_cda *cda;
  struct parse_text text;
  uint8_t head[PARSE_TEXT_HEAD];
  size_t head_n;
  int begun;                                          /* the encoding is known */
  uint64_t total;
};

static int feed(struct reader *r, const uint8_t *p, size_t n) {
  struct buf utf8 = { 0 };
  int refusal = parse_text_add(&r->text, p, n, &utf8);
  if (refusal == PARSE_OK && utf8.bad) refusal = PARSE_E_MEMORY;
  if (refusal == PARSE_OK && utf8.n > 0) refusal = parse_cda_add(r->cda, utf8.p, utf8.n);
  buf_free(&utf8);
  return refusal;
}

/* Tells the encoding from the head, then feeds the head. */
static int begin(struct reader *r) {
  size_t skip;
  if (r->head_n == 0) return PARSE_E_EMPTY;
  r->begun = 1;
  int refusal = parse_text_start(&r->text, r->head, r->head_n, &skip);
  return refusal != PARSE_OK ? refusal : feed(r, r->head + skip, r->head_n - skip);
}

static int take(struct reader *r, const uint8_t *p, size_t n) {
  int refusal = PARSE_OK;
  r->total += n;
  if (r->total > PARSE_FILE_MAX) return PARSE_E_HUGE;
  if (!r->begun) {
    size_t room = sizeof r->head - r->head_n, m = n < room ? n : room;
    memcpy(r->head + r->head_n, p, m);
    r->head_n += m;
    p += m;
    n -= m;
    if (r->head_n == sizeof r->head) refusal = begin(r);
  }
  return refusal != PARSE_OK || n == 0 ? refusal : feed(r, p, n);
}

/* The rest of a refused file is read and dropped, so that whoever writes it never blocks. */
static int read_file(struct reader *r) {
  static uint8_t piece[PIECE];
  int refusal = parse_cda_new(&r->cda);
  ssize_t n;
  while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0)
    if (refusal == PARSE_OK) refusal = take(r, piece, (size_t)n);
  if (refusal == PARSE_OK && !r->begun) refusal = begin(r);
  if (refusal == PARSE_OK) refusal = parse_text_end(&r->text);
  return refusal != PARSE_OK ? refusal : parse_cda_end(r->cda);
}

static void write_all(const void *p, size_t n) {
  const uint8_t *at = p;
  while (n > 0) {
    ssize_t done = write(STDOUT_FILENO, at, n);
    if (done <= 0) _exit(EXIT_OUTPUT);
    at += done;
    n -= (size_t)done;
  }
}

static void write_result(const struct reader *r, int refusal) {
  struct buf out = { 0 };
  const struct buf *view = refusal == PARSE_OK ? parse_cda_view(r->cda) : &out;
  uint8_t code = (uint8_t)refusal, length[4];
  buf_put(&out, PARSE_MAGIC, strlen(PARSE_MAGIC));
  if (refusal != PARSE_OK) parse_field(&out, PARSE_REFUSED, &code, 1);
  else buf_put(&out, parse_cda_fields(r->cda)->p, parse_cda_fields(r->cda)->n);
  if (refusal == PARSE_OK && view->n > 0) {
    le_put32(length, (uint32_t)view->n);
    buf_u16(&out, PARSE_VIEW);
    buf_put(&out, length, sizeof length);
    write_all(out.p, out.n);
    write_all(view->p, view->n);
    buf_reset(&out);
  }
  parse_field(&out, PARSE_END, NULL, 0);
  if (out.bad) _exit(EXIT_OUTPUT);
  write_all(out.p, out.n);
  buf_free(&out);
}

int main(int argc, char **argv) {
  static struct reader reader;
  uint64_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : PARSE_FILE_MAX;
  if (parse_jail_limits(size) != 0) return EXIT_JAIL;
  xmlInitParser();                                    /* whatever it opens, it opens now */
  if (parse_jail_lock() != 0) return EXIT_JAIL;
  write_result(&reader, read_file(&reader));
  /* No exit handlers: they would do what the filter forbids. Memory goes with the process. */
  _exit(0);
}
