#!/usr/bin/python3
"""Who sees what through SQL, and what transactions do with it. Usage: test_rights_sql.py [BUILD_FOLDER [TEST_NAME...]]"""
import multiprocessing
from harness import (NO_SUCH_ID, PIN, TYPES, Case, Practice, deposit, documents, error_of, main, one, open_record)

PROFESSIONALS = {'treating': ('10', 1), 'doctor': ('10', 0), 'pharmacist': ('21', 0), 'preparer': ('39', 0), 'dentist': ('40', 0),
                 'nurse': ('60', 0), 'midwife': ('50', 0), 'former': ('10', 0), 'left': ('21', 0), 'unknown': ('10', 0)}
CONSENTED = ['doctor', 'pharmacist', 'preparer', 'dentist', 'nurse', 'midwife', 'left']


def cast():
    p = Practice(PROFESSIONALS)
    t = p.login('treating')
    pid = p.patient('patient', t, 'former')
    return p, t, pid


class Readers(Case):
    """One record: a document of each rights class, visible and masked, deposited by the midwife (no class of her own)."""

    @classmethod
    def setUpClass(cls):
        cls.p, t, cls.pid = cast()
        cls.me = cls.p.login('patient')
        for name in CONSENTED:
            cls.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (cls.pid, cls.p.id[name]))
        m = cls.p.login('midwife')
        cls.doc = {}
        for n, (cls_name, (code, _)) in enumerate(TYPES.items()):
            for masked in (0, 1):
                body = b'%s %d' % (cls_name.encode(), masked)
                cls.doc[cls_name, masked] = deposit(m, cls.pid, body, type_code=code, title=cls_name, masked=masked)
        cls.before = {n: cls.seen(cls.p.login(n)) for n in ('former', 'left')}
        cls.me.execute('UPDATE patient SET treating_doctor=? WHERE id=?', (cls.p.id['treating'], cls.pid))
        cls.me.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (cls.pid, cls.p.id['left']))

    @classmethod
    def tearDownClass(cls):
        cls.p.drop()

    @classmethod
    def seen(cls, con):
        return {k for k, d in cls.doc.items() if one(con, 'SELECT count(*) FROM document WHERE id=?', d)}

    def matrix(self, con, allowed, masked=0):
        """allowed(class) says who reads; every cell through listing, count, id, content and dmp_read, else the same refusal as for an
        id that never was."""
        ids = []
        for (name, m), doc in self.doc.items():
            with self.subTest(rights_class=name, masked=m):
                row = con.execute('SELECT title,masked,content FROM document WHERE id=?', (doc,)).fetchall()
                if allowed(name) and m <= masked:
                    ids.append(doc)
                    body = b'%s %d' % (name.encode(), m)
                    self.assertEqual(row, [(name, m, body)])
                    self.assertEqual(one(con, 'SELECT dmp_read(?,0,100)', doc), body)
                else:
                    self.assertEqual(row, [])
                    absent = self.refused(41, con, 'SELECT dmp_read(?,0,100)', (NO_SUCH_ID,))
                    self.assertEqual(error_of(con, 'SELECT dmp_read(?,0,100)', (doc,)), absent)
                    for sql in ('INSERT INTO mask(document) VALUES(?)', 'DELETE FROM mask WHERE document=?', 'DELETE FROM document WHERE id=?'):
                        self.assertEqual(error_of(con, sql, (doc,)), error_of(con, sql, (NO_SUCH_ID,)), sql)
        self.assertEqual(documents(con), sorted(ids))
        self.assertEqual(one(con, 'SELECT count(*) FROM document'), len(ids))
        self.assertEqual(one(con, 'SELECT max(id) FROM document'), max(ids, default=None))
        self.assertEqual([r[0] for r in con.execute('SELECT id FROM document WHERE patient=? ORDER BY id', (self.pid,))], sorted(ids))

    def by_profession(self, profession):
        return lambda name: profession in TYPES[name][1]

    def test_the_patient_reads_everything_and_sees_every_mask(self):
        self.matrix(self.me, lambda name: True, 1)
        self.assertEqual([r[0] for r in self.me.execute('SELECT document FROM mask ORDER BY document')],
                         sorted(d for (_, m), d in self.doc.items() if m))

    def test_the_treating_doctor_reads_the_matrix_masked_items_included_and_flagged(self):
        con = self.p.login('treating')
        self.matrix(con, self.by_profession('10'), 1)
        self.assertEqual(one(con, 'SELECT count(*) FROM document WHERE masked=1 AND warning IS NULL'), 0)
        self.assertEqual(one(con, 'SELECT count(*) FROM document WHERE masked=0 AND warning IS NOT NULL'), 0)
        self.assertEqual([r[0] for r in con.execute('SELECT document FROM mask ORDER BY document')],
                         sorted(d for (n, m), d in self.doc.items() if m and '10' in TYPES[n][1]))

    def test_the_depositor_reads_all_that_she_deposited_and_sees_no_list_of_masks(self):
        con = self.p.login('midwife')
        self.matrix(con, lambda name: True, 1)
        self.assertEqual(con.execute('SELECT * FROM mask').fetchall(), [])

    def test_a_consented_doctor_reads_the_matrix_without_masked_items(self):
        self.matrix(self.p.login('doctor'), self.by_profession('10'))

    def test_a_consented_pharmacist_reads_the_matrix_without_masked_items(self):
        self.matrix(self.p.login('pharmacist'), self.by_profession('21'))

    def test_a_consented_preparer_reads_the_matrix_without_masked_items(self):
        self.matrix(self.p.login('preparer'), self.by_profession('39'))

    def test_a_consented_dentist_reads_the_matrix_without_masked_items(self):
        self.matrix(self.p.login('dentist'), self.by_profession('40'))

    def test_a_consented_nurse_reads_the_matrix_without_masked_items(self):
        self.matrix(self.p.login('nurse'), self.by_profession('60'))

    def test_who_is_not_a_full_holder_sees_no_mask_and_no_consent(self):
        for name in ('doctor', 'pharmacist', 'nurse', 'midwife', 'left', 'former', 'unknown', 'authority'):
            con = self.p.login(name)
            self.assertEqual(con.execute('SELECT * FROM mask').fetchall(), [], name)
            self.assertEqual(con.execute('SELECT * FROM consent').fetchall(), [], name)
        self.assertEqual(one(self.p.login('treating'), 'SELECT count(*) FROM consent'), len(CONSENTED) - 1 + 1)

    def test_a_professional_whose_consent_was_withdrawn_reads_nothing_any_more(self):
        self.assertEqual(self.before['left'], {(n, 0) for n, (_, who) in TYPES.items() if '21' in who})
        con = self.p.login('left')
        self.matrix(con, lambda name: False)
        for table in ('patient', 'identity'):
            self.assertEqual(con.execute('SELECT * FROM ' + table).fetchall(), [])

    def test_a_former_treating_doctor_reads_nothing_any_more(self):
        self.assertEqual(self.before['former'], {(n, m) for n, (_, who) in TYPES.items() for m in (0, 1) if '10' in who})
        con = self.p.login('former')
        self.matrix(con, lambda name: False)
        self.assertEqual(con.execute('SELECT * FROM patient').fetchall(), [])

    def test_a_professional_never_consented_reads_nothing_and_may_not_deposit(self):
        con = self.p.login('unknown')
        self.matrix(con, lambda name: False)
        self.assertEqual(con.execute('SELECT * FROM patient').fetchall(), [])
        self.refused(43, con, "INSERT INTO document(patient,content,title,type_code) VALUES(?,x'00','t','11488-4')", (self.pid,))

    def test_the_authority_certifies_and_reads_nothing(self):
        con = self.p.login('authority')
        self.matrix(con, lambda name: False)
        self.assertEqual(con.execute('SELECT * FROM patient').fetchall(), [])
        self.assertEqual(one(con, 'SELECT count(*) FROM principal'), len(PROFESSIONALS) + 1)
        self.refused(43, con, "INSERT INTO document(patient,content,title,type_code) VALUES(?,x'00','t','11488-4')", (self.pid,))

    def test_a_stranger_without_a_certificate_is_not_let_in(self):
        con = self.p.connect()
        self.p.request('stranger')
        self.refused(28, con, 'SELECT dmp_login(?,?)', (self.p.key('stranger'), PIN))
        self.refused(29, con, 'SELECT dmp_login(?,?,NULL,NULL,?)', (self.p.key('stranger'), PIN, self.p.fingerprint))
        for table in ('document', 'patient', 'identity', 'consent', 'mask', 'principal', 'access_log', 'dmp_verify'):
            self.refused(23, con, 'SELECT * FROM ' + table)
        self.refused(23, con, 'SELECT dmp_read(?,0,1)', (self.doc['common', 0],))
        self.assertEqual(con.execute('SELECT * FROM session').fetchall(), [])

    def test_the_name_goes_to_everyone_granted_and_to_nobody_else(self):
        for name in ('patient', 'treating', 'doctor', 'pharmacist', 'midwife'):
            self.assertEqual(self.p.login(name).execute('SELECT id,birth_name FROM patient').fetchall(), [(self.pid, 'PATIENT')], name)
        for name in ('left', 'former', 'unknown', 'authority'):
            self.assertEqual(self.p.login(name).execute('SELECT id,birth_name FROM patient').fetchall(), [], name)

    def test_only_the_depositor_deletes(self):
        doc = deposit(self.p.login('midwife'), self.pid, title='A retirer')
        for name in ('patient', 'treating', 'pharmacist'):
            self.refused(48, self.p.login(name), 'DELETE FROM document WHERE id=?', (doc,))
        self.assertIn(doc, documents(self.me))
        self.p.login('midwife').execute('DELETE FROM document WHERE id=?', (doc,))
        for name in ('patient', 'treating', 'pharmacist', 'midwife'):
            con = self.p.login(name)
            self.assertNotIn(doc, documents(con))
            self.refused(41, con, 'SELECT dmp_read(?,0,1)', (doc,))

    def test_only_the_patient_and_the_treating_doctor_mask_consent_and_withdraw(self):
        doc = self.doc['common', 0]
        for name in ('doctor', 'pharmacist', 'midwife'):
            con = self.p.login(name)
            self.refused(46, con, 'INSERT INTO mask(document) VALUES(?)', (doc,))
            self.refused(46, con, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['unknown']))
        for name in ('patient', 'treating'):
            con = self.p.login(name)
            con.execute('BEGIN')
            con.execute('INSERT INTO mask(document) VALUES(?)', (doc,))
            con.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['unknown']))
            con.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.pid, self.p.id['pharmacist']))
            con.execute('ROLLBACK')
        self.assertIn(doc, documents(self.p.login('pharmacist')))

    def test_only_the_patient_changes_the_treating_doctor(self):
        sql, args = 'UPDATE patient SET treating_doctor=? WHERE id=?', (self.p.id['doctor'], self.pid)
        for name in ('treating', 'pharmacist'):
            self.refused(47, self.p.login(name), sql, args)
        self.assertEqual(one(self.me, 'SELECT treating_doctor FROM patient'), self.p.id['treating'])

    def test_verify_finds_nothing_for_anybody(self):
        for name in ('patient', 'treating', 'doctor', 'pharmacist', 'nurse', 'midwife', 'left', 'former', 'unknown', 'authority'):
            self.assertEqual(self.p.login(name).execute('SELECT * FROM dmp_verify').fetchall(), [], name)


