"""The story that scripts/demo tells: demo.py BUILD FOLDER. Told in French, to whoever runs it.
Owns: one temporary folder and the mounts in it, until it ends, however it ends. Never: a PIN in an argument or on disk."""
import os, re, secrets, shutil, signal, sqlite3, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dmp.d'))
sys.dont_write_bytecode = True
from french import finding_text, in_french, several, SYSTEM   # what scripts/dmp says in French
from insight import access_lines

BUILD, FOLDER = (os.path.abspath(a) for a in sys.argv[1:3])
WIDTH = max(96, min(200, shutil.get_terminal_size((150, 40)).columns))
LINES = 45                                             # of one tree, of one table


PRACTICE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'fixtures', 'practice')
RPPS = {'médecin': '81000000018', 'pharmacienne': '81000000026', 'remplaçante': '81000000034'}
CLINICAL = ['hypertension', 'metformine', 'dépression', 'urticaire', 'pneumocoque', 'Cher confrère', 'Glycémie']


class Stop(Exception):
    """The story can't go on; the text says why."""


def step(text):
    step.number = getattr(step, 'number', 0) + 1
    print('\n\033[1m%d. %s\033[0m' % (step.number, text) if sys.stdout.isatty() else '\n%d. %s' % (step.number, text))


def say(text):
    print('   ' + text, flush=True)


def cut(text, width):
    return text if len(text) <= width else text[:width - 1] + '…'


def side_by_side(columns):
    """columns: [(title, lines)], printed next to each other."""
    width = (WIDTH - 3 - 3 * (len(columns) - 1)) // len(columns)
    shown = [lines if len(lines) <= LINES else lines[:LINES] + ['… et %s' % several(len(lines) - LINES, 'ligne')]
             for _, lines in columns]
    rows = [[title for title, _ in columns], ['─' * width] * len(columns)]
    rows += [[lines[i] if i < len(lines) else '' for lines in shown] for i in range(max(map(len, shown)))]
    for row in rows:
        print(('   ' + ' │ '.join(cut(cell, width).ljust(width) for cell in row)).rstrip())


class Person:
    """Someone with a credential, a PIN and a connection of their own."""

    def __init__(self, story, label, key, pin=None):
        self.story, self.label, self.key, self.pin = story, label, key, pin or secrets.token_urlsafe(12)
        self.mountpoint = None
        self.db = story.connect()

    def one(self, sql, *args):
        row = self.db.execute(sql, args).fetchone()
        return row and row[0]

    def login(self, fingerprint=None):
        self.id = self.one('SELECT dmp_login(?, ?, NULL, NULL, ?)', self.key, self.pin, fingerprint)

    def mount(self):
        self.mountpoint = os.path.join(self.story.folder, 'vues', self.label)
        os.makedirs(self.mountpoint)
        reader, writer = os.pipe()
        os.write(writer, self.pin.encode() + b'\n')
        os.close(writer)
        done = subprocess.run([os.path.join(BUILD, 'dmpfs'), self.story.record, self.mountpoint, '-o',
                               'key=%s,pinfd=%d' % (self.key, reader)], pass_fds=[reader], capture_output=True, text=True)
        os.close(reader)
        if done.returncode:
            self.mountpoint = None
            raise Stop('Le montage a échoué : ' + done.stderr.strip())

    def tree(self):
        lines = []
        for patient in sorted(os.listdir(self.mountpoint)):
            lines.append(patient + '/')
            for shelf in sorted(os.listdir(os.path.join(self.mountpoint, patient))):
                if not os.path.isdir(os.path.join(self.mountpoint, patient, shelf)):
                    lines.append('  ' + shelf)
                    continue
                lines.append('  ' + shelf + '/')
                lines += ['    ' + n for n in sorted(os.listdir(os.path.join(self.mountpoint, patient, shelf)))]
        return lines or ['(rien)']

    def file_named(self, part):
        for folder, _, names in os.walk(self.mountpoint):
            for name in names:
                if part in name:
                    return os.path.join(folder, name)
        return None


