#!/usr/bin/python3
"""The file door on real mounts: every test makes a record with the extension and mounts it with dmpfs.
  test_mount.py [build [name…]]     a name runs the tests that contain it
Skips, and says so, where there is no /dev/fuse."""
import argparse, contextlib, ctypes, errno, mmap, os, shutil, signal, sqlite3, stat, subprocess, sys, tempfile, time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MADE = BUILD = os.path.join(ROOT, 'build')           # where it was built, and where the tests start it
PIN = 'epingle-du-test'
FOLDER = 'DUPONT Marie 1970-01-02'
REPORTS = FOLDER + '/Comptes rendus'
MARIE = dict(birth_name='Dupont', given_names='Marie', birth_date='1970-01-02', sex='F')
DATE = '2026-03-12T10:00:00Z'
TWO_SECONDS = 2.0
# A sanitizer's libraries are for what loads the extension: this process has them by now, and the driver is linked with its own. Programs that
# are not ours hang under them, and a mapping's SIGBUS would be caught.
SANITIZERS = {k: os.environ.pop(k) for k in ['LD_PRELOAD'] if k in os.environ}


class Skip(Exception):
    pass


# ---- a practice: an authority, a doctor who registers, a pharmacist with consent, a patient ----

class Practice:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='dmp-mount-')
        self.path = os.path.join(self.folder, 'record.db')
        self.sessions, self.points = {}, 0
        authority = self.connect()
        self.fingerprint, = authority.execute("SELECT dmp_create(?, ?, NULL, 'kdf=1x8')",
                                              (self.key('authority'), PIN)).fetchone()
        self.sessions['authority'] = self.login('authority')
        self.doctor = self.enrol('doctor', '10100000017', 'Dr Martin', '10', 1)
        self.pharmacist = self.enrol('pharmacist', '10100000025', 'Ph Durand', '21', 0)
        self.patient = self.register('patient', **MARIE)
        self.sessions['patient'] = self.login('patient')
        self.consent(self.pharmacist)

    def connect(self):
        c = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        c.enable_load_extension(True)
        c.load_extension(os.path.join(BUILD, 'dmp'))
        c.execute('PRAGMA temp_store=MEMORY')
        return c

    def key(self, who):
        return os.path.join(self.folder, who + '.dmpkey')

    def login(self, who, fingerprint=None):
        c = self.connect()
        c.execute('SELECT dmp_login(?, ?, NULL, NULL, ?)', (self.key(who), PIN, fingerprint))
        return c

    def enrol(self, who, rpps, name, profession, registrar):
        request = self.connect().execute("SELECT dmp_keygen(?, ?, 'kdf=1x8')", (self.key(who), PIN)).fetchone()[0]
        self['authority'].execute('INSERT INTO principal(kind, identifier, name, profession, registrar, certificate) '
                                  "VALUES ('professional', ?, ?, ?, ?, ?)",
                                  (rpps, name, profession, registrar, request))
        self.sessions[who] = self.login(who, self.fingerprint)
        return self[who].execute('SELECT principal FROM session').fetchone()[0]

    def register(self, who, **traits):
        traits.update(credential=self.key(who), pin=PIN)
        return self.insert('doctor', 'patient', traits)

    def deposit(self, title, content=b'%PDF-1.4 test', who='doctor', patient=None, **columns):
        values = dict(patient=patient or self.patient, title=title, content=content, type_code='11488-4',
                      mime='application/pdf', creation_time=DATE, author='Dr Martin')
        values.update(columns)
        return self.insert(who, 'document', values)

    def insert(self, who, table, values):
        sql = 'INSERT INTO %s(%s) VALUES (%s)' % (table, ', '.join(values), ', '.join('?' * len(values)))
        return self[who].execute(sql, list(values.values())).lastrowid

    def consent(self, grantee):
        self['patient'].execute('INSERT INTO consent(patient, grantee) VALUES (?, ?)', (self.patient, grantee))

    def mask(self, document):
        self['patient'].execute('INSERT INTO mask(patient, document) VALUES (?, ?)', (self.patient, document))

    def __getitem__(self, who):
        return self.sessions[who]

    def point(self):
        self.points += 1
        path = os.path.join(self.folder, 'mount%d' % self.points)
        os.mkdir(path)
        return path

    def close(self):
        for c in self.sessions.values():
            c.close()
        for line in open('/proc/mounts', encoding='utf-8'):
            if line.split()[1].startswith(self.folder):
                subprocess.call(['umount', '-l', line.split()[1]])
        shutil.rmtree(self.folder, ignore_errors=True)


def start(arguments, pin=PIN, **how):
    """dmpfs with the PIN on a descriptor of its own."""
    pin_end, own_end = os.pipe()
    os.write(own_end, (pin + '\n').encode())
    os.close(own_end)
    try:
        arguments = [a.replace('PINFD', str(pin_end)) for a in arguments]
        return subprocess.Popen([os.path.join(BUILD, 'dmpfs')] + arguments, pass_fds=[pin_end], **how)
    finally:
        os.close(pin_end)


def run_dmpfs(*arguments, pin=PIN, **how):
    """To its end: the exit code and what it said."""
    process = start(list(arguments), pin, stderr=subprocess.PIPE, text=True, **how)
    return process.wait(timeout=30), process.stderr.readline()


