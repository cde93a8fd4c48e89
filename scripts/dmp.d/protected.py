"""protected.py: tables of the practice that are sealed."""
import re, sqlite3

from french import code_of, several
from asking import ask, choose, needed, program, Refused, shell_word, yes
from record import login, one, the_person


def protected_tables(db):
    """{table: its sealed columns} in the order of their names."""
    rows = db.execute('SELECT "table", "column" FROM dmp_protected').fetchall()
    return {t: [c for name, c in rows if name == t] for t in sorted({t for t, _ in rows})}


def the_protected(db, wanted):
    rows = [(t, t, ', '.join(columns)) for t, columns in protected_tables(db).items()]
    if wanted and wanted not in [row[0] for row in rows]:
        raise Refused('La table %s n’est pas protégée.' % wanted)
    return choose('Table', rows, wanted, nothing='aucune table n’est protégée (dmp protect)')


def the_plain(db, wanted):
    """An ordinary table of the practice: not of the record, not of SQLite, not the shadow of a protected one."""
    if wanted:
        return wanted
    rows = [(t, t) for t, in db.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
                                        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
            if not t.startswith('dmp_') and not t.endswith('_dmp')]
    return choose('Table', rows, nothing='rien à choisir, ce fichier n’a pas d’autre table')


def names_in(text):
    """The names between commas."""
    return [name.strip() for name in text.split(',') if name.strip()]


def protect_options(db, args):
    """The options of dmp_protect(), or None."""
    me = one(db, 'SELECT principal FROM session')
    options = ['without_key=hide'] * args.hide
    if args.index:
        options.append('index=' + '|'.join(names_in(args.index)))
    if args.readers:
        options.append('readers=' + '|'.join(str(p) for p in dict.fromkeys([me] + [the_person(db, name) for name in names_in(args.readers)])))
    options += ['%s=%s' % (name, value) for name, value in (('patient', args.patient), ('system', args.system), ('type', args.type)) if value]
    return ','.join(options) or None


def protect(args, settings):
    db = login(settings)
    table = the_plain(db, args.table)
    if table in protected_tables(db) and not args.columns:
        one(db, 'SELECT dmp_protect(?)', table)
        print('%s est déjà protégée : la liste de ses vues et déclencheurs est signée de nouveau.' % table)
        return
    columns = args.columns or ask('Colonnes à sceller, séparées par des virgules', check=needed)
    one(db, 'SELECT dmp_protect(?, ?, ?)', table, ','.join(names_in(columns)), protect_options(db, args))
    print('Protégée : %s (%s). %s ; pour donner la clé : %s readers %s --add' % (
        table, ', '.join(protected_tables(db)[table]), 'Chaque ligne est sous les clés de son patient' if args.patient else
        'Ceux que vous avez nommés et vous avez la clé' if args.readers else 'Vous seul avez la clé', program(), shell_word(table)))
    if args.no_scrub:
        print('L’ancien texte est encore dans le fichier : %s scrub' % program())
    else:
        scrub(db)


def scrub(db):
    """The protection stands already when this fails: it is said, and the rest is for later."""
    try:
        one(db, 'SELECT dmp_scrub()')
        print('L’ancien texte est effacé du fichier. Vos sauvegardes d’avant le contiennent encore.')
    except sqlite3.Error as error:
        if code_of(error) != 83:
            raise
        raise Refused('L’ancien texte est encore dans le fichier, qu’un autre programme lit : fermez-le, puis dmp scrub.') from None


def scrub_file(args, settings):
    scrub(login(settings))


def unprotect(args, settings):
    db = login(settings)
    table = the_protected(db, args.table)
    if not yes('Les colonnes de %s seront lisibles par qui tient le fichier. Continuer ?' % table):
        raise Refused('Rien n’est changé.')
    one(db, 'SELECT dmp_unprotect(?)', table)
    print('%s est de nouveau en clair.' % table)


