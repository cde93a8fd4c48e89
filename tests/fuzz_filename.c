/* fuzz_filename.c: libFuzzer target. Aborts when a name made from any bytes breaks a promise of filename.h. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "filename.h"
#include "syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char name[DMP_NAME_MAX + 1], again[DMP_NAME_MAX + 1];
  if (filename_safe((const char *)data, size, name) != 0) abort();
  size_t n = strlen(name);
  if (n == 0 || n > DMP_NAME_MAX || !syntax_utf8(name, n)) abort();
  if (strpbrk(name, "<>:\"/\\|?*") != NULL || name[0] == '.' || name[n - 1] == '.' || name[n - 1] == ' ') abort();
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F) abort();
  if (filename_safe(name, n, again) != 0 || strcmp(again, name) != 0) abort();
  return 0;
}
