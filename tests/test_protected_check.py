"""test_protected_check.py: a CHECK that names a sealed column refuses what it refuses on a plain table, in the same words and at the same
moment; and which CHECKs can't be kept."""
import os
import sqlite3

from harness import PIN, Case, Practice, error_of, main, one, open_record

TABLE = """(id INTEGER PRIMARY KEY, s TEXT DEFAULT 'rien' CONSTRAINT "pas trop long" CHECK(length(s)<20), n INTEGER NOT NULL DEFAULT 3 CHECK(typeof(n)='integer'), day TEXT CHECK(day>'2'),
           u TEXT CHECK("U"<>'x' /* s */ AND 's'<>day), g AS (day||'.') , note TEXT CHECK(day IS NOT '2030'), free TEXT,
           CHECK(s IS NULL OR [s]<>`day`), CONSTRAINT 'deux' CHECK(n<100 OR length(note)>2) CHECK(id<1000 OR note IS NULL), CHECK(g<>note))"""
SEALED = 's,n,note'
# Columns and values of one row: those that break no CHECK and those that break each.
ROWS = [{'s': 'un', 'n': 5, 'day': '2026'}, {'s': 'x' * 20}, {'n': 'douze'}, {'n': '12'}, {'day': '1999'}, {'u': 'x', 'day': '3'}, {'day': '2030', 'note': 'y'}, {'day': '2030'}, {'s': '2026', 'day': '2026'},
        {'n': 100, 'note': 'ab'}, {'n': 100, 'note': 'abc'}, {'n': 100}, {'id': 1000, 'note': 'y'}, {'id': 1001}, {'day': '2027', 'note': '2027.'}, {'n': 100.0, 'day': '1'},
        {'day': 'rien'}, {'s': b'rien', 'day': 'rien'}, {'u': 's', 'day': 's'}, {'s': 'y' * 30, 'day': '0', 'n': 'z'}]


