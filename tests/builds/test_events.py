"""How often a build is recorded, and what its log looks like."""

import re
from pathlib import Path

import pytest

from fakes.plugins import a_template
from fakes.shop import Shop
from imagefactory.builds.events import BuildLog, Reporter
from imagefactory.core.errors import Cancelled
from imagefactory.core.images import BaseImage
from imagefactory.engine.command import Cancellation


@pytest.fixture
def cancellation() -> Cancellation:
    return Cancellation()


@pytest.fixture
def image(shop: Shop) -> BaseImage:
    return shop.factory.create_base_image(template=a_template())


@pytest.fixture
def report(shop: Shop, image: BaseImage, tmp_path: Path, cancellation: Cancellation) -> Reporter:
    return Reporter(
        image.id, store=shop.workshop.store, log=BuildLog(tmp_path), cancellation=cancellation
    )


def test_percentages_are_recorded_seldom_and_activities_always(
    shop: Shop, image: BaseImage, report: Reporter
) -> None:
    report(1, "Fetching")
    for percent in range(2, 60):
        report(percent)
    report(60, "Unpacking")
    report(61, "Unpacking")
    told = [(event.percent, event.activity) for event in shop.factory.events(image_id=image.id)]
    assert told[0] == (0, image.activity)
    assert told[1] == (1, "Fetching")
    assert told[-1] == (60, "Unpacking")
    assert len(told) < 8  # some of the sixty, when the machine is slow


def test_a_report_is_where_a_cancelled_build_ends(
    report: Reporter, cancellation: Cancellation
) -> None:
    report(1)
    cancellation.request()
    with pytest.raises(Cancelled):
        report(2)


def test_a_log_grows_by_whole_lines_with_the_time(tmp_path: Path) -> None:
    with BuildLog(tmp_path) as log:
        log("+ apt-get update")
        log("first\nsecond \udcff")
        lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in lines)
    assert lines[0].endswith("+ apt-get update")
    assert lines[2].endswith("second ?")
    log("too late")
    with BuildLog(tmp_path) as again:
        again("another life")
    assert len((tmp_path / "log").read_text().splitlines()) == 4
