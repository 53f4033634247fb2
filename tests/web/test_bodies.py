"""A body of any kind becomes fields or one clear sentence."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.errors import RequestError
from imagefactory.web import bodies, multipart

TDL = "<template><name>Größe</name></template>"
EDGE = "multipart/form-data; boundary=edge"


def part(headers: str, content: str) -> str:
    return f"--edge\r\nContent-Disposition: form-data; {headers}\r\n\r\n{content}\r\n"


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_wrapped(kind: str) -> None:
    body = bodies.parse(json.dumps({"base_image": {"template": TDL}}).encode(), kind)
    assert body.fields("base_image") == {"template": TDL}


def test_unescaped_unicode_and_a_byte_order_mark_are_welcome() -> None:
    text = json.dumps({"base_image": {"template": TDL}}, ensure_ascii=False)
    body = bodies.parse(text.encode("utf-8-sig"), "application/json")
    assert body.fields("base_image")["template"] == TDL


@pytest.mark.parametrize("kind", ["application/xml", "text/xml; charset=UTF-8"])
def test_xml_is_wrapped(kind: str) -> None:
    body = bodies.parse(b"<target_image><target>ec2</target></target_image>", kind)
    assert body.fields("target_image") == {"target": "ec2"}


def test_a_form_is_flat_and_its_parameters_may_be_json() -> None:
    form = b"template=%3Ctemplate%2F%3E&parameters=%7B%22a%22%3A+1%7D&extra=x&blank="
    body = bodies.parse(form, bodies.FORM)
    fields = {"template": "<template/>", "parameters": {"a": 1}, "extra": "x", "blank": ""}
    assert body.fields("base_image") == fields


def test_a_multipart_form_gives_its_fields_and_not_its_files() -> None:
    form = (
        part('name="template"', TDL)
        + part('name="parameters"', '{"a": 1}')
        + part('name="target"; filename="target.txt"', "ec2")
        + "--edge--\r\n"
    )
    body = bodies.parse(form.encode(), EDGE)
    assert body.fields("target_image") == {"template": TDL, "parameters": {"a": 1}}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", ""),
        (b"", "application/json"),
        (b" \n", "application/xml"),
        (b"{}", "application/json"),
        (b'{"base_image": {}}', "application/json"),
        (b'{"base_image": null}', "application/json"),
        (b'{"base_image": []}', "application/json"),
        (b'{"target_image": {"template": "x"}}', "application/json"),
        (b"<base_image/>", "text/xml"),
        (b"<base_image>text</base_image>", "text/xml"),
        (b"<other><template/></other>", "text/xml"),
        (b"template=x", "text/plain"),
        (b"template=x", "application/octet-stream"),
        (b"&&", bodies.FORM),
    ],
)
def test_a_request_without_the_resource_is_told_so(body: bytes, kind: str) -> None:
    with pytest.raises(RequestError) as caught:
        bodies.parse(body, kind).fields("base_image")
    assert str(caught.value) == "base_image not found in request."


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"{", "application/json", "line 1 column 2"),
        (b"[]", "application/json", "The request is not a JSON object"),
        (b"\xff", "application/json", "The request is not UTF-8: byte 0 is wrong"),
        (b'{"a": NaN}', "application/json", '"NaN" is no number'),
        (b'{"a": 1e999}', "application/json", '"1e999" is no number'),
        (b'{"a": "\\ud800"}', "application/json", "half of a character"),
        (b'{"a":' * 100_000, "application/json", "nested too deeply"),
        (b"<a", "text/xml", "line 1"),
        (b"template=%ff", bodies.FORM, "not UTF-8"),
        (b"a=1&" * 2000, bodies.FORM, "more than 1000 fields"),
        (b"parameters={", bodies.FORM, 'The value of "parameters" is not JSON'),
        (b"x", "multipart/form-data", 'no "boundary"'),
        (b"x", EDGE, "cannot be read"),
        (part('name="a"', "b").encode(), EDGE, "ends before its last boundary"),
        (part('name="a"', "b").encode() * 1001, EDGE, "more than 1000 parts"),
        (b'--edge\r\nContent-Disposition: x; name="a"\r\n\r\n\xff\r\n--edge--\r\n', EDGE, "not UTF-8"),
    ],
)  # fmt: skip
def test_a_broken_body_is_refused_in_one_sentence(body: bytes, kind: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        bodies.parse(body, kind)
    assert "\n" not in str(caught.value)


KINDS = st.sampled_from(
    ["application/json", "text/xml", bodies.FORM, EDGE, 'multipart/form-data; boundary="', "", "x"]
)  # fmt: skip
PIECES = st.lists(
    st.sampled_from(['{"base_image":', '"', "}", "\\u", "d800", "1e999", "[", "-", "<base_image>",
                     "</", "<![CDATA[", "&", "=", "%", "parameters", "--edge", "\r\n", ":",
                     'Content-Disposition: form-data; name="', ";", "--", "é"])
).map(lambda pieces: "".join(pieces).encode())  # fmt: skip


@given(body=st.binary() | PIECES, kind=KINDS | st.text(st.characters(codec="latin-1")))
def test_any_body_is_fields_or_a_request_error(body: bytes, kind: str) -> None:
    with suppress(RequestError):
        assert bodies.parse(body, kind).fields("base_image")


@given(st.dictionaries(st.text(), st.text(), min_size=1))
def test_any_texts_come_through_json(fields: dict[str, Any]) -> None:
    body = bodies.parse(json.dumps({"base_image": fields}).encode(), "application/json")
    assert body.fields("base_image") == fields


@given(body=st.binary(), content_type=st.text(st.characters(codec="latin-1")) | st.just(EDGE))
def test_any_bytes_are_a_multipart_form_or_refused(body: bytes, content_type: str) -> None:
    with suppress(RequestError):
        multipart.fields(body, content_type)


def test_fields_for_a_deletion_may_be_wrapped_or_flat() -> None:
    wrapped = bodies.parse(b'{"provider_image": {"target": "mock"}}', "application/json")
    flat = bodies.parse(b'{"target": "mock", "provider": "x"}', "application/json")
    assert wrapped.any_fields() == {"target": "mock"}
    assert flat.any_fields() == {"target": "mock", "provider": "x"}
    assert bodies.parse(b"", "application/json").any_fields() == {}
