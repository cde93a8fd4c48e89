"""sheet.py: a credential on paper: a QR code (qrencode) on a terminal, in a PNG or on a page to print (PDF), and read back from it.
Owns: the text in the code: DMP1:, then base32 of the credential's file and four bytes of its SHA-256. Never: a PIN that it was not
given. The paper opens nothing without the code of the key: what is printed of that stands below a line to cut along."""
import base64, hashlib, os, re, shutil, subprocess, tempfile, unicodedata

from asking import ask, ask_pin, needed, program, Refused, shell_word
from record import connect, one

MARK, CHECK = 'DMP1:', 4                               # bytes of the check
LARGEST = 8192                                         # bytes of a credential's file, far above any
RESOLUTION = 200                                       # dots an inch at which a PDF is read
COMMANDS = [('list', 'voir ses documents'), ('mount', 'les ouvrir comme des fichiers ; umount pour finir'), ('who', 'savoir qui peut lire'),
            ('accesses', 'savoir qui a lu'), ('consent', 'donner son accord'), ('withdraw', 'le retirer'), ('mask', 'masquer un document'),
            ('unmask', 'le démasquer'), ('change-pin', 'changer de code')]


def needs(name, package):
    if not shutil.which(name):
        raise Refused('Le programme %s manque (paquet %s).' % (name, package))


def tool(name, package, *options, **how):
    """Runs a program that draws or reads codes. It sees a key: nothing of what was loaded into this one is loaded into it."""
    needs(name, package)
    plain = {k: v for k, v in os.environ.items() if not k.startswith('LD_')}
    return subprocess.run([name, *options], check=False, env=plain, **how)


def qr_text(credential):
    data = credential + hashlib.sha256(credential).digest()[:CHECK]
    return MARK + base64.b32encode(data).decode().rstrip('=')


def credential_of(text):
    """The bytes of the file, from the text of the code; also as a reader that types like a keyboard gives it."""
    text = re.sub(r'\s', '', text).upper()
    found = re.search(re.escape(MARK) + r'([A-Z2-7]+)', text)
    try:
        data = base64.b32decode(found[1] + '=' * (-len(found[1]) % 8)) if found else b''
    except ValueError:
        data = b''
    credential = data[:-CHECK]
    if not credential or hashlib.sha256(credential).digest()[:CHECK] != data[-CHECK:]:
        raise Refused('Ce n’est pas le code d’une fiche, ou il est mal lu : lisez-le de nouveau, bien à plat et éclairé.')
    return credential


def read_key(path):
    with open(path, 'rb') as f:
        return f.read(LARGEST)


def qrencode(text, *options):
    done = tool('qrencode', 'qrencode', '-o', '-', *options, input=text.encode(), stdout=subprocess.PIPE)
    if done.returncode:
        raise Refused('qrencode n’a pas pu dessiner le code.')
    return done.stdout


def modules(text):
    """The code's dark squares, as rows of booleans, without the margin."""
    lines = qrencode(text, '-t', 'ASCII', '-l', 'M', '-m', '0').decode('ascii').splitlines()
    return [[line[i] == '#' for i in range(0, len(line), 2)] for line in lines if line]


def winansi(text):
    """For a PDF's own fonts: what they can't draw loses its accent, or becomes a question mark."""
    out = b''
    for c in text:
        try:
            out += c.encode('cp1252')
        except UnicodeEncodeError:
            out += unicodedata.normalize('NFKD', c).encode('ascii', 'ignore') or b'?'
    return re.sub(rb'([()\\])', rb'\\\1', out)


def page(lines, squares, cut):
    """One page A4 as PDF. lines: [(size, text)] above the code; cut: the same, below the line to cut along."""
    ops, y = [], 790
    for size, text in lines:
        ops.append(b'BT /F1 %d Tf 50 %d Td (%s) Tj ET' % (size, y, winansi(text)))
        y -= size + 6
    side = 270 / len(squares)                          # points: 9.5 cm in all
    top = y - 12
    for r, row in enumerate(squares):
        for c, dark in enumerate(row):
            if dark:
                ops.append(b'%.3f %.3f %.3f %.3f re' % (160 + c * side, top - (r + 1) * side, side + .02, side + .02))
    ops.append(b'f')
    y = top - 270 - 40
    if cut:
        ops.append(b'[4 4] 0 d 40 %d m 555 %d l S [] 0 d' % (y, y))
        y -= 30
    for size, text in cut:
        ops.append(b'BT /F1 %d Tf 50 %d Td (%s) Tj ET' % (size, y, winansi(text)))
        y -= size + 6
    return pdf(b'\n'.join(ops))


