#!/usr/bin/python3
"""Bad input through SQL: each gets its own error and nothing is written. Usage: test_bad_input.py [BUILD_FOLDER [TEST_NAME...]]"""
import os
import shutil
import sqlite3
import struct
import tempfile
import unittest
from harness import BUILD, NO_SUCH_ID, PIN, SHADOWS, SO, Case, Practice, deposit, documents, error_of, main, one, open_record

RANDOM = os.path.join(BUILD, 'random', 'dmp.so')
LONG_TITLE = ('../' + 'é\n\t/\\\u202e\u2066:*?"<>|' + 'a' * 90) * 100
REAL_INS, TEST_INS = ('271058815400233', '1.2.250.1.213.1.4.8'), ('271058815400299', '1.2.250.1.213.1.4.10')


def ins_of(body):
    """A number of 13 digits and its key."""
    return body + '%02d' % (97 - int(body) % 97)


class Bad(Case):
    @classmethod
    def setUpClass(cls):
        cls.p = Practice({'treating': ('10', 1), 'pharmacist': ('21', 0), 'nurse': ('60', 0)})
        cls.t = cls.p.login('treating')
        cls.pid = cls.p.patient('patient', cls.t, 'treating', ins=ins_of('2710588154002'), ins_oid=REAL_INS[1])
        cls.me = cls.p.login('patient')
        cls.me.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (cls.pid, cls.p.id['pharmacist']))
        cls.h = cls.p.login('pharmacist')
        cls.doc = deposit(cls.t, cls.pid, b'corps', unique_id='1.2.3')
        deposit(cls.h, cls.pid)
        deposit(cls.me, cls.pid)

    @classmethod
    def tearDownClass(cls):
        cls.p.drop()

    def state(self):
        raw = sqlite3.connect(self.p.path)
        rows = {t: raw.execute('SELECT * FROM dmp_%s ORDER BY id' % t).fetchall() for t in SHADOWS}
        raw.close()
        return rows, sorted(f for f in self.p.files() if f.endswith('.dmpkey'))

    def nothing(self, code, con, sql, args=()):
        """Refused with this code; every row of every shadow table and every credential is as it was."""
        before = self.state()
        got = self.refused(code, con, sql, args)
        self.assertEqual(self.state(), before, sql)
        return got

    def insert(self, code, con, table, given):
        return self.nothing(code, con, 'INSERT INTO %s(%s) VALUES(%s)' % (table, ','.join(given), ','.join('?' * len(given))), list(given.values()))


