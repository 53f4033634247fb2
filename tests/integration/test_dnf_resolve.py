"""The real dnf chooses from signed repositories, and what nobody vouches for is refused by name."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fakes import rpms
from fakes.build import a_build
from fakes.debian import Key, a_key
from fakes.web import Site, a_site
from imagefactory.core.errors import PackageError, VerificationError
from imagefactory.core.lock import Lock
from imagefactory.core.template import Repository
from imagefactory.engine.command import Tools
from imagefactory.engine.packages.dnf import ResolveRpm
from imagefactory.engine.packages.dnf_install import InstallRpmBase, InstallRpmPackages
from imagefactory.engine.packages.dnf_sources import Distribution, Part
from imagefactory.engine.packages.locked import FetchPackages, read_lock
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox

needs_zypper = pytest.mark.skipif(
    shutil.which("zypper") is None, reason="zypper, which is tested here, is not installed"
)
HOST = "http://mirror.example.org"
URL = f"{HOST}/fedora"
EXTRA = f"{HOST}/extra"
COMPS = """\
<?xml version="1.0"?>
<comps><group><id>tools</id><name>Tools</name><description/><default>true</default>
<uservisible>true</uservisible><packagelist><packagereq type="mandatory">less</packagereq>
<packagereq type="mandatory">sudo</packagereq></packagelist></group></comps>
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """Two repositories on a web server, and the keys of both."""

    site: Site
    build: Build
    repo: rpms.Distribution
    extra: rpms.Distribution
    stranger: Key

    def publish(self, made: rpms.Distribution, at: str) -> None:
        self.site.show(made.folder, at=at)

    def add(self, folder: Path, name: str, *, key: Key | None, **more: str) -> None:
        """Put one more package into the second repository."""
        folder.mkdir(exist_ok=True)
        made = rpms.a_package(folder, name, out=self.extra.folder, **more)
        if key is not None:
            rpms.sign([made], key)
        self.extra.index(signed=False)
        self.publish(self.extra, "/extra")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "state").mkdir(mode=0o711)
    build = a_build(tmp_path / "state", tools=Tools())
    sandbox = Sandbox(state=build.state, tools=Tools())
    for folder in (build.scratch.parent, build.scratch, build.cache):
        sandbox.own(folder)
    with a_site() as site, a_key(tmp_path) as key, a_key(tmp_path, "stranger") as stranger:
        (tmp_path / "comps.xml").write_text(COMPS)
        keys = tmp_path / "key.asc"
        keys.write_text(key.sign("", how="--export").decode())
        extra = rpms.Distribution(folder=tmp_path / "extra", key=key)
        extra.folder.mkdir()
        build = replace(
            build,
            mirrors={HOST: site.url},
            keyrings={URL: str(keys), EXTRA: str(keys)},
        )
        made = rpms.a_small_distribution(tmp_path, key)
        world = World(site=site, build=build, repo=made, extra=extra, stranger=stranger)
        world.publish(made, "/fedora")
        yield world
    sandbox.remove(build.scratch)
    sandbox.remove(build.cache)


DISTRIBUTION = Distribution(
    url=URL,
    parts=(Part(name="fedora"), Part(name="updates", path="../updates", optional=True)),
    keys="/nowhere",
    signed_index=True,
)


def resolve(world: World, *packages: str, repositories: tuple[Repository, ...] = ()) -> Lock:
    ResolveRpm(
        system="Fedora",
        version="42",
        arch="x86_64",
        distribution=DISTRIBUTION,
        base=("filesystem", "system-release", "bash"),
        release="42",
        platform="platform:f42",
        packages=packages,
        repositories=repositories,
    ).run(world.build)
    return read_lock(world.build)


def extra(*, signed: bool) -> tuple[Repository, ...]:
    return (Repository(name="my extra", url=EXTRA, signed=signed),)


def by_zypper(world: World, *packages: str, repositories: tuple[Repository, ...] = ()) -> Lock:
    ResolveRpm(
        system="openSUSE",
        version="15.6",
        arch="x86_64",
        distribution=DISTRIBUTION,
        base=("filesystem", "system-release", "bash"),
        release="15.6",
        platform="",
        manager="zypper",
        packages=packages,
        repositories=repositories,
    ).run(world.build)
    return read_lock(world.build)