def wait_until(what, seconds, step=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(step)
    return what()


def is_mounted(point):
    """Also of another user's mount, into which not even root may look."""
    return any(line.split()[1] == point for line in open('/proc/mounts', encoding='utf-8'))


class Mount:
    """A mount in the foreground, ended by SIGTERM at the end of the with."""
    def __init__(self, practice, who, options='', point=None):
        self.point = point or practice.point()
        options = 'key=%s,pinfd=PINFD%s' % (practice.key(who), options)
        self.process = start([practice.path, self.point, '-f', '-o', options])
        wait_until(lambda: is_mounted(self.point) or self.process.poll() is not None, 20)
        assert is_mounted(self.point), 'dmpfs did not mount for ' + who

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.process.terminate()
        code = self.process.wait(timeout=10)
        if failure is None:
            same(code, 0, 'the driver at its end')

    def __call__(self, *names):
        return os.path.join(self.point, *names)

    def list(self, *names):
        return sorted(os.listdir(self(*names)))

    def read(self, *names):
        with open(self(*names), 'rb') as f:
            return f.read()

    def everything(self):
        """Every name with all that stat() tells, as `ls -lRai` and `du` would show."""
        seen = []
        for folder, folders, files in os.walk(self.point):
            for name in sorted(folders + files) + ['.']:
                path = os.path.join(folder, name)
                s = os.lstat(path)
                seen.append((os.path.relpath(path, self.point), s.st_ino, s.st_mode, s.st_nlink, s.st_uid, s.st_gid,
                             s.st_size, s.st_blocks, s.st_mtime_ns, s.st_ctime_ns, s.st_atime_ns))
        return sorted(seen)


def error_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as e:
        return errno.errorcode[e.errno]
    return 'OK'


def same(got, expected, what=''):
    assert got == expected, '%s: got %r, expected %r' % (what, got, expected)


# ---- the tree ----

def test_a_document_lies_in_its_patients_folder_with_its_size_and_date(p):
    content = os.urandom(200001)
    p.deposit('Compte rendu de consultation', content, author='Dr Martin')
    with Mount(p, 'doctor') as m:
        same(m.list(), [FOLDER])
        same(m.list(FOLDER), ['Comptes rendus', 'Synthèse.html'])
        name = '2026-03-12 Compte rendu de consultation – Dr Martin.pdf'
        same(m.list(REPORTS), [name])
        s = os.stat(m(REPORTS, name))
        same((s.st_size, s.st_mtime, s.st_nlink, stat.filemode(s.st_mode)), (200001, 1773309600, 1, '-r--------'))
        same(m.read(REPORTS, name), content)


def test_types_and_classes_have_their_folders_and_only_those_with_documents_exist(p):
    for title, type_code in (('Bio', '11502-2'), ('Lettre', '11490-0'), ('Transfert', '18761-7'), ('Radio', '18748-4'),
                             ('Produits', '57833-6'), ('Synthese', '60591-5'), ('Visite', '11488-4')):
        p.deposit(title, type_code=type_code)
    with Mount(p, 'doctor') as m:
        same(m.list(FOLDER), sorted(['Biologie', 'Courriers', 'Imagerie', 'Ordonnances', 'Synthèse', 'Comptes rendus', 'Synthèse.html']))
        same(len(m.list(FOLDER, 'Courriers')), 2)
        same(error_of(os.stat, m(FOLDER, 'Vaccinations')), 'ENOENT')


def test_the_readable_view_is_shown_when_there_is_one_else_the_original(p):
    p.deposit('Structure', b'<ClinicalDocument/>', mime='text/xml', view_mime='application/pdf', view=b'%PDF vue')
    p.deposit('Sans vue', b'<ClinicalDocument/>', mime='text/xml; charset=utf-8')
    p.deposit('Inconnu', b'abc', mime='application/x-inconnu')
    with Mount(p, 'doctor') as m:
        same(m.read(REPORTS, '2026-03-12 Structure – Dr Martin.pdf'), b'%PDF vue')
        same(m.read(REPORTS, '2026-03-12 Sans vue – Dr Martin.xml'), b'<ClinicalDocument/>')
        same(m.read(REPORTS, '2026-03-12 Inconnu – Dr Martin.bin'), b'abc')


def test_hostile_titles_give_safe_names_that_can_be_opened(p):
    titles = ['A' * 10000, '../../etc/passwd', 'a\nb\tc\x1b[31m', 'facture\u202efdp.exe', 'CON', '. . .', '',
              ' \u200b ', 'é' * 300, 'x' * 251 + '.pdf', '<a>:"|?*\\', '--help', 'e\u0301']
    for i, title in enumerate(titles):
        p.deposit(title, b'%d' % i)
    with Mount(p, 'doctor') as m:
        names = m.list(REPORTS)
        same(len(names), len(titles))
        same(sorted(int(m.read(REPORTS, n)) for n in names), list(range(len(titles))))
        for n in names:
            assert len(n.encode()) <= 255 and n.endswith('.pdf'), n
            assert not any(c in n for c in '<>:"/\\|?*\n\t\x1b\u202e\u200b'), n


def test_equal_names_are_told_apart_by_their_own_ids_and_only_while_both_are_visible(p):
    a = p.deposit('Radio du genou', b'a')
    b = p.deposit('RADIO DU GENOU', b'b')                 # equal where case does not count
    def name(title, i=None):
        return '2026-03-12 %s – Dr Martin%s.pdf' % (title, ' (%019d)' % i if i else '')
    with Mount(p, 'pharmacist') as m:
        same(m.list(REPORTS), sorted([name('Radio du genou', a), name('RADIO DU GENOU', b)]))
        same(m.read(REPORTS, name('Radio du genou', a)), b'a')
        p.mask(b)
        assert wait_until(lambda: m.list(REPORTS) == [name('Radio du genou')], TWO_SECONDS), m.list(REPORTS)
        same(error_of(os.stat, m(REPORTS, name('RADIO DU GENOU'))), 'ENOENT')


def test_a_title_that_imitates_the_suffix_of_another_document_takes_nobodys_name(p):
    a = p.deposit('Bilan', b'a', author=None)
    p.deposit('Bilan', b'b', author=None)
    p.deposit('Bilan (%019d)' % a, b'c', author=None)
    with Mount(p, 'doctor') as m:
        names = m.list(REPORTS)
        same(len(set(names)), 3)
        same(m.read(REPORTS, '2026-03-12 Bilan (%019d).pdf' % a), b'a')


def test_two_patients_of_one_name_have_a_folder_each(p):
    other = p.register('other', **MARIE)
    with Mount(p, 'doctor') as m:
        same(m.list(), sorted('%s (%019d)' % (FOLDER, i) for i in (p.patient, other)))
    with Mount(p, 'pharmacist') as m:                     # who knows of one only
        same(m.list(), [FOLDER])


def test_a_record_with_a_masked_document_looks_as_if_it_never_was(p):
    p.deposit('Visible')
    with Mount(p, 'pharmacist') as m:
        before = (m.everything(), os.statvfs(m.point))
        hidden = p.deposit('IVG', type_code='60568-3', masked=1)
        p.deposit('Visible', masked=1)
        time.sleep(1.2)
        same((m.everything(), os.statvfs(m.point)), before)
        for name in ('Biologie', 'Comptes rendus/2026-03-12 IVG – Dr Martin.pdf', 'Comptes rendus/never was'):
            same(error_of(os.open, m(FOLDER, name), os.O_RDONLY), 'ENOENT', name)
    with Mount(p, 'pharmacist') as m:
        same((m.everything(), os.statvfs(m.point)), before)
    with Mount(p, 'patient') as m:
        assert hidden in [s[1] for s in m.everything()]
        assert any('(masqué) IVG' in s[0] for s in m.everything())


def test_two_mounts_of_two_identities_show_each_its_own(p):
    seen, hidden = p.deposit('Pour tous'), p.deposit('Masque', masked=1)
    with Mount(p, 'pharmacist') as m, Mount(p, 'patient') as n, Mount(p, 'authority') as o:
        same({s[1] for s in m.everything()} & {seen, hidden}, {seen})
        same({s[1] for s in n.everything()} & {seen, hidden}, {seen, hidden})
        same(o.list(), [])


def test_inodes_and_names_are_the_same_in_every_mount(p):
    for i in range(5):
        p.deposit('Document %d' % i)
    with Mount(p, 'doctor') as m, Mount(p, 'doctor') as n:
        same(m.everything(), n.everything())


# ---- reading ----

def test_reads_at_the_edges_give_what_is_there_and_no_more(p):
    content = os.urandom(150000)
    p.deposit('Grand', content)
    p.deposit('Vide', b'')
    with Mount(p, 'doctor') as m:
        fd = os.open(m(REPORTS, '2026-03-12 Grand – Dr Martin.pdf'), os.O_RDONLY)
        for at, n in ((0, 1), (65535, 2), (65536, 65536), (149990, 100), (150000, 10), (150001, 10), (1 << 40, 10),
                      ((1 << 63) - 100, 10)):
            same(os.pread(fd, n, at), content[at:at + n], 'at %d' % at)
        with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
            same(mapped[:], content)
        os.close(fd)
        empty = m(REPORTS, '2026-03-12 Vide – Dr Martin.pdf')
        same((os.stat(empty).st_size, open(empty, 'rb').read()), (0, b''))


def test_altered_bytes_are_an_input_output_error_and_never_shown(p):
    p.deposit('Abime', os.urandom(300000))
    with contextlib.closing(sqlite3.connect(p.path)) as c:     # as the host would, without the extension
        def longest(column):
            return c.execute('SELECT max(length("%s")) FROM dmp_chunk' % column).fetchone()[0] or 0
        box = max((r[1] for r in c.execute('PRAGMA table_info(dmp_chunk)').fetchall()), key=longest)
        assert longest(box) > 60000
        for rowid, b in c.execute('SELECT rowid, "%s" FROM dmp_chunk' % box).fetchall():
            altered = b[:500] + bytes([b[500] ^ 1]) + b[501:]
            c.execute('UPDATE dmp_chunk SET "%s" = ? WHERE rowid = ?' % box, (altered, rowid))
        c.commit()
    with Mount(p, 'doctor') as m:
        same(error_of(m.read, REPORTS, '2026-03-12 Abime – Dr Martin.pdf'), 'EIO')


def log_lines(p, action):
    return p['patient'].execute('SELECT coalesce(sum(count), 0) FROM access_log WHERE action = ? AND principal = ?',
                                (action, p.pharmacist)).fetchone()[0]


def test_listing_and_opening_are_in_the_patients_log_and_stat_of_a_known_name_is_not_a_reading(p):
    p.deposit('Lu')
    with Mount(p, 'pharmacist') as m:
        same(m.list(), [FOLDER])
        same((log_lines(p, 'list'), log_lines(p, 'read')), (0, 0), 'the list of patients is no access')
        m.list(REPORTS)
        os.stat(m(REPORTS, '2026-03-12 Lu – Dr Martin.pdf'))
        same((log_lines(p, 'list'), log_lines(p, 'read')), (1, 0))
        m.read(REPORTS, '2026-03-12 Lu – Dr Martin.pdf')
        assert log_lines(p, 'read') >= 1


# Under another name, in a thread of its own as thumbnailers do: lists, then reads.
PREVIEWER = """import os, sys, threading
def read():
  try: print(len(open(sys.argv[2], 'rb').read()), 'bytes')
  except OSError as e: print(e.errno)
open('/proc/self/comm', 'w').write(sys.argv[1])
os.listdir(os.path.dirname(sys.argv[2]))
t = threading.Thread(target=read); t.start(); t.join()"""


def test_thumbnailers_and_indexers_may_list_but_not_open(p):
    p.deposit('Apercu')
    with Mount(p, 'doctor') as m:
        path = m(REPORTS, '2026-03-12 Apercu – Dr Martin.pdf')
        for comm in ('tumblerd', 'evince-thumbnailer', 'tracker-miner-fs', 'localsearch-3', 'baloo_file'):
            said = subprocess.check_output(['/usr/bin/python3', '-c', PREVIEWER, comm, path], text=True)
            same(said, '%d\n' % errno.EACCES, comm)
        same(subprocess.check_output(['/usr/bin/python3', '-c', PREVIEWER, 'evince', path], text=True), '13 bytes\n')


def test_names_that_file_managers_ask_for_are_not_there(p):
    p.deposit('Document')
    with Mount(p, 'doctor') as m:
        for name in ('.hidden', '.Trash', '.Trash-1000', '.directory', 'desktop.ini', 'autorun.inf', 'Thumbs.db',
                     '.sh_thumbnails'):
            for folder in ('', FOLDER, REPORTS):
                same(error_of(os.stat, m(folder, name)), 'ENOENT', name)


# ---- nothing can be changed ----

def test_every_writing_call_says_read_only_file_system(p):
    p.deposit('Document')
    with Mount(p, 'doctor') as m:
        f, d = m(REPORTS, '2026-03-12 Document – Dr Martin.pdf'), m(REPORTS)
        new = d + '/new'
        calls = [('open for writing', os.open, f, os.O_WRONLY), ('open for both', os.open, f, os.O_RDWR),
                 ('truncate by open', os.open, f, os.O_TRUNC), ('append', os.open, f, os.O_WRONLY | os.O_APPEND),
                 ('create', os.open, new, os.O_CREAT | os.O_WRONLY), ('mkdir', os.mkdir, new),
                 ('mkdir at the top', os.mkdir, m('new')), ('unlink', os.unlink, f), ('rmdir', os.rmdir, d),
                 ('rename', os.rename, f, new), ('rename a folder', os.rename, d, m('new')),
                 ('chmod', os.chmod, f, 0o777),
                 ('chown', os.chown, f, 1, 1), ('truncate', os.truncate, f, 0), ('utime', os.utime, f),
                 ('setxattr', os.setxattr, f, 'user.a', b'b'), ('removexattr', os.removexattr, f, 'user.a'),
                 ('symlink', os.symlink, 'a', new), ('link', os.link, f, new),
                 ('mknod', os.mknod, new, 0o600 | stat.S_IFIFO)]
        for what, call, *arguments in calls:
            same(error_of(call, *arguments), 'EROFS', what)
        same(m.read(REPORTS, '2026-03-12 Document – Dr Martin.pdf'), b'%PDF-1.4 test')


def test_remounted_writable_by_an_administrator_it_still_refuses(p):
    p.deposit('Document')
    with Mount(p, 'doctor') as m:
        flags = 32 | 2 | 4 | 8                            # MS_REMOUNT, nosuid, nodev, noexec: no longer MS_RDONLY
        if ctypes.CDLL(None).mount(None, os.fsencode(m.point), None, flags, None) != 0:
            raise Skip('this kernel or user does not remount')
        f, d = m(REPORTS, '2026-03-12 Document – Dr Martin.pdf'), m(REPORTS)
        new = d + '/new'
        for what, call, *arguments in [
                ('open', os.open, f, os.O_RDWR), ('create', os.open, new, os.O_CREAT | os.O_WRONLY),
                ('mkdir', os.mkdir, new), ('unlink', os.unlink, f), ('rmdir', os.rmdir, d), ('rename', os.rename, f, new),
                ('chmod', os.chmod, f, 0o777), ('truncate', os.truncate, f, 0), ('utime', os.utime, f),
                ('symlink', os.symlink, 'a', new), ('link', os.link, f, new)]:
            assert error_of(call, *arguments) in ('EROFS', 'EACCES'), what


def test_the_mount_is_read_only_without_setuid_devices_or_programs(p):
    with Mount(p, 'doctor') as m:
        line = next(l for l in open('/proc/mounts', encoding='utf-8') if l.split()[1] == m.point).split()
        same(line[2], 'fuse.dmpfs')
        for option in ('ro', 'nosuid', 'nodev', 'noexec', 'default_permissions'):
            assert option in line[3].split(','), option
        assert 'allow_other' not in line[3]
        limits, cmdline, environment = (open('/proc/%d/%s' % (m.process.pid, n)).read()
                                        for n in ('limits', 'cmdline', 'environ'))
        assert 'Max core file size        0 ' in limits
        assert PIN not in cmdline + environment


def test_owner_and_mode_follow_the_options(p):
    p.deposit('Document')
    with Mount(p, 'doctor', ',allow_other,uid=12,gid=34,umask=027') as m:
        for path, mode in ((m(FOLDER), 'dr-xr-x---'), (m(REPORTS, m.list(REPORTS)[0]), '-r--r-----')):
            s = os.stat(path)
            same((s.st_uid, s.st_gid, stat.filemode(s.st_mode)), (12, 34, mode))


# ---- rights that end under a live mount ----

MAPPER = """import mmap, os, sys, time
m = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, mmap.MAP_SHARED, mmap.PROT_READ)
sum(m[::4096])
print('mapped', flush=True)
for i in range(1000):
  time.sleep(.01)
  sum(m[::4096])"""


def test_a_mask_by_another_process_reaches_names_descriptors_and_mappings_within_two_seconds(p):
    masked = p.deposit('Bientot masque', b'secret ' * 50000)
    p.deposit('Reste', b'reste')
    with Mount(p, 'pharmacist') as m:
        path = m(REPORTS, '2026-03-12 Bientot masque – Dr Martin.pdf')
        fd = os.open(path, os.O_RDONLY)
        same(os.pread(fd, 7, 0), b'secret ')
        mapper = subprocess.Popen(['/usr/bin/python3', '-c', MAPPER, path], stdout=subprocess.PIPE, text=True)
        same(mapper.stdout.readline(), 'mapped\n')
        p.mask(masked)
        end = time.monotonic() + TWO_SECONDS
        def in_time(what):
            return wait_until(what, end - time.monotonic())
        assert in_time(lambda: error_of(os.stat, path) == 'ENOENT'), 'the name is still there'
        assert in_time(lambda: error_of(os.pread, fd, 7, 0) == 'ESTALE'), error_of(os.pread, fd, 7, 0)
        assert in_time(lambda: mapper.poll() is not None), 'the mapping still gives bytes'
        same(mapper.returncode, -signal.SIGBUS)
        same(m.list(REPORTS), ['2026-03-12 Reste – Dr Martin.pdf'])
        same(error_of(os.open, path, os.O_RDONLY), 'ENOENT')
        same(m.read(REPORTS, '2026-03-12 Reste – Dr Martin.pdf'), b'reste')
        os.close(fd)
        p['patient'].execute('DELETE FROM mask WHERE document = ?', (masked,))
        assert wait_until(lambda: error_of(m.read, path) == 'OK', TWO_SECONDS), 'unmasked, it does not come back'


def test_a_withdrawn_consent_closes_a_live_mount_within_two_seconds(p):
    p.deposit('Document', os.urandom(100000))
    with Mount(p, 'pharmacist') as m:
        path = m(REPORTS, '2026-03-12 Document – Dr Martin.pdf')
        fd, inside = os.open(path, os.O_RDONLY), os.open(m(FOLDER), os.O_RDONLY)
        os.pread(fd, 10, 0)
        p['patient'].execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (p.patient, p.pharmacist))
        end = time.monotonic() + TWO_SECONDS
        assert wait_until(lambda: m.list() == [], end - time.monotonic()), m.list()
        for call in ((os.stat, path), (os.stat, m(FOLDER)), (os.listdir, m(REPORTS))):
            assert wait_until(lambda: error_of(*call) == 'ENOENT', end - time.monotonic()), call
        assert wait_until(lambda: error_of(os.pread, fd, 10, 0) == 'ESTALE', end - time.monotonic()), 'open descriptor'
        os.close(fd)
        os.close(inside)
        same(subprocess.call(['umount', m.point]), 0)
        same(m.process.wait(timeout=10), 0)


