/* compartment.h: rows of a practice's tables that lie in their patients' compartments (dmp_protect with `patient=`).
 * Owns: the keys of rows by patient and leaf, who a value of the patient's column is, moving a patient's rows when a key turns.
 * Never: which columns a row has (protect.h); the application's queries (protected.h); who may be given a key (rights.h).
 * A row's box is sealed under KDF(leaf, "row" ‖ table id) or, where its writer holds no such leaf, to the leaf's public deposit key.
 * Nothing beside the box tells the leaf: those that the login holds are tried in turn. Plaintext: flags u8 · row values. */
#ifndef COMPARTMENT_H
#define COMPARTMENT_H
#include "grant.h"
#include "protect.h"


/* Keys of one table's rows as this login holds them, by patient; in locked memory. */
struct rowkeys;
struct rowkeys *rowkeys_new(void);
void rowkeys_free(struct rowkeys *k);

/* Where a row lies: in a leaf of a patient's compartment, or (patient 0) under the table's own key. */
struct rowplace { int64_t patient; uint8_t leaf; /* diverted: where it was meant to lie */ };
/* One row, whatever key it lies under. k: the table's key, NULL when this login does not hold it; rows: NULL for a table without a
 * patient's column; who: the value of that column. DMP_E_NO_TABLE_KEY: the row is not for this login. */
int compartment_row_open(struct session *s, const struct protect *p, struct protect_keys *k, struct rowkeys *rows, const struct value *who,
                         int64_t rowid, const void *box, size_t n, struct buf *scratch, const uint8_t **row, size_t *len, struct rowplace *out);
int compartment_row_seal(struct session *s, const struct protect *p, struct protect_keys *k, struct rowkeys *rows, const struct value *who,
                         int64_t rowid, int leaf, const struct buf *row, struct buf *box);

/* Every protected table's rows of the patient that lie in one leaf of a class, from one key to another: part of turning a key. */
int compartment_turn(struct session *s, struct patient *pt, uint16_t cls, struct leaf *from, struct leaf *to);
/* The rows that lie masked only because the class was due go where they were meant. */
int compartment_settle(struct session *s, struct patient *pt, uint16_t cls);
#endif
