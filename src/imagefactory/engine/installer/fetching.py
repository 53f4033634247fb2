"""Fetches the kernel and the initrd of an installer, and believes them as the distribution says."""

import hashlib
import re
from configparser import ConfigParser, ParsingError
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from imagefactory.core.errors import CommandFailed, VerificationError
from imagefactory.engine.fetch import fetch
from imagefactory.engine.files import write_atomically
from imagefactory.engine.mirrors import shown
from imagefactory.engine.plan import Build, Step

_LISTING: Final = 16 << 20  # bytes of an index that are read
_FILE: Final = 512 << 20  # bytes of a kernel or an initrd
_SUM: Final = re.compile(r"^ ?([0-9a-f]{64}) +(?:\d+ +)?(?:\./)?(\S+)$", re.MULTILINE)


def kernel_of(build: Build) -> Path:
    """Where the installer's kernel lies."""
    return build.scratch / "installer-kernel"


def initrd_of(build: Build) -> Path:
    """Where the installer's initrd lies."""
    return build.scratch / "installer-initrd"


@dataclass(frozen=True, kw_only=True)
class FetchDebianInstaller(Step):
    """Brings Debian's installer for the network from its archive, along the chain of its signatures.

    The archive's key signs `InRelease`, which has the digest of `SHA256SUMS`, which has those of the
    files. Raises `FetchError`; `VerificationError` where the chain breaks.
    """

    weight: ClassVar[int] = 5

    release: str  #: URL of the folder with `InRelease`
    folder: str  #: of the images, relative to it
    keyring: str  #: a file of the host's
    kernel: str = "netboot/debian-installer/amd64/linux"  #: relative to the images
    initrd: str = "netboot/debian-installer/amd64/initrd.gz"

    @property
    def activity(self) -> str:
        return "Fetching the installer"

    def run(self, build: Build) -> None:
        release = self._signed(build, fetch(build, f"{self.release}/InRelease", limit=_LISTING))
        images = f"{self.release}/{self.folder}"
        listing = fetch(build, f"{images}/SHA256SUMS", limit=_LISTING)
        _verify(listing, sums(release), f"{self.folder}/SHA256SUMS", f"{images}/SHA256SUMS")
        known = sums(listing.decode())
        for name, target in ((self.kernel, kernel_of(build)), (self.initrd, initrd_of(build))):
            content = fetch(build, f"{images}/{name}", limit=_FILE)
            _verify(content, known, name, f"{images}/{name}")
            write_atomically(target, content)

    def _signed(self, build: Build, content: bytes) -> str:
        """What the archive's key has signed of this."""
        try:
            argv = ["gpgv", "--quiet", "--keyring", self.keyring, "--output", "-"]
            return build.tools.run(argv, stdin=content, quiet=True)
        except CommandFailed as error:
            msg = f'The signature of "{shown(self.release)}/InRelease" is not valid'
            hint = f'No key in "{self.keyring}" has made it'
            raise VerificationError(msg, hint=hint) from error


@dataclass(frozen=True, kw_only=True)
class FetchAnaconda(Step):
    """Brings Anaconda from a tree of Fedora's or of a descendant of Red Hat Enterprise Linux.

    The tree's `.treeinfo` says where the files lie, and their digests. Nobody signs it: what is
    installed is verified by the answers' repositories, and the installer only as far as its way here.
    """

    weight: ClassVar[int] = 5

    url: str  #: of the tree
    arch: str  #: as TDL has it

    @property
    def activity(self) -> str:
        return "Fetching the installer"

    def run(self, build: Build) -> None:
        url = f"{self.url.rstrip('/')}/.treeinfo"
        files = images(fetch(build, url, limit=_LISTING).decode(errors="replace"), self.arch)
        if files is None:
            msg = f'"{shown(url)}" names no installer for "{self.arch}"'
            raise VerificationError(msg, hint="Give the URL of the folder that holds it")
        known = {file: digest for file, digest in files if digest}
        for (name, _), target in zip(files, (kernel_of(build), initrd_of(build)), strict=True):
            place = f"{self.url.rstrip('/')}/{name}"
            content = fetch(build, place, limit=_FILE)
            if name in known:  # trees of release 5 give none
                _verify(content, known, name, place)
            write_atomically(target, content)


def images(treeinfo: str, arch: str) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Kernel and initrd in a `.treeinfo`, each with its SHA-256 or nothing; None where it has none."""
    content = ConfigParser(interpolation=None, strict=False)
    try:
        content.read_string(treeinfo)
        section = content[f"images-{arch}"]
        names = section["kernel"], section["initrd"]
    except (ParsingError, KeyError):
        return None
    given = (content.get("checksums", name, fallback="") for name in names)
    kernel, initrd = (text.removeprefix("sha256:") if "sha256:" in text else "" for text in given)
    return (names[0], kernel), (names[1], initrd)


def sums(listing: str) -> dict[str, str]:
    """File -> SHA-256, from the output of sha256sum(1) or that part of a `Release` file."""
    return {name: digest for digest, name in _SUM.findall(listing)}


def _verify(content: bytes, known: dict[str, str], name: str, url: str) -> None:
    if known.get(name) != hashlib.sha256(content).hexdigest():
        msg = f'"{shown(url)}" does not have the SHA-256 that its archive gives'
        raise VerificationError(msg, hint="The mirror is damaged, or in the middle of an update")
