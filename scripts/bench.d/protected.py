"""The bench of protected tables (scripts/bench --protected), beside plain SQLite, SQLCipher and SQLite3MultipleCiphers.

One client program is built for each SQLite; each does the same work on the same rows, in turns, round after round. The rivals' sources come
from npm packages, pinned by version and hash, into a cache folder outside the project ($XDG_CACHE_HOME/dmp-bench)."""
import base64, collections, contextlib, hashlib, os, platform, shutil, subprocess, sys, tarfile
from common import MIB, PAGE, PIN, Client, compile_client, connect, enrol, median, ms, note, one

CACHE_KIB, PERSONS, FOLLOWED = 2048, 100, 200    # PERSONS: visits of one person; FOLLOWED: patients of the record in the table with `patient=`
NO_OPTION = 'dmp-E066'                           # what a build says to an option of dmp_protect that it does not know
Rival = collections.namedtuple('Rival', 'name package version sha512 folder flags libraries first its_version cipher kdf')
MC = dict(package='better-sqlite3-multiple-ciphers', version='12.11.1', folder='package/deps/sqlite3', flags=(), libraries=(),
          sha512='pG72+3VkUipnmYx4LwQqoOXNG2CJ1HlmDrlvqgr7xQHgsE+cz5rAZEiaJHnUKTHaGfGifggA/C0Sv9qZlUrfow==',
          its_version="SELECT sqlite3mc_version()")
RIVALS = (
    Rival(name='SQLCipher', package='@op-engineering/op-sqlite', version='18.2.5', folder='package/cpp/sqlcipher',
          sha512='OLmcM0SQLapP1p5Q6Ck5P+V3N6RsAhBozIG07PbQr+8wgB0gYoFgFjuWZK0JvNBY+UYgYPxkOQDd4rk4naWNGw==',
          flags=('-DSQLITE_HAS_CODEC', '-DSQLITE_EXTRA_INIT=sqlcipher_extra_init', '-DSQLITE_EXTRA_SHUTDOWN=sqlcipher_extra_shutdown',
                 '-DSQLCIPHER_CRYPTO_OPENSSL', '-DSQLITE_TEMP_STORE=2'), libraries=('-lcrypto',),
          first="PRAGMA key='%s'" % PIN, its_version='PRAGMA cipher_version', cipher='', kdf='PBKDF2-HMAC-SHA512, 256,000 iterations'),
    Rival(name='aegis', first="PRAGMA cipher='aegis'; PRAGMA key='%s'" % PIN, cipher='aegis', kdf='Argon2id as it comes', **MC),
    Rival(name='chacha20', first="PRAGMA cipher='chacha20'; PRAGMA key='%s'" % PIN, cipher='chacha20', kdf='PBKDF2-HMAC-SHA256, 64,007 iterations',
          **MC),
)
TABLES = (
    'CREATE TABLE visit(id INTEGER PRIMARY KEY, patient INTEGER, note TEXT, label TEXT)', 'CREATE INDEX visit_patient ON visit(patient)',
    'CREATE TABLE letter(id INTEGER PRIMARY KEY, patient INTEGER, note TEXT, label TEXT)',
    'CREATE TABLE person(id INTEGER PRIMARY KEY, born INTEGER, name TEXT)', 'CREATE TABLE tagged(id INTEGER PRIMARY KEY, label TEXT)',
    'CREATE TABLE followed(id INTEGER PRIMARY KEY, patient INTEGER, note TEXT, label TEXT)',
    'CREATE TABLE known(n INTEGER PRIMARY KEY, patient INTEGER)')
INSERT = 'INSERT INTO %s VALUES(:next,:random,:note,:label)'
INSERT_FOLLOWED = 'INSERT INTO followed VALUES(:next,(SELECT patient FROM known WHERE n=:random),:note,:label)'


# ---- the rivals' programs ----

def cache_folder():
    at = os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'dmp-bench')
    os.makedirs(at, exist_ok=True)
    return at


def fetch(rival):
    """The folder with sqlite3.c of a rival; its package is what the hash says, or the bench ends."""
    at = os.path.join(cache_folder(), '%s-%s' % (rival.package.replace('/', '-').strip('@'), rival.version))
    if os.path.exists(os.path.join(at, 'sqlite3.c')): return at
    if not shutil.which('npm'): sys.exit("bench: the rivals' sources come through npm: install it, or measure without them (--rivals '')")
    note('  fetching %s@%s' % (rival.package, rival.version))
    names = subprocess.run(['npm', 'pack', '--silent', '%s@%s' % (rival.package, rival.version)], cwd=cache_folder(), check=True,
                           capture_output=True, text=True).stdout.split()
    packed = os.path.join(cache_folder(), names[-1])
    with open(packed, 'rb') as f: got = base64.b64encode(hashlib.sha512(f.read()).digest()).decode()
    if got != rival.sha512: sys.exit('bench: %s is not the package that was measured: sha512-%s' % (packed, got))
    os.makedirs(at, exist_ok=True)
    with tarfile.open(packed) as t:
        for name in ('sqlite3.h', 'sqlite3.c'):      # the one that says that all is there comes last
            with t.extractfile('%s/%s' % (rival.folder, name)) as source, open(os.path.join(at, name), 'wb') as f: f.write(source.read())
    os.unlink(packed)
    return at


