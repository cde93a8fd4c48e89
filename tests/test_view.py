#!/usr/bin/python3
"""Minimal views (S2): the patient makes a read-only credential for one showing. It shows what she ticked, does not tell that it is partial,
ends by itself, by its date at once and by keys from her next session on. Through SQL and mounts; test_twins.py compares it byte for byte
with a record that holds only what it shows, test_forgery.c tries its keys on everything else.
Usage: test_view.py [BUILD_FOLDER [TEST_NAME...]]"""
import datetime
import os
import shutil
import subprocess
import time
import types
import unittest
from harness import NO_SUCH_ID, PIN, Case, Practice, deposit, documents, error_of, main, one, open_record
from test_representatives import FAKETIME, MOUNTS, Mount, faked, later

INSERT = 'INSERT INTO minimal_view(patient,items,credential,pin,until) VALUES(?,?,?,?,?)'
READ_ONLY = 'attempt to write a readonly database'
OVER = 'dmp-E069: the right has expired'


def days(n):
    return (datetime.datetime.utcnow() + datetime.timedelta(days=n)).strftime('%Y-%m-%dT%H:%M:%SZ')


def error_of_read(f):
    try:
        os.pread(f.fileno(), 5, 0)
    except OSError as e:
        return e
    return None


class Fresh(Case):
    """A patient with twelve documents of three depositors, one masked; the gynaecologist and the pharmacist have her consent."""

    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'gynaecologist': ('10', 0), 'pharmacist': ('21', 0)})
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('patient', self.t, 'treating')
        self.me = self.p.login('patient')
        for who in ('gynaecologist', 'pharmacist'):
            self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))
        self.g, self.h = self.p.login('gynaecologist'), self.p.login('pharmacist')
        self.doc = []
        for n in range(4):
            for con in (self.t, self.g, self.h):
                self.doc.append(deposit(con, self.pid, b'corps %d' % n, title='titre-%d' % n))
                time.sleep(0.002)                                   # ids of one millisecond have no order
        self.me.execute('INSERT INTO mask(document) VALUES(?)', (self.doc[1],))

    def view(self, items, name='view', until=None, con=None):
        (con or self.me).execute(INSERT, (self.pid, ','.join(map(str, items)), self.p.key(name), PIN, until))
        self.p.id[name] = self.pid
        return one(con or self.me, 'SELECT max(id) FROM minimal_view')

    def opened(self, name='view', path=None):
        """The view's session; the error when there is none."""
        con = self.p.connect()
        got = error_of(con, 'SELECT dmp_login(?,?)', (self.p.key(name), PIN))
        return got or con

    def sound(self, *more):
        for con in (self.me, self.t, self.g, self.h) + more:
            self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])


