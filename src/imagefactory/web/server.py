"""Serves the application on a socket, with or without TLS, and waits for no client for ever."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_GRACE: Final = 3  #: seconds that answers have to end when the server stops
_MUCH: Final = 16 << 10  #: bytes of a body that are sent at once
_LONGEST: Final = 64 << 10  #: bytes of a head, or of a body's framing, that may come in a row


def serve(
    app: FastAPI,
    listener: socket.socket,
    *,
    certificate: Path | None,
    patience: int,
    begun: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `patience` is how many seconds the head of a request may take.

    `begun` is called as soon as clients are answered.
    """

    class Protocol(_Impatient):
        pass

    Protocol.patience = patience
    config = uvicorn.Config(
        app,
        http=Protocol,
        loop="uvloop",
        ws="none",
        log_config=None,
        # Whose word about addresses is taken is the application's business, not the server's.
        proxy_headers=False,
        server_header=False,
        ssl_certfile=certificate,
        timeout_graceful_shutdown=_GRACE,
    )
    _Server(config, begun).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self._begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._begun()


class _Gathering:
    """A transport that sends what is written in one turn of the loop together: a head with its body.

    Otherwise each is a record of TLS, and clients read them one by one.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._size = 0  #: bytes of these

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)
        self._size += len(data)
        if self._size > _MUCH:  # so that who sends very much hears when the client is behind
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        written, self._written, self._size = self._written, [], 0
        if written and not self._transport.is_closing():
            self._transport.write(b"".join(written))


class _Impatient(HttpToolsProtocol):
    """HTTP/1.1 that hangs up on a client who never finishes the head of its request, or makes it endless.

    The server itself waits for ever, and takes any length; the body has the application's own limits.
    """

    patience: int  #: seconds
    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _barren = 0  #: bytes since something was understood

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._barren += len(data)
        super().data_received(data)
        if self._barren > _LONGEST and not self.transport.is_closing():
            self.send_400_response("The request's head is too long.")
        elif self._is_answering():
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after a body would look like a header that a proxy has let through.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._barren = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._barren = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._barren = 0
        super().on_message_complete()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.patience, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        self._timer = None
        self.transport.abort()
