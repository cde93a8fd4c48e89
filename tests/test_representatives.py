#!/usr/bin/python3
"""Representatives, and what is hidden from them or from the patient: every cell flag × reader through SQL and through real mounts, the
refusals beside the successes, ends by date, and attacks with all that a representative holds.
Usage: test_representatives.py [BUILD_FOLDER [TEST_NAME...]]"""
import glob
import os
import subprocess
import sys
import time
import unittest
from harness import BUILD, NO_SUCH_ID, PIN, Case, Practice, deposit, documents, error_of, main, one

FS = os.path.join(BUILD, 'dmpfs')
FAKETIME = (glob.glob('/usr/lib/*/faketime/libfaketime.so.1') + [None])[0]
MOUNTS = os.path.exists(FS) and os.path.exists('/dev/fuse') and os.geteuid() == 0
PATIENT = "Attention, ce document n'est pas visible du patient"
REPS = "Attention, ce document n'est pas visible des représentants légaux"
MASKED = 'Attention, ce document est masqué aux professionnels de santé'
BOTH = REPS + ' et est masqué aux professionnels de santé'
CHILD = {'birth_name': 'ENFANT', 'birth_date': '%d-06-15' % (time.gmtime().tm_year - 15)}
FLAGS = {'n': {}, 'masked': {'masked': 1}, 'invisible': {'invisible_patient': 1}, 'hidden': {'hidden_from_representatives': 1},
         'both': {'masked': 1, 'hidden_from_representatives': 1}, 'neither': {'invisible_patient': 1, 'hidden_from_representatives': 1}}


def represent(p, name):
    """Registers a representative with a credential of its own."""
    p.authority.execute("INSERT INTO principal(kind,name,certificate) VALUES('representative',?,?)", (name.upper(), p.request(name)))
    con = p.connect()
    p.id[name] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key(name), PIN, p.fingerprint)
    con.close()
    return p.id[name]


def name(con, p, pid, who, ground='parent', until=None):
    con.execute('INSERT INTO representative(patient,principal,ground,until) VALUES(?,?,?,?)', (pid, p.id[who], ground, until))
    return one(con, 'SELECT last_insert_rowid()')


class Mount:
    """dmpfs for one identity; the titles of the files that a walk finds."""

    def __init__(self, p, who):
        self.point = os.path.join(p.folder, 'mount-' + who)
        os.mkdir(self.point)
        pin_end, own_end = os.pipe()
        os.write(own_end, PIN.encode() + b'\n')
        os.close(own_end)
        self.child = subprocess.Popen([FS, p.path, self.point, '-f', '-o', 'key=%s,pinfd=%d,ext=%s' % (p.key(who), pin_end, p.so)], pass_fds=[pin_end])
        os.close(pin_end)
        end = time.monotonic() + 20
        while not os.path.ismount(self.point):
            assert self.child.poll() is None and time.monotonic() < end, 'dmpfs does not mount for ' + who
            time.sleep(0.02)

    def files(self):
        return sorted(f for _, _, files in os.walk(self.point) for f in files)

    def becomes(self, want, seconds=2.5):
        end = time.monotonic() + seconds
        while self.files() != want and time.monotonic() < end:
            time.sleep(0.05)
        return self.files()

    def close(self):
        subprocess.call(['umount', '-l', self.point])
        self.child.terminate()
        self.child.wait()


