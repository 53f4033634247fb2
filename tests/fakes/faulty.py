"""An HTTP proxy on loopback that stands before a cloud's servers, and lets one request go wrong."""

import base64
import hashlib
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, assert_never
from urllib.parse import urlsplit

_PIECE: Final = 1 << 16
_LIMIT: Final = 60  # seconds that a server may take for an answer
#: headers that speak of one connection only (RFC 9110, 7.6.1)
_HOPS: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})
_ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER: end the connection by a reset


class Fault(Enum):
    """What becomes of a request. The server hears of those that are carried out, and of half the last."""

    REFUSED = "nobody listens, until the client pauses"
    DEAD = "nobody listens any more"
    UNAVAILABLE = "503"
    THROTTLED = "429, to be asked again after a second"
    ABSENT = "404, as of a thing that was made just now"
    RESET = "carried out, and reset in the middle of the answer"
    TRUNCATED = "carried out, and the answer's body is cut short"
    DAMAGED = "carried out with another byte in it"
    KILLED = "carried out, and the client is killed before the answer"
    KILLED_SENDING = "the client is killed when half of it is sent"


_CANNED: Final = {
    Fault.UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, {}),
    Fault.THROTTLED: (HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"}),
    Fault.ABSENT: (HTTPStatus.NOT_FOUND, {}),
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that has been made."""

    number: int  #: from 1
    method: str
    path: str
    length: int  #: bytes of its body


@dataclass(frozen=True, kw_only=True)
class _Front:
    """An address of the proxy, and the server behind it."""

    server: str  #: URL without a path
    url: str
    port: int
    checks_md5: bool


class Faulty:
    """Counts the requests to all its servers together; each has a connection of its own."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.RLock()
        self._fronts: list[_Front] = []
        self._listeners: dict[int, socket.socket] = {}
        self._fault: Fault | None = None
        self._at = 0
        self._kill: Callable[[], None] = lambda: None

    def front(self, url: str, *, checks_md5: bool = False) -> str:
        """An address that leads to this server, to be used in its place.

        `checks_md5` refuses a body that is not what its `Content-MD5` says, for an emulator that does
        not do what the real server is documented to do.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        parts = urlsplit(url)
        front = _Front(
            server=f"{parts.scheme}://{parts.netloc}",
            url=f"http://127.0.0.1:{port}",
            port=port,
            checks_md5=checks_md5,
        )
        with self._lock:
            self._fronts.append(front)
            self._listen(front, listener)
        return front.url + parts.path

    def arm(
        self, fault: Fault | None, *, at: int = 0, kill: Callable[[], None] | None = None
    ) -> None:
        """Count from 1 again, and let the `at`-th request from now go wrong; `kill` ends the client."""
        with self._lock:
            self.calls.clear()
            self._fault, self._at, self._kill = fault, at, kill or (lambda: None)
            self._open()
            self._close_before(1)

    def pause(self) -> None:
        """What the client's clock calls when it waits: who refused connections takes them again."""
        with self._lock:
            if self._fault is Fault.REFUSED and not self._listeners:
                self._fault = None
                self._open()

    def close(self) -> None:
        """Take no more connections."""
        with self._lock:
            self._shut()

    def begin(self, method: str, path: str, length: int) -> Fault | None:
        """Count a request; what is to become of it."""
        with self._lock:
            call = Call(number=len(self.calls) + 1, method=method, path=path, length=length)
            self.calls.append(call)
            return self._fault if call.number == self._at else None

    def end(self) -> None:
        """A request is about to be answered: it may be the last before nobody listens."""
        with self._lock:
            self._close_before(len(self.calls) + 1)

    def kill(self) -> None:
        """End the client."""
        self._kill()

    def translate(self, value: str) -> str:
        """A header that may name a server, with the proxy's address instead."""
        for front in self._fronts:
            value = value.replace(front.server, front.url)
        return value

    def _close_before(self, number: int) -> None:
        if self._fault in {Fault.REFUSED, Fault.DEAD} and number == self._at:
            self._shut()

    def _shut(self) -> None:
        for listener in self._listeners.values():
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._listeners.clear()

    def _open(self) -> None:
        for front in self._fronts:
            if front.port not in self._listeners:
                self._listen(front, socket.create_server(("127.0.0.1", front.port)))

    def _listen(self, front: _Front, listener: socket.socket) -> None:
        self._listeners[front.port] = listener
        threading.Thread(target=self._accept, args=(front, listener), daemon=True).start()

    def _accept(self, front: _Front, listener: socket.socket) -> None:
        while True:
            try:
                client, address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, address, front), daemon=True).start()

    def _serve(self, client: socket.socket, address: Any, front: _Front) -> None:
        with client, suppress(OSError, http.client.HTTPException):
            client.settimeout(_LIMIT)
            _Exchange(client, address, self, front)


