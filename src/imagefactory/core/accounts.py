"""The accounts at providers that an operator has set up, so that clients need name them only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from imagefactory.core.secret import Secret

_KEYS: Final = frozenset({"target", "provider", "credentials"})


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where images of one target go, and as whom. Neither text is shown: both may hold passwords."""

    target: str
    provider: str = field(repr=False)  #: as a client would send it
    credentials: Secret | None = None

    @classmethod
    def read(cls, value: object) -> Self:
        """An account from an object of the configuration; `ValueError` when it is none."""
        if not isinstance(value, Mapping) or not {"target", "provider"} <= set(value) <= _KEYS:
            raise ValueError
        credentials = value.get("credentials")
        return cls(
            target=_text(value["target"]),
            provider=_definition(value["provider"]),
            credentials=None if credentials is None else Secret(_definition(credentials)),
        )


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError


def _definition(value: Any) -> str:
    """A text, or the object that the text would hold."""
    return json.dumps(value) if isinstance(value, Mapping) else _text(value)
