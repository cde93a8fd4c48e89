#!/usr/bin/python3
"""What the patient, a representative and the treating doctor are told: from the log, the keys and the hosting, nothing of it stored but what
was seen; and nothing of what is hidden from who is told.
Usage: test_notification.py [BUILD_FOLDER [TEST_NAME...]]"""
import sys
import unittest
sys.dont_write_bytecode = True
from harness import NO_SUCH_ID, Case, Practice, deposit, documents, main, one
from test_representatives import CHILD, FAKETIME, later, name, represent


def told(con, kind=None):
    return [r[0] for r in con.execute('SELECT text FROM notification WHERE kind=coalesce(?, kind) ORDER BY at', (kind,))]


class Fresh(Case):
    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'doctor': ('10', 0), 'midwife': ('50', 0), 'dentist': ('40', 0)})
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('patient', self.t, 'treating', **CHILD)
        self.me = self.p.login('patient')
        represent(self.p, 'mother')
        for who in ('doctor', 'midwife'):
            self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))
        name(self.me, self.p, self.pid, 'mother')
        self.doc = deposit(self.t, self.pid, title='Ordinaire')
        self.mother, self.d, self.m = self.p.login('mother'), self.p.login('doctor'), self.p.login('midwife')


class Told(Fresh):
    def test_the_first_access_of_somebody_new_is_told_once(self):
        self.assertEqual(told(self.me, 'first_access'), [])
        documents(self.d)
        documents(self.p.login('doctor'))
        one(self.d, 'SELECT dmp_read(?,0,1)', documents(self.d)[0])
        text = 'DOCTOR (Médecin) a consulté le dossier pour la première fois'
        self.assertEqual((told(self.me, 'first_access'), told(self.mother, 'first_access')), ([text], [text]))
        self.assertEqual(told(self.t, 'first_access'), [])
        documents(self.mother)
        self.assertEqual(told(self.me, 'first_access'), [text, 'MOTHER a consulté le dossier pour la première fois'])
        self.assertEqual(told(self.mother, 'first_access'), [text])

    def test_nobody_else_is_told_anything(self):
        documents(self.d)
        for who in ('doctor', 'midwife', 'dentist', 'authority'):
            self.assertEqual(self.p.login(who).execute('SELECT * FROM notification').fetchall(), [], who)

    def test_what_was_seen_is_seen_by_who_saw_it(self):
        documents(self.d)
        documents(self.mother)
        count = one(self.me, 'SELECT count(*) FROM notification')
        self.me.execute("UPDATE notification SET seen=1 WHERE kind='first_access'")
        seen = self.me.execute('SELECT kind, seen FROM notification ORDER BY at').fetchall()
        self.assertEqual({k for k, s in seen if s}, {'first_access'})
        self.assertEqual([len(seen), one(self.p.login('patient'), 'SELECT sum(seen) FROM notification')], [count, 2])
        self.assertEqual([one(c, 'SELECT sum(seen) FROM notification') for c in (self.mother, self.t)], [0, 0])
        self.mother.execute('UPDATE notification SET seen=1')
        self.assertEqual(one(self.p.login('mother'), 'SELECT min(seen) FROM notification'), 1)
        self.me.execute('UPDATE notification SET seen=0 WHERE seen')
        self.assertEqual([one(c, 'SELECT sum(seen) > 0 FROM notification') for c in (self.me, self.mother)], [0, 1])
        for con in (self.me, self.t, self.mother):
            self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])

    def test_only_whether_it_was_seen_is_written_by_who_is_told(self):
        documents(self.d)
        self.refused(49, self.me, "UPDATE notification SET text='rien'")
        self.refused(49, self.me, 'DELETE FROM notification')
        self.refused(49, self.me, "INSERT INTO notification(patient, kind) VALUES(?, 'x')", (self.pid,))
        self.refused(50, self.me, 'UPDATE notification SET seen=2')

    def test_seen_stays_seen_when_the_keys_turn_and_when_the_transaction_is_undone_it_is_not(self):
        documents(self.d)
        self.me.execute('BEGIN')
        self.me.execute('UPDATE notification SET seen=1')
        self.me.execute('ROLLBACK')
        self.assertEqual(one(self.me, 'SELECT sum(seen) FROM notification'), 0)
        self.me.execute('UPDATE notification SET seen=1')
        before = one(self.me, 'SELECT count(*) FROM notification')
        self.me.execute('DELETE FROM representative')
        self.me.execute('UPDATE patient SET treating_doctor=?', (self.p.id['doctor'],))
        self.assertEqual(one(self.p.login('patient'), 'SELECT sum(seen) FROM notification'), before)

    def test_what_others_gave_or_took_in_the_patients_name_is_told(self):
        self.assertEqual(told(self.me, 'consent'), [])
        self.t.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['dentist']))
        self.t.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['dentist'],))
        self.assertEqual(told(self.me, 'consent'), ['TREATING a donné un accord à DENTIST', 'TREATING a retiré l’accord donné à DENTIST'])
        self.assertEqual(told(self.mother, 'consent'), [])   # the patient's choices are not a representative's to read

    def test_what_is_owed_is_told_until_it_is_done_and_then_that_it_was(self):
        self.t.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['dentist']))
        owed = told(self.t, 'owed')
        self.assertEqual(len(owed), 1)
        self.assertIn('seront changées à la prochaine connexion du patient', owed[0])
        self.assertEqual(told(self.me, 'rotation'), [])
        me = self.p.login('patient')
        self.assertEqual((told(self.t, 'owed'), told(me, 'owed'), len(told(me, 'rotation'))), ([], [], 1))

    def test_representatives_who_come_and_go_are_told(self):
        self.assertEqual(told(self.me, 'representative'), ['MOTHER est désormais représentant'])
        self.me.execute('DELETE FROM representative')
        self.assertEqual(told(self.me, 'representative')[1:], ['MOTHER n’est plus représentant'])
        self.assertEqual(told(self.t, 'representative')[1:], ['MOTHER n’est plus représentant'])
        self.assertEqual(told(self.mother), [])

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_the_end_of_a_representative_by_the_date_alone_is_told(self):
        three_years = '+1200d'
        self.assertEqual(later(self.p, three_years, 'treating', "SELECT text FROM notification WHERE kind='representative'")[0][-1:],
                         [['MOTHER n’est plus représentant : son terme est passé']])
        got = later(self.p, three_years, 'patient', "SELECT text FROM notification WHERE kind='representative'")[0]
        self.assertEqual(got[-1], ['MOTHER n’est plus représentant'])
        self.assertEqual(later(self.p, three_years, 'mother', 'SELECT text FROM notification')[0], [])


