#!/usr/bin/python3
"""Right clicks: scripts/dmp-desk on real mounts, with the real dmp and a zenity that answers from a list.
  test_desk.py [build [name…]]     as test_mount.py, whose practice and mounts it uses"""
import os, re, shutil, subprocess
import xml.etree.ElementTree as tree
import test_mount as door
from test_mount import FOLDER, PIN, REPORTS, ROOT, TWO_SECONDS, Mount, error_of, same, wait_until

DESK = os.path.join(ROOT, 'scripts', 'dmp-desk')
REPORT = '2026-03-12 Consultation – Dr Martin.pdf'
# Says what it was asked, answers the next line of a file; an empty line closes the dialog.
ZENITY = '''#!/usr/bin/python3
import os, sys
asked = ' | '.join(a.replace('\\n', ' / ') for a in sys.argv[1:])
if '--text-info' in sys.argv: asked += ' | ' + sys.stdin.read().replace('\\n', ' / ')
open(os.environ['ASKED'], 'a').write(asked + '\\n')
if any(k in sys.argv for k in ('--info', '--error', '--text-info', '--question')) and 'REFUSE' not in os.environ: sys.exit(0)
lines = open(os.environ['ANSWERS']).read().split('\\n')
open(os.environ['ANSWERS'], 'w').write('\\n'.join(lines[1:]))
if not lines[0]: sys.exit(1)
print(lines[0].replace('\\\\n', '\\n'))
'''


