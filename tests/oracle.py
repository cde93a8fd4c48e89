#!/usr/bin/python3
"""Random histories of one shared record, played through the extension and through oracle_model.py side by side: after each step every identity must
see exactly what the model says, and be refused exactly what the model refuses; at the end of each history also through a mount. The clock moves, and
the host puts older copies of the files in their place.
  oracle.py [--histories 200] [--steps 100] [--seed N] [--so build/dmp.so] [--dmpfs build/dmpfs] [--mutate]
A failing history is shrunk and printed; --first I --histories 1 with the printed seed plays it again.
--mutate: one random row of our rules (rights.tsv, holders.tsv, grounds.tsv) is changed and the extension built with it; the oracle must notice
within 50 histories.  --mutate-all: every row of holders.tsv and grounds.tsv, one after the other."""
import argparse, collections, copy, datetime, glob, os, random, re, select, shutil, sqlite3, subprocess, sys, tempfile, time

sys.dont_write_bytecode = True
import oracle_model as model

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLOCK = None if 'asan' in os.environ.get('LD_PRELOAD', '') else (glob.glob('/usr/lib/*/faketime/libfaketime.so.1') + [None])[0]
FAKED = 'FAKETIME' in os.environ                     # main() starts the program again, under libfaketime
TODAY = datetime.date(2026, 3, 1).toordinal() if FAKED else datetime.date.today().toordinal()
PIN = 'oracle-pin-1234'
DOCTORS = ['doctor1', 'doctor2']
PROFESSIONALS = DOCTORS + ['pharmacist', 'nurse', 'stranger']
STAFF = ['secretary']
PATIENTS = ['patient1', 'patient2']
REPRESENTATIVES = ['mother', 'guardian']
IDENTITIES = ['authority'] + PROFESSIONALS + STAFF + PATIENTS + REPRESENTATIVES
NO_SUCH_ID = 987654321
UID = '1.2.250.1.999.%d'
EPISODES = ['e1', 'e2', 'e3']
TEAMS = {'desk': (21, 'pharmacist'), 'ward': (10, 'doctor1')}              # role, first manager
SECTIONS = {'prescription': ('57833-6', 'prescribed_at'), 'reimbursement': ('REMB', 'care_date')}   # the type whose readers its lines have
# The refusals of a right, a unique value or an absent item. Any other error is a failure, whatever the model says.
REFUSALS = {'dmp-E%03d' % n for n in (41, 42, 43, 44, 45, 46, 47, 48, 56, 62, 72, 74, 88, 95, 96, 99, 100, 101, 103, 111, 116, 117, 118, 119, 120, 121,
                                       122, 123)}
DAY = "CAST(julianday(until) - 1721424.5 AS INTEGER)"                          # as Python counts them
LINE = "SELECT '%s', patient, masked || hidden_from_representatives, episode, label, NULL FROM %s UNION ALL "
VIEWS = (''.join(LINE % (t, t) for t in SECTIONS) + """
  SELECT 'document', patient, unique_id, masked || hidden_from_representatives || invisible_patient, availability, title FROM document
  UNION ALL SELECT 'patient', id, treating_doctor, NULL, NULL, NULL FROM patient
  UNION ALL SELECT 'consent', patient, grantee, basis, DAY(until), NULL FROM consent
  UNION ALL SELECT 'blocked', patient, professional, NULL, NULL, NULL FROM blocked
  UNION ALL SELECT 'representative', patient, principal, ground, DAY(until), NULL FROM representative
  UNION ALL SELECT 'membership', team, member, manager, DAY(until), NULL FROM membership
              WHERE until IS NULL OR until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
  UNION ALL SELECT 'mask', patient, coalesce(document, episode), grantee, NULL, NULL FROM mask""").replace("DAY(until)", DAY)

Step = collections.namedtuple('Step', 'who verb args undone')        # undone: inside a transaction that is rolled back
History = collections.namedtuple('History', 'professions patients teams steps')

