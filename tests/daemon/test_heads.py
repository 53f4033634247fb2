"""What the server does with heads of requests that never end, byte for byte."""

import socket

import pytest

from fakes.daemon_process import Daemon

pytestmark = pytest.mark.integration


def said(daemon: Daemon, request: bytes) -> bytes:
    """All that the daemon says until it hangs up."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as client:
        answer = b""
        try:
            client.sendall(request)
            while some := client.recv(1 << 16):
                answer += some
        except ConnectionError:
            pass  # it hangs up with bytes of ours unread
        return answer


def test_a_head_ends_in_time_and_has_an_end(daemon: Daemon) -> None:
    (daemon.state.parent / "quick.conf").write_text('{"request_timeout": 1}')
    daemon.start("--config", str(daemon.state.parent / "quick.conf"))
    half = b"GET /imagefactory HTTP/1.1\r\nHost: localhost\r\n"
    assert said(daemon, half) == b"", "half a head"
    assert said(daemon, b"\r\n") == b"", "less than one"
    endless = said(daemon, half + b"X: " + b"x" * (1 << 20))
    assert endless.startswith(b"HTTP/1.1 400 ") or endless == b""
    chunked = b"POST /imagefactory/base_images HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailer = said(daemon, chunked + b"0\r\nAccept: image/png\r\n\r\n")
    assert trailer.startswith(b"HTTP/1.1 400 "), "a header after the body is none"
    answer = said(daemon, half + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), "others are answered"