def readers(args, settings):
    db = login(settings)
    names = dict(db.execute('SELECT id, name FROM principal'))
    if args.add is not None or args.remove is not None:
        table = the_protected(db, args.table)
        readers = [p for p, in db.execute('SELECT principal FROM protected_reader WHERE "table" = ?', (table,))]
        if args.add is not None:
            person = the_person(db, args.add)
            if person in readers:
                raise Refused('%s a déjà la clé de %s.' % (names[person], table))
            db.execute('INSERT INTO protected_reader VALUES(?, ?)', (table, person))
            print('%s lit et écrit %s.' % (names[person], table))
        else:
            person = choose('Lecteur', [(p, names.get(p) or str(p), 'n° %d' % p) for p in readers], args.remove)
            if readers == [person]:
                raise Refused('%s est la seule personne qui a la clé de %s : sans elle, plus personne ne lirait. Donnez la clé à '
                              'quelqu’un d’abord, ou dmp unprotect.' % (names[person], table))
            db.execute('DELETE FROM protected_reader WHERE "table" = ? AND principal = ?', (table, person))
            print('%s ne lit plus %s : sa clé est changée et toutes les lignes sont scellées de nouveau.' % (names[person], table))
        return
    if args.table:
        the_protected(db, args.table)
    for table, columns in protected_tables(db).items():
        if args.table in (None, table):
            print('%s (%s) : %s' % (table, ', '.join(columns), ', '.join(
                names.get(p) or str(p) for p, in db.execute('SELECT principal FROM protected_reader WHERE "table" = ?', (table,)))))
    due = one(db, 'SELECT count(*) FROM dmp_protected WHERE scrub_due')
    if due:
        print('À faire : l’ancien texte est encore dans le fichier (dmp scrub).'.replace('dmp scrub', program() + ' scrub'))


def rotate(args, settings):
    db = login(settings)
    table = the_protected(db, args.table)
    one(db, 'SELECT dmp_rotate(?)', table)
    print('La clé de %s est changée, ses lignes sont scellées de nouveau. Les anciennes restent dans le fichier jusqu’à : %s scrub' % (table, program()))


def rewrap(args, settings):
    db = login(settings)
    table = the_protected(db, args.table)
    one(db, 'SELECT dmp_rewrap(?)', table)
    print('La clé de %s est remise à chacun de ses lecteurs.' % table)


def key_of(db, table):
    """The column by which a row is named: the primary key, which is a UNIQUE of the shadow where it is no number."""
    shadow = table + '_dmp'
    keys = [name for name, in db.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 AND name <> '_dmpid'", (shadow,))]
    for index, in db.execute('SELECT name FROM pragma_index_list(?) WHERE "unique" ORDER BY seq DESC', (shadow,)).fetchall():
        keys = keys or [name for name, in db.execute('SELECT name FROM pragma_index_info(?)', (index,))]
    return keys[0] if len(keys) == 1 else 'rowid'


def mark_row(args, settings, masked):
    """args.row: a value of the table's key, or COLUMN=VALUE that one row has."""
    db = login(settings)
    table = the_protected(db, args.table)
    kinds = dict(db.execute('SELECT name, type FROM pragma_table_xinfo(?)', (table,)))
    if 'dmp_masked' not in kinds:
        raise Refused('Les lignes de %s ne sont pas sous les clés de patients (dmp protect --patient).' % table)
    column, found, value = args.row.partition('=')
    if not found or column not in kinds:
        column, value = key_of(db, table), args.row
    if 'INT' in kinds.get(column, 'INTEGER').upper() and re.fullmatch(r'-?\d+', value):
        value = int(value)
    where = '"%s" WHERE %s = ?' % (table.replace('"', '""'), column if column == 'rowid' else '"%s"' % column.replace('"', '""'))
    rows = one(db, 'SELECT count(*) FROM ' + where, value)
    if rows != 1:
        raise Refused('« %s » désigne %s de %s.' % (args.row, several(rows, 'ligne'), table))
    db.execute('UPDATE ' + where.replace(' WHERE', ' SET dmp_masked = ? WHERE', 1), (masked, value))


def mask_row(args, settings):
    mark_row(args, settings, 1)
    print('Ligne masquée : seuls le patient et son médecin traitant la lisent.')


def unmask_row(args, settings):
    mark_row(args, settings, 0)
    print('Ligne démasquée.')
