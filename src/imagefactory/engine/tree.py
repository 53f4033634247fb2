"""The tree of a system that is being built: a stack of sealed layers."""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imagefactory.engine.command import Word
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.files import sync_folder, write_atomically
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox

#: of the guest's `/`, which takes it from the folder of its topmost layer
_ROOT_MODE: Final = 0o755

#: `install` cannot open a pipe of the host's; nobody else may read the file before its mode is set.
_WRITE: Final = """
set -e
umask 022; mkdir -p "$(dirname "$1")"
umask 077; cat > "$1"
chown "$2" "$1"; chmod "$3" "$1"
"""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One layer in the making, seen merged with all layers below it."""

    sandbox: Sandbox
    below: tuple[Path, ...]
    upper: Path
    work: Path
    epoch: int | None = None  #: seconds since 1970: the present, for programs that ask for it

    def run(
        self,
        argv: Sequence[Word],
        *,
        network: bool = False,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        binds: Mapping[Path, str] | None = None,
        timeout: float | None = None,
        quiet: bool = False,
        keep_tmp: bool = False,
    ) -> str:
        """Run a program inside the tree; what it changes becomes part of this layer.

        So does what it changes in `/tmp` with `keep_tmp`; otherwise that is empty and forgotten.
        """
        return self.sandbox.guest(
            argv,
            layers=self.below,
            upper=self.upper,
            work=self.work,
            binds=binds,
            network=network,
            env={**self._present, **(env or {})},
            stdin=stdin,
            timeout=timeout,
            quiet=quiet,
            keep_tmp=keep_tmp,
        )

    def run_outside(
        self,
        argv: Sequence[Word],
        *,
        env: Mapping[str, str] | None = None,
        binds: Mapping[Path, str] | None = None,
        quiet: bool = False,
    ) -> str:
        """Run a program of the host's on the tree, which it finds at `sandbox.TREE`."""
        return self.sandbox.guest(
            argv,
            layers=self.below,
            upper=self.upper,
            work=self.work,
            binds=binds,
            env={**self._present, **(env or {})},
            quiet=quiet,
            outside=True,
        )

    @property
    def _present(self) -> Mapping[str, str]:
        return {} if self.epoch is None else {"SOURCE_DATE_EPOCH": str(self.epoch)}

    def write(
        self, path: str, data: bytes, *, mode: int = 0o644, owner: tuple[int, int] = (0, 0)
    ) -> None:
        """Write a file of the guest, making the folders above it."""
        uid, gid = owner
        self.run(["sh", "-c", _WRITE, "sh", path, f"{uid}:{gid}", f"{mode:04o}"], stdin=data)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The finished layers of one build, bottom first. Kept in `scratch/tree.json`, so a build can resume."""

    build: Build
    layers: tuple[Path, ...]

    @classmethod
    def load(cls, build: Build) -> "Tree":
        """The stack as the last finished step left it; empty before the first."""
        record = build.scratch / "tree.json"
        names: list[str] = json.loads(record.read_text()) if record.exists() else []
        return cls(build=build, layers=tuple(build.state / name for name in names))

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox in which this tree's programs run."""
        return Sandbox(state=self.build.state, tools=self.build.tools)

    def adopt(self, layer: Path) -> "Tree":
        """The tree with a sealed layer on top."""
        tree = replace(self, layers=(*self.layers, layer))
        names = [os.path.relpath(layer, self.build.state) for layer in tree.layers]
        write_atomically(self.build.scratch / "tree.json", json.dumps(names, indent=1))
        return tree

    @contextmanager
    def change(self, name: str) -> Iterator[Change]:
        """A new layer, sealed when the block ends and dropped when it fails.

        A step that runs again after a crash finds its own layer on the stack: that and all above it
        are taken off first.
        """
        layer = self.build.scratch / "layers" / name
        below = self.layers[: self.layers.index(layer)] if layer in self.layers else self.layers
        partial = layer.with_name(f".{name}.partial")
        for old in (layer, partial):
            self.sandbox.remove(old)
        upper, work = partial / "upper", partial / "work"
        for folder in (layer.parent, partial, work):
            self.sandbox.own(folder)
        self.sandbox.own(upper, mode=_ROOT_MODE)
        try:
            yield Change(
                sandbox=self.sandbox,
                below=below,
                upper=upper,
                work=work,
                epoch=Origin.of(self.build).epoch,
            )
            upper.rename(layer)
        finally:
            self.sandbox.remove(partial)
        replace(self, layers=below).adopt(layer)

    def run(
        self,
        argv: Sequence[Word],
        *,
        network: bool = False,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout: float | None = None,
        quiet: bool = False,
    ) -> str:
        """Run a program inside the tree; what it changes is thrown away."""
        work = self.build.scratch / f".run-{uuid.uuid4().hex}"
        self.sandbox.own(work)
        try:
            return self.sandbox.guest(
                argv,
                layers=self.layers,
                upper=None,
                work=work,
                network=network,
                env=env,
                stdin=stdin,
                timeout=timeout,
                quiet=quiet,
            )
        finally:
            self.sandbox.remove(work)

    def read(self, path: str) -> bytes | None:
        """A text file of the guest, or None where there is none."""
        script = 'if [ -f "$1" ]; then printf 1; cat "$1"; fi'
        found = self.run(["sh", "-c", script, "sh", path], quiet=True)
        return found[1:].encode() if found else None


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Sealed layers that builds share, by content key, in `cache/layers/<key>/tree`."""

    build: Build

    @property
    def _folder(self) -> Path:
        return self.build.cache / "layers"

    def find(self, key: str) -> Path | None:
        """The layer with this key, if it is whole."""
        folder = self._folder / key
        return folder / "tree" if (folder / "sealed.json").exists() else None

    @contextmanager
    def create(self, key: str) -> Iterator[Path | None]:
        """An empty folder, owned by the inner root, that becomes the layer when the block ends.

        One build makes a key at a time; who waited, and finds that another has made it, gets None.
        What a crash left half made is removed first, and never used.
        """
        sandbox = Sandbox(state=self.build.state, tools=self.build.tools)
        sandbox.own(self._folder)
        with (self._folder / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.find(key):
                yield None
                return
            partial = self._folder / f".{key}.partial"
            sandbox.remove(partial)
            sandbox.remove(self._folder / key)
            tree = partial / "tree"
            sandbox.own(partial)
            sandbox.own(tree, mode=_ROOT_MODE)
            try:
                yield tree
                self._seal(partial, key)
            finally:
                sandbox.remove(partial)

    def _seal(self, partial: Path, key: str) -> None:
        self.build.tools.run(["sync", "--file-system", partial])
        write_atomically(partial / "sealed.json", json.dumps({"key": key}))
        partial.rename(self._folder / key)
        sync_folder(self._folder)
