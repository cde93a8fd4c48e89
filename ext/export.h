/* export.h: the access log as a page that a person reads, signed by who exports it, for somebody who is named.
 * Owns: the page and its signature; for whom no export is made (schema/recipients.tsv).
 * Never: writes a file; shows a line that `access_log` would not show this login.
 * The last line of a page: <!-- dmp-export-1 RECORD KEY SIGNATURE -->, hex of 16, 32 and 64 bytes: Ed25519 over "dmp-export-1" ‖ record ‖
 * every byte before that line. */
#ifndef EXPORT_H
#define EXPORT_H
#include "history.h"

/* Logs the export, then appends the page. recipient: a code of recipients.tsv, NULL: the patient. DMP_E_RECIPIENT: none is made for such a
 * one, and the attempt is logged; DMP_E_CODE: unknown. */
int export_page(struct session *s, struct patient *p, const struct buf *who /* the patient, as people name her */, const char *recipient, struct buf *out);
/* Whose key signed these bytes as they are; DMP_E_PAGE: nobody's. */
int export_check(const void *page, size_t n, uint8_t record[16], uint8_t key[32]);
#endif