class Showing(Fresh):
    def test_it_shows_the_ticked_items_and_nothing_else_by_list_id_and_bytes(self):
        self.view(self.doc[1:4])
        v = self.opened()
        self.assertEqual(documents(v), self.doc[1:4])
        self.assertEqual(v.execute('SELECT count(*),max(id) FROM document').fetchall(), [(3, self.doc[3])])
        self.assertEqual(one(v, 'SELECT dmp_read(?,0,9)', self.doc[1]), b'corps 0')
        for other in (self.doc[0], self.doc[5], NO_SUCH_ID):
            self.assertEqual(v.execute('SELECT * FROM document WHERE id=?', (other,)).fetchall(), [])
            self.refused(41, v, 'SELECT dmp_read(?,0,9)', (other,))
        self.sound(v)

    def test_it_names_the_patient_as_her_own_session_does(self):
        self.view(self.doc[:1])
        v = self.opened()
        what = 'SELECT principal,kind,name,identifier,profession,on_behalf,mode,until,owed,own_key,authority FROM session'
        self.assertEqual(v.execute(what).fetchall(), self.me.execute(what).fetchall())
        self.assertEqual(v.execute('SELECT * FROM patient').fetchall(), self.me.execute('SELECT * FROM patient').fetchall())

    def test_masks_other_people_and_other_views_do_not_show(self):
        self.view(self.doc[2:3], 'other')
        self.view(self.doc[1:2])
        v = self.opened()
        self.assertEqual(v.execute('SELECT masked,warning FROM document').fetchall(), [(0, None)])
        for t in ('mask', 'minimal_view', 'identity', 'representative'):
            self.assertEqual(v.execute('SELECT * FROM ' + t).fetchall(), [])
        self.assertEqual({r[0] for r in v.execute('SELECT grantee FROM consent')}, {self.p.id['treating'], self.p.id['gynaecologist']})
        self.assertEqual({r[0] for r in v.execute('SELECT DISTINCT object FROM access_log WHERE action IN (?,?)', ('deposit', 'mask'))}, {self.doc[1]})
        self.assertNotIn(self.p.id['pharmacist'], [r[0] for r in v.execute('SELECT principal FROM access_log')])

    def test_a_treating_doctor_is_named_when_he_deposited_a_ticked_item_or_registered_the_patient(self):
        self.me.execute('UPDATE patient SET treating_doctor=? WHERE id=?', (self.p.id['gynaecologist'], self.pid))
        self.view(self.doc[2:3])
        self.view(self.doc[1:2], 'other')
        self.assertIsNone(one(self.opened(), 'SELECT treating_doctor FROM patient'))
        self.assertEqual(one(self.opened('other'), 'SELECT treating_doctor FROM patient'), self.p.id['gynaecologist'])

    def test_what_writes_is_told_what_a_read_only_file_tells_the_patient(self):
        self.view(self.doc[:3])
        v = self.opened()
        ro = open_record('file:%s?mode=ro' % self.p.path)
        ro.execute('SELECT dmp_login(?,?)', (self.p.key('patient'), PIN))
        for sql in ("INSERT INTO document(patient,content,type_code) VALUES(%d,x'01','11488-4')" % self.pid, 'DELETE FROM document', 'UPDATE patient SET treating_doctor=NULL',
                    'INSERT INTO mask(document) VALUES(%d)' % self.doc[0], 'INSERT INTO consent(patient,grantee) VALUES(%d,%d)' % (self.pid, self.p.id['pharmacist']),
                    'DELETE FROM consent', "INSERT INTO minimal_view(patient,items,credential,pin) VALUES(1,'1','x','y')", 'DELETE FROM minimal_view',
                    "INSERT INTO identity(patient,system,value) VALUES(%d,'a','b')" % self.pid):
            self.assertEqual(error_of(v, sql), READ_ONLY)
            self.assertEqual(error_of(ro, sql), READ_ONLY)
        self.me.execute('CREATE TABLE practice(id INTEGER PRIMARY KEY, note TEXT)')
        self.assertEqual(error_of(v, "SELECT dmp_protect('practice','note')"), READ_ONLY)
        self.assertEqual(documents(self.me), self.doc)
        ro.close()

    def test_the_patient_reads_in_her_log_that_it_was_made_and_what_it_read(self):
        row = self.view(self.doc[:3])
        v = self.opened()
        documents(v)
        v.execute('SELECT dmp_read(?,0,1)', (self.doc[2],)).fetchall()
        v.close()
        self.assertEqual(self.me.execute("SELECT action,object,principal,name FROM access_log WHERE mode='view'").fetchall(),
                         [('list', None, self.pid, 'PATIENT'), ('read', self.doc[2], self.pid, 'PATIENT')])
        self.assertEqual(self.me.execute("SELECT action FROM access_log WHERE object=?", (row,)).fetchall(), [('view',)])
        for con in (self.t, self.g):
            self.assertEqual(con.execute('SELECT * FROM minimal_view').fetchall(), [])
            self.assertNotIn('view', [r[0] for r in con.execute('SELECT mode FROM access_log')])
        self.me.execute('DELETE FROM minimal_view WHERE id=?', (row,))
        self.assertEqual(one(self.me, "SELECT count(*) FROM access_log WHERE mode='view'"), 2)      # and when it is over

    def test_an_item_that_is_masked_or_deleted_afterwards_leaves_it_and_its_lines_with_it(self):
        self.view(self.doc[:4])
        v = self.opened()
        self.assertEqual(len(documents(v)), 4)
        self.t.execute('INSERT INTO mask(document) VALUES(?)', (self.doc[0],))
        self.g.execute('DELETE FROM document WHERE id=?', (self.doc[1],))
        self.assertEqual(documents(v), self.doc[2:4])
        self.assertEqual(v.execute('SELECT * FROM access_log WHERE object=?', (self.doc[0],)).fetchall(), [])
        self.refused(41, v, 'SELECT dmp_read(?,0,1)', (self.doc[0],))
        self.sound(v)

    def test_a_new_consent_a_withdrawal_and_a_new_deposit_change_nothing_in_it(self):
        self.view(self.doc[:3])
        v = self.opened()
        before = v.execute('SELECT * FROM document').fetchall()
        self.me.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['pharmacist'],))
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['pharmacist']))
        deposit(self.t, self.pid)
        self.assertEqual(v.execute('SELECT * FROM document').fetchall(), before)
        self.assertEqual(self.opened().execute('SELECT * FROM document').fetchall(), before)
        self.sound(v)

    def test_an_item_masked_to_certain_people_is_shown_and_stays_masked_to_them_when_the_view_ends(self):
        self.me.execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (self.doc[0], self.p.id['pharmacist']))
        row = self.view([self.doc[0], self.doc[2]])
        v = self.opened()
        self.assertEqual(documents(v), [self.doc[0], self.doc[2]])
        self.assertEqual(v.execute('SELECT * FROM mask').fetchall(), [])
        self.assertNotIn(self.doc[0], documents(self.h))
        self.me.execute('DELETE FROM minimal_view WHERE id=?', (row,))
        self.assertEqual(documents(v), [])
        self.assertNotIn(self.doc[0], documents(self.h))
        self.assertIn(self.doc[0], documents(self.g))
        self.sound()

    def test_prescriptions_can_be_shown_and_an_item_that_the_patient_deposited(self):
        self.g.execute("INSERT INTO prescription(patient,prescribed_at,label) VALUES(?,'2026-03-01','Paracétamol')", (self.pid,))
        line = one(self.g, 'SELECT last_insert_rowid()')
        own = deposit(self.me, self.pid, title='mot')
        self.view([line, own])
        v = self.opened()
        self.assertEqual(v.execute('SELECT label FROM prescription').fetchall(), [('Paracétamol',)])
        self.assertEqual(documents(v), [own])
        self.sound(v)

    @unittest.skipUnless(MOUNTS, 'needs dmpfs, /dev/fuse and root')
    def test_a_mount_holds_the_ticked_documents_without_a_sign_of_a_mask(self):
        self.view(self.doc[:3])
        m = Mount(self.p, 'view')
        try:
            self.assertEqual(len(m.files()), 3)
            self.assertTrue(all('titre-0' in f for f in m.files()))
            self.assertEqual(len(os.listdir(m.point)), 1)
            self.assertFalse([f for f in m.files() if 'masqu' in f])
        finally:
            m.close()


