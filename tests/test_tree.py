#!/usr/bin/python3
"""What a clinician finds in a mount: the order of folders, what is new, pages, documents drawn as pages, layouts.
  test_tree.py [build [name…]]     as test_mount.py, whose practice and mounts it uses"""
import concurrent.futures, os, re, signal, sqlite3, subprocess, time
import test_mount as door
from test_mount import DATE, FOLDER, PIN, REPORTS, ROOT, TWO_SECONDS, Mount, error_of, run_dmpfs, same, wait_until

SUMMARY, NOTICE, ACCESSES, READERS = 'Synthèse.html', 'À lire avant.txt', 'Mes accès.html', 'Qui peut lire.html'
CDA = os.path.join(ROOT, 'tests', 'fixtures', 'cda')
HOSTILE = os.path.join(ROOT, 'tests', 'fixtures', 'hostile')


def text(page):
    """A page's words, as a reader sees them."""
    words = re.sub(r'<style>.*?</style>|<[^>]*>', ' ', page.decode(), flags=re.S)
    for entity, char in (('&lt;', '<'), ('&gt;', '>'), ('&quot;', '"'), ('&amp;', '&')):
        words = words.replace(entity, char)
    return re.sub(r'\s+', ' ', words).strip()


def line(p, who, table, **columns):
    return p.insert(who, table, dict(dict(patient=p.patient), **columns))


def prescribe(p, who='doctor', **columns):
    return line(p, who, 'prescription', **dict(dict(prescribed_at='2026-03-12', label='Metformine 850 mg', prescriber='Dr Martin'), **columns))


# ---- folders ----

def test_folders_come_in_the_order_of_the_national_application(p):
    for type_code in ('11502-2', '60591-5', '57833-6', 'EXPPAT_3', '11488-4', '11490-0', '18748-4', '11369-6', 'REMB', '89601-9'):
        p.deposit('Document', type_code=type_code)
    with Mount(p, 'patient') as m:
        same([e.name for e in os.scandir(m(FOLDER)) if e.is_dir()],
             ['Synthèse', 'Ordonnances', 'Comptes rendus', 'Courriers', 'Biologie', 'Imagerie', 'Vaccinations', 'Directives',
              'Remboursements', 'Certificats'])


def test_what_came_these_days_stands_in_nouveaux_too_and_an_old_paper_does_not(p):
    today = time.strftime('%Y-%m-%d', time.gmtime())
    i = p.deposit('Récent', b'neuf', creation_time=today + 'T08:00:00Z')
    p.deposit('Ancien', creation_time='2001-01-01T08:00:00Z')
    name = '%s Récent – Dr Martin.pdf' % today
    with Mount(p, 'pharmacist') as m:
        same(m.list(FOLDER, 'Nouveaux'), [name])
        same(m.read(FOLDER, 'Nouveaux', name), b'neuf')
        same(os.stat(m(FOLDER, 'Nouveaux', name)).st_ino, os.stat(m(REPORTS, name)).st_ino)
        p.mask(i)
        assert wait_until(lambda: error_of(os.stat, m(FOLDER, 'Nouveaux')) == 'ENOENT', TWO_SECONDS)
        same(len(m.list(REPORTS)), 1)


# ---- pages ----

def test_the_summary_shows_identity_lines_and_documents(p):
    p.deposit('Consultation <b>gras</b> & "guillemets"')
    prescribe(p, dose='1 matin & soir')
    line(p, 'doctor', 'reimbursement', care_date='2026-03-01', label='Consultation', amount=26.5)
    with Mount(p, 'doctor') as m:
        page = m.read(FOLDER, SUMMARY)
        words = text(page)
        for part in ('Nom de naissance Prénoms Naissance Sexe', 'Dupont Marie 02/01/1970 féminin', 'Prescription Prescrit le Prescripteur Produit ou soin Dose',
                     '12/03/2026 Dr Martin Metformine 850 mg 1 matin & soir', 'Remboursement', '01/03/2026 Consultation 26,50 €',
                     '12/03/2026 Consultation <b>gras</b> & "guillemets" Dr Martin'):
            assert part in words, (part, words)
        assert b'<b>' not in page and b'<script' not in page and b'http:' not in page
        assert 'Renouvellements' not in words, 'a column that is empty in all rows'
        same(os.stat(m(FOLDER, SUMMARY)).st_size, 65536)
        same(os.stat(m(FOLDER, SUMMARY)).st_mtime, 1773309600)