class Files(Bad):
    def file(self, content):
        f = tempfile.NamedTemporaryFile(prefix='dmp-bad-', delete=False)
        f.write(content)
        f.close()
        self.addCleanup(os.unlink, f.name)
        return f.name

    def login(self, path, name='treating', pin=PIN, so=SO):
        con = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(con.close)
        con.enable_load_extension(True)
        con.load_extension(so)
        con.execute('PRAGMA temp_store=MEMORY')
        return error_of(con, 'SELECT dmp_login(?,?)', (self.p.key(name) if '/' not in name else name, pin))

    def test_what_is_no_database_is_said_to_be_none(self):
        self.assertEqual(self.login(self.file(b'ceci n\'est pas une base' * 100)), 'file is not a database')

    def test_a_database_without_a_record_is_said_to_hold_none(self):
        self.assertRegex(self.login(self.file(b'')), '^dmp-E019: ')
        path = self.file(b'')
        sqlite3.connect(path).execute('CREATE TABLE agenda(a)').connection.commit()
        self.assertRegex(self.login(path), '^dmp-E019: ')

    def test_a_database_in_memory_holds_no_record(self):
        con = open_record(':memory:')
        self.addCleanup(con.close)
        self.refused(67, con, 'SELECT dmp_create(?,?)', (self.p.key('none'), PIN))
        self.assertRegex(self.login(':memory:'), '^dmp-E0(19|67): ')
        self.assertFalse(os.path.exists(self.p.key('none')))

    def copy_with_body(self, change):
        self.p.login('nurse').execute('PRAGMA wal_checkpoint(TRUNCATE)')
        path = self.file(b'')
        raw = sqlite3.connect(self.p.path)
        os.unlink(path)
        raw.execute('VACUUM INTO ?', (path,))
        raw.close()
        con = sqlite3.connect(path)
        body = bytearray(con.execute('SELECT body FROM dmp_record').fetchone()[0])
        change(body)
        con.execute('UPDATE dmp_record SET body=?', (bytes(body),))
        con.commit()
        con.close()
        return path

    def test_a_record_of_a_newer_version_or_suite_is_refused_as_newer(self):
        def newer(body):
            struct.pack_into('<H', body, 8, 2)

        def other_suite(body):
            body[10] = 77
        for change in (newer, other_suite):
            self.assertRegex(self.login(self.copy_with_body(change)), '^dmp-E020: ')

    def test_a_record_row_that_is_cut_or_foreign_is_no_record(self):
        def cut(body):
            del body[30:]

        def foreign(body):
            body[:3] = b'xyz'
        for change in (cut, foreign):
            self.assertRegex(self.login(self.copy_with_body(change)), '^dmp-E019: ')

    @unittest.skipUnless(os.path.exists(RANDOM), 'make test-builds makes it')
    def test_a_record_made_with_the_tests_random_source_is_refused(self):
        q = Practice({}, so=RANDOM)
        self.addCleanup(q.drop)
        self.assertRegex(self.login(q.path, q.key('authority')), '^dmp-E020: ')
        self.assertRegex(self.login(self.p.path, so=RANDOM), '^dmp-E020: ')

    def test_a_wrong_pin_a_missing_file_and_a_foreign_credential_are_three_errors(self):
        q = Practice({'doctor': ('10', 0)})
        self.addCleanup(q.drop)
        self.assertRegex(self.login(self.p.path, pin=PIN + 'x'), '^dmp-E011: ')
        self.assertRegex(self.login(self.p.path, pin=''), '^dmp-E0(11|14): ')
        self.assertRegex(self.login(self.p.path, 'nobody'), '^dmp-E009: ')
        self.assertRegex(self.login(self.p.path, q.key('doctor')), '^dmp-E027: ')
        self.assertIsNone(self.login(self.p.path))

    def test_a_damaged_credential_is_said_to_be_damaged_or_its_pin_wrong(self):
        good = open(self.p.key('treating'), 'rb').read()
        for at in list(range(0, len(good), 7)) + [len(good) - 1]:
            got = self.login(self.p.path, self.file(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]))
            self.assertRegex(got or 'accepted at %d' % at, '^dmp-E0(10|11|15): ')
        for n in (0, 1, 8, 12, 100, len(good) - 1):
            self.assertRegex(self.login(self.p.path, self.file(good[:n])) or 'accepted', '^dmp-E010: ')
        self.assertRegex(self.login(self.p.path, self.file(good + b'x')) or 'accepted', '^dmp-E010: ')
        self.assertRegex(self.login(self.p.path, self.p.folder) or 'accepted', '^dmp-E0(09|10): ')

    def test_a_credential_that_asks_for_an_absurd_cost_is_refused_before_it_costs(self):
        good = bytearray(open(self.p.key('treating'), 'rb').read())
        for ops, mem in ((1, 1 << 31), (1 << 31, 8), (0, 8), (1, 0), (11, 8), (1, 7), (1, 1025)):
            struct.pack_into('<II', good, 14, ops, mem)
            self.assertRegex(self.login(self.p.path, self.file(bytes(good))) or 'accepted', '^dmp-E015: ')

    def test_a_credential_is_never_overwritten(self):
        self.nothing(12, self.t, 'SELECT dmp_keygen(?,?)', (self.p.key('treating'), PIN))
        self.insert(12, self.t, 'patient', {'birth_name': 'X', 'credential': self.p.key('treating'), 'pin': PIN})
        self.assertIsNone(self.login(self.p.path))

    def test_a_path_that_cannot_be_written_gets_no_credential_and_no_patient(self):
        self.nothing(13, self.t, 'SELECT dmp_keygen(?,?)', ('/nulle/part/x.dmpkey', PIN))
        self.insert(13, self.t, 'patient', {'birth_name': 'X', 'credential': '/nulle/part/x.dmpkey', 'pin': PIN})

    def test_a_pin_has_eight_characters(self):
        self.nothing(14, self.t, 'SELECT dmp_keygen(?,?)', (self.p.key('x'), '1234567'))
        self.nothing(14, self.t, 'SELECT dmp_keygen(?,?)', (self.p.key('x'), 'é' * 7))
        self.nothing(14, self.t, 'SELECT dmp_keygen(?,?)', (self.p.key('x'), 'x' * 1025))
        self.nothing(14, self.t, 'SELECT dmp_change_pin(?,?,?)', (self.p.key('nurse'), PIN, 'court'))
        self.insert(14, self.t, 'patient', {'birth_name': 'X', 'credential': self.p.key('x'), 'pin': '1234567'})
        self.assertIsNone(self.login(self.p.path, 'nurse'))

    def test_a_pin_is_changed_only_by_who_knows_the_old_one(self):
        self.nothing(11, self.t, 'SELECT dmp_change_pin(?,?,?)', (self.p.key('nurse'), 'faux-code-1', 'nouveau-code'))
        self.assertIsNone(error_of(self.t, 'SELECT dmp_change_pin(?,?,?)', (self.p.key('nurse'), PIN, 'nouveau-code')))
        self.assertRegex(self.login(self.p.path, 'nurse'), '^dmp-E011: ')
        self.assertIsNone(self.login(self.p.path, 'nurse', 'nouveau-code'))
        self.assertIsNone(error_of(self.t, 'SELECT dmp_change_pin(?,?,?)', (self.p.key('nurse'), 'nouveau-code', PIN)))

    def test_create_refuses_a_second_record_a_taken_name_and_unknown_options(self):
        folder = tempfile.mkdtemp(prefix='dmp-bad-')
        self.addCleanup(shutil.rmtree, folder)
        create, key = 'SELECT dmp_create(?,?,?,?)', os.path.join(folder, 'a.dmpkey')
        self.nothing(21, self.p.connect(), create, (self.p.key('other'), PIN, 'main', 'kdf=1x8'))
        con = open_record(os.path.join(folder, 'b.db'))
        self.addCleanup(con.close)
        for options in ('suite=rot13', 'kdf=0x8', 'kdf=1x4', 'kdf=99x8', 'kdf=1x99999', 'kdf', 'couleur=bleu', '=', ','):
            self.refused(66, con, create, (key, PIN, 'main', options))
        con.execute('CREATE TABLE patient(a)')
        self.refused(22, con, create, (key, PIN, 'main', 'kdf=1x8'))
        self.assertEqual(con.execute('SELECT name FROM sqlite_schema').fetchall(), [('patient',)])
        con.execute('DROP TABLE patient')
        con.execute('BEGIN')
        self.refused(71, con, create, (key, PIN, 'main', 'kdf=1x8'))
        con.execute('ROLLBACK')
        self.refused(14, con, create, (key, '123', 'main', 'kdf=1x8'))
        self.refused(65, con, 'SELECT dmp_create()')
        self.refused(13, con, create, ('/nulle/part/a.dmpkey', PIN, 'main', 'kdf=1x8'))
        self.assertEqual(os.listdir(folder), ['b.db'])
        open(os.path.join(folder, 'b.db-anchor'), 'wb').close()     # another's: it stays, and no credential is left
        self.refused(31, con, create, (key, PIN, 'main', 'kdf=1x8'))
        self.assertEqual(sorted(os.listdir(folder)), ['b.db', 'b.db-anchor'])
        os.unlink(os.path.join(folder, 'b.db-anchor'))
        self.assertIsNone(error_of(con, create, (key, PIN, 'main', 'kdf=1x8')))

    def test_functions_refuse_a_wrong_number_and_kind_of_arguments(self):
        for sql in ('SELECT dmp_login()', 'SELECT dmp_login(1,2)', "SELECT dmp_login(x'00','x')", 'SELECT dmp_keygen()', 'SELECT dmp_keygen(NULL,NULL)',
                    'SELECT dmp_read()', 'SELECT dmp_read(1)', 'SELECT dmp_change_pin(1,2,3)', 'SELECT dmp_read(%d,-1,1)' % self.doc,
                    'SELECT dmp_read(%d,0,-1)' % self.doc, 'SELECT dmp_read(1,2,3,4,5)'):
            self.nothing(65, self.t, sql)
        for sql in ("SELECT dmp_read('abc',0,1)", 'SELECT dmp_read(1.5,0,1)', "SELECT dmp_read(%d,'x',1)" % self.doc, 'SELECT dmp_read(NULL,0,1)'):
            self.nothing(50, self.t, sql)


