#!/usr/bin/python3
"""Masked equals absent, byte for byte: two records with the same history, clock and random source, except that in one of them a report
was deposited by another doctor and masked. All that the pharmacist can obtain from them must be equal.
Usage: test_twins.py [BUILD_FOLDER [TEST_NAME...]]. Each step is a process of its own, under libfaketime, with the test build's random/dmp.so
and a seed of its own: what one twin leaves out shifts neither the time nor the bytes of any other step."""
import glob
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from harness import BUILD, NO_SUCH_ID, PIN, Case, main, one, open_record

SO = os.path.join(BUILD, 'random', 'dmp.so')
FS = os.path.join(BUILD, 'dmpfs')
TOOL = (glob.glob('/usr/lib/*/faketime/libfaketime.so.1') + [None])[0]
TABLES = ('session', 'principal', 'patient', 'identity', 'representative', 'consent', 'document', 'prescription', 'reimbursement', 'feed', 'episode_suggestion', 'mask',
          'minimal_view', 'notification', 'access_right', 'hosting', 'membership', 'access_log', 'dmp_verify')
PATH = os.path.join(tempfile.gettempdir(), 'dmp-twins-%d' % os.getpid())        # both twins lie in the same place, one after the other

# Each step: who, and what. "hidden" steps happen in one twin only.
PEOPLE = [('treating', '10', 1), ('gynaecologist', '10', 0), ('pharmacist', '21', 0), ('nurse', '60', 0)]
BEFORE = [('%s:registered' % n, 'register', n, p, r) for n, p, r in PEOPLE] + [
    ('opening', 'patient', 'treating'), ('first', 'deposit', 'treating', 'Consultation', '11488-4', 0, 'e1'),
    ('g', 'consent', 'gynaecologist'), ('second', 'deposit', 'treating', 'Biologie', '11502-2', 0, 'e2')]
CONSENT = [('h', 'consent', 'pharmacist')]
AFTER = [('third', 'deposit', 'treating', 'Ordonnance', '57833-6', 0, 'e3'), ('n', 'consent', 'nurse'), ('nn', 'withdraw', 'nurse'),
         ('own', 'deposit', 'pharmacist', 'Dispensation', '60593-1', 0, 'e3'), ('own2', 'deposit', 'pharmacist', 'A part', '60593-1', 1, 'e3')]
REPORT = [('d7', 'deposit', 'gynaecologist', 'KANARI-IVG', '11488-4', 0, 'e7'), ('d7:masked', 'mask', 'd7')]
SEALED = [('d7', 'deposit', 'gynaecologist', 'KANARI-IVG', '11488-4', 1, 'e7')]
# An act with all that stems from it, masked as one episode; what comes later for it; a line proposed for it.
LINES = [('o3', 'prescribe', 'treating', 'Paracétamol', 'e3'), ('r3', 'reimburse', 'treating', 'Boîte', 'e3'), ('r4', 'reimburse', 'pharmacist', 'Boîte', 'e3')]
ACT = [('d7', 'deposit', 'gynaecologist', 'KANARI-IVG', '11488-4', 0, 'e7'), ('o7', 'prescribe', 'treating', 'KANARI-MIFE', 'e7'),
       ('r7', 'reimburse', 'gynaecologist', 'KANARI-FORFAIT', 'e7')]
ACT_MASKED = [('e7:masked', 'mask_episode', 'e7')]
ACT_LATER = [('l7', 'reimburse', 'treating', 'KANARI-TARD', 'e7'), ('s7', 'prescribe', 'gynaecologist', 'KANARI-SUITE', 'e7'), ('n7', 'reimburse', 'treating', 'KANARI-SANS', None),
             ('n7:said', 'assign', 'n7', 'e7')]