def test_a_depositor_keeps_own_documents_and_nothing_else_after_a_withdrawal(p):
    own = p.deposit('Dispensation', b'own', who='pharmacist', type_code='60593-1')
    p.deposit('Du docteur')
    p['patient'].execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (p.patient, p.pharmacist))
    with Mount(p, 'pharmacist') as m:
        folder = 'Dossier %d (identité non accessible)' % p.patient
        same(m.list(), [folder])
        same(m.list(folder), ['Dispensations'])
        same(m.read(folder, 'Dispensations', '2026-03-12 Dispensation – Dr Martin.pdf'), b'own')
        p['pharmacist'].execute('DELETE FROM document WHERE id = ?', (own,))
        assert wait_until(lambda: m.list() == [] and error_of(os.stat, m(folder)) == 'ENOENT', TWO_SECONDS)


def test_a_new_document_appears_under_a_name_that_was_just_absent(p):
    p.deposit('Premier')
    with Mount(p, 'pharmacist') as m:
        path = m(REPORTS, '2026-03-12 Second – Dr Martin.pdf')
        same(error_of(os.stat, path), 'ENOENT')
        p.deposit('Second')
        assert wait_until(lambda: error_of(os.stat, path) == 'OK', TWO_SECONDS)


def test_a_directory_opened_before_a_mask_does_not_give_the_masked_name_after_it(p):
    documents = [p.deposit('Document %03d %s' % (i, 'x' * 150)) for i in range(400)]   # more than getdents() takes
    with Mount(p, 'pharmacist') as m, os.scandir(m(REPORTS)) as entries:
        first = next(entries).name
        for i in documents[-5:]:
            p.mask(i)
        time.sleep(0.2)
        same(len([first] + list(entries)), 395)
        same(len(m.list(REPORTS)), 395)