def build(rival, program):
    """-O2, thread-safe as Debian's; the amalgamation's object is kept beside it."""
    at = fetch(rival)
    made = os.path.join(at, 'sqlite3.o')
    if not os.path.exists(made):
        note('  compiling %s' % rival.package)
        subprocess.run(['cc', '-O2', '-w', '-DSQLITE_THREADSAFE=1', *rival.flags, '-c', os.path.join(at, 'sqlite3.c'), '-o', made + '.new'],
                       check=True)
        os.rename(made + '.new', made)
    compile_client(program, ('-I' + at,), (made, *rival.libraries, '-lpthread', '-ldl', '-lm'))


# ---- one engine ----

class Engine:
    """One SQLite with one file. Everything that differs between engines is here."""

    def __init__(self, name, program, path, build_folder=None, first='', key=None):
        self.name, self.path, self.key, self.lacks = name, path, key, set()
        settings = 'PRAGMA page_size=%d; PRAGMA journal_mode=WAL; PRAGMA secure_delete=OFF' % PAGE
        self.c = Client(program, path, build_folder, CACHE_KIB, '; '.join(filter(None, (first, settings))))
        self.login()

    def login(self):
        if self.key: self.c.login(self.key)

    def do(self, *statements):
        for sql in statements: self.c.ask('exec ' + sql)

    def protect(self, table, columns, options=''):
        """A build that does not know the option lacks the table."""
        if not self.key: return
        answer = self.c.answer("exec SELECT dmp_protect('%s','%s'%s)" % (table, columns, options and ",'%s'" % options))
        if answer[0] == 'ok': return
        if NO_OPTION not in answer[1]: sys.exit('bench: %s: %s' % (table, answer[1]))
        self.lacks.add(table)

    def fill(self, count, top, sql, start=1):
        self.do('BEGIN')
        t = self.c.loop(count, start, top, sql)
        self.do('COMMIT', 'PRAGMA wal_checkpoint(TRUNCATE)')
        return t

    def bytes(self): return int(self.c.value('PRAGMA page_count')) * PAGE

    def close(self): self.c.close()


# ---- the work: each gives seconds ----

def scan(columns, table='visit'):
    return lambda e, n, i: e.c.time('SELECT %s FROM %s ORDER BY id' % (columns, table), n[table])


def points(columns, table='visit', where='id=:random', times='points', top=None):
    return lambda e, n, i: e.c.loop(n[times], 1, n[top or table], 'SELECT %s FROM %s WHERE %s' % (columns, table, where))


def bulk(sql, table, top):
    def work(e, n, i):
        t = e.c.time('BEGIN') + e.c.loop(n['bulk'], n[table] + 1, n[top], sql) + e.c.time('COMMIT')
        e.do('DELETE FROM %s WHERE id>%d' % (table, n[table]), 'PRAGMA wal_checkpoint(TRUNCATE)')
        return t
    return work


def commits(e, n, i):
    t = e.c.loop(n['commits'], n['visit'] + 1, n['person'], INSERT % 'visit')
    e.do('DELETE FROM visit WHERE id>%d' % n['visit'], 'PRAGMA wal_checkpoint(TRUNCATE)')
    return t


def updates(e, n, i):
    return e.c.loop(n['commits'], 1 + i, n['visit'], 'UPDATE visit SET label=:label WHERE id=:random')


def ranges(e, n, i):
    return e.c.loop(n['listed'], 1, n['visit'], 'SELECT id,label FROM visit WHERE id>=:random ORDER BY id LIMIT 50')


def join(e, n, i):
    first = 1 + (i * 7919) % (n['visit'] - n['bulk'])
    sql = 'SELECT p.name,v.label FROM visit v JOIN person p ON p.id=v.patient WHERE v.id BETWEEN %d AND %d'
    return e.c.time(sql % (first, first + n['bulk'] - 1), n['bulk'])


def opening(e, n, i):
    """To the first row, from nothing. Ours: after the key derivation, which a wrong PIN costs and nothing else."""
    kdf = min(e.c.login(e.key, 'un-autre-code') for _ in range(3)) if e.key else 0
    t = e.c.open() - kdf
    if e.key: t += e.c.seconds("time SELECT dmp_login('%s','%s')" % (e.key, PIN))
    return t + e.c.time('SELECT note FROM visit LIMIT 1', 1)


