"""The step that makes a container image of a disk's files."""

import bz2
import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, Final, assert_never, cast

from imagefactory.clouds.docker import documents
from imagefactory.clouds.docker.documents import MANIFEST, PLAIN_LAYER, described, dumps
from imagefactory.clouds.docker.wanted import Wanted
from imagefactory.engine.files import sync_folder
from imagefactory.engine.formats import layer as layers
from imagefactory.engine.formats.gzip import Gzip
from imagefactory.engine.formats.layer import Layer
from imagefactory.engine.plan import Build, Step

#: Fixed, or the number of the host's processors would decide the bytes.
_XZ: Final = ("xz", "--threads=4", "--block-size=24MiB", "--force")
_EVERY: Final = 200  # files between two looks at the cancellation


@dataclass(frozen=True, kw_only=True)
class WrapFiles(Step):
    """Write the files of `build.source`, a raw disk, as a container image or as a plain tar.

    The same disk and wishes give the same bytes. Notes `format`, and the layer's `diff_id`.
    """

    weight: ClassVar[int] = 10

    wanted: Wanted

    @property
    def activity(self) -> str:
        return f'Making a container image of the files of "{self.wanted.name}"'

    def run(self, build: Build) -> None:
        if build.source is None:
            msg = "A plan wraps a disk's files, and the build has none"
            raise ValueError(msg)
        plain, archive = build.scratch / "layer.part", build.scratch / "archive.part"
        with _without(plain, archive, archive.with_suffix(".part.xz")):
            layer = layers.write(
                build.source, plain, excludes=self.wanted.excludes, advance=_look(build)
            )
            build.report(60)
            if self.wanted.metadata:
                _write_archive(archive, plain, layer, self.wanted)
            else:
                plain.rename(archive)
            build.report(80)
            _compressed(build, archive, self.wanted).replace(build.disk)
            sync_folder(build.scratch)
        build.note(
            format="docker-archive" if self.wanted.metadata else "tar",
            diff_id=f"sha256:{layer.digest}",
        )


def _look(build: Build) -> layers.Advance:
    def advance(files: int) -> None:
        if files % _EVERY == 0:
            build.tools.cancellation.check()

    return advance


@contextmanager
def _without(*paths: Path) -> Iterator[None]:
    for path in paths:
        path.unlink(missing_ok=True)
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _write_archive(target: Path, plain: Path, layer: Layer, wanted: Wanted) -> None:
    with target.open("xb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        if wanted.version is None:
            _add_of_today(tar, plain, layer, wanted)
        else:
            _add_of_old(tar, plain, layer, wanted)


def _add_of_old(tar: tarfile.TarFile, plain: Path, layer: Layer, wanted: Wanted) -> None:
    """The original's members, in its order."""
    id = documents.id_of(wanted, layer)
    _add_head(tar, id, layer, wanted)
    _add_file(tar, f"{id}/layer.tar", plain)
    _add(tar, "repositories", dumps({wanted.repository: {wanted.tag: id}}))
    if wanted.version != "1.10.1":
        return
    config = dumps(documents.config_of_1_10_1(wanted, layer))
    name = f"{documents.digest(config).partition(':')[2]}.json"
    _add(tar, name, config)
    _add_manifest(tar, name, f"{id}/layer.tar", wanted)


def _add_of_today(tar: tarfile.TarFile, plain: Path, layer: Layer, wanted: Wanted) -> None:
    """The members of old, whose layer is a link, and an OCI layout: the two share one layer."""
    id = documents.id_of(wanted, layer)
    _add_head(tar, id, layer, wanted)
    blob = f"blobs/sha256/{layer.digest}"
    link = tarfile.TarInfo(f"{id}/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, f"../{blob}"
    tar.addfile(link)
    _add(tar, "repositories", dumps({wanted.repository: {wanted.tag: id}}))
    config = dumps(documents.config(wanted, layer))
    content = {
        "mediaType": PLAIN_LAYER,
        "digest": f"sha256:{layer.digest}",
        "size": layer.size,
    }
    manifest = dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(documents.CONFIG, config),
            "layers": [content],
        }
    )
    index = {
        **described(MANIFEST, manifest),
        "platform": {"architecture": wanted.architecture, "os": wanted.os},
        "annotations": {
            "io.containerd.image.name": f"{wanted.repository}:{wanted.tag}",
            "org.opencontainers.image.ref.name": wanted.tag,
        },
    }
    _add(tar, "oci-layout", dumps({"imageLayoutVersion": "1.0.0"}))
    _add(
        tar,
        "index.json",
        dumps({"schemaVersion": 2, "mediaType": documents.INDEX, "manifests": [index]}),
    )
    place = f"blobs/sha256/{documents.digest(config).partition(':')[2]}"
    _add_manifest(tar, place, blob, wanted)
    _add(tar, place, config)
    _add(tar, f"blobs/sha256/{documents.digest(manifest).partition(':')[2]}", manifest)
    _add_file(tar, blob, plain)


def _add_head(tar: tarfile.TarFile, id: str, layer: Layer, wanted: Wanted) -> None:
    folder = tarfile.TarInfo(f"{id}/")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(folder)
    _add(tar, f"{id}/json", dumps(documents.old_json(wanted, layer)))
    _add(tar, f"{id}/VERSION", b"1.0")


def _add_manifest(tar: tarfile.TarFile, config: str, layer: str, wanted: Wanted) -> None:
    tags = [f"{wanted.repository}:{wanted.tag}"]
    _add(tar, "manifest.json", dumps([{"Config": config, "RepoTags": tags, "Layers": [layer]}]))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    tar.addfile(header, io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    header = tarfile.TarInfo(name)
    header.size = path.stat().st_size
    with path.open("rb") as file:
        tar.addfile(header, file)


def _compressed(build: Build, archive: Path, wanted: Wanted) -> Path:
    """The archive as it is asked for, under the name that is given back."""
    packed = archive.with_suffix(".part.xz")
    match wanted.compression:
        case "none":
            return archive
        case "xz":
            build.tools.run([*_XZ, archive], quiet=True)
        case "gzip":
            with archive.open("rb") as reader, packed.open("xb") as writer:
                stream = Gzip(writer)
                shutil.copyfileobj(reader, cast("IO[bytes]", stream), 1 << 20)
                stream.finish()
        case "bzip2":
            with archive.open("rb") as reader, bz2.open(packed, "xb") as compressing:
                shutil.copyfileobj(reader, compressing, 1 << 20)
        case _ as never:
            assert_never(never)
    return packed
