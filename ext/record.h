/* record.h: one record as one connection sees it: its shadow tables, prepared statements, identity and last fault.
 * Owns: the statements, the log's handle, the anchor's descriptor.  Never: opens a sealed value, knows a right. */
#ifndef RECORD_H
#define RECORD_H
#include "sqlite3ext.h"
#include "bytes.h"
#include "suite.h"
#include "dmp.h"

/* Every statement on the shadow tables: name, text; %s is the quoted schema. Each is prepared once per record and
 * stepped to its end (or reset) before anything else may use it. */
#define RECORD_STATEMENTS(X) \
  X(RECORD_GET,      "SELECT body FROM %s.dmp_record WHERE id=1") \
  X(RECORD_PUT,      "INSERT INTO %s.dmp_record(id,body) VALUES(1,?1)") \
  X(SNAPSHOT,        "SELECT id FROM %s.dmp_record") \
  X(CERT_BY_LOC,     "SELECT id,box FROM %s.dmp_certificate WHERE loc=?1") \
  X(CERT_COUNT,      "SELECT count(*) FROM %s.dmp_certificate WHERE loc=?1") \
  X(CERT_IDS,        "SELECT id FROM %s.dmp_certificate WHERE loc=?1 ORDER BY id") \
  X(CERT_PUT,        "INSERT INTO %s.dmp_certificate(id,loc,box) VALUES(?1,?2,?3)") \
  X(CERT_CLEAR,     "DELETE FROM %s.dmp_certificate WHERE loc=?1") \
  X(KEYSET_BY_LOC,   "SELECT id,box FROM %s.dmp_keyset WHERE loc=?1") \
  X(KEYSET_PUT,      "INSERT INTO %s.dmp_keyset(id,loc,box) VALUES(?1,?2,?3)") \
  X(KEYSET_DROP,    "DELETE FROM %s.dmp_keyset WHERE id=?1") \
  X(GRANT_BY_LOC,    "SELECT id,box FROM %s.dmp_grant WHERE loc=?1") \
  X(GRANT_IDS,       "SELECT id FROM %s.dmp_grant WHERE loc=?1 ORDER BY id LIMIT ?2") \
  X(GRANT_BY_ID,     "SELECT loc,box FROM %s.dmp_grant WHERE id=?1") \
  X(GRANT_PUT,       "INSERT INTO %s.dmp_grant(id,loc,box) VALUES(?1,?2,?3)") \
  X(GRANT_SET,       "UPDATE %s.dmp_grant SET loc=?2,box=?3 WHERE id=?1") \
  X(GRANT_DROP,      "DELETE FROM %s.dmp_grant WHERE id=?1") \
  X(GRANT_CLEAR,     "DELETE FROM %s.dmp_grant WHERE loc=?1") \
  X(OBJECT_BY_LOC,   "SELECT id,mark,wrap,version,header,amend FROM %s.dmp_object WHERE loc=?1 ORDER BY id") \
  X(OBJECT_BY_ID,    "SELECT loc,mark,wrap,version,header,amend FROM %s.dmp_object WHERE id=?1") \
  X(OBJECT_MARKS,    "SELECT id,mark FROM %s.dmp_object WHERE loc=?1 ORDER BY id") \
  X(OBJECT_LOC,      "SELECT id,loc FROM %s.dmp_object WHERE id<?1 ORDER BY id DESC LIMIT 1") \
  X(OBJECT_VERSION,  "SELECT version FROM %s.dmp_object WHERE id=?1") \
  X(OBJECT_PUT,      "INSERT INTO %s.dmp_object(id,loc,wrap,version,header,mark) VALUES(?1,?2,?3,?4,?5,?6)") \
  X(OBJECT_MOVE,     "UPDATE %s.dmp_object SET loc=?2,wrap=?3,mark=?4 WHERE id=?1") \
  X(OBJECT_SET,      "UPDATE %s.dmp_object SET loc=?2,wrap=?3,version=?4,header=?5,mark=?6,amend=NULL WHERE id=?1") \
  X(OBJECT_AMEND,    "UPDATE %s.dmp_object SET amend=?2 WHERE id=?1") \
  X(OBJECT_DROP,     "DELETE FROM %s.dmp_object WHERE id=?1") \
  X(OBJECT_CLEAR,   "DELETE FROM %s.dmp_object WHERE loc=?1") \
  X(WRAP_IDS,        "SELECT id FROM %s.dmp_wrap WHERE loc=?1 ORDER BY id") \
  X(WRAP_BY_ID,      "SELECT loc,wrap FROM %s.dmp_wrap WHERE id=?1") \
  X(WRAP_PUT,        "INSERT INTO %s.dmp_wrap(id,loc,wrap) VALUES(?1,?2,?3)") \
  X(WRAP_SET,        "UPDATE %s.dmp_wrap SET wrap=?2 WHERE id=?1") \
  X(WRAP_CLEAR,     "DELETE FROM %s.dmp_wrap WHERE loc=?1") \
  X(CHUNK_GET,       "SELECT box FROM %s.dmp_chunk WHERE object=?1 AND number=?2") \
  X(CHUNK_TAGS,      "SELECT number,substr(box,-16) FROM %s.dmp_chunk WHERE object=?1 ORDER BY number") \
  X(CHUNK_PUT,       "INSERT INTO %s.dmp_chunk(object,number,box) VALUES(?1,?2,?3)") \
  X(STATE_BY_LOC,    "SELECT id,box FROM %s.dmp_state WHERE loc=?1") \
  X(STATE_PUT,       "INSERT INTO %s.dmp_state(id,loc,box) VALUES(?1,?2,?3)") \
  X(STATE_SET,       "UPDATE %s.dmp_state SET loc=?2,box=?3 WHERE id=?1") \
  X(STATE_DROP,     "DELETE FROM %s.dmp_state WHERE id=?1") \
  X(SEALED_ALL,      "SELECT id,body FROM %s.dmp_sealed ORDER BY id") \
  X(SEALED_BY_ID,    "SELECT body FROM %s.dmp_sealed WHERE id=?1") \
  X(SEALED_PUT,      "INSERT INTO %s.dmp_sealed(id,body) VALUES(?1,?2)") \
  X(SEALED_SET,      "UPDATE %s.dmp_sealed SET body=?2 WHERE id=?1") \
  X(SEALED_DROP,     "DELETE FROM %s.dmp_sealed WHERE id=?1") \
  X(READER_BY_LOC,   "SELECT id,box FROM %s.dmp_reader WHERE loc=?1") \
  X(READER_PUT,      "INSERT INTO %s.dmp_reader(id,loc,box) VALUES(?1,?2,?3)") \
  X(READER_DROP,     "DELETE FROM %s.dmp_reader WHERE loc=?1") \
  X(STATE_ALL,       "SELECT id,box FROM %s.dmp_state") \
  X(KEYSET_ALL,      "SELECT id,box FROM %s.dmp_keyset") \
  X(SCHEMA_VERSION,  "PRAGMA %s.schema_version") \
  X(SCHEMA_ROWS,     "SELECT type,name,tbl_name,sql FROM %s.sqlite_schema") \
  X(TEMP_STORE,      "PRAGMA temp_store") \
  /* the end of the list */
