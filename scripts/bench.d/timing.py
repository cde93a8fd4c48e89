"""Masked equals absent, in time: two records with the same history, except that an act (a report, its prescription, its reimbursement line) was
deposited and masked, masked to certain people, or hidden from representatives, in one with this patient and in the other with somebody else, whom the observer does not
know: the files are as long, only the patient asked about differs. The same statements on both, by one who may not see it, pair by pair in random
order; Welch's t of the two times. |t| < 4.5 passes (the usual bound for such tests, e.g. dudect): a difference that an observer could see
in so many pairs would be above. As a control, one who may see the act asks the same: there |t| must be far above.
Both records are attached to one connection, in a program of its own, that is begun anew 100 times with the two changing places: where
things happen to lie in memory must not look like an answer. Times above the 95th percentile of both together are the machine's (another program, the
disk) and are left out, as dudect does; t of all, which is far coarser, stands beside. Statistical: no test of scripts/check, for on a busy
machine, or where a row happens to lie in another page, one run in many misses by itself."""
import math, os, random, statistics

from common import Client, Table, connect, enrol, note, one, compile_client, PIN

PROGRAMS = 100
FROM = ('person', 'profession', 'team')                # acts that are masked to certain people only
BOUND = 4.5
# What the observer asks; %(at)s is the record, %(p)d the patient, %(id)d the id of the act's report; in the other record the number
# after one, which is nothing's: ids are times, and the two records were not made at the same.
QUESTIONS = (
    ('list one patient', 'SELECT title FROM %(at)s.document WHERE patient=%(p)d'), ('count', 'SELECT count(*),max(id) FROM %(at)s.document'),
    ('prescriptions of an episode', "SELECT * FROM %(at)s.prescription WHERE patient=%(p)d AND episode='e7'"),
    ('its id', 'SELECT title FROM %(at)s.document WHERE id=%(id)d'), ('its title', "SELECT id FROM %(at)s.document WHERE title LIKE '%%KANARI%%'"),
    ('its bytes (refused, logged)', "SELECT dmp_read(%(id)d,0,100,'%(at)s')"), ('mask it (refused)', 'INSERT INTO %(at)s.mask(document) VALUES(%(id)d)'))


class Twin:
    def __init__(self, folder, build, act, here):
        """here: 1, the act is the patient's; 0: another's."""
        os.makedirs(folder)
        self.folder, self.path, self.build = folder, os.path.join(folder, 'record.db'), build
        self.key = lambda who: os.path.join(folder, who + '.dmpkey')
        authority = connect(self.path, build)
        authority.execute('PRAGMA journal_mode=WAL')
        fingerprint = one(authority, "SELECT dmp_create(?,?,NULL,'kdf=1x8')", self.key('authority'), PIN)
        one(authority, 'SELECT dmp_login(?,?)', self.key('authority'), PIN)
        self.id = {name: enrol(authority, self.path, build, fingerprint, self.key(name), name, profession, registrar)
                   for name, profession, registrar in (('treating', '10', 1), ('gynaecologist', '10', 0), ('pharmacist', '21', 0), ('member', '21', 0))}
        authority.execute("INSERT INTO principal(kind,name,profession) VALUES('team','Officine','21')")
        self.id['team'] = one(authority, 'SELECT last_insert_rowid()')
        authority.execute('INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (self.id['team'], self.id['member']))
        self.login('member').close()
        request = one(authority, "SELECT dmp_keygen(?,?,'kdf=1x8')", self.key('mother'), PIN)
        authority.execute("INSERT INTO principal(kind,name,certificate) VALUES('representative','MERE',?)", (request,))
        self.id['mother'] = one(connect(self.path, build), 'SELECT dmp_login(?,?,NULL,NULL,?)', self.key('mother'), PIN, fingerprint)
        authority.close()
        self.history(act, here)

    def login(self, who):
        c = connect(self.path, self.build)
        one(c, 'SELECT dmp_login(?,?)', self.key(who), PIN)
        return c

    def register(self, t, name):
        t.execute("INSERT INTO patient(birth_name,given_names,birth_date,sex,treating_doctor,credential,pin) VALUES(?,'Marie','1970-01-02','F',?,?,?)",
                  (name.upper(), self.id['treating'], self.key(name), PIN))
        patient = one(t, 'SELECT last_insert_rowid()')
        c = self.login(name)
        c.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (patient, self.id['gynaecologist']))
        return patient, c

    def history(self, act, here):
        t = self.login('treating')
        self.patient, me = self.register(t, 'patient')
        other, somebody = self.register(t, 'somebody')
        me.execute("INSERT INTO representative(patient,principal,ground) VALUES(?,?,'tuteur')", (self.patient, self.id['mother']))
        for n in range(10): self.deposit(t, self.patient, 'Consultation %d' % n, 'e%d' % (n % 3))
        g, hidden, whose, who = self.login('gynaecologist'), int(act == 'hidden'), *((self.patient, me) if here else (other, somebody))
        self.act = self.deposit(g, whose, 'KANARI-IVG', 'e7', hidden)
        for table, columns in (('prescription', 'prescribed_at,label'), ('reimbursement', 'care_date,label')):
            g.execute("INSERT INTO %s(patient,episode,hidden_from_representatives,%s) VALUES(?,'e7',?,'2026-03-01','KANARI')" % (table, columns), (whose, hidden))
        if act == 'masked': who.execute("INSERT INTO mask(patient,episode) VALUES(?,'e7')", (whose,))
        grantee = {'person': self.id['pharmacist'], 'profession': 'profession:21', 'team': self.id['team']}.get(act)
        if grantee: who.execute("INSERT INTO mask(patient,episode,grantee) VALUES(?,'e7',?)", (whose, grantee))
        for name in ('patient', 'somebody'): self.login(name).close()                           # what waited is settled
        me = self.login('patient')
        me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.patient, self.id['team' if act == 'team' else 'pharmacist']))
        for n in range(3): self.deposit(t, self.patient, 'Suite %d' % n, None)
        for name in ('pharmacist', 'member', 'mother', 'treating', 'patient'): self.login(name).close()   # grants and packets are adopted
        for c in (t, g, me, somebody): c.close()

    def deposit(self, c, patient, title, episode, hidden=0):
        c.execute("INSERT INTO document(patient,content,title,type_code,mime,episode,hidden_from_representatives) VALUES(?,?,?,'11488-4','text/plain',?,?)",
                  (patient, b'corps' * 100, title, episode, hidden))
        return one(c, 'SELECT last_insert_rowid()')


