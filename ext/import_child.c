/* import_child.c: runs dmp-parse on one file and reads what it says. The child is distrusted: its answer is bounded,
 * its texts are checked, its time is measured here.
 * Owns: the child while it runs, the answer.  Never: SQL, a key. */
#include "import_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "syntax.h"
SQLITE_EXTENSION_INIT3

enum { TIME_BASE_MS = 20000, TIME_BYTES_PER_MS = 4096, FIELDS_MAX = 4096, PIECE = 65536 };

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Starts the child with nothing: one socket as its input and output, no environment, no signal ignored or held. */
static int start(const char *program, size_t size, int theirs, pid_t *pid) {
  char length[24], *argv[] = { (char *)"dmp-parse", length, NULL }, *env[] = { NULL };
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  sigset_t none, all;
  snprintf(length, sizeof length, "%zu", size);
  sigemptyset(&none);
  sigfillset(&all);
  if (posix_spawn_file_actions_init(&files) != 0) return -1;
  int bad = posix_spawnattr_init(&attr);
  if (!bad) {
    bad = posix_spawn_file_actions_adddup2(&files, theirs, 0) || posix_spawn_file_actions_adddup2(&files, 0, 1) ||
          posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0) ||
          posix_spawn_file_actions_addclosefrom_np(&files, 3) || posix_spawnattr_setsigmask(&attr, &none) ||
          posix_spawnattr_setsigdefault(&attr, &all) ||
          posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) ||
          posix_spawn(pid, program, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
  }
  posix_spawn_file_actions_destroy(&files);
  return bad ? -1 : 0;
}

/* Writes the file and reads the answer until the child closes: 0, or a refusal's number + 1. */
static int talk(int fd, const struct buf *file, struct buf *out) {
  int64_t end = now_ms() + TIME_BASE_MS + (int64_t)(file->n / TIME_BYTES_PER_MS);
  size_t sent = 0, limit = file->n + PARSE_META_MAX + PIECE;
  int writing = 1;
  for (;;) {
    int64_t left = end - now_ms();
    struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0)) };
    int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return IMPORT_E_PARSER + 1;
    if (ready == 0) return IMPORT_E_TIME + 1;
    if (writing && (p.revents & (POLLOUT | POLLERR | POLLHUP))) {
      ssize_t n = sent < file->n ? send(fd, file->p + sent, file->n - sent, MSG_NOSIGNAL) : 0;
      if (n > 0) sent += (size_t)n;
      if (sent == file->n || (n < 0 && errno != EAGAIN && errno != EINTR)) writing = 0, shutdown(fd, SHUT_WR);
    }
    if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
      if (buf_reserve(out, PIECE) != 0) return IMPORT_E_PARSER + 1;
      ssize_t n = recv(fd, out->p + out->n, PIECE, 0);
      if (n == 0 || (n < 0 && errno == ECONNRESET)) return 0;
      if (n < 0 && errno != EAGAIN && errno != EINTR) return IMPORT_E_PARSER + 1;
      if (n > 0) out->n += (size_t)n;
      if (out->n > limit) return IMPORT_E_STOPPED + 1;
    }
  }
}

