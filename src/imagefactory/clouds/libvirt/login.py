"""Reads which libvirt an image goes to, and what becomes of it there."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

Mode = Literal["template", "domain", "volume"]

PROVIDER_KEYS: Final = frozenset({"uri", "pool", "mode", "network", "memory", "cpus", "firmware"})
CREDENTIALS_KEYS: Final = frozenset({"username", "password"})
USER_NETWORK: Final = "user"  #: QEMU's own network, which needs no bridge and no privilege

#: "ext" would run any program that a client names
_SCHEMES: Final = frozenset(
    {"qemu", "qemu+unix", "qemu+ssh", "qemu+libssh", "qemu+libssh2", "qemu+tls", "qemu+tcp"}
)
#: neither do these name a program, as "command", "netcat" and "proxy" would
_OPTIONS: Final = frozenset(
    {
        *("socket", "mode", "keyfile", "known_hosts", "known_hosts_verify", "no_verify"),
        *("sshauth", "pkipath", "tls_priority", "no_tty"),
    }
)
_HOST: Final = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:_\]-]*")
_NAME: Final = re.compile(r"[^/\x00-\x1f]+")


@dataclass(frozen=True, kw_only=True)
class LibvirtLogin:
    """A connection, the pool for volumes, and how machines are made of them."""

    uri: str
    pool: str
    mode: Mode
    network: str
    memory: int  #: MiB
    cpus: int
    firmware: Literal["bios", "efi"]
    username: str | None  #: for SASL
    password: Secret | None

    @property
    def secrets(self) -> Collection[Secret]:
        """What no message may hold."""
        return () if self.password is None else (self.password,)


def read(provider: str, credentials: Secret) -> LibvirtLogin:
    """Both texts as a login; `RequestError` names a key that is missing, unknown or unusable."""
    text = provider.strip()
    given: Mapping[str, Any] = {"uri": text}
    if not text or text[0] in "{<[":
        given = Fields.read(text, what="provider").given
    place = Fields(what="provider", given=given).only(PROVIDER_KEYS)
    text = credentials.reveal().strip() or "{}"
    person = Fields.read(text, what="credentials", element="libvirt_credentials")
    person.only(CREDENTIALS_KEYS)
    username, password = person.text("username"), person.secret("password")
    if (username is None) != (password is None):
        msg = 'The credentials need both a "username" and a "password", or neither'
        raise RequestError(msg)
    return LibvirtLogin(
        uri=_uri(place.require("uri")),
        pool=_name(place, "pool"),
        mode=_choice(place, "mode", get_args(Mode)),
        network=_name(place, "network"),
        memory=place.integer("memory", default=1024) or 1024,
        cpus=place.integer("cpus", default=1) or 1,
        firmware=_choice(place, "firmware", ("bios", "efi")),
        username=username,
        password=password,
    )


def _uri(text: str) -> str:
    hint = 'Such as "qemu:///system" or "qemu+ssh://root@host.example.com/system"'
    try:
        parts = urlsplit(text)
        host, secret = parts.hostname, parts.password
    except ValueError:
        msg = 'The key "uri" of the provider is not a URI of libvirt'
        raise RequestError(msg, hint=hint) from None
    if parts.scheme not in _SCHEMES or parts.path not in {"/system", "/session"}:
        msg = 'The key "uri" of the provider is not a URI of libvirt that images can be pushed to'
        raise RequestError(msg, hint=hint)
    if secret is not None:
        msg = 'The key "uri" of the provider holds a password'
        raise RequestError(msg, hint="Put it into the credentials")
    user = parts.username or ""
    if (host and not _HOST.fullmatch(host)) or user.startswith("-"):
        msg = 'The key "uri" of the provider has no usable host'
        raise RequestError(msg, hint=hint)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _OPTIONS):
        msg = f'The key "uri" of the provider has the option "{unknown[0]}"'
        raise RequestError(msg, hint="Taken are " + ", ".join(sorted(_OPTIONS)))
    if "ssh" in parts.scheme and "no_tty" not in options:  # nobody is there to be asked
        text += ("&" if parts.query else "?") + "no_tty=1"
    return text


def _name(place: Fields, key: str) -> str:
    text = place.text(key) or "default"
    if not _NAME.fullmatch(text):
        msg = f'The key "{key}" of the provider is not a name'
        raise RequestError(msg)
    return text


def _choice(place: Fields, key: str, choices: tuple[Any, ...]) -> Any:
    text = place.text(key) or choices[0]
    if text not in choices:
        known = ", ".join(f'"{choice}"' for choice in choices)
        msg = f'The key "{key}" of the provider is not one of {known}'
        raise RequestError(msg)
    return text
