#!/usr/bin/python3
"""Import: the child that parses, and the module that deposits. Usage: test_import.py [BUILD_FOLDER [TEST_NAME...]]

The parser is compared with an independent reader (ElementTree, which is expat) field by field. The module is tried over
plain tables that have the columns of a record, so that a fault here is one of the import and of nothing else."""
import base64
import csv
import glob
import hashlib
import os
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', 'build'))
PARSER = os.path.join(BUILD, 'dmp-parse')
CDA = os.path.join(HERE, 'fixtures', 'cda')
HOSTILE = os.path.join(HERE, 'fixtures', 'hostile')
SAMPLES = os.path.join(HERE, '..', '..', 'shared', 'samples')
HEADER = open(os.path.join(HERE, '..', 'ext', 'parse.h'), encoding='utf-8').read()
TAGS = {int(n): name for n, name in re.findall(r'X\( ?(\d+), (\w+),\s*[1M]\)', HEADER)}
REFUSALS = {int(n): name for n, name in re.findall(r'X\( ?(\d+), (\w+),\s*"', HEADER.split('PARSE_WARNINGS')[0])}
SENTENCES = dict(re.findall(r'X\( ?\d+, (\w+),\s*"([^"]*)"', HEADER))
WARNINGS = {int(n): name for n, name in re.findall(r'X\((\d), (\w+),', HEADER.split('define PARSE_WARNINGS')[1])}
V3 = '{urn:hl7-org:v3}'


def read(path):
    with open(path, 'rb') as f:
        return f.read()


SANITIZED = b'__asan_init' in read(PARSER)


def run(data, **kw):
    return subprocess.run([PARSER, str(len(data))], input=data, capture_output=True, timeout=120, **kw)


def decode(out):
    """The fields of a result, as (name, bytes); fails on anything out of form."""
    assert out.startswith(b'dmp-parse-1\n'), out[:40]
    at, fields = 12, []
    while True:
        tag, n = struct.unpack_from('<HI', out, at)
        value, at = out[at + 6:at + 6 + n], at + 6 + n
        if tag == 0:
            assert n == 0 and at == len(out)
            return fields
        fields.append((TAGS[tag], value))


def parse(data):
    p = run(data)
    assert p.returncode == 0, p.returncode
    return decode(p.stdout)


def refusal(data):
    fields = parse(data)
    return REFUSALS[fields[0][1][0]] if fields[0][0] == 'REFUSED' else None


# ---- an independent reader of the same documents ----

def one(values):
    return next((v for v in values if v), None)


def words(e):
    return ' '.join(''.join(e.itertext()).split())


def value(doc, path, attribute):
    return one(e.get(attribute) for e in doc.findall(path.replace('/', '/' + V3).replace('./', './')))


def v3(path):
    return '/'.join(V3 + p for p in path.split('/'))


def identifier(e):
    return e.get('root') + ('^' + e.get('extension') if e.get('extension') else '')


def named(patient):
    parts = [(c.tag[len(V3):], c.get('qualifier'), words(c)) for n in patient.findall(v3('name')) for c in n]
    pick = lambda tag, q: one(t for g, k, t in parts if g == tag and k == q)
    given, listed = pick('given', 'BR'), ' '.join(t for g, k, t in parts if g == 'given' and k is None)
    if given and listed and not (listed + ' ').lower().startswith(given.lower() + ' '):
        listed = given + ' ' + listed
    return pick('family', 'BR') or pick('family', None), pick('family', 'CL') or pick('family', 'SP'), listed or given


def authors(doc):
    for a in doc.findall(v3('author/assignedAuthor')):
        person = a.find(v3('assignedPerson/name'))
        if person is not None:
            kind = 'P'
            titles = [words(c).capitalize() for c in person if c.tag in (V3 + 'prefix', V3 + 'suffix')]
            name = [one(t for t in titles if t in ('Dr', 'Pr'))]
            name += [words(c) for c in person.findall(V3 + 'given') + person.findall(V3 + 'family')]
            name = ' '.join(n for n in name if n)
        else:
            kind = 'D'
            name = words(a.find(v3('assignedAuthoringDevice/softwareName')))
        code = a.find(V3 + 'code')
        yield kind, name, code.get('code') if code is not None else None


def expected(data):
    root = ET.fromstring(data)
    doc = next(root.iter(V3 + 'ClinicalDocument'))
    get = lambda path, attribute: one(e.get(attribute) for e in doc.findall(v3(path)))
    patient = doc.find(v3('recordTarget/patientRole/patient'))
    birth, used, given = named(patient)
    acts = [e for d in doc.findall(V3 + 'documentationOf')
            for e in d.findall(v3('serviceEvent/effectiveTime')) if e.find(V3 + 'low') is not None]
    high = acts[0].find(V3 + 'high') if acts else None
    org = 'representedOrganization/standardIndustryClassCode'
    out = {
        'PATIENT_ID': [identifier(e) for e in doc.findall(v3('recordTarget/patientRole/id'))],
        'BIRTH_NAME': birth, 'USED_NAME': used, 'GIVEN_NAMES': given,
        'BIRTH_TIME': patient.find(V3 + 'birthTime').get('value'),
        'SEX': patient.find(V3 + 'administrativeGenderCode').get('code'),
        'BIRTH_PLACE': one(words(e) for e in patient.findall(v3('birthplace/place/addr/county'))),
        'UNIQUE_ID': identifier(doc.find(V3 + 'id')),
        'TYPE_CODE': get('code', 'code'), 'TYPE_SYSTEM': get('code', 'codeSystem'),
        'TITLE': words(doc.find(V3 + 'title')), 'TIME': get('effectiveTime', 'value'),
        'CONFIDENTIALITY': [e.get('code') for e in doc.findall(V3 + 'confidentialityCode')],
        'LANGUAGE': get('languageCode', 'code'),
        'SET_ID': one(identifier(e) for e in doc.findall(V3 + 'setId')), 'VERSION': get('versionNumber', 'value'),
        'REPLACES': one(identifier(e) for r in doc.findall(V3 + 'relatedDocument') if r.get('typeCode') == 'RPLC'
                        for e in r.findall(v3('parentDocument/id'))),
        'AUTHORS': list(authors(doc)),
        'SERVICE_START': acts[0].find(V3 + 'low').get('value') if acts else None,
        'SERVICE_STOP': high.get('value') if high is not None else None,
        'FACILITY': get('componentOf/encompassingEncounter/location/healthCareFacility/code', 'code'),
        'PRACTICE_SETTING': get('documentationOf/serviceEvent/performer/assignedEntity/' + org, 'code') or
                            get('author/assignedAuthor/' + org, 'code'),
        'VIEW': view(doc),
    }
    return out


def view(doc):
    text = doc.find(v3('component/nonXMLBody/text'))
    if text is not None:
        return base64.b64decode(text.text)
    for section in doc.iter(V3 + 'section'):
        code = section.find(V3 + 'code')
        copy = (code is not None and code.get('code') == '55108-5') or \
            any(t.get('root') == '1.2.250.1.213.1.1.2.243' for t in section.findall(V3 + 'templateId'))
        for v in section.findall('%sentry//%sobservationMedia/%svalue' % (V3, V3, V3)) if copy else []:
            bytes_ = base64.b64decode(v.text)
            if bytes_.startswith(b'%PDF-'):
                return bytes_
    return None


