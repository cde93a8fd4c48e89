"""documents.py: listing, depositing, importing."""
import hashlib, mimetypes, mmap, os

from french import in_french, several, TYPES
from asking import ask, day_text, program, Refused, visible, yes
from codes import choose_listed
from record import items, library, login, one, patient_text, the_patient, whole_name
from sheet import print_text

LARGEST, MAPPED = 1000000000, 16 << 20                 # bytes: SQLite's limit on a value; from where on a file is not read but mapped
CDA_HEAD = 4096                                        # bytes in which a CDA names itself


def list_documents(args, settings):
    db = login(settings)
    found = list(items(db, the_patient(db, args)))
    for n, item in enumerate(found, 1):
        print(visible('%3d  %s%s%s' % (n, item.text(), ' – ' + item.author if item.author else '', '  n° %d' % item.id if args.ids else '')))
    lines = sum(1 for item in found if item.section)
    print(several(len(found) - lines, 'document') + (', ' + several(lines, 'ligne') if lines else ''))


def content_of(path):
    """The bytes of a file; of a large one as the system keeps them, so that they lie in memory once."""
    with open(path, 'rb') as f:
        size = os.fstat(f.fileno()).st_size
        if size > LARGEST:
            raise Refused('Ce fichier a %d octets ; un document en a au plus %d. Déposez-le en plusieurs parties.' % (size, LARGEST))
        content = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) if size > MAPPED else f.read(LARGEST + 1)
    if len(content) > LARGEST:                         # of a pipe
        raise Refused('Un document a au plus %d octets. Déposez-le en plusieurs parties.' % LARGEST)
    return content


def deposit(args, settings):
    content = content_of(args.file)
    if args.type:
        choose_listed('Type', TYPES, 'type_code.tsv', args.type)
    db = login(settings)
    patient = the_patient(db, args)
    if not content and not yes('Ce fichier est vide. Le déposer quand même ?'):
        raise Refused('Rien n’est déposé.')
    if b'<ClinicalDocument' in content[:CDA_HEAD] and not yes('Ce fichier est un document CDA : « %s import » le range chez le patient qu’il nomme. '
                                                              'Le déposer quand même chez %s ?' % (program(), whole_name(db, patient))):
        raise Refused('Rien n’est déposé.')
    same = db.execute('SELECT creation_time, title FROM document WHERE patient = ? AND hash = ?',
                      (patient, hashlib.sha256(content).hexdigest())).fetchone()
    if same and not yes('Ce contenu est déjà là (%s  %s). Le déposer une fois de plus ?' % (day_text(same[0]), same[1])):
        raise Refused('Rien n’est déposé.')
    title = args.title or ask('Titre', os.path.splitext(os.path.basename(args.file))[0])
    code = args.type or choose_listed('Type', TYPES, 'type_code.tsv')
    mime = mimetypes.guess_type(args.file)[0] or 'application/octet-stream'
    db.execute('INSERT INTO document(patient, content, title, type_code, mime, author, masked, hidden_from_representatives, invisible_patient, episode) '
               'VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', (patient, content, title, code, mime, one(db, 'SELECT name FROM session'), int(args.masked),
                                                    int(args.hidden), int(args.invisible), args.episode))
    print('Déposé%s : %s (%s)' % (' et masqué' if args.masked else '', title, several(len(content), 'octet')))


def import_documents(args, settings):
    if not os.path.exists(args.path):
        raise Refused('%s n’existe pas.' % args.path)
    db = login(settings)
    db.enable_load_extension(True)
    db.load_extension(library('dmp_import.so'))
    os.makedirs(settings.keys, 0o700, exist_ok=True)
    options = 'create_patients=1,keys=' + settings.keys if args.create_patients else 'create_patients=0'
    count, sheets = {'deposited': 0, 'present': 0, 'refused': 0}, []
    for file, state, reason, warning, title, patient, key, pin in db.execute(
            'SELECT file, state, reason, warning, title, patient, credential, pin FROM dmp_import(?, ?)',
            (os.path.abspath(args.path), options)):
        count[state] += 1
        word = {'deposited': 'déposé', 'present': 'déjà là', 'refused': 'refusé'}[state]
        print('%4d  %-8s %s  %s' % (sum(count.values()), word, os.path.basename(file),
                                    in_french(reason) if reason else title or ''), flush=True)
        if warning:
            print('      attention : %s' % ' ; '.join(map(in_french, warning.split('; '))))
        if key:
            sheets.append((patient, key, pin))
    print('%s, %d déjà là, %s' % (several(count['deposited'], 'déposé'), count['present'],
                                  several(count['refused'], 'refusé')))
    for patient, key, pin in sheets:
        traits = db.execute('SELECT birth_name, given_names, birth_date FROM patient WHERE id = ?', (patient,)).fetchone()
        print_text(settings, patient_text(*traits), key, pin)
    return 1 if count['refused'] == sum(count.values()) else 0
