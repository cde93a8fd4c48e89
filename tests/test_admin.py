#!/usr/bin/python3
"""The mount as an administrator keeps it: what the driver gives up, fstab, users, views side by side, status, time-out, unlocking.
  test_admin.py [build [name…]]     as test_mount.py, whose practice and mounts it uses"""
import ctypes, os, re, resource, signal, subprocess, time
import test_mount as door
from test_mount import FOLDER, PIN, REPORTS, Mount, Skip, error_of, run_dmpfs, same, wait_until

LETTER = '2026-03-12 Lettre – Dr Martin.pdf'


def status_of(pid):
    """/proc/PID/status of every thread."""
    for task in os.listdir('/proc/%d/task' % pid):
        yield dict(l.split(':', 1) for l in open('/proc/%d/task/%s/status' % (pid, task)).read().splitlines())


def dmpfs(*arguments, **how):
    how = dict(dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=120), **how)
    return subprocess.run([os.path.join(door.BUILD, 'dmpfs')] + list(arguments), **how)


def need_root():
    if os.geteuid() != 0:
        raise Skip('only root can do this')


# ---- what the driver gives up ----

def test_a_mounted_driver_has_no_capability_no_new_privilege_and_few_system_calls(p):
    p.deposit('Lettre')
    with Mount(p, 'doctor') as m:
        m.read(REPORTS, LETTER)
        threads = list(status_of(m.process.pid))
        same(len(threads), 2)
        for thread in threads:
            for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
                if name != 'CapBnd' or os.geteuid() == 0:
                    same(int(thread[name], 16), 0, name)
            same((thread['NoNewPrivs'].strip(), thread['Seccomp'].strip()), ('1', '2'))
        limits = open('/proc/%d/limits' % m.process.pid).read()
        assert re.search(r'Max core file size +0 +0', limits) and re.search(r'Max open files +256 +256', limits), limits
        same(os.stat('/proc/%d/mem' % m.process.pid).st_uid, 0, 'undumpable: its memory is root\'s')


# Each is called inside the driver by a debugger, which root may attach: the filter judges it as the driver's own.
# number on x86-64, arguments, what must come of it: of the first ones the end of the driver.
FORBIDDEN = [('execve', 59, '"/bin/true",0,0'), ('ptrace', 101, '0,0,0,0'), ('fork', 57, ''), ('socket of the network', 41, '2,1,0'),
             ('bind', 49, '0,0,0'), ('mount', 165, '0,0,0,0,0'), ('umount2', 166, '"/",2'), ('keyctl', 250, '0,0,0,0,0'),
             ('memory that is code', 9, '0,4096,7,34,-1,0'), ('process_vm_readv', 310, '1,0,0,0,0,0'), ('io_uring_setup', 425, '1,0'),
             ('setuid', 105, '0')]
REFUSED = [('kill of another process', 62, '1,0', -1), ('link', 86, '"/etc/passwd","/tmp/x"', -1), ('chmod', 90, '"/etc/passwd",0', -1),
           ('reading a file elsewhere', 2, '"/etc/shadow",0,0', -1), ('writing a file elsewhere', 2, '"/tmp/dmpfs-was-here",65,384', -1)]
ALLOWED = [('reading /proc', 2, '"/proc/self/stat",0,0', 3), ('a file in the record\'s folder', 2, '"%s/by-the-driver",65,384', 3)]


