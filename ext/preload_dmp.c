/* preload_dmp.c: dmp_preload.so, for programs that can't load an extension: LD_PRELOAD brings dmp.so into their connections.
 * Owns: the three functions that open an SQLite connection, in listed programs only; one line on stderr when it can't help. In
 * those programs modules are loaded without RTLD_DEEPBIND (PHP asks for it), which would hide these three from them.
 * Never: links an SQLite library, starts one in a process that has none, makes an open fail, sees a key or a PIN.
 * The list: base names of /proc/self/exe, in $DMP_PRELOAD_PROGRAMS (separated by ':') or, without it, in /etc/dmp/programs (one a
 * line, # begins a comment). $DMP_KEY names a credential or a handle: databases that hold a record are then logged in to, with the
 * kernel's keyring or $DMP_ASKPASS. dmp.so is taken from this module's own folder. */
#include <dlfcn.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAMS "/etc/dmp/programs"
#define EXTENSION "dmp.so"
#define EXPORT __attribute__((visibility("default")))
enum { PATH_BYTES = 4096, WAIT_MS = 5000 };

/* The functions of one SQLite library. */
struct library {
  int (*open)(const char *, sqlite3 **);
  int (*open_v2)(const char *, sqlite3 **, int, const char *);
  int (*open16)(const void *, sqlite3 **);
  int (*db_config)(sqlite3 *, int, ...);
  int (*load_extension)(sqlite3 *, const char *, const char *, char **);
  int (*exec)(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
  int (*prepare_v2)(sqlite3 *, const char *, int, sqlite3_stmt **, const char **);
  int (*bind_text)(sqlite3_stmt *, int, const char *, int, void (*)(void *));
  int (*step)(sqlite3_stmt *);
  int (*finalize)(sqlite3_stmt *);
  int (*busy_timeout)(sqlite3 *, int);
  void (*set_last_insert_rowid)(sqlite3 *, sqlite3_int64);
  const char *(*errmsg)(sqlite3 *);
  void (*free)(void *);
  int complete;                                       /* 1: all of them were found */
};
/* The library that opened the first connection of this process. The extension belongs to one library: a second one (a module with
 * an SQLite of its own) is passed through untouched. */
static struct library home;
static int home_known;
static pthread_mutex_t home_lock = PTHREAD_MUTEX_INITIALIZER;

static int listed;                                    /* 1: this program is one of those we act in */
static char extension[PATH_BYTES];                    /* the path of dmp.so; empty when unknown */
static pthread_once_t started = PTHREAD_ONCE_INIT;

static void say_once(const char *what, const char *why) {
  static int said;
  if (__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED)) return;
  fprintf(stderr, "dmp_preload: %s%s%s; the program goes on without\n", what, why ? ": " : "", why ? why : "");
}

/* ---- which programs ---- */

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static int name_matches(const char *p, size_t n, const char *program) {
  while (n && strchr(" \t\r\n", p[n - 1])) n--;
  while (n && strchr(" \t", *p)) p++, n--;
  return n > 0 && strlen(program) == n && memcmp(p, program, n) == 0;
}

static int in_variable(const char *list, const char *program) {
  for (;;) {
    size_t n = strcspn(list, ":");
    if (name_matches(list, n, program)) return 1;
    if (list[n] == 0) return 0;
    list += n + 1;
  }
}

static int in_file(const char *program) {
  char line[PATH_BYTES];
  int found = 0;
  FILE *f = fopen(PROGRAMS, "re");
  if (f == NULL) return 0;
  while (!found && fgets(line, sizeof line, f)) found = name_matches(line, strcspn(line, "#"), program);
  fclose(f);
  return found;
}

static int program_listed(void) {
  char exe[PATH_BYTES];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  if (n <= 0) return 0;
  exe[n] = 0;
  const char *program = base_name(exe), *list = secure_getenv("DMP_PRELOAD_PROGRAMS");
  return list ? in_variable(list, program) : in_file(program);
}

/* ---- which library ---- */

/* Looks in a loaded file and in what it depends on, as a private copy of the library is found only there. */
static void *find_from(const char *file, const char *name) {
  void *handle = dlopen(file, RTLD_NOLOAD | RTLD_LAZY), *f = NULL;
  if (handle == NULL) return NULL;
  f = dlsym(handle, name);
  dlclose(handle);                                    /* its owner keeps it loaded */
  return f;
}

static int is_ours(const void *f) {
  Dl_info at, us;
  return dladdr(f, &at) && dladdr((void *)extension, &us) && at.dli_fbase == us.dli_fbase;
}

static void *find(const char *file, const char *name) {
  void *f = file ? find_from(file, name) : NULL;
  if (f == NULL || is_ours(f)) f = dlsym(RTLD_NEXT, name);
  return f ? f : find_from("libsqlite3.so.0", name);
}

/* A data pointer into a function pointer, as POSIX wants it. */
static int take(const char *file, const char *name, void *to) {
  void *f = find(file, name);
  memcpy(to, &f, sizeof f);
  return f != NULL;
}

static void library_find(struct library *l, const char *file) {
#define TAKE(name) take(file, "sqlite3_" #name, &l->name)
  int opens = TAKE(open) & TAKE(open_v2) & TAKE(open16);
  l->complete = opens & TAKE(db_config) & TAKE(load_extension) & TAKE(exec) & TAKE(prepare_v2) & TAKE(bind_text) & TAKE(step) &
                TAKE(finalize) & TAKE(busy_timeout) & TAKE(set_last_insert_rowid) & TAKE(errmsg) & TAKE(free);
#undef TAKE
}