class Certificates(Fresh):
    def change(self, who, **columns):
        self.p.authority.execute('UPDATE principal SET %s WHERE id=?' % ','.join(c + '=?' for c in columns), list(columns.values()) + [self.p.id[who]])

    def test_what_becomes_of_the_certificate_of_who_holds_something_is_told(self):
        self.change('dentist', name='AILLEURS')          # holds nothing of this patient
        self.assertEqual(told(self.me, 'certificate'), [])
        self.change('doctor', facility='Maison de santé')
        self.change('doctor', status='revoked')
        self.change('doctor', status='active')
        want = ['L’autorité a changé ce que dit le certificat de DOCTOR', 'Le certificat de DOCTOR est révoqué', 'Le certificat de DOCTOR vaut de nouveau']
        self.assertEqual([told(c, 'certificate') for c in (self.me, self.t, self.mother)], [want, want, []])

    def test_who_is_revoked_reads_nothing_and_is_not_said_to(self):
        own = deposit(self.d, self.pid, title='De lui')
        self.change('doctor', status='revoked')
        for me in (self.me, self.p.login('patient')):
            self.assertEqual(me.execute('SELECT id FROM document_as(?)', (self.p.id['doctor'],)).fetchall(), [])
            self.assertNotIn(self.p.id['doctor'], [r[0] for r in me.execute('SELECT principal FROM access_right WHERE document=?', (own,))])


