/* hosting.h: who stores the file, and where: entries that the authority signs, kept one after another.
 * Owns: the layout of an entry, its signature and its chain.  Never: tells a patient (notice.c); believes an entry that is not signed.
 * Sealed under the directory's key, as certificates are: everybody registered reads them. Plaintext: magic 4 · version 1 · seq 4 ·
 * recorded 8 (unix ms) · hash of the entry before 32 (zeros at first) · name, operator, place, since: each length 2 and text · signature 64
 * by the authority over "dmp-hosting-1" ‖ record ‖ everything before. */
#ifndef HOSTING_H
#define HOSTING_H
#include "session.h"

struct hosting {
  uint32_t seq;
  int64_t recorded;
  uint8_t previous[32], hash[32];                     /* hash: BLAKE2b-256 of the whole entry */
  char name[CERT_TEXT], operator[CERT_TEXT], place[CERT_TEXT], since[32];
};
/* The entries that the authority signed and that follow one another, oldest first. broken: others lay there, or one is missing. */
struct hostings { struct hosting *h; size_t n; int broken; };
int  hosting_read(struct session *s, struct hostings *out);
void hosting_free(struct hostings *h);
/* One more entry, by the authority. h: the texts are given. DMP_E_DUPLICATE: it says what the last one says. */
int  hosting_add(struct session *s, struct hosting *h);

void hosting_write(const uint8_t record[16], struct hosting *h, const uint8_t sk[64], struct buf *out);   /* fills h->hash */
int  hosting_parse(const uint8_t *p, size_t n, struct hosting *h);      /* form only; DMP_E_ROW_FORMAT */
int  hosting_signed(const uint8_t record[16], const uint8_t *p, size_t n, const uint8_t pk[32]);          /* DMP_E_SIGNATURE */
#endif
