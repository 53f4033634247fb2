"""What Prometheus reads of a daemon."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from fakes.api import ROOT, Api, an_api


def figures(api: Api) -> dict[tuple[str, ...], float]:
    """Each figure by its name and the values of its labels."""
    answer = api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parsed(answer.text)
        for sample in family.samples
    }


def test_images_jobs_and_room_are_counted(api: Api) -> None:
    base, _, _ = api.cascade()
    api.post("/target_images", "target_image", target="mock", base_image_id=base["id"])
    shown = figures(api)
    assert shown["imagefactory_images", "BaseImage", "COMPLETE"] == 1
    assert shown["imagefactory_images", "TargetImage", "NEW"] == 1
    assert shown["imagefactory_jobs", "waiting"] == 1
    assert shown["imagefactory_build_seconds_count", "ProviderImage"] == 1
    assert 0 <= shown["imagefactory_build_seconds_sum", "ProviderImage"] < 60
    assert shown["imagefactory_body_bytes",] > 0
    assert shown["imagefactory_free_bytes", "storage"] > 0


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/base_images", ("GET", "/imagefactory/base_images", "200")),
        ("/base_images/none", ("GET", "/imagefactory/base_images/{image_id}", "404")),
        ("/whatever/1", ("", "", "404")),
    ],
)
def test_requests_are_timed_by_their_route(api: Api, path: str, labels: tuple[str, ...]) -> None:
    api.http.get(ROOT + path)
    api.http.get(ROOT + path)
    assert figures(api)["imagefactory_http_request_seconds_count", *labels] == 2


def test_two_applications_count_apart(tmp_path: Path) -> None:
    with an_api(tmp_path / "a") as one, an_api(tmp_path / "b") as other:
        one.http.get(f"{ROOT}/base_images")
        name = "imagefactory_http_request_seconds_count"
        assert not any(key[0] == name for key in figures(other))