def without_core():
    """Of a debugger whose process ends under it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def inside(pid, number, arguments):
    """What a system call gives when the process itself makes it; what the debugger said, where it gave nothing."""
    call = '((long(*)(long,...))syscall)(%d%s%s)' % (number, ',' if arguments else '', arguments)
    r = subprocess.run(['gdb', '-nx', '-batch', '-p', str(pid), '-ex', 'set unwindonsignal off', '-ex', 'printf "=%%ld\\n", %s' % call],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=60, preexec_fn=without_core)
    value = re.search(r'^=(-?\d+)$', r.stdout, re.M)
    return int(value.group(1)) if value else r.stdout


def test_an_intruder_in_the_driver_starts_nothing_and_reaches_nothing_else(p):
    need_root()
    if os.uname().machine != 'x86_64' or 'san' in os.path.basename(door.BUILD):
        raise Skip('the numbers are those of x86-64, without sanitizers')
    for what, number, arguments in FORBIDDEN:
        m = Mount(p, 'doctor')
        inside(m.process.pid, number, arguments)
        same(m.process.wait(timeout=10), -signal.SIGSYS, what)
        assert wait_until(lambda: not os.path.ismount(m.point), 5), what
    with Mount(p, 'doctor') as m:
        landlock = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
        for what, number, arguments, expected in REFUSED:
            if number != 2 or landlock:
                same(inside(m.process.pid, number, arguments), expected, what)
        for what, number, arguments, least in ALLOWED:
            got = inside(m.process.pid, number, arguments % p.folder if '%' in arguments else arguments)
            assert isinstance(got, int) and got >= least, (what, got)
    assert not os.path.exists('/tmp/dmpfs-was-here') and os.path.exists(p.folder + '/by-the-driver')


def test_another_process_of_the_same_user_cannot_look_into_the_driver(p):
    if 'san' in os.path.basename(door.BUILD):
        raise Skip('a debugger reads the symbols of a build with sanitizers for minutes')
    need_root()
    give(p, 65534)
    with Mount(p, 'doctor', ',setuid=nobody') as m:
        pid = m.process.pid
        same(next(status_of(pid))['Uid'].split()[0], '65534')
        for path in ('mem', 'environ', 'maps', 'fd/0'):
            got = as_nobody(['/usr/bin/python3', '-c', 'open("/proc/%d/%s", "rb").read(1)' % (pid, path)])
            assert 'PermissionError' in got.stderr, (path, got.stderr)
        got = as_nobody(['gdb', '-nx', '-batch', '-p', str(pid)])
        assert 'Operation not permitted' in got.stderr + got.stdout, got.stdout


# ---- users ----

def give(p, uid):
    """The practice's files to another user."""
    for folder, _, files in os.walk(p.folder):
        for path in [folder] + [os.path.join(folder, f) for f in files]:
            os.chown(path, uid, uid)


def as_nobody(command, **how):
    def become():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    how = dict(dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=120), **how)
    return subprocess.run(command, preexec_fn=become, **how)


def test_root_becomes_the_user_who_owns_the_record_and_leaves_no_file_of_roots(p):
    need_root()
    p.deposit('Lettre')
    give(p, 65534)
    with Mount(p, 'doctor', ',setuid=nobody') as m:
        same(error_of(os.listdir, m.point), 'EACCES', 'root is another user')
        got = as_nobody(['cat', m(REPORTS, LETTER)])
        same((got.stdout, got.stderr), ('%PDF-1.4 test', ''))
        s = as_nobody(['stat', '-c', '%u %g %a', m(REPORTS, LETTER)]).stdout
        same(s, '65534 65534 400\n')
        same([f for f in os.listdir(p.folder) if os.path.join(p.folder, f) != m.point and os.lstat(os.path.join(p.folder, f)).st_uid != 65534], [])
        same({os.stat(os.path.join(p.path + '-log', f)).st_uid for f in os.listdir(p.path + '-log')}, {65534})


def test_root_is_told_to_name_the_owner_when_its_own_rights_would_be_missed(p):
    need_root()
    give(p, 65534)
    os.chmod(p.path, 0o600)
    code, said = run_dmpfs(p.path, p.point(), '-o', 'key=%s,pinfd=PINFD' % p.key('doctor'))
    same(code, 3, said)
    assert 'setuid=USER' in said and p.path in said, said
    same([l for l in open('/proc/mounts') if p.folder in l], [])


def test_setuid_is_for_root_and_for_users_that_exist(p):
    code, said = run_dmpfs(p.path, p.point(), '-o', 'key=%s,setuid=no-such-user' % p.key('doctor'))
    same(code, 2, said)
    assert 'no user no-such-user' in said, said
    if os.geteuid() == 0:
        got = as_nobody([os.path.join(door.BUILD, 'dmpfs'), p.path, p.point(), '-o', 'key=x,setuid=root'])
        same(got.returncode, 2, got.stderr)


def test_others_enter_only_where_owner_and_mode_let_them(p):
    need_root()
    p.deposit('Lettre')
    os.chmod(p.folder, 0o755)
    with Mount(p, 'doctor', ',allow_other,uid=12,gid=65534,umask=027') as m, Mount(p, 'doctor', ',allow_other') as closed:
        line = next(l for l in open('/proc/mounts', encoding='utf-8') if l.split()[1] == m.point)
        assert 'default_permissions' in line and 'allow_other' in line
        same(as_nobody(['cat', m(REPORTS, LETTER)]).stdout, '%PDF-1.4 test')
        assert 'Permission denied' in as_nobody(['ls', closed.point]).stderr
    with Mount(p, 'doctor', ',uid=65534,gid=65534') as m:
        assert 'Permission denied' in as_nobody(['ls', m.point]).stderr, 'without allow_other not even the owner named'