class Fresh(Case):
    """A record made anew for each test: treating doctor, consented pharmacist, nurse without consent, patient, one document."""

    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'pharmacist': ('21', 0), 'nurse': ('60', 0)})
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('patient', self.t, 'treating')
        self.doc = deposit(self.t, self.pid, b'premier')
        self.me = self.p.login('patient')
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['pharmacist']))
        self.h = self.p.login('pharmacist')

    def sound(self):
        for con in (self.me, self.t, self.h):
            self.assertEqual(con.execute("SELECT * FROM dmp_verify").fetchall(), [])

    def mask(self, con, doc):
        con.execute('INSERT INTO mask(patient,document) VALUES(?,?)', (self.pid, doc))


class Duties(Fresh):
    def test_a_class_that_the_treating_doctor_lacks_is_due_until_the_patient_logs_in(self):
        early = deposit(self.me, self.pid, type_code='ATTEST-RESID', title='avant')
        self.t.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        n = self.p.login('nurse')
        self.assertEqual(documents(n), [self.doc])
        late = deposit(self.h, self.pid, type_code='ATTEST-RESID', title='pendant')
        self.assertEqual(documents(n), [self.doc])
        self.assertEqual({r[3] for r in self.t.execute('SELECT * FROM dmp_verify')}, {'owed'})
        me = self.p.login('patient')
        self.assertEqual(one(me, 'SELECT owed FROM session'), 0)
        self.assertEqual(documents(n), sorted([self.doc, early, late]))
        self.assertEqual([r[0] for r in n.execute('SELECT DISTINCT masked FROM document')], [0])
        self.sound()

    def test_a_consent_ends_at_its_date_and_not_before(self):
        self.refused(69, self.me, "INSERT INTO consent(patient,grantee,until) VALUES(?,?,'2020-01-01')", (self.pid, self.p.id['nurse']))
        self.me.execute("INSERT INTO consent(patient,grantee,until) VALUES(?,?,strftime('%Y-%m-%dT%H:%M:%SZ','now','+2 seconds'))",
                        (self.pid, self.p.id['nurse']))
        n = self.p.login('nurse')
        self.assertEqual(documents(n), [self.doc])
        for _ in range(40):
            if not documents(n):
                break
            n.execute('SELECT 1').fetchall()
            multiprocessing.Event().wait(0.1)
        self.assertEqual(documents(n), [])
        self.refused(41, n, 'SELECT dmp_read(?,0,1)', (self.doc,))
        self.assertEqual(documents(self.h), [self.doc])

    def test_a_withdrawn_professional_deposits_keeps_own_items_and_comes_back_by_a_new_consent(self):
        self.me.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.pid, self.p.id['pharmacist']))
        self.assertEqual(documents(self.h), [])
        own = deposit(self.h, self.pid, b'a moi')
        self.assertEqual(documents(self.h), [own])
        self.assertEqual(documents(self.me), sorted([self.doc, own]))
        self.assertEqual(documents(self.t), sorted([self.doc, own]))
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['pharmacist']))
        self.assertEqual(documents(self.p.login('pharmacist')), sorted([self.doc, own]))
        self.sound()

    def test_the_treating_doctor_is_withdrawn_by_changing_who_that_is(self):
        self.refused(72, self.me, 'DELETE FROM consent WHERE patient=? AND grantee=?', (self.pid, self.p.id['treating']))
        self.me.execute('UPDATE patient SET treating_doctor=NULL WHERE id=?', (self.pid,))
        self.assertIsNone(one(self.me, 'SELECT treating_doctor FROM patient'))
        self.assertEqual(documents(self.t), [self.doc])             # he deposited it
        other = deposit(self.h, self.pid)
        self.assertEqual(documents(self.t), [self.doc])
        self.assertEqual(documents(self.me), sorted([self.doc, other]))
        self.sound()


