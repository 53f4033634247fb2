"""RHEV and oVirt as a cloud: a disk, brought to its ovirt-imageio, and a template made of it.

It speaks the REST API itself: oVirt's client library would bring libcurl and another HTTP client, which
knows nothing of our deadlines.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imagefactory.clouds.rhevm.engine import Engine, connected
from imagefactory.clouds.rhevm.login import RhevmLogin, read
from imagefactory.clouds.rhevm.place import Place, found
from imagefactory.clouds.rhevm.transfer import cancel, is_usable, upload
from imagefactory.core.config import Config
from imagefactory.core.contents import Package
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.cloud_init import cloud_init
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.processors import check_processor
from imagefactory.plugins.progress import Progress
from imagefactory.plugins.rest import ASKING, FAULTS

log = logging.getLogger(__name__)

PREFIX: Final = "factory-image-"  #: of a template's name, as the original gave it
_UNFINISHED: Final = "factory-upload-"  # of the disk and the machine that become the template
_BLANK: Final = "00000000-0000-0000-0000-000000000000"  # the template that every engine has
_SECTOR: Final = 4096


class Rhevm:
    """The target `rhevm`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("RHEVM", "cloud", "RHEV and oVirt: templates, by way of ovirt-imageio")

    @property
    def targets(self) -> Sequence[str]:
        return ("rhevm",)

    def login(self, provider: str, credentials: Secret) -> RhevmLogin:
        return read(provider, credentials)

    def customization(self, template: Template) -> Customization:
        """The engine gives a machine its name and keys by a config drive, and asks QEMU's agent."""
        agent = (Package(name="qemu-guest-agent"),)
        return cloud_init(template, "oVirt", sources=["ConfigDrive"], packages=agent)

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, "rhevm")
        form = parameters.choice(
            "rhevm_image_format", ("raw", "qcow2"), default=self._config.rhevm_image_format
        )
        if form == "raw":
            return (Convert(format="raw"),)
        return (Convert(format="qcow2", compression="none"),)

    def check(self, login: RhevmLogin) -> None:
        with connected(login, "show where a template could be", seconds=ASKING) as engine:
            found(engine).check(0)

    def push(self, image: ProviderImage, disk: Path, login: RhevmLogin, report: Report) -> Pushed:
        size = disk.stat().st_size
        progress = Progress(report, size=size)
        with connected(login, "take the image", proceed=progress.proceed) as engine:
            place = found(engine)
            if whole := _whole(image.id, engine):
                _clear(image.id, engine, but=whole)
                return Pushed(identifier=whole, account=login.username)
            place.check(size)
            try:
                progress(0, f'Uploading the disk "{_UNFINISHED}{image.id}" to oVirt')
                stored = _stored(image, disk, place, engine, progress)
                progress(size, f'Making the template "{PREFIX}{image.id}" of the disk')
                machine = _machine(image, stored, place, engine)
                identifier = _template(image, stored, machine, engine)
                engine.remove(f"vms/{machine}")
            except BaseException:
                _undo(image.id, engine)
                raise
            return Pushed(identifier=identifier, account=login.username)

    def find(self, token: str, login: RhevmLogin) -> Pushed | None:
        with connected(login, "show its templates") as engine:
            whole = _whole(token, engine)
            _clear(token, engine, but=whole)
            return Pushed(identifier=whole, account=login.username) if whole else None

    def delete(self, identifier: str, login: RhevmLogin) -> None:
        path = f"templates/{identifier}"
        with connected(login, f'delete the template "{identifier}"') as engine:
            template = engine.show(path)
            if template is None:
                log.info("The template %s was not there any more", identifier)
                return
            if not str(template.get("name")).startswith(PREFIX):
                msg = f'The template "{identifier}" was not made by a factory'
                raise CloudError(msg, hint="Delete it with oVirt's own tools")
            engine.remove(path)  # and its disk


