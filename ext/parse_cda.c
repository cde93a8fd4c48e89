/* parse_cda.c: a clinical document (HL7 CDA R2) read as a stream of events. What is taken from it is a table of paths.
 * Owns: the XML parser and what it gathered.  Never: builds a tree, follows a reference, expands an entity. */
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parse_parts.h"

#define HL7 "urn:hl7-org:v3"
#define XSL "http://www.w3.org/1999/XSL/Transform"

enum { NAME_MAX_BYTES = 32, COLLECT_MAX = 4 * PARSE_TEXT_MAX };

/* Pieces of names, kept until their element ends. */
enum part {
  FAMILY_BIRTH, FAMILY_PLAIN, FAMILY_USED, FAMILY_SPOUSE, GIVEN_FIRST, GIVEN_LIST, GIVEN_USED,
  AUTHOR_TITLE, AUTHOR_GIVEN, AUTHOR_FAMILY, AUTHOR_WHOLE, AUTHOR_DEVICE, AUTHOR_ORGANISATION, AUTHOR_PROFESSION,
  TYPE_DISPLAY, PRACTICE_OF_AUTHOR, FORMAT, PART_COUNT
};

struct attributes { const xmlChar **a; int n; };      /* borrowed from libxml2: five pointers each */
struct rule;
struct level { size_t path_n; const struct rule *rule; };

struct parse_cda {
  xmlParserCtxt *xml;                                 /* owned */
  int refusal;                                        /* the first one; nothing is gathered after it */
  int started;                                        /* an element was seen */
  unsigned depth, document_depth;                     /* 0: outside of the ClinicalDocument */
  int documents, patients;
  struct level level[PARSE_DEPTH_MAX + 1];
  char path[(PARSE_DEPTH_MAX + 1) * (NAME_MAX_BYTES + 1)];   /* below the ClinicalDocument: author/assignedAuthor */
  unsigned collecting, media;                         /* depth of the element whose text is gathered */
  struct buf text, tmp, fields;
  struct buf part[PART_COUNT];
  char qualifier[16];
  uint64_t seen;                                      /* bit n: field n stands */
  int replaces, service_done;
  struct parse_body body;
};

/* Where, and what to do there: at its start with its attributes, at its end with its text. */
struct rule {
  const char *path;
  void (*start)(struct parse_cda *c, const struct rule *r, struct attributes a);
  void (*end)(struct parse_cda *c, const struct rule *r);
  int what;                                           /* tag of a field, or a part */
  const char *attribute;
};

/* ---- gathering ---- */

static void refuse(struct parse_cda *c, int refusal) {
  if (c->refusal != PARSE_OK) return;
  c->refusal = refusal;
  xmlStopParser(c->xml);
}

/* The attribute's value, NUL-terminated in c->tmp, or NULL. */
static const char *attribute(struct parse_cda *c, struct attributes a, const char *name) {
  for (int i = 0; i < a.n; i++) {
    const xmlChar **t = a.a + 5 * i;
    if (t[1] != NULL || strcmp((const char *)t[0], name) != 0) continue;
    buf_reset(&c->tmp);
    buf_put(&c->tmp, t[3], (size_t)(t[4] - t[3]));
    buf_u8(&c->tmp, 0);
    return c->tmp.bad ? NULL : (const char *)c->tmp.p;
  }
  return NULL;
}

static int is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Appends text with its white space folded: none around it, one between words. */
static void put_folded(struct buf *out, const uint8_t *p, size_t n) {
  size_t from = out->n;
  for (size_t i = 0; i < n; i++) {
    if (is_space(p[i])) continue;
    if (i > 0 && is_space(p[i - 1]) && out->n > from) buf_u8(out, ' ');
    buf_u8(out, p[i]);
  }
}

void parse_field(struct buf *out, enum parse_tag tag, const void *p, size_t n) {
  buf_u16(out, (uint16_t)tag);
  buf_u32(out, (uint32_t)n);
  buf_put(out, p, n);
}

static int may_repeat(int tag) {
  enum { M = 2 };
  switch (tag) {
#define PARSE_REPEATS(number, name, many) case number: return many == M;
    PARSE_FIELDS(PARSE_REPEATS)
#undef PARSE_REPEATS
  }
  return 0;
}

