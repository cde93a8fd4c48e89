"""people.py: who is around the patient: consents, representatives, automatic feeds, blocks, teams."""
from codes import choose_listed, profession_name
from french import GROUNDS, PROFESSIONS, several
from asking import choose, choose_code, day_form, day_text, program, Refused, visible, yes
from record import login, one, the_patient, the_person

GRANTEES = ('professional', 'staff', 'team')                    # to whom a patient consents
BLOCKABLE = ('professional', 'staff')


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
    print('Désigné%s. Ce qui est caché aux représentants lui reste fermé.' % (' jusqu’au ' + day_text(until) if until else ''))


def consent(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    db.execute('INSERT INTO consent(patient, grantee, until) VALUES(?, ?, ?)',
               (patient, the_person(db, args.person, GRANTEES, 'Professionnel ou équipe'), day_form(args.until)))
    print('Accord enregistré.')


def withdraw(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    person = the_person(db, args.person, GRANTEES, 'Professionnel ou équipe')
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


STAYS = "(until IS NULL OR until > strftime('%Y-%m-%dT%H:%M:%SZ'))"     # who has left stands there while keys are to be changed


def closed_teams(db, patient):
    """{team: the names of its members whom the patient has blocked}: it holds no key of this patient."""
    closed = {}
    for team, name in db.execute('SELECT team, (SELECT name FROM principal WHERE id = member) FROM membership '
                                 'WHERE member IN (SELECT professional FROM blocked WHERE patient = ?) AND ' + STAYS, (patient,)):
        closed.setdefault(team, []).append(name)
    return closed


def block(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    person = the_person(db, args.person, BLOCKABLE)
    teams = [name for name, in db.execute('SELECT (SELECT name FROM principal WHERE id = team) FROM membership WHERE member = ? AND team IN '
                                          '(SELECT grantee FROM consent WHERE patient = ?) AND ' + STAYS, (person, patient))]
    if teams and not yes('Cette personne est membre de %s, qui a l’accord du patient. Le blocage ferme le dossier à toute l’équipe, jusqu’à ce que cette personne la '
                         'quitte ; les autres membres le lisent encore si le patient donne son accord à chacun. Bloquer ?' % visible(', '.join(teams))):
        raise Refused('Personne n’est bloqué.')
    db.execute('INSERT INTO blocked(patient, professional) VALUES(?, ?)', (patient, person))
    print('Bloqué·e : plus rien ne s’ouvre, et aucun accord ne se donne tant que le blocage dure. Ce qu’il ou elle a déposé lui reste.')


def unblock(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    names = dict(db.execute('SELECT id, name FROM principal'))
    rows = [(p, names.get(p, 'n° %d' % p), 'depuis le ' + day_text(since)) for p, since in db.execute('SELECT professional, since FROM blocked WHERE patient = ?', (patient,))]
    person = choose('Bloqué', rows, args.person, nothing='rien à choisir, personne n’est bloqué')
    db.execute('DELETE FROM blocked WHERE patient = ? AND professional = ?', (patient, person))
    print('Débloqué·e : rien n’est rendu ; un nouvel accord le fait (dmp consent).'.replace('dmp ', program() + ' '))


# ---- teams ----

def the_team(db, wanted):
    return the_person(db, wanted, ('team',), 'Équipe', 'aucune équipe n’est enregistrée (dmp new-team)')


def teams(args, settings):
    db = login(settings)
    wanted = the_team(db, args.team) if args.team else None
    names = dict(db.execute('SELECT id, name FROM principal'))
    members = db.execute('SELECT team, member, manager, until, pending FROM membership').fetchall()
    found = [row for row in db.execute("SELECT id, name, profession, facility FROM principal WHERE kind = 'team' ORDER BY name, id") if wanted in (None, row[0])]
    for team, name, role, facility in found:
        print(visible('%s%s%s' % (name, ', ' + facility if facility else '', ' : ' + profession_name(role) if role else '')))
        for _, member, manager, until, pending in [row for row in members if row[0] == team]:
            print(visible('  %s%s%s%s' % (names.get(member, 'n° %d' % member), ' (responsable)' * bool(manager), ' jusqu’au ' + day_text(until) if until else '',
                                          ', parti·e : les clés de %s changeront à la prochaine connexion' % several(pending, 'patient') if pending else '')))
    print(several(len(found), 'équipe'))


def new_team(args, settings):
    db = login(settings, 'authority')
    manager = the_person(db, args.manager)
    role = None if args.names_only else choose_listed('Rôle : la profession dont l’équipe a les droits', PROFESSIONS, 'profession.tsv', args.role)
    db.execute('BEGIN')
    team = db.execute("INSERT INTO principal(kind, name, profession, facility) VALUES('team', ?, ?, ?)", (args.name, role, args.facility)).lastrowid
    db.execute('INSERT INTO membership(team, member, manager) VALUES(?, ?, 1)', (team, manager))
    db.execute('COMMIT')
    print('Équipe enregistrée. Sa clé sera faite à la prochaine connexion de son responsable (dmp teams) ; ensuite il ajoute les membres (dmp add-member).')


def add_member(args, settings):
    db = login(settings)
    team, person = the_team(db, args.team), the_person(db, args.person)
    if one(db, 'SELECT count(*) FROM membership WHERE team = ? AND member = ? AND ' + STAYS, team, person):
        db.execute('UPDATE membership SET manager = ?, until = ? WHERE team = ? AND member = ?', (int(args.manager), day_form(args.until), team, person))
        print('Changé : %s, %s.' % ('responsable' if args.manager else 'membre', 'jusqu’au ' + day_text(day_form(args.until)) if args.until else 'sans date de fin'))
        return
    db.execute('INSERT INTO membership(team, member, manager, until) VALUES(?, ?, ?, ?)', (team, person, int(args.manager), day_form(args.until)))
    print('Ajouté·e : les accords donnés à l’équipe lui ouvrent les dossiers.')


def remove_member(args, settings):
    db = login(settings)
    team = the_team(db, args.team)
    names = dict(db.execute('SELECT id, name FROM principal'))
    rows = [(member, names.get(member, 'n° %d' % member), 'n° %d' % member) for member, in
            db.execute('SELECT member FROM membership WHERE team = ? AND ' + STAYS, (team,))]
    person = choose('Membre', rows, args.person, nothing='rien à choisir, vous ne voyez aucun membre de cette équipe')
    db.execute('DELETE FROM membership WHERE team = ? AND member = ?', (team, person))
    print('Retiré·e : ses sessions se ferment ; les clés des patients changent aux prochaines connexions (dmp teams dit ce qui reste).')
