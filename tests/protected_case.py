"""protected_case.py: what the tests of protected tables share: a practice with a table of 40 consultations, its doctor, a colleague."""
from harness import Case, Practice, one

SCHEMA = """
CREATE TABLE patient_p(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE consultation(id INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patient_p(id) ON DELETE CASCADE, day TEXT, note TEXT, motif TEXT NOT NULL DEFAULT 'rien');
CREATE INDEX c_day ON consultation(day);
CREATE TABLE letter(id INTEGER PRIMARY KEY, body TEXT, n INTEGER);
CREATE VIEW recent AS SELECT day, note FROM consultation WHERE day>='2026-01-01';
INSERT INTO patient_p VALUES(1,'DUPONT'),(2,'MARTIN');
INSERT INTO letter VALUES(1,'lettre un',1),(2,'lettre deux',2);
"""


class ProtectedCase(Case):
    """c: the doctor's connection; `two` holds no key."""

    def setUp(self):
        self.p = Practice({'dr': ('10', 1), 'two': ('10', 0)})
        self.c = self.p.login('dr')
        self.c.executescript(SCHEMA)
        for i in range(40):
            self.c.execute('INSERT INTO consultation(patient_id,day,note,motif) VALUES(?,?,?,?)', (1 + i % 2, '2026-%02d-01' % (1 + i % 12), 'canari note %d' % i, 'canari %d' % i))

    def tearDown(self):
        self.p.drop()

    def protect(self, options=None, table='consultation', columns='note,motif'):
        self.c.execute('SELECT dmp_protect(?,?,?)', (table, columns, options))

    def notes(self, con, where='1'):
        return [r[0] for r in con.execute('SELECT note FROM consultation WHERE %s ORDER BY id' % where)]

    def box(self, row, table='consultation_dmp'):
        return one(self.p.raw(), 'SELECT _dmp FROM %s WHERE id=?' % table, row)

    def set_box(self, row, box, table='consultation_dmp'):
        self.p.raw().execute('UPDATE %s SET _dmp=? WHERE id=?' % table, (box, row))
