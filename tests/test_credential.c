/* test_credential.c: what credential.h promises. Argon2id runs at its smallest allowed cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "box.h"
#include "credential.h"
#include "dmp.h"
#include "memory.h"
#include "suite.h"

static const struct kdf_cost CHEAP = { 1, 8 };
static const char PIN[] = "correct horse";
enum { PIN_LEN = sizeof PIN - 1, HEAD = 12, SLOT = 136, PAYLOAD_AT = HEAD + SLOT, FILE_BYTES = 390, NOBODY = 65534 };

/* A file of format 1 under PIN, with the payload that fill() makes. It must open for ever. */
static const char GOLDEN[] =
  "444d504b4559310a0100f20001000100000008000000e5940ba110d79527fad05c8ead9854420102ca3852bca706d282d5b02c8f"
  "2ee6a1361dbe0b8fa18883702bd770c9edd06cb430c1227636d4ed1bb03ee1de2f1e0d56a6916f2aaf1621940f830c2da54aa5b5"
  "135b346d60193ed11c035adc01c275bf4acd2f0a01019981d62a9eaae412cc3bac74f44f0801d5dfa38977640102a47eb9a238da"
  "d0dbe8ab90d88c8e180712a455c9e69bfc93c47615f08551563e05ebb4978171fa3bca1b849d5caa7bf26cb06cf1bd43be74caef"
  "ae0c661f3889a6199691ee45624ec4dc548d4f4eb0cf97335d120302d54d544f1c0bee3b9336e0cf91f144fb6fbe9b27e4e21082"
  "b9787d8fdadb14e32133026d3b3bb0357d9f6ee76486a97bfa1f608755d8933acf3795788daa79220337b092c3470fde2696e8f2"
  "02b4be539fce5b8073de78c2ec7e6feb1bdd7999b34ac5adadc24d38e0322d45e04f8eb3b8bfe2b8af12175ae08320075c22cdd5"
  "4f3e15a11d41998c55eac5bceddfbc2145ce7b96189e4bef7f77";

/* The folder of one test, its file, and a credential as the caller makes it. */
static char folder[64], path[96];
static struct credential *made, *got;

static void fill(struct credential *c) {
  memset(c, 0, sizeof *c);
  for (int i = 0; i < 32; i++) c->seed[i] = (uint8_t)i;
  memset(c->principal, 0xA1, 8);
  memset(c->record, 0xB2, sizeof c->record);
  memset(c->authority, 0xC3, sizeof c->authority);
  memset(c->directory, 0xD4, sizeof c->directory);
  c->serial = 7;
}

static int setup(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "%s/dmp-credential-XXXXXX", P_tmpdir);
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/a.dmpkey", folder);
  made = memory_new(sizeof *made);
  got = memory_new(sizeof *got);
  if (made == NULL || got == NULL) return -1;
  fill(made);
  return 0;
}

static int entries(int remove_them) {
  int n = 0;
  DIR *d = opendir(folder);
  for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    n++;
    if (remove_them) unlinkat(dirfd(d), e->d_name, e->d_type == DT_DIR ? AT_REMOVEDIR : 0);
  }
  closedir(d);
  return n;
}

static int teardown(void **state) {
  (void)state;
  memory_free(made);
  memory_free(got);
  chmod(folder, 0700);
  entries(1);
  return rmdir(folder);
}

static size_t slurp(uint8_t *p, size_t max) {
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0);
  ssize_t n = read(fd, p, max);
  close(fd);
  assert_true(n >= 0);
  return (size_t)n;
}

static void spill(const void *p, size_t n) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, p, n), n);
  close(fd);
}

static void golden(uint8_t p[FILE_BYTES]) {
  assert_int_equal(sizeof GOLDEN - 1, 2 * FILE_BYTES);
  assert_int_equal(bytes_hex(GOLDEN, FILE_BYTES, p), 0);
}

static int open_with(const char *pin) {
  struct kdf_cost cost;
  return credential_open(path, pin, strlen(pin), got, &cost);
}

static int create_with(const char *pin) { return credential_create(path, pin, strlen(pin), CHEAP, made); }

