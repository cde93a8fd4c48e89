/* dmp.h: names, limits and error codes that both doors share.
 * Owns: the error table and the public limits.  Never: code, state, cryptography. */
#ifndef DMP_H
#define DMP_H

#define DMP_VERSION "0.1.0"
#define DMP_FORMAT 1                      /* format of the record file; another one is refused */
#define DMP_MODULE "dmp"                  /* the module of every virtual table of a record */
#define DMP_LOG_SUFFIX "-log"             /* record.db-log/: the access log's folder */
#define DMP_LOG_FILE "access.db"          /* the file in it */
#define DMP_ANCHOR_SUFFIX "-anchor"       /* record.db-anchor */

enum {
  DMP_PIN_MIN = 8,                        /* characters of a PIN */
  DMP_PIN_MAX = 1024,                     /* bytes */
  DMP_CHUNK = 65536,                      /* bytes of body in one chunk */
  DMP_TITLE_MAX = 65536,                  /* bytes of any one text column */
  DMP_NAME_MAX = 255,                     /* bytes of a file name made by dmp_filename() */
};
#define DMP_LOCAL_MAX ((int64_t)1 << 53)    /* ids of records are above: smaller numbers are a practice's own */
#define DMP_BODY_MAX 4294967296LL         /* bytes of a document's body */

/* Every error: number, name, SQLite primary code (by name, so that this header needs no sqlite3.h),
 * and one sentence that says what to do.  A sentence never carries a key, a name or a clinical value.
 * SQL shows it as "dmp-E017: sentence". Numbers are stable: append, never renumber. */
