"""practice.py: opening a practice, coming in, being enrolled; what becomes of certificates."""
import hashlib, json, os, re, shutil, sqlite3, sys

from codes import choose_listed, profession_name
from french import CHANGES, code_of, KINDS, PROFESSIONS, several
from asking import ask, ask_rpps, day_text, fingerprint_form, needed, new_pin, program, Refused, rpps_form, shell_word, visible, yes
from record import connect, library, login, one, the_person

BACKUP = """
À sauvegarder, chacun à part : sans l’un des trois rien ne s’ouvre, et qui tient les trois et un code lit.
  1. les clés (celle de l’autorité sous clé)   {keys}
  2. le dossier et son journal des accès       {record} et {record}-log
  3. l’ancre                                   {record}-anchor
Pour partager le dossier entre les comptes Unix d’un groupe (jamais les clés : chacun garde la sienne) :
  chgrp -R GROUPE {folder} && chmod -R g+rwX {folder} && find {folder} -type d -exec chmod g+s {{}} +
"""


def init(args, settings):
    settings.must_be_new()
    record = os.path.abspath(args.base or os.path.join(args.folder, 'record.db'))
    folder = os.path.dirname(record)
    if args.base:
        if not os.path.isfile(record):
            raise Refused('%s n’existe pas.' % record)
        if holds_record(record):
            raise Refused('%s contient déjà un dossier partagé.' % record)
        if not yes('Avez-vous une sauvegarde de %s ?' % record):
            raise Refused('Sauvegardez-la d’abord, son programme fermé.')
    elif os.path.exists(record):
        raise Refused('%s existe déjà : choisissez un autre dossier.' % record)
    library('dmp.so')
    name = ask('Nom du premier médecin', check=needed)
    identifier = ask_rpps('Son numéro RPPS')
    authority_pin = new_pin('de l’autorité d’enregistrement')
    doctor_pin = new_pin('de %s' % name)
    os.makedirs(folder, 0o700, exist_ok=True)
    authority, doctor = settings.new_key('autorite'), settings.new_key('medecin')
    ends = ('-anchor',) if args.base else ('', '-wal', '-shm', '-journal', '-anchor')
    before = [path for path in (record + '-anchor', record + '-log') if os.path.exists(path)]
    try:
        fingerprint = open_practice(record, not args.base, (authority, authority_pin), (doctor, doctor_pin), name, identifier)
    except BaseException:                              # a refusal or Ctrl-C: half a practice is of no use to anybody
        for path in (*(record + end for end in ends), authority, doctor):
            if os.path.exists(path) and path not in before:
                os.unlink(path)
        if record + '-log' not in before:
            shutil.rmtree(record + '-log', ignore_errors=True)
        if args.base and holds_record(record):
            print('%s contient un dossier commencé, sans médecin : reprenez votre sauvegarde.' % record)
        raise
    settings.keep(record=record, key=doctor, authority=authority, fingerprint=fingerprint)
    print('\nDossier : %s\nClé du médecin : %s\nClé de l’autorité : %s\nEmpreinte de l’autorité : %s' % (
        record, doctor, authority, fingerprint))
    print(BACKUP.format(keys=settings.keys, record=record, folder=shell_word(folder)))
    print('Ensuite : %s %s, %s invite.' % (program(), 'protect' if args.base else 'new-patient', program()))


def holds_record(path):
    db = sqlite3.connect(path)
    try:
        return one(db, "SELECT count(*) FROM sqlite_master WHERE name = 'dmp_record'") > 0
    finally:
        db.close()


def open_practice(record, new, authority, doctor, name, identifier):
    """authority, doctor: (key file, PIN). Makes record and keys; the doctor may register patients. Gives the fingerprint.
    new: the file is the record's own; else it is a practice's, and stays in its journal mode."""
    db = connect(record)
    if new:
        db.execute('PRAGMA journal_mode = WAL')
    fingerprint = one(db, 'SELECT dmp_create(?, ?)', *authority)
    request = one(db, 'SELECT dmp_keygen(?, ?)', *doctor)
    one(db, 'SELECT dmp_login(?, ?)', *authority)
    register(db, 'professional', name, identifier, '10', request, 1)
    one(db, 'SELECT dmp_login(?, ?, NULL, NULL, ?)', *doctor, fingerprint)
    db.close()
    return fingerprint


def register(db, kind, name, identifier, profession, request, registrar):
    db.execute('INSERT INTO principal(kind, identifier, name, profession, certificate, registrar) '
               "VALUES(?, ?, ?, ?, ?, ?)", (kind, identifier, name, profession, request, registrar))


def invite(args, settings):
    record = settings.existing_record()
    fingerprint = settings.fingerprint or one(login(settings), 'SELECT authority FROM session')
    print('À remettre à votre collègue, de la main à la main :\n'
          '  Dossier   : %s\n  Empreinte : %s\nIl ou elle lance :\n  %s --record %s join' % (
              record, fingerprint, program(on_paper=True), shell_word(record)))


