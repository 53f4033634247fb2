"""The cloud `rhevm` against a real ovirt-imageio, and a fake of oVirt's engine, for which there is no server."""

import json
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import TOKEN, PushContract, made_with, template
from fakes.bootable import boot_sector, comes_up
from fakes.build import Told, a_build
from fakes.faulty import Fault, Faulty, faulty_line
from fakes.ovirt import PASSWORD, USER, FakeEngine, engine
from fault_contract import Clock, FaultContract, Life
from imagefactory.builds.planner import Push
from imagefactory.clouds.rhevm import Rhevm
from imagefactory.clouds.rhevm.login import RhevmLogin
from imagefactory.clouds.rhevm.transfer import _Ticket
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from imagefactory.plugins.retry import Retry
from servers.imageio import ImageIO

pytestmark = pytest.mark.integration


@dataclass(frozen=True, kw_only=True)
class Place:
    """A data center without a disk."""

    engine: FakeEngine

    def login(
        self, *, url: str | None = None, password: str = PASSWORD, **provider: Any
    ) -> RhevmLogin:
        """A login; `url` is the address of a proxy."""
        place = {
            "api-url": url or self.engine.url,
            "storage_domain": "data",
            "ca_certificate": self.engine.imageio.authority,
            **provider,
        }
        person = {"username": USER, "password": password}
        return cloud().login(json.dumps(place), Secret(json.dumps(person)))


