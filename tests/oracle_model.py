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

DONE, NOTHING, REFUSED = 'done', 'nothing', 'refused'


def rights_class(type_code):
    """The professions that may read a type: documents with the same set share their keys."""
    return frozenset(p for p in DENIED if type_code in LISTED and type_code not in DENIED[p])


def availability(d, seen):
    """Deprecated for whoever sees the replacement."""
    replaced = any(o is not d and (o.patient, o.replaces) == (d.patient, d.uid) for o in seen)
    return 'Deprecated' if replaced else 'Approved'


class Document:
    """A document or a line of a section. lies: masked, whatever the reason; pooled: sealed, nobody who holds its place has written since."""

    def __init__(self, table, patient, depositor, uid, title, type_code, episode, masked, replaces):
        self.table, self.patient, self.depositor, self.uid, self.title, self.replaces = table, patient, depositor, uid, title, replaces
        self.episode, self.cls = episode, rights_class(type_code)
        self.meant = self.lies = masked
        self.noted = False                   # a full holder masked it by itself
        self.late = self.diverted = False    # deposited masked: nobody knew about its episode, or its class was due
        self.pooled = False


class Patient:
    def __init__(self, treating, creator):
        self.treating = treating
        self.consents = {creator: 'opening'} if creator else {}
        self.known = {creator, treating} - {None}          # who was ever granted: they may go on depositing
        self.due = set()                                   # classes whose keys only the patient can change
        self.pending = set()                               # (professional, class) that wait for the patient
        self.episodes = set()                              # masked ones