def pdf(content):
    objects = [b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Kids[3 0 R]/Count 1>>',
               b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>',
               b'<</Length %d>>\nstream\n%s\nendstream' % (len(content), content),
               b'<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>']
    out, at = b'%PDF-1.4\n', []
    for n, body in enumerate(objects, 1):
        at.append(len(out))
        out += b'%d 0 obj\n%s\nendobj\n' % (n, body)
    table = b''.join(b'%010d 00000 n \n' % a for a in at)
    return out + b'xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n' % (
        len(at) + 1, table, len(at) + 1, len(out))


def write(path, data):
    """A sheet is as private as the key: readable by its owner, and never over another file."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as f:
        f.write(data)


def print_text(settings, who, key, pin):
    """What a patient takes home: enough to open the record, and the commands to type."""
    record = settings.existing_record()
    print('\n──── Fiche à remettre au patient ────\nPatient : %s\nDossier : %s\nClé     : %s\nCode    : %s\n'
          'Avec la clé et le code, il lit tout, masque, donne et retire son accord. Le code n’est écrit nulle part ailleurs.\n'
          'Il tape (le code est demandé) :' % (who, record, key, pin))
    start = '%s --record %s --key %s' % (program(on_paper=True), shell_word(record), shell_word(key))
    for command, does in COMMANDS:
        print('  %s %-10s  # %s' % (start, command, does))


def sheet_form(path):
    """Where a sheet can be written; empty: none."""
    if path and os.path.splitext(path)[1].lower() not in ('.pdf', '.png'):
        raise Refused('Une fiche est un fichier .pdf ou .png : %s.' % path)
    if path and os.path.lexists(path):
        raise Refused('%s existe déjà : donnez un autre nom.' % path)
    return path


def print_code(settings, who, key, path=None, pin=None):
    """The key as a QR code: to path (.pdf or .png), else on the terminal. pin: printed below a line to cut along, or nowhere."""
    text, record = qr_text(read_key(key)), settings.existing_record()
    if path is None:
        print('%s\n%s' % (who, qrencode(text, '-t', 'UTF8', '-l', 'L', '-m', '2').decode()), end='')
        return
    if sheet_form(path).lower().endswith('.png'):
        write(path, qrencode(text, '-t', 'PNG', '-l', 'M', '-s', '6', '-m', '4'))
    else:
        lines = [(18, 'Dossier partagé : fiche de clé'), (12, who), (10, 'Dossier : ' + record),
                 (10, 'Ce code est la clé du dossier. Avec le code secret, il ouvre tout : gardez la fiche comme une clé.'),
                 (10, 'Pour la relire, sur une machine qui a le dossier :'),
                 (10, '  %s -P moi --record %s read-sheet FICHE' % (program(on_paper=True), shell_word(record)))]
        cut = [(10, 'À découper et à garder ailleurs que la fiche :'), (14, 'Code secret : ' + pin)] if pin else []
        write(path, page(lines, modules(text), cut))
    print('Fiche écrite : %s' % path)


def sheet(args, settings):
    key = settings.existing_key()
    print_code(settings, 'Clé ' + os.path.basename(key), key, args.output)


def codes_in(path):
    """The texts of the QR codes of an image or of a PDF's pages."""
    with open(path, 'rb') as f:
        is_pdf = f.read(5) == b'%PDF-'
    with tempfile.TemporaryDirectory(prefix='dmp-fiche-') as folder:
        images = [path]
        if is_pdf:
            tool('pdftoppm', 'poppler-utils', '-r', str(RESOLUTION), '-gray', '-png', path, os.path.join(folder, 'p'))
            images = sorted(os.path.join(folder, name) for name in os.listdir(folder))
        done = tool('zbarimg', 'zbar-tools', '-q', '--raw', '-Sdisable', '-Sqrcode.enable', *images, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.splitlines()


def read_sheet(args, settings):
    if args.image:
        texts = [t for t in codes_in(args.image) if t.startswith(MARK)]
        if len(texts) != 1:
            raise Refused('%s ne montre aucun code de fiche lisible.' % args.image if not texts else '%s montre plusieurs fiches.' % args.image)
        credential = credential_of(texts[0])
    else:
        credential = ask('Texte du code de la fiche (un lecteur branché comme un clavier le tape)', check=lambda t: credential_of(needed(t)))
    record, new = settings.existing_record(), not settings.file.has_section(settings.profile)
    path = os.path.abspath(args.output or settings.new_key('fiche'))
    write(path, credential)
    try:
        one(connect(record), 'SELECT dmp_login(?, ?, NULL, NULL, ?)', path, ask_pin('Code de la fiche'), settings.fingerprint)
    except BaseException:                              # a key that does not open is of no use
        os.unlink(path)
        raise
    print('Clé : %s' % path)
    if new:
        settings.keep(record=record, key=path)
        print('Le profil « %s » s’en sert maintenant.' % settings.profile)
    else:
        print('Pour vous en servir : %s --key %s …' % (program(), shell_word(path)))
