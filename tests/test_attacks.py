#!/usr/bin/python3
"""What the host, a thief, a colleague and a crash can do to a record, and what holds. Usage: test_attacks.py [BUILD_FOLDER [TEST_NAME...]]
The host writes here through a plain SQLite connection, which has no key. Forgeries that need real keys are in test_forgery.c."""
import glob
import hashlib
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import unittest
from harness import (BUILD, PIN, SO, Case, Practice, deposit, documents, error_of, main, one, open_record)

YES = os.path.join(BUILD, 'yes', 'dmp.so')
CANARIES = ['KANARI-TITRE', 'KANARI-CORPS', 'KANARI-NOM', 'KANARI-PRENOM', 'KANARI-VALEUR', 'KANARI-EPISODE', '271058815400233', 'kanari@code']
PEOPLE = {'treating': ('10', 1), 'pharmacist': ('21', 0), 'left': ('21', 0), 'nurse': ('60', 0)}
BOXES = [('certificate', 'box'), ('keyset', 'box'), ('grant', 'box'), ('object', 'wrap'), ('object', 'header'), ('wrap', 'wrap'),
         ('chunk', 'box'), ('state', 'box')]
VIEWS = ('SELECT * FROM document ORDER BY id', 'SELECT * FROM patient', 'SELECT * FROM identity', 'SELECT * FROM consent ORDER BY grantee',
         'SELECT * FROM mask ORDER BY document', 'SELECT id,name FROM principal ORDER BY id')
CORRUPT = r'^dmp-E0(05|06|07|08|30|34|35|36|37|38|39|40): '
NOBODY = 65534


def history(options='kdf=1x8'):
    """A record with some life in it: every kind of box is there, all keys are adopted or lie as packets, one person has left."""
    p = Practice(PEOPLE, options=options)
    t = p.login('treating')
    p.pid = p.patient('patient', t, 'treating', birth_name='KANARI-NOM', given_names='KANARI-PRENOM', ins='271058815400233',
                      ins_oid='1.2.250.1.213.1.4.10', local_system='urn:local', local_value='KANARI-VALEUR')
    me = p.login('patient')
    p.plain = deposit(t, p.pid, b'KANARI-CORPS un', title='KANARI-TITRE un', episode='KANARI-EPISODE')
    for name in ('pharmacist', 'left', 'nurse'):
        me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id[name]))
    h, left, n = p.login('pharmacist'), p.login('left'), p.login('nurse')
    p.long = deposit(h, p.pid, b'KANARI-CORPS' * 9000, title='KANARI-TITRE long')
    p.hidden = deposit(h, p.pid, b'KANARI-CORPS masque', title='KANARI-TITRE masque', masked=1)
    p.masked = deposit(t, p.pid, b'KANARI-CORPS deux', title='KANARI-TITRE deux')
    me.execute('INSERT INTO mask(document) VALUES(?)', (p.masked,))
    me.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (p.pid, p.id['left']))
    p.gone = deposit(left, p.pid, b'KANARI-CORPS depart', title='KANARI-TITRE depart')
    p.con = {'patient': me, 'treating': t, 'pharmacist': h, 'left': left, 'nurse': n, 'authority': p.authority}
    return p


def view(con):
    out = []
    for sql in VIEWS:
        try:
            out.append(con.execute(sql).fetchall())
        except sqlite3.Error as e:
            out.append(str(e))
    return out


