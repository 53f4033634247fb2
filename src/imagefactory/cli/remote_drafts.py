"""Checks and locks templates with a daemon."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from imagefactory.cli.connection import Connection
from imagefactory.cli.service import Faults
from imagefactory.core.lock import Lock

_PATIENCE: Final = 150  # seconds; the daemon itself gives up after 120
_XML: Final = {"Content-Type": "application/xml"}


@dataclass(frozen=True, kw_only=True)
class RemoteDrafts:
    """Templates as the daemon understands them."""

    connection: Connection

    def check(self, template: bytes) -> Faults:
        """What is wrong in a template; nothing when it is valid."""
        answer = self.connection.send("POST", "/templates/check", content=template, headers=_XML)
        return [(fault["line"], fault["message"]) for fault in answer.json()["template"]["faults"]]

    def lock(
        self, template: str, parameters: Mapping[str, Any], *, log: Callable[[str], None]
    ) -> Lock:
        """The exact packages that a template resolves to."""
        log("Waiting for the server")
        fields = {"template": template, "parameters": dict(parameters)}
        answer = self.connection.send("POST", "/templates/lock", json=fields, timeout=_PATIENCE)
        return Lock.loads(answer.text)
