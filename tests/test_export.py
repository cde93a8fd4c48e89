#!/usr/bin/python3
"""What a patient takes along, for whom, and how a page of accesses proves itself.
Usage: test_export.py [BUILD_FOLDER [TEST_NAME...]]"""
import csv
import os
import re
import subprocess
import sys
sys.dont_write_bytecode = True
from html.parser import HTMLParser
from harness import BUILD, HERE, PIN, Case, Practice, deposit, documents, main, one, open_record
from test_representatives import CHILD, name, represent

CLI = os.path.join(os.path.dirname(HERE), 'scripts', 'dmp')
CHECK = 'SELECT dmp_export_check(?)'


class Cells(HTMLParser):
    """The rows of a page's table, as a browser reads them."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.open = [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == 'tr':
            self.rows.append([])
        elif tag in ('td', 'th'):
            self.rows[-1].append('')
            self.open = True
        elif tag not in ('html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'p', 'br', 'table'):
            raise AssertionError('a tag that the page should not have: ' + tag)

    def handle_endtag(self, tag):
        self.open &= tag not in ('td', 'th')

    def handle_data(self, data):
        if self.open:
            self.rows[-1][-1] += data


class Fresh(Case):
    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'doctor': ('10', 0), 'midwife': ('50', 0)})
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('patient', self.t, 'treating', **CHILD)
        self.me = self.p.login('patient')
        for who in ('doctor', 'midwife'):
            self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))
        represent(self.p, 'mother')
        name(self.me, self.p, self.pid, 'mother')
        self.doc = deposit(self.t, self.pid, b'corps ordinaire', title='<b>Bilan & "suite"</b>')
        self.m, self.mother = self.p.login('midwife'), self.p.login('mother')

    def page(self, con=None, recipient=None):
        return one(con or self.me, 'SELECT dmp_export(?,?)', self.pid, recipient)


class Page(Fresh):
    def test_the_page_shows_the_log_in_french_and_what_others_wrote_as_text(self):
        one(self.p.login('doctor'), 'SELECT dmp_read(?,0,1)', self.doc)
        rows = Cells(self.page()).rows
        self.assertEqual(rows[0], ['Date (UTC)', 'Qui', 'Profession', 'A fait', 'Quoi', 'Motif', 'Fois'])
        self.assertIn(['DOCTOR', 'Médecin', 'a lu', '<b>Bilan & "suite"</b>', '', '1'], [r[1:] for r in rows])
        self.assertIn(['ENFANT', '', 'a donné un accord à', 'DOCTOR', '', '1'], [r[1:] for r in rows])
        self.assertIn(['ENFANT', '', 'a exporté', '', 'pour : le patient', '1'], [r[1:] for r in rows])
        count = one(self.me, "SELECT count(*) FROM access_log WHERE patient IS NOT NULL")
        self.assertEqual(len(Cells(self.page()).rows) - 1, count + 1)   # one for this page itself

    def test_every_action_has_its_french_which_the_pages_and_the_command_line_read_from_one_place(self):
        root = os.path.dirname(HERE)
        text = {}
        for name in ('ext/log.h', 'ext/log.c', 'ext/motive.c', 'schema/layout.sql', 'scripts/dmp.d/insight.py', 'scripts/dmp.d/french.py'):
            with open(os.path.join(root, name), encoding='utf-8') as f:
                text[name] = f.read()
        actions = set(re.findall(r'LOG_\w+', re.search(r'enum log_action \{(.*?)\};', text['ext/log.h'], re.S)[1]))
        self.assertEqual(set(re.findall(r'\[(LOG_\w+)\] = "[^"]+"', text['ext/log.c'])), actions)
        french = dict(re.findall(r'\[(LOG_\w+)\] = "([^"]+)"', text['ext/motive.c']))
        self.assertEqual(set(french), actions)
        for name in ('schema/layout.sql', 'scripts/dmp.d/insight.py'):
            self.assertIn('action_text', text[name])
        for name in ('schema/layout.sql', 'scripts/dmp.d/insight.py', 'scripts/dmp.d/french.py'):
            self.assertEqual([w for w in french.values() if "'%s'" % w in text[name]], [], name)

    def test_no_reason_stands_there_as_a_number_or_a_word_of_the_program(self):
        p, me = self.p, self.me
        p.authority.execute("INSERT INTO principal(kind, name, certificate) VALUES('source', 'Hôpital', ?)", (p.request('hospital'),))
        hospital = one(p.authority, "SELECT id FROM principal WHERE kind = 'source'")
        for grantee in (p.id['doctor'], 'profession:60'):
            me.execute('INSERT INTO mask(patient, document, grantee) VALUES(?, ?, ?)', (self.pid, self.doc, grantee))
        me.execute('INSERT INTO feed(patient, source) VALUES(?, ?)', (self.pid, hospital))
        me.execute("UPDATE feed SET state = 'off'")
        me.execute('DELETE FROM representative')
        said = {(r[3], r[4], r[5]) for r in Cells(self.page()).rows}
        title = '<b>Bilan & "suite"</b>'
        for row in (('a masqué', title, 'à DOCTOR'), ('a masqué', title, 'à la profession : Infirmier'), ('a désigné un représentant', 'MOTHER', ''),
                    ('a retiré un représentant', 'MOTHER', ''), ('a ouvert une alimentation automatique', 'Hôpital', ''), ('a fermé une alimentation automatique', 'Hôpital', '')):
            self.assertIn(row, said)
        rows = me.execute('SELECT action_text, reason, reason_text FROM access_log WHERE patient = ? AND reason IS NOT NULL', (self.pid,)).fetchall()
        self.assertIn(('a masqué', 'profession:60', 'à la profession : Infirmier'), rows)
        self.assertEqual([r for r in rows if r[2] and (r[2] == r[1] or str(p.id['doctor']) in r[2])], [])

    def test_the_signature_is_the_patients_and_holds_for_these_bytes_alone(self):
        page = self.page()
        said = one(self.me, CHECK, page)
        self.assertRegex(said, r'^([0-9a-f]{4}-){7}[0-9a-f]{4} ENFANT$')
        self.assertIn(said.split()[0], page)
        self.assertEqual(one(open_record(':memory:'), CHECK, page), said.split()[0])   # without any key: the fingerprint alone
        for changed in (page.replace('Bilan', 'Bilans'), page[:-1], page + '\n', page.replace('a exporté', 'a lu'), page.replace('</table>', '<p></table>'),
                        page.rsplit('<!--', 1)[0], '', page[:-10] + ('1' if page[-10] == '0' else '0') + page[-9:], page + page[page.rindex('<!--'):]):
            self.refused(126, self.me, CHECK, (changed,))

    def test_a_signature_of_another_key_tells_that_key(self):
        mine, others = one(self.me, CHECK, self.page()), one(self.me, CHECK, self.page(self.t))
        self.assertNotEqual(mine, others)
        self.assertTrue(others.endswith(' TREATING'))
        page = self.page()
        forged = page.replace(page[-240:], self.page(self.t)[-240:])
        self.refused(126, self.me, CHECK, (forged,))

    def test_a_representatives_page_has_nothing_of_what_is_hidden(self):
        hidden = deposit(self.m, self.pid, title='Acte secret', hidden_from_representatives=1)
        one(self.t, 'SELECT dmp_read(?,0,1)', hidden)
        rows = Cells(self.page(self.mother)).rows
        self.assertFalse([r for r in rows if 'secret' in ' '.join(r) or str(hidden) in ' '.join(r)])
        self.assertTrue([r for r in Cells(self.page()).rows if 'Acte secret' in r])
        self.assertFalse([r for r in rows if 'a donné un accord à' in r and 'MOTHER' not in r])

    def test_the_patients_page_has_nothing_of_what_is_not_announced(self):
        deposit(self.m, self.pid, title='Annonce', invisible_patient=1)
        documents(self.m)
        self.assertFalse([r for r in Cells(self.page()).rows if 'Annonce' in r or 'MIDWIFE' in r[1]])

    def test_who_does_not_read_the_log_exports_nothing(self):
        for who in ('doctor', 'midwife'):
            self.refused(46, self.p.login(who), 'SELECT dmp_export(?)', (self.pid,))
        self.refused(43, self.p.authority, 'SELECT dmp_export(?)', (self.pid,))
        self.refused(43, self.me, 'SELECT dmp_export(?)', (1,))
        self.refused(65, self.me, 'SELECT dmp_export(?, 12)', (self.pid,))


class Recipients(Fresh):
    def test_insurers_employers_and_occupational_medicine_get_nothing_and_the_attempt_is_in_the_log(self):
        for con, who in ((self.t, 'treating'), (self.me, 'patient'), (self.mother, 'mother')):
            for recipient in ('assureur', 'employeur', 'medecine_travail'):
                self.refused(125, con, 'SELECT dmp_export(?,?)', (self.pid, recipient))
            got = self.me.execute("SELECT reason FROM access_log WHERE action='refused' AND principal=? AND patient=?", (self.p.id[who], self.pid)).fetchall()
            self.assertEqual(sorted(r[0] for r in got), ['assureur', 'employeur', 'medecine_travail'])
        self.assertEqual(one(self.me, "SELECT count(*) FROM access_log WHERE action='export'"), 0)

    def test_the_others_are_named_in_the_log_and_on_the_page(self):
        for recipient, word in (('avocat', 'un avocat'), ('hebergeur', 'un autre hébergeur'), ('professionnel', 'un professionnel de santé')):
            self.assertIn('pour : ' + word, self.page(recipient=recipient))
        self.assertEqual([r[0] for r in self.me.execute("SELECT reason FROM access_log WHERE action='export'")], ['avocat', 'hebergeur', 'professionnel'])

    def test_a_recipient_that_nobody_knows_is_refused(self):
        self.refused(52, self.me, 'SELECT dmp_export(?,?)', (self.pid, 'voisin'))

    def test_without_a_log_there_is_no_page(self):
        folder = self.p.path + '-log'
        os.rename(folder, folder + '.away')
        try:
            self.fails(self.p.connect(), 'SELECT dmp_login(?,?)', (self.p.key('patient'), PIN))
        finally:
            os.rename(folder + '.away', folder)


class Everything(Fresh):
    def run_dmp(self, who, *argv, code=0):
        env = {k: v for k, v in os.environ.items() if not k.startswith('DMP_')}
        env.update(HOME=self.p.folder, DMP_LIB=BUILD, DMP_ASKPASS='echo ' + PIN, LC_ALL='C.UTF-8')
        done = subprocess.run([CLI, '--record', self.p.path, '--key', self.p.key(who), *argv], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn('Traceback', done.stderr)
        return done.stdout + done.stderr

    def rows(self, path):
        with open(path, encoding='utf-8-sig', newline='') as f:
            return list(csv.reader(f, delimiter=';'))

    def test_a_patient_takes_everything_along(self):
        bodies = {deposit(self.me, self.pid, os.urandom(200000), title='Mes notes %d' % n, masked=n): n for n in (0, 1)}
        self.me.execute("INSERT INTO prescription(patient, label, prescribed_at) VALUES(?, '=1+1', '2026-03-12')", (self.pid,))
        hidden = deposit(self.m, self.pid, b'pas encore', title='Annonce', invisible_patient=1)
        folder = os.path.join(self.p.folder, 'sortie')
        self.assertIn('3 documents', self.run_dmp('patient', 'export', folder))
        index = self.rows(folder + '/documents.csv')
        at = {c: i for i, c in enumerate(index[0])}
        self.assertEqual({int(r[at['id']]) for r in index[1:]}, {self.doc, *bodies})
        for row in index[1:]:
            with open(os.path.join(folder, row[at['fichier']]), 'rb') as f:
                self.assertEqual(f.read(), one(self.me, 'SELECT content FROM document WHERE id=?', int(row[at['id']])))
        self.assertEqual(len(os.listdir(folder + '/documents')), 3)
        self.assertIn("'=1+1", self.rows(folder + '/prescription.csv')[1])   # no formula for a spreadsheet
        self.assertEqual({f for f in os.listdir(folder) if f.endswith('.csv')} - {'notification.csv', 'access_right.csv'},
                         {'documents.csv', 'acces.csv', 'prescription.csv', 'patient.csv', 'consent.csv', 'representative.csv', 'mask.csv'})
        for path in [os.path.join(d, f) for d, _, files in os.walk(folder) for f in files]:
            with open(path, 'rb') as f:
                data = f.read()
            self.assertNotIn(b'Annonce', data, path)
            self.assertNotIn(str(hidden).encode(), data, path)
        self.assertIn('La signature est bonne', self.run_dmp('patient', 'check-page', folder + '/acces.html'))
        with open(folder + '/acces.html', 'a', encoding='utf-8') as f:
            f.write('<!-- -->')
        self.assertIn('cette page n’est pas signée', self.run_dmp('patient', 'check-page', folder + '/acces.html', code=1))
        self.assertEqual(oct(os.stat(folder).st_mode & 0o777), '0o700')
        self.assertIn('existe déjà', self.run_dmp('patient', 'export', folder, code=1))

    def test_the_treating_doctors_export_to_an_insurer_writes_no_file(self):
        folder = os.path.join(self.p.folder, 'sortie')
        for recipient in ('assureur', 'employeur', 'medecine_travail'):
            self.assertIn('la loi les écarte', self.run_dmp('treating', 'export', folder, '--for', recipient, code=1))
        self.assertFalse(os.path.exists(folder))
        self.run_dmp('treating', 'export', folder, '--for', 'professionnel')
        self.assertTrue(os.path.exists(folder + '/acces.html'))


if __name__ == '__main__':
    main()
