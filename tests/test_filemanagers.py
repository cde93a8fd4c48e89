#!/usr/bin/python3
"""What file managers ask of a mount, counted from the requests that the driver reads: real Thunar and Nautilus in an X server of their
own, and the probes that were recorded of them (fixtures/desktop/probes.tsv), which need neither.
  test_filemanagers.py [build [name…]]     as test_mount.py, whose practice and mounts it uses
$DMP_PICTURES: a folder that gets a picture of each window."""
import collections, ctypes, os, re, shutil, signal, struct, subprocess, time
import test_mount as door
from test_mount import FOLDER, REPORTS, ROOT, TWO_SECONDS, Mount, error_of, same, wait_until

REQUESTS = {1: 'lookup', 3: 'getattr', 14: 'open', 15: 'read', 17: 'statfs', 22: 'getxattr', 23: 'listxattr', 27: 'opendir', 34: 'access',
            44: 'readdirplus'}
FILES, SHOWN_SECONDS = 25, 7


def needs(*programs):
    missing = [n for n in programs if not shutil.which(n)]
    if missing:
        raise door.Skip('not on this machine: ' + ', '.join(missing))


def picture_point():
    """Where pictures are taken, a mount has a name that anybody's could have."""
    if not os.environ.get('DMP_PICTURES'):
        return None
    os.makedirs('/srv/dossier-partage', exist_ok=True)
    return '/srv/dossier-partage'


class Traced(Mount):
    """A mount whose requests are counted: the driver runs under strace."""
    def __init__(self, p, who='doctor'):
        self.trace = os.path.join(p.folder, 'trace')
        self.known = set()
        real, door.BUILD = door.BUILD, os.path.join(p.folder, 'traced')
        os.makedirs(door.BUILD, exist_ok=True)
        wrapper = os.path.join(door.BUILD, 'dmpfs')
        with open(wrapper, 'w') as f:
            f.write('#!/bin/sh\nexec strace -f -o %s -e trace=read,readv -e signal=none -s 400 -xx %s/dmpfs "$@"\n' % (self.trace, real))
        os.chmod(wrapper, 0o755)
        try:
            super().__init__(p, who, point=picture_point())
        finally:
            door.BUILD = real
        for folder, folders, files in os.walk(self.point):
            self.known.update(folders + files)
        self.start = os.path.getsize(self.trace)

    def __exit__(self, failure, *_):
        subprocess.call(['umount', self.point] if failure is None else ['umount', '-l', self.point])
        self.process.wait(timeout=10)

    def requests(self):
        """({request: count}, {absent name: lookups}) since the mount was walked."""
        counts, absent = collections.Counter(), collections.Counter()
        with open(self.trace) as f:
            f.seek(self.start)
            for line in f:
                m = re.match(r'(?:\d+ +)?readv?\(\d+, .*?"((?:\\x[0-9a-f]{2})+)"', line)
                b = bytes.fromhex(m[1].replace('\\x', '')) if m else b''
                if len(b) < 40:
                    continue
                length, code = struct.unpack('<II', b[:8])
                if code in REQUESTS and 40 <= length < 1 << 17:
                    counts[REQUESTS[code]] += 1
                    name = b[40:].split(b'\0')[0].decode('utf-8', 'replace')
                    if code == 1 and name not in self.known:
                        absent[name] += 1
        return counts, absent


def fill(p):
    for i in range(FILES):
        p.deposit('Document %02d' % i)
    with open(os.path.join(ROOT, 'tests', 'fixtures', 'cda', 'operatoire-v1.xml'), 'rb') as f:
        p.deposit('Structure', f.read(), mime='text/xml')


def reads(p):
    return p['patient'].execute("SELECT coalesce(sum(count), 0) FROM access_log WHERE action = 'read'").fetchone()[0]