/* How the child ended, as a refusal's number + 1; 0: well, or unknown because the program ignores its children. */
static int finish(pid_t pid) {
  int status;
  pid_t done;
  do done = waitpid(pid, &status, 0);
  while (done < 0 && errno == EINTR);
  if (done < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return 0;
  if (!WIFSIGNALED(status)) return IMPORT_E_PARSER + 1;
  int s = WTERMSIG(status);
  return (s == SIGXCPU || s == SIGKILL ? IMPORT_E_TIME : IMPORT_E_STOPPED) + 1;
}

static int may_repeat(int tag, int *known) {
  enum { M = 2 };
  *known = 1;
  switch (tag) {
#define REPEATS(number, name, many) case number: return many == M;
    PARSE_FIELDS(REPEATS)
#undef REPEATS
  }
  *known = 0;
  return 0;
}

static int field_good(const struct import_field *f, uint64_t seen) {
  int known, repeat = may_repeat(f->tag, &known);
  if (!known || (!repeat && f->tag < 64 && (seen >> f->tag & 1))) return 0;
  if (f->tag == PARSE_VIEW) return 1;
  if (f->tag == PARSE_REFUSED || f->tag == PARSE_WARNING || f->tag == PARSE_AUTHOR) return f->n == 1;
  return f->n <= PARSE_TEXT_MAX && syntax_utf8((const char *)f->p, f->n);
}

/* Reads the fields and ends each text with a NUL, over the first byte of the next header, which is read by then. */
static int decode(struct import_result *r) {
  struct rd in = { r->raw.p, r->raw.n, 0 };
  uint64_t seen = 0;
  const uint8_t *magic = rd_bytes(&in, strlen(PARSE_MAGIC));
  if (magic == NULL || memcmp(magic, PARSE_MAGIC, strlen(PARSE_MAGIC)) != 0) return -1;
  r->field = calloc(FIELDS_MAX, sizeof *r->field);
  if (r->field == NULL) return -1;
  for (;;) {
    struct import_field f = { .tag = rd_u16(&in) };
    f.n = rd_u32(&in);
    f.p = rd_bytes(&in, f.n);
    if (in.bad || f.p == NULL) return -1;
    if (r->n > 0) ((uint8_t *)r->field[r->n - 1].p)[r->field[r->n - 1].n] = 0;
    if (f.tag == PARSE_END) return f.n == 0 && rd_done(&in) ? 0 : -1;
    if (r->n == FIELDS_MAX || !field_good(&f, seen)) return -1;
    seen |= UINT64_C(1) << f.tag;
    r->field[r->n++] = f;
  }
}

static const char *sentence(int code, int warning) {
  static const char *const REFUSALS[] = {
#define TEXT(number, name, text) [number] = text,
    PARSE_REFUSALS(TEXT)
  };
  static const char *const WARNINGS[] = { PARSE_WARNINGS(TEXT) };
#undef TEXT
  size_t n = warning ? sizeof WARNINGS / sizeof WARNINGS[0] : sizeof REFUSALS / sizeof REFUSALS[0];
  return (size_t)code < n ? (warning ? WARNINGS : REFUSALS)[code] : NULL;
}

/* The child's own verdict and warnings. */
static int judge(const struct import_result *r, struct import_row *row) {
  for (size_t i = 0; i < r->n; i++) {
    int refused = r->field[i].tag == PARSE_REFUSED;
    if (!refused && r->field[i].tag != PARSE_WARNING) continue;
    const char *text = sentence(r->field[i].p[0], !refused);
    if (text == NULL) return import_row_refuse(row, IMPORT_E_PARSER);
    if (refused) return import_row_refuse_text(row, text);
    import_row_warn(row, text);
  }
  return 0;
}

int import_child_parse(const char *program, const struct buf *file, struct import_result *out, struct import_row *row) {
  int pair[2], why = 0;
  pid_t pid;
  *out = (struct import_result){ 0 };
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return import_row_refuse(row, IMPORT_E_PARSER);
  int started = fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 && start(program, file->n, pair[1], &pid) == 0;
  close(pair[1]);
  if (started) {
    why = talk(pair[0], file, &out->raw);
    if (why) kill(pid, SIGKILL);
    int end = finish(pid);
    if (!why) why = end;
  }
  close(pair[0]);
  if (!started || (!why && decode(out) != 0)) why = IMPORT_E_PARSER + 1;
  return why ? import_row_refuse(row, (enum import_refusal)(why - 1)) : judge(out, row);
}

const char *import_child_text(const struct import_result *r, enum parse_tag tag) {
  for (size_t i = 0; i < r->n; i++)
    if (r->field[i].tag == (int)tag && r->field[i].n > 0) return (const char *)r->field[i].p;
  return NULL;
}

void import_child_free(struct import_result *r) {
  free(r->field);
  buf_free(&r->raw);
  *r = (struct import_result){ 0 };
}
