"""What the parts of scripts/bench share: a connection in a program of its own, a login, the printed table."""
import os, sqlite3, statistics, subprocess, sys, zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PIN = 'code-de-la-mesure'
PAGE, MIB = 4096, 1 << 20


def median(values):
    return statistics.median(values)


def ms(values):
    return '%.3g ms' % (median(values) * 1e3)


def note(text):
    print(text, file=sys.stderr, flush=True)


def connect(path, build):
    c = sqlite3.connect(path, isolation_level=None, timeout=10)
    c.enable_load_extension(True)
    c.load_extension(os.path.join(build, 'dmp.so'))
    c.execute('PRAGMA temp_store=MEMORY')
    return c


def one(c, sql, *args):
    return c.execute(sql, args).fetchone()[0]


def enrol(authority, path, build, fingerprint, key, name, profession, registrar):
    """A professional with a certificate, whose first login is done."""
    request = one(authority, "SELECT dmp_keygen(?,?,'kdf=1x8')", key, PIN)
    authority.execute("INSERT INTO principal(kind,identifier,name,profession,certificate,registrar) "
                      "VALUES('professional',?,?,?,?,?)", ('81%09d' % (zlib.crc32(name.encode()) % 10 ** 9), 'Dr ' + name.title(), profession, request, registrar))
    c = connect(path, build)
    who = one(c, 'SELECT dmp_login(?,?,NULL,NULL,?)', key, PIN, fingerprint)
    c.close()
    return who


def compile_client(program, flags=(), libraries=('-lsqlite3',)):
    source = os.path.join(ROOT, 'scripts/bench.d/client.c')
    subprocess.run(['cc', '-std=c11', '-O2', '-D_GNU_SOURCE', *flags, source, '-o', program, *libraries], check=True)


class Client:
    """A connection in a program of its own. Times are seconds, of the wall's clock or of this program on a processor."""
    clock = 'wall'

    def __init__(self, program, path, build=None, cache=2048, first=''):
        """cache: in KiB; first: the SQL that a connection begins with."""
        self.path, self.extension = path, os.path.join(build, 'dmp.so') if build else '-'
        self.cache, self.first = cache, first
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask('clock ' + self.clock)
        self.open()

    def answer(self, line):
        """ok or error, and what follows."""
        self.p.stdin.write(line + '\n')
        self.p.stdin.flush()
        word, _, rest = self.p.stdout.readline().rstrip('\n').partition(' ')
        return word, rest

    def ask(self, line, fails=False):
        word, rest = self.answer(line)
        if (word == 'ok') == fails: sys.exit('bench: %s\n  %s' % (line[:200], rest))
        return rest

    def open(self):
        """A fresh connection."""
        return self.seconds('open %s %s %d %s' % (self.path, self.extension, self.cache, self.first))

    def seconds(self, line, fails=False):
        return int(self.ask(line, fails).split(' ', 1)[0]) / 1e9

    def time(self, sql, rows=None):
        ns, n, _ = self.ask('time ' + sql).split(' ', 2)
        if rows is not None and int(n) != rows: sys.exit('bench: %s gave %s rows, not %d' % (sql[:100], n, rows))
        return int(ns) / 1e9

    def loop(self, count, start, top, sql):
        """A prepared statement, again and again (see client.c)."""
        return self.seconds('loop %d %d %d %s' % (count, start, top, sql))

    def value(self, sql):
        return self.ask('time ' + sql).split(' ', 2)[2]

    def login(self, key, pin=PIN):
        """A fresh connection; a wrong PIN costs the key derivation and nothing else."""
        self.open()
        return self.seconds("time SELECT dmp_login('%s','%s')" % (key, pin), pin != PIN)

    def close(self):
        self.p.stdin.close()
        self.p.wait()


class Table:
    def __init__(self): self.missed = 0

    def head(self, text): print('\n%s' % text, flush=True)

    def row(self, work, measured, budget='', met=None):
        verdict = '' if met is None else 'met' if met else 'MISSED'
        self.missed += met is False
        print('  %-66s %-30s %-22s %s' % (work, measured, budget, verdict), flush=True)

    def ratio(self, work, a, b, limit, detail=''):
        r = median(a) / median(b)
        self.row(work, '%.2f%s' % (r, detail), '≤ %g' % limit if limit else '', r <= limit if limit else None)
