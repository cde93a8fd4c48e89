/* tree.c: see tree.h. */
#include "tree.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "db.h"
#include "draw.h"
#include "listing.h"
#include "page.h"

/* LISTINGS: slots, a power of 2. ROWS_KEPT: of all patients together, some 150 bytes each. */
enum { TRIES = 3, LISTINGS = 16384, ROWS_KEPT = 150000, ROWS_TRIMMED = 5000, BUCKETS_MIN = 1024, FIRST_ENTRY = 2 };
enum { VERSION_MS = 10 };
/* How long the names of patients are believed by a lookup, which asks whether the one patient is still there. */
enum { NAMES_MS = 30000 };

struct held {                               /* a node that the kernel knows */
  struct tree_node node;
  uint64_t references;
  unsigned opens;                           /* descriptors and mappings */
  int cached, gone;                         /* the kernel may have pages; they were dropped because the right ended */
  struct text text;                         /* owned: of a page that is being read */
  int ask;                                  /* opened once more since: the next reading is an access */
  int64_t drawing;                          /* of a page that is being drawn: the size that was told; 0: it is not */
  int64_t text_at, text_version;            /* when it was made or found unchanged, and of which state of the record */
  int64_t longest;                          /* of a page: its size when it was last made; 0: never */
  struct held *next;
};
struct tree {
  struct db *db;                            /* borrowed */
  struct draw *draw;                        /* borrowed; may be NULL */
  struct held **bucket;                     /* owned, chained */
  size_t buckets, nodes;
  unsigned opens;                           /* of all nodes */
  int64_t version, version_at;              /* the record's state, and when it was asked for */
  int64_t looked_at, looked_version;        /* when and at which state tree_gone() last looked */
  struct listing *patients;                 /* owned; may be old or NULL */
  struct listing *documents[LISTINGS];      /* owned; of the patients looked at last, by slot */
  size_t rows, hand;                        /* in documents; the slot that was emptied last */
};
struct tree_dir {
  struct tree_node node;
  struct listing *l;                        /* owned; NULL until position 0 is read */
};

static int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The state of the record, asked for again after VERSION_MS: a burst of requests asks once. */
static int64_t version_of(struct tree *t) {
  int64_t now = now_ms();
  if (t->version_at == 0 || now - t->version_at >= VERSION_MS) {
    t->version = db_version(t->db);
    t->version_at = now;
  }
  return t->version;
}
static int is_fresh(struct tree *t, const struct listing *l) {
  return l != NULL && now_ms() - l->at < TREE_LISTING_MS && l->version >= 0 && l->version == version_of(t);
}

int tree_new(struct tree **out, struct db *db, struct draw *draw) {
  *out = NULL;
  struct tree *t = calloc(1, sizeof *t);
  if (t == NULL) return ENOMEM;
  t->db = db;
  t->draw = draw;
  t->buckets = BUCKETS_MIN;
  t->bucket = calloc(t->buckets, sizeof *t->bucket);
  if (t->bucket == NULL) {
    free(t);
    return ENOMEM;
  }
  *out = t;
  return 0;
}

static void free_held(struct held *h) {
  text_free(&h->text);
  free(h);
}

void tree_free(struct tree *t) {
  if (t == NULL) return;
  for (size_t i = 0; i < t->buckets; i++)
    for (struct held *h = t->bucket[i], *next; h != NULL; h = next) {
      next = h->next;
      free_held(h);
    }
  for (size_t i = 0; i < LISTINGS; i++) listing_release(t->documents[i]);
  listing_release(t->patients);
  free(t->bucket);
  free(t);
}
const char *tree_error(const struct tree *t) { return t->db != NULL ? db_error(t->db) : "the session has ended"; }
void tree_end(struct tree *t) { t->db = NULL; }
void tree_count(const struct tree *t, size_t *nodes, size_t *opens) {
  *nodes = t->nodes;
  *opens = t->opens;
}

/* ---- nodes ---- */

/* Ids are positive 63-bit numbers: a document has its own, a patient has the top bit too. What has no id has a mix of whose it
 * is and what, with both top bits (an id has the second from 2089 on): so scripts/dmp-desk tells them apart. Should one meet
 * another node's, which takes billions of them, tree_hold() refuses it. */
static const uint64_t TOP = (uint64_t)1 << 63;
enum { INO_FOLDER = 1, INO_PAGE = 1 << 16, INO_GROUP = 2 << 16 };
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}
static uint64_t mixed_ino(int64_t of, int what) { return mix((uint64_t)of + mix((uint64_t)what)) | TOP | TOP >> 1; }

