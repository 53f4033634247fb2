"""The cloud `azure` against Azurite, and a fake of the resource manager, for which there is no server."""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import httpx2
import pytest
from lxml import etree

from contract import TOKEN, PushContract, made_with, template
from fakes.arm import CLIENT, IMAGES, SECRET, TENANT, VERSIONS, FakeArm, resource_manager
from fakes.bootable import boot_sector, comes_up
from fakes.build import Told, a_build
from fakes.faulty import Fault, Faulty, faulty_line
from fault_contract import FaultContract
from imagefactory.clouds.azure import Azure
from imagefactory.clouds.azure.blobs import authorization, pieces
from imagefactory.clouds.azure.login import AzureLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from imagefactory.plugins.rest import AccessToken
from servers.azurite import ACCOUNT, Azurite

pytestmark = pytest.mark.integration


@dataclass(frozen=True, kw_only=True)
class Place:
    """An empty container, and an empty resource group."""

    azurite: Azurite
    arm: FakeArm
    container: str

    def login(
        self, *, blobs: str | None = None, arm: str | None = None, **changed: Any
    ) -> AzureLogin:
        """A login; `blobs` and `arm` are addresses of a proxy, `changed` wins."""
        provider = {
            "subscription_id": "sub1",
            "resource_group": "web",
            "location": "westeurope",
            "storage_account": ACCOUNT,
            "container": self.container,
            "blob_endpoint": blobs or self.azurite.url,
            "management_endpoint": arm or self.arm.url,
            "login_endpoint": arm or self.arm.url,
        }
        person = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET}
        person["account_key"] = self.azurite.key
        for key, value in changed.items():
            (person if key in person or key == "sas_token" else provider)[key] = value
        return cloud().login(json.dumps(provider), Secret(json.dumps(person)))

    def read(self, name: str) -> bytes:
        """A blob's content."""
        answer = self.ask("GET", f"/{name}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def things(self) -> list[str]:
        """All blobs and images."""
        listed = self.ask("GET", params={"restype": "container", "comp": "list"})
        names = etree.fromstring(listed.content).iter("Name")
        return [*(str(name.text) for name in names), *self.arm.images]

    def ask(self, method: str, path: str = "", **words: Any) -> httpx2.Response:
        """Azurite's answer to a request about the container."""
        url = f"{self.azurite.url}/{self.container}{path}"
        request = httpx2.Request(method, url, headers={"x-ms-version": "2021-12-02"}, **words)
        authorization(self.login(), AccessToken(dict))(request)
        with httpx2.Client() as client:
            return client.send(request)


def cloud() -> Azure:
    return Azure(made_with(Path("/nonexistent")))


@pytest.fixture
def place(azurite: Azurite, request: pytest.FixtureRequest) -> Iterator[Place]:
    container = "c" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    with resource_manager(lambda url: made.read(url.rpartition("/")[2])) as arm:
        made = Place(azurite=azurite, arm=arm, container=container)
        assert made.ask("PUT", params={"restype": "container"}).status_code == 201
        yield made


def vhd_of(folder: Path, raw: Path) -> Path:
    """A target image, made by the plan of the plugin itself."""
    build = a_build(folder, build_id="target", source=raw)
    for step in cloud().plan_target(template(), Parameters({})):
        step.run(build)
    return build.disk


class TestAzure(PushContract[AzureLogin]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Azure:
        return Azure(made_with(tmp_path))

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        return vhd_of(tmp_path, raw_disk(tmp_path))

    @pytest.fixture
    def login(self, place: Place) -> AzureLogin:
        self.place = place
        return place.login()

    @pytest.fixture
    def refused(self, place: Place) -> AzureLogin:
        return place.login(client_secret="wrong")

    def things(self, login: AzureLogin) -> Collection[str]:  # noqa: ARG002
        return self.place.things()


class TestAzureWithFaults(FaultContract[AzureLogin]):
    stride: ClassVar[int] = 4

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Azure:
        return Azure(made_with(tmp_path))

    @pytest.fixture
    def through(self, place: Place, faulty: Faulty) -> AzureLogin:
        self.place = place
        return place.login(
            blobs=faulty.front(place.azurite.url, checks_md5=True), arm=faulty.front(place.arm.url)
        )

    def form(self, raw: Path, folder: Path) -> Path:
        return vhd_of(folder, raw)

    def things(self, login: AzureLogin) -> Collection[str]:  # noqa: ARG002
        return self.place.things()

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        return self.place.arm.contents[pushed.identifier] == disk.read_bytes()


def raw_disk(folder: Path) -> Path:
    """A disk of 64 MiB and a sector with something at its begin and end."""
    raw = folder / "raw"
    with raw.open("wb") as file:
        file.truncate((64 << 20) + 512)
        file.write(boot_sector() + bytes(range(1, 256)) * 8000)
        file.seek(50 << 20)
        file.write(b"end" * 1000)
    return raw


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return vhd_of(tmp_path, raw_disk(tmp_path))


@pytest.fixture
def image() -> ProviderImage:
    return ProviderImage(
        id=TOKEN,
        name="web server/1",
        provider="{}",
        target="azure",
        template=template().text,
        created=datetime(2026, 11, 3, 4, 5, 6, 7000, tzinfo=UTC),
    )


def test_what_comes_down_is_what_went_up_and_only_the_full_parts_went(
    place: Place, image: ProviderImage, disk: Path, tmp_path: Path
) -> None:
    with faulty_line() as line:
        pushed = cloud().push(image, disk, place.login(blobs=line.front(place.azurite.url)), Told())
        moved = sum(call.length for call in line.calls)
    assert moved == sum(len(data) for _start, data in pieces(disk)) < 4 << 20
    downloaded = tmp_path / "downloaded.vhd"
    downloaded.write_bytes(place.read(f"{TOKEN}.vhd"))
    assert downloaded.read_bytes() == disk.read_bytes()
    assert pushed == Pushed(identifier=f"{IMAGES}/web-server-1-{TOKEN}", account="sub1")
    assert place.arm.images[pushed.identifier]["tags"]["name"] == image.name
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img is not installed (qemu-utils)")
    files = [downloaded, tmp_path / "raw"]
    subprocess.run(["qemu-img", "compare", "-f", "vpc", "-F", "raw", *files], check=True)
    assert comes_up(downloaded, tmp_path)


def test_a_gallery_gets_a_version(place: Place, image: ProviderImage, disk: Path) -> None:
    login = place.login(gallery="factory", gallery_image="debian")
    cloud().check(login)
    pushed = cloud().push(image, disk, login, Told())
    assert pushed.identifier == f"{VERSIONS}/2026.1103.14706007"
    assert cloud().find(image.id, login) == pushed
    assert cloud().find(image.id, place.login()) is None
    cloud().delete(pushed.identifier, login)
    assert place.things() == []


def test_a_push_goes_on_where_a_killed_one_ended(
    place: Place, image: ProviderImage, disk: Path
) -> None:
    with faulty_line() as line:
        login = place.login(blobs=line.front(place.azurite.url), arm=line.front(place.arm.url))
        cloud().push(image, disk, login, Told())
        place.arm.images.clear()
        line.arm(None)
        cloud().push(image, disk, login, Told())
        assert sum(call.length for call in line.calls if call.path.startswith(f"/{ACCOUNT}")) == 0


def test_an_image_that_azure_cannot_make_is_told_and_leaves_nothing(
    place: Place, image: ProviderImage, disk: Path
) -> None:
    place.arm.fail_next = True
    with pytest.raises(CloudError, match=r"Azure could not make the image .*: Failed"):
        cloud().push(image, disk, place.login(), Told())
    assert place.things() == []


def test_a_disk_that_is_no_vhd_is_refused_in_azures_words(
    place: Place, image: ProviderImage, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(b"no disk".ljust(1024, b"."))
    with pytest.raises(CloudError, match="refused to take the image: 400 InvalidVhd: The VHD"):
        cloud().push(image, raw, place.login(), Told())
    assert place.things() == []


def test_a_shared_access_signature_is_enough(
    place: Place, image: ProviderImage, disk: Path
) -> None:
    login = place.login(account_key="", sas_token=account_signature(place))
    cloud().check(login)
    pushed = cloud().push(image, disk, login, Told())
    assert place.read(f"{TOKEN}.vhd") == disk.read_bytes()
    cloud().delete(pushed.identifier, login)
    assert place.things() == []


def account_signature(place: Place) -> str:
    """REST API, "Create an account SAS"."""
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = {
        "sv": "2018-11-09",
        "ss": "b",
        "srt": "sco",
        "sp": "rwdlac",
        "se": ends,
        "spr": "https,http",
    }
    parts = (ACCOUNT, words["sp"], "b", "sco", "", ends, "", words["spr"], words["sv"], "")
    text = "\n".join(parts).encode()
    signature = hmac.digest(base64.b64decode(place.azurite.key), text, hashlib.sha256)
    return urlencode({**words, "sig": base64.b64encode(signature).decode()})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"client_secret": "hunter2"}, r"refused to show its images: 401 invalid_client: AADSTS"),
        ({"account_key": "aHVudGVyMg=="}, "refused to show its images: 403 "),
        ({"account_key": "hunter2"}, "The key of the storage account is not base64"),
        ({"container": "elsewhere"}, 'Azure has no container "elsewhere" in "factory"'),
        ({"resource_group": "other"}, "refused to show its images: 404 ResourceGroupNotFound"),
    ],
)
def test_what_would_not_work_is_told_before(
    place: Place, changed: dict[str, str], told: str
) -> None:
    with pytest.raises(CloudError, match=told) as error:
        cloud().check(place.login(**changed))
    shown = f"{error.value!r} {error.value.hint} {error.value.__cause__!r}"
    assert "hunter2" not in shown
    assert SECRET not in shown
    assert place.azurite.key not in shown


def test_only_what_a_factory_made_is_deleted(place: Place) -> None:
    with pytest.raises(CloudError, match="does not lie where the provider says"):
        cloud().delete("/subscriptions/other/x", place.login())
    place.arm.images[f"{IMAGES}/theirs"] = {
        "name": "theirs",
        "tags": {},
        "properties": {"provisioningState": "Succeeded"},
    }
    with pytest.raises(CloudError, match="was not made by a factory"):
        cloud().delete(f"{IMAGES}/theirs", place.login())


def test_a_service_that_is_dead_is_told_at_once(place: Place) -> None:
    with faulty_line() as line:
        login = place.login(arm=line.front(place.arm.url))
        line.arm(Fault.DEAD, at=1)
        with pytest.raises(CloudError, match="could not be reached, or broke off, when it was to"):
            cloud().check(login)
