"""Clients of other makers are understood by a real daemon, over TLS."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import urlencode

import httpx2
import pytest
import requests  # noqa: TID251 - a client of ours may use it
from authlib.oauth1 import ClientAuth
from requests_oauthlib import OAuth1

from fakes.api import TDL
from fakes.daemon import Daemon, a_daemon
from imagefactory.cli.oauth import OAuth
from imagefactory.core.secret import Secret

KEY, SECRET = "client1", "our-secret"
BODIES: Final = {
    "application/json": json.dumps({"base_image": {"template": TDL}}),
    "application/xml": f"<base_image>{TDL}</base_image>",
    "application/x-www-form-urlencoded": urlencode({"template": TDL}),
}
QUERIES: Final = ("", "?trace=a%20b%26c&trace=&empty")  #: of no meaning, but signed
RUBY: Final = """
require 'oauth'
url, ca, key, secret, kind, query = ARGV
body = STDIN.read
consumer = OAuth::Consumer.new(key, secret, site: url, ca_file: ca, scheme: :header)
token = OAuth::AccessToken.new(consumer)
if kind == 'application/x-www-form-urlencoded'
  answer = token.post('/imagefactory/base_images' + query, URI.decode_www_form(body).to_h)
else
  answer = token.post('/imagefactory/base_images' + query, body, 'Content-Type' => kind)
end
listed = token.get('/imagefactory/base_images?limit=1&label=a%3Db')
puts answer.code, listed.code
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with a_daemon(tmp_path_factory.mktemp("daemon"), clients={KEY: SECRET}) as daemon:
        yield daemon
    assert SECRET not in daemon.log.read_text()


@pytest.fixture(scope="module")
def ruby() -> str:
    """Ruby, with the library."""
    program = shutil.which("ruby")
    if program is None:
        pytest.skip("Ruby is not installed")
    if subprocess.run([program, "-roauth", "-e", ""], check=False).returncode:
        pytest.skip("Ruby's oauth is not installed")
    return program


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("query", QUERIES)
def test_requests_oauthlib(daemon: Daemon, kind: str, query: str) -> None:
    with requests.Session() as session:
        session.auth = OAuth1(KEY, SECRET)
        session.trust_env = False
        session.verify = str(daemon.certificate)
        url = f"{daemon.url}/imagefactory/base_images"
        answer = session.post(url + query, data=BODIES[kind], headers={"Content-Type": kind})
        assert answer.status_code == 202, answer.text
        assert session.get(f"{url}?limit=1&status=NEW").status_code == 200


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("query", QUERIES)
def test_authlib(daemon: Daemon, kind: str, query: str, *, force: bool) -> None:
    auth = ClientAuth(KEY, SECRET, force_include_body=force)
    url = f"{daemon.url}/imagefactory/base_images{query}"
    body = BODIES[kind].encode()
    _, headers, _ = auth.prepare("POST", url, {"Content-Type": kind}, body)
    with httpx2.Client(verify=daemon.trust, trust_env=False) as http:
        assert http.post(url, content=body, headers=headers).status_code == 202


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("query", QUERIES)
def test_our_own(daemon: Daemon, kind: str, query: str) -> None:
    url = f"{daemon.url}/imagefactory/base_images"
    auth = OAuth(KEY, Secret(SECRET))
    with httpx2.Client(verify=daemon.trust, trust_env=False, auth=auth) as http:
        answer = http.post(url + query, content=BODIES[kind], headers={"Content-Type": kind})
        assert answer.status_code == 202
        assert http.get(url, params={"label": "a=b c", "limit": 1}).status_code == 200
        assert http.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("query", QUERIES)
def test_ruby(daemon: Daemon, ruby: str, kind: str, query: str) -> None:
    words = [daemon.url, str(daemon.certificate), KEY, SECRET, kind, query]
    run = subprocess.run(
        [ruby, "-e", RUBY, *words], input=BODIES[kind], capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["202", "200"], run.stderr


@pytest.mark.parametrize(("kind", "query"), [(kind, QUERIES[1]) for kind in BODIES])
def test_what_was_sent_before_is_refused(daemon: Daemon, kind: str, query: str) -> None:
    """Of each library's making: again as it was, and tampered with in each of its parts."""
    url, body = f"{daemon.url}/imagefactory/base_images{query}", BODIES[kind].encode()
    given = {"Content-Type": kind}
    auth = ClientAuth(KEY, SECRET, force_include_body=True)
    _, hashed, _ = auth.prepare("POST", url, dict(given), body)
    prepared = requests.Request("POST", url, data=body, headers=given, auth=OAuth1(KEY, SECRET))
    plain = cast("bytes", prepared.prepare().headers["Authorization"]).decode()
    with httpx2.Client(verify=daemon.trust, trust_env=False) as http:

        def sent(authorization: str, *, at: str = url, content: bytes = body) -> int:
            headers = {"Authorization": authorization, **given}
            return http.post(at, content=content, headers=headers).status_code

        for signed in (hashed["Authorization"], plain):
            assert sent(signed, at=f"{url}&more=1") == 401
            if "oauth_body_hash" in signed or kind.endswith("urlencoded"):
                assert sent(signed, content=body + b"&x=1") == 401
            assert sent(signed.replace(KEY, "client2")) == 401
            assert sent(signed) == 202
            assert sent(signed) == 401


@pytest.mark.parametrize("seconds", [-301, -86400, 302, 86400])
def test_what_is_stale_or_of_the_future_is_refused(daemon: Daemon, seconds: int) -> None:
    url = f"{daemon.url}/imagefactory/base_images"
    signer = OAuth1(KEY, SECRET, timestamp=str(int(time.time()) + seconds))
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(daemon.certificate)
        assert session.get(url, auth=signer).status_code == 401
        assert session.get(url, auth=OAuth1(KEY, SECRET)).status_code == 200


def test_a_stranger_is_refused(daemon: Daemon) -> None:
    auth = OAuth("nobody", Secret(SECRET))
    with httpx2.Client(verify=daemon.trust, trust_env=False, auth=auth) as http:
        answer = http.get(f"{daemon.url}/imagefactory/base_images")
    assert (answer.status_code, answer.text) == (401, "Unauthorized: authorization failed")