# What each step is in SQL: arguments by name; an item is named by its label, a day by its number.
MASK = "DELETE FROM mask WHERE %s AND grantee IS :out"
STATEMENTS = {
    'consent': 'INSERT INTO consent(patient, grantee, until) VALUES(:patient, :grantee, :until)',
    'withdraw': 'DELETE FROM consent WHERE patient=:patient AND grantee=:grantee',
    'block': 'INSERT INTO blocked(patient, professional) VALUES(:patient, :person)',
    'unblock': 'DELETE FROM blocked WHERE patient=:patient AND professional=:person',
    'represent': 'INSERT INTO representative(patient, principal, ground, until) VALUES(:patient, :representative, :ground, :until)',
    'unrepresent': 'DELETE FROM representative WHERE patient=:patient AND principal=:representative',
    'treating': 'UPDATE patient SET treating_doctor=:doctor WHERE id=:patient',
    'join': 'INSERT INTO membership(team, member, manager, until) VALUES(:team, :member, :manager, :until)',
    'leave': "DELETE FROM membership WHERE team=:team AND member=:member AND (until IS NULL OR until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
    'delete': 'DELETE FROM {table} WHERE id=:label',
    'announce': 'UPDATE document SET invisible_patient=0 WHERE id=:label',
    'reveal': 'UPDATE {table} SET hidden_from_representatives=0 WHERE id=:label',
    'mask': 'INSERT INTO mask(patient, document) VALUES(:patient, :label)',
    'mask_to': 'INSERT INTO mask(patient, document, grantee) VALUES(:patient, :label, :out)',
    'mask_episode': 'INSERT INTO mask(patient, episode) VALUES(:patient, :episode)',
    'mask_episode_to': 'INSERT INTO mask(patient, episode, grantee) VALUES(:patient, :episode, :out)',
    'unmask': 'DELETE FROM mask WHERE document=:label AND grantee IS NULL',
    'unmask_to': 'DELETE FROM mask WHERE document=:label AND grantee=:out',
    'unmask_episode': 'DELETE FROM mask WHERE patient=:patient AND episode=:episode AND document IS NULL AND grantee IS NULL',
    'unmask_episode_to': 'DELETE FROM mask WHERE patient=:patient AND episode=:episode AND document IS NULL AND grantee=:out',
    'document': """INSERT INTO document(patient, unique_id, title, type_code, episode, masked, replaces, hidden_from_representatives, invisible_patient,
                   mime, content) VALUES(:patient, :uid, :title, :type_code, :episode, :masked, :replaces, :hidden, :invisible, 'text/plain', :title)"""}
STATEMENTS.update((t, "INSERT INTO %s(patient, label, episode, masked, hidden_from_representatives, %s) "
                   "VALUES(:patient, :title, :episode, :masked, :hidden, '2026-03-12')" % (t, day)) for t, (_, day) in SECTIONS.items())


class Failure(Exception):
    pass


# ---- making histories ----

# verb: its weight, from whom most steps come (the rest from anybody) and how many of them
OFTEN = {'deposit': (40, 'patient', 0.4), 'consent': (12, 'full', 0.8), 'withdraw': (6, 'full', 0.8), 'mask': (9, 'holder', 0.8), 'unmask': (7, 'holder', 0.8),
         'treating': (4, 'patient', 0.8), 'delete': (5, 'depositor', 0.6), 'login': (9, 'full', 0.8), 'mask_episode': (6, 'full', 0.8),
         'unmask_episode': (5, 'full', 0.8), 'represent': (5, 'full', 0.8), 'unrepresent': (4, 'full', 0.8), 'announce': (6, 'depositor', 0.6),
         'reveal': (6, 'holder', 0.8), 'join': (6, 'manager', 0.8), 'leave': (6, 'manager', 0.8), 'block': (3, 'full', 0.8), 'unblock': (3, 'full', 0.9),
         'clock': (5, 'host', 1), 'keep': (3, 'host', 1), 'replay': (3, 'host', 1),
         'mask_to': (16, 'holder', 0.8), 'unmask_to': (8, 'holder', 0.8), 'mask_episode_to': (6, 'full', 0.8), 'unmask_episode_to': (4, 'full', 0.8)}
GRANTEES = PROFESSIONALS + STAFF + 2 * list(TEAMS)
OUT = PROFESSIONALS + ['profession:10', 'profession:21', 'profession:60', 'treating', 'treating', 'desk', 'ward']


def rarely(rng, one_in, odd, usual):
    return odd if rng.random() < 1 / one_in else rng.choice(usual)


