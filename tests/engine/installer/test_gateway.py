"""What an installer's machine can reach through its gateway."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from imagefactory.engine.command import Tools
from imagefactory.engine.installer.gateway import Gateway, gateway
from imagefactory.engine.plan import Build

ARCHIVE = "http://mirror.example.org/debian"

pytestmark = pytest.mark.enable_socket


class Archive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/real/dists/Release"
        self.send_response(200 if found else 404)
        self.end_headers()  # without a length, as some mirrors answer
        self.wfile.write(b"a release" if found else b"")

    def log_message(self, *_words: Any) -> None:
        pass


@contextmanager
def a_gateway(tmp_path: Path) -> Iterator[Gateway]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        build = Build(
            id="build",
            state=tmp_path,
            scratch=tmp_path,
            cache=tmp_path,
            artifacts=tmp_path,
            tools=Tools(),
            report=lambda _percent, _activity=None: None,
            mirrors={ARCHIVE: f"http://127.0.0.1:{server.server_address[1]}/real"},
        )
        try:
            with gateway(build, [ARCHIVE]) as way:
                yield way
        finally:
            server.shutdown()
            thread.join()


def ask(way: Gateway, url: str) -> tuple[int, bytes, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", way.port, timeout=20)
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Length")
    finally:
        connection.close()


def test_the_archive_is_reached_through_its_mirror(tmp_path: Path) -> None:
    with a_gateway(tmp_path) as way:
        assert ask(way, f"{ARCHIVE}/dists/Release") == (200, b"a release", None)
        assert way.carried == 9


def test_what_the_archive_lacks_is_not_found(tmp_path: Path) -> None:
    with a_gateway(tmp_path) as way:
        assert ask(way, f"{ARCHIVE}/dists/other")[0] == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example.org/debian/dists/Release",
        "http://mirror.example.org/debian-security/dists/Release",
        f"{ARCHIVE}/../secrets",
        f"{ARCHIVE}/%2e%2e/secrets",
        "/dists/Release",
        "http://127.0.0.1:22/",
    ],
)
def test_nothing_else_is_reached(tmp_path: Path, url: str) -> None:
    with a_gateway(tmp_path) as way:
        assert ask(way, url)[0] == 403
        assert way.refused == [url]
        assert way.carried == 0
