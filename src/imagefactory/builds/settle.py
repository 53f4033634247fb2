"""How the record of an image moves on: it begins, it is complete, it has failed, it is gone."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from imagefactory.builds.abilities import need_of
from imagefactory.builds.work import Job
from imagefactory.builds.workshop import Workshop
from imagefactory.core.errors import BuildError, FactoryError, RequestError
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status
from imagefactory.plugins.contract import Pushed

log = logging.getLogger(__name__)

NOT_BEGUN: Final = frozenset({Status.NEW, Status.PENDING})
UNDER_WAY: Final = NOT_BEGUN | {Status.BUILDING}  #: may still become COMPLETE


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a build has brought to light."""

    icicle: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    pushed: Pushed | None = None


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """Writes what has become of an image, and sees to the images that wait for it."""

    workshop: Workshop

    def begin(self, image_id: str) -> Image:
        """The image, BUILDING from now on."""

        def edit(image: Image) -> Image:
            return image.to(Status.BUILDING) if image.status in NOT_BEGUN else image

        return self._change(image_id, edit)

    def complete(self, image_id: str, outcome: Outcome) -> None:
        """The image is whole, unless somebody is about to delete it."""

        def edit(image: Image) -> Image:
            if image.status is not Status.BUILDING:
                return image
            done = image.to(Status.COMPLETE, activity=f"{image.title} build complete")
            properties = {**image.properties, **outcome.properties}
            done = replace(done, icicle=outcome.icicle, properties=properties)
            if isinstance(done, ProviderImage) and outcome.pushed is not None:
                return replace(
                    done,
                    identifier_on_provider=outcome.pushed.identifier,
                    provider_account_identifier=outcome.pushed.account,
                )
            return done

        self._change(image_id, edit)

    def fail(self, image_id: str, failure: FactoryError) -> None:
        """The image will not become whole. One that is settled or being deleted stays what it is."""

        def edit(image: Image) -> Image:
            if image.status not in UNDER_WAY:
                return image
            # Base images have always had a period here, and the others none.
            period = "." if isinstance(image, BaseImage) else ""
            activity = f"{image.title} build failed with exception{period}"
            return image.to(Status.FAILED, activity=activity, error=told(failure))

        self._change(image_id, edit)

    def fail_delete(self, image_id: str, failure: FactoryError) -> None:
        """The image could not be removed; its record stays."""

        def edit(image: Image) -> Image:
            if image.status is not Status.DELETING:
                return image
            activity = "Failed to delete image."
            return image.to(Status.DELETEFAILED, activity=activity, error=told(failure))

        self._change(image_id, edit)

    def release(self, image_id: str) -> None:
        """See to what waits for this image. Called when a job has let go of it; safe to call at any time.

        A job that was handed in meanwhile found the image taken and did nothing, so this looks whether
        there was one.
        """
        image = self.workshop.store.get(image_id)
        if image is None:
            return
        if image.status is Status.COMPLETE:
            for child in self.workshop.store.waiting(image_id):
                self._submit(Job.BUILD, child)
        elif image.settled:
            self.abandon(image)
        else:
            self.nudge(image)

    def nudge(self, image: Image) -> None:
        """Hand in what there is to do for an image that is not settled and has no job."""
        if image.status is Status.DELETING:
            self._submit(Job.DELETE, image)
        elif image.status in NOT_BEGUN and image.cancel_requested:
            self._submit(Job.CANCEL, image)
        elif image.status is not Status.PENDING or not self._waits(image):
            self._submit(Job.BUILD, image)

    def abandon(self, image: Image) -> None:
        """Fail all that waits for an image which will never be complete."""
        for child in self.workshop.store.waiting(image.id):
            self.fail(child.id, parent_failed(child, image))
            self.release(child.id)

    def _submit(self, job: Job, image: Image) -> None:
        self.workshop.work.submit(job, image.id, need=need_of(job, image))

    def _waits(self, image: Image) -> bool:
        """Whether what an image is made from is still being made: who does that hands this one in."""
        parent = self.workshop.store.get(image.parent_id) if image.parent_id else None
        return parent is not None and parent.status in UNDER_WAY

    def _change(self, image_id: str, edit: Callable[[Image], Image]) -> Image:
        image = self.workshop.store.change(image_id, edit)
        self.workshop.bodies.describe(image)
        told = image.error or image.activity
        log.info("%s %s is %s: %s", image.title, image_id, image.status, told)
        return image


def told(failure: FactoryError) -> str:
    """What clients are shown: the sentence, and what to do about it.

    The sentences about what was asked for are compared by programs to the letter, so they stay alone.
    """
    if failure.hint is None or isinstance(failure, RequestError):
        return failure.brief
    return f"{failure.brief}. {failure.hint}"


def parent_failed(child: Image, parent: Image) -> FactoryError:
    """Why a child of a failed image fails; programs compare this sentence, two spaces included."""
    msg = (
        f"The {parent.kind} ({parent.id}) for our {child.kind} has failed its build."
        "  Cannot continue."
    )
    return BuildError(msg)
