"""Every example of the API manual, replayed: the same status, the same keys."""

from typing import Any, Final

import pytest

from fakes.api import ROOT, TDL, Api
from imagefactory import __version__

COMMON: Final = {
    "_type",
    "href",
    "icicle",
    "id",
    "parameters",
    "percent_complete",
    "properties",
    "status",
    "status_detail",
    "template",
}
NEW: Final = {
    "activity": "Initializing image prior to Cloud/OS customization",
    "error": None,
}
MORE: Final = {
    "base_image": {"target_images"},
    "target_image": {"target", "base_image", "provider_images"},
    "provider_image": {
        "provider",
        "identifier_on_provider",
        "provider_account_identifier",
        "target_image",
    },
}
EC2: Final = """<provider_credentials>
    <ec2_credentials>
        <account_number>1234-5678-9012</account_number>
        <access_key>BEEFFEEDBEEFFEEDBEEF</access_key>
        <secret_access_key>asdHGK46783HGAlasdfc12FjerIe7g</secret_access_key>
        <certificate>
            -----BEGIN CERTIFICATE-----
            (base64)
            -----END CERTIFICATE-----
        </certificate>
        <key>
            -----BEGIN (private key)-----
            (base64)
            -----END (private key)-----
        </key>
    </ec2_credentials>
</provider_credentials>
"""


def test_api_information(api: Api) -> None:
    answer = api.http.get(ROOT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "api_version": "2.0",
        "name": "imagefactory",
        "version": __version__,
    }


@pytest.mark.parametrize(
    ("path", "plural", "kind"),
    [
        ("/base_images", "base_images", "BaseImage"),
        ("/base_images/{base}/target_images", "target_images", "TargetImage"),
        ("/base_images/{base}/target_images/{target}/provider_images", "provider_images", "ProviderImage"),
        ("/target_images", "target_images", "TargetImage"),
        ("/target_images/{target}/provider_images", "provider_images", "ProviderImage"),
        ("/provider_images", "provider_images", "ProviderImage"),
    ],
)  # fmt: skip
def test_listing_images(api: Api, path: str, plural: str, kind: str) -> None:
    ids = dict(zip(("base", "target", "provider"), api.cascade(), strict=True))
    url = ROOT + path.format(**{word: image["id"] for word, image in ids.items()})
    answer = api.http.get(url)
    (image,) = (image["id"] for image in ids.values() if image["_type"] == kind)
    assert answer.status_code == 200
    assert answer.json() == {
        plural: [{plural[:-1]: {"_type": kind, "href": f"{url}/{image}", "id": image}}]
    }


def test_creating_a_base_image_in_json(api: Api) -> None:
    answer = api.http.post(f"{ROOT}/base_images", json={"base_image": {"template": TDL}})
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    image = answer.json()["base_image"]
    assert set(image) == COMMON
    assert image["_type"] == "BaseImage"
    assert image["href"] == f"{ROOT}/base_images/{image['id']}"
    assert (image["icicle"], image["parameters"], image["percent_complete"]) == (None, {}, 0)
    assert (image["status"], image["status_detail"]) == ("NEW", NEW)
    assert image["template"] == TDL


def test_creating_a_target_image_in_xml(api: Api) -> None:
    base = api.built("/base_images", "base_image", template=TDL)
    url = f"{ROOT}/base_images/{base['id']}/target_images"
    body = "<target_image>\n    <target>ec2</target>\n</target_image>\n"
    answer = api.http.post(url, content=body, headers={"Content-Type": "application/xml"})
    assert answer.status_code == 202
    image = answer.json()["target_image"]
    assert set(image) == COMMON | {"target", "base_image_id"}
    assert image["href"] == f"{url}/{image['id']}"
    assert (image["target"], image["base_image_id"]) == ("ec2", base["id"])
    assert (image["status"], image["status_detail"]) == ("NEW", NEW)
    assert (image["parameters"], image["template"]) == ({}, TDL)


def test_creating_a_provider_image_with_a_form(api: Api) -> None:
    base = api.built("/base_images", "base_image", template=TDL)
    targets = f"/base_images/{base['id']}/target_images"
    target = api.post(targets, "target_image", target="ec2")
    url = f"{ROOT}{targets}/{target['id']}/provider_images"
    form = {"target": "ec2", "provider": "ec2-us-east-1", "credentials": EC2}
    answer = api.http.post(url, data=form)
    assert answer.status_code == 202
    image = answer.json()["provider_image"]
    assert set(image) == COMMON | {
        "identifier_on_provider",
        "provider",
        "provider_account_identifier",
        "target_image_id",
    }
    assert image["href"] == f"{url}/{image['id']}"
    assert image["provider"] == "ec2-us-east-1"
    assert (image["target_image_id"], image["parameters"]) == (target["id"], None)
    assert (image["identifier_on_provider"], image["provider_account_identifier"]) == (None, None)
    assert (image["status"], image["status_detail"], image["icicle"]) == ("NEW", NEW, None)
    assert "asdHGK46783HGAlasdfc12FjerIe7g" not in answer.text


