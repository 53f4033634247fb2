"""Where the configuration comes from: built-in values < file < environment < flags."""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from imagefactory.core.config import DEFAULT_FILE, Config, why_dead
from imagefactory.core.errors import ConfigError

_PREFIX: Final = "IMAGEFACTORY_"
_STORAGE: Final = "storage_path"


def load(
    *,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Config:
    """The configuration; `ConfigError` in one sentence when any source of it is wrong.

    The default file may be missing; one that was asked for may not. `defaults` are the program's own,
    where they differ from those of others.
    """
    sources = _sources(file=file, flags=flags, environment=environment)
    values: dict[str, Any] = {"state": Path(default_state(environment)), **defaults}
    for origin, source in sources.items():
        values |= Config.read(source, origin=origin)
        _refuse_secondary(source, origin)
    ignored = _ignored(dict.fromkeys(key for source in sources.values() for key in source))
    return _anchored(Config(**values, ignored=tuple(ignored)))


def default_state(environment: Mapping[str, str] = os.environ) -> str:
    """The state folder of somebody who names none."""
    if os.geteuid() == 0:
        return "/var/lib/imagefactory"
    home = environment.get("HOME", "/")
    return str(Path(environment.get("XDG_STATE_HOME") or f"{home}/.local/state") / "imagefactory")


def _sources(
    *, file: Path | None, flags: Mapping[str, Any] | None, environment: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """What each source says, by what people call it, weakest first."""
    chosen = file or Path(environment.get(f"{_PREFIX}CONFIG") or DEFAULT_FILE)
    sources = {}
    if chosen.exists() or chosen != DEFAULT_FILE:
        sources[f'configuration file "{chosen}"'] = _read(chosen)
    sources[f"environment ({_PREFIX}*)"] = {
        key.removeprefix(_PREFIX).lower(): _structure(key, value)
        for key, value in environment.items()
        if key.startswith(_PREFIX) and key != f"{_PREFIX}CONFIG"
    }
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    sources["command line"] = {key: _structure(key, value) for key, value in given.items()}
    return sources


def _anchored(config: Config) -> Config:
    """The configuration with paths that stay what they are when the program changes its folder."""

    def absolute(table: Mapping[str, str]) -> dict[str, str]:
        return {key: str(Path(path).absolute()) for key, path in table.items()}

    storage = {key: path for key, path in config.image_manager_args.items() if key == _STORAGE}
    return replace(
        config,
        state=config.state.absolute(),
        tmpdir=config.tmpdir.absolute(),
        ssl_pem=config.ssl_pem if config.ssl_pem == "*" else str(Path(config.ssl_pem).absolute()),
        signing_key=config.signing_key and str(Path(config.signing_key).absolute()),
        image_manager_args={**config.image_manager_args, **absolute(storage)},
        keyrings=absolute(config.keyrings),
        local_folders=absolute(config.local_folders),
    )


def _refuse_secondary(source: Mapping[str, Any], origin: str) -> None:
    """Whoever asks for a helper of another factory must not get a whole one that serves the world."""
    if source.get("secondary") not in {None, False, "0", "false", "no"}:
        msg = f'The {origin} asks for a "secondary" factory, and there are none any more'
        raise ConfigError(msg, hint="Leave it out; workers share the work")


def _ignored(keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        if (why := why_dead(key)) is not None:
            yield f'The key "{key}" of the configuration has no effect: {why}'


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
        content = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f'The configuration file "{file}" cannot be read: {reason}'
        raise ConfigError(msg) from error
    if not isinstance(content, dict):
        msg = f'The configuration file "{file}" does not hold an object'
        raise ConfigError(msg)
    return content


def _structure(key: str, value: object) -> object:
    """Environment variables and flags give tables and lists as JSON."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return json.loads(value)
        except ValueError as error:
            msg = f'The value of "{key}" is not JSON: {error}'
            raise ConfigError(msg) from error
    return value
