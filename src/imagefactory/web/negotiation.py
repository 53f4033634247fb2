"""Which media type answers a request, by the client's `Accept` header (RFC 9110, 12.5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from imagefactory.web import xml

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
TEXT: Final = "text/plain"
OFFERED: Final = (JSON, "application/xml", "text/xml")

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, kw_only=True)
class Span:
    """One media range of an `Accept` header, such as `text/*;q=0.5`."""

    kind: str
    subtype: str
    quality: float

    @property
    def exactness(self) -> int:
        """How much it says: 0 for `*/*`, 2 for a media type."""
        return (self.kind != "*") + (self.subtype != "*")

    def covers(self, media: str) -> bool:
        kind, _, subtype = media.partition("/")
        return self.kind in {"*", kind} and self.subtype in {"*", subtype}


def spans(accept: str) -> tuple[Span, ...]:
    """The media ranges of a header; what is none is passed over."""
    return tuple(span for part in accept.split(",") if (span := _span(part)) is not None)


def choose(accept: str | None, offered: Sequence[str] = OFFERED) -> str | None:
    """The best of `offered` for this header; the first when it says nothing, None when none will do.

    A browser prefers XML to what it does not know; it gets the first, as people read that better.
    """
    if not accept or not accept.strip():
        return offered[0]
    ranges = spans(accept)
    ranked = {media: rank for media in offered if (rank := _rank(media, ranges))[0] > 0}
    if not ranked:
        return None
    if offered[0] in ranked and any(
        f"{span.kind}/{span.subtype}" in _PAGES and span.quality for span in ranges
    ):
        return offered[0]
    return max(ranked, key=ranked.__getitem__)


def choose_for_error(accept: str | None) -> str:
    """A problem document for those who name one, or JSON and nothing else; one sentence for others."""
    named = {f"{span.kind}/{span.subtype}" for span in spans(accept or "") if span.quality}
    wants_json = JSON in named and "*/*" not in named
    return PROBLEM if PROBLEM in named or wants_json else TEXT


def accepted(request: Request) -> str | None:
    """The whole `Accept` header of a request, which may be sent in several lines."""
    lines = request.headers.getlist("accept")
    return ", ".join(lines) if lines else None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Shows views in the media type that the client asked for."""

    media: str

    def __call__(
        self, view: dict[str, Any], status: int = HTTPStatus.OK, *, root: str | None = None
    ) -> Response:
        """A response; `root` names the XML document of a view that has not one key for all of it."""
        if self.media == JSON:
            return JSONResponse(view, status)
        # Not `media_type=`: it would add a charset, and an XML document says that itself.
        headers = {"Content-Type": self.media}
        return Response(xml.render(view, root=root), status, headers=headers)


async def negotiate(request: Request) -> Answer:
    """How to answer; 406 in the words that clients know when nothing of ours will do."""
    accept = accepted(request)
    media = choose(accept)
    if media is None:
        msg = f"Responses in {accept} are currently unsupported."
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, msg)
    return Answer(media=media)


Negotiated = Annotated[Answer, Depends(negotiate)]


def _span(part: str) -> Span | None:
    media, *parameters = (piece.strip() for piece in part.split(";"))
    kind, slash, subtype = media.lower().partition("/")
    if not slash or not kind or not subtype:
        return None
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            quality = _quality(value.strip())
    return Span(kind=kind, subtype=subtype, quality=quality)


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 1.0
    return quality if 0 <= quality <= 1 else 1.0


def _rank(media: str, ranges: Sequence[Span]) -> tuple[float, int, int]:
    """Quality, exactness and place in the header of the range that says most about a media type."""
    covering = [
        (span.exactness, -place, span) for place, span in enumerate(ranges) if span.covers(media)
    ]
    if not covering:
        return (0, 0, 0)
    exactness, place, span = max(covering, key=lambda entry: entry[:2])
    return (span.quality, exactness, place)
