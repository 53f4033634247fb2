"""Reads the file of what an operator adds to target images."""

from imagefactory.core.config import TARGET_CONTENT, Config
from imagefactory.core.errors import ConfigError
from imagefactory.core.target_content import TargetContent, parse


def inclusions(config: Config) -> TargetContent:
    """What the file says; nothing where it stands at its usual place and is not there.

    `ConfigError` for a file that is wrong, that cannot be read, or that was named and is missing.
    """
    path = config.target_content
    try:
        document = path.read_bytes()
    except FileNotFoundError as error:
        if path == TARGET_CONTENT:
            return TargetContent()
        msg = f'The file "{path}" of the key "target_content" is not there'
        raise ConfigError(msg, hint="Make it, or leave the key out") from error
    except OSError as error:
        msg = f'The file "{path}" of the key "target_content" cannot be read: {error.strerror}'
        raise ConfigError(msg) from error
    return parse(document, origin=str(path))
