"""No secret is shown, whatever form the parameters and the provider of an image have."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.images import JSON
from imagefactory.core.masking import masked, masked_text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"password": "hush", "user": "me"}, {"password": "REDACTED", "user": "me"}),
        ({"api_key": 5, "key": "k"}, {"api_key": "REDACTED", "key": "k"}),
        ({"secret": {"deep": "hush"}}, {"secret": "REDACTED"}),
        ({"a": [{"authToken": "hush"}]}, {"a": [{"authToken": "REDACTED"}]}),
        ({"generate_password": True, "token": None}, {"generate_password": True, "token": None}),
        (
            {"callbacks": ["http://me:hush@host/x", "http://host:80/x"]},
            {"callbacks": ["http://me:REDACTED@host/x", "http://host:80/x"]},
        ),
        (
            {"install_script": "lang C\nrootpw --plaintext hush\nreboot"},
            {"install_script": "lang C\nrootpw REDACTED\nreboot"},
        ),
        (None, None),
    ],
)
def test_parameters_lose_their_secrets_only(given: Any, shown: Any) -> None:
    assert masked(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("local", "local"),
        ('{"glance-host": "h", "glance-port": 9292}', '{"glance-host": "h", "glance-port": 9292}'),
        ('{"vc": {"username":"me","password":"hush"}}', '{"vc": {"username": "me", "password": "REDACTED"}}'),
        ("<p><user>me</user><password>hush</password></p>", "<p><user>me</user><password>REDACTED</password></p>"),
        ("<p><password>hush</passwort></p>", "<p><password>REDACTED"),
        ("<p><password/><user>me</user></p>", "<p><password/><user>me</user></p>"),
        ("<p><x:Password a='1'><![CDATA[hu</sh]]></x:Password></p>", "<p><x:Password a='1'>REDACTED</x:Password></p>"),
        ('<vc username="me" password="hush"/>', '<vc username="me" password=REDACTED/>'),
        ('{"password": "hush",', '{"password": REDACTED,'),
        ("host=h;password=hush;user=me", "host=h;password=REDACTED;user=me"),
        ("https://h/?access_key=hush&x=1", "https://h/?access_key=REDACTED&x=1"),
    ],
)  # fmt: skip
def test_a_provider_loses_its_passwords_in_any_form(given: str, shown: str) -> None:
    assert masked_text(given) == shown


def test_what_nests_too_deeply_is_not_shown() -> None:
    deep: Any = "x"
    for _ in range(600):
        deep = {"a": deep}
    assert masked(deep) == "REDACTED"
    assert masked_text(json.dumps(deep)) == "REDACTED"


@given(value=JSON)
def test_masking_is_done_once(value: Any) -> None:
    assert masked(masked(value)) == masked(value)


@given(secret=st.text("abcdefgh", min_size=8), around=st.text(max_size=20))
def test_a_secret_is_never_in_what_is_shown(secret: str, around: str) -> None:
    given = {"x": around, "password": secret, "provider": json.dumps({"x": {"token": secret}})}
    assert secret not in json.dumps(masked(given)).replace(json.dumps(around), "")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text", ["<password " * 20_000, "a" * 200_000, "passwd=" * 20_000, "a://" * 40_000]
)
def test_no_text_takes_long(text: str) -> None:
    assert isinstance(masked_text(text), str)
