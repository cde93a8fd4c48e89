-- sans-noms.sql: for a desk where paths are seen by others (a screen in a hall, lists of recent files, logs of a share): no name of
-- a person, no title and no kind of document in a path.  dmpfs ... -o layout=.../sans-noms.sql
-- "Dossier 0456523872946074244/Documents/2026-03-12 Document 0456523872947122821.pdf"; what is inside says whose it is.
UPDATE temp.layout_option SET grouped = 0;
DROP VIEW temp.layout_patient;
CREATE TEMP VIEW layout_patient AS SELECT id, printf('Dossier %019d', id) AS name, NULL AS initial FROM main.patient;
DROP VIEW temp.deposits;
CREATE TEMP VIEW deposits AS SELECT value AS id, printf('Dossier %019d (identité non accessible)', value) AS name
  FROM json_each(dmp_deposited_for());

DELETE FROM temp.layout_folder WHERE folder NOT IN (1, 18);
UPDATE temp.layout_folder SET name = 'Documents' WHERE folder = 18;
DELETE FROM temp.layout_class;
DELETE FROM temp.layout_type;
DROP VIEW temp.documents;
CREATE TEMP VIEW documents AS SELECT id, patient, folder, also, head || printf('Document %019d.', id) || extension AS name,
  CASE WHEN extension = 'xml' AND size <= (SELECT drawn_max FROM temp.layout_option) THEN head || printf('Document %019d.html', id) END AS page,
  head || printf('Document %019d', id) || ' : ' || warning AS notice, size, offset, modified FROM temp.layout_document;
