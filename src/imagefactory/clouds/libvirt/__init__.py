"""libvirt as a cloud: a disk becomes a volume of a storage pool, and a machine is defined that has it."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from imagefactory.clouds.libvirt import connection as api
from imagefactory.clouds.libvirt import domains, volumes
from imagefactory.clouds.libvirt.connection import connected
from imagefactory.clouds.libvirt.login import LibvirtLogin, read
from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.formats.kinds import Compression
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins import folders
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.processors import check_processor
from imagefactory.plugins.progress import Progress

log = logging.getLogger(__name__)

_FORMATS: Final = ("qcow2", "raw")
_NAME: Final = re.compile(r".+-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class Libvirt:
    """The target `libvirt`. Making target images needs no client library, pushing them does."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        description = "libvirt: volumes and machines on any host with QEMU"
        if not api.installed():
            description += f". Cannot push: the client library is missing. {api.INSTALL}"
        return info("libvirt", "cloud", description)

    @property
    def targets(self) -> Sequence[str]:
        return ("libvirt",)

    def login(self, provider: str, credentials: Secret) -> LibvirtLogin:
        return read(provider, credentials)

    def customization(self, template: Template) -> Customization:
        return Customization()

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, "libvirt")
        compression: Compression = parameters.choice(
            "compression", ("zlib", "zstd", "none"), default="none"
        )
        if parameters.choice("format", _FORMATS, default="qcow2") == "raw":
            return (Convert(format="raw"),)
        return (Convert(format="qcow2", compression=compression),)

    def check(self, login: LibvirtLogin) -> None:
        with connected(login, "show its pools", seconds=api.ASKING) as client:
            client.ask(lambda connection: _check(connection, login))

    def push(self, image: ProviderImage, disk: Path, login: LibvirtLogin, report: Report) -> Pushed:
        progress = Progress(report, size=disk.stat().st_size)
        name = f"{folders.stem(image.name)}-{image.id}"
        with connected(login, "take the image", proceed=progress.proceed) as client:
            progress(0, f'Uploading the image to the pool "{login.pool}"')
            try:
                client.ask(
                    lambda connection: _make(
                        connection, login, token=image.id, name=name, disk=disk, progress=progress
                    )
                )
            except BaseException:
                _undo(image.id, login)
                raise
        progress(disk.stat().st_size, f'Uploaded "{name}"')
        return _pushed(name, login)

    def find(self, token: str, login: LibvirtLogin) -> Pushed | None:
        with connected(login, "show its volumes") as client:
            name = client.ask(lambda connection: _found(connection, login, token))
            return None if name is None else _pushed(name, login)

    def delete(self, identifier: str, login: LibvirtLogin) -> None:
        ours = _NAME.fullmatch(identifier)
        if ours is None:
            msg = f'The machine "{identifier}" was not made by a factory'
            raise CloudError(msg, hint="Delete it with virsh")
        with connected(login, f'delete "{identifier}"') as client:
            client.ask(lambda connection: _remove(connection, login, ours[1]))


def _check(connection: Any, login: LibvirtLogin, needed: int = 1) -> None:
    pool = volumes.pool_of(connection, login.pool)
    free = pool.info()[3]
    if free < needed:
        msg = f'The storage pool "{login.pool}" has {free} bytes free, and {needed} are needed'
        raise CloudError(msg)
    if login.mode != "volume":
        domains.check_network(connection, login.network)


def _make(
    connection: Any,
    login: LibvirtLogin,
    *,
    token: str,
    name: str,
    disk: Path,
    progress: Progress,
) -> None:
    """Volume, then machine; what of it is there already stays."""
    pool, form = volumes.pool_of(connection, login.pool), inspect(disk).format
    volume = f"{name}.{form}"
    if not volumes.whole(pool, volume, connection):
        _check(connection, login, volumes.size_of(disk))
        volumes.upload(pool, volume, disk, connection, progress=progress)
    if login.mode != "volume":
        domains.define(connection, login, token=token, name=name, volume=volume, form=form)


def _found(connection: Any, login: LibvirtLogin, token: str) -> str | None:
    """The name of what is whole; what is half made goes."""
    pool = volumes.pool_of(connection, login.pool)
    for volume in _volumes(pool, token):
        machine = login.mode == "volume" or domains.domain_of(connection, token) is not None
        if volumes.whole(pool, volume, connection) and machine:
            return volume.rpartition(".")[0]
    _remove(connection, login, token)
    return None


def _remove(connection: Any, login: LibvirtLogin, token: str) -> None:
    domains.remove(connection, token)
    pool = volumes.pool_of(connection, login.pool)
    for volume in _volumes(pool, token):
        volumes.remove(pool, volume)


def _volumes(pool: Any, token: str) -> list[str]:
    """The names of a token's volumes, those among them that came while libvirt did not look."""
    pool.refresh(0)
    ours = tuple(f"-{token}.{form}" for form in _FORMATS)
    return [name for name in pool.listVolumes() if name.endswith(ours)]


def _undo(token: str, login: LibvirtLogin) -> None:
    """Remove what was half made, if libvirt still answers; the fault is told by another."""
    try:
        with connected(login, "undo a push", seconds=api.UNDOING) as client:
            client.ask(lambda connection: _remove(connection, login, token))
    except CloudError:
        log.warning("What was half made of %s stays with libvirt", token)


def _pushed(name: str, login: LibvirtLogin) -> Pushed:
    return Pushed(identifier=name, account=login.uri)
