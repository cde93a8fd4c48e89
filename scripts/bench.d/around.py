"""The people around the patient, measured: an episode masked, a person granted, who can read one document, a departure from a team, the login of
who is in three teams. Two records, one of ten times as many patients; in each one patient of ten times as many documents. What must be flat in
the file is compared between the records, what must be linear in one patient between the patients."""
import hashlib, os, signal, subprocess, sys, time

from common import PIN, Client, Table, compile_client, connect, enrol, median, ms, note, one

EPISODE, SHORT, LONG = 20, 50, 680                   # objects of an episode; other documents of a patient, and of one with ten times as many in all
FLAT, LINEAR = 1.1, 12.5
CACHE_KIB = 256 << 10                                # holds either file: pages that SQLite has to fetch again are another question
LOGIN = 'import sys\nsys.path.insert(0, sys.argv[1])\nfrom common import PIN, connect, one\none(connect(sys.argv[2], sys.argv[3]), "SELECT dmp_login(?,?)", sys.argv[4], PIN)\n'


class Practice:
    """n patients of one treating doctor, each of them consented to three teams of nurses."""

    def __init__(self, folder, build, n):
        os.makedirs(os.path.join(folder, 'keys'))
        self.folder, self.build, self.n, self.path = folder, build, n, os.path.join(folder, 'record.db')
        began = time.monotonic()
        a = connect(self.path, build)
        a.execute('PRAGMA journal_mode=WAL')
        fingerprint = one(a, "SELECT dmp_create(?,?,NULL,'kdf=1x8')", self.key('authority'), PIN)
        one(a, 'SELECT dmp_login(?,?)', self.key('authority'), PIN)
        self.id = {name: enrol(a, self.path, build, fingerprint, self.key(name), name, profession, registrar)
                   for name, profession, registrar in (('doctor', '10', 1), ('boss', '60', 0), ('nurse', '60', 0), ('leaver', '60', 0), ('guest', '21', 0))}
        for team in ('one', 'two', 'three'):
            a.execute("INSERT INTO principal(kind,name,profession,facility) VALUES('team',?,'60','SA01')", (team,))
            self.id[team] = one(a, 'SELECT last_insert_rowid()')
            a.execute('INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (self.id[team], self.id['boss']))
        a.close()
        boss = self.login('boss')
        for team in ('one', 'two', 'three'):
            for who in ('nurse', 'leaver')[:2 if team == 'one' else 1]: boss.execute('INSERT INTO membership(team,member) VALUES(?,?)', (self.id[team], self.id[who]))
        boss.close()
        self.fill()
        note('  %d patients: %.0f s' % (n, time.monotonic() - began))

    def key(self, name): return os.path.join(self.folder, name + '.dmpkey')

    def login(self, who):
        c = connect(self.path, self.build)
        c.execute('PRAGMA synchronous=NORMAL')
        one(c, 'SELECT dmp_login(?,?)', self.key(who), PIN)
        return c

    def fill(self):
        d, self.patient = self.login('doctor'), []
        for i in range(self.n):
            if i % 100 == 0: d.execute('BEGIN')
            key = os.path.join(self.folder, 'keys', '%d.dmpkey' % i)
            d.execute("INSERT INTO patient(birth_name,given_names,birth_date,sex,treating_doctor,credential,pin) VALUES(?,'Marie','1970-01-02','F',?,?,?)",
                      ('NOM%05d' % i, self.id['doctor'], key, PIN))
            patient = one(d, 'SELECT last_insert_rowid()')
            self.patient.append(patient)
            for team in ('one', 'two', 'three'): d.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (patient, self.id[team]))
            for n in range({0: SHORT, 1: LONG}.get(i, 1)): self.deposit(d, patient, None)
            if i < 2:
                for n in range(EPISODE): self.deposit(d, patient, 'acte')
            if i % 100 == 99 or i == self.n - 1: d.execute('COMMIT')
        d.close()

    def deposit(self, d, patient, episode):
        d.execute("INSERT INTO document(patient,content,title,type_code,mime,episode) VALUES(?,x'01','Compte rendu','11488-4','text/plain',?)", (patient, episode))


