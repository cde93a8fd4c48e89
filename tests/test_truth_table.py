#!/usr/bin/python3
"""The truth table flag × reader × mode, every cell. What each reader must see stands in TABLE below, as README has it; every cell is tried by list,
by count, by id, by bytes, in the folder of a mount and by name in it.
Usage: test_truth_table.py [BUILD_FOLDER [TEST_NAME...]]"""
import errno
import os
import shutil
import subprocess
import time
import types
import unittest
from harness import NO_SUCH_ID, PIN, Case, Practice, deposit, error_of, main, one
from test_teams import join, leave, team
from test_representatives import BOTH, FAKETIME, MASKED, MOUNTS, PATIENT, REPS, Mount, faked, later, name, represent

LATE = 'Attention, ce document n’est visible des autres professionnels que si le patient ou son médecin traitant le laisse paraître'.replace('’', "'")
# Columns: how the document was deposited and what was done then.
#   N     nothing                            IP    INVISIBLE_PATIENT                    IR     INVISIBLE_REPRESENTANTS_LEGAUX
#   Md    masked as it was deposited         IPa   the same, announced by its depositor IRv    shown to representatives afterwards
#   Mp Mt masked by the patient, the         MIRd  masked and hidden from               MIRp   hidden from representatives,
#         treating doctor                          representatives as it was deposited         masked by the patient
#   Me    masked with its episode            U     masked by the patient, and unmasked
#   CP CT masked to the pharmacist, to the treating doctor, by the patient
# Cells: - absent; s seen; with m: `masked` and its warning; l: `masked`, and warned that it waits for somebody who knows whether its episode is;
# p, r: warned that the patient, the representatives don't see it.
COLUMNS = 'N    Md   Mp   Mt   Me   U    IP   IPa  IR   IRv  MIRd MIRp CP   CT'
TABLE = {
    # A report that professions 10, 21, 39, 40 and 60 read, deposited by a gynaecologist whom the patient has consented to. The team's role is nurse.
    'common': """
patient                   s    sm   sm   sm   sm   s    -    s    sr   s    smr  smr  s    s
representative            s    sm   sm   sm   sm   s    -    s    -    s    -    -    s    s
depositor                 s    sm   sm   sm   sl   s    sp   s    sr   s    smr  smr  s    s
treating doctor           s    sm   sm   sm   sm   s    sp   s    sr   s    smr  smr  s    -
consented doctor          s    -    -    -    -    s    sp   s    sr   s    -    -    s    s
consented pharmacist      s    -    -    -    -    s    sp   s    sr   s    -    -    -    s
consented nurse           s    -    -    -    -    s    sp   s    sr   s    -    -    s    s
consented midwife         -    -    -    -    -    -    -    -    -    -    -    -    -    -
member of a team          s    -    -    -    -    s    sp   s    sr   s    -    -    s    s
manager of a team         s    -    -    -    -    s    sp   s    sr   s    -    -    s    s
source                    -    -    -    -    -    -    -    -    -    -    -    -    -    -
view of all she sees      s    s    s    s    s    s    -    s    sr   s    sr   sr   s    s
view of another document  -    -    -    -    -    -    -    -    -    -    -    -    -    -
""",
    # The same report, deposited by a midwife, who reads nothing by profession: what is done to it later does not show to her.
    'own': """
patient                   s    sm   sm   sm   sm   s    -    s    sr   s    smr  smr  n/a  n/a
representative            s    sm   sm   sm   sm   s    -    s    -    s    -    -    n/a  n/a
depositor                 s    sm   s    s    s    s    sp   s    sr   sr   smr  sr   n/a  n/a
treating doctor           s    sm   sm   sm   sm   s    sp   s    sr   s    smr  smr  n/a  n/a
consented doctor          s    -    -    -    -    s    sp   s    sr   s    -    -    n/a  n/a
consented pharmacist      s    -    -    -    -    s    sp   s    sr   s    -    -    n/a  n/a
view of all she sees      s    s    s    s    s    s    -    s    sr   s    sr   sr   n/a  n/a
""",
    # A paper that professions 40 and 60 read and no doctor: masked for whom it was meant, never there for the treating doctor, who masks nothing of it.
    'residence': """
patient                   s    sm   sm   n/a  sm   s    -    s    sr   s    smr  smr  n/a  n/a
representative            s    sm   sm   n/a  sm   s    -    s    -    s    -    -    n/a  n/a
depositor                 s    sm   s    n/a  s    s    sp   s    sr   sr   smr  sr   n/a  n/a
treating doctor           -    -    -    n/a  -    -    -    -    -    -    -    -    n/a  n/a
consented doctor          -    -    -    n/a  -    -    -    -    -    -    -    -    n/a  n/a
consented pharmacist      -    -    -    n/a  -    -    -    -    -    -    -    -    n/a  n/a
consented nurse           s    -    -    n/a  -    s    sp   s    sr   s    -    -    n/a  n/a
member of a team          s    -    -    n/a  -    s    sp   s    sr   s    -    -    n/a  n/a
view of all she sees      s    s    s    n/a  s    s    -    s    sr   s    sr   sr   n/a  n/a
""",
}
# Who holds nothing: everything is absent, of every class.
NOTHING = ('representative withdrawn', 'representative of nobody', 'doctor withdrawn', 'doctor never consented', 'authority', 'member who left', 'member of another team')
# A month after its deposit what was invisible to the patient is seen by her, nothing having been done; the others see what they saw.
MONTH = {'patient': 'sr', 'representative': '-', 'depositor': 'sr', 'treating doctor': 'sr', 'consented doctor': 'sr'}
WARNING = {'s': None, 'sm': MASKED, 'sp': PATIENT, 'sr': REPS, 'smr': BOTH, 'sl': LATE}
TYPE = {'common': '11488-4', 'own': '11488-4', 'residence': 'ATTEST-RESID'}
DEPOSITOR = {'common': 'gynaecologist', 'own': 'midwife', 'residence': 'midwife'}
PERSON = {'patient': 'patient', 'representative': 'mother', 'treating doctor': 'treating', 'consented doctor': 'doctor', 'consented pharmacist': 'pharmacist',
          'consented nurse': 'nurse', 'consented midwife': 'midwife', 'source': 'source', 'view of all she sees': 'view', 'view of another document': 'other',
          'representative withdrawn': 'father', 'representative of nobody': 'aunt', 'doctor withdrawn': 'left', 'doctor never consented': 'unknown', 'authority': 'authority',
          'member of a team': 'member', 'manager of a team': 'boss', 'member who left': 'gone', 'member of another team': 'elsewhere'}
