"""The only way out of an installer's machine: an HTTP proxy that fetches what the installation needs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote

from imagefactory.core.errors import FetchError
from imagefactory.engine.fetch import Fetcher, http_client
from imagefactory.engine.mirrors import shown
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Stop

#: Where a machine finds the gateway, in the network that QEMU makes for it.
ADDRESS: Final = ("10.0.2.100", 3128)
PROXY: Final = f"http://{ADDRESS[0]}:{ADDRESS[1]}/"


@dataclass(kw_only=True)
class Gateway:
    """A proxy on loopback for URLs below some prefixes; the build's mirrors stand in for them."""

    fetcher: Fetcher
    allowed: Sequence[str]
    port: int = 0
    carried: int = 0  #: bytes that have come through
    refused: list[str] = field(default_factory=list)  #: URLs that are not below the prefixes

    def allows(self, url: str) -> bool:
        """Whether the installation may fetch this."""
        below = any(url.startswith(f"{prefix.rstrip('/')}/") for prefix in self.allowed)
        return below and ".." not in unquote(url).split("/")


@contextmanager
def gateway(build: Build, allowed: Sequence[str]) -> Iterator[Gateway]:
    """A gateway that runs while the block does."""
    stop = Stop(cancellation=build.tools.cancellation)
    with http_client() as client:
        way = Gateway(fetcher=Fetcher(client=client, build=build, stop=stop), allowed=allowed)

        class Request(_Request):
            gateway = way

        with ThreadingHTTPServer(("127.0.0.1", 0), Request) as server:
            way.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, name="gateway", daemon=True)
            thread.start()
            try:
                yield way
            finally:
                stop.request()
                server.shutdown()
                thread.join()


class _Request(BaseHTTPRequestHandler):
    gateway: Gateway

    def do_GET(self) -> None:
        """Fetch, and hand on piece by piece; what breaks off shows by its length."""
        if not self.gateway.allows(self.path):
            self.gateway.refused.append(self.path)
            self.gateway.fetcher.build.tools.log(f"Refused to the installer: {shown(self.path)}")
            self.send_error(403)
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # the installer has gone away
            try:
                self._hand_on()
            except FetchError as error:
                self.gateway.fetcher.build.tools.log(str(error))
                self.send_error(502)

    def _hand_on(self) -> None:
        with self.gateway.fetcher.open(self.path) as answer:
            self.send_response(200 if answer.status_code in {200, 206} else answer.status_code)
            for name in ("Content-Length", "Content-Type", "Last-Modified"):
                if value := answer.headers.get(name):
                    self.send_header(name, value)
            self.end_headers()
            for piece in answer.iter_raw():
                self.wfile.write(piece)
                self.gateway.carried += len(piece)

    def log_message(self, *_words: Any) -> None:
        """The build's log has what matters."""
