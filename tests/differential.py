"""differential.py: the same statements on a plain table and on a protected one: what is run, how two answers are compared.
An episode is a schema, a preparation and a list of statements; it is data, so that a failing one can be cut down and printed.
A statement is SQL, or a word for the protected side alone: '@protect', '@unprotect', '@rotate', '@scrub', '@sign', '@reopen'."""
import os
import random
import re
import shutil
import sqlite3

from harness import PIN, Practice, one, open_record

# What a protected table does otherwise, and the way round. The generator keeps clear of these; each has its example, which is run.
# name, reason, way round, statements before, the statement, what happens: a part of the message, or rows that differ as shown.
FAILS = 'fails'
EXCEPTIONS = [
    ('upsert', 'SQLite has no UPSERT on a virtual table', 'INSERT OR REPLACE, or UPDATE and then INSERT when changes() is 0',
     [], "INSERT INTO t(id,s) VALUES(1,'x') ON CONFLICT(id) DO UPDATE SET s='x'", 'UPSERT not implemented for virtual table "t"'),
    ('update returning', 'SQLite has no UPDATE … RETURNING on a virtual table', 'SELECT the rows in the same transaction',
     [], "UPDATE t SET s='x' WHERE id=1 RETURNING id", 'UPDATE RETURNING is not available on virtual tables'),
    ('delete returning', 'SQLite has no DELETE … RETURNING on a virtual table', 'SELECT the rows first, in the same transaction',
     [], 'DELETE FROM t WHERE id=1 RETURNING id', 'DELETE RETURNING is not available on virtual tables'),
    ('insert returning', 'RETURNING gives what was given, not what was stored: an id that SQLite draws comes as NULL', 'last_insert_rowid()',
     [], "INSERT INTO t(s) VALUES('x') RETURNING id", [(None,)]),
    ('total_changes', 'a row counts once for the table and once for its shadow', 'changes()',
     [], 'SELECT total_changes()', None),
    ('explicit null', 'SQLite does not tell a virtual table an omitted column from NULL: the DEFAULT is applied to both',
     'UPDATE the column to NULL after the INSERT', ["INSERT INTO t(id,d) VALUES(90,NULL)"], 'SELECT d FROM t WHERE id=90', [('rien',)]),
    ('alter', 'SQLite adds no column to a virtual table', 'dmp_unprotect, ALTER, dmp_protect',
     [], 'ALTER TABLE t ADD COLUMN more', 'virtual tables may not be altered'),
    ('index', 'SQLite makes no index on a virtual table', 'dmp_unprotect, CREATE INDEX on a plain column, dmp_protect',
     [], 'CREATE INDEX more ON t(n)', 'virtual tables may not be indexed'),
    ('trigger', 'SQLite makes no trigger on a virtual table; those that stood before go on working', 'dmp_unprotect, CREATE TRIGGER, dmp_protect',
     [], 'CREATE TRIGGER more AFTER INSERT ON t BEGIN SELECT 1; END', 'cannot create triggers on virtual tables'),
    ('pragma', 'PRAGMAs show the schema as it is: the shadow t_dmp stands in foreign_key_check, foreign_key_list, index_list', 'read t_dmp as t',
     [], 'PRAGMA foreign_key_list(ch)', None),
    ('new child', 'a foreign key declared after the protection finds a virtual table', 'REFERENCES t_dmp(id), or dmp_unprotect first',
     ['CREATE TABLE z(x REFERENCES t(id))'], 'INSERT INTO z VALUES(1)', 'foreign key mismatch'),
    ('update from halfway', 'SQLite keeps no statement journal for UPDATE … FROM on a virtual table: one that fails inside a transaction leaves the '
     'rows it had changed; outside of a transaction nothing stays', 'ROLLBACK, or UPDATE … SET n=(SELECT …)',
     ['BEGIN', ('UPDATE t SET n=v FROM (SELECT 1 a, 7 v UNION ALL SELECT 2, -1) WHERE a=id', FAILS)], 'SELECT n FROM t WHERE id=1', [(7,)]),
    ('half', 'an id that is no number (with OR IGNORE or OR FAIL), and a value that a STRICT column refuses, fail the whole statement; on a plain '
     'table SQLite 3.40 keeps the rows before it', 'none is needed',
     ['CREATE TABLE h(id INTEGER PRIMARY KEY, s)', '@protect h s', 'BEGIN', ("INSERT OR IGNORE INTO h(id) VALUES(50),('x')", FAILS)],
     'SELECT count(*) FROM h', [(0,)]),
    ('which', 'a row that breaks several rules is refused for another of them than on a plain table', 'none is needed',
     ['CREATE TABLE k(id INTEGER PRIMARY KEY, n INT, s INT) STRICT', '@protect k s'], "INSERT INTO k(n,s) VALUES('n','s')", 'column k.s'),
    ('generated', 'a generated column counts as one of the columns of an INSERT that names none', 'name the columns',
     ['CREATE TABLE e(id INTEGER PRIMARY KEY, s, g AS (id))', '@protect e s'], "INSERT INTO e VALUES(1,'s')", 'has 3 columns but 2 values were supplied'),
    ('order', 'rows of a table WITHOUT ROWID come in the order in which they were made, unless ORDER BY says otherwise; an UPDATE that moves ids may meet '
     'them in another order than on a plain table, and so refuse one', 'ORDER BY',
     ['CREATE TABLE o(a TEXT PRIMARY KEY, s) WITHOUT ROWID', "INSERT INTO o VALUES('z',1)", '@protect o s', "INSERT INTO o VALUES('a',2)"],
     "SELECT group_concat(+a) FROM o WHERE s>0", [('z,a',)]),
    ('replaced', 'a row that UPDATE OR REPLACE or a trigger removes before its own turn comes is counted by changes()', 'none is needed',
     ["UPDATE OR REPLACE t SET n=3-n, s='z' WHERE id IN (1,2)"], 'SELECT changes()', [(2,)]),
    ('update from', 'UPDATE … FROM does not tell which columns it sets: one that gets the value it had counts as not set, for UPDATE OF triggers',
     'a trigger without OF', ['UPDATE t SET n=1 FROM (SELECT 1) WHERE id=1'], 'SELECT count(*) FROM audit', [(0,)]),
    ('again', 'a trigger that changes its own table in a way that may run it inside itself is refused, by dmp_protect or when it does so: SQLite keeps it from '
     'running only within one statement', 'UPDATE OF the columns that it leaves alone, or PRAGMA recursive_triggers=ON',
     ['CREATE TABLE w(id INTEGER PRIMARY KEY, s, n)', 'CREATE TRIGGER w_1 AFTER UPDATE OF n ON w BEGIN UPDATE w SET n=1; END',
      '@protect w s', 'INSERT INTO w(s) VALUES(1)'], 'UPDATE w SET n=2', 'dmp-E098: '),
    ('before', 'a BEFORE INSERT trigger sees the number that SQLite draws; on a plain table it sees -1', 'an AFTER trigger',
     ['CREATE TABLE b(id INTEGER PRIMARY KEY, s)', 'CREATE TRIGGER b_1 BEFORE INSERT ON b BEGIN INSERT INTO audit VALUES(new.id); END', '@protect b s', 'INSERT INTO b(s) VALUES(1)'],
     'SELECT x FROM audit', [(1,)]),
    ('before kept', 'what a BEFORE trigger did for a row that OR IGNORE or OR FAIL then leaves out is taken back; on a plain table it stays', 'an AFTER trigger',
     ['CREATE TABLE b(id INTEGER PRIMARY KEY, s NOT NULL)', 'CREATE TRIGGER b_1 BEFORE INSERT ON b BEGIN INSERT INTO audit VALUES(1); END', '@protect b s', 'INSERT OR IGNORE INTO b(id) VALUES(1)'],
     'SELECT count(*) FROM audit', [(0,)]),
    ('before its turn', 'an UPDATE computes all its rows before it writes one: what a trigger changes in a row that comes later is overwritten', 'a statement of its own',
     ['CREATE TABLE y(id INTEGER PRIMARY KEY, n, s)', "INSERT INTO y VALUES(1,1,'a'),(2,2,'b')", "CREATE TRIGGER y_1 AFTER UPDATE OF n ON y BEGIN UPDATE y SET s='z' WHERE id=new.id+1; END",
      '@protect y s', 'UPDATE y SET n=5, s=s'], 'SELECT s FROM y WHERE id=2', [('b',)]),
    ('not indexed', 'NOT INDEXED does not reach the shadow: without ORDER BY rows come in the order of an index that has all that is asked for', 'ORDER BY',
     ['CREATE TABLE q(x INTEGER, s)', 'CREATE INDEX q_x ON q(x)', 'INSERT INTO q VALUES(2,2),(1,1)', '@protect q s'],
     'SELECT group_concat(x) FROM q NOT INDEXED', [('1,2',)]),
    ('indexed by', 'the indexes are the shadow\'s', 'leave the hint out',
     [], 'SELECT s FROM t INDEXED BY t_n WHERE n=1', 'no such index: t_n'),
    ('left out', 'a row that a trigger leaves out by RAISE(IGNORE) is counted by changes()', 'none is needed',
     ['CREATE TABLE l(id INTEGER PRIMARY KEY, s)', 'CREATE TRIGGER l_b BEFORE INSERT ON l BEGIN SELECT RAISE(IGNORE); END', '@protect l s', 'INSERT INTO l(s) VALUES(1)'], 'SELECT changes()', [(1,)]),
    ('ignored check', 'a CHECK that names a sealed column is tried apart, where PRAGMA ignore_check_constraints is not heard', 'none is needed',
     ["CREATE TABLE i(id INTEGER PRIMARY KEY, s CHECK(s<>'x'))", '@protect i s', 'PRAGMA ignore_check_constraints=ON'], "INSERT INTO i(s) VALUES('x')", "CHECK constraint failed: s<>'x'"),
    ('gaps', 'with AUTOINCREMENT, rows that OR IGNORE or OR FAIL leave out use up other numbers; none is given twice', 'expect gaps',
     ['CREATE TABLE IF NOT EXISTS a(id INTEGER PRIMARY KEY AUTOINCREMENT, u UNIQUE, s)', "@protect a s", 'INSERT OR IGNORE INTO a(u,s) VALUES(1,1),(1,1),(2,2)'],
     'SELECT max(id) FROM a', [(2,)]),
    ('immediate key', 'an immediate foreign key is checked row by row, not at the end of the statement',
     'DEFERRABLE INITIALLY DEFERRED, or PRAGMA defer_foreign_keys=ON', [], 'INSERT INTO t(id,self) VALUES(91,92),(92,91)', 'FOREIGN KEY constraint failed'),
]