static void assert_same_payload(const struct credential *a, const struct credential *b) {
  assert_memory_equal(a->seed, b->seed, sizeof a->seed);
  assert_memory_equal(a->principal, b->principal, sizeof a->principal);
  assert_memory_equal(a->record, b->record, sizeof a->record);
  assert_memory_equal(a->authority, b->authority, sizeof a->authority);
  assert_memory_equal(a->directory, b->directory, sizeof a->directory);
  assert_int_equal(a->serial, b->serial);
}

static void what_is_created_opens_with_its_pin_and_says_its_cost(void **state) {
  (void)state;
  struct kdf_cost cost = { 0, 0 };
  assert_int_equal(credential_create(path, PIN, PIN_LEN, (struct kdf_cost){ 2, 9 }, made), 0);
  assert_int_equal(credential_open(path, PIN, PIN_LEN, got, &cost), 0);
  assert_same_payload(got, made);
  assert_int_equal(cost.ops, 2);
  assert_int_equal(cost.mem, 9);
  credential_derive(made);
  assert_memory_equal(got, made, sizeof *made);
  assert_int_equal(entries(0), 1);
}

static void the_golden_file_opens_for_ever(void **state) {
  (void)state;
  uint8_t p[FILE_BYTES];
  golden(p);
  spill(p, sizeof p);
  assert_int_equal(open_with(PIN), 0);
  assert_same_payload(got, made);
}

static void assert_hex(const uint8_t *p, const char *hex) {
  char text[65];
  bytes_to_hex(p, 32, text);
  assert_string_equal(text, hex);
}

static void a_seed_gives_the_keys_that_the_format_names(void **state) {
  (void)state;
  uint8_t pk[32];
  credential_derive(made);
  assert_hex(made->sign_pk, "b35e3e9ed1940245cfa6488ac6c3726cbd2b58de9582da1c3a146cad8bc4d788");
  assert_hex(made->box_pk, "f6e0e0730e354a8788d4d598f7b91815889c0969c20cdbc5deb3745d4fcc5624");
  assert_hex(made->box_sk, "46117718399d6970f83ff59ff12c7357946ff873bed89eac0d526ce80b36b668");
  assert_hex(made->wrap, "dafef576f5bbea6e174ebd00acb4fbabab44e8f645a67d658b4b22a7bf632f14");
  assert_hex(made->loc, "51f30c8cf8948758538ec63945c78113e4e8c125d47e0dee33b0dd238a86c2d4");
  suite_box_pair(made->box_sk, pk);
  assert_memory_equal(pk, made->box_pk, 32);
  assert_memory_equal(made->sign_sk + 32, made->sign_pk, 32);
}

static void two_files_of_one_credential_and_pin_share_no_sealed_byte(void **state) {
  (void)state;
  uint8_t a[FILE_BYTES], b[FILE_BYTES];
  assert_int_equal(create_with(PIN), 0);
  assert_int_equal(slurp(a, sizeof a), FILE_BYTES);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(create_with(PIN), 0);
  slurp(b, sizeof b);
  assert_memory_not_equal(a + HEAD + 10, b + HEAD + 10, 16);           /* salt */
  assert_memory_not_equal(a + HEAD + 28, b + HEAD + 28, 24);           /* nonces */
  assert_memory_not_equal(a + PAYLOAD_AT + 2, b + PAYLOAD_AT + 2, 24);
  for (size_t i = 0; i + 32 <= FILE_BYTES; i++) assert_memory_not_equal(a + i, made->seed, 32);
}

static void a_wrong_pin_opens_nothing_and_leaves_nothing(void **state) {
  (void)state;
  static const struct credential ZERO;
  assert_int_equal(create_with(PIN), 0);
  assert_int_equal(open_with("correct horsf"), DMP_E_KEY_PIN);
  assert_memory_equal(got, &ZERO, sizeof ZERO);
  assert_int_equal(open_with("correct"), DMP_E_KEY_PIN);               /* a short one is wrong, not short */
  assert_int_equal(open_with(""), DMP_E_KEY_PIN);
  assert_int_equal(open_with(PIN), 0);
}

static void a_credential_is_readable_by_its_owner_only(void **state) {
  (void)state;
  struct stat st;
  mode_t before = umask(0);
  assert_int_equal(create_with(PIN), 0);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(chmod(path, 0644), 0);
  assert_int_equal(credential_change_pin(path, PIN, PIN_LEN, "another pin", 11), 0);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  umask(before);
}

