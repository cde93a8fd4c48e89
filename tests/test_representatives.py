#!/usr/bin/python3
"""Representatives, and what is hidden from them or from the patient: every cell flag × reader through SQL and through real mounts, the
refusals beside the successes, ends by date, and attacks with all that a representative holds.
Usage: test_representatives.py [BUILD_FOLDER [TEST_NAME...]]"""
import glob
import json
import os
import subprocess
import sys
import time
import unittest
from harness import BUILD, HERE, NO_SUCH_ID, PIN, Case, Practice, deposit, documents, error_of, main, one

FS = os.path.join(BUILD, 'dmpfs')
# It and the address sanitizer wait for each other for ever.
FAKETIME = None if 'asan' in os.environ.get('LD_PRELOAD', '') else (glob.glob('/usr/lib/*/faketime/libfaketime.so.1') + [None])[0]
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

    def __init__(self, p, who, env=None):
        self.point = os.path.join(p.folder, 'mount-%s-%d' % (who, len(os.listdir(p.folder))))
        os.mkdir(self.point)
        pin_end, own_end = os.pipe()
        os.write(own_end, PIN.encode() + b'\n')
        os.close(own_end)
        self.child = subprocess.Popen([FS, p.path, self.point, '-f', '-o', 'key=%s,pinfd=%d,ext=%s' % (p.key(who), pin_end, p.so)], pass_fds=[pin_end], env=env)
        os.close(pin_end)
        end = time.monotonic() + 20
        while not os.path.ismount(self.point):
            assert self.child.poll() is None and time.monotonic() < end, 'dmpfs does not mount for ' + who
            time.sleep(0.02)

    def files(self):
        return sorted(f for d, _, files in os.walk(self.point) for f in files
                      if os.path.relpath(d, self.point).count('/') == 1 and os.path.basename(d) != 'Nouveaux')

    def becomes(self, want, seconds=2.5):
        end = time.monotonic() + seconds
        while self.files() != want and time.monotonic() < end:
            time.sleep(0.05)
        return self.files()

    def close(self):
        subprocess.call(['umount', '-l', self.point])
        self.child.terminate()
        self.child.wait()


def faked(offset):
    """The environment of a process whose clock runs by this much ahead."""
    return dict(os.environ, LD_PRELOAD=FAKETIME, FAKETIME=offset, FAKETIME_DONT_FAKE_MONOTONIC='1', TZ='UTC')


LATER = """import json, sqlite3, sys
sys.path.insert(0, sys.argv[4])
sys.argv[1:1] = [sys.argv[5]]
from harness import PIN, open_record, one
path, key, statements = sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
con = open_record(path)
one(con, 'SELECT dmp_login(?,?)', key, PIN)
for sql in statements:
    try:
        rows = con.execute(sql).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as e:
        if sql.startswith('SELECT'):
            raise
        rows = [str(e)]
    print(json.dumps(rows))
"""


def later(p, offset, who, *statements):
    """What the statements give in a process of its own whose clock runs ahead; an error is its text."""
    got = subprocess.run([sys.executable, '-c', LATER, p.path, p.key(who), json.dumps(statements), HERE, BUILD], env=faked(offset), capture_output=True, text=True, timeout=60)
    assert got.returncode == 0, got.stderr
    return [json.loads(line) for line in got.stdout.splitlines()]


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
        hidden = {self.doc[f] for f in FLAGS if f not in ('n', 'masked')} | {self.secret}
        for who in ('patient', 'treating', 'doctor', 'midwife'):   # they read all of it, hidden or not
            reader = self.p.login(who)
            for document in documents(reader):
                one(reader, 'SELECT dmp_read(?,0,9)', document)
        lines = con.execute("SELECT principal, action, object FROM access_log WHERE action<>'refused'").fetchall()
        self.assertFalse({o for _, _, o in lines} & hidden)
        for who, action, flag in (('midwife', 'deposit', 'n'), ('midwife', 'deposit', 'masked'), ('treating', 'read', 'masked'), ('patient', 'read', 'n')):
            self.assertIn((self.p.id[who], action, self.doc[flag]), lines)
        self.assertFalse({a for p, a, _ in lines if p != self.p.id['mother']} - {'list', 'read', 'deposit', 'create', 'consent', 'withdraw'}, lines)
        self.assertEqual({o for _, a, o in lines if a == 'consent'} - {self.p.id[w] for w in ('mother', 'father')}, set())
        known = {r[0] for r in self.p.login('patient').execute("SELECT object FROM access_log WHERE action IN ('deposit', 'read')")}
        self.assertEqual(known & hidden, hidden - {self.doc['invisible'], self.doc['neither']})
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
        self.assertEqual([self.me.execute('SELECT masked,hidden_from_representatives FROM document WHERE id=?', (d,)).fetchone() for d in late], [(0, 0), (1, 0)])
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


