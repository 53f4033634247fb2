"""A template is a stranger's text: it is read or refused with a sentence, fast, and without looking elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefactory.core.errors import TemplateError
from imagefactory.core.redaction import redacted
from imagefactory.core.template import check, parse

MINIMAL = """\
<template><name>n</name><os><name>Debian</name><version>12</version><arch>x86_64</arch>
<install type="url"><url>http://mirror.example.org/debian</url></install></os>{}</template>"""

FRAGMENTS = st.sampled_from(
    [
        "<template>", "</template>", "<os>", "</os>", "<name>x</name>", "<rootpw>", "&amp;", "&x;", "&#0;",
        "&#x10FFFF;", "<![CDATA[", "]]>", "<!--", "-->", "<?xml version='1.0' encoding='x'?>", "<?pi?>",
        "<!DOCTYPE a>", "<!ENTITY x 'y'>", "xmlns:a='b'", "\x00", "\ud800", "\ufeff", "<", ">", "=", "'", " ",
    ]
)  # fmt: skip


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails when the block takes longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=12).map("".join), st.binary()))
def test_nothing_but_a_template_error_comes_out(document: str | bytes) -> None:
    with suppress(TemplateError):
        parse(document)
    if isinstance(document, str):
        redacted(document)


@settings(max_examples=200)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_damaged_template_is_read_or_refused(where: int, damage: bytes) -> None:
    whole = MINIMAL.format("<disk><size>4GiB</size></disk>").encode()
    check(whole[:where] + damage + whole[where + 1 :])


def bomb(levels: int) -> str:
    """Entities that double again and again."""
    lines = ['<!ENTITY e0 "ha">']
    lines += [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels)]
    return f"<!DOCTYPE template [{''.join(lines)}]>"


@pytest.mark.parametrize("place", ["<description>&e14;</description>", '<x name="&e14;"/>'])
def test_an_entity_bomb_does_not_go_off(place: str) -> None:
    with within(2), pytest.raises(TemplateError, match="Template cannot be read at line"):
        parse(bomb(15) + MINIMAL.format(place))


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE template>",
        '<!DOCTYPE template SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE template PUBLIC "-//x" "file:///etc/hostname">',
        '<!DOCTYPE template [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>',
        '<!DOCTYPE template [<!ATTLIST file type CDATA "url">]>',
    ],
)
def test_a_document_type_is_refused(doctype: str) -> None:
    with pytest.raises(TemplateError, match="document type"):
        parse(doctype + MINIMAL.format(""))


def test_an_encoding_does_not_hide_a_document_type() -> None:
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE template>' + MINIMAL.format("")
    with pytest.raises(TemplateError, match="document type"):
        parse(text.encode("utf-16"))


def test_xinclude_is_an_unknown_element() -> None:
    include = (
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd" parse="text"/>'
    )
    template = MINIMAL.format(f'<files><file name="/x">{include}</file></files>')
    with pytest.raises(TemplateError, match=r"Unknown element <.*include> in <file"):
        parse(template)


def test_depth_and_length_end_in_a_sentence() -> None:
    with within(5):
        assert check("<template>" * 100_000)
        assert check(MINIMAL.format("<a>" * 5000 + "</a>" * 5000))
        assert check(MINIMAL.format("<a" + " b=''" * 10_000 + "/>"))
        assert check("<template " + "x" * 1_000_000 + "/>")


def test_a_great_many_good_elements_are_read_fast() -> None:
    packages = "".join(f'<package name="p{number}"/>' for number in range(20_000))
    with within(5):
        template = parse(MINIMAL.format(f"<packages>{packages}</packages>"))
    assert len(template.packages) == 20_000


def test_a_great_many_faults_are_told_fast() -> None:
    files = "".join(f'<file name="/{number}" type="base64"> </file>' for number in range(5_000))
    with within(10):
        assert len(check(MINIMAL.format(f"<files>{files}</files>"))) == 5_000
