"""Reads XML that a stranger sent: no document type, no entities, no XInclude, no network, no depth."""

import re
from typing import Final

from lxml import etree

SPACE: Final = " \t\r\n"  #: what XML calls white space; `str.strip()` would take more
_NO_START_TAG: Final = 4  # libxml2's XML_ERR_DOCUMENT_EMPTY
_UNDECLARED_ENTITY: Final = 26  # XML_ERR_UNDECLARED_ENTITY
_NOISE: Final = re.compile(r"^xml\w+: |, line \d+, column \d+$")


class Malformed(ValueError):
    """A text is not well-formed XML, or is refused unread; `is_xml` is false if it never was XML."""

    def __init__(self, reason: str, *, line: int, is_xml: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.is_xml = is_xml


def read(document: str | bytes, *, keep_comments: bool = False) -> etree._Element:
    """The root element. Of a `str` the declared encoding is ignored. Raises `Malformed`."""
    # A lone surrogate becomes bytes that are no UTF-8, and so the parser's own complaint.
    as_utf8 = document.encode(errors="surrogatepass") if isinstance(document, str) else None
    parser = etree.XMLParser(
        encoding=None if as_utf8 is None else "utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=not keep_comments,
        remove_pis=not keep_comments,
    )
    try:
        root = etree.fromstring(document if as_utf8 is None else as_utf8, parser)
    except etree.XMLSyntaxError as error:
        raise _malformed(error) from error
    if root.getroottree().docinfo.internalDTD is not None:
        msg = 'A document type declaration ("<!DOCTYPE") is not allowed'
        raise Malformed(msg, line=1)
    return root


def strip(text: str | None) -> str:
    """A text without the white space around it."""
    return (text or "").strip(SPACE)


def collapse(text: str | None) -> str:
    """A text on one line: white space around it gone, and within it single spaces."""
    return " ".join(re.split(f"[{SPACE}]+", strip(text)))


def own_text(element: etree._Element) -> str:
    """The text directly in an element, not in its children."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def _malformed(error: etree.XMLSyntaxError) -> Malformed:
    line = error.lineno or 1
    given = error.msg or ""
    if error.code == _UNDECLARED_ENTITY or "EntityRef" in given:
        # The parser's own message quotes what follows the `&`: often the rest of a password.
        return Malformed('A bare "&" has to be written "&amp;"', line=line)
    reason = _NOISE.sub("", given) or "The document ends too early"
    return Malformed(reason, line=line, is_xml=error.code != _NO_START_TAG)