/* Adds a field; of one that stands once, the first value counts, and what is empty is absent. */
static void emit(struct parse_cda *c, int tag, const void *p, size_t n) {
  struct buf folded = { 0 };
  if (n > COLLECT_MAX) refuse(c, PARSE_E_HUGE);
  if (c->refusal != PARSE_OK || ((c->seen >> tag & 1) && !may_repeat(tag))) return;
  put_folded(&folded, p, n);
  if (folded.n > PARSE_TEXT_MAX || c->fields.n + folded.n > PARSE_META_MAX) refuse(c, PARSE_E_HUGE);
  else if (folded.bad) refuse(c, PARSE_E_MEMORY);
  else if (folded.n > 0) {
    parse_field(&c->fields, (enum parse_tag)tag, folded.p, folded.n);
    c->seen |= UINT64_C(1) << tag;
  }
  buf_free(&folded);
}

static void emit_string(struct parse_cda *c, int tag, const char *s) {
  if (s != NULL) emit(c, tag, s, strlen(s));
}

static void emit_part(struct parse_cda *c, int tag, enum part part) { emit(c, tag, c->part[part].p, c->part[part].n); }

/* Adds to a part; join: after what stands there already, else the first value counts. */
static void put_part(struct parse_cda *c, enum part part, const void *p, size_t n, int join) {
  struct buf *b = &c->part[part];
  if (n == 0 || (b->n > 0 && !join)) return;
  if (b->n + n > COLLECT_MAX) {
    refuse(c, PARSE_E_HUGE);
    return;
  }
  if (b->n > 0) buf_u8(b, ' ');
  put_folded(b, p, n);
}

static void reset_parts(struct parse_cda *c, enum part first, enum part last) {
  for (int i = (int)first; i <= (int)last; i++) buf_reset(&c->part[i]);
}

/* ---- what is done where ---- */

static void take_value(struct parse_cda *c, const struct rule *r, struct attributes a) {
  emit_string(c, r->what, attribute(c, a, r->attribute));
}

static void take_part(struct parse_cda *c, const struct rule *r, struct attributes a) {
  const char *s = attribute(c, a, r->attribute);
  if (s != NULL) put_part(c, (enum part)r->what, s, strlen(s), 0);
}

/* An HL7 identifier: root, or root^extension. */
static void take_id(struct parse_cda *c, const struct rule *r, struct attributes a) {
  struct buf id = { 0 };
  const char *s = attribute(c, a, "root");
  if (s != NULL && *s != '\0') {
    put_folded(&id, (const uint8_t *)s, strlen(s));
    s = attribute(c, a, "extension");
    if (s != NULL && *s != '\0') {
      buf_u8(&id, '^');
      put_folded(&id, (const uint8_t *)s, strlen(s));
    }
    if (id.bad) refuse(c, PARSE_E_MEMORY);
    else emit(c, r->what, id.p, id.n);
  }
  buf_free(&id);
}

static void take_text(struct parse_cda *c, const struct rule *r) { emit(c, r->what, c->text.p, c->text.n); }

static void take_text_part(struct parse_cda *c, const struct rule *r) {
  put_part(c, (enum part)r->what, c->text.p, c->text.n, 0);
}

static void take_type(struct parse_cda *c, const struct rule *r, struct attributes a) {
  (void)r;
  emit_string(c, PARSE_TYPE_CODE, attribute(c, a, "code"));
  emit_string(c, PARSE_TYPE_SYSTEM, attribute(c, a, "codeSystem"));
  const char *s = attribute(c, a, "displayName");
  if (s != NULL) put_part(c, TYPE_DISPLAY, s, strlen(s), 0);
}

/* The format codes that IHE gave to the templates it wrote; those of a PDF in a plain envelope depend on its body. */
static void take_template(struct parse_cda *c, const struct rule *r, struct attributes a) {
  static const char *const FORMATS[][2] = {
    { "1.3.6.1.4.1.19376.1.2.20", "urn:ihe:iti:xds-sd:" },
    { "1.3.6.1.4.1.19376.1.3.3", "urn:ihe:lab:xd-lab:2008" },
    { "1.3.6.1.4.1.19376.1.5.3.1.1.18.1.2", "urn:ihe:pcc:ic:2009" },
    { "1.3.6.1.4.1.19376.1.9.1.1.1", "urn:ihe:pharm:pre:2010" },
    { "1.3.6.1.4.1.19376.1.9.1.1.3", "urn:ihe:pharm:dis:2010" },
  };
  (void)r;
  const char *root = attribute(c, a, "root");
  for (size_t i = 0; root != NULL && i < sizeof FORMATS / sizeof FORMATS[0]; i++)
    if (strcmp(FORMATS[i][0], root) == 0) put_part(c, FORMAT, FORMATS[i][1], strlen(FORMATS[i][1]), 0);
}