# Refusals with the same text and effect but another code: (plain, protected, in statements with, reason).
OTHERWISE = 'only codes that are no constraint end a statement on a virtual table whatever its OR says'
CODES = [(('SQLITE_CONSTRAINT_FOREIGNKEY', 'SQLITE_CONSTRAINT_TRIGGER', 'SQLITE_CONSTRAINT_DATATYPE'), 'SQLITE_ERROR', 'OR ' + w, OTHERWISE) for w in ('IGNORE', 'FAIL', 'ROLLBACK')]
CODES += [(('SQLITE_CONSTRAINT_TRIGGER',), 'SQLITE_CONSTRAINT_FOREIGNKEY', '', 'RESTRICT is told by either code, whichever rule of several comes first'),
          (('SQLITE_CONSTRAINT_FOREIGNKEY',), 'SQLITE_CONSTRAINT_TRIGGER', '', 'the same')]

NUMBERS = ['0', '1', '-1', '2', '3', '42', '7', '9223372036854775807', '-9223372036854775808', '9007199254740993', '1.0', '1.5', '-0.0', '1e300',
           '9e999', '-9e999', '0.1', '1e15', '123456789012345678901234567890', '4611686018427387904.0']
TEXTS = ["'1'", "' 1 '", "'1.0'", "'1e2'", "'0x10'", "'abc'", "'ABC'", "'abc '", "'Abc  '", "'Zoé'", "''", "' '", "'12abc'", "'9223372036854775808'",
         "'9223372036854775807'", "'.5'", "'-'", "'nan'", "'inf'", "'it''s'", "'%a_'", "'2026-01-02'", "'-0'", "'1_0'", "'+5'", "'1.'",
         "CAST(x'610062' AS TEXT)", "CAST(x'c328ff' AS TEXT)", "CAST(x'313200' AS TEXT)", "printf('%.300c','z')"]
