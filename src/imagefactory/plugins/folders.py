"""Folders of this machine that images are handed over in, named by the operator and never by a client."""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.engine.files import sync_folder
from imagefactory.engine.formats import sparse
from imagefactory.engine.plan import Report

_LOCK: Final = ".catalogue.lock"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._+-]+")  # in a file's name


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that a provider names."""

    name: str
    path: Path
    listed: bool = True  #: by the operator; then it is not made: something was to be mounted there

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """The folder to ourselves; what the file system says becomes a `CloudError`."""
        try:
            if not self.listed:
                self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self.path
        except OSError as error:
            msg = f'The folder "{self.name}" cannot be used: {error.strerror}'
            raise CloudError(msg, hint=f'Look at "{self.path}"') from error


def find(config: Config, name: str, *, default: str) -> Folder:
    """The operator's folder with this name; where he listed none, `default` lies in the state folder.

    `RequestError` for another name.
    """
    if not config.local_folders and name == default:
        path = (config.state / "provider" / default).absolute()
        return Folder(name=name, path=path, listed=False)
    if name not in config.local_folders:
        msg = f'The provider "{name}" is not a folder of this factory'
        known = ", ".join(f'"{known}"' for known in sorted(config.local_folders) or [default])
        raise RequestError(msg, hint=f"These are: {known}")
    return Folder(name=name, path=Path(config.local_folders[name]).absolute())


def stem(name: str | None) -> str:
    """A template's name as the beginning of a file's."""
    return _UNSAFE.sub("-", name or "image").strip("-.") or "image"


def copy_whole(disk: Path, target: Path, report: Report) -> None:
    """Copy under a name that begins with a dot, and rename what is whole."""
    size = max(disk.stat().st_size, 1)
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    sparse.copy(disk, unfinished, advance=lambda position: report(100 * position // size))
    unfinished.replace(target)
    sync_folder(target.parent)
