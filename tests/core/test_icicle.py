"""How a list of packages is written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.errors import BuildError, RequestError
from imagefactory.core.icicle import DISABLED, Icicle, InstalledPackage, parse, render, with_extras

PLAIN = Icicle(
    description="a & b", packages=(InstalledPackage(name="adduser"), InstalledPackage(name="apt"))
)


def test_it_looks_as_ever() -> None:
    assert render(PLAIN) == (
        "<icicle>\n"
        "  <description>a &amp; b</description>\n"
        "  <packages>\n"
        '    <package name="adduser"/>\n'
        '    <package name="apt"/>\n'
        "  </packages>\n"
        "</icicle>\n"
    )


def test_extras_stand_in_their_package() -> None:
    packages = with_extras(["bash-5-1.x86_64"], "bash,5,1,x86_64,(none),1,aa,0\n")
    assert render(Icicle(packages=packages)) == (
        "<icicle>\n"
        "  <packages>\n"
        '    <package name="bash-5-1.x86_64">\n'
        "      <extra>bash,5,1,x86_64,(none),1,aa,0</extra>\n"
        "    </package>\n"
        "  </packages>\n"
        "</icicle>\n"
    )


@pytest.mark.parametrize("output", ["", "one\n", "one\ntwo\nthree\n"])
def test_extras_must_be_as_many_as_packages(output: str) -> None:
    with pytest.raises(BuildError) as caught:
        with_extras(["a", "b"], output)
    assert caught.value.brief == (
        "Invalid extra package command; it must return the same set of packages as 'rpm -qa'"
    )
    assert "2 packages" in str(caught.value.hint)


def test_a_disabled_one_is_exactly_this() -> None:
    assert DISABLED == "<icicle></icicle>"
    assert parse(DISABLED) == Icicle()


@pytest.mark.parametrize(
    "text", ["", "no", "<packages/>", "<icicle>", "<!DOCTYPE icicle><icicle/>"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"^The ICICLE"):
        parse(text)


def test_what_xml_cannot_hold_is_replaced() -> None:
    shown = render(Icicle(packages=(InstalledPackage(name="a\x1b[0m", extra="\x00\ud800é"),)))
    assert parse(shown).packages == (InstalledPackage(name="a\ufffd[0m", extra="\ufffd\ufffdé"),)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.~_-]{1,20}", fullmatch=True)
LINES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=20)


@given(
    st.one_of(st.none(), NAMES),
    st.lists(st.tuples(NAMES, st.one_of(st.none(), LINES)), max_size=8),
)
def test_it_survives_being_written(
    description: str | None, packages: list[tuple[str, str | None]]
) -> None:
    icicle = Icicle(
        description=description,
        packages=tuple(InstalledPackage(name=name, extra=extra) for name, extra in packages),
    )
    assert parse(render(icicle)) == icicle