def test_a_section_that_the_record_describes_is_on_the_summary_without_code(p):
    described = subprocess.run([os.path.join(ROOT, 'scripts', 'embed'), 'pages', os.path.join(ROOT, 'schema', 'sections.tsv'),
                                os.path.join(ROOT, 'schema', 'profession.tsv')], stdout=subprocess.PIPE, text=True, check=True).stdout
    tables = re.findall(r'FROM main\.(\w+) WHERE', described)
    rows = [r.split('\t') for r in open(os.path.join(ROOT, 'schema', 'sections.tsv'), encoding='utf-8') if not r.startswith('#')]
    same(tables, [r[0] for r in rows if r[1] == '-'])
    assert {'prescription', 'reimbursement'} <= set(tables)


def test_a_masked_line_or_document_never_was_on_the_summary(p):
    p.deposit('Visible')
    prescribe(p)
    with Mount(p, 'pharmacist') as m:
        before = (m.everything(), m.read(FOLDER, SUMMARY))
        prescribe(p, label='KANARI', masked=1)
        line(p, 'doctor', 'reimbursement', care_date='2026-03-01', label='KANARI', amount=99, masked=1)
        p.deposit('KANARI', masked=1)
        time.sleep(1.2)
        same((m.everything(), m.read(FOLDER, SUMMARY)), before)
    with Mount(p, 'pharmacist') as m:
        same((m.everything(), m.read(FOLDER, SUMMARY)), before)
    with Mount(p, 'patient') as m:
        same(text(m.read(FOLDER, SUMMARY)).count('KANARI'), 4, 'two lines, a document and its warning')


def test_a_summary_that_is_open_stops_when_a_line_on_it_is_masked(p):
    i = prescribe(p, label='Bientôt masqué')
    with Mount(p, 'pharmacist') as m:
        fd = os.open(m(FOLDER, SUMMARY), os.O_RDONLY)
        assert 'Bientôt masqué' in text(os.pread(fd, 65536, 0))
        p.mask(i)
        assert wait_until(lambda: error_of(os.pread, fd, 65536, 0) == 'ESTALE', TWO_SECONDS), error_of(os.pread, fd, 10, 0)
        os.close(fd)
        assert 'Bientôt masqué' not in text(m.read(FOLDER, SUMMARY))


def test_a_summary_that_is_open_goes_on_when_another_patient_changes(p):
    prescribe(p)
    other = p.register('other', birth_name='Autre', given_names='Paul', birth_date='1980-01-01', sex='M')
    with Mount(p, 'doctor') as m:
        fd = os.open(m(FOLDER, SUMMARY), os.O_RDONLY)
        first = os.pread(fd, 65536, 0)
        p.deposit('Ailleurs', patient=other)
        time.sleep(1.5)
        same(os.pread(fd, 65536, 0), first)
        os.close(fd)


def test_a_long_summary_is_read_to_its_end(p):
    for i in range(300):
        prescribe(p, label='Produit %03d ' % i + 'x' * 200)
    with Mount(p, 'doctor') as m:
        words = text(m.read(FOLDER, SUMMARY))
        same(len(re.findall(r'Produit \d{3}', words)), 300)
        assert m.read(FOLDER, SUMMARY).rstrip().endswith(b'</html>'), 'by who comes when its size is known, too'
        assert wait_until(lambda: os.stat(m(FOLDER, SUMMARY)).st_size == 131072, TWO_SECONDS)


def test_warnings_stand_in_a_notice_which_is_there_only_for_who_has_one(p):
    p.deposit('Visible')
    with Mount(p, 'doctor') as m, Mount(p, 'pharmacist') as n:
        same(error_of(os.stat, m(FOLDER, NOTICE)), 'ENOENT')
        p.deposit('Secret', masked=1)
        assert wait_until(lambda: error_of(os.stat, m(FOLDER, NOTICE)) == 'OK', TWO_SECONDS)
        notice = m.read(FOLDER, NOTICE).decode()
        assert notice.startswith('À LIRE AVANT'), notice
        assert 'Secret' in notice and 'masqué aux professionnels' in notice and 'Visible' not in notice, notice
        same(os.stat(m(FOLDER, NOTICE)).st_size, len(notice.encode()))
        same(error_of(os.stat, n(FOLDER, NOTICE)), 'ENOENT')
        assert NOTICE not in n.list(FOLDER)


