"""A program that QEMU starts for each connection of a guest: it carries bytes to a port of the loopback."""

import socket
import sys
import threading
from contextlib import suppress
from typing import Final

_PIECE: Final = 1 << 16


def carry(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both have ended; the end of one direction is handed on."""
    back = threading.Thread(target=_copy, args=[other, one])
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # a connection that breaks has ended too
        while data := source.recv(_PIECE):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def main() -> int:
    """The guest is descriptor 0; the port is the only argument."""
    with socket.socket(fileno=0) as guest:
        try:
            with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as service:
                carry(guest, service)
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
