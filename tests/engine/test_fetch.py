"""Fetching: from where it is allowed, patiently, and no more than is wanted."""

import ipaddress
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.build import a_build
from fakes.web import Site, a_site
from imagefactory.core.errors import Cancelled, FetchError
from imagefactory.engine.addresses import Address
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.fetch import Fetcher, Patience, Reach, fetch, http_client
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Stop

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NAMED = "http://mirror.example.org/debian"
QUICK = Patience(attempts=3, pause=0.01, silence=0.5)


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as made:
        yield made


@pytest.fixture
def build(tmp_path: Path, site: Site) -> Build:
    return replace(a_build(tmp_path), mirrors={NAMED: site.url})


@pytest.fixture
def fetcher(build: Build) -> Iterator[Fetcher]:
    stop = Stop(cancellation=build.tools.cancellation)
    with http_client(patience=QUICK) as client:
        yield Fetcher(client=client, build=build, stop=stop, patience=QUICK)


def test_a_mirror_that_the_operator_listed_may_be_anywhere(build: Build, site: Site) -> None:
    site.files["/a"] = b"content"
    assert fetch(build, f"{NAMED}/a", limit=7) == b"content"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/x", 'the host "127.0.0.1" is this machine itself'),
        ("http://[::1]/x", 'the host "::1" is this machine itself'),
        ("http://169.254.169.254/x", 'the host "169.254.169.254" is a cloud\'s metadata service'),
        ("http://10.0.0.1/x", 'the host "10.0.0.1" is a private or reserved address'),
        ("http://localhost/x", 'the host "localhost" is this machine itself'),
        ("http://2130706433/x", 'the host "2130706433" is this machine itself'),
    ],
)
def test_a_template_may_not_name_what_only_the_factory_reaches(
    build: Build, url: str, reason: str
) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(build, url, limit=10)
    assert str(caught.value) == f'Could not fetch "{url}": {reason}, which a template may not name'
    assert caught.value.hint == 'If it is meant, name it in the "mirrors" of the configuration'


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://a.example/", "data:,x"])
def test_only_the_web_is_fetched_from(build: Build, url: str) -> None:
    scheme = url.partition(":")[0]
    with pytest.raises(FetchError, match=f'"{scheme}" is not a scheme that is fetched'):
        fetch(build, url, limit=10)


def test_a_redirection_cannot_lead_where_the_template_may_not(fetcher: Fetcher, site: Site) -> None:
    site.redirections.update({"/a": "http://169.254.169.254/secret", "/b": "file:///etc/passwd"})
    with pytest.raises(FetchError, match="metadata service"):
        fetcher.get(f"{NAMED}/a", limit=10)
    with pytest.raises(FetchError, match='"file" is not a scheme'):
        fetcher.get(f"{NAMED}/b", limit=10)


def test_a_redirection_within_a_mirror_is_followed_and_a_circle_is_not(
    fetcher: Fetcher, site: Site
) -> None:
    site.redirections.update({"/a": "/b", "/b": f"{site.url}/c", "/round": "/round"})
    site.files["/c"] = b"there"
    assert fetcher.get(f"{NAMED}/a", limit=10) == b"there"
    with pytest.raises(FetchError, match="it was redirected more than 5 times"):
        fetcher.get(f"{NAMED}/round", limit=10)


def test_the_connection_goes_to_the_address_that_was_judged(fetcher: Fetcher, site: Site) -> None:
    site.files["/x"] = b"y"
    port = site.url.rpartition(":")[2]
    asked: list[tuple[str, int]] = []

    def look_up(host: str, number: int) -> list[Address]:
        asked.append((host, number))
        return [ipaddress.ip_address("127.0.0.1")]

    allowed = (ipaddress.ip_network("127.0.0.0/8"),)
    open_minded = replace(fetcher, reach=Reach(allowed=allowed, look_up=look_up))
    assert open_minded.get(f"http://template.example:{port}/x", limit=1) == b"y"
    assert asked == [("template.example", int(port))]
    assert site.asked[0][1]["host"] == f"template.example:{port}"


def test_one_bad_address_of_a_host_is_enough_to_refuse_it(fetcher: Fetcher) -> None:
    addresses = [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("10.0.0.1")]
    careful = replace(fetcher, reach=Reach(look_up=lambda _host, _port: addresses))
    with pytest.raises(FetchError, match=r'"a.example" is a private or reserved address'):
        careful.get("http://a.example/", limit=1)


