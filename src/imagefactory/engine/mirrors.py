"""Looks URLs up in the operator's tables, whose keys are URL prefixes."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")


def rewrite(url: str, mirrors: Mapping[str, str]) -> str:
    """The URL to fetch from: the longest prefix that `mirrors` lists is replaced, or nothing is."""
    prefix = _prefix(url, mirrors)
    if prefix is None:
        return url
    return mirrors[prefix].rstrip("/") + url[len(prefix.rstrip("/")) :]


def listed(url: str, mirrors: Mapping[str, str]) -> bool:
    """Whether the operator says where this URL is fetched from, and so vouches for its address."""
    return _prefix(url, mirrors) is not None


def keyring_of(url: str, keyrings: Mapping[str, str]) -> str | None:
    """The keyring file of who publishes below this URL, by its longest listed prefix."""
    return keyed(url, keyrings)


def keyed(url: str, table: Mapping[str, T]) -> T | None:
    """What a table holds for this URL, by its longest listed prefix."""
    prefix = _prefix(url, table)
    return None if prefix is None else table[prefix]


def shown(url: str) -> str:
    """The URL as logs and messages show it: without a user's name and password, or a query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _prefix(url: str, table: Mapping[str, object]) -> str | None:
    """`http://m.example/debian` is a prefix of `…/debian/dists`, not of `…/debian-security`."""
    found = [key for key in table if f"{url}/".startswith(key.rstrip("/") + "/")]
    return max(found, key=len, default=None)
