/* listing.c: see listing.h; tree.h says why names are told apart in this way. */
#include "listing.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXTENSION_MAX = 17, ID_DIGITS = 19, SUFFIX = ID_DIGITS + 3 };   /* " (0123456789012345678)" */

struct listing *listing_new(int64_t patient) {
  struct listing *l = calloc(1, sizeof *l);
  if (l != NULL) l->references = 1, l->patient = patient;
  return l;
}
struct listing *listing_hold(struct listing *l) {
  l->references++;
  return l;
}
void listing_reset(struct listing *l) {
  if (l->text != NULL) explicit_bzero(l->text, l->text_cap);
  if (l->notice != NULL) explicit_bzero(l->notice, l->notice_cap);
  l->rows = l->text_used = l->notice_used = 0;
}
void listing_release(struct listing *l) {
  if (l == NULL || --l->references > 0) return;
  listing_reset(l);
  if (l->row != NULL) explicit_bzero(l->row, l->row_cap * sizeof *l->row);
  free(l->row);
  free(l->by_id);
  free(l->text);
  free(l->notice);
  free(l);
}

/* Memory that held names is wiped before it is given back, so realloc() won't do. */
static int grow(void **p, size_t *cap, size_t need, size_t unit) {
  if (need <= *cap) return 0;
  size_t wanted = *cap < 64 ? 64 : *cap;
  while (wanted < need) wanted *= 2;
  void *more = calloc(wanted, unit);
  if (more == NULL) return ENOMEM;
  if (*p != NULL) {
    memcpy(more, *p, *cap * unit);
    explicit_bzero(*p, *cap * unit);
    free(*p);
  }
  *p = more;
  *cap = wanted;
  return 0;
}

static int add_text(struct listing *l, const char *name, size_t *at) {
  size_t n = strlen(name) + 1;
  void *p = l->text;
  int err = grow(&p, &l->text_cap, l->text_used + n, 1);
  l->text = p;
  if (err) return err;
  memcpy(l->text + l->text_used, name, n);
  *at = l->text_used;
  l->text_used += n;
  return 0;
}

int listing_add(void *listing, const struct db_row *row) {
  struct listing *l = listing;
  size_t n = strlen(row->name);
  /* The layout may be anybody's: nothing reaches the kernel that could be a path, a hidden file,
   * a negative size or the inode number of the root. */
  if (row->id <= 1 || row->size < 0 || row->offset < 0 || row->offset > INT64_MAX - row->size) return EIO;
  if (n == 0 || n > LISTING_NAME_MAX || row->name[0] == '.' || strchr(row->name, '/') != NULL) return EIO;
  if (l->rows == LISTING_ROWS_MAX) return EOVERFLOW;
  void *p = l->row;
  int err = grow(&p, &l->row_cap, l->rows + 1, sizeof *l->row);
  l->row = p;
  if (err) return err;
  struct listing_row *r = &l->row[l->rows];
  *r = (struct listing_row){ row->id, row->folder, row->kind, row->bare, 0, row->size, row->offset, row->modified };
  if ((err = add_text(l, row->name, &r->name)) == 0) l->rows++;
  return err;
}

int listing_add_notice(struct listing *l, const char *line) {
  size_t n = strlen(line);
  void *p = l->notice;
  int err = grow(&p, &l->notice_cap, l->notice_used + n + 1, 1);
  l->notice = p;
  if (err) return err;
  memcpy(l->notice + l->notice_used, line, n);
  l->notice[l->notice_used + n] = '\n';
  l->notice_used += n + 1;
  return 0;
}

const char *listing_name(const struct listing *l, size_t i) { return l->text + l->row[i].name; }

/* Where a name's extension begins, with its dot; its end when it has none. */
static size_t stem_of(const char *name) {
  size_t n = strlen(name);
  const char *dot = strrchr(name, '.');
  if (dot == NULL || dot == name || n - (size_t)(dot - name) > EXTENSION_MAX || strpbrk(dot, " ()") != NULL) return n;
  return (size_t)(dot - name);
}

void listing_suffixed(const char *name, int64_t id, char out[LISTING_NAME_MAX + 1]) {
  size_t stem = stem_of(name), keep = stem, room = LISTING_NAME_MAX - SUFFIX - strlen(name + stem);
  if (keep > room) keep = room;
  while (keep < stem && keep > 0 && ((unsigned char)name[keep] & 0xC0) == 0x80) keep--;   /* whole characters */
  snprintf(out, LISTING_NAME_MAX + 1, "%.*s (%019" PRId64 ")%s", (int)keep, name, id, name + stem);
}

static int looks_suffixed(const char *name) {
  size_t stem = stem_of(name);
  if (stem < SUFFIX || name[stem - 1] != ')') return 0;
  const char *tail = name + stem - SUFFIX;
  return tail[0] == ' ' && tail[1] == '(' && strspn(tail + 2, "0123456789") == ID_DIGITS;
}

