#!/usr/bin/python3
"""A whole invented practice (tests/fixtures/practice: 20 tables, views, triggers, foreign keys): its clinical columns are protected,
and the 60 statements that its program makes give the same rows, refusals, changes and final tables as before, through the same
indexes."""
from harness import *

FIXTURES = os.path.join(HERE, 'fixtures', 'practice')
SEALED = {'patients': 'note_medicale', 'rendez_vous': 'motif', 'consultation': 'motif,anamnese,examen,conclusion', 'antecedent': 'libelle,cim10',
          'allergie': 'substance,reaction', 'vaccination': 'vaccin', 'mesure': 'valeur', 'ordonnance': 'commentaire',
          'ordonnance_ligne': 'medicament,posologie', 'analyse': 'resultat', 'courrier': 'objet,corps'}
ALIAS = {'p': 'patients', 'r': 'rendez_vous', 'c': 'consultation', 'a': 'antecedent', 'g': 'allergie', 'v': 'vaccination', 'x': 'mesure',
         'o': 'ordonnance', 'l': 'ordonnance_ligne', 'z': 'analyse', 'k': 'courrier'}
# These look for a value in a sealed column of a whole table: no index can help, their rows are opened one by one.
SEALED_SEARCH = {'23', '37'}
CANARIES = ['Suivi pour', 'metformine', 'Cher confrère', 'hypertension', 'urticaire', 'pneumocoque', 'Glycémie']


def script(name):
    with open(os.path.join(FIXTURES, name), encoding='utf-8') as f:
        return f.read()


def statements():
    """(what it is for, SQL) of each."""
    return [(m.group(1), m.group(2).strip().rstrip(';')) for m in re.finditer(r'^-- (\d\d .*)\n((?:(?!-- \d\d).*\n)*)', script('queries.sql'), re.M)]


def fill(con):
    con.executescript(script('schema.sql') + script('data.sql'))
    con.execute('PRAGMA foreign_keys=ON')


def answer(con, sql):
    """What a statement shows: rows, or its refusal; and what it changed."""
    try:
        cursor = con.execute(sql)
        rows = cursor.fetchall()
        names = [d[0] for d in cursor.description or []]
        return rows, names, cursor.rowcount, one(con, 'SELECT last_insert_rowid()')
    except sqlite3.Error as e:
        return type(e).__name__, str(e)


def plan(con, sql, values=0):
    return [row[3] for row in con.execute('EXPLAIN QUERY PLAN ' + sql, [0] * values)]


def index_of(step):
    """The index by which a step of a plan finds or orders its rows; None when it reads all of them (also out of a covering index)."""
    m = re.search(r'USING (COVERING )?INDEX (\w+)', step)
    if step.startswith('SCAN') and m and m.group(1):
        return None
    return m.group(2).replace('_dmp_', '_') if m else 'rowid' if 'INTEGER PRIMARY KEY' in step else None


