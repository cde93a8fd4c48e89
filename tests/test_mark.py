#!/usr/bin/python3
"""The items of an episode are found without opening the others, by marks that tell the host nothing and that it can't change unseen.
Usage: test_mark.py [BUILD_FOLDER [TEST_NAME...]]."""
import sqlite3
import unittest
from harness import Case, Practice, deposit, documents, main, one

PEOPLE = {'treating': ('10', 1), 'pharmacist': ('21', 0), 'nurse': ('60', 0)}


class Marks(Case):
    def setUp(self):
        self.p = Practice(PEOPLE)
        self.t = self.p.login('treating')
        self.pid = self.p.patient('marie', self.t, 'treating')
        self.m = self.p.login('marie')
        self.consent('pharmacist')
        self.ph = self.p.login('pharmacist')
        self.act = [deposit(self.t, self.pid, episode='acte') for _ in range(4)]
        self.other = [deposit(self.t, self.pid, episode='autre'), deposit(self.t, self.pid)]

    def tearDown(self):
        self.p.drop()

    def consent(self, who):
        self.m.execute('INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id[who]))

    def mask(self, con=None, episode='acte'):
        (con or self.m).execute('INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, episode))

    def marks(self, ids=None):
        return {i: m for i, m in self.p.raw().execute('SELECT id,mark FROM dmp_object') if ids is None or i in ids}

    def opened(self, con, do):
        boxes = one(con, 'SELECT boxes_opened FROM session')
        do(con)
        return one(con, 'SELECT boxes_opened FROM session') - boxes

    def refused_then(self, undo):
        """The host has changed something: no mask of the episode begins, nothing was written, everybody is told; undone, it is made."""
        self.refused(38, self.m, 'INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, 'acte'))
        self.refused(38, self.p.login('pharmacist'), 'SELECT id FROM document')
        self.assertGreater(one(self.m, "SELECT count(*) FROM dmp_verify WHERE kind='fault'"), 0)
        undo()
        self.assertEqual(one(self.m, "SELECT count(*) FROM dmp_verify WHERE kind='fault'"), 0)
        self.assertEqual(one(self.m, 'SELECT count(*) FROM mask'), 0)
        self.mask()
        self.assertEqual(documents(self.ph), self.other)

    # ---- what it costs ----

    def test_masking_an_episode_opens_as_many_boxes_whatever_else_the_patient_has(self):
        few = self.opened(self.m, self.mask)
        self.m.execute("DELETE FROM mask WHERE patient=? AND episode='acte'", (self.pid,))
        for _ in range(60):
            deposit(self.t, self.pid, episode='autre')
        self.opened(self.m, documents)                         # what came is known to the session
        self.assertEqual(self.opened(self.m, self.mask), few)
        self.assertEqual(len(documents(self.ph)), 62)

    def test_a_deposit_that_names_an_episode_opens_as_many_boxes_whatever_else_the_patient_has(self):
        few = [self.opened(self.t, lambda con: deposit(con, self.pid, episode=name)) for name in ('neuf', 'autre')]
        self.assertEqual(few[1], few[0] + 2)                   # of the second there was one already
        for _ in range(40):
            deposit(self.t, self.pid)
        self.assertEqual(self.opened(self.t, lambda con: deposit(con, self.pid, episode='encore')), few[0])

    # ---- what it finds ----

    def test_hidden_and_masked_ones_circles_and_assigned_ones_are_found_as_others_are(self):
        hidden = deposit(self.t, self.pid, episode='acte', hidden_from_representatives=1)
        without = deposit(self.t, self.pid)
        self.m.execute("INSERT INTO episode_suggestion(patient,item,episode) VALUES(?,?,'acte')", (self.pid, without))
        self.consent('nurse')
        nurse = self.p.login('nurse')
        self.m.execute('INSERT INTO mask(document,grantee) VALUES(?,?)', (self.act[0], self.p.id['nurse']))
        self.assertEqual(len(documents(nurse)), 7)
        self.mask()
        for who in (nurse, self.ph):
            self.assertEqual(documents(who), self.other)
        self.assertEqual(len(documents(self.m)), 8)
        self.m.execute("DELETE FROM mask WHERE patient=? AND episode='acte'", (self.pid,))
        self.assertEqual(documents(self.ph), sorted(self.act + self.other + [hidden, without]))
        self.assertEqual(documents(nurse), sorted(self.act[1:] + self.other + [hidden, without]))
        self.assertEqual(self.m.execute('SELECT * FROM dmp_verify').fetchall(), [])

    def test_an_episode_masked_from_somebody_is_found_too_and_after_every_key_has_turned(self):
        self.consent('nurse')
        self.m.execute("INSERT INTO mask(patient,episode,grantee) VALUES(?,'acte',?)", (self.pid, self.p.id['pharmacist']))
        self.assertEqual(documents(self.ph), self.other)
        self.assertEqual(len(documents(self.p.login('nurse'))), 6)
        self.mask(episode='autre')
        self.assertEqual(documents(self.p.login('nurse')), sorted(self.act + self.other[1:]))

    def test_long_names_and_names_that_begin_alike_are_kept_apart(self):
        long_one, longer = 'é' * 300, 'é' * 301
        a, b = deposit(self.t, self.pid, episode=long_one), deposit(self.t, self.pid, episode=longer)
        self.mask(episode=long_one)
        self.assertNotIn(a, documents(self.ph))
        self.assertIn(b, documents(self.ph))

    def test_what_came_late_for_another_episode_is_settled_with_a_mask_as_with_any_write_of_the_patient(self):
        self.mask(episode='autre')
        late = deposit(self.m, self.pid, episode='autre')       # nobody has looked yet: also hidden from representatives
        hidden = lambda: one(self.m, 'SELECT hidden_from_representatives FROM document WHERE id=?', late)
        self.assertEqual(hidden(), 1)
        self.mask()
        self.assertEqual(hidden(), 0)
        self.assertEqual(documents(self.ph), self.other[1:])

    # ---- what it tells the host ----

    def test_marks_of_one_episode_of_others_and_of_none_all_differ_and_turn_with_the_keys(self):
        before = self.marks()
        mine = [before[i] for i in self.act + self.other]
        self.assertEqual(len(set(before.values())), len(before))
        self.assertTrue(all(m not in (0, None) for m in mine))
        self.consent('nurse')
        after = self.marks()
        self.assertFalse({after[i] for i in self.act + self.other} & set(mine))
        self.assertEqual(len(set(after.values())), len(after))

    def test_a_sealed_deposit_has_none_until_it_is_adopted(self):
        sealed = deposit(self.ph, self.pid, type_code='75496-0', episode='acte')    # a class that a pharmacist may not read
        self.assertEqual(self.marks([sealed]), {sealed: 0})
        self.mask()                                            # begins with the adoption
        self.assertNotIn(self.marks([sealed])[sealed], (0, None))
        self.assertEqual([r[0] for r in self.m.execute('SELECT id FROM document WHERE masked ORDER BY id')], self.act + [sealed])

    # ---- what the host changes ----

    def test_a_mark_that_was_altered_or_exchanged_stops_a_mask_of_the_episode(self):
        true = self.marks(self.act[:1] + self.other[:1])
        a, b = self.act[0], self.other[0]
        for wrong in ({a: true[a] ^ 1}, {a: true[b], b: true[a]}, {a: 0}):
            raw = self.p.raw()
            raw.executemany('UPDATE dmp_object SET mark=? WHERE id=?', [(m, i) for i, m in wrong.items()])
            self.refused(38, self.m, 'INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, 'acte'))
            raw.executemany('UPDATE dmp_object SET mark=? WHERE id=?', [(m, i) for i, m in true.items()])
        self.p.raw().execute('UPDATE dmp_object SET mark=mark+1 WHERE id=?', (a,))
        self.refused_then(lambda: self.p.raw().execute('UPDATE dmp_object SET mark=mark-1 WHERE id=?', (a,)))

    def test_an_altered_mark_stops_every_move_of_its_item_and_nothing_is_lost_when_it_is_put_right(self):
        self.p.raw().execute('UPDATE dmp_object SET mark=mark+1 WHERE id=?', (self.act[0],))
        self.refused(38, self.m, 'INSERT INTO mask(document) VALUES(?)', (self.act[0],))
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (self.act[1],))
        self.p.raw().execute('UPDATE dmp_object SET mark=mark-1 WHERE id=?', (self.act[0],))
        self.m.execute('INSERT INTO mask(document) VALUES(?)', (self.act[0],))
        self.assertEqual(documents(self.ph), self.act[2:] + self.other)
        self.assertEqual(self.m.execute('SELECT * FROM dmp_verify').fetchall(), [])

    def test_a_row_taken_out_of_the_leaf_stops_it(self):
        raw = self.p.raw()
        loc = one(raw, 'SELECT loc FROM dmp_object WHERE id=?', self.act[0])
        raw.execute('UPDATE dmp_object SET loc=zeroblob(16) WHERE id=?', (self.act[0],))
        self.refused_then(lambda: self.p.raw().execute('UPDATE dmp_object SET loc=? WHERE id=?', (loc, self.act[0])))

    def index(self, where):
        """The host makes the file's index anew as if it had no entry for some rows; its text stays the record's."""
        raw = sqlite3.connect(self.p.path, isolation_level=None)
        raw.execute('PRAGMA journal_mode=DELETE')
        text = one(raw, "SELECT sql FROM sqlite_schema WHERE name='dmp_object_loc'")
        raw.close()
        for sql, reindex in ((text + where, True), (text, False)):
            raw = sqlite3.connect(self.p.path, isolation_level=None)
            raw.execute('PRAGMA writable_schema=ON')
            raw.execute("UPDATE sqlite_schema SET sql=? WHERE name='dmp_object_loc'", (sql,))
            raw.execute('PRAGMA schema_version=%d' % (one(raw, 'PRAGMA schema_version') + 1))
            raw.close()
            if reindex:
                raw = sqlite3.connect(self.p.path, isolation_level=None)
                raw.execute('REINDEX dmp_object_loc')
                raw.close()

    def test_an_index_that_leaves_a_row_out_stops_it(self):
        self.p.close()
        self.index(' WHERE id<>%d' % self.act[0])
        self.m, self.ph = self.p.login('marie'), self.p.login('pharmacist')
        self.assertIn(one(self.p.raw(), 'PRAGMA integrity_check').split()[0], ('row', 'wrong'))

        def undo():
            self.p.close()
            raw = self.p.raw()
            raw.execute('REINDEX')
            self.p.close()
            self.m, self.ph = self.p.login('marie'), self.p.login('pharmacist')
        self.refused_then(undo)

    def test_a_header_that_was_altered_stops_the_turn_of_its_key_and_a_mask_of_its_episode(self):
        raw = self.p.raw()
        box = one(raw, 'SELECT header FROM dmp_object WHERE id=?', self.act[0])
        raw.execute('UPDATE dmp_object SET header=? WHERE id=?', (box[:40] + bytes([box[40] ^ 1]) + box[41:], self.act[0]))
        self.refused(5, self.m, 'INSERT INTO mask(patient,episode) VALUES(?,?)', (self.pid, 'acte'))
        self.refused(5, self.m, 'INSERT INTO consent(patient,grantee) VALUES(?,?)', (self.pid, self.p.id['nurse']))
        raw.execute('UPDATE dmp_object SET header=? WHERE id=?', (box, self.act[0]))
        self.consent('nurse')
        self.mask()
        self.assertEqual(documents(self.ph), self.other)


if __name__ == '__main__':
    main()
