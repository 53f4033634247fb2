"""The configuration: one frozen value, and the reading of it from a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self, get_args, get_origin, get_type_hints

from imagefactory.core.errors import ConfigError

DEFAULT_FILE: Final = Path("/etc/imagefactory/imagefactory.conf")


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
    no_oauth: bool = False
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
    if wanted is bool:
        match value:
            case bool() | 0 | 1:
                return bool(value)
            case str() as text if text.lower() in {"true", "yes", "1", "false", "no", "0"}:
                return text.lower() in {"true", "yes", "1"}
    elif wanted is int:
        match value:
            case int() if not isinstance(value, bool):
                return value
            case str() as text if text.isdecimal():
                return int(text)
    elif wanted is Path and isinstance(value, str | Path):
        return Path(value)
    elif wanted is str and isinstance(value, str):
        return value
    elif kind is Mapping or get_args(wanted):
        if isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values()):
            return dict(value)
    name = getattr(kind, "__name__", str(kind)).lower()
    msg = f'The {origin} has "{value}" for "{key}", which is not of type {name}'
    raise ConfigError(msg)
