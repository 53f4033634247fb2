"""A template becomes a disk that boots, holds what was asked for, and is pushed: all of it real."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from fakes import traces
from fakes.leaks import Host, processes_in
from fakes.mirror import proxying
from fakes.patience import settled, until
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.icicle import parse as parse_icicle
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.core.lock import Lock
from imagefactory.core.secret import Secret
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.machine import Network
from imagefactory.engine.boot.report import BootReport
from imagefactory.engine.boot.request import Boot, Login
from imagefactory.engine.command import Tools
from servers.openstack import USER, OpenStackServers

ARCHIVE = "http://mirror.example.org/debian"
SECURITY = f"{ARCHIVE}-security"
PASSWORD = "a secret & a password"
PROXY = ("10.0.2.100", 3128)
GIB = 1 << 30

COMMANDS = {
    "package": "dpkg-query -W -f '${Status}' tree && tree --version",
    "file": "cat /etc/from-template",
    "command": "cat /etc/mark",
    "size": "df -B1 --output=size / | tail -n 1",
    "running": "systemctl is-system-running --wait",
    "failed": "systemctl --failed --no-legend --plain",
    "audit": "dpkg --audit",
    "update": f"apt-get -o Acquire::http::Proxy=http://{PROXY[0]}:{PROXY[1]} -qq update && "
    "apt-cache policy tree",
    "machine-id": "cat /etc/machine-id",
    "host-key": "cat /etc/ssh/ssh_host_ed25519_key.pub",
    "seed": "sha256sum < /var/lib/systemd/random-seed",
    "resolver": "readlink /etc/resolv.conf",
    "traces": "ls /etc/apt/sources.list.d /usr/sbin/policy-rc.d /run/command 2>/dev/null",
    "names": "hostname; getent hosts $(hostname); . /etc/default/locale; echo $LANG; "
    "readlink /etc/localtime; locale -a | grep en_GB",
    "user": "id -nG alice; cat ~alice/.ssh/authorized_keys; sudo -l -U alice | tail -n 1; "
    "stat -c %a:%U ~alice/.ssh ~alice/.ssh/authorized_keys",
    "services": "systemctl is-enabled apt-daily.timer ssh",
    "firewall": "nft list chain inet filter input",
    "mode": "stat -c %a:%U:%G /etc/from-template",
    "first-boot": "cat /root/greeting",
    "root-mode": "stat -c %a:%U / /tmp /etc/shadow",
}  # fmt: skip


def filled(template: str, **values: str) -> str:
    """The template with its open places filled."""
    usual = {
        "VERSION": "12",
        "SIZE": "3 GiB",
        "PACKAGE": "tree",
        "COMMAND": "echo made > /etc/mark",
    }
    for name, value in {**usual, **values}.items():
        template = template.replace(f"@{name}@", value)
    return template


def made(factory: Factory, image: Image) -> Any:
    """The image once it is whole."""
    image = settled(factory, image.id)
    assert image.status is Status.COMPLETE, image.error
    return image


@dataclass(frozen=True, kw_only=True)
class Built:
    """A base image and what two machines made from it said."""

    image: BaseImage
    body: Path
    artifacts: Path
    machines: Mapping[str, BootReport]

    def answers(self, firmware: str) -> dict[str, str]:
        """What each command wrote on the machine with this firmware."""
        results = self.machines[firmware].commands
        return {name: result.output.strip() for name, result in zip(COMMANDS, results, strict=True)}


def without_security(config: Config) -> Config:
    """For a release whose support has ended: mirrors drop its updates before their index."""
    return replace(config, mirrors={**config.mirrors, SECURITY: config.mirrors[ARCHIVE] + "/gone"})


SLOW = tuple(pytest.param(version, marks=pytest.mark.slow) for version in ("11", "sid"))


@pytest.fixture(scope="module", params=["12", "13", *SLOW])
def built(request: pytest.FixtureRequest, config: Config, template: str) -> Built:
    before = Host.now()
    if request.param == "11":
        config = without_security(config)
    with open_factory(config, in_process=True) as factory:
        asked = factory.create_base_image(
            template=filled(template, VERSION=request.param), parameters={"boot_test": False}
        )
        image = made(factory, asked)
        body = factory.body(image.id)
    assert Host.now() == before
    assert processes_in(config.state) == []
    assert not list(config.scratch.iterdir()), "a build that has settled leaves no scratch"
    with proxying(config.mirrors) as port, ThreadPoolExecutor(2) as pool:

        def start(firmware: Literal["bios", "uefi"]) -> BootReport:
            wanted = Boot(
                disk=body,
                firmware=firmware,
                timeout=800,
                size=6 * GIB,
                login=Login(password=Secret(PASSWORD)),
                run=tuple(COMMANDS.values()),
                network=Network(forwards={PROXY: port}),
                processors=1,
            )
            emulator = find_emulator(Tools(), cache=config.cache)
            return boot(wanted, tools=Tools(), emulator=emulator, scratch=config.state)

        machines = dict(zip(("bios", "uefi"), pool.map(start, ("bios", "uefi")), strict=True))
    artifacts = config.artifacts / image.id
    return Built(image=image, body=body, artifacts=artifacts, machines=machines)


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_machine_has_all_that_the_template_says(built: Built, firmware: str) -> None:
    answers = built.answers(firmware)
    assert answers["package"].startswith("install ok installed")
    assert answers["file"] == "written by the template"
    assert answers["command"] == "made"
    assert int(answers["size"]) > 5 * GIB, "the root grows with the disk"
    assert answers["running"] == "running", answers["failed"]
    assert answers["audit"] == ""
    assert "Installed:" in answers["update"]
    assert "mirror.example.org" in answers["update"]
    assert answers["resolver"].endswith("run/systemd/resolve/stub-resolv.conf")
    assert answers["traces"].split() == ["/etc/apt/sources.list.d:", "debian.sources"]
    assert answers["root-mode"].split() == ["755:root", "1777:root", "640:root"]


def test_a_machine_is_set_up_as_the_additions_of_the_template_say(built: Built) -> None:
    answers = built.answers("bios")
    assert answers["names"].split() == [
        *("web-1.example.org", "127.0.1.1", "web-1.example.org", "web-1"),
        *("en_GB.UTF-8", "/usr/share/zoneinfo/Europe/Berlin", "en_GB.utf8"),
    ]
    groups, key, sudo, *modes = answers["user"].splitlines()
    assert groups.split() == ["alice", "web"]
    assert key.endswith("alice@example.org")
    assert sudo.strip() == "(ALL : ALL) NOPASSWD: ALL"
    assert modes == ["700:alice", "600:alice"]
    assert answers["services"].split() == ["masked", "enabled"]
    for rule in ("policy drop", "tcp dport 22 accept", "udp dport 60000-61000 accept"):
        assert rule in answers["firewall"]
    assert answers["mode"] == "640:alice:web"
    assert answers["first-boot"] == "hello from web-1.example.org"


def test_two_machines_share_no_identity(built: Built) -> None:
    one, two = built.answers("bios"), built.answers("uefi")
    for name in ("machine-id", "host-key", "seed"):
        assert one[name]
        assert one[name] != two[name], name


def test_the_file_system_is_clean(built: Built, tmp_path: Path) -> None:
    table = subprocess.run(
        ["sfdisk", "--json", built.body], check=True, capture_output=True, text=True
    ).stdout
    root = max(json.loads(table)["partitiontable"]["partitions"], key=lambda row: row["size"])
    part = tmp_path / "root.ext4"
    copy = f"if={built.body}", f"of={part}", "bs=1M", "conv=sparse", f"skip={root['start'] // 2048}"
    subprocess.run(["dd", *copy, f"count={root['size'] // 2048}", "status=none"], check=True)
    checked = subprocess.run(["e2fsck", "-fn", part], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def names_in(image: Image) -> set[str]:
    """The packages that an image's ICICLE names."""
    assert image.icicle is not None
    return {package.name for package in parse_icicle(image.icicle).packages}


