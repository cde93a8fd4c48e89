"""menu.py: dmp menu: patient, document, action chosen on a screen (whiptail), for who does not type commands.
Owns: screens. Never: a right, a rule, a query of its own beside the lists that choosing shows: each action is a verb of verbs.py,
run in one session of the person's own key, so that a screen shows what this login sees and nothing else."""
import io, shutil, sqlite3, subprocess, sys, unicodedata

import asking
from asking import ask, Refused, visible
from record import items, login, one, patient_rows

MANY = 200                                             # patients, from which a part of the name is asked first
LEAST = (80, 24)
TITLE = 'Dossier partagé'
BACK, OTHER = 'Retour', 'Autre…'


class Back(Exception):
    """The person left a screen."""


def width_of(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in text)


def cut(text, width):
    """A text that fits on one line of the screen."""
    text = visible(text)
    while width_of(text) > width:
        text = text[:-2] + '…'
    return text


class Screen:
    """Asks with whiptail. What a verb prints waits in said, and stands above the next question or on a screen of its own."""

    def __init__(self, terminal):
        self.said, self.terminal = io.StringIO(), terminal

    def size(self):
        columns, rows = shutil.get_terminal_size(LEAST)
        return min(columns, 100) - 2, rows - 1

    def wrapped(self, text):
        """Lines as whiptail may show them; it would take a backslash and an n for the end of a line."""
        width = self.size()[0] - 6
        lines = []
        for line in text.replace('\\', '/').split('\n'):
            line = visible(line)
            while width_of(line) > width:
                at = line.rfind(' ', 1, width)
                at = at if at > 0 else width
                lines.append(line[:at])
                line = line[at:].lstrip()
            lines.append(line)
        return lines

    def above(self, prompt):
        """What was said since the last question, and the question. More than fits goes on a screen of its own first."""
        said = self.said.getvalue().strip('\n')
        if len(self.wrapped(said)) > self.size()[1] - 14:
            self.show()
            said = ''
        self.said.seek(0)
        self.said.truncate()
        return '\n'.join(self.wrapped(said) + [''] * bool(said) + self.wrapped(prompt))

    def whiptail(self, box, text, *more, options=()):
        """The answer, or None where the person said no. Escape and Ctrl-C leave."""
        lines, (width, rows) = text.count('\n') + 1, self.size()
        height = min(rows, lines + 7)
        if box == '--menu':
            shown = max(1, min(len(more) // 2, rows - lines - 7))
            height, more = min(rows, lines + shown + 7), (str(shown), *more)
        elif box == '--inputbox' or box == '--passwordbox':
            height = min(rows, lines + 8)
        command = ['whiptail', '--title', TITLE, '--cancel-button', BACK, '--ok-button', 'Continuer', *options, box, '--', text, str(height), str(width), *more]
        done = subprocess.run(command, stdin=sys.__stdin__, stdout=self.terminal, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode not in (0, 1):
            raise Back
        return done.stderr if done.returncode == 0 else None

    def needed(self, answer):
        if answer is None:
            raise Back
        return answer

    def line(self, prompt, default):
        return self.needed(self.whiptail('--inputbox', self.above(prompt), default or ''))

    def secret(self, prompt):
        return self.needed(self.whiptail('--passwordbox', self.above(prompt)))

    def sure(self, prompt, otherwise):
        options = ['--yes-button', 'Oui', '--no-button', 'Non'] + ['--defaultno'] * (not otherwise)
        return self.whiptail('--yesno', self.above(prompt), options=options) is not None

    def menu(self, prompt, lines, last=BACK):
        """The place of the line that was chosen."""
        rows = [part for n, text in enumerate(lines) for part in (str(n), cut(text, self.size()[0] - 12))]
        return int(self.needed(self.whiptail('--menu', self.above(prompt), *rows, options=['--notags', '--cancel-button', last])))

    def pick(self, what, lines, found, numbers):
        return found[self.menu(what, [lines[n] for n in found])]

    def code(self, what, codes, every=(), known=None):
        n = self.menu(what, [text for _, text in codes] + [OTHER] * bool(every))
        if n == len(codes):
            codes, n = every, self.menu(what, ['%s  %s' % row for row in every])
        return codes[n][0]

    def show(self):
        """What a verb said, to be read and left."""
        text = self.said.getvalue().strip('\n')
        self.said.seek(0)
        self.said.truncate()
        if not text:
            return
        lines = self.wrapped(text)
        rows = self.size()[1]
        self.whiptail('--msgbox', '\n'.join(lines), options=['--scrolltext'] if len(lines) > rows - 7 else [])


def run(settings, verb, given):
    """One verb, as if it had been typed; what it says is shown. given: its arguments that the screens before have chosen."""
    import verbs                                       # which names this module in its table
    screen = asking.asked.person
    try:
        for names, options in verb.arguments[:1]:      # the one argument that some verbs can't do without
            if not names.startswith('-') and 'nargs' not in options:
                given = [ask(options['help'], check=asking.needed)] + given
        args = verbs.parser().parse_args([verb.name] + given)
        args.run(args, settings)
    except Back:
        return
    except SystemExit:
        print('Ce n’est pas une valeur possible.')
    except (Refused, sqlite3.Error, OSError) as error:
        print(verbs.failure(error))
        for db in settings.sessions.values():
            if db.in_transaction:
                db.rollback()
    screen.show()


def actions(settings, place, kinds, given, title, more=(), idle=lambda: ()):
    """The screen of the verbs of a place: practice, patient, document. more: [(text, what choosing it does)], shown first.
    It comes again after each action, until the person goes back. idle(): the names of verbs that have nothing to do here now."""
    import verbs
    while True:
        without = idle()
        found = [v for v in verbs.VERBS if place in v.place and kinds & set(v.kinds) and v.name not in without]
        lines = [text for text, _ in more] + [v.does[0].upper() + v.does[1:] for v in found]
        try:
            n = asking.asked.person.menu(title, lines, last='Quitter' if place == 'practice' else BACK)
        except Back:
            return
        try:
            if n < len(more):
                more[n][1]()
            else:
                run(settings, found[n - len(more)], given)
        except Back:
            pass


def the_folder(settings, db, kind, patient, name):
    kinds = {kind}
    if kind == 'professional' and one(db, 'SELECT treating_doctor = (SELECT principal FROM session) FROM patient WHERE id = ?', patient):
        kinds = {'treating'}

    def open_document():
        rows = [(i.id, i.text()) for i in items(db, patient)]
        if not rows:
            raise Refused('Aucun document.')
        n = asking.asked.person.menu('%s : documents' % name, [text for _, text in rows])
        document = rows[n][0]
        actions(settings, 'document', kinds, [str(document), '-p', str(patient)], '%s\n%s' % (name, rows[n][1]), idle=lambda: idle_of(document))

    def idle_of(document):
        it = next((i for i in items(db, patient) if i.id == document), None)
        return {verb for verb, none in (('mask', it and it.masked), ('unmask', it and not it.masked), ('announce', it and not it.invisible),
                                        ('reveal', it and not it.hidden), ('assign', it and it.episode)) if none}

    def documents():
        while True:                                    # the list again after each document
            try:
                open_document()
            except Refused as why:
                print(why)
                asking.asked.person.show()
                return
            except Back:
                return
    actions(settings, 'patient', kinds, ['-p', str(patient)], name, [('Documents…', documents)])


def the_patients(settings, db, kind):
    rows = patient_rows(db)
    if len(rows) > MANY:
        part = ask('Une partie du nom').casefold()
        rows = [row for row in rows if part in row[1].casefold()]
    if not rows:
        print('Aucun patient de ce nom ne vous est ouvert.')
        return asking.asked.person.show()
    n = 0 if len(rows) == 1 and kind == 'patient' else asking.asked.person.menu('Patient', ['  '.join(row[1:]) for row in rows])
    the_folder(settings, db, kind, rows[n][0], rows[n][1])


def kinds_of(settings, db, kind):
    """To whom the practice's verbs are offered: what this login is, and whether the authority's key is at hand, too."""
    kinds = {kind} | ({'authority'} if settings.authority else set())
    if kind == 'authority' or one(db, 'SELECT registrar FROM principal WHERE id = (SELECT principal FROM session)'):
        kinds.add('registrar')
    if one(db, 'SELECT count(*) FROM membership WHERE manager = 1 AND member = (SELECT principal FROM session)'):
        kinds.add('manager')
    return kinds


def menu(args, settings):
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused('dmp menu se montre sur un terminal.')
    if not shutil.which('whiptail'):
        raise Refused('Le programme whiptail manque (paquet whiptail).')
    if any(have < least for have, least in zip(shutil.get_terminal_size(LEAST), LEAST)):
        raise Refused('Cette fenêtre est trop petite : il faut 80 colonnes et 24 lignes.')
    before = sys.stdout
    screen = asking.asked.person = Screen(before)
    sys.stdout = screen.said
    try:
        db = login(settings)
        kind, name = db.execute('SELECT kind, name FROM session').fetchone()
        actions(settings, 'practice', kinds_of(settings, db, kind), [], name or one(db, 'SELECT birth_name FROM patient') or TITLE,
                [('Patients…' if kind != 'patient' else 'Mon dossier…', lambda: the_patients(settings, db, kind))])
    except Back:
        pass
    finally:
        sys.stdout = before
        asking.asked.person = asking.Terminal()
