"""Asks a cloud's HTTP services, again where a fault may pass, and tells a refusal in one sentence."""

import json
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, TypeVar

import httpx2

from imagefactory import __version__
from imagefactory.core import markup
from imagefactory.core.errors import CloudError
from imagefactory.core.secret import Secret
from imagefactory.plugins.echoes import redacted, sent
from imagefactory.plugins.retry import Retry, pause_after

T = TypeVar("T")

ASKING: Final = 2.0  # seconds that a check lets a fault last
PUSHING: Final = 120.0  # seconds that a push does, each time
_UNDOING: Final = 10.0  # seconds that it does when it has failed already
_PERIOD: Final = 1.0  # seconds between two looks at what a cloud is making
_PATIENCE: Final = 60.0  # seconds without an answer
_LONGEST: Final = 200  # characters of an answer that a message quotes
_EARLY: Final = 60.0  # seconds before its end that a token is not used any more


class Refusal(Exception):
    """An answer that is not among the expected ones. `connected` makes a `CloudError` of it."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(f"{answer.status_code}")
        self.status = answer.status_code
        self.retry_after: str | None = answer.headers.get("Retry-After")
        self.words = redacted(_words(answer), sent(answer.request))


class Unsettled(Exception):
    """Something that was begun is not to be seen yet, or has not ended in its time."""


#: what the methods of `Rest` raise
FAULTS: Final = (Refusal, Unsettled, httpx2.TransportError)


@dataclass(frozen=True, kw_only=True)
class Rest:
    """A cloud's services during one call of a plugin. Methods raise what `connected` understands."""

    client: httpx2.Client
    retry: Retry
    settling: float = 3600.0  #: seconds that the cloud may take to make or remove an image

    def ask(self, method: str, url: str, **words: Any) -> httpx2.Response:
        """The answer to a request, which is made and authorized anew for every try; see `once`."""
        return self.retry(lambda: self.once(method, url, **words))

    def once(
        self,
        method: str,
        url: str,
        *,
        authorize: Callable[[httpx2.Request], None] = lambda request: None,  # noqa: ARG005
        expect: Collection[int] = (200, 201, 202, 204),
        fresh: bool = False,
        **words: Any,
    ) -> httpx2.Response:
        """The answer to a request that is made once; further words are those of httpx2.

        `fresh`: 404 passes, since what is asked for was made just now and not every server knows it.
        """
        request = self.client.build_request(method, url, **words)
        authorize(request)
        answer = self.client.send(request)
        if fresh and answer.status_code == httpx2.codes.NOT_FOUND:
            raise Unsettled
        if answer.status_code not in expect:
            raise Refusal(answer)
        return answer

    def undoing(self) -> "Rest":
        """The same for what a failed push removes: short of patience, and nobody can stop it."""
        return replace(self, retry=_retry(_UNDOING), settling=_UNDOING)

    def settle(self, look: Callable[[], T | None]) -> T:
        """What `look` gives when it is not None any more: what takes a cloud minutes is no fault."""
        found = self.retry.until(look, seconds=self.settling, period=_PERIOD)
        if found is None:
            raise Unsettled
        return found


class AccessToken:
    """An OAuth 2.0 bearer token (RFC 6750), asked for when it is needed and kept until it ends."""

    def __init__(self, fetch: Callable[[], Mapping[str, Any]]) -> None:
        """`fetch` gives what a token endpoint answers (RFC 6749, 5.1)."""
        self._fetch = fetch
        self._token = Secret("")
        self._ends = 0.0

    def __call__(self, request: httpx2.Request) -> None:
        """Authorize a request."""
        if time.monotonic() > self._ends:
            answer = self._fetch()
            self._token = Secret(str(answer["access_token"]))
            self._ends = time.monotonic() + float(answer.get("expires_in", 0)) - _EARLY
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"


@contextmanager
def connected(
    name: str,
    doing: str,
    *,
    secrets: Collection[Secret],
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
    trusted: ssl.SSLContext | None = None,
) -> Iterator[Rest]:
    """The one place where what HTTP brings becomes a `CloudError`, without any of the secrets.

    `name` is the cloud's, `doing` completes "… refused to"; `seconds` and `proceed` are those of `Retry`.
    `trusted` is for servers with an authority of their own.
    """
    agent = {"User-Agent": f"imagefactory/{__version__}"}
    try:
        verify = trusted or _trusted()
        with httpx2.Client(timeout=_PATIENCE, headers=agent, verify=verify) as client:
            yield Rest(client=client, retry=_retry(seconds, proceed))
    except FAULTS as error:
        raise _told(error, name, doing, secrets) from None


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities of the host, which take longer to read than most answers take."""
    return httpx2.create_ssl_context()


def content(answer: httpx2.Response) -> dict[str, Any]:
    """An answer's JSON object; with a wrong address it may be anybody's who answers."""
    try:
        read = answer.json()
    except ValueError:
        read = None
    if not isinstance(read, dict):
        url = str(answer.request.url).partition("?")[0]
        msg = f'What answers at "{url}" does not speak JSON'
        raise CloudError(msg, hint="Check the addresses that the provider gives")
    return read


def _retry(seconds: float, proceed: Callable[[], object] = lambda: None) -> Retry:
    return Retry(faults=FAULTS, pause=_pause, proceed=proceed, seconds=seconds)


def _pause(error: Exception) -> float | None:
    match error:
        case Refusal():
            return pause_after(error.status, error.retry_after)
        case Unsettled():
            return 0.0
        case _:
            return None if _distrusted(error) else 0.0


def _told(error: Exception, name: str, doing: str, secrets: Collection[Secret]) -> CloudError:
    match error:
        case Refusal():
            said = redacted(error.words, secrets)
            hint = (
                "Check the credentials and what they may do" if error.status in {401, 403} else None
            )
            return CloudError(f"{name} refused to {doing}: {_short(said)}", hint=hint)
        case Unsettled():
            return CloudError(f"{name} did not come to an end when it was to {doing}")
        case httpx2.TimeoutException():
            return CloudError(f"{name} did not answer in time when it was to {doing}")
        case _ if _distrusted(error):
            return CloudError(f"{name} has a certificate that is not trusted")
        case _:
            return CloudError(f"{name} could not be reached, or broke off, when it was to {doing}")


def _distrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _words(answer: httpx2.Response) -> str:
    """What a server said of its refusal: in JSON (ARM, Google, oVirt, RFC 6749 5.2) or XML (Azure's blobs)."""
    texts = _said_in_json(answer.text) or _said_in_xml(answer.text)
    return f"{answer.status_code} " + (": ".join(filter(None, texts)) or answer.reason_phrase)


def _said_in_json(text: str) -> list[str]:
    try:
        read = json.loads(text)
    except ValueError:
        return []
    match read:
        case {"error": {"message": str(message), **more}}:
            return [str(more.get("code") or more.get("status") or ""), message]
        case {"error": str(code), **more}:
            return [code, str(more.get("error_description") or "")]
        case {"reason": str(reason), "detail": str(detail)}:
            return [reason, detail]
        case _:
            return []


def _said_in_xml(text: str) -> list[str]:
    try:
        root = markup.read(text.lstrip("\ufeff"))
    except markup.Malformed:
        return []
    return [root.findtext("Code") or "", root.findtext("Message") or ""]


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
