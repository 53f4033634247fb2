"""Downloads: checked, resumed, shared, and never half there."""

import errno
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes.build import Told, a_build
from fakes.web import Site, a_site
from imagefactory.core.errors import Cancelled, FetchError, SpaceError, VerificationError
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.download import Wanted, download, objects_of
from imagefactory.engine.fetch import Patience
from imagefactory.engine.objects import Objects, room_at
from imagefactory.engine.plan import Build

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NAMED = "http://mirror.example.org/debian"
QUICK = Patience(pause=0.01, silence=0.5)


def wanted(name: str, content: bytes) -> Wanted:
    sha256 = hashlib.sha256(content).hexdigest()
    label = f'package "{name}"'
    return Wanted(url=f"{NAMED}/{name}", sha256=sha256, size=len(content), label=label)


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as made:
        yield made


@pytest.fixture
def build(tmp_path: Path, site: Site) -> Build:
    return replace(a_build(tmp_path), mirrors={NAMED: site.url})


def left_over(build: Build) -> list[str]:
    return sorted(path.name for path in objects_of(build).folder.glob(".*"))


def test_files_come_once_and_are_shared(build: Build, site: Site) -> None:
    files = [wanted(str(number), b"x" * 1000 * number) for number in range(1, 12)]
    site.files.update({f"/{number}": b"x" * 1000 * number for number in range(1, 12)})
    assert download(build, [*files, *files]) == sum(file.size for file in files)
    for file in files:
        path = objects_of(build).path(file.sha256)
        assert path.read_bytes() == site.files[file.url.removeprefix(NAMED)]
        assert path.stat().st_mode & 0o777 == 0o644
    assert left_over(build) == []
    assert download(build, files) == 0
    assert len(site.asked) == len(files)


def test_progress_counts_bytes_and_stays_in_its_range(tmp_path: Path, site: Site) -> None:
    told = Told()
    build = replace(a_build(tmp_path, told=told), mirrors={NAMED: site.url})
    site.files["/a"] = bytes(5000)
    download(build, [wanted("a", bytes(5000))], percents=range(20, 60))
    assert told.percents
    assert told.percents == sorted(told.percents)
    assert told.percents[-1] == 60


def test_a_broken_transfer_goes_on_where_it_stopped(build: Build, site: Site) -> None:
    content = bytes(range(256)) * 1000
    site.files["/a"] = content
    site.cuts["/a"] = [100_000, 50_000]
    download(build, [wanted("a", content)], patience=QUICK)
    spans = [headers.get("range") for _, headers in site.asked]
    assert spans[0] is None
    assert spans[1:] == ["bytes=100000-", "bytes=150000-"]


def test_a_later_build_goes_on_too(build: Build, site: Site) -> None:
    content = bytes(range(256)) * 1000
    site.files["/a"] = content
    site.cuts["/a"] = [10_000] * 4
    with pytest.raises(FetchError, match="the connection broke"):
        download(build, [wanted("a", content)], patience=QUICK)
    assert not objects_of(build).path(wanted("a", content).sha256).exists()
    download(build, [wanted("a", content)], patience=QUICK)
    assert site.asked[-1][1]["range"] == "bytes=40000-"


def test_a_wrong_file_is_fetched_once_more(build: Build, site: Site) -> None:
    good = wanted("a", b"good")
    site.files["/a"] = b"evil"
    with pytest.raises(VerificationError) as caught:
        download(build, [good])
    assert str(caught.value) == (
        f'The package "a" from "{site.url}/a" does not have the SHA-256 that its index gives'
    )
    assert site.times_asked("/a") == 2
    assert not objects_of(build).path(good.sha256).exists()
    site.files["/a"] = b"good"
    download(build, [good])
    assert objects_of(build).path(good.sha256).read_bytes() == b"good"


def test_a_file_that_is_too_long_is_not_read_to_its_end(build: Build, site: Site) -> None:
    site.files["/a"] = b"good" + bytes(3_000_000)
    with pytest.raises(VerificationError):
        download(build, [wanted("a", b"good")])
    assert sum(path.stat().st_size for path in objects_of(build).folder.iterdir()) == 0


def test_a_file_that_is_not_there_is_named(build: Build, site: Site) -> None:
    with pytest.raises(FetchError) as caught:
        download(build, [wanted("a", b"good")])
    assert str(caught.value) == f'Could not fetch "{site.url}/a": the server answered 404'


def test_an_object_that_rotted_is_fetched_again(build: Build, site: Site) -> None:
    site.files["/a"] = b"good"
    good = wanted("a", b"good")
    download(build, [good])
    objects_of(build).path(good.sha256).write_bytes(b"rott")
    assert download(build, [good]) == 4
    assert objects_of(build).path(good.sha256).read_bytes() == b"good"


def test_two_receivers_of_one_object_do_not_mix_their_bytes(tmp_path: Path) -> None:
    objects = Objects(folder=tmp_path / "objects")
    sha256 = hashlib.sha256(b"content").hexdigest()
    entered = threading.Event()
    found: list[bool] = []

    def second() -> None:
        entered.wait()
        with objects.receive(sha256, check=lambda: None) as file:
            found.append(file is None)

    thread = threading.Thread(target=second)
    thread.start()
    with objects.receive(sha256, check=lambda: None) as file:
        assert file is not None
        entered.set()
        time.sleep(0.2)
        file.write(b"content")
        objects.keep(file, sha256)
    thread.join()
    assert found == [True]
    assert [path.name for path in objects.folder.iterdir()] == [sha256[:2]]


def test_cancelling_stops_a_download_within_two_seconds(tmp_path: Path, site: Site) -> None:
    site.files["/a"] = b"never"
    site.held["/a"] = threading.Event()
    cancellation = Cancellation()
    tools = Tools(cancellation=cancellation)
    build = replace(a_build(tmp_path, tools=tools), mirrors={NAMED: site.url})
    timer = threading.Timer(0.3, cancellation.request)
    timer.start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        download(build, [wanted("a", b"never")])
    assert time.monotonic() - start < 2
    timer.join()


def test_a_disk_that_is_too_small_is_noticed_before_the_first_byte(
    build: Build, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=5 << 20)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: free)
    huge = replace(wanted("a", b""), sha256="0" * 64, size=(7 << 20) + 1)
    with pytest.raises(SpaceError) as caught:
        download(build, [huge])
    folder = objects_of(build).folder
    assert str(caught.value) == (
        f'The disk of the host that holds "{folder}" has 5 MiB free, and 8 MiB are needed'
    )
    assert not site.asked


def test_a_disk_that_fills_up_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SpaceError) as caught, room_at(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == f'The disk of the host that holds "{tmp_path}" is full'
    with pytest.raises(PermissionError), room_at(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
