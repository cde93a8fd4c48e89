/* table_access.c: the table `access_right`: who can open a document or a line of a section, and why.
 * Owns: its columns.  Never: who that is (sight.h). */
#include "table.h"
#include "deposit.h"
#include "sight.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { W_DOCUMENT, W_PATIENT, W_PRINCIPAL, W_NAME, W_PROFESSION, W_WHY, W_COLUMNS };
static const struct column ACCESS_RIGHT[] = {
  [W_DOCUMENT] = { "document", "INTEGER", COL_PUSH }, [W_PATIENT] = { "patient", "INTEGER", COL_PUSH },
  [W_PRINCIPAL] = { "principal", "INTEGER", COL_PUSH }, [W_NAME] = { "name", "TEXT", 0 }, [W_PROFESSION] = { "profession", "TEXT", 0 },
  [W_WHY] = { "why", "TEXT", 0 },
};
static const struct scan DEPOSITED = { .first = CLASS_FIRST_DOCUMENT, .last = UINT16_MAX };

struct making { struct sight v; struct rows *out; int64_t document; int hidden; };

/* The same row has the same number in every statement: SQLite takes rows that it meets twice for one by it. */
static int64_t number(int64_t document, const struct reason *r) {
  uint8_t about[16 + WHY_TEXT], h[16];
  size_t n = strlen(r->why);
  le_put64(about, (uint64_t)document);
  le_put64(about + 8, (uint64_t)r->principal);
  memcpy(about + 16, r->why, n);
  suite_hash(about, 16 + n, h, 16);
  return (int64_t)(le_get64(h) >> 1);
}

static int put_reason(void *ctx, const struct reason *r) {
  struct making *m = ctx;
  struct value *row = rows_add(m->out, number(m->document, r));
  uint8_t field[16];
  char profession[8];
  if (row == NULL) return DMP_E_NOMEM;
  id_field(field, r->principal);
  const struct certificate *who = patient_who(m->v.s, m->v.p, field);
  row[W_DOCUMENT] = value_int(m->document);
  row[W_PATIENT] = value_int(m->v.p->id);
  row[W_PRINCIPAL] = value_int(r->principal);
  if (who) row[W_NAME] = rows_text(m->out, who->name);
  sqlite3_snprintf(sizeof profession, profession, "%u", who ? who->profession : 0);
  if (who && who->profession) row[W_PROFESSION] = rows_text(m->out, profession);
  row[W_WHY] = rows_text(m->out, r->why);
  m->out->hidden += (size_t)m->hidden;
  return DMP_OK;
}

static int make_item(void *ctx, struct item *it) {
  struct making *m = ctx;
  if (!item_deposited(it->c.table) || it->deleted) return DMP_OK;
  m->document = it->id;
  m->hidden = deposit_hidden(it);
  object_seen(m->v.s, it->id, m->v.p->id);
  return sight_each(&m->v, it, 0, put_reason, m);
}

static int right_make(struct session *s, struct patient *p, struct rows *out) {
  struct making m = { .out = out };
  int e = sight_begin(s, p, &m.v);
  if (e == DMP_OK && m.v.full) e = object_scan(s, p, &DEPOSITED, make_item, &m);
  sight_end(&m.v);
  return e;
}

/* Asked of one document, it must not cost more in a long record. */
static int right_make_one(struct session *s, struct patient *p, int64_t document, struct rows *out) {
  struct making m = { .out = out };
  struct item it;
  int e = sight_begin(s, p, &m.v);
  if (e == DMP_OK && m.v.full) {
    e = object_open(s, p, document, &it);
    if (e == DMP_OK) {
      e = make_item(&m, &it);
      item_close(&it);
    } else if (e == DMP_E_NOT_FOUND) {
      e = DMP_OK;
    }
  }
  sight_end(&m.v);
  return e;
}

const struct table TABLE_ACCESS_RIGHT = { .name = "access_right", .col = ACCESS_RIGHT, .columns = W_COLUMNS, .patient_col = W_PATIENT,
                                          .id_col = W_DOCUMENT, .several = 1, .listing = 1, .needs_login = 1, .make = right_make,
                                          .make_one = right_make_one };
