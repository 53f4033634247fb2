"""The cloud `vsphere` against vcsim."""

import json
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contract import PushContract, made_with, template
from fakes.build import a_build
from imagefactory.clouds.vsphere import VSphere, soap
from imagefactory.clouds.vsphere.login import VSphereLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from servers import vsphere as server
from servers.vsphere import PASSWORD, USER, VCenter

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VCenter]:
    with server.running(tmp_path_factory.mktemp("vcsim")) as running:
        yield running


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
        """All machines and templates."""
        with soap.connected(login, "list") as service:
            view = service.content.viewManager.CreateContainerView(
                container=service.content.rootFolder,
                type=[soap.sdk().vim.VirtualMachine],
                recursive=True,
            )
            names = []
            for machine in view.view:
                with suppress(soap.Gone):  # the simulator's view keeps templates that are gone
                    names.append(service.ask(lambda machine=machine: machine.name))  # type: ignore[misc]
            return names


@pytest.fixture
def disk_of_noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise"
    path.write_bytes(b"\xeb\x63\x90" + bytes(range(253)) * 40000 + bytes(2 << 20))
    with path.open("ab") as file, Path("/dev/urandom").open("rb") as noise:
        file.write(noise.read(8 << 20))
        file.truncate(24 << 20)
    return path


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
