/* fuzz_row.c: libFuzzer target. Aborts when arbitrary bytes break a promise of row.h: values stay inside the bytes, and
 * a row that is read is written back as the same bytes.
 * clang -fsanitize=fuzzer,address tests/fuzz_row.c ext/{row,bytes}.c -Iinclude -Iext */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FEW = 4 };

static void check_values(const struct value *v, size_t n, const uint8_t *data, size_t used) {
  for (size_t i = 0; i < n; i++) {
    if (v[i].type > VALUE_BLOB) abort();
    if (v[i].type < VALUE_TEXT || v[i].n == 0) continue;
    if (v[i].u.p < data || v[i].u.p + v[i].n > data + used) abort();
  }
  for (size_t i = 0; i + 1 < n; i++) {
    if (value_compare(&v[i], &v[i]) != 0) abort();
    if (value_compare(&v[i], &v[i + 1]) != -value_compare(&v[i + 1], &v[i])) abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct value few[FEW];
  size_t count, used, again, used_again;
  if (row_get(data, size, few, FEW, &count, &used) != 0) {
    for (size_t i = 0; i < FEW; i++) if (few[i].type != VALUE_NULL) abort();
    if (count != 0 || used != 0) abort();
    return 0;
  }
  if (used > size || count > UINT16_MAX) abort();
  check_values(few, count < FEW ? count : FEW, data, used);
  struct value *all = calloc(count + 1, sizeof *all);
  struct buf b = {0};
  if (all == NULL) return 0;
  if (row_get(data, used, all, count, &again, &used_again) != 0 || again != count || used_again != used) abort();
  check_values(all, count, data, used);
  row_put(&b, all, count);
  if (b.bad || b.n != used || memcmp(b.p, data, used) != 0) abort();
  buf_free(&b);
  free(all);
  return 0;
}
