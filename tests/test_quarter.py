#!/usr/bin/python3
"""A quarter of an hour with scripts/dmp, by somebody who never saw it: tests/quarter.exp types it, this counts the gestures.
Usage: test_quarter.py [BUILD_FOLDER]"""
import os, re, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, HERE, Case, main

ROOT = os.path.dirname(HERE)
GESTURES = 50                                          # lines typed, at most; README, "First steps"


class Quarter(Case):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='dmp-quarter-')
        self.home = os.path.join(self.dir, 'home')
        os.mkdir(self.home)
        with open(os.path.join(self.dir, 'bilan.pdf'), 'wb') as f:
            f.write(b'%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n')
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('DMP_')}
        self.env.update(HOME=self.home, DMP_LIB=BUILD, LC_ALL='C.UTF-8', TERM='dumb', PYTHONDONTWRITEBYTECODE='1')
        self.env.pop('XDG_CONFIG_HOME', None)

    def tearDown(self):
        subprocess.run(['fusermount3', '-u', '-z', self.home + '/dossier-partage-kaci'], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir)

    def play(self, mount):
        done = subprocess.run(['expect', '-f', HERE + '/quarter.exp', ROOT + '/scripts/dmp', self.dir, str(int(mount))], env=self.env,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        count = int(re.search(r'^(\d+) gestures$', done.stdout, re.M)[1])
        print('%d gestures' % count)
        self.assertTrue(30 < count <= GESTURES, count)

    def test_a_newcomer_comes_to_a_masked_document_and_its_readers_within_50_lines_without_sql(self):
        self.play(mount=os.path.exists('/dev/fuse'))
        with open(HERE + '/quarter.exp', encoding='utf-8') as f:
            self.assertNotRegex(f.read(), r'\b(SELECT|INSERT|UPDATE|DELETE)\b')
        seen = subprocess.run(['pdftotext', self.dir + '/fiche.pdf', '-'], capture_output=True, text=True).stdout
        self.assertIn('BELLANGER Lucie', seen)


if __name__ == '__main__':
    main()
