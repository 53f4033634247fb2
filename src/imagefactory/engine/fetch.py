"""Fetches from the network, patiently, and only from where a template may make the factory go."""

import base64
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2

from imagefactory import __version__
from imagefactory.core.errors import FetchError
from imagefactory.engine import discs
from imagefactory.engine.addresses import Address, Network, refusal, resolve
from imagefactory.engine.mirrors import listed, rewrite, shown
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Stop, side_by_side

log = logging.getLogger(__name__)

T = TypeVar("T")

_REDIRECTS: Final = 5
AGENT: Final = f"imagefactory/{__version__}"
_LIST_IT: Final = 'If it is meant, name it in the "mirrors" of the configuration'

#: Answers that may be different a moment later.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_GONE: Final = frozenset({404, 410})


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a fetch keeps trying."""

    attempts: int = 4
    pause: float = 0.5  #: seconds before the second attempt; doubled for each further one
    silence: float = 20.0  #: seconds without a byte
    whole: float = 600.0  #: seconds for all of a content that is kept in memory


PATIENT: Final = Patience()


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Where fetches may go: the operator's mirrors, global addresses, and the networks in `allowed`."""

    allowed: tuple[Network, ...] = ()
    look_up: Callable[[str, int], Sequence[Address]] = resolve


class _Unavailable(Exception):
    """The server's answer is one that may change."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One URL on the way of a fetch; `trusted` when the operator listed it."""

    url: str
    trusted: bool


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Fetches URLs as a template names them; the build's mirrors stand in for what they list.

    A host that the operator did not list is looked up here, each of its addresses is judged, and the
    connection goes to an address that was judged, so that a name cannot change its mind in between.
    Redirections are followed under the same rules. `FetchError` names the URL that was tried.
    """

    client: httpx2.Client
    build: Build
    stop: Stop
    patience: Patience = PATIENT
    reach: Reach = Reach()

    def get(self, url: str, *, limit: int) -> bytes:
        """The content behind a URL, which may have `limit` bytes at most."""
        content = self.find(url, limit=limit)
        if content is None:
            raise self.failed(url, "the server answered 404")
        return content

    def find(self, url: str, *, limit: int) -> bytes | None:
        """The content behind a URL, or None when the server says that there is no such thing."""

        def read() -> bytes | None:
            ends = time.monotonic() + self.patience.whole
            with self.open(url) as response:
                if response.status_code in _GONE:
                    return None
                content = bytearray()
                for piece in response.iter_bytes():
                    self.stop.check()
                    content += piece
                    if len(content) > limit:
                        raise self.failed(url, f"it is larger than {limit} bytes")
                    if time.monotonic() > ends:
                        raise self.failed(url, f"it took longer than {self.patience.whole:.0f} s")
                return bytes(content)

        return self.persist(url, read)

    def persist(self, url: str, action: Callable[[], T]) -> T:
        """Try an action that fetches from `url` until it works, pausing longer each time."""
        attempt, pause = 1, self.patience.pause
        while True:
            try:
                return action()
            except (httpx2.TransportError, _Unavailable) as error:
                log.debug("Fetching %s: %r", shown(url), error)
                if attempt == self.patience.attempts:
                    reason = f"{_reason(error)}, in each of {attempt} attempts"
                    raise self.failed(url, reason) from error
            self.stop.sleep(pause)
            attempt, pause = attempt + 1, pause * 2

    @contextmanager
    def open(self, url: str, *, offset: int = 0) -> Iterator[httpx2.Response]:
        """The server's answer after all redirections: 200, 206 when `offset` was heeded, 404 or 410.

        A file on a disc image is answered out of that. Raises what `persist` tries again, or `FetchError`
        when trying again is of no use.
        """
        if discs.is_on_disc(url):
            with discs.opened(self.build, url) as found:
                yield _response(found.pieces(offset=offset), offset)
            return
        mirrors = self.build.mirrors
        place = _Place(url=rewrite(url, mirrors), trusted=listed(url, mirrors))
        for _ in range(_REDIRECTS + 1):
            self.stop.check()
            response = self.client.send(self._request(url, place, offset), stream=True)
            try:
                status = response.status_code
                if not response.has_redirect_location:
                    yield self._accepted(url, response)
                    return
            finally:
                response.close()
            log.debug("%s: %d, to %s", shown(place.url), status, response.headers["location"])
            place = self._next(place, response.headers["location"])
        raise self.failed(url, f"it was redirected more than {_REDIRECTS} times")

    def failed(self, url: str, reason: str, *, hint: str | None = None) -> FetchError:
        """The error that says why nothing came from a URL, naming the one that was tried."""
        tried, named = shown(rewrite(url, self.build.mirrors)), shown(url)
        if tried != named and hint is None:
            hint = f'The "mirrors" of the configuration put it in the place of "{named}"'
        return FetchError(f'Could not fetch "{tried}": {reason}', hint=hint)

    def _accepted(self, url: str, response: httpx2.Response) -> httpx2.Response:
        status = response.status_code
        if status in _PASSING:
            msg = f"the server answered {status}"
            raise _Unavailable(msg)
        if status not in {200, 206} | _GONE:
            raise self.failed(url, f"the server answered {status}")
        return response

    def _next(self, place: _Place, location: str) -> _Place:
        """Where a redirection leads; a mirror is trusted for all of its own host."""
        mirrors = self.build.mirrors
        url = urljoin(place.url, location)
        same_host = urlsplit(url).hostname == urlsplit(place.url).hostname
        trusted = listed(url, mirrors) or (place.trusted and same_host)
        return _Place(url=rewrite(url, mirrors), trusted=trusted)

    def _request(self, url: str, place: _Place, offset: int) -> httpx2.Request:
        headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        target = self._target(url, place)
        if target.userinfo:
            headers["Authorization"] = basic(target)
            target = target.copy_with(userinfo=None)
        if place.trusted:
            return self.client.build_request("GET", target, headers=headers)
        address = self._address(url, target)
        headers["Host"] = target.netloc.decode("ascii")
        return self.client.build_request(
            "GET",
            target.copy_with(host=str(address)),
            headers=headers,
            extensions={"sni_hostname": target.host},
        )

    def _target(self, url: str, place: _Place) -> httpx2.URL:
        try:
            target = httpx2.URL(place.url)
        except httpx2.InvalidURL as error:
            raise self.failed(url, "it is not a URL") from error
        if target.scheme not in {"http", "https"} or not target.host:
            raise self.failed(url, f'"{target.scheme}" is not a scheme that is fetched')
        return target

    def _address(self, url: str, target: httpx2.URL) -> Address:
        port = target.port or (443 if target.scheme == "https" else 80)
        try:
            addresses = self.reach.look_up(target.host, port)
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f'the host "{target.host}" is not known') from error
        for address in addresses:
            if reason := refusal(address, allowed=self.reach.allowed):
                why = f'the host "{target.host}" is {reason}, which a template may not name'
                raise self.failed(url, why, hint=_LIST_IT)
        return addresses[0]


@contextmanager
def http_client(*, patience: Patience = PATIENT) -> Iterator[httpx2.Client]:
    """The client that fetchers share: its redirections are theirs to follow."""
    with httpx2.Client(follow_redirects=False, timeout=patience.silence) as client:
        yield client


def fetch(build: Build, url: str, *, limit: int) -> bytes:
    """The content behind a URL that a template names, of at most `limit` bytes, or `FetchError`."""
    build.tools.log(f"Fetching {shown(url)}")
    with http_client() as client:

        def job(stop: Stop) -> bytes:
            return Fetcher(client=client, build=build, stop=stop).get(url, limit=limit)

        return side_by_side([job], cancellation=build.tools.cancellation, threads=1)[0]


def _response(pieces: Iterator[bytes] | None, offset: int) -> httpx2.Response:
    if pieces is None:
        return httpx2.Response(404)
    return httpx2.Response(206 if offset else 200, content=pieces)


def basic(url: httpx2.URL) -> str:
    """The URL's user and password as a header: the client logs the URLs that it is given."""
    pair = f"{url.username}:{url.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _reason(error: Exception) -> str:
    match error:
        case httpx2.TimeoutException():
            return "the server was silent for too long"
        case httpx2.ConnectError():
            return f"the connection failed ({error})"
        case _Unavailable():
            return str(error)
        case _:
            return f"the connection broke ({error})"
