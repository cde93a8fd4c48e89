-- layout.sql: what the file door shows. Run once by dmpfs in its own connection, after the login; everything is TEMP.
-- Owns: folder names, file names, which folder a document lies in, what stands on a patient's pages.  Never: a rule about who
-- may see what: the record's tables hold only rows that the session opened, and these views only rename their columns.
--
-- dmpfs -o layout=FILE runs FILE after this one: it changes rows of the tables below (layout_*), or drops a view and makes it
-- anew. It can read the record and write TEMP tables and views, nothing else. schema/layouts/ has two to use or to copy.
--
-- The driver asks for exactly these columns:
--   patients  (id, name, grp)      one directory for each row: below the mount point, or below the group's directory (grp)
--   deposits  (id, name)           one more for each patient whose identity no longer opens, but own deposits do (costs a pass
--                                  over all grants); it has no pages
--   groups    (grp, name)          directories between the mount point and the patients; shown while they hold a patient
--   folders   (folder, name)       the directories that a patient's directory may hold, in this order
--   documents (id, patient, folder, also, name, page, notice, size, offset, modified)
--             one file a row, in that folder of that patient and in the folder also, if any.  size, offset: the bytes of the
--             readable view within dmp_read(id, ...);  modified: seconds since 1970, UTC;  page: the name of a readable page that
--             is drawn from its XML and stands beside it, or NULL;  notice: a line of the patient's notice, or NULL
--   pages     (page, name)         files of a patient's directory: 1 the summary, 2 the notice (where there is a line for it),
--                                  3 the accesses and 4 the readers (these two in the patient's own mount)
--   blocks    (page, place, title, query)   what stands on pages 1, 3 and 4, in this order: each query is a table with a heading
--             for each column; ?1 is the patient; a column that is empty in all rows is left out, and a block without rows too
-- Numbers of groups and folders are 1 to 255. Names must be safe (dmp_filename) and never begin with a dot; the driver tells
-- equal names apart by the row's id. `patient` stays a plain column of documents, so that WHERE patient = ? reaches the
-- record's own index.

-- recent_days: how long after its deposit a document stands in Nouveaux, if it is not older than recent_age days by its own date (an
-- old file that is taken over brings no news).  grouped: patients stand under their initials; so it is
-- for the whole life of a mount that begins with 2,000 patients or more.  drawn_max: bytes of the largest XML that is drawn.
CREATE TEMP TABLE layout_option(recent_days INTEGER, recent_age INTEGER, grouped INTEGER, drawn_max INTEGER);
INSERT INTO layout_option SELECT 14, 90, count(*) = 2000, 16 << 20 FROM (SELECT 1 FROM main.patient LIMIT 2000);

-- The order of the national application.
CREATE TEMP TABLE layout_folder(folder INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO layout_folder VALUES
  (1, 'Nouveaux'), (2, 'Synthèse'), (3, 'Ordonnances'), (4, 'Comptes rendus'), (5, 'Courriers'), (6, 'Biologie'), (7, 'Imagerie'),
  (8, 'Vaccinations'), (9, 'Prévention'), (10, 'Directives'), (11, 'Remboursements'), (12, 'Dispensations'), (13, 'Plans de soins'),
  (14, 'Traitements administrés'), (15, 'Certificats'), (16, 'Documents administratifs'), (17, 'Documents du patient'),
  (18, 'Autres documents');

-- The folder follows from the class, unless the type has a line of its own below.
CREATE TEMP TABLE layout_class(class_code TEXT PRIMARY KEY, folder INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO layout_class VALUES
  ('10', 4), ('11', 2), ('31', 7), ('42', 3), ('43', 12), ('44', 13), ('45', 14), ('52', 15), ('60', 11), ('90', 17), ('95', 16);

CREATE TEMP TABLE layout_type(type_code TEXT PRIMARY KEY, folder INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO layout_type VALUES
  ('11490-0', 5), ('18761-7', 5), ('83981-1', 5), ('88348-8', 5), ('96349-6', 5), ('74207-2', 5), ('34133-9', 5),
  ('60280-5', 5), ('78341-5', 5),
  ('11502-2', 6), ('DOCPAT05', 6), ('51969-4', 6), ('60568-3', 6), ('96173-0', 6),
  ('18748-4', 7),
  ('11369-6', 8), ('87273-9', 8), ('96874-3', 8),
  ('DOCPAT06', 9), ('68817-6', 9), ('75482-0', 9), ('75492-9', 9), ('83869-8', 9),
  ('EXPPAT_1', 10), ('EXPPAT_3', 10);

CREATE TEMP TABLE layout_mime(mime TEXT PRIMARY KEY, extension TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO layout_mime VALUES
  ('application/pdf', 'pdf'), ('text/xml', 'xml'), ('application/xml', 'xml'), ('application/cda+xml', 'xml'),
  ('application/hl7-v3+xml', 'xml'), ('application/fhir+xml', 'xml'), ('text/html', 'html'),
  ('application/xhtml+xml', 'xhtml'),
  ('text/plain', 'txt'), ('text/csv', 'csv'), ('text/markdown', 'md'), ('application/json', 'json'),
  ('application/fhir+json', 'json'), ('text/rtf', 'rtf'), ('application/rtf', 'rtf'), ('image/png', 'png'),
  ('image/jpeg', 'jpg'), ('image/jpg', 'jpg'), ('image/gif', 'gif'), ('image/tiff', 'tif'), ('image/bmp', 'bmp'),
  ('image/svg+xml', 'svg'), ('image/webp', 'webp'), ('application/dicom', 'dcm'), ('application/zip', 'zip'),
  ('audio/mpeg', 'mp3'), ('audio/basic', 'au'), ('video/mpeg', 'mpg'), ('video/mp4', 'mp4'),
  ('application/msword', 'doc'), ('application/vnd.oasis.opendocument.text', 'odt'),
  ('application/vnd.openxmlformats-officedocument.wordprocessingml.document', 'docx'),
  ('x-application/hl7-v2+er7', 'hl7');

-- Initials, accents aside; whatever begins otherwise stands under the last one.
CREATE TEMP TABLE layout_group(grp INTEGER PRIMARY KEY, name TEXT NOT NULL);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 26)
  INSERT INTO layout_group SELECT i, char(64 + i) FROM n UNION ALL VALUES(27, '0-9');
CREATE TEMP TABLE layout_initial(letter TEXT PRIMARY KEY, grp INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO layout_initial SELECT name, grp FROM layout_group WHERE grp <= 26 UNION ALL SELECT lower(name), grp FROM layout_group WHERE grp <= 26;
WITH accents(plain, letters) AS (VALUES ('A', 'ÀÂÄÁÃÅÆàâäáãåæ'), ('C', 'Çç'), ('E', 'ÉÈÊËéèêë'), ('I', 'ÎÏÍîïí'), ('N', 'Ññ'), ('O', 'ÔÖÓÒÕØŒôöóòõøœ'),
    ('S', 'Šš'), ('U', 'ÙÛÜÚùûüú'), ('Y', 'ŸÝÿý'), ('Z', 'Žž')),
  n(i) AS (SELECT grp FROM layout_group)
  INSERT INTO layout_initial SELECT substr(letters, i, 1), unicode(plain) - 64 FROM accents, n WHERE i <= length(letters);

CREATE TEMP TABLE layout_page(page INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO layout_page VALUES (1, 'Synthèse.html'), (2, 'À lire avant.txt'), (3, 'Mes accès.html'), (4, 'Qui peut lire.html');

-- DUPONT Marie 1970-01-02
CREATE TEMP VIEW layout_patient AS SELECT id, dmp_filename(concat_name) AS name, initial FROM (SELECT id, substr(birth_name, 1, 1) AS initial,
    coalesce(nullif(trim(
      coalesce(CASE WHEN birth_name GLOB '*[^ -~]*'   -- upper() knows ASCII only
        THEN upper(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
          replace(birth_name, 'é', 'É'), 'è', 'È'), 'ê', 'Ê'), 'ë', 'Ë'), 'à', 'À'), 'â', 'Â'), 'ç', 'Ç'), 'î', 'Î'),
          'ï', 'Ï'), 'ô', 'Ô'), 'ö', 'Ö'), 'ù', 'Ù'), 'ü', 'Ü'))
        ELSE upper(birth_name) END, '')
      || coalesce(' ' || given_names, '') || coalesce(' ' || birth_date, '')), ''), 'Patient ' || id) AS concat_name
    FROM main.patient);

