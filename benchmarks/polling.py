"""Asks a daemon as many clients do, and says how long it took: a process of its own, told on standard input."""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from oauthlib.oauth1 import Client


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked: all requests are signed before the clock starts."""

    port: int
    certificate: str | None
    key: str
    secret: str
    paths: Sequence[str]
    clients: int  #: connections, each kept alive, with one request at a time
    requests: int  #: of each client
    pause: (
        float  #: seconds from one request of a client to its next; 0 asks as soon as it is answered
    )


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came of it."""

    waits: Sequence[float]  #: seconds of each request, from the moment that it was due, sorted
    seconds: float  #: from the first request to the last answer
    cpu: float  #: seconds of processor that the clients themselves took meanwhile


def main() -> int:
    """Read a `Load`, write what was `Heard`."""
    load = Load(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(_ask(load))), sys.stdout)
    return 0


async def _ask(load: Load) -> Heard:
    trust = load.certificate and ssl.create_default_context(cafile=load.certificate)
    connected = [
        await asyncio.open_connection("127.0.0.1", load.port, ssl=trust or None)
        for _ in range(load.clients)
    ]
    signed = _signed(load)
    told = [[next(signed) for _ in range(load.requests)] for _ in connected]
    began, cpu = time.perf_counter(), time.process_time()
    polled = await asyncio.gather(
        *(
            _poll(
                *connected[place],
                told[place],
                first=began + load.pause * place / load.clients,
                pause=load.pause,
            )
            for place in range(load.clients)
        )
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    for _, writer in connected:
        writer.close()
    return Heard(waits=sorted(wait for waits in polled for wait in waits), seconds=seconds, cpu=cpu)


async def _poll(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: Sequence[bytes],
    *,
    first: float,
    pause: float,
) -> list[float]:
    waits = []
    due = first
    for request in requests:
        if pause:
            await asyncio.sleep(due - time.perf_counter())
        else:
            due = time.perf_counter()
        writer.write(request)
        await _answered(reader)
        waits.append(time.perf_counter() - due)
        due += pause
    return waits


async def _answered(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(head.decode())
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))


def _signed(load: Load) -> Iterator[bytes]:
    scheme = "https" if load.certificate else "http"
    client = Client(load.key, load.secret)
    for count in range(load.clients * load.requests):
        path = load.paths[count % len(load.paths)]
        _, headers, _ = client.sign(f"{scheme}://127.0.0.1:{load.port}{path}")
        yield (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nAccept: application/json\r\n"
            f"Authorization: {headers['Authorization']}\r\n\r\n"
        ).encode()


if __name__ == "__main__":
    sys.exit(main())
