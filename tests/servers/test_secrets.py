"""Whatever a server says, and it may repeat all that it was sent, no cloud tells a secret of anybody."""

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from contract import TOKEN as IMAGE
from contract import made_with, template
from fakes.build import Told
from fakes.echo import TOKEN, echoing
from fakes.gce import new_key, pem
from fault_contract import Clock
from imagefactory.builds import program_log
from imagefactory.clouds.aws.ec2 import EC2
from imagefactory.clouds.aws.s3 import S3
from imagefactory.clouds.azure import Azure
from imagefactory.clouds.docker import Docker
from imagefactory.clouds.gce import Gce
from imagefactory.clouds.openstack import OpenStack
from imagefactory.clouds.rhevm import Rhevm
from imagefactory.clouds.vsphere import VSphere
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Cloud
from imagefactory.plugins.retry import Retry

pytestmark = pytest.mark.integration

PASSWORD: Final = 'hunter2 & "more"+than/that='
SIGNATURE: Final = "c2lnbmF0dXJlIG9mIGEgc2hhcmVk+/w=="
KEY: Final = pem(new_key())
PERSON: Final = {"username": "me", "password": PASSWORD}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A cloud, and a login that leads to a server. Places are texts in which `URL` is its address."""

    make: Callable[..., Cloud[Any]]
    place: Mapping[str, Any]
    person: Mapping[str, str]
    secrets: tuple[str, ...] = (PASSWORD,)
    more: Mapping[str, str] = field(default_factory=dict)

    def login(self, cloud: Cloud[Any], url: str) -> Any:
        texts = [json.dumps(given).replace("URL", url) for given in (self.place, self.person)]
        return cloud.login(texts[0], Secret(texts[1]))


_AZURE: Final = {
    "subscription_id": "sub1",
    "resource_group": "web",
    "location": "westeurope",
    "storage_account": "factory",
    **dict.fromkeys(("blob_endpoint", "management_endpoint", "login_endpoint"), "URL"),
}
_PRINCIPAL: Final = {"tenant_id": "t1", "client_id": "c1", "client_secret": PASSWORD}
_STORAGE: Final = base64.b64encode(b"a key of the storage account").decode()
_KEYS: Final = {"access_key": "AKIAX", "secret_access_key": PASSWORD, "session_token": SIGNATURE}
_SERVER: Final = {"api-url": "URL"}
ROWS: Final = {
    "azure": Row(
        make=Azure,
        place=_AZURE,
        person={**_PRINCIPAL, "account_key": _STORAGE},
        secrets=(PASSWORD, _STORAGE),
    ),
    "azure, signature": Row(
        make=Azure,
        place=_AZURE,
        person={**_PRINCIPAL, "sas_token": f"sv=1&sig={quote(SIGNATURE, safe='')}"},
        secrets=(PASSWORD, SIGNATURE),
    ),
    "docker": Row(
        make=Docker,
        place={"registry": "URL", "repository": "web"},
        person=PERSON,
        secrets=(PASSWORD, base64.b64encode(f"me:{PASSWORD}".encode()).decode()),
    ),
    "docker, token": Row(
        make=Docker,
        place={"registry": "URL", "repository": "web"},
        person={"token": SIGNATURE},
        secrets=(SIGNATURE,),
    ),
    "ec2": Row(
        make=EC2,
        place={"region": "eu-west-1", "endpoint_url": "URL"},
        person=_KEYS,
        secrets=(PASSWORD, SIGNATURE),
    ),
    "gce": Row(
        make=Gce,
        place={"bucket": "images", "storage_endpoint": "URL", "compute_endpoint": "URL/compute"},
        person={
            "project_id": "web",
            "private_key": KEY,
            "client_email": "factory@web.example",
            "token_uri": "URL/token",
        },
        secrets=(KEY.splitlines()[3], "eyJ"),  # how every JSON Web Token begins
    ),
    "openstack": Row(
        make=OpenStack, place={"image_endpoint": "URL"}, person={**PERSON, "auth_url": "URL/v3"}
    ),
    "rhevm": Row(make=Rhevm, place={**_SERVER, "storage_domain": "data"}, person=PERSON),
    "s3": Row(
        make=S3,
        place={"bucket": "images", "endpoint_url": "URL"},
        person=_KEYS,
        secrets=(PASSWORD, SIGNATURE),
    ),
    "vsphere": Row(
        make=VSphere,
        place={**_SERVER, "datastore": "d", "compute_resource": "c", "network_name": "n"},
        person=PERSON,
    ),
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """What the factory's program logs when it tells all it can."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    path = tmp_path / "imagefactory.log"
    program_log.start(verbose=True, debug=True, file=path)
    yield path
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for the back-off."""
    clock, defaults = Clock(lambda: None), Retry.__init__.__kwdefaults__
    assert defaults is not None
    for name, value in (("clock", clock), ("sleep", clock.sleep)):
        monkeypatch.setitem(defaults, name, value)


def said_by(ask: Callable[[], object]) -> list[str]:
    """What is told of a failure, and what would be logged of it; some ask nobody, and do not fail."""
    try:
        ask()
    except CloudError as error:
        logging.getLogger("imagefactory").exception("It failed")
        return [error.brief, str(error.hint), *traceback.format_exception(error)]
    return []


@pytest.mark.parametrize("admits", [False, True], ids=["refused", "admitted"])
@pytest.mark.parametrize("name", ROWS)
def test_a_server_that_repeats_what_it_was_sent_makes_nobody_tell_a_secret(
    name: str, admits: bool, tmp_path: Path, log: Path
) -> None:
    row = ROWS[name]
    cloud = row.make(made_with(tmp_path))
    disk = tmp_path / "disk"
    disk.write_bytes(b"\xeb\x63\x90".ljust(1 << 20, b"."))
    image = ProviderImage(id=IMAGE, name="web", provider="p", target="t", template=template().text)
    told: list[str] = []
    with echoing(admits=admits) as url:
        login = row.login(cloud, url)
        for ask in (
            lambda: cloud.check(login),
            lambda: cloud.push(image, disk, login, Told()),
            lambda: cloud.find(IMAGE, login),
            lambda: cloud.delete(f"factory-image-{IMAGE}", login),
        ):
            told += said_by(ask)
    assert told
    everything = "\n".join([*told, repr(login), log.read_text()])
    for secret in (*row.secrets, TOKEN):
        for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
            assert form not in everything