class Announcing(Fresh):
    """S5: a consultation at which the patient is told, and what the depositor alone decides."""

    def setUp(self):
        super().setUp()
        name(self.me, self.p, self.pid, 'mother')
        self.mother = self.p.login('mother')
        self.doc = deposit(self.g, self.pid, b'KANARI', title='KANARI', invisible_patient=1, unique_id='1.2.9')

    def both(self):
        return [documents(self.me), documents(self.mother)]

    def announce(self, con):
        con.execute('UPDATE document SET invisible_patient=0 WHERE id=?', (self.doc,))

    def test_the_minute_it_is_announced_the_patient_and_the_representative_see_it(self):
        self.assertEqual(self.both(), [[], []])
        self.assertEqual(one(self.t, 'SELECT warning FROM document'), PATIENT)
        self.announce(self.g)
        self.assertEqual(self.both(), [[self.doc], [self.doc]])
        for con in (self.me, self.mother, self.t, self.g, self.h):
            self.assertEqual(con.execute('SELECT invisible_patient,hidden_from_representatives,warning,content FROM document').fetchall(), [(0, 0, None, b'KANARI')])
        self.assertIn((self.p.id['gynaecologist'], 'announce'), self.me.execute('SELECT principal,action FROM access_log WHERE object=?', (self.doc,)).fetchall())
        self.announce(self.g)
        self.sound(self.mother)

    def test_only_the_depositor_announces(self):
        for con in (self.t, self.h):
            self.refused(99, con, 'UPDATE document SET invisible_patient=0 WHERE id=?', (self.doc,))
        for con in (self.me, self.mother):
            self.announce(con)
        self.assertEqual(self.both(), [[], []])

    def test_an_announcement_rolled_back_tells_nobody(self):
        self.g.execute('BEGIN')
        self.announce(self.g)
        self.g.execute('ROLLBACK')
        self.assertEqual(self.both(), [[], []])
        self.sound(self.mother)

    def test_a_depositor_who_cannot_read_the_class_announces_too_and_the_next_full_holder_shows_it_to_representatives(self):
        self.me.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['gynaecologist'],))
        self.assertEqual(documents(self.g), [self.doc])
        self.announce(self.g)
        self.assertEqual(self.both(), [[self.doc], []])
        self.me = self.p.login('patient')
        self.assertEqual(self.both(), [[self.doc], [self.doc]])
        self.sound(self.mother)

    def test_before_the_announcement_it_can_be_neither_masked_nor_shown_to_representatives(self):
        self.refused(96, self.t, 'INSERT INTO mask(document) VALUES(?)', (self.doc,))
        for con in (self.t, self.g):
            self.refused(88, con, 'UPDATE document SET hidden_from_representatives=0 WHERE id=?', (self.doc,))
        self.g.execute('UPDATE document SET hidden_from_representatives=0, invisible_patient=0 WHERE id=?', (self.doc,))
        self.t.execute('INSERT INTO mask(document) VALUES(?)', (self.doc,))
        self.assertEqual(documents(self.h), [])

    def test_nothing_becomes_invisible_afterwards(self):
        self.announce(self.g)
        other = deposit(self.g, self.pid)
        for doc in (self.doc, other):
            for column in ('invisible_patient', 'hidden_from_representatives'):
                for con in (self.g, self.t, self.me):
                    self.refused(94, con, 'UPDATE document SET %s=1 WHERE id=?' % column, (doc,))
        self.refused(49, self.g, 'UPDATE document SET masked=1 WHERE id=?', (other,))
        self.refused(49, self.g, "UPDATE document SET title='x', invisible_patient=0 WHERE id=?", (other,))
        self.refused(50, self.g, "UPDATE document SET invisible_patient='oui' WHERE id=?", (other,))
        self.assertEqual(self.both(), [[self.doc, other], [self.doc, other]])

    def test_its_number_is_free_for_the_patient_and_its_deletion_leaves_nothing(self):
        self.assertEqual(self.me.execute('SELECT count(*),max(id) FROM document').fetchall(), [(0, None)])
        self.refused(41, self.me, 'SELECT dmp_read(?,0,1)', (self.doc,))
        mine = deposit(self.me, self.pid, unique_id='1.2.9')
        self.g.execute('DELETE FROM document WHERE id=?', (self.doc,))
        self.assertEqual(self.both(), [[mine], [mine]])
        self.assertNotIn(self.doc, [r[0] for r in self.me.execute("SELECT object FROM access_log WHERE action<>'refused'")])
        self.sound(self.mother)

    def test_a_replacement_names_what_it_replaces_to_who_sees_that_or_deposited_it(self):
        uid = one(self.t, 'SELECT unique_id FROM document WHERE id=?', self.doc)
        new = deposit(self.t, self.pid, title='Corrigé', replaces=uid)
        told = lambda con: one(con, 'SELECT replaces FROM document WHERE id=?', new)
        self.assertEqual([told(con) for con in (self.t, self.me)], [uid, None])
        self.assertEqual(one(self.me, 'SELECT count(*) FROM document WHERE replaces=?', uid), 0)
        self.g.execute('UPDATE document SET invisible_patient=0 WHERE id=?', (self.doc,))
        self.assertEqual([told(con) for con in (self.t, self.me)], [uid, uid])

    def test_in_a_class_that_is_due_it_stays_invisible_and_comes_out_where_it_was_meant(self):
        deposit(self.me, self.pid, type_code='ATTEST-RESID')
        self.t.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        waiting = deposit(self.g, self.pid, type_code='ATTEST-RESID', title='attente', invisible_patient=1)
        self.assertNotIn(waiting, documents(self.me))
        self.me, n = self.p.login('patient'), self.p.login('nurse')
        self.assertNotIn(waiting, documents(self.me))
        self.assertEqual(n.execute('SELECT masked,invisible_patient FROM document WHERE id=?', (waiting,)).fetchall(), [(0, 1)])
        self.sound(self.mother, n)

    @unittest.skipUnless(FAKETIME, 'needs the package faketime')
    def test_after_a_month_it_shows_to_the_patient_by_itself_and_not_to_representatives(self):
        sql = 'SELECT id,invisible_patient,warning FROM document'
        log = 'SELECT count(*) FROM access_log WHERE object=%d' % self.doc
        self.assertEqual(later(self.p, '+27d', 'patient', sql, log), [[], [[0]]])
        self.assertEqual(later(self.p, '+32d', 'patient', sql, 'SELECT * FROM dmp_verify'), [[[self.doc, 0, REPS]], []])
        self.assertGreater(later(self.p, '+32d', 'patient', log)[0][0][0], 0)
        self.assertEqual(later(self.p, '+32d', 'mother', 'SELECT id FROM document'), [[]])
        self.assertEqual(later(self.p, '+32d', 'gynaecologist', 'SELECT warning FROM document'), [[[REPS]]])

    @unittest.skipUnless(FAKETIME and MOUNTS, 'needs faketime, dmpfs, /dev/fuse and root')
    def test_in_the_patients_mount_it_shows_when_announced_or_a_month_old(self):
        m = Mount(self.p, 'patient')
        try:
            self.assertEqual(m.files(), [])
            self.announce(self.g)
            self.assertEqual(len(m.becomes([f for f in m.files()] or ['?'])), 1)
        finally:
            m.close()
        self.doc = deposit(self.g, self.pid, title='SECOND', invisible_patient=1)
        for offset, count in (('+27d', 1), ('+32d', 2)):
            m = Mount(self.p, 'patient', faked(offset))
            try:
                self.assertEqual(len(m.files()), count)
            finally:
                m.close()


