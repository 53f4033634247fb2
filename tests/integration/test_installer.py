"""Debian's own installer, from Debian's package, in a real QEMU: one that ends, one that asks, a whole installation."""

import gzip
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from fakes.patience import settled
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import BootError
from imagefactory.core.secret import Secret
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.request import Boot
from imagefactory.engine.command import Tools
from imagefactory.engine.installer.fetching import initrd_of, kernel_of
from imagefactory.engine.installer.initrd import with_files
from imagefactory.engine.installer.preseed import Server
from imagefactory.engine.installer.steps import (
    AnswerDebian,
    DescribeDisk,
    GiveAnswers,
    RunInstaller,
)
from imagefactory.engine.installer.watching import Limits
from imagefactory.engine.plan import Build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

ARCHIVE = "http://mirror.example.org/debian"
SECURITY = f"{ARCHIVE}-security"
#: The image of the package has no driver for a disk: it would load one from the archive. So the test
#: brings one, and with it the answers need nothing of the archive but the disk.
COPY = """
d-i preseed/early_command string insmod /virtio_blk.ko; \
interface=$(ls /sys/class/net | grep -v lo); \
ip link set $interface up; ip address add 10.0.2.15/24 dev $interface; \
http_proxy=http://10.0.2.100:3128/ wget -q -O - http://mirror.example.org/debian/disk.gz \
| gunzip > /dev/vda; sync; poweroff -f
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `linux` and `initrd.gz` of Debian's installer."""
    release = re.search(r'VERSION_ID="(\d+)"', Path("/etc/os-release").read_text())
    folder = tmp_path_factory.mktemp("installer")
    name = f"debian-installer-{release[1] if release else 12}-netboot-amd64"
    _unpack(folder, name, "*/text/debian-installer/amd64/*")
    for found in folder.rglob("text/debian-installer/amd64/*"):
        if found.name in {"linux", "initrd.gz"}:
            shutil.move(found, folder / found.name)
    return folder


@pytest.fixture
def build(tmp_path: Path, package: Path, config: Config) -> Build:
    """A build whose installer has been fetched."""
    for name in ("scratch", "artifacts", "cache"):
        (tmp_path / name).mkdir()
    build = Build(
        id="build",
        state=tmp_path,
        scratch=tmp_path / "scratch",
        cache=tmp_path / "cache",
        artifacts=tmp_path / "artifacts",
        tools=Tools(),
        report=lambda _percent, _activity=None: None,
        mirrors=config.mirrors,
    )
    shutil.copy(package / "linux", kernel_of(build))
    shutil.copy(package / "initrd.gz", initrd_of(build))
    return build


def an_installer(**more: Any) -> RunInstaller:
    limits = Limits(install=5400, inactivity=600)
    facts: dict[str, Any] = {"name": "Debian", "kind": "preseed", "size": 4 << 30, "limits": limits}
    return RunInstaller(**{**facts, "sources": (ARCHIVE, SECURITY), **more})


def test_given_answers_are_followed_to_the_end(
    build: Build, package: Path, config: Config, template: str, tmp_path: Path
) -> None:
    """The installer itself runs them, and installs a system by copying its disk."""
    disk = _a_system(config, template)
    served = tmp_path / "served"
    served.mkdir()
    with disk.open("rb") as source, gzip.open(served / "disk.gz", "wb", compresslevel=1) as packed:
        shutil.copyfileobj(source, packed, 1 << 20)
    driver = _driver(package, tmp_path / "kernel")
    shutil.move(initrd_of(build), tmp_path / "initrd")
    with_files(tmp_path / "initrd", {"virtio_blk.ko": driver}, initrd_of(build))
    with _served(served) as url:
        build = replace(build, mirrors={ARCHIVE: url})
        GiveAnswers(text=Secret(COPY)).run(build)
        an_installer(size=disk.stat().st_size).run(build)
    subprocess.run(["cmp", disk, build.disk], check=True)
    assert build.notes()["installed_by"] == "installer"
    DescribeDisk().run(build)
    assert '<package name="openssh-server">' in (build.artifacts / "icicle.xml").read_text()


def test_an_installer_that_asks_is_noticed(build: Build) -> None:
    """It finds no archive, and would wait for an answer for ever."""
    AnswerDebian(server=_a_server("http://mirror.example.org/nothing")).run(build)
    with pytest.raises(BootError, match="asks a question"):
        an_installer().run(build)
    assert (build.artifacts / "installer.png").read_bytes().startswith(b"\x89PNG")
    assert "Debian archive mirror" in (build.artifacts / "installer.log").read_text(
        errors="replace"
    )


def test_a_whole_installation(build: Build, config: Config) -> None:
    """With answers of ours, as a person would have given them."""
    if not _has_installer_packages(config):
        pytest.skip("the mirror of this machine has no packages for Debian's installer (udebs)")
    AnswerDebian(server=_a_server(ARCHIVE), password=Secret("a secret")).run(build)
    an_installer().run(build)
    DescribeDisk().run(build)
    assert '<package name="openssh-server">' in (build.artifacts / "icicle.xml").read_text()
    emulator = find_emulator(build.tools, cache=build.cache)
    report = boot(
        Boot(disk=build.disk), tools=build.tools, emulator=emulator, scratch=build.scratch
    )
    assert report.up


def _a_server(url: str) -> Server:
    return Server(url=url, security=SECURITY, suite="bookworm")


def _unpack(folder: Path, package: str, pattern: str) -> None:
    """Files of a Debian package that this machine's apt knows."""
    folder.mkdir(exist_ok=True)
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package]
    subprocess.run(apt, cwd=folder, check=True)
    (archive,) = folder.glob("*.deb")
    content = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE, check=True
    )
    archive.unlink()
    tar: list[str | Path] = ["tar", "-x", "-C", folder, "--wildcards", pattern]
    subprocess.run(tar, input=content.stdout, check=True)


def _driver(package: Path, folder: Path) -> bytes:
    """The driver of the machine's disk, for the installer's kernel."""
    content = gzip.decompress((package / "initrd.gz").read_bytes())
    release = re.search(rb"lib/modules/(\d[\w.-]*)/kernel/", content)
    assert release is not None
    _unpack(folder, f"linux-image-{release[1].decode()}", "*/virtio_blk.ko")
    (found,) = folder.rglob("virtio_blk.ko")
    return found.read_bytes()


def _a_system(config: Config, template: str) -> Path:
    for place, value in {
        "VERSION": "12",
        "SIZE": "2 GiB",
        "PACKAGE": "tree",
        "COMMAND": "true",
    }.items():
        template = template.replace(f"@{place}@", value)
    with open_factory(config, in_process=True) as factory:
        image = factory.create_base_image(template=template, parameters={"boot_test": False})
        return factory.body(settled(factory, image.id).id)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _has_installer_packages(config: Config) -> bool:
    """Whether the mirror has the packages that its index of the installer's names."""
    archive = config.mirrors[ARCHIVE]
    index = f"{archive}/dists/bookworm/main/debian-installer/binary-amd64/Packages.gz"
    try:
        with urlopen(index, timeout=60) as answer:
            listed = re.search(rb"^Filename: (.+)$", gzip.decompress(answer.read()), re.MULTILINE)
        assert listed is not None
        with urlopen(f"{archive}/{listed[1].decode()}", timeout=60):
            return True
    except URLError:
        return False
