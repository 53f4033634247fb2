"""The words for a fault are found wherever libxml2 sees one, and nowhere else."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from imagefactory.core import schema
from imagefactory.core.errors import TemplateError
from imagefactory.core.markup import read
from imagefactory.core.schema.explain import explain
from imagefactory.core.schema.grammar import NAMESPACE, Grammar
from imagefactory.core.template import parse

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "templates"
DOCUMENTS: Final = [
    (GOLDEN / name).read_bytes() for name in ("full.tdl", "iso.tdl", "customize.tdl")
]
GRAMMAR: Final = etree.fromstring(schema.text())


def names(kind: str) -> list[str]:
    """All names of elements or attributes in the schema."""
    found = {node.get("name", "") for node in GRAMMAR.iter(f"{{{NAMESPACE}}}{kind}")}
    return sorted(found)


ELEMENTS: Final = st.sampled_from([*names("element"), "services", "{urn:x}name"])
ATTRIBUTES: Final = st.sampled_from([*names("attribute"), "insecure"])
TEXTS: Final = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "1",
            "raw",
            "base64",
            "url",
            "iso",
            "Yes",
            "no",
            "QQ==",
            "QQ\n",
            "x86_64",
            "20 GB",
            "1.0",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=8),
)

Mutation = Callable[[etree._Element], None]


def _rename(name: str) -> Mutation:
    return lambda element: setattr(element, "tag", name)


def _set_text(text: str) -> Mutation:
    return lambda element: setattr(element, "text", text)


def _set_attribute(name: str, value: str) -> Mutation:
    return lambda element: element.set(name, value)


def _drop_attribute(name: str) -> Mutation:
    def drop(element: etree._Element) -> None:
        element.attrib.pop(name, None)

    return drop


def _add_child(name: str, text: str) -> Mutation:
    def add(element: etree._Element) -> None:
        etree.SubElement(element, name).text = text

    return add


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _double(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.append(etree.fromstring(etree.tostring(element, with_tail=False)))


MUTATIONS: Final = st.one_of(
    st.builds(_rename, ELEMENTS),
    st.builds(_set_text, TEXTS),
    st.builds(_set_attribute, ATTRIBUTES, TEXTS),
    st.builds(_drop_attribute, ATTRIBUTES),
    st.builds(_add_child, ELEMENTS, TEXTS),
    st.sampled_from([_remove, _double]),
)
CHANGES: Final = st.lists(st.tuples(st.integers(min_value=0), MUTATIONS), max_size=4)


def mutated(document: bytes, changes: list[tuple[int, Mutation]]) -> bytes:
    """A template that a careless or hostile hand has been at."""
    root = read(document)
    for where, mutate in changes:
        elements = list(root.iter(etree.Element))
        mutate(elements[where % len(elements)])
    return etree.tostring(root, encoding="utf-8")


@settings(max_examples=400)
@given(st.sampled_from(DOCUMENTS), CHANGES)
def test_explanations_and_libxml2_agree(
    document: bytes, changes: list[tuple[int, Mutation]]
) -> None:
    root = read(mutated(document, changes))
    valid = etree.RelaxNG(GRAMMAR).validate(root)
    assert (not list(explain(root, Grammar.of(GRAMMAR)))) == valid


@settings(max_examples=300)
@given(st.sampled_from(DOCUMENTS), CHANGES)
def test_a_mutated_template_is_read_or_refused_with_lines(
    document: bytes, changes: list[tuple[int, Mutation]]
) -> None:
    text = mutated(document, changes)
    faults: Sequence[tuple[int, str]] = [(1, "none")]
    try:
        parse(text)
    except TemplateError as error:
        faults = error.faults
    lines = text.count(b"\n") + 1
    assert faults
    assert all(1 <= line <= lines and message for line, message in faults)


def patterns() -> Iterator[str]:
    """The regular expressions of the schema."""
    for parameter in GRAMMAR.iter(f"{{{NAMESPACE}}}param"):
        if parameter.get("name") == "pattern":
            yield parameter.text or ""


def test_patterns_keep_to_what_both_dialects_share() -> None:
    assert all(
        re.fullmatch(r"[A-Za-z0-9+/=\[\]{},()?|* .:@_-]*", pattern) for pattern in patterns()
    )
    assert len(list(patterns())) == 15


def test_every_element_and_attribute_is_documented_for_users() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "tdl.md").read_text()
    missing = [
        name for kind in ("element", "attribute") for name in names(kind) if f"`{name}`" not in page
    ]
    assert not missing
