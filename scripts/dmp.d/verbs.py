"""verbs.py: the verbs as rows of one table, from which the command line and its help are made; how a failure is told."""
import argparse, configparser, os, re, sqlite3, sys

import documents, house, insight, leaving, masks, menu, patients, people, practice, protected, renewing, sheet, showing
from asking import program, Refused, shell_word, typed
from codes import path_of
from french import GROUNDS, in_french, SYSTEM
from record import CONFIG, Settings

VERSION = '0.1.0'
PATIENT = ('-p --patient', {'metavar': 'PATIENT', 'help': 'numéro dans la liste, identifiant, ou une partie du nom'})
DOCUMENT = ('document', {'nargs': '?', 'help': 'numéro dans la liste, identifiant, ou une partie du titre'})
PERSON = ('person', {'nargs': '?', 'metavar': 'professionnel', 'help': 'numéro dans la liste, identifiant, ou une partie du nom'})
REPRESENTATIVE = ('person', {'nargs': '?', 'metavar': 'représentant', 'help': 'numéro dans la liste, identifiant, ou une partie du nom'})
MOUNTPOINT = ('mountpoint', {'metavar': 'DOSSIER', 'nargs': '?', 'help': 'vide et déjà là ; sinon ~/dossier-partage, créé'})
TEAM = ('team', {'nargs': '?', 'metavar': 'équipe', 'help': 'numéro dans la liste, identifiant, ou une partie du nom'})
TABLE = ('table', {'metavar': 'TABLE', 'nargs': '?', 'help': 'son nom'})
EPISODE = ('-e --episode', {'metavar': 'ÉPISODE', 'nargs': '?', 'const': '', 'help': 'tout un épisode'})
ROW = (('table', {'metavar': 'TABLE', 'help': 'son nom'}), ('row', {'metavar': 'LIGNE', 'help': 'sa clé, ou COLONNE=VALEUR'}))
UNTIL = ('--until', {'metavar': 'DATE', 'help': 'date de fin'})


def option(names, metavar, text, **more):
    return names, dict(more, metavar=metavar, help=text)


def flag(names, text):
    return names, {'action': 'store_true', 'help': text}


class Verb:
    """place: where dmp menu offers it: practice, patient, document. kinds: to whom, of session.kind, and treating, registrar, manager (menu.py)."""

    def __init__(self, name, run, does, *arguments, place='', kinds='professional'):
        self.name, self.run, self.does, self.arguments, self.place, self.kinds = name, run, does, arguments, place.split(), kinds.split()


TO = option('--to', 'QUI', 'seulement à une personne ou une équipe (nom ou numéro), à une profession (Infirmier, ou profession:60)')
TREATING = flag('--treating', 'seulement au médecin traitant')


def whole_minutes(text):
    minutes = int(text)
    if not 1 <= minutes <= 1440:
        raise argparse.ArgumentTypeError('de 1 à 1440 minutes')
    return minutes


