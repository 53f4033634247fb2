"""Templates are shown without their secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.redaction import redacted
from imagefactory.core.template import parse

TEMPLATE = """\
<template>
  <!-- about -->
  <name>n</name>
  <os>
    <name>Debian</name>
    <version>12</version>
    <arch>x86_64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
    <rootpw>hunter2</rootpw>
    <key>hunter2</key>
  </os>
</template>"""


def test_password_and_key_are_masked_and_the_rest_stays() -> None:
    assert redacted(TEMPLATE) == TEMPLATE.replace("hunter2", "REDACTED")


@pytest.mark.parametrize(
    "secret",
    [
        "<rootpw>hunter2</rootpw>",
        "<rootpw >hun<!-- -->ter2</rootpw\n>",
        "<rootpw><![CDATA[hunter2</rootpw>]]></rootpw>",
        "<rootpw><b>hunter2</b>hunter2</rootpw>",
        "<rootpw old='hunter2'/>",
        "<x:rootpw xmlns:x='urn:x'>hunter2</x:rootpw>",
        "<rootpw>hu&#110;ter2</rootpw>",
        "<!-- <rootpw>hunter2</rootpw> -->",
        "<?php key hunter2?>",
    ],
)
def test_a_secret_is_found_in_any_disguise(secret: str) -> None:
    shown = redacted(f"<template><name>n</name><os>{secret}</os></template>")
    for part in ("hunter2", "ter2", "&#110;"):
        assert part not in shown
    assert "<name>n</name>" in shown


@pytest.mark.parametrize(
    "text",
    [
        "<template><rootpw>hunter2</rootpw>",
        "<!DOCTYPE t [<!ENTITY e 'hunter2'>]><template><rootpw>&e;</rootpw></template>",
        "<template><key>hunter2</template>",
    ],
)
def test_what_cannot_be_read_is_not_shown(text: str) -> None:
    assert redacted(text) == "REDACTED"


def test_a_text_that_never_was_a_template_is_shown() -> None:
    assert redacted("/etc/passwd") == "/etc/passwd"


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=40))
def test_no_password_survives(password: str) -> None:
    shown = redacted(TEMPLATE.replace("hunter2", password))
    assert password not in shown
    assert parse(shown).os.rootpw is not None