class Hidden(Fresh):
    def test_an_announcement_is_told_when_it_is_made(self):
        document = deposit(self.m, self.pid, title='Résultat', invisible_patient=1)
        self.assertEqual((told(self.me, 'announcement'), told(self.mother, 'announcement')), ([], []))
        self.m.execute('UPDATE document SET invisible_patient=0 WHERE id=?', (document,))
        self.assertEqual(told(self.p.login('patient'), 'announcement'), ['Un document est annoncé : Résultat'])

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_what_shows_after_a_month_is_told_then(self):
        deposit(self.m, self.pid, title='Résultat', invisible_patient=1)
        ask = "SELECT text FROM notification WHERE kind='announcement'"
        self.assertEqual(later(self.p, '+27d', 'patient', ask), [[]])
        self.assertEqual(later(self.p, '+32d', 'patient', ask), [[['Un document est annoncé : Résultat']]])
        self.assertEqual(later(self.p, '+32d', 'mother', ask), [[]])

    def test_nothing_of_what_is_hidden_reaches_a_representative_nor_of_what_is_not_announced_the_patient(self):
        before = [c.execute('SELECT * FROM notification').fetchall() for c in (self.me, self.mother)]
        documents(self.me)
        lines = [c.execute('SELECT at, principal, action, object FROM access_log').fetchall() for c in (self.me, self.mother)]
        document = deposit(self.m, self.pid, title='Acte', invisible_patient=1, hidden_from_representatives=1)
        one(self.t, 'SELECT dmp_read(?,0,1)', document)
        self.assertEqual(documents(self.p.login('midwife')), [document])   # all that she sees is hidden: her listing is too
        self.assertEqual([c.execute('SELECT * FROM notification').fetchall() for c in (self.me, self.mother)][1], before[1])
        self.assertEqual([c.execute('SELECT at, principal, action, object FROM access_log').fetchall() for c in (self.mother, self.me)], [lines[1], lines[0]])
        self.m.execute('UPDATE document SET invisible_patient=0 WHERE id=?', (document,))
        one(self.me, 'SELECT dmp_read(?,0,1)', document)
        self.me.execute('INSERT INTO mask(patient,document) VALUES(?,?)', (self.pid, document))
        self.assertEqual(self.mother.execute('SELECT at, principal, action, object FROM access_log').fetchall(), lines[1])
        self.assertEqual(self.mother.execute('SELECT * FROM notification').fetchall(), before[1])
        self.assertEqual(told(self.me, 'announcement'), ['Un document est annoncé : Acte'])
        actions = {r[0] for r in self.me.execute('SELECT action FROM access_log WHERE object=?', (document,))}
        self.assertEqual(actions, {'deposit', 'read', 'list', 'announce', 'mask'})

    def test_once_revealed_what_is_done_with_it_shows_and_what_was_done_before_stays_hidden(self):
        document = deposit(self.m, self.pid, title='Acte', hidden_from_representatives=1)
        one(self.me, 'SELECT dmp_read(?,0,1)', document)
        self.me.execute('UPDATE document SET hidden_from_representatives=0 WHERE id=?', (document,))
        one(self.mother, 'SELECT dmp_read(?,0,1)', document)
        got = self.mother.execute('SELECT principal, action FROM access_log WHERE object=?', (document,)).fetchall()
        self.assertEqual(got, [(self.pid, 'reveal'), (self.p.id['mother'], 'read')])

    def test_a_masked_episode_is_not_a_line_that_a_representative_reads(self):
        self.me.execute("INSERT INTO mask(patient,episode) VALUES(?,'e1')", (self.pid,))
        self.assertEqual(one(self.me, "SELECT count(*) FROM access_log WHERE action='mask'"), 1)
        self.assertEqual(one(self.mother, "SELECT count(*) FROM access_log WHERE action='mask'"), 0)

    def test_a_new_representative_reads_the_log_of_before_and_one_who_left_nothing_of_after(self):
        document = deposit(self.d, self.pid)
        represent(self.p, 'father')
        name(self.me, self.p, self.pid, 'father')
        father = self.p.login('father')
        self.assertEqual(one(father, "SELECT count(*) FROM access_log WHERE action='deposit' AND object=?", document), 1)
        self.me.execute('DELETE FROM representative WHERE principal=?', (self.p.id['mother'],))
        after = deposit(self.d, self.pid)
        self.assertEqual(self.mother.execute('SELECT principal FROM access_log WHERE principal<>?', (self.p.id['mother'],)).fetchall(), [])
        self.assertEqual(one(father, "SELECT count(*) FROM access_log WHERE object=?", after), 1)

    def test_when_the_treating_doctor_withdraws_a_representative_the_logs_keys_wait_for_the_patient(self):
        self.t.execute('DELETE FROM representative')
        self.assertEqual(len(told(self.t, 'owed')), 1)
        me = self.p.login('patient')
        self.assertEqual(told(self.t, 'owed'), [])
        after = deposit(self.d, self.pid)
        self.assertEqual(one(me, "SELECT count(*) FROM access_log WHERE object=?", after), 1)
        self.assertEqual(one(self.t, "SELECT count(*) FROM access_log WHERE object=?", after), 1)
        for con in (me, self.t):
            self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])


