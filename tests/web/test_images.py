"""What the API does beside the manual's examples: mistakes, cascades, paging, keys, labels."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from lxml import etree

from fakes.api import HOST, ROOT, TDL, Api, an_api

NOBODY: Final = "7b301688-2b7f-49e8-b744-6b8a450fac25"


def post(api: Api, path: str, noun: str, **fields: Any) -> tuple[int, str]:
    answer = api.http.post(ROOT + path, json={noun: fields})
    return answer.status_code, answer.text


NEITHER: Final = "Must specify either a template or a {} ID"
BOTH: Final = "Must specify either a template or a {} ID, not both"
TARGET: Final = {"target": "mock"}
PUSH: Final = {"target": "mock", "provider": "p", "credentials": "c"}
MISTAKES: Final[list[tuple[str, dict[str, Any], int, str]]] = [
    ("/base_images", {}, 400, "base_image not found in request."),
    ("/base_images", {"template": None}, 400, "Missing parameters"),
    ("/base_images", {"template": ""}, 400, "Missing parameters"),
    ("/base_images", {"x": 1}, 400, "Missing parameters"),
    ("/base_images", {"template": 5}, 400, 'The value of "template" is not a text'),
    (
        "/base_images",
        {"template": TDL, "parameters": []},
        400,
        'The value of "parameters" is not an object',
    ),
    ("/target_images", TARGET, 400, NEITHER.format("BaseImage")),
    (
        "/target_images",
        TARGET | {"template": TDL, "base_image_id": NOBODY},
        400,
        BOTH.format("BaseImage"),
    ),
    (
        "/target_images",
        TARGET | {"base_image_id": NOBODY},
        404,
        f"No BaseImage found with id: {NOBODY}",
    ),
    (
        f"/base_images/{NOBODY}/target_images",
        TARGET,
        404,
        f"No BaseImage found with id: {NOBODY}",
    ),
    ("/target_images", {"template": TDL}, 400, "Missing value for key: 'target'"),
    (
        "/provider_images",
        TARGET,
        400,
        "Missing key/value pair: provider(None), credentials(None), target(mock)",
    ),
    (
        "/provider_images",
        {"provider": "p", "credentials": "hush"},
        400,
        "Missing key/value pair: provider(p), credentials(REDACTED), target(None)",
    ),
    ("/provider_images", PUSH, 400, NEITHER.format("TargetImage")),
    (
        "/provider_images",
        PUSH | {"target_image_id": NOBODY},
        404,
        f"No TargetImage found with id: {NOBODY}",
    ),
    (
        "/provider_images",
        PUSH | {"credentials": 5},
        400,
        'The value of "credentials" is not a text',
    ),
    (
        "/provider_images",
        PUSH | {"target_image_id": NOBODY, "parameters": {"snapshot": True}},
        400,
        "Must specify a template when requesting a snapshot-style build",
    ),
    ("/nosuch_images", {"template": TDL}, 404, "nosuch_images not found"),
]


@pytest.mark.parametrize(("path", "fields", "status", "text"), MISTAKES)
def test_a_mistake_is_one_sentence_and_no_record(
    api: Api, path: str, fields: dict[str, Any], status: int, text: str
) -> None:
    noun = path.rpartition("/")[2].removesuffix("s")
    assert post(api, path, noun, **fields) == (status, text)
    assert api.shop.factory.images() == ()


def test_the_wrapper_has_to_be_the_collections(api: Api) -> None:
    refused = (400, "base_image not found in request.")
    assert post(api, "/base_images", "target_image", template=TDL) == refused


@pytest.mark.parametrize(
    "template", ["http://mirror.example.org/t.tdl", NOBODY, "/etc/passwd", "<a/>"]
)
def test_a_bad_template_is_taken_and_fails(api: Api, template: str) -> None:
    image = api.built("/base_images", "base_image", template=template)
    assert image["status"] == "FAILED"
    assert "root:" not in str(image)


def test_ids_in_the_body_win_over_the_path(api: Api) -> None:
    base = api.built("/base_images", "base_image", template=TDL)
    path = f"/base_images/{NOBODY}/target_images"
    target = api.post(path, "target_image", target="mock", base_image_id=base["id"])
    assert target["base_image_id"] == base["id"]


def test_a_cascade_names_its_parents_at_once(api: Api) -> None:
    provider = api.post(
        "/provider_images",
        "provider_image",
        template=TDL,
        target="mock",
        provider="p",
        credentials="c",
    )
    target = api.http.get(f"{ROOT}/target_images/{provider['target_image_id']}").json()
    assert target["target_image"]["status"] == "PENDING"
    api.shop.work()
    url = f"{ROOT}/provider_images/{provider['id']}"
    assert api.http.get(url).json()["provider_image"]["status"] == "COMPLETE"


def test_json_may_hold_the_provider_and_credentials_as_objects(api: Api) -> None:
    image = api.post(
        "/provider_images",
        "provider_image",
        template=TDL,
        target="mock",
        provider={"name": "p", "password": "hunter2"},
        credentials={"password": "hunter2"},
    )
    assert json.loads(image["provider"]) == {"name": "p", "password": "REDACTED"}


def test_secrets_in_parameters_are_not_shown(api: Api) -> None:
    parameters = {"api_key": "hunter2", "size": 5, "install_script": "rootpw hunter2\n"}
    image = api.post("/base_images", "base_image", template=TDL, parameters=parameters)
    assert image["parameters"]["size"] == 5
    assert "hunter2" not in str(image["parameters"])


def test_a_parent_in_the_path_of_an_image_is_not_checked(api: Api) -> None:
    base, target, _ = api.cascade()
    answer = api.http.get(f"{ROOT}/base_images/{NOBODY}/target_images/{target['id']}")
    assert answer.status_code == 200
    answer = api.http.get(f"{ROOT}/target_images/{base['id']}")
    assert (answer.status_code, answer.text) == (404, f"No TargetImage found with id: {base['id']}")


def test_children_outlive_their_parent(api: Api) -> None:
    base, target, provider = api.cascade()
    assert api.http.delete(f"{ROOT}/target_images/{target['id']}").status_code == 204
    api.shop.work()
    shown = api.http.get(f"{ROOT}/provider_images/{provider['id']}").json()["provider_image"]
    assert shown["target_image"] is None
    shown = api.http.get(f"{ROOT}/base_images/{base['id']}").json()["base_image"]
    assert shown["target_images"] == {"target_images": []}


def test_a_list_below_an_unknown_parent_is_empty(api: Api) -> None:
    answer = api.http.get(f"{ROOT}/base_images/{NOBODY}/target_images")
    assert (answer.status_code, answer.json()) == (200, {"target_images": []})


def ids(answer: Any) -> list[str]:
    return [entry["base_image"]["id"] for entry in answer.json()["base_images"]]


def test_a_list_comes_in_pages_when_asked_for(api: Api) -> None:
    made = [api.post("/base_images", "base_image", template=TDL)["id"] for _ in range(5)]
    assert ids(api.http.get(f"{ROOT}/base_images")) == made
    answer = api.http.get(f"{ROOT}/base_images?status=NEW&limit=2")
    seen = ids(answer)
    while link := answer.links.get("next"):
        assert link["url"].startswith(f"{ROOT}/base_images?status=NEW&limit=2&marker=")
        answer = api.http.get(link["url"])
        seen += ids(answer)
    assert seen == made
    assert ids(api.http.get(f"{ROOT}/base_images?status=COMPLETE")) == []


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("limit=0", 400, 'The parameter "limit" is wrong: Input should be greater than or equal to 1'),
        ("limit=many", 400, 'The parameter "limit" is wrong'),
        ("status=DONE", 400, 'The parameter "status" is wrong'),
        ("label=red", 400, 'The label "red" has no "=" between its name and its value'),
        (f"marker={NOBODY}", 404, f"No image found with id: {NOBODY}"),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_named(api: Api, query: str, status: int, text: str) -> None:
    answer = api.http.get(f"{ROOT}/base_images?{query}")
    assert answer.status_code == status
    assert text in answer.text


def create_once(api: Api, key: str, template: str = TDL) -> Any:
    body = {"base_image": {"template": template}}
    return api.http.post(f"{ROOT}/base_images", json=body, headers={"Idempotency-Key": key})


def test_a_key_makes_one_image(api: Api) -> None:
    first, again, other = create_once(api, "a"), create_once(api, "a"), create_once(api, "b")
    assert [answer.status_code for answer in (first, again, other)] == [202, 202, 202]
    made = [answer.json()["base_image"]["id"] for answer in (first, again, other)]
    assert made[0] == made[1] != made[2]
    assert first.headers["location"] == f"{ROOT}/base_images/{made[0]}"
    assert len(api.shop.factory.images()) == 2


def test_a_key_is_for_one_request_and_free_after_a_mistake(api: Api) -> None:
    assert create_once(api, "a", template="").status_code == 400
    assert create_once(api, "a").status_code == 202
    answer = create_once(api, "a", template=TDL + " ")
    assert (answer.status_code, 'key "a" was used' in answer.text) == (409, True)
    assert create_once(api, "k" * 300).status_code == 400


def test_a_provider_image_needs_credentials_to_be_deleted(api: Api) -> None:
    _, _, provider = api.cascade()
    image = api.shop.factory.find(provider["id"])
    assert image is not None
    api.shop.workshop.vault.remove(image.credentials_ref)  # type: ignore[attr-defined]
    fields = "<target>mock</target><provider>mock-1</provider><credentials>c</credentials>"
    body = f"<provider_image>{fields}</provider_image>"
    url = f"{ROOT}/provider_images/{provider['id']}"
    answer = api.http.request("DELETE", url, content=body, headers={"Content-Type": "text/xml"})
    assert answer.status_code == 204
    api.shop.work()
    assert api.http.get(url).status_code == 404


@pytest.mark.parametrize(
    "body", ['{"provider_image": {"parameters": {"forget": true}}}', '{"parameters": {"forget": true}}', ""]
)  # fmt: skip
def test_a_deletion_takes_a_body_of_any_shape(api: Api, body: str) -> None:
    _, _, provider = api.cascade()
    url = (
        f"{ROOT}/base_images/{provider['id']}"  # the original did not look at the collection either
    )
    headers = {"Content-Type": "application/json"}
    assert api.http.request("DELETE", url, content=body, headers=headers).status_code == 204
    api.shop.work()
    assert api.shop.factory.find(provider["id"]) is None


def test_xml_in_and_out(api: Api) -> None:
    template = TDL.replace("'", '"')  # as XML is written here
    body = f"<base_image>{template}<parameters><size>5</size></parameters></base_image>"
    headers = {"Content-Type": "text/xml", "Accept": "text/xml"}
    answer = api.http.post(f"{ROOT}/base_images", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "text/xml")
    root = etree.fromstring(answer.content)
    assert (root.tag, root.get("type")) == ("base_image", "BaseImage")
    assert (root.findtext("template"), root.findtext("parameters/size")) == (template, "5")
    listed = api.http.get(f"{ROOT}/base_images", headers={"Accept": "application/xml"})
    assert listed.headers["content-type"] == "application/xml"
    root = etree.fromstring(listed.content)
    assert [child.tag for child in root] == ["base_image"]


def test_any_language_is_welcome(api: Api) -> None:
    template = TDL.replace("f17jeos", "größe-日本").replace("'", '"')
    for content, kind in (
        (json.dumps({"base_image": {"template": template}}, ensure_ascii=False), "application/json"),
        (f"<base_image>{template}</base_image>", "text/xml"),
    ):  # fmt: skip
        headers = {"Content-Type": kind}
        answer = api.http.post(f"{ROOT}/base_images", content=content.encode(), headers=headers)
        assert answer.json()["base_image"]["template"] == template
    answer = api.http.post(f"{ROOT}/base_images", data={"template": template})
    assert answer.json()["base_image"]["template"] == template
    answer = api.http.post(f"{ROOT}/base_images", files={"template": (None, template)})
    assert answer.json()["base_image"]["template"] == template


def test_a_large_body_is_413(tmp_path: Path) -> None:
    with an_api(tmp_path / "state", max_body=1000) as api:
        assert post(api, "/base_images", "base_image", template="x" * 900)[0] == 202
        status, text = post(api, "/base_images", "base_image", template="x" * 1000)
        assert (status, text) == (413, "The request is larger than 1000 bytes")

        def chunks() -> Any:
            yield from [b"x" * 100] * 20

        answer = api.http.post(f"{ROOT}/base_images", content=chunks())
        assert answer.status_code == 413


@pytest.mark.parametrize(
    ("client", "headers", "origin"),
    [
        ("192.0.2.7", {"Host": "here:1"}, "http://here:1"),
        ("192.0.2.7", {"X-Forwarded-Proto": "https"}, "https://factory.example.org:8075"),
        ("192.0.2.7", {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "[2001:db8::1]:8"}, "https://[2001:db8::1]:8"),
        ("192.0.2.7", {"X-Forwarded-Host": "evil, good.example.org"}, "http://good.example.org"),
        ("192.0.2.7", {"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "a/b?c"}, HOST),
        ("198.51.100.1", {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil"}, HOST),
        ("192.0.2.7", {"Host": "a'b\""}, HOST),
        ("not-an-address", {"X-Forwarded-Host": "evil"}, HOST),
    ],
)  # fmt: skip
def test_addresses_are_those_that_the_client_sees(
    tmp_path: Path, client: str, headers: dict[str, str], origin: str
) -> None:
    with an_api(tmp_path / "state", trusted_proxies=["192.0.2.0/24"]) as api:
        api.post("/base_images", "base_image", template=TDL)
        near = api.at(client)
        (listed,) = near.get(f"{ROOT}/base_images", headers=headers).json()["base_images"]
        assert listed["base_image"]["href"].startswith(f"{origin}/imagefactory/base_images/")


def test_images_are_found_by_the_labels_of_their_request(api: Api) -> None:
    made = api.post(
        "/target_images", "target_image", target="mock", template=TDL,
        parameters={"labels": {"team": "web", "stage": "5"}},
    )  # fmt: skip
    xml = (
        "<base_image><template><![CDATA[" + TDL + "]]></template>"
        "<parameters><labels><stage>5</stage></labels></parameters></base_image>"
    )
    headers = {"content-type": "application/xml"}
    assert api.http.post(f"{ROOT}/base_images", content=xml, headers=headers).status_code == 202
    api.post("/base_images", "base_image", template=TDL)

    def found(collection: str, query: str) -> int:
        return len(api.http.get(f"{ROOT}/{collection}?{query}").json()[collection])

    assert found("base_images", "label=stage=5") == 2
    assert found("base_images", "label=stage=5&label=team=web") == 1
    assert found("target_images", "label=team=web") == 1
    assert found("base_images", "label=team=nobody") == 0
    image = api.shop.factory.find(made["base_image_id"])
    assert image is not None
    assert (image.name, image.labels) == ("f17jeos", {"team": "web", "stage": "5"})
    assert made["parameters"]["labels"] == {"team": "web", "stage": "5"}


def snapshot(api: Api, target: str, **fields: Any) -> tuple[int, str]:
    asked = {"target": target, "provider": "p", "credentials": "c", **fields}
    asked["parameters"] = {"snapshot": "yes", **fields.get("parameters", {})}
    return post(api, "/provider_images", "provider_image", **asked)


def test_a_provider_that_builds_itself_needs_no_other_images(api: Api) -> None:
    """The original's snapshot-style build."""
    image = api.built(
        "/provider_images", "provider_image", target="mock", provider="p", credentials="c",
        template=TDL, parameters={"snapshot": True},
    )  # fmt: skip
    assert (image["status"], image["target_image"]) == ("COMPLETE", None)
    assert image["provider_account_identifier"] == "mock_user"
    assert image["template"] == TDL
    assert len(api.shop.factory.images()) == 1
    assert api.http.delete(f"{ROOT}/provider_images/{image['id']}").status_code == 204
    api.shop.work()
    assert api.shop.factory.images() == ()