def alterations(box, other_row, other_kind, other_record):
    """(name, bytes) of everything that may be put in a box's place."""
    for at, bit in ((0, 1), (1, 0x10), (2, 0x80), (len(box) // 2, 4), (len(box) - 16, 1), (len(box) - 1, 0x80)):
        yield 'bit flipped at %d' % at, box[:at] + bytes([box[at] ^ bit]) + box[at + 1:]
    for n in (0, 1, 13, len(box) - 1):
        yield 'cut to %d bytes' % n, box[:n]
    yield 'a byte longer', box + b'\0'
    for name, other in (('another row', other_row), ('another kind', other_kind), ('another record', other_record)):
        if other is not None:
            yield 'the box of ' + name, other


class Boxes(Case):
    """Every kind of sealed value, altered by who holds the file and no key."""
    SEALED = 0x12                                        # the suite byte of a box sealed to a public key

    @classmethod
    def setUpClass(cls):
        cls.p, cls.q = history(), history()
        cls.raw = cls.p.raw()
        cls.base = {n: view(c) for n, c in cls.p.con.items()}
        cls.other = cls.q.raw()

    @classmethod
    def tearDownClass(cls):
        cls.p.drop()
        cls.q.drop()

    def setUp(self):
        self.assertEqual({n: view(c) for n, c in self.p.con.items()}, self.base)

    def rows(self, con, table, column):
        return con.execute('SELECT id,%s FROM dmp_%s WHERE %s IS NOT NULL ORDER BY id' % (column, table, column)).fetchall()

    def named(self, table, row):
        """Whether somebody's dmp_verify names the row; a chunk is named by its document."""
        places = {('dmp_' + table, row)}
        if table == 'chunk':
            document = one(self.raw, 'SELECT object FROM dmp_chunk WHERE id=?', row)
            places = {('dmp_chunk of object', document), ('dmp_object', document)}
        for con in self.p.con.values():
            for r in con.execute('SELECT place,"row",kind FROM dmp_verify').fetchall():
                if r[:2] in places and r[2] == 'fault':
                    return True
        return False

    def verdict(self, con):
        try:
            return {r[0] for r in con.execute('SELECT kind FROM dmp_verify')}
        except sqlite3.Error as e:
            self.assertRegex(str(e), CORRUPT)
            return {'fault'}

    def altered(self, table, column, row, box):
        """Everybody sees what was there before or one clear error (True). The wrapped key of a deposit that nobody has adopted yet
        says not even whose it is: without it the item is absent, and only who holds all keys can name it."""
        self.raw.execute('UPDATE dmp_%s SET %s=? WHERE id=?' % (table, column), (box, row))
        met, sealed = False, (table, column, row) == ('object', 'wrap', self.p.gone)
        for name, con in self.p.con.items():
            for got, before in zip(view(con), self.base[name]):
                if got != before and sealed and isinstance(got, list):
                    self.assertEqual(got, [r for r in before if r[0] != row])
                elif got != before:
                    self.assertIsInstance(got, str, '%s sees other rows' % name)
                    self.assertRegex(got, CORRUPT)
                    self.assertNotIn('KANARI', got)
                    met = True
        return met

    def every(self, table, column):
        mine, kinds, theirs = self.rows(self.raw, table, column), {}, self.rows(self.other, table, column)
        for t, c in BOXES:
            kinds[t, c] = self.rows(self.raw, t, c)[0][1]
        silent = []
        for i, (row, box) in enumerate(mine):
            foreign = next(b for k, b in kinds.items() if k != (table, column))
            all_of_it = list(alterations(box, mine[i - 1][1] if len(mine) > 1 else None, foreign, theirs[i % len(theirs)][1]))
            if i > 1:                                    # every row once, the first two in every way
                all_of_it = [all_of_it[(i * 5) % len(all_of_it)]]
            for n, (how, bad) in enumerate(all_of_it):
                with self.subTest(row=i, how=how):
                    self.altered(table, column, row, bad)
                    if (n == 0 or table == 'chunk') and not self.named(table, row):
                        silent.append(row)
            self.raw.execute('UPDATE dmp_%s SET %s=? WHERE id=?' % (table, column), (box, row))
        return silent

    def test_a_certificate_altered_is_one_error_and_named_and_a_welcome_only_stops_the_newcomer(self):
        silent = self.every('certificate', 'box')
        self.assertEqual(len(silent), len(PEOPLE))        # the boxes for first logins: sealed to the newcomer alone
        self.p.request('late')
        request = one(self.p.authority, 'SELECT dmp_keygen(?,?,?)', self.p.key('later'), PIN, 'kdf=1x8')
        before = {r[0] for r in self.raw.execute('SELECT id FROM dmp_certificate')}
        self.p.authority.execute('BEGIN')
        self.p.authority.execute("INSERT INTO principal(kind,name,profession,certificate) VALUES('professional','L','10',?)", (request,))
        self.p.authority.execute('COMMIT')
        try:
            con, args = self.p.connect(), (self.p.key('later'), PIN, self.p.fingerprint)
            rows = [r for r in self.raw.execute('SELECT id,loc,box FROM dmp_certificate').fetchall() if r[0] not in before]
            for row, _, box in rows:
                self.raw.execute('UPDATE dmp_certificate SET box=? WHERE id=?', (box[:-1] + bytes([box[-1] ^ 1]), row))
                got = error_of(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', args)
                self.assertRegex(got or 'accepted', '^dmp-E0(05|29|30): ')
                self.raw.execute('UPDATE dmp_certificate SET box=? WHERE id=?', (box, row))
            self.assertIsNone(error_of(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', args))
        finally:
            for name in self.base:
                self.base[name] = view(self.p.con[name])

    def test_a_keyset_altered_is_one_error_and_named(self):
        self.assertEqual(self.every('keyset', 'box'), [])

    def test_a_grant_altered_is_one_error_and_named(self):
        self.assertEqual(self.every('grant', 'box'), [])

    def test_the_wrapped_key_of_an_item_altered_is_one_error_and_named(self):
        self.assertEqual(self.every('object', 'wrap'), [])

    def test_a_header_altered_is_one_error_and_named(self):
        self.assertEqual(self.every('object', 'header'), [])

    def test_a_depositors_own_wrap_altered_is_one_error_and_named(self):
        self.assertEqual(self.every('wrap', 'wrap'), [])

    def test_a_chunk_altered_is_one_error_and_named(self):
        self.assertEqual(self.every('chunk', 'box'), [])

    def test_a_state_altered_is_one_error_and_named(self):
        self.assertEqual(self.every('state', 'box'), [])

    def test_two_rows_that_changed_places_are_one_error_and_named(self):
        for table, column in BOXES:
            rows = self.rows(self.raw, table, column)[:2]
            (a, x), (b, y) = rows
            self.raw.execute('UPDATE dmp_%s SET %s=? WHERE id=?' % (table, column), (y, a))
            with self.subTest(table=table, column=column):
                self.altered(table, column, b, x)
            self.raw.execute('UPDATE dmp_%s SET %s=? WHERE id=?' % (table, column), (x, a))
            self.raw.execute('UPDATE dmp_%s SET %s=? WHERE id=?' % (table, column), (y, b))

    def test_a_row_dropped_is_never_an_empty_answer(self):
        for table in ('keyset', 'object', 'wrap', 'chunk', 'state'):
            for row in self.raw.execute('SELECT * FROM dmp_' + table).fetchall()[:8]:
                self.raw.execute('DELETE FROM dmp_%s WHERE id=?' % table, (row[0],))
                with self.subTest(table=table):
                    named = False
                    for name, con in self.p.con.items():
                        for got, before in zip(view(con), self.base[name]):
                            if got != before:
                                self.assertRegex(got if isinstance(got, str) else 'other rows', CORRUPT, name)
                        named |= 'fault' in self.verdict(con)
                    self.assertTrue(named, table)
                self.raw.execute('INSERT INTO dmp_%s VALUES(%s)' % (table, ','.join('?' * len(row))), row)

    def test_a_row_doubled_under_another_id_opens_nothing_more(self):
        for table in ('object', 'wrap', 'state', 'grant', 'keyset'):
            # of the grants one that is adopted: a doubled packet is sealed to its addressee and opens for nobody, so nobody can name it
            row = next(r for r in self.raw.execute('SELECT * FROM dmp_' + table).fetchall() if table != 'grant' or r[2][1] != self.SEALED)
            self.raw.execute('INSERT INTO dmp_%s VALUES(%s)' % (table, ','.join('?' * len(row))), (row[0] ^ 12345,) + row[1:])
            named = False
            for name, con in self.p.con.items():
                for got, before in zip(view(con), self.base[name]):
                    if got != before:
                        self.assertRegex(got if isinstance(got, str) else 'other rows', CORRUPT, '%s %s' % (name, table))
                named |= 'fault' in self.verdict(con)
            self.raw.execute('DELETE FROM dmp_%s WHERE id=?' % table, (row[0] ^ 12345,))
            self.assertTrue(named, table)

    def test_values_of_a_wrong_type_in_the_file_are_one_error(self):
        for table, column in BOXES + [('object', 'loc'), ('grant', 'loc'), ('object', 'version')]:
            row, good = self.raw.execute('SELECT id,%s FROM dmp_%s' % (column, table)).fetchone()
            for bad in ('texte', 1, -1, 1.5, b'', b'x' * 100000):
                with self.subTest(table=table, column=column, value=str(bad)[:10]):
                    self.raw.execute('UPDATE dmp_%s SET %s=? WHERE id=?' % (table, column), (bad, row))
                    for name, con in self.p.con.items():
                        for got, before in zip(view(con), self.base[name]):
                            self.assertTrue(got == before or isinstance(got, str) or column == 'loc', name)
            self.raw.execute('UPDATE dmp_%s SET %s=? WHERE id=?' % (table, column), (good, row))


class PutBack(Case):
    """Rows as they were at an earlier time, put back by the host."""

    def setUp(self):
        self.p = history()
        self.addCleanup(self.p.drop)
        self.raw = self.p.raw()
        self.me, self.t, self.h = (self.p.con[n] for n in ('patient', 'treating', 'pharmacist'))

    def rows(self, table):
        return {r[0]: r for r in self.raw.execute('SELECT * FROM dmp_' + table)}

    def put(self, table, row):
        self.raw.execute('INSERT OR REPLACE INTO dmp_%s VALUES(%s)' % (table, ','.join('?' * len(row))), row)

    def faults(self, con):
        return {r[:2] for r in con.execute("SELECT place,\"row\" FROM dmp_verify WHERE kind='fault'")}

    def test_an_item_put_back_as_it_was_before_its_mask_opens_for_nobody(self):
        before = self.rows('object')[self.p.plain]
        self.me.execute('INSERT INTO mask(document) VALUES(?)', (self.p.plain,))
        self.assertNotIn(self.p.plain, documents(self.h))
        self.put('object', before)
        for con in (self.me, self.t, self.h):
            self.refused(38, con, 'SELECT * FROM document')
        self.assertIn('dmp_state', {f[0] for f in self.faults(self.h)})
        self.refused(38, self.p.login('pharmacist'), 'SELECT title FROM document')

    def test_an_item_and_its_state_put_back_are_named_by_the_log(self):
        objects, states = self.rows('object'), self.rows('state')
        self.me.execute('INSERT INTO mask(document) VALUES(?)', (self.p.plain,))
        changed = [r for i, r in states.items() if self.rows('state')[i] != r]
        self.put('object', objects[self.p.plain])
        for r in changed:
            self.put('state', r)
        named = {f for f in self.faults(self.me) if f[0] == 'dmp_state'}
        self.assertTrue({('dmp_state', r[0]) for r in changed} <= named)

    def test_a_wrapped_key_put_back_beside_the_new_header_is_one_error(self):
        before = self.rows('object')[self.p.plain]
        self.me.execute('INSERT INTO mask(document) VALUES(?)', (self.p.plain,))
        now = self.rows('object')[self.p.plain]
        for mixed in (now[:2] + before[2:3] + now[3:], now[:1] + before[1:3] + now[3:], now[:3] + before[3:5] + now[5:], now[:3] + before[3:4] + now[4:]):
            self.put('object', mixed)
            for con in (self.me, self.t, self.h):
                got = error_of(con, 'SELECT content FROM document')
                self.assertRegex(got or 'dmp-E005: nothing of it', CORRUPT)
                if got is None:
                    self.assertNotIn(self.p.plain, documents(con))
            self.assertTrue(self.faults(self.me))

    def test_a_state_put_back_is_one_error_and_named(self):
        states = self.rows('state')
        new = deposit(self.t, self.p.pid)
        changed = [r for i, r in states.items() if self.rows('state')[i] != r]
        for r in changed:
            now = self.rows('state')[r[0]]
            self.put('state', r)
            self.assertIn(('dmp_state', r[0]), self.faults(self.t))
            self.put('state', now)
        self.assertIn(new, documents(self.h))
        self.assertEqual(self.faults(self.t), set())

    def test_the_newest_keyset_dropped_is_one_error_and_an_old_one_in_its_place_another(self):
        keysets = self.rows('keyset')
        self.me.execute('UPDATE patient SET treating_doctor=NULL WHERE id=?', (self.p.pid,))
        deposit(self.me, self.p.pid)
        newest = next(r for i, r in self.rows('keyset').items() if i not in keysets)
        self.raw.execute('DELETE FROM dmp_keyset WHERE id=?', (newest[0],))
        self.refused(35, self.me, 'SELECT treating_doctor FROM patient')
        self.assertIn(('dmp_keyset', newest[0]), self.faults(self.me))
        older = next(iter(keysets.values()))
        self.put('keyset', (newest[0], newest[1], older[2]))
        self.refused(5, self.me, 'SELECT treating_doctor FROM patient')
        self.put('keyset', newest)
        self.assertIsNone(one(self.me, 'SELECT treating_doctor FROM patient'))

    def test_an_old_grant_put_back_after_its_packets_were_adopted_is_stale_never_empty(self):
        deposit(self.h, self.p.pid)                      # adopts what waits
        old = self.rows('grant')
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.p.pid, self.p.id['left']))
        deposit(self.h, self.p.pid)                      # adopts the packet of the new keyset
        now = self.rows('grant')
        changed = [r for i, r in old.items() if i in now and now[i] != r]
        self.assertGreaterEqual(len(changed), 2)         # the pharmacist's and the patient's
        for r in changed:
            self.put('grant', r)
        self.refused(37, self.p.login('pharmacist'), 'SELECT * FROM document')
        self.refused(37, self.h, 'SELECT * FROM document')
        self.assertIn('dmp_grant', {f[0] for f in self.faults(self.h)})
        for r in changed:
            self.put('grant', now[r[0]])
        self.assertIn(self.p.plain, documents(self.h))

    def test_an_old_packet_put_back_changes_nothing_and_goes_with_the_next_one(self):
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.p.pid, self.p.id['left']))
        packets = self.rows('grant')
        deposit(self.h, self.p.pid)
        gone = [r for i, r in packets.items() if i not in self.rows('grant')]
        self.assertGreaterEqual(len(gone), 1)
        for r in gone:
            self.put('grant', r)
        before = documents(self.h)
        self.assertEqual(before, documents(self.p.login('pharmacist')))
        self.me.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.p.pid, self.p.id['left']))
        deposit(self.h, self.p.pid)
        self.assertEqual([r for r in gone if r[0] in self.rows('grant')], [])
        self.assertEqual(len(documents(self.h)), len(before) + 1)
        self.assertEqual(self.faults(self.h), set())

    def test_a_withdrawn_grant_put_back_with_all_its_packets_opens_nothing_written_since(self):
        old = self.rows('grant')
        self.me.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.p.pid, self.p.id['pharmacist']))
        deposit(self.h, self.p.pid, title='apres')       # adopts the withdrawal
        new = deposit(self.t, self.p.pid, title='nouveau')
        for r in old.values():
            self.put('grant', r)
        for con in (self.h, self.p.login('pharmacist')):
            self.refused(37, con, 'SELECT * FROM document')
            self.assertRegex(error_of(con, 'SELECT dmp_read(?,0,9)', (new,)) or 'accepted', '^dmp-E037: ')

    def test_the_whole_file_put_back_beside_the_newer_log_is_named(self):
        self.p.close()
        copy = self.p.path + '.copy'
        shutil.copy(self.p.path, copy)
        me = self.p.login('patient')
        me.execute('INSERT INTO mask(document) VALUES(?)', (self.p.plain,))
        self.p.close()
        for f in glob.glob(self.p.path + '-wal') + glob.glob(self.p.path + '-shm'):
            os.unlink(f)
        shutil.move(copy, self.p.path)
        me = self.p.login('patient')
        self.assertTrue({f[0] for f in self.faults(me)} & {'dmp_state'})


