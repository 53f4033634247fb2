"""The same lock gives the same bytes: at another time, with other caches, in another environment."""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from packageurl import PackageURL

from fakes.bills import check_cyclonedx, check_spdx
from fakes.build import a_build
from imagefactory.core import template as tdl
from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.engine.boot.step import BootTest
from imagefactory.engine.command import Tools
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.kinds import KINDS, Compression, FormatName
from imagefactory.engine.plan import Build, execute
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree
from imagefactory.systems.debian import Debian

EPOCH: Final = 1_700_000_000
_DAY: Final = 86400
_LATER: Final = 500 * _DAY  #: what the second build's program takes for now


@pytest.fixture(params=["12", pytest.param("13", marks=pytest.mark.slow)])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def builds(config: Config, version: str) -> Iterator[list[Build]]:
    made = [
        replace(
            a_build(config.state, build_id=f"same-bytes-{version}-{number}"),
            mirrors=config.mirrors,
        )
        for number in (1, 2)
    ]
    sandbox = Sandbox(state=config.state, tools=Tools())
    for build in made:
        for folder in (build.scratch.parent, build.scratch, build.cache):
            sandbox.own(folder)
    yield made
    for build in made:
        sandbox.remove(build.scratch)
    sandbox.remove(config.state / "another-cache")


def test_one_lock_gives_one_disk(
    config: Config,
    template: str,
    version: str,
    builds: list[Build],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = builds
    build(first, config, template, version, source_date_epoch=EPOCH)
    lock = (first.artifacts / "lock.json").read_text()
    cache = config.state / "another-cache"
    Sandbox(state=config.state, tools=Tools()).own(cache)
    (cache / "objects").symlink_to(first.cache / "objects")
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + _LATER)
    time.tzset()
    before = os.umask(0o077)
    try:
        build(replace(second, cache=cache, reuse=False), config, template, version, lock=lock)
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert digest(first.disk) == digest(second.disk)
    for form, kind in KINDS.items():
        for compression in kind.compressions:
            same = {in_format(one, form, compression) for one in builds}
            assert len(same) == 1, f"{form}, {compression}"
    stamps = Tree.load(first).run(["cut", "-d:", "-f3", "/etc/shadow"], quiet=True).split()
    assert set(stamps) == {str(EPOCH // _DAY)}
    for name in ("spdx.json", "cyclonedx.json"):
        bills = [(one.artifacts / name).read_text() for one in (first, second)]
        assert bills[0] == bills[1]
    check_bills(first)


def check_bills(build: Build) -> None:
    """They hold to their formats, and have what the system itself says is installed."""
    form = "${db:Status-Status} ${Package} ${Version} ${Architecture}\\n"
    said = Tree.load(build).run(["dpkg-query", "-W", "-f", form], quiet=True).splitlines()
    present = sorted(line.split()[1:] for line in said if line.startswith("installed "))
    document = check_cyclonedx((build.artifacts / "cyclonedx.json").read_text())
    urls = [PackageURL.from_string(one["purl"]) for one in document["components"]]
    assert sorted([one.name, one.version, one.qualifiers["arch"]] for one in urls) == present
    document = check_spdx((build.artifacts / "spdx.json").read_text(), files=2)
    system, *packages = document["packages"]
    assert sorted([one["name"], one["versionInfo"]] for one in packages) == [
        [name, package_version] for name, package_version, _arch in present
    ]
    assert all(one["checksums"] for one in packages), "each is in the lock"
    names = {one["SPDXID"]: one["fileName"] for one in document["files"]}
    owned = {names[file] for one in packages for file in one.get("hasFiles", ())}
    assert "./usr/bin/dpkg" in owned
    assert "./etc/from-template" in {names[file] for file in system["hasFiles"]}
    listed = sum(one["licenseDeclared"] != "NOASSERTION" for one in packages)
    assert listed > len(packages) * 3 // 4


def build(build: Build, config: Config, template: str, version: str, **parameters: object) -> None:
    filling = {"VERSION": version, "SIZE": "2 GiB", "PACKAGE": "tree", "COMMAND": "true"}
    for name, value in filling.items():
        template = template.replace(f"@{name}@", value)
    plan = Debian(config).plan_base(tdl.parse(template), Parameters(parameters))
    steps = tuple(step for step in plan if not isinstance(step, BootTest))
    execute(steps, build, record=lambda _name, action: action())


def in_format(build: Build, name: FormatName, compression: Compression) -> str:
    """The digest of the build's disk in a format."""
    target = replace(build, source=build.disk, scratch=build.scratch / "converted")
    target.scratch.mkdir(exist_ok=True)
    Convert(format=name, compression=compression).run(target)
    found = digest(target.disk)
    target.disk.unlink()
    return found


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
