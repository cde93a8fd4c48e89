#!/usr/bin/python3
"""The mount behind a real smbd, by the piece of smb.conf that ships; and what programs leave outside of a mount.
  test_samba.py [build [name…]]     as test_mount.py, whose practice and mounts it uses
  DMP_LEAK_MINUTES=60               how long programs use the mount before their traces are searched (half a minute)"""
import contextlib, os, re, shutil, signal, socket, subprocess, time
import test_filemanagers as desk
import test_mount as door
from test_mount import FOLDER, REPORTS, ROOT, TWO_SECONDS, Mount, Skip, same, wait_until

USER, PASSWORD = 'nobody', 'mot-de-passe-du-partage'
CANARIES = ('DUPONT', 'Marie', 'Zostavax', 'Hérisson')
TITLE = 'Zostavax Hérisson'
NAME = '2026-03-12 %s – Dr Martin.pdf' % TITLE


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip('%s is not installed' % program)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Share:
    """smbd on the loopback with the shipped share over a mount, its state in a folder of its own."""
    def __init__(self, p, point):
        self.folder, self.port = os.path.join(p.folder, 'samba'), free_port()
        for d in ('', 'private', 'lock', 'state', 'cache', 'pid', 'rpc', 'log'):
            os.makedirs(os.path.join(self.folder, d), exist_ok=True)
        os.chmod(self.folder, 0o755)
        shipped = open(os.path.join(ROOT, 'fuse', 'smb.conf'), encoding='utf-8').read()
        places = {'private dir': 'private', 'lock directory': 'lock', 'state directory': 'state', 'cache directory': 'cache',
                  'pid directory': 'pid', 'ncalrpc dir': 'rpc'}
        own = ''.join('   %s = %s/%s\n' % (k, self.folder, v) for k, v in places.items())
        own += '   log file = %s/log/smbd.log\n   smb ports = %d\n   interfaces = lo\n   bind interfaces only = yes\n' % (self.folder, self.port)
        conf = shipped.replace('[global]\n', '[global]\n' + own, 1)
        for was, now in (('/srv/dossier/pharmacie', point), ('force user = dmp', 'force user = ' + USER), ('@pharmacie', USER)):
            assert was in conf, was
            conf = conf.replace(was, now)
        self.conf = os.path.join(self.folder, 'smb.conf')
        with open(self.conf, 'w', encoding='utf-8') as f:
            f.write(conf)

    def __enter__(self):
        said = subprocess.run(['smbpasswd', '-c', self.conf, '-a', '-s', USER], input='%s\n%s\n' % (PASSWORD, PASSWORD), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        same(said.returncode, 0, said.stdout)
        self.process = subprocess.Popen(['smbd', '-F', '--no-process-group', '-s', self.conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        assert wait_until(lambda: self.do('ls').returncode == 0, 15, 0.2), self.do('ls').stdout
        return self

    def __exit__(self, *_):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def do(self, commands, name=USER, password=PASSWORD):
        with open(os.path.join(self.folder, 'login'), 'w') as f:
            f.write('username = %s\npassword = %s\n' % (name, password))
        return subprocess.run(['smbclient', '-s', self.conf, '-A', f.name, '-p', str(self.port), '//127.0.0.1/pharmacie', '-c', commands],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=30, cwd=self.folder,
                              env=dict(os.environ, LC_ALL='C.UTF-8'))


@contextlib.contextmanager
def shared(p):
    if os.geteuid() != 0:
        raise Skip('only root can start smbd for another user')
    need('smbd', 'smbclient', 'smbpasswd', 'testparm')
    os.chmod(p.folder, 0o755)
    for folder, _, files in os.walk(p.folder):
        for path in [folder] + [os.path.join(folder, f) for f in files]:
            os.chown(path, 65534, 65534)
    with Mount(p, 'pharmacist', ',setuid=%s,allow_other' % USER) as m, Share(p, m.point) as share:
        yield m, share


# ---- Samba ----

def test_the_shipped_share_is_understood_by_samba(p):
    need('testparm')
    share = Share(p, p.point())
    said = subprocess.run(['testparm', '-s', share.conf], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    same(said.returncode, 0, said.stderr)
    for word in ('Unknown', 'Ignoring', 'ERROR', 'WARNING', 'Invalid'):
        assert word not in said.stderr, said.stderr
    assert 'server min protocol = SMB3' in said.stdout


def test_a_share_shows_what_the_mount_shows_read_only_and_to_its_users(p):
    content = os.urandom(300000)
    p.deposit(TITLE, content)
    hidden = p.deposit('Masque', masked=1)
    with shared(p) as (m, share):
        assert FOLDER in share.do('ls').stdout
        listing = share.do('cd "%s"; ls' % REPORTS).stdout
        assert NAME in listing and 'Masque' not in listing and hidden, listing
        got = os.path.join(share.folder, 'got')
        said = share.do('get "%s/%s" "%s"' % (REPORTS, NAME, got))
        same(said.returncode, 0, said.stdout)
        same(open(got, 'rb').read(), content)
        for command in ('put smb.conf new', 'del "%s/%s"' % (REPORTS, NAME), 'mkdir new', 'rename "%s" new' % FOLDER):
            said = share.do(command)
            assert 'ACCESS_DENIED' in said.stdout or 'MEDIA_WRITE_PROTECTED' in said.stdout, (command, said.stdout)
        said = share.do('ls', password='faux')
        assert said.returncode != 0 and 'LOGON_FAILURE' in said.stdout, said.stdout
        for name in ('desktop.ini', 'Thumbs.db', 'autorun.inf'):
            assert re.search('NAME_NOT_FOUND|NO_SUCH_FILE|ACCESS_DENIED', share.do('get ' + name).stdout), name


def test_a_mask_and_a_withdrawal_reach_a_share_within_two_seconds(p):
    i = p.deposit(TITLE, b'x' * 100000)
    p.deposit('Reste')
    with shared(p) as (m, share):
        names = lambda: share.do('cd "%s"; ls' % REPORTS).stdout
        assert NAME in names() and 'Reste' in names()
        p.mask(i)
        since = time.monotonic()
        assert wait_until(lambda: NAME not in names(), 10)
        assert time.monotonic() - since < TWO_SECONDS, time.monotonic() - since
        assert 'Reste' in names()
        answer = lambda name: share.do('get "%s/%s" got' % (REPORTS, name)).stdout.replace(name, '')
        absent = answer('2026-03-12 Never Was – Dr Martin.pdf')
        assert 'NT_STATUS_OBJECT_NAME_NOT_FOUND' in absent, absent
        assert wait_until(lambda: answer(NAME) == absent, TWO_SECONDS - (time.monotonic() - since)), answer(NAME)
        p['patient'].execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (p.patient, p.pharmacist))
        assert wait_until(lambda: FOLDER not in share.do('ls').stdout, TWO_SECONDS)


def test_a_listing_by_samba_costs_few_requests_and_no_attribute_is_asked_for(p):
    for i in range(100):
        p.deposit('Document %03d' % i)
    with shared(p) as (m, share):
        def requests():
            said = subprocess.check_output(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', os.path.join(door.BUILD, 'dmpfs'), '--status',
                                            '--prometheus', m.point], text=True)
            return {k: int(v) for k, v in re.findall(r'requests_total\{.*kind="(\w+)"\} (\d+)', said)}
        before = requests()
        same(share.do('cd "%s"; ls' % REPORTS).stdout.count('.pdf'), 100)
        spent = {k: v - before[k] for k, v in requests().items()}
        print('      a listing of 100 documents: ' + ', '.join('%s %d' % kv for kv in spent.items() if kv[1]))
        assert spent['open'] == spent['read'] == 0, spent
        assert spent['other'] < 20, 'attributes, locks: %s' % spent
        assert sum(spent.values()) < 250, spent


# ---- what programs leave elsewhere ----

def traces(folders):
    """Where a name of the mount is found: in the names and bytes of all files of these folders."""
    found = []
    for top in folders:
        for folder, _, files in os.walk(top):
            for f in files:
                path = os.path.join(folder, f)
                try:
                    text = f.encode() + b'\0' + open(path, 'rb').read(1 << 24)
                except OSError:
                    continue
                plain = text.decode('utf-8', 'replace')
                if any(c in plain or c.encode('utf-16-le') in text or ''.join('%%%02X' % b if b > 127 else chr(b) for b in c.encode()) in plain
                       for c in CANARIES):
                    found.append(os.path.relpath(path, top))
    return sorted(found)


def test_programs_without_a_screen_and_samba_leave_no_name_outside_the_mount(p):
    p.deposit(TITLE, b'%PDF-1.4 ' + b'x' * 5000)
    minutes = float(os.environ.get('DMP_LEAK_MINUTES', '0.5'))
    home, tmp = os.path.join(p.folder, 'home'), os.path.join(p.folder, 'home-tmp')
    with shared(p) as (m, share):
        for d in (home, tmp):
            os.makedirs(d)
            os.chown(d, 65534, 65534)
        path = m(REPORTS, NAME)
        env = {'HOME': home, 'TMPDIR': tmp, 'PATH': os.environ['PATH'], 'LC_ALL': 'C.UTF-8', 'XDG_RUNTIME_DIR': tmp}
        def use(*command):
            return subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', *command], env=env, cwd=home, timeout=60, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        end, turns = time.monotonic() + minutes * 60, 0
        while turns == 0 or time.monotonic() < end:
            same(use('cat', path), 0)
            for command in (('file', path), ('cp', path, '/dev/null'), ('ls', '-lR', m.point), ('find', m.point), ('gio', 'info', path), ('gio', 'cat', path),
                            ('gio', 'list', m(REPORTS)), ('grep', '-r', 'PDF', m.point), ('sha256sum', path), ('pdftotext', path, '-'),
                            ('/usr/bin/python3', '-c', 'import mmap,sys;mmap.mmap(open(sys.argv[1],"rb").fileno(),0,prot=1)[:]', path)):
                if shutil.which(command[0]):
                    use(*command)
            for commands in ('recurse; ls', 'get "%s/%s" /dev/null' % (REPORTS, NAME)):
                same(share.do(commands).returncode, 0, commands)
            turns += 1
            time.sleep(min(5, minutes) if minutes > 1 else 0)          # an hour of use, not of load
        same(traces([home, tmp]), [], 'programs')
        same(traces([share.folder + '/' + d for d in ('log', 'state', 'cache', 'private', 'pid')]), [], 'Samba')
        same(traces([p.path + '-log']), [], 'the access log')
        print('      %d turns in %.1f minutes' % (turns, minutes))
        with open(home + '/canary', 'w', encoding='utf-8') as f:           # the search sees what it looks for
            f.write('file://' + path)
        same(traces([home]), ['canary'])


# What README names: GTK's list of recent documents, GNOME's metadata, its note of a thumbnail that was refused.
LEFT = ('data/recently-used.xbel', 'data/gvfs-metadata/', 'cache/thumbnails/fail/')


def test_desktop_programs_leave_names_where_readme_says_and_none_with_a_layout_without_names(p):
    desk.needs('Xvfb', 'thunar', 'nautilus', 'evince', 'dbus-run-session')
    p.deposit(TITLE, desk.PDF)
    for layout in ('', ',layout=%s/schema/layouts/sans-noms.sql' % ROOT):
        with Mount(p, 'doctor', layout) as m:
            path = next(os.path.join(folder, f) for folder, _, files in os.walk(m.point) for f in files if f.endswith('.pdf'))
            screen = desk.Screen(p)
            try:
                for program, what in (('thunar', os.path.dirname(path)), ('nautilus', os.path.dirname(path)), ('evince', path)):
                    screen.show(program, what)
            finally:
                screen.close()
            found = traces([screen.home])
            if layout:
                same(found, [])
            else:
                assert 'data/recently-used.xbel' in found, found
                same([f for f in found if not f.startswith(LEFT)], [])
            shutil.rmtree(screen.home)


if __name__ == '__main__':
    door.main(globals())