static void start(void) {
  Dl_info us;
  listed = program_listed();
  if (dladdr((void *)extension, &us) == 0 || us.dli_fname == NULL) return;
  size_t n = (size_t)(base_name(us.dli_fname) - us.dli_fname);
  if (n + sizeof EXTENSION > sizeof extension) return;
  memcpy(extension, us.dli_fname, n);
  memcpy(extension + n, EXTENSION, sizeof EXTENSION);
}

/* The library that a caller means. 1: its connections get the extension. The extension's own connections (its log) come here too:
 * they are the home library's and stay as they are. */
static int library_of(const void *caller, struct library *l) {
  Dl_info who;
  const char *file = dladdr(caller, &who) ? who.dli_fname : NULL;
  int extension_calls = file && strcmp(base_name(file), EXTENSION) == 0, act;
  pthread_once(&started, start);
  pthread_mutex_lock(&home_lock);
  if (extension_calls && home_known) *l = home;
  else library_find(l, file);
  if (!home_known && l->open_v2) {
    home = *l;
    home_known = 1;
  }
  act = listed && !extension_calls && l->open_v2 != NULL;
  int same = l->open_v2 == home.open_v2;
  pthread_mutex_unlock(&home_lock);
  if (act && (!same || !l->complete || extension[0] == 0)) {
    say_once(!same ? "a second SQLite library in one process" : "this SQLite library can't load " EXTENSION, NULL);
    return 0;
  }
  return act;
}

/* ---- a new connection ---- */

static int load(const struct library *l, sqlite3 *db) {
  int before = 0;
  char *err = NULL;
  l->db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, -1, &before);
  l->db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
  int rc = l->load_extension(db, extension, NULL, &err);
  l->db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, before, NULL);
  if (rc != SQLITE_OK) say_once("the extension can't be loaded", err ? err : l->errmsg(db));
  l->free(err);
  return rc;
}

/* Runs one statement with at most one text: SQLITE_ROW, SQLITE_DONE or an error. */
static int run(const struct library *l, sqlite3 *db, const char *sql, const char *text) {
  sqlite3_stmt *st = NULL;
  int rc = l->prepare_v2(db, sql, -1, &st, NULL);
  if (rc != SQLITE_OK) return rc;
  if (text) l->bind_text(st, 1, text, -1, SQLITE_STATIC);
  rc = l->step(st);
  int end = l->finalize(st);
  return end == SQLITE_OK ? rc : end;
}

static void login(const struct library *l, sqlite3 *db) {
  const char *key = secure_getenv("DMP_KEY");
  if (key == NULL || *key == 0) return;
  l->busy_timeout(db, WAIT_MS);
  int rc = run(l, db, "SELECT 1 FROM main.sqlite_schema WHERE type='table' AND name='dmp_record'", NULL);
  if (rc == SQLITE_ROW) rc = run(l, db, "SELECT dmp_login(?1)", key);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) say_once("no login", l->errmsg(db));
  l->busy_timeout(db, 0);                           /* as SQLite opens a connection */
}

/* What the program sees of the new connection is what it would have seen, but for the extension: also its error and rowid. */
static int opened(const struct library *l, int rc, sqlite3 *db) {
  if (rc != SQLITE_OK || db == NULL || load(l, db) != SQLITE_OK) return rc;
  l->exec(db, "PRAGMA temp_store=MEMORY", NULL, NULL, NULL);
  login(l, db);
  l->set_last_insert_rowid(db, 0);
  l->exec(db, "SELECT 1", NULL, NULL, NULL);        /* so that sqlite3_errcode() says SQLITE_OK */
  return rc;
}

/* CALLER: used in the interposed functions themselves, where the return address tells whose open it is. */
#define CALLER __builtin_return_address(0)

EXPORT int sqlite3_open(const char *path, sqlite3 **db) {
  struct library l;
  int act = library_of(CALLER, &l);
  if (l.open == NULL) return SQLITE_MISUSE;           /* whoever calls has a library: never met */
  int rc = l.open(path, db);
  return act ? opened(&l, rc, *db) : rc;
}

EXPORT int sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs) {
  struct library l;
  int act = library_of(CALLER, &l);
  if (l.open_v2 == NULL) return SQLITE_MISUSE;
  int rc = l.open_v2(path, db, flags, vfs);
  return act ? opened(&l, rc, *db) : rc;
}

EXPORT int sqlite3_open16(const void *path, sqlite3 **db) {
  struct library l;
  int act = library_of(CALLER, &l);
  if (l.open16 == NULL) return SQLITE_MISUSE;
  int rc = l.open16(path, db);
  return act ? opened(&l, rc, *db) : rc;
}

/* A tail call: the dynamic linker judges by the return address whose search path counts. */
EXPORT void *dlopen(const char *file, int flags) {
  static void *(*next)(const char *, int);
  if (next == NULL) {
    void *f = dlsym(RTLD_NEXT, "dlopen");
    memcpy(&next, &f, sizeof f);
  }
  pthread_once(&started, start);
  return next(file, listed ? flags & ~RTLD_DEEPBIND : flags);
}
