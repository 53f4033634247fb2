"""Serves the application on a socket, with or without TLS, and waits for no client for ever."""

import asyncio
import socket
from pathlib import Path
from typing import Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE: Final = 3  #: seconds that answers have to end when the server stops


def serve(
    app: FastAPI, listener: socket.socket, *, certificate: Path | None, patience: int
) -> None:
    """Serve until SIGTERM or SIGINT; `patience` is how many seconds the head of a request may take."""
    config = uvicorn.Config(
        app,
        http=_impatient(patience),
        log_config=None,
        # Whose word about addresses is taken is the application's business, not the server's.
        proxy_headers=False,
        server_header=False,
        ssl_certfile=certificate,
        timeout_graceful_shutdown=_GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _impatient(patience: int) -> type[H11Protocol]:
    """HTTP/1.1 that hangs up on a client who never finishes the head of its request.

    The server itself waits for ever; the body has the application's own limit.
    """

    class Impatient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)  # type: ignore[arg-type]
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self._timer is None:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._timer = self.loop.call_later(patience, self._hang_up)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _hang_up(self) -> None:
            self._timer = None
            self.transport.abort()

    return Impatient
