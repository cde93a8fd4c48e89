#!/usr/bin/python3
"""How certificates follow one another: changes, new keys and revocations by the authority, the log of certificates and what each credential
remembers of it, a patient who takes a key of his own. Usage: test_certificates.py [BUILD_FOLDER [TEST_NAME...]]"""
import os
import shutil
import sqlite3
import unittest
from harness import NO_SUCH_ID, PIN, Case, Practice, deposit, documents, error_of, main, one

PEOPLE = {'treating': ('10', 1), 'doctor': ('10', 0), 'pharmacist': ('21', 0)}


class Record(Case):
    def setUp(self):
        self.p = p = Practice(PEOPLE)
        self.t = p.login('treating')
        p.pid = p.patient('patient', self.t, 'treating')
        self.me = p.login('patient')
        self.doc = deposit(self.t, p.pid, b'de la consultation', title='Consultation')

    def tearDown(self):
        self.p.drop()

    def consent(self, who):
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.p.pid, self.p.id[who]))

    def change(self, who, **columns):
        self.p.authority.execute('UPDATE principal SET %s WHERE id=?' % ','.join(c + '=?' for c in columns), list(columns.values()) + [self.p.id[who]])

    def no_fault(self, *names):
        for name in names:
            self.assertEqual(self.p.login(name).execute("SELECT * FROM dmp_verify WHERE kind='fault'").fetchall(), [], name)

    def owed(self, name):
        return [r[0] for r in self.p.login(name).execute("SELECT what FROM dmp_verify WHERE kind='owed'")]

    def changes(self, con, who):
        return con.execute('SELECT serial,change FROM certificate_log WHERE principal=? ORDER BY id', (self.p.id[who],)).fetchall()


class Reissued(Record):
    def test_another_name_and_facility_change_nothing_else_for_anybody(self):
        p = self.p
        self.consent('doctor')
        d = p.login('doctor')
        own = deposit(d, p.pid, b'de lui', title='De lui')
        self.change('doctor', name='DURAND', facility='Maison de santé')
        self.change('treating', name='MARTIN')
        self.assertEqual(self.t.execute('SELECT name,facility,status FROM principal WHERE id=?', (p.id['doctor'],)).fetchall(), [('DURAND', 'Maison de santé', 'active')])
        self.assertEqual(self.changes(self.t, 'doctor'), [(0, 'registered'), (1, 'changed')])
        self.assertEqual(one(d, 'SELECT name FROM session'), 'DURAND')     # the session that was open
        for con in (d, p.login('doctor')):
            self.assertEqual(documents(con)[:2], [self.doc, own])
            deposit(con, p.pid, b'encore')
        for con in (self.t, p.login('treating')):                          # still a full holder, by a certificate that follows the one named
            con.execute('INSERT INTO mask(document) VALUES(?)', (own,))
            con.execute('DELETE FROM mask WHERE document=?', (own,))
        self.t.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['pharmacist']))
        self.assertEqual(len(documents(p.login('pharmacist'))), 4)
        self.assertEqual(self.owed('patient'), [])
        self.no_fault('patient', 'treating', 'doctor', 'pharmacist', 'authority')

    def test_only_the_authority_changes_certificates_and_only_what_can_change(self):
        p = self.p
        self.refused(42, self.t, "UPDATE principal SET name='X' WHERE id=?", (p.id['doctor'],))
        self.refused(42, self.me, "UPDATE principal SET status='revoked' WHERE id=?", (p.id['treating'],))
        for sql, code in (("UPDATE principal SET kind='source'", 49), ('UPDATE principal SET id=1', 49), ("UPDATE principal SET profession='99'", 52),
                          ("UPDATE principal SET status='gone'", 52), ("UPDATE principal SET name=''", 51), ("UPDATE principal SET profession=NULL", 52)):
            self.refused(code, p.authority, sql + ' WHERE id=%d' % p.id['doctor'])
        self.refused(42, p.authority, "UPDATE principal SET status='revoked' WHERE id=?", (p.id['authority'],))
        self.refused(42, p.authority, "UPDATE principal SET certificate='x' WHERE id=?", (p.id['authority'],))
        self.assertEqual(self.changes(self.t, 'doctor'), [(0, 'registered')])
        p.authority.execute('BEGIN')
        self.change('doctor', name='UN')
        self.change('doctor', name='DEUX')
        p.authority.execute('ROLLBACK')
        self.assertEqual(self.changes(p.authority, 'doctor'), [(0, 'registered')])
        self.no_fault('authority')

    def test_another_profession_reads_what_its_column_of_the_matrix_gives_once_the_keys_have_turned(self):
        p = self.p
        medical = deposit(self.t, p.pid, b'medical', title='Medical', type_code='75496-0')
        self.consent('doctor')
        self.assertEqual(documents(p.login('doctor')), [self.doc, medical])
        self.change('doctor', profession='21')
        self.assertRegex(self.owed('treating')[0], 'another profession')
        p.login('patient')
        self.assertEqual(self.owed('treating'), [])
        self.assertEqual(documents(p.login('doctor')), [self.doc])
        self.change('doctor', profession='10')
        p.login('patient')
        self.assertEqual(documents(p.login('doctor')), [self.doc, medical])
        self.no_fault('patient', 'treating', 'doctor')


