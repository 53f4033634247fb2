"""Google Compute Engine as a cloud: a tar.gz with `disk.raw`, brought through a bucket and made an image.

It speaks the REST APIs itself: Google's client libraries would bring gRPC and a second HTTP client, and
retries of their own inside ours.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from imagefactory.clouds.gce.compute import Compute, image_name
from imagefactory.clouds.gce.login import GceLogin, read
from imagefactory.clouds.gce.storage import TOKEN, Storage
from imagefactory.core import template as tdl
from imagefactory.core.config import Config
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

_GIB: Final = 1 << 30


@dataclass(frozen=True, kw_only=True)
class _Google:
    """Both services that a push needs."""

    storage: Storage
    compute: Compute

    def discard_source(self, image: Mapping[str, Any], token: str) -> None:
        """Remove the object that an image was made of, if it is still there."""
        source = str((image.get("rawDisk") or {}).get("source", ""))
        _, _, name = source.partition(f"/{self.storage.login.bucket}/")
        if name:
            self.storage.discard(unquote(name), token)


class Gce:
    """The target `gce`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("GCE", "cloud", "Google Compute Engine: images, by way of a bucket")

    @property
    def targets(self) -> Sequence[str]:
        return ("gce",)

    def login(self, provider: str, credentials: Secret) -> GceLogin:
        return read(provider, credentials)

    def customization(self, template: Template) -> Customization:
        """What Google asks of an image ("Build custom images"), without its own agent.

        Debian's is years old where there is one: cloud-init takes keys and name from the metadata server.
        """
        server = "metadata.google.internal"
        return cloud_init(template, "GCE", sources=["GCE"], time_server=server)

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        return (Convert(format="tar.gz", align=_GIB),)

    def check(self, login: GceLogin) -> None:
        with _connected(login, "show its images", seconds=ASKING) as google:
            google.compute.check()
            google.storage.check()

    def push(self, image: ProviderImage, disk: Path, login: GceLogin, report: Report) -> Pushed:
        progress = Progress(report, size=disk.stat().st_size)
        with _connected(login, "take the image", proceed=progress.proceed) as google:
            if whole := _whole(image.id, google):
                return Pushed(identifier=whole, account=login.email)
            given = Parameters(image.parameters or {})
            name = given.text("gce_object_name") or f"{image.id}.tar.gz"
            try:
                progress(0, f'Uploading the object "{name}" to Google')
                google.storage.upload(name, disk, token=image.id, advance=progress)
                progress(disk.stat().st_size, "Making an image of the object")
                identifier = _make(image, given, google.storage.url(name), google)
                google.storage.discard(name, image.id)
            except BaseException:
                _undo(image.id, name, google)
                raise
            return Pushed(identifier=identifier, account=login.email)

    def find(self, token: str, login: GceLogin) -> Pushed | None:
        with _connected(login, "show its images") as google:
            whole = _whole(token, google)
            return Pushed(identifier=whole, account=login.email) if whole else None

    def delete(self, identifier: str, login: GceLogin) -> None:
        with _connected(login, f'delete the image "{identifier}"') as google:
            image = google.compute.show(identifier)
            if image is None:
                log.info("The image %s was not there any more", identifier)
                return
            token = (image.get("labels") or {}).get(TOKEN)
            if not token:
                msg = f'The image "{identifier}" was not made by a factory'
                raise CloudError(msg, hint="Delete it with Google's own tools")
            google.discard_source(image, token)
            google.compute.delete(identifier)


@contextmanager
def _connected(
    login: GceLogin,
    doing: str,
    *,
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[_Google]:
    with connected(
        "Google", doing, secrets=login.secrets, seconds=seconds, proceed=proceed
    ) as rest:
        account = _account(rest, login)
        yield _Google(
            storage=Storage(rest=rest, login=login, authorize=account),
            compute=Compute(rest=rest, login=login, authorize=account),
        )


def _account(rest: Rest, login: GceLogin) -> AccessToken:
    """The service account's token ("Using OAuth 2.0 for server to server applications")."""

    def fetch() -> Mapping[str, Any]:
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        words = {"grant_type": grant, "assertion": login.assertion()}
        return content(rest.ask("POST", login.token_uri, data=words))

    return AccessToken(fetch)


def _make(image: ProviderImage, given: Parameters, source: str, google: _Google) -> str:
    chosen = given.text("gce_image_name")
    name = chosen or image_name(image.name, image.id)
    google.compute.insert(
        name,
        token=image.id,
        source=source,
        family=given.text("gce_image_family") or google.compute.login.family,
        description=f'Built by Image Factory from the template "{image.name or ""}"',
        replace=chosen is not None,
        architecture=_architecture(image),
    )
    made = google.compute.show(name, fresh=True) or {}
    if made.get("status") != "READY":
        msg = f'Google could not make the image "{name}": {made.get("status")}'
        raise CloudError(msg)
    return str(made["id"])


def _architecture(image: ProviderImage) -> str | None:
    """Google's word for a processor that is not a PC's."""
    arch = tdl.parse(image.template).os.arch if image.template else None
    return {"aarch64": "ARM64"}.get(arch or "")


def _whole(token: str, google: _Google) -> str | None:
    """The image of a token, when it is decided; one that Google failed to make goes."""
    for listed in list(google.compute.having(token)):
        for image in google.compute.settled(listed):
            if image["status"] == "READY":
                google.discard_source(image, token)
                return str(image["id"])
            google.compute.delete(str(image["id"]))
    return None


def _undo(token: str, name: str, google: _Google) -> None:
    """Remove what was half made, if the services still answer; the fault is told by another."""
    rest = google.compute.rest.undoing()
    storage, compute = replace(google.storage, rest=rest), replace(google.compute, rest=rest)
    try:
        storage.discard(name, token)
        for image in list(compute.having(token)):
            compute.delete(str(image["id"]))
    except (*FAULTS, CloudError):
        log.warning("What was made of the image %s stays with Google", token)
