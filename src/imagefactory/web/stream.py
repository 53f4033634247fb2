"""Events as they happen, as a stream that a client can take up where it lost it (HTML, "Server-sent events")."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from imagefactory.builds.factory import Factory
from imagefactory.core.images import Image, Status
from imagefactory.store.rows import Event
from imagefactory.web import views
from imagefactory.web.site import Here

EVENTS: Final = "text/event-stream"
_PERIOD: Final = 0.25  #: seconds between two looks into the store
_QUIET: Final = 15.0  #: seconds after which a sign of life is sent, so that no proxy hangs up
_BATCH: Final = 200

Last = Annotated[
    str | None, Header(max_length=20, description="The id of the last event that was received")
]
After = Annotated[int | None, Query(ge=0, le=1 << 62, description="The same, as a parameter")]


class Newest:
    """The id of the newest event: one question to the store a period, however many wait for events."""

    def __init__(self, factory: Factory) -> None:
        self._store = factory.workshop.store
        self._lock = asyncio.Lock()
        self._known = 0
        self._asked = float("-inf")

    async def __call__(self) -> int:
        async with self._lock:
            clock = asyncio.get_running_loop().time
            if clock() >= self._asked + _PERIOD:
                self._known = await run_in_threadpool(self._store.last_event)
                self._asked = clock()
            return self._known


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The endpoints that tell events; `kind` is that of the image whose events an address has."""

    newest: Newest
    kind: type[Image] = field(default=Image)

    async def everything(
        self, site: Here, last_event_id: Last = None, after: After = None
    ) -> Response:
        """All that happens from now on, or since the event that a client names."""
        start = _start(last_event_id, after)
        if start is None:
            start = await self.newest()
        return _streamed(self._told(site.factory, start, None))

    async def of_image(
        self, site: Here, image_id: str, last_event_id: Last = None, after: After = None
    ) -> Response:
        """All that has happened to an image, and will, until it is deleted."""
        await run_in_threadpool(site.factory.image, self.kind, image_id)
        start = _start(last_event_id, after) or 0
        return _streamed(self._told(site.factory, start, image_id))

    async def _told(self, factory: Factory, seen: int, image_id: str | None) -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        silent = _QUIET  # tells those who want to know only what has happened that this was all
        looked = -1
        while True:
            newest = await self.newest()
            events: Sequence[Event] = ()
            if newest != looked:
                events = await run_in_threadpool(
                    factory.events, after=seen, image_id=image_id, limit=_BATCH
                )
            for event in events:
                seen = event.id
                yield _frame(event)
                if image_id is not None and event.status is Status.DELETED:
                    return
            if len(events) == _BATCH:
                continue
            looked = newest
            if silent >= _QUIET:
                silent = 0.0
                yield ":\n\n"
            silent = 0.0 if events else silent + _PERIOD
            await asyncio.sleep(_PERIOD)


def _start(last_event_id: str | None, after: int | None) -> int | None:
    """The event to go on from; a browser's header, which it sends when it reconnects, comes first."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdecimal():
        return min(int(last_event_id), 1 << 62)
    return after


def _frame(event: Event) -> str:
    return f"id: {event.id}\ndata: {json.dumps(views.event(event))}\n\n"


def _streamed(frames: AsyncIterator[str]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type=EVENTS, headers=headers)