static struct tree_node root_node(void) { return (struct tree_node){ .ino = TREE_ROOT, .kind = TREE_PATIENTS }; }
static struct tree_node group_node(int group) {
  return (struct tree_node){ .ino = mixed_ino(0, INO_GROUP + group), .kind = TREE_GROUP, .folder = group };
}
static struct tree_node patient_node(const struct listing_row *r) {
  return (struct tree_node){ .ino = (uint64_t)r->id | TOP, .kind = TREE_PATIENT, .patient = r->id, .folder = r->folder, .bare = r->bare };
}
/* Where a listing's entry lies: in the group of that number, or below the mount point. */
static struct tree_node place_node(int group) { return group == 0 ? root_node() : group_node(group); }

static int64_t newest(const struct listing *l, size_t from, int folder) {
  int64_t modified = 0;
  for (size_t i = from; i < l->rows && (folder < 0 || l->row[i].folder == folder); i++)
    if (l->row[i].modified > modified) modified = l->row[i].modified;
  return modified;
}
/* The folder must have a row. */
static struct tree_node folder_node(const struct listing *l, int folder) {
  return (struct tree_node){ .ino = mixed_ino(l->patient, INO_FOLDER + folder), .kind = TREE_FOLDER, .patient = l->patient, .folder = folder,
                             .modified = newest(l, listing_first(l, folder), folder) };
}
static struct tree_node document_node(const struct listing *l, size_t i) {
  const struct listing_row *r = &l->row[i];
  struct tree_node n = { .ino = (uint64_t)r->id, .kind = TREE_DOCUMENT, .folder = r->folder, .patient = l->patient,
                         .document = r->id, .size = r->size, .offset = r->offset, .modified = r->modified };
  if (r->kind == LISTING_DRAWN) n.kind = TREE_PAGE, n.page = TREE_DRAWN, n.ino = mixed_ino(r->id, INO_PAGE + TREE_DRAWN);
  return n;
}

static struct held **find_held(struct tree *t, uint64_t ino) {
  struct held **h = &t->bucket[mix(ino) & (t->buckets - 1)];
  while (*h != NULL && (*h)->node.ino != ino) h = &(*h)->next;
  return h;
}

/* A page's size is what it was when it was last made, else what is told before. */
static int64_t told_size(struct tree *t, uint64_t ino, int64_t before) {
  const struct held *h = *find_held(t, ino);
  return h != NULL && h->longest > before ? h->longest : before;
}
static struct tree_node page_node(struct tree *t, const struct listing *l, int page) {
  struct tree_node n = { .ino = mixed_ino(l->patient, INO_PAGE + page), .kind = TREE_PAGE, .patient = l->patient, .page = page,
                         .modified = newest(l, 0, -1) };
  struct text notice;
  n.size = told_size(t, n.ino, page_size(0));
  if (page == PAGE_NOTICE && page_notice(l->notice, l->notice_used, &notice) == 0) {
    n.size = (int64_t)notice.n;
    text_free(&notice);
  }
  return n;
}

static void grow_buckets(struct tree *t) {
  struct held **old = t->bucket, **bucket = calloc(t->buckets * 2, sizeof *bucket);
  size_t n = t->buckets;
  if (bucket == NULL) return;               /* longer chains, nothing worse */
  t->bucket = bucket;
  t->buckets = n * 2;
  for (size_t i = 0; i < n; i++)
    for (struct held *h = old[i], *next; h != NULL; h = next) {
      struct held **at = find_held(t, h->node.ino);
      next = h->next;
      h->next = NULL;
      *at = h;
    }
  free(old);
}

int tree_hold(struct tree *t, const struct tree_node *n) {
  if (n->ino == TREE_ROOT) return 0;
  struct held **at = find_held(t, n->ino), *h = *at;
  if (h == NULL) {
    if ((h = calloc(1, sizeof *h)) == NULL) return ENOMEM;
    *at = h;
    if (++t->nodes > t->buckets * 2) grow_buckets(t);
  } else if (h->node.kind != n->kind || h->node.patient != n->patient) {
    return EIO;
  } else if ((n->kind == TREE_FOLDER || n->kind == TREE_GROUP) && h->node.folder != n->folder) {
    return EIO;
  } else if (n->kind == TREE_PAGE && (h->node.page != n->page || h->node.document != n->document)) {
    return EIO;
  }
  h->node = *n;
  h->references++;
  return 0;
}

void tree_forget(struct tree *t, uint64_t ino, uint64_t references) {
  if (ino == TREE_ROOT) return;
  struct held **at = find_held(t, ino), *h = *at;
  if (h == NULL) return;
  h->references = references < h->references ? h->references - references : 0;
  if (h->references > 0) return;
  *at = h->next;
  t->nodes--;
  free_held(h);
}

