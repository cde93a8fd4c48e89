/* sandbox.c: see sandbox.h. The kernel is asked directly: three headers and no library more to trust. */
#include "sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SANDBOX_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SANDBOX_ARCH AUDIT_ARCH_AARCH64
#else
#error "sandbox.c knows the system calls of x86-64 and arm64 only"
#endif

enum { FILES_MAX = 256 };
#define LOCKED_MAX (UINT64_C(64) << 20)

static int limit(int what, uint64_t value) {
  struct rlimit l = { .rlim_cur = value, .rlim_max = value };
  return setrlimit(what, &l) == 0 ? 0 : errno;
}

void sandbox_begin(void) {
  limit(RLIMIT_CORE, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  tzset();                                  /* the system log's time of day, read while it can be */
}

/* ---- capabilities ---- */

/* All of them to this set. */
static int set_capabilities(uint64_t permitted, uint64_t effective) {
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2] = {
    { .permitted = (uint32_t)permitted, .effective = (uint32_t)effective },
    { .permitted = (uint32_t)(permitted >> 32), .effective = (uint32_t)(effective >> 32) },
  };
  return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}
static int has_permitted(int capability) {
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2] = { { 0 } };
  return syscall(SYS_capget, &header, data) == 0 && (data[capability / 32].permitted >> capability % 32 & 1) != 0;
}
#define MOUNTS (UINT64_C(1) << CAP_SYS_ADMIN)

int sandbox_become(const char *user, uid_t uid, gid_t gid) {
  if (user == NULL || geteuid() != 0 || uid == 0) return 0;
  int err = 0;
  limit(RLIMIT_MEMLOCK, LOCKED_MAX);        /* as root; keys are in locked memory */
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || initgroups(user, gid) != 0 || setresgid(gid, gid, gid) != 0 ||
      setresuid(uid, uid, uid) != 0)
    err = errno;
  if (err == 0) err = set_capabilities(MOUNTS, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);       /* another user made it what the system's default is */
  return err;
}

int sandbox_can_mount(void) { return has_permitted(CAP_SYS_ADMIN); }

int sandbox_may_mount(int may) {
  if (geteuid() == 0 || !has_permitted(CAP_SYS_ADMIN)) return 0;
  int err = set_capabilities(MOUNTS, may ? MOUNTS : 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return err;
}

/* ---- files: where the kernel has Landlock ---- */

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR)
#define ALL (READ | WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
             LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int allow_below(int rules, const char *path, uint64_t what) {
  struct landlock_path_beneath_attr below = { .allowed_access = what, .parent_fd = open(path, O_PATH | O_CLOEXEC) };
  if (below.parent_fd < 0) return errno == ENOENT ? 0 : errno;
  int err = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0 ? 0 : errno;
  close(below.parent_fd);
  return err;
}

