"""insight.py: what the patient is told: who can read, who has read, what others see, notices, where the file is kept."""
import csv, datetime, html, re

from codes import profession_name
from french import GROUNDS, RECIPIENTS, several
from asking import ask, choose_code, day_text, needed, program, Refused, visible
from people import closed_teams
from record import connect, Item, items, login, one, patient_text, whole_name, the_item, the_patient, the_person


def who(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    if args.document is not None:
        return who_reads(db, patient, the_item(db, args, patient))
    names = dict(db.execute('SELECT id, name FROM principal'))
    treating = one(db, 'SELECT treating_doctor FROM patient WHERE id = ?', patient)
    closed = closed_teams(db, patient)
    print('Le patient : tout.')
    if treating:
        print('%s, médecin traitant : ce que sa profession permet, et ce qui est masqué.' % names.get(treating, treating))
    for grantee, since, until in db.execute('SELECT grantee, since, until FROM consent WHERE patient = ? ORDER BY since',
                                            (patient,)):
        if grantee != treating:
            print('%s, accord du %s%s : %s.' % (
                names.get(grantee, grantee), day_text(since), ' jusqu’au ' + day_text(until) if until else '',
                'rien, car %s, que le patient a bloqué·e, en est membre' % ', '.join(closed[grantee]) if grantee in closed else
                'ce que sa profession permet, sauf ce qui est masqué'))
    for person, ground, until in db.execute('SELECT principal, ground, until FROM representative WHERE patient = ? ORDER BY since', (patient,)):
        print('%s, %s%s : tout, sauf ce qui est caché aux représentants.' % (
            names.get(person, person), dict(GROUNDS).get(ground, ground).lower(), ' jusqu’au ' + day_text(until) if until else ''))
    for person, since in db.execute('SELECT professional, since FROM blocked WHERE patient = ? ORDER BY since', (patient,)):
        print('%s, bloqué·e depuis le %s : rien que ses propres dépôts.' % (names.get(person, person), day_text(since)))
    print('Qui a déposé un document le voit toujours. Pour un document : dmp who DOCUMENT.'.replace('dmp ', program() + ' '))
    return 0


def who_reads(db, patient, item):
    """Who can open one document or line, and why, as the keys say."""
    why, whole = {}, whole_name(db, patient)
    for principal, name, profession, reason in db.execute('SELECT principal, name, profession, why FROM access_right WHERE document = ?', (item,)):
        role = profession_name(profession)
        name = whole if principal == patient else name or 'n° %d' % principal
        why.setdefault('%s%s' % (name, ' (%s)' % role if role else ''), []).append(reason)
    if not why:
        raise Refused('Votre clé ne dit pas qui lit ce document ; celle du patient le dit toujours.')
    for person, reasons in why.items():
        print(visible('%s : %s' % (person, ', '.join(reasons))))
    print(several(len(why), 'personne'))


def see_as(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    person = the_person(db, args.person, ('professional', 'staff', 'representative'), 'Personne')
    found = [(Item((*row, None), None), why) for *row, why in db.execute(
        'SELECT id, creation_time, title, masked, invisible_patient, hidden_from_representatives, episode, author, why FROM document_as(?) '
        'WHERE patient = ? ORDER BY creation_time, id', (person, patient))]
    for item, why in found:
        print(visible('%s (%s)' % (item.text(), why)))
    print(several(len(found), 'document'))


def notifications(args, settings):
    db = login(settings)
    names = {i: patient_text(*traits) for i, *traits in db.execute('SELECT id, birth_name, given_names, NULL FROM patient')}
    rows = db.execute('SELECT patient, at, text, seen FROM notification WHERE seen = 0 OR ? ORDER BY at', (args.all,)).fetchall()
    for patient, at, text, seen in rows:
        print(visible('%s  %s%s : %s' % (local_time(at), '' if seen else '(nouveau) ', names.get(patient, 'n° %d' % patient), text)))
    print(several(len(rows), 'avis', 'avis'))
    if args.seen:
        db.execute('UPDATE notification SET seen = 1 WHERE seen = 0')


def hosting(args, settings):
    if args.name:
        operator, place = args.operator or ask('Qui l’exploite', check=needed), args.place or ask('Où', check=needed)
        login(settings, 'authority').execute('INSERT INTO hosting(name, operator, place) VALUES(?, ?, ?)', (args.name, operator, place))
        print('Écrit ; chaque patient en est averti.')
        return
    rows = login(settings).execute('SELECT name, operator, place, since FROM hosting ORDER BY since').fetchall()
    for name, operator, place, since in rows:
        print(visible('depuis le %s : %s (%s), à %s' % (day_text(since), name, operator, place)))
    if not rows:
        print('L’autorité n’a pas dit où le dossier est conservé.')


def local_time(at):
    return datetime.datetime.fromisoformat(at.replace('Z', '+00:00')).astimezone().strftime('%d/%m/%Y %H:%M:%S %Z')


def log_lines(db, columns, patient, chosen):
    """The record's lines about a patient, or about the item chosen, and what stands in her own chain, where nobody else looks: her showings, her masks
    to the treating doctor. The first column is the time."""
    columns = ', '.join(columns)
    about = db.execute('SELECT %s FROM access_log WHERE patient = ? AND (? IS NULL OR object = ?)' % columns, (patient, chosen, chosen)).fetchall()
    own = db.execute("SELECT %s FROM access_log WHERE patient IS NULL AND principal = ? AND action IN ('view', 'view end', 'mask', 'unmask') AND (? IS NULL OR object = ?)"
                     % columns, (patient, chosen, chosen)).fetchall()
    return sorted(about + own, key=lambda line: line[0])


def log_rows(db, patient, chosen=None):
    """The patient’s log, or what it has of the item chosen, in French words: [when, who, name, profession, what was done, with what (id), why, how often, mode,
    team]. Listings by the same person on one day, nothing in between, are one row: one gesture lists documents, lines and the log itself."""
    rows = []
    for at, principal, name, profession, action, did, item, reason, count, mode, team in log_lines(db, (
            'at', 'principal', 'name', 'profession', 'action', 'action_text', 'object', 'reason_text', 'count', 'mode', 'team'), patient, chosen):
        same = (principal, local_time(at)[:10], mode, team) if action == 'list' else None
        if rows and same and rows[-1][0] == same:
            rows[-1][8] += count
        else:
            rows.append([same, at, principal, name, profession, did, item, reason, count, mode, team])
    return [row[1:] for row in rows]


def access_lines(db, patient, chosen=None):
    """The log as sentences, in the order that the record gives."""
    titles = {i.id: i.title for i in items(db, patient)}
    names = dict(db.execute('SELECT id, name FROM principal'))
    names.update((i, patient_text(*traits)) for i, *traits in
                 db.execute('SELECT id, birth_name, given_names, NULL FROM patient'))
    for at, principal, name, profession, did, item, reason, count, mode, team in log_rows(db, patient, chosen):
        role = profession_name(profession) or ('patient' if principal == patient else None)
        to_whom = did.endswith((' à', ' de'))
        about = (' « %s »' % titles[item] if item in titles else ('%s %s' % ('' if to_whom or did.endswith('bloqué') else ' :', names[item])) if item in names else
                 ' quelqu’un' if to_whom else '')
        yield '%s  %s%s %s%s%s%s' % (local_time(at), names.get(principal) or name or 'Quelqu’un',
                                     ' (%s)' % role if role else '', did, about,
                                     ' (%d fois)' % count if count > 1 else '',
                                     ', ' + reason if reason else '') + (' (par une vue)' if mode == 'view' else '') + (' (par l’équipe %s)' % names.get(team, team) if team else '')


def accesses(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    item = the_item(db, args, patient) if args.document is not None else None
    if item is not None and args.page:
        raise Refused('Une page signée dit tout le journal du patient : demandez-la sans document.')
    if args.csv:
        write_csv(db, patient, args.csv, item)
    if args.page:
        write_page(db, patient, args)
    for line in [] if args.csv or args.page else access_lines(db, patient, item):
        print(visible(line))
    return 0


def write_csv(db, patient, path, chosen=None):
    """The log's rows for another program, in UTF-8, with semicolons as a French spreadsheet wants them."""
    titles, names = {i.id: i.title for i in items(db, patient)}, dict(db.execute('SELECT id, name FROM principal'))
    with open(path, 'x', encoding='utf-8-sig', newline='') as f:
        out = csv.writer(f, delimiter=';')
        out.writerow(['date', 'personne', 'nom', 'profession', 'action', 'élément', 'titre', 'mode', 'motif', 'fois', 'équipe'])
        n = 0
        for at, principal, name, profession, did, item, reason, count, mode, team in log_lines(db, (
                'at', 'principal', 'name', 'profession', 'action_text', 'object', 'reason_text', 'count', 'mode', 'team'), patient, chosen):
            out.writerow([harmless(v) for v in (at, principal, name, profession_name(profession), did, item,
                                                titles.get(item), mode, reason, count, names.get(team, team))])
            n += 1
    print('%s dans %s' % (several(n, 'accès', 'accès'), path))


def write_page(db, patient, args):
    """The log as a page to read, signed by the login's key."""
    page = one(db, 'SELECT dmp_export(?, ?)', patient, args.recipient or choose_code('Pour qui', RECIPIENTS))
    with open(args.page, 'x', encoding='utf-8') as f:
        f.write(page)
    print('Page signée : %s' % args.page)


def check_page(args, settings):
    with open(args.page, encoding='utf-8') as f:
        page = f.read()
    db = login(settings) if settings.record and settings.key else connect(':memory:')
    fingerprint, _, name = one(db, 'SELECT dmp_export_check(?)', page).partition(' ')
    for line in re.findall(r'Patient : .*?(?=<br>)|Établi le .*?(?=<br>)', page.split('</p>')[0]):
        print(visible(html.unescape(line)))
    if name:
        print('La signature est bonne : c’est celle de %s, que ce dossier connaît (clé %s).' % (visible(name), fingerprint))
    else:
        print('Rien n’a été changé depuis la signature, mais %s : qui l’a faite n’est pas sûr. Comparez l’empreinte %s avec celle que son auteur dit.' % (
            'votre dossier ne connaît pas cette clé' if settings.record and settings.key else 'sans dossier ouvert la clé n’a pas de nom', fingerprint))


def harmless(value):
    """A text that a spreadsheet would take for a formula begins with an apostrophe."""
    return "'" + value if isinstance(value, str) and value[:1] in ('=', '+', '-', '@', '\t', '\r') else value
