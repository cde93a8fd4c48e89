/* test_keyring.c: what keyring.h promises. Where the kernel refuses its keyring, the tests that need it are skipped and say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bytes.h"
#include "credential.h"
#include "dmp.h"
#include "keyring.h"
#include "memory.h"
#include "suite.h"

static const struct kdf_cost CHEAP = { 1, 8 };
static const char PIN[] = "correct horse";
enum { PIN_LEN = sizeof PIN - 1 };

static char folder[64], path[96], other[96], handle[KEYRING_HANDLE];
static uint8_t key[KEYRING_KEY], got[KEYRING_KEY];
static char *real;
static struct credential *c;

static void fresh(const char *at) {
  memset(c, 0x5A, sizeof *c);
  c->formers = 0;
  credential_derive(c);
  assert_int_equal(credential_create(at, PIN, PIN_LEN, CHEAP, c), 0);
}

static int setup(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "%s/dmp-keyring-XXXXXX", P_tmpdir);
  c = memory_new(sizeof *c);
  if (c == NULL || mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/a.dmpkey", folder);
  snprintf(other, sizeof other, "%s/b.dmpkey", folder);
  fresh(path);
  memset(got, 0, sizeof got);
  real = NULL;
  return credential_file_key(path, PIN, PIN_LEN, key);
}

static int teardown(void **state) {
  (void)state;
  keyring_drop(path);
  free(real);
  memory_free(c);
  unlink(path);
  unlink(other);
  return rmdir(folder);
}

/* Puts the key there, or skips the test where the kernel does not let us. */
static void put(unsigned seconds) {
  int e = keyring_put(path, key, seconds, handle);
  if (e == DMP_E_KEYRING) {
    print_message("SKIPPED: this kernel or sandbox refuses the keyring (%s)\n", strerror(errno));
    skip();
  }
  assert_int_equal(e, 0);
}

static void a_key_that_was_put_is_found_by_path_and_by_handle(void **state) {
  char *again;
  (void)state;
  put(60);
  assert_int_equal(strncmp(handle, "dmp:", 4), 0);
  assert_int_equal(keyring_get(path, got, &real), 0);
  assert_memory_equal(got, key, sizeof key);
  assert_string_equal(real, path);
  memset(got, 0, sizeof got);
  assert_int_equal(keyring_get(handle, got, &again), 0);
  assert_memory_equal(got, key, sizeof key);
  assert_string_equal(again, path);
  free(again);
}

static void a_link_to_the_credential_finds_the_same_key(void **state) {
  (void)state;
  put(60);
  assert_int_equal(symlink(path, other), 0);
  assert_int_equal(keyring_get(other, got, &real), 0);
  assert_memory_equal(got, key, sizeof key);
}

static void a_credential_never_unlocked_is_not_found(void **state) {
  (void)state;
  put(60);
  fresh(other);
  assert_int_equal(keyring_get(other, got, &real), DMP_E_LOCKED);
  assert_null(real);
  assert_int_equal(keyring_drop(other), DMP_E_LOCKED);
  assert_int_equal(keyring_get("dmp:00000000000000000000000000000000", got, &real), DMP_E_LOCKED);
}

static void a_path_without_a_file_is_not_a_credential(void **state) {
  (void)state;
  assert_int_equal(keyring_put(other, key, 60, handle), DMP_E_KEY_OPEN);
  assert_int_equal(keyring_get(other, got, &real), DMP_E_KEY_OPEN);
  assert_int_equal(keyring_get("dmp:not-a-handle", got, &real), DMP_E_KEY_OPEN);
  assert_int_equal(keyring_drop(other), DMP_E_KEY_OPEN);
}

static void a_dropped_key_is_gone(void **state) {
  (void)state;
  put(60);
  assert_int_equal(keyring_drop(handle), 0);
  assert_int_equal(keyring_get(path, got, &real), DMP_E_LOCKED);
  assert_int_equal(keyring_drop(handle), DMP_E_LOCKED);
}

static void a_key_is_gone_when_its_time_is_over(void **state) {
  (void)state;
  put(1);
  assert_int_equal(keyring_get(path, got, &real), 0);
  usleep(1600 * 1000);
  free(real);
  assert_int_equal(keyring_get(path, got, &real), DMP_E_LOCKED);
}

static void putting_again_replaces_the_key_and_its_time(void **state) {
  (void)state;
  put(1);
  key[0] ^= 1;
  put(60);
  usleep(1600 * 1000);
  assert_int_equal(keyring_get(path, got, &real), 0);
  assert_memory_equal(got, key, sizeof key);
}

