"""renewing.py: another key for the same person, asked for with the former one: a professional's, or a patient's own in place of one that a desk made.
Owns: the file that goes from hand to hand (a request, signed twice for a patient). Never: a signature: the record checks and signs."""
import json, os

from asking import ask, ask_pin, needed, new_pin, program, Refused, shell_word, visible, yes
from practice import request_code
from record import connect, login, one

WAITS = {'request': 'qui enregistre les patients, puis l’autorité', 'registrar': 'l’autorité', 'certificate': 'la personne, qui termine (dmp renew --finish)'}


def read(path):
    try:
        with open(path, encoding='utf-8') as f:
            paper = json.load(f)
        WAITS[paper['renewal']], str(paper['name']), str(paper['text']), int(paper['principal']), bool(paper['patient'])
        return paper
    except (ValueError, KeyError, TypeError):
        raise Refused('%s n’est pas une demande de dmp renew.' % path) from None


def write(path, paper):
    with open(path + '.neuf', 'w', encoding='utf-8') as f:
        json.dump(paper, f, ensure_ascii=False)
    os.replace(path + '.neuf', path)


def renew(args, settings):
    if args.finish is not None:
        return finish(args, settings)
    path = os.path.abspath(args.output or 'nouvelle-cle.json')
    if os.path.exists(path):
        raise Refused('%s existe déjà : donnez un autre nom, dmp renew -o FICHIER.' % path)
    db = login(settings)
    principal, kind, name = db.execute('SELECT principal, kind, name FROM session').fetchone()
    key = settings.new_key('cle')
    text = one(db, 'SELECT dmp_renew(?, ?)', key, new_pin('de la nouvelle clé'))
    write(path, {'renewal': 'request', 'name': name, 'principal': principal, 'patient': kind == 'patient', 'text': text})
    named = '' if settings.remember_next(key) else ' --key ' + shell_word(key)
    print('Nouvelle clé : %s\nDemande : %s\nCode de la demande : %s' % (key, path, request_code(text)))
    print('L’ancienne clé sert encore. Donnez la demande à %s et lisez le code ; ils lancent :\n  %s certify %s\nEnsuite, vous :\n  %s%s renew --finish %s' % (
        'qui enregistre les patients, puis à l’autorité' if kind == 'patient' else 'l’autorité', program(on_paper=True), shell_word(path), program(), named, shell_word(path)))


def certify(args, settings):
    paper = read(args.request)
    if paper['renewal'] == 'certificate':
        raise Refused('Tout est signé : c’est à la personne de terminer (dmp renew --finish).')
    first = paper['patient'] and paper['renewal'] == 'request'
    print(visible('Nouvelle clé de %s\nCode de la demande : %s' % (paper['name'], request_code(paper['text']))))
    if not yes('La personne lit-elle le même code, et l’avez-vous reconnue ?' if first or not paper['patient'] else 'Qui a signé avant vous lit-il le même code ?'):
        raise Refused('Rien n’est signé.')
    db = login(settings, 'key' if first else 'authority')
    if paper['patient']:
        paper['text'] = one(db, 'SELECT dmp_certify(?)', paper['text'])
        paper['renewal'] = 'registrar' if first else 'certificate'
    else:
        if db.execute('UPDATE principal SET certificate = ? WHERE id = ?', (paper['text'], paper['principal'])).rowcount == 0:
            raise Refused('Cette personne n’est pas dans ce dossier.')
        paper.update(renewal='certificate', text='')
    write(args.request, paper)
    print('Signé. Maintenant : %s.' % WAITS[paper['renewal']] + (' Code de la demande : %s' % request_code(paper['text']) if first else ''))


def finish(args, settings):
    paper = read(args.finish or ask('Fichier de la demande', check=needed))
    if paper['renewal'] != 'certificate':
        raise Refused('Il manque encore une signature : %s (dmp certify).' % WAITS[paper['renewal']])
    key = settings.next or settings.existing_key()
    one(connect(settings.existing_record()), 'SELECT dmp_login(?, ?, NULL, NULL, ?)', key, ask_pin('Code de la nouvelle clé %s' % os.path.basename(key)),
        paper['text'] if paper['patient'] else settings.fingerprint)
    settings.take_next(key)
    print('La nouvelle clé est en service : %s. L’ancienne n’ouvre plus rien.' % key)
