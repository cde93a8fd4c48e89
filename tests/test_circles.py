#!/usr/bin/python3
"""Masks to certain people: a professional, a profession, the treating doctor. Whoever is left out sees what he would see if the item had
never been; everybody else goes on reading.  Usage: test_circles.py [BUILD_FOLDER [TEST_NAME...]]."""
import os
import subprocess
import time
import unittest
import harness
from harness import PIN, Case, Practice, documents, main, one
from test_episode import deposit, prescribe, reimburse, seen
from test_representatives import FAKETIME, later

PEOPLE = {'doctor': ('10', 1), 'gynaecologist': ('10', 0), 'pharmacist': ('21', 0), 'nurse': ('60', 0), 'nurse2': ('60', 0)}
CONSENTED = ('gynaecologist', 'pharmacist', 'nurse')


class Circles(Case):
    def setUp(self):
        self.p = Practice(PEOPLE)
        self.t = self.p.login('doctor')
        self.pid = self.p.patient('marie', self.t, 'doctor')
        self.m = self.p.login('marie')
        for who in CONSENTED:
            self.consent(who)
        self.g, self.ph, self.n = (self.p.login(w) for w in CONSENTED)

    def tearDown(self):
        self.p.drop()

    def consent(self, who, by=None):
        (by or self.m).execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))

    def withdraw(self, who, by=None):
        (by or self.m).execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.pid, self.p.id[who]))

    def mask(self, document, grantee, by=None):
        (by or self.m).execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (document, self.p.id.get(grantee, grantee)))

    def unmask(self, document, grantee, by=None):
        (by or self.m).execute('DELETE FROM mask WHERE document=? AND grantee=?', (document, self.p.id.get(grantee, grantee)))

    def mask_episode(self, episode, grantee, by=None):
        (by or self.m).execute('INSERT INTO mask(patient,episode,grantee) VALUES(?,?,?)', (self.pid, episode, self.p.id.get(grantee, grantee)))

    def sees(self, **expected):
        for name, ids in expected.items():
            con = {'t': self.t, 'm': self.m, 'g': self.g, 'ph': self.ph, 'n': self.n}[name]
            self.assertEqual(seen(con), sorted(ids), name)

    def sound(self, *more):
        for con in (self.m, self.t, self.g, self.ph, self.n) + more:
            self.assertEqual(con.execute('SELECT place,row,kind,what FROM dmp_verify').fetchall(), [])

    # ---- one document ----

    def test_a_document_masked_from_one_professional_is_absent_for_him_and_stays_for_all_others(self):
        a, b = deposit(self.g, self.pid), deposit(self.g, self.pid, title='Autre')
        self.mask(a, 'pharmacist')
        self.sees(ph=[b], n=[a, b], g=[a, b], t=[a, b], m=[a, b])
        self.assertEqual([one(c, 'SELECT masked FROM document WHERE id=?', a) for c in (self.n, self.t, self.m)], [0, 0, 0])
        self.refused(41, self.ph, 'SELECT dmp_read(?,0,10)', (a,))
        self.sound()

    def test_unmasking_gives_it_back(self):
        a = deposit(self.g, self.pid)
        self.mask(a, 'pharmacist')
        self.unmask(a, 'pharmacist')
        self.sees(ph=[a], n=[a], t=[a], m=[a])
        self.assertEqual(self.m.execute('SELECT count(*) FROM mask').fetchone(), (0,))
        self.sound()

    def test_a_profession_is_left_out_also_who_is_consented_later(self):
        a = deposit(self.g, self.pid)
        self.mask(a, 'profession:60')
        self.consent('nurse2')
        n2 = self.p.login('nurse2')
        self.sees(ph=[a], n=[], t=[a], m=[a])
        self.assertEqual(seen(n2), [])
        self.sound(n2)

    def test_who_is_consented_later_and_not_left_out_reads_it(self):
        a = deposit(self.g, self.pid)
        self.mask(a, 'pharmacist')
        self.consent('nurse2', self.t)
        n2 = self.p.login('nurse2')
        self.assertEqual(seen(n2), [a])
        self.p.login('marie', self.m)                          # a class that the treating doctor lacks
        self.sound(n2)

    def test_the_treating_doctor_is_left_out_by_the_patient_and_sees_no_trace(self):
        a, b = deposit(self.g, self.pid), deposit(self.g, self.pid)
        self.mask(a, 'treating')
        self.sees(t=[b], ph=[a, b], n=[a, b], m=[a, b], g=[a, b])
        self.assertEqual(self.t.execute('SELECT * FROM mask').fetchall(), [])
        self.assertEqual(self.m.execute('SELECT document,grantee FROM mask').fetchall(), [(a, 'treating')])
        self.sound()

    def test_the_log_tells_the_treating_doctor_nothing_of_what_is_masked_from_him_and_the_patient_all(self):
        a, b = deposit(self.g, self.pid, episode='e7'), deposit(self.n, self.pid)
        self.mask(a, 'treating')
        self.mask_episode('e7', 'treating')
        self.mask(b, 'pharmacist')
        for con in (self.n, self.m):
            one(con, 'SELECT dmp_read(?,0,10)', a)
            one(con, 'SELECT dmp_read(?,0,10)', b)
        log = 'SELECT action,object,reason FROM access_log'
        t, m = self.t.execute(log).fetchall(), self.m.execute(log).fetchall()
        self.assertNotIn(a, [r[1] for r in t])
        self.assertIn(('read', b, None), t)
        self.assertEqual([r for r in t if r[0] == 'mask'], [('mask', b, str(self.p.id['pharmacist']))])
        self.assertIn(('mask', a, 'treating'), m)
        self.assertGreaterEqual(m.count(('read', a, None)), 2)
        self.m.execute('DELETE FROM mask WHERE document=?', (a,))
        self.m.execute("DELETE FROM mask WHERE episode='e7'")
        t = self.t.execute(log).fetchall()
        self.assertIn(('read', a, None), t)                    # he may know it again
        self.assertEqual([r for r in t if r[2] == 'treating'], [])

    def test_a_new_treating_doctor_is_left_out_too_and_the_former_one_stays_out(self):
        a, b = deposit(self.g, self.pid), deposit(self.g, self.pid)
        self.mask(a, 'treating')
        self.m.execute('UPDATE patient SET treating_doctor=?', (self.p.id['gynaecologist'],))
        self.sees(t=[], g=[a, b], ph=[a, b], m=[a, b])         # g keeps what she deposited
        self.m.execute('UPDATE patient SET treating_doctor=?', (self.p.id['doctor'],))
        self.sees(t=[b], g=[a, b])
        self.p.person('third', '10')
        self.m.execute('UPDATE patient SET treating_doctor=?', (self.p.id['third'],))
        third = self.p.login('third')
        self.assertEqual(seen(third), [b])
        self.consent('doctor')
        self.sees(t=[b], n=[a, b], m=[a, b])
        self.assertEqual(third.execute('SELECT count(*) FROM mask').fetchone(), (0,))
        self.sound(third)

    def test_a_mask_to_a_person_follows_the_person_who_becomes_treating_doctor(self):
        a, b = deposit(self.n, self.pid), deposit(self.n, self.pid)
        self.mask(a, 'gynaecologist')
        self.assertEqual(self.t.execute('SELECT document,grantee FROM mask').fetchall(), [(a, self.p.id['gynaecologist'])])
        self.m.execute('UPDATE patient SET treating_doctor=?', (self.p.id['gynaecologist'],))
        self.sees(g=[b], n=[a, b], m=[a, b], t=[])
        self.assertEqual(self.g.execute('SELECT * FROM mask').fetchall(), [])
        self.m.execute('UPDATE patient SET treating_doctor=?', (self.p.id['doctor'],))
        self.sees(t=[a, b], g=[])
        self.assertEqual(self.t.execute('SELECT document,grantee FROM mask').fetchall(), [(a, self.p.id['gynaecologist'])])
        self.consent('gynaecologist')
        self.sees(g=[b])
        self.unmask(a, 'gynaecologist', self.t)
        self.sees(g=[a, b])
        self.sound()

    def test_several_are_left_out_one_after_the_other_and_come_back_one_by_one(self):
        a = deposit(self.g, self.pid)
        self.mask(a, 'pharmacist')
        self.mask(a, 'nurse', self.t)
        self.sees(ph=[], n=[], t=[a], m=[a])
        self.mask(a, 'treating')
        self.sees(ph=[], n=[], t=[], m=[a])
        self.unmask(a, 'nurse')
        self.sees(ph=[], n=[a], t=[], m=[a])
        self.unmask(a, 'treating')
        self.sees(ph=[], n=[a], t=[a], m=[a])
        self.unmask(a, 'pharmacist', self.t)
        self.sees(ph=[a], n=[a], t=[a], m=[a])
        self.sound()

    def test_a_mask_to_somebody_and_one_to_all_professionals_add_up(self):
        a = deposit(self.g, self.pid)
        self.mask(a, 'treating')
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        self.sees(ph=[], n=[], t=[], m=[a], g=[a])
        self.assertEqual(one(self.m, 'SELECT masked FROM document'), 1)
        self.m.execute('DELETE FROM mask WHERE document=? AND grantee IS NULL', (a,))
        self.sees(ph=[a], n=[a], t=[], m=[a], g=[a])
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        self.unmask(a, 'treating')
        self.sees(ph=[], n=[], t=[a], m=[a], g=[a])
        self.sound()

    def test_who_may_not_mask_is_refused(self):
        a = deposit(self.g, self.pid)
        sql, nobody = 'INSERT INTO mask(document,grantee) VALUES(?,?)', self.p.id['nurse']
        self.refused(46, self.ph, sql, (a, nobody))
        self.refused(46, self.n, 'INSERT INTO mask(patient,episode,grantee) VALUES(?,?,?)', (self.pid, 'e7', nobody))
        for who in (self.p.id['doctor'], 'treating', 'profession:10'):
            self.refused(121, self.t, sql, (a, who))
            self.refused(121, self.t, 'INSERT INTO mask(patient,episode,grantee) VALUES(?,?,?)', (self.pid, 'e7', who))
        self.refused(122, self.m, sql, (a, self.p.id['gynaecologist']))
        for who in ('profession:9999', 'profession:', 'profession:60x', 'toto', self.pid):
            self.refused(120 if isinstance(who, str) else 44, self.m, sql, (a, who))
        self.refused(120, self.m, sql, (a, self.p.id['authority']))
        self.refused(44, self.m, sql, (a, 12345))
        self.refused(50, self.m, sql, (a, 1.5))
        self.mask(a, 'nurse')
        self.refused(123, self.m, sql, (a, nobody))
        self.refused(41, self.n, sql, (a, nobody))             # the same as for what is not there
        self.assertEqual(self.n.execute('DELETE FROM mask').rowcount, 0)
        self.sees(n=[], ph=[a], t=[a], m=[a])
        self.sound()

    def test_a_rollback_masks_nothing(self):
        a = deposit(self.g, self.pid)
        for who in ('pharmacist', 'treating'):
            self.m.execute('BEGIN')
            self.mask(a, who)
            self.m.execute('ROLLBACK')
            self.sees(ph=[a], t=[a], m=[a])
            self.m.execute('SAVEPOINT s')
            self.mask(a, who)
            self.m.execute('ROLLBACK TO s')
            self.m.execute('RELEASE s')
            self.sees(ph=[a], t=[a], m=[a])
        self.assertEqual(self.m.execute('SELECT count(*) FROM mask').fetchone(), (0,))
        self.mask(a, 'pharmacist')
        self.sees(ph=[], t=[a], m=[a])
        self.sound()

    def test_what_the_treating_doctor_cannot_do_for_a_newcomer_the_patient_s_login_does(self):
        a, b = deposit(self.n, self.pid), deposit(self.n, self.pid)
        self.mask(a, 'treating')
        self.consent('nurse2', self.t)
        n2 = self.p.login('nurse2')
        self.assertEqual(seen(n2), [b])
        m = self.p.connect()
        self.assertTrue(any('circle' in r[0] for r in self.m.execute("SELECT what FROM dmp_verify WHERE kind='owed'")))
        self.p.login('marie', m)
        self.assertEqual(one(m, 'SELECT owed FROM session'), 0)
        self.assertEqual(seen(n2), [a, b])
        self.sees(t=[b], n=[a, b])
        self.sound(n2)

    def test_nothing_new_is_put_where_somebody_reads_whom_the_treating_doctor_withdrew(self):
        a = deposit(self.g, self.pid)
        self.mask(a, 'treating')
        self.withdraw('nurse', self.t)
        self.sees(n=[], ph=[a])
        b = deposit(self.g, self.pid)
        self.mask(b, 'treating')                               # without a new login: the key turns before b is put in
        self.assertEqual([r for r in self.m.execute("SELECT what FROM dmp_verify WHERE kind='owed' AND what LIKE '%circle%'")], [])
        self.sees(n=[], ph=[a, b], t=[], m=[a, b])

    def test_representatives_read_what_the_patient_reads(self):
        self.p.authority.execute("INSERT INTO principal(kind,name,certificate) VALUES('representative','MERE',?)", (self.p.request('mother'),))
        con = self.p.connect()
        self.p.id['mother'] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key('mother'), PIN, self.p.fingerprint)
        a, h = deposit(self.g, self.pid), deposit(self.g, self.pid, hidden_from_representatives=1)
        self.mask(a, 'treating')
        self.mask(h, 'pharmacist')
        self.m.execute("INSERT INTO representative(patient,principal,ground) VALUES(?,?,'tuteur')", (self.pid, self.p.id['mother']))
        self.assertEqual(seen(con), [a])
        self.sees(ph=[a], t=[h], n=[a, h], m=[a, h])
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        self.assertEqual(seen(con), [a])
        self.refused(120, self.m, 'INSERT INTO mask(document,grantee) VALUES(?,?)', (a, self.p.id['mother']))
        self.m.execute('UPDATE document SET hidden_from_representatives=0 WHERE id=?', (h,))
        self.assertEqual(seen(con), [a, h])
        self.sees(ph=[], t=[h], n=[h], m=[a, h])
        self.sound(con)
        self.m.execute('DELETE FROM representative')
        self.assertEqual(seen(con), [])
        self.sound(con)

    def test_who_can_read_is_told_by_who_was_given_the_circle_s_key(self):
        a = deposit(self.g, self.pid)
        self.mask(a, 'treating')
        can = lambda con: sorted(r[0] for r in con.execute('SELECT DISTINCT principal FROM access_right WHERE document=?', (a,)))
        self.assertEqual(can(self.m), sorted([self.pid] + [self.p.id[w] for w in CONSENTED]))
        self.assertEqual(can(self.t), [])
        sees_as = lambda who: [r[0] for r in self.m.execute('SELECT id FROM document_as(?)', (self.p.id[who],))]
        self.assertEqual((sees_as('nurse'), sees_as('doctor')), ([a], []))
        self.mask(a, 'nurse')
        self.assertEqual(can(self.m), sorted([self.pid, self.p.id['gynaecologist'], self.p.id['pharmacist']]))
        self.assertEqual(sees_as('nurse'), [])
        b = deposit(self.t, self.pid)
        self.mask(b, 'profession:10')
        self.assertEqual(self.m.execute('SELECT id,masked FROM document_as(?)', (self.p.id['doctor'],)).fetchall(),
                         self.t.execute('SELECT id,masked FROM document').fetchall())

    # ---- the host, and mounts ----

    def test_a_packet_that_the_host_drops_is_an_error_and_never_an_empty_answer(self):
        a, raw = deposit(self.g, self.pid), self.p.raw()
        before = {r[0] for r in raw.execute('SELECT id FROM dmp_grant')}
        self.mask(a, 'pharmacist')
        new = raw.execute('SELECT id,loc,box FROM dmp_grant').fetchall()
        new = [r for r in new if r[0] not in before]
        self.assertEqual(len({len(r[2]) for r in new}), 1)     # who is left out gets one of the same size
        raw.executemany('DELETE FROM dmp_grant WHERE id=?', [r[:1] for r in new])
        for con in (self.n, self.ph, self.t):
            self.refused(37, con, 'SELECT id FROM document')
        raw.executemany('INSERT INTO dmp_grant(id,loc,box) VALUES(?,?,?)', new)
        self.sees(ph=[], n=[a], t=[a])

    def test_an_old_packet_put_back_after_the_key_turned_gives_nobody_anything(self):
        a, raw = deposit(self.g, self.pid), self.p.raw()
        self.mask(a, 'pharmacist')
        kept = raw.execute('SELECT id,loc,box FROM dmp_grant').fetchall()
        b = deposit(self.n, self.pid)                          # adopts his packet
        self.withdraw('nurse')
        self.sees(n=[b], ph=[b])
        raw.executemany('INSERT OR IGNORE INTO dmp_grant(id,loc,box) VALUES(?,?,?)', kept)
        for con in (self.n, self.ph, self.g):
            self.assertIn(seen(con), ([b], [a, b]))
        self.sees(n=[b], ph=[b], g=[a, b])

    def test_in_the_mount_of_who_is_left_out_the_file_is_gone_within_two_seconds(self):
        a = deposit(self.g, self.pid, title='Compte rendu masqué')
        deposit(self.g, self.pid, title='Autre')
        at = os.path.join(self.p.folder, 'mnt')
        os.mkdir(at)
        reader, pin = os.pipe()
        os.write(pin, PIN.encode() + b'\n')
        os.close(pin)
        fs = subprocess.Popen([os.path.join(harness.BUILD, 'dmpfs'), self.p.path, at, '-o', 'key=%s,pinfd=%d,ext=%s' % (self.p.key('pharmacist'), reader, harness.SO), '-f'],
                              pass_fds=[reader])
        os.close(reader)
        files = lambda: sorted(f for _, _, names in os.walk(at) for f in names if 'masqué' in f)
        try:
            self.wait(lambda: files())
            self.mask(a, 'pharmacist')
            self.wait(lambda: not files(), 2)
        finally:
            subprocess.run(['fusermount3', '-u', at])
            fs.wait(10)

    def wait(self, done, seconds=10):
        end = time.time() + seconds
        while not done():
            self.assertLess(time.time(), end)
            time.sleep(0.05)

    # ---- teams ----

    def team(self, name, *members, role='60'):
        self.p.authority.execute("INSERT INTO principal(kind,name,profession,facility) VALUES('team',?,?,'Cabinet')", (name, role))
        self.p.id[name] = one(self.p.authority, 'SELECT last_insert_rowid()')
        self.p.authority.execute('INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (self.p.id[name], self.p.id[members[0]]))
        first = self.p.login(members[0])
        for who in members[1:]:
            first.execute('INSERT INTO membership(team,member) VALUES(?,?)', (self.p.id[name], self.p.id[who]))
        return first

    def test_a_mask_to_a_team_leaves_out_its_members_whatever_else_they_were_granted_and_who_joins_later(self):
        manager = self.team('équipe', 'nurse2')
        a, b = deposit(self.g, self.pid), deposit(self.g, self.pid)
        self.mask(a, 'équipe')
        self.sees(n=[a, b], ph=[a, b], t=[a, b])
        self.consent('équipe')
        n2 = self.p.login('nurse2')
        self.assertEqual(seen(n2), [b])
        self.consent('nurse2')
        self.assertEqual(seen(n2), [b])
        manager.execute('INSERT INTO membership(team,member) VALUES(?,?)', (self.p.id['équipe'], self.p.id['nurse']))
        self.p.login('marie', self.m)                          # he held the key: it turns at the next login
        self.sees(n=[b], ph=[a, b], t=[a, b], m=[a, b])
        self.sound(n2)

    def test_who_joins_a_team_that_is_left_out_reads_no_longer_than_until_the_treating_doctor_or_the_patient_logs_in(self):
        manager = self.team('équipe', 'nurse2')
        a, b = deposit(self.g, self.pid), deposit(self.g, self.pid)
        self.mask(a, 'équipe')
        manager.execute('INSERT INTO membership(team,member) VALUES(?,?)', (self.p.id['équipe'], self.p.id['nurse']))
        late = deposit(self.g, self.pid, replaces=one(self.g, 'SELECT unique_id FROM document WHERE id=?', a))
        self.assertEqual(one(self.m, "SELECT count(*) FROM dmp_verify WHERE kind='owed'"), 2)   # the circle, and what came late
        self.assertNotIn(late, seen(self.n))                   # nothing new is put where he still reads
        self.p.login('doctor', self.t)
        self.sees(n=[b], ph=[a, b, late], g=[a, b, late])
        self.p.login('marie', self.m)
        self.sees(n=[b], ph=[a, b, late], g=[a, b, late])
        self.sound()

    def test_members_of_a_team_hold_a_circle_by_name_and_nobody_slips_in_who_is_left_out(self):
        a, b = deposit(self.g, self.pid), deposit(self.g, self.pid)
        manager = self.team('équipe', 'nurse2')
        self.consent('équipe')
        n2 = self.p.login('nurse2')
        self.assertEqual(seen(n2), [a, b])
        self.mask(a, 'nurse')
        manager.execute('INSERT INTO membership(team,member) VALUES(?,?)', (self.p.id['équipe'], self.p.id['nurse']))
        self.sees(n=[b])
        self.assertEqual(seen(n2), [a, b])
        self.consent('nurse2')
        self.assertEqual(seen(n2), [a, b])
        self.m.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['nurse2'],))
        self.assertEqual(seen(n2), [a, b])                     # a member by name again
        manager.execute('UPDATE membership SET manager=1 WHERE member=?', (self.p.id['nurse'],))
        self.p.login('nurse').execute('DELETE FROM membership WHERE member=?', (self.p.id['nurse2'],))
        self.assertEqual(seen(n2), [])
        self.p.login('marie', self.m)
        self.assertEqual(seen(self.p.login('nurse2')), [])
        self.sees(n=[b])
        self.sound(n2)

    def test_a_mask_that_gives_a_circle_a_new_key_takes_the_item_out_of_it(self):
        a, b = (deposit(self.g, self.pid, episode='e1') for _ in range(2))
        manager = self.team('équipe', 'nurse2')
        self.consent('équipe')
        for document in (a, b):
            self.mask(document, 'treating')
        self.withdraw('nurse')
        manager.execute('INSERT INTO membership(team,member) VALUES(?,?)', (self.p.id['équipe'], self.p.id['nurse']))
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        self.sees(m=[a, b], t=[], n=[b])
        self.sound()

    @unittest.skipUnless(FAKETIME, 'needs the package faketime, and no sanitizer')
    def test_a_circle_ends_for_the_members_of_a_team_with_the_consent_to_it_also_where_they_read_less_through_another(self):
        """The pharmacists of the desk, of which one nurse is a member too, may not read what nurses may."""
        p = self.p
        a = deposit(self.g, self.pid, type_code='34842-5')
        self.team('soins', 'nurse2')
        self.team('accueil', 'nurse2', role='21')
        self.consent('accueil')
        self.m.execute('INSERT INTO consent(patient,grantee,until) VALUES(?,?,?)', (self.pid, p.id['soins'], time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 86400))))
        masked = 'INSERT INTO mask(document,grantee) VALUES(%d,%d)' % (a, p.id['nurse'])
        asked = ('SELECT id FROM document', 'SELECT count(*) FROM patient')
        readers = 'SELECT principal FROM access_right WHERE document=%d AND principal=%d' % (a, p.id['nurse2'])
        self.m.execute(masked)                                 # made while both consents last
        self.assertEqual(seen(p.login('nurse2')), [a])
        self.assertEqual(later(p, '+2d', 'nurse2', *asked), [[], [[1]]])
        self.assertEqual(later(p, '+2d', 'doctor', readers), [[]])
        self.unmask(a, 'nurse')
        self.assertEqual(later(p, '+2d', 'doctor', masked), [[]])      # made when one is over, and its keys have not turned
        self.assertEqual(later(p, '+2d', 'nurse2', *asked), [[], [[1]]])

    # ---- episodes ----

    def act(self, by=None):
        by = by or self.g
        return [deposit(by, self.pid, title='Acte', episode='e7'), prescribe(by, self.pid, episode='e7'), reimburse(by, self.pid, episode='e7')]

    def test_an_episode_masked_from_somebody_takes_its_lines_along_and_what_comes_later(self):
        act, other = self.act(), deposit(self.g, self.pid)
        self.mask_episode('e7', 'pharmacist')
        self.sees(ph=[other], n=act + [other], t=act + [other], m=act + [other])
        late = reimburse(self.ph, self.pid, episode='e7')      # she keeps what she put in
        self.sees(ph=[other, late], n=act + [other], m=act + [other, late])
        self.p.login('marie', self.m)
        self.sees(ph=[other, late], n=act + [other, late], m=act + [other, late], t=act + [other, late])
        mine = prescribe(self.t, self.pid, episode='e7')       # who knows puts it there at once
        self.sees(ph=[other, late], n=act + [other, late, mine], t=act + [other, late, mine])
        self.p.login('marie')                                  # says that nothing hides it from representatives
        self.sound()
        self.m.execute("DELETE FROM mask WHERE episode='e7'")
        self.sees(ph=act + [other, late, mine], n=act + [other, late, mine])
        self.sound()

    def test_what_comes_late_for_an_episode_masked_from_the_treating_doctor_is_not_shown_to_him(self):
        self.p.authority.execute("INSERT INTO principal(kind,identifier,name,certificate) VALUES('source','180035024','Caisse',?)", (self.p.request('caisse'),))
        source = self.p.connect()
        self.p.id['caisse'] = one(source, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key('caisse'), PIN, self.p.fingerprint)
        self.m.execute('INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id['caisse']))
        act = self.act(self.n)
        self.mask_episode('e7', 'treating')
        reimburse(source, self.pid, episode='e7')
        self.sees(t=[], n=act)
        self.assertEqual([r for r in self.t.execute("SELECT what FROM dmp_verify")], [])
        other = reimburse(source, self.pid, episode='e8')
        mine = deposit(self.t, self.pid)                       # his write says where what is late belongs, of what he knows
        self.sees(t=[other, mine], n=act + [other, mine])
        self.assertEqual([r for r in self.t.execute("SELECT what FROM dmp_verify")], [])
        late = [r[0] for r in self.m.execute("SELECT id FROM reimbursement WHERE episode='e7'") if r[0] not in act]
        self.assertEqual(len(late), 1)
        self.refused(41, self.t, 'INSERT INTO mask(document) VALUES(?)', (late[0],))
        self.assertNotIn(late[0], [r[0] for r in self.t.execute('SELECT object FROM access_log')])
        self.assertEqual(self.t.execute('SELECT count(*) FROM reimbursement WHERE id=?', late).fetchone(), (0,))
        self.p.login('marie', self.m)
        self.sees(t=[other, mine], n=act + [other, mine] + late, m=act + [other, mine] + late)
        self.m.execute("DELETE FROM mask WHERE episode='e7'")
        self.sees(t=act + [other, mine] + late)
        late.append(reimburse(source, self.pid, episode='e7'))
        self.sees(t=act + [other, mine] + late)
        self.p.login('marie', self.m)
        self.sound()

    def test_an_episode_masked_from_the_treating_doctor_is_no_row_of_his(self):
        act, other = self.act(self.n), deposit(self.g, self.pid)
        self.m.execute("INSERT INTO mask(patient,episode) VALUES(?,'e7')", (self.pid,))
        self.sees(t=act + [other])
        self.mask_episode('e7', 'treating')
        self.sees(t=[other], ph=[other], n=act + [other], m=act + [other])
        self.assertEqual(self.t.execute('SELECT * FROM mask').fetchall(), [])
        self.m.execute("DELETE FROM mask WHERE episode='e7' AND grantee IS NULL")
        self.sees(t=[other], ph=act + [other], n=act + [other])
        self.m.execute("DELETE FROM mask WHERE episode='e7'")
        self.sees(t=act + [other], ph=act + [other])
        self.sound()


if __name__ == '__main__':
    main()
