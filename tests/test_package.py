#!/usr/bin/python3
"""What is installed: manual pages, the unit of systemd, and the Debian package in a fresh tree: installed, used, removed.
  test_package.py [build [name…]]
  DMP_TREE=FOLDER      keep what debootstrap makes there, and copy it the next time (it takes a minute and the network)
Without sanitizers: programs of the system, which hang or fail with their libraries, and files that ship without them."""
import contextlib, os, re, shutil, subprocess, sys, tempfile
import test_mount as door
from test_mount import PIN, ROOT, Skip, same

RELEASE, MIRROR = 'bookworm', 'http://deb.debian.org/debian'
BASE = 'fuse3,python3-minimal,libpython3-stdlib,passwd,mount,ca-certificates'


def run(*command, **how):
    how = dict(dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=600, cwd=ROOT), **how)
    r = subprocess.run(command, **how)
    return r.returncode, r.stdout


def good(*command, **how):
    code, said = run(*command, **how)
    same(code, 0, '%s: %s' % (command, said))
    return said


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip('%s is not installed' % program)


def installed(p):
    to = os.path.join(p.folder, 'installed')
    good('make', '-s', 'B=' + door.MADE, 'install', 'DESTDIR=' + to, 'PREFIX=/usr', *(['SAN=1'] if 'san' in os.path.basename(door.BUILD) else []))
    return to


# ---- pages ----

