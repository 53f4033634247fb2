"""The cloud `openstack-kvm` against a real Keystone and a real Glance."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Collection, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import TOKEN, PushContract, made_with, template
from fakes.bootable import boot_sector, comes_up
from fakes.build import Told, a_build
from fakes.faulty import Faulty
from fakes.proxy import Line, line_to
from fault_contract import FaultContract
from imagefactory.clouds.openstack import OpenStack
from imagefactory.clouds.openstack.login import OpenStackLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from servers.openstack import ADMIN, USER, OpenStackServers

pytestmark = pytest.mark.integration

ORIGINAL = """
<provider_credentials>
  <openstack_credentials>
    <username>{user}</username><tenant>{user}</tenant><password>{password}</password>
    <strategy>keystone</strategy><auth_url>{keystone}/v2.0</auth_url>
  </openstack_credentials>
</provider_credentials>
"""


@pytest.fixture
def cloud(tmp_path: Path) -> OpenStack:
    return OpenStack(made_with(tmp_path))


@pytest.fixture(autouse=True)
def empty(glance: OpenStackServers) -> Iterator[None]:
    """Every test begins with a Glance that holds nothing."""
    yield
    session = glance.session(ADMIN)
    for image in glance.images():
        session.delete(f"{glance.glance}/v2/images/{image['id']}", raise_exc=False)


def original(servers: OpenStackServers, *, password: str | None = None) -> Secret:
    """Credentials as clients of the original send them."""
    password = password or servers.passwords[USER]
    return Secret(ORIGINAL.format(user=USER, password=password, keystone=servers.keystone))


def modern(servers: OpenStackServers, **credentials: str) -> Secret:
    """Credentials as JSON."""
    return Secret(json.dumps({"auth_url": servers.keystone, **credentials}))


def everything(servers: OpenStackServers) -> list[str]:
    """Images in any state, and what lies in Glance's store."""
    return [image["id"] for image in servers.images()] + [p.name for p in servers.store.iterdir()]


