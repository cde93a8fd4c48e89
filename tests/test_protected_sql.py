"""test_protected_sql.py: SQL that random statements do not reach: statements and cursors that live across conversions, several
connections and processes, values of every size and kind, triggers that write to their own table, dumps, copies and what PRAGMAs say."""
import os
import random
import sqlite3
import subprocess
import sys

from harness import BUILD, PIN, SO, error_of, main, one, open_record
from protected_case import ProtectedCase

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = """CREATE TABLE kind(id INTEGER PRIMARY KEY, a, t TEXT COLLATE NOCASE, i INTEGER, r REAL, n NUMERIC, b BLOB, p TEXT, q TEXT COLLATE NOCASE);
CREATE INDEX kind_p ON kind(p); CREATE INDEX kind_q ON kind(q)"""
SEALED = 'a,t,i,r,n,b'


class Sql(ProtectedCase):
    def twin(self, ddl=KINDS, table='kind', columns=SEALED):
        """The same tables in a plain database and, protected, in the record."""
        self.plain = sqlite3.connect(os.path.join(self.p.folder, 'plain.db'), isolation_level=None)
        self.p.open.append(self.plain)
        for con in (self.plain, self.c):
            con.text_factory = bytes
            con.executescript(ddl)
        self.protect(None, table, columns)

    def both(self, sql, args=()):
        """Runs it on both sides; the answer, which is one."""
        got = []
        for con in (self.plain, self.c):
            try:
                got.append(con.execute(sql, args).fetchall())
            except sqlite3.Error as e:
                got.append((type(e), str(e)))
        self.assertEqual(repr(got[1]), repr(got[0]), sql)
        return got[0]

    # ---- statements and cursors that live across conversions ----

    def test_prepared_statements_go_on_across_protect_rotate_unprotect_and_their_rollback(self):
        read, add, change, take = ('SELECT id, note FROM consultation WHERE id=?', 'INSERT INTO consultation(id,note) VALUES(?,?)', 'UPDATE consultation SET note=? WHERE id=?',
                                   'DELETE FROM consultation WHERE id=?')
        other, number = self.p.login('dr'), [1000]

        def all_four(*cons):
            for con in cons:                            # the same texts: sqlite3 keeps the statements prepared
                n = number[0] = number[0] + 1
                con.execute(add, (n, 'ajout'))
                con.execute(change, ('change %d' % n, n))
                for reader in cons:
                    self.assertEqual(reader.execute(read, (n,)).fetchall(), [(n, 'change %d' % n)])
                con.execute(take, (n,))
                self.assertEqual(con.execute(read, (1,)).fetchall(), [(1, 'canari note 0')])

        all_four(self.c, other)
        for sql in ("SELECT dmp_protect('consultation','note,motif')", "SELECT dmp_rotate('consultation')", "SELECT dmp_protect('consultation')", "SELECT dmp_unprotect('consultation')",
                    "SELECT dmp_protect('consultation','note')", "SELECT dmp_unprotect('consultation')"):
            self.c.execute('BEGIN')
            self.c.execute(sql)
            all_four(self.c)
            self.c.execute('ROLLBACK')
            all_four(self.c, other)
            self.c.execute('BEGIN')
            self.c.execute('SAVEPOINT a')
            self.c.execute(sql)
            all_four(self.c)
            self.c.execute('ROLLBACK TO a')
            all_four(self.c)
            self.c.execute('COMMIT')
            all_four(self.c, other)
            self.c.execute(sql)
            all_four(self.c, other)
        self.assertEqual(one(self.c, 'SELECT count(*) FROM consultation'), 40)

    def test_an_open_cursor_keeps_the_table_from_being_converted_and_goes_on(self):
        self.protect()
        for sql in ("SELECT dmp_rotate('consultation')", "SELECT dmp_unprotect('consultation')", "SELECT dmp_protect('letter','body')"):
            rows = self.c.execute('SELECT note FROM consultation ORDER BY id')
            self.assertEqual(rows.fetchone(), ('canari note 0',))
            self.refused(83, self.c, sql)
            self.assertEqual([n for n, in rows], ['canari note %d' % i for i in range(1, 40)])
            self.c.execute(sql)
            self.assertEqual(len(self.notes(self.c)), 40)
            if 'unprotect' in sql:
                self.protect()

    def test_an_open_cursor_sees_rows_written_by_its_own_connection_as_on_a_plain_table(self):
        self.twin()
        self.both("INSERT INTO kind(id,t) VALUES(1,'a'),(2,'b'),(3,'c'),(4,'d')")
        seen = []
        for con in (self.plain, self.c):
            con.execute('BEGIN')
            rows, got = con.execute('SELECT id, t FROM kind'), []
            for k in range(4):
                got.append(rows.fetchone())
                con.execute("UPDATE kind SET t=t||'!' WHERE id=?", (k + 2,))
                con.execute('DELETE FROM kind WHERE id=4 AND ?=1', (k,))
            got += rows.fetchall()
            con.execute('COMMIT')
            seen.append(got)
        self.assertEqual(seen[1], seen[0])
        self.both('SELECT * FROM kind')

    def test_a_rollback_ends_or_leaves_open_cursors_as_on_a_plain_table_and_nothing_of_it_stays(self):
        self.twin()
        self.both("INSERT INTO kind(id,t) VALUES(1,'a'),(2,'b'),(3,'c')")
        for writes in ("UPDATE kind SET t='x'", "INSERT INTO kind(id,t) VALUES(9,'x')", 'DELETE FROM kind', 'SELECT 1'):
            seen = []
            for con in (self.plain, self.c):
                con.execute('BEGIN')
                con.execute(writes).fetchall()
                rows = con.execute('SELECT t FROM kind ORDER BY id DESC')
                first = rows.fetchone()
                con.execute('ROLLBACK')
                try:
                    seen.append((first, rows.fetchall()))
                except sqlite3.Error as e:
                    seen.append((first, str(e)))
                rows.close()
            self.assertEqual(seen[1], seen[0], writes)
            self.both('SELECT * FROM kind ORDER BY id')

    # ---- several connections and processes ----

    def test_who_reads_while_another_connection_rotates_or_unprotects_goes_on_with_what_he_had(self):
        self.protect()
        for sql in ("SELECT dmp_rotate('consultation')", "SELECT dmp_rotate('consultation')", "SELECT dmp_unprotect('consultation')"):
            other = self.p.login('dr')
            rows = other.execute('SELECT note FROM consultation ORDER BY id')
            self.assertEqual(rows.fetchone(), ('canari note 0',))
            inside = self.p.login('dr')
            inside.execute('BEGIN')
            self.assertEqual(self.notes(inside, 'id=1'), ['canari note 0'])
            self.c.execute(sql)
            self.c.execute("UPDATE consultation SET note='neuf' WHERE id=40")
            self.assertEqual([n for n, in rows][-1], 'canari note 39')
            self.assertEqual(self.notes(inside, 'id IN(2,40)'), ['canari note 1', 'canari note 39'])
            self.assertRegex(error_of(inside, "UPDATE consultation SET note='trop tard' WHERE id=2") or 'was accepted', 'database is locked|^dmp-E064')
            inside.execute('ROLLBACK')
            for con in (other, inside):
                self.assertEqual(self.notes(con, 'id=40'), ['neuf'])
                con.execute("UPDATE consultation SET day='2027-01-01' WHERE id=40")
            self.c.execute("UPDATE consultation SET note='canari note 39' WHERE id=40")

    def test_four_processes_write_and_read_while_the_key_turns_and_no_row_is_lost(self):
        self.protect()
        code = """import sqlite3, sys; sys.path.insert(0, %r); sys.argv = ['x', %r]
from harness import PIN, one, open_record
c = open_record(%r); c.execute('PRAGMA busy_timeout=30000'); one(c, 'SELECT dmp_login(?,?)', %r, PIN)
who = %%d
for i in range(40):
    c.execute('BEGIN IMMEDIATE')
    c.execute('INSERT INTO consultation(id,note,motif) VALUES(?,?,?)', (1000 * who + i, 'note %%%%d' %%%% (1000 * who + i), 'm'))
    c.execute("UPDATE consultation SET motif=motif||'.' WHERE id=1")
    c.execute('DELETE FROM consultation WHERE id=?', (1000 * who + i - 20,))
    c.execute('COMMIT')
    bad = [r for r in c.execute("SELECT id, note FROM consultation WHERE id>=1000") if r[1] != 'note %%%%d' %%%% r[0]]
    assert not bad, bad
""" % (HERE, BUILD, self.p.path, self.p.key('dr'))
        running = [subprocess.Popen([sys.executable, '-c', code % who], stderr=subprocess.PIPE, text=True) for who in (1, 2, 3, 4)]
        self.c.execute('PRAGMA busy_timeout=30000')
        turned = 0
        while any(p.poll() is None for p in running):
            self.c.execute("SELECT dmp_rotate('consultation')")
            self.assertEqual(len(self.notes(self.c, 'id<=40')), 40)
            turned += 1
        for p in running:
            self.assertEqual((p.wait(), p.communicate()[1]), (0, ''))
        self.assertGreater(turned, 2)
        self.assertEqual(self.c.execute('SELECT id, note FROM consultation WHERE id>=1000 ORDER BY id').fetchall(),
                         [(1000 * who + i, 'note %d' % (1000 * who + i)) for who in (1, 2, 3, 4) for i in range(20, 40)])
        self.assertEqual(one(self.c, 'SELECT length(motif) FROM consultation WHERE id=1'), len('canari 0') + 160)
        self.assertEqual(one(self.c, 'PRAGMA integrity_check'), 'ok')

    # ---- values ----

    def test_values_of_every_kind_come_back_as_from_a_plain_table_by_parameter_and_compare_as_there(self):
        self.twin()
        values = [None, 0, 1, -1, 2**63 - 1, -2**63, 2**53 + 1, 0.0, -0.0, 1.5, 1e300, 5e-324, float('inf'), float('-inf'), float('nan'), 1e15, 9.007199254740993e15,
                  '', 'a', 'A', 'é', '\0', 'a\0b', '\ufeff', '\U0001F600', '1', '1.0', ' 1', '1e3', '0x10', '9' * 30, b'', b'\0', b'a', b'\xff\xfe', b'1']
        for k, v in enumerate(values):
            self.both('INSERT INTO kind VALUES(?,?,?,?,?,?,?,?,?)', (k,) + (v,) * 8)
        for k, raw in enumerate((b'\xc3\x28\xff', b'\xed\xa0\x80', b'\xf8\x88\x80\x80\x80', b'\xc0\x80', b'ok\xff', b'\x80')):      # text that is no UTF-8
            self.both('INSERT INTO kind SELECT ?,x,x,x,x,x,x,x,x FROM (SELECT CAST(? AS TEXT) x)', (100 + k, raw))
        self.both('SELECT * FROM kind ORDER BY id')
        self.both('SELECT id, ' + ','.join('typeof(%s), length(%s), hex(%s), quote(%s)' % (c, c, c, c) for c in 'atirnbpq') + ' FROM kind ORDER BY id')
        for column in 'atirnbpq':
            self.both('SELECT id FROM kind ORDER BY %s, id' % column)
            self.both('SELECT %s, count(*) FROM kind GROUP BY %s ORDER BY 1' % (column, column))
            for v in values:
                for operator in ('=', '<', '>=', 'IS', 'IS NOT'):
                    self.both('SELECT id FROM kind WHERE %s %s ? ORDER BY id' % (column, operator), (v,))
            self.both('UPDATE kind SET %s=%s' % (column, column))
        self.both('SELECT * FROM kind ORDER BY id')

    def test_long_lists_of_in_find_what_they_find_in_a_plain_table(self):
        self.twin()
        rng = random.Random(5)
        pool = [str(i) for i in range(300)] + ['A%d' % i for i in range(50)] + ['a%d' % i for i in range(50)]
        for con in (self.plain, self.c):
            con.execute('BEGIN')
        for k in range(1500):
            v = rng.choice(pool)
            self.both('INSERT INTO kind(id,i,t,p,q) VALUES(?,?,?,?,?)', (k, k % 400, v, v, v))
        for con in (self.plain, self.c):
            con.execute('COMMIT')
            con.execute('ANALYZE')
        for size in (1, 499, 500, 501, 2000):
            numbers = [rng.choice([rng.randint(-5, 1600), float(rng.randint(0, 1600)), str(rng.randint(0, 1600)), None, b'1']) for _ in range(size)]
            texts = [rng.choice([rng.choice(pool), rng.choice(pool).upper(), rng.randint(0, 300), None, b'7']) for _ in range(size)]
            marks = ','.join('?' * size)
            for column, list_ in (('id', numbers), ('i', numbers), ('p', texts), ('q', texts), ('t', texts)):
                for sql in ('SELECT id FROM kind WHERE %s IN (%s) ORDER BY id', 'SELECT id FROM kind WHERE %s NOT IN (%s) ORDER BY id', 'SELECT count(*) FROM kind WHERE +%s IN (%s)'):
                    self.both(sql % (column, marks), list_)
            for column in ('id', 'i', 'p', 'q', 't'):
                self.both('SELECT id FROM kind WHERE %s IN (SELECT %s FROM kind WHERE id<?) ORDER BY id' % (column, rng.choice('ipqt')), (size,))

    def test_values_of_a_megabyte_and_of_a_hundred_come_back_whole_and_may_change(self):
        self.twin()
        for size in (1 << 20, 10 << 20, 100 << 20):
            blob, text = os.urandom(4096) * (size // 4096), b'caf\xc3\xa9 ' * (size // 6)
            self.c.execute('INSERT INTO kind(id,b,t) VALUES(?,?,?)', (size, blob, text.decode()))
            self.assertEqual(one(self.c, 'SELECT b FROM kind WHERE id=?', size), blob)
            self.assertEqual(one(self.c, 'SELECT t FROM kind WHERE id=?', size), text)
            self.assertEqual(self.c.execute('SELECT length(b), length(t), substr(b,-3), typeof(a) FROM kind WHERE id=?', (size,)).fetchall(),
                             [(len(blob), len(text.decode()), blob[-3:], b'null')])
            self.c.execute('UPDATE kind SET i=7, t=NULL WHERE id=?', (size,))
            self.assertEqual(one(self.c, 'SELECT b FROM kind WHERE id=?', size), blob)
        self.c.execute("SELECT dmp_rotate('kind')")
        self.assertEqual(one(self.c, 'SELECT b FROM kind WHERE id=?', size), blob)
        self.c.execute('DELETE FROM kind WHERE id=?', (size,))
        self.c.execute("SELECT dmp_unprotect('kind')")
        self.assertEqual(self.c.execute('SELECT id, length(b) FROM kind').fetchall(), [(1 << 20, 1 << 20), (10 << 20, 10 << 20)])

    def test_a_row_larger_than_sqlite_allows_is_refused_and_leaves_the_table_as_it_was(self):
        self.twin()
        self.both('INSERT INTO kind(id,b) VALUES(1,zeroblob(10))')
        self.c.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000000)
        self.assertRegex(error_of(self.c, 'INSERT INTO kind(id,b,a) VALUES(2,zeroblob(700000),zeroblob(700000))') or 'was accepted', 'too big|dmp-E055')
        self.assertRegex(error_of(self.c, 'UPDATE kind SET b=zeroblob(700000), a=zeroblob(700000)') or 'was accepted', 'too big|dmp-E055')
        self.both('SELECT * FROM kind')
        self.both('INSERT INTO kind(id,b) VALUES(3,zeroblob(900000))')
        self.both('SELECT * FROM kind')

    # ---- triggers that write to their own table ----

    SELF = """CREATE TABLE t(id INTEGER PRIMARY KEY, n INT, s TEXT, m INT DEFAULT 0); INSERT INTO t(id,n,s) VALUES(1,1,'a'),(2,2,'b'),(3,3,'c');"""

    def test_triggers_that_change_their_own_table_do_what_they_do_on_a_plain_one(self):
        for recursive, body in ((0, """CREATE TRIGGER t1 AFTER UPDATE OF n ON t BEGIN UPDATE t SET m=m+1 WHERE id=new.id; END;
                                       CREATE TRIGGER t2 AFTER INSERT ON t BEGIN UPDATE t SET n=n+1, s=s||'+' WHERE id=new.id; END;
                                       CREATE TRIGGER t3 AFTER DELETE ON t BEGIN UPDATE t SET s='gone '||old.id WHERE n=old.n+1; INSERT INTO t(n,s) VALUES(old.n,'back'); END;
                                       CREATE TRIGGER t4 BEFORE UPDATE OF m ON t BEGIN UPDATE t SET s=s||'!' WHERE id=new.id+1; END;"""),
                                (1, """CREATE TRIGGER t1 AFTER UPDATE OF n ON t BEGIN UPDATE t SET m=m+1 WHERE id=new.id; END;
                                       CREATE TRIGGER t2 AFTER INSERT ON t WHEN new.n<5 BEGIN INSERT INTO t(n,s) VALUES(new.n+1,'kind '||new.n); END;
                                       CREATE TRIGGER t3 AFTER DELETE ON t BEGIN DELETE FROM t WHERE n=old.n+1; UPDATE t SET s='hit' WHERE n=old.n+2; END;
                                       CREATE TRIGGER t4 AFTER UPDATE OF m ON t WHEN new.m<4 BEGIN UPDATE t SET s=s||'!', n=n WHERE id=new.id+1; END;""")):
            for con in (self.c,):
                con.execute('PRAGMA recursive_triggers=%d' % recursive)
            self.twin(self.SELF + body, 't', 's')
            self.plain.execute('PRAGMA recursive_triggers=%d' % recursive)
            for sql in ('UPDATE t SET n=n+10 WHERE id=2', 'UPDATE t SET n=n+1', "INSERT INTO t(n,s) VALUES(1,'x')", "UPDATE t SET m=0, s='z'", 'DELETE FROM t WHERE id=1',
                        "INSERT OR REPLACE INTO t(id,n,s) VALUES(2,3,'r'),(3,1,'q')", 'UPDATE t SET id=id+100', 'DELETE FROM t WHERE n>2', 'UPDATE OR IGNORE t SET id=101'):
                self.both(sql)
                self.both('SELECT * FROM t ORDER BY id')
                self.both('SELECT last_insert_rowid()' + ', changes()' * (not recursive))   # rows that a trigger took first are counted: README
            for con in (self.plain, self.c):
                con.execute('DROP TABLE t')
            self.plain.close()

    def test_a_trigger_that_might_run_inside_itself_is_refused_when_protecting_or_when_it_does(self):
        c = self.c
        c.executescript(self.SELF)
        for body in ('AFTER UPDATE ON t BEGIN UPDATE t SET m=1 WHERE id=new.id; END', 'BEFORE INSERT ON t BEGIN SELECT 1; INSERT OR IGNORE INTO "t"(n) VALUES(1); END',
                     'DELETE ON t BEGIN DELETE FROM [T] WHERE id=1; END', 'AFTER UPDATE ON t BEGIN UPDATE OR REPLACE `t` SET m=1; END', 'AFTER INSERT ON t BEGIN REPLACE INTO t(n) VALUES(2); END'):
            c.execute('CREATE TRIGGER again ' + body)
            self.assertIn('trigger again', self.refused(86, c, "SELECT dmp_protect('t','s')"))
            c.execute('DROP TRIGGER again')
        c.execute('CREATE TRIGGER waits AFTER UPDATE OF n, "S" ON t BEGIN SELECT 1; END')
        self.assertIn('column s: UPDATE OF of trigger waits', self.refused(81, c, "SELECT dmp_protect('t','s')"))
        c.execute('DROP TRIGGER waits')
        c.execute("CREATE TRIGGER reads AFTER INSERT ON t WHEN EXISTS(SELECT 1 FROM t WHERE n=99) BEGIN SELECT 'update t', \"insert into t\" FROM t; END")
        c.execute('CREATE TRIGGER later AFTER UPDATE OF n ON t WHEN new.n<100 BEGIN UPDATE t SET n=n+1 WHERE id=new.id; END')
        self.protect(None, 't', 's')
        before = c.execute('SELECT * FROM t').fetchall()
        self.refused(98, c, 'UPDATE t SET n=7')
        self.assertEqual(c.execute('SELECT * FROM t').fetchall(), before)
        c.execute("UPDATE t SET s='mieux', m=2")
        c.execute('PRAGMA recursive_triggers=ON')
        c.execute('UPDATE t SET n=n+90 WHERE id=1')
        self.assertEqual(c.execute('SELECT n, s FROM t WHERE id=1').fetchall(), [(100, 'mieux')])

    def test_a_trigger_without_end_is_an_error_and_changes_nothing(self):
        self.c.execute('PRAGMA recursive_triggers=ON')
        self.c.executescript(self.SELF + 'CREATE TRIGGER on_and_on AFTER UPDATE ON t BEGIN UPDATE t SET m=m+1; END')
        self.protect(None, 't', 's')
        before = self.c.execute('SELECT * FROM t').fetchall()
        self.assertEqual(error_of(self.c, "UPDATE t SET s='x'"), 'too many levels of trigger recursion')
        self.assertEqual(self.c.execute('SELECT * FROM t').fetchall(), before)

    # ---- what stands around a table ----

    def test_views_made_before_and_after_temporary_ones_and_copies_read_the_rows(self):
        self.c.execute('CREATE VIEW again AS SELECT note FROM recent')
        self.protect()
        self.c.execute('CREATE VIEW later AS SELECT note, motif FROM consultation')
        self.c.execute("SELECT dmp_protect('consultation')")
        self.c.execute('CREATE TEMP VIEW mine AS SELECT upper(note) note FROM consultation')
        self.c.execute('CREATE TEMP TABLE copied AS SELECT * FROM consultation')
        self.c.execute('CREATE TABLE kept AS SELECT id, day FROM consultation')
        for name, note in (('recent', 'canari note 39'), ('again', 'canari note 39'), ('later', 'canari note 39'), ('mine', 'CANARI NOTE 39'), ('copied', 'canari note 39')):
            self.assertEqual(one(self.c, "SELECT count(*) FROM %s WHERE note LIKE 'canari note %%'" % name), 40, name)
            self.assertEqual(one(self.c, 'SELECT note FROM %s ORDER BY length(note) DESC, note DESC LIMIT 1' % name), note)
        self.assertEqual(one(self.c, 'SELECT count(*) FROM kept'), 40)
        self.c.execute('INSERT INTO consultation(note,motif) SELECT note, motif FROM consultation')
        self.assertEqual(one(self.c, 'SELECT count(DISTINCT note) FROM consultation WHERE id>40'), 40)
        self.assertEqual(one(self.c, 'WITH x AS (SELECT note FROM consultation) SELECT count(*) FROM x a JOIN x b USING(note)'), 160)

    def test_pragmas_tell_of_the_columns_what_they_tell_of_a_plain_table(self):
        self.twin(KINDS.replace('p TEXT', "p TEXT NOT NULL DEFAULT 'x'"))
        for pragma in ('table_info', 'table_xinfo'):
            self.both("SELECT cid, name, type, \"notnull\", pk FROM pragma_%s('kind')" % pragma)
        self.assertEqual(self.c.execute("SELECT type FROM pragma_table_list('kind')").fetchall(), [(b'virtual',)])
        self.assertEqual(self.c.execute("SELECT dflt_value FROM pragma_table_info('kind') WHERE name='p'").fetchall(), [(None,)])     # README: not told

    def test_a_value_is_not_opened_as_a_file_of_its_own(self):
        self.protect()
        self.assertTrue(hasattr(self.c, 'blobopen'))
        with self.assertRaisesRegex(sqlite3.OperationalError, 'cannot open virtual table: consultation'):
            self.c.blobopen('consultation', 'note', 1)

    # ---- copies ----

    def copied(self, path):
        """The copy beside its anchor and log, opened."""
        subprocess.check_call('cp %s-anchor %s-anchor && cp -r %s-log %s-log' % (self.p.path, path, self.p.path, path), shell=True)
        con = open_record(path)
        self.p.open.append(con)
        one(con, 'SELECT dmp_login(?,?)', self.p.key('dr'), PIN)
        return con

    def works(self, con):
        self.assertEqual(con.execute('SELECT * FROM consultation ORDER BY id').fetchall(), self.c.execute('SELECT * FROM consultation ORDER BY id').fetchall())
        con.execute("INSERT INTO consultation(id,note) VALUES(4000,'dans la copie')")
        self.assertEqual(self.notes(con, 'id=4000'), ['dans la copie'])
        self.assertEqual(one(con, 'PRAGMA integrity_check'), 'ok')
        con.execute('SELECT dmp_scrub()')
        self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])
        con.execute("SELECT dmp_unprotect('consultation')")
        self.assertEqual(self.notes(con, 'id=1'), ['canari note 0'])

    def test_a_dump_is_restored_and_opens_with_the_key(self):
        self.protect()
        self.p.authority.close()
        to = os.path.join(self.p.folder, 'restored.db')
        dump = subprocess.run(['sqlite3', self.p.path, '.dump'], capture_output=True, check=True).stdout
        self.assertNotIn(b'canari', dump)
        got = subprocess.run(['sqlite3', to], input=b'.dbconfig defensive off\n' + dump, capture_output=True)
        self.assertEqual((got.returncode, got.stderr), (0, b''))
        self.works(self.copied(to))

    def test_vacuum_into_and_a_backup_made_while_rows_are_written_open_with_the_key(self):
        self.protect()
        to = os.path.join(self.p.folder, 'vacuumed.db')
        self.c.execute('VACUUM INTO ?', (to,))
        self.works(self.copied(to))
        to = os.path.join(self.p.folder, 'backed.db')
        target, other, count = sqlite3.connect(to), self.p.login('dr'), [0]

        def between(*_):
            count[0] += 1
            if count[0] < 4:
                other.execute('INSERT INTO consultation(id,note) VALUES(?,?)', (5000 + count[0], 'pendant la copie'))
            elif count[0] == 4:
                other.execute("SELECT dmp_rotate('consultation')")

        self.c.backup(target, pages=3, progress=between)
        target.close()
        self.assertGreater(count[0], 4)
        self.works(self.copied(to))


if __name__ == '__main__':
    main()
