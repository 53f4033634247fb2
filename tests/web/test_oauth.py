"""Who has signed with a known secret passes, once; everybody else hears 401 and nothing more."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlencode

import pytest
import requests  # noqa: TID251 - a client of ours may use it
from authlib.oauth1 import ClientAuth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, SIGNATURE_PLAINTEXT, Client
from requests_oauthlib import OAuth1

from fakes.api import ROOT, TDL, Api, an_api

JSON: Final = {"Content-Type": "application/json"}
XML: Final = {"Content-Type": "application/xml"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
BODIES: Final = {
    "json": (json.dumps({"base_image": {"template": TDL}}), JSON),
    "xml": (f"<base_image>{TDL}</base_image>", XML),
    "form": (urlencode({"template": TDL, "parameters": '{"a": 1}'}), FORM),
}
KEY, SECRET = "client1", "our-secret"
BASES: Final = f"{ROOT}/base_images"
SECURE: Final = BASES.replace("http:", "https:")
FAILED: Final = "Unauthorized: authorization failed"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with an_api(tmp_path_factory.mktemp("oauth"), no_oauth=False) as api:
        yield api


def signed(
    url: str,
    *,
    method: Literal["GET", "HEAD", "POST", "DELETE"] = "GET",
    body: str | None = None,
    headers: dict[str, str] | None = None,
    client: Client | None = None,
) -> dict[str, str]:
    """The headers of a signed request."""
    client = client or Client(KEY, SECRET)
    _, ready, _ = client.sign(url, method, body, dict(headers or {}))
    return dict(ready)


def native(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    """Headers as texts; this library has some of them as bytes."""
    return {
        key: value.decode() if isinstance(value, bytes) else value for key, value in headers.items()
    }


def assert_refused(answer: Any, text: str = FAILED) -> None:
    assert (answer.status_code, answer.text) == (401, text)
    assert answer.headers["www-authenticate"] == "OAuth"


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("method", ["HMAC-SHA1", SIGNATURE_HMAC_SHA256])
def test_a_signed_request_passes(api: Api, kind: str, method: str) -> None:
    body, headers = BODIES[kind]
    client = Client(KEY, SECRET, signature_method=method)
    ready = signed(BASES, method="POST", body=body, headers=headers, client=client)
    assert ("oauth_body_hash" in ready["Authorization"]) == (kind != "form")
    assert api.http.post(BASES, content=body, headers=ready).status_code == 202


def test_a_request_may_be_signed_without_its_body(api: Api) -> None:
    body, headers = BODIES["json"]
    ready = signed(BASES, method="POST") | headers
    assert api.http.post(BASES, content=body, headers=ready).status_code == 202


@pytest.mark.parametrize(
    "query", ["?limit=1", "?label=team%3Dred&label=a%20b%3Dc", "?status=NEW&limit=2", "?"]
)
def test_a_query_is_signed_too(api: Api, query: str) -> None:
    url = BASES + query
    assert api.http.get(url, headers=signed(url)).status_code == 200


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_reads_are_signed_with_their_own_method(api: Api, method: Literal["GET", "HEAD"]) -> None:
    ready = signed(BASES, method=method)
    assert api.http.request(method, BASES, headers=ready).status_code == 200


def test_a_realm_and_an_empty_token_are_no_matter(api: Api) -> None:
    client = Client(KEY, SECRET, realm="factory", resource_owner_key="")
    assert api.http.get(BASES, headers=signed(BASES, client=client)).status_code == 200


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("force", [False, True])
def test_authlib_is_understood(api: Api, kind: str, *, force: bool) -> None:
    body, headers = BODIES[kind]
    auth = ClientAuth(KEY, SECRET, force_include_body=force)
    url, ready, _ = auth.prepare("POST", SECURE, dict(headers), body.encode())
    assert ("oauth_body_hash" in ready["Authorization"]) == (force and kind != "form")
    assert api.http.post(url, content=body, headers=ready).status_code == 202


@pytest.mark.parametrize("kind", BODIES)
def test_requests_oauthlib_is_understood(api: Api, kind: str) -> None:
    body, headers = BODIES[kind]
    unsigned = requests.Request("POST", BASES, data=body, headers=dict(headers)).prepare()
    ready = OAuth1(KEY, SECRET)(unsigned)
    answer = api.http.post(BASES, content=body, headers=native(ready.headers))
    assert answer.status_code == 202


def test_without_authorization_nothing_is_open_but_the_version(api: Api) -> None:
    assert api.http.get(ROOT).status_code == 200
    for path in ("/base_images", "/plugins", "/plugins/MockOS", "/targets", "/base_images/1/log"):
        assert_refused(api.http.get(ROOT + path), "Unauthorized: missing authorization")
    assert_refused(api.http.post(BASES, json={}), "Unauthorized: missing authorization")


def test_a_request_is_good_once(api: Api) -> None:
    ready = signed(BASES)
    assert api.http.get(BASES, headers=ready).status_code == 200
    assert_refused(api.http.get(BASES, headers=ready))


def test_a_replay_is_refused_by_the_next_process_too(tmp_path: Path) -> None:
    ready = signed(BASES)
    with an_api(tmp_path / "state", no_oauth=False) as first:
        assert first.http.get(BASES, headers=ready).status_code == 200
    with an_api(tmp_path / "state", no_oauth=False) as second:
        assert_refused(second.http.get(BASES, headers=ready))


def test_a_bad_signature_uses_no_nonce_up(api: Api) -> None:
    fixed = {"nonce": "a-nonce-of-my-own", "timestamp": str(int(time.time()))}
    wrong = Client(KEY, "wrong", **fixed)
    assert_refused(api.http.get(BASES, headers=signed(BASES, client=wrong)))
    right = Client(KEY, SECRET, **fixed)
    assert api.http.get(BASES, headers=signed(BASES, client=right)).status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(-290, 200), (290, 200), (-310, 401), (310, 401)])
def test_clocks_may_differ_by_five_minutes(api: Api, seconds: int, status: int) -> None:
    client = Client(KEY, SECRET, timestamp=str(int(time.time()) + seconds))
    assert api.http.get(BASES, headers=signed(BASES, client=client)).status_code == status


@pytest.mark.parametrize(
    "client",
    [
        Client("nobody", SECRET),
        Client("", SECRET),
        Client(KEY, "wrong"),
        Client(KEY, ""),
        Client("client2", SECRET),
        Client(KEY, SECRET, signature_method=SIGNATURE_PLAINTEXT),
        Client(KEY, SECRET, timestamp="now"),
        Client(KEY, SECRET, timestamp="1"),
        Client(KEY, SECRET, nonce="n" * 300),
        Client(KEY, SECRET, signature_type="QUERY"),
    ],
)
def test_others_are_refused(api: Api, client: Client) -> None:
    url, ready, _ = client.sign(BASES, "GET", None, {})
    answer = api.http.get(url, headers=ready)
    refused = "authorization failed" if "Authorization" in ready else "missing authorization"
    assert_refused(answer, f"Unauthorized: {refused}")


@pytest.mark.parametrize(
    "header",
    [
        "Basic Y2xpZW50MTpvdXItc2VjcmV0",
        "OAuth",
        "OAuth ",
        "OAuth garbage",
        'OAuth oauth_consumer_key="client1"',
        'OAuth oauth_consumer_key="client1", oauth_consumer_key="client2"',
        "OAuth =,=,=",
        'OAuth realm="',
        "Bearer client1",
        "",
    ],
)
def test_other_headers_are_refused(api: Api, header: str) -> None:
    assert_refused(api.http.get(BASES, headers={"Authorization": header}))


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_is_refused(api: Api, header: str) -> None:
    sent = {b"Authorization": b"OAuth " + header.encode("latin-1")}
    assert_refused(api.http.get(BASES, headers=sent))


def test_what_was_tampered_with_is_refused(api: Api) -> None:
    body, headers = BODIES["json"]
    ready = signed(BASES, method="POST", body=body, headers=headers)
    assert_refused(api.http.post(BASES, content=body + " ", headers=ready))
    ready = signed(BASES, method="POST", body=body, headers=headers)
    assert_refused(api.http.post(f"{ROOT}/target_images", content=body, headers=ready))
    assert_refused(api.http.post(f"{BASES}?limit=1", content=body, headers=ready))
    form, headers = BODIES["form"]
    ready = signed(BASES, method="POST", body=form, headers=headers)
    assert_refused(api.http.post(BASES, content=f"{form}&more=1", headers=ready))
    ready = signed(f"{BASES}?limit=1")
    assert_refused(api.http.get(f"{BASES}?limit=2", headers=ready))
    ready = signed(f"{BASES}/1", method="GET")
    assert_refused(api.http.delete(f"{BASES}/1", headers=ready))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_hash_of_the_body_may_be_of_the_methods_kind(api: Api, algorithm: str) -> None:
    body, headers = BODIES["json"]
    digest = base64.b64encode(hashlib.new(algorithm, body.encode()).digest()).decode()
    for method, known in ((SIGNATURE_HMAC_SHA256, True), ("HMAC-SHA1", algorithm == "sha1")):
        ready = signed_with_hash(digest, method) | headers
        status = api.http.post(BASES, content=body, headers=ready).status_code
        assert status == (202 if known else 401)


def signed_with_hash(digest: str, method: str) -> dict[str, str]:
    """Headers that claim this hash for the body."""

    class Claiming(Client):
        def get_oauth_params(self, request: Any) -> list[tuple[str, str]]:
            known = super().get_oauth_params(request)  # type: ignore[no-untyped-call]
            return [*known, ("oauth_body_hash", digest)]

    return signed(BASES, method="POST", client=Claiming(KEY, SECRET, signature_method=method))


def test_all_refusals_take_the_same_time(api: Api) -> None:
    replayed = signed(BASES)
    assert api.http.get(BASES, headers=replayed).status_code == 200
    stale = Client(KEY, SECRET, timestamp="1")
    future = Client(KEY, SECRET, timestamp=str(int(time.time()) + 1000))
    wrongs = [{}, {"Authorization": "OAuth x"}, replayed, signed(f"{BASES}?limit=1")]
    wrongs += [
        signed(BASES, client=client)
        for client in (Client("nobody", "x"), Client(KEY, "wrong"), stale, future)
    ]
    waits = [seconds_of_refusals(api, headers) for headers in wrongs]
    assert min(map(min, waits)) >= 0.1
    assert max(map(min, waits)) < 0.15, waits


def seconds_of_refusals(api: Api, headers: dict[str, str]) -> list[float]:
    """How long refusals took: at least three, and more where the machine has other work as well."""
    waits = [seconds_of_refusal(api, headers) for _ in range(3)]
    while min(waits) >= 0.15 and len(waits) < 30:
        waits.append(seconds_of_refusal(api, headers))
    return waits


def seconds_of_refusal(api: Api, headers: dict[str, str]) -> float:
    started = time.monotonic()
    assert api.http.get(BASES, headers=headers).status_code == 401
    return time.monotonic() - started


def test_an_unauthorized_request_is_not_looked_at(api: Api) -> None:
    answer = api.http.post(BASES, content="{", headers=JSON | {"Accept": "image/png"})
    assert_refused(answer, "Unauthorized: missing authorization")


def test_plaintext_needs_leave_and_tls(tmp_path: Path) -> None:
    client = Client(KEY, SECRET, signature_method=SIGNATURE_PLAINTEXT)
    with an_api(tmp_path / "state", no_oauth=False, oauth_plaintext=True) as api:
        assert_refused(api.http.get(BASES, headers=signed(BASES, client=client)))
        assert api.http.get(SECURE, headers=signed(SECURE, client=client)).status_code == 200


def test_reads_may_be_open(tmp_path: Path) -> None:
    with an_api(tmp_path / "state", no_oauth=False, open_reads=True) as api:
        body, headers = BODIES["json"]
        ready = signed(BASES, method="POST", body=body, headers=headers)
        image = api.http.post(BASES, content=body, headers=ready).json()["base_image"]
        api.shop.work()
        url = f"{BASES}/{image['id']}"
        for path in ("", "/plugins", "/targets", "/base_images"):
            assert api.http.get(ROOT + path).status_code == 200
        assert "changeme" not in api.http.get(url).text
        assert "changeme" in api.http.get(url, headers=signed(url)).text
        assert_refused(api.http.get(url, headers={"Authorization": "OAuth x"}))
        for path in ("/raw_image", "/log", "/artifacts", "/artifacts/log"):
            assert_refused(api.http.get(url + path), "Unauthorized: missing authorization")
        assert_refused(api.http.delete(url), "Unauthorized: missing authorization")
        assert_refused(api.http.post(BASES, json={}), "Unauthorized: missing authorization")


def test_a_signature_is_for_the_address_that_a_trusted_proxy_names(tmp_path: Path) -> None:
    public = "https://images.example.org/imagefactory/base_images"
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "images.example.org"}
    with an_api(tmp_path / "state", no_oauth=False) as api:
        assert_refused(api.http.get(BASES, headers=signed(public) | forwarded))
    with an_api(tmp_path / "state", no_oauth=False, trusted_proxies=["192.0.2.0/24"]) as api:
        proxy = api.at("192.0.2.7")
        assert proxy.get(BASES, headers=signed(public) | forwarded).status_code == 200
        assert_refused(proxy.get(BASES, headers=signed(BASES) | forwarded))