def _unverified() -> ssl.SSLContext:
    """Test servers have made their certificates themselves."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def faulty_line() -> Iterator[Faulty]:
    """A proxy without a server, as long as the block runs."""
    faulty = Faulty()
    try:
        yield faulty
    finally:
        faulty.close()


class _Exchange(BaseHTTPRequestHandler):
    """One request and its answer."""

    protocol_version = "HTTP/1.1"

    def __init__(self, client: socket.socket, address: Any, faulty: Faulty, front: _Front) -> None:
        self._faulty = faulty
        self._server = urlsplit(front.server)
        self._checks_md5 = front.checks_md5
        self._sent = 0
        super().__init__(client, address, faulty)  # type: ignore[arg-type]

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(_PIECE)
        if not self.raw_requestline or not self.parse_request():
            return
        self.close_connection = True
        length = int(self.headers.get("Content-Length", 0))
        fault = self._faulty.begin(self.command, self.path, length)
        if fault in _CANNED:
            self._drain()
            self._answer_canned(*_CANNED[fault])
            return
        body = self._believed(self._passing(fault, length))
        if body is None:
            self._answer_canned(HTTPStatus.BAD_REQUEST, {"x-ms-error-code": "Md5Mismatch"})
            return
        with self._forwarded(body) as answer:
            self._answer(answer, fault)

    def log_message(self, *_words: Any) -> None:
        pass

    @contextmanager
    def _forwarded(self, body: Iterable[bytes]) -> Iterator[http.client.HTTPResponse]:
        """The server's answer."""
        if self._server.scheme == "https":
            server: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._server.netloc, timeout=_LIMIT, context=_unverified()
            )
        else:
            server = http.client.HTTPConnection(self._server.netloc, timeout=_LIMIT)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            for name, value in self.headers.items():
                if name.lower() not in _HOPS:
                    server.putheader(name, value)
            if chunked:
                server.putheader("Transfer-Encoding", "chunked")
            server.endheaders()
            for piece in body:
                server.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                server.send(b"0\r\n\r\n")
            yield server.getresponse()
        finally:
            server.close()

    def _passing(self, fault: Fault | None, length: int) -> Iterator[bytes]:
        """The body as it arrives, if the client lives so long."""
        for piece in self._body():
            if fault is Fault.KILLED_SENDING and 2 * self._sent >= length:
                self._faulty.kill()
                raise ConnectionAbortedError
            yield self._damaged(piece, fault, length)

    def _believed(self, body: Iterator[bytes]) -> Iterable[bytes] | None:
        """The body, unless it is to be checked and is not what its `Content-MD5` says."""
        stated = self.headers.get("Content-MD5")
        if not self._checks_md5 or stated is None:
            return body
        whole = b"".join(body)
        digest = hashlib.md5(whole, usedforsecurity=False).digest()
        return [whole] if stated == base64.b64encode(digest).decode() else None

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left and (piece := self.rfile.read(min(_PIECE, left))):
            left -= len(piece)
            self._sent += len(piece)
            yield piece

    def _damaged(self, piece: bytes, fault: Fault | None, length: int) -> bytes:
        """The piece in whose end the middle of the body lies, with that byte flipped."""
        before = self._sent - len(piece)
        if fault is Fault.DAMAGED and before <= length // 2 < self._sent:
            place = length // 2 - before
            return piece[:place] + bytes([piece[place] ^ 0xFF]) + piece[place + 1 :]
        return piece

    def _drain(self) -> None:
        for _piece in self._body():
            pass

    def _answer_canned(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self._faulty.end()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0", "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        content = answer.read()
        self._faulty.end()
        if fault is Fault.KILLED:
            self._faulty.kill()
            return
        head = self._head(answer, len(content))
        match fault:
            case None | Fault.DAMAGED:
                self.wfile.write(head + content)
            case Fault.TRUNCATED if content:
                self.wfile.write(head + content[: len(content) // 2])
            case Fault.TRUNCATED | Fault.RESET:
                self.wfile.write(head[: len(head) // 2])
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            case (
                Fault.REFUSED
                | Fault.DEAD
                | Fault.UNAVAILABLE
                | Fault.THROTTLED
                | Fault.ABSENT
                | Fault.KILLED
                | Fault.KILLED_SENDING
            ):
                pass
            case _ as never:
                assert_never(never)

    def _head(self, answer: http.client.HTTPResponse, length: int) -> bytes:
        """An answer's first line and headers, for a connection that ends with it."""
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}", "Connection: close"]
        lines += [
            f"{name}: {self._faulty.translate(value)}"
            for name, value in answer.getheaders()
            if name.lower() not in _HOPS | {"content-length"}
        ]
        if self.command == "HEAD":
            length = int(answer.headers.get("Content-Length", 0))
        if answer.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {length}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
