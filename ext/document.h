/* document.h: the stored row of a document: its values in the signed order, and whether they make sense.
 * Owns: that order.  Never: the columns that SQL shows (table_document.c), keys. */
#ifndef DOCUMENT_H
#define DOCUMENT_H
#include "item.h"

/* Stored values, in the signed row's order: append only. */
enum stored { S_UNIQUE_ID, S_TITLE, S_TYPE_CODE, S_CLASS_CODE, S_FORMAT_CODE, S_MIME, S_LANGUAGE, S_CREATION_TIME, S_SERVICE_START,
              S_SERVICE_STOP, S_EPISODE, S_AUTHOR, S_AUTHOR_PROFESSION, S_FACILITY, S_PRACTICE_SETTING, S_REPLACES, S_CONFIDENTIALITY,
              S_SIZE, S_HASH, S_VIEW_MIME, S_VIEW_OFFSET, S_VIEW_SIZE, STORED };

int  document_values(const struct item *it, struct value v[STORED]);   /* DMP_E_ROW_FORMAT */
/* A depositor can sign nonsense: such a row shows to nobody and stops nobody's list; dmp_verify names it. Fills v. */
int  document_sound_values(const struct item *it, struct value v[STORED]);
int  document_sound(const struct item *it);
int  document_original_size(const struct item *it, uint64_t *size);
uint16_t document_class_of(const struct value *type_code);
uint16_t document_class(const struct item *it);       /* the rights class that its type code asks for */
#endif
