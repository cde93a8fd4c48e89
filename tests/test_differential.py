"""test_differential.py: a protected table answers as a plain one: random statements on both, compared.
  test_differential.py [BUILD_FOLDER] [--statements N] [--seed N] [--keep-going]
Prints the seed of the run; a difference is cut down to the fewest statements that still show it, and printed."""
import argparse
import os
import shutil
import sys
import tempfile

LENGTH = 60                                             # statements of one episode


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument('build', nargs='?', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build'))
    a.add_argument('--statements', type=int, default=20000)
    a.add_argument('--seed', type=int, default=40)
    a.add_argument('--failures', type=int, default=3, help='stop after so many')
    got = a.parse_args()
    sys.argv = [sys.argv[0], got.build]                 # what harness reads
    return got


def exceptions_hold(template, differential):
    """Each exception that is written down behaves as written: the generator may keep clear of it."""
    bad = []
    for name, reason, way, before, sql, expected in differential.EXCEPTIONS:
        e = differential.Episode(0, 0)
        e.ddl = ["CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER UNIQUE CHECK(n>0), s TEXT, d TEXT DEFAULT 'rien', self REFERENCES t(id))", 'CREATE INDEX t_n ON t(n)',
                 'CREATE TABLE ch(x REFERENCES t(id))', 'CREATE TABLE audit(x)',
                 'CREATE TRIGGER t_u AFTER UPDATE OF n ON t BEGIN INSERT INTO audit VALUES(new.id); END']
        e.sealed, e.options, e.unique, e.indexed, e.fill = 's,d', [], [], [], ["INSERT INTO t(id,n,s) VALUES(1,1,'un'),(2,2,'deux')"]
        pair = differential.Pair(template, e)
        for s in e.fill + ['@protect'] + before:
            if isinstance(s, tuple):
                assert all(pair.answer(c, s[0])[0] != 'rows' for c in pair.con), s
            else:
                assert pair.word(s) is None if s[0] == '@' else [c.execute(s) for c in pair.con]
        a, b = (pair.answer(c, sql) for c in pair.con)
        pair.close()
        shown = b[2] if b[0] != 'rows' else [tuple(eval(v[1], {'textb': None}) if not v[1].startswith('textb') else v[1][6:-1] for v in r) for r in b[1]]
        if a == b or (expected is not None and (expected not in shown if isinstance(expected, str) else expected != shown)):
            bad.append('%s: plain %s, protected %s; written down: %s' % (name, a, b, expected))
    return bad


def main():
    a = arguments()
    import differential
    folder = tempfile.mkdtemp(prefix='dmp-test-')
    failed = passed = 0
    try:
        template = differential.Template(folder)
        wide = [differential.Template(os.path.join(folder, e), e) for e in ('UTF-16le', 'UTF-16be')]
        for line in exceptions_hold(template, differential):
            print('FAILED  exception ' + line)
            failed += 1
        passed += len(differential.EXCEPTIONS) - failed
        for t in [template] + wide:
            pair = differential.Pair(t, differential.Episode(0, 0))
            assert {differential.one(c, 'PRAGMA encoding') for c in pair.con} == {differential.Tagged(t.encoding.encode())}
            pair.close()
        print('seed %d, %d statements' % (a.seed, a.statements))
        i = -1
        while differential.Pair.ran < a.statements:
            i += 1
            e = differential.Episode(a.seed * 1000003 + i, LENGTH)
            of = wide[i // 8 % 2] if i % 8 == 7 else template   # now and then in a database of another encoding
            got = differential.play(of, e, e.statements)
            passed += got is None
            if got is None:
                continue
            failed += 1
            kept, what = differential.shrink(of, e, got[0])
            print('FAILED  in %s: %s\n%s\n' % (of.encoding, what[1] if what else got[1], e.text(kept)), flush=True)
            if failed >= a.failures:
                break
        print('%d statements compared in %d episodes; ended early at an exception: %s; refused for too few values: %d'
              % (differential.Pair.ran, i + 1, ', '.join('%s %d' % x for x in sorted(differential.ENDED.items())) or 'none', differential.Pair.few))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print('%d passed, %d failed, 0 skipped' % (passed, failed))
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
