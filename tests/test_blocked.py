#!/usr/bin/python3
"""Who may and may not read around one patient: blocked professionals, staff, locums whose time is over, and those who get no certificate at all.
Through SQL and real mounts, the refusals beside the successes. Usage: test_blocked.py [BUILD_FOLDER [TEST_NAME...]]"""
import os
import shutil
import unittest
from harness import NO_SUCH_ID, PIN, Case, Practice, deposit, documents, main, one
from test_representatives import FAKETIME, MOUNTS, Mount, later

PEOPLE = {'treating': ('10', 1), 'blocked': ('10', 0), 'doctor': ('10', 0), 'pharmacist': ('21', 0)}


def register(p, name, kind, **columns):
    """Registers somebody of another kind than professional; a patient's and a source's first login are the same."""
    columns = dict({'kind': kind, 'name': name.upper(), 'certificate': p.request(name)}, **columns)
    p.authority.execute('INSERT INTO principal(%s) VALUES(%s)' % (','.join(columns), ','.join('?' * len(columns))), list(columns.values()))
    con = p.connect()
    p.id[name] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key(name), PIN, p.fingerprint)
    con.close()
    return p.id[name]


def consent(con, p, who, until=None):
    con.execute('INSERT INTO consent(patient,grantee,until) VALUES(?,?,?)', (p.pid, p.id[who], until))


def block(con, p, who):
    con.execute('INSERT INTO blocked(patient,professional) VALUES(?,?)', (p.pid, p.id[who]))


class Record(Case):
    def setUp(self):
        self.p = p = Practice(PEOPLE)
        self.t = p.login('treating')
        p.pid = p.patient('patient', self.t, 'treating')
        self.me = p.login('patient')
        self.doc = deposit(self.t, p.pid, b'de la consultation', title='Consultation')

    def tearDown(self):
        self.p.drop()

    def sees_nothing_but(self, who, ids):
        con = self.p.login(who)
        self.assertEqual(documents(con), ids)
        self.assertEqual(con.execute('SELECT count(*),max(id) FROM document').fetchone(), (len(ids), max(ids, default=None)))
        self.assertEqual(con.execute('SELECT * FROM patient').fetchall(), [])
        self.assertEqual(con.execute('SELECT * FROM consent').fetchall() + con.execute('SELECT * FROM blocked').fetchall(), [])
        self.refused(41, con, 'SELECT dmp_read(?,0,9)', (self.doc,))
        return con

    def no_fault(self, *names):
        for name in names:
            self.assertEqual(self.p.login(name).execute("SELECT * FROM dmp_verify WHERE kind='fault'").fetchall(), [], name)


