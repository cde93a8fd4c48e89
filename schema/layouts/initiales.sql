-- initiales.sql: patients under their initials, however few they are.  dmpfs ... -o layout=.../initiales.sql
UPDATE temp.layout_option SET grouped = 1;
