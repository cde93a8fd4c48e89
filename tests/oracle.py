#!/usr/bin/python3
"""Random histories of one shared record, played through the extension and through oracle_model.py side by side: after
each step every identity must see exactly what the model says, and be refused exactly what the model refuses.
  oracle.py [--histories 200] [--steps 100] [--seed N] [--so build/dmp.so] [--dmpfs build/dmpfs] [--mutate]
A failing history is shrunk and printed; --first I --histories 1 with the printed seed plays it again.
--mutate: one random row of our rules (rights.tsv, holders.tsv, grounds.tsv) is changed and the extension built with it; the oracle must notice
within 50 histories.  --mutate-all: every row of holders.tsv and grounds.tsv, one after the other."""
import argparse, collections, copy, os, random, re, shutil, sqlite3, subprocess, sys, tempfile, time

sys.dont_write_bytecode = True
import oracle_model as model

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PIN = 'oracle-pin-1234'
DOCTORS = ['doctor1', 'doctor2']
PROFESSIONALS = DOCTORS + ['pharmacist', 'nurse', 'stranger']
PATIENTS = ['patient1', 'patient2']
REPRESENTATIVES = ['mother', 'guardian']
IDENTITIES = ['authority'] + PROFESSIONALS + PATIENTS + REPRESENTATIVES
NO_SUCH_ID = 987654321
UID = '1.2.250.1.999.%d'
EPISODES = ['e1', 'e2', 'e3']
TEAMS = {'desk': (21, 'pharmacist'), 'ward': (10, 'doctor1')}              # role, first manager
SECTIONS = {'prescription': '57833-6', 'reimbursement': 'REMB'}           # table -> the type whose readers its lines have
# The refusals of a right, a unique value or an absent item. Any other error is a failure, whatever the model says.
REFUSALS = {'dmp-E%03d' % n for n in (41, 42, 43, 44, 45, 46, 47, 48, 56, 62, 72, 74, 88, 95, 96, 99, 100, 101, 103, 116, 117, 118,
                                       120, 121, 122, 123)}

VIEWS = """SELECT 'document', patient, unique_id, masked || hidden_from_representatives || invisible_patient, availability, title FROM document
  UNION ALL SELECT 'patient', id, treating_doctor, NULL, NULL, NULL FROM patient
  UNION ALL SELECT 'consent', patient, grantee, basis, NULL, NULL FROM consent
  UNION ALL SELECT 'line', patient, 'prescription', masked || hidden_from_representatives, episode, label FROM prescription
  UNION ALL SELECT 'line', patient, 'reimbursement', masked || hidden_from_representatives, episode, label FROM reimbursement
  UNION ALL SELECT 'representative', patient, principal, ground, until IS NOT NULL, NULL FROM representative
  UNION ALL SELECT 'membership', NULL, team, member, manager, NULL FROM membership WHERE until IS NULL
  UNION ALL SELECT 'mask', patient, coalesce(document, episode), grantee, NULL, NULL FROM mask"""

Step = collections.namedtuple('Step', 'who verb args undone')        # undone: inside a transaction that is rolled back
History = collections.namedtuple('History', 'professions patients teams steps')


class Failure(Exception):
    pass


# ---- making histories ----

