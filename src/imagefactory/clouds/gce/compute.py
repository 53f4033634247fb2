"""Images of a project, by the REST API of Google Compute Engine."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx2

from imagefactory.clouds.gce.login import GceLogin
from imagefactory.clouds.gce.storage import TOKEN
from imagefactory.core.errors import CloudError
from imagefactory.plugins.rest import AccessToken, Rest, content

_FEATURES: Final = ("UEFI_COMPATIBLE", "GVNIC", "VIRTIO_SCSI_MULTIQUEUE")
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


@dataclass(frozen=True, kw_only=True)
class Compute:
    """The images of one project."""

    rest: Rest
    login: GceLogin
    authorize: AccessToken

    def check(self) -> None:
        """Ask for any one image, which needs all that a push needs but the right to write, and for room."""
        content(self._ask("GET", self._images, params={"maxResults": "1"}))
        project = f"{self.login.compute_endpoint}/projects/{self.login.project}"
        answer = self._ask("GET", project, expect=(200, _FORBIDDEN))  # few may see it
        quotas = () if answer.status_code == _FORBIDDEN else content(answer).get("quotas", ())
        for quota in quotas:
            if quota.get("metric") == "IMAGES" and quota["usage"] >= quota["limit"]:
                msg = (
                    f'The project "{self.login.project}" has as many images as Google lets it have'
                )
                raise CloudError(msg, hint=f"Delete some of the {quota['usage']:g}")

    def having(self, token: str) -> Iterator[Mapping[str, Any]]:
        """The images with this token, in whatever state."""
        words: dict[str, str] = {"filter": f'labels.{TOKEN}="{token}"'}
        while True:
            page = content(self._ask("GET", self._images, params=words))
            yield from (i for i in page.get("items", ()) if _token(i) == token)
            if not page.get("nextPageToken"):
                return
            words["pageToken"] = page["nextPageToken"]

    def show(self, identifier: str, *, fresh: bool = False) -> Mapping[str, Any] | None:
        """An image by its id or name; None when it is not there."""
        answer = self._ask("GET", self._image(identifier), expect=(200, _NOT_FOUND), fresh=fresh)
        return None if answer.status_code == _NOT_FOUND else content(answer)

    def insert(
        self,
        name: str,
        *,
        token: str,
        source: str,
        family: str | None,
        description: str,
        replace: bool,
        architecture: str | None = None,
    ) -> None:
        """Make an image of an object, and wait until it is made.

        `replace` removes another image of that name first, as late as can be.
        """
        other = self.show(name)
        if replace and other is not None and _token(other) != token:
            self.delete(name)
        body: dict[str, Any] = {
            "name": name,
            "description": description,
            "labels": {**self.login.labels, TOKEN: token},
            "guestOsFeatures": [{"type": feature} for feature in _FEATURES],
            "rawDisk": {"source": source, "containerType": "TAR"},
            **({"architecture": architecture} if architecture else {}),
            **({"family": family} if family else {}),
            **({"storageLocations": [self.login.location]} if self.login.location else {}),
        }
        # By its id a request that is repeated is known to be the same ("Preventing duplicate requests").
        answer = self._ask("POST", self._images, params={"requestId": str(uuid4())}, json=body)
        self._finish(content(answer))

    def delete(self, identifier: str) -> None:
        """Remove an image, and wait until it is gone; one that is gone is as good."""
        words = {"requestId": str(uuid4())}
        answer = self._ask(
            "DELETE", self._image(identifier), params=words, expect=(200, _NOT_FOUND)
        )
        if answer.status_code != _NOT_FOUND:
            self._finish(content(answer))

    def settled(self, image: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """An image of which it is decided whether it is `READY` or `FAILED`; none when it went away."""

        def look() -> list[Mapping[str, Any]] | None:
            found = self.show(str(image["id"]))
            if found is None:
                return []
            return None if found["status"] == "PENDING" else [found]

        return self.rest.settle(look)

    def _finish(self, operation: Mapping[str, Any]) -> None:
        url = f"{self._project}/operations/{quote(str(operation.get('name')), safe='')}"

        def look() -> Mapping[str, Any] | None:
            found = content(self._ask("GET", url, fresh=True))
            return found if found.get("status") == "DONE" else None

        for error in self.rest.settle(look).get("error", {}).get("errors", ()):
            msg = (
                f"Google could not make or remove the image: {error.get('message', '').rstrip('.')}"
            )
            raise CloudError(msg)

    @property
    def _project(self) -> str:
        return f"{self.login.compute_endpoint}/projects/{quote(self.login.project)}/global"

    @property
    def _images(self) -> str:
        return f"{self._project}/images"

    def _image(self, identifier: str) -> str:
        return f"{self._images}/{quote(identifier, safe='')}"

    def _ask(self, method: str, url: str, **words: Any) -> httpx2.Response:
        return self.rest.ask(method, url, authorize=self.authorize, **words)


def image_name(name: str | None, token: str) -> str:
    """A name as RFC 1035 wants it, with room for the token."""
    stem = _UNSAFE.sub("-", (name or "").lower()).strip("-")[:26].strip("-")
    return f"{stem if stem[:1].isalpha() else 'image'}-{token}"


def _token(image: Mapping[str, Any]) -> str | None:
    return (image.get("labels") or {}).get(TOKEN)
