#!/usr/bin/python3
"""What a session remembers between statements never shows more, or less, than the file says now: the list of grants, and where a document
named by its id alone was met. Usage: test_finding.py [BUILD_FOLDER [TEST_NAME...]]"""
import unittest
from harness import NO_SUCH_ID, Case, Practice, deposit, documents, main, one

PEOPLE = {'treating': ('10', 1), 'doctor': ('10', 0), 'pharmacist': ('21', 0)}
CONSENT = 'INSERT INTO consent(patient,grantee) VALUES(?,?)'
WITHDRAW = 'DELETE FROM consent WHERE patient=? AND grantee=?'
TITLE = 'SELECT title FROM document WHERE id=?'


class Finding(Case):
    def setUp(self):
        self.p = Practice(PEOPLE)
        self.t = self.p.login('treating')
        self.pid = [self.p.patient('patient%d' % i, self.t, 'treating') for i in range(3)]
        self.doc = [deposit(self.t, pid, title='de %d' % i) for i, pid in enumerate(self.pid)]

    def tearDown(self):
        self.p.drop()

    def title(self, con, doc):
        return one(con, TITLE, doc)

    def patient(self, i):
        return self.p.login('patient%d' % i)

    def test_every_document_is_found_by_its_id_alone_in_a_fresh_session(self):
        for i in (2, 0, 1):
            self.assertEqual(self.title(self.p.login('treating'), self.doc[i]), 'de %d' % i)
        self.assertIsNone(self.title(self.p.login('treating'), NO_SUCH_ID))

    def test_an_open_session_finds_it_after_somebody_else_turned_the_keys(self):
        d = self.p.login('treating')
        self.assertEqual(self.title(d, self.doc[0]), 'de 0')
        self.assertIsNone(self.title(d, NO_SUCH_ID))        # from here on every locator is known
        self.patient(1).execute(CONSENT, (self.pid[1], self.p.id['pharmacist']))
        self.assertEqual(self.title(d, self.doc[1]), 'de 1')
        self.assertEqual(self.title(d, self.doc[2]), 'de 2')

    def test_who_is_withdrawn_finds_nothing_by_what_was_remembered(self):
        me = self.patient(0)
        me.execute(CONSENT, (self.pid[0], self.p.id['pharmacist']))
        h = self.p.login('pharmacist')
        self.assertEqual(self.title(h, self.doc[0]), 'de 0')
        me.execute(WITHDRAW, (self.pid[0], self.p.id['pharmacist']))
        self.assertIsNone(self.title(h, self.doc[0]))
        self.refused(41, h, 'SELECT dmp_read(?,0,10)', (self.doc[0],))
        me.execute(CONSENT, (self.pid[0], self.p.id['pharmacist']))
        self.assertEqual(self.title(h, self.doc[0]), 'de 0')

    def test_a_mask_hides_and_an_unmask_shows_to_a_session_that_remembers(self):
        me = self.patient(0)
        me.execute(CONSENT, (self.pid[0], self.p.id['pharmacist']))
        h = self.p.login('pharmacist')
        for masked in (0, 1, 0):
            if masked:
                me.execute('INSERT INTO mask(document) VALUES(?)', (self.doc[0],))
            elif me.execute('SELECT * FROM mask').fetchall():
                me.execute('DELETE FROM mask WHERE document=?', (self.doc[0],))
            self.assertEqual(self.title(h, self.doc[0]), None if masked else 'de 0')
            self.assertEqual(self.title(self.t, self.doc[0]), 'de 0')

    def test_a_depositor_finds_by_id_what_lies_where_no_key_of_his_opens(self):
        me = self.patient(2)
        me.execute(CONSENT, (self.pid[2], self.p.id['pharmacist']))
        h = self.p.login('pharmacist')
        own = deposit(h, self.pid[2], type_code='60593-1', title='dispensation', masked=1)
        other = deposit(self.p.login('treating'), self.pid[2], title='masqué', masked=1)
        h = self.p.login('pharmacist')
        self.assertEqual(self.title(h, own), 'dispensation')
        self.assertIsNone(self.title(h, other))
        self.assertEqual(self.title(h, own), 'dispensation')
        self.assertEqual(h.execute('SELECT document FROM mask WHERE document=?', (own,)).fetchall(), [])

    def test_a_patient_registered_elsewhere_is_there_at_the_next_statement(self):
        other = self.p.login('treating')
        self.assertEqual(one(other, 'SELECT count(*) FROM patient'), 3)
        deposit(other, self.pid[0])                         # an own commit lies between
        pid = self.p.patient('patient3', self.t, 'treating')
        doc = deposit(self.t, pid, title='de 3')
        self.assertEqual(one(other, 'SELECT count(*) FROM patient'), 4)
        self.assertEqual(self.title(other, doc), 'de 3')

    def test_a_patient_registered_and_rolled_back_is_gone(self):
        self.t.execute('BEGIN')
        pid = self.p.patient('patient3', self.t, 'treating')
        deposit(self.t, pid, title='de 3')
        self.assertEqual(one(self.t, 'SELECT count(*) FROM patient'), 4)
        self.t.execute('ROLLBACK')
        self.assertEqual(one(self.t, 'SELECT count(*) FROM patient'), 3)
        self.refused(43, self.t, "INSERT INTO document(patient,content,type_code) VALUES(?,'x','11488-4')", (pid,))

    def test_a_patient_registered_in_a_savepoint_that_is_undone_is_gone(self):
        self.t.execute('BEGIN')
        deposit(self.t, self.pid[0])
        self.t.execute('SAVEPOINT s')
        self.p.patient('patient3', self.t, 'treating')
        self.t.execute('ROLLBACK TO s')
        self.assertEqual(one(self.t, 'SELECT count(*) FROM patient'), 3)
        deposit(self.t, self.pid[1])
        self.t.execute('COMMIT')
        self.assertEqual(one(self.t, 'SELECT count(*) FROM patient'), 3)

    def test_two_sessions_that_write_in_turns_see_each_other(self):
        a, b = self.p.login('treating'), self.p.login('treating')
        for i in range(6):
            con = (a, b)[i % 2]
            deposit(con, self.pid[0], title='tour %d' % i)
            self.assertEqual(documents(a), documents(b))
        self.patient(0).execute(CONSENT, (self.pid[0], self.p.id['pharmacist']))
        deposit(a, self.pid[0])
        deposit(b, self.pid[0])
        self.assertEqual(len(documents(b)), 11)
        self.assertEqual(documents(a), documents(b))

    def test_one_mask_asked_for_by_its_document_is_the_row_of_the_whole_list(self):
        me = self.patient(0)
        me.execute('INSERT INTO mask(document) VALUES(?)', (self.doc[0],))
        self.assertEqual(me.execute('SELECT * FROM mask WHERE document=?', (self.doc[0],)).fetchall(), me.execute('SELECT * FROM mask').fetchall())
        self.assertEqual(len(me.execute('SELECT * FROM mask').fetchall()), 1)
        plain = deposit(self.t, self.pid[0])
        self.assertEqual(me.execute('SELECT * FROM mask WHERE document=?', (plain,)).fetchall(), [])


if __name__ == '__main__':
    main()