static void start_patient(struct parse_cda *c, const struct rule *r, struct attributes a) {
  (void)r, (void)a;
  if (++c->patients > 1) refuse(c, PARSE_E_PATIENTS);
}

/* The qualifiers of a name's piece are a set: BR CL. */
static void start_name(struct parse_cda *c, const struct rule *r, struct attributes a) {
  (void)r;
  const char *s = attribute(c, a, "qualifier");
  strncpy(c->qualifier, s ? s : "", sizeof c->qualifier - 1);
}

static int qualified(const struct parse_cda *c, const char *q) {
  const char *at = strstr(c->qualifier, q);
  return at != NULL && (at == c->qualifier || at[-1] == ' ') && (at[2] == '\0' || at[2] == ' ');
}

static void end_family(struct parse_cda *c, const struct rule *r) {
  (void)r;
  if (qualified(c, "BR")) put_part(c, FAMILY_BIRTH, c->text.p, c->text.n, 0);
  if (qualified(c, "CL")) put_part(c, FAMILY_USED, c->text.p, c->text.n, 0);
  if (qualified(c, "SP")) put_part(c, FAMILY_SPOUSE, c->text.p, c->text.n, 0);
  if (c->qualifier[0] == '\0') put_part(c, FAMILY_PLAIN, c->text.p, c->text.n, 0);
}

static void end_given(struct parse_cda *c, const struct rule *r) {
  (void)r;
  if (qualified(c, "BR")) put_part(c, GIVEN_FIRST, c->text.p, c->text.n, 0);
  if (qualified(c, "CL")) put_part(c, GIVEN_USED, c->text.p, c->text.n, 0);
  if (c->qualifier[0] == '\0') put_part(c, GIVEN_LIST, c->text.p, c->text.n, 1);
}

/* 1: the list of given names begins with the first one, as a word. */
static int begins_with(const struct buf *list, const struct buf *first) {
  return list->n >= first->n && strncasecmp((const char *)list->p, (const char *)first->p, first->n) == 0 &&
         (list->n == first->n || list->p[first->n] == ' ');
}

/* The name of birth is qualified BR, or not at all where nothing is. The used one: CL, else that of the spouse (SP).
 * The list of given names is whole, or lacks the first one, which then stands alone under BR. */
static void end_patient(struct parse_cda *c, const struct rule *r) {
  (void)r;
  struct buf *p = c->part;
  int plain_is_birth = p[FAMILY_BIRTH].n == 0;
  emit_part(c, PARSE_BIRTH_NAME, plain_is_birth ? FAMILY_PLAIN : FAMILY_BIRTH);
  emit_part(c, PARSE_USED_NAME, FAMILY_USED);
  emit_part(c, PARSE_USED_NAME, FAMILY_SPOUSE);
  if (!plain_is_birth) emit_part(c, PARSE_USED_NAME, FAMILY_PLAIN);
  if (p[GIVEN_FIRST].n > 0 && p[GIVEN_LIST].n > 0 && !begins_with(&p[GIVEN_LIST], &p[GIVEN_FIRST]))
    put_part(c, GIVEN_FIRST, p[GIVEN_LIST].p, p[GIVEN_LIST].n, 1);
  else if (p[GIVEN_LIST].n > 0) buf_reset(&p[GIVEN_FIRST]);
  emit_part(c, PARSE_GIVEN_NAMES, GIVEN_FIRST);
  emit_part(c, PARSE_GIVEN_NAMES, GIVEN_LIST);
  emit_part(c, PARSE_GIVEN_NAMES, GIVEN_USED);
}

static void start_author(struct parse_cda *c, const struct rule *r, struct attributes a) {
  (void)r, (void)a;
  reset_parts(c, AUTHOR_TITLE, AUTHOR_PROFESSION);
}