class Transactions(Fresh):
    def everybody(self):
        return [documents(c) for c in (self.me, self.t, self.h)]

    def test_a_deposit_rolled_back_never_was_and_one_committed_is(self):
        self.t.execute('BEGIN')
        gone = deposit(self.t, self.pid)
        self.assertEqual(documents(self.t), sorted([self.doc, gone]))
        self.assertEqual(documents(self.me), [self.doc])
        self.t.execute('ROLLBACK')
        self.assertEqual(self.everybody(), [[self.doc]] * 3)
        self.refused(41, self.t, 'SELECT dmp_read(?,0,1)', (gone,))
        self.t.execute('BEGIN')
        kept = deposit(self.t, self.pid)
        self.t.execute('COMMIT')
        self.assertEqual(self.everybody(), [sorted([self.doc, kept])] * 3)
        self.sound()

    def test_a_mask_rolled_back_is_not_there_and_one_committed_is(self):
        self.me.execute('BEGIN')
        self.mask(self.me, self.doc)
        self.assertEqual(self.me.execute('SELECT masked FROM document').fetchall(), [(1,)])
        self.me.execute('ROLLBACK')
        self.assertEqual(self.me.execute('SELECT masked FROM document').fetchall(), [(0,)])
        self.assertEqual(documents(self.h), [self.doc])
        self.me.execute('BEGIN')
        self.mask(self.me, self.doc)
        self.me.execute('COMMIT')
        self.assertEqual(self.everybody(), [[self.doc], [self.doc], []])
        self.me.execute('BEGIN')
        self.me.execute('DELETE FROM mask WHERE document=?', (self.doc,))
        self.me.execute('ROLLBACK')
        self.assertEqual(documents(self.h), [])
        self.me.execute('DELETE FROM mask WHERE document=?', (self.doc,))
        self.assertEqual(documents(self.h), [self.doc])
        self.sound()

    def test_a_consent_rolled_back_gives_nothing_and_one_committed_gives(self):
        self.me.execute('BEGIN')
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        self.me.execute('ROLLBACK')
        n = self.p.login('nurse')
        self.assertEqual(documents(n), [])
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        self.assertEqual(documents(n), [self.doc])
        self.me.execute('BEGIN')
        self.me.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.pid, self.p.id['nurse']))
        self.me.execute('ROLLBACK')
        self.assertEqual(documents(n), [self.doc])
        self.sound()

    def test_a_patient_rolled_back_leaves_no_credential_behind(self):
        self.t.execute('BEGIN')
        self.p.patient('second', self.t)
        self.t.execute('ROLLBACK')
        self.assertEqual(one(self.t, 'SELECT count(*) FROM patient'), 1)
        self.refused(9, self.p.connect(), 'SELECT dmp_login(?,?)', (self.p.key('second'), PIN))
        self.p.patient('second', self.t)
        self.assertEqual(one(self.t, 'SELECT count(*) FROM patient'), 2)
        self.sound()

    def test_nested_savepoints_take_back_exactly_what_came_after_them(self):
        t, ids = self.t, []
        t.execute('BEGIN')
        for name in 'abc':
            t.execute('SAVEPOINT ' + name)
            ids.append(deposit(t, self.pid, title=name))
        self.mask(t, ids[0])
        t.execute('ROLLBACK TO c')
        self.assertEqual(documents(t), sorted([self.doc] + ids[:2]))
        self.assertEqual(t.execute('SELECT count(*) FROM mask').fetchall(), [(0,)])
        again = deposit(t, self.pid, title='d')
        t.execute('RELEASE c')
        t.execute('SAVEPOINT e')
        self.mask(t, ids[1])
        t.execute('RELEASE e')
        t.execute('RELEASE a')
        t.execute('COMMIT')
        self.assertEqual(documents(self.me), sorted([self.doc] + ids[:2] + [again]))
        self.assertEqual(documents(self.h), sorted([self.doc, ids[0], again]))
        log = self.me.execute("SELECT action,object FROM access_log WHERE action IN ('deposit','mask') ORDER BY object").fetchall()
        self.assertEqual(sorted(o for a, o in log if a == 'deposit'), sorted([self.doc] + ids[:2] + [again]))
        self.assertEqual([o for a, o in log if a == 'mask'], [ids[1]])
        self.sound()

    def test_a_constraint_that_reaches_the_rows_making_answers_as_one_that_does_not(self):
        one(self.h, 'SELECT count(*) FROM document')
        error_of(self.h, 'SELECT dmp_read(12345,0,1)')     # a line of the own chain, about nobody's record
        for con in (self.t, self.h, self.me):
            for table in ('patient', 'identity', 'consent', 'document', 'mask', 'principal', 'session', 'access_log'):
                columns = [r[1] for r in con.execute('PRAGMA table_info(%s)' % table) if r[1] != 'content']
                for column in columns:
                    values = {r[0] for r in con.execute('SELECT "%s" FROM %s' % (column, table))} | {'refused', 0}
                    for value in sorted(values, key=repr)[:4]:
                        for op in ('=', '<', '<=', '>', '>=', 'IS'):
                            sql = 'SELECT count(*) FROM %s WHERE %%s"%s" %s ?' % (table, column, op)
                            if table == 'session' and column in ('headers_opened', 'boxes_opened'):
                                continue                     # they count what the query itself opens
                            self.assertEqual(one(con, sql % '', value), one(con, sql % '+', value), (table, column, op, value))

    def test_a_savepoint_outside_a_transaction_works_as_one(self):
        self.t.execute('SAVEPOINT s')
        deposit(self.t, self.pid)
        self.t.execute('ROLLBACK TO s')
        kept = deposit(self.t, self.pid)
        self.t.execute('RELEASE s')
        self.assertEqual(self.everybody(), [sorted([self.doc, kept])] * 3)
        self.sound()

    def test_an_insert_of_many_rows_is_all_or_nothing(self):
        sql = ("INSERT INTO document(patient,content,title,type_code,creation_time) SELECT ?,CAST('corps' AS BLOB),'t'||value,'11488-4',"
               "CASE value WHEN ? THEN '2026-13-45' END FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value+1 FROM n WHERE value<20) "
               "SELECT value FROM n)")
        before = self.p.counts()
        self.refused(53, self.t, sql, (self.pid, 12))
        self.assertEqual(self.p.counts(), before)
        self.assertEqual(documents(self.t), [self.doc])
        self.t.execute('BEGIN')
        first = deposit(self.t, self.pid)
        self.refused(53, self.t, sql, (self.pid, 12))
        self.assertEqual(documents(self.t), sorted([self.doc, first]))      # the statement only, not the transaction
        self.t.execute(sql, (self.pid, 99))
        self.t.execute('COMMIT')
        self.assertEqual(one(self.t, 'SELECT count(*) FROM document'), 22)
        self.assertEqual(one(self.h, 'SELECT count(*) FROM document'), 22)
        self.sound()

    def test_insert_or_ignore_skips_what_is_there_and_the_transaction_commits(self):
        self.t.execute('BEGIN')
        for _ in range(3):
            self.t.execute("INSERT OR IGNORE INTO document(patient,content,title,type_code,unique_id) VALUES(?,x'01','u','11488-4','1.2.3')", (self.pid,))
        self.t.execute('COMMIT')
        self.assertEqual(one(self.t, "SELECT count(*) FROM document WHERE unique_id='1.2.3'"), 1)
        self.refused(56, self.t, "INSERT INTO document(patient,content,title,type_code,unique_id) VALUES(?,x'01','u','11488-4','1.2.3')", (self.pid,))

    def test_insert_or_ignore_commits_also_when_keys_waited_to_be_adopted(self):
        deposit(self.me, self.pid, unique_id='1.2.3')
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        self.t.execute('BEGIN')
        self.t.execute("INSERT OR IGNORE INTO document(patient,content,title,type_code,unique_id) VALUES(?,x'01','u','11488-4','1.2.3')", (self.pid,))
        doc = deposit(self.t, self.pid, title='suite')
        self.t.execute('COMMIT')
        self.assertIn(doc, documents(self.h))
        self.sound()

    def test_a_unique_id_hidden_from_a_writer_gives_no_hint(self):
        hidden = deposit(self.me, self.pid, unique_id='1.2.9', masked=1)
        own = deposit(self.h, self.pid, unique_id='1.2.9')
        self.assertEqual(documents(self.h), sorted([self.doc, own]))
        self.assertEqual(documents(self.me), sorted([self.doc, hidden, own]))

    def test_last_insert_rowid_and_changes_are_those_of_the_application(self):
        self.t.execute("CREATE TEMP TABLE own(x)")
        self.t.execute("INSERT INTO own(rowid,x) VALUES(4711,1)")
        doc = deposit(self.t, self.pid)
        self.assertEqual(one(self.t, 'SELECT changes()'), 1)
        self.assertEqual(one(self.t, 'SELECT title FROM document WHERE id=?', doc), 'Compte rendu')
        self.t.execute("INSERT INTO own(rowid,x) VALUES(4712,1)")
        self.t.execute('DELETE FROM document WHERE id=?', (doc,))
        self.assertEqual(one(self.t, 'SELECT changes()'), 1)
        self.assertEqual(one(self.t, 'SELECT last_insert_rowid()'), 4712)
        self.t.execute('DELETE FROM document WHERE id=?', (NO_SUCH_ID,))
        self.assertEqual(one(self.t, 'SELECT changes()'), 0)

    def test_a_masked_item_leaves_no_trace_in_changes(self):
        self.mask(self.me, self.doc)
        for sql in ('DELETE FROM document WHERE patient=%d' % self.pid, 'DELETE FROM mask WHERE patient=%d' % self.pid):
            self.h.execute(sql)
            self.assertEqual(one(self.h, 'SELECT changes()'), 0, sql)

    def test_a_table_of_the_practice_and_the_record_share_one_transaction(self):
        self.t.execute('CREATE TABLE agenda(day TEXT, patient INTEGER)')
        self.t.execute('BEGIN')
        self.t.execute("INSERT INTO agenda VALUES('2026-03-12',?)", (self.pid,))
        deposit(self.t, self.pid)
        self.t.execute('ROLLBACK')
        self.assertEqual(one(self.t, 'SELECT count(*) FROM agenda'), 0)
        self.t.execute("INSERT INTO agenda VALUES('2026-03-12',?)", (self.pid,))
        self.assertEqual(self.t.execute('SELECT a.day,p.birth_name,d.title FROM agenda a JOIN patient p ON p.id=a.patient '
                                        'JOIN document d ON d.patient=p.id').fetchall(), [('2026-03-12', 'PATIENT', 'Compte rendu')])

    def test_in_a_join_what_is_masked_is_absent_and_predicates_see_only_what_is_opened(self):
        self.mask(self.me, self.doc)
        for sql in ("SELECT count(*) FROM document WHERE title LIKE '%a%'", 'SELECT count(*) FROM document d JOIN patient p ON p.id=d.patient',
                    'SELECT count(*) FROM document WHERE masked=1', 'SELECT count(*) FROM document WHERE length(title)>0',
                    'SELECT count(*) FROM document WHERE depositor=%d' % self.p.id['treating'],
                    "SELECT count(*) FROM document WHERE CASE WHEN title IS NULL THEN 1 ELSE 1/0 END",
                    'SELECT count(*) FROM document GROUP BY type_code UNION ALL SELECT 0'):
            self.assertEqual(self.h.execute(sql).fetchall(), [(0,)], sql)
        self.assertEqual(one(self.me, "SELECT count(*) FROM document WHERE title LIKE '%Compte%'"), 1)


