/* memory.c: memory for secrets: locked, left out of core dumps, zero in a forked child, wiped when freed.
 * Owns: the pages it gives until memory_free().  Never: knows what is in them.
 * One mapping per allocation: a read-only page that says its size, then the locked pages. The size stays readable in a
 * forked child, where the locked pages read as zeros, so that a child can free what its parent allocated. */
#include "memory.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

void *memory_new(size_t n) {
  size_t page = page_bytes();
  if (n == 0) n = 1;
  if (n > SIZE_MAX / 2) return NULL;
  size_t size = (n + page - 1) / page * page;
  uint8_t *map = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return NULL;
  memcpy(map, &size, sizeof size);
  uint8_t *p = map + page;
  if (mlock(p, size) == 0 && madvise(p, size, MADV_DONTDUMP) == 0 && madvise(p, size, MADV_WIPEONFORK) == 0
      && mprotect(map, page, PROT_READ) == 0)
    return p;
  munmap(map, page + size);                           /* unlocks too; nothing secret was in it */
  return NULL;
}

void memory_free(void *p) {
  if (p == NULL) return;
  size_t page = page_bytes(), size;
  uint8_t *map = (uint8_t *)p - page;
  memcpy(&size, map, sizeof size);
  bytes_wipe(p, size);
  munlock(p, size);
  munmap(map, page + size);
}
