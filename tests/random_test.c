/* random_test.c: the test build's replacement of ext/random.c: bytes that a rerun repeats.
 * Owns: the seed ($DMP_TEST_SEED, read once), the current name and the call counts, until the process ends.
 * Never: linked into what ships; records made with it carry format 0xFFFF, which the shipped library refuses.
 * Bytes = PRF stream of (seed, label, current name, number of calls so far with this label and name), so that one
 * more thing made by a test does not shift the bytes of all others. */
#include "random.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dmp.h"
#include "suite.h"

struct count { uint8_t of[SUITE_PRF]; uint64_t calls; };   /* free while calls is 0 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int seeded;
static uint8_t key[SUITE_PRF], about[SUITE_HASH];
static struct count *counts;                          /* an open hash table, at most half full */
static size_t slots, used;

static void seed_read(void) {
  if (seeded) return;
  const char *seed = getenv("DMP_TEST_SEED");
  uint8_t k[SUITE_KEY];
  if (seed == NULL) seed = "";
  suite_hash(seed, strlen(seed), k, sizeof k);
  suite_prf_key(k, key);
  seeded = 1;
}

static struct count *count_find(const uint8_t of[SUITE_PRF]) {
  size_t i = le_get64(of) & (slots - 1);
  while (counts[i].calls && memcmp(counts[i].of, of, SUITE_PRF) != 0) i = (i + 1) & (slots - 1);
  return &counts[i];
}

static int counts_grow(void) {
  struct count *old = counts;
  size_t n = slots, wider = slots ? slots * 2 : 256;
  struct count *fresh = calloc(wider, sizeof *fresh);
  if (fresh == NULL) return DMP_E_NOMEM;
  counts = fresh;
  slots = wider;
  for (size_t i = 0; i < n; i++)
    if (old[i].calls) *count_find(old[i].of) = old[i];
  free(old);
  return 0;
}

/* Fills block with (what the bytes are for, which call this is): the start of each PRF input. */
static int call_next(const char *label, uint8_t block[SUITE_PRF + 16]) {
  struct buf b = {0};
  buf_put(&b, label, strlen(label) + 1);
  buf_put(&b, about, sizeof about);
  int rc = b.bad || (used * 2 >= slots && counts_grow() != 0) ? DMP_E_NOMEM : 0;
  if (rc == 0) {
    suite_prf_with(key, b.p, b.n, block);
    struct count *c = count_find(block);
    memcpy(c->of, block, SUITE_PRF);
    if (c->calls++ == 0) used++;
    le_put64(block + SUITE_PRF, c->calls);
  }
  buf_free(&b);
  return rc;
}

int random_bytes(const char *label, void *out, size_t n) {
  uint8_t block[SUITE_PRF + 16], stream[SUITE_PRF], *p = out;
  pthread_mutex_lock(&lock);
  seed_read();
  int rc = call_next(label, block);
  for (uint64_t i = 0; rc == 0 && n > 0; i++) {
    size_t part = n < sizeof stream ? n : sizeof stream;
    le_put64(block + SUITE_PRF + 8, i);
    suite_prf_with(key, block, sizeof block, stream);
    memcpy(p, stream, part);
    p += part;
    n -= part;
  }
  pthread_mutex_unlock(&lock);
  return rc;
}

void random_about(const void *name, size_t n) {
  pthread_mutex_lock(&lock);
  suite_hash(name, n, about, sizeof about);
  pthread_mutex_unlock(&lock);
}

unsigned random_format(void) { return 0xFFFF; }
