#!/usr/bin/python3
"""The command line for people, at a pseudo-terminal: a practice opens, a colleague comes in, a patient is registered, a
PDF is deposited, masked, and gone for the colleague. Usage: test_dmp_cli.py [BUILD_FOLDER]"""
import glob, importlib, os, pty, re, select, shutil, signal, sqlite3, subprocess, sys, tempfile
import termios, time, unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, 'build'))
CLI = os.path.join(ROOT, 'scripts', 'dmp')
TYPED = CLI if os.path.relpath(CLI).startswith('..') else os.path.relpath(CLI)   # as the program names itself here
AUTHORITY, DOCTOR, COLLEAGUE = 'code-autorite-1', 'code-medecin-22', 'code-pharmacie-333'
PINS = [AUTHORITY, DOCTOR, COLLEAGUE]
PDF = b'%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n'
PDF_TITLE, OTHER_TITLE = 'Bilan Cardiaque Rivoire', 'Ordonnance de metformine'


def command_line(module):
    """A module of scripts/dmp."""
    if ROOT + '/scripts/dmp.d' not in sys.path:
        sys.path.insert(0, ROOT + '/scripts/dmp.d')
    sys.dont_write_bytecode = True
    return importlib.import_module(module)


def mounts_below(folder):
    with open('/proc/mounts', encoding='utf-8') as f:
        return [line.split()[1] for line in f if line.split()[1].startswith(folder)]


