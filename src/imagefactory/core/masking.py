"""Parameters and providers as anyone may see them: without passwords, tokens and keys."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from imagefactory.core.secret import REDACTED

# The lengths are bounded so that no text, however it is made, takes long to search.
_NAME: Final = (
    r"[\w.:-]{0,64}(?:passw(?:or)?d|passphrase|rootpw|secret|token|credential"
    r"|(?:api|access|private|shared)[_-]?key)[\w.:-]{0,64}"
)
_SECRET_NAME: Final = re.compile(_NAME, re.IGNORECASE)
_ELEMENT: Final = re.compile(
    rf"(<({_NAME})(?:\s[^<>]*)?(?<!/)>).*?(?=</\2|\Z)", re.IGNORECASE | re.DOTALL
)
_SETTING: Final = re.compile(
    rf"""(\b{_NAME}["']?\s{{0,8}}[:=]\s{{0,8}})("[^"]*"|'[^']*'|[^\s&;,<>"'}}]+)""", re.IGNORECASE
)
_USER: Final = re.compile(r"(\b\w{1,20}://[^\s/@:]{0,256}:)[^\s/@]{1,1024}(?=@)")
_KICKSTART: Final = re.compile(r"^(\s{0,80}rootpw\s).+$", re.MULTILINE)


def masked(value: Any) -> Any:
    """A JSON value, e.g. `parameters`, in which all that looks like a secret is `REDACTED`."""
    try:
        return _value(value)
    except RecursionError:
        return REDACTED  # nested too deeply to be looked through


def masked_text(text: str) -> str:
    """A text, e.g. a `provider` in JSON or XML, without the passwords, tokens and keys in it."""
    try:
        return _text(text)
    except RecursionError:
        return REDACTED


def _value(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _item(str(key), item) for key, item in value.items()}
        case list() | tuple():
            return [_value(item) for item in value]
        case str():
            return _text(value)
        case _:
            return value


def _item(key: str, item: Any) -> Any:
    if _SECRET_NAME.search(key) and item is not None and not isinstance(item, bool):
        return REDACTED
    return _value(item)


def _text(text: str) -> str:
    if text.lstrip().startswith(("{", "[")):
        try:
            content = json.loads(text)
        except ValueError:
            pass  # not JSON after all
        else:
            shown = _value(content)
            return text if shown == content else json.dumps(shown)
    text = _ELEMENT.sub(rf"\1{REDACTED}", text)
    text = _KICKSTART.sub(rf"\1{REDACTED}", text)
    text = _SETTING.sub(rf"\1{REDACTED}", text)
    return _USER.sub(rf"\1{REDACTED}", text)
