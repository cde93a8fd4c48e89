"""record.py: the record and the key that a profile of this machine names, sessions on it, and choosing among what they show.
Owns: the configuration file. Never: cryptography, a rule, a PIN in an argument: everything goes through the SQL door."""
import configparser, os, secrets, sqlite3, sys

from codes import profession_name
from french import code_of, SECTIONS, several
from asking import ask, ask_pin, choose, day_text, fingerprint_form, Refused, TRIES

HERE = os.path.dirname(os.path.realpath(__file__))     # PREFIX/lib/dmp/dmp.d, or scripts/dmp.d beside build/
CONFIG = os.path.join(os.environ.get('XDG_CONFIG_HOME') or os.path.expanduser('~/.config'), 'dmp', 'config')


def library(name):
    for folder in (os.environ.get('DMP_LIB'), os.path.join(HERE, '..'), os.path.join(HERE, '..', '..', 'build')):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.realpath(os.path.join(folder, name))
    raise Refused('%s manque : lancez make, ou make install.' % name)


class Settings:
    """What a profile remembers: record, key, authority's key and fingerprint. Options and DMP_* come first."""

    def __init__(self, args):
        self.profile = args.profile or os.environ.get('DMP_PROFILE') or 'dmp'
        self.file = configparser.ConfigParser(interpolation=None)
        self.file.read(CONFIG, encoding='utf-8')
        stored = self.file[self.profile] if self.file.has_section(self.profile) else {}
        self.record = args.record or os.environ.get('DMP_RECORD') or stored.get('record')
        self.key = args.key or os.environ.get('DMP_KEY') or stored.get('key')
        same = self.record and os.path.realpath(self.record) == os.path.realpath(stored.get('record', ''))
        self.authority = stored.get('authority') if same and not args.key else None
        self.fingerprint = stored.get('fingerprint') if same else None
        self.next = None if args.key or os.environ.get('DMP_KEY') else stored.get('next')    # a key that is asked for (renewing.py)
        self.keys = os.path.join(os.path.dirname(CONFIG), 'cles')
        self.sessions = {}                             # key file: connection, where several verbs follow each other (dmp menu)

    def must_be_new(self):
        if self.file.has_section(self.profile):
            raise Refused('Le profil « %s » de cette machine sert déjà à %s : donnez un autre nom, dmp -P NOM …' % (
                self.profile, self.file[self.profile].get('record', '?')))

    def correct(self, fingerprint):
        """The fingerprint that a login has just proved, in place of the one that was kept for this record."""
        if self.fingerprint:
            self.keep(**dict(self.file[self.profile], fingerprint=fingerprint))
        self.fingerprint = fingerprint

    def remember_next(self, key):
        """The key that will take the place of this profile's; False where it is another one's."""
        mine = self.file.has_section(self.profile) and self.file[self.profile].get('key') == self.key
        if mine:
            self.keep(**dict(self.file[self.profile], next=key))
        return mine

    def take_next(self, key):
        if self.next == key:
            self.keep(**{name: value for name, value in dict(self.file[self.profile], key=key).items() if name != 'next'})

    def keep(self, **values):
        self.file[self.profile] = values
        os.makedirs(os.path.dirname(CONFIG), 0o700, exist_ok=True)
        with open(CONFIG, 'w', encoding='utf-8') as f:
            self.file.write(f)

    def new_key(self, name):
        os.makedirs(self.keys, 0o700, exist_ok=True)
        return os.path.join(self.keys, '%s-%s.dmpkey' % (name, secrets.token_hex(4)))

    def existing_record(self):
        if not self.record:
            raise Refused('Quel dossier ? Lancez dmp init ou dmp join, ou donnez --record FICHIER.')
        if not os.path.isfile(self.record):
            raise Refused('%s n’existe pas.' % self.record)
        return os.path.abspath(self.record)

    def existing_key(self, role='key'):
        key = getattr(self, role) or self.key
        if not key:
            raise Refused('Quelle clé ? Donnez --key FICHIER.')
        if not os.path.isfile(key):
            raise Refused('La clé %s n’existe pas.' % key)
        return os.path.abspath(key)


