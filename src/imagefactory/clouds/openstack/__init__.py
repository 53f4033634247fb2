"""OpenStack as a cloud: a compressed qcow2, brought to Glance with a Keystone v3 login."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imagefactory.clouds.openstack import glance
from imagefactory.clouds.openstack.login import OpenStackLogin, read
from imagefactory.core import template as tdl
from imagefactory.core.config import Config
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.formats.kinds import Compression
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.cloud_init import cloud_init
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.progress import Progress

TOKEN: Final = "imagefactory_token"  # noqa: S105 - the image property that holds a push's token
_GIB: Final = 1 << 30


class OpenStack:
    """The target `openstack-kvm`. Making target images needs no client library, pushing them does."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        description = "OpenStack: images for KVM, pushed to Glance"
        if not glance.installed():
            description += f". Cannot push: the client library is missing. {glance.INSTALL}"
        return info("OpenStack", "cloud", description)

    @property
    def targets(self) -> Sequence[str]:
        return ("openstack-kvm",)

    def login(self, provider: str, credentials: Secret) -> OpenStackLogin:
        return read(provider, credentials)

    def customization(self, template: Template) -> Customization:
        """What OpenStack asks of an image (Virtual Machine Image Guide, "Image requirements")."""
        return cloud_init(template, "OpenStack", sources=["ConfigDrive", "OpenStack"])

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        compression: Compression = parameters.choice(
            "compression", ("zlib", "zstd", "none"), default="zlib"
        )
        default = self._config.openstack_image_format
        if parameters.choice("openstack_image_format", ("qcow2", "raw"), default=default) == "raw":
            return (Convert(format="raw"),)
        return (Convert(format="qcow2", compression=compression),)

    def check(self, login: OpenStackLogin) -> None:
        with glance.connected(login, "list its images", seconds=glance.ASKING) as images:
            images.list_first()

    def push(
        self, image: ProviderImage, disk: Path, login: OpenStackLogin, report: Report
    ) -> Pushed:
        progress = Progress(report, size=disk.stat().st_size)
        with glance.connected(login, "take the image", proceed=progress.proceed) as images:
            if whole := _whole(image.id, images):
                return Pushed(identifier=whole, account=images.account)
            progress(0, "Registering the image with OpenStack")
            identifier = images.create(_attributes(image, disk, login))
            try:
                progress(0, f'Uploading the image "{identifier}" to OpenStack')
                images.upload(identifier, disk, progress)
            except BaseException:
                images.undo(identifier)
                raise
            return Pushed(identifier=identifier, account=images.account)

    def find(self, token: str, login: OpenStackLogin) -> Pushed | None:
        with glance.connected(login, "list its images") as images:
            whole = _whole(token, images)
            return Pushed(identifier=whole, account=images.account) if whole else None

    def delete(self, identifier: str, login: OpenStackLogin) -> None:
        with glance.connected(login, f'delete the image "{identifier}"') as images:
            images.delete(identifier)


def _whole(token: str, images: glance.Glance) -> str | None:
    """The image of a token; what a killed push left unfinished, and nobody can finish, goes."""
    found = images.having(TOKEN, token)
    whole = [image["id"] for image in found if image["status"] == "active"]
    for image in found:
        if image["id"] not in whole:
            images.delete(image["id"])
    return whole[0] if whole else None


def _attributes(image: ProviderImage, disk: Path, login: OpenStackLogin) -> Mapping[str, Any]:
    """What Glance is told; the provider's own properties win over those that only describe."""
    facts = inspect(disk)
    return {
        **_description(image),
        **login.properties,
        "name": image.name or f"ImageFactory created image - {image.id}",
        "disk_format": facts.format,
        "container_format": login.container_format,
        "visibility": "public" if login.is_public else "private",
        "min_disk": max(login.min_disk, -(-facts.virtual_size // _GIB)),
        "min_ram": login.min_ram,
        TOKEN: image.id,
    }


def _description(image: ProviderImage) -> Mapping[str, str]:
    """The properties by which Nova and people tell systems apart."""
    if image.template is None:
        return {}
    system = tdl.parse(image.template).os
    # Nova's machines have a BIOS unless they are told otherwise.
    firmware = {"hw_firmware_type": "uefi"} if system.arch == "aarch64" else {}
    return {
        **firmware,
        "architecture": {"i386": "i686"}.get(system.arch, system.arch),
        "os_distro": system.name.partition("-")[0].lower(),
        "os_version": system.version,
    }
