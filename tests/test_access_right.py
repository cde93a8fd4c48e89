#!/usr/bin/python3
"""Who can read a document, and why; and what somebody else sees: both are what the others' own logins really see, in random records and
through real mounts, and neither tells more than its reader may know.
Usage: test_access_right.py [BUILD_FOLDER [TEST_NAME...]]"""
import os
import random
import shutil
import sys
import tempfile
import time
import unittest
sys.dont_write_bytecode = True
from harness import NO_SUCH_ID, SO, TYPES, Case, Practice, deposit, documents, error_of, main, one
from test_representatives import CHILD, MOUNTS, Mount, name, represent
import oracle

SHOWN = 'id, unique_id, title, type_code, class_code, creation_time, episode, author, depositor, availability, masked, hidden_from_representatives, ' \
        'invisible_patient, warning, size'


def right(con, document):
    """principal -> the reasons."""
    got = {}
    for who, why in con.execute('SELECT principal, why FROM access_right WHERE document=?', (document,)):
        got.setdefault(who, set()).add(why)
    return got


def seen_as(con, who, patient):
    return con.execute('SELECT %s FROM document_as(?) WHERE patient=? ORDER BY id' % SHOWN, (who, patient)).fetchall()


def own(con, patient):
    return con.execute('SELECT %s FROM document WHERE patient=? ORDER BY id' % SHOWN, (patient,)).fetchall()


