/* reader.c: documents being read (see reader.h). */
#include "reader.h"
#include "access.h"
#include "deposit.h"
#include "document.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

/* Only what reading needs outlives the opening. id 0: none; until: when the right to the patient ends, 0: it does not. */
struct opened { struct recent_head head; unsigned generation; int64_t id, patient, until; uint64_t version, original; int hidden; /* from representatives */ struct body body; };

void reader_forget(struct recent *all) {
  for (size_t i = 0; i < all->n; i++) body_close(&((struct opened *)recent_at(all, i))->body);
  recent_free(all);
}

static void opened_drop(struct opened *d) {
  struct recent_head h = d->head;
  body_close(&d->body);
  memset(d, 0, sizeof *d);
  d->head = h;
}

static int opened_slot(struct session *s, int64_t id, struct opened **out) {
  s->opened.unit = sizeof **out;
  struct opened *d = recent_room(&s->opened, (uint64_t)id);
  if (d == NULL) return DMP_E_LOCK;
  if (d->id != id) opened_drop(d);
  recent_take(&s->opened, d, (uint64_t)id);
  *out = d;
  return DMP_OK;
}

/* The signature and the root are proven once: chunks of the same version are what was signed. */
static int opened_body(struct session *s, struct patient *p, const struct item *it, struct opened *d) {
  if (d->id == it->id && d->version == it->version && suite_equal(d->body.key, it->body_key, 32)) return DMP_OK;
  body_close(&d->body);
  return body_check(s, p, it, &d->body);
}

static int reader_open(struct session *s, int64_t id, struct opened **out) {
  struct patient *p;
  struct item it;
  struct opened *d;
  int e = opened_slot(s, id, out);
  if (e != DMP_OK) return e;
  d = *out;
  if (d->id == id && d->generation == s->generation && (d->until == 0 || record_now() <= d->until)) return DMP_OK;
  e = object_find(s, id, &p, &it);
  if (e == DMP_OK) {
    if (it.c.table != ITEM_DOCUMENT || it.deleted) e = DMP_E_NOT_FOUND;
    if (e == DMP_OK) e = opened_body(s, p, &it, d);
    if (e == DMP_OK) e = document_original_size(&it, &d->original);
    if (e == DMP_OK) {
      d->id = id;
      d->version = it.version;
      d->patient = p->id;
      d->hidden = deposit_hidden(&it);
      d->until = p->expires;
      d->generation = s->generation;
    }
    item_close(&it);
  }
  if (e != DMP_OK) opened_drop(d);
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
  struct opened *d;
  struct patient *p;
  struct access a = { 0 };
  int e = reader_open(s, document, &d);
  if (e == DMP_E_NOT_FOUND) return reader_refused(s, document);
  if (e == DMP_OK) e = patient_get(s, d->patient, &p);
  if (e == DMP_OK) e = access_object(s, &a, p, LOG_READ, document, d->hidden);
  if (e == DMP_OK) e = access_flush(s, &a);
  access_free(&a);
  if (e != DMP_OK) return e;
  uint64_t end = original ? d->original : d->body.size;
  if (offset >= end) return DMP_OK;
  return body_read(s, &d->body, offset, size < end - offset ? size : end - offset, out);
}
