"""A disc image as a source of packages: fetched, checked, and read where its files lie."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.build import a_build
from fakes.debian import Key, a_key, entry, publish
from fakes.web import Site, a_site
from imagefactory.core.errors import FetchError, VerificationError
from imagefactory.core.lock import Lock
from imagefactory.core.template import Install
from imagefactory.engine.discs import sum_for
from imagefactory.engine.download import objects_of
from imagefactory.engine.fetch_disc import FetchDisc
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.packages.apt_sources import Archive, Suite
from imagefactory.engine.packages.locked import FetchPackages, read_lock
from imagefactory.engine.plan import Build

HOST = "http://mirror.example.org"
DISC = f"{HOST}/discs/test.iso"
PACKAGES = [
    entry("base-files", Essential="yes", Priority="required"),
    entry("apt", Priority="important"),
    entry("kernel"),
    entry("editor"),
]
CHECKED = Install(
    type="iso", url=DISC, checksum_type="sha256", checksum_url=f"{HOST}/discs/SHA256SUMS"
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    with a_key(tmp_path_factory.mktemp("key")) as made:
        yield made


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as made:
        yield made


@pytest.fixture
def build(tmp_path: Path, site: Site) -> Build:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    return replace(a_build(state), mirrors={HOST: site.url})


def press(site: Site, folder: Path, *, key: Key | None = None) -> None:
    """Publish an archive, and put a disc of it beside it."""
    if shutil.which("xorrisofs") is None:
        pytest.skip("xorrisofs, which makes the tests' images, is not installed (xorriso)")
    publish(site, PACKAGES, suite="stable", key=key)
    tree = folder / "disc"
    for path, content in site.files.items():
        place = tree / path.removeprefix("/debian/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    command = ["xorrisofs", "-quiet", "-R", "-o", str(folder / "test.iso"), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    image = (folder / "test.iso").read_bytes()
    site.files["/discs/test.iso"] = image
    site.files["/discs/SHA256SUMS"] = f"{hashlib.sha256(image).hexdigest()}  test.iso\n".encode()


def resolved(build: Build, *, url: str, keyring: Path | None, lock: str | None = None) -> Lock:
    archive = Archive(
        url=url,
        suites=(Suite(name="stable"),),
        keyring=str(keyring) if keyring else None,
        guest_keyring="/usr/share/keyrings/test.gpg",
    )
    ResolveApt(
        system="Debian",
        version="12",
        arch="x86_64",
        archive=archive,
        base=("kernel",),
        packages=("editor",),
        lock=lock,
    ).run(build)
    return read_lock(build)


def test_only_the_disc_is_asked_for_what_is_on_it(build: Build, site: Site, tmp_path: Path) -> None:
    press(site, tmp_path)
    by_url = resolved(build, url=f"{HOST}/debian", keyring=None)
    site.asked.clear()
    FetchDisc(install=CHECKED).run(build)
    by_disc = resolved(build, url=f"{DISC}#", keyring=None)
    assert by_disc.key() == by_url.key()
    assert by_disc.packages[0].url == f"{DISC}#/pool/{by_disc.packages[0].name}_1_all.deb"
    FetchPackages(disc=DISC).run(build)
    for package in by_disc.packages:
        assert objects_of(build).holds(package.sha256), package.name
    assert {path for path, _ in site.asked} == {"/discs/test.iso", "/discs/SHA256SUMS"}


def test_a_lock_of_the_archive_is_filled_from_the_disc_and_what_it_lacks_from_the_archive(
    build: Build, site: Site, tmp_path: Path
) -> None:
    press(site, tmp_path)
    publish(site, [*PACKAGES, entry("newer", Essential="yes")], suite="stable")
    lock = resolved(build, url=f"{HOST}/debian", keyring=None)
    FetchDisc(install=CHECKED).run(build)
    assert resolved(build, url=f"{DISC}#", keyring=None, lock=lock.dumps()) == lock
    site.asked.clear()
    FetchPackages(disc=DISC).run(build)
    assert [path for path, _ in site.asked] == ["/debian/pool/newer_1_all.deb"]


def test_a_broken_transfer_goes_on_and_a_whole_disc_is_not_fetched_again(
    build: Build, site: Site, tmp_path: Path
) -> None:
    press(site, tmp_path)
    site.cuts["/discs/test.iso"] = [100_000]
    FetchDisc(install=CHECKED).run(build)
    assert [headers.get("range") for path, headers in site.asked if path.endswith("iso")] == [
        None,
        "bytes=99999-",
    ]
    FetchDisc(install=CHECKED).run(build)
    assert site.times_asked("/discs/test.iso") == 2


def test_a_disc_with_another_checksum_is_fetched_once_more_and_refused(
    build: Build, site: Site, tmp_path: Path
) -> None:
    press(site, tmp_path)
    site.files["/discs/test.iso"] = site.files["/discs/test.iso"][:-1] + b"x"
    with pytest.raises(VerificationError, match=r'test\.iso" does not have the sha256'):
        FetchDisc(install=CHECKED).run(build)
    assert site.times_asked("/discs/test.iso") == 2
    assert [path for path in (build.cache / "discs").iterdir() if path.stat().st_size] == []
    site.files["/discs/SHA256SUMS"] = b"nothing\n"
    with pytest.raises(VerificationError, match=r'no sha256 for "test\.iso"'):
        FetchDisc(install=CHECKED).run(build)


def test_without_a_checksum_the_disc_must_be_signed(
    build: Build, site: Site, tmp_path: Path, key: Key
) -> None:
    bare = Install(type="iso", url=DISC)
    press(site, tmp_path / "unsigned")
    FetchDisc(install=bare).run(build)
    with pytest.raises(VerificationError, match="is not signed"):
        resolved(build, url=f"{DISC}#", keyring=key.keyring)
    shutil.rmtree(build.cache / "discs")
    press(site, tmp_path / "signed", key=key)
    FetchDisc(install=bare).run(build)
    assert len(resolved(build, url=f"{DISC}#", keyring=key.keyring).packages) == 4


def test_what_is_no_disc_or_not_there_is_refused_by_name(build: Build, site: Site) -> None:
    with pytest.raises(FetchError, match="404"):
        FetchDisc(install=Install(type="iso", url=DISC)).run(build)
    with pytest.raises(FetchError, match=r'test\.iso" has not been fetched'):
        resolved(build, url=f"{DISC}#", keyring=None)
    site.files["/discs/test.iso"] = b"no disc" * 100_000
    FetchDisc(install=Install(type="iso", url=DISC)).run(build)
    with pytest.raises(FetchError, match=r'test\.iso" cannot be read: It is no ISO 9660 image'):
        resolved(build, url=f"{DISC}#", keyring=None)


@pytest.mark.parametrize(
    "text",
    [
        "{sum}  test.iso\n",
        "{other}  other.iso\n{sum} *test.iso\n",
        "SHA256 (test.iso) = {sum}\n",
        "# comment\n{sum}  ./test.iso\n",
        "{sum}\n",
    ],
)
def test_checksum_files_of_all_kinds_are_read(text: str) -> None:
    wanted = "ab" * 32
    filled = text.format(sum=wanted.upper(), other="cd" * 32)
    assert sum_for("test.iso", filled, digits=64) == wanted
    assert sum_for("test.iso", filled, digits=32) is None