class Check(Case):
    def setUp(self):
        self.p = Practice({'dr': ('10', 1), 'two': ('10', 0)})
        self.c = self.p.login('dr')
        self.plain = sqlite3.connect(':memory:', isolation_level=None)
        for c in (self.c, self.plain):
            c.execute('PRAGMA foreign_keys=ON')
            c.execute('CREATE TABLE t' + TABLE)
            c.execute('CREATE TABLE log(what)')

    def tearDown(self):
        self.plain.close()
        self.p.drop()

    def protect(self, columns=SEALED, options=None):
        self.c.execute('SELECT dmp_protect(?,?,?)', ('t', columns, options))

    def same(self, sql, *args, counted=True):
        """The statement does the same on both sides; what it did."""
        did = []
        for c in (self.plain, self.c):
            try:
                did.append(('done', c.execute(sql, args).fetchall(), counted and one(c, 'SELECT changes()')))
            except sqlite3.Error as e:
                did.append((type(e).__name__, e.sqlite_errorname, str(e)))
            did[-1] += tuple(c.execute('SELECT * FROM t ORDER BY id').fetchall() + c.execute('SELECT * FROM log').fetchall()) + (c.in_transaction,)
        self.assertEqual(did[1], did[0], (sql, args))
        return did[1]

    def insert(self, row, counted=True):
        return self.same('INSERT INTO t(%s) VALUES(%s)' % (','.join(row), ','.join('?' * len(row))), *row.values(), counted=counted)

    # ---- what is refused ----

    def test_an_insert_is_refused_by_the_same_check_in_the_same_words(self):
        self.protect()
        refused = {self.insert(row)[2] for row in ROWS if self.insert(row)[0] != 'done'}
        self.assertGreaterEqual(refused, {'CHECK constraint failed: ' + m for m in ('pas trop long', "typeof(n)='integer'", "day>'2'", 'U', "day IS NOT '2030'", 'deux', 's IS NULL OR [s]<>`day`')})
        self.assertIn('NOT NULL constraint failed: t.n', {self.same('UPDATE t SET n=NULL')[2]})

    def test_an_update_is_refused_by_the_same_check_in_the_same_words(self):
        for c in (self.c, self.plain):
            c.execute("INSERT INTO t(s,n,day,u,note,free) VALUES('un',5,'2026','a','abc','x'),('deux',50,'2027','b',NULL,NULL)")
        self.protect()
        told = {self.same('UPDATE t SET %s WHERE id=1' % ','.join(k + '=?' for k in row), *row.values())[2] for row in ROWS + [{'n': None}, {'s': None, 'day': '1'}, {'n': None, 's': 'z' * 20}]}
        self.assertGreater(len(told), 8)
        for sql in ("UPDATE t SET day='9', s='9'", 'UPDATE t SET day=s', "UPDATE t SET day='deux' WHERE id=2", 'UPDATE t SET n=n+60', 'UPDATE t SET id=id+1000', 'UPDATE t SET id=id+1000 WHERE note IS NULL',
                    "UPDATE t SET free='y'", "UPDATE t SET note='2027.' WHERE id=2", "UPDATE t SET note='2027.' WHERE id=1002", "UPDATE t SET day='2028', note='2027.' WHERE id=2",
                    'UPDATE t SET s=v FROM (SELECT 1 k, 2026 v) WHERE k=id'):
            self.same(sql)

    def test_or_ignore_and_its_like_do_with_a_check_what_they_do_on_a_plain_table(self):
        self.protect()
        self.insert({'id': 1, 's': 'un'})
        for verb in ('INSERT OR IGNORE', 'INSERT OR FAIL', 'INSERT OR ABORT', 'INSERT OR ROLLBACK', 'INSERT OR REPLACE', 'REPLACE'):
            self.same('BEGIN')
            self.same("%s INTO t(s) VALUES('ok'),('%s'),('fin')" % (verb, 'z' * 20))
            self.same("%s INTO t(id,s,n) VALUES(1,'ok','douze')" % verb)
            if self.c.in_transaction:
                self.same('UPDATE OR%s t SET s=\'%s\' WHERE id<3' % (verb.split('OR')[1] if 'OR' in verb else ' REPLACE', 'z' * 20))
            if self.c.in_transaction:
                self.same('ROLLBACK')

    def test_a_missing_value_and_a_trigger_that_comes_first_are_told_first(self):
        trigger = """CREATE TRIGGER b BEFORE INSERT ON t WHEN new.free IN('ignore','abort') BEGIN
                       INSERT INTO log VALUES('vu'); SELECT RAISE(IGNORE) WHERE new.free='ignore'; SELECT RAISE(ABORT, 'non') WHERE new.free='abort'; END"""
        for c in (self.c, self.plain):
            c.execute(trigger)
        self.protect()
        long = 'z' * 20
        self.assertEqual(self.insert({'s': long, 'free': 'abort'})[2], 'non')
        self.assertEqual(self.insert({'s': long, 'free': 'ignore'}, counted=False)[0], 'done')   # what RAISE(IGNORE) leaves out is counted: README
        self.assertEqual(self.insert({'s': long, 'free': 'sinon'})[2], 'CHECK constraint failed: pas trop long')
        self.assertEqual(self.insert({'s': 'ok', 'day': '1', 'free': 'abort'})[2], 'non')
        self.assertEqual(self.insert({'s': long, 'day': '1'})[2], 'CHECK constraint failed: pas trop long')

    def test_a_check_sees_values_as_they_are_stored_defaults_and_the_rowid(self):
        for c in (self.c, self.plain):
            c.executescript("""DROP TABLE t; CREATE TABLE t(id TEXT UNIQUE, s INTEGER DEFAULT (1+1) CHECK(typeof(s)<>'text'), r REAL CHECK(r IS NULL OR typeof(r)='real'), d TEXT DEFAULT (lower('QQ')),
                               CHECK(d IS NOT 'qq' OR s<>2), CHECK(rowid<3 OR r IS NULL))""")
        self.protect('s,r')
        for row in ({'s': '5', 'r': 3}, {'d': 'x'}, {'s': 3}, {'id': 1}, {'s': 'texte'}, {'s': 3, 'r': 1}, {'r': '4', 's': b'x'}, {'s': 3}):
            self.insert(row)
        self.same('UPDATE t SET d=\'qq\' WHERE s=2')
        self.same("UPDATE t SET s='2' WHERE rowid=2")

    def test_what_a_check_fails_with_is_told_as_it_is(self):
        for c in (self.c, self.plain):
            c.executescript("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT CHECK(json_extract(s,'$.a')>0), n INT CHECK(abs(n)>=0))")
        self.protect('s,n')
        for row in ({'s': '{"a":1}'}, {'s': '{"a":0}'}, {'s': 'pas du json'}, {'n': -2**63}, {'n': 5}):
            self.insert(row)

    def test_a_check_sees_texts_in_the_encoding_of_the_database(self):
        path = os.path.join(self.p.folder, 'wide.db')
        wide, plain = open_record(path), sqlite3.connect(':memory:', isolation_level=None)
        for c in (wide, plain):
            c.execute("PRAGMA encoding='UTF-16le'")
            c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT CHECK(s<'é') CHECK(hex(CAST(s AS BLOB))<>'6500'))")
        one(wide, 'SELECT dmp_create(?,?,NULL,?)', path + 'key', PIN, 'kdf=1x8')
        one(wide, 'SELECT dmp_login(?,?)', path + 'key', PIN)
        one(wide, "SELECT dmp_protect('t','s')")
        told = [[error_of(c, 'INSERT INTO t(s) VALUES(?)', (text,)) for text in ('z', 'e', 'Ā', 'ê', 'ééé', '')] for c in (wide, plain)]
        self.assertEqual(told[0].count(None), 3)
        self.assertEqual(told[0], told[1])
        self.assertEqual(wide.execute('SELECT s FROM t').fetchall(), plain.execute('SELECT s FROM t').fetchall())
        wide.close()
        plain.close()

    # ---- who holds no key ----

    def test_without_the_key_a_plain_column_that_no_check_of_a_sealed_one_names_may_be_written(self):
        self.insert({'s': 'un', 'day': '2026', 'u': 'a'})
        self.protect()
        two = self.p.login('two')
        two.execute("UPDATE t SET u='b', free='c'")
        self.assertRegex(error_of(two, "UPDATE t SET u='x'"), '^CHECK constraint failed')
        self.refused(77, two, "UPDATE t SET day='2027'")
        self.refused(77, two, "UPDATE t SET s='y'")
        self.refused(77, two, "INSERT INTO t(day) VALUES('2027')")
        self.assertEqual(self.c.execute('SELECT day,u,free FROM t').fetchall(), [('2026', 'b', 'c')])

    # ---- coming and going ----

    def test_a_rotated_renamed_and_unprotected_table_keeps_its_checks_and_its_text(self):
        text = one(self.c, "SELECT sql FROM sqlite_schema WHERE name='t'")
        self.protect()
        self.c.execute("SELECT dmp_rotate('t')")
        self.insert({'s': 'z' * 20})
        self.c.execute('SELECT dmp_unprotect(?)', ('t',))
        self.assertEqual(one(self.c, "SELECT sql FROM sqlite_schema WHERE name='t'").replace('"t"', 't'), text)
        self.insert({'s': 'z' * 20})
        self.protect()
        self.c.execute('SELECT count(*) FROM t')
        self.c.execute('ALTER TABLE t RENAME TO visit')
        self.assertEqual(error_of(self.c, "INSERT INTO visit(s) VALUES('%s')" % ('z' * 20)), 'CHECK constraint failed: pas trop long')
        self.c.execute("INSERT INTO visit(s) VALUES('court')")
        self.c.execute("SELECT dmp_unprotect('visit')")
        self.assertEqual(error_of(self.c, "INSERT INTO visit(s) VALUES('%s')" % ('z' * 20)), 'CHECK constraint failed: pas trop long')

    def test_a_check_on_plain_columns_alone_stays_with_the_shadow_for_foreign_keys(self):
        for c in (self.c, self.plain):
            c.executescript("""DROP TABLE t; CREATE TABLE p(id INTEGER PRIMARY KEY); INSERT INTO p VALUES(1),(2);
                               CREATE TABLE t(id INTEGER PRIMARY KEY, p INTEGER CHECK(p<5) REFERENCES p(id) ON UPDATE CASCADE, s TEXT CHECK(s<>''));
                               INSERT INTO t VALUES(1,1,'un')""")
        self.protect('s')
        self.assertEqual(self.same('UPDATE p SET id=7 WHERE id=1')[2], 'CHECK constraint failed: p<5')
        self.same('UPDATE p SET id=4 WHERE id=1')
        self.insert({'p': 9, 's': 'x'})
        self.insert({'p': 2, 's': ''})

    def test_what_is_written_under_a_check_is_in_no_file_after_the_scrub(self):
        self.p.authority.close()
        self.protect()
        self.c.execute("INSERT INTO t(s,note) VALUES('canari','canari note')")
        error_of(self.c, "INSERT INTO t(s,note) VALUES('canari bien trop long','canari note')")
        self.c.execute('SELECT dmp_scrub()')
        for f in self.p.files():
            with open(f, 'rb') as data:
                self.assertNotIn(b'canari', data.read(), f)
        self.assertEqual(one(self.c, 'SELECT s FROM t'), 'canari')

    # ---- what can't be kept, by name ----

    def test_a_check_that_needs_the_applications_own_functions_or_collations_is_named(self):
        self.c.create_function('foo', 1, lambda x: 1, deterministic=True)
        self.c.create_collation('FR', lambda a, b: (a > b) - (a < b))
        self.c.executescript("""CREATE TABLE a(id INTEGER PRIMARY KEY, s CHECK(foo(s)), x); CREATE TABLE b(id INTEGER PRIMARY KEY, s CHECK(s<>'x' COLLATE FR), x);
                                CREATE TABLE c(id INTEGER PRIMARY KEY, s CHECK(c.s<>'x'), x)""")
        for table, what in (('a', 'a CHECK of a sealed column: no such function: foo'), ('b', 'a CHECK of a sealed column: no such collation sequence: FR')):
            self.assertIn(what, self.refused(86, self.c, "SELECT dmp_protect(?,'s')", (table,)))
            self.c.execute("SELECT dmp_protect(?,'x')", (table,))
            self.c.execute('INSERT INTO %s(s,x) VALUES(1,2)' % table)
        self.assertIn('no such column: c.s', self.fails(self.c, "SELECT dmp_protect('c','s')"))

    def test_a_check_over_a_sealed_column_and_one_that_a_foreign_key_changes_is_named(self):
        self.c.executescript("""CREATE TABLE p(id INTEGER PRIMARY KEY);
                                CREATE TABLE a(id INTEGER PRIMARY KEY, s, p_id REFERENCES p(id) ON DELETE SET NULL, CHECK(p_id IS NOT NULL OR s IS NULL));
                                CREATE TABLE b(id INTEGER PRIMARY KEY, s, p_id REFERENCES p(id) ON UPDATE CASCADE, g AS (p_id), CHECK(g<>s));
                                CREATE TABLE c(id INTEGER PRIMARY KEY, s, p_id REFERENCES p(id) ON DELETE CASCADE, CHECK(p_id<>s))""")
        for table in 'ab':
            self.assertIn('a CHECK of a sealed column names p_id, which a foreign key changes', self.refused(86, self.c, "SELECT dmp_protect(?,'s')", (table,)))
        self.c.execute("SELECT dmp_protect('c','s')")
        self.assertEqual(error_of(self.c, 'INSERT INTO c(s,p_id) VALUES(5,5)'), 'CHECK constraint failed: p_id<>s')


if __name__ == '__main__':
    main()