class Revoked(Record):
    def test_who_is_revoked_cannot_log_in_is_not_given_keys_and_what_he_held_turns(self):
        p = self.p
        self.consent('doctor')
        d = p.login('doctor')
        own = deposit(d, p.pid, b'de lui', title='De lui')
        grant = p.raw().execute('SELECT * FROM dmp_grant').fetchall()
        self.change('doctor', status='revoked')
        self.assertEqual(self.changes(self.t, 'doctor'), [(0, 'registered'), (1, 'revoked')])
        self.refused(109, d, 'SELECT count(*) FROM document')              # the session that was open
        self.refused(109, p.connect(), 'SELECT dmp_login(?,?)', (p.key('doctor'), PIN))
        self.assertRegex(self.owed('treating')[0], 'revoked')
        me = p.login('patient')                                            # turns what is owed
        self.assertEqual(self.owed('treating'), [])
        self.assertEqual(me.execute('SELECT count(*) FROM consent WHERE grantee=?', (p.id['doctor'],)).fetchone(), (0,))
        self.assertEqual(me.execute("SELECT reason FROM access_log WHERE action='rotate'").fetchall(), [('certificate revoked',)])
        for con in (me, self.t):
            self.refused(109, con, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['doctor']))
        self.refused(109, me, 'UPDATE patient SET treating_doctor=? WHERE id=?', (p.id['doctor'], p.pid))
        self.assertEqual(documents(me), [self.doc, own])                   # what he signed stays signed
        self.assertNotEqual(grant, p.raw().execute('SELECT * FROM dmp_grant').fetchall())
        self.no_fault('patient', 'treating')

    def test_who_is_active_again_needs_a_new_consent(self):
        p = self.p
        self.consent('doctor')
        p.login('doctor')
        self.change('doctor', status='revoked')
        p.login('patient')
        self.change('doctor', status='active')
        self.assertEqual(self.changes(self.t, 'doctor'), [(0, 'registered'), (1, 'revoked'), (2, 'restored')])
        self.assertEqual(documents(p.login('doctor')), [])
        self.me = p.login('patient')
        self.consent('doctor')
        self.assertEqual(documents(p.login('doctor')), [self.doc])
        self.no_fault('patient', 'treating', 'doctor')

    def test_a_treating_doctor_who_is_revoked_is_one_no_more_from_the_patients_next_login(self):
        p = self.p
        self.change('treating', status='revoked')
        me = p.login('patient')
        self.assertEqual(me.execute('SELECT treating_doctor FROM patient').fetchall(), [(None,)])
        self.assertEqual(one(me, 'SELECT owed FROM session'), 0)
        me.execute('UPDATE patient SET treating_doctor=? WHERE id=?', (p.id['doctor'], p.pid))
        self.assertEqual(documents(p.login('doctor')), [self.doc])
        self.no_fault('patient', 'doctor')


if __name__ == '__main__':
    main()