static int get_held(struct tree *t, uint64_t ino, struct tree_node *out) {
  *out = root_node();
  if (t->db == NULL) return ESTALE;
  if (ino == TREE_ROOT) return 0;
  const struct held *h = *find_held(t, ino);
  if (h == NULL) return ESTALE;
  *out = h->node;
  return 0;
}

/* ---- listings ---- */

struct adding { struct tree *t; struct listing *l; };

/* A document, and the page beside it, in one folder. */
static int add_in(const struct adding *a, const struct db_row *row, int folder) {
  struct db_row r = *row;
  r.folder = folder;
  if (db_folder(a->t->db, folder) == NULL) return EIO;         /* the layout forgot a folder */
  int err = listing_add(a->l, &r);
  if (err || row->page == NULL || a->t->draw == NULL) return err;
  r.name = row->page;
  r.kind = LISTING_DRAWN;
  r.size = page_size(row->size);
  return listing_add(a->l, &r);
}

static int add_row(void *arg, const struct db_row *row) {
  const struct adding *a = arg;
  if (a->l->patient == 0 && row->folder != 0 && db_group(a->t->db, row->folder) == NULL) return EIO;
  if (a->l->patient == 0) return listing_add(a->l, row);
  int err = add_in(a, row, row->folder);
  if (err == 0 && row->also != 0 && row->also != row->folder) err = add_in(a, row, row->also);
  if (err == 0 && row->notice != NULL) err = listing_add_notice(a->l, row->notice);
  return err;
}

/* Asks the record. On failure *out is NULL. */
static int load(struct tree *t, int64_t patient, struct listing **out) {
  int err = ENOMEM;
  struct listing *l = listing_new(patient);
  struct adding a = { t, l };
  *out = NULL;
  if (l == NULL) return err;
  for (int i = 0; i < TRIES; i++) {
    listing_reset(l);
    l->version = version_of(t);         /* before the rows: a commit in between makes it old, not wrong */
    err = patient == 0 ? db_patients(t->db, add_row, &a) : db_documents(t->db, patient, add_row, &a);
    if (err != EAGAIN) break;
  }
  if (err == 0) err = listing_finish(l);
  l->at = l->sure = now_ms();               /* at its end: one that takes longer than it is believed would be made for ever */
  if (l->rows > ROWS_TRIMMED) malloc_trim(0);   /* SQLite held them all, too */
  if (err == 0) *out = l;
  else listing_release(l);
  return err == EAGAIN ? EIO : err;
}

/* Where the listing of a patient is kept; another patient's may stand there. */
static struct listing **slot_of(struct tree *t, int64_t patient) {
  return patient == 0 ? &t->patients : &t->documents[mix((uint64_t)patient) & (LISTINGS - 1)];
}

static void drop(struct tree *t, struct listing **slot) {
  if (*slot != NULL && slot != &t->patients) t->rows -= (*slot)->rows;
  listing_release(*slot);
  *slot = NULL;
}

/* Keeps a listing, and as many others as there is room for: their turn comes in the order of their slots. */
static void keep(struct tree *t, struct listing **slot, struct listing *l) {
  drop(t, slot);
  *slot = l;
  if (slot == &t->patients) return;
  t->rows += l->rows;
  for (size_t i = 0; t->rows > ROWS_KEPT && i < LISTINGS; i++) {
    t->hand = (t->hand + 1) & (LISTINGS - 1);
    if (&t->documents[t->hand] != slot) drop(t, &t->documents[t->hand]);
  }
}

struct one_patient { int found, bare; char name[LISTING_NAME_MAX + 1]; };
static int take_patient(void *arg, const struct db_row *row) {
  struct one_patient *one = arg;
  one->found = 1;
  one->bare = row->bare;
  strncpy(one->name, row->name, LISTING_NAME_MAX);
  return 0;
}

/* Whether a patient is still there, and their name before it is told apart, without listing the others. */
static int ask_patient(struct tree *t, int64_t id, struct one_patient *one) {
  int err = EAGAIN;
  for (int i = 0; err == EAGAIN && i < TRIES; i++) {
    memset(one, 0, sizeof *one);
    err = db_patient(t->db, id, take_patient, one);
  }
  if (err != 0) return err == EAGAIN ? EIO : err;
  return one->found ? 0 : ENOENT;
}

/* A listing that is also sure: no right has ended by its date since. The patient of a fresh one is asked for, not the documents; who
 * no longer opens, or opens by own deposits only, is listed again. */
