"""Machines start as they do in the clouds that their images are made for, as near as QEMU comes to them.

A cloud's disk is there where QEMU has its device, its network card too. A config drive
tells OpenStack's who it is; no other cloud answers them. In `make test` run EC2's, Compute Engine's and
OpenStack's of Debian 12; all others are slow.
"""

import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from fakes.patience import settled
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.images import Status
from imagefactory.core.secret import Secret
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.firmware import Firmware
from imagefactory.engine.boot.machine import Hardware
from imagefactory.engine.boot.request import Boot, Drive, Login
from imagefactory.engine.command import Tools

GIB: Final = 1 << 30
TEMPLATE: Final = """
<template>
  <name>guest</name>
  <os>
    <name>Debian</name><version>{version}</version><arch>x86_64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
    <rootpw>open sesame</rootpw>
  </os>
  <disk><size>3 GiB</size></disk>
</template>
"""
MODULES: Final = "/lib/modules/$(uname -r)"
KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVubG9ja2VkIGJ5IG5vYm9keSBhdCBhbGwhIQ== somebody"
INSTANCE: Final = "web-7"
COMMANDS: Final = {
    "running": "systemctl is-system-running --wait",
    "failed": "systemctl --failed --no-legend --plain",
    "sources": "sed -n 's/^DSLIST=//p' /run/cloud-init/ds-identify.log",
    "source": "cloud-init status --wait >/dev/null; cat /run/cloud-init/result.json",
    "name": "hostname",
    "keys": "cat /home/debian/.ssh/authorized_keys",
    "consoles": "cat /sys/class/tty/console/active",
    "clock": "systemctl is-active systemd-timesyncd; "
    "timedatectl show-timesync --property=SystemNTPServers --value",
    "size": "df -B1 --output=size / | tail -n 1",
    "drivers": f"{{ lsinitramfs /boot/initrd.img-$(uname -r); cat {MODULES}/modules.builtin; }}"
    r" | sed -n 's:.*/\([^/]*\)\.ko.*:\1:p'",
    "card": "readlink /sys/class/net/e*/device/driver",
    "machine-id": "cat /etc/machine-id",
    "host-key": "cat /etc/ssh/ssh_host_ed25519_key.pub",
    "older": "find /etc/machine-id /etc/ssh/ssh_host_* /var/lib/dhcp /var/lib/systemd/random-seed "
    '/var/lib/cloud/instances /var/log/journal ! -type d ! -newermt "$(uptime -s)" 2>/dev/null',
    "packages": "dpkg-query -W -f '${Package}\n' cloud-init waagent open-vm-tools 2>/dev/null",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A cloud's machine, and what must be in its guest."""

    drivers: frozenset[str]
    packages: tuple[str, ...] = ("cloud-init",)
    hardware: Hardware = "virtio"
    card: str = "virtio_net"
    firmware: Firmware = "uefi"
    sources: str = ""
    clock: str = ""
    source: str = "DataSourceNone"  #: who told the machine its name and the user's key


KINDS: Final[Mapping[str, Kind]] = {
    "ec2": Kind(
        drivers=frozenset({"nvme", "ena", "xen-blkfront"}),
        hardware="nvme",
        sources="Ec2 None",
        clock="169.254.169.123",
    ),
    "gce": Kind(
        drivers=frozenset({"virtio_scsi", "virtio_net", "nvme"}),
        hardware="virtio-scsi",
        sources="GCE None",
        clock="metadata.google.internal",
    ),
    "azure": Kind(
        drivers=frozenset({"hv_vmbus", "hv_storvsc", "hv_netvsc", "hv_utils"}),
        packages=("cloud-init", "waagent"),
        sources="Azure None",
    ),
    "openstack-kvm": Kind(
        drivers=frozenset({"virtio_blk", "virtio_scsi", "virtio_net"}),
        firmware="bios",
        sources="ConfigDrive OpenStack None",
        source="DataSourceConfigDrive",
    ),
    "vsphere": Kind(
        drivers=frozenset({"vmw_pvscsi", "vmxnet3"}),
        packages=("open-vm-tools",),
        hardware="vmware",
        card="vmxnet3",
        firmware="bios",
    ),
}

Answers = Mapping[str, Mapping[str, str]]  #: by target, by the name of the command


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("12", "ec2", "gce", "openstack-kvm")),
        pytest.param(("12", "azure", "vsphere"), marks=pytest.mark.slow),
        pytest.param(("13", *KINDS), marks=pytest.mark.slow),
    ],
    ids="-".join,
)
def answers(
    request: pytest.FixtureRequest, config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """What the machines said that were made from one base."""
    version, *targets = request.param
    folder = tmp_path_factory.mktemp("guests")
    with open_factory(config, in_process=True) as factory:
        template = TEMPLATE.format(version=version)
        base = made(factory, base_of=template)
        disks = [made(factory, base_id=base, target=target) for target in targets]
        bodies = [factory.body(disk) for disk in disks]
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(
            lambda one: said_by(*one, config=config, folder=folder),
            zip(targets, bodies, strict=True),
        )
        return dict(zip(targets, said, strict=True))


def made(
    factory: Factory, *, base_of: str | None = None, base_id: str | None = None, target: str = ""
) -> str:
    """The id of an image, once it is whole."""
    asked = (
        factory.create_target_image(
            target=target, base_image_id=base_id, parameters={"boot_test": False}
        )
        if base_of is None
        else factory.create_base_image(template=base_of, parameters={"boot_test": False})
    )
    image = settled(factory, asked.id)
    assert image.status is Status.COMPLETE, image.error
    return image.id


def said_by(target: str, body: Path, *, config: Config, folder: Path) -> Mapping[str, str]:
    """The answers of one machine."""
    kind = KINDS[target]
    wanted = Boot(
        disk=unpacked(body, folder) if target == "gce" else body,
        firmware=kind.firmware,
        timeout=800,
        size=6 * GIB,
        login=Login(password=Secret("open sesame")),
        run=tuple(COMMANDS.values()),
        hardware=kind.hardware,
        processors=1,
        log=folder / f"{target}.log",
    )
    emulator = find_emulator(Tools(), cache=config.cache)
    with told_by(target, wanted, folder) as asking:
        report = boot(asking, tools=Tools(), emulator=emulator, scratch=config.state)
    results = zip(COMMANDS, report.commands, strict=True)
    return {name: result.output.strip() for name, result in results}


@contextmanager
def told_by(target: str, wanted: Boot, folder: Path) -> Iterator[Boot]:
    """The machine where its cloud says who it is, if we can be the cloud."""
    if target == "openstack-kvm":
        yield replace(wanted, drives=[Drive(path=config_drive(folder))])
    else:
        yield wanted


def config_drive(folder: Path) -> Path:
    """A config drive as Nova makes it (Nova, "Config drives"): FAT, by its label."""
    facts = {
        "uuid": "83679162-1378-4288-a2d4-70e13ec132aa",
        "hostname": f"{INSTANCE}.novalocal",
        "public_keys": {"somebody": KEY},
        "availability_zone": "nova",
    }
    latest = folder / "drive" / "openstack" / "latest"
    latest.mkdir(parents=True)
    (latest / "meta_data.json").write_text(json.dumps(facts))
    path = folder / "config-2.img"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    _run("mkfs.vfat", "-n", "config-2", path)
    _run("mcopy", "-s", "-i", path, folder / "drive" / "openstack", "::")
    return path


def _run(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True)


def unpacked(archive: Path, folder: Path) -> Path:
    """The disk in what Compute Engine takes."""
    with tarfile.open(archive) as tar:
        tar.extract("disk.raw", folder, filter="data")
    return folder / "disk.raw"


def test_the_machine_comes_up_whole(answers: Answers) -> None:
    for target, said in answers.items():
        assert (said["running"], said["failed"]) == ("running", ""), target
        assert int(said["size"]) > 5 * GIB, f"the root of {target} grows with the disk"
        assert said["consoles"].split() == ["tty0", "ttyS0"], target


def test_the_drivers_are_there_before_the_root_is(answers: Answers) -> None:
    for target, said in answers.items():
        assert KINDS[target].drivers <= set(said["drivers"].split()), target
        assert said["card"].rpartition("/")[2] == KINDS[target].card, target


def test_only_the_cloud_is_asked_who_the_machine_is(answers: Answers) -> None:
    for target, said in answers.items():
        kind = KINDS[target]
        assert set(kind.packages) <= set(said["packages"].split()), target
        if "cloud-init" not in kind.packages:
            assert "cloud-init" not in said["packages"].split(), target
            continue
        assert said["sources"] == kind.sources, target
        source = json.loads(said["source"])["v1"]
        assert source["errors"] == [], target
        assert source["datasource"].split()[0] == kind.source, target  # its place may follow


def test_the_cloud_gives_a_name_and_the_users_key(answers: Answers) -> None:
    asked = {target for target in answers if KINDS[target].source != "DataSourceNone"}
    for target in asked:
        assert answers[target]["name"].partition(".")[0] == INSTANCE, target
        assert answers[target]["keys"].splitlines() == [KEY], target


def test_the_clock_is_the_clouds(answers: Answers) -> None:
    for target, said in answers.items():
        state, *servers = said["clock"].split()
        assert (state, " ".join(servers)) == ("active", KINDS[target].clock), target


def test_nothing_is_left_of_the_build_that_could_be_taken_for_a_machine(answers: Answers) -> None:
    for name in ("machine-id", "host-key"):
        found = [said[name] for said in answers.values()]
        assert all(found)
        assert len(set(found)) == len(found), name
    for target, said in answers.items():
        assert said["older"] == "", target
