"""Decides which network addresses a template may make the factory talk to."""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Cloud metadata services; one of them has a global address. All others are caught as link-local or private.
_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "168.63.129.16",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
    )
)

#: Their addresses end in an IPv4 address: RFC 6052, and RFC 4291 2.5.5.1.
_EMBEDDING: Final = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "::/96"))

#: What `is_global` does not know in every Python that we run on (IANA special-purpose registries).
_RESERVED: Final = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48")
)


def refusal(address: Address, *, allowed: Sequence[Network] = ()) -> str | None:
    """What kind of address this is, when it may not be talked to; None when it may.

    Only global addresses may, and those in `allowed`. An IPv4 address inside an IPv6 one is judged
    as itself.
    """
    inner = _unwrapped(address)
    if any(candidate in network for network in allowed for candidate in (address, inner)):
        return None
    if inner in _METADATA:
        return "a cloud's metadata service"
    if inner.is_unspecified or inner.is_loopback:
        return "this machine itself"
    if inner.is_link_local:
        return "a link-local address"
    if inner.is_multicast:
        return "a multicast address"
    if inner.is_global and not any(inner in network for network in _RESERVED):
        return None
    return "a private or reserved address"


def resolve(host: str, port: int) -> tuple[Address, ...]:
    """All addresses of a host, in the system's order of preference; `OSError` when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return tuple(ipaddress.ip_address(text) for text in texts)


def _unwrapped(address: Address) -> Address:
    match address:
        case ipaddress.IPv6Address(ipv4_mapped=ipaddress.IPv4Address() as inner):
            return inner
        case ipaddress.IPv6Address(sixtofour=ipaddress.IPv4Address() as inner):
            return inner
        case ipaddress.IPv6Address() if address.packed[:15] != bytes(15) and _embeds(address):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        case _:
            return address


def _embeds(address: Address) -> bool:
    return any(address in network for network in _EMBEDDING)