class Around:
    deposit = "INSERT INTO document(patient,content,title,type_code,mime,episode) VALUES(%d,x'01','Compte rendu','11488-4','text/plain','e%d')"

    def __init__(self, args, folder):
        self.args, self.rounds, self.table, self.build = args, max(args.rounds, 7), Table(), args.build
        self.program = os.path.join(folder, 'client')
        compile_client(self.program)
        note('practices (credentials with Argon2id 1 pass x 8 MiB):')
        self.small, self.big = (Practice(os.path.join(folder, name), args.build, n) for name, n in (('small', args.patients // 10), ('big', args.patients)))
        self.client = {p: Client(self.program, p.path, args.build, CACHE_KIB) for p in (self.small, self.big)}

    def growth(self, work, a, b, limit):
        self.table.row('  ' + work, '%s -> %s (%.2f)' % (ms(a), ms(b), median(b) / median(a)), '≤ %g ×' % limit if limit else '', median(b) <= limit * median(a) if limit else None)

    def pairs(self, work, do, undo, who='doctor', flat='file × 10', patient='patient × 10', limit=LINEAR):
        """do, undo: statements of (practice, patient); in turns on the short patient of both files and on the long one of the larger."""
        t = {}
        for p, c in self.client.items():
            c.login(p.key(who))
            c.time('PRAGMA wal_autocheckpoint=0')    # what the long patient's turn leaves is not the short one's cost
        for _ in range(self.rounds):
            for p, which in ((self.small, 0), (self.big, 0), (self.big, 1)):
                c = self.client[p]
                t.setdefault((p, which), []).append(c.time(do(p, p.patient[which])))
                if undo: c.time(undo(p, p.patient[which]))
        self.growth('%s: %s (flat)' % (work, flat), t[self.small, 0], t[self.big, 0], FLAT)
        self.growth('%s: %s' % (work, patient), t[self.big, 0], t[self.big, 1], limit)

    def access(self):
        docs = {(p, i): int(self.value(p, 'SELECT max(id) FROM document WHERE patient=%d' % p.patient[i])) for p in self.client for i in (0, 1)}
        which = {patient: docs[p, i] for p in self.client for i, patient in enumerate(p.patient[:2])}
        self.pairs('who can read one document', lambda p, patient: 'SELECT principal,why FROM access_right WHERE document=%d' % which[patient], None, patient='of a record × 10 (flat)', limit=FLAT)

    def value(self, p, sql):
        self.client[p].login(p.key('doctor'))
        return self.client[p].value(sql)

    def departure(self):
        """A member leaves; the treating doctor's next login turns the keys of every patient, each in a transaction of its own. Killed, the next goes on."""
        t = {}
        for p in (self.small, self.big):
            boss = p.login('boss')
            began = time.perf_counter()
            boss.execute('DELETE FROM membership WHERE team=? AND member=?', (p.id['one'], p.id['leaver']))
            left = time.perf_counter() - began
            boss.close()
            if p is self.big:                        # killed three times on the way
                for _ in range(3):
                    child = subprocess.Popen([sys.executable, '-c', LOGIN, os.path.dirname(os.path.abspath(__file__)), p.path, self.build, p.key('doctor')])
                    time.sleep(t[self.small][1])
                    child.send_signal(signal.SIGKILL)
                    child.wait()
            began = time.perf_counter()
            d = p.login('doctor')
            t[p] = (left, time.perf_counter() - began, one(d, 'SELECT owed FROM session'), one(d, "SELECT count(*) FROM dmp_verify WHERE kind='fault'"))
            d.close()
        (_, small, owed, faults), (left, big, owed_big, faults_big) = t[self.small], t[self.big]
        self.table.row('  a departure signed, %d patients' % self.big.n, ms([left]))
        self.table.row('  the doctor\'s next login: file × 10, killed three times (linear)', '%.2f s -> %.2f s' % (small, big), '≤ %g ×' % LINEAR, big <= LINEAR * small)
        self.table.row('  then owed, faults of dmp_verify', '%d, %d' % (owed + owed_big, faults + faults_big), '0, 0', owed + owed_big + faults + faults_big == 0)

    def three_teams(self):
        t, rival = {p: [] for p in self.client}, []
        for p, c in self.client.items():             # first grants are adopted, a thousand of a team at each login
            for _ in range(p.n // 1000 + 2): c.login(p.key('nurse'))
        for _ in range(self.rounds):
            for p, c in self.client.items():
                kdf = min(c.login(p.key('nurse'), 'un-autre-code') for _ in range(3))
                t[p].append(c.login(p.key('nurse')) + c.time('SELECT * FROM patient LIMIT 1', 1) - kdf)
            began = time.perf_counter()
            hashlib.pbkdf2_hmac('sha512', PIN.encode(), b'sel de seize oct', 256000)
            rival.append(time.perf_counter() - began)
        self.table.ratio('login of a member of three teams, %d patients, after the KDF / SQLCipher*' % self.big.n, t[self.big], rival, 0.6, '  (%s / %s)' % (ms(t[self.big]), ms(rival)))
        self.growth('the same: file × 10 (linear)', t[self.small], t[self.big], LINEAR)

    def run(self):
        print('%d patients, each consented to three teams; cache %d MiB; medians of %d' % (self.big.n, CACHE_KIB >> 10, self.rounds))
        self.table.head('The people around a patient')
        self.three_teams()
        self.pairs('mask of an episode of %d objects' % EPISODE, lambda p, i: "INSERT INTO mask(patient,episode) VALUES(%d,'acte')" % i,
                   lambda p, i: "DELETE FROM mask WHERE patient=%d AND episode='acte' AND document IS NULL" % i, patient='the patient\'s own record × 10 (flat)', limit=FLAT)
        n = iter(range(1 << 30))
        self.pairs('a document of a new episode deposited', lambda p, i: self.deposit % (i, next(n)), None, patient='patient × 10 (a mark compared for each row)')
        self.pairs('a new person granted', lambda p, i: 'INSERT INTO consent(patient,grantee) VALUES(%d,%d)' % (i, p.id['guest']),
                   lambda p, i: 'DELETE FROM consent WHERE patient=%d AND grantee=%d' % (i, p.id['guest']))
        self.access()
        for c in self.client.values(): c.close()
        self.departure()
        print('\n* stand-in: PBKDF2-HMAC-SHA512 with 256,000 iterations by hashlib')
        print('%d missed' % self.table.missed)
