"""The cloud `libvirt` against a real libvirtd."""

import json
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from contract import TOKEN, PushContract, made_with, template
from fakes.build import Told, a_build
from imagefactory.clouds.libvirt import Libvirt
from imagefactory.clouds.libvirt.login import LibvirtLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.command import Tools
from servers import libvirtd as server
from servers.libvirtd import POOL, Libvirtd

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[Libvirtd]:
    with server.running() as running:
        yield running


def a_cloud() -> Libvirt:
    return Libvirt(made_with(Path("/nonexistent")))


def a_login(libvirtd: Libvirtd, **changed: Any) -> LibvirtLogin:
    place = {"uri": libvirtd.uri(), "pool": POOL, "network": "user", **changed}
    return a_cloud().login(json.dumps(place), Secret(""))


@pytest.fixture
def image() -> ProviderImage:
    text = template().text
    return ProviderImage(id=TOKEN, name="web-server", provider="p", target="t", template=text)


class TestTemplates(PushContract[LibvirtLogin]):
    @pytest.fixture(autouse=True)
    def server(self, libvirtd: Libvirtd) -> None:
        self.libvirtd = libvirtd

    @pytest.fixture(autouse=True)
    def clear(self, libvirtd: Libvirtd) -> Iterator[None]:
        yield
        login = self.login_to(libvirtd)
        a_cloud().delete(f"web-server-{TOKEN}", login)
        assert libvirtd.things() == []

    @pytest.fixture
    def cloud(self) -> Libvirt:
        return a_cloud()

    @pytest.fixture
    def login(self, libvirtd: Libvirtd) -> LibvirtLogin:
        return self.login_to(libvirtd)

    @pytest.fixture
    def refused(self, libvirtd: Libvirtd) -> LibvirtLogin:
        return a_login(libvirtd, pool="elsewhere")

    def login_to(self, libvirtd: Libvirtd) -> LibvirtLogin:
        return a_login(libvirtd)

    def things(self, login: LibvirtLogin) -> Collection[str]:  # noqa: ARG002
        return self.libvirtd.things()

    def test_what_is_read_back_is_what_was_sent(
        self,
        cloud: Libvirt,
        login: LibvirtLogin,
        image: ProviderImage,
        disk: Path,
        tmp_path: Path,
        libvirtd: Libvirtd,
    ) -> None:
        build = a_build(tmp_path, source=disk)
        for step in cloud.plan_target(template(), Parameters({})):
            step.run(build)
        pushed = cloud.push(image, build.disk, login, Told())
        [volume] = libvirtd.folder.iterdir()
        assert volume.name == f"{pushed.identifier}.qcow2"
        assert volume.read_bytes() == build.disk.read_bytes()
        with libvirtd.asked() as connection:
            known = connection.storagePoolLookupByName(POOL).storageVolLookupByName(volume.name)
            shown = etree.fromstring(known.XMLDesc(0))
        assert shown.xpath("string(target/format/@type)") == "qcow2"
        assert shown.xpath("number(capacity)") == disk.stat().st_size

    def test_holes_are_not_sent(
        self, cloud: Libvirt, login: LibvirtLogin, image: ProviderImage, libvirtd: Libvirtd
    ) -> None:
        disk = libvirtd.folder.parent / "large"
        with disk.open("wb") as file:
            file.write(os.urandom(1 << 20))
            file.truncate(64 << 30)
        try:
            began = time.monotonic()
            cloud.push(image, disk, login, Told())
            assert time.monotonic() - began < 20, "64 GiB of zeros would take minutes"
        finally:
            disk.unlink()
        [volume] = libvirtd.folder.iterdir()
        facts = volume.stat()
        assert facts.st_size == 64 << 30
        assert facts.st_blocks * 512 < 4 << 20


class TestVolumes(TestTemplates):
    def login_to(self, libvirtd: Libvirtd) -> LibvirtLogin:
        return a_login(libvirtd, mode="volume")

    def test_there_is_no_machine(
        self, cloud: Libvirt, login: LibvirtLogin, image: ProviderImage, disk: Path
    ) -> None:
        cloud.push(image, disk, login, Told())
        assert self.things(login) == [f"web-server-{TOKEN}.raw"]


def test_a_template_is_a_machine_that_is_off(
    libvirtd: Libvirtd, image: ProviderImage, tmp_path: Path
) -> None:
    login = a_login(libvirtd, memory=768, cpus=2)
    disk = tmp_path / "disk.qcow2"
    Tools().run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "8M"])
    pushed = a_cloud().push(image, disk, login, Told())
    with libvirtd.asked() as connection:
        domain = connection.lookupByUUIDString(TOKEN)
        assert (domain.name(), domain.isActive()) == (pushed.identifier, 0)
        assert domain.maxMemory() == 768 << 10
        domain.snapshotCreateXML("<domainsnapshot><name>one</name></domainsnapshot>", 0)
    a_cloud().delete(pushed.identifier, login)
    assert libvirtd.things() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pool": "elsewhere"}, 'has no storage pool "elsewhere"'),
        ({"network": "elsewhere"}, "could not show its pools|has no network"),
        ({"uri": "qemu+unix:///session?socket=/nonexistent"}, "could not show its pools"),
    ],
)
def test_what_would_not_work_is_told_at_once(
    libvirtd: Libvirtd, changed: dict[str, str], message: str
) -> None:
    began = time.monotonic()
    with pytest.raises(CloudError, match=message):
        a_cloud().check(a_login(libvirtd, **changed))
    assert time.monotonic() - began < 5


def test_what_others_have_made_is_not_deleted(libvirtd: Libvirtd) -> None:
    with pytest.raises(CloudError, match="was not made by a factory"):
        a_cloud().delete("web", a_login(libvirtd))
