"""Managed images and gallery versions, by the REST API of Azure Resource Manager."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from imagefactory.clouds.azure.login import AzureLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.plugins.rest import Rest, content

TOKEN: Final = "imagefactory_token"  # noqa: S105 - the tag that holds a push's token
_IMAGES: Final = {"api-version": "2024-07-01"}
_GALLERIES: Final = {"api-version": "2024-03-03"}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_FOUND: Final = 404


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The images of one resource group, or the versions of one image of a gallery."""

    rest: Rest
    login: AzureLogin
    authorize: Callable[[httpx2.Request], None]

    @property
    def collection(self) -> str:
        """The resource id below which images lie."""
        login = self.login
        compute = (
            f"/subscriptions/{login.subscription}/resourceGroups/{login.group}"
            "/providers/Microsoft.Compute"
        )
        if login.gallery is None:
            return f"{compute}/images"
        return f"{compute}/galleries/{login.gallery.name}/images/{login.gallery.image}/versions"

    def check(self) -> None:
        """Ask for the first images, which needs all that a push needs but the right to write."""
        url = f"{self.login.management_endpoint}{self.collection}"
        content(self._ask("GET", url, params=self._version))

    def having(self, token: str) -> Iterator[Mapping[str, Any]]:
        """The images with this token, in whatever state."""
        url: str | None = f"{self.login.management_endpoint}{self.collection}"
        params: Mapping[str, str] | None = self._version
        while url:
            page = content(self._ask("GET", url, params=params))
            yield from (i for i in page.get("value", ()) if i.get("tags", {}).get(TOKEN) == token)
            url, params = page.get("nextLink"), None  # the link has them

    def create(self, image: ProviderImage, blob: str) -> str:
        """Make an image of a blob, wait until it is usable; its id."""
        identifier = f"{self.collection}/{self._name(image)}"
        body = {
            "location": self.login.location,
            "tags": {TOKEN: image.id, "name": image.name or ""},
            "properties": self._properties(blob),
        }
        self._ask("PUT", self._url(identifier), params=self._version, json=body)
        if (state := self.rest.settle(lambda: self._made(identifier))) != "Succeeded":
            msg = f'Azure could not make the image "{identifier}": {state}'
            raise CloudError(msg, hint="Look at the activity log of the resource group")
        return identifier

    def show(self, identifier: str) -> Mapping[str, Any] | None:
        """An image; None when it is not there."""
        answer = self._ask(
            "GET", self._url(identifier), params=self._version, expect=(200, _NOT_FOUND)
        )
        return None if answer.status_code == _NOT_FOUND else content(answer)

    def delete(self, identifier: str) -> None:
        """Remove an image, and wait until it is gone."""
        url = self._url(identifier)
        self._ask("DELETE", url, params=self._version, expect=(200, 202, 204, _NOT_FOUND))
        self.rest.settle(lambda: self.show(identifier) is None or None)

    def _made(self, identifier: str) -> str | None:
        """The state in which an image stays; None as long as Azure is making it."""
        url = self._url(identifier)
        state = state_of(content(self._ask("GET", url, params=self._version, fresh=True)))
        return state if state in {"Succeeded", "Failed", "Canceled"} else None

    def _properties(self, blob: str) -> Mapping[str, Any]:
        login = self.login
        if login.gallery is None:
            disk = {"osType": "Linux", "osState": "Generalized", "blobUri": blob}
            return {
                "hyperVGeneration": login.generation,
                "storageProfile": {"osDisk": {**disk, "caching": "ReadWrite"}},
            }
        account = (
            f"/subscriptions/{login.subscription}/resourceGroups/{login.group}"
            f"/providers/Microsoft.Storage/storageAccounts/{login.account}"
        )
        source = {"storageAccountId": account, "uri": blob}
        regions = [{"name": login.location, "regionalReplicaCount": 1}]
        return {
            "publishingProfile": {"targetRegions": regions},
            "storageProfile": {"osDiskImage": {"source": source}},
        }

    def _name(self, image: ProviderImage) -> str:
        """Versions are three numbers: the moment when the image was asked for, which stays the same."""
        if self.login.gallery is None:
            stem = _UNSAFE.sub("-", image.name or "").strip("-._")[:40] or "image"
            return f"{stem}-{image.id}"
        at = image.created
        thousandths = ((at.hour * 60 + at.minute) * 60 + at.second) * 1000 + at.microsecond // 1000
        return f"{at.year}.{at.month}{at.day:02d}.{thousandths}"

    @property
    def _version(self) -> Mapping[str, str]:
        return _IMAGES if self.login.gallery is None else _GALLERIES

    def _url(self, identifier: str) -> str:
        if not identifier.startswith(f"{self.collection}/"):
            msg = f'The image "{identifier}" does not lie where the provider says'
            raise CloudError(msg)
        return f"{self.login.management_endpoint}{identifier}"

    def _ask(self, method: str, url: str, **words: Any) -> httpx2.Response:
        return self.rest.ask(method, url, authorize=self.authorize, **words)


def state_of(image: Mapping[str, Any]) -> str:
    """`Succeeded`, `Failed`, or what Azure is doing."""
    return str(image.get("properties", {}).get("provisioningState", ""))
