"""Reads what clients of OpenStack send as provider and credentials, the original's texts among it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

PROVIDER_KEYS: Final = frozenset(
    {
        *("glance-host", "glance-port", "image_endpoint", "auth_url"),
        *("region", "region_name", "interface", "verify"),
        *("container_format", "is_public", "min_disk", "min_ram", "properties"),
    }
)
CREDENTIALS_KEYS: Final = frozenset(
    {
        *("auth_url", "strategy", "token", "region", "region_name"),
        *("username", "user_id", "user_domain_name", "user_domain_id", "password"),
        *("tenant", "tenant_name", "project_name", "project_id"),
        *("project_domain_name", "project_domain_id"),
        *("application_credential_id", "application_credential_name"),
        "application_credential_secret",
    }
)


@dataclass(frozen=True, kw_only=True)
class Password:
    """A user with a password."""

    user: Mapping[str, str]  #: `user_id`, or `username` and its domain
    password: Secret


@dataclass(frozen=True, kw_only=True)
class ApplicationCredential:
    """What a user made for a program; it belongs to one project."""

    credential: Mapping[str, str]  #: its id, or its name and the user's
    secret: Secret


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token of Keystone's, exchanged for one of the project."""

    token: Secret


Identity = Password | ApplicationCredential | Token


@dataclass(frozen=True, kw_only=True)
class OpenStackLogin:
    """Who pushes where, and what the provider wants of every image.

    Mappings have the names of Keystone's v3 API, as its client library takes them.
    """

    auth_url: str  #: ends in `/v3`
    identity: Identity
    project: Mapping[str, str]  #: `project_id`, or `project_name` and its domain; or the user's own
    region: str | None
    interface: str  #: `public`, `internal` or `admin`
    endpoint: str | None  #: Glance's, ends in `/v2`; None is what Keystone's catalogue says
    verify: bool  #: the servers' certificates
    container_format: str
    is_public: bool
    min_disk: int  #: GiB; never less than the disk
    min_ram: int  #: MiB
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What no message may hold."""
        match self.identity:
            case Password(password=secret) | ApplicationCredential(secret=secret):
                return (secret,)
            case Token(token=secret):
                return (secret,)


def read(provider: str, credentials: Secret) -> OpenStackLogin:
    """Both texts as a login; `RequestError` names a key that is missing, unknown or unusable.

    Addresses of Keystone v2.0 and Glance v1 become those of v3 and v2, a tenant becomes a project.
    """
    try:
        place = Fields.read(provider, what="provider")
    except RequestError as error:
        # The original's sentence, which clients know; what is wrong with the text is the hint.
        msg = "OpenStack KVM instance not found in XML or JSON provided"
        raise RequestError(msg, hint=error.brief) from None
    person = Fields.read(
        credentials.reveal(), what="credentials", element="openstack_credentials"
    ).only(CREDENTIALS_KEYS)
    return _login(place.only(PROVIDER_KEYS), person)


def _login(place: Fields, person: Fields) -> OpenStackLogin:
    if person.text("strategy") not in {None, "keystone"}:
        msg = 'The key "strategy" of the credentials is not "keystone", the only one there is'
        raise RequestError(msg)
    url = person.text("auth_url") or place.text("auth_url") or "http://127.0.0.1:5000/v3"
    return OpenStackLogin(
        auth_url=re.sub(r"/v2\.0$|/v3$", "", _url(url, "auth_url")) + "/v3",
        identity=_identity(person),
        project=_project(person),
        region=person.text("region_name", "region") or place.text("region_name", "region"),
        interface=place.text("interface") or "public",
        endpoint=_endpoint(place),
        verify=place.boolean("verify", default=True),
        container_format=place.text("container_format") or "bare",
        is_public=place.boolean("is_public", default=False),
        min_disk=place.integer("min_disk", default=0),
        min_ram=place.integer("min_ram", default=0),
        properties=place.mapping("properties"),
    )


def _identity(person: Fields) -> Identity:
    if token := person.secret("token"):
        return Token(token=token)
    if found := _one(person, "application_credential_id"):
        secret = Secret(person.require("application_credential_secret"))
        return ApplicationCredential(credential=found, secret=secret)
    if found := _one(person, "application_credential_name"):
        secret = Secret(person.require("application_credential_secret"))
        return ApplicationCredential(credential={**found, **_user(person)}, secret=secret)
    return Password(user=_user(person), password=Secret(person.require("password")))


def _user(person: Fields) -> Mapping[str, str]:
    return _one(person, "user_id") or {
        "username": person.require("username"),
        **_domain(person, "user"),
    }


def _project(person: Fields) -> Mapping[str, str]:
    if person.text("application_credential_id", "application_credential_name"):
        return {}
    name = person.text("project_name", "tenant", "tenant_name")
    named = {"project_name": name, **_domain(person, "project")} if name else {}
    return _one(person, "project_id") or named


def _domain(person: Fields, kind: str) -> Mapping[str, str]:
    """Where a name is looked for: v2.0 had no domains, and its users became those of "Default"."""
    name = person.text(f"{kind}_domain_name") or "Default"
    return _one(person, f"{kind}_domain_id") or {f"{kind}_domain_name": name}


def _one(person: Fields, key: str) -> Mapping[str, str]:
    value = person.text(key)
    return {key: value} if value else {}


def _endpoint(place: Fields) -> str | None:
    url = place.text("image_endpoint")
    if url is None and (host := place.text("glance-host")):
        url = f"http://{host}:{place.integer('glance-port', default=9292)}"
    if url is None:
        return None
    return re.sub(r"/v[12](\.\d+)?$", "", _url(url, "image_endpoint")) + "/v2"


def _url(text: str, key: str) -> str:
    """A server's address, with nothing in it that would be a secret or be lost."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search("[@?#]", text):
        msg = f'The key "{key}" is not the address of a server'
        raise RequestError(msg, hint="Such as https://cloud.example.com:5000/v3")
    return text.rstrip("/")