# ---- status, language, time-out ----

def test_the_status_counts_what_was_asked_and_names_nobody(p):
    p.deposit('Lettre', b'x' * 100000)
    with Mount(p, 'doctor') as m:
        m.list(REPORTS)
        fd = os.open(m(REPORTS, LETTER), os.O_RDONLY)
        os.pread(fd, 100000, 0)
        said = dmpfs('--status', m.point, env={'LANG': 'C'})
        same((said.returncode, said.stderr), (0, ''))
        assert 'record: answers' in said.stdout and 'documents open: 1,' in said.stdout, said.stdout
        assert int(re.search(r'bytes given: (\d+)', said.stdout).group(1)) >= 100000
        for word in ('DUPONT', 'Marie', 'Lettre', 'Martin', str(p.patient)):
            assert word not in said.stdout, word
        assert 'dossier partagé: répond' in dmpfs('--status', m.point, env={'LANG': 'fr_FR.UTF-8'}).stdout
        values = dict(re.findall(r'^(dmpfs_\w+\{[^}]*\}) (\d+)$', dmpfs('--status', '--prometheus', m.point).stdout, re.M))
        of = lambda name, label='': int(values['dmpfs_%s{mount="%s"%s}' % (name, m.point, label)])
        same((of('up'), of('open_documents')), (1, 1))
        assert of('requests_total', ',kind="open"') >= 1 and of('requests_total', ',kind="read"') >= 1
        before = of('requests_total', ',kind="lookup"')
        error_of(os.stat, m(FOLDER, 'Nothing of that name'))
        values = dict(re.findall(r'^(dmpfs_\w+\{[^}]*\}) (\d+)$', dmpfs('--status', '--prometheus', m.point).stdout, re.M))
        assert of('requests_total', ',kind="lookup"') > before
        os.close(fd)


def test_every_line_for_prometheus_has_its_form(p):
    with Mount(p, 'doctor') as m:
        lines = dmpfs('--status', '--prometheus', m.point).stdout.splitlines()
        assert len(lines) > 30
        declared = set()
        for line in lines:
            kind = re.fullmatch(r'# TYPE (dmpfs_[a-z_]+) (counter|gauge)', line)
            if kind:
                declared.add(kind.group(1))
            elif not line.startswith('# HELP '):
                value = re.fullmatch(r'(dmpfs_[a-z_]+)\{mount="[^"]+"(,[a-z]+="[a-z]+")?\} [0-9]+', line)
                assert value and value.group(1) in declared, line
        same({n for n in declared if n.endswith('_total')}, {n for n in declared if '# TYPE %s counter' % n in lines})


def test_the_status_is_for_whose_mount_it_is_and_only_of_a_mount(p):
    need_root()
    os.chmod(p.folder, 0o755)
    with Mount(p, 'doctor', ',allow_other,umask=022') as m:
        command = [os.path.join(door.BUILD, 'dmpfs'), '--status', m.point]
        if as_nobody(['test', '-x', command[0]]).returncode:
            raise Skip('nobody may not enter the build folder')
        got = as_nobody(command)
        same(got.returncode, 7, got.stderr)
        assert 'another user' in got.stderr
        for path, part in ((p.folder, 'not a mount of dmpfs'), (p.folder + '/none', 'No such file'), (p.path, 'Not a directory')):
            got = dmpfs('--status', path)
            same(got.returncode, 7)
            assert part in got.stderr, got.stderr
    same(dmpfs('--status').returncode, 2)
    same(dmpfs('--status', 'a', 'b').returncode, 2)


def test_a_mount_that_nobody_uses_ends_after_its_time_and_one_in_use_does_not(p):
    p.deposit('Lettre')
    with Mount(p, 'doctor', ',idle=2') as busy:
        idle = Mount(p, 'doctor', ',idle=2')
        fd = os.open(busy(REPORTS, LETTER), os.O_RDONLY)       # an open document is use
        for _ in range(3):
            dmpfs('--status', idle.point)                      # a look by the administrator is not
            time.sleep(0.5)
        same(idle.process.wait(timeout=5), 0)
        assert not os.path.ismount(idle.point)
        time.sleep(1)
        assert os.path.ismount(busy.point)
        os.close(fd)
        same(busy.process.wait(timeout=6), 0)
        assert not os.path.ismount(busy.point)