class TestGlance(PushContract[OpenStackLogin]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> OpenStack:
        return OpenStack(made_with(tmp_path))

    @pytest.fixture
    def login(self, cloud: OpenStack, glance: OpenStackServers) -> OpenStackLogin:
        port = glance.glance.rpartition(":")[2]
        provider = json.dumps({"glance-host": "127.0.0.1", "glance-port": int(port)})
        self.servers = glance
        return cloud.login(provider, original(glance))

    @pytest.fixture
    def refused(self, cloud: OpenStack, glance: OpenStackServers) -> OpenStackLogin:
        return cloud.login('{"region": "RegionOne"}', original(glance, password="wrong"))

    def things(self, login: OpenStackLogin) -> Collection[str]:  # noqa: ARG002
        return everything(self.servers)


class TestGlanceWithFaults(FaultContract[OpenStackLogin]):
    stride: ClassVar[int] = 4  # every login costs the real Keystone a tenth of a second

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> OpenStack:
        return OpenStack(made_with(tmp_path))

    @pytest.fixture
    def through(self, cloud: OpenStack, faulty: Faulty, glance: OpenStackServers) -> OpenStackLogin:
        self.servers = glance
        endpoint = faulty.front(glance.glance)
        return cloud.login(json.dumps({"image_endpoint": endpoint}), original(glance))

    def things(self, login: OpenStackLogin) -> Collection[str]:  # noqa: ARG002
        return everything(self.servers)

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        url = f"{self.servers.glance}/v2/images/{pushed.identifier}/file"
        return bool(self.servers.session().get(url).content == disk.read_bytes())


@pytest.fixture
def disk(tmp_path: Path, cloud: OpenStack) -> Path:
    """A target image, made by the plan of the plugin itself."""
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed (qemu-utils)")
    base = tmp_path / "base.body"
    with base.open("wb") as file:
        file.truncate((2 << 30) + 512)
        file.write(boot_sector() + os.urandom(12 << 20))
    build = a_build(tmp_path, source=base)
    for step in cloud.plan_target(template(), Parameters({})):
        step.run(build)
    return build.disk


@pytest.fixture
def image() -> ProviderImage:
    return ProviderImage(
        id=TOKEN,
        name="web-server",
        provider="{}",
        target="openstack-kvm",
        template=template().text,
    )


def region(servers: OpenStackServers, cloud: OpenStack, **provider: Any) -> OpenStackLogin:
    """A login of the user's that asks Keystone's catalogue for Glance."""
    return cloud.login(json.dumps({"region": "RegionOne", **provider}), original(servers))


def test_what_comes_down_is_what_went_up(
    glance: OpenStackServers, cloud: OpenStack, image: ProviderImage, disk: Path, tmp_path: Path
) -> None:
    properties = {"hw_qemu_guest_agent": "yes", "os_version": "bookworm"}
    login = region(glance, cloud, min_ram=512, properties=properties)
    pushed = cloud.push(image, disk, login, Told())
    url = f"{glance.glance}/v2/images/{pushed.identifier}"
    stored = glance.session().get(url).json()
    assert stored["status"] == "active"
    assert {key: stored[key] for key in ("name", "disk_format", "container_format")} == {
        "name": "web-server",
        "disk_format": "qcow2",
        "container_format": "bare",
    }
    assert (stored["visibility"], stored["min_disk"], stored["min_ram"]) == ("private", 3, 512)
    assert stored["imagefactory_token"] == image.id
    assert (stored["os_distro"], stored["architecture"]) == ("debian", "x86_64")
    assert (stored["os_version"], stored["hw_qemu_guest_agent"]) == ("bookworm", "yes")
    assert pushed.account == USER
    downloaded = tmp_path / "downloaded"
    downloaded.write_bytes(glance.session().get(f"{url}/file").content)
    assert downloaded.read_bytes() == disk.read_bytes()
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", downloaded], check=True)
    assert comes_up(downloaded, tmp_path)


def test_an_application_credential_is_enough(
    glance: OpenStackServers, cloud: OpenStack, image: ProviderImage, disk: Path
) -> None:
    made = glance.application_credential()
    by_id = {"application_credential_id": made["id"]}
    by_name = {"application_credential_name": made["name"], "username": USER}
    for words in (by_id, by_name):
        credentials = modern(glance, **words, application_credential_secret=made["secret"])
        login = cloud.login('{"region_name": "RegionOne"}', credentials)
        cloud.check(login)
        pushed = cloud.push(image, disk, login, Told())
        assert pushed.account == USER
        cloud.delete(pushed.identifier, login)


def test_a_token_is_enough(glance: OpenStackServers, cloud: OpenStack) -> None:
    token = glance.session().get_token()
    assert token
    cloud.check(cloud.login('{"interface": "public"}', modern(glance, token=token, tenant=USER)))


def test_a_wrong_password_is_told_at_once_and_not_shown(
    glance: OpenStackServers, cloud: OpenStack
) -> None:
    login = cloud.login('{"region": "RegionOne"}', original(glance, password="hunter2-and-more"))
    before = time.monotonic()
    with pytest.raises(CloudError) as error:
        cloud.check(login)
    assert time.monotonic() - before < 5
    assert error.value.brief == f'OpenStack at "{glance.keystone}/v3" refused the login'
    assert error.value.hint == "Check user, secret, project and their domains"
    assert "hunter2" not in f"{error.value!r} {error.value.__cause__!r} {login!r}"


def test_a_server_that_is_not_there_is_told_at_once(
    glance: OpenStackServers, cloud: OpenStack
) -> None:
    with line_to(glance.keystone) as line:
        nowhere = line.url
    login = cloud.login(json.dumps({"auth_url": nowhere}), Secret('{"token": "hunter2"}'))
    before = time.monotonic()
    with pytest.raises(CloudError, match="could not be reached") as error:
        cloud.check(login)
    assert time.monotonic() - before < 5
    assert "hunter2" not in f"{error.value!r} {error.value.__cause__!r}"


def test_a_region_without_glance_is_told(glance: OpenStackServers, cloud: OpenStack) -> None:
    login = cloud.login('{"region": "RegionTwo"}', original(glance))
    with pytest.raises(CloudError, match="names no image service") as error:
        cloud.check(login)
    assert error.value.hint == "Check project, region and interface"


class Stranger(BaseHTTPRequestHandler):
    """A web server that has nothing to do with it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"It works!")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_wrong_address_is_told(glance: OpenStackServers, cloud: OpenStack) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wrong = f"http://127.0.0.1:{server.server_port}"
        login = cloud.login(json.dumps({"image_endpoint": wrong}), original(glance))
        with pytest.raises(CloudError, match="is not OpenStack's image service") as error:
            cloud.check(login)
        server.shutdown()
    assert f'"{wrong}/v2/images"' in error.value.brief


def test_what_glance_says_against_it_is_told_in_its_words(
    glance: OpenStackServers, cloud: OpenStack, image: ProviderImage, disk: Path
) -> None:
    with pytest.raises(CloudError, match=r"refused to take the image: 403 Forbidden .*publicize"):
        cloud.push(image, disk, region(glance, cloud, is_public=True), Told())
    assert everything(glance) == []


def through(servers: OpenStackServers, cloud: OpenStack, line: Line) -> OpenStackLogin:
    """A login of the user's that reaches Glance over a line that may break."""
    return cloud.login(json.dumps({"image_endpoint": line.url}), original(servers))


def test_bytes_that_changed_on_the_way_are_noticed(
    glance: OpenStackServers, cloud: OpenStack, image: ProviderImage, disk: Path
) -> None:
    with line_to(glance.glance) as line:
        line.damage_at = 6 << 20
        with pytest.raises(CloudError, match=r"did not store the image .* as it was sent"):
            cloud.push(image, disk, through(glance, cloud, line), Told())
    assert everything(glance) == []


def test_a_strangers_public_image_with_the_same_token_is_not_ours(
    glance: OpenStackServers, cloud: OpenStack, image: ProviderImage, disk: Path
) -> None:
    stranger = {"username": ADMIN, "password": glance.passwords[ADMIN], "project_name": ADMIN}
    theirs = cloud.login('{"is_public": true}', modern(glance, **stranger))
    pushed = cloud.push(image, disk, theirs, Told())
    login = region(glance, cloud)
    assert cloud.find(image.id, login) is None
    assert cloud.push(image, disk, login, Told()).identifier != pushed.identifier