def made_args(rng, verb, i, day, deposits, steps):
    """The arguments of one step."""
    patient, until = rng.choice(PATIENTS), day + rng.randrange(1, 45) if rng.random() < 0.35 else None
    label = rng.choice(deposits + [None])
    of = dict(label=label and label['label'], patient=label['patient'] if label and rng.random() < 0.95 else patient)
    if verb == 'deposit':
        uid, replaces = UID % (rng.randrange(i + 1) if rng.random() < 0.08 else i), None
        if label and rng.random() < 0.15:
            patient, replaces = label['patient'], UID % int(label['label'][1:])
        table, type_code = rng.choice([('document', rng.choice(model.LISTED + model.UNLISTED))] * 3 + [(t, x[0]) for t, x in SECTIONS.items()])
        return dict(label='d%d' % i, table=table, patient=patient, uid=uid, title='Titre-%d-' % i, type_code=type_code, episode=rng.choice([None] + EPISODES),
                    masked=rng.random() < 0.15, replaces=replaces if table == 'document' else None, hidden=rng.random() < 0.2,
                    invisible=table == 'document' and rng.random() < 0.2)
    if verb == 'consent':
        return dict(patient=patient, grantee=rarely(rng, 20, 'authority', GRANTEES), until=until)
    if verb in ('withdraw', 'block', 'unblock'):
        return {'patient': patient, 'grantee' if verb == 'withdraw' else 'person': rarely(rng, 20, 'authority', GRANTEES if verb == 'withdraw' else PROFESSIONALS + STAFF)}
    if verb in ('join', 'leave'):
        args = dict(team=rng.choice(list(TEAMS)), member=rarely(rng, 7, rng.choice(['patient1'] + STAFF), PROFESSIONALS))
        if verb == 'join':
            args['manager'] = rng.random() < 0.3
            args['until'] = None if args['manager'] else until
        return args
    if verb in ('represent', 'unrepresent'):
        args = dict(patient=patient, representative=rarely(rng, 20, 'nurse', REPRESENTATIVES))
        return dict(args, ground=rng.choice(list(model.GROUNDS)), until=until) if verb == 'represent' else args
    if verb == 'treating':
        return dict(patient=patient, doctor=rng.choice(DOCTORS + DOCTORS + ['stranger', None]))
    if verb == 'clock':
        return dict(day=day + rng.choice([1, 7, 20, 35]))
    if verb == 'replay':
        return dict(back=rng.randrange(3), log=rng.random() < 0.5)
    if verb in ('login', 'keep'):
        return {}
    of = dict(patient=patient, episode=rng.choice(EPISODES)) if 'episode' in verb else of if verb in ('mask', 'mask_to') else dict(label=of['label'])
    if verb[-3:] == '_to':
        of['out'] = rarely(rng, 30, 'mother', OUT)
        mine = [s.args for s in steps if s.verb == verb[2:]]
        if verb[:2] == 'un' and mine and rng.random() < 0.8:               # unmasks what was masked, mostly
            of = {name: value for name, value in rng.choice(mine).items() if name in of}
    return of


def made_by(rng, verb, args, deposits):
    _, by, part = OFTEN[verb]
    item = next((d for d in deposits if d['label'] == args.get('label')), {})
    patient = args.get('patient') or item.get('patient') or rng.choice(PATIENTS)
    if by == 'host' or rng.random() >= part:
        return by if by == 'host' else rng.choice(IDENTITIES)
    if by == 'depositor':
        return item.get('who') or rng.choice(IDENTITIES)
    return {'patient': patient, 'full': rng.choice([patient] + DOCTORS), 'holder': rng.choice([patient] * (2 if verb[-3:] == '_to' else 1) + DOCTORS),
            'manager': TEAMS[args['team']][1] if 'team' in args else None}[by]


def make_history(rng, n):
    professions = {'doctor1': 10, 'doctor2': 10, 'pharmacist': 21, 'nurse': 60, 'stranger': rng.choice([39, 39, 39, 40, 40, 40, 10, 26]), 'secretary': 'staff'}
    majority = lambda: (datetime.date.fromordinal(TODAY + rng.randrange(5, 200)).replace(day=14)).toordinal() if rng.random() < 0.6 else None
    patients = {p: (rng.choice([None] + DOCTORS), rng.choice([None, 'doctor1', 'doctor1']), majority()) for p in PATIENTS}
    teams = {t: (role, dict({manager: True}, **{m: rng.random() < 0.3 for m in rng.sample(PROFESSIONALS, 2) if m != manager and professions[m] in (10, role)}))
             for t, (role, manager) in TEAMS.items()}
    steps = [Step(p, 'consent', dict(patient=p, grantee=who, until=None), False) for p in PATIENTS for who in sorted(set(GRANTEES)) if rng.random() < 0.4]
    steps += [Step(p, 'represent', dict(patient=p, representative=who, ground=rng.choice(list(model.GROUNDS)), until=None), False)
              for p in PATIENTS for who in REPRESENTATIVES if rng.random() < 0.4]
    some = rng.random() < 0.7                             # masks to some are played in most histories
    weights = {verb: w for verb, (w, _, _) in OFTEN.items() if (some or verb[-3:] != '_to') and (FAKED or verb != 'clock')}
    deposits, day = [], TODAY
    for i in range(len(steps), n):
        verb = rng.choices(list(weights), list(weights.values()))[0]
        args = made_args(rng, verb, i, day, deposits, steps)
        step = Step(made_by(rng, verb, args, deposits), verb, args, verb not in ('login', 'clock', 'keep', 'replay') and rng.random() < 0.06)
        day = args.get('day', day)
        if verb == 'deposit':
            deposits.append(dict(args, who=step.who))
        steps.append(step)
    return History(professions, patients, teams, steps)


# ---- the real record ----

