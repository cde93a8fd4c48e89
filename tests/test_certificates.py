#!/usr/bin/python3
"""How certificates follow one another: changes, new keys and revocations by the authority, the log of certificates and what each credential
remembers of it, a patient who takes a key of his own. Usage: test_certificates.py [BUILD_FOLDER [TEST_NAME...]]"""
import os
import shutil
import time
import sqlite3
from harness import PIN, Case, Practice, deposit, documents, error_of, main, one, open_record
from test_representatives import MOUNTS, Mount, represent

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


class Renewed(Record):
    def renew(self, who, con=None):
        """Another key for a professional: asked for in a session of the former one, answered by the authority."""
        p = self.p
        request = one(con or p.login(who), 'SELECT dmp_renew(?,?)', p.key(who + '-2'), PIN)
        p.authority.execute('UPDATE principal SET certificate=? WHERE id=?', (request, p.id[who]))
        p.id[who + '-2'] = p.id[who]

    def test_a_professional_goes_on_under_another_key_with_all_that_was_his(self):
        p = self.p
        self.consent('doctor')
        d = p.login('doctor')
        own = deposit(d, p.pid, b'de lui', title='De lui')
        hidden = deposit(d, p.pid, b'medical', title='Medical', masked=1)
        d.execute('SELECT dmp_read(?,0,9)', (self.doc,)).fetchall()
        request = one(d, 'SELECT dmp_renew(?,?)', p.key('doctor-2'), PIN)
        p.id['doctor-2'] = p.id['doctor']
        self.refused(29, p.connect(), 'SELECT dmp_login(?,?)', (p.key('doctor-2'), PIN))     # not certified yet
        p.authority.execute('UPDATE principal SET certificate=? WHERE id=?', (request, p.id['doctor']))
        self.refused(109, d, 'SELECT count(*) FROM document')
        self.refused(109, p.connect(), 'SELECT dmp_login(?,?)', (p.key('doctor'), PIN))
        self.assertEqual(self.changes(self.t, 'doctor'), [(0, 'registered'), (1, 'renewed')])
        n = p.login('doctor-2')
        self.assertEqual(documents(n), [self.doc, own, hidden])
        self.assertEqual([one(n, 'SELECT dmp_read(?,0,99)', x) for x in (self.doc, own, hidden)], [b'de la consultation', b'de lui', b'medical'])
        self.assertIn(('read', self.doc), n.execute('SELECT action,object FROM access_log').fetchall())   # the own lines of before
        new = deposit(n, p.pid, b'sous la nouvelle', title='Nouveau')
        n.execute('DELETE FROM document WHERE id=?', (own,))                                  # still its depositor
        self.assertRegex(self.owed('treating')[0], 'another key')
        me = p.login('patient')                                                                # turns the keys
        self.assertEqual(self.owed('treating'), [])
        me.execute('INSERT INTO mask(document) VALUES(?)', (new,))
        n = p.login('doctor-2')
        self.assertEqual(documents(n), [self.doc, hidden, new])
        self.assertIn((p.id['doctor'], 'deposit', new), me.execute('SELECT principal,action,object FROM access_log').fetchall())
        self.assertIn((p.id['doctor'], 'deposit', hidden), me.execute('SELECT principal,action,object FROM access_log').fetchall())
        self.no_fault('patient', 'treating', 'doctor-2', 'authority')

    def test_the_former_key_of_a_professional_opens_nothing_of_what_comes_after_the_turn(self):
        p = self.p
        self.consent('doctor')
        p.login('doctor')
        self.renew('doctor')
        raw = p.raw()
        had = raw.execute('SELECT * FROM dmp_grant').fetchall()
        p.login('patient')
        new = deposit(self.t, p.pid, b'nouveau', title='Nouveau')
        self.assertEqual(documents(p.login('doctor-2')), [self.doc, new])
        shutil.copytree(p.folder, p.folder + '-copy')
        try:                                              # the host gives him his grant of before
            path = os.path.join(p.folder + '-copy', 'record.db')
            host = sqlite3.connect(path, isolation_level=None)
            host.executemany('INSERT OR REPLACE INTO dmp_grant VALUES(?,?,?)', had)
            host.close()
            con = open_record(path)
            self.refused(109, con, 'SELECT dmp_login(?,?)', (os.path.join(p.folder + '-copy', 'doctor.dmpkey'), PIN))
            con.close()
        finally:
            shutil.rmtree(p.folder + '-copy')

    def test_a_treating_doctor_under_another_key_is_still_the_treating_doctor(self):
        p = self.p
        self.renew('treating', self.t)
        t = p.login('treating-2')
        masked = deposit(t, p.pid, b'masque', title='Masque', masked=1)
        t.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['doctor']))
        self.assertEqual(documents(p.login('doctor')), [self.doc])
        self.assertEqual(documents(p.login('treating-2')), [self.doc, masked])
        me = p.login('patient')
        self.assertEqual(documents(me), [self.doc, masked])
        self.assertEqual(len(documents(p.login('treating-2'))), 2)
        p.patient('other', p.login('treating-2'), 'treating')
        self.assertEqual(len(p.login('treating-2').execute('SELECT id FROM patient').fetchall()), 2)
        self.no_fault('patient', 'treating-2', 'doctor', 'other')

    def test_a_member_of_a_team_and_a_reader_of_a_protected_table_go_on_under_another_key(self):
        p = self.p
        p.authority.execute("INSERT INTO principal(kind,name,facility,profession) VALUES('team','EQUIPE','Maison','10')")
        team = one(p.authority, 'SELECT id FROM principal WHERE kind=?', 'team')
        p.authority.execute('INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (team, p.id['treating']))
        t = p.login('treating')
        t.execute('INSERT INTO membership(team,member) VALUES(?,?)', (team, p.id['doctor']))
        t.execute('CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT)')
        t.execute("INSERT INTO note VALUES(1,'scelle')")
        t.execute("SELECT dmp_protect('note','text')").fetchall()
        t.execute('INSERT INTO protected_reader SELECT ?,?', ('note', p.id['doctor']))
        p.login('patient').execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, team))
        d = p.login('doctor')
        self.assertEqual((documents(d), one(d, 'SELECT text FROM note')), ([self.doc], 'scelle'))
        self.renew('doctor', d)
        n = p.login('doctor-2')
        self.assertEqual((documents(n), one(n, 'SELECT text FROM note')), ([self.doc], 'scelle'))
        deposit(n, p.pid, b'par l equipe')
        self.assertEqual(len(documents(p.login('treating'))), 2)
        self.no_fault('patient', 'treating', 'doctor-2')

    def test_a_key_without_the_signature_of_the_one_before_is_refused(self):
        p = self.p
        self.refused(110, p.authority, 'UPDATE principal SET certificate=? WHERE id=?', (p.request('thief'), p.id['doctor']))
        self.refused(110, p.authority, "UPDATE principal SET certificate='dmp-renewal-1.00' WHERE id=?", (p.id['doctor'],))
        request = one(p.login('doctor'), 'SELECT dmp_renew(?,?)', p.key('doctor-2'), PIN)
        self.refused(110, p.authority, 'UPDATE principal SET certificate=? WHERE id=?', (request, p.id['pharmacist']))
        flipped = request[:60] + ('0' if request[60] != '0' else '1') + request[61:]
        self.refused(110, p.authority, 'UPDATE principal SET certificate=? WHERE id=?', (flipped, p.id['doctor']))
        self.change('doctor', name='DURAND')              # the certificate that it follows is not the newest any more
        self.refused(110, p.authority, 'UPDATE principal SET certificate=? WHERE id=?', (request, p.id['doctor']))
        self.refused(42, p.authority, 'SELECT dmp_renew(?,?)', (p.key('authority-2'), PIN))
        self.refused(12, p.login('doctor'), 'SELECT dmp_renew(?,?)', (p.key('doctor'), PIN))
        self.assertEqual(self.changes(self.t, 'doctor'), [(0, 'registered'), (1, 'changed')])