BLOBS = ["x''", "x'00ff'", "x'616263'", "x'31'", 'zeroblob(20)']
TYPES = ['INTEGER', 'INT', 'BIGINT', 'TEXT', 'VARCHAR(10)', 'CLOB', 'BLOB', '', 'REAL', 'DOUBLE PRECISION', 'FLOAT', 'NUMERIC', 'DECIMAL(10,2)',
         'BOOLEAN', 'DATE', 'CHARINT', 'STRING', 'FLOATING POINT']
DEFAULTS = ["'rien'", '0', '-5', '1.5', "x'00'", '(1+1)', "'12'", 'NULL', "(lower('QQ'))"]


# What t may look like, and how its id is then declared.
KEYS = {'rowid': 'id INTEGER PRIMARY KEY', 'STRICT': 'id INTEGER PRIMARY KEY', 'unique': 'id INTEGER NOT NULL UNIQUE', 'desc': 'id INTEGER NOT NULL PRIMARY KEY DESC',
        'int': 'id INT NOT NULL PRIMARY KEY', 'text': 'id TEXT NOT NULL COLLATE NOCASE PRIMARY KEY', 'pair': 'id INTEGER NOT NULL UNIQUE', 'norowid': 'id INTEGER PRIMARY KEY'}
SHAPES = ['rowid'] * 6 + ['STRICT'] * 2 + ['unique', 'desc', 'int', 'text', 'pair', 'norowid', 'norowid STRICT']


class Column:
    def __init__(self, name, **k):
        self.name, self.decl, self.sealed, self.default, self.notnull, self.generated, self.text = name, '', False, None, False, False, ''
        self.unique = self.indexed = False              # a sealed one that index= must name, may name
        self.__dict__.update(k)



class Schema:
    """A random practice: the table t that is protected, its parent p, its child ch, another table src, views and triggers."""

    def __init__(self, rng, shapes):
        self.rng = rng
        self.shape = rng.choice(shapes)
        self.columns = [self.column(i) for i in range(rng.randint(3, 6))]
        if not any(c.sealed for c in self.columns):
            self.columns[0].sealed, self.columns[0].text = True, self.definition(self.columns[0], plain=False)
        self.names = [c.name for c in self.columns]
        self.sealed = [c.name for c in self.columns if c.sealed]
        self.indexes = [self.index(c) for c in self.columns if c.sealed and not c.unique and rng.random() < .25]
        self.unique, self.indexed = ([c.name for c in self.columns if getattr(c, k)] for k in ('unique', 'indexed'))
        self.ddl = self.tables() + self.others()

    def column(self, i):
        r = self.rng
        c = Column('c%d' % i, decl=r.choice(TYPES), sealed=r.random() < .55)
        if 'STRICT' in self.shape:
            c.decl = r.choice(['INT', 'INTEGER', 'REAL', 'TEXT', 'BLOB', 'ANY'])
        c.text = self.definition(c, plain=not c.sealed)
        return c

    def definition(self, c, plain):
        r, text = self.rng, '%s %s' % (c.name, c.decl)
        c.notnull, c.default = r.random() < .2, None
        if r.random() < .3 and 'STRICT' not in self.shape:
            c.default = r.choice([d for d in DEFAULTS if d != 'NULL' or not c.notnull])
            text += ' DEFAULT ' + c.default
        if c.notnull:
            text += ' NOT NULL'
        if r.random() < .35:
            text += ' COLLATE ' + r.choice(['NOCASE', 'RTRIM', 'BINARY'])
        if r.random() < .2:
            text += ' UNIQUE'
            c.unique = c.indexed = not plain
        if r.random() < .2:
            text += '%s CHECK(%s)' % (r.choice(['', ' CONSTRAINT ck_' + c.name]), r.choice(["%s IS NOT 42", "%s<>'abc'", 'length(%s)<100', 'typeof(%s)<>\'blob\'']) % c.name)
        return text

    def checks(self, names):
        """CHECKs of the table, over several columns; not over p_id, which foreign keys change."""
        r = self.rng
        return [r.choice(['', 'CONSTRAINT "two (2)" ']) + 'CHECK(%s)' % r.choice(['"%s" IS NULL OR %s IS NOT `%s`', '%s IS NOT 7 OR length(%s)+length([%s])>2', 'coalesce(%s,0)<>%s||%s', "typeof(%s)<>'real' OR %s>%s"])
                % tuple(r.choice(names) for _ in '123') for _ in range(r.choice([0, 0, 0, 1, 2]))]

    def index(self, c):
        """An index that a keyed one takes the place of; none: only the keyed one."""
        unique, c.indexed = self.rng.random() < .3, True
        c.unique = unique
        return 'CREATE UNIQUE INDEX t_%s ON t(%s)' % (c.name, c.name) if unique else self.rng.choice([None, 'CREATE INDEX t_%s ON t(%s DESC)' % (c.name, c.name)])

    def tables(self):
        r = self.rng
        key = KEYS[self.shape.split()[0]]
        if self.shape == 'rowid' and r.random() < .3:
            key += ' AUTOINCREMENT'
        cols = [key] if r.random() < .8 else []
        body = [c.text for c in self.columns]
        on = ' ON DELETE %s ON UPDATE %s' % (r.choice(['CASCADE', 'SET NULL', 'RESTRICT', 'NO ACTION']), r.choice(['CASCADE', 'SET NULL', 'NO ACTION']))
        later = r.choice(['', ' DEFERRABLE INITIALLY DEFERRED'])
        body.append('p_id INTEGER REFERENCES p(id)' + on + later)
        if not cols:
            body.insert(r.randint(0, len(body)), key)
        self.generated = r.random() < .25
        plain = [c.name for c in self.columns if not c.sealed]
        if self.generated:
            body.append('g %sAS (%s) %s' % ('ANY ' if 'STRICT' in self.shape else '', r.choice(plain or ['id']), r.choice(['VIRTUAL', 'STORED'])))
        if self.shape == 'pair':
            body.append('PRIMARY KEY(p_id, id)')
        body += self.checks([c.name for c in self.columns] + ['id'] + ['g'] * (self.generated and self.columns[0].sealed))
        strict = {'STRICT': ' STRICT', 'norowid': ' WITHOUT ROWID', 'norowid STRICT': ' STRICT, WITHOUT ROWID'}.get(self.shape, '')
        on = ' ON DELETE %s ON UPDATE %s' % (r.choice(['CASCADE', 'SET NULL', 'RESTRICT', 'SET DEFAULT']), r.choice(['CASCADE', 'SET NULL', 'RESTRICT']))
        return ['CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT)', 'CREATE TABLE t(%s)%s' % (', '.join(cols + body), strict),
                'CREATE TABLE ch(id INTEGER PRIMARY KEY, t_id INTEGER DEFAULT 3 REFERENCES t(id)%s%s, x)' % (on, r.choice(['', ' DEFERRABLE INITIALLY DEFERRED'])),
                'CREATE TABLE src(a INTEGER, b, c TEXT)', 'CREATE TABLE audit(what, id)']

    def others(self):
        r, out = self.rng, [i for i in self.indexes if i]
        plain = [c.name for c in self.columns if not c.sealed]
        for name in plain:
            if r.random() < .4:
                out.append('CREATE INDEX t_%s ON t(%s%s)' % (name, name, r.choice(['', ' DESC', ', id', ' COLLATE NOCASE'])))
        if plain and r.random() < .2:
            out.append('CREATE INDEX t_part ON t(%s) WHERE %s IS NOT NULL' % (plain[0], plain[0]))
        out.append('CREATE VIEW v AS SELECT id, %s, typeof(%s) ty FROM t WHERE id>1' % (', '.join(self.names), self.sealed[0]))
        out.append('CREATE VIEW w AS SELECT p.name, count(*) n, min(t.%s COLLATE BINARY) lo, max(t.%s COLLATE BINARY) hi FROM t LEFT JOIN p ON p.id=t.p_id GROUP BY p.id' % (self.sealed[0], self.names[-1]))
        if r.random() < .5:
            out.append('CREATE TRIGGER t_i AFTER INSERT ON t BEGIN INSERT INTO audit VALUES(\'i\',new.id); END')
        if r.random() < .5:
            out.append('CREATE TRIGGER t_d AFTER DELETE ON t BEGIN INSERT INTO audit VALUES(\'d\',old.id); END')
        if r.random() < .4:
            out.append('CREATE TRIGGER t_u AFTER UPDATE OF %s ON t BEGIN INSERT INTO audit VALUES(\'u\',new.id); END' % (plain + ['p_id'])[0])
        if r.random() < .2:
            out.append('CREATE TRIGGER t_b BEFORE INSERT ON t WHEN new.p_id=3 BEGIN SELECT RAISE(ABORT,\'no three\'); END')
        if r.random() < .2:
            out.append('CREATE TRIGGER t_s AFTER UPDATE OF p_id ON t BEGIN UPDATE t SET %s=new.id WHERE id=new.id; END' % self.sealed[0])
        if r.random() < .2:
            out.append('CREATE TRIGGER t_n AFTER INSERT ON t WHEN new.id<9 BEGIN UPDATE OR IGNORE t SET %s=7 WHERE id=new.id-1; INSERT INTO audit VALUES(\'n\',new.id); END' % self.sealed[-1])
        if r.random() < .2:
            out.append('CREATE TRIGGER t_x AFTER DELETE ON t BEGIN UPDATE t SET %s=old.id WHERE id=old.id+1; END' % self.sealed[0])
        out.append('CREATE TRIGGER v_i INSTEAD OF INSERT ON v BEGIN INSERT INTO t(id,%s) VALUES(new.id,new.%s); END' % (self.sealed[0], self.sealed[0]))
        if r.random() < .4:
            out.append('CREATE TRIGGER s_i AFTER INSERT ON src BEGIN UPDATE t SET %s=new.b WHERE id=new.a; DELETE FROM t WHERE id=new.a+5; END' % self.sealed[0])
        return out


