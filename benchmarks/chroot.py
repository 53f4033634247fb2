"""A Debian 13 in a folder, in which the peers run: newer ones than the host's, and nothing is added to the host."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from benchmarks.efforts import Command
from benchmarks.mirror import Mirror
from imagefactory.core.errors import BuildError

_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_INSTALLED: Final = "peers"  #: says which packages a finished chroot has

_PEERS: Final = ("mkosi", "vmdb2", "python3-diskimage-builder", "mmdebstrap", "debootstrap")
#: what they start, and do not all ask for
_TOOLS: Final = (
    "apt", "ca-certificates", "cpio", "debian-archive-keyring", "dosfstools", "e2fsprogs", "fdisk",
    "gawk", "gdisk", "git", "grub-common", "grub-efi-amd64-bin", "grub-pc-bin", "grub2-common",
    "kmod", "kpartx", "lvm2", "mtools", "parted", "procps", "python3-pefile", "qemu-utils", "rsync",
    "squashfs-tools", "sudo", "systemd-boot-efi", "systemd-boot-tools", "systemd-repart",
    "systemd-ukify", "udev", "uidmap", "xz-utils", "zstd",
)  # fmt: skip
#: what KIWI, which Debian lacks, imports
_LIBRARIES: Final = (
    "python3-cerberus", "python3-lxml", "python3-progressbar2", "python3-requests",
    "python3-simplejson", "python3-typer", "python3-yaml",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Chroot:
    """The folder, with KIWI in another beside it."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, mirror: Mirror) -> Self:
        """The one that is there, or a new one; `BuildError` when it cannot be made."""
        chroot = cls(folder=folder)
        packages = ",".join(sorted({*_PEERS, *_TOOLS, *_LIBRARIES}))
        stamp = folder / _INSTALLED
        if stamp.exists() and stamp.read_text() == packages:
            return chroot
        if os.geteuid():
            msg = "The peers' programs need root"
            raise BuildError(msg, hint='Run "make bench" as root, or other parts of it')
        if shutil.which("mmdebstrap") is None:
            msg = 'The program "mmdebstrap" is not installed'
            raise BuildError(msg, hint='Run "scripts/setup bench"')
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        source = f"deb {mirror.url('debian')} trixie main"
        _run(
            "mmdebstrap", "--quiet", "--variant=apt", f"--include={packages}",
            f"--keyring={_KEYRING}", "trixie", str(chroot.root), source,
        )  # fmt: skip
        target = str(chroot.kiwi)
        pip = (sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--target", target)
        _run(*pip, "kiwi", "typer", "annotated-doc")  # Debian's typer is too old for it
        stamp.write_text(packages)
        return chroot

    @property
    def root(self) -> Path:
        """The system."""
        return self.folder / "root"

    @property
    def kiwi(self) -> Path:
        """KIWI from PyPI."""
        return self.folder / "kiwi"

    def entered(
        self, command: Sequence[str], *, work: Path, env: Mapping[str, str] | None = None
    ) -> Command:
        """A program in it, in whose `/job` a folder of the host's lies."""
        words = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        words |= {"PYTHONPATH": "/opt/kiwi", **(env or {})}
        return [
            *("bwrap", "--die-with-parent", "--cap-add", "ALL", "--bind", self.root, "/"),
            *("--dev-bind", "/dev", "/dev", "--proc", "/proc", "--bind", "/sys", "/sys"),
            *(
                "--tmpfs",
                "/tmp",
                "--tmpfs",
                "/run",
                "--unshare-uts",
                "--hostname",
                "localhost",
                "--bind",
                work,
                "/job",
            ),
            *("--ro-bind", self.kiwi, "/opt/kiwi", "--chdir", "/job", "--clearenv"),
            *(word for name, value in words.items() for word in ("--setenv", name, value)),
            *command,
        ]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        msg = f'"{command[0]}" failed while the peers were installed: {said[-1]}'
        raise BuildError(msg)
