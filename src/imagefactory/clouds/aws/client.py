"""Speaks to AWS through its own client library, and nothing else does."""

import importlib.util
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from imagefactory import __version__
from imagefactory.clouds.aws import keys
from imagefactory.clouds.aws.identity import Identity
from imagefactory.core.errors import CloudError
from imagefactory.core.secret import Secret
from imagefactory.plugins.echoes import redacted
from imagefactory.plugins.retry import Retry, pause_after

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config
    from types_boto3_ebs.client import EBSClient
    from types_boto3_ec2.client import EC2Client
    from types_boto3_s3.client import S3Client
    from types_boto3_sts.client import STSClient

INSTALL: Final = 'Install it with: pip install "imagefactory[aws]"'
ASKING: Final = 2.0  #: seconds that a check lets a fault last
PUSHING: Final = 180.0  #: seconds that a push does; a new snapshot may be unknown for two minutes
UNDOING: Final = 10.0  #: seconds that it does when it has failed already
THREADS: Final = 16  #: requests of one push that are under way at once

_PATIENCE: Final = 30.0  # seconds without an answer
_LONGEST: Final = 200  # characters of an answer that a message quotes
_PASSING: Final = frozenset(
    {
        "BadDigest",  # damaged on the way
        *("BandwidthLimitExceeded", "EC2ThrottledException", "InternalError", "InternalFailure"),
        *("PriorRequestNotComplete", "RequestLimitExceeded", "RequestThrottled"),
        *("RequestThrottledException", "RequestTimeout", "ServiceUnavailable", "SlowDown"),
        *("Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException"),
        *("Unavailable", "InternalServerException"),
    }
)
#: what was made just now and is not known everywhere yet; who deletes catches these himself
_NOT_YET: Final = frozenset(
    {"InvalidAMIID.NotFound", "InvalidSnapshot.NotFound", "ResourceNotFoundException"}
)
_STRANGER: Final = frozenset(
    {
        *("AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId"),
        *("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"),
        *("InvalidSignatureException", "InvalidToken"),
    }
)
_FORBIDDEN: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled"}
)


def installed() -> bool:
    """Whether the client library, an extra of ours, is there."""
    return importlib.util.find_spec("boto3") is not None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the servers are."""

    name: str  #: what messages call it, e.g. `EC2 in "eu-west-1"`
    region: str
    endpoint: str | None = None  #: of all services; None is what AWS publishes for the region
    verify: bool = True  #: the servers' certificates
    path_style: bool = False  #: S3: whether a bucket's name is in the path, not in the host's name


class Aws:
    """AWS as one identity sees it. Every client raises what the library raises: see `connected`."""

    def __init__(self, session: "Session", config: "Config", place: Place, retry: Retry) -> None:
        self._session = session
        self._config = config
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()  # clients may be used by many threads, and made by one
        self.place = place
        self.retry = retry

    def ec2(self, region: str | None = None) -> "EC2Client":
        """Machines, images and snapshots."""
        client: EC2Client = self._client("ec2", region)
        return client

    def ebs(self) -> "EBSClient":
        """The blocks of snapshots."""
        client: EBSClient = self._client("ebs")
        return client

    def sts(self) -> "STSClient":
        """Who one is."""
        client: STSClient = self._client("sts")
        return client

    def s3(self) -> "S3Client":
        """Objects."""
        client: S3Client = self._client("s3")
        return client

    def _client(self, service: str, region: str | None = None) -> Any:
        key = service, region or self.place.region
        with self._lock:
            if key not in self._clients:
                make: Any = self._session.client
                self._clients[key] = make(
                    service,
                    region_name=key[1],
                    endpoint_url=self.place.endpoint,
                    verify=self.place.verify,
                    config=self._config,
                )
            return self._clients[key]


@contextmanager
def connected(
    identity: Identity,
    place: Place,
    doing: str,
    *,
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[Aws]:
    """The one place where the client library's exceptions become a `CloudError`.

    `doing` completes "EC2 refused to …"; `seconds` and `proceed` are those of `Retry`.
    """
    if not installed():
        msg = "The AWS client library is not installed"
        raise CloudError(msg, hint=INSTALL)
    # Here and not above: it is an extra, and takes a fifth of a second.
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    faults = (BotoCoreError, ClientError, ResponseParserError)
    config, tokens = _config(place), set[Secret]()
    try:
        known = _session(identity, place, config)
        known.register("before-send", partial(_note_token, tokens))
        session = boto3.Session(botocore_session=known, region_name=place.region)
        retry = Retry(faults=faults, pause=_pause, proceed=proceed, seconds=seconds)
        yield Aws(session, config, place, retry)
    except faults as error:
        raise _refusal(error, (*identity.secrets, *tokens), identity, place, doing) from None


def code_of(error: Exception) -> str:
    """AWS's own word for what went wrong; empty where it was not AWS that answered."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def answers(error: Exception) -> bool:
    """Whether AWS read what was asked, and said no for another reason than who asks."""
    return code_of(error) not in _FORBIDDEN | _STRANGER and _server_pause(error) is None


