"""masks.py: what the patient hides and shows again, of documents, lines and episodes; what is hidden from the patient or representatives."""
from asking import choose, program, Refused, visible, yes
from codes import path_of, profession_name, professions
from french import PROFESSIONS, several
from record import items, login, one, the_item, the_patient, the_person, whole_name


def episodes_of(db, patient):
    """{episode: how many of its items this login sees}, and the masked ones among them."""
    count, masked = {}, {e for e, in db.execute('SELECT episode FROM mask WHERE patient = ? AND document IS NULL AND grantee IS NULL', (patient,))}
    for item in items(db, patient):
        if item.episode:
            count[item.episode] = count.get(item.episode, 0) + 1
    for item, episode in db.execute("SELECT item, episode FROM episode_suggestion WHERE patient = ? AND state = 'accepted'", (patient,)):
        count[episode] = count.get(episode, 0) + 1
    return count, masked


def the_episode(db, patient, wanted, masked):
    count, hidden = episodes_of(db, patient)
    certain = to_people(db, patient)[1]
    if masked and wanted and wanted in certain and wanted not in hidden:
        raise Refused('Cet épisode n’est masqué qu’à certaines personnes (%s) : dmp unmask-to lève un de ces masques.' % visible(', '.join(certain[wanted])))
    rows = [(e, e, several(n, 'élément')) for e, n in sorted(count.items()) if (e in hidden) == masked]
    return choose('Épisode', rows, wanted, nothing='rien à choisir, aucun épisode de ce patient n’est ' + ('masqué' if masked else 'à masquer'))


MASKABLE = ('professional', 'team')
TREATING = ('treating', 'traitant', 'médecin traitant')


def whom(db, text):
    """From whom something is masked: the treating doctor, a profession, a professional or a team by number or name; the person is
    asked when text is empty."""
    word = text.strip().lower()
    if not word:
        rows = [('treating', 'Le médecin traitant, quel qu’il soit')] + [('profession:' + code, 'Profession : ' + name) for code, name in PROFESSIONS]
        rows += [(i, ('Équipe : ' if kind == 'team' else '') + name, 'n° %d' % i) for i, kind, name in
                 db.execute('SELECT id, kind, name FROM principal ORDER BY kind, name, id') if kind in MASKABLE]
        return choose('À qui', rows)
    if word in TREATING:
        return 'treating'
    named = [code for code, name in professions() if name.lower() == word]
    if word.startswith('profession:') and word[11:] not in dict(professions()):
        raise Refused('« %s » n’est pas une profession (%s).' % (text, path_of('profession.tsv')))
    return 'profession:' + named[0] if named else word if word.startswith('profession:') else the_person(db, text, MASKABLE, 'Professionnel ou équipe')


def grantee_text(db, grantee):
    """Whom a row of mask leaves out."""
    if grantee == 'treating':
        return 'médecin traitant'
    if str(grantee).startswith('profession:'):
        return profession_name(grantee[11:])
    return one(db, 'SELECT name FROM principal WHERE id = ?', int(grantee)) or 'n° %s' % grantee


def to_text(name):
    return 'au médecin traitant' if name == 'médecin traitant' else 'à ' + name


def of_whom(db, args, patient):
    """(document, episode, grantee) of a mask to somebody, as the command line says it."""
    if args.episode is None:
        return the_item(db, args, patient, lambda i: True, 'ce patient n’a pas de document'), None, whom(db, to_of(args))
    names = sorted(episodes_of(db, patient)[0])
    return None, choose('Épisode', [(e, e, '') for e in names], args.episode, nothing='rien à choisir, ce patient n’a pas d’épisode'), whom(db, to_of(args))


def to_of(args):
    return 'treating' if args.treating else args.to


def mask_rows(db, patient):
    """[((document, episode, grantee), text)] of a patient's masks that this login can undo."""
    texts = {i.id: i.text() for i in items(db, patient)}
    return [((document, episode, grantee), '%s : masqué %s' % (texts.get(document, 'n° %d' % document) if document else 'épisode ' + episode,
                                                            to_text(grantee_text(db, grantee)) if grantee is not None else 'à tous les professionnels'))
            for document, episode, grantee in db.execute('SELECT document, episode, grantee FROM mask WHERE patient = ? ORDER BY since', (patient,)).fetchall()]