class Terminal:
    """A command at a terminal of its own: expect() reads until a text, send() types a line."""

    def __init__(self, *argv, env):
        self.seen, self.at = '', 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)   # a background job would pass on that it is ignored
            os.execve(argv[0], argv, env)

    def expect(self, text, seconds=60):
        end = time.monotonic() + seconds
        while self.seen.find(text, self.at) < 0:
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0] or not self.read():
                raise AssertionError('waited for %r after:\n%s' % (text, self.seen))
        self.at = self.seen.find(text, self.at) + len(text)

    def read(self):
        try:
            data = os.read(self.fd, 65536)
        except OSError:                                # the last writer is gone
            return False
        self.seen += data.decode('utf-8', 'replace')
        return bool(data)

    def send(self, line):
        os.write(self.fd, line.encode() + b'\n')

    def interrupt(self):
        """Ctrl-C, again every second: one that comes between a prompt and the reading of its answer waits for the next."""
        for _ in range(20):
            os.write(self.fd, b'\x03')
            end = time.monotonic() + 1
            while select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                if not self.read():
                    return self.end()
        raise AssertionError('Ctrl-C has no effect after:\n' + self.seen)

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def end(self):
        """Reads to the end; the exit code."""
        while self.read():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class CommandLine(unittest.TestCase):
    """One story, in the order of the names: each test leaves what the next one needs."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix='dmp-cli-')
        cls.home = os.path.join(cls.dir, 'home')
        os.mkdir(cls.home)
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith('DMP_')}
        cls.env.update(HOME=cls.home, DMP_LIB=BUILD, LC_ALL='C.UTF-8', TERM='dumb', PYTHONDONTWRITEBYTECODE='1')
        cls.env.pop('XDG_CONFIG_HOME', None)
        cls.record = os.path.join(cls.dir, 'cabinet', 'record.db')
        cls.mounted, cls.patient_key, cls.patient_pin = None, None, None

    @classmethod
    def tearDownClass(cls):
        for point in mounts_below(cls.dir):
            subprocess.run(['fusermount3', '-u', '-z', point])
        shutil.rmtree(cls.dir)

    def at(self, *argv, env=None):
        return Terminal(CLI, *argv, env=env or self.env)

    def talk(self, argv, *steps, code=0, env=None):
        """Steps: (text, answer); None: nothing is typed. An answer that is a PIN must meet a terminal without echo, and never be shown."""
        t = self.at(*argv, env=env)
        for prompt, answer in steps:
            t.expect(prompt)
            if answer is None:
                continue
            if answer in PINS or answer == self.patient_pin or prompt.startswith('Nouveau code'):
                for _ in range(100):                   # the prompt may come a moment before echo goes off
                    if not t.echoes():
                        break
                    time.sleep(0.01)
                self.assertFalse(t.echoes(), 'echo is on at: ' + prompt)
            t.send(answer)
        self.assertEqual(t.end(), code, t.seen)
        for pin in PINS:
            self.assertNotIn(pin, t.seen)
        self.assertNotIn('Traceback', t.seen)
        return t.seen

    def quiet(self, argv, pin, code=0, env=None):
        """Without a terminal: the PIN comes from $DMP_ASKPASS."""
        env = dict(env or self.env, DMP_ASKPASS='echo ' + pin)
        done = subprocess.run([CLI, *argv], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              start_new_session=True)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn('Traceback', done.stderr)
        return done.stdout + done.stderr

    def test_01_init_opens_a_practice_without_echoing_a_pin(self):
        seen = self.talk(['init', os.path.join(self.dir, 'cabinet')],
                         ('Nom du premier médecin', 'Dr Hélène RIVOIRE'), ('RPPS', '81000000018'),
                         ('Nouveau code de l’autorité', AUTHORITY), ('encore une fois', AUTHORITY),
                         ('Nouveau code de Dr', DOCTOR), ('encore une fois', DOCTOR))
        type(self).fingerprint = re.search(r'Empreinte de l’autorité : (\S+)', seen)[1]
        for part in (self.home + '/.config/dmp/cles', self.record + '-log', self.record + '-anchor', 'g+rwX'):
            self.assertIn(part, seen[seen.index('À sauvegarder'):])
        self.assertIn(TYPED + ' new-patient', seen)
        self.assertTrue(os.path.exists(self.record))
        for key in glob.glob(self.home + '/.config/dmp/cles/*.dmpkey'):
            self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)

    def test_02_init_never_touches_an_existing_record(self):
        before = open(self.record, 'rb').read()
        self.assertIn('sert déjà', self.talk(['init', self.dir + '/autre'], code=1))
        self.assertIn('existe déjà', self.talk(['-P', 'autre', 'init', self.dir + '/cabinet'], code=1))
        self.assertEqual(open(self.record, 'rb').read(), before)

    def test_03_short_and_mistyped_pins_are_asked_again(self):
        t = self.at('-P', 'essai', 'init', self.dir + '/essai')
        for expected, answer in (('médecin', 'Dr X'), ('RPPS', '123'), ('a 11 chiffres', None),
                                 ('RPPS', '81000000035'), ('un chiffre est mal recopié', None), ('RPPS', '-'),
                                 ('Nouveau code', 'court'),
                                 ('au moins 8 caractères.', None),
                                 ('Nouveau code', AUTHORITY), ('encore', DOCTOR), ('Les deux codes diffèrent.', None)):
            t.expect(expected)
            if answer:
                t.send(answer)
        t.expect('Nouveau code')
        self.assertEqual(t.interrupt(), 130)
        self.assertFalse(os.path.exists(self.dir + '/essai'))

    def test_04_a_colleague_joins_and_the_authority_enrols(self):
        self.assertIn(self.fingerprint, self.talk(['invite']))
        request, wrong = self.dir + '/demande.json', self.fingerprint[::-1]
        seen = self.talk(['-P', 'pharmacie', '--record', self.record, 'join', '-o', request],
                         ('Empreinte', 'court'), ('huit groupes', None), ('Empreinte', wrong), ('Votre nom', 'Nadia KACI'), ('RPPS', '81000000026'), ('profession', '2'),
                         ('Nouveau code', COLLEAGUE), ('encore', COLLEAGUE),
                         ('pas l’empreinte de ce dossier', None), ('Empreinte', self.fingerprint))
        code = re.search(r'Code de la demande : (\S+)', seen)[1]
        self.assertIn('pas encore enregistrée', self.quiet(['-P', 'pharmacie', 'list'], COLLEAGUE, code=1))
        seen = self.talk(['enrol', request], ('même code', 'o'), ('enregistrer des patients', 'n'),
                         ('Code de la clé autorite', AUTHORITY))
        self.assertIn(code, seen)
        said = self.quiet(['-P', 'pharmacie', 'list'], COLLEAGUE, code=1)
        self.assertIn('rien à choisir, aucun patient ne vous est ouvert. Enregistrez-le (%s -P pharmacie new-patient)' % TYPED, said)
        self.assertIn('(%s consent, avec sa clé)' % CLI, said)

    def test_05_a_request_whose_code_differs_is_not_enrolled(self):
        seen = self.talk(['enrol', self.dir + '/demande.json'], ('même code', 'n'), code=1)
        self.assertIn('Rien n’est enregistré', seen)
        with open(self.dir + '/faux.json', 'w') as f:
            f.write('{"name": 1}')
        self.assertIn('n’est pas une demande', self.talk(['enrol', self.dir + '/faux.json'], code=1))

    def test_06_a_patient_is_registered_at_the_desk_with_a_sheet(self):
        key = self.dir + '/patient.dmpkey'
        seen = self.talk(['new-patient', '-o', key, '--draw-pin'], ('Code de la clé', 'pas-le-bon-code'),
                         ('encore 2 essais', None), ('Code de la clé', DOCTOR), ('Nom de naissance', 'BELLANGER'),
                         ('Nom utilisé', ''), ('Prénoms', 'Lucie'), ('Date de naissance', '31/02/1984'), ('Date impossible', None),
                         ('Date de naissance', '31/01/2984'), ('avenir', None), ('Date de naissance', '7/7/1984'),
                         ('Sexe', 'X'), ('Répondez M', None), ('Sexe', 'f'), ('INS', '184077512345678'), ('clé de cet INS', None),
                         ('INS', ''), ('médecin traitant', 'peut-être'), ('Répondez o', None), ('médecin traitant', ''),
                         ('Fiche à imprimer', 'fiche.txt'), ('.pdf ou .png', None), ('Fiche à imprimer', ''))
        for part in ('Patient : BELLANGER Lucie 07/07/1984', 'Dossier : ' + self.record, 'Clé     : ' + key,
                     '%s --record %s --key %s list' % (CLI, self.record, key)):
            self.assertIn(part, seen)
        type(self).patient_key, type(self).patient_pin = key, re.search(r'Code    : (\d{12})', seen)[1]
        self.assertIn('1 document', self.deposit_ordinary())

    def deposit_ordinary(self):
        with open(self.dir + '/o.txt', 'w') as f:
            f.write('metformine 500')
        self.quiet(['deposit', self.dir + '/o.txt', '-t', OTHER_TITLE, '-c', '57833-6'], DOCTOR)
        return self.quiet(['list'], DOCTOR)

    def test_07_three_wrong_pins_end_the_desk_and_leave_no_key(self):
        key = self.dir + '/faux.dmpkey'
        seen = self.talk(['new-patient', '-o', key, '--draw-pin'], ('Code de la clé', 'pas-le-bon-code'),
                         ('Code de la clé', 'pas-le-bon-code'), ('Code de la clé', 'pas-le-bon-code'), code=1)
        self.assertIn('dmp-E011 : code faux', seen)
        self.assertFalse(os.path.exists(key))

    def erase(self, title):
        """By the doctor who deposited it; dmp has no verb for that."""
        with sqlite3.connect(self.record, isolation_level=None) as db:
            db.enable_load_extension(True)
            db.load_extension(os.path.join(BUILD, 'dmp'))
            db.execute('PRAGMA temp_store = MEMORY')
            key, = glob.glob(self.home + '/.config/dmp/cles/medecin-*.dmpkey')
            db.execute('SELECT dmp_login(?, ?)', (key, DOCTOR)).fetchone()
            erased = db.execute('DELETE FROM document WHERE title = ?', (title,)).rowcount
        db.close()
        self.assertEqual(erased, 1)

    def test_08_a_pdf_is_deposited_from_a_menu_of_types(self):
        with open(self.dir + '/bilan.pdf', 'wb') as f:
            f.write(PDF)
        seen = self.talk(['deposit', self.dir + '/bilan.pdf'], ('Code de la clé', DOCTOR), ('Titre', PDF_TITLE),
                         ('Type', '1'))
        self.assertIn('Déposé : ' + PDF_TITLE, seen)

    def test_08b_an_empty_file_and_a_content_already_there_are_deposited_only_when_confirmed(self):
        empty = self.dir + '/vide.txt'
        open(empty, 'wb').close()
        self.talk(['deposit', empty, '-t', 'Rien', '-c', '11488-4'], ('Code de la clé', DOCTOR), ('est vide', 'n'), code=1)
        os.truncate(empty, 4 << 30)                        # without a byte on the disk
        self.assertIn('a 4294967296 octets ; un document en a au plus 1000000000', self.talk(['deposit', empty], code=1))
        seen = self.talk(['deposit', self.dir + '/bilan.pdf', '-t', 'Copie', '-c', '11488-4'], ('Code de la clé', DOCTOR),
                         ('déjà là', ''), code=1)
        self.assertIn(PDF_TITLE, seen)
        self.assertIn('2 documents', self.quiet(['list'], DOCTOR))
        self.talk(['deposit', self.dir + '/bilan.pdf', '-t', 'Copie', '-c', '11488-4', '-p', '1'], ('Code de la clé', DOCTOR),
                  ('déjà là', 'o'), ('Déposé : Copie', None))
        self.erase('Copie')

    def test_08c_a_structured_document_goes_to_another_patient_than_it_names_only_when_confirmed(self):
        cda = self.dir + '/lettre.xml'
        with open(cda, 'w') as f:
            f.write('<?xml version="1.0"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3"/>\n')
        seen = self.talk(['deposit', cda, '-t', 'Lettre', '-c', '11488-4'], ('Code de la clé', DOCTOR), ('est un document CDA', ''), code=1)
        self.assertIn('Rien n’est déposé', seen)
        self.talk(['deposit', cda, '-t', 'Lettre', '-c', '11488-4', '--masked'], ('Code de la clé', DOCTOR), ('est un document CDA', 'o'), ('Déposé et masqué', None))
        self.erase('Lettre')

    def test_09_consent_opens_the_record_to_the_colleague(self):
        self.quiet(['--key', self.patient_key, 'consent', 'Nadia'], self.patient_pin)
        seen = self.quiet(['-P', 'pharmacie', 'list'], COLLEAGUE)
        self.assertIn(PDF_TITLE, seen)
        self.assertIn('2 document', seen)
        self.assertIn('Nadia KACI, accord du', self.quiet(['--key', self.patient_key, 'who'], self.patient_pin))

    def test_10_the_mount_shows_the_pdf_as_it_was(self):
        if not os.path.exists('/dev/fuse'):
            self.skipTest('no /dev/fuse here')
        type(self).mounted = self.dir + '/vue'
        mount = ['-P', 'pharmacie', 'mount', self.mounted]
        self.assertIn('n’existe pas : créez-le', self.talk(mount, code=1))
        self.assertFalse(os.path.exists(self.mounted))
        self.assertIn('n’est pas vide', self.talk(['mount', self.dir], code=1))
        self.assertIn('pas un dossier', self.talk(['mount', self.record], code=1))
        os.mkdir(self.mounted)
        self.talk(['-P', 'pharmacie', 'mount', self.mounted], ('Code de la clé', COLLEAGUE))
        found = glob.glob(self.mounted + '/*/[!N]*/*%s*.pdf' % PDF_TITLE)
        self.assertEqual([open(f, 'rb').read() for f in found], [PDF])
        self.assertIn('déjà monté sur', self.talk(mount, code=1))

    def test_10b_without_a_mount_point_dmp_makes_its_own(self):
        if not os.path.exists('/dev/fuse'):
            self.skipTest('no /dev/fuse here')
        own = self.home + '/dossier-partage'
        self.assertIn(TYPED + ' umount ' + own, self.quiet(['mount'], DOCTOR))
        self.assertTrue(os.path.ismount(own))
        self.talk(['umount'], ('Démonté', None))
        self.assertEqual(os.listdir(own), [])

    def test_11_a_masked_document_vanishes_for_the_colleague(self):
        seen = self.talk(['--key', self.patient_key, 'mask', 'Cardiaque'], ('Code de la clé', self.patient_pin))
        self.assertIn('Masqué.', seen)
        seen = self.quiet(['-P', 'pharmacie', 'list'], COLLEAGUE)
        self.assertNotIn(PDF_TITLE, seen)
        self.assertIn('1 document', seen)
        self.assertIn('(masqué) ' + PDF_TITLE, self.quiet(['list'], DOCTOR))
        if self.mounted:
            end = time.monotonic() + 2
            while glob.glob(self.mounted + '/*/*/*Cardiaque*') and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(glob.glob(self.mounted + '/*/*/*Cardiaque*'), [])
            self.assertEqual(len(glob.glob(self.mounted + '/*/[!N]*/*metformine*')), 1)

    def test_12_a_colleague_may_neither_mask_nor_name_what_is_masked(self):
        self.assertIn('ne désigne rien', self.quiet(['-P', 'pharmacie', 'unmask', 'Cardiaque'], COLLEAGUE, code=1))
        self.assertIn('dmp-E046', self.quiet(['-P', 'pharmacie', 'mask', 'metformine'], COLLEAGUE, code=1))

    def test_13_unmasked_it_is_back(self):
        self.quiet(['--key', self.patient_key, 'unmask', 'Cardiaque'], self.patient_pin)
        self.assertIn(PDF_TITLE, self.quiet(['-P', 'pharmacie', 'list'], COLLEAGUE))

    def test_14_the_patient_reads_who_did_what(self):
        seen = self.quiet(['--key', self.patient_key, 'accesses'], self.patient_pin)
        self.assertRegex(seen, r'RIVOIRE \(Médecin\) a déposé « %s »' % PDF_TITLE)
        self.assertRegex(seen, r'a masqué « %s »' % PDF_TITLE)
        self.assertRegex(seen, r'BELLANGER Lucie \(patient\) a donné un accord à Nadia KACI')
        of_one = [l for l in self.quiet(['--key', self.patient_key, 'accesses', PDF_TITLE], self.patient_pin).splitlines() if not l.startswith('Patient : ')]
        self.assertTrue(of_one and all('« %s »' % PDF_TITLE in line for line in of_one), of_one)
        self.assertIn('demandez-la sans document', self.quiet(['--key', self.patient_key, 'accesses', PDF_TITLE, '--page', 'x'], self.patient_pin, code=1))
        paris = self.quiet(['--key', self.patient_key, 'accesses'], self.patient_pin, env=dict(self.env, TZ='Europe/Paris'))
        times = re.findall(r'^\d\d/\d\d/\d{4} \d\d:\d\d:\d\d CES?T  ', paris, re.M)
        self.assertEqual(len(times), len(paris.splitlines()) - 1, paris)    # the first says whose log it is
        self.assertEqual(times, sorted(times, key=lambda t: (t[6:10], t[3:5], t[:2], t[11:])))
        if self.mounted:
            self.assertRegex(seen, r'Nadia KACI \(Pharmacien\) a lu « %s »' % PDF_TITLE)

    def test_15_withdrawn_the_colleague_has_nothing(self):
        self.quiet(['--key', self.patient_key, 'withdraw', 'Nadia'], self.patient_pin)
        self.assertIn('rien à choisir', self.quiet(['-P', 'pharmacie', 'list'], COLLEAGUE, code=1))
        again = self.quiet(['--key', self.patient_key, 'withdraw', 'Nadia'], self.patient_pin, code=1)
        self.assertIn('n’avait pas d’accord', again)
        seen = self.quiet(['--key', self.patient_key, 'accesses'], self.patient_pin)
        self.assertRegex(seen, r'BELLANGER Lucie \(patient\) a retiré l’accord de Nadia KACI')

    def test_16_umount_gives_the_folder_back(self):
        if not self.mounted:
            self.skipTest('nothing was mounted')
        self.assertIn('Démonté', self.talk(['umount', self.mounted]))
        self.assertFalse(os.path.ismount(self.mounted))
        self.assertIn('Rien n’est monté', self.talk(['umount', self.mounted], code=1))

    def test_16a_the_patient_shows_one_document_by_a_key_that_opens_nothing_else_and_ends_it(self):
        patient = ['--key', self.patient_key]
        said = self.quiet(patient + ['show', PDF_TITLE, '-o', self.dir + '/vue.dmpkey'], self.patient_pin)
        pin, view = re.search(r'^Code : ([0-9]{12})$', said, re.M)[1], ['--key', self.dir + '/vue.dmpkey']
        seen, all_of_it = self.quiet(view + ['list'], pin), self.quiet(patient + ['list'], self.patient_pin)
        self.assertIn(PDF_TITLE, seen)
        self.assertIn('1 document', seen)
        self.assertNotIn('1 document\n', all_of_it)
        self.quiet(view + ['mask', PDF_TITLE], pin, code=1)
        self.assertRegex(self.quiet(patient + ['accesses'], self.patient_pin), r'a préparé une vue à montrer\n(.*\n)*.*a consulté la liste( \(\d fois\))? \(par une vue\)')
        self.assertIn('Fini', self.quiet(patient + ['end-show', '1'], self.patient_pin))
        self.quiet(view + ['list'], pin, code=1)

    def test_16b_a_representative_joins_is_named_and_does_not_see_what_is_hidden(self):
        request, patient = self.dir + '/mere.json', ['--key', self.patient_key]
        self.talk(['-P', 'mere', '--record', self.record, 'join', '--representative', '-o', request], ('Empreinte', self.fingerprint),
                  ('Votre nom', 'Odile COURTOIS'), ('Nouveau code', COLLEAGUE), ('encore', COLLEAGUE))
        self.assertIn('représentant légal', self.talk(['enrol', request], ('même code', 'o'), ('Code de la clé autorite', AUTHORITY)))
        self.quiet(['-P', 'mere', 'list'], COLLEAGUE, code=1)
        self.assertIn('Désigné.', self.quiet(patient + ['representative', 'Odile', '--ground', 'tuteur'], self.patient_pin))
        self.assertIn('Odile COURTOIS, tuteur d’un majeur protégé : tout, sauf', self.quiet(patient + ['who'], self.patient_pin))
        before = self.quiet(['-P', 'mere', 'list'], COLLEAGUE)
        self.assertIn(PDF_TITLE, before)
        for option, title in (('--hidden', 'Secret'), ('--invisible', 'Annonce')):
            self.quiet(['deposit', self.dir + '/o.txt', '-t', title, '-c', '11488-4', option, '-p', '1'], DOCTOR, code=1)
            with open(self.dir + '/%s.txt' % title, 'w') as f:
                f.write(title)
            self.quiet(['deposit', self.dir + '/%s.txt' % title, '-t', title, '-c', '11488-4', option, '-p', '1'], DOCTOR)
        self.assertEqual(self.quiet(['-P', 'mere', 'list'], COLLEAGUE), before)
        seen = self.quiet(patient + ['list'], self.patient_pin)
        self.assertIn('(caché des représentants) Secret', seen)
        self.assertNotIn('Annonce', seen)
        self.assertIn('(invisible du patient) Annonce', self.quiet(['list', '-p', '1'], DOCTOR))
        self.assertIn('Annoncé', self.quiet(['announce', 'Annonce', '-p', '1'], DOCTOR))
        self.assertIn('Annonce', self.quiet(['-P', 'mere', 'list'], COLLEAGUE))
        self.talk(patient + ['reveal', 'Secret'], ('Code de la clé', self.patient_pin), ('ne se reprend pas', 'o'), ('Montré', None))
        self.assertIn('Secret', self.quiet(['-P', 'mere', 'list'], COLLEAGUE))
        self.assertIn('Retiré', self.quiet(patient + ['representative', 'Odile', '--remove'], self.patient_pin))
        self.quiet(['-P', 'mere', 'list'], COLLEAGUE, code=1)
        self.session('medecin', DOCTOR).execute("DELETE FROM document WHERE title IN ('Secret', 'Annonce')")

    def test_17_sql_is_logged_in_and_shows_the_pin_nowhere(self):
        t = self.at('sql')
        t.expect('Code de la clé')
        t.send(DOCTOR)
        t.expect('Session ouverte : Dr Hélène RIVOIRE')
        with open('/proc/%d/cmdline' % t.pid, 'rb') as f, open('/proc/%d/environ' % t.pid, 'rb') as g:
            line, environment = f.read(), g.read()
        self.assertIn(b'sqlite3', line)
        self.assertNotIn(DOCTOR.encode(), line + environment)
        t.expect('sqlite>')
        t.send("SELECT 'titre: ' || title FROM document ORDER BY id DESC LIMIT 1;")
        t.expect('titre: ' + PDF_TITLE)
        t.send('.quit')
        self.assertEqual(t.end(), 0)
        self.assertNotIn(DOCTOR, t.seen)
        self.assertFalse(os.path.exists(self.home + '/.sqlite_history'))
        self.assertTrue(os.path.exists('/dev/null') and not os.path.isfile('/dev/null'))

    def session(self, key, pin, record=None):
        """A connection as a program makes it. key: the beginning of a credential's name in the configuration."""
        db = sqlite3.connect(record or self.record, isolation_level=None)
        self.addCleanup(db.close)
        db.enable_load_extension(True)
        db.load_extension(os.path.join(BUILD, 'dmp'))
        db.execute('PRAGMA temp_store = MEMORY')
        path, = [p for p in glob.glob(self.home + '/.config/dmp/cles/*.dmpkey') if os.path.basename(p).startswith(key)]
        db.execute('SELECT dmp_login(?, ?)', (path, pin)).fetchone()
        return db

    def written(self):
        found = b''
        for path in glob.glob(self.record + '*'):
            if os.path.isfile(path):
                with open(path, 'rb') as f:
                    found += f.read()
        return found

    def test_17b_a_table_of_the_practice_is_protected_and_its_old_text_is_gone_from_the_file(self):
        raw = sqlite3.connect(self.record)
        raw.executescript("CREATE TABLE visite(id INTEGER PRIMARY KEY, jour TEXT, motif TEXT, note TEXT); CREATE INDEX par_motif ON visite(motif);"
                          "INSERT INTO visite VALUES(1, '2026-01-05', 'toux', 'bronchite asthmatiforme'); CREATE TABLE tarif(code TEXT, prix INTEGER);")
        raw.close()
        self.assertIn('aucune table n’est protégée', self.quiet(['unprotect'], DOCTOR, code=1))
        self.assertTrue(b'bronchite asthmatiforme' in self.written(), 'proves nothing')
        said = self.quiet(['protect', 'visite', 'motif,note'], DOCTOR, code=1)
        self.assertRegex(said, r'dmp-E081 : une colonne à sceller sert à .* \(colonne motif : index par_motif, à moins que --index ne nomme la colonne\)')
        self.assertRegex(self.quiet(['protect', 'visite', 'poids,taille'], DOCTOR, code=1), r'dmp-E079 : ces colonnes .* \(poids; taille\)')
        self.assertIn('dmp-E078 : seule une table', self.quiet(['protect', 'personne', 'nom'], DOCTOR, code=1))
        self.talk(['protect', '--no-scrub'], ('Code de la clé', DOCTOR), ('1  tarif', None), ('2  visite', None), ('Table, numéro', '2'),
                  ('Colonnes à sceller', ' note , jour'), ('Protégée : visite (jour, note)', None), ('encore dans le fichier', None))
        self.assertIn('À faire : l’ancien texte', self.quiet(['readers'], DOCTOR))
        reader = sqlite3.connect(self.record, isolation_level=None)
        reader.execute('BEGIN')
        reader.execute('SELECT count(*) FROM tarif').fetchone()
        self.assertRegex(self.quiet(['scrub'], DOCTOR, code=1), r'encore dans le fichier, qu’un autre programme lit.*%s scrub' % re.escape(TYPED))
        self.assertIn('À faire', self.quiet(['readers'], DOCTOR))
        reader.close()
        self.assertIn('L’ancien texte est effacé', self.quiet(['scrub'], DOCTOR))
        self.assertFalse(b'bronchite asthmatiforme' in self.written())
        self.assertEqual(self.quiet(['readers'], DOCTOR), 'visite (jour, note) : Dr Hélène RIVOIRE\n')
        with sqlite3.connect(self.record) as raw:
            self.assertRaises(sqlite3.Error, raw.execute, 'SELECT note FROM visite')
        raw.close()

    def test_17c_the_key_of_a_table_is_given_and_taken(self):
        note = 'SELECT note FROM visite'
        self.assertEqual(self.session('cle-', COLLEAGUE).execute(note).fetchall(), [(None,)])
        self.assertIn('dmp-E077 : vous n’avez pas la clé de cette table', self.quiet(['-P', 'pharmacie', 'readers', 'visite', '--add', 'Nadia'], COLLEAGUE, code=1))
        self.assertIn('Nadia KACI lit et écrit visite', self.quiet(['readers', 'visite', '--add', 'Nadia'], DOCTOR))
        self.assertIn('a déjà la clé', self.quiet(['readers', 'visite', '--add', 'Nadia'], DOCTOR, code=1))
        self.assertIn('Dr Hélène RIVOIRE, Nadia KACI', self.quiet(['readers', 'visite'], DOCTOR))
        self.assertEqual(self.session('cle-', COLLEAGUE).execute(note).fetchall(), [('bronchite asthmatiforme',)])
        self.talk(['readers', '--remove'], ('Code de la clé', DOCTOR), ('Table : visite', None), ('Lecteur, numéro', '2'), ('ne lit plus visite', None))
        self.assertEqual(self.session('cle-', COLLEAGUE).execute(note).fetchall(), [(None,)])
        self.assertIn('plus personne ne lirait', self.quiet(['readers', 'visite', '--remove', 'Hélène'], DOCTOR, code=1))
        self.assertEqual(self.session('medecin-', DOCTOR).execute(note).fetchall(), [('bronchite asthmatiforme',)])

    def test_17d_views_are_signed_again_and_the_table_is_given_back(self):
        with sqlite3.connect(self.record) as raw:
            raw.execute('CREATE VIEW notes AS SELECT note FROM visite')
        raw.close()
        self.assertRaises(sqlite3.Error, self.session('medecin-', DOCTOR).execute, 'SELECT note FROM visite')
        self.assertIn('signée de nouveau', self.quiet(['protect', 'visite'], DOCTOR))
        self.assertEqual(self.session('medecin-', DOCTOR).execute('SELECT note FROM notes').fetchall(), [('bronchite asthmatiforme',)])
        self.talk(['unprotect', 'visite'], ('Code de la clé', DOCTOR), ('Continuer ?', 'n'), ('Rien n’est changé', None), code=1)
        self.assertIn('pas protégée', self.quiet(['unprotect', 'tarif'], DOCTOR, code=1))
        self.talk(['unprotect', 'visite'], ('Code de la clé', DOCTOR), ('Continuer ?', 'o'), ('en clair', None))
        with sqlite3.connect(self.record) as raw:
            self.assertEqual(raw.execute('SELECT * FROM visite').fetchall(), [(1, '2026-01-05', 'toux', 'bronchite asthmatiforme')])
            raw.executescript('DROP VIEW notes; DROP TABLE visite; DROP TABLE tarif')
        raw.close()

    def test_17e_a_practice_opens_in_the_database_that_its_program_has_already(self):
        base = self.dir + '/logiciel.db'
        with sqlite3.connect(base) as raw:
            raw.executescript("CREATE TABLE visite(id INTEGER PRIMARY KEY, note TEXT); INSERT INTO visite VALUES(1, 'otite')")
        raw.close()
        self.assertIn('contient déjà un dossier', self.quiet(['-P', 'base', 'init', '--base', self.record], DOCTOR, code=1))
        self.assertIn('n’existe pas', self.quiet(['-P', 'base', 'init', '--base', base + 'x'], DOCTOR, code=1))
        self.assertIn('Sauvegardez-la', self.talk(['-P', 'base', 'init', '--base', base], ('sauvegarde', ''), code=1))
        self.assertEqual(glob.glob(base + '-*'), [])
        seen = self.talk(['-P', 'base', 'init', '--base', base], ('sauvegarde', 'o'), ('premier médecin', 'Dr Ana LUZ'), ('RPPS', '81000000018'),
                         ('Nouveau code', AUTHORITY), ('encore', AUTHORITY), ('Nouveau code', DOCTOR), ('encore', DOCTOR))
        self.assertIn('Dossier : ' + base, seen)
        self.assertIn('L’ancien texte est effacé', self.quiet(['-P', 'base', 'protect', 'visite', 'note'], DOCTOR))
        self.assertIn('visite (note) : Dr Ana LUZ', self.quiet(['-P', 'base', 'readers'], DOCTOR))
        with open(base, 'rb') as f:
            self.assertFalse(b'otite' in f.read())
        for path in re.findall(r'^Clé d\S* (?:médecin|l’autorité) : (\S+)', seen, re.M):
            os.unlink(path)

    def test_17f_an_unlocked_key_is_not_asked_for_until_it_is_locked(self):
        self.addCleanup(lambda: subprocess.run([CLI, 'lock'], env=self.env, capture_output=True))
        self.assertIn('de 1 à 1440 minutes', self.talk(['unlock', '0'], code=2))
        said = self.quiet(['unlock', '1'], 'pas-le-bon-code', code=1)
        if 'dmp-E084' in said:
            self.assertIn('trousseau du noyau', said)
            self.skipTest('the kernel\'s keyring is refused here')
        self.assertIn('dmp-E011 : code faux', said)
        self.talk(['list'], ('Code de la clé', DOCTOR), ('2 documents', None))
        self.talk(['unlock', '1'], ('Code de la clé', DOCTOR), ('déverrouillée pour 1 minute. ', None), (TYPED + ' lock', None))
        self.assertNotIn('Code de la clé', self.talk(['list'], ('2 documents', None)))
        if os.path.exists('/dev/fuse'):
            self.assertNotIn('Code de la clé', self.talk(['mount'], ('Monté sur', None)))
            self.assertIn('Démonté', self.talk(['umount']))
        t = self.at('sql')                              # the shell's session too, without a code
        t.expect('Session ouverte : Dr Hélène RIVOIRE')
        t.send('.quit')
        self.assertEqual(t.end(), 0)
        self.assertEqual(self.talk(['lock']).strip(), 'Clé verrouillée.')
        self.assertIn('n’était pas déverrouillée', self.talk(['lock']))
        self.talk(['list'], ('Code de la clé', DOCTOR), ('2 documents', None))

    def test_18_a_wrong_pin_is_told_in_french(self):
        os.mkdir(self.dir + '/x')
        for command in (['list'], ['sql'], ['verify'], ['mount', self.dir + '/x']):
            if command[0] != 'mount' or os.path.exists('/dev/fuse'):
                self.assertIn('code faux', self.quiet(command, 'pas-le-bon-code', code=1))

    def test_19_the_pin_is_changed(self):
        self.talk(['change-pin'], ('Code actuel', DOCTOR), ('Nouveau code', DOCTOR + 'bis'), ('encore', DOCTOR + 'bis'))
        self.assertIn('code faux', self.quiet(['list'], DOCTOR, code=1))
        self.assertIn('2 document', self.quiet(['list'], DOCTOR + 'bis'))
        self.talk(['change-pin'], ('Code actuel', DOCTOR + 'bis'), ('Nouveau code', DOCTOR), ('encore', DOCTOR))

    def test_19b_a_second_patient_of_the_same_name_and_date_is_registered_only_when_confirmed(self):
        key = self.dir + '/autre.dmpkey'
        same = [('Code de la clé', DOCTOR), ('Nom de naissance', 'Bellanger'), ('Nom utilisé', ''), ('Prénoms', 'LUCIE'),
                ('Date', '1984-07-07'), ('Sexe', 'F'), ('INS', ''), ('même nom et même date de naissance', None)]
        seen = self.talk(['new-patient', '-o', key, '--draw-pin', '--no-treating'], *same, ('autre personne', ''), code=1)
        self.assertIn('Rien n’est enregistré', seen)
        self.assertFalse(os.path.exists(key))
        self.talk(['new-patient', '-o', key, '--draw-pin', '--no-treating'], *same, ('autre personne', 'o'), ('Fiche à imprimer', ''))
        ambiguous = self.quiet(['list', '-p', 'lucie'], DOCTOR, code=1)
        ids = re.findall(r'INS inconnu, n° (\d+)', ambiguous)
        self.assertEqual(len(ids), 2)
        first = self.quiet(['list', '-p', ids[0]], DOCTOR)
        self.assertEqual(first, self.quiet(['list', '-p', '1'], DOCTOR))
        self.assertEqual({first, self.quiet(['list', '-p', '2'], DOCTOR)}, {self.quiet(['list', '-p', i], DOCTOR) for i in ids})
        self.assertIn('« 3 » ne désigne rien. Il y a :\n  1  BELLANGER Lucie', self.quiet(['list', '-p', '3'], DOCTOR, code=1))
        self.assertIn('BELLANGER', ambiguous)

    def test_20_import_registers_unknown_patients_and_prints_their_sheets(self):
        fixtures = os.path.join(ROOT, 'tests', 'fixtures', 'cda')
        refused = self.quiet(['import', fixtures], DOCTOR, code=1)
        self.assertIn('patient inconnu de vous', refused)
        self.assertIn('\n0 déposé, 0 déjà là, %d refusés' % len(os.listdir(fixtures)), refused)
        seen = self.quiet(['import', '--create-patients', fixtures], DOCTOR)
        self.assertIn('%d déposés, 0 déjà là, 0 refusé' % len(os.listdir(fixtures)), seen)
        sheets = re.findall(r'Patient : (.*)\nDossier : (.*)\nClé     : (.*)\nCode    : (\d{12})\n', seen)
        self.assertEqual(len(sheets), 3)
        self.assertIn('CHASTEL Élodie Marie Jeanne 14/05/1991', [who for who, *_ in sheets])
        for _, record, key, pin in sheets:
            self.assertIn('document', self.quiet(['--record', record, '--key', key, 'list'], pin))
        self.assertIn('n’existe pas', self.quiet(['import', self.dir + '/rien'], DOCTOR, code=1))

    def test_21_verify_finds_nothing_then_names_a_changed_byte(self):
        self.assertIn('0 faute, 0 chose à faire', self.quiet(['verify'], DOCTOR))
        copy = self.dir + '/copie'
        shutil.copytree(self.dir + '/cabinet', copy)
        with sqlite3.connect(copy + '/record.db') as plain:
            plain.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            box = plain.execute('SELECT box FROM dmp_chunk ORDER BY length(box) DESC LIMIT 1').fetchone()[0]
        plain.close()
        with open(copy + '/record.db', 'r+b') as f:
            at = f.read().index(box[:100]) + 60
            f.seek(at)
            f.write(bytes([box[60] ^ 1]))
        seen = self.quiet(['--record', copy + '/record.db', 'verify'], DOCTOR, code=1)
        self.assertRegex(seen, r'FAUTE : contenu de l’élément, ligne \d+, patient n° \d+ : dmp-E005 : le fichier a été modifié')
        self.assertNotRegex(seen, r'\b(the|is|was|row)\b')

    def test_22_missing_files_and_no_terminal_are_told_plainly(self):
        self.assertIn('n’existe pas', self.quiet(['--record', self.dir + '/non.db', 'list'], DOCTOR, code=1))
        self.assertIn('n’existe pas', self.quiet(['--key', self.dir + '/non.dmpkey', 'list'], DOCTOR, code=1))
        self.assertIn('non.pdf : n’existe pas', self.quiet(['deposit', self.dir + '/non.pdf'], DOCTOR, code=1))
        self.assertIn('est un dossier', self.quiet(['deposit', self.dir], DOCTOR, code=1))
        open(self.dir + '/vide.db', 'wb').close()
        self.assertIn('ne contient pas de dossier', self.quiet(['--record', self.dir + '/vide.db', 'list'], DOCTOR, code=1))
        self.assertIn('n’est pas une base de données', self.quiet(['--record', self.dir + '/bilan.pdf', 'list'], DOCTOR, code=1))
        done = subprocess.run([CLI, 'list'], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              start_new_session=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('Pas de terminal', done.stderr)

    def test_23_ctrl_c_at_a_prompt_ends_cleanly_and_leaves_no_half_practice(self):
        t = self.at('-P', 'trois', 'init', self.dir + '/trois')
        t.expect('Nom du premier médecin')
        self.assertEqual(t.interrupt(), 130)
        self.assertNotIn('Traceback', t.seen)
        self.assertFalse(os.path.exists(self.dir + '/trois'))

    def test_23b_the_command_line_speaks_french_and_names_itself_as_it_was_called(self):
        for argv, part in ((['lst'], '’est pas dans cette liste'), (['enrol'], 'il manque : DEMANDE'), ([], 'il manque : COMMANDE'),
                           (['list', '--foo'], 'arguments inconnus : --foo'), (['list', '-p'], 'il faut une valeur')):
            said = self.quiet(argv, DOCTOR, code=2)
            self.assertIn(part, said)
            self.assertNotRegex(said, r'\b(error|usage:|required|choose|argument )')
        done = subprocess.run(['scripts/dmp', '--help'], cwd=ROOT, env=self.env, capture_output=True, text=True)
        self.assertIn('usage : scripts/dmp ', done.stdout)
        self.assertIn('montrer cette aide', done.stdout)

    def test_23c_a_fingerprint_that_was_kept_wrong_is_asked_again_at_the_first_login_and_kept_right(self):
        config, request = self.home + '/.config/dmp/config', self.dir + '/demande2.json'
        self.talk(['-P', 'infirmerie', '--record', self.record, 'join', '-o', request], ('Empreinte', self.fingerprint),
                  ('Votre nom', 'Sam ROY'), ('RPPS', '-'), ('profession', '3'), ('Nouveau code', COLLEAGUE), ('encore', COLLEAGUE))
        self.assertIn('RPPS (aucun)', self.talk(['enrol', request], ('même code', 'o'), ('enregistrer des patients', 'n'),
                                                ('Code de la clé autorite', AUTHORITY)))
        with open(config, encoding='utf-8') as f:
            kept = f.read()
        with open(config, 'w', encoding='utf-8') as f:
            head, tail = kept.split('[infirmerie]')
            f.write(head + '[infirmerie]' + tail.replace(self.fingerprint, self.fingerprint[::-1]))
        self.assertIn('dmp-E028', self.quiet(['-P', 'infirmerie', 'list'], COLLEAGUE, code=1))
        self.talk(['-P', 'infirmerie', 'list'], ('Code de la clé', COLLEAGUE), ('n’est pas celle de ce dossier', None),
                  ('Empreinte', self.fingerprint), ('rien à choisir', None), code=1)
        with open(config, encoding='utf-8') as f:
            self.assertEqual(f.read(), kept)

    def test_24_nothing_that_was_typed_lies_on_the_disk(self):
        found = []
        for folder, _, names in os.walk(self.dir):
            for name in names:
                with open(os.path.join(folder, name), 'rb') as f:
                    data = f.read()
                found += [(name, w) for w in (*PINS, self.patient_pin, 'BELLANGER', PDF_TITLE) if w.encode() in data]
        self.assertEqual(found, [])


class Words(unittest.TestCase):
    """What the program says, without a record."""

    @classmethod
    def setUpClass(cls):
        cls.french, cls.asking = command_line('french'), command_line('asking')

    def test_every_error_and_every_sentence_of_the_import_has_its_french(self):
        with open(os.path.join(ROOT, 'include', 'dmp.h'), encoding='utf-8') as f:
            header = f.read()
        errors = re.findall(r'X\( *(\d+), *\w+, *\w+, *"(.*)"\)', header)
        self.assertEqual(len(errors), len(re.findall(r'^ *X\( *\d+,', header, re.M)))
        self.assertGreaterEqual(len(errors), 86)
        said = ['dmp-E%03d: %s' % (int(n), text) for n, text in errors]
        for header in ('import_parts.h', 'parse.h'):
            with open(os.path.join(ROOT, 'ext', header), encoding='utf-8') as f:
                text = re.sub(r'" \\\n *"', '', f.read())
            said += re.findall(r'X\( ?\w+, +(?:\w+, +)?"(.*)"\)', text)
        self.assertGreater(len(said), 105)
        self.assertEqual([text for text in said if re.search(r'\b(the|is|are|this|not)\b', self.french.in_french(text))], [])

    def test_no_sentence_for_people_asks_for_sql(self):
        said = list(self.french.FRENCH.values()) + list(self.french.SENTENCES.values())
        self.assertEqual([text for text in said if re.search(r'PRAGMA|SELECT|INSERT|DELETE|dmp_\w+|\w=', text)], [])
        import verbs
        named = {word for text in said for word in re.findall(r'\bdmp ([a-z][a-z-]+)', text)}
        self.assertEqual(named - {v.name for v in verbs.VERBS}, set())

    def test_the_column_of_a_fault_is_named(self):
        self.assertIn('(date de naissance)', self.french.in_french('dmp-E051: a required column is missing (column birth_date)'))
        self.assertEqual(self.french.in_french('something new'), 'something new')

    def test_what_keeps_a_table_from_being_protected_is_named_in_french(self):
        for code, english, french in ((81, 'column motif: index i', 'colonne motif : index i'), (81, 'column n: generated', 'colonne n, calculée'),
                                      (81, 'a trigger: no such column: new.c', 'un déclencheur : no such column: new.c'),
                                      (86, 'ON CONFLICT in table t', 'ON CONFLICT dans la table t'),
                                      (86, 'REFERENCES t without a column in table u', 'REFERENCES t sans colonne, dans la table u'),
                                      (81, 'column n: UPDATE OF of trigger d', 'colonne n : UPDATE OF du déclencheur d'),
                                      (81, 'column n: generated; trigger d: no such column: new.n', 'colonne n, calculée ; déclencheur d : no such column: new.n'),
                                      (81, 'column n: REFERENCES in table u', 'colonne n : REFERENCES dans la table u'),
                                      (81, 'column n names the patient', 'la colonne n désigne le patient'),
                                      (86, 'a CHECK of a sealed column: no such function: f', 'un CHECK d’une colonne scellée : no such function: f'),
                                      (86, 'a CHECK of a sealed column names p, which a foreign key changes', 'un CHECK d’une colonne scellée nomme p, qu’une clé étrangère change'),
                                      (86, 'a quotation mark in the name of the table', 'un guillemet dans le nom de la table'),
                                      (86, 'a CHECK of a sealed column: no such function: f', 'un CHECK d’une colonne scellée : no such function: f'),
                                      (86, 'a CHECK of a sealed column names p, which a foreign key changes', 'un CHECK d’une colonne scellée nomme p, qu’une clé étrangère change'),
                                      (87, 'column n: fewer than 20 different values', 'colonne n : moins de 20 valeurs différentes')):
            said = self.french.in_french('dmp-E%03d: something of the file: %s (%s)' % (code, 'no index=' if code == 87 else 'remove that first', english))
            self.assertEqual(said, 'dmp-E%03d : %s (%s)' % (code, self.french.FRENCH[code], french))

    def test_dates_are_taken_in_french_and_iso_and_impossible_ones_refused(self):
        for text, iso in (('31/01/1970', '1970-01-31'), ('1.2.1970', '1970-02-01'), ('1970-01-31', '1970-01-31'),
                          ('03/1970', '1970-03'), ('1970', '1970'), ('1970-3', '1970-03'), ('29/02/2000', '2000-02-29'), ('', '')):
            self.assertEqual(self.asking.birth_form(text), iso)
        for text in ('31/02/1970', '29/02/1900', '1970/01/31', '70', '31/1/70', '13/1970', 'hier', '01/01/2999', '0001'):
            with self.assertRaises(self.asking.Refused, msg=text):
                self.asking.birth_form(text)
        self.assertEqual(self.asking.day_form('31/12/2030'), '2030-12-31')
        with self.assertRaises(self.asking.Refused):
            self.asking.day_form('2030')

    def test_numbers_of_people_are_checked_with_their_key(self):
        self.assertEqual(self.asking.rpps_form('8100 0000 018'), '81000000018')
        self.assertIsNone(self.asking.rpps_form('-'))
        self.assertEqual(self.asking.ins_form('2 91 05 37 261 042 36'), '291053726104236')
        self.assertEqual(self.asking.ins_form(''), '')
        for form, text in ((self.asking.rpps_form, '81000000019'), (self.asking.rpps_form, ''), (self.asking.rpps_form, '8100000001'),
                           (self.asking.ins_form, '291053726104237'), (self.asking.ins_form, '29105372610423')):
            with self.assertRaises(self.asking.Refused, msg=text):
                form(text)

    def test_one_is_singular_and_two_are_plural(self):
        self.assertEqual([self.french.several(n, 'patient créé') for n in (0, 1, 2)],
                         ['0 patient créé', '1 patient créé', '2 patients créés'])


class Scripts(unittest.TestCase):
    """The demonstration and the checks, where somebody stops listening or a test hangs."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='dmp-scripts-')
        self.env = dict(os.environ, TMPDIR=self.dir, LC_ALL='C.UTF-8', PYTHONDONTWRITEBYTECODE='1')

    def tearDown(self):
        for point in mounts_below(self.dir):
            subprocess.run(['umount', '-l', point])
        shutil.rmtree(self.dir)

    def demo(self, last_line):
        """Reads to a line, then closes the pipe; the exit code."""
        demo = subprocess.Popen([sys.executable, '-u', ROOT + '/scripts/demo.py', BUILD, ROOT + '/tests/fixtures/cda'],
                                env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.heard = ''
        for line in demo.stdout:
            self.heard += line
            if last_line in line:
                break
        demo.stdout.close()
        with demo.stderr:
            self.assertEqual(demo.stderr.read(), '')
        return demo.wait(timeout=60)

    def test_a_demonstration_whose_reader_leaves_takes_down_its_mounts_and_its_folder(self):
        reached = 'PHARMACIENNE' if os.path.exists('/dev/fuse') else 'SELECT title'
        self.assertEqual(self.demo(reached), 128 + signal.SIGPIPE)
        self.assertEqual(mounts_below(self.dir), [])
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_demonstration_heard_to_its_end_leaves_nothing_either(self):
        self.assertEqual(self.demo('no such line'), 0)
        self.assertIn(': 60 donnent la même chose qu’avant', self.heard)
        self.assertRegex(self.heard, r'metformine +│ 695 fois +│ 0 fois')
        self.assertEqual((mounts_below(self.dir), os.listdir(self.dir)), ([], []))

    def check(self, *arguments, root=ROOT):
        done = subprocess.run([root + '/scripts/check', *arguments], env=self.env, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_check_lists_its_parts_and_refuses_a_word_that_names_none(self):
        code, said = self.check('--help')
        self.assertEqual(code, 0)
        for name in ('build with gcc', 'test_mount.py, sanitizers', 'fuzz_box'):
            self.assertIn('\n  %s\n' % name, said)
        code, said = self.check('fuzz_box', 'nosuchpart')
        self.assertEqual(code, 2)
        self.assertIn('no part contains "nosuchpart"', said)
        self.assertIn('\n  fuzz_box\n', said)

    def small_tree(self, test):
        """A project of one Python test, with the real scripts/check."""
        for folder in ('scripts', 'tests', 'ext', 'fuse'):
            os.mkdir(os.path.join(self.dir, folder))
        shutil.copy(ROOT + '/scripts/check', self.dir + '/scripts/check')
        for path, text in (('scripts/packages', '#!/bin/sh\n'), ('tests/test_one.py', test), ('tests/test_one.c', ''),
                           ('Makefile', 'all test-builds:\n\t@mkdir -p $(B)\n%:\n\t@true\n')):
            with open(os.path.join(self.dir, path), 'w', encoding='utf-8') as f:
                f.write(text)
        os.chmod(self.dir + '/scripts/packages', 0o755)

    def test_check_builds_what_a_part_needs_and_nothing_else(self):
        self.small_tree('import os, sys\nassert os.path.isdir(sys.argv[1])\n')
        code, said = self.check('test_one.py, sanitizers', root=self.dir)
        self.assertEqual(code, 0, said)
        self.assertEqual(re.findall(r'^ok +(.*?)  ', said, re.M), ['packages', 'build with sanitizers', 'test_one.py, sanitizers'])

    def test_check_kills_what_a_hanging_test_has_started(self):
        self.small_tree('import subprocess, time\n'
                        'p = subprocess.Popen(["sleep", "300"], start_new_session=True)\n'
                        'print("started", p.pid, flush=True)\ntime.sleep(300)\n')
        code, said = self.check('--timeout', '1', 'test_one.py', root=self.dir)
        self.assertEqual(code, 1)
        children = re.findall(r'started (\d+)', said)
        self.assertEqual(len(children), 2, said)       # plain, and with the sanitizers
        for pid in children:
            self.assertFalse(os.path.exists('/proc/%s/fd/0' % pid), 'still there: ' + pid)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    r = unittest.TextTestRunner(verbosity=2).run(suite)
    bad = len(r.failures) + len(r.errors)
    print('%d passed, %d failed, %d skipped' % (r.testsRun - bad - len(r.skipped), bad, len(r.skipped)))
    sys.exit(bad != 0)


if __name__ == '__main__':
    main()
