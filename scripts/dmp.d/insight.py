"""insight.py: what the patient is told: who can read, who has read."""
import csv, datetime

from french import ACTIONS, GIVEN, GROUNDS, PROFESSIONS, several
from asking import visible
from record import items, login, one, patient_text, the_patient


def who(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    names = dict(db.execute('SELECT id, name FROM principal'))
    treating = one(db, 'SELECT treating_doctor FROM patient WHERE id = ?', patient)
    print('Le patient : tout.')
    if treating:
        print('%s, médecin traitant : ce que sa profession permet, et ce qui est masqué.' % names.get(treating, treating))
    for grantee, since, until in db.execute('SELECT grantee, since, until FROM consent WHERE patient = ? ORDER BY since',
                                            (patient,)):
        if grantee != treating:
            print('%s, accord du %s%s : ce que sa profession permet, sauf ce qui est masqué.' % (
                names.get(grantee, grantee), since[:10], ' jusqu’au ' + until[:10] if until else ''))
    for person, ground, until in db.execute('SELECT principal, ground, until FROM representative WHERE patient = ? ORDER BY since', (patient,)):
        print('%s, %s%s : tout, sauf ce qui est caché aux représentants.' % (
            names.get(person, person), dict(GROUNDS).get(ground, ground).lower(), ' jusqu’au ' + until[:10] if until else ''))
    print('Qui a déposé un document le voit toujours.')


def local_time(at):
    return datetime.datetime.fromisoformat(at.replace('Z', '+00:00')).astimezone().strftime('%Y-%m-%d %H:%M:%S %Z')


def access_lines(db, patient):
    """The patient's log as sentences, in the order that the record gives."""
    titles = {i.id: i.title for i in items(db, patient)}
    names = dict(db.execute('SELECT id, name FROM principal'))
    names.update((i, patient_text(*traits)) for i, *traits in
                 db.execute('SELECT id, birth_name, given_names, NULL FROM patient'))
    for at, principal, name, profession, action, item, reason, count, mode in db.execute(
            'SELECT at, principal, name, profession, action, object, reason, count, mode FROM access_log WHERE patient = ?',
            (patient,)):
        role = dict(PROFESSIONS).get(profession, profession) or ('patient' if principal == patient else None)
        given = GIVEN[action] + names[item] if action in GIVEN and item in names else ''
        about = ' « %s »' % titles[item] if item in titles else given
        yield '%s  %s%s %s%s%s%s' % (local_time(at), names.get(principal) or name or 'Quelqu’un',
                                     ' (%s)' % role if role else '', ACTIONS.get(action, action), about,
                                     ' (%d fois)' % count if count > 1 else '',
                                     ', motif : ' + reason if reason else '') + (' (par une vue)' if mode == 'view' else '')


def accesses(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    if args.csv:
        return write_csv(db, patient, args.csv)
    for line in access_lines(db, patient):
        print(visible(line))
    return 0


def write_csv(db, patient, path):
    """The log's rows for another program, in UTF-8, with semicolons as a French spreadsheet wants them."""
    titles = {i.id: i.title for i in items(db, patient)}
    with open(path, 'x', encoding='utf-8-sig', newline='') as f:
        out = csv.writer(f, delimiter=';')
        out.writerow(['date', 'personne', 'nom', 'profession', 'action', 'élément', 'titre', 'mode', 'motif', 'fois'])
        n = 0
        for at, principal, name, profession, action, item, mode, reason, count in db.execute(
                'SELECT at, principal, name, profession, action, object, mode, reason, count FROM access_log WHERE patient = ?', (patient,)):
            out.writerow([harmless(v) for v in (at, principal, name, dict(PROFESSIONS).get(profession, profession), ACTIONS.get(action, action), item,
                                                titles.get(item), mode, reason, count)])
            n += 1
    print('%s dans %s' % (several(n, 'accès', 'accès'), path))


def harmless(value):
    """A text that a spreadsheet would take for a formula begins with an apostrophe."""
    return "'" + value if isinstance(value, str) and value[:1] in ('=', '+', '-', '@', '\t', '\r') else value