static void what_stands_at_the_path_is_never_overwritten(void **state) {
  (void)state;
  char text[8] = {0};
  struct stat st;
  spill("mine", 4);
  assert_int_equal(create_with(PIN), DMP_E_KEY_EXISTS);
  assert_int_equal(slurp((uint8_t *)text, sizeof text), 4);
  assert_string_equal(text, "mine");
  unlink(path);
  assert_int_equal(symlink("nowhere", path), 0);
  assert_int_equal(create_with(PIN), DMP_E_KEY_EXISTS);
  assert_int_equal(lstat(path, &st), 0);
  assert_true(S_ISLNK(st.st_mode));
  unlink(path);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(create_with(PIN), DMP_E_KEY_EXISTS);
  assert_int_equal(entries(0), 1);
}

/* Runs work in children at once; the sum of what they answered 0 to. */
static int race(int children, int (*work)(int child)) {
  int gate[2], winners = 0;
  assert_int_equal(pipe(gate), 0);
  for (int i = 0; i < children; i++)
    if (fork() == 0) {
      char c;
      close(gate[1]);
      while (read(gate[0], &c, 1) < 0 && errno == EINTR) continue;    /* all start when the parent closes its end */
      _exit(work(i) == 0 ? 0 : 1);
    }
  close(gate[0]);
  close(gate[1]);
  for (int i = 0; i < children; i++) {
    int status;
    assert_true(wait(&status) > 0);
    assert_true(WIFEXITED(status));
    winners += WEXITSTATUS(status) == 0;
  }
  return winners;
}

static int create_child(int child) {
  struct credential c;
  fill(&c);
  c.serial = (uint32_t)child;
  return credential_create(path, PIN, PIN_LEN, CHEAP, &c);
}

static void of_several_creations_at_once_one_wins(void **state) {
  (void)state;
  assert_int_equal(race(4, create_child), 1);
  assert_int_equal(entries(0), 1);
  assert_int_equal(open_with(PIN), 0);
}

static void any_altered_byte_is_an_error(void **state) {
  (void)state;
  uint8_t p[FILE_BYTES];
  golden(p);
  for (size_t i = 0; i < sizeof p; i++) {
    uint8_t was = p[i];
    for (unsigned bit = i < HEAD + 10 ? 0 : (unsigned)i % 8; bit < 8; bit += i < HEAD + 10 ? 1 : 8) {
      p[i] = (uint8_t)(was ^ 1u << bit);
      spill(p, sizeof p);
      int rc = open_with(PIN);
      if (i < HEAD || i >= PAYLOAD_AT) assert_int_equal(rc, DMP_E_KEY_FORMAT);
      else if (i < HEAD + 2) assert_int_equal(rc, DMP_E_KEY_FORMAT);                    /* no PIN slot is left */
      else if (i < HEAD + 10) assert_true(rc == DMP_E_KEY_COST || rc == DMP_E_KEY_PIN);
      else assert_true(rc == DMP_E_KEY_PIN || rc == DMP_E_KEY_FORMAT);
      p[i] = was;
    }
  }
}

static void a_file_of_any_other_length_is_refused(void **state) {
  (void)state;
  uint8_t p[4 * FILE_BYTES] = {0}, *big = calloc(1, 1 << 20);
  golden(p);
  for (size_t n = 0; n < sizeof p; n += n < FILE_BYTES + 2 ? 1 : 137) {
    spill(p, n);
    assert_int_equal(open_with(PIN), n == FILE_BYTES ? 0 : DMP_E_KEY_FORMAT);
  }
  memcpy(big, p, FILE_BYTES);
  spill(big, 1 << 20);
  assert_int_equal(open_with(PIN), DMP_E_KEY_FORMAT);
  free(big);
}