def connect(path):
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    db.enable_load_extension(True)
    db.load_extension(library('dmp.so'))
    db.execute('PRAGMA temp_store = MEMORY')
    return db


def one(db, sql, *args):
    row = db.execute(sql, args).fetchone()
    return row and row[0]


def has_function(db, name):
    return one(db, 'SELECT count(*) FROM pragma_function_list WHERE name = ?', name) > 0


def is_unlocked(db, settings, key):
    """Whether dmp unlock left this key open in the kernel: then this has opened the session, and no code is asked."""
    if not has_function(db, 'dmp_unlock'):
        return False
    helper = os.environ.pop('DMP_ASKPASS', None)       # else the extension would run it
    try:
        return one(db, 'SELECT dmp_login(?, NULL, NULL, NULL, ?)', key, settings.fingerprint) is not None
    except sqlite3.Error:
        return False
    finally:
        if helper:
            os.environ['DMP_ASKPASS'] = helper


def enter(db, settings, key):
    """Opens the session and gives the code. At a terminal a wrong code is asked again, three times in all, and so is the
    fingerprint of a first login that is not this record's."""
    fingerprint, pin, tries = settings.fingerprint, None, TRIES
    while True:
        pin = pin or ask_pin('Code de la clé %s' % os.path.basename(key))
        try:
            one(db, 'SELECT dmp_login(?, ?, NULL, NULL, ?)', key, pin, fingerprint)
            break
        except sqlite3.Error as error:
            tries -= code_of(error) == 11
            if code_of(error) == 11 and tries and not os.environ.get('DMP_ASKPASS'):
                print('Code faux ; encore %s.' % several(tries, 'essai'))
                pin = None
            elif code_of(error) == 28 and sys.stdin.isatty():
                print('L’empreinte %s n’est pas celle de ce dossier : relisez votre invitation.' % (
                    fingerprint or '(absente)'))
                fingerprint = ask('Empreinte de l’autorité', check=fingerprint_form)
            else:
                raise
    if fingerprint != settings.fingerprint:
        settings.correct(fingerprint)
    return pin


def pipe_with(pin):
    """A descriptor from which the PIN can be read once."""
    reader, writer = os.pipe()
    os.write(writer, pin.encode() + b'\n')
    os.close(writer)
    os.set_inheritable(reader, True)
    return reader


def checked_pin(settings, record, key):
    """A descriptor with a code that opens a session here, for a program that will open its own: faults are told in French, and a
    first login, which needs the authority's fingerprint, is behind us. None: dmp unlock left the key open."""
    db = connect(record)
    return None if is_unlocked(db, settings, key) else pipe_with(enter(db, settings, key))


def login(settings, role='key'):
    """A connection whose session is open."""
    record, key = settings.existing_record(), settings.existing_key(role)
    if key not in settings.sessions:
        db = connect(record)
        if not is_unlocked(db, settings, key):
            enter(db, settings, key)
        settings.sessions[key] = db
    return settings.sessions[key]


def patient_text(birth_name, given_names, birth_date):
    return ' '.join(filter(None, (birth_name, given_names, day_text(birth_date))))


def whole_name(db, patient):
    """BELLANGER Lucie; the directory has the surname alone."""
    return patient_text(*(db.execute('SELECT birth_name, given_names, NULL FROM patient WHERE id = ?', (patient,)).fetchone() or (None, None, None))) or 'Le patient'