# ---- start and end ----

def test_each_start_up_error_has_its_exit_code_and_sentence_and_mounts_nothing(p):
    point, key = p.point(), 'key=%s,pinfd=PINFD' % p.key('doctor')
    text, empty, other = (os.path.join(p.folder, n) for n in ('text.db', 'empty.db', 'other'))
    open(text, 'w').write('not a database ' * 100)
    open(empty, 'w').close()
    stranger = Practice()
    shutil.copy(stranger.key('doctor'), other)
    stranger.close()
    record, none = p.path, os.path.join(p.folder, 'none')
    def with_key(path):
        return 'key=%s,pinfd=PINFD' % path
    for code, part, record, where, options, pin in [
            (2, 'usage', record, point, 'pinfd=PINFD', PIN), (2, 'unknown option', record, point, key + ',foo', PIN),
            (2, 'unknown option', record, point, key + ',pin=1234', PIN),
            (2, 'umask', record, point, key + ',umask=1000', PIN),
            (3, "can't be opened", none, point, key, PIN), (3, "can't be opened", p.folder, point, key, PIN),
            (4, 'not a record', text, point, key, PIN), (4, 'dmp-E019', empty, point, key, PIN),
            (5, 'dmp-E009', record, point, with_key(none), PIN), (5, 'dmp-E010', record, point, with_key(text), PIN),
            (5, 'dmp-E027', record, point, with_key(other), PIN),
            (6, 'dmp-E011', record, point, key, 'pas le bon code'), (6, 'no PIN', record, point, key, ''),
            (6, "can't be read", record, point, key.replace('PINFD', '99'), PIN),
            (7, "can't be used", record, none, key, PIN), (7, 'Not a directory', record, text, key, PIN),
            (9, "can't be loaded", record, point, key + ',ext=/nonexistent/dmp.so', PIN)]:
        for foreground in ([], ['-f']):
            got, said = run_dmpfs(record, where, '-o', options, *foreground, pin=pin)
            same(got, code, said)
            assert part in said, said
            assert PIN not in said and (pin == '' or pin not in said)
        assert not os.path.ismount(point)
    same(run_dmpfs(p.path, '-o', key)[0], 2)
    same(run_dmpfs(p.path, point, 'too much', '-o', key)[0], 2)


