"""The tree of a system that is being built: a stack of sealed layers."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imagefactory.core.errors import BuildError
from imagefactory.engine.command import Word
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.eviction import TREE as NAME
from imagefactory.engine.eviction import in_use
from imagefactory.engine.files import write_atomically
from imagefactory.engine.layers import ROOT_MODE, Layers
from imagefactory.engine.plan import AS_OF, Build
from imagefactory.engine.program import program_digest
from imagefactory.engine.sandbox import Sandbox

#: `install` cannot open a pipe of the host's; nobody else may read the file before its mode is set.
_WRITE: Final = """
set -e
umask 022; mkdir -p "$(dirname "$1")"
umask 077; cat > "$1"
chown "$2" "$1"; chmod "$3" "$1"
"""


#: One after another from standard input: what starts a sandbox takes longer than to write a file. A read
#: of one byte at a time leaves the rest to the next.
_WRITE_ALL: Final = """
set -e
umask 022
while [ $# -gt 0 ]; do
    mkdir -p "$(dirname "$1")"
    dd bs=1 count="$2" of="$1" status=none
    chown 0:0 "$1"; chmod 644 "$1"
    shift 2
done
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

    def write_all(self, files: Mapping[str, bytes]) -> None:
        """Write root's files at once, which all may read; what is in them is no secret."""
        words = [word for path, data in files.items() for word in (path, str(len(data)))]
        self.run(["sh", "-c", _WRITE_ALL, "sh", *words], stdin=b"".join(files.values()))


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The finished layers of one build, bottom first. Kept in `scratch/tree.json`, so a build can resume."""

    build: Build
    layers: tuple[Path, ...]
    names: tuple[str, ...] = ()  #: of the layers: each is there once

    @classmethod
    def load(cls, build: Build) -> "Tree":
        """The stack as the last finished step left it; empty before the first."""
        record = build.scratch / NAME
        rows: list[list[str]] = json.loads(record.read_text()) if record.exists() else []
        return cls(
            build=build,
            layers=tuple(build.state / path for _, path in rows),
            names=tuple(name for name, _ in rows),
        )

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox in which this tree's programs run."""
        arch = Origin.of(self.build).arch
        return Sandbox(state=self.build.state, tools=self.build.tools, arch=arch)

    def adopt(self, layer: Path, *, name: str | None = None) -> "Tree":
        """The tree with a sealed layer on top."""
        names = (*self.names, name or layer.name)
        tree = replace(self, layers=(*self.layers, layer), names=names)
        paths = [os.path.relpath(layer, self.build.state) for layer in tree.layers]
        rows = list(zip(tree.names, paths, strict=True))
        write_atomically(self.build.scratch / NAME, json.dumps(rows, indent=1))
        return tree

    def below(self, name: str) -> "Tree":
        """The tree without the layer of this name, and without all above it."""
        if name not in self.names:
            return self
        count = self.names.index(name)
        return replace(self, layers=self.layers[:count], names=self.names[:count])

    @contextmanager
    def change(self, name: str) -> Iterator[Change]:
        """A new layer of this build alone, sealed when the block ends and dropped when it fails.

        A step that runs again after a crash finds its own layer on the stack: that and all above it
        are taken off first.
        """
        below = self.below(name)
        layer = self.build.scratch / "layers" / name
        partial = layer.with_name(f".{name}.partial")
        for old in (layer, partial):
            self.sandbox.remove(old)
        for folder in (layer.parent, partial, partial / "work"):
            self.sandbox.own(folder)
        self.sandbox.own(partial / "tree", mode=ROOT_MODE)
        try:
            yield _change(below, upper=partial / "tree", work=partial / "work")
            (partial / "tree").rename(layer)
        finally:
            self.sandbox.remove(partial)
        below.adopt(layer, name=name)

    @contextmanager
    def shared(
        self, name: str, *, key: str | None, dated: bool = True, lasting: float | None = None
    ) -> Iterator[Change | None]:
        """A new layer, as `change` gives it, for all builds; None where there is one already.

        The `key` is a hash of all that goes into it beside what lies below it. What is `dated` depends on
        the lock and its date too. One that may not be the same next time is good for `lasting` seconds.
        Without a key, or on a layer of this build's alone, it is this build's alone too.
        """
        below = self.below(name)
        whole = _key(below, name, key, dated=dated)
        if whole is None:
            with self.change(name) as change:
                yield change
            return
        youngest = 0.0 if lasting is None else time.time() - lasting
        if _take(below, name, whole, youngest=youngest):
            yield None
            return
        layers = Layers(build=self.build)
        if lasting is not None:
            _note_as_of(self.build, time.time())
        with layers.create(whole, youngest=youngest) as folder:
            if folder is None:
                yield None
            else:
                yield _change(below, upper=folder / "tree", work=folder / "work")
        if folder is not None:
            below.adopt(layers.folder / whole / "tree", name=name)
        elif not _take(below, name, whole, youngest=youngest):
            msg = f'The layer "{name}" was removed in the moment in which it was made'
            raise BuildError(msg, hint="Retry the image")

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


def _change(below: Tree, *, upper: Path, work: Path) -> Change:
    return Change(
        sandbox=below.sandbox,
        below=below.layers,
        upper=upper,
        work=work,
        epoch=Origin.of(below.build).epoch,
    )


def _key(below: Tree, name: str, key: str | None, *, dated: bool) -> str | None:
    """What a layer on top of these is known by; None when it is one build's alone."""
    shared = below.build.cache / "layers"
    if (
        not below.build.reuse
        or key is None
        or (below.layers and below.layers[-1].parent.parent != shared)
    ):
        return None
    content = [name, key, program_digest()]
    content += [below.layers[-1].parent.name] if below.layers else []
    if dated:
        origin = Origin.of(below.build)
        content += [origin.key, str(origin.epoch)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _take(below: Tree, name: str, key: str, *, youngest: float) -> bool:
    """Put the layer with this key on top, if there is one."""
    with in_use(below.build.cache):
        layer = Layers(build=below.build).find(key, youngest=youngest)
        if layer is None:
            return False
        below.adopt(layer, name=name)
        sealed = Layers(build=below.build).sealed(key)
        if youngest and sealed is not None:
            _note_as_of(below.build, sealed.made)
    below.build.tools.log(f'The layer "{name}" is in the cache, as {key[:12]}')
    return True


def _note_as_of(build: Build, moment: float) -> None:
    """Remember when something came from the network that no lock knows of."""
    path = build.scratch / AS_OF
    before = float(path.read_text()) if path.exists() else moment
    write_atomically(path, str(min(before, moment)))