/* Prefix and suffix hold civility, title and profession in any order: only Dr and Pr are part of a name. */
static void end_title(struct parse_cda *c, const struct rule *r) {
  (void)r;
  struct buf word = { 0 };
  put_folded(&word, c->text.p, c->text.n);
  if (word.n == 2 && strncasecmp((const char *)word.p, "DR", 2) == 0) put_part(c, AUTHOR_TITLE, "Dr", 2, 0);
  if (word.n == 2 && strncasecmp((const char *)word.p, "PR", 2) == 0) put_part(c, AUTHOR_TITLE, "Pr", 2, 0);
  buf_free(&word);
}

static void end_author_given(struct parse_cda *c, const struct rule *r) {
  (void)r;
  put_part(c, AUTHOR_GIVEN, c->text.p, c->text.n, 1);
}

static void end_author(struct parse_cda *c, const struct rule *r) {
  (void)r;
  struct buf *p = c->part, name = { 0 };
  uint8_t kind = 'P';
  for (int i = AUTHOR_TITLE; i <= AUTHOR_FAMILY; i++) {
    if (name.n > 0 && p[i].n > 0) buf_u8(&name, ' ');
    buf_put(&name, p[i].p, p[i].n);
  }
  if (p[AUTHOR_GIVEN].n + p[AUTHOR_FAMILY].n == 0) {
    int from = p[AUTHOR_WHOLE].n ? AUTHOR_WHOLE : p[AUTHOR_DEVICE].n ? AUTHOR_DEVICE : AUTHOR_ORGANISATION;
    kind = from == AUTHOR_WHOLE ? 'P' : from == AUTHOR_DEVICE ? 'D' : 'O';
    buf_reset(&name);
    buf_put(&name, p[from].p, p[from].n);
  }
  if (name.n + p[AUTHOR_PROFESSION].n > 0) {
    emit(c, PARSE_AUTHOR, &kind, 1);
    emit(c, PARSE_AUTHOR_NAME, name.p, name.n);
    emit_part(c, PARSE_AUTHOR_CODE, AUTHOR_PROFESSION);
  }
  buf_free(&name);
}

static void end_documentation(struct parse_cda *c, const struct rule *r) {
  (void)r;
  c->service_done = (c->seen >> PARSE_SERVICE_START & 1) || (c->seen >> PARSE_SERVICE_STOP & 1);
}

/* The first act that has a time gives both ends. */
static void take_service(struct parse_cda *c, const struct rule *r, struct attributes a) {
  if (!c->service_done) take_value(c, r, a);
}

static void start_related(struct parse_cda *c, const struct rule *r, struct attributes a) {
  (void)r;
  const char *s = attribute(c, a, "typeCode");
  c->replaces = s != NULL && strcmp(s, "RPLC") == 0;
}

static void take_parent(struct parse_cda *c, const struct rule *r, struct attributes a) {
  if (c->replaces) take_id(c, r, a);
}

static void start_structured(struct parse_cda *c, const struct rule *r, struct attributes a) {
  (void)r, (void)a;
  c->body.found = 1;
}

static char *copy(const char *s) { return s ? strdup(s) : NULL; }

static void start_media(struct parse_cda *c, const struct rule *r, struct attributes a) {
  char *type = copy(attribute(c, a, "mediaType")), *form = copy(attribute(c, a, "representation"));
  char *compression = copy(attribute(c, a, "compression"));
  parse_body_media(&c->body, r != NULL, type, form, compression);
  c->media = c->depth;
  free(type);
  free(form);
  free(compression);
}