def make_history(rng, n):
    professions = {'doctor1': 10, 'doctor2': 10, 'pharmacist': 21, 'nurse': 60,
                   'stranger': rng.choice([39, 39, 39, 40, 40, 40, 10, 26])}
    patients = {}
    for p in PATIENTS:
        patients[p] = (rng.choice([None, 'doctor1', 'doctor2']), rng.choice([None, 'doctor1', 'doctor1']), rng.random() < 0.6)
    teams = {t: (role, dict({manager: True}, **{m: rng.random() < 0.3 for m in rng.sample(PROFESSIONALS, 2)
                                                if m != manager and professions[m] in (10, role)})) for t, (role, manager) in TEAMS.items()}
    circles = rng.random() < 0.7                          # masks to some are played in most histories
    grantees = PROFESSIONALS + 2 * list(TEAMS)
    to_some = [16, 8, 6, 4] if circles else [0, 0, 0, 0]
    steps = [Step(p, 'consent', (p, who), False) for p in PATIENTS for who in sorted(set(grantees)) if rng.random() < 0.4]
    steps += [Step(p, 'represent', (p, who, rng.choice(list(model.GROUNDS))), False) for p in PATIENTS for who in REPRESENTATIVES if rng.random() < 0.4]
    labels, owner = ['none'], {'none': (None, 'patient1')}
    for i in range(len(steps), n):
        patient = rng.choice(PATIENTS)
        label = rng.choice(labels)
        verb = rng.choices(['deposit', 'consent', 'withdraw', 'mask', 'unmask', 'treating', 'delete', 'login', 'mask_episode', 'unmask_episode',
                            'represent', 'unrepresent', 'announce', 'reveal', 'join', 'leave',
                             'mask_to', 'unmask_to', 'mask_episode_to', 'unmask_episode_to'],
                           [40, 12, 6, 9, 7, 4, 5, 9, 6, 5, 5, 4, 6, 6, 6, 6] + to_some)[0]
        who = rng.choice(IDENTITIES)
        if verb == 'deposit':
            uid = UID % (rng.randrange(i + 1) if rng.random() < 0.08 else i)
            replaces = UID % int(label[1:]) if label != 'none' and rng.random() < 0.15 else None
            if replaces:
                patient = owner[label][1]
            table, type_code = rng.choice([('document', rng.choice(model.LISTED + model.UNLISTED))] * 3 + list(SECTIONS.items()))
            args = ('d%d' % i, table, patient, uid, 'Titre-%d-' % i, type_code, rng.choice([None] + EPISODES), rng.random() < 0.15,
                    replaces if table == 'document' else None, rng.random() < 0.2, table == 'document' and rng.random() < 0.2)
        elif verb in ('consent', 'withdraw'):
            args = (patient, rng.choice(grantees) if rng.random() < 0.95 else 'authority')
        elif verb in ('join', 'leave'):
            team = rng.choice(list(TEAMS))
            args = (team, rng.choice(PROFESSIONALS + ['patient1']))
            args += (rng.random() < 0.3,) if verb == 'join' else ()
        elif verb in ('represent', 'unrepresent'):
            args = (patient, rng.choice(REPRESENTATIVES) if rng.random() < 0.95 else 'nurse')
            args += (rng.choice(list(model.GROUNDS)),) if verb == 'represent' else ()
        elif verb == 'treating':
            args = (patient, rng.choice(DOCTORS + DOCTORS + ['stranger', None]))
        elif verb == 'login':
            args = ()
        elif verb in ('mask_episode', 'unmask_episode'):
            args = (patient, rng.choice(EPISODES))
        elif verb in ('mask_to', 'unmask_to', 'mask_episode_to', 'unmask_episode_to'):
            mine = [s.args for s in steps if s.verb == verb[2:]]            # unmasks what was masked, mostly
            out = rng.choice(PROFESSIONALS + ['profession:10', 'profession:21', 'profession:60', 'treating', 'treating', 'desk', 'ward'])
            if rng.random() < 0.03:
                out = 'mother'
            args = (label, owner[label][1]) if 'episode' not in verb else (patient, rng.choice(EPISODES))
            args += (out,)
            if verb[:2] == 'un' and mine and rng.random() < 0.8:
                args = rng.choice(mine)
            label, patient = (args[0], args[1]) if 'episode' not in verb else (label, args[0])
            args = args[::2] if verb == 'unmask_to' else args
        elif verb == 'mask':
            args = (label, owner[label][1] if rng.random() < 0.95 else patient)
        else:
            args = (label,)
        # Most steps come from those who may take them; the rest from anybody.
        if verb in ('delete', 'announce') and rng.random() < 0.6:
            who = owner[label][0] or who
        elif verb == 'deposit' and rng.random() < 0.4:
            who = patient
        elif verb in ('mask', 'unmask', 'reveal', 'mask_to', 'unmask_to') and rng.random() < 0.8:
            who = rng.choice([owner[label][1]] * (2 if verb[-3:] == '_to' else 1) + DOCTORS)
        elif verb in ('consent', 'withdraw', 'mask_episode', 'unmask_episode', 'represent', 'unrepresent', 'mask_episode_to',
                      'unmask_episode_to') and rng.random() < 0.8:
            who = rng.choice([patient] + DOCTORS)
        elif verb in ('join', 'leave') and rng.random() < 0.8:
            who = TEAMS[args[0]][1]
        elif verb in ('treating', 'login') and rng.random() < 0.8:
            who = rng.choice([patient, patient] + DOCTORS) if verb == 'login' else patient
        if verb == 'deposit':
            labels.append(args[0])
            owner[args[0]] = (who, patient)
        steps.append(Step(who, verb, args, verb != 'login' and rng.random() < 0.06))
    return History(professions, patients, teams, steps)


