"""A template must not make the factory talk to what only the factory can reach."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.engine.addresses import refusal

MYSELF = "this machine itself"
METADATA = "a cloud's metadata service"
PRIVATE = "a private or reserved address"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1", MYSELF),
        ("127.255.255.254", MYSELF),
        ("0.0.0.0", MYSELF),
        ("::", MYSELF),
        ("::1", MYSELF),
        ("::ffff:127.0.0.1", MYSELF),
        ("::127.0.0.1", MYSELF),
        ("64:ff9b::7f00:1", MYSELF),
        ("2002:7f00:1::", MYSELF),
        ("169.254.169.254", METADATA),
        ("::ffff:169.254.169.254", METADATA),
        ("168.63.129.16", METADATA),
        ("100.100.100.200", METADATA),
        ("192.0.0.192", METADATA),
        ("fd00:ec2::254", METADATA),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("10.0.0.1", PRIVATE),
        ("172.16.0.1", PRIVATE),
        ("192.168.1.1", PRIVATE),
        ("100.64.0.1", PRIVATE),
        ("198.18.0.1", PRIVATE),
        ("255.255.255.255", PRIVATE),
        ("fc00::1", PRIVATE),
        ("64:ff9b:1::1", PRIVATE),
    ],
)
def test_addresses_that_are_not_global_are_refused(text: str, reason: str) -> None:
    assert refusal(ipaddress.ip_address(text)) == reason


@pytest.mark.parametrize("text", ["8.8.8.8", "151.101.2.132", "2a04:4e42::644", "64:ff9b::808:808"])
def test_global_addresses_are_not(text: str) -> None:
    assert refusal(ipaddress.ip_address(text)) is None


def test_a_network_that_is_allowed_is_not_refused() -> None:
    allowed = (ipaddress.ip_network("10.1.0.0/16"),)
    assert refusal(ipaddress.ip_address("10.1.2.3"), allowed=allowed) is None
    assert refusal(ipaddress.ip_address("::ffff:10.1.2.3"), allowed=allowed) is None
    assert refusal(ipaddress.ip_address("10.2.2.3"), allowed=allowed) == PRIVATE


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_itself(inner: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{inner}")
    assert refusal(mapped) == refusal(inner)
    assert refusal(ipaddress.IPv6Address(f"64:ff9b::{inner}")) == refusal(inner)