def to_people(db, patient):
    """({item: [whom]}, {episode: [whom]}) of the masks to certain people."""
    items_, episodes_ = {}, {}
    for document, episode, grantee in db.execute('SELECT document, episode, grantee FROM mask WHERE patient = ? AND grantee IS NOT NULL', (patient,)).fetchall():
        (items_ if document else episodes_).setdefault(document or episode, []).append(grantee_text(db, grantee))
    return items_, episodes_


def who_sees(db, patient, document):
    """Who can open it now, as the keys say; where they say nothing to this login, the rule."""
    names = list(dict.fromkeys(whole_name(db, patient) if p == patient else name or 'n° %d' % p for p, name in db.execute('SELECT principal, name FROM access_right WHERE document = ?', (document,))))
    return 'Le voient : %s.' % visible(', '.join(names)) if names else 'Qui l’a déposé le garde.'


def still_masked(db, patient, document, episode):
    """What goes on leaving somebody out of this item, or episode."""
    episode = episode or next((i.episode for i in items(db, patient) if i.id == document), None)
    left = [text for (d, e, _), text in mask_rows(db, patient) if (d and d == document) or (not d and e and e == episode)]
    return ' Reste : %s.' % visible(' ; '.join(left)) if left else ''


def masks(args, settings):
    db = login(settings)
    rows = mask_rows(db, the_patient(db, args))
    for _, text in rows:
        print(visible(text))
    print(several(len(rows), 'masque'))


def mask_to(args, settings):
    args.to, args.treating = '', False
    return mask(args, settings)


