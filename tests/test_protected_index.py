"""test_protected_index.py: an index on a sealed column: what it finds, what it must not find, what it tells whoever holds the file, and
which columns may not have one."""
import os
import sqlite3

from harness import PIN, Case, Practice, error_of, main, one, open_record

ROWS = 400
VALUES = [1, 1.0, '1', '1.0', ' 1', 0, -0.0, '-0', 9007199254740993, 9007199254740992.0, '9007199254740993', 2**63 - 1, -2**63, 9.2e18, -9223372036854775808.0, 1e300, 0.1,
          float('inf'), 'abc', 'ABC', 'abc  ', 'aBc ', 'ABC\0d', 'abc\0D', 'abc\0e', 'é', 'É', '', ' ', '  ', 'x' * 5000, b'', b'abc', b'1', b'\0', None]
TYPES = ['INTEGER', 'TEXT', 'REAL', 'NUMERIC', 'BLOB', '', 'TEXT COLLATE NOCASE', 'TEXT COLLATE RTRIM', 'COLLATE NOCASE', 'INTEGER COLLATE NOCASE']


class Index(Case):
    def setUp(self):
        self.p = Practice({'dr': ('10', 1), 'two': ('10', 0)})
        self.c = self.p.login('dr')
        self.c.execute('PRAGMA foreign_keys=ON')
        self.c.execute('PRAGMA synchronous=OFF')
        self.c.executescript("""CREATE TABLE t(id INTEGER PRIMARY KEY, label TEXT UNIQUE, code TEXT COLLATE NOCASE, day TEXT, sex TEXT);
                                CREATE INDEX t_code ON t(code); CREATE INDEX t_day ON t(day); CREATE TABLE s(x TEXT)""")
        self.c.executemany('INSERT INTO t(label,code,day,sex) VALUES(?,?,?,?)', [('canari %d' % i, 'Code%d' % (i // 4), '2026-%02d' % (i % 12), 'FM'[i % 2]) for i in range(ROWS)])

    def tearDown(self):
        self.p.drop()

    def protect(self, index='label|code', table='t', columns='label,code,sex', more=''):
        self.c.execute('SELECT dmp_protect(?,?,?)', (table, columns, 'index=' + index + more))

    def opened(self, sql, *args):
        """The rows, and how many boxes were opened for them."""
        self.c.execute(sql, args).fetchall() if sql.startswith('SELECT') else None   # the table's key is asked for once
        was = one(self.c, 'SELECT boxes_opened FROM session')
        rows = self.c.execute(sql, args).fetchall()
        return rows, one(self.c, 'SELECT boxes_opened FROM session') - was

    def plan(self, sql, *args):
        return ' '.join(r[3] for r in self.c.execute('EXPLAIN QUERY PLAN ' + sql, args))

    def leaf(self, column='label', where='1'):
        return [r[0] for r in self.p.raw().execute('SELECT "_dmpx_%s" FROM t_dmp WHERE %s ORDER BY id' % (column, where))]

    # ---- what it finds ----

    def test_an_indexed_value_is_found_and_only_its_rows_are_opened(self):
        self.protect()
        self.assertEqual(self.opened('SELECT id FROM t WHERE label=?', 'canari 7'), ([(8,)], 1))
        self.assertEqual(self.opened("SELECT id FROM t WHERE label='canari 7'"), ([(8,)], 1))
        self.assertEqual(self.opened('SELECT count(*) FROM t WHERE code=?', 'cODE3'), ([(4,)], 4))
        self.assertEqual(self.opened('SELECT count(*) FROM t WHERE code IS ?', 'code3'), ([(4,)], 4))
        self.assertEqual(self.opened("SELECT count(*) FROM t WHERE label IN ('canari 1','canari 2','none')"), ([(2,)], 2))
        self.assertEqual(self.opened('SELECT count(*) FROM t WHERE label IS NULL'), ([(0,)], 0))
        self.c.execute("INSERT INTO s VALUES('CODE1'),('code2'),('none')")
        self.assertEqual(self.opened('SELECT count(*) FROM s JOIN t ON t.code=s.x'), ([(8,)], 8))
        self.assertEqual(self.opened("UPDATE t SET day='x' WHERE label='canari 9'")[1], 1)
        self.assertEqual(self.opened("SELECT count(*) FROM t WHERE sex='F'"), ([(ROWS // 2,)], ROWS))

    def test_what_is_equal_in_a_plain_column_is_equal_in_an_indexed_one(self):
        c = self.c
        for n, decl in enumerate(TYPES):
            for t in ('a%d' % n, 'b%d' % n):                # y: the same values, plain, under an index of its own
                c.execute('CREATE TABLE %s(id INTEGER PRIMARY KEY, x %s, y %s)' % (t, decl, decl))
                c.executemany('INSERT INTO %s(x,y) VALUES(?1,?1)' % t, [(v,) for v in VALUES] + [('d%d' % i,) for i in range(30)])
                c.execute('CREATE INDEX %s_y ON %s(y)' % (t, t))
            self.protect('x', 'b%d' % n, 'x')
            c.execute('CREATE TEMP TABLE v(i INTEGER, t TEXT, r REAL, n)')
            c.executemany('INSERT INTO temp.v VALUES(?1,?1,?1,?1)', [(v,) for v in VALUES])
            for where in ('x=?', 'x IS ?', 'x IN (?,5)', 'x=CAST(? AS TEXT)', 'x=CAST(? AS INTEGER)', 'x=+?', 'x IN (SELECT n FROM v WHERE n IS ?)', 'x=? COLLATE BINARY',
                          'x=? COLLATE NOCASE', 'x IN (SELECT t FROM v WHERE n IS ?)'):
                for v in VALUES:
                    rows = [c.execute('SELECT id FROM %s%d WHERE %s ORDER BY id' % (t, n, where.replace('x', col, 1)), (v,)).fetchall() for t in 'ab' for col in 'xy']
                    self.assertEqual(rows, rows[:1] * 4, (decl, where, v))
            for join in ('b.x=v.i', 'b.x=v.t', 'b.x=v.r', 'b.x=v.n', 'v.t=b.x', 'v.n IS b.x'):
                rows = [c.execute('SELECT b.id, v.rowid FROM v CROSS JOIN %s%d b ON %s ORDER BY 1, 2' % (t, n, join.replace('x', col))).fetchall() for t in 'ab' for col in 'xy']
                self.assertEqual(rows, rows[:1] * 4, (decl, join))
            c.execute('DROP TABLE temp.v')

    def test_writes_keep_the_index_and_plain_updates_leave_it_alone(self):
        self.protect()
        before = self.leaf()
        self.c.execute("UPDATE t SET day='2027' WHERE id<10")
        self.c.execute("UPDATE t SET sex='X' WHERE id<10")
        self.c.execute('UPDATE t SET id=id+1000 WHERE id>390')
        self.assertEqual(self.leaf(), before)
        self.c.execute("UPDATE t SET label='neuf' WHERE id=1")
        self.c.execute("INSERT INTO t(label,code) VALUES('dix','CODE3')")
        self.c.execute("DELETE FROM t WHERE label='canari 1'")
        self.assertEqual([one(self.c, 'SELECT count(*) FROM t WHERE label=?', v) for v in ('canari 0', 'neuf', 'dix', 'canari 1')], [0, 1, 1, 0])
        self.assertEqual(one(self.c, "SELECT count(*) FROM t WHERE code='code3'"), 5)
        self.c.execute("UPDATE t SET code=NULL WHERE code='code4'")
        self.assertEqual(one(self.c, 'SELECT count(*) FROM t WHERE code IS NULL'), 4)
        self.assertEqual(one(self.c, 'PRAGMA integrity_check'), 'ok')

    def test_a_rotation_turns_the_index_too(self):
        self.protect()
        before = self.leaf() + self.leaf('code')
        self.c.execute("SELECT dmp_rotate('t')")
        after = self.leaf() + self.leaf('code')
        self.assertEqual(set(before) & set(after), set())
        self.assertEqual(self.opened("SELECT id FROM t WHERE label='canari 7'"), ([(8,)], 1))
        self.assertEqual(one(self.c, "SELECT count(*) FROM t WHERE code='code3'"), 4)

    def test_of_two_lists_one_that_only_sqlite_may_compare_leaves_the_other_its_values(self):
        self.c.executescript("CREATE TABLE mixed(x); INSERT INTO mixed VALUES(5),('2026-01'),(7),(8); CREATE TABLE codes(x); INSERT INTO codes VALUES('code0'),('code30'),('Code9')")
        sql = 'SELECT id FROM t WHERE day IN (SELECT x FROM mixed) AND code IN (SELECT x FROM codes) ORDER BY id'
        plain = self.c.execute(sql).fetchall()
        self.protect()
        self.assertEqual(self.c.execute(sql).fetchall(), plain)
        self.assertEqual(plain, [(2,), (38,), (122,)])

    def turn_until_a_batch_stands(self, table):
        """A rotation that is broken off after what it commits first; whether it was."""
        host, version = self.p.raw(), []

        def committed():
            try:
                version.append(one(host, 'PRAGMA data_version'))
            except sqlite3.OperationalError:            # the commit itself
                pass
            return len(set(version)) > 1
        self.c.set_progress_handler(committed, 1000)
        said = error_of(self.c, 'SELECT dmp_rotate(?)', (table,))
        self.c.set_progress_handler(None, 0)
        return said is not None

    def big(self, more=''):
        self.c.execute('CREATE TABLE big(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE%s, note TEXT)' % more)
        self.c.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO big SELECT i, 'Nom '||(i%4500), 'note '||i FROM n" if not more else
                       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO big SELECT i, 'Nom '||i, 'note '||i FROM n")
        self.protect('name', 'big', 'name,note')

    def test_while_the_key_turns_rows_under_either_key_are_found_changed_and_moved(self):
        self.big()
        self.assertTrue(self.turn_until_a_batch_stands('big'))
        done = one(self.c, "SELECT rows_done FROM dmp_protected WHERE \"table\"='big'")
        self.assertIn(done, range(1, 9000))
        self.assertEqual(self.opened('SELECT id FROM big WHERE name=? ORDER BY id', 'NOM 7'), ([(7,), (4507,)], 2))   # one under each key
        self.assertEqual(self.opened('SELECT id FROM big WHERE name IS ? ORDER BY id', 'nom 7'), ([(7,), (4507,)], 2))
        self.assertEqual(self.opened("SELECT count(*) FROM big WHERE name IN ('nom 7','Nom 8','none')"), ([(4,)], 4))
        self.c.execute("INSERT INTO s VALUES('Nom 9'),('nom 10'),('none')")
        self.assertEqual(self.opened('SELECT count(*) FROM big WHERE name IN (SELECT x FROM s) AND id IN (SELECT abs(x) FROM s UNION SELECT id FROM big)'), ([(4,)], 4))
        self.assertEqual(self.opened('SELECT count(*) FROM s JOIN big ON big.name=s.x'), ([(4,)], 4))
        self.assertEqual(self.opened('SELECT count(*) FROM big WHERE name IS ?', None), ([(0,)], 0))
        self.c.execute("UPDATE big SET note='autre' WHERE id=8990")
        self.c.execute("UPDATE big SET name='nom neuf' WHERE id IN (5, 8991)")
        self.c.execute('UPDATE big SET id=-id WHERE id IN (8992, 8993)')   # to where everything has turned
        self.c.execute("INSERT INTO big VALUES(-1,'nom neuf',NULL),(20000,'nom neuf',NULL)")
        moved = 'SELECT group_concat(id) FROM (SELECT id FROM big WHERE name=? ORDER BY id)'
        self.assertEqual([one(self.c, moved, n) for n in ('Nom 4492', 'Nom 4490', 'NOM NEUF')], ['-8992,4492', '4490,8990', '-1,5,8991,20000'])
        self.c.execute("SELECT dmp_rotate('big')")
        self.assertEqual([one(self.c, moved, n) for n in ('Nom 4492', 'Nom 4490', 'NOM NEUF', 'Nom 7')], ['-8992,4492', '4490,8990', '-1,5,8991,20000', '7,4507'])
        self.assertEqual(one(self.p.raw(), 'SELECT count(DISTINCT _dmpx_name) FROM big_dmp'), 4501)   # a value stands there in one way
        self.assertEqual(self.opened('SELECT id FROM big WHERE name=? ORDER BY id', 'NOM 7'), ([(7,), (4507,)], 2))

    def test_a_table_with_a_unique_index_turns_whole_so_that_no_value_comes_twice(self):
        self.big(' UNIQUE')
        self.assertFalse(self.turn_until_a_batch_stands('big'))
        self.assertEqual(one(self.c, "SELECT rows-rows_done FROM dmp_protected WHERE \"table\"='big'"), 0)
        self.assertIn('UNIQUE constraint failed: big.name', error_of(self.c, "INSERT INTO big VALUES(20000,'NOM 8999','')"))
        self.assertEqual(self.opened('SELECT id FROM big WHERE name=?', 'nom 8999'), ([(8999,)], 1))

    def test_a_row_that_a_trigger_writes_meanwhile_leaves_the_other_ones_index_alone(self):
        self.c.execute("CREATE TRIGGER t_first BEFORE INSERT ON t BEGIN UPDATE t SET label='changed' WHERE id=1; END")
        self.protect()
        self.c.execute("INSERT INTO t(id,label) VALUES(1000,'new')")
        self.assertEqual([one(self.c, 'SELECT id FROM t WHERE label=?', v) for v in ('new', 'changed')], [1000, 1])

    def test_a_table_of_an_attached_record_and_of_another_name_is_searched_by_its_index(self):
        self.protect()
        self.c.execute('SELECT count(*) FROM t')
        self.c.execute('ALTER TABLE t RENAME TO u')
        self.assertEqual(self.opened("SELECT id FROM u WHERE label='canari 7'"), ([(8,)], 1))
        self.assertEqual(error_of(self.c, "INSERT INTO u(label) VALUES('canari 7')"), 'UNIQUE constraint failed: u.label')
        self.c.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, label TEXT UNIQUE)')
        self.protect('label', columns='label')
        c = open_record(os.path.join(self.p.folder, 'other.db'))
        self.p.open.append(c)
        c.execute('ATTACH ? AS r', (self.p.path,))
        one(c, "SELECT dmp_login(?,?,'r')", self.p.key('dr'), PIN)
        self.assertEqual(one(c, "SELECT id FROM r.u WHERE label='canari 7'"), 8)
        self.c.execute("SELECT dmp_unprotect('u')")
        self.assertEqual(one(c, "SELECT id FROM r.u WHERE label='canari 7'"), 8)

    def test_the_costs_follow_the_statistics_of_the_shadow(self):
        self.protect()
        self.c.executescript("INSERT INTO s SELECT 'Code'||value FROM (WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value+1 FROM n WHERE value<50) SELECT * FROM n)")
        self.c.execute('ANALYZE')
        self.c = self.p.login('dr')
        self.assertRegex(self.plan('SELECT * FROM t, s WHERE t.code=s.x'), '^SCAN s SCAN t VIRTUAL TABLE INDEX \\d+: WHERE \\("_dmpx_code"=')
        self.assertEqual(self.opened('SELECT count(*) FROM t, s WHERE t.code=s.x'), ([(204,)], 204))

    # ---- UNIQUE ----

    def test_unique_of_a_sealed_column_is_kept_by_its_index_in_the_tables_own_words(self):
        self.protect()
        c = self.c
        for sql in ("INSERT INTO t(label) VALUES('canari 7')", "UPDATE t SET label='canari 7' WHERE id=1"):
            with self.assertRaises(sqlite3.IntegrityError) as e:
                c.execute(sql)
            self.assertEqual((str(e.exception), e.exception.sqlite_errorname), ('UNIQUE constraint failed: t.label', 'SQLITE_CONSTRAINT_UNIQUE'))
        c.execute("INSERT OR IGNORE INTO t(label) VALUES('canari 7'),('autre')")
        self.assertEqual((one(c, 'SELECT changes()'), one(c, 'SELECT count(*) FROM t')), (1, ROWS + 1))
        c.execute("INSERT OR REPLACE INTO t(id,label) VALUES(9000,'canari 7')")
        self.assertEqual(c.execute("SELECT id FROM t WHERE label='canari 7'").fetchall(), [(9000,)])
        c.execute("INSERT INTO t(label) VALUES(NULL),(NULL)")
        self.assertEqual(one(c, 'SELECT count(*) FROM t WHERE label IS NULL'), 2)

    def test_unique_without_index_is_refused_by_name(self):
        self.assertRegex(self.refused(81, self.c, "SELECT dmp_protect('t','label,code','index=code')"), 'column label: index sqlite_autoindex_t_1')
        self.assertRegex(self.refused(81, self.c, "SELECT dmp_protect('t','label,code','index=label')"), 'column code: index t_code')
        self.protect()

    def test_every_way_to_write_unique_becomes_a_keyed_index_and_comes_back(self):
        c = self.c
        for n, ddl in enumerate(('(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT CONSTRAINT u UNIQUE NOT NULL, b TEXT)', '(id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE(b, id), CONSTRAINT u UNIQUE( /* , */ a ))',
                                 '(a TEXT UNIQUE COLLATE NOCASE, b CHECK("UNIQUE" IS NULL OR b<>\'(\'), "UNIQUE", UNIQUE(b) UNIQUE(a COLLATE NOCASE))',
                                 '(a TEXT, "UNIQUE" TEXT DEFAULT \'a UNIQUE\', b -- UNIQUE, a\n, PRIMARY KEY(b), UNIQUE("a")) WITHOUT ROWID', '(a ANY UNIQUE, b TEXT PRIMARY KEY) STRICT',
                                 '(a TEXT, b TEXT); CREATE UNIQUE INDEX x ON r(a); CREATE INDEX "y;(" ON r ( a /* ; */ DESC )')):
            c.executescript('CREATE TABLE r' + ddl)
            c.execute("INSERT INTO r(a,b) VALUES('un','1'),('deux','2')")
            names = "SELECT type, name FROM sqlite_schema WHERE tbl_name='r' ORDER BY 1,2"
            before, text = c.execute(names).fetchall(), one(c, "SELECT sql FROM sqlite_schema WHERE name='r'")
            self.protect('a', 'r', 'a')
            self.assertEqual(error_of(c, "INSERT INTO r(a,b) VALUES('un','3')"), 'UNIQUE constraint failed: r.a', ddl)
            self.assertEqual(one(c, "SELECT b FROM r WHERE a='deux'"), '2')
            self.assertEqual('UNIQUE constraint failed: r.a' == error_of(c, "INSERT INTO r(a,b) VALUES('UN','3')"), 'NOCASE' in ddl, ddl)
            c.execute("SELECT dmp_unprotect('r')")
            self.assertEqual((c.execute(names).fetchall(), one(c, "SELECT sql FROM sqlite_schema WHERE name='r'").replace('"r"', 'r')), (before, text))
            self.assertEqual(error_of(c, "INSERT INTO r(a,b) VALUES('deux','4')"), 'UNIQUE constraint failed: r.a', ddl)
            c.execute('DROP TABLE r')

    def test_a_table_that_is_made_again_keeps_its_sequence_and_its_children(self):
        c = self.c
        c.executescript("""CREATE TABLE q(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT UNIQUE, up INTEGER REFERENCES q(id) DEFERRABLE INITIALLY DEFERRED, g AS (id*2) STORED);
                           CREATE TABLE qc(x INTEGER REFERENCES q(id) ON DELETE CASCADE); CREATE TRIGGER q_t AFTER DELETE ON q BEGIN INSERT INTO s VALUES('parti'); END;
                           INSERT INTO q(a,up) VALUES('un',1),('deux',1),('trois',2); DELETE FROM q WHERE id=3; DELETE FROM s; INSERT INTO qc VALUES(2)""")
        for verb in ("SELECT dmp_protect('q','a','index=a')", "SELECT dmp_unprotect('q')", "SELECT dmp_protect('q','a','index=a')"):
            c.execute(verb)
            self.assertEqual(c.execute('SELECT id,a,up,g FROM q ORDER BY id').fetchall()[:2], [(1, 'un', 1, 2), (2, 'deux', 1, 4)], verb)
            self.assertEqual((one(c, 'SELECT count(*) FROM qc'), one(c, 'SELECT count(*) FROM s'), c.execute('PRAGMA foreign_key_check').fetchall()), (1, 0, []))
            was = one(c, 'SELECT max(3,max(id)) FROM q')
            c.execute("INSERT INTO q(a) VALUES('n%d')" % was)
            self.assertEqual(one(c, 'SELECT max(id) FROM q'), was + 1)
        self.assertEqual(error_of(c, 'INSERT INTO q(a,up) VALUES(NULL,77)'), 'FOREIGN KEY constraint failed')
        c.execute('DELETE FROM q WHERE id=2')
        self.assertEqual((one(c, 'SELECT count(*) FROM qc'), one(c, 'SELECT count(*) FROM s')), (0, 1))

    # ---- what may have none, by name ----

    def test_columns_of_few_values_are_refused_and_the_reason_is_named(self):
        c = self.c
        few = lambda sql, what: self.assertRegex(self.refused(87, c, sql), what + '\\)$')
        few("SELECT dmp_protect('t','label,code,sex','index=label|code|sex')", '\\(column sex: fewer than 20 different values')
        for d, n, m, what in ((2, 100000, 0, 'fewer than 20 different values'), (19, 19, 0, 'fewer than 20 different values'), (1000, 3000, 151 + 8, 'one value in more than 5 % of the rows'),
                              (40, 40, 11, 'one value in more than 5 % of the rows'), (25, 2600, 0, 'more than 100 rows a value'), (0, 0, 0, 'fewer than 20 different values'), (20, 20, 0, None),
                              (1000, 3000, 140, None), (40, 40, 9, None), (400, 20000, 0, None)):
            c.execute('CREATE TABLE f(id INTEGER PRIMARY KEY, x)')
            c.executemany('INSERT INTO f(x) VALUES(?)', [('v%d' % (i % d),) for i in range(n)] + [('v0',)] * m + [(None,)] * 50)
            sql = "SELECT dmp_protect('f','x','index=x')"
            few(sql, '\\(column x: ' + what) if what else c.execute(sql)
            c.execute('DROP TABLE f')

    def test_a_unique_column_is_not_judged_by_its_number_of_rows(self):
        self.c.execute('CREATE TABLE f(id INTEGER PRIMARY KEY, x UNIQUE)')
        self.protect('x', 'f', 'x')
        self.c.execute("INSERT INTO f(x) VALUES('un')")
        self.assertEqual(one(self.c, "SELECT id FROM f WHERE x='un'"), 1)

    def test_what_can_have_no_index_is_named(self):
        c = self.c
        c.create_collation('FR', lambda a, b: (a > b) - (a < b))
        c.executescript("""CREATE TABLE r(id INTEGER PRIMARY KEY, a TEXT COLLATE FR, b TEXT UNIQUE, _dmpx_c, d TEXT, e TEXT, f TEXT, UNIQUE(d,id));
                           CREATE INDEX r_e ON r(e) WHERE id>5; CREATE INDEX r_f ON r(f COLLATE NOCASE); CREATE TABLE rc(x REFERENCES r(b))""")
        self.assertRegex(self.refused(86, c, "SELECT dmp_protect('r','f','index=f')"), 'column _dmpx_c has a name')
        c.execute('ALTER TABLE r DROP COLUMN _dmpx_c')
        for code, columns, index, what in ((81, 'b', 'b', 'column b: REFERENCES in table rc'), (81, 'd', 'd', 'column d: index sqlite_autoindex_r_2'), (81, 'e', 'e', 'column e: index r_e'),
                                           (81, 'f', 'f', 'column f: index r_f'), (66, 'f', 'id', 'index=id: that column is not to be sealed'), (66, 'f', '', ''), (79, 'f', 'f|none', ''),
                                           (79, 'f', 'none', '')):
            self.assertIn(what, self.refused(code, c, "SELECT dmp_protect('r',?,?)", (columns, 'index=' + index)))
        self.assertRegex(self.refused(86, c, "SELECT dmp_protect('r','a','index=a')"), 'column a: index=, COLLATE FR')
        c.execute("SELECT dmp_protect('r','a')")

    # ---- who does not hold the key, and who holds the file ----

    def test_without_the_key_an_indexed_column_is_null_like_any_other(self):
        self.protect()
        two = self.p.login('two')
        for where, rows in (("label='canari 7'", 0), ('label IS NULL', ROWS), ('label IS NOT NULL', 0), ("label IN ('canari 7','canari 8')", 0), ('label IS ?', ROWS), ("code='x' OR label IS NULL", ROWS),
                            ("label IS 'canari 7'", 0), ('code IN (SELECT code FROM t)', 0), ('label=?', 0)):
            args = (None,) * where.count('?')
            self.assertEqual(one(two, 'SELECT count(*) FROM t WHERE ' + where, *args), rows, where)
        self.refused(77, two, "UPDATE t SET label='x' WHERE id=1")
        two.execute("UPDATE t SET day='sans' WHERE id=1")
        self.assertEqual(one(self.c, "SELECT day FROM t WHERE label='canari 0'"), 'sans')

    def test_the_file_tells_which_rows_are_equal_and_which_are_null_and_nothing_else(self):
        self.c.execute('UPDATE t SET code=NULL WHERE id=1')
        self.c.execute("UPDATE t SET label='Code1' WHERE id=6")
        self.protect()
        code, label = self.leaf('code'), self.leaf('label')
        self.assertIsNone(code[0])
        self.assertEqual((code[4], code[7] == code[8], len(set(code))), (code[7], False, ROWS // 4 + 1))
        self.assertEqual({len(x) for x in label}, {16})
        self.assertEqual(set(label) & set(code), set())
        self.assertNotEqual(label[5], code[5])
        leaks = dict(self.c.execute('SELECT "column", leaks FROM dmp_protected').fetchall())
        self.assertIn('which rows have the same value, which have none', leaks['code'])
        self.assertNotIn('same value', leaks['sex'])

    def test_two_tables_have_other_index_values_for_the_same_text(self):
        self.c.executescript("CREATE TABLE t2(id INTEGER PRIMARY KEY, label TEXT UNIQUE); INSERT INTO t2(label) SELECT label FROM t")
        self.protect()
        self.protect('label', 't2', 'label')
        self.assertEqual(set(self.leaf()) & {r[0] for r in self.p.raw().execute('SELECT _dmpx_label FROM t2_dmp')}, set())

    def test_after_the_scrub_no_indexed_word_is_in_any_file(self):
        self.p.authority.close()
        self.protect()
        self.c.execute("INSERT INTO t(label) VALUES('canari de plus')")
        self.c.execute('SELECT dmp_scrub()')
        for f in self.p.files():
            with open(f, 'rb') as data:
                self.assertNotIn(b'canari', data.read(), f)
        self.assertEqual(one(self.c, "SELECT count(*) FROM t WHERE label='canari de plus'"), 1)

    def test_an_index_that_the_host_altered_shows_no_row_that_does_not_match(self):
        self.protect()
        a, b = self.leaf(where='id IN (1,2)')
        raw = self.p.raw()
        raw.execute('UPDATE t_dmp SET _dmpx_label=NULL WHERE id=1')
        raw.execute('UPDATE t_dmp SET _dmpx_label=? WHERE id=2', (a,))
        self.assertEqual(self.c.execute("SELECT id FROM t WHERE label='canari 0'").fetchall(), [])
        self.assertEqual(self.c.execute('SELECT id FROM t WHERE label IS NULL').fetchall(), [])
        raw.execute('DROP INDEX "%s"' % one(raw, "SELECT name FROM sqlite_schema WHERE name LIKE '%_label' AND type='index'"))
        self.assertEqual(self.c.execute("SELECT id FROM t WHERE label='canari 2'").fetchall(), [(3,)])
        self.assertEqual(one(self.c, 'SELECT label FROM t WHERE id=2'), 'canari 1')

    def test_the_plan_says_why_sealed_columns_are_opened_and_never_a_value(self):
        self.protect()
        self.assertIn('/* sealed columns opened row by row, of the rows that the index of label finds */', self.plan("SELECT id FROM t WHERE label='canari 7'"))
        self.assertIn('; compared in each: sex, it has no index */', self.plan("SELECT id FROM t WHERE sex='F'"))
        self.assertIn('; compared in each: label, its index serves no such comparison */', self.plan("SELECT id FROM t WHERE label>'canari 7'"))
        self.assertIn('label, its index serves no such comparison', self.plan("SELECT id FROM t WHERE label='canari 7' COLLATE RTRIM"))
        self.assertIn('/* plain columns only */', self.plan("SELECT id FROM t WHERE day='2026-01'"))
        self.assertNotIn('canari', self.plan("SELECT id FROM t WHERE label='canari 7' OR code IN ('canari','x')"))


if __name__ == '__main__':
    main()