def test_the_patient_finds_who_came_and_who_may_read_and_nobody_else_does(p):
    i = p.deposit('Consultation')
    with Mount(p, 'pharmacist') as m:
        m.read(REPORTS, '2026-03-12 Consultation – Dr Martin.pdf')
        same(m.list(FOLDER), ['Comptes rendus', SUMMARY])
        same([error_of(os.stat, m(FOLDER, n)) for n in (ACCESSES, READERS)], ['ENOENT', 'ENOENT'])
    with Mount(p, 'patient') as m:
        same(m.list(FOLDER), ['Comptes rendus', ACCESSES, READERS, SUMMARY])
        accesses, readers = text(m.read(FOLDER, ACCESSES)), text(m.read(FOLDER, READERS))
        assert 'Ph Durand Pharmacien a lu Consultation' in accesses, accesses
        assert 'vous a donné un accord à Ph Durand' in accesses, accesses
        assert 'Ph Durand' in readers and 'Dr Martin' in readers, readers
        assert re.search('12/03/2026 Consultation Dr Martin : .*Ph Durand : consentement', readers), readers
        p.mask(i)
        assert wait_until(lambda: 'Ph Durand : consentement' not in text(m.read(FOLDER, READERS)), TWO_SECONDS), text(m.read(FOLDER, READERS))


def test_the_patients_pages_are_french_throughout_and_tell_a_team_that_a_block_closes(p):
    nurse = p.enrol('nurse', '10100000033', 'Inf Leroy', '60', 0)
    p['authority'].execute("INSERT INTO principal(kind, name, profession) VALUES('team', 'Dispensaire', '60')")
    team, = p['authority'].execute("SELECT id FROM principal WHERE kind = 'team'").fetchone()
    p['authority'].execute('INSERT INTO membership(team, member, manager) VALUES(?, ?, 1)', (team, nurse))
    p.login('nurse').close()
    me, i = p['patient'], p.deposit('Consultation')
    p.consent(team)
    me.execute("INSERT INTO mask(patient, document, grantee) VALUES(?, ?, 'profession:21')", (p.patient, i))
    me.execute('INSERT INTO minimal_view(patient, items, credential, pin) VALUES(?, ?, ?, ?)', (p.patient, str(i), p.key('view'), PIN))
    me.execute('DELETE FROM minimal_view')
    with Mount(p, 'patient') as m:
        assert re.search('Dispensaire [0-9/]+ ce que sa profession permet', text(m.read(FOLDER, READERS))), text(m.read(FOLDER, READERS))
        me.execute('INSERT INTO blocked(patient, professional) VALUES(?, ?)', (p.patient, nurse))
        assert wait_until(lambda: 'rien : un de ses membres est bloqué' in text(m.read(FOLDER, READERS)), TWO_SECONDS), text(m.read(FOLDER, READERS))
        assert re.search('Inf Leroy [0-9/]+ rien que ses propres dépôts', text(m.read(FOLDER, READERS)))
        me.execute('DELETE FROM blocked')
        accesses = text(m.read(FOLDER, ACCESSES))
        for words in ('a bloqué Inf Leroy', 'a débloqué Inf Leroy', 'a préparé une vue à montrer', 'a mis fin à une vue', 'a masqué Consultation à la profession : Pharmacien'):
            assert words in accesses, (words, accesses)
        assert not re.search(r'\b(block|unblock|view|mask|profession:21|consent|list)\b', accesses), accesses


def test_looking_at_the_beginning_of_a_page_to_know_its_type_is_no_reading(p):
    p.deposit('HbA1c', fixture('biologie-hba1c.xml'), mime='text/xml', author=None)
    with Mount(p, 'pharmacist') as m:
        m.list(REPORTS)
        begun = []
        for path in (m(REPORTS, '2026-03-12 HbA1c.html'), m(FOLDER, SUMMARY)):
            with open(path, 'rb', buffering=0) as f:
                begun.append(f.read(4096) + os.pread(f.fileno(), 12288, 4096))
        same((len(begun[0]), begun[0] == begun[1]), (16384, True))
        same(door.log_lines(p, 'read'), 0)
        with open(m(REPORTS, '2026-03-12 HbA1c.html'), 'rb', buffering=0) as f:
            assert 'glyqu' in text(b''.join(iter(lambda: f.read(4096), b''))), 'read in small pieces, it is there'
        same(door.log_lines(p, 'read'), 1)


