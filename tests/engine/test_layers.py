"""Builds share layers that are whole, and no others."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.build import a_build
from fakes.guest import a_guest
from imagefactory.core.lock import Lock, LockedPackage
from imagefactory.engine.command import Tools
from imagefactory.engine.eviction import Eviction
from imagefactory.engine.inventory import write_inventory
from imagefactory.engine.layers import Layers
from imagefactory.engine.plan import AS_OF, Build
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree

pytestmark = pytest.mark.integration

MADE = "echo made > /etc/made"


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """A build whose tree has one shared layer, the tiny guest."""
    with a_guest(tmp_path) as guest:
        below = Tree.load(guest).layers[0]
        with Layers(build=guest).create("guest") as folder:
            assert folder is not None
            move = f"cp -a ../../../{os.path.relpath(below, guest.state)}/. tree/"
            sandbox_of(guest).host(["sh", "-euc", move], cwd=folder)
        (guest.scratch / "tree.json").unlink()
        Tree.load(guest).adopt(guest.cache / "layers" / "guest" / "tree", name="guest")
        yield guest
        sandbox_of(guest).remove(guest.cache / "layers")


def sandbox_of(build: Build) -> Sandbox:
    return Sandbox(state=build.state, tools=Tools())


def another(build: Build, number: int = 2) -> Build:
    """Another build of the same factory, as far as the first was with its first layer."""
    made = a_build(build.state, build_id=f"9ac0d5c5-2b2a-4f3b-9d5a-0d4d3f6b7c{number:02}")
    sandbox_of(build).own(made.scratch)
    Tree.load(made).adopt(build.cache / "layers" / "guest" / "tree", name="guest")
    return made


def make(build: Build, key: str = "k", script: str = MADE, *, lasting: float | None = None) -> bool:
    """Whether the layer had to be made."""
    with Tree.load(build).shared("own", key=key, dated=False, lasting=lasting) as change:
        if change is None:
            return False
        change.run(["sh", "-c", script])
        return True


def top(build: Build) -> Path:
    return Tree.load(build).layers[-1]


def test_what_one_build_has_made_another_takes(build: Build) -> None:
    assert make(build)
    assert not make(another(build))
    third = another(build, 3)
    assert not make(third)
    assert Tree.load(third).run(["cat", "/etc/made"]) == "made\n"


def test_another_key_another_layer_below_or_no_wish_to_share_is_another_layer(build: Build) -> None:
    assert make(build)
    assert make(another(build), "other")
    other = another(build, 3)
    assert not make(other, "other")
    with Tree.load(other).shared("second", key="k", dated=False) as change:
        assert change is not None, "the same key on other layers"
    alone = replace(another(build, 4), reuse=False)
    assert make(alone)
    assert top(alone).is_relative_to(alone.scratch)
    with Tree.load(alone).shared("next", key="k") as change:
        assert change is not None
    assert top(alone).is_relative_to(alone.scratch), "on a layer that is nobody else's"


@pytest.mark.parametrize(
    "damage",
    [
        lambda tree: rewritten(tree / "etc/made", b"mabe\n"),
        lambda tree: (tree / "etc/made").chmod(0o600),
        lambda tree: (tree / "etc/made").unlink(),
        lambda tree: (tree / "etc/more").write_text(""),
        lambda tree: os.utime(tree / "etc/made", (1, 1)),
    ],
    ids=["a bit", "a mode", "a file less", "a file more", "a time"],
)
def test_a_damaged_layer_is_noticed_and_made_anew(
    build: Build, damage: Callable[[Path], object]
) -> None:
    assert make(build)
    damage(top(build))
    told: list[str] = []
    second = replace(another(build), tools=Tools(log=told.append))
    assert make(second)
    assert any("is damaged" in line for line in told)
    assert Tree.load(second).run(["cat", "/etc/made"]) == "made\n"
    assert not make(another(build, 3))


def rewritten(path: Path, content: bytes) -> None:
    """Other bytes of the same length and time, as a disk may give them one day."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_two_builds_at_once_do_the_work_once(build: Build) -> None:
    builds = [another(build, number) for number in range(2, 5)]
    made: list[bool] = []
    threads = [
        threading.Thread(target=lambda one=one: made.append(make(one, script=f"sleep 0.5; {MADE}")))
        for one in builds
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, True]
    assert len({top(one) for one in builds}) == 1


def test_who_waits_for_a_layer_can_be_cancelled(build: Build) -> None:
    waiting = another(build)
    with Tree.load(build).shared("own", key="k", dated=False) as change:
        assert change is not None
        timer = threading.Timer(0.3, waiting.tools.cancellation.request)
        timer.start()
        with pytest.raises(Exception, match="cancelled"):
            make(waiting)
        timer.join()