def set_clock(day, folder=None):
    """For this process, and for the mounts of this folder."""
    now = '@%s 10:00:00' % datetime.date.fromordinal(day)
    if FAKED:
        os.environ['FAKETIME'] = now
    if FAKED and folder:
        with open(os.path.join(folder, 'clock'), 'w') as f:
            f.write(now + '\n')


def ins_of(n):
    digits = '2550814168%03d' % n
    return '%s%02d' % (digits, 97 - int(digits) % 97)


def rpps_of(n):
    body = '10100000%02d' % n
    total = sum(int(c) if i % 2 else sum(divmod(2 * int(c), 10)) for i, c in enumerate(reversed(body)))
    return body + str(-total % 10)


def iso(day):
    return day and datetime.date.fromordinal(day).isoformat()


class Record:
    """One record file and one open connection for each identity."""

    def __init__(self, so, folder, history):
        self.so, self.path, self.folder = so, os.path.join(folder, 'record.db'), folder
        self.connections, self.ids, self.tables, self.version = {}, {}, {}, None
        self.host = sqlite3.connect(self.path, isolation_level=None)
        authority = self.connect('authority')
        self.fingerprint, = authority.execute("SELECT dmp_create(?, ?, NULL, 'kdf=1x8')", (self.key('authority'), PIN)).fetchone()
        self.login('authority')
        for n, who in enumerate(PROFESSIONALS + STAFF + REPRESENTATIVES):
            kind = 'professional' if who in PROFESSIONALS else 'staff' if who in STAFF else 'representative'
            request, = self.connect(who).execute("SELECT dmp_keygen(?, ?, 'kdf=1x8')", (self.key(who), PIN)).fetchone()
            profession = '%02d' % history.professions[who] if who in PROFESSIONALS else None
            authority.execute('INSERT INTO principal(kind, identifier, name, profession, registrar, certificate) VALUES(?, ?, ?, ?, ?, ?)',
                              (kind, rpps_of(n) if profession else None, who, profession, int(who == 'doctor1') if profession else None, request))
            self.login(who)
        for team, (role, members) in history.teams.items():
            self.ids[team] = authority.execute("INSERT INTO principal(kind, name, profession) VALUES('team', ?, ?)", (team, '%02d' % role)).lastrowid
            for member, manager in members.items():
                by = authority if member == TEAMS[team][1] else self.connections[TEAMS[team][1]]
                self.run(by, STATEMENTS['join'], dict(team=team, member=member, manager=manager, until=None))
                self.login(TEAMS[team][1])
        for n, who in enumerate(PATIENTS):
            treating, creator, majority = history.patients[who]
            born = '%d%s' % (int(iso(majority)[:4]) - 18, iso(majority)[4:]) if majority else '1970-03'
            self.ids[who] = self.connections[creator or 'authority'].execute(
                "INSERT INTO patient(ins, ins_oid, birth_name, given_names, birth_date, sex, treating_doctor, credential, pin) "
                "VALUES(?, '1.2.250.1.213.1.4.10', ?, 'Anne', ?, 'F', ?, ?, ?)", (ins_of(n), who, born, self.ids.get(treating), self.key(who), PIN)).lastrowid
            self.connect(who)
            self.login(who)
        self.names = {i: who for who, i in self.ids.items()}

    def key(self, who):
        return os.path.join(self.folder, who + '.dmpkey')

    def open(self, path):
        c = sqlite3.connect(path, isolation_level=None, uri=True)
        c.enable_load_extension(True)
        c.load_extension(self.so)
        c.execute('PRAGMA temp_store=MEMORY')
        c.execute('PRAGMA synchronous=OFF')
        return c

    def connect(self, who):
        self.connections[who] = self.open(self.path)
        return self.connections[who]

    def login(self, who):
        principal, = self.connections[who].execute('SELECT dmp_login(?, ?, NULL, NULL, ?)', (self.key(who), PIN, self.fingerprint)).fetchone()
        self.ids.setdefault(who, principal)

    def changed(self):
        """Whether anybody has committed anything since this was asked."""
        before, self.version = self.version, self.host.execute('PRAGMA data_version').fetchone()
        return before != self.version

    def close(self):
        for c in [self.host] + list(self.connections.values()):
            c.close()

    def act(self, step):
        c = self.connections[step.who]
        if step.undone:
            c.execute('BEGIN')
        try:
            if step.verb == 'login':
                c.execute('SELECT dmp_logout()')
                self.login(step.who)
                return model.DONE
            return self.run(c, STATEMENTS[step.args['table'] if step.verb == 'deposit' else step.verb], step.args)
        except sqlite3.Error as e:
            if str(e)[:8] not in REFUSALS:
                raise Failure('%s: %s' % (type(e).__name__, e))
            return model.REFUSED
        finally:
            if step.undone and c.in_transaction:
                c.execute('ROLLBACK')

    def run(self, c, sql, args):
        """A statement that touches no row did nothing, and says nothing."""
        label, before = args.get('label'), c.total_changes
        values = {name: self.ids.get(value, value) if name not in ('title', 'uid', 'episode') else value for name, value in args.items()}
        values.update(label=self.ids.get(label, NO_SUCH_ID), until=iso(args.get('until')))
        done = c.execute(sql.format(table=self.tables.get(label, 'document')), values)
        if 'table' in args:
            self.tables[label], self.ids[label], self.names[done.lastrowid] = args['table'], done.lastrowid, label
        return model.DONE if c.total_changes > before else model.NOTHING

    def view(self, who, c=None):
        rows = (c or self.connections[who]).execute(VIEWS)
        return collections.Counter(tuple(self.names.get(value, value) for value in row) for row in rows)

    # ---- at the end ----

    def check_end(self, who):
        """Every body that who sees can be read, and nothing in the file is reported as altered."""
        try:
            for title, content in self.connections[who].execute('SELECT title, content FROM document'):
                if content != title.encode():
                    raise Failure('at the end: %s reads another body than the one of %s' % (who, title))
            for fault in self.connections[who].execute("SELECT * FROM dmp_verify WHERE kind='fault'"):
                raise Failure('at the end: dmp_verify tells %s: %s' % (who, fault))
        except sqlite3.Error as e:
            raise Failure('at the end: %s: %s' % (who, e))

    def leaves(self, who, patient, table):
        """How many leaves of a system class who holds: a listing opens the state of each, beside two boxes an item."""
        c, sql = self.connections[who], 'SELECT * FROM %s WHERE patient=%d' % (table, self.ids[patient])
        opened = lambda: c.execute('SELECT boxes_opened - 2 * headers_opened FROM session').fetchone()[0]
        c.execute(sql).fetchall()
        before, without = opened(), opened()                        # what the session's own row costs
        c.execute(sql).fetchall()
        return opened() - without - (without - before)

    def check_system(self, who, oracle):
        """The keys of the classes that hold no document: who is named, whose accesses he reads, of what he is told."""
        c = self.connections[who]
        for patient in PATIENTS:
            leaves, traces = oracle.system(who, patient)
            others = c.execute('SELECT count(*) FROM access_log WHERE patient=? AND principal<>?', (self.ids[patient], self.ids[who])).fetchone()[0] > 0
            told = {k: x.execute("SELECT count(*) FROM notification WHERE patient=? AND kind='representative'", (self.ids[patient],)).fetchone()[0] > 0
                    for k, x in ((who, c), (patient, self.connections[patient]))}
            got, want = (self.leaves(who, patient, 'identity'), others, told[who]), (leaves, traces, traces and told[patient])
            announced = c.execute("SELECT count(*) FROM notification WHERE patient=? AND kind='announcement'", (self.ids[patient],)).fetchone()[0]
            if traces and who != patient and not announced:         # a representative's is one leaf; all that a doctor is told from has four of each class
                more = self.leaves(who, patient, 'notification') - self.leaves(who, patient, 'access_log')
                got += (more % 4 if oracle.full_holder(who, patient) else more,)
                want += (0 if oracle.full_holder(who, patient) else 1,)
            if got != want:
                raise Failure('at the end: %s has of %s leaves of the identity, traces, notices %s, the model says %s' % (who, patient, got, want))

    # ---- the host ----

    def copies(self):
        """The record and its log as they are now."""
        made = {}
        for path in (self.path, os.path.join(self.path + '-log', 'access.db')):
            made[path] = sqlite3.connect(':memory:')
            with sqlite3.connect(path) as c:
                c.backup(made[path])
            c.close()
        return made

    def put(self, copies, log=True, folder=None):
        for path, made in copies.items():
            if log or path == self.path:
                c = sqlite3.connect(path.replace(self.folder, folder or self.folder))
                made.backup(c)
                c.close()

    def refusing(self, what, who, ask):
        """None: refused, as a file that was altered is."""
        try:
            return ask()
        except sqlite3.Error as e:
            if e.sqlite_errorcode & 0xff != sqlite3.SQLITE_CORRUPT:
                raise Failure('%s: %s: %s' % (what, who, e))
        return None

    def replay(self, kept, log, oracle):
        """An older copy in the place of the record shows nobody more than what it showed then, or is refused; the newest is put back."""
        newest, old = self.copies(), copy.deepcopy(kept[1])
        old.now = oracle.now
        self.put(kept[0], log)
        for who in IDENTITIES:
            c = self.open(self.path if log else 'file:%s?mode=ro' % self.path)       # what it owed would stand in the log that stays
            for what, session in (('a session that was open', None), ('a new login', c)):
                entered = session is None or self.refusing(what, who, lambda: c.execute('SELECT dmp_login(?, ?)', (self.key(who), PIN)).fetchone())
                if session and entered and log:
                    old.apply(who, 'login', {})
                rows = entered and self.refusing(what, who, lambda: self.view(who, session))
                more = (rows or collections.Counter()) - collections.Counter(old.view(who))
                if more:
                    raise Failure('%s of %s sees in an older copy what it did not hold: %s' % (what, who, list(more)))
            c.close()
        self.put(newest, log)

    def saved_keys(self, kept, oracle, ever):
        """The keys of an older copy, tried by everybody on everything that was written since."""
        folder = tempfile.mkdtemp(dir=self.folder)
        path = os.path.join(folder, 'record.db')
        os.mkdir(path + '-log')
        self.put(kept[0], folder=folder)
        shutil.copy(self.path + '-anchor', folder)
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute('ATTACH ? AS new', (self.path,))
        for table in ('object', 'wrap', 'chunk', 'state'):
            raw.execute('DELETE FROM main.dmp_' + table)
            raw.execute('INSERT INTO main.dmp_%s SELECT * FROM new.dmp_%s' % (table, table))
        raw.close()
        for who in PROFESSIONALS + STAFF + REPRESENTATIVES:
            c, key = self.open('file:%s?mode=ro' % path), shutil.copy(self.key(who), folder)       # a login does there nothing that it owes
            if not self.refusing('saved keys', who, lambda: c.execute('SELECT dmp_login(?, ?)', (key, PIN)).fetchone()):
                continue
            for label, d in oracle.documents.items():
                column = 'title' if d.table == 'document' else 'label'
                found = self.refusing('saved keys', who, lambda: c.execute('SELECT %s FROM %s WHERE id=?' % (column, d.table), (self.ids[label],)).fetchone())
                if found and not kept[1].sees(who, label) and not oracle.might_open(who, label, d.title in ever[who]):
                    raise Failure('at the end: the keys that %s saved open %s, written or moved later' % (who, label))
            c.close()


