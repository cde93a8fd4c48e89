"""What every reader of a shared record must see: the rules as plain sets, without keys, files or SQL.
Written from the published rules alone; it reads nothing of the project, so that both can be wrong only separately."""

import collections, copy, datetime

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
IDENTITY = 'identity'                     # the class of names: whoever is granted anything

DONE, NOTHING, REFUSED = 'done', 'nothing', 'refused'


def rights_class(type_code):
    """The professions that may read a type: documents with the same set share their keys."""
    return frozenset(p for p in DENIED if type_code in LISTED and type_code not in DENIED[p])


def month_later(day):
    d = datetime.date.fromordinal(day)
    first = (d.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
    return first.toordinal() + min(d.day, ((first + datetime.timedelta(days=32)).replace(day=1) - first).days) - 1


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
        self.month = None                    # the day from which the date alone announces it
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


CLASSES = {rights_class(t) for t in ALL} | {IDENTITY}

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
    def __init__(self, treating, creator, majority):
        self.treating, self.majority = treating, majority  # majority: the day, None: of age
        self.consents = {creator: ('opening', None)} if creator else {}   # name -> basis, last day
        self.representatives = {}                          # name -> ground, last day
        self.until = {}                                    # of both: name -> the day of their end
        self.blocked, self.barred = set(), set()           # people; teams that hold no key because of them
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
    """professions: name -> code ('staff': none; the authority is not among them). patients: name -> (treating doctor or None, creator or None, day
    of majority or None). teams: name -> (role, members); members: name -> whether he manages. Days are ordinals."""

    def __init__(self, professions, patients, teams, now):
        self.professions, self.now = professions, now
        self.ends = {}                                     # (team, member) -> day
        self.roles = {name: role for name, (role, _) in teams.items()}
        self.members = {name: dict(members) for name, (_, members) in teams.items()}
        self.patients = {name: Patient(*p) for name, p in patients.items()}
        self.documents = {}                                # label -> Document

    # ---- who opens what ----

    def in_matrix(self, who, cls):
        return cls == IDENTITY or self.roles.get(who, self.professions.get(who)) in cls

    def active(self, who, team):
        return who in self.members.get(team, ()) and not self.over(self.ends.get((team, who)))

    def lapsed(self, patient):
        """Whose time is over, and whose keys have not turned yet."""
        return {g for g, day in self.patients[patient].until.items() if self.over(day)}

    def granted(self, who, patient):
        """Whom the patient's consents name through whom who reads: himself, and his teams."""
        return [g for g in self.patients[patient].consents if (g == who or self.active(who, g)) and g not in self.lapsed(patient)]

    def representative(self, who, patient):
        return who in self.patients[patient].representatives and who not in self.lapsed(patient)

    def minor(self, patient):
        majority = self.patients[patient].majority
        return majority is not None and self.now < majority

    def unannounced(self, d):
        """Where it lies. What professionals can't see is never kept from the patient, unless it only waits."""
        return self.kept_from_patient(d) and d.hidden and (not d.lies or d.diverted or d.late)

    def kept_from_patient(self, d):
        return d.invisible and self.now < d.month

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
        if self.holds(who, patient, cls) or (self.representative(who, patient) and (who, cls, 'P') not in p.pending):
            return True
        return any(self.in_matrix(g, cls) and (g, cls, 'P') not in p.pending for g in self.granted(who, patient))

    def opens(self, who, d):
        """By a key of the class."""
        p = self.patients[d.patient]
        if d.circle:
            by_team = who not in p.consents and not self.full_holder(who, d.patient) and who not in p.representatives
            return (who in d.circle.given and self.reads_on(who, d.patient) and not (who in p.representatives and d.hidden)
                    and (not by_team or self.holds_visible(who, d.patient, d.cls)))
        if self.holds(who, d.patient, d.cls):
            return who in (d.patient, d.depositor) or not (d.late and d.lies and self.shaded(d))
        if self.representative(who, d.patient):
            return not d.hidden and (who, d.cls, 'M' if d.lies else 'P') not in p.pending
        return not d.lies and self.holds_visible(who, d.patient, d.cls)

    def shaded(self, d):
        """Its episode, or what it replaces, is masked from the treating doctor."""
        shades = self.patients[d.patient].shades
        return ('episode', d.episode) in shades or ('id', d.replaces) in shades

    def withheld(self, who, d):
        """From the patient, as who finds it: not announced, or late and following something that is not."""
        if self.unannounced(d) or not (d.late and d.hidden and d.depositor != d.patient):
            return self.unannounced(d)
        names = set()
        for o in self.documents.values():
            waits = o.late and o.hidden and o.depositor != o.patient and (('episode', o.episode) in names or ('id', o.replaces) in names)
            if o.patient == d.patient and (self.unannounced(o) or waits) and self.opens(who, o):
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
        return '%d%d%d' % (masked, d.wants_hiding(), self.kept_from_patient(d))

    def might_open(self, who, label, saw):
        """With keys saved: what no key says, but a date, or a key that waits for who may turn it."""
        d, free = self.documents[label], copy.deepcopy(self)
        p = free.patients[d.patient]
        free.ends, p.until, p.shades = {}, {}, set()
        waits = ('M' if d.lies else 'P') in self.due(d.patient, d.cls)
        return (saw and waits) or free.sees(who, label)

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
        return who == out or self.active(who, out)

    def hides(self, patient, out):
        """From the treating doctor of today."""
        doctor = self.patients[patient].treating
        return doctor is not None and any(self.left_out(patient, doctor, o) for o in out)

    def entitled(self, patient, k):
        p = self.patients[patient]
        people = {p.treating} | set(p.consents) | {m for t in p.consents for m in self.members.get(t, ())} - p.blocked
        readers = {who for who in people & set(self.professions) if not any(self.left_out(patient, who, o) for o in k.out)
                   and (self.holds(who, patient, k.cls) if k.masked else self.full_holder(who, patient) and self.in_matrix(who, k.cls)
                        or any(self.in_matrix(g, k.cls) for g in self.granted(who, patient) if g not in p.barred))}
        return readers | {patient} | {r for r in p.representatives if self.representative(r, patient)}

    def turn_circles(self, who, patient):
        """A change of keys gives those that who holds to whom they belong today; who is granted nothing any more keeps none."""
        if self.patients[patient].circles or self.patients[patient].keeps:   # members of teams are granted by name where there is a circle
            self.patients[patient].known |= {m for t in self.patients[patient].consents for m in self.members.get(t, ())}
        for k in self.patients[patient].circles:
            if who in k.given and who in self.entitled(patient, k):
                k.given = self.entitled(patient, k)
            k.given = {g for g in k.given if self.reads_on(g, patient)}

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

    def reads_on(self, who, patient):
        """By name, whatever his team has to wait for."""
        return (self.full_holder(who, patient) or self.representative(who, patient)
                or any(g not in self.patients[patient].barred for g in self.granted(who, patient)))

    def identified(self, who, patient):
        p = self.patients[patient]
        return (self.full_holder(who, patient) or self.representative(who, patient)
                or any((g, IDENTITY, 'P') not in p.pending for g in self.granted(who, patient)))

    # ---- what each table shows ----

    def view(self, who):
        """Rows as the six columns that every table is asked for."""
        seen = [d for label, d in self.documents.items() if self.sees(who, label)]
        rows = [('document', d.patient, d.uid, self.flags(who, d), availability(d, seen), d.title) for d in seen if d.table == 'document']
        rows += [(d.table, d.patient, self.flags(who, d)[:2], d.episode, d.title) for d in seen if d.table != 'document']
        for name, p in self.patients.items():
            if self.identified(who, name):
                rows.append(('patient', name, p.treating))
                rows += [('representative', name, r, ground, until) for r, (ground, until) in p.representatives.items()]
            if self.full_holder(who, name):
                rows += [('consent', name, g, basis, until) for g, (basis, until) in p.consents.items()]
                rows += [('blocked', name, b) for b in p.blocked]
                rows += [('mask', name, c.what, c.out) for c in self.known(who, name) if c.kind == 'episode']
        for d in seen:
            if self.handles(who, d):
                rows += [('mask', d.patient, d.label, c.out) for c in self.known(who, d.patient) if (c.kind, c.what) == ('item', d.label)]
                if d.lies and (d.meant or d.noted or not self.covered(who, d)):
                    rows.append(('mask', d.patient, d.label))
        rows += [('membership', t, m, int(manages), self.ends.get((t, m))) for t, members in self.members.items() for m, manages in members.items()
                 if self.active(m, t)]
        return [r + (None,) * (6 - len(r)) for r in rows]

    # ---- what each step does ----

    def apply(self, who, verb, args):
        """What is refused changes nothing, also not what a write does before it comes to itself."""
        tried = copy.deepcopy(self)
        done = getattr(tried, verb)(who, **args)
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

    def ready(self, team):
        """Its secret has moved since somebody's time in it ended."""
        return all(self.active(m, team) for m in self.members[team])

    def teams(self, patient):
        return [t for t in self.patients[patient].consents if t in self.roles]

    def departed(self, patient, team):
        return team in self.patients[patient].left or not self.ready(team)

    def has_blocked(self, patient, team):
        return any(self.active(b, team) for b in self.patients[patient].blocked)

    def owes(self, patient):
        """Teams for which keys turn before anything else is written."""
        return [t for t in self.teams(patient) if self.ready(t) and
                (self.departed(patient, t) or self.has_blocked(patient, t) != (t in self.patients[patient].barred))]

    def due(self, patient, cls):
        """Which keys of a class somebody may hold who should not any more."""
        due = self.patients[patient].due.get(cls, set())
        return due | ({'P'} if any(self.departed(patient, t) and self.in_matrix(t, cls) for t in self.teams(patient)) else set())

    def begin_full(self, who, patient):
        self.begin(who, patient)
        if self.owes(patient):
            self.change(who, patient, self.patients[patient].due)
        for d in self.documents.values():
            if d.patient == patient and d.announced_late() and self.holds(who, patient, d.cls):
                d.hidden = False

    def move(self, who, patient, classes=None, released=None, only=None, episode=None):
        """Items of a masked episode become masked; late and diverted ones whose reason has ended become visible, and those of an
        episode that was just unmasked; and each goes where its masks to some say."""
        p, moved, secret, noted = self.patients[patient], [], self.hidden_episodes(who, patient), False
        aims = self.aims(who, patient, released, secret)
        for d in [only] if only else self.documents.values():
            if d.patient != patient or d.pooled or not self.handles(who, d) or (classes is not None and d.cls not in classes):
                continue
            if episode and d.episode != episode and not (d.late and d.hidden):
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
                one = formers.get(d.uid, (False, False, frozenset()))      # several under one id: the strictest
                formers[d.uid] = (one[0] or lies, one[1] or hidden or (d.hidden and d.late and d.episode in secret), one[2] | out)
        return aims

    def aim(self, who, d, released, former):
        """masked, hidden, from whom: former is the same of what a late item replaces. What shows is never taken back."""
        lies, hidden, due = d.lies, d.hidden, self.due(d.patient, d.cls)
        if self.covered(who, d):
            lies = lies or not self.unannounced(d)
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
        if who != patient and who not in p.known and not any(self.active(who, t) for t in p.known_teams):
            return REFUSED
        self.begin(who, patient)
        if table == 'document' and any(d.patient == patient and d.uid == uid and self.sees(who, o) for o, d in self.documents.items()):
            return REFUSED
        known = [o for o in self.documents.values() if o.patient == patient and self.opens(who, o) and not (who == patient and self.withheld(who, o))]
        same, former = [o for o in known if episode and o.episode == episode], [o for o in known if replaces and o.uid == replaces]
        found, kept = any(not o.deleted and not o.lies and not o.circle for o in former), any(o.lies or o.circle for o in former)
        kept = kept or any(replaces and (o.patient, o.uid, o.depositor) == (patient, replaces, who) and not self.opens(who, o) for o in self.documents.values())
        hidden = hidden or any(o.hidden and o.meant_hidden for o in same + former)       # what follows a hidden item is hidden
        d = Document(table, patient, who, uid if table == 'document' else None, title, type_code, episode, masked, replaces, hidden, invisible)
        d.label, d.month = label, month_later(self.now)
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
        if full and d.late and not d.diverted and self.opens(who, d) and self.aims(who, patient, None, self.hidden_episodes(who, patient))[label][2]:
            self.move(who, patient, only=d)
        for o in self.documents.values() if hidden and episode else ():    # what came before a hidden item follows too, but for what representatives put in
            if o is not d and (o.patient, o.episode) == (patient, episode) and not o.pooled and not o.deleted and self.opens(who, o):
                o.hidden |= o.depositor in self.professions or o.depositor in self.patients
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
        if d.lies or self.unannounced(d):
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
        if not (self.unannounced(d) if self.opens(who, d) else self.kept_from_patient(d)):
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
        if (self.withheld(who, d) if opens else self.kept_from_patient(d)) or not opens or not (self.full_holder(who, d.patient) or d.depositor == who):
            return REFUSED
        d.hidden = False
        return DONE

    def consent(self, who, patient, grantee, until):
        p, team = self.patients[patient], grantee in self.roles
        if not self.full_holder(who, patient) or (grantee not in self.professions and not team) or self.over(until):
            return REFUSED
        if grantee == p.treating or (grantee in p.consents and grantee not in self.lapsed(patient)) or grantee in p.blocked:
            return REFUSED
        if team and (not self.ready(grantee) or self.has_blocked(patient, grantee)):
            return REFUSED
        self.begin_full(who, patient)
        self.change(who, patient, self.reads(patient, grantee), grantee)
        p.consents[grantee] = ('consent', until)
        p.until[grantee] = until
        (p.known_teams if team else p.known).add(grantee)
        self.turn_circles(who, patient)
        return DONE

    def withdraw(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or grantee not in p.consents:
            return NOTHING
        if grantee == p.treating:
            return REFUSED
        self.begin_full(who, patient)
        self.take_back(who, patient, grantee)
        return DONE

    def over(self, until):
        return until is not None and until <= self.now

    def names(self, who, patient):
        return who == patient or (self.minor(patient) and self.full_holder(who, patient))

    def represent(self, who, patient, representative, ground, until):
        p = self.patients[patient]
        if not self.names(who, patient) or representative in self.professions or self.representative(representative, patient) or self.over(until):
            return REFUSED
        if GROUNDS[ground] and not self.minor(patient):
            return REFUSED
        self.begin_full(who, patient)
        if GROUNDS[ground]:
            until = min(until or p.majority, p.majority)
        p.known.add(representative)
        self.change(who, patient, {cls: 'PM' for cls in CLASSES}, representative)
        p.representatives[representative] = (ground, until)
        p.until[representative] = until
        self.turn_circles(who, patient)
        return DONE

    def system(self, who, patient):
        """How many leaves of the identity class who holds, and whether he reads what others did and is told of it."""
        if who == patient:
            return 4, True
        if self.representative(who, patient):
            return 1, True
        return (2, self.full_holder(who, patient)) if self.identified(who, patient) else (0, False)

    def unrepresent(self, who, patient, representative):
        if not self.identified(who, patient) or representative not in self.patients[patient].representatives:
            return NOTHING
        if not self.names(who, patient):
            return REFUSED
        self.begin_full(who, patient)
        self.take_back(who, patient, representative)
        return DONE

    def block(self, who, patient, person):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or person not in self.professions or person in p.blocked or person == p.treating:
            return REFUSED
        self.begin_full(who, patient)
        p.blocked.add(person)
        if person in p.consents:
            self.take_back(who, patient, person)
        self.begin_full(who, patient)
        return DONE

    def unblock(self, who, patient, person):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or person not in p.blocked:
            return NOTHING
        if who != patient:
            return REFUSED
        self.begin_full(who, patient)
        p.blocked.discard(person)
        self.begin_full(who, patient)
        return DONE

    def reads(self, patient, grantee):
        """The keys that somebody is given: class -> P, M."""
        if grantee in self.patients[patient].representatives:
            return {cls: 'PM' for cls in CLASSES}
        return {cls: 'P' for cls in CLASSES if self.in_matrix(grantee, cls)}

    def take_back(self, who, patient, grantee):
        """What he held turns."""
        p, keys = self.patients[patient], self.reads(patient, grantee)
        for of in (p.consents, p.representatives, p.until):
            of.pop(grantee, None)
        p.pending = {x for x in p.pending if x[0] != grantee}
        p.barred.discard(grantee)
        p.left.discard(grantee)
        self.change(who, patient, keys, gone={grantee})

    def change(self, who, patient, want, grantee=None, gone=()):
        """These keys turn, and those of whose time is over and of the teams that somebody left. Where who lacks them they become due, and the
        grantee waits for them. What waited in a class of which nothing is due any more is where it was meant to be."""
        p, wanted = self.patients[patient], collections.defaultdict(set)
        was_due = {cls for cls in CLASSES if self.due(patient, cls)}
        over, owes = self.lapsed(patient), self.owes(patient)
        for keys in [want] + [dict(p.due)] * bool(owes) + [self.reads(patient, g) for g in list(over) + owes]:
            for cls in keys:
                wanted[cls] |= set(keys[cls])
        for g in over:
            for of in (p.consents, p.representatives, p.until):
                of.pop(g, None)
            p.barred.discard(g)
        if not any(who == patient or not k.private for k in p.circles):      # who knows of none does not keep those in who read through a team
            for k in p.circles:
                k.given -= over | set(gone)
        p.left -= set(owes) | over
        p.barred = {t for t in p.barred if t not in owes} | {t for t in owes if t in p.consents and self.has_blocked(patient, t)}
        turned = {(cls, k) for cls in wanted for k in wanted[cls] if self.holds(who, patient, cls)}
        for cls in wanted:
            p.due[cls] = (p.due.get(cls, set()) | wanted[cls]) - {k for c, k in turned if c == cls}
        p.due = {cls: keys for cls, keys in p.due.items() if keys}
        p.pending = {(g, cls, k) for g, cls, k in p.pending if (cls, k) not in turned and g not in over}
        p.pending |= {(t, cls, 'P') for t in self.teams(patient) if t in p.barred or not self.ready(t) for cls in self.reads(patient, t) if (cls, 'P') in turned}
        if grantee:
            p.pending |= {(grantee, cls, k) for cls in want for k in want[cls] if (cls, k) not in turned}
        self.turn_circles(who, patient)
        self.move(who, patient, {cls for cls in was_due if cls in wanted and not self.due(patient, cls)})

    def treating(self, who, patient, doctor):
        p = self.patients[patient]
        if not self.identified(who, patient):
            return NOTHING
        if who != patient or (doctor is not None and (self.professions.get(doctor) != 10 or doctor in self.patients[patient].blocked)):
            return REFUSED
        self.begin_full(who, patient)
        if doctor != p.treating:
            self.change(who, patient, {cls: 'PM' for cls in CLASSES for d in (p.treating, doctor) if d and self.in_matrix(d, cls)})
            p.consents.pop(p.treating, None)
            p.until.pop(p.treating, None)
            p.until.pop(doctor, None)
            p.treating = doctor
            p.known |= {doctor} - {None}
            p.doctors |= {doctor} - {None}
            self.turn_circles(who, patient)
            self.hide_choices(who, patient)
        return DONE

    def manages(self, who, team):
        return self.active(who, team) and self.members[team][who]

    def join(self, who, team, member, manager, until):
        role, profession = self.roles[team], self.professions.get(member)
        if profession is None or not self.manages(who, team) or self.over(until):
            return REFUSED
        if not all(profession in cls for cls in map(rights_class, LISTED) if role in cls):     # who reads as the role reads no more than he may
            return REFUSED
        if self.manages(member, team) and not manager and not any(self.manages(m, team) for m in self.members[team] if m != member):
            return REFUSED
        self.members[team][member] = manager
        self.ends[team, member] = until
        return DONE

    def leave(self, who, team, member):
        if not self.active(member, team):
            return NOTHING
        if not self.manages(who, team) or who == member:
            return REFUSED
        self.drop_member(team, member)
        return DONE

    def drop_member(self, team, member):
        del self.members[team][member]
        for p in self.patients.values():
            if team in p.consents:
                p.left.add(team)

    def clock(self, who, day):
        self.now = max(self.now, day)
        return DONE

    def login(self, who):
        for team, members in self.members.items():
            if self.manages(who, team):
                for member in [m for m in members if not self.active(m, team)]:
                    self.drop_member(team, member)
        for name, treated in self.patients.items():
            if treated.treating != who:
                continue
            if any(self.ready(t) for t in treated.left):
                self.begin_full(who, name)
            elif any(who in k.given and (k.given ^ self.entitled(name, k)) - set(self.lapsed(name)) for k in treated.circles):
                self.begin_full(who, name)
                self.change(who, name, treated.due)
        p = self.patients.get(who)
        if p is None:
            return DONE
        mine = [d for d in self.documents.values() if d.patient == who]
        late = any(d.pooled and d.late for d in mine)
        out = p.choices or any(d.late and (d.lies or (d.hidden and not d.wants_hiding())) for d in mine)
        moves = late or (out and copy.deepcopy(self).move(who, who))
        if moves or p.due or self.owes(who) or self.lapsed(who) or self.circles_due(who) or any(d.announced_late() for d in mine):
            self.begin_full(who, who)
            self.change(who, who, p.due)
        if moves:
            self.move(who, who)
        return DONE
