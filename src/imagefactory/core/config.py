"""The configuration: one frozen value, and the reading of it from a mapping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args, get_origin, get_type_hints

from imagefactory.core.accounts import Account
from imagefactory.core.errors import ConfigError
from imagefactory.core.secret import REDACTED, Secret

DEFAULT_FILE: Final = Path("/etc/imagefactory/imagefactory.conf")
TARGET_CONTENT: Final = Path("/etc/imagefactory/target_content.xml")
_TRUE: Final = frozenset({"true", "yes", "1"})
_FALSE: Final = frozenset({"false", "no", "0"})

_NO_KEY: Final = "no key"  #: marks a field that no source can set

#: keys that old configurations have and that mean nothing any more -> why; `*` ends a family of them
DEAD: Final[Mapping[str, str]] = {
    "config": "a configuration file does not name another",
    "ec2_build_style": "how an image is built follows from its parameters",
    "imgdir": "builds work below the state folder",
    "max_concurrent_ec2_sessions": "pushes do not wait for one another",
    "oz_data_dir": "Oz is not used",
    "oz_screenshot_dir": "Oz is not used; a boot's screenshot lies among the image's artifacts",
    "plugins": "plugins are found as installed Python packages",
    "proxy_ami_id": "Windows is not built through a proxy in EC2",
    "rest": "the daemon always serves the REST API",
    "rhevm_json": "a provider is described in the request that names it",
    "secondary": "there are no secondary factories; workers share the work",
    "vsphere_json": "a provider is described in the request that names it",
    "warehouse*": "images lie in the factory's own storage",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What an operator can set. Keys are the option names without dashes (API manual, "Starting")."""

    state: Path = Path("/var/lib/imagefactory")  #: everything the factory keeps lies below
    tmpdir: Path = Path("/tmp")  # noqa: S108 - the original's documented default
    image_manager: str = "file"
    image_manager_args: Mapping[str, str] = field(default_factory=dict)
    plain_bodies: bool = True  #: whether bodies are files of their own; else they share chunks

    address: str = "0.0.0.0"  # noqa: S104 - the documented default; TLS and OAuth are on by default, too
    port: int = 8075
    no_ssl: bool = False
    ssl_pem: str = (
        "*"  #: file with key and certificates; `*` makes a certificate at the first start
    )
    no_oauth: bool = False
    clients: Mapping[str, Secret] = field(
        default_factory=dict
    )  #: OAuth: consumer key -> its secret
    open_reads: bool = False  #: whether images may be read without a signature
    oauth_plaintext: bool = False  #: whether PLAINTEXT signatures are taken over TLS
    trusted_proxies: tuple[str, ...] = ()  #: networks whose `X-Forwarded-*` headers are believed
    signing_key: str = (
        ""  #: Ed25519 key in PEM that signs provenance; made below `state` when empty
    )
    max_body: int = 16 << 20  #: bytes that a request may have
    request_timeout: int = 60  #: seconds until a request must have arrived whole
    jeos_config: tuple[str, ...] = ()  #: files and folders that list ready-made images of clouds
    foreground: bool = False
    verbose: bool = False
    debug: bool = False
    output: Literal["log", "json"] = "log"  #: of the command line
    raw: bool = False  #: whether the command line shows no colours
    server: str = ""  #: the daemon that does what the command line is asked to; itself when empty
    ca: str = ""  #: PEM file with the certificates that the server's is trusted by
    fingerprint: str = ""  #: SHA-256 of the server's certificate, which is then trusted alone
    client: str = (
        ""  #: file with the key and secret for the server, as `{"clients": {key: secret}}`
    )

    timeout: int = 3600  #: seconds that one tool may take
    tdl_require_root_pw: bool = False
    max_concurrent_local_sessions: int = 1  #: builds at the same time in one worker
    abilities: tuple[str, ...] = ()  #: what a worker is limited to; everything when empty
    openstack_image_format: Literal["qcow2", "raw"] = "qcow2"
    rhevm_image_format: Literal["raw", "qcow2"] = "raw"
    ec2_image_format: str = "raw"
    ec2_ami_type: Literal["ebs", "s3"] = "ebs"
    ec2_instance_keys: bool = False  #: whether every client may push with the keys of this instance
    ec2_32bit_util: str = "m1.small"  #: the type of an instance that works for 32-bit images
    ec2_64bit_util: str = "m1.large"
    mirrors: Mapping[str, str] = field(
        default_factory=dict
    )  #: URL prefix in a template -> used instead
    keyrings: Mapping[str, str] = field(
        default_factory=dict
    )  #: URL prefix -> keyring file of its owner
    snapshots: tuple[str, ...] = ()  #: URL prefixes of archives that stay as they once were
    callback_secrets: Mapping[str, Secret] = field(
        default_factory=dict
    )  #: URL prefix of receivers -> what signs the callbacks to them
    callback_networks: tuple[str, ...] = ()  #: networks with receivers that are not global
    providers: Mapping[str, Account] = field(
        default_factory=dict
    )  #: accounts that clients may name as their provider
    local_folders: Mapping[str, str] = field(
        default_factory=dict
    )  #: providers of the target `local`
    target_content: Path = TARGET_CONTENT  #: what is added to target images
    cache_limit: int = (
        20480  #: MiB of layers and package files; who was used longest ago goes first
    )
    reuse_commands: int = (
        86400  #: seconds for which builds share what commands with a network have done
    )
    keep_failed: int = 86400  #: seconds for which a retry can go on where a build has failed
    boot_timeout: int = 600  #: seconds until a boot test gives up

    #: why keys that were given have no effect, a sentence each; no key itself
    ignored: tuple[str, ...] = field(default=(), metadata={_NO_KEY: True})

    def account(self, target: str | None, provider: str | None) -> Account | None:
        """The account that a client means by naming a provider of this target."""
        account = self.providers.get(provider or "")
        return account if account is not None and account.target == target else None

    @property
    def storage(self) -> Path:
        """Where `<uuid>.body` and `<uuid>.meta` lie."""
        return Path(self.image_manager_args.get("storage_path", self.state / "storage"))

    @property
    def cache(self) -> Path:
        """What builds share and can be made again: package files, indexes, layers."""
        return self.state / "cache"

    @property
    def scratch(self) -> Path:
        """One folder for each build that is under way."""
        return self.state / "scratch"

    @property
    def artifacts(self) -> Path:
        """One folder for each image: its log, lock, bill of materials, boot report."""
        return self.state / "artifacts"

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, origin: str = "configuration") -> Self:
        """A configuration with these values; `ConfigError` names an unknown or ill-typed key."""
        return cls(**cls.read(values, origin=origin))

    @classmethod
    def read(cls, values: Mapping[str, Any], *, origin: str) -> dict[str, Any]:
        """These values by the names of our fields and with their types; dead keys are left out.

        `ConfigError` names an unknown or ill-typed key, and the origin that has it.
        """
        types = get_type_hints(cls)
        keys = (entry.name for entry in fields(cls) if _NO_KEY not in entry.metadata)
        known = {name: types[name] for name in keys}
        read: dict[str, Any] = {}
        for key, value in values.items():
            name = _name(key)
            if name in known:
                if value is not None:  # JSON's null leaves a key as it is
                    read[name] = _typed(key, value, known[name], origin)
            elif why_dead(key) is None:
                msg = f'The {origin} has an unknown key "{key}"'
                raise ConfigError(msg, hint=_hint(name, known))
        return read


