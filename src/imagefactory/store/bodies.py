"""The bodies of images, as files that other programs may watch and read."""

import errno
import fcntl
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

from imagefactory.core import spans
from imagefactory.core.config import Config
from imagefactory.core.deflate import CLUSTER
from imagefactory.core.errors import ConfigError, NotFound, SpaceError, StoreError
from imagefactory.core.images import Image
from imagefactory.store import sparse
from imagefactory.store.chunked import ChunkedBody
from imagefactory.store.cutting import cut
from imagefactory.store.files import replacing, sweep, sync_folder
from imagefactory.store.meta import dumps, is_id
from imagefactory.store.packs import Packs
from imagefactory.store.recipes import Recipe
from imagefactory.store.rows import Body

_CHUNKS: Final = "chunks"
_ATTEMPTS: Final = 5  # to open packs while others replace them
_MODE: Final = 0o644  #: as in the original: programs that watch the folder run as other users


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """`<uuid>.body` and `<uuid>.meta` in one folder, as the original store has them.

    Where bodies share their chunks, `<uuid>.recipe` stands for the body, and packs of chunks lie in
    `chunks`. Both kinds are read, whichever is written. A body that is there is whole. Ids that are no
    UUIDs are `NotFound`, whatever is asked.
    """

    folder: Path
    plain: bool = True  #: whether new bodies are files of their own; else they share their chunks

    @classmethod
    def open(cls, config: Config) -> Self:
        """The folder that the configuration names, made where needed; `ConfigError` if it cannot be used."""
        if config.image_manager != "file":
            msg = f'The image manager "{config.image_manager}" is not supported'
            raise ConfigError(msg, hint='Set "image_manager" to "file"; the index is a database')
        try:
            config.storage.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            msg = f'The storage folder "{config.storage}" cannot be used: {error.strerror}'
            raise ConfigError(msg) from error
        return cls(folder=config.storage.absolute(), plain=config.plain_bodies)

    def sweep(self) -> None:
        """Remove what killed writers have left. It takes a look at every file of the folder."""
        for folder in filter(Path.exists, (self.folder, self.chunks)):
            sweep(folder)

    def path(self, id: str) -> Path:
        """Where the body of an image is or will be, if it is a file of its own."""
        return self._named(id, "body")

    @property
    def chunks(self) -> Path:
        """Where the packs of shared chunks lie."""
        return self.folder / _CHUNKS

    def open_body(self, id: str) -> BinaryIO:
        """The body of an image, to read from any place; `NotFound` without one."""
        try:
            return self.path(id).open("rb")
        except FileNotFoundError:
            return cast("BinaryIO", io.BufferedReader(self._chunked(id), CLUSTER))

    def size(self, id: str) -> int | None:
        """The length of a body in bytes; None without one."""
        try:
            return self.path(id).stat().st_size
        except FileNotFoundError:
            recipe = self._recipe(id)
            return None if recipe is None else recipe.body.size

    def write_plain(self, id: str, target: Path) -> None:
        """Write a body that is kept as chunks into a new sparse file; `NotFound` without one."""
        with self._chunked(id) as body:
            body.write_plain(target)

    def measure(self, id: str) -> Body:
        """Read a whole body for what the store should know of it; `NotFound` without one.

        `StoreError` names the bytes that are damaged, where it is kept as chunks.
        """
        if self.path(id).exists():
            with self.open_body(id) as body:
                return measured(body)
        digest, size = hashlib.sha256(), 0
        with self._chunked(id) as chunked:
            while data := chunked.read(CLUSTER):
                digest.update(data)
                size += len(data)
        return Body(size=size, sha256=digest.hexdigest())

    def seal(self, id: str, source: Path, *, known: Body | None = None) -> Body:
        """Make the file `source` the body of an image; the file is used up. `known` is its `measured`.

        Safe to run again after a crash: when `source` is gone and there is a body, it is that body.
        `SpaceError` when the disk is full; what was there before then stays, and `source` too.
        """
        target = self.path(id)
        try:
            mode = source.lstat().st_mode
        except FileNotFoundError:
            recipe = self._recipe(id)
            return self.measure(id) if recipe is None else recipe.body
        if not stat.S_ISREG(mode):
            msg = f'The disk "{source}" of the image "{id}" is no ordinary file'
            raise StoreError(msg)
        try:
            with source.open("rb") as file:
                if not self.plain:
                    return self._cut(id, file, source)
                return _move(file, source, target, known) or _copy(file, source, target)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            msg = f'The storage folder "{self.folder}" has no room for the image "{id}"'
            raise SpaceError(msg, hint="Delete images, or make the file system larger") from error

    def checksum(self, id: str) -> int | None:
        """What tells a damaged copy of a body; None where it is kept as chunks, which have their own."""
        try:
            with self.path(id).open("rb") as body:
                return sparse.checksum(body)
        except FileNotFoundError:
            return None

    def share(self, source: str, id: str, *, checksum: int | None) -> None:
        """Give an image the body of another one: its chunks, or its file under a second name.

        Bodies are never written to, so two names are as good as two files. `NotFound` when there is none
        that is kept as new ones are, `StoreError` when it is damaged.
        """
        if self.plain:
            self._check(source, checksum)
            self._link(source, id)
            return
        with self._locked():
            recipe = self._recipe(source)
            if recipe is None:
                raise _no_image(source)
            with replacing(self._named(id, "recipe"), mode=_MODE) as written:
                written.write(recipe.dumps())

    def inherit(self, source: str, id: str, disk: Path) -> bool:
        """Give an image the body of another one, if that is the very file `disk`; whether it is."""
        try:
            if not self.plain or not self.path(source).samefile(disk):
                return False
        except FileNotFoundError:
            return False
        self._link(source, id)
        return True

    def _link(self, source: str, id: str) -> None:
        self.path(id).unlink(missing_ok=True)
        try:
            self.path(id).hardlink_to(self.path(source))
        except FileNotFoundError:
            raise _no_image(source) from None
        sync_folder(self.folder)

    def copy(self, source: str, target: Path, *, checksum: int | None) -> None:
        """Write the body of an image into a new file; `NotFound` without one, `StoreError` if damaged."""
        if checksum is None:
            self.write_plain(source, target)
            return
        with target.open("xb") as file, self.open_body(source) as body:
            sparse.copy(body, file)
        self._check(source, checksum)

    def _check(self, source: str, checksum: int | None) -> None:
        found = self.checksum(source)
        if found is None:
            raise _no_image(source)
        if found != checksum:
            msg = f'The body of the image "{source}" has changed since it was sealed'
            raise StoreError(msg, hint="Build it again")

    def describe(self, image: Image) -> None:
        """Write an image's `.meta`, for programs that watch the folder."""
        content = dumps(image, body=self.path(image.id))
        with replacing(self._named(image.id, "meta"), mode=_MODE) as file:
            file.write(content.encode())

    def remove(self, id: str) -> None:
        """Remove all files of an image, and the chunks that only it had. Removing what is gone is success."""
        shared = self._named(id, "recipe").exists()
        for suffix in ("body", "recipe", "meta"):
            self._named(id, suffix).unlink(missing_ok=True)
        sync_folder(self.folder)
        if shared:
            with suppress(
                StoreError
            ):  # of other images; what is left, `gc` finds when they are mended
                self.collect()

    def garbage(self) -> int:
        """The bytes of all chunks that no body needs."""
        if not self.chunks.exists():
            return 0
        with self._locked():
            return self._packs.garbage(self._living())

    def collect(self) -> None:
        """Remove the chunks that no body needs; waits for a body that is being sealed."""
        with self._locked():
            self._packs.collect(self._living())

    @property
    def _packs(self) -> Packs:
        return Packs(folder=self.chunks)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Between looking for a chunk and referring to it nobody else may add or collect any."""
        self.chunks.mkdir(mode=0o755, exist_ok=True)
        with (self.chunks / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _living(self) -> set[bytes]:
        ids = (path.stem for path in self.folder.glob("*.recipe"))
        recipes = (self._recipe(id) for id in ids if is_id(id))
        return {digest for recipe in recipes if recipe for digest in recipe.chunks()}

    def _recipe(self, id: str) -> Recipe | None:
        path = self._named(id, "recipe")
        try:
            return Recipe.loads(path.read_bytes(), name=path.name)
        except FileNotFoundError:
            return None

    def _chunked(self, id: str) -> ChunkedBody:
        for _attempt in range(_ATTEMPTS):
            recipe = self._recipe(id)
            if recipe is None:
                raise _no_image(id)
            with suppress(FileNotFoundError):  # a pack has just been written anew
                return ChunkedBody.open(recipe, self._packs, name=id)
        msg = f'The chunks of the image "{id}" cannot be read: they are always being moved'
        raise StoreError(msg, hint="Try again")

    def _cut(self, id: str, file: BinaryIO, source: Path) -> Body:
        hint = source.with_suffix(spans.SUFFIX)
        known = spans.loads(hint.read_bytes()) if hint.exists() else []
        with self._locked():
            with self._packs.adding() as pack:
                recipe = cut(file, known, keep=pack.add)
            with replacing(self._named(id, "recipe"), mode=_MODE) as written:
                written.write(recipe.dumps())
        source.unlink()
        return recipe.body

    def _named(self, id: str, suffix: str) -> Path:
        if not is_id(id):
            raise _no_image(id)
        return self.folder / f"{id}.{suffix}"


def _move(file: BinaryIO, source: Path, target: Path, known: Body | None) -> Body | None:
    """Give a file of ours another name; None when only a copy will do."""
    handle = file.fileno()
    status = os.fstat(handle)
    if status.st_dev != target.parent.stat().st_dev or status.st_nlink > 1:
        return None
    try:
        # Sandboxes leave files of subordinate users behind; only root can give those away.
        os.fchown(handle, os.geteuid(), os.getegid())
        os.fchmod(handle, _MODE)
        body = known or measured(file)
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


def measured(file: BinaryIO) -> Body:
    """What the store should know of a file."""
    return Body(size=os.fstat(file.fileno()).st_size, sha256=sparse.sha256(file))


def _no_image(id: str) -> NotFound:
    return NotFound(f"No image found with id: {id}")
