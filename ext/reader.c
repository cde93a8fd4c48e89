/* reader.c: documents being read (see reader.h). */
#include "reader.h"
#include "access.h"
#include "deposit.h"
#include "document.h"
#include "memory.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { OPENED = 16 };
struct opened_one { unsigned generation, tick; int64_t id, patient, until; uint64_t version, original; int hidden; /* from representatives */ struct item it; };
struct opened { struct opened_one d[OPENED]; unsigned tick; };

/* Only what body_read needs outlives the opening: keys, id, size. */
static void opened_keep(struct opened_one *d, const struct item *it) {
  struct item *k = &d->it;
  memset(k, 0, sizeof *k);
  k->id = it->id;
  k->version = it->version;
  memcpy(k->body_key, it->body_key, 32);
  k->c.body_size = it->c.body_size;
  d->version = it->version;
}

static struct opened_one *opened_slot(struct session *s, int64_t id) {
  struct opened_one *oldest = &s->opened->d[0];
  for (int i = 0; i < OPENED; i++) {
    struct opened_one *d = &s->opened->d[i];
    if (d->id == id) return d;
    if (d->tick < oldest->tick) oldest = d;
  }
  memset(oldest, 0, sizeof *oldest);
  return oldest;
}

static int reader_open(struct session *s, int64_t id, struct opened_one **out) {
  struct patient *p;
  struct item it;
  if (s->opened == NULL && (s->opened = memory_new(sizeof *s->opened)) == NULL) return DMP_E_LOCK;
  struct opened_one *d = opened_slot(s, id);
  *out = d;
  d->tick = ++s->opened->tick;
  if (d->id == id && d->generation == s->generation && (d->until == 0 || record_now() <= d->until)) return DMP_OK;
  int e = object_find(s, id, &p, &it);
  if (e == DMP_OK) {
    if (it.c.table != ITEM_DOCUMENT || it.deleted) e = DMP_E_NOT_FOUND;
    /* signature and root once: the same version's chunks are each bound to the body key */
    if (e == DMP_OK && !(d->id == id && d->version == it.version)) e = body_check(s, p, &it);
    if (e == DMP_OK) e = document_original_size(&it, &d->original);
    if (e == DMP_OK) {
      opened_keep(d, &it);
      d->id = id;
      d->patient = p->id;
      d->hidden = deposit_hidden(&it);
      d->until = p->expires;
      d->generation = s->generation;
    }
    item_close(&it);
  }
  if (e != DMP_OK) memset(d, 0, sizeof *d);
  return e;
}

/* An attempt on a document that is not there for this login: a line of its own chain. */
static int reader_refused(struct session *s, int64_t id) {
  struct access a = { 0 };
  int e = access_refused(s, &a, NULL, 0, id);
  if (e == DMP_OK) e = access_flush(s, &a);
  access_free(&a);
  return e == DMP_OK ? DMP_E_NOT_FOUND : e;
}

int reader_read(struct session *s, int64_t document, uint64_t offset, uint64_t size, int original, struct buf *out) {
  struct opened_one *d;
  struct patient *p;
  struct access a = { 0 };
  int e = reader_open(s, document, &d);
  if (e == DMP_E_NOT_FOUND) return reader_refused(s, document);
  if (e == DMP_OK) e = patient_get(s, d->patient, &p);
  if (e == DMP_OK) e = access_object(s, &a, p, LOG_READ, document, d->hidden);
  if (e == DMP_OK) e = access_flush(s, &a);
  access_free(&a);
  if (e != DMP_OK) return e;
  uint64_t end = original ? d->original : d->it.c.body_size;
  if (offset >= end) return DMP_OK;
  return body_read(s, &d->it, offset, size < end - offset ? size : end - offset, out);
}