def told(fields):
    """The child's fields in the form of expected()."""
    out = {k: [] for k in ('PATIENT_ID', 'CONFIDENTIALITY', 'AUTHORS')}
    for name, v in fields:
        if name == 'AUTHOR':
            out['AUTHORS'].append((v.decode(), None, None))
        elif name in ('AUTHOR_NAME', 'AUTHOR_CODE'):
            kind, n, code = out['AUTHORS'][-1]
            out['AUTHORS'][-1] = (kind, v.decode(), code) if name == 'AUTHOR_NAME' else (kind, n, v.decode())
        elif name in out and isinstance(out[name], list):
            out[name].append(v.decode())
        else:
            assert name == 'WARNING' or name not in out, name
            out[name] = v if name == 'VIEW' else v.decode('utf-8', 'replace')
    return out


def spent():
    """Processor time of the children that have ended: what a bound is about, however busy the machine is."""
    t = os.times()
    return t.children_user + t.children_system


class ParserCase(unittest.TestCase):
    maxDiff = None

    def same(self, data, name):
        want, got = expected(data), told(parse(data))
        for field, v in want.items():
            self.assertEqual(got.get(field), v, '%s: %s' % (name, field))

    def test_every_fixture_reads_as_the_independent_reader_reads_it(self):
        files = sorted(glob.glob(CDA + '/*.xml'))
        self.assertGreaterEqual(len(files), 13)
        for f in files:
            self.same(read(f), f)

    def test_every_public_sample_reads_as_the_independent_reader_reads_it(self):
        files = sorted(glob.glob(SAMPLES + '/cda/*.xml'))
        if not files:
            self.skipTest('no samples beside the project')
        for f in files:
            self.same(read(f), f)

    def test_every_public_sample_agrees_with_the_index(self):
        if not os.path.isdir(SAMPLES + '/cda'):
            self.skipTest('no samples beside the project')
        index = open(SAMPLES + '/INDEX.tsv', encoding='utf-8')
        for row in csv.DictReader(index, delimiter='\t', quoting=csv.QUOTE_NONE):
            got = told(parse(read(os.path.join(SAMPLES, 'cda', row['file']))))
            ins = [i.split('^')[1] for i in got['PATIENT_ID'] if i.startswith('1.2.250.1.213.1.4.')]
            have = {'typeCode': got['TYPE_CODE'], 'typeCS': got['TYPE_SYSTEM'], 'insVal': ','.join(ins),
                    'conf': ','.join(got['CONFIDENTIALITY']), 'time': got['TIME'],
                    'docId': got['UNIQUE_ID'], 'setId': got.get('SET_ID', ''),
                    'ver': got.get('VERSION', ''), 'rel': 'RPLC' if 'REPLACES' in got else '',
                    'facility': got.get('FACILITY', ''), 'title': got['TITLE'],
                    'author': ','.join(c or '-' for _, _, c in got['AUTHORS'])}
            for column, v in have.items():
                self.assertEqual(v, ' '.join(row[column].split()), '%s: %s' % (row['file'], column))

    def test_a_level_one_document_gives_its_pdf_as_the_view(self):
        got = told(parse(read(CDA + '/consultation-niveau1.xml')))
        self.assertEqual(got['VIEW_MIME'], 'application/pdf')
        self.assertEqual(got['FORMAT_CODE'], 'urn:ihe:iti:xds-sd:pdf:2008')
        self.assertTrue(got['VIEW'].endswith(b'%%EOF\n'))

    def test_a_declared_type_is_not_believed(self):
        data = read(CDA + '/consultation-niveau1.xml').replace(b'mediaType="application/pdf"', b'mediaType="image/png"')
        fields = parse(data)
        self.assertEqual(told(fields)['VIEW_MIME'], 'application/pdf')
        self.assertIn('MEDIA_TYPE', [WARNINGS[v[0]] for n, v in fields if n == 'WARNING'])

    def test_an_attachment_never_stands_for_the_report(self):
        copy = read(CDA + '/imagerie-poignet.xml')
        self.assertIn('VIEW', told(parse(copy)))
        attached = copy.replace(b'55108-5', b'55107-7').replace(b'1.2.250.1.213.1.1.2.243', b'1.2.250.1.213.1.1.2.37')
        fields = parse(attached)
        self.assertNotIn('VIEW', told(fields))
        self.assertIn('ATTACHMENT', [WARNINGS[v[0]] for n, v in fields if n == 'WARNING'])

    def test_the_same_document_in_another_encoding_gives_the_same_fields(self):
        data = read(CDA + '/synthese-medicale.xml')
        text, want = data.decode(), parse(data)
        for name in ('ISO-8859-1', 'ISO-8859-15', 'windows-1252'):
            self.assertEqual(parse(text.replace('UTF-8', name, 1).encode(name)), want, name)
        self.assertEqual(parse(text.replace('UTF-8', 'UTF-16', 1).encode('utf-16')), want)
        self.assertEqual(parse(text.replace('UTF-8', 'UTF-16', 1).encode('utf-16-be')), want)
        self.assertEqual(parse(b'\xef\xbb\xbf' + data.replace(b'\n', b'\r\n')), want)

    def test_bytes_that_arrive_one_by_one_give_the_same_fields(self):
        data = read(CDA + '/biologie-hba1c.xml')
        p = subprocess.Popen([PARSER, str(len(data))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        for i in range(len(data)):
            p.stdin.write(data[i:i + 1])
        p.stdin.close()
        out = p.stdout.read()
        p.stdout.close()
        self.assertEqual(p.wait(), 0)
        self.assertEqual(decode(out), parse(data))

    def test_a_pdf_of_a_hundred_megabytes_is_read(self):
        small = read(CDA + '/consultation-niveau1.xml')
        pdf = b'%PDF-1.4\n' + os.urandom(1 << 20) * 100
        start, end = small.index(b'B64">') + 5, small.index(b'</text>')
        data = small[:start] + base64.b64encode(pdf) + small[end:]
        self.assertEqual(told(parse(data))['VIEW'], pdf)


HOSTILE_VERDICTS = {
    'attribute-rules.xml': 'ENTITY', 'bad-base64.xml': 'BASE64', 'bomb-entities.xml': 'ENTITY',
    'bomb-parameter.xml': 'ENTITY',
    'empty.xml': 'EMPTY', 'external-dtd.xml': 'ENTITY', 'external-entity.xml': 'ENTITY', 'nested-document.xml': 'TWO',
    'no-body.xml': 'NO_BODY', 'not-xml.xml': 'NOT_XML', 'truncated.xml': 'MALFORMED', 'two-documents.xml': 'TWO',
    'two-patients.xml': 'PATIENTS', 'unknown-encoding.xml': 'ENCODING', 'wrong-encoding.xml': 'ENCODING',
    'wrong-namespace.xml': 'NOT_CDA', 'wrong-root.xml': 'NOT_CDA',
}
OPEN = b'<ClinicalDocument xmlns="urn:hl7-org:v3">'


class HostileCase(unittest.TestCase):
    def test_every_hostile_fixture_has_its_own_refusal(self):
        self.assertEqual(sorted(os.listdir(HOSTILE)), sorted(HOSTILE_VERDICTS))
        for name, verdict in HOSTILE_VERDICTS.items():
            began = spent()
            self.assertEqual(refusal(read(os.path.join(HOSTILE, name))), verdict, name)
            self.assertLess(spent() - began, 5, name)

    def test_deep_nesting_is_refused_and_ordinary_depth_is_not(self):
        self.assertEqual(refusal(OPEN + b'<a>' * 1000000), 'DEPTH')
        good = read(CDA + '/synthese-medicale.xml')
        deeper = good.replace(b'<text>', b'<text>' + b'<a>' * 80, 1).replace(b'</text>', b'</a>' * 80 + b'</text>', 1)
        self.assertIsNone(refusal(deeper))

    def test_floods_end_within_five_seconds_of_processor_time(self):
        floods = {
            'attributes': OPEN + b'<a ' + b' '.join(b'a%d=""' % i for i in range(400000)) + b'/></ClinicalDocument>',
            'names': OPEN + b''.join(b'<a%d/>' % i for i in range(200000)) + b'</ClinicalDocument>',
            'attribute value': OPEN + b'<a b="' + b'x' * 30000000 + b'"/></ClinicalDocument>',
            'title': OPEN + b'<title>' + b'x' * 30000000 + b'</title></ClinicalDocument>',
            'identifiers': OPEN + b'<recordTarget><patientRole>' + b'<id root="1.2.3.4.5.6.7.8.9"/>' * 1000000,
            'comment': OPEN + b'<!--' + b'x' * 30000000,
            'no end': b'<' + b'a' * 30000000,
        }
        for name, data in floods.items():
            began = spent()
            p = run(data)
            self.assertLess(spent() - began, 5, name)
            if p.returncode == 0:
                self.assertEqual(decode(p.stdout)[0][0], 'REFUSED', name)
            else:
                self.assertIn(-p.returncode, (signal.SIGXCPU, signal.SIGKILL), name)

    def test_every_cut_of_a_document_is_refused(self):
        data = read(CDA + '/consultation-niveau1.xml').rstrip()
        for n in range(0, len(data), 97):
            self.assertIn(refusal(data[:n]), ('MALFORMED', 'EMPTY', 'NOT_XML', 'ENCODING', 'BASE64'), n)

    def test_flipped_bytes_never_crash_the_parser(self):
        data = bytearray(read(CDA + '/imagerie-poignet.xml'))
        for i in range(0, len(data), 23):
            old, data[i] = data[i], data[i] ^ (1 << i % 8)
            self.assertEqual(run(bytes(data)).returncode, 0, i)
            data[i] = old

    def test_only_memory_reading_and_writing_are_called_once_the_filter_stands(self):
        if shutil.which('strace') is None or SANITIZED:
            self.skipTest('no strace, or a sanitizer that makes calls of its own')
        with tempfile.NamedTemporaryFile('r') as log:
            data = read(CDA + '/consultation-niveau1.xml')
            trace = ['strace', '-f', '-o', log.name, PARSER, str(len(data))]
            p = subprocess.run(trace, input=data, capture_output=True)
            lines = log.read().splitlines()
        if p.returncode != 0 and b'ptrace' in p.stderr:
            self.skipTest('strace may not trace here')
        locked = [i for i, s in enumerate(lines) if 'PR_SET_SECCOMP' in s or 'seccomp(' in s]
        self.assertEqual(len(locked), 1)
        first = [i for i, s in enumerate(lines) if re.search(r'\bread\(0,', s)][0]
        self.assertLess(locked[0], first)
        calls = {re.match(r'\d+ +(\w+)\(', s).group(1) for s in lines[locked[0] + 1:] if re.match(r'\d+ +\w+\(', s)}
        self.assertTrue({'read', 'write', 'exit_group'} <= calls)
        memory = {'brk', 'mmap', 'munmap', 'mremap', 'mprotect', 'madvise'}
        self.assertLessEqual(calls, {'read', 'write', 'exit_group'} | memory)

    def taken_over(self, code):
        """The exit code of a parser in which a library's first function is the attacker's."""
        if SANITIZED:
            self.skipTest('a sanitizer stands in the way')
        with tempfile.TemporaryDirectory() as d:
            with open(d + '/a.c', 'w') as f:
                f.write('#include <stdlib.h>\n#include <unistd.h>\n#include <fcntl.h>\n#include <sys/socket.h>\n'
                        '#include <sys/mman.h>\nvoid *xmlCreatePushParserCtxt(void) { _exit(%s); }\n' % code)
            subprocess.run(['cc', '-O0', '-shared', '-fPIC', '-w', '-o', d + '/a.so', d + '/a.c'], check=True)
            return run(b'<a/>', env={'LD_PRELOAD': d + '/a.so'}).returncode

    def test_a_parser_taken_over_is_killed_at_its_first_forbidden_call(self):
        self.assertEqual(self.taken_over('getpagesize() & 1'), 0)
        for call in ('open("/etc/passwd", 0)', 'socket(2, 1, 0)', 'fork()', 'kill(1, 0)', 'unlink("/none")',
                     'mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != 0'):
            self.assertEqual(self.taken_over(call), -signal.SIGSYS, call)

    def test_memory_and_time_of_the_parser_are_bounded_by_the_size_of_the_file(self):
        self.assertEqual(self.taken_over('malloc(100UL << 20) == NULL'), 0)
        self.assertEqual(self.taken_over('malloc(300UL << 20) == NULL'), 1)
        began = spent()
        self.assertIn(self.taken_over('({ for (;;); 0; })'), (-signal.SIGXCPU, -signal.SIGKILL))
        self.assertLess(spent() - began, 5)

    def test_without_its_filter_the_parser_reads_nothing(self):
        if SANITIZED:
            self.skipTest('a sanitizer stands in the way')
        with tempfile.TemporaryDirectory() as d:
            with open(d + '/a.c', 'w') as f:
                f.write('int prctl(int o) { return o == 22 ? -1 : 0; }\n')
            subprocess.run(['cc', '-shared', '-fPIC', '-o', d + '/a.so', d + '/a.c'], check=True)
            p = run(read(CDA + '/ordonnance.xml'), env={'LD_PRELOAD': d + '/a.so'})
            self.assertEqual((p.returncode, p.stdout), (3, b''))


# ---- the module, over plain tables ----

TABLES = '''
CREATE TABLE session(principal INTEGER, kind TEXT, profession TEXT);
CREATE TABLE patient(id INTEGER PRIMARY KEY, ins TEXT, ins_oid TEXT, birth_name TEXT, used_name TEXT, given_names TEXT,
  birth_date TEXT, sex TEXT, birth_place TEXT, treating_doctor INTEGER, credential TEXT, pin TEXT);
CREATE TABLE document(id INTEGER PRIMARY KEY, patient INTEGER, content BLOB, view BLOB, masked INTEGER, title TEXT,
  hidden_from_representatives INTEGER, invisible_patient INTEGER,
  type_code TEXT, unique_id TEXT, format_code TEXT, mime TEXT, language TEXT, creation_time TEXT,
  service_start TEXT, service_stop TEXT, author TEXT, author_profession TEXT, facility TEXT, practice_setting TEXT,
  replaces TEXT, confidentiality TEXT, view_mime TEXT, hash TEXT);
CREATE TRIGGER deposit AFTER INSERT ON document BEGIN
  UPDATE document SET hash = sha256(content) WHERE id = new.id;
END;
'''
ELODIE = ('291053726104236', '1.2.250.1.213.1.4.10', 'CHASTEL', 'ELODIE', '1991-05-14', 'F', '37261')


class ModuleCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = self.folder.name
        self.keys = self.dir + '/keys'
        self.files = self.dir + '/files'
        os.mkdir(self.keys)
        os.mkdir(self.files)
        self.db = self.open()
        self.db.executescript(TABLES)
        self.db.execute("INSERT INTO session VALUES(7, 'professional', '10')")

    def tearDown(self):
        self.db.close()
        self.folder.cleanup()

    def open(self, library=BUILD + '/dmp_import'):
        db = sqlite3.connect(self.dir + '/record.db', isolation_level=None)
        db.row_factory = sqlite3.Row
        db.create_function('sha256', 1, lambda b: hashlib.sha256(b).hexdigest(), deterministic=True)
        db.enable_load_extension(True)
        db.load_extension(library)
        return db

    def put(self, name, data=None):
        data = read(os.path.join(CDA, name)) if data is None else data
        with open(os.path.join(self.files, name), 'wb') as f:
            f.write(data)
        return data

    def elodie(self, **changes):
        names = ('ins', 'ins_oid', 'birth_name', 'given_names', 'birth_date', 'sex', 'birth_place')
        row = dict(zip(names, ELODIE), **changes)
        sql = 'INSERT INTO patient(%s) VALUES(%s)' % (','.join(row), ','.join('?' * len(row)))
        self.db.execute(sql, tuple(row.values()))

    def load(self, path=None, options=None):
        return self.db.execute('SELECT * FROM dmp_import(?, ?)', (path or self.files, options or '')).fetchall()

    def create(self, path=None):
        return self.load(path, 'create_patients=1,keys=' + self.keys)

    def only(self, data, name='x.xml'):
        """Imports one file made of data, and gives its row."""
        self.put(name, data)
        rows = self.load(os.path.join(self.files, name))
        self.assertEqual(len(rows), 1)
        return rows[0]

    def count(self, table='document'):
        return self.db.execute('SELECT count(*) FROM ' + table).fetchone()[0]

    def test_a_document_of_a_known_patient_is_deposited_whole(self):
        self.elodie()
        data = self.put('imagerie-poignet.xml')
        row, = self.load()
        self.assertEqual((row['state'], row['reason'], row['warning']), ('deposited', None, None))
        d = self.db.execute('SELECT * FROM document').fetchone()
        want = expected(data)
        self.assertEqual((d['content'], d['view'], d['view_mime'], d['mime']),
                         (data, want['VIEW'], 'application/pdf', 'text/xml'))
        self.assertEqual((d['id'], d['patient'], d['unique_id'], d['title']),
                         (row['document'], row['patient'], want['UNIQUE_ID'], 'Radiographie du poignet gauche'))
        self.assertEqual((d['creation_time'], d['service_start'], d['service_stop']),
                         ('2026-03-01T09:15:00Z', '2026-03-01T08:50:00Z', '2026-03-01T09:05:00Z'))
        self.assertEqual((d['author'], d['author_profession'], d['facility'], d['practice_setting'], d['language']),
                         ('Dr Inès BERTHIER', 'G15_10/SM44', 'SA08', 'AMBULATOIRE', 'fr-FR'))
        self.assertEqual((d['type_code'], d['confidentiality'], d['masked'], d['replaces']), ('18748-4', 'N', 0, None))

    def test_the_same_folder_twice_deposits_nothing_twice(self):
        for name in os.listdir(CDA):
            self.put(name)
        first, second = self.create(), self.create()
        self.assertEqual([r['state'] for r in first], ['deposited'] * len(os.listdir(CDA)))
        self.assertEqual([r['state'] for r in second], ['present'] * len(first))
        self.assertEqual([r['document'] for r in first], [r['document'] for r in second])
        self.assertEqual((self.count(), self.count('patient')), (len(first), 3))

    def test_the_same_identifier_with_another_content_is_refused(self):
        self.elodie()
        data = self.put('ordonnance.xml')
        self.load()
        row = self.only(data.replace(b'2 bouff', b'9 bouff'))
        self.assertEqual((row['state'], row['document']), ('refused', None))
        self.assertIn('another content', row['reason'])
        self.assertEqual(self.count(), 1)

    def test_an_unknown_patient_is_refused_without_the_option(self):
        self.put('ordonnance.xml')
        row, = self.load()
        self.assertEqual((row['state'], row['patient']), ('refused', None))
        self.assertIn('unknown to you', row['reason'])
        self.assertEqual(self.count() + self.count('patient'), 0)

    def test_new_patients_get_a_credential_without_a_name_and_a_pin_of_twelve_digits(self):
        for name in ('ordonnance.xml', 'biologie-hba1c.xml', 'historique-vaccinal.xml', 'synthese-medicale.xml'):
            self.put(name)
        rows = self.create()
        made = [r for r in rows if r['pin']]
        self.assertEqual(len(made), 3)
        for r in made:
            self.assertRegex(r['pin'], r'^\d{12}$')
            self.assertRegex(r['credential'], '^%s/patient-[0-9a-f]{16}[.]dmpkey$' % re.escape(self.keys))
        self.assertEqual(len({r['pin'] for r in made} | {r['credential'] for r in made}), 6)
        stored = self.db.execute('SELECT * FROM patient ORDER BY birth_date').fetchall()
        self.assertEqual([p['birth_name'] for p in stored], ['ORSONI', 'CHASTEL', "D'ARVIEUX"])
        self.assertEqual([p['treating_doctor'] for p in stored], [7, 7, 7])
        self.assertEqual(tuple(stored[0])[1:9], ('148112A00401734', '1.2.250.1.213.1.4.10', 'ORSONI', 'ORSONI',
                                                 'Ange-Toussaint', '1948-11-07', 'M', '2A004'))

    def test_who_is_no_doctor_becomes_no_treating_doctor(self):
        self.db.execute("UPDATE session SET profession = '60'")
        self.put('ordonnance.xml')
        self.create()
        self.assertIsNone(self.db.execute('SELECT treating_doctor FROM patient').fetchone()[0])

    def test_each_trait_that_differs_is_refused_by_its_name(self):
        self.put('ordonnance.xml')
        for trait, name, bad in (('birth_name', 'birth name', 'CHATEL'), ('given_names', 'given names', 'ELODIA'),
                                 ('birth_date', 'birth date', '1991-05-15'), ('sex', 'sex', 'M'),
                                 ('birth_place', 'birth place', '37260')):
            self.db.execute('DELETE FROM patient')
            self.elodie(**{trait: bad})
            row, = self.load()
            self.assertEqual(row['state'], 'refused', trait)
            self.assertIn('(%s)' % name, row['reason'])
            self.assertNotIn(bad, row['reason'])

    def test_traits_agree_whatever_the_accents_hyphens_and_further_given_names(self):
        self.put('ordonnance.xml')
        for changes in ({'given_names': 'ÉLODIE MARIE'}, {'given_names': 'E\u0301lodie-Marie'},
                        {'birth_name': 'Chastel'}, {'birth_date': '1991'}, {'birth_date': '1991-05'}):
            self.db.execute('DELETE FROM patient')
            self.db.execute('DELETE FROM document')
            self.elodie(**changes)
            row, = self.load()
            self.assertEqual(row['state'], 'deposited', changes)

    def test_a_birth_place_that_is_not_known_is_a_warning(self):
        self.elodie(birth_place=None)
        self.put('ordonnance.xml')
        row, = self.load()
        self.assertEqual((row['state'], row['warning']), ('deposited', 'the birth place could not be compared'))

    def test_an_identity_without_ins_is_refused(self):
        self.elodie()
        row = self.only(read(CDA + '/ordonnance.xml').replace(b'1.2.250.1.213.1.4.10', b'1.2.3.4'))
        self.assertEqual(row['state'], 'refused')
        self.assertIn('identity without INS', row['reason'])

    def test_a_test_ins_never_leads_to_a_real_patient(self):
        self.elodie(ins_oid='1.2.250.1.213.1.4.8')
        self.put('ordonnance.xml')
        for row in self.load() + self.create():
            self.assertEqual((row['state'], row['patient']), ('refused', None))
            self.assertIn('another domain', row['reason'])
        self.assertEqual(self.count('patient'), 1)

    def test_a_wrong_key_is_a_warning_under_a_test_oid_and_refused_under_the_real_one(self):
        self.elodie(ins='291053726104237')
        bad = read(CDA + '/ordonnance.xml').replace(b'291053726104236', b'291053726104237')
        row = self.only(bad)
        self.assertEqual((row['state'], row['warning']), ('deposited', 'the key of this test INS is wrong'))
        row = self.only(bad.replace(b'1.2.250.1.213.1.4.10', b'1.2.250.1.213.1.4.8'))
        self.assertEqual(row['state'], 'refused')
        self.assertIn('97', row['reason'])
        row = self.only(bad.replace(b'291053726104237', b'29105372610423'))
        self.assertIn('malformed', row['reason'])

    def test_two_different_ins_are_refused(self):
        self.elodie()
        data = read(CDA + '/ordonnance.xml')
        first = re.search(b' *<id root="1.2.250.1.213.1.4.10".*\n', data).group(0)
        row = self.only(data.replace(first, first + first.replace(b'291053726104236', b'215036912325006')))
        self.assertIn('two different INS', row['reason'])

    def test_a_masked_document_is_deposited_masked(self):
        self.elodie()
        self.put('ivg-masquee.xml')
        row, = self.load()
        self.assertEqual(row['state'], 'deposited')
        self.assertEqual(tuple(self.db.execute('SELECT masked, confidentiality FROM document').fetchone()), (1, 'N'))

    def test_what_is_hidden_is_deposited_hidden_under_every_spelling(self):
        self.elodie()
        data = read(CDA + '/ordonnance.xml')
        line = re.search(b' *<confidentialityCode.*\n', data).group(0)
        for code, invisible, hidden in ((b'INVISIBLE_PATIENT', 1, 0), (b'INVISIBLE_REPRESENTANTS_LEGAUX', 0, 1), (b'INVISIBLE_REP_LEGAUX', 0, 1),
                                        (b'INVISIBLE_REPRENSANTS_LEGAUX', 0, 1)):
            row = self.only(data.replace(line, line + b'<confidentialityCode code="%s"/>' % code))
            self.assertEqual(row['state'], 'deposited', row['reason'])
            self.assertEqual(tuple(self.db.execute('SELECT masked, invisible_patient, hidden_from_representatives FROM document WHERE id=?',
                                                   (row['document'],)).fetchone()), (0, invisible, hidden), code)
            self.db.execute('DELETE FROM document WHERE id=?', (row['document'],))

    def test_a_confidentiality_that_is_forbidden_or_unknown_is_refused(self):
        self.elodie()
        data = read(CDA + '/ordonnance.xml')
        line = re.search(b' *<confidentialityCode.*\n', data).group(0)
        for codes, part in ((b'MASQUE_PS INVISIBLE_PATIENT', 'forbidden'), (b'MASQUE', 'not known'),
                            (b'n', 'not known')):
            extra = b''.join(b'<confidentialityCode code="%s"/>' % c for c in codes.split())
            row = self.only(data.replace(line, line + extra))
            self.assertEqual(row['state'], 'refused', codes)
            self.assertIn(part, row['reason'], codes)
        self.assertIn('how confidential', self.only(data.replace(line, b''))['reason'])
        self.assertEqual(self.count(), 0)
        self.assertEqual(self.only(data.replace(line, line + line.replace(b'"N"', b'"V"')))['state'], 'deposited')
        self.assertEqual(self.db.execute('SELECT confidentiality FROM document').fetchone()[0], 'V')

    def test_a_replacement_names_what_it_replaces(self):
        for name in ('operatoire-v1.xml', 'operatoire-v2.xml'):
            self.put(name)
        rows = self.create()
        self.assertEqual([(r['state'], r['warning']) for r in rows], [('deposited', None)] * 2)
        replaces = [d[0] for d in self.db.execute('SELECT replaces FROM document ORDER BY id')]
        self.assertEqual(replaces, [None, rows[0]['unique_id']])

    def test_a_replacement_of_something_never_seen_is_a_warning(self):
        self.put('operatoire-v2.xml')
        row, = self.create()
        self.assertEqual(row['state'], 'deposited')
        self.assertIn('not here for you', row['warning'])

    def test_a_later_version_that_names_no_former_one_is_a_warning(self):
        self.elodie()
        data = read(CDA + '/ordonnance.xml').replace(b'<versionNumber value="1"/>', b'<versionNumber value="3"/>')
        row = self.only(data)
        self.assertEqual(row['state'], 'deposited')
        self.assertIn('both stand', row['warning'])
        self.assertIsNone(self.db.execute('SELECT replaces FROM document').fetchone()[0])

    def test_a_type_code_in_no_line_of_the_matrix_goes_in_with_a_warning(self):
        self.elodie()
        row = self.only(read(CDA + '/ordonnance.xml').replace(b'code="57833-6"', b'code="X-1"'))
        self.assertEqual(row['state'], 'deposited')
        self.assertIn('rights matrix', row['warning'])

    def test_a_code_of_another_system_keeps_its_system(self):
        self.elodie()
        data = read(CDA + '/ordonnance.xml')
        self.only(re.sub(b'<code code="57833-6".*/>', b'<code code="77" codeSystem="1.2.3"/>', data))
        self.assertEqual(self.db.execute('SELECT type_code FROM document').fetchone()[0], '77^1.2.3')

    def test_a_date_of_the_act_without_a_day_is_left_out_with_a_warning(self):
        self.elodie()
        data = read(CDA + '/ordonnance.xml')
        row = self.only(data.replace(b'<low value="20260209114500+0100"/>', b'<low value="202602"/>'))
        self.assertEqual(row['state'], 'deposited')
        self.assertIn('left out', row['warning'])
        self.assertIsNone(self.db.execute('SELECT service_start FROM document').fetchone()[0])

    def test_missing_metadata_has_its_own_refusal(self):
        self.elodie()
        data = read(CDA + '/ordonnance.xml')
        for pattern, part in ((b' *<id root="1.2.250.1.213.1.1.9.20417.102".*\n', 'no identifier'),
                              (b' *<effectiveTime value=.*\n', 'no date'), (b' *<birthTime.*\n', 'lacks a trait')):
            row = self.only(re.sub(pattern, b'', data, count=1))
            self.assertEqual(row['state'], 'refused', pattern)
            self.assertIn(part, row['reason'])

    def test_files_come_sorted_from_all_folders_and_links_are_not_followed(self):
        os.makedirs(self.files + '/b/c')
        os.makedirs(self.dir + '/outside')
        for name in ('b/c/z.xml', 'b/a.xml', 'a.xml', 'ç é.xml.xml'):
            self.put(name, b'x')
        with open(self.dir + '/outside/secret.xml', 'wb') as f:
            f.write(b'x')
        os.symlink(self.dir + '/outside', self.files + '/b/link')
        os.symlink(self.dir + '/outside/secret.xml', self.files + '/link.xml')
        os.mkfifo(self.files + '/fifo')
        names = [r['file'][len(self.files) + 1:] for r in self.load()]
        self.assertEqual(names, ['a.xml', 'b/a.xml', 'b/c/z.xml', 'ç é.xml.xml'])

    def test_one_bad_file_never_stops_the_rest(self):
        self.elodie()
        for name in os.listdir(HOSTILE):
            self.put(name, read(os.path.join(HOSTILE, name)))
        self.put('ordonnance.xml')
        self.put('zz.xml', b'x')
        with open(os.path.join(os.fsencode(self.files), b'bytes-\xff.xml'), 'wb') as f:
            f.write(b'x')
        rows = {os.path.basename(r['file']): r for r in self.load()}
        self.assertEqual(len(rows), len(HOSTILE_VERDICTS) + 3)
        for name, verdict in HOSTILE_VERDICTS.items():
            self.assertEqual((rows[name]['state'], rows[name]['reason']), ('refused', SENTENCES[verdict]), name)
        self.assertEqual(rows['ordonnance.xml']['state'], 'deposited')
        self.assertIn('bytes-?.xml', rows)

    def test_a_file_is_all_or_nothing(self):
        self.db.execute("CREATE TRIGGER full BEFORE INSERT ON document WHEN new.type_code = '57833-6'"
                        " BEGIN SELECT raise(ABORT, 'the disk is full'); END")
        for name in ('biologie-hba1c.xml', 'ordonnance.xml', 'remboursements.xml'):
            self.put(name)
        self.db.create_function('touch', 1, lambda p: open(p, 'w').close())
        self.db.execute('CREATE TRIGGER key AFTER INSERT ON patient BEGIN SELECT touch(new.credential); END')
        rows = self.create()
        self.assertEqual([r['state'] for r in rows], ['deposited', 'refused', 'deposited'])
        bad = rows[1]
        self.assertEqual(bad['reason'], 'the disk is full')
        self.assertEqual((bad['credential'], bad['pin'], bad['patient'], bad['document']), (None,) * 4)
        self.assertEqual((self.count(), self.count('patient'), len(os.listdir(self.keys))), (2, 2, 2))
        other = sqlite3.connect(self.dir + '/record.db')
        self.assertEqual(other.execute('SELECT count(*) FROM document').fetchone()[0], 2)
        other.close()

    def test_each_file_is_committed_when_its_row_comes(self):
        for name in ('biologie-hba1c.xml', 'ivg-masquee.xml', 'ordonnance.xml'):
            self.put(name)
        options = 'create_patients=1,keys=' + self.keys
        cursor = self.db.execute('SELECT state FROM dmp_import(?, ?)', (self.files, options))
        self.assertEqual(cursor.fetchone()[0], 'deposited')
        other = sqlite3.connect(self.dir + '/record.db')
        self.assertIn(other.execute('SELECT count(*) FROM document').fetchone()[0], (1, 2))   # Python steps one ahead
        other.close()
        cursor.close()

    def test_inside_a_transaction_all_goes_back_with_it(self):
        self.elodie()
        self.put('ordonnance.xml')
        self.db.execute('BEGIN')
        self.assertEqual(self.load()[0]['state'], 'deposited')
        self.assertEqual(self.count(), 1)
        self.db.execute('ROLLBACK')
        self.assertEqual(self.count(), 0)

    def fails(self, sql, part, *values):
        with self.assertRaises(sqlite3.Error) as e:
            self.db.execute(sql, values).fetchall()
        self.assertIn(part, str(e.exception))

    def test_wrong_uses_have_their_own_sentence(self):
        self.put('ordonnance.xml')
        self.fails('SELECT * FROM dmp_import', 'give a file or a folder')
        self.fails('SELECT * FROM dmp_import(?)', 'no such file', self.dir + '/none')
        self.fails('SELECT * FROM dmp_import(NULL)', 'dmp-E065')
        for options in ('x=1', 'create_patients', 'create_patients=2', 'keys='):
            self.fails('SELECT * FROM dmp_import(?, ?)', 'dmp-E066', self.files, options)
        self.fails('SELECT * FROM dmp_import(?, ?)', 'keys=FOLDER', self.files, 'create_patients=1')
        self.fails('SELECT * FROM dmp_import(?, ?)', 'keys=FOLDER', self.files, 'create_patients=1,keys=/none')
        self.fails('SELECT * FROM dmp_import(?, ?)', 'dmp-E019', self.files, 'schema=other')
        self.db.execute('CREATE TABLE kept(file)')
        self.fails('INSERT INTO kept SELECT file FROM dmp_import(?)', 'SELECT of its own', self.files)
        self.db.execute("CREATE VIEW v AS SELECT * FROM dmp_import('%s')" % self.files)
        self.fails('SELECT * FROM v', 'unsafe use')
        self.fails("DELETE FROM dmp_import", 'may not be modified')
        self.db.execute('DELETE FROM session')
        self.fails('SELECT * FROM dmp_import(?)', 'dmp-E023', self.files)

    def test_an_attached_record_is_named_by_its_schema(self):
        self.elodie()
        self.put('ordonnance.xml')
        other = sqlite3.connect(':memory:', isolation_level=None)
        other.create_function('sha256', 1, lambda b: hashlib.sha256(b).hexdigest(), deterministic=True)
        other.enable_load_extension(True)
        other.load_extension(BUILD + '/dmp_import')
        other.execute('ATTACH ? AS dossier', (self.dir + '/record.db',))
        state = other.execute('SELECT state FROM dmp_import(?, ?)', (self.files, 'schema=dossier')).fetchall()
        other.close()
        self.assertEqual((state, self.count()), ([('deposited',)], 1))

    # -- a child that is not ours --

    def with_child(self, script):
        """A copy of the module beside another dmp-parse."""
        place = tempfile.mkdtemp(dir=self.dir)
        shutil.copy(BUILD + '/dmp_import.so', place)
        if script is not None:
            with open(place + '/dmp-parse', 'w') as f:
                f.write('#!/usr/bin/python3\nimport os, resource, struct, sys\nsys.stdin.buffer.read()\n'
                        'def field(tag, v): sys.stdout.buffer.write(struct.pack("<HI", tag, len(v)) + v)\n'
                        'def magic(): sys.stdout.buffer.write(b"dmp-parse-1\\n")\n' + script + '\n')
            os.chmod(place + '/dmp-parse', 0o755)
        self.db.close()
        self.db = self.open(place + '/dmp_import')
        self.put('ordonnance.xml')

    def test_a_child_that_talks_nonsense_is_refused(self):
        end = '; field(0, b"")'
        for script in ('print("hello")', 'magic()', 'magic(); field(0, b"x")', 'magic(); field(999, b"x")' + end,
                       'magic(); field(23, b"\\xff")' + end, 'magic(); field(23, b"a\\0b")' + end,
                       'magic(); field(23, b"a"); field(23, b"b")' + end, 'magic(); field(1, b"\\xc8")' + end,
                       'magic()' + end + '; print("more")', 'magic(); field(23, b"x" * 70000)' + end, 'sys.exit(3)',
                       'magic(); sys.stdout.buffer.write(struct.pack("<HI", 23, 4000000000))'):
            self.with_child(script)
            row, = self.load()
            self.assertEqual(row['state'], 'refused', script)
            self.assertIn('dmp-parse', row['reason'], script)

    def test_a_child_that_never_stops_talking_or_dies_is_stopped(self):
        for script in ('while True: sys.stdout.buffer.write(b"x" * 65536)', 'os.kill(os.getpid(), 31)',
                       'os.kill(os.getpid(), 11)'):
            self.with_child(script)
            row, = self.load()
            self.assertEqual(row['state'], 'refused')
            self.assertIn('it was stopped', row['reason'])

    def test_the_child_gets_no_environment_no_descriptor_and_no_blocked_signal(self):
        os.environ['DMP_CANARY'] = 'secret'
        leak = os.open('/etc/hostname', os.O_RDONLY)
        os.set_inheritable(leak, True)
        self.with_child('import signal\n'
                        'fds = [f for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)]\n'
                        'said = "%s %s %s" % (sorted(k for k in os.environ if k != "LC_CTYPE"), sorted(fds),\n'
                        '                    list(signal.pthread_sigmask(signal.SIG_BLOCK, [])))\n'
                        'magic(); field(20, b"1.2"); field(23, said.encode()); field(0, b"")')
        row, = self.load()
        os.close(leak)
        self.assertEqual(row['title'], "[] ['0', '1', '2'] []")

    def test_without_its_child_the_module_says_so(self):
        self.with_child(None)
        self.fails('SELECT * FROM dmp_import(?)', 'dmp-parse is missing', self.files)

    def test_a_pdf_of_a_hundred_megabytes_is_deposited(self):
        self.elodie()
        small = read(CDA + '/consultation-niveau1.xml')
        pdf = b'%PDF-1.4\n' + os.urandom(1 << 20) * 100
        start, end = small.index(b'B64">') + 5, small.index(b'</text>')
        row = self.only(small[:start] + base64.b64encode(pdf) + small[end:])
        self.assertEqual(row['state'], 'deposited')
        sizes = self.db.execute('SELECT length(view), length(content) > 130000000 FROM document').fetchone()
        self.assertEqual(tuple(sizes), (len(pdf), 1))


class RecordCase(unittest.TestCase):
    """Over a record: what the plain tables can't show, that it takes what the import gives."""
    PIN = 'un code de test'

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = self.folder.name
        self.keys = self.dir + '/keys'
        os.mkdir(self.keys)
        self.db = self.open()
        authority = self.dir + '/authority.dmpkey'
        fingerprint = self.one('SELECT dmp_create(?, ?, NULL, ?)', authority, self.PIN, 'kdf=1x8')
        self.one('SELECT dmp_login(?, ?)', authority, self.PIN)
        self.doctor = self.dir + '/doctor.dmpkey'
        request = self.one('SELECT dmp_keygen(?, ?, ?)', self.doctor, self.PIN, 'kdf=1x8')
        self.db.execute("INSERT INTO principal(kind, identifier, name, profession, registrar, certificate)"
                        " VALUES('professional', '10000204171', 'Hélène VASSEUR', '10', 1, ?)", (request,))
        self.one('SELECT dmp_logout()')
        self.one('SELECT dmp_login(?, ?, NULL, NULL, ?)', self.doctor, self.PIN, fingerprint)

    def tearDown(self):
        self.db.close()
        self.folder.cleanup()

    def open(self):
        db = sqlite3.connect(self.dir + '/record.db', isolation_level=None)
        db.row_factory = sqlite3.Row
        db.enable_load_extension(True)
        db.load_extension(BUILD + '/dmp')
        db.load_extension(BUILD + '/dmp_import')
        db.execute('PRAGMA temp_store=MEMORY')
        return db

    def one(self, sql, *values):
        return self.db.execute(sql, values).fetchone()[0]

    def create(self, path):
        options = 'create_patients=1,keys=' + self.keys
        return self.db.execute('SELECT * FROM dmp_import(?, ?)', (path, options)).fetchall()

    def test_a_record_takes_every_fixture_once_and_gives_it_back_byte_for_byte(self):
        first = self.create(CDA)
        self.assertEqual([(r['state'], r['reason']) for r in first], [('deposited', None)] * len(os.listdir(CDA)))
        for r in first:
            data = read(r['file'])
            d = self.db.execute('SELECT * FROM document WHERE id=?', (r['document'],)).fetchone()
            self.assertEqual((d['content'], d['hash']), (data, hashlib.sha256(data).hexdigest()))
            want = expected(data)['VIEW'] or data
            shown = self.one('SELECT dmp_read(?, ?, ?)', d['id'], d['view_offset'], d['view_size'])
            self.assertEqual(shown, want, r['file'])
        self.assertEqual([r['state'] for r in self.create(CDA)], ['present'] * len(first))
        self.assertEqual(self.one('SELECT count(*) FROM patient'), 3)

    def many(self, n):
        """A folder of n documents of one patient, told apart by their ids."""
        folder, like = self.dir + '/many', read(CDA + '/ordonnance.xml')
        os.mkdir(folder)
        for i in range(n):
            with open('%s/%04d.xml' % (folder, i), 'wb') as f:
                f.write(like.replace(b'20417.102"', b'20417.102.%d"' % i))
        return folder

    def sound(self, folder):
        """Every document that is there is whole, and everything verifies."""
        self.assertEqual(self.db.execute('SELECT place, "row", what FROM dmp_verify').fetchall(), [])
        files = {hashlib.sha256(read(f)).hexdigest() for f in glob.glob(folder + '/*')}
        there = [d['content'] for d in self.db.execute('SELECT content FROM document')]
        self.assertTrue({hashlib.sha256(d).hexdigest() for d in there} <= files)
        return len(there)

    def test_killed_at_any_moment_an_import_of_a_thousand_has_each_document_whole_or_not_at_all(self):
        folder, step = self.many(1000), ('import sqlite3, sys\n'
            "db = sqlite3.connect(sys.argv[1], isolation_level=None); db.enable_load_extension(True)\n"
            "db.load_extension(sys.argv[2] + '/dmp'); db.load_extension(sys.argv[2] + '/dmp_import'); db.execute('PRAGMA temp_store=MEMORY')\n"
            "db.execute('SELECT dmp_login(?, ?)', (sys.argv[3], sys.stdin.readline())).fetchall()\n"
            "for r in db.execute('SELECT * FROM dmp_import(?, ?)', (sys.argv[4], sys.argv[5])): print(r[1], flush=True)\n")
        done = 0
        for part in range(6):
            p = subprocess.Popen([sys.executable, '-c', step, self.dir + '/record.db', BUILD, self.doctor, folder,
                                  'create_patients=1,keys=' + self.keys], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            p.stdin.write(self.PIN)
            p.stdin.close()
            said = [p.stdout.readline() for _ in range(done + 20 + 37 * part)]
            p.kill()
            said += p.stdout.readlines()
            p.wait()
            p.stdout.close()
            deposited = done + sum(line == 'deposited\n' for line in said)
            self.db.close()
            self.db = self.open()
            self.one('SELECT dmp_login(?, ?)', self.doctor, self.PIN)
            done = self.sound(folder)
            self.assertGreaterEqual(done, deposited)     # what was said to be there is there
        rows = self.create(folder)
        self.assertEqual(sorted({r['state'] for r in rows}), ['deposited', 'present'])
        self.assertEqual((len(rows), self.sound(folder)), (1000, 1000))

    def test_a_disk_that_fills_up_refuses_the_rest_and_keeps_what_is_there(self):
        if os.geteuid() != 0:
            self.skipTest('only root can mount a small disk')
        folder, disk = self.many(300), self.dir + '/disk'
        self.create(CDA + '/ordonnance.xml')
        self.db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        self.db.close()
        os.mkdir(disk)
        subprocess.check_call(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'none', disk])
        try:
            for name in glob.glob(self.dir + '/record.db*'):
                (shutil.copytree if os.path.isdir(name) else shutil.copy)(name, os.path.join(disk, os.path.basename(name)))
            home, self.dir = self.dir, disk
            self.db = self.open()
            self.one('SELECT dmp_login(?, ?)', self.doctor, self.PIN)
            rows = self.create(folder)
            self.assertEqual(rows[-1]['state'], 'refused')
            self.assertRegex(rows[-1]['reason'], 'full|space|disk')
            subprocess.check_call(['mount', '-o', 'remount,size=40m', disk])
            self.db.close()
            self.db = self.open()
            self.one('SELECT dmp_login(?, ?)', self.doctor, self.PIN)
            kept = self.one('SELECT count(*) FROM document')
            self.assertTrue(1 < kept < 301)
            self.assertEqual(self.one("SELECT count(*) FROM dmp_verify WHERE kind='fault'"), 0)
            self.assertEqual({r['state'] for r in self.create(folder)}, {'deposited', 'present'})
            self.assertEqual(self.one('SELECT count(*) FROM document'), 301)
            self.assertEqual(self.one("SELECT count(*) FROM dmp_verify WHERE kind='fault'"), 0)
            self.dir = home
        finally:
            self.db.close()
            subprocess.call(['umount', '-l', disk])

    def test_a_masked_fixture_is_masked_and_a_replaced_one_deprecated(self):
        self.create(CDA)
        name = lambda sql: [t[0] for t in self.db.execute(sql)]
        self.assertEqual(name('SELECT title FROM document WHERE masked'),
                         ["Compte rendu d'interruption volontaire de grossesse"])
        self.assertEqual(name("SELECT title FROM document WHERE availability='Deprecated'"), ['Compte rendu opératoire'])

    def test_a_new_patient_opens_the_own_record_with_the_credential_and_pin_of_the_row(self):
        made = [r for r in self.create(CDA) if r['pin']]
        self.assertEqual(sorted(os.path.basename(r['credential']) for r in made), sorted(os.listdir(self.keys)))
        self.one('SELECT dmp_logout()')
        self.one('SELECT dmp_login(?, ?)', made[0]['credential'], made[0]['pin'])
        self.assertEqual([p[0] for p in self.db.execute('SELECT id FROM patient')], [made[0]['patient']])
        self.assertIn(made[0]['document'], [d[0] for d in self.db.execute('SELECT id FROM document')])

    def test_a_rollback_takes_patients_and_documents_back(self):
        self.db.execute('BEGIN')
        self.assertEqual({r['state'] for r in self.create(CDA)}, {'deposited'})
        self.db.execute('ROLLBACK')
        self.assertEqual(self.one('SELECT count(*) FROM document') + self.one('SELECT count(*) FROM patient'), 0)
        self.assertEqual({r['state'] for r in self.create(CDA)}, {'deposited'})

    def test_without_a_session_nothing_is_read(self):
        self.one('SELECT dmp_logout()')
        with self.assertRaises(sqlite3.Error) as e:
            self.create(CDA)
        self.assertIn('dmp-E023', str(e.exception))

    def test_the_public_samples_go_in_but_for_those_with_a_reason(self):
        if not os.path.isdir(SAMPLES + '/cda'):
            self.skipTest('no samples beside the project')
        rows = {os.path.basename(r['file']): r for r in self.create(SAMPLES + '/cda')}
        refused = {name: r['reason'] for name, r in rows.items() if r['state'] == 'refused'}
        self.assertEqual(len(rows), len(os.listdir(SAMPLES + '/cda')))
        for name, part in (('BIO-CR-BIO_2023.01_Electrophorese.xml', '(birth place)'),
                           ('CSE-CS24_2024.01.xml', 'key of the INS'), ('CSE-CS8_2025.01.xml', '(birth date)'),
                           ('CSE-CS9_2024.01.xml', 'key of the INS'),
                           ('CSE-MDE_2023.01.xml', 'key of the INS'), ('OBP-SEM_2024.01.xml', 'key of the INS'),
                           ('eDISP-MED_2024.01.xml', '(given names)'),
                           ('SDM-MR_2024.01_patiente-enceinte.xml', 'another domain'),
                           ('SDM-MR_2024.01_patiente-post-grossesse.xml', 'another domain')):
            self.assertIn(part, refused.pop(name))
        self.assertEqual(refused, {})


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    if len(sys.argv) > 2:
        every = [t for case in suite for t in case]
        suite = unittest.TestSuite(t for t in every if any(n in t.id() for n in sys.argv[2:]))
    r = unittest.TextTestRunner(verbosity=2).run(suite)
    bad = len(r.failures) + len(r.errors)
    print('%d passed, %d failed, %d skipped' % (r.testsRun - bad - len(r.skipped), bad, len(r.skipped)))
    sys.exit(bad != 0)


if __name__ == '__main__':
    main()
