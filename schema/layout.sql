-- layout.sql: what the file door shows. Run once by dmpfs in its own connection, after the login; everything is TEMP.
-- Owns: folder names, file names, which folder a document lies in.  Never: a rule about who may see what: the tables
-- patient and document hold only rows that the session opened, and these views only rename their columns.
--
-- The driver asks for exactly these columns:
--   patients  (id, name)                                      one directory below the mount point for each row
--   deposits  (id, name)                                      one more for each patient whose identity no longer opens,
--                                                             but own deposits do (costs a pass over all grants)
--   folders   (folder, name)                                  the directories that a patient's directory may hold
--   documents (id, patient, folder, name, size, offset, modified)   one file a row, in that folder of that patient
--     size, offset: the bytes of the readable view within dmp_read(id, …);  modified: seconds since 1970, UTC
-- Names must be safe (dmp_filename) and never begin with a dot; the driver tells equal names apart by the row's id.
-- `patient` stays a plain column of documents, so that WHERE patient = ? reaches the record's own index.

CREATE TEMP TABLE layout_folder(folder INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO layout_folder VALUES
  (1, 'Synthèse'), (2, 'Comptes rendus'), (3, 'Lettres'), (4, 'Biologie'), (5, 'Imagerie'), (6, 'Ordonnances'),
  (7, 'Dispensations'), (8, 'Plans de soins'), (9, 'Traitements administrés'), (10, 'Vaccinations'),
  (11, 'Certificats'), (12, 'Directives et volontés'), (13, 'Remboursements'), (14, 'Documents du patient'),
  (15, 'Documents administratifs'), (16, 'Autres documents');

-- The folder follows from the class, unless the type has a line of its own below.
CREATE TEMP TABLE layout_class(class_code TEXT PRIMARY KEY, folder INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO layout_class VALUES
  ('10', 2), ('11', 1), ('31', 5), ('42', 6), ('43', 7), ('44', 8), ('45', 9),
  ('52', 11), ('60', 13), ('90', 14), ('95', 15);

CREATE TEMP TABLE layout_type(type_code TEXT PRIMARY KEY, folder INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO layout_type VALUES
  ('11490-0', 3), ('18761-7', 3), ('83981-1', 3), ('88348-8', 3), ('96349-6', 3), ('74207-2', 3), ('34133-9', 3),
  ('11502-2', 4), ('DOCPAT05', 4), ('51969-4', 4), ('60568-3', 4), ('96173-0', 4),
  ('18748-4', 5),
  ('11369-6', 10), ('87273-9', 10), ('96874-3', 10),
  ('EXPPAT_1', 12), ('EXPPAT_3', 12);

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

-- DUPONT Marie 1970-01-02
CREATE TEMP VIEW patients AS SELECT id,
  dmp_filename(concat_name) AS name FROM (SELECT id,
    coalesce(nullif(trim(
      coalesce(CASE WHEN birth_name GLOB '*[^ -~]*'   -- upper() knows ASCII only
        THEN upper(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
          replace(birth_name, 'é', 'É'), 'è', 'È'), 'ê', 'Ê'), 'ë', 'Ë'), 'à', 'À'), 'â', 'Â'), 'ç', 'Ç'), 'î', 'Î'),
          'ï', 'Ï'), 'ô', 'Ô'), 'ö', 'Ö'), 'ù', 'Ù'), 'ü', 'Ü'))
        ELSE upper(birth_name) END, '')
      || coalesce(' ' || given_names, '') || coalesce(' ' || birth_date, '')), ''), 'Patient ' || id) AS concat_name
    FROM main.patient);

CREATE TEMP VIEW deposits AS SELECT value AS id,
  dmp_filename('Dossier ' || value || ' (identité non accessible)') AS name
  FROM json_each(dmp_deposited_for());

CREATE TEMP VIEW folders AS SELECT folder, name FROM temp.layout_folder;

-- 2026-03-12 Compte rendu de consultation – Dr Martin.pdf
-- What a reader must not miss stands right after the date, where a long title can't push it out.
CREATE TEMP VIEW documents AS SELECT id, patient,
  coalesce((SELECT folder FROM temp.layout_type AS t WHERE t.type_code = d.type_code),
           (SELECT folder FROM temp.layout_class AS c WHERE c.class_code = d.class_code), 16) AS folder,
  dmp_filename(
    coalesce(substr(creation_time, 1, 10) || ' ', '')
    || CASE WHEN masked THEN '(masqué) ' ELSE '' END
    || CASE WHEN invisible_patient THEN '(invisible du patient) ' WHEN hidden_from_representatives THEN '(caché des représentants) ' ELSE '' END
    || CASE WHEN availability = 'Deprecated' THEN '(remplacé) ' ELSE '' END
    || coalesce(nullif(trim(title), ''), 'Document')
    || coalesce(' – ' || nullif(trim(author), ''), '')
    || '.' || coalesce((SELECT extension FROM temp.layout_mime AS m WHERE m.mime =
                          lower(trim(substr(view_mime, 1, instr(view_mime || ';', ';') - 1)))), 'bin')) AS name,
  view_size AS size, view_offset AS offset, coalesce(CAST(strftime('%s', creation_time) AS INTEGER), 0) AS modified
  FROM main.document AS d;
