/* import_parts.h: the parts of dmp_import.so: files found, parsed in a child, matched to a patient, deposited through
 * SQL.
 * Owns: nothing here.  Never: a key; of dmp.so's code more than bytes, syntax and the rights table: it asks the record's
 * tables like anybody. */
#ifndef IMPORT_PARTS_H
#define IMPORT_PARTS_H
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "parse.h"
#include "sqlite3ext.h"

/* Why a file is not deposited: constant sentences that carry nothing of the file. */
#define IMPORT_REFUSALS(X) \
  X(READ,        "the file can't be read") \
  X(PARSER,      "the program that parses (dmp-parse) can't be started or failed") \
  X(STOPPED,     "the file made the parser do something forbidden: it was stopped") \
  X(TIME,        "the file takes too long to parse") \
  X(NO_INS,      "identity without INS: deposit it by hand in the patient's record") \
  X(TWO_INS,     "the document names two different INS") \
  X(INS_FORM,    "the INS is malformed: it has 13 characters and a key of 2 digits") \
  X(INS_KEY,     "the key of the INS is wrong (97 minus the rest of the number divided by 97): correct the " \
                 "identity at its source") \
  X(TRAITS,      "the document lacks a trait of identity: birth name, given names, birth date and sex are needed") \
  X(UNKNOWN,     "unknown to you: register the patient, or ask for the patient's consent") \
  X(DOMAIN,      "a patient of yours has this number in another domain of INS (real, test): settle the identity first") \
  X(AMBIGUOUS,   "two of your patients have this INS: settle their identity first") \
  X(DIFFERENT,   "another document stands under this identifier with another content: an identifier belongs to " \
                 "one content") \
  X(NO_ID,       "the document has no identifier") \
  X(NO_TYPE,     "the document has no type code") \
  X(NO_TIME,     "the document has no date, or one that is impossible or gives no day") \
  X(NO_CONF,     "the document does not say how confidential it is") \
  X(CONF,        "the document has a confidentiality that is not known: it might ask to be hidden") \
  X(FORBIDDEN,   "masked for professionals and hidden from the patient at once is forbidden")
enum import_refusal {
#define IMPORT_REFUSAL(name, text) IMPORT_E_##name,
  IMPORT_REFUSALS(IMPORT_REFUSAL)
#undef IMPORT_REFUSAL
  IMPORT_REFUSAL_COUNT
};

/* One line of the result. Texts are owned, by sqlite3_malloc. */
struct import_row {
  char *file, *reason, *warning, *unique_id, *title, *credential, *pin;
  const char *state;                                  /* deposited, present, refused */
  int64_t document, patient;                          /* 0: none */
};
int  import_row_refuse(struct import_row *r, enum import_refusal why);   /* always 1 */
int  import_row_refuse_text(struct import_row *r, const char *text);     /* always 1 */
void import_row_warn(struct import_row *r, const char *text);
void import_row_free(struct import_row *r);           /* wipes the PIN; leaves an empty row */

/* Regular files below a path, sorted by name, links not followed. Descriptors are opened from their folder's. */
struct import_walk;
int  import_walk_open(const char *path, struct import_walk **out);       /* 0, or errno */
/* 1: *name (sqlite3_malloc) and *fd; fd -1: it can't be opened. 0: the end. -1: out of memory. */
int  import_walk_next(struct import_walk *w, char **name, int *fd);
void import_walk_free(struct import_walk *w);
int  import_walk_read(int fd, struct buf *out);       /* a whole regular file: 0, or a parse_refusal, or -1 */

/* What the child says of a file. Texts are NUL-terminated and valid UTF-8. */
struct import_field { int tag; const uint8_t *p; size_t n; };
struct import_result { struct buf raw; struct import_field *field; size_t n; };
/* Runs the child on the file's bytes: 0, or 1 and the row is refused. */
int  import_child_parse(const char *program, const struct buf *file, struct import_result *out, struct import_row *row);
const char *import_child_text(const struct import_result *r, enum parse_tag tag);   /* the first one; NULL: absent */
void import_child_free(struct import_result *r);

/* Who the document is about. Borrowed from the result, but for the date and the sex. */
enum { IMPORT_INS_MAX = 4 };
struct import_identity {
  const char *ins, *ins_oid[IMPORT_INS_MAX], *birth_name, *used_name, *given_names, *birth_place;
  size_t oids;
  char birth_date[16], sex[2];
};
int  import_identity_take(const struct import_result *r, struct import_identity *id, struct import_row *row);
/* NULL: the traits agree; else the name of the first that differs. Texts may be NULL. */
const char *import_identity_differs(const struct import_identity *id, const char *birth_name, const char *given_names,
                                    const char *birth_date, const char *sex, const char *birth_place);

struct import_options { int create_patients; char *keys, *schema; };     /* owned, by sqlite3_malloc */
/* Matches, checks and inserts, inside a savepoint that the caller holds: 0, or 1 and the row is refused. */
int  import_store_deposit(sqlite3 *db, const struct import_options *o, const struct import_result *r,
                          const struct buf *file, struct import_row *row);
#endif
