/* test_memory.c: proves what memory.h promises about memory for secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"

/* AddressSanitizer turns mlock() into nothing: what only a real lock shows is proved by the plain build. */
#if defined(__SANITIZE_ADDRESS__)
enum { LOCKS = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { LOCKS = 0 };
#else
enum { LOCKS = 1 };
#endif
#else
enum { LOCKS = 1 };
#endif

static int all_zero(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return 0;
  return 1;
}

static void memory_is_zero_and_writable_at_every_size(void **state) {
  (void)state;
  static const size_t SIZE[] = { 0, 1, 32, 4095, 4096, 4097, 65536 };
  for (size_t i = 0; i < sizeof SIZE / sizeof *SIZE; i++) {
    uint8_t *p = memory_new(SIZE[i]);
    assert_non_null(p);
    assert_true(all_zero(p, SIZE[i]));
    memset(p, 0xee, SIZE[i]);
    assert_int_equal((uintptr_t)p % 64, 0);
    memory_free(p);
  }
  memory_free(NULL);
}

static void an_impossible_size_gives_nothing(void **state) {
  (void)state;
  assert_null(memory_new(SIZE_MAX));
  assert_null(memory_new(SIZE_MAX / 2));
}

/* The kernel's flags of the mapping that holds p, as two-letter words. 0, or -1 when there is none. */
static int flags_of(const void *p, char *flags, size_t n) {
  FILE *f = fopen("/proc/self/smaps", "r");
  char line[512];
  int inside = 0, found = -1;
  if (f == NULL) return -1;
  while (found != 0 && fgets(line, sizeof line, f)) {
    uintptr_t from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2) inside = (uintptr_t)p >= from && (uintptr_t)p < to;
    else if (inside && strncmp(line, "VmFlags:", 8) == 0) found = snprintf(flags, n, "%s", line) < 0 ? -1 : 0;
  }
  fclose(f);
  return found;
}

static void every_page_is_locked_and_left_out_of_dumps_and_children(void **state) {
  (void)state;
  uint8_t *p = memory_new(10000);
  assert_non_null(p);
  for (size_t at = 0; at < 10000; at += 4096) {
    char flags[512];
    assert_int_equal(flags_of(p + at, flags, sizeof flags), 0);
    if (LOCKS) assert_non_null(strstr(flags, " lo"));
    assert_non_null(strstr(flags, " dd"));
    assert_non_null(strstr(flags, " wf"));
  }
  memory_free(p);
}

static void a_child_sees_zeros_and_can_free(void **state) {
  (void)state;
  uint8_t *p = memory_new(10000);
  assert_non_null(p);
  memset(p, 0xee, 10000);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    int zero = all_zero(p, 10000);
    memory_free(p);
    _exit(zero && madvise(p, 4096, MADV_NORMAL) != 0 ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_int_equal(p[9999], 0xee);
  memory_free(p);
}

static void freed_memory_is_given_back_whole(void **state) {
  (void)state;
  uint8_t *p = memory_new(10000);
  assert_non_null(p);
  for (size_t at = 0; at < 10000; at += 4096) assert_int_equal(madvise(p + at, 4096, MADV_NORMAL), 0);
  memory_free(p);
  for (size_t at = 0; at < 10000; at += 4096) assert_int_equal(madvise(p + at, 4096, MADV_NORMAL), -1);
  assert_int_equal(madvise(p - 4096, 4096, MADV_NORMAL), -1);
}

static void memory_that_cannot_be_locked_is_refused(void **state) {
  (void)state;
  enum { LOCKED = 1, REFUSED_SMALL = 2, CANNOT_DROP = 3 };
  if (!LOCKS) skip();
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct rlimit limit = { 65536, 65536 };
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) _exit(CANNOT_DROP);
    if (geteuid() == 0 && setuid(65534) != 0) _exit(CANNOT_DROP);   /* root may lock without limit */
    if (memory_new(32768) == NULL) _exit(REFUSED_SMALL);
    _exit(memory_new(65536) == NULL ? 0 : LOCKED);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_is_zero_and_writable_at_every_size),
    cmocka_unit_test(an_impossible_size_gives_nothing),
    cmocka_unit_test(every_page_is_locked_and_left_out_of_dumps_and_children),
    cmocka_unit_test(a_child_sees_zeros_and_can_free),
    cmocka_unit_test(freed_memory_is_given_back_whole),
    cmocka_unit_test(memory_that_cannot_be_locked_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
