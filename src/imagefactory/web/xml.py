"""XML in both directions: a request's document as a mapping, a view as one well-formed document.

What an element's text means in a request, and how lists and nulls look in an answer, is what clients
of the original rely on (REST specification, 1.8).
"""

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lxml import etree

from imagefactory.core import markup
from imagefactory.core.errors import RequestError

#: Fields that are a text or a document whatever they look like: a provider may be called "1e3".
_TEXTS: Final = frozenset(
    {"template", "credentials", "target", "provider", "base_image_id", "target_image_id", "id"}
)
_CONSTANTS: Final[Mapping[str, bool | None]] = {"True": True, "False": False, "None": None}
_INTEGER: Final = re.compile(r"[+-]?(0|[1-9][0-9]{0,307})")
_FLOAT: Final = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][+-]?[0-9]+)?")
_ZEROS: Final = re.compile(r"[+-]?0[0-9]+")  # an account number, say: the zeros count
_QUOTED: Final = re.compile(r"""'([^'\\]|\\.)*'|"([^"\\]|\\.)*\"""", re.DOTALL)
_LIST: Final = "type__"  # the attribute that tells a list of one element, or of none, from a value
_ITEM: Final = "list__"
_ENTRY: Final = "entry__"  # stands where a key is no name that XML knows
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")
_FORBIDDEN: Final = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(document: bytes) -> dict[str, Any]:
    """The value of the root element under its name; `RequestError` says where the XML is wrong."""
    try:
        root = markup.read(document, keep_comments=True)
    except markup.Malformed as error:
        msg = f"The request is not XML that can be read: line {error.line}: {error.reason}"
        raise RequestError(msg) from error
    return {_word(root): _value(root, level=0)}


def root_word(document: bytes) -> str | None:
    """The name of the root element, where there is one."""
    try:
        return _word(markup.read(document))
    except markup.Malformed:
        return None


def render(view: Mapping[str, Any], *, root: str | None = None) -> bytes:
    """A view as a document with one root: an element called `root`, or that of the view's only key."""
    content: Any = view
    if root is None:
        ((root, content),) = view.items()
    element = etree.Element(root)
    _fill(element, content)
    etree.indent(element)
    return etree.tostring(element, encoding="utf-8", xml_declaration=False) + b"\n"


def _value(element: etree._Element, *, level: int) -> Any:
    name = _word(element)
    value = (
        _document(element, name) if level == 1 and name in _TEXTS else _evaluated(element, level)
    )
    if element.get(_LIST) == "list":
        return [] if value == {} else [value]
    return value


def _evaluated(element: etree._Element, level: int) -> Any:
    children = [child for child in element if isinstance(child.tag, str)]
    text = markup.strip(markup.own_text(element))
    if text and not children:
        return _scalar(text)
    fields = _attributes(element, level)
    repeated = set()
    for child in children:
        word, value = _word(child), _value(child, level=level + 1)
        if word not in fields:
            fields[word] = value
        elif word in repeated:
            fields[word].append(value)
        else:
            fields[word] = [fields[word], value]
            repeated.add(word)
    return fields


def _attributes(element: etree._Element, level: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, text in element.attrib.items():
        name = etree.QName(str(key)).localname
        if name != _LIST:
            fields[name] = str(text) if level == 0 and name in _TEXTS else _scalar(str(text))
    return fields


def _document(element: etree._Element, name: str) -> str:
    """The text of a field; a document that stands in it unescaped is written out again."""
    children = [child for child in element if isinstance(child.tag, str)]
    if not children:
        return _unquoted(markup.strip(markup.own_text(element)))
    # `<template><os>…`: the field is the document itself. `<template><template>…`: it holds one.
    if name == "template" and [_word(child) for child in children] != [name]:
        return _serialised(element)
    return "".join(map(_serialised, children))


def _serialised(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _scalar(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and not _ZEROS.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return _unquoted(text)


def _unquoted(text: str) -> str:
    if not _QUOTED.fullmatch(text):
        return text
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text  # such as a quoted text of several lines
    return value if isinstance(value, str) and _storable(value) else text


def _storable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _word(element: etree._Element) -> str:
    return etree.QName(element).localname


def _fill(element: etree._Element, value: Any) -> None:
    match value:
        case None:
            return
        case Mapping():
            _fill_object(element, value)
        case str():
            element.text = _clean(value)
        case Sequence():
            _fill_list(element, value)
        case _:
            element.text = str(value)


def _fill_object(element: etree._Element, fields: Mapping[str, Any]) -> None:
    word = str(element.tag)
    if list(fields) == [word] and isinstance(fields[word], list):
        # `target_images` is a list in an object of the same name: one element says as much.
        _fill(element, fields[word])
        return
    if not fields:
        element.text = "\n"
    for key in sorted(fields):
        if key == "_type":
            element.set("type", _clean(str(fields[key])))
            continue
        for child, value in _children(element, key, fields[key]):
            _fill(child, value)


def _children(
    element: etree._Element, key: str, value: Any
) -> Iterator[tuple[etree._Element, Any]]:
    if not isinstance(value, list) or (value and _resources(key, value)):
        yield _child(element, key), value
        return
    for item in value or [{}]:
        child = _child(element, key)
        if len(value) < 2:
            child.set(_LIST, "list")
        yield child, item


def _fill_list(element: etree._Element, items: Sequence[Any]) -> None:
    noun = str(element.tag).removesuffix("s")
    resources = _resources(str(element.tag), items)
    for item in items:
        wrapped = resources and isinstance(item, Mapping)
        child = etree.SubElement(element, noun if wrapped else _ITEM)
        _fill(child, item.get(noun, item) if wrapped else item)


def _resources(key: str, items: Sequence[Any]) -> bool:
    """Whether this is a list of the API's own things, each with a type, not a client's list."""
    noun = key.removesuffix("s")
    return key != noun and all(
        isinstance(item, Mapping) and ("_type" in item or list(item) == [noun]) for item in items
    )


def _child(element: etree._Element, key: str) -> etree._Element:
    if _NAME.fullmatch(key):
        return etree.SubElement(element, key)
    return etree.SubElement(element, _ENTRY, name=_clean(key))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
