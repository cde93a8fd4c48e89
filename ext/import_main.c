/* import_main.c: dmp_import.so: the table-valued function dmp_import(path [, options]). One row for each file:
 * deposited, present or refused, and why. Each file is all or nothing; rows come as files are done, so that a query
 * that stops early has imported what it has shown.
 * Owns: the module, its cursors.  Never: parses a file in this process, knows a key. */
#include "import_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dmp.h"
SQLITE_EXTENSION_INIT1

enum column { COL_FILE, COL_STATE, COL_REASON, COL_WARNING, COL_DOCUMENT, COL_PATIENT, COL_UNIQUE_ID, COL_TITLE,
              COL_CREDENTIAL, COL_PIN, COL_PATH, COL_OPTIONS };
static const char DECLARATION[] =
  "CREATE TABLE x(file TEXT,state TEXT,reason TEXT,warning TEXT,document INTEGER,patient INTEGER,unique_id TEXT,"
  "title TEXT,credential TEXT,pin TEXT,path HIDDEN,options HIDDEN)";

struct table { sqlite3_vtab base; sqlite3 *db; const char *program; };   /* borrowed both */
struct cursor {
  sqlite3_vtab_cursor base;                           /* base class, first */
  struct import_walk *walk;                           /* owned */
  struct import_options options;                      /* owned */
  struct import_row row;                              /* owned */
  int64_t number;
  int done, in_transaction;                           /* the application's own transaction holds all */
};

static int fail(sqlite3_vtab *v, int error) {
  sqlite3_free(v->zErrMsg);
  switch (error) {
#define CASE(number, name, rc, text) \
    case number: v->zErrMsg = sqlite3_mprintf("dmp-E%03d: %s", number, text); return SQLITE_##rc;
    DMP_ERRORS(CASE)
#undef CASE
  }
  return SQLITE_ERROR;
}

static int fail_text(sqlite3_vtab *v, const char *text) {
  sqlite3_free(v->zErrMsg);
  v->zErrMsg = sqlite3_mprintf("dmp_import: %s", text);
  return SQLITE_ERROR;
}

/* ---- options ---- */

static void options_free(struct import_options *o) {
  sqlite3_free(o->keys);
  sqlite3_free(o->schema);
  *o = (struct import_options){ 0 };
}

static int take_option(struct import_options *o, const char *key, const char *value) {
  if (value == NULL || *value == '\0') return DMP_E_OPTION;
  if (strcmp(key, "create_patients") == 0 && (!strcmp(value, "0") || !strcmp(value, "1"))) {
    o->create_patients = value[0] == '1';
    return DMP_OK;
  }
  char **text = strcmp(key, "keys") == 0 ? &o->keys : strcmp(key, "schema") == 0 ? &o->schema : NULL;
  if (text == NULL) return DMP_E_OPTION;
  sqlite3_free(*text);
  *text = sqlite3_mprintf("%s", value);
  return *text ? DMP_OK : DMP_E_NOMEM;
}

/* create_patients=1,keys=FOLDER,schema=NAME */
static int options_parse(struct import_options *o, const char *text) {
  char *copy = sqlite3_mprintf("%s", text ? text : ""), *rest = NULL;
  int error = copy ? DMP_OK : DMP_E_NOMEM;
  for (char *s = copy ? strtok_r(copy, ",", &rest) : NULL; s != NULL && !error; s = strtok_r(NULL, ",", &rest)) {
    char *value = strchr(s, '=');
    if (value != NULL) *value++ = '\0';
    error = take_option(o, s, value);
  }
  sqlite3_free(copy);
  if (!error && o->schema == NULL && (o->schema = sqlite3_mprintf("main")) == NULL) error = DMP_E_NOMEM;
  return error;
}

static int is_folder(const char *path) {
  struct stat st;
  return path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode) && access(path, W_OK | X_OK) == 0;
}

/* ---- one file ---- */

static int run(sqlite3 *db, const char *sql) { return sqlite3_exec(db, sql, NULL, NULL, NULL); }

/* A patient that is rolled back takes the new credential along: its name was drawn here, nobody else's file has it. */
static void undo(struct cursor *c, sqlite3 *db) {
  if (!sqlite3_get_autocommit(db)) {
    run(db, "ROLLBACK TO dmp_import");
    run(db, "RELEASE dmp_import");
  }
  if (c->row.credential != NULL) unlink(c->row.credential);
  if (c->row.pin != NULL) bytes_wipe(c->row.pin, strlen(c->row.pin));
  sqlite3_free(c->row.credential);
  sqlite3_free(c->row.pin);
  c->row.credential = c->row.pin = NULL;
  c->row.document = c->row.patient = 0;
}