class PracticeCase(Case):
    @classmethod
    def setUpClass(cls):
        cls.p = p = Practice({'martin': ('10', 1), 'leroy': ('10', 0)})
        cls.plain = sqlite3.connect(os.path.join(p.folder, 'plain.db'), isolation_level=None)
        fill(cls.plain)
        cls.con = p.login('martin')
        fill(cls.con)
        cls.before = [answer(cls.con, sql) for _, sql in statements() if sql.startswith('SELECT')]
        for table, columns in SEALED.items():
            cls.con.execute('SELECT dmp_protect(?,?)', (table, columns))

    @classmethod
    def tearDownClass(cls):
        cls.plain.close()
        cls.p.drop()

    def test_1_there_are_twenty_tables_and_sixty_statements(self):
        self.assertEqual(one(self.plain, "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite%'"), 20)
        self.assertEqual([name[:2] for name, _ in statements()], ['%02d' % i for i in range(1, 61)])

    def test_2_every_question_has_the_same_answer_as_before_it_was_protected(self):
        questions = [q for q in statements() if q[1].startswith('SELECT')]
        self.assertGreater(len(questions), 45)
        for (name, sql), before in zip(questions, self.before):
            with self.subTest(name):
                self.assertNotIn(before[0], ([], 'OperationalError'), 'proves nothing')
                self.assertEqual(answer(self.con, sql)[:2], before[:2])

    def test_3_plain_columns_keep_their_indexes(self):
        for name, sql in statements():
            with self.subTest(name):
                if name[:2] in SEALED_SEARCH:
                    continue
                # A write names its own tables; what foreign keys look up is the shadow's affair.
                want = [index_of(s) for s in plan(self.plain, sql) if self.table_of(s) in SEALED and (sql.startswith('SELECT') or
                        re.search(r'\b(FROM|UPDATE) %s\b' % self.table_of(s), sql))]
                got = [self.shadow_index(s) for s in plan(self.con, sql) if 'VIRTUAL TABLE' in s]
                for index in {i for i in want if i}:
                    self.assertIn(index, got, '%s\nplain: %s\nprotected: %s' % (sql, plan(self.plain, sql), plan(self.con, sql)))

    def table_of(self, step):
        m = re.match(r'(?:SEARCH|SCAN) (\w+)', step)
        return ALIAS.get(m.group(1), m.group(1)) if m else None

    def shadow_index(self, step):
        """The index with which the shadow answers what the virtual table asks of it."""
        m = re.match(r'(?:SEARCH|SCAN) \w+ VIRTUAL TABLE INDEX \d+:(.*)', step)
        inner = plan(self.con, 'SELECT * FROM "%s_dmp" %s' % (self.table_of(step), m.group(1)), m.group(1).count('?'))
        return index_of(inner[0])

    def test_4_somebody_without_the_key_has_the_same_rows_without_the_sealed_columns(self):
        other = self.p.login('leroy')
        for table, columns in SEALED.items():
            sealed = columns.split(',')
            names = [r[1] for r in self.plain.execute('SELECT * FROM pragma_table_info(?)', (table,))]
            shown = ','.join('NULL' if n in sealed else '"%s"' % n for n in names)
            self.assertEqual(other.execute('SELECT * FROM %s ORDER BY id' % table).fetchall(),
                             self.plain.execute('SELECT %s FROM %s ORDER BY id' % (shown, table)).fetchall(), table)
        other.close()

    def test_5_all_statements_in_order_do_the_same_and_leave_the_same_tables(self):
        for name, sql in statements():
            with self.subTest(name):
                self.assertEqual(answer(self.con, sql), answer(self.plain, sql), sql)
        for (table,) in self.plain.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'").fetchall():
            rows = 'SELECT * FROM %s ORDER BY 1, 2' % table
            self.assertEqual(self.con.execute(rows).fetchall(), self.plain.execute(rows).fetchall(), table)
        self.assertEqual(self.con.execute('PRAGMA foreign_key_check').fetchall(), [])
        self.assertEqual(one(self.con, 'PRAGMA integrity_check'), 'ok')

    def test_6_after_the_scrub_no_sealed_word_is_in_any_file(self):
        with open(os.path.join(self.p.folder, 'plain.db'), 'rb') as f:
            plain = f.read()
        self.con.execute('SELECT dmp_scrub()')
        files = [f for f in self.p.files() if 'plain.db' not in f]
        for word in CANARIES:
            self.assertIn(word.encode(), plain, 'proves nothing')
            for path in files:
                with open(path, 'rb') as f:
                    self.assertNotIn(word.encode(), f.read(), path)

    def test_7_unprotected_it_is_the_practice_of_before(self):
        for table in SEALED:
            self.con.execute('SELECT dmp_unprotect(?)', (table,))
        for (kind, name) in self.plain.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'").fetchall():
            self.assertEqual(one(self.con, 'SELECT count(*) FROM sqlite_schema WHERE type=? AND name=?', kind, name), 1, name)
        for table in SEALED:
            rows = 'SELECT * FROM %s ORDER BY 1' % table
            self.assertEqual(self.con.execute(rows).fetchall(), self.plain.execute(rows).fetchall(), table)
            statistics = "SELECT * FROM sqlite_stat1 WHERE tbl='%s' ORDER BY idx" % table
            self.assertEqual(self.con.execute(statistics).fetchall(), self.plain.execute(statistics).fetchall(), table)


if __name__ == '__main__':
    main()