@pytest.mark.parametrize(
    ("path", "noun"),
    [
        ("/base_images/{base}", "base_image"),
        ("/base_images/{base}/target_images/{target}", "target_image"),
        ("/base_images/{base}/target_images/{target}/provider_images/{provider}", "provider_image"),
        ("/target_images/{target}", "target_image"),
        ("/target_images/{target}/provider_images/{provider}", "provider_image"),
        ("/provider_images/{provider}", "provider_image"),
    ],
)
def test_inspecting_an_image(api: Api, path: str, noun: str) -> None:
    base, target, provider = (image["id"] for image in api.cascade())
    url = ROOT + path.format(base=base, target=target, provider=provider)
    answer = api.http.get(url)
    assert answer.status_code == 200
    image = answer.json()[noun]
    assert set(image) == COMMON | MORE[noun]
    assert (image["href"], image["status"], image["percent_complete"]) == (url, "COMPLETE", 100)
    title = noun.replace("_", " ").title()
    assert image["status_detail"] == {"activity": f"{title} build complete", "error": None}
    relatives: dict[str, Any] = {
        "base_image": {"target_images": {"target_images": [{"target_image": _reference("TargetImage", target)}]}},
        "target_image": {
            "base_image": _reference("BaseImage", base),
            "provider_images": {"provider_images": [{"provider_image": _reference("ProviderImage", provider)}]},
        },
        "provider_image": {"target_image": _reference("TargetImage", target)},
    }  # fmt: skip
    assert {key: image[key] for key in relatives[noun]} == relatives[noun]


def _reference(kind: str, image_id: str) -> dict[str, str]:
    collection = {"BaseImage": "base", "TargetImage": "target", "ProviderImage": "provider"}[kind]
    return {"_type": kind, "id": image_id, "href": f"{ROOT}/{collection}_images/{image_id}"}


@pytest.mark.parametrize(
    "path",
    [
        "/base_images/{base}",
        "/base_images/{base}/target_images/{target}",
        "/base_images/{base}/target_images/{target}/provider_images/{provider}",
        "/target_images/{target}",
        "/target_images/{target}/provider_images/{provider}",
        "/provider_images/{provider}",
    ],
)
def test_deleting_an_image_without_a_body(api: Api, path: str) -> None:
    base, target, provider = (image["id"] for image in api.cascade())
    url = ROOT + path.format(base=base, target=target, provider=provider)
    answer = api.http.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")
    api.shop.work()
    gone = api.http.get(url)
    assert (gone.status_code, gone.text.split()[0]) == (404, "No")
    again = api.http.delete(url)
    assert (again.status_code, again.text) == (
        404,
        f"No image found with id: {url.rpartition('/')[2]}",
    )


def test_listing_plugins(api: Api) -> None:
    answer = api.http.get(f"{ROOT}/plugins")
    assert answer.status_code == 200
    plugins = {plugin["id"]: plugin for plugin in answer.json()["plugins"]}
    keys = {"_type", "description", "href", "id", "license", "maintainer", "targets", "type", "version"}  # fmt: skip
    for plugin in (plugins["MockOS"], plugins["MockCloud"]):
        assert set(plugin) == keys
        assert plugin["_type"] == "plugin"
        assert plugin["href"] == f"{ROOT}/plugins/{plugin['id']}"
        assert set(plugin["maintainer"]) == {"email", "name", "url"}
    assert plugins["MockOS"]["targets"] == [["MockOS_A", None, None], ["MockOS_B", "1", "x86_64"]]
    assert ["mock"] in plugins["MockCloud"]["targets"]
    assert (plugins["MockOS"]["type"], plugins["MockCloud"]["type"]) == ("os", "cloud")


def test_showing_a_plugin(api: Api) -> None:
    answer = api.http.get(f"{ROOT}/plugins/MockCloud")
    (listed,) = (
        plugin
        for plugin in api.http.get(f"{ROOT}/plugins").json()["plugins"]
        if plugin["id"] == "MockCloud"
    )
    assert (answer.status_code, answer.json()) == (200, listed)
