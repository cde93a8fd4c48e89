/* access.h: what an access is, and that its line is in the log before anything is released.
 * Owns: the session's pending lines and the counting of repetitions.  Never: the log's layout (log.h), a right. */
#ifndef ACCESS_H
#define ACCESS_H
#include "grant.h"

/* ---- reads: written at once, in one block ---- */
/* One batch of lines for the patients (each with an opened grant) whose items are about to be released. */
struct access { struct log_line *line; size_t n, cap; };
/* Adds a `list` line unless this login logged one for this patient today. hidden: all that was listed is hidden from representatives;
 * about: all of it is withheld from the patient, and so is the line, as long as this item is. */
int  access_list(struct session *s, struct access *a, struct patient *p, int hidden, int64_t about);
int  access_listed(struct session *s, int64_t patient);                 /* 1: that line is in the log already */
/* Adds a line about one object, hidden from representatives or not; a repetition within five minutes only counts. */
int  access_object(struct session *s, struct access *a, struct patient *p, enum log_action what, int64_t object, int hidden);
/* An attempt refused: in the pairwise log of the patient when the asker has a grant (p), else in the asker's own chain. */
int  access_refused(struct session *s, struct access *a, struct patient *p, int64_t patient, int64_t object);
/* An export, or one that was refused, for a recipient: in the log when it returns 0. */
int  access_export(struct session *s, struct patient *p, enum log_action what, const char *recipient);
/* Writes what was added (nothing: no block). After an error nothing may be released. */
int  access_flush(struct session *s, struct access *a);
void access_free(struct access *a);

/* ---- writes: kept until the transaction commits ---- */
int  access_pend(struct session *s, struct patient *p, enum log_action what, int64_t patient, int64_t object, const char *reason);
/* About an item, or a choice of the patient. hidden: what it is about is hidden from representatives, and so is the line. */
int  access_pend_item(struct session *s, struct patient *p, enum log_action what, int64_t object, int hidden, const char *reason);
void access_through(struct session *s, const uint8_t team[16]);   /* the line pended last is about that team */
int  access_note_row(struct session *s, uint16_t table, int64_t row, const uint8_t *box, size_t n);
int  access_note_gone(struct session *s, uint16_t table, int64_t row);   /* a row that is taken away, for good */
int  access_full(const struct session *s);            /* 1: no room for what one more operation would add; the transaction stays whole */
int  access_waiting(const struct session *s);         /* 1: the open transaction has lines that its commit will write */
int  access_intent(struct session *s);                /* before the commit: its failure aborts the commit */
void access_outcome(struct session *s, int committed);
int  access_note_file(struct session *s, const char *path);   /* a file made by this transaction: removed if it is undone */
struct access_mark access_mark(const struct session *s);
void access_back_to(struct session *s, struct access_mark m);
/* Writes the counts of repetitions that are still in memory. */
int  access_counts(struct session *s);
/* The tag under which a principal's blocks stand in the log, another one for each key that he had: every login knows those of the directory. */
void access_writer_tag(const uint8_t directory_key[32], const struct certificate *who, uint8_t tag[16]);
/* The key of the asker's own chain, where lines without a patient's grant go. */
void access_own_key(const struct credential *c, uint8_t key[32]);
#endif