static void what_is_not_a_credential_says_so(void **state) {
  (void)state;
  char text[FILE_BYTES];
  assert_int_equal(open_with(PIN), DMP_E_KEY_OPEN);
  assert_int_equal(credential_update(path, PIN, PIN_LEN, made), DMP_E_KEY_OPEN);
  assert_int_equal(credential_change_pin(path, PIN, PIN_LEN, "another pin", 11), DMP_E_KEY_OPEN);
  memset(text, 'x', sizeof text);
  spill(text, sizeof text);
  assert_int_equal(open_with(PIN), DMP_E_KEY_FORMAT);
  assert_int_equal(credential_update(path, PIN, PIN_LEN, made), DMP_E_KEY_FORMAT);
  spill("", 0);
  assert_int_equal(open_with(PIN), DMP_E_KEY_FORMAT);
  unlink(path);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(open_with(PIN), DMP_E_KEY_OPEN);
  rmdir(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(open_with(PIN), DMP_E_KEY_OPEN);
}

static void a_cost_outside_its_bounds_is_refused_before_it_is_paid(void **state) {
  (void)state;
  static const struct { struct kdf_cost cost; int ok; } CASES[] = {
    { { 0, 8 }, 0 }, { { 11, 8 }, 0 }, { { 1, 7 }, 0 }, { { 1, 1025 }, 0 }, { { UINT32_MAX, UINT32_MAX }, 0 },
    { { 10, 8 }, 1 }, { { 1, 1024 }, 1 },
  };
  uint8_t p[FILE_BYTES];
  golden(p);
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    le_put32(p + HEAD + 2, CASES[i].cost.ops);
    le_put32(p + HEAD + 6, CASES[i].cost.mem);
    spill(p, sizeof p);
    int rc = open_with(PIN);
    if (CASES[i].ok) assert_true(rc == DMP_E_KEY_PIN || rc == DMP_E_NOMEM);
    else assert_int_equal(rc, DMP_E_KEY_COST);
    unlink(path);
    if (CASES[i].ok) continue;
    assert_int_equal(credential_create(path, PIN, PIN_LEN, CASES[i].cost, made), DMP_E_KEY_COST);
    assert_int_equal(entries(0), 0);
  }
}

static void a_pin_is_measured_in_characters_when_it_is_chosen(void **state) {
  (void)state;
  char longest[1026];
  memset(longest, 'p', sizeof longest - 1);
  longest[1025] = 0;
  assert_int_equal(create_with("1234567"), DMP_E_PIN_SHORT);
  /* Seven characters in fourteen bytes, then eight in sixteen. */
  assert_int_equal(create_with("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"), DMP_E_PIN_SHORT);
  assert_int_equal(credential_create(path, NULL, 0, CHEAP, made), DMP_E_PIN_SHORT);
  assert_int_equal(create_with(longest), DMP_E_PIN_SHORT);
  assert_int_equal(entries(0), 0);
  assert_int_equal(create_with("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"), 0);
  assert_int_equal(open_with("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"), 0);
  unlink(path);
  longest[1024] = 0;
  assert_int_equal(create_with(longest), 0);
  assert_int_equal(credential_change_pin(path, longest, 1024, "1234567", 7), DMP_E_PIN_SHORT);
  assert_int_equal(open_with(longest), 0);
}

static void an_update_completes_the_payload_under_the_same_pin(void **state) {
  (void)state;
  struct kdf_cost cost;
  memset(made->record, 0, sizeof made->record);
  made->serial = 0;
  assert_int_equal(create_with(PIN), 0);
  assert_int_equal(open_with(PIN), 0);
  fill(made);
  assert_int_equal(credential_update(path, "wrong horse", 11, made), DMP_E_KEY_PIN);
  assert_int_equal(open_with(PIN), 0);
  assert_int_equal(got->serial, 0);
  assert_int_equal(credential_update(path, PIN, PIN_LEN, made), 0);
  assert_int_equal(credential_open(path, PIN, PIN_LEN, got, &cost), 0);
  assert_same_payload(got, made);
  assert_int_equal(cost.mem, CHEAP.mem);
  assert_int_equal(entries(0), 1);
}

