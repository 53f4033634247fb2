"""What clouds say against a request becomes one sentence without secrets; tokens are kept while they last."""

from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from imagefactory.core.errors import CloudError
from imagefactory.core.secret import Secret
from imagefactory.plugins.rest import AccessToken, Refusal, Unsettled, connected, content


def answered(status: int, text: str = "") -> httpx2.Response:
    request = httpx2.Request("GET", "https://cloud.example.com/images?sig=hunter2")
    return httpx2.Response(status, text=text, request=request)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '{"error": {"code": "Quota", "message": "Too many\\nimages."}}',
            "409 Quota: Too many images",
        ),
        ('{"error": "invalid_client", "error_description": "No."}', "409 invalid_client: No"),
        ('{"error": "invalid_client"}', "409 invalid_client"),
        (
            "<Error><Code>Busy</Code><Message>Later: hunter2</Message></Error>",
            "409 Busy: Later: REDACTED",
        ),
        ("<html>", "409 Conflict"),
        ("[]", "409 Conflict"),
        ('{"error": {"message": "%s"}}' % ("x" * 500), "409 " + "x" * 196 + "…"),
    ],
)
def test_what_a_server_says_is_one_line_without_secrets(text: str, told: str) -> None:
    with (
        pytest.raises(CloudError) as error,
        connected("Azure", "take it", secrets=[Secret("hunter2")]),
    ):
        raise Refusal(answered(409, text))
    assert error.value.brief == f"Azure refused to take it: {told}"
    assert error.value.hint is None
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Refusal(answered(403)), "Azure refused to take it: 403 Forbidden"),
        (Unsettled(), "Azure did not come to an end when it was to take it"),
        (httpx2.ReadTimeout("hunter2"), "Azure did not answer in time when it was to take it"),
        (
            httpx2.ConnectError("hunter2"),
            "Azure could not be reached, or broke off, when it was to take it",
        ),
    ],
)
def test_every_fault_is_told(fault: Exception, told: str) -> None:
    with pytest.raises(CloudError) as error, connected("Azure", "take it", secrets=[]):
        raise fault
    assert error.value.brief == told


def test_an_answer_of_somebody_else_is_told_without_its_query() -> None:
    assert content(answered(200, '{"a": 1}')) == {"a": 1}
    for text in ("It works!", "[]", ""):
        with pytest.raises(CloudError) as error:
            content(answered(200, text))
        assert error.value.brief == (
            'What answers at "https://cloud.example.com/images" does not speak JSON'
        )


def test_a_token_is_asked_for_again_only_when_it_has_ended() -> None:
    given: list[Mapping[str, Any]] = [
        {"access_token": "first", "expires_in": 3600},
        {"access_token": "second", "expires_in": 10},
        {"access_token": "third", "expires_in": "3600"},
    ]
    seen = []
    for start in (0, 1):
        answers = iter(given[start:])
        token = AccessToken(lambda answers=answers: next(answers))  # type: ignore[misc]
        for _repeated in range(2):
            request = answered(200).request
            token(request)
            seen.append(request.headers["Authorization"])
    assert seen == ["Bearer first", "Bearer first", "Bearer second", "Bearer third"]