class Statements:
    """Random statements on a schema."""

    def __init__(self, rng, schema):
        self.r, self.s = rng, schema
        self.rowid = 'rowid' if schema.shape in ('rowid', 'STRICT') else ''
        self.all = ['id', 'p_id'] + schema.names + (['g'] if schema.generated else [])

    def value(self):
        x = self.r.random()
        return 'NULL' if x < .1 else self.r.choice(NUMBERS) if x < .5 else self.r.choice(TEXTS) if x < .9 else self.r.choice(BLOBS)

    def id(self):
        return self.r.choice(['NULL'] + [str(n) for n in range(1, 15)] * 4 + ["'5'", '6.0', "'x'", '-3', '2.5', "'9 '"][:self.r.choice([2, 6])])

    def column(self, prefix=''):
        return prefix + self.r.choice(self.all)

    def expr(self, depth=2, prefix=''):
        r = self.r
        if depth == 0 or r.random() < .35:
            return self.column(prefix) if r.random() < .7 else self.value()
        e = lambda: self.expr(depth - 1, prefix)
        return r.choice(['(%s||%s)', '(%s+%s)', 'coalesce(%s,%s)', 'max(%s,%s)', '(%s IS %s)', 'nullif(%s,%s)', '(%s=%s)', '(%s<%s)']) % (e(), e()) \
            if r.random() < .6 else r.choice(['-%s', 'length(%s)', 'typeof(%s)', 'upper(%s)', 'quote(%s)', 'CAST(%s AS TEXT)', 'CAST(%s AS INTEGER)',
                                             'hex(%s)', 'CASE WHEN %s THEN 1 END', '+%s', 'substr(%s,2)', '(%s COLLATE NOCASE)']) % e()

    def where(self, depth=2, prefix=''):
        r = self.r
        if depth and r.random() < .35:
            return '(%s %s %s)' % (self.where(depth - 1, prefix), r.choice(['AND', 'OR', 'AND NOT']), self.where(depth - 1, prefix))
        c = self.column(prefix)
        return r.choice([
            lambda: '%s%s%s' % (c, r.choice(['=', '<', '>', '<=', '>=', '<>', ' IS ', ' IS NOT ']), self.value()),
            lambda: '%s%s%s' % (c, r.choice(['=', '<', '>', ' IS ']), self.expr(1, prefix)),
            lambda: '%s=%s' % (prefix + 'id', self.id()),
            lambda: '%s %sIN (%s)' % (c, r.choice(['', 'NOT ']), ','.join(self.value() for _ in range(r.randint(0, 4)))),
            lambda: '%s IN (SELECT %s FROM src)' % (c, r.choice('abc')),
            lambda: '%s BETWEEN %s AND %s' % (c, self.value(), self.value()),
            lambda: '%s %s %s' % (c, r.choice(['LIKE', 'GLOB', 'NOT LIKE']), r.choice(["'a%'", "'A*'", "'%b%'", "'abc'", "'1%'", "'_'", 'NULL'])),
            lambda: '%s%s COLLATE %s' % (c, r.choice(['=', '<', '>=']), r.choice(['NOCASE', 'RTRIM', 'BINARY'])) if False else '%s=%s COLLATE %s' % (c, self.value(), r.choice(['NOCASE', 'RTRIM', 'BINARY'])),
            lambda: '%s %s' % (c, r.choice(['IS NULL', 'IS NOT NULL', 'NOTNULL'])),
            lambda: 'EXISTS(SELECT 1 FROM ch WHERE ch.t_id=%sid)' % (prefix or 't.'),
            lambda: self.expr(2, prefix),
            lambda: '(%s,%s)%s(%s,%s)' % (c, prefix + 'id', r.choice(['=', '<']), self.value(), self.id()),
            lambda: 'likely(%s)' % c,
        ])()

    def select(self):
        r, w = self.r, self.where
        order = lambda: '%s%s' % (self.expr(1), r.choice(['', ' DESC', ' COLLATE NOCASE', ' NULLS LAST']))
        return r.choice([
            lambda: 'SELECT * FROM t WHERE %s' % w(),
            lambda: 'SELECT %s, %s FROM t WHERE %s' % (self.expr(), self.expr(), w()),
            lambda: 'SELECT id, %s FROM t WHERE %s ORDER BY %s, id' % (self.expr(), w(), order()),
            lambda: 'SELECT id, %s FROM t ORDER BY %s, id%s LIMIT %d OFFSET %d' % (self.column(), order(), r.choice(['', ' DESC']), r.randint(0, 5), r.randint(0, 3)),
            lambda: 'SELECT id FROM t WHERE %s ORDER BY id%s LIMIT %d' % (w(), r.choice(['', ' DESC']), r.randint(0, 5)),
            lambda: 'SELECT count(*), min(%s COLLATE BINARY), max(%s COLLATE BINARY), count(DISTINCT %s), total(id) FROM t WHERE %s' % (self.column(), self.column(), self.column(), w()),
            lambda: 'SELECT count(*), min(id) FROM t WHERE %s GROUP BY %s HAVING count(*)>%d' % (w(), self.expr(1), r.randint(0, 1)),
            lambda: 'SELECT count(*), a.id, b.id FROM t a JOIN t b ON a.%s=b.%s GROUP BY a.id, b.id' % (r.choice(self.all), r.choice(self.all)),
            lambda: 'SELECT t.id, p.name, %s FROM t LEFT JOIN p ON p.id=t.p_id WHERE %s' % (self.expr(1, 't.'), w(1, 't.')),
            # LIKE there meets a bug of SQLite 3.40 itself: with an index COLLATE NOCASE the plain table loses the rows of p
            lambda: 'SELECT p.id, t.id FROM p LEFT JOIN t ON p.id=t.p_id AND %s' % w(1, 't.').replace(' LIKE ', ' GLOB '),
            lambda: 'SELECT t.id, ch.id, ch.x FROM ch JOIN t ON t.id=ch.t_id WHERE %s' % w(1, 't.'),
            lambda: 'SELECT t.id, src.b FROM src, t WHERE src.%s=t.%s' % (r.choice('abc'), r.choice(self.all)),
            lambda: 'SELECT id, row_number() OVER (PARTITION BY %s ORDER BY %s, id), lag(id) OVER (ORDER BY id) FROM t' % (self.column(), self.column()),
            lambda: 'SELECT id, count(*) OVER (ORDER BY %s), first_value(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM t WHERE %s' % (self.column(), w(1)),
            lambda: 'SELECT typeof(%s), count(*) FROM t GROUP BY 1' % self.column(),
            lambda: 'SELECT id FROM t WHERE %s %s SELECT id FROM t WHERE %s' % (w(1), r.choice(['UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT']), w(1)),
            lambda: 'SELECT * FROM v WHERE id%s%s' % (r.choice(['=', '<', '>']), r.randint(0, 9)),
            lambda: 'SELECT * FROM w',
            lambda: 'SELECT a.id FROM t a WHERE %s AND EXISTS(SELECT 1 FROM t b WHERE b.%s=a.%s AND b.id<>a.id)' % (w(1, 'a.'), r.choice(self.all), r.choice(self.all)),
            lambda: 'SELECT id, (SELECT max(b.id) FROM t b WHERE b.%s<t.%s) FROM t' % (r.choice(self.all), r.choice(self.all)),
            lambda: 'WITH x AS (SELECT %s k, id FROM t) SELECT count(*), min(id) FROM x GROUP BY k' % self.expr(1),
            lambda: 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<6) SELECT i, t.id FROM n LEFT JOIN t ON t.id=n.i',
            lambda: 'SELECT %s id FROM t WHERE %s%s%s' % (self.rowid and 'rowid, oid,', self.rowid or 'id',r.choice(['=', '<', '>=']), r.choice(['1', '5', "'3'", '2.5', 'NULL'])),
            lambda: 'SELECT DISTINCT typeof(%s), length(%s) FROM t' % (self.column(), self.column()),
            lambda: 'SELECT group_concat(id) FROM (SELECT id FROM t WHERE %s ORDER BY id)' % w(),
        ])()

    # A NULL given to a column that has a DEFAULT is one of the exceptions.
    def given(self, c):
        v = self.value()
        if 'STRICT' in self.s.shape and self.r.random() < .9:
            v = self.r.choice({'INT': NUMBERS[:8], 'INTEGER': NUMBERS[:8], 'REAL': NUMBERS, 'TEXT': TEXTS, 'BLOB': BLOBS, 'ANY': TEXTS + NUMBERS}[c.decl])
        while v == 'NULL' and c.default not in (None, 'NULL'):
            v = self.value()
        return v

    def verb(self):
        return self.r.choice(['INSERT'] * 6 + ['INSERT OR ' + x for x in ('REPLACE', 'IGNORE', 'FAIL', 'ABORT', 'ROLLBACK')] + ['REPLACE'])

    def insert(self):
        r = self.r
        cols = r.sample(self.s.columns, r.randint(1, len(self.s.columns)))
        named, rows = ['id'] * (r.random() < .6 or not self.rowid) + ['p_id'] * (r.random() < .4), []
        for _ in range(r.choice([1, 1, 1, 2, 3, 5])):
            row = [self.id() if n == 'id' else r.choice(['NULL', '1', '2', '3', '4', '9']) for n in named]
            rows.append('(' + ','.join(row + [self.given(c) for c in cols]) + ')')
        return '%s INTO t(%s) VALUES%s' % (self.verb(), ','.join(named + [c.name for c in cols]), ','.join(rows))

    def distinct(self, n):
        values = {'INT': '%d', 'INTEGER': '%d', 'REAL': '%d.5', 'TEXT': "'d%d'", 'BLOB': "x'%04d'"}
        return 'INSERT OR IGNORE INTO t(id,%s) VALUES(%s)' % (','.join(self.s.names), ','.join([str(n)] + [values.get(c.decl, '%d') % n for c in self.s.columns]))

    def insert_select(self):
        r = self.r
        cols = [c for c in self.s.columns if c.default in (None, 'NULL')]
        cols = r.sample(cols, r.randint(0, len(cols))) if cols else []
        shift = r.choice(['id+100', 'id+1', 'NULL', '-id', 'id'])
        if r.random() < .6:
            return '%s INTO t(%s) SELECT %s FROM t WHERE %s ORDER BY id LIMIT 5' % (
                self.verb(), ','.join(['id'] + [c.name for c in cols]), ','.join([shift] + [self.expr(1) for _ in cols]), self.where(1))
        return '%s INTO t(%s) SELECT %s FROM src ORDER BY rowid LIMIT 5' % (
            self.verb(), ','.join(['id'] + [c.name for c in cols]), ','.join(['a'] + [r.choice('abc') for _ in cols]))

    def update(self):
        r = self.r
        verb = r.choice(['UPDATE'] * 6 + ['UPDATE OR ' + x for x in ('REPLACE', 'IGNORE', 'FAIL', 'ABORT', 'ROLLBACK')])
        sets = ['%s=%s' % (c.name, self.expr() if r.random() < (.1 if 'STRICT' in self.s.shape else .5) else self.given(c) if 'STRICT' in self.s.shape else self.value())
                for c in r.sample(self.s.columns, r.randint(1, 2))]
        if r.random() < .15:
            sets.append((self.rowid if r.random() < .2 and self.rowid else 'id') + '=' + r.choice(['id+100', 'id+1', '-id', self.id(), 'id', "'x'", 'id-1']))
        if r.random() < .15:
            sets.append('p_id=' + r.choice(['1', '2', '3', 'NULL', '9']))
        if r.random() < .15:
            return '%s t SET %s=src.%s FROM src WHERE src.a=t.id AND src.rowid=(SELECT max(rowid) FROM src s WHERE s.a=src.a)' % (verb, r.choice(self.s.names), r.choice('bc'))
        return '%s t SET %s WHERE %s' % (verb, ', '.join(sets), self.where())

    def write(self):
        r = self.r
        return r.choice([
            self.insert, self.insert, self.insert, self.insert_select, self.update, self.update, self.update,
            lambda: 'DELETE FROM t WHERE %s AND id%%%d=0' % (self.where(1), r.choice([1, 2, 3])),
            lambda: 'DELETE FROM t WHERE id IN (SELECT %s FROM %s)' % r.choice([('a', 'src'), ('t_id', 'ch'), ('max(id)', 't'), ('id+1', 't WHERE id<3')]),
            lambda: 'INSERT INTO t DEFAULT VALUES',
            lambda: '%s INTO ch(t_id,x) VALUES(%s,%s)' % (self.verb(), self.id(), self.value()),
            lambda: 'UPDATE ch SET t_id=%s WHERE id<%d' % (self.id(), r.randint(1, 5)),
            lambda: 'DELETE FROM ch WHERE id<%d' % r.randint(0, 3),
            lambda: '%s INTO p(id,name) VALUES(%s,%s)' % (self.verb(), r.randint(1, 6), self.value()),
            lambda: 'DELETE FROM p WHERE id=%d' % r.randint(1, 6),
            lambda: 'UPDATE p SET id=id+%d WHERE id=%d' % (r.randint(0, 3), r.randint(1, 5)),
            lambda: 'INSERT INTO src VALUES(%s,%s,%s)' % (r.randint(1, 9), self.value(), self.value()),
            lambda: 'DELETE FROM src WHERE rowid%%2=%d' % r.randint(0, 1),
            lambda: "INSERT INTO v(id,%s) VALUES(%s,%s)" % (self.s.sealed[0], self.id(), self.given(next(c for c in self.s.columns if c.sealed))),
        ])()

    def control(self):
        return self.r.choice(['BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT a', 'SAVEPOINT b', 'ROLLBACK TO a', 'ROLLBACK TO b', 'RELEASE a', 'RELEASE b',
                              'BEGIN IMMEDIATE', 'VACUUM', 'ANALYZE', 'REINDEX', 'PRAGMA integrity_check' if self.rowid else 'ANALYZE', 'PRAGMA foreign_keys',
                              'PRAGMA defer_foreign_keys=ON', 'PRAGMA recursive_triggers=%d' % self.r.randint(0, 1), '@rotate', '@unprotect', '@protect', '@protect', '@protect', '@scrub', '@reopen'])

    def next(self):
        x = self.r.random()
        return self.select() if x < .45 else self.write() if x < .9 else self.control()


