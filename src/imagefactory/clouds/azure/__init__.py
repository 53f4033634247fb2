"""Azure as a cloud: a fixed VHD, brought to a page blob and made a managed image or a gallery version.

It speaks the REST APIs itself: Microsoft's client libraries would bring a second HTTP client, and
retries of their own inside ours.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from imagefactory.clouds.azure.arm import TOKEN, Arm, state_of
from imagefactory.clouds.azure.blobs import Blobs, authorization
from imagefactory.clouds.azure.login import AzureLogin, read
from imagefactory.core.config import Config
from imagefactory.core.contents import Command, Content, Package
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.cloud_init import cloud_init
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.processors import check_processor
from imagefactory.plugins.progress import Progress
from imagefactory.plugins.rest import (
    ASKING,
    FAULTS,
    PUSHING,
    AccessToken,
    Rest,
    connected,
    content,
)

log = logging.getLogger(__name__)

#: Hyper-V's bus, disks, network and clock, where the root file system is looked for
_DRIVERS: Final = """\
printf '%s\\n' hv_vmbus hv_storvsc hv_netvsc hv_utils >> /etc/initramfs-tools/modules
update-initramfs -u -k all
"""


@dataclass(frozen=True, kw_only=True)
class _Azure:
    """Both services that a push needs."""

    blobs: Blobs
    arm: Arm

    def delete(self, identifier: str, token: str) -> None:
        """Remove the blob first: as long as the image is there, what is left of it is found."""
        self.blobs.delete(_blob(token))
        self.arm.delete(identifier)


class Azure:
    """The target `azure`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("Azure", "cloud", "Azure: managed images and versions in a compute gallery")

    @property
    def targets(self) -> Sequence[str]:
        return ("azure",)

    def login(self, provider: str, credentials: Secret) -> AzureLogin:
        return read(provider, credentials)

    def customization(self, template: Template) -> Customization:
        """What Microsoft asks of an image ("Prepare Linux for imaging in Azure").

        The consoles and the address by DHCP are every image's own.
        """
        return cloud_init(
            template,
            "Azure",
            sources=["Azure"],
            packages=[Package(name="waagent")],
            commands=[Command(name="azure-drivers", content=Content(text=_DRIVERS))],
        )

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, "azure")
        return (Convert(format="vhd"),)

    def check(self, login: AzureLogin) -> None:
        with _connected(login, "show its images", seconds=ASKING) as azure:
            azure.arm.check()
            azure.blobs.check()

    def push(self, image: ProviderImage, disk: Path, login: AzureLogin, report: Report) -> Pushed:
        progress = Progress(report, size=disk.stat().st_size)
        with _connected(login, "take the image", proceed=progress.proceed) as azure:
            if whole := _whole(image.id, azure):
                return Pushed(identifier=whole, account=login.subscription)
            blob = _blob(image.id)
            progress(0, f'Uploading the blob "{blob}" to Azure')
            try:
                azure.blobs.upload(blob, disk, token=image.id, advance=progress)
                progress(disk.stat().st_size, "Making an image of the blob")
                identifier = azure.arm.create(image, azure.blobs.url(blob))
            except BaseException:
                _undo(image.id, azure)
                raise
            return Pushed(identifier=identifier, account=login.subscription)

    def find(self, token: str, login: AzureLogin) -> Pushed | None:
        with _connected(login, "show its images") as azure:
            whole = _whole(token, azure)
            return Pushed(identifier=whole, account=login.subscription) if whole else None

    def delete(self, identifier: str, login: AzureLogin) -> None:
        with _connected(login, f'delete the image "{identifier}"') as azure:
            image = azure.arm.show(identifier)
            if image is None:
                log.info("The image %s was not there any more", identifier)
                return
            token = image.get("tags", {}).get(TOKEN)
            if not token:
                msg = f'The image "{identifier}" was not made by a factory'
                raise CloudError(msg, hint="Delete it with Azure's own tools")
            azure.delete(identifier, token)


@contextmanager
def _connected(
    login: AzureLogin,
    doing: str,
    *,
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[_Azure]:
    with connected("Azure", doing, secrets=login.secrets, seconds=seconds, proceed=proceed) as rest:
        storage = authorization(login, _principal(rest, login, "https://storage.azure.com"))
        manager = _principal(rest, login, login.management_endpoint)
        yield _Azure(
            blobs=Blobs(rest=rest, login=login, authorize=storage),
            arm=Arm(rest=rest, login=login, authorize=manager),
        )


def _principal(rest: Rest, login: AzureLogin, audience: str) -> AccessToken:
    """The service principal's token (Microsoft identity platform, client credentials)."""

    def fetch() -> Mapping[str, Any]:
        words = {
            "grant_type": "client_credentials",
            "client_id": login.client,
            "client_secret": login.client_secret.reveal(),
            "scope": f"{audience}/.default",
        }
        url = f"{login.login_endpoint}/{login.tenant}/oauth2/v2.0/token"
        return content(rest.ask("POST", url, data=words))

    return AccessToken(fetch)


def _whole(token: str, azure: _Azure) -> str | None:
    """The image of a token; one that Azure failed to make goes."""
    for image in azure.arm.having(token):
        identifier = f"{azure.arm.collection}/{image['name']}"
        if state_of(image) == "Succeeded":
            return identifier
        if state_of(image) == "Failed":
            azure.arm.delete(identifier)
    return None


def _undo(token: str, azure: _Azure) -> None:
    """Remove what was half made, if the services still answer; the fault is told by another."""
    rest = azure.arm.rest.undoing()
    blobs, arm = replace(azure.blobs, rest=rest), replace(azure.arm, rest=rest)
    try:
        blobs.delete(_blob(token))
        for image in arm.having(token):
            arm.delete(f"{arm.collection}/{image['name']}")
    except (*FAULTS, CloudError):
        log.warning("What was made of the image %s stays with Azure", token)


def _blob(token: str) -> str:
    return f"{token}.vhd"
