/* audit.h: what the access log says that each state and keyset row is, and whether the row in the file is that one.
 * Owns: the entries of one check.  Never: SQL, the log's layout; who may have written (its caller says). */
#ifndef AUDIT_H
#define AUDIT_H
#include "log.h"

struct audit_entry { uint16_t table; int64_t id; size_t order; uint8_t hash[16], tag[16]; int known; enum log_kind outcome; };
struct audit { struct audit_entry *e; size_t n, cap; int bad; /* out of memory */ };
enum audit_verdict { AUDIT_SAME, AUDIT_UNLOGGED, AUDIT_DIFFERENT, AUDIT_PUT_BACK };

void audit_add(struct audit *a, const struct log_row *row, enum log_kind outcome, const uint8_t *tag);
void audit_sort(struct audit *a);                     /* after the last add, before the first judge */
/* hash: BLAKE2b-128 of the row as it is in the file; NULL: the row is not there. believed: whether an entry's writer counts; NULL:
 * all do. The last committed entry must be the row, or one after it whose outcome nobody told. An entry that repeats the hash of
 * an earlier one is a row put back: no two seals are alike. */
enum audit_verdict audit_judge(const struct audit *a, uint16_t table, int64_t id, const uint8_t *hash,
                               int (*believed)(void *ctx, const struct audit_entry *e), void *ctx);
/* Calls each row's first entry. */
void audit_each(const struct audit *a, void (*each)(void *ctx, const struct audit_entry *e), void *ctx);
void audit_free(struct audit *a);
#endif