def why_dead(key: str) -> str | None:
    """Why a key means nothing any more; None for any other key."""
    name = _name(key)
    families = (family for family in DEAD if family.endswith("*"))
    family = next((family for family in families if name.startswith(family[:-1])), name)
    return DEAD.get(family)


def _name(key: str) -> str:
    return key.replace("-", "_").replace(".", "_")


def _hint(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=1)
    return f'Did you mean "{near[0]}"?' if near else "Correct or remove it"


def _typed(key: str, value: object, wanted: object, origin: str) -> object:
    kind, secret = get_origin(wanted) or wanted, {Secret, Account} & set(get_args(wanted))
    try:
        if Account in get_args(wanted):
            return _accounts(value)
        if secret:
            return _secrets(value)
        if kind is Literal:
            return _choice(value, get_args(wanted))
        return _READERS[kind](value)
    except ValueError as error:
        words = " or ".join(f'"{choice}"' for choice in get_args(wanted))
        is_what = words if kind is Literal else _WORDS[Account if Account in secret else kind]
        shown = REDACTED if secret else value
        msg = f'The {origin} has "{shown}" for "{key}", which is not {is_what}'
        raise ConfigError(msg) from error


def _choice(value: object, choices: tuple[object, ...]) -> object:
    if value in choices:
        return value
    raise ValueError


def _boolean(value: object) -> bool:
    match value:
        case bool() | 0 | 1:
            return bool(value)
        case str() as text if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
    raise ValueError


def _integer(value: object) -> int:
    match value:
        case int() if not isinstance(value, bool):
            return value
        case str() as text if text.isdecimal():
            return int(text)
    raise ValueError


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(map(_text, value))
    raise ValueError


def _table(value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {key: _text(item) for key, item in value.items()}
    raise ValueError


def _secrets(value: object) -> dict[str, Secret]:
    if isinstance(value, Mapping):
        return {
            key: item if isinstance(item, Secret) else Secret(_text(item))
            for key, item in value.items()
        }
    raise ValueError


def _accounts(value: object) -> dict[str, Account]:
    if isinstance(value, Mapping):
        return {name: Account.read(item) for name, item in value.items()}
    raise ValueError


#: what a key's values are read with; each raises `ValueError` for another type
_READERS: Final[Mapping[object, Callable[[object], object]]] = {
    bool: _boolean,
    int: _integer,
    Path: _path,
    str: _text,
    tuple: _texts,
    Mapping: _table,
}

#: what a key's values are, as people say it
_WORDS: Final[Mapping[object, str]] = {
    bool: "true or false",
    int: "a whole number",
    Path: "a path",
    str: "a text",
    tuple: "a list of texts",
    Mapping: "an object of texts",
    Account: 'an object of accounts, each with "target", "provider" and maybe "credentials"',
}
