"""One boot under way: how far it has come, and why it failed when it did."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from imagefactory.core.errors import BootError
from imagefactory.engine.boot.console import Console, Watch, quote
from imagefactory.engine.boot.firmware import TITLES, Firmware
from imagefactory.engine.boot.running import Running

#: What people look for in a console that ended badly; kernels complain of much that does no harm.
_COMPLAINT: Final = re.compile(
    r"^error: |^\[(?:FAILED|DEPEND| TIME )\]|ALERT!|Boot failed|failed to load Boot|VFS: |doesn't have requested"
)
_LAST_WORDS: Final = 0.5  # seconds that a machine which has failed is still listened to

Found = TypeVar("Found")

#: What the console says at each stage, in the order of a boot; kernels booted with `quiet` skip some.
STAGES: Final = {
    "kernel": re.compile(r"Linux version \d|Decompressing Linux|EFI stub: "),
    "systemd": re.compile(r"systemd\[1\]: |Welcome to (?!GRUB!).+!"),
    "target": re.compile(
        r"Reached target (?:multi-user\.target|graphical\.target|Multi-User System|Graphical Interface)"
    ),
    "login": re.compile(r"^(?:\S+ )?login: ?(?:$|\[)"),  # the kernel may write behind the prompt
}

#: What is said when nothing more will come. Waiting for the time limit would tell no more.
BROKEN: Final = re.compile(
    r"""
    No\ bootable\ device                             # SeaBIOS
    | No\ bootable\ option\ or\ device\ was\ found   # OVMF
    | UEFI\ Interactive\ Shell
    | grub(?:\ rescue)?>\ ?$
    | you\ need\ to\ load\ the\ kernel\ first
    | Kernel\ panic\ -\ not\ syncing
    | Dropping\ to\ a\ shell! | ^\(initramfs\)       # initramfs-tools
    | Entering\ emergency\ mode | ^dracut:/\#
    | No\ init\ found | job\ control\ turned\ off     # a shell where the system should be
    | (?:[Yy]ou\ are\ in|Welcome\ to)\ (?:emergency|rescue)\ mode
    | Cannot\ open\ access\ to\ console,\ the\ root\ account\ is\ locked
    """,
    re.VERBOSE,
)


@dataclass(kw_only=True)
class Trial:
    """A disk that boots, and all that can be seen of it."""

    disk: str  #: its name, for messages
    firmware: Firmware
    console: Console
    running: Running
    stages: dict[str, Watch]
    broken: Watch
    log: Path | None = None  #: where the whole console can be read

    def wait(self, ready: Callable[[], Found | None], *, seconds: float, failing: str) -> Found:
        """What `ready` finds; `BootError` as soon as it cannot be found any more.

        `failing` says what did not happen, e.g. `did not reach a login prompt`.
        """
        found = self.wait_for_a_while(ready, seconds=seconds, failing=failing)
        if found is None:
            raise self.failed(f"{failing} in {seconds:.0f} s")
        return found

    def wait_for_a_while(
        self, ready: Callable[[], Found | None], *, seconds: float, failing: str
    ) -> Found | None:
        """As `wait`, but None when only the time is over."""
        found = self.running.wait(ready, seconds=seconds, hopeless=lambda: self.broken.seen)
        if found is not None:
            return found
        if self.broken.seen:
            self.running.wait(lambda: None, seconds=_LAST_WORDS)
            raise self._error("did not boot", f'the console says "{quote(self._reasons)}"')
        if self.running.exit_status is not None:
            raise self._ended(failing)
        return None

    def failed(self, what: str) -> BootError:
        """The error for something that the console does not explain by itself."""
        said = self.console.tail[-3:]
        last = f'the console ended with "{quote(said)}"' if said else "the console stayed silent"
        return self._error(what, last)

    @property
    def _reasons(self) -> list[str]:
        """The line that ended the hope, after what was complained of just before it."""
        complaints = [line for line in self.broken.before if _COMPLAINT.search(line)]
        return [*complaints[-2:], self.broken.line or ""]

    def _ended(self, failing: str) -> BootError:
        complaints = self.running.complaints.decode(errors="replace").splitlines()
        if not self.running.exit_status:
            return self.failed(f"switched its machine off or restarted it, and {failing}")
        return self._error(failing, f'QEMU ended with "{quote(complaints[-2:])}"')

    def _error(self, what: str, why: str) -> BootError:
        return BootError(
            f'The disk "{self.disk}" {what} ({TITLES[self.firmware]}): {why}',
            hint=None if self.log is None else f'Read the whole console in "{self.log}"',
            tail="\n".join(self.console.tail),
        )
