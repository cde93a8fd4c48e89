#!/usr/bin/python3
"""What ends under a live mount: rights, sessions, the record itself. And what comes back without mounting again.
  test_ending.py [build [name…]]     as test_mount.py, whose practice and mounts it uses
  DMP_READERS_SECONDS=600            how long the sixteen readers read (15)"""
import mmap, os, random, shutil, signal, sqlite3, subprocess, sys, threading, time
import test_mount as door
from test_mount import FOLDER, MAPPER, PIN, REPORTS, TWO_SECONDS, Mount, Skip, error_of, same, wait_until

LETTER = '2026-03-12 Lettre – Dr Martin.pdf'
MANY, WITHIN = 2000, 0.2


def mapper(path):
    """Another process that goes on reading a mapping."""
    plain = {k: v for k, v in os.environ.items() if k != 'LD_PRELOAD'}    # a sanitizer would catch the SIGBUS
    process = subprocess.Popen(['/usr/bin/python3', '-c', MAPPER, path], stdout=subprocess.PIPE, text=True, env=plain)
    same(process.stdout.readline(), 'mapped\n')
    return process


def many_open(p, m):
    """Descriptors of all documents, each read once: their pages are in the kernel's memory."""
    fds = [os.open(m(REPORTS, name), os.O_RDONLY) for name in m.list(REPORTS)]
    for fd in fds:
        assert os.pread(fd, 4096, 0)
    return fds


def time_to_close(fds, since):
    """Seconds until none of them gives a byte."""
    for fd in fds:
        while error_of(os.pread, fd, 1, 0) == 'OK':
            assert time.monotonic() - since < 10, 'a descriptor still gives bytes'
            time.sleep(0.001)
    return time.monotonic() - since


def test_two_thousand_open_documents_are_closed_within_200_ms_of_a_withdrawal_and_a_mapping_with_them(p):
    p['doctor'].execute('BEGIN')
    for i in range(MANY):
        p.deposit('Document %04d' % i, b'secret ' * 600)
    p['doctor'].execute('COMMIT')
    with Mount(p, 'pharmacist') as m:
        fds = many_open(p, m)
        same(len(fds), MANY)
        process = mapper(m(REPORTS, m.list(REPORTS)[0]))
        warm = time.monotonic()
        for fd in fds:
            os.pread(fd, 4096, 0)
        warm = time.monotonic() - warm
        p['patient'].execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (p.patient, p.pharmacist))
        since = time.monotonic()
        took = time_to_close(fds, since)
        print('      %d open documents closed in %d ms; reading them warm took %d ms' % (MANY, took * 1000, warm * 1000))
        assert wait_until(lambda: process.poll() is not None, TWO_SECONDS)
        same(process.returncode, -signal.SIGBUS)
        for fd in fds:
            os.close(fd)
        assert took < WITHIN * (5 if 'san' in os.path.basename(door.BUILD) else 1), took


def pharmacy(p, patients):
    """A team with the doctor as its manager and the pharmacist in it, to which these patients consent; he has nothing else."""
    team = p['authority'].execute("INSERT INTO principal(kind, name, profession, facility) VALUES ('team', 'Pharmacie', '21', 'Hôpital')").lastrowid
    p['authority'].execute('INSERT INTO membership(team, member, manager) VALUES (?, ?, 1)', (team, p.doctor))
    p['doctor'].execute('INSERT INTO membership(team, member) VALUES (?, ?)', (team, p.pharmacist))
    for who, patient in patients.items():
        p[who].execute('INSERT INTO consent(patient, grantee) VALUES (?, ?)', (patient, team))
    return team


def test_a_departure_from_a_team_closes_the_open_documents_of_all_its_patients(p):
    patients = {}
    for i in range(40):
        who = 'marie%d' % i
        patients[who] = p.register(who, birth_name='Dupont', given_names='Marie %02d' % i, birth_date='1970-01-02', sex='F')
        p.sessions[who] = p.login(who)
    p['doctor'].execute('BEGIN')
    for patient in patients.values():
        for i in range(50):
            p.deposit('Document %02d' % i, b'secret ' * 600, patient=patient)
    p['doctor'].execute('COMMIT')
    team = pharmacy(p, patients)
    with Mount(p, 'pharmacist') as m:
        folders = [f for f in m.list() if f != FOLDER]
        same(len(folders), 40)
        fds = [os.open(m(f, 'Comptes rendus', n), os.O_RDONLY) for f in folders for n in m.list(f, 'Comptes rendus')]
        same(len(fds), MANY)
        for fd in fds:
            assert os.pread(fd, 4096, 0)
        masked = fds[-1]
        p['marie39'].execute('INSERT INTO mask(patient, document) VALUES (?, ?)', (patients['marie39'], os.fstat(masked).st_ino))
        print('      one of them masked: closed in %d ms' % (time_to_close([masked], time.monotonic()) * 1000))
        p['doctor'].execute('DELETE FROM membership WHERE team = ? AND member = ?', (team, p.pharmacist))
        took = time_to_close(fds, time.monotonic())
        print('      %d open documents of 40 patients closed in %d ms' % (MANY, took * 1000))
        for fd in fds:
            os.close(fd)
        assert wait_until(lambda: m.list() == [FOLDER], TWO_SECONDS), m.list()
        assert took < TWO_SECONDS, took


if __name__ == '__main__':
    door.main(globals())