def _config(place: Place) -> "Config":
    from botocore.config import Config  # noqa: PLC0415 - an extra

    words: dict[str, Any] = {
        "retries": {"total_max_attempts": 1, "mode": "standard"},  # `Retry` does it
        "connect_timeout": _PATIENCE,
        "read_timeout": _PATIENCE,
        "max_pool_connections": THREADS + 2,
        "user_agent_extra": f"imagefactory/{__version__}",
        "ignore_configured_endpoint_urls": True,
        "s3": {"addressing_style": "path" if place.path_style else "auto"},
    }
    return Config(**words)


@cache
def _models() -> Any:
    """The descriptions of AWS's services: half a second to read EC2's, and the same for every session."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - an extra

    return create_loader()


def _session(identity: Identity, place: Place, config: "Config") -> Any:
    """A session that knows nothing of this machine's own account."""
    from botocore.session import Session  # noqa: PLC0415 - an extra

    session: Any = Session()
    for name in ("config_file", "credentials_file"):
        session.set_config_variable(name, os.devnull)
    words = {"endpoint_url": place.endpoint, "verify": place.verify, "config": config}
    make_client = partial(session.create_client, region_name=place.region, **words)
    session.register_component("data_loader", _models())
    session.register_component("credential_provider", keys.of(identity, make_client))
    return session


def _note_token(tokens: set[Secret], request: Any, **_more: Any) -> None:
    """Remember by which token a role's or an instance's keys are valid."""
    token = request.headers.get("X-Amz-Security-Token")
    if token:
        tokens.add(Secret(token.decode() if isinstance(token, bytes) else token))


def _pause(error: Exception) -> float | None:
    from botocore import exceptions  # noqa: PLC0415 - an extra
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - an extra

    match error:
        case exceptions.ClientError():
            return 0.0 if code_of(error) in _NOT_YET else _server_pause(error)
        case exceptions.SSLError():
            return None
        case exceptions.ConnectionError() | exceptions.HTTPClientError() | ResponseParserError():
            return 0.0
        case _:
            return None


def _server_pause(error: Exception) -> float | None:
    """The least seconds that a server wants, or None where it is not its own trouble."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    answer = response.get("ResponseMetadata", {})
    after = answer.get("HTTPHeaders", {}).get("retry-after")
    pause = pause_after(answer.get("HTTPStatusCode", 0), after)
    return 0.0 if pause is None and code_of(error) in _PASSING else pause


def _refusal(
    error: Exception, secrets: Collection[Secret], identity: Identity, place: Place, doing: str
) -> CloudError:
    from botocore import exceptions  # noqa: PLC0415 - an extra

    where, code = place.name, code_of(error)
    match error:
        case exceptions.ClientError() if code in _STRANGER:
            msg = f"{where} refused the login"
            return CloudError(msg, hint="Check access key, secret and session token")
        case exceptions.ClientError() if code in _FORBIDDEN:
            action = error.operation_name
            msg = f'{where} does not allow "{identity.name}" to {doing}'
            return CloudError(msg, hint=f'Allow the action "{action}" to it')
        case exceptions.ClientError():
            return CloudError(f"{where} refused to {doing}: {_words(error, secrets)}")
        case exceptions.SSLError():
            msg = f"{where} has a certificate that is not trusted"
            return CloudError(
                msg, hint='Install its authority, or give the provider "verify": false'
            )
        case exceptions.ConnectTimeoutError() | exceptions.ReadTimeoutError():
            return CloudError(f"{where} did not answer in time")
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            return CloudError(f"{where} could not be reached, or broke off")
        case _:
            return CloudError(f"{where} could not be asked to {doing}: {type(error).__name__}")


def _words(error: Exception, secrets: Collection[Secret]) -> str:
    """What a server said, as one line."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    told = str(response.get("Error", {}).get("Message") or code_of(error))
    said = " ".join(redacted(told, secrets).split()).rstrip(".")
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
