/* fuzz_credential.c: libFuzzer target. Aborts when arbitrary bytes open as a credential, or when a refusal leaves bytes
 * of a credential behind. Costs that would be paid are cut to the cheapest, so that a run stays fast.
 * clang -fsanitize=fuzzer,address tests/fuzz_credential.c ext/{credential,box,bytes,suite,random}.c -Iinclude -Iext
 *   -D_GNU_SOURCE -lsodium */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "credential.h"
#include "dmp.h"
#include "suite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 12, SLOT = 136, PAYLOAD = 242, MOST = 4096 };

/* Repair: the head is made right and the length fits, so that the slots are reached. Then every cost is cut. */
static size_t shape(uint8_t *p, size_t n, int repair) {
  if (repair) {
    size_t slots = n > HEAD + PAYLOAD ? (n - HEAD - PAYLOAD) / SLOT : 0;
    if (slots == 0) return n;
    memcpy(p, "DMPKEY1\n", 8);
    p[8] = (uint8_t)slots;
    p[9] = 0;
    p[10] = PAYLOAD;
    p[11] = 0;
    n = HEAD + slots * SLOT + PAYLOAD;
    p[HEAD + slots * SLOT] = 1;
    p[HEAD + slots * SLOT + 1] = SUITE_XCHACHA;
  }
  for (size_t at = HEAD; at + SLOT <= n; at += SLOT) {
    uint32_t ops = le_get32(p + at + 2), mem = le_get32(p + at + 6);
    if (ops < 1 || ops > 10 || mem < 8 || mem > 1024) continue;
    le_put32(p + at + 2, 1);
    le_put32(p + at + 6, 8);
  }
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t file[MOST];
  static struct credential c;
  static const struct credential NOTHING;
  static int fd = -1;
  struct kdf_cost cost;
  char path[32];
  if (fd < 0 && (suite_start() != 0 || (fd = memfd_create("credential", MFD_CLOEXEC)) < 0)) abort();
  if (size == 0 || size - 1 > sizeof file) return 0;
  memcpy(file, data + 1, size - 1);
  size_t n = shape(file, size - 1, data[0] & 1);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, file, n, 0) != (ssize_t)n) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  memset(&c, 0xEE, sizeof c);
  int rc = credential_open(path, "a pin of no file", 16, &c, &cost);
  if (rc != DMP_E_KEY_FORMAT && rc != DMP_E_KEY_COST && rc != DMP_E_KEY_PIN && rc != DMP_E_NOMEM) abort();
  if (memcmp(&c, &NOTHING, sizeof c) != 0) abort();
  return 0;
}
