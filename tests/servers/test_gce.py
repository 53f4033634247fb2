"""The cloud `gce` against fake-gcs-server, and a fake of Compute Engine, for which there is no server."""

import hashlib
import json
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import httpx2
import pytest

from contract import TOKEN, PushContract, made_with, template
from fakes.bootable import boot_sector, comes_up
from fakes.build import Told, a_build
from fakes.faulty import Fault, Faulty, faulty_line
from fakes.gce import EMAIL, FakeGce, compute_engine, new_key, pem
from fault_contract import Clock, FaultContract
from imagefactory.clouds.gce import Gce
from imagefactory.clouds.gce.login import GceLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from imagefactory.plugins.retry import Retry

pytestmark = pytest.mark.integration

KEY = new_key()


@dataclass(frozen=True, kw_only=True)
class Place:
    """An empty bucket, and an empty project."""

    gcs: str
    gce: FakeGce
    bucket: str

    def login(
        self,
        *,
        storage: str | None = None,
        compute: str | None = None,
        credentials: dict[str, str] | None = None,
        **provider: Any,
    ) -> GceLogin:
        """A login; `storage` and `compute` are addresses of a proxy."""
        place = {
            "bucket": self.bucket,
            "storage_endpoint": storage or self.gcs,
            "compute_endpoint": f"{compute or self.gce.url}/compute/v1",
            **provider,
        }
        uri = f"{compute or self.gce.url}/token"
        person = credentials or self.gce.credentials(token_uri=uri)
        return cloud().login(json.dumps(place), Secret(json.dumps(person)))

    def things(self) -> list[str]:
        """All objects and images."""
        listed = httpx2.get(f"{self.gcs}/storage/v1/b/{self.bucket}/o").json()
        return [*(item["name"] for item in listed.get("items", ())), *self.gce.images]


