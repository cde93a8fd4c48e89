"""patients.py: registering a patient at the desk."""
import os, secrets, sqlite3, sys

from french import code_of, in_french
from asking import ask, birth_form, ins_form, needed, new_pin, Refused, sex_form, yes
from record import login, patient_text
from sheet import needs, print_code, print_text, sheet_form


def ask_traits(former):
    """What is known of a new patient, each answer checked at its prompt; former answers are offered again."""
    shown = dict(former, birth_date='', sex=former.get('sex', 'U').replace('U', 'I'))
    values = {'birth_name': ask('Nom de naissance', shown.get('birth_name')),
              'used_name': ask('Nom utilisé (vide : le même)', shown.get('used_name')),
              'given_names': ask('Prénoms', shown.get('given_names')),
              'birth_date': ask('Date de naissance (31/01/1970, 01/1970 ou 1970)', former.get('birth_date'), birth_form),
              'sex': ask('Sexe (M, F, ou I : indéterminé)', shown['sex'], sex_form),
              'ins': ask('INS, avec sa clé (vide : inconnu)', shown.get('ins'), ins_form)}
    if not values['ins'] and not values['birth_name']:
        values['local_system'] = ask('Sans nom ni INS, il faut un identifiant local. Qui le donne (par exemple la PASS)', shown.get('local_system'), needed)
        values['local_value'] = ask('Cet identifiant', shown.get('local_value'), needed)
    return values


def may_be_new(db, values):
    """False: somebody of this name and birth date is there, and it is not somebody else."""
    same = [(i, ins) for i, ins, *traits in db.execute('SELECT id, ins, birth_name, given_names, birth_date FROM patient')
            if [(t or '').casefold() for t in traits] ==
            [values[k].casefold() for k in ('birth_name', 'given_names', 'birth_date')]]
    if not same or not values['birth_name']:
        return True
    print('Déjà là, même nom et même date de naissance : %s' % ' ; '.join(
        'INS %s, n° %d' % ('…' + ins[-6:] if ins else 'inconnu', i) for i, ins in same))
    return yes('Est-ce une autre personne, à enregistrer ?')


def new_patient(args, settings):
    db = login(settings)
    me, profession = db.execute('SELECT principal, profession FROM session').fetchone()
    values = ask_traits({})
    if not may_be_new(db, values):
        raise Refused('Rien n’est enregistré.')
    treating = profession == '10' and not args.no_treating and yes('Êtes-vous son médecin traitant ?', otherwise=True)
    drawn = args.draw_pin or yes('Tirer son code au sort ?', otherwise=True)
    pin = '%012d' % secrets.randbelow(10 ** 12) if drawn else new_pin('du patient')
    sheet = args.sheet or (sys.stdin.isatty() and ask('Fiche à imprimer, fichier .pdf ou .png (vide : aucune)', check=sheet_form))
    if sheet:
        sheet_form(sheet)
        needs('qrencode', 'qrencode')
    key = os.path.abspath(args.output or settings.new_key('patient'))
    while True:
        used = dict({k: v for k, v in values.items() if v}, pin=pin, credential=key)
        used.update({'treating_doctor': me} if treating else {})
        try:
            db.execute('INSERT INTO patient(%s) VALUES(%s)' % (', '.join(used), ', '.join('?' * len(used))),
                       tuple(used.values()))
            break
        except sqlite3.Error as error:                 # a value that the record does not take: only the answers are wrong
            if code_of(error) not in range(50, 57) or not sys.stdin.isatty():
                raise
            print('%s. Corrigez (Entrée garde la réponse entre crochets) :' % in_french(str(error)))
            values = ask_traits(values)
    who = patient_text(*(values[k] for k in ('birth_name', 'given_names', 'birth_date')))
    print_text(settings, who, key, pin if drawn else '(choisi par le patient)')
    if sheet:
        print_code(settings, who, key, sheet, pin if drawn else None)