#define RECORD_ENUM(name, sql) STMT_##name,
enum record_stmt { RECORD_STATEMENTS(RECORD_ENUM) STMT_COUNT };

struct log;
struct session;
struct connection;

/* Where the last fault was met: the shadow table and row that an error message names. */
struct fault { const char *table; int64_t row; int sql_rc; };

struct record {
  sqlite3 *db;                            /* borrowed: the application's connection */
  char *schema;                           /* owned: "main", or the name it is attached under */
  char *quoted;                           /* owned: the same as an SQL identifier */
  char *path;                             /* owned: the database file */
  uint8_t id[16];                         /* record id */
  uint8_t authority[32];                  /* Ed25519 key, as the file says: trusted only once pinned by a credential */
  int suite;                              /* of headers, wraps, chunks and states */
  struct log *log;                        /* owned; NULL until a login or a create */
  int anchor_fd;                          /* owned; -1 */
  struct session *session;                /* owned through session.h; NULL: nobody is logged in */
  struct fault fault;
  char faulty[128];                       /* what fault.table points to */
  char detail[1024];                      /* what of the schema stands in the way; told with the next error, once */
  unsigned data_version;                  /* of the file when caches were last known good */
  int64_t schema_version;                 /* of the schema that was last checked */
  uint64_t texts_seen;                    /* digest of all databases' schema versions when their texts were last checked */
  unsigned schema_data;                   /* data version then: one checked inside a transaction counts only with it, */
  int schema_settled;                     /* for a rollback gives its number to somebody else's schema; 1: checked outside of one */
  int64_t schema_checks;                  /* how often */
  struct connection *connection;          /* borrowed: whose record this is */
  int converting;                         /* a protected table's entry is dropped or renamed: it is not looked for, and its shadow is kept */
  int64_t watched_check;                  /* the check of the schema after which the protected tables were checked */
  int temp_held;                          /* 1 while a caller asks who knows that temp_store is what it was when it was checked */
  int64_t watched_bad, watched_id;        /* version of the schema that failed that check, or -1; the table (row of dmp_sealed) */
  uint8_t watched_seen[32];               /* hash of the views and triggers that were met there */
  int64_t entries_check;                  /* the check of the schema after which the entries of the protected tables were checked */
  int users;                              /* virtual tables connected, functions running: without any, no statement may stay prepared */
  sqlite3_stmt *st[STMT_COUNT];
};

