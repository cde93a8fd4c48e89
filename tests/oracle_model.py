"""What every reader of a shared record must see: the rules as plain sets, without keys, files or SQL.
Written from the published rules alone; it reads nothing of the project, so that both can be wrong only separately."""

# What a profession may not read among the listed types (arrêté of 26 October 2023); any other profession reads nothing.
_PHARMACY = {'75496-0', '34842-5', '68599-0', '83901-9', '68817-6', '89601-9', 'EXPPAT_3', 'ATTEST-RESID',
             'ATTEST-HEBGT', '86531-1'}
DENIED = {10: {'ATTEST-RESID'}, 21: _PHARMACY, 39: _PHARMACY,
          40: {'80788-3', '75496-0', '83981-1', '83901-9', '68599-0'},
          60: {'75496-0', '68599-0', '83901-9', '68817-6', '89601-9'}}
COMMON = ['11488-4', '11502-2', '57833-6', 'REMB', 'SYNTH']
LISTED = sorted(set().union(*DENIED.values())) + COMMON
UNLISTED = ['DOCPAT10^1.2.250.1.213.1.1.4.12', 'X-LOCAL^1.2.3']

ALL = sorted(set(LISTED)) + UNLISTED

DONE, NOTHING, REFUSED = 'done', 'nothing', 'refused'


def rights_class(type_code):
    """The professions that may read a type: documents with the same set share their keys."""
    return frozenset(p for p in DENIED if type_code in LISTED and type_code not in DENIED[p])


def availability(d, seen):
    """Deprecated for whoever sees the replacement."""
    replaced = any(o is not d and (o.patient, o.replaces) == (d.patient, d.uid) for o in seen)
    return 'Deprecated' if replaced else 'Approved'


class Document:
    """masked and hidden (from representatives) say where it lies; meant_… what its depositor wanted."""

    def __init__(self, patient, depositor, uid, title, type_code, masked, replaces, hidden, invisible):
        self.patient, self.depositor, self.uid, self.title, self.replaces = patient, depositor, uid, title, replaces
        self.cls, self.masked, self.meant, self.meant_hidden = rights_class(type_code), masked, masked, hidden
        self.invisible = self.was_invisible = invisible      # to the patient: not announced yet
        self.hidden = hidden or invisible
        self.waited = False                  # deposited in a class that is, or was, due: out of the way until its keys change
        self.by_hand = False                 # masked by somebody who may, not by its deposit

    def wants_hiding(self):
        return self.meant_hidden or self.invisible

    def announced_late(self):
        """Announced by a depositor who could not move it to where representatives see it."""
        return self.was_invisible and not self.invisible and not self.meant_hidden and self.hidden

    def unannounced(self):
        """Where it lies. What professionals can't see is never kept from the patient, unless it only waits."""
        return self.invisible and self.hidden and (not self.masked or self.waited)


class Patient:
    def __init__(self, treating, creator, minor):
        self.treating, self.minor = treating, minor
        self.consents = {creator: 'opening'} if creator else {}
        self.representatives = {}                          # name -> ground
        self.known = {creator, treating} - {None}          # who was ever granted: they may go on depositing
        self.due = {}                                      # class -> which of its keys only the patient can change: P, M
        self.pending = set()                               # (person, class, key) that wait for the patient


