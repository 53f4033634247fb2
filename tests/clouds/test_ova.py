"""OVAs and boxes: what parameters ask for, and files in a folder with the catalogue for Vagrant."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import TOKEN, CloudContract, PushContract, made_with, template
from fakes.build import Told
from imagefactory.clouds.ova import (
    Ova,
    Vagrant,
    vagrant_libvirt,
    vagrant_virtualbox,
    vagrant_vmware,
)
from imagefactory.clouds.ova.packings import ALL, PACKINGS
from imagefactory.clouds.ova.shelf import ShelfLogin
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats import pack
from imagefactory.engine.formats.pack import Layout, Pack
from imagefactory.engine.plan import Plan

NOTHING = Secret("")


class ShelfContract(CloudContract[ShelfLogin], PushContract[ShelfLogin]):
    """What all that lie in a folder share."""

    provider: ClassVar[str] = "local"
    credentials: ClassVar[str] = "whatever"
    needs_credentials: ClassVar[bool] = False
    reads_credentials: ClassVar[bool] = False

    @pytest.fixture
    def cloud(self, plugin: Any) -> Any:
        return plugin

    @pytest.fixture
    def login(self, cloud: Ova | Vagrant) -> ShelfLogin:
        return cloud.login("local", NOTHING)

    @pytest.fixture
    def refused(self, tmp_path: Path) -> ShelfLogin:
        (tmp_path / "file").touch()
        plugin = Ova(made_with(tmp_path, local_folders={"broken": str(tmp_path / "file")}))
        return plugin.login("broken", NOTHING)

    def things(self, login: ShelfLogin) -> Collection[str]:
        folder = login.folder.path
        if not folder.exists():
            return []
        return [path.name for path in folder.iterdir() if path.name != ".catalogue.lock"]


class TestOva(ShelfContract):
    wrong_parameters: ClassVar[Mapping[str, object]] = {
        "ova_format": "ovf",
        "ovf_cpu_count": "two",
        "ovf_memory_mb": -1,
        "vsphere_scsi_controller_type": "ide",
        "vsphere_network_controller_type": "virtio",
        "vsphere_cdrom": "perhaps",
        "vsphere_product_name": "two\nlines",
    }

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Ova(made_with(tmp_path))


class TestVagrant(ShelfContract):
    wrong_parameters: ClassVar[Mapping[str, object]] = {"ovf_name": "../disk", "ovf_cpu_count": []}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return vagrant_virtualbox(made_with(tmp_path))


def layout(plan: Plan) -> Layout:
    [step] = plan
    assert isinstance(step, Pack)
    return step.layout


@pytest.mark.parametrize("source", [*PACKINGS, None])
def test_what_an_image_may_become(tmp_path: Path, source: str | None) -> None:
    ova = Ova(made_with(tmp_path))
    kinds = {
        "rhevm": pack.RhevOva,
        "vagrant-libvirt": pack.LibvirtBox,
        "vsphere": pack.VSphereOva,
        "vagrant-virtualbox": pack.VirtualBoxBox,
        "vagrant-vmware-fusion": pack.VMwareBox,
        "hyperv": pack.HyperVBox,
        "hyperv-vagrant": pack.HyperVBox,
    }
    names = ALL if source is None else PACKINGS[source]
    for number, name in enumerate(names):
        key = "ova_format" if source is None else f"{source}_ova_format"
        for parameters in [Parameters({key: name})] + ([Parameters({})] if number == 0 else []):
            plan = (
                ova.plan_target(template(), parameters)
                if source is None
                else ova.plan_packing(source, template(), parameters)
            )
            assert isinstance(layout(plan), kinds[name])


def test_an_image_of_another_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match='target "ec2" cannot be packed as an OVA') as error:
        Ova(made_with(tmp_path)).plan_packing("ec2", template(), Parameters({}))
    assert '"hyperv", "rhevm", "vsphere"' in str(error.value.hint)


def test_the_originals_defaults_and_parameters(tmp_path: Path) -> None:
    ova = Ova(made_with(tmp_path))
    machine = layout(ova.plan_target(template(name="RHEL-6"), Parameters({})))
    assert isinstance(machine, pack.VSphereOva)
    facts = machine.machine
    assert (facts.cpus, facts.memory, facts.hardware) == (2, 4096, "vmx-07 vmx-08")
    assert (facts.product, facts.vendor, facts.version) == ("Product Name", "Vendor Name", "1.0")
    assert (facts.system.id, facts.system.guest) == (80, "rhel6_64Guest")
    asked = {
        "ovf_name": "web",
        "ovf_cpu_count": "4",
        "ovf_memory_mb": "1024",
        "vsphere_nested_virt": "true",
        "vsphere_cdrom": "yes",
        "vsphere_network_controller_type": "VmxNet3",
        "vsphere_os_type": "debian10_64Guest",
    }
    given = layout(ova.plan_target(template(), Parameters(asked)))
    assert isinstance(given, pack.VSphereOva)
    facts = given.machine
    assert (facts.name, facts.cpus, facts.memory) == ("web", 4, 1024)
    assert (facts.nested, facts.cdrom, facts.network) == (True, True, "VmxNet3")
    assert facts.system.guest == "debian10_64Guest"
    fusion = Parameters({"ova_format": "vagrant-vmware-fusion", "ovf_name": "my box"})
    box = layout(ova.plan_target(template(), fusion))
    assert isinstance(box, pack.VMwareBox)
    assert (box.name, box.cpus, box.memory, box.nested) == ("my_box", 1, 1024, False)


def test_boxes_have_vagrants_user_and_a_kernel_that_runs_there(tmp_path: Path) -> None:
    config = made_with(tmp_path)
    for make in (vagrant_libvirt, vagrant_virtualbox, vagrant_vmware):
        wanted = make(config).customization(template())
        names = [package.name for package in wanted.packages]
        assert {"sudo", "rsync"} <= set(names)
        assert ("linux-image-amd64" in names) == (make is not vagrant_libvirt)
        [command] = wanted.commands
        assert "NOPASSWD" in command.content.text
    assert not Ova(config).customization(template(name="MockOS_A"))


def image(token: str = TOKEN) -> ProviderImage:
    return ProviderImage(id=token, name="web server", provider="boxes", target="vagrant-libvirt")


def test_the_catalogue_is_what_vagrant_reads(tmp_path: Path) -> None:
    folder = tmp_path / "boxes"
    folder.mkdir()
    box = tmp_path / "disk"
    box.write_bytes(b"a box")
    config = made_with(tmp_path, local_folders={"boxes": str(folder)})
    libvirt, virtualbox = vagrant_libvirt(config), vagrant_virtualbox(config)
    provider = {"name": "boxes", "box": "acme/web", "url": "https://boxes.example.org/"}
    text = json.dumps(provider)
    first = libvirt.push(image("1"), box, libvirt.login(text, NOTHING), Told())
    libvirt.push(image("2"), box, libvirt.login(text, NOTHING), Told())
    same = json.dumps({**provider, "version": "1.0.0"})
    virtualbox.push(image("3"), box, virtualbox.login(same, NOTHING), Told())
    assert first.identifier == str(folder / "web-server-1.box")
    content = json.loads((folder / "acme-web.box.json").read_text())
    assert content["name"] == "acme/web"
    assert [version["version"] for version in content["versions"]] == ["1.0.0", "1.0.1"]
    assert [one["name"] for one in content["versions"][0]["providers"]] == ["libvirt", "virtualbox"]
    assert content["versions"][0]["providers"][0] == {
        "name": "libvirt",
        "url": "https://boxes.example.org/web-server-1.box",
        "checksum_type": "sha256",
        "checksum": hashlib.sha256(b"a box").hexdigest(),
    }
    login = libvirt.login(text, NOTHING)
    for token in "12":
        libvirt.delete(str(folder / f"web-server-{token}.box"), login)
    content = json.loads((folder / "acme-web.box.json").read_text())
    [version] = content["versions"]
    assert [one["name"] for one in version["providers"]] == ["virtualbox"]


def test_a_box_that_is_not_in_the_catalogue_was_never_whole(tmp_path: Path) -> None:
    cloud = vagrant_libvirt(made_with(tmp_path))
    login = cloud.login("local", NOTHING)
    cloud.check(login)
    left = login.folder.path / f"web-{TOKEN}.box"
    left.write_text("copied, not recorded")
    assert cloud.find(TOKEN, login) is None
    assert not left.exists()


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ('{"name": "local", "version": "latest"}', 'The key "version" .* is not a version'),
        ('{"name": "local", "boxx": "a"}', 'unknown key "boxx"'),
        ("/etc", 'The provider "/etc" is not a folder of this factory'),
    ],
)
def test_mistakes_in_the_provider_are_named(tmp_path: Path, provider: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        vagrant_libvirt(made_with(tmp_path)).login(provider, NOTHING)


def test_a_damaged_catalogue_is_not_overwritten(tmp_path: Path) -> None:
    cloud = vagrant_libvirt(made_with(tmp_path))
    login = cloud.login("local", NOTHING)
    cloud.check(login)
    damaged = login.folder.path / "web-server.box.json"
    damaged.write_text('{"versions": 3}')
    box = tmp_path / "disk"
    box.write_bytes(b"a box")
    with pytest.raises(CloudError, match="is damaged"):
        cloud.push(image(), box, login, Told())
    assert damaged.read_text() == '{"versions": 3}'
    with pytest.raises(CloudError, match="is not an image in the folder"):
        cloud.delete(str(damaged), login)
