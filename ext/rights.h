/* rights.h: which keys a person may be given. Rules are rows of schema/, embedded at build; C only asks.
 * Owns: the embedded tables.  Never: opens, holds or grants a key; touches SQL or the file. Default is no.
 * Sources: arrêté of 26 October 2023 (matrix), R1111-46 and R1111-49 CSP, JDV_J07 and JDV_J57 (CI-SIS). */
#ifndef RIGHTS_H
#define RIGHTS_H
#include <stdint.h>
#include <stddef.h>

/* Rights classes: numbers are never reused (schema/classes.tsv). */
enum { CLASS_IDENTITY = 1, CLASS_CHOICES = 2, CLASS_LOG = 3, CLASS_NOTICES = 4, CLASS_FIRST_DOCUMENT = 16, CLASS_UNLISTED = 16 };
enum { RIGHTS_MAP_VERSION = 1 };
/* In which capacity somebody holds keys of a patient: a row of schema/holders.tsv. */
enum reader { READER_NONE = 0, READER_PATIENT, READER_TREATING, READER_CONSENT, READER_REPRESENTATIVE, READER_TEAM, READER_STAFF, READER_SOURCE = 8 /* deposits, holds nothing */,
              READER_MEMBER = 200 /* of a team that reads: holds by name what no team holds, the keys of circles */ };
/* Which keys of a class: bits. P0 and M0 are the halves that lead to what is not hidden from representatives. */
enum { KEY_P = 1, KEY_M = 2, KEY_P0 = 4, KEY_M0 = 8 };

size_t   rights_classes(const uint16_t **ids);        /* every class, system classes first, ascending */
uint16_t rights_class_of(const char *type_code);      /* "11488-4" or "REMB"; CLASS_UNLISTED when in no line of the matrix */
/* The bits KEY_P… that a reader in this capacity and profession (0 = none) may be given for a class. */
unsigned rights_keys(enum reader as, uint16_t profession, uint16_t cls);

/* Nomenclatures. */
struct type_code { const char *code, *system, *class_code, *display; };
const struct type_code *type_code_find(const char *code);      /* NULL: not in JDV_J07 */
const char *class_code_display(const char *code);              /* NULL: not in JDV_J57 */
const char *profession_display(uint16_t profession);           /* NULL: not in the list */
/* On what somebody represents a patient (schema/grounds.tsv). majority: it ends when the patient is of age. */
struct ground { const char *code, *display; int majority; };
const struct ground *ground_find(const char *code);            /* NULL: unknown */
/* Why somebody of this kind, specialty and facility (NULL: none) gets no certificate that could read (schema/barred.tsv); NULL: nothing bars. */
const char *rights_barred(const char *kind, const char *specialty, const char *facility);
/* For whom something may be exported (schema/recipients.tsv). */
struct recipient { const char *code, *display; int allowed; };
const struct recipient *recipient_find(const char *code);      /* NULL: unknown */
int facility_known(const char *code);                          /* SA01… */
int practice_setting_known(const char *code);                  /* AMBULATOIRE… */
#endif
