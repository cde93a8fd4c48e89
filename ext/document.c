/* document.c: a document's stored row (see document.h). */
#include "document.h"
#include <string.h>

int document_values(const struct item *it, struct value v[STORED]) {
  size_t count, used;
  memset(v, 0, STORED * sizeof *v);
  return row_get(it->c.row, it->c.row_len, v, STORED, &count, &used);
}

int document_sound_values(const struct item *it, struct value v[STORED]) {
  static const uint8_t SIZES[] = { S_SIZE, S_VIEW_OFFSET, S_VIEW_SIZE };
  if (document_values(it, v) != DMP_OK) return 0;
  for (int i = 0; i < STORED; i++) {
    int size = 0;
    for (size_t k = 0; k < sizeof SIZES; k++) size |= SIZES[k] == i;
    if (size ? v[i].type != VALUE_INT || v[i].u.i < 0 || (uint64_t)v[i].u.i > it->c.body_size : v[i].type != VALUE_NULL && v[i].type != VALUE_TEXT)
      return 0;
  }
  return (uint64_t)v[S_VIEW_OFFSET].u.i + (uint64_t)v[S_VIEW_SIZE].u.i <= it->c.body_size;
}

int document_sound(const struct item *it) {
  struct value v[STORED];
  return document_sound_values(it, v);
}

int document_original_size(const struct item *it, uint64_t *size) {
  struct value v[STORED];
  int e = document_values(it, v);
  if (e == DMP_OK && (v[S_SIZE].type != VALUE_INT || v[S_SIZE].u.i < 0 || (uint64_t)v[S_SIZE].u.i > it->c.body_size)) e = DMP_E_ROW_FORMAT;
  *size = e == DMP_OK ? (uint64_t)v[S_SIZE].u.i : 0;
  return e;
}

uint16_t document_class_of(const struct value *v) {
  char code[64];
  if (v->type != VALUE_TEXT || v->n >= sizeof code) return CLASS_UNLISTED;
  memcpy(code, v->u.p, v->n);
  code[v->n] = 0;
  return rights_class_of(code);
}

uint16_t document_class(const struct item *it) {
  struct value v[STORED];
  return document_values(it, v) == DMP_OK ? document_class_of(&v[S_TYPE_CODE]) : CLASS_UNLISTED;
}
