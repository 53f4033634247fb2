"""A text that is never shown."""

from typing import Final

REDACTED: Final = "REDACTED"


class Secret:
    """A password or key: `reveal()` is the only way to its text, so a log, a repr or an f-string cannot leak it.

    Equal by value, and no dataclass: `asdict` of what holds one would take it apart.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __bool__(self) -> bool:
        return bool(self._text)
