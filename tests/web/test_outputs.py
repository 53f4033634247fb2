"""The body, the log and the artifacts of an image can be fetched, in parts and only when there is something new."""

import hashlib
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from fakes.api import ROOT, TDL, Api, an_api


@pytest.fixture(params=[True, False], ids=["plain", "chunks"])
def api(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Api]:
    """Bodies as files of their own, and as chunks."""
    with an_api(tmp_path / "state", plain_bodies=request.param) as api:
        yield api


@pytest.fixture
def image(api: Api) -> dict[str, Any]:
    return api.built("/base_images", "base_image", template=TDL)


@pytest.fixture
def url(image: dict[str, Any]) -> str:
    return f"{ROOT}/base_images/{image['id']}"


def test_a_body_is_downloaded(api: Api, image: dict[str, Any], url: str) -> None:
    answer = api.http.get(f"{url}/raw_image", headers={"Accept": "image/x-any"})
    assert answer.status_code == 200
    assert answer.text == f"MockOS base_image file for id ({image['id']})"
    assert answer.headers["content-type"] == "application/octet-stream"
    disposition = f'attachment; filename="{image["id"]}.body"'
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert answer.headers["accept-ranges"] == "bytes"


def test_the_nested_addresses_lead_to_the_same_body(api: Api) -> None:
    base, target, _ = api.cascade()
    nested = f"{ROOT}/base_images/{base['id']}/target_images/{target['id']}/raw_image"
    plain = f"{ROOT}/target_images/{target['id']}/raw_image"
    other = f"{ROOT}/base_images/{target['id']}/raw_image"  # found by its id alone
    assert len({api.http.get(path).text for path in (nested, plain, other)}) == 1


@pytest.mark.parametrize(
    ("span", "status", "part"),
    [
        ("bytes=0-5", 206, slice(0, 6)),
        ("bytes=6-", 206, slice(6, None)),
        ("bytes=-3", 206, slice(-3, None)),
        ("bytes=900-", 416, slice(0, 0)),
    ],
)
def test_a_body_comes_in_ranges(api: Api, url: str, span: str, status: int, part: slice) -> None:
    whole = api.http.get(f"{url}/raw_image").content
    answer = api.http.get(f"{url}/raw_image", headers={"Range": span})
    assert answer.status_code == status
    assert answer.content == whole[part]
    assert answer.headers["content-range"].startswith("bytes ")


def test_a_download_goes_on_only_with_the_same_body(api: Api, url: str) -> None:
    tag = api.http.head(f"{url}/raw_image").headers["etag"]
    for sent, status in ((tag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=6-", "If-Range": sent}
        assert api.http.get(f"{url}/raw_image", headers=headers).status_code == status


def test_a_known_body_is_not_sent_again(api: Api, url: str) -> None:
    head = api.http.head(f"{url}/raw_image")
    assert (head.status_code, head.content) == (200, b"")
    tag = head.headers["etag"]
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": formatdate(usegmt=True)}, 200),
        ({"If-Modified-Since": formatdate(usegmt=True)}, 304),
        ({"If-Modified-Since": formatdate(0, usegmt=True)}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ):
        answer = api.http.get(f"{url}/raw_image", headers=headers)
        assert answer.status_code == status, headers
        assert answer.headers["etag"] == tag


def test_there_is_no_body_before_the_end(api: Api) -> None:
    image = api.post("/base_images", "base_image", template=TDL)
    answer = api.http.get(f"{ROOT}/base_images/{image['id']}/raw_image")
    assert answer.status_code == 409
    assert "NEW" in answer.text
    _, _, provider = api.cascade()
    answer = api.http.get(f"{ROOT}/provider_images/{provider['id']}/raw_image")
    assert (answer.status_code, "has no body" in answer.text) == (404, True)
    answer = api.http.get(f"{ROOT}/base_images/nobody/raw_image")
    assert (answer.status_code, answer.text) == (404, "No image found with id: nobody")


def test_a_log_is_read_from_an_offset(api: Api, url: str) -> None:
    answer = api.http.get(f"{url}/log")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "Writing a sentence" in answer.text
    part = api.http.get(f"{url}/log?offset=10")
    assert part.content == answer.content[10:]
    assert api.http.get(f"{url}/log?offset=1000000").content == b""
    assert api.http.get(f"{url}/log?offset=-1").status_code == 400


def test_a_build_that_has_not_begun_has_an_empty_log(api: Api) -> None:
    image = api.post("/base_images", "base_image", template=TDL)
    answer = api.http.get(f"{ROOT}/base_images/{image['id']}/log")
    assert (answer.status_code, answer.content) == (200, b"")
    assert api.http.get(f"{ROOT}/target_images/{image['id']}/log").status_code == 404


def test_artifacts_are_listed_and_fetched(api: Api, url: str, image: dict[str, Any]) -> None:
    folder = api.shop.state / "artifacts" / image["id"]
    (folder / "boot report.json").write_text("{}")
    (folder / ".hidden").write_text("x")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "sub").mkdir()
    listed = api.http.get(f"{url}/artifacts").json()["artifacts"]
    found = {entry["artifact"]["name"]: entry["artifact"] for entry in listed}
    assert {"log", "boot report.json"} <= set(found)
    assert not {".hidden", "link", "sub"} & set(found)
    report = found["boot report.json"]
    assert (report["_type"], report["size"]) == ("artifact", 2)
    answer = api.http.get(report["href"])
    assert (answer.status_code, answer.text) == (200, "{}")
    for name in (".hidden", "link", "nosuch", "..%2F..%2Fimagefactory.db", "%2e%2e"):
        assert api.http.get(f"{url}/artifacts/{name}").status_code == 404


def test_a_verdict_names_what_was_looked_at(api: Api) -> None:
    base = api.built("/base_images", "base_image", template=TDL)
    verdict = api.http.get(f"{ROOT}/base_images/{base['id']}/verify").json()["verdict"]
    assert verdict["fine"] is True
    assert [each["subject"] for each in verdict["findings"]][:3] == [
        "body", "signature", "provenance.json",
    ]  # fmt: skip
    known = verdict["findings"][0]["detail"].rpartition(" ")[2]
    answer = api.http.get(f"{ROOT}/verify/{known}").json()["verdict"]
    assert answer["findings"][0]["detail"] == f"is that of {base['id']}"
    body = api.shop.state / "storage" / f"{base['id']}.body"
    body.write_bytes(b"evil")
    shown = api.http.get(f"{ROOT}/base_images/{base['id']}/verify", headers={"Accept": "text/xml"})
    assert b"<fine>False</fine>" in shown.content
    missing = api.http.get(f"{ROOT}/verify/{'ab' * 32}")
    assert (missing.status_code, "No image here has a body" in missing.text) == (404, True)
    assert api.http.get(f"{ROOT}/target_images/{base['id']}/verify").status_code == 404