def test_opening_a_page_is_refused_to_thumbnailers_too(p):
    prescribe(p)
    with Mount(p, 'doctor') as m:
        said = subprocess.check_output(['/usr/bin/python3', '-c', door.PREVIEWER, 'tumblerd', m(FOLDER, SUMMARY)], text=True)
        same(said, '13\n')


def test_pages_have_gone_with_the_consent(p):
    own = p.deposit('A moi', who='pharmacist', type_code='60593-1')
    with Mount(p, 'pharmacist') as m:
        fd = os.open(m(FOLDER, SUMMARY), os.O_RDONLY)
        os.pread(fd, 65536, 0)
        p['patient'].execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (p.patient, p.pharmacist))
        assert wait_until(lambda: error_of(os.pread, fd, 65536, 0) == 'ESTALE', TWO_SECONDS)
        same(m.list('Dossier %d (identité non accessible)' % p.patient), ['Dispensations'])
        os.close(fd)
    assert own


# ---- structured documents ----

def fixture(name, folder=CDA):
    with open(os.path.join(folder, name), 'rb') as f:
        return f.read()


def test_a_structured_document_stands_as_a_page_beside_its_xml(p):
    xml = fixture('biologie-hba1c.xml')
    p.deposit('HbA1c', xml, mime='text/xml', type_code='11502-2')
    stem = '2026-03-12 HbA1c – Dr Martin'
    with Mount(p, 'pharmacist') as m:
        same(m.list(FOLDER, 'Biologie'), [stem + '.html', stem + '.xml'])
        reads = door.log_lines(p, 'read')
        html, drawn = m.read(FOLDER, 'Biologie', stem + '.html'), os.stat(m(FOLDER, 'Biologie', stem + '.html'))
        same(door.log_lines(p, 'read'), reads + 1, 'drawing a document is reading it')
        same(m.read(FOLDER, 'Biologie', stem + '.xml'), xml)
        words = text(html)
        for part in ('suivi du diabète', 'Ange-Toussaint ORSONI', 'M Paul ARNOUX', 'Hémoglobine glyquée 7,4 %', '5 €'):
            assert part in words, (part, words)
        assert "default-src 'none'" in html.decode() and b'<script' not in html
        same((drawn.st_mtime, drawn.st_size), (1773309600, 65536))


def test_every_document_of_the_project_is_drawn_and_what_is_not_one_says_so(p):
    names = sorted(os.listdir(CDA))
    for name in names:
        p.deposit(name[:-4], fixture(name), mime='text/xml', author=None)
    bad = ['bomb-entities.xml', 'external-entity.xml', 'truncated.xml', 'wrong-root.xml', 'external-dtd.xml', 'not-xml.xml']
    for name in bad:
        p.deposit(name[:-4], fixture(name, HOSTILE), mime='text/xml', author=None)
    deep = b'<ClinicalDocument xmlns="urn:hl7-org:v3">' + b'<component>' * 100000 + b'</component>' * 100000 + b'</ClinicalDocument>'
    p.deposit('deep', deep, mime='text/xml', author=None)
    with Mount(p, 'doctor') as m:
        for name in names:
            page = m.read(REPORTS, '2026-03-12 %s.html' % name[:-4])
            assert b'ne se laisse pas' not in page and len(text(page)) > 100, name
        for name in bad + ['deep.xml']:
            assert 'ne se laisse pas présenter' in text(m.read(REPORTS, '2026-03-12 %s.html' % name[:-4])), name
        assert b'</html>' in m.read(REPORTS, '2026-03-12 %s.html' % names[0][:-4]), 'the helper lives'


SCRIPT = b'''<?xml-stylesheet href="http://example.invalid/a.xsl"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>T &lt;script&gt;alert(1)&lt;/script&gt;</title>
<component><structuredBody><component><section><title>S</title><text><script>alert(2)</script><content onclick="alert(3)" styleCode="Bold">gras</content>
<linkHtml href="javascript:alert(4)">lien</linkHtml><table border="1" onload="x"><tbody><tr><td style="background:url(http://example.invalid)">case</td></tr></tbody></table>
<renderMultiMedia referencedObject="a b"/></text><entry><observationMedia ID="a"><value mediaType="image/svg+xml" representation="B64">PHN2Zz4=</value></observationMedia></entry>
<entry><observationMedia ID="b"><value mediaType="image/png&quot; onerror=&quot;x" representation="B64">AAAA</value></observationMedia></entry>
</section></component></structuredBody></component></ClinicalDocument>'''


