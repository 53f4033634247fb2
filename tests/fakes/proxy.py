"""A server's address on loopback that passes bytes on, until a test lets the line break."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_PIECE: Final = 1 << 16


@dataclass
class Line:
    """What happens to the bytes that clients send, all connections together."""

    url: str
    cut_after: int | None = None  #: bytes from a client, then its connection ends
    stays_dead: bool = False  #: after the cut no other connection is taken either
    damage_at: int | None = None  #: the byte of a client's that arrives as another
    passed: int = 0
    cuts: int = 0
    open: list[socket.socket] = field(default_factory=list)

    def passes(self, data: bytes) -> bytes | None:
        """What arrives of a piece that a client sent; None is the cut."""
        start, self.passed = self.passed, self.passed + len(data)
        if self.cut_after is not None and self.passed > self.cut_after:
            self.cuts += 1
            if not self.stays_dead:
                self.cut_after = None
            return None
        if self.damage_at is not None and start <= self.damage_at < self.passed:
            position = self.damage_at - start
            damaged = bytes([data[position] ^ 0xFF])
            return data[:position] + damaged + data[position + 1 :]
        return data


@contextmanager
def line_to(url: str) -> Iterator[Line]:
    """A proxy to a server, as long as the block runs."""
    target = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(url=f"http://127.0.0.1:{listener.getsockname()[1]}")

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if line.stays_dead and line.cuts:
                client.close()
                continue
            server = socket.create_connection((target.hostname, target.port or 80))
            line.open += [client, server]
            threading.Thread(target=_forward, args=(client, server, line), daemon=True).start()
            threading.Thread(target=_return, args=(server, client), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield line
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for connection in line.open:
            _end(connection)


def _forward(client: socket.socket, server: socket.socket, line: Line) -> None:
    with suppress(OSError):
        while data := client.recv(_PIECE):
            passed = line.passes(data)
            if passed is None:
                break
            server.sendall(passed)
    _end(client)
    _end(server)


def _return(server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while data := server.recv(_PIECE):
            client.sendall(data)
    _end(client)
    _end(server)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
