/* syntax.h: whether dates and identifiers are well formed. Pure functions.
 * Owns: nothing.  Never: SQL, a table of codes, cryptography. */
#ifndef SYNTAX_H
#define SYNTAX_H
#include <stddef.h>
#include <stdint.h>

/* ISO 8601. All return 1 when good. */
int syntax_birth_date(const char *s);                 /* YYYY, YYYY-MM or YYYY-MM-DD, existing, 1850…2200 */
/* YYYY-MM-DD, or YYYY-MM-DDThh:mm[:ss[.fff]](Z|±hh:mm): rewrites into out (21 bytes: "2026-03-12T10:00:00Z", UTC; a bare day stays
 * a bare day). */
int syntax_time(const char *s, char out[32]);
void syntax_time_ms(int64_t unix_ms, char out[32]);   /* "2026-03-12T10:00:00Z" */
/* The first instant of the 18th birthday, for a partial birth date of the latest possible one (a child born on 29 February: 1 March).
 * 0 when it is no birth date. */
int syntax_majority(const char *birth_date, int64_t *unix_ms);
int64_t syntax_month_later(int64_t unix_ms);          /* the same day and hour of the next month, or its last day */
/* HL7 v3 TS (YYYY[MM[DD[hh[mm[ss[.f…]]]]]][±zzzz]) to the form of syntax_time; partial dates to YYYY, YYYY-MM, YYYY-MM-DD. */
int syntax_hl7_time(const char *s, char out[32]);
/* INS: 13 characters + 2 of key, Corsica included. Returns 1 good, 0 malformed, -1 well formed but the key is wrong. */
int syntax_ins(const char *s);
int syntax_ins_oid(const char *oid);                  /* 1: production NIR/NIA (.8 .9), 2: test or demo (.10 .11 .13), 0: another */
int syntax_rpps(const char *s);                       /* 11 digits, Luhn: 1 good, 0 malformed, -1 key */
int syntax_finess(const char *s);                     /* 9 characters, Luhn: same */
int syntax_utf8(const char *s, size_t n);             /* 1: valid UTF-8 without NUL */
#endif