#define DMP_ERRORS(X) \
  X( 1, NOMEM,        NOMEM,  "out of memory") \
  X( 2, RANDOM,       IOERR,  "the system gives no random numbers; nothing was written") \
  X( 3, LOCK,         NOMEM,  "secret memory can't be locked: raise RLIMIT_MEMLOCK (ulimit -l) and try again") \
  X( 4, CPU,          ERROR,  "this record uses AES-256-GCM and this processor has no AES instructions: open it on another machine, or recreate it with suite=xchacha20") \
  X( 5, TAMPERED,     CORRUPT,"a sealed value does not verify: the file was altered, damaged, or parts of it were put back from an older copy; restore it or SELECT * FROM dmp_verify says more") \
  X( 6, TRUNCATED,    CORRUPT,"a sealed value has the wrong length: the file was cut or altered; restore it or SELECT * FROM dmp_verify says more") \
  X( 7, BOX_FORMAT,   CORRUPT,"a sealed value has an unknown format or suite: it was altered or written by a newer version") \
  X( 8, ROW_FORMAT,   CORRUPT,"a sealed row can't be decoded: it was written by a newer version or by faulty software") \
  X( 9, KEY_OPEN,     CANTOPEN,"the credential file can't be opened: check the path and its rights") \
  X(10, KEY_FORMAT,   ERROR,  "this is not a credential file, or it is damaged: use a copy of it") \
  X(11, KEY_PIN,      AUTH,   "wrong PIN for this credential") \
  X(12, KEY_EXISTS,   CANTOPEN,"a file already stands at the credential's path: choose another path, credentials are never overwritten") \
  X(13, KEY_WRITE,    IOERR,  "the credential file can't be written: check the folder and the space left") \
  X(14, PIN_SHORT,    ERROR,  "a PIN has at least 8 characters and at most 1024 bytes") \
  X(15, KEY_COST,     ERROR,  "the credential asks for an Argon2id cost outside 8 MiB to 1 GiB and 1 to 10 passes: it was altered") \
  X(16, LOG_OPEN,     CANTOPEN,"the access log can't be opened: check the folder beside the record; without a log no data is released") \
  X(17, LOG_WRITE,    IOERR,  "the access log can't be written: free some space or repair its folder; without a log no data is released") \
  X(18, LOG_FORMAT,   CORRUPT,"the access log does not belong to this record or is damaged: SELECT * FROM dmp_verify says more") \
  X(19, NOT_RECORD,   ERROR,  "this database holds no record: make one with dmp_create(), or open the right file") \
  X(20, NEWER,        ERROR,  "this record was made by a newer version: use that version") \
  X(21, EXISTS,       ERROR,  "this database already holds a record") \
  X(22, NAME_TAKEN,   ERROR,  "a table, view or index of this database already has a name that the record needs: use another database file") \
  X(23, NO_SESSION,   AUTH,   "no session is open on this record: call dmp_login() first") \
  X(24, TEMP_STORE,   ERROR,  "temporary files would be written in clear: run PRAGMA temp_store=MEMORY first") \
  X(25, SCHEMA,       CORRUPT,"the database schema was altered: a table, view, trigger or index touches the record or a protected table; remove it and log in again, or sign yours with dmp_protect(table)") \
  X(26, FORK,         MISUSE, "this process was forked after the login: log in again in the child") \
  X(27, OTHER_RECORD, AUTH,   "this credential belongs to another record") \
  X(28, FINGERPRINT,  AUTH,   "the authority's fingerprint is missing or differs from the record's: give the one printed on your invitation as fifth argument of dmp_login()") \
  X(29, NOT_CERTIFIED,AUTH,   "this credential has no valid certificate in this record: ask the authority to register its request") \
  X(30, CERT_BAD,     CORRUPT,"a certificate does not verify: it was forged, altered or signed by someone who may not") \
  X(31, ANCHOR_OPEN,  CANTOPEN,"the anchor file (record name followed by -anchor) is missing or can't be opened: restore it beside the record") \
  X(32, ANCHOR_SHORT, CORRUPT,"the anchor file is too short for this record: restore its newest copy") \
  X(33, ANCHOR_OTHER, CORRUPT,"the anchor file belongs to another record") \
  X(34, KEYSET_BAD,   CORRUPT,"a keyset does not verify: it was forged, or signed by someone who may not") \
  X(35, KEYSET_OLD,   CORRUPT,"a keyset is missing or older than the one this credential has seen: the file was put back or altered") \
  X(36, GRANT_BAD,    CORRUPT,"a grant does not verify: it was forged, or given by someone who may not") \
  X(37, GRANT_STALE,  CORRUPT,"the keys of this patient changed and the packet that brings the new ones is missing: the file was altered or put back") \
  X(38, STATE_BAD,    CORRUPT,"the items of a compartment do not match its state: a row was dropped, doubled or put back") \
  X(39, SIGNATURE,    CORRUPT,"the depositor's signature on an item does not verify: it was forged or altered") \
  X(40, BODY_BAD,     CORRUPT,"the body of a document is incomplete or altered") \
  X(41, NOT_FOUND,    NOTFOUND,"no such item for you") \
  X(42, NOT_ALLOWED,  AUTH,   "your credential does not allow this") \
  X(43, NO_PATIENT,   CONSTRAINT,"no such patient for you: register the patient, or ask for the patient's consent") \
  X(44, NO_PRINCIPAL, CONSTRAINT,"no such principal in this record: the authority registers people") \
  X(45, NO_CONSENT,   AUTH,   "the patient has not consented to this") \
  X(46, FULL_HOLDER,  AUTH,   "only the patient or the treating doctor may do this") \
  X(47, PATIENT_ONLY, AUTH,   "only the patient may do this") \
  X(48, DEPOSITOR,    AUTH,   "only the depositor may delete a document") \
  X(49, READ_ONLY,    READONLY,"this table or column can't be changed; what can be is listed in README") \
  X(50, TYPE,         MISMATCH,"a value has the wrong type for its column") \
  X(51, MISSING,      CONSTRAINT,"a required column is missing") \
  X(52, CODE,         CONSTRAINT,"a code is not in its nomenclature: the column, and the codes or the list of them, stand behind this") \
  X(53, DATE,         CONSTRAINT,"a date is impossible or not written as ISO 8601 (2026-03-12T10:00:00Z; a birth date may be 1970 or 1970-03)") \
  X(54, INS,          CONSTRAINT,"the INS is malformed or its key is wrong") \
  X(55, TOO_BIG,      TOOBIG, "a value is larger than its column allows") \
  X(56, DUPLICATE,    CONSTRAINT,"this item already exists") \
  X(57, CREDENTIAL,   CONSTRAINT,"a new patient needs the columns credential (a new path) and pin: the patient keeps the key") \
  X(58, REQUEST,      CONSTRAINT,"the certificate request is malformed or its signature does not verify: make it with dmp_keygen()") \
  X(59, KIND,         CONSTRAINT,"this kind of principal can't be registered in this version: authority, professional, staff, representative, source and patient work") \
  X(60, LATER,        ERROR,  "the record holds something that only a later version understands: use that version") \
  X(61, TEXT,         CONSTRAINT,"a text is not valid UTF-8 or contains a NUL character") \
  X(62, MASKED,       CONSTRAINT,"this document is already masked") \
  X(64, BUSY,         BUSY,   "another connection changed the record: try again") \
  X(65, ARGUMENT,     ERROR,  "wrong arguments for this function; README gives them") \
  X(66, OPTION,       ERROR,  "unknown option or bad value; README lists the options") \
  X(67, VFS,          CANTOPEN,"a record lives in a file on disk: memory, temporary and special databases can't hold one") \
  X(68, SQLITE_OLD,   ERROR,  "this SQLite is older than 3.40: update it") \
  X(69, EXPIRED,      AUTH,   "the right has expired") \
  X(70, CREATED,      ERROR,  "the file is damaged: record row, certificate or virtual table is missing") \
  X(71, IN_FROM,      ERROR,  "call this function as SELECT function(…) without FROM and outside a transaction") \
  X(72, TREATING,     CONSTRAINT,"the treating doctor's access ends by changing patient.treating_doctor") \
  X(73, HALFWAY,      ABORT,  "an operation of this transaction failed halfway: roll it back") \
  X(74, PROFESSION,   CONSTRAINT,"a treating doctor is a registered professional of profession 10") \
  X(75, IDENTITY,     CONSTRAINT,"a patient needs an INS, a name, or a local identity (local_system and local_value)") \
  X(76, PROTECT_BAD,  CORRUPT,"the description of a protected table does not verify: it was forged or altered") \
  X(77, NO_TABLE_KEY, AUTH,   "this login holds no key of the protected table, or of the patient whose row it is: a reader gives the table's with INSERT INTO protected_reader, a consent the patient's") \
  X(78, NOT_TABLE,    ERROR,  "only an ordinary table can be protected: not a view, a virtual table or a table of the record") \
  X(79, NO_COLUMN,    ERROR,  "a named column is not in the table, or is named twice") \
  X(80, PROTECTED,    ERROR,  "this table is already protected") \
  X(81, COLUMN_USED,  ERROR,  "a column to be sealed is used by a key, index, generated column, foreign key, trigger or view of the file: remove that first") \
  X(82, NOT_PROTECTED,ERROR,  "this table is not protected") \
  X(83, TABLE_BUSY,   ERROR,  "the table is in use: finish the open statements and transactions and try again") \
  X(84, KEYRING,      ERROR,  "this process can't use the kernel's keyring (absent, forbidden or full): give the PIN, or set $DMP_ASKPASS to a program that prints it") \
  X(85, LOCKED,       AUTH,   "no PIN was given and the kernel's keyring does not hold this credential: call dmp_unlock(), give the PIN, or set $DMP_ASKPASS to a program that prints it") \
  X(86, TABLE_RULE,   ERROR,  "the table has something that a protected table can't keep: remove that first") \
  X(87, FEW_VALUES,   ERROR,  "an index on this sealed column would give its values away, because equal ones can be counted: leave the column out of index=") \
  X(90, LAST_READER,  CONSTRAINT,"the last reader of a protected table can't be taken away, nobody could open its rows: give the key to somebody first, or call dmp_unprotect()") \
  X(91, KEY_LOST,     AUTH,   "nobody holds the key of this protected table any more: put the readers' rows (dmp_reader) back from a backup of the file") \
  X(92, READER_STALE, CORRUPT,"the key of this protected table turned and the row that brings the new one is missing: the file was altered or put back") \
  X(88, UNANNOUNCED,  CONSTRAINT,"this document is not announced to the patient yet: announce it before it is shown to representatives") \
  X(93, READER_BAD,   CORRUPT,"a reader's row of a protected table does not verify: it was forged or altered; a holder gives the key again with INSERT INTO protected_reader") \
  X(94, NO_HIDING,    CONSTRAINT,"a document is hidden from the patient or from representatives when it is deposited, or not at all: what they could see can't be taken back") \
  X(95, MAJORITY,     CONSTRAINT,"a representative on this ground ends when the patient is of age: the patient is, or has no birth date that says when") \
  X(96, INVISIBLE_MASKED, CONSTRAINT,"a document can't be invisible to the patient and masked from professionals at once: nobody would be left to announce it") \
  X(97, TWO_SQLITES,  ERROR,  "another SQLite library of this process uses dmp already: two of them on one file lose each other's locks; open records through one only") \
  X(98, TRIGGER_AGAIN,ERROR,  "a trigger changes its own protected table in a way that may run a trigger inside itself: give it UPDATE OF the columns that it leaves alone, or say PRAGMA recursive_triggers=ON") \
  X(99, ANNOUNCER,    AUTH,   "only the depositor announces a document to the patient") \
  X(100, NAMING,      AUTH,   "only the patient, or for a minor the treating doctor, names and withdraws representatives") \
  X(101, HIDE_SELF,   AUTH,   "a document can't be hidden by whom it would be hidden from") \
  X(103, EPISODE,     CONSTRAINT,"this item is masked with its episode: unmask the episode") \
  X(104, FEED_OFF,    AUTH,   "the patient has not turned this feed on") \
  X(105, ASSIGNED,    CONSTRAINT,"this item already belongs to an episode: refuse that one first") \
  X(106, NOT_SOURCE,  CONSTRAINT,"a feed names a source that the authority registered (kind source), and its state is on or off") \
  X(107, PROPOSAL,    CONSTRAINT,"the state of a proposal is accepted or refused") \
  X(108, CERT_LOG,    CORRUPT,"the log of certificates is not the one that this credential has seen: entries were cut off, replaced or put back from an older copy; restore the newest file, or, if an older one was put back on purpose, remove the file named as the credential with -seen behind it") \
  X(109, REVOKED,     AUTH,   "this certificate was revoked, or replaced by one with another key: log in with the new credential, or ask the authority") \
  X(110, CONTINUITY,  CONSTRAINT,"a new key needs the signature of the one before it: make the request with dmp_renew() in a session of the former credential; recovery without it does not exist in this version") \
  X(111, BLOCKED,     CONSTRAINT,"the patient has blocked this person: the patient unblocks first, which gives nothing back, then a new consent does") \
  X(112, BARRED,      CONSTRAINT,"insurers, employers and occupational medicine get no certificate that could read") \
  X(113, TEAM_BAD,    CORRUPT,"the list of a team's members does not verify, or a line of it is missing: the file was altered or put back") \
  X(114, TEAM_OLD,    CORRUPT,"a team's list of members is older than one already seen: the file was altered or put back") \
  X(115, TEAM_SECRET, CORRUPT,"the secret of a team that you belong to is missing: the file was altered; a manager gives it again by INSERT INTO membership") \
  X(116, MANAGER,     AUTH,   "only a manager of the team may do this; the authority appoints one where there is none") \
  X(117, TEAM_ROLE,   CONSTRAINT,"this person may read less than the team's role: people join a team of a role that their own profession covers") \
  X(118, LAST_MANAGER,CONSTRAINT,"nobody takes himself out of a team or gives up its management alone: another manager does") \
  X(119, TEAM_KEY,    CONSTRAINT,"this team has no key yet, or has to change it: one of its managers logs in first") \
  X(120, GRANTEE,     CONSTRAINT,"a mask names a professional or a team by id, a profession as 'profession:60', or 'treating' for the treating doctor") \
  X(121, FROM_DOCTOR, AUTH,   "only the patient masks something from the treating doctor") \
  X(122, OWN_DEPOSIT, CONSTRAINT,"a depositor keeps what he put in: it can't be masked from him") \
  X(123, MASKED_FROM, CONSTRAINT,"this is already masked from them") \
  X(124, CIRCLES,     TOOBIG, "this patient has too many masks to different people: use the same ones for several documents, or take some away") \
  X(125, RECIPIENT,   AUTH,   "no export is made for such a recipient (insurer, employer, occupational medicine): the law bars them, also with the patient's consent") \
  X(126, PAGE,        CORRUPT,"this page is not signed, or it was altered after it was signed") \
  X(130, VIEW_ITEMS,  CONSTRAINT,"a minimal view names the items that it shows by their ids: 12,13,14 or a JSON array of them") \
  X(131, VIEW_UNTIL,  CONSTRAINT,"a minimal view ends by itself: its until is at most 31 days from now") \
  X(155, OVER,        AUTH,   "this credential opens nothing in this record any more: it has ended, another one has taken its place, or an older copy of the file was put back") \
  X(170, TRANSACTION, TOOBIG, "one transaction writes at most 65536 lines of the access log: commit every few thousand rows, then go on") \
  X(200, ASKPASS,     AUTH,   "the program in $DMP_ASKPASS gave no PIN: it prints it on its first line") \
  X(201, SECOND,      CONSTRAINT,"a patient's new certificate is signed by a registrar first, then by the authority: SELECT dmp_certify(…) in a session of each")

#define DMP_ENUM(number, name, rc, text) DMP_E_##name = number,
enum dmp_error { DMP_OK = 0, DMP_ERRORS(DMP_ENUM) DMP_E_SQL = 1000 /* an SQLite call failed; its code tells */ };

#endif
