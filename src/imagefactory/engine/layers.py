"""Sealed layers of trees that builds share, by a key of all that went into them."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory.engine.eviction import in_use
from imagefactory.engine.files import is_at
from imagefactory.engine.locks import wait_for_lock
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.threads import Asking

#: of the guest's `/`, which takes it from the folder of its topmost layer
ROOT_MODE: Final = 0o755

#: All that a layer is: names, contents, owners, modes, times, links, and what overlayfs notes in attributes.
_MEASURE: Final = """
tar --create --sort=name --format=posix --pax-option=delete=atime,delete=ctime --numeric-owner \\
    --xattrs --xattrs-include='*' --directory=tree . | openssl dgst -sha256 -r
du --summarize --block-size=1 tree
"""

#: Targets of one base begin together, with the same layers below them.
_DIGESTS: Final[Asking[Path, str]] = Asking()


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """What a layer was sealed with, in `sealed.json` beside its tree."""

    digest: str  #: SHA-256 of all that it is
    size: int  #: bytes on the disk
    made: float  #: seconds since 1970


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The layers of one factory: `cache/layers/<key>/tree`.

    Nothing here is synced to the disk: a layer that a power cut has damaged does not have its digest.
    """

    build: Build

    @property
    def folder(self) -> Path:
        """Where they all lie."""
        return self.build.cache / "layers"

    def find(self, key: str, *, youngest: float = 0.0) -> Path | None:
        """The layer with this key, if it is whole and was made at `youngest` or later.

        One that is damaged goes. What is found stays found only while the cache is `in_use`.
        """
        layer = self.folder / key
        sealed = self.sealed(key)
        if sealed is None or sealed.made < youngest:
            return None
        check = self.build.tools.cancellation.check
        if _DIGESTS.ask(layer, lambda: self._measured(layer)[0], check=check) != sealed.digest:
            self.build.tools.log(f"The layer {key[:12]} is damaged, and is made anew")
            self._remove(layer)
            return None
        os.utime(layer / "sealed.json")
        return layer / "tree"

    def sealed(self, key: str) -> Sealed | None:
        """What a layer was sealed with; None when there is none, or half of one."""
        try:
            values: dict[str, Any] = json.loads((self.folder / key / "sealed.json").read_text())
            return Sealed(**values)
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def sealed_at(self, layer: Path) -> Sealed | None:
        """What this layer of a tree was sealed with; None when it is not shared."""
        return self.sealed(layer.parent.name) if layer.parent.parent == self.folder else None

    @contextmanager
    def create(self, key: str, *, youngest: float = 0.0) -> Iterator[Path | None]:
        """A folder with an empty `tree` and `work`; the tree becomes the layer when the block ends.

        One build makes a key at a time; who waited, and finds that another has made it, gets None.
        What a crash left half made is removed first, and never used.
        """
        partial = self.folder / f".{key}.partial"
        sandbox = self._sandbox
        sandbox.own(self.folder)
        with self._claimed(partial):
            if self.find(key, youngest=youngest):
                sandbox.remove(partial)
                yield None
                return
            for left in list(partial.iterdir()):
                sandbox.remove(left)
            try:
                sandbox.own(partial / "work")
                sandbox.own(partial / "tree", mode=ROOT_MODE)
                yield partial
                for left in list(partial.iterdir()):
                    if left.name != "tree":
                        sandbox.remove(left)
                self._seal(partial, key)
            finally:
                sandbox.remove(partial)

    @property
    def _sandbox(self) -> Sandbox:
        return Sandbox(state=self.build.state, tools=self.build.tools)

    @contextmanager
    def _claimed(self, partial: Path) -> Iterator[None]:
        """The folder in which a layer grows, ours alone: it is itself what is locked."""
        check = self.build.tools.cancellation.check
        while True:
            self._sandbox.own(partial)
            handle = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                wait_for_lock(handle, check=check)
                if is_at(handle, partial):  # else who had it has sealed or removed it
                    yield
                    return
            finally:
                os.close(handle)

    def _seal(self, partial: Path, key: str) -> None:
        digest, size = self._measured(partial)
        sealed = {"digest": digest, "size": size, "made": time.time()}
        (partial / "sealed.json").write_text(json.dumps(sealed))
        self._remove(self.folder / key)
        partial.rename(self.folder / key)

    def _measured(self, layer: Path) -> tuple[str, int]:
        shown = self._sandbox.host(["sh", "-euc", _MEASURE], cwd=layer, quiet=True)
        digest, _stdin, size, _name = shown.split()
        return digest, int(size)

    def _remove(self, layer: Path) -> None:
        """Remove a layer in a way that nobody finds half of it."""
        if layer.exists():
            with in_use(self.build.cache):
                aside = self.folder / f".{uuid.uuid4().hex}.partial"
                layer.rename(aside)
            self._sandbox.remove(aside)
