"""The cloud `vsphere` against vcsim."""

import json
import tarfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import TOKEN, PushContract, made_with, template
from fakes.bootable import boot_sector, comes_up
from fakes.build import Told, a_build
from fakes.faulty import Faulty
from fault_contract import FaultContract
from imagefactory.clouds.ova import Ova, vagrant_virtualbox
from imagefactory.clouds.vsphere import VSphere, soap
from imagefactory.clouds.vsphere.inventory import Inventory
from imagefactory.clouds.vsphere.login import VSphereLogin
from imagefactory.clouds.vsphere.machine import Machine
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from servers import vsphere as server
from servers.vsphere import PASSWORD, USER, VCenter

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VCenter]:
    with server.running(tmp_path_factory.mktemp("vcsim")) as running:
        yield running


def direct(vcenter: VCenter) -> VSphereLogin:
    """A login past the proxy, to look from beside."""
    return login(vcenter)


def login(vcenter: VCenter, *, password: str = PASSWORD, **changed: Any) -> VSphereLogin:
    place = {
        "api-url": vcenter.url,
        "datastore": "LocalDS_0",
        "compute_resource": "DC0_C0",
        "network_name": "VM Network",
        "verify": False,
        **changed,
    }
    person = {"username": USER, "password": password}
    return VSphere(made_with(Path("/nonexistent"))).login(
        json.dumps(place), Secret(json.dumps(person))
    )


class TestVSphere(PushContract[VSphereLogin]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> VSphere:
        return VSphere(made_with(tmp_path))

    @pytest.fixture
    def disk(self, disk_of_noise: Path, cloud: VSphere, tmp_path: Path) -> Path:
        build = a_build(tmp_path, source=disk_of_noise)
        for step in cloud.plan_target(template(), Parameters({})):
            step.run(build)
        return build.disk

    @pytest.fixture
    def login(self, vcenter: VCenter) -> VSphereLogin:
        return login(vcenter)

    @pytest.fixture
    def refused(self, vcenter: VCenter) -> VSphereLogin:
        return login(vcenter, password="wrong")

    def things(self, login: VSphereLogin) -> Collection[str]:
        return names(login)


@pytest.mark.slow
class TestVSphereWithFaults(FaultContract[VSphereLogin]):
    stride: ClassVar[int] = 5  # a push makes some thirty requests

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> VSphere:
        return VSphere(made_with(tmp_path))

    @pytest.fixture
    def through(self, vcenter: VCenter, faulty: Faulty) -> VSphereLogin:
        self.vcenter = vcenter
        return login(vcenter, **{"api-url": faulty.front(vcenter.url)})

    def form(self, raw: Path, folder: Path) -> Path:
        build = a_build(folder, build_id="target", source=raw)
        for step in VSphere(made_with(folder)).plan_target(template(), Parameters({})):
            step.run(build)
        return build.disk

    def things(self, login: VSphereLogin) -> Collection[str]:  # noqa: ARG002
        return names(direct(self.vcenter))

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        with soap.connected(direct(self.vcenter), "look") as service:
            is_template = Inventory.of(service).is_template(pushed.identifier, service)
        return is_template and self.vcenter.uploaded() == disk.read_bytes()


def names(login: VSphereLogin) -> Collection[str]:
    """All machines and templates, and the places of their disks."""
    with soap.connected(login, "list") as service:
        view = service.content.viewManager.CreateContainerView(
            container=service.content.rootFolder,
            type=[soap.sdk().vim.VirtualMachine],
            recursive=True,
        )
        found = []
        for machine in view.view:
            with suppress(soap.Gone):  # the simulator's view keeps templates that are gone
                found.append(service.ask(lambda machine=machine: machine.name))  # type: ignore[misc]
        return found


@pytest.fixture
def disk_of_noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise"
    path.write_bytes(boot_sector() + bytes(range(253)) * 40000 + bytes(2 << 20))
    with path.open("ab") as file, Path("/dev/urandom").open("rb") as noise:
        file.write(noise.read(8 << 20))
        file.truncate(24 << 20)
    return path


def test_what_came_is_what_was_sent_and_boots(
    vcenter: VCenter, disk_of_noise: Path, tmp_path: Path
) -> None:
    cloud = VSphere(made_with(tmp_path))
    build = a_build(tmp_path, source=disk_of_noise)
    for step in cloud.plan_target(template(), Parameters({})):
        step.run(build)
    image = ProviderImage(id=TOKEN, name="web-server", provider="p", target="vsphere")
    pushed = cloud.push(image, build.disk, login(vcenter), Told())
    read_back = tmp_path / "read-back.vmdk"
    read_back.write_bytes(vcenter.uploaded())
    cloud.delete(pushed.identifier, login(vcenter))
    assert read_back.read_bytes() == build.disk.read_bytes()
    assert comes_up(read_back, tmp_path)


@pytest.mark.parametrize(
    ("make", "descriptor", "facts"),
    [
        (Ova, "desc.ovf", (2, 4096)),
        (vagrant_virtualbox, "box.ovf", (1, 512)),
    ],
)
def test_vmwares_library_takes_our_appliances_as_machines(
    vcenter: VCenter,
    disk_of_noise: Path,
    tmp_path: Path,
    make: Callable[..., Any],
    descriptor: str,
    facts: tuple[int, int],
) -> None:
    build = a_build(tmp_path, source=disk_of_noise)
    for step in make(made_with(tmp_path)).plan_target(template(), Parameters({})):
        step.run(build)
    with tarfile.open(build.disk) as archive:
        assert archive.getnames()[0] == descriptor
        archive.extractall(tmp_path, filter="data")
    [disk] = tmp_path.glob("*.vmdk")
    assert comes_up(disk, tmp_path)
    text = (tmp_path / descriptor).read_text()
    with soap.connected(login(vcenter), "take a machine") as service:
        inventory = Inventory.of(service)
        machine = Machine(name="web", token=TOKEN, annotation="", descriptor=text)
        config = inventory._spec(machine, service).configSpec
    assert (config.numCPUs, config.memoryMB) == facts
    disks = [
        change.device
        for change in config.deviceChange
        if isinstance(change.device, soap.sdk().vim.vm.device.VirtualDisk)
    ]
    assert [one.capacityInKB for one in disks] == [disk_of_noise.stat().st_size >> 10]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"datastore": "elsewhere"}, 'vSphere has no datastore "elsewhere"'),
        ({"compute_resource": "elsewhere"}, 'vSphere has no compute resource "elsewhere"'),
        ({"network_name": "elsewhere"}, 'vSphere has no network "elsewhere"'),
        ({"verify": True}, "has a certificate that is not trusted"),
    ],
)
def test_what_would_not_work_is_told_within_a_second(
    vcenter: VCenter, changed: dict[str, Any], message: str
) -> None:
    soap.sdk()  # its import takes a second or two more, once in the life of a worker
    began = time.monotonic()
    with pytest.raises(CloudError, match=message) as error:
        VSphere(made_with(Path("/nonexistent"))).check(login(vcenter, **changed))
    assert time.monotonic() - began < 1
    assert PASSWORD not in f"{error.value!r} {error.value.hint} {error.value.__cause__!r}"