class Blocked(Record):
    def test_who_is_blocked_consults_nothing_still_deposits_and_sees_what_he_deposited(self):
        p = self.p
        consent(self.me, p, 'blocked')
        consent(self.me, p, 'doctor')
        own = deposit(p.login('blocked'), p.pid, b'avant', title='Avant')
        self.assertEqual(documents(p.login('blocked')), sorted([self.doc, own]))
        block(self.me, p, 'blocked')
        self.assertEqual(self.me.execute('SELECT patient,professional,since IS NOT NULL FROM blocked').fetchall(), [(p.pid, p.id['blocked'], 1)])
        self.assertEqual(self.me.execute('SELECT count(*) FROM consent WHERE grantee=?', (p.id['blocked'],)).fetchone(), (0,))
        b = self.sees_nothing_but('blocked', [own])
        after = deposit(b, p.pid, b'apres', title='Apres')
        b = self.sees_nothing_but('blocked', [own, after])
        self.assertEqual(one(b, 'SELECT dmp_read(?,0,99)', after), b'apres')
        for who in ('patient', 'treating', 'doctor'):
            self.assertEqual(documents(p.login(who)), [self.doc, own, after], who)
        self.assertEqual([r[0] for r in self.me.execute("SELECT action FROM access_log WHERE object=? AND action='block'", (p.id['blocked'],))], ['block'])
        self.no_fault('patient', 'treating', 'doctor', 'blocked')

    def test_a_consent_to_the_blocked_is_refused_and_unblocking_gives_nothing_back(self):
        p = self.p
        consent(self.me, p, 'blocked')
        block(self.me, p, 'blocked')
        for con in (self.me, self.t):
            self.refused(111, con, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['blocked']))
        self.refused(111, self.me, 'UPDATE patient SET treating_doctor=? WHERE id=?', (p.id['blocked'], p.pid))
        self.refused(47, self.t, 'DELETE FROM blocked WHERE professional=?', (p.id['blocked'],))
        self.assertEqual(self.me.execute('DELETE FROM blocked WHERE professional=?', (p.id['blocked'],)).rowcount, 1)
        self.sees_nothing_but('blocked', [])
        consent(self.me, p, 'blocked')
        self.assertEqual(documents(p.login('blocked')), [self.doc])
        self.no_fault('patient', 'treating', 'blocked')

    def test_the_treating_doctor_blocks_for_the_patient_and_is_not_blocked_himself(self):
        p = self.p
        consent(self.me, p, 'pharmacist')
        block(self.t, p, 'pharmacist')
        self.sees_nothing_but('pharmacist', [])
        self.assertEqual(self.me.execute('SELECT professional FROM blocked').fetchall(), [(p.id['pharmacist'],)])
        self.refused(72, self.me, 'INSERT INTO blocked(patient,professional) VALUES(?,?)', (p.pid, p.id['treating']))
        self.me.execute('UPDATE patient SET treating_doctor=NULL WHERE id=?', (p.pid,))
        block(self.me, p, 'treating')
        t = p.login('treating')
        self.assertEqual((documents(t), t.execute('SELECT * FROM patient').fetchall()), ([self.doc], []))   # what he deposited

    def test_who_never_had_a_consent_can_be_blocked_beforehand_and_learns_nothing_of_it(self):
        p = self.p
        before = p.counts()['grant']
        block(self.me, p, 'blocked')
        self.assertEqual(p.counts()['grant'], before)
        b = self.sees_nothing_but('blocked', [])
        self.refused(43, b, "INSERT INTO document(patient,type_code,content) VALUES(?,'11488-4','x')", (p.pid,))
        self.refused(111, self.t, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['blocked']))
        self.no_fault('patient', 'treating')

    def test_what_cannot_be_blocked_is_refused_each_with_its_sentence(self):
        p = self.p
        block(self.me, p, 'blocked')
        self.refused(56, self.me, 'INSERT INTO blocked(patient,professional) VALUES(?,?)', (p.pid, p.id['blocked']))
        self.refused(44, self.me, 'INSERT INTO blocked(patient,professional) VALUES(?,?)', (p.pid, NO_SUCH_ID))
        got = self.refused(44, self.me, 'INSERT INTO blocked(patient,professional) VALUES(?,?)', (p.pid, p.id['authority']))
        self.assertTrue(got.endswith('(it is authority; needed: professional, staff)'), got)
        self.refused(51, self.me, 'INSERT INTO blocked(patient) VALUES(?)', (p.pid,))
        self.refused(49, self.me, "INSERT INTO blocked(patient,professional,since) VALUES(?,?,'2026-01-01')", (p.pid, p.id['doctor']))
        self.refused(49, self.me, 'UPDATE blocked SET professional=?', (p.id['doctor'],))
        consent(self.me, p, 'doctor')
        self.refused(46, p.login('doctor'), 'INSERT INTO blocked(patient,professional) VALUES(?,?)', (p.pid, p.id['pharmacist']))
        self.refused(43, p.login('blocked'), 'INSERT INTO blocked(patient,professional) VALUES(?,?)', (p.pid, p.id['doctor']))

    def test_the_keys_that_the_blocked_saved_open_nothing_new_on_a_fresh_copy(self):
        """He keeps the file of when he could read: his own grant of then is put into today's."""
        p = self.p
        consent(self.me, p, 'blocked')
        self.assertEqual(documents(p.login('blocked')), [self.doc])
        raw = p.raw()
        had = raw.execute('SELECT * FROM dmp_grant').fetchall()
        block(self.me, p, 'blocked')
        new = deposit(self.t, p.pid, b'nouveau', title='Nouveau')
        names = [r[1] for r in raw.execute('PRAGMA table_info(dmp_grant)')]
        for row in had:
            raw.execute('INSERT OR REPLACE INTO dmp_grant(%s) VALUES(%s)' % (','.join(names), ','.join('?' * len(names))), row)
        con = p.connect()
        for sql in ('SELECT id FROM document', 'SELECT dmp_read(%d,0,9)' % new, 'SELECT dmp_read(%d,0,9)' % self.doc, 'SELECT birth_name FROM patient'):
            try:
                one(con, 'SELECT dmp_login(?,?)', p.key('blocked'), PIN)
                self.assertEqual(con.execute(sql).fetchall(), [])
            except Exception as e:
                self.assertRegex(str(e), r'^dmp-E0(37|41|35): ')

    @unittest.skipUnless(MOUNTS, 'dmpfs needs root and /dev/fuse')
    def test_in_the_mount_the_names_of_the_blocked_vanish_and_what_he_deposited_stays(self):
        p = self.p
        consent(self.me, p, 'blocked')
        deposit(p.login('blocked'), p.pid, b'avant', title='Avant', mime='text/plain')
        m = Mount(p, 'blocked')
        try:
            self.assertEqual(len(m.files()), 2)
            block(self.me, p, 'blocked')
            left = m.becomes([f for f in m.files() if 'Avant' in f])
            self.assertEqual([len(left), 'Avant' in left[0]], [1, True])
            self.assertTrue(all('PATIENT' not in d for d in os.listdir(m.point)), os.listdir(m.point))
        finally:
            m.close()