@pytest.mark.parametrize("key", ["k", "other"], ids=["same layer", "other layer"])
def test_half_a_layer_of_a_killed_build_is_neither_used_nor_kept(build: Build, key: str) -> None:
    half = "echo half > /etc/half; echo ready; sleep 60"
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        make(build, script=half)
        os._exit(0)
    layers = build.cache / "layers"
    ends = time.monotonic() + 10
    while not list(layers.glob(".*.partial/tree/etc/half")) and time.monotonic() < ends:
        time.sleep(0.02)
    assert list(layers.glob(".*.partial/tree/etc/half"))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    second = another(build)
    assert make(second, key)
    assert not (top(second) / "etc/half").exists()
    eviction(build).run(limit=1 << 40)
    assert not list(layers.glob(".*"))
    assert not list(layers.rglob("half"))


def test_what_came_from_a_network_is_good_for_its_time(build: Build) -> None:
    assert make(build, lasting=60)
    second = another(build)
    assert not make(second, lasting=60)
    sealed = top(second).with_name("sealed.json")
    made = json.loads(sealed.read_text())["made"]
    assert float((second.scratch / AS_OF).read_text()) == made
    sealed.write_text(json.dumps(json.loads(sealed.read_text()) | {"made": made - 61}))
    assert make(another(build, 3), lasting=60)


def eviction(build: Build) -> Eviction:
    return Eviction(cache=build.cache, scratch=build.scratch.parent, sandbox=sandbox_of(build))


def test_the_digests_of_a_shared_layer_are_taken_once(build: Build) -> None:
    assert make(build, script="echo new > /etc/passwd; rm /etc/shadow; mkdir /etc/shadow")
    found = write_inventory(build)
    assert found["/etc/passwd"].sha256 == hashlib.sha256(b"new\n").hexdigest()
    assert found["/etc/passwd"].sha1 == hashlib.sha1(b"new\n").hexdigest()
    assert "/etc/shadow" not in found  # which a folder hides
    kept = sorted((build.cache / "layers").glob("*/sums.json.gz"))
    assert len(kept) == 2
    before = [path.stat().st_ino for path in kept]
    assert write_inventory(build) == found
    assert [path.stat().st_ino for path in kept] == before
    kept[0].write_bytes(kept[0].read_bytes()[:-9])
    assert write_inventory(build) == found
    assert kept[0].stat().st_ino != before[0]


def test_what_was_used_longest_ago_goes_first_and_what_builds_use_stays(build: Build) -> None:
    places = {}
    for key in ("a", "b", "c"):
        assert make(build, key)
        places[key] = top(build).parent
    assert not make(another(build), "a")
    assert not make(build, "c")
    for path in build.scratch.with_name(another(build).id).glob("tree.json"):
        path.unlink()
    whole = sum(map(size, (build.cache / "layers").glob("[!.]*/sealed.json")))
    assert [cached.path for cached in eviction(build).unneeded()] == [places["b"], places["a"]]
    eviction(build).run(limit=whole)
    assert all(map(Path.exists, places.values()))
    eviction(build).run(limit=whole - 1)
    assert [key for key, path in places.items() if path.exists()] == ["a", "c"]
    eviction(build).run(limit=0)
    assert [key for key, path in places.items() if path.exists()] == ["c"]
    assert (build.cache / "layers" / "guest").exists()


def size(sealed: Path) -> int:
    return int(json.loads(sealed.read_text())["size"])


def test_the_package_files_of_a_build_stay(build: Build) -> None:
    objects = build.cache / "objects"
    for digest in ("aa", "bb"):
        path = objects / digest / (digest * 32)
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(5000))
    package = LockedPackage(
        name="x", version="1", arch="all", url="", size=5000, sha256="aa" * 32, origin=""
    )
    lock = Lock(system="Debian", version="12", arch="x86_64", epoch=0, packages=(package,))
    (build.scratch / "lock.json").write_text(lock.dumps())
    eviction(build).run(limit=0)
    assert [path.name for path in objects.glob("*/*")] == ["aa" * 32]


def test_what_is_being_made_is_no_half(build: Build) -> None:
    with Tree.load(build).shared("own", key="k", dated=False) as change:
        assert change is not None
        assert eviction(build).halves() == []
        eviction(build).run(limit=0)
        change.run(["sh", "-c", MADE])
    assert (top(build) / "etc/made").exists()
