"""Templates as anyone may see them: without passwords and the licence key."""

from typing import Final

from lxml import etree

from imagefactory.core import markup
from imagefactory.core.secret import REDACTED

_SECRET: Final = frozenset({"rootpw", "key", "password"})


def redacted(text: str) -> str:
    """A template whose secrets are masked; one that cannot be read is masked as a whole if it has any.

    Works on templates that are not valid TDL too: they are kept with their FAILED image.
    """
    try:
        root = markup.read(text, keep_comments=True)
    except markup.Malformed:
        return REDACTED if any(name in text for name in _SECRET) else text
    for element in list(root.iter(etree.Element)):
        if etree.QName(element).localname in _SECRET:
            _mask(element)
    for remark in list(root.iter(etree.Comment, etree.ProcessingInstruction)):
        # A password that was tried out and commented away is a password.
        if any(name in (remark.text or "") for name in _SECRET):
            remark.text = f" {REDACTED} "
    return etree.tostring(root, encoding="unicode", with_tail=False)


def _mask(element: etree._Element) -> None:
    for child in list(element):
        element.remove(child)
    for name in list(element.attrib):
        element.set(name, REDACTED)
    element.text = REDACTED
