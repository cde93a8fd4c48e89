/* document.h: what of a document's row others must know.  Owns: the order of the stored values (with table_document.c). */
#ifndef DOCUMENT_H
#define DOCUMENT_H
#include "item.h"
int document_original_size(const struct item *it, uint64_t *size);
int document_sound(const struct item *it);             /* its stored values are what a deposit writes */
uint16_t document_class(const struct item *it);       /* the rights class that its type code asks for */
#endif
