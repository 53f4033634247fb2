"""Whatever is sent to the API, it answers as its OpenAPI document says, and never with an error of its own."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from fakes.api import TDL, an_api
from imagefactory.builds.workshop import executors

CASES: Final = 2000
STEPS: Final = 8  #: requests of one walk along links
#: streams never end, and what is not implemented is an error that is documented
SPECIAL: Final = r"(/events|/jeos/images/\{image_id\})$"
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with an_api(tmp_path_factory.mktemp("fuzz")) as api:
        for noun, more in (("base_image", {}), ("target_image", {"target": "mock"})):
            api.built(f"/{noun}s", noun, template=TDL, **more)
        whole = schemathesis.openapi.from_asgi("/imagefactory/openapi.json", api.app)
        with executors(api.shop.workshop.config).live("local", patience=0):  # it is ready
            yield whole.exclude(path_regex=SPECIAL)


def fuzz(document: Any, *, examples: int) -> None:
    """Send so many requests to each operation, and look at the answers."""
    operations = [entry.ok() for entry in document.get_all_operations()]
    assert len(operations) > 60
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def keeps_to_it(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        keeps_to_it()


def follow_links(document: Any, *, walks: int) -> int:
    """Go from answers to what they name, so many times; gives how many requests that were."""
    machine = document.as_state_machine()
    count = 0

    class Walk(machine):  # type: ignore[misc, valid-type] # made at run time
        def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
            nonlocal count
            count += 1
            case.validate_response(response, checks=CHECKS)

    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=walks,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return count


def test_every_operation_keeps_to_its_description(document: Any) -> None:
    fuzz(document, examples=3)


def test_what_answers_lead_to_keeps_to_its_description(document: Any) -> None:
    assert follow_links(document, walks=8) > 10


@pytest.mark.slow
def test_two_thousand_requests_find_no_mistake(document: Any) -> None:
    fuzz(document, examples=32)
    assert follow_links(document, walks=2 * CASES // STEPS) >= CASES
