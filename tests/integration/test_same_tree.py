"""What is unpacked side by side is the tree that apt and dpkg alone make, file by file."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from fakes.build import a_build
from fakes.web import a_site
from imagefactory.core import template as tdl
from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.engine.command import Tools
from imagefactory.engine.download import objects_of
from imagefactory.engine.fetch_disc import FetchDisc
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.packages.apt_install import InstallBase
from imagefactory.engine.packages.locked import FetchPackages, read_lock
from imagefactory.engine.packages.package_files import gather, youngest
from imagefactory.engine.plan import Build, Plan
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree
from imagefactory.systems.debian import Debian

#: What one machine has for itself, and what is made anew when it is missing.
IDENTITY: Final = (
    "boot/initrd.img-",
    "etc/machine-id",
    "etc/ssh/ssh_host_",
    "var/cache/",
    "var/lib/dbus/machine-id",
    "var/log/",
)
#: What mmdebstrap takes from its host or adds, and the copies that programs make of what they change.
THEIRS: Final = (
    "dev/",
    "etc/.resolv.conf.systemd-resolved.bak",
    "etc/apt/",
    "etc/fstab",
    "etc/hostname",
    "etc/resolv.conf",
    "run/lock",
    "var/lib/apt/",
    "var/lib/dpkg/arch",
    "var/lib/dpkg/lock",
)
COPIES: Final = frozenset(
    f"etc/{name}-" for name in ("group", "gshadow", "passwd", "shadow", "subgid", "subuid")
) | {"var/lib/dpkg/diversions-old", "var/lib/dpkg/status-old"}


#: Ours was made while packages were set up.
AGAIN: Final = """
cd /boot
for initramfs in initrd.img-*; do
    TMPDIR=/tmp mkinitramfs -o /tmp/again "${initramfs#initrd.img-}"
    cmp "$initramfs" /tmp/again || echo differ
