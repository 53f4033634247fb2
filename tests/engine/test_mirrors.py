"""Tables of URL prefixes: the longest one counts, and only whole path segments match."""

import pytest

from imagefactory.engine.mirrors import keyring_of, listed, rewrite, shown

MIRRORS = {
    "http://mirror.example.org/debian": "http://10.0.0.1:3142/debian/",
    "http://mirror.example.org/debian/pool": "http://pool.example.net",
    "https://other.example.org/": "http://other.internal/x",
}


@pytest.mark.parametrize(
    ("url", "real"),
    [
        ("http://mirror.example.org/debian", "http://10.0.0.1:3142/debian"),
        ("http://mirror.example.org/debian/dists/x", "http://10.0.0.1:3142/debian/dists/x"),
        ("http://mirror.example.org/debian/pool/a.deb", "http://pool.example.net/a.deb"),
        ("https://other.example.org/y?z=1", "http://other.internal/x/y?z=1"),
    ],
)
def test_a_listed_prefix_is_replaced(url: str, real: str) -> None:
    assert rewrite(url, MIRRORS) == real
    assert listed(url, MIRRORS)


@pytest.mark.parametrize(
    "url",
    [
        "http://mirror.example.org/debian-security/dists",
        "http://mirror.example.org/",
        "https://mirror.example.org/debian",
        "http://mirror.example.org.evil.example/debian",
    ],
)
def test_anything_else_stays_as_it_is(url: str) -> None:
    assert rewrite(url, MIRRORS) == url
    assert not listed(url, MIRRORS)


def test_a_keyring_is_found_by_the_longest_prefix() -> None:
    keyrings = {"http://a.example/": "/all.gpg", "http://a.example/one/": "/one.gpg"}
    assert keyring_of("http://a.example/one", keyrings) == "/one.gpg"
    assert keyring_of("http://a.example/two/x", keyrings) == "/all.gpg"
    assert keyring_of("http://b.example/", keyrings) is None


def test_what_is_shown_has_no_secret_in_it() -> None:
    assert shown("https://user:pass@a.example:8443/x/y?token=1#z") == "https://a.example:8443/x/y"
