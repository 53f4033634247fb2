"""A folder as a cloud: files that are whole, and a catalogue that names them."""

import json
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import CloudContract, PushContract, made_with, template
from fakes.build import Told
from imagefactory.clouds.local import CATALOGUE, Local, LocalLogin
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert

NOTHING = Secret("")


def catalogue(folder: Path) -> list[dict[str, Any]]:
    content: dict[str, list[dict[str, Any]]] = json.loads((folder / CATALOGUE).read_text())
    return content["images"]


def files(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.suffix in {".raw", ".qcow2", ".part"}
    )


class TestLocal(CloudContract[LocalLogin], PushContract[LocalLogin]):
    provider: ClassVar[str] = "local"
    credentials: ClassVar[str] = "whatever"
    needs_credentials: ClassVar[bool] = False
    reads_credentials: ClassVar[bool] = False
    wrong_parameters: ClassVar[Mapping[str, object]] = {"format": "vdi", "compression": ["zlib"]}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Local(made_with(tmp_path))

    @pytest.fixture
    def cloud(self, plugin: Local) -> Local:
        return plugin

    @pytest.fixture
    def login(self, cloud: Local) -> LocalLogin:
        return cloud.login("local", NOTHING)

    @pytest.fixture
    def refused(self, tmp_path: Path) -> LocalLogin:
        (tmp_path / "file").touch()
        return LocalLogin(name="local", folder=tmp_path / "file")

    def things(self, login: LocalLogin) -> Collection[str]:
        if not login.folder.exists():
            return []
        recorded = catalogue(login.folder) if (login.folder / CATALOGUE).exists() else []
        return files(login.folder) + [entry["id"] for entry in recorded]


def test_a_raw_disk_is_the_default_since_everything_boots_it(tmp_path: Path) -> None:
    plan = Local(made_with(tmp_path)).plan_target
    assert plan(template(), Parameters({})) == (Convert(format="raw"),)
    assert plan(template(), Parameters({"format": "qcow2"})) == (
        Convert(format="qcow2", compression="zlib"),
    )
    assert plan(template(), Parameters({"format": "qcow2", "compression": "none"})) == (
        Convert(format="qcow2", compression="none"),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def local(tmp_path: Path, folder: Path) -> Local:
    folders = {"images": str(folder), "unmounted": str(tmp_path / "unmounted")}
    return Local(made_with(tmp_path, local_folders=folders))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(b"boot code".ljust(1 << 16, b"\0"))
    return path


def image(token: str, *, name: str = "web server/1") -> ProviderImage:
    return ProviderImage(id=token, name=name, provider="images", target="local")


def test_the_file_and_the_catalogue_say_what_the_image_is(
    local: Local, folder: Path, disk: Path
) -> None:
    pushed = local.push(image("0815"), disk, local.login("images", NOTHING), Told())
    assert pushed.identifier == str(folder / "web-server-1-0815.raw")
    assert pushed.account == "images"
    assert Path(pushed.identifier).read_bytes() == disk.read_bytes()
    [entry] = catalogue(folder)
    assert entry.pop("created").endswith("+00:00")
    assert entry == {
        "id": "0815",
        "name": "web server/1",
        "file": "web-server-1-0815.raw",
        "format": "raw",
        "size": 1 << 16,
        "virtual_size": 1 << 16,
    }


def test_a_client_names_a_folder_and_never_a_path(local: Local, folder: Path) -> None:
    for name in (str(folder), "../images", "/etc", "Images", '{"name": "/etc"}'):
        with pytest.raises(RequestError, match="is not a folder of this factory") as error:
            local.login(name, NOTHING)
        assert error.value.hint == 'These are: "images", "unmounted"'


def test_a_listed_folder_that_is_missing_is_not_made(local: Local, tmp_path: Path) -> None:
    login = local.login("unmounted", NOTHING)
    with pytest.raises(CloudError, match='"unmounted" cannot be used: No such file or directory'):
        local.check(login)
    assert not (tmp_path / "unmounted").exists()


def test_a_typo_in_the_provider_is_named(local: Local) -> None:
    with pytest.raises(
        RequestError, match='The text of the provider has an unknown key "kep"'
    ) as error:
        local.login('{"name": "images", "kep": 3}', NOTHING)
    assert error.value.hint == "Known are keep, name"


@pytest.mark.parametrize("keep", ['"many"', "-1", "true"])
def test_how_many_are_kept_is_a_number(local: Local, keep: str) -> None:
    with pytest.raises(RequestError, match='The key "keep" of the provider is not a whole number'):
        local.login(f'{{"name": "images", "keep": {keep}}}', NOTHING)


def test_only_the_newest_of_one_name_are_kept(local: Local, folder: Path, disk: Path) -> None:
    keeping = local.login('{"name": "images", "keep": 2}', NOTHING)
    local.push(image("other", name="db"), disk, keeping, Told())
    for token in ("1", "2", "3"):
        local.push(image(token, name="web"), disk, keeping, Told())
    assert files(folder) == ["db-other.raw", "web-2.raw", "web-3.raw"]
    assert [entry["id"] for entry in catalogue(folder)] == ["other", "2", "3"]
    assert local.find("1", keeping) is None


def test_what_a_killed_push_left_unfinished_is_not_found_and_goes(
    local: Local, folder: Path, disk: Path
) -> None:
    login = local.login("images", NOTHING)
    half = folder / ".web-server-1-0815.raw.part"
    half.write_text("half")
    assert local.find("0815", login) is None
    assert not half.exists()
    half.write_text("half")
    local.push(image("0815"), disk, login, Told())
    assert files(folder) == ["web-server-1-0815.raw"]
    assert not half.exists()


def test_a_whole_file_that_a_killed_push_did_not_record_is_found(
    local: Local, folder: Path, disk: Path
) -> None:
    login = local.login("images", NOTHING)
    pushed = local.push(image("0815", name="web"), disk, login, Told())
    [entry] = catalogue(folder)
    (folder / CATALOGUE).unlink()
    assert local.find("0815", login) == pushed
    assert catalogue(folder) == [entry]


def test_a_damaged_catalogue_is_not_overwritten(local: Local, folder: Path, disk: Path) -> None:
    (folder / CATALOGUE).write_text('{"images": [{"id"')
    login = local.login("images", NOTHING)
    with pytest.raises(CloudError, match=r'catalogue\.json" is damaged'):
        local.push(image("0815"), disk, login, Told())
    assert (folder / CATALOGUE).read_text() == '{"images": [{"id"'
    assert files(folder) == []


@pytest.mark.parametrize("name", ["../disk", "sub/web-1.raw", ".catalogue.lock"])
def test_nothing_else_is_deleted(local: Local, folder: Path, disk: Path, name: str) -> None:
    login = local.login("images", NOTHING)
    with pytest.raises(CloudError, match='is not an image in the folder "images"'):
        local.delete(f"{folder}/{name}", login)
    assert disk.exists()


def test_pushes_at_the_same_time_lose_no_entry(local: Local, folder: Path, disk: Path) -> None:
    login = local.login("images", NOTHING)

    def push(token: str) -> None:
        local.push(image(token, name="web"), disk, login, Told())

    threads = [threading.Thread(target=push, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry["id"] for entry in catalogue(folder)) == [str(n) for n in range(8)]
