"""test_protected.py: protected tables against people without the key, a hostile host, crashes and full disks; and what stands in
the way of protecting, by name.  The rows of the kill test: DMP_KILL_ROWS (20000)."""
import os
import signal
import sqlite3
import subprocess
import sys
import time

from harness import PIN, SO, error_of, main, one, open_record
from protected_case import ProtectedCase

KILL_ROWS = int(os.environ.get('DMP_KILL_ROWS', 20000))
KILLS = 50
RUN = """import sys; sys.argv = ['x', %r]; sys.path.insert(0, %r)
from harness import open_record, one, PIN
c = open_record(%r); one(c, 'SELECT dmp_login(?,?)', %r, PIN); print('ready', flush=True)
sys.stdin.readline(); %s
print('done', flush=True)"""


class Protected(ProtectedCase):
    # ---- who sees what ----

    def test_a_login_without_the_key_sees_null_and_may_not_write(self):
        self.protect()
        two = self.p.login('two')
        self.assertEqual(self.notes(two, 'id=1'), [None])
        self.assertEqual(two.execute('SELECT day FROM consultation WHERE id=1').fetchall(), [('2026-01-01',)])
        self.refused(77, two, "INSERT INTO consultation(note) VALUES('x')")
        self.refused(77, two, "UPDATE consultation SET note='x' WHERE id=1")
        self.refused(77, two, "UPDATE consultation SET id=id+1000 WHERE id=1")
        self.refused(77, two, "SELECT dmp_unprotect('consultation')")
        self.assertEqual(self.fails(two, 'DROP TABLE consultation'), 'authorization denied')
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    def test_a_login_without_the_key_meets_no_row_when_hidden(self):
        self.protect('without_key=hide')
        two = self.p.login('two')
        self.assertEqual(one(two, 'SELECT count(*) FROM consultation'), 0)
        self.refused(77, two, "UPDATE consultation SET day='x'") if one(two, 'SELECT count(*) FROM consultation') else None
        self.assertEqual(one(self.c, 'SELECT count(*) FROM consultation'), 40)

    def test_nobody_logged_in_sees_null(self):
        self.protect()
        self.assertEqual(self.notes(self.p.connect(), 'id=1'), [None])

    def test_a_holder_gives_and_takes_the_key(self):
        self.protect()
        two = self.p.login('two')
        self.refused(77, two, "INSERT INTO protected_reader VALUES('consultation',%d)" % self.p.id['two'])
        self.c.execute("INSERT INTO protected_reader VALUES('consultation',?)", (self.p.id['two'],))
        self.assertEqual(self.notes(two, 'id=1'), ['canari note 0'])
        old = self.box(1)
        self.c.execute('DELETE FROM protected_reader WHERE principal=?', (self.p.id['two'],))
        self.assertEqual(self.notes(two, 'id=1'), [None])
        self.assertNotEqual(self.box(1), old)
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    # ---- what stands in the way, by name ----

    def test_what_cannot_be_protected_is_named(self):
        c = self.c
        c.executescript("""CREATE TABLE r(id INTEGER PRIMARY KEY, a TEXT CHECK(a<>''), b TEXT UNIQUE, c TEXT, d TEXT, e TEXT, f TEXT REFERENCES letter(id), g AS (a));
                           CREATE INDEX r_c ON r(c); CREATE INDEX r_d ON r(lower(d)); CREATE TRIGGER r_t AFTER UPDATE ON r BEGIN INSERT INTO letter(body) VALUES(new.e); END;
                           CREATE TABLE s(id INTEGER PRIMARY KEY, a TEXT UNIQUE ON CONFLICT IGNORE, b); CREATE TABLE k(a TEXT PRIMARY KEY, b); CREATE TABLE kc(x REFERENCES k)""")
        for column, what in (('a', 'column a: .*after drop column'), ('b', 'column b: index sqlite_autoindex_r_1'), ('c', 'column c: index r_c'), ('d', 'column d: .*r_d'),
                             ('e', 'trigger'), ('f', 'column f: .*foreign key|column f: REFERENCES'), ('g', 'column g: generated'), ('id', 'column id: PRIMARY KEY')):
            self.assertRegex(self.refused(81, c, "SELECT dmp_protect('r',?)", (column,)), what)
        self.assertEqual(self.refused(81, c, "SELECT dmp_protect('r','b,g,c')").partition('first (')[2],
                         'column g: generated; column b: index sqlite_autoindex_r_1, unless index= names the column; column c: index r_c, unless index= names the column)')
        c.executescript('CREATE TRIGGER r_u AFTER UPDATE ON r BEGIN INSERT INTO letter(body) VALUES(new.b); END; '
                        'CREATE TRIGGER r_i AFTER UPDATE ON r BEGIN INSERT INTO letter(body) VALUES(new.id); END')
        said = self.refused(81, c, "SELECT dmp_protect('r','e')")
        self.assertIn('trigger r_t: no such column: new.e', said)
        self.assertNotIn('r_u', said)
        self.assertNotIn('r_i', said)
        self.assertEqual(one(c, "SELECT count(*) FROM sqlite_schema WHERE type='trigger' AND tbl_name='r'"), 3)   # nothing was dropped
        c.executescript('DROP TRIGGER r_u; DROP TRIGGER r_i')
        self.assertRegex(self.refused(86, c, "SELECT dmp_protect('s','b')"), 'ON CONFLICT in table s')
        self.assertRegex(self.refused(86, c, "SELECT dmp_protect('k','b')"), 'REFERENCES k without a column in table kc')
        c.execute("SELECT dmp_protect('r','e') WHERE 0")
        c.execute('DROP TRIGGER r_t')
        c.execute("SELECT dmp_protect('r','e')")

    def test_views_virtual_tables_and_missing_things_are_refused(self):
        c = self.c
        c.execute('CREATE VIRTUAL TABLE ft USING fts5(x)')
        for table in ('recent', 'ft', 'document', 'dmp_record', 'nothing', 'sqlite_schema'):
            self.refused(78, c, "SELECT dmp_protect(?,'note')", (table,))
        self.refused(79, c, "SELECT dmp_protect('consultation','note,nothing')")
        self.assertIn('(nothing; none)', self.refused(79, c, "SELECT dmp_protect('consultation','note,nothing,none')"))
        self.assertIn('(note twice)', self.refused(79, c, "SELECT dmp_protect('consultation','note,note')"))
        self.refused(79, c, "SELECT dmp_protect('consultation','')")
        self.refused(66, c, "SELECT dmp_protect('consultation','note','without_key=blur')")
        self.protect()
        self.refused(80, c, "SELECT dmp_protect('consultation','note')")
        self.refused(82, c, "SELECT dmp_unprotect('letter')")
        self.refused(78, c, "SELECT dmp_protect('consultation_dmp','patient_id')")

    def test_protecting_inside_a_from_or_with_an_open_statement_is_refused_and_changes_nothing(self):
        before = self.c.execute('SELECT name,sql FROM sqlite_schema ORDER BY 1').fetchall()
        for reads in (' FROM letter', ' FROM consultation', ' FROM (SELECT 1)'):
            self.refused(83, self.c, "SELECT dmp_protect('consultation','note')" + reads)
        self.refused(83, self.c, "INSERT INTO letter(body) VALUES(dmp_protect('consultation','note'))")
        rows = self.c.execute('SELECT * FROM consultation')
        rows.fetchone()
        self.refused(83, self.c, "SELECT dmp_protect('consultation','note')")
        rows.close()
        self.assertEqual(self.c.execute('SELECT name,sql FROM sqlite_schema ORDER BY 1').fetchall(), before)
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])
        self.protect()
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    def test_protecting_while_another_connection_writes_is_refused_and_works_afterwards(self):
        other = self.p.connect()
        other.execute('BEGIN IMMEDIATE')
        self.c.execute('PRAGMA busy_timeout=100')
        self.fails(self.c, "SELECT dmp_protect('consultation','note,motif')")
        other.execute('ROLLBACK')
        self.protect()
        self.assertEqual(len(self.notes(self.c)), 40)

    # ---- a hostile host ----

    def test_a_box_moved_to_another_row_or_table_does_not_open(self):
        self.protect()
        self.protect(None, 'letter', 'body')
        one_, two = self.box(1), self.box(2)
        self.set_box(1, two)
        self.assertRegex(self.refused(5, self.c, 'SELECT note FROM consultation WHERE id=1'), 'consultation row 1')
        self.assertEqual(self.notes(self.c, 'id=2'), ['canari note 1'])
        self.assertEqual(self.c.execute('SELECT day FROM consultation WHERE id=1').fetchall(), [('2026-01-01',)])
        self.set_box(1, self.box(1, 'letter_dmp'))
        self.refused(5, self.c, 'SELECT note FROM consultation WHERE id=1')
        self.set_box(1, one_)
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    def test_a_box_cut_at_any_length_or_with_any_bit_turned_does_not_open(self):
        self.protect()
        whole = self.box(1)
        raw = self.p.raw()
        for n in range(len(whole)):
            raw.execute('UPDATE consultation_dmp SET _dmp=? WHERE id=1', (whole[:n],))
            self.assertRegex(error_of(self.c, 'SELECT note FROM consultation WHERE id=1') or '', '^dmp-E00[5678]', n)
        for n in range(len(whole)):
            raw.execute('UPDATE consultation_dmp SET _dmp=? WHERE id=1', (whole[:n] + bytes([whole[n] ^ 1 << n % 8]) + whole[n + 1:],))
            self.assertRegex(error_of(self.c, 'SELECT note FROM consultation WHERE id=1') or '', '^dmp-E00[5678]', n)

    def test_an_older_box_of_the_same_row_is_not_told_from_the_newest(self):
        """A limit that README names: a row's box carries no version, so the host may put an older one back."""
        self.protect()
        old = self.box(1)
        self.c.execute("UPDATE consultation SET note='nouveau' WHERE id=1")
        self.set_box(1, old)
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    def test_a_planted_view_or_trigger_that_names_the_table_stops_the_reading(self):
        self.protect()
        for plant, drop in (('CREATE VIEW leak AS SELECT note FROM consultation', 'DROP VIEW leak'),
                            ('CREATE TRIGGER leak AFTER INSERT ON letter BEGIN UPDATE letter SET body=(SELECT note FROM consultation); END', 'DROP TRIGGER leak'),
                            ('CREATE TRIGGER leak AFTER INSERT ON letter BEGIN UPDATE letter SET body=(SELECT note FROM recent); END', 'DROP TRIGGER leak')):
            raw = self.p.raw()
            raw.execute(plant)
            self.refused(25, self.c, 'SELECT note FROM consultation WHERE id=1')
            self.refused(25, self.p.login('dr'), 'SELECT note FROM consultation WHERE id=1')
            raw.execute(drop)
            self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])
        self.c.execute('CREATE VIEW mine AS SELECT note FROM consultation')
        self.refused(25, self.c, 'SELECT note FROM consultation WHERE id=1')
        self.c.execute("SELECT dmp_protect('consultation')")
        self.assertEqual(self.c.execute('SELECT note FROM mine LIMIT 1').fetchall(), [('canari note 0',)])

    def test_a_view_planted_under_the_number_of_a_schema_that_was_rolled_back_is_met(self):
        self.protect()
        for transaction in (True, False):
            self.notes(self.c)
            self.c.execute('BEGIN')
            self.c.execute('CREATE VIEW harmless AS SELECT 1')
            self.notes(self.c)
            self.c.execute('ROLLBACK')
            self.p.raw().execute('CREATE VIEW leak AS SELECT note FROM consultation')
            if transaction:
                self.c.execute('BEGIN')
            self.refused(25, self.c, 'SELECT * FROM leak')
            if transaction:
                self.c.execute('ROLLBACK')
            self.p.raw().execute('DROP VIEW leak')

    # ---- the scrub ----

    def test_the_scrub_waits_for_readers_and_transactions(self):
        self.protect()
        self.c.execute('BEGIN')
        self.refused(83, self.c, 'SELECT dmp_scrub()')
        self.c.execute('COMMIT')
        for journal in ('WAL', 'DELETE'):
            self.c.execute('SELECT dmp_scrub()')
            self.p.authority.close()
            self.c.execute('PRAGMA journal_mode=' + journal)
            self.c.execute("SELECT dmp_unprotect('consultation')")
            self.protect()
            reader = self.p.raw()
            reader.execute('BEGIN')
            reader.execute('SELECT count(*) FROM dmp_record').fetchone()
            self.refused(83, self.c, 'SELECT dmp_scrub()')
            self.assertEqual(one(self.c, 'SELECT max(scrub_due) FROM dmp_protected'), 1, journal)
            reader.close()
            self.c.execute('SELECT dmp_scrub()')
            self.assertEqual(one(self.c, 'SELECT max(scrub_due) FROM dmp_protected'), 0, journal)
            for f in self.p.files():
                self.assertFalse(b'canari' in open(f, 'rb').read(), '%s, %s' % (f, journal))

    # ---- crashes and full disks ----

    def killed(self, moments, verb, check):
        """Runs verb(whether it is protected) in a child that is killed at so many moments, all but the first and the last; check(connection) after each."""
        took = None
        for k in range(moments + 1):
            on = one(self.p.raw(), "SELECT count(*) FROM sqlite_schema WHERE name='consultation_dmp'")
            child = subprocess.Popen([sys.executable, '-c', RUN % (os.path.dirname(SO), os.path.dirname(os.path.abspath(__file__)), self.p.path, self.p.key('dr'),
                                                                   'c.execute("%s")' % verb(on))], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            child.stdout.readline()
            start = time.time()
            child.stdin.write(b'\n')
            child.stdin.flush()
            if k in (0, moments):                            # the first says how long it takes, the last is left to finish
                self.assertEqual(child.stdout.readline(), b'done\n')
                took = time.time() - start
            else:
                time.sleep(took * 1.1 * k / moments)
                child.send_signal(signal.SIGKILL)
            child.communicate()
            c = self.p.login('dr')
            check(c)
            self.assertEqual(c.execute("SELECT count(*), sum(note='canari note '||(id-1)), min(motif IS NOT NULL) FROM consultation").fetchall(), [(KILL_ROWS, KILL_ROWS, 1)])
            self.assertEqual(one(c, 'PRAGMA integrity_check'), 'ok')
            self.p.close()

    def fill(self):
        self.c.execute('WITH RECURSIVE n(i) AS (SELECT 41 UNION ALL SELECT i+1 FROM n WHERE i<?) INSERT INTO consultation(id,patient_id,day,note,motif) '
                       "SELECT i,1,'2026-01-01','canari note '||(i-1),'m' FROM n", (KILL_ROWS,))

    def test_protecting_killed_at_fifty_moments_happened_or_did_not(self):
        self.fill()
        self.p.close()
        states = {'plain': 0, 'protected': 0}

        def check(c):
            on = one(c, "SELECT count(*) FROM sqlite_schema WHERE name='consultation_dmp'")
            states['protected' if on else 'plain'] += 1
            self.assertEqual(one(c, 'SELECT count(*) FROM dmp_protected'), 2 * on)

        self.killed(KILLS, lambda on: "SELECT dmp_unprotect('consultation')" if on else "SELECT dmp_protect('consultation','note,motif')", check)
        self.assertGreater(min(states.values()), 0, states)

    def test_a_rotation_killed_at_twenty_moments_leaves_every_row_open_to_its_reader(self):
        self.fill()
        self.protect()
        self.p.close()
        self.killed(20, lambda on: "SELECT dmp_rotate('consultation')", lambda c: None)

    def test_taking_a_reader_away_killed_at_twenty_moments_leaves_every_row_open_to_the_other(self):
        self.fill()
        self.protect()
        self.c.execute("INSERT INTO protected_reader VALUES('consultation',?)", (self.p.id['two'],))
        self.p.close()
        self.killed(20, lambda on: 'DELETE FROM protected_reader WHERE principal=%d' % self.p.id['two'],
                    lambda c: c.execute("INSERT OR IGNORE INTO protected_reader VALUES('consultation',?)", (self.p.id['two'],)))

    def test_a_scrub_killed_at_ten_moments_leaves_every_row_and_is_done_again(self):
        self.fill()
        self.protect()
        self.p.close()
        self.killed(10, lambda on: 'SELECT dmp_scrub()', lambda c: None)
        c = self.p.login('dr')
        c.execute('SELECT dmp_scrub()')
        self.assertEqual(one(c, 'SELECT max(scrub_due) FROM dmp_protected'), 0)
        for f in self.p.files():
            self.assertNotIn(b'canari note', open(f, 'rb').read(), f)

    def test_every_conversion_is_one_commit(self):
        self.protect()
        self.c.execute('PRAGMA wal_autocheckpoint=0')
        for sql in ("INSERT INTO protected_reader VALUES('consultation',%d)" % self.p.id['two'], "SELECT dmp_rotate('consultation')",
                    'DELETE FROM protected_reader WHERE principal=%d' % self.p.id['two'], "SELECT dmp_unprotect('consultation')",
                    "SELECT dmp_protect('consultation','note,motif')"):
            self.c.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            self.c.execute(sql)
            wal = open(self.p.path + '-wal', 'rb').read()
            step = 24 + int.from_bytes(wal[8:12], 'big')
            self.assertEqual(sum(any(wal[i + 4:i + 8]) for i in range(32, len(wal), step)), 1, sql)

    def test_a_full_disk_leaves_the_table_as_it_was(self):
        c = self.c
        c.execute('WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n WHERE i<4000) INSERT INTO consultation(id,note,motif) SELECT i,printf(\'%.200c\',\'z\'),\'m\' FROM n')
        for verb in ("SELECT dmp_protect('consultation','note,motif')", "SELECT dmp_rotate('consultation')", "SELECT dmp_unprotect('consultation')"):
            before = c.execute('SELECT * FROM consultation ORDER BY id').fetchall()
            for room in (0, 1, 5, 20, 60):
                c.execute('PRAGMA max_page_count=%d' % (one(c, 'PRAGMA page_count') + room))
                got = error_of(c, verb)
                if got is None:                         # enough room: a rotation writes in place
                    self.assertIn('rotate', verb)
                else:
                    self.assertRegex(got, 'full')
                self.assertEqual(c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before)
                self.assertEqual(one(c, 'PRAGMA integrity_check'), 'ok')
            c.execute('PRAGMA max_page_count=1000000')
            c.execute(verb)
            self.assertEqual(c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before)

    # ---- transactions, statements and cursors across a conversion ----

    def test_protecting_rolled_back_leaves_a_plain_table_and_prepared_statements_follow(self):
        c = self.c
        same = 'SELECT note FROM consultation WHERE id=1'
        self.assertEqual(one(c, same), 'canari note 0')
        c.execute('BEGIN')
        self.protect()
        self.assertEqual(one(c, same), 'canari note 0')
        c.execute("UPDATE consultation SET note='autre' WHERE id=1")
        c.execute('ROLLBACK')
        self.assertEqual(one(c, same), 'canari note 0')
        self.assertEqual(one(c, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'consultation_dmp'"), 0)
        c.execute('SAVEPOINT a')
        self.protect()
        c.execute('SAVEPOINT b')
        c.execute("SELECT dmp_rotate('consultation')")
        self.assertEqual(one(c, same), 'canari note 0')
        c.execute('ROLLBACK TO b')
        self.assertEqual(one(c, same), 'canari note 0')
        c.execute("INSERT INTO consultation(id,note) VALUES(900,'apres')")
        c.execute('RELEASE a')
        self.assertEqual(one(self.p.login('dr'), 'SELECT note FROM consultation WHERE id=900'), 'apres')

    def test_an_open_cursor_ends_or_goes_on_when_a_savepoint_is_rolled_back(self):
        self.protect()
        self.c.execute('BEGIN')
        rows = self.c.execute('SELECT note FROM consultation ORDER BY id')
        self.assertEqual(rows.fetchone(), ('canari note 0',))
        self.c.execute('SAVEPOINT a')
        self.c.execute("UPDATE consultation SET day='2027-01-01' WHERE id=40")
        self.c.execute('ROLLBACK TO a')
        try:
            self.assertEqual(len(rows.fetchall()), 39)
        except sqlite3.Error as e:
            self.assertRegex(str(e), 'abort')
        rows.close()
        self.c.execute('ROLLBACK')
        self.assertEqual(len(self.notes(self.c)), 40)

    def test_another_connection_sees_the_conversion_the_rotation_and_the_rows(self):
        other = self.p.login('dr')
        self.assertEqual(self.notes(other, 'id=1'), ['canari note 0'])
        self.protect()
        self.assertEqual(self.notes(other, 'id=1'), ['canari note 0'])
        self.c.execute("SELECT dmp_rotate('consultation')")
        self.assertEqual(self.notes(other, 'id=1'), ['canari note 0'])
        other.execute("INSERT INTO consultation(id,note) VALUES(901,'autre')")
        self.assertEqual(self.notes(self.c, 'id=901'), ['autre'])
        self.c.execute("SELECT dmp_unprotect('consultation')")
        self.assertEqual(self.notes(other, 'id=901'), ['autre'])

    # ---- whole databases ----

    def test_an_attached_record_reads_and_writes(self):
        self.protect()
        c = open_record(os.path.join(self.p.folder, 'other.db'))
        self.p.open.append(c)
        c.execute('ATTACH ? AS r', (self.p.path,))
        one(c, "SELECT dmp_login(?,?,'r')", self.p.key('dr'), PIN)
        c.execute('CREATE TABLE consultation(note)')
        self.assertEqual(one(c, 'SELECT note FROM r.consultation WHERE id=1'), 'canari note 0')
        c.execute("INSERT INTO r.consultation(id,note) VALUES(77,'joint')")
        c.execute('INSERT INTO main.consultation SELECT note FROM r.consultation')
        self.assertEqual(one(c, 'SELECT count(*) FROM main.consultation'), 41)
        self.assertEqual(self.notes(self.c, 'id=77'), ['joint'])

    def test_a_backup_opens_with_the_same_credential_beside_its_anchor(self):
        self.protect()
        to = os.path.join(self.p.folder, 'copy')
        os.makedirs(to)
        target = sqlite3.connect(os.path.join(to, 'record.db'))
        self.c.backup(target)
        target.close()
        subprocess.check_call('cp -r %s-anchor %s-log %s/' % (self.p.path, self.p.path, to), shell=True)
        c = open_record(os.path.join(to, 'record.db'))
        self.p.open.append(c)
        one(c, 'SELECT dmp_login(?,?)', self.p.key('dr'), PIN)
        self.assertEqual(self.notes(c), self.notes(self.c))

    def test_a_dump_holds_boxes_and_no_plaintext_and_makes_the_table_again(self):
        self.protect()
        out = subprocess.run(['sqlite3', '-cmd', '.load ' + SO[:-3], self.p.path, '.dump consultation_dmp'], capture_output=True, text=True)
        self.assertIn('CREATE TABLE', out.stdout, out.stderr)
        self.assertNotIn('canari', out.stdout)
        whole = subprocess.run(['sqlite3', self.p.path, '.dump'], capture_output=True, text=True).stdout
        self.assertNotIn('canari', whole)
        self.assertIn('USING dmp_table', whole)

    def test_vacuum_and_vacuum_into_keep_every_row(self):
        self.c.executescript('CREATE TABLE bare(a TEXT, b TEXT); INSERT INTO bare VALUES(\'x\',\'un\'),(\'y\',\'deux\'),(\'z\',\'trois\')')
        self.protect(None, 'bare', 'b')
        self.protect()
        self.c.execute("DELETE FROM bare WHERE a='x'")
        self.c.execute('DELETE FROM consultation WHERE id<10')
        self.c.execute('VACUUM')
        self.c.execute('PRAGMA page_size=8192')
        self.assertEqual(self.c.execute('SELECT * FROM bare ORDER BY a').fetchall(), [('y', 'deux'), ('z', 'trois')])
        self.assertEqual(self.notes(self.c)[0], 'canari note 9')
        self.c.execute('VACUUM INTO ?', (os.path.join(self.p.folder, 'into.db'),))
        self.assertNotIn(b'canari note 9', open(os.path.join(self.p.folder, 'into.db'), 'rb').read())

    # ---- keys and names ----

    def test_a_table_without_an_integer_key_keeps_its_rows_and_comes_back_as_it_was(self):
        for ddl in ('k(a TEXT PRIMARY KEY, s TEXT)', 'k(a TEXT, s TEXT, b INT, PRIMARY KEY(a,b)) WITHOUT ROWID', 'k(a TEXT, s TEXT)', 'k(a INTEGER PRIMARY KEY DESC, s TEXT)',
                    'k(a INT PRIMARY KEY, s ANY) STRICT, WITHOUT ROWID', 'k(a TEXT, "PRIMARY KEY(" TEXT, s TEXT, -- PRIMARY KEY\n PRIMARY KEY(a))'):
            c = self.c
            c.execute('CREATE TABLE ' + ddl)
            text = one(c, "SELECT sql FROM sqlite_schema WHERE name='k'")
            c.execute('INSERT INTO k(a,s%s) VALUES(1,\'un\'%s),(2,\'deux\'%s)' % ((',b', ',5', ',6') if ' b ' in ddl else ('', '', '')))
            before = c.execute('SELECT * FROM k ORDER BY a').fetchall()
            self.protect(None, 'k', 's')
            self.assertEqual(c.execute('SELECT * FROM k ORDER BY a').fetchall(), before, ddl)
            if 'PRIMARY KEY(' in ddl or 'PRIMARY' in ddl.split('--')[0]:
                self.assertRegex(error_of(c, 'INSERT INTO k SELECT * FROM k') or '', 'UNIQUE constraint failed: k.a')
            c.execute("SELECT dmp_unprotect('k')")
            self.assertEqual(c.execute('SELECT * FROM k ORDER BY a').fetchall(), before, ddl)
            self.assertEqual(one(c, "SELECT sql FROM sqlite_schema WHERE name='k'").replace('"k"', 'k'), text)
            c.execute('DROP TABLE k')

    def test_changing_a_rowid_seals_the_row_again(self):
        self.protect()
        self.c.execute('UPDATE consultation SET rowid=rowid+100000 WHERE id<=3')
        self.c.execute('UPDATE consultation SET id=id+200000 WHERE id BETWEEN 4 AND 6')
        self.assertEqual(self.notes(self.c, 'id>100000'), ['canari note %d' % i for i in range(6)])

    def test_a_renamed_table_is_protected_under_its_new_name(self):
        self.protect()
        unread = self.p.login('dr')
        self.c.execute('CREATE TABLE other(x)')
        self.refused(83, unread, 'ALTER TABLE consultation RENAME TO visit')    # nothing was checked since the schema changed
        self.notes(self.c)
        two = self.p.login('two')
        two.execute('SELECT day FROM consultation').fetchall()
        self.refused(77, two, 'ALTER TABLE consultation RENAME TO visit')
        self.c.execute('ALTER TABLE consultation RENAME TO visit')
        self.assertEqual(one(self.c, 'SELECT note FROM visit WHERE id=1'), 'canari note 0')
        self.assertEqual(one(self.c, 'SELECT count(*) FROM recent'), 40)
        self.assertEqual(one(self.p.login('dr'), 'SELECT note FROM recent LIMIT 1'), 'canari note 0')
        self.assertEqual(one(self.c, 'SELECT "table" FROM dmp_protected'), 'visit')
        self.c.execute('DELETE FROM patient_p WHERE id=2')
        self.c.execute('PRAGMA foreign_keys=ON')
        self.c.execute('DELETE FROM patient_p WHERE id=1')
        self.assertEqual(one(self.c, 'SELECT count(*) FROM visit'), 20)
        self.c.execute("SELECT dmp_unprotect('visit')")
        self.assertEqual(one(self.c, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%consultation%'"), 0)

    def test_a_dropped_table_takes_its_shadow_and_description_along(self):
        self.protect()
        self.c.execute('DROP VIEW recent')
        self.c.execute("SELECT dmp_protect('consultation')")
        self.c.execute('DROP TABLE consultation')
        self.assertEqual(self.p.raw().execute("SELECT (SELECT count(*) FROM dmp_sealed), (SELECT count(*) FROM dmp_reader), (SELECT count(*) FROM sqlite_schema WHERE name LIKE 'consultation%')").fetchall(),
                         [(0, 0, 0)])

    def test_numbers_at_the_end_of_their_range_are_drawn_as_sqlite_does(self):
        self.protect(None, 'letter', 'body')
        self.c.execute('INSERT INTO letter(id) VALUES(9223372036854775807)')
        self.c.execute("INSERT INTO letter(body) VALUES('suivant')")
        self.assertGreater(one(self.c, "SELECT id FROM letter WHERE body='suivant'"), 2)

    def test_with_recursive_triggers_a_trigger_writes_its_own_table_as_on_a_plain_one(self):
        plain = sqlite3.connect(':memory:', isolation_level=None)
        for con in (plain, self.c):
            con.executescript("""
                PRAGMA recursive_triggers=ON;
                CREATE TABLE own(id INTEGER PRIMARY KEY, a INTEGER, note TEXT);
                CREATE TRIGGER own_i AFTER INSERT ON own WHEN new.a<4 BEGIN
                  INSERT INTO own(a,note) VALUES(new.a+1,'inséré'); UPDATE own SET note='changé' WHERE id=new.id; END;
                CREATE TRIGGER own_u AFTER UPDATE OF a ON own WHEN new.a<40 BEGIN UPDATE own SET a=new.a+10,note='suite' WHERE id=new.id+1; END;
                CREATE TRIGGER own_d AFTER DELETE ON own BEGIN DELETE FROM own WHERE id=old.id+1 AND id<7; END""")
        self.protect(None, 'own', 'note')
        for sql in ("INSERT INTO own(a,note) VALUES(1,'un')", "INSERT INTO own(a,note) SELECT a,note FROM own", "UPDATE own SET a=9,note='neuf' WHERE id<3",
                    'DELETE FROM own WHERE id=3'):
            got = [(con.execute(sql), con.execute('SELECT * FROM own ORDER BY id').fetchall()) for con in (plain, self.c)]
            self.assertEqual(got[0][1], got[1][1], sql)

    def test_a_trigger_that_never_ends_is_told_and_changes_nothing(self):
        self.c.executescript("PRAGMA recursive_triggers=ON; CREATE TRIGGER l_u AFTER UPDATE ON letter BEGIN UPDATE letter SET n=n+1 WHERE id=new.id; END")
        self.protect(None, 'letter', 'body')
        self.assertEqual(error_of(self.c, "UPDATE letter SET body='autre' WHERE id=1"), 'too many levels of trigger recursion')
        self.assertEqual(self.c.execute('SELECT body,n FROM letter WHERE id=1').fetchall(), [('lettre un', 1)])
        self.c.execute("INSERT INTO letter VALUES(9,'encore',1)")
        self.assertEqual(one(self.c, 'SELECT body FROM letter WHERE id=9'), 'encore')

    def test_a_whole_table_reads_alike_ahead_and_row_by_row(self):
        values = [None, 7, -2**63, 1.5, 'é' * 3, '', b'', b'\0x', 'long' * 5000, b'\xff' * 70000, '12']
        for encoding in ('UTF-8', 'UTF-16'):
            with self.subTest(encoding):
                path = os.path.join(self.p.folder, encoding + '.db')
                con = open_record(path)
                con.execute("PRAGMA encoding='%s'" % encoding)
                one(con, 'SELECT dmp_create(?,?,NULL,?)', os.path.join(self.p.folder, encoding + '.dmpkey'), PIN, 'kdf=1x8')
                one(con, 'SELECT dmp_login(?,?)', os.path.join(self.p.folder, encoding + '.dmpkey'), PIN)
                con.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, plain, sealed)')
                con.executemany('INSERT INTO t VALUES(?,?,?)', [(i * 3 - 100, values[i % 11], values[i // 11 % 11]) for i in range(400)])
                sqls = ['SELECT * FROM t', 'SELECT * FROM t ORDER BY id DESC', 'SELECT plain FROM t ORDER BY rowid', 'SELECT id, sealed FROM t LIMIT 70 OFFSET 3',
                        "SELECT count(*) FROM t WHERE sealed='ééé'", 'SELECT a.id FROM t a, t b WHERE a.sealed IS b.plain AND b.id=11', 'SELECT typeof(plain), sealed FROM t']
                was = [con.execute(sql).fetchall() for sql in sqls]
                con.execute("SELECT dmp_protect('t','sealed')")
                ahead = [con.execute(sql).fetchall() for sql in sqls]
                con.execute('BEGIN IMMEDIATE')       # while this connection writes, each row is a step
                steps = [con.execute(sql).fetchall() for sql in sqls]
                con.execute('ROLLBACK')
                for sql, *got in zip(sqls, was, ahead, steps):
                    self.assertEqual(got[0], got[1], sql)
                    self.assertEqual(got[0], got[2], sql)
                con.close()

    def test_rows_read_ahead_end_with_the_login_and_none_is_one_that_is_rolled_back(self):
        self.protect()
        reading = self.c.execute('SELECT id, note FROM consultation ORDER BY id')
        self.assertEqual([next(reading)[0] for _ in range(5)], [1, 2, 3, 4, 5])
        one(self.c, 'SELECT dmp_logout()')
        with self.assertRaises(sqlite3.DatabaseError) as e: next(reading)
        self.assertIn('dmp-E023', str(e.exception))
        self.p.login('dr', self.c)
        self.c.execute('BEGIN')
        self.c.execute("UPDATE consultation SET note='jamais écrit', day='jamais'")
        reading = self.c.execute('SELECT day, note FROM consultation ORDER BY id')
        rows = [next(reading) for _ in range(10)]
        self.c.execute('ROLLBACK')
        self.assertEqual(set(rows), {('jamais', 'jamais écrit')})
        next(reading)                                # Python had asked for this one
        self.assertNotIn('jamais', ''.join(day for day, _ in reading))

    def test_a_table_in_use_refuses_once_temporary_files_would_be_written(self):
        self.protect()
        read, write = 'SELECT note FROM consultation WHERE id=1', "UPDATE consultation SET note='autre' WHERE id=1"
        for _ in range(3):
            self.assertEqual(error_of(self.c, read), None)
            self.assertEqual(error_of(self.c, write), None)
            reading = self.c.execute('SELECT note FROM consultation')
            next(reading)
            for value in ('FILE', 'DEFAULT'):
                self.c.execute('PRAGMA temp_store=' + value)
                for sql in (read, write, 'SELECT a.note FROM consultation a, consultation b WHERE a.id=b.id'):
                    self.assertIn('dmp-E024', error_of(self.c, sql) or '', value)
            reading.close()
            self.c.execute('PRAGMA temp_store=MEMORY')
        self.assertEqual(self.notes(self.c, 'id=1'), ['autre'])

    def test_rows_read_ahead_outlive_a_withdrawal_that_turns_their_key(self):
        self.c.executemany('INSERT INTO letter(body) VALUES(?)', [('suite %d' % i,) for i in range(200)])
        want = self.c.execute('SELECT id, body FROM letter').fetchall()
        self.protect(None, 'letter', 'body')
        for end in ('COMMIT', 'ROLLBACK'):
            self.c.execute('INSERT INTO protected_reader("table",principal) VALUES(?,?)', ('letter', self.p.id['two']))
            reading = self.c.execute('SELECT id, body FROM letter')
            rows = [next(reading) for _ in range(40)]
            self.c.execute('BEGIN')
            self.c.execute('DELETE FROM protected_reader WHERE "table"=? AND principal=?', ('letter', self.p.id['two']))
            rows += [next(reading) for _ in range(60)]
            self.c.execute(end)
            self.assertEqual(rows + reading.fetchall(), want)
        reading = self.c.execute('SELECT id, body FROM letter')
        rows = [next(reading) for _ in range(40)]
        self.c.execute('DELETE FROM protected_reader WHERE "table"=? AND principal=?', ('letter', self.p.id['two']))
        self.c.execute('DELETE FROM letter WHERE id=45')
        with self.assertRaises(sqlite3.DatabaseError) as e: reading.fetchall()
        self.assertIn('dmp-E083', str(e.exception))

    def test_no_nonce_serves_twice(self):
        self.protect(None, 'letter', 'body')
        seen, insert = [], "INSERT INTO letter(body) VALUES('encore')"
        boxes = lambda: [r[0] for r in self.p.raw().execute('SELECT _dmp FROM letter_dmp')]
        for _ in range(3):                           # alone, in a transaction, in one that is rolled back, at once, and written again
            self.c.execute(insert)
            for end in ('COMMIT', 'ROLLBACK'):
                self.c.execute('BEGIN')
                for _ in range(150): self.c.execute(insert)
                seen += [r[0] for r in self.c.execute('SELECT _dmp FROM letter_dmp')]
                self.c.execute(end)
            self.c.execute('INSERT INTO letter(body) SELECT body FROM letter')
            seen += boxes()
            self.c.execute("UPDATE letter SET body='autre'")
            seen += boxes()
            one(self.c, "SELECT dmp_rotate('letter')")
            seen += boxes()
        different = set(seen)                        # what stayed from one look to the next is one box
        self.assertGreater(len(different), 5000)
        self.assertEqual(len({box[2:14] for box in different}), len(different))

    def test_constraints_on_plain_columns_reach_the_shadow_and_explain_says_so(self):
        self.protect()
        plan = lambda sql: self.c.execute('EXPLAIN QUERY PLAN ' + sql, (None,) * sql.count('?')).fetchall()[0][3]
        self.assertIn('WHERE "id"=?1 /* sealed columns opened row by row */', plan('SELECT note FROM consultation WHERE id=1'))
        self.assertIn('WHERE ("day"<', plan('SELECT id FROM consultation WHERE day<?'))
        self.assertIn('/* plain columns only */', plan("SELECT id FROM consultation WHERE day<'2026-02-01'"))
        self.assertNotIn('WHERE', plan("SELECT id FROM consultation WHERE note='x'"))
        self.assertEqual(one(self.c, "SELECT count(*) FROM consultation WHERE day<'2026-02-01'"), 4)
        self.assertEqual(one(self.c, 'SELECT count(*) FROM consultation WHERE day IN (?,?)', '2026-02-01', '2026-03-01'), 8)


if __name__ == '__main__':
    main()
