/* protect_row.h: one row of a protected table under the table's own key.
 * Owns: the row's box, which of two keys serves it while one turns, the keyed values of indexes.
 * Never: rows in compartments (compartment.h); what a row's values are (row.h).
 * A row's sealed columns are one box under KDF(K, table id ‖ rowid >> 16), associated data kind BOX_PROTECTED, id = rowid, loc = locator of the
 * key. A key that turns: rows up to `turned` lie under the new one, rows above it under the old one or, written since, the new one. */
#ifndef PROTECT_ROW_H
#define PROTECT_ROW_H
#include "protect.h"

/* One row: sealed under the live key, opened by the one that its place in a rotation asks for. */
int  protect_seal(struct session *s, const struct protect *p, struct protect_keys *k, int64_t rowid, const struct buf *row, struct buf *box);
void protect_nonces_drop(struct protect_keys *k);     /* at the begin of each transaction: nothing is drawn ahead of what writes it */
int  protect_open(struct session *s, const struct protect *p, struct protect_keys *k, int64_t rowid, const void *box, size_t n,
                  struct buf *scratch, const uint8_t **row, size_t *len);
/* What stands in the keyed index of a column for a value that is not NULL: PRF(KDF(key, table id ‖ "index" ‖ column), value), the
 * same for all values that are equal under the column's collation. ix: the caller's cache of the column's key, or NULL. */
struct protect_ix { int ready; uint8_t key[SUITE_PRF]; };
int  protect_index(const struct protect *p, const uint8_t key[32], struct protect_ix *ix, uint32_t column, const struct value *x, uint8_t out[SUITE_PRF]);
#endif
