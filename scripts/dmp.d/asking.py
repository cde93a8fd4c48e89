"""asking.py: questions to the person at the terminal, and the form that an answer must have.
Owns: nothing but who is asked (asked). Never: a record. PINs are asked without echo, or of the program in $DMP_ASKPASS."""
import datetime, getpass, os, re, shutil, subprocess, sys

TRIES = 3                                              # of a code, at a terminal


class Refused(Exception):
    """Something the person must know or change; the text says what, in French."""


def program(on_paper=False):
    """This program as it can be typed: its name where $PATH leads to it, else its path, whole where it is read elsewhere."""
    here, found = program.path, shutil.which('dmp')
    near = os.path.relpath(here)
    word = 'dmp' if found and os.path.realpath(found) == here else here if on_paper or near.startswith('..') else near
    return shell_word(word) + ('' if on_paper else program.profile)


program.path = os.path.realpath(sys.argv[0])           # of the dispatcher
program.profile = ''                                   # the option that names another profile than the usual one


def shell_word(text):
    return text if re.fullmatch(r'[\w./+-]+', text) else "'%s'" % text.replace("'", "'\\''")


def typed(text):
    """A sentence that names commands of dmp, with each as it can be typed, here or by somebody else."""
    return re.sub(r'\bdmp (?=([a-z-]+))', lambda m: program(on_paper=m[1] in ('enrol', 'consent')) + ' ', text)


class Terminal:
    """Asks at a terminal, line by line. dmp menu puts its own in this one's place (menu.py)."""

    def line(self, prompt, default):
        return input('%s%s : ' % (prompt, ' [%s]' % default if default else ''))

    def sure(self, prompt, otherwise):
        def read(text):
            if text.lower() not in ('', 'o', 'oui', 'n', 'non'):
                raise Refused('Répondez o (oui) ou n (non).')
            return otherwise if not text else text.lower() in ('o', 'oui')
        return ask('%s (%s)' % (prompt, 'O/n' if otherwise else 'o/N'), check=read)

    def pick(self, what, lines, found, numbers):
        """One of the lines, by its place; found: those that are shown, each under its number."""
        def read(text):
            if not text.isdigit() or int(text) not in [numbers[n] for n in found]:
                raise Refused('Donnez un des numéros de la liste.')
            return numbers.index(int(text))
        for n in found:
            print('%3d  %s' % (numbers[n], lines[n]))
        return ask('%s, numéro' % what, check=read)

    def code(self, what, codes, every=(), known=None):
        """every: the whole list, shown for a question mark; known(code): gives a code of it, or raises Refused."""
        def read(text):
            if text == '?' and every:
                raise Refused('\n'.join('%-10s %s' % row for row in every))
            if text.isdigit() and 1 <= int(text) <= len(codes):
                return codes[int(text) - 1][0]
            return (known or one_of)(needed(text))

        def one_of(text):
            if text not in [code for code, _ in codes]:
                raise Refused('Donnez un numéro de 1 à %d, ou un code : %s.' % (len(codes), ', '.join(code for code, _ in codes)))
            return text
        for n, (_, text) in enumerate(codes, 1):
            print('%3d  %s' % (n, text))
        return ask('%s, numéro ou code%s' % (what, ' (? : la liste entière)' if every else ''), check=read)

    def secret(self, prompt):
        try:
            os.close(os.open('/dev/tty', os.O_RDWR | os.O_NOCTTY))
        except OSError:
            raise Refused('Pas de terminal pour demander le code : donnez un programme dans DMP_ASKPASS.') from None
        return getpass.getpass(prompt + ' : ')


class asked:
    """Who is asked."""
    person = Terminal()


def ask(prompt, default=None, check=None):
    """One line. check(text) gives the value, or raises Refused and the question comes again."""
    while True:
        text = asked.person.line(prompt, default).strip() or default or ''
        try:
            return check(text) if check else text
        except Refused as why:
            if not sys.stdin.isatty():
                raise
            print(why)


def needed(text):
    if not text:
        raise Refused('Il faut une réponse.')
    return text


def yes(prompt, otherwise=False):
    """otherwise: what an empty answer means."""
    return asked.person.sure(prompt, otherwise)


def visible(text):
    """A text of the record on one line of a terminal: a control character (an escape sequence) does nothing there."""
    return ''.join(c if c.isprintable() else '\N{REPLACEMENT CHARACTER}' for c in text)


