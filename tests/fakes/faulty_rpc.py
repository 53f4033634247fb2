"""A proxy before libvirtd's socket that lets one message of a client go wrong.

Messages begin with their length, then program, version, procedure, type, serial and status, each of four
bytes ("libvirt RPC protocol"). A keepalive is not counted: when it is sent is chance.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct(">IIIIIII")
_PROGRAM: Final = 0x20008086  #: the remote protocol
_STREAMS: Final = frozenset({3, 6})  #: types of messages: data and holes


class Fault(Enum):
    """What becomes of a message."""

    REFUSED = "nobody listens, until the client pauses"
    DEAD = "nobody listens any more"
    LOST = "the connection breaks before it is carried out"
    RESET = "carried out, and the connection breaks before the answer"
    KILLED = "carried out, and the client is killed"


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a client has sent."""

    number: int  #: from 1
    procedure: int
    stream: bool  #: whether it is a piece of an upload


class FaultyRpc:
    """Counts the messages of all connections together."""

    def __init__(self, server: Path, front: Path) -> None:
        self.front = front
        self.messages: list[Message] = []
        self._server = server
        self._lock = threading.RLock()
        self._listener: socket.socket | None = None
        self._open_ends: set[socket.socket] = set()
        self._fault: Fault | None = None
        self._at = 0
        self._kill: Callable[[], None] = lambda: None

    def arm(
        self, fault: Fault | None, *, at: int = 0, kill: Callable[[], None] | None = None
    ) -> None:
        """Count from 1 again, and let the `at`-th message from now go wrong; `kill` ends the client."""
        with self._lock:
            self.messages.clear()
            self._fault, self._at, self._kill = fault, at, kill or (lambda: None)
            self._listen()

    def pause(self) -> None:
        """What the client's clock calls when it waits: who refused connections takes them again."""
        with self._lock:
            if self._fault is not Fault.DEAD:
                self._listen()

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        with self._lock:
            if self._listener is not None:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
                self.front.unlink()
            for end in self._open_ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.front))
            self._listener.listen()
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, suppress(OSError):
            server.connect(str(self._server))
            with self._lock:
                self._open_ends |= {client, server}
            back = threading.Thread(target=self._copy, args=[server, client], daemon=True)
            back.start()
            with suppress(OSError):
                self._relay(client, server)
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join()
            with self._lock:
                self._open_ends -= {client, server}

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Pass messages on, until one goes wrong or the client has gone."""
        while head := _exactly(client, _HEADER.size):
            length, program, _version, procedure, kind, _serial, _status = _HEADER.unpack(head)
            whole = head + _exactly(client, length - _HEADER.size)
            fault = self._begin(procedure, kind) if program == _PROGRAM else None
            match fault:
                case None:
                    server.sendall(whole)
                case Fault.LOST:
                    return
                case Fault.REFUSED | Fault.DEAD:
                    self.close()
                    return
                case Fault.RESET | Fault.KILLED:
                    client.shutdown(socket.SHUT_WR)  # the answer does not come through
                    server.sendall(whole)
                    server.shutdown(socket.SHUT_WR)
                    self._kill()
                    return

    def _begin(self, procedure: int, kind: int) -> Fault | None:
        with self._lock:
            number = len(self.messages) + 1
            self.messages.append(
                Message(number=number, procedure=procedure, stream=kind in _STREAMS)
            )
            return self._fault if number == self._at else None

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def faulty_rpc(server: Path, front: Path) -> Iterator[FaultyRpc]:
    """A proxy, as long as the block runs."""
    proxy = FaultyRpc(server, front)
    proxy.arm(None)
    try:
        yield proxy
    finally:
        proxy.close()


def _exactly(source: socket.socket, length: int) -> bytes:
    """So many bytes; fewer at the end."""
    data = bytearray()
    while len(data) < length and (piece := source.recv(length - len(data))):
        data += piece
    return bytes(data)
