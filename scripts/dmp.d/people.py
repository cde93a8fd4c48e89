"""people.py: who is around the patient: consents, representatives, automatic feeds."""
from french import GROUNDS, several
from asking import choose, choose_code, day_form, Refused, visible
from record import login, one, the_patient, the_person


def representative(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    people = [(i, name, 'n° %d' % i) for i, name in db.execute("SELECT id, name FROM principal WHERE kind = 'representative' ORDER BY name, id")]
    person = choose('Représentant', people, args.person, nothing='rien à choisir, aucun représentant n’est enregistré (dmp join --representative)')
    if args.remove:
        if db.execute('DELETE FROM representative WHERE patient = ? AND principal = ?', (patient, person)).rowcount == 0:
            raise Refused('Cette personne ne représente pas ce patient.')
        print('Retiré : ses clés sont changées.')
        return
    ground = args.ground or choose_code('À quel titre', GROUNDS)
    db.execute('INSERT INTO representative(patient, principal, ground, until) VALUES(?, ?, ?, ?)', (patient, person, ground, day_form(args.until)))
    until = one(db, 'SELECT until FROM representative WHERE patient = ? AND principal = ?', patient, person)
    print('Désigné%s. Ce qui est caché aux représentants lui reste fermé.' % (' jusqu’au ' + until[:10] if until else ''))


def consent(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    db.execute('INSERT INTO consent(patient, grantee, until) VALUES(?, ?, ?)',
               (patient, the_person(db, args.person), day_form(args.until)))
    print('Accord enregistré.')


def withdraw(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    person = the_person(db, args.person)
    if db.execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (patient, person)).rowcount == 0:
        raise Refused('Cette personne n’avait pas d’accord.')
    print('Accord retiré : ses clés sont changées.')


def feeds(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    state = dict(db.execute('SELECT source, state FROM feed WHERE patient = ?', (patient,)))
    rows = [(i, name, 'ouverte' if state.get(i) == 'on' else 'fermée') for i, name in
            db.execute("SELECT id, name FROM principal WHERE kind = 'source' ORDER BY name, id")]
    if not (args.on or args.off):
        for _, name, how in rows:
            print(visible('%s : %s' % (name, how)))
        print(several(len(rows), 'alimentation'))
        return
    source, wanted = choose('Alimentation', rows, args.source, nothing='rien à choisir, aucune n’est enregistrée (dmp join --source)'), 'on' if args.on else 'off'
    if state.get(source, 'off') == wanted:
        raise Refused('Elle l’est déjà.')
    if source in state:
        db.execute('UPDATE feed SET state = ? WHERE patient = ? AND source = ?', (wanted, patient, source))
    else:
        db.execute('INSERT INTO feed(patient, source) VALUES(?, ?)', (patient, source))
    print('Ouverte : elle peut déposer.' if args.on else 'Fermée : elle ne dépose plus. Ce qu’elle a déposé reste ; dmp mask le masque.')
