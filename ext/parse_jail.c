/* parse_jail.c: what takes everything away from the child before it reads a byte: memory, time, files, network.
 * Owns: the filter.  Never: looks at the document. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "parse_parts.h"

#if defined(__x86_64__)
#define JAIL_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define JAIL_ARCH AUDIT_ARCH_AARCH64
#else
#error "parse_jail.c knows the system calls of x86-64 and arm64 only"
#endif

#define MIB (UINT64_C(1) << 20)
enum { MEMORY_BASE_MIB = 192, MEMORY_MAX_MIB = 1536, MEMORY_TIMES_FILE = 5, CPU_BASE_S = 3, CPU_MIB_PER_S = 8 };

static int limit(int what, uint64_t value) {
  struct rlimit l = { .rlim_cur = value, .rlim_max = value };
  return setrlimit(what, &l);
}

int parse_jail_limits(uint64_t file_size) {
  if (file_size > PARSE_FILE_MAX) file_size = PARSE_FILE_MAX;
  uint64_t memory = MEMORY_BASE_MIB * MIB + MEMORY_TIMES_FILE * file_size;
  if (memory > MEMORY_MAX_MIB * MIB) memory = MEMORY_MAX_MIB * MIB;
#ifndef __SANITIZE_ADDRESS__                            /* its shadow memory needs terabytes of address space */
  if (limit(RLIMIT_AS, memory) != 0) return -1;
#endif
  if (limit(RLIMIT_CPU, CPU_BASE_S + file_size / (CPU_MIB_PER_S * MIB)) != 0) return -1;
  if (limit(RLIMIT_NOFILE, 3) != 0 || limit(RLIMIT_FSIZE, 0) != 0 || limit(RLIMIT_CORE, 0) != 0) return -1;
  /* No core, no ptrace by others of the same user; and no life after the program that asked. */
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ? -1 : 0;
}

/* One system call allowed: two instructions, so that no jump depends on the length of the list. */
#define ALLOW(name) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), \
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Allowed unless its third argument asks for memory that can be executed. */
#define ALLOW_DATA(name) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4), \
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])), \
  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), \
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), \
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static const struct sock_filter FILTER[] = {
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, JAIL_ARCH, 1, 0),
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  /* The x32 numbers of x86-64 are above all these: they match nothing and kill. */
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  ALLOW(read), ALLOW(write), ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(exit), ALLOW(exit_group),
  ALLOW(rt_sigreturn), ALLOW(clock_gettime), ALLOW(getrandom), ALLOW(futex),
  ALLOW_DATA(mmap), ALLOW_DATA(mprotect),
#ifdef __SANITIZE_ADDRESS__                             /* it looks at the signal stack before a process ends */
  ALLOW(sigaltstack),
#endif
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

int parse_jail_lock(void) {
  struct sock_fprog program = { .len = sizeof FILTER / sizeof FILTER[0], .filter = (struct sock_filter *)FILTER };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0 ? -1 : 0;
}