def test_a_directory_that_holds_something_is_not_mounted_over_unless_asked(p):
    options, busy = 'key=%s,pinfd=PINFD' % p.key('doctor'), p.point()
    letter = os.path.join(busy, 'letter')
    open(letter, 'w').close()
    with Mount(p, 'doctor') as m:
        for point, part in ((busy, 'is not empty'), (m.point, 'holds a mount already')):
            code, said = run_dmpfs(p.path, point, '-o', options)
            same(code, 7, said)
            assert part in said and '-o nonempty' in said, said
        assert not os.path.ismount(busy) and os.path.exists(letter)
        assert os.listdir(m.point) == [FOLDER], 'the first mount is hidden'
    with Mount(p, 'doctor', ',nonempty', busy):
        same(os.listdir(busy), [FOLDER])
    same(os.listdir(busy), ['letter'])
    same(run_dmpfs(p.path, m.point, '-o', options)[0], 0)
    subprocess.run(['umount', m.point], check=True)


def test_a_missing_anchor_and_an_altered_record_have_the_code_of_damage(p):
    point = p.point()
    options = 'key=%s,pinfd=PINFD' % p.key('doctor')
    os.rename(p.path + '-anchor', p.path + '-anchor.away')
    code, said = run_dmpfs(p.path, point, '-o', options)
    same(code, 10, said)
    os.rename(p.path + '-anchor.away', p.path + '-anchor')
    same(run_dmpfs(p.path, point, '-o', options)[0], 0)
    subprocess.check_call(['umount', point])


