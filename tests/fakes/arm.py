"""Azure Resource Manager and its login, as far as a push asks them: no server of it exists to be run.

Written from the REST API reference of Microsoft.Compute; it refuses what Azure would refuse.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from fakes.services import Answer, Asked, serving

TENANT: Final = "11111111-2222-3333-4444-555555555555"
CLIENT: Final = "factory"
SECRET: Final = "client-secret/with+signs"
_TOKEN: Final = "token-of-the-fake"
_COMPUTE: Final = "/subscriptions/sub1/resourceGroups/web/providers/Microsoft.Compute"
IMAGES: Final = f"{_COMPUTE}/images"
VERSIONS: Final = f"{_COMPUTE}/galleries/factory/images/debian/versions"
ACCOUNT: Final = (
    "/subscriptions/sub1/resourceGroups/web/providers/Microsoft.Storage/storageAccounts/"
)
_PATHS: Final = re.compile(f"({IMAGES}|{VERSIONS})(?:/([^/]+))?")
_API: Final = {IMAGES: "2024-07-01", VERSIONS: "2024-03-03"}
_FOOTER: Final = 512  # bytes of a fixed VHD behind the disk


@dataclass
class FakeArm:
    """What Azure holds, by resource id."""

    read: Callable[[str], bytes]  #: the content of the blob at an address
    url: str = ""
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)  #: the disks of the images
    fail_next: bool = False  #: the next image comes to nothing

    def answer(self, asked: Asked) -> Answer:
        if asked.path.endswith("/oauth2/v2.0/token"):
            return self._login(asked)
        if asked.headers.get("authorization") != f"Bearer {_TOKEN}":
            return _error(401, "AuthenticationFailed", "The access token is missing or invalid.")
        found = _PATHS.fullmatch(asked.path)
        if found is None:
            return _error(404, "ResourceGroupNotFound", "The resource could not be found.")
        collection, name = found[1], found[2]
        if asked.query.get("api-version") != _API[collection]:
            return _error(400, "MissingApiVersionParameter", "The api-version is missing.")
        return self._carry_out(asked, collection, name)

    def _carry_out(self, asked: Asked, collection: str, name: str | None) -> Answer:
        match asked.method, name:
            case "GET", None:
                return self._list(collection, asked)
            case "GET", _:
                return self._show(asked.path)
            case "PUT", str():
                return self._put(asked, collection, name)
            case "DELETE", str():
                return self._delete(asked.path)
        return _error(405, "MethodNotAllowed", "This cannot be done.")

    def _login(self, asked: Asked) -> Answer:
        form = asked.form()
        assert asked.path == f"/{TENANT}/oauth2/v2.0/token", asked.path
        assert form["grant_type"] == "client_credentials"
        assert form["scope"].endswith("/.default")
        if (form["client_id"], form["client_secret"]) != (CLIENT, SECRET):
            words = f"AADSTS7000215: Invalid client secret provided: {form['client_secret']}"
            return Answer(
                status=401, content={"error": "invalid_client", "error_description": words}
            )
        token = {"token_type": "Bearer", "expires_in": 3599, "access_token": _TOKEN}
        return Answer(content=token)

    def _list(self, collection: str, asked: Asked) -> Answer:
        """One image a page, so that the links are followed."""
        found = [image for path, image in self.images.items() if path.startswith(collection)]
        start = int(asked.query.get("$skiptoken", 0))
        page: dict[str, Any] = {"value": found[start : start + 1]}
        if start + 1 < len(found):
            words = f"api-version={_API[collection]}&$skiptoken={start + 1}"
            page["nextLink"] = f"http://{asked.host}{collection}?{words}"
        return Answer(content=page)

    def _show(self, path: str) -> Answer:
        """An image; what is being made is made when it has been looked at once."""
        image = self.images.get(path)
        if image is None:
            return _error(404, "ResourceNotFound", "The Resource was not found.")
        shown = {**image, "properties": {**image["properties"]}}
        if image["properties"]["provisioningState"] == "Creating":
            state = "Failed" if self.fail_next else "Succeeded"
            self.fail_next = False
            image["properties"]["provisioningState"] = state
        return Answer(content=shown)

    def _put(self, asked: Asked, collection: str, name: str) -> Answer:
        body = asked.json()
        if body["location"] != "westeurope":
            return _error(400, "LocationNotAvailableForResourceType", "No such location.")
        given = body["properties"]
        if collection == IMAGES:
            assert re.fullmatch(r"[A-Za-z0-9][\w.-]{0,78}\w", name), name
            assert given["hyperVGeneration"] in {"V1", "V2"}
            disk = given["storageProfile"]["osDisk"]
            assert (disk["osType"], disk["osState"]) == ("Linux", "Generalized")
            address = disk["blobUri"]
        else:
            assert re.fullmatch(r"\d+\.\d+\.\d+", name), name
            assert all(int(part) < 1 << 31 for part in name.split("."))
            assert given["publishingProfile"]["targetRegions"][0]["name"] == "westeurope"
            source = given["storageProfile"]["osDiskImage"]["source"]
            assert source["storageAccountId"].startswith(ACCOUNT)
            address = source["uri"]
        vhd = self.read(address)
        disk_size = len(vhd) - _FOOTER
        if vhd[-_FOOTER:][:8] != b"conectix" or disk_size % (1 << 20):
            return _error(400, "InvalidVhd", "The VHD is not fixed, or not a multiple of 1 MiB.")
        created = asked.path not in self.images
        properties = {**given, "provisioningState": "Creating"}
        self.images[asked.path] = {**body, "id": asked.path, "name": name, "properties": properties}
        self.contents[asked.path] = vhd
        return Answer(status=201 if created else 200, content=self.images[asked.path])

    def _delete(self, path: str) -> Answer:
        if self.images.pop(path, None) is None:
            return Answer(status=204)
        self.contents.pop(path)
        return Answer(status=202, headers={"Location": f"{self.url}{path}/operation"})


@contextmanager
def resource_manager(read: Callable[[str], bytes]) -> Iterator[FakeArm]:
    """An empty resource group."""
    arm = FakeArm(read=read)
    with serving(arm.answer) as url:
        arm.url = url
        yield arm


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status=status, content={"error": {"code": code, "message": message}})
