"""The metadata service of an EC2 instance that has a role, version 2 alone."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_SESSION: Final = "a-session-of-the-metadata-service"
_ROLE: Final = "factory-role"
_KEYS: Final = "/latest/meta-data/iam/security-credentials/"


@contextmanager
def metadata_service(**keys: str) -> Iterator[str]:
    """Its address, with a `/` at the end; `keys` are what it says of the role."""

    class Metadata(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            known = self.path == "/latest/api/token" and self.headers.get(
                "x-aws-ec2-metadata-token-ttl-seconds"
            )
            self._answer(_SESSION if known else None)

        def do_GET(self) -> None:
            if self.headers.get("x-aws-ec2-metadata-token") != _SESSION:
                self._answer(None)
                return
            given = {"Code": "Success", "Expiration": "2100-01-01T00:00:00Z", **keys}
            texts = {_KEYS: _ROLE, _KEYS + _ROLE: json.dumps(given)}
            self._answer(texts.get(self.path))

        def _answer(self, text: str | None) -> None:
            self.send_response(401 if text is None else 200)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *_words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
