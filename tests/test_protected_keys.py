"""test_protected_keys.py: the key of a protected table: who holds it and since when, how it turns in batches that may be killed, what
is left of the one before, and what dmp_verify says.  Rows of the larger tables: DMP_KEY_ROWS (12000); kills: DMP_KEY_KILLS (12)."""
import os
import random
import signal
import subprocess
import sys
import time

from harness import PIN, SO, Case, Practice, error_of, main, one

ROWS = int(os.environ.get('DMP_KEY_ROWS', 12000))
KILLS = int(os.environ.get('DMP_KEY_KILLS', 12))
BATCH = 4096
RUN = """import sys; sys.argv = ['x', %r]; sys.path.insert(0, %r)
from harness import open_record, one, PIN
c = open_record(%r); one(c, 'SELECT dmp_login(?,?)', %r, PIN); print('ready', flush=True)
sys.stdin.readline(); %s
print('done', flush=True)"""


class Keys(Case):
    def setUp(self):
        self.p = Practice({'dr': ('10', 1), 'two': ('10', 0), 'three': ('60', 0)})
        self.c = self.p.login('dr')
        self.c.execute('CREATE TABLE note(id INTEGER PRIMARY KEY, day TEXT, body TEXT, why TEXT)')

    def tearDown(self):
        self.p.drop()

    def fill(self, rows=ROWS, options=None):
        self.c.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?) INSERT INTO note SELECT i,'2026-01-01','note '||i,'motif' FROM n", (rows,))
        self.c.execute("SELECT dmp_protect('note','body,why',?)", (options,))

    def give(self, name, by=None):
        (by or self.c).execute("INSERT INTO protected_reader VALUES('note',?)", (self.p.id[name],))

    def take(self, name, by=None):
        (by or self.c).execute('DELETE FROM protected_reader WHERE principal=?', (self.p.id[name],))

    def readers(self, con=None):
        return dict((con or self.c).execute("SELECT principal, since FROM protected_reader WHERE \"table\"='note'").fetchall())

    def whole(self, con, rows=ROWS):
        """Every row is there and opens."""
        self.assertEqual(con.execute("SELECT count(*), sum(body='note '||id), sum(why='motif') FROM note").fetchall(), [(rows, rows, rows)])

    def done(self, con):
        return con.execute('SELECT DISTINCT rows, rows_done FROM dmp_protected').fetchall()[0]

    def faults(self, con):
        return [tuple(r) for r in con.execute("SELECT place, \"row\" FROM dmp_verify WHERE kind='fault'")]

    def owed(self, con):
        return ' '.join(r[0] for r in con.execute("SELECT what FROM dmp_verify WHERE kind='owed'"))

    def stop_turning(self, batches=1):
        """dmp_rotate ends with an error once so many batches are done."""
        watch = self.p.login('dr')
        self.c.set_progress_handler(lambda: self.done(watch)[1] in range(batches * BATCH, self.done(watch)[0]), 20000)
        self.assertRegex(error_of(self.c, "SELECT dmp_rotate('note')") or '', 'interrupted')
        self.c.set_progress_handler(None, 0)
        watch.close()
        rows, done = self.done(self.c)
        self.assertEqual((done % BATCH, done < rows), (0, True))
        return done

    def boxes(self, table='note_dmp'):
        return [r[0] for r in self.p.raw().execute('SELECT _dmp FROM %s ORDER BY 1' % table)]

    def child(self, name, statement):
        child = subprocess.Popen([sys.executable, '-c', RUN % (os.path.dirname(SO), os.path.dirname(os.path.abspath(__file__)), self.p.path, self.p.key(name), statement)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.readline()
        child.stdin.write(b'\n')
        child.stdin.flush()
        return child

    # ---- a key that turns ----

    def test_a_rotation_seals_every_row_anew_and_leaves_no_old_box_in_any_file(self):
        self.fill(9000)
        self.give('two')
        two, old = self.p.login('two'), self.boxes()
        self.c.execute("SELECT dmp_rotate('note')")
        self.whole(self.c, 9000)
        self.whole(two, 9000)
        self.assertEqual(set(old) & set(self.boxes()), set())
        self.assertIn('dmp_scrub', self.owed(self.c))
        self.p.authority.close()
        two.close()
        self.c.execute('SELECT dmp_scrub()')
        self.assertEqual(self.c.execute('SELECT * FROM dmp_verify').fetchall(), [])
        bytes_ = b''.join(open(f, 'rb').read() for f in self.p.files())
        self.assertEqual([b for b in old[::100] if b[-64:] in bytes_], [])
        self.assertIn(self.boxes()[5], bytes_)

    def test_a_rotation_that_is_interrupted_goes_on_where_it_was(self):
        self.fill()
        self.give('two')
        two, three = self.p.login('two'), self.p.login('three')
        done = self.stop_turning()
        for con in (self.c, two, self.p.login('two')):
            self.whole(con)
            self.assertEqual(self.done(con), (ROWS, done))
        self.assertEqual(three.execute('SELECT body FROM note WHERE id IN (1,?)', (ROWS,)).fetchall(), [(None,), (None,)])
        self.assertEqual(self.faults(self.c), [])
        self.assertIn('being turned', self.owed(self.c))
        first = self.boxes_of(range(1, done + 1))
        self.c.execute("SELECT dmp_rotate('note')")
        self.assertEqual(self.boxes_of(range(1, done + 1)), first)      # not a new rotation: what was turned stays
        self.assertEqual(self.done(two), (ROWS, ROWS))
        self.whole(self.c)
        self.whole(two)
        self.assertEqual(self.faults(two), [])
        self.assertNotIn('being turned', self.owed(self.c))

    def boxes_of(self, ids):
        raw = self.p.raw()
        return [one(raw, 'SELECT _dmp FROM note_dmp WHERE id=?', i) for i in list(ids)[::97]]

    def test_rows_written_while_a_key_turns_are_open_to_every_reader_during_and_after(self):
        self.fill()
        self.give('two')
        two = self.p.login('two')
        done = self.stop_turning()
        for con, k in ((self.c, 1), (two, 2)):
            con.execute("UPDATE note SET body='bas' WHERE id=?", (k,))
            con.execute("UPDATE note SET body='haut' WHERE id=?", (ROWS - k,))
            con.execute("INSERT INTO note(id,body) VALUES(?,'neuf')", (ROWS + 10 + k,))
            con.execute('UPDATE note SET id=? WHERE id=?', (-k, done + 100 + k))
            con.execute('UPDATE note SET id=? WHERE id=?', (ROWS + 20 + k, 100 + k))
        want = self.c.execute('SELECT * FROM note ORDER BY id').fetchall()
        for k in (1, 2):
            self.assertEqual([one(self.c, 'SELECT body FROM note WHERE id=?', i) for i in (k, ROWS - k, ROWS + 10 + k, -k, ROWS + 20 + k)],
                             ['bas', 'haut', 'neuf', 'note %d' % (done + 100 + k), 'note %d' % (100 + k)])
        self.assertEqual(two.execute('SELECT * FROM note ORDER BY id').fetchall(), want)
        two.execute("SELECT dmp_rotate('note')")            # another reader goes on with it
        for con in (self.c, two):
            self.assertEqual(con.execute('SELECT * FROM note ORDER BY id').fetchall(), want)
        self.assertEqual(self.faults(self.c), [])

    def test_a_reader_who_comes_while_a_key_turns_reads_all_rows(self):
        self.fill()
        self.stop_turning()
        self.give('two')
        self.whole(self.p.login('two'))
        self.c.execute("SELECT dmp_rotate('note')")
        self.whole(self.p.login('two'))
        self.whole(self.c)

    def test_a_reader_who_is_withdrawn_while_a_key_turns_opens_nothing_at_commit(self):
        self.fill()
        self.give('two')
        two = self.p.login('two')
        self.stop_turning()
        old = self.boxes()
        self.take('two')
        self.assertEqual(two.execute('SELECT count(body) FROM note').fetchall(), [(0,)])
        self.assertEqual(set(old) & set(self.boxes()), set())
        self.whole(self.c)
        self.assertEqual(self.done(self.c), (ROWS, ROWS))
        self.refused(77, two, "SELECT dmp_rotate('note')")
        self.refused(77, two, "SELECT dmp_rewrap('note')")

    def test_a_rotation_inside_a_transaction_is_whole_or_undone_also_one_that_was_unfinished(self):
        self.fill()
        other = self.p.login('dr')
        done = self.stop_turning()
        for end in ('ROLLBACK', 'COMMIT'):
            self.c.execute('BEGIN')
            self.c.execute("SELECT dmp_rotate('note')")
            self.c.execute("INSERT INTO note(id,body,why) VALUES(?,?,'motif')", (ROWS + 1, 'note %d' % (ROWS + 1)))
            self.assertEqual(self.done(self.c), (ROWS + 1, ROWS + 1))
            self.assertEqual(self.done(other), (ROWS, done))
            self.whole(other)
            self.whole(self.c, ROWS + 1)
            self.c.execute(end)
            for con in (self.c, other, self.p.login('dr')):
                self.whole(con, ROWS + (end == 'COMMIT'))
        self.assertEqual(self.done(other), (ROWS + 1, ROWS + 1))

    def test_a_table_whose_key_turns_can_be_renamed_signed_again_scrubbed_and_unprotected(self):
        self.fill()
        done = self.stop_turning()
        self.c.execute('CREATE VIEW v AS SELECT body FROM note')
        self.c.execute("SELECT dmp_protect('note')")
        self.c.execute('SELECT dmp_scrub()')
        self.whole(self.c)
        self.c.execute('DROP VIEW v')
        self.c.execute("SELECT dmp_protect('note')")
        self.whole(self.c)
        self.c.execute('ALTER TABLE note RENAME TO carnet')
        self.assertEqual(self.done(self.c), (ROWS, done))
        self.assertEqual(one(self.c, "SELECT sum(body='note '||id) FROM carnet"), ROWS)
        self.c.execute('ALTER TABLE carnet RENAME TO note')
        self.whole(self.p.login('dr'))
        self.c.execute("SELECT dmp_unprotect('note')")
        self.whole(self.c)
        self.assertEqual(one(self.p.raw(), 'SELECT count(*) FROM dmp_reader'), 0)

    def test_rowids_at_the_ends_of_their_range_and_tables_with_another_key_turn_too(self):
        c = self.c
        c.executescript("""INSERT INTO note(id,body) VALUES(-9223372036854775808,'premier'),(-5,'moins'),(9223372036854775807,'dernier');
                           CREATE TABLE w(a TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID; CREATE TABLE vide(id INTEGER PRIMARY KEY, body TEXT)""")
        c.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO w SELECT 'k'||i, 'v'||i FROM n")
        c.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO note(id,body) SELECT i*1000003, 'note' FROM n")
        for table in ('note', 'w', 'vide'):
            c.execute("SELECT dmp_protect(?,'body')", (table,))
            before = c.execute('SELECT * FROM %s ORDER BY 1' % table).fetchall()
            for _ in range(2):
                c.execute('SELECT dmp_rotate(?)', (table,))
                self.assertEqual(c.execute('SELECT * FROM %s ORDER BY 1' % table).fetchall(), before)
        self.assertEqual(self.faults(c), [])

    def test_two_processes_that_rotate_at_once_and_a_third_that_reads_and_writes_all_go_on(self):
        self.fill(40000)
        self.give('two')
        self.c.execute('PRAGMA busy_timeout=20000')
        children = [self.child(name, "c.execute('PRAGMA busy_timeout=20000'); c.execute(\"SELECT dmp_rotate('note')\")") for name in ('dr', 'two')]
        turns = 0
        while any(ch.poll() is None for ch in children):
            self.c.execute("UPDATE note SET body=body WHERE id=?", (1 + turns % 40000,))
            self.assertEqual(one(self.c, 'SELECT body FROM note WHERE id=?', 40000 - turns % 40000), 'note %d' % (40000 - turns % 40000))
            if turns % 5 == 0:                               # and the schema changes under the rotations
                self.c.execute('DROP TABLE other' if one(self.c, "SELECT count(*) FROM sqlite_schema WHERE name='other'") else 'CREATE TABLE other(a)')
            turns += 1
        for ch in children:
            out, err = ch.communicate()
            self.assertEqual((out, err), (b'done\n', b''))
        self.assertGreater(turns, 1)
        self.whole(self.c, 40000)
        self.assertEqual(self.done(self.c), (40000, 40000))
        self.assertEqual(self.faults(self.c), [])

    def test_a_rotation_in_every_journal_mode_and_beside_a_reader_that_holds_its_snapshot(self):
        self.fill(9000)
        self.p.authority.close()
        for mode in ('DELETE', 'PERSIST', 'WAL'):
            self.assertEqual(one(self.c, 'PRAGMA journal_mode=' + mode).upper(), mode)
            reader = self.p.login('dr')
            rows = reader.execute('SELECT id, body FROM note ORDER BY id')
            first = rows.fetchone()
            if mode != 'WAL':                               # there a reader keeps every writer waiting
                self.c.execute('PRAGMA busy_timeout=50')
                self.assertRegex(self.fails(self.c, "SELECT dmp_rotate('note')"), 'locked')
            else:
                self.c.execute("SELECT dmp_rotate('note')")
            self.assertEqual([first] + rows.fetchall(), [(i, 'note %d' % i) for i in range(1, 9001)])
            self.c.execute("SELECT dmp_rotate('note')")
            self.whole(self.c, 9000)
            self.whole(reader, 9000)
            self.assertEqual(self.done(reader), (9000, 9000))
            reader.close()

    def test_another_writer_that_holds_the_lock_stops_a_rotation_as_busy_and_nothing_is_lost(self):
        self.fill(9000)
        other = self.p.login('dr')
        self.c.execute('PRAGMA busy_timeout=50')
        other.execute('BEGIN IMMEDIATE')
        self.assertRegex(self.fails(self.c, "SELECT dmp_rotate('note')"), 'locked')
        other.execute('COMMIT')
        self.whole(self.c, 9000)
        self.c.execute("SELECT dmp_rotate('note')")
        self.whole(other, 9000)

    def test_a_rotation_killed_at_random_moments_and_begun_again_ends_with_every_row_open(self):
        self.fill()
        self.give('two')
        self.p.close()
        child = self.child('dr', "c.execute(\"SELECT dmp_rotate('note')\")")
        start = time.time()
        self.assertEqual(child.communicate(), (b'done\n', b''))
        took, drawn, unfinished = time.time() - start, random.Random(4), 0
        for k in range(5 * KILLS):
            if k >= KILLS and unfinished:
                break
            child = self.child('dr' if k % 2 else 'two', "c.execute(\"SELECT dmp_rotate('note')\")")
            time.sleep(drawn.random() * took)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            con, two = self.p.login('dr'), self.p.login('two')
            self.whole(con)
            self.whole(two)
            self.assertEqual(one(con, 'PRAGMA integrity_check'), 'ok')
            unfinished += self.done(con)[1] < ROWS
            con.execute("UPDATE note SET body=body WHERE id%500=0")
            self.p.close()
        con = self.p.login('dr')
        con.execute("SELECT dmp_rotate('note')")
        self.whole(con)
        self.whole(self.p.login('two'))
        self.assertEqual(self.done(con), (ROWS, ROWS))
        self.assertEqual(self.faults(con), [])
        self.assertGreater(unfinished, 0, 'no kill met a rotation under way')

    def test_a_rotation_on_a_full_disk_keeps_what_it_did_and_goes_on_when_there_is_room(self):
        self.fill()
        self.p.close()
        full = ("import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); c.execute('PRAGMA wal_autocheckpoint=0'); "
                "resource.setrlimit(resource.RLIMIT_FSIZE, (%d, %d)); c.execute(\"SELECT dmp_rotate('note')\")")
        left, size = [], os.path.getsize(self.p.path)
        for room in (size // 8, size // 2):
            out, err = self.child('dr', full % (room, room)).communicate()
            self.assertRegex(err.decode(), 'full|disk I/O error')
            con = self.p.login('dr')
            self.whole(con)
            left.append(self.done(con)[1])
            self.p.close()
        self.assertEqual((left[0], left[1] % BATCH, 0 < left[1] < ROWS), (ROWS, 0, True), left)   # not begun; some batches, which stay
        con = self.p.login('dr')
        con.execute("SELECT dmp_rotate('note')")
        self.whole(con)
        self.assertEqual(self.done(con), (ROWS, ROWS))
        self.assertEqual(self.faults(con), [])

    def test_a_row_that_does_not_open_stops_a_rotation_by_name_and_without_it_the_rotation_goes_on(self):
        self.fill()
        box, raw = self.boxes_of([9000])[0], self.p.raw()
        raw.execute('UPDATE note_dmp SET _dmp=? WHERE id=9000', (box[:-1] + bytes([box[-1] ^ 1]),))
        self.assertRegex(self.refused(5, self.c, "SELECT dmp_rotate('note')"), 'note row 9000')
        self.assertEqual(self.done(self.c), (ROWS, 2 * BATCH))
        self.assertEqual(self.faults(self.c), [('note', 9000)])
        self.c.execute('DELETE FROM note WHERE id=9000')
        self.c.execute("SELECT dmp_rotate('note')")
        self.assertEqual(self.c.execute("SELECT count(*), sum(body='note '||id) FROM note").fetchall(), [(ROWS - 1, ROWS - 1)])
        self.assertEqual((self.done(self.c), self.faults(self.c)), ((ROWS - 1, ROWS - 1), []))

    # ---- progress ----

    def test_progress_is_told_on_stderr_only_when_asked_and_seldom(self):
        self.fill(40)
        self.c.execute("SELECT dmp_unprotect('note')")
        self.c.execute("WITH RECURSIVE n(i) AS (SELECT 41 UNION ALL SELECT i+1 FROM n WHERE i<60000) INSERT INTO note SELECT i,'2026-01-01','note '||i,'motif' FROM n")
        for ask in (1, 0):
            for verb in ("dmp_protect('note','body,why','progress=%d')", "dmp_rotate('note','progress=%d')", "dmp_unprotect('note','progress=%d')"):
                start = time.time()
                out, err = self.child('dr', 'c.execute("SELECT %s")' % (verb % ask)).communicate()
                lines, took = err.decode().splitlines(), time.time() - start
                self.assertEqual(out, b'done\n', err)
                if not ask:
                    self.assertEqual(lines, [])
                    continue
                self.assertEqual(lines[-1], 'note: 60000 of 60000', verb)
                self.assertLessEqual(len(lines), 4 * took + 1, verb)
                for line in lines:
                    self.assertRegex(line, r'^note: \d+ of 60000$')
        self.whole(self.c, 60000)
        self.refused(66, self.c, "SELECT dmp_protect('note','body','progress=yes')")
        self.refused(66, self.c, "SELECT dmp_rotate('note','readers=1')")

    # ---- who holds it ----

    def test_readers_named_when_protecting_hold_the_key_at_once_and_an_unknown_one_undoes_all(self):
        before = self.c.execute('SELECT name, sql FROM sqlite_schema ORDER BY 1').fetchall()
        self.c.execute("INSERT INTO note VALUES(1,'2026-01-01','note 1','motif')")
        for bad in ('12345', '%d|12345' % self.p.id['two'], '12345|%d' % self.p.id['two']):
            self.assertRegex(self.refused(44, self.c, "SELECT dmp_protect('note','body,why',?)", ('readers=' + bad,)), 'readers=12345')
            self.assertEqual(self.c.execute('SELECT name, sql FROM sqlite_schema ORDER BY 1').fetchall(), before)
            self.assertEqual(one(self.c, 'SELECT count(*) FROM protected_reader'), 0)
        for bad in ('readers=', 'readers=x', 'readers=1|', 'readers=|1', 'readers=1;2', 'readers=-4', 'readers=99999999999999999999', 'readers'):
            self.refused(66, self.c, "SELECT dmp_protect('note','body,why',?)", (bad,))
        self.assertEqual(one(self.c, 'SELECT body FROM note'), 'note 1')
        me, two, three = (self.p.id[n] for n in ('dr', 'two', 'three'))
        self.c.execute("SELECT dmp_protect('note','body,why',?)", ('without_key=hide,readers=%d|%d|%d' % (two, me, two),))
        self.assertEqual(set(self.readers()), {me, two})
        self.whole(self.p.login('two'), 1)
        self.assertEqual(one(self.p.login('three'), 'SELECT count(*) FROM note'), 0)

    def test_three_holders_give_and_take_the_key_and_since_is_what_each_of_them_sees(self):
        self.fill(50)
        me, two, three = (self.p.id[n] for n in ('dr', 'two', 'three'))
        a, b = self.p.login('two'), self.p.login('three')
        self.assertEqual(self.readers(a), {me: None})       # without the key: who, not since when
        start = time.strftime('%Y-%m-%dT%H:%M', time.gmtime())
        self.give('two')
        time.sleep(1.1)
        self.give('three', a)
        for con in (self.c, a, b):
            self.whole(con, 50)
            self.assertEqual(self.readers(con), self.readers())
        since = self.readers()
        self.assertLess(since[two], since[three])
        for t in since.values():
            self.assertRegex(t, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$')
            self.assertGreaterEqual(t, start)
        self.refused(56, b, "INSERT INTO protected_reader VALUES('note',?)", (two,))
        self.refused(49, b, "INSERT INTO protected_reader(\"table\",principal,since) VALUES('note',?,'2020-01-01')", (two,))
        self.refused(44, b, "INSERT INTO protected_reader VALUES('note',4711)")
        for verb in ("dmp_rotate('note')", "dmp_rewrap('note')"):
            b.execute('SELECT ' + verb)
            self.assertEqual(self.readers(a), since, verb)  # turning a key does not make its holders new
        self.take('dr', b)
        self.assertEqual(self.c.execute('SELECT count(body) FROM note').fetchall(), [(0,)])
        self.assertEqual(set(self.readers(a)), {two, three})
        self.whole(a, 50)
        self.take('two', a)                                 # oneself, while another stays
        self.assertEqual(set(self.readers(b)), {three})
        self.whole(b, 50)
        self.refused(77, a, "INSERT INTO protected_reader VALUES('note',?)", (two,))

    def test_the_last_reader_is_not_taken_away_also_by_a_delete_of_all(self):
        self.fill(20)
        boxes = self.boxes()
        self.refused(90, self.c, 'DELETE FROM protected_reader')
        self.assertEqual(self.boxes(), boxes)
        self.give('two')
        for transaction in (False, True):
            boxes = self.boxes()
            if transaction:
                self.c.execute('BEGIN')
            self.assertRegex(self.fails(self.c, 'DELETE FROM protected_reader'), '^dmp-E0(77|90)')   # oneself first, or last
            self.whole(self.c, 20)
            if transaction:
                self.c.execute('COMMIT')
            self.assertEqual(self.boxes(), boxes)
            for name in ('dr', 'two'):
                self.whole(self.p.login(name), 20)
        self.c.execute('BEGIN')
        self.take('two')
        self.refused(90, self.c, 'DELETE FROM protected_reader')
        self.whole(self.c, 20)
        self.c.execute('COMMIT')
        self.whole(self.c, 20)
        self.assertEqual(one(self.p.login('two'), 'SELECT count(body) FROM note'), 0)
        self.assertEqual(set(self.readers()), {self.p.id['dr']})

    def test_an_open_cursor_goes_on_when_its_own_connection_takes_a_reader_away(self):
        self.fill(300)
        self.give('two')
        self.c.execute('BEGIN')
        rows = self.c.execute('SELECT body FROM note ORDER BY id')
        self.assertEqual(rows.fetchone(), ('note 1',))
        self.take('two')
        self.assertEqual([r[0] for r in rows.fetchall()], ['note %d' % i for i in range(2, 301)])
        self.c.execute('COMMIT')

    # ---- rows of readers that were touched ----

    def test_rewrap_seals_the_same_key_again_and_touches_no_row(self):
        self.fill(30)
        self.give('two')
        raw, boxes = self.p.raw(), self.boxes()
        rows = {i: b for i, b in raw.execute('SELECT id, box FROM dmp_reader')}
        self.c.execute("SELECT dmp_rewrap('note')")
        again = {i: b for i, b in raw.execute('SELECT id, box FROM dmp_reader')}
        self.assertEqual(len(again), 2)
        self.assertEqual(set(rows.values()) & set(again.values()), set())
        self.assertEqual(self.boxes(), boxes)
        for name in ('dr', 'two'):
            self.whole(self.p.login(name), 30)
        self.refused(82, self.c, "SELECT dmp_rewrap('nothing')")
        self.refused(77, self.p.login('three'), "SELECT dmp_rewrap('note')")
        self.refused(82, self.c, "SELECT dmp_rotate('nothing')")

    def reader_row(self, name):
        """The id of somebody's row of dmp_reader: the one without which he reads nothing."""
        raw, found = self.p.raw(), []
        for i, box in raw.execute('SELECT id, box FROM dmp_reader').fetchall():
            raw.execute('UPDATE dmp_reader SET box=? WHERE id=?', (bytes([box[0], box[1] ^ 1]) + box[2:], i))
            con = self.p.login(name)                        # a new one, which keeps no key
            if error_of(con, 'SELECT body FROM note WHERE id=1'):
                found.append(i)
            con.close()
            raw.execute('UPDATE dmp_reader SET box=? WHERE id=?', (box, i))
        self.assertEqual(len(found), 1)
        return found[0]

    def test_a_reader_whose_box_was_damaged_is_helped_by_rewrap_and_one_whose_note_was_is_given_the_key_again(self):
        self.fill(30)
        self.give('two')
        row, raw = self.reader_row('two'), self.p.raw()
        box = one(raw, 'SELECT box FROM dmp_reader WHERE id=?', row)
        raw.execute('UPDATE dmp_reader SET box=? WHERE id=?', (box[:60] + bytes([box[60] ^ 1]) + box[61:], row))
        two = self.p.login('two')
        self.refused(5, two, 'SELECT body FROM note')
        self.assertEqual(self.faults(two), [('dmp_reader', row)])
        self.assertEqual(self.faults(self.c), [])           # another's box is not ours to open; the note behind it is sound
        self.c.execute("SELECT dmp_rewrap('note')")
        self.whole(two, 30)
        row = self.reader_row('two')
        box = one(raw, 'SELECT box FROM dmp_reader WHERE id=?', row)
        for n in list(range(len(box) - 170, len(box), 13)) + [len(box) - 1]:
            raw.execute('UPDATE dmp_reader SET box=? WHERE id=?', (box[:n] + bytes([box[n] ^ 1]) + box[n + 1:], row))
            self.assertRegex(self.fails(self.p.login('two'), 'SELECT body FROM note'), '^dmp-E093')
            self.assertEqual(self.faults(self.c), [('dmp_reader', row)], n)
        for n in range(0, len(box), 11):
            raw.execute('UPDATE dmp_reader SET box=? WHERE id=?', (box[:n], row))
            self.assertRegex(self.fails(self.p.login('two'), 'SELECT body FROM note'), '^dmp-E(093|005|006|007)')
        self.c.execute("SELECT dmp_rewrap('note')")         # he can't be told from one who planted his row
        self.assertEqual(set(self.readers()), {self.p.id['dr']})
        self.give('two')
        self.whole(self.p.login('two'), 30)

    def test_a_row_that_somebody_planted_for_himself_gets_no_key_when_it_turns(self):
        self.fill(30)
        self.give('two')
        raw = self.p.raw()
        mine = {r[0]: r for r in raw.execute('SELECT id, loc, box FROM dmp_reader')}
        self.take('two')
        kept = {r[0] for r in raw.execute('SELECT loc FROM dmp_reader')}
        (old,) = [r for r in mine.values() if r[1] not in kept]   # what two had yesterday, put back by who can write the file
        for verb in ("SELECT dmp_rotate('note')", "SELECT dmp_rewrap('note')", 'DELETE FROM protected_reader WHERE principal=%d' % self.p.id['three']):
            raw.execute('INSERT OR REPLACE INTO dmp_reader VALUES(?,?,?)', old)
            two = self.p.login('two')
            self.refused(92, two, 'SELECT body FROM note')
            self.assertEqual(self.readers()[self.p.id['two']], None)
            self.assertEqual(self.faults(self.c), [('dmp_reader', old[0])])
            if 'three' in verb or 'DELETE' in verb:
                self.give('three')
            self.c.execute(verb)
            self.assertEqual(set(self.readers()), {self.p.id['dr']})
            self.assertEqual(one(two, 'SELECT count(body) FROM note'), 0)
            self.refused(77, two, "INSERT INTO note(id,body) VALUES(99,'x')")
            self.whole(self.c, 30)
        raw.execute('INSERT OR REPLACE INTO dmp_reader VALUES(?,?,?)', old)
        self.give('two')                                    # and it does not stand in the way
        self.whole(self.p.login('two'), 30)
        self.assertEqual(self.faults(self.c), [])

    def test_a_false_row_beside_a_readers_own_does_not_shut_him_out_and_is_named(self):
        self.fill(30)
        raw = self.p.raw()
        (row, loc, box), = raw.execute('SELECT id, loc, box FROM dmp_reader').fetchall()
        for false in (row - 1, row + 1):
            raw.execute('INSERT INTO dmp_reader VALUES(?,?,?)', (false, loc, box))
        self.whole(self.p.login('dr'), 30)
        self.assertEqual(sorted(self.faults(self.c)), [('dmp_reader', row - 1), ('dmp_reader', row + 1)])
        self.c.execute("SELECT dmp_rewrap('note')")
        self.assertEqual(one(raw, 'SELECT count(*) FROM dmp_reader'), 1)
        self.whole(self.c, 30)

    def test_a_key_that_nobody_holds_is_told_and_named_by_verify(self):
        self.fill(30)
        self.give('two')
        raw = self.p.raw()
        rows = raw.execute('SELECT id, loc, box FROM dmp_reader').fetchall()
        raw.execute('DELETE FROM dmp_reader')
        for name in ('dr', 'two', 'three'):
            con = self.p.login(name)
            self.refused(91, con, 'SELECT body FROM note')
            self.assertEqual(one(con, 'SELECT count(day) FROM note'), 30)
            self.refused(91, con, "UPDATE note SET body='x' WHERE id=1")
            self.refused(91, con, "INSERT INTO note(body) VALUES('x')")
            for verb in ('unprotect', 'rotate', 'rewrap'):
                self.refused(91, con, "SELECT dmp_%s('note')" % verb)
            self.refused(91, con, "INSERT INTO protected_reader VALUES('note',?)", (self.p.id['two'],))
            self.assertRegex(con.execute("SELECT what FROM dmp_verify WHERE place='note' AND kind='fault'").fetchall()[0][0], '^dmp-E091')
        self.assertEqual(one(self.p.connect(), 'SELECT count(body) FROM note'), 0)      # nobody logged in: NULL, as always
        raw.executemany('INSERT INTO dmp_reader VALUES(?,?,?)', rows)
        self.whole(self.p.login('two'), 30)

    # ---- what dmp_verify says ----

    def test_verify_names_each_row_reader_and_description_that_was_touched_one_row_each(self):
        self.fill(60)
        self.c.execute('SELECT dmp_scrub()')
        self.give('two')
        raw, two, three = self.p.raw(), self.p.login('two'), self.p.login('three')
        for con in (self.c, two, three):
            self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])
        keep = {i: one(raw, 'SELECT _dmp FROM note_dmp WHERE id=?', i) for i in (3, 4, 5, 6)}
        raw.execute('UPDATE note_dmp SET _dmp=? WHERE id=3', (keep[4],))
        raw.execute('UPDATE note_dmp SET _dmp=? WHERE id=4', (keep[4][:-1],))
        raw.execute('UPDATE note_dmp SET _dmp=? WHERE id=5', (keep[5][:9] + bytes([keep[5][9] ^ 4]) + keep[5][10:],))
        raw.execute("UPDATE note_dmp SET _dmp=x'' WHERE id=6")
        for con in (self.c, two):
            self.assertEqual(self.faults(con), [('note', 3), ('note', 4), ('note', 5), ('note', 6)])
        self.assertEqual(self.faults(three), [])            # it opens no box of the table
        for what in self.c.execute('SELECT what FROM dmp_verify'):
            self.assertRegex(what[0], '^dmp-E00[5678]: ')
        raw.executemany('UPDATE note_dmp SET _dmp=? WHERE id=?', [(b, i) for i, b in keep.items()])
        raw.execute('CREATE VIEW leak AS SELECT body FROM note')
        for con in (self.c, three):
            self.assertEqual([r[0] for r in self.faults(con)], ['dmp_sealed'])
        raw.execute('DROP VIEW leak')
        body = one(raw, 'SELECT body FROM dmp_sealed')
        for n in (0, 10, 40, len(body) - 33, len(body) - 1):
            raw.execute('UPDATE dmp_sealed SET body=?', (body[:n] + bytes([body[n] ^ 1]) + body[n + 1:],))
            self.assertEqual([r[0] for r in self.faults(self.c)], ['dmp_sealed'], n)
            self.assertEqual([r[0] for r in self.faults(three)], ['dmp_sealed'] * (n < len(body) - 32), n)   # the MAC is for holders
            self.assertIsNotNone(error_of(self.c, 'SELECT body FROM note'), n)       # also in a session that knew the true one
        raw.execute('UPDATE dmp_sealed SET body=?', (body,))
        self.whole(self.c, 60)
        self.assertEqual(self.faults(self.c), [])

    def test_a_description_put_back_to_before_a_rotation_is_an_error_not_an_answer(self):
        self.fill(30)
        raw = self.p.raw()
        body, rows = one(raw, 'SELECT body FROM dmp_sealed'), raw.execute('SELECT id, loc, box FROM dmp_reader').fetchall()
        self.c.execute("SELECT dmp_rotate('note')")
        new = one(raw, 'SELECT body FROM dmp_sealed')
        raw.execute('UPDATE dmp_sealed SET body=?', (body,))
        self.refused(92, self.c, 'SELECT body FROM note')
        self.refused(92, self.c, "INSERT INTO note(body) VALUES('x')")
        raw.execute('UPDATE dmp_sealed SET body=?', (new,))
        raw.execute('DELETE FROM dmp_reader')
        raw.executemany('INSERT INTO dmp_reader VALUES(?,?,?)', rows)
        self.refused(92, self.p.login('dr'), 'SELECT body FROM note')
        self.assertEqual([r[0] for r in self.faults(self.c)], ['dmp_reader'])


if __name__ == '__main__':
    main()