class Hiding(Fresh):
    """S6: a minor's secret act."""

    def setUp(self):
        super().setUp()
        name(self.me, self.p, self.pid, 'mother')
        self.mother = self.p.login('mother')
        self.open = deposit(self.t, self.pid, title='ouvert')
        self.doc = deposit(self.g, self.pid, b'KANARI', title='KANARI', hidden_from_representatives=1)

    def reveal(self, con, doc=None):
        con.execute('UPDATE document SET hidden_from_representatives=0 WHERE id=?', (doc or self.doc,))

    def test_the_patient_the_treating_doctor_or_the_depositor_shows_it_and_nobody_hides_it_again(self):
        for con in (self.me, self.t, self.g):
            con.execute('BEGIN')
            self.reveal(con)
            con.execute('ROLLBACK')
            self.assertEqual(documents(self.mother), [self.open])
        self.refused(42, self.h, 'UPDATE document SET hidden_from_representatives=0 WHERE id=?', (self.doc,))
        self.reveal(self.mother)
        self.assertEqual(documents(self.mother), [self.open])
        self.reveal(self.me)
        self.assertEqual(documents(self.mother), [self.open, self.doc])
        self.refused(94, self.me, 'UPDATE document SET hidden_from_representatives=1 WHERE id=?', (self.doc,))
        self.reveal(self.me)
        self.sound(self.mother)

    def test_masked_and_hidden_at_once_each_ends_alone(self):
        doc = deposit(self.g, self.pid, title='deux', masked=1, hidden_from_representatives=1)
        self.assertEqual([doc in documents(c) for c in (self.me, self.t, self.g, self.h, self.mother)], [1, 1, 1, 0, 0])
        self.me.execute('DELETE FROM mask WHERE document=?', (doc,))
        self.assertEqual([doc in documents(c) for c in (self.h, self.mother)], [1, 0])
        self.me.execute('INSERT INTO mask(document) VALUES(?)', (doc,))
        self.reveal(self.me, doc)
        self.assertEqual([doc in documents(c) for c in (self.h, self.mother)], [0, 1])
        self.assertEqual(one(self.mother, 'SELECT warning FROM document WHERE id=?', doc), MASKED)
        self.sound(self.mother)

    def test_masking_hides_nothing_from_a_representative_and_shows_nothing_hidden(self):
        for doc in (self.open, self.doc):
            self.me.execute('INSERT INTO mask(document) VALUES(?)', (doc,))
        self.assertEqual([documents(self.h), documents(self.mother)], [[], [self.open]])
        for doc in (self.open, self.doc):
            self.me.execute('DELETE FROM mask WHERE document=?', (doc,))
        self.assertEqual([documents(self.h), documents(self.mother)], [[self.open, self.doc], [self.open]])
        self.sound(self.mother)

    def test_keys_that_turn_leave_it_hidden(self):
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        self.me.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['pharmacist'],))
        name(self.me, self.p, self.pid, 'father')
        self.me.execute('UPDATE patient SET treating_doctor=NULL')
        n, father = self.p.login('nurse'), self.p.login('father')
        self.assertEqual([documents(c) for c in (self.mother, father, n, self.me)], [[self.open]] * 2 + [sorted([self.open, self.doc])] * 2)
        self.assertEqual(documents(self.t), [self.open])
        self.assertEqual([c.execute('SELECT * FROM dmp_verify').fetchall() for c in (self.mother, father, n, self.me)], [[]] * 4)

    def test_a_representative_hides_nothing_and_the_minor_may(self):
        for column in ('hidden_from_representatives', 'invisible_patient'):
            self.refused(101, self.mother, "INSERT INTO document(patient,content,title,type_code,%s) VALUES(?,x'00','t','11488-4',1)" % column, (self.pid,))
        own = deposit(self.me, self.pid, title='journal', hidden_from_representatives=1)
        self.assertEqual([own in documents(c) for c in (self.me, self.t, self.mother)], [1, 1, 0])

    @unittest.skipUnless(MOUNTS, 'needs dmpfs, /dev/fuse and root')
    def test_a_live_mount_of_a_representative_follows_within_two_seconds(self):
        m = Mount(self.p, 'mother')
        try:
            self.assertEqual([f[11:] for f in m.files()], ['ouvert.txt'])
            self.reveal(self.me)
            self.assertEqual(len(m.becomes(m.files() + ['?'], 1.5)), 2)
            self.me.execute('DELETE FROM representative')
            self.assertEqual(m.becomes([]), [])
        finally:
            m.close()