# ---- the real record ----

def ins_of(n):
    digits = '2550814168%03d' % n
    return '%s%02d' % (digits, 97 - int(digits) % 97)


def rpps_of(n):
    body = '10100000%02d' % n
    total = sum(int(c) if i % 2 else sum(divmod(2 * int(c), 10)) for i, c in enumerate(reversed(body)))
    return body + str(-total % 10)


class Record:
    """One record file and one open connection for each identity."""

    def __init__(self, so, folder, history):
        self.so, self.path, self.folder = so, os.path.join(folder, 'record.db'), folder
        self.connections, self.ids, self.documents, self.labels, self.tables = {}, {}, {}, {}, {}
        authority = self.connect('authority')
        self.fingerprint, = authority.execute("SELECT dmp_create(?, ?, NULL, 'kdf=1x8')",
                                              (self.key('authority'), PIN)).fetchone()
        self.login('authority')
        for n, who in enumerate(PROFESSIONALS):
            request, = self.connect(who).execute("SELECT dmp_keygen(?, ?, 'kdf=1x8')", (self.key(who), PIN)).fetchone()
            authority.execute("INSERT INTO principal(kind, identifier, name, profession, registrar, certificate) "
                              "VALUES('professional', ?, ?, ?, ?, ?)",
                              (rpps_of(n), who, '%02d' % history.professions[who], int(who == 'doctor1'), request))
            self.login(who)
        for who in REPRESENTATIVES:
            request, = self.connect(who).execute("SELECT dmp_keygen(?, ?, 'kdf=1x8')", (self.key(who), PIN)).fetchone()
            authority.execute("INSERT INTO principal(kind, name, certificate) VALUES('representative', ?, ?)", (who, request))
            self.login(who)
        for team, (role, members) in history.teams.items():
            self.ids[team] = authority.execute("INSERT INTO principal(kind, name, profession) VALUES('team', ?, ?)", (team, '%02d' % role)).lastrowid
            first = TEAMS[team][1]
            self.join(authority, team, first, True)
            self.login(first)
            for member in members:
                self.join(self.connections[first], team, member, members[member])
        for n, who in enumerate(PATIENTS):
            treating, creator, minor = history.patients[who]
            done = self.connections[creator or 'authority'].execute(
                "INSERT INTO patient(ins, ins_oid, birth_name, given_names, birth_date, sex, treating_doctor, "
                "credential, pin) VALUES(?, '1.2.250.1.213.1.4.10', ?, 'Anne', ?, 'F', ?, ?, ?)",
                (ins_of(n), who, '%d' % (time.gmtime().tm_year - 10) if minor else '1970-03', self.ids.get(treating), self.key(who), PIN))
            self.ids[who] = done.lastrowid
            self.connect(who)
            self.login(who)
        self.names = {i: who for who, i in self.ids.items()}

    def key(self, who):
        return os.path.join(self.folder, who + '.dmpkey')

    def connect(self, who):
        c = sqlite3.connect(self.path, isolation_level=None)
        c.enable_load_extension(True)
        c.load_extension(self.so)
        c.execute('PRAGMA temp_store=MEMORY')
        c.execute('PRAGMA synchronous=OFF')
        self.connections[who] = c
        return c

    def login(self, who):
        c = self.connections[who]
        principal, = c.execute('SELECT dmp_login(?, ?, NULL, NULL, ?)',
                               (self.key(who), PIN, self.fingerprint)).fetchone()
        self.ids.setdefault(who, principal)

    def close(self):
        for c in self.connections.values():
            c.close()

    def act(self, step):
        c = self.connections[step.who]
        if step.undone:
            c.execute('BEGIN')
        try:
            return getattr(self, 'do_' + step.verb)(c, step.who, *step.args)
        except sqlite3.Error as e:
            if str(e)[:8] not in REFUSALS:
                raise Failure('%s: %s' % (type(e).__name__, e))
            return model.REFUSED
        finally:
            if step.undone and c.in_transaction:
                c.execute('ROLLBACK')

    def run(self, c, sql, args):
        """A statement that touches no row did nothing, and says nothing."""
        before = c.total_changes
        c.execute(sql, args)
        return model.DONE if c.total_changes > before else model.NOTHING

    def do_deposit(self, c, who, label, table, patient, uid, title, type_code, episode, masked, replaces, hidden, invisible):
        if table == 'document':
            done = c.execute('INSERT INTO document(patient, unique_id, title, type_code, episode, masked, replaces, hidden_from_representatives, '
                             "invisible_patient, mime, content) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, 'text/plain', ?)",
                             (self.ids[patient], uid, title, type_code, episode, int(masked), replaces, int(hidden), int(invisible), title.encode()))
        else:
            day = {'prescription': 'prescribed_at', 'reimbursement': 'care_date'}[table]
            done = c.execute("INSERT INTO %s(patient, label, episode, masked, hidden_from_representatives, %s) VALUES(?, ?, ?, ?, ?, '2026-03-12')" % (table, day),
                             (self.ids[patient], title, episode, int(masked), int(hidden)))
        self.tables[label] = table
        self.documents[label] = done.lastrowid
        self.labels[done.lastrowid] = label
        return model.DONE

    def do_delete(self, c, who, label):
        return self.run(c, 'DELETE FROM %s WHERE id=?' % self.tables.get(label, 'document'), (self.documents.get(label, NO_SUCH_ID),))

    def do_mask(self, c, who, label, patient):
        return self.run(c, 'INSERT INTO mask(patient, document) VALUES(?, ?)',
                        (self.ids[patient], self.documents.get(label, NO_SUCH_ID)))

    def do_unmask(self, c, who, label):
        return self.run(c, 'DELETE FROM mask WHERE document=? AND grantee IS NULL', (self.documents.get(label, NO_SUCH_ID),))

    def do_mask_episode(self, c, who, patient, episode):
        return self.run(c, 'INSERT INTO mask(patient, episode) VALUES(?, ?)', (self.ids[patient], episode))

    def do_unmask_episode(self, c, who, patient, episode):
        return self.run(c, 'DELETE FROM mask WHERE patient=? AND episode=? AND document IS NULL AND grantee IS NULL', (self.ids[patient], episode))

    def do_mask_to(self, c, who, label, patient, out):
        return self.run(c, 'INSERT INTO mask(patient, document, grantee) VALUES(?, ?, ?)',
                        (self.ids[patient], self.documents.get(label, NO_SUCH_ID), self.ids.get(out, out)))

    def do_unmask_to(self, c, who, label, out):
        return self.run(c, 'DELETE FROM mask WHERE document=? AND grantee=?', (self.documents.get(label, NO_SUCH_ID), self.ids.get(out, out)))

    def do_mask_episode_to(self, c, who, patient, episode, out):
        return self.run(c, 'INSERT INTO mask(patient, episode, grantee) VALUES(?, ?, ?)', (self.ids[patient], episode, self.ids.get(out, out)))

    def do_unmask_episode_to(self, c, who, patient, episode, out):
        return self.run(c, 'DELETE FROM mask WHERE patient=? AND episode=? AND document IS NULL AND grantee=?',
                        (self.ids[patient], episode, self.ids.get(out, out)))

    def do_consent(self, c, who, patient, grantee):
        return self.run(c, 'INSERT INTO consent(patient, grantee) VALUES(?, ?)', (self.ids[patient], self.ids[grantee]))

    def do_withdraw(self, c, who, patient, grantee):
        return self.run(c, 'DELETE FROM consent WHERE patient=? AND grantee=?', (self.ids[patient], self.ids[grantee]))

    def join(self, c, team, member, manager):
        return self.run(c, 'INSERT INTO membership(team, member, manager) VALUES(?, ?, ?)', (self.ids[team], self.ids[member], int(manager)))

    def do_join(self, c, who, team, member, manager):
        return self.join(c, team, member, manager)

    def do_leave(self, c, who, team, member):
        return self.run(c, 'DELETE FROM membership WHERE team=? AND member=? AND until IS NULL', (self.ids[team], self.ids[member]))

    def do_represent(self, c, who, patient, representative, ground):
        return self.run(c, 'INSERT INTO representative(patient, principal, ground) VALUES(?, ?, ?)', (self.ids[patient], self.ids[representative], ground))

    def do_unrepresent(self, c, who, patient, representative):
        return self.run(c, 'DELETE FROM representative WHERE patient=? AND principal=?', (self.ids[patient], self.ids[representative]))

    def do_announce(self, c, who, label):
        return self.run(c, 'UPDATE document SET invisible_patient=0 WHERE id=?', (self.documents.get(label, NO_SUCH_ID),))

    def do_reveal(self, c, who, label):
        return self.run(c, 'UPDATE %s SET hidden_from_representatives=0 WHERE id=?' % self.tables.get(label, 'document'),
                        (self.documents.get(label, NO_SUCH_ID),))

    def do_treating(self, c, who, patient, doctor):
        return self.run(c, 'UPDATE patient SET treating_doctor=? WHERE id=?', (self.ids.get(doctor), self.ids[patient]))

    def do_login(self, c, who):
        c.execute('SELECT dmp_logout()')
        self.login(who)
        return model.DONE

    def view(self, who):
        rows = {'document': [], 'line': [], 'patient': [], 'consent': [], 'mask': [], 'representative': [], 'membership': []}
        for table, patient, a, b, c, d in self.connections[who].execute(VIEWS):
            name, other = self.names.get(patient, patient), self.names.get(a, a)
            if table == 'membership':
                b = self.names[b]
            row = {'document': (name, a, b, c, d), 'line': (name, a, b, c, d), 'patient': (name, other), 'consent': (name, other, b),
                   'representative': (name, other, b, c), 'membership': (other, b, c), 'mask': (name, self.labels.get(a, a), self.names.get(b, b))}
            rows[table].append(row[table])
        return {table: sorted(r, key=str) for table, r in rows.items()}

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


    def leaves(self, who, patient):
        """How many leaves of the identity class who holds: a listing opens the state of each, beside two boxes an item."""
        c, sql = self.connections[who], 'SELECT * FROM identity WHERE patient=%d' % self.ids[patient]
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
            got, want = (self.leaves(who, patient), others, told[who]), (leaves, traces, traces and told[patient])
            if got != want:
                raise Failure('at the end: %s holds of %s leaves of the identity, traces, notices %s, the model says %s' % (who, patient, got, want))