def test_a_document_brings_no_script_no_link_and_no_style_of_its_own_onto_its_page(p):
    p.deposit('Piege', SCRIPT, mime='text/xml', author=None)
    with Mount(p, 'doctor') as m:
        page = m.read(REPORTS, '2026-03-12 Piege.html').decode()
        for part in ('<script', 'onclick', 'onload', 'javascript', 'href', 'example', 'svg+xml;base64', '<img'):
            assert part not in page, (part, page)
        assert 'gras' in page and 'lien' in page and '<td>case</td>' in page


def test_a_page_longer_than_it_told_is_read_whole(p):
    rows = b''.join(b'<tr><td>%d</td></tr>' % i for i in range(40000))
    xml = b'<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody>' \
          b'<component><section><text><table>' + rows + b'</table></text></section></component></structuredBody></component></ClinicalDocument>'
    short = b'<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody>' + \
            b'<component><section/></component>' * 3000 + b'</structuredBody></component></ClinicalDocument>'
    p.deposit('Long', xml, mime='text/xml', author=None)
    p.deposit('Court', short, mime='text/xml', author=None)      # its page is three times as long
    with Mount(p, 'doctor') as m:
        assert '39999' in text(m.read(REPORTS, '2026-03-12 Long.html'))
        for _ in range(2):                                # its first reader and who comes when its size is known
            page = m.read(REPORTS, '2026-03-12 Court.html')
            same(page.count(b'Rien n'), 3000)
            assert page.rstrip().endswith(b'</html>') and len(page) > len(short) + 65536


def helpers_of(m):
    """The processes that draw."""
    return [int(i) for i in subprocess.run(['pgrep', '-x', '-P', str(m.process.pid), 'dmp-draw'], stdout=subprocess.PIPE, text=True).stdout.split()]


def test_the_helpers_that_draw_have_nothing_and_their_death_ends_pages_only(p):
    for n in '12':
        p.deposit('Structure' + n, fixture('operatoire-v1.xml'), mime='text/xml', author=None)
    page = lambda m, n: text(m.read(REPORTS, '2026-03-12 Structure%d.html' % n))
    with Mount(p, 'doctor') as m:
        children = helpers_of(m)
        same(len(children), 3)
        for child in children:
            status = dict(l.split(':\t') for l in open('/proc/%d/status' % child).read().splitlines() if ':\t' in l)
            same((status['Name'], status['NoNewPrivs']), ('dmp-draw', '1'))
            fds = {n: os.readlink('/proc/%d/fd/%s' % (child, n)) for n in os.listdir('/proc/%d/fd' % child)}
            same(sorted(fds), ['0', '1', '2'])
            assert fds['0'].startswith('socket:') and fds['1'] == fds['2'] == '/dev/null', fds
        os.kill(children[0], 9)
        assert 'ne se laisse pas présenter' in page(m, 1)     # given to one that dies
        assert 'ne se laisse pas présenter' not in page(m, 2)
        for child in children[1:]:
            os.kill(child, 9)
        for _ in children:
            assert 'ne se laisse pas présenter' in page(m, 1)
        same(m.read(REPORTS, '2026-03-12 Structure1.xml'), fixture('operatoire-v1.xml'))


