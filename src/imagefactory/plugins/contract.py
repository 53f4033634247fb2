"""What a system plugin and a cloud plugin are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar, runtime_checkable

from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Command, File, Package, Repository, Template
from imagefactory.engine.plan import Plan, Report

SystemTarget = tuple[str, str | None, str | None]  #: name, version, architecture; None is any


@dataclass(frozen=True, kw_only=True)
class Maintainer:
    """Whom to ask about a plugin."""

    name: str
    email: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Info:
    """What `GET /plugins` shows of a plugin."""

    id: str
    type: Literal["os", "cloud"]
    description: str
    maintainer: Maintainer
    version: str
    license: str


@dataclass(frozen=True, kw_only=True)
class Customization:
    """What a cloud wants inside the guest, beyond the template."""

    repositories: tuple[Repository, ...] = ()
    packages: tuple[Package, ...] = ()
    files: tuple[File, ...] = ()
    commands: tuple[Command, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.repositories or self.packages or self.files or self.commands)


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What a provider calls an image, and in whose account it lies."""

    identifier: str
    account: str


class System(Protocol):
    """An operating system: says what to build. Made once, with the configuration; holds no build."""

    @property
    def info(self) -> Info: ...

    @property
    def targets(self) -> Sequence[SystemTarget]: ...

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        """The steps from a template to `build.disk`. Pure; `RequestError` for what cannot be built."""
        ...

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        """The steps that turn `build.source` into `build.disk` with `extra` applied. Pure."""
        ...


LoginT = TypeVar("LoginT")


class Cloud(Protocol, Generic[LoginT]):
    """A kind of cloud: says what form an image takes there, and brings it there.

    Made once, with the configuration; holds no build. `LoginT` is the cloud's own frozen dataclass of
    a checked provider and credentials; its repr never shows a secret.
    """

    @property
    def info(self) -> Info: ...

    @property
    def targets(self) -> Sequence[str]: ...

    def login(self, provider: str, credentials: Secret) -> LoginT:
        """Read both texts. Pure; `RequestError` names what is missing or not understood."""
        ...

    def customization(self, template: Template) -> Customization:
        """What this cloud wants inside the guest. Pure."""
        ...

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        """The steps that turn `build.source`, a raw disk, into `build.disk`. Pure."""
        ...

    def check(self, login: LoginT) -> None:
        """Ask the provider cheaply whether a push could work; `CloudError` within a second or so."""
        ...

    def push(self, image: ProviderImage, disk: Path, login: LoginT, report: Report) -> Pushed:
        """Bring a disk there under the token `image.id`, unless an interrupted push has done so.

        What a process that died has begun is gone on with where that is possible. What was half made
        when this raises is undone. `CloudError`.
        """
        ...

    def find(self, token: str, login: LoginT) -> Pushed | None:
        """The whole image that an interrupted push made, if it came so far; what is half made goes."""
        ...

    def delete(self, identifier: str, login: LoginT) -> None:
        """Remove an image and all that belongs to it. Deleting what is gone is success."""
        ...


@runtime_checkable
class Snapshots(Cloud[LoginT], Protocol):
    """A cloud that builds an image by itself, out of one of its own, without a base or a target image."""

    def snapshot(
        self, image: ProviderImage, template: Template, login: LoginT, report: Report
    ) -> Pushed:
        """Build it there under the token `image.id`, unless an interrupted attempt has done so.

        What was half made when this raises is undone. `CloudError`.
        """
        ...


@runtime_checkable
class Packer(Protocol):
    """A cloud that packs other clouds' target images, too, as they are."""

    def plan_packing(self, source: str, template: Template, parameters: Parameters) -> Plan:
        """The steps that turn `build.source`, an image of the target `source`, into `build.disk`. Pure.

        `RequestError` for a target whose images it does not pack.
        """
        ...
