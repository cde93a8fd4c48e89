/* draw_main.c: dmp-draw: turns clinical documents into pages for the file door, with schema/cda.xsl. Standard input is a socket:
 * a length (u64 of this machine) and a document come in; a length and a page go out, length 0 when it can't be drawn.
 *
 * Each document is parsed in a child of its own that has seen no other document, holds no key and, before it reads the first
 * byte, has lost everything but reading, writing and bounded memory and time (parse_jail.c). This process, which stays, moves
 * bytes and looks at none.
 * Owns: the stylesheet, one document at a time, wiped.  Never: opens a file, a database, the network; keeps anything. */
#include <errno.h>
#include <fcntl.h>
#include <libxml/parser.h>
#include <libxslt/security.h>
#include <libxslt/transform.h>
#include <libxslt/xsltInternals.h>
#include <libxslt/xsltutils.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cda_xsl.h"
#include "parse_parts.h"

enum { DOCUMENT_MAX = 16 << 20, PAGE_MAX = 32 << 20, SECONDS = 4, TEMPLATES_DEEP = 400, OPERATIONS = 20000000, PIECE = 65536 };
enum { EXIT_DRAWN = 0, EXIT_JAIL = 3, EXIT_REFUSED = 4 };

static int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int read_all(int fd, void *p, size_t n) {
  for (uint8_t *at = p; n > 0;) {
    ssize_t done = read(fd, at, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return -1;
    at += done;
    n -= (size_t)done;
  }
  return 0;
}
static int write_all(int fd, const void *p, size_t n) {
  for (const uint8_t *at = p; n > 0;) {
    ssize_t done = write(fd, at, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return -1;
    at += done;
    n -= (size_t)done;
  }
  return 0;
}

static void say_nothing(void *context, const char *format, ...) { (void)context, (void)format; }

/* ---- the child ---- */

/* UTF-8, whatever the document is written in: libxml2 would open files to know more encodings. */
static int to_utf8(const uint8_t *p, size_t n, struct buf *out) {
  struct parse_text text = { 0 };
  size_t skip = 0, head = n < PARSE_TEXT_HEAD ? n : PARSE_TEXT_HEAD;
  if (parse_text_start(&text, p, head, &skip) != PARSE_OK) return -1;
  if (parse_text_add(&text, p + skip, n - skip, out) != PARSE_OK || parse_text_end(&text) != PARSE_OK) return -1;
  return out->bad || out->n == 0 ? -1 : 0;
}

/* What declares entities or attribute rules in a DOCTYPE is not read further: documents need none, attacks do. */
static void refuse_subset(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system) {
  (void)context, (void)name, (void)external, (void)system;
  _exit(EXIT_REFUSED);
}

static xmlDoc *parse(const struct buf *utf8) {
  int options = XML_PARSE_NONET | XML_PARSE_IGNORE_ENC | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT | XML_PARSE_NOCDATA;
  xmlParserCtxt *xml = xmlNewParserCtxt();
  if (xml == NULL) return NULL;
  xml->sax->internalSubset = refuse_subset;
  xmlDoc *doc = xmlCtxtReadMemory(xml, (const char *)utf8->p, (int)utf8->n, NULL, "UTF-8", options);
  return xml->wellFormed ? doc : NULL;
}

/* Never returns; memory goes with the process. */
static void draw(xsltStylesheet *sheet, xsltSecurityPrefs *forbidden, const uint8_t *p, size_t n, int to) {
  struct buf utf8 = { 0 };
  xmlChar *page = NULL;
  int size = 0;
  if (parse_jail_limits(n * 2) != 0 || parse_jail_lock() != 0) _exit(EXIT_JAIL);
  xmlDoc *doc = to_utf8(p, n, &utf8) == 0 ? parse(&utf8) : NULL;
  xsltTransformContext *run = doc != NULL ? xsltNewTransformContext(sheet, doc) : NULL;
  if (run == NULL || xsltSetCtxtSecurityPrefs(forbidden, run) != 0) _exit(EXIT_REFUSED);
  run->maxTemplateDepth = TEMPLATES_DEEP;
  run->opLimit = OPERATIONS;
  xmlDoc *result = xsltApplyStylesheetUser(sheet, doc, NULL, NULL, NULL, run);
  if (result == NULL || run->state != XSLT_STATE_OK) _exit(EXIT_REFUSED);
  if (xsltSaveResultToString(&page, &size, result, sheet) != 0 || page == NULL || size <= 0 || size > PAGE_MAX) _exit(EXIT_REFUSED);
  _exit(write_all(to, page, (size_t)size) == 0 ? EXIT_DRAWN : EXIT_REFUSED);
}

/* ---- the process that stays ---- */

/* The child's page, until it closes its end. 0: whole, in time and not too large. */
static int gather(int from, struct buf *page) {
  int64_t until = now_ms() + SECONDS * 1000;
  for (;;) {
    int64_t left = until - now_ms();
    struct pollfd f = { .fd = from, .events = POLLIN };
    int ready = left > 0 ? poll(&f, 1, (int)left) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || page->n > PAGE_MAX || buf_reserve(page, PIECE) != 0) return -1;
    ssize_t n = read(from, page->p + page->n, PIECE);
    if (n == 0) return 0;
    if (n < 0 && errno != EINTR) return -1;
    if (n > 0) page->n += (size_t)n;
  }
}

static int serve(xsltStylesheet *sheet, xsltSecurityPrefs *forbidden, const uint8_t *document, size_t n, struct buf *page) {
  int ends[2], status = 0;
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    close(STDIN_FILENO);
    draw(sheet, forbidden, document, n, ends[1]);
  }
  close(ends[1]);
  int bad = pid < 0 || gather(ends[0], page) != 0;
  close(ends[0]);
  if (pid < 0) return -1;
  kill(pid, SIGKILL);                                  /* it has closed its end, or has had its time */
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  /* killed between its last byte and its end, it had drawn; cut short otherwise, a page lacks its end */
  static const char END[] = "</html>\n";
  size_t end = sizeof END - 1;
  return bad || page->n < end || memcmp(page->p + page->n - end, END, end) != 0 ? -1 : 0;
}