class Log(Case):
    """No log, no data; and what a hex editor does to the log is named."""

    def setUp(self):
        self.p = history()
        self.addCleanup(self.p.drop)
        self.file = os.path.join(self.p.path + '-log', 'access.db')

    def log(self):
        con = sqlite3.connect(self.file, isolation_level=None)
        self.addCleanup(con.close)
        return con

    def places(self, name='patient'):
        con = self.p.login(name)
        try:
            return {r[:2] for r in con.execute("SELECT place,\"row\" FROM dmp_verify WHERE kind='fault'")}
        except sqlite3.Error as e:
            return {(str(e)[:8], None)}

    def test_a_line_changed_in_the_log_is_named(self):
        self.assertEqual(self.places(), set())
        for block, body in self.log().execute('SELECT id,body FROM block ORDER BY id').fetchall()[3:40:6]:
            for at in (20, 100, len(body) - 100, len(body) - 1):
                self.log().execute('UPDATE block SET body=? WHERE id=?', (body[:at] + bytes([body[at] ^ 1]) + body[at + 1:], block))
                self.assertIn(('access log block', block), self.places(), at)
            self.log().execute('UPDATE block SET body=? WHERE id=?', (body, block))
        self.assertEqual(self.places(), set())

    def test_a_block_deleted_swapped_or_cut_off_is_named(self):
        log = self.log()
        blocks = log.execute('SELECT id,body FROM block ORDER BY id').fetchall()
        a, b = blocks[5], blocks[9]
        log.execute('DELETE FROM block WHERE id=?', (a[0],))
        self.assertTrue({p for p, _ in self.places()} & {'access log block'})
        log.execute('INSERT INTO block VALUES(?,?)', a)
        log.execute('UPDATE block SET body=? WHERE id=?', (b[1], a[0]))
        log.execute('UPDATE block SET body=? WHERE id=?', (a[1], b[0]))
        self.assertTrue({('access log block', a[0]), ('access log block', b[0])} & self.places())
        log.execute('UPDATE block SET body=? WHERE id=?', (a[1], a[0]))
        log.execute('UPDATE block SET body=? WHERE id=?', (b[1], b[0]))
        self.assertEqual(self.places(), set())
        log.execute('DELETE FROM line WHERE block=(SELECT max(block) FROM line)')
        self.assertTrue(self.places())

    def test_a_log_cut_before_a_write_is_named_by_the_rows_it_no_longer_covers(self):
        con = self.p.con['treating']
        last = one(self.log(), 'SELECT max(id) FROM block')
        deposit(con, self.p.pid, title='apres la coupe')
        self.p.close()
        log = self.log()
        log.execute('DELETE FROM block WHERE id>?', (last,))
        log.execute('DELETE FROM line WHERE block>?', (last,))
        for tag, block in log.execute('SELECT tag,block FROM head').fetchall():
            if block > last:
                log.execute('DELETE FROM head WHERE tag=?', (tag,))
        places = self.places()
        self.assertTrue(places, 'a log that was cut must not verify')

    def test_bytes_changed_with_a_hex_editor_are_named_or_the_log_is_refused(self):
        self.p.close()
        log = self.log()
        log.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        log.close()
        good = open(self.file, 'rb').read()
        log = sqlite3.connect(self.file)
        bodies = [r[0] for r in log.execute('SELECT body FROM block WHERE length(body)<1500 ORDER BY id')][::5]
        log.close()
        for body in bodies:
            for part in (0, 30, len(body) // 2, len(body) - 40):
                at = good.find(body[part:part + 24])
                with open(self.file, 'r+b') as f:
                    f.seek(at + 8)
                    f.write(bytes([good[at + 8] ^ 0x20]))
                self.assertTrue(self.places(), part)
                self.p.close()
                for f in glob.glob(self.file + '-*'):
                    os.unlink(f)
                with open(self.file, 'wb') as f:
                    f.write(good)
        self.assertEqual(self.places(), set())

    def test_a_log_whose_pages_are_damaged_is_refused_or_named(self):
        self.p.close()
        with open(self.file, 'r+b') as f:
            f.write(b'x' * 40)
        self.assertRegex(error_of(self.p.connect(), 'SELECT dmp_login(?,?)', (self.p.key('treating'), PIN)) or 'accepted', '^dmp-E01[68]: ')

    def gone(self, code, con):
        for sql in ('SELECT * FROM document', 'SELECT dmp_read(%d,0,10)' % self.p.plain):
            self.assertRegex(error_of(con, sql) or 'accepted', '^dmp-E0(%s): ' % code)

    def test_without_the_log_nobody_is_let_in(self):
        self.p.close()
        os.rename(self.p.path + '-log', self.p.path + '-log.away')
        con = self.p.connect()
        self.refused(16, con, 'SELECT dmp_login(?,?)', (self.p.key('treating'), PIN))
        self.refused(23, con, 'SELECT * FROM document')
        os.rename(self.p.path + '-log.away', self.p.path + '-log')
        self.assertEqual(one(con, 'SELECT dmp_login(?,?)', self.p.key('treating'), PIN), self.p.id['treating'])

    def test_the_log_of_another_record_is_refused(self):
        q = Practice({})
        self.addCleanup(q.drop)
        self.p.close()
        shutil.move(self.p.path + '-log', self.p.path + '-log.away')
        shutil.copytree(q.path + '-log', self.p.path + '-log')
        self.refused(18, self.p.connect(), 'SELECT dmp_login(?,?)', (self.p.key('treating'), PIN))

    def test_a_log_that_somebody_else_keeps_locked_stops_the_reading(self):
        con = self.p.login('nurse')
        log = self.log()
        log.execute('BEGIN IMMEDIATE')
        self.gone('16|17', con)
        log.execute('ROLLBACK')
        self.assertIn(self.p.plain, documents(con))

    @unittest.skipIf(os.geteuid() != 0, 'needs root, to become nobody')
    def test_a_log_folder_that_cannot_be_written_gives_no_data(self):
        self.p.close()
        for d, _, names in os.walk(self.p.folder):
            os.chmod(d, 0o777)
            for f in names:
                os.chmod(os.path.join(d, f), 0o666)
                os.chown(os.path.join(d, f), NOBODY, NOBODY)
        os.chmod(self.p.key('nurse'), 0o600)
        shutil.copy(SO, self.p.folder)                   # the build may stand where nobody may go
        script = ("import sys,os; sys.path.insert(0,%r); sys.argv=['x',%r]; from harness import *; os.setgid(%d); os.setuid(%d)\n"
                  "c=open_record(%r)\ntry:\n  one(c,'SELECT dmp_login(?,?)',%r,PIN); print(c.execute('SELECT title FROM document').fetchall())\n"
                  "except sqlite3.Error as e: print(e)") % (os.path.dirname(os.path.abspath(__file__)), self.p.folder, NOBODY, NOBODY, self.p.path,
                                                           self.p.key('nurse'))
        run = lambda: subprocess.run([sys.executable, '-c', script], capture_output=True, text=True).stdout
        self.assertIn('KANARI-TITRE', run())
        for f in glob.glob(self.file + '*'):
            os.chmod(f, 0o444)
            os.chown(f, 0, 0)
        os.chown(self.p.path + '-log', 0, 0)
        os.chmod(self.p.path + '-log', 0o555)
        self.assertRegex(run(), '^dmp-E01[67]: ')

    def test_a_reader_killed_after_the_first_byte_has_its_line_in_the_log(self):
        script = ("import sys,os; sys.path.insert(0,%r); sys.argv=['x',%r]; from harness import *\nc=open_record(%r); one(c,'SELECT dmp_login(?,?)',%r,PIN)\n"
                  "b=one(c,sys.stdin.readline().strip(),%d); os.write(1,(b[:1] if isinstance(b,bytes) else b[:1].encode())); import time; time.sleep(60)")
        script %= (os.path.dirname(os.path.abspath(__file__)), BUILD, self.p.path, self.p.key('nurse'), self.p.long)
        count = lambda action: one(self.p.login('patient'), "SELECT coalesce(sum(count),0) FROM access_log WHERE principal=? AND action=?",
                                   self.p.id['nurse'], action)
        reads, lists = count('read'), count('list')
        for n, sql in enumerate(['SELECT dmp_read(?,0,1)', 'SELECT content FROM document WHERE id=?', 'SELECT title FROM document WHERE id=?'] * 6):
            k = subprocess.Popen([sys.executable, '-c', script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            k.stdin.write(sql.encode() + b'\n')
            k.stdin.flush()
            self.assertEqual(k.stdout.read(1), b'K')
            k.send_signal(signal.SIGKILL)
            k.wait()
            k.stdin.close()
            k.stdout.close()
            if 'title' in sql:
                self.assertGreater(count('list'), lists)
                lists = count('list')
            else:
                self.assertEqual(count('read'), reads + 1, n)
                reads += 1
                lists = count('list')
        self.assertEqual(self.places(), set())


class Cover(Case):
    """The host puts rows back or empties the log, and writes a block of the log itself, by the layout that is published."""
    KEYSET, STATE = 2, 7                                 # the tables' numbers in a block
    HEAD = struct.Struct('<3scI16s16sQ32sI')

    def setUp(self):
        self.p = history()
        self.addCleanup(self.p.drop)
        self.raw = self.p.raw()
        self.log = sqlite3.connect(os.path.join(self.p.path + '-log', 'access.db'), isolation_level=None)
        self.addCleanup(self.log.close)

    def block(self, rows, before):
        """A block by a writer whom nobody knows: rows = (table, id, box); before: the block that it follows, or None."""
        digest = lambda data, n: hashlib.blake2b(data, digest_size=n).digest()
        record = one(self.raw, 'SELECT body FROM dmp_record')[12:28]
        listed = b''.join(struct.pack('<Hq', t, i) + digest(box, 16) for t, i, box in rows)
        tag, last = os.urandom(16), before[1] if before else None
        body = self.HEAD.pack(b'DLG', b'A', 184 + len(listed), record, tag, 0, bytes(32), len(rows)) + listed
        body += (digest(last, 32) if last else bytes(32)) + struct.pack('<I', 0) + os.urandom(64)
        number = before[0] + 1 if before else 1
        self.log.execute('INSERT INTO block VALUES(?,?)', (number, body))
        self.log.execute('INSERT INTO head VALUES(?,?)', (tag, number))

    def parsed(self, body):
        """(table, id) of the rows that a block names."""
        m = self.HEAD.unpack_from(body)[7]
        return [struct.unpack_from('<Hq', body, self.HEAD.size + 26 * i) for i in range(m)]

    def named(self, name):
        return {r[0] for r in self.p.login(name).execute("SELECT place FROM dmp_verify WHERE kind='fault'")}

    def test_rows_put_back_and_covered_by_a_block_of_an_unknown_writer_are_named(self):
        me, h = self.p.con['patient'], self.p.con['pharmacist']
        old = {t: self.raw.execute('SELECT * FROM dmp_' + t).fetchall() for t in ('object', 'wrap', 'state')}
        me.execute('INSERT INTO mask(document) VALUES(?)', (self.p.plain,))
        self.assertNotIn(self.p.plain, documents(h))
        self.assertEqual(self.named('patient') | self.named('treating'), set())
        now = dict(self.raw.execute('SELECT id,box FROM dmp_state'))
        self.raw.execute('BEGIN IMMEDIATE')
        for table, rows in old.items():
            self.raw.execute('DELETE FROM dmp_' + table)
            self.raw.executemany('INSERT INTO dmp_%s VALUES(%s)' % (table, ','.join('?' * len(rows[0]))), rows)
        self.raw.execute('COMMIT')
        back = [(self.STATE, r[0], r[2]) for r in old['state'] if now.get(r[0]) != r[2]]
        last = self.log.execute('SELECT id,body FROM block ORDER BY id DESC LIMIT 1').fetchone()
        written = {row for (body,) in self.log.execute('SELECT body FROM block') for row in self.parsed(body)}
        self.assertTrue({r[:2] for r in back} <= written)  # the layout is the true one
        self.block(back, last)
        for name in ('patient', 'treating'):
            self.assertIn('dmp_state', self.named(name), name)

    def test_a_log_replaced_by_one_block_that_names_every_row_is_named(self):
        self.assertEqual(self.named('patient') | self.named('treating'), set())
        rows = [(n, i, box) for n, t in ((self.STATE, 'state'), (self.KEYSET, 'keyset'))
                for i, box in self.raw.execute('SELECT id,box FROM dmp_' + t)]
        self.log.execute('BEGIN IMMEDIATE')
        for table in ('block', 'line', 'head'):
            self.log.execute('DELETE FROM ' + table)
        self.block(rows, None)
        self.log.execute('COMMIT')
        for name in ('patient', 'treating'):
            self.assertTrue({'dmp_state', 'dmp_keyset'} <= self.named(name), name)
            self.assertIn('dmp_object', self.named(name))  # documents that no line says were deposited
        deposit(self.p.con['treating'], self.p.pid)
        self.assertIn('dmp_state', self.named('patient'))


class Lines(Case):
    """What gets a line, and what must not keep one."""

    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'pharmacist': ('21', 0)})
        self.addCleanup(self.p.drop)
        t = self.p.login('treating')
        self.pid = self.p.patient('patient', t, 'treating')
        self.me = self.p.login('patient')
        self.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['pharmacist']))
        self.doc = deposit(t, self.pid)
        self.t = t

    def lines(self, name, action):
        return one(self.me, 'SELECT coalesce(sum(count),0) FROM access_log WHERE principal=? AND action=?', self.p.id[name], action)

    def test_a_listing_whose_filter_matches_nothing_leaves_its_line(self):
        for sql, args in (("SELECT count(*) FROM document WHERE patient BETWEEN ? AND ? AND type_code='REMB'", (self.pid, self.pid)),
                          ("SELECT count(*) FROM document WHERE patient>=? AND title='aucun'", (self.pid,)),
                          ("SELECT count(*) FROM document WHERE type_code='80788-3'", ()),
                          ("SELECT count(*) FROM document WHERE type_code='11488-4'", ())):
            before = self.lines('pharmacist', 'list')
            con = self.p.login('pharmacist')
            self.assertEqual(one(con, sql, *args), int('11488-4' in sql))
            self.assertEqual(self.lines('pharmacist', 'list'), before + 1, sql)
            con.close()

    def test_what_a_rollback_to_the_savepoint_that_began_the_transaction_undoes_leaves_no_line(self):
        before = self.lines('treating', 'deposit')
        self.t.execute('SAVEPOINT premier')
        gone = deposit(self.t, self.pid, title='annule')
        self.t.execute('ROLLBACK TO premier')
        self.t.execute('RELEASE premier')
        self.assertEqual(documents(self.me), [self.doc])
        self.assertEqual(self.lines('treating', 'deposit'), before)
        self.t.execute('SAVEPOINT premier')
        also = deposit(self.t, self.pid, title='annule aussi')
        self.t.execute('SAVEPOINT second')
        deposit(self.t, self.pid, title='annule deux fois')
        self.t.execute('ROLLBACK TO premier')
        kept = deposit(self.t, self.pid, title='garde')
        self.t.execute('RELEASE premier')
        self.assertEqual(documents(self.me), [self.doc, kept])
        self.assertEqual(self.lines('treating', 'deposit'), before + 1)
        for con in (self.me, self.t):
            self.assertEqual([r for r in con.execute('SELECT object FROM access_log') if r[0] in (gone, also)], [])
            self.assertEqual(con.execute('SELECT * FROM dmp_verify').fetchall(), [])