# ---- the mounted record ----

class Mounts:
    """One dmpfs for each identity; the documents that a walk finds are known by the number in their titles."""

    def __init__(self, dmpfs, so, record):
        self.children, self.points = {}, {}
        env = {name: value for name, value in os.environ.items() if name != 'FAKETIME'}
        for who in IDENTITIES:
            point = os.path.join(record.folder, 'mount-' + who)
            os.mkdir(point)
            pin_end, own_end = os.pipe()
            os.write(own_end, PIN.encode() + b'\n')
            os.close(own_end)
            options = 'key=%s,pinfd=%d,ext=%s' % (record.key(who), pin_end, so)
            self.children[who] = subprocess.Popen([dmpfs, record.path, point, '-f', '-o', options], pass_fds=[pin_end],
                                                  env=dict(env, FAKETIME_TIMESTAMP_FILE=os.path.join(record.folder, 'clock')))
            os.close(pin_end)
            self.points[who] = point
        for who, point in self.points.items():
            deadline = time.monotonic() + 20
            while not os.path.ismount(point):
                if self.children[who].poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise Failure('dmpfs does not mount for ' + who)
                pause(0.02)

    def titles(self, who):
        found = set()
        for _, _, files in os.walk(self.points[who]):
            found |= {int(m.group(1)) for m in (re.search(r'Titre-(\d+)-', f) for f in files) if m}
        return found

    def check(self, oracle, when):
        """A mount may lag behind the record by two seconds."""
        deadline = time.monotonic() + 2.5
        for who in IDENTITIES:
            expected = {int(row[5].split('-')[1]) for row in oracle.view(who) if row[0] == 'document'}
            seen = self.titles(who)
            while seen != expected:
                if time.monotonic() > deadline:
                    raise Failure('%s: %s sees in the mount, too many: %s, lacking: %s' % (when, who, sorted(seen - expected), sorted(expected - seen)))
                pause(0.05)
                seen = self.titles(who)

    def close(self):
        for who, child in self.children.items():
            if os.path.ismount(self.points[who]):
                subprocess.call(['fusermount3', '-u', '-z', self.points[who]])
            child.terminate()
            child.wait()


