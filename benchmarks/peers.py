"""How each peer is told to make a disk of given packages: its files, its command line."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.chroot import Chroot
from benchmarks.efforts import Work
from benchmarks.mirror import Mirror
from imagefactory.core.lock import Lock

_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"

_MKOSI: Final = """[Distribution]
Distribution=debian
Release=bookworm
Architecture=x86-64

[Output]
Format=disk
Output=image
OutputDirectory=/job/out

[Build]
BuildSources=
CacheDirectory=/job/cached
Incremental={incremental}
PackageCacheDirectory=/job/packages
SandboxTrees=/job/sandbox
WithNetwork=yes
WorkspaceDirectory=/job/space

[Content]
BiosBootloader=grub
Bootable=yes
Bootloader=grub
Packages={packages}
VolatilePackages={added}
"""

_VMDB2: Final = """steps:
  - {{mkimg: "{{{{ output }}}}", size: 2G}}
  - {{mklabel: gpt, device: "{{{{ output }}}}"}}
  - {{mkpart: primary, device: "{{{{ output }}}}", start: 1M, end: 2M, tag: bios}}
  - {{mkpart: primary, device: "{{{{ output }}}}", start: 2M, end: 100%, tag: root}}
  - kpartx: "{{{{ output }}}}"
  - {{mkfs: ext4, partition: root}}
  - mount: root
  - {{debootstrap: bookworm, mirror: "{mirror}", target: root, include: [{packages}]}}
  - {{grub: bios, tag: root, image-dev: "{{{{ output }}}}"}}
"""

_KIWI: Final = """<?xml version="1.0" encoding="utf-8"?>
<image schemaversion="8.0" name="bench">
  <description type="system">
    <author>bench</author>
    <contact>bench@example.org</contact>
    <specification>The packages of the comparison</specification>
  </description>
  <preferences>
    <version>1.0.0</version>
    <packagemanager>apt</packagemanager>
    <type image="oem" filesystem="ext4" firmware="bios" initrd_system="none" format="raw">
      <bootloader name="grub2" console="serial" timeout="1"/>
      <oemconfig><oem-resize>false</oem-resize></oemconfig>
      <size unit="G">2</size>
    </type>
  </preferences>
  <users><user password="*" home="/root" name="root" groups="root"/></users>
  <repository type="apt-deb" alias="main" distribution="bookworm" components="main"
              repository_gpgcheck="false"><source path="{mirror}"/></repository>
  <packages type="image">{packages}</packages>
  <packages type="bootstrap"><package name="apt"/></packages>
