"""Has a worker resolve a template to its packages, for somebody who waits for the answer."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory.builds.locking import resolve
from imagefactory.builds.work import Job
from imagefactory.builds.workshop import Workshop
from imagefactory.core.errors import FactoryError, NotFound, PackageError, RequestError
from imagefactory.core.lock import Lock
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import parse
from imagefactory.engine.files import write_atomically

_OLD: Final = 3600  #: seconds after which nobody waits for an answer any more


@dataclass(frozen=True, kw_only=True)
class Resolutions:
    """Requests lie in the vault, for templates hold passwords; answers are files for a moment."""

    workshop: Workshop

    def ask(self, template: str, parameters: Mapping[str, Any]) -> str:
        """Hand a template in; gives the reference for its answer. `RequestError` if it cannot be built."""
        self.workshop.planner.base(parse(template), Parameters(parameters))
        ref = self.workshop.vault.put(Secret(json.dumps([template, dict(parameters)])))
        self.workshop.work.submit(Job.LOCK, ref)
        return ref

    def answer(self, ref: str) -> Lock | None:
        """The lock, once it is there. Raises why there is none: `RequestError`, or any other error."""
        path = self._path(ref)
        if not path.exists():
            return None
        found = json.loads(path.read_text())
        if "lock" in found:
            return Lock.loads(found["lock"])
        kind = RequestError if found["mistake"] else FactoryError
        raise kind(found["brief"], hint=found["hint"])

    def forget(self, ref: str) -> None:
        """Nobody waits for this answer any more."""
        self.workshop.work.cancel(ref)
        self.workshop.vault.remove(ref)
        self._path(ref).unlink(missing_ok=True)

    def make(self, ref: str) -> Lock:
        """Resolve what was asked for; `NotFound` when nobody wants to know any more."""
        template, parameters = json.loads(self.workshop.vault.get(ref).reveal())
        workshop = self.workshop
        return resolve(
            parse(template),
            Parameters(parameters),
            planner=workshop.planner,
            config=workshop.config,
            log=_unlogged,
        )

    def tell(self, ref: str, result: Lock | FactoryError) -> None:
        """Leave the answer to who waits for it, if somebody does."""
        folder = self._path(ref).parent
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _OLD:
                    path.unlink()
        if isinstance(result, NotFound):
            return
        write_atomically(self._path(ref), json.dumps(_shown(result)))

    def _path(self, ref: str) -> Path:
        return self.workshop.config.state / "resolutions" / ref


def _shown(result: Lock | FactoryError) -> dict[str, Any]:
    if isinstance(result, Lock):
        return {"lock": result.dumps()}
    mistake = isinstance(result, RequestError | PackageError)
    return {"mistake": mistake, "brief": result.brief, "hint": result.hint}


def _unlogged(_line: str) -> None:
    pass
