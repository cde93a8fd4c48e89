#!/usr/bin/python3
"""A whole invented practice (tests/fixtures/practice: 20 tables, views, triggers, foreign keys): its clinical columns are protected,
and the 60 statements that its program makes give the same rows, refusals, changes and final tables as before, through the same
indexes."""
from harness import *

FIXTURES = os.path.join(HERE, 'fixtures', 'practice')
ALIAS = {'p': 'patients', 'r': 'rendez_vous', 'c': 'consultation', 'a': 'antecedent', 'g': 'allergie', 'v': 'vaccination', 'x': 'mesure',
         'o': 'ordonnance', 'l': 'ordonnance_ligne', 'z': 'analyse', 'k': 'courrier'}
# The statements whose plan is another one than before, with the reason: (steps before, steps after).
OTHER_PLANS = {
    '07': ('SQLite asks for the values of IN one after the other and sorts what it gets: one more sort, of the rows found',
           ['SEARCH p rowid (rowid=?)'], ['SEARCH p rowid (rowid=?)', 'SORT ORDER BY']),
    '13': ('a whole table is counted: the plain one was read out of a covering index, the shadow is read itself',
           ['SCAN c consultation_patient', 'SORT GROUP BY', 'SORT count(DISTINCT)'], ['SCAN c', 'SORT GROUP BY', 'SORT count(DISTINCT)']),
    '23': ('looks for a value in a sealed column of the whole table: its rows are opened one by one, so that table comes first',
           ['SCAN p', 'SEARCH a antecedent_patient (patient_id=?)'], ['SCAN a', 'SEARCH p rowid (rowid=?)', 'SORT DISTINCT', 'SORT ORDER BY']),
    '36': ('the same searches; what came half sorted out of an index is sorted whole',
           ['SEARCH c consultation_patient (patient_id=?)', 'SEARCH o ordonnance_consultation (consultation_id=?)',
            'SEARCH l sqlite_autoindex_ordonnance_ligne_1 (ordonnance_id=?)', 'SORT RIGHT PART OF ORDER BY'],
           ['SEARCH c consultation_patient (patient_id=?)', 'SEARCH o ordonnance_consultation (consultation_id=?)',
            'SEARCH l sqlite_autoindex_ordonnance_ligne_1 (ordonnance_id=?)', 'SORT ORDER BY']),
    '37': ('looks for a value in a sealed column of all lines: one whole table is read in both, another one',
           ['SCAN c consultation_patient', 'SEARCH o ordonnance_consultation (consultation_id=?)',
            'SEARCH l sqlite_autoindex_ordonnance_ligne_1 (ordonnance_id=?)'],
           ['SCAN o', 'SEARCH c rowid (rowid=?)', 'SEARCH l sqlite_autoindex_ordonnance_ligne_1 (ordonnance_id=?)', 'SORT DISTINCT']),
}
CANARIES = ['Suivi pour', 'metformine', 'Cher confrère', 'hypertension', 'urticaire', 'pneumocoque', 'Glycémie']
with open(os.path.join(FIXTURES, 'sealed.tsv'), encoding='utf-8') as f:
    SEALED = dict(line.rstrip('\n').split('\t') for line in f)      # {table: its sealed columns}


def script(name):
    with open(os.path.join(FIXTURES, name), encoding='utf-8') as file:
        return file.read()


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


def table_of(name):
    return ALIAS.get(name, name)


def step_of(text, name=None):
    """One step of a plan in a form that a table and its shadow have in common: how, which table, by which index and constraint; or a sort."""
    m = re.match(r'(SEARCH|SCAN) (\w+)(?: USING (?:COVERING )?(?:INDEX (\w+)|(?:INTEGER )?(PRIMARY KEY)))?( \(.*\))?( LEFT-JOIN)?$', text)
    if m is None:
        return text.replace('USE TEMP B-TREE FOR', 'SORT') if text.startswith('USE TEMP') else None
    index = 'rowid' if m.group(4) else (m.group(3) or '').replace('_dmp_', '_')
    return ' '.join(filter(None, [m.group(1), name or m.group(2), index, (m.group(5) or '').strip()]))


def steps(con, sql):
    """What a statement does itself, in order; for a protected table, what its shadow does. A write's foreign keys are left out."""
    out = []
    for text in plan(con, sql):
        m = re.match(r'(SEARCH|SCAN) (\w+)(?: VIRTUAL TABLE INDEX \d+:(.*))?', text)
        if m and not sql.startswith('SELECT') and not re.search(r'\b(FROM|UPDATE) %s\b' % m.group(2), sql):
            continue
        if m and m.group(3) is not None:
            inner = plan(con, 'SELECT * FROM "%s_dmp" %s' % (table_of(m.group(2)), m.group(3)), m.group(3).count('?'))
            first = step_of(inner[0], m.group(2))
            # SEARCH of a whole virtual table: its first row in an order, for min() or max().
            out += [first.replace('SCAN', m.group(1))] + [step_of(t) for t in inner[1:]]
        else:
            out.append(step_of(text))
    return [step for step in out if step]


class PracticeCase(Case):
    @classmethod
    def setUpClass(cls):
        cls.p = p = Practice({'martin': ('10', 1), 'leroy': ('10', 0)})
        cls.plain = sqlite3.connect(os.path.join(p.folder, 'plain.db'), isolation_level=None)
        fill(cls.plain)
        cls.con = p.login('martin')
        fill(cls.con)
        cls.before = [answer(cls.con, sql) for _, sql in statements() if sql.startswith('SELECT')]
        cls.steps_before = [steps(cls.con, sql) for _, sql in statements()]
        cls.cascade = cls.foreign_keys('patients')
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

    @classmethod
    def foreign_keys(cls, table):
        """How SQLite looks for the rows that refer to one that is deleted. Asked without the extension: a shadow is not written through it."""
        raw = cls.p.raw()
        raw.execute('PRAGMA foreign_keys=ON')
        return sorted(step_of(t.replace('_dmp ', ' ')) for t in plan(raw, 'DELETE FROM %s WHERE id = 150' % table))

    def test_3_every_statement_keeps_its_plan_or_the_exception_is_written_down(self):
        self.assertGreater(sum(any(s.startswith('SEARCH') for s in found) for found in self.steps_before), 40, 'proves nothing')
        for (name, sql), before in zip(statements(), self.steps_before):
            with self.subTest(name):
                after = steps(self.con, sql)
                reason, *other = OTHER_PLANS.get(name[:2], ('', before, before))
                self.assertEqual([before, after], other, sql)
                self.assertEqual(reason != '', before != after, 'an exception that is none')

    def test_3b_what_follows_a_deleted_row_is_found_by_the_same_indexes(self):
        self.assertEqual(len(self.cascade), 10)
        self.assertEqual(self.foreign_keys('patients_dmp'), self.cascade)

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
