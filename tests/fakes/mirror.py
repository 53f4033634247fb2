"""An HTTP proxy on loopback that stands for a template's mirror, for machines without a network."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


@contextmanager
def proxying(mirrors: Mapping[str, str]) -> Iterator[int]:
    """The loopback port of a proxy that asks the real mirror for what the template's is asked for."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            for prefix, real in sorted(mirrors.items(), key=lambda row: -len(row[0])):
                if self.path.startswith(prefix):
                    self._pass_on(real + self.path[len(prefix) :])
                    return
            self.send_error(404)

        def _pass_on(self, url: str) -> None:
            try:
                with urlopen(Request(url), timeout=60) as answer:
                    self.send_response(200)
                    self.send_header("Content-Length", answer.headers["Content-Length"])
                    self.send_header("Last-Modified", answer.headers["Last-Modified"])
                    self.end_headers()
                    while piece := answer.read(1 << 16):
                        self.wfile.write(piece)
            except HTTPError as error:
                self.send_error(error.code)
                error.close()

        def log_message(self, *_words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
