/* parse.h: what the import module and its child that parses say to each other. The child reads one file's bytes on its
 * standard input until the end and writes one result on its standard output:
 *   PARSE_MAGIC, then fields: tag u16, length u32, bytes (little-endian); the last one is END and empty.
 * A refusal is one field REFUSED, a u8 of enum parse_refusal. The original is never sent back.
 * Owns: the format.  Never: code. Whoever reads a result distrusts it: the child has eaten a hostile file. */
#ifndef PARSE_H
#define PARSE_H

#define PARSE_MAGIC "dmp-parse-1\n"
enum {
  PARSE_TEXT_MAX = 65536,                 /* bytes of one field of text */
  PARSE_META_MAX = 4 << 20,               /* bytes of all fields but the view */
  PARSE_DEPTH_MAX = 128,                  /* nested elements */
  PARSE_FILE_MAX = 256 << 20,             /* bytes of a file */
};

/* Number, name, M when it may stand several times. Text is UTF-8 without NUL, never empty. */
#define PARSE_FIELDS(X) \
  X( 0, END,            1) \
  X( 1, REFUSED,        1) /* u8 */ \
  X( 2, WARNING,        M) /* u8 of enum parse_warning */ \
  X(10, PATIENT_ID,     M) /* root, or root^extension; in the order of the document */ \
  X(11, BIRTH_NAME,     1) \
  X(12, USED_NAME,      1) \
  X(13, GIVEN_NAMES,    1) /* all of them, the first one first */ \
  X(14, BIRTH_TIME,     1) /* HL7 time, as written */ \
  X(15, SEX,            1) /* code, as written */ \
  X(16, BIRTH_PLACE,    1) /* INSEE code */ \
  X(20, UNIQUE_ID,      1) /* root, or root^extension */ \
  X(21, TYPE_CODE,      1) \
  X(22, TYPE_SYSTEM,    1) \
  X(23, TITLE,          1) \
  X(24, TIME,           1) /* HL7 time, as written */ \
  X(25, CONFIDENTIALITY,M) /* code */ \
  X(26, LANGUAGE,       1) \
  X(27, SET_ID,         1) /* root, or root^extension */ \
  X(28, VERSION,        1) \
  X(29, REPLACES,       1) /* root, or root^extension, of a parent document under RPLC */ \
  X(30, AUTHOR,         M) /* u8: 'P' person, 'D' device, 'O' organisation alone; its name and code follow */ \
  X(31, AUTHOR_NAME,    M) \
  X(32, AUTHOR_CODE,    M) \
  X(40, SERVICE_START,  1) /* HL7 time, as written */ \
  X(41, SERVICE_STOP,   1) \
  X(42, FACILITY,       1) /* code of the healthCareFacility */ \
  X(43, PRACTICE_SETTING, 1) /* standardIndustryClassCode */ \
  X(44, FORMAT_CODE,    1) \
  X(50, VIEW_MIME,      1) \
  X(51, VIEW,           1) /* bytes */
enum parse_tag {
#define PARSE_TAG(number, name, many) PARSE_##name = number,
  PARSE_FIELDS(PARSE_TAG)
#undef PARSE_TAG
};

/* Why a file is refused: constant sentences, so that nothing of the file reaches a message. */
#define PARSE_REFUSALS(X) \
  X( 1, EMPTY,      "the file is empty") \
  X( 2, NOT_XML,    "this is not an XML document") \
  X( 3, MALFORMED,  "the XML is not well formed, or the file is cut") \
  X( 4, ENCODING,   "the file's encoding is unknown, or its bytes are not in the encoding it declares") \
  X( 5, ENTITY,     "the file declares entities or attribute rules in a DOCTYPE: documents need none, attacks do") \
  X( 6, NOT_CDA,    "this XML is not a clinical document (ClinicalDocument in urn:hl7-org:v3)") \
  X( 7, TWO,        "the file holds more than one clinical document") \
  X( 8, PATIENTS,   "the document names more than one patient") \
  X( 9, DEPTH,      "the XML is nested too deeply") \
  X(10, HUGE,       "the file or one of its parts is too large") \
  X(11, BASE64,     "the document's body is not valid base64") \
  X(12, MEMORY,     "the document needs more memory than a parser is given") \
  X(13, NO_BODY,    "the document has no body")
enum parse_refusal {
  PARSE_OK = 0,
#define PARSE_REFUSAL(number, name, text) PARSE_E_##name = number,
  PARSE_REFUSALS(PARSE_REFUSAL)
#undef PARSE_REFUSAL
};

#define PARSE_WARNINGS(X) \
  X(1, MEDIA_TYPE,  "the body is not of the type it declares") \
  X(2, ATTACHMENT,  "files attached inside the document are kept in it, not shown on their own") \
  X(3, ELSEWHERE,   "the body lies outside of the file or is compressed: it is kept, not shown") \
  X(4, BAD_MEDIA,   "a file attached inside the document is not valid base64")
enum parse_warning {
#define PARSE_WARNING_(number, name, text) PARSE_W_##name = number,
  PARSE_WARNINGS(PARSE_WARNING_)
#undef PARSE_WARNING_
};
#endif