#define PATIENT "recordTarget/patientRole/patient/"
#define AUTHOR "author/assignedAuthor/"
#define SERVICE "documentationOf/serviceEvent/"
static const struct rule RULES[] = {
  { "id", take_id, NULL, PARSE_UNIQUE_ID, NULL },
  { "code", take_type, NULL, 0, NULL },
  { "title", NULL, take_text, PARSE_TITLE, NULL },
  { "effectiveTime", take_value, NULL, PARSE_TIME, "value" },
  { "confidentialityCode", take_value, NULL, PARSE_CONFIDENTIALITY, "code" },
  { "languageCode", take_value, NULL, PARSE_LANGUAGE, "code" },
  { "setId", take_id, NULL, PARSE_SET_ID, NULL },
  { "versionNumber", take_value, NULL, PARSE_VERSION, "value" },
  { "templateId", take_template, NULL, 0, NULL },
  { "recordTarget", start_patient, NULL, 0, NULL },
  { "recordTarget/patientRole/id", take_id, NULL, PARSE_PATIENT_ID, NULL },
  { "recordTarget/patientRole/patient", NULL, end_patient, 0, NULL },
  { PATIENT "name/family", start_name, end_family, 0, NULL },
  { PATIENT "name/given", start_name, end_given, 0, NULL },
  { PATIENT "administrativeGenderCode", take_value, NULL, PARSE_SEX, "code" },
  { PATIENT "birthTime", take_value, NULL, PARSE_BIRTH_TIME, "value" },
  { PATIENT "birthplace/place/addr/county", NULL, take_text, PARSE_BIRTH_PLACE, NULL },
  { "author", start_author, end_author, 0, NULL },
  { AUTHOR "code", take_part, NULL, AUTHOR_PROFESSION, "code" },
  { AUTHOR "assignedPerson/name", NULL, take_text_part, AUTHOR_WHOLE, NULL },
  { AUTHOR "assignedPerson/name/prefix", NULL, end_title, 0, NULL },
  { AUTHOR "assignedPerson/name/suffix", NULL, end_title, 0, NULL },
  { AUTHOR "assignedPerson/name/given", NULL, end_author_given, 0, NULL },
  { AUTHOR "assignedPerson/name/family", NULL, take_text_part, AUTHOR_FAMILY, NULL },
  { AUTHOR "assignedAuthoringDevice/softwareName", NULL, take_text_part, AUTHOR_DEVICE, NULL },
  { AUTHOR "representedOrganization/name", NULL, take_text_part, AUTHOR_ORGANISATION, NULL },
  { AUTHOR "representedOrganization/standardIndustryClassCode", take_part, NULL, PRACTICE_OF_AUTHOR, "code" },
  { "documentationOf", NULL, end_documentation, 0, NULL },
  { SERVICE "effectiveTime", take_service, NULL, PARSE_SERVICE_START, "value" },
  { SERVICE "effectiveTime/low", take_service, NULL, PARSE_SERVICE_START, "value" },
  { SERVICE "effectiveTime/high", take_service, NULL, PARSE_SERVICE_STOP, "value" },
  { SERVICE "performer/assignedEntity/representedOrganization/standardIndustryClassCode", take_value, NULL,
    PARSE_PRACTICE_SETTING, "code" },
  { "componentOf/encompassingEncounter/location/healthCareFacility/code", take_value, NULL, PARSE_FACILITY, "code" },
  { "relatedDocument", start_related, NULL, 0, NULL },
  { "relatedDocument/parentDocument/id", take_parent, NULL, PARSE_REPLACES, NULL },
  { "component/structuredBody", start_structured, NULL, 0, NULL },
  { "component/nonXMLBody/text", start_media, NULL, 0, NULL },
};

/* ---- events ---- */

static const struct rule *rule_at(const char *path) {
  for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++)
    if (strcmp(RULES[i].path, path) == 0) return &RULES[i];
  return NULL;
}

static int ends_with(const char *s, const char *tail) {
  size_t n = strlen(s), m = strlen(tail);
  return n >= m && strcmp(s + n - m, tail) == 0;
}

/* Inside a structured body: sections (LOINC 55108-5, or the CI-SIS template, holds the document's copy) and files. */
static void start_in_body(struct parse_cda *c, struct attributes a) {
  const char *s;
  if (ends_with(c->path, "/component/section")) parse_body_section(&c->body);
  else if (ends_with(c->path, "/section/code") && (s = attribute(c, a, "code")) && !strcmp(s, "55108-5"))
    parse_body_copy(&c->body);
  else if (ends_with(c->path, "/section/templateId") && (s = attribute(c, a, "root")) &&
           !strcmp(s, "1.2.250.1.213.1.1.2.243"))
    parse_body_copy(&c->body);
  else if (ends_with(c->path, "/observationMedia/value") && !c->media) start_media(c, NULL, a);
}

/* Begins the document, or checks what may stand around it: an xsl:stylesheet that shows it. */
static void start_outside(struct parse_cda *c, const char *name, const char *uri) {
  if (strcmp(uri, HL7) == 0 && strcmp(name, "ClinicalDocument") == 0) {
    if (++c->documents > 1) refuse(c, PARSE_E_TWO);
    c->document_depth = c->depth;
    c->level[c->depth].path_n = 0;
    c->path[0] = '\0';
  } else if (c->depth == 1 && (strcmp(uri, XSL) != 0 || (strcmp(name, "stylesheet") && strcmp(name, "transform")))) {
    refuse(c, PARSE_E_NOT_CDA);
  }
}

