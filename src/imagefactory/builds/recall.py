"""Takes the disk of another image where all that goes into both is the same."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory.builds.artifacts import listed
from imagefactory.builds.events import LOG
from imagefactory.builds.provenance import NAME as PROVENANCE
from imagefactory.core.errors import NotFound, StoreError
from imagefactory.engine.disk.make import PROGRAMS
from imagefactory.engine.files import is_at, write_atomically
from imagefactory.engine.host import identity
from imagefactory.engine.locks import wait_for_lock
from imagefactory.engine.packages.locked import NAME, SOURCES
from imagefactory.engine.plan import AS_OF, Build, Plan, Step
from imagefactory.engine.program import program_digest
from imagefactory.store.bodies import Bodies
from imagefactory.store.rows import Body

_RECALLED: Final = "recalled.json"  #: in the scratch folder, once a disk was found
_TEST: Final = "boot"  #: how the facts and files of a boot test begin


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A disk that was made once, in `cache/images/<key>.json`; its body is the image's own."""

    image: str
    size: int  #: of the body, in bytes
    sha256: str
    checksum: (
        int | None
    )  #: of what is in it; None where the chunks that it is kept as have their own
    made: float  #: seconds since 1970: when what it has of a network was fetched
    notes: dict[str, Any]
    tested: list[str]  #: keys of the steps that have looked at it and were content


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Looks for the finished disk of a plan, and remembers one.

    A disk is known by its steps, its lock and its date, the keyrings that are written into it, the engine's
    code and the host's programs. It is looked for when the first step has written the lock.
    """

    bodies: Bodies
    build: Build
    plan: Plan

    def look(self) -> None:
        """Find a finished disk, and take it. A build that makes the same one is waited for."""
        key = self._key()
        if key is None or self._recalled() is not None:
            return
        found = self._find(key)
        if found is None:
            self._claim(key)
            found = self._find(key)
        if found is None:
            return
        try:
            self._take(found)
        except (NotFound, StoreError) as error:
            self.build.tools.log(f'The disk of the image "{found.image}" is not taken: {error}')
            self._path(key).unlink(missing_ok=True)
            self.build.disk.unlink(missing_ok=True)
            return
        write_atomically(self.build.scratch / _RECALLED, json.dumps(asdict(found)))
        self.build.tools.log(f'All is as it was for the image "{found.image}": its disk is taken')

    def spares(self, step: Step) -> bool:
        """Whether a step need not be done for the disk that was found."""
        found = self._recalled()
        if found is None or step == self.plan[0]:
            return False
        return not step.judges or step.key in found.tested

    def body(self) -> Body | None:
        """The sealed body, where that of the disk that was found is this image's already."""
        found = self._recalled()
        if found is None or not self._is_tested(found):
            return None
        return Body(size=found.size, sha256=found.sha256)

    def keep(self, body: Body) -> None:
        """Remember the disk of this build for others, once it is sealed."""
        if (key := self._key()) is None:
            return
        notes, before = self.build.notes(), self._recalled()
        as_of = self.build.scratch / AS_OF
        fetched = float(as_of.read_text()) if as_of.exists() else time.time()
        judged = [step.key for step in self.plan if step.judges]
        finished = Finished(
            image=self.build.id,
            size=body.size,
            sha256=body.sha256,
            checksum=self.bodies.checksum(self.build.id),
            made=fetched if before is None else before.made,
            notes=notes,
            tested=judged if notes.get("boot_tested") else [],
        )
        write_atomically(self._path(key), json.dumps(asdict(finished)))

    def _find(self, key: str) -> Finished | None:
        found = _read(self._path(key))
        if found is None or found.image == self.build.id:
            return None
        oldest = max((time.time() - seconds for seconds in self._lasting()), default=0.0)
        return None if found.made < oldest else found

    def _take(self, found: Finished) -> None:
        tested = self._is_tested(found)
        if tested:
            self.bodies.share(found.image, self.build.id, checksum=found.checksum)
        else:
            self.bodies.copy(found.image, self.build.disk, checksum=found.checksum)
        for artifact in listed(self.build.artifacts.with_name(found.image)):
            if artifact.name not in {LOG, NAME, PROVENANCE} and (
                tested or not artifact.name.startswith(_TEST)
            ):
                shutil.copyfile(artifact.location, self.build.artifacts / artifact.name)
        notes = {
            name: value
            for name, value in found.notes.items()
            if tested or not name.startswith(_TEST)
        }
        self.build.note(**{**notes, "disk_of": found.notes.get("disk_of", found.image)})

    def _is_tested(self, found: Finished) -> bool:
        return all(step.key in found.tested for step in self.plan if step.judges)

    def _lasting(self) -> Iterable[float]:
        return [seconds for step in self.plan if (seconds := step.lasts()) is not None]

    def _key(self) -> str | None:
        """None for a disk that nobody else can have, or that may be another one each time."""
        if not (lock := self.build.scratch / NAME).exists() or 0 in self._lasting():
            return None
        sources = self.build.scratch / SOURCES
        content = [program_digest(), lock.read_text()]
        content += [sources.read_text()] if sources.exists() else []
        content += [step.key for step in self.plan[1:] if not step.judges]
        content += [identity(program) for program in PROGRAMS]
        for path in map(Path, self.build.keyrings.values()):
            content += [hashlib.sha256(path.read_bytes()).hexdigest()] if path.is_file() else []
        return hashlib.sha256("\n".join(content).encode()).hexdigest()

    def _path(self, key: str) -> Path:
        return self.build.cache / "images" / f"{key}.json"

    def _recalled(self) -> Finished | None:
        return _read(self.build.scratch / _RECALLED)

    def _claim(self, key: str) -> None:
        """Be the one that makes this disk, until the build ends."""
        path = self._path(key).with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.build.cleanup.callback(os.close, handle)
            wait_for_lock(handle, check=self.build.tools.cancellation.check)
            if is_at(handle, path):  # else who had it has removed it
                self.build.cleanup.callback(path.unlink, missing_ok=True)
                return


def _read(path: Path) -> Finished | None:
    try:
        return Finished(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