def test_start_up_errors_are_said_in_the_language_asked(p):
    point = p.point()
    for options, env, part in [(',lang=fr', 'C', 'le code est faux'), ('', 'fr_FR.UTF-8', 'le code est faux'), (',lang=en', 'fr_FR.UTF-8', 'wrong PIN')]:
        code, said = run_dmpfs(p.path, point, '-o', 'key=%s,pinfd=PINFD%s' % (p.key('doctor'), options), pin='faux-code', env={'LANG': env})
        same(code, 6)
        assert part in said and 'dmp-E011' in said, said
    code, said = run_dmpfs(p.path, point + '/none', '-o', 'lang=fr,key=%s,pinfd=PINFD' % p.key('doctor'))
    same(code, 7)
    assert 'le point de montage' in said, said
    same(run_dmpfs(p.path, point, '-o', 'lang=de,key=x')[0], 2)


# ---- fstab ----

def mount_helper(p):
    """mount.dmpfs as it is installed: a link to dmpfs."""
    path = os.path.join(p.folder, 'mount.dmpfs')
    if not os.path.lexists(path):
        os.symlink(os.path.join(door.BUILD, 'dmpfs'), path)
    return path


def test_the_helper_takes_what_mount_and_fstab_give_it(p):
    helper = mount_helper(p)
    credential(p, PIN)
    env = dict(os.environ, CREDENTIALS_DIRECTORY=p.folder + '/credentials')
    options = 'rw,noauto,user=marie,nofail,_netdev,noatime,x-systemd.automount,comment=dossier,key=%s,pincred=pin' % p.key('doctor')
    for more in ([], ['-s', '-n', '-v'], ['-sw'], ['-t', 'dmpfs.x'], ['-N', '/proc/1/ns/mnt']):
        point = p.point()
        got = subprocess.run([helper, p.path, point, *more, '-o', options], env=env, stderr=subprocess.PIPE, text=True, timeout=30)
        same((got.returncode, os.path.ismount(point)), (0, True), (more, got.stderr))
        same(os.listdir(point), [FOLDER] if p.patient else [])
        subprocess.check_call(['umount', point])
    point = p.point()
    same(subprocess.run([helper, p.path, point, '-f', '-o', options], env=env).returncode, 0)
    assert not os.path.ismount(point), 'mount -f only looks'
    same(subprocess.run([helper, p.path, point, '-f', '-o', options + ',nonsense'], env=env, stderr=subprocess.DEVNULL).returncode, 2)


# ---- large documents ----

