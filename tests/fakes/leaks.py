"""What a build could leave on the host, counted before and after."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Host:
    """The host as a build must leave it."""

    mounts: tuple[str, ...]
    loop_devices: tuple[str, ...]
    temporary: tuple[str, ...]

    @classmethod
    def now(cls) -> "Host":
        """The host at this moment."""
        loops = Path("/sys/block").glob("loop*/loop/backing_file")
        return cls(
            mounts=tuple(sorted(Path("/proc/self/mounts").read_text().splitlines())),
            loop_devices=tuple(sorted(map(str, loops))),
            temporary=tuple(
                sorted(p.name for p in Path(tempfile.gettempdir()).iterdir() if _ours(p.name))
            ),
        )


def processes_in(folder: Path) -> list[str]:
    """The command lines of all processes that work in this folder, or have a file of it open or named."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            command = (
                (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            inside = (process / "cwd").readlink().is_relative_to(folder)
        except OSError:
            continue
        if inside or str(folder) in command:
            found.append(command)
    return found


def _ours(name: str) -> bool:
    return "imagefactory" in name.lower() or name.startswith("tmp.")
