"""What of the cache goes, and what stays."""

import os
from pathlib import Path

import pytest

from fakes.build import a_build
from imagefactory.core.template import Install
from imagefactory.engine.command import Tools
from imagefactory.engine.discs import place_of
from imagefactory.engine.eviction import Eviction
from imagefactory.engine.fetch_disc import FetchDisc
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox

URLS = [f"http://mirror.example.org/{name}.iso" for name in ("first", "second", "third")]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return a_build(tmp_path / "state")


def eviction(build: Build) -> Eviction:
    sandbox = Sandbox(state=build.state, tools=Tools())
    return Eviction(cache=build.cache, scratch=build.scratch.parent, sandbox=sandbox)


def discs(build: Build) -> list[Path]:
    """Three images, of which each was used later than the one before."""
    places = [place_of(build, url) for url in URLS]
    for number, place in enumerate(places):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes(range(256)) * 256)
        os.utime(place, (1_000_000 + number,) * 2)
    return places


def test_the_disc_that_was_used_longest_ago_goes_first(build: Build) -> None:
    first, second, third = discs(build)
    assert eviction(build).run(limit=2 * (64 << 10)) == 64 << 10
    assert [first.exists(), second.exists(), third.exists()] == [False, True, True]


def test_a_disc_that_a_build_reads_stays(build: Build) -> None:
    first, second, third = discs(build)
    FetchDisc(install=Install(type="iso", url=URLS[0])).run(build)
    assert eviction(build).run(limit=0) == 2 * (64 << 10)
    assert [first.exists(), second.exists(), third.exists()] == [True, False, False]


def test_half_a_disc_stays_while_a_build_may_go_on_with_it(build: Build) -> None:
    whole, *_ = discs(build)
    half = whole.rename(whole.with_suffix(".partial"))
    (build.scratch / "disc").write_text(half.stem)
    eviction(build).run(limit=0)
    assert half.exists()
    (build.scratch / "disc").unlink()
    eviction(build).run(limit=0)
    assert not half.exists()


def test_a_disc_counts_as_used_when_a_build_takes_it(build: Build) -> None:
    first, second, third = discs(build)
    FetchDisc(install=Install(type="iso", url=URLS[0])).run(build)
    (build.scratch / "disc").unlink()
    assert [cached.path for cached in eviction(build).unneeded()] == [second, third, first]
