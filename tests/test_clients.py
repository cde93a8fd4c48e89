#!/usr/bin/python3
"""Real programs meet a protected table: each opens the same practice under two identities, a reader and somebody without the key,
and reads, inserts, updates and deletes. What each must show is written once. Installs nothing: a program that is missing is
skipped and its Debian package named."""
import subprocess
import shutil
import glob
import time
from harness import *

RECIPES = os.path.join(HERE, '..', 'scripts', 'recipes')
PYTHONS = '/usr/lib/python3/dist-packages/'
PRELOAD = os.path.join(BUILD, 'dmp_preload.so')
LOOK = "SELECT id || ':' || coalesce(note, 'NULL') || ':' || act FROM consultation ORDER BY id"
# (statement, what a reader gets, what somebody without the key gets): rows of one column; a refusal is its code.
STORY = [
    (LOOK, ['1:toux sèche:C', '2:angine:C'], ['1:NULL:C', '2:NULL:C']),
    ("INSERT INTO consultation(patient_id, note, act) VALUES(1, 'asthme', 'G')", [], 'dmp-E077'),
    ("UPDATE consultation SET note = 'toux grasse' WHERE id = 1", [], 'dmp-E077'),
    ("UPDATE consultation SET act = 'V' WHERE id = 1", [], []),
    ("DELETE FROM consultation WHERE id = 2", [], 'dmp-E077'),
    (LOOK, ['1:toux grasse:V', '3:asthme:G'], ['1:NULL:V', '2:NULL:C']),
    ("SELECT name || ' ' || n FROM per_patient", ['DUPONT 2'], ['DUPONT 2']),
    ("SELECT coalesce(max(kind), 'NULL') FROM session", ['professional'], ['professional']),
]
# A client without any login sees what somebody without the key sees, and changes nothing.
STRANGER = [(sql, reader, 'dmp-E023' if sql.startswith(('UPDATE', 'DELETE')) else ['1:NULL:C', '2:NULL:C'] if sql == LOOK else other)
            for sql, reader, other in STORY if 'session' not in sql]


def need(package, *paths):
    if not any(glob.glob(p) if p.startswith('/') else shutil.which(p) for p in paths):
        raise unittest.SkipTest('skipped: Debian package %s is not installed' % package)


def with_preload(module):
    """After what is preloaded already: a sanitizer's library stays first."""
    return ' '.join(filter(None, [os.environ.get('LD_PRELOAD'), module]))


PYTHON = '''
import sqlite3, sys
db, so, key, *story = sys.argv[1:]
con = sqlite3.connect(db, isolation_level=None)
if so:
    con.enable_load_extension(True); con.load_extension(so)
    con.execute("PRAGMA temp_store=MEMORY")
    if key: con.execute("SELECT dmp_login(?)", (key,))
for sql in story:
    print("--")
    try:
        for row in con.execute(sql): print(row[0])
    except sqlite3.Error as e: print("refused", e)
'''
PHP = '''
list(, $db, $so, $key) = $argv;
$con = new SQLite3($db);
$con->enableExceptions(true);
$con->loadExtension(basename($so));
$con->exec("PRAGMA temp_store=MEMORY");
if ($key) { $st = $con->prepare("SELECT dmp_login(?)"); $st->bindValue(1, $key); $st->execute()->fetchArray(); }
foreach (array_slice($argv, 4) as $sql) {
  echo "--\\n";
  try {
    $rows = $con->query($sql);
    if ($rows->numColumns()) while ($row = $rows->fetchArray(SQLITE3_NUM)) echo $row[0], "\\n";
  } catch (Exception $e) { echo "refused ", $e->getMessage(), "\\n"; }
}
'''
PDO = '''
$con = new PDO("sqlite:" . $argv[1]);
foreach (array_slice($argv, 4) as $sql) {
  echo "--\\n";
  try { foreach ($con->query($sql, PDO::FETCH_NUM) as $row) echo $row[0], "\\n"; }
  catch (Exception $e) { echo "refused ", $e->getMessage(), "\\n"; }
}
'''
PERL = '''
use DBI;
my ($db, $so, $key, @story) = @ARGV;
my $con = DBI->connect("dbi:SQLite:dbname=$db", "", "", { RaiseError => 1, PrintError => 0 });
if ($so) {
  $con->sqlite_enable_load_extension(1);
  $con->do("SELECT load_extension(?)", undef, $so);
  $con->do("PRAGMA temp_store=MEMORY");
  $con->selectrow_array("SELECT dmp_login(?)", undef, $key) if $key;
}
for my $sql (@story) {
  print "--\\n";
  eval { my $st = $con->prepare($sql); $st->execute; if ($st->{NUM_OF_FIELDS}) { while (my ($v) = $st->fetchrow_array) { print "$v\\n" } } 1 }
    or print "refused $@";
}
'''