static xsltSecurityPrefs *forbid_all(void) {
  static const xsltSecurityOption ALL[] = { XSLT_SECPREF_READ_FILE, XSLT_SECPREF_WRITE_FILE, XSLT_SECPREF_CREATE_DIRECTORY,
                                            XSLT_SECPREF_READ_NETWORK, XSLT_SECPREF_WRITE_NETWORK };
  xsltSecurityPrefs *p = xsltNewSecurityPrefs();
  for (size_t i = 0; p != NULL && i < sizeof ALL / sizeof ALL[0]; i++)
    if (xsltSetSecurityPrefs(p, ALL[i], xsltSecurityForbid) != 0) return NULL;
  return p;
}

static int limit(int what, rlim_t value) {
  struct rlimit l = { value, value };
  return setrlimit(what, &l);
}

int main(void) {
  uint64_t n;
  xsltSetGenericErrorFunc(NULL, say_nothing);
  xmlSetGenericErrorFunc(NULL, say_nothing);
  xmlInitParser();
  xsltSecurityPrefs *forbidden = forbid_all();
  xmlDoc *text = xmlReadMemory(cda_xsl, (int)strlen(cda_xsl), NULL, "UTF-8", XML_PARSE_NONET);
  xsltStylesheet *sheet = text != NULL && forbidden != NULL ? xsltParseStylesheetDoc(text) : NULL;
  if (sheet == NULL || sheet->errors != 0) return EXIT_JAIL;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return EXIT_JAIL;
  if (limit(RLIMIT_CORE, 0) != 0 || limit(RLIMIT_FSIZE, 0) != 0 || limit(RLIMIT_NOFILE, 16) != 0) return EXIT_JAIL;
  signal(SIGPIPE, SIG_IGN);
  while (read_all(STDIN_FILENO, &n, sizeof n) == 0) {
    struct buf page = { 0 };
    uint8_t *document = n <= DOCUMENT_MAX ? malloc(n + 1) : NULL;
    if (document == NULL || read_all(STDIN_FILENO, document, n) != 0) return EXIT_REFUSED;
    uint64_t size = n > 0 && serve(sheet, forbidden, document, n, &page) == 0 ? page.n : 0;
    int gone = write_all(STDIN_FILENO, &size, sizeof size) != 0 || (size > 0 && write_all(STDIN_FILENO, page.p, size) != 0);
    explicit_bzero(document, n);
    free(document);
    buf_free(&page);
    if (gone) return EXIT_REFUSED;
  }
  return 0;
}