# The same act masked to somebody only: its report, or the whole of it.
def report_from(whom): return REPORT[:1] + [('d7:from', 'mask_from', 'd7', whom)]
def act_from(whom): return ACT + [('e7:from', 'mask_episode_from', 'e7', whom)]
# Such a mask turns keys, and everybody is sent a packet: who has written since has it in place, which total_changes() would count at his next write.
def written(who): return [('seen', 'deposit', who, 'Vu', '60593-1' if who == 'pharmacist' else '34842-5', 0, 'e3')]
# What is hidden from the patient's representative, or from the patient until announced.
MOTHER = CONSENT + [('mother:registered', 'representative', 'mother'), ('mother:named', 'name', 'mother')]
HIDDEN = [('d7', 'deposit', 'gynaecologist', 'KANARI-IVG', '11488-4', 0, 'e7', 'hidden_from_representatives')]
INVISIBLE = [('d7', 'deposit', 'gynaecologist', 'KANARI-IVG', '11488-4', 0, 'e7', 'invisible_patient')]
# A record of twelve documents and more, of which the patient shows three and what a pharmacy prescribed; and one that holds only these.
SHOWN = [('s1', 'deposit', 'gynaecologist', 'Frottis', '11488-4', 0, 'e1'), ('s2', 'deposit', 'gynaecologist', 'Analyse', '11502-2', 0, None),
         ('o3', 'prescribe', 'gynaecologist', 'Paracétamol', 'e1')]
UNSHOWN = [('u%d' % n, 'deposit', who, 'KANARI-%d' % n, code, masked, episode) for n, who, code, masked, episode in (
    (1, 'treating', '11488-4', 0, 'e1'), (2, 'gynaecologist', '11488-4', 0, 'e1'), (3, 'pharmacist', '60593-1', 0, None), (4, 'gynaecologist', '11502-2', 1, 'e6'),
    (5, 'pharmacist', '60593-1', 1, 'e5'), (6, 'patient', 'EXPPAT_3', 0, None), (7, 'gynaecologist', '18748-4', 0, None))]
# A reader through a team; somebody leaves it before or after the act.
TEAM = [('member:registered', 'register', 'member', '60', 0), ('gone:registered', 'register', 'gone', '60', 0), ('team:registered', 'team', 'team', 'nurse'),
        ('m', 'join', 'nurse', 'member'), ('mm', 'join', 'nurse', 'gone'), ('t', 'consent', 'team')]
LEFT = [('left', 'leave', 'nurse', 'gone'), ('between', 'deposit', 'member', 'Soins', '34842-5', 0, 'e3'), ('turned', 'looks'), ('moved', 'looks', 'nurse')]
BACK = [('d7:unmasked', 'unmask', 'd7'), ('d7:again', 'mask', 'd7')]


def key(name):
    return os.path.join(PATH, name + '.dmpkey')


def login(name, fingerprint=None, only_reading=False):
    path = os.path.join(PATH, 'record.db')
    con = open_record('file:%s?mode=ro' % path if only_reading else path, SO)
    one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', key(name), PIN, fingerprint)
    return con