HOLDERS = 'patient treating'
READERS = 'patient treating professional representative'
DEPOSITORS = 'treating professional'
VERBS = [
    Verb('menu', menu.menu, 'choisir sur un écran : patient, document, action'),
    Verb('init', practice.init, 'ouvrir un cabinet : autorité, premier médecin, dossier', ('folder', {'nargs': '?', 'default': 'dmp-cabinet'}),
         option('--base', 'FICHIER', 'la base SQLite du logiciel du cabinet, qui existe déjà : le dossier y prend place')),
    Verb('invite', practice.invite, 'dire à un collègue comment entrer', place='practice', kinds='professional authority'),
    Verb('join', practice.join, 'entrer : faire sa clé et sa demande', option('-o --output', 'FICHIER', 'fichier de la demande'),
         flag('--representative', 'pour qui représente un patient'), flag('--source', 'pour une alimentation automatique (elle dépose, ne lit rien)'),
         flag('--staff', 'pour un secrétariat ou un interprète (voit les noms, aucun document)')),
    Verb('enrol', practice.enrol, 'enregistrer la demande d’un collègue (autorité)', ('request', {'metavar': 'DEMANDE', 'help': 'fichier de la demande'}),
         place='practice', kinds='authority'),
    Verb('revoke', practice.revoke, 'révoquer le certificat d’une personne (autorité)', PERSON, place='practice', kinds='authority'),
    Verb('restore', practice.restore, 'rétablir un certificat révoqué (autorité)', PERSON, place='practice', kinds='authority'),
    Verb('certificates', practice.certificates, 'lire le journal des certificats', place='practice', kinds='professional authority'),
    Verb('new-patient', patients.new_patient, 'enregistrer un patient', option('-o --output', 'FICHIER', 'fichier de sa clé'),
         flag('--draw-pin', 'tirer son code au sort'), flag('--no-treating', 'ne pas être son médecin traitant'),
         option('--sheet', 'FICHIER', 'fiche à imprimer, .pdf ou .png'), place='practice', kinds='registrar'),
    Verb('sheet', sheet.sheet, 'mettre sa clé sur papier, en code QR', option('-o --output', 'FICHIER', 'fiche .pdf ou .png ; sinon sur le terminal')),
    Verb('read-sheet', sheet.read_sheet, 'retrouver sa clé sur la fiche', ('image', {'nargs': '?', 'metavar': 'IMAGE', 'help': 'photo ou PDF de la fiche ; '
         'sinon son texte, tapé par un lecteur'}), option('-o --output', 'FICHIER', 'fichier de la clé')),
    Verb('list', documents.list_documents, 'lister les documents, prescriptions et remboursements', PATIENT, flag('--ids', 'avec leurs identifiants dans le dossier'), place='patient', kinds=READERS),
    Verb('deposit', documents.deposit, 'déposer un fichier', ('file', {'metavar': 'FICHIER', 'help': 'fichier à déposer'}), PATIENT, option('-t --title', 'TITRE', 'titre'),
         option('-c --type', 'CODE', 'code du type'), flag('-m --masked', 'masqué dès le dépôt'), flag('--hidden', 'caché aux représentants légaux'),
         flag('--invisible', 'invisible du patient jusqu’à l’annonce, un mois au plus'), option('-e --episode', 'ÉPISODE', 'épisode de soins'),
         place='patient', kinds=READERS),
    Verb('import', documents.import_documents, 'importer des documents CDA', ('path', {'metavar': 'CHEMIN', 'help': 'fichier ou dossier'}),
         flag('--create-patients', 'enregistrer les patients inconnus'), place='practice', kinds='professional registrar'),
    Verb('mask', masks.mask, 'masquer un document ou un épisode', DOCUMENT, PATIENT, EPISODE, TO, TREATING, place='document', kinds=HOLDERS),
    Verb('unmask', masks.unmask, 'démasquer un document ou un épisode', DOCUMENT, PATIENT, EPISODE, TO, TREATING, place='document', kinds=HOLDERS),
    Verb('mask-to', masks.mask_to, 'masquer à certaines personnes, qu’on choisit', DOCUMENT, PATIENT, EPISODE, place='document', kinds=HOLDERS),
    Verb('unmask-to', masks.unmask_to, 'lever un masque à certaines personnes', ('mask', {'nargs': '?', 'metavar': 'masque', 'help': 'numéro dans la liste'}),
         PATIENT, place='patient', kinds=HOLDERS),
    Verb('masks', masks.masks, 'dire ce qui est masqué, et à qui', PATIENT, place='patient', kinds=HOLDERS),
    Verb('announce', masks.announce, 'annoncer au patient un document qui lui est invisible', DOCUMENT, PATIENT, place='document', kinds=DEPOSITORS),
    Verb('reveal', masks.reveal, 'montrer aux représentants un document qui leur est caché', DOCUMENT, PATIENT, place='document', kinds=HOLDERS),
    Verb('episodes', masks.episodes, 'dire les épisodes, et ce qui est proposé pour l’un d’eux', PATIENT,
         option('--accept', 'PROPOSITION', 'rattacher ce qui est proposé', nargs='?', const=''),
         option('--refuse', 'PROPOSITION', 'ne pas le rattacher', nargs='?', const=''), place='patient', kinds=HOLDERS),
    Verb('assign', masks.assign, 'rattacher un document à un épisode', ('episode', {'metavar': 'ÉPISODE', 'help': 'épisode'}), DOCUMENT, PATIENT,
         place='document', kinds=HOLDERS),
    Verb('representative', people.representative, 'désigner ou retirer un représentant légal', REPRESENTATIVE, PATIENT,
         option('--ground', 'TITRE', ', '.join(g for g, _ in GROUNDS), choices=[g for g, _ in GROUNDS]), UNTIL, flag('--remove', 'le retirer'),
         place='patient', kinds=HOLDERS),
    Verb('show', showing.show, 'préparer une vue à montrer : seulement les documents choisis',
         ('documents', {'nargs': '*', 'help': 'numéros dans la liste, identifiants, ou parties des titres'}), PATIENT,
         option('--until', 'DATE', 'date de fin ; sinon demain à la même heure'), option('-o --output', 'FICHIER', 'fichier de sa clé'), place='patient', kinds='patient'),
    Verb('end-show', showing.end_show, 'mettre fin à une vue', ('view', {'nargs': '?', 'metavar': 'vue', 'help': 'numéro dans la liste'}), place='patient', kinds='patient'),
    Verb('consent', people.consent, 'donner l’accord du patient à un professionnel ou à une équipe', PERSON, PATIENT, UNTIL, place='patient', kinds=HOLDERS),
    Verb('withdraw', people.withdraw, 'retirer l’accord', PERSON, PATIENT, place='patient', kinds=HOLDERS),
    Verb('block', people.block, 'bloquer un professionnel', PERSON, PATIENT, place='patient', kinds=HOLDERS),
    Verb('unblock', people.unblock, 'lever un blocage', PERSON, PATIENT, place='patient', kinds='patient'),
    Verb('teams', people.teams, 'dire les équipes et leurs membres', TEAM, place='practice', kinds='professional authority patient'),
    Verb('new-team', people.new_team, 'enregistrer une équipe et son premier responsable (autorité)', ('name', {'metavar': 'NOM', 'help': 'nom de l’équipe'}),
         option('--role', 'CODE', 'profession dont elle a les droits'), flag('--names-only', 'sans rôle : elle voit des noms, aucun document'),
         option('--facility', 'NOM', 'établissement'),
         option('--manager', 'PROFESSIONNEL', 'premier responsable'), place='practice', kinds='authority'),
    Verb('add-member', people.add_member, 'ajouter un membre à une équipe (responsable)', TEAM, PERSON, UNTIL, flag('--manager', 'comme responsable'), place='practice', kinds='manager'),
    Verb('remove-member', people.remove_member, 'retirer un membre d’une équipe (responsable)', TEAM, PERSON, place='practice', kinds='manager'),
    Verb('feeds', people.feeds, 'dire les alimentations automatiques, en ouvrir ou fermer une', ('source', {'nargs': '?', 'metavar': 'source', 'help':
         'numéro dans la liste, identifiant, ou une partie du nom'}), PATIENT, flag('--on', 'l’ouvrir'), flag('--off', 'la fermer'), place='patient', kinds=HOLDERS),
    Verb('who', insight.who, 'dire qui peut lire, un document ou le dossier', DOCUMENT, PATIENT, place='patient document', kinds=HOLDERS),
    Verb('see-as', insight.see_as, 'voir les documents comme quelqu’un d’autre les voit', PERSON, PATIENT, place='patient', kinds=HOLDERS),
    Verb('accesses', insight.accesses, 'lire le journal des accès, du dossier ou d’un document', DOCUMENT, PATIENT, option('--csv', 'FICHIER', 'l’écrire en CSV'),
         option('--page', 'FICHIER', 'l’écrire comme une page signée (HTML)'),
         option('--for', 'DESTINATAIRE', 'pour qui est la page', dest='recipient'), place='patient document', kinds=READERS),
    Verb('check-page', insight.check_page, 'vérifier la signature d’une page du journal', ('page', {'metavar': 'PAGE', 'help': 'fichier de la page'})),
    Verb('export', leaving.export, 'emporter tout : documents, tables, journal en CSV et en page signée', ('folder', {'metavar': 'DOSSIER', 'help': 'dossier, nouveau'}),
         PATIENT, option('--for', 'DESTINATAIRE', 'pour qui', dest='recipient'), place='patient', kinds='patient treating representative'),
    Verb('notifications', insight.notifications, 'lire les avis', flag('--all', 'aussi ceux qui sont lus'), flag('--seen', 'les marquer comme lus'),
         place='practice', kinds='patient professional representative'),
    Verb('hosting', insight.hosting, 'dire où le dossier est conservé', option('--name', 'NOM', 'un nouvel hébergement (autorité)'),
         option('--operator', 'NOM', 'qui l’exploite'), option('--place', 'LIEU', 'où'), place='practice', kinds='patient professional representative authority'),
    Verb('mount', house.mount, 'voir le dossier comme des fichiers', MOUNTPOINT, place='practice', kinds=READERS),
    Verb('umount', house.umount, 'démonter', MOUNTPOINT, place='practice', kinds=READERS),
    Verb('verify', house.verify, 'vérifier le fichier', place='practice', kinds=READERS),
    Verb('change-pin', house.change_pin, 'changer le code de sa clé', place='practice', kinds=READERS + ' authority source'),
    Verb('protect', protected.protect, 'sceller des colonnes d’une table du cabinet', TABLE,
         ('columns', {'metavar': 'COLONNES', 'nargs': '?', 'help': 'séparées par des virgules ; sans elles, pour une table déjà protégée : '
                                                                  'signer de nouveau ses vues et déclencheurs'}),
         flag('--hide', 'sans la clé, aucune ligne (sinon : les colonnes scellées sont vides)'),
         option('--index', 'COLONNES', 'colonnes scellées qu’on cherche par leur valeur, séparées par des virgules'),
         option('--readers', 'PROFESSIONNELS', 'qui a la clé tout de suite : noms ou identifiants, séparés par des virgules'),
         option('--patient', 'COLONNE', 'la colonne du patient : chaque ligne est sous les clés de son patient'),
         option('--system', 'NOM', 'avec --patient : la colonne a les identifiants locaux donnés sous ce nom'),
         option('--type', 'CODE', 'avec --patient : qui peut lire ce type de document peut lire les lignes (11488-4)'),
         flag('--no-scrub', 'laisser l’ancien texte dans le fichier, pour l’effacer plus tard')),
    Verb('unprotect', protected.unprotect, 'remettre une table en clair', TABLE),
    Verb('scrub', protected.scrub_file, 'effacer du fichier le texte d’avant la protection'),
    Verb('readers', protected.readers, 'dire qui a la clé des tables protégées, la donner, la retirer', TABLE,
         option('--add', 'PROFESSIONNEL', 'lui donner la clé', nargs='?', const=''),
         option('--remove', 'PROFESSIONNEL', 'lui retirer la clé', nargs='?', const='')),
    Verb('rotate', protected.rotate, 'changer la clé d’une table protégée', TABLE),
    Verb('rewrap', protected.rewrap, 'remettre la clé d’une table à chacun de ses lecteurs', TABLE),
    Verb('mask-row', protected.mask_row, 'masquer une ligne d’une table protégée sous les clés du patient', *ROW),
    Verb('unmask-row', protected.unmask_row, 'démasquer une ligne', *ROW),
    Verb('renew', renewing.renew, 'prendre une nouvelle clé : un professionnel, ou un patient la sienne', option('-o --output', 'FICHIER', 'fichier de la demande'),
         option('--finish', 'FICHIER', 'quand tout est signé : mettre la nouvelle clé en service', nargs='?', const=''), place='practice', kinds=READERS + ' source staff'),
    Verb('certify', renewing.certify, 'signer la demande d’une nouvelle clé (qui enregistre les patients, autorité)',
         ('request', {'metavar': 'DEMANDE', 'help': 'fichier de la demande'}), place='practice', kinds='registrar authority'),
    Verb('unlock', house.unlock, 'ne plus demander le code de la clé pendant un temps',
         option('minutes', 'MINUTES', '15 sans réponse', nargs='?', type=whole_minutes, default=15)),
    Verb('lock', house.lock, 'redemander le code de la clé'),
    Verb('sql', house.sql, 'ouvrir sqlite3, session ouverte'),
]
# argparse's own words; it takes them from these two functions.
ARGPARSE = {
    'usage: ': 'usage : ', 'positional arguments': 'arguments', 'options': 'options',
    'show this help message and exit': 'montrer cette aide', "show program's version number and exit": 'montrer la version',
    '%(prog)s: error: %(message)s\n': '%(prog)s : %(message)s\n', 'argument %(argument_name)s: %(message)s':
        '%(argument_name)s : %(message)s', 'the following arguments are required: %s': 'il manque : %s',
    'unrecognized arguments: %s': 'arguments inconnus : %s', 'expected one argument': 'il faut une valeur',
    'ambiguous option: %(option)s could match %(matches)s': '%(option)s peut être %(matches)s : précisez',
    'invalid choice: %(value)r (choose from %(choices)s)': '« %(value)s » n’est pas dans cette liste : %(choices)s',
    'invalid %(type)s value: %(value)r': '%(value)r n’est pas un nombre entier', 'ignored explicit argument %r':
        'n’attend pas la valeur %r',
}
argparse._ = lambda text: ARGPARSE.get(text, text)


