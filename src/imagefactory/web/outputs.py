"""What an image leaves behind, as files: its body, its log and its artifacts."""

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final
from urllib.parse import quote

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse

from imagefactory.builds.artifacts import Artifact
from imagefactory.core.errors import Conflict, NotFound
from imagefactory.core.images import Image, Status
from imagefactory.web.negotiation import Negotiated
from imagefactory.web.site import Here, Site

_CHUNK: Final = 64 << 10
OCTETS: Final = "application/octet-stream"

Offset = Annotated[int, Query(ge=0, le=1 << 62, description="Bytes of the log to leave out")]


class BodyResponse(FileResponse):
    """A body, whole or in ranges; it need not be a file that lies somewhere."""

    def __init__(
        self,
        open_body: Callable[[], BinaryIO],
        *,
        headers: Mapping[str, str],
        name: str,
        size: int,
        changed: float,
    ) -> None:
        """`changed` is the time of the last change, in seconds since 1970."""
        status = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, size, 0, int(changed), 0))
        super().__init__(
            name, headers=headers, media_type=OCTETS, filename=name, stat_result=status
        )
        self._open_body = open_body

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator["_InThreads"]:  # type: ignore[override]
        with await run_in_threadpool(self._open_body) as file:
            yield _InThreads(file)


@dataclass(frozen=True)
class _InThreads:
    """A file whose reading does not hold up other requests."""

    file: BinaryIO

    async def read(self, size: int) -> bytes:
        return await run_in_threadpool(self.file.read, size)

    async def seek(self, offset: int) -> int:
        return await run_in_threadpool(self.file.seek, offset)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The endpoints below an image of one kind."""

    kind: type[Image]

    def body(self, site: Here, request: Request, image_id: str) -> Response:
        """Downloads the body of an image, whole or in ranges."""
        image = site.factory.image(Image, image_id)
        size = site.factory.body_size(image_id)
        if image.status is not Status.COMPLETE:
            msg = f'The {image.title} "{image_id}" is {image.status} and has no body to download'
            raise Conflict(msg, hint="Wait until it is COMPLETE")
        if size is None:
            msg = f'The {image.title} "{image_id}" has no body'
            raise NotFound(msg)
        known = site.factory.workshop.store.body(image_id)
        headers = {} if known is None else {"ETag": f'"{known.sha256}"'}
        response = BodyResponse(
            partial(site.factory.open_body, image_id),
            headers=headers,
            name=f"{image_id}.body",
            size=size,
            changed=image.updated.timestamp(),
        )
        return _unchanged(request, response) or response

    def log(self, site: Here, image_id: str, offset: Offset = 0) -> Response:
        """The log of a build, from its first line or from an offset; it grows while the build runs."""
        site.factory.image(self.kind, image_id)
        lines = _from(site.factory.log_file(image_id), offset)
        return StreamingResponse(lines, media_type="text/plain")

    def artifacts(
        self, site: Here, request: Request, answer: Negotiated, image_id: str
    ) -> Response:
        """Lists the files beside an image: log, lock, bills of materials, boot report."""
        here = site.here(request)
        return answer(
            {
                "artifacts": [
                    {"artifact": _shown(one, here)} for one in self._artifacts(site, image_id)
                ]
            }
        )

    def artifact(self, site: Here, image_id: str, name: str) -> FileResponse:
        """Downloads one of the files beside an image."""
        for artifact in self._artifacts(site, image_id):
            if artifact.name == name:
                path = Path(artifact.location)
                return FileResponse(path, filename=name, stat_result=path.stat())
        msg = f"No artifact found with name: {name}"
        raise NotFound(msg)

    def diff(self, site: Here, answer: Negotiated, image_id: str, other_id: str) -> Response:
        """How another image differs from this one: size, kernel arguments, packages and files.

        What one of the two has no record of is null.
        """
        site.factory.image(self.kind, image_id)
        return answer({"diff": site.factory.diff(image_id, other_id)})

    def verify(self, site: Here, answer: Negotiated, image_id: str) -> Response:
        """Whether the image is still what its build has recorded and signed; reads the whole body."""
        site.factory.image(self.kind, image_id)
        return answer({"verdict": site.factory.verify(image_id).shown()})

    def _artifacts(self, site: Site, image_id: str) -> Sequence[Artifact]:
        site.factory.image(self.kind, image_id)
        return site.factory.artifacts(image_id)


def verify_file(site: Here, answer: Negotiated, sha256: str) -> Response:
    """Whether a file with this SHA-256 is the body of an image here, and what is recorded of that."""
    return answer({"verdict": site.factory.verify_file(sha256).shown()})


def _shown(artifact: Artifact, here: str) -> dict[str, Any]:
    return {
        "_type": "artifact",
        "name": artifact.name,
        "size": artifact.size,
        "href": f"{here}/{quote(artifact.name)}",
    }


def _unchanged(request: Request, response: FileResponse) -> Response | None:
    """304 for a client that has this very body already (RFC 9110, 13.1)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        same = tags.strip() == "*" or response.headers["etag"] in known
    else:
        same = _is_older(
            response.headers["last-modified"], request.headers.get("if-modified-since")
        )
    if not same:
        return None
    kept = {key: response.headers[key] for key in ("etag", "last-modified")}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)


def _is_older(changed: str, since: str | None) -> bool:
    if since is None:
        return False
    try:
        return parsedate_to_datetime(changed) <= parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False  # no date, or one without a zone


def _from(file: Path, offset: int) -> Iterator[bytes]:
    if not file.is_file():
        return
    with file.open("rb") as log:
        log.seek(offset)
        while chunk := log.read(_CHUNK):
            yield chunk
