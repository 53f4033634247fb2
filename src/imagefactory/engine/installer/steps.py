"""The steps of an installation: the answers, the installer's run, and what it has installed."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from imagefactory.core.errors import BuildError
from imagefactory.core.icicle import DISABLED, Icicle, InstalledPackage, render
from imagefactory.core.secret import Secret
from imagefactory.engine.bom import NAME, read_status
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.machine import Kernel
from imagefactory.engine.disk.ext4_files import Ext4Files
from imagefactory.engine.files import write_atomically
from imagefactory.engine.inspection import inspect_system, partitions
from imagefactory.engine.installer import kickstart, preseed
from imagefactory.engine.installer.answers import FORMS, Kind
from imagefactory.engine.installer.fetching import initrd_of, kernel_of
from imagefactory.engine.installer.initrd import with_files
from imagefactory.engine.installer.installation import Installation, install
from imagefactory.engine.installer.watching import Limits, Phase
from imagefactory.engine.plan import Build, Step

LOG: Final = "installer.log"
SCREENSHOT: Final = "installer.png"
_STATUS: Final = "var/lib/dpkg/status"
_SHARES: Final[dict[Phase, int]] = {"start": 0, "prepare": 5, "install": 20}


def answers_of(build: Build) -> Path:
    """Where the answers lie until the installer has run; nobody else reads them."""
    return build.scratch / "answers"


@dataclass(frozen=True, kw_only=True)
class GiveAnswers(Step):
    """Takes the answers that the client has given, as they are."""

    text: Secret

    @property
    def activity(self) -> str:
        return "Taking the given answers"

    def run(self, build: Build) -> None:
        write_atomically(answers_of(build), self.text.reveal(), mode=0o600)


@dataclass(frozen=True, kw_only=True)
class AnswerDebian(Step):
    """Writes the answers for Debian's installer."""

    server: preseed.Server  #: without a password
    password: Secret | None = None  #: root's; None: nobody logs in with one

    @property
    def activity(self) -> str:
        return "Writing the answers"

    def run(self, build: Build) -> None:
        hashed = "!" if self.password is None else _hashed(build, self.password)
        text = preseed.preseed(self.server, password=hashed)
        write_atomically(answers_of(build), text, mode=0o600)


@dataclass(frozen=True, kw_only=True)
class AnswerAnaconda(Step):
    """Writes the answers for Anaconda."""

    server: kickstart.Server  #: without a password
    password: Secret | None = None  #: root's; None: nobody logs in with one

    @property
    def activity(self) -> str:
        return "Writing the answers"

    def run(self, build: Build) -> None:
        hashed = None if self.password is None else _hashed(build, self.password)
        text = kickstart.kickstart(self.server, password=hashed)
        write_atomically(answers_of(build), text, mode=0o600)


@dataclass(frozen=True, kw_only=True)
class RunInstaller(Step):
    """Installs onto `build.disk` with the fetched installer and the written answers.

    Leaves `installer.log`, and `installer.png` of one that has failed. Raises `BootError` with the words
    that clients know when it is idle or takes too long; `BuildError` when there is no system in the end.
    """

    weight: ClassVar[int] = 600

    name: str  #: of the system, for messages
    kind: Kind
    size: int  #: bytes of the disk
    sources: tuple[str, ...]  #: URL prefixes that it may fetch from
    arguments: tuple[str, ...] = ()  #: of the installer's kernel, beside those that its kind needs
    limits: Limits = field(default_factory=Limits)

    @property
    def activity(self) -> str:
        return "Running the installer"

    def run(self, build: Build) -> None:
        emulator = find_emulator(build.tools, cache=build.cache)
        form, answers = FORMS[self.kind], answers_of(build)
        build.disk.unlink(missing_ok=True)  # what an earlier run has left is of no use
        with build.disk.open("wb") as disk:
            disk.truncate(self.size)
        initrd = build.scratch / "installer-initrd-answers"
        initrd.touch(mode=0o600)
        try:
            with_files(initrd_of(build), {form.file: answers.read_bytes()}, initrd)
            arguments = ("console=tty0", "console=ttyS0", *form.arguments, *self.arguments)
            what = Installation(
                name=self.name,
                kernel=Kernel(image=kernel_of(build), initrd=initrd, arguments=" ".join(arguments)),
                disk=build.disk,
                sources=self.sources,
                limits=self.limits,
                log=build.artifacts / LOG,
                screenshot=build.artifacts / SCREENSHOT,
                entered=_telling(build),
            )
            install(what, build, emulator)
        finally:
            initrd.unlink()
        found = inspect_system(build.disk, name=self.name, tools=build.tools, cache=build.cache)
        build.tools.log(f"The installer has installed {found.id} {found.version} ({found.arch})")
        build.note(installed_by="installer")


@dataclass(frozen=True, kw_only=True)
class DescribeDisk(Step):
    """Writes the ICICLE of what an installer has made (`icicle.xml`), read from the disk itself.

    The packages are those of dpkg's database on an ext4 file system; of other systems none are known.
    """

    description: str | None = None
    enabled: bool = True  #: parameter `generate_icicle`

    @property
    def activity(self) -> str:
        return "Listing packages"

    def run(self, build: Build) -> None:
        text = DISABLED
        if self.enabled:
            known = read_status("".join(_status(build)))
            packages = tuple(
                InstalledPackage(name=one.name) for one in known if one.selection == "install"
            )
            text = render(Icicle(description=self.description, packages=packages))
        write_atomically(build.artifacts / NAME, text)


def _status(build: Build) -> Iterator[str]:
    """The database of dpkg on the disk."""
    with build.disk.open("rb") as disk:
        for offset in partitions(disk):
            try:
                files = Ext4Files(disk, offset=offset, name="disk")
                inode = files.find(_STATUS)
            except BuildError:
                continue  # another file system
            if inode is not None:
                yield b"".join(files.content(inode)).decode()


def _telling(build: Build) -> Callable[[Phase], None]:
    def entered(phase: Phase) -> None:
        build.tools.log(f"The installer is in the phase {phase}")
        build.report(_SHARES[phase])

    return entered


def _hashed(build: Build, password: Secret) -> str:
    """The password as crypt(5)'s SHA-512; its salt is of this build alone, as the installer's own is."""
    salt = hashlib.sha256(os.urandom(32)).hexdigest()[:16]
    argv = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    return build.tools.run(argv, stdin=password.reveal().encode(), quiet=True).strip()