@unittest.skipUnless(FAKETIME, 'needs the package faketime')
class Ending(Fresh):
    """A right ends by its date when it is read, and by keys from the patient's next login on."""

    def setUp(self):
        super().setUp()
        self.doc = deposit(self.t, self.pid, title='enfance')
        self.secret = deposit(self.g, self.pid, title='KANARI', hidden_from_representatives=1)
        name(self.me, self.p, self.pid, 'mother')
        self.mother = self.p.login('mother')

    def test_a_parents_right_ends_on_the_day_the_child_is_of_age(self):
        born = CHILD['birth_date']
        self.assertEqual(one(self.me, 'SELECT until FROM representative'), '%d%sT00:00:00Z' % (int(born[:4]) + 18, born[4:]))
        self.assertEqual(documents(self.mother), [self.doc])
        sql = ('SELECT id FROM document', 'SELECT id FROM patient', 'SELECT dmp_read(%d,0,1)' % NO_SUCH_ID)
        before, after = '+%dd' % (365 * 2), '+%dd' % (366 * 4)
        self.assertEqual(later(self.p, before, 'mother', *sql[:2]), [[[self.doc]], [[self.pid]]])
        self.assertEqual(later(self.p, after, 'mother', *sql[:2]), [[], []])

    def test_an_earlier_end_may_be_given_and_a_later_one_is_cut(self):
        until = lambda: one(self.me, 'SELECT until FROM representative WHERE principal=?', self.p.id['father'])
        name(self.me, self.p, self.pid, 'father', until='2099-01-01')
        self.assertEqual(until(), one(self.me, 'SELECT until FROM representative WHERE principal=?', self.p.id['mother']))
        self.me.execute('DELETE FROM representative WHERE principal=?', (self.p.id['father'],))
        soon = time.strftime('%Y-%m-%d', time.gmtime(time.time() + 3 * 86400))
        name(self.me, self.p, self.pid, 'father', until=soon)
        self.assertEqual(until(), soon + 'T00:00:00Z')
        self.assertEqual(later(self.p, '+5d', 'father', 'SELECT id FROM document'), [[]])
        self.assertEqual(later(self.p, '+5d', 'mother', 'SELECT id FROM document'), [[[self.doc]]])

    def test_the_end_comes_in_the_middle_of_a_session_and_of_an_open_document(self):
        name(self.me, self.p, self.pid, 'father', until=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 3)))
        father = self.p.login('father')
        self.assertEqual(one(father, 'SELECT dmp_read(?,0,3)', self.doc), b'con')
        time.sleep(4)
        self.assertEqual(documents(father), [])
        self.refused(41, father, 'SELECT dmp_read(?,0,3)', (self.doc,))
        self.assertEqual(documents(self.mother), [self.doc])

    def test_the_patients_next_login_turns_the_keys_of_who_is_over(self):
        name(self.me, self.p, self.pid, 'father', until=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 2)))
        father = self.p.login('father')
        self.assertEqual(documents(father), [self.doc])
        time.sleep(3)
        self.assertEqual(one(self.me, 'SELECT owed FROM session'), 1)
        self.assertEqual([r[3] for r in self.me.execute('SELECT * FROM dmp_verify')], ['owed'])
        keysets = self.p.counts()['keyset']
        self.me = self.p.login('patient')
        self.assertEqual(self.p.counts()['keyset'], keysets + 1)
        self.assertEqual(one(self.me, 'SELECT owed FROM session'), 0)
        self.assertEqual([r[0] for r in self.me.execute('SELECT principal FROM representative')], [self.p.id['mother']])
        self.assertEqual([documents(self.mother), documents(father)], [[self.doc], []])
        self.sound(self.mother, father)
        name(self.me, self.p, self.pid, 'father')
        self.assertEqual(documents(father), [self.doc])

    def test_at_majority_the_treating_doctor_names_nobody_any_more(self):
        sql = "INSERT INTO representative(patient,principal,ground) VALUES(%d,%d,'%s')"
        after = '+%dd' % (366 * 4)
        got = later(self.p, after, 'treating', sql % (self.pid, self.p.id['father'], 'tuteur'))
        self.assertRegex(got[0][0], '^dmp-E100')
        got = later(self.p, after, 'patient', sql % (self.pid, self.p.id['father'], 'parent'))
        self.assertRegex(got[0][0], '^dmp-E095')

    @unittest.skipUnless(MOUNTS, 'needs dmpfs, /dev/fuse and root')
    def test_the_mount_of_a_parent_is_empty_once_the_child_is_of_age(self):
        for offset, count in (('+%dd' % (365 * 2), 1), ('+%dd' % (366 * 4), 0)):
            m = Mount(self.p, 'mother', faked(offset))
            try:
                self.assertEqual(len(m.files()), count)
            finally:
                m.close()


if __name__ == '__main__':
    main()