def test_a_passing_fault_is_tried_again(fetcher: Fetcher, site: Site) -> None:
    site.files.update({"/a": b"content", "/b": b"content"})
    site.statuses["/a"] = [503, 500]
    site.cuts["/b"] = [3]
    assert fetcher.get(f"{NAMED}/a", limit=10) == b"content"
    assert fetcher.get(f"{NAMED}/b", limit=10) == b"content"
    assert site.times_asked("/a") == 3
    assert site.times_asked("/b") == 2


def test_a_fault_that_stays_names_the_url_that_was_tried(fetcher: Fetcher, site: Site) -> None:
    site.statuses["/a"] = [503] * 9
    with pytest.raises(FetchError) as caught:
        fetcher.get(f"{NAMED}/a", limit=10)
    assert str(caught.value) == (
        f'Could not fetch "{site.url}/a": the server answered 503, in each of 3 attempts'
    )
    hint = f'The "mirrors" of the configuration put it in the place of "{NAMED}/a"'
    assert caught.value.hint == hint


def test_a_server_that_is_not_there_is_named(tmp_path: Path, fetcher: Fetcher) -> None:
    with a_site() as gone:
        pass
    build = replace(a_build(tmp_path), mirrors={NAMED: gone.url})
    with pytest.raises(FetchError) as caught:
        replace(fetcher, build=build).get(f"{NAMED}/a", limit=10)
    assert str(caught.value).startswith(f'Could not fetch "{gone.url}/a": the connection failed (')
    assert str(caught.value).endswith("Connection refused), in each of 3 attempts")


def test_a_silent_server_is_given_up(fetcher: Fetcher, site: Site) -> None:
    site.files["/a"] = b"never"
    site.held["/a"] = threading.Event()
    once = replace(fetcher, patience=replace(QUICK, attempts=1))
    with pytest.raises(FetchError, match="the server was silent for too long"):
        once.get(f"{NAMED}/a", limit=10)


def test_what_is_not_there_is_not_tried_again(fetcher: Fetcher, site: Site) -> None:
    assert fetcher.find(f"{NAMED}/a", limit=10) is None
    with pytest.raises(FetchError, match="the server answered 404"):
        fetcher.get(f"{NAMED}/a", limit=10)
    site.statuses["/b"] = [403]
    with pytest.raises(FetchError, match="the server answered 403"):
        fetcher.get(f"{NAMED}/b", limit=10)
    assert len(site.asked) == 3


def test_no_more_is_kept_than_is_wanted(fetcher: Fetcher, site: Site) -> None:
    site.files["/a"] = bytes(1001)
    with pytest.raises(FetchError, match="it is larger than 1000 bytes"):
        fetcher.get(f"{NAMED}/a", limit=1000)
    slow = replace(fetcher, patience=replace(QUICK, whole=-1.0))
    with pytest.raises(FetchError, match="it took longer than"):
        slow.get(f"{NAMED}/a", limit=2000)


def test_a_secret_in_a_url_is_not_shown(fetcher: Fetcher) -> None:
    with pytest.raises(FetchError) as caught:
        fetcher.get("http://user:pass@10.0.0.1/a?token=abc", limit=1)
    assert "pass" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_password_is_sent_and_not_logged(
    build: Build, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.files["/a"] = b"content"
    secret = site.url.replace("http://", "http://user:p%40ss@")
    # A test of the command line may have quietened the client's own logger in this process.
    with caplog.at_level("DEBUG"), caplog.at_level("DEBUG", logger="httpx2"):
        fetch(replace(build, mirrors={NAMED: secret}), f"{NAMED}/a", limit=10)
    assert site.asked[0][1]["authorization"] == "Basic dXNlcjpwQHNz"  # user:p@ss
    assert caplog.records
    assert "p%40ss" not in caplog.text
    assert "p@ss" not in caplog.text


def test_a_cancelled_build_does_not_wait_for_a_server(tmp_path: Path, site: Site) -> None:
    site.files["/a"] = b"never"
    site.held["/a"] = threading.Event()
    cancellation = Cancellation()
    build = replace(
        a_build(tmp_path, tools=Tools(cancellation=cancellation)), mirrors={NAMED: site.url}
    )
    timer = threading.Timer(0.3, cancellation.request)
    timer.start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        fetch(build, f"{NAMED}/a", limit=10)
    assert time.monotonic() - start < 2
    timer.join()
