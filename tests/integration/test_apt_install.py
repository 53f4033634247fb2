"""A tree made of a lock's packages by its own dpkg and apt, with nothing left of how it was made."""

import gzip
import hashlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from fakes.build import Told, a_build
from fakes.web import Site, a_site
from imagefactory.core import template as tdl
from imagefactory.core.config import Config
from imagefactory.core.errors import BuildError, PackageError
from imagefactory.core.icicle import parse as parse_icicle
from imagefactory.core.inventory import Inventory
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Package, Repository
from imagefactory.engine.bom import DescribePackages
from imagefactory.engine.command import Tools
from imagefactory.engine.inventory import write_inventory
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.packages.apt_install import InstallBase, InstallPackages
from imagefactory.engine.packages.apt_repositories import AddRepositories, RemoveRepositories
from imagefactory.engine.packages.locked import FetchPackages, read_lock
from imagefactory.engine.plan import Build, Plan, Step
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree
from imagefactory.systems.debian import Debian

T = TypeVar("T", bound=Step)

EXTRA = "http://extra.example.org/apt"
PASSING = Repository(name="my repository", url=f"deb {EXTRA} ./", persisted=False)
STAYING = Repository(name="other", url="deb [arch=amd64] http://other.example.org/x ./")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with a_site() as made:
        yield made


@pytest.fixture(scope="module")
def log() -> list[str]:
    return []


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def build(config: Config, site: Site, log: list[str], told: Told) -> Iterator[Build]:
    build = a_build(config.state, build_id="apt-install", tools=Tools(log=log.append), told=told)
    sandbox = Sandbox(state=build.state, tools=Tools())
    for folder in (build.scratch.parent, build.scratch, build.cache):
        sandbox.own(folder)
    yield replace(build, mirrors={**config.mirrors, EXTRA: site.url})
    sandbox.remove(build.scratch)


