"""What every reader of a shared record must see: the rules as plain sets, without keys, files or SQL.
Written from the published rules alone; it reads nothing of the project, so that both can be wrong only separately."""

import copy

# What a profession may not read among the listed types (arrêté of 26 October 2023); any other profession reads nothing.
_PHARMACY = {'75496-0', '34842-5', '68599-0', '83901-9', '68817-6', '89601-9', 'EXPPAT_3', 'ATTEST-RESID',
             'ATTEST-HEBGT', '86531-1'}
DENIED = {10: {'ATTEST-RESID'}, 21: _PHARMACY, 39: _PHARMACY,
          40: {'80788-3', '75496-0', '83981-1', '83901-9', '68599-0'},
          60: {'75496-0', '68599-0', '83901-9', '68817-6', '89601-9'}}
COMMON = ['11488-4', '11502-2', '57833-6', 'REMB', 'SYNTH']
LISTED = sorted(set().union(*DENIED.values())) + COMMON
UNLISTED = ['DOCPAT10^1.2.250.1.213.1.1.4.12', 'X-LOCAL^1.2.3']
ALL = LISTED + UNLISTED

DONE, NOTHING, REFUSED = 'done', 'nothing', 'refused'


def rights_class(type_code):
    """The professions that may read a type: documents with the same set share their keys."""
    return frozenset(p for p in DENIED if type_code in LISTED and type_code not in DENIED[p])


def availability(d, seen):
    """Deprecated for whoever sees the replacement."""
    replaced = any(o is not d and (o.patient, o.replaces) == (d.patient, d.uid) for o in seen)
    return 'Deprecated' if replaced else 'Approved'


class Document:
    """A document or a line of a section. lies and hidden say where it is: masked, hidden from representatives, whatever the reason; meant and
    meant_hidden what its depositor wanted; pooled: sealed, nobody who may move it has written since."""

    def __init__(self, table, patient, depositor, uid, title, type_code, episode, masked, replaces, hidden, invisible):
        self.table, self.patient, self.depositor, self.uid, self.title, self.replaces = table, patient, depositor, uid, title, replaces
        self.episode, self.cls = episode, rights_class(type_code)
        self.meant = self.lies = masked
        self.meant_hidden = hidden
        self.invisible = self.was_invisible = invisible      # to the patient: not announced yet
        self.hidden = hidden or invisible
        self.noted = False                   # a full holder masked it by itself
        self.late = self.diverted = False    # out of the way: nobody knew about its episode, or its class was due
        self.pooled = False
        self.circle = None                   # what opens it where it is masked from some
        self.deleted = False                 # it stays where it lies

    def wants_hiding(self):
        return self.meant_hidden or self.invisible

    def announced_late(self):
        """Announced by a depositor who could not move it to where representatives see it."""
        return self.was_invisible and not self.invisible and not self.meant_hidden and self.hidden

    def unannounced(self):
        """Where it lies. What professionals can't see is never kept from the patient, unless it only waits."""
        return self.invisible and self.hidden and (not self.lies or self.diverted or self.late)


# ground -> whether it ends when the patient is of age
GROUNDS = {'parent': True, 'tuteur_mineur': True, 'tuteur': False, 'curateur': False, 'habilitation': False, 'mandataire': False}


class Circle:
    """Where the items of a class lie that are masked from the same people."""

    def __init__(self, cls, masked, out, private):
        self.cls, self.masked, self.out, self.private = cls, masked, out, private
        self.given = set()                   # who was given its key


class Choice:
    """A masked episode (out: None), or somebody from whom an item or an episode is masked. private: only the patient knows of it."""

    def __init__(self, kind, what, out):
        self.kind, self.what, self.out, self.private = kind, what, out, False


