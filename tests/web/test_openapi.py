"""The OpenAPI document is whole, and so is the page that shows it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.routing import APIRoute
from lxml import html
from openapi_spec_validator import validate

from fakes.api import ROOT, Api, an_api

HIDDEN: Final = {"/imagefactory/plugins/"}
FORMS: Final = {
    "application/json",
    "application/xml",
    "text/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with an_api(tmp_path / "state", no_oauth=False) as api:
        yield api


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.http.get(f"{ROOT}/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_it_has_every_route_that_is_promised(api: Api, document: dict[str, Any]) -> None:
    routes = {
        (method.lower(), route.path)
        for route in api.app.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(method, path) for method, path, _ in operations(document)} == routes
    manual = {"/base_images", "/base_images/{base_image_id}/target_images", "/target_images",
              "/base_images/{base_image_id}/target_images/{target_image_id}/provider_images",
              "/target_images/{target_image_id}/provider_images", "/provider_images"}  # fmt: skip
    for path in manual:
        assert set(document["paths"][f"/imagefactory{path}"]) == {"get", "post"}
        assert set(document["paths"][f"/imagefactory{path}/{{image_id}}"]) == {"get", "delete"}


def test_every_operation_has_a_name_of_its_own_and_a_description(
    document: dict[str, Any],
) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(operation["description"] for _, _, operation in operations(document))


def test_every_body_is_described_in_all_its_forms(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        takes_body = method in {"post", "delete"} and not path.endswith(("/cancel", "/retry"))
        assert ("requestBody" in operation) == takes_body
        if takes_body:
            assert set(operation["requestBody"]["content"]) == FORMS


def test_every_protected_operation_names_the_refusal(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        assert ("401" in operation["responses"]) == ("security" in operation), path
        assert "500" in operation["responses"]
        assert "422" not in operation["responses"]
    open_ = {path for _, path, operation in operations(document) if "security" not in operation}
    assert open_ == {
        "/healthz",
        "/readyz",
        "/metrics",
        "/imagefactory",
        "/imagefactory/docs",
        "/imagefactory/jeos",
        "/imagefactory/jeos/images",
        "/imagefactory/jeos/images/{image_id}",
        "/imagefactory/openapi.json",
    }


def test_without_oauth_nothing_is_said_to_be_protected(tmp_path: Path) -> None:
    with an_api(tmp_path / "state") as api:
        document = api.http.get(f"{ROOT}/openapi.json").json()
    assert "securitySchemes" not in document["components"]
    for _, _, operation in operations(document):
        assert "security" not in operation
        assert "401" not in operation["responses"]


def test_the_page_loads_nothing_and_runs_nothing(api: Api, document: dict[str, Any]) -> None:
    answer = api.http.get(f"{ROOT}/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = html.fromstring(answer.text)
    assert not page.xpath("//script | //img | //link | //iframe")
    assert {link.get("href")[:1] for link in page.xpath("//a")} == {"#", "o"}
    summaries = " ".join(page.text_content().split())
    assert "*" not in page.xpath("string(//p)")
    assert "`" not in summaries.partition("Schemas")[0]
    for method, path, _ in operations(document):
        assert f"{method.upper()} {path}" in summaries
    anchors = {element.get("id") for element in page.xpath("//*[@id]")}
    assert {link.get("href")[1:] for link in page.xpath("//a[starts-with(@href, '#')]")} <= anchors