</image>
"""


def mkosi(chroot: Chroot, mirror: Mirror, *, lock: Lock, folder: Path, added: str = "") -> Work:
    """From nothing but its package cache; with a package `added`, on the tree that it has kept."""
    work = _folder(folder / ("mkosi-added" if added else "mkosi"))
    # What it has kept names the mirror by its port, which is another each time.
    shutil.rmtree(work / "cached", ignore_errors=True)
    for name in ("out", "cached", "packages", "space", "sandbox/etc/apt/sources.list.d"):
        (work / name).mkdir(parents=True, exist_ok=True)
    apt = work / "sandbox/etc/apt"
    (apt / "sources.list.d/mkosi.sources").write_text(_sources(mirror))
    (apt / "apt.conf.d").mkdir(exist_ok=True)
    (apt / "apt.conf.d/languages").write_text('Acquire::Languages "none";\n')
    packages = "".join(f"\n    {name}" for name in _names(lock))
    incremental = "yes" if added else "no"
    (work / "mkosi.conf").write_text(
        _MKOSI.format(packages=packages, added=added, incremental=incremental)
    )
    return Work(
        name="mkosi",
        command=chroot.entered(["mkosi", "--force", "build"], work=work),
        written=(work / "out" / "image.raw",),
        log=work / "log",
    )


def vmdb2(chroot: Chroot, mirror: Mirror, *, lock: Lock, folder: Path) -> Work:
    """A disk for BIOS."""
    work = _folder(folder / "vmdb2")
    packages = ", ".join(_names(lock))
    text = _VMDB2.format(mirror=mirror.url("debian"), packages=packages)
    (work / "image.yaml").write_text(text)
    command = [
        "vmdb2",
        "--verbose",
        "--output",
        "/job/image.raw",
        "--log",
        "stderr",
        "/job/image.yaml",
    ]
    return Work(
        name="vmdb2",
        command=chroot.entered(command, work=work),
        written=(work / "image.raw",),
        log=work / "log",
    )


def kiwi(chroot: Chroot, mirror: Mirror, *, lock: Lock, folder: Path) -> Work:
    """A disk for BIOS."""
    work = _folder(folder / "kiwi")
    packages = "".join(f'<package name="{name}"/>' for name in _names(lock))
    (work / "config.xml").write_text(_KIWI.format(mirror=mirror.url("debian"), packages=packages))
    command = ["python3", "-c", "from kiwi.kiwi import main; main()", "system", "build"]
    command += ["--description", "/job", "--target-dir", "/job/out"]
    return Work(
        name="KIWI",
        command=chroot.entered(command, work=work),
        written=(work / "out/bench.x86_64-1.0.0.raw",),
        prepare=lambda: shutil.rmtree(work / "out", ignore_errors=True),
        log=work / "log",
    )


def diskimage_builder(chroot: Chroot, mirror: Mirror, *, lock: Lock, folder: Path) -> Work:
    """A disk for BIOS."""
    work = _folder(folder / "diskimage-builder")
    env = {
        "DIB_RELEASE": "bookworm",
        "DIB_DISTRIBUTION_MIRROR": mirror.url("debian"),
        "DIB_DEBIAN_SECURITY_MIRROR": mirror.url("debian-security"),
        "DIB_IMAGE_CACHE": "/job/cache",
        "TMP_DIR": "/job",
    }
    command = ["disk-image-create", "-t", "raw", "-o", "/job/image"]
    command += ["--image-size", "2", "-p", ",".join(_names(lock)), "debian-minimal", "vm"]
    return Work(
        name="diskimage-builder",
        command=chroot.entered(command, work=work, env=env),
        written=(work / "image.raw",),
        log=work / "log",
    )


def mmdebstrap(chroot: Chroot, mirror: Mirror, *, lock: Lock, folder: Path) -> Work:
    """The tree alone."""
    work = _folder(folder / "mmdebstrap")
    source = f"deb [signed-by={_KEYRING}] {{}} bookworm{{}} main"
    archives = (("debian", ""), ("debian", "-updates"), ("debian-security", "-security"))
    command = ["mmdebstrap", "--variant=essential", f"--include={','.join(_names(lock))}"]
    command += ["bookworm", "/job/tree"]
    command += [source.format(mirror.url(name), suffix) for name, suffix in archives]
    return Work(
        name="mmdebstrap",
        command=chroot.entered(command, work=work),
        prepare=lambda: shutil.rmtree(work / "tree", ignore_errors=True),
        log=work / "log",
    )


#: those that are no part of a promise
OTHERS: Final[Mapping[str, Callable[..., Work]]] = {
    "vmdb2": vmdb2,
    "KIWI": kiwi,
    "diskimage-builder": diskimage_builder,
    "mmdebstrap, the tree alone": mmdebstrap,
}


def _names(lock: Lock) -> list[str]:
    return sorted({package.name for package in lock.packages})


def _folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sources(mirror: Mirror) -> str:
    archives = {"debian": "bookworm bookworm-updates", "debian-security": "bookworm-security"}
    return "\n".join(
        f"Types: deb\nURIs: {mirror.url(name)}\nSuites: {suites}\nComponents: main\n"
        f"Signed-By: {_KEYRING}\n"
        for name, suites in archives.items()
    )
