"""test_protected_host.py: protected tables on a host that writes the file: planted schema, altered descriptions, swapped boxes,
and what it can still read after the scrub."""
import contextlib

from harness import PIN, error_of, main, one
from protected_case import ProtectedCase

FUNCTIONS = ('dmp_row_turn', 'dmp_row_seal', 'dmp_logout', 'dmp_filename', 'dmp_scrub', 'dmp_protect')


class Host(ProtectedCase):
    def setUp(self):
        super().setUp()
        self.protect()

    def host(self):
        """The file in the host's hands, with functions of our names, so that its own SQLite takes a schema that calls them."""
        raw = self.p.raw()
        raw.execute('PRAGMA legacy_alter_table=ON')
        for f in FUNCTIONS:
            raw.create_function(f, -1, lambda *a: None, deterministic=True)
        return raw

    def change(self, sql):
        """A statement of the host; a change of the schema's own text where it is a tuple."""
        raw = self.host()
        self.rewrite(raw, *sql) if isinstance(sql, tuple) else raw.execute(sql)
        raw.close()

    @contextlib.contextmanager
    def planted(self, plant, undo):
        self.change(plant)
        with self.subTest(plant):
            yield
        self.change(undo)
        self.goes_on()

    def rewrite(self, raw, sql, args=()):
        """Changes the text of the schema itself."""
        raw.execute('PRAGMA writable_schema=ON')
        raw.execute(sql, args)
        raw.execute('PRAGMA schema_version=%d' % (one(raw, 'PRAGMA schema_version') + 1))
        raw.execute('PRAGMA writable_schema=OFF')

    def stops(self, what, codes='25'):
        """No row comes out of the open connection nor of a new login, and none goes in."""
        refusal = '^(dmp-E0(%s): |malformed database schema)' % codes
        new = self.p.connect()
        got = error_of(new, 'SELECT dmp_login(?,?)', (self.p.key('dr'), PIN))
        self.assertRegex(got or 'dmp-E025: ', refusal, what)
        for con in [self.c] + [new] * (got is None):
            for sql in ('SELECT note FROM consultation WHERE id=1', "UPDATE consultation SET note='x' WHERE id=1", "INSERT INTO consultation(note) VALUES('x')"):
                self.assertRegex(error_of(con, sql) or 'was accepted', refusal, (what, sql))
        new.close()

    def goes_on(self):
        self.assertEqual(one(self.c, 'SELECT count(*) FROM letter') >= 2, True)  # by which SQLite notices that the schema changed
        self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])
        self.assertEqual(self.notes(self.p.login('dr'), 'id=1'), ['canari note 0'])
        self.assertEqual(one(self.c, 'SELECT count(*) FROM consultation'), 40)

    # ---- planted schema ----

    def test_a_planted_check_index_default_generated_column_view_or_trigger_that_calls_our_functions_stops_the_reading(self):
        turn, change = 'dmp_row_turn(id,_dmp,0)', "UPDATE sqlite_schema SET sql=? WHERE name='consultation_dmp'"
        shadow = one(self.p.raw(), "SELECT sql FROM sqlite_schema WHERE name='consultation_dmp'")
        for plant, undo in (
                ('CREATE TABLE trap(id INTEGER PRIMARY KEY, _dmp, CHECK(%s IS NULL))' % turn, 'DROP TABLE trap'),
                ('CREATE TABLE trap(x CHECK(dmp_logout() IS NULL))', 'DROP TABLE trap'),
                ('CREATE TABLE trap(x DEFAULT (dmp_logout()))', 'DROP TABLE trap'),
                ('CREATE TABLE trap(id, _dmp, leak AS (%s))' % turn, 'DROP TABLE trap'),
                ('CREATE INDEX trap ON consultation_dmp(%s)' % turn, 'DROP INDEX trap'),
                ('CREATE INDEX trap ON consultation_dmp(day) WHERE %s IS NOT NULL' % turn, 'DROP INDEX trap'),
                ('CREATE INDEX trap ON letter(dmp_filename(body))', 'DROP INDEX trap'),
                ((change, (shadow[:-1] + ', leak AS (%s))' % turn,)), (change, (shadow,))),
                ((change, (shadow[:-1] + ', CHECK(%s IS NULL))' % turn,)), (change, (shadow,))),
                ('CREATE VIEW trap AS SELECT %s FROM consultation_dmp' % turn, 'DROP VIEW trap'),
                ('CREATE TRIGGER trap AFTER UPDATE ON consultation_dmp BEGIN INSERT INTO letter(body) VALUES(dmp_row_turn(old.id,old._dmp,0)); END', 'DROP TRIGGER trap'),
                ("CREATE TRIGGER trap AFTER INSERT ON letter BEGIN SELECT dmp_protect('consultation'); END", 'DROP TRIGGER trap')):
            with self.planted(plant, undo):
                self.stops(plant)

    def test_a_planted_view_or_trigger_that_names_the_table_in_any_spelling_stops_the_reading(self):
        for name in ('consultation', 'CONSULTATION', '"Consultation"', '[consultation]', '`consultation`', "'consultation'", 'main.consultation', '"main"."consultation"', '/**/consultation/**/'):
            for plant, undo in (('CREATE VIEW leak AS SELECT note FROM %s' % name, 'DROP VIEW leak'),
                                ('CREATE VIEW leak AS SELECT 1 WHERE EXISTS(SELECT note FROM %s)' % name, 'DROP VIEW leak'),
                                ('CREATE TRIGGER leak AFTER INSERT ON letter BEGIN UPDATE letter SET body=(SELECT note FROM %s); END' % name, 'DROP TRIGGER leak')):
                with self.planted(plant, undo):
                    self.stops(plant)

    def test_a_view_or_trigger_under_another_type_in_the_schema_stops_the_reading(self):
        for kind in ('table', 'index', 'other', 7, 'VIEW', 'View', 'TRIGGER', b'view'):
            for text, at in (('CREATE VIEW leak AS SELECT note FROM consultation', 'leak'),
                             ('CREATE TRIGGER leak AFTER INSERT ON letter BEGIN UPDATE letter SET body=(SELECT group_concat(note) FROM consultation); END', 'letter')):
                with self.planted(('INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES(?,?,?,0,?)', (kind, 'leak', at, text)), ("DELETE FROM sqlite_schema WHERE name='leak'",)):
                    self.stops((kind, text))

    def test_a_planted_trigger_that_reads_through_a_view_with_a_quotation_mark_in_its_name_stops_the_reading(self):
        for name in ("l'été", 'a"b', 'c`d', 'e]f'):
            quoted = '"%s"' % name.replace('"', '""')
            self.c.execute('CREATE VIEW %s AS SELECT note FROM consultation' % quoted)
            self.c.execute("SELECT dmp_protect('consultation')")
            self.goes_on()
            for spelt in ["'%s'" % name.replace("'", "''"), quoted, '`%s`' % name.replace('`', '``')]:
                with self.planted('CREATE TRIGGER leak AFTER INSERT ON letter BEGIN UPDATE letter SET body=(SELECT group_concat(note) FROM %s); END' % spelt, 'DROP TRIGGER leak'):
                    self.stops(spelt)
            self.c.execute('DROP VIEW ' + quoted)
            self.c.execute("SELECT dmp_protect('consultation')")

    def test_a_planted_fts_table_that_takes_its_content_from_the_table_stops_the_reading(self):
        for module in ("fts5(note, content='consultation', content_rowid='id')", 'fts5(note, content="recent")', 'fts4(content="consultation", note)', "fts3(content='Consultation', note)"):
            with self.planted('CREATE VIRTUAL TABLE leak USING ' + module, 'DROP TABLE leak'):
                self.change("CREATE TRIGGER leak_t AFTER INSERT ON letter BEGIN INSERT INTO leak(leak) VALUES('rebuild'); END")
                self.stops(module)
                self.change('DROP TRIGGER leak_t')

    def test_an_fts_table_and_an_r_tree_of_the_practice_s_own_go_on_beside_the_table(self):
        c = self.c
        c.executescript("""CREATE VIRTUAL TABLE words USING fts5(body); CREATE VIRTUAL TABLE places USING rtree(id,x0,x1); INSERT INTO words VALUES('un deux'); INSERT INTO places VALUES(1,0,2);
                           CREATE TRIGGER letter_words AFTER INSERT ON letter BEGIN INSERT INTO words VALUES(new.body); END""")
        self.goes_on()
        c.execute("INSERT INTO letter(body) VALUES('trois')")
        self.assertEqual(c.execute("SELECT count(*) FROM words WHERE words MATCH 'trois'").fetchall(), [(1,)])
        self.assertEqual(c.execute('SELECT note, x1 FROM consultation JOIN places USING(id) WHERE x0<1').fetchall(), [('canari note 0', 2.0)])
        for table in ('words', 'words_data', 'places', 'places_node'):
            self.assertRegex(error_of(c, 'SELECT dmp_protect(?,?)', (table, 'body')) or '', '^dmp-E0(78|79): ', table)
        c.execute("CREATE VIRTUAL TABLE days USING fts5(day, content='consultation', content_rowid='id')")
        self.refused(25, c, 'SELECT note FROM consultation')
        c.execute("SELECT dmp_protect('consultation')")
        c.execute('INSERT INTO days(rowid,day) SELECT id, day FROM consultation')   # FTS5 'rebuild' reads no virtual table
        self.assertEqual(one(c, "SELECT count(*) FROM days WHERE days MATCH '\"2026-01-01\"'"), 4)

    def test_an_altered_create_virtual_table_is_refused(self):
        own = one(self.p.raw(), "SELECT sql FROM sqlite_schema WHERE name='consultation'")
        change = "UPDATE sqlite_schema SET sql=? WHERE name='consultation'"
        for text in ('"consultation" USING dmp_table(letter)', '"consultation" USING dmp_table()', 'consultation USING dmp_table', '"consultation" USING DMP_TABLE'):
            with self.planted((change, ('CREATE VIRTUAL TABLE ' + text,)), (change, (own,))):
                self.stops(text, '25|76')

    def test_a_second_virtual_table_over_the_same_shadow_shows_nothing(self):
        with self.planted(("INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','twin','twin',0,'CREATE VIRTUAL TABLE \"twin\" USING dmp_table')",),
                          ("DELETE FROM sqlite_schema WHERE name='twin'",)):
            self.refused(82, self.c, 'SELECT * FROM twin')
            self.assertEqual(self.notes(self.c, 'id=1'), ['canari note 0'])

    # ---- colleagues without the key ----

    def test_without_the_key_plain_columns_change_and_no_row_goes(self):
        self.c.executescript("CREATE TABLE visit(id INTEGER PRIMARY KEY,slot TEXT UNIQUE,note TEXT); INSERT INTO visit VALUES(1,'a','un'),(2,'b','deux')")
        self.protect(table='visit', columns='note')
        two, nobody = self.p.login('two'), self.p.connect()
        for con, code in ((two, 77), (nobody, 23)):
            self.refused(code, con, 'DELETE FROM visit WHERE id=1')
            self.refused(77, con, "REPLACE INTO visit VALUES(1,'a',NULL)")
        self.assertRegex(error_of(two, "UPDATE OR REPLACE visit SET slot='b' WHERE id=1") or 'was accepted', 'UNIQUE')
        self.refused(23, nobody, "UPDATE visit SET slot='x' WHERE id=1")
        two.execute("UPDATE visit SET slot='c' WHERE id=1")
        self.assertEqual(self.c.execute('SELECT * FROM visit').fetchall(), [(1, 'c', 'un'), (2, 'b', 'deux')])
        self.c.execute("UPDATE OR REPLACE visit SET slot='b' WHERE id=1")
        self.c.execute("REPLACE INTO visit VALUES(3,'b','trois')")
        self.assertEqual(self.c.execute('SELECT * FROM visit').fetchall(), [(3, 'b', 'trois')])
        self.c.execute('DELETE FROM visit')
        self.assertEqual(one(self.c, 'SELECT count(*) FROM visit'), 0)

    def test_a_scrub_of_somebody_without_the_key_stays_due(self):
        one(self.p.login('two'), 'SELECT dmp_scrub()')
        self.assertEqual(one(self.c, 'SELECT scrub_due FROM dmp_protected'), 1)
        one(self.c, 'SELECT dmp_scrub()')
        self.assertEqual(one(self.c, 'SELECT scrub_due FROM dmp_protected'), 0)
    def instead(self, *statements):
        """The host takes the virtual table's entry away and makes something else of the name; the undoing of it."""
        raw = self.p.raw()
        self.rewrite(raw, "DELETE FROM sqlite_schema WHERE name='consultation'")
        raw.close()
        for sql in statements:
            self.change(sql)

    PLAIN = 'CREATE TABLE consultation(id INTEGER PRIMARY KEY, patient_id, day TEXT, note TEXT, motif TEXT)'
    TAKING = ('CREATE VIEW consultation AS SELECT id, patient_id, day, NULL AS note, NULL AS motif FROM consultation_dmp',
              'CREATE TRIGGER taking INSTEAD OF INSERT ON consultation BEGIN INSERT INTO letter(body) VALUES(new.note); END')

    def test_a_plain_table_a_view_or_nothing_in_the_table_s_place_stops_the_login_and_the_open_connection(self):
        for statements, undo in (((self.PLAIN,), 'DROP TABLE consultation'), (self.TAKING, 'DROP VIEW consultation'), ((), 'SELECT 1')):
            self.instead(*statements)
            with self.subTest(statements):
                self.refused(25, self.p.connect(), 'SELECT dmp_login(?,?)', (self.p.key('dr'), PIN))
                one(self.c, 'SELECT count(*) FROM letter')
                self.refused(25, self.c, 'SELECT * FROM patient')
                self.refused(25, self.c, 'SELECT * FROM dmp_verify')
            self.change(undo)
            self.change(("INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','consultation','consultation',0,'CREATE VIRTUAL TABLE \"consultation\" USING dmp_table')",))
            self.goes_on()
        self.c.execute('ALTER TABLE consultation RENAME TO "L acte"')
        self.assertEqual(one(self.p.login('dr'), 'SELECT count(note) FROM "L acte"'), 40)

    def version(self, to=None):
        raw = self.p.raw()
        v = one(raw, 'PRAGMA schema_version')
        if to is not None:
            raw.execute('PRAGMA schema_version=%d' % to)
        raw.close()
        return v

    SPY = 'CREATE TRIGGER spy AFTER INSERT ON letter BEGIN UPDATE letter SET body=(SELECT group_concat(note) FROM consultation) WHERE id=new.id; END'

    def test_a_trigger_that_was_dropped_under_the_same_schema_version_after_the_login_copies_nothing(self):
        self.change(self.SPY)
        v, con = self.version(), self.p.login('dr')
        self.change('DROP TRIGGER spy')
        self.version(v)
        for sql in ("INSERT INTO letter(body) VALUES('x')", 'SELECT note FROM consultation'):
            self.refused(25, con, sql)
        self.assertEqual(self.notes(self.p.login('dr', con), 'id=1'), ['canari note 0'])
        con.execute("INSERT INTO letter(body) VALUES('x')")
        self.assertEqual(one(con, 'SELECT body FROM letter ORDER BY id DESC'), 'x')

    def test_a_trigger_that_was_dropped_under_the_same_schema_version_before_the_login_copies_nothing(self):
        self.change(self.SPY)
        v, con = self.version(), self.p.connect()
        one(con, 'SELECT count(*) FROM letter')             # SQLite has parsed the trigger
        self.change('DROP TRIGGER spy')
        self.version(v)
        self.p.login('dr', con)
        con.execute("INSERT INTO letter(body) VALUES('x')")
        self.assertEqual(one(con, 'SELECT body FROM letter ORDER BY id DESC'), 'x')
        self.assertEqual(self.notes(con, 'id=1'), ['canari note 0'])

    def test_who_meets_a_changed_view_signs_it_and_the_other_connections_go_on(self):
        other = self.p.login('dr')
        self.change('CREATE VIEW notes AS SELECT note FROM consultation')
        one(other, 'SELECT count(*) FROM letter')
        self.refused(25, other, 'SELECT note FROM consultation')
        new = self.p.login('dr')
        self.refused(25, new, 'SELECT note FROM consultation')
        new.execute("SELECT dmp_protect('consultation')")
        for con in (new, other):
            self.assertEqual(one(con, 'SELECT count(note) FROM notes'), 40)

    # ---- altered descriptions and readers ----

    def described(self, body=None):
        """The description as the file has it; or the host writes it."""
        raw = self.p.raw()
        if body is not None:
            raw.execute('UPDATE dmp_sealed SET body=?', (body,))
        got = one(raw, 'SELECT body FROM dmp_sealed')
        raw.close()
        return got

    def forged(self, column='note'):
        """The description, with a sealed column said to be plain."""
        text = lambda t: len(t).to_bytes(2, 'little') + t
        body = self.described()
        entry = text(column.encode()) + text(b'TEXT') + text(b'BINARY') + text(b'')
        at = body.index(entry) + len(entry)
        self.assertEqual(body[at] & 1, 1)
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]

    def test_a_description_that_stood_only_while_the_table_was_declared_lets_nothing_be_written_in_clear(self):
        """The host says that a column is plain, until somebody has opened the table and not yet logged in."""
        own = self.described()
        self.change('ALTER TABLE consultation_dmp ADD COLUMN note TEXT')
        self.described(self.forged())
        con, late = self.p.connect(), self.p.connect()
        for each in (con, late):
            self.assertEqual(each.execute('SELECT day, note FROM consultation WHERE id=1').fetchall(), [('2026-01-01', None)])
        self.described(own)
        late.execute('BEGIN')                               # inside a transaction a login does not have the table declared anew
        self.p.login('dr', late)
        self.refused(76, late, "INSERT INTO consultation(day,note,motif) VALUES('2030','en clair','m')")
        self.assertRegex(error_of(late, "UPDATE consultation SET note='en clair'") or 'was accepted', '^dmp-E076: |^database disk image is malformed$')
        late.execute('ROLLBACK')
        self.p.login('dr', con)
        con.execute("UPDATE consultation SET note='scellé' WHERE id=1")
        self.assertEqual(self.notes(self.c, 'id=1'), ['scellé'])
        self.assertEqual(one(self.p.raw(), 'SELECT count(*) FROM consultation_dmp WHERE note IS NOT NULL'), 0)

    def test_an_altered_description_is_not_signed_again_by_anything_that_signs(self):
        own, forged = self.described(), self.forged()
        self.described(forged)
        two = self.p.id['two']
        for sql in ("SELECT dmp_protect('consultation')", "SELECT dmp_rotate('consultation')", 'SELECT dmp_scrub()', "SELECT dmp_unprotect('consultation')",
                    "INSERT INTO protected_reader VALUES('consultation',%d)" % two, 'DELETE FROM protected_reader', 'SELECT * FROM dmp_protected',
                    'ALTER TABLE consultation RENAME TO visit', 'DROP TABLE consultation'):
            with self.subTest(sql):
                # SQLite passes no sentence on from DROP TABLE; a rename asks that the table be read before
                self.assertRegex(error_of(self.p.login('dr'), sql) or 'was accepted', '^dmp-E076: |^dmp-E083: .*read table|^database disk image is malformed$')
                self.assertEqual(self.described(), forged)
        self.described(own)
        self.goes_on()

    def test_a_type_that_would_declare_more_columns_or_none_is_refused_before_anybody_logs_in(self):
        own = self.described()
        for kind in (b'A, more', b'A)', b'A);', b'(1', b'(a)', b'A (1) more', b'A --', b'A /*', b'"A', b"'A", b'A;', b'A\0B', b'[A', b'A, x AS (1)', b',', b')'):
            with self.subTest(kind):
                text = lambda t: len(t).to_bytes(2, 'little') + t
                self.described(own.replace(text(b'note') + text(b'TEXT'), text(b'note') + text(kind)))
                con = self.p.connect()
                self.refused(76, con, 'SELECT * FROM consultation')
                self.refused(76, con, 'UPDATE consultation SET day=1')
                con.close()
        self.described(own)
        self.goes_on()

    def test_what_columns_are_said_to_be_goes_together_or_is_refused_before_anybody_logs_in(self):
        own, sealed, key, generated, pk, indexed, patient = self.described(), 1, 4, 8, 16, 64, 128
        text = lambda t: len(t).to_bytes(2, 'little') + t
        entry = text(b'note') + text(b'TEXT') + text(b'BINARY') + text(b'')
        at = own.index(entry) + len(entry)
        for flags in (sealed | key, sealed | generated, sealed | pk, sealed | patient, indexed, key, key | generated):
            with self.subTest(flags):
                self.described(own[:at] + bytes([flags]) + own[at + 1:])
                con = self.p.connect()
                self.refused(76, con, 'SELECT * FROM consultation')
                con.close()
        self.described(own)
        self.goes_on()

    def test_every_byte_of_a_description_is_proven(self):
        own = self.described()
        con = self.p.connect()
        for n in range(len(own)):
            self.described(own[:n] + bytes([own[n] ^ 1 << n % 8]) + own[n + 1:])
            got = error_of(con, 'SELECT dmp_login(?,?)', (self.p.key('dr'), PIN)) or error_of(con, 'SELECT note FROM consultation WHERE id=1')
            self.assertRegex(got or 'was accepted', '^dmp-E0(76|82): |^no such column: |^vtable constructor failed', 'byte %d' % n)
            con.close()
            con = self.p.connect()
        for n in range(len(own)):
            self.described(own[:n])
            self.assertRegex(error_of(con, 'SELECT note FROM consultation WHERE id=1') or 'was accepted', '^dmp-E076: ', 'cut at %d' % n)
        self.described(own + b'x')
        self.refused(76, con, 'SELECT note FROM consultation WHERE id=1')
        self.described(own)
        self.goes_on()

    def test_every_byte_of_a_reader_s_row_is_proven(self):
        raw = self.p.raw()
        own = one(raw, 'SELECT box FROM dmp_reader')
        for n in range(len(own)):
            for bad in (own[:n] + bytes([own[n] ^ 1 << n % 8]) + own[n + 1:], own[:n]):
                raw.execute('UPDATE dmp_reader SET box=?', (bad,))
                self.assertRegex(error_of(self.c, 'SELECT note FROM consultation WHERE id=1') or 'was accepted', r'^dmp-E0\d\d: .*\(dmp_reader row ', 'byte %d' % n)
        raw.execute('UPDATE dmp_reader SET box=?', (own,))
        self.goes_on()


if __name__ == '__main__':
    main()
