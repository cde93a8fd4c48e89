"""showing.py: minimal views: what a patient shows of her record, and nothing else."""
import os, secrets

from asking import choose, day_form, day_text, program, shell_word, yes
from french import several
from insight import local_time
from record import login, one, the_patient

SHEET = """
──── À montrer, et rien d’autre ────
Clé  : {key}
Code : {pin}
  {mount}

Pour vous seul·e : cela dure jusqu’au {until} ; rien n’y dit que le dossier en contient davantage. Pour y mettre fin avant :
  {end}
"""


def as_typed(settings, key):
    """This program for that key: the profile of this machine names its own."""
    if settings.file.has_section(settings.profile) and settings.file[settings.profile].get('key') == key:
        return program()
    return '%s --record %s --key %s' % (program(), shell_word(settings.existing_record()), shell_word(key))


def show(args, settings):
    """A read-only credential for one showing: only the documents chosen."""
    db = login(settings)
    patient = the_patient(db, args)
    rows = [(i, '%s  %s' % (day_text(at), title or ''), 'n° %d' % i) for i, at, title in
            db.execute('SELECT id, creation_time, title FROM document WHERE patient = ? ORDER BY creation_time, id', (patient,))]
    chosen = [choose('Document à montrer', rows, wanted, nothing='rien à choisir, ce patient n’a pas de document') for wanted in args.documents or [None]]
    while not args.documents and yes('En montrer un autre ?'):
        chosen.append(choose('Document à montrer', rows))
    pin = '%012d' % secrets.randbelow(10 ** 12)
    key = os.path.abspath(args.output or settings.new_key('vue'))
    db.execute('INSERT INTO minimal_view(patient, items, credential, pin, until) VALUES(?, ?, ?, ?, ?)',
               (patient, ','.join(map(str, chosen)), key, pin, day_form(args.until)))
    until = one(db, 'SELECT until FROM minimal_view ORDER BY since DESC, id DESC')
    print(SHEET.format(key=key, pin=pin, until=local_time(until)[:16], end='%s end-show' % as_typed(settings, settings.existing_key()),
                       mount='%s mount' % as_typed(settings, key)))


def end_show(args, settings):
    db = login(settings)
    rows = [(i, '%s, %s' % (local_time(since)[:16], several(items.count(',') + 1, 'document')), 'n° %d' % i) for i, since, items in
            db.execute('SELECT id, since, items FROM minimal_view WHERE ended IS NULL ORDER BY since')]
    db.execute('DELETE FROM minimal_view WHERE id = ?', (choose('Vue', rows, args.view, nothing='rien à choisir, aucune vue n’est en cours'),))
    print('Fini : cette clé n’ouvre plus rien.')