class Ending(Fresh):
    def test_the_patient_ends_it_early_and_its_credential_opens_nothing_more(self):
        row = self.view(self.doc[:3])
        v = self.opened()
        before = self.p.counts()
        self.assertEqual(len(documents(v)), 3)
        self.me.execute('DELETE FROM minimal_view WHERE id=?', (row,))
        self.assertEqual(documents(v), [])
        self.refused(41, v, 'SELECT dmp_read(?,0,1)', (self.doc[0],))
        self.assertEqual(v.execute('SELECT * FROM patient').fetchall(), [])
        self.assertRegex(self.opened(), 'dmp-E155')
        self.assertEqual(self.me.execute('DELETE FROM minimal_view WHERE id=?', (row,)).rowcount, 1)      # it has ended: nothing more to do
        self.p.request('stranger')                                                                       # nobody's yet: another sentence
        self.refused(29, self.p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', (self.p.key('stranger'), PIN, self.p.fingerprint))
        self.assertIsNotNone(one(self.me, 'SELECT ended FROM minimal_view'))
        after = self.p.counts()
        for t in ('certificate', 'keyset', 'grant', 'wrap', 'state'):
            self.assertLess(after[t], before[t])
        self.assertEqual(documents(self.me), self.doc)
        self.assertEqual(documents(self.p.login('gynaecologist')), documents(self.g))
        self.sound()

    def test_two_views_of_the_same_items_end_apart(self):
        first, second = self.view(self.doc[:3], 'one'), self.view(self.doc[1:4], 'two')
        two = self.opened('two')
        self.me.execute('DELETE FROM minimal_view WHERE id=?', (first,))
        self.assertEqual(documents(two), self.doc[1:4])
        self.assertEqual(documents(self.opened('two')), self.doc[1:4])
        self.assertEqual(two.execute('SELECT * FROM patient').fetchall(), self.me.execute('SELECT * FROM patient').fetchall())
        self.sound(two)
        self.me.execute('DELETE FROM minimal_view WHERE id=?', (second,))
        self.assertEqual(documents(two), [])
        self.sound()

    def test_an_item_that_left_one_view_does_not_come_back_by_the_end_of_another(self):
        first = self.view(self.doc[:3], 'one')
        self.view(self.doc[:3], 'two')
        self.me.execute('INSERT INTO mask(document) VALUES(?)', (self.doc[0],))
        self.me.execute('DELETE FROM minimal_view WHERE id=?', (first,))
        self.assertEqual(documents(self.opened('two')), self.doc[1:3])

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_it_ends_by_its_date_for_open_sessions_and_new_ones_before_anybody_does_anything(self):
        self.view(self.doc[:3], until=days(2))
        self.assertEqual(later(self.p, '+1d', 'view', 'SELECT count(*) FROM document'), [[[3]]])
        with self.assertRaisesRegex(AssertionError, OVER):
            later(self.p, '+3d', 'view', 'SELECT count(*) FROM document')

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_at_the_patients_next_session_its_keys_turn_and_only_she_is_shown_that_it_was_owed(self):
        row = self.view(self.doc[:3], until=days(2))
        versions = lambda: dict(self.p.raw().execute('SELECT id,version FROM dmp_object WHERE id IN (%s)' % ','.join(map(str, self.doc[:4]))))
        before = versions()
        owed = 'SELECT owed FROM session'
        self.assertEqual(later(self.p, '+3d', 'treating', owed, 'SELECT count(*) FROM document'), [[[0]], [[12]]])
        self.assertEqual(versions(), before)
        self.assertEqual(later(self.p, '+3d', 'patient', owed, 'SELECT ended IS NULL FROM minimal_view WHERE id=%d' % row), [[[0]], [[0]]])
        self.assertEqual({i: v - before[i] for i, v in versions().items()}, {self.doc[0]: 1, self.doc[1]: 1, self.doc[2]: 1, self.doc[3]: 0})
        with self.assertRaisesRegex(AssertionError, 'dmp-E155'):
            later(self.p, '+1d', 'view', 'SELECT count(*) FROM document')     # also for a clock put back

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_where_her_session_cannot_write_it_shows_what_is_owed(self):
        self.view(self.doc[:3], until=days(2))
        only_reading = types.SimpleNamespace(path='file:%s?mode=ro' % self.p.path, key=self.p.key)
        self.assertEqual(later(only_reading, '+1d', 'patient', 'SELECT owed FROM session'), [[[0]]])
        self.assertEqual(later(only_reading, '+3d', 'patient', 'SELECT owed FROM session'), [[[1]]])
        self.assertEqual(later(only_reading, '+3d', 'treating', 'SELECT owed FROM session'), [[[0]]])

    @unittest.skipUnless(FAKETIME and MOUNTS, 'needs faketime without a sanitizer, dmpfs, /dev/fuse and root')
    def test_a_mount_is_refused_after_its_date_and_an_open_one_loses_its_documents_when_it_is_ended(self):
        row = self.view(self.doc[:3], until=days(2))
        with self.assertRaises(AssertionError):
            Mount(self.p, 'view', faked('+3d'))
        m = Mount(self.p, 'view')
        try:
            self.assertEqual(len(m.files()), 3)
            path = next(os.path.join(d, f) for d, _, names in os.walk(m.point) for f in names)
            with open(path, 'rb') as f:
                self.assertTrue(f.read(5))
                self.me.execute('DELETE FROM minimal_view WHERE id=?', (row,))
                self.assertEqual(m.becomes([]), [])
                end = time.monotonic() + 2.5
                while error_of_read(f) is None and time.monotonic() < end:
                    time.sleep(0.05)
                self.assertIsNotNone(error_of_read(f))
        finally:
            m.close()


class Refusals(Fresh):
    def made(self, con=None, patient=None, items=None, key='new', pin=PIN, until=None):
        """The error, or None."""
        items = ','.join(map(str, self.doc[:2])) if items is None else items
        return error_of(con or self.me, INSERT, (patient or self.pid, items, key and self.p.key(key), pin, until)) or ''

    def test_each_refusal_writes_nothing_and_the_same_without_its_fault_is_accepted(self):
        hidden = deposit(self.g, self.pid, invisible_patient=1)
        before, files = self.p.counts(), sorted(self.p.files())
        for code, how in ((41, dict(items=str(NO_SUCH_ID))), (41, dict(items='%d,%d' % (self.doc[0], hidden))), (41, dict(items=str(self.pid))),
                          (130, dict(items='un')), (130, dict(items='1 2')), (130, dict(items='[1')), (130, dict(items='1,')), (130, dict(items='-4')), (51, dict(items='')),
                          (51, dict(key=None)), (51, dict(pin=None)), (14, dict(pin='court')), (12, dict(key='patient')), (69, dict(until='2020-01-01')),
                          (131, dict(until=days(40))), (53, dict(until='demain')), (47, dict(con=self.t)), (47, dict(con=self.g)), (47, dict(patient=5))):
            self.assertRegex(self.made(**how), '^dmp-E%03d' % code, how)
            self.assertEqual(self.p.counts(), before, how)
            self.assertEqual(sorted(f for f in self.p.files() if not f.endswith(('-wal', '-shm'))), [f for f in files if not f.endswith(('-wal', '-shm'))], how)
        self.assertEqual(self.made(items='[%d, %d]' % tuple(self.doc[:2]), until=days(30)), '')
        self.assertEqual(documents(self.opened('new')) if self.p.id.setdefault('new', self.pid) else 0, self.doc[:2])

    def test_a_rollback_takes_the_credential_along(self):
        self.me.execute('BEGIN')
        self.view(self.doc[:2])
        self.assertTrue(os.path.exists(self.p.key('view')))
        self.me.execute('ROLLBACK')
        self.assertFalse(os.path.exists(self.p.key('view')))
        self.view(self.doc[:2])
        self.assertEqual(documents(self.opened()), self.doc[:2])
        self.sound()

    def test_only_the_patient_ends_it(self):
        row = self.view(self.doc[:2])
        for con in (self.t, self.g):
            self.assertIsNone(error_of(con, 'DELETE FROM minimal_view WHERE id=?', (row,)))   # no such row for them
        self.assertEqual(documents(self.opened()), self.doc[:2])

    def test_copied_files_open_to_its_credential_no_more_than_it_shows(self):
        self.view(self.doc[1:3])
        copy = self.p.folder + '-copy'
        self.addCleanup(shutil.rmtree, copy)
        self.me.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        subprocess.run(['cp', '-r', self.p.folder, copy], check=True)       # by another process: closing a file here would drop SQLite's locks
        con = open_record(os.path.join(copy, 'record.db'))
        con.execute('SELECT dmp_login(?,?)', (os.path.join(copy, 'view.dmpkey'), PIN))
        self.assertEqual(documents(con), self.doc[1:3])
        self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])
        con.close()


if __name__ == '__main__':
    main()
