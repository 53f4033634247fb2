"""Whatever is sent to the API, it answers as its OpenAPI document says, and never with an error of its own."""

import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from fakes.api import TDL, an_api

#: for each operation; by hand with more, e.g. 30 make some 2,000 cases
EXAMPLES: Final = int(os.environ.get("IMAGEFACTORY_TEST_EXAMPLES", "3"))
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
        yield schemathesis.openapi.from_asgi("/imagefactory/openapi.json", api.app)


def test_every_operation_keeps_to_its_description(document: Any) -> None:
    operations = [entry.ok() for entry in document.exclude(path_regex=SPECIAL).get_all_operations()]
    assert len(operations) > 60
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def keeps_to_it(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        keeps_to_it()
