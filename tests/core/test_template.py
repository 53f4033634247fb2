"""What is read from a template, and how it is refused."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import pytest

from imagefactory.core.errors import TemplateError
from imagefactory.core.secret import Secret
from imagefactory.core.template import (
    Content,
    Package,
    Repository,
    Template,
    check,
    merge_packages,
    merge_repositories,
    parse,
    parse_packages,
    parse_repositories,
    require_root_password,
)

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "templates"
EXAMPLES: Final = Path(__file__).parent.parent.parent / "examples"

MINIMAL: Final = """\
<template>
  <name>minimal</name>
  <os>
    <name>Debian</name>
    <version>12</version>
    <arch>x86_64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
  </os>
</template>
"""


def minimal(part: str = "") -> str:
    """The smallest template, with something added to it."""
    return MINIMAL.replace("</os>", f"</os>{part}")


def described(document: bytes) -> str:
    """What comes of a template, for a golden file."""
    try:
        template = parse(document)
    except TemplateError as error:
        faults = "".join(f"{line}: {message}\n" for line, message in error.faults)
        return f"{error.brief.strip()}\n\nhint: {error.hint}\n\n{faults}"
    values = asdict(template)
    del values["text"]
    return json.dumps(values, indent=1, ensure_ascii=False, default=Secret.reveal) + "\n"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.tdl")), ids=lambda path: path.stem)
def test_a_template_gives_what_its_golden_file_says(path: Path) -> None:
    golden = path.with_suffix(".txt")
    found = described(path.read_bytes())
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.tdl")), ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    assert check(path.read_bytes()) == ()


def test_a_schema_failure_reads_as_the_original_s() -> None:
    with pytest.raises(TemplateError) as caught:
        parse(minimal("\n<services/>\n<disk/>"))
    assert caught.value.brief == (
        "\nXML schema validation failed:"
        "\n\tline 9: Unknown element <services> in <template>"
        "\n\tline 10: Missing <size> in <disk>"
    )


def test_a_message_of_thousands_of_faults_stays_readable() -> None:
    with pytest.raises(TemplateError) as caught:
        parse(minimal("\n<x/>" * 5000))
    assert len(caught.value.faults) == 5000
    assert caught.value.brief.count("\n") == 22
    assert caught.value.brief.endswith("\tand 4980 more")


def test_a_path_or_url_is_no_template() -> None:
    for text in ("/etc/passwd", "http://mirror.example.org/x.tdl", "", "  \n", "{}"):
        with pytest.raises(TemplateError, match=r"^Template is not a TDL document$"):
            parse(text)


def test_text_and_bytes_give_the_same_whatever_encoding_is_declared() -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?>' + MINIMAL.replace("minimal", "été")
    assert parse(text).name == "été"
    assert parse(text) == parse(text.encode("latin-1"))
    utf_16 = text.replace("ISO-8859-1", "UTF-16")
    assert parse(utf_16.encode("utf-16")).name == "été"
    assert parse(b"\xef\xbb\xbf" + MINIMAL.encode()).name == "minimal"


def test_the_text_is_kept_as_given() -> None:
    text = MINIMAL.replace("<name>minimal", "<!-- kept --><name>  minimal")
    assert parse(text).text == text
    assert parse(text.encode()).text == text


def test_secrets_and_contents_do_not_show() -> None:
    text = minimal('<files><file name="/x">s3cret</file></files>').replace(
        "</os>", "<rootpw>s3cret</rootpw><key>s3cret</key></os>"
    )
    template = parse(text)
    assert template.os.rootpw is not None
    assert template.os.rootpw.reveal() == "s3cret"
    assert "s3cret" not in repr(template)


def test_a_refusal_does_not_repeat_a_password() -> None:
    for rootpw in (
        "<rootpw>s3c&ret;</rootpw>",
        "<rootpw>s3c\nret</rootpw>",
        "<rootpw>s3c<b>ret</b></rootpw>",
        "<rootpw>a</rootpw><rootpw>s3cret</rootpw>",
        "<rootpw>" + "s3cret" * 100 + "</rootpw>",
        "s3cret",
    ):
        with pytest.raises(TemplateError) as caught:
            parse(MINIMAL.replace("</os>", f"{rootpw}</os>"))
        error = caught.value
        assert "s3c" not in f"{error.brief}{error.hint}{error.faults}"
        assert "ret" not in f"{error.brief}{error.hint}{error.faults}"


def test_no_break_space_counts_as_text() -> None:
    assert parse(MINIMAL.replace("minimal", "\u00a0")).name == "\u00a0"


def test_contents_give_their_bytes() -> None:
    assert Content(text="é").data() == b"\xc3\xa9"
    assert Content(type="base64", text="AP8=").data() == b"\x00\xff"
    assert Content(type="base64", text="").data() == b""
    with pytest.raises(ValueError, match="behind a URL"):
        Content(type="url", text="http://files.example.org/x").data()


def test_a_root_password_may_be_demanded() -> None:
    with pytest.raises(TemplateError, match=r"^Failed to find root/Administrator password in TDL$"):
        require_root_password(parse(MINIMAL))
    require_root_password(parse(MINIMAL.replace("</os>", "<rootpw>x</rootpw></os>")))


def a_template() -> Template:
    """A template with two packages and a repository."""
    return replace(
        parse(MINIMAL),
        packages=(Package(name="a"), Package(name="b")),
        repositories=(Repository(name="r", url="http://one.example.org/"),),
    )


def test_merged_packages_take_the_place_of_their_namesakes() -> None:
    more = parse_packages(
        '<packages><package name="c"/><package name="a"><file>f</file></package></packages>'
    )
    merged = merge_packages(a_template(), more)
    assert merged.packages == (Package(name="a", file="f"), Package(name="b"), Package(name="c"))


def test_merged_repositories_take_the_place_of_their_namesakes() -> None:
    more = parse_repositories(
        '<repositories><repository name="r"><url>http://two.example.org/</url></repository></repositories>'
    )
    merged = merge_repositories(a_template(), more)
    assert merged.repositories == (Repository(name="r", url="http://two.example.org/"),)


def test_a_part_is_held_to_the_same_rules() -> None:
    with pytest.raises(TemplateError, match="Repositories cannot be localhost"):
        parse_repositories(
            '<repositories><repository name="r"><url>http://localhost/</url></repository></repositories>'
        )
    with pytest.raises(TemplateError, match='Missing attribute "name" in <package>'):
        parse_packages("<packages><package/></packages>")
    with pytest.raises(TemplateError, match="Template is not a TDL document"):
        parse_packages(MINIMAL)