done
"""


def lines(data: bytes) -> object:
    return sorted(data.splitlines())


def stanzas(data: bytes) -> object:
    return sorted(data.split(b"\n\n"))


def without_ids(data: bytes) -> object:
    """Users and groups are numbered in the order in which packages are set up."""
    rows = [line.split(b":") for line in data.splitlines()]
    return sorted((row[0], *(field for field in row[1:] if not field.isdigit())) for row in rows)


#: Files in which the order of packages shows, and what is compared of them.
ORDERED: Final[Mapping[str, Callable[[bytes], object]]] = {
    "etc/group": without_ids,
    "etc/gshadow": without_ids,
    "etc/passwd": without_ids,
    "etc/shadow": without_ids,
    "var/lib/dpkg/status": stanzas,
    "var/lib/dpkg/triggers/File": lines,
}


@dataclass(frozen=True)
class Entry:
    """What is compared of a file."""

    kind: bytes
    mode: int
    owner: str
    group: str
    target: str
    content: object


@pytest.fixture(params=[pytest.param(version, marks=pytest.mark.slow) for version in ("12", "13")])
def build(request: pytest.FixtureRequest, config: Config, template: str) -> Iterator[Build]:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed")
    build = a_build(config.state, build_id=f"same-tree-{request.param}")
    sandbox = Sandbox(state=build.state, tools=Tools())
    for folder in (build.scratch.parent, build.scratch, build.cache):
        sandbox.own(folder)
    wanted = Build(**{**vars(build), "mirrors": config.mirrors})
    run_base(Debian(config).plan_base(filled(template, request.param), Parameters()), wanted)
    yield wanted
    sandbox.remove(build.scratch)


def test_the_tree_is_the_one_of_dpkg_alone(build: Build, tmp_path: Path) -> None:
    theirs = entries(by_dpkg_alone(build, tmp_path))
    ours = entries(by_us(build))
    assert sorted(ours.keys() ^ theirs.keys()) == []
    assert len(ours) > 8_000
    different = [(path, ours[path], theirs[path]) for path in ours if ours[path] != theirs[path]]
    assert different == [], "\n".join(map(str, different))
    assert "differ" not in Tree.load(build).run(["sh", "-c", AGAIN], env=present(build)), (
        "initramfs"
    )


def present(build: Build) -> Mapping[str, str]:
    lock = read_lock(build)
    return {"SOURCE_DATE_EPOCH": str(youngest(build, lock.layer("base"), epoch=lock.epoch))}


def test_the_tree_of_a_disc_is_the_same(
    build: Build, config: Config, template: str, tmp_path: Path
) -> None:
    """The same lock, once from the archive and once from a disc that its packages were put on."""
    if shutil.which("xorrisofs") is None:
        pytest.skip("xorrisofs, which makes the test's disc, is not installed (xorriso)")
    lock = read_lock(build)
    disc = tmp_path / "disc"
    for package in lock.packages:
        place = disc / "pool" / package.url.rpartition("/pool/")[2]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(objects_of(build).path(package.sha256), place)
    command = ["xorrisofs", "-quiet", "-R", "-o", str(tmp_path / "disc.iso"), str(disc)]
    subprocess.run(command, check=True, capture_output=True)
    wanted = filled(template, lock.version)
    install = tdl.Install(type="iso", url="http://mirror.example.org/disc.iso")
    wanted = replace(wanted, os=replace(wanted.os, install=install))
    with a_site() as site, a_build_apart(config) as apart:
        site.files["/disc.iso"] = (tmp_path / "disc.iso").read_bytes()
        other = replace(apart, mirrors={"http://mirror.example.org": site.url})
        plan = Debian(config).plan_base(wanted, Parameters({"lock": lock.dumps()}))
        assert isinstance(plan[0], FetchDisc)
        run_base(plan, other)
        assert {path for path, _ in site.asked} == {"/disc.iso"}
        ours, theirs = entries(by_us(build)), entries(by_us(other))
    assert len(ours) > 8_000
    assert ours == theirs


@contextmanager
def a_build_apart(config: Config) -> Iterator[Build]:
    """A build of a factory that has nothing in its cache."""
    state = config.state / "apart"
    state.mkdir(mode=0o711)
    build = a_build(state, build_id="apart")
    sandbox = Sandbox(state=state, tools=Tools())
    for folder in (build.scratch.parent, build.scratch, build.cache):
        sandbox.own(folder)
    yield build
    for folder in (state / "scratch", build.cache / "layers"):
        sandbox.remove(folder)
    shutil.rmtree(state)


def run_base(plan: Plan, build: Build) -> None:
    for step in plan:
        if isinstance(step, FetchDisc | ResolveApt | FetchPackages | InstallBase):
            step.run(build)


def filled(template: str, version: str) -> tdl.Template:
    filling = {"VERSION": version, "SIZE": "2 GiB", "PACKAGE": "tree", "COMMAND": "true"}
    for name, value in filling.items():
        template = template.replace(f"@{name}@", value)
    return tdl.parse(template)


def by_us(build: Build) -> Path:
    """The base as a tar archive, with the inner owners."""
    tree = Tree.load(build)
    folder = build.scratch / "packed"
    tree.sandbox.own(folder)
    words = ["tar", "--create", "--file=tree.tar", "--numeric-owner", "--directory=tree", "."]
    tree.sandbox.host(words, cwd=folder, layers=tree.layers)
    return folder / "tree.tar"


def by_dpkg_alone(build: Build, folder: Path) -> Path:
    """The same packages as mmdebstrap installs them."""
    lock = read_lock(build)
    base = lock.layer("base")
    present = youngest(build, base, epoch=lock.epoch)
    files = gather(build, base, build.scratch / "repository", built=present)
    made = folder / "mmdebstrap.tar"
    suite = {"12": "bookworm", "13": "trixie"}[lock.version]
    links = ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"] if lock.version == "12" else []
    names = ",".join(package.name for package in base)
    command = ["mmdebstrap", "--variant=apt", *links, f"--include={names}", suite, str(made)]
    subprocess.run(
        [*command, f"deb [trusted=yes] copy:{files.folder} ./"],
        check=True,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(files.built), "TMPDIR": str(folder)},
        timeout=300,
    )
    return made


def entries(archive: Path) -> Mapping[str, Entry]:
    """All files but those of one machine alone; owners have their names, hard links their content."""
    found: dict[str, Entry] = {}
    with tarfile.open(archive) as tar:
        users, groups = (
            names(tar, member) for member in (member_of(tar, "passwd"), member_of(tar, "group"))
        )
        for member in tar:
            path = member.name.removeprefix("./").rstrip("/")
            if path and path != "." and path not in COPIES and not is_ones_own(path):
                opened = tar.extractfile(member) if member.isreg() or member.islnk() else None
                found[path] = Entry(
                    kind=tarfile.REGTYPE if member.islnk() else member.type,
                    mode=member.mode,
                    owner=users[member.uid],
                    group=groups[member.gid],
                    target=member.linkname if member.issym() else "",
                    content=opened and compared(path, opened.read()),
                )
    return found


def is_ones_own(path: str) -> bool:
    return f"{path}/".startswith((*IDENTITY, *THEIRS))


def compared(path: str, data: bytes) -> object:
    see = ORDERED.get(path)
    return see(data) if see else hashlib.sha256(data).hexdigest()


def member_of(tar: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    return tar.getmember(f"./etc/{name}")


def names(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Mapping[int, str]:
    """The number of each user, or group, and its name."""
    opened = tar.extractfile(member)
    assert opened is not None
    rows = (line.split(":") for line in opened.read().decode().splitlines())
    return {int(row[2]): row[0] for row in rows}