# ---- playing, comparing, shrinking ----

def pause(seconds):
    select.select([], [], [], seconds)                   # time.sleep fails where the clock is set


def compare(record, oracle, when, ever, who=None):
    """Where the file is as it was, only the session that did the step may see anything else."""
    lines = []
    for who in IDENTITIES if record.changed() or who not in IDENTITIES else [who]:
        seen, expected = record.view(who), collections.Counter(oracle.view(who))
        lines += ['%s: a row too many: %s' % (who, row) for row in (seen - expected).elements()]
        lines += ['%s: a row is lacking: %s' % (who, row) for row in (expected - seen).elements()]
        ever[who] |= {row[5] or row[4] for row in seen if row[0] == 'document' or row[0] in SECTIONS}
    if lines:
        raise Failure('%s:\n    %s' % (when, '\n    '.join(lines)))


def play(history, so, dmpfs=None, live=False):
    """Raises Failure at the first difference."""
    folder = tempfile.mkdtemp(prefix='oracle-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    record = mounts = None
    set_clock(TODAY, folder)
    try:
        record = Record(so, folder, history)
        mounts = Mounts(dmpfs, so, record) if dmpfs and live else None
        oracle, kept, ever = model.Model(history.professions, history.patients, history.teams, TODAY), [], collections.defaultdict(set)
        compare(record, oracle, 'at the start', ever)
        for n, step in enumerate(history.steps, 1):
            when = 'after step %d (%s)' % (n, show(step))
            if step.verb == 'keep':
                kept.append((record.copies(), copy.deepcopy(oracle)))
            elif step.verb == 'replay' and kept:
                record.replay(kept[-1 - step.args['back'] % len(kept)], step.args['log'], oracle)
            elif step.verb == 'clock':
                oracle.clock(step.who, **step.args)
                set_clock(oracle.now, folder)
            elif step.who != 'host':
                after = copy.deepcopy(oracle) if step.undone else oracle
                expected, done = after.apply(step.who, step.verb, step.args), record.act(step)
                if done != expected:
                    raise Failure('%s: it was %s, the model says %s' % (when, done, expected))
            compare(record, oracle, when, ever, step.who)
            if mounts and n % 10 == 0:
                mounts.check(oracle, when)
        for who in IDENTITIES:
            record.check_end(who)
            record.check_system(who, oracle)
        if kept:
            record.saved_keys(kept[0], oracle, ever)
        if dmpfs:
            for step in [Step(who, 'login', {}, False) for who in IDENTITIES * 2]:       # a mount is a login, and does what a login owes
                oracle.apply(step.who, step.verb, step.args)
                record.act(step)
            compare(record, oracle, 'at the end, after logins', ever)
            mounts = mounts or Mounts(dmpfs, so, record)
            mounts.check(oracle, 'at the end')
    except sqlite3.Error as e:                          # not even the practice can be made, or read
        raise Failure('%s: %s' % (when if record else 'at the start', e))
    finally:
        if mounts:
            mounts.close()
        if record:
            record.close()
        shutil.rmtree(folder, ignore_errors=True)


def failure_of(history, *how):
    try:
        play(history, *how)
    except Failure as e:
        return e
    return None


def shrink(history, *how):
    """Drops ever smaller pieces while the history still fails."""
    steps, piece = history.steps, len(history.steps) // 2
    late = str(failure_of(history, *how)).startswith('at the end')           # what only the end tells, fewer steps may tell for another reason
    while piece:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + piece:]
            failure = failure_of(history._replace(steps=fewer), *how)
            if failure and str(failure).startswith('at the end') == late:
                steps = fewer
            else:
                at += piece
        piece //= 2
    return history._replace(steps=steps)


