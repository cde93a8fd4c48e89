"""harness.py: what the scenario tests share: a practice in a folder of its own, sessions by name, refusals by code.
Each test file is a program: test_X.py [BUILD_FOLDER [TEST_NAME...]]; its last line is "N passed, N failed, N skipped"."""
import os
import re
import select
import shutil
import sqlite3
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', 'build'))
SO = os.path.join(BUILD, 'dmp.so')
PIN = 'code-des-tests-1'
SHADOWS = ['certificate', 'keyset', 'grant', 'object', 'wrap', 'chunk', 'state']
NO_SUCH_ID = 123456789

# A document type of each rights class, and the professions that the published refusals leave to it.
TYPES = {'common': ('11488-4', {'10', '21', '39', '40', '60'}), 'medical': ('75496-0', {'10'}), 'medical_dental': ('68817-6', {'10', '40'}),
         'clinical': ('34842-5', {'10', '40', '60'}), 'residence': ('ATTEST-RESID', {'40', '60'}),
         'not_dental': ('80788-3', {'10', '21', '39', '60'}), 'unlisted': ('99999-9^1.2.3', set())}


def one(con, sql, *args):
    row = con.execute(sql, args).fetchone()
    return row[0] if row else None


def open_record(path, so=SO):
    con = sqlite3.connect(path, isolation_level=None, timeout=10, uri=path.startswith('file:'))
    con.enable_load_extension(True)
    con.load_extension(so)
    con.execute('PRAGMA temp_store=MEMORY')
    return con


class Practice:
    """A record, its people and their credentials. people: name -> (profession, registrar)."""

    def __init__(self, people, so=SO, options='kdf=1x8', folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix='dmp-test-')
        self.path = os.path.join(self.folder, 'record.db')
        self.so, self.id, self.open = so, {}, []
        os.makedirs(self.folder, exist_ok=True)
        authority = self.connect()
        authority.execute('PRAGMA journal_mode=WAL')
        self.fingerprint = one(authority, 'SELECT dmp_create(?,?,?,?)', self.key('authority'), PIN, 'main', options)
        self.id['authority'] = one(authority, 'SELECT dmp_login(?,?)', self.key('authority'), PIN)
        self.authority = authority
        for name, (profession, registrar) in people.items():
            self.person(name, profession, registrar)

    def key(self, name):
        return os.path.join(self.folder, name + '.dmpkey')

    def connect(self):
        con = open_record(self.path, self.so)
        self.open.append(con)
        return con

    def request(self, name):
        return one(self.authority, 'SELECT dmp_keygen(?,?,?)', self.key(name), PIN, 'kdf=1x8')

    def person(self, name, profession, registrar=0):
        self.authority.execute("INSERT INTO principal(kind,identifier,name,profession,certificate,registrar) "
                               "VALUES('professional',?,?,?,?,?)", ('8100000%04d' % len(self.id), name.upper(), profession, self.request(name), registrar))
        con = self.connect()
        self.id[name] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.key(name), PIN, self.fingerprint)
        con.close()

    def patient(self, name, by, treating=None, **traits):
        traits = dict({'birth_name': name.upper(), 'given_names': 'Marie', 'birth_date': '1970-01-02', 'sex': 'F'}, **traits)
        traits.update(treating_doctor=self.id[treating] if treating else None, credential=self.key(name), pin=PIN)
        by.execute('INSERT INTO patient(%s) VALUES(%s)' % (','.join(traits), ','.join('?' * len(traits))), list(traits.values()))
        self.id[name] = one(by, 'SELECT last_insert_rowid()')
        return self.id[name]

    def login(self, name, con=None):
        con = con or self.connect()
        assert one(con, 'SELECT dmp_login(?,?)', self.key(name), PIN) == self.id[name]
        return con

    def raw(self):
        """The file as its host sees it: no extension, no key."""
        con = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        self.open.append(con)
        return con

    def counts(self):
        con = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        got = {t: one(con, 'SELECT count(*) FROM dmp_' + t) for t in SHADOWS}
        con.close()
        return got

    def files(self):
        return [os.path.join(d, f) for d, _, names in os.walk(self.folder) for f in names]

    def close(self):
        for con in self.open:
            con.close()
        self.open = []

    def drop(self):
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def deposit(con, patient, content=b'contenu', **columns):
    columns = dict({'patient': patient, 'content': content, 'title': 'Compte rendu', 'type_code': '11488-4', 'mime': 'text/plain'}, **columns)
    select.select([], [], [], 0.002)                   # ids rise with the milliseconds: in the order of the deposits; sleep() fails under libfaketime
    con.execute('INSERT INTO document(%s) VALUES(%s)' % (','.join(columns), ','.join('?' * len(columns))), list(columns.values()))
    return one(con, 'SELECT last_insert_rowid()')


def documents(con):
    return [r[0] for r in con.execute('SELECT id FROM document ORDER BY id')]


def error_of(con, sql, args=()):
    """The text of the error, or None."""
    try:
        con.execute(sql, args).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as e:
        return str(e)
    return None


class Case(unittest.TestCase):
    maxDiff = 2000

    def refused(self, code, con, sql, args=()):
        got = error_of(con, sql, args)
        self.assertIsNotNone(got, '%s was accepted: %s' % (code, sql))
        self.assertRegex(got, '^dmp-E%03d: ' % code, sql)
        return got

    def fails(self, con, sql, args=()):
        got = error_of(con, sql, args)
        self.assertIsNotNone(got, 'was accepted: ' + sql)
        return got


class Result(unittest.TextTestResult):
    def getDescription(self, test):
        return re.sub('^test_', '', test.id().split('.')[-1]).replace('_', ' ') if hasattr(test, 'id') else str(test)


def main():
    argv = [sys.argv[0]] + sys.argv[2:]
    run = unittest.main(argv=argv, exit=False, testRunner=unittest.TextTestRunner(resultclass=Result, verbosity=2))
    r = run.result
    failed = len({t.id() for t, _ in r.failures + r.errors})
    skipped = len(r.skipped)
    print('%d passed, %d failed, %d skipped' % (max(0, r.testsRun - failed - skipped), failed, skipped))
    sys.exit(failed != 0)