class Everybody(Case):
    """One record, every kind of reader, a document of every flag."""

    @classmethod
    def setUpClass(cls):
        cls.p = p = Practice({'treating': ('10', 1), 'doctor': ('10', 0), 'pharmacist': ('21', 0), 'midwife': ('50', 0), 'left': ('10', 0), 'never': ('10', 0)})
        cls.pid = p.patient('patient', p.login('treating'), 'treating', **CHILD)
        represent(p, 'mother')
        cls.me, cls.treating = p.login('patient'), p.login('treating')
        for who in ('doctor', 'pharmacist', 'midwife', 'left'):
            cls.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (cls.pid, p.id[who]))
        name(cls.me, p, cls.pid, 'mother')
        m = p.login('midwife')
        flags = {'n': {}, 'masked': {'masked': 1}, 'invisible': {'invisible_patient': 1}, 'hidden': {'hidden_from_representatives': 1},
                 'both': {'masked': 1, 'hidden_from_representatives': 1}}
        cls.doc = {f: deposit(m, cls.pid, title=f, **w) for f, w in flags.items()}
        cls.doc['by_left'] = deposit(p.login('left'), cls.pid, title='by_left')
        cls.doc['mine'] = deposit(cls.me, cls.pid, title='mine', masked=1)
        for kind, (code, _) in TYPES.items():
            cls.doc[kind] = deposit(cls.me, cls.pid, title=kind, type_code=code)
        cls.doc['replaced'] = deposit(m, cls.pid, title='replaced', unique_id='1.2.3')
        cls.doc['replacing'] = deposit(m, cls.pid, title='replacing', unique_id='1.2.4', replaces='1.2.3', masked=1)
        cls.me.execute('DELETE FROM consent WHERE grantee=?', (p.id['left'],))
        cls.who = {who: p.login(who) for who in ('patient', 'treating', 'doctor', 'pharmacist', 'midwife', 'left', 'never', 'mother', 'authority')}

    @classmethod
    def tearDownClass(cls):
        cls.p.drop()

    def test_each_reader_of_a_document_is_named_with_the_reason(self):
        today = one(self.me, "SELECT strftime('%d/%m/%Y', since) FROM consent WHERE grantee=?", self.p.id['doctor'])
        got = {name: right(self.me, self.doc[name]) for name in ('n', 'masked', 'hidden', 'both')}
        i = self.p.id
        majority = one(self.p.login('mother'), "SELECT strftime('%d/%m/%Y', until) FROM representative")
        patient, treating = {i['patient']: {'patient'}}, {i['treating']: {'médecin traitant'}}
        consent = {i[w]: {'consentement du ' + today} for w in ('doctor', 'pharmacist')}
        mother = {i['mother']: {'représentant depuis le %s jusqu’au %s' % (today, majority)}}
        depositor = {i['midwife']: {'déposant'}}
        self.assertEqual(got['n'], {**patient, **treating, **consent, **mother, **depositor})
        self.assertEqual(got['masked'], {**patient, **treating, **mother, **depositor})
        self.assertEqual(got['hidden'], {**patient, **treating, **consent, **depositor})
        self.assertEqual(got['both'], {**patient, **treating, **depositor})

    def test_who_left_reads_only_what_he_deposited(self):
        self.assertEqual(right(self.me, self.doc['by_left'])[self.p.id['left']], {'déposant'})
        self.assertNotIn(self.p.id['left'], right(self.me, self.doc['n']))

    def test_the_reason_is_the_matrix_for_each_class(self):
        for kind, (_, professions) in TYPES.items():
            readers = set(right(self.me, self.doc[kind]))
            for who, profession in (('doctor', '10'), ('treating', '10'), ('pharmacist', '21'), ('midwife', '50')):
                self.assertEqual(self.p.id[who] in readers, profession in professions, (kind, who))

    def test_the_treating_doctor_is_told_within_what_he_holds(self):
        self.assertEqual(right(self.treating, self.doc['masked']), right(self.me, self.doc['masked']))
        self.assertEqual(right(self.treating, self.doc['unlisted']), {})

    def test_the_treating_doctor_is_told_of_a_document_that_the_patient_is_not_shown_yet_and_the_patient_is_not(self):
        self.assertEqual(right(self.me, self.doc['invisible']), {})
        self.assertNotIn(self.p.id['patient'], right(self.treating, self.doc['invisible']))
        self.assertIn(self.p.id['doctor'], right(self.treating, self.doc['invisible']))
        self.assertNotIn('invisible', [r[2] for r in seen_as(self.me, self.p.id['midwife'], self.pid)])

    def test_nobody_else_is_told_who_reads(self):
        for who in ('doctor', 'pharmacist', 'midwife', 'mother', 'left', 'never', 'authority'):
            self.assertEqual(right(self.who[who], self.doc['n']), {}, who)
            self.assertEqual(seen_as(self.who[who], self.p.id['treating'], self.pid), [], who)

    def test_a_document_that_does_not_exist_is_read_by_nobody(self):
        self.assertEqual(right(self.me, NO_SUCH_ID), {})
        self.refused(44, self.me, 'SELECT * FROM document_as(?)', (NO_SUCH_ID,))

    def test_each_sees_what_seeing_as_him_shows(self):
        for who, con in self.who.items():
            real = [r for r in own(con, self.pid) if r[2] != 'invisible']   # not announced: not shown to the patient under another's name either
            self.assertEqual(seen_as(self.me, self.p.id[who], self.pid), real, who)

    def test_seeing_as_someone_gives_the_reason_that_access_right_gives(self):
        for who in self.who:
            for document, why in self.me.execute('SELECT id, why FROM document_as(?)', (self.p.id[who],)):
                self.assertIn(why, right(self.me, document)[self.p.id[who]], who)

    def test_the_treating_doctor_sees_as_another_within_what_he_holds(self):
        mine = set(documents(self.treating))
        for who in ('doctor', 'pharmacist', 'mother', 'treating', 'midwife', 'never'):
            self.assertEqual(seen_as(self.treating, self.p.id[who], self.pid), [r for r in own(self.who[who], self.pid) if r[0] in mine], who)

    def test_seeing_as_needs_somebody(self):
        self.refused(51, self.me, 'SELECT * FROM document_as')
        self.refused(51, self.me, 'SELECT * FROM document_as WHERE patient=?', (self.pid,))
        self.assertEqual(self.me.execute('SELECT count(*) FROM document_as(NULL)').fetchone(), (0,))

    def test_both_join_with_other_tables(self):
        for sql in ('SELECT count(*) FROM access_right a JOIN document d ON d.id=a.document WHERE d.title=?',
                    'SELECT count(*) FROM document d JOIN access_right a ON d.id=a.document WHERE d.title=?'):
            self.assertEqual(one(self.me, sql, 'n'), 6)
        got = self.me.execute('SELECT p.name, count(*) FROM principal p, document_as(p.id) GROUP BY 1').fetchall()
        self.assertEqual(dict(got)['PHARMACIST'], len(own(self.who['pharmacist'], self.pid)) - 1)   # the one not announced
        n, masked = self.doc['n'], self.doc['masked']
        self.assertEqual(one(self.me, 'SELECT count(*) FROM access_right WHERE document=? OR document=?', n, masked), 6 + 4)
        self.assertEqual(one(self.me, 'SELECT count(*) FROM document d LEFT JOIN access_right a ON a.document=d.id WHERE d.id=?', n), 6)

    def test_neither_is_written(self):
        self.refused(49, self.me, 'DELETE FROM access_right WHERE document=?', (self.doc['n'],))
        self.refused(49, self.me, "INSERT INTO access_right(document, principal, why) VALUES(1, 2, 'x')")
        self.refused(49, self.me, 'DELETE FROM document_as WHERE principal=?', (self.p.id['doctor'],))

    def test_asking_is_logged_as_a_listing(self):
        con = self.p.login('treating')
        before = one(self.me, "SELECT coalesce(sum(count), 0) FROM access_log WHERE action='list' AND principal=?", self.p.id['treating'])
        right(con, self.doc['n'])
        self.assertEqual(one(self.me, "SELECT coalesce(sum(count), 0) FROM access_log WHERE action='list' AND principal=?", self.p.id['treating']), before + 1)

    def test_a_line_of_a_section_has_its_readers_too(self):
        self.me.execute("INSERT INTO prescription(patient, label, prescribed_at) VALUES(?, 'x', '2026-03-12')", (self.pid,))
        line = one(self.me, 'SELECT id FROM prescription')
        self.assertEqual({w for w, _ in right(self.me, line).items()}, {self.p.id[w] for w in ('patient', 'treating', 'doctor', 'pharmacist', 'mother')})

    @unittest.skipUnless(MOUNTS, 'no /dev/fuse, or not root')
    def test_the_mount_of_each_shows_what_seeing_as_him_shows(self):
        for who in ('treating', 'doctor', 'pharmacist', 'mother', 'left'):
            mount = Mount(self.p, who)
            try:
                titles = sorted(r[2] for r in seen_as(self.me, self.p.id[who], self.pid))
                titles += ['invisible'] if who in ('treating', 'doctor', 'pharmacist') else []
                found = mount.becomes(None, 0)
                self.assertEqual(sorted(t for t in titles if any(t in f for f in found)), sorted(titles), (who, found))
                self.assertEqual(len(found), len(titles), (who, found))
            finally:
                mount.close()


