/* access.c: accesses and their lines (see access.h). */
#include "access.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT3

enum { FIVE_MINUTES = 5 * 60 * 1000, AN_OPERATION = 64 /* lines and rows of nearly any */ };
static const int64_t DAY = 24LL * 3600 * 1000;

void access_writer_tag(const uint8_t directory_key[32], const struct certificate *who, uint8_t tag[16]) {
  uint8_t k[32], x[16 + 32];
  suite_kdf_text(directory_key, "writer", k);
  memcpy(x, who->principal, 16);
  memcpy(x + 16, who->sign_pk, 32);
  suite_prf(k, x, who->flags & FLAG_RENEWED ? sizeof x : 16, tag);
  bytes_wipe(k, sizeof k);
}

void access_own_key(const struct credential *c, uint8_t key[32]) { suite_kdf_text(c->wrap, "own log", key); }

static struct log_writer access_writer(const struct session *s) {
  struct log_writer w = { .sign_sk = s->cred->sign_sk };
  memcpy(w.tag, s->writer_tag, 16);
  return w;
}

/* key NULL: the line goes to the asker's own chain. team: through which the person reads; NULL. */
static void line_fill(const struct session *s, struct log_line *l, const uint8_t *key, const uint8_t *team, enum log_action what, int64_t patient,
                      int64_t object, unsigned count) {
  memset(l, 0, sizeof *l);
  if (key) memcpy(l->key, key, 32);
  else access_own_key(s->cred, l->key);
  l->at = record_now();
  l->action = (uint8_t)what;
  l->mode = LOG_NORMAL;
  l->count = (uint16_t)(count > UINT16_MAX ? UINT16_MAX : count);
  id_field(l->person, s->principal);
  if (patient) id_field(l->patient, patient);
  if (object) id_field(l->object, object);
  memcpy(l->login, s->login_id, 8);
  if (team) memcpy(l->login + 8, team, 8);
}

static struct log_line *line_room(struct log_line **line, size_t n, size_t *cap) {
  if (n == *cap) {
    size_t c = *cap ? 2 * *cap : 16;
    struct log_line *p = malloc(c * sizeof *p);       /* not realloc: the old copy holds keys and is wiped */
    if (p == NULL) return NULL;
    if (n) memcpy(p, *line, n * sizeof *p);
    if (n) bytes_wipe(*line, n * sizeof *p);
    free(*line);
    *line = p;
    *cap = c;
  }
  return *line + n;
}

static struct log_line *access_line(struct access *a) { return line_room(&a->line, a->n, &a->cap); }

int access_listed(struct session *s, int64_t patient) {
  int64_t day = record_now() / DAY;
  if (day != s->listed_day) {
    s->listed_day = day;
    s->listeds = 0;
  }
  size_t lo = 0, hi = s->listeds;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (s->listed[mid] < patient) lo = mid + 1;
    else hi = mid;
  }
  return lo < s->listeds && s->listed[lo] == patient;
}

