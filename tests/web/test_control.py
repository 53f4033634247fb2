"""A build can be stopped and tried again; a template can be checked without any."""

import json
from typing import Any

import pytest

from fakes.api import ROOT, TDL, Api


def test_a_build_is_cancelled(api: Api) -> None:
    image = api.post("/base_images", "base_image", template=TDL)
    url = f"{ROOT}/base_images/{image['id']}"
    answer = api.http.post(f"{url}/cancel")
    assert answer.status_code == 202
    assert answer.json()["base_image"]["href"] == url
    api.shop.work()
    assert api.http.get(url).json()["base_image"]["status"] == "FAILED"
    again = api.http.post(f"{url}/cancel")
    assert (again.status_code, "nothing to cancel" in again.text) == (409, True)


def test_a_failed_build_is_tried_again(api: Api) -> None:
    image = api.built("/base_images", "base_image", template="<a/>")
    url = f"{ROOT}/base_images/{image['id']}"
    answer = api.http.post(f"{url}/retry")
    assert (answer.status_code, answer.json()["base_image"]["status"]) == (202, "PENDING")
    api.shop.work()
    assert api.http.get(url).json()["base_image"]["status"] == "FAILED"


def test_only_what_failed_can_be_tried_again(api: Api) -> None:
    image = api.built("/base_images", "base_image", template=TDL)
    assert api.http.post(f"{ROOT}/base_images/{image['id']}/retry").status_code == 409
    assert api.http.post(f"{ROOT}/target_images/{image['id']}/retry").status_code == 404
    assert api.http.post(f"{ROOT}/base_images/nobody/cancel").status_code == 404


def check(api: Api, content: str, kind: str) -> Any:
    headers = {"Content-Type": kind}
    return api.http.post(f"{ROOT}/templates/check", content=content.encode(), headers=headers)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (TDL, "application/xml"),
        (f"<base_image>{TDL}</base_image>", "text/xml"),
        (json.dumps({"template": TDL}), "application/json"),
    ],
)
def test_a_good_template_is_found_good(api: Api, content: str, kind: str) -> None:
    answer = check(api, content, kind)
    if "<base_image" in content:
        assert (answer.status_code, answer.text) == (400, "template not found in request.")
        return
    assert answer.status_code == 200
    assert answer.json() == {"template": {"valid": True, "name": "f17jeos", "faults": []}}


def test_a_form_is_checked_too(api: Api) -> None:
    answer = api.http.post(f"{ROOT}/templates/check", data={"template": TDL})
    assert answer.json()["template"]["valid"]


def test_the_lines_of_the_faults_are_named(api: Api) -> None:
    bad = "<template>\n<name>x</name>\n<os><name>a</name></os>\n<nosuch/>\n</template>"
    view = check(api, bad, "application/xml").json()["template"]
    assert (view["valid"], view["name"]) == (False, None)
    assert view["faults"]
    assert all(set(fault) == {"line", "message"} for fault in view["faults"])
    assert 4 in {fault["line"] for fault in view["faults"]}


@pytest.mark.parametrize("content", ["no XML", "<template", "<template/>"])
def test_what_is_no_template_is_a_fault_too(api: Api, content: str) -> None:
    assert check(api, content, "text/xml").json()["template"]["valid"] is False


@pytest.mark.parametrize("content", ["", "{}", '{"template": 5}'])
def test_a_request_without_a_template_is_a_mistake(api: Api, content: str) -> None:
    assert check(api, content, "application/json").status_code == 400