def test_a_snapshot_is_refused_where_it_cannot_be_made(api: Api) -> None:
    for target, fields, sentence in (
        ("local", {"template": TDL, "provider": "local"}, 'The target "local" offers no snapshot-style builds'),
        ("mock", {"target_image_id": "x"}, "Must specify a template when requesting a snapshot-style build"),
        ("mock", {"template": "<a/>", "parameters": {"strict": True}}, "Template is not a TDL document"),
        (
            "mock", {"template": TDL, "target_image_id": "x"},
            "Must specify either a template or a TargetImage ID, not both",
        ),
    ):  # fmt: skip
        status, text = snapshot(api, target, **fields)
        assert (status, text.partition(". ")[0]) == (400, sentence)
    assert api.shop.factory.images() == ()


def test_a_snapshot_of_a_bad_template_is_taken_and_fails(api: Api) -> None:
    image = api.built(
        "/provider_images", "provider_image", target="mock", provider="p", credentials="c",
        template="<a/>", parameters={"snapshot": True},
    )  # fmt: skip
    assert image["status"] == "FAILED"


def test_a_snapshot_that_is_not_wanted_is_none(api: Api) -> None:
    made = api.post(
        "/provider_images", "provider_image", target="mock", provider="p", credentials="c",
        template=TDL, parameters={"snapshot": False},
    )  # fmt: skip
    assert made["parameters"] == {"snapshot": False}
    assert made["target_image_id"]
