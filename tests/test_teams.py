#!/usr/bin/python3
"""Teams: who reads through one, who may change it, what a departure closes and for whom, through SQL and through real mounts; and attacks by who
left with all that he held, by members who are no managers, and by the host.
Usage: test_teams.py [BUILD_FOLDER [TEST_NAME...]]"""
import errno
import os
import signal
import subprocess
import sys
import time
import unittest
from harness import BUILD, HERE, NO_SUCH_ID, PIN, TYPES, Case, Practice, deposit, documents, error_of, main, one
from test_representatives import FAKETIME, MOUNTS, Mount, later, name, represent

STAFF = {'treating': ('10', 1), 'boss': ('60', 0), 'nurse': ('60', 0), 'other': ('60', 0), 'doctor': ('10', 0), 'pharmacist': ('21', 0)}


def team(p, name='Soins', role='60', manager='boss'):
    """Registered by the authority, with its first manager, who has logged in once."""
    p.authority.execute("INSERT INTO principal(kind,name,profession,facility) VALUES('team',?,?,'Hôpital')", (name, role))
    p.id[name] = one(p.authority, 'SELECT last_insert_rowid()')
    if manager:
        join(p.authority, p, name, manager, 1)
        p.login(manager).close()
    return p.id[name]


def join(con, p, name, who, manager=0, until=None):
    con.execute('INSERT INTO membership(team,member,manager,until) VALUES(?,?,?,?)', (p.id[name], p.id[who], manager, until))


def leave(con, p, name, who):
    con.execute('DELETE FROM membership WHERE team=? AND member=?', (p.id[name], p.id[who]))


def consent(con, p, patient, *names):
    for name in names:
        con.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.id[patient], p.id[name]))


def faults(con):
    return con.execute("SELECT place,what FROM dmp_verify WHERE kind='fault'").fetchall()


def owed(con):
    return one(con, 'SELECT owed FROM session')


class TeamCase(Case):
    def setUp(self):
        self.p = Practice(STAFF)
        self.treating = self.p.login('treating')
        self.pid = self.p.patient('patient', self.treating, 'treating')
        self.me = self.p.login('patient')
        team(self.p)
        self.boss = self.p.login('boss')
        join(self.boss, self.p, 'Soins', 'nurse')

    def tearDown(self):
        self.p.drop()