class Patient:
    def __init__(self, treating, creator, minor):
        self.treating, self.minor = treating, minor
        self.consents = {creator: 'opening'} if creator else {}
        self.representatives = {}                          # name -> ground
        self.known = {creator, treating} - {None}          # who was ever granted: they may go on depositing
        self.due = {}                                      # class -> which of its keys only the patient can change: P, M
        self.pending = set()                               # (person, class, key) that wait for the patient
        self.choices, self.circles = [], []
        self.keeps = False                                 # something is or was masked from the treating doctor
        self.doctors = {treating} - {None}                 # who is or ever was treating doctor
        self.shades = set()                                # episodes and documents masked from the treating doctor: what follows them late he is not shown
        self.known_teams = set()                           # as known, for who is a member
        self.left = set()                                  # teams that somebody left, and no full holder has written since


class Model:
    """professions: name -> code (authority: None). patients: name -> (treating doctor or None, creator or None, minor). teams: name -> (role,
    members); members: name -> whether he manages."""

    def __init__(self, professions, patients, teams):
        self.professions = professions
        self.roles = {name: role for name, (role, _) in teams.items()}
        self.members = {name: dict(members) for name, (_, members) in teams.items()}
        self.patients = {name: Patient(*p) for name, p in patients.items()}
        self.documents = {}                                # label -> Document

    # ---- who opens what ----

    def in_matrix(self, who, cls):
        return self.roles.get(who, self.professions.get(who)) in cls

    def granted(self, who, patient):
        """Whom the patient's consents name through whom who reads: himself, and his teams."""
        return [g for g in self.patients[patient].consents if g == who or who in self.members.get(g, ())]

    def full_holder(self, who, patient):
        return who == patient or (who is not None and who == self.patients[patient].treating)

    def holds(self, who, patient, cls):
        """Whether who may mask, or read what is masked, in a class of this patient."""
        return who == patient or (self.full_holder(who, patient) and self.in_matrix(who, cls))

    def handles(self, who, d):
        """Whether who may move it."""
        return self.holds(who, d.patient, d.cls) and self.opens(who, d)

    def holds_visible(self, who, patient, cls):
        """Whether who may read what is masked from nobody and hidden from no representative in a class of this patient."""
        p = self.patients[patient]
        if self.holds(who, patient, cls) or (who in p.representatives and (who, cls, 'P') not in p.pending):
            return True
        return any(self.in_matrix(g, cls) and (g, cls, 'P') not in p.pending for g in self.granted(who, patient))

    def opens(self, who, d):
        """By a key of the class."""
        p = self.patients[d.patient]
        if d.circle:
            return who in d.circle.given and self.identified(who, d.patient) and not (who in p.representatives and d.hidden)
        if self.holds(who, d.patient, d.cls):
            return who in (d.patient, d.depositor) or not (d.late and d.lies and self.shaded(d))
        if who in p.representatives:
            return not d.hidden and (who, d.cls, 'M' if d.lies else 'P') not in p.pending
        return not d.lies and self.holds_visible(who, d.patient, d.cls)

    def shaded(self, d):
        """Its episode, or what it replaces, is masked from the treating doctor."""
        shades = self.patients[d.patient].shades
        return ('episode', d.episode) in shades or ('id', d.replaces) in shades

    def withheld(self, who, d):
        """From the patient, as who finds it: not announced, or late and following something that is not."""
        if d.unannounced() or not (d.late and d.hidden and d.depositor != d.patient):
            return d.unannounced()
        names = set()
        for o in self.documents.values():
            waits = o.late and o.hidden and o.depositor != o.patient and (('episode', o.episode) in names or ('id', o.replaces) in names)
            if o.patient == d.patient and (o.unannounced() or waits) and self.opens(who, o):
                names |= {(kind, name) for kind, name in (('episode', o.episode), ('id', o.uid)) if name}
        return ('episode', d.episode) in names or ('id', d.replaces) in names

    def sees(self, who, label):
        d = self.documents.get(label)
        if d is None or d.deleted or (who == d.patient and self.withheld(who, d)):
            return False
        return who == d.depositor or self.opens(who, d)

    def flags(self, who, d):
        """masked, hidden from representatives, invisible to the patient. A depositor who can't open it where it lies knows what he
        meant, and that it has left what he can open."""
        if self.opens(who, d):
            return '%d%d%d' % (d.lies, d.hidden, self.withheld(who, d))
        masked = d.meant or (not d.diverted and self.holds_visible(who, d.patient, d.cls) and not self.holds(who, d.patient, d.cls))
        return '%d%d%d' % (masked, d.wants_hiding(), d.invisible)

    def known(self, who, patient):
        """The choices that who knows of; full holders only."""
        return [c for c in self.patients[patient].choices if who == patient or not c.private]

    def masked_episodes(self, who, patient):
        return {c.what for c in self.known(who, patient) if c.out is None}

    def covered(self, who, d):
        return d.episode in self.masked_episodes(who, d.patient)

    def masked_from(self, who, d):
        return frozenset(c.out for c in self.known(who, d.patient) if c.out and c.what == (d.label if c.kind == 'item' else d.episode))

    # ---- masks to certain people ----

    def left_out(self, patient, who, out):
        if isinstance(out, str) and out.startswith('profession:'):
            return self.professions.get(who) == int(out[11:])
        if out == 'treating':
            return who in self.patients[patient].doctors
        return who == out or who in self.members.get(out, ())

    def hides(self, patient, out):
        """From the treating doctor of today."""
        doctor = self.patients[patient].treating
        return doctor is not None and any(self.left_out(patient, doctor, o) for o in out)

    def entitled(self, patient, k):
        p = self.patients[patient]
        people = {p.treating} | set(p.consents) | {m for t in p.consents for m in self.members.get(t, ())}
        readers = {who for who in people & set(self.professions) if not any(self.left_out(patient, who, o) for o in k.out)
                   and (self.holds(who, patient, k.cls) if k.masked else self.full_holder(who, patient) and self.in_matrix(who, k.cls)
                        or any(self.in_matrix(g, k.cls) for g in self.granted(who, patient)))}
        return readers | {patient} | set(p.representatives)

    def turn_circles(self, who, patient):
        """A change of keys gives those that who holds to whom they belong today; who is granted nothing any more keeps none."""
        if self.patients[patient].circles or self.patients[patient].keeps:   # members of teams are granted by name where there is a circle
            self.patients[patient].known |= {m for t in self.patients[patient].consents for m in self.members.get(t, ())}
        for k in self.patients[patient].circles:
            if who in k.given and who in self.entitled(patient, k):
                k.given = self.entitled(patient, k)
            k.given = {g for g in k.given if self.identified(g, patient)}

    def circles_due(self, patient):
        return any(k.given != self.entitled(patient, k) for k in self.patients[patient].circles)

    def place(self, who, patient, items):
        """Puts each where its masks to some say, as far as who knows them."""
        p, made, wanted = self.patients[patient], False, []
        for d in items:
            out, found = self.masked_from(who, d), None
            if out:
                made |= not p.keeps and self.hides(patient, out)
                p.keeps |= self.hides(patient, out)
                found = next((k for k in p.circles if (k.cls, k.masked, k.out) == (d.cls, d.lies, out)
                              and (who == patient or not k.private)), None)
                if found is None:
                    found, made = Circle(d.cls, d.lies, out, self.hides(patient, out)), True
                    found.given = {who}
                    p.circles.append(found)
            wanted.append((d, found))
        if made or (any(k for _, k in wanted) and any(who in k.given and k.given != self.entitled(patient, k) for k in p.circles)):
            self.turn_circles(who, patient)
        for d, found in wanted:
            d.circle = found

    def keep_from_doctor(self, who, patient):
        """The patient alone holds what says so; when that begins, keys change."""
        p = self.patients[patient]
        if not p.keeps or self.circles_due(patient):
            p.keeps = True
            self.turn_circles(who, patient)

    def hide_choices(self, who, patient):
        """Only the patient knows what is masked from the treating doctor."""
        p = self.patients[patient]
        if who != patient:
            return
        hidden = {(c.kind, c.what) for c in p.choices if c.out and self.hides(patient, [c.out])}
        more = (any((c.kind, c.what) in hidden and not c.private for c in p.choices) or
                any(self.hides(patient, k.out) and not k.private for k in p.circles))
        if more and not p.keeps:
            self.keep_from_doctor(who, patient)
        for c in p.choices:
            c.private = (c.kind, c.what) in hidden
        for k in p.circles:
            k.private = self.hides(patient, k.out)
        p.shades = {c for c in hidden if c[0] == 'episode'} | {('id', d.uid) for d in self.documents.values() if d.patient == patient and d.uid and (
            ('episode', d.episode) in hidden or (('item', d.label) in hidden and not self.withheld(patient, d)))}

    def hidden_episodes(self, who, patient):
        """As far as who can tell."""
        return {d.episode for d in self.documents.values() if d.patient == patient and d.hidden and d.wants_hiding() and self.opens(who, d)} - {None}

    def identified(self, who, patient):
        p = self.patients[patient]
        return self.full_holder(who, patient) or bool(self.granted(who, patient)) or who in p.representatives

    # ---- what each table shows ----

    def view(self, who):
        seen = [d for label, d in self.documents.items() if self.sees(who, label)]
        documents = [(d.patient, d.uid, self.flags(who, d), availability(d, seen), d.title) for d in seen if d.table == 'document']
        lines = [(d.patient, d.table, self.flags(who, d)[:2], d.episode, d.title) for d in seen if d.table != 'document']
        known = [name for name in self.patients if self.identified(who, name)]
        full = [name for name in self.patients if self.full_holder(who, name)]
        consents = [(name, grantee, basis) for name in full for grantee, basis in self.patients[name].consents.items()]
        mine = [(label, d) for label, d in self.documents.items() if self.handles(who, d) and self.sees(who, label)]
        masks = [(d.patient, label, None) for label, d in mine if d.lies and (d.meant or d.noted or not self.covered(who, d))]
        masks += [(d.patient, label, c.out) for label, d in mine for c in self.known(who, d.patient) if (c.kind, c.what) == ('item', label)]
        masks += [(name, c.what, c.out) for name in full for c in self.known(who, name) if c.kind == 'episode']
        return {'document': sorted(documents), 'line': sorted(lines, key=str), 'patient': sorted([(n, self.patients[n].treating) for n in known], key=str),
                'consent': sorted(consents), 'mask': sorted(masks, key=str),
                'membership': sorted((t, m, int(manages)) for t, members in self.members.items() for m, manages in members.items()),
                'representative': sorted((n, r, g, int(GROUNDS[g])) for n in known for r, g in self.patients[n].representatives.items())}

    # ---- what each step does ----

    def apply(self, who, verb, *args):
        """What is refused changes nothing, also not what a write does before it comes to itself."""
        tried = copy.deepcopy(self)
        done = getattr(tried, verb)(who, *args)
        if done == DONE:
            self.__dict__ = tried.__dict__
        return done

    def begin(self, who, patient):
        """A write takes in what was sealed for who writes; a full holder then says where that belongs, and shows what was announced by who
        could not move it."""
        taken = [d for d in self.documents.values() if d.patient == patient and d.pooled and d.lies and self.holds(who, patient, d.cls)]
        for d in taken:
            d.pooled = False
        if taken and self.full_holder(who, patient):
            self.move(who, patient)

    def due(self, patient, cls):
        """Which keys of a class somebody may hold who should not any more."""
        p = self.patients[patient]
        return p.due.get(cls, set()) | ({'P'} if any(self.roles[t] in cls for t in p.left) else set())

    def begin_full(self, who, patient):
        """Keys that somebody who left a team may hold turn before anything else is written."""
        self.begin(who, patient)
        p = self.patients[patient]
        if p.left:
            classes = set().union(*(self.of_profession(t) for t in p.left))
            p.left = set()
            mine = {cls for cls in classes if self.holds(who, patient, cls)}
            for cls in classes - mine:
                p.due.setdefault(cls, set()).add('P')
            self.settle(who, patient, mine | {cls for cls in p.due if self.holds(who, patient, cls)}, 'PM')
            self.move(who, patient, mine)
        for d in self.documents.values():
            if d.patient == patient and d.announced_late() and self.holds(who, patient, d.cls):
                d.hidden = False

    def move(self, who, patient, classes=None, released=None, only=None, episode=None):
        """Items of a masked episode become masked; late and diverted ones whose reason has ended become visible, and those of an
        episode that was just unmasked; and each goes where its masks to some say."""
        p, moved, secret, noted = self.patients[patient], [], self.hidden_episodes(who, patient), False
        aims = self.aims(who, patient, released, secret)
        for d in [only] if only else self.documents.values():
            if d.patient != patient or d.pooled or not self.handles(who, d) or (classes is not None and d.cls not in classes) or (episode and d.episode != episode):
                continue
            if who != patient and d.late and self.shaded(d):
                continue
            was = (d.lies, d.hidden)
            d.lies, d.hidden, out = aims[d.label]
            d.hidden = d.hidden or (was[1] and d.late and d.episode in secret and only is None)
            if was != (d.lies, d.hidden) or (d.circle is None) == bool(out) or (d.circle and d.circle.out != out):
                moved.append(d)
                for x in sorted(out - self.masked_from(who, d), key=str):   # from what it replaces
                    p.choices.append(Choice('item', d.label, x))
                    noted = True
        self.place(who, patient, moved)
        if noted:
            self.hide_choices(who, patient)
        return len(moved)

    def aims(self, who, patient, released, secret):
        """Where each belongs, as who knows; oldest first: a correction comes after what it replaces."""
        formers, aims = {}, {}
        for d in self.documents.values():
            if d.patient != patient or not self.opens(who, d):
                continue
            aims[d.label] = lies, hidden, out = self.aim(who, d, released, formers.get(d.replaces) if d.late and d.replaces else None)
            if d.uid:
                formers[d.uid] = (lies, hidden or (d.hidden and d.late and d.episode in secret), out)
        return aims

    def aim(self, who, d, released, former):
        """masked, hidden, from whom: former is the same of what a late item replaces. What shows is never taken back."""
        lies, hidden, due = d.lies, d.hidden, self.due(d.patient, d.cls)
        if self.covered(who, d):
            lies = lies or not d.unannounced()
        elif not due and not d.meant and not d.noted and not (former and former[0]) and (d.late or d.diverted or (released and d.episode == released)):
            lies = False
        if hidden and not due and (who == d.patient if d.late else d.diverted):   # of what is late only the patient, who sees all, can tell
            hidden = d.wants_hiding() or bool(former and former[1])
        return lies, hidden, self.masked_from(who, d) | (former[2] if former and d.lies and d.hidden and not d.circle else frozenset())

    def deposit(self, who, label, table, patient, uid, title, type_code, episode, masked, replaces, hidden, invisible):
        p, full = self.patients[patient], self.full_holder(who, patient)
        if (masked and invisible) or (who == patient and invisible):
            return REFUSED
        if who not in self.professions and who not in self.patients and (hidden or invisible):
            return REFUSED
        if who != patient and who not in p.known and not any(who in self.members[t] for t in p.known_teams):
            return REFUSED
        self.begin(who, patient)
        if table == 'document' and any(d.patient == patient and d.uid == uid and self.sees(who, o) for o, d in self.documents.items()):
            return REFUSED
        known = [o for o in self.documents.values() if o.patient == patient and self.opens(who, o) and not (who == patient and self.withheld(who, o))]
        same, former = [o for o in known if episode and o.episode == episode], [o for o in known if replaces and o.uid == replaces]
        found, kept = any(not o.lies and not o.circle for o in former), any(o.lies or o.circle for o in former)
        hidden = hidden or any(o.hidden and o.meant_hidden for o in same + former)       # what follows a hidden item is hidden
        d = Document(table, patient, who, uid if table == 'document' else None, title, type_code, episode, masked, replaces, hidden, invisible)
        d.label = label
        if full:
            late = kept or (replaces and not found and ('id', replaces) in p.shades)
            late = late or (episode and not masked and (any((c.kind, c.what) == ('episode', episode) for c in self.known(who, patient)) or
                                                        ('episode', episode) in p.shades))
        else:
            late = (episode and not masked and not any(not o.deleted and not o.lies and not o.circle for o in same)) or (replaces and (kept or not found))
        d.late = bool(late) or (not hidden and any(o.hidden and not o.meant_hidden for o in same + former))
        d.lies, d.hidden = d.lies or bool(late), d.hidden or d.late
        meant, due = (d.lies, d.hidden), self.due(patient, d.cls)
        d.lies, d.hidden = d.lies or bool(due), d.hidden or 'M' in due
        d.diverted = (d.lies, d.hidden) != meant
        d.pooled = d.lies and (d.diverted or not self.opens(who, d))
        self.documents[label] = d
        if full and d.late and not d.diverted and self.aims(who, patient, None, self.hidden_episodes(who, patient))[label][2]:
            self.move(who, patient, only=d)
        for o in self.documents.values():                  # what came before a hidden item follows too; what waits, if it is not announced
            if o is not d and (o.patient, o.episode) == (patient, episode) and episode and not o.pooled and not o.deleted and not o.hidden and self.opens(who, o):
                o.hidden = hidden or (invisible and o.late)
        p.known |= {who} - {patient}
        return DONE

    def delete(self, who, label):
        if not self.sees(who, label):
            return NOTHING
        if self.documents[label].depositor != who:
            return REFUSED
        self.documents[label].deleted = True
        return DONE

    def mask(self, who, label, patient):
        d = self.documents.get(label)
        if d is None or d.patient != patient or not self.handles(who, d) or not self.sees(who, label):
            return REFUSED
        self.begin_full(who, patient)
        if d.lies or d.unannounced():
            return REFUSED
        d.lies = d.noted = True
        self.place(who, patient, [d])
        return DONE

    def unmask(self, who, label):
        d = self.documents.get(label)
        if d is None or not d.lies or not self.handles(who, d) or not self.sees(who, label):
            return NOTHING
        if self.covered(who, d) and not d.meant and not d.noted:
            return NOTHING
        if self.covered(who, d):
            return REFUSED
        self.begin_full(who, d.patient)
        if d.lies and d.diverted and not d.wants_hiding():
            d.hidden = False
        d.lies = d.noted = False
        self.place(who, d.patient, [d])
        return DONE

    def mask_episode(self, who, patient, episode):
        if not self.full_holder(who, patient) or episode in self.masked_episodes(who, patient):
            return REFUSED
        self.begin_full(who, patient)
        self.patients[patient].choices.append(Choice('episode', episode, None))
        self.move(who, patient, episode=episode)
        return DONE

    def unmask_episode(self, who, patient, episode):
        if not self.full_holder(who, patient) or episode not in self.masked_episodes(who, patient):
            return NOTHING
        self.begin_full(who, patient)
        self.drop(who, patient, 'episode', episode, None)
        self.move(who, patient, released=episode)
        return DONE

    def drop(self, who, patient, kind, what, out):
        p, mine = self.patients[patient], self.known(who, patient)
        p.choices = [c for c in p.choices if c not in mine or (c.kind, c.what, c.out) != (kind, what, out)]

    def may_mask_to(self, who, patient, kind, what, out):
        if out not in self.professions and out not in self.roles and out != 'treating' and not out.startswith('profession:'):
            return False
        return (who == patient or not self.hides(patient, [out])) and not self.has(who, patient, kind, what, out)

    def choose(self, who, patient, kind, what, out):
        if self.hides(patient, [out]):
            self.keep_from_doctor(who, patient)
        self.patients[patient].choices.append(Choice(kind, what, out))

    def has(self, who, patient, kind, what, out):
        return any((c.kind, c.what, c.out) == (kind, what, out) for c in self.known(who, patient))

    def mask_to(self, who, label, patient, out):
        d = self.documents.get(label)
        if d is None or d.patient != patient or not self.handles(who, d) or not self.sees(who, label):
            return REFUSED
        self.begin_full(who, patient)
        if not self.handles(who, d) or d.depositor == out or not self.may_mask_to(who, patient, 'item', label, out):
            return REFUSED
        self.choose(who, patient, 'item', label, out)
        self.place(who, patient, [d])
        self.hide_choices(who, patient)
        return DONE

    def unmask_to(self, who, label, out):
        d = self.documents.get(label)
        if d is None or not self.handles(who, d) or not self.sees(who, label) or not self.has(who, d.patient, 'item', label, out):
            return NOTHING
        self.begin_full(who, d.patient)
        self.drop(who, d.patient, 'item', label, out)
        self.move(who, d.patient, only=d)
        self.hide_choices(who, d.patient)
        return DONE

    def mask_episode_to(self, who, patient, episode, out):
        if not self.full_holder(who, patient) or not self.may_mask_to(who, patient, 'episode', episode, out):
            return REFUSED
        self.begin_full(who, patient)
        self.choose(who, patient, 'episode', episode, out)
        self.move(who, patient, episode=episode)
        self.hide_choices(who, patient)
        return DONE

    def unmask_episode_to(self, who, patient, episode, out):
        if not self.full_holder(who, patient) or not self.has(who, patient, 'episode', episode, out):
            return NOTHING
        self.begin_full(who, patient)
        self.drop(who, patient, 'episode', episode, out)
        self.move(who, patient)
        self.hide_choices(who, patient)
        return DONE

    def announce(self, who, label):
        if not self.sees(who, label) or self.documents[label].table != 'document':
            return NOTHING
        d = self.documents[label]
        self.begin(who, d.patient)
        if not (d.unannounced() if self.opens(who, d) else d.invisible):
            return DONE
        if d.depositor != who:
            return REFUSED
        d.invisible = False
        if self.opens(who, d) and not d.meant_hidden:
            d.hidden = False
        return DONE

    def reveal(self, who, label):
        """For good: to representatives."""
        if not self.sees(who, label):
            return NOTHING
        d = self.documents[label]
        self.begin(who, d.patient)
        opens = self.opens(who, d)
        if not (d.hidden if opens else d.wants_hiding()):
            return DONE
        if (self.withheld(who, d) if opens else d.invisible) or not opens or not (self.full_holder(who, d.patient) or d.depositor == who):
            return REFUSED
        d.hidden = False
        return DONE

    def consent(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or (self.professions.get(grantee) is None and grantee not in self.roles):
            return REFUSED
        if grantee == p.treating or grantee in p.consents:
            return REFUSED
        self.begin_full(who, patient)
        p.consents[grantee] = 'consent'
        (p.known_teams if grantee in self.roles else p.known).add(grantee)
        self.turn(who, patient, grantee, self.of_profession(grantee), 'P')
        return DONE

    def withdraw(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or grantee not in p.consents:
            return NOTHING
        if grantee == p.treating:
            return REFUSED
        self.begin_full(who, patient)
        del p.consents[grantee]
        self.turn(who, patient, None, self.of_profession(grantee), 'P')
        p.pending = {x for x in p.pending if x[0] != grantee}
        return DONE

    def names(self, who, patient):
        p = self.patients[patient]
        return who == patient or (p.minor and self.full_holder(who, patient))

    def represent(self, who, patient, representative, ground):
        p = self.patients[patient]
        if not self.names(who, patient) or representative in self.professions or representative in p.representatives:
            return REFUSED
        if GROUNDS[ground] and not p.minor:
            return REFUSED
        self.begin_full(who, patient)
        p.representatives[representative] = ground
        p.known.add(representative)
        self.turn(who, patient, representative, {rights_class(t) for t in ALL}, 'PM')
        return DONE

    def system(self, who, patient):
        """How many leaves of the identity class who holds, and whether he reads what others did and is told of it."""
        if who == patient:
            return 4, True
        if who in self.patients[patient].representatives:
            return 1, True
        return (2, self.full_holder(who, patient)) if self.identified(who, patient) else (0, False)

    def unrepresent(self, who, patient, representative):
        p = self.patients[patient]
        if not self.identified(who, patient) or representative not in p.representatives:
            return NOTHING
        if not self.names(who, patient):
            return REFUSED
        self.begin_full(who, patient)
        del p.representatives[representative]
        self.turn(who, patient, None, {rights_class(t) for t in ALL}, 'PM')
        p.pending = {x for x in p.pending if x[0] != representative}
        return DONE

    def of_profession(self, grantee):
        return {rights_class(t) for t in LISTED if self.in_matrix(grantee, rights_class(t))}

    def turn(self, who, patient, grantee, classes, keys):
        """These keys of these classes change; where who lacks them they become due, and the grantee waits for them."""
        p = self.patients[patient]
        mine = {cls for cls in classes if self.holds(who, patient, cls)}
        for cls in classes - mine:
            p.due.setdefault(cls, set()).update(keys)
            if grantee:
                p.pending |= {(grantee, cls, k) for k in keys}
        self.settle(who, patient, mine, keys)

    def settle(self, who, patient, classes, keys):
        """New keys reach everyone who may have them; what waited in a class of which nothing is due any more is where it was meant to be."""
        p = self.patients[patient]
        p.pending = {(g, cls, k) for g, cls, k in p.pending if cls not in classes or k not in keys}
        settled = set()
        for cls in classes & set(p.due):
            p.due[cls] -= set(keys)
            if not p.due[cls]:
                del p.due[cls]
                settled.add(cls)
        self.turn_circles(who, patient)
        self.move(who, patient, settled)

    def treating(self, who, patient, doctor):
        p = self.patients[patient]
        if not self.identified(who, patient):
            return NOTHING
        if who != patient or (doctor is not None and self.professions.get(doctor) != 10):
            return REFUSED
        self.begin_full(who, patient)
        if doctor != p.treating:
            p.consents.pop(p.treating, None)
            p.treating = doctor
            p.known |= {doctor} - {None}
            p.doctors |= {doctor} - {None}
            self.turn_circles(who, patient)
            self.hide_choices(who, patient)
        return DONE

    def manages(self, who, team):
        return self.members[team].get(who, False)

    def join(self, who, team, member, manager):
        role, profession = self.roles[team], self.professions.get(member)
        if profession is None or not self.manages(who, team):
            return REFUSED
        if not all(profession in cls for cls in map(rights_class, LISTED) if role in cls):     # who reads as the role reads no more than he may
            return REFUSED
        others = [m for m, manages in self.members[team].items() if manages and m != member]
        if self.manages(member, team) and not manager and not others:
            return REFUSED
        self.members[team][member] = manager
        return DONE

    def leave(self, who, team, member):
        if member not in self.members[team]:
            return NOTHING
        if not self.manages(who, team) or who == member:
            return REFUSED
        del self.members[team][member]
        for p in self.patients.values():
            if team in p.consents:
                p.left.add(team)
        return DONE

    def login(self, who):
        for name, treated in self.patients.items():
            if treated.treating == who and treated.left:
                self.begin_full(who, name)
        p = self.patients.get(who)
        if p is None:
            return DONE
        mine = [d for d in self.documents.values() if d.patient == who]
        late = any(d.pooled and d.late for d in mine)
        out = p.choices or any(d.late and (d.lies or (d.hidden and not d.wants_hiding())) for d in mine)
        moves = late or (out and copy.deepcopy(self).move(who, who))
        if moves or p.due or p.left or self.circles_due(who) or any(d.announced_late() for d in mine):
            self.begin_full(who, who)
            self.settle(who, who, set(p.due), 'PM')
        if moves:
            self.move(who, who)
        return DONE
