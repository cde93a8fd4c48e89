/* log.h: the access log of one record: an SQLite file of its own in its own folder, a chain of signed blocks.
 * Owns: its own connection, the block layout, the chain, the index of lines.  Never: decides what an access is or who
 * may read a line (the caller brings pairwise keys); never touches the record's database.
 *
 * File: RECORD-log/access.db, WAL, synchronous NORMAL, busy timeout 5 s, application id "DMPL".  Tables: meta(record), one
 * row; block(id INTEGER PRIMARY KEY, body BLOB), ids without a gap from 1; and, derived, so that log_verify compares them
 * with the blocks: line(loc BLOB, block, n, PRIMARY KEY(loc, block, n)) and head(tag BLOB PRIMARY KEY, block), each
 * writer's last block, both WITHOUT ROWID.
 * Block: magic 4 ("DLG" and the kind's letter) · length u32 · record id 16 · writer tag 16 · seq u64 (per writer, from 0) ·
 * hash of this writer's previous block 32 (zeros at first) · m u32 · m × (table u16, id u64, hash 16) · hash of the block
 * that precedes in the file, whoever wrote it, 32 (zeros at first: this is the "other writers' heads" of the format in
 * one value) · n u32 · n lines of 192 · Ed25519 over "dmp-log-1" ‖ everything before, 64. Block hashes: BLAKE2b-256 of the whole.
 * Line: loc 16 = PRF(KDF(key, "loc"), ISO year × 100 + ISO week as u32) · XChaCha box under KDF(key, "line"), unpadded (kind BOX_LOG,
 * table IN_LOG, id = patient id, loc) of 98 bytes: at u64 (unix ms), action u8, mode u8, count u16, person 16, patient 16, object 16,
 * login 8, through which team 8, reason 22 (zero padded). */
#ifndef LOG_H
#define LOG_H
#include <stdint.h>
#include <stddef.h>
#include "sqlite3ext.h"

enum log_kind { LOG_ACCESS = 'A', LOG_INTENT = 'I', LOG_DONE = 'C', LOG_UNDONE = 'X' };
/* Append only; texts in log_action_text(). */
enum log_action { LOG_LOGIN = 1, LOG_LIST, LOG_READ, LOG_REFUSED, LOG_DEPOSIT, LOG_DELETE, LOG_MASK, LOG_UNMASK, LOG_CONSENT,
                  LOG_WITHDRAW, LOG_TREATING, LOG_CREATE, LOG_REGISTER, LOG_ADOPT, LOG_ROTATE, LOG_IDENTITY,
                  LOG_ANNOUNCE = 24, LOG_REVEAL, LOG_BLOCK = 30, LOG_UNBLOCK, LOG_REISSUE, LOG_RENEW, LOG_JOIN = 34, LOG_LEAVE, LOG_TEAM_KEY, LOG_HOSTING = 42, LOG_EXPORT, LOG_VIEW = 46, LOG_VIEW_END };
enum log_mode { LOG_NORMAL = 1, LOG_SHOWN /* never written: how the patient reads the lines of a minimal view */ };

struct log_line {
  uint8_t key[32];                                    /* pairwise key: says who will find and read the line */
  int64_t at;                                         /* unix milliseconds */
  uint8_t action, mode;
  uint16_t count;
  uint8_t person[16], patient[16], object[16], login[16];   /* id fields; zeros = none; behind the login's id that of a team */
  char reason[22];                                    /* not NUL-terminated when full */
};
struct log_row { uint16_t table; int64_t id; uint8_t hash[16]; };   /* a state or keyset row as written (BLAKE2b-128 of its box); zeros: taken away */
/* Of one block, which is one transaction's: each line that is read later reads its block. */
enum { LOG_LINES_MAX = 65536, LOG_ROWS_MAX = 1 << 20 };
struct log_writer { uint8_t tag[16]; const uint8_t *sign_sk; /* 64, borrowed */ };

struct log;
/* Opens (create: makes the folder, mode 0700, and the file) the log of the record whose database file is record_path, with
 * that connection's VFS name. On error *out is NULL. DMP_E_LOG_OPEN, DMP_E_LOG_FORMAT (another record's). */
int  log_open(const char *record_path, const char *vfs, const uint8_t record[16], int create, struct log **out);
void log_close(struct log *l);
/* One block, one signature, one commit (BEGIN IMMEDIATE … COMMIT), durable against a kill of this process when it returns
 * 0. DMP_E_TRANSACTION above the limits, else DMP_E_LOG_WRITE: the caller releases nothing. */
int  log_append(struct log *l, const struct log_writer *w, enum log_kind kind, const struct log_row *rows, size_t m,
                const struct log_line *lines, size_t n);
/* Whose blocks a line must stand in to be believed: the tag and the Ed25519 key of the person who holds the pairwise key with
 * the reader. Others who know that key (a treating doctor knows all) could seal a line, but not sign the block. */
struct log_author { uint8_t tag[16]; const uint8_t *pk; /* 32, borrowed */ unsigned foreign; /* out: lines passed over */ };
/* Calls each(ctx, line, block id) for every line under this pairwise key whose patient id field is patient's, in the weeks that cover
 * [from_ms, to_ms], oldest first. A line that doesn't open is DMP_E_LOG_FORMAT. each returns nonzero to stop. */
int  log_read(struct log *l, const uint8_t key[32], struct log_author *by, int64_t patient, int64_t from_ms, int64_t to_ms,
              int (*each)(void *ctx, const struct log_line *line, int64_t block), void *ctx);
/* Walks the whole log. key_of: the Ed25519 key of a writer tag, or NULL when this login knows no such writer (then only
 * hashes are checked). fault: one call per block found altered, missing or out of order, what = one sentence without data;
 * row: each (table, id, hash) of the sound blocks in order, with what became of its block: of an intent, LOG_DONE or
 * LOG_UNDONE when that is what its writer logged next (accesses aside), else LOG_INTENT: the writer died between; of a
 * block LOG_UNDONE, that; of the others LOG_DONE. 0 when the walk reached the end, whatever it met. */
struct log_check {
  const uint8_t *(*key_of)(void *ctx, const uint8_t tag[16]);
  void (*fault)(void *ctx, int64_t block, const char *what);
  void (*row)(void *ctx, const struct log_row *row, enum log_kind outcome, const uint8_t *tag);   /* tag NULL: writer unknown */
  void *ctx;
};
int  log_verify(struct log *l, const struct log_check *c);
/* What became of a block's transaction: LOG_DONE (also for accesses), LOG_UNDONE, or LOG_INTENT when nobody told. */
int  log_outcome(struct log *l, int64_t block, enum log_kind *outcome);
const char *log_action_text(unsigned action);         /* "read", "list", …; "unknown" */
const char *log_mode_text(unsigned mode);             /* "normal", "view" */
#endif
