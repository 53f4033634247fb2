"""Remembers on this machine what a snapshot holds, since EBS tells no checksum of a block."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from imagefactory.engine.files import write_atomically

#: a block's index, the SHA-256 of its bytes, and whether it was `sent` or is the `parent`'s
_LINE: Final = re.compile(r"(\d+) ([0-9a-f]{64}) (sent|parent)")


class Manifest:
    """The blocks of one snapshot that are not all zeros, by the SHA-256 of each.

    A file with a line for each block, made longer by one with each that is sent: after the death of
    the process it says what need not be sent again. Of two lines about one block the later counts.
    """

    def __init__(self, path: Path, lines: Mapping[int, tuple[bytes, bool]]) -> None:
        self._path = path
        self._lines = dict(lines)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The manifest in this file; a line that a crash cut off is left out."""
        found = (_LINE.fullmatch(line) for line in path.read_text(errors="replace").splitlines())
        return cls(
            path,
            {int(f[1]): (bytes.fromhex(f[2]), f[3] == "sent") for f in found if f is not None},
        )

    @classmethod
    def begin(cls, path: Path, parent: Self | None) -> Self:
        """That of a snapshot which begins with what its parent holds."""
        inherited = parent.digests if parent else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"{index} {digest.hex()} parent\n" for index, digest in inherited.items())
        write_atomically(path, "".join(lines))
        return cls(path, {index: (digest, False) for index, digest in inherited.items()})

    @property
    def digests(self) -> Mapping[int, bytes]:
        """What each block holds, by index."""
        return {index: digest for index, (digest, _) in self._lines.items()}

    @property
    def sent(self) -> Mapping[int, bytes]:
        """The blocks that are the snapshot's own, in order."""
        return {index: digest for index, (digest, own) in sorted(self._lines.items()) if own}

    def digest(self, index: int) -> bytes | None:
        """What one block holds; None where nobody ever wrote it."""
        known = self._lines.get(index)
        return known[0] if known else None

    def add(self, index: int, digest: bytes) -> None:
        """A block that the server has taken."""
        self._lines[index] = (digest, True)
        with self._path.open("a") as file:
            file.write(f"\n{index} {digest.hex()} sent\n")


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """The manifests of this machine, by the ids of the snapshots."""

    folder: Path

    def find(self, snapshot: str) -> Manifest | None:
        """What a snapshot holds, if it was made here."""
        path = self._path(snapshot)
        return Manifest.read(path) if path.exists() else None

    def begin(self, snapshot: str, parent: Manifest | None) -> Manifest:
        """A new snapshot's, which begins with what its parent holds."""
        return Manifest.begin(self._path(snapshot), parent)

    def forget(self, snapshot: str) -> None:
        """Drop that of a snapshot that is no more."""
        self._path(snapshot).unlink(missing_ok=True)

    def _path(self, snapshot: str) -> Path:
        return self.folder / f"{snapshot}.blocks"
