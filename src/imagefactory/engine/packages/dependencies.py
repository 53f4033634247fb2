"""Follows the dependencies of Debian packages within a set that is known to be complete."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from imagefactory.engine.packages.deb822 import Stanza


def provided(stanza: Stanza) -> set[str]:
    """The virtual packages that a package provides (Debian Policy 7.5)."""
    return set(relation_names(stanza.get("Provides", "")))


def closure(
    stanzas: Sequence[Stanza],
    roots: Iterable[str],
    *,
    fields: Sequence[str] = ("Pre-Depends", "Depends"),
) -> list[Stanza]:
    """The packages named by `roots`, and all in the set that they need, in the set's order.

    Versions are not compared, and of alternatives all that are there are taken: the set was solved
    before, so whatever carries a needed name is there to satisfy it.
    """
    carriers: Mapping[str, list[Stanza]] = _carriers(stanzas)
    needed: set[str] = set()
    waiting = list(roots)
    while waiting:
        for stanza in carriers[waiting.pop()]:
            if stanza["Package"] not in needed:
                needed.add(stanza["Package"])
                for field in fields:
                    waiting += relation_names(stanza.get(field, ""))
    return [stanza for stanza in stanzas if stanza["Package"] in needed]


def asked_for(stanzas: Sequence[Stanza], names: Iterable[str]) -> set[str]:
    """The packages that somebody meant by these names, which may be virtual."""
    carriers = _carriers(stanzas)
    return {stanza["Package"] for name in names for stanza in carriers[name]}


def _carriers(stanzas: Sequence[Stanza]) -> defaultdict[str, list[Stanza]]:
    """By name, the package of that name, or else those that provide it."""
    found: defaultdict[str, list[Stanza]] = defaultdict(list)
    for stanza in stanzas:
        for name in provided(stanza):
            found[name].append(stanza)
    for stanza in stanzas:
        found[stanza["Package"]] = [stanza]
    return found


def relation_names(relation: str) -> list[str]:
    """The names in a field such as `libc6 (>= 2.36), awk | mawk:any`."""
    words = relation.replace("|", ",").split(",")
    names = [word.split("(")[0].split("[")[0].split(":")[0].strip() for word in words]
    return [name for name in names if name]
