"""A system of the RPM family becomes a disk by the real dnf, and starts: its packages are Debian's, repacked."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from fakes import rpms
from fakes.build import a_build
from fakes.debian import Key, a_key
from fakes.patience import settled
from fakes.web import Site, a_site
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.icicle import parse as parse_icicle
from imagefactory.core.images import Image, Status
from imagefactory.core.lock import Lock
from imagefactory.core.secret import Secret
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.firmware import Firmware
from imagefactory.engine.boot.request import Boot, Login
from imagefactory.engine.command import Tools
from imagefactory.engine.disk.layout import GIB, MIB
from imagefactory.engine.download import objects_of
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.packages.apt_sources import Archive, Suite
from imagefactory.engine.packages.locked import FetchPackages, read_lock
from imagefactory.engine.sandbox import Sandbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

DEBIAN: Final = "http://mirror.example.org/debian"
HOST: Final = "http://fedora.example.org"
PLACE: Final = "/releases/42/Everything/x86_64/os"
URL: Final = f"{HOST}{PLACE}"
PASSWORD: Final = "a secret & a password"
TEMPLATE: Final = f"""
<template>
  <name>rpm-server</name>
  <os>
    <name>Fedora</name><version>42</version><arch>x86_64</arch>
    <install type="url"><url>{URL}</url></install>
    <rootpw>a secret &amp; a password</rootpw>
  </os>
  <disk><size>2 GiB</size></disk>
  <packages><package name="tree"/></packages>
  <files><file name="/etc/from-template">written by the template</file></files>
  <commands><command name="leave-a-mark">rpm -q bash > /etc/mark</command></commands>
</template>
"""
SUSE_HOST: Final = "http://suse.example.org"
SUSE_PLACE: Final = "/distribution/leap/15.6/repo/oss"
SUSE: Final = TEMPLATE.replace(URL, f"{SUSE_HOST}{SUSE_PLACE}").replace(
    "<name>Fedora</name><version>42</version>", "<name>openSUSE</name><version>15.6</version>"
)
FIRMWARES: Final[tuple[Firmware, ...]] = ("bios", "uefi")
COMMANDS: Final = {
    "running": "systemctl is-system-running --wait",
    "failed": "systemctl --failed --no-legend --plain",
    "packages": "rpm -qa",
    "package": "rpm -V tree && echo sound",
    "file": "cat /etc/from-template",
    "mark": "cat /etc/mark",
    "kernel": "uname -r",
    "entries": "ls /boot/loader/entries",
    "size": "df -B1 --output=size / | tail -n 1",
    "keys": "ls /etc/ssh/ssh_host_*_key",
    "repositories": "ls /etc/zypp/repos.d/*.repo /var/cache/zypp /var/log/zypp 2>/dev/null",
}


@pytest.fixture(scope="module")
def debs(config: Config) -> list[Path]:
    """The files of Debian's packages that make up a small server."""
    build = a_build(config.state, build_id="debs")
    build = replace(build, mirrors=config.mirrors, snapshots=config.snapshots)
    Sandbox(state=build.state, tools=Tools()).own(build.cache)
    archive = Archive(
        url=DEBIAN,
        suites=(Suite(name="bookworm"),),
        keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
        guest_keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
        components=("main",),
    )
    ResolveApt(system="Debian", version="12", arch="x86_64", archive=archive, base=rpms.PARTS).run(
        build
    )
    FetchPackages().run(build)
    return [objects_of(build).path(one.sha256) for one in read_lock(build).packages]


@dataclass(frozen=True, kw_only=True)
class World:
    """A distribution on a web server, and a factory that knows its keys."""

    site: Site
    config: Config
    repo: rpms.Distribution
    stranger: Key

    def publish(self) -> None:
        for place in (PLACE, SUSE_PLACE):
            self.site.show(self.repo.folder, at=place)

    def build(self, factory: Factory, template: str = TEMPLATE) -> Image:
        asked = factory.create_base_image(template=template, parameters={"boot_test": False})
        return settled(factory, asked.id, seconds=1800)


@pytest.fixture(scope="module")
def world(
    config: Config, debs: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("rpms")
    with a_site() as site, a_key(folder) as key, a_key(folder, "stranger") as stranger:
        keys = folder / "keys.asc"
        keys.write_bytes(key.sign("", how="--export"))
        own = replace(
            config,
            mirrors={**config.mirrors, HOST: site.url, SUSE_HOST: site.url},
            keyrings={URL: str(keys), SUSE_HOST: str(keys)},
        )
        repo = rpms.a_distribution(folder, debs, key)
        world = World(site=site, config=own, repo=repo, stranger=stranger)
        world.publish()
        yield world


@dataclass(frozen=True, kw_only=True)
class Built:
    """A base image, and what machines made from it said."""

    image: Image
    body: Path
    artifacts: Path
    answers: Mapping[Firmware, Mapping[str, str]]


@pytest.fixture(scope="module")
def built(world: World) -> Built:
    config = world.config
    with open_factory(config, in_process=True) as factory:
        image = world.build(factory)
        assert image.status is Status.COMPLETE, image.error
        body = factory.body(image.id)
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda firmware: started(config, body, firmware), FIRMWARES)
        answers = dict(zip(FIRMWARES, said, strict=True))
    return Built(image=image, body=body, artifacts=config.artifacts / image.id, answers=answers)