@needs_zypper
def test_zypper_locks_the_same_files_as_dnf(world: World, tmp_path: Path) -> None:
    world.add(tmp_path / "more", "gadget", key=world.extra.key)
    theirs = resolve(world, "less", "gadget", repositories=extra(signed=True))
    ours = by_zypper(world, "less", "gadget", repositories=extra(signed=True))
    assert ours.packages == theirs.packages
    assert {one.layer for one in ours.packages} == {"base", "packages"}
    FetchPackages().run(world.build)


@needs_zypper
def test_zypper_tells_what_it_does_not_know_or_trust(world: World) -> None:
    with pytest.raises(PackageError, match='"nosuch" is in none of the repositories'):
        by_zypper(world, "less", "nosuch")
    world.repo.index(signed=False)
    index = world.repo.folder / "repodata" / "repomd.xml"
    index.with_suffix(".xml.asc").write_bytes(
        world.stranger.sign(index.read_text(), how="--detach-sign")
    )
    world.publish(world.repo, "/fedora")
    with pytest.raises(VerificationError, match="cannot be trusted") as refusal:
        by_zypper(world)
    assert world.site.url in refusal.value.brief


def test_a_lock_names_every_file_and_groups_are_taken_apart(world: World) -> None:
    lock = resolve(world, "@tools")
    assert {one.name for one in lock.layer("base")} == {"bash", "distribution", "filesystem"}
    assert {one.name for one in lock.layer("packages")} == {"less", "sudo"}
    one = lock.packages[0]
    assert one.url == f"{URL}/noarch/bash-42-1.noarch.rpm"
    assert one.origin == "fedora"
    assert lock.epoch > 0
    FetchPackages().run(world.build)


def test_what_nobody_has_is_named(world: World) -> None:
    with pytest.raises(PackageError, match='"no-such-thing"'):
        resolve(world, "no-such-thing")


def test_a_tampered_index_is_refused(world: World) -> None:
    index = world.site.files["/fedora/repodata/repomd.xml"]
    world.site.files["/fedora/repodata/repomd.xml"] = index.replace(b"<revision>", b"<revision>1")
    with pytest.raises(VerificationError, match=r"/fedora.* cannot be trusted"):
        resolve(world)
    del world.site.files["/fedora/repodata/repomd.xml.asc"]
    with pytest.raises(VerificationError, match="is not signed"):
        resolve(world)


def test_an_unsigned_package_is_refused_by_name(world: World, tmp_path: Path) -> None:
    world.add(tmp_path / "work", "greeting", key=None)
    resolve(world, "greeting", repositories=extra(signed=True))
    FetchPackages().run(world.build)
    with pytest.raises(VerificationError, match=r'"greeting".*it is not signed'):
        install(world, signed=True)


def test_a_package_with_a_strangers_signature_is_refused_by_name(
    world: World, tmp_path: Path
) -> None:
    world.add(tmp_path / "work", "greeting", key=world.stranger)
    resolve(world, "greeting", repositories=extra(signed=True))
    FetchPackages().run(world.build)
    with pytest.raises(VerificationError, match=r'"greeting".*unknown key'):
        install(world, signed=True)


def test_the_distributions_own_packages_must_be_signed(world: World) -> None:
    bash = next(path for path in world.repo.packages if path.name.startswith("bash"))
    rpms.sign([bash], world.stranger)
    world.repo.index()
    world.publish(world.repo, "/fedora")
    resolve(world)
    FetchPackages().run(world.build)
    step = InstallRpmBase(distribution=DISTRIBUTION, release="42", database="/usr/lib/sysimage/rpm")
    with pytest.raises(VerificationError, match=r'"bash".*unknown key'):
        step.run(world.build)


def test_a_repository_without_known_keys_is_no_signed_one(world: World, tmp_path: Path) -> None:
    world.add(tmp_path / "work", "greeting", key=world.repo.key)
    unknown = replace(world.build, keyrings={URL: world.build.keyrings[URL]})
    with pytest.raises(VerificationError, match="my extra"):
        resolve(replace(world, build=unknown), "greeting", repositories=extra(signed=True))


def install(world: World, *, signed: bool) -> None:
    InstallRpmPackages(
        distribution=DISTRIBUTION,
        release="42",
        database="/usr/lib/sysimage/rpm",
        repositories=extra(signed=signed),
    ).run(world.build)
