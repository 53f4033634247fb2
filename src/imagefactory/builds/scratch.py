"""The folder in which one image is built: made before, emptied after, and kept when a process dies."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.engine.command import Tools
from imagefactory.engine.files import write_atomically
from imagefactory.engine.sandbox import Sandbox

_LIVES: Final = "lives"
_SOURCE: Final = "source"
_FINISHED: Final = "finished.json"


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """One build's own folder below `state`."""

    state: Path
    folder: Path

    def prepare(self) -> None:
        """Make the folder, if no earlier life has, and let sandboxes work in it."""
        self._sandbox.own(self.folder)

    def begin_life(self) -> int:
        """Count this attempt; gives the number of those that ended without an orderly stop, and this."""
        lives = self._lives() + 1
        write_atomically(self.folder / _LIVES, str(lives))
        return lives

    def return_life(self) -> None:
        """This attempt is being stopped in good order and does not count."""
        if self.folder.exists():
            write_atomically(self.folder / _LIVES, str(max(0, self._lives() - 1)))

    def finished(self) -> list[list[str]]:
        """The steps that are finished here, each as it was noted, in order."""
        path = self.folder / _FINISHED
        steps: list[list[str]] = json.loads(path.read_text()) if path.exists() else []
        return steps

    def note_finished(self, step: list[str]) -> None:
        """Note a step, so that another attempt need not repeat it."""
        finished = self.finished()
        if step not in finished:  # or it was done again after a crash
            write_atomically(self.folder / _FINISHED, json.dumps([*finished, step]))

    def keep(self) -> None:
        """Leave the folder to another attempt, which counts its own lives."""
        (self.folder / _LIVES).unlink(missing_ok=True)

    def kept_since(self) -> float:
        """When a step was finished here last, in seconds since 1970; 0 if none was."""
        path = self.folder / _FINISHED
        return path.stat().st_mtime if path.exists() else 0.0

    def source(self, body: Path) -> Path:
        """The body of the parent under a name in this folder, so that it cannot vanish meanwhile.

        A step may put a disk that is made from it in its place.
        """
        source = self.folder / _SOURCE
        if not source.exists():
            try:
                source.hardlink_to(body)
            except OSError:  # another file system, or one without hard links
                source.unlink(missing_ok=True)
                source.symlink_to(body)
        return source

    def unpacked_source(self, write: Callable[[Path], None]) -> Path:
        """The body of a parent that is no file of its own: `write` makes one of it here."""
        source = self.folder / _SOURCE
        if not source.exists():
            unfinished = source.with_suffix(".part")
            unfinished.unlink(missing_ok=True)
            write(unfinished)
            unfinished.replace(source)
        return source

    def drop_source(self) -> None:
        """Let a disk that is the source under another name have that name alone."""
        (self.folder / _SOURCE).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder with all that inner users own in it; what is gone is no error."""
        try:
            shutil.rmtree(self.folder)
        except FileNotFoundError:
            return
        except PermissionError:
            self._sandbox.remove(self.folder)

    @property
    def _sandbox(self) -> Sandbox:
        return Sandbox(state=self.state, tools=Tools())

    def _lives(self) -> int:
        path = self.folder / _LIVES
        return int(path.read_text()) if path.exists() else 0
