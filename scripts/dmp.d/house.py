"""house.py: the record as files, its verification, the key's code, the sqlite3 shell."""
import os, re, shutil, subprocess

from french import finding_text, MOUNTING, several
from asking import ask_pin, new_pin, program, Refused, shell_word
from record import checked_pin, connect, library, login, one


def mountpoint_of(args, settings):
    suffix = '-' + settings.profile if settings.profile != 'dmp' else ''
    return args.mountpoint or os.path.expanduser('~/dossier-partage' + suffix)


def check_mountpoint(path, mine):
    """mine: the folder that dmp makes itself."""
    if mine and not os.path.lexists(path):
        os.mkdir(path, 0o700)
    if os.path.lexists(path) and os.path.ismount(path):
        raise Refused('Un dossier est déjà monté sur %s : dmp umount %s d’abord.' % (path, shell_word(path)))
    try:
        busy = os.listdir(path)
    except FileNotFoundError:
        raise Refused('%s n’existe pas : créez-le (mkdir), ou lancez dmp mount sans dossier.' % path) from None
    if busy:
        raise Refused('%s n’est pas vide : montez sur un dossier vide.' % path)


def mount(args, settings):
    record, key = settings.existing_record(), settings.existing_key()
    point = mountpoint_of(args, settings)
    check_mountpoint(point, not args.mountpoint)
    fd = checked_pin(settings, record, key)
    options = 'lang=fr,key=' + key.replace(',', '\\,') + (',pinfd=%d' % fd if fd else '')
    done = subprocess.run([library('dmpfs'), record, point, '-o', options], pass_fds=[fd] if fd else [], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Refused('Rien n’est monté : %s.' % MOUNTING.get(done.returncode, re.sub('^dmpfs: ', '', done.stderr.strip())))
    print('Monté sur %s. Pour finir : %s umount %s' % (point, program(), shell_word(point)))


def umount(args, settings):
    point = mountpoint_of(args, settings)
    if not os.path.ismount(point):
        raise Refused('Rien n’est monté sur %s.' % point)
    command = ['fusermount3', '-u'] if shutil.which('fusermount3') else ['umount']      # root mounts without the former
    if subprocess.run([*command, '--', point], stderr=subprocess.DEVNULL).returncode:
        raise Refused('%s est occupé : fermez ce qui y est ouvert.' % point)
    print('Démonté.')


def verify(args, settings):
    faults = owed = 0
    for place, row, patient, kind, what in login(settings).execute('SELECT place, row, patient, kind, what FROM dmp_verify'):
        faults, owed = faults + (kind == 'fault'), owed + (kind == 'owed')
        print('%s : %s' % ('FAUTE' if kind == 'fault' else 'à faire', finding_text(place, row, patient, what)))
    print('%s, %s à faire' % (several(faults, 'faute'), several(owed, 'chose')))
    return 1 if faults else 0


def change_pin(args, settings):
    key = settings.existing_key()
    old = ask_pin('Code actuel de la clé %s' % os.path.basename(key))
    one(connect(':memory:'), 'SELECT dmp_change_pin(?, ?, ?)', key, old, new_pin('de la clé'))
    print('Code changé.')


def unlock(args, settings):
    db, key = connect(':memory:'), settings.existing_key()
    one(db, 'SELECT dmp_unlock(?, ?, ?)', key, ask_pin('Code de la clé %s' % os.path.basename(key)), args.minutes * 60)
    print('Clé déverrouillée pour %s. Pour finir avant : %s lock' % (several(args.minutes, 'minute'), program()))


def lock(args, settings):
    locked = one(connect(':memory:'), 'SELECT dmp_lock(?)', settings.existing_key())
    print('Clé verrouillée.' if locked else 'Cette clé n’était pas déverrouillée.')


def sql(args, settings):
    record, key = settings.existing_record(), settings.existing_key()
    shell = shutil.which('sqlite3')
    if not shell:
        raise Refused('Le programme sqlite3 manque.')
    fd = checked_pin(settings, record, key)
    # The extension asks $DMP_ASKPASS, which reads the descriptor once. What is typed may name patients: no history.
    environment = dict(os.environ, SQLITE_HISTORY='/dev/null')
    if fd:
        environment['DMP_ASKPASS'] = 'head -n 1 /dev/fd/%d' % fd
    extension = library('dmp.so').replace('\\', '\\\\').replace('"', '\\"')
    commands = ['PRAGMA temp_store = MEMORY', '.load "%s"' % extension, '.output /dev/null',
                "SELECT dmp_login('%s')" % key.replace("'", "''"), '.output',
                "SELECT 'Session ouverte : ' || name FROM session"]
    os.execve(shell, [shell] + [a for c in commands for a in ('-cmd', c)] + [record], environment)
