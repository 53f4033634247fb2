"""Brings the metadata of archives into a local copy that apt reads, fetching what has changed."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from imagefactory.core.errors import FetchError, VerificationError
from imagefactory.engine.download import Wanted, download, objects_of
from imagefactory.engine.fetch import Fetcher, http_client
from imagefactory.engine.files import write_atomically
from imagefactory.engine.mirrors import rewrite, shown
from imagefactory.engine.packages.apt_index import PACKINGS, Index, Release, needed
from imagefactory.engine.packages.apt_sources import Source
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Stop, side_by_side

_THREADS: Final = 4
_LIMIT: Final = 16 << 20  # bytes of a Release file; Debian's has 150 KiB
_INDEX_LIMIT: Final = 256 << 20  # bytes of an index that no Release file announces


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What an archive says about one suite, as it came: nobody has verified it yet."""

    source: Source
    files: Mapping[str, bytes]  #: by path below the folder of the Release file

    @property
    def release(self) -> Release | None:
        """The Release file's content; None for an archive that has none."""
        content = self.files.get("InRelease", self.files.get("Release"))
        return None if content is None else Release.parse(content.decode(errors="replace"))

    @property
    def digest(self) -> str:
        """A SHA-256 that changes when the archive does."""
        whole = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            whole.update(f"{path} {len(content)}\n".encode() + content)
        return whole.hexdigest()


def ask(build: Build, sources: Sequence[Source], architecture: str) -> list[Metadata]:
    """The metadata of all sources as their archives have it now, in order, without the absent ones.

    `FetchError` when an archive does not answer or has no such suite, `VerificationError` when it
    signs nothing though it should.
    """
    with http_client() as client:

        def job(source: Source, stop: Stop) -> Metadata | None:
            fetcher = Fetcher(client=client, build=build, stop=stop)
            return _Asking(fetcher=fetcher, source=source, architecture=architecture).ask()

        jobs = [partial(job, source) for source in sources]
        found = side_by_side(jobs, cancellation=build.tools.cancellation, threads=_THREADS)
    for source, metadata in zip(sources, found, strict=True):
        if metadata is None:
            place = shown(rewrite(source.release, build.mirrors))
            build.tools.log(f'"{place}" does not exist; the build goes on without "{source.name}"')
    return [metadata for metadata in found if metadata is not None]


@dataclass(frozen=True, kw_only=True)
class _Asking:
    fetcher: Fetcher
    source: Source
    architecture: str

    def ask(self) -> Metadata | None:
        """None when an optional source is not there."""
        files = self._release()
        if not files and self.source.optional:
            return None
        if not files and self.source.keyring is None:
            files = self._bare_indexes()
        if not files:
            raise self.fetcher.failed(
                f"{self.source.release}/InRelease",
                "the server answered 404",
                hint=f'Check the URL, and that the archive has "{self.source.suite}"',
            )
        return Metadata(source=self.source, files=files)

    def _release(self) -> dict[str, bytes]:
        if inline := self._find("InRelease"):
            return {"InRelease": inline}
        release = self._find("Release")
        if release is None:
            return {}
        if signature := self._find("Release.gpg"):
            return {"Release": release, "Release.gpg": signature}
        if self.source.keyring is not None:
            tried = shown(rewrite(f"{self.source.release}/Release", self.fetcher.build.mirrors))
            msg = f'The metadata at "{tried}" is not signed'
            raise VerificationError(msg)
        return {"Release": release}

    def _bare_indexes(self) -> dict[str, bytes]:
        """The indexes of an archive without a Release file, which only an unsigned one may be."""
        found: dict[str, bytes] = {}
        for path in needed(self.source, self.architecture).values():
            for packing in PACKINGS:
                if content := self._find(path + packing, limit=_INDEX_LIMIT):
                    found[path + packing] = content
                    break
        return found

    def _find(self, name: str, *, limit: int = _LIMIT) -> bytes | None:
        return self.fetcher.find(f"{self.source.release}/{name}", limit=limit)


def lay_out(build: Build, metadata: Metadata, folder: Path, architecture: str) -> None:
    """Make a local copy of one suite's metadata, its indexes included, for apt to read and verify."""
    source = metadata.source
    place = folder / source.suite if source.suite.endswith("/") else folder / "dists" / source.suite
    for path, content in metadata.files.items():
        write_atomically(place / path, content)
    if metadata.release is None:
        return
    indexes = _indexes(metadata.release, source, architecture)
    download(build, [_wanted(source, metadata.release, index) for index in indexes])
    for index in indexes:
        link_or_copy(objects_of(build).path(index.sha256), place / index.path)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that never changes a second name; a copy of it where that name is on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _indexes(release: Release, source: Source, architecture: str) -> list[Index]:
    found: list[Index] = []
    for name, index in release.chosen(source, architecture).items():
        if index is None:
            msg = f'The archive at "{shown(source.release)}" has no {name}'
            raise FetchError(msg, hint="Check the components and the architecture")
        found.append(index)
    return found


def _wanted(source: Source, release: Release, index: Index) -> Wanted:
    plain = f"{source.release}/{index.path}"
    label = f'index "{index.path}"'
    url, otherwise = plain, None
    if release.by_hash:
        url, otherwise = f"{plain.rpartition('/')[0]}/by-hash/SHA256/{index.sha256}", plain
    return Wanted(url=url, sha256=index.sha256, size=index.size, label=label, otherwise=otherwise)
