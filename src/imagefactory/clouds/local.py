"""A folder of this machine as a cloud: images lie in it as files, with a catalogue beside them."""

import fcntl
import glob
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.files import write_atomically
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.detect import DiskFormat, inspect
from imagefactory.engine.formats.kinds import Compression
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins import folders
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.texts import Fields

CATALOGUE: Final = "catalogue.json"
FORMAT: Final = "imagefactory-catalogue/1"
_LOCK: Final = ".catalogue.lock"


@dataclass(frozen=True, kw_only=True)
class LocalLogin:
    """Which folder, and how many images of one template's name are kept in it."""

    name: str
    folder: Path
    keep: int = 0  #: older ones go when a new one has come; 0 keeps all


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image in a folder's catalogue."""

    id: str  #: the provider image's
    name: str  #: the template's
    file: str  #: relative to the folder
    format: DiskFormat
    size: int  #: bytes of the file, holes included
    virtual_size: int  #: bytes of the disk in it
    created: str  #: when the file was whole; ISO 8601, UTC


class Local:
    """The target `local`: raw disks, which every hypervisor boots and `dd` writes; or qcow2.

    A provider is the name of a folder that the operator listed, or `{"name": …, "keep": N}`; no
    client names a path. Credentials are not needed.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("Local", "cloud", "Folders of the factory's own machine, with a catalogue each")

    @property
    def targets(self) -> Sequence[str]:
        return ("local",)

    def login(self, provider: str, credentials: Secret) -> LocalLogin:
        text = provider.strip()
        given: Mapping[str, Any] = {"name": text}
        if text.startswith(("{", "<")):
            given = Fields.read(text, what="provider").given
        fields = Fields(what="provider", given=given).only({"name", "keep"})
        folder = folders.find(self._config, fields.require("name"), default="local")
        return LocalLogin(
            name=folder.name, folder=folder.path, keep=fields.integer("keep", default=0)
        )

    def customization(self, template: Template) -> Customization:
        return Customization()

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        compression: Compression = parameters.choice(
            "compression", ("zlib", "zstd", "none"), default="zlib"
        )
        if parameters.choice("format", ("raw", "qcow2"), default="raw") == "raw":
            return (Convert(format="raw"),)
        return (Convert(format="qcow2", compression=compression),)

    def check(self, login: LocalLogin) -> None:
        with self._opened(login):
            pass

    def push(self, image: ProviderImage, disk: Path, login: LocalLogin, report: Report) -> Pushed:
        with self._opened(login):
            name = image.name or "image"
            target = login.folder / f"{folders.stem(name)}-{image.id}.{inspect(disk).format}"
            report(0, f'Copying the image to the folder "{login.name}"')
            if not target.exists():
                folders.copy_whole(disk, target, report)
            _record(login, _entry(target, token=image.id, name=name))
            return Pushed(identifier=str(target), account=login.name)

    def find(self, token: str, login: LocalLogin) -> Pushed | None:
        with self._opened(login):
            for path in login.folder.glob(f"*-{glob.escape(token)}.*"):
                name, _, _ = path.name.rpartition(f"-{token}.")
                if name.startswith("."):  # a killed push left it, and nobody can finish it
                    path.unlink(missing_ok=True)
                    continue
                if not any(entry.id == token for entry in _entries(login.folder)):
                    _record(login, _entry(path, token=token, name=name))
                return Pushed(identifier=str(path), account=login.name)
            return None

    def delete(self, identifier: str, login: LocalLogin) -> None:
        path = Path(identifier)
        if path.parent != login.folder or path.name.startswith("."):
            msg = f'The file "{identifier}" is not an image in the folder "{login.name}"'
            raise CloudError(msg)
        with self._opened(login), _locked(login.folder):
            path.unlink(missing_ok=True)
            entries = _entries(login.folder)
            _save(login.folder, [entry for entry in entries if entry.file != path.name])

    @contextmanager
    def _opened(self, login: LocalLogin) -> Iterator[None]:
        """The one place where what the file system says becomes a `CloudError`.

        A listed folder is not made: where it is missing, something else was to be mounted there.
        """
        try:
            if not self._config.local_folders:
                login.folder.mkdir(parents=True, exist_ok=True)
            with _locked(login.folder):
                _entries(login.folder)
            yield
        except OSError as error:
            msg = f'The folder "{login.name}" cannot be used: {error.strerror}'
            raise CloudError(msg, hint=f'Look at "{login.folder}"') from error


def _entry(path: Path, *, token: str, name: str) -> Entry:
    disk, facts = inspect(path), path.stat()
    return Entry(
        id=token,
        name=name,
        file=path.name,
        format=disk.format,
        size=facts.st_size,
        virtual_size=disk.virtual_size,
        created=datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(),
    )


def _record(login: LocalLogin, entry: Entry) -> None:
    """Put an image into the catalogue, and take out those that are too many."""
    with _locked(login.folder):
        entries = [other for other in _entries(login.folder) if other.id != entry.id]
        entries.append(entry)
        namesakes = sorted(
            (other for other in entries if other.name == entry.name and other != entry),
            key=lambda other: other.created,
        )
        surplus = namesakes[: max(0, len(namesakes) + 1 - login.keep)] if login.keep else []
        _save(login.folder, [other for other in entries if other not in surplus])
        for other in surplus:
            (login.folder / other.file).unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder to ourselves; other processes wait."""
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _entries(folder: Path) -> list[Entry]:
    path = folder / CATALOGUE
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text())
        return [Entry(**entry) for entry in content["images"]]
    except (ValueError, TypeError, KeyError) as error:
        msg = f'The catalogue "{path}" is damaged: {error}'
        raise CloudError(msg, hint="Repair it, or remove it: a push writes a new one") from error


def _save(folder: Path, entries: Sequence[Entry]) -> None:
    content = {"format": FORMAT, "images": [asdict(entry) for entry in entries]}
    write_atomically(folder / CATALOGUE, json.dumps(content, indent=1) + "\n")
