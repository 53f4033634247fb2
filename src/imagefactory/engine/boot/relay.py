"""A program that QEMU starts for each connection of a guest: it carries bytes to a port of the loopback."""

import selectors
import socket
import sys
from typing import Final

_PIECE: Final = 1 << 16


def carry(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both have ended; the end of one direction is handed on."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while selector.get_map():
            for key, _ in selector.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                if data := source.recv(_PIECE):
                    key.data.sendall(data)
                    continue
                selector.unregister(source)
                key.data.shutdown(socket.SHUT_WR)


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