# The rows of the table. budget: of the ratios to a rival (DESIGN); table: what must be there.
Row = collections.namedtuple('Row', 'work do table budget')
ROWS = (
    Row('full scan of a sealed column', scan('id,note'), 'visit', {'plain': 2.5, 'SQLCipher': 1.0}),
    Row('full scan of all columns', scan('*'), 'visit', {}),
    Row('scan of plain columns only', scan('id,patient'), 'visit', {'plain': 1.2}),
    Row('point lookup, sealed columns', points('note,label'), 'visit', {'plain': 2.0, 'SQLCipher': 0.9}),
    Row('point lookup, plain column', points('patient'), 'visit', {}),
    Row('lookup by an indexed sealed label (index=)', points('id,label', 'tagged', 'label=:wanted'), 'tagged', {'plain': 2.0, 'SQLCipher': 0.9}),
    Row('a patient\'s 100 visits, by the index on patient', points('id,note,label', 'visit', 'patient=:random', 'listed', 'person'), 'visit', {}),
    Row('50 rows from a random one on', ranges, 'visit', {}),
    Row('join of two protected tables', join, 'visit', {}),
    Row('bulk insert, one transaction, index on patient', bulk(INSERT % 'visit', 'visit', 'person'), 'visit', {'plain': 1.5, 'SQLCipher': 0.5}),
    Row('bulk insert, one transaction, no index', bulk(INSERT % 'letter', 'letter', 'person'), 'letter', {'plain': 1.5, 'SQLCipher': 0.5}),
    Row('single-row INSERT, each its commit', commits, 'visit', {'plain': 1.2}),
    Row('single-row UPDATE of a sealed column, each its commit', updates, 'visit', {}),
    Row('patient=: full scan of a sealed column', scan('id,note', 'followed'), 'followed', {'plain': 2.5, 'SQLCipher': 1.0}),
    Row('patient=: point lookup', points('note,label', 'followed'), 'followed', {'plain': 2.0, 'SQLCipher': 0.9}),
    Row('patient=: bulk insert, one transaction', bulk(INSERT_FOLLOWED, 'followed', 'known'), 'followed', {'plain': 1.5, 'SQLCipher': 0.5}),
    Row('opening to the first row (SQLCipher: with its KDF)', opening, 'visit', {'SQLCipher': 0.6}),
)


