"""Reads whom a request names to be told of its images: all checks that need no look at the world."""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, RequestError
from imagefactory.core.images import Image
from imagefactory.core.parameters import Parameters
from imagefactory.engine.addresses import Network, refusal
from imagefactory.engine.mirrors import shown

ImageT = TypeVar("ImageT", bound=Image)

NOBODY: Final = "debug"  #: the original's receiver for those who debug it; nothing is sent
_MOST: Final = 16  #: receivers of one image
_LONGEST: Final = 2048  #: characters of an address


def check_receivers(parameters: Mapping[str, Any] | None, *, allowed: tuple[Network, ...]) -> None:
    """`RequestError` when the `callbacks` of a request cannot be called, as far as their text says."""
    receivers = Parameters(parameters or {}).texts("callbacks")
    if len(receivers) > _MOST:
        msg = f'The parameter "callbacks" has {len(receivers)} addresses, more than {_MOST}'
        raise RequestError(msg)
    for url in receivers:
        _check(url, allowed)


def with_receivers(image: ImageT, parameters: Mapping[str, Any]) -> ImageT:
    """An image whose receivers are those that it has, and those in these parameters."""
    more = Parameters(parameters).texts("callbacks")
    if not more:
        return image
    given = dict(image.parameters or {})
    known = Parameters(given).texts("callbacks")
    both = list(dict.fromkeys((*known, *more)))
    return replace(image, parameters={**given, "callbacks": both})


def networks(config: Config) -> tuple[Network, ...]:
    """The networks in which the operator allows receivers; `ConfigError` names what is none."""
    found = []
    for text in config.callback_networks:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            msg = f'The callback network "{text}" is neither an address nor a network'
            raise ConfigError(msg, hint='Write "192.0.2.7" or "192.0.2.0/24"') from error
    return tuple(found)


def _check(url: str, allowed: tuple[Network, ...]) -> None:
    if url == NOBODY:
        return
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        msg = "A callback is not a URL"
        raise RequestError(msg) from error
    if parts.scheme not in {"http", "https"} or not host or port == 0 or len(url) > _LONGEST:
        msg = f'The callback "{shown(url)[:_LONGEST]}" is not an http or https URL'
        raise RequestError(msg)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return  # a name is looked up when it is called
    if reason := refusal(address, allowed=allowed):
        msg = f'The callback "{shown(url)}" leads to {reason}'
        raise RequestError(msg, hint='The operator can list it in "callback_networks"')