class Staff(Record):
    def test_a_secretary_and_an_interpreter_see_who_the_patient_is_and_nothing_else(self):
        p = self.p
        for who, specialty in (('secretary', 'secrétaire'), ('interpreter', 'interprète')):
            register(p, who, 'staff', specialty=specialty)
            consent(self.me, p, who)
            con = p.login(who)
            self.assertEqual(con.execute('SELECT id,birth_name FROM patient').fetchall(), [(p.pid, 'PATIENT')])
            self.assertEqual(documents(con) + con.execute('SELECT * FROM prescription').fetchall() + con.execute('SELECT * FROM consent').fetchall() +
                             con.execute('SELECT * FROM mask').fetchall(), [])
            self.refused(41, con, 'SELECT dmp_read(?,0,9)', (self.doc,))
            self.assertEqual(one(con, 'SELECT kind FROM session'), 'staff')
            self.refused(46, con, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['doctor']))
            if MOUNTS:
                m = Mount(p, who)
                try:
                    self.assertEqual(m.files(), [])
                finally:
                    m.close()
            self.me.execute('DELETE FROM consent WHERE grantee=?', (p.id[who],))
            self.sees_nothing_but(who, [])
        self.no_fault('patient', 'treating', 'secretary')

    def test_a_secretary_who_registers_patients_goes_on_seeing_their_names_only(self):
        p = self.p
        register(p, 'secretary', 'staff', specialty='secrétaire', registrar=1)
        s = p.login('secretary')
        other = p.patient('other', s, 'treating')
        deposit(p.login('treating'), other, b'x')
        self.assertEqual(s.execute('SELECT birth_name FROM patient').fetchall(), [('OTHER',)])
        self.assertEqual(documents(s), [])
        self.assertEqual(len(documents(p.login('other'))), 1)
        self.no_fault('other', 'treating', 'secretary')

    def test_staff_have_no_profession(self):
        self.refused(49, self.p.authority, "INSERT INTO principal(kind,name,profession,certificate) VALUES('staff','S','10',?)", (self.p.request('s'),))


