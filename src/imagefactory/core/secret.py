"""A text that is never shown."""

from dataclasses import dataclass
from typing import Final

REDACTED: Final = "REDACTED"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A password or key: `reveal()` is the only way to its text, so a log, a repr or an f-string cannot leak it."""

    _text: str

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __bool__(self) -> bool:
        return bool(self._text)