class OwnKey(Record):
    """A patient whose credential was made at a desk takes a key of his own."""

    def certified(self, con, path):
        p = self.p
        request = one(con, 'SELECT dmp_renew(?,?)', path, PIN)
        first = one(p.login('treating'), 'SELECT dmp_certify(?)', request)
        return request, first, one(p.authority, 'SELECT dmp_certify(?)', first)

    def own(self):
        p = self.p
        _, _, cert = self.certified(p.login('patient'), p.key('patient-2'))
        p.id['patient-2'] = p.pid
        con = p.connect()
        self.assertEqual(one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key('patient-2'), PIN, cert), p.pid)
        return con

    def test_the_own_key_opens_everything_and_the_desk_key_opens_nothing_new(self):
        p = self.p
        self.consent('doctor')
        p.login('doctor')
        mine = deposit(p.login('patient'), p.pid, b'de moi', title='De moi')
        self.assertEqual(p.login('patient').execute('SELECT own_key FROM session').fetchone() + p.login('patient').execute('SELECT status FROM patient').fetchone(), (0, 'desk_key'))
        raw = p.raw()
        had = raw.execute('SELECT * FROM dmp_grant').fetchall()
        con = self.own()
        self.assertEqual(con.execute('SELECT own_key,owed FROM session').fetchone() + con.execute('SELECT status FROM patient').fetchone(), (1, 0, 'own_key'))
        self.refused(155, p.connect(), 'SELECT dmp_login(?,?)', (p.key('patient'), PIN))
        new = deposit(p.login('doctor'), p.pid, b'nouveau', title='Nouveau')
        for n in ('patient-2', 'treating', 'doctor'):
            self.assertEqual(documents(p.login(n)), [self.doc, mine, new], n)
        con = p.login('patient-2')
        self.assertEqual([one(con, 'SELECT dmp_read(?,0,99)', x) for x in (self.doc, mine, new)], [b'de la consultation', b'de moi', b'nouveau'])
        con.execute('INSERT INTO mask(document) VALUES(?)', (mine,))
        con.execute('DELETE FROM document WHERE id=?', (mine,))
        con.execute('DELETE FROM consent WHERE grantee=?', (p.id['doctor'],))
        self.assertIn('renew', [r[0] for r in con.execute('SELECT action FROM access_log')])
        self.assertIn((p.id['doctor'], 'deposit', new), con.execute('SELECT principal,action,object FROM access_log').fetchall())
        self.no_fault('patient-2', 'treating', 'doctor')
        for row in had:                                   # the host puts back what the desk's key could open
            raw.execute('INSERT OR REPLACE INTO dmp_grant(id,loc,box) VALUES(?,?,?)', row)
        for sql in ('SELECT * FROM document', 'SELECT birth_name FROM patient', 'SELECT dmp_read(%d,0,9)' % new):
            desk = p.connect()
            error = error_of(desk, 'SELECT dmp_login(?,?)', (p.key('patient'), PIN)) or error_of(desk, sql)
            self.assertRegex(error or '', '^dmp-E0(29|37|35|41): ')

    def test_what_lies_in_circles_turns_too(self):
        p = self.p
        self.consent('doctor')
        self.consent('pharmacist')
        both = deposit(self.t, p.pid, b'sauf le medecin')
        alone = deposit(p.login('doctor'), p.pid, b'sauf le traitant')
        self.me.execute('INSERT INTO mask(patient,document,grantee) VALUES(?,?,?)', (p.pid, both, p.id['doctor']))
        self.me.execute('INSERT INTO mask(patient,document,grantee) VALUES(?,?,?)', (p.pid, alone, p.id['treating']))
        want = {n: documents(p.login(n)) for n in ('patient', 'treating', 'doctor', 'pharmacist')}
        self.assertEqual(want['doctor'], [self.doc, alone])
        locs = set(p.raw().execute('SELECT id,loc FROM dmp_object').fetchall())
        self.own()
        self.assertEqual(locs & set(p.raw().execute('SELECT id,loc FROM dmp_object').fetchall()), set())   # every item lies under another key
        for n in ('treating', 'doctor', 'pharmacist'):
            self.assertEqual(documents(p.login(n)), want[n], n)
        self.assertEqual(documents(p.login('patient-2')), want['patient'])
        self.no_fault('patient-2', 'treating', 'doctor', 'pharmacist')

    def test_a_minor_whose_mother_kept_the_desk_key_reads_alone_what_is_hidden_from_her(self):
        p = self.p
        pid = p.patient('child', p.login('treating'), 'treating', birth_date='%d-06-15' % (time.gmtime().tm_year - 15))
        represent(p, 'mother')
        t = p.login('treating')
        t.execute("INSERT INTO representative(patient,principal,ground) VALUES(?,?,'parent')", (pid, p.id['mother']))
        shown = deposit(t, pid, b'vu')
        request = one(p.login('child'), 'SELECT dmp_renew(?,?)', p.key('child-2'), PIN)
        cert = one(p.authority, 'SELECT dmp_certify(?)', one(t, 'SELECT dmp_certify(?)', request))
        child = p.connect()
        one(child, 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key('child-2'), PIN, cert)
        secret = deposit(p.login('treating'), pid, b'secret', hidden_from_representatives=1)
        self.assertEqual(documents(child), [shown, secret])
        self.assertEqual(documents(p.login('mother')), [shown])
        self.refused(155, p.connect(), 'SELECT dmp_login(?,?)', (p.key('child'), PIN))         # the key that she had kept
        self.no_fault('treating', 'mother')
        if MOUNTS:
            p.id['child-2'] = pid
            m = Mount(p, 'child-2')
            try:
                self.assertEqual(len([f for f in m.files() if 'Compte rendu' in f]), 2)
            finally:
                m.close()

    def test_new_people_and_the_treating_doctor_go_on_with_the_chain_of_certificates(self):
        p = self.p
        self.own()
        con = p.login('patient-2')
        con.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['pharmacist']))   # walks the chain from its beginning
        self.assertEqual(documents(p.login('pharmacist')), [self.doc])
        t = p.login('treating')
        t.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['doctor']))
        self.assertEqual(documents(p.login('doctor')), [self.doc])
        con = p.login('patient-2')
        con.execute('UPDATE patient SET treating_doctor=? WHERE id=?', (p.id['doctor'], p.pid))
        self.assertEqual(documents(p.login('doctor')), [self.doc])
        self.no_fault('patient-2', 'treating', 'doctor', 'pharmacist')
        request = one(con, 'SELECT dmp_renew(?,?)', p.key('patient-3'), PIN)                            # and once more
        cert = one(p.authority, 'SELECT dmp_certify(?)', one(t, 'SELECT dmp_certify(?)', request))
        p.id['patient-3'] = p.pid
        self.assertEqual(one(p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key('patient-3'), PIN, cert), p.pid)
        self.assertEqual(documents(p.login('patient-3')), [self.doc])
        self.no_fault('patient-3', 'doctor', 'pharmacist')

    def test_one_signature_is_not_enough_nor_are_two_of_one_person(self):
        p = self.p
        request, first, cert = self.certified(p.login('patient'), p.key('patient-2'))
        p.id['patient-2'] = p.pid
        self.refused(201, p.authority, 'SELECT dmp_certify(?)', (request,))
        self.refused(42, p.login('doctor'), 'SELECT dmp_certify(?)', (request,))             # registers nobody
        self.refused(42, p.login('treating'), 'SELECT dmp_certify(?)', (first,))
        self.refused(201, p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', (p.key('patient-2'), PIN, first))
        self.refused(29, p.connect(), 'SELECT dmp_login(?,?)', (p.key('patient-2'), PIN))
        self.refused(58, p.login('treating'), 'SELECT dmp_certify(?)', (request[:-1] + ('0' if request[-1] != '0' else '1'),))
        p.patient('other', p.login('treating'), 'treating')
        _, _, theirs = self.certified(p.login('other'), p.key('other-2'))
        self.refused(110, p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', (p.key('patient-2'), PIN, theirs))
        self.assertEqual(documents(p.login('patient')), [self.doc])                           # nothing has changed
        self.assertEqual(one(p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key('patient-2'), PIN, cert), p.pid)


class Remembered(Record):
    def test_a_log_of_certificates_that_was_cut_is_noticed_by_who_has_seen_it(self):
        p = self.p
        raw = p.raw()
        before = raw.execute('SELECT id FROM dmp_certificate').fetchall()
        self.change('doctor', status='revoked')
        self.assertEqual(self.changes(self.t, 'doctor')[1:], [(1, 'revoked')])
        p.login('treating')
        added = [r for r in raw.execute('SELECT id,loc,box FROM dmp_certificate').fetchall() if (r[0],) not in before]
        self.assertEqual(len(added), 1)
        raw.execute('DELETE FROM dmp_certificate WHERE id=?', (added[0][0],))
        self.refused(108, self.t, 'SELECT count(*) FROM document')                            # the session that is open
        self.refused(108, p.connect(), 'SELECT dmp_login(?,?)', (p.key('treating'), PIN))
        raw.execute('INSERT INTO dmp_certificate(id,loc,box) VALUES(?,?,?)', added[0])
        self.assertEqual(documents(p.login('treating')), [self.doc])

    def test_a_fork_of_the_log_made_by_the_host_and_the_authority_is_noticed(self):
        """The file of before a revocation goes on with another entry, as long as the true one."""
        p = self.p
        p.authority.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        shutil.copytree(p.folder, p.folder + '-fork')
        try:
            self.change('doctor', status='revoked')
            p.login('treating')
            con = open_record(os.path.join(p.folder + '-fork', 'record.db'))
            one(con, 'SELECT dmp_login(?,?)', os.path.join(p.folder + '-fork', 'authority.dmpkey'), PIN)
            con.execute("UPDATE principal SET name='X' WHERE id=?", (p.id['doctor'],))
            con.close()
            con = open_record(os.path.join(p.folder + '-fork', 'record.db'))
            self.refused(108, con, 'SELECT dmp_login(?,?)', (p.key('treating'), PIN))         # his credential remembers the true one
            one(con, 'SELECT dmp_login(?,?)', os.path.join(p.folder + '-fork', 'treating.dmpkey'), PIN)
            con.close()
        finally:
            shutil.rmtree(p.folder + '-fork')

    def test_where_nothing_can_be_remembered_logins_go_on_and_what_is_remembered_cannot_be_forged(self):
        p = self.p
        seen = p.key('treating') + '-seen'
        self.assertTrue(os.path.exists(seen))
        self.assertEqual(os.stat(seen).st_mode & 0o777, 0o600)
        with open(seen, 'rb') as f:
            true = f.read()
        for bad in (b'', true[:-1], true[:40] + bytes([true[40] ^ 1]) + true[41:]):
            with open(seen, 'wb') as f:
                f.write(bad)
            self.refused(108, p.connect(), 'SELECT dmp_login(?,?)', (p.key('treating'), PIN))
        os.remove(seen)
        self.assertEqual(documents(p.login('treating')), [self.doc])
        self.assertTrue(os.path.exists(seen))


if __name__ == '__main__':
    main()