class Hostile(Case):
    """The host writes the schema, the settings and the files beside the record."""

    def setUp(self):
        self.p = history()
        self.addCleanup(self.p.drop)
        self.raw = self.p.raw()

    def planted(self, sql, undo, name=None):
        before = documents(self.p.con['pharmacist'])
        if name:                                         # the host need not ask SQLite whether it knows the functions
            self.raw.execute('CREATE TABLE %s(a)' % name)
            self.raw.execute('PRAGMA writable_schema=1')
            self.raw.execute('UPDATE sqlite_schema SET sql=? WHERE name=?', (sql, name))
            self.raw.execute('PRAGMA writable_schema=RESET')
        else:
            self.raw.execute(sql)
        for con in (self.p.con['pharmacist'], self.p.con['patient']):
            self.refused(25, con, 'SELECT * FROM document')
            self.refused(25, con, "INSERT INTO document(patient,content,type_code) VALUES(?,x'00','11488-4')", (self.p.pid,))
        self.refused(25, self.p.connect(), 'SELECT dmp_login(?,?)', (self.p.key('nurse'), PIN))
        self.raw.execute(undo)
        self.assertEqual(documents(self.p.con['pharmacist']), before)
        self.p.login('nurse')

    def test_a_check_that_runs_our_functions_is_refused(self):
        self.planted("CREATE TABLE vol(a, CHECK(length(dmp_read(a,0,100))>=0))", 'DROP TABLE vol', 'vol')

    def test_a_view_over_a_shadow_table_is_refused(self):
        self.planted('CREATE VIEW vol AS SELECT * FROM dmp_object', 'DROP VIEW vol')

    def test_a_trigger_that_names_our_functions_is_refused(self):
        self.raw.execute('CREATE TABLE agenda(a)')
        self.planted('CREATE TRIGGER vol AFTER INSERT ON agenda BEGIN SELECT dmp_read(NEW.a,0,9); END', 'DROP TRIGGER vol')

    def test_an_index_or_trigger_on_a_shadow_table_is_refused(self):
        self.planted('CREATE INDEX vol ON dmp_object(version)', 'DROP INDEX vol')
        self.planted('CREATE TRIGGER vol AFTER UPDATE ON dmp_state BEGIN SELECT 1; END', 'DROP TRIGGER vol')
        self.planted('CREATE TRIGGER vol BEFORE INSERT ON dmp_grant BEGIN SELECT RAISE(IGNORE); END', 'DROP TRIGGER vol')

    def test_a_default_that_names_our_functions_is_refused(self):
        self.planted("CREATE TABLE vol(a, b DEFAULT (dmp_read(1,0,1)))", 'DROP TABLE vol')

    def test_a_table_or_view_in_the_place_of_ours_is_refused(self):
        self.raw.execute('PRAGMA writable_schema=1')
        self.raw.execute("UPDATE sqlite_schema SET sql='CREATE TABLE document(id,patient,title,content)',rootpage=2 WHERE name='document'")
        self.raw.execute('PRAGMA writable_schema=RESET')
        con = self.p.connect()
        self.refused(25, con, 'SELECT dmp_login(?,?)', (self.p.key('nurse'), PIN))

    def test_views_and_triggers_of_the_file_never_read_our_tables(self):
        self.raw.execute('CREATE TABLE butin(x)')
        self.raw.execute('CREATE TABLE agenda(a)')
        self.raw.execute('CREATE VIEW vue AS SELECT title FROM document')
        self.raw.execute('CREATE TRIGGER vol AFTER INSERT ON agenda BEGIN INSERT INTO butin SELECT title FROM document; END')
        con = self.p.login('treating')
        self.fails(con, 'SELECT * FROM vue')
        self.fails(con, 'INSERT INTO agenda VALUES(1)')
        self.assertEqual(one(con, 'SELECT count(*) FROM butin'), 0)
        self.assertIn(self.p.plain, documents(con))

    def test_tables_of_the_practice_beside_the_record_are_welcome(self):
        self.raw.execute('CREATE TABLE rendez_vous(id INTEGER PRIMARY KEY, jour TEXT CHECK(jour<>\'\'))')
        self.raw.execute('CREATE INDEX par_jour ON rendez_vous(jour)')
        self.raw.execute('CREATE VIEW demain AS SELECT * FROM rendez_vous')
        self.assertIn(self.p.plain, documents(self.p.login('treating')))

    def test_a_child_of_a_fork_reads_nothing_with_its_parents_session(self):
        con = self.p.con['patient']
        self.assertIn(self.p.plain, documents(con))
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            for sql in ('SELECT * FROM document', 'SELECT dmp_read(%d,0,9)' % self.p.plain, 'SELECT * FROM dmp_verify'):
                os.write(w, (error_of(con, sql) or 'accepted').encode()[:8] + b'\n')
            os._exit(0)
        os.close(w)
        os.waitpid(pid, 0)
        got = os.read(r, 100).decode().split()
        os.close(r)
        self.assertEqual(got, ['dmp-E026'] * 3)
        self.assertIn(self.p.plain, documents(con))

    def test_temporary_files_in_clear_are_refused_at_login_and_later(self):
        con = sqlite3.connect(self.p.path, isolation_level=None)
        self.addCleanup(con.close)
        con.enable_load_extension(True)
        con.load_extension(SO)
        self.refused(24, con, 'SELECT dmp_login(?,?)', (self.p.key('treating'), PIN))
        con.execute('PRAGMA temp_store=FILE')
        self.refused(24, con, 'SELECT dmp_login(?,?)', (self.p.key('treating'), PIN))
        con.execute('PRAGMA temp_store=MEMORY')
        self.p.login('treating', con)
        self.assertIn(self.p.plain, documents(con))
        con.execute('PRAGMA temp_store=FILE')
        self.refused(24, con, 'SELECT * FROM document')
        self.refused(24, con, 'SELECT dmp_read(?,0,1)', (self.p.plain,))
        con.execute('PRAGMA temp_store=MEMORY')
        self.assertIn(self.p.plain, documents(con))

    def test_the_anchor_missing_short_or_of_another_record_opens_nothing(self):
        anchor = self.p.path + '-anchor'
        good = open(anchor, 'rb').read()
        q = Practice({})
        self.addCleanup(q.drop)
        self.p.close()
        foreign = open(q.path + '-anchor', 'rb').read() + b'x' * 64
        for code, bad in ((31, None), (32, good[:64]), (32, good[:70]), (33, foreign), (33, b'x' * 200)):
            os.unlink(anchor)
            if bad is not None:
                open(anchor, 'wb').write(bad)
            con = self.p.connect()
            got = error_of(con, 'SELECT dmp_login(?,?)', (self.p.key('pharmacist'), PIN)) or error_of(con, 'SELECT * FROM document')
            self.assertRegex(got or 'accepted', '^dmp-E0%d: ' % code)
            if not os.path.exists(anchor):
                open(anchor, 'wb').close()
        open(anchor, 'wb').write(good)
        self.assertIn(self.p.plain, documents(self.p.login('pharmacist')))

    def test_other_bytes_in_the_anchor_open_nothing(self):
        anchor = self.p.path + '-anchor'
        good = open(anchor, 'rb').read()
        self.p.close()
        open(anchor, 'wb').write(good[:64] + bytes(len(good) - 64))
        con = self.p.connect()
        got = error_of(con, 'SELECT dmp_login(?,?)', (self.p.key('pharmacist'), PIN)) or error_of(con, 'SELECT * FROM document')
        self.assertRegex(got or 'accepted', CORRUPT)
        open(anchor, 'wb').write(good)

    def test_our_tables_cannot_be_dropped_and_shadows_not_written_by_mistake(self):
        con = self.p.con['treating']
        for table in ('document', 'dmp', 'patient'):
            self.fails(con, 'DROP TABLE ' + table)
        self.assertIn(self.p.plain, documents(con))


