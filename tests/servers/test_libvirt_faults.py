"""Whatever goes wrong between the cloud `libvirt` and a real libvirtd, there is one good image or none."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from contract import TOKEN, made_with, template
from fakes.faulty_rpc import Fault, FaultyRpc, Message, faulty_rpc
from fault_contract import Clock, Life, assert_told
from imagefactory.builds.planner import Push
from imagefactory.clouds.libvirt import Libvirt
from imagefactory.clouds.libvirt.login import LibvirtLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from imagefactory.plugins.retry import Retry
from servers import libvirtd as server
from servers.libvirtd import POOL, Libvirtd

pytestmark = pytest.mark.integration

_MOST: Final = 160  # messages of one push


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[Libvirtd]:
    with server.running() as running:
        yield running


@pytest.fixture
def proxy(libvirtd: Libvirtd, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyRpc]:
    """What stands between the plugin and libvirtd; no test waits for the back-off."""
    front = libvirtd.folder.parent / "front"
    with faulty_rpc(libvirtd.socket, front) as line:
        clock, defaults = Clock(line.pause), Retry.__init__.__kwdefaults__
        assert defaults is not None
        for name, value in (("clock", clock), ("sleep", clock.sleep)):
            monkeypatch.setitem(defaults, name, value)
        yield line


@pytest.fixture
def login(libvirtd: Libvirtd, proxy: FaultyRpc) -> LibvirtLogin:
    uri = libvirtd.uri(proxy.front)
    text = f'{{"uri": "{uri}", "pool": "{POOL}", "network": "user"}}'
    return Libvirt(made_with(Path("/nonexistent"))).login(text, Secret(""))


@pytest.fixture
def push(tmp_path: Path, login: LibvirtLogin) -> Life:
    """The step of a build that pushes a disk of some pieces, with a hole."""
    disk = tmp_path / "small.body"
    with disk.open("wb") as file:
        file.truncate(4 << 20)
        file.write(b"\xeb\x63\x90" + os.urandom(600 << 10))
        file.seek(3 << 20)
        file.write(os.urandom(300 << 10))
    image = ProviderImage(
        id=TOKEN, name="web-server", provider="p", target="t", template=template().text
    )
    cloud = Libvirt(made_with(tmp_path))
    return Life(Push(image=image, cloud=cloud, login=login), tmp_path, disk)


def messages(proxy: FaultyRpc, push: Life) -> list[Message]:
    """What a push sends when nothing goes wrong."""
    proxy.arm(None)
    pushed = push()
    sent = list(proxy.messages)
    push.step.cloud.delete(pushed.identifier, push.step.login)
    assert 20 < len(sent) < _MOST
    assert sum(message.stream for message in sent) >= 5
    return sent


def killed_at(message: Message, proxy: FaultyRpc, push: Life) -> None:
    """A worker that dies when it has sent this message."""
    push.killed_by(lambda kill: proxy.arm(Fault.KILLED, at=message.number, kill=kill))


def expect_one(pushed: Pushed, push: Life, libvirtd: Libvirtd, message: Message) -> None:
    """There is one good image, it is this one, nothing lies beside it; then it is deleted."""
    volume = f"{pushed.identifier}.raw"
    assert libvirtd.things() == sorted([volume, f"domain {pushed.identifier}"]), message
    assert (libvirtd.folder / volume).read_bytes() == push.disk.read_bytes(), message
    assert push() == pushed, message
    assert len(libvirtd.things()) == 2, message
    push.step.cloud.delete(pushed.identifier, push.step.login)
    assert libvirtd.things() == [], message


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.RESET])
def test_a_fault_that_passes_is_outlasted(
    proxy: FaultyRpc, push: Life, libvirtd: Libvirtd, fault: Fault
) -> None:
    for message in messages(proxy, push):
        proxy.arm(fault, at=message.number)
        pushed = push()
        proxy.arm(None)
        expect_one(pushed, push, libvirtd, message)


def test_a_server_that_is_gone_leaves_one_image_or_none(
    proxy: FaultyRpc, push: Life, libvirtd: Libvirtd
) -> None:
    for message in messages(proxy, push):
        proxy.arm(Fault.DEAD, at=message.number)
        try:
            push()
        except CloudError as error:
            assert_told(error)
        proxy.arm(None)
        expect_one(push(), push, libvirtd, message)


def test_a_worker_that_dies_is_followed_by_one_that_finishes(
    proxy: FaultyRpc, push: Life, libvirtd: Libvirtd
) -> None:
    for message in messages(proxy, push)[::3]:
        killed_at(message, proxy, push)
        proxy.arm(None)
        expect_one(push(), push, libvirtd, message)


def test_what_a_dead_worker_left_is_removed_by_looking_for_it(
    proxy: FaultyRpc, push: Life, libvirtd: Libvirtd
) -> None:
    pieces = [message for message in messages(proxy, push) if message.stream]
    for message in (pieces[0], pieces[-1]):
        killed_at(message, proxy, push)
        proxy.arm(None)
        assert push.step.cloud.find(TOKEN, push.step.login) is None
        assert libvirtd.things() == []


def test_a_delete_outlasts_a_fault_at_each_of_its_messages(
    proxy: FaultyRpc, push: Life, libvirtd: Libvirtd
) -> None:
    number = made = 1
    while number <= made < _MOST:
        proxy.arm(None)
        identifier = push().identifier
        proxy.arm(Fault.RESET, at=number)
        push.step.cloud.delete(identifier, push.step.login)
        made = len(proxy.messages)
        assert libvirtd.things() == []
        number += 1
        if number > made // 2 + 1:  # what was asked again is as long as what was asked first
            break
