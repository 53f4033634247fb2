"""The configuration: one frozen value, and the reading of it from a mapping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self, get_args, get_origin, get_type_hints

from imagefactory.core.errors import ConfigError
from imagefactory.core.secret import REDACTED, Secret

DEFAULT_FILE: Final = Path("/etc/imagefactory/imagefactory.conf")
_TRUE: Final = frozenset({"true", "yes", "1"})
_FALSE: Final = frozenset({"false", "no", "0"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """What an operator can set. Keys are the option names without dashes (API manual, "Starting")."""

    state: Path = Path("/var/lib/imagefactory")  #: everything the factory keeps lies below
    tmpdir: Path = Path("/tmp")  # noqa: S108 - the original's documented default
    image_manager: str = "file"
    image_manager_args: Mapping[str, str] = field(default_factory=dict)

    address: str = "127.0.0.1"
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
    max_body: int = 16 << 20  #: bytes that a request may have
    request_timeout: int = 60  #: seconds until a request must have arrived whole
    jeos_config: tuple[str, ...] = ()  #: files and folders that list ready-made images of clouds
    foreground: bool = False
    verbose: bool = False
    debug: bool = False

    timeout: int = 3600  #: seconds that one tool may take
    tdl_require_root_pw: bool = False
    max_concurrent_local_sessions: int = 1  #: builds at the same time in one worker
    openstack_image_format: str = "qcow2"
    mirrors: Mapping[str, str] = field(
        default_factory=dict
    )  #: URL prefix in a template -> used instead
    keyrings: Mapping[str, str] = field(
        default_factory=dict
    )  #: URL prefix -> keyring file of its owner
    local_folders: Mapping[str, str] = field(
        default_factory=dict
    )  #: providers of the target `local`
    boot_timeout: int = 600  #: seconds until a boot test gives up

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
        types = get_type_hints(cls)
        known = {entry.name: types[entry.name] for entry in fields(cls)}
        read: dict[str, Any] = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in known:
                msg = f'The {origin} has an unknown key "{key}"'
                raise ConfigError(msg, hint="Correct or remove it")
            read[name] = _typed(key, value, known[name], origin)
        return cls(**read)


def _typed(key: str, value: object, wanted: object, origin: str) -> object:
    kind = get_origin(wanted) or wanted
    try:
        if Secret in get_args(wanted):
            return _secrets(value)
        return _READERS[kind](value)
    except ValueError as error:
        shown = REDACTED if Secret in get_args(wanted) else value
        name = getattr(kind, "__name__", str(kind)).lower()
        msg = f'The {origin} has "{shown}" for "{key}", which is not of type {name}'
        raise ConfigError(msg) from error


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


#: what a key's values are read with; each raises `ValueError` for another type
_READERS: Final[Mapping[object, Callable[[object], object]]] = {
    bool: _boolean,
    int: _integer,
    Path: _path,
    str: _text,
    tuple: _texts,
    Mapping: _table,
}
