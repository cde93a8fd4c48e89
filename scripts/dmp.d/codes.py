"""codes.py: the nomenclatures that the record knows, to be chosen from and shown.
Owns: where schema/*.tsv stand, beside this program or installed. Never: a rule, a record."""
import functools, os

import asking
from asking import Refused

HERE = os.path.dirname(os.path.realpath(__file__))     # PREFIX/lib/dmp/dmp.d, or scripts/dmp.d
FOLDERS = os.path.join(HERE, '..', '..', 'schema'), os.path.join(HERE, '..', '..', '..', 'share', 'dmp', 'schema')


def path_of(name):
    for folder in FOLDERS:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.realpath(os.path.join(folder, name))
    raise Refused('%s manque : lancez make install.' % name)


@functools.lru_cache(maxsize=None)
def listed(name):
    """[(code, what it means)] of one table."""
    with open(path_of(name), encoding='utf-8') as f:
        rows = [line.rstrip('\n').split('\t') for line in f if line.strip() and not line.startswith('#')]
    at = rows[0].index('display')
    return [(row[0], row[at]) for row in rows[1:]]


def professions():
    return listed('profession.tsv')


def profession_name(code):
    return dict(professions()).get(code, code) if code else code


def choose_listed(what, usual, name, given=None):
    """A code of the table name: the one given on the command line, or chosen; usual: those that are shown first."""
    def check(code):
        if code in dict(listed(name)) or '^' in code and name == 'type_code.tsv':
            return code
        raise Refused('« %s » n’est pas un code de cette liste (%s).' % (code, path_of(name)))
    return check(given) if given else asking.asked.person.code(what, usual, listed(name), check)