class Story:
    def __init__(self, folder):
        self.folder, self.people = folder, []
        self.record = os.path.join(folder, 'record.db')

    def connect(self):
        db = sqlite3.connect(self.record, isolation_level=None, timeout=20)
        db.enable_load_extension(True)
        db.load_extension(os.path.join(BUILD, 'dmp.so'))
        db.load_extension(os.path.join(BUILD, 'dmp_import.so'))
        db.enable_load_extension(False)
        db.execute('PRAGMA temp_store = MEMORY')
        db.execute('PRAGMA journal_mode = WAL')
        return db

    def person(self, *args):
        self.people.append(Person(self, *args))
        return self.people[-1]

    def key(self, name):
        return os.path.join(self.folder, 'cles', name + '.dmpkey')

    # ---- the steps ----

    def open_practice(self):
        step('Un cabinet ouvre un dossier partagé')
        os.makedirs(os.path.join(self.folder, 'cles'), 0o700)
        self.authority = self.person('autorité', self.key('autorite'))
        fingerprint = self.authority.one('SELECT dmp_create(?, ?)', self.authority.key, self.authority.pin)
        self.authority.login()
        say('L’autorité d’enregistrement crée le fichier. Son empreinte : %s' % fingerprint)
        self.doctor = self.enrol('médecin', 'Dr Camille MARTIN', '10', 1, fingerprint)
        self.pharmacist = self.enrol('pharmacienne', 'Nadia KACI', '21', 0, fingerprint)
        say('Chacune a fabriqué sa clé et son code ; l’autorité ne les connaît pas.')

    def enrol(self, label, name, profession, registrar, fingerprint):
        who = self.person(label, self.key(label))
        request = who.one('SELECT dmp_keygen(?, ?)', who.key, who.pin)
        self.authority.db.execute('INSERT INTO principal(kind, identifier, name, profession, certificate, registrar) '
                                  "VALUES('professional', ?, ?, ?, ?, ?)",
                                  (RPPS[label], name, profession, request, registrar))
        who.login(fingerprint)
        say('%s entre : %s.' % (name, label))
        return who

    def import_documents(self):
        step('Le médecin importe les documents de %s' % FOLDER)
        rows = self.doctor.db.execute(
            'SELECT file, state, reason, title, patient, credential, pin FROM dmp_import(?, ?)',
            (FOLDER, 'create_patients=1,keys=' + os.path.join(self.folder, 'cles'))).fetchall()
        for file, state, reason, title, *_ in rows[:LINES]:
            say('%-32s %s' % (cut(os.path.basename(file), 32),
                              title if state == 'deposited' else
                              'déjà là' if state == 'present' else 'refusé : ' + in_french(reason or '')))
        if len(rows) > LINES:
            say('… et %s' % several(len(rows) - LINES, 'autre fichier'))
        keys = {r[4]: r[5:7] for r in rows if r[5]}
        count = [sum(r[1] == s for r in rows) for s in ('deposited', 'present', 'refused')]
        say('%s, %d déjà là, %s, %s.' % (several(count[0], 'déposé'), count[1], several(count[2], 'refusé'),
                                         several(len(keys), 'patient créé')))
        if not keys:
            raise Stop('Aucun patient n’a été créé : ce dossier ne contient pas de document CDA lisible.')
        self.patient_id = self.doctor.one('SELECT patient FROM document GROUP BY patient ORDER BY count(*) DESC, patient')
        self.patient = self.person('patient', *keys[self.patient_id])
        self.patient.login()
        given, family = self.patient.db.execute('SELECT given_names, birth_name FROM patient').fetchone()
        self.name = ' '.join((given or '').split()[:1] + [family or ''])
        say('%s reçoit sa clé et son code. La suite est son histoire.' % self.name)

    def consent(self):
        step('%s décide' % self.name)
        if self.patient.one('SELECT treating_doctor FROM patient') != self.doctor.id:
            self.patient.db.execute('UPDATE patient SET treating_doctor = ? WHERE id = ?', (self.doctor.id, self.patient_id))
        say('Médecin traitant : %s.' % self.patient.one('SELECT name FROM principal WHERE id = ?', self.doctor.id))
        say('Avant tout accord, la pharmacienne voit %s et %s.' % (
            several(self.pharmacist.one('SELECT count(*) FROM patient'), 'patient'),
            several(self.pharmacist.one('SELECT count(*) FROM document'), 'document')))
        self.patient.db.execute('INSERT INTO consent(patient, grantee) VALUES(?, ?)', (self.patient_id, self.pharmacist.id))
        self.pharmacist.login()
        say('%s donne son accord à la pharmacienne. Les autres patients n’ont rien accordé.' % self.name)

    def three(self):
        return [self.doctor, self.pharmacist, self.patient]

    def mount(self):
        step('Trois personnes montent le même fichier')
        if not os.path.exists('/dev/fuse'):
            say('/dev/fuse manque sur cette machine : les dossiers montés ne peuvent pas être montrés.')
            say('La suite montre la moitié SQL.')
            return
        for who in self.three():
            who.mount()
        say('Chacune voit un dossier ordinaire, en lecture seule, dans son gestionnaire de fichiers.')

    def show(self):
        if self.patient.mountpoint:
            print()
            side_by_side([(who.label.upper(), who.tree()) for who in self.three()])
        print('\n   SELECT title, masked FROM document WHERE patient = … ORDER BY creation_time')
        columns = []
        for who in self.three():
            rows = who.db.execute('SELECT title, masked FROM document WHERE patient = ? ORDER BY creation_time, id',
                                  (self.patient_id,)).fetchall()
            lines = ['%s%s' % ('(masqué) ' if m else '', t) for t, m in rows]
            columns.append((who.label.upper(), lines + ['= ' + several(len(rows), 'ligne')]))
        side_by_side(columns)

    def mask(self):
        row = self.pharmacist.db.execute(
            "SELECT id, title FROM document WHERE patient = ? ORDER BY type_code <> '11488-4', class_code <> '10', id",
            (self.patient_id,)).fetchone()
        if row is None:
            raise Stop('La pharmacienne ne voit aucun document de ce patient : rien à masquer.')
        self.masked, title = row
        step('%s masque « %s »' % (self.name, title))
        path = self.pharmacist.mountpoint and self.pharmacist.file_named(title)
        opened = open(path, 'rb', buffering=0) if path else None
        if opened:
            say('La pharmacienne a le document ouvert : elle en a lu %s.' % several(len(opened.read(64)), 'octet'))
        self.patient.db.execute('INSERT INTO mask(patient, document) VALUES(?, ?)', (self.patient_id, self.masked))
        if opened:
            self.watch_vanish(path, opened)
        say('Pour la pharmacienne, le document n’existe plus. Le médecin traitant et %s l’ouvrent encore.' % self.name)
        self.show()

    def watch_vanish(self, path, opened):
        began = time.monotonic()
        while os.path.exists(path) and time.monotonic() - began < 5:
            time.sleep(0.02)
        if os.path.exists(path):
            raise Stop('Le document masqué est encore dans le dossier de la pharmacienne après 5 secondes.')
        say('%.1f s plus tard, son nom a disparu du dossier.' % (time.monotonic() - began))
        try:
            opened.seek(0)
            got = opened.read(64)
            if got:
                raise Stop('Le fichier déjà ouvert rend encore %s.' % several(len(got), 'octet'))
        except OSError as error:
            say('Le fichier qu’elle avait déjà ouvert ne rend plus rien : il %s.' % SYSTEM.get(
                error.errno, error.strerror))
        finally:
            opened.close()
        text = open(self.doctor.file_named(self.masked_name()), 'rb').read()
        say('Le médecin l’ouvre toujours par son dossier : %s.' % several(len(text), 'octet'))

    def masked_name(self):
        return self.patient.one('SELECT dmp_filename(title) FROM document WHERE id = ?', self.masked)

    def scan(self):
        step('Ce que lit le voleur du disque')
        words, pins = self.secret_words(), {who.pin for who in self.people}
        needles = {w: {w.encode(c) for c in ('utf-8', 'utf-16-le', 'latin-1') if can(w, c)} for w in words | pins}
        control = self.search([FOLDER], needles)
        say('%s, titres, auteurs et INS sont cherchés. Dans les documents d’origine : %s, la recherche marche.'
            % (several(len(words), 'nom'), several(len(control[0]), 'trouvé')))
        say('%s sont cherchés aussi.' % several(len(pins), 'code'))
        found, files, size = self.search([self.folder], needles)
        say('Dans les %d fichiers écrits (%d octets : dossier, journal des accès, ancre, clés, fichiers temporaires) : %s.'
            % (files, size, several(len(found), 'trouvé') if found else 'rien'))
        if not control[0] or found:
            raise Stop('La recherche devait tout trouver dans les documents et rien sur le disque : %s' % sorted(found))

    def secret_words(self):
        words = set()
        for who in (self.doctor, self.patient):
            words |= {title for title, in who.db.execute('SELECT title FROM document')}
            for row in who.db.execute('SELECT birth_name, given_names, ins FROM patient'):
                words |= {w for value in row for w in (value or '').split()}
            for author, in who.db.execute('SELECT author FROM document'):
                words |= {w for w in (author or '').split() if w.isupper()}
        return {w for w in words if w and len(w) >= 5}

    def search(self, places, needles):
        mounts = {who.mountpoint for who in self.people}
        found, files, size = set(), 0, 0
        for folder, folders, names in (w for place in places for w in os.walk(place)):
            folders[:] = [f for f in folders if os.path.join(folder, f) not in mounts]
            for name in names:
                with open(os.path.join(folder, name), 'rb') as f:
                    data = name.encode() + b'\0' + f.read()
                files, size = files + 1, size + len(data)
                found |= {w for w, forms in needles.items() if any(form in data for form in forms)}
        return found, files, size

    def log(self):
        step('%s lit qui a fait quoi' % self.name)
        lines = list(access_lines(self.patient.db, self.patient_id))
        if len(lines) > LINES:
            say('(les %d dernières lignes de %d)' % (LINES, len(lines)))
        for line in lines[-LINES:]:
            say(line)

    def flip(self):
        step('Un octet du fichier est changé')
        plain = sqlite3.connect(self.record, isolation_level=None)
        plain.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        box = plain.execute('SELECT box FROM dmp_chunk WHERE object = ?', (self.masked,)).fetchone()[0]
        plain.close()
        with open(self.record, 'r+b') as f:
            at = f.read().index(box[:200]) + 100
            self.poke(f, at)
            say('Octet %d de record.db, dans le corps du document masqué. Le médecin l’ouvre :' % at)
            reader = self.person('médecin', self.doctor.key, self.doctor.pin)
            try:
                reader.login()
                reader.one('SELECT content FROM document WHERE id = ?', self.masked)
                raise Stop('L’octet changé n’a pas été vu.')
            except sqlite3.Error as error:
                say('→ %s' % in_french(str(error)))
            faults = "SELECT place, row, patient, what FROM dmp_verify WHERE kind = 'fault'"
            for found in reader.db.execute(faults).fetchall():
                say('→ dmp verify : %s' % finding_text(*found))
            self.poke(f, at)
        reader.db.close()
        self.people.remove(reader)
        view = self.doctor.one('SELECT dmp_read(id, view_offset, view_size) FROM document WHERE id = ?', self.masked)
        say('L’octet est remis : le médecin lit de nouveau le document, %s comme par son dossier.' % several(len(view), 'octet'))

    @staticmethod
    def poke(f, at):
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1]))
        f.flush()

    def close(self):
        mounted = [who for who in self.people if who.mountpoint]
        for who in self.people:
            who.db.close()
        for who in mounted:
            for command in (['fusermount3', '-u', who.mountpoint], ['fusermount3', '-u', '-z', who.mountpoint],
                            ['umount', '-l', who.mountpoint]):
                if not os.path.ismount(who.mountpoint) or subprocess.run(command, capture_output=True).returncode == 0:
                    break
        return len(mounted)