class Attached(Case):
    """The record is attached to a connection beside files that somebody else wrote."""

    def setUp(self):
        self.p = history()
        self.addCleanup(self.p.drop)

    def attached(self, main=':memory:', record=None):
        con = open_record(main)
        self.addCleanup(con.close)
        con.execute('ATTACH ? AS r', (record or self.p.path,))
        return con

    def login(self, con, name):
        self.assertEqual(one(con, "SELECT dmp_login(?,?,'r')", self.p.key(name), PIN), self.p.id[name])

    def planted(self, check, table='note'):
        """A practice's database with a table whose CHECK runs when a row is inserted."""
        path = os.path.join(self.p.folder, 'practice-%d.db' % len(os.listdir(self.p.folder)))
        host = sqlite3.connect(path, isolation_level=None)
        host.execute('CREATE TABLE note(id INTEGER PRIMARY KEY, x TEXT)')
        host.execute('PRAGMA writable_schema=1')         # the host need not ask SQLite whether it knows the functions
        host.execute('UPDATE sqlite_schema SET name=?1,tbl_name=?1,sql=?2',
                     (table, 'CREATE TABLE %s(id INTEGER PRIMARY KEY, x TEXT, CHECK(%s))' % (table, check)))
        host.close()
        return path

    def refused_beside(self, check, table='note'):
        made = os.path.join(self.p.folder, 'planted.dmpkey')
        path = self.planted(check, table)
        con = self.attached(path)
        self.refused(25, con, "SELECT dmp_login(?,?,'r')", (self.p.key('treating'), PIN))
        con = self.attached()
        self.login(con, 'treating')                      # beside nothing else
        self.assertIn(self.p.plain, [r[0] for r in con.execute('SELECT id FROM r.document')])
        con.execute('ATTACH ? AS p', (path,))            # then the file is attached
        self.refused(25, con, 'SELECT * FROM r.document')
        self.refused(25, con, "SELECT dmp_read(?,0,9,'r')", (self.p.plain,))
        self.fails(con, 'INSERT INTO p.%s(id,x) VALUES(11,1)' % table)
        self.assertEqual(one(con, 'SELECT count(*) FROM p.' + table), 0)
        self.assertFalse(os.path.exists(made))
        con.execute('DETACH p')
        self.assertIn(self.p.plain, [r[0] for r in con.execute('SELECT id FROM r.document')])   # and the session is still open

    def test_a_check_that_reads_documents_in_a_file_that_the_record_is_attached_to_is_refused(self):
        self.refused_beside("length(dmp_read(%d,0,100,'r'))>=0" % self.p.plain)

    def test_a_check_that_logs_out_is_refused(self):
        self.refused_beside("dmp_logout('r') IS NULL")

    def test_a_check_that_makes_credentials_is_refused(self):
        self.refused_beside("dmp_keygen('%s','%s','kdf=1x8') IS NOT NULL" % (os.path.join(self.p.folder, 'planted.dmpkey'), PIN))

    def test_a_check_that_changes_a_pin_is_refused(self):
        self.refused_beside("dmp_change_pin('%s','%s','autre-code-1') IS NULL" % (self.p.key('treating'), PIN))
        self.p.login('treating')

    def test_a_hostile_table_named_like_ours_is_refused_too(self):
        for table in ('dmp_x', 'dmp_object', 'document'):
            self.refused_beside("length(dmp_read(%d,0,100,'r'))>=0" % self.p.plain, table)

    def test_a_hostile_file_in_the_place_of_one_that_was_welcome_is_refused(self):
        welcome, hostile = self.planted("x<>''"), self.planted("length(dmp_read(%d,0,100,'r'))>=0" % self.p.plain)
        con = self.attached()
        self.login(con, 'treating')
        for _ in range(2):
            con.execute('ATTACH ? AS p', (welcome,))
            con.execute("INSERT INTO p.note(x) VALUES('rendez-vous')")
            self.assertIn(self.p.plain, [r[0] for r in con.execute('SELECT id FROM r.document')])
            con.execute('DETACH p')
            con.execute('ATTACH ? AS p', (hostile,))     # under the same name, with the same schema version
            self.refused(25, con, 'INSERT INTO p.note(x) VALUES(1)')
            self.refused(25, con, 'SELECT * FROM r.document')
            con.execute('DETACH p')

    def test_a_practices_own_tables_beside_the_record_are_welcome(self):
        con = self.attached(self.planted("x<>''"))
        self.login(con, 'treating')
        con.execute("INSERT INTO main.note VALUES(1,'rendez-vous')")
        self.assertIn(self.p.plain, [r[0] for r in con.execute('SELECT id FROM r.document')])

    def test_a_session_does_not_survive_another_file_attached_under_its_name(self):
        copy = os.path.join(self.p.folder, 'copy.db')
        host = self.p.raw()
        host.execute('VACUUM INTO ?', (copy,))
        shutil.copytree(self.p.path + '-log', copy + '-log')
        shutil.copy(self.p.path + '-anchor', copy + '-anchor')
        new = deposit(self.p.con['treating'], self.p.pid, b'KANARI-CORPS apres la copie')
        lines = lambda: one(self.p.con['patient'], 'SELECT sum(count) FROM access_log WHERE principal=?', self.p.id['pharmacist'])
        before = lines()
        con = self.attached(record=copy)
        self.login(con, 'pharmacist')
        self.assertNotIn(new, [r[0] for r in con.execute('SELECT id FROM r.document')])
        con.execute('DETACH r')
        con.execute('ATTACH ? AS r', (self.p.path,))     # its lines would go to the copy's log
        self.refused(23, con, 'SELECT * FROM r.document')
        self.refused(23, con, "SELECT dmp_read(?,0,9,'r')", (new,))
        self.refused(23, con, "INSERT INTO r.document(patient,content,type_code) VALUES(?,x'00','11488-4')", (self.p.pid,))
        self.assertEqual(lines(), before)
        self.login(con, 'pharmacist')
        self.assertIn(new, [r[0] for r in con.execute('SELECT id FROM r.document')])
        self.assertGreater(lines(), before)


