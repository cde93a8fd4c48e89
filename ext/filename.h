/* filename.h: turns any text into a file name that Linux, Windows and macOS accept.
 * Owns: nothing.  Never: SQL, the file system, a rule about what a name should say.
 *
 * The name is valid UTF-8 of 1 to DMP_NAME_MAX bytes. It has no < > : " / \ | ? * (each becomes "_"), no control,
 * bidirectional, zero-width or other invisible character (dropped; line breaks and tabs become a space), no leading
 * dot or space, no trailing dot or space, no run of spaces; a word that Windows reserves (CON, NUL.txt, COM1…) gets
 * "_" in front. Bytes that are not UTF-8 become U+FFFD. A longer name is cut between two characters and keeps its
 * extension (up to 16 ASCII letters and digits). A name already safe comes back unchanged.
 *
 * Normalisation to NFC has this scope: a Latin letter followed by a combining grave, acute, circumflex, tilde,
 * diaeresis, ring or cedilla is composed where the result is in Latin-1 or is Ÿ: all letters of French and its
 * neighbours. Other scripts, stacked marks and marks in another order stay as they were given. */
#ifndef FILENAME_H
#define FILENAME_H
#include <stddef.h>
#include "dmp.h"

/* text need not end with NUL and may be NULL when n is 0. 0, or DMP_E_NOMEM. */
int filename_safe(const char *text, size_t n, char out[DMP_NAME_MAX + 1]);
#endif