class Step:
    """What one step's process does; ids of people and documents go through a file."""

    def __init__(self):
        self.memory = os.path.join(PATH, 'memory.json')
        self.known = json.load(open(self.memory)) if os.path.exists(self.memory) else {}

    def keep(self, **what):
        self.known.update(what)
        json.dump(self.known, open(self.memory, 'w'))

    def create(self, _):
        con = open_record(os.path.join(PATH, 'record.db'), SO)
        con.execute('PRAGMA journal_mode=WAL')
        self.keep(fingerprint=one(con, "SELECT dmp_create(?,?,'main','kdf=1x8')", key('authority'), PIN))

    def register(self, _, name, profession, registrar):
        a = login('authority')
        request = one(a, "SELECT dmp_keygen(?,?,'kdf=1x8')", key(name), PIN)
        a.execute("INSERT INTO principal(kind,identifier,name,profession,certificate,registrar) VALUES('professional',?,?,?,?,?)",
                  ('8100' + name.encode().hex()[:7], name, profession, request, registrar))
        self.keep(**{name: one(login(name, self.known['fingerprint']), 'SELECT principal FROM session')})

    def patient(self, _, by):
        t = login(by)
        t.execute("INSERT INTO patient(birth_name,given_names,birth_date,sex,treating_doctor,credential,pin) VALUES('DUPONT','Marie','1970-01-02','F',?,?,?)",
                  (self.known[by], key('patient'), PIN))
        self.keep(patient=one(t, 'SELECT last_insert_rowid()'))

    def deposit(self, name, by, title, code, masked, episode, flag='masked'):
        self.line(name, 'document', by, content=('corps de ' + title).encode() * 500, title=title, type_code=code, mime='text/plain', episode=episode,
                  **{flag: masked or int(flag != 'masked')}, unique_id='1.2.250.' + name)

    def representative(self, _, name):
        a = login('authority')
        request = one(a, "SELECT dmp_keygen(?,?,'kdf=1x8')", key(name), PIN)
        a.execute("INSERT INTO principal(kind,name,certificate) VALUES('representative',?,?)", (name, request))
        self.keep(**{name: one(login(name, self.known['fingerprint']), 'SELECT principal FROM session')})

    def name(self, _, name):
        login('patient').execute("INSERT INTO representative(patient,principal,ground) VALUES(?,?,'tuteur')", (self.known['patient'], self.known[name]))

    def consent(self, _, name):
        login('patient').execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.known['patient'], self.known[name]))

    def withdraw(self, _, name):
        login('patient').execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.known['patient'], self.known[name]))

    def team(self, _, name, manager):
        a = login('authority')
        a.execute("INSERT INTO principal(kind,name,profession) VALUES('team','Soins','60')")
        self.keep(**{name: one(a, 'SELECT last_insert_rowid()')})
        a.execute('INSERT INTO membership(team,member,manager) VALUES(?,?,1)', (self.known[name], self.known[manager]))
        login(manager)

    def join(self, _, manager, member):
        login(manager).execute('INSERT INTO membership(team,member) VALUES(?,?)', (self.known['team'], self.known[member]))

    def leave(self, _, manager, member):
        login(manager).execute('DELETE FROM membership WHERE team=? AND member=?', (self.known['team'], self.known[member]))

    def mask(self, _, document):
        login('patient').execute('INSERT INTO mask(document) VALUES(?)', (self.known[document],))

    def unmask(self, _, document):
        login('patient').execute('DELETE FROM mask WHERE document=?', (self.known[document],))

    def line(self, name, table, by, **columns):
        con, columns = login(by), dict(columns, patient=self.known['patient'])
        con.execute('INSERT INTO %s(%s) VALUES(%s)' % (table, ','.join(columns), ','.join('?' * len(columns))), list(columns.values()))
        self.keep(**{name: one(con, 'SELECT last_insert_rowid()')})

    def prescribe(self, name, by, label, episode):
        self.line(name, 'prescription', by, label=label, episode=episode, prescribed_at='2026-03-01', prescriber='Dr Martin')

    def reimburse(self, name, by, label, episode):
        self.line(name, 'reimbursement', by, label=label, episode=episode, care_date='2026-03-01', amount=12.5)

    def looks(self, _, who='patient'):
        login(who).execute('SELECT id FROM document').fetchall()

    def mask_episode(self, _, episode):
        login('patient').execute('INSERT INTO mask(patient,episode) VALUES(?,?)', (self.known['patient'], episode))

    def whom(self, name):
        return name if name.startswith('profession:') else self.known[name]

    def mask_from(self, _, document, name):
        login('patient').execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (self.known[document], self.whom(name)))

    def mask_episode_from(self, _, episode, name):
        login('patient').execute('INSERT INTO mask(patient,episode,grantee) VALUES(?,?,?)', (self.known['patient'], episode, self.whom(name)))

    def assign(self, _, item, episode):
        login('patient').execute('INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,?)', (self.known['patient'], self.known[item], episode))

    def view(self, _, *items):
        login('patient').execute('INSERT INTO minimal_view(patient,items,credential,pin) VALUES(?,?,?,?)',
                                 (self.known['patient'], ','.join(str(self.known[i]) for i in items), key('view'), PIN))

    def look(self, _, who, guess, only_reading=False):
        for line in observe(login(who, only_reading=only_reading), self.known['patient'], guess):
            print(line)