def patient_rows(db):
    """Those whose identity opens, then those of whom only the own deposits do."""
    rows = [(i, patient_text(*traits) or 'Patient %d' % i, 'INS %sn° %d' % ('…%s, ' % ins[-6:] if ins else 'inconnu, ', i))
            for i, ins, *traits in db.execute('SELECT id, ins, birth_name, given_names, birth_date FROM patient '
                                              'ORDER BY birth_name, given_names, birth_date, id')]
    known = {i for i, *_ in rows}
    return rows + [(i, 'Dossier %d' % i, 'identité non accessible : seulement ce que vous avez déposé')
                   for i, in db.execute('SELECT value FROM json_each(dmp_deposited_for())') if i not in known]


def the_patient(db, args):
    return choose('Patient', patient_rows(db), args.patient, nothing='rien à choisir, aucun patient ne vous est ouvert. Enregistrez-le '
                  '(dmp new-patient), ou demandez-lui son accord (dmp consent, avec sa clé)')


class Item:
    """A document, or a line of a section."""

    def __init__(self, row, section=None):
        (self.id, self.at, self.title, self.masked, self.invisible, self.hidden, self.episode, self.author, self.availability) = row
        self.section = section

    def marks(self):
        return ('(masqué) ' * bool(self.masked) + ('(invisible du patient) ' if self.invisible else '(caché des représentants) ' * bool(self.hidden)) +
                '(remplacé) ' * (self.availability == 'Deprecated'))

    def text(self):
        what = '%s : ' % SECTIONS.get(self.section, self.section) if self.section else ''
        return '%s  %s%s%s' % (day_text(self.at).ljust(10), self.marks(), what, self.title or '')


def sections(db):
    """[(table, its date, its label)]: the record's tables of lines, known by the columns that all of them begin with."""
    found = []
    for table, in db.execute("SELECT name FROM pragma_table_list WHERE type = 'virtual' AND schema = 'main' ORDER BY name").fetchall():
        columns = [name for name, in db.execute('SELECT name FROM pragma_table_info(?)', (table,))]
        if columns[:5] == ['id', 'patient', 'episode', 'depositor', 'confidentiality'] and len(columns) > 9:
            found.append((table, columns[8], 'label' if 'label' in columns else columns[9]))
    return found


def items(db, patient, lines=True):
    """All that this login sees of a patient: documents, then lines."""
    for row in db.execute('SELECT id, creation_time, title, masked, invisible_patient, hidden_from_representatives, episode, author, availability '
                          'FROM document WHERE patient = ? ORDER BY creation_time, id', (patient,)):
        yield Item(row)
    for table, date, label in sections(db) if lines else []:
        for row in db.execute('SELECT id, "%s", "%s", masked, NULL, hidden_from_representatives, episode, NULL, NULL FROM "%s" '
                              'WHERE patient = ? ORDER BY 2, 1' % (date, label, table), (patient,)):
            yield Item(row, table)


def the_item(db, args, patient, keep=None, nothing='ce patient n’a pas de document pour vous (dmp deposit en dépose un)'):
    """One of a patient's documents and lines: those that keep() lets through. Their numbers are those of dmp list."""
    rows = [(n, i) for n, i in enumerate(items(db, patient), 1) if keep is None or keep(i)]
    return choose('Document', [(i.id, i.text(), 'n° %d' % i.id) for _, i in rows], args.document, 'rien à choisir, ' + nothing, [n for n, _ in rows])


def the_person(db, wanted, kinds=('professional',), what='Professionnel', nothing='personne n’est enregistré (dmp invite, puis dmp enrol)'):
    """kinds: those of principal.kind that may be meant. A team's role stands where a person's profession does."""
    people = db.execute('SELECT id, kind, name, identifier, profession FROM principal ORDER BY name, id').fetchall()
    rows = [(i, ' '.join(filter(None, ('équipe' if kind == 'team' else None, name, identifier, profession_name(profession)))), 'n° %d' % i) for
            i, kind, name, identifier, profession in people if kind in kinds]
    whole = [i for i, kind, name, *_ in people if wanted and kind in kinds and name.casefold() == wanted.casefold()]
    return whole[0] if len(whole) == 1 else choose(what, rows, wanted, nothing='rien à choisir, ' + nothing)