class Table(Case):
    """The truth table: a document of each flag, deposited by a midwife who reads no class; every reader, through both doors."""

    @classmethod
    def setUpClass(cls):
        cls.p = p = Practice({'treating': ('10', 1), 'doctor': ('10', 0), 'pharmacist': ('21', 0), 'midwife': ('50', 0), 'left': ('10', 0), 'unknown': ('10', 0)})
        cls.pid = p.patient('patient', p.login('treating'), 'treating', **CHILD)
        for who in ('mother', 'father', 'aunt'):
            represent(p, who)
        cls.me = p.login('patient')
        for who in ('doctor', 'pharmacist', 'midwife', 'left'):
            cls.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (cls.pid, p.id[who]))
        name(cls.me, p, cls.pid, 'mother')
        row = name(cls.me, p, cls.pid, 'father')
        m = p.login('midwife')
        cls.doc = {f: deposit(m, cls.pid, ('corps %s' % f).encode(), title='titre-%s' % f, unique_id='1.2.%d' % n, **flags)
                   for n, (f, flags) in enumerate(FLAGS.items())}
        cls.secret = deposit(m, cls.pid, b'corps 68599', title='titre-medical', type_code='68599-0', hidden_from_representatives=1)
        cls.before = documents(p.login('father'))
        cls.me.execute('DELETE FROM representative WHERE rowid=?', (row,))
        cls.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['left'],))

    @classmethod
    def tearDownClass(cls):
        cls.p.drop()

    def sees(self, who, expected, medical=False):
        """expected: flag -> (masked, hidden, invisible, warning). Every cell by list, count, id, content and dmp_read; what is not there is
        refused as an id that never was; the mount has the same files."""
        con = self.p.login(who)
        ids = sorted([self.doc[f] for f in expected] + [self.secret] * medical)
        self.assertEqual(documents(con), ids, who)
        self.assertEqual(con.execute('SELECT count(*),max(id),min(id) FROM document WHERE patient=?', (self.pid,)).fetchall(),
                         [(len(ids), max(ids, default=None), min(ids, default=None))])
        for f, doc in self.doc.items():
            with self.subTest(who=who, flag=f):
                row = con.execute('SELECT masked,hidden_from_representatives,invisible_patient,warning,content FROM document WHERE id=?', (doc,)).fetchall()
                if f in expected:
                    self.assertEqual(row, [expected[f] + (('corps %s' % f).encode(),)])
                    self.assertEqual(one(con, 'SELECT dmp_read(?,0,99)', doc), ('corps %s' % f).encode())
                    continue
                self.assertEqual(row, [])
                for sql in ('SELECT dmp_read(?,0,9)', 'INSERT INTO mask(document) VALUES(?)', 'DELETE FROM mask WHERE document=?', 'DELETE FROM document WHERE id=?',
                            'UPDATE document SET hidden_from_representatives=0 WHERE id=?', 'UPDATE document SET invisible_patient=0 WHERE id=?',
                            'SELECT * FROM access_log WHERE object=?'):
                    self.assertEqual(error_of(con, sql, (doc,)), error_of(con, sql, (NO_SUCH_ID,)), sql)
        self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])
        if MOUNTS:
            m = Mount(self.p, who)
            try:
                got = [f for f in m.files() if 'titre-' in f]
                self.assertEqual(sorted(f[f.index('titre-') + 6:-4] for f in got), sorted(list(expected) + ['medical'] * medical), who)
                for f in got:
                    flag = f[f.index('titre-') + 6:-4]
                    invisible, hidden = (1, 1) if flag == 'medical' else (expected[flag][2], expected[flag][1])
                    self.assertEqual('(invisible du patient)' in f, flag != 'medical' and bool(invisible), f)
                    self.assertEqual('(caché des représentants)' in f, bool(hidden) and (flag == 'medical' or not invisible), f)
            finally:
                m.close()

    N, WARNED = {'n': (0, 0, 0, None)}, {'invisible': (0, 1, 1, PATIENT), 'hidden': (0, 1, 0, REPS), 'neither': (0, 1, 1, PATIENT)}
    MASK, MASKS = {'masked': (1, 0, 0, MASKED)}, {'masked': (1, 0, 0, MASKED), 'both': (1, 1, 0, BOTH)}

    def test_the_patient_sees_all_but_what_waits_for_the_announcement(self):
        self.sees('patient', {**self.N, **self.MASKS, 'hidden': (0, 1, 0, REPS)}, True)

    def test_a_representative_sees_what_is_visible_and_what_is_masked_and_nothing_hidden(self):
        self.sees('mother', {**self.N, **self.MASK})

    def test_a_representative_withdrawn_sees_nothing_any_more(self):
        self.assertEqual(self.before, sorted([self.doc['n'], self.doc['masked']]))
        self.sees('father', {})
        self.assertEqual(self.p.login('father').execute('SELECT * FROM patient').fetchall(), [])

    def test_a_representative_of_nobody_sees_nothing(self):
        self.sees('aunt', {})

    def test_the_depositor_sees_what_she_deposited_with_its_warnings(self):
        self.sees('midwife', {**self.N, **self.MASKS, **self.WARNED}, True)

    def test_the_treating_doctor_sees_all_with_its_warnings(self):
        self.sees('treating', {**self.N, **self.MASKS, **self.WARNED}, True)

    def test_a_consented_doctor_sees_what_is_hidden_from_others_with_its_warning_and_nothing_masked(self):
        self.sees('doctor', {**self.N, **self.WARNED}, True)

    def test_a_consented_pharmacist_sees_the_same_within_her_matrix(self):
        self.sees('pharmacist', {**self.N, **self.WARNED})

    def test_who_was_withdrawn_or_never_consented_sees_nothing(self):
        for who in ('left', 'unknown', 'authority'):
            self.sees(who, {})

    def test_counts_log_and_names_tell_a_representative_nothing_of_what_is_hidden(self):
        con = self.p.login('mother')
        self.assertEqual(con.execute('SELECT id,birth_name FROM patient').fetchall(), [(self.pid, 'ENFANT')])
        self.assertEqual(con.execute('SELECT principal,ground FROM representative').fetchall(), [(self.p.id['mother'], 'parent')])
        for table in ('consent', 'mask'):
            self.assertEqual(con.execute('SELECT * FROM ' + table).fetchall(), [])
        documents(con)
        self.assertLessEqual({r[0] for r in con.execute('SELECT principal FROM access_log')}, {self.p.id['mother']})
        one(con, 'SELECT dmp_read(?,0,9)', self.doc['n'])
        shown = {r[0] for r in con.execute("SELECT object FROM access_log WHERE action<>'refused' AND object IS NOT NULL")}
        self.assertIn(self.doc['n'], shown)
        self.assertFalse(shown & {self.doc[f] for f in FLAGS if f not in ('n', 'masked')} | {self.secret} & shown)
        # an id that she can't see is free for her: no error tells that it exists
        con.execute('BEGIN')
        deposit(con, self.pid, unique_id='1.2.3')
        con.execute('ROLLBACK')
        self.refused(56, con, "INSERT INTO document(patient,content,title,type_code,unique_id) VALUES(?,x'00','t','11488-4','1.2.0')", (self.pid,))

    def test_a_line_about_what_is_not_announced_does_not_show_to_the_patient(self):
        con = self.p.login('doctor')
        for f in ('invisible', 'n'):
            one(con, 'SELECT dmp_read(?,0,9)', self.doc[f])
        seen = [r[0] for r in self.me.execute('SELECT object FROM access_log')]
        self.assertIn(self.doc['n'], seen)
        self.assertNotIn(self.doc['invisible'], seen)
        self.assertNotIn(self.doc['neither'], seen)
        self.assertIn(self.doc['invisible'], [r[0] for r in self.p.login('treating').execute('SELECT object FROM access_log')])

    def test_a_representative_masks_nothing_consents_to_nobody_and_deletes_only_what_she_deposited(self):
        con = self.p.login('mother')
        self.refused(46, con, 'INSERT INTO mask(document) VALUES(?)', (self.doc['n'],))
        self.refused(46, con, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['unknown']))
        self.refused(48, con, 'DELETE FROM document WHERE id=?', (self.doc['n'],))
        self.refused(47, con, 'UPDATE patient SET treating_doctor=NULL WHERE id=?', (self.pid,))
        self.refused(100, con, "INSERT INTO representative(patient,principal,ground) VALUES(?,?,'parent')", (self.pid, self.p.id['aunt']))
        self.refused(100, con, 'DELETE FROM representative WHERE principal=?', (self.p.id['mother'],))
        own = deposit(con, self.pid, b'mot de la mere', title='mot')
        self.assertIn(own, documents(self.me))
        con.execute('DELETE FROM document WHERE id=?', (own,))
        self.assertNotIn(own, documents(self.me))