class Reading(TeamCase):
    def test_a_consent_to_a_team_opens_the_record_to_its_members_and_to_nobody_before(self):
        p = self.p
        doc = deposit(self.treating, self.pid, b'corps')
        nurse = p.login('nurse')
        self.assertEqual(documents(nurse), [])
        self.refused(41, nurse, 'SELECT dmp_read(?,0,9)', (doc,))
        consent(self.me, p, 'patient', 'Soins')
        for who in ('nurse', 'boss'):
            con = p.login(who)
            self.assertEqual(documents(con), [doc], who)
            self.assertEqual(one(con, 'SELECT dmp_read(?,0,9)', doc), b'corps')
            self.assertEqual(one(con, 'SELECT birth_name FROM patient'), 'PATIENT')
        self.assertEqual(documents(nurse), [doc])     # an open session too
        self.assertEqual(documents(p.login('other')), [])
        self.assertEqual(self.me.execute('SELECT grantee,basis FROM consent WHERE basis=?', ('consent',)).fetchall(), [(p.id['Soins'], 'consent')])

    def test_members_read_what_the_matrix_gives_to_the_role_and_nothing_masked(self):
        p = self.p
        consent(self.me, p, 'patient', 'Soins')
        docs = {name: deposit(self.me, self.pid, name.encode(), type_code=code) for name, (code, _) in TYPES.items()}
        masked = deposit(self.me, self.pid, b'masked', masked=1)
        nurse = p.login('nurse')
        expected = sorted(docs[name] for name, (_, readers) in TYPES.items() if '60' in readers)
        self.assertEqual(documents(nurse), expected)
        for doc in set(docs.values()) - set(expected) | {masked}:
            self.refused(41, nurse, 'SELECT dmp_read(?,0,9)', (doc,))

    def test_a_team_without_a_profession_reads_names_only(self):
        p = self.p
        team(p, 'Accueil', None)
        deposit(self.me, self.pid, b'corps')
        consent(self.me, p, 'patient', 'Accueil')
        boss = p.login('boss')
        self.assertEqual(boss.execute('SELECT birth_name FROM patient').fetchall(), [('PATIENT',)])
        self.assertEqual(documents(boss), [])

    def test_several_teams_and_an_own_consent_add_up_and_each_withdrawal_takes_its_part(self):
        p = self.p
        team(p, 'Pharmacie', '21', 'pharmacist')
        team(p, 'Médecins', '10', 'doctor')
        common = deposit(self.me, self.pid, b'common', type_code=TYPES['common'][0])
        medical = deposit(self.me, self.pid, b'medical', type_code=TYPES['medical'][0])
        join(p.login('pharmacist'), p, 'Pharmacie', 'doctor')
        consent(self.me, p, 'patient', 'Pharmacie')
        doctor = p.login('doctor')
        self.assertEqual(documents(doctor), [common])
        consent(self.me, p, 'patient', 'Médecins')
        self.assertEqual(documents(doctor), sorted([common, medical]))
        consent(self.me, p, 'patient', 'doctor')
        self.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['Médecins'],))
        self.assertEqual(documents(doctor), sorted([common, medical]))
        self.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['doctor'],))
        self.assertEqual(documents(doctor), [common])
        self.assertEqual(documents(p.login('doctor')), [common])
        self.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['Pharmacie'],))
        self.assertEqual(documents(doctor), [])
        consent(self.me, p, 'patient', 'Pharmacie')
        self.assertEqual(documents(doctor), [common])
        for con in (self.me, self.treating, doctor, self.boss):
            self.assertEqual(faults(con), [])

    def test_the_log_names_the_person_and_through_which_team(self):
        p = self.p
        doc = deposit(self.me, self.pid, b'corps')
        consent(self.me, p, 'patient', 'Soins', 'doctor')
        for who in ('nurse', 'doctor'):
            con = p.login(who)
            one(con, 'SELECT dmp_read(?,0,9)', doc)
        mine = deposit(p.login('nurse'), self.pid, b'pansement')
        rows = self.me.execute("SELECT name,action,object,team FROM access_log WHERE patient=? AND name IN ('NURSE','DOCTOR')", (self.pid,)).fetchall()
        self.assertEqual(set(rows), {('NURSE', 'read', doc, p.id['Soins']), ('NURSE', 'deposit', mine, p.id['Soins']), ('DOCTOR', 'read', doc, None)})
        self.assertEqual(one(self.me, 'SELECT depositor FROM document WHERE id=?', mine), p.id['nurse'])
        own = p.login('nurse').execute('SELECT action,object,team FROM access_log WHERE patient=?', (self.pid,)).fetchall()
        self.assertEqual(own, [('read', doc, p.id['Soins']), ('deposit', mine, p.id['Soins'])])

    def test_a_representative_reads_the_log_where_there_are_teams(self):
        p = self.p
        represent(p, 'mother')
        name(self.me, p, self.pid, 'mother', 'tuteur')
        doc = deposit(self.me, self.pid, b'corps')
        consent(self.me, p, 'patient', 'Soins')
        one(p.login('nurse'), 'SELECT dmp_read(?,0,9)', doc)
        mother = p.login('mother')
        rows = mother.execute("SELECT name,action,object FROM access_log WHERE patient=? AND action='read'", (self.pid,)).fetchall()
        self.assertEqual(rows, [('NURSE', 'read', doc)])
        self.assertEqual(faults(mother), [])

    def test_a_consent_to_a_team_ends_by_its_date(self):
        p = self.p
        deposit(self.me, self.pid, b'corps')
        self.me.execute("INSERT INTO consent(patient,grantee,until) VALUES(?,?,strftime('%Y-%m-%dT%H:%M:%SZ','now','+2 seconds'))", (self.pid, p.id['Soins']))
        nurse = p.login('nurse')
        self.assertEqual(len(documents(nurse)), 1)
        time.sleep(3.1)
        self.assertEqual(documents(nurse), [])
        self.assertEqual(documents(p.login('nurse')), [])