def show(step):
    return '%s %s %s%s' % (step.who, step.verb, step.args, ', rolled back' if step.undone else '')


def report(history, failure):
    print('professions: %s' % history.professions)
    print('patients (treating doctor, creator, day of majority): %s' % history.patients)
    print('teams (role, members): %s' % history.teams)
    for n, step in enumerate(history.steps, 1):
        print('  %3d %s' % (n, show(step)))
    print('FAILS: %s' % failure)


# ---- mutated rules ----

KEYS = {'PM': 'P', 'P': 'PM', 'P0': 'P', 'M0': 'M', 'P0M0': 'PM'}        # what another hand might have written


def rule_rows(schema, names):
    """(file, line number) of every row of our rules."""
    for name in names:
        with open(os.path.join(schema, name), encoding='utf-8') as f:
            lines = [(n, line) for n, line in enumerate(f.read().splitlines()) if line and line[0] != '#']
        yield from ((name, n) for n, line in lines[1:])


def changed(name, row, how):
    """The row with one field changed; None: dropped."""
    fields = row.split('\t')
    if name == 'rights.tsv':
        fields[2] = {'allowed': 'denied', 'denied': 'allowed'}[fields[2]]
    elif name == 'grounds.tsv':
        fields[2] = {'majority': '-', '-': 'majority'}[fields[2]]
    elif how and KEYS[fields[2]] in ('P', 'PM'):
        fields[2] = KEYS[fields[2]]
    else:
        return None
    return '\t'.join(fields)


