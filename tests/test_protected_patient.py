"""test_protected_patient.py: rows of a practice's table under the keys of their patients (dmp_protect with patient=)."""
import os
import sqlite3

from harness import Case, Practice, error_of, main, one, open_record

NOTE = 'douleur thoracique au repos'
OWN = 1                                                # the practice's own number of the first patient


class PatientRows(Case):
    """One practice: a treating doctor, a nurse with consent, a pharmacist without; two patients; consultations by the practice's numbers."""

    def setUp(self):
        self.p = Practice({'doctor': ('10', 1), 'nurse': ('60', 0), 'pharmacist': ('21', 0)})
        self.addCleanup(self.p.drop)
        self.doctor = self.p.login('doctor')
        for n, name in ((1, 'alice'), (2, 'zoe')):
            self.p.patient(name, self.doctor, 'doctor', local_system='cabinet', local_value=str(n))
        self.consent('alice', 'nurse')
        self.doctor.executescript('CREATE TABLE patients(id INTEGER PRIMARY KEY,ville TEXT);'
                                  'CREATE TABLE consultation(id INTEGER PRIMARY KEY,patient_id INTEGER REFERENCES patients(id),jour TEXT,note TEXT,motif TEXT);'
                                  "INSERT INTO patients VALUES(1,'Lyon'),(2,'Brest');"
                                  "INSERT INTO consultation VALUES(1,1,'2026-01-05','%s','douleur'),(2,2,'2026-01-06','note de zoe','toux'),"
                                  "(3,NULL,'2026-01-07','note sans patient','divers'),(4,1,'2026-01-08','suivi','controle')" % NOTE)
        self.protect()

    def protect(self, options='patient=patient_id,system=cabinet'):
        one(self.doctor, "SELECT dmp_protect('consultation','note,motif',?)", options)

    def consent(self, patient, who):
        alice = self.p.login(patient)
        alice.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.p.id[patient], self.p.id[who]))
        alice.close()

    def withdraw(self, patient, who):
        alice = self.p.login(patient)
        alice.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.p.id[patient], self.p.id[who]))
        alice.close()

    def notes(self, con):
        return dict(con.execute('SELECT id,note FROM consultation ORDER BY id'))

    def seen(self, who):
        con = self.p.login(who)
        got = self.notes(con)
        con.close()
        return got

    def test_each_sees_the_rows_of_the_patients_who_consented(self):
        self.assertEqual(self.notes(self.doctor), {1: NOTE, 2: 'note de zoe', 3: 'note sans patient', 4: 'suivi'})
        self.assertEqual(self.seen('nurse'), {1: NOTE, 2: None, 3: None, 4: 'suivi'})
        self.assertEqual(self.seen('pharmacist'), {1: None, 2: None, 3: None, 4: None})
        self.assertEqual(self.seen('alice'), {1: NOTE, 2: None, 3: None, 4: 'suivi'})

    def test_without_a_login_the_plain_columns_are_there_and_the_sealed_ones_are_null(self):
        con = self.p.connect()
        self.assertEqual(con.execute('SELECT jour,note,motif,dmp_masked FROM consultation WHERE id=1').fetchall(), [('2026-01-05', None, None, None)])

    def test_with_hide_a_row_that_does_not_open_is_not_there(self):
        one(self.doctor, "SELECT dmp_unprotect('consultation')")
        self.protect('patient=patient_id,system=cabinet,without_key=hide')
        self.assertEqual(self.seen('nurse'), {1: NOTE, 4: 'suivi'})
        self.assertEqual(self.seen('pharmacist'), {})
        nurse = self.p.login('nurse')
        self.assertEqual(one(nurse, 'SELECT count(*) FROM consultation'), 2)
        self.assertEqual(nurse.execute("UPDATE consultation SET jour='2026-02-02' WHERE id=2").rowcount, 0)
        self.assertEqual(nurse.execute("UPDATE consultation SET jour='2026-02-02' WHERE id=1").rowcount, 1)

    def test_a_withdrawal_reaches_the_rows_and_a_new_consent_brings_them_back(self):
        nurse = self.p.login('nurse')
        self.assertEqual(self.notes(nurse)[1], NOTE)
        self.withdraw('alice', 'nurse')
        self.assertEqual(self.notes(nurse), {1: None, 2: None, 3: None, 4: None})
        self.doctor.execute("INSERT INTO consultation VALUES(5,1,'2026-02-01','après le retrait','x')")
        self.assertIsNone(self.notes(nurse)[5])
        self.assertEqual(self.seen('alice')[1], NOTE)
        self.assertEqual(self.notes(self.doctor)[5], 'après le retrait')
        self.consent('alice', 'nurse')
        self.assertEqual(self.seen('nurse')[5], 'après le retrait')

    def test_a_withdrawal_that_is_rolled_back_leaves_rows_and_keys_as_they_were(self):
        alice = self.p.login('alice')
        alice.execute('BEGIN')
        alice.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['nurse'],))
        alice.execute('ROLLBACK')
        self.assertEqual(self.seen('nurse')[1], NOTE)
        self.assertEqual(self.notes(alice)[1], NOTE)

    def test_a_masked_row_is_for_patient_and_treating_doctor(self):
        alice = self.p.login('alice')
        alice.execute('UPDATE consultation SET dmp_masked=1 WHERE id=1')
        self.assertEqual(self.seen('nurse'), {1: None, 2: None, 3: None, 4: 'suivi'})
        self.assertEqual(alice.execute('SELECT note,dmp_masked FROM consultation WHERE id IN(1,4) ORDER BY id').fetchall(), [(NOTE, 1), ('suivi', 0)])
        self.assertEqual(self.doctor.execute('SELECT note,dmp_masked FROM consultation WHERE id=1').fetchone(), (NOTE, 1))
        self.doctor.execute("UPDATE consultation SET motif='autre' WHERE id=1")          # stays masked
        self.assertIsNone(self.seen('nurse')[1])
        alice.execute('UPDATE consultation SET dmp_masked=0 WHERE id=1')
        self.assertEqual(self.seen('nurse')[1], NOTE)
        lines = {r[0] for r in alice.execute('SELECT action FROM access_log')}
        self.assertTrue({'mask', 'unmask'} <= lines, lines)

    def test_masking_is_refused_to_who_is_no_full_holder_and_changes_nothing(self):
        nurse = self.p.login('nurse')
        self.assertIn('dmp-E', self.fails(nurse, 'UPDATE consultation SET dmp_masked=1 WHERE id=1'))
        self.assertEqual(self.seen('nurse')[1], NOTE)
        self.assertIn('dmp-E', self.fails(nurse, 'UPDATE consultation SET dmp_masked=7 WHERE id=1'))

    def test_a_row_may_be_written_masked(self):
        self.doctor.execute("INSERT INTO consultation(id,patient_id,note,dmp_masked) VALUES(9,1,'confidentiel',1)")
        self.assertIsNone(self.seen('nurse')[9])
        self.assertEqual(self.seen('alice')[9], 'confidentiel')

    def test_masks_survive_a_rotation(self):
        alice = self.p.login('alice')
        alice.execute('UPDATE consultation SET dmp_masked=1 WHERE id=1')
        self.consent('alice', 'pharmacist')
        self.withdraw('alice', 'pharmacist')
        self.assertEqual(self.seen('nurse'), {1: None, 2: None, 3: None, 4: 'suivi'})
        self.assertEqual(self.seen('alice')[1], NOTE)

    def test_who_holds_no_key_of_the_class_may_write_and_does_not_read_it_back(self):
        one(self.doctor, "SELECT dmp_unprotect('consultation')")
        self.protect('patient=patient_id,system=cabinet,type=75496-0')       # a class for physicians
        nurse = self.p.login('nurse')
        self.assertEqual(self.notes(nurse), {1: None, 2: None, 3: None, 4: None})
        nurse.execute('INSERT INTO consultation(id,patient_id,note) VALUES(6,?,?)', (self.p.id['alice'], 'glycémie 1,2'))
        self.assertIsNone(self.notes(nurse)[6])
        self.assertEqual(self.notes(self.doctor)[6], 'glycémie 1,2')
        self.assertEqual(self.seen('alice')[6], 'glycémie 1,2')
        self.withdraw('alice', 'nurse')
        self.assertEqual(self.notes(self.doctor)[6], 'glycémie 1,2')

    def test_a_patient_whom_the_login_does_not_know_is_refused_and_nothing_written(self):
        nurse = self.p.login('nurse')
        self.assertIn('dmp-E', self.fails(nurse, "INSERT INTO consultation(id,patient_id,note) VALUES(7,2,'x')"))
        self.assertIn('dmp-E', self.fails(self.doctor, "INSERT INTO consultation(id,patient_id,note) VALUES(7,99,'x')"))
        self.assertEqual(one(self.doctor, 'SELECT count(*) FROM consultation'), 4)
        self.doctor.execute("INSERT INTO consultation(id,patient_id,note) VALUES(7,2,'x')")
        self.assertEqual(self.seen('zoe')[7], 'x')

    def test_a_row_without_a_patient_is_for_the_readers_of_the_table(self):
        self.doctor.execute('INSERT INTO protected_reader("table",principal) VALUES(?,?)', ('consultation', self.p.id['pharmacist']))
        self.assertEqual(self.seen('pharmacist'), {1: None, 2: None, 3: 'note sans patient', 4: None})
        pharmacist = self.p.login('pharmacist')
        pharmacist.execute("UPDATE consultation SET note='relu' WHERE id=3")
        self.assertEqual(self.notes(self.doctor)[3], 'relu')
        self.doctor.execute('DELETE FROM protected_reader WHERE principal=?', (self.p.id['pharmacist'],))
        self.assertIsNone(self.seen('pharmacist')[3])
        self.assertEqual(self.notes(self.doctor), {1: NOTE, 2: 'note de zoe', 3: 'relu', 4: 'suivi'})

    def test_a_row_given_to_another_patient_takes_that_patients_key(self):
        self.doctor.execute('UPDATE consultation SET patient_id=2 WHERE id=4')
        self.assertEqual(self.seen('alice'), {1: NOTE, 2: None, 3: None, 4: None})
        self.assertEqual(self.seen('zoe'), {1: None, 2: 'note de zoe', 3: None, 4: 'suivi'})
        nurse = self.p.login('nurse')
        self.assertIn('dmp-E', self.fails(nurse, 'UPDATE consultation SET patient_id=1 WHERE id=4'))
        self.assertIn('dmp-E', self.fails(nurse, 'UPDATE consultation SET patient_id=2 WHERE id=1'))
        self.doctor.execute('UPDATE consultation SET patient_id=1 WHERE id=4')
        self.assertEqual(self.seen('nurse')[4], 'suivi')

    def test_a_row_that_does_not_open_cannot_be_changed_in_its_sealed_columns(self):
        nurse = self.p.login('nurse')
        self.assertIn('dmp-E', self.fails(nurse, "UPDATE consultation SET note='x' WHERE id=2"))
        nurse.execute("UPDATE consultation SET jour='2026-03-03' WHERE id=2")
        self.assertEqual(self.doctor.execute('SELECT jour,note FROM consultation WHERE id=2').fetchone(), ('2026-03-03', 'note de zoe'))

    def test_a_row_that_does_not_open_is_neither_deleted_nor_replaced(self):
        self.doctor.executescript("CREATE TABLE acte(id INTEGER PRIMARY KEY,patient INTEGER,code TEXT UNIQUE,texte TEXT);"
                                  "INSERT INTO acte VALUES(1,1,'a','d alice'),(2,2,'b','de zoe')")
        one(self.doctor, "SELECT dmp_protect('acte','texte','patient=patient,system=cabinet')")
        nurse, rows = self.p.login('nurse'), 'SELECT * FROM acte ORDER BY id'
        before = self.doctor.execute(rows).fetchall()
        for sql in ('DELETE FROM acte WHERE id=2', 'DELETE FROM acte', "REPLACE INTO acte VALUES(2,1,'c','x')", "REPLACE INTO acte VALUES(3,1,'b','x')",
                    "UPDATE OR REPLACE acte SET code='b' WHERE id=1", 'UPDATE OR REPLACE acte SET id=2 WHERE id=1'):
            self.refused(77, nurse, sql)
            self.assertEqual(self.doctor.execute(rows).fetchall(), before, sql)
        self.refused(77, self.p.login('pharmacist'), "REPLACE INTO acte VALUES(1,1,'a','faux')")
        nurse.execute("REPLACE INTO acte VALUES(3,1,'c','trois'),(4,1,'d','quatre')")
        nurse.execute("REPLACE INTO acte VALUES(5,1,'c','trois encore')")
        nurse.execute("UPDATE OR REPLACE acte SET code='d' WHERE id=5")
        self.assertEqual(self.doctor.execute(rows).fetchall(), before + [(5, 1, 'd', 'trois encore')])
        nurse.execute('DELETE FROM acte WHERE id=1')
        self.doctor.execute("REPLACE INTO acte VALUES(5,1,'b','tout')")
        self.assertEqual(self.doctor.execute(rows).fetchall(), [(5, 1, 'b', 'tout')])

    def test_who_lost_the_consent_replaces_and_deletes_no_row_of_before(self):
        self.withdraw('alice', 'nurse')
        nurse = self.p.login('nurse')
        self.refused(77, nurse, "REPLACE INTO consultation VALUES(1,1,'2026-01-05','faux','x')")
        self.refused(77, nurse, 'DELETE FROM consultation WHERE id=1')
        self.assertEqual(self.notes(self.doctor)[1], NOTE)

    def test_without_a_login_no_row_is_changed_or_deleted(self):
        con = self.p.connect()
        self.refused(23, con, 'DELETE FROM consultation')
        self.refused(23, con, "UPDATE consultation SET jour='x'")
        self.assertEqual(one(self.doctor, "SELECT count(*) FROM consultation WHERE jour<>'x'"), 4)

    def test_reading_a_patients_rows_is_logged_before_they_are_released(self):
        before = self.lines('alice')
        self.seen('nurse')
        after = self.lines('alice')
        self.assertEqual(len([x for x in after if x == ('list', self.p.id['nurse'])]),
                         len([x for x in before if x == ('list', self.p.id['nurse'])]) + 1)

    def lines(self, patient):
        con = self.p.login(patient)
        got = con.execute('SELECT action,principal FROM access_log').fetchall()
        con.close()
        return got

    def test_without_a_log_no_row_is_released(self):
        nurse = self.p.login('nurse')
        log = self.p.path + '-log'
        held = sqlite3.connect(os.path.join(log, 'access.db'), isolation_level=None)
        held.execute('BEGIN EXCLUSIVE')
        try:
            self.assertIn('dmp-E', self.fails(nurse, 'SELECT note FROM consultation WHERE id=1'))
            self.assertEqual(one(nurse, 'SELECT jour FROM consultation WHERE id=1'), '2026-01-05')
        finally:
            held.execute('ROLLBACK')
            held.close()
        self.assertEqual(one(nurse, 'SELECT note FROM consultation WHERE id=1'), NOTE)

    def test_a_box_moved_to_another_row_or_cut_does_not_open(self):
        raw = self.p.raw()
        boxes = dict(raw.execute('SELECT id,_dmp FROM consultation_dmp'))
        for box in (boxes[4], boxes[1][:-1], boxes[1][:40], b'', boxes[2]):
            raw.execute('UPDATE consultation_dmp SET _dmp=? WHERE id=1', (box,))
            self.assertIn('dmp-E', self.fails(self.doctor, 'SELECT note FROM consultation WHERE id=1'))
            self.assertNotIn(NOTE, str(self.seen_or_error('nurse')))
        raw.execute('UPDATE consultation_dmp SET _dmp=? WHERE id=1', (boxes[1],))
        self.assertEqual(one(self.doctor, 'SELECT note FROM consultation WHERE id=1'), NOTE)

    def seen_or_error(self, who):
        con = self.p.login(who)
        return error_of(con, 'SELECT note FROM consultation WHERE id=1') or one(con, 'SELECT note FROM consultation WHERE id=1')

    def test_a_row_sent_to_another_patient_by_the_host_does_not_open(self):
        self.p.raw().execute('UPDATE consultation_dmp SET patient_id=2 WHERE id=1')
        self.assertIn('dmp-E', self.fails(self.doctor, 'SELECT note FROM consultation WHERE id=1'))
        self.assertNotIn(NOTE, str(self.seen_or_error('zoe')))

    def test_unprotecting_needs_every_row_and_gives_the_table_back(self):
        rows = "SELECT id,patient_id,jour,note,motif FROM consultation ORDER BY id"
        before = self.doctor.execute(rows).fetchall()
        self.doctor.execute('INSERT INTO protected_reader("table",principal) VALUES(?,?)', ('consultation', self.p.id['nurse']))
        nurse = self.p.login('nurse')
        self.assertIn('dmp-E', self.fails(nurse, "SELECT dmp_unprotect('consultation')"))
        one(self.doctor, "SELECT dmp_unprotect('consultation')")
        self.assertEqual(self.doctor.execute(rows).fetchall(), before)
        self.assertEqual(one(self.doctor, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%\\_dmp%' ESCAPE '\\'"), 0)

    def test_protecting_names_the_row_whose_patient_has_no_record(self):
        self.doctor.executescript("CREATE TABLE acte(id INTEGER PRIMARY KEY,patient INTEGER,texte TEXT); INSERT INTO acte VALUES(1,1,'a'),(2,77,'b')")
        got = self.fails(self.doctor, "SELECT dmp_protect('acte','texte','patient=patient,system=cabinet')")
        self.assertIn('acte row 2', got)
        self.assertEqual(self.doctor.execute('SELECT texte FROM acte').fetchall(), [('a',), ('b',)])
        self.doctor.execute('DELETE FROM acte WHERE id=2')
        one(self.doctor, "SELECT dmp_protect('acte','texte','patient=patient,system=cabinet')")
        self.assertEqual(self.doctor.execute('SELECT texte FROM acte').fetchall(), [('a',)])

    def test_the_column_may_hold_the_ids_of_the_record(self):
        self.doctor.execute('CREATE TABLE suivi(id INTEGER PRIMARY KEY,patient INTEGER,texte TEXT)')
        one(self.doctor, "SELECT dmp_protect('suivi','texte','patient=patient')")
        self.doctor.execute('INSERT INTO suivi(patient,texte) VALUES(?,?)', (self.p.id['alice'], 'suivi de nuit'))
        self.assertIn('dmp-E', self.fails(self.doctor, "INSERT INTO suivi(patient,texte) VALUES(1,'sans systeme')"))
        nurse = self.p.login('nurse')
        self.assertEqual(nurse.execute('SELECT texte FROM suivi').fetchall(), [('suivi de nuit',)])
        self.withdraw('alice', 'nurse')
        self.assertEqual(nurse.execute('SELECT texte FROM suivi').fetchall(), [(None,)])

    def test_a_whole_table_reads_alike_whether_this_connection_writes_or_not(self):
        ids = [self.p.id['alice'], self.p.id['zoe'], None]
        for key in ('null', 'hide'):
            with self.subTest(key):
                table = 'suivi_' + key
                self.doctor.execute('CREATE TABLE %s(id INTEGER PRIMARY KEY,patient INTEGER,texte TEXT)' % table)
                self.doctor.executemany('INSERT INTO %s(patient,texte) VALUES(?,?)' % table, [(ids[i % 3], 'texte %d' % i) for i in range(300)])
                one(self.doctor, 'SELECT dmp_protect(?,?,?)', table, 'texte', 'patient=patient' + (',without_key=hide' if key == 'hide' else ''))
                mine = lambda p: p == self.p.id['alice']
                rows = [(i + 1, ids[i % 3], 'texte %d' % i if mine(ids[i % 3]) else None) for i in range(300) if key == 'null' or mine(ids[i % 3])]
                nurse = self.p.login('nurse')
                sqls = ['SELECT * FROM ' + table, 'SELECT * FROM %s ORDER BY id' % table, 'SELECT * FROM %s WHERE +id>0' % table]
                idle = [nurse.execute(sql).fetchall() for sql in sqls]
                nurse.execute('BEGIN IMMEDIATE')
                writing = [nurse.execute(sql).fetchall() for sql in sqls]
                nurse.execute('ROLLBACK')
                self.assertEqual(idle + writing, [rows] * 6)
                self.assertEqual(one(nurse, 'SELECT count(*) FROM ' + table), len(rows))

    def test_a_withdrawal_while_its_patient_reads_loses_no_row(self):
        self.doctor.execute('CREATE TABLE suivi(id INTEGER PRIMARY KEY,patient INTEGER,texte TEXT)')
        self.doctor.executemany('INSERT INTO suivi(patient,texte) VALUES(?,?)', [(self.p.id['alice'], 'texte %d' % i) for i in range(200)])
        one(self.doctor, "SELECT dmp_protect('suivi','texte','patient=patient')")
        alice = self.p.login('alice')
        reading = alice.execute('SELECT texte FROM suivi')
        rows = [next(reading)[0] for _ in range(20)]
        alice.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['nurse'],))
        self.assertEqual(rows + [r[0] for r in reading], ['texte %d' % i for i in range(200)])

    def test_a_check_of_a_sealed_column_sees_the_patient_and_needs_the_row_that_it_looks_at(self):
        self.doctor.execute('CREATE TABLE acte(id INTEGER PRIMARY KEY,patient_id INTEGER,jour TEXT,salle TEXT,note TEXT,CHECK(patient_id<>2 OR length(note)<9),CHECK(jour>note))')
        self.doctor.execute("INSERT INTO acte VALUES(1,1,'z','A','une note longue'),(2,2,'z','B','courte'),(3,NULL,'z','C','sans')")
        one(self.doctor, "SELECT dmp_protect('acte','note','patient=patient_id,system=cabinet')")
        told = 'CHECK constraint failed: patient_id<>2 OR length(note)<9'
        for sql in ("INSERT INTO acte VALUES(4,2,'z','A','une note longue')", "UPDATE acte SET note='une note longue' WHERE id=2", 'UPDATE acte SET patient_id=2 WHERE id=1',
                    "INSERT INTO acte(patient_id,jour,note,dmp_masked) VALUES(2,'z','une note longue',1)"):
            self.assertEqual(error_of(self.doctor, sql), told)
        self.doctor.execute("INSERT INTO acte VALUES(4,1,'z','A','une note longue')")
        self.doctor.execute('UPDATE acte SET patient_id=1 WHERE id=2')
        self.doctor.execute('UPDATE acte SET patient_id=2 WHERE id=2')
        nurse = self.p.login('nurse')
        nurse.execute("UPDATE acte SET salle='D'")
        self.refused(77, nurse, "UPDATE acte SET jour='zz' WHERE id=2")
        self.refused(77, nurse, "UPDATE acte SET jour='zz' WHERE id=3")
        self.assertEqual(error_of(nurse, "UPDATE acte SET jour='a' WHERE id=1"), 'CHECK constraint failed: jour>note')
        nurse.execute("UPDATE acte SET jour='zz' WHERE id=1")
        self.assertEqual(self.doctor.execute('SELECT jour,salle,note FROM acte').fetchall(),
                         [('zz', 'D', 'une note longue'), ('z', 'D', 'courte'), ('z', 'D', 'sans'), ('z', 'D', 'une note longue')])

    def test_options_that_make_no_sense_are_refused_by_name(self):
        self.doctor.execute('CREATE TABLE t(id INTEGER PRIMARY KEY,p INTEGER,a TEXT,b TEXT)')
        for options in ('patient=', 'patient=zzz', 'patient=a', 'system=cabinet', 'type=11488-4', 'patient=p,type=nowhere'):
            self.assertIn('dmp-E', self.fails(self.doctor, 'SELECT dmp_protect(?,?,?)', ('t', 'a', options)), options)
        one(self.doctor, "SELECT dmp_protect('t','a','patient=p,type=75496-0')")

    def test_what_is_sealed_says_whose_keys(self):
        got = dict(self.doctor.execute('SELECT "column",key FROM dmp_protected'))
        self.assertEqual(got, {'note': 'patient (11488-4)', 'motif': 'patient (11488-4)'})

    def test_verifying_names_a_row_that_opens_for_nobody_and_passes_over_those_of_others(self):
        rows = "SELECT * FROM dmp_verify() WHERE kind='fault'"
        for who in ('doctor', 'nurse', 'alice'):
            con = self.p.login(who)
            self.assertEqual(con.execute(rows).fetchall(), [], who)
            con.close()
        self.p.raw().execute('UPDATE consultation_dmp SET _dmp=(SELECT _dmp FROM consultation_dmp WHERE id=4) WHERE id=1')
        got = self.p.login('alice').execute(rows).fetchall()
        self.assertEqual(len(got), 1, got)
        self.assertIn('consultation', str(got))

    def test_a_patient_can_not_claim_the_number_of_somebody_else(self):
        zoe = self.p.login('zoe')
        for value in ('1', '3'):
            zoe.execute("INSERT INTO identity(patient,system,value) VALUES(?,'cabinet',?)", (self.p.id['zoe'], value))
        self.doctor.execute("INSERT INTO consultation(id,patient_id,note) VALUES(20,1,'pour alice')")
        self.assertEqual(self.notes(self.doctor)[1], NOTE)
        self.assertEqual({i: n for i, n in self.seen('zoe').items() if n}, {2: 'note de zoe'})
        self.assertEqual(self.seen('alice')[20], 'pour alice')
        self.refused(43, self.doctor, "INSERT INTO consultation(id,patient_id,note) VALUES(21,3,'pour personne')")

    def test_a_withdrawal_reaches_rows_whose_column_has_no_type(self):
        self.doctor.executescript("CREATE TABLE libre(id INTEGER PRIMARY KEY,patient,texte TEXT); INSERT INTO libre VALUES(1,1,'un'),(2,'1','deux'),(3,2,'zoe')")
        one(self.doctor, "SELECT dmp_protect('libre','texte','patient=patient,system=cabinet')")
        self.withdraw('alice', 'nurse')
        self.consent('alice', 'nurse')
        texts = 'SELECT texte FROM libre ORDER BY id'
        self.assertEqual(self.doctor.execute(texts).fetchall(), [('un',), ('deux',), ('zoe',)])
        nurse = self.p.login('nurse')
        self.assertEqual(nurse.execute(texts).fetchall(), [('un',), ('deux',), (None,)])
        self.withdraw('alice', 'nurse')
        self.assertEqual(nurse.execute(texts).fetchall(), [(None,), (None,), (None,)])

    def test_a_full_text_index_of_a_sealed_column_is_refused_by_name_and_of_a_plain_one_not(self):
        self.doctor.executescript("CREATE TABLE texte(id INTEGER PRIMARY KEY,jour TEXT,note TEXT); INSERT INTO texte VALUES(1,'lundi','mot'); "
                                  "CREATE VIRTUAL TABLE mots USING fts5(note,content='texte')")
        self.assertIn('virtual table mots', self.refused(81, self.doctor, "SELECT dmp_protect('texte','note')"))
        self.doctor.executescript("DROP TABLE mots; CREATE VIRTUAL TABLE jours USING fts5(jour,content='texte')")
        one(self.doctor, "SELECT dmp_protect('texte','note')")
        self.assertEqual(self.doctor.execute('SELECT note FROM texte').fetchall(), [('mot',)])

    def test_a_child_is_not_unprotected_into_a_reference_to_a_table_that_was_protected_later(self):
        self.doctor.executescript("CREATE TABLE parent(id INTEGER PRIMARY KEY,a TEXT); CREATE TABLE child(id INTEGER PRIMARY KEY,p INTEGER REFERENCES parent(id) ON DELETE CASCADE,b TEXT);"
                                  "INSERT INTO parent VALUES(1,'a'); INSERT INTO child VALUES(1,1,'b'); PRAGMA foreign_keys=ON")
        one(self.doctor, "SELECT dmp_protect('child','b')")
        one(self.doctor, "SELECT dmp_protect('parent','a')")
        self.assertIn('table parent', self.refused(86, self.doctor, "SELECT dmp_unprotect('child')"))
        one(self.doctor, "SELECT dmp_unprotect('parent')")
        one(self.doctor, "SELECT dmp_unprotect('child')")
        self.doctor.execute('DELETE FROM parent')
        self.assertEqual(one(self.doctor, 'SELECT count(*) FROM child'), 0)

    def test_no_trigger_of_the_practice_fires_when_a_patients_keys_turn(self):
        self.doctor.executescript("CREATE TABLE acte(id INTEGER PRIMARY KEY,patient INTEGER,texte TEXT); CREATE TABLE vu(n); INSERT INTO acte VALUES(1,1,'a');"
                                  "CREATE TRIGGER t_acte AFTER UPDATE ON acte BEGIN INSERT INTO vu VALUES(new.id); END")
        one(self.doctor, "SELECT dmp_protect('acte','texte','patient=patient,system=cabinet')")
        box = one(self.p.raw(), 'SELECT _dmp FROM acte_dmp')
        self.withdraw('alice', 'nurse')
        self.assertNotEqual(one(self.p.raw(), 'SELECT _dmp FROM acte_dmp'), box)
        self.assertEqual(one(self.doctor, 'SELECT count(*) FROM vu'), 0)
        self.doctor.execute("UPDATE acte SET texte='b'")
        self.assertEqual(one(self.doctor, 'SELECT count(*) FROM vu'), 1)

    def test_killed_before_commit_a_withdrawal_did_not_happen(self):
        pid = os.fork()
        if pid == 0:
            con = open_record(self.p.path)
            con.execute('SELECT dmp_login(?,?)', (self.p.key('alice'), 'code-des-tests-1'))
            con.execute('BEGIN')
            con.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['nurse'],))
            os.kill(os.getpid(), 9)
        os.waitpid(pid, 0)
        self.assertEqual(self.seen('nurse')[1], NOTE)
        self.assertEqual(self.notes(self.doctor)[1], NOTE)


if __name__ == '__main__':
    main()