/* Only after the block is in the log: a listing that could not be logged stays unlogged. */
static int listed_add(struct session *s, int64_t patient) {
  if (access_listed(s, patient)) return DMP_OK;
  if (s->listeds == s->listed_cap) {
    size_t cap = s->listed_cap ? 2 * s->listed_cap : 64;
    int64_t *p = realloc(s->listed, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    s->listed = p;
    s->listed_cap = cap;
  }
  size_t i = s->listeds++;
  for (; i > 0 && s->listed[i - 1] > patient; i--) s->listed[i] = s->listed[i - 1];
  s->listed[i] = patient;
  return DMP_OK;
}


/* Where repetitions of an access are counted. */
static uint64_t repeated_key(int64_t patient, int64_t object, enum log_action what) {
  return ((uint64_t)object * 0xBF58476D1CE4E5B9u ^ (uint64_t)patient) + (uint64_t)what;
}
static int repeated_is(const struct repeated *x, int64_t patient, int64_t object, enum log_action what) {
  return x && x->action == what && x->patient == patient && x->object == object;
}
static struct repeated *repeated_find(struct session *s, int64_t patient, int64_t object, enum log_action what) {
  struct repeated *x = recent_find(&s->repeated, repeated_key(patient, object, what));
  return repeated_is(x, patient, object, what) ? x : NULL;
}

/* What was counted and not yet written becomes one more line. */
static int repeated_out(struct session *s, struct access *a, struct repeated *x) {
  if (x->more == 0) return DMP_OK;
  struct log_line *l = access_line(a);
  if (l == NULL) return DMP_E_NOMEM;
  line_fill(s, l, x->key, x->team, x->action, x->patient, x->object, x->more);
  a->n++;
  x->more = 0;
  return DMP_OK;
}

int access_object(struct session *s, struct access *a, struct patient *p, enum log_action what, int64_t object, int hidden) {
  int64_t now = record_now();
  const uint8_t *key;
  s->repeated.unit = sizeof(struct repeated);
  struct repeated *x = recent_room(&s->repeated, repeated_key(p->id, object, what));
  if (x == NULL) return DMP_E_LOCK;
  if (repeated_is(x, p->id, object, what) && now >= x->at && now - x->at < FIVE_MINUTES) {
    x->more++;
    return DMP_OK;
  }
  int e = repeated_out(s, a, x);
  if (e == DMP_OK) e = patient_pair(s, p, hidden, &key);
  if (e != DMP_OK) return e;
  struct log_line *l = access_line(a);
  if (l == NULL) return DMP_E_NOMEM;
  line_fill(s, l, key, p->team, what, p->id, object, 1);
  a->n++;
  recent_take(&s->repeated, x, repeated_key(p->id, object, what));
  *x = (struct repeated){ .head = x->head, .patient = p->id, .object = object, .at = now, .action = (uint8_t)what };
  memcpy(x->key, key, 32);
  memcpy(x->team, p->team, 8);
  return DMP_OK;
}

int access_refused(struct session *s, struct access *a, struct patient *p, int64_t patient, int64_t object) {
  const uint8_t *key = NULL;
  int e = p ? patient_pair(s, p, 0, &key) : DMP_OK;
  struct log_line *l = e == DMP_OK ? access_line(a) : NULL;
  if (l == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  line_fill(s, l, key, p ? p->team : NULL, LOG_REFUSED, patient, object, 1);
  a->n++;
  return DMP_OK;
}

int access_list(struct session *s, struct access *a, struct patient *p, int hidden, int64_t about) {
  if (access_listed(s, p->id)) return DMP_OK;
  const uint8_t *key;
  if (hidden) return access_object(s, a, p, LOG_LIST, about, 1);
  int e = patient_pair(s, p, 0, &key);
  for (size_t i = 0; i < a->n; i++)
    if (a->line[i].action == LOG_LIST && memcmp(a->line[i].key, key, 32) == 0 && id_from_field(a->line[i].patient) == p->id) return DMP_OK;
  struct log_line *l = e == DMP_OK ? access_line(a) : NULL;
  if (l == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  line_fill(s, l, key, p->team, LOG_LIST, p->id, 0, 1);
  a->n++;
  return DMP_OK;
}

static void line_reason(struct log_line *l, const char *reason) {
  if (reason) memcpy(l->reason, reason, strlen(reason) < sizeof l->reason ? strlen(reason) : sizeof l->reason);
}

int access_export(struct session *s, struct patient *p, enum log_action what, const char *recipient) {
  struct access a = { 0 };
  const uint8_t *key;
  int e = patient_pair(s, p, 0, &key);
  struct log_line *l = e == DMP_OK ? access_line(&a) : NULL;
  if (l == NULL) return e == DMP_OK ? DMP_E_NOMEM : e;
  line_fill(s, l, key, p->team, what, p->id, 0, 1);
  line_reason(l, recipient);
  a.n++;
  e = access_flush(s, &a);
  access_free(&a);
  return e;
}

/* A listing of hidden items alone is no listing for who must not know of them: the next one that shows others is a line too. */
static int listed_hidden(struct session *s, const struct log_line *l) {
  const struct repeated *x = repeated_find(s, id_from_field(l->patient), suite_is_zero(l->object, 16) ? 0 : id_from_field(l->object), LOG_LIST);
  return x && memcmp(x->key, l->key, 32) == 0;
}

int access_flush(struct session *s, struct access *a) {
  if (a->n == 0) return DMP_OK;
  struct log_writer w = access_writer(s);
  int e = s->r->log ? log_append(s->r->log, &w, LOG_ACCESS, NULL, 0, a->line, a->n) : DMP_E_LOG_OPEN;
  for (size_t i = 0; e == DMP_OK && i < a->n; i++)
    if (a->line[i].action == LOG_LIST && !listed_hidden(s, &a->line[i])) e = listed_add(s, id_from_field(a->line[i].patient));
  if (e != DMP_OK)                                    /* what was not written must not count as written */
    for (size_t i = 0; i < s->repeated.n; i++) {
      struct repeated *x = recent_at(&s->repeated, i);
      if (x->at >= a->line[0].at) x->action = 0;
    }
  a->n = 0;
  return e;
}

void access_free(struct access *a) {
  if (a->line) bytes_wipe(a->line, a->cap * sizeof *a->line);
  free(a->line);
  *a = (struct access){ 0 };
}

int access_counts(struct session *s) {
  struct access a = { 0 };
  int e = DMP_OK;
  for (size_t i = 0; e == DMP_OK && i < s->repeated.n; i++) e = repeated_out(s, &a, recent_at(&s->repeated, i));
  if (e == DMP_OK) e = access_flush(s, &a);
  access_free(&a);
  return e;
}

/* ---- writes ---- */

static int pend(struct session *s, const uint8_t *key, const uint8_t *team, enum log_action what, int64_t patient, int64_t object, const char *reason) {
  struct pending *q = &s->pending;
  if (q->lines >= LOG_LINES_MAX) return DMP_E_TRANSACTION;
  struct log_line *l = line_room(&q->line, q->lines, &q->line_cap);
  if (l == NULL) return DMP_E_NOMEM;
  line_fill(s, l, key, team, what, patient, object, 1);
  line_reason(l, reason);
  q->lines++;
  return DMP_OK;
}

int access_pend(struct session *s, struct patient *p, enum log_action what, int64_t patient, int64_t object, const char *reason) {
  const uint8_t *key = NULL;
  int e = p ? patient_pair(s, p, 0, &key) : DMP_OK;
  return e == DMP_OK ? pend(s, key, p ? p->team : NULL, what, patient, object, reason) : e;
}

int access_pend_item(struct session *s, struct patient *p, enum log_action what, int64_t object, int hidden, const char *reason) {
  const uint8_t *key;
  int e = patient_pair(s, p, hidden, &key);
  return e == DMP_OK ? pend(s, key, p->team, what, p->id, object, reason) : e;
}

void access_through(struct session *s, const uint8_t team[16]) {
  if (s->pending.lines) memcpy(s->pending.line[s->pending.lines - 1].login + 8, team, 8);
}

int access_note_row(struct session *s, uint16_t table, int64_t row, const uint8_t *box, size_t n) {
  struct pending *q = &s->pending;
  if (q->rows >= LOG_ROWS_MAX) return DMP_E_TRANSACTION;
  if (q->rows == q->row_cap) {
    size_t cap = q->row_cap ? 2 * q->row_cap : 64;
    struct log_row *p = realloc(q->row, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    q->row = p;
    q->row_cap = cap;
  }
  struct log_row *x = &q->row[q->rows++];
  x->table = table;
  x->id = row;
  suite_hash(box, n, x->hash, 16);
  return DMP_OK;
}

int access_note_gone(struct session *s, uint16_t table, int64_t row) {
  int e = access_note_row(s, table, row, NULL, 0);
  if (e == DMP_OK) memset(s->pending.row[s->pending.rows - 1].hash, 0, 16);
  return e;
}

int access_note_file(struct session *s, const char *path) {
  struct pending *q = &s->pending;
  if (q->files == q->file_cap) {
    size_t cap = q->file_cap ? 2 * q->file_cap : 4;
    char **p = realloc(q->file, cap * sizeof *p);
    if (p == NULL) return DMP_E_NOMEM;
    q->file = p;
    q->file_cap = cap;
  }
  if ((q->file[q->files] = strdup(path)) == NULL) return DMP_E_NOMEM;
  q->files++;
  return DMP_OK;
}

static void files_back_to(struct pending *q, size_t n, int undo) {
  while (q->files > n) {
    char *f = q->file[--q->files];
    if (undo) unlink(f);
    free(f);
  }
}

int access_full(const struct session *s) { return s->pending.lines + AN_OPERATION > LOG_LINES_MAX || s->pending.rows + AN_OPERATION > LOG_ROWS_MAX; }
int access_waiting(const struct session *s) { return s->pending.lines || s->pending.rows || s->pending.halfway || s->intent_written; }

int access_intent(struct session *s) {
  struct pending *q = &s->pending;
  if (q->halfway) return DMP_E_HALFWAY;
  if (q->lines == 0 && q->rows == 0) return DMP_OK;
  struct log_writer w = access_writer(s);
  int e = s->r->log ? log_append(s->r->log, &w, LOG_INTENT, q->row, q->rows, q->line, q->lines) : DMP_E_LOG_OPEN;
  if (e == DMP_OK) s->intent_written = 1;
  if (q->lines) bytes_wipe(q->line, q->lines * sizeof *q->line);
  q->lines = q->rows = 0;
  return e;
}

void access_outcome(struct session *s, int committed) {
  struct pending *q = &s->pending;
  if (s->intent_written) {
    struct log_writer w = access_writer(s);
    /* A lost outcome is not fatal: dmp_verify accepts either state of a row whose writer died here. */
    log_append(s->r->log, &w, committed ? LOG_DONE : LOG_UNDONE, NULL, 0, NULL, 0);
  }
  s->intent_written = 0;
  q->halfway = 0;
  files_back_to(q, 0, !committed);
  if (q->lines) bytes_wipe(q->line, q->lines * sizeof *q->line);
  q->lines = q->rows = 0;
}

struct access_mark access_mark(const struct session *s) { return (struct access_mark){ s->pending.lines, s->pending.rows, s->pending.files, s->pending.halfway }; }

void access_back_to(struct session *s, struct access_mark m) {
  if (m.lines < s->pending.lines) s->pending.lines = m.lines;
  if (m.rows < s->pending.rows) s->pending.rows = m.rows;
  s->pending.halfway = m.halfway;
  files_back_to(&s->pending, m.files, 1);
}