# ---- the mounted record ----

class Mounts:
    """One dmpfs for each identity; the documents that a walk finds are known by the number in their titles."""

    def __init__(self, dmpfs, so, record):
        self.children, self.points = {}, {}
        for who in IDENTITIES:
            point = os.path.join(record.folder, 'mount-' + who)
            os.mkdir(point)
            pin_end, own_end = os.pipe()
            os.write(own_end, PIN.encode() + b'\n')
            os.close(own_end)
            options = 'key=%s,pinfd=%d,ext=%s' % (record.key(who), pin_end, so)
            self.children[who] = subprocess.Popen([dmpfs, record.path, point, '-f', '-o', options], pass_fds=[pin_end])
            os.close(pin_end)
            self.points[who] = point
        for who, point in self.points.items():
            deadline = time.monotonic() + 20
            while not os.path.ismount(point):
                if self.children[who].poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise Failure('dmpfs does not mount for ' + who)
                time.sleep(0.02)

    def titles(self, who):
        found = set()
        for _, _, files in os.walk(self.points[who]):
            found |= {int(m.group(1)) for m in (re.search(r'Titre-(\d+)-', f) for f in files) if m}
        return found

    def close(self):
        for who, child in self.children.items():
            if os.path.ismount(self.points[who]):
                subprocess.call(['fusermount3', '-u', '-z', self.points[who]])
            child.terminate()
            child.wait()


