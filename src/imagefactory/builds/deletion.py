"""Removes one image: on its provider, its files, and last its record."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from imagefactory.builds.events import LOG
from imagefactory.builds.scratch import Scratch
from imagefactory.builds.workshop import Workshop
from imagefactory.core.images import Image, ProviderImage


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """One attempt to remove an image that is DELETING; safe to run again after a crash."""

    workshop: Workshop
    scratch: Scratch
    artifacts: Path

    def run(self, image: Image) -> None:
        """Remove all of it. `CloudError` when the provider refuses; the files are there then."""
        if isinstance(image, ProviderImage):
            self._remove_from_provider(image)
        self.scratch.clear()
        self.workshop.bodies.remove(image.id)
        shutil.rmtree(self.artifacts, ignore_errors=True)
        self.workshop.store.delete(image.id)

    def _remove_from_provider(self, image: ProviderImage) -> None:
        # Without a log no push has ever begun; without credentials somebody wants the record gone only.
        if image.credentials_ref is None or not (self.artifacts / LOG).exists():
            return
        cloud = self.workshop.planner.registry.cloud(image.target)
        login = cloud.login(image.provider, self.workshop.vault.get(image.credentials_ref))
        identifier = image.identifier_on_provider
        if identifier is None:
            # An interrupted or failed push may have left a whole image that nobody has heard of.
            found = cloud.find(image.id, login)
            identifier = found.identifier if found else None
        if identifier is not None:
            cloud.delete(identifier, login)
