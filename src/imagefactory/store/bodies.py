"""The bodies of images, as files that other programs may watch and read."""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, NotFound, SpaceError, StoreError
from imagefactory.core.images import Image
from imagefactory.store import sparse
from imagefactory.store.files import replacing, sweep, sync_folder
from imagefactory.store.meta import dumps, is_id
from imagefactory.store.rows import Body

_MODE: Final = 0o644  #: as in the original: programs that watch the folder run as other users


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """`<uuid>.body` and `<uuid>.meta` in one folder, as the original store has them.

    A body that is there is whole. Ids that are no UUIDs are `NotFound`, whatever is asked.
    """

    folder: Path

    @classmethod
    def open(cls, config: Config) -> Self:
        """The folder that the configuration names, made where needed; `ConfigError` if it cannot be used."""
        if config.image_manager != "file":
            msg = f'The image manager "{config.image_manager}" is not supported'
            raise ConfigError(msg, hint='Set "image_manager" to "file"; the index is a database')
        try:
            config.storage.mkdir(mode=0o755, parents=True, exist_ok=True)
            sweep(config.storage)
        except OSError as error:
            msg = f'The storage folder "{config.storage}" cannot be used: {error.strerror}'
            raise ConfigError(msg) from error
        return cls(folder=config.storage.absolute())

    def path(self, id: str) -> Path:
        """Where the body of an image is or will be."""
        return self._named(id, "body")

    def open_body(self, id: str) -> BinaryIO:
        """The body of an image, to read; `NotFound` without one."""
        try:
            return self.path(id).open("rb")
        except FileNotFoundError as error:
            raise _no_image(id) from error

    def measure(self, id: str) -> Body:
        """Read a whole body for what the store should know of it; `NotFound` without one."""
        with self.open_body(id) as body:
            return _measured(body)

    def seal(self, id: str, source: Path) -> Body:
        """Make the file `source` the body of an image; the file is used up.

        Safe to run again after a crash: when `source` is gone and there is a body, it is that body.
        `SpaceError` when the disk is full; what was there before then stays, and `source` too.
        """
        target = self.path(id)
        try:
            mode = source.lstat().st_mode
        except FileNotFoundError:
            return self.measure(id)
        if not stat.S_ISREG(mode):
            msg = f'The disk "{source}" of the image "{id}" is no ordinary file'
            raise StoreError(msg)
        try:
            with source.open("rb") as file:
                return _move(file, source, target) or _copy(file, source, target)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            msg = f'The storage folder "{self.folder}" has no room for the image "{id}"'
            raise SpaceError(msg, hint="Delete images, or make the file system larger") from error

    def describe(self, image: Image) -> None:
        """Write an image's `.meta`, for programs that watch the folder."""
        content = dumps(image, body=self.path(image.id))
        with replacing(self._named(image.id, "meta"), mode=_MODE) as file:
            file.write(content.encode())

    def remove(self, id: str) -> None:
        """Remove all files of an image. Removing what is gone is success."""
        for suffix in ("body", "meta"):
            self._named(id, suffix).unlink(missing_ok=True)
        sync_folder(self.folder)

    def _named(self, id: str, suffix: str) -> Path:
        if not is_id(id):
            raise _no_image(id)
        return self.folder / f"{id}.{suffix}"


def _move(file: BinaryIO, source: Path, target: Path) -> Body | None:
    """Give a file of ours another name; None when only a copy will do."""
    handle = file.fileno()
    status = os.fstat(handle)
    if status.st_dev != target.parent.stat().st_dev or status.st_nlink > 1:
        return None
    try:
        # Sandboxes leave files of subordinate users behind; only root can give those away.
        os.fchown(handle, os.geteuid(), os.getegid())
        os.fchmod(handle, _MODE)
        body = _measured(file)
        os.fsync(handle)
        source.replace(target)
    except PermissionError:
        return None
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return None
    sync_folder(target.parent)
    return body


def _copy(file: BinaryIO, source: Path, target: Path) -> Body:
    with replacing(target, mode=_MODE) as copied:
        sha256 = sparse.copy(file, copied)
        size = os.fstat(file.fileno()).st_size
    with suppress(FileNotFoundError):
        source.unlink()
    return Body(size=size, sha256=sha256)


def _measured(file: BinaryIO) -> Body:
    return Body(size=os.fstat(file.fileno()).st_size, sha256=sparse.sha256(file))


def _no_image(id: str) -> NotFound:
    return NotFound(f"No image found with id: {id}")
