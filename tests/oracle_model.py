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

DONE, NOTHING, REFUSED = 'done', 'nothing', 'refused'


def rights_class(type_code):
    """The professions that may read a type: documents with the same set share their keys."""
    return frozenset(p for p in DENIED if type_code in LISTED and type_code not in DENIED[p])


def availability(d, seen):
    """Deprecated for whoever sees the replacement."""
    replaced = any(o is not d and (o.patient, o.replaces) == (d.patient, d.uid) for o in seen)
    return 'Deprecated' if replaced else 'Approved'


class Document:
    def __init__(self, patient, depositor, uid, title, type_code, masked, replaces):
        self.patient, self.depositor, self.uid, self.title, self.replaces = patient, depositor, uid, title, replaces
        self.cls, self.masked, self.meant = rights_class(type_code), masked, masked
        self.waits = self.waited = False     # deposited in a class that is, or was, due: masked until its keys change


class Patient:
    def __init__(self, treating, creator):
        self.treating = treating
        self.consents = {creator: 'opening'} if creator else {}
        self.known = {creator, treating} - {None}          # who was ever granted: they may go on depositing
        self.due = set()                                   # classes whose keys only the patient can change
        self.pending = set()                               # (professional, class) that wait for the patient


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
        return (self.holds if d.masked or d.waits else self.holds_visible)(who, d.patient, d.cls)

    def sees(self, who, label):
        d = self.documents.get(label)
        return d is not None and (who == d.depositor or self.opens(who, d))

    def shown_masked(self, who, d):
        """A depositor who can't open it where it lies knows what he meant, and that it has left what he can open."""
        if self.opens(who, d):
            return d.masked or d.waits
        return d.meant or (not d.waited and self.holds_visible(who, d.patient, d.cls))

    def identified(self, who, patient):
        return self.full_holder(who, patient) or who in self.patients[patient].consents

    # ---- what each table shows ----

    def view(self, who):
        seen = [d for label, d in self.documents.items() if self.sees(who, label)]
        documents = [(d.patient, d.uid, int(self.shown_masked(who, d)), availability(d, seen), d.title) for d in seen]
        patients = [(name, p.treating) for name, p in self.patients.items() if self.identified(who, name)]
        full = [name for name in self.patients if self.full_holder(who, name)]
        consents = [(name, grantee, basis) for name in full for grantee, basis in self.patients[name].consents.items()]
        masks = [(d.patient, label) for label, d in self.documents.items()
                 if (d.masked or d.waits) and self.holds(who, d.patient, d.cls)]
        return {'document': sorted(documents), 'patient': sorted(patients, key=str), 'consent': sorted(consents),
                'mask': sorted(masks)}

    # ---- what each step does ----

    def apply(self, who, verb, *args):
        return getattr(self, verb)(who, *args)

    def deposit(self, who, label, patient, uid, title, type_code, masked, replaces):
        p = self.patients[patient]
        if who != patient and who not in p.known:
            return REFUSED
        if any(d.patient == patient and d.uid == uid and self.sees(who, o) for o, d in self.documents.items()):
            return REFUSED
        d = Document(patient, who, uid, title, type_code, masked, replaces)
        d.waits = d.waited = d.cls in p.due and not masked
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
        if d is None or d.patient != patient or d.masked or d.waits or not self.holds(who, d.patient, d.cls):
            return REFUSED
        d.masked = True
        return DONE

    def unmask(self, who, label):
        d = self.documents.get(label)
        if d is None or not (d.masked or d.waits) or not self.holds(who, d.patient, d.cls):
            return NOTHING
        d.masked = d.waits = False
        return DONE

    def consent(self, who, patient, grantee):
        p = self.patients[patient]
        if not self.full_holder(who, patient) or self.professions.get(grantee) is None:
            return REFUSED
        if grantee == p.treating or grantee in p.consents:
            return REFUSED
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
        del p.consents[grantee]
        self.turn(who, patient, grantee)
        p.pending = {(g, cls) for g, cls in p.pending if g != grantee}
        return DONE

    def turn(self, who, patient, grantee):
        """The keys that the grantee may have, or had, change; classes that who lacks become due and are returned."""
        classes = {rights_class(t) for t in LISTED if self.in_matrix(grantee, rights_class(t))}
        due = {cls for cls in classes if not self.holds(who, patient, cls)}
        self.settle(patient, classes - due)
        self.patients[patient].due |= due
        return due

    def settle(self, patient, classes):
        """New keys reach everyone who may have them; what waited in these classes is where it was meant to be."""
        p = self.patients[patient]
        p.due -= classes
        p.pending = {(g, cls) for g, cls in p.pending if cls not in classes}
        for d in self.documents.values():
            if d.patient == patient and d.cls in classes:
                d.waits = False

    def treating(self, who, patient, doctor):
        p = self.patients[patient]
        if not self.identified(who, patient):
            return NOTHING
        if who != patient or (doctor is not None and self.professions.get(doctor) != 10):
            return REFUSED
        if doctor != p.treating:
            p.consents.pop(p.treating, None)
            p.treating = doctor
            p.known |= {doctor} - {None}
        return DONE

    def login(self, who):
        if who in self.patients:
            self.settle(who, set(self.patients[who].due))
        return DONE
