"""What can be asked of a build that is going on or has failed: to stop, or to try again."""

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request, Response

from imagefactory.core.images import Image
from imagefactory.web import views
from imagefactory.web.negotiation import Negotiated
from imagefactory.web.site import Here, Site


@dataclass(frozen=True, kw_only=True)
class Control:
    """The endpoints below an image of one kind."""

    kind: type[Image]

    def cancel(self, site: Here, request: Request, answer: Negotiated, image_id: str) -> Response:
        """Stops a build; the image becomes FAILED as soon as all its processes are gone."""
        site.factory.image(self.kind, image_id)
        site.factory.cancel(image_id)
        return self._shown(site, request, answer, image_id)

    def retry(self, site: Here, request: Request, answer: Negotiated, image_id: str) -> Response:
        """Builds a FAILED image again; what its first attempt has finished is not done again."""
        site.factory.image(self.kind, image_id)
        site.factory.retry(image_id)
        return self._shown(site, request, answer, image_id)

    def _shown(self, site: Site, request: Request, answer: Negotiated, image_id: str) -> Response:
        image = site.factory.image(self.kind, image_id)
        collection = f"{site.root(request)}/{image.noun}s"
        return answer(views.created(image, collection), HTTPStatus.ACCEPTED)
