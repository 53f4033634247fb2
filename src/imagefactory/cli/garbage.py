"""The sub-command `gc`: what lies in the state folder and nothing needs any more."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.builds.claim import claim
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import Conflict
from imagefactory.engine.command import Tools
from imagefactory.engine.eviction import Eviction
from imagefactory.engine.sandbox import Sandbox

_OLD: Final = 30 * 86400  # seconds; what no build has made or read for so long, none will
_MIB: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """Something that can go, and why."""

    path: Path
    reason: str
    size: int  #: bytes on the disk


def gc(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory gc [--yes]`: shows it, or deletes it. `Conflict` while an image is being built."""
    with open_factory(config) as factory:
        if factory.workshop.store.unfinished():
            msg = "Images are being built, and may need what lies in the state folder"
            raise Conflict(msg, hint="Wait for them, or cancel them")
        bodies = factory.workshop.bodies
        dead = bodies.garbage()
        found = sorted(_found(factory, config), key=lambda garbage: garbage.path)
        if options.yes:
            sandbox = Sandbox(state=config.state, tools=Tools())
            for garbage in found:
                _delete(garbage.path, sandbox)
            bodies.collect()
        if dead:
            chunks = Garbage(path=bodies.chunks, reason="chunks that no image has", size=dead)
            found.append(chunks)
    if options.output == "json":
        shown = [{"path": str(g.path), "reason": g.reason, "size": g.size} for g in found]
        write_json({"garbage": shown, "deleted": options.yes}, config)
        return 0
    for garbage in found:
        sys.stdout.write(f"{garbage.size / _MIB:8.1f} MiB  {garbage.path}: {garbage.reason}\n")
    total = sum(garbage.size for garbage in found) / _MIB
    ending = "deleted" if options.yes else 'to delete with "--yes"'
    sys.stdout.write(f"{total:8.1f} MiB  in all, {ending}\n")
    return 0


def _delete(path: Path, sandbox: Sandbox) -> None:
    if path.is_dir() and not path.is_symlink():
        sandbox.remove(path)
    else:
        path.unlink(missing_ok=True)


def _found(factory: Factory, config: Config) -> Iterator[Garbage]:
    for folder in _children(config.scratch):
        with claim(folder) as free:
            if free:
                yield _garbage(folder, "no build works here")
    known = factory.workshop.store.ids()
    for folder in _children(config.artifacts):
        if folder.name not in known:
            yield _garbage(folder, "its image is deleted")
    yield from _caches(config)


def _caches(config: Config) -> Iterator[Garbage]:
    """What makes builds quicker, and has not for long, or takes more room than there is for it."""
    sandbox = Sandbox(state=config.state, tools=Tools())
    eviction = Eviction(cache=config.cache, scratch=config.scratch, sandbox=sandbox)
    for path in eviction.halves():
        yield _garbage(path, "a layer that nobody has finished")
    surplus = {cached.path for cached in eviction.surplus(config.cache_limit * _MIB)}
    for cached in eviction.unneeded():
        if cached.path in surplus:
            reason = f"used longest ago, and there is room for {config.cache_limit} MiB"
        elif cached.used < time.time() - _OLD:
            reason = "no build has used it lately"
        else:
            continue
        yield Garbage(path=cached.path, reason=reason, size=cached.size)


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _garbage(path: Path, reason: str) -> Garbage:
    return Garbage(path=path, reason=reason, size=_size(path))


def _size(path: Path) -> int:
    """What lies on the disk; folders of inner users that are closed to us count nothing."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_blocks * 512
    files = (os.path.join(root, name) for root, _, names in os.walk(path) for name in names)  # noqa: PTH118 - as many as a system has files
    return sum(os.lstat(file).st_blocks * 512 for file in files)
