"""Brings the metadata of RPM repositories into local copies that dnf reads and verifies."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from lxml import etree

from imagefactory.core.errors import FetchError, VerificationError
from imagefactory.engine.download import Wanted, download, objects_of
from imagefactory.engine.fetch import Fetcher, http_client
from imagefactory.engine.files import write_atomically
from imagefactory.engine.mirrors import rewrite, shown
from imagefactory.engine.packages.apt_metadata import link_or_copy
from imagefactory.engine.packages.dnf_sources import RpmSource
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Stop, side_by_side

_THREADS: Final = 4
_LIMIT: Final = 4 << 20  # bytes of a repomd.xml; Fedora's has 5 KiB
_INDEX: Final = "repodata/repomd.xml"
_SIGNATURE: Final = f"{_INDEX}.asc"
_NAMESPACE: Final = "{http://linux.duke.edu/metadata/repo}"
#: of all that a repository may have, what dnf reads before it installs
_READ: Final = frozenset({"primary", "filelists", "group", "group_gz", "modules", "updateinfo"})


@dataclass(frozen=True, kw_only=True)
class RpmMetadata:
    """What a repository says about itself, as it came: nobody has verified it yet."""

    source: RpmSource
    files: Mapping[str, bytes]  #: `repomd.xml`, and its signature where it has to have one

    @property
    def digest(self) -> str:
        """A SHA-256 that changes when the repository does."""
        whole = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            whole.update(f"{path} {len(content)}\n".encode() + content)
        return whole.hexdigest()

    @property
    def date(self) -> int:
        """Seconds since 1970: when the newest of its parts was made."""
        stamps = (data.findtext(f"{_NAMESPACE}timestamp") or "0" for data in self.parts())
        return max((int(float(stamp)) for stamp in stamps), default=0)

    def parts(self) -> Iterator[etree._Element]:
        """The entries of the index that dnf needs."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            root = etree.fromstring(self.files[_INDEX], parser)
        except etree.XMLSyntaxError as error:
            raise self._malformed(str(error)) from error
        for data in root.iterfind(f"{_NAMESPACE}data"):
            if data.get("type") in _READ:
                yield data

    @property
    def primary(self) -> str:
        """The path of the file that lists the packages."""
        for data in self.parts():
            location = data.find(f"{_NAMESPACE}location")
            if data.get("type") == "primary" and location is not None:
                return location.get("href", "")
        raise self._malformed("it lists no packages")

    def wanted(self) -> Iterator[tuple[str, Wanted]]:
        """Each file of the metadata, by its path in the repository."""
        for data in self.parts():
            location, checksum = (
                data.find(f"{_NAMESPACE}{name}") for name in ("location", "checksum")
            )
            path = "" if location is None else location.get("href", "")
            if not _plain(path) or checksum is None:
                raise self._malformed(f'the part "{data.get("type")}" has no plain path')
            if checksum.get("type") != "sha256":
                raise self._malformed(f'"{path}" has no SHA-256')
            yield (
                path,
                Wanted(
                    url=f"{self.source.url}/{path}",
                    sha256=(checksum.text or "").strip(),
                    size=int(data.findtext(f"{_NAMESPACE}size") or 0),
                    label=f'index "{path}"',
                ),
            )

    def _malformed(self, why: str) -> VerificationError:
        msg = f'The index of "{shown(self.source.url)}" is not one: {why}'
        return VerificationError(msg)


def ask(build: Build, sources: Sequence[RpmSource]) -> list[RpmMetadata]:
    """The metadata of all sources as their servers have it now, in order, without the absent ones."""
    with http_client() as client:

        def job(source: RpmSource, stop: Stop) -> RpmMetadata | None:
            return _ask(Fetcher(client=client, build=build, stop=stop), source)

        jobs = [partial(job, source) for source in sources]
        found = side_by_side(jobs, cancellation=build.tools.cancellation, threads=_THREADS)
    for source, metadata in zip(sources, found, strict=True):
        if metadata is None:
            place = shown(rewrite(source.url, build.mirrors))
            build.tools.log(f'"{place}" does not exist; the build goes on without "{source.name}"')
    return [metadata for metadata in found if metadata is not None]


def _ask(fetcher: Fetcher, source: RpmSource) -> RpmMetadata | None:
    index = fetcher.find(f"{source.url}/{_INDEX}", limit=_LIMIT)
    if index is None and source.optional:
        return None
    if index is None:
        reason, hint = "the server answered 404", "Check that this is the URL of a repository"
        raise fetcher.failed(f"{source.url}/{_INDEX}", reason, hint=hint)
    files = {_INDEX: index}
    if source.signed_index:
        signature = fetcher.find(f"{source.url}/{_SIGNATURE}", limit=_LIMIT)
        if signature is None:
            tried = shown(rewrite(f"{source.url}/{_INDEX}", fetcher.build.mirrors))
            msg = f'The metadata at "{tried}" is not signed'
            raise VerificationError(msg)
        files[_SIGNATURE] = signature
    return RpmMetadata(source=source, files=files)


def lay_out(build: Build, metadata: RpmMetadata, folder: Path) -> None:
    """Make a local copy of one repository's metadata for dnf to read and verify."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in metadata.files.items():
        write_atomically(folder / path, content)
    wanted = dict(metadata.wanted())
    if not wanted:
        msg = f'The repository "{shown(metadata.source.url)}" lists no packages'
        raise FetchError(msg)
    download(build, list(wanted.values()))
    for path, one in wanted.items():
        link_or_copy(objects_of(build).path(one.sha256), folder / path)


def _plain(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] == "repodata" and ".." not in parts