class Connections(Fresh):
    def test_several_cursors_of_one_connection_walk_independently(self):
        ids = sorted([self.doc] + [deposit(self.t, self.pid, title='n%d' % i) for i in range(9)])
        a, b = self.t.execute('SELECT id FROM document ORDER BY id'), self.t.execute('SELECT id FROM document ORDER BY id DESC')
        got = [(a.fetchone()[0], b.fetchone()[0]) for _ in ids]
        self.assertEqual(got, list(zip(ids, reversed(ids))))
        self.assertEqual(one(self.t, 'SELECT count(*) FROM document x, document y'), 100)

    def test_a_cursor_that_is_open_while_its_connection_writes_ends_as_it_began(self):
        for i in range(5):
            deposit(self.t, self.pid, title='n%d' % i)
        c = self.t.execute('SELECT id FROM document')
        first = c.fetchone()[0]
        deposit(self.t, self.pid, title='nouveau')
        self.assertGreaterEqual(len(c.fetchall()), 5)
        self.assertEqual(first, self.doc)
        self.assertEqual(one(self.t, 'SELECT count(*) FROM document'), 7)

    def test_a_change_by_another_connection_is_seen_by_the_next_statement(self):
        for n in range(3):
            self.mask(self.me, self.doc)
            self.assertEqual(documents(self.h), [])
            self.me.execute('DELETE FROM mask WHERE document=?', (self.doc,))
            self.assertEqual(documents(self.h), [self.doc])

    def test_a_read_transaction_keeps_its_snapshot_and_the_next_sees_the_mask(self):
        self.h.execute('BEGIN')
        self.assertEqual(documents(self.h), [self.doc])
        self.mask(self.me, self.doc)
        self.assertEqual(documents(self.h), [self.doc])
        self.h.execute('COMMIT')
        self.assertEqual(documents(self.h), [])

    def test_a_prepared_statement_ends_with_the_session_and_works_in_the_next(self):
        sql = 'SELECT count(*) FROM document'                       # kept prepared by the driver's statement cache
        self.assertEqual(one(self.h, sql), 1)
        one(self.h, 'SELECT dmp_logout()')
        self.refused(23, self.h, sql)
        self.p.login('pharmacist', self.h)
        self.assertEqual(one(self.h, sql), 1)
        self.p.login('nurse', self.h)                               # another person on the same connection
        self.assertEqual(one(self.h, sql), 0)

    def test_an_open_cursor_gives_nothing_more_after_the_logout(self):
        for i in range(5):
            deposit(self.t, self.pid, b'corps', title='n%d' % i)
        c = self.t.execute('SELECT content FROM document')
        self.assertIsNotNone(c.fetchone())
        error_of(self.t, 'SELECT dmp_logout()')
        if self.t.execute('SELECT * FROM session').fetchall():      # refused while statements run: then it still reads
            self.assertEqual(len(c.fetchall()), 5)
        else:
            with self.assertRaisesRegex(Exception, 'dmp-E023'):
                c.fetchall()

    def test_attached_under_another_name_the_record_answers_there(self):
        con = open_record(':memory:')
        self.addCleanup(con.close)
        con.execute('ATTACH ? AS "le dossier"', (self.p.path,))
        con.execute('PRAGMA "le dossier".temp_store=2')
        self.assertEqual(one(con, "SELECT dmp_login(?,?,'le dossier')", self.p.key('pharmacist'), PIN), self.p.id['pharmacist'])
        self.assertEqual(con.execute('SELECT id FROM "le dossier".document').fetchall(), [(self.doc,)])
        self.assertEqual(one(con, "SELECT dmp_read(?,0,7,'le dossier')", self.doc), b'premier')
        con.execute("INSERT INTO \"le dossier\".document(patient,content,title,type_code) VALUES(?,x'01','attache','11488-4')", (self.pid,))
        self.assertEqual(con.execute("SELECT * FROM dmp_verify('le dossier')").fetchall(), [])
        self.assertEqual(one(self.me, "SELECT count(*) FROM document WHERE title='attache'"), 1)
        one(con, "SELECT dmp_logout('le dossier')")
        self.refused(23, con, 'SELECT * FROM "le dossier".document')

    def test_two_records_attached_at_once_each_have_their_own_session(self):
        q = Practice({'doctor': ('10', 1)})
        self.addCleanup(q.drop)
        d = q.login('doctor')
        other = q.patient('autre', d, 'doctor')
        deposit(d, other, title='ailleurs')
        self.h.execute('ATTACH ? AS b', (q.path,))
        self.refused(23, self.h, 'SELECT * FROM b.document')
        self.refused(27, self.h, "SELECT dmp_login(?,?,'b')", (self.p.key('pharmacist'), PIN))
        one(self.h, "SELECT dmp_login(?,?,'b')", q.key('doctor'), PIN)
        self.assertEqual(self.h.execute('SELECT title FROM main.document UNION ALL SELECT title FROM b.document').fetchall(),
                         [('Compte rendu',), ('ailleurs',)])
        self.h.execute('BEGIN')
        a = deposit(self.h, self.pid)
        self.h.execute("INSERT INTO b.document(patient,content,title,type_code) VALUES(?,x'01','t','11488-4')", (other,))
        self.h.execute('ROLLBACK')
        self.assertEqual(documents(self.me), [self.doc])
        self.assertNotIn(a, documents(self.h))

    def test_two_processes_that_write_at_once_lose_nothing(self):
        def work(name, n):
            con = open_record(self.p.path)
            con.execute('PRAGMA busy_timeout=20000')
            one(con, 'SELECT dmp_login(?,?)', self.p.key(name), PIN)
            for i in range(n):
                con.execute('BEGIN IMMEDIATE')
                deposit(con, self.pid, b'x' * (i * 1000), title='%s %d' % (name, i))
                con.execute('COMMIT')
            con.close()
        context = multiprocessing.get_context('fork')
        them = [context.Process(target=work, args=(name, 15)) for name in ('treating', 'pharmacist')]
        for p in them:
            p.start()
        for p in them:
            p.join(120)
            self.assertEqual(p.exitcode, 0)
        self.assertEqual(one(self.me, 'SELECT count(*) FROM document'), 31)
        self.assertEqual(sorted(r[0] for r in self.me.execute('SELECT length(content) FROM document WHERE id<>?', (self.doc,))),
                         sorted(2 * [i * 1000 for i in range(15)]))
        self.sound()


if __name__ == '__main__':
    main()
