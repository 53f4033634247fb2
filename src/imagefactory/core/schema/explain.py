"""Says in plain words where a document leaves its schema."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from lxml import etree

from imagefactory.core.markup import collapse, own_text, strip
from imagefactory.core.schema.grammar import Form, Grammar, Slot, Text

Fault = tuple[int, str]  #: line, message

_LONGEST: Final = 60  # characters of a name that are shown


def explain(root: etree._Element, grammar: Grammar) -> Iterator[Fault]:
    """Everything that is wrong with a document, in no order."""
    declaration = grammar.roots().get(str(root.tag))
    if declaration is None:
        wanted = _either(f"<{name}>" for name in grammar.roots())
        yield line_of(root), f"The root element is {label(root)}, not {wanted}"
        return
    yield from _element(root, declaration, grammar)


def line_of(element: etree._Element) -> int:
    """The line on which an element begins."""
    return element.sourceline or 1


def label(element: etree._Element) -> str:
    """An element as a person finds it: `<os>`, or `<command name="update">`."""
    name = element.get("name")
    tag = _short(str(element.tag))
    return f"<{tag}>" if name is None else f'<{tag} name="{_short(collapse(name))}">'


def _element(
    element: etree._Element, declaration: etree._Element, grammar: Grammar
) -> Iterator[Fault]:
    """The faults of an element, taken for the form that it comes nearest to."""
    forms = grammar.forms(declaration)
    misfits = [sum(1 for _ in _misfits(element, form)) for form in forms]
    if min(misfits):
        yield from ((line_of(element), told) for told in _attribute_faults(element, forms))
    pairs = zip(forms, misfits, strict=True)
    nearest = (form for form, count in pairs if count == min(misfits))
    yield from min((list(_content(element, form, grammar)) for form in nearest), key=len)


def _misfits(element: etree._Element, form: Form) -> Iterator[str]:
    """The names of the attributes that keep an element from having this form."""
    for name, attribute in form.attributes.items():
        value = element.get(name)
        if attribute.required if value is None else not attribute.text.matches(value):
            yield name
    for name in map(str, element.attrib):
        if name not in form.attributes:
            yield name


def _attribute_faults(element: etree._Element, forms: Sequence[Form]) -> Iterator[str]:
    """What is wrong with an element's attributes, whichever of its forms it was meant to have."""
    allowed: dict[str, list[Text]] = {}
    for form in forms:
        for name, attribute in form.attributes.items():
            allowed.setdefault(name, []).append(attribute.text)
    for name, value in element.attrib.items():
        texts = allowed.get(str(name))
        if texts is None:
            yield _unknown("attribute", str(name), element, known=list(allowed))
        elif not any(text.matches(str(value)) for text in texts):
            yield _wrong_value(str(name), str(value), element, texts)
    for name in allowed:
        places = (form.attributes.get(name) for form in forms)
        required = all(place is not None and place.required for place in places)
        if required and name not in element.attrib:
            yield f'Missing attribute "{name}" in {label(element)}'


def _content(element: etree._Element, form: Form, grammar: Grammar) -> Iterator[Fault]:
    text = own_text(element)
    if form.text is None and strip(text):
        yield line_of(element), f"Text is not allowed in {label(element)}"
    elif form.text is not None and not form.text.matches(text):
        yield line_of(element), _mismatch(form.text, element)
    for slot in form.slots:
        yield from _children(element, slot, grammar)
    known = [name for slot in form.slots for name in slot.elements]
    for child in element:
        if str(child.tag) not in known:
            yield line_of(child), _unknown("element", str(child.tag), element, known=known)


def _children(element: etree._Element, slot: Slot, grammar: Grammar) -> Iterator[Fault]:
    children = [child for child in element if str(child.tag) in slot.elements]
    if slot.required and not children:
        wanted = _either(f"<{name}>" for name in slot.elements)
        yield line_of(element), f"Missing {wanted} in {label(element)}"
    if not slot.many:
        for child in children[1:]:
            again = f"Only one <{child.tag!s}> is allowed in {label(element)}"
            yield line_of(child), slot.fault or again
    for child in children:
        yield from _element(child, slot.elements[str(child.tag)], grammar)


def _wrong_value(name: str, value: str, element: etree._Element, texts: Sequence[Text]) -> str:
    values = dict.fromkeys(allowed for text in texts for allowed in text.values)
    if not values:
        return _mismatch(texts[0], element, attribute=name)
    return f'Attribute "{name}" of {label(element)} is "{_short(value)}", not {_quoted(values)}'


def _mismatch(text: Text, element: etree._Element, *, attribute: str = "") -> str:
    """Why a text is refused. It is shown only where a list says what it may be: others may be secret."""
    if text.fault is None:
        given = _short(collapse(own_text(element)))
        return f'{label(element)} is "{given}", not {_quoted(text.values)}'
    parent = element.getparent()
    return text.fault.format(
        element=label(element),
        parent="the document" if parent is None else label(parent),
        attribute=attribute,
        name=element.tag,
    )


def _unknown(kind: str, name: str, element: etree._Element, *, known: Sequence[str]) -> str:
    shown = "<{}>" if kind == "element" else '"{}"'
    near = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean {shown.format(near[0])}?" if near else ""
    return f"Unknown {kind} {shown.format(_short(name))} in {label(element)}{hint}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _quoted(values: Iterable[str]) -> str:
    return _either(f'"{value}"' for value in values)


def _either(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
