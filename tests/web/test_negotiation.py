"""The client's `Accept` decides between JSON and XML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.web.negotiation import OFFERED, PROBLEM, TEXT, choose, choose_for_error

JSON = "application/json"
XML = "application/xml"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/*", JSON),
        ("application/xml", XML),
        ("text/xml", "text/xml"),
        ("text/*", "text/xml"),
        ("application/xml, */*", XML),
        ("application/xml;q=0.1, */*", JSON),
        ("application/json;q=0.5, application/xml;q=0.9", XML),
        ("application/json;q=0.9, application/xml;q=0.5", JSON),
        ("application/json, application/xml", JSON),
        ("application/xml, application/json", XML),
        ("application/json;q=0, */*", XML),
        ("application/json;q=bad", JSON),
        (FIREFOX, JSON),
        ("text/html", None),
        ("application/xhtml+xml", None),
        ("image/png", None),
        ("application/json;q=0", None),
        ("nonsense", None),
    ],
)
def test_the_best_media_type_wins(accept: str | None, media: str | None) -> None:
    assert choose(accept) == media


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, TEXT),
        ("*/*", TEXT),
        ("application/json, */*", TEXT),
        ("application/json", PROBLEM),
        ("application/problem+json, */*", PROBLEM),
        ("application/problem+json;q=0", TEXT),
        ("application/xml", TEXT),
        (FIREFOX, TEXT),
    ],
)
def test_an_error_is_a_sentence_unless_a_document_is_asked_for(
    accept: str | None, media: str
) -> None:
    assert choose_for_error(accept) == media


@given(st.text() | st.text("applictonjsxmqe/*;=,.019 "))
def test_any_header_is_understood(accept: str) -> None:
    assert choose(accept) in {*OFFERED, None}
    assert choose_for_error(accept) in {PROBLEM, TEXT}
