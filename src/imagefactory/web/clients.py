"""The OAuth clients of a factory: those of its configuration, or one that its first start makes up."""

import json
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError
from imagefactory.core.secret import Secret
from imagefactory.engine.files import write_atomically

log: Final = logging.getLogger(__name__)

_OWNER_ONLY: Final = 0o600


def path_of(config: Config) -> Path:
    """Where the made-up client is kept, as `{"clients": {key: secret}}` for its owner alone."""
    return config.state / "clients.json"


def load(config: Config) -> Mapping[str, Secret]:
    """Consumer keys and their secrets; `ConfigError` when the file is damaged or may be read by others."""
    if config.clients:
        return config.clients
    path = path_of(config)
    if not path.exists():
        client = {f"imagefactory-{secrets.token_hex(4)}": secrets.token_urlsafe(32)}
        write_atomically(path, json.dumps({"clients": client}) + "\n", mode=_OWNER_ONLY)
        log.warning("No OAuth clients are configured; one was written into %s", path)
    return read(path)


def read(path: Path) -> Mapping[str, Secret]:
    """The clients in a file."""
    try:
        if path.stat().st_mode & 0o077:
            msg = f'The OAuth clients in "{path}" may be read by others'
            raise ConfigError(msg, hint=f"chmod 600 {path}")
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        msg = f'The OAuth clients in "{path}" cannot be read: {error.strerror}'
        raise ConfigError(msg) from error
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(content, dict) or set(content) != {"clients"} or not content["clients"]:
        raise _damaged(path)
    return Config.parse(content, origin=f'file "{path}"').clients


def _damaged(path: Path) -> ConfigError:
    msg = f'The OAuth clients in "{path}" are damaged'
    return ConfigError(msg, hint="Remove the file, and the next start makes a new client")