def unmask_to(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    rows = [row for row in mask_rows(db, patient) if row[0][2] is not None]
    document, episode, grantee = choose('Masque', rows, args.mask, nothing='rien à choisir, rien n’est masqué à certaines personnes')
    db.execute('DELETE FROM mask WHERE patient = ? AND document IS ? AND (document OR episode IS ?) AND grantee = ?', (patient, document, episode, grantee))
    print('Démasqué pour %s.%s' % (visible(grantee_text(db, grantee).replace('médecin', 'le médecin')), still_masked(db, patient, document, episode)))


def mask(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    if to_of(args) is not None:
        of = of_whom(db, args, patient)
        db.execute('INSERT INTO mask(patient, document, episode, grantee) VALUES(?, ?, ?, ?)', (patient, *of))
        print('Masqué %s ; qui l’a déposé le garde. %s' % (visible(to_text(grantee_text(db, of[2]))), who_sees(db, patient, of[0]) if of[0] else 'Pour les autres rien ne change.'))
        return
    if args.episode is not None:
        db.execute('INSERT INTO mask(patient, episode) VALUES(?, ?)', (patient, the_episode(db, patient, args.episode, False)))
        print('Épisode masqué : ses documents, prescriptions et remboursements, et ce qui en viendra encore.')
        return
    document = the_item(db, args, patient, lambda i: not i.masked, 'aucun document de ce patient n’est à masquer')
    db.execute('INSERT INTO mask(patient, document) VALUES(?, ?)', (patient, document))
    print('Masqué. ' + who_sees(db, patient, document))


def unmask(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    if to_of(args) is not None:
        of = of_whom(db, args, patient)
        if db.execute('DELETE FROM mask WHERE patient = ? AND document IS ? AND (document OR episode IS ?) AND grantee = ?', (patient, *of)).rowcount == 0:
            raise Refused('Ce n’est pas masqué %s.' % visible(to_text(grantee_text(db, of[2]))))
        print('Démasqué pour %s.%s' % (visible(grantee_text(db, of[2]).replace('médecin', 'le médecin')), still_masked(db, patient, *of[:2])))
        return
    if args.episode is not None:
        db.execute('DELETE FROM mask WHERE patient = ? AND episode = ? AND document IS NULL AND grantee IS NULL', (patient, the_episode(db, patient, args.episode, True)))
        print('Épisode démasqué. Ce qui était masqué à part, ou à certaines personnes, le reste (dmp masks).'.replace('dmp ', program() + ' '))
        return
    certain, of_episodes = to_people(db, patient)
    masked = {i.id: i for i in items(db, patient) if i.masked or i.id in certain or i.episode in of_episodes}
    document = the_item(db, args, patient, lambda i: i.id in masked, 'aucun document de ce patient n’est masqué')
    if not masked[document].masked:
        raise Refused('Ce document n’est masqué qu’à certaines personnes (%s) : dmp unmask-to lève un de ces masques.' % visible(', '.join(
            certain.get(document, []) + of_episodes.get(masked[document].episode, []))))
    if db.execute('DELETE FROM mask WHERE patient = ? AND document = ? AND grantee IS NULL', (patient, document)).rowcount == 0:
        raise Refused('Ce document est masqué avec son épisode : démasquez l’épisode (dmp unmask --episode).')
    print('Démasqué.%s %s' % (still_masked(db, patient, document, None), who_sees(db, patient, document)))


def announce(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    document = the_item(db, args, patient, lambda i: i.invisible, 'aucun document de ce patient n’attend d’être annoncé')
    db.execute('UPDATE document SET invisible_patient = 0 WHERE id = ?', (document,))
    print('Annoncé : le patient le voit.')


def reveal(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    found = {i.id: i.section or 'document' for i in items(db, patient) if i.hidden}
    document = the_item(db, args, patient, lambda i: i.id in found, 'aucun document de ce patient n’est caché à ses représentants')
    if not yes('Les représentants du patient le verront, et cela ne se reprend pas. Le leur montrer ?'):
        raise Refused('Rien n’est montré.')
    db.execute('UPDATE "%s" SET hidden_from_representatives = 0 WHERE id = ?' % found[document], (document,))
    print('Montré aux représentants du patient.')


# ---- episodes ----

def proposals(db, patient):
    """[(item, episode, text, why)] of what waits for an answer."""
    texts = {i.id: i.text() for i in items(db, patient)}
    return [(item, episode, '%s → %s' % (texts.get(item, 'n° %d' % item), episode), why) for item, episode, why in db.execute(
        "SELECT item, episode, why FROM episode_suggestion WHERE patient = ? AND state = 'proposed' ORDER BY item", (patient,))]


def episodes(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    for wanted, state, said in ((args.accept, 'accepted', 'Rattaché : %s'), (args.refuse, 'refused', 'Refusé : %s')):
        if wanted is not None:
            rows = [((item, episode), text, why) for item, episode, text, why in proposals(db, patient)]
            item, episode = choose('Proposition', rows, wanted, nothing='rien à choisir, aucun document n’est proposé pour un épisode')
            db.execute('UPDATE episode_suggestion SET state = ? WHERE patient = ? AND item = ? AND episode = ?', (state, patient, item, episode))
            print(said % next(visible(text) for key, text, _ in rows if key == (item, episode)))
            return
    count, masked = episodes_of(db, patient)
    for episode, n in sorted(count.items()):
        print(visible('%s%s : %s' % ('(masqué) ' * (episode in masked), episode, several(n, 'élément'))))
    print(several(len(count), 'épisode'))
    for n, (_, _, text, why) in enumerate(proposals(db, patient), 1):
        print(visible('%3d  proposé : %s (%s)' % (n, text, why)))


def assign(args, settings):
    db = login(settings)
    patient = the_patient(db, args)
    document = the_item(db, args, patient, lambda i: not i.episode, 'chaque document de ce patient a son épisode')
    db.execute('INSERT INTO episode_suggestion(patient, item, episode) VALUES(?, ?, ?)', (patient, document, args.episode))
    print('Rattaché à %s%s.' % (args.episode, ', qui est masqué : il l’est aussi' if one(
        db, 'SELECT count(*) FROM mask WHERE patient = ? AND episode = ? AND document IS NULL', patient, args.episode) else ''))