static void a_changed_pin_closes_to_the_old_one(void **state) {
  (void)state;
  uint8_t before[FILE_BYTES], after[FILE_BYTES];
  assert_int_equal(create_with(PIN), 0);
  slurp(before, sizeof before);
  assert_int_equal(credential_change_pin(path, "wrong horse", 11, "another pin", 11), DMP_E_KEY_PIN);
  slurp(after, sizeof after);
  assert_memory_equal(before, after, sizeof before);
  assert_int_equal(credential_change_pin(path, PIN, PIN_LEN, "another pin", 11), 0);
  assert_int_equal(open_with(PIN), DMP_E_KEY_PIN);
  assert_int_equal(open_with("another pin"), 0);
  assert_same_payload(got, made);
  slurp(after, sizeof after);
  assert_memory_not_equal(before + HEAD + 10, after + HEAD + 10, 16);  /* a new salt */
  assert_int_equal(entries(0), 1);
}

static void a_link_stays_a_link_and_its_target_is_changed(void **state) {
  (void)state;
  char target[96];
  struct stat st;
  snprintf(target, sizeof target, "%s/target.dmpkey", folder);
  assert_int_equal(create_with(PIN), 0);
  assert_int_equal(rename(path, target), 0);
  assert_int_equal(symlink("target.dmpkey", path), 0);
  assert_int_equal(credential_change_pin(path, PIN, PIN_LEN, "another pin", 11), 0);
  assert_int_equal(lstat(path, &st), 0);
  assert_true(S_ISLNK(st.st_mode));
  snprintf(path, sizeof path, "%s", target);
  assert_int_equal(open_with(PIN), DMP_E_KEY_PIN);
  assert_int_equal(open_with("another pin"), 0);
}

/* A file with two slots, made from the format alone: the second under PIN, the first of the given type under pin0. */
static void two_slots(unsigned type0, const char *pin0) {
  uint8_t file_key[32], kek[32];
  struct buf b = {0}, plain = {0};
  memset(file_key, 0x5A, sizeof file_key);
  buf_put(&b, "DMPKEY1\n", 8);
  buf_u16(&b, 2);
  buf_u16(&b, 242);
  for (int i = 0; i < 2; i++) {
    const char *pin = i == 0 ? pin0 : PIN;
    uint8_t salt[16];
    struct box_ad ad = { .kind = BOX_CREDENTIAL, .id = i };
    memset(salt, i, sizeof salt);
    assert_int_equal(suite_argon2id(pin, strlen(pin), salt, 1, 8, kek), 0);
    buf_u16(&b, (uint16_t)(i == 0 ? type0 : 1));
    buf_u32(&b, 1);
    buf_u32(&b, 8);
    buf_put(&b, salt, sizeof salt);
    assert_int_equal(box_seal(SUITE_XCHACHA, kek, &ad, file_key, 32, PAD_NONE, NULL, &b), 0);
    assert_int_equal(b.n, HEAD + (i + 1) * SLOT);
  }
  struct box_ad ad = { .kind = BOX_CREDENTIAL, .id = 255 };
  buf_put(&plain, made->seed, 32);
  buf_put(&plain, made->principal, 16);
  buf_put(&plain, made->record, 16);
  buf_put(&plain, made->authority, 64);
  buf_put(&plain, made->directory, 32);
  buf_u32(&plain, made->serial);
  assert_int_equal(box_seal(SUITE_XCHACHA, file_key, &ad, plain.p, plain.n, PAD_NONE, NULL, &b), 0);
  spill(b.p, b.n);
  buf_free(&b);
  buf_free(&plain);
}

static void either_of_two_pins_opens_and_changes_only_its_own_slot(void **state) {
  (void)state;
  two_slots(1, "first pin");
  assert_int_equal(open_with("first pin"), 0);
  assert_same_payload(got, made);
  assert_int_equal(open_with(PIN), 0);
  assert_same_payload(got, made);
  assert_int_equal(open_with("third pin"), DMP_E_KEY_PIN);
  assert_int_equal(credential_change_pin(path, PIN, PIN_LEN, "third pin", 9), 0);
  assert_int_equal(open_with(PIN), DMP_E_KEY_PIN);
  assert_int_equal(open_with("first pin"), 0);
  assert_int_equal(open_with("third pin"), 0);
}

static void a_slot_of_another_kind_is_passed_over(void **state) {
  (void)state;
  two_slots(2, "first pin");
  assert_int_equal(open_with("first pin"), DMP_E_KEY_PIN);
  assert_int_equal(open_with(PIN), 0);
}

