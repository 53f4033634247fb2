"""QEMU's monitor protocol: one command out, its answer in (QEMU, docs/interop/qmp-spec)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_LIMIT: Final = 1 << 20  # bytes of one answer


@dataclass(kw_only=True)
class Monitor:
    """Makes the bytes of commands, and takes the bytes of answers; events are passed over."""

    _buffer: bytes = b""
    _answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    _count: int = 0

    def command(self, name: str, **arguments: object) -> tuple[str, bytes]:
        """The bytes of a command, and the ticket that its answer will carry.

        The first command is preceded by the one that opens the conversation.
        """
        opening = b"" if self._count else self._bytes("qmp_capabilities", {})
        return str(self._count + 1), opening + self._bytes(name, arguments)

    def _bytes(self, name: str, arguments: Mapping[str, object]) -> bytes:
        self._count += 1
        content = {"execute": name, "arguments": arguments, "id": str(self._count)}
        return json.dumps(content).encode() + b"\n"

    def feed(self, data: bytes) -> None:
        """Take what QEMU said."""
        *lines, self._buffer = (self._buffer + data)[-_LIMIT:].split(b"\n")
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            if "id" in message:
                self._answers[message["id"]] = message

    def answer(self, ticket: str) -> dict[str, Any] | None:
        """The answer to a command, once it is there: it has a `return` or an `error`."""
        return self._answers.get(ticket)