def cloud() -> Rhevm:
    return Rhevm(made_with(Path("/nonexistent")))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for what the engine is at."""
    clock, defaults = Clock(lambda: None), Retry.__init__.__kwdefaults__
    assert defaults is not None
    for name, value in (("clock", clock), ("sleep", clock.sleep)):
        monkeypatch.setitem(defaults, name, value)


@pytest.fixture
def place(imageio: ImageIO, tmp_path: Path) -> Iterator[Place]:
    disks = tmp_path / "disks"
    disks.mkdir()
    with engine(disks, imageio) as fake:
        yield Place(engine=fake)


def target_image(raw: Path, folder: Path, form: str) -> Path:
    """A target image, made by the plan of the plugin itself."""
    build = a_build(folder, build_id="target", source=raw)
    for step in cloud().plan_target(template(), Parameters({"rhevm_image_format": form})):
        step.run(build)
    return build.disk


class TestRhevm(PushContract[RhevmLogin]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Rhevm:
        return Rhevm(made_with(tmp_path))

    @pytest.fixture
    def login(self, place: Place) -> RhevmLogin:
        self.place = place
        return place.login()

    @pytest.fixture
    def refused(self, place: Place) -> RhevmLogin:
        return place.login(password="wrong")

    def things(self, login: RhevmLogin) -> Collection[str]:  # noqa: ARG002
        return self.place.engine.names()


@pytest.mark.slow
class TestRhevmWithFaults(FaultContract[RhevmLogin]):
    stride: ClassVar[int] = 4

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Rhevm:
        return Rhevm(made_with(tmp_path))

    @pytest.fixture
    def through(self, place: Place, faulty: Faulty) -> RhevmLogin:
        self.place = place
        place.engine.imageio_url = faulty.front(place.engine.imageio.url)
        return place.login(url=faulty.front(place.engine.url))

    def things(self, login: RhevmLogin) -> Collection[str]:  # noqa: ARG002
        return self.place.engine.names()

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        return self.place.engine.read(pushed.identifier) == disk.read_bytes()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw"
    with path.open("wb") as file:
        file.truncate(20 << 20)
        file.write(boot_sector())
        file.seek(9 << 20)
        file.write(os.urandom(5 << 20))
    return path


@pytest.fixture
def image() -> ProviderImage:
    return ProviderImage(
        id=TOKEN, name="web-server", provider="p", target="rhevm", template=template().text
    )


@pytest.mark.parametrize("domain", ["other", "san"])
@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_the_template_holds_what_was_made(
    place: Place, image: ProviderImage, raw: Path, tmp_path: Path, form: str, domain: str
) -> None:
    disk = target_image(raw, tmp_path, form)
    pushed = cloud().push(image, disk, place.login(storage_domain=domain), Told())
    [made] = place.engine.things["templates"].values()
    assert pushed == Pushed(identifier=made["id"], account=USER)
    assert place.engine.names() == [
        f"disks: factory-image-{TOKEN}",
        f"templates: factory-image-{TOKEN}",
    ]
    read_back = tmp_path / "read-back"
    read_back.write_bytes(place.engine.read(made["id"])[: disk.stat().st_size])
    assert read_back.read_bytes() == disk.read_bytes()
    if domain == "other":
        assert comes_up(read_back, tmp_path)
    assert not place.engine.sessions
    [stored] = place.engine.things["disks"].values()
    assert stored["format"] == {"raw": "raw", "qcow2": "cow"}[form]
    assert stored["provisioned_size"] == 20 << 20
    assert stored["storage_domains"] == {"storage_domain": [{"id": f"sd-{domain}"}]}
    assert made["_nic"]["vnic_profile"] == {"id": "profile-1"}


def test_the_originals_provider_leads_to_the_master_domain(
    place: Place, image: ProviderImage, raw: Path
) -> None:
    provider = {
        "api-url": f"{place.engine.url}/api",
        "username": USER,
        "password": PASSWORD,
        "nfs-path": "/home/rhev/export",
        "nfs-dir": "/mnt/rhevm",
        "nfs-host": "nfs.example.com",
        "cluster": "_any_",
        "timeout": 1800,
        "ca_certificate": place.engine.imageio.authority,
    }
    login = cloud().login(json.dumps(provider), Secret(""))
    cloud().check(login)
    cloud().push(image, raw, login, Told())
    [stored] = place.engine.things["disks"].values()
    assert stored["storage_domains"] == {"storage_domain": [{"id": "sd-data"}]}


def test_a_host_out_of_reach_is_passed_by_through_the_engines_proxy(
    place: Place, image: ProviderImage, raw: Path
) -> None:
    place.engine.reached = False
    pushed = cloud().push(image, raw, place.login(), Told())
    assert place.engine.read(pushed.identifier) == raw.read_bytes()


def test_a_host_that_shows_another_certificate_is_not_sent_a_byte(
    place: Place, image: ProviderImage, raw: Path
) -> None:
    login = cloud().login(
        json.dumps({"api-url": place.engine.url, "storage_domain": "data"}),
        Secret(json.dumps({"username": USER, "password": PASSWORD})),
    )
    with pytest.raises(CloudError, match="has a certificate that is not trusted"):
        cloud().push(image, raw, login, Told())
    assert place.engine.names() == []


def test_a_push_goes_on_where_a_killed_one_ended(place: Place, tmp_path: Path) -> None:
    disk = tmp_path / "long"
    with disk.open("wb") as file:
        for number in range(6):
            file.seek(number * 12 << 20)
            file.write(os.urandom(7 << 20))
        file.truncate(80 << 20)
    image = ProviderImage(
        id=TOKEN, name="web-server", provider="p", target="rhevm", template=template().text
    )
    with faulty_line() as line:
        place.engine.imageio_url = line.front(place.engine.imageio.url)
        life = Life(Push(image=image, cloud=cloud(), login=place.login()), tmp_path, disk)
        life.killed_by(lambda kill: line.arm(Fault.KILLED_SENDING, at=10, kill=kill))
        assert line.calls[-1].method == "PUT", "the fifth piece"
        [transfer] = place.engine.things["imagetransfers"].values()
        transfer["phase"] = "paused_system"  # as the engine does after some minutes
        line.arm(None)
        pushed = life()
        sent = sum(call.length for call in line.calls if call.method == "PUT")
    assert 2 * 7 << 20 <= sent <= 4 * 7 << 20
    assert place.engine.read(pushed.identifier) == disk.read_bytes()
    assert len(place.engine.names()) == 2


def test_what_lay_on_a_device_before_is_noticed_where_zeros_should_be(
    place: Place, image: ProviderImage, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Ticket, "_zero", lambda *_words: None)
    with pytest.raises(CloudError, match="did not store the disk as it was sent"):
        cloud().push(image, raw, place.login(storage_domain="san"), Told())
    assert place.engine.names() == []


def test_parameters_size_the_machine(place: Place, raw: Path) -> None:
    given = {"ovf_memory_mb": "2048", "ovf_cpu_count": 2}
    asked = ProviderImage(id=TOKEN, provider="p", target="rhevm", parameters=given)
    login = place.login(cluster="Second", network_name="storage")
    cloud().push(asked, raw, login, Told())
    [made] = place.engine.things["templates"].values()
    assert made["memory"] == 2 << 30
    assert "vnic_profile" not in made["_nic"]


def test_a_template_that_comes_to_nothing_leaves_nothing(
    place: Place, image: ProviderImage, raw: Path
) -> None:
    place.engine.fail_next = True
    with pytest.raises(
        CloudError, match=r'could not make the template ".*"; its status is illegal'
    ):
        cloud().push(image, raw, place.login(), Told())
    assert place.engine.names() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"password": "wrong-secret"}, "refused to show .*: 400 Cannot authenticate user"),
        ({"storage_domain": "elsewhere"}, 'The oVirt engine has no storage domain "elsewhere"'),
        ({"storage_domain": "full"}, 'The storage domain "full" is full'),
        ({"storage_domain": "asleep"}, 'The storage domain "asleep" is not active'),
        ({"storage_domain": "loose"}, 'The storage domain "loose" belongs to no data center'),
        ({"cluster": "elsewhere"}, 'The oVirt engine has no cluster "elsewhere" there'),
        ({"network_name": "elsewhere"}, 'The oVirt engine has no network "elsewhere" there'),
    ],
)
def test_what_would_not_work_is_told_within_a_second(
    place: Place, changed: dict[str, Any], message: str
) -> None:
    login = place.login(**changed)
    began = time.monotonic()
    with pytest.raises(CloudError, match=message) as error:
        cloud().check(login)
    assert time.monotonic() - began < 1
    told = f"{error.value!r} {error.value.hint} {error.value.__cause__!r}"
    assert PASSWORD not in told
    assert "wrong-secret" not in told


def test_only_what_a_factory_made_is_deleted(place: Place) -> None:
    theirs = {"id": "1", "name": "theirs", "status": "ok"}
    place.engine.things["templates"]["1"] = theirs
    with pytest.raises(CloudError, match="was not made by a factory"):
        cloud().delete("1", place.login())