/* A handle on the schema; reads no record yet. */
int  record_new(sqlite3 *db, const char *schema, struct record **out);
void record_free(struct record *r);
void record_finalize(struct record *r);               /* drops the prepared statements; they come back when needed */
/* Reads and checks dmp_record. DMP_E_NOT_RECORD, _NEWER, _CPU, _VFS. */
int  record_open(struct record *r);
/* Makes the shadow tables, the virtual tables and the record's row; r->id, ->authority and ->suite are given. */
int  record_make(struct record *r);
/* Compares the record's schema entries with what this version creates and refuses foreign text that names a dmp_ function.
 * Cheap when the schema version is unchanged. DMP_E_SCHEMA. */
int  record_check_schema(struct record *r);
/* Makes SQLite parse the schema anew, in the snapshot that is held: what it keeps may have been changed under the same version.
 * Not inside a transaction nor under a statement that writes, whose program points into what it parsed. */
int  record_reparse(struct record *r);
/* Refuses foreign text that names a dmp_ function in any attached database but temp: a CHECK of any file runs our functions with
 * this login's keys. */
int  record_check_texts(struct record *r);
/* DMP_E_TEMP_STORE unless temporary files stay in memory. */
int  record_check_temp(struct record *r);
int  record_hold_temp(struct record *r);                /* 1: a virtual table that is connected may keep the answer (see temp_held) */
/* Holds the connection's read snapshot from now to record_release: a function called without FROM has none of its own. */
int  record_hold(struct record *r);
void record_release(struct record *r);
/* 1 when another connection (or this one) committed since the last call: caches are stale. */
int  record_changed(struct record *r);
/* Called from a commit of this connection: 1 when it was the only one since the last call of either, so that nobody else's waits unseen. */
int  record_committed(struct record *r);

/* A ready statement, reset and with its bindings cleared; NULL on failure (then record_sql_fault(r) is the error). */
sqlite3_stmt *record_stmt(struct record *r, enum record_stmt which);
/* Steps a writing statement to its end and resets it. DMP_OK or DMP_E_SQL. */
int  record_run(struct record *r, sqlite3_stmt *st);
int  record_sql_fault(struct record *r);              /* notes the connection's error code; returns DMP_E_SQL */
/* Notes where a fault was met and returns e, so that an error can name the row. */
int  record_fault(struct record *r, int e, const char *table, int64_t row);
/* Inserts (id random, loc, box) into one of the three-column tables; *id is what was drawn. */
int  record_put(struct record *r, enum record_stmt put, const uint8_t loc[16], const struct buf *box, int64_t id);
int  record_clear(struct record *r, enum record_stmt which, const uint8_t loc[16]);   /* deletes the rows at a locator */
int  record_random_id(int64_t *id);                   /* 63 random bits, never 0 */
int64_t record_now(void);                             /* unix milliseconds */
/* Names of the virtual tables, NULL-terminated. */
extern const char *const record_tables[];
#endif