class Disk(Case):
    def full(self, p, size):
        """A deposit by a process that may not write more than so many bytes to a file: what it was told, and what is left."""
        script = ("import sys,os,resource,signal; sys.path.insert(0,%r); sys.argv=['x',%r]; from harness import *\n"
                  "signal.signal(signal.SIGXFSZ,signal.SIG_IGN)\nc=open_record(%r); one(c,'SELECT dmp_login(?,?)',%r,PIN)\n"
                  "resource.setrlimit(resource.RLIMIT_FSIZE,(%d,%d))\n"
                  "try:\n  deposit(c,%d,b'KANARI-CORPS'*200000,title='KANARI-TITRE plein'); print('deposited')\nexcept sqlite3.Error as e: print(e)")
        script %= (os.path.dirname(os.path.abspath(__file__)), BUILD, p.path, p.key('treating'), size, size, p.pid)
        return subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)

    def test_a_disk_that_fills_during_a_deposit_leaves_nothing_half_written(self):
        p = history()
        self.addCleanup(p.drop)
        before, listed = p.counts(), documents(p.con['treating'])
        for size in (200000, 500000, 1200000):
            got = self.full(p, size)
            self.assertNotIn('deposited', got.stdout, got.stderr)
            self.assertRegex(got.stdout, 'full|disk I/O|dmp-E017')
            self.assertEqual(p.counts(), before)
            self.assertEqual(documents(p.con['treating']), listed)
            self.assertEqual([r for r in p.con['treating'].execute('SELECT * FROM dmp_verify')], [])
        self.assertIn('deposited', self.full(p, 100000000).stdout)
        self.assertEqual(len(documents(p.con['treating'])), len(listed) + 1)

    @unittest.skipIf(os.geteuid() != 0 or not shutil.which('mount'), 'needs root, to mount a small disk')
    def test_a_small_disk_gives_an_error_and_works_again_with_room(self):
        folder = tempfile.mkdtemp(prefix='dmp-disk-')
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder], capture_output=True).returncode:
            os.rmdir(folder)
            self.skipTest('no tmpfs here')
        try:
            p = Practice({'treating': ('10', 1)}, folder=os.path.join(folder, 'r'))
            t = p.login('treating')
            pid = p.patient('patient', t, 'treating')
            doc = deposit(t, pid, b'petit')
            got = error_of(t, "INSERT INTO document(patient,content,title,type_code) VALUES(?,zeroblob(4000000),'t','11488-4')", (pid,))
            self.assertRegex(got or 'accepted', 'full|dmp-E017|disk I/O')
            self.assertRegex(error_of(t, 'SELECT * FROM document') or 'dmp-E017', 'dmp-E017')   # no room for the log: no data
            subprocess.run(['mount', '-o', 'remount,size=30m', folder], check=True)
            self.assertEqual(documents(t), [doc])
            t.execute("INSERT INTO document(patient,content,title,type_code) VALUES(?,zeroblob(4000000),'t','11488-4')", (pid,))
            self.assertEqual(len(documents(t)), 2)
            self.assertEqual(t.execute('SELECT * FROM dmp_verify').fetchall(), [])
        finally:
            p.close()
            subprocess.run(['umount', folder])
            os.rmdir(folder)


class AlwaysYes(Case):
    """A build whose rules always say yes: no key, no item."""

    @unittest.skipUnless(os.path.exists(YES), 'make test-builds makes it')
    def test_where_the_rule_says_yes_to_everything_the_pharmacist_still_opens_nothing_masked(self):
        p = history()
        self.addCleanup(p.drop)
        extra = deposit(p.con['patient'], p.pid, type_code='75496-0', title='pour medecins')
        alone = deposit(p.con['patient'], p.pid, type_code='99999-9^1.2.3', title='pour personne')
        before = documents(p.con['pharmacist'])
        con = open_record(p.path, YES)
        self.addCleanup(con.close)
        p.login('pharmacist', con)
        self.assertEqual(documents(con), before)
        for hidden in (p.masked, extra, alone):
            self.refused(41, con, 'SELECT dmp_read(?,0,1)', (hidden,))
            self.fails(con, 'INSERT INTO mask(document) VALUES(?)', (hidden,))
        self.fails(con, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (p.pid, p.id['left']))
        self.assertEqual(con.execute('SELECT * FROM mask').fetchall(), [])
        doctor = open_record(p.path, YES)
        self.addCleanup(doctor.close)
        p.login('treating', doctor)
        self.assertNotIn(alone, documents(doctor))
        self.assertIn(alone, documents(p.con['patient']))


class Bytes(Case):
    """Nothing readable reaches the disk."""

    def scan(self, paths, also=()):
        for path in paths:
            with open(path, 'rb') as f:
                data = f.read()
            for word in CANARIES + list(also):
                for coded in (word.encode(), word.encode('utf-16-le'), word.encode().hex().encode()):
                    self.assertNotIn(coded, data, '%s in %s' % (word, path))

    def life(self, p):
        """All that leaves traces: writes, failures, rollbacks, sorters, big joins, VACUUM."""
        t, me = p.con['treating'], p.con['patient']
        t.execute('BEGIN')
        deposit(t, p.pid, b'KANARI-CORPS annule' * 5000, title='KANARI-TITRE annule')
        t.execute('ROLLBACK')
        error_of(t, "INSERT INTO document(patient,content,title,type_code,creation_time) VALUES(?,?,?,'11488-4','jamais')",
                 (p.pid, b'KANARI-CORPS refuse', 'KANARI-TITRE refuse'))
        t.execute('SELECT a.title,b.content FROM document a, document b, document c ORDER BY b.content,a.title').fetchall()
        t.execute('DELETE FROM document WHERE id=?', (p.plain,))
        me.execute('UPDATE patient SET treating_doctor=NULL WHERE id=?', (p.pid,))
        error_of(t, 'SELECT * FROM dmp_verify')
        raw = p.raw()
        row, box = raw.execute('SELECT id,header FROM dmp_object WHERE id=?', (p.long,)).fetchone()
        raw.execute('UPDATE dmp_object SET header=? WHERE id=?', (box[:-1] + b'x', row))
        error_of(me, 'SELECT * FROM document')
        raw.execute('UPDATE dmp_object SET header=? WHERE id=?', (box, row))

    def test_no_name_title_or_byte_of_a_body_is_on_disk_in_wal_mode_rollback_mode_or_after_vacuum(self):
        for mode in ('WAL', 'DELETE', 'PERSIST'):
            p = history('kdf=1x8,suite=xchacha20' if mode == 'PERSIST' else 'kdf=1x8')
            self.addCleanup(p.drop)
            if mode != 'WAL':
                p.close()
                p.raw().execute('PRAGMA journal_mode=' + mode)
                p.close()
                p.con = {n: p.login(n) for n in ('treating', 'patient', 'pharmacist')}
                for con in p.con.values():
                    con.execute('PRAGMA journal_mode=' + mode)
            self.life(p)
            files = p.files()
            self.assertTrue(any(f.endswith('-wal') or f.endswith('-journal') or mode == 'DELETE' for f in files))
            self.scan(files, [PIN])
            con = p.con['treating']
            self.assertIn(p.masked, documents(con))
            p.close()
            p.raw().execute('VACUUM')
            self.scan(p.files(), [PIN])
            self.assertIn(p.masked, documents(p.login('patient')))

    def test_no_temporary_file_is_made_by_large_sorts(self):
        p = history()
        self.addCleanup(p.drop)
        folder = tempfile.mkdtemp(prefix='dmp-temp-')
        self.addCleanup(shutil.rmtree, folder)
        script = ("import sys,os; os.environ['SQLITE_TMPDIR']=%r; sys.path.insert(0,%r); sys.argv=['x',%r]; from harness import *\n"
                  "c=open_record(%r); c.execute('PRAGMA cache_size=10'); one(c,'SELECT dmp_login(?,?)',%r,PIN)\n"
                  "c.execute('SELECT a.content,b.title FROM document a,document b,document c,document d ORDER BY a.content,b.title').fetchall()")
        script %= (folder, os.path.dirname(os.path.abspath(__file__)), BUILD, p.path, p.key('patient'))
        trace = os.path.join(folder, 'trace')
        if shutil.which('strace'):
            subprocess.run(['strace', '-f', '-e', 'trace=openat,open,memfd_create', '-o', trace, sys.executable, '-c', script], check=True)
            made = [l for l in open(trace, errors='replace') if 'O_CREAT' in l and (folder in l or 'etilqs' in l)]
            self.assertEqual(made, [])
        else:
            subprocess.run([sys.executable, '-c', script], check=True)
            self.assertEqual(os.listdir(folder), [])

    def test_no_error_message_carries_a_value(self):
        p = history()
        self.addCleanup(p.drop)
        con = p.con['treating']
        for columns in ({'type_code': 'KANARI-VALEUR' * 9000}, {'creation_time': 'KANARI-VALEUR'}, {'class_code': 'KANARI-VALEUR'},
                        {'confidentiality': 'KANARI-VALEUR'}, {'masked': 'KANARI-VALEUR'}, {'size': 'KANARI-VALEUR'}):
            given = dict({'patient': p.pid, 'content': b'KANARI-CORPS', 'title': 'KANARI-TITRE', 'type_code': '11488-4'}, **columns)
            got = self.fails(con, 'INSERT INTO document(%s) VALUES(%s)' % (','.join(given), ','.join('?' * len(given))), list(given.values()))
            self.assertNotIn('KANARI', got)
        got = self.refused(11, con, 'SELECT dmp_login(?,?)', (p.key('treating'), 'kanari@code'))
        self.assertNotIn('kanari', got)


