/* session.h: one login on one record: the credential, who that is, the directory, and what is waiting to be logged.
 * Owns: all of that, in locked memory where it is secret, until login.c frees it.  Never: decides on a right, reads a patient. */
#ifndef SESSION_H
#define SESSION_H
#include <sys/types.h>
#include "directory.h"
#include "credential.h"
#include "finder.h"
#include "recent.h"
#include "log.h"
#include "box.h"

struct patient;
struct awaited;
struct seat;
struct team;
/* What the file says of teams (team.h): rows of their lines, and the teams that these are about. */
struct teams { struct team **t; size_t n; int64_t *row; size_t rows, certificates; unsigned generation; };
/* A grant of one's own that login found: the patient it is for and the row it lies in. */
struct own_grant { int64_t patient, row; int inbox; /* 1: as sent, not adopted yet */
                   int seat, group; /* whose it is, and his newest seat: seat.h */ int note; };

/* Lines and rows that the running transaction will write to the log when it commits. */
struct pending {
  struct log_line *line; struct log_row *row; size_t lines, rows, line_cap, row_cap;
  char **file; size_t files, file_cap;    /* owned: credential files made: they go if the transaction does */
  int halfway;                            /* an operation failed after its first write: the commit is refused */
  int64_t whole;                          /* total_changes() when the running operation was last at a point that may be committed */
};
struct access_mark { size_t lines, rows, files; int halfway; };   /* what was pending when a savepoint opened */
/* A line already written, whose repetition within five minutes only counts. */
struct repeated { struct recent_head head; int64_t patient, object, at; uint8_t action; uint32_t more; uint8_t key[32], team[8]; };
enum { PATIENT_CACHE = 64, SEEN = 65536, SAVEPOINTS = 256 };

struct session {
  struct record *r;                       /* borrowed */
  struct credential *cred;                /* owned, locked */
  struct kdf_cost cost;                   /* of the slot that opened: new credentials cost the same */
  int refused;                            /* DMP_E_REVOKED while the own certificate is: told at every use */
  pid_t pid;                              /* who logged in: a forked child is refused */
  struct certificate me;                  /* verified copy */
  struct credential *next;                /* owned, locked; NULL. A patient's new credential, while the former one hands over */
  struct credential *former;              /* owned, locked: of keys before this one, cred->formers of them; NULL: none */
  int64_t principal;                      /* its id */
  int view;                               /* 1: the credential of a minimal view: it reads, as the patient would, and writes nothing */
  struct directory dir;
  char *on_behalf;                        /* owned; NULL */
  uint8_t login_id[16], writer_tag[16];
  struct own_grant *own;                  /* owned, sorted by patient */
  size_t owns, own_cap;
  unsigned generation;                    /* bumped whenever what was read may be stale */
  unsigned owns_generation;               /* generation at which the list was true */
  int grants_written;                     /* this login wrote a grant since the list was read */
  unsigned inbox_refused;                 /* grants found that did not prove and were dropped */
  struct patient *cache;                  /* owned, locked: PATIENT_CACHE opened grants, and one more to look at and forget */
  unsigned cache_tick;
  struct recent opened;                   /* owned: the documents that were read last (reader.c) */
  struct buf scratch;                     /* for boxes that are looked at and forgotten */
  struct pending pending;
  struct access_mark mark[SAVEPOINTS];   /* pending at each open savepoint */
  int levels;                             /* how many are marked */
  int intent_written;                     /* an intent block waits for its outcome */
  struct recent repeated;                 /* owned: struct repeated */
  struct { int64_t object, patient; } *seen;   /* owned: hints where an object was met, SEEN entries by hash */
  struct seat *seat;                      /* owned, locked: oneself, and a place in each team */
  size_t seats;
  unsigned seats_version;                 /* of the teams, when they were taken */
  int64_t seats_until;                    /* when the first of them ends by its date; 0 */
  struct teams teams;                     /* owned: the lines of all teams, proven when asked */
  unsigned teams_version;
  struct awaited *awaited;                /* owned: what waits for an announcement, as it was last looked for (follow.h) */
  struct finder finder;                   /* locators of the leaves held, and own deposits, as far as they were needed */
  int64_t listed_day;                     /* day of the lines in listed */
  int64_t *listed; size_t listeds, listed_cap;  /* owned, sorted: patients whose listing this login has logged today */
  uint64_t headers_opened, boxes_opened;
};

/* The checks that every use begins with: logged in, same process, schema untouched, temp in memory; bumps the generation
 * when the file changed. */
int  session_use(struct record *r, struct session **out);
/* Before anything is written to the record. A minimal view is told what a file that is read-only says. */
int  session_writes(struct session *s);
int  session_lapsed(const struct session *s);   /* 1: the end date of a place in a team has come since the seats were taken */
void session_stale(struct session *s);    /* forget everything read: after others' writes and rollbacks */
/* After an own write that succeeded: forget what was read of patients; the list of grants stays true unless one was written. */
void session_wrote(struct session *s);

/* 1: the certificate is one of this login's principal, now or before. */
int  session_mine(struct session *s, const uint8_t cert_hash[32]);
/* The certificate of the directory that has this key, of this login's principal; NULL. */
const struct certificate *session_by_key(struct session *s, const uint8_t sign_pk[32]);
/* Opens a box sealed to this login's certificate, or to one that it had before. mix: as in box.h. */
int  session_open_sealed(struct session *s, const uint8_t *mix, const struct box_ad *ad, const void *box, size_t n, const uint8_t **plain, size_t *len);
/* Opens a box under a key into s->scratch. Boxes of items are counted; those that bring keys (keysets, grants, certificates) are not:
 * how often keys turned would tell who is left out that something was masked. */
int  session_open_key(struct session *s, const uint8_t key[32], const struct box_ad *ad, const void *box, size_t n,
                      const uint8_t **plain, size_t *len);
int  session_open_box(struct session *s, const uint8_t key[32], const struct box_ad *ad, const void *box, size_t n,
                      const uint8_t **plain, size_t *len);
int  session_column(struct session *s, const char *column, int e);   /* e, told with the name of the column that is at fault */
int  session_wrong_kind(struct session *s, int64_t principal, const char *needed);   /* DMP_E_NO_PRINCIPAL, told with the kind of one that is known */
/* Who a principal is; NULL when unknown or unverified. Patients' certificates are not here. */
const struct certificate *session_who(struct session *s, const uint8_t principal[16]);
#endif
