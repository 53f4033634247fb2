"""Google Compute Engine's images and Google's login, as far as a push asks them: no server of it exists.

Written from the REST reference of `images` and `globalOperations`; it refuses what Google would refuse.
"""

import base64
import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fakes.services import Answer, Asked, serving

PROJECT: Final = "web-project"
EMAIL: Final = "factory@web-project.example"
_TOKEN: Final = "token-of-the-fake"
_GLOBAL: Final = f"/compute/v1/projects/{PROJECT}/global"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL: Final = re.compile(r"[a-z0-9_-]{0,63}")


def new_key() -> rsa.RSAPrivateKey:
    """A service account's key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    """A key as Google hands it out."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class FakeGce:
    """What a project holds, by the images' names."""

    key: rsa.RSAPrivateKey
    read: Callable[[str], bytes | None]  #: the object at an address
    url: str = ""
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)  #: what images were made of, by id
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)  #: operations by the id of the request
    fail_next: bool = False  #: the next image comes to nothing
    limit: int = 2000  #: images that the project may have
    shows_quotas: bool = True  #: whether the service account may see the project
    numbers: Iterator[int] = field(default_factory=lambda: count(4711))

    def credentials(self, **changed: str) -> dict[str, str]:
        """A service account's key file."""
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "k1",
            "private_key": pem(self.key),
            "client_email": EMAIL,
            "token_uri": f"{self.url}/token",
            **changed,
        }

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            return self._login(asked)
        if asked.headers.get("authorization") != f"Bearer {_TOKEN}":
            return _error(401, "Request had invalid authentication credentials.")
        if asked.path == _GLOBAL.removesuffix("/global"):
            return self._project()
        kind, _, name = asked.path.removeprefix(_GLOBAL + "/").partition("/")
        match asked.method, kind, name:
            case "GET", "images", _:
                return self._show(name) if name else self._list(asked)
            case "POST", "images", "":
                return self._once(asked, lambda: self._insert(asked))
            case "DELETE", "images", _:
                return self._once(asked, lambda: self._delete(name))
            case "GET", "operations", _:
                return self._operation(name)
        return _error(404, f"The resource {asked.path} was not found.")

    def _project(self) -> Answer:
        if not self.shows_quotas:
            return _error(403, "Required 'compute.projects.get' permission.")
        quota = {"metric": "IMAGES", "limit": float(self.limit), "usage": len(self.images)}
        return Answer(content={"quotas": [{"metric": "CPUS", "limit": 1.0, "usage": 1.0}, quota]})

    def _login(self, asked: Asked) -> Answer:
        form = asked.form()
        assert form["grant_type"] == _GRANT
        text, _, signature = form["assertion"].rpartition(".")
        header, claims = (json.loads(_decoded(part)) for part in text.split("."))
        assert header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        assert claims["iss"] == EMAIL
        assert claims["aud"].endswith("/token")
        assert "/auth/compute" in claims["scope"]
        assert claims["exp"] - claims["iat"] == 3600
        try:
            self.key.public_key().verify(
                _decoded(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            words = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return Answer(status=400, content=words)
        return Answer(content={"access_token": _TOKEN, "expires_in": 3599, "token_type": "Bearer"})

    def _list(self, asked: Asked) -> Answer:
        """One image a page, so that the marks are followed."""
        found = list(self.images.values())
        if words := asked.query.get("filter"):
            wanted = re.fullmatch(r'labels\.([a-z-]+)="([a-z0-9-]+)"', words)
            assert wanted
            found = [image for image in found if image["labels"].get(wanted[1]) == wanted[2]]
        start = int(asked.query.get("pageToken", 0))
        page: dict[str, Any] = {"items": found[start : start + 1]} if found else {}
        if start + 1 < len(found):
            page["nextPageToken"] = str(start + 1)
        return Answer(content=page)

    def _show(self, name: str) -> Answer:
        """An image; one that is being made is made when it has been looked at once."""
        image = self._image(name)
        if image is None:
            return _error(404, "The image was not found.")
        shown = dict(image)
        for operation in self.operations.values():
            if operation.get("targetName") == image["name"]:
                self._end(operation)
        return Answer(content=shown)

    def _image(self, name: str) -> dict[str, Any] | None:
        return next((i for i in self.images.values() if name in {i["id"], i["name"]}), None)

    def _once(self, asked: Asked, change: Callable[[], Answer]) -> Answer:
        """A request that has been seen already is not carried out again."""
        key = asked.query["requestId"]
        if key in self.requests:
            return Answer(content=self.operations[self.requests[key]])
        answer = change()
        if answer.status == 200 and answer.content is not None:
            self.requests[key] = answer.content["name"]
        return answer

    def _insert(self, asked: Asked) -> Answer:
        body = asked.json()
        name = body["name"]
        if name in self.images:
            return _error(409, f"The resource '{name}' already exists.")
        assert _NAME.fullmatch(name), name
        assert all(_LABEL.fullmatch(v) for pair in body["labels"].items() for v in pair)
        features = {feature["type"] for feature in body["guestOsFeatures"]}
        assert features == {"UEFI_COMPATIBLE", "GVNIC", "VIRTIO_SCSI_MULTIQUEUE"}
        assert body["rawDisk"]["containerType"] == "TAR"
        archive = self.read(body["rawDisk"]["source"])
        fault = "The object was not found." if archive is None else fault_of(archive)
        if fault is None and self.fail_next:
            fault, self.fail_next = "An internal error occurred.", False
        image = {**body, "id": str(next(self.numbers)), "status": "PENDING"}
        self.images[name] = image
        self.contents[image["id"]] = archive or b""
        return self._begin(name, fault)

    def _delete(self, name: str) -> Answer:
        image = self._image(name)
        if image is None:
            return _error(404, "The image was not found.")
        del self.images[image["name"]]
        self.contents.pop(image["id"])
        return self._begin(None, None)

    def _begin(self, name: str | None, fault: str | None) -> Answer:
        operation: dict[str, Any] = {"name": f"operation-{next(self.numbers)}", "status": "RUNNING"}
        self.operations[operation["name"]] = operation
        shown = Answer(content=dict(operation))
        if name is not None:
            operation["targetName"] = name
        if fault is not None:
            operation["error"] = {"errors": [{"code": "INVALID", "message": fault}]}
        return shown

    def _operation(self, name: str) -> Answer:
        """An operation; it ends when it has been looked at once."""
        operation = self.operations.get(name)
        if operation is None:
            return _error(404, "The operation was not found.")
        if operation["status"] == "DONE":
            return Answer(content=operation)
        shown = {key: value for key, value in operation.items() if key != "error"}
        self._end(operation)
        return Answer(content=shown)

    def _end(self, operation: dict[str, Any]) -> None:
        operation["status"] = "DONE"
        image = self.images.get(operation.get("targetName", ""))
        if image is not None and image["status"] == "PENDING":
            image["status"] = "FAILED" if "error" in operation else "READY"


def fault_of(archive: bytes) -> str | None:
    """What Google would say against the source of an image ("Create a custom image", requirements)."""
    try:
        with gzip.open(io.BytesIO(archive)) as file, tarfile.open(fileobj=file) as members:
            first = members.next()
    except (OSError, EOFError, tarfile.TarError):
        return "The tar archive is not a valid image."
    if first is None or first.name != "disk.raw" or first.size % (1 << 30):
        return "The tar archive does not hold a disk.raw of whole GiB."
    return None


@contextmanager
def compute_engine(
    read: Callable[[str], bytes | None], key: rsa.RSAPrivateKey
) -> Iterator[FakeGce]:
    """An empty project."""
    gce = FakeGce(key=key, read=read)
    with serving(gce.answer) as url:
        gce.url = url
        yield gce


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _error(status: int, message: str) -> Answer:
    return Answer(status=status, content={"error": {"code": status, "message": message}})
