/* row.h: typed values <-> bytes. A row is: count u16, then for each value type u8 (0 NULL, 1 integer, 2 real, 3 text,
 * 4 blob) and its bytes (integer and real 8; text and blob u32 length and bytes).
 * Owns: nothing; values borrow from the bytes they were read from.  Never: SQL, cryptography. */
#ifndef ROW_H
#define ROW_H
#include "bytes.h"

enum value_type { VALUE_NULL = 0, VALUE_INT, VALUE_REAL, VALUE_TEXT, VALUE_BLOB };
struct value { uint8_t type; uint32_t n; union { int64_t i; double r; const uint8_t *p; } u; };

void row_put(struct buf *b, const struct value *v, size_t n);             /* appends one row */
/* Reads at most max values of the row at the start of p; *used = its length in bytes, *count = its number of values.
 * Lazily: one pass over lengths, nothing is copied. Columns past *count are NULL. 0, or DMP_E_ROW_FORMAT. */
int  row_get(const uint8_t *p, size_t n, struct value *v, size_t max, size_t *count, size_t *used);

struct value value_int(int64_t i);
struct value value_text(const char *s);               /* NULL gives VALUE_NULL */
struct value value_bytes(uint8_t type, const void *p, size_t n);
int value_compare(const struct value *a, const struct value *b);  /* SQLite's order: NULL < numbers < text < blob, BINARY */
#endif