class Hosting(Fresh):
    ADD = 'INSERT INTO hosting(name,operator,place,since) VALUES(?,?,?,?)'

    def test_a_change_of_hosting_notifies_every_patient_and_their_representatives(self):
        second = self.p.patient('second', self.t, 'treating')
        self.p.authority.execute(self.ADD, ('Coffre', 'Hébergeur SA', 'Roubaix', '2026-03-01'))
        text = 'Le dossier est conservé par Coffre (Hébergeur SA), à Roubaix, depuis le 2026-03-01'
        for who in ('patient', 'second', 'mother'):
            self.assertEqual(told(self.p.login(who), 'hosting'), [text], who)
        self.assertEqual(told(self.t, 'hosting'), [])
        third = self.p.patient('third', self.t)
        self.assertEqual(told(self.p.login('third'), 'hosting'), [])   # it was so when the record was opened
        self.p.authority.execute(self.ADD, ('Coffre', 'Autre SA', 'Lyon', None))
        self.assertEqual([len(told(self.p.login(w), 'hosting')) for w in ('patient', 'second', 'third')], [2, 2, 1])
        self.assertTrue(second and third)

    def test_everybody_reads_where_the_file_is(self):
        self.assertEqual(self.d.execute('SELECT * FROM hosting').fetchall(), [])
        self.p.authority.execute(self.ADD, ('Coffre', 'Hébergeur SA', 'Roubaix', '2026-03-01'))
        for who in ('patient', 'doctor', 'mother', 'authority'):
            self.assertEqual(self.p.login(who).execute('SELECT * FROM hosting').fetchall(), [('Coffre', 'Hébergeur SA', 'Roubaix', '2026-03-01')])

    def test_only_the_authority_says_so_and_completely_and_once(self):
        a = self.p.authority
        for con in (self.me, self.t, self.mother):
            self.refused(42, con, self.ADD, ('a', 'b', 'c', None))
        self.refused(51, a, self.ADD, ('a', None, 'c', None))
        self.refused(53, a, self.ADD, ('a', 'b', 'c', 'hier'))
        self.refused(55, a, self.ADD, ('a' * 300, 'b', 'c', None))
        a.execute(self.ADD, ('a', 'b', 'c', None))
        self.refused(56, a, self.ADD, ('a', 'b', 'c', None))
        self.refused(49, a, 'UPDATE hosting SET place=?', ('x',))
        self.refused(49, a, 'DELETE FROM hosting')
        self.assertEqual(one(a, "SELECT count(*) FROM access_log WHERE action='hosting'"), 1)

    def test_an_entry_taken_out_of_the_file_is_told_by_dmp_verify(self):
        for n in range(3):
            self.p.authority.execute(self.ADD, ('a', 'b', 'c%d' % n, None))
        self.assertEqual(self.me.execute('SELECT * FROM dmp_verify').fetchall(), [])
        raw = self.p.raw()
        loc, = raw.execute('SELECT loc FROM dmp_certificate GROUP BY loc HAVING count(*)=3').fetchone()
        missed = []
        for row in raw.execute('SELECT id, loc, box FROM dmp_certificate WHERE loc=?', (loc,)).fetchall():
            raw.execute('DELETE FROM dmp_certificate WHERE id=?', row[:1])
            missed.append(self.p.login('patient').execute('SELECT place, kind, what FROM dmp_verify').fetchall())
            raw.execute('INSERT INTO dmp_certificate(id, loc, box) VALUES(?,?,?)', row)
        fault = ('dmp_certificate', 'fault', 'an entry of the hosting is missing, or was not signed by the authority')
        self.assertEqual(sorted(missed), [[], [fault], [fault]])   # whoever never saw the last one can't miss it
        self.assertEqual(self.me.execute('SELECT * FROM dmp_verify').fetchall(), [])

    def test_an_entry_that_the_authority_did_not_sign_is_shown_to_nobody(self):
        raw = self.p.raw()
        before = {r[0] for r in raw.execute('SELECT loc FROM dmp_certificate')}
        self.p.authority.execute(self.ADD, ('a', 'b', 'c', None))
        loc, = {r[0] for r in raw.execute('SELECT loc FROM dmp_certificate')} - before
        for box, in raw.execute('SELECT box FROM dmp_certificate').fetchall():
            raw.execute('INSERT INTO dmp_certificate(id, loc, box) VALUES(abs(random()), ?, ?)', (loc, box))
        me = self.p.login('patient')
        self.assertEqual(me.execute('SELECT place FROM hosting').fetchall(), [('c',)])
        self.assertEqual([r[0] for r in me.execute('SELECT kind FROM dmp_verify')], ['fault'])

    def test_feeds_are_off_until_the_patient_turns_them_on_and_opening_is_the_patients_recorded_consent(self):
        self.assertEqual(self.me.execute('SELECT * FROM feed').fetchall(), [])
        self.assertEqual(self.me.execute("SELECT grantee, recorded_by FROM consent WHERE basis='opening'").fetchall(), [(self.p.id['treating'],) * 2])
        self.p.authority.execute("INSERT INTO principal(kind,name,profession,certificate) VALUES('source','CAISSE','10',?)", (self.p.request('caisse'),))
        con = self.p.connect()
        one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key('caisse'), 'code-des-tests-1', self.p.fingerprint)
        self.fails(con, "INSERT INTO reimbursement(patient, label, care_date) VALUES(?, 'acte', '2026-03-12')", (self.pid,))
        self.assertEqual(self.me.execute('SELECT * FROM reimbursement').fetchall(), [])


if __name__ == '__main__':
    main()