static int is_sure(struct tree *t, struct listing *l) {
  struct one_patient one;
  int64_t now = now_ms();
  if (!is_fresh(t, l)) return 0;
  if (now - l->sure < TREE_RIGHT_MS) return 1;
  if (l->patient == 0) return 0;
  int holds = ask_patient(t, l->patient, &one) == 0 && !one.bare;
  explicit_bzero(&one, sizeof one);
  if (holds) l->sure = now;
  return holds;
}

/* What the record's listing is now; borrowed until the next call. patient 0: the patients. */
static int current(struct tree *t, int64_t patient, const struct listing **out) {
  struct listing **slot = slot_of(t, patient), *l;
  if (*slot == NULL || (*slot)->patient != patient || !is_sure(t, *slot)) {
    int err = load(t, patient, &l);
    if (err) return err;
    keep(t, slot, l);
  }
  *out = *slot;
  return 0;
}

/* The patients, of whom some may have gone by date since: enough to know who is not there, as nobody comes by date. */
static int recent_patients(struct tree *t, const struct listing **out) {
  *out = t->patients;
  return is_fresh(t, t->patients) ? 0 : current(t, 0, out);
}

/* A name that stands alone in an older listing, of a patient who is still there under it: no need to list all the
 * others. */
static int known_patient(struct tree *t, int group, const char *name, struct tree_node *out) {
  const struct listing *l = t->patients;
  struct one_patient one;
  if (l == NULL || now_ms() - l->at >= NAMES_MS) return 0;
  size_t i = listing_find(l, group, name);
  if (i == l->rows) return 0;
  *out = patient_node(&l->row[i]);
  if (is_sure(t, t->patients)) return 1;
  int same = ask_patient(t, l->row[i].id, &one) == 0 && strcmp(one.name, name) == 0 && one.bare == l->row[i].bare;
  explicit_bzero(&one, sizeof one);
  return same;
}

/* Whether only own deposits of a patient open; 1 also when nothing does. */
static int is_bare(struct tree *t, int64_t patient) {
  struct one_patient one;
  if (is_sure(t, t->patients)) {
    size_t i = listing_find_id(t->patients, patient, LISTING_ITEM);
    return i == t->patients->rows || t->patients->row[i].bare;
  }
  int bare = ask_patient(t, patient, &one) != 0 || one.bare;
  explicit_bzero(&one, sizeof one);
  return bare;
}

static int has_folder(const struct listing *l, int folder) {
  size_t i = listing_first(l, folder);
  return i < l->rows && l->row[i].folder == folder;
}

static int find_patient(struct tree *t, int group, const char *name, struct tree_node *out) {
  const struct listing *l;
  if (known_patient(t, group, name, out)) return 0;
  int err = recent_patients(t, &l);
  if (err == 0 && listing_find(l, group, name) < l->rows) err = current(t, 0, &l);
  if (err) return err;
  size_t i = listing_find(l, group, name);
  if (i < l->rows) {
    *out = patient_node(&l->row[i]);
    return 0;
  }
  for (int g = 1; group == 0 && g < DB_FOLDER_MAX; g++)
    if (db_group(t->db, g) != NULL && strcmp(db_group(t->db, g), name) == 0 && has_folder(l, g)) {
      *out = group_node(g);
      return 0;
    }
  return ENOENT;
}

/* Whether a patient has that page for this session. */
static int has_page(struct tree *t, const struct listing *l, int page) {
  if (db_page_name(t->db, page) == NULL) return 0;
  switch (page) {
    case PAGE_SUMMARY: return !is_bare(t, l->patient);
    case PAGE_NOTICE: return l->notice_used > 0 && !is_bare(t, l->patient);
    case PAGE_ACCESSES: case PAGE_READERS: return db_self(t->db) == l->patient;
    default: return 0;
  }
}

static int find_folder(struct tree *t, int64_t patient, const char *name, struct tree_node *out) {
  const struct listing *l;
  int err = current(t, patient, &l);
  for (int f = 1; err == 0 && f < DB_FOLDER_MAX; f++) {
    if (db_folder(t->db, f) != NULL && strcmp(db_folder(t->db, f), name) == 0 && has_folder(l, f)) {
      *out = folder_node(l, f);
      return 0;
    }
    if (db_page_name(t->db, f) != NULL && strcmp(db_page_name(t->db, f), name) == 0 && has_page(t, l, f)) {
      *out = page_node(t, l, f);
      return 0;
    }
  }
  return err ? err : ENOENT;
}