def classes_of(schema):
    """Appends the classes that the changed matrix needs."""
    with open(os.path.join(schema, 'rights.tsv'), encoding='utf-8') as f:
        rows = [line.split('\t') for line in f.read().splitlines() if line[:1].isdigit()]
    rights = {(p, t): r == 'allowed' for p, t, r, _ in rows}
    professions = sorted({p for p, _, _, _ in rows})
    with open(os.path.join(schema, 'classes.tsv'), encoding='utf-8') as f:
        classes = [line.split('\t') for line in f.read().splitlines() if line[:1].isdigit()]
    known, last = {c[2] for c in classes}, int(classes[-1][0])
    with open(os.path.join(schema, 'classes.tsv'), 'a', encoding='utf-8') as f:
        for t in sorted({t for _, t in rights}):
            readers = ','.join(p for p in professions if rights.get((p, t), rights.get((p, '*'), False))) or '-'
            if readers not in known:
                known.add(readers)
                last += 1
                f.write('%d\tmutant_%d\t%s\n' % (last, last, readers))


def mutate(folder, name, n, how):
    """Copies schema/, changes one row, builds the extension with it."""
    schema = os.path.join(folder, 'schema')
    shutil.copytree(os.path.join(ROOT, 'schema'), schema)
    path = os.path.join(schema, name)
    with open(path, encoding='utf-8') as f:
        lines = f.read().splitlines()
    row = changed(name, lines[n], how)
    print('mutation: %s: %s -> %s' % (name, lines[n], 'dropped' if row is None else row), flush=True)
    lines[n:n + 1] = [] if row is None else [row]
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')
    classes_of(schema)
    if os.path.isdir(os.path.join(ROOT, 'build', 'obj')):               # all but the rules is as it was
        for part in ('obj', 'gen'):
            subprocess.check_call(['cp', '-a', os.path.join(ROOT, 'build', part), folder])
        for made in ('obj/ext/rights.o', 'gen/rights_data.h'):
            os.remove(os.path.join(folder, made))
    so = os.path.join(folder, 'dmp.so')
    clean = {name: value for name, value in os.environ.items() if 'FAKETIME' not in name and name != 'LD_PRELOAD'}
    subprocess.check_call(['make', '-s', '-C', ROOT, 'B=' + folder, 'RIGHTS=' + os.path.join(schema, 'rights.tsv'), so], env=clean)
    return so


def noticed(args, name, n, how):
    with tempfile.TemporaryDirectory(prefix='oracle-mutant-') as folder:
        args.so = mutate(folder, name, n, how)
        found = run(args) is not None
    print('the changed row %s' % ('was noticed' if found else 'went unnoticed'), flush=True)
    return found


def run(args):
    seen = 0
    for i in range(args.first, args.first + args.histories):
        history = make_history(random.Random('%d/%d' % (args.seed, i)), args.steps)
        how = (args.so, args.dmpfs if os.path.exists(args.dmpfs) and not args.mutate else None, i % 10 == 9)
        failure = failure_of(history, *how)
        if failure:
            print('history %d of seed %d fails: %s' % (i, args.seed, failure), flush=True)
            if not args.mutate:
                small = shrink(history, *how)
                report(small, failure_of(small, *how))
            return i
        seen += 1
    print('%d histories of %d steps agree with the model (seed %d)' % (seen, args.steps, args.seed))
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--histories', type=int, default=200)
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--seed', type=int, default=random.randrange(10 ** 6))
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--so', type=os.path.abspath, default=os.path.join(ROOT, 'build', 'dmp.so'))
    parser.add_argument('--dmpfs', default=os.path.join(ROOT, 'build', 'dmpfs'))
    parser.add_argument('--mutate', action='store_true')
    parser.add_argument('--mutate-all', action='store_true')
    args = parser.parse_args()
    if CLOCK and not FAKED:
        os.environ.update(LD_PRELOAD=CLOCK, FAKETIME='@2026-03-01 10:00:00', FAKETIME_NO_CACHE='1', FAKETIME_DONT_FAKE_MONOTONIC='1', TZ='UTC')
        os.execv(sys.executable, [sys.executable] + sys.argv + ['--seed', str(args.seed)])
    print('seed %d' % args.seed, flush=True)
    args.mutate |= args.mutate_all
    if not args.mutate:
        return 0 if run(args) is None else 1
    args.histories = min(args.histories, 50)
    schema, rng = os.path.join(ROOT, 'schema'), random.Random(args.seed)
    if args.mutate_all:
        results = [noticed(args, name, n, how) for name, n in rule_rows(schema, ['holders.tsv', 'grounds.tsv']) for how in ((0, 1) if name == 'holders.tsv' else (0,))]
        print('%d of %d changed rows were noticed' % (sum(results), len(results)))
        return 0 if all(results) else 1
    name, n = rng.choice(list(rule_rows(schema, ['rights.tsv', 'holders.tsv', 'grounds.tsv'])))
    return 0 if noticed(args, name, n, rng.randrange(2)) else 1


if __name__ == '__main__':
    sys.exit(main())
