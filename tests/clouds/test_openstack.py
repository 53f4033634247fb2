"""What clients of OpenStack send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import CloudContract, made_with, template
from imagefactory.clouds.openstack import OpenStack, glance
from imagefactory.clouds.openstack.login import (
    CREDENTIALS_KEYS,
    PROVIDER_KEYS,
    ApplicationCredential,
    OpenStackLogin,
    Password,
    Token,
)
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert
from imagefactory.plugins.retry import Retry

ORIGINAL = """
<provider_credentials>
  <openstack_credentials>
    <username>admin</username>
    <tenant>web</tenant>
    <password>hunter2</password>
    <strategy>keystone</strategy>
    <auth_url>http://cloud.example.com:5000/v2.0</auth_url>
  </openstack_credentials>
</provider_credentials>
"""


class TestOpenStack(CloudContract[OpenStackLogin]):
    provider: ClassVar[str] = '{"glance-host": "images.example.com", "glance-port": 9292}'
    credentials: ClassVar[str] = ORIGINAL
    secrets: ClassVar[Collection[str]] = ("hunter2",)
    broken_providers: ClassVar[Collection[str]] = ("{", "<", "[]", "openstack")
    wrong_parameters: ClassVar[Mapping[str, object]] = {
        "openstack_image_format": "vmdk",
        "compression": True,
    }

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return OpenStack(made_with(tmp_path))


def login(
    provider: str | Mapping[str, Any], credentials: str | Mapping[str, Any]
) -> OpenStackLogin:
    given = [
        text if isinstance(text, str) else json.dumps(text) for text in (provider, credentials)
    ]
    return OpenStack(made_with(Path("/nonexistent"))).login(given[0], Secret(given[1]))


def test_the_originals_texts_mean_the_same_today() -> None:
    read = login('{"glance-host": "images.example.com"}', ORIGINAL)
    assert read == OpenStackLogin(
        auth_url="http://cloud.example.com:5000/v3",
        identity=Password(
            user={"username": "admin", "user_domain_name": "Default"}, password=Secret("hunter2")
        ),
        project={"project_name": "web", "project_domain_name": "Default"},
        region=None,
        interface="public",
        endpoint="http://images.example.com:9292/v2",
        verify=True,
        container_format="bare",
        is_public=False,
        min_disk=0,
        min_ram=0,
    )


def test_a_provider_may_be_an_xml_element_with_attributes() -> None:
    read = login('<openstack glance-host="glance" glance-port="80" is_public="yes"/>', ORIGINAL)
    assert read.endpoint == "http://glance:80/v2"
    assert read.is_public


def test_todays_texts_say_more() -> None:
    provider = {
        "region_name": "north",
        "interface": "internal",
        "image_endpoint": "https://images.example.com/v2/",
        "verify": False,
        "min_disk": 8,
        "min_ram": "512",
        "properties": {"hw_firmware_type": "uefi", "hw_machine_type": "q35"},
    }
    person = {
        "auth_url": "https://cloud.example.com/identity",
        "username": "me",
        "password": "hunter2",
        "user_domain_id": "d1",
        "project_name": "web",
        "project_domain_name": "People",
    }
    read = login(provider, person)
    assert read.auth_url == "https://cloud.example.com/identity/v3"
    assert read.identity == Password(
        user={"username": "me", "user_domain_id": "d1"}, password=Secret("hunter2")
    )
    assert read.project == {"project_name": "web", "project_domain_name": "People"}
    assert (read.region, read.interface, read.verify) == ("north", "internal", False)
    assert read.endpoint == "https://images.example.com/v2"
    assert (read.min_disk, read.min_ram) == (8, 512)
    assert read.properties == {"hw_firmware_type": "uefi", "hw_machine_type": "q35"}


class Answer:
    """What an adapter returns."""

    url = "http://glance.example.com/v2/info/usage"

    def __init__(self, status: int, content: Mapping[str, Any]) -> None:
        self.status_code = status
        self._content = content

    def json(self) -> Mapping[str, Any]:
        return self._content


@pytest.mark.parametrize(
    ("status", "usage", "message"),
    [
        (404, {}, None),
        (200, {}, None),
        (200, {"image_count_total": {"usage": 3, "limit": 4}}, None),
        (200, {"image_size_total": {"usage": 3, "limit": -1}}, None),
        (200, {"image_count_total": {"usage": 4, "limit": 4}}, '"image_count_total" is full'),
        (200, {"image_size_total": {"usage": 9, "limit": 4}}, '"image_size_total" is full'),
    ],
)
def test_a_full_quota_is_told_before(
    status: int, usage: Mapping[str, Any], message: str | None
) -> None:
    class Adapter:
        def get(self, path: str, **_words: Any) -> Answer:
            shown = {"/images": Answer(200, {"images": []})}
            return shown.get(path, Answer(status, {"usage": usage}))

    adapter: Any = Adapter()
    retry = Retry(faults=(), pause=lambda _error: None)
    images = glance.Glance(adapter=adapter, project="p1", account="me", retry=retry)
    if message is None:
        images.list_first()
    else:
        with pytest.raises(CloudError, match=message):
            images.list_first()


def test_an_application_credential_brings_its_own_project() -> None:
    by_id = {"application_credential_id": "ac1", "application_credential_secret": "hunter2"}
    read = login('{"auth_url": "http://cloud.example.com/v3"}', {**by_id, "project_name": "web"})
    assert read.auth_url == "http://cloud.example.com/v3"
    assert read.identity == ApplicationCredential(
        credential={"application_credential_id": "ac1"}, secret=Secret("hunter2")
    )
    assert read.project == {}
    by_name = {"application_credential_name": "push", "application_credential_secret": "hunter2"}
    assert login("{}", {**by_name, "user_id": "u1"}).identity == ApplicationCredential(
        credential={"application_credential_name": "push", "user_id": "u1"},
        secret=Secret("hunter2"),
    )


def test_a_token_needs_no_user() -> None:
    read = login("{}", {"token": "hunter2", "project_id": "p1"})
    assert read.identity == Token(token=Secret("hunter2"))
    assert read.project == {"project_id": "p1"}
    assert read.auth_url == "http://127.0.0.1:5000/v3"


@pytest.mark.parametrize(
    ("provider", "credentials", "message"),
    [
        ("{}", {"username": "me"}, 'The text of the credentials lacks "password"'),
        ("{}", {"password": "hunter2"}, 'The text of the credentials lacks "username"'),
        ("{}", {"application_credential_id": "x"}, 'lacks "application_credential_secret"'),
        (
            "{}",
            {"application_credential_name": "x", "application_credential_secret": "hunter2"},
            'The text of the credentials lacks "username"',
        ),
        ("{}", {"user": "me", "password": "hunter2"}, 'has an unknown key "user"'),
        (
            {"glance_host": "x"},
            ORIGINAL,
            'The text of the provider has an unknown key "glance_host"',
        ),
        ({"min_disk": "big"}, ORIGINAL, 'The key "min_disk" of the provider is not a whole number'),
        ({"verify": "maybe"}, ORIGINAL, 'The key "verify" of the provider is not true or false'),
        ({"properties": {"a": ["b"]}}, ORIGINAL, 'The key "a" of the provider is not a text'),
        ({"image_endpoint": "file:///etc"}, ORIGINAL, '"image_endpoint" is not the address'),
        ({"glance-host": "a b:c"}, ORIGINAL, '"image_endpoint" is not the address of a server'),
        (
            "{}",
            {"auth_url": "https://me:hunter2@x/", "token": "t"},
            '"auth_url" is not the address',
        ),
        (
            "{}",
            {"strategy": "noauth", "token": "t"},
            'The key "strategy" of the credentials is not',
        ),
        ("openstack", ORIGINAL, "^OpenStack KVM instance not found in XML or JSON provided$"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    provider: str | Mapping[str, Any], credentials: str | Mapping[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as error:
        login(provider, credentials)
    assert "hunter2" not in f"{error.value} {error.value.hint} {error.value.__cause__!r}"


def test_a_target_image_is_a_compressed_qcow2_unless_somebody_says_raw(tmp_path: Path) -> None:
    def plan(parameters: Mapping[str, Any], **options: object) -> Any:
        cloud = OpenStack(made_with(tmp_path, **options))
        return cloud.plan_target(template(), Parameters(parameters))

    compressed = (Convert(format="qcow2", compression="zlib"),)
    assert plan({}) == compressed
    assert plan({"compression": "none"}) == (Convert(format="qcow2", compression="none"),)
    assert plan({"openstack_image_format": "raw"}) == (Convert(format="raw"),)
    assert plan({}, openstack_image_format="raw") == (Convert(format="raw"),)
    qcow2 = {"openstack_image_format": "qcow2"}
    assert plan(qcow2, openstack_image_format="raw") == compressed


def test_without_the_client_library_images_are_made_and_the_push_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glance, "installed", lambda: False)
    cloud = OpenStack(made_with(tmp_path))
    assert 'pip install "imagefactory[openstack]"' in cloud.info.description
    assert cloud.plan_target(template(), Parameters({}))
    with pytest.raises(CloudError, match="client library is not installed") as error:
        cloud.check(login("{}", ORIGINAL))
    assert error.value.hint == 'Install it with: pip install "imagefactory[openstack]"'


@pytest.mark.parametrize("key", sorted(PROVIDER_KEYS | CREDENTIALS_KEYS))
def test_every_key_is_documented(key: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "clouds.md"
    assert f"`{key}`" in page.read_text()


def test_a_debian_asks_openstack(tmp_path: Path) -> None:
    cloud = OpenStack(made_with(tmp_path))
    [settings] = cloud.customization(template()).files
    assert "datasource_list: [ConfigDrive, OpenStack, None]" in settings.content.text
    assert not cloud.customization(template(name="MockOS_A"))