def request_code(request):
    """A short code of the request, to be compared by voice."""
    return '-'.join(re.findall('....', hashlib.sha256(request.encode()).hexdigest()[:24]))


def is_of(record, key, pin, fingerprint):
    """Whether the record's authority has this fingerprint. A key that nobody enrolled yet tells: the record compares first."""
    try:
        one(connect(record), 'SELECT dmp_login(?, ?, NULL, NULL, ?)', key, pin, fingerprint)
    except sqlite3.Error as error:
        if code_of(error) not in (28, 29):
            raise
        return code_of(error) == 29
    return True


def join(args, settings):
    settings.must_be_new()
    record = settings.existing_record()
    fingerprint = ask('Empreinte de l’autorité, sur votre invitation', check=fingerprint_form)
    name = ask('Votre nom', check=needed)
    kind = 'representative' if args.representative else 'source' if args.source else 'staff' if args.staff else 'professional'
    identifier = ask_rpps('Votre numéro RPPS') if kind == 'professional' else None
    profession = choose_listed('Votre profession', PROFESSIONS, 'profession.tsv') if kind == 'professional' else None
    path = os.path.abspath(args.output or 'demande-%s.json' % (identifier or re.sub(r'\W+', '-', name)))
    if os.path.exists(path):
        raise Refused('%s existe déjà : donnez un autre nom, dmp join -o FICHIER.' % path)
    pin = new_pin('de votre clé')
    key = settings.new_key({'representative': 'representant', 'source': 'source'}.get(kind, 'cle'))
    request = one(connect(':memory:'), 'SELECT dmp_keygen(?, ?)', key, pin)
    try:
        while not is_of(record, key, pin, fingerprint):
            print('Ce n’est pas l’empreinte de ce dossier : relisez votre invitation.')
            if not sys.stdin.isatty():
                raise Refused('Rien n’est demandé.')
            fingerprint = ask('Empreinte de l’autorité', check=fingerprint_form)
        with open(path, 'x', encoding='utf-8') as f:
            json.dump({'kind': kind, 'name': name, 'identifier': identifier, 'profession': profession, 'request': request}, f,
                      ensure_ascii=False)
    except BaseException:                              # a key without its request is of no use
        os.unlink(key)
        raise
    settings.keep(record=record, key=key, fingerprint=fingerprint)
    print('\nClé : %s\nDemande : %s\nCode de la demande : %s' % (key, path, request_code(request)))
    print('Donnez la demande à l’autorité et lisez-lui le code. Elle lance :\n  %s enrol %s' % (
        program(on_paper=True), shell_word(path)))


def enrol(args, settings):
    try:
        with open(args.request, encoding='utf-8') as f:
            asked = json.load(f)
        name, request = str(asked['name']), str(asked['request'])
        profession = str(asked['profession']) if asked['profession'] is not None else None
        identifier = rpps_form(str(asked['identifier'] or '-'))
        kind = str(asked.get('kind') or ('professional' if profession else 'representative'))
        KINDS[kind]
        if profession is not None:
            choose_listed('Profession', PROFESSIONS, 'profession.tsv', profession)
    except (ValueError, KeyError, TypeError):
        raise Refused('%s n’est pas une demande de dmp join.' % args.request) from None
    print('%s, RPPS %s, %s\nCode de la demande : %s' % (
        name, identifier or '(aucun)', profession_name(profession) or KINDS[kind], request_code(request)))
    if not yes('La personne lit-elle le même code, et l’avez-vous reconnue ?'):
        raise Refused('Rien n’est enregistré.')
    registrar = kind in ('professional', 'staff') and yes('Pourra-t-elle enregistrer des patients ?')
    register(login(settings, 'authority'), kind, name, identifier, profession, request, int(bool(registrar)))
    print('%s est enregistré·e.' % name)


def set_status(args, settings, status):
    db = login(settings, 'authority')
    person = the_person(db, args.person, ('professional', 'staff', 'representative', 'source'), 'Personne')
    if one(db, 'SELECT status FROM principal WHERE id = ?', person) == status:
        raise Refused('Cela l’est déjà.')
    if not yes('Son certificat sera %s. Continuer ?' % ('révoqué : plus aucune session, plus aucun accord' if status == 'revoked' else 'rétabli')):
        raise Refused('Rien n’est changé.')
    db.execute('UPDATE principal SET status = ? WHERE id = ?', (status, person))
    print('Certificat %s.' % ('révoqué' if status == 'revoked' else 'rétabli ; les accords que des patients ont perdus entre-temps sont à redonner'))


def revoke(args, settings):
    set_status(args, settings, 'revoked')


def restore(args, settings):
    set_status(args, settings, 'active')


def certificates(args, settings):
    db = login(settings)
    rows = db.execute('SELECT at, serial, change, name FROM certificate_log ORDER BY id').fetchall()
    for at, serial, change, name in rows:
        print(visible('%s  n° %d  %s : %s' % (day_text(at), serial, name, CHANGES.get(change, change))))
    print(several(len(rows), 'certificat'))