SQLALCHEMY = '''
import sys, dmp_sqlalchemy
db, so, key, *story = sys.argv[1:]
with dmp_sqlalchemy.create_engine("sqlite:///" + db, so, key, isolation_level="AUTOCOMMIT").connect() as con:
    for sql in story:
        print("--")
        try:
            rows = con.exec_driver_sql(sql)
            if rows.returns_rows:
                for row in rows: print(row[0])
        except Exception as e: print("refused", e)
'''
# Two objects of the practice in one flush, as programs write them. With a key: through the recipe; else as SQLAlchemy comes.
SQLALCHEMY_OBJECTS = '''
import sys, sqlalchemy as sa, dmp_sqlalchemy
from sqlalchemy.orm import declarative_base, Session
class Consultation(declarative_base()):
    __tablename__ = "consultation"
    id = sa.Column(sa.Integer, primary_key=True)
    patient_id = sa.Column(sa.Integer, nullable=False)
    note = sa.Column(sa.Text)
    act = sa.Column(sa.Text, nullable=False, server_default="C")
db, so, key = sys.argv[1:]
engine = dmp_sqlalchemy.create_engine("sqlite:///" + db, so, key) if so else sa.create_engine("sqlite:///" + db)
print(sa.__version__.split(".")[0])
with Session(engine) as session:
    try:
        new = [Consultation(patient_id=1, note=n) for n in ("asthme", "otite")]
        session.add_all(new)
        session.flush()
        print([(c.id, c.note, c.act) for c in new])
        session.commit()
        new[1].act = "V"
        session.delete(new[0])
        session.commit()
        print(session.query(Consultation.id, Consultation.note, Consultation.act).filter(Consultation.id > 2).all())
    except Exception as e: print("refused", type(e).__name__, e)
with engine.begin() as con:
    insert = sa.insert(Consultation.__table__).values(patient_id=1, note="eczéma").returning(sa.column("id"))
    try: print(con.execute(insert).scalar())
    except Exception as e: print("refused", type(e).__name__)
'''
DJANGO = '''
import sys, django
from django.conf import settings
db, so, key, *story = sys.argv[1:]
settings.configure(USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.AutoField", DATABASES={"default": {"NAME": db,
  "ENGINE": "dmp_django" if so else "django.db.backends.sqlite3", "OPTIONS": {"dmp": so, "dmp_key": key} if so else {}}})
django.setup()
from django.db import connection, models
def each(story, run):
    for step in story:
        print("--")
        try: run(step)
        except Exception as e: print("refused", type(e).__name__, e)
'''
DJANGO_STORY = DJANGO + '''
def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        if cursor.description:
            for row in cursor.fetchall(): print(row[0])
each(story, run)
'''
DJANGO_OBJECTS = DJANGO + '''
class Consultation(models.Model):
    patient_id = models.IntegerField()
    note = models.TextField(null=True)
    act = models.TextField(default="C")
    class Meta: app_label, db_table = "cabinet", "consultation"
all = Consultation.objects
def make(note): print(all.create(patient_id=1, note=note).pk)
def add_field():
    with connection.schema_editor() as editor:
        field = models.TextField(default="")
        field.set_attributes_from_name("lieu")
        editor.add_field(Consultation, field)
def kind():
    with connection.cursor() as cursor:
        cursor.execute("SELECT substr(sql, 1, 14) FROM sqlite_master WHERE name = 'consultation'")
        print(cursor.fetchone()[0])
print(django.VERSION[0])
each([lambda: make("asthme"), lambda: make("otite"), lambda: all.filter(note="asthme").update(act="V"),
      lambda: all.bulk_create([Consultation(id=2, patient_id=1, note="autre")], ignore_conflicts=True),
      lambda: all.update_or_create(note="otite", defaults={"act": "G"}), lambda: all.filter(pk=1).delete(),
      lambda: print(list(all.order_by("pk").values_list("pk", "note", "act"))), add_field, kind], lambda step: step())
'''
JAVA = '''
import java.sql.*;
import java.util.Arrays;

public class Story {
  static void run(Connection con, String sql) {
    System.out.println("--");
    try (Statement st = con.createStatement()) {
      if (st.execute(sql)) try (ResultSet rows = st.getResultSet()) { while (rows.next()) System.out.println(rows.getString(1)); }
    } catch (SQLException e) { System.out.println("refused " + e.getMessage()); }
  }

  static void ask(Connection con, String sql, String text) throws SQLException {
    try (PreparedStatement st = con.prepareStatement(sql)) { st.setString(1, text); st.execute(); }
  }

  public static void main(String[] argv) throws SQLException {
    org.sqlite.SQLiteConfig config = new org.sqlite.SQLiteConfig();
    config.enableLoadExtension(true);
    config.setTempStore(org.sqlite.SQLiteConfig.TempStore.MEMORY);
    try (Connection con = config.createConnection("jdbc:sqlite:" + argv[0])) {
      ask(con, "SELECT load_extension(?)", argv[1]);
      ask(con, "SELECT dmp_login(?)", argv[2]);
      for (String sql : Arrays.copyOfRange(argv, 3, argv.length)) run(con, sql);
      if (argv.length > 3) return;
      try (PreparedStatement st = con.prepareStatement("INSERT INTO consultation(patient_id, note) VALUES(1, ?)", Statement.RETURN_GENERATED_KEYS)) {
        st.setString(1, "asthme");
        st.executeUpdate();
        try (ResultSet keys = st.getGeneratedKeys()) { System.out.println(keys.getLong(1)); }
      }
    }
  }
}
'''
JAR = '/usr/share/java/sqlite-jdbc.jar'
# A pool as a server has it: so many connections at once, each of which logs in. Prints the seconds of all of them together.
POOL = '''
import sys, threading, time, sqlalchemy, dmp_sqlalchemy
db, so, key = sys.argv[1:]
engine = dmp_sqlalchemy.create_engine("sqlite:///" + db, so, key, poolclass=sqlalchemy.pool.QueuePool, pool_size=5)
together, notes = threading.Barrier(5), []
def work():
    with engine.connect() as con:
        together.wait(60)
        notes.append(con.exec_driver_sql("SELECT note FROM consultation WHERE id = 2").scalar())
began = time.perf_counter()
threads = [threading.Thread(target=work) for _ in range(5)]
for t in threads: t.start()
for t in threads: t.join()
print(time.perf_counter() - began, engine.pool.checkedin(), *notes)
'''