class Desk:
    def __init__(self, p):
        self.home = os.path.join(p.folder, 'home')
        os.makedirs(os.path.join(self.home, 'bin'))
        zenity = os.path.join(self.home, 'bin', 'zenity')
        with open(zenity, 'w') as f:
            f.write(ZENITY)
        os.chmod(zenity, 0o755)
        self.asked, self.answers = (os.path.join(self.home, n) for n in ('asked', 'answers'))
        self.environment = dict(os.environ, **door.SANITIZERS, HOME=self.home, PATH=os.path.join(self.home, 'bin') + ':' + os.environ['PATH'], ASKED=self.asked,
                                ANSWERS=self.answers, XDG_CONFIG_HOME=os.path.join(self.home, 'config'), XDG_DATA_HOME=os.path.join(self.home, 'data'))
        for name in ('DMP_ASKPASS', 'DMP_RECORD', 'DMP_KEY', 'DMP_PROFILE'):
            self.environment.pop(name, None)

    def __call__(self, *arguments, answers=(PIN,), program=DESK, **more):
        """Its exit code, and what the dialogs said."""
        open(self.asked, 'w').close()
        with open(self.answers, 'w') as f:
            f.write('\n'.join(answers))
        done = subprocess.run([program, *arguments], env=dict(self.environment, **more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        assert PIN not in open(self.asked).read()
        return done.returncode, open(self.asked).read() + done.stdout + done.stderr


def test_a_report_is_masked_and_shown_again_by_right_clicks(p):
    i, desk = p.deposit('Consultation'), Desk(p)
    with Mount(p, 'pharmacist') as colleague, Mount(p, 'patient') as m:
        code, said = desk('masquer', m(REPORTS, REPORT))
        same(code, 0, said)
        assert 'Masquer « %s » ?' % REPORT in said and 'Code de votre clé' in said and '--info' in said and 'Masqué.' in said, said
        assert wait_until(lambda: error_of(os.stat, colleague(REPORTS, REPORT)) == 'ENOENT', TWO_SECONDS)
        same(p['patient'].execute('SELECT document FROM mask').fetchall(), [(i,)])
        masked = m(REPORTS, REPORT.replace('12 C', '12 (masqué) C'))
        assert wait_until(lambda: os.path.exists(masked), TWO_SECONDS)
        code, said = desk('demasquer', masked)
        same(code, 0, said)
        assert wait_until(lambda: error_of(os.stat, colleague(REPORTS, REPORT)) == 'OK', TWO_SECONDS)


def test_closing_a_dialog_changes_nothing_and_a_refusal_is_told(p):
    p.deposit('Consultation')
    desk = Desk(p)
    with Mount(p, 'patient') as m, Mount(p, 'pharmacist') as n:
        same(desk('masquer', m(REPORTS, REPORT), answers=('',), REFUSE='1')[0], 1)
        same(desk('masquer', m(REPORTS, REPORT), answers=('',))[0], 1)        # no PIN
        code, said = desk('masquer', n(REPORTS, REPORT))
        same(code, 1)
        assert '--error' in said and 'dmp-E046' in said, said
        code, said = desk('masquer', m(REPORTS, REPORT), answers=('pas le bon code',))
        assert code == 1 and 'dmp-E011' in said, said
        for action, path in (('masquer', __file__), ('masquer', m(FOLDER)), ('masquer', m(FOLDER, 'Synthèse.html')), ('qui-a-lu', m.point), ('qui-peut-lire', __file__)):
            code, said = desk(action, path)
            assert code == 1 and '--error' in said, (action, path, said)
        same(p['patient'].execute('SELECT count(*) FROM mask').fetchone(), (0,))


def test_the_page_of_a_structured_document_stands_for_it(p):
    with open(os.path.join(ROOT, 'tests', 'fixtures', 'cda', 'operatoire-v1.xml'), 'rb') as f:
        i = p.deposit('Operation', f.read(), mime='text/xml')
    with Mount(p, 'patient') as m:
        same(Desk(p)('masquer', m(REPORTS, '2026-03-12 Operation – Dr Martin.html'))[0], 0)
        same(p['patient'].execute('SELECT document FROM mask').fetchall(), [(i,)])


def test_a_file_is_deposited_from_outside_and_from_a_patients_folder(p):
    p.deposit('Consultation')
    desk, scan = Desk(p), os.path.join(p.folder, 'scan.pdf')
    with open(scan, 'wb') as f:
        f.write(b'%PDF-1.4 scan')
    initials = ',layout=' + os.path.join(ROOT, 'schema', 'layouts', 'initiales.sql')
    with Mount(p, 'doctor', initials) as m:
        code, said = desk('deposer', scan, answers=(m('D', FOLDER), 'Depuis le bureau', '11502-2', PIN))
        same(code, 0, said)
        assert FOLDER in said and 'Déposé : Depuis le bureau' in said, said
        code, said = desk('deposer', m('D', FOLDER), answers=(scan, 'Depuis le dossier', '11488-4', '', PIN))
        same(code, 1, said)
        same(p['doctor'].execute('SELECT title, content FROM document WHERE title LIKE ?', ('Depuis%',)).fetchall(), [('Depuis le bureau', b'%PDF-1.4 scan')])


def test_who_may_read_and_who_has_read_are_told(p):
    p.deposit('Consultation')
    p.deposit('Autre')
    desk = Desk(p)
    with Mount(p, 'pharmacist') as n:
        n.read(REPORTS, REPORT)
        n.read(REPORTS, REPORT.replace('Consultation', 'Autre'))
    with Mount(p, 'patient') as m:
        code, said = desk('qui-peut-lire', m(FOLDER))
        assert code == 0 and 'Ph Durand, accord du' in said, said
        code, said = desk('qui-peut-lire', m(REPORTS, REPORT))
        assert code == 0 and re.search('Ph Durand.*consentement', said) and 'Dr Martin' in said, said
        p.deposit('Caché', masked=1)
        code, said = desk('voir-comme', m(FOLDER), answers=('durand', PIN))
        assert code == 0 and 'Consultation' in said and 'Caché' not in said, said
        code, said = desk('qui-a-lu', m(REPORTS, REPORT))
        assert code == 0 and re.search('Ph Durand.*a lu « Consultation »', said) and 'Autre' not in said and 'liste' not in said, said
        code, said = desk('qui-a-lu', m(FOLDER))
        assert code == 0 and re.search('Ph Durand.*a lu « Consultation »', said) and re.search('Ph Durand.*a lu « Autre »', said), said


def test_it_enters_the_menus_of_thunar_and_nautilus_and_leaves_what_others_put_there(p):
    p.deposit('Consultation')
    desk = Desk(p)
    uca = os.path.join(desk.environment['XDG_CONFIG_HOME'], 'Thunar', 'uca.xml')
    scripts = os.path.join(desk.environment['XDG_DATA_HOME'], 'nautilus', 'scripts')
    os.makedirs(os.path.dirname(uca))
    os.makedirs(scripts)
    other = '<?xml version="1.0"?><actions><action><name>Terminal</name><unique-id>1</unique-id><command>xterm</command></action></actions>'
    with open(uca, 'w') as f:
        f.write(other)
    for _ in range(2):
        same(desk('--install')[0], 0)
    actions = tree.parse(uca).getroot()
    same(actions[0].findtext('name'), 'Terminal')
    commands = [a.findtext('command') for a in actions[1:]]
    assert len(commands) == 6 and len(set(commands)) == len(commands), commands
    for c in commands:
        done = subprocess.run(c.replace('%F', "'" + p.folder + "'"), shell=True, env=dict(desk.environment, REFUSE='1'), stderr=subprocess.PIPE, text=True)
        same((done.returncode, done.stderr), (1, ''), c)       # each is an action it knows
    folder = os.path.join(scripts, 'Dossier partagé')
    same(len(os.listdir(folder)), len(commands))
    with Mount(p, 'patient') as m:
        code, said = desk(program=os.path.join(folder, 'Qui peut lire'), NAUTILUS_SCRIPT_SELECTED_FILE_PATHS=m(REPORTS, REPORT) + '\n')
        assert code == 0 and 'Ph Durand' in said, said
    same(desk('--remove')[0], 0)
    same([a.findtext('name') for a in tree.parse(uca).getroot()], ['Terminal'])
    same(os.listdir(scripts), [])


if __name__ == '__main__':
    door.main(globals())