/* Compares names as Windows and macOS would: case aside, for ASCII, Latin-1 and œ. */
static int fold(const unsigned char **p) {
  int c = *(*p)++;
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if ((c == 0xC3 || c == 0xC5) && **p != 0) {
    int d = *(*p)++;
    if (c == 0xC3 && d >= 0x80 && d <= 0x9E && d != 0x97) d += 0x20;
    if (c == 0xC5 && d == 0x92) d = 0x93;
    return c << 8 | d;
  }
  return c;
}
static int compare_folded(const char *a, const char *b) {
  const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
  int x, y;
  do { x = fold(&p); y = fold(&q); } while (x == y && x != 0);
  return x - y;
}

static int compare_folder(int a, int b) { return (a > b) - (a < b); }
static int by_folded_name(const void *a, const void *b, void *listing) {
  const struct listing *l = listing;
  const struct listing_row *x = a, *y = b;
  int c = compare_folder(x->folder, y->folder);
  return c != 0 ? c : compare_folded(l->text + x->name, l->text + y->name);
}
static int by_name(const void *a, const void *b, void *listing) {
  const struct listing *l = listing;
  const struct listing_row *x = a, *y = b;
  int c = compare_folder(x->folder, y->folder);
  return c != 0 ? c : strcmp(l->text + x->name, l->text + y->name);
}
static int by_id(const void *a, const void *b, void *listing) {
  const struct listing *l = listing;
  const struct listing_row *x = &l->row[*(const size_t *)a], *y = &l->row[*(const size_t *)b];
  return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : x->kind != y->kind ? x->kind - y->kind : y->folder - x->folder;
}

static int add_suffix(struct listing *l, size_t i) {
  char name[LISTING_NAME_MAX + 1];
  listing_suffixed(listing_name(l, i), l->row[i].id, name);
  return add_text(l, name, &l->row[i].name);
}

/* Gives back what was reserved for more. */
static int fit(void **p, size_t *cap, size_t need, size_t unit) {
  size_t full = *cap;
  void *less = need == 0 || need == full ? *p : malloc(need * unit);
  if (less == NULL && need > 0) return ENOMEM;
  if (less == *p || *p == NULL) return 0;
  memcpy(less, *p, need * unit);
  explicit_bzero(*p, full * unit);
  free(*p);
  *p = less;
  *cap = need;
  return 0;
}

static int fit_all(struct listing *l) {
  void *row = l->row, *text = l->text;
  int err = fit(&row, &l->row_cap, l->rows, sizeof *l->row);
  if (err == 0) err = fit(&text, &l->text_cap, l->text_used, 1);
  l->row = row;
  l->text = text;
  return err;
}

int listing_finish(struct listing *l) {
  int err = 0;
  if (l->rows == 0) return 0;
  free(l->by_id);
  l->by_id = calloc(l->rows, sizeof *l->by_id);
  if (l->by_id == NULL) return ENOMEM;
  qsort_r(l->row, l->rows, sizeof *l->row, by_folded_name, l);
  for (size_t first = 0, next; err == 0 && first < l->rows; first = next) {
    next = first + 1;
    while (next < l->rows && by_folded_name(&l->row[first], &l->row[next], l) == 0) next++;
    int alone = next == first + 1 && !looks_suffixed(listing_name(l, first));
    for (size_t i = first; err == 0 && !alone && i < next; i++) err = add_suffix(l, i);
  }
  qsort_r(l->row, l->rows, sizeof *l->row, by_name, l);
  for (size_t i = 0; i < l->rows; i++) l->by_id[i] = i;
  qsort_r(l->by_id, l->rows, sizeof *l->by_id, by_id, l);
  return err ? err : fit_all(l);
}

/* The first position whose (folder, name) is not below the one given. */
static size_t lower_bound(const struct listing *l, int folder, const char *name) {
  size_t low = 0, high = l->rows;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int c = compare_folder(l->row[middle].folder, folder);
    if (c == 0) c = strcmp(listing_name(l, middle), name);
    if (c < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

size_t listing_find(const struct listing *l, int folder, const char *name) {
  size_t i = lower_bound(l, folder, name);
  return i < l->rows && l->row[i].folder == folder && strcmp(listing_name(l, i), name) == 0 ? i : l->rows;
}
size_t listing_first(const struct listing *l, int folder) { return lower_bound(l, folder, ""); }

size_t listing_find_id(const struct listing *l, int64_t id, int kind) {
  size_t low = 0, high = l->rows;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const struct listing_row *r = &l->row[l->by_id[middle]];
    if (r->id < id || (r->id == id && r->kind < kind)) low = middle + 1;
    else high = middle;
  }
  if (low == l->rows) return l->rows;
  const struct listing_row *r = &l->row[l->by_id[low]];
  return r->id == id && r->kind == kind ? l->by_id[low] : l->rows;
}