CREATE TEMP VIEW patients AS SELECT id, name, CASE WHEN (SELECT grouped FROM temp.layout_option) THEN
    coalesce((SELECT grp FROM temp.layout_initial AS i WHERE i.letter = p.initial), 27) END AS grp
  FROM temp.layout_patient AS p;

CREATE TEMP VIEW deposits AS SELECT value AS id,
  dmp_filename('Dossier ' || value || ' (identité non accessible)') AS name
  FROM json_each(dmp_deposited_for());

CREATE TEMP VIEW groups AS SELECT grp, name FROM temp.layout_group;
CREATE TEMP VIEW folders AS SELECT folder, name FROM temp.layout_folder;
CREATE TEMP VIEW pages AS SELECT page, name FROM temp.layout_page;

-- 2026-03-12 Compte rendu de consultation – Dr Martin.pdf
-- What a reader must not miss stands right after the date, where a long title can't push it out. An id tells when its document
-- was deposited: its upper bits are milliseconds since 2020.
CREATE TEMP VIEW layout_document AS SELECT id, patient,
  coalesce((SELECT folder FROM temp.layout_type AS t WHERE t.type_code = d.type_code),
           (SELECT folder FROM temp.layout_class AS c WHERE c.class_code = d.class_code), 18) AS folder,
  CASE WHEN (id >> 21) / 1000 + 1577836800 > CAST(strftime('%s', 'now') AS INTEGER) - (SELECT recent_days FROM temp.layout_option) * 86400
        AND creation_time > date('now', (SELECT -recent_age FROM temp.layout_option) || ' days') THEN 1 END AS also,
  coalesce(substr(creation_time, 1, 10) || ' ', '')
    || CASE WHEN masked THEN '(masqué) ' ELSE '' END
    || CASE WHEN invisible_patient THEN '(invisible du patient) ' WHEN hidden_from_representatives THEN '(caché des représentants) ' ELSE '' END
    || CASE WHEN availability = 'Deprecated' THEN '(remplacé) ' ELSE '' END AS head,
  coalesce(nullif(trim(title), ''), 'Document') || coalesce(' – ' || nullif(trim(author), ''), '') AS stem,
  coalesce((SELECT extension FROM temp.layout_mime AS m WHERE m.mime =
              lower(trim(substr(view_mime, 1, instr(view_mime || ';', ';') - 1)))), 'bin') AS extension,
  warning, view_size AS size, view_offset AS offset, coalesce(CAST(strftime('%s', creation_time) AS INTEGER), 0) AS modified
  FROM main.document AS d;