def observe(con, patient, guess):
    """All that a login can be asked, as text."""
    sql = ['SELECT rowid,* FROM ' + t for t in TABLES]
    sql += ['SELECT count(*),max(id),min(id),sum(id),total(size) FROM document', 'SELECT id FROM document', 'SELECT id FROM document ORDER BY id DESC',
            'SELECT type_code,count(*) FROM document GROUP BY 1', 'SELECT episode,group_concat(title) FROM document GROUP BY 1 ORDER BY 2',
            "SELECT id FROM document WHERE title LIKE '%KANARI%' OR title GLOB '*I*'", 'SELECT d.title,p.birth_name FROM document d JOIN patient p ON p.id=d.patient',
            'SELECT title,lag(id) OVER (ORDER BY id)-id FROM document', 'SELECT typeof(title),typeof(masked),length(content),hex(content) FROM document',
            "SELECT * FROM document WHERE unique_id='1.2.250.d7'", "SELECT * FROM document WHERE episode='e7'", 'SELECT DISTINCT depositor FROM document',
            'SELECT * FROM document a LEFT JOIN document b ON a.replaces=b.unique_id', "SELECT CASE WHEN title='KANARI-IVG' THEN 1/0 ELSE 1 END FROM document",
            'SELECT count(*) FROM document WHERE id BETWEEN %d AND %d' % (guess - 9999999, guess + 9999999)]
    for t in ('prescription', 'reimbursement'):
        sql += ['SELECT count(*),max(id),min(id),sum(id) FROM ' + t, 'SELECT episode,count(*) FROM %s GROUP BY 1' % t, "SELECT * FROM %s WHERE label LIKE '%%KANARI%%'" % t,
                "SELECT * FROM %s WHERE episode='e7'" % t, 'SELECT a.label,b.title FROM %s a LEFT JOIN document b ON a.episode=b.episode' % t,
                'SELECT * FROM %s WHERE id=%d' % (t, guess), 'DELETE FROM %s WHERE id=%d' % (t, guess), 'SELECT id,label FROM %s ORDER BY label' % t]
    sql += ["INSERT INTO mask(patient,episode) VALUES(%d,'e7')" % patient, "INSERT INTO episode_suggestion(patient,item,episode) VALUES(%d,%d,'e7')" % (patient, guess),
            'SELECT total(amount) FROM reimbursement']
    for t in TABLES[:-1]:
        sql += ['EXPLAIN QUERY PLAN SELECT * FROM ' + t]
    sql += ['EXPLAIN QUERY PLAN SELECT * FROM document WHERE patient=1', 'EXPLAIN QUERY PLAN SELECT * FROM document WHERE id=1 ORDER BY title']
    for n in (guess, NO_SUCH_ID, -guess, 0):
        sql += [s % n for s in ('SELECT * FROM document WHERE id=%d', 'SELECT * FROM document WHERE rowid=%d', 'SELECT dmp_read(%d,0,100)', 'SELECT dmp_read(%d,99999,1)',
                                'INSERT INTO mask(document) VALUES(%d)', 'DELETE FROM mask WHERE document=%d', 'DELETE FROM document WHERE id=%d',
                                'SELECT * FROM mask WHERE document=%d', 'SELECT * FROM access_log WHERE object=%d', "UPDATE document SET title='x' WHERE id=%d",
                                'UPDATE document SET hidden_from_representatives=0 WHERE id=%d', 'UPDATE document SET invisible_patient=0 WHERE id=%d',
                                'INSERT INTO document(id,patient,content,type_code) VALUES(%d,1,1,1)')] + ['SELECT changes(),total_changes(),last_insert_rowid()']
    insert = "INSERT INTO document(patient,content,title,type_code,unique_id,replaces) VALUES(%d,x'01','remplace','11488-4','1.2.250.%s',%s)"
    sql += [insert % (patient, 'd7', 'NULL'), insert % (patient, 'd7', 'NULL'), insert % (patient, 'autre', "'1.2.250.d7'"), 'SELECT changes(),last_insert_rowid()',
            'INSERT INTO mask(patient,document) SELECT patient,id FROM document', 'INSERT INTO consent(patient,grantee) VALUES(%d,1)' % patient,
            'SELECT id,availability,title FROM document', 'DELETE FROM document', 'DELETE FROM document WHERE depositor=(SELECT principal FROM session)',
            'SELECT changes(),total_changes()', 'SELECT * FROM document', 'SELECT * FROM access_log', 'SELECT * FROM session', 'PRAGMA table_list', 'PRAGMA table_info(document)']
    for s in sql:
        yield s
        try:
            for row in con.execute(s):
                yield repr(row)
        except sqlite3.Error as e:
            yield '%s %s: %s' % (type(e).__name__, getattr(e, 'sqlite_errorname', ''), e)