static int find_document(struct tree *t, const struct tree_node *folder, const char *name, struct tree_node *out) {
  const struct listing *l;
  int err = current(t, folder->patient, &l);
  if (err) return err;
  size_t i = listing_find(l, folder->folder, name);
  if (i == l->rows) return ENOENT;
  *out = document_node(l, i);
  if (out->kind == TREE_PAGE) out->size = told_size(t, out->ino, out->size);
  return 0;
}

int tree_lookup(struct tree *t, uint64_t parent, const char *name, struct tree_node *out) {
  struct tree_node p;
  int err = get_held(t, parent, &p);
  if (err) return err;
  switch (p.kind) {
    case TREE_PATIENTS: err = find_patient(t, 0, name, out); break;
    case TREE_GROUP: err = find_patient(t, p.folder, name, out); break;
    case TREE_PATIENT: err = find_folder(t, p.patient, name, out); break;
    case TREE_FOLDER: err = find_document(t, &p, name, out); break;
    default: err = ENOTDIR;
  }
  return err ? err : tree_hold(t, out);
}

static int get_patient(struct tree *t, struct tree_node *n) {
  struct one_patient one;
  if (is_sure(t, t->patients)) {
    size_t i = listing_find_id(t->patients, n->patient, LISTING_ITEM);
    if (i == t->patients->rows) return ENOENT;
    *n = patient_node(&t->patients->row[i]);
    return 0;
  }
  int err = ask_patient(t, n->patient, &one);
  if (err == 0) n->bare = one.bare;
  explicit_bzero(&one, sizeof one);
  return err;
}

int tree_get(struct tree *t, uint64_t ino, struct tree_node *out) {
  const struct listing *l;
  int err = get_held(t, ino, out);
  if (err || out->kind == TREE_PATIENTS) return err;
  if (out->kind == TREE_PATIENT) return get_patient(t, out);
  if ((err = out->kind == TREE_GROUP ? recent_patients(t, &l) : current(t, out->patient, &l)) != 0) return err;
  if (out->kind == TREE_GROUP) return has_folder(l, out->folder) ? 0 : ENOENT;
  if (out->kind == TREE_FOLDER) {
    if (!has_folder(l, out->folder)) return ENOENT;
    *out = folder_node(l, out->folder);
    return 0;
  }
  if (out->kind == TREE_PAGE && out->page != TREE_DRAWN) {
    if (!has_page(t, l, out->page)) return ENOENT;
    *out = page_node(t, l, out->page);
    return 0;
  }
  size_t i = listing_find_id(l, out->document, out->kind == TREE_PAGE ? LISTING_DRAWN : LISTING_ITEM);
  if (i == l->rows) return ENOENT;
  *out = document_node(l, i);
  if (out->kind == TREE_PAGE) out->size = told_size(t, out->ino, out->size);
  return 0;
}

/* ---- directories ---- */

int tree_opendir(struct tree *t, uint64_t ino, struct tree_dir **out) {
  struct tree_node n;
  *out = NULL;
  int err = tree_get(t, ino, &n);
  if (err) return err;
  if (tree_is_file(&n)) return ENOTDIR;
  struct tree_dir *d = calloc(1, sizeof *d);
  if (d == NULL) return ENOMEM;
  d->node = n;
  *out = d;
  return 0;
}
void tree_closedir(struct tree *t, struct tree_dir *d) {
  (void)t;
  listing_release(d->l);
  free(d);
}

static int begin(struct tree *t, struct tree_dir *d) {
  const struct listing *l;
  int err = current(t, d->node.patient, &l);
  if (err) return err;
  listing_release(d->l);
  d->l = listing_hold(*slot_of(t, d->node.patient));
  return 0;
}

/* An entry's position tells which: folders (or, at the root, groups) by their number, then pages by theirs or rows in order. */
static int next_folder(struct tree *t, const struct tree_dir *d, uint64_t *i, struct tree_node *out, const char **name) {
  int root = d->node.kind == TREE_PATIENTS;
  for (; *i < DB_FOLDER_MAX; ++*i) {
    int folder = (int)*i;
    *name = root ? db_group(t->db, folder) : db_folder(t->db, folder);
    if (*name == NULL || !has_folder(d->l, folder)) continue;
    *out = root ? group_node(folder) : folder_node(d->l, folder);
    ++*i;
    return 0;
  }
  return ENOENT;
}

static int next_page(struct tree *t, const struct tree_dir *d, uint64_t *i, struct tree_node *out, const char **name) {
  for (; *i < DB_FOLDER_MAX; ++*i) {
    int page = (int)*i;
    if (d->node.bare || !has_page(t, d->l, page)) continue;
    *out = page_node(t, d->l, page);
    *name = db_page_name(t->db, page);
    ++*i;
    return 0;
  }
  return ENOENT;
}

