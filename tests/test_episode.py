#!/usr/bin/python3
"""A mask follows the episode: the report, its prescriptions, its reimbursement lines, and what comes later.
Usage: test_episode.py [BUILD_FOLDER [TEST_NAME...]]."""
import os
import subprocess
import time
import unittest
import harness
from harness import PIN, Case, Practice, documents, main, one

PEOPLE = {'treating': ('10', 1), 'gynaecologist': ('10', 0), 'pharmacist': ('21', 0), 'nurse': ('60', 0)}
FS = os.path.join(harness.BUILD, 'dmpfs')
WARNING = 'Attention, ce document est masqué aux professionnels de santé'


def insert(con, table, **columns):
    time.sleep(0.002)                                          # ids rise with the milliseconds
    con.execute('INSERT INTO %s(%s) VALUES(%s)' % (table, ','.join(columns), ','.join('?' * len(columns))), list(columns.values()))
    return one(con, 'SELECT last_insert_rowid()')


def prescribe(con, patient, label='Mifépristone 200 mg', **columns):
    return insert(con, 'prescription', **dict({'patient': patient, 'prescribed_at': '2026-03-02', 'label': label}, **columns))


def reimburse(con, patient, label='Forfait', **columns):
    return insert(con, 'reimbursement', **dict({'patient': patient, 'care_date': '2026-03-02', 'label': label}, **columns))


def deposit(con, patient, content=b'contenu', **columns):
    return insert(con, 'document', **dict({'patient': patient, 'content': content, 'title': 'Compte rendu', 'type_code': '11488-4', 'mime': 'text/plain'}, **columns))


def seen(con):
    """What a login sees of the three tables."""
    return sorted(r[0] for t in ('document', 'prescription', 'reimbursement') for r in con.execute('SELECT id FROM %s' % t))