class Managing(TeamCase):
    def test_only_a_manager_adds_and_takes_out_members(self):
        p = self.p
        nurse, treating = p.login('nurse'), self.treating
        for con in (nurse, treating, self.me, p.login('other'), p.authority):
            self.refused(116, con, 'INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (p.id['Soins'], p.id['other']))
            self.refused(116, con, 'DELETE FROM membership WHERE member=?', (p.id['nurse'],))
        self.refused(116, nurse, 'UPDATE membership SET manager=1 WHERE member=?', (p.id['nurse'],))
        join(self.boss, p, 'Soins', 'other')
        self.boss.execute('UPDATE membership SET manager=1 WHERE member=?', (p.id['nurse'],))
        leave(nurse, p, 'Soins', 'other')
        self.assertEqual(self.boss.execute('SELECT member,manager FROM membership ORDER BY member').fetchall(),
                         sorted([(p.id['boss'], 1), (p.id['nurse'], 1)]))

    def test_the_authority_appoints_a_manager_only_where_there_is_none(self):
        p = self.p
        team(p, 'Vide', '60', None)
        self.refused(116, p.authority, 'INSERT INTO membership(team,member) VALUES(?,?)', (p.id['Vide'], p.id['other']))
        self.refused(119, self.me, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, p.id['Vide']))
        join(p.authority, p, 'Vide', 'other', 1)
        self.refused(119, self.me, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, p.id['Vide']))
        p.login('other')
        consent(self.me, p, 'patient', 'Vide')
        self.refused(116, p.authority, 'INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (p.id['Vide'], p.id['nurse']))

    def test_who_may_read_less_than_the_role_joins_no_team_of_it(self):
        p = self.p
        team(p, 'Médecins', '10', 'doctor')
        doctor = p.login('doctor')
        for who in ('nurse', 'pharmacist'):
            self.refused(117, doctor, 'INSERT INTO membership(team,member) VALUES(?,?)', (p.id['Médecins'], p.id[who]))
        join(doctor, p, 'Médecins', 'treating')
        for who in (self.pid, p.id['Soins'], NO_SUCH_ID, p.id['authority']):
            self.refused(44, doctor, 'INSERT INTO membership(team,member) VALUES(?,?)', (p.id['Médecins'], who))
        self.refused(44, doctor, 'INSERT INTO membership(team,member) VALUES(?,?)', (p.id['nurse'], p.id['treating']))

    def test_a_team_keeps_a_manager_and_nobody_takes_himself_out(self):
        p = self.p
        self.refused(118, self.boss, 'DELETE FROM membership WHERE member=?', (p.id['boss'],))
        self.refused(118, self.boss, 'UPDATE membership SET manager=0 WHERE member=?', (p.id['boss'],))
        self.boss.execute('UPDATE membership SET manager=1 WHERE member=?', (p.id['nurse'],))
        self.refused(118, self.boss, 'DELETE FROM membership WHERE member=?', (p.id['boss'],))
        self.boss.execute('UPDATE membership SET manager=0 WHERE member=?', (p.id['boss'],))
        leave(p.login('nurse'), p, 'Soins', 'boss')

    def test_a_team_has_no_credential_and_no_request(self):
        p = self.p
        for sql in ("INSERT INTO principal(kind,name,profession,certificate) VALUES('team','X','60','%s')" % p.request('x'),
                    "INSERT INTO principal(kind,name,profession,registrar) VALUES('team','X','60',1)",
                    "INSERT INTO principal(kind,name,profession,specialty) VALUES('team','X','60','s')"):
            self.refused(49, p.authority, sql)
        self.refused(52, p.authority, "INSERT INTO principal(kind,name,profession) VALUES('team','X','11')")
        self.refused(51, p.authority, "INSERT INTO principal(kind,profession) VALUES('team','60')")
        self.refused(42, self.boss, "INSERT INTO principal(kind,name,profession) VALUES('team','X','60')")

    def test_what_is_rolled_back_never_was(self):
        p = self.p
        consent(self.me, p, 'patient', 'Soins')
        doc = deposit(self.me, self.pid, b'corps')
        nurse = p.login('nurse')
        before = p.counts()
        self.boss.execute('BEGIN')
        leave(self.boss, p, 'Soins', 'nurse')
        join(self.boss, p, 'Soins', 'other')
        self.boss.execute('ROLLBACK')
        self.assertEqual(p.counts(), before)
        self.assertEqual(documents(nurse), [doc])
        self.boss.execute('BEGIN')
        join(self.boss, p, 'Soins', 'other')
        self.boss.execute('COMMIT')
        leave(self.boss, p, 'Soins', 'nurse')
        self.assertEqual([documents(p.login(w)) for w in ('nurse', 'other', 'boss')], [[], [doc], [doc]])
        self.assertEqual(faults(self.boss), [])


class Departures(TeamCase):
    def setUp(self):
        super().setUp()
        join(self.boss, self.p, 'Soins', 'other')
        consent(self.me, self.p, 'patient', 'Soins')
        self.doc = deposit(self.me, self.pid, b'corps')

    def test_a_departure_closes_the_record_at_once_to_who_left_and_to_nobody_else(self):
        p = self.p
        nurse, other = p.login('nurse'), p.login('other')
        mine = deposit(nurse, self.pid, b'pansement')
        leave(self.boss, p, 'Soins', 'nurse')
        for con in (nurse, p.login('nurse')):
            self.assertEqual(con.execute('SELECT count(*) FROM patient').fetchall(), [(0,)])
            self.assertEqual(documents(con), [mine])
            self.refused(41, con, 'SELECT dmp_read(?,0,9)', (self.doc,))
            self.assertEqual(one(con, 'SELECT dmp_read(?,0,99)', mine), b'pansement')
        for con in (other, p.login('other'), self.boss, self.me):
            self.assertEqual(documents(con), sorted([self.doc, mine]))

    def test_every_writer_masks_until_the_keys_have_turned_and_then_it_shows(self):
        p = self.p
        leave(self.boss, p, 'Soins', 'nurse')
        other = p.login('other')
        new = [deposit(con, self.pid, b'apres') for con in (self.me, other, self.boss)]
        open_type = deposit(other, self.pid, b'apres', type_code=TYPES['medical'][0])   # the team's role does not read it: nothing is due there
        self.assertEqual(dict(self.me.execute('SELECT id,masked FROM document')), {self.doc: 0, open_type: 0, **{d: 1 for d in new}})
        self.assertEqual([documents(c) for c in (other, self.boss)], [sorted([self.doc, new[1], open_type]), sorted([self.doc, new[2]])])
        self.assertGreater(owed(self.me), 0)
        self.assertIn('owed', [r[0] for r in self.me.execute('SELECT kind FROM dmp_verify')])
        p.login('patient')
        self.assertEqual(owed(self.me), 0)
        self.assertEqual(dict(self.me.execute('SELECT id,masked FROM document')), {d: 0 for d in [self.doc] + new + [open_type]})
        self.assertEqual(documents(self.boss), sorted([self.doc] + new))
        self.assertEqual(documents(p.login('nurse')), [])
        self.assertEqual(faults(self.me) + faults(self.boss), [])

    def test_the_treating_doctor_turns_at_his_login_what_he_holds_and_the_patient_the_rest(self):
        p = self.p
        residence = deposit(self.me, self.pid, b'domicile', type_code=TYPES['residence'][0])   # no doctor reads it
        leave(self.boss, p, 'Soins', 'nurse')
        self.assertEqual(owed(self.treating), 1)
        self.assertEqual(self.boss.execute('SELECT member,pending FROM membership WHERE pending>0').fetchall(), [(p.id['nurse'], 1)])
        doctor = p.login('treating')
        self.assertEqual(owed(doctor), 0)
        self.assertEqual(owed(self.me), 1)
        late = deposit(self.me, self.pid, b'domicile 2', type_code=TYPES['residence'][0])
        p.login('boss')
        self.assertEqual(documents(self.boss), sorted([self.doc, residence]))
        self.assertEqual(self.boss.execute('SELECT member FROM membership WHERE pending>0').fetchall(), [])
        p.login('patient')
        self.assertEqual(documents(self.boss), sorted([self.doc, residence, late]))
        self.assertEqual(faults(self.me), [])

    def test_pending_counts_patients_and_grants_and_the_row_goes_when_nothing_waits(self):
        p = self.p
        pids = [p.patient('p%d' % n, self.treating, 'treating' if n else None) for n in range(3)]
        for n in range(3):
            consent(p.login('p%d' % n), p, 'p%d' % n, 'Soins')
        p.login('boss')
        leave(self.boss, p, 'Soins', 'nurse')
        row = self.boss.execute('SELECT member,until IS NOT NULL,pending FROM membership WHERE pending>0').fetchall()
        self.assertEqual(row, [(p.id['nurse'], 1, 4)])
        self.assertEqual(p.login('other').execute('SELECT pending FROM membership WHERE member=?', (p.id['nurse'],)).fetchall(), [(4,)])
        self.assertEqual(self.me.execute('SELECT pending FROM membership WHERE member=?', (p.id['nurse'],)).fetchall(), [])
        p.login('treating')
        self.assertEqual(owed(p.login('treating')), 0)
        p.login('boss')
        self.assertEqual(self.boss.execute('SELECT member,pending FROM membership WHERE pending>0').fetchall(), [(p.id['nurse'], 1)])   # p0 has no treating doctor
        p.login('p0')
        self.assertEqual(self.boss.execute('SELECT count(*),sum(pending) FROM membership').fetchall(), [(2, 0)])
        self.assertEqual(len(pids), 3)

    def test_who_left_joins_again_and_reads_all(self):
        p = self.p
        nurse = p.login('nurse')
        mine = deposit(nurse, self.pid, b'pansement')
        leave(self.boss, p, 'Soins', 'nurse')
        p.login('patient')
        new = deposit(self.me, self.pid, b'apres')
        self.assertEqual(documents(nurse), [mine])
        join(self.boss, p, 'Soins', 'nurse')
        self.assertEqual(documents(nurse), sorted([self.doc, mine, new]))
        leave(self.boss, p, 'Soins', 'nurse')
        self.assertEqual(documents(nurse), [mine])
        self.assertEqual(documents(p.login('nurse')), [mine])
        kept = deposit(nurse, self.pid, b'encore')    # who has left may still deposit
        self.assertEqual(documents(nurse), sorted([mine, kept]))
        consent(self.me, p, 'patient', 'nurse')       # a consent of one's own takes the place of the note of a deposit
        self.assertEqual(documents(p.login('nurse')), sorted([self.doc, mine, new, kept]))
        self.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['nurse'],))
        self.assertEqual(documents(p.login('nurse')), sorted([mine, kept]))
        for con in (self.me, p.login('boss'), p.login('nurse')):
            self.assertEqual(faults(con), [])

    def test_the_log_still_names_who_left(self):
        p = self.p
        one(p.login('nurse'), 'SELECT dmp_read(?,0,9)', self.doc)
        leave(self.boss, p, 'Soins', 'nurse')
        p.login('patient')
        self.assertIn(('NURSE', 'read', p.id['Soins']), self.me.execute('SELECT name,action,team FROM access_log WHERE patient=?', (self.pid,)).fetchall())
        self.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['Soins'],))
        self.assertIn(('NURSE', 'read', p.id['Soins']), self.me.execute('SELECT name,action,team FROM access_log WHERE patient=?', (self.pid,)).fetchall())

    def test_who_can_read_this_names_the_members_and_through_which_team(self):
        p = self.p
        who = 'SELECT principal,why FROM access_right WHERE document=%d' % self.doc
        why = 'membre de l’équipe Soins (consentement du '
        readers = {principal for principal, text in self.me.execute(who) if text.startswith(why)}
        self.assertEqual(readers, {p.id['boss'], p.id['nurse'], p.id['other']})
        self.assertEqual(self.me.execute('SELECT id FROM document_as(?)', (p.id['nurse'],)).fetchall(), [(self.doc,)])
        leave(self.boss, p, 'Soins', 'nurse')
        readers = {principal for principal, text in self.me.execute(who) if text.startswith(why)}
        self.assertEqual(readers, {p.id['boss'], p.id['other']})
        self.assertEqual(self.me.execute('SELECT id FROM document_as(?)', (p.id['nurse'],)).fetchall(), [])

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_a_membership_ends_by_its_date_and_is_obeyed_as_a_departure(self):
        p = self.p
        join(self.boss, p, 'Soins', 'nurse', until=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 86400)))
        self.assertEqual(documents(p.login('nurse')), [self.doc])
        self.assertEqual(later(p, '+2d', 'nurse', 'SELECT count(*) FROM document', 'SELECT count(*) FROM patient'), [[[0]], [[0]]])
        insert = "INSERT INTO document(patient,content,type_code) VALUES(%d,x'01','11488-4')" % self.pid
        self.assertEqual(later(p, '+2d', 'other', insert, 'SELECT count(*) FROM document'), [[], [[2]]])
        got = later(p, '+2d', 'patient', 'SELECT owed>0 FROM session', 'SELECT count(*) FROM document WHERE masked')
        self.assertEqual(got, [[[1]], [[1]]])         # nothing turns before the team's own secret has moved
        self.assertEqual(later(p, '+2d', 'treating', "INSERT INTO consent(patient,grantee) VALUES(%d,%d)" % (self.pid, p.id['doctor'])), [[]])
        self.assertEqual(later(p, '+2d', 'boss', 'SELECT count(*) FROM membership WHERE member=%d AND pending>0' % p.id['nurse']), [[[1]]])
        self.assertEqual(later(p, '+2d', 'patient', 'SELECT owed FROM session', 'SELECT count(*) FROM document WHERE masked'), [[[0]], [[0]]])
        self.assertEqual(later(p, '+2d', 'other', 'SELECT count(*) FROM document'), [[[2]]])
        self.assertEqual(later(p, '+2d', 'boss', 'SELECT count(*) FROM membership WHERE pending>0', 'SELECT count(*) FROM document'), [[[0]], [[2]]])
        self.assertEqual(later(p, '+2d', 'boss', "SELECT count(*) FROM dmp_verify WHERE kind='fault'"), [[[0]]])
        self.assertEqual(later(p, '+2d', 'doctor', 'SELECT count(*) FROM document'), [[[2]]])

    def ends(self, fd, seconds=2.5):
        """The error that reading an open file comes to, within so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                os.pread(fd, 4, 0)
            except OSError as e:
                return e.errno
            time.sleep(0.05)
        return None

    @unittest.skipUnless(MOUNTS, 'needs dmpfs, /dev/fuse and root')
    def test_the_mount_of_who_left_is_empty_within_two_seconds_and_its_open_files_give_nothing(self):
        p = self.p
        mounts = {who: Mount(p, who) for who in ('nurse', 'other')}
        try:
            files = mounts['other'].files()
            self.assertEqual(mounts['nurse'].files(), files)
            self.assertTrue(files)
            path = next(os.path.join(d, f) for d, _, fs in os.walk(mounts['nurse'].point) for f in fs if not f.endswith('.html'))
            fd = os.open(path, os.O_RDONLY)
            self.assertEqual(os.read(fd, 2), b'co')
            leave(self.boss, p, 'Soins', 'nurse')
            self.assertEqual(mounts['nurse'].becomes([], 2.0), [])
            self.assertEqual(self.ends(fd), errno.ESTALE)
            os.close(fd)
            self.assertFalse(os.path.exists(path))
            self.assertEqual(mounts['other'].files(), files)
        finally:
            for m in mounts.values():
                m.close()


LOGIN = """import sys
sys.argv[1:1] = [sys.argv[3]]
sys.path.insert(0, %r)
from harness import PIN, open_record, one
con = open_record(sys.argv[2])
one(con, 'SELECT dmp_login(?,?)', sys.argv[3], PIN)
print(one(con, 'SELECT owed FROM session'))
""" % HERE


class Others(TeamCase):
    """Staff, revoked cards, blocks, protected tables."""

    def setUp(self):
        super().setUp()
        join(self.boss, self.p, 'Soins', 'other')
        consent(self.me, self.p, 'patient', 'Soins')
        self.doc = deposit(self.me, self.pid, b'corps')

    def test_a_secretary_is_a_member_of_a_team_that_reads_names_and_of_no_other(self):
        p = self.p
        p.authority.execute("INSERT INTO principal(kind,name,certificate) VALUES('staff','SECRETAIRE',?)", (p.request('secretary'),))
        con = p.connect()
        p.id['secretary'] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', p.key('secretary'), PIN, p.fingerprint)
        self.refused(117, self.boss, 'INSERT INTO membership(team,member) VALUES(?,?)', (p.id['Soins'], p.id['secretary']))
        team(p, 'Accueil', None)
        join(self.boss, p, 'Accueil', 'secretary')
        self.assertEqual(one(con, 'SELECT count(*) FROM patient'), 0)
        consent(self.me, p, 'patient', 'Accueil')
        self.assertEqual(one(con, 'SELECT birth_name FROM patient'), 'PATIENT')
        self.assertEqual(documents(con), [])

    def test_who_is_blocked_reads_through_no_team_and_his_team_reads_again_when_he_has_left(self):
        p = self.p
        nurse, other = p.login('nurse'), p.login('other')
        self.me.execute('INSERT INTO blocked(patient,professional) VALUES(?,?)', (self.pid, p.id['nurse']))
        for con in (nurse, other, self.boss, p.login('nurse'), p.login('other')):
            self.assertEqual(documents(con), [])
        self.refused(111, self.me, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, p.id['nurse']))
        leave(self.boss, p, 'Soins', 'nurse')
        self.assertGreater(owed(self.me), 0)
        p.login('patient')
        for con in (other, self.boss):
            self.assertEqual(documents(con), [self.doc])
        self.assertEqual(documents(nurse), [])
        join(self.boss, p, 'Soins', 'nurse')          # the manager can't know; the patient's next session sees to it
        p.login('patient')
        new = deposit(self.me, self.pid, b'apres')
        self.assertEqual([documents(c) for c in (nurse, other, self.boss)], [[], [], []])
        self.me.execute('DELETE FROM blocked WHERE professional=?', (p.id['nurse'],))
        self.assertEqual([documents(c) for c in (other, self.boss)], [sorted([self.doc, new])] * 2)
        self.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['Soins'],))
        self.me.execute('INSERT INTO blocked(patient,professional) VALUES(?,?)', (self.pid, p.id['nurse']))
        self.refused(111, self.me, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, p.id['Soins']))
        for con in (self.me, self.treating, self.boss):
            self.assertEqual(faults(con), [])

    def test_a_revoked_card_is_obeyed_as_a_departure_and_the_authority_appoints_in_a_revoked_managers_place(self):
        p = self.p
        p.authority.execute("UPDATE principal SET status='revoked' WHERE id=?", (p.id['nurse'],))
        other = p.login('other')
        deposit(other, self.pid, b'apres')
        self.assertEqual(one(self.me, 'SELECT count(*) FROM document WHERE masked'), 1)
        p.login('boss')
        p.login('patient')
        self.assertEqual(one(self.me, 'SELECT count(*) FROM document WHERE masked'), 0)
        self.assertEqual(len(documents(other)), 2)
        self.refused(116, p.authority, 'INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (p.id['Soins'], p.id['other']))
        p.authority.execute("UPDATE principal SET status='revoked' WHERE id=?", (p.id['boss'],))
        join(p.authority, p, 'Soins', 'other', 1)
        other = p.login('other')
        p.login('patient')
        deposit(self.me, self.pid, b'encore')
        self.assertEqual(len(documents(p.login('other'))), 3)
        self.assertEqual(other.execute('SELECT member,manager FROM membership WHERE team=?', (p.id['Soins'],)).fetchall(), [(p.id['other'], 1)])
        for con in (self.me, self.treating, other):
            self.assertEqual(faults(con), [])

    def test_a_teams_name_may_change_its_role_not_and_one_that_is_revoked_reads_nothing(self):
        p = self.p
        nurse = p.login('nurse')
        p.authority.execute("UPDATE principal SET name='Soins de nuit',facility='Hospice' WHERE id=?", (p.id['Soins'],))
        self.assertEqual(one(nurse, 'SELECT name FROM principal WHERE id=?', p.id['Soins']), 'Soins de nuit')
        self.refused(49, p.authority, "UPDATE principal SET profession='10' WHERE id=?", (p.id['Soins'],))
        join(self.boss, p, 'Soins', 'nurse', 1)
        self.assertEqual([documents(c) for c in (nurse, p.login('boss'))], [[self.doc]] * 2)
        p.authority.execute("UPDATE principal SET status='revoked' WHERE id=?", (p.id['Soins'],))
        p.login('patient')
        self.assertEqual([documents(c) for c in (nurse, p.login('boss'))], [[], []])
        self.refused(109, self.me, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, p.id['Soins']))
        self.assertEqual(faults(self.me), [])

    def test_rows_under_a_patients_key_open_for_the_team_and_a_departure_closes_them(self):
        p = self.p
        t = self.treating
        t.execute('CREATE TABLE consultation(id INTEGER PRIMARY KEY,patient_id INTEGER,note TEXT)')
        t.execute('INSERT INTO consultation VALUES(1,?,?)', (self.pid, 'avant'))
        one(t, "SELECT dmp_protect('consultation','note','patient=patient_id')")
        notes = 'SELECT note FROM consultation ORDER BY id'
        nurse, other = p.login('nurse'), p.login('other')
        for con in (nurse, other):
            self.assertEqual(con.execute(notes).fetchall(), [('avant',)])
        leave(self.boss, p, 'Soins', 'nurse')
        other.execute("INSERT INTO consultation VALUES(2,?,'apres')", (self.pid,))
        self.assertEqual(nurse.execute(notes).fetchall(), [(None,), (None,)])
        p.login('patient')
        self.assertEqual(other.execute(notes).fetchall(), [('avant',), ('apres',)])
        self.assertEqual(p.login('nurse').execute(notes).fetchall(), [(None,), (None,)])
        self.refused(44, t, 'INSERT INTO protected_reader("table",principal) VALUES(?,?)', ('consultation', p.id['Soins']))


class Killed(Case):
    """A team with many patients: whoever carries a departure out may be killed at any moment, and the next login goes on."""
    N = 30

    def login(self, p, who, kill=None):
        """A login in a process of its own; killed after so many seconds: None. Else what it still owes."""
        child = subprocess.Popen([sys.executable, '-c', LOGIN, p.path, p.key(who), BUILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = child.communicate(timeout=kill)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.communicate()
            return None
        self.assertEqual(child.returncode, 0, err)
        return int(out)

    def until_done(self, p, who):
        """Killed later and later, until one gets through."""
        killed, after = 0, 0.04
        while self.login(p, who, after) is None:
            killed, after = killed + 1, after + 0.03
            self.assertEqual(faults(p.login('boss' if who != 'boss' else 'treating')), [])
        self.assertEqual(self.login(p, who), 0)
        return killed

    def test_a_departure_is_carried_out_by_logins_that_are_killed_at_any_moment(self):
        p = Practice(STAFF)
        self.addCleanup(p.drop)
        treating = p.login('treating')
        team(p)
        boss = p.login('boss')
        join(boss, p, 'Soins', 'nurse')
        join(boss, p, 'Soins', 'other')
        for n in range(self.N):
            pid = p.patient('p%d' % n, treating, 'treating')
            consent(treating, p, 'p%d' % n, 'Soins')
            deposit(treating, pid, b'corps')
        p.login('boss')
        leave(boss, p, 'Soins', 'nurse')
        self.assertEqual(one(boss, 'SELECT sum(pending) FROM membership'), self.N)
        new = [deposit(treating, p.id['p0'], b'tourne tout de suite'), deposit(p.login('other'), p.id['p1'], b'attend')]
        killed = self.until_done(p, 'treating') + self.until_done(p, 'boss')
        self.assertGreater(killed, 1)
        self.assertEqual(one(boss, 'SELECT sum(pending) FROM membership'), 0)
        other = p.login('other')
        self.assertEqual(len(documents(other)), self.N + 2)
        self.assertLess(set(new), set(documents(other)))
        self.assertEqual(documents(p.login('nurse')), [])
        for who in ('treating', 'boss', 'other', 'nurse', 'p1'):
            self.assertEqual(faults(p.login(who)), [], who)


if __name__ == '__main__':
    main()