# ---- playing, comparing, shrinking ----

def difference(who, seen, expected):
    lines = []
    for table in expected:
        a, b = collections.Counter(seen[table]), collections.Counter(expected[table])
        lines += ['%s: %s has a row too many: %s' % (who, table, r) for r in (a - b).elements()]
        lines += ['%s: %s lacks a row: %s' % (who, table, r) for r in (b - a).elements()]
    return lines


def check_mounts(mounts, oracle, when):
    """A mount may lag behind the record by two seconds."""
    deadline = time.monotonic() + 2.5
    for who in IDENTITIES:
        expected = {int(title.split('-')[1]) for *_, title in oracle.view(who)['document']}
        seen = mounts.titles(who)
        while seen != expected:
            if time.monotonic() > deadline:
                raise Failure('%s: %s sees in the mount, too many: %s, lacking: %s' % (
                    when, who, sorted(seen - expected), sorted(expected - seen)))
            time.sleep(0.05)
            seen = mounts.titles(who)


def play(history, so, dmpfs=None):
    """Raises Failure at the first difference."""
    folder = tempfile.mkdtemp(prefix='oracle-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    record = mounts = None
    try:
        record = Record(so, folder, history)
        mounts = Mounts(dmpfs, so, record) if dmpfs else None
        oracle = model.Model(history.professions, history.patients, history.teams)
        for n, step in enumerate([None] + history.steps):
            when = 'at the start' if step is None else 'after step %d (%s)' % (n, show(step))
            if step is not None:
                after = copy.deepcopy(oracle) if step.undone else oracle
                expected = after.apply(step.who, step.verb, *step.args)
                done = record.act(step)
                if done != expected:
                    raise Failure('%s: it was %s, the model says %s' % (when, done, expected))
            lines = sum((difference(who, record.view(who), oracle.view(who)) for who in IDENTITIES), [])
            if lines:
                raise Failure('%s:\n    %s' % (when, '\n    '.join(lines)))
            if mounts and (n % 10 == 0 or n == len(history.steps)):
                check_mounts(mounts, oracle, when)
        for who in IDENTITIES:
            record.check_end(who)
            record.check_system(who, oracle)
    finally:
        if mounts:
            mounts.close()
        if record:
            record.close()
        shutil.rmtree(folder, ignore_errors=True)


def failure_of(history, so, dmpfs=None):
    try:
        play(history, so, dmpfs)
    except Failure as e:
        return e
    except sqlite3.Error as e:                          # not even the practice can be made
        return Failure('at the start: %s' % e)
    return None


def shrink(history, so, dmpfs=None):
    """Drops ever smaller pieces while the history still fails."""
    steps, piece = history.steps, len(history.steps) // 2
    late = str(failure_of(history, so, dmpfs)).startswith('at the end')           # what only the end tells, fewer steps may tell for another reason
    while piece:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + piece:]
            failure = failure_of(history._replace(steps=fewer), so, dmpfs)
            if failure and str(failure).startswith('at the end') == late:
                steps = fewer
            else:
                at += piece
        piece //= 2
    return history._replace(steps=steps)


