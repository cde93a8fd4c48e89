/* compartment.h: rows of a practice's tables that lie in their patients' compartments (dmp_protect with `patient=`).
 * Owns: the keys of rows by patient and leaf, who a value of the patient's column is, moving a patient's rows when a key turns.
 * Never: which columns a row has (protect.h); the application's queries (protected.h); who may be given a key (rights.h).
 * A row's box is sealed under KDF(leaf, "row" ‖ table id) or, where its writer holds no such leaf, to the leaf's public deposit key.
 * Nothing beside the box tells the leaf: those that the login holds are tried in turn. Plaintext: flags u8 · row values. */
#ifndef COMPARTMENT_H
#define COMPARTMENT_H
#include "grant.h"
#include "protect.h"

enum { ROW_DIVERTED = 1 };                            /* masked only because its class was due */
enum { LEAF_NONE = 255 };                             /* no leaf that this login holds opens the row */

/* Keys of one table's rows as this login holds them, by patient; in locked memory. */
struct rowkeys;
struct rowkeys *rowkeys_new(void);
void rowkeys_free(struct rowkeys *k);

/* Who a value of the patient's column names: a record's patient id, or a local identifier of the description's system.
 * *patient is 0 for NULL: such a row lies under the table's own key. DMP_E_NO_PATIENT: nobody whom this login knows. */
int compartment_patient(struct session *s, const struct protect *p, struct rowkeys *k, const struct value *v, int64_t *patient);
/* Opens a box; *leaf tells where it lay, LEAF_NONE when it is not for this login, which is no error unless it holds all leaves.
 * log: the listing of this patient is written to the access log first. */
int compartment_open(struct session *s, const struct protect *p, struct rowkeys *k, int64_t patient, int64_t rowid, const void *box, size_t n,
                     int log, struct buf *scratch, const uint8_t **row, size_t *len, uint8_t *leaf);
/* Seals row values for a leaf (0…3). In a class that is due a visible row goes masked, until the keys have turned. */
int compartment_seal(struct session *s, const struct protect *p, struct rowkeys *k, int64_t patient, int64_t rowid, int leaf,
                     const struct buf *row, struct buf *box);
/* Every protected table's rows of the patient that lie in one leaf of a class, from one key to another: part of turning a key. */
int compartment_turn(struct session *s, struct patient *pt, uint16_t cls, struct leaf *from, struct leaf *to);
/* The rows that lie masked only because the class was due go where they were meant. */
int compartment_settle(struct session *s, struct patient *pt, uint16_t cls);
#endif
