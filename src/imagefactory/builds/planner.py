"""From an image to its plan, through the plugins, without touching anything."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from imagefactory.core.contents import merged
from imagefactory.core.errors import RequestError
from imagefactory.core.images import Image, ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.target_content import TargetContent
from imagefactory.core.template import NOWHERE, Template, parse
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build, Plan, Step
from imagefactory.plugins.contract import Cloud, Customization, Packer, Pushed, Snapshots, System
from imagefactory.plugins.registry import Registry

_PUSHED: Final = "pushed.json"  #: in the scratch folder: what the provider calls the image


@dataclass(frozen=True, kw_only=True)
class SetAside(Step):
    """Makes the disk built so far the source of the steps that follow."""

    @property
    def activity(self) -> str:
        return "Handing the customized disk on"

    def run(self, build: Build) -> None:
        if build.disk.exists():  # or an earlier life has done it
            assert build.source is not None  # noqa: S101 - a customized disk was made from one
            build.disk.replace(build.source)


@dataclass(frozen=True, kw_only=True)
class Push(Step):
    """Brings an image to its provider; the cloud goes on with what an interrupted push has done."""

    weight: ClassVar[int] = 60

    image: ProviderImage
    cloud: Cloud[Any]
    login: Any = field(repr=False)

    @property
    def activity(self) -> str:
        return f'Pushing the image to "{self.image.target}"'

    @property
    def key(self) -> str:
        what = (self.image.id, self.image.target, self.image.provider)
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()

    def run(self, build: Build) -> None:
        assert build.source is not None  # noqa: S101 - every provider image is made from one
        self.cloud.check(self.login)
        pushed = self.cloud.push(self.image, build.source, self.login, build.report)
        _keep(pushed, build)


@dataclass(frozen=True, kw_only=True)
class Snapshot(Step):
    """Has the provider build an image by itself."""

    weight: ClassVar[int] = 60

    image: ProviderImage
    template: Template = field(repr=False)
    cloud: Snapshots[Any]
    login: Any = field(repr=False)

    @property
    def activity(self) -> str:
        return f'Building the image in "{self.image.target}"'

    @property
    def key(self) -> str:
        what = (self.image.id, self.image.target, self.image.provider)
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()

    def run(self, build: Build) -> None:
        self.cloud.check(self.login)
        pushed = self.cloud.snapshot(self.image, self.template, self.login, build.report)
        _keep(pushed, build)


def is_snapshot(image: Image) -> bool:
    """Whether the provider builds the image itself, without a target image."""
    parameters = Parameters(image.parameters or {})
    return isinstance(image, ProviderImage) and parameters.boolean("snapshot", default=False)


def _keep(pushed: Pushed, build: Build) -> None:
    keep = {"identifier": pushed.identifier, "account": pushed.account}
    write_atomically(build.scratch / _PUSHED, json.dumps(keep))


def pushed_by(build: Build) -> Pushed:
    """What the finished `Push` or `Snapshot` of a build has got from the provider."""
    return Pushed(**json.loads((build.scratch / _PUSHED).read_text()))


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Asks the plugins. Raises `RequestError` for what no plugin serves or what one refuses."""

    registry: Registry
    content: TargetContent = field(
        default_factory=TargetContent
    )  #: the operator's, for target images

    def base(self, template: Template, parameters: Parameters) -> Plan:
        """From a template to a bootable disk."""
        parameters.boolean("reuse", default=True)  # refused now if it is neither
        return self._system(template).plan_base(template, parameters)

    def packs(self, target: str) -> bool:
        """Whether images of a target may be made from target images, too."""
        clouds = self.registry.clouds
        return any(isinstance(cloud, Packer) for cloud in clouds if target in cloud.targets)

    def target(
        self,
        target: str,
        template: Template,
        parameters: Parameters,
        *,
        source: str | None = None,
        installed: bool = False,
    ) -> Plan:
        """From a base image's disk to what a cloud takes: customized where the cloud asks for it.

        From a target image of `source` where that is given: then it is only packed. A disk that an
        installer has made is taken as it is, for a direct build would make another of the template.
        """
        cloud = self.registry.cloud(target)
        if source is not None and isinstance(cloud, Packer):
            return cloud.plan_packing(source, template, parameters)
        convert = cloud.plan_target(template, parameters)
        extra = None if installed else self._customization(target, template)
        if not extra:
            return convert
        customize = self._system(template).plan_customize(template, parameters, extra)
        return (*customize, SetAside(), *convert)

    def provider(self, image: ProviderImage, credentials: Secret) -> Plan:
        """From a target image's disk to a cloud account; without one the cloud builds the image itself."""
        cloud = self.registry.cloud(image.target)
        if is_snapshot(image):
            return (self._snapshot(image, cloud, credentials),)
        return (Push(image=image, cloud=cloud, login=cloud.login(image.provider, credentials)),)

    def _snapshot(self, image: ProviderImage, cloud: Cloud[Any], credentials: Secret) -> Snapshot:
        if not isinstance(cloud, Snapshots):
            msg = f'The target "{image.target}" offers no snapshot-style builds'
            raise RequestError(msg, hint='Leave out the parameter "snapshot"')
        template, login = parse(image.template or ""), cloud.login(image.provider, credentials)
        return Snapshot(image=image, template=template, cloud=cloud, login=login)

    def _customization(self, target: str, template: Template) -> Customization:
        """What is added to the system: the operator's content, and over it the cloud's.

        Nothing to a disk that was made elsewhere, as there is nothing that it could be made of again.
        """
        if template.os.install.url == NOWHERE:
            return Customization()
        extra = self.registry.cloud(target).customization(template)
        include = self.content.include(target, template)
        if include is None:
            return extra
        return replace(
            extra,
            packages=merged(include.packages, extra.packages),
            repositories=merged(include.repositories, extra.repositories),
        )

    def _system(self, template: Template) -> System:
        return self.registry.system(template.os.name, template.os.version, template.os.arch)
