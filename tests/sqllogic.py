"""sqllogic.py: SQLite's public sqllogictest scripts, on protected tables.
  sqllogic.py FOLDER [BUILD_FOLDER] [--when create|load] [--seal all|half] [--part I/N] [--seconds N] [--differences N]
FOLDER: the scripts, *.test files below it (https://sqlite.org/sqllogictest/; they are not part of this project).
Every script runs twice, on plain SQLite in memory and on a record whose tables are protected: right after CREATE TABLE, so that
every row goes in through the virtual table, or before the first query (--when load); all columns that can be sealed, or every
second one. Each answer must be the script's and plain SQLite's: rows, their order where the script says nosort, types, error texts."""
import argparse
import collections
import hashlib
import os
import re
import sqlite3
import shutil
import sys
import tempfile
import time

# What a script says that no virtual table can do, and the way round, which is then taken and counted: (name, message, way round).
EXCEPTIONS = [
    ('CREATE INDEX', 'virtual tables may not be indexed', 'unprotect'),
    ('CREATE TRIGGER', 'cannot create triggers on virtual tables', 'unprotect'),
    ('a view or trigger that names a protected table came or went', '^dmp-E025: ', 'sign'),
]
HINT = ' NOT INDEXED'                                   # reaches no virtual table: rows come in the order that plain SQLite gives without it
NEWER = 'answers that the script has otherwise, plain SQLite and the protected table alike'
LIMIT = 60                                              # seconds a query may take


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument('folder')
    a.add_argument('build', nargs='?', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build'))
    a.add_argument('--when', choices=['create', 'load'], default='create')
    a.add_argument('--seal', choices=['all', 'half'], default='all')
    a.add_argument('--part', default='1/1', help='I/N: every Nth script, from the Ith')
    a.add_argument('--seconds', type=int, default=0, help='begin no script after so many')
    a.add_argument('--differences', type=int, default=10, help='stop after so many')
    got = a.parse_args()
    sys.argv = [sys.argv[0], got.build]                 # what harness reads
    return got


# ---- scripts ----

Record = collections.namedtuple('Record', 'line kind ok sql types sort expected')


def paragraphs(path):
    """(number of its first line, lines), without comments."""
    lines, first = [], 0
    with open(path, encoding='latin-1', newline=None) as f:
        for n, line in enumerate(f, 1):
            line = line.rstrip('\n')
            if line.startswith('#'):
                continue
            if line.strip():
                first = first if lines else n
                lines.append(line)
            elif lines:
                yield first, lines
                lines = []
    if lines:
        yield first, lines


def records(path):
    """The records of a script that are meant for SQLite."""
    for first, lines in paragraphs(path):
        ours = True
        while lines and lines[0].split()[0] in ('skipif', 'onlyif'):
            word, who = lines.pop(0).split()[:2]
            ours = ours and (who == 'sqlite') == (word == 'onlyif')
        if not ours or not lines:
            continue
        head = lines[0].split()
        if head[0] == 'halt':
            return
        if head[0] == 'statement':
            yield Record(first, 'statement', head[1] == 'ok', '\n'.join(lines[1:]), '', '', None)
        elif head[0] == 'query':
            cut = lines.index('----') if '----' in lines else len(lines)
            yield Record(first, 'query', True, '\n'.join(lines[1:cut]), head[1], head[2] if len(head) > 2 else 'nosort', lines[cut + 1:])


# ---- values as the scripts write them ----

def number(v, kind):
    if isinstance(v, (bytes, str)):
        text = v if isinstance(v, str) else v.decode('latin-1')
        found = re.match(r'\s*[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?)' if kind == 'R' else r'\s*[-+]?\d+', text)
        v = (float if kind == 'R' else int)(found.group()) if found else 0
    return v


def written(v, kind, cast):
    if v is None:
        return 'NULL'
    if kind == 'I':
        return str((int(number(v, kind)) + 2**31) % 2**32 - 2**31)
    if kind == 'R':
        x = number(v, kind)
        return '%.3f' % x if abs(x) < 1e15 else cast("printf('%.3f',?)", x)   # SQLite's digits end at the sixteenth
    text = v if isinstance(v, str) else cast('CAST(? AS TEXT)', v)
    return re.sub('[^ -~]', '@', text) or '(empty)'


def as_expected(rows, r, cast):
    """The lines that a script has for these rows; it has the hash of many."""
    lines = [[written(v, kind, cast) for v, kind in zip(row, r.types)] for row in rows]
    if r.sort == 'rowsort':
        lines.sort()
    flat = [v for line in lines for v in line]
    if r.sort == 'valuesort':
        flat.sort()
    if r.expected and 'values hashing to' in r.expected[0]:
        return ['%d values hashing to %s' % (len(flat), hashlib.md5(''.join(v + '\n' for v in flat).encode('latin-1', 'replace')).hexdigest())]
    return flat


def parts(sql):
    if ';\n' not in sql:
        return [sql]
    out = ['']
    for line in sql.split('\n'):
        out[-1] += line + '\n'
        if sqlite3.complete_statement(out[-1]):
            out.append('')
    return [p for p in out if p]


# ---- the two sides ----

class Sides:
    """One script's plain database in memory and its record."""

    def __init__(self, template, a, open_record):
        self.a = a
        self.plain = sqlite3.connect(':memory:', isolation_level=None)
        self.path = template.copy()[1]
        self.con = open_record(self.path)
        self.con.execute('SELECT dmp_login(?,?)', (template.practice.key('dr').replace('/template/', '/prot/'), template.pin))
        self.con.execute('PRAGMA synchronous=OFF')
        self.own = set(self.names())
        self.sealed = {}                                # table -> sealed columns
        self.waiting = set()                            # tables to be protected before the first query
        self.until = 0
        self.con.set_progress_handler(lambda: time.time() > self.until, 100000)

    def names(self):
        return [n for n, in self.con.execute("SELECT name FROM sqlite_schema WHERE type='table'")]

    def close(self):
        self.plain.close()
        self.con.close()

    def protect(self, table, columns, count):
        """Seals all of these columns that can be."""
        columns = list(columns)
        while columns:
            try:
                self.con.execute('SELECT dmp_protect(?,?)', (table, ','.join(columns)))
                break
            except sqlite3.Error as e:
                found = re.match('dmp-E081.*column ([^:]+): ', str(e))
                if not found or found.group(1) not in columns:
                    raise
                columns.remove(found.group(1))
        if columns:
            self.sealed[table] = columns
        count['tables protected' if columns else 'tables that stay plain: every column is in a key or an index'] += 1
        count['columns sealed'] += len(columns)

    def protect_new(self, count):
        for table in sorted(self.waiting):
            columns = [c for c, in self.con.execute('SELECT name FROM pragma_table_info(?) WHERE NOT pk', (table,))]
            self.protect(table, columns if self.a.seal == 'all' else columns[::2], count)
        self.waiting.clear()

    def follow(self, sql, count):
        """After a statement: new tables are protected, those that went are forgotten."""
        word = sql.split(None, 2)[:2]
        if [w.upper() for w in word] not in (['CREATE', 'TABLE'], ['DROP', 'TABLE']):
            return
        now = {n for n in self.names() if n not in self.own and not n.endswith('_dmp')}
        for gone in set(self.sealed) - now:
            del self.sealed[gone]
        self.waiting = {n for n in now if n not in self.sealed}
        if self.a.when == 'create':
            self.protect_new(count)

    def way_round(self, way, sql, count):
        if way == 'sign':
            for table in self.sealed:
                self.con.execute('SELECT dmp_protect(?)', (table,))
            return self.answer(self.con, sql)
        table = re.search(r'\bON\s+"?(\w+)', sql, re.I).group(1)
        table = next(t for t in self.sealed if t.lower() == table.lower())
        columns = self.sealed.pop(table)
        self.con.execute('SELECT dmp_unprotect(?)', (table,))
        got = self.answer(self.con, sql)
        count['tables protected'] -= 1
        count['columns sealed'] -= len(columns)
        self.protect(table, columns, count)
        return got

    def answer(self, con, sql):
        """Rows, or the text of the error. Some statements of the scripts are several."""
        self.until = time.time() + LIMIT
        try:
            for part in parts(sql):
                rows = con.execute(part).fetchall()
            return rows
        except (sqlite3.Error, sqlite3.Warning) as e:
            return str(e)

    def protected(self, sql, count):
        """The record's answer, by the ways round where they are needed."""
        got = self.answer(self.con, sql)
        for name, message, way in EXCEPTIONS:
            if isinstance(got, str) and re.search(message, got):
                count['exception: ' + name] += 1
                got = self.way_round(way, sql, count)
        return got


def difference(r, plain, ours, cast):
    """None, or what differs."""
    if isinstance(plain, str) or isinstance(ours, str):
        if plain != ours and not any(isinstance(x, list) for x in (plain, ours)):
            return 'error text'
        if isinstance(plain, str) != isinstance(ours, str):
            return 'error on one side'
    if isinstance(plain, str) and r.kind == 'query':
        return NEWER if r.expected else None            # the scripts' own runner takes an error for no rows
    if r.kind == 'statement':
        return NEWER if isinstance(plain, str) == r.ok else None
    a, b = repr(plain), repr(ours)
    if a != b and (r.sort == 'nosort' or sorted(map(repr, plain)) != sorted(map(repr, ours))):
        return 'rows'
    return None if as_expected(ours, r, cast) == r.expected else NEWER


def run(path, name, template, a, count, open_record):
    """Plays one script; prints what differs, and says how often."""
    sides, bad = Sides(template, a, open_record), 0
    cast = lambda expression, v: sides.plain.execute('SELECT ' + expression, (v,)).fetchone()[0]
    try:
        for r in records(path):
            if r.kind == 'query' and sides.waiting:
                sides.protect_new(count)
            plain, ours = sides.answer(sides.plain, r.sql), sides.protected(r.sql, count)
            count['statements' if r.kind == 'statement' else 'queries'] += 1
            what = difference(r, plain, ours, cast)
            if what == 'rows' and HINT in r.sql and repr(sides.answer(sides.plain, r.sql.replace(HINT, ''))) == repr(ours):
                count['exception:' + HINT] += 1
            elif what == NEWER:
                count[what] += 1
            elif what:
                bad += 1
                count['differences: ' + what] += 1
                print('FAILED  %s:%d: %s\n%s\n  plain:     %.600s\n  protected: %.600s' % (name, r.line, what, r.sql, plain, ours), flush=True)
                if bad >= a.differences:
                    break
            sides.follow(r.sql, count)
        count['boxes opened'] += sides.con.execute('SELECT boxes_opened FROM session').fetchone()[0]
    finally:
        sides.close()
    return bad


def main():
    a = arguments()
    import differential
    from harness import PIN, open_record
    scripts = sorted(os.path.join(d, f) for d, _, names in os.walk(a.folder) for f in names if f.endswith('.test'))
    first, of = map(int, a.part.split('/'))
    chosen, began = scripts[first - 1::of], time.time()
    folder, count, failed, ran = tempfile.mkdtemp(prefix='dmp-test-'), collections.Counter(), 0, 0
    try:
        template = differential.Template(folder)
        template.pin = PIN
        for path in chosen:
            if a.seconds and time.time() - began > a.seconds:
                break
            ran += 1
            failed += run(path, os.path.relpath(path, a.folder), template, a, count, open_record) > 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print('SQLite %s; %d of %d scripts, protected at %s, %s columns' % (sqlite3.sqlite_version, ran, len(scripts), a.when, a.seal))
    for what in sorted(count):
        print('%10d %s' % (count[what], what))
    print('%d passed, %d failed, 0 skipped' % (ran - failed, failed + (not scripts)))
    return failed != 0 or not scripts


if __name__ == '__main__':
    sys.exit(main())