def started(config: Config, disk: Path, firmware: Firmware) -> Mapping[str, str]:
    """What each command wrote on a machine with this firmware."""
    wanted = Boot(
        disk=disk,
        firmware=firmware,
        timeout=600,
        size=3 * GIB,
        login=Login(password=Secret(PASSWORD)),
        run=tuple(COMMANDS.values()),
        processors=1,
    )
    emulator = find_emulator(Tools(), cache=config.cache)
    report = boot(wanted, tools=Tools(), emulator=emulator, scratch=config.state)
    results = zip(COMMANDS, report.commands, strict=True)
    return {name: result.output.strip() for name, result in results}


@pytest.mark.skipif(shutil.which("zypper") is None, reason="zypper is not installed")
def test_zypper_makes_a_system_that_starts(world: World) -> None:
    with open_factory(world.config, in_process=True) as factory:
        image = world.build(factory, SUSE)
        assert image.status is Status.COMPLETE, image.error
        body = factory.body(image.id)
    lock = Lock.loads((world.config.artifacts / image.id / "lock.json").read_text())
    answers = started(world.config, body, "uefi")
    assert answers["running"] == "running", answers["failed"]
    assert answers["package"] == "sound"
    known = {one for one in answers["packages"].splitlines() if not one.startswith("gpg-pubkey-")}
    assert known == {
        f"{one.name}-{one.version.rpartition(':')[2]}.{one.arch}" for one in lock.packages
    }
    assert answers["repositories"].split() == ["/etc/zypp/repos.d/oss.repo"]
    assert answers["keys"].split()


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_a_machine_starts_and_has_what_the_template_says(built: Built, firmware: Firmware) -> None:
    answers = built.answers[firmware]
    assert answers["running"] == "running", answers["failed"]
    assert answers["package"] == "sound"
    assert answers["file"].startswith("written by the template")
    assert answers["mark"].startswith("bash-5")
    assert int(answers["size"]) > 5 * GIB // 2, "the root grows with the disk"
    assert answers["entries"].endswith(f"-{answers['kernel']}.conf")
    assert answers["keys"].split()


def test_its_own_rpm_knows_the_packages_of_the_lock_and_of_the_bill(built: Built) -> None:
    lock = Lock.loads((built.artifacts / "lock.json").read_text())
    locked = {f"{one.name}-{one.version.rpartition(':')[2]}.{one.arch}" for one in lock.packages}
    assert built.image.icicle is not None
    described = [package.name for package in parse_icicle(built.image.icicle).packages]
    for answers in built.answers.values():
        assert answers["packages"].splitlines() == described
        # rpm lists the keys that it was given as packages
        assert {name for name in described if not name.startswith("gpg-pubkey-")} == locked


def test_the_bills_of_materials_name_the_packages_of_its_own_rpm(built: Built) -> None:
    spdx = json.loads((built.artifacts / "spdx.json").read_text())
    bill = json.loads((built.artifacts / "cyclonedx.json").read_text())
    system, *packages = spdx["packages"]
    assert system["SPDXID"] == "SPDXRef-System"
    named = {f"{one['name']}-{one['versionInfo'].rpartition(':')[2]}" for one in packages}
    for answers in built.answers.values():
        lines = answers["packages"].splitlines()
        known = {line.rpartition(".")[0] for line in lines if not line.startswith("gpg-pubkey-")}
        assert known == named
    urls = {one["purl"] for one in bill["components"] if one.get("purl")}
    assert len(urls) == len(packages)
    assert any(url.startswith("pkg:rpm/fedora/bash@5") for url in urls)
    (bash,) = (one for one in packages if one["name"] == "bash")
    assert bash["checksums"], "the lock's digest of its file"
    assert "/usr/bin/bash" in json.dumps([one["fileName"] for one in spdx["files"]])


def test_files_are_labelled_as_the_policy_says(built: Built) -> None:
    for path, label in {"/etc/shadow": "shadow_t", "/usr/bin/bash": "bin_t"}.items():
        disk = f"{built.body}?offset={66 * MIB}"
        words = ["debugfs", "-R", f"ea_get {path} security.selinux", disk]
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        assert f"system_u:object_r:{label}:s0" in told


@pytest.mark.parametrize(
    ("known", "why"), [(False, "it is not signed"), (True, "it is signed by an unknown key")]
)
def test_a_package_that_nobody_vouches_for_is_refused_by_name(
    world: World, built: Built, known: bool, why: str
) -> None:
    """The base is the one that was made before: the package alone is looked at again."""
    (tree,) = (path for path in world.repo.packages if path.name.startswith("tree-"))
    if known:
        rpms.sign([tree], world.stranger)
    else:
        rpms.unsign([tree])
    world.repo.index()
    world.publish()
    with open_factory(world.config, in_process=True) as factory:
        image = world.build(factory)
    assert built.image.status is Status.COMPLETE
    assert image.status is Status.FAILED
    assert image.error is not None
    assert f'The package "tree" from "{URL}/' in image.error
    assert why in image.error