class Episode:
    """One schema and its statements: data, printable, and cut down when it fails."""

    def __init__(self, seed, statements, shapes=SHAPES):
        rng = random.Random(seed)
        schema = Schema(rng, shapes)
        make = Statements(rng, schema)
        self.seed, self.shape, self.ddl, self.sealed = seed, schema.shape, schema.ddl, ','.join(schema.sealed)
        self.options, self.unique, self.indexed = rng.choice([[], ['without_key=hide']]), schema.unique, schema.indexed
        self.journal = rng.choice(['WAL', 'DELETE'])
        self.fill = ["INSERT INTO p VALUES(1,'un'),(2,'deux'),(3,'trois'),(4,NULL)", "INSERT INTO src VALUES(1,'x','y'),(3,2,3),(6,NULL,'z')"]
        self.fill += [make.insert() for _ in range(rng.randint(0, 12))]
        if len(self.indexed) > len(self.unique):        # which needs different values
            self.fill += [make.distinct(n) for n in range(101, 131)]
        self.statements = [make.next() for _ in range(statements)]

    def text(self, statements):
        lines = ['-- seed %s, sealed %s, options %s, index %s, journal %s' % (self.seed, self.sealed, self.options, self.indexed, self.journal)]
        return '\n'.join(lines + [s + ';' for s in self.ddl + self.fill] + ['-- protect'] + [s + ';' for s in statements])