def parser():
    p = argparse.ArgumentParser(prog=program(), description='Le dossier partagé, en commandes courtes.')
    p.add_argument('--version', action='version', version='dmp ' + VERSION, help='montrer la version')
    p.add_argument('-P', '--profile', metavar='NOM', help='le profil de cette machine (sinon $DMP_PROFILE, sinon « dmp »)')
    p.add_argument('--record', metavar='FICHIER', help='le dossier (sinon $DMP_RECORD, sinon celui de la configuration)')
    p.add_argument('--key', metavar='FICHIER', help='la clé (sinon $DMP_KEY, sinon celle de la configuration)')
    commands = p.add_subparsers(dest='command', metavar='COMMANDE', required=True)
    for verb in VERBS:
        c = commands.add_parser(verb.name, help=verb.does, description=verb.does)
        for names, options in verb.arguments:
            c.add_argument(*names.split(), **options)
        c.set_defaults(run=verb.run)
    return p


def failure(error):
    """What went wrong, as a sentence for a person."""
    if isinstance(error, Refused):
        return typed(str(error))
    if isinstance(error, sqlite3.Error):
        return re.sub(r'\bschema/(\w+\.tsv)', lambda m: path_of(m[1]), typed(in_french(str(error))))
    if isinstance(error, configparser.Error):
        return 'la configuration %s est abîmée : corrigez-la ou retirez-la.' % CONFIG
    return '%s%s' % (error.filename + ' : ' if error.filename else '', SYSTEM.get(error.errno, error.strerror))


def main(path):
    """path: of the program that was called."""
    program.path = os.path.realpath(path)
    args = parser().parse_args()
    try:
        settings = Settings(args)
        program.profile = ' -P ' + shell_word(args.profile) if args.profile else ''
        status = args.run(args, settings) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:                            # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except (Refused, sqlite3.Error, configparser.Error, OSError) as error:
        print('dmp : ' + failure(error), file=sys.stderr)
    except EOFError:
        print('\ndmp : il manque une réponse.', file=sys.stderr)
    except KeyboardInterrupt:
        print('\ndmp : interrompu.', file=sys.stderr)
        return 130
    return 1
