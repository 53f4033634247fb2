"""A machine that runs: its wires are read all the time, whatever is being waited for."""

import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from imagefactory.engine.command import Cancellation, Process

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


@dataclass(kw_only=True)
class Running:
    """Reads all wires of a QEMU process whenever it is waited for, so that no guest blocks on us."""

    process: Process
    cancellation: Cancellation
    selector: selectors.BaseSelector
    complaints: bytearray = field(
        default_factory=bytearray
    )  #: what QEMU itself said, not the guest

    @property
    def exit_status(self) -> int | None:
        """How QEMU ended; None while it runs."""
        return self.process.poll()

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
            self.cancellation.check()
            # Asked before reading: what a dead process left on its wires is read once more after it.
            ended = self.exit_status is not None
            read = self._exchange(0 if ended else _TICK)
            if (ended and not read) or time.monotonic() > ends:
                return ready()
        return found

    def complain(self, data: bytes) -> None:
        """Take what QEMU itself says."""
        self.complaints += data[: _COMPLAINTS_LIMIT - len(self.complaints)]

    def _exchange(self, seconds: float) -> bool:
        """Move what there is on all wires; False when nothing came within this time."""
        for key in list(self.selector.get_map().values()):
            if key.events != key.data.events:
                self.selector.modify(key.fileobj, key.data.events, key.data)
        read = False
        for key, events in self.selector.select(seconds):
            if events & selectors.EVENT_WRITE:
                _write(key.data)
            if events & selectors.EVENT_READ:
                read = self._read(key.data) or read
        return read

    def _read(self, wire: Wire) -> bool:
        try:
            data = os.read(wire.descriptor, _PIECE)
        except ConnectionResetError:
            data = b""
        if not data:
            self.selector.unregister(wire.descriptor)
            return False
        wire.feed(data)
        return True


@contextmanager
def running(process: Process, wires: list[Wire], cancellation: Cancellation) -> Iterator[Running]:
    """A process with its wires, and its own two outputs beside them."""
    with selectors.DefaultSelector() as selector:
        machine = Running(process=process, cancellation=cancellation, selector=selector)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                wires = [*wires, Wire(descriptor=pipe.fileno(), feed=machine.complain)]
        for wire in wires:
            selector.register(wire.descriptor, wire.events, wire)
        yield machine


def _write(wire: Wire) -> None:
    try:
        sent = os.write(wire.descriptor, wire.outgoing[:_PIECE])
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        return  # a wire that is dead is noticed by reading it
    del wire.outgoing[:sent]