static void deposit(struct cursor *c, sqlite3 *db, const struct import_result *r, const struct buf *file) {
  if (run(db, "SAVEPOINT dmp_import") != SQLITE_OK) {
    import_row_refuse_text(&c->row, sqlite3_errmsg(db));
    return;
  }
  int refused = import_store_deposit(db, &c->options, r, file, &c->row);
  if (!refused && run(db, "RELEASE dmp_import") != SQLITE_OK)
    refused = import_row_refuse_text(&c->row, sqlite3_errmsg(db));
  if (refused) undo(c, db);
}

static void import_file(struct cursor *c, const struct table *t, int fd) {
  struct buf file = { 0 };
  struct import_result r = { 0 };
  int bad = fd < 0 ? -1 : import_walk_read(fd, &file);
  if (fd >= 0) close(fd);
  if (bad == PARSE_E_HUGE) import_row_refuse_text(&c->row, "the file or one of its parts is too large");
  else if (bad) import_row_refuse(&c->row, IMPORT_E_READ);
  else if (import_child_parse(t->program, &file, &r, &c->row) == 0) deposit(c, t->db, &r, &file);
  import_child_free(&r);
  buf_free(&file);
}

/* ---- the module ---- */

static int x_connect(sqlite3 *db, void *program, int argc, const char *const *argv, sqlite3_vtab **out, char **error) {
  (void)argc, (void)argv, (void)error;
  int rc = sqlite3_declare_vtab(db, DECLARATION);
  if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  struct table *t = rc == SQLITE_OK ? sqlite3_malloc(sizeof *t) : NULL;
  if (t == NULL) return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
  *t = (struct table){ .db = db, .program = program };
  *out = &t->base;
  return SQLITE_OK;
}

static int x_disconnect(sqlite3_vtab *v) {
  sqlite3_free(v);
  return SQLITE_OK;
}

/* argv of x_filter: the path, then the options when idxNum is 1. */
static int x_best_index(sqlite3_vtab *v, sqlite3_index_info *info) {
  int path = -1, options = -1, unusable = 0;
  for (int i = 0; i < info->nConstraint; i++) {
    if (info->aConstraint[i].iColumn < COL_PATH || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (!info->aConstraint[i].usable) unusable = 1;
    else *(info->aConstraint[i].iColumn == COL_PATH ? &path : &options) = i;
  }
  if (unusable) return SQLITE_CONSTRAINT;
  if (path < 0) return fail_text(v, "give a file or a folder: SELECT * FROM dmp_import('…')");
  info->aConstraintUsage[path].argvIndex = 1;
  info->aConstraintUsage[path].omit = 1;
  if (options >= 0) info->aConstraintUsage[options].argvIndex = 2;
  if (options >= 0) info->aConstraintUsage[options].omit = 1;
  info->idxNum = options >= 0;
  info->estimatedCost = 1e9;
  return SQLITE_OK;
}

static int x_open(sqlite3_vtab *v, sqlite3_vtab_cursor **out) {
  (void)v;
  struct cursor *c = sqlite3_malloc(sizeof *c);
  if (c == NULL) return SQLITE_NOMEM;
  *c = (struct cursor){ .done = 1 };
  *out = &c->base;
  return SQLITE_OK;
}

static void cursor_reset(struct cursor *c) {
  import_walk_free(c->walk);
  options_free(&c->options);
  import_row_free(&c->row);
  c->walk = NULL;
  c->done = 1;
  c->number = 0;
}

static int x_close(sqlite3_vtab_cursor *base) {
  cursor_reset((struct cursor *)base);
  sqlite3_free(base);
  return SQLITE_OK;
}

static int x_next(sqlite3_vtab_cursor *base) {
  struct cursor *c = (struct cursor *)base;
  struct table *t = (struct table *)base->pVtab;
  char *name;
  int fd;
  import_row_free(&c->row);
  int more = import_walk_next(c->walk, &name, &fd);
  if (more < 0) return SQLITE_NOMEM;
  if (more == 0) {
    c->done = 1;
    return SQLITE_OK;
  }
  c->row.file = name;
  c->number++;
  import_file(c, t, fd);
  /* Disk full or the like: SQLite took the application's whole transaction back, with what earlier rows said. */
  if (c->in_transaction && sqlite3_get_autocommit(t->db))
    return fail_text(base->pVtab, "your transaction was rolled back: nothing of it was imported");
  return SQLITE_OK;
}

/* A statement that writes while this one runs (INSERT INTO … SELECT … FROM dmp_import) would keep files from being
 * committed. */
static int writer_runs(sqlite3 *db) {
  for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s != NULL; s = sqlite3_next_stmt(db, s))
    if (sqlite3_stmt_busy(s) && !sqlite3_stmt_readonly(s)) return 1;
  return 0;
}

