"""A receiver of callbacks on loopback: notes what it is told, and fails as a test wants."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Told:
    """One PUT."""

    path: str
    headers: dict[str, str]  #: names in lower case
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """What it was told, and what it answers."""

    url: str  #: without a slash at the end
    told: list[Told] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  #: one a request, then 200
    redirections: dict[str, str] = field(default_factory=dict)  #: by path, without an end
    held: threading.Event = field(default_factory=threading.Event)  #: nobody is answered before


@contextmanager
def a_receiver() -> Iterator[Receiver]:
    """A receiver that is there while the block runs."""

    class Answering(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.told.append(Told(path=self.path, headers=headers, body=body))
            receiver.held.wait(20)
            if self.path in receiver.redirections:
                self.send_response(307)
                self.send_header("Location", receiver.redirections[self.path])
            else:
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                super().handle()

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        receiver = Receiver(url=f"http://127.0.0.1:{server.server_port}")
        receiver.held.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.held.set()
            server.shutdown()
            thread.join()