class Screen:
    """An X server, a window manager, a home and a session bus of one test."""
    def __init__(self, p):
        self.home = os.path.join(p.folder, 'desk')
        os.makedirs(os.path.join(self.home, 'run'), mode=0o700)
        r, w = os.pipe()
        self.children = [subprocess.Popen(['Xvfb', '-displayfd', str(w), '-screen', '0', '1000x680x24'], pass_fds=[w], stderr=subprocess.DEVNULL)]
        os.close(w)
        with os.fdopen(r) as f:
            display = f.readline().strip()
        self.environment = dict(os.environ, DISPLAY=':' + display, HOME=self.home, XDG_CONFIG_HOME=self.home + '/config', XDG_DATA_HOME=self.home + '/data',
                                XDG_CACHE_HOME=self.home + '/cache', XDG_RUNTIME_DIR=self.home + '/run', GSK_RENDERER='cairo',
                                LIBGL_ALWAYS_SOFTWARE='1', LANG='C.UTF-8', NO_AT_BRIDGE='1')
        subprocess.run([os.path.join(ROOT, 'scripts', 'dmp-desk'), '--install'], env=self.environment, stdout=subprocess.DEVNULL, check=True)
        if shutil.which('openbox'):
            self.run('openbox')

    def run(self, *command):
        self.children.append(subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                              start_new_session=True))

    def show(self, *command):
        self.run('dbus-run-session', '--', *command)
        time.sleep(SHOWN_SECONDS)
        assert self.children[-1].poll() is None, command[0] + ' has ended'

    def picture(self, name):
        if os.environ.get('DMP_PICTURES'):
            subprocess.run(['import', '-window', 'root', '-trim', '+repage', '+dither', '-colors', '32', os.path.join(os.environ['DMP_PICTURES'], name)],
                           env=self.environment, check=True)

    def click(self, x, y, button):
        subprocess.run(['xdotool', 'search', '--onlyvisible', '--name', 'Comptes rendus', 'windowsize', '%@', '880', '600', 'windowmove', '%@', '10', '10'],
                       env=self.environment, stdout=subprocess.DEVNULL, check=False)
        time.sleep(1)
        subprocess.run(['xdotool', 'mousemove', str(x), str(y), 'click', str(button)], env=self.environment, check=False)
        time.sleep(2)

    def close(self):
        for child in reversed(self.children):
            try:
                os.killpg(child.pid, signal.SIGTERM) if child is not self.children[0] else child.terminate()
            except ProcessLookupError:
                pass
            child.wait(timeout=10)


def browse(p, manager, where):
    needs(manager[0], 'Xvfb', 'dbus-run-session', 'strace')
    fill(p)
    m = Traced(p)
    with m:
        screen = Screen(p)
        try:
            before = reads(p)
            screen.show(*manager, m(REPORTS))
            counts, absent = m.requests()
            same(reads(p), before, 'looking into a folder is no reading')
            if os.environ.get('DMP_PICTURES'):
                screen.click(*where)
            screen.picture(manager[0] + '.png')
        finally:
            screen.close()
    print('      %s: %s; absent: %s' % (manager[0], dict(counts), dict(absent)))
    assert counts['readdirplus'] > 0, 'it has not looked into the folder'
    assert counts['getxattr'] + counts['listxattr'] <= 1 and counts['access'] == 0, counts
    assert sum(absent.values()) <= 20 and max(absent.values(), default=0) <= 4, absent
    assert counts['read'] <= 2, counts                    # the beginning of the page, which is the same in all
    # Thumbnailers open each file, Thunar's several times a second while it is shown; each refusal takes some 30 microseconds.
    assert counts['open'] <= 40 * FILES, counts


def test_thunar_looks_into_a_folder_with_few_questions_and_no_reading(p):
    browse(p, ('thunar',), (250, 200, 3))


def test_nautilus_looks_into_a_folder_with_few_questions_and_no_reading(p):
    browse(p, ('nautilus', '--new-window'), (370, 130, 3))


def test_evince_shows_a_document_and_that_is_one_reading(p):
    needs('evince', 'Xvfb', 'dbus-run-session')
    p.deposit('Lisible', PDF)
    with Mount(p, 'doctor', point=picture_point()) as m:
        screen = Screen(p)
        try:
            screen.show('evince', m(REPORTS, '2026-03-12 Lisible – Dr Martin.pdf'))
            screen.picture('evince.png')
            assert reads(p) >= 1
            maps = [l for pid in subprocess.run(['pgrep', '-x', 'evince'], stdout=subprocess.PIPE, text=True).stdout.split()
                    for l in open('/proc/%s/maps' % pid)]
            assert maps, 'evince is not there'
        finally:
            screen.close()


OBJECTS = [b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Kids[3 0 R]/Count 1>>',
           b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>',
           b'<</Length 66>>stream\nBT /F1 24 Tf 72 720 Td (Compte rendu de consultation) Tj ET       \nendstream',
           b'<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>']
PDF = b'%PDF-1.4\n' + b''.join(b'%d 0 obj' % (i + 1) + o + b'endobj\n' for i, o in enumerate(OBJECTS)) + b'trailer<</Size 6/Root 1 0 R>>\n%%EOF\n'