class Model:
    """professions: name -> code (authority: None). patients: name -> (treating doctor or None, creator or None)."""

    def __init__(self, professions, patients):
        self.professions = professions
        self.patients = {name: Patient(*p) for name, p in patients.items()}
        self.documents = {}                                # label -> Document

    # ---- who opens what ----

    def in_matrix(self, who, cls):
        return self.professions.get(who) in cls

    def full_holder(self, who, patient):
        return who == patient or (who is not None and who == self.patients[patient].treating)

    def holds(self, who, patient, cls):
        """Whether who may mask, or read what is masked, in a class of this patient."""
        return who == patient or (self.full_holder(who, patient) and self.in_matrix(who, cls))

    def holds_visible(self, who, patient, cls):
        """Whether who may read what is not masked in a class of this patient."""
        p = self.patients[patient]
        return self.holds(who, patient, cls) or (
            who in p.consents and self.in_matrix(who, cls) and (who, cls) not in p.pending)

    def opens(self, who, d):
        """By a key of the class."""
        return (self.holds if d.lies else self.holds_visible)(who, d.patient, d.cls)

    def sees(self, who, label):
        d = self.documents.get(label)
        return d is not None and (who == d.depositor or self.opens(who, d))

    def shown_masked(self, who, d):
        """A depositor who can't open it where it lies knows what he meant, and that it has left what he can open."""
        if self.opens(who, d):
            return d.lies
        return d.meant or (not d.diverted and self.holds_visible(who, d.patient, d.cls))

    def covered(self, d):
        return d.episode in self.patients[d.patient].episodes

    def identified(self, who, patient):
        return self.full_holder(who, patient) or who in self.patients[patient].consents

    # ---- what each table shows ----

    def view(self, who):
        seen = [d for label, d in self.documents.items() if self.sees(who, label)]
        documents = [(d.patient, d.uid, int(self.shown_masked(who, d)), availability(d, seen), d.title) for d in seen if d.table == 'document']
        lines = [(d.patient, d.table, int(self.shown_masked(who, d)), d.episode, d.title) for d in seen if d.table != 'document']
        patients = [(name, p.treating) for name, p in self.patients.items() if self.identified(who, name)]
        full = [name for name in self.patients if self.full_holder(who, name)]
        consents = [(name, grantee, basis) for name in full for grantee, basis in self.patients[name].consents.items()]
        masks = [(d.patient, label) for label, d in self.documents.items()
                 if d.lies and self.holds(who, d.patient, d.cls) and (d.meant or d.noted or not self.covered(d))]
        masks += [(name, e) for name in full for e in self.patients[name].episodes]
        return {'document': sorted(documents), 'line': sorted(lines, key=str), 'patient': sorted(patients, key=str), 'consent': sorted(consents),
                'mask': sorted(masks)}

    # ---- what each step does ----

    def apply(self, who, verb, *args):
        """What is refused changes nothing, also not what a write does before it comes to itself."""
        tried = copy.deepcopy(self)
        done = getattr(tried, verb)(who, *args)
        if done == DONE:
            self.__dict__ = tried.__dict__
        return done

    def begin(self, who, patient):
        """A write takes in what was sealed for who writes; a full holder then says where that belongs."""
        taken = [d for d in self.documents.values() if d.patient == patient and d.pooled and d.lies and self.holds(who, patient, d.cls)]
        for d in taken:
            d.pooled = False
        if taken and self.full_holder(who, patient):
            self.move(who, patient)

    def move(self, who, patient, classes=None, released=None):
        """Items of a masked episode become masked; late and diverted ones whose reason has ended become visible, and those of an
        episode that was just unmasked."""
        p, moved = self.patients[patient], 0
        for d in self.documents.values():
            if d.patient != patient or d.pooled or not self.holds(who, patient, d.cls) or (classes is not None and d.cls not in classes):
                continue
            lies = d.lies
            if self.covered(d):
                d.lies = True
            elif d.cls not in p.due and not d.meant and not d.noted and (d.late or d.diverted or (released and d.episode == released)):
                d.lies = False
            moved += lies != d.lies
        return moved

    def deposit(self, who, label, table, patient, uid, title, type_code, episode, masked, replaces):
        p = self.patients[patient]
        if who != patient and who not in p.known:
            return REFUSED
        self.begin(who, patient)
        if table == 'document' and any(d.patient == patient and d.uid == uid and self.sees(who, o) for o, d in self.documents.items()):
            return REFUSED
        d = Document(table, patient, who, uid if table == 'document' else None, title, type_code, episode, masked, replaces)
        if episode and not masked:
            if self.full_holder(who, patient):
                d.late = episode in p.episodes
            else:
                d.late = not any(o.patient == patient and o.episode == episode and not o.lies and self.holds_visible(who, patient, o.cls)
                                 for o in self.documents.values())
        d.diverted = d.cls in p.due and not masked and not d.late
        d.lies = masked or d.late or d.diverted
        d.pooled = d.lies and (d.diverted or not self.holds(who, patient, d.cls))
        self.documents[label] = d
        return DONE

    def delete(self, who, label):
        if not self.sees(who, label):
            return NOTHING
        if self.documents[label].depositor != who:
            return REFUSED
        del self.documents[label]
        return DONE

    def mask(self, who, label, patient):
        d = self.documents.get(label)
        if d is None or d.patient != patient or not self.holds(who, d.patient, d.cls):
            return REFUSED
        self.begin(who, patient)
        if d.lies:
            return REFUSED
        d.lies = d.noted = True
        return DONE

    def unmask(self, who, label):
        d = self.documents.get(label)
        if d is None or not d.lies or not self.holds(who, d.patient, d.cls) or (self.covered(d) and not d.meant and not d.noted):
            return NOTHING
        if self.covered(d):
            return REFUSED
        self.begin(who, d.patient)
        d.lies = d.noted = False
        return DONE

    def mask_episode(self, who, patient, episode):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or episode in p.episodes:
            return REFUSED
        self.begin(who, patient)
        p.episodes.add(episode)
        self.move(who, patient)
        return DONE

    def unmask_episode(self, who, patient, episode):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or episode not in p.episodes:
            return NOTHING
        self.begin(who, patient)
        p.episodes.remove(episode)
        self.move(who, patient, released=episode)
        return DONE

    def consent(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or self.professions.get(grantee) is None:
            return REFUSED
        if grantee == p.treating or grantee in p.consents:
            return REFUSED
        self.begin(who, patient)
        p.consents[grantee] = 'consent'
        p.known.add(grantee)
        due = self.turn(who, patient, grantee)
        p.pending |= {(grantee, cls) for cls in due}
        return DONE

    def withdraw(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or grantee not in p.consents:
            return NOTHING
        if grantee == p.treating:
            return REFUSED
        self.begin(who, patient)
        del p.consents[grantee]
        self.turn(who, patient, grantee)
        p.pending = {(g, cls) for g, cls in p.pending if g != grantee}
        return DONE

    def turn(self, who, patient, grantee):
        """The keys that the grantee may have, or had, change; classes that who lacks become due and are returned."""
        classes = {rights_class(t) for t in LISTED if self.in_matrix(grantee, rights_class(t))}
        due = {cls for cls in classes if not self.holds(who, patient, cls)}
        self.settle(who, patient, classes - due)
        self.patients[patient].due |= due
        return due

    def settle(self, who, patient, classes):
        """New keys reach everyone who may have them; what waited in these classes is where it was meant to be."""
        p = self.patients[patient]
        was_due = classes & p.due
        p.due -= classes
        p.pending = {(g, cls) for g, cls in p.pending if cls not in classes}
        self.move(who, patient, was_due)

    def treating(self, who, patient, doctor):
        p = self.patients[patient]
        if not self.identified(who, patient):
            return NOTHING
        if who != patient or (doctor is not None and self.professions.get(doctor) != 10):
            return REFUSED
        self.begin(who, patient)
        if doctor != p.treating:
            p.consents.pop(p.treating, None)
            p.treating = doctor
            p.known |= {doctor} - {None}
        return DONE

    def login(self, who):
        p = self.patients.get(who)
        if p is None:
            return DONE
        late = any(d.patient == who and d.pooled and d.late for d in self.documents.values())
        moves = late or (p.episodes and copy.deepcopy(self).move(who, who))
        if moves or p.due:
            self.begin(who, who)
            self.settle(who, who, set(p.due))
        if moves:
            self.move(who, who)
        return DONE