/* The next row of the directory, from the *i-th on. Rows of a group, or of none, lie together. */
static int next_row(struct tree *t, const struct tree_dir *d, uint64_t *i, struct tree_node *out, const char **name) {
  int folder = d->node.kind == TREE_PATIENTS ? 0 : d->node.folder;
  size_t first = listing_first(d->l, folder);
  if (*i >= d->l->rows - first) return ENOENT;
  size_t at = first + (size_t)*i;
  if (d->l->row[at].folder != folder) return ENOENT;
  *out = d->node.kind == TREE_FOLDER ? document_node(d->l, at) : patient_node(&d->l->row[at]);
  if (out->kind == TREE_PAGE) out->size = told_size(t, out->ino, out->size);
  *name = listing_name(d->l, at);
  ++*i;
  return 0;
}

static int next_entry(struct tree *t, const struct tree_dir *d, uint64_t *i, struct tree_node *out, const char **name) {
  int folders_first = d->node.kind == TREE_PATIENTS || d->node.kind == TREE_PATIENT;
  if (!folders_first) return next_row(t, d, i, out, name);
  if (*i < DB_FOLDER_MAX && next_folder(t, d, i, out, name) == 0) return 0;
  uint64_t after = *i - DB_FOLDER_MAX;
  int err = d->node.kind == TREE_PATIENT ? next_page(t, d, &after, out, name) : next_row(t, d, &after, out, name);
  *i = after + DB_FOLDER_MAX;
  return err;
}

/* Whether an entry of an older listing is still there under this name. 0, ENOENT, or another errno. */
static int still(struct tree *t, const struct tree_dir *d, const struct tree_node *n, const char *name) {
  const struct listing *l;
  int err = d->node.patient == 0 ? recent_patients(t, &l) : current(t, d->node.patient, &l);
  if (err) return err;
  if (n->kind == TREE_FOLDER || n->kind == TREE_GROUP) return has_folder(l, n->folder) ? 0 : ENOENT;
  if (n->kind == TREE_PAGE && n->page != TREE_DRAWN) return has_page(t, l, n->page) ? 0 : ENOENT;
  size_t i = listing_find(l, d->node.kind == TREE_PATIENTS ? 0 : d->node.folder, name);
  int64_t id = n->kind == TREE_PATIENT ? n->patient : n->document;
  return i < l->rows && l->row[i].id == id ? 0 : ENOENT;
}

static struct tree_node parent_of(const struct tree_node *n) {
  const struct listing_row patient = { .id = n->patient };
  return n->kind == TREE_FOLDER ? patient_node(&patient) : n->kind == TREE_PATIENT ? place_node(n->folder) : root_node();
}

int tree_readdir(struct tree *t, struct tree_dir *d, uint64_t *at, struct tree_node *out, const char **name) {
  if (t->db == NULL) return ESTALE;
  int err = *at == 0 || d->l == NULL ? begin(t, d) : 0;
  if (err) return err;
  if (*at < FIRST_ENTRY) {
    *name = *at == 0 ? "." : "..";
    *out = *at == 0 ? d->node : parent_of(&d->node);
    ++*at;
    return 0;
  }
  do {
    uint64_t i = *at - FIRST_ENTRY;
    err = next_entry(t, d, &i, out, name);
    if (err) return err;
    *at = i + FIRST_ENTRY;
    if (d->node.patient == 0 ? !is_fresh(t, d->l) : !is_sure(t, d->l)) err = still(t, d, out, *name);
  } while (err == ENOENT);
  return err;
}

/* ---- bytes ---- */

static int make_page(struct tree *t, const struct tree_node *n, struct text *out) {
  const struct listing *l;
  int err = EAGAIN;
  *out = (struct text){ 0 };
  if (n->page == PAGE_NOTICE) {
    err = current(t, n->patient, &l);
    return err ? err : page_notice(l->notice, l->notice_used, out);
  }
  for (int i = 0; err == EAGAIN && i < TRIES; i++) err = page_make(t->db, n->page, n->patient, db_page_name(t->db, n->page), out);
  if (err == 0) err = page_pad(out, page_size(0) < n->size ? n->size : page_size(0));
  if (err) text_free(out);
  return err == EAGAIN ? EIO : err;
}

static int is_made(struct tree *t, const struct held *h) {
  return h->text.p != NULL && h->text_version >= 0 && h->text_version == version_of(t) && now_ms() - h->text_at < TREE_LISTING_MS;
}
static void keep_page(struct held *h, struct text *text, int64_t version) {
  text_free(&h->text);
  h->text = *text;
  h->text_at = now_ms();
  h->text_version = version;
  h->longest = (int64_t)text->n;
}