def fake(at, command, seed):
    env = dict(os.environ, LD_PRELOAD=TOOL, FAKETIME='2026-03-01 10:%02d:%02d' % divmod(at, 60), FAKETIME_DONT_FAKE_MONOTONIC='1', TZ='UTC',
               DMP_TEST_SEED=seed, PYTHONHASHSEED='0')
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@unittest.skipIf('asan' in os.environ.get('LD_PRELOAD', ''), 'libfaketime and the address sanitizer wait for each other for ever')
@unittest.skipUnless(TOOL and os.path.exists(SO), 'needs the package faketime, and make test-builds')
class Twins(Case):
    def step(self, at, name, verb, *args):
        command = [sys.executable, os.path.abspath(__file__), BUILD, '--step', json.dumps([PATH, name, verb] + list(args))]
        got = fake(at, command, 'twins %s' % name)
        self.assertEqual(got.returncode, 0, '%s: %s' % (name, got.stderr))
        return got.stdout

    def record(self, steps, left_out=()):
        """Makes one twin; every step keeps its place in time."""
        shutil.rmtree(PATH, ignore_errors=True)
        os.makedirs(PATH)
        self.addCleanup(shutil.rmtree, PATH, ignore_errors=True)
        self.step(0, 'create', 'create')
        for at, s in enumerate(steps):
            if s not in left_out:
                self.step(at * 7 + 7, *s)
        return json.load(open(os.path.join(PATH, 'memory.json')))

    def compare(self, steps, hidden, who='pharmacist', mount=False, witness='patient', reads=True):
        known = self.record(steps)
        guess = known['d7']
        tree = self.tree(who) if mount else ''
        seen = self.step(3000, 'look', 'look', who, guess)
        everything = self.step(3010, 'look', 'look', witness, guess)
        again = self.record(steps, hidden)
        left_out = {s[0] for s in hidden}
        self.assertNotIn('d7', again)
        self.assertEqual({k: v for k, v in known.items() if k not in left_out}, again)
        tree_without = self.tree(who) if mount else ''
        without = self.step(3000, 'look', 'look', who, guess)
        self.assertEqual("'Consultation'" in seen, reads)
        self.assertNotIn('KANARI-', seen.replace("title='KANARI-IVG'", '').replace("LIKE '%KANARI%'", ''))
        self.assertIn("'KANARI-IVG'", everything)                   # the patient, or another witness, sees the difference
        self.assertGreater(len(seen.splitlines()), 120)
        self.assertEqual(seen.splitlines(), without.splitlines())
        self.assertEqual(seen, without)
        self.assertEqual(tree.splitlines(), tree_without.splitlines())
        return tree

    def tree(self, who):
        """A mount as everybody can look at it; taken before SQL writes anything."""
        point = os.path.join(PATH, 'mount')
        os.makedirs(point)
        script = ('exec 9<<<"$4"; "$1" "$2" "$3" -o key="$5",pinfd=9,ext="$6" || exit 9; cd "$3"; '
                  'ls -lRAi --time-style=full-iso; ls -ldi --time-style=full-iso .; find . | xargs -d "\\n" stat -c "%n %s %b %h %i %a %u %g %Y %X %Z %W %F"; du -a --apparent-size; du -a; stat -f -c "%b %f %a %c %d %s" .; '
                  'find . -type f | sort | xargs -d "\\n" sha256sum; for f in */*/*KANARI* */nulle/part; do cat "$f"; stat "$f"; done 2>&1; cd /; umount "$3"')
        got = fake(2900, ['bash', '-c', script, 'tree', FS, os.path.join(PATH, 'record.db'), point, PIN, key(who), SO], 'twins mount')
        subprocess.run(['umount', '-l', point], capture_output=True)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn('Consultation', got.stdout)
        return got.stdout + got.stderr

    def worked(self, seen):
        """dmp_verify walks a record's keysets, of which a view has one only: that much less work stands in the session's last row."""
        lines = seen.splitlines()
        last = max(i for i, line in enumerate(lines) if line == 'SELECT * FROM session') + 1
        return lines[:last] + [re.sub(r', [0-9]+\)$', ')', lines[last])] + lines[last + 1:]

    def shown(self, mount=False):
        """A minimal view of a record, and the patient's own session of one that holds only what it shows."""
        small = BEFORE[:5] + BEFORE[6:7] + BEFORE[5:6] + SHOWN
        more = CONSENT + ACT + ACT_MASKED + UNSHOWN + [('n', 'consent', 'nurse'), ('u2:masked', 'mask', 'u2'), ('nn', 'withdraw', 'nurse'),
                                                       ('view', 'view', 'first', 's1', 's2', 'o3')]
        known = self.record(small + more)
        self.assertGreaterEqual(sum(s[1] == 'deposit' for s in small + more), 11)
        tree = self.tree('view') if mount else ''
        seen = self.step(3000, 'look', 'look', 'view', known['d7'])
        everything = self.step(3010, 'look', 'look', 'patient', known['d7'])
        self.record(small)
        self.assertEqual(self.tree('patient') if mount else '', tree)
        without = self.step(3000, 'look', 'look', 'patient', known['d7'], True)
        self.assertIn("'Frottis'", seen)
        self.assertNotIn('KANARI-', seen.replace("title='KANARI-IVG'", '').replace("LIKE '%KANARI%'", ''))
        self.assertIn("'KANARI-IVG'", everything)
        self.assertEqual(self.worked(seen), self.worked(without))

    def test_a_minimal_view_is_the_patients_own_session_of_a_record_that_holds_only_what_it_shows(self):
        self.shown()

    @unittest.skipUnless(os.path.exists(FS) and os.path.exists('/dev/fuse') and os.geteuid() == 0, 'needs dmpfs, /dev/fuse and root')
    def test_and_so_is_its_mount(self):
        self.shown(mount=True)

    def test_two_records_made_by_the_same_steps_are_equal_in_all_that_the_patient_sees(self):
        steps = BEFORE + CONSENT + AFTER
        self.record(steps)
        one_of_them = self.step(3000, 'look', 'look', 'patient', NO_SUCH_ID)
        self.record(steps)
        self.assertEqual(self.step(3000, 'look', 'look', 'patient', NO_SUCH_ID), one_of_them)

    def test_a_report_masked_before_the_pharmacist_was_consented_never_was(self):
        self.compare(BEFORE + REPORT + CONSENT + AFTER, REPORT)

    def test_a_report_masked_after_the_consent_and_before_the_first_listing_never_was(self):
        self.compare(BEFORE + CONSENT + REPORT + AFTER, REPORT)

    def test_a_report_masked_last_of_all_never_was(self):
        self.compare(BEFORE + CONSENT + AFTER + REPORT, REPORT)

    def test_a_report_deposited_masked_never_was(self):
        self.compare(BEFORE + CONSENT + SEALED + AFTER, SEALED)

    def test_a_report_unmasked_and_masked_again_before_the_first_listing_never_was(self):
        self.compare(BEFORE + REPORT + CONSENT + BACK + AFTER, REPORT + BACK)

    def test_the_same_report_without_a_mask_is_seen_in_rows_counts_and_by_its_id(self):
        known = self.record(BEFORE + CONSENT + REPORT[:1] + AFTER)
        seen = self.step(3000, 'look', 'look', 'pharmacist', known['d7'])
        self.record(BEFORE + CONSENT + AFTER)
        without = self.step(3000, 'look', 'look', 'pharmacist', known['d7'])
        differ = sum(a != b for a, b in zip(seen.splitlines(), without.splitlines()))
        self.assertGreater(differ, 20)
        self.assertIn("'KANARI-IVG'", seen)

    def test_an_act_masked_as_an_episode_never_was_nor_its_prescription_nor_its_reimbursement(self):
        self.compare(BEFORE + ACT + ACT_MASKED + CONSENT + AFTER + LINES, ACT + ACT_MASKED)

    def test_nor_when_it_is_masked_after_the_consent_and_lines_come_later(self):
        self.compare(BEFORE + CONSENT + ACT + ACT_MASKED + AFTER + LINES + ACT_LATER, ACT + ACT_MASKED + ACT_LATER)

    def test_nor_when_its_lines_come_before_anything_else_of_it(self):
        self.compare(BEFORE + CONSENT + ACT_MASKED + AFTER + LINES + ACT_LATER + ACT, ACT + ACT_MASKED + ACT_LATER)

    def test_a_report_masked_to_a_certain_professional_or_to_his_profession_never_was_for_him(self):
        for whom in ('pharmacist', 'profession:21'):
            self.compare(BEFORE + CONSENT + report_from(whom) + AFTER, report_from(whom))
            self.compare(BEFORE + CONSENT + AFTER + report_from(whom) + written('pharmacist'), report_from(whom))

    def test_nor_where_he_was_consented_to_after_it_was_masked_to_him(self):
        for whom in ('pharmacist', 'profession:21'):
            self.compare(BEFORE + report_from(whom) + CONSENT + AFTER, report_from(whom))

    def test_an_act_masked_to_him_or_to_his_profession_never_was_with_what_comes_later_for_it(self):
        for whom in ('pharmacist', 'profession:21'):
            self.compare(BEFORE + CONSENT + act_from(whom) + AFTER + LINES + ACT_LATER, act_from(whom) + ACT_LATER)

    def test_for_a_member_of_a_team_what_is_masked_to_the_team_never_was(self):
        self.compare(BEFORE + CONSENT + TEAM + report_from('team') + LEFT + AFTER + written('member'), report_from('team'), 'member')
        self.compare(BEFORE + CONSENT + TEAM + act_from('team') + AFTER + LINES + ACT_LATER + written('member'), act_from('team') + ACT_LATER, 'member')

    def test_for_a_member_of_a_team_what_is_masked_to_him_alone_never_was(self):
        self.compare(BEFORE + CONSENT + TEAM + act_from('member') + AFTER + LINES + written('member'), act_from('member'), 'member')

    def test_for_somebody_else_what_is_masked_to_a_pharmacist_is_there(self):
        known = self.record(BEFORE + CONSENT + act_from('pharmacist') + [('n', 'consent', 'nurse')])
        self.assertIn("'KANARI-IVG'", self.step(3000, 'look', 'look', 'nurse', known['d7']))

    def test_for_a_nurse_whose_consent_was_withdrawn_it_never_was_either(self):
        steps = BEFORE + CONSENT + REPORT + AFTER + [('back', 'consent', 'nurse')]
        self.compare(steps, REPORT, 'nurse')

    def test_for_a_member_of_a_team_it_never_was_whoever_leaves_the_team(self):
        self.compare(BEFORE + CONSENT + TEAM + REPORT + LEFT + AFTER, REPORT, 'member')
        self.compare(BEFORE + CONSENT + TEAM + LEFT + REPORT + AFTER, REPORT, 'member')
        self.compare(BEFORE + CONSENT + REPORT + TEAM + AFTER + LEFT, REPORT, 'gone', reads=False)

    def test_for_a_representative_an_act_hidden_from_her_before_or_after_she_was_named_never_was(self):
        self.compare(BEFORE + HIDDEN + MOTHER + AFTER, HIDDEN, 'mother')
        self.compare(BEFORE + MOTHER + HIDDEN + AFTER, HIDDEN, 'mother')

    def test_for_a_representative_an_act_masked_and_hidden_never_was_whatever_is_done_to_its_mask(self):
        self.compare(BEFORE + MOTHER + HIDDEN + REPORT[1:] + BACK + AFTER, HIDDEN + REPORT[1:] + BACK, 'mother')

    def test_for_a_representative_and_for_the_patient_what_is_not_announced_never_was(self):
        self.compare(BEFORE + MOTHER + INVISIBLE + AFTER, INVISIBLE, 'mother', witness='treating')
        self.compare(BEFORE + MOTHER + INVISIBLE + AFTER, INVISIBLE, 'patient', witness='treating')

    def test_what_is_only_masked_a_representative_sees(self):
        known = self.record(BEFORE + MOTHER + REPORT + AFTER)
        self.assertIn("'KANARI-IVG'", self.step(3000, 'look', 'look', 'mother', known['d7']))

    @unittest.skipUnless(os.path.exists(FS) and os.path.exists('/dev/fuse') and os.geteuid() == 0, 'needs dmpfs, /dev/fuse and root')
    def test_in_a_representatives_mount_what_is_hidden_never_was(self):
        self.compare(BEFORE + MOTHER + HIDDEN + AFTER, HIDDEN, 'mother', mount=True)

    @unittest.skipUnless(os.path.exists(FS) and os.path.exists('/dev/fuse') and os.geteuid() == 0, 'needs dmpfs, /dev/fuse and root')
    def test_in_the_pharmacists_mount_it_never_was(self):
        tree = self.compare(BEFORE + CONSENT + REPORT + AFTER, REPORT, mount=True)
        self.assertIn('Dispensation', tree)

    @unittest.skipUnless(os.path.exists(FS) and os.path.exists('/dev/fuse') and os.geteuid() == 0, 'needs dmpfs, /dev/fuse and root')
    def test_in_the_mount_of_whom_it_is_masked_to_an_act_never_was(self):
        self.compare(BEFORE + CONSENT + report_from('pharmacist') + AFTER, report_from('pharmacist'), mount=True)
        self.compare(BEFORE + CONSENT + act_from('profession:21') + AFTER + LINES + ACT_LATER, act_from('profession:21') + ACT_LATER, mount=True)
        self.compare(BEFORE + CONSENT + TEAM + act_from('team') + AFTER + LINES + written('member'), act_from('team'), 'member', mount=True)

    @unittest.skipUnless(os.path.exists(FS) and os.path.exists('/dev/fuse') and os.geteuid() == 0, 'needs dmpfs, /dev/fuse and root')
    def test_in_the_pharmacists_mount_a_masked_act_never_was(self):
        self.compare(BEFORE + CONSENT + ACT + ACT_MASKED + AFTER + LINES + ACT_LATER, ACT + ACT_MASKED + ACT_LATER, mount=True)


if __name__ == '__main__':
    if sys.argv[2:3] == ['--step']:
        PATH, NAME, VERB, *ARGS = json.loads(sys.argv[3])
        getattr(Step(), VERB)(NAME, *ARGS)
    else:
        main()