class Cabinet(Story):
    """The database of a practice's own program, which becomes a protected one without a change of the program."""

    def __init__(self, folder):
        super().__init__(folder)
        self.record = os.path.join(folder, 'cabinet.db')

    def script(self, name):
        with open(os.path.join(PRACTICE, name), encoding='utf-8') as f:
            return f.read()

    def program(self, db):
        """The 60 statements of the program, in order: what each shows, or its refusal, and how many rows it changed."""
        got = []
        for sql in re.findall(r'^-- \d\d .*\n((?:(?!-- \d\d).*\n)*)', self.script('queries.sql'), re.M):
            try:
                cursor = db.execute(sql)
                got.append((cursor.fetchall(), [d[0] for d in cursor.description or []], cursor.rowcount))
            except sqlite3.Error as error:
                got.append(str(error))
        return got

    def read_by_thief(self):
        """How often each word stands in the files, and some of what `strings` would print of them."""
        data = b''
        for folder, _, names in os.walk(self.folder):
            for name in sorted(names):
                with open(os.path.join(folder, name), 'rb') as f:
                    data += f.read()
        texts = [t.decode('utf-8', 'ignore') for t in re.findall(rb'(?:[\x20-\x7e]|[\xc2-\xc3\xe2][\x80-\xbf]{1,2}){12,}', data)]
        return {w: data.count(w.encode()) for w in CLINICAL}, [t for t in texts if 'Suivi pour' in t or 'Cher confrère' in t], len(data)

    def before(self):
        step('Le logiciel d’un cabinet a déjà sa base SQLite, en clair')
        os.makedirs(os.path.join(self.folder, 'cles'), 0o700)
        db = sqlite3.connect(self.record, isolation_level=None)
        db.executescript(self.script('schema.sql') + self.script('data.sql'))
        db.execute('PRAGMA foreign_keys=ON')
        tables = [t for t, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")]
        rows = sum(db.execute('SELECT count(*) FROM ' + t).fetchone()[0] for t in tables)
        aside = sqlite3.connect(':memory:', isolation_level=None)
        db.backup(aside)
        db.close()
        aside.execute('PRAGMA foreign_keys=ON')
        self.answers = self.program(aside)
        aside.close()
        self.words, texts, size = self.read_by_thief()
        say('cabinet.db : %s, %d lignes, %d octets. Qui copie le fichier y lit (strings) :' % (several(len(tables), 'table'), rows, size))
        for text in texts[len(texts) // 2:][:3]:
            say('  ' + cut(text, WIDTH - 8))

    def protect(self):
        step('Ses colonnes médicales sont scellées')
        self.authority = self.person('autorité', self.key('autorite'))
        fingerprint = self.authority.one('SELECT dmp_create(?, ?)', self.authority.key, self.authority.pin)
        self.authority.login()
        self.doctor = self.enrol('médecin', 'Dr Camille MARTIN', '10', 1, fingerprint)
        self.locum = self.enrol('remplaçante', 'Dr Lina ROUSSEL', '10', 0, fingerprint)
        began = time.monotonic()
        sealed = [line.split('\t') for line in self.script('sealed.tsv').splitlines()]
        for table, columns in sealed:
            self.doctor.one('SELECT dmp_protect(?, ?)', table, columns)
            if table in ('patients', 'consultation', 'courrier'):
                say("SELECT dmp_protect('%s', '%s');" % (table, columns))
        self.doctor.one('SELECT dmp_scrub()')
        say('… %s en tout, puis SELECT dmp_scrub(); : %.1f s.' % (several(len(sealed), 'table'), time.monotonic() - began))
        words, texts, size = self.read_by_thief()
        say('Les mêmes mots, cherchés (grep) dans tous les fichiers avant et après :')
        side_by_side([('MOT', CLINICAL), ('AVANT', [several(self.words[w], 'fois', 'fois') for w in CLINICAL]),
                      ('APRÈS', [several(words[w], 'fois', 'fois') for w in CLINICAL])])
        if texts or any(words.values()) or not all(self.words.values()):
            raise Stop('La recherche devait tout trouver avant et rien après.')

    def unchanged(self):
        step('Le logiciel du cabinet ne change pas')
        self.doctor.db.execute('PRAGMA foreign_keys=ON')
        self.doctor.db.execute('BEGIN')                # what the program writes is undone: the story needs the rows
        answers = self.program(self.doctor.db)
        self.doctor.db.execute('ROLLBACK')
        same = sum(a == b for a, b in zip(answers, self.answers))
        rows = sum(len(a[0]) for a in answers if not isinstance(a, str))
        say('Ses %d instructions SQL (recherches, vues, déclencheurs, effacements en cascade, refus) : %d donnent la même chose qu’avant, %s.' % (
            len(answers), same, several(rows, 'ligne')))
        if same != len(answers) or same != 60:
            raise Stop('Une instruction a changé de réponse.')

    def keys(self):
        step('La clé d’une table se donne et se reprend')
        sql = 'SELECT jour, motif, conclusion FROM consultation WHERE patient_id = 42 ORDER BY jour DESC LIMIT 3'
        say(sql)
        self.compare(sql)
        try:
            self.locum.db.execute("UPDATE consultation SET conclusion = 'guéri' WHERE id = 77")
            raise Stop('Qui n’a pas la clé a écrit.')
        except sqlite3.Error as error:
            say('La remplaçante veut écrire une conclusion : %s' % in_french(str(error)))
        self.doctor.db.execute("INSERT INTO protected_reader VALUES('consultation', ?)", (self.locum.id,))
        say('Le médecin lui donne la clé de cette table : INSERT INTO protected_reader …')
        self.compare(sql)
        self.doctor.db.execute("DELETE FROM protected_reader WHERE \"table\" = 'consultation' AND principal = ?", (self.locum.id,))
        say('Le remplacement est fini : DELETE FROM protected_reader … ; la clé est changée, toutes les lignes sont scellées de nouveau.')
        self.compare(sql)

    def compare(self, sql):
        columns = []
        for who in (self.doctor, self.locum):
            rows = who.db.execute(sql).fetchall()
            columns.append((who.label.upper(), [' | '.join('NULL' if v is None else str(v) for v in row) for row in rows]))
        side_by_side(columns)


def can(text, charset):
    try:
        return bool(text.encode(charset))
    except UnicodeError:
        return False


def interrupted(*_):
    raise KeyboardInterrupt


def tell(story, cabinet):
    """0 when the story was told to its end."""
    try:
        story.open_practice()
        story.import_documents()
        story.consent()
        story.mount()
        story.show()
        story.mask()
        story.scan()
        story.log()
        story.flip()
        cabinet.before()
        cabinet.protect()
        cabinet.unchanged()
        cabinet.keys()
        return 0
    except Stop as stop:
        print('\nArrêt : %s' % stop)
    except sqlite3.Error as error:
        print('\nArrêt, erreur inattendue : %s' % in_french(str(error)))
    except BrokenPipeError:
        raise
    except OSError as error:
        print('\nArrêt, erreur inattendue : %s' % error)
    except KeyboardInterrupt:
        print('\nInterrompu.')
    return 1


def main():
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    folder = tempfile.mkdtemp(prefix='dmp-demo-')
    os.environ['TMPDIR'] = os.environ['SQLITE_TMPDIR'] = folder       # what SQLite would write aside is scanned too
    story, cabinet, count = Story(folder), Cabinet(os.path.join(folder, 'cabinet')), 0
    try:
        code = tell(story, cabinet)
    finally:                                           # nothing here depends on anybody reading, nor can be interrupted
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        count = story.close() + cabinet.close()
        shutil.rmtree(folder, ignore_errors=True)
    left = os.path.exists(folder)
    step('Tout est démonté et effacé')
    say('%s, dossier temporaire %s.' % (several(count, 'vue démontée'), 'resté : ' + folder if left else 'effacé'))
    return code or left


if __name__ == '__main__':
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:                            # whoever read has enough: as a shell says it of SIGPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 128 + signal.SIGPIPE
    sys.exit(status)
