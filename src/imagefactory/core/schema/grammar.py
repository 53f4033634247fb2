"""Reads a RelaxNG schema into the forms that each of its elements may have.

Understood is what `tdl.rng` uses of RelaxNG: no recursion, no attribute after text, and choices
between elements, between values, or between whole contents.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Self

from lxml import etree

from imagefactory.core.markup import collapse

NAMESPACE: Final = "http://relaxng.org/ns/structure/1.0"
FAULT: Final = "{urn:imagefactory:explain}fault"


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a text, or the value of an attribute, must be."""

    pattern: etree._Element

    @property
    def values(self) -> list[str]:
        """The values it may have, where these can be listed."""
        return [collapse(value.text) for value in self.pattern.iter(f"{{{NAMESPACE}}}value")]

    @property
    def fault(self) -> str | None:
        """What the schema wants people to be told when it is something else."""
        told = self.pattern.get(FAULT)
        return None if told is None else str(told)

    def matches(self, text: str) -> bool:
        """Whether a text is allowed."""
        match etree.QName(self.pattern).localname:
            case "text":
                return True
            case "data":
                return self._fits(collapse(text) if self.pattern.get("type") == "token" else text)
            case _:
                return collapse(text) in self.values

    def _fits(self, value: str) -> bool:
        for parameter in self.pattern:
            wanted = parameter.text or ""
            if parameter.get("name") == "minLength" and len(value) < int(wanted):
                return False
            if parameter.get("name") == "pattern" and not re.fullmatch(wanted, value):
                return False
        return True


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A place for an attribute."""

    text: Text
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for children: any of some elements, once or more often."""

    elements: Mapping[str, etree._Element]  #: name -> declaration
    required: bool = True
    many: bool = False
    fault: str | None = None  #: what to tell people when there are too many


@dataclass(frozen=True, kw_only=True)
class Form:
    """One of the forms that an element may have."""

    attributes: Mapping[str, Attribute]
    slots: tuple[Slot, ...] = ()
    text: Text | None = None

    def __add__(self, other: "Form") -> "Form":
        return Form(
            attributes={**self.attributes, **other.attributes},
            slots=self.slots + other.slots,
            text=other.text if self.text is None else self.text,
        )

    def optional(self) -> "Form":
        """The same, where everything may be left out."""
        attributes = {
            name: replace(attribute, required=False) for name, attribute in self.attributes.items()
        }
        slots = tuple(replace(slot, required=False) for slot in self.slots)
        return replace(self, attributes=attributes, slots=slots)

    def many(self) -> "Form":
        """The same, where every child may come again."""
        return replace(self, slots=tuple(replace(slot, many=True) for slot in self.slots))


_EMPTY: Final = Form(attributes={})


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """A schema's definitions."""

    start: etree._Element
    definitions: Mapping[str, etree._Element]

    @classmethod
    def of(cls, schema: etree._Element) -> Self:
        """The grammar that a `<grammar>` element writes down."""
        definitions = {
            definition.get("name", ""): definition
            for definition in schema.iterfind(f"{{{NAMESPACE}}}define")
        }
        start = next(schema.iterfind(f"{{{NAMESPACE}}}start"))
        return cls(start=start, definitions=definitions)

    def roots(self) -> Mapping[str, etree._Element]:
        """The elements that a document may consist of: name -> declaration."""
        [slot] = self.forms(self.start)[0].slots
        return slot.elements

    def forms(self, declaration: etree._Element) -> list[Form]:
        """The forms of an element, or of whatever else has patterns as its children."""
        choices = [self._forms_of(part) for part in _patterns(declaration)]
        return [sum(choice, _EMPTY) for choice in product(*choices)]

    def _forms_of(self, pattern: etree._Element) -> list[Form]:
        repeat: dict[str, Callable[[Form], Form]] = {
            "optional": Form.optional,
            "zeroOrMore": lambda form: form.optional().many(),
            "oneOrMore": Form.many,
        }
        match etree.QName(pattern).localname:
            case "element":
                return [_one_of([pattern])]
            case "attribute":
                return [self._attribute(pattern)]
            case "ref":
                return self.forms(self.definitions[pattern.get("name", "")])
            case "choice":
                return self._choice(pattern)
            case "group" | "interleave":
                return self.forms(pattern)
            case ("optional" | "zeroOrMore" | "oneOrMore") as name:
                return [repeat[name](form) for form in self.forms(pattern)]
            case name:
                text = None if name == "empty" else Text(pattern=pattern)
                return [replace(_EMPTY, text=text)]

    def _attribute(self, pattern: etree._Element) -> Form:
        [form] = self.forms(pattern)
        assert form.text is not None  # noqa: S101 - the value of an attribute is a text
        attribute = Attribute(text=form.text)
        return replace(_EMPTY, attributes={pattern.get("name", ""): attribute})

    def _choice(self, pattern: etree._Element) -> list[Form]:
        parts = _patterns(pattern)
        match {etree.QName(part).localname for part in parts}:
            case kinds if kinds == {"value"}:
                return [replace(_EMPTY, text=Text(pattern=pattern))]
            case kinds if kinds == {"element"}:
                return [_one_of(parts, fault=pattern.get(FAULT))]
            case _:
                return [form for part in parts for form in self._forms_of(part)]


def _one_of(declarations: Sequence[etree._Element], *, fault: str | None = None) -> Form:
    elements = {declaration.get("name", ""): declaration for declaration in declarations}
    return replace(_EMPTY, slots=(Slot(elements=elements, fault=fault),))


def _patterns(element: etree._Element) -> list[etree._Element]:
    return [part for part in element if etree.QName(part).namespace == NAMESPACE]
