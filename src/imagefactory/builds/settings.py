"""Where the configuration comes from: built-in values < file < environment < flags."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imagefactory.core.config import DEFAULT_FILE, Config
from imagefactory.core.errors import ConfigError

_PREFIX: Final = "IMAGEFACTORY_"


def load(
    *,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """The configuration; `ConfigError` in one sentence when any source of it is wrong.

    The default file may be missing; one that was asked for may not.
    """
    chosen = file or Path(environment.get(f"{_PREFIX}CONFIG", DEFAULT_FILE))
    values: dict[str, Any] = {"state": default_state(environment)}
    if chosen.exists() or chosen != DEFAULT_FILE:
        values |= _read(chosen)
    values |= {
        key.removeprefix(_PREFIX).lower(): value
        for key, value in environment.items()
        if key.startswith(_PREFIX) and key != f"{_PREFIX}CONFIG"
    }
    values |= {key: value for key, value in (flags or {}).items() if value is not None}
    return Config.parse({key: _structure(key, value) for key, value in values.items()})


def default_state(environment: Mapping[str, str]) -> str:
    """The state folder of somebody who names none."""
    if os.geteuid() == 0:
        return "/var/lib/imagefactory"
    home = environment.get("HOME", "/")
    return str(Path(environment.get("XDG_STATE_HOME") or f"{home}/.local/state") / "imagefactory")


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text()
        content = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
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
