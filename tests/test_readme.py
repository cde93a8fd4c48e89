#!/usr/bin/python3
"""README tells the truth about what can be compared by a machine: its error table is include/dmp.h, its map is the tree, its SQL
reference is what the tables declare."""
import glob, os, re, sqlite3, sys, tempfile, unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("DMP_BUILD", os.path.join(ROOT, "build"))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def error_table():
    rows = re.findall(r'X\(\s*(\d+),\s*\w+,\s*(\w+),\s*"((?:[^"\\]|\\.)*)"\)', read("include/dmp.h"))
    return ["| dmp-E%03d | %s | %s |" % (int(n), rc, text) for n, rc, text in rows]


class Readme(unittest.TestCase):
    def test_the_error_table_is_the_one_of_the_header(self):
        part = read("README.md").split("<!-- errors -->")[1].split("<!-- end of errors -->")[0]
        self.assertEqual([line for line in part.splitlines() if line.startswith("| dmp-E")], error_table())

    def test_error_numbers_are_given_once(self):
        numbers = [row[2:11] for row in error_table()]
        self.assertEqual(len(numbers), len(set(numbers)))

    def test_the_map_names_every_module(self):
        part = read("README.md").split("### The map")[1].split("## Errors")[0]
        for path in glob.glob(os.path.join(ROOT, "ext", "*.c")) + glob.glob(os.path.join(ROOT, "fuse", "*.c")):
            name = os.path.basename(path)[:-2]
            family = name.split("_")[0] if name.startswith(("import_", "parse_", "preload_", "draw_")) else name
            self.assertRegex(part, r"`%s`|`ext/%s_\*`" % (family, family), name)

    def test_the_map_names_no_module_that_is_gone(self):
        part = read("README.md").split("### The map")[1].split("## Errors")[0]
        for line in part.splitlines():
            if not line.startswith(("| `ext/` [", "| `fuse/`")):
                continue
            folder = re.match(r"\| `(\w+)/`", line).group(1)
            for name in re.findall(r"`(\w+)`", line.split("|")[2]):
                self.assertTrue(os.path.exists(os.path.join(ROOT, folder, name + ".c")), name)

    def test_the_sql_reference_lists_the_columns_that_the_tables_declare(self):
        rows = dict(re.findall(r"^\| `(\w+)` \| ([\w, ;:]+) \|", read("README.md"), re.M))
        with tempfile.TemporaryDirectory() as folder:
            db = sqlite3.connect(os.path.join(folder, "record.db"), isolation_level=None)
            db.enable_load_extension(True)
            db.load_extension(os.path.join(BUILD, "dmp.so"))
            db.execute("SELECT dmp_create(?, ?, 'main', 'kdf=1x8')", (os.path.join(folder, "a.dmpkey"), "un code long"))
            for table in ("session", "principal", "patient", "identity", "representative", "consent", "blocked", "certificate_log", "document", "prescription", "reimbursement", "mask", "episode_suggestion", "feed", "access_log", "access_right", "document_as", "notification", "hosting", "dmp_protected", "protected_reader"):
                declared = db.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (table,)).fetchall()
                shown, _, hidden = rows[table].partition("; hidden: ")
                self.assertEqual(shown.split(", "), [n for n, h in declared if not h], table)
                self.assertEqual([h for h in hidden.split(", ") if h], [n for n, h in declared if h], table)
            db.close()


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stderr).run(unittest.defaultTestLoader.loadTestsFromTestCase(Readme))
    bad = len(result.failures) + len(result.errors)
    print("%d passed, %d failed, %d skipped" % (result.testsRun - bad - len(result.skipped), bad, len(result.skipped)))
    sys.exit(bad != 0)
