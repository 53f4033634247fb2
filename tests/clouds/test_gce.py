"""What clients of Google Compute Engine send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx2
import pytest

from contract import TOKEN, CloudContract, made_with, template
from fakes.gce import new_key, pem
from imagefactory.clouds.gce import Gce
from imagefactory.clouds.gce.compute import image_name
from imagefactory.clouds.gce.login import PROVIDER_KEYS, GceLogin
from imagefactory.clouds.gce.storage import Upload
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert
from imagefactory.plugins.rest import FAULTS, Rest
from imagefactory.plugins.retry import Retry

KEY: Final = pem(new_key())
PERSON: Final = {
    "type": "service_account",
    "project_id": "web",
    "private_key_id": "k1",
    "private_key": KEY,
    "client_email": "factory@web.example",
    "client_id": "123",
    "auth_uri": "https://accounts.example.com/auth",
    "token_uri": "https://accounts.example.com/token",
}


class TestGce(CloudContract[GceLogin]):
    provider: ClassVar[str] = "factory-images"
    credentials: ClassVar[str] = json.dumps(PERSON)
    secrets: ClassVar[Collection[str]] = (KEY.splitlines()[3],)
    broken_providers: ClassVar[Collection[str]] = ("{}", "{", "<", "[]", "A bucket", "../x")

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Gce(made_with(tmp_path))

    def test_a_target_image_is_an_archive_of_whole_gib(self, plugin: Gce) -> None:
        plan = plugin.plan_target(template(), Parameters({}))
        assert plan == (Convert(format="tar.gz", align=1 << 30),)

    def test_a_guest_asks_googles_metadata_server(self, plugin: Gce) -> None:
        wanted = plugin.customization(template())
        assert [package.name for package in wanted.packages] == ["cloud-init"]
        texts = [file.content.text for file in wanted.files]
        assert "datasource_list: [GCE, None]" in texts[0]
        assert "NTP=metadata.google.internal" in texts[1]
        assert not plugin.customization(template(name="MockOS_A", version="1"))


def login(provider: str = "bucket", **changed: str) -> GceLogin:
    cloud = Gce(made_with(Path("/nonexistent")))
    return cloud.login(provider, Secret(json.dumps({**PERSON, **changed})))


def test_a_bucket_is_enough() -> None:
    read = login("factory-images")
    assert (read.bucket, read.project, read.family) == ("factory-images", "web", None)
    assert read.storage_endpoint == "https://storage.googleapis.com"
    assert read.compute_endpoint == "https://compute.googleapis.com/compute/v1"
    assert read.token_uri == "https://accounts.example.com/token"


@pytest.mark.parametrize(
    ("provider", "changed", "message"),
    [
        ('{"family": "x"}', {}, 'The text of the provider lacks "bucket"'),
        ('{"bucket": "abc", "famly": "x"}', {}, 'has an unknown key "famly"'),
        ('{"bucket": "abc", "labels": {"Team": "a"}}', {}, 'The key "labels" of the provider is'),
        ('{"bucket": "abc", "storage_endpoint": "ftp://x"}', {}, '"storage_endpoint" of the prov'),
        ("abc", {"type": "authorized_user"}, '"type" of the credentials is not "service_account"'),
        ("abc", {"private_key": "hunter2"}, '"private_key" of the credentials is not an RSA key'),
        ("abc", {"private_key": ""}, 'The text of the credentials lacks "private_key"'),
        ("abc", {"project_id": ""}, 'The text of the credentials lacks "project_id"'),
        ("abc", {"token_uri": "file:///x"}, '"token_uri" of the credentials is not the address'),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    provider: str, changed: dict[str, str], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as error:
        login(provider, **changed)
    assert "hunter2" not in f"{error.value} {error.value.hint} {error.value.__cause__!r}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Web Server/1", f"web-server-1-{TOKEN}"),
        (None, f"image-{TOKEN}"),
        ("42", f"image-{TOKEN}"),
        ("x" * 25 + "-y", f"{'x' * 25}-{TOKEN}"),
    ],
)
def test_an_image_has_a_name_as_google_takes_it(name: str | None, expected: str) -> None:
    assert image_name(name, TOKEN) == expected
    assert len(expected) <= 63


class Session:
    """A resumable upload as Google documents it, which keeps some of a piece and then fails."""

    def __init__(self, cut: int) -> None:
        self.stored = b""
        self.cut = cut
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        place = request.headers["Content-Range"]
        self.asked.append(place)
        span, _, total = place.removeprefix("bytes ").partition("/")
        if span != "*":
            assert int(span.partition("-")[0]) == len(self.stored)
            if self.cut:
                self.stored, self.cut = self.stored + request.content[: self.cut], 0
                return httpx2.Response(503)
            self.stored += request.content
        if len(self.stored) == int(total):
            return httpx2.Response(200, json={"size": total})
        known = {"Range": f"bytes=0-{len(self.stored) - 1}"} if self.stored else {}
        return httpx2.Response(308, headers=known)


@pytest.mark.parametrize("kept", [1, 256 << 10])
def test_after_a_fault_an_upload_goes_on_where_the_server_says(tmp_path: Path, kept: int) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"0123456789abcdef" * (1 << 20))
    session, positions = Session(kept), list[int]()
    retry = Retry(faults=FAULTS, pause=lambda error: 0.0, sleep=lambda seconds: None)  # noqa: ARG005
    with httpx2.Client(transport=httpx2.MockTransport(session)) as client:
        rest = Rest(client=client, retry=retry)
        Upload(rest, "https://storage.example.com/session", disk, positions.append).run()
    assert session.stored == disk.read_bytes()
    assert session.asked[1] == f"bytes */{16 << 20}"
    assert positions == [kept, kept + (8 << 20), 16 << 20]


@pytest.mark.parametrize("key", sorted(PROVIDER_KEYS))
def test_every_key_is_documented(key: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "clouds.md"
    assert f"`{key}`" in page.read_text()
