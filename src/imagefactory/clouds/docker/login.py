"""Reads which registry and repository an image is pushed to, and who pushes."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

PROVIDER_KEYS: Final = frozenset({"registry", "repository", "tag", "tags", "mount_from", "verify"})
CREDENTIALS_KEYS: Final = frozenset({"username", "password", "token"})

#: distribution-spec 1.1, "Pulling manifests"
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class DockerLogin:
    """A repository, its tags, and who writes there."""

    registry: str  #: URL without a path
    repository: str
    tags: tuple[str, ...] = ("latest",)
    mount_from: str | None = None  #: a repository there that may have the layer already
    verify: bool = True  #: the registry's certificate
    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None  #: a bearer token, instead of a user

    @property
    def place(self) -> str:
        """The repository as people write it, without the scheme."""
        return f"{urlsplit(self.registry).netloc}/{self.repository}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What no message may hold."""
        return tuple(secret for secret in (self.password, self.token) if secret is not None)


def read(provider: str, credentials: Secret) -> DockerLogin:
    """A reference such as `registry.example.com/web/server:1`, or JSON or XML with these keys.

    Credentials may be empty: some registries let everybody write. `RequestError` names what is wrong.
    """
    text = provider.strip()
    structured = text.startswith(("{", "<"))
    place = Fields.read(text, what="provider") if structured else _reference(text)
    place.only(PROVIDER_KEYS)
    person = Fields(what="credentials", given={})
    if credentials.reveal().strip():
        person = Fields.read(
            credentials.reveal(), what="credentials", element="docker_credentials"
        ).only(CREDENTIALS_KEYS)
    username = person.text("username")
    return DockerLogin(
        registry=_registry(place.require("registry")),
        repository=_matching(_REPOSITORY, place.require("repository"), "repository"),
        tags=_tags(place),
        mount_from=place.text("mount_from"),
        verify=place.boolean("verify", default=True),
        username=username,
        password=Secret(person.require("password")) if username else None,
        token=person.secret("token"),
    )


def _reference(text: str) -> Fields:
    registry, slash, rest = text.partition("/")
    if not slash or not rest or not registry:
        msg = f'The provider "{text}" is not a repository of a registry'
        raise RequestError(msg, hint="Such as registry.example.com/web/server:1")
    repository, _, tag = rest.partition(":")
    given = {"registry": f"https://{registry}", "repository": repository, "tag": tag}
    return Fields(what="provider", given=given)


def _registry(text: str) -> str:
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[@?#\s]", url) or urlsplit(url).path.strip("/"):
        msg = 'The key "registry" is not the address of a registry'
        raise RequestError(msg, hint="Such as https://registry.example.com")
    return url.rstrip("/")


def _tags(place: Fields) -> tuple[str, ...]:
    match place.given.get("tags"):
        case None:
            tags = [place.text("tag") or "latest"]
        case list() as words if all(isinstance(word, str) for word in words):
            tags = words
        case str() as text:
            tags = [word.strip() for word in text.split(",")]
        case _:
            msg = 'The key "tags" of the provider is not a list of texts'
            raise RequestError(msg)
    return tuple(_matching(_TAG, tag, "tag") for tag in tags)


def _matching(pattern: re.Pattern[str], text: str, key: str) -> str:
    if not pattern.fullmatch(text):
        msg = f'The {key} "{text}" is not one that a registry takes'
        raise RequestError(msg)
    return text