def test_while_a_page_is_being_drawn_only_its_readers_wait(p):
    for n in '12':
        p.deposit('Structure' + n, fixture('operatoire-v1.xml'), mime='text/xml', author=None)
    p.deposit('Autre', b'autre')
    with Mount(p, 'pharmacist') as m, concurrent.futures.ThreadPoolExecutor(4) as pool:
        first, *others = helpers_of(m)
        os.kill(first, signal.SIGSTOP)                        # as one that has met a document which takes its seconds
        reads = door.log_lines(p, 'read')
        waiting = [pool.submit(m.read, REPORTS, '2026-03-12 Structure1.html') for _ in range(2)]
        since = time.monotonic()
        assert door.wait_until(lambda: door.log_lines(p, 'read') > reads, 5)
        same(m.read(REPORTS, '2026-03-12 Autre – Dr Martin.pdf'), b'autre')
        assert 'ne se laisse pas' not in text(m.read(REPORTS, '2026-03-12 Structure2.html')), 'another helper draws it'
        assert len(m.list(REPORTS)) == 5 and time.monotonic() - since < 3 and not any(w.done() for w in waiting), time.monotonic() - since
        for child in others:
            os.kill(child, signal.SIGSTOP)
        killed = subprocess.Popen(['cat', m(REPORTS, '2026-03-12 Structure1.html')], stdout=subprocess.DEVNULL)
        time.sleep(0.2)
        killed.kill()
        killed.wait(timeout=2)                                # who no longer wants it does not wait for it
        for child in (first, *others):
            os.kill(child, signal.SIGCONT)
        pages = [w.result(timeout=5) for w in waiting]
        assert pages[0] == pages[1] and 'ne se laisse pas' not in text(pages[0])
        os.kill(first, signal.SIGSTOP)
        late = pool.submit(error_of, m.read, REPORTS, '2026-03-12 Structure2.html')
        time.sleep(0.2)
        m.process.terminate()                                 # the end of the mount answers who waits
        same((m.process.wait(timeout=10), late.result(timeout=5) in ('ESTALE', 'ENOTCONN', 'ECONNABORTED')), (0, True))
        os.kill(first, signal.SIGCONT)


def test_real_samples_are_drawn_where_they_are_at_hand(p):
    samples = os.path.join(ROOT, '..', 'shared', 'samples', 'cda')
    if not os.path.isdir(samples):
        raise door.Skip('the public samples (../shared/samples) are not on this machine')
    slow = 'san' in os.path.basename(door.MADE)        # the helper's seconds are too few for the largest of them
    names = sorted(n for n in os.listdir(samples) if not slow or os.path.getsize(os.path.join(samples, n)) < 500000)
    for i, name in enumerate(names):
        p.deposit('N%03d' % i, open(os.path.join(samples, name), 'rb').read(), mime='text/xml', author=None)
    with Mount(p, 'doctor') as m:
        for i, name in enumerate(names):
            page = m.read(REPORTS, '2026-03-12 N%03d.html' % i)
            assert b'ne se laisse pas' not in page and len(text(page)) > 150 and b'<script' not in page, name


# ---- much, and odd ----

def memory(m, field='VmRSS'):
    return int(re.search(field + r':\s+(\d+) kB', open('/proc/%d/status' % m.process.pid).read())[1])


def test_a_hundred_thousand_documents_in_a_folder_are_listed_and_read_in_flat_memory(p):
    n, c = 100000, p['doctor']
    for first in range(0, n, 5000):
        c.execute('BEGIN')
        c.executemany("INSERT INTO document(patient, title, content, type_code, mime, creation_time) VALUES(?, ?, ?, '11488-4', 'application/pdf', ?)",
                      [(p.patient, 'Document %06d' % i, b'%%PDF %d' % i, DATE) for i in range(first, first + 5000)])
        c.execute('COMMIT')
    with Mount(p, 'doctor') as m:
        same(len(m.list(REPORTS)), n)
        for i in range(0, n, 500):
            same(m.read(REPORTS, '2026-03-12 Document %06d.pdf' % i), b'%%PDF %d' % i)
        read_once = memory(m)
        for i in range(1, n, 250):
            m.read(REPORTS, '2026-03-12 Document %06d.pdf' % i)
        if 'san' not in os.path.basename(door.MADE):      # a sanitizer keeps what was freed
            assert memory(m) < min(read_once + 2048, 64 * 1024), (read_once, memory(m))
        same(error_of(os.stat, m(REPORTS, '2026-03-12 Document 100000.pdf')), 'ENOENT')
        assert 'Document 099999' in text(m.read(FOLDER, SUMMARY)), 'the newest of them stand on the summary'