class Locum(Record):
    def test_a_locum_has_ordinary_rights_never_those_of_the_treating_doctor(self):
        p = self.p
        masked = deposit(self.t, p.pid, b'masque', title='Masque', masked=1)
        consent(self.me, p, 'doctor', '2999-01-01')
        d = p.login('doctor')
        self.assertEqual(documents(d), [self.doc])
        self.assertEqual(documents(self.t), [self.doc, masked])
        self.refused(46, d, 'INSERT INTO mask(document) VALUES(?)', (self.doc,))
        self.refused(46, d, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['pharmacist']))

    @unittest.skipUnless(FAKETIME, 'libfaketime is not installed')
    def test_when_his_time_is_over_he_reads_nothing_at_once_and_the_keys_turn_at_the_next_able_login(self):
        p = self.p
        day = 24 * 3600
        consent(self.me, p, 'doctor', one(self.me, "SELECT strftime('%Y-%m-%dT%H:%M:%SZ','now','+2 days')"))
        self.assertEqual(documents(p.login('doctor')), [self.doc])
        count, name = later(p, '+%d' % (3 * day), 'doctor', 'SELECT count(*) FROM document', 'SELECT count(*) FROM patient')
        self.assertEqual((count, name), ([[0]], [[0]]))
        owed, = later(p, '+%d' % (3 * day), 'treating', "SELECT what FROM dmp_verify WHERE kind='owed'")
        self.assertRegex(owed[0][0], 'a consent is over')
        kept = p.raw().execute('SELECT * FROM dmp_grant').fetchall()
        mine, rows, log = later(p, '+%d' % (3 * day), 'patient', 'SELECT owed FROM session', 'SELECT count(*) FROM consent WHERE grantee=%d' % p.id['doctor'],
                                "SELECT reason FROM access_log WHERE action='rotate'")
        self.assertEqual((mine, rows, log), ([[0]], [[0]], [['consent ended']]))
        self.assertEqual(later(p, '+%d' % (3 * day), 'treating', "SELECT count(*) FROM dmp_verify WHERE kind='owed'"), [[[0]]])
        self.assertNotEqual(kept, p.raw().execute('SELECT * FROM dmp_grant').fetchall())
        # the clock put back: the date says yes again, the keys don't
        con = p.login('doctor')
        self.assertEqual(documents(con), [])
        self.assertEqual(con.execute('SELECT * FROM patient').fetchall(), [])


    @unittest.skipUnless(FAKETIME, 'libfaketime is not installed')
    def test_a_consent_given_anew_after_its_end_is_the_only_one_that_stands_there(self):
        p = self.p
        consent(self.me, p, 'doctor', one(self.me, "SELECT strftime('%Y-%m-%dT%H:%M:%SZ','now','+2 days')"))
        given = 'INSERT INTO consent(patient,grantee) VALUES(%d,%d)' % (p.pid, p.id['doctor'])
        standing = 'SELECT until FROM consent WHERE grantee=%d' % p.id['doctor']
        self.assertEqual(later(p, '+3d', 'treating', given, standing), [[], [[None]]])
        self.assertEqual(later(p, '+3d', 'doctor', 'SELECT count(*) FROM document'), [[[1]]])
        self.assertEqual(later(p, '+3d', 'treating', 'DELETE FROM consent WHERE grantee=%d' % p.id['doctor'], standing), [[], []])
        self.assertEqual(later(p, '+3d', 'doctor', 'SELECT count(*) FROM document'), [[[0]]])


class Barred(Case):
    def test_no_insurer_employer_or_occupational_physician_gets_a_certificate_that_could_read(self):
        p = Practice({})
        try:
            for kind in ('insurer', 'mutual', 'employer', 'occupational'):
                got = self.refused(112, p.authority, "INSERT INTO principal(kind,name,profession,certificate) VALUES(?,'N','10',?)", (kind, p.request('k' + kind)))
                self.assertRegex(got, 'consent')
            n = 0
            for column, value in (('specialty', 'SM25'), ('specialty', 'Médecine du travail'), ('specialty', 'MÉDECINE DU TRAVAIL'), ('specialty', 'médecin d’assurance'),
                                  ('facility', 'SA66'), ('facility', 'Mutuelle des mines'), ('facility', 'Service de santé au travail'), ('facility', 'sa23')):
                for kind, profession in (('professional', '10'), ('staff', None)):
                    n += 1
                    with self.subTest(column=column, value=value, kind=kind):
                        got = self.refused(112, p.authority, "INSERT INTO principal(kind,name,profession,certificate,%s) VALUES(?,'N',?,?,?)" % column,
                                           (kind, profession, p.request('b%d' % n), value))
            self.assertEqual(one(p.authority, 'SELECT count(*) FROM principal'), 1)
            for column, value in (('specialty', 'SM26'), ('specialty', 'Médecine générale'), ('facility', 'Maison de santé')):
                n += 1
                p.authority.execute("INSERT INTO principal(kind,name,profession,certificate,%s) VALUES('professional','N','10',?,?)" % column, (p.request('g%d' % n), value))
            self.refused(112, p.authority, "UPDATE principal SET facility='SA66' WHERE specialty='SM26'")
            register(p, 'fund', 'source', facility='Caisse d’assurance maladie')   # it deposits, and reads nothing
        finally:
            p.drop()


if __name__ == '__main__':
    main()