/* Whether what an open page shows is no longer what this session sees. The accesses only grow; a document does not change. */
static int is_outdated(struct tree *t, struct held *h) {
  struct text text;
  if (h->text.p == NULL || h->node.page == TREE_DRAWN || h->node.page == PAGE_ACCESSES || is_made(t, h)) return 0;
  int64_t version = version_of(t);
  if (make_page(t, &h->node, &text) != 0) return 1;
  int same = text.n == h->text.n && memcmp(text.p, h->text.p, text.n) == 0;
  if (same) keep_page(h, &text, version);
  else text_free(&text);
  return !same;
}

/* A drawn page, or what stands in its place, to the size that was told. */
static int keep_drawn(struct tree *t, struct held *h, const struct text *drawn, int64_t size) {
  struct text page = { 0 };
  int err = drawn->p != NULL ? page_drawn(drawn, &page) : EINVAL;
  if (err == EINVAL) err = page_refusal(&page);
  if (err == 0) err = page_pad(&page, page_size(0) < size ? size : page_size(0));
  if (err == 0) keep_page(h, &page, version_of(t));
  else text_free(&page);
  return err;
}

/* Gives a document to be drawn, which is reading it: an access like any other. EINPROGRESS: the page is on its way, or waits
 * for its turn; 0 when it is none, and says so. */
static int draw_document(struct tree *t, struct held *h, const struct tree_node *n) {
  const struct listing *l;
  const struct text none = { 0 };
  const void *bytes;
  size_t got = 0, i;
  int err = draw_ready(t->draw);
  if (err != 0) return err == EBUSY ? EINPROGRESS : keep_drawn(t, h, &none, n->size);
  if ((err = current(t, n->patient, &l)) != 0) return err;
  if ((i = listing_find_id(l, n->document, LISTING_ITEM)) == l->rows) return ENOENT;
  const struct tree_node d = document_node(l, i);
  err = EAGAIN;
  for (int try = 0; err == EAGAIN && try < TRIES; try++) {
    db_read_end(t->db);
    err = db_read(t->db, d.document, d.offset, (size_t)d.size, &bytes, &got);
  }
  if (err == 0 && got < (size_t)d.size) err = EIO;
  if (err == 0 && (err = draw_begin(t->draw, n->ino, bytes, got)) == 0) {
    h->drawing = n->size;
    h->ask = 0;
    err = EINPROGRESS;
  }
  db_read_end(t->db);
  return err == EAGAIN ? EIO : err;
}

void tree_drawn(struct tree *t) {
  struct text drawn;
  uint64_t ino;
  while (draw_next(t->draw, &ino, &drawn) != EAGAIN) {
    struct held *h = *find_held(t, ino);
    if (h != NULL && t->db != NULL && h->opens > 0) keep_drawn(t, h, &drawn, h->drawing);
    if (h != NULL) h->drawing = 0;
    text_free(&drawn);
  }
}

/* What a page says, made by the first who reads it; each further opening of a document's page is an access too. */
static int ready_page(struct tree *t, struct held *h, const struct tree_node *n) {
  int64_t version = version_of(t);
  struct text text;
  const void *bytes;
  size_t got;
  int err = 0;
  if (h->text.p == NULL && n->page == TREE_DRAWN) return h->drawing ? EINPROGRESS : draw_document(t, h, n);
  if (h->text.p == NULL) {
    if ((err = make_page(t, n, &text)) == 0) keep_page(h, &text, version);
  } else if (h->ask && n->page == TREE_DRAWN) {
    err = db_read(t->db, n->document, n->offset, 1, &bytes, &got);
    db_read_end(t->db);
  }
  if (err == 0) h->ask = 0;
  return err == EAGAIN ? EIO : err;
}

int tree_open(struct tree *t, uint64_t ino, int *how) {
  struct tree_node n;
  const void *bytes;
  size_t got;
  *how = 0;
  int err = tree_get(t, ino, &n);
  struct held *h = err == 0 ? *find_held(t, ino) : NULL;
  if (err == 0 && (h == NULL || !tree_is_file(&n))) err = EISDIR;
  if (err == 0 && n.kind == TREE_PAGE) {
    if (h->gone) text_free(&h->text);
    h->gone = 0;
    h->ask = h->text.p != NULL || h->drawing;
    *how = TREE_DIRECT;
  } else if (err == 0 && h->cached) {
    err = tree_read(t, ino, 0, 0, &bytes, &got);
    tree_read_end(t);
    *how = TREE_CACHED;
  }
  if (err != 0) return err;
  h->opens++;
  t->opens++;
  return 0;
}