def told(lines):
    """The answers of a story in what a client printed: between lines of '--'."""
    out = []
    for line in lines:
        if line == '--':
            out.append([])
        elif line and out:
            out[-1].append(line)
    return out


class Clients(Case):
    def setUp(self):
        self.p = p = Practice({'martin': ('10', 1), 'leroy': ('10', 0)})
        self.addCleanup(p.drop)
        con = p.login('martin')
        con.executescript("""
          CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
          CREATE TABLE consultation(id INTEGER PRIMARY KEY AUTOINCREMENT, patient_id INTEGER NOT NULL REFERENCES person(id), note TEXT,
            act TEXT NOT NULL DEFAULT 'C');
          CREATE INDEX consultation_patient ON consultation(patient_id);
          CREATE VIEW per_patient AS SELECT name, count(*) AS n FROM person JOIN consultation ON patient_id = person.id GROUP BY person.id;
          INSERT INTO person VALUES(1, 'DUPONT');
          INSERT INTO consultation(patient_id, note) VALUES(1, 'toux sèche'), (1, 'angine');""")
        con.execute("SELECT dmp_protect('consultation', 'note')")
        self.env, self.keep, self.handle = dict(os.environ, LC_ALL='C.UTF-8'), [], {}
        for name in ('DMP_KEY', 'DMP_ASKPASS', 'DMP_PRELOAD_PROGRAMS'):
            self.env.pop(name, None)
        self.unlock(con)
        p.close()

    def unlock(self, con):
        """Both keys in the kernel's keyring; where there is none, a program that prints the PIN."""
        for name in ('martin', 'leroy'):
            said = error_of(con, 'SELECT dmp_unlock(?,?,600)', (self.p.key(name), PIN))
            if said is None:
                self.handle[self.p.key(name)] = one(con, 'SELECT dmp_unlock(?,?,600)', self.p.key(name), PIN)
                self.addCleanup(self.lock, self.p.key(name))
                continue
            self.assertRegex(said, '^dmp-E084: .*DMP_ASKPASS')
            self.askpass()

    def lock(self, key):
        con = sqlite3.connect(':memory:')
        con.enable_load_extension(True)
        con.load_extension(SO)
        con.execute('SELECT dmp_lock(?)', (key,)) if os.path.exists(key) else None
        con.close()

    def askpass(self):
        program = os.path.join(self.p.folder, 'askpass')
        with open(program, 'w') as f:
            f.write('#!/bin/sh\necho %s\n' % PIN)
        os.chmod(program, 0o700)
        self.env['DMP_ASKPASS'] = program

    def run_it(self, command, text=None, **env):
        r = subprocess.run(command, env=dict(self.env, **env), input=text, capture_output=True, text=True, timeout=60)
        self.said = r.stderr
        return (r.stdout + r.stderr).splitlines()

    def compare(self, story, got, column):
        self.assertEqual(len(got), len(story), '%s %s' % (got, self.said))
        for i, (sql, *expected) in enumerate(story):
            want = expected[column]
            if isinstance(want, str):
                self.assertTrue(any(want in line for line in got[i]), '%s gave %s' % (sql, got[i]))
            else:
                self.assertEqual(got[i], want, sql)

    def both(self, play):
        """The story as somebody without the key on a copy, then as a reader: the copy keeps the two apart."""
        for name, column in (('leroy', 1), ('martin', 0)):
            with self.subTest(who=name):
                folder = tempfile.mkdtemp(prefix='dmp-client-')
                self.addCleanup(shutil.rmtree, folder, True)
                db = os.path.join(folder, 'record.db')
                shutil.copytree(self.p.path + '-log', db + '-log')
                for suffix in ('', '-anchor'):
                    shutil.copy(self.p.path + suffix, db + suffix)
                self.compare(STORY, told(play(db, self.p.key(name), [s[0] for s in STORY])), column)

    def preload(self, program, key=None):
        env = {'LD_PRELOAD': with_preload(PRELOAD), 'DMP_PRELOAD_PROGRAMS': os.path.basename(os.path.realpath(shutil.which(program) or program))}
        return dict(env, DMP_KEY=key) if key else env

    def test_python_sqlite3(self):
        self.both(lambda db, key, story: self.run_it(['/usr/bin/python3', '-c', PYTHON, db, SO, key] + story))

    def test_the_sqlite3_shell(self):
        need('sqlite3', '/usr/bin/sqlite3')
        self.both(lambda db, key, story: self.shell(db, story, ".load %s\nPRAGMA temp_store=MEMORY;\nSELECT dmp_login('%s');\n" % (SO, key)))

    def shell(self, db, story, before='', rc='/dev/null', **env):
        """rc: read in the place of ~/.sqliterc, whose folder the shell takes from /etc/passwd."""
        text = before + ''.join("SELECT '--';\n%s;\n" % s for s in story)
        return self.one_stream(['/usr/bin/sqlite3', '-batch', '-init', rc, db], text, **env)

    def one_stream(self, command, text, **env):
        """What a terminal would show: answers and refusals in their order."""
        r = subprocess.run(['stdbuf', '-oL'] + command, env=dict(self.env, **env), input=text, text=True, timeout=60, pass_fds=self.keep,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = r.stdout
        return r.stdout.splitlines()

    def test_the_unmodified_sqlite3_shell_under_preload(self):
        need('sqlite3', '/usr/bin/sqlite3')
        self.both(lambda db, key, story: self.shell(db, story, **self.preload('/usr/bin/sqlite3', key)))

    def need_php(self):
        if 'libasan' in os.environ.get('LD_PRELOAD', ''):
            raise unittest.SkipTest('skipped: PHP loads its modules with RTLD_DEEPBIND, which the sanitizer refuses')
        need('php-cli', 'php')

    def test_php_sqlite3(self):
        self.need_php()
        need('php-sqlite3', '/usr/lib/php/*/sqlite3.so')
        self.both(lambda db, key, story: self.run_it(['php', '-d', 'sqlite3.extension_dir=' + BUILD, '-r', PHP, '--', db, SO, key] + story))

    def test_php_pdo_under_preload(self):
        self.need_php()
        need('php-sqlite3', '/usr/lib/php/*/pdo_sqlite.so')
        self.both(lambda db, key, story: self.run_it(['php', '-r', PDO, '--', db, '', ''] + story, **self.preload('php', key)))

    def test_perl_dbd_sqlite(self):
        need('libdbd-sqlite3-perl', '/usr/lib/*/perl5/*/DBD/SQLite.pm')
        self.both(lambda db, key, story: self.run_it(['/usr/bin/perl', '-e', PERL, '--', db, SO, key] + story))

    def test_perl_under_preload(self):
        need('libdbd-sqlite3-perl', '/usr/lib/*/perl5/*/DBD/SQLite.pm')
        self.both(lambda db, key, story: self.run_it(['/usr/bin/perl', '-e', PERL, '--', db, '', ''] + story,
                                                     **self.preload('/usr/bin/perl', key)))

    def test_odbc_through_isql(self):
        need('unixodbc', 'isql')
        need('libsqliteodbc', '/usr/lib/*/odbc/libsqlite3odbc.so')
        self.both(self.isql)

    def isql(self, db, key, story):
        ini = os.path.join(os.path.dirname(db), 'odbc.ini')
        with open(ini, 'w') as f:
            f.write('[cabinet]\nDriver=%s\nDatabase=%s\nLoadExt=%s\n' % (glob.glob('/usr/lib/*/odbc/libsqlite3odbc.so')[0], db, SO))
        lines = ['PRAGMA temp_store=MEMORY', "SELECT dmp_login('%s')" % key]
        for sql in story:
            lines += ["SELECT '--'", sql]
        return self.one_stream(['isql', 'cabinet', '-b', '-v', '-d|'], '\n'.join(lines) + '\n\n', ODBCINI=ini)

    def test_sqlite_utils_unmodified_under_preload(self):
        need('sqlite-utils', 'sqlite-utils')
        tool = shutil.which('sqlite-utils')
        python = os.path.realpath('/usr/bin/python3')

        def play(db, key, story):
            out = []
            for sql in story:
                got = self.run_it([tool, 'query', db, sql, '--csv', '--no-headers'], **self.preload(python, key))
                out += ['--'] + [line for line in got if line != '1' or sql.startswith('SELECT')]   # it prints how many rows it wrote
            return out
        self.both(play)

    def test_the_shell_with_a_sqliterc_and_nothing_else(self):
        need('sqlite3', '/usr/bin/sqlite3')
        with open(os.path.join(RECIPES, 'sqliterc'), encoding='utf-8') as f:
            recipe = f.read()

        def play(db, key, story):
            rc = os.path.join(os.path.dirname(db), 'sqliterc')
            with open(rc, 'w', encoding='utf-8') as f:
                f.write(recipe.replace('/usr/local/lib/dmp/dmp', SO[:-3]).replace('/home/martin/martin.dmpkey', self.handle.get(key, key)))
            return self.shell(db, story, rc=rc)
        self.assertIn('/home/martin/martin.dmpkey', recipe)
        self.both(play)

    def need_java(self):
        if 'libasan' in os.environ.get('LD_PRELOAD', ''):
            raise unittest.SkipTest('skipped: a Java machine and the sanitizer want the same signals')
        need('default-jre-headless (205 MB, not installed by scripts/packages)', 'java')
        need('libxerial-sqlite-jdbc-java', JAR)

    def java(self, *arguments):
        source = os.path.join(self.p.folder, 'Story.java')
        with open(source, 'w', encoding='utf-8') as f:
            f.write(JAVA)
        return self.run_it(['java', '-Xshare:auto', '-XX:TieredStopAtLevel=1', '-Dfile.encoding=UTF-8', '-cp', JAR, source, *arguments])

    def test_jdbc(self):
        self.need_java()
        self.both(lambda db, key, story: self.java(db, SO, key, *story))

    def test_jdbc_gives_the_id_that_was_drawn(self):
        self.need_java()
        self.assertEqual(self.java(self.p.path, SO, self.p.key('martin')), ['3'])

    # ---- two layers that write SQL for others, with the files of scripts/recipes ----

    def python(self, code, *arguments, **env):
        path = ':'.join(filter(None, [RECIPES, self.env.get('PYTHONPATH')]))
        return self.run_it(['/usr/bin/python3', '-c', code, *arguments], PYTHONPATH=path, **env)

    def stock(self):
        """The environment in which a program as it comes has the extension and martin's session."""
        return self.preload('/usr/bin/python3', self.p.key('martin'))

    def test_sqlalchemy(self):
        need('python3-sqlalchemy', PYTHONS + 'sqlalchemy')
        self.both(lambda db, key, story: self.python(SQLALCHEMY, db, SO, key, *story))

    def test_sqlalchemy_objects_have_their_ids_and_nothing_is_asked_by_returning(self):
        need('python3-sqlalchemy', PYTHONS + 'sqlalchemy')
        _, *got = self.python(SQLALCHEMY_OBJECTS, self.p.path, SO, self.p.key('martin'))
        self.assertEqual(got, ["[(3, 'asthme', 'C'), (4, 'otite', 'C')]", "[(4, 'otite', 'V')]", 'refused CompileError'])

    def test_sqlalchemy_without_the_recipe_takes_null_for_an_id(self):
        need('python3-sqlalchemy', PYTHONS + 'sqlalchemy')
        version, objects, *got = self.python(SQLALCHEMY_OBJECTS, self.p.path, '', '', **self.stock())
        if int(version) >= 2:
            self.assertRegex(objects, 'refused FlushError .*has a NULL identity key')
            self.assertEqual(got[-1], 'None')          # explicit RETURNING: silently
        else:                                          # 1.4 asks last_insert_rowid(), and knows no RETURNING of SQLite
            self.assertEqual([objects] + got, ["[(3, 'asthme', 'C'), (4, 'otite', 'C')]", "[(4, 'otite', 'V')]", 'refused CompileError'])

    def test_django(self):
        need('python3-django', PYTHONS + 'django')
        self.both(lambda db, key, story: self.python(DJANGO_STORY, db, SO, key, *story))

    def objects(self, *arguments, **env):
        version, *got = self.python(DJANGO_OBJECTS, self.p.path, *arguments, **env)
        got = told(got)
        self.assertEqual(len(got), 9, '%s %s' % (got, self.said))
        return int(version), got

    def test_django_objects_have_their_ids_and_a_migration_that_would_copy_the_table_is_refused(self):
        need('python3-django', PYTHONS + 'django')
        _, got = self.objects(SO, self.p.key('martin'))
        rows = "[(2, 'angine', 'C'), (3, 'asthme', 'V'), (4, 'otite', 'G')]"
        self.assertEqual(got[:7], [['3'], ['4'], [], [], [], [], [rows]])
        self.assertEqual(got[7:], [['refused NotSupportedError consultation is protected: dmp_unprotect, migrate, dmp_protect'], ['CREATE VIRTUAL']])

    def test_django_for_somebody_without_the_key(self):
        need('python3-django', PYTHONS + 'django')
        _, got = self.objects(SO, self.p.key('leroy'))
        for step in got[0], got[1], got[4]:
            self.assertIn('dmp-E077', step[0])
        self.assertEqual(got[6], ["[(1, None, 'C'), (2, None, 'C')]"])

    def test_django_without_the_recipe_has_no_id_from_version_4_on_and_migrates_the_table_into_the_clear(self):
        need('python3-django', PYTHONS + 'django')
        con = self.p.login('martin')
        con.execute('DROP VIEW per_patient')           # a view that names the table would stop SQLite's RENAME, and so the migration
        con.execute("SELECT dmp_protect('consultation')")
        self.p.close()
        version, got = self.objects('', '', **self.stock())
        self.assertEqual(got[:2], [['None'], ['None']] if version >= 4 else [['3'], ['4']])
        self.assertEqual(got[7:], [[], ['CREATE TABLE "']])
        self.assertIn((3, 'asthme'), self.p.raw().execute('SELECT id, note FROM consultation').fetchall())

    # ---- the module that is preloaded ----

    def test_a_program_that_is_not_listed_is_left_alone(self):
        need('sqlite3', '/usr/bin/sqlite3')
        got = self.run_it(['/usr/bin/sqlite3', self.p.path, LOOK], LD_PRELOAD=with_preload(PRELOAD), DMP_PRELOAD_PROGRAMS='other:sqlite', DMP_KEY=self.p.key('martin'))
        self.assertEqual(len(got), 1)
        self.assertIn('no such module', got[0])
        got = self.run_it(['/usr/bin/sqlite3', ':memory:', 'SELECT 1'], LD_PRELOAD=with_preload(PRELOAD), DMP_KEY=self.p.key('martin'))
        self.assertEqual(got, ['1'])

    def test_without_a_key_the_extension_is_there_and_nobody_is_logged_in(self):
        need('sqlite3', '/usr/bin/sqlite3')
        self.compare(STRANGER, told(self.shell(self.p.path, [s[0] for s in STRANGER], **self.preload('/usr/bin/sqlite3'))), 1)

    def test_a_database_without_a_record_opens_as_before(self):
        need('sqlite3', '/usr/bin/sqlite3')
        db = os.path.join(self.p.folder, 'plain.db')
        sql = "CREATE TABLE t(a); INSERT INTO t VALUES(1); SELECT a, changes(), last_insert_rowid() FROM t;"
        got = self.run_it(['/usr/bin/sqlite3', db, sql], **self.preload('/usr/bin/sqlite3', self.p.key('martin')))
        self.assertEqual(got, ['1|1|1'])

    def test_a_login_that_fails_says_so_once_and_the_program_goes_on(self):
        code = 'import sqlite3, sys\nfor i in range(3): print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM person").fetchone()[0])'
        env = self.preload('/usr/bin/python3', os.path.join(self.p.folder, 'no.dmpkey'))
        r = subprocess.run(['/usr/bin/python3', '-c', code, self.p.path], env=dict(self.env, **env), capture_output=True, text=True)
        self.assertEqual(r.stdout, '1\n1\n1\n')
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stderr, r'^dmp_preload: no login: dmp-E009: [^\n]*\n$')

    def test_an_extension_that_is_gone_says_so_once_and_the_program_goes_on(self):
        alone = os.path.join(self.p.folder, 'dmp_preload.so')
        shutil.copy(PRELOAD, alone)
        env = dict(self.preload('/usr/bin/python3'), LD_PRELOAD=with_preload(alone))
        r = subprocess.run(['/usr/bin/python3', '-c', 'import sqlite3; print(sqlite3.connect(":memory:").execute("SELECT 1").fetchone()[0])'],
                           env=dict(self.env, **env), capture_output=True, text=True)
        self.assertEqual(r.stdout, '1\n')
        self.assertRegex(r.stderr, r"^dmp_preload: the extension can't be loaded: [^\n]*\n$")

    def test_extensions_stay_forbidden_to_the_program_itself(self):
        code = 'import sqlite3\ntry: sqlite3.connect(":memory:").execute("SELECT load_extension(?)", ("x",))\nexcept Exception as e: print(e)'
        self.assertEqual(self.run_it(['/usr/bin/python3', '-c', code], **self.preload('/usr/bin/python3')), ['not authorized'])

    def test_the_module_links_no_sqlite_library(self):
        needed = subprocess.run(['ldd', PRELOAD], capture_output=True, text=True).stdout
        self.assertIn('libc.so', needed)
        self.assertNotIn('sqlite', needed)

    # ---- unlocked, locked, asked ----

    def test_an_unlocked_credential_logs_in_without_pin_by_path_and_by_handle_until_it_is_locked(self):
        con, key = self.p.connect(), self.p.key('martin')
        if error_of(con, 'SELECT dmp_unlock(?,?,60)', (key, PIN)):
            raise unittest.SkipTest("skipped: the kernel's keyring is refused here")
        handle = one(con, 'SELECT dmp_unlock(?,?,60)', key, PIN)
        self.assertRegex(handle, '^dmp:[0-9a-f]{32}$')
        for name in (key, handle):
            self.assertEqual(one(self.p.connect(), 'SELECT dmp_login(?)', name), self.p.id['martin'])
        self.assertEqual(one(con, 'SELECT dmp_lock(?)', handle), 1)
        self.assertEqual(one(con, 'SELECT dmp_lock(?)', key), 0)
        self.refused(85, con, 'SELECT dmp_login(?)', (key,))
        self.refused(85, con, 'SELECT dmp_login(?)', (handle,))

    def test_a_wrong_pin_or_a_time_without_end_unlocks_nothing(self):
        con, key = self.p.connect(), self.p.key('martin')
        one(con, 'SELECT dmp_lock(?)', key) if 'DMP_ASKPASS' not in self.env else None
        self.refused(11, con, 'SELECT dmp_unlock(?,?,60)', (key, 'un autre code'))
        self.refused(65, con, 'SELECT dmp_unlock(?,?,0)', (key, PIN))
        self.refused(65, con, 'SELECT dmp_unlock(?,?,86401)', (key, PIN))
        self.refused(50, con, 'SELECT dmp_unlock(?,?,?)', (key, PIN, 'toujours'))
        self.assertIsNotNone(error_of(con, 'SELECT dmp_login(?)', (key,)))

    def test_a_pool_of_connections_pays_no_kdf_while_the_credential_is_unlocked(self):
        need('python3-sqlalchemy', PYTHONS + 'sqlalchemy')
        con, key = self.p.connect(), self.p.key('dear')
        if error_of(con, 'SELECT dmp_lock(?)', (self.p.key('martin'),)):
            raise unittest.SkipTest("skipped: the kernel's keyring is refused here")
        request = one(con, 'SELECT dmp_keygen(?,?,?)', key, PIN, 'kdf=3x256')
        self.p.login('authority', con)
        con.execute("INSERT INTO principal(kind,identifier,name,profession,certificate) VALUES('professional','81000000000','DEAR','10',?)", (request,))
        dear = one(con, 'SELECT dmp_login(?,?,NULL,NULL,?)', key, PIN, self.p.fingerprint)
        self.p.login('martin', con).execute("INSERT INTO protected_reader VALUES('consultation', ?)", (dear,))
        self.assertIn('dmp-E085', '\n'.join(self.python(POOL, self.p.path, SO, key)))
        began = time.perf_counter()
        one(con, 'SELECT dmp_unlock(?,?,60)', key, PIN)
        once = time.perf_counter() - began
        self.addCleanup(self.lock, key)
        seconds, *got = self.python(POOL, self.p.path, SO, key)[-1].split()
        self.assertEqual(got, ['5'] + ['angine'] * 5)
        self.assertLess(float(seconds), once, 'five logins take longer than one KDF')

    def test_when_the_time_is_over_new_connections_are_refused_and_open_ones_go_on(self):
        con, key = self.p.connect(), self.p.key('martin')
        if error_of(con, 'SELECT dmp_unlock(?,?,2)', (key, PIN)):
            raise unittest.SkipTest("skipped: the kernel's keyring is refused here")
        early = self.p.connect()
        self.assertEqual(one(early, 'SELECT dmp_login(?)', key), self.p.id['martin'])
        end = time.monotonic() + 10
        while error_of(self.p.connect(), 'SELECT dmp_login(?)', (key,)) is None and time.monotonic() < end:
            time.sleep(0.2)
        self.refused(85, self.p.connect(), 'SELECT dmp_login(?)', (key,))
        self.assertEqual(one(early, 'SELECT note FROM consultation WHERE id = 2'), 'angine')

    def without_keyring(self, *story, **env):
        """The shell with its .sqliterc, in a process to which the kernel refuses the keyring, as in many containers."""
        need('strace', 'strace')
        trace = os.path.join(self.p.folder, 'trace')
        rc = os.path.join(self.p.folder, 'sqliterc')
        with open(rc, 'w') as f:
            f.write(".load %s\nPRAGMA temp_store=MEMORY;\nSELECT dmp_login('%s') > 0;\n" % (SO, self.p.key('martin')))
        got = self.one_stream(['strace', '-f', '-qq', '-o', trace, '-e', 'trace=add_key,keyctl', '-e', 'inject=add_key,keyctl:error=ENOSYS',
                               '/usr/bin/sqlite3', '-batch', '-init', rc, self.p.path], ''.join(s + ';\n' for s in story), **env)
        if any('ptrace' in line for line in got):
            raise unittest.SkipTest('skipped: strace may not trace here')
        with open(trace) as f:
            self.assertIn('(INJECTED)', f.read(), 'proves nothing')
        return got

    def test_where_there_is_no_kernel_keyring_a_program_gives_the_pin(self):
        need('sqlite3', '/usr/bin/sqlite3')
        self.env.pop('DMP_ASKPASS', None)
        note = 'SELECT note FROM consultation WHERE id = 2'
        self.assertTrue(any('dmp-E084' in line and '$DMP_ASKPASS' in line for line in self.without_keyring(note)), self.said)
        self.askpass()
        self.assertEqual(self.without_keyring(note), ['1', 'angine'])

    def test_where_there_is_no_kernel_keyring_a_descriptor_gives_the_pin_and_nothing_names_it(self):
        need('sqlite3', '/usr/bin/sqlite3')
        reader, writer = os.pipe()
        os.write(writer, PIN.encode() + b'\n')
        os.close(writer)
        os.set_inheritable(reader, True)
        self.addCleanup(os.close, reader)
        self.keep = [reader]
        self.assertEqual(self.without_keyring('SELECT note FROM consultation WHERE id = 2', DMP_ASKPASS='head -n 1 <&%d' % reader), ['1', 'angine'])

    def test_another_credential_at_the_same_path_is_not_opened_by_the_old_key(self):
        con, key = self.p.connect(), self.p.key('martin')
        if error_of(con, 'SELECT dmp_unlock(?,?,60)', (key, PIN)):
            raise unittest.SkipTest("skipped: the kernel's keyring is refused here")
        shutil.copy(self.p.key('leroy'), key)
        self.refused(85, con, 'SELECT dmp_login(?)', (key,))

    def test_a_locked_credential_is_asked_for(self):
        self.lock(self.p.key('martin'))
        self.askpass()
        got = self.run_it(['/usr/bin/python3', '-c', PYTHON, self.p.path, SO, self.p.key('martin'), 'SELECT count(*) FROM session'])
        self.assertEqual(got, ['--', '1'])


if __name__ == '__main__':
    main()