def test_sizes_beyond_four_gibibytes_reach_the_kernel_whole_and_what_is_not_there_is_an_error(p):
    """The record itself takes documents up to what SQLite takes (1 GB): a layout stands in for a later one."""
    p.deposit('Grand', b'x' * 1000)
    size = (5 << 30) + 7
    with Mount(p, 'doctor', layout(p, 'DROP VIEW documents; CREATE TEMP VIEW documents AS SELECT id, patient, folder, '
               'also, dmp_filename(head || stem) || \'.pdf\' AS name, NULL AS page, NULL AS notice, %d AS size, 0 AS offset, modified '
               'FROM temp.layout_document' % size)) as m:
        path = m(REPORTS, m.list(REPORTS)[0])
        same(os.stat(path).st_size, size)
        with open(path, 'rb', buffering=0) as f:
            same(error_of(os.pread, f.fileno(), 4096, 5 << 30), 'EIO')
            same(os.pread(f.fileno(), 4096, size), b'')
            same(os.pread(f.fileno(), 4096, 1 << 62), b'')
            same(os.pread(f.fileno(), 0, 0), b'')


def test_reads_of_pages_at_the_edges_give_what_is_there_and_no_more(p):
    prescribe(p)
    with Mount(p, 'doctor') as m:
        fd = os.open(m(FOLDER, SUMMARY), os.O_RDONLY)
        whole = os.pread(fd, 1 << 20, 0)
        same(len(whole), 65536)
        for at, n in ((0, 0), (0, 1), (16383, 2), (16384, 1), (16380, 8), (65530, 100), (65536, 1), (1 << 40, 10)):
            same(os.pread(fd, n, at), whole[at:at + n], 'at %d' % at)
        for what in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
            same(error_of(os.open, m(FOLDER, SUMMARY), what), 'EROFS')
        for call, *arguments in ((os.unlink, m(FOLDER, SUMMARY)), (os.rename, m(FOLDER, SUMMARY), m(FOLDER, 'x.html')), (os.mkdir, m(FOLDER, 'Radios')),
                                 (os.chmod, m(FOLDER, SUMMARY), 0o777), (os.link, m(FOLDER, SUMMARY), m(FOLDER, 'y.html'))):
            same(error_of(call, *arguments), 'EROFS', call.__name__)
        same(error_of(os.listdir, m(FOLDER, SUMMARY)), 'ENOTDIR')
        os.close(fd)


def test_what_a_person_types_in_a_line_is_text_on_the_summary(p):
    odd = '<script>alert(1)</script>&amp;"\'\u202e\x01\x1b[31m é 𝄞'
    prescribe(p, label=odd)
    with Mount(p, 'doctor') as m:
        page = m.read(FOLDER, SUMMARY)
        assert b'<script' not in page and b'\x01' not in page and b'\x1b' not in page
        assert '<script>alert(1)</script>&amp;' in text(page) and '𝄞' in text(page)


# ---- layouts ----

def layout(p, sql):
    path = os.path.join(p.folder, 'layout.sql')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(sql)
    return ',layout=' + path


def test_an_administrators_layout_changes_names(p):
    p.deposit('Document')
    with Mount(p, 'doctor', layout(p, "UPDATE layout_folder SET name = 'CR' WHERE folder = 4;\n"
                                      "UPDATE layout_page SET name = 'Résumé.html' WHERE page = 1;")) as m:
        same(m.list(FOLDER), ['CR', 'Résumé.html'])
        assert 'Dupont' in text(m.read(FOLDER, 'Résumé.html'))