def _stored(
    image: ProviderImage, disk: Path, place: Place, engine: Engine, progress: Progress
) -> str:
    """The id of a disk of the engine's that holds the image."""
    facts = inspect(disk)
    form = "cow" if facts.format == "qcow2" else "raw"
    body = {
        "description": _description(image),
        "format": form,
        # A device has no holes, so only a format can.
        "sparse": form == "cow" or not place.block,
        "provisioned_size": -(-facts.virtual_size // _SECTOR) * _SECTOR,
        **({"initial_size": disk.stat().st_size} if form == "cow" else {}),
        "storage_domains": {"storage_domain": [{"id": place.domain}]},
    }
    name, resumed = _UNFINISHED + image.id, False
    for there in engine.named("disks", name):
        if engine.named("vms", name):
            return str(there["id"])  # it was whole when an earlier life gave it to the machine
        resumed = is_usable(there["id"], engine)
        if not resumed:
            engine.remove(f"disks/{there['id']}")
    identifier = engine.make_named("disks", name, body)
    upload(disk, identifier, form, engine, progress, resumed=resumed)
    return identifier


def _machine(image: ProviderImage, disk: str, place: Place, engine: Engine) -> str:
    """The id of a machine that has the disk and a network."""
    given = Parameters(image.parameters or {})
    memory = (given.integer("ovf_memory_mb") or 512) << 20
    body = {
        "description": _description(image),
        "cluster": {"id": place.cluster},
        "template": {"id": _BLANK},
        "memory": memory,
        "memory_policy": {"guaranteed": memory, "max": 4 * memory},
        "cpu": {"topology": {"sockets": given.integer("ovf_cpu_count") or 1, "cores": 1}},
        "os": {"type": "other_linux", "boot": {"devices": {"device": ["hd"]}}},
        "type": "server",
    }
    machine = engine.make_named("vms", _UNFINISHED + image.id, body)
    engine.settled(f"vms/{machine}")
    profile = {"vnic_profile": {"id": place.profile}} if place.profile else {}
    engine.make_named(f"vms/{machine}/nics", "nic1", {"interface": "virtio", **profile})
    attachment = {"disk": {"id": disk}, "interface": "virtio", "bootable": True, "active": True}
    engine.make(
        f"vms/{machine}/diskattachments",
        attachment,
        same=lambda there: bool((there.get("disk") or {}).get("id") == disk),
    )
    return machine


def _template(image: ProviderImage, disk: str, machine: str, engine: Engine) -> str:
    """The id of a template, whose disk is a copy of the machine's."""
    name = PREFIX + image.id
    attachment = {"disk": {"id": disk, "name": name}}
    source = {"id": machine, "disk_attachments": {"disk_attachment": [attachment]}}
    body = {"description": _description(image), "vm": source}
    identifier = engine.make_named("templates", name, body)
    status = engine.settled(f"templates/{identifier}")
    if status != "ok":
        msg = f'The oVirt engine could not make the template "{name}"; its status is {status}'
        raise CloudError(msg)
    return identifier


def _whole(token: str, engine: Engine) -> str | None:
    """The template of a token, when the engine has done with it; those that came to nothing go."""
    whole = None
    for template in engine.named("templates", PREFIX + token):
        if engine.settled(f"templates/{template['id']}") == "ok":
            whole = str(template["id"])
        else:
            engine.remove(f"templates/{template['id']}")
    return whole


def _clear(token: str, engine: Engine, *, but: str | None = None) -> None:
    """Remove what a push has made, except for this template."""
    for template in engine.named("templates", PREFIX + token):
        if template["id"] != but:
            engine.remove(f"templates/{template['id']}")
    for machine in engine.named("vms", _UNFINISHED + token):
        engine.remove(f"vms/{machine['id']}")  # and its disk
    for disk in engine.named("disks", _UNFINISHED + token):
        cancel(disk["id"], engine)
        engine.remove(f"disks/{disk['id']}")


def _undo(token: str, engine: Engine) -> None:
    """Remove what was half made, if the engine still answers; the fault is told by another."""
    try:
        _clear(token, engine.undoing())
    except (*FAULTS, CloudError):
        log.warning("What was made of the image %s stays with oVirt", token)


def _description(image: ProviderImage) -> str:
    return f'Built by Image Factory from the template "{image.name or ""}"'