@pytest.fixture(scope="module")
def plan(
    config: Config, template: str, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Plan:
    """The system's own plan, so that its base is the one that other tests use."""
    publish(site, tmp_path_factory.mktemp("deb"))
    for name, value in {
        "VERSION": "12",
        "SIZE": "2 GiB",
        "PACKAGE": "bc",
        "COMMAND": "true",
    }.items():
        template = template.replace(f"@{name}@", value)
    parsed = tdl.parse(template)
    packages = (*parsed.packages, Package(name="greeting"), Package(name="awk"))
    wanted = replace(parsed, packages=packages, repositories=(PASSING, STAYING))
    return Debian(config).plan_base(wanted, Parameters())


@pytest.fixture(scope="module")
def tree(build: Build, plan: Plan) -> Tree:
    resolve = step(plan, ResolveApt)
    # The second repository is only written down: nothing answers there.
    replace(resolve, repositories=(PASSING,), packages=("bc", "greeting", "mawk")).run(build)
    step(plan, FetchPackages).run(build)
    step(plan, InstallBase).run(build)
    step(plan, AddRepositories).run(build)
    replace(step(plan, InstallPackages), packages=("bc", "greeting", "awk")).run(build)
    return Tree.load(build)


def step(plan: Plan, kind: type[T]) -> T:
    return next(one for one in plan if isinstance(one, kind))


def publish(site: Site, folder: Path) -> None:
    """Real packages, one of which cannot be set up, in a flat archive."""
    index = ""
    for name, script in {"greeting": "echo hello > /etc/greeting", "sulky": "exit 3"}.items():
        control = folder / name / "DEBIAN"
        control.mkdir(parents=True)
        (control / "control").write_text(
            f"Package: {name}\nVersion: 1:2.0\nArchitecture: all\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: test package\n"
        )
        (control / "postinst").write_text(f"#!/bin/sh\n{script}\n")
        (control / "postinst").chmod(0o755)
        deb = folder / f"{name}.deb"
        command = ["dpkg-deb", "--root-owner-group", "--build", str(folder / name), str(deb)]
        subprocess.run(command, check=True, capture_output=True)
        content = deb.read_bytes()
        site.files[f"/{name}.deb"] = content
        index += (control / "control").read_text() + (
            f"Filename: ./{name}.deb\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
        )
    site.files["/Packages"] = index.encode()


def guest(tree: Tree, script: str) -> list[str]:
    return tree.run(["sh", "-c", script], quiet=True).splitlines()


def test_exactly_the_lock_is_installed_and_dpkg_is_content(build: Build, tree: Tree) -> None:
    shown = guest(tree, "dpkg-query -W -f '${Package} ${Version} ${Architecture}\\n'")
    locked = [f"{one.name} {one.version} {one.arch}" for one in read_lock(build).packages]
    assert sorted(shown) == sorted(locked)
    assert guest(tree, "dpkg --audit") == []
    assert guest(tree, "cat /etc/greeting; echo 2^70 | bc") == ["hello", "1180591620717411303424"]


def test_what_was_asked_for_counts_as_such(tree: Tree, plan: Plan) -> None:
    manual = set(guest(tree, "apt-mark showmanual"))
    assert manual == {"apt", "bc", "greeting", *step(plan, InstallBase).packages}
    assert "mawk" in guest(tree, "apt-mark showauto")


def test_there_is_one_initramfs_and_its_links(tree: Tree, log: list[str]) -> None:
    kernels = guest(tree, "cd /boot; ls vmlinuz-*")
    assert len(kernels) == 1
    version = kernels[0].removeprefix("vmlinuz-")
    assert guest(tree, "readlink /vmlinuz /initrd.img") == [
        f"boot/vmlinuz-{version}",
        f"boot/initrd.img-{version}",
    ]
    assert log.count(f"update-initramfs: Generating /boot/initrd.img-{version}") <= 1


def test_nothing_is_left_of_the_installation(build: Build, tree: Tree) -> None:
    paths = (
        "/usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt/* /var/log/dpkg.log "
        "/var/log/apt/* /etc/apt/sources.list /var/lib/dpkg/*-old /etc/passwd-"
    )
    assert guest(tree, f"ls -d {paths} 2>/dev/null || true") == []
    mounted = [layer / name for layer in tree.layers for name in ("run", "tmp", "dev", "proc")]
    assert [path for folder in mounted for path in folder.glob("*")] == []
    assert not (build.scratch / "packages").exists()
    assert not list(build.cache.glob("layers/.*"))


def test_a_base_that_was_made_before_is_used_again(
    build: Build, tree: Tree, plan: Plan, log: list[str]
) -> None:
    InstallBase.run(step(plan, InstallBase), build)
    assert log[-1].startswith('The layer "base" is in the cache, as ')
    assert Tree.load(build).layers == tree.layers[:2]
    for layer, name in zip(tree.layers[2:], tree.names[2:], strict=True):
        Tree.load(build).adopt(layer, name=name)


def test_progress_moves_and_says_what_happens(tree: Tree, told: Told) -> None:
    assert tree.names == ("unpacked", "base", "repositories", "packages")
    assert any(re.fullmatch(r"Installing \d+ packages", line) for line in told.activities)
    assert told.percents


def test_the_guest_has_the_templates_sources(build: Build, tree: Tree, plan: Plan) -> None:
    lists = "/etc/apt/sources.list.d"
    assert guest(tree, f"ls {lists}") == ["debian.sources", "my_repository.list", "other.list"]
    assert guest(tree, f"cat {lists}/*.list") == [
        f"deb [trusted=yes] {EXTRA} ./",
        "deb [arch=amd64 trusted=yes] http://other.example.org/x ./",
    ]
    assert guest(tree, f"cat {lists}/debian.sources") == [
        "Types: deb",
        "URIs: http://mirror.example.org/debian",
        "Suites: bookworm bookworm-updates",
        "Components: main",
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
        "",
        "Types: deb",
        "URIs: http://mirror.example.org/debian-security",
        "Suites: bookworm-security",
        "Components: main",
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
    ]
    assert guest(tree, "test -s /usr/share/keyrings/debian-archive-keyring.gpg && echo there")
    step(plan, RemoveRepositories).run(build)
    assert guest(Tree.load(build), f"ls {lists}") == ["debian.sources", "other.list"]


@pytest.mark.usefixtures("tree")
def test_the_icicle_lists_what_is_installed(build: Build) -> None:
    extra = "dpkg-query -W -f '${Package},${Version}\\n'"
    DescribePackages(description="a tree", extra_command=extra).run(build)
    icicle = parse_icicle((build.artifacts / "icicle.xml").read_text())
    locked = {one.name: one.version for one in read_lock(build).packages}
    assert icicle.description == "a tree"
    assert {one.name: one.extra for one in icicle.packages} == {
        name: f"{name},{version}" for name, version in locked.items()
    }
    selections = guest(Tree.load(build), "dpkg --get-selections")
    wanted = [line.split()[0] for line in selections if line.split()[1] == "install"]
    assert [one.name for one in icicle.packages] == [name.partition(":")[0] for name in wanted]


@pytest.mark.usefixtures("tree")
def test_an_extra_command_prints_a_line_for_each_package_or_fails_the_build(build: Build) -> None:
    message = "Invalid extra package command; it must return the same set of packages as 'rpm -qa'"
    with pytest.raises(BuildError, match=re.escape(message)) as refusal:
        DescribePackages(extra_command="dpkg-query -W | tail -n +2").run(build)
    printed = len(read_lock(build).packages) - 1
    assert refusal.value.hint is not None
    assert f"printed {printed} lines" in refusal.value.hint


@pytest.mark.usefixtures("tree")
def test_an_icicle_that_is_not_wanted_is_an_empty_one(build: Build) -> None:
    DescribePackages(description="a tree", extra_command="false", enabled=False).run(build)
    assert (build.artifacts / "icicle.xml").read_text() == "<icicle></icicle>"
    assert (build.artifacts / "spdx.json").exists(), "it is no description of Oz's"


@pytest.mark.usefixtures("tree")
def test_the_inventory_is_what_the_tree_holds(build: Build) -> None:
    write_inventory(build)
    first = (build.artifacts / "inventory.json.gz").read_bytes()
    found = Inventory.loads(gzip.decompress(first).decode())
    assert len(first) < 3 << 20
    probe = "stat -c '%a %u:%g %s' /usr/bin/env; sha256sum /usr/bin/env; readlink /bin"
    [mode, owner, size, digest, _, link] = " ".join(guest(Tree.load(build), probe)).split()
    entry = found.files["/usr/bin/env"]
    assert (entry.mode, entry.owner, entry.size, entry.sha256) == (mode, owner, int(size), digest)
    assert found.files["/bin"].link == link
    assert all(entry.sha256 for entry in found.files.values() if entry.type == "f")
    write_inventory(build)
    assert (build.artifacts / "inventory.json.gz").read_bytes() == first


@pytest.mark.usefixtures("tree")
def test_a_package_that_cannot_be_set_up_is_named(build: Build, plan: Plan) -> None:
    packages = ("sulky",)
    resolve = step(plan, ResolveApt)
    replace(resolve, repositories=(PASSING,), packages=packages).run(build)
    step(plan, FetchPackages).run(build)
    layers = Tree.load(build).layers
    with pytest.raises(PackageError) as caught:
        replace(step(plan, InstallPackages), packages=packages).run(build)
    assert str(caught.value) == (
        'The package "sulky" failed: installed sulky package post-installation script '
        "subprocess returned error exit status 3"
    )
    assert not (build.scratch / "packages").exists()
    assert all(layer.exists() for layer in layers[:2])


@pytest.mark.usefixtures("tree")
def test_a_lock_that_lacks_what_is_asked_for_is_refused(build: Build, plan: Plan) -> None:
    replace(step(plan, ResolveApt), repositories=(PASSING,), packages=("bc",)).run(build)
    with pytest.raises(PackageError) as caught:
        replace(step(plan, InstallPackages), packages=("bc", "greeting")).run(build)
    assert str(caught.value) == 'The lock lacks the package "greeting" that the template asks for'
