/* protect_reader.h: the readers of a protected table.
 * Owns: rows of dmp_reader: the table's keys as somebody holds them, and the note that says a holder gave them.
 * Never: a description (protect.h); who should be given a key (functions.c, table_protect.c). */
#ifndef PROTECT_READER_H
#define PROTECT_READER_H
#include "protect.h"

/* The table's keys for this login, once they say that a holder wrote the description. DMP_E_NO_TABLE_KEY: this login is no reader;
 * DMP_E_KEY_LOST: nobody is. */
int  protect_key(struct session *s, const struct protect *p, struct protect_keys *k);
int  protect_new_key(struct protect *p, struct protect_keys *k);        /* draws the live one; sets p->kid */
int  protect_drop(struct session *s, const struct protect *p);          /* the description, with its readers */

/* A reader whose row was given by a holder, as any holder can prove. */
struct protect_reader { uint8_t principal[16]; int64_t since; };
/* Seals the keys to somebody, in the place of what he had. */
int  protect_give(struct session *s, const struct protect *p, const struct protect_keys *k, const struct certificate *to, int64_t since);
int  protect_withdraw(struct session *s, const struct protect *p, const uint8_t principal[16]);
int  protect_reads(struct session *s, const struct protect *p, const uint8_t principal[16]);   /* 1: has a row, whoever wrote it */
/* The row of somebody, proven. DMP_E_NOT_FOUND, or what is wrong with it. */
int  protect_reader(struct session *s, const struct protect *p, const struct protect_keys *k, const uint8_t principal[16],
                    struct protect_reader *out);
/* Calls bad for each row of somebody that does not prove. DMP_E_NOMEM and DMP_E_SQL only. */
int  protect_reader_check(struct session *s, const struct protect *p, const struct protect_keys *k, const uint8_t principal[16],
                          void (*bad)(void *ctx, int64_t row, int e), void *ctx);
/* All readers that prove, at most one per principal; malloc'ed. */
int  protect_readers(struct session *s, const struct protect *p, const struct protect_keys *k, struct protect_reader **out, size_t *n);
/* Drops every reader's row of the table, and gives the keys to these. */
int  protect_regive(struct session *s, const struct protect *p, const struct protect_keys *k, const struct protect_reader *to, size_t n);
#endif
