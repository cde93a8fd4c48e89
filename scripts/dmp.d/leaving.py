"""leaving.py: what a patient takes along: everything of the record as plain files, the log as a signed page."""
import csv, os

from asking import Refused
from french import RECIPIENTS, several
from insight import harmless, write_csv
from record import login, one, the_patient

PIECE = 1 << 22
# Shown in files of their own, or about nobody's record.
APART = {'document', 'document_as', 'access_log'}
EXTENSIONS = {'application/pdf': 'pdf', 'text/plain': 'txt', 'text/html': 'html', 'text/xml': 'xml', 'application/xml': 'xml', 'text/csv': 'csv',
              'image/png': 'png', 'image/jpeg': 'jpg', 'image/tiff': 'tif', 'application/rtf': 'rtf', 'application/dicom': 'dcm'}


def export(args, settings):
    """The signed page comes first: it is refused, and the attempt logged, for whom no export is made."""
    db = login(settings)
    patient = the_patient(db, args)
    page = one(db, 'SELECT dmp_export(?, ?)', patient, args.recipient or 'patient')
    if os.path.lexists(args.folder):
        raise Refused('%s existe déjà : un export se fait dans un dossier nouveau.' % args.folder)
    os.makedirs(args.folder, 0o700)
    os.mkdir(os.path.join(args.folder, 'documents'), 0o700)
    with open(os.path.join(args.folder, 'acces.html'), 'x', encoding='utf-8', newline='') as f:
        f.write(page)
    write_csv(db, patient, os.path.join(args.folder, 'acces.csv'))
    documents = take_documents(db, patient, args.folder)
    tables = take_tables(db, patient, args.folder)
    print('%s, %s dans %s, pour : %s' % (several(documents, 'document'), several(tables, 'table'), args.folder, dict(RECIPIENTS).get(args.recipient or 'patient')))


def take_documents(db, patient, folder):
    """Each original, under a name that is safe anywhere, and the index of all."""
    columns = [name for name, in db.execute("SELECT name FROM pragma_table_info('document') WHERE name <> 'content'")]
    rows = db.execute('SELECT "%s" FROM document WHERE patient = ? ORDER BY creation_time, id' % '", "'.join(columns), (patient,)).fetchall()
    with open(os.path.join(folder, 'documents.csv'), 'x', encoding='utf-8-sig', newline='') as f:
        out = csv.writer(f, delimiter=';')
        out.writerow(['fichier'] + columns)
        for row in rows:
            out.writerow([take_body(db, dict(zip(columns, row)), folder)] + [harmless(v) for v in row])
    return len(rows)


def take_body(db, d, folder):
    mime = (d['mime'] or '').split(';')[0].strip().lower()
    name = one(db, 'SELECT dmp_filename(?)', '%s %s n° %d.%s' % ((d['creation_time'] or '')[:10], (d['title'] or 'Document')[:80], d['id'], EXTENSIONS.get(mime, 'bin')))
    with open(os.path.join(folder, 'documents', name), 'xb') as f:
        for at in range(0, d['size'], PIECE):
            f.write(one(db, 'SELECT dmp_read(?, ?, ?)', d['id'], at, min(PIECE, d['size'] - at)))
    return 'documents/' + name


def take_tables(db, patient, folder):
    """Every other table of the record that has rows about the patient."""
    count = 0
    for table, in db.execute("SELECT name FROM pragma_table_list WHERE type = 'virtual' AND schema = 'main' ORDER BY name").fetchall():
        columns = [name for name, in db.execute('SELECT name FROM pragma_table_info(?)', (table,))]
        about = 'id' if table == 'patient' else 'patient' if 'patient' in columns else None
        if about is None or table in APART:
            continue
        rows = db.execute('SELECT * FROM "%s" WHERE "%s" = ?' % (table, about), (patient,)).fetchall()
        if rows:
            with open(os.path.join(folder, table + '.csv'), 'x', encoding='utf-8-sig', newline='') as f:
                out = csv.writer(f, delimiter=';')
                out.writerow(columns)
                out.writerows([harmless(v) for v in row] for row in rows)
            count += 1
    return count