def hiding(script, command, **how):
    """A command where something of this machine is hidden."""
    return subprocess.run(['unshare', '-m', '--propagation', 'unchanged', 'sh', '-c', script + ' && exec "$@"', 'sh'] + command, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, **how)


def test_a_machine_without_fuse_is_told_what_to_do_before_a_pin_is_asked_for(p):
    if os.geteuid() != 0:
        raise Skip('only root can hide /dev/fuse')
    os.chmod(p.folder, 0o755)
    empty, script = os.path.join(p.folder, 'empty'), os.path.join(p.folder, 'askpass')
    open(empty, 'w').close()
    with open(script, 'w') as f:
        f.write('#!/bin/sh\ntouch %s/asked\n' % p.folder)
    os.chmod(script, 0o755)
    def refused(hide, options='', become=None):
        command = [os.path.join(BUILD, 'dmpfs'), p.path, p.point(), '-o', 'key=%s%s' % (p.key('doctor'), options)]
        r = hiding(hide, become + command if become else command, env=dict(os.environ, DMP_ASKPASS=script))
        same((r.returncode, os.path.exists(p.folder + '/asked')), (8, False), r.stderr)
        return r.stderr
    for hide in ('mount --bind /dev/null /dev/fuse', 'mount --bind %s /dev/fuse' % empty):
        assert '/dev/fuse is missing: as root, modprobe fuse' in refused(hide), hide
    assert '/dev/fuse manque : en root, modprobe fuse' in refused(hide, ',lang=fr')
    nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    closed = 'mkdir {0}/dev && mknod -m 600 {0}/dev/fuse c 10 229 && mount --bind {0}/dev/fuse /dev/fuse'.format(p.folder)
    assert "/dev/fuse can't be opened: as root, chmod 666" in refused(closed, '', nobody)
    for f in os.listdir(p.folder):
        if f.startswith('mount'):
            os.chown(os.path.join(p.folder, f), 65534, 65534)
    without = 'for f in /usr/bin/fusermount3 /bin/fusermount3; do [ ! -e $f ] || mount --bind %s $f; done' % empty
    assert 'fusermount3 is missing' in refused(without, '', nobody) and 'install the package fuse3' in refused(without, '', nobody)
    assert 'installez le paquet fuse3' in refused(without, ',lang=fr', nobody)
    r = hiding(without, [os.path.join(BUILD, 'dmpfs'), p.path, p.point(), '-f', '-o', 'key=%s' % p.key('doctor')], env=dict(os.environ, DMP_ASKPASS=script))
    same((r.returncode, os.path.exists(p.folder + '/asked')), (6, True), 'root needs none: ' + r.stderr)


