"""What the host must have: each program, and the Debian package that brings it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: where the host's programs are looked for, whatever the caller's environment says
SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: program -> Debian package; `imagefactory doctor` shows it, `ToolMissing` hints with it
PROGRAMS: Final[Mapping[str, str]] = {
    "apt-get": "apt",
    "bwrap": "bubblewrap",
    "dnf": "dnf",
    "dpkg-deb": "dpkg",
    "e2fsck": "e2fsprogs",
    "gpgv": "gpgv",
    "grub-mkimage": "grub-common",
    "mcopy": "mtools",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mmd": "mtools",
    "newuidmap": "uidmap",
    "openssl": "openssl",
    "qemu-img": "qemu-utils",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "rpmkeys": "rpm",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "xz": "xz-utils",
    "zypper": "zypper",
}

#: those of them that only the RPM family needs, and only systems for another processor
RPM_PROGRAMS: Final = frozenset({"dnf", "rpmkeys", "zypper"})
FOREIGN_PROGRAMS: Final = frozenset({"qemu-aarch64-static", "qemu-system-aarch64"})


def identity(program: str) -> str:
    """What changes when another version of a program is installed, or none is any more."""
    path = shutil.which(program, path=SEARCH_PATH)
    if path is None:
        return program
    status = Path(path).stat()
    return f"{program} {status.st_size} {status.st_mtime_ns}"


def package_of(program: str) -> str:
    """The Debian package that brings a program; its own name where the table is silent."""
    return PROGRAMS.get(program, program)
