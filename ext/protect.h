/* protect.h: protected tables of a practice: what is sealed, and under which key.
 * Owns: descriptions (rows of dmp_sealed).
 * Never: who holds a key (protect_reader.h), boxes (protect_row.h), SQL of the table itself (protected.c), protecting one (convert.c).
 * A description stands in clear (the shadow's schema says the same), is signed, and carries a MAC under the table's live key: that a holder
 * wrote it, every holder checks. */
#ifndef PROTECT_H
#define PROTECT_H
#include "session.h"
#include "row.h"

enum { PROTECT_COLUMNS = 256, PROTECT_NAME = 128, PROTECT_TEXT = 1024 };
enum { PROTECT_NULL = 0, PROTECT_HIDE = 1 };          /* what somebody without the key meets: NULL, or no row */
enum { PCOL_SEALED = 1, PCOL_NOTNULL = 2, PCOL_ROWID = 4 /* INTEGER PRIMARY KEY: the rowid itself */, PCOL_GENERATED = 8,
       PCOL_PK = 16 /* of a key that is not the rowid */, PCOL_STRICT = 32, PCOL_INDEXED = 64 /* sealed, with a keyed equality index */,
       PCOL_PATIENT = 128 /* names the patient whose compartment's key seals the row */ };
#define PROTECT_SUFFIX "_dmp"                         /* the shadow's name: table + suffix */
#define PROTECT_BOX "_dmp"                            /* the shadow's column that holds the box */

#define PROTECT_MASKED "dmp_masked"                    /* hidden column of a table whose rows lie in compartments: 1 in a masked leaf */
#define PROTECT_INDEX "_dmpx_"                        /* the shadow's column with the keyed values of a sealed one: this + its name */
#define PROTECT_ID "_dmpid"                           /* the shadow's primary key where the table has no INTEGER PRIMARY KEY */

struct pcol { char name[PROTECT_NAME], decl[PROTECT_NAME], coll[32], dflt[PROTECT_TEXT]; uint8_t flags; };
struct protect {
  int64_t id;                                         /* row of dmp_sealed */
  char table[PROTECT_NAME];
  uint8_t without_key, autoincrement, scrub_due, checked;   /* checked: a CHECK names sealed columns */
  uint8_t kid[16];                                    /* of the live key */
  uint8_t old_kid[16];                                /* zero, or of the key that rows above `turned` may still lie under */
  int64_t turned;                                     /* rows up to this rowid lie under the live key, while the key turns */
  uint16_t class_id;                                  /* of the compartments, where a column is PCOL_PATIENT; else 0 */
  char type[32];                                      /* the type code whose class that is */
  char system[PROTECT_NAME];                          /* of the local identifiers that this column holds; "": the record's patient ids */
  uint32_t columns;
  struct pcol *c;                                     /* owned */
  char *ddl;                                          /* owned: CREATE TABLE as it was, then indexes that gave way: ;U or ;I, "name", (…) */
  uint8_t watched[32];                                /* hash of the views and triggers that name the table, or a view that does */
  uint8_t signer[32];                                 /* hash of the certificate that signed */
  uint8_t digest[32];                                 /* of the bytes it was read from */
  uint8_t content[32], mac[32];                       /* of those before the MAC; the MAC under KDF(live key, "description") */
  int proven;                                         /* the signature of those bytes was checked */
};
void protect_free(struct protect *p);
const char *protect_rowid(const struct protect *p);   /* the shadow's column that is its rowid */
const char *protect_alias(const struct protect *p);   /* a name of the rowid that no column has taken; NULL: none, or the table has no rowid */
const char **protect_sealed(const struct protect *p); /* names of the sealed columns, up to NULL; free() the list; NULL: no memory */
const char *protect_patient(const struct protect *p); /* the column that names the patient; NULL: rows lie under the table's key */
/* Reads the description of a table; DMP_E_NOT_FOUND. Without its signature: what the host says, before there is a session. */
int  protect_get(struct record *r, const char *table, struct protect *out);
int  protect_proven(struct session *s, const char *table, struct protect *out);   /* its signature verifies */
/* Reads again what may change under a table that stays: its keys' ids, how far one has turned. The signature of what was not proven
 * yet is checked, and that it means the same columns and rules. */
int  protect_again(struct session *s, struct protect *p);
/* Calls each with every protected table's description; nonzero stops. */
int  protect_each(struct record *r, int (*each)(void *ctx, const struct protect *p), void *ctx);
int  protect_each_proven(struct session *s, int (*each)(void *ctx, const struct protect *p), void *ctx);

/* What a login holds of a table; lives in locked memory. The subkeys are those of the block of 65,536 rows last met. */
enum { PROTECT_NONCES = 32 };
struct protect_sub {
  int64_t block;
  int ready;
  uint8_t loc[16];
  struct suite_key key;
  size_t drawn, left;                                 /* nonces drawn ahead */
  uint8_t nonce[PROTECT_NONCES * SUITE_NONCE_XCHACHA];
};
struct protect_keys { uint8_t live[32], old[32] /* while the key turns; else zero */; struct protect_sub live_sub, old_sub; };
int  protect_by_holder(struct session *s, const struct protect *p, const struct protect_keys *k);   /* DMP_E_PROTECT_BAD: no holder wrote it */
/* Signs and writes: INSERT when p->id is 0. k: the keys as p says them. */
int  protect_put(struct session *s, struct protect *p, const struct protect_keys *k);
#endif
