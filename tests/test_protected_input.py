"""test_protected_input.py: what protected tables are given that they can't take: each cause its own sentence, and nothing written;
processes killed, disks full, keys gone, another SQLite in the process; and what the disk saw while a table was protected."""
import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

from harness import BUILD, PIN, SO, error_of, main, one
from protected_case import ProtectedCase

HERE = os.path.dirname(os.path.abspath(__file__))
CHILD = """import os, resource, signal, sqlite3, sys; sys.path.insert(0, %r); sys.argv = ['x', %r]
from harness import PIN, SO, error_of, one, open_record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
c = open_record(%r); one(c, 'SELECT dmp_login(?,?)', %r, PIN)
"""
CANARY = 'CANARI-%06d'


class Input(ProtectedCase):
    def child(self, code, *before, **environment):
        """Runs it logged in as the doctor, in a process of its own."""
        script = CHILD % (HERE, BUILD, self.p.path, self.p.key('dr')) + code
        return subprocess.run([*before, sys.executable, '-c', script], capture_output=True, text=True, env=dict(os.environ, **environment))

    def watch(self):
        """What the file holds of the practice and of its protection."""
        raw = self.p.raw()
        tables = [n for n, in raw.execute("SELECT name FROM sqlite_schema WHERE type='table' AND name IN('dmp_sealed','dmp_reader') OR name NOT LIKE 'dmp%' AND sql LIKE 'CREATE TABLE%'")]
        return lambda: [raw.execute('SELECT * FROM "%s"' % t).fetchall() for t in ['sqlite_schema'] + tables]

    # ---- refusals, each with its sentence ----

    def test_each_cause_has_its_own_sentence_and_nothing_is_written(self):
        c = self.c
        c.executescript("""CREATE VIRTUAL TABLE words USING fts5(x); CREATE VIRTUAL TABLE places USING rtree(id,x0,x1); CREATE TABLE held(id INTEGER PRIMARY KEY, s);
                           CREATE TABLE mine(id INTEGER PRIMARY KEY, s UNIQUE, t CHECK(t<>'x'), u REFERENCES letter(id), v, w AS (v)); CREATE INDEX mine_v ON mine(v);
                           CREATE TABLE odd(id INTEGER PRIMARY KEY, s "texte, long"); CREATE TABLE other(a UNIQUE ON CONFLICT IGNORE, s); CREATE TABLE wide(%s)""" % ','.join('c%d' % i for i in range(300)))
        c.execute('INSERT INTO held VALUES(1,2)')
        self.protect(None, 'held', 's')
        long = 'x' * 200
        c.execute('CREATE TABLE %s(s)' % long)
        two, nobody = self.p.login('two'), self.p.connect()
        committed = self.watch()
        before = committed()
        sentences = {}
        for con, sql, code, part in (
                (c, "SELECT dmp_protect('recent','note')", 78, 'this is a view: recent'), (c, "SELECT dmp_protect('words','x')", 78, 'this is a virtual table: words'),
                (c, "SELECT dmp_protect('places','x0')", 78, 'this is a virtual table: places'), (c, "SELECT dmp_protect('nothing','x')", 78, 'there is no table nothing'),
                (c, "SELECT dmp_protect('document','title')", 78, 'this is a virtual table: document'), (c, "SELECT dmp_protect('dmp_state','body')", 78, 'this is a table of the record or of SQLite: dmp_state'),
                (c, "SELECT dmp_protect('sqlite_schema','sql')", 78, 'there is no table sqlite_schema'), (c, "SELECT dmp_protect('held_dmp','id')", 78, 'this holds the rows of a protected table: held_dmp'),
                (c, "SELECT dmp_protect('letter','body,nothing')", 79, ''), (c, "SELECT dmp_protect('letter','body,body')", 79, ''), (c, "SELECT dmp_protect('letter','')", 79, ''),
                (c, "SELECT dmp_protect('held','s')", 80, ''), (c, "SELECT dmp_unprotect('letter')", 82, ''), (c, "SELECT dmp_rotate('letter')", 82, ''),
                (c, "SELECT dmp_protect('letter')", 82, ''), (c, "SELECT dmp_protect('letter','body','blur=1')", 66, ''),
                (c, "SELECT dmp_protect('mine','s')", 81, 'column s: index'), (c, "SELECT dmp_protect('mine','u')", 81, 'column u: '),
                (c, "SELECT dmp_protect('mine','v')", 81, 'column v: index mine_v'), (c, "SELECT dmp_protect('mine','w')", 81, 'column w: generated'),
                (c, "SELECT dmp_protect('mine','id')", 81, 'column id: PRIMARY KEY'), (c, "SELECT dmp_protect('other','s')", 86, 'ON CONFLICT in table other'), (c, "SELECT dmp_protect('odd','s')", 86, 'the type of column s'),
                (c, "SELECT dmp_protect('wide','c0')", 55, ''), (c, "SELECT dmp_protect('%s','s')" % long, 55, ''),
                (c, "SELECT dmp_protect('letter','body') FROM held", 83, ''), (c, "INSERT INTO letter(body) VALUES(dmp_protect('consultation','note'))", 83, ''),
                (c, "SELECT dmp_protect(x'00','body')", 65, ''), (c, 'SELECT dmp_protect()', 65, ''),
                (c, 'INSERT INTO protected_reader VALUES(NULL,1)', 51, ''), (c, "INSERT INTO protected_reader VALUES('held',1)", 44, ''),
                (c, "INSERT INTO protected_reader VALUES('held','x')", 50, ''), (c, "INSERT INTO protected_reader VALUES('letter',%d)" % self.p.id['two'], 82, ''),
                (c, "INSERT INTO protected_reader VALUES('held',%d)" % self.p.id['dr'], 56, ''),
                (two, "INSERT INTO held(s) VALUES('x')", 77, ''), (two, "SELECT dmp_unprotect('held')", 77, ''), (two, "SELECT dmp_rotate('held')", 77, ''),
                (two, "SELECT dmp_protect('held')", 77, ''), (two, "INSERT INTO protected_reader VALUES('held',%d)" % self.p.id['two'], 77, ''),
                (nobody, "SELECT dmp_protect('letter','body')", 23, ''), (nobody, "INSERT INTO held(s) VALUES('x')", 77, ''), (nobody, 'SELECT dmp_scrub()', 23, ''),
                (nobody, 'SELECT * FROM dmp_protected', 23, '')):
            with self.subTest(sql):
                got = self.refused(code, con, sql)
                self.assertIn(part, got)
                sentences.setdefault(got, sql)
                self.assertEqual(committed(), before)
        self.assertGreater(len(sentences), 25)
        self.protect(None, 'letter', 'body')             # and what is right goes on
        self.assertEqual(one(c, 'SELECT body FROM letter'), 'lettre un')

    def test_a_patient_protects_nothing(self):
        self.p.patient('marie', self.c, 'dr')
        committed = self.watch()
        marie = self.p.login('marie')
        before = committed()
        self.refused(42, marie, "SELECT dmp_protect('letter','body')")
        self.assertEqual(committed(), before)

    def test_while_another_connection_writes_reads_or_is_inside_a_transaction(self):
        c, other = self.c, self.p.connect()
        c.execute('PRAGMA busy_timeout=100')
        for journal in ('WAL', 'DELETE'):
            self.p.authority.close()
            other.close()
            c.execute('PRAGMA journal_mode=' + journal)
            other = self.p.connect()
            other.execute('BEGIN IMMEDIATE')
            for sql in ("SELECT dmp_protect('consultation','note,motif')", 'SELECT dmp_scrub()')[:1 + (journal == 'WAL')]:   # the scrub waits five seconds
                self.assertRegex(error_of(c, sql) or 'was accepted', '^database is locked$|^dmp-E083: ', (journal, sql))
            other.execute("INSERT INTO letter(body) VALUES('entre')")
            other.execute('COMMIT')
            self.assertEqual(one(c, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%_dmp'"), 0)
            other.execute('BEGIN')
            self.assertEqual(one(other, 'SELECT count(*) FROM consultation'), 40)
            got = error_of(c, "SELECT dmp_protect('consultation','note,motif')")
            if journal == 'DELETE':                     # a reader keeps a rollback journal from being committed
                self.assertRegex(got or 'was accepted', '^database is locked$|^dmp-E083: ')
                other.execute('COMMIT')
                self.protect()
            else:                                       # in WAL mode it goes on reading what it had
                self.assertIsNone(got)
                self.assertEqual(other.execute('SELECT note FROM consultation WHERE id=1').fetchall(), [('canari note 0',)])
                other.execute('COMMIT')
            self.assertEqual(other.execute('SELECT note FROM consultation WHERE id=1').fetchall(), [(None,)])
            self.assertEqual(self.notes(c, 'id=1'), ['canari note 0'])
            c.execute("SELECT dmp_unprotect('consultation')")

    def test_boxes_of_another_type_are_refused_and_name_their_row(self):
        self.protect()
        raw = self.p.raw()
        own = self.box(3)
        for value in (None, 7, 1.5, 'texte', b'', b'\0' * 1000000, own.hex(), own * 2):
            raw.execute('PRAGMA ignore_check_constraints=ON')
            try:
                raw.execute('UPDATE consultation_dmp SET _dmp=? WHERE id=3', (value,))
            except sqlite3.IntegrityError:
                self.assertIsNone(value)
                continue
            self.assertRegex(error_of(self.c, 'SELECT note FROM consultation WHERE id=3') or 'was accepted', r'^dmp-E00[5678]: .*\(consultation row 3\)')
            self.assertRegex(error_of(self.c, "UPDATE consultation SET note='x' WHERE id=3") or 'was accepted', r'^dmp-E00[5678]: ')
            self.assertRegex(error_of(self.c, "SELECT dmp_rotate('consultation')") or 'was accepted', r'^dmp-E00[5678]: .*\(consultation row 3\)')
            self.assertRegex(error_of(self.c, "SELECT dmp_unprotect('consultation')") or 'was accepted', r'^dmp-E00[5678]: .*\(consultation row 3\)')
            self.assertEqual(self.notes(self.c, 'id=4'), ['canari note 3'])
        self.set_box(3, own)
        self.assertEqual(self.notes(self.c, 'id=3'), ['canari note 2'])

    def test_a_box_of_before_a_rotation_does_not_open(self):
        self.protect()
        old = self.box(3)
        self.c.execute("SELECT dmp_rotate('consultation')")
        new = self.box(3)
        self.set_box(3, old)
        self.refused(5, self.c, 'SELECT note FROM consultation WHERE id=3')
        self.set_box(3, new)
        self.assertEqual(self.notes(self.c, 'id=3'), ['canari note 2'])

    def test_a_box_in_the_place_of_a_plain_column_shows_no_more_than_a_box(self):
        self.protect()
        self.p.raw().execute('UPDATE consultation_dmp SET day=_dmp WHERE id=3')
        day, note = self.c.execute('SELECT day, note FROM consultation WHERE id=3').fetchone()
        self.assertEqual((day, note), (self.box(3), 'canari note 2'))

    # ---- logins and keys ----

    def test_a_login_that_ends_or_changes_between_two_rows_ends_the_reading(self):
        self.protect()
        for sql, args in (('SELECT dmp_logout()', ()), ('SELECT dmp_login(?,?)', (self.p.key('two'), PIN))):
            con = self.p.login('dr')
            rows = con.execute('SELECT note FROM consultation ORDER BY id')
            self.assertEqual(rows.fetchone(), ('canari note 0',))
            con.execute(sql, args).fetchall()
            with self.assertRaisesRegex(sqlite3.Error, '^dmp-E023: '):
                rows.fetchall()
            self.assertEqual(self.notes(con, 'id=1'), [None])
            self.refused(77, con, "INSERT INTO consultation(note) VALUES('x')")

    def test_a_key_that_nobody_holds_any_more_opens_nothing_and_lets_nothing_be_lost(self):
        self.protect()
        raw = self.p.raw()
        rows = raw.execute('SELECT * FROM dmp_reader').fetchall()
        raw.execute('DELETE FROM dmp_reader')
        before = raw.execute('SELECT * FROM consultation_dmp').fetchall()
        for con in (self.c, self.p.login('dr'), self.p.login('two')):
            self.assertNotIn('canari', str(error_of(con, 'SELECT note FROM consultation') or con.execute('SELECT note FROM consultation').fetchall()))
            for sql in ("INSERT INTO consultation(note) VALUES('x')", "UPDATE consultation SET note='x'", "SELECT dmp_rotate('consultation')", "SELECT dmp_unprotect('consultation')",
                        "INSERT INTO protected_reader VALUES('consultation',%d)" % self.p.id['two']):
                self.assertRegex(error_of(con, sql) or 'was accepted', '^dmp-E0(77|91): ')
        self.assertEqual(raw.execute('SELECT * FROM consultation_dmp').fetchall(), before)
        for row in rows:
            raw.execute('INSERT INTO dmp_reader VALUES(?,?,?)', row)
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    def test_temporary_files_in_clear_are_refused_also_in_the_middle(self):
        self.protect()
        self.c.execute('PRAGMA temp_store=FILE')
        self.refused(24, self.c, 'SELECT note FROM consultation ORDER BY note')
        self.refused(24, self.c, "SELECT dmp_protect('letter','body')")
        self.refused(24, self.c, 'SELECT dmp_scrub()')
        self.c.execute('PRAGMA temp_store=MEMORY')
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    # ---- disks and kills ----

    def test_a_file_that_may_not_grow_leaves_the_table_as_it_was(self):
        self.c.execute("WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n WHERE i<6000) INSERT INTO consultation(id,note,motif) SELECT i,printf('%.200c','z'),'m' FROM n")
        before = self.c.execute('SELECT * FROM consultation ORDER BY id').fetchall()
        protect = "SELECT dmp_protect('consultation','note,motif')"
        insert = "INSERT INTO consultation(note,motif) SELECT note, motif FROM consultation"
        update = "UPDATE consultation SET note=note||note"
        for prepare, sql in ((None, protect), (protect, "SELECT dmp_rotate('consultation')"), (None, insert), (None, update), (None, "SELECT dmp_unprotect('consultation')"), (None, protect)):
            if prepare:
                self.c.execute(prepare)
            self.c.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            for limit in (100000, 300000, 900000):
                got = self.child("resource.setrlimit(resource.RLIMIT_FSIZE, (%d, %d))\nc.execute('PRAGMA cache_size=20')\nprint(error_of(c, %r), c.in_transaction)" % (limit, limit, sql))
                self.assertRegex(got.stdout, '^(database or disk is full|disk I/O error|dmp-E01.*) False$', (sql, limit, got.stderr))
                self.assertEqual(self.c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before, (sql, limit))
                self.assertEqual(one(self.c, 'PRAGMA integrity_check'), 'ok')
            if sql.startswith('SELECT dmp_unprotect'):
                self.c.execute(sql)
        self.assertEqual(self.child('print(error_of(c, %r))' % protect).stdout, 'None\n')
        self.assertEqual(self.c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before)

    @unittest.skipIf(os.geteuid() != 0 or not shutil.which('mount'), 'needs root, to mount a small disk')
    def test_a_small_disk_that_fills_leaves_the_table_as_it_was_and_works_again_with_room(self):
        folder = tempfile.mkdtemp(prefix='dmp-disk-')
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], capture_output=True).returncode:
            os.rmdir(folder)
            self.skipTest('no tmpfs here')
        try:
            self.c.execute("WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n WHERE i<4000) INSERT INTO consultation(id,note,motif) SELECT i,printf('%.300c','z'),'m' FROM n")
            before = self.c.execute('SELECT * FROM consultation ORDER BY id').fetchall()
            self.p.close()
            self.p.raw().execute('PRAGMA journal_mode=DELETE')
            self.p.close()
            home, self.p.path = self.p.path, os.path.join(folder, 'record.db')
            subprocess.check_call('cp -r %s %s-anchor %s-log %s' % (home, home, home, folder), shell=True)
            c = self.p.login('dr')
            self.assertRegex(error_of(c, "SELECT dmp_protect('consultation','note,motif')") or 'was accepted', 'full|disk I/O|dmp-E01')
            self.assertEqual(c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before)
            subprocess.run(['mount', '-o', 'remount,size=30m', folder], check=True)
            c.execute("SELECT dmp_protect('consultation','note,motif')")
            self.assertEqual(c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before)
            subprocess.run(['mount', '-o', 'remount,size=%d' % (os.path.getsize(self.p.path) + 400000), folder], check=True)
            self.assertRegex(error_of(c, 'SELECT dmp_scrub()') or 'was accepted', 'full|disk I/O|dmp-E01')
            self.assertEqual(one(c, 'SELECT max(scrub_due) FROM dmp_protected'), 1)
            self.assertEqual(c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before)
            subprocess.run(['mount', '-o', 'remount,size=30m', folder], check=True)
            c.execute('SELECT dmp_scrub()')
            self.assertEqual(one(c, 'SELECT max(scrub_due) FROM dmp_protected'), 0)
            self.assertEqual(c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), before)
        finally:
            self.p.close()
            subprocess.run(['umount', folder])
            os.rmdir(folder)

    # ---- what the disk saw ----

    def canaries(self, journal):
        """300 rows whose text, in rows, overflow pages and freed pages, begins with a canary each."""
        self.c.execute('PRAGMA journal_mode=' + journal)
        self.c.execute('PRAGMA secure_delete=OFF')
        self.c.execute('BEGIN')
        self.c.executemany('INSERT INTO consultation(id,note,motif) VALUES(?,?,?)', [(1000 + i, (CANARY % i) + 'x' * (i * 53), CANARY % i) for i in range(300)])
        self.c.execute('COMMIT')
        self.c.execute('DELETE FROM consultation WHERE id>=1000 AND id%7=0')
        self.c.execute('UPDATE consultation SET note=note||? WHERE id%5=0', (CANARY % 999999,))

    def test_after_protect_and_scrub_no_canary_is_in_any_file_of_the_folder_in_every_journal_mode(self):
        self.p.authority.close()
        for journal in ('WAL', 'DELETE', 'TRUNCATE', 'PERSIST', 'MEMORY', 'OFF'):
            self.canaries(journal)
            rows = self.c.execute('SELECT * FROM consultation ORDER BY id').fetchall()
            self.assertTrue(any(b'CANARI-' in open(f, 'rb').read() for f in self.p.files()), 'the scan is blind')
            self.protect()
            self.c.execute('SELECT dmp_scrub()')
            for f in self.p.files():
                self.assertNotRegex(open(f, 'rb').read(), b'CANARI-|canari', '%s, %s' % (f, journal))
            self.assertEqual(one(self.c, 'PRAGMA journal_mode').upper(), journal)
            self.assertEqual(self.c.execute('SELECT * FROM consultation ORDER BY id').fetchall(), rows)
            self.c.execute('UPDATE consultation SET note=note||? WHERE id%3=0', (CANARY % 888888,))
            self.c.execute('DELETE FROM consultation WHERE id%11=0')
            self.c.execute('INSERT INTO consultation(note,motif) VALUES(?,?)', (CANARY % 777777, CANARY % 777777))
            self.c.execute("SELECT dmp_rotate('consultation')")
            for f in self.p.files():
                self.assertNotRegex(open(f, 'rb').read(), b'CANARI-|canari', '%s, %s, later' % (f, journal))
            self.c.execute("SELECT dmp_unprotect('consultation')")
            self.c.execute('DELETE FROM consultation WHERE id>=1000')

    @unittest.skipUnless(shutil.which('strace'), 'needs strace')
    def test_protecting_scrubbing_sorting_and_unprotecting_write_no_file_but_those_of_the_record(self):
        self.canaries('WAL')
        for journal in ('WAL', 'DELETE'):
            temp = tempfile.mkdtemp(prefix='dmp-temp-')
            self.addCleanup(shutil.rmtree, temp)
            trace = os.path.join(temp, 'trace')
            self.p.close()
            code = "\n".join("c.execute(%r).fetchall()" % sql for sql in (
                'PRAGMA journal_mode=' + journal, 'PRAGMA cache_size=10', "SELECT dmp_protect('consultation','note,motif')", 'SELECT dmp_scrub()',
                'SELECT a.note, b.motif FROM consultation a, consultation b ORDER BY a.note, b.motif LIMIT 10', 'SELECT DISTINCT note FROM consultation', 'VACUUM',
                "UPDATE consultation SET note=note||'CANARI'", "SELECT dmp_rotate('consultation')", "SELECT dmp_unprotect('consultation')"))
            got = self.child(code, 'strace', '-f', '--seccomp-bpf', '-e', 'trace=openat,open,creat,memfd_create', '-o', trace, TMPDIR=temp, SQLITE_TMPDIR=temp)
            self.assertEqual(got.returncode, 0, got.stderr)
            made = [line for line in open(trace, errors='replace') if ('O_CREAT' in line or 'creat(' in line or 'memfd' in line) and self.p.path not in line]
            self.assertEqual(made, [])
            self.assertEqual(os.listdir(temp), ['trace'])

    # ---- another SQLite ----

    def test_a_second_sqlite_library_in_the_process_is_refused_and_the_first_goes_on(self):
        self.protect()
        copy = os.path.join(self.p.folder, 'other-sqlite.so')
        shutil.copy(next(line.split()[-1] for line in open('/proc/self/maps') if 'libsqlite3.so' in line), copy)

        def load(folder):
            lib, db, message = ctypes.CDLL(copy), ctypes.c_void_p(), ctypes.c_char_p()
            self.assertEqual(lib.sqlite3_open(os.path.join(folder, 'second.db').encode(), ctypes.byref(db)), 0)
            lib.sqlite3_enable_load_extension(db, 1)
            rc = lib.sqlite3_load_extension(db, SO.encode(), None, ctypes.byref(message))
            said = message.value
            lib.sqlite3_close(db)
            return rc, said

        rc, said = load(self.p.folder)
        self.assertEqual(rc, 1)
        self.assertRegex(said.decode(), 'dmp-E097: ')
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])
        alone = subprocess.run([sys.executable, '-c', 'import ctypes; lib, db, m = ctypes.CDLL(%r), ctypes.c_void_p(), ctypes.c_char_p(); '
                                'lib.sqlite3_open(b":memory:", ctypes.byref(db)); lib.sqlite3_enable_load_extension(db, 1); '
                                'print(lib.sqlite3_load_extension(db, %r, None, ctypes.byref(m)), m.value)' % (copy, SO.encode())], capture_output=True, text=True)
        self.assertEqual(alone.stdout, '0 None\n', alone.stderr)


if __name__ == '__main__':
    main()