static int session_open(struct table *t, const char *schema) {
  sqlite3_stmt *st = NULL;
  char *sql = sqlite3_mprintf("SELECT 1 FROM \"%w\".session", schema);
  int rc = sql ? sqlite3_prepare_v2(t->db, sql, -1, &st, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc != SQLITE_OK) return fail(&t->base, DMP_E_NOT_RECORD);
  rc = sqlite3_step(st);
  sqlite3_finalize(st);
  return rc == SQLITE_ROW ? SQLITE_OK : fail(&t->base, DMP_E_NO_SESSION);
}

static int x_filter(sqlite3_vtab_cursor *base, int options, const char *name, int argc, sqlite3_value **argv) {
  struct cursor *c = (struct cursor *)base;
  struct table *t = (struct table *)base->pVtab;
  (void)name, (void)argc;
  cursor_reset(c);
  const char *path = (const char *)sqlite3_value_text(argv[0]);
  int error = options_parse(&c->options, options ? (const char *)sqlite3_value_text(argv[1]) : NULL);
  if (!error && path == NULL) error = DMP_E_ARGUMENT;
  if (error) return fail(&t->base, error);
  if (c->options.create_patients && !is_folder(c->options.keys))
    return fail_text(&t->base, "create_patients=1 needs keys=FOLDER, a folder where new credentials can be written");
  if (access(t->program, X_OK) != 0)
    return fail_text(&t->base, "dmp-parse is missing beside dmp_import.so: install both");
  if (writer_runs(t->db))
    return fail_text(&t->base, "use it in a SELECT of its own: in a statement that writes, no file can be committed");
  int rc = session_open(t, c->options.schema);
  if (rc != SQLITE_OK) return rc;
  if (import_walk_open(path, &c->walk) != 0) return fail_text(&t->base, "no such file or folder, or it can't be read");
  c->in_transaction = !sqlite3_get_autocommit(t->db);
  c->done = 0;
  return x_next(base);
}

static int x_eof(sqlite3_vtab_cursor *base) { return ((struct cursor *)base)->done; }

static int x_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column) {
  const struct import_row *r = &((struct cursor *)base)->row;
  const char *text = NULL;
  switch ((enum column)column) {
    case COL_FILE: text = r->file; break;
    case COL_STATE: text = r->state; break;
    case COL_REASON: text = r->reason; break;
    case COL_WARNING: text = r->warning; break;
    case COL_UNIQUE_ID: text = r->unique_id; break;
    case COL_TITLE: text = r->title; break;
    case COL_CREDENTIAL: text = r->credential; break;
    case COL_PIN: text = r->pin; break;
    case COL_DOCUMENT: if (r->document) sqlite3_result_int64(ctx, r->document); return SQLITE_OK;
    case COL_PATIENT: if (r->patient) sqlite3_result_int64(ctx, r->patient); return SQLITE_OK;
    case COL_PATH: case COL_OPTIONS: return SQLITE_OK;
  }
  if (text != NULL) sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
  return SQLITE_OK;
}

static int x_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *id) {
  *id = ((struct cursor *)base)->number;
  return SQLITE_OK;
}

/* No xCreate: the table exists only as a function. No xUpdate: it is read-only. */
static const sqlite3_module MODULE = {
  .xConnect = x_connect, .xBestIndex = x_best_index, .xDisconnect = x_disconnect, .xOpen = x_open, .xClose = x_close,
  .xFilter = x_filter, .xNext = x_next, .xEof = x_eof, .xColumn = x_column, .xRowid = x_rowid,
};

/* The parser lies beside this library, wherever that was loaded from. */
static char *find_program(void) {
  Dl_info info;
  char *library = dladdr(DECLARATION, &info) != 0 ? realpath(info.dli_fname, NULL) : NULL;
  char *slash = library ? strrchr(library, '/') : NULL, *program = NULL;
  if (slash != NULL) program = sqlite3_mprintf("%.*s/dmp-parse", (int)(slash - library), library);
  free(library);
  return program;
}

__attribute__((visibility("default")))
int sqlite3_dmpimport_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

int sqlite3_dmpimport_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
  (void)error;
  SQLITE_EXTENSION_INIT2(api);
  char *program = find_program();
  if (program == NULL) return SQLITE_NOMEM;
  return sqlite3_create_module_v2(db, "dmp_import", &MODULE, program, sqlite3_free);
}