def big_pdf(pages):
    """Each page half a megabyte, read when it is shown."""
    kids = b' '.join(b'%d 0 R' % (3 + 2 * i) for i in range(pages))
    objects = [b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Kids[%s]/Count %d>>' % (kids, pages)]
    for i in range(pages):
        drawn = b'0.%d g 0 0 595 842 re f %%' % (i % 10) + b'x' * 500000 + b'\n'
        objects.append(b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R>>' % (4 + 2 * i))
        objects.append(b'<</Length %d>>stream\n' % len(drawn) + drawn + b'endstream')
    out, at = b'%PDF-1.4\n', []
    for i, o in enumerate(objects):
        at.append(len(out))
        out += b'%d 0 obj' % (i + 1) + o + b'endobj\n'
    table = b'xref\n0 %d\n0000000000 65535 f \n' % (len(at) + 1) + b''.join(b'%010d 00000 n \n' % n for n in at)
    return out + table + b'trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n' % (len(at) + 1, len(out))


PIDFD_GETFD = 438                                         # where os has none


def held_by(program, path):
    """A copy of the very descriptor under which a running program has the file open."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    for pid in subprocess.run(['pgrep', '-x', program], stdout=subprocess.PIPE, text=True).stdout.split():
        for fd in os.listdir('/proc/%s/fd' % pid):
            if os.readlink('/proc/%s/fd/%s' % (pid, fd)) == path:
                own = os.pidfd_open(int(pid))
                copy = call(PIDFD_GETFD, own, int(fd), 0)
                os.close(own)
                assert copy >= 0, os.strerror(ctypes.get_errno())
                return copy
    raise AssertionError(program + ' does not hold ' + path)


def test_evince_that_holds_a_large_document_reads_no_more_of_it_once_it_is_masked(p):
    needs('evince', 'Xvfb', 'dbus-run-session', 'xdotool')
    document = p.deposit('Longue', big_pdf(40))
    with Mount(p, 'pharmacist') as m:
        screen = Screen(p)
        try:
            path = m(REPORTS, '2026-03-12 Longue – Dr Martin.pdf')
            screen.show('evince', path)
            fd = held_by('evince', path)
            size = os.fstat(fd).st_size
            assert size > 20000000 and len(os.pread(fd, size, 0)) == size      # all of it is in the kernel's memory
            p.mask(document)
            began = time.monotonic()
            for at in (0, size // 2, size - 4096):        # what evince had read already, and what it had not
                assert wait_until(lambda: error_of(os.pread, fd, 4096, at) == 'ESTALE', began + TWO_SECONDS - time.monotonic()), at
            print('      evince holds a descriptor that gave nothing more after %d ms' % ((time.monotonic() - began) * 1000))
            subprocess.run(['xdotool', 'search', '--onlyvisible', '--class', 'evince', 'windowfocus', 'key', '--clearmodifiers', 'ctrl+End'],
                           env=screen.environment, stdout=subprocess.DEVNULL, check=False)
            time.sleep(2)                                 # it asks for the last page, or has ended by now
            same(error_of(os.pread, fd, 4096, size - 4096), 'ESTALE')
            same(error_of(os.stat, path), 'ENOENT')
            os.close(fd)
        finally:
            screen.close()


def test_the_names_that_file_managers_probe_reach_the_driver_once_a_folder(p):
    needs('strace')
    fill(p)
    with open(os.path.join(ROOT, 'tests', 'fixtures', 'desktop', 'probes.tsv'), encoding='utf-8') as f:
        probes = [line.rstrip('\n').split('\t') for line in f if not line.startswith('#')]
    m = Traced(p)
    with m:
        for name, times in probes:
            for _ in range(int(times)):
                for folder in ('', FOLDER, REPORTS):
                    same(error_of(os.stat, m(folder, name)), 'ENOENT', name)
        path = m(REPORTS, m.list(REPORTS)[0])
        for _ in range(50):
            os.access(path, os.R_OK)
            for name in ('user.xdg.origin.url', 'security.selinux', 'system.posix_acl_access'):
                assert error_of(os.getxattr, path, name) in ('ENOTSUP', 'EOPNOTSUPP', 'ENODATA'), name
            assert error_of(lambda: os.listxattr(path)) in ('OK', 'ENOTSUP', 'EOPNOTSUPP')
        counts, absent = m.requests()
    assert len(probes) >= 8 and sum(int(t) for _, t in probes) > 150
    same({n: absent[n] for n, _ in probes if absent[n] > 3}, {}, 'asked again')
    assert counts['getxattr'] <= 1 and counts['listxattr'] <= 1 and counts['access'] == 0, counts


if __name__ == '__main__':
    door.main(globals())