class EpisodeCase(Case):
    def setUp(self):
        self.p = Practice(PEOPLE)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('marie', self.t, 'treating')
        self.m = self.p.login('marie')
        for who in ('gynaecologist', 'pharmacist', 'nurse'):
            self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))
        self.g, self.ph, self.n = (self.p.login(w) for w in ('gynaecologist', 'pharmacist', 'nurse'))

    def tearDown(self):
        self.p.drop()

    def source(self, name='caisse', on=True):
        self.p.authority.execute("INSERT INTO principal(kind,identifier,name,certificate) VALUES('source','180035024','Caisse',?)", (self.p.request(name),))
        con = self.p.connect()
        self.p.id[name] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key(name), PIN, self.p.fingerprint)
        if on:
            self.m.execute('INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id[name]))
        return con

    def act(self, by=None):
        """An act, its prescription and its reimbursement, all of one episode."""
        by = by or self.t
        return [deposit(by, self.pid, title='Acte', episode='e7'), prescribe(by, self.pid, episode='e7'), reimburse(by, self.pid, episode='e7')]

    def mask(self, episode='e7', by=None):
        (by or self.m).execute('INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, episode))

    def sound(self):
        for con in (self.t, self.m, self.g, self.ph, self.n):
            self.assertEqual(con.execute('SELECT place,kind,what FROM dmp_verify').fetchall(), [])

    # ---- sections ----


class Episode(EpisodeCase):
    def test_a_prescription_and_a_reimbursement_are_rows_for_whom_the_matrix_lets_read_them(self):
        a = prescribe(self.t, self.pid, 'Amoxicilline 1 g', code='J01CA04', dose='1 g', route='orale', frequency='3 fois par jour', duration='7 jours', renewals=2,
                      prescriber='Dr Martin', end_date='2026-03-09')
        b = reimburse(self.t, self.pid, 'Consultation', act_code='GS', quantity=1, amount=30, reimbursed='19.5', executant='Dr Martin')
        for con in (self.t, self.m, self.ph, self.n):
            self.assertEqual(con.execute('SELECT id,patient,depositor,confidentiality,masked,warning,prescribed_at,prescriber,label,code,renewals,end_date FROM prescription').fetchall(),
                             [(a, self.pid, self.p.id['treating'], 'N', 0, None, '2026-03-02', 'Dr Martin', 'Amoxicilline 1 g', 'J01CA04', 2, '2026-03-09')])
            self.assertEqual(con.execute('SELECT id,care_date,act_code,quantity,amount,reimbursed FROM reimbursement').fetchall(),
                             [(b, '2026-03-02', 'GS', 1, 30.0, 19.5)])
        self.p.person('optician', '28')
        self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['optician']))
        self.assertEqual(seen(self.p.login('optician')), [])
        self.sound()

    def test_a_line_is_found_by_its_id_its_patient_and_its_columns(self):
        a, b = prescribe(self.t, self.pid, 'Un', code='J01CA04'), prescribe(self.t, self.pid, 'Deux', prescribed_at='2026-04-01T10:00+02:00')
        self.assertEqual(one(self.ph, 'SELECT label FROM prescription WHERE id=?', b), 'Deux')
        self.assertEqual(one(self.ph, 'SELECT id FROM prescription WHERE patient=? AND code=?', self.pid, 'J01CA04'), a)
        self.assertEqual(one(self.ph, 'SELECT prescribed_at FROM prescription WHERE prescribed_at>?', '2026-03-15'), '2026-04-01T08:00:00Z')
        self.assertIsNone(one(self.ph, 'SELECT id FROM reimbursement WHERE id=?', a))

    def test_a_value_that_makes_no_sense_is_refused_by_its_column(self):
        for code, table, bad, column in [
                (51, 'prescription', {'label': None}, 'label'), (51, 'prescription', {'prescribed_at': None}, 'prescribed_at'), (53, 'prescription', {'prescribed_at': '2026-02-30'}, 'prescribed_at'),
                (52, 'prescription', {'code': '3400930000121'}, 'code'), (52, 'prescription', {'code': '^1.2'}, 'code'), (50, 'prescription', {'renewals': -1}, 'renewals'),
                (50, 'prescription', {'renewals': 'deux'}, 'renewals'), (52, 'prescription', {'confidentiality': 'X'}, 'confidentiality'), (61, 'prescription', {'note': b'\xff'.decode('latin-1') + '\0'}, 'note'),
                (52, 'reimbursement', {'act_code': 'acte'}, 'act_code'), (50, 'reimbursement', {'amount': 'cher'}, 'amount'), (50, 'reimbursement', {'amount': float('inf')}, 'amount'),
                (49, 'reimbursement', {'warning': 'x'}, 'warning'), (49, 'reimbursement', {'id': 7}, 'id')]:
            columns = dict({'prescription': {'prescribed_at': '2026-03-02', 'label': 'x'}, 'reimbursement': {'care_date': '2026-03-02', 'label': 'x'}}[table], patient=self.pid, **bad) \
                if not set(bad) & {'label', 'prescribed_at'} else dict({'prescribed_at': '2026-03-02', 'label': 'x', 'patient': self.pid}, **bad)
            got = self.refused(code, self.t, 'INSERT INTO %s(%s) VALUES(%s)' % (table, ','.join(columns), ','.join('?' * len(columns))), list(columns.values()))
            self.assertRegex(got, r'\(column %s[;)]' % column)
        for code in ('60002283', 'J01CA04', 'X1^1.2.250'):
            prescribe(self.t, self.pid, code=code)
        for code in ('DEQP003', 'AMI 4', 'TLS 1,5', '1234567', 'G', 'Z^1.2'):
            reimburse(self.t, self.pid, act_code=code)

    def test_only_the_depositor_deletes_a_line_and_nobody_changes_one(self):
        a = prescribe(self.t, self.pid)
        self.refused(48, self.ph, 'DELETE FROM prescription WHERE id=?', (a,))
        self.refused(48, self.m, 'DELETE FROM prescription')
        for con in (self.t, self.m):
            self.refused(49, con, "UPDATE prescription SET label='autre'")
        self.t.execute('DELETE FROM prescription WHERE id=?', (a,))
        for con in (self.t, self.m, self.ph):
            self.assertEqual(seen(con), [])
        self.sound()

    def test_who_may_not_read_a_line_may_deposit_one_and_keeps_it(self):
        self.p.person('optician', '28')
        self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['optician']))
        o = self.p.login('optician')
        a = reimburse(o, self.pid, 'Lunettes')
        self.assertEqual(seen(o), [a])
        self.assertEqual(seen(self.m), [a])
        self.p.person('stranger', '10')
        self.refused(43, self.p.login('stranger'), 'INSERT INTO prescription(patient,prescribed_at,label) VALUES(?,?,?)', (self.pid, '2026-03-02', 'x'))

    def test_listing_lines_and_depositing_one_stand_in_the_patient_s_log(self):
        a = prescribe(self.t, self.pid)
        self.assertEqual(seen(self.ph), [a])
        log = self.m.execute('SELECT name,action,object FROM access_log').fetchall()
        self.assertIn(('TREATING', 'deposit', a), log)
        self.assertIn(('PHARMACIST', 'list', None), log)

    def test_a_line_masked_by_itself_is_absent_and_comes_back(self):
        a, b = prescribe(self.t, self.pid), prescribe(self.t, self.pid, 'Paracétamol')
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        self.assertEqual((seen(self.ph), seen(self.t), seen(self.m)), ([b], [a, b], [a, b]))
        self.assertEqual(one(self.m, 'SELECT warning FROM prescription WHERE id=?', a), WARNING)
        self.m.execute('DELETE FROM mask WHERE document=?', (a,))
        self.assertEqual(seen(self.ph), [a, b])
        c = reimburse(self.t, self.pid, masked=1)
        self.assertEqual((seen(self.ph), seen(self.m)), ([a, b], [a, b, c]))
        self.sound()

    # ---- masks that follow the episode ----

    def test_a_mask_of_an_episode_takes_all_that_stems_from_it(self):
        kept = [deposit(self.t, self.pid), prescribe(self.t, self.pid, episode='e8'), reimburse(self.t, self.pid)]
        act = self.act()
        self.assertEqual(seen(self.ph), sorted(kept + act))
        self.mask()
        self.assertEqual((seen(self.ph), seen(self.n)), (kept, kept))
        for con in (self.t, self.m):
            self.assertEqual(seen(con), sorted(kept + act))
            for table in ('document', 'prescription', 'reimbursement'):
                self.assertEqual(con.execute("SELECT masked,warning FROM %s WHERE episode='e7'" % table).fetchall(), [(1, WARNING)])
            self.assertEqual(con.execute('SELECT patient,document,episode,grantee FROM mask').fetchall(), [(self.pid, None, 'e7', None)])
        self.sound()

    def test_unmasking_the_episode_brings_all_back_but_what_was_masked_by_itself(self):
        act = self.act()
        own, by = deposit(self.t, self.pid, title='Déposé masqué', episode='e7', masked=1), deposit(self.t, self.pid, episode='e7')
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (by,))
        self.mask()
        self.assertEqual(self.m.execute('SELECT document,episode FROM mask ORDER BY document').fetchall(), [(None, 'e7'), (own, 'e7'), (by, 'e7')])
        self.m.execute("DELETE FROM mask WHERE episode='e7' AND document IS NULL")
        self.assertEqual(seen(self.ph), act)
        self.assertEqual([r[0] for r in self.m.execute('SELECT document FROM mask ORDER BY 1')], [own, by])
        self.m.execute('DELETE FROM mask')
        self.assertEqual(seen(self.ph), sorted(act + [own, by]))
        self.sound()

    def test_masks_of_an_episode_are_refused_with_a_sentence_where_they_may_not_be(self):
        self.act()
        for con in (self.ph, self.g, self.n):
            self.refused(46, con, 'INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, 'e7'))
        self.refused(51, self.m, "INSERT INTO mask(episode) VALUES('e7')")
        self.refused(51, self.m, 'INSERT INTO mask(patient) VALUES(?)', (self.pid,))
        self.refused(49, self.m, 'INSERT INTO mask(patient,document,episode) VALUES(?,?,?)', (self.pid, 1, 'e7'))
        self.mask(by=self.t)
        self.refused(62, self.m, 'INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, 'e7'))
        self.assertEqual(self.ph.execute('SELECT * FROM mask').fetchall(), [])
        covered = documents(self.m)[0]
        self.refused(62, self.m, 'INSERT INTO mask(document) VALUES(?)', (covered,))
        own = deposit(self.t, self.pid, episode='e7', masked=1)
        self.refused(103, self.m, 'DELETE FROM mask WHERE document=?', (own,))
        self.assertEqual(seen(self.ph), [])
        self.sound()

    def test_a_line_that_arrives_later_for_a_masked_episode_stays_masked_whoever_deposits_it(self):
        caisse = self.source()
        act = self.act()
        self.mask()
        late = [reimburse(self.t, self.pid, 'du médecin traitant', episode='e7'), prescribe(self.m, self.pid, 'de la patiente', episode='e7'),
                prescribe(self.g, self.pid, 'du gynécologue', episode='e7'), reimburse(caisse, self.pid, 'de la caisse', episode='e7')]
        own = {id(self.g): [late[2]]}
        for login in (False, True):
            if login:
                self.m = self.p.login('marie')
            for con in (self.ph, self.n, self.g):
                self.assertEqual(seen(con), own.get(id(con), []))
            self.assertEqual(seen(self.m), sorted(act + late))
        self.assertEqual(seen(self.t), sorted(act + late))
        self.sound()
        self.m.execute('DELETE FROM mask')
        self.assertEqual(seen(self.ph), sorted(act + late))
        self.sound()

    def test_an_episode_may_be_masked_before_anything_of_it_is_there(self):
        self.mask('e99')
        a = reimburse(self.t, self.pid, episode='e99')
        self.assertEqual((seen(self.ph), seen(self.t)), ([], [a]))

    def test_a_professional_who_sees_the_episode_adds_to_it_openly_and_one_who_does_not_waits_for_a_full_holder(self):
        first = deposit(self.t, self.pid, episode='e1')
        open_ = prescribe(self.g, self.pid, episode='e1')
        self.assertEqual(seen(self.ph), [first, open_])
        waits = prescribe(self.g, self.pid, 'nouvel épisode', episode='e2')
        self.assertEqual((seen(self.ph), seen(self.g)), ([first, open_], [first, open_, waits]))
        self.assertEqual(one(self.g, 'SELECT masked FROM prescription WHERE id=?', waits), 1)
        self.assertIn('visible des autres professionnels', one(self.g, 'SELECT warning FROM prescription WHERE id=?', waits))
        for con in (self.t, self.m):
            self.assertEqual([r[0] for r in con.execute("SELECT kind FROM dmp_verify WHERE what LIKE 'items wait%'")], ['owed'])
        self.assertEqual(self.g.execute('SELECT * FROM dmp_verify').fetchall(), [])
        self.p.login('marie')                                  # a full holder's session finds the episode unmasked
        self.assertEqual(seen(self.ph), [first, open_, waits])
        self.assertEqual(self.g.execute('SELECT masked,warning FROM prescription WHERE id=?', (waits,)).fetchall(), [(0, None)])
        again = prescribe(self.g, self.pid, 'encore un', episode='e3')
        deposit(self.t, self.pid)                              # the treating doctor's next write does the same
        self.assertIn(again, seen(self.ph))
        self.p.login('marie')                                  # the patient's then says that nothing hides it from representatives
        self.sound()

    def test_what_a_depositor_sees_of_a_late_line_is_the_same_whether_its_episode_is_masked_or_new(self):
        self.act()
        self.mask()
        shown = []
        for episode in ('e7', 'jamais-vu'):
            prescribe(self.g, self.pid, 'x', episode=episode)
            shown.append(self.g.execute('SELECT masked,warning,confidentiality,hidden_from_representatives FROM prescription WHERE episode=?', (episode,)).fetchall())
        self.assertEqual(shown[0], shown[1])

    def test_a_mask_that_the_treating_doctor_could_not_finish_is_finished_by_the_patient_s_next_login(self):
        self.p.person('dentist', '40')
        self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['dentist']))
        d = self.p.login('dentist')
        a = deposit(self.t, self.pid, episode='e7')
        b = deposit(self.m, self.pid, episode='e7', type_code='ATTEST-RESID')     # a class that doctors do not read
        self.assertEqual(seen(d), [a, b])
        self.mask(by=self.t)
        self.assertEqual(seen(d), [b])
        self.m = self.p.login('marie')
        self.assertEqual((seen(d), seen(self.m)), ([], [a, b]))
        self.sound()

    def test_a_mask_of_an_episode_is_undone_by_a_rollback(self):
        act = self.act()
        self.m.execute('BEGIN')
        self.mask()
        self.assertEqual(len(self.m.execute('SELECT * FROM mask').fetchall()), 1)
        self.m.execute('ROLLBACK')
        self.assertEqual((seen(self.ph), self.m.execute('SELECT * FROM mask').fetchall()), (act, []))
        self.sound()

    def test_a_consent_given_while_an_episode_is_masked_does_not_open_it(self):
        self.act()
        self.mask()
        self.m.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.pid, self.p.id['nurse']))
        self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        self.assertEqual((seen(self.n), len(seen(self.m))), ([], 3))
        self.sound()

    # ---- feeds ----

    def test_a_feed_is_off_until_the_patient_turns_it_on(self):
        caisse = self.source(on=False)
        self.assertEqual(caisse.execute('SELECT * FROM feed').fetchall(), [])
        self.refused(43, caisse, 'INSERT INTO reimbursement(patient,care_date,label) VALUES(?,?,?)', (self.pid, '2026-03-02', 'x'))
        self.refused(47, self.t, 'INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id['caisse']))
        self.refused(106, self.m, 'INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        self.m.execute('INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id['caisse']))
        self.refused(56, self.m, 'INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id['caisse']))
        for con in (self.m, self.t, caisse):
            self.assertEqual(con.execute('SELECT patient,source,state FROM feed').fetchall(), [(self.pid, self.p.id['caisse'], 'on')])
        self.assertEqual(self.ph.execute('SELECT * FROM feed').fetchall(), [])
        a = reimburse(caisse, self.pid)
        self.m = self.p.login('marie')
        self.assertEqual(seen(self.m), [a])
        self.refused(106, self.m, "UPDATE feed SET state='parfois'")
        self.refused(49, self.m, 'UPDATE feed SET since=NULL')
        self.refused(47, self.t, "UPDATE feed SET state='off'")
        self.m.execute("UPDATE feed SET state='off'")
        self.assertEqual(caisse.execute('SELECT state FROM feed').fetchall(), [('off',)])
        self.refused(104, caisse, 'INSERT INTO reimbursement(patient,care_date,label) VALUES(?,?,?)', (self.pid, '2026-03-02', 'x'))
        self.assertEqual(seen(self.m), [a])                    # what came stays
        self.m.execute("UPDATE feed SET state='on'")
        b = reimburse(caisse, self.pid)
        self.m = self.p.login('marie')
        self.assertEqual(seen(self.m), [a, b])
        self.sound()

    def test_a_source_deposits_and_reads_nothing_not_even_what_it_deposited(self):
        caisse = self.source()
        self.act()
        a, b = reimburse(caisse, self.pid, episode='e7'), deposit(caisse, self.pid, b'KANARI', title='Relevé')
        for table in ('document', 'prescription', 'reimbursement', 'patient', 'identity', 'consent', 'mask', 'episode_suggestion'):
            self.assertEqual(caisse.execute('SELECT * FROM %s' % table).fetchall(), [], table)
        self.refused(41, caisse, 'SELECT dmp_read(?,0,9)', (b,))
        self.refused(46, caisse, 'INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, 'e7'))
        self.assertEqual([r[1] for r in caisse.execute('SELECT object,action FROM access_log') if r[0] in (a, b)], ['refused'])
        self.m = self.p.login('marie')
        self.assertEqual(one(self.m, 'SELECT content FROM document WHERE id=?', b), b'KANARI')
        self.assertIn(('Caisse', 'deposit', a), self.m.execute('SELECT name,action,object FROM access_log').fetchall())
        self.assertEqual(caisse.execute('SELECT kind,what FROM dmp_verify').fetchall(), [])
        self.sound()

    def test_an_automatic_line_is_masked_until_a_full_holder_finds_its_episode_unmasked(self):
        caisse = self.source()
        act = self.act()
        a, b = reimburse(caisse, self.pid, episode='e7'), reimburse(caisse, self.pid, 'sans épisode', care_date='2025-01-01')
        self.assertEqual(seen(self.ph), act)
        self.p.login('marie')
        self.assertEqual(seen(self.ph), sorted(act + [a, b]))
        self.assertEqual(self.ph.execute('SELECT masked FROM reimbursement').fetchall(), [(0,)] * 3)
        self.sound()

    def test_the_authority_registers_a_source_and_a_source_registers_nobody(self):
        caisse = self.source()
        self.assertEqual(self.m.execute("SELECT name,profession,registrar FROM principal WHERE kind='source'").fetchall(), [('Caisse', None, 0)])
        self.refused(42, self.p.authority, "INSERT INTO principal(kind,name,certificate,registrar) VALUES('source','x',?,1)", (self.p.request('x'),))
        self.refused(51, self.p.authority, "INSERT INTO principal(kind,name,certificate) VALUES('professional','x',?)", (self.p.request('y'),))
        self.refused(42, caisse, "INSERT INTO patient(birth_name,credential,pin) VALUES('X',?,?)", (self.p.key('z'), PIN))
        self.refused(44, self.m, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['caisse']))

    # ---- suggestions ----

    def test_items_without_an_episode_are_proposed_by_day_and_professional(self):
        self.act()
        deposit(self.t, self.pid, title='Autre', episode='e8', author='Dr Leroy', creation_time='2026-05-10')
        day = reimburse(self.t, self.pid)                                      # the day of e7's lines, nobody named
        both = prescribe(self.t, self.pid, prescriber='LEROY Anne', prescribed_at='2026-05-10')
        close = reimburse(self.t, self.pid, prescriber='Docteur Leroy', care_date='2026-05-20', prescription_date='2026-05-12')
        prescribe(self.t, self.pid, prescriber='Dr Petit', prescribed_at='2026-05-10')          # same day, somebody else
        reimburse(self.t, self.pid, prescriber='Dr Leroy', care_date='2026-05-14')              # too far
        for con in (self.t, self.m):
            self.assertEqual(con.execute('SELECT patient,item,episode,why,state FROM episode_suggestion ORDER BY item').fetchall(), [
                (self.pid, day, 'e7', 'même jour', 'proposed'), (self.pid, both, 'e8', 'même jour, même professionnel', 'proposed'),
                (self.pid, close, 'e8', 'même professionnel, à moins de quatre jours', 'proposed')])
        self.assertEqual(self.ph.execute('SELECT * FROM episode_suggestion').fetchall(), [])

    def test_an_accepted_suggestion_is_masked_with_its_episode_and_a_refused_one_is_not(self):
        act = self.act()
        a, b = reimburse(self.t, self.pid), reimburse(self.t, self.pid)
        self.mask()
        self.assertEqual(seen(self.ph), [a, b])
        self.m.execute("UPDATE episode_suggestion SET state='accepted' WHERE item=?", (a,))
        self.m.execute("UPDATE episode_suggestion SET state='refused' WHERE item=?", (b,))
        self.assertEqual(seen(self.ph), [b])
        self.assertEqual(self.m.execute('SELECT item,episode,state FROM episode_suggestion ORDER BY item').fetchall(), [(a, 'e7', 'accepted'), (b, 'e7', 'refused')])
        self.assertIsNone(one(self.m, 'SELECT episode FROM reimbursement WHERE id=?', a))       # as its depositor signed it
        self.m.execute("UPDATE episode_suggestion SET state='refused' WHERE item=?", (a,))
        self.assertEqual(seen(self.ph), [a, b])
        self.m.execute("UPDATE episode_suggestion SET state='accepted' WHERE item=?", (a,))
        self.m.execute('DELETE FROM mask')
        self.assertEqual(seen(self.ph), sorted(act + [a, b]))
        self.sound()

    def test_an_item_can_be_assigned_by_hand_to_one_episode_only(self):
        self.act()
        a = deposit(self.t, self.pid, creation_time='2020-01-01')
        self.m.execute('INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,?)', (self.pid, a, 'e7'))
        self.refused(105, self.m, 'INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,?)', (self.pid, a, 'e8'))
        self.refused(105, self.m, 'INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,?)', (self.pid, documents(self.m)[0], 'e8'))
        self.refused(107, self.m, "UPDATE episode_suggestion SET state='proposed'")
        self.refused(49, self.m, "UPDATE episode_suggestion SET episode='e9'")
        self.refused(46, self.ph, 'INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,?)', (self.pid, a, 'e7'))
        self.refused(49, self.m, 'DELETE FROM episode_suggestion')
        self.mask()
        self.assertEqual(seen(self.ph), [])

    def test_an_automatic_line_that_may_belong_to_a_masked_episode_waits_for_the_patient_s_word(self):
        caisse = self.source()
        self.act()
        self.mask()
        a, b, far = reimburse(caisse, self.pid), reimburse(caisse, self.pid), reimburse(caisse, self.pid, care_date='2024-01-01')
        self.m = self.p.login('marie')
        self.assertEqual(seen(self.ph), [far])
        self.assertEqual(self.m.execute('SELECT item,state FROM episode_suggestion').fetchall(), [(a, 'proposed'), (b, 'proposed')])
        self.m.execute("UPDATE episode_suggestion SET state='refused' WHERE item=?", (b,))
        self.m.execute("UPDATE episode_suggestion SET state='accepted' WHERE item=?", (a,))
        self.assertEqual(seen(self.ph), [b, far])
        self.sound()

    # ---- the file door ----

    @unittest.skipUnless(os.path.exists(FS) and os.path.exists('/dev/fuse') and os.geteuid() == 0, 'needs dmpfs, /dev/fuse and root')
    def test_the_documents_of_a_masked_episode_leave_a_live_mount_and_come_back_to_it(self):
        self.act()
        deposit(self.t, self.pid, title='Ordonnance', type_code='57833-6', episode='e7')
        deposit(self.t, self.pid, title='Consultation')
        point = os.path.join(self.p.folder, 'mount')
        os.mkdir(point)
        pin, own = os.pipe()
        os.write(own, PIN.encode() + b'\n')
        os.close(own)
        done = subprocess.run([FS, self.p.path, point, '-o', 'key=%s,pinfd=%d,ext=%s' % (self.p.key('pharmacist'), pin, harness.SO)], pass_fds=[pin], capture_output=True, text=True)
        os.close(pin)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(subprocess.run, ['umount', '-l', point], capture_output=True)

        def titles():
            return {w for _, _, files in os.walk(point) for f in files for w in ('Acte', 'Ordonnance', 'Consultation') if w in f}

        def becomes(want):
            end = time.monotonic() + 3
            while titles() != want and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(titles(), want)
        becomes({'Acte', 'Ordonnance', 'Consultation'})
        self.mask()
        becomes({'Consultation'})
        deposit(self.t, self.pid, title='Acte', episode='e7')
        deposit(self.g, self.pid, title='Ordonnance', episode='e7')
        time.sleep(2.2)
        self.assertEqual(titles(), {'Consultation'})
        self.m.execute('DELETE FROM mask')
        becomes({'Acte', 'Ordonnance', 'Consultation'})
        subprocess.run(['umount', point], check=True)

    # ---- costs ----

    def test_masking_an_episode_opens_what_the_patient_has_and_nothing_of_other_patients(self):
        def opened(patients):
            for i in range(patients):
                pid = self.p.patient('autre%d-%d' % (patients, i), self.t, 'treating')
                deposit(self.t, pid, episode='e7')
            t = self.p.login('treating')
            seen(t)
            before = one(t, 'SELECT boxes_opened FROM session')
            self.mask('f%d' % patients, by=t)
            return one(t, 'SELECT boxes_opened FROM session') - before
        for episode in ('f1', 'f10'):
            for i in range(20):
                prescribe(self.t, self.pid, episode=episode)
        few, many = opened(1), opened(10)
        self.assertLess(many, few * 1.1 + 10)


class HiddenFromRepresentatives(EpisodeCase):
    """What stems from an act that is hidden from representatives stays hidden from them, whoever deposits it and whenever."""

    def setUp(self):
        super().setUp()
        self.p.authority.execute("INSERT INTO principal(kind,name,certificate) VALUES('representative','MERE',?)", (self.p.request('mother'),))
        con = self.p.connect()
        self.p.id['mother'] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key('mother'), PIN, self.p.fingerprint)
        self.m.execute("INSERT INTO representative(patient,principal,ground) VALUES(?,?,'tuteur')", (self.pid, self.p.id['mother']))
        self.r, self.caisse = self.p.login('mother'), self.source()
        self.act7 = deposit(self.g, self.pid, episode='e7', hidden_from_representatives=1)
        self.act8 = deposit(self.g, self.pid, episode='e8')

    def settle(self):
        """The patient's session says where it belongs."""
        self.m = self.p.login('marie')

    def test_an_automatic_line_shows_to_representatives_only_when_nothing_of_its_episode_is_hidden(self):
        for episode in ('e7', 'e8'):
            reimburse(self.caisse, self.pid, label='Forfait ' + episode, episode=episode)
        for con in (self.r, self.ph, self.t):                 # neither read nor a write of theirs places it
            self.assertEqual(con.execute('SELECT count(*) FROM reimbursement').fetchone(), (0 if con in (self.r, self.ph) else 2,))
        deposit(self.r, self.pid, title='De la mère')
        self.assertEqual(self.r.execute('SELECT count(*) FROM reimbursement').fetchone(), (0,))
        self.settle()
        self.assertEqual(self.r.execute('SELECT label,masked FROM reimbursement').fetchall(), [('Forfait e8', 0)])
        for con in (self.m, self.ph, self.t):
            self.assertEqual(con.execute('SELECT label,masked,hidden_from_representatives FROM reimbursement ORDER BY 1').fetchall(),
                             [('Forfait e7', 0, 1), ('Forfait e8', 0, 0)])

    def test_a_line_that_a_professional_adds_to_a_hidden_act_is_hidden_too(self):
        hidden, shown = (prescribe(self.t, self.pid, episode=e) for e in ('e7', 'e8'))
        self.assertEqual(self.r.execute('SELECT count(*) FROM prescription').fetchone(), (0,))   # the act of e8 waits for the patient too
        self.settle()
        self.assertEqual(self.r.execute('SELECT id FROM prescription').fetchall(), [(shown,)])
        self.assertEqual(self.m.execute('SELECT id,hidden_from_representatives FROM prescription ORDER BY id').fetchall(), [(hidden, 1), (shown, 0)])
        self.m.execute('UPDATE prescription SET hidden_from_representatives=0 WHERE id=?', (hidden,))
        self.assertEqual(self.r.execute('SELECT count(*) FROM prescription').fetchone(), (2,))
        self.refused(94, self.m, 'UPDATE prescription SET hidden_from_representatives=1 WHERE id=?', (hidden,))
        self.refused(49, self.m, "UPDATE prescription SET label='x' WHERE id=?", (hidden,))

    def test_a_line_is_hidden_from_representatives_by_its_depositor_but_not_by_a_representative(self):
        line = prescribe(self.g, self.pid, hidden_from_representatives=1)
        self.assertEqual(self.r.execute('SELECT count(*) FROM prescription').fetchone(), (0,))
        self.assertEqual(self.m.execute('SELECT id,warning FROM prescription').fetchall(),
                         [(line, "Attention, ce document n'est pas visible des représentants légaux")])
        self.refused(101, self.r, 'INSERT INTO prescription(patient,prescribed_at,label,hidden_from_representatives) VALUES(?,?,?,1)',
                     (self.pid, '2026-03-02', 'x'))

    def test_masking_and_unmasking_a_hidden_episode_shows_nothing_of_it_to_representatives(self):
        reimburse(self.caisse, self.pid, label='Forfait e7', episode='e7')
        self.settle()
        self.m.execute("INSERT INTO mask(patient,episode) VALUES(?,'e7')", (self.pid,))
        late = reimburse(self.caisse, self.pid, label='Tard', episode='e7')
        self.settle()
        self.assertEqual(seen(self.r), [self.act8])
        self.assertEqual(self.m.execute('SELECT masked,hidden_from_representatives FROM reimbursement WHERE id=?', (late,)).fetchall(), [(1, 1)])
        self.m.execute("DELETE FROM mask WHERE episode='e7'")
        self.assertEqual(seen(self.r), [self.act8])
        self.assertIn(late, seen(self.ph))

    def test_a_masked_line_that_is_not_hidden_shows_to_representatives_as_to_the_patient(self):
        self.m.execute("INSERT INTO mask(patient,episode) VALUES(?,'e8')", (self.pid,))
        late = reimburse(self.caisse, self.pid, label='Tard', episode='e8')
        self.settle()
        self.assertEqual(self.r.execute('SELECT id,masked FROM reimbursement').fetchall(), [(late, 1)])
        self.assertEqual(self.ph.execute('SELECT count(*) FROM reimbursement').fetchone(), (0,))

    def test_what_the_treating_doctor_places_shows_to_representatives_once_the_patient_who_sees_all_has_logged_in(self):
        self.m.execute("INSERT INTO mask(document,grantee) VALUES(?,'treating')", (self.act7,))
        for episode in ('e7', 'e8'):
            reimburse(self.caisse, self.pid, label='Forfait ' + episode, episode=episode)
        deposit(self.t, self.pid)                             # the doctor does not see the act of e7
        self.assertEqual(self.ph.execute('SELECT count(*) FROM reimbursement').fetchone(), (2,))
        self.assertEqual(self.r.execute('SELECT count(*) FROM reimbursement').fetchone(), (0,))
        self.settle()
        self.assertEqual(self.r.execute('SELECT label FROM reimbursement').fetchall(), [('Forfait e8',)])
        self.assertEqual(self.m.execute("SELECT what FROM dmp_verify WHERE what LIKE 'items wait%'").fetchall(), [])

    def test_what_was_said_of_an_item_shows_to_whom_the_item_does(self):
        line = prescribe(self.g, self.pid)
        self.m.execute("INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,'e8')", (self.pid, line))
        said = 'SELECT item,episode,state FROM episode_suggestion'
        self.assertIn((line, 'e8', 'accepted'), self.t.execute(said).fetchall())
        self.m.execute("INSERT INTO mask(document,grantee) VALUES(?,'treating')", (line,))
        self.assertIn((line, 'e8', 'accepted'), self.m.execute(said).fetchall())
        self.assertEqual([x for x in self.t.execute(said).fetchall() if x[0] == line], [])
        secret = deposit(self.g, self.pid, invisible_patient=1)
        self.t.execute("INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,'e8')", (self.pid, secret))
        self.assertIn((secret, 'e8', 'accepted'), self.t.execute(said).fetchall())
        self.assertEqual([x for x in self.m.execute(said).fetchall() if x[0] == secret], [])


if __name__ == '__main__':
    main()