def welch(a, b):
    va, vb = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    return (statistics.fmean(a) - statistics.fmean(b)) / math.sqrt(va + vb) if va + vb else 0.0


def cropped(a, b):
    top = sorted(a + b)[int(0.95 * (len(a) + len(b)))]
    return [x for x in a if x <= top], [x for x in b if x <= top]


class Timing:
    def __init__(self, args, folder):
        self.pairs, self.table, self.build = args.pairs, Table(), args.build
        self.program = os.path.join(folder, 'client')
        compile_client(self.program)
        note('twins, credentials with Argon2id 1 pass x 8 MiB')
        self.twins = {act: [Twin(os.path.join(folder, '%s-%d' % (act, here)), args.build, act, here) for here in (1, 0)] for act in ('masked', 'hidden') + FROM}

    def session(self, who, first, second):
        """One program with both records attached, logged in; what each is called depends on the turn, not on what it holds."""
        c = Client(self.program, ':memory:', self.build)
        for at, twin in (('x', first), ('y', second)):
            c.ask("exec ATTACH '%s' AS %s" % (twin.path, at))
            c.ask("time SELECT dmp_login('%s','%s','%s')" % (twin.key(who), PIN, at))
        return c

    def ask(self, c, sql):
        return int(c.answer('time ' + sql)[1].split(' ', 1)[0])

    def measure(self, act, who, pairs):
        """question -> (times with the act, times without)."""
        got = {q: ([], []) for q, _ in QUESTIONS}
        with_act, without, rng = *self.twins[act], random.Random(7)
        for turn in range(PROGRAMS):
            first, second = (with_act, without) if turn % 2 else (without, with_act)
            c = self.session(who, first, second)
            sql = {(q, twin): text % {'at': at, 'p': twin.patient, 'id': twin.act + (twin is without)} for q, text in QUESTIONS
                   for at, twin in (('x', first), ('y', second))}
            for text in sql.values(): self.ask(c, text)             # the day's line of a listing is written, caches are warm
            for n in range(-(-pairs // PROGRAMS)):
                for q, _ in QUESTIONS:
                    both = [(0, with_act), (1, without)]
                    if rng.random() < 0.5: both.reverse()
                    for side, twin in both: got[q][side].append(self.ask(c, sql[q, twin]))
            c.close()
        return got

    def row(self, q, a, b, good, budget):
        t = welch(*cropped(a, b))
        self.table.row(q, 't = %+.2f (%+.2f); %.4g, %.4g µs' % (t, welch(a, b), statistics.median(a) / 1e3, statistics.median(b) / 1e3), budget, good(abs(t)))

    def run(self):
        print('%d interleaved pairs a row; Welch\'s t without times above the 95th percentile (and of all); medians' % self.pairs)
        for act, who, title in (('masked', 'pharmacist', 'A masked act / where it never was, asked by a consented pharmacist'),
                                ('hidden', 'mother', 'An act hidden from representatives / where it never was, asked by one'),
                                ('person', 'pharmacist', 'An act masked to one pharmacist / where it never was, asked by him'),
                                ('profession', 'pharmacist', 'An act masked to all pharmacists / where it never was, asked by one'),
                                ('team', 'member', 'An act masked to a team / where it never was, asked by a member')):
            self.table.head(title)
            for q, (a, b) in self.measure(act, who, self.pairs).items():
                self.row(q, a, b, lambda t: t < BOUND, '|t| < %g' % BOUND)
        self.table.head('Control: the same of the masked act, asked by the treating doctor, who sees it')
        for q, (a, b) in self.measure('masked', 'treating', self.pairs).items():
            if q not in ('list one patient', 'its id', 'its title'): continue
            self.row(q, a, b, lambda t: t > BOUND, '|t| > %g' % BOUND)
        print('%d missed' % self.table.missed)