class LeftOut(Case):
    """What is told beside the rows, to somebody who is left out: work that is counted, lines of the log, who signs."""

    def setUp(self):
        self.p = Practice(dict(PEOPLE, registrar=('60', 1)))
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')

    def patient(self, name):
        pid = self.p.patient(name, self.t, 'treating')
        con = self.p.login(name)
        for who in ('pharmacist', 'nurse'):
            con.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (pid, self.p.id[who]))
        deposit(self.t, pid, title='Visible')
        return pid, con

    def work(self, con, patient):
        """What a login is told of its own work when it lists and verifies one patient."""
        was = con.execute('SELECT headers_opened,boxes_opened FROM session').fetchone()
        con.execute('SELECT * FROM document WHERE patient=?', (patient,)).fetchall()
        now = con.execute('SELECT headers_opened,boxes_opened FROM session').fetchone()
        return now[0] - was[0], now[1] - was[1]

    def test_who_is_left_out_by_a_circle_is_told_of_the_same_work_as_where_nothing_is_masked(self):
        secret, marie = self.patient('marie')
        plain, _ = self.patient('anne')
        open_before = self.p.login('pharmacist')
        self.assertEqual(self.work(open_before, secret), self.work(open_before, plain))
        d = deposit(self.t, secret, title='Secret')
        marie.execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (d, self.p.id['pharmacist']))
        for con in (open_before, self.p.login('pharmacist')):
            for _ in range(2):
                self.assertEqual(self.work(con, secret), self.work(con, plain))
        nurse = self.p.login('nurse')                      # and who is not left out opens one more
        self.assertGreater(self.work(nurse, secret), self.work(nurse, plain))

    def test_only_the_patients_log_says_that_a_minimal_view_was_made_and_ended(self):
        pid, marie = self.patient('marie')
        d = one(marie, 'SELECT min(id) FROM document')
        before = self.t.execute('SELECT at,action,object FROM access_log WHERE patient=?', (pid,)).fetchall()
        marie.execute('INSERT INTO minimal_view(patient,items,credential,pin) VALUES(?,?,?,?)', (pid, str(d), self.p.key('view'), PIN))
        row = one(marie, 'SELECT id FROM minimal_view')
        marie.execute('DELETE FROM minimal_view WHERE id=?', (row,))
        self.assertEqual([r[0] for r in marie.execute('SELECT action FROM access_log WHERE object=?', (row,))], ['view', 'view end'])
        for con in (self.t, self.p.login('treating')):
            lines = con.execute('SELECT at,action,object FROM access_log').fetchall()
            self.assertFalse([l for l in lines if l[2] == row or l[1].startswith('view')])
            self.assertEqual([l for l in lines if l in before], before)

    def test_a_registrar_whose_card_was_revoked_since_is_no_first_signature_of_a_new_key(self):
        pid, marie = self.patient('marie')
        request = one(marie, 'SELECT dmp_renew(?,?)', self.p.key('marie-2'), PIN)
        first = one(self.p.login('registrar'), 'SELECT dmp_certify(?)', request)
        self.p.authority.execute("UPDATE principal SET status='revoked' WHERE id=?", (self.p.id['registrar'],))
        self.refused(201, self.p.authority, 'SELECT dmp_certify(?)', (first,))
        self.p.authority.execute("UPDATE principal SET status='active' WHERE id=?", (self.p.id['registrar'],))
        self.assertIsNotNone(one(self.p.authority, 'SELECT dmp_certify(?)', first))


class Anew(Case):
    """The authority registers somebody a second time, under the same number and with another key."""

    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'pharmacist': ('21', 0), 'nurse': ('60', 0)})
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('marie', self.t, 'treating')
        self.m = self.p.login('marie')
        for who in ('pharmacist', 'nurse'):
            self.consent(who)

    def consent(self, who):
        self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))

    def again(self, name, number):
        self.p.authority.execute("INSERT INTO principal(kind,identifier,name,profession,certificate) VALUES('professional',?,'ENCORE','21',?)",
                                 (number, self.p.request(name)))
        self.p.id[name] = one(self.p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key(name), PIN, self.p.fingerprint)

    def number(self, name):
        return one(self.p.authority, 'SELECT identifier FROM principal WHERE id=?', self.p.id[name])

    def test_who_is_registered_anew_under_a_number_is_left_out_as_before_and_the_patient_is_told(self):
        d, plain = deposit(self.t, self.pid), deposit(self.t, self.pid)
        self.m.execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (d, self.p.id['pharmacist']))
        self.again('anew', self.number('pharmacist'))
        self.again('other', '81000009999')
        told = [r[0] for r in self.m.execute("SELECT text FROM notification WHERE kind='certificate'")]
        self.assertEqual([t.split(' :')[0] for t in told], ['Quelqu’un est de nouveau enregistré sous le numéro de PHARMACIST'])
        self.assertEqual(documents(self.p.login('anew')), [])  # a consent to the one is none to the other
        for who, sees in (('anew', [plain]), ('other', [d, plain])):
            self.consent(who)
            self.assertEqual(documents(self.p.login(who)), sees, who)

    def test_a_block_holds_for_who_is_registered_anew_until_the_patient_takes_it_away(self):
        self.m.execute('INSERT INTO blocked(patient,professional) VALUES(?,?)', (self.pid, self.p.id['pharmacist']))
        self.again('anew', self.number('pharmacist'))
        insert = 'INSERT INTO consent(patient,grantee) VALUES(?,?)'
        self.refused(111, self.m, insert, (self.pid, self.p.id['anew']))
        self.refused(111, self.t, insert, (self.pid, self.p.id['anew']))
        self.assertEqual(one(self.m, "SELECT count(*) FROM notification WHERE kind='certificate'"), 1)
        self.m.execute('DELETE FROM blocked')
        self.consent('anew')