def test_a_layout_that_is_wrong_is_refused_with_what_is_wrong(p):
    point, key = p.point(), 'key=%s,pinfd=PINFD' % p.key('doctor')
    for sql, part in [
            ('\n\nSELEKT 1', 'line 3'), ('DROP VIEW documents', 'no such table: temp.documents'),
            ('DROP VIEW documents; CREATE TEMP VIEW documents AS SELECT id, patient FROM main.document', 'no such column: name'),
            ("UPDATE layout_folder SET name = 'a/b' WHERE folder = 4", 'folder 4: its name begins with a dot or holds a slash'),
            ("UPDATE layout_folder SET name = '.x' WHERE folder = 4", 'folder 4'),
            ("UPDATE layout_folder SET name = 'synthèse.html' WHERE folder = 4; UPDATE layout_page SET name = 'synthèse.html' WHERE page = 1",
             'page 1: a folder has its name'),
            ("UPDATE layout_folder SET name = 'biologie' WHERE folder = 4", 'its name stands twice'),
            ("UPDATE layout_folder SET name = '%s' WHERE folder = 4" % ('x' * 256), 'longer than 255 bytes'),
            ("INSERT INTO layout_folder VALUES(300, 'Loin')", 'not 1 to 255'),
            ("INSERT INTO layout_block VALUES(1, 500, 'Bloc', 'SELECT absent')", 'block "Bloc" of page 1: no such column: absent'),
            ("INSERT INTO layout_block VALUES(1, 500, 'Bloc', 'SELECT 1; SELECT 2')", 'not one SELECT'),
            ("INSERT INTO layout_block VALUES(1, 500, 'Bloc', 'SELECT ?2')", 'other parameters'),
            ("INSERT INTO layout_block VALUES(1, 500, 'Bloc', 'DELETE FROM main.document')", 'not authorized'),
            ('DELETE FROM main.document', 'not authorized'), ("INSERT INTO main.mask(patient, document) VALUES(1, 2)", 'not authorized'),
            ("ATTACH '/tmp/x' AS x", 'not authorized'), ('PRAGMA journal_mode = DELETE', 'not authorized'),
            ("SELECT dmp_logout()", 'not authorized'), ("SELECT dmp_lock('x')", 'not authorized'),
            ('CREATE TABLE main.x(a)', 'not authorized'), ('CREATE TEMP TRIGGER t AFTER INSERT ON layout_page BEGIN SELECT 1; END', 'not authorized'),
            ('a' * (1 << 20) + 'b', 'larger than a mebibyte'), ('SELECT 1; \0', 'NUL')]:
        got, said = run_dmpfs(p.path, point, '-o', key + layout(p, sql))
        same(got, 12, (sql[:60], said))
        assert part in said, (sql[:60], said)
        assert not os.path.ismount(point)
    got, said = run_dmpfs(p.path, point, '-o', key + ',layout=/nonexistent')
    same(got, 12)
    assert '/nonexistent' in said and 'No such file' in said, said


def test_patients_stand_under_their_initials_when_a_layout_says_so(p):
    for i, (name, given) in enumerate((('Élan', 'Zoé'), ('Ezzine', 'Ali'), ('d’Arc', 'Jeanne'), ('4711', 'X'))):
        p.register('p%d' % i, birth_name=name, given_names=given, birth_date='1980', sex='F')
    p.deposit('Document')
    with Mount(p, 'doctor', ',layout=' + os.path.join(ROOT, 'schema', 'layouts', 'initiales.sql')) as m:
        same(m.list(), ['0-9', 'D', 'E'])
        same(m.list('E'), sorted(['ÉLAN Zoé 1980', 'EZZINE Ali 1980']))
        same(len(m.list('D')), 2)
        same(m.read('D', REPORTS, '2026-03-12 Document – Dr Martin.pdf'), b'%PDF-1.4 test')
        same([error_of(os.stat, m(n)) for n in ('A', 'Z', FOLDER, 'E/' + FOLDER)], ['ENOENT'] * 4)
        same(os.stat(m('D', FOLDER, '..')).st_ino, os.stat(m('D')).st_ino)
        same(len({s[1] for s in m.everything()}), len({s[0] for s in m.everything()}), 'inode numbers')
    with Mount(p, 'pharmacist', ',layout=' + os.path.join(ROOT, 'schema', 'layouts', 'initiales.sql')) as m:
        same(m.list(), ['D'])
        p['patient'].execute('DELETE FROM consent WHERE patient = ? AND grantee = ?', (p.patient, p.pharmacist))
        assert wait_until(lambda: m.list() == [], TWO_SECONDS)
        assert wait_until(lambda: error_of(os.stat, m('D')) == 'ENOENT', TWO_SECONDS)


def test_a_desk_without_names_has_none_in_its_paths(p):
    p.deposit('Psychiatrie', author='Dr Freud')
    p.deposit('Interruption', fixture('ivg-masquee.xml'), mime='text/xml', type_code='60568-3', masked=1)
    with Mount(p, 'doctor', ',layout=' + os.path.join(ROOT, 'schema', 'layouts', 'sans-noms.sql')) as m:
        paths = [s[0] for s in m.everything()]
        same(len([n for n in paths if re.fullmatch(r'Dossier \d{19}/Documents/2026-03-12 (\(masqué\) )?Document \d{19}\.(pdf|xml|html)', n)]), 3)
        for word in ('Dupont', 'Marie', 'DUPONT', '1970', 'Psychiatrie', 'Freud', 'Interruption', 'Martin'):
            assert not any(word in n for n in paths), word
        assert 'Dupont' in text(m.read('Dossier %019d' % p.patient, SUMMARY))


if __name__ == '__main__':
    door.main(globals())