FLAGS = {'Md': {'masked': 1}, 'Me': {}, 'IP': {'invisible_patient': 1}, 'IPa': {'invisible_patient': 1}, 'IR': {'hidden_from_representatives': 1},
         'IRv': {'hidden_from_representatives': 1}, 'MIRd': {'masked': 1, 'hidden_from_representatives': 1}, 'MIRp': {'hidden_from_representatives': 1}}


def masked(cell):
    return int('m' in cell or 'l' in cell)


def cells():
    """(set, reader, column, cell) of the whole table."""
    for which, text in TABLE.items():
        for line in text.strip('\n').split('\n'):
            reader = line[:26].strip()
            for column, cell in zip(COLUMNS.split(), line[26:].split(), strict=True):
                yield which, reader, column, cell


class TruthTable(Case):
    @classmethod
    def setUpClass(cls):
        cls.p = p = Practice({'treating': ('10', 1), 'gynaecologist': ('10', 0), 'doctor': ('10', 0), 'pharmacist': ('21', 0), 'nurse': ('60', 0), 'midwife': ('50', 0),
                              'left': ('10', 0), 'unknown': ('10', 0), 'boss': ('60', 0), 'member': ('60', 0), 'gone': ('60', 0), 'elsewhere': ('60', 0)})
        cls.addClassCleanup(p.drop)
        cls.pid = pid = p.patient('patient', p.login('treating'), 'treating', birth_name='ENFANT', birth_date='%d-06-15' % (time.gmtime().tm_year - 15))
        for who in ('mother', 'father', 'aunt'):
            represent(p, who)
        p.authority.execute("INSERT INTO principal(kind,name,certificate) VALUES('source','CAISSE',?)", (p.request('source'),))
        p.id['source'] = one(p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key('source'), PIN, p.fingerprint)
        cls.me = p.login('patient')
        cls.me.execute('INSERT INTO feed(patient,source) VALUES(?,?)', (pid, p.id['source']))
        for name_, members in (('Soins', ('boss', 'member', 'gone')), ('Ailleurs', ('elsewhere',))):
            team(p, name_, manager=members[0])
            for who in members[1:]:
                join(p.login(members[0]), p, name_, who)
        for who in ('gynaecologist', 'doctor', 'pharmacist', 'nurse', 'midwife', 'left', 'Soins'):
            cls.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (pid, p.id[who]))
        name(cls.me, p, pid, 'mother')
        row = name(cls.me, p, pid, 'father')
        cls.doc = {}
        for which in TABLE:
            cls.deposits(which)
        cls.me.execute('DELETE FROM representative WHERE rowid=?', (row,))
        cls.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['left'],))
        leave(p.login('boss'), p, 'Soins', 'gone')
        cls.me = p.login('patient')                                 # the keys of who left turn, and what waited for her is settled
        cls.beside = deposit(p.login('treating'), pid, b'a cote', title='a-cote')
        for who, items in (('view', [one(cls.me, 'SELECT group_concat(id) FROM document')]), ('other', [cls.beside])):
            cls.me.execute('INSERT INTO minimal_view(patient,items,credential,pin) VALUES(?,?,?,?)', (pid, items[0], p.key(who), PIN))
            p.id[who] = pid

    @classmethod
    def deposits(cls, which):
        """One document for each column, and what is done to it."""
        p, con = cls.p, cls.p.login(DEPOSITOR[which])
        treating = p.login('treating')
        for column in COLUMNS.split():
            title = '%s-%s' % (which, column)
            cls.doc[which, column] = deposit(con, cls.pid, title.encode(), title='T-%s-T' % title, type_code=TYPE[which],
                                             episode='acte-' + which if column == 'Me' else None, **FLAGS.get(column, {}))
        cls.me = p.login('patient')
        mask = 'INSERT INTO mask(document) VALUES(?)'
        for column in ('Mp', 'U', 'MIRp'):
            cls.me.execute(mask, (cls.doc[which, column],))
        cls.me.execute('DELETE FROM mask WHERE document=?', (cls.doc[which, 'U'],))
        cls.me.execute('INSERT INTO mask(patient,episode) VALUES(?,?)', (cls.pid, 'acte-' + which))
        if which != 'residence':
            treating.execute(mask, (cls.doc[which, 'Mt'],))
        for column, who in (('CP', 'pharmacist'), ('CT', 'treating')) if which == 'common' else ():
            cls.me.execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (cls.doc[which, column], p.id[who]))
        con.execute('UPDATE document SET invisible_patient=0 WHERE id=?', (cls.doc[which, 'IPa'],))
        cls.me.execute('UPDATE document SET hidden_from_representatives=0 WHERE id=?', (cls.doc[which, 'IRv'],))

    def person(self, reader, which):
        return DEPOSITOR[which] if reader == 'depositor' else PERSON[reader]

    def lines(self):
        """(who, document -> cell): every reader once, with all that the table says of him."""
        people = {}
        for which, reader, column, cell in cells():
            if cell != 'n/a':
                people.setdefault(self.person(reader, which), {})[which, column] = cell
        for reader in NOTHING:
            people[PERSON[reader]] = {key: '-' for key in self.doc}
        # a gynaecologist is a consented doctor for what she did not deposit
        for which, reader, column, cell in cells():
            if reader == 'consented doctor' and which != 'common' and cell != 'n/a':
                people['gynaecologist'][which, column] = cell
        return people

    def test_every_line_of_the_table_is_whole(self):
        for which, reader, column, cell in cells():
            self.assertIn(cell, ['-', 'n/a'] + list(WARNING), (which, reader, column))
        self.assertGreater(sum(1 for _ in cells()), 300)

    def test_every_cell_by_list_count_id_and_bytes(self):
        for who, want in self.lines().items():
            con = self.p.login(who)
            listed = {r[0]: r[1:] for r in con.execute('SELECT id,masked,warning FROM document')}
            absent = error_of(con, 'SELECT dmp_read(?,0,9)', (NO_SUCH_ID,))
            for key, cell in want.items():
                doc = self.doc[key]
                with self.subTest(who=who, document=key, cell=cell):
                    by_id = con.execute('SELECT masked,warning,content FROM document WHERE id=?', (doc,)).fetchall()
                    by_name = one(con, 'SELECT count(*) FROM document WHERE title=?', 'T-%s-%s-T' % key)
                    if cell == '-':
                        self.assertEqual((listed.get(doc), by_id, by_name, error_of(con, 'SELECT dmp_read(?,0,9)', (doc,))), (None, [], 0, absent))
                    else:
                        self.assertEqual(listed.get(doc), (masked(cell), WARNING[cell]))
                        self.assertEqual(by_id, [(masked(cell), WARNING[cell], ('%s-%s' % key).encode())])
                        self.assertEqual(one(con, 'SELECT dmp_read(?,0,99)', doc), ('%s-%s' % key).encode())
                        self.assertEqual(by_name, 1)
            seen = [self.doc[key] for key, cell in want.items() if cell != '-']
            unsaid = [self.doc[key] for key in self.doc if key not in want]
            self.assertEqual(sorted(set(listed) - {self.beside} - set(unsaid)), sorted(seen), who)
            self.assertEqual(one(con, 'SELECT count(*) FROM document'), len(listed))
            con.close()

    @unittest.skipUnless(MOUNTS, 'needs dmpfs, /dev/fuse and root')
    def test_every_cell_in_the_folders_of_a_mount_and_by_name(self):
        found, names = {}, {}
        lines = self.lines()
        for again in (0, 1):                                        # names are gathered first: an absent one is asked for by all that it has anywhere
            for who, want in lines.items():
                m = Mount(self.p, who)
                try:
                    files = {}
                    for d, _, fs in os.walk(m.point):
                        for f in fs:
                            if 'T-' in f:
                                files.setdefault(f[f.index('T-') + 2:f.index('-T')], []).append(os.path.relpath(os.path.join(d, f), m.point))
                    for title, paths in files.items():
                        names.setdefault(title, set()).update(paths)
                    for key, cell in want.items() if again else ():
                        title = '%s-%s' % key
                        with self.subTest(who=who, document=title, cell=cell):
                            self.assertEqual(bool(files.get(title)), cell != '-')
                            for path in names.get(title, ()):
                                self.by_name(os.path.join(m.point, path), path in files.get(title, ()), title)
                finally:
                    m.close()
        self.assertGreaterEqual(len(names), 30)

    def by_name(self, path, there, title):
        try:
            with open(path, 'rb') as f:
                got = f.read()
        except OSError as e:
            got = e.errno
        self.assertEqual(got, title.encode() if there else errno.ENOENT)

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_a_month_later_what_was_invisible_to_the_patient_is_hidden_from_representatives_only(self):
        doc, copy = self.doc['common', 'IP'], self.p.folder + '-month'
        self.addCleanup(shutil.rmtree, copy)
        subprocess.run(['cp', '-r', self.p.folder, copy], check=True)   # a month later the views are over, too
        p = types.SimpleNamespace(path=os.path.join(copy, 'record.db'), folder=copy, so=self.p.so, key=lambda who: os.path.join(copy, who + '.dmpkey'))
        for reader, cell in MONTH.items():
            who = self.person(reader, 'common')
            got = later(p, '+32d', who, 'SELECT masked,warning FROM document WHERE id=%d' % doc, 'SELECT count(*) FROM document WHERE id=%d' % doc)
            self.assertEqual(got, [[], [[0]]] if cell == '-' else [[[masked(cell), WARNING[cell]]], [[1]]], reader)
            if MOUNTS:
                m = Mount(p, who, faked('+32d'))
                try:
                    self.assertEqual(any('T-common-IP-T' in f for f in m.files()), cell != '-', reader)
                finally:
                    m.close()

    def test_masked_and_invisible_to_the_patient_is_refused_with_the_reason(self):
        g = self.p.login('gynaecologist')
        self.assertIn('announce', self.refused(96, g, "INSERT INTO document(patient,content,type_code,masked,invisible_patient) VALUES(?,x'00','11488-4',1,1)", (self.pid,)))
        self.refused(96, self.p.login('treating'), 'INSERT INTO mask(document) VALUES(?)', (self.doc['common', 'IP'],))


if __name__ == '__main__':
    main()