class Tagged(bytes):
    """A TEXT, told from a BLOB."""
    def __eq__(self, other):
        return type(other) is Tagged and bytes.__eq__(self, other)

    def __hash__(self):
        return bytes.__hash__(self)

    def __repr__(self):
        return 'text' + bytes.__repr__(self)


def key_of(row):
    return tuple((type(v).__name__, repr(v)) for v in row)


class Template:
    """A record, made once and copied for every episode: (folder, key, PIN)."""

    def __init__(self, folder, encoding='UTF-8'):
        self.encoding = encoding
        os.makedirs(os.path.join(folder, 'template'))
        empty = sqlite3.connect(os.path.join(folder, 'template', 'record.db'), isolation_level=None)
        empty.execute('PRAGMA encoding="%s"' % encoding)
        empty.executescript('CREATE TABLE x(x); DROP TABLE x')
        empty.close()
        self.practice = Practice({'dr': ('10', 1)}, folder=os.path.join(folder, 'template'))
        self.practice.authority.execute('PRAGMA journal_mode=DELETE')
        self.practice.close()
        self.folder = folder

    def copy(self):
        to = os.path.join(self.folder, 'prot')
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.practice.folder, to)
        for f in ('plain.db', 'plain.db-wal', 'plain.db-shm', 'plain.db-journal'):
            if os.path.exists(os.path.join(self.folder, f)):
                os.unlink(os.path.join(self.folder, f))
        return os.path.join(self.folder, 'plain.db'), os.path.join(to, 'record.db')


