"""A machine that runs: its wires are read all the time, whatever is being waited for."""

import os
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from imagefactory.engine.command import Cancellation

_TICK: Final = 0.1  # seconds between looks at the cancellation and the process
_PIECE: Final = 1 << 16
_COMPLAINTS_LIMIT: Final = 1 << 16

Found = TypeVar("Found")


@dataclass(kw_only=True)
class Wire:
    """One connection to QEMU: what comes in goes to `feed`, what goes out waits until it is taken."""

    descriptor: int
    feed: Callable[[bytes], None]
    outgoing: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes) -> None:
        """Queue bytes; they leave while the machine is waited for."""
        self.outgoing += data

    @property
    def events(self) -> int:
        """What to wait for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.outgoing else 0)


@contextmanager
def wire_pair(feed: Callable[[bytes], None]) -> Iterator[tuple[Wire, socket.socket]]:
    """A wire, and the other end of it for QEMU to inherit."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_blocking(ours.fileno(), False)
        yield Wire(descriptor=ours.fileno(), feed=feed), theirs


class Running:
    """Reads all wires of a QEMU process whenever it is waited for, so that no guest blocks on us."""

    def __init__(
        self, process: subprocess.Popen[bytes], wires: list[Wire], cancellation: Cancellation
    ) -> None:
        self._process = process
        self._cancellation = cancellation
        self._open = {wire.descriptor: wire for wire in wires}
        self.complaints = bytearray()  #: what QEMU itself said, not the guest
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                descriptor = pipe.fileno()
                self._open[descriptor] = Wire(descriptor=descriptor, feed=self._complain)

    @property
    def exit_status(self) -> int | None:
        """How QEMU ended; None while it runs."""
        return self._process.poll()

    def wait(
        self,
        ready: Callable[[], Found | None],
        *,
        seconds: float,
        hopeless: Callable[[], bool] = lambda: False,
    ) -> Found | None:
        """What `ready` finds; None when it is `hopeless`, the time is over, or QEMU has ended. `Cancelled`."""
        ends = time.monotonic() + seconds
        while (found := ready()) is None and not hopeless():
            self._cancellation.check()
            # Asked before reading: what a dead process left on its wires is read once more after it.
            ended = self.exit_status is not None
            read = self._exchange(0 if ended else _TICK)
            if (ended and not read) or time.monotonic() > ends:
                return ready()
        return found

    def _complain(self, data: bytes) -> None:
        self.complaints += data[: _COMPLAINTS_LIMIT - len(self.complaints)]

    def _exchange(self, seconds: float) -> bool:
        """Move what there is on all wires; False when nothing came within this time."""
        with selectors.DefaultSelector() as selector:
            for descriptor in self._open:
                selector.register(descriptor, self._open[descriptor].events)
            ready = selector.select(seconds)
        read = False
        for key, events in ready:
            wire = self._open[key.fd]
            if events & selectors.EVENT_WRITE:
                self._write(wire)
            if events & selectors.EVENT_READ:
                read = self._read(wire) or read
        return read

    def _read(self, wire: Wire) -> bool:
        try:
            data = os.read(wire.descriptor, _PIECE)
        except ConnectionResetError:
            data = b""
        if not data:
            del self._open[wire.descriptor]
            return False
        wire.feed(data)
        return True

    def _write(self, wire: Wire) -> None:
        try:
            sent = os.write(wire.descriptor, wire.outgoing[:_PIECE])
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return  # a wire that is dead is noticed by reading it
        del wire.outgoing[:sent]
