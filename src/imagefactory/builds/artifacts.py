"""The files that a build leaves beside an image: its log, lock, bills of materials, boot reports."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One of these files."""

    name: str
    size: int  #: bytes
    location: str  #: a path, or the address of a daemon's


def listed(folder: Path) -> tuple[Artifact, ...]:
    """What people are meant to see, by name; what begins with a dot is a file in the making."""
    if not folder.is_dir():
        return ()
    return tuple(_artifact(path) for path in sorted(folder.iterdir()) if _is_public(path))


def _artifact(path: Path) -> Artifact:
    return Artifact(name=path.name, size=path.stat().st_size, location=str(path))


def _is_public(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.name.startswith(".")