FOREIGN = 'FOREIGN KEY constraint failed'


ENDED = {}                                              # episodes that ended early, by exception


class Early(Exception):
    """The two sides part here as written down in EXCEPTIONS: nothing after it can be compared."""


class Pair:
    """A plain database and a protected one, side by side."""
    ran = few = 0                                       # statements compared in all; conversions that found too few values

    def __init__(self, template, episode):
        self.t, self.e = template, episode
        self.paths = template.copy()
        self.con = [None, None]
        self.open()
        for c in self.con:
            c.execute('PRAGMA journal_mode=' + episode.journal)
            for s in episode.ddl:
                c.execute(s)
        self.rowid_known = True                         # VACUUM leaves in it how many tables there are; a failed INSERT, what it tried

    def open(self):
        self.close()
        self.con = [sqlite3.connect(self.paths[0], isolation_level=None), open_record(self.paths[1])]
        one(self.con[1], 'SELECT dmp_login(?,?)', self.t.practice.key('dr').replace('/template/', '/prot/'), PIN)
        for c in self.con:
            c.execute('PRAGMA encoding="%s"' % self.t.encoding)
            c.execute('PRAGMA foreign_keys=ON')
            c.execute('PRAGMA synchronous=OFF')
            c.text_factory = Tagged

    def close(self):
        for c in self.con:
            if c is not None:
                c.close()
        self.con = [None, None]

    def protect(self):
        """index= names all that may have one; where values are too few, those that must; a plain index then keeps the table plain."""
        for index in (self.e.indexed, self.e.unique):
            options = self.e.options + ['index=' + '|'.join(index)] * bool(index)
            try:
                return self.con[1].execute('SELECT dmp_protect(?,?,?)', ('t', self.e.sealed, ','.join(options) or None)).fetchall()
            except sqlite3.Error as e:
                if not ('dmp-E087' in str(e) or index != self.e.indexed and re.search(r'dmp-E081.*index t_', str(e))):
                    raise
                Pair.few += 1

    def word(self, w):
        """'@protect' and so on, outside transactions or inside alike; an answer other than the expected one is returned."""
        c, busy = self.con[1], self.con[0].in_transaction
        if w.count(' ') == 2:
            c.execute('SELECT dmp_protect(?,?)', w.split()[1:])
            return None
        sql, args = {'@unprotect': ('SELECT dmp_unprotect(?)', ('t',)),
                     '@rotate': ('SELECT dmp_rotate(?)', ('t',)), '@scrub': ('SELECT dmp_scrub()', ())}.get(w, (None, None))
        is_on = one(c, "SELECT count(*) FROM dmp_protected")
        if w == '@reopen':
            if not busy:
                self.open()
                self.rowid_known = False
            return None
        if (w == '@protect') == bool(is_on) and w != '@scrub' or (w == '@scrub' and busy):
            return None
        try:
            self.protect() if w == '@protect' else c.execute(sql, args).fetchall()
            if w == '@scrub':
                self.con[0].execute('VACUUM')
                self.rowid_known = False
        except sqlite3.Error as e:
            return '%s: %s' % (w, e)
        return None

    @staticmethod
    def answer(c, sql):
        try:
            cur = c.execute(sql)
            rows = cur.fetchall()
            if 'ORDER BY' not in sql.split(')')[-1]:
                rows.sort(key=key_of)
            return ('rows', [key_of(r) for r in rows])
        except sqlite3.Error as e:
            return (type(e).__name__, {3091: 'SQLITE_CONSTRAINT_DATATYPE'}.get(e.sqlite_errorcode, e.sqlite_errorname), str(e))

    STATE = ['SELECT * FROM t ORDER BY id', 'SELECT * FROM ch ORDER BY id', 'SELECT * FROM p ORDER BY id', 'SELECT rowid,* FROM src ORDER BY rowid',
             'SELECT * FROM audit ORDER BY what, id', 'SELECT * FROM v ORDER BY id',
             "SELECT coalesce(max(seq),0) FROM sqlite_sequence WHERE name IN('t','t_dmp')"]

    @staticmethod
    def known(sql, a, b):
        """The same refusal under another code: listed in CODES."""
        return a[0] != 'rows' and b[0] != 'rows' and a[2] == b[2] and any(a[1] in was and b[1] == now and w in sql for was, now, w, _ in CODES)

    def early(self, sql, a, b):
        """The exceptions that the generator does meet: from there on the two sides may differ."""
        both, strange = 'rows' not in (a[0], b[0]), self.e.shape not in ('rowid', 'STRICT')
        several = both or one(self.con[0], 'SELECT changes()') > 1
        partly = 'OR IGNORE' in sql or 'OR FAIL' in sql
        found = [name for name, so in (
            ('again', b[0] != 'rows' and b[-1].startswith('dmp-E098: ')),
            ('immediate key', b[-1] == FOREIGN and a[-1] != FOREIGN and several),
            ('update from', 'SET' in sql and ' FROM src WHERE' in sql and ('rows' != a[0] or b[0] != 'rows' or any('UPDATE OF' in d for d in self.e.ddl))),
            ('order', sql.startswith('UPDATE') and (strange or bool(re.search(r'\b(id|rowid)=-?id', sql)))),
            ('gaps', partly and 'AUTOINCREMENT' in self.e.ddl[1]),
            ('half', 'cannot store' in b[-1] or partly and b[-1] == 'datatype mismatch'),
            ('which', both and (self.e.shape != 'rowid' or self.e.unique) and a[-1] != b[-1]),
            ('replaced', sql.startswith('UPDATE OR REPLACE') and ('id=' in sql or 'UNIQUE' in ''.join(self.e.ddl)))) if so]
        return found[0] if found else None

    def without_automatic_index(self, sql):
        """The plain table's answer by another way: an index that SQLite 3.40.1 makes for one join itself misses rows that are equal under RTRIM."""
        self.con[0].execute('PRAGMA automatic_index=OFF')
        got = self.answer(self.con[0], sql)
        self.con[0].execute('PRAGMA automatic_index=ON')
        return got

    def compare(self, sql):
        """None, or the difference."""
        Pair.ran += 1
        if sql.startswith('@'):
            return self.word(sql)
        a, b = (self.answer(c, sql) for c in self.con)
        if a != b and self.early(sql, a, b):
            raise Early(self.early(sql, a, b))
        if a != b and a[0] == b[0] == 'rows' and sql.startswith('SELECT'):
            a = self.without_automatic_index(sql)
        if a != b and not self.known(sql, a, b):
            return '%s\n  plain:     %s\n  protected: %s' % (sql, a, b)
        if self.con[0].in_transaction != self.con[1].in_transaction:
            return '%s\n  in a transaction: %s, %s' % (sql, self.con[0].in_transaction, self.con[1].in_transaction)
        word = sql.split()[0]
        self.rowid_known = self.rowid_known and word != 'VACUUM'
        if word in ('INSERT', 'REPLACE', 'UPDATE', 'DELETE'):
            self.rowid_known = a[0] == 'rows' and (self.rowid_known or word in ('INSERT', 'REPLACE') and one(self.con[0], 'SELECT changes()') > 0
                                                        and not ('WITHOUT ROWID' in self.e.ddl[1] and ' INTO t' in sql or ' INTO v' in sql))
            of = ['last_insert_rowid()'] * self.rowid_known + ['changes()'] * (a[0] == 'rows')
            for what in of:
                x, y = (one(c, 'SELECT ' + what) for c in self.con)
                if x != y and self.early(sql, a, b):
                    raise Early(self.early(sql, a, b))
                if x != y:
                    return '%s\n  %s: %s, %s' % (sql, what, x, y)
        if word in ('INSERT', 'REPLACE', 'UPDATE', 'DELETE', 'ROLLBACK', 'COMMIT', 'RELEASE', 'VACUUM'):
            differs = self.same(sql)
            if differs and self.early(sql, a, b):
                raise Early(self.early(sql, a, b))
            return differs
        return None

    def same(self, after):
        for q in self.STATE:
            a, b = (self.answer(c, q) for c in self.con)
            if a != b:
                return 'after %s\n  %s\n  plain:     %s\n  protected: %s' % (after, q, a, b)
        return None