void tree_close(struct tree *t, uint64_t ino) {
  struct held *h = *find_held(t, ino);
  if (h == NULL || h->opens == 0) return;
  t->opens--;
  if (--h->opens == 0) text_free(&h->text);
}
int tree_has_open(const struct tree *t) { return t->opens > 0; }

int tree_open_left(struct tree *t, int (*gone)(void *arg, uint64_t ino), void *arg) {
  int left = 0;
  for (size_t i = 0; i < t->buckets; i++)
    for (struct held *h = t->bucket[i]; h != NULL; h = h->next) {
      if (h->opens == 0 || h->gone) continue;
      h->gone = gone(arg, h->node.ino);
      left += !h->gone;
    }
  return left;
}

static int by_patient(const void *x, const void *y) {
  int64_t a = (*(struct held *const *)x)->node.patient, b = (*(struct held *const *)y)->node.patient;
  return a < b ? -1 : a > b;
}
/* The open documents, patient after patient, so that each patient is listed once. NULL: none, or no memory. */
static struct held **open_ones(struct tree *t, size_t *n) {
  struct held **all = t->opens > 0 ? malloc(t->opens * sizeof *all) : NULL;
  *n = 0;
  for (size_t i = 0; all != NULL && i < t->buckets; i++)
    for (struct held *h = t->bucket[i]; h != NULL; h = h->next)
      if (h->opens > 0) all[(*n)++] = h;
  if (all != NULL) qsort(all, *n, sizeof *all, by_patient);
  return all;
}

void tree_gone(struct tree *t, int (*gone)(void *arg, uint64_t ino), void *arg) {
  struct tree_node n;
  size_t opens;
  int64_t now = now_ms(), version = version_of(t);
  if (version >= 0 && version == t->looked_version && now - t->looked_at < TREE_RIGHT_MS) return;
  struct held **all = open_ones(t, &opens);
  if (all == NULL) return;
  t->looked_at = now;
  t->looked_version = version;
  for (size_t i = 0; i < opens; i++) {
    struct held *h = all[i];
    int was_gone = h->gone;
    h->gone = tree_get(t, h->node.ino, &n) != 0 || (n.kind == TREE_PAGE && (was_gone || is_outdated(t, h)));
    if (!h->gone || was_gone) continue;
    h->gone = gone(arg, h->node.ino);
    if (h->gone) h->cached = 0;
    else t->looked_at = 0;
  }
  free(all);
}

/* The listing of a patient no longer holds. */
static void drop_listing(struct tree *t, int64_t patient) {
  drop(t, slot_of(t, patient));
}

static int read_page(struct tree *t, struct held *h, int64_t offset, size_t size, const void **bytes, size_t *n) {
  struct tree_node now;
  if (h->gone || tree_get(t, h->node.ino, &now) != 0) return ESTALE;
  int sniffs = now.page != PAGE_NOTICE && offset <= PAGE_SNIFFED && size <= (size_t)(PAGE_SNIFFED - offset);
  int err = sniffs ? 0 : is_outdated(t, h) ? ESTALE : ready_page(t, h, &now);
  if (err) return err;
  size_t length = sniffs ? PAGE_SNIFFED : h->text.n;
  if (offset >= (int64_t)length) return 0;
  *bytes = (sniffs ? page_sniffed() : h->text.p) + offset;
  *n = length - (size_t)offset < size ? length - (size_t)offset : size;
  return 0;
}

int tree_read(struct tree *t, uint64_t ino, int64_t offset, size_t size, const void **bytes, size_t *n) {
  struct tree_node node;
  *bytes = NULL;
  *n = 0;
  int err = get_held(t, ino, &node);
  if (err) return err;
  if (!tree_is_file(&node)) return EISDIR;
  if (offset < 0) return EINVAL;
  struct held *h = *find_held(t, ino);
  if (node.kind == TREE_PAGE) return read_page(t, h, offset, size, bytes, n);
  if (offset >= node.size) return 0;
  if ((int64_t)size > node.size - offset) size = (size_t)(node.size - offset);
  err = EAGAIN;
  for (int i = 0; err == EAGAIN && i < TRIES; i++) {
    tree_read_end(t);
    err = db_read(t->db, node.document, node.offset + offset, size, bytes, n);
  }
  if (err == 0 && *n < size) err = EIO;     /* the record is shorter than it said */
  if (h != NULL && err == 0) h->cached = 1;
  if (err == ESTALE) drop_listing(t, node.patient);      /* the name goes at once as well */
  return err == EAGAIN ? EIO : err;
}
void tree_read_end(struct tree *t) {
  if (t->db != NULL) db_read_end(t->db);
}