class Following(Case):
    """A correction, a line that comes before, after or without the act: what protected the one protects the other."""

    def setUp(self):
        self.p = Practice({'treating': ('10', 1), 'gynaecologist': ('10', 0), 'pharmacist': ('21', 0)})
        self.addCleanup(self.p.drop)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('marie', self.t, 'treating')
        self.m = self.p.login('marie')
        for who in ('gynaecologist', 'pharmacist'):
            self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))
        self.p.authority.execute("INSERT INTO principal(kind,name,certificate) VALUES('representative','MERE',?)", (self.p.request('mother'),))
        self.p.id['mother'] = one(self.p.connect(), 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key('mother'), PIN, self.p.fingerprint)
        self.m.execute("INSERT INTO representative(patient,principal,ground) VALUES(?,?,'tuteur')", (self.pid, self.p.id['mother']))
        self.g, self.ph, self.r = (self.p.login(w) for w in ('gynaecologist', 'pharmacist', 'mother'))

    def source(self):
        self.p.authority.execute("INSERT INTO principal(kind,identifier,name,certificate) VALUES('source','180035024','Caisse',?)", (self.p.request('caisse'),))
        con = self.p.connect()
        self.p.id['caisse'] = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', self.p.key('caisse'), PIN, self.p.fingerprint)
        self.m.execute('INSERT INTO feed(patient,source) VALUES(?,?)', (self.pid, self.p.id['caisse']))
        return con

    def line(self, con, episode='e7', label='Forfait'):
        con.execute("INSERT INTO reimbursement(patient,care_date,label,episode) VALUES(?,'2026-03-02',?,?)", (self.pid, label, episode))
        return one(con, 'SELECT last_insert_rowid()')

    def relogin(self):
        self.m = self.p.login('marie')

    def sees(self, *who, table='document'):
        """Who finds what: t, m, g, ph, r."""
        return {name: [r[0] for r in getattr(self, name).execute('SELECT id FROM %s ORDER BY id' % table)] for name in who}

    def sound(self):
        self.relogin()
        for con in (self.m, self.t, self.g, self.ph, self.r):
            self.assertEqual(con.execute('SELECT place,kind,what FROM dmp_verify').fetchall(), [])

    def correct(self, con, former, **columns):
        uid = one(self.m if former in documents(self.m) else self.g, 'SELECT unique_id FROM document WHERE id=?', former)
        return deposit(con, self.pid, title='Correction', replaces=uid, **columns)

    # ---- corrections ----

    def test_a_decoy_under_the_id_of_a_masked_document_does_not_make_its_correction_readable(self):
        former = deposit(self.g, self.pid, title='IVG')
        uid = one(self.ph, 'SELECT unique_id FROM document')
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (former,))
        decoys = [deposit(self.ph, self.pid, title='Leurre', unique_id=uid)]
        self.ph.execute('DELETE FROM document WHERE id=?', decoys)
        decoys = [deposit(self.ph, self.pid, title='Leurre', unique_id=uid)]
        correction = self.correct(self.g, former)
        self.assertEqual(self.sees('ph'), {'ph': decoys})
        self.relogin()
        self.assertEqual(self.sees('ph'), {'ph': decoys})
        self.m.execute('DELETE FROM mask WHERE document IN (?,?)', (former, correction))
        self.assertEqual(self.sees('ph'), {'ph': sorted([former, *decoys, correction])})

    def test_what_was_deleted_and_what_is_masked_are_replaced_alike(self):
        answers = []
        for done in ('DELETE FROM document WHERE id=?', 'INSERT INTO mask(document) VALUES(?)'):
            former = deposit(self.g, self.pid, title='Vu')
            uid = one(self.ph, 'SELECT unique_id FROM document WHERE id=?', former)
            (self.g if done.startswith('DELETE') else self.m).execute(done, (former,))
            self.ph.execute('BEGIN')
            mine = deposit(self.ph, self.pid, title='Suite', replaces=uid)
            answers.append(self.ph.execute('SELECT masked,warning FROM document WHERE id=?', (mine,)).fetchall())
            self.ph.execute('ROLLBACK')
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0][0][0], 1)

    def test_what_waits_for_its_announcement_takes_back_nothing_that_the_patient_has_read(self):
        late = self.line(self.source(), 'sejour-1')
        read = deposit(self.g, self.pid, title='Lu', content=b'lu', episode='sejour-1')
        self.relogin()
        self.assertEqual(one(self.m, 'SELECT dmp_read(?,0,9)', read), b'lu')
        self.assertEqual(self.sees('m', table='reimbursement'), {'m': [late]})
        deposit(self.ph, self.pid, title='Note', episode='sejour-1', invisible_patient=1)
        self.relogin()
        self.assertEqual(one(self.m, 'SELECT dmp_read(?,0,9)', read), b'lu')
        self.assertEqual(self.sees('m', table='reimbursement'), {'m': [late]})

    def test_a_representatives_own_deposit_does_not_tell_that_something_hidden_came_into_its_episode(self):
        deposit(self.t, self.pid, title='Séjour', episode='e1')
        own = deposit(self.r, self.pid, title='Sa note', type_code='EXPPAT_3', episode='e1')
        before = self.r.execute('SELECT id,masked,warning FROM document WHERE id=?', (own,)).fetchall()
        self.assertEqual(before, [(own, 0, None)])
        deposit(self.g, self.pid, title='IVG', episode='e1', hidden_from_representatives=1)
        self.assertEqual(self.r.execute('SELECT id,masked,warning FROM document').fetchall(), before)
        self.assertEqual(len(self.sees('m')['m']), 3)

    def test_a_correction_of_what_shows_shows_to_whom_it_did(self):
        a = deposit(self.g, self.pid)
        b = self.correct(self.g, a)
        self.assertEqual(self.sees('m', 't', 'g', 'ph', 'r'), dict.fromkeys(('m', 't', 'g', 'ph', 'r'), [a, b]))
        self.assertEqual(one(self.ph, 'SELECT availability FROM document WHERE id=?', a), 'Deprecated')
        self.sound()

    def test_a_correction_by_who_does_not_know_of_the_mask_stays_masked_with_it_and_shows_when_it_is_unmasked(self):
        a = deposit(self.g, self.pid)
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        b = self.correct(self.g, a)
        for _ in range(2):
            self.assertEqual(self.sees('m', 't', 'g', 'ph'), {'m': [a, b], 't': [a, b], 'g': [a, b], 'ph': []})
            self.sound()                                       # the patient's next login leaves it there
        self.assertEqual(self.sees('r'), {'r': [a, b]})        # masked from professionals, not from her
        self.m.execute('DELETE FROM mask WHERE document=?', (a,))
        self.relogin()
        self.assertEqual(self.sees('ph', 'r'), {'ph': [a, b], 'r': [a, b]})
        self.sound()

    def test_a_patient_shows_a_correction_of_what_stays_masked(self):
        a = deposit(self.g, self.pid)
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        b = self.correct(self.g, a)
        self.relogin()
        self.m.execute('DELETE FROM mask WHERE document=?', (b,))
        self.relogin()
        deposit(self.t, self.pid, title='Autre')
        self.assertIn(b, documents(self.ph))
        self.assertNotIn(a, documents(self.ph))
        self.sound()

    def test_a_correction_by_the_treating_doctor_or_the_patient_lies_where_its_document_does(self):
        a = deposit(self.t, self.pid)
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        b, c = self.correct(self.t, a), self.correct(self.m, a)
        self.assertEqual(self.sees('m', 't', 'ph'), {'m': [a, b, c], 't': [a, b, c], 'ph': []})
        self.sound()
        self.assertEqual(documents(self.ph), [])
        d = self.correct(self.t, b)                            # and one of a correction
        self.sound()
        self.assertEqual(self.sees('t', 'ph'), {'t': [a, b, c, d], 'ph': []})

    def test_a_correction_of_what_is_masked_from_somebody_is_masked_from_him(self):
        a = deposit(self.g, self.pid)
        for grantee in (self.p.id['pharmacist'], 'treating'):
            self.m.execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (a, grantee))
        b = self.correct(self.g, a)
        self.assertEqual(self.sees('m', 't', 'g', 'ph'), {'m': [a, b], 't': [], 'g': [a, b], 'ph': []})
        other = deposit(self.t, self.pid, title='Autre')       # a write of the treating doctor's does not place it
        self.assertEqual(self.sees('t', 'ph'), {'t': [other], 'ph': [other]})
        self.sound()
        self.assertEqual(self.sees('m', 't', 'g', 'ph', 'r'), {'m': [a, b, other], 't': [other], 'g': [a, b, other], 'ph': [other], 'r': [a, b, other]})
        self.assertEqual({r[0] for r in self.m.execute('SELECT grantee FROM mask WHERE document=?', (b,))}, {self.p.id['pharmacist'], 'treating'})
        self.m.execute('DELETE FROM mask WHERE document=? AND grantee=?', (b, self.p.id['pharmacist']))
        self.assertEqual(self.sees('t', 'ph'), {'t': [other], 'ph': [b, other]})
        self.sound()

    def test_a_correction_of_what_is_hidden_from_representatives_is_hidden(self):
        a = deposit(self.g, self.pid, hidden_from_representatives=1)
        b, c = self.correct(self.g, a), self.correct(self.ph, a)
        self.assertEqual(self.sees('m', 'g', 'ph', 'r'), {'m': [a, b, c], 'g': [a, b, c], 'ph': [a, b, c], 'r': []})
        self.g.execute('DELETE FROM document WHERE id=?', (a,))    # and of what was deleted
        d = deposit(self.g, self.pid, replaces=one(self.m, 'SELECT replaces FROM document WHERE id=?', b) or '2.25.%d' % a)
        self.sound()
        self.assertEqual(self.sees('m', 'r'), {'m': [b, c, d], 'r': []})

    def test_a_correction_of_what_is_not_announced_waits_with_it(self):
        a = deposit(self.g, self.pid, invisible_patient=1)
        b = self.correct(self.g, a)
        self.assertEqual(self.sees('m', 't', 'g', 'ph', 'r'), {'m': [], 't': [a, b], 'g': [a, b], 'ph': [a, b], 'r': []})
        self.assertEqual(one(self.t, 'SELECT warning FROM document WHERE id=?', b), "Attention, ce document n'est pas visible du patient")
        self.refused(88, self.t, 'UPDATE document SET hidden_from_representatives=0 WHERE id=?', (b,))
        self.sound()
        self.assertEqual(self.sees('m', 'r'), {'m': [], 'r': []})
        self.g.execute('UPDATE document SET invisible_patient=0 WHERE id=?', (a,))
        self.assertEqual(self.sees('m'), {'m': [a, b]})
        self.sound()
        self.assertEqual(self.sees('m', 'r', 'ph'), {'m': [a, b], 'r': [a, b], 'ph': [a, b]})

    def test_a_correction_of_what_nobody_has_seen_shows_once_who_knows_has_logged_in(self):
        b = deposit(self.g, self.pid, replaces='1.2.3.4.5')
        self.assertEqual(self.sees('t', 'ph'), {'t': [b], 'ph': []})
        self.sound()
        self.assertEqual(self.sees('m', 't', 'ph', 'r'), dict.fromkeys(('m', 't', 'ph', 'r'), [b]))
        c = deposit(self.t, self.pid, replaces='1.2.3.4.6')    # the treating doctor knows that there is none
        self.assertEqual(self.sees('ph', 'r'), {'ph': [b, c], 'r': [b, c]})

    # ---- lines ----

    def test_a_line_that_comes_when_the_hidden_act_was_deleted_is_hidden_too(self):
        a = deposit(self.g, self.pid, episode='e7', hidden_from_representatives=1)
        self.g.execute('DELETE FROM document WHERE id=?', (a,))
        caisse = self.source()
        for con in (self.g, self.ph, caisse):
            self.line(con)
        self.relogin()
        self.assertEqual(len(self.sees('m', table='reimbursement')['m']), 3)
        self.assertEqual(self.sees('r', table='reimbursement'), {'r': []})
        self.line(caisse, 'e8')                                # another episode is not touched
        self.relogin()
        self.assertEqual(len(self.sees('r', table='reimbursement')['r']), 1)
        self.sound()

    def test_a_line_that_came_before_the_hidden_act_is_hidden_with_it_and_may_be_shown_again(self):
        caisse = self.source()
        lines = [self.line(caisse), self.line(self.ph, label='Boîte')]
        self.line(self.ph, 'e8')
        self.relogin()
        self.assertEqual(len(self.sees('r', table='reimbursement')['r']), 3)
        deposit(self.g, self.pid, episode='e7', hidden_from_representatives=1)
        self.assertEqual(len(self.sees('r', table='reimbursement')['r']), 1)
        self.assertEqual(one(self.r, 'SELECT count(*) FROM dmp_verify'), 0)
        self.sound()
        self.assertEqual(len(self.sees('r', table='reimbursement')['r']), 1)
        mine = [i for i, in self.m.execute("SELECT id FROM reimbursement WHERE episode='e7'")]
        self.m.execute('UPDATE reimbursement SET hidden_from_representatives=0 WHERE id=?', (mine[1],))
        self.relogin()
        self.assertIn(mine[1], self.sees('r', table='reimbursement')['r'])
        self.assertNotIn(mine[0], self.sees('r', table='reimbursement')['r'])
        self.assertEqual(len(lines), 2)

    def test_what_stems_from_an_act_that_is_not_announced_shows_to_the_patient_with_it(self):
        a = deposit(self.g, self.pid, episode='e7', invisible_patient=1)
        caisse = self.source()
        self.line(caisse)
        self.line(self.ph, label='Boîte')
        deposit(self.t, self.pid, episode='e7', title='Suite')
        for _ in range(2):
            self.assertEqual(self.sees('m', table='reimbursement'), {'m': []})
            self.assertEqual(documents(self.m), [])
            self.assertEqual(self.m.execute("SELECT action FROM access_log WHERE action='deposit'").fetchall(), [])
            self.assertEqual(self.m.execute('SELECT * FROM mask').fetchall() + self.m.execute('SELECT * FROM dmp_verify').fetchall(), [])
            self.assertEqual(self.m.execute('SELECT count(*) FROM access_right').fetchone(), (0,))
            self.relogin()
        self.assertEqual(len(self.sees('t', table='reimbursement')['t']), 2)
        self.assertEqual(self.sees('r', table='reimbursement'), {'r': []})
        self.g.execute('UPDATE document SET invisible_patient=0 WHERE id=?', (a,))
        self.assertEqual(len(self.sees('m', table='reimbursement')['m']), 2)
        self.assertEqual(len(documents(self.m)), 2)
        self.sound()
        self.assertEqual([len(self.sees(w, table='reimbursement')[w]) for w in ('r', 'ph', 't')], [2, 2, 2])

    @unittest.skipUnless(os.path.exists(os.path.join(BUILD, 'dmpfs')) and os.path.exists('/dev/fuse') and os.geteuid() == 0, 'needs dmpfs, /dev/fuse and root')
    def test_in_a_mount_a_correction_is_where_what_it_replaces_is(self):
        from test_representatives import Mount
        a = deposit(self.g, self.pid, title='Secret')
        hidden = deposit(self.g, self.pid, title='Cache', hidden_from_representatives=1)
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (a,))
        self.correct(self.g, a)
        self.correct(self.g, hidden)
        names = {}
        for who in ('marie', 'pharmacist', 'mother'):
            m = Mount(self.p, who)
            try:
                names[who] = m.files()
            finally:
                m.close()
        self.assertEqual([len(names[w]) for w in ('marie', 'pharmacist', 'mother')], [4, 2, 2], names)


if __name__ == '__main__':
    main()