def test_the_manual_pages_are_without_fault_and_say_what_the_programs_take(p):
    need('mandoc', 'man')
    folder = os.path.join(installed(p), 'usr', 'share', 'man')
    pages = {name: os.path.join(folder, 'man' + name[-1], name) for name in ('dmp.1', 'dmp.7', 'dmpfs.1', 'mount.dmpfs.8')}
    for name, path in pages.items():
        code, said = run('mandoc', '-T', 'lint', '-W', 'warning', path)
        same((code, said), (0, ''), name)
        said = good('man', '--warnings', '-E', 'UTF-8', '-l', path, stderr=subprocess.PIPE, env=dict(os.environ, LC_ALL='C.UTF-8', MANWIDTH='100'))
        assert len(said) > 2000, name
        same(subprocess.run(['man', '--warnings', '-E', 'UTF-8', '-l', path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr, '', name)
    text = {name: open(path, encoding='utf-8').read().replace('\\-', '-') for name, path in pages.items()}
    usage = good(os.path.join(door.BUILD, 'dmpfs'), '-h')
    for option in re.findall(r'^  (\w+)=?', usage.split('exit codes')[0], re.M):
        if option not in ('without',):
            assert option in text['dmpfs.1'], option
    for code in re.findall(r'\b(\d+) [a-z]', usage.split('exit codes:')[1]):
        assert '\n%s\n' % code in text['dmpfs.1'], code
    for verb in re.findall(r'^    ([a-z-]+) ', good('scripts/dmp', '--help'), re.M):
        assert '.SS %s\n' % verb in text['dmp.1'], verb
    for line in open(os.path.join(ROOT, 'README.md'), encoding='utf-8').read().split('## SQL reference')[1].split('\n## ')[0].splitlines():
        for name in re.findall(r'^\| `(\w+)[`(]', line):
            assert name in text['dmp.7'], name
    assert 'dmp-E011' in text['dmp.7']


# ---- the unit ----

def test_the_unit_is_understood_by_systemd_and_leaves_the_service_little(p):
    need('systemd-analyze')
    to = installed(p)
    path = os.path.join(to, 'usr', 'lib', 'systemd', 'system', 'dmpfs@.service')
    text = open(path).read()
    assert 'ExecStart=/usr/lib/dmp/dmpfs ' in text and '@PREFIX@' not in text
    instance = os.path.join(p.folder, 'dmpfs@pharmacie.service')       # as it would run, from where it was installed
    with open(instance, 'w') as f:
        f.write(text.replace('=/usr/lib/dmp/', '=%s/usr/lib/dmp/' % to))
    code, said = run('systemd-analyze', 'verify', '--man=no', instance)
    same((code, said), (0, ''))
    said = good('systemd-analyze', 'security', '--offline=yes', '--no-pager', instance)
    level = float(re.search(r'exposure level for \S+: ([\d.]+)', said).group(1))
    assert level < 4, said
    made = os.path.join(p.folder, 'made')                               # the mount point, under the unit's UMask=: its user looks into it
    before = re.search(r'^ExecStartPre=\+(.*)$', text, re.M).group(1).replace('/srv/dossier/%i', made)
    good('sh', '-c', 'umask %s && %s' % (re.search(r'^UMask=(\d+)$', text, re.M).group(1), before))
    same(os.stat(made).st_mode & 0o777, 0o755)
    # each of these would give the unit file systems of its own, and nobody else would see the mount
    for word in ('ProtectSystem', 'ProtectHome', 'PrivateTmp', 'PrivateDevices', 'PrivateMounts', 'ProtectKernelTunables', 'ReadWritePaths', 'DynamicUser'):
        assert not re.search(r'^%s=' % word, text, re.M), word


def test_a_service_of_the_units_user_with_nothing_but_mounting_mounts_and_unmounts(p):
    """What the unit gives: User=, AmbientCapabilities=CAP_SYS_ADMIN, NoNewPrivileges, credentials of that user, no terminal."""
    need('setpriv')
    if os.geteuid() != 0:
        raise Skip('only root can become another user')
    p.deposit('Lettre')
    credentials = os.path.join(p.folder, 'credentials')
    os.mkdir(credentials)
    shutil.copy(p.key('doctor'), os.path.join(credentials, 'key'))
    with open(os.path.join(credentials, 'pin'), 'w') as f:
        f.write(PIN)
    point = p.point()
    for folder, _, files in os.walk(p.folder):
        for path in [folder] + [os.path.join(folder, f) for f in files]:
            if path != point:
                os.chown(path, 65534, 65534)
    for f in os.listdir(credentials):
        os.chmod(os.path.join(credentials, f), 0o400)
    process = subprocess.Popen(
        ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all,+sys_admin', '--ambient-caps=+sys_admin', '--bounding-set=-all,+sys_admin',
         '--no-new-privs', os.path.join(door.BUILD, 'dmpfs'), p.path, point, '-f', '-o', 'key=%s/key,pincred=pin,allow_other,gid=65534,umask=027' % credentials],
        env={'CREDENTIALS_DIRECTORY': credentials}, stdin=subprocess.DEVNULL, start_new_session=True)
    assert door.wait_until(lambda: door.is_mounted(point) or process.poll() is not None, 10)
    same(process.poll(), None)
    status = dict(l.split(':', 1) for l in open('/proc/%d/status' % process.pid).read().splitlines())
    same((int(status['CapEff'], 16), status['Uid'].split()[0], status['Seccomp'].strip()), (0, '65534', '2'))
    code, said = run('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'ls', point)
    same((code, said), (0, door.FOLDER + '\n'))
    process.terminate()
    same(process.wait(timeout=10), 0)
    assert not door.is_mounted(point)


def test_a_reboot_at_night_mounts_from_a_credential_sealed_for_the_machine_and_without_one_stays_closed(p):
    """The power goes while the mount is used; then nobody is there, no terminal, no keyring, an empty environment."""
    need('systemd-creds')
    p.deposit('Lettre')
    sealed, credentials, point = (os.path.join(p.folder, n) for n in ('pin.cred', 'credentials', 'night'))
    os.mkdir(credentials)
    os.mkdir(point)
    code, said = run('systemd-creds', 'encrypt', '--name=pin', '--with-key=host', '-', sealed, stdin=None, input=PIN)
    if code != 0:
        raise Skip('systemd-creds has no key of this machine: ' + said.strip())
    assert PIN.encode() not in open(sealed, 'rb').read()
    m = door.Mount(p, 'doctor')
    m.list(door.REPORTS)
    for pid in (door.keeper_of(m.process.pid), m.process.pid):
        os.kill(pid, 9)
    m.process.wait()
    subprocess.check_call(['umount', '-l', m.point])
    good('systemd-creds', 'decrypt', '--name=pin', sealed, credentials + '/pin')
    def boot(env, options):
        return subprocess.run([os.path.join(door.BUILD, 'dmpfs'), p.path, point, '-o', 'key=%s%s' % (p.key('doctor'), options)], env=env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True, timeout=30)
    got = boot({}, '')
    same((got.returncode, os.path.ismount(point)), (6, False), got.stderr)
    got = boot({'CREDENTIALS_DIRECTORY': credentials}, ',pincred=pin')
    same((got.returncode, got.stderr), (0, ''))
    same(os.listdir(os.path.join(point, door.REPORTS)), ['2026-03-12 Lettre – Dr Martin.pdf'])
    subprocess.check_call(['umount', point])


# ---- the package ----

@contextlib.contextmanager
def fresh_tree(p):
    """A Debian of its own, without anything of this machine."""
    if os.geteuid() != 0:
        raise Skip('only root can make a tree and enter it')
    need('debootstrap', 'dpkg-deb', 'dpkg-shlibdeps', 'unshare')
    tree = os.path.join(p.folder, 'tree')
    base = os.environ.get('DMP_TREE') or tree
    if not os.path.exists(os.path.join(base, 'etc', 'debian_version')):
        code, said = run('debootstrap', '--variant=minbase', '--include=' + BASE, RELEASE, base, MIRROR)
        if code != 0:
            raise Skip('debootstrap made no tree (no network?): ' + said.strip().splitlines()[-1])
    if base != tree:
        good('cp', '-a', '--reflink=auto', base, tree)
    try:
        yield tree
    finally:
        subprocess.run(['umount', '-l', tree + '/proc'], stderr=subprocess.DEVNULL)        # where inside() could not keep it to itself
        shutil.rmtree(tree, ignore_errors=True)


def inside(tree, script, **how):
    """A script in the tree, with its own /proc and /dev/fuse, in a namespace that ends with it."""
    enter = ('mount --make-rprivate / 2>/dev/null; mount -t proc proc "$1/proc" && { [ -e "$1/dev/fuse" ] || mknod -m 666 "$1/dev/fuse" c 10 229; } && '
             'exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -euc "$2"')
    # the root of a tree that was itself entered by chroot is no mount point: its mounts can't be made private
    return run('unshare', '--mount', '--propagation', 'unchanged', '--pid', '--fork', '--kill-child', 'sh', '-c', enter, 'sh', tree, script, **how)


USE = r'''
useradd -m doctor
cat > /tmp/practice.py <<'END'
import sqlite3, sys
def connect():
    db = sqlite3.connect('/home/doctor/record.db', isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension('/usr/lib/dmp/dmp')
    db.execute('PRAGMA temp_store=MEMORY')
    return db
a = connect()
f, = a.execute("SELECT dmp_create('/home/doctor/a.dmpkey', 'un code long', NULL, 'kdf=1x8')").fetchone()
a.execute("SELECT dmp_login('/home/doctor/a.dmpkey', 'un code long')")
d = connect()
r, = d.execute("SELECT dmp_keygen('/home/doctor/d.dmpkey', 'un code long', 'kdf=1x8')").fetchone()
a.execute("INSERT INTO principal(kind,identifier,name,profession,registrar,certificate) VALUES('professional','1','Dr Martin','10',1,?)", (r,))
d.execute("SELECT dmp_login('/home/doctor/d.dmpkey', 'un code long', NULL, NULL, ?)", (f,))
i = d.execute("INSERT INTO patient(birth_name,given_names,birth_date,sex,credential,pin) VALUES('DUPONT','Marie','1970-01-02','F','/home/doctor/m.dmpkey','un code long')").lastrowid
d.execute("INSERT INTO document(patient,title,type_code,mime,content) VALUES(?,'Lettre','11488-4','text/plain','bonjour')", (i,))
END
python3 /tmp/practice.py
chown -R doctor:doctor /home/doctor
mkdir /home/doctor/view /cred
printf 'un code long' > /cred/pin; chmod 755 /cred; chown doctor /cred/pin
export CREDENTIALS_DIRECTORY=/cred
echo '/home/doctor/record.db /home/doctor/view dmpfs noauto,setuid=doctor,allow_other,umask=022,key=/home/doctor/d.dmpkey,pincred=pin 0 0' >> /etc/fstab
mount /home/doctor/view
cat '/home/doctor/view/DUPONT Marie 1970-01-02/Comptes rendus/'*.txt; echo
dmpfs --status /home/doctor/view | head -1
apt-get -q -y remove dmp >/tmp/refused 2>&1 && echo 'REMOVED UNDER A MOUNT'
grep -c 'umount /home/doctor/view' /tmp/refused
umount /home/doctor/view
'''


def test_the_package_is_installed_used_and_removed_in_a_fresh_tree(p):
    with fresh_tree(p) as tree:
        if 'san' in os.path.basename(door.BUILD):
            raise Skip('a package is made of what ships')
        deb = good('scripts/package', p.folder).strip().splitlines()[-1]
        same(good('dpkg-deb', '-f', deb, 'Package').strip(), 'dmp')
        assert 'libfuse3' in good('dpkg-deb', '-f', deb, 'Depends') and 'libsodium' in good('dpkg-deb', '-f', deb, 'Depends')
        shutil.copy(deb, os.path.join(tree, 'tmp', 'dmp.deb'))
        shutil.copy('/etc/resolv.conf', os.path.join(tree, 'etc', 'resolv.conf'))
        before = inside(tree, 'find / -xdev -path /proc -prune -o -print | grep -Ev "^/(var|tmp|etc/ld.so.cache|usr/lib/python3|root)" | sort')[1]
        code, said = inside(tree, 'apt-get -q update >/dev/null; apt-get -q -y install --no-install-recommends /tmp/dmp.deb')
        same(code, 0, said)
        code, said = inside(tree, USE)
        same(code, 0, said)
        same(said.split('\n')[:3], ['bonjour', 'record: answers', '1'], said)
        assert 'REMOVED' not in said
        code, said = inside(tree, 'dmpfs -V; dmp --version; test -x /sbin/mount.dmpfs; ls /usr/share/man/man8; id -u dmp; apt-get -q -y purge dmp')
        same(code, 0, said)
        for part in ('mount.dmpfs.8.gz', 'dmpfs 0.'):
            assert part in said, said
        left = inside(tree, 'find / -xdev -path /proc -prune -o -name "*dmp*" -print | grep -Ev "^/(proc|sys|home|tmp|var/(log|cache|lib/dpkg))" || true')[1]
        same([l for l in left.splitlines() if 'udmp' not in l and 'dmp' in os.path.basename(l) and l not in before.splitlines()], [])


if __name__ == '__main__':
    door.main(globals())