def choose(what, rows, wanted=None, nothing='rien à choisir', numbers=None):
    """rows: [(id, text[, what tells equal texts apart])]. wanted, from the command line: an id, a number of the list (numbers: those
    of a longer list, which the person has seen), a whole text or a part of one; without it, or when it names several, the person is asked."""
    numbers = numbers or list(range(1, len(rows) + 1))
    lines = [visible('  '.join(row[1:])) for row in rows]
    found = list(range(len(rows)))
    if wanted:
        found = [n for n, row in enumerate(rows) if str(row[0]) == wanted]
        if not found and wanted.isdigit() and int(wanted) in numbers:
            found = [numbers.index(int(wanted))]
        found = found or [n for n, row in enumerate(rows) if wanted.casefold() == row[1].casefold()]
        found = found or [n for n, row in enumerate(rows) if wanted.casefold() in row[1].casefold()]
        if len(found) == 1:
            return rows[found[0]][0]
        if not found:
            raise Refused('%s : « %s » ne désigne rien. %s' % (what, wanted, 'Il y a :\n' + listing(lines, numbers) if rows else nothing[0].upper() + nothing[1:] + '.'))
        if not sys.stdin.isatty():
            raise Refused('%s : « %s » désigne %d lignes ; donnez le numéro de la ligne, ou l’identifiant :\n%s' % (
                what, wanted, len(found), listing([lines[n] for n in found], [numbers[n] for n in found])))
    if not rows:
        raise Refused('%s : %s.' % (what, nothing))
    if len(rows) == 1:
        print('%s : %s' % (what, visible(rows[0][1])))
        return rows[0][0]
    return rows[asked.person.pick(what, lines, found, numbers)][0]


def listing(lines, numbers, most=20):
    more = ['     … et %d autres' % (len(lines) - most)] if len(lines) > most else []
    return '\n'.join(['%3d  %s' % pair for pair in list(zip(numbers, lines))[:most]] + more)


def choose_code(what, codes):
    """One of [(code, text)]."""
    return asked.person.code(what, codes)


def luhn(digits):
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0


def rpps_form(text):
    """The number, or None for "-": whoever has none (a student, a foreign colleague)."""
    digits = re.sub(r'[\s.]', '', text)
    if digits == '-':
        return None
    if not re.fullmatch(r'[0-9]{11}', digits):
        raise Refused('Un numéro RPPS a 11 chiffres. Qui n’en a pas répond - (un tiret).')
    if not luhn(digits):
        raise Refused('La clé de ce numéro RPPS est fausse : un chiffre est mal recopié. '
                      'Qui n’en a pas répond - (un tiret).')
    return digits


def ask_rpps(prompt):
    return ask(prompt + ' (11 chiffres ; - : aucun)', check=rpps_form)


def date_form(text):
    """A day, a month or a year, French or ISO, as ISO; empty stays empty."""
    if not text:
        return ''
    day = re.fullmatch(r'(?:(?:(\d{1,2})[/. ])?(\d{1,2})[/. ])?(\d{4})', text)
    iso = re.fullmatch(r'(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?', text)
    parts = day.groups()[::-1] if day else iso.groups() if iso else None
    try:
        datetime.date(*(int(p or 1) for p in parts))
    except (TypeError, ValueError):
        raise Refused('Date impossible ou mal écrite : 31/01/1970, 1970-01-31, 01/1970 ou 1970.') from None
    return '-'.join([parts[0]] + ['%02d' % int(p) for p in parts[1:] if p])


def day_text(at):
    """A day of the record as it is read: 31/12/2030; a part of one as it is."""
    parts = (at or '')[:10].split('-')
    return '/'.join(reversed(parts))


def day_form(text):
    """A whole day, or None."""
    day = date_form(text or '')
    if day and len(day) < 10:
        raise Refused('Il faut un jour entier : 31/12/2030.')
    return day or None


def birth_form(text):
    iso = date_form(text)
    if iso > datetime.date.today().isoformat():
        raise Refused('Cette date est dans l’avenir.')
    if iso and iso < '1850':
        raise Refused('Cette date est trop ancienne.')
    return iso


def sex_form(text):
    if text.upper() not in ('M', 'F', 'I'):
        raise Refused('Répondez M (masculin), F (féminin) ou I (indéterminé).')
    return text.upper().replace('I', 'U')


def ins_form(text):
    ins = re.sub(r'\s', '', text).upper()
    if not ins:
        return ''
    if not re.fullmatch(r'[1-9][0-9]{4}([0-9]{2}|2[AB])[0-9]{8}', ins):
        raise Refused('Un INS a 13 caractères et une clé de 2 chiffres.')
    number = ins[:5] + ins[5:7].replace('2A', '19').replace('2B', '18') + ins[7:13]
    if 97 - int(number) % 97 != int(ins[13:]):
        raise Refused('La clé de cet INS est fausse : un chiffre est mal recopié.')
    return ins


def fingerprint_form(text):
    text = text.strip().lower()
    if not re.fullmatch(r'[0-9a-f]{4}(-[0-9a-f]{4}){7}', text):
        raise Refused('Une empreinte a huit groupes de quatre signes : xxxx-xxxx-…')
    return text


def ask_pin(prompt):
    helper = os.environ.get('DMP_ASKPASS')
    if helper:
        said = subprocess.run(helper, shell=True, stdout=subprocess.PIPE, text=True).stdout.split('\n')[0].rstrip('\r')
        if not said:
            raise Refused('Le programme de DMP_ASKPASS n’a donné aucun code.')
        return said
    return asked.person.secret(prompt)


def new_pin(whose):
    while True:
        pin = ask_pin('Nouveau code %s, 8 caractères au moins' % whose)
        if len(pin) < 8:
            why = 'Un code a au moins 8 caractères.'
        elif os.environ.get('DMP_ASKPASS') or ask_pin('Le même code encore une fois') == pin:
            return pin
        else:
            why = 'Les deux codes diffèrent.'
        if os.environ.get('DMP_ASKPASS'):
            raise Refused(why)
        print(why)
