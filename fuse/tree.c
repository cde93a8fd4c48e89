/* tree.c: see tree.h. */
#include "tree.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "db.h"
#include "listing.h"

enum { TRIES = 3, LISTINGS = 32, BUCKETS_MIN = 1024, FIRST_ENTRY = 2 };
enum { VERSION_MS = 10 };
/* How long the names of patients are believed by a lookup, which asks whether the one patient is still there. */
enum { NAMES_MS = 30000 };

struct held {                               /* a node that the kernel knows */
  struct tree_node node;
  uint64_t references;
  unsigned opens;                           /* descriptors and mappings */
  int cached, gone;                         /* the kernel may have pages; they were dropped because the right ended */
  struct held *next;
};
struct tree {
  struct db *db;                            /* borrowed */
  struct held **bucket;                     /* owned, chained */
  size_t buckets, nodes;
  unsigned opens;                           /* of all nodes */
  int64_t version, version_at;              /* the record's state, and when it was asked for */
  int64_t looked_at, looked_version;        /* when and at which state tree_gone() last looked */
  struct listing *patients;                 /* owned; may be old or NULL */
  struct listing *documents[LISTINGS];      /* owned; of the patients looked at last */
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

int tree_new(struct tree **out, struct db *db) {
  *out = NULL;
  struct tree *t = calloc(1, sizeof *t);
  if (t == NULL) return ENOMEM;
  t->db = db;
  t->buckets = BUCKETS_MIN;
  t->bucket = calloc(t->buckets, sizeof *t->bucket);
  if (t->bucket == NULL) {
    free(t);
    return ENOMEM;
  }
  *out = t;
  return 0;
}

void tree_free(struct tree *t) {
  if (t == NULL) return;
  for (size_t i = 0; i < t->buckets; i++)
    for (struct held *h = t->bucket[i], *next; h != NULL; h = next) {
      next = h->next;
      free(h);
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

/* Ids are positive 63-bit numbers: a document has its own, a patient has the top bit too. A folder's is a mix of
 * patient and folder number; should it meet another node's, which takes billions of folders, tree_hold() refuses it. */
static const uint64_t TOP = (uint64_t)1 << 63;
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

static struct tree_node root_node(void) { return (struct tree_node){ .ino = TREE_ROOT, .kind = TREE_PATIENTS }; }
static struct tree_node patient_node(int64_t id) {
  return (struct tree_node){ .ino = (uint64_t)id | TOP, .kind = TREE_PATIENT, .patient = id };
}
/* The folder must have a row. Its date is the newest document's. */
static struct tree_node folder_node(const struct listing *l, int folder) {
  struct tree_node n = { .kind = TREE_FOLDER, .patient = l->patient, .folder = folder };
  n.ino = mix((uint64_t)l->patient + mix((uint64_t)folder + 1)) | TOP;
  for (size_t i = listing_first(l, folder); i < l->rows && l->row[i].folder == folder; i++)
    if (l->row[i].modified > n.modified) n.modified = l->row[i].modified;
  return n;
}
static struct tree_node document_node(const struct listing *l, size_t i) {
  const struct listing_row *r = &l->row[i];
  return (struct tree_node){ .ino = (uint64_t)r->id, .kind = TREE_DOCUMENT, .folder = r->folder, .patient = l->patient,
                             .document = r->id, .size = r->size, .offset = r->offset, .modified = r->modified };
}

static struct held **find_held(struct tree *t, uint64_t ino) {
  struct held **h = &t->bucket[mix(ino) & (t->buckets - 1)];
  while (*h != NULL && (*h)->node.ino != ino) h = &(*h)->next;
  return h;
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
  } else if (n->kind == TREE_FOLDER && h->node.folder != n->folder) {
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
  free(h);
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
static int add_row(void *arg, const struct db_row *row) {
  const struct adding *a = arg;
  if (a->l->patient != 0 && db_folder(a->t->db, row->folder) == NULL) return EIO;   /* the layout forgot a folder */
  return listing_add(a->l, row);
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
    l->at = now_ms();
    l->version = version_of(t);         /* before the rows: a commit in between makes it old, not wrong */
    err = patient == 0 ? db_patients(t->db, add_row, &a) : db_documents(t->db, patient, add_row, &a);
    if (err != EAGAIN) break;
  }
  if (err == 0) err = listing_finish(l);
  if (err == 0) *out = l;
  else listing_release(l);
  return err == EAGAIN ? EIO : err;
}

/* Where the listing of a patient is kept, or the one that has been kept longest. */
static struct listing **slot_of(struct tree *t, int64_t patient) {
  if (patient == 0) return &t->patients;
  struct listing **oldest = &t->documents[0];
  for (size_t i = 0; i < LISTINGS; i++) {
    struct listing **slot = &t->documents[i];
    if (*slot == NULL) oldest = slot;
    else if ((*slot)->patient == patient) return slot;
    else if (*oldest != NULL && (*slot)->at < (*oldest)->at) oldest = slot;
  }
  return oldest;
}

/* A listing young enough to be believed; borrowed until the next call. patient 0: the patients. */
static int current(struct tree *t, int64_t patient, const struct listing **out) {
  struct listing **slot = slot_of(t, patient), *l;
  if (!is_fresh(t, *slot) || (*slot)->patient != patient) {
    int err = load(t, patient, &l);
    if (err) return err;
    listing_release(*slot);
    *slot = l;
  }
  *out = *slot;
  return 0;
}

struct one_patient { int found; char name[LISTING_NAME_MAX + 1]; };
static int take_patient(void *arg, const struct db_row *row) {
  struct one_patient *one = arg;
  one->found = 1;
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

/* A name that stands alone in an older listing, of a patient who is still there under it: no need to list all the
 * others. */
static int known_patient(struct tree *t, const char *name, struct tree_node *out) {
  const struct listing *l = t->patients;
  struct one_patient one;
  if (l == NULL || is_fresh(t, l) || now_ms() - l->at >= NAMES_MS) return 0;
  size_t i = listing_find(l, 0, name);
  if (i == l->rows || ask_patient(t, l->row[i].id, &one) != 0) return 0;
  int same = strcmp(one.name, name) == 0;
  explicit_bzero(&one, sizeof one);
  *out = patient_node(l->row[i].id);
  return same;
}

static int find_patient(struct tree *t, const char *name, struct tree_node *out) {
  const struct listing *l;
  if (known_patient(t, name, out)) return 0;
  int err = current(t, 0, &l);
  if (err) return err;
  size_t i = listing_find(l, 0, name);
  if (i == l->rows) return ENOENT;
  *out = patient_node(l->row[i].id);
  return 0;
}

static int has_folder(const struct listing *l, int folder) {
  size_t i = listing_first(l, folder);
  return i < l->rows && l->row[i].folder == folder;
}

static int find_folder(struct tree *t, int64_t patient, const char *name, struct tree_node *out) {
  const struct listing *l;
  int err = current(t, patient, &l);
  for (int f = 0; err == 0 && f < DB_FOLDER_MAX; f++)
    if (db_folder(t->db, f) != NULL && strcmp(db_folder(t->db, f), name) == 0 && has_folder(l, f)) {
      *out = folder_node(l, f);
      return 0;
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
  return 0;
}

int tree_lookup(struct tree *t, uint64_t parent, const char *name, struct tree_node *out) {
  struct tree_node p;
  int err = get_held(t, parent, &p);
  if (err) return err;
  switch (p.kind) {
    case TREE_PATIENTS: err = find_patient(t, name, out); break;
    case TREE_PATIENT: err = find_folder(t, p.patient, name, out); break;
    case TREE_FOLDER: err = find_document(t, &p, name, out); break;
    default: err = ENOTDIR;
  }
  return err ? err : tree_hold(t, out);
}

int tree_get(struct tree *t, uint64_t ino, struct tree_node *out) {
  const struct listing *l;
  struct one_patient one;
  int err = get_held(t, ino, out);
  if (err || out->kind == TREE_PATIENTS) return err;
  if (out->kind == TREE_PATIENT) {
    if (is_fresh(t, t->patients)) return listing_find_id(t->patients, out->patient) < t->patients->rows ? 0 : ENOENT;
    err = ask_patient(t, out->patient, &one);
    explicit_bzero(&one, sizeof one);
    return err;
  }
  if ((err = current(t, out->patient, &l)) != 0) return err;
  if (out->kind == TREE_FOLDER) {
    if (!has_folder(l, out->folder)) return ENOENT;
    *out = folder_node(l, out->folder);
    return 0;
  }
  size_t i = listing_find_id(l, out->document);
  if (i == l->rows) return ENOENT;
  *out = document_node(l, i);
  return 0;
}

/* ---- directories ---- */

int tree_opendir(struct tree *t, uint64_t ino, struct tree_dir **out) {
  struct tree_node n;
  *out = NULL;
  int err = tree_get(t, ino, &n);
  if (err) return err;
  if (n.kind == TREE_DOCUMENT) return ENOTDIR;
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

/* The next folder that has documents, from number *i on. */
static int next_folder(const struct tree *t, const struct tree_dir *d, uint64_t *i, struct tree_node *out,
                       const char **name) {
  for (; *i < DB_FOLDER_MAX; ++*i) {
    int folder = (int)*i;
    if (db_folder(t->db, folder) == NULL || !has_folder(d->l, folder)) continue;
    *out = folder_node(d->l, folder);
    *name = db_folder(t->db, folder);
    ++*i;
    return 0;
  }
  return ENOENT;
}

/* The next row of the directory, from the *i-th on. */
static int next_row(const struct tree_dir *d, uint64_t *i, struct tree_node *out, const char **name) {
  size_t first = d->node.kind == TREE_FOLDER ? listing_first(d->l, d->node.folder) : 0;
  if (*i >= d->l->rows - first) return ENOENT;
  size_t at = first + (size_t)*i;
  if (d->node.kind == TREE_FOLDER && d->l->row[at].folder != d->node.folder) return ENOENT;
  *out = d->node.kind == TREE_FOLDER ? document_node(d->l, at) : patient_node(d->l->row[at].id);
  *name = listing_name(d->l, at);
  ++*i;
  return 0;
}

/* Whether an entry of an older listing is still there under this name. 0, ENOENT, or another errno. */
static int still(struct tree *t, const struct tree_dir *d, const struct tree_node *n, const char *name) {
  const struct listing *l;
  int err = current(t, d->node.patient, &l);
  if (err) return err;
  if (n->kind == TREE_FOLDER) return has_folder(l, n->folder) ? 0 : ENOENT;
  size_t i = listing_find(l, n->folder, name);
  int64_t id = n->kind == TREE_PATIENT ? n->patient : n->document;
  return i < l->rows && l->row[i].id == id ? 0 : ENOENT;
}

int tree_readdir(struct tree *t, struct tree_dir *d, uint64_t *at, struct tree_node *out, const char **name) {
  if (t->db == NULL) return ESTALE;
  int err = *at == 0 || d->l == NULL ? begin(t, d) : 0;
  if (err) return err;
  if (*at < FIRST_ENTRY) {
    *name = *at == 0 ? "." : "..";
    *out = *at == 0 ? d->node : d->node.kind == TREE_FOLDER ? patient_node(d->node.patient) : root_node();
    ++*at;
    return 0;
  }
  do {
    uint64_t i = *at - FIRST_ENTRY;
    err = d->node.kind == TREE_PATIENT ? next_folder(t, d, &i, out, name) : next_row(d, &i, out, name);
    if (err) return err;
    *at = i + FIRST_ENTRY;
    if (!is_fresh(t, d->l)) err = still(t, d, out, *name);
  } while (err == ENOENT);
  return err;
}

/* ---- bytes ---- */

int tree_open(struct tree *t, uint64_t ino, int *cached) {
  struct tree_node n;
  const void *bytes;
  size_t got;
  *cached = 0;
  int err = tree_get(t, ino, &n);
  struct held *h = err == 0 ? *find_held(t, ino) : NULL;
  if (err == 0 && (h == NULL || n.kind != TREE_DOCUMENT)) err = EISDIR;
  if (err == 0 && h->cached) {
    err = tree_read(t, ino, 0, 1, &bytes, &got);
    tree_read_end(t);
  }
  if (err != 0) return err;
  *cached = h->cached;
  h->opens++;
  t->opens++;
  return 0;
}

void tree_close(struct tree *t, uint64_t ino) {
  struct held *h = *find_held(t, ino);
  if (h == NULL || h->opens == 0) return;
  h->opens--;
  t->opens--;
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

void tree_gone(struct tree *t, int (*gone)(void *arg, uint64_t ino), void *arg) {
  struct tree_node n;
  int64_t now = now_ms(), version = version_of(t);
  if (version >= 0 && version == t->looked_version && now - t->looked_at < TREE_LISTING_MS) return;
  t->looked_at = now;
  t->looked_version = version;
  for (size_t i = 0; i < t->buckets; i++)
    for (struct held *h = t->bucket[i]; h != NULL; h = h->next) {
      if (h->opens == 0) continue;
      int was_gone = h->gone;
      h->gone = tree_get(t, h->node.ino, &n) != 0;
      if (!h->gone || was_gone) continue;
      h->gone = gone(arg, h->node.ino);
      if (h->gone) h->cached = 0;
      else t->looked_at = 0;
    }
}

int tree_read(struct tree *t, uint64_t ino, int64_t offset, size_t size, const void **bytes, size_t *n) {
  struct tree_node node;
  *bytes = NULL;
  *n = 0;
  int err = get_held(t, ino, &node);
  if (err) return err;
  if (node.kind != TREE_DOCUMENT) return EISDIR;
  if (offset < 0) return EINVAL;
  if (offset >= node.size) return 0;
  if ((int64_t)size > node.size - offset) size = (size_t)(node.size - offset);
  err = EAGAIN;
  for (int i = 0; err == EAGAIN && i < TRIES; i++) {
    tree_read_end(t);
    err = db_read(t->db, node.document, node.offset + offset, size, bytes, n);
  }
  if (err == 0 && *n < size) err = EIO;     /* the record is shorter than it said */
  struct held *h = *find_held(t, ino);
  if (h != NULL && err == 0) h->cached = 1;
  if (err == ESTALE) {                      /* the name goes at once as well */
    struct listing **slot = slot_of(t, node.patient);
    listing_release(*slot);
    *slot = NULL;
  }
  return err == EAGAIN ? EIO : err;
}
void tree_read_end(struct tree *t) {
  if (t->db != NULL) db_read_end(t->db);
}
