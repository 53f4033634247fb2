"""What a booted machine can reach, tried by the network boot program that QEMU's own card brings."""

import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from imagefactory.engine.boot.accelerator import PROGRAM, find_emulator
from imagefactory.engine.boot.console import Console
from imagefactory.engine.boot.machine import Machine, Network, Wires
from imagefactory.engine.boot.overlay import overlay
from imagefactory.engine.boot.running import running, wire_pair
from imagefactory.engine.command import Tools

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="QEMU is not installed")

FORWARDED = ("10.0.2.100", 3128)
SECONDS = 120


@dataclass(frozen=True)
class Service:
    """A server on the loopback that answers every question in the same way."""

    port: int
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[Service]:
    """A server while the test runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Service(port=listener.getsockname()[1])
        threading.Thread(target=_serve, args=[listener, found], daemon=True).start()
        yield found


def _serve(listener: socket.socket, service: Service) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb") as stream:
            service.asked.append(stream.readline().decode().split()[1])
            while stream.readline().strip():
                pass
            stream.write(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n")


def net_boot(tmp_path: Path, service: Service, url: str) -> Console:
    """Let a machine fetch this instead of booting its disk; returns when it has given up or got it."""
    disk, tools, console = tmp_path / "disk", Tools(), Console()
    disk.write_bytes(b"\0" * 4096)
    network = Network(forwards={FORWARDED: service.port})
    machine = Machine(emulator=find_emulator(tools, cache=tmp_path), network=network)
    with ExitStack() as stack:
        wire, console_end = stack.enter_context(wire_pair(console.feed))
        others = [stack.enter_context(wire_pair(lambda _: None)) for _ in range(2)]
        wires = Wires(
            disk=stack.enter_context(overlay(disk, tools=tools, scratch=tmp_path, size=None)),
            console=console_end.fileno(),
            commands=others[0][1].fileno(),
            monitor=others[1][1].fileno(),
            screen=stack.enter_context(TemporaryFile()).fileno(),
        )
        argv = [_booting(word, url) for word in machine.argv(wires)]
        process = stack.enter_context(tools.start(argv, pass_fds=wires.descriptors))
        ends = [wire, *(end for end, _ in others)]
        guest = stack.enter_context(running(process, ends, tools.cancellation))
        done = console.watch(re.compile(r"No more network devices|bytes \[|No bootable device"))
        assert guest.wait(lambda: done.seen or None, seconds=SECONDS), console.tail
    return console


def _booting(word: str, url: str) -> str:
    if word.startswith("virtio-blk-pci"):
        return word.removesuffix(",bootindex=1")
    if word.startswith("virtio-net-pci"):
        return word.replace("romfile=", "bootindex=1")
    return f"{word},bootfile={url}" if word.startswith("user,id=net") else word


def test_what_is_forwarded_is_reached(tmp_path: Path, service: Service) -> None:
    console = net_boot(tmp_path, service, "http://10.0.2.100:3128/file")
    assert service.asked == ["/file"], console.tail


def test_the_rest_of_the_loopback_is_not(tmp_path: Path, service: Service) -> None:
    console = net_boot(tmp_path, service, f"http://10.0.2.2:{service.port}/file")
    assert any("10.0.2.2" in line and "/file" in line for line in console.tail)
    assert service.asked == []