class Change(Case):
    """What is said follows what happens."""

    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'doctor': ('10', 0), 'dentist': ('40', 0), 'second': ('40', 0)})
        self.pid = self.p.patient('patient', self.p.login('treating'), 'treating')
        self.me, self.treating = self.p.login('patient'), self.p.login('treating')

    def tearDown(self):
        self.p.drop()

    def readers(self, con, document):
        return {w for w, i in self.p.id.items() if i in right(con, document)}

    def test_a_key_that_waits_for_the_patient_opens_nothing_yet(self):
        secret = deposit(self.me, self.pid, type_code='ATTEST-RESID')   # no doctor reads it
        self.treating.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['dentist']))
        con = self.p.login('dentist')
        self.assertEqual(documents(con), [])
        self.assertEqual(self.readers(self.me, secret), {'patient'})
        self.p.login('patient')
        self.assertEqual(documents(con), [secret])
        self.assertEqual(self.readers(self.me, secret), {'patient', 'dentist'})

    def test_who_held_a_key_before_it_was_due_goes_on_opening_what_it_opens(self):
        secret = deposit(self.me, self.pid, type_code='ATTEST-RESID')
        for who in ('dentist', 'second'):
            self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))
        con, other = self.p.login('dentist'), self.p.login('second')
        self.treating.execute('DELETE FROM consent WHERE grantee=?', (self.p.id['second'],))
        self.assertEqual((documents(con), documents(other)), ([secret], []))
        self.assertEqual(self.readers(self.me, secret), {'patient', 'dentist'})
        late = deposit(con, self.pid, type_code='ATTEST-RESID')   # diverted: masked until the key has turned
        self.assertEqual(self.readers(self.me, late), {'patient', 'dentist'})
        self.assertEqual(right(self.me, late)[self.p.id['dentist']], {'déposant'})
        self.p.login('patient')
        self.assertEqual(len(right(self.me, late)[self.p.id['dentist']]), 2)

    def test_a_change_of_treating_doctor_is_seen_in_the_reasons(self):
        document = deposit(self.me, self.pid)
        self.assertEqual(right(self.me, document)[self.p.id['treating']], {'médecin traitant'})
        self.me.execute('UPDATE patient SET treating_doctor=?', (self.p.id['doctor'],))
        self.assertEqual(self.readers(self.me, document), {'patient', 'doctor'})

    def test_a_source_that_deposited_sees_nothing_of_it(self):
        self.p.authority.execute("INSERT INTO principal(kind,name,profession,certificate) VALUES('source','CAISSE','10',?)", (self.p.request('caisse'),))
        con = self.p.connect()
        self.p.id['caisse'] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key('caisse'), 'code-des-tests-1', self.p.fingerprint)
        self.me.execute('INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id['caisse']))
        con.execute("INSERT INTO reimbursement(patient, label, care_date) VALUES(?, 'acte', '2026-03-12')", (self.pid,))
        line = one(self.p.login('patient'), 'SELECT id FROM reimbursement')
        self.assertEqual(con.execute('SELECT id FROM reimbursement').fetchall(), [])
        self.assertEqual(self.readers(self.me, line), {'patient', 'treating'})
        self.assertEqual(self.me.execute('SELECT id FROM document_as(?)', (self.p.id['caisse'],)).fetchall(), [])

    def test_a_consent_that_ends_leaves_the_own_deposit(self):
        self.me.execute("INSERT INTO consent(patient,grantee,until) VALUES(?,?,strftime('%Y-%m-%dT%H:%M:%SZ','now','+2 seconds'))", (self.pid, self.p.id['doctor']))
        document, own_ = deposit(self.me, self.pid), deposit(self.p.login('doctor'), self.pid)
        self.assertIn('doctor', self.readers(self.me, document))
        time.sleep(3)
        self.assertNotIn('doctor', self.readers(self.me, document))
        self.assertEqual(right(self.me, own_)[self.p.id['doctor']], {'déposant'})
        self.assertEqual(documents(self.p.login('doctor')), [own_])

    def test_one_document_costs_the_same_in_a_long_record(self):
        def cost(document):
            con = self.p.login('patient')
            documents(con)
            before = con.execute('SELECT headers_opened, boxes_opened FROM session').fetchone()
            right(con, document)
            after = con.execute('SELECT headers_opened, boxes_opened FROM session').fetchone()
            return after[0] - before[0], after[1] - before[1]
        ids = [deposit(self.me, self.pid) for _ in range(10)]
        short = cost(ids[5])
        ids += [deposit(self.me, self.pid) for _ in range(90)]
        self.assertEqual(cost(ids[5]), short)


class RandomRecords(Case):
    """Random histories of the oracle: what access_right and document_as say is what each login sees, at several moments of each."""

    HISTORIES, STEPS, EVERY = 12, 60, 15

    def mask_to_somebody(self, rng, record):
        """A document out of the sight of a person, a profession, a team or the treating doctor: beside what the oracle's histories do."""
        con = record.connections[rng.choice(oracle.PATIENTS)]
        found = documents(con)
        whom = rng.choice(['treating', 'profession:21', 'profession:60', *(record.ids[w] for w in oracle.PROFESSIONALS)])
        if found:
            error_of(con, 'INSERT INTO mask(document,grantee) VALUES(?,?)', (rng.choice(found), whom))

    def compare(self, record, when):
        cons, ids = record.connections, record.ids
        for patient in oracle.PATIENTS:
            views = {who: own(cons[who], ids[patient]) for who in cons}
            mine = {r[0] for r in views[patient]}
            for who in cons:
                if who in oracle.PATIENTS and who != patient:    # she does not know that there is one
                    self.refused(44, cons[patient], 'SELECT id FROM document_as(?)', (ids[who],))
                    continue
                said, real = seen_as(cons[patient], ids[who], ids[patient]), [r for r in views[who] if r[0] in mine]
                if len(real) < len(views[who]):           # what is not announced may replace what is shown: the patient is not told
                    said, real = ([r[:9] + r[10:] for r in rows] for rows in (said, real))
                self.assertEqual(list(said), list(real), (when, patient, who))
            said = {d: set(right(cons[patient], d)) for d in mine}
            self.assertEqual(said, {d: {ids[who] for who in cons if any(r[0] == d for r in views[who])} for d in mine}, (when, patient))
            doctor = record.names.get(one(cons[patient], 'SELECT treating_doctor FROM patient'))
            held = [d for d in mine if doctor and ids[doctor] in right(cons[doctor], d)]
            for d in held:
                self.assertEqual(set(right(cons[doctor], d)), said[d], (when, doctor, d))

    def test_random_records_are_described_as_they_are(self):
        for n in range(self.HISTORIES):
            rng = random.Random('access right %d' % n)
            history = oracle.make_history(rng, self.STEPS)
            folder = tempfile.mkdtemp(prefix='dmp-right-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
            record = oracle.Record(SO, folder, history)
            try:
                for i, step in enumerate(history.steps, 1):
                    try:
                        if step.verb == 'clock':
                            oracle.set_clock(step.args['day'])
                        elif step.who != 'host':
                            record.act(step)
                    except oracle.Failure:            # what stands under another mask already
                        pass
                    if n % 2 and rng.random() < 0.4:
                        self.mask_to_somebody(rng, record)
                    if i % self.EVERY == 0 or i == len(history.steps):
                        self.compare(record, 'history %d after step %d' % (n, i))
            finally:
                record.close()
                shutil.rmtree(folder, ignore_errors=True)


if __name__ == '__main__':
    main()