class Model:
    """professions: name -> code (authority: None). patients: name -> (treating doctor or None, creator or None, minor)."""

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
        """Whether who may read what is masked from nobody and hidden from no representative in a class of this patient."""
        p = self.patients[patient]
        return self.holds(who, patient, cls) or ((who, cls, 'P') not in p.pending and (
            who in p.representatives or (who in p.consents and self.in_matrix(who, cls))))

    def opens(self, who, d):
        """By a key of the class."""
        p = self.patients[d.patient]
        if self.holds(who, d.patient, d.cls):
            return True
        if who in p.representatives:
            return not d.hidden and (who, d.cls, 'M' if d.masked else 'P') not in p.pending
        return not d.masked and self.holds_visible(who, d.patient, d.cls)

    def sees(self, who, label):
        d = self.documents.get(label)
        if d is None or (who == d.patient and d.unannounced()):
            return False
        return who == d.depositor or self.opens(who, d)

    def flags(self, who, d):
        """masked, hidden from representatives, invisible to the patient. A depositor who can't open it where it lies knows what he
        meant, and that it has left what he can open."""
        if self.opens(who, d):
            return '%d%d%d' % (d.masked, d.hidden, d.unannounced())
        masked = d.meant or (not d.waited and self.holds_visible(who, d.patient, d.cls))
        return '%d%d%d' % (masked, d.wants_hiding(), d.invisible)

    def identified(self, who, patient):
        p = self.patients[patient]
        return self.full_holder(who, patient) or who in p.consents or who in p.representatives

    # ---- what each table shows ----

    def view(self, who):
        seen = [d for label, d in self.documents.items() if self.sees(who, label)]
        documents = [(d.patient, d.uid, self.flags(who, d), availability(d, seen), d.title) for d in seen]
        known = [name for name in self.patients if self.identified(who, name)]
        full = [name for name in self.patients if self.full_holder(who, name)]
        consents = [(name, grantee, basis) for name in full for grantee, basis in self.patients[name].consents.items()]
        masks = [(d.patient, label) for label, d in self.documents.items()
                 if d.masked and self.holds(who, d.patient, d.cls) and self.sees(who, label)]
        return {'document': sorted(documents), 'patient': sorted([(n, self.patients[n].treating) for n in known], key=str),
                'consent': sorted(consents), 'mask': sorted(masks),
                'representative': sorted((n, who_, g) for n in known for who_, g in self.patients[n].representatives.items())}

    # ---- what each step does ----

    def apply(self, who, verb, *args):
        return getattr(self, verb)(who, *args)

    def deposit(self, who, label, patient, uid, title, type_code, masked, replaces, hidden, invisible):
        p = self.patients[patient]
        if (masked and invisible) or (who == patient and invisible):
            return REFUSED
        if who not in self.professions and who not in self.patients and (hidden or invisible):
            return REFUSED
        if who != patient and who not in p.known:
            return REFUSED
        if any(d.patient == patient and d.uid == uid and self.sees(who, o) for o, d in self.documents.items()):
            return REFUSED
        d = Document(patient, who, uid, title, type_code, masked, replaces, hidden, invisible)
        meant = d.masked, d.hidden
        due = p.due.get(d.cls, set())
        d.masked, d.hidden = d.masked or bool(due), d.hidden or 'M' in due
        d.waited = (d.masked, d.hidden) != meant
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
        if d is None or d.patient != patient or d.masked or not self.holds(who, d.patient, d.cls) or d.unannounced():
            return REFUSED
        self.show_announced(who, patient)
        d.masked = d.by_hand = True
        return DONE

    def unmask(self, who, label):
        d = self.documents.get(label)
        if d is None or not d.masked or not self.holds(who, d.patient, d.cls) or not self.sees(who, label):
            return NOTHING
        self.show_announced(who, d.patient)
        if d.waited and d.hidden and not d.wants_hiding():
            d.hidden = False
        d.masked = d.by_hand = False
        return DONE

    def announce(self, who, label):
        if not self.sees(who, label):
            return NOTHING
        d = self.documents[label]
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
        opens = self.opens(who, d)
        if not (d.hidden if opens else d.wants_hiding()):
            return DONE
        if (d.unannounced() if opens else d.invisible) or not opens or not (self.full_holder(who, d.patient) or d.depositor == who):
            return REFUSED
        d.hidden = False
        return DONE

    def show_announced(self, who, patient):
        """What was announced by who could not move it: the next full holder who can does."""
        for d in self.documents.values():
            if d.patient == patient and d.announced_late() and self.holds(who, patient, d.cls):
                d.hidden = False

    def consent(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or self.professions.get(grantee) is None:
            return REFUSED
        if grantee == p.treating or grantee in p.consents:
            return REFUSED
        self.show_announced(who, patient)
        p.consents[grantee] = 'consent'
        p.known.add(grantee)
        self.turn(who, patient, grantee, self.of_profession(grantee), 'P')
        return DONE

    def withdraw(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or grantee not in p.consents:
            return NOTHING
        if grantee == p.treating:
            return REFUSED
        self.show_announced(who, patient)
        del p.consents[grantee]
        self.turn(who, patient, None, self.of_profession(grantee), 'P')
        p.pending = {x for x in p.pending if x[0] != grantee}
        return DONE

    def names(self, who, patient):
        p = self.patients[patient]
        return who == patient or (p.minor and self.full_holder(who, patient))

    def represent(self, who, patient, representative):
        p = self.patients[patient]
        if not self.names(who, patient) or representative in self.professions or representative in p.representatives:
            return REFUSED
        self.show_announced(who, patient)
        p.representatives[representative] = 'parent' if p.minor else 'tuteur'
        p.known.add(representative)
        self.turn(who, patient, representative, {rights_class(t) for t in ALL}, 'PM')
        return DONE

    def unrepresent(self, who, patient, representative):
        p = self.patients[patient]
        if not self.identified(who, patient) or representative not in p.representatives:
            return NOTHING
        if not self.names(who, patient):
            return REFUSED
        self.show_announced(who, patient)
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
        self.settle(patient, mine, keys)
        for cls in classes - mine:
            p.due.setdefault(cls, set()).update(keys)
            if grantee:
                p.pending |= {(grantee, cls, k) for k in keys}

    def settle(self, patient, classes, keys):
        """New keys reach everyone who may have them; what waited in a class of which nothing is due any more is where it was meant to be."""
        p = self.patients[patient]
        p.pending = {(g, cls, k) for g, cls, k in p.pending if cls not in classes or k not in keys}
        for cls in classes & set(p.due):
            p.due[cls] -= set(keys)
            if p.due[cls]:
                continue
            del p.due[cls]
            for d in self.documents.values():
                if d.patient == patient and d.cls == cls and d.waited and d.masked and not d.by_hand:
                    d.masked, d.hidden = d.meant, d.hidden and d.wants_hiding()

    def treating(self, who, patient, doctor):
        p = self.patients[patient]
        if not self.identified(who, patient):
            return NOTHING
        if who != patient or (doctor is not None and self.professions.get(doctor) != 10):
            return REFUSED
        self.show_announced(who, patient)
        if doctor != p.treating:
            p.consents.pop(p.treating, None)
            p.treating = doctor
            p.known |= {doctor} - {None}
        return DONE

    def login(self, who):
        if who in self.patients:
            self.show_announced(who, who)
            self.settle(who, set(self.patients[who].due), 'PM')
        return DONE