class People(Bad):
    def person(self, **changes):
        return dict({'kind': 'professional', 'identifier': '1', 'name': 'X', 'profession': '10', 'certificate': 'dmp-request-1.00'}, **changes)

    def test_a_malformed_request_is_refused(self):
        request = self.p.request('good')
        self.insert(58, self.p.authority, 'principal', self.person())
        for bad in ('', request[:-2], request + '00', request[:40] + ('0' if request[40] != '0' else '1') + request[41:], request.upper()):
            self.insert(58 if bad else 51, self.p.authority, 'principal', self.person(certificate=bad))
        self.p.authority.execute('BEGIN')
        self.p.authority.execute('INSERT INTO principal(kind,name,profession,certificate) VALUES(?,?,?,?)', ('professional', 'X', '10', request))
        self.refused(56, self.p.authority, 'INSERT INTO principal(kind,name,profession,certificate) VALUES(?,?,?,?)', ('professional', 'X', '10', request))
        self.p.authority.execute('ROLLBACK')

    def test_an_unknown_profession_kind_or_missing_name_is_refused(self):
        request = self.p.request('better')
        for code, changes in ((52, {'profession': '11'}), (52, {'profession': 'docteur'}), (52, {'profession': '100000000000000000000'}), (52, {'profession': '-1'}),
                              (59, {'kind': 'roi'}), (59, {'kind': 'patient'}), (59, {'kind': 'authority'}), (51, {'name': None}),
                              (51, {'profession': None}), (51, {'kind': None}), (50, {'registrar': 2}), (50, {'registrar': 'oui'}), (50, {'name': b'x'}),
                              (55, {'name': 'x' * 256}), (55, {'identifier': 'x' * 70000}), (49, {'id': 5}), (49, {'status': 'active'})):
            with self.subTest(code=code, changes=str(changes)[:40]):
                self.insert(code, self.p.authority, 'principal', self.person(certificate=request, **changes))

    def test_only_the_authority_registers_people_and_only_registrars_patients(self):
        request = self.p.request('third')
        self.insert(42, self.t, 'principal', self.person(certificate=request))
        for who in ('pharmacist', 'nurse', 'patient'):
            self.insert(42, self.p.login(who), 'patient', {'birth_name': 'X', 'credential': self.p.key('x'), 'pin': PIN})

    def newcomer(self, **changes):
        return dict({'birth_name': 'Y', 'credential': self.p.key('newcomer'), 'pin': PIN}, **changes)

    def test_an_ins_with_a_wrong_key_or_form_is_refused_and_on_a_test_oid_the_key_is_not_asked(self):
        oid = REAL_INS[1]
        good = ins_of('1700175123456')
        wrong = good[:-2] + '%02d' % ((int(good[-2:]) + 1) % 97)
        for number, system in ((wrong, oid), (good[:-1], oid), (good + '0', oid), ('x' * 15, oid), (good, '1.2.3'), (good, 'oid'), ('-' + good[1:], oid)):
            self.insert(54, self.t, 'patient', self.newcomer(ins=number, ins_oid=system))
        self.insert(51, self.t, 'patient', self.newcomer(ins=good))
        self.insert(51, self.t, 'patient', self.newcomer(ins_oid=oid))
        self.t.execute('BEGIN')
        for number, system in ((good, oid), (wrong, TEST_INS[1])):
            self.t.execute('INSERT INTO patient(birth_name,credential,pin,ins,ins_oid) VALUES(?,?,?,?,?)', ('Y', self.p.key('n' + system), PIN, number, system))
        self.t.execute('ROLLBACK')

    def test_a_known_ins_is_not_registered_twice(self):
        self.insert(56, self.t, 'patient', self.newcomer(ins=ins_of('2710588154002'), ins_oid=REAL_INS[1]))

    def test_impossible_birth_dates_are_refused_and_partial_ones_are_good(self):
        for date in ('1970-02-30', '1970-13', '1970-00', '70', '1970-1-2', '02/01/1970', 'hier', '1970-01-02T00:00:00Z', '19700102', '1970-', '-970-01-01'):
            self.insert(53, self.t, 'patient', self.newcomer(birth_date=date))
        for date in ('1970', '1970-03', '1972-02-29'):
            self.t.execute('BEGIN')
            self.t.execute('INSERT INTO patient(birth_name,birth_date,credential,pin) VALUES(?,?,?,?)', ('Y', date, self.p.key('d' + date), PIN))
            self.assertEqual(one(self.t, "SELECT birth_date FROM patient WHERE birth_name='Y'"), date)
            self.t.execute('ROLLBACK')

    def test_a_patient_needs_an_identity_a_credential_and_known_codes(self):
        for code, changes in ((75, {'birth_name': None}), (57, {'credential': None}), (57, {'pin': None}), (52, {'sex': 'X'}), (52, {'sex': 'f'}),
                              (51, {'local_system': 'urn:x'}), (51, {'local_value': '5'}), (74, {'treating_doctor': NO_SUCH_ID}),
                              (74, {'treating_doctor': self.p.id['nurse']}), (50, {'treating_doctor': 'docteur'}), (50, {'birth_name': b'Y'}),
                              (55, {'birth_name': 'x' * 65537}), (49, {'id': 5}), (49, {'status': 'own_key'})):
            with self.subTest(code=code, changes=str(changes)[:40]):
                self.insert(code, self.t, 'patient', self.newcomer(**changes))
        self.t.execute('BEGIN')
        self.t.execute('INSERT INTO patient(local_system,local_value,credential,pin) VALUES(?,?,?,?)', ('urn:pass', '12', self.p.key('local'), PIN))
        self.assertEqual(self.t.execute('SELECT system,value,kind FROM identity').fetchall(), [('urn:pass', '12', 'local')])
        self.t.execute('ROLLBACK')

    def test_consents_refuse_unknown_people_bad_dates_and_what_stands_already(self):
        sql = 'INSERT INTO consent(patient,grantee,until) VALUES(?,?,?)'
        for code, args in ((44, (self.pid, NO_SUCH_ID, None)), (44, (self.pid, self.pid, None)), (43, (NO_SUCH_ID, self.p.id['nurse'], None)),
                           (53, (self.pid, self.p.id['nurse'], 'demain')), (53, (self.pid, self.p.id['nurse'], '2027-02-30')),
                           (69, (self.pid, self.p.id['nurse'], '2001-01-01')), (56, (self.pid, self.p.id['pharmacist'], None)),
                           (51, (self.pid, None, None)), (51, (None, self.p.id['nurse'], None)), (50, ('x', self.p.id['nurse'], None)),
                           (50, (self.pid, 1.5, None))):
            with self.subTest(code=code, args=str(args)):
                self.nothing(code, self.me, sql, args)
        self.nothing(49, self.me, "INSERT INTO consent(patient,grantee,basis) VALUES(?,?,'loi')", (self.pid, self.p.id['nurse']))
        self.nothing(74, self.me, 'UPDATE patient SET treating_doctor=? WHERE id=?', (self.p.id['pharmacist'], self.pid))
        self.nothing(74, self.me, 'UPDATE patient SET treating_doctor=? WHERE id=?', (NO_SUCH_ID, self.pid))
        self.nothing(49, self.me, "UPDATE patient SET birth_name='Z' WHERE id=?", (self.pid,))
        before = self.state()
        self.me.execute('DELETE FROM consent WHERE patient=? AND grantee=?', (self.pid, self.p.id['nurse']))
        self.assertEqual(self.state(), before)

    def test_identities_need_a_system_and_a_value(self):
        for given in ({'patient': self.pid, 'system': 'urn:x'}, {'patient': self.pid, 'value': '1'}, {'system': 'urn:x', 'value': '1'}):
            self.insert(51, self.me, 'identity', given)
        self.insert(46, self.h, 'identity', {'patient': self.pid, 'system': 'urn:x', 'value': '1'})


