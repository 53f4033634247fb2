"""What can be asked of an image factory: the use cases behind the API and the command line."""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from imagefactory.builds import artifacts, requests
from imagefactory.builds.abilities import need_of
from imagefactory.builds.artifacts import Artifact
from imagefactory.builds.comparison import Comparison
from imagefactory.builds.events import LOG
from imagefactory.builds.receivers import check_receivers, with_receivers
from imagefactory.builds.settle import UNDER_WAY
from imagefactory.builds.work import Job
from imagefactory.builds.workshop import Workshop
from imagefactory.core.accounts import Account
from imagefactory.core.config import Config
from imagefactory.core.errors import Conflict, NotFound, RequestError
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.core.secret import Secret
from imagefactory.core.verdict import Verdict
from imagefactory.store.rows import Claim, Event, Family, Summary

if TYPE_CHECKING:
    from imagefactory.builds.verification import Verification

ImageT = TypeVar("ImageT", bound=Image)
Given = Mapping[str, Any] | None

_CHUNK: Final = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Factory:
    """Takes requests, records images and hands in jobs; it never waits for one.

    Every mistake that can be seen without looking at the world is a `RequestError`, and leaves no
    record. Made by `open_factory`.
    """

    workshop: Workshop
    claim: Claim | None = None  #: the idempotency key that is to stand for what is created

    # Creating

    def create_base_image(self, *, template: object, parameters: Given = None) -> BaseImage:
        """Build a base image from a template. The image is given as it was asked for: NEW."""
        document = requests.text(template, key="template")
        if document is None:
            msg = "Missing parameters"
            raise RequestError(msg)
        image = self._base(document, parameters)
        self._record(image)
        return image

    def create_target_image(
        self,
        *,
        target: object,
        base_image_id: object = None,
        template: object = None,
        parameters: Given = None,
    ) -> TargetImage:
        """Build a target image, from a base image or from a template; then its base image too."""
        document = requests.text(template, key="template")
        parent_id = requests.text(base_image_id, key="base_image_id")
        kind = requests.text(target, key="target")
        if kind is None:
            msg = "Missing value for key: 'target'"
            raise RequestError(msg)
        requests.either(document, parent_id, parent=BaseImage)
        if document is not None:
            base = self._base(document, parameters)
            image = self._target(kind, base, parameters)
            self._record(base, image)
            return image
        image = self._target(kind, self._source(kind, parent_id), parameters)
        self._record(image)
        return image

    def create_provider_image(
        self,
        *,
        provider: object,
        credentials: Secret | None,
        target: object,
        target_image_id: object = None,
        template: object = None,
        parameters: Given = None,
    ) -> ProviderImage:
        """Push a target image, or build all from a template and push that.

        The provider may be the name of an account in the configuration; then the credentials may be
        that one's. The credentials go into the vault and nowhere else.
        """
        named, kind = requests.text(provider, key="provider"), requests.text(target, key="target")
        if account := self.workshop.config.account(kind, named):
            named, credentials = account.provider, credentials or account.credentials
        where, secret, kind = requests.provider_keys(named, credentials, kind)
        document = requests.text(template, key="template")
        parent_id = requests.text(target_image_id, key="target_image_id")
        snapshot = requests.wants_snapshot(parameters, template=document)
        requests.either(document, parent_id, parent=TargetImage)
        image = ProviderImage(
            id=requests.new_id(),
            labels=self._labels(parameters),
            parameters=None if parameters is None else dict(parameters),
            provider=where,
            target=kind,
        )
        chain: list[Image] = []
        if document is None:
            parent = self._parent(parent_id, TargetImage)
        elif snapshot:
            name = requests.checked_name(document, parameters)
            return self._record_with(secret, replace(image, template=document, name=name), chain)
        else:
            base = self._base(document, parameters)
            parent = self._target(kind, base, parameters)
            chain = [base, parent]
        image = replace(
            image, template=parent.template, name=parent.name, target_image_id=parent.id
        )
        return self._record_with(secret, image, chain)

    # Looking

    def find(self, image_id: str) -> Image | None:
        """The image with this id, of any kind."""
        return self.workshop.store.get(image_id)

    def image(self, kind: type[ImageT], image_id: str) -> ImageT:
        """The image with this id; `NotFound` when there is none, or one of another kind."""
        return self.workshop.store.image(image_id, kind)

    def family(self, kind: type[Image], image_id: str) -> Family:
        """The image with this id, its parent and its children; `NotFound` as of `image`."""
        return self.workshop.store.family(image_id, kind)

    def images(
        self,
        kind: type[Image] | None = None,
        *,
        parent_id: str | None = None,
        status: Status | None = None,
        labels: Mapping[str, str] | None = None,
        limit: int | None = None,
        marker: str | None = None,
    ) -> Sequence[Summary]:
        """The images that fit all that is given, newest last."""
        return self.workshop.store.list(
            kind=kind, parent=parent_id, status=status, labels=labels, limit=limit, marker=marker
        )

    def query(self, spec: Mapping[str, Any]) -> Sequence[Image]:
        """The images whose metadata has exactly these values: the command line's fetch-spec."""
        return self.workshop.store.query(spec, storage=self.workshop.bodies.folder)

    def events(
        self, *, after: int = 0, image_id: str | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """What has happened since the event `after`, oldest first."""
        return self.workshop.store.events(after=after, image=image_id, limit=limit)

    def body(self, image_id: str) -> Path:
        """Where the body of an image is or will be, if it is a file; a provider image has none."""
        return self.workshop.bodies.path(image_id)

    def body_size(self, image_id: str) -> int | None:
        """The bytes that the body of an image has; None without one."""
        return self.workshop.bodies.size(image_id)

    def open_body(self, image_id: str) -> BinaryIO:
        """The body of an image, to read from any place; `NotFound` without one."""
        return self.workshop.bodies.open_body(image_id)

    def log_file(self, image_id: str) -> Path:
        """The log of an image; the file is there as soon as its build has begun."""
        self.workshop.store.image(image_id)
        return self.workshop.config.artifacts / image_id / LOG

    def log(self, image_id: str, *, offset: int = 0) -> bytes:
        """The log of an image from this byte on; nothing before its build has begun."""
        file = self.log_file(image_id)
        if not file.is_file():
            return b""
        with file.open("rb") as log:
            log.seek(offset)
            return log.read()

    def artifacts(self, image_id: str) -> Sequence[Artifact]:
        """The files beside the body of an image, by name."""
        return artifacts.listed(self.log_file(image_id).parent)

    @contextmanager
    def artifact(self, image_id: str, name: str) -> Iterator[Iterator[bytes]]:
        """The content of one of these files; `NotFound` when there is none of this name."""
        for artifact in self.artifacts(image_id):
            if artifact.name == name:
                with Path(artifact.location).open("rb") as file:
                    yield iter(lambda: file.read(_CHUNK), b"")
                return
        msg = f"No artifact found with name: {name}"
        raise NotFound(msg)

    def diff(self, image_id: str, other_id: str) -> Mapping[str, Any]:
        """How the second image differs from the first: size, kernel arguments, packages and files."""
        store, artifacts = self.workshop.store, self.workshop.config.artifacts
        old, new = store.image(image_id), store.image(other_id)
        return Comparison(store=store, artifacts=artifacts)(old, new)

    def verify(self, image_id: str) -> Verdict:
        """Whether an image is still what its build has recorded; reads the whole body."""
        return self._verification().image(image_id)

    def verify_file(self, sha256: str) -> Verdict:
        """The same for a body somewhere else, by its digest; `NotFound` when it is that of no image."""
        return self._verification().file(sha256)

    def _verification(self) -> "Verification":
        from imagefactory.builds.verification import Verification  # noqa: PLC0415 - loads the engine

        return Verification(workshop=self.workshop)

    def plugins(self) -> Sequence[Mapping[str, Any]]:
        """What all plugins say of themselves, those that cannot be used included."""
        return self.workshop.planner.registry.infos()

    def plugin(self, plugin_id: str) -> Mapping[str, Any]:
        """What one plugin says of itself."""
        for info in self.plugins():
            if info["id"] == plugin_id:
                return info
        msg = f"No plugin found with id: {plugin_id}"
        raise NotFound(msg)

    # Ending

    def cancel(self, image_id: str) -> None:
        """Stop the build of an image, which becomes FAILED. `Conflict` when it is settled."""
        self.workshop.store.request_cancel(image_id)
        self.workshop.work.submit(Job.CANCEL, image_id)

    def retry(self, image_id: str) -> Image:
        """Build a FAILED image again, from the last step on that the first attempt has finished.

        All is done again when what it was made from may have changed since: packages could not be
        fetched or resolved, or the attempt is too long ago. Then the caches spare most of it.
        """

        def edit(image: Image) -> Image:
            if image.status is not Status.FAILED:
                msg = f'The {image.title} "{image.id}" is {image.status}, not FAILED'
                raise Conflict(msg, hint="Only a failed image can be retried")
            return image.to(Status.PENDING, activity="Waiting to be built again")

        image = self.workshop.store.change(image_id, edit)
        self.workshop.bodies.describe(image)
        self._submit(Job.BUILD, image)
        return image

    def delete(
        self,
        image_id: str,
        *,
        credentials: Secret | None = None,
        provider: object = None,
        forget: bool = False,
        callbacks: object = None,
    ) -> None:
        """Remove an image, here and on its provider; one that is being built is cancelled first.

        Those whom the `callbacks` name are told of it, beside those whom the image's request named.

        A provider image needs credentials, unless they are kept or those of a configured account, or
        `forget` asks for nothing but the removal of the record.
        """
        where = requests.text(provider, key="provider")
        told = {"callbacks": callbacks}
        check_receivers(told, allowed=self.workshop.callback_networks)
        image = self.workshop.store.image(image_id)
        if account := self._account_of(image, where):
            where, credentials = account.provider, credentials or account.credentials
        pushed = isinstance(image, ProviderImage) and image.identifier_on_provider is not None
        if pushed and not forget and credentials is None and not _has_credentials(image):
            msg = "Missing required values: credentials, provider, target"
            raise RequestError(msg)
        given = None if credentials is None or forget else self.workshop.vault.put(credentials)
        old = image.credentials_ref if isinstance(image, ProviderImage) else None

        def edit(image: Image) -> Image:
            if isinstance(image, ProviderImage):
                ref = None if forget else given or image.credentials_ref
                image = replace(image, credentials_ref=ref, provider=where or image.provider)
            image = with_receivers(image, told)
            return image if image.status is Status.DELETING else image.to(Status.DELETING)

        self.workshop.store.change(image_id, edit)
        if old is not None and (forget or given is not None):
            self.workshop.vault.remove(old)
        self._submit(Job.DELETE, image)

    def _submit(self, job: Job, image: Image) -> None:
        self.workshop.work.submit(job, image.id, need=need_of(job, image))

    def _base(self, document: str, parameters: Given) -> BaseImage:
        image = BaseImage(
            id=requests.new_id(),
            template=document,
            name=requests.checked_name(document, parameters),
            labels=self._labels(parameters),
            parameters=dict(parameters or {}),
        )
        requests.check_plan(self.workshop.planner, image)
        return image

    def _target(self, target: str, base: BaseImage | TargetImage, parameters: Given) -> TargetImage:
        image = TargetImage(
            id=requests.new_id(),
            template=base.template,
            name=base.name,
            labels=self._labels(parameters),
            parameters=dict(parameters or {}),
            target=target,
            base_image_id=base.id,
        )
        source = base.target if isinstance(base, TargetImage) else None
        requests.check_plan(self.workshop.planner, image, source=source)
        return image

    def _labels(self, parameters: Given) -> Mapping[str, str]:
        """The labels in a request for an image, whose receivers of callbacks are looked at too."""
        check_receivers(parameters, allowed=self.workshop.callback_networks)
        return requests.labels(parameters)

    def _source(self, target: str, image_id: str | None) -> BaseImage | TargetImage:
        """What a target image is made from: a base image, or a target image where that is packed."""
        found = self.find(image_id or "") if self.workshop.planner.packs(target) else None
        return found if isinstance(found, TargetImage) else self._parent(image_id, BaseImage)

    def _parent(self, image_id: str | None, kind: type[ImageT]) -> ImageT:
        return self.workshop.store.image(image_id or "", kind)

    def _record_with(
        self, credentials: Secret, image: ProviderImage, chain: Sequence[Image]
    ) -> ProviderImage:
        """Record a provider image whose credentials the plugin accepts, and keep those."""
        requests.check_login(self.workshop.planner, image, credentials)
        image = replace(image, credentials_ref=self.workshop.vault.put(credentials))
        self._record(*chain, image)
        return image

    def _record(self, first: Image, *rest: Image) -> None:
        """Record a chain of images in one go, each made from the one before, and begin with the first."""
        waits = self._is_under_way(first.parent_id)
        rows = [first.to(Status.PENDING) if waits else first]
        rows += [image.to(Status.PENDING) for image in rest]
        self.workshop.store.add(*rows, claim=self.claim)
        for image in rows:
            self.workshop.bodies.describe(image)
        # Who settles the parent hands its children in; he may have looked before ours was there.
        if not waits or not self._is_under_way(first.parent_id):
            self._submit(Job.BUILD, first)

    def _account_of(self, image: Image, named: str | None) -> Account | None:
        """The configured account that is meant, or else the one that the image lies in."""
        if not isinstance(image, ProviderImage):
            return None
        config = self.workshop.config
        if named is not None or image.credentials_ref is not None:
            return config.account(image.target, named)
        # An image of an original store does not know its target; its provider is the account's name.
        fitting = (
            account
            for name, account in config.providers.items()
            if image.provider in {name, account.provider} and image.target in {"", account.target}
        )
        return next(fitting, None)

    def _is_under_way(self, image_id: str | None) -> bool:
        image = self.workshop.store.get(image_id) if image_id else None
        return image is not None and image.status in UNDER_WAY


def _has_credentials(image: Image) -> bool:
    return isinstance(image, ProviderImage) and image.credentials_ref is not None


@contextmanager
def open_factory(
    config: Config, *, in_process: bool = False, stocked: bool = True
) -> Iterator[Factory]:
    """A factory while the block runs; `ConfigError` or `StoreError` when it cannot work.

    With `in_process` this process does the jobs itself, with no other worker around; what is not done at
    the end of the block is cancelled. Without `stocked`, see `Workshop.open`.
    """
    executor = f"cli-{os.getpid()}-{uuid.uuid4().hex[:8]}" if in_process else None
    with ExitStack() as stack:
        workshop = stack.enter_context(Workshop.open(config, private_to=executor, stocked=stocked))
        if executor is not None:
            from imagefactory.builds.worker import working_here  # noqa: PLC0415 - loads the engine

            stack.enter_context(working_here(workshop, executor))
        yield Factory(workshop=workshop)