CREATE TEMP VIEW documents AS SELECT id, patient, folder, also, dmp_filename(head || stem || '.' || extension) AS name,
  CASE WHEN extension = 'xml' AND size <= (SELECT drawn_max FROM temp.layout_option) THEN dmp_filename(head || stem || '.html') END AS page,
  dmp_filename(head || stem) || ' : ' || warning AS notice, size, offset, modified FROM temp.layout_document;

-- The sections of the record and the titles of professions are put in by scripts/embed, from sections.tsv and profession.tsv.
CREATE TEMP TABLE layout_profession(code TEXT PRIMARY KEY, display TEXT NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE layout_block(page INTEGER, place INTEGER, title TEXT NOT NULL, query TEXT NOT NULL, PRIMARY KEY(page, place)) WITHOUT ROWID;
CREATE TEMP VIEW blocks AS SELECT page, place, title, query FROM temp.layout_block;
INSERT INTO layout_block VALUES
  (1, 10, 'Identité', 'SELECT birth_name AS "Nom de naissance", used_name AS "Nom utilisé", given_names AS "Prénoms",
     CASE WHEN length(birth_date) = 10 THEN substr(birth_date, 9, 2) || ''/'' || substr(birth_date, 6, 2) || ''/'' || substr(birth_date, 1, 4)
       ELSE birth_date END AS "Naissance", CASE sex WHEN ''F'' THEN ''féminin'' WHEN ''M'' THEN ''masculin'' ELSE sex END AS "Sexe", ins AS "INS",
     (SELECT name FROM main.principal AS d WHERE d.id = p.treating_doctor) AS "Médecin traitant"
     FROM main.patient AS p WHERE id = ?1'),
  (1, 20, 'À lire avant', 'SELECT notice AS "Document" FROM temp.documents WHERE patient = ?1 AND notice IS NOT NULL ORDER BY notice DESC'),
  (1, 900, 'Documents (les 200 derniers)', 'SELECT strftime(''%d/%m/%Y'', creation_time) AS "Date",
     nullif(CASE WHEN masked THEN ''masqué '' ELSE '''' END || CASE WHEN invisible_patient THEN ''invisible du patient ''
       WHEN hidden_from_representatives THEN ''caché des représentants '' ELSE '''' END || CASE availability WHEN ''Deprecated'' THEN ''remplacé'' ELSE '''' END, '''') AS "État",
     title AS "Titre", author AS "Auteur" FROM main.document WHERE patient = ?1 ORDER BY creation_time DESC, id DESC LIMIT 200'),
  -- listings by one person on one day are one line
  (3, 10, 'Qui a fait quoi (les 2 000 dernières lignes)', 'WITH d AS MATERIALIZED (SELECT id, title FROM main.document WHERE patient = ?1),
       w AS MATERIALIZED (SELECT id, name FROM main.principal),
       a AS (SELECT max(at) AS at, principal, name, profession, action_text, object, reason_text, sum(count) AS count FROM main.access_log
         WHERE patient = ?1 OR (patient IS NULL AND principal = ?1 AND action IN (''view'', ''view end'', ''mask'', ''unmask''))
         GROUP BY CASE action WHEN ''list'' THEN date(at, ''localtime'') || principal || mode || coalesce(team, '''') ELSE rowid END)
     SELECT strftime(''%d/%m/%Y %H:%M'', at, ''localtime'') AS "Date",
       CASE WHEN principal = ?1 THEN ''vous'' ELSE coalesce((SELECT name FROM w WHERE w.id = a.principal), a.name) END AS "Qui",
       (SELECT display FROM temp.layout_profession AS p WHERE p.code = a.profession) AS "Profession",
       action_text AS "Action",
       coalesce((SELECT title FROM d WHERE d.id = a.object), (SELECT name FROM w WHERE w.id = a.object)) AS "Sur",
       reason_text AS "Motif", nullif(count, 1) AS "Fois"
     FROM a ORDER BY at DESC LIMIT 2000'),
  (4, 10, 'Médecin traitant', 'SELECT name AS "Nom", ''ce que sa profession permet, et ce qui est masqué'' AS "Voit" FROM main.principal
     WHERE id = (SELECT treating_doctor FROM main.patient WHERE id = ?1)'),
  (4, 20, 'Accords que vous avez donnés', 'SELECT (SELECT name FROM main.principal AS w WHERE w.id = c.grantee) AS "À",
     strftime(''%d/%m/%Y'', since) AS "Depuis", strftime(''%d/%m/%Y'', until) AS "Jusqu’au",
     CASE WHEN EXISTS (SELECT 1 FROM main.membership AS m, main.blocked AS b WHERE m.team = c.grantee AND b.professional = m.member AND b.patient = ?1
         AND (m.until IS NULL OR m.until > strftime(''%Y-%m-%dT%H:%M:%SZ'')))
       THEN ''rien : un de ses membres est bloqué'' ELSE ''ce que sa profession permet, sauf ce qui est masqué'' END AS "Voit" FROM main.consent AS c WHERE patient = ?1 ORDER BY since'),
  (4, 30, 'Représentants', 'SELECT (SELECT name FROM main.principal AS w WHERE w.id = r.principal) AS "Nom", strftime(''%d/%m/%Y'', since) AS "Depuis",
     strftime(''%d/%m/%Y'', until) AS "Jusqu’au", ''tout, sauf ce qui leur est caché'' AS "Voit" FROM main.representative AS r WHERE patient = ?1 ORDER BY since'),
  (4, 35, 'Personnes que vous avez bloquées', 'SELECT (SELECT name FROM main.principal AS w WHERE w.id = b.professional) AS "Nom",
     strftime(''%d/%m/%Y'', since) AS "Depuis", ''rien que ses propres dépôts'' AS "Voit" FROM main.blocked AS b WHERE patient = ?1 ORDER BY since'),
  (4, 40, 'Chaque document (les 1 000 derniers)', 'WITH who AS MATERIALIZED (SELECT document, group_concat(name || '' : '' || why, char(10)) AS list
       FROM (SELECT document, name, why FROM main.access_right WHERE patient = ?1 AND principal <> ?1 ORDER BY name, why) GROUP BY document)
     SELECT strftime(''%d/%m/%Y'', creation_time) AS "Date", title AS "Titre", coalesce((SELECT list FROM who WHERE document = d.id), ''vous seul'')
       AS "Qui peut le lire, et pourquoi" FROM main.document AS d WHERE patient = ?1 ORDER BY creation_time DESC, id DESC LIMIT 1000'),
  (4, 50, 'Lignes de la synthèse', 'WITH d AS MATERIALIZED (SELECT id FROM main.document WHERE patient = ?1),
       who AS MATERIALIZED (SELECT document, group_concat(name || '' : '' || why, char(10)) AS list
       FROM (SELECT document, name, why FROM main.access_right WHERE patient = ?1 AND principal <> ?1 ORDER BY name, why) GROUP BY document)
     SELECT count(*) AS "Lignes", list AS "Qui peut les lire, et pourquoi" FROM who WHERE document NOT IN (SELECT id FROM d) GROUP BY list ORDER BY 1 DESC');
