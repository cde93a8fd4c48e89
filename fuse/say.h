/* say.h: what dmpfs tells whoever starts it, on stderr, in English or French.
 * Owns: the language.  Never: the system log, clinical values, a PIN. */
#ifndef SAY_H
#define SAY_H
#include "verdict.h"

extern int say_french;
/* One of two sentences with the same arguments. */
#define IN(english, french) (say_french ? french : english)

/* name: "fr", "en", or NULL for what the environment asks. 0 when it is neither. */
int say_language(const char *name);
/* Prints the sentence and gives the verdict back. */
enum verdict say(enum verdict v, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A sentence that came from the record, which is in English: French has the verdict's own one and the code. */
enum verdict say_record(enum verdict v, const char *sentence);
#endif