static void start_inside(struct parse_cda *c, const char *name, const char *uri, struct attributes a) {
  struct level *l = &c->level[c->depth];
  size_t at = l[-1].path_n, n = strlen(name);
  /* A second document hidden in the first one: two readers could take one each. */
  if (strcmp(uri, HL7) == 0 && strcmp(name, "ClinicalDocument") == 0) refuse(c, PARSE_E_TWO);
  if (strcmp(uri, HL7) != 0 || n > NAME_MAX_BYTES) name = "?", n = 1;
  if (at > 0) c->path[at++] = '/';
  memcpy(c->path + at, name, n + 1);
  l->path_n = at + n;
  l->rule = rule_at(c->path);
  if (c->media) {
    if (strcmp(name, "reference") == 0) parse_body_reference(&c->body);
    return;
  }
  if (l->rule != NULL && l->rule->end != NULL) {
    c->collecting = c->depth;
    buf_reset(&c->text);
  }
  if (l->rule != NULL && l->rule->start != NULL) l->rule->start(c, l->rule, a);
  else if (l->rule == NULL && strncmp(c->path, "component/structuredBody/", 25) == 0) start_in_body(c, a);
}

static void on_start(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int namespaces_n,
                     const xmlChar **namespaces, int n, int defaulted, const xmlChar **attributes) {
  struct parse_cda *c = user;
  (void)prefix, (void)namespaces_n, (void)namespaces, (void)defaulted;
  const char *space = uri ? (const char *)uri : "";
  if (c->refusal != PARSE_OK) return;
  c->started = 1;
  if (++c->depth > PARSE_DEPTH_MAX) {
    refuse(c, PARSE_E_DEPTH);
    return;
  }
  c->level[c->depth] = (struct level){ 0, NULL };
  if (c->document_depth) start_inside(c, (const char *)name, space, (struct attributes){ attributes, n });
  else start_outside(c, (const char *)name, space);
}

static void on_end(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri) {
  struct parse_cda *c = user;
  (void)name, (void)prefix, (void)uri;
  if (c->refusal != PARSE_OK) return;
  const struct rule *r = c->level[c->depth].rule;
  if (c->media == c->depth) {
    c->media = 0;
    int refusal = parse_body_media_end(&c->body);
    if (refusal != PARSE_OK) refuse(c, refusal);
  } else if (r != NULL && r->end != NULL && !c->media) {
    if (c->collecting != c->depth) buf_reset(&c->text);   /* an element inside took its text */
    c->collecting = 0;
    r->end(c, r);
  }
  if (c->depth == c->document_depth) c->document_depth = 0;
  c->depth--;
  if (c->document_depth) c->path[c->level[c->depth].path_n] = '\0';
}

static void on_text(void *user, const xmlChar *p, int n) {
  struct parse_cda *c = user;
  if (c->refusal != PARSE_OK || n <= 0) return;
  if (c->media) parse_body_text(&c->body, p, (size_t)n);
  else if (c->collecting && c->text.n + (size_t)n > COLLECT_MAX) refuse(c, PARSE_E_HUGE);
  else if (c->collecting) buf_put(&c->text, p, (size_t)n);
  if (c->body.media.bad || c->text.bad) refuse(c, PARSE_E_MEMORY);
}

static void on_entity(void *user, const xmlChar *name, int type, const xmlChar *public_id, const xmlChar *system_id,
                      xmlChar *content) {
  (void)name, (void)type, (void)public_id, (void)system_id, (void)content;
  refuse(user, PARSE_E_ENTITY);
}

static void on_attribute_rule(void *user, const xmlChar *element, const xmlChar *name, int type, int def,
                              const xmlChar *value, xmlEnumeration *tree) {
  (void)element, (void)name, (void)type, (void)def, (void)value;
  xmlFreeEnumeration(tree);
  refuse(user, PARSE_E_ENTITY);
}

static void on_reference(void *user, const xmlChar *name) {
  (void)name;
  refuse(user, PARSE_E_ENTITY);
}