class Documents(Bad):
    def given(self, **changes):
        return dict({'patient': self.pid, 'content': b'x', 'title': 't', 'type_code': '11488-4'}, **changes)

    def test_what_is_missing_is_said(self):
        for name in ('patient', 'content', 'type_code'):
            given = self.given()
            del given[name]
            self.insert(51, self.t, 'document', given)
            self.insert(51, self.t, 'document', self.given(**{name: None}))
        self.insert(51, self.t, 'document', self.given(view=b'lisible'))

    def test_unknown_codes_are_refused_and_an_unlisted_type_is_for_patient_and_depositor(self):
        for changes in ({'type_code': 'inconnu'}, {'type_code': '60591-6'}, {'class_code': '99'}, {'class_code': 'rapport'}, {'confidentiality': 'X'}, {'confidentiality': 'n'}, {'confidentiality': 'MASQUE_PS'}):
            self.insert(52, self.t, 'document', self.given(**changes))
        self.t.execute('BEGIN')
        doc = deposit(self.t, self.pid, type_code='inconnu^1.2.3')
        self.assertEqual(one(self.t, 'SELECT class_code FROM document WHERE id=?', doc), '90')
        self.t.execute('ROLLBACK')

    def test_impossible_times_are_refused(self):
        for column in ('creation_time', 'service_start', 'service_stop'):
            for bad in ('hier', '2026-02-30', '2026-13-01', '2026-03-12T25:00:00Z', '2026-03-12T10:61:00Z', '12/03/2026', '20260312', '2026-03-12 10h', '99999-01-01', ' '):
                self.insert(53, self.t, 'document', self.given(**{column: bad}))

    def test_times_of_other_zones_and_dates_are_good(self):
        self.t.execute('BEGIN')
        for good in ('2026-03-12', '2026-03-12T10:00:00Z', '2026-03-12T10:00:00+02:00'):
            doc = deposit(self.t, self.pid, creation_time=good)
            self.assertRegex(one(self.t, 'SELECT creation_time FROM document WHERE id=?', doc), '^2026-03-12')
        self.t.execute('ROLLBACK')

    def test_a_patient_unknown_to_the_asker_and_one_that_never_was_get_the_same_answer(self):
        nurse = self.p.login('nurse')
        self.assertEqual(self.insert(43, nurse, 'document', self.given()), self.insert(43, nurse, 'document', self.given(patient=NO_SUCH_ID)))

    def test_a_value_of_a_wrong_type_is_refused_in_every_column(self):
        texts = ['unique_id', 'title', 'type_code', 'class_code', 'format_code', 'mime', 'language', 'creation_time', 'service_start', 'service_stop', 'episode',
                 'author', 'author_profession', 'facility', 'practice_setting', 'replaces', 'confidentiality', 'view_mime']
        for column in texts:
            self.insert(50, self.t, 'document', self.given(**{column: b'octets'}))
        for value in ('abc', b'1', 1.5, '1.5'):
            self.insert(50, self.t, 'document', self.given(patient=value))
        for value in ('oui', 2, -1, 1.5, b'1'):
            self.insert(50, self.t, 'document', self.given(masked=value))
        for value in (5, 1.5):
            self.insert(50, self.t, 'document', self.given(content=value))
            self.insert(50, self.t, 'document', self.given(view=value, view_mime='text/plain'))

    def test_columns_that_the_record_derives_are_not_given(self):
        for column, value in (('id', 5), ('depositor', 5), ('availability', 'Approved'), ('warning', 'x'), ('size', 5), ('hash', 'x'), ('view_offset', 0), ('view_size', 1)):
            self.insert(49, self.t, 'document', self.given(**{column: value}))

    def test_texts_that_are_no_text_or_too_long_are_refused(self):
        for column in ('title', 'unique_id', 'episode', 'author'):
            for code, sql in ((61, "CAST(x'610062' AS TEXT)"), (61, "CAST(x'ff' AS TEXT)"), (61, "CAST(x'c0af' AS TEXT)"), (61, "CAST(x'eda080' AS TEXT)"),
                              (55, "printf('%.*c',65537,'x')")):
                given = self.given()
                given.pop(column, None)
                self.nothing(code, self.t, 'INSERT INTO document(%s,%s) VALUES(%s,%s)' % (','.join(given), column, ','.join('?' * len(given)), sql), list(given.values()))

    def test_a_document_invisible_to_the_patient_is_not_masked_and_none_is_hidden_by_whom_it_would_be_hidden_from(self):
        self.insert(96, self.t, 'document', self.given(invisible_patient=1, masked=1))
        self.insert(96, self.t, 'document', self.given(invisible_patient=1, masked=1, hidden_from_representatives=1))
        self.insert(101, self.me, 'document', self.given(invisible_patient=1))
        for column in ('hidden_from_representatives', 'invisible_patient', 'masked'):
            for value in (2, -1, 'oui', 0.5):
                self.insert(50, self.t, 'document', self.given(**{column: value}))
            deposit(self.t, self.pid, **{column: 1})

    def test_a_unique_id_is_unique_among_what_the_writer_sees(self):
        self.insert(56, self.t, 'document', self.given(unique_id='1.2.3'))
        self.insert(56, self.h, 'document', self.given(unique_id='1.2.3'))

    def test_a_title_of_ten_thousand_characters_comes_back_as_it_was(self):
        self.assertGreater(len(LONG_TITLE), 10000)
        self.t.execute('BEGIN')
        doc = deposit(self.t, self.pid, title=LONG_TITLE)
        self.assertEqual(one(self.t, 'SELECT title FROM document WHERE id=?', doc), LONG_TITLE)
        name = one(self.t, 'SELECT dmp_filename(title) FROM document WHERE id=?', doc)
        self.assertLessEqual(len(name.encode()), 255)
        for c in '/\\\n\t\u202e\u2066:*?"<>|\0':
            self.assertNotIn(c, name)
        self.t.execute('ROLLBACK')

    def test_documents_of_no_byte_one_byte_and_around_a_chunk_come_back_whole(self):
        for n in (0, 1, 65535, 65536, 65537, 131072, 1000003):
            body = os.urandom(n)
            doc = deposit(self.t, self.pid, body)
            self.assertEqual(self.me.execute('SELECT size,length(content),content FROM document WHERE id=?', (doc,)).fetchone(), (n, n, body))
            self.assertEqual(one(self.h, 'SELECT dmp_read(?,?,?)', doc, n // 2, 70000), body[n // 2:n // 2 + 70000])
            self.assertEqual(one(self.h, 'SELECT dmp_read(?,?,10)', doc, n), b'')
            self.assertEqual(one(self.h, 'SELECT dmp_read(?,0,?)', doc, 1 << 62), body)
            self.assertEqual(one(self.h, 'SELECT dmp_read(?,?,?)', doc, (1 << 63) - 1, (1 << 63) - 1), b'')

    def test_a_document_larger_than_sqlite_allows_is_refused(self):
        before = self.state()
        self.fails(self.t, 'INSERT INTO document(patient,content,title,type_code) VALUES(?,zeroblob(1000000001),?,?)', (self.pid, 'x', '11488-4'))
        self.assertEqual(self.state(), before)

    def test_masks_refuse_what_is_masked_unknown_or_of_another_patient(self):
        self.insert(41, self.me, 'mask', {'document': NO_SUCH_ID})
        self.insert(41, self.me, 'mask', {'document': self.doc, 'patient': NO_SUCH_ID})
        self.insert(51, self.me, 'mask', {'patient': self.pid})
        self.insert(50, self.me, 'mask', {'document': 'rapport'})
        for column in ('episode', 'since'):
            self.insert(49, self.me, 'mask', {'document': self.doc, column: '5'})
        for code, grantee in ((120, '5'), (120, 'profession:99'), (44, 5), (50, 1.5)):
            self.insert(code, self.me, 'mask', {'document': self.doc, 'grantee': grantee})
        doc = deposit(self.t, self.pid, masked=1)
        self.insert(62, self.me, 'mask', {'document': doc})

    def test_what_cannot_be_changed_says_so(self):
        for con, sql in ((self.t, "UPDATE document SET title='x'"), (self.p.authority, "UPDATE principal SET kind='staff'"), (self.t, 'DELETE FROM principal'),
                         (self.me, 'DELETE FROM patient'), (self.me, "UPDATE consent SET until='2030-01-01'"), (self.me, 'DELETE FROM access_log'),
                         (self.me, "INSERT INTO access_log(action) VALUES('read')"), (self.me, 'UPDATE access_log SET count=0'), (self.me, 'DELETE FROM session'),
                         (self.me, "INSERT INTO session(name) VALUES('x')"), (self.me, "INSERT INTO dmp VALUES('x','y')")):
            self.nothing(49, con, sql)


class Large(Bad):
    def test_a_document_of_300_mb_goes_in_and_comes_back(self):
        if shutil.disk_usage(self.p.folder).free < 2 << 30:
            self.skipTest('needs 2 GB of disk')
        self.t.execute('INSERT INTO document(patient,content,title,type_code) VALUES(?,zeroblob(300000000),?,?)', (self.pid, 'grand', '11488-4'))
        doc = one(self.t, 'SELECT last_insert_rowid()')
        self.assertEqual(one(self.h, 'SELECT size FROM document WHERE id=?', doc), 300000000)
        self.assertEqual(one(self.h, 'SELECT dmp_read(?,299999990,100)', doc), bytes(10))
        self.assertEqual(one(self.h, 'SELECT length(content) FROM document WHERE id=?', doc), 300000000)
        self.t.execute('DELETE FROM document WHERE id=?', (doc,))


class Many(Bad):
    def test_a_transaction_too_long_for_the_log_says_so_and_what_it_did_is_committed(self):
        sql = "INSERT INTO document(patient,content,title,type_code) VALUES(?,x'01',?,'11488-4')"
        self.t.execute('BEGIN')
        done = 0
        with self.assertRaisesRegex(sqlite3.Error, '^dmp-E170: .*commit every few thousand rows'):
            for done in range(65537):
                self.t.execute(sql, (self.pid, 'n %d' % done))
        self.assertGreater(done, 65000)
        self.t.execute('COMMIT')
        self.t.execute(sql, (self.pid, 'le suivant'))
        self.assertEqual(one(self.t, "SELECT count(*) FROM document WHERE title LIKE 'n %' OR title='le suivant'"), done + 1)


class Writers(Bad):
    def test_of_two_writers_one_is_told_to_try_again_and_can(self):
        self.me.execute('PRAGMA busy_timeout=50')
        self.t.execute('BEGIN IMMEDIATE')
        deposit(self.t, self.pid, title='premier')
        before = self.state()
        got = self.fails(self.me, "INSERT INTO document(patient,content,title,type_code) VALUES(?,x'01','second','11488-4')", (self.pid,))
        self.assertRegex(got, 'locked|busy|dmp-E064')
        self.assertEqual(self.state(), before)
        self.t.execute('COMMIT')
        deposit(self.me, self.pid, title='second')
        self.assertEqual(one(self.h, "SELECT count(*) FROM document WHERE title IN ('premier','second')"), 2)
        self.assertEqual(self.me.execute('SELECT * FROM dmp_verify').fetchall(), [])

    def test_a_reader_who_wants_to_write_on_an_old_snapshot_is_told_to_try_again(self):
        self.me.execute('BEGIN')
        documents(self.me)
        deposit(self.t, self.pid, title='entre-temps')
        got = self.fails(self.me, "INSERT INTO document(patient,content,title,type_code) VALUES(?,x'01','vieux','11488-4')", (self.pid,))
        self.assertRegex(got, 'locked|busy|dmp-E064')
        self.me.execute('ROLLBACK')
        deposit(self.me, self.pid, title='vieux')
        self.assertEqual(one(self.h, "SELECT count(*) FROM document WHERE title='vieux'"), 1)

    def test_a_record_that_cannot_be_written_is_still_read(self):
        con = sqlite3.connect('file:%s?mode=ro' % self.p.path, uri=True, isolation_level=None)
        self.addCleanup(con.close)
        con.enable_load_extension(True)
        con.load_extension(SO)
        con.execute('PRAGMA temp_store=MEMORY')
        self.p.login('pharmacist', con)
        self.assertIn(self.doc, documents(con))
        self.assertRegex(self.fails(con, "INSERT INTO document(patient,content,type_code) VALUES(?,x'00','11488-4')", (self.pid,)), 'readonly|dmp-E0')


if __name__ == '__main__':
    main()
