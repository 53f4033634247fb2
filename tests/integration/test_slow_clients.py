"""A client who is slow, or sends half a request, costs the daemon little and soon nothing."""

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from fakes.daemon import Daemon, a_daemon

PATIENCE = 2  # seconds


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    with a_daemon(folder, no_ssl=True, no_oauth=True, request_timeout=PATIENCE) as daemon:
        yield daemon


def say(daemon: Daemon, *parts: bytes, pause: float = 0) -> tuple[bytes, float]:
    """What the daemon answers until it hangs up, and when it does."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionError:
            pass
    return answer, time.monotonic() - started


HEAD = b"POST /imagefactory/base_images HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /imag", HEAD])
def test_half_a_head_is_hung_up_on(daemon: Daemon, sent: bytes) -> None:
    answer, seconds = say(daemon, *([sent] if sent else []))
    assert answer == b""
    assert PATIENCE - 0.5 < seconds < PATIENCE + 8


def test_a_head_that_trickles_is_hung_up_on(daemon: Daemon) -> None:
    _, seconds = say(daemon, HEAD, *[b"X: y\r\n"] * 20, pause=0.3)
    assert seconds < PATIENCE + 8


def test_half_a_body_is_told_so(daemon: Daemon) -> None:
    answer, seconds = say(daemon, HEAD + b"Content-Length: 10\r\n\r\nhalf")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The request was not complete after 2 seconds" in answer
    assert PATIENCE - 0.5 < seconds < PATIENCE + 8


def test_a_body_that_trickles_is_told_so(daemon: Daemon) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    answer, _ = say(daemon, head, *[b"1\r\nx\r\n"] * 12, pause=0.3)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_announced_too_large_is_not_waited_for(daemon: Daemon) -> None:
    answer, seconds = say(daemon, HEAD + b"Content-Length: 999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert seconds < PATIENCE


def test_many_slow_ones_keep_nobody_waiting(daemon: Daemon) -> None:
    with ThreadPoolExecutor(100) as pool:
        slow = [pool.submit(say, daemon, HEAD) for _ in range(100)]
        time.sleep(0.3)
        started = time.monotonic()
        assert httpx2.get(f"{daemon.url}/imagefactory", trust_env=False).status_code == 200
        assert time.monotonic() - started < 1.5
        assert all(future.result()[0] == b"" for future in slow)


def test_a_stream_does_not_keep_the_daemon_from_stopping(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("stopping")
    with a_daemon(folder, no_ssl=True, no_oauth=True) as daemon:
        stream = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
        stream.sendall(b"GET /imagefactory/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")
        started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 15


def test_tls_is_not_optional(tmp_path_factory: pytest.TempPathFactory) -> None:
    with a_daemon(tmp_path_factory.mktemp("tls"), no_oauth=True) as daemon:
        answer, _ = say(daemon, b"GET /imagefactory HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not answer.startswith(b"HTTP/1.1 200")
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx2.get(f"{daemon.url}/imagefactory", trust_env=False)
        old = ssl.create_default_context(cafile=daemon.certificate)
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        with httpx2.Client(verify=old, trust_env=False) as http:
            assert http.get(f"{daemon.url}/imagefactory").status_code == 200