def test_in_the_background_it_returns_once_mounted_and_sigterm_ends_it(p):
    p.deposit('Document')
    point = p.point()
    code, said = run_dmpfs(p.path, point, '-o', 'key=%s,pinfd=PINFD' % p.key('doctor'))
    same((code, os.path.ismount(point), said), (0, True, ''))
    same(os.listdir(point), [FOLDER])
    os.kill(pid_of(point), signal.SIGTERM)
    assert wait_until(lambda: not os.path.ismount(point), 5)


def pid_of(point):
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            arguments = open('/proc/%s/cmdline' % pid, 'rb').read().split(b'\0')
            if os.fsencode(point) in arguments and open('/proc/%s/comm' % pid).read() == 'dmpfs\n':
                return int(pid)
    raise AssertionError('no driver for ' + point)


def keeper_of(driver):
    """The child of a driver that unmounts."""
    children = open('/proc/%d/task/%d/children' % (driver, driver)).read().split()
    return next(int(c) for c in children if open('/proc/%s/comm' % c).read() == 'dmpfs-keeper\n')


def test_the_pin_is_asked_from_the_askpass_program_when_no_descriptor_is_given(p):
    helper, point = os.path.join(p.folder, 'askpass'), p.point()
    with open(helper, 'w') as f:
        f.write('#!/bin/sh\necho %s\n' % PIN)
    os.chmod(helper, 0o700)
    code, said = run_dmpfs(p.path, point, '-o', 'key=' + p.key('doctor'), env=dict(os.environ, DMP_ASKPASS=helper))
    same((code, os.path.ismount(point)), (0, True), said)
    subprocess.check_call(['umount', point])
    for silent in ('true', 'echo', 'false'):
        code, said = run_dmpfs(p.path, point, '-o', 'key=' + p.key('doctor'), env=dict(os.environ, DMP_ASKPASS=silent))
        same((code, 'dmp-E200' in said), (6, True), said)
    environment = {k: v for k, v in os.environ.items() if k != 'DMP_ASKPASS'}
    same(run_dmpfs(p.path, point, '-o', 'key=' + p.key('doctor'), env=environment, stdin=subprocess.DEVNULL)[0], 6)


def test_an_unlocked_credential_mounts_without_a_pin_and_a_locked_one_does_not(p):
    c = p.connect()
    try:
        c.execute('SELECT dmp_unlock(?, ?, 60)', (p.key('doctor'), PIN))
    except sqlite3.Error as e:
        c.close()
        raise Skip(str(e))
    environment = {k: v for k, v in os.environ.items() if k != 'DMP_ASKPASS'}
    start_it = lambda point: subprocess.run([os.path.join(BUILD, 'dmpfs'), p.path, point, '-o', 'key=' + p.key('doctor')],
                                            env=environment, stderr=subprocess.PIPE, text=True)
    point = p.point()
    try:
        same(start_it(point).returncode, 0)
        assert os.path.ismount(point)
        subprocess.check_call(['umount', point])
    finally:
        c.execute('SELECT dmp_lock(?)', (p.key('doctor'),))
        c.close()
    result = start_it(point)
    same(result.returncode, 6, result.stderr)
    assert 'dmp-E085' in result.stderr, result.stderr