static int change_child(int child) {
  return child == 0 ? credential_change_pin(path, "first pin", 9, "first pin, new", 14)
                    : credential_change_pin(path, PIN, PIN_LEN, "second pin, new", 15);
}

static void two_changes_at_once_are_both_kept(void **state) {
  (void)state;
  for (int i = 0; i < 5; i++) {
    two_slots(1, "first pin");
    assert_int_equal(race(2, change_child), 2);
    assert_int_equal(open_with("first pin, new"), 0);
    assert_int_equal(open_with("second pin, new"), 0);
    unlink(path);
  }
}

/* What a child answers under a limit that the parent must not have. */
static int in_child(int (*work)(void)) {
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(work());
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void limit_files(void) {
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 100, 100 });     /* writes end short, then fail, as on a full disk */
}
static int create_full(void) { fill(made); limit_files(); return create_with(PIN); }
static int change_full(void) { limit_files(); return credential_change_pin(path, PIN, PIN_LEN, "another pin", 11); }

static void a_full_disk_leaves_no_half_file(void **state) {
  (void)state;
  assert_int_equal(in_child(create_full), DMP_E_KEY_WRITE);
  assert_int_equal(entries(0), 0);
  assert_int_equal(create_with(PIN), 0);
  assert_int_equal(in_child(change_full), DMP_E_KEY_WRITE);
  assert_int_equal(entries(0), 1);
  assert_int_equal(open_with(PIN), 0);
}

static int become_nobody(void) { return geteuid() != 0 || (setgid(NOBODY) == 0 && setuid(NOBODY) == 0) ? 0 : -1; }
static int create_as_nobody(void) { fill(made); return become_nobody() == 0 ? create_with(PIN) : 255; }
static int change_as_nobody(void) {
  return become_nobody() == 0 ? credential_change_pin(path, PIN, PIN_LEN, "another pin", 11) : 255;
}

static void a_folder_that_cannot_be_written_is_said_so(void **state) {
  (void)state;
  assert_int_equal(create_with(PIN), 0);
  if (geteuid() == 0) assert_int_equal(chown(path, NOBODY, NOBODY), 0);
  assert_int_equal(chmod(folder, 0555), 0);
  assert_int_equal(in_child(change_as_nobody), DMP_E_KEY_WRITE);
  char other[96];
  snprintf(other, sizeof other, "%s/b.dmpkey", folder);
  snprintf(path, sizeof path, "%s", other);
  assert_int_equal(in_child(create_as_nobody), DMP_E_KEY_WRITE);
  assert_int_equal(entries(0), 1);
  snprintf(path, sizeof path, "%s/absent/b.dmpkey", folder);
  assert_int_equal(create_with(PIN), DMP_E_KEY_WRITE);
  snprintf(path, sizeof path, "%s/", folder);
  assert_int_equal(create_with(PIN), DMP_E_KEY_EXISTS);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
    T(what_is_created_opens_with_its_pin_and_says_its_cost),
    T(the_golden_file_opens_for_ever),
    T(a_seed_gives_the_keys_that_the_format_names),
    T(two_files_of_one_credential_and_pin_share_no_sealed_byte),
    T(a_wrong_pin_opens_nothing_and_leaves_nothing),
    T(a_credential_is_readable_by_its_owner_only),
    T(what_stands_at_the_path_is_never_overwritten),
    T(of_several_creations_at_once_one_wins),
    T(any_altered_byte_is_an_error),
    T(a_file_of_any_other_length_is_refused),
    T(what_is_not_a_credential_says_so),
    T(a_cost_outside_its_bounds_is_refused_before_it_is_paid),
    T(a_pin_is_measured_in_characters_when_it_is_chosen),
    T(an_update_completes_the_payload_under_the_same_pin),
    T(a_changed_pin_closes_to_the_old_one),
    T(a_link_stays_a_link_and_its_target_is_changed),
    T(either_of_two_pins_opens_and_changes_only_its_own_slot),
    T(a_slot_of_another_kind_is_passed_over),
    T(two_changes_at_once_are_both_kept),
    T(a_full_disk_leaves_no_half_file),
    T(a_folder_that_cannot_be_written_is_said_so),
  };
  if (suite_start() != 0) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
