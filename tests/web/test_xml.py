"""XML requests mean what they meant to the original, and XML answers are well formed."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from imagefactory.core.errors import RequestError
from imagefactory.web import xml

TDL = "<template><name>x</name><!-- kept --></template>"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("1e3", 1000.0),
        ("0.5", 0.5),
        ("007", "007"),
        ("0123456789", "0123456789"),
        ("1e999", "1e999"),
        ("True", True),
        ("true", "true"),
        ("None", None),
        ("'quoted 5'", "quoted 5"),
        ('"it\'s"', "it's"),
        ("'half", "'half"),
        ("'two' 'parts'", "'two' 'parts'"),
        ("'\\ud800'", "'\\ud800'"),
        ("'\\N{no such name}'", "'\\N{no such name}'"),
        ("  spaced  ", "spaced"),
        ("<![CDATA[<a>&]]>", "<a>&"),
        ("&lt;a&gt;&amp;&#233;", "<a>&é"),
        ("é", "é"),
        ("one<!-- remark -->two", "onetwo"),
        ("", {}),
        ("<b>1</b><b>x</b><b/>", {"b": [1, "x", {}]}),
        ("<b type__='list'>1</b>", {"b": [1]}),
        ("<b type__='list'/>", {"b": []}),
        ("<b c='1'><d>2</d></b>", {"b": {"c": 1, "d": 2}}),
    ],
)
def test_a_parameter_is_evaluated(text: str, value: Any) -> None:
    document = f"<base_image><parameters><p>{text}</p></parameters></base_image>"
    assert xml.parse(document.encode()) == {"base_image": {"parameters": {"p": value}}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (f"<template>{TDL}</template>", TDL),
        (TDL, TDL),
        (f"<template>\n  <![CDATA[{TDL}]]>\n</template>", TDL),
        (f"<template>{TDL.replace('<', '&lt;').replace('>', '&gt;')}</template>", TDL),
        ("<template/>", ""),
        ("<template>5</template>", "5"),
        ("<template>'5'</template>", "5"),
    ],
)
def test_a_template_comes_in_any_dress(field: str, value: str) -> None:
    body = f"<?xml version='1.0'?>\n<base_image>{field}</base_image>"
    assert xml.parse(body.encode())["base_image"]["template"] == value


def test_credentials_may_stand_unescaped() -> None:
    inner = "<provider_credentials><mock><key>1</key></mock></provider_credentials>"
    body = f"<provider_image><credentials> {inner}</credentials><provider>1e3</provider></provider_image>"
    assert xml.parse(body.encode())["provider_image"] == {"credentials": inner, "provider": "1e3"}


def test_attributes_are_fields() -> None:
    body = b"<target_image target='5' strict='True'/>"
    assert xml.parse(body) == {"target_image": {"target": "5", "strict": True}}


@pytest.mark.parametrize(
    "document",
    [
        "<a>",
        "no XML",
        "<a>&undefined;</a>",
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "<a>" * 300 + "</a>" * 300,
        "<a b='1' b='2'/>",
        "<?xml version='1.0' encoding='no-such'?><a/>",
    ],
)
def test_bad_or_dangerous_documents_are_refused(document: str) -> None:
    with pytest.raises(RequestError, match="line 1"):
        xml.parse(document.encode())


def test_an_included_file_stays_unread() -> None:
    space = "http://www.w3.org/2001/XInclude"
    document = f"<a xmlns:x='{space}'><template><x:include href='/etc/passwd' parse='text'/></template></a>"
    assert "root:" not in str(xml.parse(document.encode()))


@given(st.binary() | st.text("<>&;!/ab='\"[]CDT-?xml\ud7ff").map(str.encode))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    with suppress(RequestError):
        assert len(xml.parse(document)) == 1


VIEW = {
    "base_image": {
        "_type": "BaseImage",
        "id": "1",
        "icicle": None,
        "template": "<template>&</template>",
        "parameters": {"l": [1, "x"], "one": ["a"], "none": [], "o": {}, "b": True, "q q": 1.5},
        "target_images": {"target_images": [{"target_image": {"_type": "TargetImage", "id": "7"}}]},
    }
}


def test_a_view_is_one_document() -> None:
    assert xml.render(VIEW).decode() == (
        '<base_image type="BaseImage">\n'
        "  <icicle/>\n"
        "  <id>1</id>\n"
        "  <parameters>\n"
        "    <b>True</b>\n"
        "    <l>1</l>\n"
        "    <l>x</l>\n"
        '    <none type__="list">\n</none>\n'
        "    <o>\n</o>\n"
        '    <one type__="list">a</one>\n'
        '    <entry__ name="q q">1.5</entry__>\n'
        "  </parameters>\n"
        "  <target_images>\n"
        '    <target_image type="TargetImage">\n'
        "      <id>7</id>\n"
        "    </target_image>\n"
        "  </target_images>\n"
        "  <template>&lt;template&gt;&amp;&lt;/template&gt;</template>\n"
        "</base_image>\n"
    )


def test_several_keys_get_a_root() -> None:
    rendered = xml.render({"name": "imagefactory", "version": "1"}, root="imagefactory")
    root = etree.fromstring(rendered)
    assert (root.tag, [child.tag for child in root]) == ("imagefactory", ["name", "version"])


def test_lists_within_lists_have_items() -> None:
    view = {"plugins": [{"_type": "plugin", "type": "os", "targets": [["Debian", None], ["b"]]}]}
    root = etree.fromstring(xml.render(view))
    assert [child.tag for child in root] == ["plugin"]
    assert root.findtext("plugin/type") == "os"
    assert [item.text for item in root.iterfind("plugin/targets/list__")] == ["Debian", None, "b"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("_type"), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES))
def test_any_parameters_make_a_well_formed_answer(parameters: dict[str, Any]) -> None:
    document = xml.render({"base_image": {"_type": "BaseImage", "parameters": parameters}})
    assert etree.fromstring(document).tag == "base_image"


PLAIN = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1).filter(
    lambda text: text not in {"True", "False", "None"}
)


ITEMS = st.integers() | st.booleans() | PLAIN
REPEATABLE = st.recursive(
    ITEMS,
    # A list of lists has items of its own, and a list of one empty object looks like an empty list.
    lambda inner: st.dictionaries(PLAIN, inner) | st.lists(ITEMS),
)


@given(REPEATABLE)
def test_what_an_answer_shows_can_be_sent_again(value: Any) -> None:
    shown = xml.render({"base_image": {"parameters": {"value": value}, "n": 1}})
    assert xml.parse(shown)["base_image"]["parameters"]["value"] == value