static void a_time_of_zero_or_of_more_than_a_day_is_refused(void **state) {
  (void)state;
  assert_int_equal(keyring_put(path, key, 0, handle), DMP_E_ARGUMENT);
  assert_int_equal(keyring_put(path, key, KEYRING_SECONDS_MAX + 1, handle), DMP_E_ARGUMENT);
  put(KEYRING_SECONDS_MAX);
}

static int in_child(int (*what)(void)) {
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(what());
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int found_elsewhere(void) {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0) return 100;
  int e = keyring_get(path, got, &real);
  return e != 0 ? e : memcmp(got, key, sizeof key) == 0 ? 0 : 101;
}

static void another_session_of_the_same_user_finds_the_key(void **state) {
  (void)state;
  put(60);
  assert_int_equal(in_child(found_elsewhere), 0);
}

static int not_for_nobody(void) {
  if (setgid(65534) != 0 || setuid(65534) != 0) return 100;
  return keyring_get(handle, got, &real);
}

static void another_user_does_not_find_the_key(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("SKIPPED: only root can become another user\n");
    skip();
  }
  put(60);
  assert_int_equal(in_child(not_for_nobody), DMP_E_LOCKED);
}

/* What a container's usual seccomp filter does: the two calls fail. */
static int deny(unsigned error) {
  struct sock_filter f[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_add_key, 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_keyctl, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof f / sizeof *f, f };
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? -1 : 0;
}

static int all_refused(unsigned error) {
  if (deny(error) != 0) return 100;
  if (keyring_put(path, key, 60, handle) != DMP_E_KEYRING) return 101;
  if (keyring_get(path, got, &real) != DMP_E_KEYRING || real != NULL) return 102;
  return keyring_drop(path) == DMP_E_KEYRING ? 0 : 103;
}
static int refused_enosys(void) { return all_refused(ENOSYS); }
static int refused_eperm(void) { return all_refused(EPERM); }

static void a_kernel_or_container_without_keyring_is_told_apart_from_a_locked_credential(void **state) {
  (void)state;
  int e = in_child(refused_enosys);
  if (e == 100) {
    print_message("SKIPPED: this sandbox allows no seccomp filter\n");
    skip();
  }
  assert_int_equal(e, 0);
  assert_int_equal(in_child(refused_eperm), 0);
}

static void a_file_key_opens_and_updates_its_credential_also_after_a_change_of_pin(void **state) {
  struct kdf_cost cost;
  (void)state;
  assert_int_equal(credential_change_pin(path, PIN, PIN_LEN, "another horse", 13), 0);
  c->serial = 9;
  assert_int_equal(credential_update_with(path, key, c), 0);
  memset(c, 0, sizeof *c);
  assert_int_equal(credential_open_with(path, key, c, &cost), 0);
  assert_int_equal(c->serial, 9);
  assert_int_equal(cost.mem, CHEAP.mem);
  assert_int_equal(credential_open(path, "another horse", 13, c, &cost), 0);
}

static void a_file_key_of_another_credential_opens_and_changes_nothing(void **state) {
  struct kdf_cost cost;
  (void)state;
  key[7] ^= 1;
  assert_int_equal(credential_open_with(path, key, c, &cost), DMP_E_KEY_PIN);
  assert_true(suite_is_zero(c, sizeof *c));
  assert_int_equal(credential_update_with(path, key, c), DMP_E_KEY_PIN);
  assert_int_equal(credential_open(path, PIN, PIN_LEN, c, &cost), 0);
}

static void a_wrong_pin_gives_no_file_key(void **state) {
  (void)state;
  assert_int_equal(credential_file_key(path, "wrong horse!", 12, key), DMP_E_KEY_PIN);
  assert_true(suite_is_zero(key, sizeof key));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
    T(a_key_that_was_put_is_found_by_path_and_by_handle),
    T(a_link_to_the_credential_finds_the_same_key),
    T(a_credential_never_unlocked_is_not_found),
    T(a_path_without_a_file_is_not_a_credential),
    T(a_dropped_key_is_gone),
    T(a_key_is_gone_when_its_time_is_over),
    T(putting_again_replaces_the_key_and_its_time),
    T(a_time_of_zero_or_of_more_than_a_day_is_refused),
    T(another_session_of_the_same_user_finds_the_key),
    T(another_user_does_not_find_the_key),
    T(a_kernel_or_container_without_keyring_is_told_apart_from_a_locked_credential),
    T(a_file_key_opens_and_updates_its_credential_also_after_a_change_of_pin),
    T(a_file_key_of_another_credential_opens_and_changes_nothing),
    T(a_wrong_pin_gives_no_file_key),
  };
  return suite_start() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
