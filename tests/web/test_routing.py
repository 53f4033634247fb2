"""Every address knows its methods, and every error is one sentence in the form that the client likes."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from fakes.api import ROOT, TDL, Api, an_api
from imagefactory.builds.workshop import executors
from imagefactory.store.database import Store

IMAGES: Final = ("GET", "HEAD", "POST")
ONE: Final = ("DELETE", "GET", "HEAD")
READ: Final = ("GET", "HEAD")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "", READ),
        ("PUT", "/base_images", IMAGES),
        ("DELETE", "/target_images", IMAGES),
        ("PATCH", "/base_images/1/target_images/2/provider_images", IMAGES),
        ("POST", "/provider_images/1", ONE),
        ("PUT", "/base_images/1/target_images/2", ONE),
        ("POST", "/base_images/1/raw_image", READ),
        ("GET", "/base_images/1/cancel", ("POST",)),
        ("GET", "/templates/check", ("POST",)),
        ("POST", "/plugins", READ),
        ("PUT", "/plugins/x", ONE),
        ("POST", "/targets", READ),
        ("DELETE", "/targets/mock", READ),
        ("POST", "/jeos/images", READ),
        ("POST", "/events", READ),
        ("POST", "/openapi.json", READ),
    ],
)
def test_a_path_tells_its_methods(
    api: Api, method: str, path: str, allowed: tuple[str, ...]
) -> None:
    answer = api.http.request(method, ROOT + path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == ", ".join(allowed)
    assert answer.text == f'"/imagefactory{path}" has no method "{method}"'


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/", 'There is nothing at "/imagefactory/"'),
        ("GET", "/nosuch", "nosuch not found"),
        ("POST", "/nosuch", "nosuch not found"),
        ("GET", "/nosuch/1", "nosuch not found"),
        ("DELETE", "/nosuch/1", "nosuch not found"),
        ("GET", "/base_images/1/nosuch", "nosuch not found"),
        ("GET", "/base_images/1/target_images/2/nosuch/3", "nosuch not found"),
        ("GET", "/target_images/1/nosuch/2", "nosuch not found"),
        ("GET", "/base_images/", 'There is nothing at "/imagefactory/base_images/"'),
        ("GET", "/a/b/c", 'There is nothing at "/imagefactory/a/b/c"'),
        ("GET", "/base_images/1", "No BaseImage found with id: 1"),
        ("GET", "/plugins/x", "No plugin found with id: x"),
        ("DELETE", "/plugins/x", "No image found with id: x"),
        ("GET", "/targets/x", "No target found with id: x"),
        ("GET", "/targets/x/providers", "No target found with id: x"),
        ("GET", "/targets/mock/providers/x", "No provider found with id: x"),
        ("GET", "/base_images/%2e%2e%2fx", "x not found"),
        ("GET", "/base_images/%ff", "No BaseImage found with id: \ufffd"),
    ],
)
def test_what_is_not_there_is_named(api: Api, method: str, path: str, text: str) -> None:
    answer = api.http.request(method, ROOT + path)
    assert (answer.status_code, answer.text) == (404, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_the_list_of_plugins_may_have_a_slash(api: Api) -> None:
    with_slash = api.http.get(f"{ROOT}/plugins/")
    assert with_slash.json() == api.http.get(f"{ROOT}/plugins").json()


@pytest.mark.parametrize(
    "path", ["", "/base_images", "/plugins", "/targets", "/jeos", "/openapi.json", "/docs"]
)
def test_every_get_answers_head(api: Api, path: str) -> None:
    head, get = api.http.head(ROOT + path), api.http.get(ROOT + path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("text/html", "Responses in text/html are currently unsupported."),
        ("image/png, a/b;q=0.3", "Responses in image/png, a/b;q=0.3 are currently unsupported."),
    ],
)
def test_other_media_types_are_406(api: Api, accept: str, text: str) -> None:
    for method, path in (("GET", ""), ("GET", "/base_images/1"), ("POST", "/base_images")):
        answer = api.http.request(method, ROOT + path, headers={"Accept": accept})
        assert (answer.status_code, answer.text) == (406, text)


def test_nothing_is_made_for_who_could_not_read_of_it(api: Api) -> None:
    body = {"base_image": {"template": TDL}}
    answer = api.http.post(f"{ROOT}/base_images", json=body, headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert api.shop.factory.images() == ()


def test_an_error_may_be_a_problem_document(api: Api) -> None:
    headers = {"Accept": "application/json"}
    answer = api.http.get(f"{ROOT}/base_images/1", headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "title": "Not Found",
        "status": 404,
        "detail": "No BaseImage found with id: 1",
        "code": "IF-1003",
    }
    answer = api.http.post(f"{ROOT}/targets", headers=headers)
    assert answer.json()["detail"] == '"/imagefactory/targets" has no method "POST"'


def test_a_bug_is_told_by_its_number_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: Any, **_more: Any) -> None:
        msg = "password=hunter2"
        raise KeyError(msg)

    monkeypatch.setattr(Store, "list", fail)
    answer = api.http.get(f"{ROOT}/base_images")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    reference = answer.text.split('"')[1]
    assert reference in caplog.text
    assert "Traceback" in caplog.text


def test_targets_and_their_providers(tmp_path: Path) -> None:
    folders = {"shelf": str(tmp_path / "shelf")}
    with an_api(tmp_path / "state", local_folders=folders) as api:
        targets = api.http.get(f"{ROOT}/targets").json()["targets"]
        assert {"mock", "local", "openstack-kvm"} <= {entry["target"]["id"] for entry in targets}
        shown = api.http.get(f"{ROOT}/targets/local").json()["target"]
        assert shown["href"] == f"{ROOT}/targets/local"
        assert shown["plugin"]["href"] == f"{ROOT}/plugins/Local"
        listed = api.http.get(f"{ROOT}/targets/local/providers").json()
        assert listed == shown["providers"]
        (provider,) = (entry["provider"] for entry in listed["providers"])
        assert provider["id"] == "shelf"
        answer = api.http.get(provider["href"])
        assert answer.json()["provider"]["target"]["id"] == "local"
        assert str(tmp_path) not in answer.text
        assert api.http.get(f"{ROOT}/targets/mock/providers").json() == {"providers": []}


def test_ready_made_images(tmp_path: Path) -> None:
    folder = tmp_path / "jeos"
    folder.mkdir()
    (folder / "a").write_text(
        "# comment\nec2:ec2-us-east-1:Fedora:23:x86_64:ami-123:ec2-user:sudo\nshort:line\n\n"
    )
    (folder / "b").write_text("ec2:ec2-us-east-1:Fedora:23:i386:ami-4\n")
    sources = [str(folder), "http://mirror.example.org/jeos"]
    with an_api(tmp_path / "state", jeos_config=sources, no_oauth=False) as api:
        assert api.http.get(f"{ROOT}/jeos").json() == {"0": sources[0], "1": sources[1]}
        architectures = {
            "x86_64": {"img_id": "ami-123", "user": "ec2-user", "cmd_prefix": "sudo"},
            "i386": {"img_id": "ami-4", "user": None, "cmd_prefix": None},
        }
        expected = {"ec2": {"ec2-us-east-1": {"Fedora": {"23": architectures}}}}
        assert api.http.get(f"{ROOT}/jeos/images").json() == expected
        answer = api.http.get(f"{ROOT}/jeos/images", headers={"Accept": "text/xml"})
        assert answer.content.startswith(b"<jeos>")
        answer = api.http.get(f"{ROOT}/jeos/images/ami-123")
        assert (answer.status_code, answer.content) == (501, b"")


def test_the_process_says_that_it_is_well(tmp_path: Path) -> None:
    with an_api(tmp_path / "state", no_oauth=False) as api:
        answer = api.http.get("/healthz")
        assert (answer.status_code, json.loads(answer.text)) == (200, {"status": "ok"})


def test_a_factory_is_ready_when_somebody_works(tmp_path: Path) -> None:
    with an_api(tmp_path / "state", no_oauth=False) as api:
        answer = api.http.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "No worker is alive"})
        with executors(api.shop.workshop.config).live("local", patience=0):
            answer = api.http.get("/readyz")
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert api.http.get("/readyz").status_code == 503
