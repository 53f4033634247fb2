"""Events arrive as they happen, and a client that was cut off goes on where it was."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from fakes.api import TDL, Api
from imagefactory.core.images import Status

ROOT = "/imagefactory"


async def read(
    api: Api, path: str, *, events: int, last: str | None = None, query: str = ""
) -> list[dict[str, Any]]:
    """So many events of a stream, which is then left."""
    arrived: list[dict[str, Any]] = []
    enough = asyncio.Event()

    async def receive() -> Message:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            assert (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
            return
        for frame in message["body"].decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
            if "data" in fields:
                arrived.append({"event": int(fields["id"]), **json.loads(fields["data"])})
        if len(arrived) >= events or not message.get("more_body"):
            enough.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": ROOT + path,
        "raw_path": (ROOT + path).encode(),
        "query_string": query.encode(),
        "headers": [] if last is None else [(b"last-event-id", last.encode())],
        "client": ("192.0.2.1", 1),
        "server": ("factory.example.org", 8075),
        "state": {},
    }
    # The body of the request comes first.
    first = True

    async def receive_body() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        return await receive()

    async with asyncio.timeout(20):
        await api.app(scope, receive_body, send)
    return arrived[:events]


def test_an_images_events_tell_its_life_and_end_with_it(api: Api) -> None:
    image = api.built("/base_images", "base_image", template=TDL)
    api.http.delete(f"{ROOT}/base_images/{image['id']}")

    async def follow() -> list[dict[str, Any]]:
        stream = asyncio.create_task(read(api, f"/base_images/{image['id']}/events", events=99))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(api.shop.work)
        return await stream

    events = asyncio.run(follow())
    assert {event["id"] for event in events} == {image["id"]}
    statuses = list(dict.fromkeys(event["status"] for event in events))
    assert statuses == ["NEW", "BUILDING", "COMPLETE", "DELETING", "DELETED"]
    shown = {"_type", "id", "time", "status", "status_detail", "percent_complete"}
    assert set(events[0]) == shown | {"event"}
    assert events[-1]["status_detail"] == {"activity": "Image deleted.", "error": None}


def test_a_client_goes_on_after_the_last_event_it_has(api: Api) -> None:
    image = api.built("/base_images", "base_image", template=TDL)
    path = f"/base_images/{image['id']}/events"
    events = asyncio.run(read(api, path, events=3))
    last = str(events[0]["event"])
    assert asyncio.run(read(api, path, events=2, last=last)) == events[1:3]
    assert asyncio.run(read(api, path, events=2, query=f"after={last}")) == events[1:3]
    assert asyncio.run(read(api, path, events=2, last=last, query="after=0")) == events[1:3]
    assert asyncio.run(read(api, path, events=3, last="garbage")) == events


def test_the_stream_of_everything_has_only_news_unless_asked(api: Api) -> None:
    old = api.post("/base_images", "base_image", template=TDL)

    async def follow() -> tuple[list[dict[str, Any]], dict[str, Any]]:
        stream = asyncio.create_task(read(api, "/events", events=1))
        await asyncio.sleep(0.6)
        new = await asyncio.to_thread(api.post, "/base_images", "base_image", template=TDL)
        return await stream, new

    events, new = asyncio.run(follow())
    assert [event["id"] for event in events] == [new["id"]]
    everything = asyncio.run(read(api, "/events", events=2, query="after=0"))
    assert [event["id"] for event in everything] == [old["id"], new["id"]]


def test_more_events_than_a_batch_arrive_in_order(api: Api) -> None:
    image = api.post("/base_images", "base_image", template=TDL)
    for count in range(450):
        api.shop.workshop.store.report(image["id"], 1, f"step {count}")
    events = asyncio.run(read(api, f"/base_images/{image['id']}/events", events=451))
    activities = [event["status_detail"]["activity"] for event in events]
    assert activities[1:] == [f"step {count}" for count in range(450)]
    assert events[-1]["status"] == Status.NEW


@pytest.mark.parametrize("path", ["/base_images/nobody/events", "/events?after=-1"])
def test_a_wrong_address_is_an_error_at_once(api: Api, path: str) -> None:
    assert api.http.get(ROOT + path).status_code in {400, 404}
