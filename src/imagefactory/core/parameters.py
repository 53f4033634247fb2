"""Build parameters: what clients send, read with the type that a plugin expects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from imagefactory.core.errors import RequestError

ChoiceT = TypeVar("ChoiceT", bound=str)

_TRUE = frozenset({"yes", "true", "1"})
_FALSE = frozenset({"no", "false", "0", ""})


@dataclass(frozen=True)
class Parameters:
    """The `parameters` of a request. Values are typed (REST, JSON) or texts (command line, forms).

    Every reader raises `RequestError` naming the key when the value has the wrong type.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set, compare=False, repr=False)  #: keys that were read

    def boolean(self, key: str, *, default: bool) -> bool:
        """`yes`, `true`, `1`, `no`, `false`, `0` in any case, or a JSON boolean or number."""
        match self._given(key):
            case None:
                return default
            case bool() | int() as value:
                return bool(value)
            case str() as text if text.lower() in _TRUE:
                return True
            case str() as text if text.lower() in _FALSE:
                return False
            case value:
                raise _wrong(key, value, "true or false")

    def text(self, key: str, *, default: str | None = None) -> str | None:
        """A text; numbers are accepted as their digits."""
        match self._given(key):
            case None:
                return default
            case bool() as value:
                raise _wrong(key, value, "a text")
            case str() | int() | float() as value:
                return str(value)
            case value:
                raise _wrong(key, value, "a text")

    def integer(self, key: str, *, default: int | None = None) -> int | None:
        """A whole number, or its digits as a text."""
        match self._given(key):
            case None:
                return default
            case bool() as value:
                raise _wrong(key, value, "a whole number")
            case int() as value:
                return value
            case str() as text if text.strip().lstrip("-").isdecimal():
                return int(text)
            case value:
                raise _wrong(key, value, "a whole number")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a text alone is a list of one, as forms and XML have it."""
        match self._given(key):
            case None | "":
                return ()
            case str() as text:
                return (text,)
            case list() | tuple() as items if all(isinstance(item, str) for item in items):
                return tuple(items)
            case value:
                raise _wrong(key, value, "a list of texts")

    def choice(self, key: str, choices: tuple[ChoiceT, ...], *, default: ChoiceT) -> ChoiceT:
        """One of `choices`."""
        text = self.text(key, default=default) or default
        for choice in choices:
            if choice == text:
                return choice
        raise _wrong(key, text, "one of " + ", ".join(f'"{choice}"' for choice in choices))

    def _given(self, key: str) -> Any:
        self.asked.add(key)
        return self.given.get(key)


def _wrong(key: str, value: object, wanted: str) -> RequestError:
    return RequestError(f'The parameter "{key}" is "{value}", which is not {wanted}')
