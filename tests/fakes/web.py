"""A web server on loopback that serves what a test puts into it, and fails as the test wants."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the server serves, and what it was asked."""

    url: str  #: without a slash at the end
    files: dict[str, bytes] = field(default_factory=dict)  #: by path, with a slash at the start
    redirections: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)  #: answered first, one a request
    cuts: dict[str, list[int]] = field(default_factory=dict)  #: bytes after which it hangs up
    held: dict[str, threading.Event] = field(default_factory=dict)  #: waited for before the body
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def times_asked(self, path: str) -> int:
        return [asked for asked, _ in self.asked].count(path)

    def show(self, folder: Path, *, at: str) -> None:
        """Serve all files of a folder, and of what was there nothing else."""
        for path in [path for path in self.files if path.startswith(f"{at}/")]:
            del self.files[path]
        for file in filter(Path.is_file, folder.rglob("*")):
            self.files[f"{at}/{file.relative_to(folder)}"] = file.read_bytes()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.asked.append((path, headers))
        if statuses := self.statuses.get(path):
            request.send_error(statuses.pop(0))
        elif path in self.redirections:
            request.send_response(302)
            request.send_header("Location", self.redirections[path])
            request.send_header("Content-Length", "0")
            request.end_headers()
        elif path in self.files:
            self._send(request, path, headers.get("range"))
        else:
            request.send_error(404)

    def _send(self, request: BaseHTTPRequestHandler, path: str, span: str | None) -> None:
        content = self.files[path]
        start = 0
        if span and (match := re.fullmatch(r"bytes=(\d+)-", span)):
            start = int(match[1])
            request.send_response(206)
            size = len(content)
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        if path in self.held:
            request.wfile.flush()
            self.held[path].wait(10)
        body = content[start:]
        if cuts := self.cuts.get(path):
            body = body[: cuts.pop(0)]
            request.close_connection = True
        request.wfile.write(body)


@contextmanager
def a_site() -> Iterator[Site]:
    """A site that is there while the block runs."""

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.answer(self)

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                super().handle()

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        site = Site(url=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield site
        finally:
            for event in site.held.values():
                event.set()
            server.shutdown()
            thread.join()