static void on_error(void *user, xmlErrorPtr e) {
  struct parse_cda *c = user;
  if (e->code == XML_ERR_UNDECLARED_ENTITY || e->code == XML_WAR_UNDECLARED_ENTITY) refuse(c, PARSE_E_ENTITY);
  else if (e->level < XML_ERR_ERROR) return;
  else if (e->code == XML_ERR_NO_MEMORY) refuse(c, PARSE_E_MEMORY);
  else if (e->message != NULL && strstr(e->message, "Huge") != NULL) refuse(c, PARSE_E_HUGE);
  else refuse(c, c->started ? PARSE_E_MALFORMED : PARSE_E_NOT_XML);
}

/* ---- the door ---- */

int parse_cda_new(struct parse_cda **out) {
  xmlSAXHandler sax = {
    .initialized = XML_SAX2_MAGIC, .startElementNs = on_start, .endElementNs = on_end, .characters = on_text,
    .cdataBlock = on_text, .ignorableWhitespace = on_text, .entityDecl = on_entity, .attributeDecl = on_attribute_rule,
    .reference = on_reference, .serror = on_error,
  };
  struct parse_cda *c = *out = calloc(1, sizeof *c);
  if (c == NULL) return PARSE_E_MEMORY;
  c->xml = xmlCreatePushParserCtxt(&sax, c, NULL, 0, NULL);
  if (c->xml == NULL) return PARSE_E_MEMORY;
  /* The bytes are UTF-8 already, whatever the declaration says. Entities stay unexpanded, no DTD is loaded. */
  xmlCtxtUseOptions(c->xml, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
  return PARSE_OK;
}

int parse_cda_add(struct parse_cda *c, const uint8_t *utf8, size_t n) {
  if (c->refusal == PARSE_OK && xmlParseChunk(c->xml, (const char *)utf8, (int)n, 0) != 0)
    refuse(c, c->started ? PARSE_E_MALFORMED : PARSE_E_NOT_XML);
  return c->refusal;
}

/* The format of a plain envelope is told by what it holds. */
static void end_format(struct parse_cda *c) {
  struct buf *f = &c->part[FORMAT];
  if (f->n > 0 && f->p[f->n - 1] == ':') {
    const char *mime = c->body.view_mime;
    const char *leaf = !strcmp(mime, "application/pdf") ? "pdf:2008" : !strcmp(mime, "text/plain") ? "text:2008" : NULL;
    if (leaf == NULL) return;
    buf_put(f, leaf, strlen(leaf));
  }
  emit_part(c, PARSE_FORMAT_CODE, FORMAT);
}

int parse_cda_end(struct parse_cda *c) {
  if (c->refusal == PARSE_OK && xmlParseChunk(c->xml, NULL, 0, 1) != 0)
    refuse(c, c->started ? PARSE_E_MALFORMED : PARSE_E_NOT_XML);
  if (c->refusal == PARSE_OK && c->documents == 0) refuse(c, PARSE_E_NOT_CDA);
  if (c->refusal == PARSE_OK && !c->body.found) refuse(c, PARSE_E_NO_BODY);
  if (c->refusal != PARSE_OK) return c->refusal;
  emit_part(c, PARSE_TITLE, TYPE_DISPLAY);
  emit_part(c, PARSE_PRACTICE_SETTING, PRACTICE_OF_AUTHOR);
  end_format(c);
  for (uint8_t w = 0; w < 32; w++)
    if (c->body.warnings >> w & 1) parse_field(&c->fields, PARSE_WARNING, &w, 1);
  if (c->body.view.n > 0) emit_string(c, PARSE_VIEW_MIME, c->body.view_mime);
  for (int i = 0; i < PART_COUNT; i++)
    if (c->part[i].bad) refuse(c, PARSE_E_MEMORY);
  if (c->fields.bad || c->tmp.bad) refuse(c, PARSE_E_MEMORY);
  return c->refusal;
}

const struct buf *parse_cda_fields(const struct parse_cda *c) { return &c->fields; }

const struct buf *parse_cda_view(const struct parse_cda *c) { return &c->body.view; }

void parse_cda_free(struct parse_cda *c) {
  if (c == NULL) return;
  if (c->xml != NULL) {
    xmlFreeDoc(c->xml->myDoc);
    xmlFreeParserCtxt(c->xml);
  }
  for (int i = 0; i < PART_COUNT; i++) buf_free(&c->part[i]);
  buf_free(&c->text);
  buf_free(&c->tmp);
  buf_free(&c->fields);
  parse_body_free(&c->body);
  free(c);
}