class Protected:
    def __init__(self, args, folder):
        self.args, self.folder, self.missed, self.engines = args, folder, 0, []
        rows = args.rows
        self.n = {'visit': rows, 'person': rows // PERSONS, 'tagged': rows, 'followed': rows // 10, 'known': FOLLOWED,
                  'letter': rows // 10, 'points': 20000, 'listed': 400, 'bulk': rows // 10, 'commits': 1000}
        program = os.path.join(folder, 'client')
        compile_client(program)
        self.engines = [self.ours(program), Engine('plain', program, os.path.join(folder, 'plain.db'))]
        for rival in args.rivals:
            program = os.path.join(folder, 'client-' + rival.name)
            build(rival, program)
            self.engines.append(Engine(rival.name, program, os.path.join(folder, rival.name + '.db'), None, rival.first))
        note('%d rows' % rows)
        for e in self.engines: self.fill(e)

    def ours(self, program):
        """A record with one doctor, who protects the tables, and the patients that `patient=` needs."""
        path, build_folder = os.path.join(self.folder, 'record.db'), self.args.build
        keys = [os.path.join(self.folder, name + '.dmpkey') for name in ('authority', 'doctor', 'kdf')]
        with contextlib.closing(connect(path, build_folder)) as authority:
            authority.execute('PRAGMA page_size=%d' % PAGE)
            authority.execute('PRAGMA journal_mode=WAL')
            fingerprint = one(authority, "SELECT dmp_create(?,?,NULL,'kdf=1x8')", keys[0], PIN)
            one(authority, 'SELECT dmp_login(?,?)', keys[0], PIN)
            doctor = enrol(authority, path, build_folder, fingerprint, keys[1], 'doctor', '10', 1)
            one(authority, 'SELECT dmp_keygen(?,?)', keys[2], PIN)    # with the usual cost
        with contextlib.closing(connect(path, build_folder)) as c:
            one(c, 'SELECT dmp_login(?,?)', keys[1], PIN)
            for i in range(FOLLOWED):
                c.execute("INSERT INTO patient(birth_name,given_names,birth_date,sex,treating_doctor,credential,pin) "
                          "VALUES(?,'Marie','1970-01-02','F',?,?,?)",
                          ('NOM%05d' % i, doctor, os.path.join(self.folder, '%d.dmpkey' % i), PIN))
            self.patients = [p for p, in c.execute('SELECT id FROM patient ORDER BY id')]
        self.kdf_key = keys[2]
        return Engine('dmp', program, path, build_folder, '', keys[1])

    def fill(self, e):
        e.do(*TABLES)
        e.protect('visit', 'note,label')
        e.protect('letter', 'note,label')
        e.protect('person', 'name')
        before = e.bytes()
        e.fill(self.n['visit'], self.n['person'], INSERT % 'visit')
        e.fill(self.n['person'], 1, 'INSERT INTO person VALUES(:next,1970,:label)')
        e.size = e.bytes() - before
        e.fill(self.n['letter'], self.n['person'], INSERT % 'letter')
        e.do(*('INSERT INTO known VALUES(%d,%d)' % pair for pair in enumerate(self.patients, 1)))
        e.fill(self.n['tagged'], 1, 'INSERT INTO tagged VALUES(:next,:label)')
        e.protect('tagged', 'label', 'index=label')  # with its rows: a column of few values is refused
        if not e.key: e.do('CREATE INDEX tagged_label ON tagged(label)')
        e.protect('followed', 'note,label', 'patient=patient')
        if 'followed' not in e.lacks: e.fill(self.n['followed'], FOLLOWED, INSERT_FOLLOWED)

    def head(self):
        n, ours = self.n, self.engines[0]
        print('%d visits of %d persons (200 + 40 bytes sealed); medians of %d rounds, engines in turns' % (n['visit'], n['person'], self.args.rounds))
        print('everywhere: page %d, cache %d KiB, WAL, synchronous NORMAL, secure_delete OFF, temp_store MEMORY; %s; %s'
              % (PAGE, CACHE_KIB, platform.machine(), 'time on a processor' if Client.clock == 'processor' else 'wall clock'))
        print('  dmp and plain: SQLite %s (Debian\'s library)' % ours.c.value('SELECT sqlite_version()'))
        for rival, e in zip(self.args.rivals, self.engines[2:]):
            print('  %s: %s with SQLite %s; KDF: %s' % (e.name, e.c.value(rival.its_version), e.c.value('SELECT sqlite_version()'), rival.kdf))
            if rival.cipher and e.c.value('PRAGMA cipher') != rival.cipher: sys.exit('bench: %s has another cipher' % e.name)
        for e in self.engines:
            got = [e.c.value('PRAGMA ' + p) for p in ('page_size', 'cache_size', 'journal_mode', 'synchronous', 'secure_delete')]
            if got != [str(PAGE), str(-CACHE_KIB), 'wal', '1', '0']: sys.exit('bench: %s is set otherwise: %s' % (e.name, got))
        print('\n  %-54s %-9s %s' % ('time / the rival\'s time', 'dmp', ' '.join('%-22s' % e.name for e in self.engines[1:])), flush=True)

    def line(self, work, mine, ratios, budget):
        """ratios: of one name each, in the order of the columns."""
        cells = []
        for name, r in ratios.items():
            limit = budget.get(name)
            self.missed += limit is not None and r > limit
            cells.append('%-22s' % ('%.2f' % r + (' ≤ %g %s' % (limit, 'met' if r <= limit else 'MISSED') if limit else '')))
        print('  %-54s %-9s %s' % (work, mine, ' '.join(cells).rstrip()), flush=True)

    def measure(self, row):
        if row.table in self.engines[0].lacks: return print('  %-54s not in this build' % row.work, flush=True)
        t = {e.name: [] for e in self.engines}
        for i in range(self.args.rounds):
            turn = i % len(self.engines)
            for e in self.engines[turn:] + self.engines[:turn]: t[e.name].append(row.do(e, self.n, i))
        mine = median(t.pop('dmp'))
        self.line(row.work, ms([mine]), {name: mine / median(of) for name, of in t.items()}, row.budget)
        return mine, t

    def run(self):
        self.head()
        for row in ROWS:
            if not any(word in row.work for word in self.args.only or ('',)): continue
            got = self.measure(row)
            if row.do is opening: self.whole_opening(*got)
        mine = self.engines[0].size
        self.line('size of visits and persons', '%d MiB' % (mine / MIB), {e.name: mine / e.size for e in self.engines[1:]}, {})
        print('%d missed' % self.missed)

    def whole_opening(self, after, t):
        kdf = median([self.engines[0].c.login(self.kdf_key, 'un-autre-code') for _ in range(3)])
        self.line('  with our own KDF (Argon2id, 3 passes x 256 MiB)', ms([kdf + after]),
                  {name: (kdf + after) / median(of) for name, of in t.items()}, {})

    def close(self):
        for e in self.engines: e.close()