static int keep_to_folder(const char *record) {
  struct landlock_ruleset_attr handled = { .handled_access_fs = ALL };
  char *real = realpath(record, NULL);
  if (real == NULL) return errno;
  int err = 0, rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
  if (rules >= 0) {
    err = allow_below(rules, dirname(real), READ | WRITE);
    if (err == 0) err = allow_below(rules, "/proc", READ);
    if (err == 0) err = allow_below(rules, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
    if (err == 0) err = allow_below(rules, "/etc/localtime", LANDLOCK_ACCESS_FS_READ_FILE);
    if (err == 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0) err = errno;
    close(rules);
  }                                         /* an older kernel: the other walls stand */
  free(real);
  return err;
}

int sandbox_drop(const char *record) {
  int err = 0;
  if (geteuid() == 0) limit(RLIMIT_MEMLOCK, LOCKED_MAX);
  for (int c = 0; c <= CAP_LAST_CAP; c++) prctl(PR_CAPBSET_DROP, c, 0, 0, 0);      /* refused to who has none */
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  err = set_capabilities(0, 0);
  if (err == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) err = errno;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (err == 0) err = keep_to_folder(record);
  if (err == 0) err = limit(RLIMIT_NOFILE, FILES_MAX);
  if (err == 0) err = limit(RLIMIT_MSGQUEUE, 0);
  return err;
}

/* ---- system calls ---- */

/* What SQLite, libfuse, libsodium and the C library need once everything is open. */
static const int ALLOWED[] = {
#ifdef __SANITIZE_ADDRESS__                             /* it asks where the stack of a new thread ends */
  __NR_sched_getaffinity, __NR_prlimit64,
#endif
  __NR_read, __NR_write, __NR_readv, __NR_writev, __NR_pread64, __NR_pwrite64, __NR_lseek, __NR_close, __NR_fcntl, __NR_openat,
  __NR_newfstatat, __NR_fstat, __NR_statx, __NR_faccessat, __NR_faccessat2, __NR_readlinkat, __NR_getdents64, __NR_getcwd,
  __NR_fsync, __NR_fdatasync, __NR_ftruncate, __NR_fallocate, __NR_fchmod, __NR_fchown, __NR_unlinkat, __NR_mkdirat, __NR_utimensat,
  __NR_munmap, __NR_mremap, __NR_madvise, __NR_brk, __NR_mlock, __NR_munlock, __NR_futex, __NR_sched_yield, __NR_ppoll,
  __NR_restart_syscall, __NR_rseq, __NR_set_robust_list, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_sigaltstack, __NR_exit, __NR_exit_group,
  __NR_wait4, __NR_getrandom, __NR_getpid, __NR_gettid, __NR_getuid, __NR_geteuid, __NR_getgid, __NR_getegid, __NR_clock_gettime,
  __NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday, __NR_connect, __NR_sendto, __NR_recvfrom, __NR_sendmsg, __NR_uname, __NR_sysinfo,
#ifdef __x86_64__
  __NR_open, __NR_stat, __NR_lstat, __NR_access, __NR_readlink, __NR_unlink, __NR_mkdir, __NR_poll, __NR_time,
#endif
};
/* What no fault of ours would ever call. */
static const int DEADLY[] = {
  __NR_execve, __NR_execveat, __NR_clone, __NR_clone3, __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_mount,
  __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_unshare, __NR_setns, __NR_init_module, __NR_finit_module, __NR_kexec_load,
  __NR_bpf, __NR_perf_event_open, __NR_add_key, __NR_request_key, __NR_keyctl, __NR_userfaultfd, __NR_io_uring_setup,
  __NR_setuid, __NR_setresuid, __NR_setgid, __NR_setresgid, __NR_capset, __NR_socketpair, __NR_bind, __NR_listen,
#ifdef __x86_64__
  __NR_fork, __NR_vfork,
#endif
};
#define COUNT(list) (sizeof (list) / sizeof *(list))
enum { AROUND = 32 };                       /* instructions that are not of a list */

struct program { struct sock_filter at[2 * COUNT(ALLOWED) + 2 * COUNT(DEADLY) + AROUND]; unsigned short n; };
static void add(struct program *p, struct sock_filter instruction) { p->at[p->n++] = instruction; }
#define STATEMENT(code, k) ((struct sock_filter)BPF_STMT(code, k))
#define JUMP(code, k, yes, no) ((struct sock_filter)BPF_JUMP(code, k, yes, no))
#define LOAD(field) STATEMENT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what) STATEMENT(BPF_RET | BPF_K, what)
static const uint32_t REFUSED = SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA);

static void add_list(struct program *p, const int *calls, size_t n, uint32_t answer) {
  for (size_t i = 0; i < n; i++) {
    add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1));
    add(p, ANSWER(answer));
  }
}
/* Allowed unless its third argument asks for memory that can be executed. */
static void add_memory(struct program *p, int call) {
  add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4));
  add(p, LOAD(args[2]));
  add(p, JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
  add(p, ANSWER(SECCOMP_RET_KILL_PROCESS));
  add(p, ANSWER(SECCOMP_RET_ALLOW));
}
/* The system log's socket; no network. */
static void add_socket(struct program *p) {
  add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 4));
  add(p, LOAD(args[0]));
  add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1));
  add(p, ANSWER(SECCOMP_RET_ALLOW));
  add(p, ANSWER(SECCOMP_RET_KILL_PROCESS));
}

int sandbox_close(void) {
  struct program p = { .n = 0 };
  add(&p, LOAD(arch));
  add(&p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, SANDBOX_ARCH, 1, 0));
  add(&p, ANSWER(SECCOMP_RET_KILL_PROCESS));
  add(&p, LOAD(nr));                        /* the x32 numbers of x86-64 are above all these */
  add_list(&p, ALLOWED, COUNT(ALLOWED), SECCOMP_RET_ALLOW);
  add_list(&p, DEADLY, COUNT(DEADLY), SECCOMP_RET_KILL_PROCESS);
  add_memory(&p, __NR_mmap);
  add_memory(&p, __NR_mprotect);
  add_socket(&p);
  add(&p, ANSWER(REFUSED));
  struct sock_fprog program = { .len = p.n, .filter = p.at };
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0 ? 0 : errno;
}