def test_a_document_of_300_mb_is_deposited_from_a_file_and_read_anywhere_in_bounded_memory(p):
    p.deposit('Petit')
    size, marks = 300000000, {0: b'beginning', 123456789: b'middle', 299999996: b'end.'}
    source = os.path.join(p.folder, 'Grand.bin')
    with open(source, 'wb') as f:
        f.truncate(size)
        for at, text in marks.items():
            f.seek(at)
            f.write(text)
    child = subprocess.Popen([os.path.join(door.ROOT, 'scripts', 'dmp'), '--record', p.path, '--key', p.key('doctor'), 'deposit', source, '-t', 'Grand', '-c', '11488-4',
                              '-p', str(p.patient)], env=dict(os.environ, DMP_ASKPASS='echo ' + PIN), stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    same(status, 0)
    assert used.ru_maxrss * 1024 < 3 * size, used.ru_maxrss             # the file as the system keeps it, and SQLite's copy
    with Mount(p, 'doctor') as m:
        path = next(m(REPORTS, n) for n in m.list(REPORTS) if 'Grand' in n)
        same(os.stat(path).st_size, size)
        with open(path, 'rb', buffering=0) as f:
            for at, text in marks.items():
                same(os.pread(f.fileno(), len(text), at), text)
            for at in (size, 1 << 31, 1 << 32, (1 << 63) - 4096):
                same(os.pread(f.fileno(), 100, at), b'', at)
        most = int(re.search(r'VmHWM:\s+(\d+)', open('/proc/%d/status' % m.process.pid).read()).group(1))
        assert most < 64 << 10 or 'san' in os.path.basename(door.BUILD), most


# ---- views side by side ----

def team(p, name, role, member):
    """A team of this role, of one person, and the patient's consent to it."""
    i = p['authority'].execute("INSERT INTO principal(kind, name, profession, facility) VALUES ('team', ?, ?, 'Hôpital')", (name, role)).lastrowid
    p['authority'].execute('INSERT INTO membership(team, member, manager) VALUES (?, ?, 1)', (i, member))
    for c in p.sessions.values():                          # the member's next login makes the team's secret
        c.execute('SELECT dmp_logout()')
    for who in p.sessions:
        p.sessions[who] = p.login(who)
    p['patient'].execute('INSERT INTO consent(patient, grantee) VALUES (?, ?)', (p.patient, i))


def test_views_of_a_secretary_a_pharmacy_nurses_and_the_emergency_department_lie_side_by_side(p):
    """A secretary has no profession of the matrix: she sees what she deposits. The others see what their team's role may."""
    people = {'secretary': (p.enrol('secretary', '10100000033', 'Mme Petit', '26', 0)), 'nurse': p.enrol('nurse', '10100000041', 'M. Roux', '60', 0),
              'urgentist': p.enrol('urgentist', '10100000058', 'Dr Noir', '10', 0)}
    p['patient'].execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (p.patient, p.pharmacist))
    team(p, 'Pharmacie', '21', p.pharmacist)
    team(p, 'Soins', '60', people['nurse'])
    team(p, 'Urgences', '10', people['urgentist'])
    p['patient'].execute('INSERT INTO consent(patient, grantee) VALUES (?, ?)', (p.patient, people['secretary']))
    for title, type_code in (('Commun', '11488-4'), ('Medical', '75496-0'), ('Clinique', '34842-5')):
        p.deposit(title, type_code=type_code, author=None)
    p.deposit('Masque', masked=1, author=None)
    p.deposit('Courrier', who='secretary', type_code='11488-4', author=None)
    expected = {'secretary': {'Courrier'}, 'pharmacist': {'Commun', 'Courrier'}, 'nurse': {'Commun', 'Courrier', 'Clinique'},
                'urgentist': {'Commun', 'Courrier', 'Clinique', 'Medical'}}
    mounts = {who: Mount(p, who, ',allow_other,uid=%d,gid=%d,umask=027' % (2000 + i, 3000 + i)) for i, who in enumerate(expected)}
    for who, titles in expected.items():
        m = mounts[who]
        seen = {re.sub(r'^[\d-]+ |\.pdf$', '', f) for _, _, files in os.walk(m.point) for f in files if f.endswith('.pdf')}
        same(seen, titles, who)
    same(len({os.stat(m.point).st_uid for m in mounts.values()}), 4)
    for m in mounts.values():
        with m:
            pass


# ---- unlocking without a PIN in fstab ----

def credential(p, pin, name='pin'):
    os.makedirs(p.folder + '/credentials', exist_ok=True)
    with open(os.path.join(p.folder, 'credentials', name), 'w') as f:
        f.write(pin)
    os.chmod(os.path.join(p.folder, 'credentials', name), 0o400)


def test_a_systemd_credential_unlocks_and_what_is_wrong_with_it_is_said(p):
    point, env = p.point(), {'CREDENTIALS_DIRECTORY': p.folder + '/credentials', 'PATH': os.environ['PATH']}
    options = 'key=%s,pincred=pin' % p.key('doctor')
    for pin, code, part in ((None, 6, 'No such file'), ('', 6, 'no PIN'), ('faux-code', 6, 'wrong PIN'), (PIN, 0, ''), (PIN + '\n', 0, '')):
        if pin is not None:
            if os.path.exists(p.folder + '/credentials/pin'):
                os.unlink(p.folder + '/credentials/pin')
            credential(p, pin)
        got = dmpfs(p.path, point, '-o', options, env=env)
        same(got.returncode, code, got.stderr)
        assert part in got.stderr, got.stderr
        if code == 0:
            subprocess.check_call(['umount', point])
    assert 'LoadCredential' in dmpfs(p.path, point, '-o', options, env={'PATH': '/bin'}).stderr
    same(dmpfs(p.path, point, '-o', 'key=x,pincred=../pin', env=env).returncode, 2)
    same(dmpfs(p.path, point, '-o', 'key=x,pincred=pin,pinfd=3', env=env).returncode, 2)


if __name__ == '__main__':
    door.main(globals())