def test_the_lock_and_the_bill_name_the_packages_of_the_guest(built: Built) -> None:
    lock = Lock.loads((built.artifacts / "lock.json").read_text())
    names = names_in(built.image)
    assert {"tree", "openssh-server", "systemd"} <= names
    assert names == {package.name for package in lock.packages}


def test_no_secret_is_in_anything_that_stays_readable(built: Built, config: Config) -> None:
    for file in [*built.artifacts.iterdir(), config.storage / f"{built.image.id}.meta"]:
        assert b"another &" not in file.read_bytes(), file
    words = {"rootpw": PASSWORD, "rootpw as in the template": "a secret &amp; a password"}
    for folder in (built.artifacts, config.storage):
        assert traces.in_files(folder, words) == []
    databases = [path for path in config.state.iterdir() if ".db" in path.name]
    assert {"imagefactory.db", "work.db"} <= {path.name for path in databases}
    assert [name for path in databases for name in traces.in_bytes(path.read_bytes(), words)] == []


def test_virt_inspector_names_the_system_and_its_packages(built: Built, tmp_path: Path) -> None:
    if shutil.which("virt-inspector") is None:
        pytest.skip("virt-inspector is not installed (libguestfs-tools)")
    environment = {
        **os.environ,
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
        "LIBGUESTFS_CACHEDIR": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    told = subprocess.run(
        ["virt-inspector", "--format=raw", "-a", built.body],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "<distro>debian</distro>" in told
    version = str(built.image.template).partition("<version>")[2][:2]
    assert f"<major_version>{version}</major_version>" in told
    assert "<name>tree</name>" in told


def test_a_target_image_without_additions_is_the_bases_own_disk(
    built: Built, config: Config
) -> None:
    with open_factory(config, in_process=True) as factory:
        asked = factory.create_target_image(
            target="local", base_image_id=built.image.id, parameters={"format": "qcow2"}
        )
        body = factory.body(made(factory, asked).id)
        compare: list[str | Path] = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2"]
        subprocess.run([*compare, built.body, body], check=True, capture_output=True)
        factory.delete(asked.id)


def test_the_disk_is_pushed_to_a_real_glance(
    built: Built, config: Config, glance: OpenStackServers
) -> None:
    credentials = json.dumps(
        {
            "auth_url": glance.keystone,
            "username": USER,
            "password": glance.passwords[USER],
            "project_name": USER,
        }
    )
    with open_factory(config, in_process=True) as factory:
        target: TargetImage = made(
            factory,
            factory.create_target_image(
                target="openstack-kvm",
                base_image_id=built.image.id,
                parameters={"boot_test": False},  # the tests of guests boot one
            ),
        )
        provider: ProviderImage = made(
            factory,
            factory.create_provider_image(
                provider='{"region": "RegionOne"}',
                credentials=Secret(credentials),
                target="openstack-kvm",
                target_image_id=target.id,
            ),
        )
        body = factory.body(target.id)
        added = names_in(target) - names_in(built.image)
        assert "cloud-init" in added
        subprocess.run(["qemu-img", "check", "-f", "qcow2", body], check=True, capture_output=True)
        url = f"{glance.glance}/v2/images/{provider.identifier_on_provider}/file"
        pushed = hashlib.sha256(glance.session().get(url).content).hexdigest()
        assert pushed == hashlib.sha256(body.read_bytes()).hexdigest()
        factory.delete(provider.id)
        until(lambda: factory.find(provider.id) is None)
    assert glance.images() == []
