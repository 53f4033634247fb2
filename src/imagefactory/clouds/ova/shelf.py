"""A folder of OVAs and boxes: files that are whole, and for boxes the catalogue that Vagrant reads."""

import glob
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Report
from imagefactory.plugins import folders
from imagefactory.plugins.contract import Pushed
from imagefactory.plugins.folders import Folder
from imagefactory.plugins.texts import Fields

_KEYS: Final = frozenset({"name", "box", "version", "url"})


@dataclass(frozen=True, kw_only=True)
class ShelfLogin:
    """Which folder, and what Vagrant is told of a box."""

    folder: Folder
    box: str | None = None  #: the box's name, such as `acme/web-server`; else the template's
    version: str | None = None  #: else the next free one
    url: str | None = None  #: under which clients see the folder; else its path


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What is done in a folder with files of one kind."""

    suffix: str  #: of the files, e.g. `.box`
    provider: str | None = None  #: Vagrant's, of the boxes; None keeps no catalogue

    def login(self, config: Config, provider: str) -> ShelfLogin:
        """A folder's name, or JSON or XML with these keys."""
        text = provider.strip()
        given: dict[str, Any] = {"name": text}
        if text.startswith(("{", "<")):
            given = dict(Fields.read(text, what="provider").given)
        known = _KEYS if self.provider else {"name"}
        fields = Fields(what="provider", given=given).only(known)
        version = fields.text("version")
        if version is not None and not all(part.isdecimal() for part in version.split(".")):
            msg = f'The key "version" of the provider is "{version}", which is not a version'
            raise RequestError(msg, hint="Such as 1.0.0")
        return ShelfLogin(
            folder=folders.find(config, fields.require("name"), default="local"),
            box=fields.text("box"),
            version=version,
            url=fields.text("url"),
        )

    def push(self, image: ProviderImage, disk: Path, login: ShelfLogin, report: Report) -> Pushed:
        """Copy the file, then name it in the catalogue: until then nobody sees it."""
        report(0, f'Copying the image to the folder "{login.folder.name}"')
        found = self.find(image.id, login)
        if found is not None:
            report(100)
            return found
        with login.folder.opened() as folder:
            target = folder / f"{folders.stem(image.name)}-{image.id}{self.suffix}"
            folders.copy_whole(disk, target, report)
            if self.provider is not None:
                self._record(login, target, box=login.box or image.name or "image")
        return Pushed(identifier=str(target), account=login.folder.name)

    def find(self, token: str, login: ShelfLogin) -> Pushed | None:
        """A whole file that is named; what a killed push left otherwise goes."""
        with login.folder.opened() as folder:
            for path in folder.glob(f"*-{glob.escape(token)}{self.suffix}*"):
                whole = path.suffix == self.suffix and not path.name.startswith(".")
                if whole and (self.provider is None or self._is_recorded(folder, path)):
                    return Pushed(identifier=str(path), account=login.folder.name)
                path.unlink(missing_ok=True)
        return None

    def delete(self, identifier: str, login: ShelfLogin) -> None:
        """Take a file out of the catalogue, then away."""
        path = Path(identifier)
        with login.folder.opened() as folder:
            if path.parent != folder or path.suffix != self.suffix or path.name.startswith("."):
                msg = f'The file "{identifier}" is not an image in the folder "{login.folder.name}"'
                raise CloudError(msg)
            for catalogue in _catalogues(folder):
                with _edited(catalogue) as content:
                    _take_out(content, path.name)
            path.unlink(missing_ok=True)

    def _is_recorded(self, folder: Path, path: Path) -> bool:
        return any(path.name in catalogue.read_text() for catalogue in _catalogues(folder))

    def _record(self, login: ShelfLogin, path: Path, *, box: str) -> None:
        base = (login.url or path.parent.as_uri()).rstrip("/")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        entry = {
            "name": self.provider,
            "url": f"{base}/{path.name}",
            "checksum_type": "sha256",
            "checksum": digest,
        }
        with _edited(path.parent / f"{folders.stem(box)}.box.json") as content:
            content.setdefault("name", box)
            versions = content.setdefault("versions", [])
            wanted = login.version or _next_version(versions)
            same = [version for version in versions if version["version"] == wanted]
            if not same:
                same = [{"version": wanted, "providers": []}]
                versions += same
            others = [one for one in same[0]["providers"] if one["name"] != self.provider]
            same[0]["providers"] = [*others, entry]


def _catalogues(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.box.json"))


@contextmanager
def _edited(path: Path) -> Iterator[dict[str, Any]]:
    """A catalogue's content, written when the block ends; one that names nothing any more goes."""
    try:
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        before = json.dumps(content)
        yield content
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f'The catalogue "{path}" is damaged'
        raise CloudError(msg, hint="Repair it, or remove it: a push writes a new one") from error
    if not content.get("versions"):
        path.unlink(missing_ok=True)
    elif json.dumps(content) != before:
        write_atomically(path, json.dumps(content, indent=1) + "\n")


def _take_out(content: dict[str, Any], name: str) -> None:
    for version in content["versions"]:
        version["providers"] = [
            one for one in version["providers"] if not one["url"].endswith(f"/{name}")
        ]
    content["versions"] = [one for one in content["versions"] if one["providers"]]


def _next_version(versions: list[dict[str, Any]]) -> str:
    """The one after the highest, its last number counted up."""
    taken = [[int(part) for part in version["version"].split(".")] for version in versions]
    if not taken:
        return "1.0.0"
    *head, last = max(taken)
    return ".".join(str(part) for part in (*head, last + 1))