class Fresh(Case):
    """A record made anew for each test: a minor of fifteen, a treating doctor, a consented pharmacist, two people who may represent."""

    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'gynaecologist': ('10', 0), 'pharmacist': ('21', 0), 'nurse': ('60', 0)})
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('patient', self.t, 'treating', **CHILD)
        self.me = self.p.login('patient')
        for who in ('gynaecologist', 'pharmacist'):
            self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))
        for who in ('mother', 'father'):
            represent(self.p, who)
        self.g, self.h = self.p.login('gynaecologist'), self.p.login('pharmacist')

    def sound(self, *more):
        for con in (self.me, self.t, self.g, self.h) + more:
            self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])


class Naming(Fresh):
    SQL = 'INSERT INTO representative(patient,principal,ground,until) VALUES(?,?,?,?)'

    def test_the_patient_names_several_and_withdraws_one_alone(self):
        doc = deposit(self.t, self.pid)
        rows = [name(self.me, self.p, self.pid, who) for who in ('mother', 'father')]
        mother, father = self.p.login('mother'), self.p.login('father')
        self.assertEqual([documents(mother), documents(father)], [[doc], [doc]])
        self.me.execute('DELETE FROM representative WHERE principal=?', (self.p.id['father'],))
        self.assertEqual([documents(mother), documents(father)], [[doc], []])
        self.assertEqual([r[0] for r in self.me.execute('SELECT rowid FROM representative')], rows[:1])
        late = deposit(self.t, self.pid)
        self.assertEqual([documents(mother), documents(father)], [[doc, late], []])
        name(self.me, self.p, self.pid, 'father')
        self.assertEqual(documents(father), [doc, late])
        self.sound(mother, father)

    def test_for_a_minor_the_treating_doctor_names_and_withdraws_and_others_do_not(self):
        for con in (self.h, self.g):
            self.refused(100, con, self.SQL, (self.pid, self.p.id['mother'], 'parent', None))
        name(self.t, self.p, self.pid, 'mother')
        doc = deposit(self.t, self.pid)
        mother = self.p.login('mother')
        self.assertEqual(documents(mother), [doc])
        self.t.execute('DELETE FROM representative')
        self.assertEqual(documents(mother), [])
        self.assertEqual(self.me.execute('SELECT * FROM representative').fetchall(), [])

    def test_for_an_adult_only_the_patient_names(self):
        adult = self.p.patient('adult', self.t, 'treating')
        self.refused(100, self.t, self.SQL, (adult, self.p.id['mother'], 'tuteur', None))
        a = self.p.login('adult')
        self.refused(95, a, self.SQL, (adult, self.p.id['mother'], 'parent', None))
        name(a, self.p, adult, 'mother', 'tuteur')
        doc = deposit(a, adult)
        self.assertEqual(documents(self.p.login('mother')), [doc])
        self.assertEqual(a.execute('SELECT ground,until FROM representative').fetchall(), [('tuteur', None)])

    def test_a_parent_needs_a_birth_date_and_a_guardian_of_an_adult_does_not(self):
        someone = self.p.patient('someone', self.t, 'treating', birth_date=None)
        s = self.p.login('someone')
        self.refused(95, s, self.SQL, (someone, self.p.id['mother'], 'parent', None))
        self.refused(100, self.t, self.SQL, (someone, self.p.id['mother'], 'tuteur', None))
        name(s, self.p, someone, 'mother', 'curateur', '2099-01-01')

    def test_grounds_people_and_dates_are_checked(self):
        me, mother = self.me, self.p.id['mother']
        self.refused(52, me, self.SQL, (self.pid, mother, 'voisin', None))
        self.refused(44, me, self.SQL, (self.pid, self.p.id['nurse'], 'parent', None))
        self.refused(44, me, self.SQL, (self.pid, NO_SUCH_ID, 'parent', None))
        self.refused(44, me, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, mother))
        self.refused(51, me, self.SQL, (self.pid, mother, None, None))
        self.refused(69, me, self.SQL, (self.pid, mother, 'parent', '2020-01-01'))
        self.refused(53, me, self.SQL, (self.pid, mother, 'parent', 'demain'))
        self.refused(43, me, self.SQL, (NO_SUCH_ID, mother, 'parent', None))
        name(me, self.p, self.pid, 'mother')
        self.refused(56, me, self.SQL, (self.pid, mother, 'parent', None))
        self.refused(49, me, 'UPDATE representative SET ground=?', ('tuteur',))

    def test_a_representative_has_no_profession_and_registers_nobody(self):
        a = self.p.authority
        self.refused(49, a, "INSERT INTO principal(kind,name,profession,certificate) VALUES('representative','X','10',?)", (self.p.request('x'),))
        self.refused(49, a, "INSERT INTO principal(kind,name,registrar,certificate) VALUES('representative','X',1,?)", (self.p.request('y'),))
        self.refused(42, self.t, "INSERT INTO principal(kind,name,certificate) VALUES('representative','X',?)", (self.p.request('z'),))
        self.refused(42, self.p.login('mother'), "INSERT INTO patient(birth_name,credential,pin) VALUES('A','b','c')")
        self.assertEqual(self.p.login('mother').execute('SELECT kind,profession FROM session').fetchall(), [('representative', None)])

    def test_classes_that_the_treating_doctor_lacks_wait_for_the_patient_both_ways(self):
        early = deposit(self.me, self.pid, type_code='ATTEST-RESID', title='avant')
        name(self.t, self.p, self.pid, 'mother')
        mother = self.p.login('mother')
        self.assertEqual(documents(mother), [])
        waiting = deposit(self.h, self.pid, type_code='ATTEST-RESID', title='pendant')
        veiled = deposit(self.h, self.pid, type_code='ATTEST-RESID', title='voile', masked=1)
        self.assertIn('owed', {r[3] for r in self.t.execute('SELECT * FROM dmp_verify')})
        self.me = self.p.login('patient')
        self.assertEqual(one(self.me, 'SELECT owed FROM session'), 0)
        self.assertEqual(documents(mother), sorted([early, waiting, veiled]))
        self.t.execute('DELETE FROM representative')
        late = [deposit(self.h, self.pid, type_code='ATTEST-RESID', title='apres %d' % m, masked=m) for m in (0, 1)]
        self.assertEqual(documents(mother), [])
        self.me = self.p.login('patient')
        self.assertEqual([r for r in self.me.execute('SELECT id,masked,hidden_from_representatives FROM document WHERE id>? ORDER BY id', (veiled,))],
                         [(late[0], 0, 0), (late[1], 1, 0)])
        self.sound(mother)

    def test_a_rollback_names_nobody_and_keeps_who_was_withdrawn(self):
        self.me.execute('BEGIN')
        name(self.me, self.p, self.pid, 'mother')
        self.me.execute('ROLLBACK')
        doc, mother = deposit(self.t, self.pid), self.p.login('mother')
        self.assertEqual(documents(mother), [])
        name(self.me, self.p, self.pid, 'mother')
        self.me.execute('BEGIN')
        self.me.execute('DELETE FROM representative')
        self.me.execute('ROLLBACK')
        self.assertEqual(documents(mother), [doc])
        self.sound(mother)


if __name__ == '__main__':
    main()