def cloud() -> Gce:
    return Gce(made_with(Path("/nonexistent")))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for the back-off."""
    clock, defaults = Clock(lambda: None), Retry.__init__.__kwdefaults__
    assert defaults is not None
    for name, value in (("clock", clock), ("sleep", clock.sleep)):
        monkeypatch.setitem(defaults, name, value)


@pytest.fixture
def place(gcs: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    bucket = "b" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]

    def read(source: str) -> bytes | None:
        name = quote(unquote(source.partition(f"/{bucket}/")[2]), safe="")
        answer = httpx2.get(f"{gcs}/storage/v1/b/{bucket}/o/{name}", params={"alt": "media"})
        return answer.content if answer.status_code == 200 else None

    httpx2.post(f"{gcs}/storage/v1/b", json={"name": bucket}).raise_for_status()
    with compute_engine(read, KEY) as gce:
        yield Place(gcs=gcs, gce=gce, bucket=bucket)


def archive_of(folder: Path, raw: Path) -> Path:
    """A target image, made by the plan of the plugin itself."""
    build = a_build(folder, build_id="target", source=raw)
    for step in cloud().plan_target(template(), Parameters({})):
        step.run(build)
    return build.disk


def raw_disk(folder: Path, *, size: int = 20 << 20) -> Path:
    """A disk of a size that is no whole number of GiB, most of which no compression makes smaller."""
    raw = folder / "raw"
    with raw.open("wb") as file:
        file.truncate(size)
        file.write(boot_sector())
        file.seek(1 << 20)
        noise = hashlib.shake_256(b"seed").digest(size // 2)
        file.write(noise)
    return raw


class TestGce(PushContract[GceLogin]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Gce:
        return Gce(made_with(tmp_path))

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        return archive_of(tmp_path, raw_disk(tmp_path, size=24 << 20))

    @pytest.fixture
    def login(self, place: Place) -> GceLogin:
        self.place = place
        return place.login()

    @pytest.fixture
    def refused(self, place: Place) -> GceLogin:
        return place.login(credentials=place.gce.credentials(private_key=pem(new_key())))

    def things(self, login: GceLogin) -> Collection[str]:  # noqa: ARG002
        return self.place.things()


class TestGceWithFaults(FaultContract[GceLogin]):
    stride: ClassVar[int] = 4

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Gce:
        return Gce(made_with(tmp_path))

    @pytest.fixture
    def through(self, place: Place, faulty: Faulty) -> GceLogin:
        self.place = place
        return place.login(storage=faulty.front(place.gcs), compute=faulty.front(place.gce.url))

    def form(self, raw: Path, folder: Path) -> Path:
        return archive_of(folder, raw)

    def things(self, login: GceLogin) -> Collection[str]:  # noqa: ARG002
        return self.place.things()

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        return self.place.gce.contents[pushed.identifier] == disk.read_bytes()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return archive_of(tmp_path, raw_disk(tmp_path))


@pytest.fixture
def image() -> ProviderImage:
    return ProviderImage(
        id=TOKEN, name="Web Server/1", provider="p", target="gce", template=template().text
    )


def test_google_gets_what_was_made_and_keeps_no_object(
    place: Place, image: ProviderImage, disk: Path, tmp_path: Path
) -> None:
    login = place.login(family="web", labels={"team": "a"}, location="eu")
    pushed = cloud().push(image, disk, login, Told())
    [made] = place.gce.images.values()
    assert pushed == Pushed(identifier=made["id"], account=EMAIL)
    assert place.things() == [f"web-server-1-{TOKEN}"]
    assert (made["family"], made["storageLocations"]) == ("web", ["eu"])
    assert made["labels"] == {"team": "a", "imagefactory-token": TOKEN}
    received = tmp_path / "received.tar.gz"
    received.write_bytes(place.gce.contents[made["id"]])
    with tarfile.open(received) as archive:
        [member] = archive.getmembers()
        assert (member.name, member.size) == ("disk.raw", 1 << 30)
        content = archive.extractfile(member)
        assert content is not None
        assert content.read(20 << 20) == (tmp_path / "raw").read_bytes()
        archive.extract(member, tmp_path, filter="data")
    assert comes_up(tmp_path / "disk.raw", tmp_path)


def test_parameters_name_object_image_and_family(place: Place, disk: Path) -> None:
    given = {"gce_image_name": "web", "gce_image_family": "f", "gce_object_name": "a/b c.tar.gz"}
    for token in (TOKEN, "5cc3b024"):
        asked = ProviderImage(id=token, provider="p", target="gce", parameters=given)
        pushed = cloud().push(asked, disk, place.login(), Told())
        [made] = place.gce.images.values()
        assert (made["name"], made["family"], made["id"]) == ("web", "f", pushed.identifier)
        assert made["rawDisk"]["source"].endswith("/a/b%20c.tar.gz")
    assert cloud().find(TOKEN, place.login()) is None


@pytest.mark.usefixtures("quick")
def test_an_object_that_an_interrupted_push_left_is_used_and_removed(
    place: Place, image: ProviderImage, disk: Path
) -> None:
    with faulty_line() as line:
        login = place.login(storage=line.front(place.gcs), compute=line.front(place.gce.url))
        cloud().delete(cloud().push(image, disk, login, Told()).identifier, login)
        [insert] = [call for call in line.calls if "/images?requestId" in call.path and call.length]
        line.arm(Fault.DEAD, at=insert.number)
        with pytest.raises(CloudError, match="could not be reached, or broke off"):
            cloud().push(image, disk, login, Told())
        assert place.things() == [f"{TOKEN}.tar.gz"]
        line.arm(None)
        cloud().push(image, disk, login, Told())
        assert not [call for call in line.calls if call.path.startswith("/upload/")]
    assert place.things() == [f"web-server-1-{TOKEN}"]


def test_what_google_cannot_use_is_told_in_its_words_and_leaves_nothing(
    place: Place, image: ProviderImage, disk: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"no archive")
    with pytest.raises(CloudError, match=r"Google could not .* image: The tar archive is not"):
        cloud().push(image, wrong, place.login(), Told())
    assert place.things() == []
    place.gce.fail_next = True
    with pytest.raises(CloudError, match=r"An internal error occurred$"):
        cloud().push(image, disk, place.login(), Told())
    assert place.things() == []


def test_what_would_not_work_is_told_before(place: Place) -> None:
    wrong_key = place.gce.credentials(private_key=pem(new_key()))
    with pytest.raises(CloudError, match=r"400 invalid_grant: Invalid JWT Signature$") as error:
        cloud().check(place.login(credentials=wrong_key))
    assert wrong_key["private_key"][40:80] not in f"{error.value!r} {error.value.__cause__!r}"
    with pytest.raises(CloudError, match="refused to show its images: 404"):
        cloud().check(place.login(bucket="elsewhere"))
    other = place.gce.credentials(project_id="other")
    with pytest.raises(CloudError, match=r"refused to show its images: 404 .*other"):
        cloud().check(place.login(credentials=other))


def test_a_project_that_is_full_is_told_before(
    place: Place, image: ProviderImage, disk: Path
) -> None:
    cloud().push(image, disk, place.login(), Told())
    cloud().check(place.login())
    place.gce.limit = 1
    with pytest.raises(CloudError, match="has as many images as Google lets it have") as error:
        cloud().check(place.login())
    assert error.value.hint == "Delete some of the 1"
    place.gce.shows_quotas = False
    cloud().check(place.login())


def test_only_what_a_factory_made_is_deleted(place: Place) -> None:
    place.gce.images["theirs"] = {"name": "theirs", "id": "1", "status": "READY", "labels": {}}
    with pytest.raises(CloudError, match="was not made by a factory"):
        cloud().delete("1", place.login())