def play(template, episode, statements):
    """(index of the statement that differed, the difference), or None."""
    pair = Pair(template, episode)
    try:
        for s in episode.fill:
            d = pair.compare(s)
            if d:
                return (-1, 'while filling: ' + d)
        for c in pair.con:
            if c.in_transaction:
                c.execute('ROLLBACK')
        d = pair.compare('@protect') or pair.same('@protect')
        if d:
            return (-1, d)
        for i, s in enumerate(statements):
            d = pair.compare(s)
            if d:
                return (i, d)
        for end in ('ROLLBACK', '@protect', '@unprotect'):
            if end != 'ROLLBACK' or pair.con[0].in_transaction:
                d = pair.compare(end) or pair.same(end)
                if d:
                    return (len(statements), d)
        checks = [one(c, 'PRAGMA integrity_check') for c in pair.con]   # SQLite 3.40.1 complains of sound WITHOUT ROWID tables
        if checks[1] != Tagged(b'ok') and checks[0] != checks[1]:
            return (len(statements), 'integrity_check: %s' % checks)
    except Early as e:
        ENDED[str(e)] = ENDED.get(str(e), 0) + 1
    finally:
        pair.close()
    return None


def shrink(template, episode, upto):
    """Drops statements while it still fails: halves first, then one by one."""
    kept = episode.statements[:upto + 1]
    size = max(1, len(kept) // 2)
    while size:
        i = 0
        while i < len(kept):
            fewer = kept[:i] + kept[i + size:]
            if play(template, episode, fewer):
                kept = fewer
            else:
                i += size
        size //= 2
    for line in list(episode.fill):
        at = episode.fill.index(line)
        episode.fill.remove(line)
        if not play(template, episode, kept):
            episode.fill.insert(at, line)
    return kept, play(template, episode, kept)
