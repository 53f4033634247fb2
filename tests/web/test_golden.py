"""Each resource as it looks in JSON and in XML, compared with files that people have read."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from httpx2 import Response

from fakes.api import ROOT, TDL, Api, an_api
from imagefactory import __version__

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "web"
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FOLDER: Final = re.compile(r"/[^\s\"<]*/jeos(?=[\"<])")
#: what depends on which client libraries are installed; it ends with its JSON line or XML element
_MISSING: Final = re.compile(r"\. Cannot push: .*?(?=<|\",?\n)")
JEOS: Final = (
    "ec2:ec2-us-east-1:Fedora:23:x86_64:ami-123:ec2-user:sudo\n"
    "ec2:ec2-us-east-1:Fedora:23:i386:ami-4\n"
)
RESOURCES: Final = {
    "version": "",
    "base_images": "/base_images",
    "base_image": "/base_images/{base}",
    "target_images": "/target_images",
    "target_image": "/target_images/{target}",
    "nested_target_image": "/base_images/{base}/target_images/{target}",
    "provider_images": "/provider_images",
    "provider_image": "/provider_images/{provider}",
    "nested_provider_image": "/base_images/{base}/target_images/{target}/provider_images/{provider}",
    "empty_list": "/base_images/{target}/target_images",
    "plugins": "/plugins",
    "plugin": "/plugins/MockOS",
    "targets": "/targets",
    "target": "/targets/mock",
    "provider": "/targets/local/providers/local",
    "providers": "/targets/local/providers",
    "jeos": "/jeos",
    "jeos_images": "/jeos/images",
    "artifacts": "/base_images/{base}/artifacts",
    "diff": "/base_images/{base}/diff/{target}",
}
#: what is asked for: an address and the fields of its image
CREATED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "created_base_image": (
        "/base_images", {"template": TDL, "parameters": {"key": ["value", 1, True, None]}},
    ),
    "created_target_image": ("/target_images", {"target": "mock", "base_image_id": "{base}"}),
    "created_nested_target_image": ("/base_images/{base}/target_images", {"target": "mock"}),
    "created_provider_image": (
        "/provider_images",
        {"target": "mock", "provider": '{{"name": "account", "password": "open sesame"}}',
         "credentials": "open sesame", "target_image_id": "{target}"},
    ),
    "created_nested_provider_image": (
        "/base_images/{base}/target_images/{target}/provider_images",
        {"target": "mock", "provider": "account", "credentials": "open sesame"},
    ),
}  # fmt: skip
#: method, address and JSON of a request that is refused, and the status of the refusal
REFUSED: Final[dict[str, tuple[str, str, Any, int]]] = {
    "not_found": ("GET", "/base_images/nosuch", None, 404),
    "wrong_collection": ("GET", "/nosuch_images", None, 404),
    "wrong_method": ("PUT", "/base_images", None, 405),
    "missing_wrapper": ("POST", "/base_images", {}, 400),
    "missing_values": ("POST", "/provider_images", {"provider_image": {"target": "mock"}}, 400),
    "wrong_template": (
        "POST", "/base_images",
        {"base_image": {"template": "<template/>", "parameters": {"strict": True}}}, 400,
    ),
    "conflict": ("POST", "/base_images/{base}/cancel", None, 409),
}  # fmt: skip


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("golden")
    jeos = folder / "jeos"
    jeos.write_text(JEOS)
    with an_api(folder / "state", jeos_config=[str(jeos)]) as api:
        images = zip(("base", "target", "provider"), api.cascade(), strict=True)
        ids = {word: image["id"] for word, image in images}
        artifacts = api.shop.state / "artifacts" / ids["base"]
        artifacts.mkdir(parents=True, exist_ok=True)
        (artifacts / "screenshot.png").write_bytes(b"PNG")
        (artifacts / "provenance.json").write_bytes(b"{}")  # the real one names times and keys
        yield api, ids


def plain(text: str) -> str:
    """A text whose ids are numbered as they come, and whose version and folders are always the same."""
    known: dict[str, str] = {}
    text = _UUID.sub(lambda found: known.setdefault(found[0], f"id-{len(known) + 1}"), text)
    text = _FOLDER.sub("/FOLDER/jeos", text)
    text = _MISSING.sub("", text)
    return text.replace(__version__, "VERSION")


@pytest.mark.parametrize("name", RESOURCES)
@pytest.mark.parametrize("kind", ["json", "xml"])
def test_a_resource_looks_as_ever(
    cascade: tuple[Api, dict[str, str]], name: str, kind: str
) -> None:
    api, ids = cascade
    url = ROOT + RESOURCES[name].format(**ids)
    answer = api.http.get(url, headers={"Accept": f"application/{kind}"})
    assert answer.status_code == 200
    compare(answer, name, kind)


@pytest.mark.parametrize("name", CREATED)
@pytest.mark.parametrize("kind", ["json", "xml"])
def test_what_was_asked_for_is_answered_as_ever(
    cascade: tuple[Api, dict[str, str]], name: str, kind: str
) -> None:
    api, ids = cascade
    path, given = CREATED[name]
    fields = {
        key: text.format(**ids) if isinstance(text, str) else text for key, text in given.items()
    }
    noun = path.rpartition("/")[2].removesuffix("s")
    headers = {"Accept": f"application/{kind}"}
    answer = api.http.post(ROOT + path.format(**ids), json={noun: fields}, headers=headers)
    assert answer.status_code == 202
    compare(answer, name, kind)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", ["json", "txt"])
def test_a_refusal_reads_as_ever(cascade: tuple[Api, dict[str, str]], name: str, kind: str) -> None:
    api, ids = cascade
    method, path, content, status = REFUSED[name]
    accept = "application/json, application/problem+json" if kind == "json" else "*/*"
    url = ROOT + path.format(**ids)
    answer = api.http.request(method, url, json=content, headers={"Accept": accept})
    assert answer.status_code == status
    wanted = "application/problem+json" if kind == "json" else "text/plain; charset=utf-8"
    assert answer.headers["content-type"] == wanted
    compare(answer, f"refused_{name}", kind)


def compare(answer: Response, name: str, kind: str) -> None:
    """The answer is what the file holds; with `UPDATE_GOLDEN` the file is written."""
    text = answer.text
    if kind == "json":
        text = json.dumps(answer.json(), indent=2, sort_keys=True) + "\n"
    file = GOLDEN / f"{name}.{kind}"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(plain(text), "utf-8")
    assert plain(text) == file.read_text("utf-8")
