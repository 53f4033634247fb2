"""No secret of a whole run lies where it could be read: answers, logs, databases, files, processes."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import httpx2
import pytest
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, Client

from fakes import traces
from fakes.daemon import Daemon, a_daemon
from fakes.patience import until
from fakes.receiver import Receiver, a_receiver

pytestmark = pytest.mark.integration

SECRETS: Final = {
    name: f"marker-of-{name}-7f3a9c51"
    for name in ("rootpw", "old-rootpw", "credentials", "wrong", "oauth", "callback", "receiver",
                 "provider", "parameter")
}  # fmt: skip
TEMPLATE: Final = (
    "<template><name>secretive</name><os><name>{system}</name><version>1</version><arch>x86_64</arch>"
    "<install type='url'><url>http://mirror.example.org/os/</url></install>"
    f"<!-- <rootpw>{SECRETS['old-rootpw']}</rootpw> --><rootpw>{SECRETS['rootpw']}</rootpw></os>{{more}}"
    "</template>"
)
GOOD: Final = TEMPLATE.format(system="MockOS_A", more="")
BAD: Final = TEMPLATE.format(system="MockOS_A", more="<nonsense/>")
UNKNOWN: Final = TEMPLATE.format(system="NoSuchOS", more="")
CREDENTIALS: Final = (
    f"<provider_credentials><password>{SECRETS['credentials']}</password></provider_credentials>"
)
PROVIDER: Final = json.dumps({"name": "account", "password": SECRETS["provider"]})


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """A client that keeps all answers it gets."""

    daemon: Daemon
    http: httpx2.Client
    heard: dict[str, bytes] = field(default_factory=dict)

    def ask(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        body: bytes = b"",
        *,
        key: str | None = SECRETS["oauth"],
        **headers: str,
    ) -> httpx2.Response:
        """A request, signed with this key if there is one."""
        url, sent = self.daemon.url + path, {k.replace("_", "-"): v for k, v in headers.items()}
        if key is not None:
            client = Client("robot", key, signature_method=SIGNATURE_HMAC_SHA256)
            _, signed, _ = client.sign(url, method)
            sent |= signed
        answer = self.http.request(method, url, content=body, headers=sent)
        who = {None: "anybody", SECRETS["oauth"]: "robot"}.get(key, "stranger")
        content = answer.content
        if who == "robot" and answer.status_code < 300:
            content = _without_template(content)  # the manual shows it as it was given
        head = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
        number = len(self.heard)
        self.heard[f"{number} {who} {method} {path} {answer.status_code}"] = head.encode() + content
        return answer

    def post(self, noun: str, **fields: Any) -> dict[str, Any]:
        """The image that a signed request in JSON makes."""
        body = json.dumps({noun: fields}).encode()
        answer = self.ask("POST", f"/imagefactory/{noun}s", body, content_type="application/json")
        assert answer.status_code == 202, answer.text
        image: dict[str, Any] = answer.json()[noun]
        return image

    def settled(self, noun: str, image_id: str) -> str:
        """The status of an image when it has one that lasts."""

        def status() -> str:
            shown = self.ask("GET", f"/imagefactory/{noun}s/{image_id}").json()[noun]
            time.sleep(0.1)
            return str(shown["status"])

        until(lambda: status() in {"COMPLETE", "FAILED"}, seconds=60)
        return status()


def _without_template(content: bytes) -> bytes:
    content = re.sub(rb'"template":\s*"(?:[^"\\]|\\.)*"', b'"template": ""', content)
    return re.sub(rb"<template>.*?</template>", b"", content, flags=re.DOTALL)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.fixture
def visitor(tmp_path: Path, receiver: Receiver) -> Iterator[Visitor]:
    (tmp_path / "daemon" / "tmp").mkdir(parents=True)
    with (
        a_daemon(
            tmp_path / "daemon",
            tmpdir=str(tmp_path / "daemon" / "tmp"),
            no_ssl=True,
            open_reads=True,
            verbose=True,
            debug=True,
            clients={"robot": SECRETS["oauth"]},
            callback_networks=["127.0.0.0/8"],
            callback_secrets={_hook(receiver): SECRETS["callback"]},
        ) as daemon,
        httpx2.Client(timeout=30, trust_env=False) as http,
    ):
        yield Visitor(daemon=daemon, http=http)


def _hook(receiver: Receiver) -> str:
    return receiver.url.replace("//", f"//user:{SECRETS['receiver']}@")


def test_no_secret_is_found_anywhere(visitor: Visitor, receiver: Receiver) -> None:
    with traces.in_processes(SECRETS) as in_processes:
        whole = visitor.post(
            "provider_image",
            target="mock",
            provider=PROVIDER,
            credentials=CREDENTIALS,
            template=GOOD,
            parameters={
                "callbacks": [f"{_hook(receiver)}/hook", "http://127.0.0.1:1/dead"],
                "api_token": SECRETS["parameter"],
            },
        )
        assert visitor.settled("provider_image", whole["id"]) == "COMPLETE"
        images = _fail(visitor) | {"provider_image": [whole["id"]]}
        target = visitor.ask("GET", f"/imagefactory/provider_images/{whole['id']}").json()
        images["target_image"] = [target["provider_image"]["target_image"]["id"]]
        _look(visitor, images)
        _err(visitor, whole["id"])
        kept = traces.in_files(visitor.daemon.state, SECRETS)
        visitor.ask("DELETE", f"/imagefactory/provider_images/{whole['id']}")
        until(lambda: any(b'"DELETED"' in put.body for put in receiver.told))
    assert kept == []
    assert traces.in_files(visitor.daemon.state, SECRETS) == []
    assert in_processes == set()
    heard = {
        request: traces.in_bytes(content, SECRETS) for request, content in visitor.heard.items()
    }
    assert {request: names for request, names in heard.items() if names} == {}
    assert {name for put in receiver.told for name in traces.in_bytes(put.body, SECRETS)} == set()
    assert traces.in_bytes(visitor.daemon.log.read_bytes(), SECRETS) == []
    # What was looked for can be found: the operator's own file has it.
    everywhere = traces.in_files(visitor.daemon.state.parent, SECRETS)
    assert {entry.rpartition("/")[2] for entry in everywhere} == {
        f"imagefactory.conf: {name}" for name in ("callback", "oauth", "receiver")
    }
    assert len(visitor.heard) > 30
    assert len(receiver.told) >= 8


def _fail(visitor: Visitor) -> dict[str, list[str]]:
    """Images that fail, each in its way."""
    failed = [visitor.post("base_image", template=text)["id"] for text in (BAD, UNKNOWN, GOOD[:-9])]
    assert {visitor.settled("base_image", image_id) for image_id in failed} == {"FAILED"}
    return {"base_image": failed}


def _look(visitor: Visitor, images: dict[str, list[str]]) -> None:
    """Everything that is shown of images, to a client and to anybody."""
    paths = [f"/imagefactory/{noun}s" for noun in images]
    for noun, ids in images.items():
        for image_id in ids:
            one = f"/imagefactory/{noun}s/{image_id}"
            paths += [one, f"{one}/log", f"{one}/artifacts", f"{one}/raw_image", f"{one}/verify"]
            listed = visitor.ask("GET", f"{one}/artifacts").json()["artifacts"]
            paths += [f"{one}/artifacts/{item['artifact']['name']}" for item in listed]
    paths += [
        "/imagefactory/targets/mock/providers",
        "/imagefactory/plugins",
        "/readyz",
        "/metrics",
    ]
    for path in paths:
        for accept in ("application/json", "application/xml"):
            visitor.ask("GET", path, accept=accept)
            visitor.ask("GET", path, key=None, accept=accept)
    with visitor.http.stream(
        "GET", f"{visitor.daemon.url}/imagefactory/events?after=0", timeout=2
    ) as events:
        content = b""
        for piece in events.iter_bytes():
            content += piece
            if content.count(b"event") + content.count(b"data:") >= 8:
                break
    visitor.heard["events"] = content


def _err(visitor: Visitor, image_id: str) -> None:
    """Requests that are wrong, with secrets in them."""
    wrong = SECRETS["wrong"]
    fields = {"target": "mock", "provider": PROVIDER, "template": GOOD}
    for noun, asked in (
        ("base_image", {"template": BAD, "parameters": {"strict": True}}),
        ("base_image", {"template": GOOD, "parameters": {"callbacks": [f"http://u:{wrong}@10.0.0.1/"]}}),
        ("provider_image", fields | {"credentials": [wrong]}),
        ("provider_image", fields | {"credentials": " ", "target_image_id": image_id}),
        ("provider_image", {"provider": PROVIDER, "credentials": wrong}),
    ):  # fmt: skip
        for accept in ("*/*", "application/json"):
            text = json.dumps({noun: asked}).encode()
            answer = visitor.ask(
                "POST",
                f"/imagefactory/{noun}s",
                text,
                content_type="application/json",
                accept=accept,
            )
            assert answer.status_code == 400, answer.text
    for broken, kind in (
        (f'{{"provider_image": {{"credentials": "{wrong}"'.encode(), "application/json"),
        (f"<provider_image><credentials>{wrong}</cred>".encode(), "application/xml"),
        (f"credentials={wrong}&provider".encode(), "application/x-www-form-urlencoded"),
        (f"credentials={wrong}".encode(), "multipart/form-data; boundary=x"),
    ):
        answer = visitor.ask("POST", "/imagefactory/provider_images", broken, content_type=kind)
        assert 400 <= answer.status_code < 500
    assert visitor.ask("GET", "/imagefactory/targets", key=wrong).status_code == 401
    checked = json.dumps({"template": BAD}).encode()
    visitor.ask("POST", "/imagefactory/templates/check", checked, content_type="application/json")
