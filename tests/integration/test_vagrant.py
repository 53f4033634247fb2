"""Debian's own Vagrant takes the boxes from the catalogue that a push has written."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from contract import TOKEN, made_with, template
from fakes.build import Told, a_build
from imagefactory.clouds.ova import Ova, vagrant_libvirt, vagrant_virtualbox, vagrant_vmware
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret

pytestmark = pytest.mark.skipif(
    shutil.which("vagrant") is None, reason="Vagrant is not installed (vagrant)"
)


def vagrant(home: Path, *words: str) -> str:
    """What the program said; its home is a test's own."""
    home.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "HOME": str(home),
        "VAGRANT_HOME": str(home / "vagrant.d"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_NO_PLUGINS": "1",
        "VAGRANT_NO_COLOR": "1",
    }
    done = subprocess.run(
        ["vagrant", *words],
        cwd=home,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("make", [vagrant_libvirt, vagrant_virtualbox, vagrant_vmware])
def test_vagrant_adds_a_box(make: type, tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed (qemu-utils)")
    cloud = make(made_with(tmp_path))
    base = tmp_path / "base.body"
    with base.open("wb") as file:
        file.truncate(64 << 20)
        file.write(b"\xeb\x63\x90" + os.urandom(1 << 20))
    build = a_build(tmp_path, source=base)
    for step in cloud.plan_target(template(), Parameters({})):
        step.run(build)
    login = cloud.login('{"name": "local", "box": "acme/web"}', Secret(""))
    [target] = cloud.targets
    image = ProviderImage(id=TOKEN, name="web-server", provider="local", target=target)
    cloud.push(image, build.disk, login, Told())
    home = tmp_path / "home"
    told = vagrant(home, "box", "add", str(login.folder.path / "acme-web.box.json"))
    assert "Calculating and comparing box checksum" in told
    provider = {"vagrant-vmware": "vmware_desktop"}.get(target, target.removeprefix("vagrant-"))
    assert f"acme/web ({provider}, 1.0.0)" in vagrant(home, "box", "list")
    [metadata] = home.glob("vagrant.d/boxes/acme-VAGRANTSLASH-web/1.0.0/*/metadata.json")
    assert provider in metadata.read_text()


def test_vagrant_adds_a_box_for_hyper_v(tmp_path: Path) -> None:
    base = tmp_path / "base.body"
    base.write_bytes(b"\xeb\x63\x90".ljust(2 << 20, b"."))
    build = a_build(tmp_path, source=base)
    parameters = Parameters({"ova_format": "hyperv-vagrant"})
    for step in Ova(made_with(tmp_path)).plan_target(template(), parameters):
        step.run(build)
    home = tmp_path / "home"
    vagrant(home, "box", "add", "--name", "acme/web", str(build.disk))
    assert "acme/web (hyperv, 0)" in vagrant(home, "box", "list")
    [box] = home.glob("vagrant.d/boxes/acme-VAGRANTSLASH-web/0/*")
    there = {str(path.relative_to(box)) for path in box.rglob("*") if path.is_file()}
    assert {"Virtual Machines/vm.XML", "Virtual Hard Disks/disk.vhd"} <= there
