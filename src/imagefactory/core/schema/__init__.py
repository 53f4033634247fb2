"""Holds a document against the RelaxNG schema of TDL, `tdl.rng`."""

from importlib import resources

from lxml import etree

from imagefactory.core.schema.explain import Fault, explain
from imagefactory.core.schema.grammar import NAMESPACE, Grammar


def faults(root: etree._Element, *, start: str = "template") -> tuple[Fault, ...]:
    """All that is wrong with a document, by line; empty when it is valid.

    libxml2 decides. As it stops at the first fault and words it badly, `explain` finds the words.
    """
    schema = _schema(start)
    validator = etree.RelaxNG(schema)
    if validator.validate(root):
        return ()
    told = list(explain(root, Grammar.of(schema)))
    rough = [(entry.line, entry.message) for entry in validator.error_log]
    return tuple(sorted(told or rough, key=lambda fault: fault[0]))


def text() -> bytes:
    """The schema itself."""
    return resources.files(__name__).joinpath("tdl.rng").read_bytes()


def _schema(start: str) -> etree._Element:
    """A fresh copy for each document: it is made in 1 ms, and a validator must not be shared by threads."""
    schema = etree.fromstring(text(), etree.XMLParser(remove_comments=True))
    for reference in schema.iterfind(f"{{{NAMESPACE}}}start/{{{NAMESPACE}}}ref"):
        reference.set("name", start)
    return schema