def show(step):
    return '%s %s%s%s' % (step.who, step.verb, step.args, ', rolled back' if step.undone else '')


def report(history, failure):
    print('professions: %s' % history.professions)
    print('patients (treating doctor, creator, minor): %s' % history.patients)
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
        yield from ((name, n) for n, line in lines[1:] if not line.startswith('staff\t'))   # nobody of the oracle plays is staff: test_teams.py has them


def changed(name, row, how):
    """The row with one field changed; None: dropped."""
    fields = row.split('\t')
    if name == 'rights.tsv':
        fields[2] = {'allowed': 'denied', 'denied': 'allowed'}[fields[2]]
    elif name == 'grounds.tsv':
        fields[2] = {'majority': '-', '-': 'majority'}[fields[2]]
    elif how and KEYS[fields[2]] in ('P', 'PM') and fields[1] != 'notices':   # nothing lies there under M, nor hidden from representatives
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
    subprocess.check_call(['make', '-s', '-C', ROOT, 'B=' + folder, 'RIGHTS=' + os.path.join(schema, 'rights.tsv'), so])
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
        dmpfs = args.dmpfs if i % 10 == 9 and os.path.exists(args.dmpfs) and not args.mutate else None
        failure = failure_of(history, args.so, dmpfs)
        if failure:
            print('history %d of seed %d fails: %s' % (i, args.seed, failure), flush=True)
            if not args.mutate:
                small = shrink(history, args.so, dmpfs)
                report(small, failure_of(small, args.so, dmpfs))
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
