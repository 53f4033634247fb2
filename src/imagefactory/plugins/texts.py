"""Reads the provider and credentials texts that clients send, JSON or XML, key by key.

No message of this module shows a value: it may be a password.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from lxml import etree

from imagefactory.core import markup
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The keys of a text, each read with the type that a cloud expects. All raise `RequestError`."""

    what: str  #: what messages call the text, e.g. `provider`
    given: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, text: str, *, what: str, element: str | None = None) -> Self:
        """A JSON object, or an XML element's attributes and children.

        `element` is the XML element that counts, wherever in the document it is; None is the root.
        """
        match text.strip()[:1]:
            case "{":
                return cls(what=what, given=_json(text, what))
            case "<":
                return cls(what=what, given=_xml(text, what, element))
            case "":
                msg = f"The text of the {what} is empty"
                raise RequestError(msg)
            case _:
                msg = f"The text of the {what} is neither JSON nor XML"
                raise RequestError(msg)

    def only(self, known: Collection[str]) -> Self:
        """These fields, unless one of them is unknown: a typo is better refused than ignored."""
        for key in self.given:
            if key not in known:
                msg = f'The text of the {self.what} has an unknown key "{key}"'
                raise RequestError(msg, hint="Known are " + ", ".join(sorted(known)))
        return self

    def text(self, *names: str) -> str | None:
        """The first of these that is there and not empty."""
        for name in names:
            match self.given.get(name):
                case None | "":
                    pass
                case bool():
                    raise self._wrong(name, "a text")
                case str() | int() | float() as value:
                    return str(value)
                case _:
                    raise self._wrong(name, "a text")
        return None

    def require(self, *names: str) -> str:
        """The first of these that is there and not empty; an error that names the first if none is."""
        text = self.text(*names)
        if text is None:
            msg = f'The text of the {self.what} lacks "{names[0]}"'
            raise RequestError(msg)
        return text

    def secret(self, *names: str) -> Secret | None:
        """Like `text`, never to be shown."""
        text = self.text(*names)
        return None if text is None else Secret(text)

    def integer(self, name: str, *, default: int) -> int:
        """A whole number of 0 or more, or its digits as a text."""
        try:
            number = Parameters(self.given).integer(name, default=default)
        except RequestError:
            number = -1
        if number is None or number < 0:
            raise self._wrong(name, "a whole number")
        return number

    def boolean(self, name: str, *, default: bool) -> bool:
        """A boolean, or one of the words for it."""
        try:
            return Parameters(self.given).boolean(name, default=default)
        except RequestError:
            raise self._wrong(name, "true or false") from None

    def mapping(self, name: str) -> dict[str, str]:
        """Names with texts: a JSON object, or an XML element's children."""
        given = self.given.get(name) or {}
        if not isinstance(given, Mapping):
            raise self._wrong(name, "a set of names with texts")
        fields = type(self)(what=self.what, given=given)
        return {key: fields.text(key) or "" for key in given}

    def _wrong(self, name: str, wanted: str) -> RequestError:
        return RequestError(f'The key "{name}" of the {self.what} is not {wanted}')


def _json(text: str, what: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"The text of the {what} is not valid JSON: line {error.lineno}, column {error.colno}"
        raise RequestError(msg) from None
    assert isinstance(given, dict)  # noqa: S101 - it began with a brace
    return given


def _xml(text: str, what: str, element: str | None) -> dict[str, Any]:
    try:
        root = markup.read(text.strip())
    except markup.Malformed as error:
        msg = f"The text of the {what} is not valid XML: line {error.line}"
        raise RequestError(msg) from None
    found = root if element is None else next(root.iter(element), None)
    if found is None:
        msg = f'The text of the {what} has no element "{element}"'
        raise RequestError(msg)
    children = {str(child.tag): _content(child) for child in found}
    return {**{str(key): value for key, value in found.attrib.items()}, **children}


def _content(element: etree._Element) -> str | dict[str, str]:
    """An element's text without the white space around it, or its children's."""
    if len(element):
        return {str(child.tag): markup.strip(child.text) for child in element}
    return markup.strip(element.text)