def test_sigterm_and_sigint_unmount_also_while_somebody_is_inside(p):
    p.deposit('Document', os.urandom(50000))
    for sig in (signal.SIGTERM, signal.SIGINT):
        for busy in (False, True):
            m = Mount(p, 'doctor')
            fd = os.open(m(REPORTS, '2026-03-12 Document – Dr Martin.pdf'), os.O_RDONLY) if busy else -1
            m.process.send_signal(sig)
            same(m.process.wait(timeout=10), 0, 'busy' if busy else 'idle')
            assert not os.path.ismount(m.point)
            same(os.listdir(m.point), [])
            if busy:
                assert error_of(os.pread, fd, 10, 0) in ('ENOTCONN', 'ECONNABORTED', 'EIO')
                error_of(os.close, fd)                    # flush() has nobody to ask either


def test_a_killed_driver_leaves_no_dead_mount_and_can_be_mounted_again(p):
    p.deposit('Document')
    for busy in (False, True):
        m = Mount(p, 'doctor', point=m.point if busy else None)
        m.list(REPORTS)
        inside = os.open(m(REPORTS), os.O_RDONLY) if busy else -1
        m.process.kill()
        m.process.wait()
        assert wait_until(lambda: not os.path.ismount(m.point) and error_of(os.listdir, m.point) == 'OK', 5), busy
        same(os.listdir(m.point), [])
        if busy:
            same(error_of(os.listdir, inside), 'ENOTCONN')
            os.close(inside)
    with Mount(p, 'doctor', point=m.point) as again:
        same(again.list(REPORTS), ['2026-03-12 Document – Dr Martin.pdf'])


def test_when_the_keeper_dies_too_the_dead_mount_is_named_with_what_to_do(p):
    m = Mount(p, 'doctor')
    os.kill(keeper_of(m.process.pid), signal.SIGKILL)
    m.process.kill()
    m.process.wait()
    same(error_of(os.listdir, m.point), 'ENOTCONN')
    code, said = run_dmpfs(p.path, m.point, '-o', 'key=%s,pinfd=PINFD' % p.key('doctor'))
    same(code, 7, said)
    assert 'fusermount3 -u' in said, said
    same(subprocess.run([os.path.join(BUILD, 'dmpfs'), '--status', m.point], stderr=subprocess.DEVNULL).returncode, 7)
    subprocess.check_call(['fusermount3', '-u', m.point])
    with Mount(p, 'doctor', point=m.point):
        pass


def test_an_ordinary_user_mounts_and_unmounts_through_fusermount(p):
    if os.geteuid() != 0:
        raise Skip('started by an ordinary user: every other test proves it')
    if not os.stat('/dev/fuse').st_mode & 0o002:
        raise Skip('/dev/fuse is for root only on this machine')
    point = p.point()
    for folder, _, files in os.walk(p.folder):
        for path in [folder] + [os.path.join(folder, f) for f in files]:
            os.chown(path, 65534, 65534)
    def become_nobody():
        os.setgid(65534)
        os.setuid(65534)
    process = start([p.path, point, '-f', '-o', 'key=%s,pinfd=PINFD' % p.key('doctor')], preexec_fn=become_nobody)
    assert wait_until(lambda: is_mounted(point), 10)
    same(error_of(os.listdir, point), 'EACCES', 'root')
    same(os.stat('/proc/%d/mem' % process.pid).st_uid, 0, 'another process of this user could read its memory')
    process.terminate()
    same(process.wait(timeout=10), 0)
    assert not is_mounted(point)


# ---- running ----

def run_all(wanted, tests):
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    for name, test in list(tests.items()):
        if not name.startswith('test_') or not all(w in name for w in wanted):
            continue
        practice, outcome = None, 'passed'
        try:
            if not os.path.exists('/dev/fuse'):
                raise Skip('NO /dev/fuse: the file door is NOT tested on this machine')
            practice = Practice()
            test(practice)
        except Skip as e:
            outcome = 'skipped'
            print('      ' + str(e))
        except Exception:
            outcome = 'failed'
            traceback.print_exc(file=sys.stdout)
        finally:
            if practice:
                practice.close()
        counts[outcome] += 1
        print('%-7s %s' % (outcome, name[5:].replace('_', ' ')), flush=True)
    print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % counts)
    return 1 if counts['failed'] else 0


def open_to_all(build, folder):
    """Where another user can start what was built: a copy, when the project lies in a home that is closed to others."""
    at = build
    while os.geteuid() == 0 and os.stat(at).st_mode & 1 and at != '/':
        at = os.path.dirname(at)
    if os.geteuid() != 0 or at == '/':
        return build
    os.chmod(folder, 0o755)
    copy = os.path.join(folder, os.path.basename(build))
    os.mkdir(copy)
    for name in os.listdir(build):
        if name.startswith('dmp') and os.path.isfile(os.path.join(build, name)):
            shutil.copy(os.path.join(build, name), copy)
    return copy


def main(tests):
    global BUILD, MADE
    parser = argparse.ArgumentParser()
    parser.add_argument('build', nargs='?', default=BUILD)
    parser.add_argument('names', nargs='*')
    arguments = parser.parse_args()
    MADE = os.path.abspath(arguments.build)
    with tempfile.TemporaryDirectory(prefix='dmp-programs-') as folder:
        BUILD = open_to_all(MADE, folder)
        code = run_all(arguments.names, tests)
    sys.exit(code)


if __name__ == '__main__':
    main(globals())
