"""The relay of a guest's connections."""

import socket
import threading

from imagefactory.engine.boot.relay import carry


def test_bytes_and_ends_go_both_ways() -> None:
    guest, near = socket.socketpair()
    far, service = socket.socketpair()
    with guest, near, far, service:
        thread = threading.Thread(target=carry, args=[near, far])
        thread.start()
        guest.sendall(b"a question")
        guest.shutdown(socket.SHUT_WR)
        with service.makefile("rb") as asked:
            assert asked.read() == b"a question"
        service.sendall(b"an answer" * 1000)
        service.shutdown(socket.SHUT_WR)
        with guest.makefile("rb") as answered:
            assert answered.read() == b"an answer" * 1000
        thread.join(5)
        assert not thread.is_alive()
