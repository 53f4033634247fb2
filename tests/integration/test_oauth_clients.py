"""Clients of other makers are understood by a real daemon, over TLS."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final
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
RUBY: Final = """
require 'oauth'
url, ca, key, secret, kind, query = ARGV
body = STDIN.read
consumer = OAuth::Consumer.new(key, secret, site: url, ca_file: ca, scheme: :header)
token = OAuth::AccessToken.new(consumer)
if kind == 'application/x-www-form-urlencoded'
  answer = token.post('/imagefactory/base_images', URI.decode_www_form(body).to_h)
else
  answer = token.post('/imagefactory/base_images', body, 'Content-Type' => kind)
end
listed = token.get('/imagefactory/base_images' + query)
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
def test_requests_oauthlib(daemon: Daemon, kind: str) -> None:
    with requests.Session() as session:
        session.auth = OAuth1(KEY, SECRET)
        session.trust_env = False
        session.verify = str(daemon.certificate)
        url = f"{daemon.url}/imagefactory/base_images"
        answer = session.post(url, data=BODIES[kind], headers={"Content-Type": kind})
        assert answer.status_code == 202, answer.text
        assert session.get(f"{url}?limit=1&status=NEW").status_code == 200


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("force", [False, True])
def test_authlib(daemon: Daemon, kind: str, *, force: bool) -> None:
    auth = ClientAuth(KEY, SECRET, force_include_body=force)
    url = f"{daemon.url}/imagefactory/base_images"
    body = BODIES[kind].encode()
    _, headers, _ = auth.prepare("POST", url, {"Content-Type": kind}, body)
    with httpx2.Client(verify=daemon.trust, trust_env=False) as http:
        assert http.post(url, content=body, headers=headers).status_code == 202


@pytest.mark.parametrize("kind", BODIES)
def test_our_own(daemon: Daemon, kind: str) -> None:
    url = f"{daemon.url}/imagefactory/base_images"
    auth = OAuth(KEY, Secret(SECRET))
    with httpx2.Client(verify=daemon.trust, trust_env=False, auth=auth) as http:
        answer = http.post(url, content=BODIES[kind], headers={"Content-Type": kind})
        assert answer.status_code == 202
        assert http.get(url, params={"label": "a=b c", "limit": 1}).status_code == 200
        assert http.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("kind", BODIES)
def test_ruby(daemon: Daemon, ruby: str, kind: str) -> None:
    words = [daemon.url, str(daemon.certificate), KEY, SECRET, kind, "?limit=1&label=a%3Db"]
    run = subprocess.run(
        [ruby, "-e", RUBY, *words], input=BODIES[kind], capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["202", "200"], run.stderr


def test_a_stranger_is_refused(daemon: Daemon) -> None:
    auth = OAuth("nobody", Secret(SECRET))
    with httpx2.Client(verify=daemon.trust, trust_env=False, auth=auth) as http:
        answer = http.get(f"{daemon.url}/imagefactory/base_images")
    assert (answer.status_code, answer.text) == (401, "Unauthorized: authorization failed")
